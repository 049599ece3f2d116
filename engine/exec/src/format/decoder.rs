//! The decoder of one partition: slabs in, batches of typed columns and bad records out.
//!
//! Runs on the shard of the partition, first in a record's way. Per block of records the tokeniser of the format cuts
//! records and fields, then each column builder takes its cells; only then is a record's fate known. Invariants: the
//! rows and bad records it gives depend on the bytes alone, never on where slabs or batches end; every record that
//! was counted in `next_offset` is a row, a bad record or a null value.

use arrow_array::BinaryViewArray;
use arrow_array::builder::BinaryViewBuilder;
use arrow_buffer::ScalarBuffer;
use velostream_sql::plan::{Format, RawKind, SourcePlan, TimeField, WatermarkRule};
use velostream_types::headers::{event_time_ns, watermark};
use velostream_types::time::{NS_PER_MS, parse_instant};
use velostream_types::{Column, ErrorCode, Offsets, RecordError, RecordRef, Stage};

use super::beside::Beside;
use super::cells::{BLOCK_ROWS, Block, Cell, Kind, MAX_FIELD, Record};
use super::column::{ColumnBuilder, Fault, Source};
use super::csv::{CsvTokeniser, Dialect};
use super::cursor::{Framing, SlabCursor};
use super::json::JsonTokeniser;
use super::number::Grammar;
use super::scan::is_utf8;
use super::stream::{Feed, KEPT_BYTES, LongRecord};

/// UTF-8's byte order mark, allowed at the start of a stream.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Cells of a batch at most, 64 MiB of the widest kind: bounds what a file with very many columns may take.
const CELLS_MAX: usize = 4 << 20;
/// Characters of a value that a message shows.
const SHOWN_CHARS: usize = 64;

/// What one call brought.
#[derive(Debug)]
pub struct Decoded {
    /// One column per [`SourcePlan::read`].
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
    /// Record numbers of the rows.
    pub offsets: Offsets,
    /// Record timestamps of the rows, ms; framed slabs only.
    pub timestamps: Option<ScalarBuffer<i64>>,
    /// Event times of the rows, ns, where the plan takes them from the headers: a record without the header has its
    /// timestamp. `None` otherwise.
    pub event_times: Option<ScalarBuffer<i64>>,
    /// What the header `watermark` of records says, where the plan asks.
    pub marks: Vec<HeaderMark>,
    /// Original bytes of the rows, when the plan asks for them.
    pub raw: Option<BinaryViewArray>,
    /// Bad records in between, in order.
    pub bad: Vec<BadRecord>,
    /// Values rounded to a declared scale.
    pub rounded: u64,
    /// Framed records without a value.
    pub null_values: u64,
    /// How the slab was left.
    pub state: SlabState,
}

/// What the header `watermark` of one record says. Records that are no rows have a say, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMark {
    /// Rows of the batch up to and including the record.
    pub rows: u32,
    /// The record.
    pub offset: i64,
    /// Nanoseconds, or the text that is no time.
    pub time: Result<i64, Box<str>>,
}

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its number in the partition.
    pub offset: i64,
    /// Its byte position in the stream.
    pub position: Option<u64>,
    /// What is wrong with it.
    pub error: RecordError,
    /// Its bytes, shortened to 64 KiB if it was too long to keep.
    pub bytes: Vec<u8>,
    /// Its length if `bytes` was shortened.
    pub full_length: Option<u64>,
}

/// How a call left its slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlabState {
    /// There is more to decode in it.
    More,
    /// No whole record is left in it.
    NeedSlab {
        /// Bytes used; the next slab begins behind them.
        consumed: usize,
        /// Nothing was used: the next slab must be larger.
        grow: bool,
    },
    /// The stream was read to its end.
    Ended,
}

/// An error found while decoding.
pub(super) fn record_error(code: ErrorCode, message: String) -> RecordError {
    RecordError { code, stage: Stage::Deserialize, message: message.into(), span: None }
}

#[derive(Debug)]
enum Tokeniser {
    Csv(CsvTokeniser),
    Json(JsonTokeniser, JsonTokeniser),
    /// The whole record is the only column, if that is read: text through a column builder, bytes as they are.
    Raw(RawKind),
}

/// Decoder of one partition.
#[derive(Debug)]
pub struct Decoder {
    tokeniser: Tokeniser,
    columns: Vec<ColumnBuilder>,
    /// The only column is the records' bytes.
    whole: bool,
    /// Columns of what stands beside the records' values.
    beside: Beside,
    /// A record without a value is a bad one.
    null_is_bad: bool,
    /// Event times come from the records' headers.
    header_times: bool,
    /// Watermarks do.
    header_marks: bool,
    block: Block,
    grammar: Grammar,
    quote: u8,
    needs_raw: bool,
    max_record: usize,
    next_offset: i64,
    position: u64,
    long: Option<LongRecord>,
    /// Rows of the batch under way.
    rows: Vec<Record>,
    /// Faults of the block under way, with the column each was found in.
    faults: Vec<(Fault, usize)>,
    column_faults: Vec<Fault>,
}

impl Decoder {
    /// A decoder at the start of a partition of `source`.
    pub fn new(source: &SourcePlan) -> Decoder {
        let (tokeniser, grammar, quote) = match &source.format {
            Format::Csv { delimiter, quote, header, skip_lines } => {
                let dialect = Dialect { delimiter: *delimiter, quote: *quote };
                let csv = CsvTokeniser::new(source, dialect, *header, *skip_lines);
                (Tokeniser::Csv(csv), Grammar::Csv, *quote)
            }
            Format::Raw(kind) => (Tokeniser::Raw(*kind), Grammar::Json, b'"'),
            Format::JsonLines => {
                let json = |lines| JsonTokeniser::new(source.decoded(), lines);
                (Tokeniser::Json(json(true), json(false)), Grammar::Json, b'"')
            }
        };
        let whole = source.format == Format::Raw(RawKind::Bytes);
        let built = if whole { &[] } else { source.decoded() };
        Decoder {
            tokeniser,
            columns: built.iter().map(ColumnBuilder::new).collect(),
            whole: whole && !source.decoded().is_empty(),
            beside: Beside::new(source),
            null_is_bad: source.null_value_is_bad(),
            header_times: source.event_time.as_ref().is_some_and(|t| t.field == TimeField::Header),
            header_marks: source.event_time.as_ref().is_some_and(|t| t.rule == WatermarkRule::Header),
            block: Block::new(built.len()),
            grammar,
            quote,
            needs_raw: source.needs_raw,
            max_record: source.max_record_bytes.min(MAX_FIELD - 1),
            next_offset: 0,
            position: 0,
            long: None,
            rows: Vec::new(),
            faults: Vec::new(),
            column_faults: Vec::new(),
        }
    }

    /// Number of the next record, from 0; of one that is too long and still passes by, its own.
    pub fn next_offset(&self) -> i64 {
        self.long.as_ref().map_or(self.next_offset, LongRecord::offset)
    }

    /// Byte position in the stream behind the last record that was used as a whole.
    pub fn position(&self) -> u64 {
        self.long.as_ref().map_or(self.position, LongRecord::position)
    }

    /// Reads only the header of a CSV stream that begins with `head`, for a decoder that is about to resume behind it.
    /// Answers FALSE when `head` does not hold all of it. Formats and sources without a header need none.
    pub fn read_head(&mut self, head: &[u8]) -> bool {
        let mut feed = self.feed(head, false);
        let ready = skip_mark(&mut feed);
        match &mut self.tokeniser {
            Tokeniser::Csv(csv) => ready && csv.read_head(&mut feed),
            Tokeniser::Json(..) | Tokeniser::Raw(_) => true,
        }
    }

    /// A feed at the first of `bytes`, which begin the stream.
    fn feed<'a>(&self, bytes: &'a [u8], at_end: bool) -> Feed<'a> {
        Feed {
            bytes,
            valid: false,
            at_end,
            base: 0,
            at: 0,
            next_offset: self.next_offset,
            room: 0,
            max_record: self.max_record,
            long: None,
        }
    }

    /// Goes on at record `next_offset` of a partition, which begins at byte `position`; the next slab begins with it.
    /// Behind position 0, lines to skip and the header lie before it: columns stand as the header given to
    /// [`Decoder::read_head`] says, else in the order of the source's schema.
    pub fn resume_at(&mut self, next_offset: i64, position: u64) {
        self.next_offset = next_offset;
        self.position = position;
        self.long = None;
        if let Tokeniser::Csv(csv) = &mut self.tokeniser
            && position > 0
        {
            csv.header_done();
        }
    }

    /// Decodes at most `max_rows` good records from the cursor, fewer at its end or where storage must change.
    pub fn decode(&mut self, cursor: &mut SlabCursor, max_rows: usize) -> Decoded {
        let first = cursor.at;
        // Wide records make short batches.
        let max_rows = max_rows.min(CELLS_MAX / self.columns.len().max(1)).max(1);
        self.open(cursor, max_rows);
        let mut bad = Vec::new();
        let mut state = SlabState::More;
        while self.rows.len() < max_rows {
            self.block.clear();
            let room = (max_rows - self.rows.len()).min(BLOCK_ROWS);
            let next = self.fill(cursor, room, &mut bad);
            if let Some(record) = self.append(cursor, &mut bad) {
                self.rewind(cursor, first, record, &mut bad);
                break;
            }
            if next != SlabState::More {
                state = next;
                break;
            }
        }
        if let Framing::Stream { position, .. } = &cursor.kind {
            self.position = position + cursor.at as u64;
        }
        bad.sort_by_key(|b| b.offset);
        self.finish(cursor, first, bad, state)
    }

    /// Starts a batch with room for the rows that can still come.
    fn open(&mut self, cursor: &SlabCursor, max_rows: usize) {
        let left = match &cursor.kind {
            Framing::Stream { .. } => (cursor.slab.bytes().len() - cursor.at) / 2 + 1,
            Framing::Records(records) => records.len() - cursor.at,
        };
        let rows = left.min(max_rows);
        self.rows.clear();
        self.columns.iter_mut().for_each(|c| c.open(rows, &cursor.slab));
    }

    /// Fills the block with the next records.
    fn fill(&mut self, cursor: &mut SlabCursor, room: usize, bad: &mut Vec<BadRecord>) -> SlabState {
        let bytes = cursor.slab.bytes();
        match &cursor.kind {
            Framing::Records(records) => {
                cursor.at = self.fill_framed(bytes, cursor.slab.is_valid(), records, cursor.at, room, bad);
                match cursor.at < records.len() {
                    true => SlabState::More,
                    false => SlabState::NeedSlab { consumed: bytes.len(), grow: false },
                }
            }
            Framing::Stream { at_end, position } => {
                let long = self.long.take();
                let (valid, base) = (cursor.slab.is_valid(), *position);
                let mut feed = Feed { at: cursor.at, room, long, valid, base, ..self.feed(bytes, *at_end) };
                let step = match skip_mark(&mut feed) {
                    false => feed.dry(),
                    true => match &mut self.tokeniser {
                        Tokeniser::Csv(csv) => csv.fill(&mut feed, &mut self.block, bad),
                        Tokeniser::Json(json, _) => json.fill(&mut feed, &mut self.block, bad),
                        Tokeniser::Raw(_) => unreachable!("the plan reads raw records from topics only"),
                    },
                };
                let state = feed.state(step);
                self.next_offset = feed.next_offset;
                self.long = feed.long;
                cursor.at = feed.at;
                state
            }
        }
    }

    /// Fills the block from framed records; answers the place of the next one.
    fn fill_framed(
        &mut self,
        bytes: &[u8],
        valid: bool,
        records: &[RecordRef],
        from: usize,
        room: usize,
        bad: &mut Vec<BadRecord>,
    ) -> usize {
        let mut at = from;
        while at < records.len() && self.block.rows() < room {
            let RecordRef { offset, timestamp_ms, key, value, .. } = records[at];
            at += 1;
            self.next_offset = offset + 1;
            let Some((start, end)) = value else {
                if self.beside.keeps_tombstones() && self.beside.takes(bytes, key) {
                    self.block.blank();
                    self.block.end_row(Record { start: 0, end: 0, offset, timestamp_ms, is_tombstone: true });
                } else if self.null_is_bad {
                    let error = record_error(ErrorCode::Malformed, "the record has no value".to_owned());
                    bad.push(BadRecord { offset, position: None, error, bytes: Vec::new(), full_length: None });
                }
                continue;
            };
            let (start, end) = (start as usize, end as usize);
            let record = Record { start, end, offset, timestamp_ms, is_tombstone: false };
            if record.end - record.start > self.max_record {
                let mut long = LongRecord::new(offset, 0);
                long.pass(&bytes[record.start..record.end]);
                bad.push(long.finish(true, self.max_record));
                continue;
            }
            let taken = match &mut self.tokeniser {
                _ if !self.beside.takes(bytes, key) => {
                    Err(record_error(ErrorCode::InvalidUtf8, "the record's key is not valid UTF-8".to_owned()))
                }
                Tokeniser::Csv(csv) => csv.framed(bytes, record, &mut self.block),
                Tokeniser::Json(_, json) => json.framed(bytes, valid, record, &mut self.block),
                Tokeniser::Raw(RawKind::Text) if !valid && !is_utf8(&bytes[record.start..record.end]) => {
                    Err(record_error(ErrorCode::InvalidUtf8, "the record is not valid UTF-8".to_owned()))
                }
                Tokeniser::Raw(_) => {
                    if !self.columns.is_empty() {
                        self.block.set(0, Cell::new(Kind::Plain, record.start, record.end));
                    }
                    Ok(())
                }
            };
            match taken {
                Ok(()) => self.block.end_row(record),
                Err(error) => bad.push(BadRecord {
                    offset,
                    position: None,
                    error,
                    bytes: bytes[record.start..record.end].to_vec(),
                    full_length: None,
                }),
            }
        }
        at
    }

    /// Feeds the block to the columns. Answers the record in front of which the batch has to be cut.
    fn append(&mut self, cursor: &SlabCursor, bad: &mut Vec<BadRecord>) -> Option<Record> {
        let from = self.rows.len();
        let mut cut = None;
        loop {
            let limit = self.feed_columns(cursor);
            if limit == self.block.rows() && self.faults.is_empty() {
                break;
            }
            cut = self.block.records().get(limit).copied().or(cut);
            self.report(cursor, limit, bad);
            let faults = &self.faults;
            self.block.retain(limit, |row| !faults.iter().any(|(f, _)| f.row == row));
            self.columns.iter_mut().for_each(|c| c.truncate(from));
        }
        self.rows.extend_from_slice(self.block.records());
        cut
    }

    /// One pass of all columns over the block; answers how many rows the batch can hold.
    fn feed_columns(&mut self, cursor: &SlabCursor) -> usize {
        let source = Source { bytes: cursor.slab.bytes(), grammar: self.grammar, quote: self.quote };
        let mut limit = self.block.rows();
        self.faults.clear();
        for (i, column) in self.columns.iter_mut().enumerate() {
            let cut = column.append(source, self.block.column(i), &mut self.column_faults);
            limit = limit.min(cut.unwrap_or(limit));
            // A record without a value may leave out what others may not.
            let is_fault = |f: &Fault| !self.block.records()[f.row].is_tombstone;
            self.faults.extend(self.column_faults.drain(..).filter(is_fault).map(|f| (f, i)));
        }
        limit
    }

    /// Turns the faults of rows below `limit` into bad records, one per row: its first in column order.
    fn report(&mut self, cursor: &SlabCursor, limit: usize, bad: &mut Vec<BadRecord>) {
        self.faults.sort_by_key(|(f, column)| (f.row, *column));
        self.faults.dedup_by_key(|(f, _)| f.row);
        self.faults.retain(|(f, _)| f.row < limit);
        let bytes = cursor.slab.bytes();
        let source = Source { bytes, grammar: self.grammar, quote: self.quote };
        for (fault, column) in &self.faults {
            let record = self.block.records()[fault.row];
            let cell = self.block.column(*column)[fault.row];
            let base = match &cursor.kind {
                Framing::Stream { position, .. } => Some(position + record.start as u64),
                Framing::Records(_) => None,
            };
            bad.push(BadRecord {
                offset: record.offset,
                position: base,
                error: fault_error(&self.columns[*column], cell, fault.code, source),
                bytes: bytes[record.start..record.end].to_vec(),
                full_length: None,
            });
        }
    }

    /// Steps back to `record`, which the next batch begins with.
    fn rewind(&mut self, cursor: &mut SlabCursor, first: usize, record: Record, bad: &mut Vec<BadRecord>) {
        cursor.at = match &cursor.kind {
            Framing::Stream { .. } => record.start,
            Framing::Records(records) => {
                first + records[first..].iter().position(|r| r.offset == record.offset).unwrap_or(0)
            }
        };
        self.next_offset = record.offset;
        self.long = None;
        bad.retain(|b| b.offset < record.offset);
    }

    fn finish(&mut self, cursor: &SlabCursor, first: usize, bad: Vec<BadRecord>, state: SlabState) -> Decoded {
        let rounded = self.columns.iter().map(ColumnBuilder::rounded).sum();
        let mut columns: Vec<Column> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        if self.whole {
            columns.push(Column::Bytes(self.raw(cursor)));
        }
        let rows = self.rows.len();
        let begin = self.rows.first().map_or(self.next_offset, |r| r.offset);
        let gapless = self.rows.last().is_none_or(|r| r.offset - begin == rows as i64 - 1);
        let offsets = match gapless {
            true => Offsets::From(begin),
            false => Offsets::List(self.rows.iter().map(|r| r.offset).collect::<Vec<i64>>().into()),
        };
        let (timestamps, event_times, null_values) = match &cursor.kind {
            Framing::Stream { .. } => (None, None, 0),
            Framing::Records(records) => {
                let records = &records[first..cursor.at];
                let times: Vec<i64> = self.rows.iter().map(|r| r.timestamp_ms).collect();
                let nulls = if self.null_is_bad || self.beside.keeps_tombstones() {
                    0
                } else {
                    records.iter().filter(|r| r.value.is_none()).count()
                };
                let event_times = self.header_times.then(|| self.event_times(cursor.slab.bytes(), records).into());
                (Some(times.into()), event_times, nulls as u64)
            }
        };
        let records: &[RecordRef] = match &cursor.kind {
            Framing::Records(records) => &records[first..cursor.at],
            Framing::Stream { .. } => &[],
        };
        let marks = if self.header_marks { self.marks(cursor.slab.bytes(), records) } else { Vec::new() };
        self.beside.append(&self.rows, records, &cursor.slab, &mut columns);
        let raw = self.needs_raw.then(|| self.raw(cursor));
        Decoded { columns, rows, offsets, timestamps, event_times, marks, raw, bad, rounded, null_values, state }
    }

    /// Event times of the rows by their headers. Rows stand in the order of their records.
    fn event_times(&self, bytes: &[u8], records: &[RecordRef]) -> Vec<i64> {
        let mut records = records.iter();
        let time = |row: &Record| {
            let headers = records.by_ref().find(|r| r.offset == row.offset).and_then(|r| r.headers);
            let header = headers.and_then(|(start, end)| event_time_ns(bytes.get(start as usize..end as usize)?));
            // The ends of the range are marks of the watermark; the clock refuses them as event times.
            header.unwrap_or_else(|| row.timestamp_ms.checked_mul(NS_PER_MS).unwrap_or(i64::MIN))
        };
        self.rows.iter().map(time).collect()
    }

    /// What the header `watermark` of the records says.
    fn marks(&self, bytes: &[u8], records: &[RecordRef]) -> Vec<HeaderMark> {
        let mut rows = 0;
        let mark = |record: &RecordRef| {
            while self.rows.get(rows).is_some_and(|row| row.offset <= record.offset) {
                rows += 1;
            }
            let (start, end) = record.headers?;
            let said = watermark(bytes.get(start as usize..end as usize)?)?;
            let time = std::str::from_utf8(said).ok().and_then(|text| parse_instant(text.trim()));
            // The ends of the range are marks of their own.
            let time = time.filter(|t| *t > i64::MIN && *t < i64::MAX);
            let time = time.ok_or_else(|| String::from_utf8_lossy(said).chars().take(SHOWN_CHARS).collect());
            Some(HeaderMark { rows: rows as u32, offset: record.offset, time })
        };
        records.iter().filter_map(mark).collect()
    }

    /// The rows' original bytes as views into the slab.
    fn raw(&self, cursor: &SlabCursor) -> BinaryViewArray {
        let mut views = BinaryViewBuilder::with_capacity(self.rows.len());
        let block = views.append_block(cursor.slab.buffer().clone());
        for record in &self.rows {
            let appended = views.try_append_view(block, record.start as u32, (record.end - record.start) as u32);
            debug_assert!(appended.is_ok(), "records lie inside their slab");
            if appended.is_err() {
                views.append_null();
            }
        }
        views.finish()
    }
}

/// Steps over a byte order mark. Answers FALSE when the slab is too short to tell.
fn skip_mark(feed: &mut Feed<'_>) -> bool {
    if feed.base + feed.at as u64 != 0 {
        return true;
    }
    if feed.bytes.starts_with(BYTE_ORDER_MARK) {
        feed.at = BYTE_ORDER_MARK.len();
    }
    feed.at_end || feed.bytes.len() >= BYTE_ORDER_MARK.len() || !BYTE_ORDER_MARK.starts_with(feed.bytes)
}

/// The error of a field that does not fit its column.
fn fault_error(column: &ColumnBuilder, cell: Cell, code: ErrorCode, source: Source<'_>) -> RecordError {
    let (plan, bytes) = (column.plan(), source.bytes);
    let inside = if code == ErrorCode::WrongType { column.misfit(source, cell) } else { None };
    if let Some(inside) = inside {
        return record_error(code, format!("column \"{}\"{inside}", plan.name));
    }
    let message = match code {
        ErrorCode::NullInNotNull => format!("column \"{}\" is NOT NULL and has no value", plan.name),
        ErrorCode::Malformed => format!("column \"{}\": an escape stands for no character", plan.name),
        ErrorCode::InvalidUtf8 => format!("column \"{}\" is not valid UTF-8", plan.name),
        _ => {
            let text = String::from_utf8_lossy(&cell.of(bytes)[..(cell.end() - cell.start()).min(KEPT_BYTES)]);
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            let rest = if shown.len() < text.len() { "…" } else { "" };
            format!("column \"{}\": `{shown}{rest}` does not fit {}", plan.name, plan.data_type)
        }
    };
    record_error(code, message)
}
