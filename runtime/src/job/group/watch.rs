//! What the housekeeping thread does while the shards of a life run: serves the groups, has barriers given, commits what
//! comes of them, shows where partitions stand, and stops the shards when the assignment changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::SafePoint;
use velostream_sql::plan::{AppPlan, KafkaSource};
use velostream_types::topic::{Commit, CommitError, Committed, TopicPartition};
use velostream_types::{Fatal, PartitionId, Remedy, SourceId};

use super::{LAST_COMMIT, LifeEnd, Membership};
use crate::clock::monotonic;
use crate::driver::{Note, World};
use crate::job::checkpoint::collect::Collector;
use crate::job::commits::{Commits, Offset};
use crate::job::seen::{Seen, Stands};
use crate::job::topics::{self, SourceTopic};
use crate::job::{Event, PartitionReport, RunOptions, RunReport};
use crate::stop::StopHandle;

/// Time between two looks at the partitions.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// The life of the shards as the housekeeping thread sees it.
pub(super) struct Watch<'a> {
    pub plan: &'a AppPlan,
    /// A life that fails can be lived again.
    pub can_restart: bool,
    /// Set when a barrier went all the way: everything was there.
    pub lived: &'a mut bool,
    pub members: &'a mut Vec<Membership>,
    pub sources: &'a [SourceTopic],
    pub pulse: Pulse<'a>,
    /// What was committed in this run.
    pub committed: &'a mut BTreeMap<(SourceId, PartitionId), i64>,
    /// When the partitions were shown last.
    pub shown: Option<Instant>,
    pub failed: Option<Fatal>,
    pub reassigned: bool,
}

/// Who gives barriers, and makes offsets of them.
pub(super) enum Pulse<'a> {
    /// Nobody before the number of shards is known.
    Waiting { points: Vec<SafePoint>, notes: Receiver<Note> },
    /// What restarts need of the topics.
    Commits(Commits),
    /// The state of it all, on a disk.
    Checkpoints(Collector<'a>),
}

impl Pulse<'_> {
    /// Gives barriers; answers the offsets to commit, and whether a barrier went all the way.
    fn tick(&mut self, plan: &AppPlan, world: &World, stop: &StopHandle) -> Option<Vec<Offset>> {
        if let Pulse::Waiting { points, notes } = self {
            let (shards, interval) = (world.shards(), topics::commit_interval(plan));
            *self = Pulse::Commits(Commits::new(plan, shards, points, notes.clone(), interval, monotonic()));
        }
        match self {
            Pulse::Waiting { .. } => None,
            Pulse::Commits(commits) => commits.tick(world, monotonic()).map(|safe| commits.offsets(&safe)),
            Pulse::Checkpoints(collector) => {
                collector.tick(world, stop);
                collector.fresh_offsets()
            }
        }
    }

    /// The shards ended: the offsets they ended with.
    fn last(&mut self) -> Result<Option<Vec<Offset>>, Fatal> {
        Ok(match self {
            Pulse::Waiting { .. } => None,
            Pulse::Commits(commits) => commits.take().map(|safe| commits.offsets(&safe)),
            Pulse::Checkpoints(collector) => {
                collector.finish()?;
                Some(collector.offsets().to_vec())
            }
        })
    }

    fn seen(&mut self) -> Option<&mut Seen> {
        match self {
            Pulse::Waiting { .. } => None,
            Pulse::Commits(commits) => Some(&mut commits.seen),
            Pulse::Checkpoints(collector) => Some(&mut collector.seen),
        }
    }
}

impl Watch<'_> {
    pub(super) fn tick(&mut self, world: &World, stop: &StopHandle, observer: &mut dyn FnMut(Event<'_>)) {
        let mut say = |text: String| observer(Event::Notice(&text));
        for membership in self.members.iter_mut() {
            if let Err(fatal) = membership.poll(Duration::ZERO, &mut say) {
                self.failed.get_or_insert(fatal);
            }
        }
        let offsets = self.pulse.tick(self.plan, world, stop);
        if let Some(fatal) = self.pulse.seen().and_then(|seen| lost_data(self.plan, seen.stands())) {
            self.failed.get_or_insert(fatal);
        }
        if self.failed.is_some() {
            world.stop();
            return;
        }
        self.commit(offsets, None, &mut say);
        if self.members.iter().any(|m| m.changed) && !world.stopping() {
            self.reassigned = true;
            match &mut self.pulse {
                Pulse::Checkpoints(collector) => collector.leave(),
                _ => world.stop(),
            }
        }
        self.show(observer);
    }

    /// Tells where the partitions stand, now and then.
    fn show(&mut self, observer: &mut dyn FnMut(Event<'_>)) {
        if self.shown.is_some_and(|at| at.elapsed() < SHOW_EVERY) {
            return;
        }
        let Some(seen) = self.pulse.seen() else { return };
        let mut partitions: Vec<_> = seen.read().map(|p| PartitionReport::of(self.plan, p)).collect();
        partitions.iter_mut().for_each(|partition| partition.stands(seen.stands(), self.committed));
        if !partitions.is_empty() {
            self.shown = Some(monotonic());
            observer(Event::Partitions(&partitions));
        }
    }

    fn commit(&mut self, offsets: Option<Vec<Offset>>, wait: Option<Duration>, say: &mut dyn FnMut(String)) {
        if let Some(seen) = self.pulse.seen() {
            seen.take_said().into_iter().for_each(&mut *say);
        }
        *self.lived |= match &self.pulse {
            Pulse::Checkpoints(collector) => collector.went_through(),
            _ => offsets.is_some(),
        };
        if let Some(offsets) = offsets {
            let taken = commit_all(self.members, self.sources, &offsets, wait, say);
            self.committed.extend(taken);
        }
    }

    /// The shards ended: commits what they ended with and gives back what was revoked.
    pub(super) fn end(
        mut self,
        outcome: Result<RunReport, Fatal>,
        options: &mut RunOptions,
        stop: &StopHandle,
    ) -> Result<LifeEnd, Fatal> {
        if let Some(fatal) = self.failed {
            return Err(fatal);
        }
        let mut say = |text: String| (options.observer)(Event::Notice(&text));
        let is_stopped = stop.reason().is_some();
        let mut again = None;
        let mut report = match outcome {
            Ok(report) => report,
            Err(fatal) if self.can_restart && !is_stopped && matches!(fatal.remedy, Remedy::Restart(_)) => {
                again = Some(fatal);
                RunReport::nothing(self.plan, stop, options.follow)
            }
            // What the shards could not end in good order was not committed: the next ones do it again.
            Err(fatal) if self.reassigned && !is_stopped => {
                say(format!("going on from the last commit: {fatal}"));
                RunReport::nothing(self.plan, stop, options.follow)
            }
            Err(fatal) => return Err(fatal),
        };
        report.follow |= !options.kafka.until_end;
        let last = match &mut self.pulse {
            // The next life goes on from the newest checkpoint, whose offsets are committed.
            Pulse::Checkpoints(_) if again.is_some() => None,
            pulse => pulse.last()?,
        };
        self.commit(last, Some(LAST_COMMIT), &mut say);
        if let Some(seen) = self.pulse.seen() {
            report.stands(seen.stands(), self.committed);
        }
        for membership in self.members.iter_mut() {
            if membership.revoking {
                membership.member.release();
            }
            (membership.revoking, membership.lost) = (false, false);
        }
        if let Some(fatal) = again {
            return Ok(LifeEnd::Failed(fatal));
        }
        let report = Box::new(report);
        let is_complete = matches!(&self.pulse, Pulse::Checkpoints(collector) if collector.is_complete());
        let goes_on = self.reassigned && stop.reason().is_none() && !is_complete;
        Ok(if goes_on { LifeEnd::Reassigned(report) } else { LifeEnd::Over(report) })
    }
}

/// A source that says `on.data.loss = fail` and lost records.
fn lost_data(plan: &AppPlan, stands: &Stands) -> Option<Fatal> {
    let lost = |(id, kafka): (SourceId, &KafkaSource)| {
        let (at, stats) = stands.iter().find(|(at, stats)| at.0 == id && stats.records_lost > 0)?;
        kafka.fail_on_data_loss.then(|| {
            Fatal::new(format!(
                "{} records of {}-{} were deleted before they were read, and on.data.loss is fail; raise the topic's \
                 retention, then start again to go on behind the gap, or set on.data.loss to warn",
                stats.records_lost, kafka.topic, at.1
            ))
        })
    };
    topics::kafka_sources(plan).find_map(lost)
}

/// Commits offsets, each with the member of its partition; answers what the groups took. What was lost is not committed.
fn commit_all(
    members: &mut [Membership],
    sources: &[SourceTopic],
    offsets: &[Offset],
    wait: Option<Duration>,
    say: &mut dyn FnMut(String),
) -> Vec<((SourceId, PartitionId), i64)> {
    let mut taken = Vec::new();
    for membership in members.iter_mut().filter(|m| !m.lost) {
        let of = |Offset { at, metadata }: &Offset| {
            let source = sources.iter().find(|s| s.source == at.source)?;
            let own = source.client == membership.client && source.group == membership.group;
            own.then(|| Commit {
                at: TopicPartition { topic: source.topic.clone(), partition: at.partition.0 },
                committed: Committed { offset: at.offset, metadata: metadata.clone() },
            })
        };
        let own = || offsets.iter().filter_map(|offset| Some((offset.at, of(offset)?)));
        // Several sources may read one topic in one group: what all of them are done with is what stands behind the first.
        let mut lowest: BTreeMap<TopicPartition, Commit> = BTreeMap::new();
        for (_, commit) in own() {
            let known = lowest.entry(commit.at.clone()).or_insert_with(|| commit.clone());
            if commit.committed.offset < known.committed.offset {
                *known = commit;
            }
        }
        let list: Vec<Commit> = lowest.into_values().collect();
        if list.is_empty() {
            continue;
        }
        match membership.member.commit(&list, wait) {
            Ok(()) => taken.extend(own().map(|(at, _)| ((at.source, at.partition), at.offset))),
            Err(CommitError::Stale(reason)) => say(format!("group {} moved on: {reason}", membership.group)),
            Err(CommitError::Unavailable(reason)) => {
                say(format!("group {}: no commit yet: {reason}", membership.group))
            }
        }
    }
    taken
}
