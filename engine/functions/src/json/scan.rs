//! The grammar: a check of a whole text, and walks over the members and elements of one that passed it.

use std::borrow::Cow;

/// Deepest nesting of a value.
pub const MAX_DEPTH: usize = 512;

/// Why a text is no JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Position of the byte.
    pub at: usize,
    /// In words.
    pub what: &'static str,
}

/// Kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Kind of the value that begins with the first byte of `raw`.
pub fn kind(raw: &str) -> Kind {
    match raw.as_bytes().first() {
        Some(b'"') => Kind::Text,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        _ => Kind::Null,
    }
}

/// Checks that `text` is exactly one JSON value (RFC 8259), white space around it allowed.
pub fn check(text: &str) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    let mut checker = Checker { bytes, at: 0 };
    checker.space();
    checker.value(0)?;
    checker.space();
    if checker.at == bytes.len() { Ok(()) } else { checker.fail("text behind the value") }
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        self.at = skip_space(self.bytes, self.at);
    }

    /// Recursion is bounded by [`MAX_DEPTH`].
    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(open @ (b'{' | b'[')) if depth < MAX_DEPTH => self.nested(open, depth + 1),
            Some(b'{' | b'[') => self.fail("nested deeper than 512 levels"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => self.fail("value expected"),
            None => self.fail("value missing"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fail("unknown word");
        }
        self.at += word.len();
        Ok(())
    }

    fn nested(&mut self, open: u8, depth: usize) -> Result<(), Malformed> {
        let close = if open == b'{' { b'}' } else { b']' };
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if open == b'{' {
                if self.peek() != Some(b'"') {
                    return self.fail("key expected");
                }
                self.string()?;
                self.space();
                if self.peek() != Some(b':') {
                    return self.fail("colon expected");
                }
                self.at += 1;
                self.space();
            }
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(end) if end == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("comma or end expected"),
            }
            self.space();
        }
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return self.fail("control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("string without end"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.bytes.get(self.at + 2..self.at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => self.at += 6,
                _ => return self.fail("\\u without four hexadecimal digits"),
            },
            _ => return self.fail("unknown escape"),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail("digit expected") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.fail("number with a leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Position behind the value at `at` of a well-formed text. Does not recurse.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 0 { at } else { at + 1 },
            b'}' | b']' => depth -= 1,
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Position behind the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The values of an array, as slices of its text.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

/// The elements of a well-formed array; none if `array` is something else.
pub fn elements(array: &str) -> Elements<'_> {
    let open = array.trim_start_matches([' ', '\t', '\n', '\r']);
    let text = if open.starts_with('[') { open } else { "" };
    Elements { text, at: 1 }
}

impl Elements<'_> {
    /// Where the walk stands, for [`Elements::resumed`].
    pub fn place(&self) -> usize {
        self.at
    }

    /// The walk from a place of an earlier one over the same array on.
    pub fn resumed(self, place: usize) -> Self {
        Elements { at: place, ..self }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = skip_space(bytes, self.at);
        if matches!(bytes.get(start), None | Some(b']')) {
            self.at = bytes.len();
            return None;
        }
        let end = value_end(bytes, start);
        let behind = skip_space(bytes, end);
        self.at = if bytes.get(behind) == Some(&b',') { behind + 1 } else { behind };
        self.text.get(start..end)
    }
}

/// The members of an object: keys without their quotes, still escaped, and values, as slices of its text.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

/// The members of a well-formed object; none if `object` is something else.
pub fn members(object: &str) -> Members<'_> {
    let open = object.trim_start_matches([' ', '\t', '\n', '\r']);
    let text = if open.starts_with('{') { open } else { "" };
    Members { text, at: 1 }
}

impl Members<'_> {
    /// Where the walk stands, for [`Members::resumed`].
    pub fn place(&self) -> usize {
        self.at
    }

    /// The walk from a place of an earlier one over the same object on.
    pub fn resumed(self, place: usize) -> Self {
        Members { at: place, ..self }
    }
}

impl<'a> Iterator for Members<'a> {
    /// Key with its quotes, for [`text_of`]; value.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let bytes = self.text.as_bytes();
        let start = skip_space(bytes, self.at);
        if bytes.get(start) != Some(&b'"') {
            self.at = bytes.len();
            return None;
        }
        let key = start..string_end(bytes, start);
        let colon = skip_space(bytes, key.end);
        let value = skip_space(bytes, colon + 1);
        let end = value_end(bytes, value);
        let behind = skip_space(bytes, end);
        self.at = if bytes.get(behind) == Some(&b',') { behind + 1 } else { behind };
        Some((self.text.get(key)?, self.text.get(value..end)?))
    }
}

/// What a string stands for; `raw` has its quotes. A lone surrogate reads as U+FFFD.
pub fn text_of(raw: &str) -> Cow<'_, str> {
    let inner = unquoted(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    push_text(raw, &mut out);
    Cow::Owned(out)
}

/// Appends what a string stands for.
pub fn push_text(raw: &str, out: &mut String) {
    let mut rest = unquoted(raw);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (c, len) = unescaped(&rest[at..]);
        out.push(c);
        rest = rest.get(at + len..).unwrap_or("");
    }
    out.push_str(rest);
}

fn unquoted(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw)
}

/// The character of the escape that `text` begins with, and its length.
fn unescaped(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match text.as_bytes().get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match (unit(0), text.get(6..8)) {
            (Some(high @ 0xd800..=0xdbff), Some("\\u")) => match unit(6) {
                Some(low @ 0xdc00..=0xdfff) => {
                    let c = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                }
                _ => (char::REPLACEMENT_CHARACTER, 6),
            },
            (Some(c), _) => (char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            (None, _) => (char::REPLACEMENT_CHARACTER, 2),
        },
        Some(other) => (char::from(*other), 2),
        None => ('\\', 1),
    }
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        out.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => out.push_str(&format!("\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked() {
        let good =
            ["0", "-0", "10", "-1.5e+3", "0.5", "\"\"", " [1 , {\"a\":null}] ", "{}", "[]", "true", "\"\\u00e9\\n\""];
        for text in good {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, at) in [
            ("", 0),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("-012", 2),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\" 1}", 5),
            ("\"a", 2),
            ("\"\\x\"", 1),
            ("\"\u{1}\"", 1),
            ("nul", 0),
            ("1 2", 2),
            ("[1", 2),
        ] {
            assert_eq!(check(text).map_err(|m| m.at), Err(at), "{text}");
        }
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(check(&deep(MAX_DEPTH)), Ok(()));
        assert!(check(&deep(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn walks_give_slices() {
        let all = |text| elements(text).collect::<Vec<_>>();
        assert_eq!(
            all(" [ 1 , \"a,]\" ,[2,[3]] , {\"x\":[4]},null ]"),
            ["1", "\"a,]\"", "[2,[3]]", "{\"x\":[4]}", "null"]
        );
        assert_eq!(all("[]"), [""; 0]);
        assert_eq!(all("{\"a\":1}"), [""; 0]);
        let object = " { \"a\" : 1 ,\"b\\\"\":{\"c\" : [1, 2]},\"\":true}";
        let all: Vec<_> = members(object).map(|(k, v)| (text_of(k), v)).collect();
        assert_eq!(all, [("a".into(), "1"), ("b\"".into(), "{\"c\" : [1, 2]}"), ("".into(), "true")]);
    }

    #[test]
    fn strings_read_back() {
        for text in ["", "plain", "a\"\\\n\r\t\u{1}\u{1f}é😀/"] {
            let mut quoted = String::new();
            quote(text, &mut quoted);
            assert_eq!(check(&quoted), Ok(()));
            assert_eq!(text_of(&quoted), text);
        }
        assert_eq!(text_of("\"\\ud83d\\ude00\\/\\b\\f\""), "😀/\u{8}\u{c}");
        assert_eq!(text_of("\"\\ud83dx\\udead\""), "\u{fffd}x\u{fffd}");
    }
}
