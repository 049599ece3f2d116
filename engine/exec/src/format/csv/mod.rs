//! CSV tokeniser: delimited lines to the cells of the read columns.
//!
//! Runs on the shard of the partition. Stretches without quotes go through the delimiter [`Index`]; a record with a
//! quote, and the last record of a slab, are scanned with care one at a time. Both follow the same rules: an empty
//! unquoted field is NULL, blank lines do not count, a wrong number of fields makes a bad record. A quote that is
//! still open at the end of the stream or at the longest record ends its record at its first line feed.

mod index;
mod record;

use std::collections::BTreeMap;

use velostream_sql::plan::SourcePlan;
use velostream_types::{ErrorCode, RecordError};

use self::index::Index;
use self::record::{OpenRun, Scan, scan, scan_over};
use super::cells::{Block, Cell, Kind, Record};
use super::decoder::{BadRecord, record_error};
use super::scan::is_utf8;
use super::stream::{Feed, Step};

pub(super) use self::record::{Dialect, unquote};

/// What to expect of a CSV source.
#[derive(Clone, Copy, Debug)]
struct Head {
    lines_to_skip: u64,
    header: bool,
}

/// Tokeniser of one partition.
#[derive(Debug)]
pub(super) struct CsvTokeniser {
    dialect: Dialect,
    head: Head,
    /// Names of the read columns.
    names: Vec<String>,
    /// Field of each read column; `None` when the file has no such column.
    field_of: Vec<Option<usize>>,
    /// Fields in every record.
    width: usize,
    index: Index,
    fields: Vec<Cell>,
    /// The last careful record had quotes: the next one is likely to have some.
    quoted_lately: bool,
    /// What a scan found that never left its quotes, as positions in the stream: without it, a stream of quotes that
    /// open and never close would be scanned to its end once per line.
    open_run: Option<(u64, u64)>,
}

/// First place of each name in `header`. By a map: either may name a million columns.
fn places<'a>(names: &[String], header: impl Iterator<Item = &'a str>) -> Vec<Option<usize>> {
    let mut first = BTreeMap::new();
    for (place, name) in header.enumerate() {
        first.entry(name).or_insert(place);
    }
    names.iter().map(|name| first.get(name.as_str()).copied()).collect()
}

impl CsvTokeniser {
    pub(super) fn new(source: &SourcePlan, dialect: Dialect, header: bool, skip_lines: u64) -> CsvTokeniser {
        let names: Vec<String> = source.decoded().iter().map(|c| c.name.clone()).collect();
        CsvTokeniser {
            dialect,
            head: Head { lines_to_skip: skip_lines, header },
            field_of: places(&names, source.schema.fields.iter().map(|field| field.name.as_str())),
            width: source.schema.len(),
            names,
            index: Index::default(),
            fields: Vec::new(),
            quoted_lately: false,
            open_run: None,
        }
    }

    /// Lines to skip and the header lie behind: the columns are those of the header read last, else the schema's.
    pub(super) fn header_done(&mut self) {
        self.head = Head { lines_to_skip: 0, header: false };
    }

    /// Reads the header from the start of the stream; FALSE, and nothing changed, when it is not all there.
    pub(super) fn read_head(&mut self, feed: &mut Feed<'_>) -> bool {
        let head = self.head;
        let ready = self.prepare(feed);
        if !ready {
            self.head = head;
        }
        ready
    }

    /// Skipped lines, then the header. Answers FALSE when the slab ends first.
    fn prepare(&mut self, feed: &mut Feed<'_>) -> bool {
        while self.head.lines_to_skip > 0 {
            match memchr::memchr(b'\n', &feed.bytes[feed.at..]) {
                Some(n) => feed.at += n + 1,
                None => {
                    feed.at = feed.bytes.len();
                    return false;
                }
            }
            self.head.lines_to_skip -= 1;
        }
        while self.head.header {
            let Some((end, next)) = self.careful(feed) else { return false };
            let (start, bytes) = (feed.at, feed.bytes);
            feed.at = next;
            if end > start {
                self.read_header(bytes);
            }
        }
        true
    }

    /// Maps the read columns by the header in `fields`. A name that stands twice means its first column.
    fn read_header(&mut self, bytes: &[u8]) {
        let names: Vec<String> = self.fields.iter().map(|c| name_of(*c, bytes, self.dialect.quote)).collect();
        self.field_of = places(&self.names, names.iter().map(String::as_str));
        self.width = names.len();
        self.head.header = false;
    }

    /// Scans the record at the current position with care: its end and the start of the next one. `None` when the
    /// slab does not hold all of it. A malformed record leaves `fields` empty; so does one that is too long to take.
    fn careful(&mut self, feed: &mut Feed<'_>) -> Option<(usize, usize)> {
        let limit = feed.bytes.len().min(feed.at.saturating_add(feed.max_record).saturating_add(1));
        let at_limit = limit - feed.at > feed.max_record;
        let all_there = feed.at_end && limit == feed.bytes.len() && !at_limit;
        if feed.at == feed.bytes.len() {
            return None;
        }
        // A stretch tells where quotes stand at its end, not before. It ends behind this record's limit when the record
        // lies in front of the one that found it: a cut batch steps back.
        let run = self.run_in(feed).filter(|run| !at_limit || run.to <= limit);
        let bytes = &feed.bytes[..limit];
        let mut scanned = scan_over(bytes, feed.at, self.dialect, all_there, run, &mut self.fields);
        if run.is_some() && matches!(scanned, Scan::Whole { .. }) {
            scanned = scan(bytes, feed.at, self.dialect, all_there, &mut self.fields);
        }
        match scanned {
            Scan::Whole { end, next, malformed, quoted } => {
                self.quoted_lately = quoted;
                if malformed {
                    self.fields.clear();
                }
                Some((end, next))
            }
            Scan::Open { in_quotes } => {
                self.fields.clear();
                if !at_limit && !all_there {
                    return None;
                }
                let cut = memchr::memchr(b'\n', &feed.bytes[feed.at..limit]).filter(|_| in_quotes);
                if cut.is_none() && at_limit {
                    feed.begin_skip();
                    return None;
                }
                self.open_run = cut.map(|n| (feed.base + (feed.at + n) as u64, feed.base + limit as u64));
                let (stop, next) = cut.map_or((limit, limit), |n| (feed.at + n, feed.at + n + 1));
                let returned = stop > feed.at && feed.bytes[stop - 1] == b'\r';
                Some((stop - usize::from(returned), next))
            }
        }
    }

    /// The known open stretch, if it reaches into this slab.
    fn run_in(&self, feed: &Feed<'_>) -> Option<OpenRun> {
        let (from, to) = self.open_run?;
        let inside = |position: u64| usize::try_from(position.saturating_sub(feed.base)).unwrap_or(usize::MAX);
        (inside(to) > feed.at).then(|| OpenRun { from: inside(from), to: inside(to) })
    }

    /// Records follow until the block is full or the slab is used up.
    pub(super) fn fill(&mut self, feed: &mut Feed<'_>, block: &mut Block, bad: &mut Vec<BadRecord>) -> Step {
        loop {
            if feed.long.is_some() && !feed.skip(bad) {
                return feed.dry();
            }
            if !self.prepare(feed) {
                if feed.long.is_some() {
                    continue;
                }
                return feed.dry();
            }
            if block.rows() >= feed.room {
                return Step::Full;
            }
            if !self.quoted_lately && self.indexed(feed, block, bad) {
                continue;
            }
            let start = feed.at;
            let Some((end, next)) = self.careful(feed) else {
                if feed.long.is_some() {
                    continue;
                }
                return feed.dry();
            };
            feed.at = next;
            if end > start {
                let record = feed.record(start, end);
                match self.accept(feed.bytes, feed.valid, record, block) {
                    Ok(()) => block.end_row(record),
                    Err(error) => bad.push(feed.bad(record, error)),
                }
            }
        }
    }

    /// Takes the record whose fields were scanned with care into the row under way.
    fn accept(&self, bytes: &[u8], valid: bool, record: Record, block: &mut Block) -> Result<(), RecordError> {
        if !valid && !is_utf8(&bytes[record.start..record.end]) {
            return Err(invalid_utf8());
        }
        if self.fields.is_empty() {
            return Err(record_error(ErrorCode::Malformed, "a quoted field does not end at its closing quote".into()));
        }
        if self.fields.len() != self.width {
            return Err(field_count(self.fields.len(), self.width));
        }
        for (column, field) in self.field_of.iter().enumerate() {
            block.set(column, field.map_or(Cell::NULL, |f| self.fields[f]));
        }
        Ok(())
    }

    /// A framed record: one line, with or without its terminator.
    pub(super) fn framed(&mut self, bytes: &[u8], record: Record, block: &mut Block) -> Result<(), RecordError> {
        match scan(&bytes[..record.end], record.start, self.dialect, true, &mut self.fields) {
            Scan::Whole { next, malformed: false, .. } if next >= record.end && record.end > record.start => {}
            _ => self.fields.clear(),
        }
        self.accept(bytes, false, record, block)
    }

    /// Takes whole records without quotes. Answers FALSE when there is none at the current position.
    fn indexed(&mut self, feed: &mut Feed<'_>, block: &mut Block, bad: &mut Vec<BadRecord>) -> bool {
        let room = feed.room - block.rows();
        self.index.build(feed.bytes, feed.at, room, feed.max_record, self.dialect);
        let start = feed.at;
        let mut row = 0;
        while row < self.index.rows().min(feed.room - block.rows() + row) {
            let run = self.run_of(row, feed, feed.room - block.rows());
            if run > 0 {
                self.take_run(row, run, feed, block);
                row += run;
                continue;
            }
            let stops = self.index.record(row);
            let (from, stop) = (stops[0].wrapping_add(1) as usize, stops[stops.len() - 1] as usize);
            let fields = stops.len() - 1;
            if stop - from > feed.max_record {
                break;
            }
            let returned = stop > from && feed.bytes[stop - 1] == b'\r';
            let end = stop - usize::from(returned);
            feed.at = stop + 1;
            row += 1;
            if end == from {
                continue;
            }
            let record = feed.record(from, end);
            let error = match fields == self.width {
                true => invalid_utf8(),
                false => field_count(fields, self.width),
            };
            bad.push(feed.bad(record, error));
        }
        feed.at > start
    }

    /// How many records from `row` on are good as far as the index tells.
    fn run_of(&self, row: usize, feed: &Feed<'_>, room: usize) -> usize {
        let mut run = 0;
        for stops in (row..self.index.rows()).take(room).map(|r| self.index.record(r)) {
            let (from, stop) = (stops[0].wrapping_add(1) as usize, stops[stops.len() - 1] as usize);
            let one_blank = self.width == 1 && blank(&feed.bytes[from..stop]);
            if stops.len() - 1 != self.width || stop - from > feed.max_record || one_blank {
                break;
            }
            if !feed.valid && !is_utf8(&feed.bytes[from..stop]) {
                break;
            }
            run += 1;
        }
        run
    }

    /// Appends `run` good records to the block, column by column.
    fn take_run(&self, row: usize, run: usize, feed: &mut Feed<'_>, block: &mut Block) {
        let (bytes, width) = (feed.bytes, self.width);
        let stops = self.index.records(row, row + run);
        let returned = |stop: u32, from: u32| stop > from && bytes[stop as usize - 1] == b'\r';
        for (column, field) in self.field_of.iter().enumerate() {
            let cells = &mut block.open_cells(column)[..run];
            let Some(field) = *field else {
                cells.fill(Cell::NULL);
                continue;
            };
            let last = field + 1 == width;
            for (cell, pair) in cells.iter_mut().zip(stops[field..].windows(2).step_by(width)) {
                let (from, mut to) = (pair[0].wrapping_add(1), pair[1]);
                if last && returned(to, from) {
                    to -= 1;
                }
                let plain = Cell::new(Kind::Plain, from as usize, to as usize);
                *cell = if from == to { Cell::NULL } else { plain };
            }
        }
        for record in 0..run {
            let (from, to) = (stops[record * width].wrapping_add(1), stops[(record + 1) * width]);
            let end = to - u32::from(returned(to, from));
            block.end_row(feed.record(from as usize, end as usize));
            feed.at = to as usize + 1;
        }
    }
}

/// TRUE for a line, its carriage return included, without anything on it.
fn blank(line: &[u8]) -> bool {
    matches!(line, [] | [b'\r'])
}

fn invalid_utf8() -> RecordError {
    record_error(ErrorCode::InvalidUtf8, "the record is not valid UTF-8".into())
}

fn field_count(got: usize, want: usize) -> RecordError {
    record_error(ErrorCode::FieldCount, format!("the record has {got} fields, the source has {want} columns"))
}

/// Text of a header field.
fn name_of(cell: Cell, bytes: &[u8], quote: u8) -> String {
    let raw = cell.of(bytes);
    match cell.kind() {
        Kind::Escaped => unquote(raw, quote).unwrap_or_default(),
        _ => String::from_utf8_lossy(raw).into_owned(),
    }
}

/// Header and records of a sample, for inference: calls `on` with the fields of each record. Records that are
/// malformed or cut are left out.
pub(super) fn records(bytes: &[u8], start: usize, dialect: Dialect, mut on: impl FnMut(&[Cell], bool) -> bool) {
    let mut fields = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        let Scan::Whole { end, next, malformed, .. } = scan(bytes, at, dialect, true, &mut fields) else { break };
        let complete = next > 0 && bytes[next - 1] == b'\n';
        if end > at && !malformed && !on(&fields, complete) {
            break;
        }
        at = next;
    }
}

/// Texts of a header's fields.
pub(super) fn header_names(fields: &[Cell], bytes: &[u8], quote: u8) -> Vec<String> {
    fields.iter().map(|c| name_of(*c, bytes, quote)).collect()
}
