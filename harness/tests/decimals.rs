//! Exact arithmetic against rational numbers of unlimited size: random expressions over decimals and integers of all
//! scales, full of NULLs and of values at the edges of their types, run by the real compiler and kernels.
//!
//! The oracle knows fractions of big integers and, from the reference, the scale of every result: sums and remainders
//! have the larger scale, products the sum of both up to 18 (never below an operand's), quotients four more than the
//! larger up to 18, all rounded half away from zero; a result of more than 38 digits is an error, division by zero NULL.
//! `VELO_SHARE` says which part of the cases runs, `VELO_SEED` where the seeds begin; a mismatch prints its seed.

#[path = "support/draw.rs"]
mod draw;
#[path = "decimals/nodes.rs"]
mod nodes;
#[path = "decimals/ratio.rs"]
mod ratio;
#[path = "support/share.rs"]
mod share;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use draw::Draw;
use nodes::{Answer, COLUMNS, Cell, Node, Writer};
use num_bigint::BigInt;
use ratio::Ratio;
use share::share_of;
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_harness::scenario::compile_app;
use velostream_sql::plan::{Expr, NodeKind};
use velostream_types::{Batch, Column, RowMeta, SourceId, Value};

/// Expressions of the whole suite.
const CASES: u64 = 10_000;
/// Expressions of one app; they share its rows.
const PER_APP: u64 = 100;
/// Rows each expression is evaluated over.
const ROWS: usize = 1_000;
/// How often every operation occurs in the whole suite.
const LEAST_USES: u64 = 20;
/// Part of the results, in percent, that are neither NULL nor an error.
const LEAST_VALUES: u64 = 30;
const SEED: u64 = 1;

/// The largest mantissa a decimal has.
const MOST: i128 = 10i128.pow(38) - 1;

/// A mantissa of at most `digits` digits: small, round or at the edge.
fn mantissa(draw: &mut Draw, digits: u32) -> i128 {
    let limit = if digits >= 38 { MOST } else { 10i128.pow(digits) - 1 };
    let wide = i128::from(draw.next()) << 63 | i128::from(draw.next() >> 1);
    let drawn = match draw.below(8) {
        0 => *draw.pick(&[0, 1, 5, 10, limit, limit - 1, limit / 2, limit / 3]),
        1 => wide % (limit + 1),
        2 => wide % 10i128.pow(digits.min(30) / 2 + 1),
        _ => i128::from(draw.below(2_000_000)) * if draw.once_in(3) { 5 } else { 1 },
    };
    let drawn = drawn.min(limit);
    if draw.once_in(3) { -drawn } else { drawn }
}

/// One column in both worlds: cells for the oracle, storage for the engine.
fn column(draw: &mut Draw, precision: u32, scale: Option<u8>) -> (Vec<Cell>, Column) {
    let mut cells = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let value = match scale {
            _ if draw.once_in(5) => None,
            Some(_) => Some(mantissa(draw, precision)),
            None if draw.once_in(12) => {
                Some(i128::from(*draw.pick(&[i64::MAX, i64::MIN, i64::MAX - 1, 3_037_000_500, -4_294_967_296])))
            }
            None => Some(mantissa(draw, precision)),
        };
        cells.push(value);
    }
    let at = scale.unwrap_or(0);
    let narrow: Option<Vec<Option<i64>>> =
        cells.iter().map(|c| c.map_or(Some(None), |m| i64::try_from(m).ok().map(Some))).collect();
    let nulls = || Some(cells.iter().map(Option::is_some).collect::<Vec<bool>>().into());
    let column = match (scale, narrow) {
        (None, Some(values)) => Column::Int(values.into_iter().collect()),
        (Some(s), Some(values)) if s <= 18 && !draw.once_in(3) => {
            Column::dec64(values.into_iter().map(Option::unwrap_or_default).collect(), s, nulls())
        }
        _ => Column::dec128(cells.iter().map(|c| c.unwrap_or_default()).collect(), at, nulls()),
    };
    let ratio = |m: i128| Cell::Number(Ratio::decimal(BigInt::from(m), u32::from(at)));
    (cells.into_iter().map(|m| m.map_or(Cell::Null, ratio)).collect(), column)
}

/// A column of texts, some of which are numbers.
fn texts(draw: &mut Draw) -> (Vec<Cell>, Column) {
    let text = |draw: &mut Draw| -> String {
        match draw.below(6) {
            0 => (*draw.pick(&["", "x", "1.2.3", "--1", "1e", ".", "+", "0x10", "1_000", "NaN", "1e400"])).to_owned(),
            1 => format!("{}e{}", mantissa(draw, 6), draw.below(9) as i64 - 4),
            2 => format!(" {} ", mantissa(draw, 12)),
            3 => format!("+{}.{}", draw.below(1_000), draw.below(100_000)),
            _ => {
                let (m, digits) = (mantissa(draw, 20), draw.below(9) as usize);
                let sign = if m < 0 { "-" } else { "" };
                format!("{sign}{}.{:0digits$}", m.unsigned_abs(), draw.below(10u64.pow(digits as u32)))
            }
        }
    };
    let texts: Vec<Option<String>> = (0..ROWS).map(|_| if draw.once_in(5) { None } else { Some(text(draw)) }).collect();
    let column = Column::strs(texts.iter().map(Option::as_ref));
    (texts.into_iter().map(|t| t.map_or(Cell::Null, Cell::Text)).collect(), column)
}

/// The rows in both worlds; cells by row and column.
fn rows(draw: &mut Draw) -> (Vec<Vec<Cell>>, Batch) {
    let made = COLUMNS.iter().map(|c| match c.kind {
        nodes::Kind::Text => texts(draw),
        nodes::Kind::Integer => column(draw, if c.name == "j" { 3 } else { 12 }, None),
        nodes::Kind::Decimal { precision, scale } => column(draw, precision, Some(scale)),
    });
    let (cells, columns): (Vec<_>, Vec<_>) = made.unzip();
    let by_row = (0..ROWS).map(|row| cells.iter().map(|column: &Vec<Cell>| column[row].clone()).collect()).collect();
    (by_row, Batch::new(columns, ROWS, RowMeta::plain(SourceId(0), 0, 0)))
}

/// The expressions as the engine runs them.
fn compiled(nodes: &[Node]) -> Result<Vec<Expr>, String> {
    let items: Vec<String> = nodes.iter().enumerate().map(|(n, node)| format!("{node} AS c{n}")).collect();
    let columns: Vec<String> = COLUMNS.iter().map(|c| format!("{} {}", c.name, c.kind)).collect();
    let sql = format!(
        "CREATE STREAM t ({}) WITH (path = 't.jsonl'); CREATE STREAM out AS SELECT {}, {} FROM t",
        columns.join(", "),
        items.join(", "),
        COLUMNS.map(|c| c.name).join(", "),
    );
    let plan = compile_app(&sql, &BTreeMap::new(), Path::new("."))?;
    let mut projections = plan.nodes.into_iter().filter_map(|node| match node.kind {
        NodeKind::Project { exprs, .. } if exprs.len() >= nodes.len() => Some(exprs),
        _ => None,
    });
    projections.next().ok_or_else(|| "no projection".to_owned())
}

/// TRUE when the engine gave what the oracle says.
fn agree(ours: &Value, failed: bool, oracle: &Answer) -> bool {
    let number = |r: &Ratio| match ours {
        Value::Int(n) => *r == Ratio::decimal(BigInt::from(*n), 0),
        Value::Decimal { mantissa, scale } => *r == Ratio::decimal(BigInt::from(*mantissa), u32::from(*scale)),
        _ => false,
    };
    match oracle {
        Answer::Error => failed,
        _ if failed => false,
        Answer::Null => ours.is_null(),
        Answer::Number(r) => number(r),
        Answer::Truth(b) => *ours == Value::Bool(*b),
        Answer::Text(t) => *ours == Value::Str(t.as_str().into()),
    }
}

/// What a run came to.
#[derive(Default)]
struct Told {
    results: u64,
    values: u64,
    errors: u64,
    mismatches: u64,
}

impl Told {
    /// One expression over all rows; the text of the first row that differs.
    fn case(&mut self, node: &Node, expr: &Expr, cells: &[Vec<Cell>], batch: &Batch) -> Result<(), String> {
        let evaluated = Evaluator::new(expr).eval(batch, &EvalContext::default());
        let mut errors = evaluated.errors.iter().peekable();
        for (row, cells) in cells.iter().enumerate() {
            let failed = errors.next_if(|e| e.row as usize == row);
            let ours = evaluated.column.value(row);
            let oracle = node.answer(&|column| &cells[column]);
            self.results += 1;
            self.values += u64::from(!ours.is_null());
            self.errors += u64::from(failed.is_some());
            if !agree(&ours, failed.is_some(), &oracle) {
                let values: Vec<String> = batch.columns.iter().map(|c| c.value(row).to_string()).collect();
                let ours = failed.map_or_else(|| format!("{ours:?}"), |e| e.error.message.to_string());
                return Err(format!("row {row}: ours {ours}, oracle {oracle:?} of {}", values.join(", ")));
            }
        }
        Ok(())
    }
}

fn run(first: u64, cases: u64, uses: &mut BTreeMap<&'static str, u64>) -> Result<Told, String> {
    let mut told = Told::default();
    for begin in (first..first + cases).step_by(PER_APP as usize) {
        let (cells, batch) = rows(&mut Draw::new(begin));
        let seeds: Vec<u64> = (begin..(begin + PER_APP).min(first + cases)).collect();
        let nodes: Vec<Node> = seeds.iter().map(|seed| Writer::new(&mut Draw::new(*seed), uses).top(3)).collect();
        let exprs = compiled(&nodes)?;
        // The columns of the Scan stand in the order of their first use, which naming all of them makes that of the list.
        for ((seed, node), expr) in seeds.iter().zip(&nodes).zip(&exprs) {
            if let Err(text) = told.case(node, expr, &cells, &batch) {
                told.mismatches += 1;
                println!("FAILED seed {seed}: {node}\n  {text}\n");
            }
        }
    }
    Ok(told)
}

#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn main() -> ExitCode {
    let cases = share_of(CASES, PER_APP);
    let first = std::env::var("VELO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(SEED);
    let begin = Instant::now();
    let mut uses: BTreeMap<&'static str, u64> = nodes::names().map(|name| (name, 0)).collect();
    let told = match run(first, cases, &mut uses) {
        Ok(told) => told,
        Err(text) => {
            println!("{text}");
            return ExitCode::FAILURE;
        }
    };
    let rare: Vec<String> =
        uses.iter().filter(|(_, n)| **n * CASES < LEAST_USES * cases).map(|(name, n)| format!("{name} {n}")).collect();
    let values = told.values * 100 / told.results.max(1);
    println!(
        "{} operations, the rarest used {} times; {} results, {values} % of them values, {} errors, {} mismatches",
        uses.len(),
        uses.values().min().copied().unwrap_or(0),
        told.results,
        told.errors,
        told.mismatches
    );
    if !rare.is_empty() {
        println!("too rare: {}", rare.join(", "));
    }
    println!("suite decimals cases {cases} seed {first} seconds {:.1}", begin.elapsed().as_secs_f64());
    let good = told.mismatches == 0 && rare.is_empty() && values >= LEAST_VALUES;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
