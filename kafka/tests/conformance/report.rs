//! What the runner says: lines, totals, JSON; and why a check failed.

use std::cell::RefCell;
use std::time::Duration;
use std::{fs, io, panic, thread};

/// Name of the threads whose panics belong to checks.
pub const CHECK_THREAD: &str = "check";

/// How a check ended.
pub struct Outcome {
    pub took: Duration,
    pub failure: Option<String>,
}

/// A check on a target.
pub struct Line {
    pub item: &'static str,
    pub name: &'static str,
    pub target: &'static str,
    pub embedded_only: bool,
    pub outcome: Outcome,
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics on the runner's threads are kept for the report, all others are printed as ever.
pub fn keep_panics_of_checks() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(CHECK_THREAD) {
            let place = info.location().map_or(String::new(), |at| format!("{}:{}: ", at.file(), at.line()));
            let payload = info.payload();
            let said = payload.downcast_ref::<String>().cloned();
            let said = said.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            LAST_PANIC.with_borrow_mut(|last| *last = format!("{place}{}", said.unwrap_or_default()));
        } else {
            usual(info);
        }
    }));
}

/// What the panic that was just caught on this thread said.
pub fn take_panic() -> String {
    LAST_PANIC.take()
}

/// One line, and the reason of a failure below it.
pub fn print(line: &Line) {
    let verdict = if line.outcome.failure.is_none() { "ok" } else { "FAILED" };
    let (item, name, target) = (line.item, line.name, line.target);
    println!("{item:<13}  {name:<72}  {target:<8}  {verdict:<6}  {} ms", line.outcome.took.as_millis());
    if let Some(why) = &line.outcome.failure {
        why.lines().for_each(|why| println!("    {why}"));
    }
}

/// Totals; TRUE when something ran and nothing failed.
pub fn finish(lines: &[Line], took: Duration) -> bool {
    let failed = lines.iter().filter(|line| line.outcome.failure.is_some()).count();
    let mut targets: Vec<&str> = lines.iter().map(|line| line.target).collect();
    targets.dedup();
    for target in targets {
        let of: Vec<&Line> = lines.iter().filter(|line| line.target == target).collect();
        let ok = of.iter().filter(|line| line.outcome.failure.is_none()).count();
        println!("{ok} of {} checks passed on {target}", of.len());
    }
    println!("{failed} failed, {:.1} s", took.as_secs_f64());
    if lines.is_empty() {
        eprintln!("no check matches; --list names them");
    }
    failed == 0 && !lines.is_empty()
}

/// All lines as one JSON array.
pub fn write_json(path: &str, lines: &[Line]) -> io::Result<()> {
    let all: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| {
            serde_json::json!({
                "item": line.item,
                "check": line.name,
                "target": line.target,
                "embedded_only": line.embedded_only,
                "ok": line.outcome.failure.is_none(),
                "ms": line.outcome.took.as_millis() as u64,
                "failure": line.outcome.failure,
            })
        })
        .collect();
    fs::write(path, format!("{:#}\n", serde_json::Value::Array(all)))
}
