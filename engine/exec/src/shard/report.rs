//! Why has this window not fired? What one shard knows of it: where its partitions stand and what its windows hold.
//!
//! Made when the inbox asks, from what is there anyway; the runtime puts the shards together. Late rows are counted by
//! the partition of the message an operator works on when it finds them, so operators need not know who asks.
//! Times are event-time nanoseconds, `quiet_ns` is time of day.

use std::collections::BTreeMap;

use velostream_sql::plan::{AppPlan, NodeKind};
use velostream_types::{Batch, NodeId, PartitionId, SourceId};

use crate::op::aggregate::open::stretches;
use crate::operator::{Msg, NodeCounters, OpenWindows};
use crate::pipeline::{Stage, StageKind};

/// Where a partition stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionStanding {
    /// Source.
    pub source: SourceId,
    /// Partition.
    pub partition: PartitionId,
    /// Its watermark; `WM_NONE` before its first event time.
    pub watermark: i64,
    /// Good rows so far.
    pub rows: u64,
    /// It does not hold the watermark back, because nothing comes.
    pub idle: bool,
    /// Time of day since its last row in this run, ns; `None` before that.
    pub quiet_ns: Option<i64>,
    /// Finished.
    pub ended: bool,
}

/// What an operator with windows holds on this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStanding {
    /// The operator.
    pub node: NodeId,
    /// What is open.
    pub open: OpenWindows,
    /// Groups it holds.
    pub groups: u64,
    /// Bytes of its state.
    pub state_bytes: u64,
}

/// Rows that came after their window had closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateRows {
    /// The operator that found them.
    pub node: NodeId,
    /// Their source; beyond those of the plan: partial groups and rows of another operator, which stand for several.
    pub source: SourceId,
    /// Their partition.
    pub partition: PartitionId,
    /// How many.
    pub rows: u64,
}

/// What one shard knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its partitions.
    pub partitions: Vec<PartitionStanding>,
    /// Its operators with windows, in order of the plan.
    pub windows: Vec<WindowStanding>,
    /// Its late rows.
    pub late: Vec<LateRows>,
}

/// Something worth a warning, once per source and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The source it is about.
    pub source: SourceId,
    /// What it is about.
    pub about: About,
    /// What to say.
    pub text: String,
}

/// Kinds of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// An event time is missing or bad.
    MissingTime,
    /// Event times look like another unit than the one they are read in.
    Unit,
    /// A header `watermark` is no time.
    Watermark,
}

/// Counts late rows by the partition they came from.
#[derive(Debug, Default)]
pub(super) struct LateCounts {
    rows: BTreeMap<(NodeId, SourceId, u32), u64>,
}

impl LateCounts {
    /// The place of a message's rows.
    pub(super) fn place_of(msg: &Msg) -> Option<(SourceId, u32)> {
        match msg {
            Msg::Batch(Batch { meta, .. }) => Some((meta.source, meta.partition)),
            _ => None,
        }
    }

    /// The operator found this many more while it worked on rows of a place.
    pub(super) fn add(&mut self, node: NodeId, place: Option<(SourceId, u32)>, rows: u64) {
        if let (Some((source, partition)), true) = (place, rows > 0) {
            *self.rows.entry((node, source, partition)).or_default() += rows;
        }
    }

    pub(super) fn all(&self) -> Vec<LateRows> {
        let one = |(&(node, source, partition), &rows): (&(NodeId, SourceId, u32), &u64)| LateRows {
            node,
            source,
            partition: PartitionId(partition),
            rows,
        };
        self.rows.iter().map(one).collect()
    }
}

/// Stage of the Combine that feeds each stage, where one does: it counts the rows whose partial groups come.
pub(super) fn combines(plan: &AppPlan, stages: &[Stage]) -> Vec<Option<usize>> {
    let operator_of = |node: NodeId| {
        stages.iter().position(|stage| stage.node == node && matches!(stage.kind, StageKind::Operator(_)))
    };
    let mut out = vec![None; stages.len()];
    for node in plan.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Aggregate(_))) {
        let mut below = node.inputs.first();
        while let Some(input) = below.map(|input| &plan.nodes[input.index()]) {
            match input.kind {
                NodeKind::Exchange { .. } => below = input.inputs.first(),
                NodeKind::Combine(_) => {
                    if let (Some(aggregate), Some(combine)) = (operator_of(node.id), operator_of(input.id)) {
                        out[aggregate] = Some(combine);
                    }
                    break;
                }
                _ => break,
            }
        }
    }
    out
}

/// What the operators with windows hold.
pub(super) fn windows(stages: &[Stage], combines: &[Option<usize>], counters: &[NodeCounters]) -> Vec<WindowStanding> {
    let open = |at: usize| match &stages[at].kind {
        StageKind::Operator(operator) => operator.open_windows(),
        _ => None,
    };
    let mut out = Vec::new();
    for (at, stage) in stages.iter().enumerate().filter(|(at, _)| !combines.contains(&Some(*at))) {
        let Some(mut windows) = open(at) else { continue };
        if let Some(before) = combines[at].and_then(open) {
            // What the Combine has not handed on is held, too.
            windows.by_partition = before.by_partition;
            windows.rows += before.rows;
            windows.next = windows.next.into_iter().chain(before.next).min();
            windows.grid = stretches(windows.grid.iter().chain(&before.grid).copied(), windows.slide_ns);
        } else {
            // Rows of other operators belong to no partition that could hold anything back.
            windows.by_partition.retain(|(source, ..)| source.0 < 0x8000);
        }
        let NodeCounters { groups, state_bytes, .. } = counters[stage.node.index()];
        out.push(WindowStanding { node: stage.node, open: windows, groups, state_bytes });
    }
    out
}
