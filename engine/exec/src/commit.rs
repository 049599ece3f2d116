//! What may be committed: for each source partition the offset a restart has to begin at, and up to where operators
//! need not give their windows out again.
//!
//! Sits beside the shards, on whatever thread commits; pure. A barrier cuts the stream: everything before it was given
//! to the writers, or is held by windows that the operator's watermark at the barrier (its frontier F) does not close.
//! Once every writer made everything before the barrier safe, a restart may begin at S, the first record that an open
//! window could hold: the first whose time is at or above the start of the earliest open window. A row's time never
//! exceeds the highest so far, so S is found on the partition's stairs, without asking any operator which rows it
//! holds. On restart, windows that F closes stay closed and their rows count as replayed.
//!
//! In a chain the open windows downstream hold rows of windows that are closed upstream: the upstream frontier is
//! lowered so far that those are given out again, whole.
//!
//! Operators that never release (GROUP BY without window, LIMIT) hold S where it was when the run began.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use velostream_sql::plan::{AppPlan, JoinMode, NodeKind, WindowSpec};
use velostream_types::time::WM_NONE;
use velostream_types::{NodeId, PartitionId, ShardId, SourceId};

use crate::op::aggregate::Grid;
use crate::pipeline::{home_of, writers_of};
use crate::shard::{Mark, STOP_BARRIER, ScanMark, Stair};

/// Someone who makes output safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// A sink's writer on a shard.
    Sink(usize, ShardId),
    /// The writer of a dead-letter destination.
    Dead(usize),
}

/// Where a restart begins in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafePoint {
    /// Source.
    pub source: SourceId,
    /// Partition.
    pub partition: PartitionId,
    /// First record to read again.
    pub offset: i64,
    /// Highest event time before it, for the partition's watermark.
    pub max_event_time: i64,
}

/// What may be committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safe {
    /// All partitions.
    pub partitions: Vec<SafePoint>,
    /// Frontiers of the operators with windows, as a restart needs them.
    pub frontiers: Vec<(NodeId, i64)>,
}

/// An operator that holds rows back.
#[derive(Clone, Debug)]
struct Holder {
    node: NodeId,
    /// What it holds; `None`: it never releases.
    grid: Option<Holds>,
    /// Holders that its rows reach, by position.
    downstream: Vec<usize>,
}

/// What an operator holds.
#[derive(Clone, Debug)]
enum Holds {
    /// Rows of windows.
    Windows(Grid),
    /// Rows that meet others in time: it still gives rows `reach` behind its watermark, made of rows that are `reach` older
    /// at most.
    Pairs { reach: i64 },
}

impl Holds {
    /// How far behind its watermark it may give rows.
    fn lateness(&self) -> i64 {
        match self {
            Holds::Windows(grid) => grid.lateness(),
            Holds::Pairs { reach } => *reach,
        }
    }
}

impl Holder {
    /// Time of the earliest row that counts for what a watermark leaves open.
    fn earliest_open(&self, watermark: i64) -> i64 {
        match &self.grid {
            Some(Holds::Windows(grid)) if watermark != WM_NONE => {
                grid.first_open(watermark.saturating_sub(grid.lateness()))
            }
            Some(Holds::Pairs { reach }) if watermark != WM_NONE => {
                watermark.saturating_sub(*reach).saturating_sub(*reach)
            }
            _ => WM_NONE,
        }
    }
}

/// One barrier under way.
#[derive(Debug, Default)]
struct Cut {
    positions: BTreeMap<(SourceId, PartitionId), Stair>,
    scanned: BTreeSet<ShardId>,
    /// Per holder: how many shards told, and their watermark.
    frontiers: BTreeMap<NodeId, (u16, i64)>,
}

/// Collects what shards and writers tell about barriers.
#[derive(Debug)]
pub struct CommitLog {
    shards: u16,
    holders: Vec<Holder>,
    /// Per source, the holders its rows reach first, by position.
    reached: Vec<Vec<usize>>,
    /// Stairs of each partition from the last safe point on.
    stairs: BTreeMap<(SourceId, PartitionId), VecDeque<Stair>>,
    cuts: BTreeMap<u64, Cut>,
    /// Highest barrier each writer made everything safe for.
    safe: BTreeMap<Writer, u64>,
}

impl CommitLog {
    /// A log for a run of `plan` on so many shards; `begin` is where its partitions begin.
    pub fn new(plan: &AppPlan, shards: u16, begin: &[SafePoint]) -> CommitLog {
        let (holders, reached) = holders(plan);
        let sinks = (0..plan.sinks.len()).flat_map(|n| writers_of(plan, n, shards).into_iter().map(move |s| (n, s)));
        let dead = (0..plan.dlqs.len()).filter(|n| plan.dlqs[*n].enabled).map(Writer::Dead);
        let stair = |p: &SafePoint| {
            let first = Stair { offset: p.offset, highest: p.max_event_time, max_event_time: p.max_event_time };
            ((p.source, p.partition), VecDeque::from([first]))
        };
        CommitLog {
            shards,
            holders,
            reached,
            stairs: begin.iter().map(stair).collect(),
            cuts: BTreeMap::new(),
            safe: sinks.map(|(n, s)| Writer::Sink(n, s)).chain(dead).map(|w| (w, 0)).collect(),
        }
    }

    /// Which shard makes a writer's output.
    pub fn shard_of(writer: Writer, shards: u16) -> ShardId {
        match writer {
            Writer::Sink(_, shard) => shard,
            Writer::Dead(n) => home_of(n, shards),
        }
    }

    /// Takes what a shard told.
    pub fn mark(&mut self, shard: ShardId, mark: Mark) {
        match mark {
            Mark::Scanned { barrier, partitions } => self.scanned(shard, barrier, partitions),
            Mark::Frontier { barrier, node, watermark } => {
                let told = self.cuts.entry(barrier).or_default().frontiers.entry(node).or_insert((0, watermark));
                told.0 += 1;
                // At a barrier all shards have the same watermark. At the end each flushed what it held.
                told.1 = if barrier == STOP_BARRIER { told.1.max(watermark) } else { told.1.min(watermark) };
            }
        }
    }

    fn scanned(&mut self, shard: ShardId, barrier: u64, partitions: Vec<ScanMark>) {
        let cut = self.cuts.entry(barrier).or_default();
        cut.scanned.insert(shard);
        for mark in partitions {
            let at = (mark.source, mark.partition);
            cut.positions.insert(at, mark.at);
            let stairs = self.stairs.entry(at).or_default();
            for stair in mark.stairs {
                if stairs.back().is_none_or(|last| last.offset < stair.offset) {
                    stairs.push_back(stair);
                }
            }
        }
    }

    /// A writer made everything before a barrier safe; [`STOP_BARRIER`]: everything.
    pub fn made_safe(&mut self, writer: Writer, barrier: u64) {
        if let Some(safe) = self.safe.get_mut(&writer) {
            *safe = (*safe).max(barrier);
        }
    }

    /// The writers that must make output safe.
    pub fn writers(&self) -> impl Iterator<Item = Writer> + '_ {
        self.safe.keys().copied()
    }

    /// What the highest complete barrier allows to commit, once.
    pub fn take(&mut self) -> Option<(u64, Safe)> {
        let safe = self.safe.values().copied().min().unwrap_or(STOP_BARRIER);
        let complete = |(id, cut): &(&u64, &Cut)| **id <= safe && self.is_told(cut);
        let barrier = *self.cuts.iter().rev().find(complete)?.0;
        let cut = self.cuts.remove(&barrier)?;
        self.cuts.retain(|id, _| *id > barrier);
        Some((barrier, self.point(&cut)))
    }

    /// Every shard told of its sources, and every holder where it stands; what ended told so for good.
    fn is_told(&self, cut: &Cut) -> bool {
        let ended = self.cuts.get(&STOP_BARRIER);
        let told = |holder: &Holder| {
            let count = |cut: &Cut| cut.frontiers.get(&holder.node).map_or(0, |(n, _)| *n);
            holder.grid.is_none() || count(cut) == self.shards || ended.is_some_and(|end| count(end) == self.shards)
        };
        let scanned = |s: u16| {
            let shard = ShardId(s);
            cut.scanned.contains(&shard) || ended.is_some_and(|end| end.scanned.contains(&shard))
        };
        (0..self.shards).all(scanned) && self.holders.iter().all(told)
    }

    fn point(&mut self, cut: &Cut) -> Safe {
        let mut frontiers = vec![WM_NONE; self.holders.len()];
        let mut open = vec![WM_NONE; self.holders.len()];
        // Downstream holders stand behind the ones that feed them.
        for at in (0..self.holders.len()).rev() {
            let holder = &self.holders[at];
            let own = cut
                .frontiers
                .get(&holder.node)
                .or_else(|| self.cuts.get(&STOP_BARRIER).and_then(|end| end.frontiers.get(&holder.node)));
            let needed = holder.downstream.iter().map(|d| open[*d]).min().unwrap_or(i64::MAX);
            frontiers[at] = own.map_or(WM_NONE, |(_, watermark)| *watermark).min(lowered(holder, needed));
            open[at] = holder.earliest_open(frontiers[at]);
        }
        let mut safe = Safe::default();
        let ended = self.cuts.get(&STOP_BARRIER).map(|end| end.positions.clone()).unwrap_or_default();
        let positions: BTreeMap<_, _> = ended.iter().chain(&cut.positions).collect();
        for (at, end) in positions {
            let held = self.reached[at.0.index()].iter().map(|h| open[*h]).min();
            let stair = match held {
                None => *end,
                Some(time) => self.stairs.get(at).map_or(*end, |stairs| first_at_or_above(stairs, *end, time)),
            };
            if let Some(stairs) = self.stairs.get_mut(at) {
                while stairs.get(1).is_some_and(|next| next.offset <= stair.offset) {
                    stairs.pop_front();
                }
                if held.is_none() {
                    stairs.clear();
                    stairs.push_back(stair);
                }
            }
            safe.partitions.push(SafePoint {
                source: at.0,
                partition: at.1,
                offset: stair.offset,
                max_event_time: stair.max_event_time,
            });
        }
        let with_windows = self.holders.iter().zip(&frontiers).filter(|(holder, _)| holder.grid.is_some());
        safe.frontiers = with_windows.map(|(holder, frontier)| (holder.node, *frontier)).collect();
        safe
    }
}

/// The highest frontier under which every window that may have rows at or above `time` is open: a window's row has the
/// time of its end less one, or one inside the window.
fn lowered(holder: &Holder, time: i64) -> i64 {
    match &holder.grid {
        Some(holds) if time != i64::MAX && time != WM_NONE => time.saturating_add(holds.lateness()),
        _ => time,
    }
}

/// The last stair before the first row at or above `time`; the end of what was read if there is none.
fn first_at_or_above(stairs: &VecDeque<Stair>, end: Stair, time: i64) -> Stair {
    if end.highest < time {
        return end;
    }
    let below = stairs.partition_point(|stair| stair.highest < time);
    stairs.get(below.saturating_sub(1)).copied().unwrap_or(end)
}

/// Windows of a grid; where a session began does not follow from when it ends.
fn windows(spec: &WindowSpec) -> Option<Holds> {
    (!spec.is_session()).then(|| Holds::Windows(Grid::new(spec)))
}

/// What a join holds, if it holds rows back.
fn holds_of_join(mode: &JoinMode) -> Option<Option<Holds>> {
    match mode {
        JoinMode::Interval { before_ns, after_ns, retention_ns }
        | JoinMode::AsOf { before_ns, after_ns, retention_ns, .. } => {
            let reach = (*before_ns).max(*after_ns).max(0).saturating_add(*retention_ns);
            Some(Some(Holds::Pairs { reach }))
        }
        JoinMode::Window { spec, .. } => Some(windows(spec)),
        JoinMode::Lookup { version: None, .. } => None,
        // Rows wait for a table's watermark, which does not follow from where the join stands.
        JoinMode::Lookup { version: Some(_), .. } | JoinMode::Tables => Some(None),
    }
}

/// Holders and sources, by position, whose rows come first to a place.
type Feeds = (BTreeSet<usize>, BTreeSet<usize>);

/// Operators that hold rows back, in the plan's order, and for each source those its rows reach first.
fn holders(plan: &AppPlan) -> (Vec<Holder>, Vec<Vec<usize>>) {
    let mut holders: Vec<Holder> = Vec::new();
    let mut reached: Vec<Vec<usize>> = vec![Vec::new(); plan.sources.len()];
    // Per node: the holders and sources its rows come from first.
    let mut from: Vec<Feeds> = Vec::new();
    for node in &plan.nodes {
        let (mut feeds, mut asked): (Feeds, Feeds) = Default::default();
        for (port, input) in node.inputs.iter().enumerate() {
            let (h, s) = &from[input.index()];
            let to = if node.kind.is_asked(port) { &mut asked } else { &mut feeds };
            to.0.extend(h);
            to.1.extend(s);
        }
        if !asked.0.is_empty() || !asked.1.is_empty() {
            // Rows ask the table after a restart, too, so what it was made of comes again.
            let at = holders.len();
            holders.push(Holder { node: node.id, grid: None, downstream: Vec::new() });
            asked.0.iter().for_each(|h| holders[*h].downstream.push(at));
            asked.1.iter().for_each(|s| reached[*s].push(at));
        }
        let grid = match &node.kind {
            NodeKind::Scan { source } => {
                feeds.1.insert(source.index());
                None
            }
            // Where a session began does not follow from when it ends.
            NodeKind::Aggregate(spec) => Some(spec.window.as_ref().and_then(windows)),
            // Rows of a window leave when its end passes, as if it were a window of their own time alone.
            NodeKind::Sort(spec) => Some(spec.per_window.then(|| Holds::Windows(Grid::of_moments()))),
            NodeKind::Join(spec) => holds_of_join(&spec.mode),
            NodeKind::Limit { .. } | NodeKind::Materialize { .. } | NodeKind::Upsert { .. } | NodeKind::Over(_) => {
                Some(None)
            }
            NodeKind::Amend(_) => Some(None),
            // New times break the tie between a row's offset and its time: the rows behind it are held for good.
            NodeKind::Project { event_time: Some(_), .. } if feeds.0.is_empty() => Some(None),
            _ => None,
        };
        for input in node.inputs.iter().filter(|input| !node.row_inputs().contains(input)) {
            // A table is made again of everything it was made of; the rows that look it up are not.
            let at = holders.len();
            holders.push(Holder { node: node.id, grid: None, downstream: Vec::new() });
            let (h, s) = &from[input.index()];
            h.iter().for_each(|h| holders[*h].downstream.push(at));
            s.iter().for_each(|s| reached[*s].push(at));
        }
        if let Some(grid) = grid {
            let at = holders.len();
            holders.push(Holder { node: node.id, grid, downstream: Vec::new() });
            feeds.0.iter().for_each(|h| holders[*h].downstream.push(at));
            feeds.1.iter().for_each(|s| reached[*s].push(at));
            feeds = (BTreeSet::from([at]), BTreeSet::new());
        }
        from.push(feeds);
    }
    (holders, reached)
}

/// TRUE when the app keeps state that a restart can only rebuild by reading everything again.
pub fn holds_everything(plan: &AppPlan) -> bool {
    holders(plan).0.iter().any(|holder| holder.grid.is_none())
}

/// TRUE when the app keeps no state at all.
pub fn is_stateless(plan: &AppPlan) -> bool {
    holders(plan).0.is_empty()
}
