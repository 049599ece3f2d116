//! Options of runs that survive their process, and what is told of their checkpoints.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args as ClapArgs;
use velostream_runtime::job::checkpoint::{CheckpointReport, SampledTypes, State, StateOptions};
use velostream_sql::duration;

use crate::figures::count;

/// Pause between checkpoints when nothing else is said, ns.
const INTERVAL_NS: i64 = 10_000_000_000;
/// Pauses that make sense, ns.
const SHORTEST_NS: i64 = 10_000_000;
const LONGEST_NS: i64 = 24 * 3_600_000_000_000;

/// What `run` and `deploy-app` take for checkpoints.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "State")]
pub struct StateArgs {
    /// Keep checkpoints of the run in this folder and go on from the newest one there: after kill -9, a stop or a lost
    /// machine the same command gives what an uninterrupted run gives, on any number of shards. Into topics, rows from
    /// behind that checkpoint come again
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
    /// Pause between checkpoints, 10ms to 24h [default: 10s]
    #[arg(long, value_name = "DURATION", requires = "state", value_parser = interval)]
    pub checkpoint: Option<Interval>,
}

/// A pause between checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(Duration);

fn interval(text: &str) -> Result<Interval, String> {
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("needs a unit, as in 500ms, 10s or 1m".to_owned());
    }
    let ns = duration::parse(text, 1)?;
    if !(SHORTEST_NS..=LONGEST_NS).contains(&ns) {
        return Err("is not between 10ms and 24h".to_owned());
    }
    Ok(Interval(Duration::from_nanos(ns.unsigned_abs())))
}

/// A run's state folder, before its app is compiled.
pub struct Opened {
    folder: PathBuf,
    interval: Duration,
    /// `None`: the folder is made once the app turns out to be sound.
    state: Option<State>,
}

impl StateArgs {
    /// Opens the folder if it is asked for and there.
    pub fn open(&self) -> Result<Option<Opened>> {
        let Some(folder) = self.state.clone() else { return Ok(None) };
        let interval = self.checkpoint.map_or(Duration::from_nanos(INTERVAL_NS.unsigned_abs()), |Interval(i)| i);
        let state = if folder.exists() { Some(State::open(folder.clone())?) } else { None };
        Ok(Some(Opened { folder, interval, state }))
    }
}

impl Opened {
    /// Types that the first start found.
    pub fn types(&self) -> SampledTypes {
        self.state.iter().flat_map(State::types).collect()
    }

    /// As the runtime takes it. What cannot be used is told through `warn`.
    pub fn options(self, text: &str, types: SampledTypes, mut warn: impl FnMut(&str)) -> Result<StateOptions> {
        let Opened { folder, interval, state } = self;
        let state = state.map_or_else(|| State::open(folder), Ok)?;
        state.told().iter().for_each(|text| warn(text));
        Ok(StateOptions { state, interval, text: text.to_owned(), types })
    }
}

/// What became of the checkpoints, as lines.
pub fn lines(report: &CheckpointReport) -> String {
    let folder = report.folder.display();
    if report.was_complete {
        return format!("complete since an earlier run; nothing was done. Remove {folder} to run it again\n");
    }
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    if let Some(number) = report.resumed_from {
        let _ = writeln!(out, "went on from checkpoint {number}; rows are counted from there");
    }
    let taken =
        if report.taken == 1 { "1 checkpoint".to_owned() } else { format!("{} checkpoints", count(report.taken)) };
    let _ = write!(out, "{taken} taken");
    if report.taken > 0 {
        let (bytes, ms) = (size(report.last_bytes), report.last_s * 1e3);
        let _ = write!(out, ", the last {bytes} in {ms:.0} ms (longest {:.0} ms)", report.longest_s * 1e3);
    }
    let _ = match report.complete {
        true => writeln!(out, "; {folder} says that the run is complete"),
        false => writeln!(out, "; the same command goes on from checkpoint {} in {folder}", report.last),
    };
    out
}

/// `812 bytes`, `12.5 KiB`, `3.2 MiB`
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval("50ms"), Ok(Interval(Duration::from_millis(50))));
        assert_eq!(interval("1m"), Ok(Interval(Duration::from_secs(60))));
        for wrong in ["5", "1ms", "2d", "soon", "", "-1s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
