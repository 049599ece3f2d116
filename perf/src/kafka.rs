//! `perf kafka`: the engine from topic to topic beside the hand-written pipe of the same job, alternating, each its own
//! process, over an embedded broker in a third.
//!
//! What counts is the CPU time of the client process a record read, marginal between two sizes: the broker is the same
//! for both. Every run writes to a topic of its own, which is deleted behind it, so that the broker's memory stays
//! bounded by the input and one output. Before any figure is printed both have to have written the same number of rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::engine::{build_folder, cached_trades, find_velo_sql};
use crate::generate::{Format, trades_name};
use crate::measure::{self, Place, Usage};
use crate::mixed::Faults;

/// Partitions of every topic.
pub const PARTITIONS: usize = 4;
/// The engine may take at most this many times the pipe's CPU.
const BAR_OF_PIPE: f64 = 1.0;
/// The broker's start is looked at this often, and this many times.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// What to measure.
#[derive(clap::Args)]
pub struct KafkaArgs {
    /// A small and a large input; CPU a record is that of the rows between them
    #[arg(long, value_delimiter = ',', default_value = "500000,2000000")]
    rows: Vec<u64>,
    /// Turns of every program; medians count
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Which market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Results are appended to this file as JSON lines
    #[arg(long, default_value = "perf/results.jsonl")]
    results: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
/// Who is measured.
pub enum Client {
    /// The hand-written program.
    Pipe,
    /// `velo-sql`.
    Engine,
}

/// SQL of the first workload.
pub const W1: &str = include_str!("../sql/kafka_w1.sql");
const JOBS: [(&str, &str); 2] = [("w1", W1), ("w3", include_str!("../sql/kafka_w3.sql"))];

/// One program's figures.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    cpu_ns_per_record: f64,
    records_per_s: f64,
    rss_bytes_max: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    place: &'a Place,
    workload: String,
    rows: [u64; 2],
    runs: u32,
    costs: BTreeMap<Client, Cost>,
    of_pipe: f64,
}

/// The broker's process; ends with this value.
pub struct Broker {
    child: Child,
    /// Where clients connect.
    pub address: String,
}

impl Broker {
    /// Starts it in memory on a free port and waits until clients can connect.
    pub fn start(binary: &Path, folder: &Path) -> Result<Broker> {
        let ready = folder.join("broker-ready");
        if ready.exists() {
            std::fs::remove_file(&ready).with_context(|| format!("remove {}", ready.display()))?;
        }
        let mut command = Command::new(binary);
        command.args(["broker", "--port", "0", "--ready-file"]).arg(&ready);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let mut broker = Broker { child, address: String::new() };
        for _ in 0..LOOKS {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            if let Some((address, _)) = text.split_once('\n').or((!text.is_empty()).then_some((text.as_str(), ""))) {
                broker.address = address.to_owned();
                return Ok(broker);
            }
            wait(LOOK);
        }
        bail!("{} broker is not ready after {} s", binary.display(), (LOOK * LOOKS).as_secs())
    }
}

#[allow(clippy::disallowed_methods, reason = "another process's file is looked at; nothing here runs on a shard")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It keeps nothing, so nothing is lost; a process that is gone already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Bench {
    args: KafkaArgs,
    bin: PathBuf,
    cache: PathBuf,
    broker: Broker,
    turns: u32,
}

/// Measures both workloads, prints the table and appends the results.
pub fn run(args: KafkaArgs) -> Result<()> {
    let (Some(small), Some(large)) = (args.rows.iter().min().copied(), args.rows.iter().max().copied()) else {
        bail!("--rows takes two numbers");
    };
    if small == large || args.runs == 0 {
        bail!("--rows takes two different numbers and --runs at least 1");
    }
    let bin = find_velo_sql(None)?.parent().context("velo-sql lies in a folder")?.to_owned();
    for (path, build) in [
        ("velo-cli", "--bin velo-cli"),
        ("velo-test", "--bin velo-test"),
        ("examples/pipe", "-p velostream-kafka --example pipe"),
    ] {
        if !bin.join(path).is_file() {
            bail!("{} is missing; build it with `cargo build --release {build}`", bin.join(path).display());
        }
    }
    let cache = build_folder()?.join("perf-data");
    let folder = cache.join("kafka");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let broker = Broker::start(&bin.join("velo-test"), &folder)?;
    let mut bench = Bench { args, bin, cache, broker, turns: 0 };
    [small, large].into_iter().try_for_each(|rows| bench.fill(rows))?;
    let place = Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    println!("topic to topic, marginal between {small} and {large} records, medians of {}", bench.args.runs);
    println!("workload program   CPU ns/record  k records/s   RSS MB   of the pipe (bar)");
    JOBS.iter().try_for_each(|(job, sql)| bench.workload(&place, job, sql, [small, large]))
}

impl Bench {
    fn cli(&self, what: &[&str]) -> Result<String> {
        cli(&self.bin, &self.broker, what)
    }

    /// Makes the input topic of a size: file p of the trades is partition p.
    fn fill(&self, rows: u64) -> Result<()> {
        let faults = Faults { files: PARTITIONS, ..Faults::NONE };
        let data = cached_trades(&self.cache, self.args.seed, rows, &[Format::Jsonl], &faults)?;
        let topic = input(rows);
        self.cli(&["topic", "create", &topic, "--partitions", &PARTITIONS.to_string(), "--set", "retention.ms=-1"])?;
        for p in 0..PARTITIONS {
            let file = data.join(trades_name(Format::Jsonl, p, PARTITIONS));
            let file = file.to_str().context("the build folder's path is text")?;
            self.cli(&["topic", "produce", &topic, "--partition", &p.to_string(), "--file", file])?;
        }
        Ok(())
    }

    /// One run; answers what it used and how many rows it wrote.
    fn turn(&mut self, client: Client, job: &str, sql: &str, rows: u64) -> Result<(Usage, u64)> {
        self.turns += 1;
        let (input, output) = (input(rows), format!("out-{}", self.turns));
        self.cli(&["topic", "create", &output, "--partitions", &PARTITIONS.to_string(), "--set", "retention.ms=-1"])?;
        let folder = self.cache.join("kafka");
        let brokers = &self.broker.address;
        let mut command = match client {
            Client::Pipe => {
                let mut command = Command::new(self.bin.join("examples/pipe"));
                command.args(["--in", &input, "--out", &output, "--job", job, "--until-end"]);
                command
            }
            Client::Engine => {
                let app = folder.join(format!("{job}.sql"));
                std::fs::write(&app, sql).with_context(|| format!("write {}", app.display()))?;
                let mut command = Command::new(self.bin.join("velo-sql"));
                command.arg("run").arg(&app).args(["--until-end", "--shards", "1", "--group", &output]);
                command.env("IN", &input).env("OUT", &output);
                command
            }
        };
        let usage = measure::run(command.args(["--brokers", brokers]), &folder.join("log"))?;
        let written = self.records(&output)?;
        self.cli(&["topic", "delete", &output])?;
        Ok((usage, written))
    }

    fn records(&self, topic: &str) -> Result<u64> {
        let text = self.cli(&["--output-format", "json", "topic", "list"])?;
        let list: serde_json::Value = serde_json::from_str(&text).context("velo-cli's list of topics")?;
        let all = list.as_array().or_else(|| list["topics"].as_array()).context("a list of topics")?;
        let found = all.iter().find(|one| one["name"] == topic || one["topic"] == topic);
        found.and_then(|one| one["records"].as_u64()).with_context(|| format!("topic {topic} is not in the list"))
    }

    fn workload(&mut self, place: &Place, job: &str, sql: &str, sizes: [u64; 2]) -> Result<()> {
        let mut samples: BTreeMap<(Client, u64), Vec<Usage>> = BTreeMap::new();
        for _ in 0..self.args.runs {
            for rows in sizes {
                let (pipe, pipe_rows) = self.turn(Client::Pipe, job, sql, rows)?;
                let (engine, engine_rows) = self.turn(Client::Engine, job, sql, rows)?;
                if pipe_rows != engine_rows {
                    bail!("{job} of {rows} records: the pipe wrote {pipe_rows} rows, the engine {engine_rows}");
                }
                samples.entry((Client::Pipe, rows)).or_default().push(pipe);
                samples.entry((Client::Engine, rows)).or_default().push(engine);
            }
        }
        let cost = |client| (client, cost(sizes, sizes.map(|rows| &samples[&(client, rows)][..])));
        let costs: BTreeMap<Client, Cost> = [Client::Pipe, Client::Engine].into_iter().map(cost).collect();
        let of_pipe = costs[&Client::Engine].cpu_ns_per_record / costs[&Client::Pipe].cpu_ns_per_record;
        for (client, cost) in &costs {
            let (cpu, speed, rss) = (cost.cpu_ns_per_record, cost.records_per_s / 1e3, cost.rss_bytes_max as f64 / 1e6);
            let name = if *client == Client::Pipe { "pipe" } else { "engine" };
            print!("{job:8} {name:8} {cpu:>14.0} {speed:>12.0} {rss:>8.1}");
            if *client == Client::Engine {
                print!("   {of_pipe:.2} ({BAR_OF_PIPE:.1})");
                print!("{}", if of_pipe > BAR_OF_PIPE { "   ABOVE THE BAR" } else { "" });
            }
            println!();
        }
        let workload = format!("kafka {job}");
        let line = Line { place, workload, rows: sizes, runs: self.args.runs, costs, of_pipe };
        measure::append(&self.args.results, &line)
    }
}

/// Answers what `velo-cli` printed.
pub fn cli(bin: &Path, broker: &Broker, what: &[&str]) -> Result<String> {
    let output = Command::new(bin.join("velo-cli")).args(["--brokers", &broker.address]).args(what).output()?;
    if !output.status.success() {
        bail!("velo-cli {}: {}", what.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn input(rows: u64) -> String {
    format!("trades-{rows}")
}

/// Marginal figures between the two sizes.
fn cost(sizes: [u64; 2], [small, large]: [&[Usage]; 2]) -> Cost {
    let between = |what: fn(&Usage) -> f64| median(large, what) - median(small, what);
    let records = (sizes[1] - sizes[0]) as f64;
    Cost {
        cpu_ns_per_record: between(|u| u.cpu_s) * 1e9 / records,
        records_per_s: records / between(|u| u.wall_s),
        rss_bytes_max: large.iter().map(|u| u.rss_bytes_max).max().unwrap_or(0),
    }
}

fn median(of: &[Usage], what: fn(&Usage) -> f64) -> f64 {
    let mut values: Vec<f64> = of.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_marginal_and_of_medians() {
        let usage = |cpu_s, wall_s| Usage { wall_s, cpu_s, rss_bytes_max: 3, anon_bytes_max: 0 };
        let small = [usage(1.0, 2.0), usage(9.0, 9.0), usage(1.0, 2.0)];
        let large = [usage(2.0, 4.0), usage(2.0, 4.0), usage(0.1, 0.1)];
        let cost = cost([1_000_000, 2_000_000], [&small, &large]);
        assert!((cost.cpu_ns_per_record - 1_000.0).abs() < 1e-6 && (cost.records_per_s - 500_000.0).abs() < 1e-6);
    }
}
