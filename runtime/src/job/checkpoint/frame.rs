//! A checkpoint as bytes: what describes it as JSON in the first section, then the tables of each operator on each shard.
//!
//! Sections are `meta` and `state/SHARD/NODE`; see `velostream_state::sections` for the frame and its checksums and
//! `velostream_state::codec` for tables. Shards are those of the run that wrote it; who restores may have others.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use velostream_exec::shard::{PartitionProgress, ShardSnapshot};
use velostream_state::codec;
use velostream_state::sections::{SectionWriter, read};
use velostream_state::snapshot::{SnapshotReader, SnapshotWriter};
use velostream_types::{NodeId, PartitionId, SourceId};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// There is more to do.
    Running,
    /// All output is written; files still have to get their names.
    Written,
    /// Nothing is left to do.
    Complete,
}

/// Where one partition stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub source: u16,
    pub partition: u32,
    /// Next record.
    pub record: i64,
    /// Byte of its stream.
    pub byte: u64,
    /// Highest event time, ns; `i64::MIN` without.
    pub event_time: i64,
    pub rows: u64,
    pub ended: bool,
    /// Checksum of the last bytes before `byte`, of a partition that is one plain file.
    pub tail: Option<u64>,
}

impl Position {
    pub(super) fn of(p: &PartitionProgress) -> Position {
        Position {
            source: p.source.0,
            partition: p.partition.0,
            record: p.next_offset,
            byte: p.position,
            event_time: p.max_event_time,
            rows: p.rows,
            ended: p.ended,
            tail: None,
        }
    }

    fn progress(&self) -> PartitionProgress {
        PartitionProgress {
            source: SourceId(self.source),
            partition: PartitionId(self.partition),
            next_offset: self.record,
            position: self.byte,
            max_event_time: self.event_time,
            rows: self.rows,
            ended: self.ended,
        }
    }
}

/// How much of an output file counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    /// The file's final path.
    pub path: String,
    /// It is written as `<path>.partial` until the run is complete.
    pub partial: bool,
    pub bytes: u64,
}

/// What describes a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub number: u64,
    pub phase: Phase,
    pub app: String,
    /// The app's SQL.
    pub text: String,
    /// Its plan as EXPLAIN VERBOSE shows it.
    pub plan: String,
    /// Checksum of all of the plan.
    pub fingerprint: String,
    pub follow: bool,
    /// Time of the first start, ms.
    pub run_start_ms: i64,
    pub shards: u16,
    /// Inferred types.
    pub types: Vec<(String, Value)>,
    /// By source and partition: its files.
    pub inputs: Vec<Vec<Vec<String>>>,
    pub positions: Vec<Position>,
    /// By shard: operators that ended.
    pub ended: Vec<Vec<u16>>,
    pub sinks: Vec<Output>,
    pub dead: Vec<Output>,
}

/// A checkpoint.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub meta: Meta,
    /// State by shard of the run that wrote it.
    pub parts: Vec<ShardSnapshot>,
}

/// The bytes of a checkpoint.
pub(super) fn encode(meta: &Meta, parts: &[ShardSnapshot]) -> Result<Vec<u8>, String> {
    let mut out = SectionWriter::default();
    let text = serde_json::to_vec(meta).map_err(|error| error.to_string())?;
    out.add("meta", &text);
    for (shard, part) in parts.iter().enumerate() {
        for (node, tables) in &part.nodes {
            out.add(&format!("state/{shard}/{node}"), &codec::encode(tables));
        }
    }
    Ok(out.finish())
}

/// The checkpoint in these bytes; what is wrong with them otherwise.
pub(super) fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let sections = read(bytes).map_err(|error| error.to_string())?;
    let Some((("meta", text), states)) = sections.split_first() else {
        return Err("it has no section \"meta\"".to_owned());
    };
    let meta: Meta = serde_json::from_slice(text).map_err(|error| format!("its description: {error}"))?;
    let part = |ended: &Vec<u16>| ShardSnapshot {
        ended: ended.iter().map(|node| NodeId(*node)).collect(),
        ..ShardSnapshot::default()
    };
    let mut parts: Vec<ShardSnapshot> = meta.ended.iter().map(part).collect();
    for (name, body) in states {
        let place = name.strip_prefix("state/").and_then(|place| place.split_once('/'));
        let place = place.and_then(|(shard, node)| Some((shard.parse::<usize>().ok()?, node.parse::<u16>().ok()?)));
        let part = place.and_then(|(shard, node)| Some((parts.get_mut(shard)?, NodeId(node))));
        let Some((part, node)) = part else { return Err(format!("its section \"{name}\" belongs to nothing")) };
        let SnapshotReader { tables } = codec::decode(body).map_err(|error| format!("{name}: {error}"))?;
        part.nodes.push((node, SnapshotWriter { tables }));
    }
    if let Some(first) = parts.first_mut() {
        first.positions = meta.positions.iter().map(Position::progress).collect();
    }
    Ok(Checkpoint { meta, parts })
}
