//! A slab with the place up to which it was decoded.

use std::sync::Arc;

use velostream_types::{RecordRef, RecordSlab, Slab, SlabKind, Utf8Slab};

/// Bytes a cell can address; what lies beyond waits for the next slab.
const ADDRESSABLE: usize = u32::MAX as usize;

/// A slab's framing; shared with the batches that are decoded from it.
#[derive(Debug)]
pub(super) enum Framing {
    /// See [`SlabKind::Stream`].
    Stream {
        /// No more bytes follow.
        at_end: bool,
        /// Position of the first byte in the stream.
        position: u64,
    },
    /// See [`SlabKind::Records`].
    Records(Arc<Vec<RecordRef>>),
}

/// One slab on its way through the decoder. Owns nothing but shares of the slab's memory.
#[derive(Debug)]
pub struct SlabCursor {
    pub(super) slab: Utf8Slab,
    pub(super) kind: Framing,
    /// Stream: bytes used. Records: records used.
    pub(super) at: usize,
}

impl SlabCursor {
    /// Validates the slab's UTF-8, once as a whole.
    pub fn new(slab: Slab) -> SlabCursor {
        let Slab { mut bytes, mut kind } = slab;
        if let SlabKind::Stream { at_end, .. } = &mut kind {
            if bytes.len() > ADDRESSABLE {
                bytes = bytes.slice_with_length(0, ADDRESSABLE);
                *at_end = false;
            }
            if !*at_end {
                let whole = bytes.len() - begun_character(&bytes);
                bytes = bytes.slice_with_length(0, whole);
            }
        }
        let kind = match kind {
            SlabKind::Stream { at_end, position } => Framing::Stream { at_end, position },
            SlabKind::Records(records) => Framing::Records(Arc::new(records)),
        };
        SlabCursor { slab: Utf8Slab::new(bytes), kind, at: 0 }
    }

    /// The slab's records, if it is framed.
    pub fn records(&self) -> Option<RecordSlab> {
        let Framing::Records(records) = &self.kind else { return None };
        Some(RecordSlab { bytes: self.slab.buffer().clone(), records: Arc::clone(records) })
    }
}

/// Bytes at the end that begin a character without completing it: left to the next slab, so that a cut inside a
/// character does not make the whole slab invalid.
fn begun_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let length = match bytes[bytes.len() - back] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_character_is_left_to_the_next_slab() {
        for text in ["a", "é", "aé", "€", "a😀", "😀é", ""] {
            for cut in 0..=text.len() {
                let left = begun_character(&text.as_bytes()[..cut]);
                assert!(text.is_char_boundary(cut - left), "{text} {cut}");
                assert!(!text.is_char_boundary(cut) || left == 0, "{text} {cut}");
            }
        }
    }
}
