//! From barriers to commits: gives barriers at the commit interval, collects what shards and writers tell, and hands
//! out what the groups may commit, each offset with the metadata a restart needs.
//!
//! Metadata is one line of text: a version, the fingerprint of the app's stateful operators, the partition's highest
//! event time before the offset, and the operators' frontiers, all in nanoseconds, `-` for none:
//! `velo1 9f86d081884c7d65 1717171717000000000 1717171700000000000,-`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::{CommitLog, Safe, SafePoint};
use velostream_exec::shard::PartitionProgress;
use velostream_sql::plan::{AppPlan, NodeKind, WindowKind};
use velostream_types::time::WM_NONE;
use velostream_types::topic::FetchStats;
use velostream_types::{NodeId, PartitionId, SourceId};

use crate::driver::{News, Note, World};

/// Brokers refuse metadata of 4,096 bytes or more.
const METADATA_MAX: usize = 4_000;
const VERSION: &str = "velo1";

/// What a restart knows of an earlier run from one partition's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Fingerprint of the operators that committed.
    pub fingerprint: u64,
    /// Highest event time before the offset, ns.
    pub max_event_time: i64,
    /// Frontiers in the plan's order of operators with windows.
    pub frontiers: Vec<i64>,
}

impl Metadata {
    /// As text; without frontiers when they would not fit.
    pub fn text(&self) -> String {
        let time = |t: i64| if t == WM_NONE { "-".to_owned() } else { t.to_string() };
        let frontiers: Vec<String> = self.frontiers.iter().map(|f| time(*f)).collect();
        let head = format!("{VERSION} {:016x} {}", self.fingerprint, time(self.max_event_time));
        let whole = format!("{head} {}", frontiers.join(","));
        if whole.len() <= METADATA_MAX { whole } else { head }
    }

    /// From text; `None` when it is not ours.
    pub fn parse(text: &str) -> Option<Metadata> {
        let time = |t: &str| if t == "-" { Some(WM_NONE) } else { t.parse().ok() };
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let fingerprint = u64::from_str_radix(words.next()?, 16).ok()?;
        let max_event_time = time(words.next()?)?;
        let frontiers = match words.next().filter(|w| !w.is_empty()) {
            Some(list) => list.split(',').map(time).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Metadata { fingerprint, max_event_time, frontiers })
    }
}

/// The operators with windows that have a place in time of their own, in the plan's order.
fn windows(plan: &AppPlan) -> impl Iterator<Item = (NodeId, String)> + '_ {
    plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Aggregate(spec) => spec.window.filter(|window| !window.is_session()).map(|window| {
            let size_ns = window.kind.size_ns();
            let statement = &plan.statements[node.statement].name;
            let mut text = format!("{statement} {size_ns} {} {:?}", window.lateness_ns, spec.keys);
            if let WindowKind::Hopping { slide_ns, .. } = window.kind {
                text.push_str(&format!(" every {slide_ns}"));
            }
            if let Some(zone) = window.zone {
                text.push_str(&format!(" in {}", zone.as_str()));
            }
            (node.id, text)
        }),
        _ => None,
    })
}

/// What the frontiers of a commit belong to: another number means that the app changed and they say nothing.
pub fn fingerprint(plan: &AppPlan) -> u64 {
    // FNV-1a, 64 bits: stable over versions and machines, and nobody attacks it.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    windows(plan).flat_map(|(_, text)| text.into_bytes()).fold(0xcbf2_9ce4_8422_2325, mix)
}

/// The frontiers to resume from: the highest each operator committed with any partition. What one commit calls
/// released is released, also for partitions whose own commit is older.
pub fn frontiers(plan: &AppPlan, metadata: &[Metadata]) -> Vec<(NodeId, i64)> {
    let nodes: Vec<NodeId> = windows(plan).map(|(node, _)| node).collect();
    let own = fingerprint(plan);
    let known = |at: usize| {
        let same = metadata.iter().filter(|m| m.fingerprint == own && m.frontiers.len() == nodes.len());
        same.map(|m| m.frontiers[at]).max().unwrap_or(WM_NONE)
    };
    nodes.iter().enumerate().map(|(at, node)| (*node, known(at))).filter(|(_, f)| *f != WM_NONE).collect()
}

/// Barriers and commits of one run.
pub struct Commits {
    log: CommitLog,
    notes: Receiver<Note>,
    fingerprint: u64,
    interval: Duration,
    barrier: u64,
    /// The last barrier that became safe.
    complete: u64,
    given: Instant,
    /// Where each partition was last seen in its log.
    stands: BTreeMap<(SourceId, PartitionId), FetchStats>,
    /// How far each partition was read.
    read: BTreeMap<(SourceId, PartitionId), PartitionProgress>,
    said: Vec<String>,
}

impl Commits {
    /// For a run of `plan` on so many shards that begins at `begin`.
    pub fn new(
        plan: &AppPlan,
        shards: u16,
        begin: &[SafePoint],
        notes: Receiver<Note>,
        interval: Duration,
        now: Instant,
    ) -> Commits {
        let log = CommitLog::new(plan, shards, begin);
        Commits {
            log,
            notes,
            fingerprint: fingerprint(plan),
            interval,
            barrier: 0,
            complete: 0,
            given: now,
            stands: BTreeMap::new(),
            read: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn collect(&mut self) {
        for Note { shard, news } in self.notes.try_iter() {
            match news {
                News::Mark(mark) => self.log.mark(shard, mark),
                News::Safe(writer, barrier) => self.log.made_safe(writer, barrier),
                News::Read(partitions) => {
                    self.read.extend(partitions.into_iter().map(|p| ((p.source, p.partition), p)));
                }
                News::Stands(source, partition, stats) => drop(self.stands.insert((source, partition), stats)),
                News::Say(text) => self.said.push(text),
                // Topics go on by what their group committed.
                News::Saved(_) | News::Cut(..) => {}
            }
        }
    }

    /// Takes what was told, gives the next barrier when it is due and none is under way, and answers what may be
    /// committed since the last call.
    pub fn tick(&mut self, world: &World, now: Instant) -> Option<Safe> {
        let safe = self.take();
        let due = now.saturating_duration_since(self.given) >= self.interval;
        if due && self.complete >= self.barrier && !world.stopping() {
            self.barrier += 1;
            self.given = now;
            world.give_barrier(self.barrier);
        }
        safe
    }

    /// What may be committed since the last call; after the run: what it ended with.
    pub fn take(&mut self) -> Option<Safe> {
        self.collect();
        let (barrier, safe) = self.log.take()?;
        self.complete = barrier;
        Some(safe)
    }

    /// Where each partition was last seen in its log.
    pub fn stands(&self) -> &BTreeMap<(SourceId, PartitionId), FetchStats> {
        &self.stands
    }

    /// How far each partition was read, as last seen.
    pub fn read(&self) -> impl Iterator<Item = &PartitionProgress> {
        self.read.values()
    }

    /// What sources and sinks said since the last call.
    pub fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// The metadata to commit with a partition's offset.
    pub fn metadata(&self, safe: &Safe, point: &SafePoint) -> Metadata {
        Metadata {
            fingerprint: self.fingerprint,
            max_event_time: point.max_event_time,
            frontiers: safe.frontiers.iter().map(|(_, frontier)| *frontier).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_the_way_through_text() {
        for (max_event_time, frontiers) in
            [(WM_NONE, vec![]), (-5, vec![WM_NONE]), (1_717_171_717_000_000_000, vec![3, WM_NONE, i64::MAX])]
        {
            let metadata = Metadata { fingerprint: 7, max_event_time, frontiers };
            assert_eq!(Metadata::parse(&metadata.text()), Some(metadata));
        }
        for foreign in ["", "velo2 0 0 0", "velo1 x - -", "velo1 1", "hello world", "velo1 1 5 3,x"] {
            assert_eq!(Metadata::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn metadata_stays_below_what_brokers_take() {
        let many = Metadata { fingerprint: u64::MAX, max_event_time: i64::MAX, frontiers: vec![i64::MAX; 500] };
        assert!(many.text().len() <= METADATA_MAX);
        assert_eq!(Metadata::parse(&many.text()).map(|m| m.frontiers), Some(vec![]));
    }
}
