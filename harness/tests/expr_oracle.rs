//! The engine's expression kernels against the row-at-a-time oracle: random typed expressions over batches full of
//! NULLs, edge values and mixed physical kinds must give the same values and the same errors, row by row.
//!
//! `PROPTEST_CASES` sets how many; a failing case prints its seed. Of the 10,000 expressions of the last test `VELO_SHARE`
//! are compared on 1,000 rows each.

#[path = "expr_oracle/nested.rs"]
mod nested;
#[path = "support/share.rs"]
mod share;
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use arrow_buffer::BooleanBuffer;
use proptest::prelude::*;
use share::share_of;
use support::batches::{batch, row_values, types};
use support::exprs::{Exprs, Want};
use support::{Draw, Regime};
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_harness::oracle::{self, Row};
use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::{Batch, DataType, Value};

const RUN_START_MS: i64 = 1_700_000_000_000;

fn oracle_answer(expr: &Expr, batch: &Batch, row: usize) -> Result<Value, oracle::OracleError> {
    let values = row_values(batch, row);
    let row = Row {
        values: &values,
        timestamp_ms: batch.meta.timestamp.as_ref().map_or(RUN_START_MS, |t| t[row]),
        event_time_ns: batch.meta.event_time.as_ref().map(|t| t[row]),
        offset: batch.meta.offsets.at(row),
        partition: batch.meta.partition,
    };
    oracle::eval(expr, &row)
}

/// Equality of a physical value with an oracle's value; exact numbers compare by value, not by scale.
fn agree(engine: &Value, oracle: &Value) -> bool {
    let lean = |v: &Value| match v {
        Value::Int(i) | Value::Interval(i) => Some((i128::from(*i), 0u8)),
        Value::Decimal { mantissa, scale } => {
            let (mut m, mut s) = (*mantissa, *scale);
            while s > 0 && m % 10 == 0 {
                (m, s) = (m / 10, s - 1);
            }
            Some((m, s))
        }
        _ => None,
    };
    match (engine, oracle) {
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::Str(a), Value::Json(b)) => a == b,
        (a, b) => match (lean(a), lean(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

fn compare(expr: &Expr, batch: &Batch, selection: Option<&BooleanBuffer>) -> Result<(), TestCaseError> {
    let ctx = EvalContext { run_start_ms: RUN_START_MS, ..EvalContext::default() };
    let got = Evaluator::new(expr).eval_selected(batch, &ctx, selection);
    prop_assert_eq!(got.column.len(), batch.rows);
    prop_assert!(got.errors.windows(2).all(|w| w[0].row < w[1].row), "errors are ascending and unique");
    let mut errors = got.errors.iter().peekable();
    for row in 0..batch.rows {
        let error = errors.next_if(|e| e.row as usize == row).map(|e| (e.error.code, e.error.span));
        if selection.is_some_and(|s| !s.value(row)) {
            prop_assert!(error.is_none(), "row {row} is not selected and raised {error:?}");
            continue;
        }
        let (engine, oracle) = (got.column.value(row), oracle_answer(expr, batch, row));
        let context = || format!("row {row} of {:?}\n{expr:#?}", row_values(batch, row));
        match oracle {
            Ok(value) => {
                prop_assert!(error.is_none(), "engine {error:?}, oracle {value:?}, {}", context());
                prop_assert!(agree(&engine, &value), "engine {engine:?}, oracle {value:?}, {}", context());
            }
            Err(e) => {
                prop_assert_eq!(error, Some((e.code, Some(e.span))), "{}", context());
                prop_assert!(engine.is_null(), "{}", context());
            }
        }
    }
    Ok(())
}

/// One case of the columnar engine against the oracle, with all rows and with half of them selected.
fn one_case(seed: u64, rows: usize, depth: u32, regime: Regime) -> Result<(), TestCaseError> {
    let mut draw = Draw::new(seed);
    let batch = batch(&mut draw, rows, regime);
    let expr = Exprs::new(&mut draw, types(), regime).any(depth);
    compare(&expr, &batch, None)?;
    let selection: BooleanBuffer = (0..rows).map(|_| draw.once_in(2)).collect();
    compare(&expr, &batch, Some(&selection))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(4_000), ..ProptestConfig::default() })]

    #[test]
    fn kernels_agree_with_the_oracle(seed: u64, rows in 1usize..90, depth in 1u32..5) {
        one_case(seed, rows, depth, Regime::Extreme)?;
    }

    #[test]
    fn widened_storage_changes_no_meaning(seed: u64, rows in 1usize..90) {
        one_case(seed, rows, 1, Regime::Widened)?;
    }

    #[test]
    fn a_row_has_one_answer_whatever_its_batch(seed: u64, rows in 2usize..70, depth in 1u32..4) {
        let mut draw = Draw::new(seed);
        let batch = batch(&mut draw, rows, Regime::Extreme);
        let expr = Exprs::new(&mut draw, types(), Regime::Extreme).any(depth);
        let ctx = EvalContext { run_start_ms: RUN_START_MS, ..EvalContext::default() };
        let mut evaluator = Evaluator::new(&expr);
        let whole = evaluator.eval(&batch, &ctx);
        for row in 0..rows {
            let alone = evaluator.eval(&batch.slice(row, 1), &ctx);
            let (one, many) = (alone.column.value(0), whole.column.value(row));
            prop_assert!(agree(&one, &many), "alone {one:?}, in its batch {many:?}, row {row}: {expr:#?}");
            let failed = whole.errors.iter().any(|e| e.row as usize == row);
            prop_assert_eq!(alone.errors.len(), usize::from(failed));
        }
    }

    #[test]
    fn filters_keep_exactly_the_true_rows(seed: u64, rows in 1usize..200, depth in 1u32..4) {
        let mut draw = Draw::new(seed);
        let batch = batch(&mut draw, rows, Regime::Extreme);
        let expr = Exprs::new(&mut draw, types(), Regime::Extreme).of(Want::Boolean, depth);
        let filtered = Evaluator::new(&expr).filter_mask(&batch, &EvalContext { run_start_ms: RUN_START_MS, ..EvalContext::default() });
        for row in 0..rows {
            let want = oracle_answer(&expr, &batch, row) == Ok(Value::Bool(true));
            prop_assert_eq!(filtered.keep.value(row), want, "row {}: {:#?}", row, expr);
        }
        prop_assert!(expr.data_type == DataType::Boolean || expr.data_type == DataType::Null);
    }
}

/// Expressions of the suite; all are drawn and counted, `VELO_SHARE` of them meet the oracle.
const DRAWN: u64 = 10_000;

/// Operators and forms that the draw has to reach, as [`uses`] names them.
const FORMS: [&str; 27] = [
    "Add",
    "Subtract",
    "Multiply",
    "Divide",
    "Modulo",
    "Equal",
    "NotEqual",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "Column",
    "Literal",
    "System",
    "Negate",
    "Distinct",
    "And",
    "Or",
    "Not",
    "IsNull",
    "InList",
    "Case",
    "Coalesce",
    "Cast",
    "TryCast",
    "Try",
    "Concat",
];

/// Counts the functions and forms of `expr`.
fn uses(expr: &Expr, counts: &mut BTreeMap<String, u64>) {
    let mut one = |name: &str| *counts.entry(name.to_owned()).or_default() += 1;
    match &expr.kind {
        ExprKind::Arithmetic { rest, .. } => rest.iter().for_each(|step| one(&format!("{:?}", step.op))),
        ExprKind::Compare { op, .. } => one(&format!("{op:?}")),
        ExprKind::Call { function, .. } => one(function.name),
        ExprKind::Cast { try_cast: true, .. } => one("TryCast"),
        kind => one(format!("{kind:?}").split([' ', '(']).next().unwrap_or_default()),
    }
    expr.each_child(&mut |child| uses(child, counts));
}

/// Every function and operator is drawn often, enough results are neither NULL nor an error, and on 1,000 rows each
/// the engine answers as the oracle does.
#[test]
#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn ten_thousand_expressions_over_a_thousand_rows() {
    const ROWS: usize = 1_000;
    /// Rows of the expressions that are only counted.
    const FEW: usize = 20;
    let begin = Instant::now();
    let compared = share_of(DRAWN, 100);
    let names = velostream_functions::all().map(|f| f.name).chain(FORMS);
    let mut counts: BTreeMap<String, u64> = names.map(|name| (name.to_owned(), 0)).collect();
    let (mut results, mut values) = (0, 0);
    for seed in 0..DRAWN {
        let rows = if seed < compared { ROWS } else { FEW };
        let mut draw = Draw::new(seed);
        let batch = batch(&mut draw, rows, Regime::Extreme);
        let expr = Exprs::new(&mut draw, types(), Regime::Extreme).any(3);
        uses(&expr, &mut counts);
        if seed < compared {
            compare(&expr, &batch, None).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        let ctx = EvalContext { run_start_ms: RUN_START_MS, ..EvalContext::default() };
        let column = Evaluator::new(&expr).eval(&batch, &ctx).column;
        results += rows;
        values += (0..rows).filter(|row| !column.value(*row).is_null()).count();
    }
    let share = values * 100 / results;
    let least = counts.values().min().copied().unwrap_or_default();
    println!("suite expr_oracle cases {compared} seed 0 seconds {:.1}", begin.elapsed().as_secs_f64());
    println!(
        "{DRAWN} expressions of {} functions and forms, the rarest {least} times, {share} % of the results are \
         values; {compared} compared on {ROWS} rows each, 0 differ",
        counts.len(),
    );
    let rare: Vec<_> = counts.iter().filter(|(_, n)| **n < 20).collect();
    assert!(rare.is_empty(), "too rare: {rare:?}");
    assert!(share >= 30, "{share} % of the results are values");
}

/// Cases to run, `PROPTEST_CASES` first.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}
