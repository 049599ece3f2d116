//! Columns of floats, booleans, times and raw bytes.

use arrow_array::builder::BinaryViewBuilder;
use arrow_array::{BooleanArray, Date32Array};
use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder};
use velostream_types::time::{self, NS_PER_DAY, NS_PER_MS};
use velostream_types::{Column, DataType, Utf8Slab};

use super::slots::{Slots, rows_in};
use super::{Builder, Refusal, Source, WRONG_TYPE};
use crate::format::cells::{Cell, Kind};
use crate::format::number::{Shape, fixed, float, short_float};
use velostream_functions::base64;

/// Builder of 64-bit floats.
#[derive(Debug, Default)]
pub(super) struct Floats {
    slots: Slots<f64>,
    /// Digits behind the point of the last number with at most 8.
    scale: u8,
}

impl Builder for Floats {
    rows_in!(slots);

    fn take_run(&mut self, source: Source<'_>, cells: &[Cell]) -> usize {
        let before = self.slots.values.len();
        for cell in cells {
            if !matches!(cell.kind(), Kind::Number | Kind::Plain) {
                break;
            }
            let mantissa = fixed(source.bytes, cell.start(), cell.end(), self.scale);
            let Some(x) = mantissa.and_then(|m| short_float(m, self.scale)) else { break };
            self.slots.values.push(x);
        }
        let taken = self.slots.values.len() - before;
        self.slots.nulls.append_n_non_nulls(taken);
        taken
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        let token = source.number(cell).ok_or(WRONG_TYPE)?;
        let x = float(token, source.grammar).ok_or(WRONG_TYPE)?;
        if let Some(point) = token.iter().position(|b| *b == b'.') {
            self.scale = (token.len() - point - 1).min(8) as u8;
        } else {
            self.scale = 0;
        }
        self.slots.push(x);
        Ok(())
    }

    fn finish(&mut self) -> Column {
        let (values, nulls) = self.slots.finish();
        Column::floats(values, nulls)
    }
}

/// Builder of booleans.
#[derive(Debug)]
pub(super) struct Booleans {
    bits: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
    /// Only `true` and `false` count; a declared CSV column also takes `t`, `f`, `1` and `0`.
    strict: bool,
}

impl Booleans {
    pub(super) fn new(strict: bool) -> Booleans {
        Booleans { bits: BooleanBufferBuilder::new(0), nulls: NullBufferBuilder::new(0), strict }
    }

    fn word(&self, text: &[u8]) -> Option<bool> {
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("true") || (!self.strict && (is("t") || is("1"))) {
            Some(true)
        } else if is("false") || (!self.strict && (is("f") || is("0"))) {
            Some(false)
        } else {
            None
        }
    }
}

impl Builder for Booleans {
    fn open(&mut self, rows: usize, _: &Utf8Slab) {
        self.bits.reserve(rows);
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        let value = match cell.kind() {
            Kind::True => true,
            Kind::False => false,
            Kind::Plain | Kind::Text => {
                let (start, end) = source.trimmed(cell);
                let quoted_json = source.grammar == crate::format::number::Grammar::Json;
                self.word(&source.bytes[start..end]).filter(|_| !quoted_json).ok_or(WRONG_TYPE)?
            }
            _ => return Err(WRONG_TYPE),
        };
        self.bits.append(value);
        self.nulls.append_non_null();
        Ok(())
    }

    fn take_null(&mut self) {
        self.bits.append(false);
        self.nulls.append_null();
    }

    fn len(&self) -> usize {
        self.bits.len()
    }

    fn truncate(&mut self, len: usize) {
        self.bits.truncate(len);
        self.nulls.truncate(len);
    }

    fn finish(&mut self) -> Column {
        Column::Bool(BooleanArray::new(self.bits.finish(), self.nulls.finish()))
    }
}

/// Which kind of time a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clockwork {
    Timestamp,
    Date,
    TimeOfDay,
    Interval,
}

/// Builder of timestamps, dates, times of day and intervals: their text, or a whole number of milliseconds.
#[derive(Debug)]
pub(super) struct Times {
    kind: Clockwork,
    /// Nanoseconds; days for dates.
    slots: Slots<i64>,
}

impl Times {
    pub(super) fn new(ty: &DataType) -> Times {
        let kind = match ty {
            DataType::Date => Clockwork::Date,
            DataType::Time => Clockwork::TimeOfDay,
            DataType::Interval => Clockwork::Interval,
            _ => Clockwork::Timestamp,
        };
        Times { kind, slots: Slots::default() }
    }

    fn of_millis(&self, ms: i64) -> Option<i64> {
        match self.kind {
            Clockwork::Timestamp | Clockwork::Interval => ms.checked_mul(NS_PER_MS),
            Clockwork::Date => Some(ms.div_euclid(NS_PER_DAY / NS_PER_MS)).filter(|d| i32::try_from(*d).is_ok()),
            Clockwork::TimeOfDay => (0..NS_PER_DAY / NS_PER_MS).contains(&ms).then(|| ms * NS_PER_MS),
        }
    }

    fn of_text(&self, text: &str) -> Option<i64> {
        match self.kind {
            Clockwork::Timestamp => time::parse_timestamp(text),
            Clockwork::Date => time::parse_date(text).map(i64::from),
            Clockwork::TimeOfDay => {
                let on_day_zero = ["1970-01-01 ", text].concat();
                time::parse_timestamp(&on_day_zero).filter(|t| (0..NS_PER_DAY).contains(t))
            }
            Clockwork::Interval => velostream_functions::read::interval(text),
        }
    }
}

impl Builder for Times {
    rows_in!(slots);

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        let millis = match cell.kind() {
            Kind::Number | Kind::Plain => fixed(source.bytes, cell.start(), cell.end(), 0).or_else(|| {
                let shape = Shape::of(source.number(cell)?, source.grammar).filter(Shape::is_integer)?;
                i64::try_from(shape.exact()?.0).ok()
            }),
            _ => None,
        };
        let value = match (millis, cell.kind()) {
            (Some(ms), _) => self.of_millis(ms),
            (None, Kind::Plain | Kind::Text | Kind::Escaped) => {
                source.text(cell).and_then(|t| self.of_text(t.trim_matches([' ', '\t'])))
            }
            _ => None,
        };
        self.slots.push(value.ok_or(WRONG_TYPE)?);
        Ok(())
    }

    fn finish(&mut self) -> Column {
        let (values, nulls) = self.slots.finish();
        match self.kind {
            Clockwork::Timestamp => Column::timestamps(values, nulls),
            // Both sources of a date stay within 32 bits.
            Clockwork::Date => {
                let days: Vec<i32> = values.into_iter().map(|d| d as i32).collect();
                Column::Date(Date32Array::new(days.into(), nulls))
            }
            Clockwork::TimeOfDay | Clockwork::Interval => Column::ints(values, nulls),
        }
    }
}

/// Builder of raw bytes, which both formats carry as base64 text.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    values: Vec<Option<Vec<u8>>>,
}

impl Builder for Blobs {
    fn open(&mut self, rows: usize, _: &Utf8Slab) {
        self.values.reserve(rows);
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        if !matches!(cell.kind(), Kind::Plain | Kind::Text | Kind::Escaped) {
            return Err(WRONG_TYPE);
        }
        let text = source.text(cell).ok_or(WRONG_TYPE)?;
        self.values.push(Some(base64::decode(text.as_bytes()).ok_or(WRONG_TYPE)?));
        Ok(())
    }

    fn take_null(&mut self) {
        self.values.push(None);
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    fn finish(&mut self) -> Column {
        let mut builder = BinaryViewBuilder::with_capacity(self.values.len());
        self.values.drain(..).for_each(|v| builder.append_option(v));
        Column::Bytes(builder.finish())
    }
}
