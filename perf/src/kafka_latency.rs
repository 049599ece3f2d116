//! `perf kafka-latency`: what the engine adds to a record's way from topic to topic, beside the hand-written pipe.
//!
//! Open loop: record n is due n ms after the start whatever became of those before it, and its latency counts from that
//! moment until it is read from the output topic by this process. Client, broker and this process share the machine.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, Client, FetchFrom, FetchSpec, ProduceSpec, TopicPartition, Wake};
use velostream_types::{Chunk, SlabKind, SourcePoll};

use crate::data::Market;
use crate::engine::{build_folder, find_velo_sql};
use crate::generate::{Format, write_trade};
use crate::kafka::{Broker, Client as Program, PARTITIONS, W1, cli};
use crate::measure::{self, Place};
use crate::mixed::RowShape;

const BAR_MS: f64 = 1.0;
const PER_SECOND: u32 = 1_000;
const PERIOD: Duration = Duration::from_micros(1_000_000 / PER_SECOND as u64);
/// Behind these the client is warm; they count for nothing.
const WARM: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(20);
const SLAB_BYTES: usize = 64 << 10;

/// What to measure.
#[derive(clap::Args)]
pub struct LatencyArgs {
    /// Records, one a millisecond, behind a warm-up of 2,000
    #[arg(long, default_value_t = 10_000)]
    records: usize,
    /// Turns of both programs; medians count
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Results are appended to this file as JSON lines
    #[arg(long, default_value = "perf/results.jsonl")]
    results: PathBuf,
}

/// One program's figures, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Latency {
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    place: &'a Place,
    workload: &'static str,
    records: usize,
    per_second: u32,
    runs: u32,
    latencies: BTreeMap<Program, Latency>,
    p99_above_pipe_ms: f64,
}

/// Ends the client with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is what was wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures both programs in turns, prints medians and appends them to the results.
pub fn run(args: LatencyArgs) -> Result<()> {
    let bin = find_velo_sql(None)?.parent().context("velo-sql lies in a folder")?.to_owned();
    let folder = build_folder()?.join("perf-data").join("kafka");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let broker = Broker::start(&bin.join("velo-test"), &folder)?;
    let mut found = [Vec::new(), Vec::new()];
    for turn in 0..args.runs {
        for (engine, found) in found.iter_mut().enumerate() {
            let [input, output] = ["in", "out"].map(|way| format!("{way}-{turn}-{engine}"));
            for topic in [&input, &output] {
                cli(
                    &bin,
                    &broker,
                    &["topic", "create", topic, "--partitions", &PARTITIONS.to_string(), "--set", "retention.ms=-1"],
                )?;
            }
            let mut command = client(engine == 1, &bin, &folder, &input, &output)?;
            command.args(["--brokers", &broker.address]).stdout(Stdio::null()).stderr(Stdio::null());
            let running = Running(command.spawn().context("start the client")?);
            found.push(latencies(&broker.address, &input, &output, args.records)?);
            drop(running);
        }
    }
    let place = Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    println!("program    p50 ms   p99 ms   medians of {} runs, {PER_SECOND} records/s", args.runs);
    let [pipe, engine] = found.map(|runs| Latency { p50_ms: median(&runs, 50), p99_ms: median(&runs, 99) });
    for (name, Latency { p50_ms, p99_ms }) in [("pipe", pipe), ("engine", engine)] {
        println!("{name:8} {p50_ms:>8.3} {p99_ms:>8.3}");
    }
    let p99_above_pipe_ms = engine.p99_ms - pipe.p99_ms;
    println!("p99 above the pipe: {p99_above_pipe_ms:.3} ms (bar {BAR_MS:.1})");
    let line = Line {
        place: &place,
        workload: "kafka latency",
        records: args.records,
        per_second: PER_SECOND,
        runs: args.runs,
        latencies: BTreeMap::from([(Program::Pipe, pipe), (Program::Engine, engine)]),
        p99_above_pipe_ms,
    };
    measure::append(&args.results, &line)
}

fn client(engine: bool, bin: &Path, folder: &Path, input: &str, output: &str) -> Result<Command> {
    if !engine {
        let mut command = Command::new(bin.join("examples/pipe"));
        command.args(["--in", input, "--out", output, "--job", "w1-all", "--linger", "0"]);
        return Ok(command);
    }
    let app = folder.join("latency.sql");
    let sql = W1.replace("quantity > 500 AND price > 100", "quantity > 0 AND price > 0");
    std::fs::write(&app, sql).with_context(|| format!("write {}", app.display()))?;
    let mut command = Command::new(bin.join("velo-sql"));
    command.arg("run").arg(&app).args(["--shards", "1", "--group", output, "--from-beginning"]);
    command.args(["--latency-profile", "low"]);
    command.env("IN", input).env("OUT", output);
    Ok(command)
}

fn waker() -> (Wake, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::sync_channel(1);
    // Full: it was told already.
    (
        Arc::new(move || {
            let _ = tell.try_send(());
        }),
        told,
    )
}

/// Latencies in ms of all records behind the warm-up, ascending.
fn latencies(brokers: &str, input: &str, output: &str, records: usize) -> Result<Vec<f64>> {
    let mut client = Client::default();
    client.settings.insert("bootstrap.servers".to_owned(), brokers.to_owned());
    let all = records + WARM;
    let start = Instant::now() + Duration::from_secs(2);
    let (sender_client, input) = (client.clone(), input.to_owned());
    let sender = std::thread::spawn(move || send(sender_client, input, all, start));
    let (wake, told) = waker();
    let from =
        |partition| FetchFrom { at: TopicPartition { topic: output.to_owned(), partition }, from: 0, until: None };
    let partitions = (0..PARTITIONS as u32).map(from).collect();
    let spec = FetchSpec { client, group: "latency".to_owned(), partitions, headers: false, slab_bytes: SLAB_BYTES };
    let mut fetch = Kafka.fetch(spec, wake)?;
    let mut found = Vec::with_capacity(records);
    let mut read = 0;
    while read < all {
        let mut idle = true;
        for index in 0..PARTITIONS {
            let SourcePoll::Slab(slab) = fetch.poll(index)? else { continue };
            let now = Instant::now();
            let SlabKind::Records(refs) = &slab.kind else { continue };
            idle = false;
            read += refs.len();
            for id in ids(slab.bytes.as_slice()).filter(|id| *id > WARM) {
                let due = start + PERIOD * (id - 1) as u32;
                found.push(now.saturating_duration_since(due).as_secs_f64() * 1e3);
            }
        }
        if idle && told.recv_timeout(PATIENCE).is_err() {
            bail!("only {read} of {all} records came through");
        }
    }
    sender.join().map_err(|_| anyhow::anyhow!("the sending thread died"))??;
    found.sort_by(f64::total_cmp);
    Ok(found)
}

/// The order ids of the records in a slab.
fn ids(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    const NAME: &[u8] = b"\"order_id\":";
    memchr::memmem::find_iter(bytes, NAME).map(|at| {
        let digits = bytes[at + NAME.len()..].iter().take_while(|b| b.is_ascii_digit());
        digits.fold(0, |id, b| id * 10 + usize::from(b - b'0'))
    })
}

fn send(client: Client, topic: String, all: usize, start: Instant) -> Result<()> {
    let (wake, _told) = waker();
    let mut produce = Kafka.produce(ProduceSpec { client, topics: vec![topic], eager: true }, wake)?;
    for (n, trade) in Market::new(1).take(all).enumerate() {
        let mut chunk = Chunk::default();
        write_trade(&mut chunk.bytes, Format::Jsonl, &trade, &RowShape::default());
        chunk.end_row();
        std::thread::sleep((start + PERIOD * n as u32).saturating_duration_since(Instant::now()));
        if produce.send(0, &chunk, 0)? != 1 {
            bail!("the producer's queue is full");
        }
    }
    produce.flush(PATIENCE)?;
    Ok(())
}

/// Median over the runs of a percentile.
fn median(runs: &[Vec<f64>], percent: usize) -> f64 {
    let at = |run: &Vec<f64>| run.get(run.len() * percent / 100).copied().unwrap_or(f64::NAN);
    let mut values: Vec<f64> = runs.iter().map(at).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
