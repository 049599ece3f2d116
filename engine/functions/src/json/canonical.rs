//! Any JSON text of a type to the one text that stands for its value.

use std::borrow::Cow;

use velostream_types::time::NS_PER_MS;
use velostream_types::{DataType, StructField, Value, decimal};

use super::scan::{Kind, elements, kind, members, quote, text_of};
use super::value::{exact, push_number, push_value};
use crate::call::shortened;
use crate::{base64, read};

/// How closely values have to follow a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// The type was declared or computed: numbers are rounded to its scale, members it does not name are left out.
    Declared,
    /// The type was seen in a sample: numbers keep more digits, and members that came later stay, behind the others by key,
    /// but for those that are NULL.
    Inferred,
}

/// A value that is not of its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// Where inside the value: `.items[2].price`, 1-based; empty for the whole.
    pub path: String,
    /// The type there.
    pub expected: DataType,
    /// The value there, cut if it is long.
    pub found: String,
}

/// Appends the canonical text of a well-formed value. On failure `out` holds a part of it.
pub fn canonical(raw: &str, data_type: &DataType, strictness: Strictness, out: &mut String) -> Result<(), Misfit> {
    let raw = raw.trim_matches([' ', '\t', '\n', '\r']);
    let misfit = || Misfit { path: String::new(), expected: data_type.clone(), found: shortened(raw).into_owned() };
    let value = match (data_type, kind(raw)) {
        (_, Kind::Null) => Some(Value::Null),
        (DataType::Json | DataType::Null, _) => {
            untyped(raw, out);
            return Ok(());
        }
        (DataType::Array(of), Kind::Array) => return array(raw, of, strictness, out),
        (DataType::Map(of), Kind::Object) => return map(raw, of, strictness, out),
        (DataType::Struct(fields), Kind::Object) => return structure(raw, fields, strictness, out),
        (DataType::Boolean, Kind::Bool) => Some(Value::Bool(raw == "true")),
        (DataType::Integer | DataType::Decimal { .. }, Kind::Number) => {
            return number(raw, data_type, strictness, out).ok_or_else(misfit);
        }
        (DataType::Decimal { .. }, Kind::Text) if strictness == Strictness::Declared => {
            return number(&text_of(raw), data_type, strictness, out).ok_or_else(misfit);
        }
        (DataType::Float, Kind::Number) => raw.parse().ok().map(Value::Float),
        (DataType::String, Kind::Text) => Some(Value::Str(text_of(raw).into())),
        (DataType::Bytes, Kind::Text) => base64::decode(text_of(raw).as_bytes()).map(|b| Value::Bytes(b.into())),
        (DataType::Date | DataType::Timestamp | DataType::Time, Kind::Text) => read::value(&text_of(raw), data_type),
        (DataType::Timestamp, Kind::Number) => {
            raw.parse::<i64>().ok().and_then(|ms| ms.checked_mul(NS_PER_MS)).map(Value::Timestamp)
        }
        (DataType::Interval, Kind::Text) => read::interval(&text_of(raw)).map(Value::Interval),
        _ => None,
    };
    push_value(&value.ok_or_else(misfit)?, data_type, out);
    Ok(())
}

fn number(token: &str, data_type: &DataType, strictness: Strictness, out: &mut String) -> Option<()> {
    let (mantissa, scale) = exact(token)?;
    let least = data_type.exact_scale()?;
    let (mantissa, scale) = decimal::strip(mantissa, scale, least);
    match (data_type, strictness) {
        (DataType::Integer, Strictness::Declared) if scale > 0 || i64::try_from(mantissa).is_err() => return None,
        (DataType::Decimal { precision, .. }, Strictness::Declared) => {
            let fixed = decimal::rescale(mantissa, scale, least)?;
            if fixed.unsigned_abs() >= decimal::pow10(*precision).unsigned_abs() {
                return None;
            }
            push_number(fixed, least, least, out);
        }
        _ => push_number(mantissa, scale, least, out),
    }
    Some(())
}

fn array(raw: &str, of: &DataType, strictness: Strictness, out: &mut String) -> Result<(), Misfit> {
    out.push('[');
    for (i, element) in elements(raw).enumerate() {
        if i > 0 {
            out.push(',');
        }
        canonical(element, of, strictness, out).map_err(|m| m.below(&format!("[{}]", i + 1)))?;
    }
    out.push(']');
    Ok(())
}

/// The members by key; of two with one key the last.
fn by_key(raw: &str) -> Vec<(Cow<'_, str>, &str)> {
    let mut all: Vec<(Cow<'_, str>, &str)> = members(raw).map(|(key, value)| (text_of(key), value)).collect();
    all.reverse();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|later, first| later.0 == first.0);
    all
}

fn map(raw: &str, of: &DataType, strictness: Strictness, out: &mut String) -> Result<(), Misfit> {
    out.push('{');
    for (i, (key, value)) in by_key(raw).into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        quote(&key, out);
        out.push(':');
        canonical(value, of, strictness, out).map_err(|m| m.below(&format!("['{key}']")))?;
    }
    out.push('}');
    Ok(())
}

fn structure(raw: &str, fields: &[StructField], strictness: Strictness, out: &mut String) -> Result<(), Misfit> {
    let given = by_key(raw);
    let value_of = |name: &str| given.binary_search_by(|(key, _)| key.as_ref().cmp(name)).ok().map(|i| given[i].1);
    out.push('{');
    let start = out.len();
    let open = |name: &str, out: &mut String| {
        if out.len() > start {
            out.push(',');
        }
        quote(name, out);
        out.push(':');
    };
    for field in fields {
        // A member that is missing and one that is NULL are the same value.
        let value = value_of(&field.name).unwrap_or("null");
        open(&field.name, out);
        canonical(value, &field.data_type, strictness, out).map_err(|m| m.below(&format!(".{}", field.name)))?;
    }
    if strictness == Strictness::Inferred {
        for (key, value) in &given {
            if kind(value) != Kind::Null && fields.iter().all(|f| *f.name != **key) {
                open(key, out);
                untyped(value, out);
            }
        }
    }
    out.push('}');
    Ok(())
}

/// A value without a type: keys sorted, exact numbers without zeros at their end. Recursion is bounded by the grammar's
/// depth.
fn untyped(raw: &str, out: &mut String) {
    let raw = raw.trim_matches([' ', '\t', '\n', '\r']);
    match kind(raw) {
        Kind::Text => quote(&text_of(raw), out),
        Kind::Number => match exact(raw) {
            Some((mantissa, scale)) => push_number(mantissa, scale, 0, out),
            None => out.push_str(raw),
        },
        Kind::Array => {
            out.push('[');
            for (i, element) in elements(raw).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                untyped(element, out);
            }
            out.push(']');
        }
        Kind::Object => {
            out.push('{');
            for (i, (key, value)) in by_key(raw).into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(&key, out);
                out.push(':');
                untyped(value, out);
            }
            out.push('}');
        }
        Kind::Null | Kind::Bool => out.push_str(raw),
    }
}

impl Misfit {
    fn below(mut self, step: &str) -> Misfit {
        self.path.insert_str(0, step);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, data_type: &DataType, declared: &str, inferred: &str) {
        for (strictness, expect) in [(Strictness::Declared, declared), (Strictness::Inferred, inferred)] {
            let mut out = String::new();
            let got = match canonical(raw, data_type, strictness, &mut out) {
                Ok(()) => out,
                Err(m) => format!("{} is no {}: {}", m.path, m.expected, m.found),
            };
            assert_eq!(got, expect, "{raw} {strictness:?}");
            let mut again = String::new();
            if !got.contains(" is no ") {
                assert_eq!(canonical(&got, data_type, strictness, &mut again), Ok(()));
                assert_eq!(again, got, "a canonical text stays as it is");
            }
        }
    }

    #[test]
    fn one_text_for_one_value() {
        let numbers = DataType::array(DataType::Decimal { precision: 5, scale: 2 });
        check("[ 1, 2.50 ,3e1,null]", &numbers, "[1.00,2.50,30.00,null]", "[1.00,2.50,30.00,null]");
        check("[1.005]", &numbers, "[1.01]", "[1.005]");
        check("[\"1.5\"]", &numbers, "[1.50]", "[1] is no DECIMAL(5,2): \"1.5\"");
        check("[1, 12345]", &numbers, "[2] is no DECIMAL(5,2): 12345", "[1.00,12345.00]");
        check("[1.0,2]", &DataType::array(DataType::Integer), "[1,2]", "[1,2]");
        check("[1.5]", &DataType::array(DataType::Integer), "[1] is no INTEGER: 1.5", "[1.5]");
        let map = DataType::map(DataType::Boolean);
        check("{\"b\":true, \"a\":false,\"b\":null}", &map, "{\"a\":false,\"b\":null}", "{\"a\":false,\"b\":null}");
        check("[true]", &map, " is no MAP<STRING,BOOLEAN>: [true]", " is no MAP<STRING,BOOLEAN>: [true]");
        let point = DataType::structure([("x", DataType::Integer), ("at", DataType::Timestamp)]);
        check(
            "{\"at\":\"2024-02-29T12:00Z\",\"more\":{\"z\": 1.0},\"x\":7}",
            &point,
            "{\"x\":7,\"at\":\"2024-02-29 12:00:00.000\"}",
            "{\"x\":7,\"at\":\"2024-02-29 12:00:00.000\",\"more\":{\"z\":1}}",
        );
        let nulls = "{\"x\":null,\"at\":null}";
        check("{}", &point, nulls, nulls);
        check("{\"at\":null,\"late\":null}", &point, nulls, nulls);
        let nested = DataType::array(point);
        check("[{\"x\":\"7\"}]", &nested, "[1].x is no INTEGER: \"7\"", "[1].x is no INTEGER: \"7\"");
        check(
            "{\"b\":[1.50,1e2,\"\\u0061\"],\"a\":{}}",
            &DataType::Json,
            "{\"a\":{},\"b\":[1.5,100,\"a\"]}",
            "{\"a\":{},\"b\":[1.5,100,\"a\"]}",
        );
    }
}
