//! `velo-test run --data-only`: how many records each source got.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use serde_json::json;
use velostream_spec::report::Report;

use crate::output::{OutputForm, print};

/// Prints the records of each source over all queries, and of all sources. What could not be published goes to standard
/// error.
pub fn show(form: OutputForm, reports: &[&Report]) -> Result<()> {
    let mut sources: BTreeMap<&str, u64> = BTreeMap::new();
    for query in reports.iter().flat_map(|report| &report.queries) {
        for (source, records) in &query.inputs {
            *sources.entry(source).or_default() += records;
        }
        query.warnings.iter().for_each(|warning| eprintln!("warning: {}: {warning}", query.name));
        query.error.iter().for_each(|error| eprintln!("error: {}: {error}", query.name));
    }
    let total: u64 = sources.values().sum();
    if form == OutputForm::Json {
        return print(&format!("{:#}", json!({ "sources": sources, "total": total })));
    }
    let mut out = String::new();
    for (source, records) in &sources {
        let _ = writeln!(out, "{source}: {}", counted(*records));
    }
    let _ = writeln!(out, "total: {}", counted(total));
    print(&out)
}

fn counted(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}
