//! Memory that logs share up to a bound, and the files that take what is above it.
//!
//! A [`SpillSpace`] counts the bytes of all batches that its logs hold in memory. Before a log stores a batch it makes
//! room: its own closed segments go to files, whole and oldest first, until the batch fits or only the active segment is
//! left. No log looks into another one, so a log that appends nothing keeps its memory until its next upkeep, which gives
//! away as much as the logs together hold too much.
//!
//! Always true: of a log's segments those in files come first, then those in memory; the active one is in memory.
//! Segments close at [`SEGMENT_BYTES_MAX`] or a sixteenth of the bound, so the count is at most the bound and one segment
//! for each log that is appended to. What readers still hold of a batch, the sparse indexes and what allocation costs are
//! not counted.
//!
//! The files are of use to nobody else: nothing is synchronised, nothing is read at a start. Each is removed with its
//! segment and their folder with the space.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::log::PartitionLog;
use super::segment::{Segment, write_all};
use super::{Maintained, Storage};

/// A segment closes at this size at the latest, so that the append that spills it waits milliseconds.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// The bound holds at least so many whole segments.
const SEGMENTS_IN_BOUND: u64 = 16;

/// Where logs in memory put what is too much for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// The files are in a folder of their own in this one, which is created when missing. It should be on a disk: a file
    /// system in memory would save nothing.
    pub dir: PathBuf,
    /// How many bytes of batches all logs together hold in memory before segments go to files.
    pub above_bytes: u64,
}

/// Memory and files that logs share; clones are the same space.
#[derive(Clone, Debug)]
pub struct SpillSpace(Arc<Space>);

#[derive(Debug)]
struct Space {
    folder: PathBuf,
    above_bytes: u64,
    in_memory: AtomicU64,
    files: AtomicU64,
}

impl SpillSpace {
    /// An empty space with a new folder.
    pub fn open(spill: &Spill) -> io::Result<SpillSpace> {
        let folder = new_folder(&spill.dir).map_err(|error| {
            let told = format!("cannot make a folder for spilled segments in {}: {error}", spill.dir.display());
            io::Error::new(error.kind(), told)
        })?;
        Ok(SpillSpace(Arc::new(Space {
            folder,
            above_bytes: spill.above_bytes,
            in_memory: AtomicU64::default(),
            files: AtomicU64::default(),
        })))
    }

    /// Bytes of all batches in memory.
    pub fn bytes_in_memory(&self) -> u64 {
        self.0.in_memory.load(Ordering::Relaxed)
    }

    /// Removes all files. What was in them cannot be read any more, and nothing more can be spilled.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.0.folder)
    }

    pub(super) fn segment_bytes_max(&self) -> u64 {
        SEGMENT_BYTES_MAX.min(self.0.above_bytes / SEGMENTS_IN_BOUND)
    }

    /// TRUE when there is no room for so many bytes.
    fn is_above_with(&self, bytes: u64) -> bool {
        self.bytes_in_memory().saturating_add(bytes) > self.0.above_bytes
    }

    /// Writes batches to a new file. One that could not be written whole is removed.
    pub(super) fn write(&self, batches: &[Bytes]) -> io::Result<SpilledFile> {
        let number = self.0.files.fetch_add(1, Ordering::Relaxed);
        let file = SpilledFile { path: self.0.folder.join(format!("{number}.log")) };
        let opened = OpenOptions::new().write(true).create_new(true).open(&file.path);
        let parts: Vec<&[u8]> = batches.iter().map(|batch| &batch[..]).collect();
        opened.and_then(|mut out| write_all(&mut out, &parts)).map_err(|error| {
            let bytes: usize = batches.iter().map(Bytes::len).sum();
            let told = format!(
                "cannot move {bytes} bytes of records from memory to {}: {error}; make room there, or allow more memory",
                file.path.display()
            );
            io::Error::new(error.kind(), told)
        })?;
        Ok(file)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It is gone already where the space was removed; what cannot be removed harms nobody.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A folder in `dir` that nothing else uses, nor will in this process.
fn new_folder(dir: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(dir)?;
    loop {
        let folder = dir.join(format!("spilled-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        match fs::create_dir(&folder) {
            // Left by a killed process that had the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SpilledFile {
    path: PathBuf,
}

impl SpilledFile {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpilledFile {
    fn drop(&mut self) {
        // Missing when it was never written, or when the space was removed.
        drop(fs::remove_file(&self.path));
    }
}

/// What one segment has of the shared memory; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    space: SpillSpace,
    bytes: u64,
}

impl Share {
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.space.0.in_memory.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.space.0.in_memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Storage {
    /// The account of a new segment in memory, where that is shared.
    pub(super) fn share(&self) -> Option<Share> {
        match self {
            Storage::Spill(space) => Some(Share { space: space.clone(), bytes: 0 }),
            Storage::Memory | Storage::Dir(_) => None,
        }
    }
}

impl PartitionLog {
    /// Moves closed segments to files until so many bytes more fit into memory. On error all that is stored can still be
    /// read.
    pub(super) fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let Storage::Spill(space) = &self.storage else { return Ok(()) };
        if !space.is_above_with(bytes) {
            return Ok(());
        }
        let closed = self.segments.len() - 1;
        let in_memory = self.segments.partition_point(Segment::is_spilled);
        for segment in &mut self.segments[in_memory..closed] {
            segment.spill(space, self.config.index_interval_bytes())?;
            if !space.is_above_with(bytes) {
                break;
            }
        }
        Ok(())
    }

    /// Gives memory to the logs that append, even that of the active segment, while all logs hold too much.
    pub(super) fn give_room(&mut self, now_ms: i64, done: &mut Maintained) -> io::Result<()> {
        self.make_room(0)?;
        let above = matches!(&self.storage, Storage::Spill(space) if space.is_above_with(0));
        if above && !self.active().is_empty() {
            self.roll(now_ms)?;
            done.rolled += 1;
            self.make_room(0)?;
        }
        Ok(())
    }
}
