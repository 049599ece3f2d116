//! Commits and crashes of the simulated world: barriers, what they allow to commit, and a new life from there.

use velostream_exec::commit::{CommitLog, Safe, SafePoint};
use velostream_exec::shard::PartitionProgress;
use velostream_sql::plan::AppPlan;
use velostream_types::time::WM_NONE;
use velostream_types::{PartitionId, SourceId};

use super::World;

/// The log of a run whose partitions begin at their first record.
pub(super) fn log_of<'a>(
    plan: &AppPlan,
    shards: u16,
    partitions: impl Iterator<Item = &'a (SourceId, PartitionId)>,
) -> CommitLog {
    let begin: Vec<SafePoint> = partitions.map(|(s, p)| beginning(*s, *p)).collect();
    CommitLog::new(plan, shards, &begin)
}

fn beginning(source: SourceId, partition: PartitionId) -> SafePoint {
    SafePoint { source, partition, offset: 0, max_event_time: WM_NONE }
}

impl World {
    /// Gives the next barrier to all shards; each takes it in its next turn.
    pub fn give_barrier(&mut self) {
        self.barrier += 1;
        for inbox in &mut self.inboxes {
            inbox.barrier = Some(self.barrier);
        }
    }

    /// What may be committed since the last call.
    pub fn take_safe(&mut self) -> Option<Safe> {
        self.commits.take().map(|(_, safe)| safe)
    }

    /// Everything in memory is lost; `shards` new shards go on from what was committed (nothing: from the start).
    /// What the sinks have stays.
    pub fn crash(&mut self, shards: u16, committed: &Safe) {
        self.options.shards = shards;
        let mut points: Vec<SafePoint> = self.feeds.keys().map(|(s, p)| beginning(*s, *p)).collect();
        for point in &mut points {
            let known =
                committed.partitions.iter().find(|c| (c.source, c.partition) == (point.source, point.partition));
            *point = known.copied().unwrap_or(*point);
        }
        let mut positions = Vec::new();
        for point in &points {
            let Some(feed) = self.feeds.get_mut(&(point.source, point.partition)) else { continue };
            let ends = feed.bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
            feed.base = std::iter::once(0).chain(ends).nth(point.offset as usize).unwrap_or(feed.bytes.len());
            feed.offered = None;
            positions.push(PartitionProgress {
                source: point.source,
                partition: point.partition,
                next_offset: point.offset,
                position: feed.base as u64,
                max_event_time: point.max_event_time,
                rows: point.offset as u64,
                ended: false,
            });
        }
        self.build();
        for shard in &mut self.shards {
            shard.resume(&positions, &committed.frontiers);
        }
        self.commits = CommitLog::new(&self.plan, shards, &points);
        (self.barrier, self.done) = (0, false);
    }
}
