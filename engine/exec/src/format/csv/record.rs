//! One CSV record with care: quotes, doubled quotes, line feeds inside quotes.
//!
//! A field that begins with the quote character is quoted up to its closing quote; a quote anywhere else is an
//! ordinary character. Text between a closing quote and the next delimiter makes the record malformed, which does not
//! change where it ends.

use crate::format::cells::{Cell, Kind};
use crate::format::scan::find_either;

/// The two characters that make the dialect.
#[derive(Clone, Copy, Debug)]
pub(in crate::format) struct Dialect {
    pub(in crate::format) delimiter: u8,
    pub(in crate::format) quote: u8,
}

/// How the scan of a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// It ends at `end`, its terminator not counted; the next one begins at `next`.
    Whole {
        end: usize,
        next: usize,
        /// Text stands behind a closing quote.
        malformed: bool,
        /// A field was quoted.
        quoted: bool,
    },
    /// The bytes ran out, outside of quotes or inside.
    Open { in_quotes: bool },
}

/// A stretch known from an earlier scan: a scan that is inside quotes at any of its line feeds is so at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRun {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl OpenRun {
    /// TRUE when a line feed of the run lies in `at..end`.
    fn begins_in(self, bytes: &[u8], at: usize, end: usize) -> bool {
        let (at, end) = (at.max(self.from), end.min(self.to).min(bytes.len()));
        at < end && memchr::memchr(b'\n', &bytes[at..end]).is_some()
    }
}

/// Scans the record at `start` of `bytes`; its fields replace `fields`. `last`: the bytes end with the record.
pub(super) fn scan(bytes: &[u8], start: usize, dialect: Dialect, last: bool, fields: &mut Vec<Cell>) -> Scan {
    scan_over(bytes, start, dialect, last, None, fields)
}

/// As [`scan`], stepping over `open`; then only the end of the record counts, not its fields.
pub(super) fn scan_over(
    bytes: &[u8],
    start: usize,
    dialect: Dialect,
    last: bool,
    open: Option<OpenRun>,
    fields: &mut Vec<Cell>,
) -> Scan {
    let Dialect { delimiter, quote } = dialect;
    let (mut at, mut malformed, mut any_quoted) = (start, false, false);
    fields.clear();
    loop {
        let field = at;
        let mut quoted = None;
        if bytes.get(at) == Some(&quote) {
            any_quoted = true;
            let (mut close, mut doubled) = (at + 1, false);
            loop {
                let next = bytes.get(close..).and_then(|rest| memchr::memchr(quote, rest)).map(|n| close + n);
                if let Some(run) = open
                    && run.to > close
                    && run.begins_in(bytes, close, next.unwrap_or(bytes.len()))
                {
                    close = run.to;
                    continue;
                }
                match next {
                    None => return Scan::Open { in_quotes: true },
                    Some(next) => close = next,
                }
                match bytes.get(close + 1) {
                    Some(b) if *b == quote => {
                        doubled = true;
                        close += 2;
                    }
                    None if !last => return Scan::Open { in_quotes: false },
                    _ => break,
                }
            }
            quoted = Some((close, if doubled { Kind::Escaped } else { Kind::Text }));
            at = close + 1;
        }
        let stop = match find_either(bytes, at, delimiter, b'\n') {
            Some(stop) => stop,
            None if last => bytes.len(),
            None => return Scan::Open { in_quotes: false },
        };
        let ends_record = bytes.get(stop) != Some(&delimiter);
        let returned = ends_record && stop > at && bytes[stop - 1] == b'\r';
        let end = stop - usize::from(returned);
        fields.push(match quoted {
            Some((close, kind)) => {
                malformed |= end > at;
                Cell::new(kind, field + 1, close)
            }
            None if end == field => Cell::NULL,
            None => Cell::new(Kind::Plain, field, end),
        });
        if ends_record {
            return Scan::Whole { end, next: (stop + 1).min(bytes.len()), malformed, quoted: any_quoted };
        }
        at = stop + 1;
    }
}

/// Quoted text with its doubled quotes halved.
pub(in crate::format) fn unquote(raw: &[u8], quote: u8) -> Option<String> {
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(n) = memchr::memchr(quote, &raw[at..]) {
        text.extend_from_slice(&raw[at..=at + n]);
        at = (at + n + 2).min(raw.len());
    }
    text.extend_from_slice(&raw[at..]);
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Option<(&[&str], usize, bool)>) {
        let mut fields = Vec::new();
        let dialect = Dialect { delimiter: b',', quote: b'"' };
        let got = scan(text.as_bytes(), 0, dialect, true, &mut fields);
        let texts: Vec<String> = fields
            .iter()
            .map(|c| match c.kind() {
                Kind::Null => "NULL".to_owned(),
                Kind::Escaped => unquote(c.of(text.as_bytes()), b'"').expect("valid"),
                _ => String::from_utf8_lossy(c.of(text.as_bytes())).into_owned(),
            })
            .collect();
        match (got, want) {
            (Scan::Whole { next, malformed, .. }, Some((cells, end, bad))) => {
                assert_eq!(
                    (texts, next, malformed),
                    (cells.iter().map(|c| (*c).to_owned()).collect(), end, bad),
                    "{text:?}"
                );
            }
            (Scan::Open { .. }, None) => {}
            (got, want) => panic!("{text:?}: {got:?} {want:?}"),
        }
    }

    #[test]
    fn records() {
        check("a,b\nc", Some((&["a", "b"], 4, false)));
        check("a,b\r\n", Some((&["a", "b"], 5, false)));
        check(",,\n", Some((&["NULL", "NULL", "NULL"], 3, false)));
        check("\"a,\n\"\"x\",\"\"\r\n", Some((&["a,\n\"x", ""], 13, false)));
        check("a\"b,c\n", Some((&["a\"b", "c"], 6, false)));
        check("\"a\"b,c\n", Some((&["a", "c"], 7, true)));
        check("\"a\" ,c\n", Some((&["a", "c"], 7, true)));
        check("\"a", None);
        check("x,\"a\"\"", None);
        check("\"a\"", Some((&["a"], 3, false)));
        check("a", Some((&["a"], 1, false)));
        check("a,", Some((&["a", "NULL"], 2, false)));
    }

    #[test]
    fn doubled_quotes() {
        for (raw, want) in [("a", "a"), ("\"\"", "\""), ("a\"\"b\"\"", "a\"b\""), ("\"\"\"\"", "\"\"")] {
            assert_eq!(unquote(raw.as_bytes(), b'"').as_deref(), Some(want));
        }
    }
}
