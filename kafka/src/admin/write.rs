//! Writing records by hand (`velo-cli topic produce`, tests). The data path is `produce`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use velostream_types::Fatal;

use super::{Admin, now};
use crate::config::{self, Role};
use crate::errors::{self, Voice};

const POLL: Duration = Duration::from_millis(100);

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [(String, Option<Vec<u8>>)],
    /// Partition; the key's without.
    pub partition: Option<u32>,
    /// Timestamp, ms; the time of sending without.
    pub timestamp_ms: Option<i64>,
}

#[derive(Default)]
struct Reports {
    voice: Voice,
    acknowledged: AtomicU64,
    first_failure: Mutex<Option<KafkaError>>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.voice.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, line: &str) {
        self.voice.error(error, line);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// Writes to one topic; what fails is told by [`Writer::finish`], at the latest.
pub struct Writer<'a> {
    admin: &'a Admin,
    producer: BaseProducer<Reports>,
    topic: String,
}

impl Admin {
    /// A writer for a topic that must exist.
    pub fn write(&self, topic: &str) -> Result<Writer<'_>, Fatal> {
        self.topic(topic)?;
        let mut config = config::client_config(&self.client, &Role::Produce)?;
        // Someone waits for the result: a record is given up when the patience ends, not never.
        if config.get("message.timeout.ms") == Some("0") {
            config.set("message.timeout.ms", self.patience.as_millis().max(1_000).to_string());
        }
        let producer = config
            .create_with_context(Reports::default())
            .map_err(|error| config::not_created(&self.client, &error))?;
        Ok(Writer { admin: self, producer, topic: topic.to_owned() })
    }
}

impl Writer<'_> {
    /// Hands a record over; waits while the queue is full.
    pub fn send(&self, record: &Outgoing<'_>) -> Result<(), Fatal> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let start = now();
        loop {
            let mut sent = BaseRecord::<[u8], [u8]>::to(&self.topic);
            sent.key = record.key;
            sent.payload = record.value;
            sent.partition = record.partition.and_then(|partition| i32::try_from(partition).ok());
            sent.timestamp = record.timestamp_ms;
            sent.headers = (!record.headers.is_empty()).then(|| headers.clone());
            let outcome = self.producer.send(sent);
            self.producer.poll(Duration::ZERO);
            match outcome {
                Ok(()) => return self.check(),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    if start.elapsed() > self.admin.patience * 2 {
                        return Err(self.unreachable());
                    }
                    self.producer.poll(POLL);
                    self.check()?;
                }
                Err((error, _)) => return Err(self.failed(&error)),
            }
        }
    }

    /// Waits until all records are acknowledged; answers how many were.
    pub fn finish(self) -> Result<u64, Fatal> {
        let start = now();
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(POLL);
            self.check()?;
            let lasting = self.producer.context().voice.reasons().iter().any(errors::Reason::is_lasting);
            if lasting || start.elapsed() > self.admin.patience * 2 {
                return Err(self.unreachable());
            }
        }
        self.check()?;
        Ok(self.acknowledged())
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.producer.context().acknowledged.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), Fatal> {
        let first = self.producer.context().first_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or(Ok(()), |error| Err(self.failed(&error)))
    }

    fn failed(&self, error: &KafkaError) -> Fatal {
        let topic = &self.topic;
        // After a fatal error librdkafka only says of each record that it was purged.
        let code = self.producer.client().fatal_error().map(|(code, _)| code).or(super::code(error));
        let mut fatal = match code {
            // A producer id is refused with the cluster's code to those who may write nowhere.
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
                Fatal::new(errors::denied(&self.admin.client, "Write", "topic", topic))
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Fatal::new(format!(
                "a record is larger than the limit of the client (message.max.bytes) or of topic \"{topic}\" \
                 (max.message.bytes)"
            )),
            Some(RDKafkaErrorCode::UnknownPartition) => Fatal::new(format!(
                "topic \"{topic}\" has no such partition; `velo-cli topic describe {topic}` shows them"
            )),
            Some(RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidTimestamp) => Fatal::new(format!(
                "topic \"{topic}\" refused a record: its timestamp is out of the topic's range, or the topic is compacted and \
                 the record has no key"
            )),
            code if super::is_passing(code) => return self.unreachable(),
            code => {
                let said = code.map_or_else(|| error.to_string(), |code| code.to_string());
                Fatal::new(format!("topic \"{topic}\" did not take a record: {said}"))
            }
        };
        fatal.message.push_str(&self.so_far());
        fatal
    }

    fn unreachable(&self) -> Fatal {
        let reasons = self.producer.context().voice.reasons();
        let mut text = errors::unreachable(&self.admin.client, &reasons, self.admin.patience);
        text.push_str(&self.so_far());
        Fatal::new(text)
    }

    fn so_far(&self) -> String {
        match self.acknowledged() {
            0 => "; nothing was written".to_owned(),
            1 => "; 1 record was written before".to_owned(),
            n => format!("; {n} records were written before"),
        }
    }
}
