//! Loading as a whole: sample files that have every key, and what is said about each kind of mistake.

mod editors;
mod hints;
mod mistakes;
mod samples;
mod schemas;

use std::path::Path;

use velostream_sql::diag::{self, Diagnostic};

use super::{data_schema, spec};
use crate::findings::Loaded;
use crate::schema::DataSchema;
use crate::spec::Spec;

fn load(text: &str) -> Loaded<Spec> {
    spec("shop.test.yaml", text, Path::new("demo"))
}

fn load_schema(text: &str) -> Loaded<DataSchema> {
    data_schema("orders.yaml", text)
}

/// All findings as users see them; `sql` is what those without a file of their own are about.
fn drawn(findings: &[Diagnostic], sql: &str) -> String {
    findings.iter().map(|finding| diag::render(finding, "shop.sql", sql, false)).collect::<Vec<_>>().join("\n")
}

/// The findings about a spec.
fn said(text: &str) -> String {
    drawn(&load(text).findings, "")
}

/// The findings about a spec with one query, whose other keys these are.
fn said_of_query(keys: &str) -> String {
    let own = "application: shop\nqueries:\n  - name: totals\n";
    let lines: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    said(&format!("{own}{lines}"))
}

/// The findings about one assertion.
fn said_of_assertion(keys: &str) -> String {
    said_of_query(&format!("inputs: []\nassertions:\n  - {}", keys.replace('\n', "\n    ")))
}

/// The codes of all findings about one assertion.
fn codes_of_assertion(keys: &str) -> Vec<&'static str> {
    let keys = keys.replace('\n', "\n        ");
    let text = format!("application: a\nqueries:\n  - name: q\n    inputs: []\n    assertions:\n      - {keys}\n");
    load(&text).findings.iter().map(|finding| finding.code).collect()
}
