//! A row as bytes: a JSON object, or a line of CSV for files that the SQL reads.
//!
//! Decimals are numbers at their scale, timestamps `YYYY-MM-DDTHH:MM:SS[.fff]`, dates `YYYY-MM-DD`, floats that are not
//! finite NULL, bytes hexadecimal. In CSV, NULL is nothing at all and empty text is `""`; text that would read as a
//! number, a Boolean or NULL is quoted, so that `data_file` gives back what went in. Appends to a buffer that the caller
//! uses again; nothing else is allocated but the texts of times.

use std::io::Write;

use velostream_types::{Value, decimal};

use crate::data_file::reads_as_text;
use crate::record::Row;
use crate::record_text::{text, timestamp_text};

/// Appends the row as one JSON object without white space.
pub fn json(row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in row.fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json_text(name, out);
        out.push(b':');
        json_value(value, out);
    }
    out.push(b'}');
}

/// Appends the names of the row's fields as a line of CSV.
pub fn csv_header(row: &Row, out: &mut Vec<u8>) {
    for (at, (name, _)) in row.fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        csv_text(name, has_mark(name), out);
    }
    out.push(b'\n');
}

/// Appends the row's values as a line of CSV.
pub fn csv_line(row: &Row, out: &mut Vec<u8>) {
    let start = out.len();
    for (at, (_, value)) in row.fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match value {
            Value::Null => {}
            Value::Float(x) if !x.is_finite() => {}
            Value::Str(s) | Value::Json(s) => csv_text(s, has_mark(s) || !reads_as_text(s), out),
            Value::Timestamp(ns) => out.extend_from_slice(timestamp_text(*ns, 'T').as_bytes()),
            other => plain(other, out),
        }
    }
    // A line with nothing on it is no record; the one NULL of a row with one field is written out.
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    out.push(b'\n');
}

fn json_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Str(text) => json_text(text, out),
        Value::Json(raw) => out.extend_from_slice(raw.as_bytes()),
        Value::Timestamp(ns) => json_text(&timestamp_text(*ns, 'T'), out),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Float(x) if !x.is_finite() => out.extend_from_slice(b"null"),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Decimal { .. } => plain(value, out),
        Value::Bytes(_) | Value::Date(_) | Value::Time(_) | Value::Interval(_) => json_text(&text(value), out),
    }
}

/// Appends a value that needs no quotes. Writing to a `Vec` cannot fail.
fn plain(value: &Value, out: &mut Vec<u8>) {
    let _ = match value {
        // The shortest digits, with `.0` for whole ones: a float stays one for whoever infers types.
        Value::Float(x) => write!(out, "{x:?}"),
        Value::Decimal { mantissa, scale } if *scale > 0 && *scale <= 18 => {
            let one = decimal::pow10(*scale).unsigned_abs();
            let (whole, fraction) = (mantissa.unsigned_abs() / one, (mantissa.unsigned_abs() % one) as u64);
            let sign = if *mantissa < 0 { "-" } else { "" };
            match u64::try_from(whole) {
                Ok(whole) => write!(out, "{sign}{whole}.{fraction:0width$}", width = usize::from(*scale)),
                Err(_) => write!(out, "{sign}{whole}.{fraction:0width$}", width = usize::from(*scale)),
            }
        }
        Value::Int(n) => write!(out, "{n}"),
        other => write!(out, "{other}"),
    };
}

/// Appends a JSON string with the escapes it needs.
fn json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"\\u00",
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(escape);
        if escape.len() == 4 {
            // Writing to a `Vec` cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// The text would break its line apart.
fn has_mark(text: &str) -> bool {
    text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'))
}

fn csv_text(text: &str, quoted: bool, out: &mut Vec<u8>) {
    if !quoted {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_file::DataFile;
    use crate::spec::FileFormat;

    fn row(values: &[(&str, Value)]) -> Row {
        Row { fields: values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect() }
    }

    fn example() -> Row {
        row(&[
            ("id", Value::Int(-7)),
            ("name", Value::Str("a\"b\\c,\n\u{1}é".into())),
            ("price", Value::Decimal { mantissa: -1_502_500, scale: 4 }),
            ("large", Value::Decimal { mantissa: decimal::MAX, scale: 3 }),
            ("ratio", Value::Float(15_025.0)),
            ("tiny", Value::Float(1e-9)),
            ("bad", Value::Float(f64::NAN)),
            ("ok", Value::Bool(true)),
            ("none", Value::Null),
            ("at", Value::Timestamp(1_700_000_000_120_000_000)),
            ("then", Value::Timestamp(1_700_000_000_000_000_000)),
            ("day", Value::Date(19_782)),
            ("tree", Value::Json("{\"a\":[1,2]}".into())),
        ])
    }

    #[test]
    fn a_row_is_a_json_object() {
        let mut out = Vec::new();
        json(&example(), &mut out);
        let expected = concat!(
            r#"{"id":-7,"name":"a\"b\\c,\n\u0001é","price":-150.2500,"#,
            r#""large":99999999999999999999999999999999999.999,"ratio":15025.0,"tiny":1e-9,"bad":null,"ok":true,"none":null,"#,
            r#""at":"2023-11-14T22:13:20.120","then":"2023-11-14T22:13:20","day":"2024-02-29","tree":{"a":[1,2]}}"#
        );
        assert_eq!(String::from_utf8(out.clone()).expect("UTF-8"), expected);
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
    }

    #[test]
    fn a_row_is_a_line_of_csv() {
        let mut out = Vec::new();
        csv_header(&row(&[("a", Value::Null), ("b,c", Value::Null)]), &mut out);
        csv_line(&example(), &mut out);
        let expected = concat!(
            "a,\"b,c\"\n",
            "-7,\"a\"\"b\\c,\n\u{1}é\",-150.2500,99999999999999999999999999999999999.999,15025.0,1e-9,,true,,",
            "2023-11-14T22:13:20.120,2023-11-14T22:13:20,2024-02-29,\"{\"\"a\"\":[1,2]}\"\n",
        );
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn texts_come_back_from_csv_as_they_went() {
        let texts =
            ["", "null", "NULL", "12", "-1.5", "true", " x ", "a,b", "\"", "l1\r\nl2", "plain", "1e5", "007", " "];
        let mut out = Vec::new();
        csv_header(&row(&[("text", Value::Null)]), &mut out);
        for text in texts {
            csv_line(&row(&[("text", Value::Str(text.into()))]), &mut out);
        }
        csv_line(&row(&[("text", Value::Null)]), &mut out);
        let mut file = DataFile::open(&out, FileFormat::Csv).expect("a file");
        let mut read = Row::default();
        for text in texts {
            assert_eq!(file.next_into(&mut read), Ok(true));
            assert_eq!(read.get("text"), Some(&Value::Str(text.into())));
        }
        assert_eq!(file.next_into(&mut read), Ok(true));
        assert_eq!(read.get("text"), Some(&Value::Null));
        assert_eq!(file.next_into(&mut read), Ok(false));
    }
}
