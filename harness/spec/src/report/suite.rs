//! Several apps in one report.

use super::{Report, Summary};

/// What became of several apps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Its title.
    pub title: String,
    /// When it began, RFC 3339.
    pub start_time: String,
    /// When it ended, RFC 3339.
    pub end_time: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Apps in their order.
    pub apps: Vec<AppResult>,
}

/// What became of one app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppResult {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Why there is no report.
    pub error: Option<String>,
    /// Its report.
    pub report: Option<Report>,
}

impl AppResult {
    /// It ran and nothing failed.
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.report.as_ref().is_some_and(Report::passed)
    }

    /// Counts of its report.
    pub fn summary(&self) -> Summary {
        self.report.as_ref().map(Report::summary).unwrap_or_default()
    }
}

impl Suite {
    /// Every app passed.
    pub fn passed(&self) -> bool {
        self.apps.iter().all(AppResult::passed)
    }

    /// Counts over all apps.
    pub(super) fn summary(&self) -> Summary {
        let mut all = Summary::default();
        for one in self.apps.iter().map(AppResult::summary) {
            all.total += one.total;
            all.passed += one.passed;
            all.failed += one.failed;
            all.skipped += one.skipped;
            all.errors += one.errors;
            all.total_assertions += one.total_assertions;
            all.passed_assertions += one.passed_assertions;
            all.failed_assertions += one.failed_assertions;
        }
        all
    }
}
