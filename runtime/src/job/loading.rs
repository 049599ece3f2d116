//! How far the tables are that others wait for: rows, bytes, rate, and what is left.
//!
//! Looked at from the housekeeping thread, a few times a second; a table counts as loaded when every shard took all that
//! was there at the start. Its numbers then stand still, whatever comes later.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use velostream_sql::plan::{AppPlan, SourcePlan};
use velostream_types::SourceId;

use super::Input;
use crate::driver::World;
use crate::io::file_source::is_compressed;

/// A table that others wait for, or waited for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableReport {
    /// Its source's name.
    pub name: String,
    /// Rows read until it was loaded, or so far.
    pub rows: u64,
    /// Bytes behind them, decompressed; absent for topics.
    pub bytes: Option<u64>,
    /// From when it could be read to its last row, s.
    pub seconds: f64,
    /// Rows per second.
    pub rows_per_s: f64,
    /// Everything that was there is in the table.
    pub loaded: bool,
    /// Bytes that are there to be read, where that is known.
    #[serde(skip)]
    pub bytes_total: Option<u64>,
    /// Records of a topic that are left, as last seen.
    #[serde(skip)]
    pub rows_left: Option<u64>,
    /// It goes on after it is loaded.
    #[serde(skip)]
    pub live: bool,
}

/// Sources that feed tables others wait for, first readers only.
pub(super) fn tables(plan: &AppPlan) -> impl Iterator<Item = (SourceId, &SourcePlan)> {
    let sources = plan.sources.iter().enumerate().map(|(at, source)| (SourceId(at as u16), source));
    sources.filter(|(_, source)| source.load.table)
}

/// What is told of loading.
pub(super) struct Loading {
    tables: Vec<Table>,
}

struct Table {
    source: SourceId,
    level: u16,
    report: TableReport,
    /// When its level was reached, s.
    began_s: Option<f64>,
}

impl Loading {
    /// Before anything is read.
    pub fn new(plan: &AppPlan, inputs: &[Input]) -> Loading {
        let table = |(source, plan): (SourceId, &SourcePlan)| {
            let input = inputs.get(source.index());
            let report = TableReport {
                name: plan.name.to_string(),
                rows: 0,
                bytes: input.filter(|input| matches!(input, Input::Files { .. })).map(|_| 0),
                seconds: 0.0,
                rows_per_s: 0.0,
                loaded: false,
                bytes_total: input.and_then(bytes_of),
                rows_left: None,
                live: !plan.load.bounded,
            };
            let began_s = (plan.load.level == 0).then_some(0.0);
            Table { source, level: plan.load.level, report, began_s }
        };
        Loading { tables: tables(plan).map(table).collect() }
    }

    /// A look at the shards; answers what there is to tell until everything was loaded.
    pub fn look(&mut self, world: &World, elapsed_s: f64) -> Option<Vec<TableReport>> {
        if self.tables.iter().all(|table| table.report.loaded) {
            return None;
        }
        let loaded = world.loaded();
        for table in self.tables.iter_mut().filter(|table| !table.report.loaded && table.level <= loaded) {
            let began_s = *table.began_s.get_or_insert(elapsed_s);
            let read = world.table(table.source);
            let report = &mut table.report;
            report.rows = read.rows;
            report.bytes = report.bytes.map(|_| read.bytes);
            report.rows_left = report.bytes.is_none().then_some(read.left);
            report.seconds = (read.at_ns as f64 / 1e9 - began_s).max(0.0);
            report.rows_per_s = if report.seconds > 0.0 { read.rows as f64 / report.seconds } else { 0.0 };
            report.loaded = loaded > table.level;
        }
        Some(self.reports())
    }

    /// As it stands.
    pub fn reports(&self) -> Vec<TableReport> {
        self.tables.iter().map(|table| table.report.clone()).collect()
    }
}

/// Bytes of files as they will be read; of compressed ones nobody knows.
fn bytes_of(input: &Input) -> Option<u64> {
    let Input::Files { partitions, .. } = input else { return None };
    let mut sizes: BTreeMap<&PathBuf, u64> = BTreeMap::new();
    for path in partitions.iter().flatten() {
        if is_compressed(path) {
            return None;
        }
        sizes.insert(path, std::fs::metadata(path).ok()?.len());
    }
    Some(sizes.values().sum())
}
