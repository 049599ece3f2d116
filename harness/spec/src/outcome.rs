//! What became of an assertion.

use serde_json::{Map, Value as Json};

/// Rows that a failure shows at most.
pub const SHOWN_ROWS: usize = 10;

/// The result of one assertion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `record_count`, …
    pub kind: &'static str,
    /// It holds.
    pub passed: bool,
    /// One line that names field and sink.
    pub message: String,
    /// What should be; with every failure.
    pub expected: Option<String>,
    /// What is; with every failure.
    pub actual: Option<String>,
    /// Figures and samples by name, the same in every run.
    pub details: Map<String, Json>,
    /// Figures that were measured, and differ from run to run.
    pub measured: Map<String, Json>,
    /// The rows that break it, the first [`SHOWN_ROWS`].
    pub rows: Vec<OffendingRow>,
    /// How many rows there are beyond those.
    pub more_rows: u64,
    /// It holds, yet its author should look: nothing to judge, too few records.
    pub warning: Option<String>,
}

/// A row that breaks an assertion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffendingRow {
    /// `partition@offset`, `line N` of a file.
    pub place: String,
    /// Message key as text.
    pub key: Option<String>,
    /// The cells that matter, others left out.
    pub cells: Vec<Cell>,
}

/// A cell beside what it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Its field.
    pub field: String,
    /// What it should be, where that is one thing.
    pub expected: Option<String>,
    /// What it is; `None`: the field is missing.
    pub actual: Option<String>,
}
