//! `perf show`: one truth per input. Every workload over clean and over faulty trades, in both formats, on several
//! shard counts and backends; each output and each dead-letter file is compared with [`crate::check`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::check::{CheckOptions, Expected, compare_dead, compare_output, expect};
use crate::engine::{EngineRun, build_folder, cached_beside, cached_trades, find_velo_sql, trades_pattern};
use crate::generate::{Format, trades_name};
use crate::measure;
use crate::mixed::Faults;
use crate::workload::Workload;

/// What to show.
#[derive(clap::Args)]
pub struct ShowArgs {
    /// Trades per input
    #[arg(long, default_value_t = 300_000)]
    rows: u64,
    /// Shard counts
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    shards: Vec<u32>,
    /// Backends; one that this machine cannot run is skipped with a line that says so
    #[arg(long, value_delimiter = ',', default_value = "threads,glommio")]
    runtimes: Vec<String>,
    /// Workloads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "w1,w2,w3,w4,w5,w6")]
    workloads: Vec<Workload>,
    /// Formats
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,jsonl")]
    formats: Vec<Format>,
    /// Which market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine; default: beside this program
    #[arg(long)]
    velo_sql: Option<PathBuf>,
}

/// A kernel that refuses glommio is told by one of these; any other failure of a backend is ours.
const REFUSALS: [&str; 2] = ["io_uring", "RLIMIT_MEMLOCK"];

struct Show {
    args: ShowArgs,
    velo_sql: PathBuf,
    cache: PathBuf,
    runtimes: Vec<String>,
    failures: u32,
}

/// Runs the matrix; an error when any cell is wrong.
pub fn show(args: ShowArgs) -> Result<()> {
    let velo_sql = find_velo_sql(args.velo_sql.clone())?;
    let cache = build_folder()?.join("perf-data");
    let mut show = Show { args, velo_sql, cache, runtimes: Vec::new(), failures: 0 };
    show.probe_runtimes()?;
    for (variant, faults) in [("clean", Faults::NONE), ("faulty", Faults::MIXED)] {
        for workload in show.args.workloads.clone() {
            show.workload(variant, &faults, workload)?;
        }
    }
    if show.failures > 0 { bail!("{} runs gave a wrong result", show.failures) } else { Ok(()) }
}

impl Show {
    /// Keeps the backends that start here. One that does not is no failure, but never goes unsaid.
    fn probe_runtimes(&mut self) -> Result<()> {
        let format = Format::Csv;
        let folder = cached_trades(&self.cache, self.args.seed, 1_000, &[format], &Faults::NONE)?;
        for runtime in &self.args.runtimes {
            let run = EngineRun {
                velo_sql: &self.velo_sql,
                workload: Workload::W2,
                format,
                trades: trades_pattern(&folder, format, 1),
                beside: None,
                folder: self.cache.join("probe"),
                bound_ms: 0,
                shards: 1,
                runtime,
            };
            match measure::run(&mut run.command()?, &run.folder.join("log")) {
                Ok(_) => self.runtimes.push(runtime.clone()),
                Err(reason) if REFUSALS.iter().any(|word| reason.to_string().contains(word)) => {
                    println!("skipped backend {runtime}: {reason}");
                }
                Err(reason) => return Err(reason.context(format!("backend {runtime} does not run"))),
            }
        }
        if self.runtimes.is_empty() { bail!("no backend to show") } else { Ok(()) }
    }

    fn workload(&mut self, variant: &str, faults: &Faults, workload: Workload) -> Result<()> {
        let formats = self.args.formats.clone();
        let folder = cached_trades(&self.cache, self.args.seed, self.args.rows, &formats, faults)?;
        let mut truth: Option<Vec<Vec<u8>>> = None;
        for format in formats {
            let inputs = (0..faults.files).map(|i| folder.join(trades_name(format, i, faults.files))).collect();
            let bound_ms = faults.disorder_ms as i64;
            let beside = cached_beside(&self.cache, self.args.seed, self.args.rows, format, workload)?;
            let expected = expect(&CheckOptions { workload, format, inputs, beside: beside.clone(), bound_ms })?;
            if truth.as_ref().is_some_and(|lines| *lines != expected.lines) {
                bail!("{}: the formats do not hold the same rows", folder.display());
            }
            for runtime in self.runtimes.clone() {
                for shards in self.args.shards.clone() {
                    let run = EngineRun {
                        velo_sql: &self.velo_sql,
                        workload,
                        format,
                        trades: trades_pattern(&folder, format, faults.files),
                        beside: beside.clone(),
                        folder: self.cache.join("show"),
                        bound_ms: faults.disorder_ms,
                        shards,
                        runtime: &runtime,
                    };
                    let name = format!("{} {:5} {variant} shards={shards} {runtime}", workload.name(), format.name());
                    match one_run(&run, &expected) {
                        Ok(wall_s) => println!("ok    {name}: {} {wall_s:.2} s", counts(&expected)),
                        Err(e) => {
                            self.failures += 1;
                            println!("WRONG {name}: {e:#}");
                        }
                    }
                }
            }
            truth = Some(expected.lines);
        }
        Ok(())
    }
}

fn counts(expected: &Expected) -> String {
    let Expected { records, lines, bad, late } = expected;
    format!("{records} in, {} out, {} bad, {} late,", lines.len(), bad.len(), late.len())
}

/// One cell of the matrix: the seconds it took.
fn one_run(run: &EngineRun<'_>, expected: &Expected) -> Result<f64> {
    let mut command = run.command()?;
    let usage = measure::run(&mut command, &run.folder.join("log"))?;
    compare_all(expected, run.workload, &run.output(), &run.bad_letters(), &run.late_letters())?;
    Ok(usage.wall_s)
}

fn compare_all(expected: &Expected, workload: Workload, output: &Path, bad: &Path, late: &Path) -> Result<()> {
    compare_output(expected, workload, output)?;
    compare_dead(&expected.bad, bad).context("records that cannot be read")?;
    compare_dead(&expected.late, late).context("rows that came late")
}

/// `perf check`: judges files somebody else made.
#[derive(clap::Args)]
pub struct CheckArgs {
    /// Workload the output belongs to
    workload: Workload,
    /// Output file of the run
    output: PathBuf,
    /// Input files in the order of their names; the extension tells the format
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// What the workload reads beside the trades: traders or orders
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Watermark bound of the run, ms
    #[arg(long, default_value_t = 0)]
    bound_ms: i64,
    /// Dead letters of unreadable records; default: trades-dlq.jsonl beside the output
    #[arg(long)]
    bad_letters: Option<PathBuf>,
    /// Dead letters of late rows; default: <workload>-dlq.jsonl beside the output
    #[arg(long)]
    late_letters: Option<PathBuf>,
}

/// Compares and says what was compared.
pub fn check(args: CheckArgs) -> Result<()> {
    let format = args.inputs.first().map_or(Format::Csv, |path| Format::of(path));
    let CheckArgs { workload, inputs, beside, bound_ms, .. } = args;
    let expected = expect(&CheckOptions { workload, format, inputs, beside, bound_ms })?;
    let near = |name: &str| args.output.with_file_name(name);
    let bad = args.bad_letters.clone().unwrap_or_else(|| near("trades-dlq.jsonl"));
    let late = args.late_letters.clone().unwrap_or_else(|| near(&format!("{}-dlq.jsonl", workload.name())));
    compare_all(&expected, workload, &args.output, &bad, &late)?;
    println!("right: {} all equal", counts(&expected));
    Ok(())
}
