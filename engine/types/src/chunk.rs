//! Encoded rows on their way from the shard that made them to the one writer of their sink.

use crate::headers::{HeaderBuilder, event_time};
use crate::within::Within;

/// Whole rows in the sink's format, ready to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The rows' bytes, one after the other, each with its terminator (a line feed for line formats).
    pub bytes: Vec<u8>,
    /// End of each row in `bytes`.
    pub ends: Vec<u32>,
    /// Order of each row among the rows of other shards; empty where order between shards means nothing.
    pub order: Vec<(i64, Within, u64)>,
    /// Record key of each row for sinks with keys (topics); empty for files and stdout.
    pub keys: Vec<Option<Box<[u8]>>>,
    /// Rows that are deletes: their value is null in the sink. Empty when none is.
    pub deletes: Vec<bool>,
    /// Headers of each row as in [`crate::RecordRef::headers`], for sinks with headers; empty otherwise.
    pub headers: Vec<Option<Box<[u8]>>>,
    /// Rows have no terminator: every byte is the record's (raw formats).
    pub framed: bool,
    /// Event time of each row, ns, for sinks that write it as a header; empty: no header.
    pub event_ns: Vec<i64>,
    /// Event time of each row, ms, for sinks with record timestamps; empty otherwise.
    pub times_ms: Vec<i64>,
}

impl Chunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// TRUE when no row is in the chunk.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of row `i` with its terminator.
    pub fn row(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }

    /// Bytes of row `i` as a record's value: without its terminator.
    pub fn record_value(&self, i: usize) -> &[u8] {
        let bytes = self.row(i);
        if self.framed { bytes } else { bytes.strip_suffix(b"\n").unwrap_or(bytes) }
    }

    /// Headers of row `i` as a record's: its own and those of its event time, in the record format.
    pub fn record_headers(&self, i: usize) -> Option<Vec<u8>> {
        let (own, event_ns) = (self.headers.get(i).and_then(Option::as_deref), self.event_ns.get(i));
        if own.is_none() && event_ns.is_none() {
            return None;
        }
        let mut headers = HeaderBuilder::default();
        headers.extend(own.unwrap_or_default(), |_| true);
        for (name, value) in event_ns.into_iter().flat_map(|event_ns| event_time(*event_ns)) {
            headers.push(name.as_bytes(), Some(value.to_string().as_bytes()));
        }
        Some(headers.finish())
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        let Chunk { bytes, ends, order, keys, deletes, headers, framed, event_ns, times_ms } = self;
        bytes.clear();
        ends.clear();
        order.clear();
        keys.clear();
        deletes.clear();
        headers.clear();
        event_ns.clear();
        *framed = false;
        times_ms.clear();
    }

    /// Marks everything since the last row as one more row.
    pub fn end_row(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }
}
