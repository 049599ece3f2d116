//! What both tokenisers share of reading a byte stream slab by slab: where they are, how a slab ends, and records too
//! long to keep.

use velostream_types::{ErrorCode, RecordError};
use xxhash_rust::xxh3::Xxh3;

use super::cells::Record;
use super::decoder::{BadRecord, SlabState, record_error};

/// Bytes of a too long record that its dead letter keeps.
pub(super) const KEPT_BYTES: usize = 64 * 1024;

/// Why a tokeniser stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The block has as many rows as asked for.
    Full,
    /// The slab holds no further whole record.
    NeedSlab,
    /// The stream ended.
    Ended,
}

/// The next line of a stream.
pub(super) enum Line {
    /// From the current position to `end`; the next record begins at `next`.
    Whole { end: usize, next: usize },
    /// Longer than a record may be.
    TooLong,
    /// Not there as a whole.
    Stop(Step),
}

/// A record under way that is too long: what remains of it while its bytes pass by.
pub(super) struct LongRecord {
    offset: i64,
    position: u64,
    head: Vec<u8>,
    length: u64,
    hash: Box<Xxh3>,
}

impl std::fmt::Debug for LongRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LongRecord").field("offset", &self.offset).field("length", &self.length).finish()
    }
}

impl LongRecord {
    pub(super) fn new(offset: i64, position: u64) -> LongRecord {
        LongRecord { offset, position, head: Vec::new(), length: 0, hash: Box::new(Xxh3::new()) }
    }

    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// `limit` is the longest record. One that was cut at a line feed inside its quotes may be shorter.
    pub(super) fn finish(self, framed: bool, limit: usize) -> BadRecord {
        let (length, hash) = (self.length, self.hash.digest());
        let message = if length > limit as u64 {
            format!("record of {length} bytes is longer than max.record.bytes (XXH3 {hash:016x})")
        } else {
            format!(
                "record is longer than max.record.bytes and has a line feed in quotes: it was cut there, behind {length} \
                 bytes, and what follows is read as records of its own (XXH3 {hash:016x})"
            )
        };
        BadRecord {
            offset: self.offset,
            position: (!framed).then_some(self.position),
            error: record_error(ErrorCode::TooLong, message),
            bytes: self.head,
            full_length: Some(self.length),
        }
    }
}

/// One stream slab and the tokeniser's place in it.
pub(super) struct Feed<'a> {
    pub(super) bytes: &'a [u8],
    /// The whole slab is UTF-8.
    pub(super) valid: bool,
    /// No bytes follow the slab.
    pub(super) at_end: bool,
    /// Position of the slab in the stream.
    pub(super) base: u64,
    /// First byte not used.
    pub(super) at: usize,
    /// Number of the next record.
    pub(super) next_offset: i64,
    /// Rows the block may hold.
    pub(super) room: usize,
    /// Longest record, without its line feed.
    pub(super) max_record: usize,
    /// A too long record under way.
    pub(super) long: Option<LongRecord>,
}

impl Feed<'_> {
    /// The record at `start..end` as the next in number.
    #[inline(always)]
    pub(super) fn record(&mut self, start: usize, end: usize) -> Record {
        let offset = self.next_offset;
        self.next_offset += 1;
        Record { start, end, offset, timestamp_ms: 0, is_tombstone: false }
    }

    /// A record that is bad as a whole.
    pub(super) fn bad(&self, record: Record, error: RecordError) -> BadRecord {
        BadRecord {
            offset: record.offset,
            position: Some(self.base + record.start as u64),
            error,
            bytes: self.bytes[record.start..record.end].to_vec(),
            full_length: None,
        }
    }

    /// What it means that no whole record is left.
    pub(super) fn dry(&self) -> Step {
        if self.at_end { Step::Ended } else { Step::NeedSlab }
    }

    /// The line at the current position, without its line feed and a carriage return before it.
    pub(super) fn line(&self) -> Line {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(self.max_record + 1)];
        let (length, next) = match memchr::memchr(b'\n', window) {
            Some(n) => (n, self.at + n + 1),
            None if rest.len() > self.max_record => return Line::TooLong,
            None if self.at_end && !rest.is_empty() => (rest.len(), self.bytes.len()),
            None => return Line::Stop(self.dry()),
        };
        let end = self.at + length;
        let return_before = length > 0 && self.bytes[end - 1] == b'\r';
        Line::Whole { end: end - usize::from(return_before), next }
    }

    /// Starts to let the record at the current position pass by.
    pub(super) fn begin_skip(&mut self) {
        let offset = self.next_offset;
        self.next_offset += 1;
        self.long = Some(LongRecord::new(offset, self.base + self.at as u64));
    }

    /// Lets a too long record pass by: up to its line feed, or all that is there. Answers FALSE when the slab was
    /// used up before its end.
    pub(super) fn skip(&mut self, bad: &mut Vec<BadRecord>) -> bool {
        let Some(mut long) = self.long.take() else { return true };
        let rest = &self.bytes[self.at..];
        match memchr::memchr(b'\n', rest) {
            Some(n) => {
                long.pass(&rest[..n]);
                self.at += n + 1;
            }
            None => {
                long.pass(rest);
                self.at = self.bytes.len();
                if !self.at_end {
                    self.long = Some(long);
                    return false;
                }
            }
        }
        bad.push(long.finish(false, self.max_record));
        true
    }

    /// The state in which the slab is left.
    pub(super) fn state(&self, step: Step) -> SlabState {
        match step {
            Step::Full => SlabState::More,
            Step::NeedSlab => SlabState::NeedSlab { consumed: self.at, grow: self.at == 0 },
            Step::Ended => SlabState::Ended,
        }
    }
}
