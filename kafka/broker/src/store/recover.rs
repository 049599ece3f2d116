//! Opening a partition from its folder.
//!
//! Closed segments that the checkpoint covers are taken from their index; everything behind it is read, batch by batch,
//! with its checksum. The first batch that is not whole ends the log: it and what follows in the file is cut off, later
//! segments are set aside as `.corrupt`. Without a usable checkpoint everything is read. Cost: that of one sequential
//! read of what was written since the last roll or flush.

use std::io;
use std::path::Path;

use super::batch;
use super::checkpoint::{self, Checkpoint};
use super::compact;
use super::config::LogConfig;
use super::log::PartitionLog;
use super::segment::{Segment, log_path};
use super::{Recovered, Storage};

/// Base offsets of the segment files in a folder, ascending; what an interrupted write left is removed.
fn list_segments(dir: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension {
            "log" => {
                let base = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<i64>().ok());
                bases.extend(base.filter(|base| *base >= 0 && log_path(dir, *base) == path));
            }
            "new" | "cleaned" => std::fs::remove_file(&path)?,
            _ => {}
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

impl PartitionLog {
    pub(super) fn open_dir(
        dir: &Path,
        storage: Storage,
        config: LogConfig,
        now_ms: i64,
    ) -> io::Result<(PartitionLog, Recovered)> {
        std::fs::create_dir_all(dir)?;
        compact::finish_swap(dir)?;
        let bases = list_segments(dir)?;
        let saved_start = checkpoint::read_log_start(dir)?.filter(|start| *start >= 0);
        let mut log = PartitionLog::with_segments(storage, config, Vec::new());
        let mut recovered = Recovered::default();
        let from = log.adopt_checkpointed(dir, &bases, now_ms)?;
        log.read_back(dir, &bases, from, now_ms, &mut recovered)?;
        if log.segments.is_empty() {
            let first = log.new_segment(saved_start.unwrap_or(0), now_ms)?;
            log.segments.push(first);
        }
        log.active_mut().activate()?;
        if bases.last().is_some_and(|last| log.active().base_offset < *last) {
            // A closed segment has become the last; it may have been compacted, and the last must have no gaps.
            log.active_mut().close()?;
            let next = log.new_segment(log.next_offset(), now_ms)?;
            log.segments.push(next);
        }
        let first_offset = log.segments[0].base_offset;
        log.log_start = saved_start.map_or(first_offset, |start| start.max(first_offset));
        if log.next_offset() < log.log_start {
            // The records that stood below the log start were lost; their offsets must not be given again.
            log.active_mut().close()?;
            let next = log.new_segment(log.log_start, now_ms)?;
            log.segments.push(next);
        }
        let start = log.log_start;
        log.epochs.trim_front(start);
        log.producers.forget_aborted_below(start);
        if recovered.cut_bytes > 0 {
            log.flush()?;
        }
        Ok((log, recovered))
    }

    /// Takes over what the checkpoint covers; the number of the first segment that must be read back.
    fn adopt_checkpointed(&mut self, dir: &Path, bases: &[i64], now_ms: i64) -> io::Result<usize> {
        let Some(checkpoint) = Checkpoint::read(dir)? else { return Ok(0) };
        let mut closed = Vec::new();
        for (number, base) in bases.iter().enumerate() {
            if *base == checkpoint.next_offset {
                break;
            }
            let Some(segment) = Segment::open_prefix(log_path(dir, *base), *base, now_ms)? else { return Ok(0) };
            let fits = match bases.get(number + 1) {
                Some(next) => segment.next_offset <= *next && segment.file_bytes()? == segment.bytes,
                None => segment.next_offset == checkpoint.next_offset,
            };
            if !fits {
                return Ok(0);
            }
            closed.push(segment);
        }
        let covered = closed.len();
        if bases.get(covered).is_none_or(|base| *base != checkpoint.next_offset)
            && closed.last().is_none_or(|last| last.next_offset != checkpoint.next_offset)
        {
            return Ok(0);
        }
        self.segments = closed;
        self.epochs = checkpoint.epochs;
        self.producers = checkpoint.producers;
        self.cleaned_to = checkpoint.cleaned_to;
        self.next_horizon = checkpoint.next_horizon;
        Ok(covered)
    }

    fn read_back(
        &mut self,
        dir: &Path,
        bases: &[i64],
        from: usize,
        now_ms: i64,
        recovered: &mut Recovered,
    ) -> io::Result<()> {
        if from == bases.len()
            && let Some(mut last) = self.segments.pop()
        {
            let bytes = last.file_bytes()?;
            let sound = self.scan(&mut last, bytes, i64::MAX, true, now_ms, recovered)?;
            recovered.cut_bytes += if sound { 0 } else { bytes - last.bytes };
            self.segments.push(last);
            return Ok(());
        }
        let mut sound = true;
        for (number, base) in bases.iter().enumerate().skip(from) {
            let path = log_path(dir, *base);
            let mut segment = Segment::open_unknown(path, *base, self.config.index_interval_bytes(), now_ms);
            let bytes = segment.file_bytes()?;
            if !sound {
                recovered.cut_bytes += bytes;
                segment.set_aside()?;
                continue;
            }
            let limit = bases.get(number + 1).copied();
            sound = self.scan(&mut segment, bytes, limit.unwrap_or(i64::MAX), limit.is_none(), now_ms, recovered)?;
            recovered.cut_bytes += bytes - segment.bytes;
            if sound && limit.is_some() {
                segment.save_index()?;
            }
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Takes in the batches of a file behind those it has; FALSE when it ended with something else. `limit` is where the
    /// next segment begins; with `gapless` every offset must be there, as only compaction makes gaps.
    fn scan(
        &mut self,
        segment: &mut Segment,
        bytes: u64,
        limit: i64,
        gapless: bool,
        now_ms: i64,
        recovered: &mut Recovered,
    ) -> io::Result<bool> {
        let mut walk = segment.walk_unknown(bytes)?;
        loop {
            let found = match walk.next_batch() {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
                Err(error) => return Err(error),
            };
            let batch = walk.load(&found)?;
            let (h, next) = (found.header, segment.next_offset);
            let in_order = if gapless { h.base_offset == next } else { h.base_offset >= next };
            if !in_order || h.next_offset() > limit || !batch::is_whole(&batch) {
                return Ok(false);
            }
            if segment.is_empty() && h.max_timestamp >= 0 {
                segment.created_ms = segment.created_ms.min(h.max_timestamp);
            }
            self.replay(&h, &batch, now_ms);
            segment.note(&h);
            recovered.batches += 1;
        }
    }
}
