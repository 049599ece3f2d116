//! Parsing of text by a strftime pattern: `%Y %m %d %H %M %S %f %3f %6f %9f %z %%` and literal characters. Text
//! without an offset is UTC. Event-time formats come through here; the directives follow POSIX strptime.

use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, days_from_civil, days_in_month};

/// Nanoseconds since the epoch of `text` under `pattern`; `None` when it does not match as a whole.
pub fn parse(text: &str, pattern: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let mut at = Parts { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanos: 0, offset: 0 };
    let mut directives = pattern.bytes();
    while let Some(c) = directives.next() {
        if c != b'%' {
            rest = rest.strip_prefix(&[c])?;
            continue;
        }
        match directives.next()? {
            b'Y' => at.year = number(&mut rest, 4)?,
            b'm' => at.month = number(&mut rest, 2)?,
            b'd' => at.day = number(&mut rest, 2)?,
            b'H' => at.hour = number(&mut rest, 2)?,
            b'M' => at.minute = number(&mut rest, 2)?,
            b'S' => at.second = number(&mut rest, 2)?,
            b'T' => {
                at.hour = number(&mut rest, 2)?;
                rest = rest.strip_prefix(b":")?;
                at.minute = number(&mut rest, 2)?;
                rest = rest.strip_prefix(b":")?;
                at.second = number(&mut rest, 2)?;
            }
            b'F' => {
                at.year = number(&mut rest, 4)?;
                rest = rest.strip_prefix(b"-")?;
                at.month = number(&mut rest, 2)?;
                rest = rest.strip_prefix(b"-")?;
                at.day = number(&mut rest, 2)?;
            }
            b'f' => at.nanos = fraction(&mut rest, 9)?,
            digit @ (b'3' | b'6' | b'9') => {
                if directives.next()? != b'f' {
                    return None;
                }
                at.nanos = fraction(&mut rest, usize::from(digit - b'0'))?;
            }
            b'.' => {
                if directives.next()? != b'f' {
                    return None;
                }
                if let Some(after) = rest.strip_prefix(b".") {
                    rest = after;
                    at.nanos = fraction(&mut rest, 9)?;
                }
            }
            b'z' => at.offset = offset(&mut rest)?,
            b'%' => rest = rest.strip_prefix(b"%")?,
            _ => return None,
        }
    }
    if rest.is_empty() { at.nanos_since_epoch() } else { None }
}

struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: i64,
}

impl Parts {
    fn nanos_since_epoch(&self) -> Option<i64> {
        let (month, day) = (u32::try_from(self.month).ok()?, u32::try_from(self.day).ok()?);
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(self.year, month) {
            return None;
        }
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let days = i128::from(days_from_civil(self.year, month, day));
        let secs = self.hour * 3600 + self.minute * 60 + self.second - self.offset;
        i64::try_from(
            days * i128::from(NS_PER_DAY) + i128::from(secs) * i128::from(NS_PER_SEC) + i128::from(self.nanos),
        )
        .ok()
    }
}

/// Takes one to `most` digits.
fn number(rest: &mut &[u8], most: usize) -> Option<i64> {
    let n = rest.iter().take(most).take_while(|c| c.is_ascii_digit()).count();
    let value = rest[..n].iter().fold(0i64, |v, c| v * 10 + i64::from(c - b'0'));
    *rest = &rest[n..];
    (n > 0).then_some(value)
}

/// Takes one to `most` digits as a fraction of a second, in nanoseconds.
fn fraction(rest: &mut &[u8], most: usize) -> Option<i64> {
    let before = rest.len();
    let value = number(rest, most)?;
    Some(value * 10i64.pow(9 - (before - rest.len()) as u32))
}

/// Takes `Z`, `±HH`, `±HHMM` or `±HH:MM`; seconds east of UTC.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    if let Some(after) = rest.strip_prefix(b"Z") {
        *rest = after;
        return Some(0);
    }
    let sign = match rest.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = number(rest, 2)?;
    if let Some(after) = rest.strip_prefix(b":") {
        *rest = after;
    }
    let minutes = if rest.first().is_some_and(u8::is_ascii_digit) { number(rest, 2)? } else { 0 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let check =
            |text: &str, pattern: &str, want: Option<i64>| assert_eq!(parse(text, pattern), want, "{text} {pattern}");
        check("1970-01-01 00:00:01", "%Y-%m-%d %H:%M:%S", Some(NS_PER_SEC));
        check("02/01/1970", "%d/%m/%Y", Some(NS_PER_DAY));
        check("1970-01-01T00:00:00.25Z", "%FT%T%.f%z", Some(NS_PER_SEC / 4));
        check("1970-01-01 01:00 +0100", "%F %H:%M %z", Some(0));
        check("1970-01-01 00:00:01x", "%Y-%m-%d %H:%M:%S", None);
        check("1970-13-01", "%F", None);
        check("100%", "%Y%%", parse("0100", "%Y"));
    }
}
