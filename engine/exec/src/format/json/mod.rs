//! JSON tokeniser: one object per line, or per framed record, to the cells of the read columns.
//!
//! Runs on the shard of the partition. Most records follow the learnt [`Layout`] and are read in one pass that finds
//! their end by itself; the others are bounded first (at their line feed) and walked with care. Members nobody reads
//! are checked for structure and skipped. Of a key that stands twice, the last one counts.

mod layout;
mod syntax;

use velostream_sql::plan::ScanColumn;
use velostream_types::{ErrorCode, Stage};

use self::layout::{Layout, Seen, Targets};
use super::cells::{Block, Record};
use super::decoder::{BadRecord, record_error};
use super::scan::is_utf8;
use super::stream::{Feed, Line, Step};

pub(super) use self::syntax::{Malformed, members, unescape};

/// One key that feeds columns.
#[derive(Debug)]
struct Name {
    key: Box<[u8]>,
    targets: Targets,
}

/// Tokeniser of one partition.
#[derive(Debug)]
pub(super) struct JsonTokeniser {
    names: Vec<Name>,
    /// Column numbers, grouped by key; [`Targets`] are runs of it.
    columns: Vec<u16>,
    layout: Layout,
    /// Members of the record the careful walk is in.
    seen: Vec<Seen>,
    /// Place in `names` of the last key found: the next one is likely to be the next key.
    last_name: usize,
}

impl JsonTokeniser {
    /// `lines`: records are lines of a stream.
    pub(super) fn new(read: &[ScanColumn], lines: bool) -> JsonTokeniser {
        let mut names: Vec<Name> = Vec::new();
        let mut columns = Vec::new();
        for (i, column) in read.iter().enumerate() {
            let key = column.name.as_bytes();
            if read[..i].iter().any(|c| c.name == column.name) {
                continue;
            }
            let first = columns.len() as u16;
            columns.extend((i..read.len()).filter(|j| read[*j].name == column.name).map(|j| j as u16));
            names.push(Name { key: key.into(), targets: Targets { first, count: columns.len() as u16 - first } });
        }
        JsonTokeniser { names, columns, layout: Layout::new(lines), seen: Vec::new(), last_name: 0 }
    }

    /// Records follow line by line until the block is full or the slab is used up.
    pub(super) fn fill(&mut self, feed: &mut Feed<'_>, block: &mut Block, bad: &mut Vec<BadRecord>) -> Step {
        while block.rows() < feed.room {
            if feed.long.is_some() && !feed.skip(bad) {
                return feed.dry();
            }
            let (start, bytes) = (feed.at, feed.bytes);
            if let Some(end) = self.layout.follow(bytes, start, &self.columns, block) {
                let next = match bytes.get(end..) {
                    Some([b'\n', ..]) => end + 1,
                    Some([b'\r', b'\n', ..]) => end + 2,
                    _ => start,
                };
                let fits = next - start <= feed.max_record + 1 && (feed.valid || is_utf8(&bytes[start..end]));
                if next > start && fits {
                    block.end_row(feed.record(start, end));
                    feed.at = next;
                    continue;
                }
            }
            let (end, next) = match feed.line() {
                Line::Whole { end, next } => (end, next),
                Line::TooLong => {
                    feed.begin_skip();
                    continue;
                }
                Line::Stop(step) => return step,
            };
            let record = &bytes[start..end];
            if record.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
                feed.at = next;
                continue;
            }
            let record = feed.record(start, end);
            match self.one(bytes, feed.valid, start, end, block) {
                Ok(()) => block.end_row(record),
                Err(error) => bad.push(feed.bad(record, error)),
            }
            feed.at = next;
        }
        Step::Full
    }

    /// Tokenises one bounded record into the row under way.
    pub(super) fn one(
        &mut self,
        bytes: &[u8],
        valid: bool,
        start: usize,
        end: usize,
        block: &mut Block,
    ) -> Result<(), velostream_types::RecordError> {
        if !valid && !is_utf8(&bytes[start..end]) {
            return Err(record_error(ErrorCode::InvalidUtf8, "the record is not valid UTF-8".into()));
        }
        self.walk(&bytes[..end], start, block).map_err(|m| malformed_error(m, start))
    }

    /// A framed record: the layout first, then with care.
    pub(super) fn framed(
        &mut self,
        bytes: &[u8],
        valid: bool,
        record: Record,
        block: &mut Block,
    ) -> Result<(), velostream_types::RecordError> {
        let Record { start, end, .. } = record;
        let followed = self.layout.follow(bytes, start, &self.columns, block) == Some(end);
        // Inside a valid slab, a record that begins and ends at ASCII braces is valid too.
        if followed && (valid || is_utf8(&bytes[start..end])) {
            return Ok(());
        }
        // Any other record may begin or end inside a character of the slab.
        self.one(bytes, false, start, end, block)
    }

    /// The careful walk over a bounded record.
    fn walk(&mut self, bytes: &[u8], start: usize, block: &mut Block) -> Result<(), Malformed> {
        block.blank();
        self.seen.clear();
        let (names, columns, seen, last) = (&self.names, &self.columns, &mut self.seen, &mut self.last_name);
        let mut gap = start;
        members(bytes, start, |member| {
            let raw = &bytes[member.key.0..member.key.1];
            let targets = match member.escaped {
                false => find(names, raw, last),
                true => unescape(raw).map_or(Targets::default(), |key| find(names, key.as_bytes(), last)),
            };
            for column in &columns[targets.first as usize..][..targets.count as usize] {
                block.set(*column as usize, member.value);
            }
            seen.push(Seen { gap: (gap, member.at), targets });
            gap = member.end;
        })?;
        self.layout.learn(bytes, &self.seen, &self.columns);
        Ok(())
    }
}

/// The columns fed by a key, looked for first behind the key found last.
fn find(names: &[Name], key: &[u8], last: &mut usize) -> Targets {
    let place = (*last + 1..names.len()).chain(0..names.len().min(*last + 1)).find(|i| *names[*i].key == *key);
    place.map_or(Targets::default(), |i| {
        *last = i;
        names[i].targets
    })
}

/// The record error of a malformed record that starts at `start`.
fn malformed_error(malformed: Malformed, start: usize) -> velostream_types::RecordError {
    let at = malformed.at.saturating_sub(start);
    velostream_types::RecordError {
        code: ErrorCode::Malformed,
        stage: Stage::Deserialize,
        message: format!("not a JSON object: {} at byte {at}", malformed.what).into(),
        span: None,
    }
}
