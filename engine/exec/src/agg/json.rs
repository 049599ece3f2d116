//! Values as JSON text, for aggregates whose result is an array or a map. Numbers have the digits of their type's scale;
//! what is not finite is null; times, dates and bytes are texts.

use velostream_types::{DataType, Value, decimal};

/// Appends a value of a column of this type.
pub(super) fn push(value: &Value, data_type: &DataType, out: &mut String) {
    let least = data_type.exact_scale().unwrap_or(0);
    match value {
        Value::Null => out.push_str("null"),
        Value::Float(x) if !x.is_finite() => out.push_str("null"),
        Value::Int(i) if least > 0 => number(i128::from(*i), 0, least, out),
        Value::Decimal { mantissa, scale } => number(*mantissa, *scale, least, out),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => out.push_str(&value.to_string()),
        Value::Bytes(bytes) => {
            let mut text = Vec::new();
            velostream_functions::base64::encode(bytes, &mut text);
            string(&String::from_utf8_lossy(&text), out);
        }
        Value::Str(_) | Value::Date(_) | Value::Timestamp(_) | Value::Time(_) | Value::Interval(_) => {
            string(&value.to_string(), out);
        }
    }
}

/// The key that stands for a value in a map.
pub(super) fn push_key(value: &Value, data_type: &DataType, out: &mut String) {
    let mut text = String::new();
    match value {
        Value::Str(s) => return string(s, out),
        Value::Float(x) => text = decimal::float_text(*x),
        other => push(other, data_type, &mut text),
    }
    if text.starts_with('"') { out.push_str(&text) } else { string(&text, out) }
}

/// At least `least` digits after the point, more where the value has them.
fn number(mantissa: i128, scale: u8, least: u8, out: &mut String) {
    let (mantissa, scale) = velostream_state::build::strip(mantissa, scale, least);
    match decimal::rescale(mantissa, scale, scale.max(least)) {
        Some(padded) => out.push_str(&decimal::to_text(padded, scale.max(least))),
        None => out.push_str(&decimal::to_text(mantissa, scale)),
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json() {
        let check = |value: Value, data_type: DataType, expect: &str, key: &str| {
            let (mut got, mut as_key) = (String::new(), String::new());
            push(&value, &data_type, &mut got);
            push_key(&value, &data_type, &mut as_key);
            assert_eq!((got.as_str(), as_key.as_str()), (expect, key));
        };
        check(Value::Int(5), DataType::Integer, "5", "\"5\"");
        check(Value::Int(5), DataType::decimal(2), "5.00", "\"5.00\"");
        check(Value::Decimal { mantissa: 1234, scale: 3 }, DataType::decimal(2), "1.234", "\"1.234\"");
        check(Value::Decimal { mantissa: 1230, scale: 3 }, DataType::decimal(2), "1.23", "\"1.23\"");
        check(Value::Float(f64::NAN), DataType::Float, "null", "\"NaN\"");
        check(
            Value::Str("a\"\\\n\u{1}é".into()),
            DataType::String,
            "\"a\\\"\\\\\\n\\u0001é\"",
            "\"a\\\"\\\\\\n\\u0001é\"",
        );
        check(Value::Bytes([1, 2, 3].into()), DataType::Bytes, "\"AQID\"", "\"AQID\"");
        check(Value::Date(0), DataType::Date, "\"1970-01-01\"", "\"1970-01-01\"");
        check(Value::Json("{\"a\":1}".into()), DataType::Json, "{\"a\":1}", "\"{\\\"a\\\":1}\"");
    }
}
