//! What stands between the tests of a run, for who goes through them one at a time.

use velostream_spec::report::QueryReport;

/// A test that ended, with what it gave.
#[derive(Clone, Copy, Debug)]
pub struct Step<'s> {
    /// What came of it.
    pub report: &'s QueryReport,
    /// Text of the tested statement; empty where none was found.
    pub statement: &'s str,
    /// The first records of its outputs, by sink.
    pub rows: &'s [(String, Vec<String>)],
    /// What the job had to say while it ran.
    pub notices: &'s [String],
}

/// Stands between tests.
pub trait Steps {
    /// Records wanted of each output.
    fn rows(&self) -> usize {
        0
    }

    /// This test comes next; FALSE ends the run in front of it.
    fn before(&mut self, _query: &str) -> bool {
        true
    }

    /// This test ended.
    fn after(&mut self, _step: &Step<'_>) {}
}
