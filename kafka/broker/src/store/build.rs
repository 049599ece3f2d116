//! Batches made here: records of this process on their way into a log, as a producer would send them.
//!
//! Bodies are compressed with LZ4, so that what a test generates takes a fraction of its size. Cost: one copy of each
//! record, one compression and one checksum a batch.

use std::io::Write;

use bytes::Bytes;

use super::batch::{Header, Stored};
use super::{codec, records};

/// Records that are not a batch yet.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    body: Vec<u8>,
    count: i32,
    base_ms: i64,
    max_ms: i64,
}

impl BatchBuilder {
    /// Appends a record. `headers` are in the record format, their number in front; no bytes are no headers.
    pub fn push(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[u8]) {
        if self.count == 0 {
            (self.base_ms, self.max_ms) = (timestamp_ms, timestamp_ms);
        }
        self.max_ms = self.max_ms.max(timestamp_ms);
        let deltas = (timestamp_ms.wrapping_sub(self.base_ms), self.count);
        records::write_new(&mut self.body, deltas, key, value, headers);
        self.count += 1;
    }

    /// Bytes of the records, not compressed.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// TRUE when there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch, to be appended; the builder is empty again. `None` without records.
    pub fn finish(&mut self) -> Option<Bytes> {
        if self.count == 0 {
            return None;
        }
        let body = match compress(&self.body) {
            Some(body) => (body, codec::LZ4),
            None => (self.body.clone(), codec::NONE),
        };
        let header = Header {
            base_offset: 0,
            size: 0,
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: body.1,
            last_delta: self.count - 1,
            base_timestamp: self.base_ms,
            max_timestamp: self.max_ms,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: self.count,
        };
        self.body.clear();
        self.count = 0;
        Some(Stored::seal(header, body.0.into()).to_bytes())
    }
}

/// The body as an LZ4 frame, if that is smaller.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(body.len() / 2));
    encoder.write_all(body).ok()?;
    encoder.finish().ok().filter(|frame| frame.len() < body.len())
}

/// A stored record, while it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers in the record format, their number in front.
    pub headers: &'a [u8],
}

/// Calls `each` with the records of stored batches whose offset is at least `from`; control batches are passed over.
/// Answers the offset behind the last batch, or what is wrong with them.
pub fn for_each_record(
    mut batches: &[u8],
    from: i64,
    each: &mut dyn FnMut(StoredRecord<'_>),
) -> Result<Option<i64>, String> {
    let mut next = None;
    while !batches.is_empty() {
        let header = Header::parse(batches).filter(|header| header.size <= batches.len());
        let Some(header) = header else { return Err("a stored batch is cut off".to_owned()) };
        let (batch, rest) = batches.split_at(header.size);
        batches = rest;
        next = Some(header.next_offset());
        if header.is(super::batch::CONTROL) {
            continue;
        }
        let stored = &batch[super::batch::HEADER..];
        let inflated;
        let body = match header.attributes & super::batch::CODEC_BITS {
            codec::NONE => stored,
            compressed => {
                inflated = codec::inflate(compressed, stored).map_err(|error| error.to_string())?;
                &inflated[..]
            }
        };
        for record in records::Walk::new(body) {
            let record = record?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if offset >= from {
                let timestamp_ms = match header.log_append_time() {
                    -1 => header.base_timestamp.wrapping_add(record.timestamp_delta),
                    time => time,
                };
                let (key, value, headers) = (record.key, record.value, record.headers);
                each(StoredRecord { offset, timestamp_ms, key, value, headers });
            }
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_went_in() {
        let mut builder = BatchBuilder::default();
        assert_eq!(builder.finish(), None);
        let long = vec![b'x'; 5_000];
        builder.push(1_000, Some(b"k"), Some(&long), b"\x02\x02a\x01");
        builder.push(900, None, None, &[]);
        let batch = builder.finish().expect("two records");
        assert!(batch.len() < 500, "{} bytes are compressed", batch.len());
        assert!(builder.is_empty() && builder.bytes() == 0);
        assert!(super::super::batch::is_whole(&batch), "the checksum is right");
        let mut seen = Vec::new();
        let mut each = |r: StoredRecord<'_>| {
            seen.push((
                r.offset,
                r.timestamp_ms,
                r.key.map(<[u8]>::to_vec),
                r.value.map(<[u8]>::len),
                r.headers.to_vec(),
            ));
        };
        assert_eq!(for_each_record(&batch, 0, &mut each), Ok(Some(2)));
        assert_eq!(for_each_record(&batch, 1, &mut each), Ok(Some(2)));
        let last = (1, 900, None, None, vec![0]);
        let first = (0, 1_000, Some(b"k".to_vec()), Some(5_000), b"\x02\x02a\x01".to_vec());
        assert_eq!(seen, [first, last.clone(), last]);
        assert!(for_each_record(&batch[..100], 0, &mut |_| {}).is_err());
    }
}
