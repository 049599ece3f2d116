//! Membership in a consumer group: holds partitions and commits for them, fetches nothing (what is assigned is paused at
//! once). Lives on the housekeeping thread, which polls it.
//!
//! Revocation is deferred: the callback only remembers what goes; librdkafka waits for [`GroupMember::release`] before it
//! lets others have it. While it waits the assignment may be lost (session over): then it is given up at once.
//! Commits are answered in order (`answers`); a caller that waits serves the group until its own answer is there.

mod answers;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use velostream_types::topic::{Commit, CommitError, Committed, GroupMember, MemberEvent, MemberSpec, TopicPartition};
use velostream_types::{Fatal, Remedy};

use answers::Answers;

use crate::config::{Role, client_config, not_created};
use crate::notices::{Notices, now};

/// How long the brokers may keep an answer about commits to themselves.
const PATIENCE: Duration = Duration::from_secs(30);
const ASK: Duration = Duration::from_secs(5);
/// Granularity of waiting for a commit's answer.
const LOOK: Duration = Duration::from_millis(20);

/// A member of a group.
pub(crate) struct Member {
    /// Goes before the consumer it belongs to.
    answers: Answers,
    consumer: BaseConsumer<Context>,
    spec: MemberSpec,
    /// Commits whose answers are still to come.
    unanswered: u64,
}

struct Context {
    notices: Notices,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    events: VecDeque<MemberEvent>,
    revoking: Option<TopicPartitionList>,
    is_leaving: bool,
    failed: Option<String>,
}

impl Member {
    /// Asks to join; the first assignment comes as an event.
    pub(crate) fn join(spec: MemberSpec) -> Result<Member, Fatal> {
        let role = Role::Member { group: spec.group.clone(), instance: spec.instance.clone() };
        let mut config = client_config(&spec.client, &role)?;
        Notices::configure(&mut config);
        let notices = Notices::new(&spec.client);
        let context = Context { notices, changes: Mutex::default() };
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|error| not_created(&spec.client, &error))?;
        let topics: Vec<&str> = spec.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| {
            Fatal::new(format!("group {} cannot subscribe to {}: {error}", spec.group, topics.join(", ")))
        })?;
        Ok(Member { answers: Answers::new(&consumer), consumer, spec, unanswered: 0 })
    }

    fn context(&self) -> &Context {
        self.consumer.context()
    }

    fn next_event(&self) -> Option<MemberEvent> {
        let context = self.context();
        let mut changes = context.lock();
        if let Some(event) = changes.events.pop_front() {
            return Some(event);
        }
        for line in context.notices.take() {
            changes.events.push_back(MemberEvent::Notice(line));
        }
        changes.events.pop_front()
    }

    /// What was to be revoked in good order may be taken away meanwhile.
    fn check_lost(&self) {
        let context = self.context();
        let mut changes = context.lock();
        if self.consumer.assignment_lost()
            && let Some(list) = changes.revoking.take()
        {
            changes.events.push_back(MemberEvent::Lost(partitions(&list)));
            drop(changes);
            context.give_up(&self.consumer, &list);
        }
    }

    fn check_fatal(&self) -> Result<(), Fatal> {
        let place = || format!("group {} at {}", self.spec.group, self.context().notices.cluster());
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            return Err(Fatal::new(format!("{}: {}", place(), self.fatal_text(code, &text))));
        }
        self.context().lock().failed.take().map_or(Ok(()), |text| Err(Fatal::new(format!("{}: {text}", place()))))
    }

    fn fatal_text(&self, code: RDKafkaErrorCode, text: &str) -> String {
        match (code, &self.spec.instance) {
            (RDKafkaErrorCode::FencedInstanceId, Some(instance)) => format!(
                "another process joined as instance \"{instance}\" (group.instance.id) and took this one's place. \
                 Each running process needs a name of its own: set --instance-id (else POD_NAME, else HOSTNAME), or \
                 stop the other one"
            ),
            _ => format!("{text} ({code})"),
        }
    }

    /// One round of the group protocol.
    fn serve(&self, wait: Duration) {
        if let Some(Err(error)) = self.consumer.poll(wait) {
            self.consider(&error);
        }
        self.check_lost();
    }

    /// Sorts what a poll or a question answered: fatal, or told by the client's own lines.
    fn consider(&self, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        let notices = &self.context().notices;
        let text = match error.rdkafka_error_code() {
            Some(Code::GroupAuthorizationFailed) => notices.denied("Read", "group", &self.spec.group),
            Some(Code::TopicAuthorizationFailed) => notices.denied("Read", "topic", &self.spec.topics.join(", ")),
            _ => return,
        };
        self.context().lock().failed = Some(text);
    }

    fn list(of: &[TopicPartition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(of.len());
        for at in of {
            list.add_partition(&at.topic, at.partition as i32);
        }
        list
    }

    fn send_commit(&mut self, commits: &[Commit]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for Commit { at, committed } in commits {
            let mut element = list.add_partition(&at.topic, at.partition as i32);
            element.set_offset(Offset::Offset(committed.offset))?;
            element.set_metadata(&committed.metadata);
        }
        self.answers.send(&self.consumer, &list).map_err(KafkaError::ConsumerCommit)?;
        self.unanswered += 1;
        Ok(())
    }

    fn next_answer(&mut self, wait: Duration) -> Option<Result<(), CommitError>> {
        let answer = self.answers.next(wait)?;
        self.unanswered = self.unanswered.saturating_sub(1);
        Some(match answer {
            Ok(()) | Err(RDKafkaErrorCode::NoOffset) => Ok(()),
            Err(code) => Err(commit_error(&KafkaError::ConsumerCommit(code))),
        })
    }

    /// Answers nobody waits for are lines for the log when they are bad.
    fn hear_answers(&mut self) {
        while let Some(answer) = self.next_answer(Duration::ZERO) {
            self.tell(answer);
        }
    }

    fn tell(&self, answer: Result<(), CommitError>) {
        if let Err(CommitError::Stale(text) | CommitError::Unavailable(text)) = answer {
            self.context().notices.say(format!("offsets were not committed: {text}"));
        }
    }
}

impl GroupMember for Member {
    fn poll(&mut self, wait: Duration) -> Result<Option<MemberEvent>, Fatal> {
        self.check_fatal()?;
        if let Some(event) = self.next_event() {
            return Ok(Some(event));
        }
        self.serve(wait);
        self.hear_answers();
        self.check_fatal()?;
        Ok(self.next_event())
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Committed>>, Fatal> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = now() + PATIENCE;
        loop {
            let answer = self.consumer.committed_offsets(Member::list(of), ASK).and_then(|list| {
                list.elements().iter().try_for_each(|element| element.error())?;
                Ok(list)
            });
            match answer {
                Ok(list) => {
                    let found = |at: &TopicPartition| {
                        let element = list.find_partition(&at.topic, at.partition as i32)?;
                        match element.offset() {
                            Offset::Offset(offset) => {
                                Some(Committed { offset, metadata: element.metadata().to_owned() })
                            }
                            _ => None,
                        }
                    };
                    return Ok(of.iter().map(found).collect());
                }
                Err(error) => {
                    self.consider(&error);
                    self.check_fatal()?;
                    if now() >= deadline {
                        let (group, cluster) = (&self.spec.group, self.context().notices.cluster());
                        let seconds = PATIENCE.as_secs();
                        return Err(Fatal::new(format!(
                            "group {group} at {cluster}: what was committed could not be read for {seconds} s: {error}"
                        ))
                        .with(Remedy::Later));
                    }
                }
            }
        }
    }

    fn commit(&mut self, commits: &[Commit], wait: Option<Duration>) -> Result<(), CommitError> {
        if commits.is_empty() {
            return Ok(());
        }
        self.send_commit(commits).map_err(|error| commit_error(&error))?;
        let Some(wait) = wait else { return Ok(()) };
        let deadline = now() + wait;
        loop {
            let left = deadline.saturating_duration_since(now());
            if let Some(answer) = self.next_answer(left.min(LOOK)) {
                // Answers come in the order of the commits: the last one is this one's.
                if self.unanswered == 0 {
                    return answer;
                }
                self.tell(answer);
            }
            self.serve(Duration::ZERO);
            if left.is_zero() {
                let seconds = wait.as_secs_f32();
                return Err(CommitError::Unavailable(format!("no answer to the commit in {seconds} s")));
            }
        }
    }

    fn release(&mut self) {
        let list = self.context().lock().revoking.take();
        if let Some(list) = list {
            self.context().give_up(&self.consumer, &list);
        }
    }

    fn leave(self: Box<Self>) {
        drop(self);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.release();
        // Closing the consumer revokes the rest and waits until it is given up; nobody is there to release it.
        self.context().lock().is_leaving = true;
    }
}

impl Context {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_on(&self, consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) {
        // From the end and paused: nothing is fetched in between.
        let taken = list.set_all_offsets(Offset::End).and_then(|()| match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        });
        let done = taken.and_then(|()| if list.count() > 0 { consumer.pause(list) } else { Ok(()) });
        if let Err(error) = done {
            self.lock().failed = Some(format!("partitions could not be taken on: {error}"));
        }
        if list.count() > 0 {
            self.lock().events.push_back(MemberEvent::Assigned(partitions(list)));
        }
    }

    fn give_up(&self, consumer: &BaseConsumer<Context>, list: &TopicPartitionList) {
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        // Taken away in the meantime: gone is what it was to be.
        if let Err(error) = done {
            self.notices.say(format!("partitions could not be given up: {error}"));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.notices.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.notices.stats(statistics);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Context>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            return self.take_on(consumer, list);
        }
        let is_lost = consumer.assignment_lost();
        let mut changes = self.lock();
        if changes.is_leaving || is_lost || list.count() == 0 {
            if is_lost && list.count() > 0 {
                changes.revoking = None;
                changes.events.push_back(MemberEvent::Lost(partitions(list)));
            }
            drop(changes);
            return self.give_up(consumer, list);
        }
        changes.events.push_back(MemberEvent::Revoking(partitions(list)));
        changes.revoking = Some(list.clone());
    }
}

fn commit_error(error: &KafkaError) -> CommitError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::IllegalGeneration
            | Code::RebalanceInProgress
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch
            | Code::AssignmentLost,
        ) => CommitError::Stale(error.to_string()),
        _ => CommitError::Unavailable(error.to_string()),
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let one = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        // librdkafka never revokes or assigns "any partition" (-1).
        TopicPartition { topic: element.topic().to_owned(), partition: element.partition().unsigned_abs() }
    };
    elements.iter().map(one).collect()
}
