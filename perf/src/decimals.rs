//! `perf decimals`: exact decimals beside floats, nanoseconds a value on one core, each pair in the same run.
//!
//! Arithmetic and comparisons go through the expression engine in batches of 1,024 rows, with floats through the same
//! engine (which the bars are about) and as a bare loop that allocates its result. SUM is the grouping operator over one
//! group beside a bare ordered sum: additions of floats cannot be reordered without changing the result. Text is decoded
//! from CSV, field splitting and UTF-8 check included, beside the standard library's parser over fields split in
//! advance. The least of many rounds counts: the machine is shared.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use arrow_buffer::Buffer;
use clap::Args;
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_exec::format::{Decoder, SlabCursor, SlabState};
use velostream_exec::op::aggregate::{Aggregate, Place};
use velostream_exec::operator::{Msg, NodeCounters, OpCx, Operator};
use velostream_sql::plan::{
    AggregateCall, AggregateFn, AggregateSpec, ArithmeticOp, ArithmeticStep, CompareOp, Emit, Expr, ExprKind, Repr,
    ScanColumn, SourcePlan,
};
use velostream_types::time::WM_END;
use velostream_types::{
    Batch, Column, DataType, DlqId, Field, NodeId, RowMeta, Schema, ShardId, Slab, SlabKind, SourceId, Span, Value,
};

use crate::decode;
use crate::generate::Format;

/// Rows of a batch of expressions.
const ROWS: usize = 1_024;
/// Rows of a batch of the grouping operator, and of the text.
const MANY: usize = 8_192;

#[derive(Args)]
pub struct DecimalArgs {
    /// Rounds of each measurement
    #[arg(long, default_value_t = 60)]
    rounds: u32,
    /// End with an error when a bar is missed
    #[arg(long)]
    gate: bool,
}

/// One measured pair, ns a value.
struct Line {
    name: &'static str,
    decimal: f64,
    float: f64,
    /// A hand-written loop over floats.
    bare: f64,
    /// Most the decimal may take, as a multiple of the float.
    bar: Option<f64>,
}

/// Measures everything and prints it.
pub fn run(args: &DecimalArgs) -> Result<()> {
    let clock = Clock { rounds: args.rounds.max(1) };
    let mut lines = expressions(clock);
    lines.push(sum(clock)?);
    lines.push(cast(clock));
    lines.push(fields(clock)?);
    println!("{:<26}{:>9}{:>9}{:>10}{:>8}{:>8}", "ns a value", "decimal", "f64", "bare f64", "ratio", "bar");
    let mut missed = 0;
    for line in &lines {
        let ratio = line.decimal / line.float;
        let bar = line.bar.map_or_else(String::new, |bar| format!("{bar:>8.1}"));
        let is_missed = line.bar.is_some_and(|bar| ratio > bar);
        missed += u32::from(is_missed);
        let note = if is_missed { "  missed" } else { "" };
        println!("{:<26}{:>9.3}{:>9.3}{:>10.3}{ratio:>8.2}{bar}{note}", line.name, line.decimal, line.float, line.bare);
    }
    if args.gate && missed > 0 {
        bail!("{missed} of the bars are missed");
    }
    Ok(())
}

/// Times calls.
#[derive(Clone, Copy)]
struct Clock {
    rounds: u32,
}

impl Clock {
    /// Nanoseconds a value: the least of the rounds.
    fn time(self, values: usize, mut call: impl FnMut()) -> f64 {
        (0..self.rounds).map(|_| round(values, &mut call)).fold(f64::INFINITY, f64::min)
    }

    /// [`Clock::time`] of two calls in turns, so that whatever else the machine does meets both.
    fn both(self, values: usize, mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.rounds {
            best.0 = best.0.min(round(values, &mut one));
            best.1 = best.1.min(round(values, &mut other));
        }
        best
    }
}

/// Nanoseconds a value over some hundred thousand values.
fn round(values: usize, call: &mut impl FnMut()) -> f64 {
    let calls = (400_000 / values).max(1);
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / (calls * values) as f64
}

/// The operands: amounts of two decimals, and of four.
fn operands() -> (Vec<f64>, Vec<f64>, Batch) {
    let floats = |f: fn(usize) -> f64| (0..ROWS).map(f).collect::<Vec<f64>>();
    let a = floats(|i| (i * 7_919 % 100_003) as f64 / 100.0 + 1.0);
    let b = floats(|i| (i * 104_729 % 9_973) as f64 / 100.0 + 1.0);
    let at = |values: &[f64], scale: u8| {
        let units = 10f64.powi(i32::from(scale));
        Column::dec64(values.iter().map(|x| (x * units).round() as i64).collect(), scale, None)
    };
    let columns =
        vec![at(&a, 2), at(&b, 2), at(&b, 4), Column::floats(a.clone(), None), Column::floats(b.clone(), None)];
    let batch = Batch::new(columns, ROWS, RowMeta::plain(SourceId(0), 0, 0));
    (a, b, batch)
}

fn expressions(clock: Clock) -> Vec<Line> {
    use ArithmeticOp::*;
    let (a, b, batch) = operands();
    let money = DataType::Decimal { precision: 18, scale: 2 };
    let types = [&money, &money, &DataType::decimal(4), &DataType::Float, &DataType::Float];
    let col = |i: usize| expr(ExprKind::Column(i), types[i]);
    let cents = |mantissa| expr(ExprKind::Literal(Value::Decimal { mantissa, scale: 2 }), &money);
    let float = |x| expr(ExprKind::Literal(Value::Float(x)), &DataType::Float);
    let engine = |decimal: &Expr, float: &Expr| {
        let (mut one, mut other) = (Evaluator::new(decimal), Evaluator::new(float));
        let ctx = EvalContext::default();
        let batch = black_box(&batch);
        clock.both(ROWS, || keep(one.eval(batch, &ctx)), || keep(other.eval(batch, &ctx)))
    };
    let mut lines = Vec::new();
    let mut line = |name, decimal: Expr, other: Expr, bare: f64, bar: Option<f64>| {
        let (decimal, float) = engine(&decimal, &other);
        lines.push(Line { name, decimal, float, bare, bar });
    };
    let bare = |f: fn(f64, f64) -> f64| clock.time(ROWS, || keep(map(&a, &b, f)));
    let bare1 =
        |f: fn(f64) -> f64| clock.time(ROWS, || keep(black_box(&a).iter().map(|x| f(*x)).collect::<Vec<f64>>()));
    let less = |f: fn(f64, f64) -> bool| clock.time(ROWS, || keep(packed(&a, &b, f)));
    let none = f64::NAN;
    let sides = |op, l, r, scale| step(op, l, r, &DataType::decimal(scale));
    let floats = |op, l, r| step(op, l, r, &DataType::Float);
    line("add", sides(Add, col(0), col(1), 2), floats(Add, col(3), col(4)), bare(|x, y| x + y), Some(2.2));
    line(
        "add constant",
        sides(Add, col(0), cents(125), 2),
        floats(Add, col(3), float(1.25)),
        bare1(|x| x + 1.25),
        Some(2.2),
    );
    line("add, scales 2 and 4", sides(Add, col(0), col(2), 4), floats(Add, col(3), col(4)), none, None);
    line(
        "multiply",
        sides(Multiply, col(0), col(1), 4),
        floats(Multiply, col(3), col(4)),
        bare(|x, y| x * y),
        Some(2.2),
    );
    line(
        "multiply by constant",
        sides(Multiply, col(0), cents(125), 4),
        floats(Multiply, col(3), float(1.25)),
        bare1(|x| x * 1.25),
        Some(2.2),
    );
    line("divide", sides(Divide, col(0), col(1), 6), floats(Divide, col(3), col(4)), bare(|x, y| x / y), None);
    line("compare", compare(col(0), col(1)), compare(col(3), col(4)), less(|x, y| x < y), Some(1.2));
    line(
        "compare with constant",
        compare(col(0), cents(50_000)),
        compare(col(3), float(500.0)),
        less(|x, _| x < 500.0),
        Some(1.2),
    );
    line("compare, scales 2 and 4", compare(col(0), col(2)), compare(col(3), col(4)), none, None);
    lines
}

fn expr(kind: ExprKind, ty: &DataType) -> Expr {
    Expr { kind, data_type: ty.clone(), span: Span::default() }
}

fn step(op: ArithmeticOp, left: Expr, right: Expr, ty: &DataType) -> Expr {
    let rest = vec![ArithmeticStep { op, operand: right, data_type: ty.clone(), span: Span::default() }];
    expr(ExprKind::Arithmetic { first: Box::new(left), rest }, ty)
}

fn compare(left: Expr, right: Expr) -> Expr {
    expr(ExprKind::Compare { op: CompareOp::Less, left: Box::new(left), right: Box::new(right) }, &DataType::Boolean)
}

fn map(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let (a, b) = (black_box(a), black_box(b));
    a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
}

fn packed(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> bool) -> Vec<u64> {
    let (a, b) = (black_box(a), black_box(b));
    let word = |w: usize| (0..64).fold(0u64, |bits, i| bits | u64::from(f(a[w * 64 + i], b[w * 64 + i])) << i);
    (0..a.len() / 64).map(word).collect()
}

fn keep<T>(value: T) {
    black_box(value);
}

/// SUM of one group: what a row more costs, from the difference of two lengths.
fn sum(clock: Clock) -> Result<Line> {
    let cents: Vec<i64> = (0..MANY).map(|i| (i * 7_919 % 1_000_003) as i64).collect();
    let floats: Vec<f64> = cents.iter().map(|c| *c as f64 / 100.0).collect();
    let decimal = grouped(clock, &DataType::decimal(2), Column::dec64(cents, 2, None))?;
    let float = grouped(clock, &DataType::Float, Column::floats(floats.clone(), None))?;
    let bare = clock.time(MANY, || keep(black_box(&floats).iter().fold(0.0, |sum: f64, x| sum + x)));
    // The bar is the bare loop: the engine's own float sum would be a gift.
    println!("SUM of floats through the engine: {float:.3} ns a value; the line below has the bare ordered loop.");
    Ok(Line { name: "SUM", decimal, float: bare, bare, bar: Some(1.0) })
}

/// Nanoseconds a row of `SUM(column)` without keys.
fn grouped(clock: Clock, ty: &DataType, column: Column) -> Result<f64> {
    let spec = AggregateSpec {
        headers: None,
        ttl_ns: None,
        keys: Vec::new(),
        aggregates: vec![AggregateCall::plain(AggregateFn::Sum, vec![0], ty.clone(), Span::new(0, 0))],
        window: None,
        emit: Emit::Final,
        retract: false,
        input_changes: false,
        identity: Vec::new(),
        input: Arc::new(Schema::new(vec![Field::new("x", ty.clone())])),
    };
    let place = Place {
        node: NodeId(1),
        dlq: DlqId(0),
        shard: ShardId(0),
        shards: 1,
        name: "sum".into(),
        sources: Arc::new([]),
    };
    let mut operator = Aggregate::new(&spec, false, place);
    let (mut dead, mut counters, mut spare) = (Vec::new(), NodeCounters::default(), Vec::new());
    let mut cx = OpCx { now_ns: 0, batch_rows: MANY, dead: &mut dead, counters: &mut counters, spare: &mut spare };
    let batch = Batch::new(vec![column], MANY, RowMeta::plain(SourceId(0), 0, 0));
    let mut failed = None;
    let spent = clock.time(MANY, || {
        failed = operator.push(0, Msg::Batch(batch.clone()), &mut cx).err().or(failed.take());
    });
    operator.push(0, Msg::Watermark(WM_END), &mut cx)?;
    let mut rows = 0;
    while let Some(msg) = operator.pull(&mut cx)? {
        if let Msg::Batch(batch) = msg {
            rows += batch.rows;
        }
    }
    match failed {
        Some(e) => Err(e.into()),
        None if rows != 1 => bail!("a sum without groups gave {rows} rows"),
        None => Ok(spent),
    }
}

/// Prices of four decimals as text.
fn prices(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{}.{:04}", 50 + i * 31 % 450, i * 7_919 % 10_000)).collect()
}

/// `str::parse::<f64>` of every price.
fn parsed(clock: Clock, prices: &[String]) -> f64 {
    let parse = || black_box(prices).iter().map(|p| p.parse::<f64>().unwrap_or(f64::NAN)).collect::<Vec<f64>>();
    clock.time(prices.len(), || keep(parse()))
}

/// CAST(text AS DECIMAL(18,4)) of a column, beside the standard parser and CAST(text AS FLOAT).
fn cast(clock: Clock) -> Line {
    let prices = prices(ROWS);
    let batch = Batch::new(vec![Column::strs(prices.iter().map(Some))], ROWS, RowMeta::plain(SourceId(0), 0, 0));
    let to = |ty: &DataType| {
        let operand = Box::new(expr(ExprKind::Column(0), &DataType::String));
        let mut evaluator = Evaluator::new(&expr(ExprKind::Cast { operand, try_cast: false }, ty));
        let ctx = EvalContext::default();
        clock.time(ROWS, || keep(evaluator.eval(black_box(&batch), &ctx)))
    };
    let decimal = to(&DataType::Decimal { precision: 18, scale: 4 });
    println!("CAST of text to FLOAT: {:.3} ns a value; the line below has the standard parser.", to(&DataType::Float));
    let bare = parsed(clock, &prices);
    Line { name: "text to number, CAST", decimal, float: bare, bare, bar: Some(1.0) }
}

/// Fields of a CSV file to decimals, finding the fields and checking UTF-8 included, beside the standard parser over
/// fields that were found before.
fn fields(clock: Clock) -> Result<Line> {
    const WIDTH: usize = 8;
    let prices = prices(MANY);
    let names: Vec<String> = (0..WIDTH).map(|i| format!("p{i}")).collect();
    let csv = prices.chunks(WIDTH).fold(names.join(",") + "\n", |mut csv, row| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(csv, "{}", row.join(","));
        csv
    });
    let slab = Buffer::from_vec(csv.into_bytes());
    let column = |data_type: DataType| {
        let read = |name: &String| ScanColumn {
            name: name.clone(),
            data_type: data_type.clone(),
            inferred: false,
            repr: Repr::Value,
            not_null: false,
        };
        SourcePlan {
            schema: Arc::new(Schema::new(names.iter().map(|n| Field::new(n, data_type.clone())).collect())),
            read: names.iter().map(read).collect(),
            ..decode::trades(Format::Csv, Path::new("prices.csv"))
        }
    };
    let decoded = |source: &SourcePlan| -> Result<f64> {
        let mut short = 0;
        let spent = clock.time(MANY, || short += usize::from(decode_once(source, &slab) != MANY / WIDTH));
        if short > 0 { bail!("{short} decodings lost rows") } else { Ok(spent) }
    };
    let decimal = decoded(&column(DataType::Decimal { precision: 18, scale: 4 }))?;
    let float = decoded(&column(DataType::Float))?;
    let bare = parsed(clock, &prices);
    println!("Fields of CSV to FLOAT: {float:.3} ns a value; the line below has the standard parser.");
    Ok(Line { name: "text to number, CSV", decimal, float: bare, bare, bar: Some(1.0) })
}

/// Rows of one slab.
fn decode_once(source: &SourcePlan, slab: &Buffer) -> usize {
    let mut decoder = Decoder::new(source);
    let kind = SlabKind::Stream { at_end: true, position: 0 };
    let mut cursor = SlabCursor::new(Slab { bytes: slab.clone(), kind });
    let mut rows = 0;
    loop {
        let decoded = decoder.decode(&mut cursor, MANY);
        rows += decoded.rows;
        keep(&decoded.columns);
        match decoded.state {
            SlabState::More => {}
            SlabState::Ended | SlabState::NeedSlab { .. } => return rows,
        }
    }
}
