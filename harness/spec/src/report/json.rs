//! Reports as JSON, pretty-printed, keys in one order; `report.schema.json` describes them.

use serde_json::{Map, Value as Json, json};

use super::{AppResult, QueryReport, Report, Suite};
use crate::outcome::{Cell, OffendingRow, Outcome};

/// A report, with a line end behind it.
pub fn json(report: &Report) -> String {
    pretty(&of_report(report))
}

/// Several reports, with a line end behind them.
pub fn suite_json(suite: &Suite) -> String {
    let counts = suite.summary();
    let passed = suite.apps.iter().filter(|app| app.passed()).count();
    pretty(&json!({
        "title": suite.title,
        "measured": {
            "start_time": suite.start_time,
            "end_time": suite.end_time,
            "duration_secs": seconds(suite.duration_ms),
        },
        "apps": suite.apps.iter().map(of_app).collect::<Vec<_>>(),
        "summary": {
            "apps_total": suite.apps.len(),
            "apps_passed": passed,
            "apps_failed": suite.apps.len() - passed,
            "queries_total": counts.total,
            "queries_passed": counts.passed,
            "queries_failed": counts.failed,
            "queries_skipped": counts.skipped,
            "queries_errors": counts.errors,
            "assertions_total": counts.total_assertions,
            "assertions_passed": counts.passed_assertions,
            "assertions_failed": counts.failed_assertions,
        },
    }))
}

fn pretty(json: &Json) -> String {
    // The alternate form of `Display` is the pretty one, and cannot fail.
    format!("{json:#}\n")
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn of_app(app: &AppResult) -> Json {
    let counts = app.summary();
    let mut json = json!({
        "name": app.name,
        "passed": app.passed(),
        "queries_total": counts.total,
        "queries_passed": counts.passed,
        "assertions_total": counts.total_assertions,
        "assertions_passed": counts.passed_assertions,
        "measured": { "duration_secs": seconds(app.duration_ms) },
    });
    put(&mut json, "error", app.error.as_ref().map(|error| Json::from(error.as_str())));
    put(&mut json, "report", app.report.as_ref().map(of_report));
    json
}

fn of_report(report: &Report) -> Json {
    let counts = report.summary();
    let mut json = json!({
        "application": report.application,
        "run_id": report.run_id,
        "measured": {
            "start_time": report.start_time,
            "end_time": report.end_time,
            "duration_ms": report.duration_ms,
        },
        "seed": report.seed,
        "engine": {
            "shards": report.engine.shards,
            "backend": report.engine.backend,
            "pinned": report.engine.pinned,
            "client": report.engine.client.name(),
        },
        "summary": {
            "total": counts.total,
            "passed": counts.passed,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "errors": counts.errors,
            "total_assertions": counts.total_assertions,
            "passed_assertions": counts.passed_assertions,
            "failed_assertions": counts.failed_assertions,
        },
        "queries": report.queries.iter().map(of_query).collect::<Vec<_>>(),
    });
    put(&mut json, "warnings", (!report.warnings.is_empty()).then(|| report.warnings.clone().into()));
    json
}

fn of_query(query: &QueryReport) -> Json {
    let mut json = json!({
        "name": query.name,
        "status": query.status.name(),
        "measured": { "duration_ms": query.duration_ms },
    });
    put(&mut json, "error", query.error.as_ref().map(|error| Json::from(error.as_str())));
    let counts = |counts: &[(String, u64)]| -> Map<String, Json> {
        counts.iter().map(|(name, n)| (name.clone(), Json::from(*n))).collect()
    };
    put(
        &mut json,
        "record_counts",
        Some(json!({ "inputs": counts(&query.inputs), "outputs": counts(&query.outputs) })),
    );
    put(&mut json, "assertions", Some(query.assertions.iter().map(of_outcome).collect()));
    put(&mut json, "warnings", (!query.warnings.is_empty()).then(|| query.warnings.clone().into()));
    json
}

fn of_outcome(outcome: &Outcome) -> Json {
    let mut json = json!({ "type": outcome.kind, "passed": outcome.passed, "message": outcome.message });
    let text = |text: &Option<String>| text.as_ref().map(|text| Json::from(text.as_str()));
    put(&mut json, "expected", text(&outcome.expected));
    put(&mut json, "actual", text(&outcome.actual));
    put(&mut json, "details", (!outcome.details.is_empty()).then(|| outcome.details.clone().into()));
    put(&mut json, "measured", (!outcome.measured.is_empty()).then(|| outcome.measured.clone().into()));
    put(&mut json, "rows", (!outcome.rows.is_empty()).then(|| outcome.rows.iter().map(of_row).collect()));
    put(&mut json, "more_rows", (outcome.more_rows > 0).then(|| outcome.more_rows.into()));
    put(&mut json, "warning", text(&outcome.warning));
    json
}

fn of_row(row: &OffendingRow) -> Json {
    let mut json = json!({ "place": row.place });
    put(&mut json, "key", row.key.as_ref().map(|key| Json::from(key.as_str())));
    put(&mut json, "cells", Some(row.cells.iter().map(of_cell).collect()));
    json
}

fn of_cell(cell: &Cell) -> Json {
    let mut json = json!({ "field": cell.field });
    put(&mut json, "expected", cell.expected.as_ref().map(|text| Json::from(text.as_str())));
    put(&mut json, "actual", cell.actual.as_ref().map(|text| Json::from(text.as_str())));
    json
}

/// Adds a key where there is a value for it.
fn put(object: &mut Json, key: &str, value: Option<Json>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}
