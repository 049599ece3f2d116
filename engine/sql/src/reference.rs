//! What every query knows beside the columns of its relation: one table for the listing behind `velo-sql validate` and
//! for the proofs. Functions have entries of their own in `velostream_functions`.

use std::fmt::Write;

use crate::bind::{BOUND_CALLS, CALLS, HEADER_CALLS};
pub use crate::parse::kinds::{Answer, KINDS, Kind};
pub use crate::parse::types::NAMES as TYPE_NAMES;
use crate::parse::unnest::WORDS as ELEMENT_CALLS;

/// A name with its type, meaning and use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written.
    pub written: &'static str,
    /// Its type.
    pub data_type: &'static str,
    /// What it gives.
    pub doc: &'static str,
    /// A query over a relation `trades (symbol, price)`.
    pub example: &'static str,
}

impl Entry {
    /// The name without arguments.
    pub fn name(&self) -> &'static str {
        self.written.split('(').next().unwrap_or(self.written)
    }
}

const fn entry(written: &'static str, data_type: &'static str, doc: &'static str, example: &'static str) -> Entry {
    Entry { written, data_type, doc, example }
}

/// Columns beside the value; never part of `*`.
#[rustfmt::skip]
pub const SYSTEM_COLUMNS: &[Entry] = &[
    entry("_timestamp", "INTEGER", "time of the record, ms", "SELECT _timestamp, symbol FROM trades"),
    entry("_event_time", "INTEGER", "event time, ms", "SELECT symbol FROM trades WHERE _event_time > 1700000000000"),
    entry("_event_time_ns", "INTEGER", "event time, ns", "SELECT _event_time_ns, symbol FROM trades"),
    entry("_partition", "INTEGER", "partition, or number of the file", "SELECT _partition, COUNT(*) FROM trades GROUP BY _partition"),
    entry("_offset", "INTEGER", "place in the partition", "SELECT _offset, symbol FROM trades"),
    entry("_key", "STRING", "key of the record", "SELECT _key, price FROM trades"),
    entry("_topic", "STRING", "topic of the record", "SELECT _topic, price FROM trades"),
    entry("_window_start", "INTEGER", "start of the window, ms", "SELECT _window_start, COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
    entry("_window_end", "INTEGER", "end of the window, ms", "SELECT _window_end, COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
];

/// Functions over the headers of records.
#[rustfmt::skip]
pub const HEADER_FUNCTIONS: &[Entry] = &[
    entry("HEADER(name)", "STRING", "value of a header, or NULL", "SELECT HEADER('source') AS source FROM trades"),
    entry("HAS_HEADER(name)", "BOOLEAN", "whether it is there", "SELECT symbol FROM trades WHERE HAS_HEADER('source')"),
    entry("HEADER_KEYS()", "STRING", "names, joined by commas", "SELECT HEADER_KEYS() AS names FROM trades"),
    entry("SET_HEADER(name, value)", "STRING", "sets it on the row's record", "SELECT symbol, SET_HEADER('checked', 'yes') FROM trades"),
    entry("REMOVE_HEADER(name)", "STRING", "takes it from the row's record", "SELECT symbol, REMOVE_HEADER('source') FROM trades"),
];

/// Functions that give a window's bounds; arguments are ignored.
#[rustfmt::skip]
pub const WINDOW_BOUNDS: &[Entry] = &[
    entry("TUMBLE_START(…)", "INTEGER", "start of the window, ms", "SELECT TUMBLE_START(), COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
    entry("TUMBLE_END(…)", "INTEGER", "end of the window, ms", "SELECT TUMBLE_END(), COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
    entry("WINDOW_START(…)", "INTEGER", "start of the window, ms", "SELECT WINDOW_START(), COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
    entry("WINDOW_END(…)", "INTEGER", "end of the window, ms", "SELECT WINDOW_END(), COUNT(*) FROM trades WINDOW TUMBLING(1m)"),
    entry("HOP_START(…)", "INTEGER", "start of the window, ms", "SELECT HOP_START(), COUNT(*) FROM trades WINDOW HOPPING(1m, 10s)"),
    entry("HOP_END(…)", "INTEGER", "end of the window, ms", "SELECT HOP_END(), COUNT(*) FROM trades WINDOW HOPPING(1m, 10s)"),
    entry("SESSION_START(…)", "INTEGER", "start of the session, ms", "SELECT SESSION_START(), COUNT(*) FROM trades WINDOW SESSION(1m)"),
    entry("SESSION_END(…)", "INTEGER", "end of the session, ms", "SELECT SESSION_END(), COUNT(*) FROM trades WINDOW SESSION(1m)"),
    entry("SESSION_DURATION()", "INTEGER", "its length, ms", "SELECT SESSION_DURATION(), COUNT(*) FROM trades WINDOW SESSION(1m)"),
];

/// Names with arguments behind them that are no functions of the catalogue: forms that evaluate only some of their
/// operands, window bounds and header functions.
pub fn special_calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().chain(&BOUND_CALLS).chain(&HEADER_CALLS).chain(&ELEMENT_CALLS).copied()
}

/// The listing behind the findings of `velo-sql validate`. Writing to a `String` cannot fail.
pub fn listing() -> String {
    let mut out = String::new();
    for (title, entries) in [
        ("Columns of every row, never part of *:", SYSTEM_COLUMNS),
        ("Headers of the record:", HEADER_FUNCTIONS),
        ("Bounds of the window, in queries with WINDOW:", WINDOW_BOUNDS),
    ] {
        let _ = writeln!(out, "{title}");
        for e in entries {
            let _ = writeln!(out, "  {:<23} {:<7}  {:<32} {}", e.written, e.data_type, e.doc, e.example);
        }
    }
    out
}
