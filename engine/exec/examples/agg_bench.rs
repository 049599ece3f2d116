//! Nanoseconds per row of a grouping on one core, the numbers `goals.md` judges: COUNT, SUM and AVG over decimals.
//!
//! `cargo run --release -p velostream-exec --example agg_bench [rows]`. Batches are made before the clock starts and
//! hold 8,192 rows; each workload runs three times, the best counts. Reads the clock: it is no part of the engine.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Instant;

use velostream_exec::op::aggregate::{Aggregate, Place};
use velostream_exec::operator::{Msg, NodeCounters, OpCx, Operator};
use velostream_sql::plan::{AggregateCall, AggregateFn, AggregateSpec, Emit, LateStrategy, WindowKind, WindowSpec};
use velostream_types::time::{NS_PER_MS, NS_PER_SEC, WM_END};
use velostream_types::{Batch, Column, DataType, DlqId, Field, NodeId, RowMeta, Schema, ShardId, SourceId, Span};

const BATCH: usize = 8192;

/// SplitMix64: repeatable numbers without a dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn spec(key: DataType, windowed: bool) -> AggregateSpec {
    let call = |function, argument: Option<usize>, result| {
        AggregateCall::plain(function, argument.into_iter().collect(), result, Span::new(0, 0))
    };
    AggregateSpec {
        headers: None,
        ttl_ns: None,
        keys: vec![0],
        aggregates: vec![
            call(AggregateFn::CountStar, None, DataType::Integer),
            call(AggregateFn::Sum, Some(1), DataType::decimal(2)),
            call(AggregateFn::Avg, Some(1), DataType::decimal(6)),
        ],
        window: windowed.then_some(WindowSpec {
            kind: WindowKind::Tumbling { size_ns: NS_PER_SEC },
            zone: None,
            lateness_ns: 0,
            late: LateStrategy::Drop,
        }),
        emit: Emit::Final,
        retract: false,
        input_changes: false,
        identity: Vec::new(),
        input: Arc::new(Schema::new(vec![Field::new("k", key), Field::new("price", DataType::decimal(2))])),
    }
}

/// Batches of `rows` rows whose keys are made per batch; ten rows a millisecond.
fn batches(rows: usize, mut keys: impl FnMut(&mut Random, usize) -> Column) -> Vec<Batch> {
    let mut random = Random(7);
    (0..rows.div_ceil(BATCH))
        .map(|b| {
            let first = b * BATCH;
            let n = BATCH.min(rows - first);
            let prices = (0..n).map(|_| (random.next() % 1_000_000) as i64).collect();
            let mut meta = RowMeta::plain(SourceId(0), 0, first as i64);
            let times: Vec<i64> = (first..first + n).map(|i| i as i64 / 10 * NS_PER_MS).collect();
            meta.wm_own = Some(times.iter().map(|t| t - NS_PER_MS).collect::<Vec<_>>().into());
            meta.event_time = Some(times.into());
            Batch::new(vec![keys(&mut random, n), Column::dec64(prices, 2, None)], n, meta)
        })
        .collect()
}

fn run(name: &str, spec: &AggregateSpec, batches: &[Batch], target: f64) {
    let rows: usize = batches.iter().map(|b| b.rows).sum();
    let (mut best, mut groups, mut bytes, mut out_rows) = (f64::MAX, 0, 0, 0);
    for _ in 0..3 {
        let place = Place {
            node: NodeId(1),
            dlq: DlqId(0),
            shard: ShardId(0),
            shards: 1,
            name: "bench".into(),
            sources: Arc::new([]),
        };
        let mut op = Aggregate::new(spec, false, place);
        let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
        let mut cx =
            OpCx { now_ns: 0, batch_rows: BATCH, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
        out_rows = 0;
        let clock = Instant::now();
        for batch in batches {
            let watermark = batch.meta.event_time.as_ref().and_then(|t| t.last().copied()).unwrap_or(0);
            out_rows += drive(&mut op, Msg::Batch(batch.clone()), &mut cx);
            if spec.window.is_some() {
                out_rows += drive(&mut op, Msg::Watermark(watermark), &mut cx);
            }
        }
        let spent = clock.elapsed().as_secs_f64();
        (groups, bytes) = (cx.counters.groups, cx.counters.state_bytes);
        out_rows += drive(&mut op, Msg::Watermark(WM_END), &mut cx);
        best = best.min(spent);
    }
    let per_row = best * 1e9 / rows as f64;
    println!(
        "{name:<28} {per_row:>7.1} ns/row {:>7.1} M rows/s (target {target:>4.0})  {groups} groups, {} B/group, {out_rows} out",
        1e3 / per_row,
        bytes.checked_div(groups).unwrap_or(0),
    );
}

fn drive(op: &mut Aggregate, msg: Msg, cx: &mut OpCx<'_>) -> usize {
    let mut rows = 0;
    if op.push(0, msg, cx).is_err() {
        return 0;
    }
    while let Ok(Some(msg)) = op.pull(cx) {
        if let Msg::Batch(batch) = msg {
            rows += batch.rows;
        }
    }
    rows
}

fn main() {
    let rows: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(20_000_000);
    let names: Vec<String> = (0..1000).map(|i| format!("SYMBOL{i:04}")).collect();
    // Zipf with exponent 1 through its cumulative weights.
    let weights: Vec<f64> = (1..=1000)
        .scan(0.0, |sum, i| {
            *sum += 1.0 / f64::from(i);
            Some(*sum)
        })
        .collect();
    let zipf = |random: &mut Random, n: usize| {
        let top = weights[weights.len() - 1];
        let pick = |random: &mut Random| {
            let x = (random.next() >> 11) as f64 / (1u64 << 53) as f64 * top;
            weights.partition_point(|w| *w < x).min(999)
        };
        Column::strs((0..n).map(|_| Some(names[pick(random)].as_str())))
    };
    let uniform = |keys: u64| {
        move |random: &mut Random, n: usize| Column::ints((0..n).map(|_| (random.next() % keys) as i64).collect(), None)
    };
    run("1 k Zipf strings", &spec(DataType::String, false), &batches(rows / 4, zipf), 40.0);
    run("1 k Zipf strings, 1 s windows", &spec(DataType::String, true), &batches(rows / 4, zipf), 40.0);
    run("1 k uniform ints", &spec(DataType::Integer, false), &batches(rows / 4, uniform(1000)), 40.0);
    run("1 M uniform ints", &spec(DataType::Integer, false), &batches(rows, uniform(1_000_000)), 15.0);
    run("10 M uniform ints", &spec(DataType::Integer, false), &batches(rows * 2, uniform(10_000_000)), 8.0);
}
