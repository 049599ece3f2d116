//! Record headers as brokers frame them: a count, then key and value of each, every length a zigzag varint.
//!
//! Only what the engine itself reads of them: the event time that sinks write beside the record's timestamp. Headers
//! come from outside, so nothing of them is trusted: what does not fit reads as if it were not there.

/// Milliseconds since the epoch as decimal text.
const EVENT_TIME: &[u8] = b"_EVENT_TIME";
/// The same in nanoseconds, where there is a part below the millisecond.
const EVENT_TIME_NS: &[u8] = b"_EVENT_TIME_NS";
const NS_PER_MS: i64 = velostream_types::time::NS_PER_MS;

/// Event time that the headers carry, ns. Names are read in either case; the last of equal names counts.
pub(super) fn event_time_ns(headers: &[u8]) -> Option<i64> {
    let mut walk = Walk { rest: headers };
    let (mut millis, mut nanos) = (None, None);
    for _ in 0..walk.varint()? {
        let Some((name, value)) = walk.header() else { break };
        let number = || std::str::from_utf8(value?).ok()?.trim().parse::<i64>().ok();
        if name.eq_ignore_ascii_case(EVENT_TIME) {
            millis = number();
        } else if name.eq_ignore_ascii_case(EVENT_TIME_NS) {
            nanos = number();
        }
    }
    nanos.or_else(|| millis?.checked_mul(NS_PER_MS))
}

struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn varint(&mut self) -> Option<i64> {
        let mut bits = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            bits |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        None
    }

    fn bytes(&mut self, length: i64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// Name and value of the next header; a length of -1 is a null value.
    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let length = self.varint()?;
        let name = self.bytes(length)?;
        let length = self.varint()?;
        let value = if length == -1 { None } else { Some(self.bytes(length)?) };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of these names and values; lengths below 64 are one byte.
    fn framed(headers: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut bytes = vec![headers.len() as u8 * 2];
        for (name, value) in headers {
            bytes.push(name.len() as u8 * 2);
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(value.map_or(1, |v| v.len() as u8 * 2));
            bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        bytes
    }

    #[test]
    fn event_times() {
        let check = |headers: &[(&str, Option<&str>)], expect| {
            assert_eq!(event_time_ns(&framed(headers)), expect, "{headers:?}")
        };
        check(&[], None);
        check(&[("a", Some("1")), ("_EVENT_TIME", Some("7"))], Some(7_000_000));
        check(&[("_event_time", Some("-7")), ("b", None)], Some(-7_000_000));
        check(&[("_EVENT_TIME_NS", Some("7000001")), ("_EVENT_TIME", Some("7"))], Some(7_000_001));
        check(&[("_EVENT_TIME", Some("7")), ("_EVENT_TIME", Some("8"))], Some(8_000_000));
        check(&[("_EVENT_TIME", Some("noon"))], None);
        check(&[("_EVENT_TIME", None)], None);
        check(&[("_EVENT_TIME", Some("9223372036854775807"))], None);
    }

    #[test]
    fn broken_headers_are_none() {
        let whole = framed(&[("a", Some("1")), ("_EVENT_TIME", Some("7"))]);
        for cut in 0..whole.len() {
            assert_eq!(event_time_ns(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(event_time_ns(&[0xff; 20]), None);
    }
}
