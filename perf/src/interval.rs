//! `perf interval`: what W6 holds. The orders of 300 ms are to be its state, not the orders of the input.
//!
//! Ways to read the same market, each with a small and a large input: both files from the same time on; one of them
//! with as many rows again before the first of the other, so that it is read alone at first; and the orders complete while
//! the trades are still being written, so that the whole file of orders could be read ahead. Memory is the anonymous part,
//! sampled; it may not grow with the input. The results are counted against the hand-written program.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::blocks::for_each_block;
use crate::data::{FIRST_EVENT_MS, ROWS_PER_MS};
use crate::engine::{EngineRun, build_folder, cached_beside, cached_trades, find_velo_sql, trades_pattern};
use crate::followed::Followed;
use crate::generate::{Format, Table};
use crate::limit;
use crate::measure::{self, Place, mb};
use crate::mixed::Faults;
use crate::text::{push_decimal, push_u64};
use crate::workload::Workload;

/// What to measure.
#[derive(clap::Args)]
pub struct IntervalArgs {
    /// A small and a large number of trades
    #[arg(long, value_delimiter = ',', default_value = "1000000,5000000")]
    rows: Vec<u64>,
    /// How long the complete orders lie there before the trades go on, ms
    #[arg(long, default_value_t = 3_000)]
    head_start_ms: u64,
    /// Shards of the engine
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Backend of the engine
    #[arg(long, default_value = "auto")]
    runtime: String,
    /// Which market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine; default: beside this program
    #[arg(long)]
    velo_sql: Option<PathBuf>,
    /// Results are appended to this file as JSON lines
    #[arg(long, default_value = "perf/results.jsonl")]
    results: PathBuf,
}

/// What the large input may take more than the small one.
const GROWTH_MB: f64 = 15.0;
/// Trades that are there before the head start: they hold the watermark.
const FIRST_TRADES: usize = 64;
/// Numbers of rows that nothing matches begin here.
const LEAD_IDS: u64 = 1 << 40;

/// How the two files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Together,
    OrdersBegin,
    TradesBegin,
    TradesGrow,
}

impl Way {
    const ALL: [Way; 4] = [Way::Together, Way::OrdersBegin, Way::TradesBegin, Way::TradesGrow];

    const fn text(self) -> &'static str {
        match self {
            Way::Together => "both files from the same time on",
            Way::OrdersBegin => "the orders begin long before the trades",
            Way::TradesBegin => "the trades begin long before the orders",
            Way::TradesGrow => "the orders are there, the trades still grow",
        }
    }
}

/// One line of the results file.
#[derive(Serialize)]
struct Line<'a> {
    place: &'a Place,
    measure: &'static str,
    way: Way,
    shards: u32,
    rows: [u64; 2],
    anon_bytes_max: [u64; 2],
}

struct Bench {
    args: IntervalArgs,
    velo_sql: PathBuf,
    cache: PathBuf,
    folder: PathBuf,
}

/// Measures all ways and says whether memory keeps to the interval.
pub fn run(args: IntervalArgs) -> Result<()> {
    let (Some(small), Some(large)) = (args.rows.iter().min().copied(), args.rows.iter().max().copied()) else {
        bail!("--rows takes two numbers");
    };
    let velo_sql = find_velo_sql(args.velo_sql.clone())?;
    let cache = build_folder()?.join("perf-data");
    let folder = cache.join("run-interval");
    let bench = Bench { args, velo_sql, cache, folder };
    let place = Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    println!("W6, CSV, {} shards: RssAnon at most, {small} and {large} trades", bench.args.shards);
    let mut grows = 0;
    for way in Way::ALL {
        let peaks = [bench.peak(way, small)?, bench.peak(way, large)?];
        let growth = mb(peaks[1]) - mb(peaks[0]);
        let above = growth > GROWTH_MB;
        grows += u32::from(above);
        println!(
            "{:45} {:>7.1} MB {:>7.1} MB   grows by {growth:.1} MB (at most {GROWTH_MB}){}",
            way.text(),
            mb(peaks[0]),
            mb(peaks[1]),
            if above { "   ABOVE THE BAR" } else { "" }
        );
        let shards = bench.args.shards;
        let line =
            Line { place: &place, measure: "interval", way, shards, rows: [small, large], anon_bytes_max: peaks };
        measure::append(&bench.args.results, &line)?;
    }
    if grows > 0 { bail!("memory goes with the input in {grows} ways") } else { Ok(()) }
}

impl Bench {
    fn peak(&self, way: Way, rows: u64) -> Result<u64> {
        let data = cached_trades(&self.cache, self.args.seed, rows, &[Format::Csv], &Faults::NONE)?;
        let trades = trades_pattern(&data, Format::Csv, 1);
        let orders = cached_beside(&self.cache, self.args.seed, rows, Format::Csv, Workload::W6)?;
        let orders = orders.context("W6 reads orders")?;
        // The run empties its own folder, so what it reads lies beside.
        let input = self.cache.join("interval-input");
        std::fs::create_dir_all(&input).with_context(|| format!("make {}", input.display()))?;
        let expect = limit::run(Workload::W6, Format::Csv, &trades, Some(&orders), &input.join("limit.csv"))?.rows_out;
        let peak = match way {
            Way::Together => self.bounded(trades, orders, expect),
            Way::OrdersBegin => {
                let led = led(&orders, &input, Table::Orders, rows)?;
                self.bounded(trades, led, expect)
            }
            Way::TradesBegin => {
                let led = led(&trades, &input, Table::Trades, rows)?;
                self.bounded(led, orders, expect)
            }
            Way::TradesGrow => self.growing(&trades, orders, &input, expect),
        };
        std::fs::remove_dir_all(&input).with_context(|| format!("remove {}", input.display()))?;
        peak
    }

    fn engine(&self, trades: PathBuf, orders: PathBuf) -> EngineRun<'_> {
        EngineRun {
            velo_sql: &self.velo_sql,
            workload: Workload::W6,
            format: Format::Csv,
            trades,
            beside: Some(orders),
            folder: self.folder.clone(),
            bound_ms: 0,
            shards: self.args.shards,
            runtime: &self.args.runtime,
        }
    }

    fn bounded(&self, trades: PathBuf, orders: PathBuf, expect: u64) -> Result<u64> {
        let run = self.engine(trades, orders);
        let usage = measure::run(&mut run.command()?, &run.folder.join("log"))?;
        let mut lines = 0;
        for_each_block(&run.output(), |block| {
            lines += memchr::memchr_iter(b'\n', block).count() as u64;
            Ok(())
        })?;
        if lines != expect + 1 {
            bail!("{}: {lines} lines, expected {} and the header", run.output().display(), expect);
        }
        Ok(usage.anon_bytes_max)
    }

    /// The trades come after the orders have lain there for a while.
    fn growing(&self, trades: &Path, orders: PathBuf, input: &Path, expect: u64) -> Result<u64> {
        let path = input.join("growing.csv");
        let mut file = BufWriter::with_capacity(1 << 16, File::create(&path).context("create the trades")?);
        let run = self.engine(path, orders);
        let mut command = run.command()?;
        command.args(["--output-format", "json"]);
        let mut followed: Option<Followed> = None;
        for_each_block(trades, |block| {
            let mut rest = block;
            if followed.is_none() {
                let first = memchr::memchr_iter(b'\n', block).nth(FIRST_TRADES).map_or(block.len(), |at| at + 1);
                let (begin, later) = block.split_at(first);
                file.write_all(begin).and_then(|()| file.flush()).context("write the trades")?;
                let mut started = Followed::start(&mut command, &run.output())?;
                started.until(2)?;
                started.during(Duration::from_millis(self.args.head_start_ms))?;
                (followed, rest) = (Some(started), later);
            }
            file.write_all(rest).context("write the trades")?;
            followed.as_mut().map_or(Ok(0), Followed::sample).map(|_| ())
        })?;
        file.flush().context("write the trades")?;
        let mut followed = followed.context("there are no trades")?;
        followed.until(expect + 1)?;
        let peak = followed.peak();
        followed.stop()?;
        Ok(peak)
    }
}

/// A copy of a file with as many rows in front, at the same pace, that nothing matches.
fn led(path: &Path, folder: &Path, table: Table, rows: u64) -> Result<PathBuf> {
    let target = folder.join(table.file(Format::Csv));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&target).context("create a file")?);
    let mut header = true;
    for_each_block(path, |block| {
        let mut rest = block;
        if std::mem::take(&mut header) {
            let end = memchr::memchr(b'\n', block).map_or(block.len(), |at| at + 1);
            file.write_all(&block[..end]).context("write a file")?;
            let mut line = Vec::new();
            for row in 0..rows {
                line.clear();
                push_lead(&mut line, table, row, rows);
                file.write_all(&line).context("write a file")?;
            }
            rest = &block[end..];
        }
        file.write_all(rest).context("write a file")
    })?;
    file.flush().context("write a file")?;
    Ok(target)
}

fn push_lead(line: &mut Vec<u8>, table: Table, row: u64, rows: u64) {
    let time = FIRST_EVENT_MS as u64 - 1_000 - (rows - row) / ROWS_PER_MS;
    push_u64(line, LEAD_IDS + row);
    match table {
        Table::Trades => {
            line.extend_from_slice(b",S001,7,B,XNAS,");
            push_decimal(line, 1_000_000, 4);
            line.extend_from_slice(b",5,");
        }
        Table::Orders | Table::Traders => {
            line.extend_from_slice(b",7,S001,");
            push_decimal(line, 1_000_000, 4);
            line.push(b',');
        }
    }
    push_u64(line, time);
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::TRADES_HEADER;

    #[test]
    fn rows_in_front_have_the_columns_of_their_table_and_end_before_it() {
        let fields = |table| {
            let mut line = Vec::new();
            push_lead(&mut line, table, 99, 100);
            let text = String::from_utf8(line).expect("text");
            text.trim_end().split(',').map(str::to_owned).collect::<Vec<String>>()
        };
        let (trade, order) = (fields(Table::Trades), fields(Table::Orders));
        assert_eq!((trade.len(), order.len()), (TRADES_HEADER.split(',').count(), 5));
        for row in [trade, order] {
            let time: i64 = row.last().expect("a time").parse().expect("a number");
            assert!(time < FIRST_EVENT_MS - 500, "{row:?}");
        }
    }
}
