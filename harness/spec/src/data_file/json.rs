//! JSON objects to rows. A text is checked as a whole first, then walked in slices without a tree.

use velostream_functions::json::{Elements, Kind, Malformed, check, elements, kind, members, text_of};
use velostream_types::Value;
use velostream_types::time::parse_timestamp;

use super::{DataError, number, put};
use crate::record::Row;

/// What becomes of strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// Text, always.
    AsWritten,
    /// A timestamp where they are a date and a time of day without a zone.
    WithTimes,
}

#[derive(Clone, Debug)]
pub(super) struct JsonFile<'a> {
    text: &'a str,
    records: Records<'a>,
}

#[derive(Clone, Debug)]
enum Records<'a> {
    /// From this byte on.
    Lines(usize),
    Array(Elements<'a>),
    /// A file that is one object, until it was read.
    Single(bool),
}

impl<'a> JsonFile<'a> {
    pub fn lines(text: &'a str) -> JsonFile<'a> {
        JsonFile { text, records: Records::Lines(0) }
    }

    /// An array of objects, or one object.
    pub fn array(text: &'a str) -> Result<JsonFile<'a>, DataError> {
        let inner = text.trim_matches(SPACE);
        if inner.is_empty() {
            return Ok(JsonFile { text: "[]", records: Records::Array(elements("[]")) });
        }
        check(text).map_err(|malformed| json_error(text, text, malformed))?;
        let records = match kind(inner) {
            Kind::Array => Records::Array(elements(inner)),
            Kind::Object => Records::Single(false),
            _ => return Err(DataError::at(text.as_bytes(), 0, "an array of objects is expected here")),
        };
        Ok(JsonFile { text, records })
    }

    /// Reads the next record over the last one.
    pub fn next_into(&mut self, out: &mut Row) -> Result<bool, DataError> {
        let record = match &mut self.records {
            Records::Array(elements) => elements.next(),
            Records::Single(read) => (!std::mem::replace(read, true)).then_some(self.text.trim_matches(SPACE)),
            Records::Lines(at) => {
                let Some(line) = next_line(self.text, at) else { return Ok(false) };
                check(line).map_err(|malformed| json_error(self.text, line, malformed))?;
                Some(line.trim_matches(SPACE))
            }
        };
        let Some(record) = record else { return Ok(false) };
        object(record, out, Strings::AsWritten)
            .map_err(|message| DataError::at(self.text.as_bytes(), place(self.text, record), message))?;
        Ok(true)
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// The next line with anything on it, from a byte on.
fn next_line<'a>(text: &'a str, at: &mut usize) -> Option<&'a str> {
    loop {
        let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
        let end = rest.find('\n').unwrap_or(rest.len());
        *at += (end + 1).min(rest.len());
        if !rest[..end].trim_matches(SPACE).is_empty() {
            return Some(&rest[..end]);
        }
    }
}

/// Where a part of a text begins in it.
fn place(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

fn json_error(text: &str, part: &str, Malformed { at, what }: Malformed) -> DataError {
    DataError::at(text.as_bytes(), place(text, part) + at, format!("no JSON: {what}"))
}

/// Reads one JSON object over a row, such as a captured record's value. Dates with a time of day and no zone become
/// timestamps, arrays and objects JSON text. The error names line and column.
pub fn json_row(bytes: &[u8], out: &mut Row) -> Result<(), String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| DataError::at(bytes, e.valid_up_to(), "this is no UTF-8").to_string())?;
    check(text).map_err(|malformed| json_error(text, text, malformed).to_string())?;
    let trimmed = text.trim_matches(SPACE);
    object(trimmed, out, Strings::WithTimes)
        .map_err(|message| DataError::at(bytes, place(text, trimmed), message).to_string())
}

/// Takes a well-formed object apart.
fn object(raw: &str, out: &mut Row, strings: Strings) -> Result<(), String> {
    let found = match kind(raw) {
        Kind::Object => "",
        Kind::Null => "null",
        Kind::Bool => "a Boolean",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::Array => "an array",
    };
    if !found.is_empty() {
        return Err(format!("a record is a JSON object, and this is {found}"));
    }
    let (mut count, mut as_before) = (0, true);
    for (name, value) in members(raw) {
        as_before &= put(out, count, &text_of(name), value_of(value, strings));
        count += 1;
    }
    out.fields.truncate(count);
    if !as_before {
        last_of_each_name(out);
    }
    Ok(())
}

/// Where an object has a name twice, the last value counts. Only looked for where the names are not those of the record
/// before, which had each once.
fn last_of_each_name(out: &mut Row) {
    let mut at = 0;
    while at < out.fields.len() {
        match out.fields[..at].iter().position(|(name, _)| *name == out.fields[at].0) {
            Some(first) => out.fields[first].1 = out.fields.remove(at).1,
            None => at += 1,
        }
    }
}

fn value_of(raw: &str, strings: Strings) -> Value {
    match kind(raw) {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(raw == "true"),
        // What not even a float holds stays as it is written.
        Kind::Number => number(raw).unwrap_or_else(|| Value::Json(raw.into())),
        Kind::Array | Kind::Object => Value::Json(raw.into()),
        Kind::Text => {
            let text = text_of(raw);
            let time =
                (strings == Strings::WithTimes && is_local_time(&text)).then(|| parse_timestamp(&text)).flatten();
            time.map_or_else(|| Value::Str((&*text).into()), Value::Timestamp)
        }
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.f]`, with a space for the `T` as well; no zone.
fn is_local_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 19
        && bytes[4] == b'-'
        && matches!(bytes[10], b'T' | b' ')
        && bytes[16] == b':'
        && bytes[19..].iter().all(|b| b.is_ascii_digit() || *b == b'.')
}
