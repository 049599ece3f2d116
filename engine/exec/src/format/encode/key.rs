//! Key columns to record keys.
//!
//! Equal values give equal keys whatever digits they were written with, because a key decides on the partition:
//! decimals lose trailing zeros, timestamps are milliseconds. A single text key is the value's own bytes; NULL is a
//! record without a key. Parts of a compound one are joined by `|`; in a part a backslash is doubled, `|` is escaped and
//! NULL is `\N`. A JSON key is an object of the key columns and never null. One allocation per row: keys travel alone.

use arrow_array::Array;
use std::io::Write;

use velostream_sql::plan::KeyFormat;
use velostream_types::{Batch, Column, Schema, Value, decimal, time};

use super::text::Text;
use velostream_functions::base64;

/// Encoder of the keys of one sink.
#[derive(Debug)]
pub struct KeyEncoder {
    format: KeyFormat,
    key: Vec<usize>,
    /// `"name":` per key column, for JSON.
    names: Vec<Vec<u8>>,
    /// Per key column: its type is a number, so that text is a number's token.
    numeric: Vec<bool>,
    /// Per key column: its text is JSON.
    nested: Vec<bool>,
    buffer: Vec<u8>,
}

impl KeyEncoder {
    /// An encoder of the columns `key` of rows of `schema`.
    pub fn new(format: KeyFormat, key: &[usize], schema: &Schema) -> KeyEncoder {
        let name = |k: &usize| {
            let mut text = Text::default();
            text.json_string(schema.fields[*k].name.as_bytes());
            text.byte(b':');
            text.take()
        };
        KeyEncoder {
            format,
            key: key.to_vec(),
            names: key.iter().map(name).collect(),
            numeric: key.iter().map(|k| schema.fields[*k].data_type.is_numeric()).collect(),
            nested: key.iter().map(|k| schema.fields[*k].data_type.is_nested()).collect(),
            buffer: Vec::new(),
        }
    }

    /// The key of a row; `None` where it has none.
    pub fn key(&mut self, batch: &Batch, row: usize) -> Option<Box<[u8]>> {
        self.buffer.clear();
        match (self.format, self.key.as_slice()) {
            (_, []) => return None,
            (KeyFormat::Text, [only]) => {
                // Most keys are one text column, whose bytes are the key.
                if let (Column::Str(a), false) = (&batch.columns[*only], self.numeric[0]) {
                    return a.is_valid(row).then(|| a.value(row).as_bytes().into());
                }
                let value = self.value(batch, 0, row);
                if value.is_null() {
                    return None;
                }
                put_text(&value, &mut self.buffer);
            }
            (KeyFormat::Text, _) => self.compound(batch, row),
            (KeyFormat::Json, _) => self.object(batch, row),
        }
        Some(self.buffer.as_slice().into())
    }

    /// Value of key column `part`; tokens as the number they stand for.
    fn value(&self, batch: &Batch, part: usize, row: usize) -> Value {
        match batch.columns[self.key[part]].value(row) {
            Value::Str(token) if self.numeric[part] => {
                let exact = decimal::from_text(&token).or_else(|| decimal::from_exponent_text(&token));
                exact.map_or(Value::Str(token), |(mantissa, scale)| Value::Decimal { mantissa, scale })
            }
            Value::Str(json) if self.nested[part] => Value::Json(json),
            value => value,
        }
    }

    fn compound(&mut self, batch: &Batch, row: usize) {
        for part in 0..self.key.len() {
            if part > 0 {
                self.buffer.push(b'|');
            }
            let value = self.value(batch, part, row);
            if value.is_null() {
                self.buffer.extend_from_slice(b"\\N");
                continue;
            }
            let start = self.buffer.len();
            put_text(&value, &mut self.buffer);
            if memchr::memchr2(b'\\', b'|', &self.buffer[start..]).is_some() {
                let plain = self.buffer.split_off(start);
                for byte in plain {
                    if matches!(byte, b'\\' | b'|') {
                        self.buffer.push(b'\\');
                    }
                    self.buffer.push(byte);
                }
            }
        }
    }

    fn object(&mut self, batch: &Batch, row: usize) {
        for part in 0..self.key.len() {
            self.buffer.push(if part == 0 { b'{' } else { b',' });
            self.buffer.extend_from_slice(&self.names[part]);
            let value = self.value(batch, part, row);
            put_json(&value, &mut self.buffer);
        }
        self.buffer.push(b'}');
    }
}

fn put_text(value: &Value, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Str(s) | Value::Json(s) => out.write_all(s.as_bytes()),
        Value::Bytes(b) => out.write_all(b),
        Value::Decimal { mantissa, scale } => out.write_all(shortest(*mantissa, *scale).as_bytes()),
        Value::Timestamp(ns) => write!(out, "{}", time::ns_to_ms(*ns)),
        other => write!(out, "{other}"),
    };
}

fn put_json(value: &Value, out: &mut Vec<u8>) {
    let mut quoted = |text: &[u8]| {
        let mut writer = Text::default();
        writer.json_string(text);
        out.extend_from_slice(&writer.take());
    };
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Float(x) if !x.is_finite() => out.extend_from_slice(b"null"),
        Value::Str(s) => quoted(s.as_bytes()),
        Value::Bytes(b) => {
            let mut text = Vec::new();
            base64::encode(b, &mut text);
            quoted(&text);
        }
        Value::Date(_) | Value::Time(_) | Value::Interval(_) => quoted(value.to_string().as_bytes()),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal { .. }
        | Value::Timestamp(_)
        | Value::Json(_) => put_text(value, out),
    }
}

/// A decimal without trailing zeros behind the point.
fn shortest(mut mantissa: i128, mut scale: u8) -> String {
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    decimal::to_text(mantissa, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::{DataType, Field, RowMeta, SourceId};

    fn check(columns: Vec<(DataType, Column)>, text: Option<&str>, json: &str) {
        let field = |(i, (t, _)): (usize, &(DataType, Column))| Field::new(format!("k{i}"), t.clone());
        let schema = Schema::new(columns.iter().enumerate().map(field).collect());
        let key: Vec<usize> = (0..columns.len()).collect();
        let columns = columns.into_iter().map(|(_, c)| c).collect();
        let batch = Batch::new(columns, 1, RowMeta::plain(SourceId(0), 0, 0));
        for (format, expect) in [(KeyFormat::Text, text), (KeyFormat::Json, Some(json))] {
            let found = KeyEncoder::new(format, &key, &schema).key(&batch, 0);
            assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expect);
        }
    }

    #[test]
    fn keys() {
        let text = |s: Option<&str>| (DataType::String, Column::strs([s]));
        let number = |mantissa| (DataType::decimal(2), Column::dec64(vec![mantissa], 2, None));
        check(vec![text(Some("a|b"))], Some("a|b"), "{\"k0\":\"a|b\"}");
        check(vec![text(Some(""))], Some(""), "{\"k0\":\"\"}");
        check(vec![text(None)], None, "{\"k0\":null}");
        check(vec![(DataType::Integer, Column::ints(vec![-7], None))], Some("-7"), "{\"k0\":-7}");
        check(vec![number(500)], Some("5"), "{\"k0\":5}");
        check(vec![number(-550)], Some("-5.5"), "{\"k0\":-5.5}");
        // A number carried as it was written.
        check(vec![(DataType::decimal(2), Column::strs([Some("5.00")]))], Some("5"), "{\"k0\":5}");
        let time = (DataType::Timestamp, Column::timestamps(vec![1_500_001], None));
        check(vec![time], Some("1"), "{\"k0\":1}");
        check(
            vec![text(Some("a|b\\")), text(None), number(100)],
            Some("a\\|b\\\\|\\N|1"),
            "{\"k0\":\"a|b\\\\\",\"k1\":null,\"k2\":1}",
        );
    }
}
