//! `perf`: named workloads over generated data, each measured beside its limits on the same machine in the same run.
//!
//! Above the ports and outside the engine: it may read clocks, start processes and use threads. Nothing depends on it.

mod blocks;
mod check;
mod data;
mod decimals;
mod decode;
mod engine;
mod followed;
mod generate;
mod interval;
mod kafka;
mod kafka_latency;
mod limit;
mod lookups;
mod measure;
mod memory;
mod mixed;
mod run;
mod show;
mod table;
mod text;
mod tree;
mod validate;
mod workload;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use generate::{Format, GenOptions, Table};
use mixed::Faults;
use workload::Workload;

#[derive(Parser)]
#[command(name = "perf", version, about = "Measures velo-sql beside what the machine can do", long_about = LONG)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG: &str = "Measures velo-sql beside what the machine can do.

Absolute speeds differ between machines and between days, so every figure is a ratio to something measured in the same
run: `tree` (serde_json into a tree over the same rows as JSONL, the baseline) and `limit` (a hand-written program per
workload, the most one core can give). The unit is rows per CPU-second of the whole process, start-up removed by taking
the difference between two row counts.

Start here:
  perf run                                       all workloads, both formats, 1 M and 5 M rows
  perf run --workloads w2 --formats csv --rows 500000,2500000 --runs 1    a quick look
  perf show --rows 300000                        is every result right? (what .ci/run asks)

Build first: cargo build --release --bin velo-sql --bin perf. Data is cached in the build folder.";

#[derive(Subcommand)]
enum Command {
    /// Write trades, orders and traders: the same bytes for the same seed on every machine
    Gen(GenArgs),
    /// Baseline: parse a JSONL file into serde_json trees
    Tree {
        /// JSONL file
        file: PathBuf,
    },
    /// The engine's decoder alone, all columns of a trades file
    Decode {
        /// Generated trades; the extension tells the format
        file: PathBuf,
    },
    /// Upper limit: run a workload as a hand-written program
    Limit {
        /// Workload
        workload: Workload,
        /// Plain generated trades; the extension tells the format
        file: PathBuf,
        /// What the workload reads beside the trades: traders or orders
        #[arg(long)]
        beside: Option<PathBuf>,
        /// CSV file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Compare an output with an independent exact computation
    Check(show::CheckArgs),
    /// Run velo-sql over clean and faulty trades in every way and check each result
    Show(show::ShowArgs),
    /// Measure velo-sql beside the baseline and the limit, print ratios and append them to the results
    Run(run::RunArgs),
    /// Measure exact decimals beside floats: arithmetic, comparisons, SUM, text
    Decimals(decimals::DecimalArgs),
    /// Measure velo-sql from topic to topic beside a hand-written pipe of the same job
    Kafka(kafka::KafkaArgs),
    /// Measure what velo-sql adds to a record's way from topic to topic
    KafkaLatency(kafka_latency::LatencyArgs),
    /// Measure how long velo-sql takes to validate a generated app
    Validate(validate::ValidateArgs),
    /// Measure what windows and groups take, and whether it is given back
    Memory(memory::MemoryArgs),
    /// Measure what W6 holds, also when one of its files is read ahead of the other
    Interval(interval::IntervalArgs),
    /// Measure how a TABLE is loaded, looked up, and held
    Table(table::TableArgs),
}

#[derive(Args)]
struct GenArgs {
    /// Trades to write
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Folder for the files
    #[arg(long)]
    out: PathBuf,
    /// Which market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Formats
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,jsonl")]
    format: Vec<Format>,
    /// Relations
    #[arg(long, value_enum, value_delimiter = ',', default_value = "trades,orders,traders")]
    tables: Vec<Table>,
    /// Deal the trades round-robin to this many files (trades-0.csv …)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    files: u64,
    /// Event times are up to this much too early, and one trade in 200 more than that
    #[arg(long, default_value_t = 0)]
    disorder_ms: u64,
    /// Percentage of records to spoil; bad-<format>.tsv lists them
    #[arg(long, default_value_t = 0.0)]
    bad_percent: f64,
    /// Behind this share of the rows some prices, quantities and order ids need more digits
    #[arg(long, default_value_t = 1.0)]
    widen_at: f64,
}

impl GenArgs {
    fn options(self) -> GenOptions {
        let faults = Faults {
            files: self.files as usize,
            disorder_ms: self.disorder_ms,
            bad_per_mille: (self.bad_percent * 10.0).round().clamp(0.0, 1_000.0) as u64,
            widen_at: self.widen_at,
        };
        GenOptions {
            rows: self.rows,
            out: self.out,
            seed: self.seed,
            formats: self.format,
            tables: self.tables,
            faults,
        }
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Gen(args) => generate::generate(&args.options()),
        Command::Tree { file } => {
            println!("{} rows", tree::parse_all(&file)?);
            Ok(())
        }
        Command::Decode { file } => {
            println!("{} rows", decode::decode_all(Format::of(&file), &file)?);
            Ok(())
        }
        Command::Limit { workload, file, beside, out } => {
            let counts = limit::run(workload, Format::of(&file), &file, beside.as_deref(), &out)?;
            println!("{} rows in, {} rows out", counts.rows_in, counts.rows_out);
            Ok(())
        }
        Command::Check(args) => show::check(args),
        Command::Show(args) => show::show(args),
        Command::Run(args) => run::run(args),
        Command::Decimals(args) => decimals::run(&args),
        Command::Kafka(args) => kafka::run(args),
        Command::KafkaLatency(args) => kafka_latency::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Memory(args) => memory::run(&args),
        Command::Interval(args) => interval::run(args),
        Command::Table(args) => table::run(args),
    }
}
