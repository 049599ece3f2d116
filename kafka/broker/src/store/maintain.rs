//! Upkeep of a partition: closing old segments, retention, deleting and cutting records, and when to compact.
//!
//! Records go in whole segments. The log start is moved (and on disk) before files are deleted, so that a crash between
//! the two leaves files that nobody reads and the next upkeep removes.

use std::io;

use super::batch::{CONTROL, Header, Marker};
use super::checkpoint::Checkpoint;
use super::error::ReadError;
use super::log::PartitionLog;
use super::segment::SCAN_BYTES;
use super::{Maintained, Storage};

/// Bytes appended before upkeep writes a checkpoint: bounds what opening after a kill reads back.
const CHECKPOINT_BYTES: u64 = 64 << 20;

impl PartitionLog {
    /// Does what has become due: closes an old segment, deletes by retention, compacts, forgets idle producers. Cheap when
    /// nothing is due.
    pub fn maintain(&mut self, now_ms: i64) -> io::Result<Maintained> {
        let mut done = Maintained { expired_producers: self.producers.expire(now_ms), ..Maintained::default() };
        let active = self.active();
        if !active.is_empty() && now_ms.saturating_sub(active.created_ms) >= self.config.segment_ms() {
            self.roll(now_ms)?;
            done.rolled += 1;
        }
        if self.config.deletes() {
            self.retain(now_ms, &mut done)?;
        }
        self.drop_below_start(&mut done)?;
        if self.config.compacts() {
            self.compact(now_ms, &mut done)?;
        }
        if self.since_checkpoint > CHECKPOINT_BYTES {
            self.flush()?;
        }
        self.give_room(now_ms, &mut done)?;
        Ok(done)
    }

    /// Moves the log start past segments that are too old or too many.
    fn retain(&mut self, now_ms: i64, done: &mut Maintained) -> io::Result<()> {
        let oldest_kept = self.config.retention_ms().map(|ms| now_ms.saturating_sub(ms));
        let bytes_max = self.config.retention_bytes();
        let mut bytes = self.size_bytes();
        let mut start = self.log_start;
        for segment in self.segments.iter().filter(|s| !s.is_empty()) {
            let last_ms = if segment.max_timestamp >= 0 { segment.max_timestamp } else { segment.created_ms };
            let expired = oldest_kept.is_some_and(|oldest| last_ms < oldest);
            let active = segment.base_offset == self.active().base_offset;
            let too_many = !active && bytes_max.is_some_and(|max| bytes.saturating_sub(segment.bytes) >= max);
            if !expired && !too_many {
                break;
            }
            bytes -= segment.bytes;
            start = start.max(segment.next_offset);
        }
        if start > self.log_start {
            if start == self.next_offset() {
                self.roll(now_ms)?;
                done.rolled += 1;
            }
            self.move_log_start(start)?;
        }
        Ok(())
    }

    /// Deletes closed segments of which nothing can be read any more.
    fn drop_below_start(&mut self, done: &mut Maintained) -> io::Result<()> {
        while self.segments.len() > 1 && self.segments[1].base_offset <= self.log_start {
            self.segments[0].remove()?;
            let gone = self.segments.remove(0);
            done.deleted_segments += 1;
            done.deleted_bytes += gone.bytes;
        }
        Ok(())
    }

    /// Makes `offset` the first that can be read; -1 stands for the high watermark. The new log start.
    pub fn delete_before(&mut self, offset: i64) -> Result<i64, ReadError> {
        let log_end = self.next_offset();
        let offset = if offset == -1 { log_end } else { offset };
        if offset < 0 || offset > log_end {
            return Err(ReadError::OutOfRange { offset, log_start: self.log_start, log_end });
        }
        if offset > self.log_start {
            if offset == log_end && !self.active().is_empty() {
                self.roll(self.active().created_ms)?;
            }
            self.move_log_start(offset)?;
            self.drop_below_start(&mut Maintained::default())?;
        }
        Ok(self.log_start)
    }

    /// Removes the batch that holds `offset` and everything behind it, as a follower does whose leader never had it.
    /// Producers and epochs are rebuilt from what is left, so the whole log is read.
    pub fn truncate_to(&mut self, offset: i64) -> io::Result<()> {
        if offset < self.log_start {
            let start = self.log_start;
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot truncate to {offset}, below the log start {start}"),
            ));
        }
        if offset >= self.next_offset() {
            return Ok(());
        }
        let now_ms = self.active().created_ms;
        if let Storage::Dir(dir) = self.storage.clone() {
            Checkpoint::remove(&dir)?;
            let was_active = self.active().base_offset;
            while self.segments.len() > 1 && self.active().base_offset >= offset {
                self.active().remove()?;
                self.segments.pop();
            }
            self.active_mut().release();
            let next = self.active_mut().cut_at(offset)?;
            if self.active().base_offset < was_active.min(next) {
                // What was closed may have been compacted, and the last segment must have no gaps.
                self.new_segment(next, now_ms)?;
            }
            let opened = PartitionLog::open_dir(&dir, self.storage.clone(), self.config.clone(), now_ms)?.0;
            *self = PartitionLog { buffers: self.buffers.clone(), ..opened };
            return Ok(());
        }
        self.truncate_memory(offset, now_ms)
    }

    fn truncate_memory(&mut self, offset: i64, now_ms: i64) -> io::Result<()> {
        let first = self.new_segment(self.segments[0].base_offset, now_ms)?;
        let mut fresh = PartitionLog::with_segments(self.storage.clone(), self.config.clone(), vec![first]);
        fresh.share_buffers(&self.buffers);
        for segment in &self.segments {
            let mut walk = segment.walk_from(i64::MIN, SCAN_BYTES)?;
            while let Some(found) = walk.next_batch()?.filter(|f| f.header.last_offset() < offset) {
                let batch = walk.load(&found)?;
                fresh.prepare(found.header.size as u64, now_ms)?;
                fresh.replay(&found.header, &batch, now_ms);
                fresh.active_mut().note(&found.header);
                fresh.active_mut().keep(batch);
            }
        }
        if fresh.active().is_empty() {
            *fresh.active_mut() = self.new_segment(offset.min(self.next_offset()), now_ms)?;
        }
        fresh.log_start = self.log_start.min(fresh.next_offset());
        fresh.epochs.trim_front(fresh.log_start);
        fresh.producers.forget_aborted_below(fresh.log_start);
        *self = fresh;
        Ok(())
    }

    /// Takes a batch that is already stored into producers and epochs.
    pub(super) fn replay(&mut self, h: &Header, batch: &[u8], now_ms: i64) {
        let marker = if h.is(CONTROL) { Marker::read(batch) } else { None };
        if !h.is(CONTROL) || marker.is_some() {
            self.producers.replay(h, marker, now_ms);
        }
        self.epochs.assign(h.leader_epoch, h.base_offset);
    }
}
