//! Columns to bytes, row by row, for every sink format.
//!
//! Runs in the Sink node on the shard that has the rows; the writer appends the bytes as they are. Where the plan passes
//! records through, [`append_records`] takes their own bytes instead. Formats:
//! - JSON lines: one object per row, columns in output order, NULL written as `null`.
//! - CSV: one record per row; NULL is an empty field, the empty string is `""`; quoted where needed.
//! - Raw: the only column's bytes, nothing around them; NULL is a record without a value.
//! - Table: one JSON array per row, `["AAPL",3,null]`: text in quotes, numbers and words bare, NULL as `null`; the
//!   writer computes widths from it, aligns bare values right and shows the text of quoted ones.
//!
//! What a value looks like: declared decimals at their scale, inferred ones at their deploy scale or as many more
//! digits as they need; number tokens byte for byte where the target's grammar allows them; NaN and infinities are
//! NULL and counted. Per batch each column is resolved to its array once; the row loop only matches on its kind.

mod column;
mod key;
mod text;

use arrow_array::Array;
use arrow_array::BinaryViewArray;
use velostream_sql::plan::SinkFormat;
use velostream_types::{Batch, Chunk, Column, Schema};

use self::column::{Style, Values, resolve};
pub use self::key::KeyEncoder;
use self::text::Prefix;
pub(super) use self::text::Text;

/// Name of the field that marks a delete in upsert sinks.
const DELETED: &str = "__deleted";

/// Which characters stand around the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Object,
    Array,
    Csv { delimiter: u8, header: bool },
    Raw,
}

/// Encoder of one sink on one shard.
#[derive(Debug)]
pub struct Encoder {
    frame: Frame,
    schema: Schema,
    /// What stands in front of each column's value.
    prefixes: Vec<Prefix>,
    /// What stands behind the last value.
    tail: Prefix,
    upsert: bool,
    text: Text,
    /// Bytes of the longest row so far, to size the next chunk.
    row_bytes: usize,
    /// Empty; keeps the memory of the last batch's resolved columns.
    values: Vec<Values<'static>>,
}

impl Encoder {
    /// An encoder of append-only rows.
    pub fn new(format: SinkFormat, schema: &Schema) -> Encoder {
        let frame = match format {
            SinkFormat::JsonLines => Frame::Object,
            SinkFormat::Csv { delimiter, header } => Frame::Csv { delimiter, header },
            SinkFormat::Table => Frame::Array,
            SinkFormat::Raw(_) => Frame::Raw,
        };
        let prefixes = (0..schema.len()).map(|i| prefix(frame, i, &schema.fields[i].name)).collect();
        Encoder {
            frame,
            schema: schema.clone(),
            prefixes,
            tail: tail(frame, schema.is_empty(), false),
            upsert: false,
            text: Text::default(),
            row_bytes: 0,
            values: Vec::new(),
        }
    }

    /// An encoder of upserts and deletes: CSV rows have one more column, `__deleted`, TRUE or FALSE.
    pub fn new_upsert(format: SinkFormat, schema: &Schema) -> Encoder {
        let encoder = Encoder::new(format, schema);
        Encoder { upsert: true, tail: tail(encoder.frame, schema.is_empty(), true), ..encoder }
    }

    /// The CSV header line; `None` for other formats or when no header is asked for.
    pub fn header(&self) -> Option<Vec<u8>> {
        let Frame::Csv { delimiter, header: true } = self.frame else { return None };
        let mut text = Text::default();
        let names = self.schema.fields.iter().map(|f| f.name.as_str()).chain(self.upsert.then_some(DELETED));
        for (i, name) in names.enumerate() {
            if i > 0 {
                text.byte(delimiter);
            }
            text.csv_text(name.as_bytes(), delimiter);
        }
        text.byte(b'\n');
        Some(text.take())
    }

    /// Appends every row of the batch to the chunk. Values that are no finite float are counted in `not_finite`.
    pub fn encode(&mut self, batch: &Batch, chunk: &mut Chunk, not_finite: &mut u64) {
        self.rows(batch, 0..batch.rows, chunk, not_finite);
    }

    /// Appends one row.
    pub fn encode_one(&mut self, batch: &Batch, row: usize, chunk: &mut Chunk, not_finite: &mut u64) {
        self.rows(batch, row..row + 1, chunk, not_finite);
    }

    /// Appends the delete of the row with this key: `{key columns…,"__deleted":true}`, in CSV a row with only the
    /// key columns and `__deleted`.
    pub fn encode_delete(&mut self, batch: &Batch, row: usize, key: &[usize], chunk: &mut Chunk) {
        let columns = self.resolved(batch);
        let (frame, upsert) = (self.frame, self.upsert);
        let text = &mut self.text;
        text.behind(std::mem::take(&mut chunk.bytes), 0);
        let mut not_finite = 0;
        let mut first = true;
        for (i, column) in columns.iter().enumerate() {
            match (frame, key.contains(&i)) {
                (Frame::Object, false) => continue,
                (Frame::Object, true) if first => text.prefix(&prefix(frame, 0, &self.schema.fields[i].name)),
                (Frame::Object, true) => text.prefix(&prefix(frame, 1, &self.schema.fields[i].name)),
                _ => text.prefix(&self.prefixes[i]),
            }
            first = false;
            match key.contains(&i) {
                true => column.put(row, text, &mut not_finite),
                false => column.put_null(text),
            }
        }
        match frame {
            Frame::Object if first => text.bytes(b"{\"__deleted\":true}\n"),
            Frame::Object => text.bytes(b",\"__deleted\":true}\n"),
            Frame::Array => text.bytes(b",true]\n"),
            Frame::Csv { delimiter, .. } if upsert => {
                text.byte(delimiter);
                text.bytes(b"true\n");
            }
            Frame::Csv { .. } => text.byte(b'\n'),
            Frame::Raw => {}
        }
        chunk.bytes = text.take();
        chunk.end_row();
    }

    fn resolved<'a>(&mut self, batch: &'a Batch) -> Vec<Values<'a>> {
        let style = match self.frame {
            Frame::Csv { delimiter, .. } => Style::Csv(delimiter),
            Frame::Object | Frame::Array | Frame::Raw => Style::Json,
        };
        let mut values: Vec<Values<'a>> = std::mem::take(&mut self.values);
        values
            .extend(batch.columns.iter().zip(&self.schema.fields).map(|(column, field)| resolve(column, field, style)));
        values
    }

    /// The only column as it is; NULL is a record without a value.
    fn raw_rows(&self, batch: &Batch, rows: std::ops::Range<usize>, chunk: &mut Chunk) {
        chunk.framed = true;
        let Some(column) = batch.columns.first() else { return };
        for row in rows {
            match column {
                Column::Str(a) if a.is_valid(row) => chunk.bytes.extend_from_slice(a.value(row).as_bytes()),
                Column::Bytes(a) if a.is_valid(row) => chunk.bytes.extend_from_slice(a.value(row)),
                other => {
                    let value = other.value(row);
                    if value.is_null() {
                        chunk.deletes.resize(chunk.ends.len(), false);
                        chunk.deletes.push(true);
                    } else {
                        chunk.bytes.extend_from_slice(value.to_string().as_bytes());
                    }
                }
            }
            chunk.end_row();
        }
        if !chunk.deletes.is_empty() {
            chunk.deletes.resize(chunk.ends.len(), false);
        }
    }

    fn rows(&mut self, batch: &Batch, rows: std::ops::Range<usize>, chunk: &mut Chunk, not_finite: &mut u64) {
        if self.frame == Frame::Raw {
            return self.raw_rows(batch, rows, chunk);
        }
        let columns = self.resolved(batch);
        chunk.ends.reserve(rows.len());
        let text = &mut self.text;
        text.behind(std::mem::take(&mut chunk.bytes), rows.len() * self.row_bytes);
        for row in rows {
            let start = text.len();
            for (column, prefix) in columns.iter().zip(&self.prefixes) {
                text.prefix(prefix);
                column.put(row, text, not_finite);
            }
            text.prefix(&self.tail);
            chunk.ends.push(text.len() as u32);
            self.row_bytes = self.row_bytes.max((text.len() - start).min(1024));
        }
        chunk.bytes = text.take();
        self.values = emptied(columns);
    }
}

/// The memory of a list whose items borrow from a batch, for the columns of the next one.
fn emptied(mut values: Vec<Values<'_>>) -> Vec<Values<'static>> {
    values.clear();
    values.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

/// What stands behind the last value of a row.
fn tail(frame: Frame, no_columns: bool, upsert: bool) -> Prefix {
    match frame {
        Frame::Object if no_columns => Prefix::new(b"{}\n"),
        Frame::Object => Prefix::new(b"}\n"),
        Frame::Array if no_columns => Prefix::new(b"[]\n"),
        Frame::Array => Prefix::new(b"]\n"),
        Frame::Csv { delimiter, .. } if upsert => Prefix::new(&[delimiter, b'f', b'a', b'l', b's', b'e', b'\n']),
        Frame::Csv { .. } => Prefix::new(b"\n"),
        Frame::Raw => Prefix::new(b""),
    }
}

/// Appends records as they came, each with a line feed in place of the terminator it had.
pub fn append_records(records: &BinaryViewArray, chunk: &mut Chunk) {
    let bytes: usize = records.lengths().map(|length| length as usize + 1).sum();
    chunk.bytes.reserve(bytes);
    for record in records.iter() {
        chunk.bytes.extend_from_slice(record.unwrap_or_default());
        chunk.bytes.push(b'\n');
        chunk.end_row();
    }
}

/// What stands in front of the value of column `i`.
fn prefix(frame: Frame, i: usize, name: &str) -> Prefix {
    let mut text = Text::default();
    match frame {
        Frame::Csv { delimiter, .. } if i > 0 => text.byte(delimiter),
        Frame::Csv { .. } | Frame::Raw => {}
        Frame::Array => text.byte(if i == 0 { b'[' } else { b',' }),
        Frame::Object => {
            text.byte(if i == 0 { b'{' } else { b',' });
            text.json_string(name.as_bytes());
            text.byte(b':');
        }
    }
    Prefix::new(&text.take())
}

#[cfg(test)]
mod tests;
