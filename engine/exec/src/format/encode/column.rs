//! One column of a batch, resolved for the row loop of the encoder.

use arrow_array::{Array, BinaryViewArray, BooleanArray, StringViewArray};
use arrow_buffer::NullBuffer;
use velostream_types::{Column, DataType, Field, decimal, time};

use super::text::Text;
use crate::format::number::{Grammar, Shape, fixed, float};
use velostream_functions::base64;

/// Longest text a string view holds itself.
const INLINE: usize = 12;

/// Family of the target format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    /// With this delimiter.
    Csv(u8),
}

/// What the text of a text column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextKind {
    Text,
    /// A number as it was written.
    Token,
    /// JSON of an object or array.
    Json,
}

/// The arrays behind a column.
#[derive(Debug)]
enum Data<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int(&'a [i64]),
    Float(&'a [f64]),
    /// Mantissas, their scale, and the fewest digits behind the point that are printed.
    Dec64(&'a [i64], u8, u8),
    Dec128(&'a [i128], u8, u8),
    Str(&'a StringViewArray, TextKind),
    Bytes(&'a BinaryViewArray),
    Timestamp(&'a [i64]),
    Date(&'a [i32]),
    TimeOfDay(&'a [i64]),
    Interval(&'a [i64]),
}

/// One column ready to print.
#[derive(Debug)]
pub(super) struct Values<'a> {
    data: Data<'a>,
    nulls: Option<&'a NullBuffer>,
    style: Style,
}

/// Resolves a physical column under its logical type.
pub(super) fn resolve<'a>(column: &'a Column, field: &Field, style: Style) -> Values<'a> {
    let digits = field.data_type.exact_scale().unwrap_or(0);
    let data = match column {
        Column::Null(_) => Data::Null,
        Column::Bool(a) => Data::Bool(a),
        Column::Int(a) => match field.data_type {
            DataType::Time => Data::TimeOfDay(a.values()),
            DataType::Interval => Data::Interval(a.values()),
            // An integer in a decimal column has no digits behind the point yet.
            _ if digits > 0 => Data::Dec64(a.values(), 0, digits),
            _ => Data::Int(a.values()),
        },
        Column::Float(a) => Data::Float(a.values()),
        Column::Dec64(a) => Data::Dec64(a.values(), a.scale().max(0) as u8, digits),
        Column::Dec128(a) => Data::Dec128(a.values(), a.scale().max(0) as u8, digits),
        Column::Str(a) => Data::Str(
            a,
            match field.data_type {
                ref ty if ty.is_nested() => TextKind::Json,
                ref ty if ty.is_numeric() => TextKind::Token,
                _ => TextKind::Text,
            },
        ),
        Column::Bytes(a) => Data::Bytes(a),
        Column::Timestamp(a) => Data::Timestamp(a.values()),
        Column::Date(a) => Data::Date(a.values()),
    };
    let nulls = column.as_array().and_then(Array::nulls);
    Values { data, nulls, style }
}

impl Values<'_> {
    /// Prints NULL.
    #[inline]
    pub(super) fn put_null(&self, text: &mut Text) {
        if self.style == Style::Json {
            text.bytes(b"null");
        }
    }

    /// Prints the value of a row.
    #[inline(always)]
    pub(super) fn put(&self, row: usize, text: &mut Text, not_finite: &mut u64) {
        if self.nulls.is_some_and(|n| n.is_null(row)) {
            return self.put_null(text);
        }
        match &self.data {
            Data::Null => self.put_null(text),
            Data::Bool(a) => text.bytes(if a.value(row) { b"true" } else { b"false" }),
            Data::Int(a) => text.integer(a[row]),
            Data::Float(a) if a[row].is_finite() => text.float(a[row]),
            Data::Float(_) => {
                *not_finite += 1;
                self.put_null(text);
            }
            Data::Dec64(a, scale, digits) if scale == digits => text.decimal64(a[row], *scale),
            Data::Dec64(a, scale, digits) => put_exact(i128::from(a[row]), *scale, *digits, text),
            Data::Dec128(a, scale, digits) => put_exact(a[row], *scale, *digits, text),
            Data::Str(a, kind) => self.put_str(a, *kind, row, text),
            _ => self.put_rare(row, text),
        }
    }

    #[inline(always)]
    fn put_str(&self, a: &StringViewArray, kind: TextKind, row: usize, text: &mut Text) {
        let view = a.views()[row];
        let len = view as u32 as usize;
        match (kind, self.style) {
            (TextKind::Text, Style::Json) if len <= INLINE => text.json_inline(view >> 32, len),
            (TextKind::Text, Style::Csv(delimiter)) if len <= INLINE => text.csv_inline(view >> 32, len, delimiter),
            (TextKind::Text, Style::Json) => text.json_string(a.value(row).as_bytes()),
            (TextKind::Text | TextKind::Json, Style::Csv(delimiter)) => {
                text.csv_text(a.value(row).as_bytes(), delimiter);
            }
            (TextKind::Token, Style::Json) => put_token(a.value(row).as_bytes(), text),
            // A token of any grammar is a CSV number; a decimal comma would not be one.
            (TextKind::Token, Style::Csv(_)) if len <= INLINE => text.block(view >> 32, len),
            (TextKind::Token, Style::Csv(_)) => text.bytes(a.value(row).as_bytes()),
            (TextKind::Json, Style::Json) => put_json(a.value(row).as_bytes(), text),
        }
    }

    #[inline(never)]
    fn put_rare(&self, row: usize, text: &mut Text) {
        // In JSON these are strings; in CSV none of them needs quotes, whatever the delimiter does.
        let quote = self.style == Style::Json;
        let delimiter = match self.style {
            Style::Csv(delimiter) => delimiter,
            Style::Json => b'"',
        };
        let start = text.len();
        if quote {
            text.byte(b'"');
        }
        match &self.data {
            Data::Timestamp(a) => text.timestamp(a[row]),
            Data::Date(a) => text.date(i64::from(a[row])),
            Data::TimeOfDay(a) => text.time_of_day(a[row]),
            Data::Interval(a) => text.bytes(time::duration_text(a[row]).as_bytes()),
            Data::Bytes(a) => {
                let mut encoded = Vec::new();
                base64::encode(a.value(row), &mut encoded);
                if encoded.is_empty() && !quote {
                    encoded.extend_from_slice(b"\"\"");
                }
                text.bytes(&encoded);
            }
            _ => {}
        }
        if quote {
            text.byte(b'"');
        } else {
            text.quote_if_cut(start, delimiter);
        }
    }
}

/// A decimal with at least `digits` digits behind the point and no more than its value needs beyond them.
fn put_exact(mut mantissa: i128, mut scale: u8, digits: u8, text: &mut Text) {
    while scale > digits && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if scale < digits {
        match decimal::rescale(mantissa, scale, digits) {
            Some(m) => (mantissa, scale) = (m, digits),
            // 38 digits are full: the zeros that do not fit a mantissa are printed by hand.
            None => {
                text.decimal128(mantissa, scale);
                if scale == 0 {
                    text.byte(b'.');
                }
                (scale..digits).for_each(|_| text.byte(b'0'));
                return;
            }
        }
    }
    match i64::try_from(mantissa) {
        Ok(m) => text.decimal64(m, scale),
        Err(_) => text.decimal128(mantissa, scale),
    }
}

/// A number as it was written, or its canonical form where JSON does not allow that.
fn put_token(token: &[u8], text: &mut Text) {
    if fixed(token, 0, token.len(), 0).is_some() || Shape::of(token, Grammar::Json).is_some() {
        return text.bytes(token);
    }
    let exact = Shape::of(token, Grammar::Csv).filter(|s| !s.has_exponent()).and_then(|s| s.exact());
    match (exact, float(token, Grammar::Csv)) {
        (Some((mantissa, scale)), _) => text.decimal128(mantissa, scale),
        (None, Some(x)) => text.float(x),
        (None, None) => text.json_string(token),
    }
}

/// JSON text as it is; on one line, because records of framed sources may be spread over several.
fn put_json(json: &[u8], text: &mut Text) {
    let mut at = 0;
    while let Some(n) = json[at..].iter().position(|b| matches!(b, b'\n' | b'\r')) {
        text.bytes(&json[at..at + n]);
        at += n + 1;
    }
    text.bytes(&json[at..]);
}
