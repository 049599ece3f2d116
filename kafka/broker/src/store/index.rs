//! Sparse index of one segment: some batches' offsets, places, and the greatest timestamp before them.
//!
//! Bounded: when it holds [`ENTRIES_MAX`] entries every second one goes and the distance doubles, so a segment costs at
//! most 96 KiB of index whatever its size. Invariant: offsets and places ascend, timestamps never fall.

use bytes::{Buf, BufMut};

/// Entries before the index thins itself out.
const ENTRIES_MAX: usize = 4_096;
const ENTRY_BYTES: usize = 24;

/// One indexed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    base_offset: i64,
    /// Where the batch begins: a byte of the file, or its number in memory.
    at: u64,
    /// Greatest timestamp of all batches before it in the segment.
    max_before: i64,
}

/// The index of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    entries: Vec<Entry>,
    interval: u64,
    since_last: u64,
}

impl Index {
    pub fn new(interval: u64) -> Index {
        Index { entries: Vec::new(), interval, since_last: 0 }
    }

    /// A batch of `size` bytes was stored at `at`; `max_before` is the segment's greatest timestamp without it.
    pub fn note(&mut self, base_offset: i64, at: u64, size: u64, max_before: i64) {
        if self.since_last > self.interval || self.entries.is_empty() {
            if self.entries.len() == ENTRIES_MAX {
                let mut number = 0;
                self.entries.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.interval = self.interval.saturating_mul(2).max(1);
            }
            self.entries.push(Entry { base_offset, at, max_before });
            self.since_last = 0;
        }
        self.since_last += size;
    }

    /// Where to begin looking for the batch that holds `offset`.
    pub fn place_of_offset(&self, offset: i64) -> u64 {
        self.place(self.entries.partition_point(|e| e.base_offset <= offset))
    }

    /// Where to begin looking for the first batch with a timestamp of at least `ts_ms`.
    pub fn place_of_time(&self, ts_ms: i64) -> u64 {
        self.place(self.entries.partition_point(|e| e.max_before < ts_ms))
    }

    fn place(&self, behind: usize) -> u64 {
        behind.checked_sub(1).map_or(0, |i| self.entries[i].at)
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.interval);
        out.put_u64(self.since_last);
        for e in &self.entries {
            out.put_i64(e.base_offset);
            out.put_u64(e.at);
            out.put_i64(e.max_before);
        }
    }

    /// The index that [`Index::encode`] wrote; `None` when the bytes cannot be one.
    pub fn decode(mut bytes: &[u8]) -> Option<Index> {
        if bytes.len() < 16
            || !(bytes.len() - 16).is_multiple_of(ENTRY_BYTES)
            || bytes.len() > 16 + ENTRIES_MAX * ENTRY_BYTES
        {
            return None;
        }
        let (interval, since_last) = (bytes.get_u64(), bytes.get_u64());
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        while !bytes.is_empty() {
            entries.push(Entry { base_offset: bytes.get_i64(), at: bytes.get_u64(), max_before: bytes.get_i64() });
        }
        Some(Index { entries, interval, since_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_start_at_or_before_the_batch_and_memory_is_bounded() {
        let mut index = Index::new(100);
        for batch in 0..200_000_u64 {
            index.note(batch as i64 * 10, batch * 60, 60, batch as i64 - 1);
            assert!(index.entries.len() <= ENTRIES_MAX);
        }
        for offset in [0, 5, 999, 77_777, 1_999_999] {
            let (at, holder) = (index.place_of_offset(offset), offset as u64 / 10 * 60);
            assert!(at <= holder && holder - at <= 2 * index.interval, "{offset}: {at} for {holder}");
        }
        assert_eq!((index.place_of_offset(-1), index.place_of_time(-5)), (0, 0));
        for time in [0, 3, 100_000, 199_999] {
            assert!(index.place_of_time(time) <= time as u64 * 60, "{time}");
        }
        let mut bytes = Vec::new();
        index.encode(&mut bytes);
        assert_eq!(Index::decode(&bytes), Some(index));
        assert_eq!(Index::decode(&bytes[..20]), None);
    }
}
