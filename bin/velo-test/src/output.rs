//! Forms of a report, and standard output: nothing but the document goes there.

use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use velostream_spec::report::{Report, Style, Suite, json, junit, suite_json, suite_junit, suite_text, text};

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people
    Text,
    /// For programs
    Json,
    /// For build servers
    #[value(alias = "xml")]
    Junit,
}

impl OutputForm {
    /// Prints the report of an app.
    pub fn show(self, report: &Report) -> Result<()> {
        print(&match self {
            OutputForm::Text => text(report, style()),
            OutputForm::Json => json(report),
            OutputForm::Junit => junit(report),
        })
    }

    /// Prints the report of several apps.
    pub fn show_suite(self, suite: &Suite) -> Result<()> {
        print(&match self {
            OutputForm::Text => suite_text(suite, style()),
            OutputForm::Json => suite_json(suite),
            OutputForm::Junit => suite_junit(suite),
        })
    }
}

/// Colours on a terminal, unless NO_COLOR is set.
pub fn style() -> Style {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    Style { colour: std::io::stdout().is_terminal() && !is_plain }
}

/// Prints a document, with a line end behind it.
pub fn print(document: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let end = if document.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{document}{end}").and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
