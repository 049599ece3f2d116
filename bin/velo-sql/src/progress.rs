//! How far a run is, on the terminal: one line, and under it where the partitions of topics stand. Drawn on standard
//! error, removed at the end.
//!
//! Nothing is shown in the first [`QUIET_S`] seconds, or when standard error is no terminal. Where rows appear on a
//! terminal too, it goes for good before the first of them: both would be torn.

use std::io::{IsTerminal, Stdout, Write};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use velostream_runtime::job::{OpenStdout, Snapshot};

use crate::figures;
use crate::partitions::Partitions;

/// Shorter runs show nothing.
const QUIET_S: f64 = 0.5;

/// The line; copies share it.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A line that is shown only if `wanted` and if there is a terminal.
    pub fn new(wanted: bool) -> Progress {
        let shown = wanted && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// Shows how far the run is.
    /// Under it stand `more` lines.
    pub fn show(&self, at: &Snapshot, partitions: &mut Partitions, more: &[String]) {
        if at.elapsed_s < QUIET_S || self.bar.is_hidden() {
            return;
        }
        let mut line = format!("{} in, {} out", figures::rows(at.rows_in), figures::count(at.rows_out));
        if at.rows_dead > 0 {
            line.push_str(&format!(", {} dead-lettered", figures::count(at.rows_dead)));
        }
        line.push_str(&format!("  {} rows/s", figures::rate(at.rows_per_second)));
        line.push_str(&format!("  {:.1} s", at.elapsed_s));
        for below in partitions.lines(at.elapsed_s).iter().chain(more) {
            line.push_str("\n  ");
            line.push_str(below);
        }
        self.bar.set_message(line);
        self.bar.tick();
    }

    /// FALSE where there is no terminal, or when rows took the line's place.
    pub fn is_drawn(&self) -> bool {
        !self.bar.is_hidden() && !self.bar.is_finished()
    }

    /// A line for the log, above the progress.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Standard output for an app's rows, in front of which `progress` gives way if both are on a terminal.
pub fn stdout(progress: &Progress) -> Arc<OpenStdout> {
    let gives_way = std::io::stdout().is_terminal().then(|| progress.clone());
    Arc::new(move || Box::new(Rows { out: std::io::stdout(), progress: gives_way.clone() }))
}

/// Standard output that makes room for itself.
struct Rows {
    out: Stdout,
    /// Taken by the first write.
    progress: Option<Progress>,
}

impl Write for Rows {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(progress) = self.progress.take() {
            progress.clear();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
