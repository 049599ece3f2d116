//! Values as text, the way keys, assertions and reports say them: `NULL`, shortest floats (`15025`), decimals at their
//! scale, `YYYY-MM-DD HH:MM:SS[.f]`.

use std::borrow::Cow;

use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, civil_from_days};
use velostream_types::{Value, decimal};

/// The text of a value; strings are borrowed.
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(s) | Value::Json(s) => Cow::Borrowed(s),
        Value::Null => Cow::Borrowed("NULL"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Float(x) => Cow::Owned(float_text(*x)),
        Value::Decimal { mantissa, scale } => Cow::Owned(decimal::to_text(*mantissa, *scale)),
        Value::Timestamp(ns) => Cow::Owned(timestamp_text(*ns, ' ')),
        other => Cow::Owned(other.to_string()),
    }
}

/// The shortest text that reads back as this float; whole ones without a point.
pub fn float_text(x: f64) -> String {
    let text = decimal::float_text(x);
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Date and time of nanoseconds since 1970 with `between` between them; a fraction of 3, 6 or 9 digits where there is one.
pub fn timestamp_text(ns: i64, between: char) -> String {
    let (days, rest) = (ns.div_euclid(NS_PER_DAY), ns.rem_euclid(NS_PER_DAY));
    let (secs, fraction) = (rest / NS_PER_SEC, rest % NS_PER_SEC);
    let (year, month, day) = civil_from_days(days);
    let mut out = String::with_capacity("YYYY-MM-DDTHH:MM:SS.fffffffff".len());
    // Digit by digit, because it is written for every record.
    let mut digits = |before: Option<char>, n: i64, first_unit: i64| {
        out.extend(before);
        let mut unit = first_unit;
        while unit > 0 {
            out.push(char::from(b'0' + (n / unit % 10) as u8));
            unit /= 10;
        }
    };
    digits(None, year, 1_000);
    digits(Some('-'), i64::from(month), 10);
    digits(Some('-'), i64::from(day), 10);
    digits(Some(between), secs / 3600, 10);
    digits(Some(':'), secs / 60 % 60, 10);
    digits(Some(':'), secs % 60, 10);
    match fraction {
        0 => {}
        f if f % 1_000_000 == 0 => digits(Some('.'), f / 1_000_000, 100),
        f if f % 1_000 == 0 => digits(Some('.'), f / 1_000, 100_000),
        f => digits(Some('.'), f, 100_000_000),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_its_text() {
        let cases = [
            (Value::Null, "NULL"),
            (Value::Bool(true), "true"),
            (Value::Bool(false), "false"),
            (Value::Int(-7), "-7"),
            (Value::Float(15_025.0), "15025"),
            (Value::Float(0.1), "0.1"),
            (Value::Float(-0.0), "0"),
            (Value::Float(1e300), "1e300"),
            (Value::Decimal { mantissa: 15_025_000, scale: 3 }, "15025.000"),
            (Value::Str("a\"b".into()), "a\"b"),
            (Value::Json("{\"a\":1}".into()), "{\"a\":1}"),
            (Value::Date(19_782), "2024-02-29"),
            (Value::Timestamp(1_700_000_000_000_000_000), "2023-11-14 22:13:20"),
            (Value::Timestamp(1_700_000_000_120_000_000), "2023-11-14 22:13:20.120"),
            (Value::Timestamp(-1), "1969-12-31 23:59:59.999999999"),
            (Value::Timestamp(1_000), "1970-01-01 00:00:00.000001"),
            (Value::Timestamp(i64::MIN), "1677-09-21 00:12:43.145224192"),
            (Value::Timestamp(i64::MAX), "2262-04-11 23:47:16.854775807"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value), expected);
        }
        assert_eq!(timestamp_text(0, 'T'), "1970-01-01T00:00:00");
    }
}
