//! The engine's answer: the app's SQL compiled and run in the simulated world.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_harness::scenario::{compile_app, feed_name};
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

use super::compare::{Table, lines, multiset};
use super::model::{App, Feed, steps};
use super::simulate::{self, Outcome};
use super::text;

/// How an app is spread and its input cut.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub shards: u16,
    pub batch_rows: usize,
    /// Snapshot and restore, with other shards, behind each step.
    pub restarts: bool,
}

/// All layouts of a case; one in three restarts.
pub fn layouts(seed: u64) -> impl Iterator<Item = Layout> {
    let shapes = [1, 2, 4].into_iter().flat_map(|shards| [1, 7, 1024].into_iter().map(move |rows| (shards, rows)));
    shapes.enumerate().map(move |(i, (shards, batch_rows))| {
        // Not the same layouts for the cases of one kind.
        let restarts = (seed / 23 + i as u64).is_multiple_of(3);
        Layout { shards, batch_rows, restarts }
    })
}

/// An app compiled.
pub struct Compiled {
    plan: Arc<AppPlan>,
    /// For each source of the plan that of the app.
    sources: Vec<usize>,
}

impl Compiled {
    pub fn new(app: &App, sql: &str) -> Result<Compiled, String> {
        let names: Vec<String> = app.sources.iter().map(text::feed_name).collect();
        let at_deploy = names.iter().zip(&app.sources).map(|(name, s)| (name.as_str(), vec![Vec::new(); s.partitions]));
        let at_deploy: BTreeMap<&str, Vec<Vec<u8>>> = at_deploy.collect();
        let plan = compile_app(sql, &at_deploy, Path::new("."))?;
        let source = |s: &velostream_sql::plan::SourcePlan| {
            let name = feed_name(&s.connector, &s.name);
            names.iter().position(|n| *n == name).ok_or_else(|| format!("the plan reads {name}, which is no source"))
        };
        let sources = plan.sources.iter().map(source).collect::<Result<Vec<usize>, String>>()?;
        Ok(Compiled { plan: Arc::new(plan), sources })
    }

    /// What differs between the simulator and the engine on one layout.
    pub fn check(&self, app: &App, feed: &Feed, layout: Layout) -> Option<String> {
        let outcome = simulate::run(app, feed);
        self.against(app, feed, layout, &outcome)
    }

    /// The same with the simulator's answer at hand.
    pub fn against(&self, app: &App, feed: &Feed, layout: Layout, outcome: &Outcome) -> Option<String> {
        self.run(app, feed, layout, outcome).err()
    }

    fn run(&self, app: &App, feed: &Feed, layout: Layout, outcome: &Outcome) -> Result<(), String> {
        let options = WorldOptions { shards: layout.shards, batch_rows: layout.batch_rows, credits: 2 };
        let partitions = self.sources.iter().map(|s| app.sources[*s].partitions as u32).collect();
        let mut world = World::new(Arc::clone(&self.plan), partitions, options);
        let sink = self.plan.sinks.iter().position(|s| s.name == "out").ok_or("no sink named out")?;
        let (mut rows, mut table) = (Vec::new(), app.out().table.then(|| Table::new(app.out())));
        let mut shards = layout.shards;
        let steps = steps(feed);
        for step in 0..=steps {
            for (at, source) in self.sources.iter().enumerate() {
                for (p, records) in feed[*source].iter().enumerate() {
                    let of_step = records.iter().filter(|r| r.step == step);
                    let text: String = of_step.map(|r| text::line(&app.sources[*source], r)).collect();
                    world.feed(SourceId(at as u16), PartitionId(p as u32), text.as_bytes());
                }
            }
            if step == steps {
                world.end();
            }
            let done = world.run_to_rest().map_err(|e| e.to_string())?;
            if step == steps && !done {
                return Err("the app does not end".to_owned());
            }
            let given = world.take_rows(sink);
            match &mut table {
                None => rows.extend(given),
                Some(table) => {
                    given.iter().try_for_each(|line| table.take(line)).map_err(|e| format!("step {step}: {e}"))?;
                    let expect = lines(app.out(), &outcome.states[step]);
                    if let Some(told) = multiset(&expect, &table.rows()) {
                        return Err(format!("the table behind step {step}:\n{told}"));
                    }
                }
            }
            if step < steps && layout.restarts {
                shards = [2, 4, 1][usize::from(shards / 2)];
                world.restart(shards).map_err(|e| e.to_string())?;
            }
        }
        let letters = self.letters(&mut world);
        let dead: Vec<String> = outcome.dead.iter().map(|(source, p, o)| format!("{source} {p}:{o}")).collect();
        let parts = [
            multiset(&lines(app.out(), &outcome.rows), &rows).filter(|_| table.is_none()),
            multiset(&dead, &letters).map(|told| format!("dead letters:\n{told}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { Ok(()) } else { Err(parts.join("\n")) }
    }

    fn letters(&self, world: &mut World) -> Vec<String> {
        let mut found = Vec::new();
        for at in 0..self.plan.dlqs.len() {
            for line in world.take_dead(at) {
                let letter: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let source = letter["source"].as_str().unwrap_or(&line);
                found.push(format!("{source} {}:{}", letter["partition"], letter["offset"]));
            }
        }
        found
    }
}
