//! Delimiter index of a stretch of CSV without quotes.
//!
//! Instead of going from field to field, where each step waits for the one before, the stretch is searched 64 bytes
//! at a time and every delimiter and line feed goes into one list. Cutting records is then arithmetic on that list.
//! The index ends in front of the record that holds the first quote: quotes change what a delimiter means.

use crate::format::scan::masks64;

use super::record::Dialect;

/// Positions of the delimiters and line feeds of whole records.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The byte before the first record (wrapping), then every delimiter and line feed in order.
    stops: Vec<u32>,
    /// For each record, the place in `stops` of its line feed.
    lines: Vec<u32>,
    /// Free slots behind the valid ones; `stops` only ever grows.
    used: usize,
}

impl Index {
    /// Indexes whole records from `start` on: at least `rows` of them if they are there, and no more than the block
    /// of 64 bytes that completes them brings.
    pub(super) fn build(&mut self, bytes: &[u8], start: usize, rows: usize, max_record: usize, dialect: Dialect) {
        self.lines.clear();
        self.used = 1;
        self.reserve();
        self.stops[0] = (start as u32).wrapping_sub(1);
        let (mut at, mut line_start) = (start, start);
        while at < bytes.len() && self.lines.len() < rows && at - line_start <= max_record + 64 {
            let mut tail = [0u8; 64];
            let block = match bytes[at..].first_chunk::<64>() {
                Some(block) => block,
                None => {
                    tail[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                    &tail
                }
            };
            let (delimiters, feeds, quotes) = masks64(block, dialect.delimiter, b'\n', dialect.quote);
            let before_quote = (quotes & quotes.wrapping_neg()).wrapping_sub(1);
            self.add(at as u32, (delimiters | feeds) & before_quote, feeds & before_quote);
            if let Some(line) = self.lines.last() {
                line_start = self.stops[*line as usize] as usize + 1;
            }
            if quotes != 0 {
                break;
            }
            at += 64;
        }
    }

    /// Room for one more block of 64.
    fn reserve(&mut self) {
        if self.stops.len() < self.used + 64 {
            self.stops.resize(self.used + 4096, 0);
        }
    }

    #[inline(always)]
    fn add(&mut self, base: u32, mut stops: u64, mut feeds: u64) {
        self.reserve();
        let first = self.used as u32;
        while feeds != 0 {
            let lower = (feeds & feeds.wrapping_neg()) - 1;
            self.lines.push(first + (stops & lower).count_ones());
            feeds &= feeds - 1;
        }
        let count = stops.count_ones() as usize;
        let Some(slots) = self.stops.get_mut(self.used..self.used + 64) else { return };
        // Written in groups of 8 whatever the count, so that the loop's exits can be predicted.
        for group in slots.chunks_exact_mut(8).take(count.div_ceil(8)) {
            for slot in group {
                *slot = base.wrapping_add(stops.trailing_zeros());
                stops &= stops.wrapping_sub(1);
            }
        }
        self.used += count;
    }

    /// Number of whole records.
    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Stops of record `row`: the one before it, then one per field.
    #[inline(always)]
    pub(super) fn record(&self, row: usize) -> &[u32] {
        let first = if row == 0 { 0 } else { self.lines[row - 1] as usize };
        &self.stops[first..=self.lines[row] as usize]
    }

    /// Stops of records `from..to` in one piece.
    #[inline(always)]
    pub(super) fn records(&self, from: usize, to: usize) -> &[u32] {
        let first = if from == 0 { 0 } else { self.lines[from - 1] as usize };
        &self.stops[first..=self.lines[to - 1] as usize]
    }
}
