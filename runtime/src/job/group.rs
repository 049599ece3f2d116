//! A run over topics: a member in each group on this thread, and one life of the shards per assignment.
//!
//! When the group gives or takes partitions, the shards stop at a barrier (no window fires), what they wrote is
//! acknowledged and committed, and new shards go on with the new assignment from what was committed. A job whose state
//! is not cut by partition has to own every partition; with fewer it waits, then says whose the others are.
//!
//! A life also ends when the log it reads was cut, or when a producer lost the order of its records: the next one goes on
//! from the last commit (at the cut at the latest), after a pause. Once a job lived, brokers that are away are waited for.
//!
//! With a state folder every life goes on from its newest checkpoint instead, and the shards stop behind a checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use velostream_exec::commit::{self, SafePoint};
use velostream_sql::plan::{AppPlan, NodeKind};
use velostream_types::time::WM_NONE;
use velostream_types::topic::{Broker, Client, Committed, GroupMember, MemberEvent, MemberSpec, TopicPartition};
use velostream_types::{Fatal, PartitionId, Remedy, SourceId};

use self::watch::{Pulse, Watch};
use super::checkpoint::Keeper;
use super::checkpoint::collect::Collector;
use super::commits;
use super::endpoints::TopicInput;
use super::topics::{self, Begin, SourceTopic};
use super::{Event, Input, MakeShard, Resume, RunOptions, RunReport, endpoints};
use crate::clock::monotonic;
use crate::stop::StopHandle;

mod watch;

/// How long a poll of a member waits when there is nothing else to do.
const POLL: Duration = Duration::from_millis(100);
/// How long a job waits for partitions that another member has, beyond the session's time-out.
const OWNERSHIP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a commit may take when the run, or an assignment, ends.
const LAST_COMMIT: Duration = Duration::from_secs(10);
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

/// Runs a plan that reads or writes topics; with a keeper from where its state stands.
pub(super) fn run(
    mut plan: AppPlan,
    mut options: RunOptions,
    stop: &StopHandle,
    make: &MakeShard,
    keeper: Option<Keeper>,
) -> Result<RunReport, Fatal> {
    let broker = options.broker.clone().ok_or_else(|| Fatal::new("this program was built without a Kafka client"))?;
    // Jobs without annotations are named by their objects.
    plan.name_groups(|_| None);
    let plan = Arc::new(plan);
    let sources = {
        let observer = &mut options.observer;
        let mut say = |text: String| observer(Event::Notice(&text));
        let missing = keeper.as_ref().and_then(Keeper::topic_is_missing);
        let find = topics::Find { group: options.kafka.group.as_deref(), missing: missing.as_deref() };
        let sources = topics::find_sources(&plan, &*broker, &find, stop, &mut say)?;
        topics::make_sinks(&plan, &*broker, &sources, &mut say)?;
        keeper.as_ref().and_then(|_| Keeper::at_least_once(&plan)).into_iter().for_each(&mut say);
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
        keeper,
    };
    let outcome = job.lives(&mut options, stop, make);
    for membership in job.members {
        membership.member.leave();
    }
    let checkpoints = job.keeper.map(|keeper| keeper.report);
    outcome.map(|report| RunReport { checkpoints, ..report })
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
    /// Every life goes on from its newest checkpoint.
    keeper: Option<Keeper>,
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
        let place = if self.keeper.is_some() { "the newest checkpoint" } else { "the last commit" };
        say(format!("going on from {place} in {} ms: {fatal}", pause.as_millis()));
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

    /// TRUE when all that is read stands in logs or is known to checkpoints, so that a life that failed can be lived again.
    fn can_restart(&self) -> bool {
        self.keeper.is_some() || self.sources.len() == self.plan.sources.len()
    }

    /// TRUE when the job may not share its partitions: its state is not cut by them, or its folder is of all of them.
    fn needs_all(&self) -> bool {
        self.keeper.is_some() || !commit::is_stateless(&self.plan)
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
        let why = match self.keeper {
            Some(_) => "the state folder of a run is of all its partitions, so it must own every one",
            None => "this job keeps state that is not cut by partition, so it must own every partition",
        };
        Fatal::new(format!("{why}: {}; stop the other process, or start this one with another --group", self.missing()))
    }

    /// Runs the shards over the present assignment.
    fn life(&mut self, options: &mut RunOptions, stop: &StopHandle, make: &MakeShard) -> Result<LifeEnd, Fatal> {
        let (inputs, resume) = self.begin(options)?;
        let (notes_in, notes) = crossbeam_channel::unbounded();
        let plan = Arc::clone(&self.plan);
        let can_restart = self.can_restart();
        let pulse = match &mut self.keeper {
            Some(keeper) => Pulse::Checkpoints(Collector::new(keeper, notes, Arc::clone(&plan), inputs.clone())),
            None => Pulse::Waiting { points: resume.points.clone(), notes },
        };
        let life = super::Life {
            plan: Arc::clone(&plan),
            inputs,
            broker: Some(Arc::clone(&self.broker)),
            notes: Some(notes_in),
            resume,
        };
        let mut watch = Watch {
            plan: &plan,
            can_restart,
            lived: &mut self.lived,
            members: &mut self.members,
            sources: &self.sources,
            pulse,
            committed: &mut self.committed,
            shown: None,
            failed: None,
            reassigned: false,
        };
        let tick = &mut |world: &_, observer: &mut dyn FnMut(Event<'_>)| watch.tick(world, stop, observer);
        let outcome = super::run_life(life, options, stop, make, tick);
        watch.end(outcome, options, stop)
    }

    /// Where the assigned partitions begin, and what operators gave out before.
    fn begin(&mut self, options: &mut RunOptions) -> Result<(Vec<Input>, Resume), Fatal> {
        self.members.iter_mut().for_each(|m| m.changed = false);
        let is_first = self.known.is_none();
        let goes_on = self.keeper.as_mut().map_or(Ok(false), Keeper::goes_on)?;
        if goes_on && is_first && options.kafka.begin != Begin::Committed {
            let text = "--from and --from-beginning say where the first start begins; the state folder says where this one does";
            (options.observer)(Event::Notice(text));
        }
        let begin = if is_first { options.kafka.begin.clone() } else { Begin::Committed };
        let known = self.sources.iter().map(|s| s.partitions).collect();
        self.known.get_or_insert(known);
        let mut inputs = endpoints::inputs(&self.plan, &options.topics, options.follow)?;
        let (mut points, mut metadata) = (Vec::new(), Vec::new());
        for at in 0..self.sources.len() {
            let input = if goes_on {
                self.kept_input(at, &mut options.observer)?
            } else {
                let (input, known) = self.input(at, &begin, options.kafka.until_end, &mut options.observer)?;
                metadata.extend(known);
                input
            };
            points.extend(input.starts.iter().map(|(p, start)| SafePoint {
                source: self.sources[at].source,
                partition: PartitionId(*p),
                offset: start.offset,
                max_event_time: start.max_event_time,
            }));
            inputs[self.sources[at].source.index()] = Input::Topics(input);
        }
        let mut resume = Resume { points, frontiers: commits::frontiers(&self.plan, &metadata), state: None };
        if let Some(keeper) = &mut self.keeper {
            self.cuts.clear();
            let mut say = |text: String| (options.observer)(Event::Notice(&text));
            resume = keeper.begin(&self.plan, &mut inputs, resume, &mut say)?;
        }
        Ok((inputs, resume))
    }

    /// The assigned partitions of source number `at` with what the group committed for them.
    fn committed_of(&mut self, at: usize) -> Result<Vec<(TopicPartition, Option<Committed>)>, Fatal> {
        let source = &self.sources[at];
        let assigned = self.assigned_of(source);
        let membership = self.members.iter_mut().find(|m| m.client == source.client && m.group == source.group);
        let committed = match membership {
            Some(membership) => membership.member.committed(&assigned)?,
            None => vec![None; assigned.len()],
        };
        Ok(assigned.into_iter().zip(committed).collect())
    }

    /// Where the assigned partitions of source number `at` go on by the newest checkpoint.
    fn kept_input(&mut self, at: usize, observer: &mut dyn FnMut(Event<'_>)) -> Result<TopicInput, Fatal> {
        let assigned = self.committed_of(at)?;
        let source = &self.sources[at];
        let mut say = |text: String| observer(Event::Notice(&text));
        let starts = match &mut self.keeper {
            Some(keeper) => keeper.starts(source, &*self.broker, &assigned, &self.cuts, &mut say)?,
            None => BTreeMap::new(),
        };
        say(format!("reading {} in group {} from {}", source.topic, source.group, places(&starts)));
        Ok(topic_input(source, starts))
    }

    /// Where the assigned partitions of source number `at` begin.
    fn input(
        &mut self,
        at: usize,
        begin: &Begin,
        until_end: bool,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<(TopicInput, Vec<commits::Metadata>), Fatal> {
        let assigned = self.committed_of(at)?;
        let source = &self.sources[at];
        if let Some(mark) = Keeper::mark_of(&assigned).filter(|_| matches!(begin, Begin::Committed)) {
            if !keeps_nothing(&self.plan) {
                return Err(mark.refusal(&source.group));
            }
            observer(Event::Notice(&format!(
                "group {} stands at checkpoint {} of a run with --state {}; this app keeps nothing and goes on from there",
                source.group, mark.checkpoint, mark.folder
            )));
        }
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
        if let Some(keeper) = &mut self.keeper {
            keeper.note_logs(source, &*self.broker, &starts)?;
        }
        Ok((topic_input(source, starts), metadata))
    }
}

/// TRUE when offsets are all that a restart needs: no operator holds rows, for however short a time.
fn keeps_nothing(plan: &AppPlan) -> bool {
    let holds = |kind: &NodeKind| matches!(kind, NodeKind::Join(_) | NodeKind::Over(_) | NodeKind::Subqueries(_));
    commit::is_stateless(plan) && !plan.nodes.iter().any(|node| holds(&node.kind))
}

fn topic_input(source: &SourceTopic, starts: BTreeMap<u32, topics::Start>) -> TopicInput {
    TopicInput {
        client: source.client.clone(),
        group: source.group.clone(),
        topic: source.topic.clone(),
        partitions: source.partitions,
        starts,
    }
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
