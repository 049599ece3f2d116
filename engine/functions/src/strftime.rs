//! Times by a strftime pattern, read and written. Event-time formats, DATE_FORMAT and TO_TIMESTAMP come through here.
//!
//! Directives follow POSIX strftime and strptime: `%Y %y %m %d %e %j %H %I %M %S %p %a %A %b %B %u %w %G %V %z %Z %s`,
//! `%F %T %D %R`, `%n %t %%`, and fractions `%f` (nine digits), `%3f %6f %9f`, `%.f %.3f %.6f %.9f` with their point.
//! Names are English. Text without an offset is UTC, and so is what is written. Cost: one pass over the pattern, nothing
//! allocated.

use std::fmt::Write;

use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, civil_from_days, days_from_civil, days_in_month};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Literal(char),
    /// A plain directive by its letter.
    Field(char),
    /// A fraction of a second: digits, and whether its point comes with it.
    Fraction(Option<u8>, bool),
    /// Short for another pattern.
    Short(&'static str),
}

/// Takes the next element off the pattern; the inner `None` is no directive.
fn next(pattern: &mut std::str::Chars<'_>) -> Option<Option<Item>> {
    let c = pattern.next()?;
    if c != '%' {
        return Some(Some(Item::Literal(c)));
    }
    let Some(directive) = pattern.next() else { return Some(None) };
    let digits = |c: char| c.to_digit(10).filter(|d| matches!(d, 3 | 6 | 9)).map(|d| d as u8);
    Some(match directive {
        'T' => Some(Item::Short("%H:%M:%S")),
        'F' => Some(Item::Short("%Y-%m-%d")),
        'D' => Some(Item::Short("%m/%d/%y")),
        'R' => Some(Item::Short("%H:%M")),
        '%' => Some(Item::Literal('%')),
        'n' => Some(Item::Literal('\n')),
        't' => Some(Item::Literal('\t')),
        'f' => Some(Item::Fraction(None, false)),
        '.' => match pattern.next() {
            Some('f') => Some(Item::Fraction(None, true)),
            Some(c) => digits(c).filter(|_| pattern.next() == Some('f')).map(|d| Item::Fraction(Some(d), true)),
            None => None,
        },
        'h' => Some(Item::Field('b')),
        c if "YymdejHIMSpaAbBuwGVzZs".contains(c) => Some(Item::Field(c)),
        c => digits(c).filter(|_| pattern.next() == Some('f')).map(|d| Item::Fraction(Some(d), false)),
    })
}

/// What is wrong with a pattern.
pub fn check(pattern: &str) -> Result<(), String> {
    let mut rest = pattern.chars();
    loop {
        let from = rest.as_str();
        match next(&mut rest) {
            None => return Ok(()),
            Some(Some(_)) => {}
            Some(None) => {
                let directive = &from[..from.len() - rest.as_str().len()];
                return Err(format!("'{directive}' is no strftime directive"));
            }
        }
    }
}

/// Nanoseconds since the epoch of `text` under `pattern`; `None` when it does not match as a whole.
pub fn parse(text: &str, pattern: &str) -> Option<i64> {
    let mut at = Parts { year: 1970, month: 1, day: 1, ..Parts::default() };
    let mut rest = text;
    at.take(&mut rest, pattern)?;
    if rest.is_empty() { at.nanos_since_epoch() } else { None }
}

#[derive(Default)]
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    /// Of a 12-hour clock: behind noon or not.
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: i64,
    epoch: Option<i64>,
}

impl Parts {
    /// Takes what `pattern` describes off `rest`.
    fn take(&mut self, rest: &mut &str, pattern: &str) -> Option<()> {
        let mut items = pattern.chars();
        while let Some(item) = next(&mut items) {
            match item? {
                Item::Literal(c) => *rest = rest.strip_prefix(c)?,
                Item::Short(pattern) => self.take(rest, pattern)?,
                Item::Fraction(digits, point) => match rest.strip_prefix('.') {
                    Some(after) if point => {
                        *rest = after;
                        self.nanos = fraction(rest, digits.unwrap_or(9))?;
                    }
                    None if point => {}
                    _ => self.nanos = fraction(rest, digits.unwrap_or(9))?,
                },
                Item::Field(letter) => self.field(letter, rest)?,
            }
        }
        Some(())
    }

    fn field(&mut self, letter: char, rest: &mut &str) -> Option<()> {
        match letter {
            'Y' => self.year = number(rest, 4)?,
            // POSIX: 69 to 99 are of the last century.
            'y' => self.year = number(rest, 2).map(|y| if y < 69 { 2000 + y } else { 1900 + y })?,
            'm' => self.month = number(rest, 2)?,
            'd' => self.day = number(rest, 2)?,
            'e' => {
                *rest = rest.strip_prefix(' ').unwrap_or(rest);
                self.day = number(rest, 2)?;
            }
            'j' => self.day_of_year = Some(number(rest, 3)?),
            'H' | 'I' => self.hour = number(rest, 2)?,
            'M' => self.minute = number(rest, 2)?,
            'S' => self.second = number(rest, 2)?,
            'p' => self.afternoon = Some(name(rest, &["AM", "PM"], 2)? == 1),
            'b' | 'B' => self.month = name(rest, &MONTHS, 3)? as i64 + 1,
            'a' | 'A' => {
                name(rest, &DAYS, 3)?;
            }
            'z' => self.offset = offset(rest)?,
            'Z' => *rest = rest.strip_prefix("UTC")?,
            's' => {
                let negative = rest.starts_with('-');
                *rest = rest.strip_prefix('-').unwrap_or(rest);
                let seconds = number(rest, 12)?;
                self.epoch = Some(if negative { -seconds } else { seconds });
            }
            // Weeks and their days name no date on their own.
            _ => return None,
        }
        Some(())
    }

    fn nanos_since_epoch(&self) -> Option<i64> {
        if let Some(epoch) = self.epoch {
            return epoch.checked_mul(NS_PER_SEC)?.checked_add(self.nanos);
        }
        let (month, day) = match self.day_of_year {
            Some(day) => {
                let leap = i64::from(days_in_month(self.year, 2) == 29);
                let date = days_from_civil(self.year, 1, 1) + day - 1;
                let (_, month, day_of_month) = civil_from_days(date);
                (1..=365 + leap).contains(&day).then_some((month, day_of_month))?
            }
            None => (u32::try_from(self.month).ok()?, u32::try_from(self.day).ok()?),
        };
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(self.year, month) {
            return None;
        }
        let hour = match self.afternoon {
            Some(_) if !(1..=12).contains(&self.hour) => return None,
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let days = i128::from(days_from_civil(self.year, month, day));
        let secs = hour * 3600 + self.minute * 60 + self.second - self.offset;
        i64::try_from(
            days * i128::from(NS_PER_DAY) + i128::from(secs) * i128::from(NS_PER_SEC) + i128::from(self.nanos),
        )
        .ok()
    }
}

/// Takes one to `most` digits.
fn number(rest: &mut &str, most: usize) -> Option<i64> {
    let n = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(n);
    *rest = after;
    (n > 0).then(|| digits.bytes().fold(0i64, |v, c| v * 10 + i64::from(c - b'0')))
}

/// Takes one to `most` digits as a fraction of a second, in nanoseconds.
fn fraction(rest: &mut &str, most: u8) -> Option<i64> {
    let before = rest.len();
    let value = number(rest, usize::from(most))?;
    Some(value * 10i64.pow(9 - (before - rest.len()) as u32))
}

/// Takes one of the names, whole or its first `short` letters, in any case: its place in the list.
fn name(rest: &mut &str, names: &[&str], short: usize) -> Option<usize> {
    let begins = |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let whole = names.iter().position(|name| begins(name)).map(|i| (i, names[i].len()));
    let (found, length) = whole.or_else(|| Some((names.iter().position(|name| begins(&name[..short]))?, short)))?;
    *rest = &rest[length..];
    Some(found)
}

/// Takes `Z`, `±HH`, `±HHMM` or `±HH:MM`; seconds east of UTC.
fn offset(rest: &mut &str) -> Option<i64> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Some(0);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = number(rest, 2)?;
    if let Some(after) = rest.strip_prefix(':') {
        *rest = after;
    }
    let minutes = if rest.as_bytes().first().is_some_and(u8::is_ascii_digit) { number(rest, 2)? } else { 0 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Appends the time under `pattern`, which [`check`] accepted; elsewhere a directive that is none stops it.
pub fn write(ns: i64, pattern: &str, out: &mut String) {
    let mut items = pattern.chars();
    while let Some(Some(item)) = next(&mut items) {
        match item {
            Item::Literal(c) => out.push(c),
            Item::Short(pattern) => write(ns, pattern, out),
            Item::Fraction(digits, point) => {
                let digits = usize::from(digits.unwrap_or(9));
                let fraction = ns.rem_euclid(NS_PER_SEC) / 10i64.pow(9 - digits as u32);
                // Writing to a `String` cannot fail.
                let _ = write!(out, "{}{fraction:0digits$}", if point { "." } else { "" });
            }
            Item::Field(letter) => field(ns, letter, out),
        }
    }
}

fn field(ns: i64, letter: char, out: &mut String) {
    let days = ns.div_euclid(NS_PER_DAY);
    let seconds = ns.rem_euclid(NS_PER_DAY) / NS_PER_SEC;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil_from_days(days);
    let weekday = (days + 4).rem_euclid(7);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[weekday as usize]);
    // Writing to a `String` cannot fail.
    let _ = match letter {
        'Y' => write!(out, "{year:04}"),
        'y' => write!(out, "{:02}", year.rem_euclid(100)),
        'm' => write!(out, "{month:02}"),
        'd' => write!(out, "{day:02}"),
        'e' => write!(out, "{day:2}"),
        'j' => write!(out, "{:03}", days - days_from_civil(year, 1, 1) + 1),
        'H' => write!(out, "{hour:02}"),
        'I' => write!(out, "{:02}", (hour + 11) % 12 + 1),
        'M' => write!(out, "{minute:02}"),
        'S' => write!(out, "{second:02}"),
        'p' => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
        'a' => write!(out, "{}", &day_name[..3]),
        'A' => write!(out, "{day_name}"),
        'b' => write!(out, "{}", &month_name[..3]),
        'B' => write!(out, "{month_name}"),
        'u' => write!(out, "{}", (weekday + 6) % 7 + 1),
        'w' => write!(out, "{weekday}"),
        'G' => write!(out, "{:04}", iso_week(days).0),
        'V' => write!(out, "{:02}", iso_week(days).1),
        'z' => write!(out, "+0000"),
        'Z' => write!(out, "UTC"),
        _ => write!(out, "{}", ns.div_euclid(NS_PER_SEC)),
    };
}

/// Year and number of the ISO week a day lies in: weeks start on Monday and belong to the year of their Thursday.
pub(crate) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, ..) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let check =
            |text: &str, pattern: &str, want: Option<i64>| assert_eq!(parse(text, pattern), want, "{text} {pattern}");
        check("1970-01-01 00:00:01", "%Y-%m-%d %H:%M:%S", Some(NS_PER_SEC));
        check("02/01/1970", "%d/%m/%Y", Some(NS_PER_DAY));
        check("1970-01-01T00:00:00.25Z", "%FT%T%.f%z", Some(NS_PER_SEC / 4));
        check("1970-01-01T00:00:00Z", "%FT%T%.f%z", Some(0));
        check("1970-01-01 01:00 +0100", "%F %H:%M %z", Some(0));
        check("1970-01-01 00:00:01x", "%Y-%m-%d %H:%M:%S", None);
        check("1970-13-01", "%F", None);
        check("100%", "%Y%%", parse("0100", "%Y"));
        check("2 jan 1970 12:30 am", "%d %b %Y %I:%M %p", Some(NS_PER_DAY + 1800 * NS_PER_SEC));
        check("Friday, January  2 70", "%A, %B %e %y", Some(NS_PER_DAY));
        check("1972-366", "%Y-%j", parse("1972-12-31", "%F"));
        check("1970-366", "%Y-%j", None);
        check("-1", "%s", Some(-NS_PER_SEC));
        check("é1970", "é%Y", Some(0));
    }

    #[test]
    fn times_are_written_as_posix_does() {
        let t = parse("2024-02-29 15:04:05.000789", "%F %T%.f").unwrap_or_default();
        for (pattern, expect) in [
            ("%Y-%m-%dT%H:%M:%S%.3fZ", "2024-02-29T15:04:05.000Z"),
            ("%a %d %b %y, %I:%M %p", "Thu 29 Feb 24, 03:04 PM"),
            ("%A %e %B %j %u %w %G-W%V", "Thursday 29 February 060 4 4 2024-W09"),
            ("%f %6f %D %R %z %Z %% %n%t", "000789000 000789 02/29/24 15:04 +0000 UTC % \n\t"),
            ("%s", "1709219045"),
        ] {
            let mut out = String::new();
            write(t, pattern, &mut out);
            assert_eq!(out, expect, "{pattern}");
        }
        assert_eq!(check("%Y %i"), Err("'%i' is no strftime directive".to_owned()));
        assert_eq!(check("100%"), Err("'%' is no strftime directive".to_owned()));
        assert_eq!(check("%.5f"), Err("'%.5' is no strftime directive".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(t in any::<i64>()) {
            for pattern in ["%FT%T.%f%z", "%Y %j %I:%M:%S%.9f %p", "%e %B %Y %H %M %S %9f"] {
                let mut out = String::new();
                write(t, pattern, &mut out);
                prop_assert_eq!(parse(&out, pattern), Some(t), "{} {}", pattern, out);
            }
        }
    }
}
