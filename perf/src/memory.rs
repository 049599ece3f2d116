//! `perf memory`: what windows and groups take, sampled from /proc while velo-sql runs.
//!
//! Windows: rows stream into a file that the engine follows, an hour of event time in windows of a minute over many
//! keys; one more row behind them closes the last window. Start is the run before its first window, the end is the run
//! when every window is written. Groups: the same keys without windows; what the run says it holds is compared with what
//! the process holds, less what it holds for one key. Rows are a pure function of the seed and are never held.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::data::Rng;
use crate::engine::{build_folder, find_velo_sql};
use crate::followed::Followed;
use crate::measure::{self, mb};
use crate::text::push_u64;

/// What to measure.
#[derive(clap::Args)]
pub struct MemoryArgs {
    /// Rows
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Minutes of event time
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Shards of the engine
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Which rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine; default: beside this program
    #[arg(long)]
    velo_sql: Option<PathBuf>,
}

/// Most anonymous memory of the run over windows.
const PEAK_MB: f64 = 150.0;
/// Most that it may keep behind its last window.
const KEPT_MB: f64 = 20.0;
const MINUTE_MS: u64 = 60_000;

const WINDOWS: &str = "CREATE STREAM t (k BIGINT, v BIGINT, ts BIGINT) WITH ('path' = 'in.csv', 'poll_interval' = '20ms', \
    'event.time.field' = 'ts', 'watermark.strategy' = 'ascending');\n\
    CREATE STREAM out AS SELECT k, COUNT(*) AS n, SUM(v) AS total, _window_start AS w FROM t GROUP BY k \
    WINDOW TUMBLING(1m) WITH ('out.path' = 'out.csv');\n";
const GROUPS: &str = "CREATE STREAM t (k BIGINT, v BIGINT, ts BIGINT) WITH ('path' = 'in.csv');\n\
    CREATE STREAM out AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM t GROUP BY k EMIT FINAL \
    WITH ('out.path' = 'out.csv');\n";

/// Rows of a seed, spread evenly over the time.
struct Rows {
    args: (u64, u64, u64),
    rng: Rng,
    row: u64,
}

impl Rows {
    fn new(rows: u64, keys: u64, minutes: u64, seed: u64) -> Rows {
        Rows { args: (rows, keys, minutes), rng: Rng::new(seed, 7), row: 0 }
    }
}

/// Key, value and event time, ms.
impl Iterator for Rows {
    type Item = (u64, u64, u64);

    fn next(&mut self) -> Option<(u64, u64, u64)> {
        let (rows, keys, minutes) = self.args;
        if self.row == rows {
            return None;
        }
        let ms = u128::from(self.row) * u128::from(minutes * MINUTE_MS) / u128::from(rows);
        self.row += 1;
        Some((self.rng.below(keys), self.rng.below(1_000), ms as u64))
    }
}

fn push_row(out: &mut Vec<u8>, (key, value, ms): (u64, u64, u64)) {
    for (number, end) in [(key, b','), (value, b','), (ms, b'\n')] {
        push_u64(out, number);
        out.push(end);
    }
}

/// Measures both and says whether they keep to their bars.
pub fn run(args: &MemoryArgs) -> Result<()> {
    let velo_sql = find_velo_sql(args.velo_sql.clone())?;
    let folder = build_folder()?.join("perf-data").join("run-memory");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let place = measure::Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    let windows = windows(args, &velo_sql, &folder);
    let groups = groups(args, &velo_sql, &folder);
    std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    groups?;
    if windows? { Ok(()) } else { bail!("above the bar") }
}

fn command(args: &MemoryArgs, velo_sql: &Path, folder: &Path, sql: &str) -> Result<Command> {
    std::fs::write(folder.join("app.sql"), sql).context("write the app")?;
    let mut command = Command::new(velo_sql);
    command.args(["run", "app.sql", "--output-format", "json", "--shards", &args.shards.to_string()]);
    command.current_dir(folder).stdin(Stdio::null());
    Ok(command)
}

fn windows(args: &MemoryArgs, velo_sql: &Path, folder: &Path) -> Result<bool> {
    let (input, output) = (folder.join("in.csv"), folder.join("out.csv"));
    let mut file = BufWriter::with_capacity(1 << 16, File::create(&input).context("create the input")?);
    // A first window of one row, an hour before the others: when it is written, the run has begun.
    let lead = 60 * MINUTE_MS;
    file.write_all(b"k,v,ts\n0,0,0\n0,0,60000\n").and_then(|()| file.flush()).context("write the input")?;
    let mut command = command(args, velo_sql, folder, WINDOWS)?;
    let mut run = Followed::start(&mut command, &output)?;
    let start = run.until(2)?;
    let began = Instant::now();
    let mut pairs = 0u64;
    let mut keys = vec![0u64; usize::try_from(args.keys.div_ceil(64))?];
    let (mut minute, mut line, mut written) = (u64::MAX, Vec::new(), 0u64);
    for (key, value, ms) in Rows::new(args.rows, args.keys, args.minutes, args.seed) {
        if ms / MINUTE_MS != minute {
            minute = ms / MINUTE_MS;
            keys.fill(0);
        }
        let (word, bit) = ((key / 64) as usize, 1u64 << (key % 64));
        pairs += u64::from(keys[word] & bit == 0);
        keys[word] |= bit;
        line.clear();
        push_row(&mut line, (key, value, lead + ms));
        file.write_all(&line).context("write the input")?;
        written += 1;
        if written.is_multiple_of(20_000) {
            run.sample()?;
        }
    }
    line.clear();
    push_row(&mut line, (0, 0, lead + (args.minutes + 1) * MINUTE_MS));
    file.write_all(&line).and_then(|()| file.flush()).context("write the input")?;
    // The header, the two windows in front, and those of the rows.
    let end = run.until(3 + pairs)?;
    let (peak, seconds) = (run.peak(), began.elapsed().as_secs_f64());
    let summary = run.stop()?;
    let told = state_bytes(&summary);
    println!(
        "windows: {} rows, {} keys, {} min in TUMBLING(1m): {pairs} results in {seconds:.1} s",
        args.rows, args.keys, args.minutes
    );
    println!(
        "  RssAnon: start {:.1} MB, peak {:.1} MB (bar {PEAK_MB}), behind the last window {:.1} MB above the start (bar {KEPT_MB}); \
         the run says {:.1} MB of state at most",
        mb(start),
        mb(peak),
        mb(end) - mb(start),
        mb(told)
    );
    Ok(mb(peak) <= PEAK_MB && mb(end) - mb(start) <= KEPT_MB)
}

/// The most that all operators together say they held.
fn state_bytes(summary: &Value) -> u64 {
    let operators = summary["operators"].as_array().map_or(&[][..], Vec::as_slice);
    operators.iter().filter_map(|operator| operator["state_bytes_max"].as_u64()).sum()
}

fn groups(args: &MemoryArgs, velo_sql: &Path, folder: &Path) -> Result<()> {
    let mut measured = Vec::new();
    for keys in [1, args.keys] {
        let mut file = BufWriter::new(File::create(folder.join("in.csv")).context("create the input")?);
        file.write_all(b"k,v,ts\n").context("write the input")?;
        let mut line = Vec::new();
        // Each key once, then as many again.
        let again = Rows::new(args.keys, keys, 1, args.seed);
        for row in (0..args.keys).map(|k| (k % keys, 1, 0)).chain(again) {
            line.clear();
            push_row(&mut line, row);
            file.write_all(&line).context("write the input")?;
        }
        file.flush().context("write the input")?;
        let log = folder.join("log");
        let usage = measure::run(&mut command(args, velo_sql, folder, GROUPS)?, &log)?;
        let summary = std::fs::read(log.with_extension("out")).context("read the summary")?;
        measured.push((usage.anon_bytes_max, state_bytes(&serde_json::from_slice(&summary).context("no JSON")?)));
    }
    let [(one, _), (all, told)] = measured[..] else { bail!("two runs were made") };
    let grown = all.saturating_sub(one);
    let ratio = told as f64 / grown.max(1) as f64;
    println!(
        "groups: {} keys: RssAnon grows by {:.1} MB, {:.0} B a group; the run counts {:.1} MB of state, {ratio:.2} of it: buffers, \
         and tables while they grow, are beside",
        args.keys,
        mb(grown),
        grown as f64 / args.keys as f64,
        mb(told)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_function_of_the_seed_and_fill_the_time() {
        let all = |seed| Rows::new(1_000, 50, 2, seed).collect::<Vec<_>>();
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
        let rows = all(3);
        assert!(rows.is_sorted_by_key(|r| r.2) && rows[0].2 == 0 && rows[999].2 == 119_880);
        assert!(rows.iter().all(|r| r.0 < 50));
    }
}
