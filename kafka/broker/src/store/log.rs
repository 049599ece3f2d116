//! The log of one partition: opening it and appending to it. Reading, upkeep, compaction and recovery are in their files.
//!
//! Invariants: there is always an active segment, the last; segments ascend without overlap; `next_offset` is the active
//! one's; producers, epochs and aborted ranges describe exactly what is stored. A failed append changes nothing.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::batch::{self, Marker, Stored};
use super::buffers::Buffers;
use super::checkpoint::{self, Checkpoint};
use super::config::LogConfig;
use super::epochs::Epochs;
use super::error::AppendError;
use super::producers::{Producers, Staged, Verdict};
use super::segment::{Segment, log_path};
use super::{Appended, ProducerInfo, Recovered, Storage};

/// One partition.
pub struct PartitionLog {
    pub(super) storage: Storage,
    pub(super) config: LogConfig,
    /// Oldest first; the last is the active one.
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) producers: Producers,
    pub(super) epochs: Epochs,
    /// Compaction has seen everything below.
    pub(super) cleaned_to: i64,
    /// When the first tombstone that compaction kept may go.
    pub(super) next_horizon: i64,
    /// Bytes appended since the last checkpoint.
    pub(super) since_checkpoint: u64,
    pub(super) buffers: Buffers,
}

impl PartitionLog {
    /// Opens a partition and repairs what a crash left behind.
    pub fn open(storage: Storage, config: LogConfig, now_ms: i64) -> io::Result<(PartitionLog, Recovered)> {
        match &storage {
            Storage::Memory | Storage::Spill(_) => {
                let first = Segment::in_memory(0, config.index_interval_bytes(), now_ms, storage.share());
                Ok((PartitionLog::with_segments(storage, config, vec![first]), Recovered::default()))
            }
            Storage::Dir(dir) => {
                let dir = dir.clone();
                PartitionLog::open_dir(&dir, storage, config, now_ms)
            }
        }
    }

    pub(super) fn with_segments(storage: Storage, config: LogConfig, segments: Vec<Segment>) -> PartitionLog {
        PartitionLog {
            storage,
            config,
            segments,
            log_start: 0,
            producers: Producers::default(),
            epochs: Epochs::default(),
            cleaned_to: 0,
            next_horizon: i64::MAX,
            since_checkpoint: 0,
            buffers: Buffers::default(),
        }
    }

    /// Takes the memory of its reads from these, which other logs use too.
    pub fn share_buffers(&mut self, buffers: &Buffers) {
        self.buffers = buffers.clone();
    }

    /// Puts another configuration in force for what follows.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The configuration in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    pub(super) fn dir(&self) -> Option<&Path> {
        match &self.storage {
            Storage::Memory | Storage::Spill(_) => None,
            Storage::Dir(dir) => Some(dir),
        }
    }

    /// Size at which a segment closes.
    pub(super) fn segment_bytes(&self) -> u64 {
        let configured = self.config.segment_bytes();
        match &self.storage {
            Storage::Memory | Storage::Dir(_) => configured,
            Storage::Spill(space) => configured.min(space.segment_bytes_max()),
        }
    }

    pub(super) fn active(&self) -> &Segment {
        self.segments.last().expect("a log always has an active segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log always has an active segment")
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.active().next_offset
    }

    /// Stores one or more batches of a producer: all of them or, on error, none. Batches seen before are not stored
    /// again. Whether a transactional batch belongs to an open transaction is the caller's to know.
    pub fn append(&mut self, records: Bytes, epoch: i32, now_ms: i64) -> Result<Appended, AppendError> {
        let sent = batch::check_sent(&records, &self.config, now_ms)?;
        let append_time = self.config.log_append_time().then_some(now_ms);
        let mut staged = Staged::default();
        let mut fresh = Vec::with_capacity(sent.len());
        let mut answer: Option<Appended> = None;
        let mut next = self.next_offset();
        for sent in sent {
            let part = match staged.check(&self.producers, &sent.header)? {
                Verdict::Duplicate(seen) => Appended {
                    base_offset: seen.base_offset,
                    last_offset: seen.last_offset,
                    log_append_time: seen.log_append_time,
                    duplicate: true,
                },
                Verdict::New => {
                    let stored = Stored::place(sent, next, epoch, append_time);
                    staged.accept(&self.producers, &stored.header, now_ms);
                    next = stored.header.next_offset();
                    let part = Appended {
                        base_offset: stored.header.base_offset,
                        last_offset: stored.header.last_offset(),
                        log_append_time: append_time.unwrap_or(-1),
                        duplicate: false,
                    };
                    fresh.push(stored);
                    part
                }
            };
            let first = answer.get_or_insert(part);
            first.last_offset = part.last_offset;
            first.duplicate &= part.duplicate;
        }
        if !fresh.is_empty() {
            self.store(&fresh, epoch, now_ms)?;
            self.producers.commit(staged);
        }
        answer.ok_or_else(|| AppendError::Corrupt("no record batch at all".to_owned()))
    }

    /// Writes the marker that ends a producer's transaction; the offset of the marker.
    pub fn end_transaction(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        commit: bool,
        epoch: i32,
        now_ms: i64,
    ) -> Result<i64, AppendError> {
        self.producers.check_marker(producer_id, producer_epoch, coordinator_epoch)?;
        let offset = self.next_offset();
        let marker = Stored::marker(producer_id, producer_epoch, coordinator_epoch, commit, now_ms).at(offset, epoch);
        let header = marker.header;
        self.store(&[marker], epoch, now_ms)?;
        self.producers.end_transaction(&header, &Marker { commit, coordinator_epoch }, now_ms);
        Ok(offset)
    }

    /// Appends to the active segment, or to a new one if they do not fit.
    fn store(&mut self, batches: &[Stored], epoch: i32, now_ms: i64) -> io::Result<()> {
        let bytes: u64 = batches.iter().map(|b| b.header.size as u64).sum();
        self.prepare(bytes, now_ms)?;
        let first_offset = self.next_offset();
        self.active_mut().append(batches)?;
        self.since_checkpoint += bytes;
        self.epochs.assign(epoch, first_offset);
        Ok(())
    }

    /// Makes the active segment one that so many bytes go into, and room for them in memory.
    pub(super) fn prepare(&mut self, bytes: u64, now_ms: i64) -> io::Result<()> {
        let active = self.active();
        let full = active.bytes + bytes > self.segment_bytes();
        let old = now_ms.saturating_sub(active.created_ms) >= self.config.segment_ms();
        if !active.is_empty() && (full || old) {
            self.roll(now_ms)?;
        }
        self.make_room(bytes)
    }

    /// Closes the active segment and begins the next.
    pub(super) fn roll(&mut self, now_ms: i64) -> io::Result<()> {
        self.active_mut().close()?;
        let next = self.new_segment(self.next_offset(), now_ms)?;
        self.segments.push(next);
        self.save_checkpoint()
    }

    pub(super) fn new_segment(&self, base_offset: i64, now_ms: i64) -> io::Result<Segment> {
        let interval = self.config.index_interval_bytes();
        match &self.storage {
            Storage::Memory | Storage::Spill(_) => {
                Ok(Segment::in_memory(base_offset, interval, now_ms, self.storage.share()))
            }
            Storage::Dir(dir) => Segment::create(log_path(dir, base_offset), base_offset, interval, now_ms),
        }
    }

    /// Notes down what closed segments and the active one up to here hold. What it speaks of must be synchronised.
    pub(super) fn save_checkpoint(&mut self) -> io::Result<()> {
        let Some(dir) = self.dir() else { return Ok(()) };
        let checkpoint = Checkpoint {
            next_offset: self.next_offset(),
            cleaned_to: self.cleaned_to,
            next_horizon: self.next_horizon,
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
        };
        checkpoint.write(dir)?;
        self.since_checkpoint = 0;
        Ok(())
    }

    pub(super) fn move_log_start(&mut self, offset: i64) -> io::Result<()> {
        if let Some(dir) = self.dir() {
            checkpoint::write_log_start(dir, offset)?;
        }
        self.log_start = offset;
        self.epochs.trim_front(offset);
        self.producers.forget_aborted_below(offset);
        Ok(())
    }

    /// Synchronises everything with the disk, so that the next opening reads nothing back. Call it before the process
    /// ends in order.
    pub fn flush(&mut self) -> io::Result<()> {
        self.active_mut().sync()?;
        self.active().save_index()?;
        self.save_checkpoint()
    }

    /// A new leader epoch begins here, whether or not anything is written in it.
    pub fn start_epoch(&mut self, epoch: i32) {
        self.epochs.assign(epoch, self.next_offset());
    }

    /// Producers known here, by id.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        self.producers.infos()
    }

    /// Bytes of all stored batches.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }
}
