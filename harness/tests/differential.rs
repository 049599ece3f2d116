//! Random apps over random feeds: the engine on every layout against the row-at-a-time interpreter of plans.
//!
//! Each case is one seed: an app as SQL text, compiled by the real compiler, and a feed. It runs in the simulated world
//! for shards 1/2/4 × batch rows 1/7/1024 × restarts never/after every chunk; rows, dead letters and late counts must be
//! the oracle's. `VELO_SHARE` (`1` or `1/20`) says which part of the cases runs, `VELO_SEED` reruns one case and shows
//! it, `VELO_CASES` names another count.

#[path = "support/draw.rs"]
mod draw;
#[path = "support/share.rs"]
mod share;

mod differential {
    pub mod apps;
    pub mod compare;
    pub mod feeds;
    pub mod nested;
    mod nested_apps;
    mod over_apps;

    use super::draw;
}

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use differential::apps::{App, CHAIN, CHANGING, KINDS, NESTED, NESTED_PARTS, OF_CHANGES, app};
use differential::compare::{difference, engine_dead, line, multiset, oracle_dead, place};
use differential::feeds::{RandomFeed, Shape};
use draw::Draw;
use share::share_of;
use velostream_harness::oracle;
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

/// Cases of the whole suite.
const CASES: u64 = 2_000;

/// Every aggregate occurs so often among them.
const LEAST: u64 = 20;

/// First seed; case n has this plus n.
const SEED: u64 = 1;

/// What one layout gave.
#[derive(Default)]
struct Given {
    rows: Vec<String>,
    dead: Vec<String>,
    late: u64,
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    shards: u16,
    batch_rows: usize,
    restarts: bool,
}

fn layouts() -> impl Iterator<Item = Layout> {
    [1, 2, 4].into_iter().flat_map(|shards| {
        [1, 7, 1024].into_iter().flat_map(move |batch_rows| {
            [false, true].into_iter().map(move |restarts| Layout { shards, batch_rows, restarts })
        })
    })
}

fn shape(draw: &mut Draw, kind: u64) -> Shape {
    let inferred = draw.once_in(3);
    let nested = NESTED.contains(&kind);
    let partitions = 1 + draw.below(3) as u32;
    // Which intermediate sums leave their type depends on how partitions interleave; in a chain, on how groups do.
    let order_matters = kind == CHAIN || kind == OF_CHANGES || partitions > 1 && CHANGING.contains(&kind);
    Shape {
        // What CSV shows of a nested value is text until somebody declares it.
        csv: draw.once_in(2) && !(inferred && nested),
        inferred,
        partitions,
        extreme: !inferred && !order_matters && draw.once_in(5),
        widens: inferred && draw.once_in(2),
        bad: draw.once_in(2),
        nested,
    }
}

fn sink_of(plan: &AppPlan) -> usize {
    plan.sinks.iter().position(|s| s.name == "out").unwrap_or_default()
}

fn engine(plan: &Arc<AppPlan>, feed: &RandomFeed, partitions: u32, layout: Layout) -> Result<Given, String> {
    let options = WorldOptions { shards: layout.shards, batch_rows: layout.batch_rows, credits: 2 };
    let mut world = World::new(Arc::clone(plan), vec![partitions], options);
    let mut shards = layout.shards;
    for chunk in 0..feed.chunks() {
        for (p, bytes) in feed.bytes(chunk).iter().enumerate() {
            world.feed(SourceId(0), PartitionId(p as u32), bytes);
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
    let mut dead = Vec::new();
    for dlq in 0..plan.dlqs.len() {
        dead.extend(world.take_dead(dlq).iter().map(|l| engine_dead(plan, dlq, l)));
    }
    let late = world.counters().iter().map(|c| c.late).sum();
    Ok(Given { rows: world.take_rows(sink_of(plan)), dead, late })
}

fn truth(plan: &AppPlan, feed: &RandomFeed) -> Given {
    let fed = feed.for_oracle(plan);
    let result = oracle::run(plan, &fed.rows);
    let sink = sink_of(plan);
    let rows = result.sinks[sink].iter().map(|r| line(r, &plan.sinks[sink])).collect();
    let source = &plan.dlqs[plan.sources[0].dlq.index()].name;
    let mut dead: Vec<String> =
        fed.dead.iter().map(|(code, p, o)| place(source, code, Some((u64::from(*p), *o)))).collect();
    dead.extend(oracle_dead(plan, &result));
    Given { rows, dead, late: result.late.values().map(|l| l.len() as u64).sum() }
}

/// What the case of `seed` came to.
enum Verdict {
    /// With the SQL text.
    Same(String),
    /// The SQL does not compile: with its diagnostics.
    NoApp(String),
    Differs(String),
}

fn case(seed: u64, show: bool) -> Verdict {
    let mut draw = Draw::new(seed);
    let shape = shape(&mut draw, seed % KINDS);
    let App { sql, source, agreement } = app(&mut draw, shape, seed % KINDS);
    let feed = RandomFeed::new(&mut draw, shape);
    if show {
        println!("{shape:?} {agreement:?}\n{sql}");
        for chunk in 0..feed.chunks() {
            for (p, bytes) in feed.bytes(chunk).iter().enumerate() {
                println!("--- feed {source}@{p}\n{}", String::from_utf8_lossy(bytes));
            }
        }
    }
    let at_deploy = BTreeMap::from([(source, feed.bytes(0))]);
    let plan = match compile_app(&sql, &at_deploy, Path::new(".")) {
        Ok(plan) => Arc::new(plan),
        Err(text) => return Verdict::NoApp(format!("{sql}\n{text}")),
    };
    let expect = truth(&plan, &feed);
    if show {
        println!("--- oracle\n{}\n{}\nlate {}", expect.rows.join("\n"), expect.dead.join("\n"), expect.late);
    }
    for layout in layouts() {
        let told = |what: &str| Verdict::Differs(format!("{layout:?} {agreement:?} {shape:?}: {what}\n{sql}"));
        let got = match engine(&plan, &feed, shape.partitions, layout) {
            Ok(got) => got,
            Err(error) => return told(&error),
        };
        let rows = difference(&agreement, &expect.rows, &got.rows).map(|d| format!("rows\n{d}"));
        let letters = multiset(&expect.dead, &got.dead).map(|d| format!("dead letters\n{d}"));
        if rows.is_some() || letters.is_some() {
            return told(&[rows, letters].into_iter().flatten().collect::<Vec<_>>().join("\n"));
        }
        if expect.late != got.late {
            return told(&format!("late rows: oracle {}, engine {}", expect.late, got.late));
        }
    }
    Verdict::Same(sql)
}

/// Counts the aggregates and modifiers in a text.
fn tally(sql: &str, seen: &mut BTreeMap<String, u64>) {
    let own = |at: usize| !sql[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    for part in NESTED_PARTS.iter().filter(|part| sql.contains(**part)) {
        *seen.entry((*part).to_owned()).or_default() += 1;
    }
    let names = velostream_functions::aggregates().map(|a| format!("{}(", a.name));
    for name in names.chain(
        [
            "DISTINCT ",
            "FILTER (",
            "WITHIN GROUP (",
            "PRIMARY KEY",
            "CREATE STREAM changes ",
            "EVERY ",
            "state.ttl",
            "HOPPING(",
        ]
        .map(str::to_owned),
    ) {
        let count = sql.match_indices(&name).filter(|(at, _)| own(*at)).count() as u64;
        *seen.entry(name.trim_end_matches(['(', ' ']).to_owned()).or_default() += count;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn main() -> ExitCode {
    let only = number("VELO_SEED");
    let cases = if only.is_some() { 1 } else { number("VELO_CASES").unwrap_or_else(|| share_of(CASES, 1)).max(1) };
    let first = only.unwrap_or(SEED);
    let begin = Instant::now();
    let (mut failed, mut no_app, mut seen) = (0u64, Vec::new(), BTreeMap::new());
    for seed in first..first + cases {
        match case(seed, only.is_some()) {
            Verdict::Same(sql) => tally(&sql, &mut seen),
            Verdict::NoApp(text) => no_app.push((seed, text)),
            Verdict::Differs(text) => {
                failed += 1;
                println!("FAILED seed {seed}: {text}\n");
            }
        }
    }
    // The generator draws well-typed apps; one that does not compile tests nothing.
    let too_few = no_app.len() as u64 * 100 > cases;
    if only.is_some() || too_few {
        no_app.iter().take(5).for_each(|(seed, text)| println!("seed {seed} does not compile:\n{text}"));
    }
    let rare: Vec<&String> = seen.iter().filter(|(_, n)| **n < LEAST).map(|(name, _)| name).collect();
    let counts: Vec<String> = seen.iter().map(|(name, n)| format!("{name} {n}")).collect();
    println!("aggregates and nested parts in equal apps: {}", counts.join(", "));
    let untested = cases >= CASES && !rare.is_empty();
    if untested {
        println!("seen fewer than {LEAST} times: {rare:?}");
    }
    println!("{} of {cases} apps do not compile, {failed} differ", no_app.len());
    println!("suite differential cases {cases} seed {first} seconds {:.1}", begin.elapsed().as_secs_f64());
    if failed > 0 || too_few || untested { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
