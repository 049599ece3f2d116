//! Headers of record batches, format 2: parsing, checking what a producer sent, and building control batches.
//!
//! The first 61 bytes, big-endian: base offset 8, length of what follows 4, leader epoch 4, format 1, CRC-32C 4 (over
//! everything behind it), attributes 2, last offset delta 4, base timestamp 8, greatest timestamp 8, producer id 8,
//! producer epoch 2, base sequence 4, number of records 4. Base offset and leader epoch stand before the checksum, so
//! the log can set them without touching it.

use bytes::{BufMut, Bytes, BytesMut};

use super::config::LogConfig;
use super::error::AppendError;
use super::{codec, records};

/// Bytes before the records.
pub(super) const HEADER: usize = 61;
/// Bytes before what the length field counts.
const BEFORE_LENGTH: usize = 12;
/// Where the checksummed part begins.
const CHECKED_FROM: usize = 21;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

/// Attribute bits: the codec.
pub(super) const CODEC_BITS: i16 = 0b111;
/// The timestamp is the log's, not the producer's.
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;
/// The base timestamp is the time from which tombstones in this batch may go.
pub(super) const DELETE_HORIZON: i16 = 1 << 6;

/// The fields of a batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub base_offset: i64,
    /// Bytes of the whole batch.
    pub size: usize,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Header {
    /// The header at the start of `bytes`; `None` when they are too few or the length cannot be. The records need not
    /// be there.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let size = BEFORE_LENGTH + usize::try_from(i32::from_be_bytes(array(bytes, 8))).ok()?;
        if size < HEADER {
            return None;
        }
        Some(Header {
            base_offset: i64::from_be_bytes(array(bytes, 0)),
            size,
            leader_epoch: i32::from_be_bytes(array(bytes, 12)),
            magic: bytes[16] as i8,
            crc: u32::from_be_bytes(array(bytes, CRC_AT)),
            attributes: i16::from_be_bytes(array(bytes, ATTRIBUTES_AT)),
            last_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            count: i32::from_be_bytes(array(bytes, 57)),
        })
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut rest = &mut out[..];
        rest.put_i64(self.base_offset);
        rest.put_i32((self.size - BEFORE_LENGTH) as i32);
        rest.put_i32(self.leader_epoch);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.count);
        out
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_delta))
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    pub fn is(&self, attribute: i16) -> bool {
        self.attributes & attribute != 0
    }

    /// The time the log gave the records, or -1.
    pub fn log_append_time(&self) -> i64 {
        if self.is(LOG_APPEND_TIME) { self.max_timestamp } else { -1 }
    }
}

/// TRUE when `bytes` are exactly one batch whose checksum is right.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    Header::parse(bytes).is_some_and(|h| {
        let sane = h.magic == 2 && h.size == bytes.len() && h.last_delta >= 0 && h.base_offset >= 0;
        sane && h.base_offset <= i64::MAX - i64::from(i32::MAX) && h.crc == crc32c::crc32c(&bytes[CHECKED_FROM..])
    })
}

/// A batch ready to be stored: the header as it will stand in the log, and the records as they came.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub header: Header,
    pub head: [u8; HEADER],
    pub body: Bytes,
}

impl Stored {
    /// Gives the batch its place. `append_time` replaces the timestamps.
    pub fn place(sent: Sent, base_offset: i64, leader_epoch: i32, append_time: Option<i64>) -> Stored {
        let mut header = sent.header;
        (header.base_offset, header.leader_epoch) = (base_offset, leader_epoch);
        match append_time {
            Some(now) => {
                header.attributes |= LOG_APPEND_TIME;
                header.max_timestamp = now;
                Stored::seal(header, sent.body)
            }
            None => Stored { header, head: header.encode(), body: sent.body },
        }
    }

    /// Sets the size and the checksum of a header whose other fields are right.
    pub fn seal(mut header: Header, body: Bytes) -> Stored {
        header.size = HEADER + body.len();
        let head = header.encode();
        header.crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), &body);
        Stored { header, head: header.encode(), body }
    }

    /// The marker that ends a transaction.
    pub fn marker(producer_id: i64, producer_epoch: i16, coordinator_epoch: i32, commit: bool, now_ms: i64) -> Stored {
        let mut record = BytesMut::with_capacity(16);
        // Length (zigzag), attributes, deltas, key of 4 bytes, value of 6, no headers.
        record.put_slice(&[32, 0, 0, 0, 8]);
        record.put_i16(0);
        record.put_i16(i16::from(commit));
        record.put_u8(12);
        record.put_i16(0);
        record.put_i32(coordinator_epoch);
        record.put_u8(0);
        let header = Header {
            base_offset: 0,
            size: 0,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: TRANSACTIONAL | CONTROL,
            last_delta: 0,
            base_timestamp: now_ms,
            max_timestamp: now_ms,
            producer_id,
            producer_epoch,
            base_sequence: -1,
            count: 1,
        };
        Stored::seal(header, record.freeze())
    }

    pub fn at(mut self, base_offset: i64, leader_epoch: i32) -> Stored {
        (self.header.base_offset, self.header.leader_epoch) = (base_offset, leader_epoch);
        self.head = self.header.encode();
        self
    }

    pub fn to_bytes(&self) -> Bytes {
        let mut all = BytesMut::with_capacity(HEADER + self.body.len());
        all.put_slice(&self.head);
        all.put_slice(&self.body);
        all.freeze()
    }
}

/// What a marker says; `None` when the batch is no such marker.
pub(super) struct Marker {
    pub commit: bool,
    pub coordinator_epoch: i32,
}

impl Marker {
    pub fn read(batch: &[u8]) -> Option<Marker> {
        let record = records::Walk::new(batch.get(HEADER..)?).next()?.ok()?;
        let (key, value) = (record.key?, record.value?);
        let kind = i16::from_be_bytes(array(key.get(..4)?, 2));
        let coordinator_epoch = i32::from_be_bytes(array(value.get(..6)?, 2));
        (kind == 0 || kind == 1).then_some(Marker { commit: kind == 1, coordinator_epoch })
    }
}

/// A batch as a producer sent it, checked.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub header: Header,
    pub body: Bytes,
}

/// Splits what a producer sent into batches and checks each by itself.
pub(super) fn check_sent(records: &Bytes, config: &LogConfig, now_ms: i64) -> Result<Vec<Sent>, AppendError> {
    if records.is_empty() {
        return Err(AppendError::Corrupt("no record batch at all".to_owned()));
    }
    let mut batches = Vec::with_capacity(1);
    let mut at = 0;
    while at < records.len() {
        let rest = &records[at..];
        if let Some(magic) = rest.get(16).map(|m| *m as i8)
            && magic != 2
        {
            return Err(AppendError::UnsupportedMagic(magic));
        }
        let Some(header) = Header::parse(rest).filter(|h| h.size <= rest.len()) else {
            return Err(AppendError::Corrupt(format!("cut off at byte {at} of {}", records.len())));
        };
        let batch = &rest[..header.size];
        check_header(&header, batch, config, now_ms)?;
        check_records(&header, &batch[HEADER..], config)?;
        batches.push(Sent { header, body: records.slice(at + HEADER..at + header.size) });
        at += header.size;
    }
    Ok(batches)
}

fn check_header(h: &Header, batch: &[u8], config: &LogConfig, now_ms: i64) -> Result<(), AppendError> {
    let invalid = |what: String| Err(AppendError::InvalidRecord(what));
    if h.size > config.max_message_bytes() {
        return Err(AppendError::TooLarge { size: h.size, max: config.max_message_bytes() });
    }
    let crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
    if crc != h.crc {
        return Err(AppendError::Corrupt(format!("checksum {crc:#010x}, but the batch says {:#010x}", h.crc)));
    }
    if h.count < 1 || i64::from(h.last_delta) != i64::from(h.count) - 1 {
        return invalid(format!("{} records cannot end at offset delta {}", h.count, h.last_delta));
    }
    if h.base_offset != 0 {
        return invalid(format!("a producer's base offset is 0, not {}", h.base_offset));
    }
    if h.is(CONTROL) {
        return invalid("only the broker writes control batches".to_owned());
    }
    if h.is(DELETE_HORIZON) {
        return invalid("only the broker sets a delete horizon".to_owned());
    }
    if h.attributes & CODEC_BITS > codec::LAST {
        return invalid(format!("unknown codec {}", h.attributes & CODEC_BITS));
    }
    if h.producer_id < 0 {
        if h.is(TRANSACTIONAL) || h.producer_id != -1 {
            return invalid(format!("producer id {}", h.producer_id));
        }
    } else if h.producer_epoch < 0 || h.base_sequence < 0 {
        return invalid(format!("producer epoch {} and sequence {}", h.producer_epoch, h.base_sequence));
    }
    if !config.log_append_time() && h.max_timestamp >= 0 && !config.allows_timestamp(h.max_timestamp, now_ms) {
        return Err(AppendError::InvalidTimestamp { timestamp: h.max_timestamp, now: now_ms });
    }
    Ok(())
}

/// Plain records are walked, so that what is stored can be read. Compressed ones are inflated only where keys matter.
fn check_records(h: &Header, body: &[u8], config: &LogConfig) -> Result<(), AppendError> {
    let codec = h.attributes & CODEC_BITS;
    let inflated;
    let plain = if codec == codec::NONE {
        body
    } else if config.compacts() {
        inflated = codec::inflate(codec, body).map_err(|e| AppendError::Corrupt(e.to_string()))?;
        &inflated[..]
    } else {
        return Ok(());
    };
    let keys_needed = config.compacts();
    let mut seen = 0;
    for record in records::Walk::new(plain) {
        let record = record.map_err(|what| AppendError::InvalidRecord(format!("record {seen}: {what}")))?;
        if record.offset_delta != seen {
            return Err(AppendError::InvalidRecord(format!("record {seen} says it is {}", record.offset_delta)));
        }
        if keys_needed && record.key.is_none() {
            return Err(AppendError::InvalidRecord(format!(
                "record {seen} has no key, which a topic with cleanup.policy=compact needs"
            )));
        }
        seen += 1;
    }
    if seen != h.count {
        return Err(AppendError::InvalidRecord(format!("{seen} records, but the batch says {}", h.count)));
    }
    Ok(())
}
