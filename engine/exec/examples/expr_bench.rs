//! Prints ns per row of expression kernels at 1,024-row batches: exact decimals beside the same expression over floats
//! through the same evaluator, which the bars are about, and beside a bare `f64` loop that allocates its result.
//!
//! Run with `cargo run --release -p velostream-exec --example expr_bench`. The least of many rounds is printed: the
//! machine is shared.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::Instant;

use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_sql::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind};
use velostream_types::{Batch, Column, DataType, RowMeta, SourceId, Span, Value};

const ROWS: usize = 1024;
const CALLS: usize = 400;
const ROUNDS: usize = 60;

fn main() {
    let floats = |f: fn(usize) -> f64| (0..ROWS).map(f).collect::<Vec<f64>>();
    let a = floats(|i| (i * 7919 % 100_003) as f64 / 100.0 + 1.0);
    let b = floats(|i| (i * 104_729 % 9_973) as f64 / 100.0 + 1.0);
    let cents = |values: &[f64]| Column::dec64(values.iter().map(|x| (x * 100.0).round() as i64).collect(), 2, None);
    let units = Column::dec64(b.iter().map(|x| (x * 10_000.0).round() as i64).collect(), 4, None);
    let columns = vec![cents(&a), cents(&b), units, Column::floats(a.clone(), None), Column::floats(b.clone(), None)];
    let batch = Batch::new(columns, ROWS, RowMeta::plain(SourceId(0), 0, 0));
    let money = DataType::Decimal { precision: 18, scale: 2 };
    let col = |i: usize| {
        expr(ExprKind::Column(i), [&money, &money, &DataType::decimal(4), &DataType::Float, &DataType::Float][i])
    };
    let cent = |m: i128| expr(ExprKind::Literal(Value::Decimal { mantissa: m, scale: 2 }), &money);

    let half = || expr(ExprKind::Literal(Value::Float(1.25)), &DataType::Float);

    use ArithmeticOp::*;
    println!("{:<26}{:>9}{:>9}{:>9}{:>8}{:>6}", "ns/row", "decimal", "f64", "bare f64", "ratio", "bar");
    let pair = |decimal: Expr, float: Expr| (run(&batch, decimal), run(&batch, float));
    let add = pair(step(Add, col(0), col(1), 2), float_step(Add, col(3), col(4)));
    row("add", add, time(|| keep(map(&a, &b, |x, y| x + y))), 2.2);
    let add = pair(step(Add, col(0), cent(125), 2), float_step(Add, col(3), half()));
    row("add constant", add, time(|| keep(map1(&a, |x| x + 1.25))), 2.2);
    let add = pair(step(Add, col(0), col(2), 4), float_step(Add, col(3), col(4)));
    row("add, scales 2 and 4", add, f64::NAN, f64::NAN);
    let product = pair(step(Multiply, col(0), col(1), 4), float_step(Multiply, col(3), col(4)));
    row("multiply", product, time(|| keep(map(&a, &b, |x, y| x * y))), 2.2);
    let product = pair(step(Multiply, col(0), cent(125), 4), float_step(Multiply, col(3), half()));
    row("multiply by constant", product, time(|| keep(map1(&a, |x| x * 1.25))), 2.2);
    let quotient = pair(step(Divide, col(0), col(1), 6), float_step(Divide, col(3), col(4)));
    row("divide", quotient, time(|| keep(map(&a, &b, |x, y| x / y))), f64::NAN);
    let less = pair(compare(col(0), col(1)), compare(col(3), col(4)));
    row("compare", less, time(|| keep(packed(&a, |i| a[i] < b[i]))), 1.2);
    let less = pair(compare(col(0), cent(50_000)), compare(col(3), half()));
    row("compare with constant", less, time(|| keep(packed(&a, |i| a[i] < 500.0))), 1.2);
    let less = pair(compare(col(0), col(2)), compare(col(3), col(4)));
    row("compare, scales 2 and 4", less, f64::NAN, f64::NAN);
    println!("{:<26}{:>9.3}", "a column passed on", run(&batch, col(0)));
}

fn expr(kind: ExprKind, ty: &DataType) -> Expr {
    Expr { kind, data_type: ty.clone(), span: Span::default() }
}

fn step(op: ArithmeticOp, left: Expr, right: Expr, scale: u8) -> Expr {
    typed_step(op, left, right, DataType::decimal(scale))
}

fn float_step(op: ArithmeticOp, left: Expr, right: Expr) -> Expr {
    typed_step(op, left, right, DataType::Float)
}

fn typed_step(op: ArithmeticOp, left: Expr, right: Expr, ty: DataType) -> Expr {
    let rest = vec![ArithmeticStep { op, operand: right, data_type: ty.clone(), span: Span::default() }];
    expr(ExprKind::Arithmetic { first: Box::new(left), rest }, &ty)
}

fn compare(left: Expr, right: Expr) -> Expr {
    expr(ExprKind::Compare { op: CompareOp::Less, left: Box::new(left), right: Box::new(right) }, &DataType::Boolean)
}

fn map(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let (a, b) = (black_box(a), black_box(b));
    a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
}

fn map1(a: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    black_box(a).iter().map(|x| f(*x)).collect()
}

fn packed(a: &[f64], f: impl Fn(usize) -> bool) -> Vec<u64> {
    (0..black_box(a).len() / 64).map(|w| (0..64).fold(0u64, |bits, i| bits | (u64::from(f(w * 64 + i)) << i))).collect()
}

fn keep<T>(value: T) {
    black_box(value);
}

fn run(batch: &Batch, expr: Expr) -> f64 {
    let mut evaluator = Evaluator::new(&expr);
    let ctx = EvalContext::default();
    time(|| keep(evaluator.eval(black_box(batch), &ctx)))
}

fn time(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        best = best.min(start.elapsed().as_nanos() as f64 / (CALLS * ROWS) as f64);
    }
    best
}

fn row(name: &str, (decimal, float): (f64, f64), bare: f64, bar: f64) {
    let ratio = decimal / float;
    let verdict = match bar {
        b if b.is_nan() => String::new(),
        b if ratio <= b => format!("{b:>6}"),
        b => format!("{b:>6} missed"),
    };
    println!("{name:<26}{decimal:>9.3}{float:>9.3}{bare:>9.3}{ratio:>8.2}{verdict}");
}
