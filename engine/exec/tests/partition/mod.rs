//! A partition reader for the format tests: gives the decoder slabs of a chosen size and collects all it answers.
#![allow(dead_code, reason = "each suite needs its part of it")]

use std::path::PathBuf;
use std::sync::Arc;

use arrow_buffer::Buffer;
use velostream_exec::format::{BadRecord, Decoder, SlabCursor, SlabState};
use velostream_sql::plan::{Format, Repr, ScanColumn, SourceConnector, SourcePlan};
use velostream_types::{DlqId, Field, RecordRef, Schema, Slab, SlabKind, Value};

pub const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };
pub const BARE_CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: false, skip_lines: 0 };

/// A source of these columns, all of them read.
pub fn source(format: &Format, fields: Vec<Field>) -> SourcePlan {
    let read = fields
        .iter()
        .map(|f| ScanColumn {
            name: f.name.clone(),
            data_type: f.data_type.clone(),
            inferred: f.inferred,
            repr: Repr::Value,
            not_null: !f.nullable,
        })
        .collect();
    SourcePlan {
        name: "test".into(),
        connector: SourceConnector::File {
            pattern: PathBuf::new(),
            sequential: false,
            watch: false,
            poll_interval_ms: 0,
        },
        format: format.clone(),
        schema: Arc::new(Schema::new(fields)),
        declared: true,
        read,
        event_time: None,
        table_key: None,
        needs_raw: true,
        max_record_bytes: 16 << 20,
        max_records: None,
        dlq: DlqId(0),
        load: Default::default(),
    }
}

/// Everything a partition gave.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// Record number, original bytes, values.
    pub rows: Vec<(i64, Vec<u8>, Vec<Value>)>,
    pub bad: Vec<BadRecord>,
    pub rounded: u64,
    pub null_values: u64,
    pub next_offset: i64,
}

impl Outcome {
    fn take(&mut self, decoder: &mut Decoder, cursor: &mut SlabCursor, max_rows: usize) -> SlabState {
        let got = decoder.decode(cursor, max_rows);
        assert!(got.rows <= max_rows && got.columns.iter().all(|c| c.len() == got.rows));
        let raw = got.raw.expect("asked for");
        for row in 0..got.rows {
            let values = got.columns.iter().map(|c| canonical(c.value(row))).collect();
            self.rows.push((got.offsets.at(row), raw.value(row).to_vec(), values));
        }
        self.bad.extend(got.bad);
        self.rounded += got.rounded;
        self.null_values += got.null_values;
        self.next_offset = decoder.next_offset();
        got.state
    }

    /// Values of the rows alone.
    pub fn values(&self) -> Vec<Vec<Value>> {
        self.rows.iter().map(|(_, _, values)| values.clone()).collect()
    }
}

/// Equal numbers as equal values, whatever their storage.
pub fn canonical(value: Value) -> Value {
    let (mut mantissa, mut scale) = match value {
        Value::Int(i) => (i128::from(i), 0),
        Value::Decimal { mantissa, scale } => (mantissa, scale),
        other => return other,
    };
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Value::Decimal { mantissa, scale }
}

/// Reads a byte stream in slabs of `slab` bytes, growing them when asked, in batches of `max_rows`.
pub fn read(plan: &SourcePlan, bytes: &[u8], slab: usize, max_rows: usize) -> Outcome {
    let data = Buffer::from_slice_ref(bytes);
    let (mut decoder, mut outcome) = (Decoder::new(plan), Outcome::default());
    let (mut position, mut size) = (0, slab);
    loop {
        let length = size.min(data.len() - position);
        let at_end = position + length == data.len();
        let kind = SlabKind::Stream { at_end, position: position as u64 };
        let mut cursor = SlabCursor::new(Slab { bytes: data.slice_with_length(position, length), kind });
        loop {
            match outcome.take(&mut decoder, &mut cursor, max_rows) {
                SlabState::More => {}
                SlabState::NeedSlab { consumed, grow } => {
                    assert!(!at_end, "the whole stream was there");
                    assert_eq!(grow, consumed == 0);
                    position += consumed;
                    // A record that is too long and passes by is not behind the decoder until it ended.
                    assert!(decoder.position() <= position as u64);
                    size = if grow { size * 2 } else { slab };
                    break;
                }
                SlabState::Ended => return outcome,
            }
        }
    }
}

/// Reads framed records.
pub fn read_framed(plan: &SourcePlan, values: &[Option<Vec<u8>>], max_rows: usize) -> Outcome {
    let (mut bytes, mut records) = (vec![0xff], Vec::new());
    for (i, value) in values.iter().enumerate() {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        let value = value.as_ref().map(|_| (start, bytes.len() as u32));
        records.push(RecordRef { offset: 3 * i as i64, timestamp_ms: i as i64, key: None, value, headers: None });
    }
    let slab = Slab { bytes: Buffer::from_vec(bytes), kind: SlabKind::Records(records) };
    let (mut decoder, mut outcome) = (Decoder::new(plan), Outcome::default());
    let mut cursor = SlabCursor::new(slab);
    while outcome.take(&mut decoder, &mut cursor, max_rows) == SlabState::More {}
    outcome
}
