//! Order of canonical texts of one type.

use std::cmp::Ordering;

use velostream_types::{DataType, Value, decimal};

use super::scan::{Kind, elements, kind, members};
use super::value::scalar;

/// Arrays and structs in the order of their values, NULL before all of them; maps and untyped values have no order that
/// means anything, and the one of their texts.
pub fn compare(a: &str, b: &str, data_type: &DataType) -> Ordering {
    let null = |raw: &str| kind(raw) == Kind::Null;
    match (null(a), null(b)) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Less,
        (false, true) => return Ordering::Greater,
        (false, false) => {}
    }
    match data_type {
        DataType::Array(of) => {
            let (mut left, mut right) = (elements(a), elements(b));
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(x), Some(y)) => match compare(x, y, of) {
                        Ordering::Equal => {}
                        other => return other,
                    },
                }
            }
        }
        DataType::Struct(fields) => {
            let member = |raw, name: &str| {
                members(raw).find(|(key, _)| super::text_of(key) == name).map_or("null", |(_, value)| value)
            };
            let orders = fields.iter().map(|f| compare(member(a, &f.name), member(b, &f.name), &f.data_type));
            orders.fold(Ordering::Equal, Ordering::then)
        }
        DataType::Json | DataType::Map(_) | DataType::Null => a.cmp(b),
        _ => scalars(&scalar(a, data_type), &scalar(b, data_type)),
    }
}

fn scalars(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Int(x), Value::Int(y))
        | (Value::Timestamp(x), Value::Timestamp(y))
        | (Value::Time(x), Value::Time(y))
        | (Value::Interval(x), Value::Interval(y)) => x.cmp(y),
        (Value::Date(x), Value::Date(y)) => x.cmp(y),
        (Value::Float(x), Value::Float(y)) => x.total_cmp(y),
        (Value::Str(x), Value::Str(y)) => x.cmp(y),
        (Value::Bytes(x), Value::Bytes(y)) => x.cmp(y),
        _ => match (exact(a), exact(b)) {
            (Some(x), Some(y)) => decimals(x, y),
            _ => Ordering::Equal,
        },
    }
}

fn exact(value: &Value) -> Option<(i128, u8)> {
    match value {
        Value::Int(n) => Some((i128::from(*n), 0)),
        Value::Decimal { mantissa, scale } => Some((*mantissa, *scale)),
        _ => None,
    }
}

/// By whole part, then by fraction, so that nothing overflows.
fn decimals((a, s): (i128, u8), (b, t): (i128, u8)) -> Ordering {
    let (p, q) = (decimal::pow10(s), decimal::pow10(t));
    let fraction = |m: i128, p: i128, scale: u8| (m % p) * decimal::pow10(38 - scale);
    (a / p).cmp(&(b / q)).then_with(|| fraction(a, p, s).cmp(&fraction(b, q, t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexicographic() {
        let check = |a: &str, b: &str, data_type: &DataType, expect: Ordering| {
            assert_eq!(compare(a, b, data_type), expect, "{a} {b}");
            assert_eq!(compare(b, a, data_type), expect.reverse(), "{b} {a}");
        };
        let numbers = DataType::array(DataType::decimal(2));
        check("[1.00,2.00]", "[1.00,10.00]", &numbers, Ordering::Less);
        check("[1.00]", "[1.00,null]", &numbers, Ordering::Less);
        check("[null]", "[0.00]", &numbers, Ordering::Less);
        check("[-1.50]", "[-1.25]", &numbers, Ordering::Less);
        check("[]", "[]", &numbers, Ordering::Equal);
        let wide = DataType::array(DataType::decimal(0));
        let most = "[99999999999999999999999999999999999999]";
        check("[0.5]", most, &wide, Ordering::Less);
        let point = DataType::structure([("b", DataType::Integer), ("a", DataType::String)]);
        check("{\"b\":2,\"a\":\"x\"}", "{\"b\":10,\"a\":\"a\"}", &point, Ordering::Less);
        check("{\"b\":2,\"a\":\"x\"}", "{\"b\":2,\"a\":\"y\"}", &point, Ordering::Less);
        check("{\"a\":\"x\"}", "{\"b\":2}", &point, Ordering::Less);
    }
}
