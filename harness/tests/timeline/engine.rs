//! The engine's answer: the app's SQL compiled and run in the simulated world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

use super::compare::{Lines, difference, multiset};
use super::model::{App, Feed};
use super::simulate::{self, Outcome, chunks};
use super::text;

/// How an app is spread and its input cut.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub shards: u16,
    pub batch_rows: usize,
    /// Snapshot and restore, with other shards, behind each chunk.
    pub restarts: bool,
}

/// All layouts of a case; one in three restarts.
pub fn layouts(seed: u64) -> impl Iterator<Item = Layout> {
    let shapes = [1, 2, 4].into_iter().flat_map(|shards| [1, 7, 1024].into_iter().map(move |rows| (shards, rows)));
    shapes.enumerate().map(move |(i, (shards, batch_rows))| {
        // Not the same layouts for the cases of one kind.
        let restarts = (seed / 16 + i as u64).is_multiple_of(3);
        Layout { shards, batch_rows, restarts }
    })
}

/// An app compiled.
pub struct Compiled(Arc<AppPlan>);

impl Compiled {
    pub fn new(app: &App, sql: &str) -> Result<Compiled, String> {
        let empty = app.source.parts().into_iter().map(|part| vec![Vec::new(); part.len()]);
        let at_deploy = text::feed_names(&app.source).into_iter().zip(empty).collect();
        compile_app(sql, &at_deploy, Path::new(".")).map(|plan| Compiled(Arc::new(plan)))
    }

    /// What differs between the simulator and the engine on one layout.
    pub fn check(&self, app: &App, feed: &Feed, layout: Layout) -> Option<String> {
        let outcome = simulate::run(app, feed);
        self.against(app, feed, layout, &outcome)
    }

    /// The same with the simulator's answer at hand.
    pub fn against(&self, app: &App, feed: &Feed, layout: Layout, outcome: &Outcome) -> Option<String> {
        let got = match self.run(app, feed, layout) {
            Ok(got) => got,
            Err(error) => return Some(error),
        };
        let last = app.stages.last()?;
        let rows = difference(app, &Lines::of(last, &outcome.rows), outcome, &Lines::new(got.rows));
        let name = |stage: usize| app.stages[stage].name.as_str();
        let letter = |(stage, partition, offset): &(usize, u32, i64)| format!("{} {partition}:{offset}", name(*stage));
        let dead: Vec<String> = outcome.dead.iter().map(letter).collect();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for ((stage, _), n) in &outcome.late {
            *counts.entry(name(*stage)).or_default() += n;
        }
        let told = |counts: BTreeMap<&str, u64>| {
            counts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect::<Vec<String>>()
        };
        let got_late = got.late.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let parts = [
            rows.map(|d| format!("rows: {d}")),
            multiset(&dead, &got.dead).map(|d| format!("dead letters:\n{d}")),
            multiset(&told(counts), &told(got_late)).map(|d| format!("late rows by query:\n{d}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("\n"))
    }

    fn run(&self, app: &App, feed: &Feed, layout: Layout) -> Result<Got, String> {
        let options = WorldOptions { shards: layout.shards, batch_rows: layout.batch_rows, credits: 2 };
        let plan = &self.0;
        let parts = app.source.parts();
        let sizes = parts.iter().map(|part| part.len() as u32).collect();
        let mut world = World::new(Arc::clone(plan), sizes, options);
        let mut shards = layout.shards;
        let of_chunk = |p: usize, chunk: usize| {
            let records = feed[p].iter().filter(|r| r.chunk == chunk);
            records.map(|r| text::line(&app.source.columns, r)).collect::<String>()
        };
        for chunk in 0..chunks(feed) {
            for (source, part) in parts.iter().enumerate() {
                for p in part.clone() {
                    let partition = PartitionId((p - part.start) as u32);
                    world.feed(SourceId(source as u16), partition, of_chunk(p, chunk).as_bytes());
                }
            }
            world.run_to_rest().map_err(|e| e.to_string())?;
            if layout.restarts {
                shards = [2, 4, 1][usize::from(shards / 2)];
                world.restart(shards).map_err(|e| e.to_string())?;
            }
        }
        world.end();
        if !world.run_to_rest().map_err(|e| e.to_string())? {
            return Err("the app does not end".to_owned());
        }
        let mut got = Got::default();
        let stages: BTreeSet<&str> = app.stages.iter().map(|s| s.name.as_str()).collect();
        for (at, dlq) in plan.dlqs.iter().enumerate() {
            for line in world.take_dead(at) {
                let letter: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let late = letter["code"] == "R0301" && stages.contains(dlq.name.as_str());
                let source = usize::from(letter["source"] == "u");
                let partition = parts[source].start as u64 + letter["partition"].as_u64().unwrap_or_default();
                let place = format!("{} {partition}:{}", dlq.name, letter["offset"]);
                got.dead.push(if late { place } else { format!("{} {line}", dlq.name) });
            }
        }
        for (node, counters) in plan.nodes.iter().zip(world.counters()) {
            *got.late.entry(plan.dlqs[node.dlq.index()].name.clone()).or_default() += counters.late;
        }
        let sink = plan.sinks.iter().position(|s| s.name == "out").ok_or("no sink named out")?;
        got.rows = world.take_rows(sink);
        Ok(got)
    }
}

#[derive(Default)]
struct Got {
    rows: Vec<String>,
    dead: Vec<String>,
    late: BTreeMap<String, u64>,
}
