//! A checkpoint as bytes: what describes it as JSON in the first section, then the tables of each operator on each shard.
//!
//! Sections are `meta` and `state/SHARD/NODE`; see `velostream_state::sections` for the frame and its checksums and
//! `velostream_state::codec` for tables. Shards are those of the run that wrote it; who restores may have others.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use velostream_exec::commit::SafePoint;
use velostream_exec::shard::{PartitionProgress, ShardSnapshot};
use velostream_state::codec;
use velostream_state::sections::{SectionWriter, read};
use velostream_state::snapshot::{SnapshotReader, SnapshotWriter};
use velostream_types::time::WM_NONE;
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

    /// Of a partition of a topic before its first row.
    pub(super) fn first(at: &SafePoint) -> Position {
        Position {
            source: at.source.0,
            partition: at.partition.0,
            record: at.offset,
            byte: 0,
            event_time: at.max_event_time,
            // A partition that gave rows to an earlier run is not idle at once.
            rows: u64::from(at.max_event_time != WM_NONE),
            ended: false,
            tail: None,
        }
    }

    pub(super) fn is_of(&self, source: SourceId, partition: PartitionId) -> bool {
        (self.source, self.partition) == (source.0, partition.0)
    }

    pub(super) fn safe_point(&self) -> SafePoint {
        SafePoint {
            source: SourceId(self.source),
            partition: PartitionId(self.partition),
            offset: self.record,
            max_event_time: self.event_time,
        }
    }

    pub(super) fn progress(&self) -> PartitionProgress {
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

/// What is known of one partition of a topic, beside where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Log {
    pub source: u16,
    pub partition: u32,
    /// A run that reads to the ends of its topics ends before this offset.
    pub until: Option<i64>,
    /// The first record that was seen there: a topic of that name without it is another one.
    pub first: Option<First>,
}

/// The first record of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct First {
    pub offset: i64,
    /// Checksum of its time, key and value.
    pub checksum: u64,
}

/// How much of an output file counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    /// The file's final path; empty for topics, of which nothing can be taken back.
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
    /// It reads to the ends that its topics had at its first start.
    #[serde(default)]
    pub until_end: bool,
    /// The folder's own number, which group commits name.
    #[serde(default)]
    pub identity: String,
    /// Time of the first start, ms.
    pub run_start_ms: i64,
    pub shards: u16,
    /// Inferred types.
    pub types: Vec<(String, Value)>,
    /// By source and partition: its files.
    pub inputs: Vec<Vec<Vec<String>>>,
    pub positions: Vec<Position>,
    /// Of the partitions of topics.
    #[serde(default)]
    pub logs: Vec<Log>,
    /// Where operators with windows stood before the first row, by what a run without state committed, ns.
    #[serde(default)]
    pub frontiers: Vec<(u16, i64)>,
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
