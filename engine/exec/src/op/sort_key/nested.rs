//! Nested values in the bytes of ORDER BY: element by element, NULL before every value, a shorter array before one that
//! goes on.

use velostream_functions::json;
use velostream_types::{DataType, Value};

use super::{ordered, write_bytes, write_float, write_number};

const END: u8 = 0;
const NULL: u8 = 1;
const PRESENT: u8 = 2;

/// Appends a value of a nested type, given as canonical text. Recursion is bounded by the grammar's depth.
pub(crate) fn write(out: &mut Vec<u8>, text: &str, data_type: &DataType) {
    match data_type {
        DataType::Array(of) => {
            json::elements(text).for_each(|element| part(out, element, of));
            out.push(END);
        }
        DataType::Struct(fields) => {
            for field in fields.iter() {
                let value = json::members(text).find(|(key, _)| json::text_of(key) == *field.name);
                part(out, value.map_or("null", |(_, value)| value), &field.data_type);
            }
        }
        _ => write_bytes(out, text.as_bytes()),
    }
}

fn part(out: &mut Vec<u8>, text: &str, data_type: &DataType) {
    if json::kind(text) == json::Kind::Null {
        return out.push(NULL);
    }
    out.push(PRESENT);
    match json::scalar(text, data_type) {
        Value::Json(text) => write(out, &text, data_type),
        Value::Null => write_bytes(out, text.as_bytes()),
        Value::Bool(b) => out.push(u8::from(b)),
        Value::Int(n) => write_number(out, i128::from(n), 0),
        Value::Decimal { mantissa, scale } => write_number(out, mantissa, scale as i8),
        Value::Float(x) => write_float(out, x),
        Value::Str(s) => write_bytes(out, s.as_bytes()),
        Value::Bytes(b) => write_bytes(out, &b),
        Value::Date(days) => out.extend_from_slice(&ordered(i64::from(days))),
        Value::Timestamp(n) | Value::Time(n) | Value::Interval(n) => out.extend_from_slice(&ordered(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_compare_like_the_values() {
        let check = |texts: &[&str], data_type: DataType| {
            let key = |text| {
                let mut out = Vec::new();
                write(&mut out, text, &data_type);
                out
            };
            for pair in texts.windows(2) {
                assert!(key(pair[0]) < key(pair[1]), "{} < {}", pair[0], pair[1]);
                assert!(json::compare(pair[0], pair[1], &data_type).is_lt(), "{} < {}", pair[0], pair[1]);
            }
        };
        check(
            &["[]", "[null]", "[null,1]", "[-10]", "[-9.5]", "[2]", "[2,-1]", "[2,10]", "[10]"],
            DataType::array(DataType::decimal(1)),
        );
        check(&["[\"\"]", "[\"a\"]", "[\"a\",\"\"]", "[\"a\\u0000\"]", "[\"ab\"]"], DataType::array(DataType::String));
        check(
            &["{}", "{\"b\":[1]}", "{\"a\":false}", "{\"a\":true,\"b\":[]}", "{\"a\":true,\"b\":[0]}"],
            DataType::structure([("a", DataType::Boolean), ("b", DataType::array(DataType::Integer))]),
        );
        check(&["[[]]", "[[1]]", "[[1],[0]]", "[[1,0]]"], DataType::array(DataType::array(DataType::Integer)));
    }
}
