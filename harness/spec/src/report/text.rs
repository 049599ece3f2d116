//! Reports for people.

use std::fmt::Write;

use serde_json::Value as Json;

use super::table::table;
use super::{Engine, QueryReport, Report, Status, Suite};
use crate::check::counted;
use crate::outcome::{OffendingRow, Outcome};
use crate::record_text::float_text;

/// How text is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With terminal colours.
    pub colour: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
    Bold,
}

impl Style {
    fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Bold => 1,
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn mark(self, passed: bool) -> String {
        if passed { self.paint(Colour::Green, "✓") } else { self.paint(Colour::Red, "✗") }
    }
}

/// Text without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A report.
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    write_report(&mut out, report, style);
    out
}

fn write_report(out: &mut String, report: &Report, style: Style) {
    let counts = report.summary();
    line(out, &style.paint(Colour::Bold, &plain(&report.application)));
    line(out, &format!("  run {}, seed {}, {} ms", plain(&report.run_id), report.seed, report.duration_ms));
    let Engine { shards, backend, pinned, client } = &report.engine;
    let (many, pinned) = (if *shards == 1 { "" } else { "s" }, if *pinned { "pinned" } else { "unpinned" });
    line(out, &format!("  {shards} shard{many} on {}, {pinned}; {}", plain(backend), client.words()));
    let mut queries = format!("  queries: {} of {} passed", counts.passed, counts.total);
    for (n, what) in [(counts.failed, "failed"), (counts.errors, "with errors"), (counts.skipped, "skipped")] {
        if n > 0 {
            let _ = write!(queries, ", {n} {what}");
        }
    }
    line(out, &queries);
    let mut assertions = format!("  assertions: {} of {} passed", counts.passed_assertions, counts.total_assertions);
    if counts.failed_assertions > 0 {
        let _ = write!(assertions, ", {} failed", counts.failed_assertions);
    }
    line(out, &assertions);
    for warning in &report.warnings {
        warn(out, "  ", warning, style);
    }
    for query in &report.queries {
        out.push('\n');
        write_query(out, query, style);
    }
    out.push('\n');
    line(out, &verdict(report, style));
}

fn verdict(report: &Report, style: Style) -> String {
    let counts = report.summary();
    if report.passed() {
        return style.paint(Colour::Green, &format!("PASSED: {}", counted(counts.passed_assertions, "assertion")));
    }
    let mut parts = Vec::new();
    if counts.failed > 0 {
        let failed = counted(counts.failed_assertions, "assertion");
        parts.push(format!("{failed} in {}", counted_queries(counts.failed)));
    }
    if counts.errors > 0 {
        parts.push(format!("{} did not run to the end", counted_queries(counts.errors)));
    }
    style.paint(Colour::Red, &format!("FAILED: {}", parts.join("; ")))
}

fn counted_queries(n: u64) -> String {
    if n == 1 { "1 query".to_owned() } else { format!("{n} queries") }
}

fn write_query(out: &mut String, query: &QueryReport, style: Style) {
    let icon = match query.status {
        Status::Passed => style.mark(true),
        Status::Failed => style.mark(false),
        Status::Error => style.paint(Colour::Red, "!"),
        Status::Skipped => style.paint(Colour::Yellow, "-"),
    };
    let state =
        if query.status == Status::Skipped { "skipped".to_owned() } else { format!("{} ms", query.duration_ms) };
    line(out, &format!("{icon} {} ({state})", style.paint(Colour::Bold, &plain(&query.name))));
    if let Some(error) = &query.error {
        for (i, text) in error.lines().enumerate() {
            let text = plain(text);
            line(
                out,
                &if i == 0 {
                    format!("    {}: {text}", style.paint(Colour::Red, "error"))
                } else {
                    format!("    {text}")
                },
            );
        }
    }
    for (counts, what) in [(&query.inputs, "in "), (&query.outputs, "out")] {
        for (name, n) in counts {
            line(out, &format!("    {what} {}: {}", plain(name), counted(*n, "record")));
        }
    }
    for warning in &query.warnings {
        warn(out, "    ", warning, style);
    }
    for outcome in &query.assertions {
        write_outcome(out, outcome, style);
    }
}

fn write_outcome(out: &mut String, outcome: &Outcome, style: Style) {
    line(out, &format!("    {} {}: {}", style.mark(outcome.passed), outcome.kind, plain(&outcome.message)));
    if !outcome.passed {
        for (name, value) in [("expected", &outcome.expected), ("actual  ", &outcome.actual)] {
            if let Some(value) = value {
                line(out, &format!("        {name} {}", plain(value)));
            }
        }
        let details: Vec<String> =
            outcome.details.iter().map(|(name, value)| format!("{name} {}", plain(&shown_json(value)))).collect();
        if !details.is_empty() {
            line(out, &format!("        details  {}", details.join(", ")));
        }
    }
    let measured: Vec<String> =
        outcome.measured.iter().map(|(name, value)| format!("{name} {}", plain(&shown_json(value)))).collect();
    if !measured.is_empty() {
        line(out, &format!("        measured {}", measured.join(", ")));
    }
    write_rows(out, &outcome.rows, outcome.more_rows);
    if let Some(warning) = &outcome.warning {
        warn(out, "        ", warning, style);
    }
}

/// Rows that break an assertion, a line a cell.
fn write_rows(out: &mut String, rows: &[OffendingRow], more: u64) {
    if rows.is_empty() {
        return;
    }
    let keyed = rows.iter().any(|row| row.key.is_some());
    let mut lines = Vec::new();
    for row in rows {
        for (i, cell) in row.cells.iter().enumerate() {
            let mut columns = vec![if i == 0 { row.place.clone() } else { String::new() }];
            if keyed {
                columns.push(if i == 0 { row.key.clone().unwrap_or_default() } else { String::new() });
            }
            columns.push(cell.field.clone());
            columns.push(cell.expected.clone().unwrap_or_default());
            columns.push(cell.actual.clone().unwrap_or_else(|| "(missing)".to_owned()));
            lines.push(columns);
        }
    }
    let head: &[&str] =
        if keyed { &["row", "key", "field", "expected", "actual"] } else { &["row", "field", "expected", "actual"] };
    out.push_str(&table(head, &lines, &[], "        "));
    if more > 0 {
        line(out, &format!("        and {} more", counted(more, "row")));
    }
}

/// Several reports: what failed in each, then a table of all.
pub fn suite_text(suite: &Suite, style: Style) -> String {
    let mut out = String::new();
    line(&mut out, &style.paint(Colour::Bold, &plain(&suite.title)));
    for app in suite.apps.iter().filter(|app| !app.passed()) {
        out.push('\n');
        match (&app.report, &app.error) {
            (Some(report), _) => write_report(&mut out, report, style),
            (None, error) => {
                line(&mut out, &style.paint(Colour::Bold, &plain(&app.name)));
                let error = error.as_deref().unwrap_or("it gave no report");
                error.lines().for_each(|text| line(&mut out, &format!("  {}", plain(text))));
            }
        }
    }
    out.push('\n');
    let seconds = |ms: u64| format!("{}.{:03} s", ms / 1_000, ms % 1_000);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for app in &suite.apps {
        let counts = app.summary();
        rows.push(vec![
            app.name.clone(),
            format!("{}/{}", counts.passed, counts.total),
            format!("{}/{}", counts.passed_assertions, counts.total_assertions),
            seconds(app.duration_ms),
            if app.passed() { "passed" } else { "FAILED" }.to_owned(),
        ]);
    }
    let counts = suite.summary();
    let passed = suite.apps.iter().filter(|app| app.passed()).count();
    rows.push(vec![
        "Total".to_owned(),
        format!("{}/{}", counts.passed, counts.total),
        format!("{}/{}", counts.passed_assertions, counts.total_assertions),
        seconds(suite.duration_ms),
        format!("{passed}/{}", suite.apps.len()),
    ]);
    out.push_str(&table(&["App", "Queries", "Assertions", "Duration", "Status"], &rows, &[1, 2, 3], ""));
    out.push('\n');
    let failed = suite.apps.len() - passed;
    let (colour, verdict) = if failed == 0 {
        (Colour::Green, format!("PASSED: {}", counted(passed as u64, "app")))
    } else {
        (Colour::Red, format!("FAILED: {} of {}", failed, counted(suite.apps.len() as u64, "app")))
    };
    line(&mut out, &style.paint(colour, &verdict));
    out
}

/// A figure or a sample: texts without quotes, floats as short as they can be.
fn shown_json(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) if number.is_f64() => float_text(number.as_f64().unwrap_or_default()),
        Json::Array(values) => format!("[{}]", values.iter().map(shown_json).collect::<Vec<_>>().join(", ")),
        Json::Object(values) => {
            let members: Vec<String> =
                values.iter().map(|(name, value)| format!("{name} {}", shown_json(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn warn(out: &mut String, indent: &str, warning: &str, style: Style) {
    line(out, &format!("{indent}{}: {}", style.paint(Colour::Yellow, "warning"), plain(warning)));
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
