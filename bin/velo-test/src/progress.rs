//! How far a run is, for people who wait: one line on a terminal that is written over, and a line for each test that
//! ended. Nothing anywhere else.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use velostream_harness::app::told::Told;
use velostream_runtime::clock::monotonic;

/// Least time between two looks of the line.
const EVERY: Duration = Duration::from_millis(100);
/// Characters that every terminal has room for, behind the margin.
const COLUMNS: usize = 77;

/// Shows what runs tell.
#[derive(Debug)]
pub struct Progress {
    is_shown: bool,
    shown_at: Mutex<Option<Instant>>,
}

impl Progress {
    /// Shown where standard error is a terminal.
    pub fn on_terminal() -> Progress {
        Progress { is_shown: stderr().is_terminal(), shown_at: Mutex::default() }
    }

    /// Nothing is shown.
    pub fn none() -> Progress {
        Progress { is_shown: false, shown_at: Mutex::default() }
    }

    /// Shows what the run of an app tells; called from any thread.
    pub fn tell(&self, app: &str, told: Told<'_>) {
        if !self.is_shown {
            return;
        }
        let mut shown_at = self.shown_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = matches!(told, Told::Ended { .. });
        if !is_last && shown_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        *shown_at = (!is_last).then(monotonic);
        let line = line(app, told);
        // A line that is broken could not be written over.
        let (line, end) = if is_last { (line.as_str(), "\n") } else { (cut(&line, COLUMNS), "") };
        // Whoever closed the terminal misses nothing.
        let _ = write!(stderr().lock(), "\r\u{1b}[K  {line}{end}");
    }
}

/// What is told, in a line.
fn line(app: &str, told: Told<'_>) -> String {
    let (query, what) = match told {
        Told::Begun { query } => (query, "beginning".to_owned()),
        Told::Publishing { query, source, records, of: Some(of) } => {
            (query, format!("publishing {source}: {}", share(records, of)))
        }
        Told::Publishing { query, source, records, of: None } => {
            (query, format!("publishing {source}: {} records", grouped(records)))
        }
        Told::Running { query, records, of } => (query, format!("running: {} read", share(records, of))),
        Told::Judging { query, records, of } => (query, format!("judging: {}", share(records, of))),
        Told::Ended { report } => {
            let ended = format!("{} in {} ms", report.status.name(), report.duration_ms);
            (report.name.as_str(), ended)
        }
    };
    match told {
        Told::Ended { .. } => format!("{app}: {query}: {what}"),
        // What changes comes first: the end is cut off where it is too long.
        _ => format!("{what}, {query} of {app}"),
    }
}

/// The first characters of a text.
fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}

fn share(records: u64, of: u64) -> String {
    let percent = (u128::from(records.min(of)) * 100).checked_div(u128::from(of)).unwrap_or(100);
    format!("{} of {} records, {percent} %", grouped(records), grouped(of))
}

/// A number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_spec::report::QueryReport;

    #[test]
    fn what_is_told_is_a_line() {
        let report = QueryReport { name: "q".to_owned(), duration_ms: 12, ..QueryReport::default() };
        let lines = [
            (Told::Begun { query: "q" }, "beginning, q of a"),
            (
                Told::Publishing { query: "q", source: "s", records: 250_000, of: Some(1_000_000) },
                "publishing s: 250,000 of 1,000,000 records, 25 %, q of a",
            ),
            (Told::Publishing { query: "q", source: "s", records: 999, of: None }, "publishing s: 999 records, q of a"),
            (Told::Running { query: "q", records: 0, of: 0 }, "running: 0 of 0 records, 100 % read, q of a"),
            (Told::Judging { query: "q", records: 9, of: 8 }, "judging: 9 of 8 records, 100 %, q of a"),
            (Told::Ended { report: &report }, "a: q: passed in 12 ms"),
        ];
        for (told, expected) in lines {
            assert_eq!(line("a", told), expected);
        }
        assert_eq!((cut("äöü", 2), cut("äöü", 3), cut("", 1)), ("äö", "äöü", ""));
    }
}
