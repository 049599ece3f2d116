//! Text to dates and times: the forms CAST, literals and comparisons accept. Surrounding white space is ignored.

use velostream_types::time::{NS_PER_DAY, NS_PER_MS, NS_PER_SEC, parse_date, parse_timestamp};
use velostream_types::{DataType, Value};

/// `YYYY-MM-DD`, `YYYY/MM/DD`, `MM/DD/YYYY` or `DD-MM-YYYY`: days since 1970.
pub fn date(text: &str) -> Option<i32> {
    let b: &[u8; 10] = text.trim().as_bytes().try_into().ok()?;
    let iso = |y: usize, m: usize, d: usize| {
        let mut iso = *b"0000-00-00";
        iso[..4].copy_from_slice(&b[y..y + 4]);
        iso[5..7].copy_from_slice(&b[m..m + 2]);
        iso[8..].copy_from_slice(&b[d..d + 2]);
        parse_date(std::str::from_utf8(&iso).ok()?)
    };
    match (b[2], b[4], b[5], b[7]) {
        (_, b'-', _, b'-') | (_, b'/', _, b'/') => iso(0, 5, 8),
        (b'/', _, b'/', _) => iso(6, 0, 3),
        (b'-', _, b'-', _) => iso(6, 3, 0),
        _ => None,
    }
}

/// RFC 3339, `YYYY-MM-DD[ T]HH:MM[:SS[.f]]` or the same with slashes in the date; naive text is UTC; a bare date is its
/// midnight. Nanoseconds since 1970.
pub fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let b = text.as_bytes();
    if b.get(4) != Some(&b'/') || b.get(7) != Some(&b'/') {
        return parse_timestamp(text);
    }
    // The longest form, with nine fraction digits and an offset, has 35 bytes.
    let mut dashed = [0u8; 40];
    let dashed = dashed.get_mut(..b.len())?;
    dashed.copy_from_slice(b);
    (dashed[4], dashed[7]) = (b'-', b'-');
    parse_timestamp(std::str::from_utf8(dashed).ok()?)
}

/// `HH:MM[:SS[.f]]`: nanoseconds since midnight.
pub fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.trim().split_once('.').map_or((text.trim(), None), |(clock, f)| (clock, Some(f)));
    let b = clock.as_bytes();
    if !matches!(b.len(), 5 | 8)
        || b[2] != b':'
        || (b.len() == 8 && b[5] != b':')
        || (b.len() == 5 && fraction.is_some())
    {
        return None;
    }
    let pair = |at: usize, limit: i64| {
        let digits = b.get(at..at + 2)?;
        let value = digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| i64::from(digits[0] - b'0') * 10 + i64::from(digits[1] - b'0'))?;
        (value < limit).then_some(value)
    };
    let seconds = if b.len() == 8 { pair(6, 60)? } else { 0 };
    let whole = pair(0, 24)? * 3600 + pair(3, 60)? * 60 + seconds;
    let nanos = match fraction {
        None => 0,
        Some(f) if (1..=9).contains(&f.len()) && f.bytes().all(|c| c.is_ascii_digit()) => {
            f.parse::<i64>().ok()? * 10i64.pow(9 - f.len() as u32)
        }
        Some(_) => return None,
    };
    Some(whole * NS_PER_SEC + nanos)
}

/// A duration as it is written out: a whole number and a unit, `90s`. Nanoseconds.
pub fn interval(text: &str) -> Option<i64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let unit = match &text[at..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => NS_PER_MS,
        "s" => NS_PER_SEC,
        "m" => 60 * NS_PER_SEC,
        "h" => 3_600 * NS_PER_SEC,
        "d" => NS_PER_DAY,
        _ => return None,
    };
    text[..at].parse::<i64>().ok()?.checked_mul(unit)
}

/// The date, timestamp or time that text names; `None` when it names none, or the type is another.
pub fn value(text: &str, data_type: &DataType) -> Option<Value> {
    match data_type {
        DataType::Date => date(text).map(Value::Date),
        DataType::Timestamp => timestamp(text).map(Value::Timestamp),
        DataType::Time => time(text).map(Value::Time),
        _ => None,
    }
}

/// How text of this type is written, for hints.
pub fn expected(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Time => "write it as 'HH:MM:SS'",
        _ => "write it as 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_reference_says() {
        for text in ["2024-02-29", "2024/02/29", "02/29/2024", "29-02-2024", " 2024-02-29 "] {
            assert_eq!(date(text), Some(19_782), "{text}");
        }
        for text in ["2023-02-29", "2024.02.29", "29/02/2024", "2024-2-9", "2024-02/29"] {
            assert_eq!(date(text), None, "{text}");
        }
        let noon = 19_782 * NS_PER_DAY + NS_PER_DAY / 2;
        for text in ["2024-02-29T12:00Z", "2024/02/29 12:00:00", "2024-02-29 13:00:00.000+01:00"] {
            assert_eq!(timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(timestamp("2024/02/29 12:00:00 and much more text than any timestamp has"), None);
        for (text, expect) in [
            ("00:00", Some(0)),
            (" 12:30:05 ", Some(45_005 * NS_PER_SEC)),
            ("23:59:59.5", Some(86_399 * NS_PER_SEC + NS_PER_SEC / 2)),
            ("24:00", None),
            ("12:60", None),
            ("1:00", None),
            ("12:00.5", None),
            ("12:00:00.", None),
            ("ab:cd", None),
        ] {
            assert_eq!(time(text), expect, "{text}");
        }
    }
}
