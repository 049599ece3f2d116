//! What to do when a partition cannot be read on where it stood: the offset is gone, the log was cut, or the topic.
//! The question goes to the brokers and may take long, so it is asked by a thread of its own, one per incident; the
//! fetcher looks at the answer when it is woken.
//!
//! Below the log's start: on from the start, with the gap counted as lost. Above its end, or cut: what was read is no
//! longer what the log holds, so that the job has to begin again at the cut at the latest. Topic away: fatal when it stays away for [`TOPIC_WAIT`].

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use velostream_types::topic::TopicPartition;

use crate::notices::{Notices, now};

/// How long a topic may be away.
pub(super) const TOPIC_WAIT: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(5);

/// What came out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Reading goes on at `at`; so many records before it were lost.
    Resumed {
        /// Next offset.
        at: i64,
        /// Records that retention took.
        lost: u64,
    },
    /// The log was cut: it holds nothing from `at` on that was read before.
    Diverged {
        /// Where it goes on.
        at: i64,
        /// For people.
        text: String,
    },
    /// It cannot go on: for people.
    Failed(String),
}

/// An incident being dealt with. Dropping it ends the thread.
pub(super) struct Recovery {
    answer: Receiver<Outcome>,
    _stop: Sender<()>,
}

/// What happened, and where.
pub(super) struct Incident {
    /// Which partition.
    pub(super) at: TopicPartition,
    /// Next offset that was to be read.
    pub(super) position: i64,
    /// librdkafka's words.
    pub(super) reason: String,
}

impl Recovery {
    /// Begins; `wake` is called when there is an answer.
    pub(super) fn begin(
        consumer: &Arc<BaseConsumer<Notices>>,
        incident: Incident,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Recovery> {
        let consumer = Arc::downgrade(consumer);
        let (answer, answered) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new().name("kafka-recover".to_owned()).spawn(move || {
            if let Some(outcome) = recover(&consumer, &incident, &stopped) {
                // Nobody listens any more: the fetcher was dropped.
                drop(answer.send(outcome));
                wake();
            }
        })?;
        Ok(Recovery { answer: answered, _stop: stop })
    }

    /// The outcome, once.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.answer.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Outcome::Failed("the thread that asked the brokers died".into())),
        }
    }
}

fn recover(consumer: &Weak<BaseConsumer<Notices>>, incident: &Incident, stopped: &Receiver<()>) -> Option<Outcome> {
    let begun = now();
    loop {
        let alive = consumer.upgrade()?;
        let TopicPartition { topic, partition } = &incident.at;
        let partition = i32::try_from(*partition).ok()?;
        match alive.fetch_watermarks(topic, partition, ANSWER) {
            Ok((start, end)) => match decide(incident, start, end) {
                Outcome::Resumed { at, lost } => {
                    if restart(&alive, topic, partition, at).is_ok() {
                        return Some(Outcome::Resumed { at, lost });
                    }
                }
                failed => return Some(failed),
            },
            Err(error) if is_away(&error) && now().duration_since(begun) >= TOPIC_WAIT => {
                return Some(Outcome::Failed(format!(
                    "the partition is gone since {} s ({}); was the topic deleted? Create it again or start without it",
                    TOPIC_WAIT.as_secs(),
                    incident.reason
                )));
            }
            // Away, or no broker to ask: the next try tells.
            Err(_) => {}
        }
        drop(alive);
        if !matches!(stopped.recv_timeout(BETWEEN_TRIES), Err(RecvTimeoutError::Timeout)) {
            return None;
        }
    }
}

/// What the bounds of the log mean for a reader at `incident.position`.
fn decide(incident: &Incident, start: i64, end: i64) -> Outcome {
    let (position, reason) = (incident.position, &incident.reason);
    if position > end || reason.contains("truncation") {
        let at = cut(reason).unwrap_or(end).clamp(start, end.max(start)).min(position);
        let text = format!(
            "offset {position} was to be read next, but the log ends at {end} ({reason}): it was truncated or the topic \
             was made anew, so that results may rest on records that are gone"
        );
        return Outcome::Diverged { at, text };
    }
    if position < start {
        return Outcome::Resumed { at: start, lost: (start - position) as u64 };
    }
    Outcome::Resumed { at: position, lost: 0 }
}

/// The end of what the log still shares with its reader, where librdkafka tells: the new leader's end of the epoch that
/// was read.
fn cut(reason: &str) -> Option<i64> {
    let digits = reason.split("broker end offset is ").nth(1)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn is_away(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
    )
}

/// Begins again at `at`. A seek will not do: librdkafka has stopped the partition and seeks only what it fetches.
/// The partition's queue stays split off.
fn restart(consumer: &BaseConsumer<Notices>, topic: &str, partition: i32, at: i64) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(at))?;
    // A try before this one may have come so far.
    consumer.incremental_unassign(&list).ok();
    consumer.incremental_assign(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_log_decide() {
        let check = |position, reason: &str, (start, end), expected: Result<(i64, u64), (i64, &str)>| {
            let at = TopicPartition { topic: "t".to_owned(), partition: 0 };
            let outcome = decide(&Incident { at, position, reason: reason.to_owned() }, start, end);
            match (outcome, expected) {
                (Outcome::Resumed { at, lost }, Ok(expected)) => assert_eq!((at, lost), expected),
                (Outcome::Diverged { at, text }, Err((cut, part))) => {
                    assert!(at == cut && text.contains(part), "{at}: {text}");
                }
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        };
        check(5, "gone", (9, 20), Ok((9, 4)));
        check(9, "gone", (9, 20), Ok((9, 0)));
        check(20, "gone", (9, 20), Ok((20, 0)));
        check(21, "gone", (9, 20), Err((20, "ends at 20")));
        check(15, "Partition log truncation detected", (9, 20), Err((15, "truncated")));
        let told = "Partition log truncation detected at offset 15: broker end offset is 12 (offset leader epoch 3)";
        check(15, told, (9, 20), Err((12, "truncated")));
        check(15, &told.replace("12", "3"), (9, 20), Err((9, "truncated")));
    }
}
