//! Durations as property values: `5s`, `30 seconds`, `1.5m`, `0`, or a bare number in the key's own unit.
//!
//! The grammar of durations inside SQL belongs to the parser; both share the unit names of [`unit_ns`]. Values are
//! exact: fractions are computed on integers and must come out as whole nanoseconds.

use velostream_types::time::{NS_PER_DAY, NS_PER_MS, NS_PER_SEC};

/// Nanoseconds of a unit name, singular, plural or short; case is ignored. `M` is minutes as `m` is.
pub fn unit_ns(name: &str) -> Option<i64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "ns" | "nanosecond" | "nanoseconds" => 1,
        "us" | "μs" | "µs" | "microsecond" | "microseconds" => 1_000,
        "ms" | "millisecond" | "milliseconds" | "millis" => NS_PER_MS,
        "s" | "sec" | "secs" | "second" | "seconds" => NS_PER_SEC,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * NS_PER_SEC,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600 * NS_PER_SEC,
        "d" | "day" | "days" => NS_PER_DAY,
        "w" | "week" | "weeks" => 7 * NS_PER_DAY,
        _ => return None,
    })
}

/// Nanoseconds of a property duration. A number without a unit counts `bare_ns` each. The error says what is wrong,
/// as the end of a sentence that starts with the value.
pub fn parse(text: &str, bare_ns: i64) -> Result<i64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let scale_ns = match unit {
        "" => bare_ns,
        name => unit_ns(name).ok_or_else(|| {
            if number.is_empty() { "is not a duration".to_owned() } else { format!("has the unknown unit \"{name}\"") }
        })?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return Err("is not a duration".to_owned());
    }
    let too_long = || "is longer than 292 years".to_owned();
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
    let mut total = whole.checked_mul(i128::from(scale_ns)).ok_or_else(too_long)?;
    if !fraction.is_empty() {
        let parts: i128 = fraction.parse().map_err(|_| "is not a duration".to_owned())?;
        let one = 10i128.pow(fraction.len() as u32);
        let scaled = parts * i128::from(scale_ns);
        if scaled % one != 0 {
            return Err("is finer than a nanosecond".to_owned());
        }
        total += scaled / one;
    }
    i64::try_from(total).map_err(|_| too_long())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expect: Result<i64, &str>| {
            assert_eq!(parse(text, NS_PER_SEC), expect.map_err(str::to_owned), "{text}");
        };
        check("5s", Ok(5 * NS_PER_SEC));
        check("30 seconds", Ok(30 * NS_PER_SEC));
        check("1.5m", Ok(90 * NS_PER_SEC));
        check("0", Ok(0));
        check("7", Ok(7 * NS_PER_SEC));
        check(".5 h", Ok(1800 * NS_PER_SEC));
        check("2 Weeks", Ok(14 * NS_PER_DAY));
        check("250μs", Ok(250_000));
        check("", Err("is not a duration"));
        check("abc", Err("is not a duration"));
        check("1.2.3s", Err("is not a duration"));
        check("-5s", Err("is negative"));
        check("5 fortnights", Err("has the unknown unit \"fortnights\""));
        check("0.5ns", Err("is finer than a nanosecond"));
        check("99999999999999999999 d", Err("is longer than 292 years"));
        assert_eq!(parse("1000", NS_PER_MS), Ok(NS_PER_SEC));
    }
}
