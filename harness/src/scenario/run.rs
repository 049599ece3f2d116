//! Runs one scenario over all its configurations and compares every one against the same expected text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_sql::diag::line;
use velostream_sql::lint::recommend;
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

use super::compile::{check_app, compile_app, feed_name};
use super::records::{FedRecord, unescaped};
use super::{Comparison, FeedForm, Scenario, Step, StepKind};
use crate::sim::{World, WorldOptions};

/// What running a file came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Configurations run.
    pub cases: usize,
    /// One message per difference.
    pub failures: Vec<String>,
    /// The file's text with what the first configuration gave; only with `bless`.
    pub blessed: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Config {
    shards: u16,
    batch_rows: usize,
    restart_often: bool,
}

/// Runs the scenario in `file`, found at `path`. With `bless`, answers the text with what the engine gave.
pub fn run_file(path: &Path, file: &str, bless: bool) -> Result<Outcome, String> {
    let scenario = Scenario::parse(file)?;
    let mut outcome = Outcome::default();
    let mut feeds: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for step in &scenario.steps {
        if let StepKind::Feed(source, partition, _) = &step.kind {
            add_bytes(&mut feeds, source, *partition, step)?;
        }
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut blessed = scenario.clone();
    if scenario.steps.iter().any(|s| s.kind == StepKind::Valid) {
        let text = check_app(&scenario.sql, &at_deploy(&scenario)?, dir);
        let text = text.map_err(|text| format!("the SQL is not valid:\n{text}"))?;
        compare_diagnostics(&mut blessed, &StepKind::Valid, &text, &mut outcome);
    }
    let expects_error = scenario.steps.iter().any(|s| s.kind == StepKind::Error);
    let is_checked_only =
        scenario.steps.iter().all(|s| matches!(s.kind, StepKind::Error | StepKind::Valid | StepKind::Feed(..)));
    if outcome.cases > 0 && is_checked_only && !expects_error {
        return Ok(outcome.with_blessing(bless, &blessed, file));
    }
    let plan = match (compile_app(&scenario.sql, &at_deploy(&scenario)?, dir), expects_error) {
        (Ok(plan), false) => Arc::new(plan),
        (Ok(_), true) => return Err("the SQL deploys, but the scenario expects a diagnostic".to_owned()),
        (Err(text), false) => return Err(format!("the SQL does not deploy:\n{text}")),
        (Err(text), true) => {
            compare_diagnostics(&mut blessed, &StepKind::Error, &text, &mut outcome);
            return Ok(outcome.with_blessing(bless, &blessed, file));
        }
    };
    for config in configs() {
        let got = run_config(&scenario, &plan, &feeds, config)?;
        outcome.cases += 1;
        for (i, lines) in got {
            let step = &scenario.steps[i];
            if bless && outcome.cases == 1 {
                blessed.steps[i].body = lines.clone();
            }
            let expected = if bless { &blessed.steps[i].body } else { &step.body };
            if !agree(&step.kind, expected, &lines) {
                let what = format!("{:?} with {config:?}", step.kind);
                outcome.failures.push(difference(&what, step.line, expected, &lines));
            }
        }
    }
    if bless {
        outcome.blessed = Some(blessed.to_text(file));
    }
    Ok(outcome)
}

impl Outcome {
    /// The outcome of a scenario that compares diagnostics only.
    fn with_blessing(mut self, bless: bool, blessed: &Scenario, file: &str) -> Outcome {
        if bless {
            self.failures.clear();
            self.blessed = Some(blessed.to_text(file));
        }
        self
    }
}

/// Compares rendered diagnostics with the steps of this kind, and puts them there.
fn compare_diagnostics(scenario: &mut Scenario, kind: &StepKind, text: &str, outcome: &mut Outcome) {
    outcome.cases = 1;
    let got: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
    for step in scenario.steps.iter_mut().filter(|s| s.kind == *kind) {
        if got != step.body {
            outcome.failures.push(difference("diagnostics", step.line, &step.body, &got));
            step.body.clone_from(&got);
        }
    }
}

/// What is there when the app is deployed: the feeds in front of any other step. Inferred types come from it.
fn at_deploy(scenario: &Scenario) -> Result<BTreeMap<&str, Vec<Vec<u8>>>, String> {
    let mut sample: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for step in &scenario.steps {
        let StepKind::Feed(source, partition, _) = &step.kind else { break };
        add_bytes(&mut sample, source, *partition, step)?;
    }
    Ok(sample)
}

fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for shards in [1, 2, 4] {
        for batch_rows in [1, 7, 1024] {
            for restart_often in [false, true] {
                configs.push(Config { shards, batch_rows, restart_often });
            }
        }
    }
    configs
}

/// Adds what a step feeds to its source's partition.
fn add_bytes<'a>(
    feeds: &mut BTreeMap<&'a str, Vec<Vec<u8>>>,
    source: &'a str,
    partition: u32,
    step: &Step,
) -> Result<(), String> {
    let partitions = feeds.entry(source).or_default();
    partitions.resize(partitions.len().max(partition as usize + 1), Vec::new());
    partitions[partition as usize].extend_from_slice(&body_bytes(step)?);
    Ok(())
}

/// The bytes a step feeds: of records their values, a line each.
fn body_bytes(step: &Step) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if matches!(step.kind, StepKind::Feed(_, _, FeedForm::Records)) {
        for value in fed_records(step)?.into_iter().filter_map(|record| record.value) {
            bytes.extend_from_slice(&value);
            bytes.push(b'\n');
        }
        return Ok(bytes);
    }
    for line in &step.body {
        bytes.extend_from_slice(&unescaped(line));
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn fed_records(step: &Step) -> Result<Vec<FedRecord>, String> {
    let parse =
        |(i, line): (usize, &String)| FedRecord::parse(line).map_err(|e| format!("line {}: {e}", step.line + 1 + i));
    step.body.iter().enumerate().filter(|(_, line)| !line.is_empty()).map(parse).collect()
}

/// Runs one configuration; answers what each `expect`, `dead` and `advice` step saw.
fn run_config(
    scenario: &Scenario,
    plan: &Arc<AppPlan>,
    feeds: &BTreeMap<&str, Vec<Vec<u8>>>,
    config: Config,
) -> Result<Vec<(usize, Vec<String>)>, String> {
    let sources: Vec<String> = plan.sources.iter().map(|s| feed_name(&s.connector, &s.name)).collect();
    let partitions: Vec<u32> =
        sources.iter().map(|s| feeds.get(s.as_str()).map_or(1, |p| p.len().max(1) as u32)).collect();
    let options = WorldOptions { shards: config.shards, batch_rows: config.batch_rows, credits: 2 };
    let mut world = World::new(Arc::clone(plan), partitions, options);
    let mut seen = Vec::new();
    let mut shards = config.shards;
    for (i, step) in scenario.steps.iter().enumerate() {
        match &step.kind {
            StepKind::Feed(name, partition, form) => {
                let source = sources
                    .iter()
                    .position(|s| s == name)
                    .ok_or_else(|| format!("line {}: the app reads no source {name}: {sources:?}", step.line))?;
                let (source, partition) = (SourceId(source as u16), PartitionId(*partition));
                match form {
                    FeedForm::Bytes => world.feed(source, partition, &body_bytes(step)?),
                    FeedForm::Records => world.feed_records(source, partition, &fed_records(step)?),
                }
            }
            StepKind::End => world.end(),
            StepKind::Wait(ms) => world.wait(i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
            StepKind::Restart | StepKind::Sync | StepKind::Error | StepKind::Valid => {}
            StepKind::Advice => {
                let found = recommend(&scenario.sql, plan);
                seen.push((i, found.iter().map(|d| line(d, "scenario.sql", &scenario.sql, false)).collect()));
            }
            StepKind::Expect(name, comparison) => {
                let sink = plan.sinks.iter().position(|s| s.name == *name).ok_or_else(|| {
                    let names: Vec<&str> = plan.sinks.iter().map(|s| s.name.as_str()).collect();
                    format!("line {}: the app writes no sink {name}: {names:?}", step.line)
                })?;
                let (rows, records) = (world.take_rows(sink), world.take_records(sink));
                seen.push((i, if *comparison == Comparison::Records { records } else { rows }));
            }
            StepKind::Dead(name) => {
                let dlq = plan.dlqs.iter().position(|d| d.name == *name).ok_or_else(|| {
                    let names: Vec<&str> = plan.dlqs.iter().map(|d| d.name.as_str()).collect();
                    format!("line {}: the app has no dead letters {name}: {names:?}", step.line)
                })?;
                let mut lines = world.take_dead(dlq);
                lines.sort();
                seen.push((i, lines));
            }
        }
        // Feeds that follow each other are there together, as partitions of one poll are.
        let more = matches!(scenario.steps.get(i + 1).map(|s| &s.kind), Some(StepKind::Feed(..)));
        let fed = matches!(step.kind, StepKind::Feed(..)) && !more;
        if fed || matches!(step.kind, StepKind::End | StepKind::Wait(_)) {
            let done = world.run_to_rest().map_err(|e| e.to_string())?;
            if step.kind == StepKind::End && !done {
                return Err(format!("line {}: the app did not end with {config:?}", step.line));
            }
        }
        if (fed && config.restart_often) || step.kind == StepKind::Restart {
            // The state must come up on any other number of shards.
            shards = if config.restart_often { [2, 4, 1][usize::from(shards / 2)] } else { shards };
            world.restart(shards).map_err(|e| e.to_string())?;
            world.run_to_rest().map_err(|e| e.to_string())?;
        }
    }
    Ok(seen)
}

fn agree(kind: &StepKind, expected: &[String], got: &[String]) -> bool {
    match kind {
        StepKind::Expect(_, Comparison::Ordered) => expected == got,
        StepKind::Expect(_, Comparison::Last(keys)) => last_rows(expected, keys) == last_rows(got, keys),
        _ => {
            let sorted = |lines: &[String]| {
                let mut lines = lines.to_vec();
                lines.sort();
                lines
            };
            sorted(expected) == sorted(got)
        }
    }
}

/// Last JSON row per value of `keys`, by key.
fn last_rows(lines: &[String], keys: &[String]) -> BTreeMap<String, String> {
    let mut last = BTreeMap::new();
    for line in lines {
        let row: serde_json::Value = serde_json::from_str(line).unwrap_or(serde_json::Value::Null);
        let key: Vec<String> = keys.iter().map(|k| row[k].to_string()).collect();
        last.insert(key.join("|"), line.clone());
    }
    last
}

fn difference(what: &str, line: usize, expected: &[String], got: &[String]) -> String {
    let mut text = format!("line {line}: {what}\n");
    for l in expected.iter().filter(|l| !got.contains(l)) {
        text.push_str(&format!("  - {l}\n"));
    }
    for l in got.iter().filter(|l| !expected.contains(l)) {
        text.push_str(&format!("  + {l}\n"));
    }
    if expected.iter().all(|l| got.contains(l)) && got.iter().all(|l| expected.contains(l)) {
        text.push_str(&format!("  same rows, other order or number:\n  expected {expected:#?}\n  got {got:#?}\n"));
    }
    text
}
