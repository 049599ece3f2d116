//! The broker's topics without a socket: for who runs in the same process.
//!
//! The same topics as over the wire, and the same logs under the same locks; only the protocol is left out, and with it
//! groups, transactions and faults. Nothing here waits: a reader at the end of a partition is told so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::broker::Broker;
use crate::errors;
use crate::server::{self, Shared, now_ms};
use crate::store::{StoredRecord, for_each_record};
use crate::topics::{Partition, lock};

/// Calls into a running broker; cheap to clone.
#[derive(Clone)]
pub struct Direct {
    shared: Arc<Shared>,
}

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectError {
    /// There is no such topic or partition.
    Unknown(String),
    /// Kafka's error code, and what it says to people.
    Refused(i16, String),
}

impl fmt::Display for DirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectError::Unknown(what) => write!(f, "there is no {what}"),
            DirectError::Refused(code, why) => write!(f, "the broker refused it with code {code}: {why}"),
        }
    }
}

impl std::error::Error for DirectError {}

impl Broker {
    /// Calls without a socket.
    pub fn direct(&self) -> Direct {
        Direct { shared: Arc::clone(self.shared()) }
    }
}

impl Direct {
    /// Makes a topic; FALSE when it is there already.
    pub fn create(&self, name: &str, partitions: u32, config: BTreeMap<String, String>) -> Result<bool, DirectError> {
        match server::create_topic(&self.shared, name, partitions, config) {
            Ok(()) => Ok(true),
            Err((errors::TOPIC_ALREADY_EXISTS, _)) => Ok(false),
            Err((code, why)) => Err(DirectError::Refused(code, why)),
        }
    }

    /// Takes a topic away; FALSE when there is none.
    pub fn delete(&self, name: &str) -> Result<bool, DirectError> {
        match server::delete_topic(&self.shared, name) {
            errors::NONE => Ok(true),
            errors::UNKNOWN_TOPIC_OR_PARTITION => Ok(false),
            code => Err(DirectError::Refused(code, format!("topic {name:?} could not be deleted"))),
        }
    }

    /// Names of all topics, in order.
    pub fn topics(&self) -> Vec<String> {
        self.shared.topics.all().iter().map(|topic| topic.name.clone()).collect()
    }

    /// Number of partitions of a topic.
    pub fn partitions(&self, topic: &str) -> Option<u32> {
        self.shared.topics.get(topic).map(|topic| topic.partitions.len() as u32)
    }

    /// First offset, and the one behind the last that may be read.
    pub fn bounds(&self, topic: &str, partition: u32) -> Result<(i64, i64), DirectError> {
        let partition = self.partition(topic, partition)?;
        let log = lock(&partition.log);
        Ok((log.log_start(), log.last_stable()))
    }

    /// First offset whose record is at least that young; `None` without one.
    pub fn offset_at(&self, topic: &str, partition: u32, at_ms: i64) -> Result<Option<i64>, DirectError> {
        let partition = self.partition(topic, partition)?;
        let found = lock(&partition.log).offset_for_time(at_ms);
        Ok(found.map(|(offset, _)| offset))
    }

    /// Appends a batch; answers the offset of its first record.
    pub fn append(&self, topic: &str, index: u32, batch: Bytes) -> Result<i64, DirectError> {
        let partition = self.partition(topic, index)?;
        let bytes = batch.len() as u64;
        let mut log = lock(&partition.log);
        if partition.deleted() {
            return Err(unknown(topic, index));
        }
        let appended = log.append(batch, partition.leader().epoch, now_ms());
        drop(log);
        let appended = appended.map_err(|error| DirectError::Refused(error.code(), error.to_string()))?;
        let counters = &self.shared.counters;
        counters.records_in.fetch_add((appended.last_offset - appended.base_offset + 1) as u64, Ordering::Relaxed);
        counters.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        partition.wake();
        Ok(appended.base_offset)
    }

    /// Calls `each` with the records from `from` on, of about `max_bytes` stored ones but at least one batch. Answers
    /// the offset to go on from; the same at the end of the partition.
    pub fn read(
        &self,
        topic: &str,
        index: u32,
        from: i64,
        max_bytes: usize,
        each: &mut dyn FnMut(StoredRecord<'_>),
    ) -> Result<i64, DirectError> {
        let partition = self.partition(topic, index)?;
        let read = lock(&partition.log).read(from, max_bytes, true, true);
        let read = read.map_err(|error| DirectError::Refused(error.code(), error.to_string()))?;
        let damaged = |why| DirectError::Refused(errors::CORRUPT_MESSAGE, why);
        let mut next = from;
        for batches in &read.batches {
            next = for_each_record(batches, from, each).map_err(damaged)?.unwrap_or(next);
        }
        Ok(next)
    }

    fn partition(&self, topic: &str, index: u32) -> Result<Arc<Partition>, DirectError> {
        self.shared.topics.partition(topic, index as i32).ok_or_else(|| unknown(topic, index))
    }
}

fn unknown(topic: &str, partition: u32) -> DirectError {
    DirectError::Unknown(format!("partition {partition} of topic {topic:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, BrokerConfig};

    #[test]
    fn what_is_appended_is_read_until_the_topic_goes() {
        let broker = Broker::start(BrokerConfig::default()).expect("a free port");
        let direct = broker.direct();
        assert_eq!(direct.create("t", 2, BTreeMap::new()), Ok(true));
        assert_eq!(direct.create("t", 2, BTreeMap::new()), Ok(false));
        assert_eq!((direct.partitions("t"), direct.partitions("u")), (Some(2), None));
        let mut builder = BatchBuilder::default();
        for n in 0..3_i64 {
            builder.push(100 + n, None, Some(n.to_string().as_bytes()), &[]);
        }
        let batch = builder.finish().expect("records");
        assert_eq!(direct.append("t", 1, batch.clone()), Ok(0));
        assert_eq!(direct.append("t", 1, batch), Ok(3));
        assert_eq!((direct.bounds("t", 0), direct.bounds("t", 1)), (Ok((0, 0)), Ok((0, 6))));
        assert_eq!((direct.offset_at("t", 1, 101), direct.offset_at("t", 1, 103)), (Ok(Some(1)), Ok(None)));
        let mut seen = Vec::new();
        let mut each = |r: StoredRecord<'_>| seen.push((r.offset, r.value.map(<[u8]>::to_vec)));
        assert_eq!(direct.read("t", 1, 2, 1, &mut each), Ok(3), "one batch at least, and no more");
        assert_eq!(direct.read("t", 1, 3, 1 << 20, &mut each), Ok(6));
        assert_eq!(direct.read("t", 1, 6, 1 << 20, &mut each), Ok(6));
        let value = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(seen, [(2, value("2")), (3, value("0")), (4, value("1")), (5, value("2"))]);
        assert_eq!(direct.topics(), ["t"]);
        assert_eq!((direct.delete("t"), direct.delete("t")), (Ok(true), Ok(false)));
        assert!(matches!(direct.bounds("t", 0), Err(DirectError::Unknown(_))));
        assert!(matches!(direct.create("a b", 1, BTreeMap::new()), Err(DirectError::Refused(..))));
    }
}
