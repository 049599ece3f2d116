//! Records of data files (CSV with and without header, JSON lines, a JSON array) and of captured messages, from bytes to
//! rows.
//!
//! Numbers are exact: integers, else decimals with the digits that stand there; only what has more than 38 digits becomes a
//! float. Nested JSON is kept as its text. One record at a time is held, in a row that is used again: names are shared
//! while records have the same fields in the same order. CSV costs one pass over the bytes, JSON two.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use velostream_types::{Value, decimal};

use crate::record::Row;
use crate::spec::FileFormat;

mod csv;
mod json;

pub use json::json_row;

use csv::CsvFile;
use json::JsonFile;

/// Characters of a line that a message shows.
const SHOWN_CHARACTERS: usize = 100;
/// How many of them stand before the place it is about, at least where there are so many.
const SHOWN_BEFORE: usize = 60;

/// Why a file or a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
    /// The line, or the part around the place.
    pub text: String,
    /// Characters of it before the place.
    pub before: usize,
}

impl DataError {
    /// About a place in a text.
    fn at(bytes: &[u8], at: usize, message: impl Into<String>) -> DataError {
        let at = at.min(bytes.len());
        let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |newline| at + newline);
        let before = String::from_utf8_lossy(&bytes[start..at]).chars().count();
        let line = String::from_utf8_lossy(&bytes[start..end]);
        let skipped = before.saturating_sub(SHOWN_BEFORE);
        let text: String = line.chars().skip(skipped).take(SHOWN_CHARACTERS).map(visible).collect();
        DataError {
            line: bytes[..start].iter().filter(|b| **b == b'\n').count() + 1,
            column: before + 1,
            message: message.into(),
            text,
            before: before - skipped,
        }
    }

    /// The line with a caret under the place, below the message.
    pub fn with_caret(&self) -> String {
        let DataError { line, text, before, .. } = self;
        let gutter = line.to_string().len();
        format!("{self}\n{line} | {text}\n{:gutter$} | {:before$}^", "", "")
    }
}

/// A tab or another control character takes one column.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// The form of a file, by its extension; JSON lines where it is another.
pub fn format_of(path: &Path) -> FileFormat {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "csv" => FileFormat::Csv,
        "json" => FileFormat::Json,
        _ => FileFormat::JsonLines,
    }
}

/// A data file that is read from its start.
#[derive(Clone, Debug)]
pub struct DataFile<'a> {
    form: Form<'a>,
}

#[derive(Clone, Debug)]
enum Form<'a> {
    Csv(CsvFile<'a>),
    Json(JsonFile<'a>),
}

impl<'a> DataFile<'a> {
    /// Opens a file: reads its header, or checks that it is one array.
    pub fn open(bytes: &'a [u8], format: FileFormat) -> Result<DataFile<'a>, DataError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| DataError::at(bytes, e.valid_up_to(), "this is no UTF-8; save the file in that encoding"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let form = match format {
            FileFormat::Csv => Form::Csv(CsvFile::open(text, true)?),
            FileFormat::CsvNoHeader => Form::Csv(CsvFile::open(text, false)?),
            FileFormat::JsonLines => Form::Json(JsonFile::lines(text)),
            FileFormat::Json => Form::Json(JsonFile::array(text)?),
        };
        Ok(DataFile { form })
    }

    /// Reads the next record over the last one. FALSE at the end.
    pub fn next_into(&mut self, out: &mut Row) -> Result<bool, DataError> {
        match &mut self.form {
            Form::Csv(file) => file.next_into(out),
            Form::Json(file) => file.next_into(out),
        }
    }
}

/// A number as it is written; `None` if it is none. Digits with a 0 in front are a code, not a number.
fn number(token: &str) -> Option<Value> {
    let digits = token.strip_prefix(['-', '+']).unwrap_or(token).as_bytes();
    match digits {
        [b'0', b'0'..=b'9', ..] => return None,
        [b'0'..=b'9' | b'.', ..] => {}
        _ => return None,
    }
    if let Ok(n) = token.parse() {
        return Some(Value::Int(n));
    }
    match decimal::from_text(token).or_else(|| decimal::from_exponent_text(token)) {
        Some((mantissa, scale)) => Some(Value::Decimal { mantissa, scale }),
        None => token.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
    }
}

/// A CSV value without quotes.
fn unquoted(token: &str) -> Value {
    let trimmed = token.trim();
    if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("null") {
        Value::Null
    } else if let Some(number) = number(trimmed) {
        number
    } else if trimmed.eq_ignore_ascii_case("true") {
        Value::Bool(true)
    } else if trimmed.eq_ignore_ascii_case("false") {
        Value::Bool(false)
    } else {
        Value::Str(token.into())
    }
}

/// This text, unquoted in CSV, is read as itself.
pub(crate) fn reads_as_text(text: &str) -> bool {
    matches!(unquoted(text), Value::Str(_))
}

/// Puts a value at a position of a row, under a name that is shared if it is the one of the record before. TRUE if it was.
fn put(out: &mut Row, at: usize, name: &str, value: Value) -> bool {
    match out.fields.get_mut(at) {
        Some(field) => {
            let same = *field.0 == *name;
            if !same {
                field.0 = name.into();
            }
            field.1 = value;
            same
        }
        None => {
            out.fields.push((Arc::from(name), value));
            false
        }
    }
}

#[cfg(test)]
mod tests;
