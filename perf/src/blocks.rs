//! Files in large blocks of whole lines, for the programs that set the limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One read: large enough that calls cost nothing, small enough to stay in the second-level cache.
const BLOCK_BYTES: usize = 512 << 10;
/// A line longer than this is no line of ours.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Calls `each` with consecutive pieces of the file that end with a newline; a missing last newline is added.
pub fn for_each_block(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut block = vec![0u8; BLOCK_BYTES];
    let mut filled = 0;
    loop {
        if filled == block.len() {
            if block.len() >= LINE_BYTES_MAX {
                bail!("{} has a line of more than {LINE_BYTES_MAX} bytes", path.display());
            }
            block.resize(block.len() * 2, 0);
        }
        let read = file.read(&mut block[filled..]).with_context(|| format!("read {}", path.display()))?;
        filled += read;
        if read == 0 {
            if filled > 0 {
                block.truncate(filled);
                block.push(b'\n');
                each(&block)?;
            }
            return Ok(());
        }
        if let Some(last) = memchr::memrchr(b'\n', &block[..filled]) {
            each(&block[..=last])?;
            block.copy_within(last + 1..filled, 0);
            filled -= last + 1;
        }
    }
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
