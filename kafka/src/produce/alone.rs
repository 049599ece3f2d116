//! Records whose batch was too large for the brokers. Which of them is at fault shows when each is sent alone: one at a
//! time, and only while nothing else is under way, so that librdkafka has nothing to put beside it. That is slow (a round
//! trip a record) and rare: it takes a topic whose limit is below `batch.size`.
//!
//! Bounded by what was under way when the first refusal came: meanwhile nothing else is taken.

use std::collections::VecDeque;

use rdkafka::error::RDKafkaErrorCode;
use velostream_types::topic::Rejected;

use super::handle::{Handle, Outgoing, Report, header_list};

/// A record as it was.
struct Record {
    topic: usize,
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
    group: u64,
}

/// The records that wait to be sent alone.
#[derive(Default)]
pub(super) struct Alone {
    waiting: VecDeque<Record>,
    /// One of them is under way.
    is_sending: bool,
}

impl Alone {
    /// TRUE while other records have to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.is_sending || !self.waiting.is_empty()
    }

    /// Takes a record out of a batch that was refused.
    pub(super) fn add(&mut self, topic: usize, report: &Report<'_>) {
        self.waiting.push_back(Record {
            topic,
            partition: report.partition(),
            key: report.key.map(<[u8]>::to_vec),
            value: report.value.map(<[u8]>::to_vec),
            headers: report.headers(),
            timestamp_ms: report.timestamp_ms,
            group: report.group,
        });
    }

    /// The one under way was reported.
    pub(super) fn reported(&mut self) {
        self.is_sending = false;
    }

    /// Sends the next one if it is alone among the `in_flight` records that the brokers have not answered.
    pub(super) fn advance(&mut self, handle: &Handle, in_flight: usize) -> Result<(), (usize, RDKafkaErrorCode)> {
        if self.is_sending || in_flight > self.waiting.len() {
            return Ok(());
        }
        let Some(record) = self.waiting.pop_front() else { return Ok(()) };
        let Record { topic, partition, key, value, headers, timestamp_ms, group } = &record;
        let headers = headers.as_deref().map(|bytes| header_list(bytes).0);
        let (key, value, timestamp_ms, group) = (key.as_deref(), value.as_deref(), *timestamp_ms, *group);
        let outgoing = Outgoing { key, value, timestamp_ms, headers, group, is_alone: true };
        match handle.send_to((*topic, *partition), outgoing) {
            Ok(()) => {
                self.is_sending = true;
                handle.hurry();
                Ok(())
            }
            Err(code) => Err((*topic, code)),
        }
    }
}

/// What a report says of a record that is at fault itself.
pub(super) fn rejected(topic: usize, code: RDKafkaErrorCode, report: &Report<'_>) -> Rejected {
    Rejected {
        topic,
        reason: code.to_string(),
        key: report.key.map(<[u8]>::to_vec),
        value: report.value.map(<[u8]>::to_vec),
        headers: report.headers(),
        timestamp_ms: report.timestamp_ms,
    }
}
