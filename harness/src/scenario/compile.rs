//! SQL to a plan without files: what would be found outside is what the test feeds.

use std::collections::BTreeMap;
use std::path::Path;

use velostream_exec::format::infer;
use velostream_sql::annotations::annotate;
use velostream_sql::diag::{Diagnostic, Severity, render};
use velostream_sql::endpoint::{Catalog, CatalogError, SourceSpec};
use velostream_sql::plan::{AppPlan, SinkFormat, SourceConnector};
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, Compiled, compile};
use velostream_types::Schema;

/// What the planner knows of the sizes of sources: small tables are held by every shard.
#[derive(Clone, Copy, Debug)]
pub enum Sizes<'a> {
    /// Nothing.
    Unknown,
    /// What is there at deploy.
    Fed,
    /// Bytes by name; nothing of others.
    Said(&'a [(String, u64)]),
}

/// The plan of `sql`, or its rendered diagnostics. `feeds` are the sources by file name or topic with the bytes each
/// partition has at deploy: inferred types come from them. Relative paths count from `dir`.
pub fn compile_app(sql: &str, feeds: &BTreeMap<&str, Vec<Vec<u8>>>, dir: &Path) -> Result<AppPlan, String> {
    compile_with(sql, feeds, dir, Sizes::Unknown)
}

/// The same by a planner that knows sizes.
pub fn compile_with(
    sql: &str,
    feeds: &BTreeMap<&str, Vec<Vec<u8>>>,
    dir: &Path,
    sizes: Sizes<'_>,
) -> Result<AppPlan, String> {
    let (plan, found) = compile_for(sql, FeedCatalog { feeds, sizes }, dir, |compiled| compiled.cannot_run.clone());
    plan.ok_or_else(|| shown(&found, sql, dir))
}

/// What validation says of `sql`, rendered; an error when it is not valid.
pub fn check_app(sql: &str, feeds: &BTreeMap<&str, Vec<Vec<u8>>>, dir: &Path) -> Result<String, String> {
    let catalog = FeedCatalog { feeds, sizes: Sizes::Unknown };
    let (_, found) = compile_for(sql, catalog, dir, |compiled| compiled.as_warnings().collect());
    let valid = found.iter().all(|d| d.severity != Severity::Error);
    let text = shown(&found, sql, dir);
    if valid { Ok(text) } else { Err(text) }
}

/// Findings as text. Files are named from the scenario's folder, wherever that lies on this machine.
fn shown(found: &[Diagnostic], sql: &str, dir: &Path) -> String {
    let shown: Vec<String> = found.iter().map(|d| render(d, "scenario.sql", sql, false)).collect();
    shown.join("\n").replace(&format!("{}/", dir.display()), "")
}

fn compile_for(
    sql: &str,
    mut catalog: FeedCatalog<'_>,
    dir: &Path,
    cannot_run: impl Fn(&Compiled) -> Vec<Diagnostic>,
) -> (Option<AppPlan>, Vec<Diagnostic>) {
    let dir = dir.to_path_buf();
    let env = |_: &str| None;
    let mut endpoints = Resolver::new(dir.clone(), &env, Vec::new(), false);
    let options = BindOptions {
        app_name: "scenario".to_owned(),
        base_dir: dir,
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: false,
        strict: false,
    };
    let compiled = compile(sql, &options, &mut endpoints, &mut catalog);
    let mut found = compiled.diagnostics.clone();
    found.extend(cannot_run(&compiled));
    found.extend(endpoints.finish());
    let mut plan = compiled.plan;
    let mut blocked = compiled.blocked;
    found.extend(annotate(plan.as_mut().or(blocked.as_mut()), sql, &env));
    found.sort_by_key(|d| d.primary.as_ref().map(|place| (place.origin.is_some(), place.span.start)));
    let plan = plan.filter(|_| found.iter().all(|d| d.severity != Severity::Error));
    (plan, found)
}

/// The feeds as the planner's world.
struct FeedCatalog<'a> {
    feeds: &'a BTreeMap<&'a str, Vec<Vec<u8>>>,
    sizes: Sizes<'a>,
}

impl Catalog for FeedCatalog<'_> {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        if spec.connector == SourceConnector::OneRow {
            return Ok(Schema::default());
        }
        let name = feed_name(&spec.connector, "");
        let missing = || CatalogError::Missing {
            searched: name.clone(),
            similar: self.feeds.keys().map(|k| (*k).to_owned()).collect(),
        };
        let samples = self.feeds.get(name.as_str()).ok_or_else(missing)?;
        let each = 1_000 / samples.len().max(1);
        infer(&spec.format, samples, each).map_err(|reason| CatalogError::Malformed { path: name, reason })
    }

    fn check(&mut self, _spec: &SourceSpec) -> Result<(), CatalogError> {
        Ok(())
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        self.feeds.get(feed_name(&spec.connector, "").as_str()).is_some_and(|partitions| partitions.len() == 1)
    }

    fn bytes(&mut self, spec: &SourceSpec) -> Option<u64> {
        let name = feed_name(&spec.connector, "");
        match self.sizes {
            Sizes::Unknown => None,
            Sizes::Fed => Some(self.feeds.get(name.as_str()).into_iter().flatten().map(|b| b.len() as u64).sum()),
            Sizes::Said(sizes) => sizes.iter().find(|(source, _)| *source == name).map(|(_, bytes)| *bytes),
        }
    }
}

/// Name by which a source is fed: its file name or topic.
pub fn feed_name(connector: &SourceConnector, name: &str) -> String {
    match connector {
        SourceConnector::Memory { topic } => topic.clone(),
        SourceConnector::Kafka(kafka) => kafka.topic.clone(),
        SourceConnector::File { pattern, .. } => {
            pattern.file_name().map_or_else(|| name.to_owned(), |n| n.to_string_lossy().into_owned())
        }
        SourceConnector::OneRow => name.to_owned(),
    }
}
