//! Rows that break an assertion: the first ones with the cells that matter, and how many follow.

use crate::outcome::{Cell, OffendingRow, SHOWN_ROWS};
use crate::record::{Record, Row};
use crate::record_text::text;

/// `partition@offset`
pub(crate) fn place(record: &Record<'_>) -> String {
    format!("{}@{}", record.partition, record.offset)
}

/// Rows collected so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offenders {
    pub(crate) rows: Vec<OffendingRow>,
    pub(crate) more: u64,
}

impl Offenders {
    /// One more; cells are made for rows that are shown.
    pub(crate) fn add(&mut self, record: &Record<'_>, cells: impl FnOnce() -> Vec<Cell>) {
        self.add_at(|| (place(record), key(record)), cells);
    }

    /// One more, at a place of its own kind.
    pub(crate) fn add_at(
        &mut self,
        place: impl FnOnce() -> (String, Option<String>),
        cells: impl FnOnce() -> Vec<Cell>,
    ) {
        if self.rows.len() < SHOWN_ROWS {
            let (place, key) = place();
            self.rows.push(OffendingRow { place, key, cells: cells() });
        } else {
            self.more += 1;
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.rows.len() as u64 + self.more
    }

    /// A field's cell as it is.
    pub(crate) fn cell(row: &Row, field: &str) -> Cell {
        Cell { field: field.to_owned(), expected: None, actual: row.get(field).map(|value| text(value).into_owned()) }
    }

    /// A field's cell beside what it should be.
    pub(crate) fn cell_for(row: &Row, field: &str, expected: impl Into<String>) -> Cell {
        Cell { expected: Some(expected.into()), ..Offenders::cell(row, field) }
    }
}

/// The message key as text.
pub(crate) fn key(record: &Record<'_>) -> Option<String> {
    record.key.map(|key| String::from_utf8_lossy(key).into_owned())
}
