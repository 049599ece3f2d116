//! Printing: aligned tables, JSON documents, bytes as text.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use serde_json::Value;

/// Writes to standard output. FALSE when the reader left (`| head`), which is no failure.
pub fn print(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Writes a JSON document.
pub fn print_json(document: &Value) -> Result<bool> {
    print(&format!("{document:#}\n"))
}

/// A table with a header. Columns whose header begins with `#` hold numbers and are aligned to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let names = header.iter().map(|name| name.trim_start_matches('#').to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&names).chain(rows).collect();
    let wide = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(wide).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for ((cell, width), name) in line.iter().zip(&widths).zip(header) {
            let blanks = " ".repeat(width - cell.chars().count());
            let (left, right) = if name.starts_with('#') { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
            text.push_str(&format!("{left}{cell}{right}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Bytes for people: UTF-8 with control characters escaped, anything else as `base64:...`.
pub fn text(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            if text.chars().any(char::is_control) { text.chars().map(shown).collect() } else { text.to_owned() }
        }
        Err(_) => format!("base64:{}", base64(bytes)),
    }
}

/// Bytes for programs: under `name` as text, or under `name_base64`.
pub fn json_bytes(object: &mut serde_json::Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some((Ok(text), _)) => object.insert(name.to_owned(), text.into()),
        Some((Err(_), bytes)) => object.insert(format!("{name}_base64"), base64(bytes).into()),
    };
}

/// Standard alphabet with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { ALPHABET[value as usize] as char } else { '=' });
        }
    }
    out
}

/// `1 record`, `2 records`.
pub fn plural(n: u64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_without_loss() {
        for (bytes, expect) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (&[0xff, 0xfe, 0xfd], "//79"),
        ] {
            assert_eq!(base64(bytes), expect);
        }
        assert_eq!(text(Some(&[0xff])), "base64:/w==");
        assert_eq!(text(Some("é\n\u{1b}[31m".as_bytes())), "é\\n\\u{1b}[31m");
        assert_eq!((text(None), text(Some(b""))), ("null".into(), String::new()));
    }

    #[test]
    fn tables_align() {
        let rows = [vec!["a".into(), "100".into()], vec!["bcd".into(), "7".into()]];
        assert_eq!(table(&["NAME", "#N"], &rows), "NAME    N\na     100\nbcd     7\n");
    }
}
