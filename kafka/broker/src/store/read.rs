//! Reading a partition: batches by offset, offsets by time, ends of epochs. Nothing here changes the log.

use std::io;

use super::batch::{self, CODEC_BITS, Header, LOG_APPEND_TIME};
use super::error::ReadError;
use super::log::PartitionLog;
use super::{Read, codec, records};

impl PartitionLog {
    /// The first offset that can be read.
    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// One past the last stored offset: there is one replica, so what is stored is replicated.
    pub fn high_watermark(&self) -> i64 {
        self.next_offset()
    }

    /// Everything below belongs to no open transaction.
    pub fn last_stable(&self) -> i64 {
        self.producers.first_open().map_or(self.next_offset(), |first| first.max(self.log_start))
    }

    /// Whole stored batches from the one that holds `offset` on, up to `max_bytes`. With `at_least_one` the first comes
    /// whatever its size; `committed_only` ends at the last stable offset and names aborted transactions. At the end of
    /// the log the answer is empty. Reading a file takes one buffer of at most `max_bytes` (or the one batch), rounded
    /// up, and makes one to three system calls per segment touched.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        committed_only: bool,
    ) -> Result<Read, ReadError> {
        let (log_start, high_watermark, last_stable) = (self.log_start, self.next_offset(), self.last_stable());
        if offset < log_start || offset > high_watermark {
            return Err(ReadError::OutOfRange { offset, log_start, log_end: high_watermark });
        }
        let end = if committed_only { last_stable } else { high_watermark };
        let mut read = Read { high_watermark, last_stable, log_start, ..Read::default() };
        let mut next = offset;
        let first = self.segments.partition_point(|s| s.base_offset <= offset).saturating_sub(1);
        for segment in self.segments[first..].iter().take_while(|s| s.base_offset < end) {
            if segment.next_offset <= next {
                continue;
            }
            let force = at_least_one && read.bytes == 0;
            let mut run = segment.read(next, end, max_bytes.saturating_sub(read.bytes), force, &self.buffers)?;
            read.batches.append(&mut run.batches);
            read.bytes += run.bytes;
            next = run.next_offset;
            // Compaction may have left a segment nothing from `next` on.
            if !run.at_end {
                break;
            }
        }
        if committed_only && next > offset {
            read.aborted = self.producers.aborted_in(offset, next);
        }
        Ok(read)
    }

    /// The first record with a timestamp of at least `ts_ms`, as (offset, timestamp). A disk that fails answers like a log
    /// without such a record.
    pub fn offset_for_time(&self, ts_ms: i64) -> Option<(i64, i64)> {
        self.find_time(ts_ms).ok().flatten()
    }

    /// The first record with the greatest timestamp, as (offset, timestamp); `None` when no record has one.
    pub fn max_timestamp(&self) -> Option<(i64, i64)> {
        let newest = self.segments.iter().map(|s| s.max_timestamp).max().filter(|ts| *ts >= 0)?;
        self.offset_for_time(newest)
    }

    fn find_time(&self, ts_ms: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in self.segments.iter().filter(|s| s.max_timestamp >= ts_ms && s.next_offset > self.log_start) {
            let mut walk = segment.walk_from_time(ts_ms)?;
            while let Some(found) = walk.next_batch()? {
                let h = found.header;
                if h.max_timestamp < ts_ms || h.last_offset() < self.log_start {
                    continue;
                }
                if let Some(hit) = first_record_at(&h, &walk.load(&found)?, ts_ms, self.log_start) {
                    return Ok(Some(hit));
                }
            }
        }
        Ok(None)
    }

    /// Where the newest epoch not above `epoch` ended, as (epoch, one past its last offset); (-1, -1) when unknown.
    pub fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        self.epochs.end_of(epoch, self.next_offset())
    }
}

/// The first record of a batch at or behind `from` with a timestamp of at least `ts_ms`. Records that cannot be read, as
/// compressed ones are stored unseen, count as one at the start of the batch.
fn first_record_at(h: &Header, batch: &[u8], ts_ms: i64, from: i64) -> Option<(i64, i64)> {
    let whole = Some((h.base_offset.max(from), h.max_timestamp));
    if h.is(LOG_APPEND_TIME) {
        return whole;
    }
    let Ok(inflated) = codec::inflate(h.attributes & CODEC_BITS, &batch[batch::HEADER..]) else { return whole };
    for record in records::Walk::new(&inflated) {
        let Ok(record) = record else { return whole };
        let offset = h.base_offset.saturating_add(i64::from(record.offset_delta));
        let timestamp = h.base_timestamp.saturating_add(record.timestamp_delta);
        if timestamp >= ts_ms && offset >= from {
            return Some((offset, timestamp));
        }
    }
    None
}
