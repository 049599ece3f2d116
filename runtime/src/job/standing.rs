//! Why has this window not fired? What the shards tell of partitions and windows, put together.
//!
//! Operators work on the keys of their shard, so their open windows and rows add up, while all of them wait for one and the
//! same watermark: that of the partitions that feed them, less what operators in between hold back. Pure functions.
//! Times are milliseconds where they are shown, event-time nanoseconds else.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use velostream_exec::operator::{NextWindow, OpenWindows};
use velostream_exec::shard::{PartitionStanding, Standing, WindowStanding};
use velostream_sql::explain;
use velostream_sql::plan::{AppPlan, NodeKind};
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE, ns_to_ms};
use velostream_types::{NodeId, PartitionId, SourceId};

use super::report::{LateReport, StatementReport};

/// What an operator with windows holds and waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowReport {
    /// Its statement.
    pub statement: String,
    /// The operator, as EXPLAIN names it.
    pub operator: String,
    /// Its watermark, ms; absent before the first and after the end.
    pub watermark_ms: Option<i64>,
    /// Open windows; those of sessions are counted by key.
    pub open_windows: u64,
    /// Rows that count in them.
    pub rows_held: u64,
    /// Groups in them.
    pub groups: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// The next window to fire.
    pub next: Option<NextReport>,
    /// The partitions that feed it.
    pub partitions: Vec<FeedReport>,
}

/// The next window to fire, and what for it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextReport {
    /// Its start, ms.
    pub start_ms: i64,
    /// Its end, ms.
    pub end_ms: i64,
    /// The watermark that fires it, ms.
    pub fires_at_ms: i64,
    /// The partition that holds it back; absent when all are idle or ended.
    pub waits_for: Option<WaitReport>,
}

/// A partition that holds a window back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitReport {
    /// Its source.
    pub source: String,
    /// Its number.
    pub partition: u32,
    /// What its watermark lacks, ms; absent when it has none yet.
    pub behind_ms: Option<i64>,
}

/// Whether a partition holds the watermark back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    /// It does.
    Active,
    /// It does not, because nothing came for its time-out.
    Idle,
    /// It does not, because it was read to its end.
    Ended,
}

/// A partition that feeds an operator with windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Its source.
    pub source: String,
    /// Its number.
    pub partition: u32,
    /// Its watermark as the operator gets it, ms; absent before its first event time.
    pub watermark_ms: Option<i64>,
    /// Whether it holds the watermark back.
    pub state: FeedState,
    /// Since its last row, ms; absent before its first in this run.
    pub quiet_ms: Option<i64>,
    /// Its rows in open windows, as far as this run read them; absent where the operator reads what others made.
    pub rows_held: Option<u64>,
    /// What its watermark lacks to fire the next window, ms; absent without one, or without a watermark.
    pub behind_ms: Option<i64>,
}

/// All operators with windows, in order of the plan.
pub(super) fn windows(plan: &AppPlan, shards: &[Standing]) -> Vec<WindowReport> {
    let mut open: BTreeMap<NodeId, Vec<&WindowStanding>> = BTreeMap::new();
    for standing in shards.iter().flat_map(|shard| &shard.windows) {
        open.entry(standing.node).or_default().push(standing);
    }
    let mut partitions: Vec<&PartitionStanding> = shards.iter().flat_map(|shard| &shard.partitions).collect();
    partitions.sort_by_key(|p| (p.source, p.partition));
    open.iter().map(|(node, open)| report(plan, *node, open, &partitions)).collect()
}

fn report(
    plan: &AppPlan,
    node: NodeId,
    standings: &[&WindowStanding],
    partitions: &[&PartitionStanding],
) -> WindowReport {
    let open: Vec<&OpenWindows> = standings.iter().map(|standing| &standing.open).collect();
    let at = &plan.nodes[node.index()];
    let (delays, direct) = feeds(plan, node);
    // Shards are told the same watermark one after the other; the first to hear of it shows where it stands.
    let watermark = open.iter().map(|o| o.watermark).max().unwrap_or(WM_NONE);
    let next = open.iter().filter_map(|o| o.next).min();
    let mut held: BTreeMap<(SourceId, u32), u64> = BTreeMap::new();
    for (source, partition, rows) in open.iter().flat_map(|o| &o.by_partition) {
        *held.entry((*source, *partition)).or_default() += rows;
    }
    let feeding = partitions.iter().filter_map(|p| Some((*p, *delays.get(&p.source)?)));
    let feeding: Vec<(&PartitionStanding, i64)> = feeding.collect();
    let feed = |(p, delay): &(&PartitionStanding, i64)| {
        let own = lowered(p.watermark, *delay);
        FeedReport {
            source: plan.sources[p.source.index()].name.to_string(),
            partition: p.partition.0,
            watermark_ms: own.map(ns_to_ms),
            state: state(p),
            quiet_ms: p.quiet_ns.map(|ns| ns / NS_PER_MS),
            rows_held: direct.then(|| held.get(&(p.source, p.partition.0)).copied().unwrap_or(0)),
            behind_ms: next.zip(own).map(|(next, own)| behind_ms(next, own)),
        }
    };
    WindowReport {
        statement: plan.statements.get(at.statement).map_or_else(String::new, |s| s.name.clone()),
        operator: explain::operator(at),
        watermark_ms: Some(watermark).filter(|wm| *wm != WM_NONE && *wm != WM_END).map(ns_to_ms),
        open_windows: open_windows(&open),
        rows_held: open.iter().map(|o| o.rows).sum(),
        groups: standings.iter().map(|standing| standing.groups).sum(),
        state_bytes: standings.iter().map(|standing| standing.state_bytes).sum(),
        next: next.map(|next| NextReport {
            start_ms: ns_to_ms(next.start),
            end_ms: ns_to_ms(next.end),
            fires_at_ms: ns_to_ms(next.fires_at),
            waits_for: waits_for(plan, &feeding, next),
        }),
        partitions: feeding.iter().map(feed).collect(),
    }
}

fn state(p: &PartitionStanding) -> FeedState {
    match (p.ended, p.idle) {
        (true, _) => FeedState::Ended,
        (false, true) => FeedState::Idle,
        (false, false) => FeedState::Active,
    }
}

fn lowered(watermark: i64, delay: i64) -> Option<i64> {
    (watermark != WM_NONE).then(|| watermark.saturating_sub(delay))
}

/// Milliseconds that a watermark lacks, a part of one counting whole: 0 means that it fires.
fn behind_ms(next: NextWindow, watermark: i64) -> i64 {
    let ns = next.fires_at.saturating_sub(watermark).max(0);
    ns / NS_PER_MS + i64::from(ns % NS_PER_MS > 0)
}

/// The partition with the lowest watermark of those that count; of equal ones the first.
fn waits_for(plan: &AppPlan, feeding: &[(&PartitionStanding, i64)], next: NextWindow) -> Option<WaitReport> {
    let active = feeding.iter().filter(|(p, _)| state(p) == FeedState::Active);
    let (p, delay) = active.min_by_key(|(p, delay)| lowered(p.watermark, *delay).unwrap_or(WM_NONE))?;
    Some(WaitReport {
        source: plan.sources[p.source.index()].name.to_string(),
        partition: p.partition.0,
        behind_ms: lowered(p.watermark, *delay).map(|own| behind_ms(next, own)),
    })
}

/// Windows that are open on any shard.
fn open_windows(open: &[&OpenWindows]) -> u64 {
    let mut all: Vec<(i64, i64)> = open.iter().flat_map(|o| o.grid.iter().copied()).collect();
    all.sort_unstable();
    let slide = open.iter().map(|o| o.slide_ns).max().unwrap_or(1).max(1);
    let mut count = open.iter().map(|o| o.sessions).sum();
    let mut behind = i64::MIN;
    for (first, last) in all {
        let first = first.max(behind);
        if first <= last {
            count += last.saturating_sub(first) as u64 / slide as u64 + 1;
            behind = last.saturating_add(slide);
        }
    }
    count
}

/// The sources below an operator, with what operators in between take off their watermark; and whether there is no other
/// operator with windows in between, so that it reads the partitions' rows themselves and tells where they came from.
fn feeds(plan: &AppPlan, node: NodeId) -> (BTreeMap<SourceId, i64>, bool) {
    let mut sources: BTreeMap<SourceId, i64> = BTreeMap::new();
    // Which partitions the rows of a session came from is not kept.
    let own = &plan.nodes[node.index()].kind;
    let mut direct = !matches!(own, NodeKind::Aggregate(spec) if spec.window.is_some_and(|w| w.is_session()));
    let mut seen = BTreeSet::new();
    let mut below: Vec<(NodeId, i64)> = plan.nodes[node.index()].inputs.iter().map(|input| (*input, 0)).collect();
    while let Some((at, delay)) = below.pop() {
        if !seen.insert((at, delay)) {
            continue;
        }
        let node = &plan.nodes[at.index()];
        let mut delay = delay;
        match &node.kind {
            NodeKind::Scan { source } => {
                let longest = sources.entry(*source).or_insert(delay);
                *longest = (*longest).max(delay);
            }
            NodeKind::Aggregate(spec) => {
                direct = false;
                delay = delay.saturating_add(spec.window.map_or(0, |window| window.lateness_ns.max(0)));
            }
            _ => {}
        }
        below.extend(node.inputs.iter().map(|input| (*input, delay)));
    }
    (sources, direct)
}

/// Adds late rows by partition to the statements.
pub(super) fn add_late(plan: &AppPlan, shards: &[Standing], statements: &mut [StatementReport]) {
    let mut sums: BTreeMap<(usize, SourceId, PartitionId), u64> = BTreeMap::new();
    for late in shards.iter().flat_map(|shard| &shard.late) {
        let statement = plan.nodes[late.node.index()].statement;
        *sums.entry((statement, late.source, late.partition)).or_default() += late.rows;
    }
    for ((statement, source, partition), rows) in sums {
        let Some(report) = statements.get_mut(statement) else { continue };
        let late = match plan.sources.get(source.index()) {
            Some(source) => LateReport { source: source.name.to_string(), partition: Some(partition.0), rows },
            None => LateReport { source: report.name.clone(), partition: None, rows },
        };
        merge_late(&mut report.late_by_partition, &[late]);
    }
}

/// Adds counts of the same partitions.
pub(super) fn merge_late(to: &mut Vec<LateReport>, from: &[LateReport]) {
    for late in from {
        match to.iter_mut().find(|own| (&own.source, own.partition) == (&late.source, late.partition)) {
            Some(own) => own.rows += late.rows,
            None => to.push(late.clone()),
        }
    }
    to.sort();
}
