//! Partition logs of the embedded broker: what producers send is checked, given offsets and kept as the bytes that came.
//!
//! One [`PartitionLog`] is one partition. It is a plain state machine: no thread, no clock, no lock but that of the
//! buffers its reads share with other partitions; the server holds it in a mutex and hands the time in as milliseconds since 1970. Its parts:
//!
//! ```text
//! batch      headers of record batches: parse, check, patch, control batches; build makes whole ones
//! records    the records inside a batch; codec inflates them
//! producers  sequences, open transactions, aborted ranges
//! epochs     which leader epoch began at which offset
//! buffers    memory of reads from files, used again
//! segment    a run of batches in memory or in one file, with its sparse index; walk goes through one
//! log        appends; read, maintain, compact, recover are its other halves, one file each
//! spill      memory that logs share, and files for what is above its bound
//! checkpoint producers, epochs and aborted ranges on disk, so that opening reads the last segment only
//! ```
//!
//! Always true: offsets of stored batches ascend and never change; a batch is stored whole or not at all; an append that
//! answered was written to its file (it survives the end of the process; a power cut may take what was not yet
//! synchronised, which happens on roll and [`PartitionLog::flush`]), or is in memory. Only format 2 of record batches exists here.
//!
//! Cost of an append: one checksum, one walk over record lengths, one copy (memory) or one `writev` (file); of one that
//! spills also the write of a segment.

mod batch;
mod buffers;
mod build;
mod checkpoint;
mod codec;
mod compact;
mod config;
mod epochs;
mod error;
mod index;
mod log;
mod maintain;
mod producers;
mod read;
mod records;
mod recover;
mod segment;
mod spill;
#[cfg(test)]
mod tests;
mod walk;

use std::path::PathBuf;

use bytes::Bytes;

pub use buffers::Buffers;
pub use build::{BatchBuilder, StoredRecord, for_each_record};
pub use config::{ConfigEntry, LogConfig};
pub use error::{AppendError, ReadError};
pub use log::PartitionLog;
pub use spill::{Spill, SpillSpace};

/// Where a partition keeps its batches.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory; gone with the process.
    Memory,
    /// In memory while there is room in this space, which other logs share, then in its files; gone with the log.
    Spill(SpillSpace),
    /// In segment files in this folder, which is created when missing and belongs to this partition alone.
    Dir(PathBuf),
}

/// What opening a partition had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Batches whose checksum was verified: those written since the last checkpoint.
    pub batches: u64,
    /// Bytes behind the last whole batch that were cut off (or set aside as `.corrupt`); 0 after an orderly stop.
    pub cut_bytes: u64,
}

/// Answer to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The time the log gave the records, or -1 when they keep the producer's.
    pub log_append_time: i64,
    /// TRUE when these records had been stored before; the offsets are those of then.
    pub duplicate: bool,
}

/// An aborted transaction that reaches into what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose transaction it was.
    pub producer_id: i64,
    /// Its first offset in this partition.
    pub first_offset: i64,
}

/// Answer to a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Stored bytes in offset order; each element is one or more whole batches. The first batch may begin below the
    /// offset asked for.
    pub batches: Vec<Bytes>,
    /// Sum of their lengths.
    pub bytes: usize,
    /// One past the last stored offset.
    pub high_watermark: i64,
    /// Everything below is decided: no open transaction reaches below it.
    pub last_stable: i64,
    /// The first offset that can be read.
    pub log_start: i64,
    /// Aborted transactions that overlap `batches`, by first offset; only for committed reads.
    pub aborted: Vec<Aborted>,
}

/// What [`PartitionLog::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Segments closed because of their age.
    pub rolled: u64,
    /// Segments deleted by retention.
    pub deleted_segments: u64,
    /// Bytes freed by retention.
    pub deleted_bytes: u64,
    /// Segments rewritten by compaction.
    pub compacted_segments: u64,
    /// Bytes freed by compaction.
    pub compacted_bytes: u64,
    /// Idle producers forgotten.
    pub expired_producers: u64,
}

/// What the log knows of one producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerInfo {
    /// The producer id.
    pub producer_id: i64,
    /// Its newest epoch.
    pub producer_epoch: i16,
    /// Last sequence number stored, -1 when none in this epoch.
    pub last_sequence: i32,
    /// When it last wrote, in milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 when none did.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 when none is open.
    pub transaction_start: i64,
}
