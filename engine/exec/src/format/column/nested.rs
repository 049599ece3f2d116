//! Arrays, maps, structs and untyped JSON, read as values: their one canonical text.
//!
//! Fields that already are canonical stay views into the slab. In CSV the field is text that holds JSON. Cost: one walk
//! over the value and one comparison with what was written.

use std::borrow::Cow;

use velostream_functions::json::{self, Strictness};
use velostream_types::{Column, DataType, ErrorCode, StrBuilder, Utf8Slab};

use super::slots::rows_in;
use super::{Builder, Refusal, Source, WRONG_TYPE};
use crate::format::cells::{Cell, Kind};
use crate::format::number::Grammar;

/// Builder of a nested column.
#[derive(Debug)]
pub(super) struct Nested {
    data_type: DataType,
    strictness: Strictness,
    not_null: bool,
    strings: StrBuilder,
    /// The canonical text of the value under way.
    canonical: String,
}

impl Nested {
    pub(super) fn new(data_type: &DataType, inferred: bool, not_null: bool) -> Nested {
        Nested {
            data_type: data_type.clone(),
            strictness: if inferred { Strictness::Inferred } else { Strictness::Declared },
            not_null,
            strings: StrBuilder::default(),
            canonical: String::new(),
        }
    }

    /// Where and why a field that was refused does not fit, to follow the column's name.
    pub(super) fn misfit(&self, source: Source<'_>, cell: Cell) -> Option<String> {
        let text = written(source, cell)?.0;
        if let Err(malformed) = json::check(&text) {
            return Some(format!(" is not JSON: {} at byte {}", malformed.what, malformed.at));
        }
        let found = json::canonical(&text, &self.data_type, self.strictness, &mut String::new()).err()?;
        Some(format!("{}: `{}` does not fit {}", found.path, found.found, found.expected))
    }
}

/// The JSON of a field, and where it stands in the slab if it does.
type Written<'a> = (Cow<'a, str>, Option<(usize, usize)>);

fn written(source: Source<'_>, cell: Cell) -> Option<Written<'_>> {
    let (start, end) = match (cell.kind(), source.grammar) {
        (Kind::Text | Kind::Escaped, Grammar::Json) => (cell.start() - 1, cell.end() + 1),
        (Kind::Escaped, Grammar::Csv) => return Some((source.text(cell)?, None)),
        _ => (cell.start(), cell.end()),
    };
    let text = std::str::from_utf8(&source.bytes[start..end]).ok()?;
    Some((Cow::Borrowed(text), Some((start, end))))
}

/// TRUE when an escape stands for no character: nothing else in the text reads as the mark for it.
#[cold]
fn has_half_character(text: &str) -> bool {
    !text.contains(char::REPLACEMENT_CHARACTER) && !text.to_ascii_lowercase().contains("\\ufffd")
}

impl Builder for Nested {
    rows_in!(strings);

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        const INVALID: Refusal = Refusal::Bad(ErrorCode::InvalidUtf8);
        let (text, place) = written(source, cell).ok_or(INVALID)?;
        self.canonical.clear();
        // The tokeniser leaves numbers to those who read them.
        if json::check(&text).is_err()
            || json::canonical(&text, &self.data_type, self.strictness, &mut self.canonical).is_err()
        {
            return Err(WRONG_TYPE);
        }
        if self.canonical.contains(char::REPLACEMENT_CHARACTER) && has_half_character(&text) {
            return Err(Refusal::Bad(ErrorCode::Malformed));
        }
        // The null of a CSV field.
        if self.canonical == "null" {
            if self.not_null {
                return Err(Refusal::Bad(ErrorCode::NullInNotNull));
            }
            self.strings.push_null();
            return Ok(());
        }
        match place {
            Some((start, end)) if *text == *self.canonical => {
                if self.strings.push(start, end) {
                    Ok(())
                } else {
                    Err(INVALID)
                }
            }
            _ => {
                self.strings.push_str(&self.canonical);
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Column {
        Column::Str(self.strings.finish())
    }
}
