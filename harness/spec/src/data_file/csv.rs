//! CSV as data files have it: commas, double quotes, `""` inside them, lines that end in LF or CRLF; quoted values may go
//! over several lines. A value without quotes is what it looks like, one with quotes is text.

use std::sync::Arc;

use velostream_types::Value;

use super::{DataError, unquoted};
use crate::record::Row;

#[derive(Clone, Debug)]
pub(super) struct CsvFile<'a> {
    text: &'a str,
    at: usize,
    names: Vec<Arc<str>>,
}

/// One value and what it ends with.
struct Cell {
    value: Value,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Line,
}

impl<'a> CsvFile<'a> {
    /// A file with a line of names, or one whose columns are called `column_N`, from 0.
    pub fn open(text: &'a str, header: bool) -> Result<CsvFile<'a>, DataError> {
        let mut file = CsvFile { text, at: 0, names: Vec::new() };
        file.skip_blank_lines();
        let start = file.at;
        let mut end = if file.at < text.len() { End::Comma } else { End::Line };
        while end == End::Comma {
            let place = file.at;
            // What looks like a number may well be a name, so the name is the text, not the value.
            let cell = file.cell()?;
            end = cell.end;
            let name = match cell.value {
                Value::Str(name) if text[place..].starts_with('"') => name,
                _ => text[place..file.at].trim_end_matches(['\r', '\n']).trim_end_matches(',').trim().into(),
            };
            if !header {
                file.names.push(format!("column_{}", file.names.len()).into());
                continue;
            }
            if name.is_empty() {
                return Err(DataError::at(text.as_bytes(), place, "this column has no name in the header"));
            }
            if file.names.iter().any(|other| **other == *name) {
                return Err(DataError::at(text.as_bytes(), place, format!("column \"{name}\" is there twice")));
            }
            file.names.push(Arc::from(&*name));
        }
        if !header {
            file.at = start;
        }
        Ok(file)
    }

    fn skip_blank_lines(&mut self) {
        while let Some(b'\n' | b'\r') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// Reads the next record over the last one.
    pub fn next_into(&mut self, out: &mut Row) -> Result<bool, DataError> {
        self.skip_blank_lines();
        if self.at >= self.text.len() {
            return Ok(false);
        }
        let start = self.at;
        let mut count = 0;
        loop {
            let place = self.at;
            let cell = self.cell()?;
            let Some(name) = self.names.get(count) else {
                let message = format!("this value is one more than the {} columns", self.names.len());
                return Err(DataError::at(self.text.as_bytes(), place, message));
            };
            match out.fields.get_mut(count) {
                Some(field) => {
                    if !Arc::ptr_eq(&field.0, name) {
                        field.0 = Arc::clone(name);
                    }
                    field.1 = cell.value;
                }
                None => out.fields.push((Arc::clone(name), cell.value)),
            }
            count += 1;
            if cell.end == End::Line {
                break;
            }
        }
        if let Some(missing) = self.names.get(count) {
            let message =
                format!("the line has {count} values for {} columns; \"{missing}\" is missing", self.names.len());
            return Err(DataError::at(self.text.as_bytes(), start, message));
        }
        out.fields.truncate(count);
        Ok(true)
    }

    /// The value that begins here, with what ends it behind it.
    fn cell(&mut self) -> Result<Cell, DataError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes.get(start) == Some(&b'"') {
            return self.quoted(start);
        }
        let end = bytes[start..].iter().position(|b| matches!(b, b',' | b'\n')).map_or(bytes.len(), |n| start + n);
        let line_end = if bytes.get(end) == Some(&b',') { End::Comma } else { End::Line };
        self.at = (end + 1).min(bytes.len());
        let token = &self.text[start..end];
        let token = if line_end == End::Line { token.strip_suffix('\r').unwrap_or(token) } else { token };
        // A comma as the last byte of the file still has an empty value behind it, which the next call gives.
        Ok(Cell { value: unquoted(token), end: line_end })
    }

    fn quoted(&mut self, start: usize) -> Result<Cell, DataError> {
        let bytes = self.text.as_bytes();
        let mut text = String::new();
        let mut from = start + 1;
        let close = loop {
            let Some(quote) = bytes[from..].iter().position(|b| *b == b'"').map(|n| from + n) else {
                return Err(DataError::at(bytes, start, "the quote that opens here is never closed"));
            };
            text.push_str(&self.text[from..quote]);
            if bytes.get(quote + 1) != Some(&b'"') {
                break quote;
            }
            text.push('"');
            from = quote + 2;
        };
        let behind = close + 1;
        let (end, length) = match &bytes[behind..] {
            [] => (End::Line, 0),
            [b',', ..] => (End::Comma, 1),
            [b'\n', ..] => (End::Line, 1),
            [b'\r', b'\n', ..] => (End::Line, 2),
            _ => {
                let message = "a comma or the line's end is expected behind the quote; a quote inside is written twice";
                return Err(DataError::at(bytes, behind, message));
            }
        };
        self.at = behind + length;
        Ok(Cell { value: Value::Str(text.into()), end })
    }
}
