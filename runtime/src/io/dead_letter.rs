//! The dead-letter file of a source or a sink: created by its first letter, whole lines appended, never renamed, so
//! that what was said about bad records survives whatever happens to the run.

use std::path::PathBuf;

use velostream_sql::plan::Compression;
use velostream_types::{Chunk, Fatal, SinkPosition, SinkWriter};

use super::file_sink::{FileSink, FileSinkOptions, Kept, cut_back};

/// A dead-letter file.
pub struct DeadLetterFile {
    path: PathBuf,
    /// FALSE: letters are counted elsewhere and not written.
    enabled: bool,
    file: Option<FileSink>,
    /// Checkpoints know it: its length before the first letter.
    known: Option<u64>,
}

impl DeadLetterFile {
    /// A file at `path` that does not exist before the first letter.
    pub fn new(path: PathBuf, enabled: bool) -> DeadLetterFile {
        DeadLetterFile { path, enabled, file: None, known: None }
    }

    /// The same where checkpoints know the file; `at`: the length one knows, which the file is cut back to.
    pub fn kept(path: PathBuf, enabled: bool, at: Option<u64>) -> Result<DeadLetterFile, Fatal> {
        let cannot = |error| Fatal::new(format!("cannot remove {}: {error}", path.display()));
        match at.filter(|_| enabled) {
            Some(0) if path.exists() => std::fs::remove_file(&path).map_err(cannot)?,
            Some(bytes) => cut_back(&path, bytes)?,
            None => {}
        }
        let known = Some(path.metadata().map_or(0, |meta| meta.len()));
        Ok(DeadLetterFile { path, enabled, file: None, known })
    }
}

impl SinkWriter for DeadLetterFile {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        if rows.is_empty() || !self.enabled {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(FileSink::open(FileSinkOptions {
                path: self.path.clone(),
                append: true,
                follow: false,
                compression: Compression::None,
                header: Vec::new(),
                kept: match self.known {
                    None => Kept::No,
                    Some(0) => Kept::New,
                    Some(bytes) => Kept::At(bytes),
                },
            })?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(rows))
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        self.file.as_mut().map_or(Ok(()), FileSink::flush)
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        self.file.as_mut().map_or(Ok(()), FileSink::finish)
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        self.file.as_mut().map_or(Ok(()), FileSink::interrupt)
    }

    fn position(&self) -> Option<SinkPosition> {
        let bytes = self.known?;
        Some(self.file.as_ref().and_then(SinkWriter::position).unwrap_or(SinkPosition { bytes, rows: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(line: &str) -> Chunk {
        let mut chunk = Chunk::default();
        chunk.bytes.extend_from_slice(line.as_bytes());
        chunk.end_row();
        chunk
    }

    #[test]
    fn only_letters_make_a_file_and_runs_add_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trades-dlq.jsonl");
        let mut none = DeadLetterFile::new(path.clone(), true);
        none.write(&Chunk::default()).unwrap();
        none.finish().unwrap();
        DeadLetterFile::new(path.clone(), false).write(&letter("{}\n")).unwrap();
        assert!(!path.exists());
        for run in ["{\"run\":1}\n", "{\"run\":2}\n"] {
            let mut file = DeadLetterFile::new(path.clone(), true);
            file.write(&letter(run)).unwrap();
            file.interrupt().unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"run\":1}\n{\"run\":2}\n");
    }
}
