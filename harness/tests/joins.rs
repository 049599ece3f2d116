//! Joins, tables and subqueries, simulated a row at a time: random apps over random feeds.
//!
//! Each case is one seed: an app of SQL text, and feeds with disorder, deletes and steps between which all is worked on. A
//! simulator written from the dialect's rules says what comes out, or what a table holds behind each step; the engine must
//! say the same for shards 1/2/4 × batch rows 1/7/1024, with restarts in one layout of three, and no delete may be of what
//! is not there. Where no lateness and no order of arrival decided, SQLite computes the same as one batch. `VELO_SHARE`
//! (`1` or `1/20`) says which part of the cases runs, `VELO_SEED` reruns one case and shows it, `VELO_CASES` names another
//! count, `VELO_BATCH=1` compares the simulator with SQLite alone. A case that differs is shrunk before it is shown.

#[path = "support/draw.rs"]
mod draw;
#[path = "support/share.rs"]
mod share;

mod joins {
    pub mod apps;
    pub mod batch;
    pub mod compare;
    pub mod engine;
    pub mod eval;
    pub mod feeds;
    pub mod levels;
    pub mod lookups;
    pub mod model;
    pub mod shrink;
    pub mod simulate;
    pub mod streams;
    pub mod subqueries;
    pub mod tables;
    pub mod tally;
    pub mod text;
    pub mod value;

    use super::draw;
}

use std::process::ExitCode;
use std::time::Instant;

use draw::Draw;
use joins::apps;
use joins::batch;
use joins::compare::{lines, multiset};
use joins::engine::{Compiled, Layout, layouts};
use joins::feeds;
use joins::model::{App, Feed, steps};
use joins::shrink::shrunk;
use joins::simulate::{self, Outcome};
use joins::tally::Tally;
use joins::text;
use share::share_of;

/// Cases of the whole suite.
const CASES: u64 = 5_000;
/// First seed; case n has this plus n.
const SEED: u64 = 1;
/// Failing cases that are shrunk and shown.
const SHOWN: usize = 5;

/// What the case of `seed` came to.
enum Verdict {
    Same(Box<Tally>),
    /// The SQL does not compile: with its diagnostics.
    NoApp(String),
    /// On a layout, or with SQLite.
    Differs(Box<(App, Feed, Option<Layout>, String)>),
}

fn case(seed: u64, show: bool) -> Verdict {
    let mut draw = Draw::new(seed);
    let drawn = apps::app(&mut draw, seed);
    let (feed, traits) = feeds::feed(&mut draw, &drawn);
    let sql = text::sql(&drawn.app);
    let outcome = simulate::run(&drawn.app, &feed);
    if show {
        println!("{:?}\n{}\n{}", drawn.case, shown(&drawn.app, &feed), expected(&drawn.app, &outcome));
    }
    let batch = match against_batch(&drawn.app, &feed, &outcome) {
        Ok(compared) => compared,
        Err(told) => return Verdict::Differs(Box::new((drawn.app, feed, None, told))),
    };
    if std::env::var("VELO_BATCH").is_err() {
        let compiled = match Compiled::new(&drawn.app, &sql) {
            Ok(compiled) => compiled,
            Err(found) => return Verdict::NoApp(format!("{:?}\n{sql}\n{found}", drawn.case)),
        };
        for layout in layouts(seed) {
            if let Some(told) = compiled.against(&drawn.app, &feed, layout, &outcome) {
                return Verdict::Differs(Box::new((drawn.app, feed, Some(layout), told)));
            }
        }
    }
    Verdict::Same(Box::new(Tally::of(&drawn, &traits, &feed, &outcome, batch)))
}

/// Whether SQLite was asked; an error where it says something else.
fn against_batch(app: &App, feed: &Feed, outcome: &Outcome) -> Result<bool, String> {
    if outcome.refused > 0 || !outcome.dead.is_empty() || batch::depends_on_arrival(app, feed) {
        return Ok(false);
    }
    let Some(rows) = batch::rows(app, feed)? else { return Ok(false) };
    let ours = if app.out().table { outcome.states.last() } else { Some(&outcome.rows) };
    let ours = lines(app.out(), ours.map_or(&[], Vec::as_slice));
    match multiset(&lines(app.out(), &rows), &ours) {
        Some(told) => Err(format!("SQLite (expect) and the simulator (found):\n{told}")),
        None => Ok(true),
    }
}

fn expected(app: &App, outcome: &Outcome) -> String {
    let mut text = String::new();
    if app.out().table {
        for (step, rows) in outcome.states.iter().enumerate() {
            text.push_str(&format!("--- state of out behind step {step}\n{}\n", lines(app.out(), rows).join("\n")));
        }
    } else {
        text.push_str(&format!("--- expect out\n{}\n", lines(app.out(), &outcome.rows).join("\n")));
    }
    text + &format!("dead {:?}, kept from meeting by lateness {}", outcome.dead, outcome.refused)
}

/// The case as a scenario.
fn shown(app: &App, feed: &Feed) -> String {
    let mut lines = text::sql(app);
    for step in 0..steps(feed) {
        for (s, partitions) in feed.iter().enumerate() {
            for (p, records) in partitions.iter().enumerate() {
                let of: String =
                    records.iter().filter(|r| r.step == step).map(|r| text::line(&app.sources[s], r)).collect();
                if !of.is_empty() {
                    lines.push_str(&format!("--- feed {}@{p}\n{of}", text::feed_name(&app.sources[s])));
                }
            }
        }
        lines.push_str("--- sync\n");
    }
    lines + "--- end"
}

fn tell(seed: u64, (app, feed, layout, told): &(App, Feed, Option<Layout>, String), shrink: bool) {
    let Some(layout) = *layout else {
        println!("FAILED VELO_SEED={seed}: {told}");
        if shrink {
            let differs = |app: &App, feed: &Feed| against_batch(app, feed, &simulate::run(app, feed)).err();
            tell_shrunk(shrunk(app, feed, &differs));
        }
        return;
    };
    println!("FAILED VELO_SEED={seed} {layout:?}: {told}");
    if shrink {
        let differs = |app: &App, feed: &Feed| Compiled::new(app, &text::sql(app)).ok()?.check(app, feed, layout);
        tell_shrunk(shrunk(app, feed, &differs));
    }
}

fn tell_shrunk((app, feed, told): (App, Feed, String)) {
    let expect = expected(&app, &simulate::run(&app, &feed));
    println!("shrunk: {told}\n{}\n{expect}\n", shown(&app, &feed));
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Cases of every `step`-th seed from `first` on, below `end`.
fn run(first: u64, end: u64, step: usize) -> (Tally, Vec<(u64, Verdict)>) {
    let (mut tally, mut rest) = (Tally::default(), Vec::new());
    for seed in (first..end).step_by(step) {
        match case(seed, false) {
            Verdict::Same(of) => tally.add(&of),
            other => rest.push((seed, other)),
        }
    }
    (tally, rest)
}

#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn main() -> ExitCode {
    let begin = Instant::now();
    if let Some(seed) = number("VELO_SEED") {
        return match case(seed, true) {
            Verdict::Same(_) => ExitCode::SUCCESS,
            Verdict::NoApp(text) => {
                println!("does not compile:\n{text}");
                ExitCode::FAILURE
            }
            Verdict::Differs(found) => {
                tell(seed, &found, true);
                ExitCode::FAILURE
            }
        };
    }
    let cases = number("VELO_CASES").unwrap_or_else(|| share_of(CASES, 1)).max(1);
    let end = SEED + cases;
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let parts: Vec<(Tally, Vec<(u64, Verdict)>)> = std::thread::scope(|scope| {
        let spawn = |i: usize| scope.spawn(move || run(SEED + i as u64, end, workers));
        let handles: Vec<_> = (0..workers).map(spawn).collect();
        handles.into_iter().map(|h| h.join().expect("a case panicked; its message is above")).collect()
    });
    let (mut tally, mut rest) = (Tally::default(), Vec::new());
    for (of, verdicts) in parts {
        tally.add(&of);
        rest.extend(verdicts);
    }
    rest.sort_by_key(|(seed, _)| *seed);
    let (mut failed, mut no_app) = (0, 0);
    for (seed, verdict) in &rest {
        match verdict {
            Verdict::Differs(found) => {
                failed += 1;
                tell(*seed, found, failed <= SHOWN);
            }
            Verdict::NoApp(text) => {
                no_app += 1;
                if no_app <= SHOWN {
                    println!("FAILED VELO_SEED={seed}: does not compile:\n{text}");
                }
            }
            Verdict::Same(_) => {}
        }
    }
    let rare = tally.told(cases);
    println!("{no_app} of {cases} apps do not compile, {failed} differ");
    println!("suite joins cases {cases} seed {SEED} seconds {:.1}", begin.elapsed().as_secs_f64());
    if failed > 0 || no_app > 0 || !rare.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
