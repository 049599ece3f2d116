//! `velo-test run --step`: one query test after the other, each when it is asked for. Everything is shown on standard
//! error; the report goes where it always goes.

use std::io::{BufRead, Write};

use velostream_harness::app::steps::{Step, Steps};
use velostream_spec::report::Status;

/// Records shown of each output.
const ROWS: usize = 5;

const KEYS: &str =
    "  Enter, s, step   run this query\n  r, run           run it and all that are left\n  q, quit, exit    stop here";

/// Asks in front of each test, and shows what it gave.
pub struct Stepper<R, W> {
    asked: R,
    shown: W,
    /// The rest runs without questions.
    runs_on: bool,
    number: usize,
    of: usize,
}

impl<R: BufRead, W: Write> Stepper<R, W> {
    /// Asks for `of` tests.
    pub fn new(asked: R, shown: W, of: usize) -> Stepper<R, W> {
        Stepper { asked, shown, runs_on: false, number: 0, of }
    }

    fn show(&mut self, line: &str) {
        // Whoever closed the terminal has seen enough; the run goes on to its report.
        let _ = writeln!(self.shown, "{line}");
    }

    /// The answer; none at the end of the input.
    fn answer(&mut self) -> Option<String> {
        let _ = write!(self.shown, "Step> ").and_then(|()| self.shown.flush());
        let mut line = String::new();
        match self.asked.read_line(&mut line) {
            Ok(read) if read > 0 => Some(line.trim().to_ascii_lowercase()),
            _ => None,
        }
    }
}

impl<R: BufRead, W: Write> Steps for Stepper<R, W> {
    fn rows(&self) -> usize {
        ROWS
    }

    fn before(&mut self, query: &str) -> bool {
        self.number += 1;
        self.show(&format!("[{}/{}] {query}", self.number, self.of));
        while !self.runs_on {
            match self.answer().as_deref() {
                Some("" | "s" | "step") => break,
                Some("r" | "run") => self.runs_on = true,
                Some("q" | "quit" | "exit") | None => return false,
                Some(other) => self.show(&format!("\"{other}\" is no command here; known are\n{KEYS}")),
            }
        }
        true
    }

    fn after(&mut self, step: &Step<'_>) {
        let report = step.report;
        step.statement.lines().for_each(|line| self.show(&format!("  | {line}")));
        let read: u64 = report.inputs.iter().map(|(_, records)| records).sum();
        let written: u64 = report.outputs.iter().map(|(_, records)| records).sum();
        let (name, ms) = (report.status.name(), report.duration_ms);
        self.show(&format!("  {name} in {ms} ms: {read} records published, {written} captured"));
        if let Some(error) = &report.error {
            error.lines().for_each(|line| self.show(&format!("  {line}")));
        }
        for (sink, rows) in step.rows {
            let records = report.outputs.iter().find(|(name, _)| name == sink).map_or(0, |(_, records)| *records);
            self.show(&format!("  {sink}: {records} rows"));
            rows.iter().for_each(|row| self.show(&format!("    {row}")));
            if records > rows.len() as u64 {
                self.show(&format!("    … {} more", records - rows.len() as u64));
            }
        }
        for outcome in report.assertions.iter().filter(|_| report.status == Status::Failed) {
            let mark = if outcome.passed { "✓" } else { "✗" };
            self.show(&format!("  {mark} {}: {}", outcome.kind, outcome.message));
        }
        step.notices.iter().for_each(|notice| self.show(&format!("  log: {notice}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_spec::report::QueryReport;

    fn stepped(answers: &str) -> (Vec<bool>, String) {
        let mut shown = Vec::new();
        let mut stepper = Stepper::new(answers.as_bytes(), &mut shown, 3);
        let goes_on = ["a", "b", "c"].map(|query| stepper.before(query)).to_vec();
        (goes_on, String::from_utf8(shown).expect("text"))
    }

    #[test]
    fn each_test_is_asked_for() {
        assert_eq!(stepped("\ns\nSTEP\n").0, [true, true, true]);
        assert_eq!(stepped("step\nq\n").0, [true, false, false], "the input ends behind it");
        assert_eq!(stepped("r\n"), (vec![true; 3], "[1/3] a\nStep> [2/3] b\n[3/3] c\n".to_owned()));
        let (goes_on, shown) = stepped("what\n\nexit\n");
        assert_eq!(goes_on, [true, false, false]);
        assert!(shown.contains("\"what\" is no command here") && shown.contains("Enter, s, step"), "{shown}");
    }

    #[test]
    fn a_step_shows_what_it_gave() {
        let mut report = QueryReport { name: "a".to_owned(), duration_ms: 7, ..QueryReport::default() };
        report.inputs.push(("orders".to_owned(), 10));
        report.outputs.push(("big".to_owned(), 6));
        let rows = [("big".to_owned(), vec!["{\"id\":1}".to_owned(), "{\"id\":2}".to_owned()])];
        let notices = ["a late row".to_owned()];
        let mut shown = Vec::new();
        let step = Step { report: &report, statement: "CREATE STREAM a\nAS SELECT 1", rows: &rows, notices: &notices };
        Stepper::new(&b""[..], &mut shown, 1).after(&step);
        let expected = "  | CREATE STREAM a\n  | AS SELECT 1\n  passed in 7 ms: 10 records published, 6 captured\n  big: 6 \
                        rows\n    {\"id\":1}\n    {\"id\":2}\n    … 4 more\n  log: a late row\n";
        assert_eq!(String::from_utf8(shown).expect("text"), expected);
    }
}
