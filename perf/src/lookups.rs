//! What a look-up costs by itself: the operator of a join, fed with batches that are in memory already.
//!
//! Part of `perf table`. Batches hold as many rows as the engine's own by default, nine of ten with a match; each table is
//! asked three times, the best counts. The rest of a pipeline (reading, decoding, exchanges, aggregates) is not in it.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use velostream_exec::expr::EvalContext;
use velostream_exec::op::aggregate::Place;
use velostream_exec::op::join;
use velostream_exec::operator::{Msg, NodeCounters, OpCx, Operator};
use velostream_sql::plan::{Apart, Fallback, JoinColumn, JoinKind, JoinMode, JoinSpec, Placement, Side};
use velostream_types::{Batch, Column, DataType, DlqId, Field, NodeId, RowMeta, Schema, SchemaRef, ShardId, SourceId};

use crate::data::Rng;

/// Rows of a batch: the engine's default.
const BATCH: usize = 1_024;

/// Keys that are texts or integers, of a declared table, whose rows replace each other in the join, or of one that tells
/// which rows it takes back.
const KINDS: [(&str, (bool, bool)); 4] = [
    ("integers", (false, true)),
    ("integers, query's table", (false, false)),
    ("texts", (true, true)),
    ("texts, query's table", (true, false)),
];

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
fn turn(operator: &mut dyn Operator, port: usize, batch: &Batch, counters: &mut NodeCounters) -> Result<usize> {
    let (mut dead, mut spare) = (Vec::new(), Vec::new());
    let mut cx = OpCx { now_ns: 0, batch_rows: BATCH, dead: &mut dead, counters, spare: &mut spare };
    operator.push(port, Msg::Batch(batch.clone()), &mut cx).map_err(|fatal| anyhow!("{fatal}"))?;
    let mut rows = 0;
    while let Some(msg) = operator.pull(&mut cx).map_err(|fatal| anyhow!("{fatal}"))? {
        if let Msg::Batch(batch) = msg {
            rows += batch.rows;
        }
    }
    Ok(rows)
}

/// Rows of the stream that ask.
const ASKED: usize = 8_000_000;

/// Figures of one table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lookups {
    /// Look-ups a second of one core.
    pub per_s: f64,
    /// Rows loaded a second of one core.
    pub loaded_per_s: f64,
    /// Bytes of state a row, its own left out.
    pub bytes_beyond_row: f64,
}

/// Looks up rows in tables of this size, by kind of table.
pub fn measure(rows: usize) -> Result<Vec<(&'static str, Lookups)>> {
    KINDS.iter().map(|(name, kind)| Ok((*name, one(rows, ASKED, *kind)?))).collect()
}

fn one(rows: usize, asked: usize, (text, replaces): (bool, bool)) -> Result<Lookups> {
    let data_type = if text { DataType::String } else { DataType::Integer };
    let schema = |value: &str| -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("k", data_type.clone()), Field::new(value, DataType::Integer)]))
    };
    let mut random = Rng::new(7, 9);
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
    let stream = batches(asked, &mut |_| random.below(rows as u64 * 10 / 9));
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
        turn(operator.as_mut(), 1, batch, &mut counters)?;
    }
    let loaded = start.elapsed().as_secs_f64();
    let own = rows * (8 + if text { 17 } else { 8 });
    let (mut best, mut matched) = (f64::MAX, 0);
    for _ in 0..3 {
        let start = Instant::now();
        matched = stream.iter().map(|batch| turn(operator.as_mut(), 0, batch, &mut counters)).sum::<Result<usize>>()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    if matched == 0 {
        bail!("nine of ten keys are there, and none was found");
    }
    Ok(Lookups {
        per_s: asked as f64 / best,
        loaded_per_s: rows as f64 / loaded,
        bytes_beyond_row: (counters.state_bytes as f64 - own as f64) / rows as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_table_is_looked_up() {
        for (name, kind) in KINDS {
            let found = one(5_000, 20_000, kind).expect("it runs");
            assert!(found.per_s > 0.0 && found.loaded_per_s > 0.0, "{name}: {found:?}");
            assert!(found.bytes_beyond_row < 100.0, "{name}: {found:?}");
        }
    }
}
