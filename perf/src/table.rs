//! `perf table`: how fast a TABLE is loaded, what a look-up in it costs, and what it holds beyond its rows.
//!
//! Look-ups are measured twice: those of the join's operator alone, over batches in memory ([`crate::lookups`]), which has
//! the bar, and what they cost a whole program that reads its stream from a file.
//!
//! Four runs of velo-sql on one shard, all with the same query but for the join: the stream of one row beside a table of one
//! row (start-up), beside the whole table (loading), and the whole stream beside the whole table and beside none. A
//! look-up costs what the joined stream takes more than the plain one, loading apart; what the query reads of the table's
//! row is part of it. Rows are a pure function of the seed; every result is compared.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::data::Rng;
use crate::engine::{build_folder, find_velo_sql};
use crate::lookups::{self, Lookups};
use crate::measure::{self, Place, Usage, median};
use crate::text::push_u64;

/// What to measure.
#[derive(clap::Args)]
pub struct TableArgs {
    /// Rows of the table
    #[arg(long, default_value_t = 1_000_000)]
    table_rows: u64,
    /// Rows of the stream
    #[arg(long, default_value_t = 20_000_000)]
    rows: u64,
    /// Turns of every run; medians count
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Which keys
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine; default: beside this program
    #[arg(long)]
    velo_sql: Option<PathBuf>,
    /// Results are appended to this file as JSON lines
    #[arg(long, default_value = "perf/results.jsonl")]
    results: PathBuf,
}

/// Look-ups in memory, per second of one core, millions: at least.
const LOOKUPS_BAR: f64 = 20.0;
/// Bytes per row beyond its own: at most.
const OVERHEAD_BAR: f64 = 64.0;
/// A row of the table is two 64-bit numbers.
const ROW_BYTES: f64 = 16.0;
/// The table in memory that has the bar: that of the whole program.
const JUDGED: &str = "integers";

const JOINED: &str = "CREATE STREAM s (k BIGINT) WITH ('path' = 's.csv');\n\
    CREATE TABLE r (k BIGINT PRIMARY KEY, v BIGINT) WITH ('type' = 'file_source', 'path' = 'r.csv');\n\
    CREATE STREAM out AS SELECT COUNT(*) AS n, SUM(r.v) AS total FROM s JOIN r ON s.k = r.k EMIT FINAL \
    WITH ('out.path' = 'out.csv');\n";
const PLAIN: &str = "CREATE STREAM s (k BIGINT) WITH ('path' = 's.csv');\n\
    CREATE STREAM out AS SELECT COUNT(*) AS n, SUM(s.k) AS total FROM s EMIT FINAL WITH ('out.path' = 'out.csv');\n";

/// The value beside a key.
fn value(key: u64) -> u64 {
    key % 1_000
}

/// Keys of the stream.
fn keys(args: &TableArgs, rows: u64, table_rows: u64) -> impl Iterator<Item = u64> {
    let mut rng = Rng::new(args.seed, 8);
    (0..rows).map(move |_| rng.below(table_rows))
}

/// One of the runs.
#[derive(Clone, Copy)]
struct Run {
    rows: u64,
    /// `None`: without a join.
    table_rows: Option<u64>,
}

/// Figures of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Figures {
    load_rows_per_cpu_s: f64,
    load_bytes_per_cpu_s: f64,
    lookups_per_cpu_s: f64,
    bytes_beyond_row: f64,
}

/// One line of the results file.
#[derive(Serialize)]
struct Line<'a> {
    place: &'a Place,
    measure: &'static str,
    table_rows: u64,
    rows: u64,
    runs: u32,
    figures: Figures,
    in_memory: Vec<(&'static str, Lookups)>,
}

/// Measures, prints and judges.
pub fn run(args: TableArgs) -> Result<()> {
    if args.runs == 0 || args.table_rows < 2 || args.rows < 2 {
        bail!("--runs takes at least 1, --rows and --table-rows at least 2");
    }
    let velo_sql = find_velo_sql(args.velo_sql.clone())?;
    let folder = build_folder()?.join("perf-data").join("run-table");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let place = Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    let all = [
        Run { rows: 1, table_rows: Some(1) },
        Run { rows: 1, table_rows: Some(args.table_rows) },
        Run { rows: args.rows, table_rows: Some(args.table_rows) },
        Run { rows: 1, table_rows: None },
        Run { rows: args.rows, table_rows: None },
    ];
    let mut usages: [Vec<Usage>; 5] = Default::default();
    for _ in 0..args.runs {
        for (run, usages) in all.iter().zip(&mut usages) {
            usages.push(turn(&args, *run, &velo_sql, &folder)?);
        }
    }
    let table_bytes = table_text(args.table_rows, |_| Ok(()))?;
    let middle = |what: fn(&Usage) -> f64| usages.each_ref().map(|of| median(of.iter().map(what).collect()));
    let figures = figures(&args, middle(|u| u.cpu_s), middle(|u| u.anon_bytes_max as f64), table_bytes)?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    println!("a table of {} rows, {} look-ups, medians of {}", args.table_rows, args.rows, args.runs);
    println!(
        "  loading: {:.2} M rows and {:.1} MB per CPU-second",
        figures.load_rows_per_cpu_s / 1e6,
        figures.load_bytes_per_cpu_s / 1e6
    );
    let in_memory = lookups::measure(usize::try_from(args.table_rows).context("--table-rows is too large")?)?;
    for (kind, found) in &in_memory {
        let bar = if *kind == JUDGED { format!(" (at least {LOOKUPS_BAR})") } else { String::new() };
        println!("  look-ups in memory, {kind}: {:.1} M per second of one core{bar}", found.per_s / 1e6);
    }
    println!("  look-ups of the whole program: {:.1} M per CPU-second", figures.lookups_per_cpu_s / 1e6);
    println!(
        "  memory: {:.1} bytes a row beyond its own {ROW_BYTES} (at most {OVERHEAD_BAR})",
        figures.bytes_beyond_row
    );
    let line = Line {
        place: &place,
        measure: "table",
        table_rows: args.table_rows,
        rows: args.rows,
        runs: args.runs,
        figures,
        in_memory,
    };
    measure::append(&args.results, &line)?;
    let is_fast = |(kind, found): &(&str, Lookups)| *kind != JUDGED || found.per_s >= LOOKUPS_BAR * 1e6;
    let right = line.in_memory.iter().all(is_fast) && figures.bytes_beyond_row <= OVERHEAD_BAR;
    if right { Ok(()) } else { bail!("beyond a bar") }
}

/// What the medians of the five runs say.
fn figures(args: &TableArgs, cpu_s: [f64; 5], anon: [f64; 5], table_bytes: u64) -> Result<Figures> {
    let [begin, load, joined, plain_begin, plain] = cpu_s;
    let (load_s, lookup_s) = (load - begin, (joined - load) - (plain - plain_begin));
    if load_s <= 0.0 || lookup_s <= 0.0 {
        bail!("the work took no time that could be measured: take more rows");
    }
    Ok(Figures {
        load_rows_per_cpu_s: args.table_rows as f64 / load_s,
        load_bytes_per_cpu_s: table_bytes as f64 / load_s,
        lookups_per_cpu_s: args.rows as f64 / lookup_s,
        bytes_beyond_row: (anon[1] - anon[0]) / args.table_rows as f64 - ROW_BYTES,
    })
}

/// Gives the table's file piece by piece; answers its length.
fn table_text(rows: u64, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut line = b"k,v\n".to_vec();
    let mut bytes = 0;
    for key in 0..rows {
        push_u64(&mut line, key);
        line.push(b',');
        push_u64(&mut line, value(key));
        line.push(b'\n');
        bytes += line.len() as u64;
        each(&line)?;
        line.clear();
    }
    Ok(bytes)
}

fn turn(args: &TableArgs, run: Run, velo_sql: &Path, folder: &Path) -> Result<Usage> {
    let create = |name: &str| -> Result<BufWriter<File>> {
        let file = File::create(folder.join(name)).with_context(|| format!("create {name}"))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    };
    let keys_of = run.table_rows.unwrap_or(args.table_rows);
    let mut stream = create("s.csv")?;
    let (mut line, mut total) = (b"k\n".to_vec(), 0);
    for key in keys(args, run.rows, keys_of) {
        push_u64(&mut line, key);
        line.push(b'\n');
        stream.write_all(&line).context("write the stream")?;
        line.clear();
        total += if run.table_rows.is_some() { value(key) } else { key };
    }
    stream.flush().context("write the stream")?;
    if let Some(rows) = run.table_rows {
        let mut table = create("r.csv")?;
        table_text(rows, |line| table.write_all(line).context("write the table"))?;
        table.flush().context("write the table")?;
    }
    std::fs::write(folder.join("app.sql"), if run.table_rows.is_some() { JOINED } else { PLAIN })
        .context("write the app")?;
    let mut command = Command::new(velo_sql);
    command.args(["run", "app.sql", "--shards", "1"]).current_dir(folder);
    let usage = measure::run(&mut command, &folder.join("log"))?;
    let got = std::fs::read_to_string(folder.join("out.csv")).context("read the result")?;
    let want = format!("n,total\n{},{total}\n", run.rows);
    if got != want { bail!("the result is {got:?}, expected {want:?}") } else { Ok(usage) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> TableArgs {
        let results = PathBuf::new();
        TableArgs { table_rows: 1_000, rows: 50_000, runs: 1, seed: 3, velo_sql: None, results }
    }

    #[test]
    fn keys_are_those_of_the_table() {
        let all: Vec<u64> = keys(&args(), 50_000, 1_000).collect();
        assert_eq!(all, keys(&args(), 50_000, 1_000).collect::<Vec<u64>>());
        assert!(all.iter().all(|k| *k < 1_000) && (0..1_000).all(|k| all.contains(&k)));
        let mut text = Vec::new();
        let bytes = table_text(3, |line| {
            text.extend_from_slice(line);
            Ok(())
        });
        assert_eq!((bytes.expect("all written"), &text[..]), (16, &b"k,v\n0,0\n1,1\n2,2\n"[..]));
    }

    #[test]
    fn figures_leave_out_start_up_loading_and_the_stream_itself() {
        let found = figures(&args(), [0.1, 0.6, 2.1, 0.1, 0.6], [1e6, 1.1e6, 0.0, 0.0, 0.0], 2_000).expect("measured");
        let near = |a: f64, b: f64| (a - b).abs() < b * 1e-9;
        assert!(near(found.load_rows_per_cpu_s, 2_000.0) && near(found.load_bytes_per_cpu_s, 4_000.0), "{found:?}");
        assert!(near(found.lookups_per_cpu_s, 50_000.0) && near(found.bytes_beyond_row, 84.0), "{found:?}");
        assert!(figures(&args(), [0.1, 0.1, 2.1, 0.1, 0.6], [0.0; 5], 1).is_err());
    }
}
