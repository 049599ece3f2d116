//! Records of one partition on their way into slabs: bytes copied one after the other, with a reference per record.
//!
//! A slab is closed before a record that no longer fits, so that it holds `slab_bytes` or a single larger record.
//! Memory is asked for in the size of the last slab: a quiet partition does not pay for a busy one's.

use std::collections::VecDeque;

use arrow_buffer::Buffer;
use velostream_types::{RecordRef, Slab, SlabKind};

use super::batch::Message;

/// Least memory of a slab.
const SLAB_BYTES_MIN: usize = 4 << 10;

/// The slabs of one partition: some whole, one being filled.
pub(super) struct Slabs {
    whole: VecDeque<Slab>,
    bytes: Vec<u8>,
    records: Vec<RecordRef>,
    slab_bytes: usize,
    last_bytes: usize,
    last_records: usize,
    with_headers: bool,
}

impl Slabs {
    pub(super) fn new(slab_bytes: usize, with_headers: bool) -> Slabs {
        // Positions in a slab are u32: a slab and the largest record (1 GB, librdkafka's limit) stay below 4 GiB.
        let slab_bytes = slab_bytes.clamp(1, 1 << 30);
        let (whole, bytes, records) = (VecDeque::new(), Vec::new(), Vec::new());
        Slabs { whole, bytes, records, slab_bytes, last_bytes: 0, last_records: 0, with_headers }
    }

    /// Copies a record behind the others.
    #[inline]
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let (key, value) = (message.key(), message.value());
        let length = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if self.bytes.len() + length > self.slab_bytes {
            self.close();
        }
        if self.records.is_empty() {
            self.reserve(length);
        }
        let key = append(&mut self.bytes, key);
        let value = append(&mut self.bytes, value);
        let headers = if self.with_headers { self.push_headers(message) } else { None };
        let (offset, timestamp_ms) = (message.offset(), message.timestamp_ms());
        self.records.push(RecordRef { offset, timestamp_ms, key, value, headers });
    }

    #[cold]
    fn push_headers(&mut self, message: &Message<'_>) -> Option<(u32, u32)> {
        let start = self.bytes.len() as u32;
        let is_there = message.append_headers(&mut self.bytes);
        is_there.then_some((start, self.bytes.len() as u32))
    }

    /// The oldest slab; the one being filled when there is no whole one.
    pub(super) fn pop(&mut self) -> Option<Slab> {
        if self.whole.is_empty() {
            self.close();
        }
        self.whole.pop_front()
    }

    /// TRUE when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.records.is_empty()
    }

    /// TRUE when a slab is whole: nothing needs to be fetched to hand one out.
    pub(super) fn has_whole(&self) -> bool {
        !self.whole.is_empty()
    }

    /// How many records like those before fit into what is left of the slab.
    pub(super) fn room(&self) -> usize {
        let left = self.slab_bytes.saturating_sub(self.bytes.len());
        let (bytes, records) = match self.records.len() {
            0 => (self.last_bytes, self.last_records),
            records => (self.bytes.len(), records),
        };
        // Before the first slab nothing is known of the records.
        if records == 0 { left / 128 + 1 } else { left * records / bytes.max(1) + 1 }
    }

    fn close(&mut self) {
        if self.records.is_empty() {
            return;
        }
        (self.last_bytes, self.last_records) = (self.bytes.len(), self.records.len());
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        self.whole.push_back(Slab { bytes, kind: SlabKind::Records(std::mem::take(&mut self.records)) });
    }

    fn reserve(&mut self, first: usize) {
        let bytes = (self.last_bytes + self.last_bytes / 8).clamp(SLAB_BYTES_MIN.min(self.slab_bytes), self.slab_bytes);
        self.bytes.reserve(bytes.max(first));
        self.records.reserve(self.last_records + self.last_records / 8 + 1);
    }
}

/// Appends and answers where it stands.
#[inline]
fn append(bytes: &mut Vec<u8>, part: Option<&[u8]>) -> Option<(u32, u32)> {
    let part = part?;
    let start = bytes.len() as u32;
    bytes.extend_from_slice(part);
    Some((start, bytes.len() as u32))
}
