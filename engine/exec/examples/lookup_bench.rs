//! Look-ups per second on one core and bytes per row of a looked-up table, the numbers `goals.md` judges.
//!
//! `cargo run --release -p velostream-exec --example lookup_bench [look-ups [table]]`; a table is named by a part of what
//! is printed. Batches are made before the clock starts and hold 8,192 rows, nine of ten with a match; each table is asked
//! three times, the best counts. Reads the clock: it is no part of the engine.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Instant;

use velostream_exec::expr::EvalContext;
use velostream_exec::op::aggregate::Place;
use velostream_exec::op::join;
use velostream_exec::operator::{Msg, NodeCounters, OpCx, Operator};
use velostream_sql::plan::{Apart, Fallback, JoinColumn, JoinKind, JoinMode, JoinSpec, Placement, Side};
use velostream_types::{Batch, Column, DataType, DlqId, Field, NodeId, RowMeta, Schema, SchemaRef, ShardId, SourceId};

const BATCH: usize = 8192;

/// Keys that are texts or integers, of a declared table, whose rows replace each other in the join, or of one that tells
/// which rows it takes back.
const KINDS: [(&str, (bool, bool)); 4] = [
    ("integers", (false, true)),
    ("integers, query's table", (false, false)),
    ("texts", (true, true)),
    ("texts, query's table", (true, false)),
];

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

fn key(text: bool, numbers: impl Iterator<Item = u64>) -> Column {
    match text {
        true => Column::strs(numbers.map(|n| Some(format!("customer-{n:08}")))),
        false => Column::ints(numbers.map(u64::cast_signed).collect(), None),
    }
}

fn spec(replaces: bool) -> JoinSpec {
    JoinSpec {
        kind: JoinKind::Inner,
        mode: JoinMode::Lookup { table: Side::Right, version: None, fallback: Fallback::FailFast },
        left_keys: vec![0],
        right_keys: vec![0],
        residual: None,
        output: vec![JoinColumn::Of(Side::Left, 1), JoinColumn::Of(Side::Right, 1)],
        defaults: Vec::new(),
        identity: None,
        placement: Placement::ByKey(Apart::Unknown),
        replaces,
    }
}

/// Pushes a batch through and answers how many rows left.
fn turn(operator: &mut dyn Operator, port: usize, batch: &Batch, counters: &mut NodeCounters) -> usize {
    let (mut dead, mut spare) = (Vec::new(), Vec::new());
    let mut cx = OpCx { now_ns: 0, batch_rows: BATCH, dead: &mut dead, counters, spare: &mut spare };
    operator.push(port, Msg::Batch(batch.clone()), &mut cx).expect("taken");
    let mut rows = 0;
    while let Some(msg) = operator.pull(&mut cx).expect("given") {
        if let Msg::Batch(batch) = msg {
            rows += batch.rows;
        }
    }
    rows
}

fn run(name: &str, rows: usize, asked: usize, (text, replaces): (bool, bool)) {
    let data_type = if text { DataType::String } else { DataType::Integer };
    let schema = |value: &str| -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("k", data_type.clone()), Field::new(value, DataType::Integer)]))
    };
    let mut random = Random(7);
    let values = |first: usize, n: usize| Column::ints((first..first + n).map(|i| i as i64).collect(), None);
    let batches = |total: usize, next: &mut dyn FnMut(usize) -> u64| -> Vec<Batch> {
        let cut = (0..total).step_by(BATCH).map(|first| (first, BATCH.min(total - first)));
        cut.map(|(first, n)| {
            let columns = vec![key(text, (first..first + n).map(&mut *next)), values(first, n)];
            Batch::new(columns, n, RowMeta::plain(SourceId(0), 0, first as i64))
        })
        .collect()
    };
    let table = batches(rows, &mut |row| row as u64 * 10 / 9);
    let stream = batches(asked, &mut |_| random.next() % (rows as u64 * 10 / 9));
    let place = Place {
        node: NodeId(1),
        dlq: DlqId(0),
        shard: ShardId(0),
        shards: 1,
        name: Arc::from("bench"),
        sources: Arc::from([]),
    };
    let (left, right) = (schema("n"), schema("v"));
    let mut operator = join::operator(&spec(replaces), [&left, &right], place, EvalContext::default());
    let mut counters = NodeCounters::default();
    let start = Instant::now();
    for batch in &table {
        turn(operator.as_mut(), 1, batch, &mut counters);
    }
    let loaded = start.elapsed().as_secs_f64();
    let own = rows * (8 + if text { 17 } else { 8 });
    let (mut best, mut matched) = (f64::MAX, 0);
    for _ in 0..3 {
        let start = Instant::now();
        matched = stream.iter().map(|batch| turn(operator.as_mut(), 0, batch, &mut counters)).sum();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{name:<30} {:>6.1} M look-ups/s  {:>5.1} M rows/s loaded  {:>5.1} bytes/row beside its own  {matched} matched",
        asked as f64 / best / 1e6,
        rows as f64 / loaded / 1e6,
        (counters.state_bytes as f64 - own as f64) / rows as f64,
    );
}

fn main() {
    let asked: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(8_000_000);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    for (rows, name) in [(10_000, "10 k"), (1_000_000, "1 M")] {
        for (keys, kind) in KINDS {
            let name = format!("{name} {keys}");
            if name.contains(&wanted) {
                run(&name, rows, asked, kind);
            }
        }
    }
}
