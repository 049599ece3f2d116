//! Runs one scenario over all its configurations and compares every one against the same expected text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_sql::diag::line;
use velostream_sql::explain::explain;
use velostream_sql::lint::recommend;
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

use super::compile::{Sizes, check_app, compile_with, feed_name};
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

/// Scenarios of more lines than this are not restarted at each of them.
const RESTARTED_LINES: usize = 200;

/// Configurations of this many rows a batch run the plan of a planner that knows how large the sources are.
const SIZED_BATCH: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restarts {
    Never,
    /// After the feeds that arrive together.
    AfterFeeds,
    /// Once, when so many lines were fed: what was fed before is worked on, whatever would have arrived with it.
    AfterLine(usize),
}

#[derive(Clone, Copy, Debug)]
struct Config {
    shards: u16,
    batch_rows: usize,
    restarts: Restarts,
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
        compare_text(&mut blessed, &StepKind::Valid, &text, bless, &mut outcome);
    }
    let expects_error = scenario.steps.iter().any(|s| s.kind == StepKind::Error);
    let is_checked_only =
        scenario.steps.iter().all(|s| matches!(s.kind, StepKind::Error | StepKind::Valid | StepKind::Feed(..)));
    if outcome.cases > 0 && is_checked_only && !expects_error {
        return Ok(outcome.with_blessing(bless, &blessed, file));
    }
    let compiled = |sizes| Ok::<_, String>(compile_with(&scenario.sql, &at_deploy(&scenario)?, dir, sizes));
    let plan = match (compiled(Sizes::Unknown)?, expects_error) {
        (Ok(plan), false) => Arc::new(plan),
        (Ok(_), true) => return Err("the SQL deploys, but the scenario expects a diagnostic".to_owned()),
        (Err(text), false) => return Err(format!("the SQL does not deploy:\n{text}")),
        (Err(text), true) => {
            compare_text(&mut blessed, &StepKind::Error, &text, bless, &mut outcome);
            return Ok(outcome.with_blessing(bless, &blessed, file));
        }
    };
    let sized = compiled(Sizes::Fed)?.map(Arc::new).unwrap_or_else(|_| Arc::clone(&plan));
    for step in &scenario.steps {
        if let StepKind::Explain(sizes) = &step.kind {
            let text = explain(&compiled(Sizes::Said(sizes))??, false).replace(&format!("{}/", dir.display()), "");
            compare_text(&mut blessed, &step.kind, &text, bless, &mut outcome);
        }
    }
    if scenario.steps.iter().all(|s| matches!(s.kind, StepKind::Explain(_) | StepKind::Feed(..))) {
        return Ok(outcome.with_blessing(bless, &blessed, file));
    }
    let told = outcome.cases;
    for config in configs(&scenario) {
        let plan = if config.batch_rows == SIZED_BATCH { &sized } else { &plan };
        let got = run_config(&scenario, plan, &feeds, config)?;
        outcome.cases += 1;
        for (i, lines) in got {
            let step = &scenario.steps[i];
            if bless && outcome.cases == told + 1 {
                blessed.steps[i].body = lines.clone();
            }
            let expected = if bless { &blessed.steps[i].body } else { &step.body };
            if !agree(&step.kind, expected, &lines) {
                let what = format!("{:?} with {config:?}", step.kind);
                outcome.failures.push(difference(&what, step.line, expected, &lines));
            }
        }
    }
    Ok(outcome.with_blessing(bless, &blessed, file))
}

impl Outcome {
    /// With the file's text as it was given.
    fn with_blessing(mut self, bless: bool, blessed: &Scenario, file: &str) -> Outcome {
        if bless {
            self.blessed = Some(blessed.to_text(file));
        }
        self
    }
}

/// Compares what is told with the steps of this kind, and puts it there.
fn compare_text(scenario: &mut Scenario, kind: &StepKind, text: &str, bless: bool, outcome: &mut Outcome) {
    outcome.cases = 1;
    let got: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
    for step in scenario.steps.iter_mut().filter(|s| s.kind == *kind) {
        if bless {
            step.body.clone_from(&got);
        } else if got != step.body {
            outcome.failures.push(difference(&format!("{kind:?}"), step.line, &step.body, &got));
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

fn configs(scenario: &Scenario) -> Vec<Config> {
    let mut configs = Vec::new();
    for shards in [1, 2, 4] {
        for batch_rows in [1, 7, 1024] {
            for restarts in [Restarts::Never, Restarts::AfterFeeds] {
                configs.push(Config { shards, batch_rows, restarts });
            }
        }
    }
    let fed = scenario.steps.iter().filter(|step| matches!(step.kind, StepKind::Feed(..)));
    let lines: usize = fed.map(|step| step.body.len()).sum();
    if lines <= RESTARTED_LINES {
        let at = |line| Config {
            shards: [1, 2, 4][line % 3],
            batch_rows: [7, 1, 1024][line / 3 % 3],
            restarts: Restarts::AfterLine(line),
        };
        configs.extend((1..lines).map(at));
    }
    configs
}

/// How many lines of each feed come before the restart of a configuration, by step: of the feeds that arrive together,
/// those up to its line, and one of each that follows. A partition that had not given a row would be idle meanwhile.
fn cut(scenario: &Scenario, restarts: Restarts) -> BTreeMap<usize, usize> {
    let Restarts::AfterLine(line) = restarts else { return BTreeMap::new() };
    let (mut before, mut fed) = (BTreeMap::<usize, usize>::new(), 0);
    for (i, step) in scenario.steps.iter().enumerate() {
        if !matches!(step.kind, StepKind::Feed(..)) {
            if fed >= line {
                break;
            }
            before.clear();
            continue;
        }
        let lines = step.body.len();
        let begins = !before.keys().any(|earlier| scenario.steps[*earlier].kind == step.kind);
        before.insert(i, line.saturating_sub(fed).max(usize::from(begins)).min(lines));
        fed += lines;
    }
    before
}

/// A part of a feed's lines.
fn part(step: &Step, lines: std::ops::Range<usize>) -> Step {
    Step { kind: step.kind.clone(), line: step.line + lines.start, body: step.body[lines].to_vec() }
}

/// Gives a step's lines to the world.
fn feed(world: &mut World, source: SourceId, step: &Step) -> Result<(), String> {
    if let StepKind::Feed(_, partition, form) = &step.kind {
        match form {
            FeedForm::Bytes => world.feed(source, PartitionId(*partition), &body_bytes(step)?),
            FeedForm::Records => world.feed_records(source, PartitionId(*partition), &fed_records(step)?),
        }
    }
    Ok(())
}

/// Snapshot, tear down, restore: the state must come up on any other number of shards.
fn restart(world: &mut World, shards: &mut u16) -> Result<(), String> {
    *shards = [2, 4, 1][usize::from(*shards / 2)];
    world.restart(*shards).map_err(|e| e.to_string())?;
    world.run_to_rest().map_err(|e| e.to_string()).map(|_| ())
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
    let before = cut(scenario, config.restarts);
    let source_of = |name: &String, step: &Step| {
        let at = sources.iter().position(|source| source == name);
        at.map(|at| SourceId(at as u16))
            .ok_or_else(|| format!("line {}: the app reads no source {name}: {sources:?}", step.line))
    };
    for (i, step) in scenario.steps.iter().enumerate() {
        match &step.kind {
            StepKind::Feed(name, ..) => {
                let source = source_of(name, step)?;
                if before.keys().next() == Some(&i) {
                    for (i, lines) in &before {
                        let step = &scenario.steps[*i];
                        if let StepKind::Feed(name, ..) = &step.kind {
                            feed(&mut world, source_of(name, step)?, &part(step, 0..*lines))?;
                        }
                    }
                    world.run_to_rest().map_err(|e| e.to_string())?;
                    restart(&mut world, &mut shards)?;
                }
                let from = before.get(&i).copied().unwrap_or(0);
                feed(&mut world, source, &part(step, from..step.body.len()))?;
            }
            StepKind::End => world.end(),
            StepKind::Wait(ms) => world.wait(i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
            StepKind::Hold(name, partition, held) => {
                world.hold(source_of(name, step)?, PartitionId(*partition), *held);
            }
            StepKind::Fails => return Err(format!("line {}: the run goes on with {config:?}", step.line)),
            StepKind::Restart | StepKind::Sync | StepKind::Error | StepKind::Valid | StepKind::Explain(_) => {}
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
        if fed || matches!(step.kind, StepKind::End | StepKind::Wait(_) | StepKind::Hold(.., false)) {
            let done = match (world.run_to_rest(), scenario.steps.get(i + 1).map(|s| &s.kind)) {
                (Err(fatal), Some(StepKind::Fails)) => {
                    seen.push((i + 1, fatal.message.lines().map(str::to_owned).collect()));
                    return Ok(seen);
                }
                (done, _) => done.map_err(|e| e.to_string())?,
            };
            if step.kind == StepKind::End && !done {
                return Err(format!("line {}: the app did not end with {config:?}", step.line));
            }
        }
        if fed && config.restarts == Restarts::AfterFeeds {
            restart(&mut world, &mut shards)?;
        } else if step.kind == StepKind::Restart {
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
