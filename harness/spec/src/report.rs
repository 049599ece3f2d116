//! What became of a run, and how it is written: text for people, JSON for programs, JUnit XML for build servers.
//!
//! Two runs of one seed give the same JSON except for what stands in objects called `measured`.

mod json;
mod junit;
mod suite;
mod table;
mod text;

pub use json::{json, suite_json};
pub use junit::{junit, suite_junit};
pub use suite::{AppResult, Suite};
pub use text::{Style, suite_text, text};

use crate::outcome::Outcome;

/// JSON Schema of [`json()`] and [`suite_json`].
pub const JSON_SCHEMA: &str = include_str!("report/report.schema.json");

/// XML Schema of [`junit()`] and [`suite_junit`].
pub const JUNIT_SCHEMA: &str = include_str!("report/junit.xsd");

/// What became of the test of an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The app.
    pub application: String,
    /// This run's name.
    pub run_id: String,
    /// When it began, RFC 3339.
    pub start_time: String,
    /// When it ended, RFC 3339.
    pub end_time: String,
    /// How long it took.
    pub duration_ms: u64,
    /// The seed that gives the same data again.
    pub seed: u64,
    /// How its jobs ran.
    pub engine: Engine,
    /// Tests of queries, in their order.
    pub queries: Vec<QueryReport>,
    /// What the author should look at, beside single queries.
    pub warnings: Vec<String>,
}

/// How the jobs of a run ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Shards of each.
    pub shards: u16,
    /// What executes them.
    pub backend: String,
    /// Each has a CPU of its own.
    pub pinned: bool,
    /// How they reach topics.
    pub client: Client,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine { shards: 1, backend: "threads".to_owned(), pinned: false, client: Client::default() }
    }
}

/// How jobs reach topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// Direct calls into the embedded broker.
    #[default]
    Direct,
    /// The production client, at the embedded broker.
    Production,
    /// The production client, at a cluster.
    Cluster,
}

impl Client {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Client::Direct => "direct",
            Client::Production => "production",
            Client::Cluster => "cluster",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Client::Direct => "direct calls to the embedded broker",
            Client::Production => "production client to the embedded broker",
            Client::Cluster => "production client to a cluster",
        }
    }
}

/// What became of the test of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryReport {
    /// The query.
    pub name: String,
    /// Whether it ran and what came of it.
    pub status: Status,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it did not run to its end.
    pub error: Option<String>,
    /// Records published, by source.
    pub inputs: Vec<(String, u64)>,
    /// Records captured, by sink.
    pub outputs: Vec<(String, u64)>,
    /// Assertions in their order.
    pub assertions: Vec<Outcome>,
    /// What the author should look at.
    pub warnings: Vec<String>,
}

/// The state of a query's test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// All assertions hold.
    #[default]
    Passed,
    /// Some do not.
    Failed,
    /// It did not run to its end.
    Error,
    /// It was not to run.
    Skipped,
}

impl Status {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Error => "error",
            Status::Skipped => "skipped",
        }
    }
}

/// Counts of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Queries.
    pub total: u64,
    /// Queries that passed.
    pub passed: u64,
    /// Queries with assertions that do not hold.
    pub failed: u64,
    /// Queries that were skipped.
    pub skipped: u64,
    /// Queries that did not run to their end.
    pub errors: u64,
    /// Assertions.
    pub total_assertions: u64,
    /// Assertions that hold.
    pub passed_assertions: u64,
    /// Assertions that do not.
    pub failed_assertions: u64,
}

impl QueryReport {
    /// A query that ran: failed if some assertion does not hold.
    pub fn of(name: impl Into<String>, assertions: Vec<Outcome>) -> QueryReport {
        let failed = assertions.iter().any(|outcome| !outcome.passed);
        let status = if failed { Status::Failed } else { Status::Passed };
        QueryReport { name: name.into(), status, assertions, ..QueryReport::default() }
    }
}

impl Report {
    /// Its counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for query in &self.queries {
            summary.total += 1;
            *match query.status {
                Status::Passed => &mut summary.passed,
                Status::Failed => &mut summary.failed,
                Status::Skipped => &mut summary.skipped,
                Status::Error => &mut summary.errors,
            } += 1;
            summary.total_assertions += query.assertions.len() as u64;
            summary.passed_assertions += query.assertions.iter().filter(|outcome| outcome.passed).count() as u64;
        }
        summary.failed_assertions = summary.total_assertions - summary.passed_assertions;
        summary
    }

    /// Nothing failed.
    pub fn passed(&self) -> bool {
        let summary = self.summary();
        summary.failed == 0 && summary.errors == 0
    }
}

#[cfg(test)]
mod tests;
