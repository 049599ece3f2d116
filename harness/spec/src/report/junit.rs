//! Reports as JUnit XML: a suite an app, a case a query, a failure an assertion that does not hold. `junit.xsd` describes
//! them.

use std::fmt::Write;

use super::{QueryReport, Report, Status, Suite};
use crate::outcome::Outcome;

/// A report.
pub fn junit(report: &Report) -> String {
    let mut out = String::from(DECLARATION);
    open_suites(&mut out, &report.application, &Counts::of(report), report.duration_ms);
    write_suite(&mut out, &report.application, report);
    out.push_str("</testsuites>\n");
    out
}

/// Several reports; an app without one is a suite with an error.
pub fn suite_junit(suite: &Suite) -> String {
    let mut all = Counts::default();
    for app in &suite.apps {
        all.add(&match &app.report {
            Some(report) => Counts::of(report),
            None => LOST,
        });
    }
    let mut out = String::from(DECLARATION);
    open_suites(&mut out, &suite.title, &all, suite.duration_ms);
    for app in &suite.apps {
        match &app.report {
            Some(report) => write_suite(&mut out, &app.name, report),
            None => {
                let name = escaped(&app.name);
                open_suite(&mut out, &name, &LOST, app.duration_ms);
                open_case(&mut out, &name, &name, app.duration_ms);
                let error = app.error.as_deref().unwrap_or("it gave no report");
                line(&mut out, &format!("      <error message=\"{}\"/>", escaped(error)));
                out.push_str("    </testcase>\n  </testsuite>\n");
            }
        }
    }
    out.push_str("</testsuites>\n");
    out
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// An app that gave no report.
const LOST: Counts = Counts { tests: 1, failures: 0, errors: 1, skipped: 0 };

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: u64,
    /// Cases with failures.
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Counts {
    fn of(report: &Report) -> Counts {
        let counts = report.summary();
        Counts { tests: counts.total, failures: counts.failed, errors: counts.errors, skipped: counts.skipped }
    }

    fn add(&mut self, other: &Counts) {
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
        self.skipped += other.skipped;
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn open_suites(out: &mut String, name: &str, counts: &Counts, ms: u64) {
    let Counts { tests, failures, errors, .. } = counts;
    let (name, time) = (escaped(name), seconds(ms));
    line(
        out,
        &format!(
            "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\">"
        ),
    );
}

fn open_suite(out: &mut String, name: &str, counts: &Counts, ms: u64) {
    let Counts { tests, failures, errors, skipped } = counts;
    let time = seconds(ms);
    let figures = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"");
    line(out, &format!("  <testsuite name=\"{name}\" {figures} time=\"{time}\">"));
}

fn open_case(out: &mut String, name: &str, class: &str, ms: u64) {
    let time = seconds(ms);
    line(out, &format!("    <testcase name=\"{name}\" classname=\"{class}\" time=\"{time}\">"));
}

fn write_suite(out: &mut String, name: &str, report: &Report) {
    open_suite(out, &escaped(name), &Counts::of(report), report.duration_ms);
    let class = escaped(&report.application);
    for query in &report.queries {
        write_case(out, query, &class);
    }
    out.push_str("  </testsuite>\n");
}

fn write_case(out: &mut String, query: &QueryReport, class: &str) {
    open_case(out, &escaped(&query.name), class, query.duration_ms);
    match query.status {
        Status::Skipped => out.push_str("      <skipped/>\n"),
        Status::Error => {
            let error = query.error.as_deref().unwrap_or("it did not run to its end");
            line(out, &format!("      <error message=\"{}\"/>", escaped(error)));
        }
        Status::Passed | Status::Failed => {}
    }
    for outcome in query.assertions.iter().filter(|outcome| !outcome.passed) {
        write_failure(out, outcome);
    }
    out.push_str("    </testcase>\n");
}

fn write_failure(out: &mut String, outcome: &Outcome) {
    let mut body = String::new();
    for (name, value) in [("expected", &outcome.expected), ("actual", &outcome.actual)] {
        if let Some(value) = value {
            let _ = writeln!(body, "{name}: {value}");
        }
    }
    for row in &outcome.rows {
        let _ = write!(body, "{}", row.place);
        for cell in &row.cells {
            let actual = cell.actual.as_deref().unwrap_or("(missing)");
            let _ = write!(body, " {}={actual}", cell.field);
        }
        body.push('\n');
    }
    if outcome.more_rows > 0 {
        let _ = writeln!(body, "and {} more", outcome.more_rows);
    }
    let message = escaped(&outcome.message);
    line(
        out,
        &format!(
            "      <failure type=\"{}\" message=\"{message}\">{}</failure>",
            outcome.kind,
            escaped(body.trim_end()).replace("&#10;", "\n")
        ),
    );
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Text as it may stand in an attribute and between tags. What XML has no way to say is dropped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // An attribute would turn a line end into a space.
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
