//! How long `velo-sql validate` takes for a generated app of so many lines: the whole process, as a person or an editor
//! waits for it. The app holds what apps hold: declarations, joins of conditions, CASE, functions, common table
//! expressions, groups and windows.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::engine::{build_folder, find_velo_sql};

/// `perf validate`.
#[derive(Args)]
pub struct ValidateArgs {
    /// Lines of the app
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(20..=1_000_000))]
    lines: u64,
    /// Times it is validated
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    runs: u64,
    /// The binary to measure [default: the one beside this program]
    #[arg(long)]
    velo_sql: Option<PathBuf>,
}

/// Prints the median, fastest and slowest run in milliseconds.
#[expect(clippy::disallowed_methods, reason = "times are what is measured here")]
pub fn run(args: ValidateArgs) -> Result<()> {
    let velo_sql = find_velo_sql(args.velo_sql)?;
    let folder = build_folder()?.join("perf/validate");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let text = app(args.lines);
    let path = folder.join("app.sql");
    std::fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    // A source's file has to be there; its columns are declared, so nothing is read of it.
    std::fs::write(folder.join("trades.jsonl"), "").context("write trades.jsonl")?;
    let mut times_ms: Vec<f64> = Vec::new();
    for _ in 0..args.runs {
        let start = Instant::now();
        let mut command = Command::new(&velo_sql);
        let status = command.arg("validate").arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).status();
        times_ms.push(start.elapsed().as_secs_f64() * 1_000.0);
        if !status.context("start velo-sql")?.success() {
            bail!("the generated app is not valid: velo-sql validate {}", path.display());
        }
    }
    times_ms.sort_by(f64::total_cmp);
    let (lines, bytes, statements) = (text.lines().count(), text.len(), text.matches(';').count());
    println!("{lines} lines, {statements} statements, {bytes} bytes");
    let (median, last) = (times_ms[times_ms.len() / 2], times_ms.len() - 1);
    println!("validate: median {median:.1} ms of {} runs, {:.1} to {:.1} ms", args.runs, times_ms[0], times_ms[last]);
    Ok(())
}

/// An app of at least so many lines.
fn app(lines: u64) -> String {
    let mut text = String::from(
        "-- @app: generated\n\
         CREATE STREAM trades (symbol STRING, price DECIMAL(12,4), quantity INT, trader STRING, ts INT) WITH (\n    \
         path = 'trades.jsonl', 'event.time.field' = 'ts', 'watermark.max_out_of_orderness' = '5s'\n);\n",
    );
    let mut block = 0;
    while (text.lines().count() as u64) < lines {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", statements(block));
        block += 1;
    }
    text
}

fn statements(block: u64) -> String {
    format!(
        "\
CREATE STREAM priced_{block} AS
SELECT symbol,
       UPPER(TRIM(trader)) AS trader,
       price * quantity AS value,
       CASE WHEN price > {block} THEN 'high'
            WHEN price BETWEEN 1 AND 10 THEN 'mid'
            ELSE 'low' END AS band,
       ROUND(price, 2) AS rounded,
       COALESCE(NULLIF(symbol, ''), 'none') AS name,
       DATE_FORMAT(_event_time, '%Y-%m-%d') AS day
FROM trades
WHERE quantity > 0 AND symbol IN ('A', 'B', 'C{block}') AND STARTS_WITH(trader, 't');

CREATE TABLE totals_{block} AS
WITH big AS (
    SELECT symbol, value, band FROM priced_{block} WHERE value > {block} OR band = 'high'
)
SELECT symbol, band, SUM(value) AS total, COUNT(*) AS n, AVG(value) AS mean, MAX(value) - MIN(value) AS spread
FROM big
GROUP BY symbol, band
HAVING COUNT(*) > 1;

CREATE STREAM bars_{block} AS
SELECT symbol, _window_start, FIRST(price) AS open, MAX(price) AS high, MIN(price) AS low, LAST(price) AS close
FROM trades
GROUP BY symbol
WINDOW TUMBLING(1m)
EMIT FINAL
WITH ('bars_{block}.path' = 'bars_{block}.csv');

SELECT symbol FROM priced_{block} UNION ALL SELECT symbol FROM trades WHERE price > {block};
"
    )
}
