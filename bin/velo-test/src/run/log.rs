//! What jobs log, on standard error, for who wants to see it.

use velostream_harness::app::steps::{Step, Steps};

use super::one::Options;

/// Runs all tests at once, and shows the log of each behind it.
pub struct Log<'a> {
    app: &'a str,
    is_shown: bool,
}

impl<'a> Log<'a> {
    /// Of an app, where the command line asks for it.
    pub fn of(options: &Options, app: &'a str) -> Log<'a> {
        Log { app, is_shown: options.verbose }
    }
}

impl Steps for Log<'_> {
    fn after(&mut self, step: &Step<'_>) {
        for notice in step.notices.iter().filter(|_| self.is_shown) {
            eprintln!("{}: {}: {notice}", self.app, step.report.name);
        }
    }
}
