//! Event time, simulated a row at a time: windows, watermarks, late rows and OVER of random apps over random feeds.
//!
//! Each case is one seed: an app of SQL text and a feed with disorder. A simulator written from the dialect's rules says
//! what comes out, which rows are late in which query, and what goes to dead letters; the engine must say the same for
//! shards 1/2/4 × batch rows 1/7/1024, with restarts in one layout of three. `VELO_SHARE` (`1` or `1/20`) says which
//! part of the cases runs, `VELO_SEED` reruns one case and shows it, `VELO_CASES` names another count. A case that
//! differs is shrunk before it is shown. Every kind of window, emission and strategy has a least number of cases.

#[path = "support/draw.rs"]
mod draw;
#[path = "support/share.rs"]
mod share;

mod timeline {
    pub mod aggregate;
    pub mod apps;
    pub mod compare;
    pub mod engine;
    pub mod feeds;
    pub mod model;
    pub mod over;
    pub mod overs;
    pub mod results;
    pub mod session;
    pub mod shrink;
    pub mod simulate;
    pub mod spans;
    pub mod tally;
    pub mod text;
    pub mod ticked;
    pub mod value;
    pub mod zone;

    use super::draw;
}

use std::process::ExitCode;
use std::time::Instant;

use draw::Draw;
use share::share_of;
use timeline::apps;
use timeline::engine::{Compiled, Layout, layouts};
use timeline::feeds;
use timeline::model::{App, Feed};
use timeline::shrink::shrunk;
use timeline::simulate;
use timeline::tally::Tally;
use timeline::text;

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
    Differs(Box<(App, Feed, Layout, String)>),
}

fn case(seed: u64, show: bool) -> Verdict {
    let mut draw = Draw::new(seed);
    let drawn = apps::app(&mut draw, seed);
    let (feed, traits) = feeds::feed(&mut draw, &drawn);
    let sql = text::sql(&drawn.app);
    let outcome = simulate::run(&drawn.app, &feed);
    if show {
        println!("{}", shown(&drawn.app, &feed));
        println!("--- expect out\n{}", expected(&drawn.app, &outcome));
        println!("late by stage and partition {:?}, dead {:?}", outcome.late, outcome.dead);
    }
    let compiled = match Compiled::new(&drawn.app, &sql) {
        Ok(compiled) => compiled,
        Err(found) => return Verdict::NoApp(format!("{sql}\n{found}")),
    };
    for layout in layouts(seed) {
        if let Some(told) = compiled.against(&drawn.app, &feed, layout, &outcome) {
            return Verdict::Differs(Box::new((drawn.app, feed, layout, told)));
        }
    }
    Verdict::Same(Box::new(Tally::of(&drawn, &traits, &feed, &outcome)))
}

fn expected(app: &App, outcome: &simulate::Outcome) -> String {
    let columns = app.stages.last().map(|s| s.columns.as_slice()).unwrap_or_default();
    outcome.rows.iter().map(|row| text::output(columns, row)).collect::<Vec<String>>().join("\n")
}

/// The case as a scenario.
fn shown(app: &App, feed: &Feed) -> String {
    let mut lines = text::sql(app);
    for chunk in 0..simulate::chunks(feed) {
        for (p, records) in feed.iter().enumerate() {
            let of: String =
                records.iter().filter(|r| r.chunk == chunk).map(|r| text::line(&app.source.columns, r)).collect();
            if !of.is_empty() {
                let (name, p) = text::fed_as(&app.source, p);
                lines.push_str(&format!("--- feed {name}@{p}\n{of}"));
            }
        }
        lines.push_str("--- sync\n");
    }
    lines + "--- end"
}

fn tell(seed: u64, (app, feed, layout, told): &(App, Feed, Layout, String), shrink: bool) {
    println!("FAILED VELO_SEED={seed} {layout:?}: {told}");
    if shrink {
        let (app, feed, told) = shrunk(app, feed, *layout);
        let expect = expected(&app, &simulate::run(&app, &feed));
        println!("shrunk: {told}\n{}\n--- expect out\n{expect}\n", shown(&app, &feed));
    }
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
    println!("suite timeline cases {cases} seed {SEED} seconds {:.1}", begin.elapsed().as_secs_f64());
    if failed > 0 || no_app > 0 || !rare.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
