//! Topics inside the process: named, with partitions, offsets, keys and timestamps, like a broker's.
//!
//! Appending gives records their offsets and rings the bells of the readers; each reader has its own position. A
//! topic ends for its readers when it was closed and read to its end: by [`Topic::close`], or by the last of its
//! writers. A locked list per partition is enough: it is taken once per batch of records, never per record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_buffer::Buffer;
use velostream_types::{Chunk, Fatal, PartitionSource, RecordRef, SinkWriter, Slab, SlabKind, SourcePoll, vnode};

use crate::wake::Bell;

/// Small batches waiting for a reader are handed over together up to this many bytes.
const COALESCE: usize = 64 << 10;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The topics of a process.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    topics: Arc<Mutex<BTreeMap<String, Arc<Topic>>>>,
}

/// What happens to records all readers have read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Kept for readers that come later.
    All,
    /// Dropped.
    UntilRead,
}

impl Topics {
    /// The topic of this name, made with so many partitions if it is not there.
    pub fn open(&self, name: &str, partitions: u32, retention: Retention) -> Arc<Topic> {
        let make = || {
            let partitions = (0..partitions.max(1)).map(|_| Mutex::new(Log::default())).collect();
            Arc::new(Topic { partitions, retention, writers: Mutex::new(0) })
        };
        Arc::clone(locked(&self.topics).entry(name.to_owned()).or_insert_with(make))
    }

    /// The topic of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        locked(&self.topics).get(name).cloned()
    }

    /// All names, ascending.
    pub fn names(&self) -> Vec<String> {
        locked(&self.topics).keys().cloned().collect()
    }
}

/// Records to be appended together. Reused: appending empties it.
#[derive(Debug, Default)]
pub struct TopicBatch {
    bytes: Vec<u8>,
    records: Vec<RecordRef>,
}

impl TopicBatch {
    /// Adds one record; its offset is given when the batch is appended.
    pub fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp_ms: i64) {
        let bytes = &mut self.bytes;
        let mut put = |part: &[u8]| {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(part);
            (start, bytes.len() as u32)
        };
        let (key, value) = (key.map(&mut put), value.map(&mut put));
        self.records.push(RecordRef { offset: 0, timestamp_ms, key, value, headers: None });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// TRUE without records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[derive(Clone, Debug)]
struct Segment {
    bytes: Buffer,
    records: Arc<[RecordRef]>,
}

#[derive(Debug)]
struct ReaderState {
    /// Number of the segment it reads next.
    next: u64,
    bell: Option<Arc<Bell>>,
}

#[derive(Debug, Default)]
struct Log {
    segments: VecDeque<Segment>,
    /// Number of the first segment in `segments`.
    first: u64,
    next_offset: i64,
    closed: bool,
    readers: Vec<ReaderState>,
}

impl Log {
    fn end(&self) -> u64 {
        self.first + self.segments.len() as u64
    }

    fn bells(&self) -> Vec<Arc<Bell>> {
        self.readers.iter().filter_map(|reader| reader.bell.clone()).collect()
    }

    fn drop_read(&mut self) {
        let Some(read) = self.readers.iter().map(|reader| reader.next).min() else { return };
        while self.first < read && self.segments.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// One topic.
#[derive(Debug)]
pub struct Topic {
    partitions: Vec<Mutex<Log>>,
    retention: Retention,
    /// Writers that have not finished.
    writers: Mutex<usize>,
}

impl Topic {
    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        self.partitions.len() as u32
    }

    fn log(&self, partition: u32) -> MutexGuard<'_, Log> {
        locked(&self.partitions[partition as usize % self.partitions.len()])
    }

    /// Appends the batch to a partition, empties it, and gives the offset of its first record.
    pub fn append(&self, partition: u32, batch: &mut TopicBatch) -> i64 {
        let mut log = self.log(partition);
        let first = log.next_offset;
        if batch.is_empty() {
            return first;
        }
        for (i, record) in batch.records.iter_mut().enumerate() {
            record.offset = first + i as i64;
        }
        log.next_offset += batch.records.len() as i64;
        let bytes = Buffer::from_vec(std::mem::take(&mut batch.bytes));
        log.segments.push_back(Segment { bytes, records: batch.records.drain(..).collect() });
        let bells = log.bells();
        drop(log);
        bells.iter().for_each(|bell| bell.ring());
        first
    }

    /// Nothing more will be appended: readers come to the end.
    pub fn close(&self) {
        for partition in &self.partitions {
            let bells = {
                let mut log = locked(partition);
                log.closed = true;
                log.bells()
            };
            bells.iter().for_each(|bell| bell.ring());
        }
    }

    /// Offset behind the last record of a partition.
    pub fn end_offset(&self, partition: u32) -> i64 {
        self.log(partition).next_offset
    }

    /// Records of a partition that its slowest reader has not read; for writers that would run ahead.
    pub fn lag(&self, partition: u32) -> usize {
        let log = self.log(partition);
        let read = log.readers.iter().map(|reader| reader.next).min().unwrap_or(log.first);
        let unread = log.segments.iter().skip(read.saturating_sub(log.first) as usize);
        unread.map(|segment| segment.records.len()).sum()
    }

    /// The first records of a partition that are still there, values only.
    pub fn head(&self, partition: u32, records: usize) -> Vec<Vec<u8>> {
        let log = self.log(partition);
        let values = log.segments.iter().flat_map(|segment| {
            segment.records.iter().filter_map(|r| r.value.map(|(a, b)| segment.bytes[a as usize..b as usize].to_vec()))
        });
        values.take(records).collect()
    }

    /// A reader of a partition from its first record on; `bell` rings when something comes.
    pub fn reader(self: &Arc<Self>, partition: u32, bell: Option<Arc<Bell>>) -> MemorySource {
        let mut log = self.log(partition);
        let next = log.first;
        log.readers.push(ReaderState { next, bell });
        let id = log.readers.len() - 1;
        drop(log);
        MemorySource { topic: Arc::clone(self), partition, id }
    }

    /// A sink on this topic. Rows with a key go to the partition of its hash, others go round.
    pub fn writer(self: &Arc<Self>, default_time_ms: i64) -> MemorySink {
        *locked(&self.writers) += 1;
        let batches = self.partitions.iter().map(|_| TopicBatch::default()).collect();
        MemorySink { topic: Arc::clone(self), batches, round: 0, default_time_ms, ended: false }
    }
}

/// One reader of one partition.
pub struct MemorySource {
    topic: Arc<Topic>,
    partition: u32,
    id: usize,
}

impl PartitionSource for MemorySource {
    fn poll(&mut self, _consumed: usize, _grow: bool) -> Result<SourcePoll, Fatal> {
        let mut log = self.topic.log(self.partition);
        let next = log.readers[self.id].next;
        if next == log.end() {
            return Ok(if log.closed { SourcePoll::End } else { SourcePoll::Pending });
        }
        let (slab, taken) = coalesce(log.segments.iter().skip((next - log.first) as usize));
        log.readers[self.id].next = next + taken;
        if self.topic.retention == Retention::UntilRead {
            log.drop_read();
        }
        Ok(SourcePoll::Slab(slab))
    }
}

/// The first segment as a slab, or several small ones in one; also how many those are.
fn coalesce<'a>(segments: impl Iterator<Item = &'a Segment> + Clone) -> (Slab, u64) {
    let (mut bytes, mut taken) = (0, 0usize);
    for segment in segments.clone() {
        if taken > 0 && bytes + segment.bytes.len() > COALESCE {
            break;
        }
        bytes += segment.bytes.len();
        taken += 1;
    }
    let mut chosen = segments.take(taken);
    if taken == 1
        && let Some(only) = chosen.next()
    {
        return (Slab { bytes: only.bytes.clone(), kind: SlabKind::Records(only.records.to_vec()) }, 1);
    }
    let (mut joined, mut records) = (Vec::with_capacity(bytes), Vec::new());
    for segment in chosen {
        let base = joined.len() as u32;
        let moved = |range: Option<(u32, u32)>| range.map(|(a, b)| (a + base, b + base));
        records.extend(segment.records.iter().map(|r| RecordRef {
            key: moved(r.key),
            value: moved(r.value),
            headers: moved(r.headers),
            ..*r
        }));
        joined.extend_from_slice(&segment.bytes);
    }
    (Slab { bytes: Buffer::from_vec(joined), kind: SlabKind::Records(records) }, taken as u64)
}

impl Drop for MemorySource {
    /// A reader that left holds nothing back.
    fn drop(&mut self) {
        let mut log = self.topic.log(self.partition);
        log.readers[self.id] = ReaderState { next: u64::MAX, bell: None };
    }
}

/// A sink on a topic.
pub struct MemorySink {
    topic: Arc<Topic>,
    /// One batch per partition.
    batches: Vec<TopicBatch>,
    round: usize,
    default_time_ms: i64,
    ended: bool,
}

impl SinkWriter for MemorySink {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        let partitions = self.batches.len();
        for i in 0..rows.rows() {
            let row = rows.row(i);
            let value = row.strip_suffix(b"\n").unwrap_or(row);
            let key = rows.keys.get(i).and_then(|key| key.as_deref());
            let partition = match key {
                Some(key) => (vnode::hash_key(key) % partitions as u64) as usize,
                None => {
                    self.round = (self.round + 1) % partitions;
                    self.round
                }
            };
            let time_ms = rows.times_ms.get(i).copied().unwrap_or(self.default_time_ms);
            self.batches[partition].push(key, Some(value), time_ms);
        }
        for (partition, batch) in self.batches.iter_mut().enumerate() {
            if !batch.is_empty() {
                self.topic.append(partition as u32, batch);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        if !std::mem::replace(&mut self.ended, true) {
            let mut writers = locked(&self.topic.writers);
            *writers -= 1;
            if *writers == 0 {
                self.topic.close();
            }
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        // The topic stays open: to its readers an interrupted input has not ended.
        self.ended = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
