//! Named sections of bytes in one file, each checksummed on its own and all of them together.
//!
//! ```text
//! "VELOCKPT" version:u16 sections:u32 | per section: name:u32+text length:u64 body checksum:u64 | closing checksum:u64
//! ```
//! Numbers are little endian, checksums XXH3-64 (of a section: name and body; the closing one: everything before it but
//! the bodies). A flipped bit, a missing end and anything behind the end are found, and reading never panics. Cost: one
//! pass over the bytes each way.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::snapshot::SnapshotError;

const MAGIC: &[u8; 8] = b"VELOCKPT";
const VERSION: u16 = 1;
/// Longest name of a section, bytes.
const NAME_MAX: u32 = 4096;

/// A checksum of bytes, as sections have it.
pub fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Writes sections one after the other.
pub struct SectionWriter {
    out: Vec<u8>,
    sections: u32,
    /// Name, length and checksum of each.
    index: Vec<u8>,
}

impl Default for SectionWriter {
    fn default() -> SectionWriter {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        SectionWriter { out, sections: 0, index: Vec::new() }
    }
}

impl SectionWriter {
    /// Adds a section.
    pub fn add(&mut self, name: &str, body: &[u8]) {
        let mut head = (name.len() as u32).to_le_bytes().to_vec();
        head.extend(name.as_bytes());
        head.extend((body.len() as u64).to_le_bytes());
        let sum = section_sum(name, body).to_le_bytes();
        self.out.extend(&head);
        self.out.extend(body);
        self.out.extend(sum);
        self.index.extend(head);
        self.index.extend(sum);
        self.sections += 1;
    }

    /// The file.
    pub fn finish(mut self) -> Vec<u8> {
        self.out[10..14].copy_from_slice(&self.sections.to_le_bytes());
        let mut whole = Xxh3::new();
        whole.update(&self.out[..14]);
        whole.update(&self.index);
        self.out.extend(whole.digest().to_le_bytes());
        self.out
    }
}

fn section_sum(name: &str, body: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(name.as_bytes());
    sum.update(body);
    sum.digest()
}

/// The sections in these bytes, in their order.
pub fn read(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, SnapshotError> {
    let mut rest = Rest { bytes, at: 0 };
    let header = rest.take(14)?;
    if &header[..8] != MAGIC {
        return Err(damaged("it does not begin like a checkpoint"));
    }
    let mut whole = Xxh3::new();
    whole.update(header);
    let version = u16::from_le_bytes([header[8], header[9]]);
    let count = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
    let mut sections = Vec::new();
    for _ in 0..count {
        let begin = rest.at;
        let length = u32::from_le_bytes(rest.array()?);
        if length > NAME_MAX {
            return Err(damaged("the name of a section is too long"));
        }
        let name = rest.take(u64::from(length))?;
        let length = u64::from_le_bytes(rest.array()?);
        whole.update(&bytes[begin..rest.at]);
        let body = rest.take(length)?;
        let sum: [u8; 8] = rest.array()?;
        whole.update(&sum);
        let name = std::str::from_utf8(name).map_err(|_| damaged("the name of a section is no text"))?;
        if section_sum(name, body) != u64::from_le_bytes(sum) {
            return Err(SnapshotError::Damaged(format!("the checksum of its section \"{name}\" is wrong")));
        }
        sections.push((name, body));
    }
    if u64::from_le_bytes(rest.array()?) != whole.digest() {
        return Err(damaged("its closing checksum is wrong"));
    }
    if rest.at != bytes.len() {
        return Err(damaged("something stands behind its end"));
    }
    if version != VERSION {
        return Err(SnapshotError::Shape(format!("its format version is {version}, this program reads {VERSION}")));
    }
    Ok(sections)
}

fn damaged(what: &str) -> SnapshotError {
    SnapshotError::Damaged(what.to_owned())
}

/// Bytes not read yet.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], SnapshotError> {
        let end = usize::try_from(length).ok().and_then(|n| self.at.checked_add(n));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| damaged("it ends early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| damaged("it ends early"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = SectionWriter::default();
        sections.iter().for_each(|(name, body)| writer.add(name, body));
        writer.finish()
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let sections: &[(&str, &[u8])] = &[("meta", b"{}"), ("empty", b""), ("state/0/7", b"some bytes of a table")];
        let bytes = file(sections);
        assert_eq!(read(&bytes).expect("undamaged"), sections);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(read(&longer).is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_checkpoint(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).is_err());
        }
    }
}
