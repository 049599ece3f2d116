//! A run over topics: a member in each group on this thread, and one life of the shards per assignment.
//!
//! When the group gives or takes partitions, the shards stop at a barrier (no window fires), what they wrote is
//! acknowledged and committed, and new shards go on with the new assignment from what was committed. A job whose state
//! is not cut by partition has to own every partition; with fewer it waits, then says whose the others are.
//!
//! A life also ends when the log it reads was cut, or when a producer lost the order of its records: the next one goes on
//! from the last commit (at the cut at the latest), after a pause. Once a job lived, brokers that are away are waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::{self, Safe, SafePoint};
use velostream_sql::plan::{AppPlan, KafkaSource};
use velostream_types::time::WM_NONE;
use velostream_types::topic::{
    Broker, Client, Commit, CommitError, Committed, FetchStats, GroupMember, MemberEvent, MemberSpec, TopicPartition,
};
use velostream_types::{Fatal, PartitionId, Remedy, SourceId};

use super::commits::{self, Commits};
use super::endpoints::TopicInput;
use super::topics::{self, Begin, SourceTopic};
use super::{Event, Input, MakeShard, PartitionReport, Resume, RunOptions, RunReport, endpoints};
use crate::clock::monotonic;
use crate::driver::{Note, World};
use crate::stop::StopHandle;

/// How long a poll of a member waits when there is nothing else to do.
const POLL: Duration = Duration::from_millis(100);
/// How long a job waits for partitions that another member has, beyond the session's time-out.
const OWNERSHIP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a commit may take when the run, or an assignment, ends.
const LAST_COMMIT: Duration = Duration::from_secs(10);
/// Time between two looks at the partitions.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Session time-out of librdkafka when nothing else is set.
const SESSION_MS: u64 = 45_000;

/// One group this process is in.
struct Membership {
    client: Client,
    group: String,
    member: Box<dyn GroupMember>,
    assigned: BTreeSet<TopicPartition>,
    revoking: bool,
    lost: bool,
    /// The assignment changed since the shards began.
    changed: bool,
    /// An assignment was given at least once.
    heard: bool,
}

impl Membership {
    fn poll(&mut self, wait: Duration, say: &mut dyn FnMut(String)) -> Result<(), Fatal> {
        let mut wait = wait;
        while let Some(event) = self.member.poll(wait)? {
            wait = Duration::ZERO;
            match event {
                MemberEvent::Assigned(partitions) => {
                    (self.heard, self.changed) = (true, true);
                    self.assigned.extend(partitions);
                }
                MemberEvent::Revoking(partitions) => {
                    (self.revoking, self.changed) = (true, true);
                    self.assigned.retain(|p| !partitions.contains(p));
                }
                MemberEvent::Lost(partitions) => {
                    (self.lost, self.changed) = (true, true);
                    // Until the group gives again, nobody knows who has what: the brokers may be away.
                    self.heard = false;
                    self.assigned.retain(|p| !partitions.contains(p));
                    say(format!("group {} took {} partitions away", self.group, partitions.len()));
                }
                MemberEvent::Notice(text) => say(text),
            }
        }
        Ok(())
    }
}

/// How one life of the shards ended.
enum LifeEnd {
    /// The inputs ended, or the run was stopped.
    Over(Box<RunReport>),
    /// The assignment changed.
    Reassigned(Box<RunReport>),
    /// Something failed that a new life gets over.
    Failed(Fatal),
}

/// Pauses between lives that fail: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// A life of this length was none that failed at once: the pauses begin anew.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Runs a plan that reads topics.
pub(super) fn run(
    mut plan: AppPlan,
    mut options: RunOptions,
    broker: Arc<dyn Broker>,
    stop: &StopHandle,
    make: &MakeShard,
) -> Result<RunReport, Fatal> {
    // Jobs without annotations are named by their objects.
    plan.name_groups(|_| None);
    let plan = Arc::new(plan);
    let sources = {
        let observer = &mut options.observer;
        let mut say = |text: String| observer(Event::Notice(&text));
        let sources = topics::find_sources(&plan, &*broker, options.kafka.group.as_deref(), stop, &mut say)?;
        topics::make_sinks(&plan, &*broker, &sources, &mut say)?;
        sources
    };
    let mut job = Job {
        members: join(&sources, &*broker, &options)?,
        plan,
        sources,
        broker,
        known: None,
        committed: BTreeMap::new(),
        began: BTreeMap::new(),
        cuts: BTreeMap::new(),
        failed: false,
        lived: false,
    };
    let outcome = job.lives(&mut options, stop, make);
    for membership in job.members {
        membership.member.leave();
    }
    outcome
}

fn join(sources: &[SourceTopic], broker: &dyn Broker, options: &RunOptions) -> Result<Vec<Membership>, Fatal> {
    let mut groups: BTreeMap<(&Client, &str), BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        groups.entry((&source.client, &source.group)).or_default().insert(source.topic.clone());
    }
    let join = |((client, group), topics): ((&Client, &str), BTreeSet<String>)| {
        let spec = MemberSpec {
            client: client.clone(),
            group: group.to_owned(),
            instance: options.kafka.instance.clone(),
            topics: topics.into_iter().collect(),
        };
        Ok(Membership {
            client: client.clone(),
            group: group.to_owned(),
            member: broker.join(spec)?,
            assigned: BTreeSet::new(),
            revoking: false,
            lost: false,
            changed: false,
            heard: false,
        })
    };
    groups.into_iter().map(join).collect()
}

struct Job {
    plan: Arc<AppPlan>,
    sources: Vec<SourceTopic>,
    broker: Arc<dyn Broker>,
    members: Vec<Membership>,
    /// Partitions of each source when the shards began first; from then on everything starts from what was committed,
    /// and partitions that were added start at their first record.
    known: Option<Vec<u32>>,
    /// What was committed by this run.
    committed: BTreeMap<(SourceId, PartitionId), i64>,
    /// Where each partition began first: a life that failed before anything was committed begins there again.
    began: BTreeMap<(SourceId, PartitionId), topics::Start>,
    /// Where logs were cut, until they are read again.
    cuts: BTreeMap<TopicPartition, i64>,
    /// The last life failed.
    failed: bool,
    /// The shards ran: what is away is waited for.
    lived: bool,
}

impl Job {
    fn lives(&mut self, options: &mut RunOptions, stop: &StopHandle, make: &MakeShard) -> Result<RunReport, Fatal> {
        let mut earlier: Option<RunReport> = None;
        let mut pause = PAUSES.0;
        loop {
            if !self.wait_for_partitions(options, stop)? {
                let empty = || RunReport::nothing(&self.plan, stop, options.follow);
                return Ok(earlier.unwrap_or_else(empty));
            }
            let begun = monotonic();
            let end = match self.life(options, stop, make) {
                Err(fatal) if fatal.remedy == Remedy::Later && self.lived => LifeEnd::Failed(fatal),
                end => end?,
            };
            self.failed = matches!(end, LifeEnd::Failed(_));
            let (report, over) = match end {
                LifeEnd::Over(report) => (report, true),
                LifeEnd::Reassigned(report) => (report, false),
                LifeEnd::Failed(fatal) => {
                    if begun.elapsed() >= LONG_LIFE {
                        pause = PAUSES.0;
                    }
                    self.rest(&fatal, pause, options, stop)?;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
            };
            let report = match earlier.take() {
                Some(earlier) => report.after(&earlier),
                None => *report,
            };
            if over {
                return Ok(report);
            }
            earlier = Some(report);
        }
    }

    /// Serves the groups for a while after a life that failed.
    fn rest(
        &mut self,
        fatal: &Fatal,
        pause: Duration,
        options: &mut RunOptions,
        stop: &StopHandle,
    ) -> Result<(), Fatal> {
        if let Remedy::Restart(cuts) = &fatal.remedy {
            self.cuts.extend(cuts.iter().cloned());
        }
        let mut say = |text: String| (options.observer)(Event::Notice(&text));
        say(format!("going on from the last commit in {} ms: {fatal}", pause.as_millis()));
        let begun = monotonic();
        while begun.elapsed() < pause && stop.reason().is_none() {
            let left = pause.saturating_sub(begun.elapsed()).min(POLL);
            for membership in &mut self.members {
                membership.poll(left / 2, &mut say)?;
            }
            if self.members.is_empty() {
                std::thread::park_timeout(left);
            }
        }
        Ok(())
    }

    /// TRUE when all that is read stands in logs, so that a life that failed can be lived again from the last commit.
    fn can_restart(&self) -> bool {
        self.sources.len() == self.plan.sources.len()
    }

    /// TRUE when the job may not share its partitions: its state is not cut by them.
    fn needs_all(&self) -> bool {
        !commit::is_stateless(&self.plan)
    }

    fn owns_all(&self) -> bool {
        self.sources.iter().all(|source| self.assigned_of(source).len() >= source.partitions as usize)
    }

    fn membership_of(&self, source: &SourceTopic) -> Option<&Membership> {
        self.members.iter().find(|m| m.client == source.client && m.group == source.group)
    }

    fn assigned_of(&self, source: &SourceTopic) -> Vec<TopicPartition> {
        let assigned = self.membership_of(source).map(|m| &m.assigned);
        assigned.into_iter().flatten().filter(|p| p.topic == source.topic).cloned().collect()
    }

    /// Waits until the groups gave what the job needs. FALSE: stopped meanwhile.
    fn wait_for_partitions(&mut self, options: &mut RunOptions, stop: &StopHandle) -> Result<bool, Fatal> {
        let session = |m: &Membership| {
            m.client.settings.get("session.timeout.ms").and_then(|ms| ms.parse().ok()).unwrap_or(SESSION_MS)
        };
        let session_ms = self.members.iter().map(session).max().unwrap_or(SESSION_MS);
        let patience = Duration::from_millis(session_ms) + OWNERSHIP_PATIENCE;
        // Brokers that are away are waited for without end; other members are not.
        let mut heard_at: Option<Instant> = None;
        let mut counted = self.known.is_none();
        let mut told = false;
        loop {
            let observer = &mut options.observer;
            let mut say = |text: String| observer(Event::Notice(&text));
            for membership in &mut self.members {
                // What was revoked before the shards ran was not read by anybody.
                if membership.revoking {
                    membership.member.release();
                    membership.revoking = false;
                }
                membership.poll(POLL / 2, &mut say)?;
            }
            if stop.reason().is_some() {
                return Ok(false);
            }
            let heard = self.members.iter().all(|m| m.heard && !m.revoking);
            if !heard {
                heard_at = None;
                continue;
            }
            let waited = heard_at.get_or_insert_with(monotonic).elapsed();
            if !counted {
                match self.count_partitions() {
                    Ok(()) => counted = true,
                    Err(why) if !std::mem::replace(&mut told, true) => say(format!("{why}; asking again")),
                    Err(_) => {}
                }
                continue;
            }
            let some = self.members.iter().any(|m| !m.assigned.is_empty());
            if self.owns_all() || (!self.needs_all() && some) {
                return Ok(true);
            }
            if self.needs_all() && waited >= patience {
                return Err(self.others_have_them());
            }
            if !told && waited >= Duration::from_secs(2) {
                told = true;
                say(format!("waiting for partitions: {}", self.missing()));
            }
        }
    }

    /// Partitions may have been added since.
    fn count_partitions(&mut self) -> Result<(), Fatal> {
        for source in &mut self.sources {
            let count = self.broker.partitions(&source.client, &source.topic, LAST_COMMIT)?;
            source.partitions = count.unwrap_or(source.partitions).max(source.partitions);
        }
        Ok(())
    }

    /// The partitions that other members have.
    fn missing(&self) -> String {
        let of = |source: &SourceTopic| {
            let own: BTreeSet<u32> = self.assigned_of(source).iter().map(|p| p.partition).collect();
            let missing: Vec<String> =
                (0..source.partitions).filter(|p| !own.contains(p)).map(|p| p.to_string()).collect();
            (!missing.is_empty()).then(|| {
                format!("{} of {} are with another member of group {}", missing.join(", "), source.topic, source.group)
            })
        };
        let all: Vec<String> = self.sources.iter().filter_map(of).collect();
        all.join("; ")
    }

    fn others_have_them(&self) -> Fatal {
        Fatal::new(format!(
            "this job keeps state that is not cut by partition, so it must own every partition: {}; stop the other \
             process, or start this one with another --group",
            self.missing()
        ))
    }

    /// Runs the shards over the present assignment.
    fn life(&mut self, options: &mut RunOptions, stop: &StopHandle, make: &MakeShard) -> Result<LifeEnd, Fatal> {
        let (inputs, resume) = self.begin(options)?;
        let (notes_in, notes) = crossbeam_channel::unbounded();
        let life = super::Life {
            plan: Arc::clone(&self.plan),
            inputs,
            broker: Some(Arc::clone(&self.broker)),
            notes: Some(notes_in),
            resume: resume.clone(),
        };
        let plan = Arc::clone(&self.plan);
        let can_restart = self.can_restart();
        let mut watch = Watch {
            plan: &plan,
            can_restart,
            lived: &mut self.lived,
            members: &mut self.members,
            sources: &self.sources,
            points: resume.points,
            notes,
            commits: None,
            committed: &mut self.committed,
            shown: None,
            failed: None,
            reassigned: false,
        };
        let outcome = super::run_life(life, options, stop, make, &mut |world, observer| watch.tick(world, observer));
        watch.end(outcome, options, stop)
    }

    /// Where the assigned partitions begin, and what operators gave out before.
    fn begin(&mut self, options: &mut RunOptions) -> Result<(Vec<Input>, Resume), Fatal> {
        self.members.iter_mut().for_each(|m| m.changed = false);
        let begin = if self.known.is_some() { Begin::Committed } else { options.kafka.begin.clone() };
        let known = self.sources.iter().map(|s| s.partitions).collect();
        self.known.get_or_insert(known);
        let mut inputs = endpoints::inputs(&self.plan, &options.topics, options.follow)?;
        let (mut points, mut metadata) = (Vec::new(), Vec::new());
        for at in 0..self.sources.len() {
            let (input, known) = self.input(at, &begin, options.kafka.until_end, &mut options.observer)?;
            metadata.extend(known);
            points.extend(input.starts.iter().map(|(p, start)| SafePoint {
                source: self.sources[at].source,
                partition: PartitionId(*p),
                offset: start.offset,
                max_event_time: start.max_event_time,
            }));
            inputs[self.sources[at].source.index()] = Input::Topics(input);
        }
        Ok((inputs, Resume { points, frontiers: commits::frontiers(&self.plan, &metadata), state: None }))
    }

    /// Where the assigned partitions of source number `at` begin.
    fn input(
        &mut self,
        at: usize,
        begin: &Begin,
        until_end: bool,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<(TopicInput, Vec<commits::Metadata>), Fatal> {
        let source = &self.sources[at];
        let assigned = self.assigned_of(source);
        let membership = self.members.iter_mut().find(|m| m.client == source.client && m.group == source.group);
        let committed = match membership {
            Some(membership) => membership.member.committed(&assigned)?,
            None => vec![None; assigned.len()],
        };
        let assigned: Vec<_> = assigned.into_iter().zip(committed).collect();
        let kafka = topics::kafka_sources(&self.plan).find(|(id, _)| *id == source.source).map(|(_, kafka)| kafka);
        let Some(kafka) = kafka else { return Err(Fatal::new("a source is no topic any more")) };
        let first_added = self.known.as_ref().map_or(u32::MAX, |known| known[at]);
        let place = topics::Place { begin, first_added, until_end };
        let (mut starts, metadata) = topics::starts(source, kafka, &*self.broker, &assigned, &place)?;
        for (partition, start) in &mut starts {
            let key = (source.source, PartitionId(*partition));
            let began = self.began.entry(key).or_insert_with(|| start.clone());
            if self.failed && !self.committed.contains_key(&key) {
                *start = began.clone();
            }
            let at = TopicPartition { topic: source.topic.clone(), partition: *partition };
            if let Some(cut) = self.cuts.remove(&at).filter(|cut| *cut < start.offset) {
                // What moved the watermark so far is gone.
                (start.offset, start.max_event_time) = (cut, WM_NONE);
            }
        }
        let resumed = starts.values().filter(|start| start.resumed).count();
        let text = match (begin, resumed) {
            (Begin::Committed, n) if n > 0 => {
                format!("resuming {} at {}; --from-beginning re-reads", source.group, places(&starts))
            }
            _ => format!("reading {} in group {} from {}", source.topic, source.group, places(&starts)),
        };
        observer(Event::Notice(&text));
        let input = TopicInput {
            client: source.client.clone(),
            group: source.group.clone(),
            topic: source.topic.clone(),
            partitions: source.partitions,
            starts,
        };
        Ok((input, metadata))
    }
}

/// What the housekeeping thread does while the shards run: serves the groups, commits, stops the shards when the
/// assignment changes.
struct Watch<'a> {
    plan: &'a AppPlan,
    /// A life that fails can be lived again.
    can_restart: bool,
    /// Set when a barrier went all the way: everything was there.
    lived: &'a mut bool,
    members: &'a mut Vec<Membership>,
    sources: &'a [SourceTopic],
    points: Vec<SafePoint>,
    notes: Receiver<Note>,
    /// Made when the number of shards is known.
    commits: Option<Commits>,
    /// What was committed in this run.
    committed: &'a mut BTreeMap<(SourceId, PartitionId), i64>,
    /// When the partitions were shown last.
    shown: Option<Instant>,
    failed: Option<Fatal>,
    reassigned: bool,
}

impl Watch<'_> {
    fn tick(&mut self, world: &World, observer: &mut dyn FnMut(Event<'_>)) {
        let mut say = |text: String| observer(Event::Notice(&text));
        for membership in self.members.iter_mut() {
            if let Err(fatal) = membership.poll(Duration::ZERO, &mut say) {
                self.failed.get_or_insert(fatal);
            }
        }
        let make = || {
            let interval = topics::commit_interval(self.plan);
            Commits::new(self.plan, world.shards(), &self.points, self.notes.clone(), interval, monotonic())
        };
        let commits = self.commits.get_or_insert_with(make);
        let safe = commits.tick(world, monotonic());
        if let Some(fatal) = lost_data(self.plan, commits.stands()) {
            self.failed.get_or_insert(fatal);
        }
        if self.failed.is_some() {
            world.stop();
            return;
        }
        self.commit(safe, None, &mut say);
        if self.members.iter().any(|m| m.changed) && !world.stopping() {
            self.reassigned = true;
            world.stop();
        }
        self.show(observer);
    }

    /// Tells where the partitions stand, now and then.
    fn show(&mut self, observer: &mut dyn FnMut(Event<'_>)) {
        let Some(commits) = &self.commits else { return };
        if self.shown.is_some_and(|at| at.elapsed() < SHOW_EVERY) {
            return;
        }
        let mut partitions: Vec<_> = commits.read().map(|p| PartitionReport::of(self.plan, p)).collect();
        partitions.iter_mut().for_each(|partition| partition.stands(commits.stands(), self.committed));
        if !partitions.is_empty() {
            self.shown = Some(monotonic());
            observer(Event::Partitions(&partitions));
        }
    }

    fn commit(&mut self, safe: Option<Safe>, wait: Option<Duration>, say: &mut dyn FnMut(String)) {
        let Some(commits) = &mut self.commits else { return };
        commits.take_said().into_iter().for_each(&mut *say);
        if let Some(safe) = safe {
            *self.lived = true;
            let taken = commit_all(self.members, self.sources, commits, &safe, wait, say);
            self.committed.extend(taken);
        }
    }

    /// The shards ended: commits what they ended with and gives back what was revoked.
    fn end(
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
        let safe = self.commits.as_mut().and_then(Commits::take);
        self.commit(safe, Some(LAST_COMMIT), &mut say);
        if let Some(commits) = &self.commits {
            report.stands(commits.stands(), self.committed);
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
        let goes_on = self.reassigned && stop.reason().is_none();
        Ok(if goes_on { LifeEnd::Reassigned(report) } else { LifeEnd::Over(report) })
    }
}

/// A source that says `on.data.loss = fail` and lost records.
fn lost_data(plan: &AppPlan, stands: &BTreeMap<(SourceId, PartitionId), FetchStats>) -> Option<Fatal> {
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

/// `0:15, 1:20`, shortened.
fn places(starts: &BTreeMap<u32, topics::Start>) -> String {
    const SHOWN: usize = 8;
    let mut all: Vec<String> = starts.iter().take(SHOWN).map(|(p, start)| format!("{p}:{}", start.offset)).collect();
    if starts.len() > SHOWN {
        all.push(format!("… {} more", starts.len() - SHOWN));
    }
    all.join(", ")
}

/// Commits what is safe, each partition with its own member; answers what the groups took. What was lost is not committed.
fn commit_all(
    members: &mut [Membership],
    sources: &[SourceTopic],
    commits: &Commits,
    safe: &Safe,
    wait: Option<Duration>,
    say: &mut dyn FnMut(String),
) -> Vec<((SourceId, PartitionId), i64)> {
    let mut taken = Vec::new();
    for membership in members.iter_mut().filter(|m| !m.lost) {
        let of = |point: &SafePoint| {
            let source = sources.iter().find(|s| s.source == point.source)?;
            let own = source.client == membership.client && source.group == membership.group;
            own.then(|| Commit {
                at: TopicPartition { topic: source.topic.clone(), partition: point.partition.0 },
                committed: Committed { offset: point.offset, metadata: commits.metadata(safe, point).text() },
            })
        };
        let (points, list): (Vec<&SafePoint>, Vec<Commit>) =
            safe.partitions.iter().filter_map(|point| Some((point, of(point)?))).unzip();
        if list.is_empty() {
            continue;
        }
        match membership.member.commit(&list, wait) {
            Ok(()) => taken.extend(points.into_iter().map(|p| ((p.source, p.partition), p.offset))),
            Err(CommitError::Stale(reason)) => say(format!("group {} moved on: {reason}", membership.group)),
            Err(CommitError::Unavailable(reason)) => {
                say(format!("group {}: no commit yet: {reason}", membership.group))
            }
        }
    }
    taken
}
