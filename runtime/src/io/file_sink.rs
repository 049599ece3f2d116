//! Writes encoded rows to a file: under a hidden temporary name until the end, or in place where rows must be seen
//! at once.
//!
//! Rows are gathered and written in blocks that begin and end at row boundaries; a compressed block is a gzip member
//! or zstd frame of its own, so that what stands on the disk is complete after every block. When a write fails
//! half-way (full disk, file-size limit), the file is cut back to its last whole row and kept as `<name>.partial`.
//!
//! States: a replacing sink writes `.<name>.tmp-<pid>` and renames it to `<name>` at the end, or to
//! `<name>.partial` when the run is interrupted. One that checkpoints know writes `<name>.partial` from the start, which
//! survives the process; a restart cuts it back to what the checkpoint knows, and whoever completes the run renames it.
//! Appending and followed sinks, and targets that are no regular files
//! (`/dev/null`, pipes), are written in place. Cost: one copy per row into the block, one system call per block.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use velostream_sql::plan::Compression;
use velostream_types::{Chunk, Fatal, SinkPosition, SinkWriter};

/// Bytes gathered before an uncompressed block is written.
const BLOCK: usize = 256 << 10;
/// The same for a compressed block: larger, because each begins with an empty dictionary.
const BLOCK_COMPRESSED: usize = 1 << 20;

/// Whether checkpoints know a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// No: what a killed process leaves is of no use.
    #[default]
    No,
    /// Yes, and it is new.
    New,
    /// Yes: of what is there, so many bytes count.
    At(u64),
}

/// What a file sink is asked to do.
#[derive(Clone, Debug)]
pub struct FileSinkOptions {
    /// Its final path.
    pub path: PathBuf,
    /// Add to an existing file.
    pub append: bool,
    /// Rows appear in place as they come.
    pub follow: bool,
    /// Compression of the file.
    pub compression: Compression,
    /// First line of a new file; empty for none.
    pub header: Vec<u8>,
    /// Whether checkpoints know it.
    pub kept: Kept,
}

/// A file sink.
pub struct FileSink {
    path: PathBuf,
    /// Where the bytes go until the end; `None`: in place.
    temporary: Option<PathBuf>,
    file: File,
    /// Only a regular file can be cut back.
    regular: bool,
    compression: Compression,
    block: Vec<u8>,
    /// Bytes of `block` before its first row: the header, in the first block of a new file.
    head: usize,
    /// Ends of the rows in `block`.
    ends: Vec<u32>,
    /// Nothing is in the file yet.
    empty: bool,
    /// Rows on the disk.
    rows: u64,
    /// Length of the file.
    length: u64,
    /// Checkpoints know it.
    kept: bool,
    /// Completed, interrupted or failed: nothing more is written.
    ended: bool,
}

impl FileSink {
    /// Opens the sink, creating missing folders. The file, or its temporary, exists afterwards.
    pub fn open(options: FileSinkOptions) -> Result<FileSink, Fatal> {
        let FileSinkOptions { path, append, follow, compression, header, kept } = options;
        let fail = |what: &str, error: std::io::Error| Fatal::new(format!("{what} {}: {error}", path.display()));
        let name = path.file_name().ok_or_else(|| Fatal::new(format!("{} names no file", path.display())))?;
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| fail("cannot create the folder of", error))?;
        }
        let existing = std::fs::metadata(&path).ok();
        if existing.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(Fatal::new(format!("cannot write {}: it is a folder", path.display())));
        }
        let regular = existing.as_ref().is_none_or(std::fs::Metadata::is_file);
        if kept != Kept::No && !regular {
            let path = path.display();
            return Err(Fatal::new(format!("{path} is no regular file: it cannot be cut back to a checkpoint")));
        }
        let in_place = append || follow || !regular;
        let temporary = (!in_place).then(|| {
            if kept != Kept::No {
                return partial_path(&path);
            }
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".tmp-{}", std::process::id()));
            path.with_file_name(hidden)
        });
        let target = temporary.as_deref().unwrap_or(&path);
        if let Kept::At(bytes) = kept {
            cut_back(target, bytes)?;
        }
        let append = append || matches!(kept, Kept::At(_));
        let (mut open, truncate) = (OpenOptions::new(), regular && !append);
        // Appending writers may share a file (dead letters): each block goes behind what others wrote meanwhile.
        open.create(true).read(regular).append(append && regular).write(true).truncate(truncate);
        let mut file = open.open(target).map_err(|error| fail("cannot write", error))?;
        let length = match regular && append {
            true => end_last_line(&mut file, compression).map_err(|error| fail("cannot append to", error))?,
            false => 0,
        };
        let empty = length == 0;
        let kept = kept != Kept::No;
        let block = if empty { header } else { Vec::new() };
        let (head, ends) = (block.len(), Vec::new());
        let (rows, ended) = (0, false);
        Ok(FileSink {
            path,
            temporary,
            file,
            regular,
            compression,
            block,
            head,
            ends,
            empty,
            rows,
            length,
            kept,
            ended,
        })
    }

    /// Writes the block, compressed if asked; what stands on the disk is whole rows before and after.
    fn write_block(&mut self) -> Result<(), Fatal> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.write_out()
    }

    /// The last block. A compressed file without rows still is one: it gets an empty member.
    fn write_last_block(&mut self) -> Result<(), Fatal> {
        let bare = self.empty && self.compression != Compression::None;
        if bare { self.write_out() } else { self.write_block() }
    }

    fn write_out(&mut self) -> Result<(), Fatal> {
        let (written, outcome) = match compressed(&self.block, self.compression) {
            Ok(None) => write_counting(&mut self.file, &self.block),
            Ok(Some(bytes)) => write_counting(&mut self.file, &bytes),
            Err(error) => (0, Err(error)),
        };
        match outcome {
            Ok(()) => {
                self.empty = false;
                self.length += written as u64;
                self.rows += self.ends.len() as u64;
                self.block.clear();
                self.ends.clear();
                self.head = 0;
                Ok(())
            }
            Err(error) => Err(self.fail(written, &error)),
        }
    }

    /// Cuts the file back to whole rows and says what is left of it.
    fn fail(&mut self, written: usize, error: &std::io::Error) -> Fatal {
        self.ended = true;
        let mut kept = 0;
        if self.compression == Compression::None {
            let whole = self.ends.iter().take_while(|end| **end as usize <= written).count();
            self.rows += whole as u64;
            let head = if self.head <= written { self.head } else { 0 };
            kept = whole.checked_sub(1).map_or(head, |last| self.ends[last] as usize);
        }
        let what = format!("cannot write {}: {error}", self.path.display());
        if !self.regular {
            return Fatal::new(what);
        }
        let rows = self.rows;
        match self.cut((written - kept) as u64).and_then(|()| self.keep_partial()) {
            Ok(kept) => Fatal::new(format!("{what}; {} keeps the {rows} whole rows before that", kept.display())),
            Err(second) => Fatal::new(format!("{what}; what was written before could not be kept: {second}")),
        }
    }

    /// Takes the last `bytes` bytes off the file.
    fn cut(&mut self, bytes: u64) -> std::io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.set_len(length.saturating_sub(bytes))
    }

    /// Gives an unfinished file its lasting name.
    fn keep_partial(&mut self) -> std::io::Result<PathBuf> {
        let Some(temporary) = self.temporary.take() else { return Ok(self.path.clone()) };
        let partial = partial_path(&self.path);
        if self.kept {
            return Ok(partial);
        }
        std::fs::rename(&temporary, &partial)?;
        Ok(partial)
    }
}

/// Where an interrupted run leaves what it wrote.
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Takes off a file what no checkpoint knows; fails when it lacks what one knows.
pub fn cut_back(path: &Path, bytes: u64) -> Result<(), Fatal> {
    let shown = path.display();
    let fail = |error: std::io::Error| Fatal::new(format!("cannot cut {shown} back to {bytes} bytes: {error}"));
    let found = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && bytes == 0 => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Fatal::new(format!(
                "{shown} is gone; the checkpoint goes on behind its first {bytes} bytes: put it back, or remove the \
                 state folder to begin again"
            )));
        }
        Err(error) => return Err(fail(error)),
    };
    if found < bytes {
        return Err(Fatal::new(format!(
            "{shown} has {found} bytes; the checkpoint goes on behind its first {bytes}: put back what was there, or \
             remove the state folder to begin again"
        )));
    }
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(bytes)).map_err(fail)
}

/// Writes all of `bytes`; also says how many of them were written when that fails.
fn write_counting(file: &mut File, bytes: &[u8]) -> (usize, std::io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(std::io::Error::from(std::io::ErrorKind::WriteZero))),
            Ok(n) => written += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// The block as one gzip member or zstd frame; `None` when it is written as it is.
fn compressed(block: &[u8], compression: Compression) -> std::io::Result<Option<Vec<u8>>> {
    match compression {
        Compression::None => Ok(None),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(block)?;
            encoder.finish().map(Some)
        }
        Compression::Zstd => zstd::bulk::compress(block, 3).map(Some),
    }
}

/// Positions an existing file for appending and completes its last line; gives its length.
fn end_last_line(file: &mut File, compression: Compression) -> std::io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if end > 0 && compression == Compression::None {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            return Ok(end + 1);
        }
    }
    Ok(end)
}

impl SinkWriter for FileSink {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        if self.ended {
            return Err(Fatal::new(format!("{} was written to after its end", self.path.display())));
        }
        let base = self.block.len();
        self.block.extend_from_slice(&rows.bytes);
        self.ends.extend(rows.ends.iter().map(|end| base as u32 + end));
        let limit = if self.compression == Compression::None { BLOCK } else { BLOCK_COMPRESSED };
        if self.block.len() >= limit { self.write_block() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        // Nobody sees a temporary file: its blocks stay large.
        if self.temporary.is_none() && !self.ended { self.write_block() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        if self.ended {
            return Ok(());
        }
        self.write_last_block()?;
        self.ended = true;
        let Some(temporary) = self.temporary.take().filter(|_| !self.kept) else { return Ok(()) };
        std::fs::rename(&temporary, &self.path).map_err(|error| {
            let (temporary, path) = (temporary.display(), self.path.display());
            Fatal::new(format!("cannot rename {temporary} to {path}: {error}; the rows are in {temporary}"))
        })
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        if self.ended {
            return Ok(());
        }
        self.write_last_block()?;
        self.ended = true;
        self.keep_partial()
            .map(drop)
            .map_err(|error| Fatal::new(format!("cannot keep what was written of {}: {error}", self.path.display())))
    }

    fn mark(&mut self, _barrier: u64) -> Result<(), Fatal> {
        if self.kept && !self.ended { self.write_block() } else { self.flush() }
    }

    fn position(&self) -> Option<SinkPosition> {
        self.kept.then_some(SinkPosition { bytes: self.length, rows: self.rows })
    }
}

#[cfg(test)]
mod tests;
