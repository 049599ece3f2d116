//! Durations as property values: `5s`, `30 seconds`, `1.5m`, `0`, or a bare number in the key's own unit.
//!
//! The grammar of durations inside SQL belongs to the parser (`parse/duration.rs`); both share the units here. Values
//! are exact: fractions are computed on integers and must come out as whole nanoseconds.

use velostream_types::time::{NS_PER_DAY, NS_PER_MS, NS_PER_SEC};

use crate::suggest;

/// The units a duration may have, for hints.
pub const UNITS_IN_WORDS: &str = "units are ns, us, ms, s, m, h, d, w, or MILLISECOND, SECOND, MINUTE, HOUR, DAY, WEEK";

/// Nanoseconds of each unit and the names it goes by, in lower case.
const UNITS: [(i64, &[&str]); 8] = [
    (1, &["ns", "nanosecond", "nanoseconds"]),
    (1_000, &["us", "μs", "µs", "microsecond", "microseconds"]),
    (NS_PER_MS, &["ms", "milli", "millis", "millisecond", "milliseconds"]),
    (NS_PER_SEC, &["s", "sec", "secs", "second", "seconds"]),
    (60 * NS_PER_SEC, &["m", "min", "mins", "minute", "minutes"]),
    (3_600 * NS_PER_SEC, &["h", "hr", "hrs", "hour", "hours"]),
    (NS_PER_DAY, &["d", "day", "days"]),
    (7 * NS_PER_DAY, &["w", "week", "weeks"]),
];

/// Nanoseconds of a unit name, singular, plural or short; case is ignored. `M` is minutes as `m` is.
pub fn unit_ns(name: &str) -> Option<i64> {
    let lower = name.to_lowercase();
    UNITS.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(ns, _)| *ns)
}

/// What to write instead of an unknown unit: the one it resembles, else all of them.
pub fn unit_hint(unknown: &str) -> String {
    let names = UNITS.iter().flat_map(|(_, names)| names.iter().copied());
    suggest::did_you_mean(unknown, names).unwrap_or_else(|| UNITS_IN_WORDS.to_owned())
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
        check("3 hrs", Ok(3 * 3_600 * NS_PER_SEC));
        check("", Err("is not a duration"));
        check("abc", Err("is not a duration"));
        check("1.2.3s", Err("is not a duration"));
        check("-5s", Err("is negative"));
        check("5 fortnights", Err("has the unknown unit \"fortnights\""));
        check("0.5ns", Err("is finer than a nanosecond"));
        check("99999999999999999999 d", Err("is longer than 292 years"));
        assert_eq!(parse("1000", NS_PER_MS), Ok(NS_PER_SEC));
    }

    #[test]
    fn hints_for_units() {
        let check = |unknown: &str, expect: &str| assert_eq!(unit_hint(unknown), expect, "{unknown}");
        check("secnds", "did you mean \"seconds\"?");
        check("Minuts", "did you mean \"minute\"?");
        check("parsecs", UNITS_IN_WORDS);
        check("x", UNITS_IN_WORDS);
    }
}
