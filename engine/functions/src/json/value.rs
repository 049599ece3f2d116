//! Single values from and to JSON text. Numbers have the digits of their type's scale, more where the value has more; what
//! is not finite is null; times, dates and bytes are strings.

use std::fmt::Write;

use velostream_types::{DataType, Value, decimal};

use super::scan::{Kind, kind, quote, text_of};
use crate::{base64, read};

/// The value that canonical text of this type stands for; NULL where it stands for none. An Integer may come as a
/// decimal where the type was inferred.
pub fn scalar(raw: &str, data_type: &DataType) -> Value {
    if kind(raw) == Kind::Null {
        return Value::Null;
    }
    let found = match data_type {
        DataType::Boolean => Some(Value::Bool(raw == "true")),
        DataType::Integer | DataType::Decimal { .. } => {
            exact(raw).map(|(mantissa, scale)| match i64::try_from(mantissa) {
                Ok(n) if scale == 0 && *data_type == DataType::Integer => Value::Int(n),
                _ => Value::Decimal { mantissa, scale },
            })
        }
        DataType::Float => raw.parse().ok().map(Value::Float),
        DataType::String => Some(Value::Str(text_of(raw).into())),
        DataType::Bytes => base64::decode(text_of(raw).as_bytes()).map(|b| Value::Bytes(b.into())),
        DataType::Date | DataType::Timestamp | DataType::Time => read::value(&text_of(raw), data_type),
        DataType::Interval => read::interval(&text_of(raw)).map(Value::Interval),
        DataType::Json | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => Some(Value::Json(raw.into())),
        DataType::Null => None,
    };
    found.unwrap_or(Value::Null)
}

/// Mantissa and scale of a number, however it is written; `None` beyond 38 digits.
pub(crate) fn exact(token: &str) -> Option<(i128, u8)> {
    decimal::from_text(token).or_else(|| decimal::from_exponent_text(token))
}

/// Appends a number with at least `least` digits behind the point.
pub(super) fn push_number(mantissa: i128, scale: u8, least: u8, out: &mut String) {
    let (mantissa, scale) = decimal::strip(mantissa, scale, least);
    match decimal::rescale(mantissa, scale, scale.max(least)) {
        Some(padded) => push_digits(padded, scale.max(least), out),
        None => push_digits(mantissa, scale, out),
    }
}

/// Appends a mantissa with its point. Writing to a `String` cannot fail.
fn push_digits(mantissa: i128, scale: u8, out: &mut String) {
    if let (Ok(n), 0) = (i64::try_from(mantissa), scale) {
        let _ = write!(out, "{n}");
        return;
    }
    let one = decimal::pow10(scale).unsigned_abs();
    let (whole, fraction) = (mantissa.unsigned_abs() / one, mantissa.unsigned_abs() % one);
    let sign = if mantissa < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{whole}");
    if scale > 0 {
        let _ = write!(out, ".{fraction:0width$}", width = usize::from(scale));
    }
}

/// Appends a value of a column of this type, in its physical form or its logical one.
pub fn push_value(value: &Value, data_type: &DataType, out: &mut String) {
    let least = data_type.exact_scale().unwrap_or(0);
    match value {
        Value::Null => out.push_str("null"),
        Value::Int(ns) if *data_type == DataType::Interval => push_value(&Value::Interval(*ns), data_type, out),
        Value::Int(ns) if *data_type == DataType::Time => push_value(&Value::Time(*ns), data_type, out),
        Value::Str(raw) if data_type.is_nested() => out.push_str(raw),
        Value::Float(x) if !x.is_finite() => out.push_str("null"),
        Value::Int(i) if least > 0 => push_number(i128::from(*i), 0, least, out),
        Value::Decimal { mantissa, scale } => push_number(*mantissa, *scale, least, out),
        Value::Int(i) => push_number(i128::from(*i), 0, 0, out),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Float(x) => out.push_str(&decimal::float_text(*x)),
        Value::Json(raw) => out.push_str(raw),
        Value::Bytes(bytes) => {
            let mut text = Vec::new();
            base64::encode(bytes, &mut text);
            quote(&String::from_utf8_lossy(&text), out);
        }
        Value::Str(s) => quote(s, out),
        Value::Date(_) | Value::Timestamp(_) | Value::Time(_) | Value::Interval(_) => quote(&value.to_string(), out),
    }
}

/// Appends the key that stands for a value in a map.
pub fn push_key(value: &Value, data_type: &DataType, out: &mut String) {
    let mut text = String::new();
    match value {
        Value::Str(s) => return quote(s, out),
        Value::Float(x) => text = decimal::float_text(*x),
        other => push_value(other, data_type, &mut text),
    }
    if text.starts_with('"') { out.push_str(&text) } else { quote(&text, out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json() {
        let check = |value: Value, data_type: DataType, expect: &str, key: &str| {
            let (mut got, mut as_key) = (String::new(), String::new());
            push_value(&value, &data_type, &mut got);
            push_key(&value, &data_type, &mut as_key);
            assert_eq!((got.as_str(), as_key.as_str()), (expect, key));
        };
        check(Value::Int(5), DataType::Integer, "5", "\"5\"");
        check(Value::Int(5), DataType::decimal(2), "5.00", "\"5.00\"");
        check(Value::Decimal { mantissa: 1234, scale: 3 }, DataType::decimal(2), "1.234", "\"1.234\"");
        check(Value::Decimal { mantissa: 1230, scale: 3 }, DataType::decimal(2), "1.23", "\"1.23\"");
        check(Value::Float(f64::NAN), DataType::Float, "null", "\"NaN\"");
        check(Value::Str("a\"é".into()), DataType::String, "\"a\\\"é\"", "\"a\\\"é\"");
        check(Value::Bytes([1, 2, 3].into()), DataType::Bytes, "\"AQID\"", "\"AQID\"");
        check(Value::Date(0), DataType::Date, "\"1970-01-01\"", "\"1970-01-01\"");
        check(Value::Json("{\"a\":1}".into()), DataType::Json, "{\"a\":1}", "\"{\\\"a\\\":1}\"");
    }

    #[test]
    fn canonical_text_reads_back() {
        let check = |value: Value, data_type: DataType| {
            let mut text = String::new();
            push_value(&value, &data_type, &mut text);
            assert_eq!(scalar(&text, &data_type), value, "{text}");
        };
        check(Value::Null, DataType::Integer);
        check(Value::Bool(true), DataType::Boolean);
        check(Value::Int(i64::MIN), DataType::Integer);
        check(Value::Decimal { mantissa: -150, scale: 2 }, DataType::decimal(2));
        check(Value::Float(1e300), DataType::Float);
        check(Value::Str("a\"\n".into()), DataType::String);
        check(Value::Bytes([0, 255].into()), DataType::Bytes);
        check(Value::Date(19_782), DataType::Date);
        check(Value::Timestamp(1_700_000_000_123_456_789), DataType::Timestamp);
        check(Value::Time(3_600_000_000_001), DataType::Time);
        check(Value::Interval(90_000_000_000), DataType::Interval);
        check(Value::Json("[1]".into()), DataType::array(DataType::Integer));
    }
}
