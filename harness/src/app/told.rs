//! What a run tells while it goes on, for who shows it.

use velostream_spec::report::QueryReport;

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum Told<'t> {
    /// The test of a query begins.
    Begun {
        /// The query.
        query: &'t str,
    },
    /// Records are published.
    Publishing {
        /// The query.
        query: &'t str,
        /// To which source.
        source: &'t str,
        /// So many so far.
        records: u64,
        /// Of so many, where that is known.
        of: Option<u64>,
    },
    /// The job runs.
    Running {
        /// The query.
        query: &'t str,
        /// Records it read so far.
        records: u64,
        /// Of so many that were published.
        of: u64,
    },
    /// The output is judged.
    Judging {
        /// The query.
        query: &'t str,
        /// Records looked at so far.
        records: u64,
        /// Of so many.
        of: u64,
    },
    /// The test of a query ended.
    Ended {
        /// What came of it.
        report: &'t QueryReport,
    },
}

/// Hears of it, from any thread.
pub type Tell<'t> = &'t (dyn Fn(Told<'_>) + Sync);

/// Records between two looks at how far a long piece of work is.
pub const EVERY: u64 = 8_192;
