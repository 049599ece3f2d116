//! Record headers as bytes: the form in which they travel in `RecordRef::headers`, in columns and in `Chunk::headers`.
//!
//! It is that of Kafka's record format: their number, then for each the name's length and bytes, the value's length (-1:
//! null) and bytes; all numbers are zigzag varints. Order and duplicates are kept; no bytes at all are no headers. They
//! come from outside, so nothing is trusted: reading ends where the bytes make no sense, and [`Headers::is_whole`] tells.
//!
//! To SQL headers are a map: of equal names the last one counts. Setting a name drops all of that name and appends one.

use crate::time::NS_PER_MS;

/// Event time that sinks write beside the record's timestamp: milliseconds since the epoch as decimal text.
pub const EVENT_TIME: &str = "_EVENT_TIME";
/// The same in nanoseconds, where there is a part below the millisecond.
pub const EVENT_TIME_NS: &str = "_EVENT_TIME_NS";
/// The headers that tell an event time: in ms, and in ns where it is no whole ms.
pub fn event_time(event_ns: i64) -> impl Iterator<Item = (&'static str, i64)> {
    let exact = (event_ns.rem_euclid(NS_PER_MS) != 0).then_some((EVENT_TIME_NS, event_ns));
    std::iter::once((EVENT_TIME, event_ns.div_euclid(NS_PER_MS))).chain(exact)
}

/// By this header a producer says that no earlier event will follow: epoch milliseconds or RFC 3339.
pub const WATERMARK: &str = "watermark";
/// Names the engine writes itself, in any case: what came under them is not handed on.
const ENGINE: [&str; 4] = [EVENT_TIME, EVENT_TIME_NS, "traceparent", "tracestate"];

/// TRUE for a name under which the engine writes its own value.
pub fn is_engine(name: &[u8]) -> bool {
    ENGINE.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
}

/// Appends `number` as a zigzag varint.
fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends how many headers follow.
pub fn write_count(out: &mut Vec<u8>, count: usize) {
    write_number(out, count as i64);
}

/// Appends one header.
pub fn write_header(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    write_number(out, name.len() as i64);
    out.extend_from_slice(name);
    write_number(out, value.map_or(-1, |value| value.len() as i64));
    out.extend_from_slice(value.unwrap_or_default());
}

/// Headers under construction.
#[derive(Clone, Debug, Default)]
pub struct HeaderBuilder {
    count: usize,
    body: Vec<u8>,
}

impl HeaderBuilder {
    /// Appends one header.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.count += 1;
        write_header(&mut self.body, name, value);
    }

    /// Appends the headers of an encoded list whose names `keep` takes; one that is cut ends it.
    pub fn extend(&mut self, encoded: &[u8], keep: impl Fn(&[u8]) -> bool) {
        Headers::new(encoded).filter(|(name, _)| keep(name)).for_each(|(name, value)| self.push(name, value));
    }

    /// The list as bytes; nothing for no headers.
    pub fn finish(self) -> Vec<u8> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(self.body.len() + 4);
        write_count(&mut bytes, self.count);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The headers of an encoded list, in order. Ends early where the bytes end inside a header.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Headers<'a> {
    /// Of these bytes.
    pub fn new(encoded: &'a [u8]) -> Headers<'a> {
        let mut headers = Headers { rest: encoded, left: 0 };
        if encoded.is_empty() {
            return headers;
        }
        let count = headers.number().and_then(|count| u64::try_from(count).ok());
        // One that cannot be read counts as one header more than there are bytes for.
        headers.left = count.unwrap_or(1 + encoded.len() as u64);
        headers
    }

    /// TRUE when all headers were read and nothing follows them.
    pub fn is_whole(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }

    fn number(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    fn bytes(&mut self, length: i64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut ahead = self.clone();
        let length = ahead.number()?;
        let name = ahead.bytes(length)?;
        let value = match ahead.number()? {
            -1 => None,
            length => Some(ahead.bytes(length)?),
        };
        *self = Headers { left: self.left - 1, ..ahead };
        Some((name, value))
    }
}

/// What the header `watermark` says, as text; of equal names the last one counts. `None` without one.
pub fn watermark(encoded: &[u8]) -> Option<&[u8]> {
    find(encoded, WATERMARK.as_bytes()).map(Option::unwrap_or_default)
}

/// The header of this name: `None` without one, `Some(None)` for a null value.
pub fn find<'a>(encoded: &'a [u8], name: &[u8]) -> Option<Option<&'a [u8]>> {
    Headers::new(encoded).filter(|(found, _)| *found == name).last().map(|(_, value)| value)
}

/// One change of a row's headers: the name and its new value; `None` takes it away.
pub type Edit = (Box<[u8]>, Option<Box<[u8]>>);

/// The headers after these changes, one after the other.
pub fn edited<'a>(encoded: &[u8], edits: impl IntoIterator<Item = &'a Edit>) -> Vec<u8> {
    let mut last: Vec<&Edit> = Vec::new();
    for edit in edits {
        last.retain(|known| known.0 != edit.0);
        last.push(edit);
    }
    let mut headers = HeaderBuilder::default();
    headers.extend(encoded, |name| last.iter().all(|edit| *edit.0 != *name));
    for (name, value) in last {
        if let Some(value) = value {
            headers.push(name, Some(value));
        }
    }
    headers.finish()
}

/// What a sink writes of a row's headers: all but the engine's own, which the writer adds anew. `None` for none.
pub fn handed_on(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut headers = HeaderBuilder::default();
    headers.extend(encoded, |name| !is_engine(name));
    Some(headers.finish()).filter(|bytes| !bytes.is_empty())
}

/// Event time that the headers carry, ns. Names are read in either case; the last of equal names counts.
pub fn event_time_ns(encoded: &[u8]) -> Option<i64> {
    let (mut millis, mut nanos) = (None, None);
    for (name, value) in Headers::new(encoded) {
        let number = || std::str::from_utf8(value?).ok()?.trim().parse::<i64>().ok();
        if name.eq_ignore_ascii_case(EVENT_TIME.as_bytes()) {
            millis = number();
        } else if name.eq_ignore_ascii_case(EVENT_TIME_NS.as_bytes()) {
            nanos = number();
        }
    }
    nanos.or_else(|| millis?.checked_mul(NS_PER_MS))
}

#[cfg(test)]
mod tests;
