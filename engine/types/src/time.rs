//! Event time: nanoseconds since 1970-01-01T00:00:00Z in an `i64` (1677 to 2262), its text forms and its grid.
//!
//! Calendar conversions follow the proleptic Gregorian calendar (the days-from-civil method of Howard Hinnant's
//! "chrono-Compatible Low-Level Date Algorithms").

/// Nanoseconds in a millisecond.
pub const NS_PER_MS: i64 = 1_000_000;
/// Nanoseconds in a second.
pub const NS_PER_SEC: i64 = 1_000_000_000;
/// Nanoseconds in a day.
pub const NS_PER_DAY: i64 = 86_400 * NS_PER_SEC;
/// Watermark of a partition that has not given a row.
pub const WM_NONE: i64 = i64::MIN;
/// Watermark after the end of input: everything fires.
pub const WM_END: i64 = i64::MAX;

/// Start of the window of `size` that holds `t`; right for negative times.
#[inline]
pub const fn floor_to(t: i64, size: i64) -> i64 {
    t.saturating_sub(t.rem_euclid(size))
}

/// Milliseconds of a nanosecond time, floored.
#[inline]
pub const fn ns_to_ms(t: i64) -> i64 {
    t.div_euclid(NS_PER_MS)
}

/// Days since the epoch of a civil date.
pub const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month as i64 + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day as i64 - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// Civil date (year, month, day) of days since the epoch.
pub const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + (month <= 2) as i64, month, day)
}

/// Days in a month.
pub const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// `YYYY-MM-DD`.
pub fn date_text(days: i32) -> String {
    let (y, m, d) = civil_from_days(i64::from(days));
    format!("{y:04}-{m:02}-{d:02}")
}

/// `YYYY-MM-DD HH:MM:SS.fff` with 3, 6 or 9 fraction digits, as few as hold the value.
pub fn timestamp_text(t: i64) -> String {
    let days = t.div_euclid(NS_PER_DAY);
    format!("{} {}", date_text(days as i32), time_text(t.rem_euclid(NS_PER_DAY)))
}

/// `HH:MM:SS.fff` of nanoseconds since midnight, with 3, 6 or 9 fraction digits.
pub fn time_text(ns: i64) -> String {
    let (secs, frac) = (ns / NS_PER_SEC, ns % NS_PER_SEC);
    let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
    if frac % 1_000_000 == 0 {
        format!("{h:02}:{m:02}:{s:02}.{:03}", frac / 1_000_000)
    } else if frac % 1_000 == 0 {
        format!("{h:02}:{m:02}:{s:02}.{:06}", frac / 1_000)
    } else {
        format!("{h:02}:{m:02}:{s:02}.{frac:09}")
    }
}

/// A duration in its largest whole unit: `10s`, `1500ms`, `2h`.
pub fn duration_text(ns: i64) -> String {
    const UNITS: [(i64, &str); 7] = [
        (NS_PER_DAY, "d"),
        (3600 * NS_PER_SEC, "h"),
        (60 * NS_PER_SEC, "m"),
        (NS_PER_SEC, "s"),
        (NS_PER_MS, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if ns == 0 {
        return "0s".to_owned();
    }
    UNITS
        .iter()
        .find(|(unit, _)| ns % unit == 0)
        .map_or_else(String::new, |(unit, name)| format!("{}{name}", ns / unit))
}

/// `YYYY-MM-DD` to days since the epoch; `None` when it is no such date.
pub fn parse_date(text: &str) -> Option<i32> {
    let b = text.as_bytes();
    if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let (y, m, d) = (digits(&b[0..4])?, digits(&b[5..7])? as u32, digits(&b[8..10])? as u32);
    if m == 0 || m > 12 || d == 0 || d > days_in_month(y, m) {
        return None;
    }
    i32::try_from(days_from_civil(y, m, d)).ok()
}

/// A point in time as people give it to commands: milliseconds since the epoch, or what [`parse_timestamp`] takes.
/// Nanoseconds since the epoch; `None` when malformed or outside 1677-2262.
pub fn parse_instant(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(ms) => ms.checked_mul(NS_PER_MS),
        Err(_) => parse_timestamp(text),
    }
}

/// RFC 3339 or `YYYY-MM-DD[ T]HH:MM[:SS[.fraction]]` with an optional `Z` or `±HH:MM`, naive text being UTC, also a
/// bare date (midnight). Nanoseconds since the epoch; `None` when malformed or outside 1677-2262.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let date = parse_date(text.get(..10)?)?;
    let midnight = i128::from(date) * i128::from(NS_PER_DAY);
    if b.len() == 10 {
        return i64::try_from(midnight).ok();
    }
    if b.len() < 16 || !matches!(b[10], b' ' | b'T' | b't') || b[13] != b':' {
        return None;
    }
    let (h, m) = (digits(&b[11..13])?, digits(&b[14..16])?);
    let (mut s, mut frac, mut at) = (0i64, 0i64, 16);
    if b.get(at) == Some(&b':') {
        s = digits(b.get(17..19)?)?;
        at = 19;
        if matches!(b.get(at), Some(b'.' | b',')) {
            let end = b[at + 1..].iter().position(|c| !c.is_ascii_digit()).map_or(b.len(), |n| at + 1 + n);
            let text = &b[at + 1..end];
            if text.is_empty() || text.len() > 9 {
                return None;
            }
            frac = digits(text)? * 10i64.pow(9 - text.len() as u32);
            at = end;
        }
    }
    let offset = match &b[at..] {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (oh, om) = match rest {
                [a, b, b':', c, d] | [a, b, c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
                [a, b] => (digits(&[*a, *b])?, 0),
                _ => return None,
            };
            if oh > 23 || om > 59 {
                return None;
            }
            let secs = oh * 3600 + om * 60;
            if *sign == b'-' { -secs } else { secs }
        }
        _ => return None,
    };
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let secs = i128::from(h * 3600 + m * 60 + s - offset);
    i64::try_from(midnight + secs * i128::from(NS_PER_SEC) + i128::from(frac)).ok()
}

fn digits(b: &[u8]) -> Option<i64> {
    b.iter().try_fold(0i64, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_round_trips() {
        for days in [-719_468, -1, 0, 1, 59, 60, 11_016, 19_723, 2_932_896] {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(date_text(19_782), "2024-02-29");
    }

    #[test]
    fn timestamps_parse_and_print() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:01Z"), Some(NS_PER_SEC));
        assert_eq!(parse_timestamp("1970-01-01 01:00:00.5+01:00"), Some(NS_PER_SEC / 2));
        assert_eq!(parse_timestamp("1969-12-31 23:59:59"), Some(-NS_PER_SEC));
        assert_eq!(parse_instant("1970-01-01T00:00:01Z"), Some(NS_PER_SEC));
        assert_eq!(parse_instant("-1000"), Some(-NS_PER_SEC));
        assert_eq!([parse_instant("9223372036854775807"), parse_instant("soon")], [None; 2]);
        assert_eq!(timestamp_text(-1), "1969-12-31 23:59:59.999999999");
        assert_eq!(timestamp_text(1_500_000), "1970-01-01 00:00:00.001500");
        for bad in ["2024-02-30", "2024-1-01", "2024-01-01T25:00", "2024-01-01T10:00:00.Z", "9999-01-01", "x"] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_grid_is_right_for_negative_times() {
        assert_eq!(floor_to(-1, 10), -10);
        assert_eq!(floor_to(10, 10), 10);
        assert_eq!(floor_to(i64::MIN, 1_000), i64::MIN);
        assert_eq!(duration_text(90 * NS_PER_SEC), "90s");
    }
}
