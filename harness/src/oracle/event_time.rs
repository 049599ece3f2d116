//! Event time of a row.

use velostream_sql::plan::TimeFormat;
use velostream_types::Value;

use super::convert::timestamp_of_text;

/// Nanoseconds of an event-time value; `None` when it is missing, malformed or outside the range of nanoseconds.
pub(super) fn nanoseconds(value: &Value, format: &TimeFormat) -> Option<i64> {
    let epoch = |unit: i64| whole(value)?.checked_mul(unit);
    match (format, value) {
        (_, Value::Null) => None,
        (_, Value::Timestamp(t)) => Some(*t),
        (TimeFormat::Auto, Value::Int(ms)) => ms.checked_mul(1_000_000),
        (TimeFormat::Auto | TimeFormat::Iso8601, Value::Str(s)) => timestamp_of_text(s),
        (TimeFormat::EpochSeconds, _) => epoch(1_000_000_000),
        (TimeFormat::EpochMillis, _) => epoch(1_000_000),
        (TimeFormat::EpochMicros, _) => epoch(1_000),
        (TimeFormat::EpochNanos, _) => epoch(1),
        (TimeFormat::Strftime(pattern), Value::Str(s)) => strftime(pattern, s),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Str(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The common subset of patterns: `%Y %m %d %H %M %S %f` and literal characters; naive text is UTC.
fn strftime(pattern: &str, text: &str) -> Option<i64> {
    let (mut date, mut clock, mut fraction) =
        (["0000".to_owned(), "01".into(), "01".into()], ["00", "00", "00"].map(String::from), String::from("0"));
    let mut rest = text.trim();
    let mut marks = pattern.chars();
    while let Some(mark) = marks.next() {
        if mark != '%' {
            rest = rest.strip_prefix(mark)?;
            continue;
        }
        let field = marks.next()?;
        let most = if field == 'Y' {
            4
        } else if field == 'f' {
            9
        } else {
            2
        };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(most).collect();
        rest = rest.get(digits.len()..)?;
        match field {
            'Y' => date[0] = digits,
            'm' => date[1] = format!("{digits:0>2}"),
            'd' => date[2] = format!("{digits:0>2}"),
            'H' => clock[0] = format!("{digits:0>2}"),
            'M' => clock[1] = format!("{digits:0>2}"),
            'S' => clock[2] = format!("{digits:0>2}"),
            'f' => fraction = digits,
            _ => return None,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    timestamp_of_text(&format!("{} {}.{fraction}", date.join("-"), clock.join(":")))
}
