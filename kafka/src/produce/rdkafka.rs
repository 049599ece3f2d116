//! One core's producer through librdkafka: idempotent, acks=all, retried without end by librdkafka itself.
//!
//! A record carries the number of its group of marks ([`Marks`]); a delivery report gives it back. Records a broker
//! refuses for what they are wait for the dead letter, those of a batch that is too large after each was sent alone
//! ([`Alone`]); every other failure is fatal, because the order of the records behind it is gone: the job starts again
//! from its commit.
//!
//! Cost per record: one hand-over (librdkafka allocates and copies) and one report; headers and their list are
//! allocated only for sinks that have them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use velostream_types::headers::event_time;
use velostream_types::topic::{Produce, ProduceSpec, Rejected, Wake};
use velostream_types::{Chunk, Fatal, Remedy};

use super::alone::{Alone, rejected};
use super::handle::{Handle, HeaderList, Outgoing, header_list};
use super::marks::Marks;
use crate::config::{Role, client_config, not_created};
use crate::notices::{Notices, now};

/// How long a start waits for the brokers.
const CONNECT: Duration = Duration::from_secs(30);
/// How long until every broker knows a topic that was just made.
const CREATED: Duration = Duration::from_secs(5);
/// One question to them.
const ASK: Duration = Duration::from_secs(5);
/// How long one look at the reports waits while flushing.
const LOOK: Duration = Duration::from_millis(50);

/// The producer of one core.
pub(crate) struct RdkafkaProduce {
    handle: Handle,
    topics: Vec<String>,
    marks: Marks,
    rejected: Vec<Rejected>,
    alone: Alone,
    failed: Option<Fatal>,
    /// Text of the numbers in headers.
    number: String,
}

/// What a failed delivery means.
enum Verdict {
    /// The record is at fault.
    Rejected,
    /// Another record of its batch was at fault.
    Again,
    /// The record or its batch is too large.
    TooLarge,
    /// The producer cannot go on.
    Fatal,
}

fn verdict(code: RDKafkaErrorCode) -> Verdict {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Verdict::TooLarge,
        Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::PolicyViolation
        | Code::UnsupportedForMessageFormat => Verdict::Rejected,
        Code::InvalidDifferentRecord => Verdict::Again,
        _ => Verdict::Fatal,
    }
}

impl RdkafkaProduce {
    /// Makes the client and waits until the brokers know every topic: the first record then finds a connection and,
    /// for idempotent writing, a producer id.
    pub(crate) fn open(spec: &ProduceSpec, wake: Wake) -> Result<RdkafkaProduce, Fatal> {
        let mut config: ClientConfig = client_config(&spec.client, &Role::Produce)?;
        Notices::configure(&mut config);
        if spec.eager {
            config.set("linger.ms", "0");
        }
        let notices = Notices::new(&spec.client);
        let handle = Handle::new(&config, notices, &spec.topics, Box::new(move || wake()))
            .map_err(|error| not_created(&spec.client, &error))?;
        let mut produce = RdkafkaProduce {
            handle,
            topics: spec.topics.clone(),
            marks: Marks::default(),
            rejected: Vec::new(),
            alone: Alone::default(),
            failed: None,
            number: String::new(),
        };
        for topic in &spec.topics {
            produce.find(topic)?;
        }
        Ok(produce)
    }

    /// Waits until the brokers know the topic.
    fn find(&mut self, topic: &str) -> Result<(), Fatal> {
        use RDKafkaErrorCode as Code;
        let begun = now();
        while let Err(error) = self.ask_for(topic) {
            // The reasons are in the events.
            self.serve(LOOK)?;
            let patience = match error.rdkafka_error_code() {
                Some(Code::TopicAuthorizationFailed) => Duration::ZERO,
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => CREATED,
                _ => CONNECT,
            };
            if now().duration_since(begun) >= patience {
                return Err(self.not_found(topic, &error, patience));
            }
        }
        Ok(())
    }

    fn ask_for(&self, topic: &str) -> Result<(), KafkaError> {
        let metadata = self.handle.client().fetch_metadata(Some(topic), ASK)?;
        match metadata.topics().first().and_then(|topic| topic.error()) {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(()),
        }
    }

    fn not_found(&self, topic: &str, error: &KafkaError, waited: Duration) -> Fatal {
        use RDKafkaErrorCode as Code;
        let notices = self.handle.notices();
        Fatal::new(match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let cluster = notices.cluster();
                format!("Kafka at {cluster}: topic {topic} does not exist; create it, or leave topic.create on")
            }
            Some(Code::TopicAuthorizationFailed) => notices.denied("Write", "topic", topic),
            _ => return Fatal::new(notices.unreachable(waited)).with(Remedy::Later),
        })
    }

    /// Takes the reports that wait, and those that come within `wait`.
    fn serve(&mut self, mut wait: Duration) -> Result<(), Fatal> {
        let RdkafkaProduce { handle, topics, marks, rejected: refused, alone, failed, .. } = self;
        while handle.serve(wait, |report| {
            if report.is_alone {
                alone.reported();
            }
            let Some(code) = report.error else { return marks.delivered(report.group) };
            let topic = topics.iter().position(|topic| topic == report.topic).unwrap_or_default();
            match verdict(code) {
                Verdict::Again if report.resend(handle).is_ok() => {}
                Verdict::TooLarge if !report.is_alone => alone.add(topic, &report),
                Verdict::TooLarge | Verdict::Rejected => {
                    refused.push(rejected(topic, code, &report));
                    marks.refused(report.group);
                }
                Verdict::Again | Verdict::Fatal => {
                    failed.get_or_insert_with(|| undelivered(handle.notices(), report.topic, code));
                }
            }
        }) {
            wait = Duration::ZERO;
        }
        if let Err((topic, code)) = alone.advance(handle, marks.in_flight()) {
            failed.get_or_insert_with(|| undelivered(handle.notices(), &topics[topic], code));
        }
        if let Some((code, text)) = self.handle.client().fatal_error() {
            let notices = self.handle.notices();
            let fatal = match (code, self.topics.first()) {
                // Who may write to any topic gets a producer id.
                (RDKafkaErrorCode::ClusterAuthorizationFailed, Some(topic)) => {
                    Fatal::new(notices.denied("Write", "topic", topic))
                }
                _ => {
                    let cluster = notices.cluster();
                    let text = format!("Kafka at {cluster}: the producer's order of records is lost ({code}): {text}");
                    Fatal::new(text).with(Remedy::Restart(Vec::new()))
                }
            };
            self.failed.get_or_insert(fatal);
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn headers(&mut self, rows: &Chunk, row: usize) -> Result<Option<HeaderList>, Fatal> {
        let own = rows.headers.get(row).and_then(Option::as_deref);
        let event_ns = rows.event_ns.get(row).copied();
        if own.is_none() && event_ns.is_none() {
            return Ok(None);
        }
        let (mut list, is_whole) = own.map_or_else(|| (HeaderList::new(), true), header_list);
        if !is_whole {
            return Err(Fatal::new("headers of a row do not have the form of Kafka's record format"));
        }
        for (key, value) in event_ns.into_iter().flat_map(event_time) {
            list.add(key.as_bytes(), Some(text(&mut self.number, value)));
        }
        Ok(Some(list))
    }

    /// FALSE: the queue is full.
    fn send_row(&mut self, topic: usize, rows: &Chunk, row: usize) -> Result<bool, Fatal> {
        let headers = self.headers(rows, row)?;
        let key = rows.keys.get(row).and_then(Option::as_deref);
        let is_delete = rows.deletes.get(row).copied().unwrap_or(false);
        let value = (!is_delete).then(|| rows.record_value(row));
        let group = self.marks.group();
        let timestamp_ms = rows.times_ms.get(row).copied();
        let record = Outgoing { key, value, timestamp_ms, headers, group, is_alone: false };
        match self.handle.send(topic, record) {
            Ok(()) => {
                self.marks.sent();
                Ok(true)
            }
            Err(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err(code) if matches!(verdict(code), Verdict::TooLarge | Verdict::Rejected) => {
                self.marks.sent();
                self.marks.refused(group);
                let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
                let headers = rows.record_headers(row);
                self.rejected.push(Rejected { topic, reason: code.to_string(), key, value, headers, timestamp_ms });
                Ok(true)
            }
            Err(code) => Err(undelivered(self.handle.notices(), &self.topics[topic], code)),
        }
    }
}

impl Produce for RdkafkaProduce {
    fn send(&mut self, topic: usize, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        self.serve(Duration::ZERO)?;
        if self.alone.is_busy() {
            return Ok(0);
        }
        let mut has_looked = false;
        let mut row = from;
        while row < rows.rows() {
            if self.send_row(topic, rows, row)? {
                row += 1;
                has_looked = false;
            } else if has_looked {
                break;
            } else {
                // Reports that wait hold places in the queue.
                self.serve(Duration::ZERO)?;
                has_looked = true;
            }
        }
        Ok(row - from)
    }

    fn poll(&mut self) -> Result<(), Fatal> {
        self.serve(Duration::ZERO)
    }

    fn mark(&mut self, n: u64) {
        self.marks.close(n);
    }

    fn acknowledged(&self) -> u64 {
        self.marks.acknowledged()
    }

    fn outstanding(&self) -> usize {
        self.marks.outstanding()
    }

    fn flush(&mut self, wait: Duration) -> Result<bool, Fatal> {
        let deadline = now() + wait;
        self.serve(Duration::ZERO)?;
        while self.marks.in_flight() > 0 {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Ok(false);
            }
            self.handle.hurry();
            self.serve(left.min(LOOK))?;
        }
        Ok(self.marks.outstanding() == 0)
    }

    fn take_rejected(&mut self) -> Vec<Rejected> {
        std::mem::take(&mut self.rejected)
    }

    fn buried(&mut self, records: usize) {
        self.marks.buried(records);
    }

    fn notices(&mut self) -> Vec<String> {
        self.handle.notices().take()
    }
}

fn text(number: &mut String, value: i64) -> &[u8] {
    use std::fmt::Write;
    number.clear();
    // Writing to a string cannot fail.
    write!(number, "{value}").ok();
    number.as_bytes()
}

fn undelivered(notices: &Notices, topic: &str, code: RDKafkaErrorCode) -> Fatal {
    use RDKafkaErrorCode as Code;
    // The broker lost, or never had, what the numbering of records stands on; a new producer numbers anew.
    let is_order_lost = matches!(
        code,
        Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping
            | Code::ProducerFenced
            | Code::Fenced
            | Code::Fatal
    );
    let remedy = if is_order_lost { Remedy::Restart(Vec::new()) } else { Remedy::Stop };
    let advice = match code {
        Code::TopicAuthorizationFailed => return Fatal::new(notices.denied("Write", "topic", topic)),
        Code::ClusterAuthorizationFailed => return Fatal::new(notices.denied("IdempotentWrite", "cluster", "")),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => ". Was the topic deleted?",
        Code::MessageTimedOut => ". message.timeout.ms (delivery.timeout.ms) ended the retries; 0 retries without end",
        _ => "",
    };
    let cluster = notices.cluster();
    Fatal::new(format!("Kafka at {cluster}: a record for topic {topic} was not written: {code}{advice}")).with(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::topic::Client;

    #[test]
    fn a_lost_order_is_got_over_by_a_new_producer() {
        let check = |code, restarts| {
            let fatal = undelivered(&Notices::new(&Client::default()), "t", code);
            assert_eq!(fatal.remedy == Remedy::Restart(Vec::new()), restarts, "{fatal}");
        };
        use RDKafkaErrorCode as Code;
        check(Code::OutOfOrderSequenceNumber, true);
        check(Code::UnknownProducerId, true);
        check(Code::ProducerFenced, true);
        check(Code::TopicAuthorizationFailed, false);
        check(Code::MessageTimedOut, false);
    }
}
