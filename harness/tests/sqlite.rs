//! Random expressions against SQLite: another engine's operators and functions, where the two dialects mean the same.
//!
//! Each expression is written twice from one template, in our dialect and in SQLite's, and evaluated over random rows
//! full of NULLs: here by the real compiler and the kernels, there by SQLite. Where the dialects differ (their integer
//! division, LEAST with NULL, LPAD) the template says what we mean in SQLite's words. `VELO_SHARE` says which part of the
//! cases runs, `VELO_SEED` where the seeds begin; a mismatch prints its seed.

#[path = "support/draw.rs"]
mod draw;
#[path = "support/share.rs"]
mod share;
#[path = "sqlite/templates.rs"]
mod templates;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use draw::Draw;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use share::share_of;
use templates::{Kind, Pair, Writer, names};
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_harness::scenario::compile_app;
use velostream_sql::plan::{Expr, NodeKind};
use velostream_types::time::timestamp_text;
use velostream_types::{Batch, Column, ErrorCode, RowMeta, SourceId, Value};

/// Expressions of the whole suite.
const CASES: u64 = 10_000;
/// Expressions of one app; they share its rows.
const PER_APP: u64 = 100;
/// Rows each expression is evaluated over.
const ROWS: usize = 1_000;
/// How often every template occurs in the whole suite.
const LEAST_USES: u64 = 20;
/// Part of the results, in percent, that are neither NULL nor an error.
const LEAST_VALUES: u64 = 30;
const SEED: u64 = 1;

/// The table, as our dialect declares it.
const COLUMNS: &str =
    "i INTEGER, j INTEGER, f FLOAT, g FLOAT, s STRING, u STRING, b BOOLEAN, ts TIMESTAMP, tu TIMESTAMP";

/// Texts: ASCII for both engines' upper case, anything elsewhere.
const ASCII: [&str; 12] =
    ["", "a", "Abc", "abd", "x,y,z", "  pad ", "aaa", "longer than twelve bytes", "100%", "a_b", "ba", "7"];
const ANY: [&str; 12] =
    ["", "é", "ab", "aéb", "日本語", "😀x", "longer than twelve bytés", "b,é", " a ", "ab%", "ba", "_"];

fn valued<T>(draw: &mut Draw, f: impl Fn(&mut Draw) -> T) -> Vec<Option<T>> {
    (0..ROWS).map(|_| if draw.once_in(4) { None } else { Some(f(draw)) }).collect()
}

/// The rows in both worlds.
fn rows(draw: &mut Draw, sqlite: &Connection) -> rusqlite::Result<Batch> {
    let integer = |d: &mut Draw| if d.once_in(3) { d.below(7) as i64 - 3 } else { d.below(2_001) as i64 - 1_000 };
    // Sixty-fourths are exact in binary and in a few decimal digits, so that halves are halves to both.
    let float = |d: &mut Draw| (d.below(200_001) as i64 - 100_000) as f64 / 64.0;
    let second = |d: &mut Draw| (d.below(6_000_000_000) as i64 - 2_000_000_000) * 1_000;
    let (i, j) = (valued(draw, integer), valued(draw, integer));
    let (f, g) = (valued(draw, float), valued(draw, float));
    let (s, u) = (valued(draw, |d| *d.pick(&ASCII)), valued(draw, |d| *d.pick(&ANY)));
    let b = valued(draw, |d| d.once_in(2));
    let (ts, tu) = (valued(draw, |d| second(d) + d.below(1_000) as i64), valued(draw, second));

    sqlite.execute_batch("DROP TABLE IF EXISTS t; CREATE TABLE t (i, j, f, g, s, u, b, ts, tu)")?;
    let mut insert = sqlite.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let text = |ms: Option<i64>| ms.map(|ms| timestamp_text(ms * 1_000_000));
    for r in 0..ROWS {
        insert.execute(rusqlite::params![i[r], j[r], f[r], g[r], s[r], u[r], b[r], text(ts[r]), text(tu[r])])?;
    }
    let bits = |v: &[Option<bool>]| Column::Bool(v.iter().copied().collect());
    let ints = |v: &[Option<i64>]| Column::Int(v.iter().copied().collect());
    let floats = |v: &[Option<f64>]| Column::Float(v.iter().copied().collect());
    let times = |v: &[Option<i64>]| Column::Timestamp(v.iter().map(|ms| ms.map(|ms| ms * 1_000_000)).collect());
    let columns = vec![
        ints(&i),
        ints(&j),
        floats(&f),
        floats(&g),
        Column::strs(s.iter().copied()),
        Column::strs(u.iter().copied()),
        bits(&b),
        times(&ts),
        times(&tu),
    ];
    Ok(Batch::new(columns, ROWS, RowMeta::plain(SourceId(0), 0, 0)))
}

/// The expressions as the engine runs them.
fn compiled(pairs: &[(u64, Pair)]) -> Result<Vec<Expr>, String> {
    let items: Vec<String> = pairs.iter().enumerate().map(|(n, (_, pair))| format!("{} AS c{n}", pair.ours)).collect();
    let sql = format!(
        "CREATE STREAM t ({COLUMNS}) WITH (path = 't.jsonl'); CREATE STREAM out AS SELECT {} FROM t",
        items.join(", ")
    );
    let plan = compile_app(&sql, &BTreeMap::new(), Path::new("."))?;
    let mut projections = plan.nodes.into_iter().filter_map(|node| match node.kind {
        NodeKind::Project { exprs, .. } if exprs.len() >= pairs.len() => Some(exprs),
        _ => None,
    });
    projections.next().ok_or_else(|| "no projection".to_owned())
}

/// What SQLite gives must be what the engine gave.
fn agree(ours: &Value, theirs: ValueRef<'_>, kind: Kind) -> bool {
    match (ours, theirs) {
        (Value::Null, ValueRef::Null) => true,
        (Value::Bool(a), ValueRef::Integer(b)) => i64::from(*a) == b,
        (Value::Int(a), ValueRef::Integer(b)) => *a == b,
        (Value::Int(a), ValueRef::Real(b)) => *a as f64 == b,
        (Value::Float(a), ValueRef::Integer(b)) => *a == b as f64,
        // Roots and powers come from two libraries; everything else is IEEE arithmetic in the same order.
        (Value::Float(a), ValueRef::Real(b)) => *a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        (Value::Str(a), ValueRef::Text(b)) => a.as_bytes() == b,
        (Value::Timestamp(t), ValueRef::Text(b)) => timestamp_text(*t).as_bytes() == b,
        (Value::Date(_), ValueRef::Text(b)) => ours.to_string().as_bytes() == b,
        // SQLite knows no infinity in arithmetic: it gives NULL for what is not a number.
        (Value::Float(a), ValueRef::Null) => kind == Kind::Float && !a.is_finite(),
        _ => false,
    }
}

/// What a run came to.
#[derive(Default)]
struct Told {
    results: u64,
    values: u64,
    overflows: u64,
    mismatches: u64,
}

impl Told {
    /// One expression over all rows.
    fn case(&mut self, seed: u64, pair: &Pair, expr: &Expr, batch: &Batch, sqlite: &Connection) -> Result<(), String> {
        let evaluated = Evaluator::new(expr).eval(batch, &EvalContext::default());
        let mut errors = evaluated.errors.iter().peekable();
        let query = format!("SELECT {} FROM t ORDER BY rowid", pair.theirs);
        let told = |what: String| format!("seed {seed}: {what}\n  ours   {}\n  theirs {}", pair.ours, pair.theirs);
        let mut statement = sqlite.prepare(&query).map_err(|e| told(e.to_string()))?;
        let mut rows = statement.query([]).map_err(|e| told(e.to_string()))?;
        for row in 0..batch.rows {
            let theirs = rows.next().map_err(|e| told(e.to_string()))?.ok_or_else(|| told("too few rows".into()))?;
            let theirs = theirs.get_ref(0).map_err(|e| told(e.to_string()))?;
            self.results += 1;
            if let Some(error) = errors.next_if(|e| e.row as usize == row) {
                // Beyond 64 bits SQLite goes on with floats.
                if error.error.code != ErrorCode::Overflow {
                    return Err(told(format!("row {row}: {}, theirs {theirs:?}", error.error.message)));
                }
                self.overflows += 1;
                continue;
            }
            let ours = evaluated.column.value(row);
            self.values += u64::from(!ours.is_null());
            if !agree(&ours, theirs, pair.kind) {
                let values: Vec<String> = batch.columns.iter().map(|c| format!("{:?}", c.value(row))).collect();
                return Err(told(format!("row {row}: ours {ours:?}, theirs {theirs:?} of {}", values.join(", "))));
            }
        }
        Ok(())
    }
}

fn run(first: u64, cases: u64, uses: &mut BTreeMap<&'static str, u64>) -> Result<Told, String> {
    let sqlite = Connection::open_in_memory().map_err(|e| e.to_string())?;
    sqlite.execute_batch("PRAGMA case_sensitive_like = ON").map_err(|e| e.to_string())?;
    let mut told = Told::default();
    for begin in (first..first + cases).step_by(PER_APP as usize) {
        let seeds = begin..(begin + PER_APP).min(first + cases);
        let mut draw = Draw::new(begin);
        let batch = rows(&mut draw, &sqlite).map_err(|e| e.to_string())?;
        let pairs: Vec<(u64, Pair)> =
            seeds.map(|seed| (seed, Writer::new(&mut Draw::new(seed), uses).nth(seed, 3))).collect();
        let exprs = compiled(&pairs)?;
        for ((seed, pair), expr) in pairs.iter().zip(&exprs) {
            if let Err(text) = told.case(*seed, pair, expr, &batch, &sqlite) {
                told.mismatches += 1;
                println!("FAILED {text}\n");
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
    let mut uses: BTreeMap<&'static str, u64> = names().map(|name| (name, 0)).collect();
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
        "{} templates, the rarest used {} times; {} results, {values} % of them values, {} overflows, {} mismatches",
        uses.len(),
        uses.values().min().copied().unwrap_or(0),
        told.results,
        told.overflows,
        told.mismatches
    );
    if !rare.is_empty() {
        println!("too rare: {}", rare.join(", "));
    }
    println!("suite sqlite cases {cases} seed {first} seconds {:.1}", begin.elapsed().as_secs_f64());
    let good = told.mismatches == 0 && rare.is_empty() && values >= LEAST_VALUES;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
