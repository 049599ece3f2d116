//! Topics of the embedded broker as the runtime's message system, by direct calls: no socket, no client, no group.
//!
//! Each query test has its own topics: what the SQL calls `orders` is `test_<run id>_orders` in the broker, so tests do
//! not meet. A member is assigned everything at once, commits go nowhere, and what is sent is acknowledged when `send`
//! returns. Runs are bounded: a fetch ends at the end that the partition had when the run began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_buffer::Buffer;
use velostream_broker::{BatchBuilder, Direct, DirectError, StoredRecord};
use velostream_kafka::partition_of;
use velostream_types::headers::Headers;
use velostream_types::topic::{
    Broker, Client, Commit, CommitError, Committed, Fetch, FetchFrom, FetchSpec, FetchStats, GroupMember, LogBounds,
    MemberEvent, MemberSpec, NewTopic, Produce, ProduceSpec, Rejected, TopicPartition, TopicRecord, Wake,
};
use velostream_types::{Chunk, Fatal, RecordRef, Slab, SlabKind, SourcePoll};

use super::arrivals::Arrivals;

/// Settings of every test topic: records of any event time stay, whatever the clock says.
const TOPIC_CONFIG: [(&str, &str); 2] =
    [("retention.ms", "-1"), ("message.timestamp.after.max.ms", "9223372036854775807")];

/// [`TOPIC_CONFIG`] as topics are made with.
pub(super) fn topic_config() -> BTreeMap<String, String> {
    TOPIC_CONFIG.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What a topic is called in the broker.
pub type Rename = dyn Fn(&str) -> String + Send + Sync;

/// The message system of one query test.
#[derive(Clone)]
pub struct Local {
    direct: Direct,
    rename: Arc<Rename>,
    /// By topic as the SQL calls it: records that tell its types while it is empty.
    samples: Arc<BTreeMap<String, Vec<TopicRecord>>>,
    /// Timestamp of records that have none, ms.
    now_ms: i64,
    arrivals: Arc<Arrivals>,
}

impl Local {
    /// Topics of this broker under these names.
    pub fn new(direct: Direct, rename: Arc<Rename>, now_ms: i64) -> Local {
        Local { direct, rename, samples: Arc::default(), now_ms, arrivals: Arc::new(Arrivals::new(now_ms)) }
    }

    /// The same where empty topics have these types.
    pub fn with_samples(mut self, samples: BTreeMap<String, Vec<TopicRecord>>) -> Local {
        self.samples = Arc::new(samples);
        self
    }

    /// How topics are renamed.
    pub fn rename(&self) -> Arc<Rename> {
        Arc::clone(&self.rename)
    }

    /// Timestamp of records that have none, ms.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Records in a topic.
    pub fn len(&self, topic: &str) -> Result<u64, Fatal> {
        let real = (self.rename)(topic);
        let partitions = self.direct.partitions(&real).unwrap_or(0);
        let bounds = |partition| self.direct.bounds(&real, partition).map(|(start, end)| (end - start) as u64);
        (0..partitions).map(bounds).sum::<Result<u64, _>>().map_err(fatal)
    }

    /// Makes a topic, if it is not there.
    pub fn make(&self, topic: &str, partitions: u32) -> Result<(), Fatal> {
        self.direct.create(&(self.rename)(topic), partitions, topic_config()).map(drop).map_err(fatal)
    }

    /// Number of partitions; `None` without the topic.
    pub fn count(&self, topic: &str) -> Option<u32> {
        self.direct.partitions(&(self.rename)(topic))
    }

    /// Appends what a builder holds.
    pub fn publish(&self, topic: &str, partition: u32, batch: &mut BatchBuilder) -> Result<(), Fatal> {
        match batch.finish() {
            Some(bytes) => self.direct.append(&(self.rename)(topic), partition, bytes).map(drop).map_err(fatal),
            None => Ok(()),
        }
    }

    /// When the record at an offset was appended by a job, as the run's clock has it.
    pub fn arrival_ms(&self, topic: &str, partition: u32, offset: i64) -> Option<i64> {
        self.arrivals.of(&(self.rename)(topic), partition, offset)
    }

    /// Calls `each` with all records of a topic, partition by partition.
    pub fn scan(&self, topic: &str, each: &mut dyn FnMut(u32, StoredRecord<'_>)) -> Result<(), Fatal> {
        let real = (self.rename)(topic);
        for partition in 0..self.direct.partitions(&real).unwrap_or(0) {
            let (mut at, end) = self.direct.bounds(&real, partition).map_err(fatal)?;
            while at < end {
                at = self
                    .direct
                    .read(&real, partition, at, READ_BYTES, &mut |record| each(partition, record))
                    .map_err(fatal)?;
            }
        }
        Ok(())
    }
}

/// Stored bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// A batch is sent when it holds so many bytes.
const BATCH_BYTES: usize = 256 << 10;

fn fatal(error: DirectError) -> Fatal {
    Fatal::new(format!("the embedded broker: {error}"))
}

fn owned(partition: u32, record: StoredRecord<'_>) -> TopicRecord {
    let header =
        |(name, value): (&[u8], Option<&[u8]>)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec));
    TopicRecord {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: Headers::new(record.headers).map(header).collect(),
    }
}

impl Broker for Local {
    fn partitions(&self, _client: &Client, topic: &str, _patience: Duration) -> Result<Option<u32>, Fatal> {
        Ok(self.count(topic))
    }

    fn create(&self, _client: &Client, topic: &NewTopic, _patience: Duration) -> Result<bool, Fatal> {
        let mut config = topic.config.clone();
        config.extend(topic_config());
        self.direct.create(&(self.rename)(&topic.name), topic.partitions.max(1), config).map_err(fatal)
    }

    fn bounds(&self, _client: &Client, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal> {
        let real = (self.rename)(topic);
        let bounds = |partition| self.direct.bounds(&real, partition).map(|(start, end)| LogBounds { start, end });
        (0..partitions).map(bounds).collect::<Result<_, _>>().map_err(fatal)
    }

    fn offsets_at(
        &self,
        _client: &Client,
        topic: &str,
        partitions: u32,
        at_ms: i64,
    ) -> Result<Vec<Option<i64>>, Fatal> {
        let real = (self.rename)(topic);
        let at = |partition| self.direct.offset_at(&real, partition, at_ms);
        (0..partitions).map(at).collect::<Result<_, _>>().map_err(fatal)
    }

    fn sample(&self, _client: &Client, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
        let real = (self.rename)(topic);
        let mut records = Vec::new();
        for partition in 0..self.direct.partitions(&real).unwrap_or(0) {
            let (mut at, end) = self.direct.bounds(&real, partition).map_err(fatal)?;
            let first = records.len();
            while at < end && records.len() - first < per_partition {
                let mut each = |record: StoredRecord<'_>| records.push(owned(partition, record));
                at = self.direct.read(&real, partition, at, READ_BYTES, &mut each).map_err(fatal)?;
            }
            records.truncate(first + per_partition);
        }
        match self.samples.get(topic).filter(|_| records.is_empty()) {
            Some(samples) => Ok(samples.clone()),
            None => Ok(records),
        }
    }

    fn join(&self, spec: MemberSpec) -> Result<Box<dyn GroupMember>, Fatal> {
        let all = |topic: &String| {
            let partition = |partition| TopicPartition { topic: topic.clone(), partition };
            (0..self.count(topic).unwrap_or(0)).map(partition).collect::<Vec<_>>()
        };
        Ok(Box::new(Member { assigned: Some(spec.topics.iter().flat_map(all).collect()) }))
    }

    fn fetch(&self, spec: FetchSpec, _wake: Wake) -> Result<Box<dyn Fetch>, Fatal> {
        let partition = |from: &FetchFrom| Reading {
            topic: (self.rename)(&from.at.topic),
            partition: from.at.partition,
            next: from.from,
            until: from.until,
        };
        let partitions = spec.partitions.iter().map(partition).collect();
        Ok(Box::new(Reader {
            direct: self.direct.clone(),
            partitions,
            slab_bytes: spec.slab_bytes,
            headers: spec.headers,
        }))
    }

    fn produce(&self, spec: ProduceSpec, _wake: Wake) -> Result<Box<dyn Produce>, Fatal> {
        let topics = spec.topics.iter().map(|topic| {
            let real = (self.rename)(topic);
            let partitions = self.direct.partitions(&real).unwrap_or(1).max(1);
            Writing { topic: real, batches: (0..partitions).map(|_| BatchBuilder::default()).collect(), keyless: 0 }
        });
        Ok(Box::new(Writer {
            direct: self.direct.clone(),
            topics: topics.collect(),
            now_ms: self.now_ms,
            arrivals: Arc::clone(&self.arrivals),
            marked: 0,
            acknowledged: 0,
        }))
    }
}

/// A member that has everything from the start.
struct Member {
    assigned: Option<Vec<TopicPartition>>,
}

impl GroupMember for Member {
    fn poll(&mut self, wait: Duration) -> Result<Option<MemberEvent>, Fatal> {
        let assigned = self.assigned.take();
        if assigned.is_none() && !wait.is_zero() {
            std::thread::park_timeout(wait);
        }
        Ok(assigned.map(MemberEvent::Assigned))
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Committed>>, Fatal> {
        Ok(vec![None; of.len()])
    }

    fn commit(&mut self, _commits: &[Commit], _wait: Option<Duration>) -> Result<(), CommitError> {
        Ok(())
    }

    fn release(&mut self) {}

    fn leave(self: Box<Self>) {}
}

/// One partition of a fetch.
struct Reading {
    topic: String,
    partition: u32,
    next: i64,
    until: Option<i64>,
}

struct Reader {
    direct: Direct,
    partitions: Vec<Reading>,
    slab_bytes: usize,
    headers: bool,
}

impl Fetch for Reader {
    fn poll(&mut self, index: usize) -> Result<SourcePoll, Fatal> {
        let reading = &mut self.partitions[index];
        if reading.until.is_some_and(|until| reading.next >= until) {
            return Ok(SourcePoll::End);
        }
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        let with_headers = self.headers;
        let mut each = |record: StoredRecord<'_>| {
            if reading.until.is_some_and(|until| record.offset >= until) {
                return;
            }
            let mut part = |part: Option<&[u8]>| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(part?);
                Some((start, bytes.len() as u32))
            };
            let (key, value) = (part(record.key), part(record.value));
            // One byte is the number 0.
            let headers = part(Some(record.headers).filter(|headers| with_headers && headers.len() > 1));
            let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
            records.push(RecordRef { offset, timestamp_ms, key, value, headers });
        };
        let next = self.direct.read(&reading.topic, reading.partition, reading.next, self.slab_bytes, &mut each);
        reading.next = next.map_err(fatal)?;
        match records.is_empty() {
            true if reading.until.is_none() => Ok(SourcePoll::Pending),
            true => Ok(SourcePoll::End),
            false => Ok(SourcePoll::Slab(Slab { bytes: Buffer::from_vec(bytes), kind: SlabKind::Records(records) })),
        }
    }

    fn stats(&self, index: usize) -> FetchStats {
        let reading = &self.partitions[index];
        let end = self.direct.bounds(&reading.topic, reading.partition).map_or(reading.next, |(_, end)| end);
        FetchStats { position: reading.next, end, ..FetchStats::default() }
    }

    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// One topic of a producer.
struct Writing {
    topic: String,
    /// By partition.
    batches: Vec<BatchBuilder>,
    /// Records without a key so far: they go round.
    keyless: usize,
}

impl Writing {
    fn flush(&mut self, direct: &Direct, arrivals: &Arrivals, at_least: usize) -> Result<(), Fatal> {
        for (partition, batch) in self.batches.iter_mut().enumerate().filter(|(_, batch)| batch.bytes() >= at_least) {
            if let Some(bytes) = batch.finish() {
                let first = direct.append(&self.topic, partition as u32, bytes).map_err(fatal)?;
                arrivals.note(&self.topic, partition as u32, first);
            }
        }
        Ok(())
    }
}

struct Writer {
    direct: Direct,
    topics: Vec<Writing>,
    now_ms: i64,
    arrivals: Arc<Arrivals>,
    marked: u64,
    acknowledged: u64,
}

impl Produce for Writer {
    fn send(&mut self, topic: usize, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        let writing = &mut self.topics[topic];
        for row in from..rows.rows() {
            let key = rows.keys.get(row).and_then(Option::as_deref);
            let partition = match key {
                Some(key) => partition_of(key, writing.batches.len() as u32) as usize,
                None => {
                    writing.keyless += 1;
                    (writing.keyless - 1) % writing.batches.len()
                }
            };
            let is_delete = rows.deletes.get(row).copied().unwrap_or(false);
            let value = (!is_delete).then(|| rows.record_value(row));
            let headers = rows.record_headers(row).unwrap_or_default();
            let timestamp_ms = rows.times_ms.get(row).copied().unwrap_or(self.now_ms);
            writing.batches[partition].push(timestamp_ms, key, value, &headers);
        }
        writing.flush(&self.direct, &self.arrivals, BATCH_BYTES)?;
        Ok(rows.rows() - from)
    }

    fn poll(&mut self) -> Result<(), Fatal> {
        if self.marked > self.acknowledged {
            self.flush(Duration::ZERO)?;
        }
        Ok(())
    }

    fn mark(&mut self, n: u64) {
        self.marked = n;
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn outstanding(&self) -> usize {
        0
    }

    fn flush(&mut self, _wait: Duration) -> Result<bool, Fatal> {
        self.topics.iter_mut().try_for_each(|topic| topic.flush(&self.direct, &self.arrivals, 0))?;
        self.acknowledged = self.marked;
        Ok(true)
    }

    fn take_rejected(&mut self) -> Vec<Rejected> {
        Vec::new()
    }

    fn buried(&mut self, _records: usize) {}

    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
