//! Moments as specs write them: `now`, `-4h`, `+30m`, or a date and time.

use velostream_sql::duration::unit_ns;
use velostream_types::time::{NS_PER_MS, parse_timestamp};

use crate::spec::Moment;

/// How a moment is written, for hints.
pub const FORMS: &str = "`now`, a span from now such as `-4h` or `+30m`, or a time such as `2024-01-31T09:30:00Z`";

/// Reads a moment; `None` where the text is none.
pub fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    if text == "now" {
        return Some(Moment::Relative(0));
    }
    if let Some(ms) = instant_ms(text) {
        return Some(Moment::At(ms));
    }
    let (sign, span) = match text.split_at_checked(1)? {
        ("-", span) => (-1, span),
        ("+", span) => (1, span),
        _ => return None,
    };
    let digits = span.find(|c: char| !c.is_ascii_digit()).unwrap_or(span.len());
    let number: i64 = span[..digits].parse().ok()?;
    let ms = number.checked_mul(unit_ns(span[digits..].trim())?)? / NS_PER_MS;
    Some(Moment::Relative(sign * ms))
}

/// Ms since the epoch of a date and time.
pub fn instant_ms(text: &str) -> Option<i64> {
    parse_timestamp(text.trim()).map(|ns| ns.div_euclid(NS_PER_MS))
}

/// Whether `start` is behind `end` whatever the time is; unknown where only one of them depends on it.
pub fn is_reversed(start: Moment, end: Moment, may_be_equal: bool) -> bool {
    let (start_ms, end_ms) = match (start, end) {
        (Moment::Relative(start), Moment::Relative(end)) | (Moment::At(start), Moment::At(end)) => (start, end),
        _ => return false,
    };
    start_ms > end_ms || (start_ms == end_ms && !may_be_equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let hour = 3_600_000;
        for (text, expect) in [
            ("now", Some(Moment::Relative(0))),
            ("-4h", Some(Moment::Relative(-4 * hour))),
            ("+1h", Some(Moment::Relative(hour))),
            ("-30m", Some(Moment::Relative(-hour / 2))),
            ("-60s", Some(Moment::Relative(-60_000))),
            ("-1d", Some(Moment::Relative(-24 * hour))),
            ("-250 ms", Some(Moment::Relative(-250))),
            ("1970-01-01T01:00:00Z", Some(Moment::At(hour))),
            ("1970-01-01T01:00:00.250+01:00", Some(Moment::At(250))),
            ("1970-01-02", Some(Moment::At(24 * hour))),
            ("4h", None),
            ("-4", None),
            ("-h", None),
            ("-4 fortnights", None),
            ("-99999999999999d", None),
            ("yesterday", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(parse(text), expect, "{text}");
        }
    }

    #[test]
    fn order() {
        let (early, late) = (Moment::Relative(-5), Moment::Relative(0));
        assert!(is_reversed(late, early, true) && !is_reversed(early, late, false));
        assert!(is_reversed(late, late, false) && !is_reversed(late, late, true));
        assert!(!is_reversed(Moment::At(10), early, false), "it depends on the time of the run");
        assert!(is_reversed(Moment::At(10), Moment::At(9), false));
    }
}
