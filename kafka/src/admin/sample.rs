//! Reading records to look at them: the sample that types are inferred from, and `velo-cli topic peek`.
//!
//! A reader is assigned its partitions and commits nothing; nobody's group is touched. It ends where the log ended when
//! it was opened, or never. Slow by design (a copy of every record): the data path is `fetch`.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_types::topic::TopicRecord;
use velostream_types::{Fatal, Remedy};

use super::{Admin, consumer, now};
use crate::config::{self, Role};
use crate::errors::{self, Voice};

/// Group whose name the fetches carry. It never exists: nothing joins and nothing is committed.
const GROUP: &str = "velostream-look";
const POLL: Duration = Duration::from_millis(100);

/// What a [`Reader`] has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A record.
    Record(TopicRecord),
    /// Nothing within the wait.
    Idle,
    /// All partitions are at their end.
    End,
}

/// Reads some partitions of a topic.
pub struct Reader<'a> {
    admin: &'a Admin,
    consumer: BaseConsumer<Voice>,
    topic: String,
    /// Open partitions with the offset each ends before; `None` never ends.
    open: BTreeMap<u32, Option<i64>>,
    /// Time without a record or an end while there should have been one.
    silent: Duration,
}

impl Admin {
    /// Reads partitions from an offset to before another, or for ever.
    pub fn read(&self, topic: &str, from: &[(u32, i64, Option<i64>)]) -> Result<Reader<'_>, Fatal> {
        let role = Role::Fetch { group: GROUP.to_owned() };
        let mut config = config::client_config(&self.client, &role)?;
        config.set("enable.partition.eof", "true");
        // What retention takes meanwhile is not there to be looked at.
        config.set("auto.offset.reset", "earliest");
        let reader_of = consumer(&self.client, &config)?;
        let mut assignment = TopicPartitionList::new();
        let mut open = BTreeMap::new();
        for (partition, offset, until) in from.iter().filter(|(_, offset, until)| until.is_none_or(|end| *offset < end))
        {
            let id = i32::try_from(*partition).map_err(|_| Fatal::new(format!("no partition {partition}")))?;
            let added = assignment.add_partition_offset(topic, id, Offset::Offset(*offset));
            added.map_err(|_| Fatal::new(format!("offset {offset} is not possible")))?;
            open.insert(*partition, *until);
        }
        reader_of.assign(&assignment).map_err(|error| Fatal::new(format!("cannot read topic \"{topic}\": {error}")))?;
        Ok(Reader { admin: self, consumer: reader_of, topic: topic.to_owned(), open, silent: Duration::ZERO })
    }

    /// The first `per_partition` records of each partition, up to the ends found at the call.
    pub fn sample(&self, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
        let Some(partitions) = self.partitions(topic)? else { return self.topic(topic).map(|_| Vec::new()) };
        let bounds = self.bounds(topic, partitions)?;
        let from: Vec<_> = (0..).zip(&bounds).map(|(partition, b)| (partition, b.start, Some(b.end))).collect();
        let mut reader = self.read(topic, &from)?;
        let mut counts = BTreeMap::new();
        let mut records = Vec::new();
        if per_partition == 0 {
            return Ok(records);
        }
        loop {
            match reader.next(POLL)? {
                Read::Idle => {}
                Read::End => break,
                Read::Record(record) => {
                    let count: &mut usize = counts.entry(record.partition).or_default();
                    *count += 1;
                    if *count >= per_partition {
                        reader.close(record.partition);
                    }
                    records.push(record);
                }
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }
}

impl Reader<'_> {
    /// The next record, waiting at most so long.
    pub fn next(&mut self, wait: Duration) -> Result<Read, Fatal> {
        let start = now();
        loop {
            if self.open.is_empty() {
                return Ok(Read::End);
            }
            let left = wait.saturating_sub(start.elapsed());
            // An owned copy ends the borrow of the client.
            let polled = self.consumer.poll(left).map(|polled| polled.map(|message| record_of(&message)));
            match polled {
                Some(Ok(record)) => {
                    self.silent = Duration::ZERO;
                    if let Some(record) = self.accept(record) {
                        return Ok(Read::Record(record));
                    }
                }
                Some(Err(error)) => self.fault(&error)?,
                None if left.is_zero() => {
                    self.silent += wait;
                    return if self.is_stuck() { Err(self.stuck()) } else { Ok(Read::Idle) };
                }
                None => {}
            }
        }
    }

    /// No more of this partition.
    pub fn close(&mut self, partition: u32) {
        if self.open.remove(&partition).is_some() {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, partition as i32);
            // Records that are on their way are dropped by `accept`.
            let _ = self.consumer.pause(&list);
        }
    }

    fn accept(&mut self, record: TopicRecord) -> Option<TopicRecord> {
        let until = *self.open.get(&record.partition)?;
        if until.is_some_and(|until| record.offset + 1 >= until) {
            self.close(record.partition);
        }
        // Compaction may have removed the last ones before the end.
        until.is_none_or(|until| record.offset < until).then_some(record)
    }

    fn fault(&mut self, error: &KafkaError) -> Result<(), Fatal> {
        use RDKafkaErrorCode as Code;
        let needs = ("Read", "topic", self.topic.as_str());
        match error {
            KafkaError::PartitionEOF(partition) => {
                self.silent = Duration::ZERO;
                let partition = u32::try_from(*partition).unwrap_or_default();
                // The last records before the end may be control records or aborted ones, which nobody sees.
                if self.open.get(&partition).is_some_and(Option::is_some) {
                    self.close(partition);
                }
                Ok(())
            }
            _ => match super::code(error) {
                // Fetching needs no right on the group.
                Some(Code::GroupAuthorizationFailed) => Ok(()),
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                    Err(Fatal::new(format!("topic \"{}\" was deleted while it was read", self.topic)))
                }
                code if super::is_passing(code) => Ok(()),
                _ => Err(self.admin.failed(&self.consumer, needs, error, Duration::ZERO)),
            },
        }
    }

    /// A reader that follows may be silent for ever; one with ends has records to come.
    fn is_stuck(&self) -> bool {
        let lasting = self.consumer.context().reasons().iter().any(errors::Reason::is_lasting);
        lasting || (self.silent >= self.admin.patience && self.open.values().any(Option::is_some))
    }

    fn stuck(&self) -> Fatal {
        Fatal::new(errors::unreachable(&self.admin.client, &self.consumer.context().reasons(), self.silent))
            .with(Remedy::Later)
    }
}

fn record_of(message: &BorrowedMessage<'_>) -> TopicRecord {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    TopicRecord {
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
