//! The committed and the undecided offsets of one group. Used by the coordinator and, with the same rules, by the
//! journal's image, so that what is restored is what was live.
//!
//! `order` numbers commits: when a transaction commits, its offsets replace only what was committed before them.

use std::collections::BTreeMap;

use super::{FetchedOffset, OffsetCommit};
use crate::errors;
use crate::journal::JournalEntry;

type Partition = (String, i32);

#[derive(Clone, Debug)]
struct Committed {
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    commit_ms: i64,
    order: u64,
}

/// Offsets of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<Partition, Committed>,
    /// By producer id.
    pending: BTreeMap<i64, BTreeMap<Partition, Committed>>,
    last_order: u64,
}

impl Offsets {
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn commit(&mut self, commit_ms: i64, offsets: &[OffsetCommit]) {
        for commit in offsets {
            let (partition, committed) = self.stamped(commit_ms, commit);
            self.committed.insert(partition, committed);
        }
    }

    pub(crate) fn commit_pending(&mut self, producer_id: i64, commit_ms: i64, offsets: &[OffsetCommit]) {
        for commit in offsets {
            let (partition, committed) = self.stamped(commit_ms, commit);
            self.pending.entry(producer_id).or_default().insert(partition, committed);
        }
    }

    fn stamped(&mut self, commit_ms: i64, commit: &OffsetCommit) -> (Partition, Committed) {
        self.last_order += 1;
        let committed = Committed {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.clone(),
            commit_ms,
            order: self.last_order,
        };
        ((commit.topic.clone(), commit.partition), committed)
    }

    pub(crate) fn has_pending(&self, producer_id: i64) -> bool {
        self.pending.contains_key(&producer_id)
    }

    pub(crate) fn end_pending(&mut self, producer_id: i64, commit: bool) {
        let decided = self.pending.remove(&producer_id).unwrap_or_default();
        if !commit {
            return;
        }
        for (partition, offset) in decided {
            let newer = self.committed.get(&partition).is_some_and(|c| c.order > offset.order);
            if !newer {
                self.committed.insert(partition, offset);
            }
        }
    }

    pub(crate) fn remove(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.committed.remove(partition);
        }
    }

    fn is_pending(&self, partition: &Partition) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(partition))
    }

    pub(super) fn fetch(&self, partitions: Option<&[Partition]>, require_stable: bool) -> Vec<FetchedOffset> {
        let one = |partition: &Partition| {
            let unstable = require_stable && self.is_pending(partition);
            let found = if unstable { None } else { self.committed.get(partition) };
            FetchedOffset {
                topic: partition.0.clone(),
                partition: partition.1,
                offset: found.map_or(-1, |c| c.offset),
                leader_epoch: found.map_or(-1, |c| c.leader_epoch),
                metadata: found.map_or_else(String::new, |c| c.metadata.clone()),
                error: if unstable { errors::UNSTABLE_OFFSET_COMMIT } else { errors::NONE },
            }
        };
        match partitions {
            Some(partitions) => partitions.iter().map(one).collect(),
            None => self.committed.keys().map(one).collect(),
        }
    }

    pub(super) fn of_topic(&self, topic: &str) -> Vec<Partition> {
        self.committed.keys().filter(|p| p.0 == topic).cloned().collect()
    }

    /// Offsets whose clock, started at `started(commit_ms)`, ran out. A partition with an undecided offset is kept.
    pub(super) fn expired(
        &self,
        now_ms: i64,
        retention_ms: i64,
        started: impl Fn(i64) -> i64,
        kept: impl Fn(&str) -> bool,
    ) -> Vec<Partition> {
        let old = |c: &Committed| now_ms.saturating_sub(started(c.commit_ms)) >= retention_ms;
        let gone = self.committed.iter().filter(|(p, c)| old(c) && !kept(&p.0) && !self.is_pending(p));
        gone.map(|(p, _)| p.clone()).collect()
    }

    /// Entries that build these offsets again, in the order of the commits.
    pub(crate) fn entries(&self, group: &str) -> Vec<JournalEntry> {
        let committed = self.committed.iter().map(|(p, c)| (None, p, c));
        let pending = self.pending.iter().flat_map(|(id, all)| all.iter().map(move |(p, c)| (Some(*id), p, c)));
        let mut all: Vec<_> = committed.chain(pending).collect();
        all.sort_by_key(|(_, _, c)| c.order);
        let same = |a: &(Option<i64>, _, &Committed), b: &(Option<i64>, _, &Committed)| {
            a.0 == b.0 && a.2.commit_ms == b.2.commit_ms
        };
        all.chunk_by(same)
            .map(|chunk| {
                let offsets = chunk.iter().map(|(_, p, c)| commit_of(p, c)).collect();
                let (group, commit_ms) = (group.to_owned(), chunk[0].2.commit_ms);
                match chunk[0].0 {
                    None => JournalEntry::Offsets { group, commit_ms, offsets },
                    Some(producer_id) => JournalEntry::PendingOffsets { group, producer_id, commit_ms, offsets },
                }
            })
            .collect()
    }
}

fn commit_of(partition: &Partition, committed: &Committed) -> OffsetCommit {
    OffsetCommit {
        topic: partition.0.clone(),
        partition: partition.1,
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
    }
}
