//! The context of the clients on the data path: what librdkafka says (`errors::Voice`: once a minute per broker and
//! cause), what its statistics tell (brokers that answer again, throttling), and lines of our own.
//!
//! librdkafka calls it on the thread that polls; a thread of ours may ask at the same time, hence the lock. It is taken
//! per error, statistics event or question, never per record.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use velostream_types::topic::Client;

use crate::errors::{self, Voice};

/// Lines kept for a caller that never asks: enough to see what is going on.
const LINES_MAX: usize = 64;
/// How often librdkafka reports on itself; bounds how late the end of an outage is told.
const STATISTICS_MS: &str = "2000";

/// Collects what one client says.
pub(crate) struct Notices {
    client: Client,
    voice: Voice,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    throttle_ms: u64,
    heard: u64,
}

#[expect(clippy::disallowed_methods, reason = "waiting for brokers happens in the world outside")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Notices {
    /// For a client with these settings.
    pub(crate) fn new(client: &Client) -> Notices {
        Notices { client: client.clone(), voice: Voice::new(), inner: Mutex::default() }
    }

    /// Settings that the notices need, unless the user has other wishes.
    pub(crate) fn configure(config: &mut ClientConfig) {
        // Connections that brokers close for idleness are no outage.
        for (key, value) in [("statistics.interval.ms", STATISTICS_MS), ("log.connection.close", "false")] {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        }
    }

    /// The brokers, for messages.
    pub(crate) fn cluster(&self) -> &str {
        self.client.brokers()
    }

    /// Lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lock().lines);
        lines.extend(self.voice.notices());
        lines
    }

    /// Adds a line.
    pub(crate) fn say(&self, line: String) {
        let mut inner = self.lock();
        if inner.lines.len() < LINES_MAX {
            inner.lines.push(line);
        }
    }

    /// Time the brokers asked to wait so far, ms.
    pub(crate) fn throttle_ms(&self) -> u64 {
        self.lock().throttle_ms
    }

    /// How many things were said so far, worth a line or not: tells that a poll did something.
    pub(crate) fn heard(&self) -> u64 {
        self.lock().heard
    }

    /// Why no broker answered within `waited`.
    pub(crate) fn unreachable(&self, waited: std::time::Duration) -> String {
        errors::unreachable(&self.client, &self.voice.reasons(), waited)
    }

    /// The principal of this client lacks the ACL.
    pub(crate) fn denied(&self, operation: &str, resource: &str, name: &str) -> String {
        errors::denied(&self.client, operation, resource, name)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A coordinator's line in the form of a broker's, `name/id: address: text`, by which its cause is found.
fn named(line: &str) -> String {
    line.replace("GroupCoordinator: ", "GroupCoordinator/: ")
}

impl ClientContext for Notices {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.lock().heard += 1;
        self.voice.log(level, facility, &named(message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        self.lock().heard += 1;
        match error.rdkafka_error_code() {
            // Told by who polls the partition, with what belongs to it.
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::UnknownTopicOrPartition) => {}
            _ => self.voice.error(error, &named(reason)),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let brokers = || statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        let waited: i64 = brokers().filter_map(|broker| broker.throttle.as_ref()).map(|window| window.sum).sum();
        let is_up = brokers().any(|broker| broker.state == "UP");
        let is_down = brokers().any(|broker| !matches!(broker.state.as_str(), "UP" | "INIT" | "UPDATE"));
        let mut inner = self.lock();
        inner.heard += 1;
        inner.throttle_ms += u64::try_from(waited).unwrap_or(0);
        drop(inner);
        if is_up && !is_down {
            self.voice.answered();
        }
    }
}

impl ConsumerContext for Notices {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_a_minute_and_its_end_once() {
        let notices = Notices::new(&Client::default());
        let line = "a:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        for _ in 0..100 {
            notices.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), line);
        }
        assert_eq!(notices.take(), ["Kafka broker a:1: connection refused; trying again"]);
        let with = |state: &str| {
            let broker = rdkafka::statistics::Broker { nodeid: 1, state: state.to_owned(), ..Default::default() };
            Statistics { brokers: std::iter::once(("a:1/1".to_owned(), broker)).collect(), ..Default::default() }
        };
        notices.stats(with("TRY_CONNECT"));
        assert!(notices.take().is_empty(), "still away");
        notices.stats(with("UP"));
        assert_eq!(notices.take(), ["Kafka answers again"]);
        notices.stats(with("UP"));
        assert!(notices.take().is_empty());
    }

    #[test]
    fn a_coordinator_is_told_like_the_broker_it_is() {
        let notices = Notices::new(&Client::default());
        let line = "GroupCoordinator: a:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        notices.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), line);
        notices.log(RDKafkaLogLevel::Error, "FAIL", &format!("[thrd:GroupCoordinator]: {line}"));
        assert_eq!(notices.take(), ["Kafka broker a:1: connection refused; trying again"]);
    }

    #[test]
    fn who_never_asks_costs_no_memory() {
        let notices = Notices::new(&Client::default());
        (0..10_000).for_each(|i| notices.say(i.to_string()));
        assert_eq!(notices.take().len(), LINES_MAX);
    }
}
