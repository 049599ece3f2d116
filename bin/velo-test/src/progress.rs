//! How far a run is, for people who wait: one line on a terminal that is written over, and a line for each test that
//! ended. Nothing anywhere else.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use velostream_harness::app::told::Told;

/// Shows what runs tell; called from any thread.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shown where standard error is a terminal.
    pub fn on_terminal() -> Progress {
        match stderr().is_terminal() {
            true => Progress::on(ProgressDrawTarget::stderr_with_hz(10)),
            false => Progress::none(),
        }
    }

    /// Nothing is shown.
    pub fn none() -> Progress {
        Progress::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Progress {
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {wide_msg}") {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// Shows what the run of an app tells.
    pub fn tell(&self, app: &str, told: Told<'_>) {
        let line = line(app, told);
        match told {
            Told::Ended { .. } => self.bar.println(format!("  {line}")),
            _ => self.bar.set_message(line),
        }
    }

    /// The line goes; what comes next has the terminal for itself.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
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
    }
}
