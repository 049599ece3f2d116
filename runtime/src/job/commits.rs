//! From barriers to commits: gives barriers at the commit interval, collects what shards and writers tell, and hands
//! out what the groups may commit, each offset with the metadata a restart needs.
//!
//! Metadata is one line of text: a version, the fingerprint of the app's stateful operators, the partition's highest
//! event time before the offset, and the operators' frontiers, all in nanoseconds, `-` for none:
//! `velo1 9f86d081884c7d65 1717171717000000000 1717171700000000000,-`.
//!
//! A run that keeps its state commits the offsets of its checkpoints, and says with them where the state is that belongs
//! to them: `velo1-state 5f16c0f6bd3b9a07 12 1717171717000000000 /data/state`.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::{CommitLog, Safe, SafePoint};
use velostream_sql::plan::{AppPlan, NodeKind, WindowKind};
use velostream_types::time::WM_NONE;
use velostream_types::{Fatal, NodeId};

use super::seen::Seen;
use crate::driver::{News, Note, World};

/// Brokers refuse metadata of 4,096 bytes or more.
const METADATA_MAX: usize = 4_000;
const VERSION: &str = "velo1";

const STATE_VERSION: &str = "velo1-state";

fn time_text(t: i64) -> String {
    if t == WM_NONE { "-".to_owned() } else { t.to_string() }
}

fn time_of(text: &str) -> Option<i64> {
    if text == "-" { Some(WM_NONE) } else { text.parse().ok() }
}

/// What a commit of a run that keeps its state says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateMark {
    /// The state folder's own number, as 16 digits.
    pub identity: String,
    /// Number of the checkpoint that the offset belongs to.
    pub checkpoint: u64,
    /// Highest event time before the offset, ns.
    pub max_event_time: i64,
    /// Where the folder was; empty when its name is too long.
    pub folder: String,
}

impl StateMark {
    /// As text.
    pub fn text(&self) -> String {
        let StateMark { identity, checkpoint, max_event_time, folder } = self;
        let head = format!("{STATE_VERSION} {identity} {checkpoint} {}", time_text(*max_event_time));
        let whole = format!("{head} {folder}");
        if whole.len() <= METADATA_MAX { whole } else { head }
    }

    /// From text; `None` when it is none of these.
    pub fn parse(text: &str) -> Option<StateMark> {
        let mut words = text.splitn(5, ' ');
        if words.next()? != STATE_VERSION {
            return None;
        }
        let identity = words.next()?.to_owned();
        let (checkpoint, max_event_time) = (words.next()?.parse().ok()?, time_of(words.next()?)?);
        Some(StateMark { identity, checkpoint, max_event_time, folder: words.next().unwrap_or_default().to_owned() })
    }

    /// What an app is told that would go on from such a commit without the state that belongs to it.
    pub fn refusal(&self, group: &str) -> Fatal {
        let StateMark { checkpoint, folder, .. } = self;
        let folder = if folder.is_empty() { "FOLDER" } else { folder };
        Fatal::new(format!(
            "group {group} stands at checkpoint {checkpoint} of a run with --state {folder}, and what its windows and \
             groups hold is in that folder only: run it with that folder, read everything again with --from-beginning, \
             or name another --group"
        ))
    }
}

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
        let frontiers: Vec<String> = self.frontiers.iter().map(|f| time_text(*f)).collect();
        let head = format!("{VERSION} {:016x} {}", self.fingerprint, time_text(self.max_event_time));
        let whole = format!("{head} {}", frontiers.join(","));
        if whole.len() <= METADATA_MAX { whole } else { head }
    }

    /// From text; `None` when it is not ours.
    pub fn parse(text: &str) -> Option<Metadata> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let fingerprint = u64::from_str_radix(words.next()?, 16).ok()?;
        let max_event_time = time_of(words.next()?)?;
        let frontiers = match words.next().filter(|w| !w.is_empty()) {
            Some(list) => list.split(',').map(time_of).collect::<Option<_>>()?,
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
    /// What lanes told beside barriers.
    pub seen: Seen,
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
            seen: Seen::default(),
        }
    }

    fn collect(&mut self) {
        for Note { shard, news } in self.notes.try_iter() {
            match self.seen.take(news) {
                Some(News::Mark(mark)) => self.log.mark(shard, mark),
                Some(News::Safe(writer, barrier)) => self.log.made_safe(writer, barrier),
                // Without checkpoints a run goes on by what its group committed.
                _ => {}
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

    /// What to commit, each offset with its metadata.
    pub fn offsets(&self, safe: &Safe) -> Vec<Offset> {
        let frontiers: Vec<i64> = safe.frontiers.iter().map(|(_, frontier)| *frontier).collect();
        let offset = |at: &SafePoint| {
            let (fingerprint, max_event_time) = (self.fingerprint, at.max_event_time);
            let metadata = Metadata { fingerprint, max_event_time, frontiers: frontiers.clone() };
            Offset { at: *at, metadata: metadata.text() }
        };
        safe.partitions.iter().map(offset).collect()
    }
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Where.
    pub at: SafePoint,
    /// What goes with it.
    pub metadata: String,
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
    fn a_state_folder_survives_the_way_through_text() {
        for (max_event_time, folder) in [(WM_NONE, ""), (-5, "/data/my state"), (7, "state")] {
            let (identity, folder) = ("5f16c0f6bd3b9a07".to_owned(), folder.to_owned());
            let mark = StateMark { identity, checkpoint: 12, max_event_time, folder };
            assert_eq!(StateMark::parse(&mark.text()), Some(mark.clone()));
            assert_eq!(Metadata::parse(&mark.text()), None, "no run without the folder takes it for its own");
            let long = StateMark { folder: "x".repeat(5_000), ..mark };
            assert!(long.text().len() <= METADATA_MAX && StateMark::parse(&long.text()).is_some());
        }
        for foreign in ["", "velo1 9f86d081884c7d65 - -", "velo1-state", "velo1-state a b - /"] {
            assert_eq!(StateMark::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn metadata_stays_below_what_brokers_take() {
        let many = Metadata { fingerprint: u64::MAX, max_event_time: i64::MAX, frontiers: vec![i64::MAX; 500] };
        assert!(many.text().len() <= METADATA_MAX);
        assert_eq!(Metadata::parse(&many.text()).map(|m| m.frontiers), Some(vec![]));
    }
}
