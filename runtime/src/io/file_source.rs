//! Reads one partition of a file source: one file, or the sorted files one after the other.
//!
//! Each poll gives a slab that begins with what the decoder left of the last one. Buffers are taken back once no
//! batch refers to them, so a steady reader allocates nothing. `.gz` and `.zst` are decompressed while reading;
//! positions count decompressed bytes.
//!
//! The files of a sequential partition read as one stream: behind the first file skipped lines and headers are left
//! out, a byte order mark too, and a missing last line feed is put in. Positions count the stream's bytes.
//!
//! The last slab is marked `at_end` and may be empty: it tells the decoder to let go of what it holds. A partition
//! without a byte has no slab at all.
//!
//! Memory: at most [`POOL`] slabs per partition plus what batches still hold.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use arrow_buffer::Buffer;
use velostream_sql::plan::Format;
use velostream_types::{Fatal, PartitionSource, Slab, SlabKind, SourcePoll};

use super::record_ends::RecordEnds;

/// Bytes all partitions of a shard's sources read ahead together, roughly.
const SLAB_TOTAL: usize = 16 << 20;
/// Largest ordinary slab.
const SLAB_MAX: usize = 256 << 10;
/// Smallest ordinary slab.
const SLAB_MIN: usize = 16 << 10;
/// May stand at the beginning of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Buffers kept for another use.
const POOL: usize = 3;

/// Ordinary slab size when `partitions` are read by this process.
pub fn slab_bytes(partitions: usize) -> usize {
    (SLAB_TOTAL / partitions.max(1)).clamp(SLAB_MIN, SLAB_MAX)
}

/// TRUE when the file's bytes are decompressed by its extension.
pub fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz" || e == "zst")
}

/// Opens a file for reading, decompressing by extension.
pub fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
    }
    Ok(match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => {
            let mut bytes = BufReader::with_capacity(64 << 10, file);
            // A file without a byte has no row; the decoder would miss its first member.
            if bytes.fill_buf()?.is_empty() {
                return Ok(Box::new(std::io::empty()));
            }
            Box::new(flate2::bufread::MultiGzDecoder::new(bytes))
        }
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// The file being read.
struct Current {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// Bytes read so far.
    read: u64,
    /// Lines to leave out, in a file behind the first one.
    lead: Option<RecordEnds>,
}

/// One partition of a file source.
pub struct FileSource {
    /// Files not opened yet.
    files: VecDeque<PathBuf>,
    format: Format,
    current: Option<Current>,
    /// Tail the last file after its end.
    watch: bool,
    slab: usize,
    /// The last slab, whose unused end comes first in the next one.
    last: Buffer,
    pool: VecDeque<Buffer>,
    /// Bytes of the stream given so far.
    given: u64,
    /// The last byte of the stream given so far.
    last_byte: u8,
    ended: bool,
}

/// Why a slab is not full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stretch {
    /// It is full.
    Full,
    /// A watched file has nothing more now.
    Paused,
    /// The partition has nothing more.
    Ended,
}

fn no_bytes() -> Buffer {
    Buffer::from_vec(Vec::<u8>::new())
}

impl FileSource {
    /// A partition over these files in order; each is opened when its turn comes. `slab` is the ordinary slab size.
    pub fn new(files: Vec<PathBuf>, format: Format, watch: bool, slab: usize) -> Result<FileSource, Fatal> {
        if let Some(path) = files.iter().find(|path| watch && is_compressed(path)) {
            return Err(Fatal::new(format!("cannot watch {}: a compressed file cannot be tailed", path.display())));
        }
        Ok(FileSource {
            files: files.into(),
            format,
            current: None,
            watch,
            slab,
            last: no_bytes(),
            pool: VecDeque::new(),
            given: 0,
            last_byte: b'\n',
            ended: false,
        })
    }

    /// The same, going on at byte `position` of the stream. Plain files are not read up to there.
    pub fn starting_at(mut self, position: u64) -> Result<FileSource, Fatal> {
        if position > 0 {
            self.seek(position)?;
        }
        let mut scratch = vec![0; if self.given < position { self.slab } else { 0 }];
        while self.given < position {
            let left = usize::try_from(position - self.given).unwrap_or(usize::MAX).min(scratch.len());
            let (first, mut filled) = (self.files.front().cloned(), 0);
            let stretch = self.fill(&mut scratch[..left], &mut filled)?;
            if stretch != Stretch::Full && filled < left {
                let path = self.current.as_ref().map(|current| current.path.clone()).or(first).unwrap_or_default();
                return Err(too_short(&path, self.given, position));
            }
        }
        Ok(self)
    }

    /// Steps to `position` where that needs no reading: inside the first file, if it is a plain one.
    fn seek(&mut self, position: u64) -> Result<(), Fatal> {
        let Some(path) = self.files.front().filter(|path| !is_compressed(path)).cloned() else { return Ok(()) };
        let fail = |error: std::io::Error| Fatal::new(format!("cannot read {}: {error}", path.display()));
        let mut file = File::open(&path).map_err(fail)?;
        let meta = file.metadata().map_err(fail)?;
        if !meta.is_file() || meta.len() < position {
            return if self.files.len() > 1 { Ok(()) } else { Err(too_short(&path, meta.len(), position)) };
        }
        let mut last = [0];
        file.seek(SeekFrom::Start(position - 1)).and_then(|_| file.read_exact(&mut last)).map_err(fail)?;
        self.files.pop_front();
        self.current = Some(Current { path, reader: Box::new(file), read: position, lead: None });
        (self.given, self.last_byte) = (position, last[0]);
        Ok(())
    }

    /// A buffer of `size` bytes that begins with `kept`.
    fn buffer(&mut self, size: usize, kept: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        for _ in 0..self.pool.len() {
            let Some(candidate) = self.pool.pop_front() else { break };
            match candidate.into_vec::<u8>() {
                // A buffer that grew for one long record is not kept for ordinary ones.
                Ok(free) if free.len() >= size && free.len() <= size.max(self.slab) => {
                    buffer = free;
                    break;
                }
                Ok(_) => {}
                Err(shared) => self.pool.push_back(shared),
            }
        }
        if buffer.is_empty() {
            buffer = vec![0; size];
        }
        buffer[..kept.len()].copy_from_slice(kept);
        buffer
    }

    fn keep(&mut self, buffer: Buffer) {
        if self.pool.len() == POOL {
            self.pool.pop_front();
        }
        self.pool.push_back(buffer);
    }

    /// Opens the next file. FALSE when there is none.
    fn open_next(&mut self) -> Result<bool, Fatal> {
        let Some(path) = self.files.pop_front() else { return Ok(false) };
        let reader = open(&path).map_err(|error| Fatal::new(format!("cannot read {}: {error}", path.display())))?;
        let lead = (self.given > 0).then(|| RecordEnds::new(&self.format));
        self.current = Some(Current { path, reader, read: 0, lead });
        Ok(true)
    }

    /// Fills `buffer` from `filled` on with what the files have, and says why it stopped.
    fn fill(&mut self, buffer: &mut [u8], filled: &mut usize) -> Result<Stretch, Fatal> {
        while *filled < buffer.len() {
            let Some(current) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(Stretch::Ended);
            };
            match current.reader.read(&mut buffer[*filled..]) {
                Ok(0) if !self.files.is_empty() => {
                    self.current = None;
                    if self.last_byte != b'\n' {
                        buffer[*filled] = b'\n';
                        (*filled, self.given, self.last_byte) = (*filled + 1, self.given + 1, b'\n');
                    }
                }
                Ok(0) if self.watch => return Ok(Stretch::Paused),
                Ok(0) => {
                    self.current = None;
                    return Ok(Stretch::Ended);
                }
                Ok(n) => {
                    let n = current.take(&mut buffer[*filled..*filled + n]);
                    *filled += n;
                    self.given += n as u64;
                    self.last_byte = if n > 0 { buffer[*filled - 1] } else { self.last_byte };
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(current, &error)),
            }
        }
        Ok(Stretch::Full)
    }
}

impl Current {
    /// Counts what was read and leaves out what stands in front of the records of a later file; gives the number of
    /// bytes that stay.
    fn take(&mut self, bytes: &mut [u8]) -> usize {
        let first = self.read == 0;
        self.read += bytes.len() as u64;
        let Some(lead) = &mut self.lead else { return bytes.len() };
        let mut skip = if first && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        while lead.seen < lead.lead {
            match lead.next(bytes) {
                Some(end) => skip = end,
                None => return 0,
            }
        }
        self.lead = None;
        bytes.copy_within(skip.., 0);
        bytes.len() - skip
    }
}

impl PartitionSource for FileSource {
    fn poll(&mut self, consumed: usize, grow: bool) -> Result<SourcePoll, Fatal> {
        if self.ended {
            return Ok(SourcePoll::End);
        }
        let last = std::mem::replace(&mut self.last, no_bytes());
        let kept = last.slice(consumed.min(last.len()));
        let mut size = if grow { 2 * last.len().max(self.slab) } else { self.slab };
        while size - kept.len().min(size) < self.slab / 4 {
            size *= 2;
        }
        drop(last);
        if let (true, Some(current)) = (self.watch, &self.current) {
            check_not_truncated(current)?;
        }
        let mut buffer = self.buffer(size, &kept);
        let mut filled = kept.len();
        let position = self.given - filled as u64;
        let stretch = self.fill(&mut buffer, &mut filled)?;
        let whole = Buffer::from_vec(buffer);
        if stretch == Stretch::Paused && filled == kept.len() {
            self.keep(whole);
            self.last = kept;
            return Ok(SourcePoll::Pending);
        }
        drop(kept);
        let at_end = stretch == Stretch::Ended;
        self.ended = at_end;
        if at_end && self.given == 0 {
            return Ok(SourcePoll::End);
        }
        let bytes = whole.slice_with_length(0, filled);
        self.keep(whole);
        self.last = bytes.clone();
        Ok(SourcePoll::Slab(Slab { bytes, kind: SlabKind::Stream { at_end, position } }))
    }
}

fn too_short(path: &Path, found: u64, position: u64) -> Fatal {
    Fatal::new(format!(
        "{} ends at byte {found} and was read up to byte {position} before: it is not what was read; put that back, or \
         remove the state folder to begin again",
        path.display()
    ))
}

fn read_error(current: &Current, error: &std::io::Error) -> Fatal {
    let (path, read) = (current.path.display(), current.read);
    let what = if is_compressed(&current.path) { "decompressed byte" } else { "byte" };
    Fatal::new(format!("cannot read {path} at {what} {read}: {error}"))
}

fn check_not_truncated(current: &Current) -> Result<(), Fatal> {
    match std::fs::metadata(&current.path) {
        Ok(meta) if meta.is_file() && meta.len() < current.read => Err(Fatal::new(format!(
            "{} was truncated while it was read: {} bytes now, {} were read already",
            current.path.display(),
            meta.len(),
            current.read
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(read_error(current, &error)),
    }
}

/// The one row of `SELECT 1`: an object without fields, once.
#[derive(Debug, Default)]
pub struct OneRow {
    given: bool,
}

impl OneRow {
    /// The row, unless it lies before byte `position`.
    pub fn starting_at(position: u64) -> OneRow {
        OneRow { given: position > 0 }
    }
}

impl PartitionSource for OneRow {
    fn poll(&mut self, _consumed: usize, _grow: bool) -> Result<SourcePoll, Fatal> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(SourcePoll::End);
        }
        let kind = SlabKind::Stream { at_end: true, position: 0 };
        Ok(SourcePoll::Slab(Slab { bytes: Buffer::from_vec(b"{}\n".to_vec()), kind }))
    }
}

#[cfg(test)]
mod tests;
