//! Records of topics as lines: `KEY; name=value; name=value => VALUE`.
//!
//! `-` is a record without a key, nothing behind the arrow one without a value. Bytes that are no text stand as `\xff`.

use velostream_types::Chunk;
use velostream_types::headers::{HeaderBuilder, Headers};

/// One record that a scenario feeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FedRecord {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers, encoded.
    pub headers: Vec<u8>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl FedRecord {
    /// The record of a line.
    pub fn parse(line: &str) -> Result<FedRecord, String> {
        let (beside, value) = line.split_once("=>").ok_or_else(|| format!("`{line}` has no `=>` before its value"))?;
        let mut parts = beside.split(';').map(str::trim);
        let key = parts.next().filter(|key| *key != "-").map(unescaped);
        let mut headers = HeaderBuilder::default();
        for part in parts {
            let (name, header) = part.split_once('=').ok_or_else(|| format!("`{part}` is no header: name=value"))?;
            headers.push(&unescaped(name), Some(&unescaped(header)));
        }
        let value = Some(value.trim()).filter(|value| !value.is_empty()).map(unescaped);
        Ok(FedRecord { key, headers: headers.finish(), value })
    }
}

/// The line of row `row` of a chunk that a sink wrote.
pub fn line_of(chunk: &Chunk, row: usize) -> String {
    let key = chunk.keys.get(row).and_then(Option::as_deref);
    let mut line = key.map_or_else(|| "-".to_owned(), escaped);
    for (name, value) in Headers::new(chunk.headers.get(row).and_then(Option::as_deref).unwrap_or_default()) {
        line.push_str(&format!("; {}={}", escaped(name), escaped(value.unwrap_or_default())));
    }
    let value = chunk.row(row);
    line.push_str(" =>");
    if !chunk.deletes.get(row).is_some_and(|delete| *delete) {
        line.push_str(&format!(" {}", escaped(value.strip_suffix(b"\n").unwrap_or(value))));
    }
    line
}

fn escaped(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.iter().map(|b| byte(*b)).collect(),
    }
}

fn byte(byte: u8) -> String {
    if matches!(byte, b' '..=b'~') { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
}

/// The bytes of a line: `\x` and two hex digits are one byte, anything else stands for itself.
pub(super) fn unescaped(line: &str) -> Vec<u8> {
    let hex = |digit: u8| (digit as char).to_digit(16);
    let (mut line, mut bytes) = (line.as_bytes(), Vec::new());
    while let Some((first, rest)) = line.split_first() {
        match line {
            [b'\\', b'x', high, low, rest @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or_default() * 16 + hex(*low).unwrap_or_default();
                bytes.push(value as u8);
                line = rest;
            }
            _ => {
                bytes.push(*first);
                line = rest;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_lines_can_hold_any_byte() {
        let check = |line: &str, expect: &[u8]| assert_eq!(unescaped(line), expect, "{line}");
        check(r"a\xffb\x0D", b"a\xffb\r");
        check(r#"{"k":"\u00e9\n\\x"}"#, br#"{"k":"\u00e9\n\\x"}"#);
        check(r"\x4", br"\x4");
    }

    #[test]
    fn a_record_is_written_as_it_was_fed() {
        let check = |line: &str| {
            let record = FedRecord::parse(line).expect("a record");
            let mut chunk = Chunk { framed: true, ..Chunk::default() };
            chunk.bytes.extend_from_slice(record.value.as_deref().unwrap_or_default());
            chunk.end_row();
            chunk.keys.push(record.key.map(Into::into));
            chunk.headers.push(Some(record.headers.into()));
            chunk.deletes.push(record.value.is_none());
            assert_eq!(line_of(&chunk, 0), line);
        };
        check("- => {\"a\":1}");
        check("k; a=1; b= => x");
        check(r"\xff\xfe; a=1 =>");
        assert!(FedRecord::parse("k; a=1").is_err_and(|e| e.contains("=>")));
        assert!(FedRecord::parse("k; a => x").is_err_and(|e| e.contains("header")));
    }
}
