//! Files in large blocks of whole lines, for the programs that set the limits.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One read: large enough that calls cost nothing, small enough to stay in the second-level cache.
const BLOCK_BYTES: usize = 512 << 10;
/// A line longer than this is no line of ours.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The pieces of a file one after the other; each ends with a newline, and a missing last newline is added.
pub struct Blocks {
    path: PathBuf,
    file: File,
    block: Vec<u8>,
    /// Bytes read into `block`.
    filled: usize,
    /// Of these, those of the present piece.
    given: usize,
}

impl Blocks {
    /// Opens a file, in front of its first piece.
    pub fn open(path: &Path) -> Result<Blocks> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Blocks { path: path.to_owned(), file, block: vec![0; BLOCK_BYTES], filled: 0, given: 0 })
    }

    /// The present piece; empty in front of the first and behind the last.
    #[inline]
    pub fn present(&self) -> &[u8] {
        &self.block[..self.given]
    }

    /// Goes on to the next piece; FALSE behind the last.
    pub fn advance(&mut self) -> Result<bool> {
        self.block.copy_within(self.given..self.filled, 0);
        self.filled -= std::mem::take(&mut self.given);
        loop {
            if self.filled == self.block.len() {
                if self.block.len() >= LINE_BYTES_MAX {
                    bail!("{} has a line of more than {LINE_BYTES_MAX} bytes", self.path.display());
                }
                self.block.resize(self.block.len() * 2, 0);
            }
            let read = self.file.read(&mut self.block[self.filled..]);
            let read = read.with_context(|| format!("read {}", self.path.display()))?;
            if read == 0 {
                if self.filled > 0 {
                    self.block[self.filled] = b'\n';
                    self.filled += 1;
                }
                self.given = self.filled;
                return Ok(self.given > 0);
            }
            let fresh = self.filled;
            self.filled += read;
            if let Some(last) = memchr::memrchr(b'\n', &self.block[fresh..self.filled]) {
                self.given = fresh + last + 1;
                return Ok(true);
            }
        }
    }
}

/// Calls `each` with consecutive pieces of the file that end with a newline; a missing last newline is added.
pub fn for_each_block(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut blocks = Blocks::open(path)?;
    while blocks.advance()? {
        each(blocks.present())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], lines: usize) {
        let name = format!("velostream-perf-blocks-{}-{lines}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("write");
        let mut seen = Vec::new();
        for_each_block(&path, |block| {
            assert_eq!(block.last(), Some(&b'\n'));
            seen.extend_from_slice(block);
            Ok(())
        })
        .expect("read");
        std::fs::remove_file(&path).expect("clean up");
        assert_eq!(seen.iter().filter(|b| **b == b'\n').count(), lines);
        assert_eq!(seen.strip_suffix(b"\n").unwrap_or(&seen), content.strip_suffix(b"\n").unwrap_or(content));
    }

    #[test]
    fn blocks_hold_every_byte_once_in_whole_lines() {
        check(b"", 0);
        check(b"no newline", 1);
        check(&b"0123456789012345678\n".repeat(100_000), 100_000);
        check(&[&vec![b'x'; 3 << 20][..], b"\nshort"].concat(), 2);
    }
}
