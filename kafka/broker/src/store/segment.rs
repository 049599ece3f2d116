//! A segment: consecutive batches in memory or in one file, with its index. The last segment of a log is its active one.
//!
//! A file segment is `<base offset, 20 digits>.log`, the raw batches and nothing else, and once closed a `.index` beside
//! it, without which it is read through on opening. Only the active segment keeps its file open. A batch's place is a
//! byte of the file, or its number in memory. A failed write is taken back, so the file always ends with a whole batch.
//! A closed segment in memory can be spilled: its batches go to a file that is removed with the segment.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek as _, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::batch::{Header, Stored};
use super::buffers::Buffers;
use super::checkpoint::{read_framed, write_framed};
use super::index::Index;
use super::spill::{Share, SpillSpace, SpilledFile};
use super::walk::{Source, Walk, parse};

/// Bytes read at once to find a batch.
pub(super) const LOOKUP_BYTES: usize = 4 << 10;
/// Bytes read at once to go through a segment.
pub(super) const SCAN_BYTES: usize = 256 << 10;
/// A read takes no more than this from a segment, whatever a client asks for.
const READ_BYTES_MAX: usize = 64 << 20;
const INDEX_KIND: u8 = 1;

/// A run of batches.
pub(super) struct Segment {
    pub base_offset: i64,
    /// One past the last offset; `base_offset` while empty.
    pub next_offset: i64,
    pub bytes: u64,
    /// Greatest timestamp, -1 while there is none.
    pub max_timestamp: i64,
    /// Base offset of the first batch that has it.
    pub max_timestamp_batch: i64,
    /// When the segment was begun, as far as is known.
    pub created_ms: i64,
    index: Index,
    data: Data,
}

enum Data {
    Memory {
        batches: Vec<Bytes>,
        /// Where their bytes are counted.
        share: Option<Share>,
    },
    File {
        path: PathBuf,
        /// Open for the active segment only.
        active: Option<File>,
    },
    /// What was in memory; closed.
    Spilled(SpilledFile),
}

/// What one read took from a segment.
pub(super) struct Run {
    pub batches: Vec<Bytes>,
    pub bytes: usize,
    /// One past the last offset taken.
    pub next_offset: i64,
    /// TRUE when the segment holds nothing behind it.
    pub at_end: bool,
}

pub(super) fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Path of a segment's file.
pub(super) fn log_path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}.log"))
}

impl Segment {
    fn empty(base_offset: i64, interval: u64, now_ms: i64, data: Data) -> Segment {
        Segment {
            base_offset,
            next_offset: base_offset,
            bytes: 0,
            max_timestamp: -1,
            max_timestamp_batch: base_offset,
            created_ms: now_ms,
            index: Index::new(interval),
            data,
        }
    }

    pub fn in_memory(base_offset: i64, interval: u64, now_ms: i64, share: Option<Share>) -> Segment {
        Segment::empty(base_offset, interval, now_ms, Data::Memory { batches: Vec::new(), share })
    }

    /// Begins a new file; one that is there is replaced.
    pub fn create(path: PathBuf, base_offset: i64, interval: u64, now_ms: i64) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(Segment::empty(base_offset, interval, now_ms, Data::File { path, active: Some(file) }))
    }

    /// The part of a file that its index speaks of; `None` when the index is missing or not about this file.
    pub fn open_prefix(path: PathBuf, base_offset: i64, now_ms: i64) -> io::Result<Option<Segment>> {
        let Some(saved) = read_framed(&path.with_extension("index"), INDEX_KIND)? else { return Ok(None) };
        let bytes = std::fs::metadata(&path)?.len();
        Ok(Segment::restore(&saved, path, base_offset, now_ms).filter(|s| s.bytes <= bytes))
    }

    fn restore(saved: &[u8], path: PathBuf, base_offset: i64, now_ms: i64) -> Option<Segment> {
        let (head, index) = saved.split_at_checked(48)?;
        let field = |i: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&head[i * 8..i * 8 + 8]);
            i64::from_be_bytes(raw)
        };
        let fits = field(0) == base_offset && field(1) >= base_offset && field(2) >= 0;
        fits.then_some(Segment {
            base_offset,
            next_offset: field(1),
            bytes: field(2).unsigned_abs(),
            max_timestamp: field(3),
            max_timestamp_batch: field(4),
            created_ms: field(5).min(now_ms),
            index: Index::decode(index)?,
            data: Data::File { path, active: None },
        })
    }

    /// A file of unknown contents, as an empty segment; recovery notes the batches it finds good.
    pub fn open_unknown(path: PathBuf, base_offset: i64, interval: u64, now_ms: i64) -> Segment {
        Segment::empty(base_offset, interval, now_ms, Data::File { path, active: None })
    }

    /// Bytes of the file, whether or not they are known to be batches.
    pub fn file_bytes(&self) -> io::Result<u64> {
        match &self.data {
            Data::Memory { .. } | Data::Spilled(_) => Ok(self.bytes),
            Data::File { path, .. } => Ok(std::fs::metadata(path)?.len()),
        }
    }

    /// Makes the last segment ready for appends; what lies behind its batches is cut off.
    pub fn activate(&mut self) -> io::Result<()> {
        let Data::File { path, active } = &mut self.data else { return Ok(()) };
        let mut file = OpenOptions::new().read(true).write(true).open(&*path)?;
        file.set_len(self.bytes)?;
        file.seek(io::SeekFrom::Start(self.bytes))?;
        *active = Some(file);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes a stored batch into the books.
    pub fn note(&mut self, h: &Header) {
        let at = match &self.data {
            Data::Memory { batches, .. } => batches.len() as u64,
            Data::File { .. } | Data::Spilled(_) => self.bytes,
        };
        self.index.note(h.base_offset, at, h.size as u64, self.max_timestamp);
        self.bytes += h.size as u64;
        self.next_offset = h.next_offset();
        if h.max_timestamp > self.max_timestamp {
            (self.max_timestamp, self.max_timestamp_batch) = (h.max_timestamp, h.base_offset);
        }
    }

    /// Stores batches: all of them or none.
    pub fn append(&mut self, batches: &[Stored]) -> io::Result<()> {
        debug_assert!(!self.is_spilled(), "only closed segments are spilled");
        self.reactivate()?;
        let parts = || batches.iter().flat_map(|b| [&b.head[..], &b.body[..]]).collect::<Vec<_>>();
        if let Data::File { active: Some(file), .. } = &mut self.data
            && let Err(error) = write_all(file, &parts())
        {
            let undone = file.set_len(self.bytes).and_then(|()| file.seek(io::SeekFrom::Start(self.bytes)));
            if undone.is_err() {
                self.release();
            }
            return Err(error);
        }
        for batch in batches {
            self.note(&batch.header);
            if let Data::Memory { .. } = self.data {
                self.keep(batch.to_bytes());
            }
        }
        Ok(())
    }

    /// Holds a batch that was noted, in memory.
    pub fn keep(&mut self, batch: Bytes) {
        if let Data::Memory { batches, share } = &mut self.data {
            if let Some(share) = share {
                share.add(batch.len() as u64);
            }
            batches.push(batch);
        }
    }

    /// TRUE when the batches were moved from memory to a file.
    pub fn is_spilled(&self) -> bool {
        matches!(self.data, Data::Spilled(_))
    }

    /// Moves the batches of a closed segment from memory to a file; on error they stay where they are.
    pub fn spill(&mut self, space: &SpillSpace, interval: u64) -> io::Result<()> {
        let Data::Memory { batches, .. } = &self.data else { return Ok(()) };
        let file = space.write(batches)?;
        // The index has to name other places, so it is made anew.
        let mut spilled = Segment::empty(self.base_offset, interval, self.created_ms, Data::Spilled(file));
        for batch in batches {
            spilled.note(&parse(batch)?);
        }
        *self = spilled;
        Ok(())
    }

    /// After a write that failed and could not be taken back: cuts off what it left before anything else is done.
    fn reactivate(&mut self) -> io::Result<()> {
        if matches!(self.data, Data::File { active: None, .. }) { self.activate() } else { Ok(()) }
    }

    /// Synchronises the active segment with the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.reactivate()?;
        match &self.data {
            Data::File { active: Some(file), .. } => file.sync_data(),
            _ => Ok(()),
        }
    }

    /// No more appends: synchronises the file, writes its index, lets go of the file.
    pub fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.save_index()?;
        self.release();
        Ok(())
    }

    /// Lets go of the file.
    pub fn release(&mut self) {
        if let Data::File { active, .. } = &mut self.data {
            *active = None;
        }
    }

    pub fn save_index(&self) -> io::Result<()> {
        let Data::File { path, .. } = &self.data else { return Ok(()) };
        let mut out = Vec::new();
        let fields = [
            self.base_offset,
            self.next_offset,
            self.bytes as i64,
            self.max_timestamp,
            self.max_timestamp_batch,
            self.created_ms,
        ];
        for field in fields {
            out.extend_from_slice(&field.to_be_bytes());
        }
        self.index.encode(&mut out);
        write_framed(&path.with_extension("index"), INDEX_KIND, &out)
    }

    /// Puts a finished file in the place of `to`.
    pub fn rename(&mut self, to: PathBuf) -> io::Result<()> {
        let Data::File { path, .. } = &mut self.data else { return Ok(()) };
        remove_if_there(&to.with_extension("index"))?;
        std::fs::rename(&*path, &to)?;
        *path = to;
        self.save_index()
    }

    /// Deletes the segment's files.
    pub fn remove(&self) -> io::Result<()> {
        let Data::File { path, .. } = &self.data else { return Ok(()) };
        remove_if_there(path)?;
        remove_if_there(&path.with_extension("index"))
    }

    /// Takes the segment out of the log but leaves its bytes beside it as `.corrupt`.
    pub fn set_aside(&self) -> io::Result<()> {
        let Data::File { path, .. } = &self.data else { return Ok(()) };
        remove_if_there(&path.with_extension("index"))?;
        std::fs::rename(path, path.with_extension("corrupt"))
    }

    /// Batches from the one that holds `offset` on, in order; nothing below `offset` but what its batch holds.
    pub fn walk_from(&self, offset: i64, chunk: usize) -> io::Result<Walk<'_>> {
        let mut walk = self.walk_at(self.index.place_of_offset(offset), self.bytes, chunk)?;
        walk.skip_below = offset;
        Ok(walk)
    }

    /// Batches from the first on that may have a timestamp of at least `ts_ms`.
    pub fn walk_from_time(&self, ts_ms: i64) -> io::Result<Walk<'_>> {
        self.walk_at(self.index.place_of_time(ts_ms), self.bytes, LOOKUP_BYTES)
    }

    /// What stands in the file behind the known batches, up to byte `end`.
    pub fn walk_unknown(&self, end: u64) -> io::Result<Walk<'static>> {
        let Data::File { path, .. } = &self.data else {
            return Err(io::Error::other("only a file of a folder may hold unknown batches"));
        };
        let source = Source::Closed(File::open(path)?);
        Ok(Walk::new(source, self.bytes, end, SCAN_BYTES))
    }

    /// Keeps the batches that end below `offset`, and of the index nothing: the log is opened anew after this. One past
    /// the last offset kept.
    pub fn cut_at(&mut self, offset: i64) -> io::Result<i64> {
        let (mut keep, mut next) = (0, self.base_offset);
        let mut walk = self.walk_from(i64::MIN, SCAN_BYTES)?;
        while let Some(found) = walk.next_batch()?.filter(|f| f.header.last_offset() < offset) {
            (keep, next) = (found.at + found.header.size as u64, found.header.next_offset());
        }
        drop(walk);
        if let Data::File { path, .. } = &self.data {
            remove_if_there(&path.with_extension("index"))?;
            OpenOptions::new().write(true).open(path)?.set_len(keep)?;
        }
        Ok(next)
    }

    /// Batches from place `at` up to byte `end` of the file.
    fn walk_at(&self, at: u64, end: u64, chunk: usize) -> io::Result<Walk<'_>> {
        let source = match &self.data {
            Data::Memory { batches, .. } => Source::Memory(batches),
            Data::Spilled(file) => Source::Closed(File::open(file.path())?),
            Data::File { active: Some(file), .. } => Source::Active(file),
            Data::File { path, active: None } => Source::Closed(File::open(path)?),
        };
        Ok(Walk::new(source, at, end, chunk))
    }

    /// Whole batches from the one that holds `offset`, at most `budget` bytes, none that begins at or behind `end`. With
    /// `force` the first comes whatever its size.
    pub fn read(&self, offset: i64, end: i64, budget: usize, force: bool, buffers: &Buffers) -> io::Result<Run> {
        let mut run = Run { batches: Vec::new(), bytes: 0, next_offset: offset, at_end: true };
        let mut walk = self.walk_from(offset, LOOKUP_BYTES)?;
        let Some(first) = walk.next_batch()? else { return Ok(run) };
        run.at_end = false;
        let budget = budget.min(READ_BYTES_MAX);
        let budget = if force { budget.max(first.header.size) } else { budget };
        if first.header.size > budget || first.header.base_offset >= end {
            return Ok(run);
        }
        if let Source::Memory(batches) = walk.source {
            for batch in &batches[first.at as usize..] {
                let header = parse(batch)?;
                if run.bytes + header.size > budget || header.base_offset >= end {
                    break;
                }
                run.bytes += header.size;
                run.next_offset = header.next_offset();
                run.batches.push(batch.clone());
            }
            run.at_end = run.next_offset == self.next_offset;
            return Ok(run);
        }
        let (file, length) =
            (walk.source.file()?, usize::try_from(self.bytes - first.at).unwrap_or(budget).min(budget));
        let mut buffer = buffers.filled(length, |buffer| file.read_exact_at(buffer, first.at))?;
        while let Some(header) = Header::parse(&buffer[run.bytes..]) {
            // The checksum does not cover the offset, so what clients would not notice is noticed here.
            let in_order = run.bytes == 0 || header.base_offset >= run.next_offset;
            if !in_order || header.next_offset() > self.next_offset {
                return Err(damaged(format!("the batch behind offset {} is out of order", run.next_offset)));
            }
            if run.bytes + header.size > buffer.len() || header.base_offset >= end {
                break;
            }
            run.bytes += header.size;
            run.next_offset = header.next_offset();
        }
        if run.bytes == 0 {
            return Err(damaged("a batch changed while it was read"));
        }
        run.at_end = run.next_offset == self.next_offset;
        buffer.truncate(run.bytes);
        run.batches.push(buffer);
        Ok(run)
    }
}

/// Writes parts of batches with as few calls as the system allows.
pub(super) fn write_all(file: &mut File, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut slices[..];
    // A zero-length body would look like a write that took nothing.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut rest, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
