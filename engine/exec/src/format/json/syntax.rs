//! JSON's grammar over a byte slice, without a tree and without recursion.
//!
//! Every function takes the position of a value's first byte and answers the position behind it. Strings are checked
//! for control characters and escapes, structure is checked down to 512 levels; numbers that nobody reads are only
//! cut out, their grammar is the column's business. The bytes are known to be UTF-8.

use crate::format::cells::{Cell, Kind, MAX_FIELD};
use crate::format::scan::{number_stop, string_stop};

/// Deepest nesting, the record's own object included.
const MAX_DEPTH: usize = 512;

/// What is wrong and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct Malformed {
    /// Position in the slab.
    pub(in crate::format) at: usize,
    /// In words.
    pub(in crate::format) what: &'static str,
}

pub(super) const fn malformed<T>(at: usize, what: &'static str) -> Result<T, Malformed> {
    Err(Malformed { at, what })
}

/// First position from `at` on that is no white space.
#[inline(always)]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// End of the string whose text begins at `at` (behind its quote): position of the closing quote, and whether the
/// text has escapes.
#[inline(always)]
pub(super) fn string_end(bytes: &[u8], at: usize) -> Result<(usize, bool), Malformed> {
    match string_stop(bytes, at) {
        Some(stop) if bytes[stop] == b'"' => Ok((stop, false)),
        Some(stop) => escaped_end(bytes, stop).map(|end| (end, true)),
        None => malformed(bytes.len(), "string without end"),
    }
}

/// Goes on from a backslash or control character to the closing quote.
#[cold]
fn escaped_end(bytes: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => match bytes.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => match bytes.get(at + 2..at + 6) {
                    Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => at += 6,
                    _ => return malformed(at, "\\u without four hexadecimal digits"),
                },
                _ => return malformed(at, "unknown escape"),
            },
            Some(_) => return malformed(at, "control character in a string"),
            None => return malformed(at, "string without end"),
        }
        match string_stop(bytes, at) {
            Some(stop) => at = stop,
            None => return malformed(bytes.len(), "string without end"),
        }
    }
}

/// End of the number at `at`; what stands between is checked by whoever reads it.
#[inline(always)]
pub(super) fn number_end(bytes: &[u8], at: usize) -> usize {
    let end = number_stop(bytes, at + 1);
    if matches!(bytes.get(end), Some(b'e' | b'E')) { exponent_end(bytes, end) } else { end }
}

#[cold]
fn exponent_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        at += 1;
    }
    at
}

/// The value at `at`: its cell and the position behind it. `line` forbids line feeds inside nested values.
#[inline(always)]
pub(super) fn value(bytes: &[u8], at: usize, line: bool) -> Result<(Cell, usize), Malformed> {
    let Some(first) = bytes.get(at) else { return malformed(at, "value missing") };
    if *first == b'"' {
        let (end, escaped) = string_end(bytes, at + 1)?;
        let kind = if escaped { Kind::Escaped } else { Kind::Text };
        return Ok((sized(kind, at + 1, end)?, end + 1));
    }
    if first.is_ascii_digit() || *first == b'-' {
        let end = number_end(bytes, at);
        return Ok((sized(Kind::Number, at, end)?, end));
    }
    rare_value(bytes, at, line)
}

#[inline(always)]
fn sized(kind: Kind, start: usize, end: usize) -> Result<Cell, Malformed> {
    if end - start > MAX_FIELD {
        return malformed(start, "value too long");
    }
    Ok(Cell::new(kind, start, end))
}

/// Literals, objects and arrays.
#[inline(never)]
fn rare_value(bytes: &[u8], at: usize, line: bool) -> Result<(Cell, usize), Malformed> {
    let word = |word: &[u8], kind| match bytes[at..].starts_with(word) {
        true => Ok((Cell::new(kind, at, at + word.len()), at + word.len())),
        false => malformed(at, "unknown word"),
    };
    match bytes[at] {
        b't' => word(b"true", Kind::True),
        b'f' => word(b"false", Kind::False),
        b'n' => word(b"null", Kind::Null).map(|(_, end)| (Cell::NULL, end)),
        b'{' | b'[' => {
            let end = nested_end(bytes, at, line)?;
            Ok((sized(Kind::Nested, at, end)?, end))
        }
        _ => malformed(at, "value expected"),
    }
}

/// Open objects and arrays, one bit each.
struct Levels {
    /// Bit set: an object.
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Levels {
    /// Enters an object or array; FALSE when that is too deep.
    fn enter(&mut self, object: bool) -> bool {
        // The record's own object is a level too.
        if self.depth + 1 >= MAX_DEPTH {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    fn in_object(&self) -> bool {
        let top = self.depth - 1;
        self.bits[top / 64] >> (top % 64) & 1 == 1
    }
}

/// Position behind the object or array at `at`.
pub(super) fn nested_end(bytes: &[u8], at: usize, line: bool) -> Result<usize, Malformed> {
    let space = |at: usize| {
        let next = skip_space(bytes, at);
        match line && bytes[at..next].contains(&b'\n') {
            true => malformed(at, "line ends inside a value"),
            false => Ok(next),
        }
    };
    let key = |at: usize| {
        if bytes.get(at) != Some(&b'"') {
            return malformed(at, "key expected");
        }
        let (end, _) = string_end(bytes, at + 1)?;
        let colon = space(end + 1)?;
        if bytes.get(colon) != Some(&b':') {
            return malformed(colon, "colon expected");
        }
        space(colon + 1)
    };
    let mut levels = Levels { bits: [0; MAX_DEPTH / 64], depth: 0 };
    let mut at = at;
    // Each turn stands at the first byte of a value.
    loop {
        let open = bytes.get(at).copied();
        if matches!(open, Some(b'{' | b'[')) {
            let object = open == Some(b'{');
            if !levels.enter(object) {
                return malformed(at, "nested deeper than 512 levels");
            }
            at = space(at + 1)?;
            let close = if object { b'}' } else { b']' };
            if bytes.get(at) != Some(&close) {
                if object {
                    at = key(at)?;
                }
                continue;
            }
        } else {
            at = scalar_end(bytes, at)?;
            at = space(at)?;
        }
        // Behind a value, or at the close of an empty level.
        loop {
            match (bytes.get(at), levels.in_object()) {
                (Some(b','), object) => {
                    at = space(at + 1)?;
                    if object {
                        at = key(at)?;
                    }
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    levels.depth -= 1;
                    at += 1;
                    if levels.depth == 0 {
                        return Ok(at);
                    }
                    at = space(at)?;
                }
                _ => return malformed(at, "comma or end of an object or array expected"),
            }
        }
    }
}

/// Position behind a string, number or word inside a nested value.
fn scalar_end(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at + 1).map(|(end, _)| end + 1),
        Some(b'-' | b'0'..=b'9') => Ok(number_end(bytes, at)),
        Some(b't' | b'f' | b'n') => {
            let word = [&b"true"[..], b"false", b"null"].into_iter().find(|w| bytes[at..].starts_with(w));
            word.map_or(malformed(at, "unknown word"), |w| Ok(at + w.len()))
        }
        _ => malformed(at, "value expected"),
    }
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub(in crate::format) struct Member {
    /// Text of the key, between its quotes.
    pub(in crate::format) key: (usize, usize),
    /// The key has escapes.
    pub(in crate::format) escaped: bool,
    /// The value.
    pub(in crate::format) value: Cell,
    /// First byte of the value.
    pub(in crate::format) at: usize,
    /// One past the value.
    pub(in crate::format) end: usize,
}

/// Walks the members of the one object that `bytes[start..]` must be, white space around it allowed.
pub(in crate::format) fn members(bytes: &[u8], start: usize, mut on: impl FnMut(Member)) -> Result<(), Malformed> {
    let mut at = skip_space(bytes, start);
    if bytes.get(at) != Some(&b'{') {
        return malformed(at, "the record is no object");
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        at += 1;
    } else {
        loop {
            if bytes.get(at) != Some(&b'"') {
                return malformed(at, "key expected");
            }
            let (key_end, escaped) = string_end(bytes, at + 1)?;
            let key = (at + 1, key_end);
            at = skip_space(bytes, key_end + 1);
            if bytes.get(at) != Some(&b':') {
                return malformed(at, "colon expected");
            }
            at = skip_space(bytes, at + 1);
            let (cell, end) = value(bytes, at, false)?;
            on(Member { key, escaped, value: cell, at, end });
            at = skip_space(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b'}') => {
                    at += 1;
                    break;
                }
                _ => return malformed(at, "comma or end of the object expected"),
            }
        }
    }
    let rest = skip_space(bytes, at);
    if rest < bytes.len() { malformed(rest, "something follows the object") } else { Ok(()) }
}

/// The characters of a string's text, escapes resolved. `None` when a surrogate has no partner.
pub(in crate::format) fn unescape(raw: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(stop) = memchr::memchr(b'\\', raw.get(at..)?).map(|n| n + at) {
        text.extend_from_slice(&raw[at..stop]);
        let escape = *raw.get(stop + 1)?;
        at = stop + 2;
        let plain = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = hex4(raw, at)?;
                at += 4;
                if (0xd800..0xdc00).contains(&code) {
                    let low = raw.get(at..at + 2).filter(|b| *b == b"\\u").and_then(|_| hex4(raw, at + 2))?;
                    at += 6;
                    code = 0x10000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00).filter(|l| *l < 0x400)?;
                }
                text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        text.push(plain);
    }
    text.extend_from_slice(&raw[at..]);
    String::from_utf8(text).ok()
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(raw.get(at..at + 4)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ok: bool) {
        let got = members(text.as_bytes(), 0, |_| {});
        assert_eq!(got.is_ok(), ok, "{text}: {got:?}");
    }

    #[test]
    fn well_formed_and_not() {
        for text in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#"{"a" : [ 1 , {"b":[[],{}]} , "x\"y" ] , "c":null}"#,
            r#"{"a":true,"b":false,"":""}"#,
            r#"{"a":"\ud83d\ude00\u0000"}"#,
            "{\"a\":\n1}",
        ] {
            check(text, true);
        }
        for text in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{'a':1}",
            "{\"a\":nul}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":{\"b\"}}",
            "{\"a\":\"\n\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            "{\"a\":1 2}",
            "{\"a\":+1}",
            "{\"a\":[}",
            "{a:1}",
            "{\"a\":truex}",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        check(&nested(511), true);
        check(&nested(512), false);
        check(&nested(1_000_000), false);
    }

    #[test]
    fn escapes() {
        for (raw, want) in [
            (r"a\n\t\\\/\b", Some("a\n\t\\/\u{8}")),
            (r"\u0041\u00e9", Some("Aé")),
            (r"\ud83d\ude00", Some("😀")),
            (r"\u0000", Some("\0")),
            (r"\ud83d", None),
            (r"\ude00", None),
            (r"\ud83dx", None),
            (r"\ud83d\u0041", None),
        ] {
            assert_eq!(unescape(raw.as_bytes()).as_deref(), want, "{raw}");
        }
    }
}
