//! The conformance suite: named checks of what Kafka promises, run against the embedded broker or a real one.
//!
//! `cargo test --release -p velostream-kafka --test conformance -- [FILTER…] [--brokers HOST:PORT] [--json FILE] [--list]`
//!
//! Without `--brokers` (or VELO_KAFKA) every check runs on an embedded broker in memory ("embedded"), and all that do not
//! start brokers of their own once more on one in files ("files"). With it, what only the embedded broker has is left
//! out. One line per check: `item  name  target  ok|FAILED  milliseconds`, two spaces or more between them, which
//! `kafka/conformance/run.sh` reads. A check fails by panicking. Each uses topics and groups of its own, so they run side
//! by side, and on a broker with other users.

mod admin;
mod faults;
mod groups;
mod idempotence;
mod leader_epoch;
mod nodes;
mod offsets;
mod raw;
mod records;
mod report;
mod storage;
mod time_index;
mod transactions;
#[path = "../../broker/tests/wire/client.rs"]
#[allow(dead_code, reason = "the broker's own wire tests use the rest of it")]
mod wire;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use report::{Line, Outcome};
use velostream_broker::{Broker, BrokerConfig};
use world::{World, now};

/// A check that takes longer hangs.
const CHECK_MAX: Duration = Duration::from_secs(180);
/// Most checks wait for something; more at once than cores is right.
const JOBS: usize = 6;

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    /// It starts brokers of its own: faults, nodes and files are the embedded broker's.
    embedded_only: bool,
    run: fn(&World),
}

/// A check that any broker has to pass.
pub const fn both(name: &'static str, run: fn(&World)) -> Check {
    Check { name, embedded_only: false, run }
}

/// A check of what only the embedded broker has.
pub const fn embedded(name: &'static str, run: fn(&World)) -> Check {
    Check { name, embedded_only: true, run }
}

/// All checks by item.
const ITEMS: &[(&str, &[Check])] = &[
    ("records", records::CHECKS),
    ("groups", groups::CHECKS),
    ("offsets", offsets::CHECKS),
    ("idempotence", idempotence::CHECKS),
    ("transactions", transactions::CHECKS),
    ("admin", admin::CHECKS),
    ("time-index", time_index::CHECKS),
    ("leader-epoch", leader_epoch::CHECKS),
    ("storage", storage::CHECKS),
    ("nodes", nodes::CHECKS),
    ("faults", faults::CHECKS),
];

struct Options {
    brokers: Option<String>,
    json: Option<String>,
    list: bool,
    filters: Vec<String>,
}

fn options() -> Result<Options, String> {
    let brokers = std::env::var("VELO_KAFKA").ok().filter(|brokers| !brokers.is_empty());
    let mut options = Options { brokers, json: None, list: false, filters: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--brokers" => options.brokers = Some(value()?),
            "--json" => options.json = Some(value()?),
            "--list" => options.list = true,
            // What cargo passes to every test binary.
            "--nocapture" | "--quiet" | "-q" => {}
            flag if flag.starts_with('-') => {
                return Err(format!("unknown flag {flag}; there are --brokers HOST:PORT, --json FILE, --list"));
            }
            filter => options.filters.push(filter.to_owned()),
        }
    }
    Ok(options)
}

/// Item and check, in the order of the table.
type Chosen = Vec<(&'static str, Check)>;

fn chosen(filters: &[String], wanted: impl Fn(&Check) -> bool) -> Chosen {
    let matches = |item: &str, check: &Check| {
        filters.is_empty() || filters.iter().any(|f| item.contains(f.as_str()) || check.name.contains(f.as_str()))
    };
    let all = ITEMS.iter().flat_map(|(item, checks)| checks.iter().map(move |check| (*item, *check)));
    all.filter(|(item, check)| wanted(check) && matches(item, check)).collect()
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        for (item, check) in chosen(&options.filters, |_| true) {
            println!("{item:<14}  {}{}", check.name, if check.embedded_only { "  (embedded only)" } else { "" });
        }
        return ExitCode::SUCCESS;
    }
    report::keep_panics_of_checks();
    let start = now();
    let lines = match &options.brokers {
        Some(brokers) => {
            let checks = chosen(&options.filters, |check| !check.embedded_only);
            run_all("apache", checks, World::new(brokers))
        }
        None => on_embedded(&options.filters),
    };
    let ran = report::finish(&lines, start.elapsed());
    if let Some(path) = &options.json
        && let Err(error) = report::write_json(path, &lines)
    {
        eprintln!("error: {path} cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    if ran { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_embedded(filters: &[String]) -> Vec<Line> {
    let memory = Broker::start(world::quick(BrokerConfig::default())).expect("a broker in memory starts");
    let mut lines = run_all("embedded", chosen(filters, |_| true), World::new(&memory.bootstrap()));
    memory.stop();
    let folder = tempfile::tempdir().expect("a folder");
    let config = BrokerConfig { dir: Some(folder.path().to_owned()), ..BrokerConfig::default() };
    let files = Broker::start(world::quick(config)).expect("a broker in files starts");
    lines.extend(run_all("files", chosen(filters, |check| !check.embedded_only), World::new(&files.bootstrap())));
    files.stop();
    lines
}

/// Runs checks several at a time and prints them in order.
fn run_all(target: &'static str, checks: Chosen, world: World) -> Vec<Line> {
    if checks.is_empty() {
        return Vec::new();
    }
    world.warm_up();
    let checks = Arc::new(checks);
    let world = Arc::new(world);
    let next = Arc::new(AtomicUsize::new(0));
    let running = Arc::new(Mutex::new(BTreeMap::new()));
    let (report, reported) = mpsc::channel();
    let workers: Vec<_> = (0..JOBS.min(checks.len()))
        .map(|_| {
            let (checks, world, next) = (Arc::clone(&checks), Arc::clone(&world), Arc::clone(&next));
            let (running, report) = (Arc::clone(&running), report.clone());
            thread::Builder::new()
                .name(report::CHECK_THREAD.to_owned())
                .spawn(move || work(&checks, &world, &next, &running, &report))
                .expect("a thread starts")
        })
        .collect();
    drop(report);
    let mut done: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut lines: Vec<Line> = Vec::new();
    while lines.len() < checks.len() {
        match reported.recv_timeout(CHECK_MAX) {
            Ok((index, outcome)) => drop(done.insert(index, outcome)),
            Err(_) => {
                let hanging: Vec<&str> =
                    running.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect();
                eprintln!("no check ended for {CHECK_MAX:?}; hanging: {}", hanging.join("; "));
                std::process::exit(1);
            }
        }
        while let Some(outcome) = done.remove(&lines.len()) {
            let (item, check) = checks[lines.len()];
            lines.push(Line { item, name: check.name, target, embedded_only: check.embedded_only, outcome });
            report::print(lines.last().expect("just pushed"));
        }
    }
    workers.into_iter().for_each(|worker| worker.join().expect("workers catch the panics of checks"));
    world.clean_up();
    lines
}

fn work(
    checks: &Chosen,
    world: &World,
    next: &AtomicUsize,
    running: &Mutex<BTreeMap<usize, &'static str>>,
    report: &Sender<(usize, Outcome)>,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some((_, check)) = checks.get(index) else { return };
        running.lock().unwrap_or_else(PoisonError::into_inner).insert(index, check.name);
        let start = now();
        let result = catch_unwind(AssertUnwindSafe(|| (check.run)(world)));
        let failure = result.is_err().then(report::take_panic);
        running.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
        // The receiver has left only when the process is about to end.
        let _ = report.send((index, Outcome { took: start.elapsed(), failure }));
    }
}
