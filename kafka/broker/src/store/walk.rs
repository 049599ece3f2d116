//! Going through the batches of a segment in order: their headers, and the bytes of those that are wanted.
//!
//! A file is read in chunks into one window, which moves along; a segment in memory has its batches at hand.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::batch::{HEADER, Header};
use super::segment::damaged;

/// The header of a batch that was stored, or the error that it is none.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Header> {
    Header::parse(bytes).ok_or_else(|| damaged("a stored batch has no header"))
}

/// Where a walk reads.
pub(super) enum Source<'a> {
    Memory(&'a [Bytes]),
    Active(&'a File),
    Closed(File),
}

impl Source<'_> {
    /// The file to read, if there is one.
    pub fn file(&self) -> io::Result<&File> {
        match self {
            Source::Active(file) => Ok(file),
            Source::Closed(file) => Ok(file),
            Source::Memory(_) => Err(io::Error::other("a segment in memory has no file")),
        }
    }
}

/// Goes through the headers of a segment's batches, reading the file in chunks.
pub(super) struct Walk<'a> {
    pub source: Source<'a>,
    at: u64,
    end: u64,
    chunk: usize,
    window: Vec<u8>,
    window_at: u64,
    /// Batches that end below this offset are passed over.
    pub skip_below: i64,
}

/// A batch that the walk met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub header: Header,
    pub at: u64,
}

impl<'a> Walk<'a> {
    /// Batches from place `at` up to byte `end`; a file is read by `chunk` bytes.
    pub fn new(source: Source<'a>, at: u64, end: u64, chunk: usize) -> Walk<'a> {
        Walk { source, at, end, chunk, window: Vec::new(), window_at: 0, skip_below: i64::MIN }
    }
}

impl Walk<'_> {
    /// The next batch; `None` at the end. An error of kind `InvalidData` means that what stands there is no batch.
    pub fn next_batch(&mut self) -> io::Result<Option<Found>> {
        loop {
            let Some(found) = self.step()? else { return Ok(None) };
            if found.header.last_offset() >= self.skip_below {
                return Ok(Some(found));
            }
        }
    }

    fn step(&mut self) -> io::Result<Option<Found>> {
        let at = self.at;
        if let Source::Memory(batches) = self.source {
            let Some(batch) = usize::try_from(at).ok().and_then(|i| batches.get(i)) else { return Ok(None) };
            self.at += 1;
            return Ok(Some(Found { header: parse(batch)?, at }));
        }
        if at >= self.end {
            return Ok(None);
        }
        self.fill(HEADER)?;
        let header = parse(self.seen())?;
        if header.size as u64 > self.end - at {
            return Err(damaged(format!("the batch at byte {at} is cut off")));
        }
        self.at += header.size as u64;
        Ok(Some(Found { header, at }))
    }

    /// The part of the window that lies at the current place.
    fn seen(&self) -> &[u8] {
        let skip = self.at.checked_sub(self.window_at).and_then(|n| usize::try_from(n).ok());
        skip.and_then(|n| self.window.get(n..)).unwrap_or_default()
    }

    /// Has at least `n` bytes in the window, or all up to the end.
    fn fill(&mut self, n: usize) -> io::Result<()> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        if self.seen().len() >= n.min(left) {
            return Ok(());
        }
        self.window.resize(self.chunk.max(n).min(left), 0);
        self.window_at = self.at;
        self.source.file()?.read_exact_at(&mut self.window, self.at)
    }

    /// The bytes of a batch that this walk found last.
    pub fn load(&mut self, found: &Found) -> io::Result<Bytes> {
        if let Source::Memory(batches) = self.source {
            return Ok(batches[found.at as usize].clone());
        }
        let behind = self.at;
        self.at = found.at;
        let filled = self.fill(found.header.size);
        let bytes = self.seen().get(..found.header.size).map(Bytes::copy_from_slice);
        self.at = behind;
        filled?;
        bytes.ok_or_else(|| damaged("a batch is cut off"))
    }
}
