//! What a record costs the client process through the drivers of this crate: CPU time of all its threads, divided by
//! records. Needs a broker with a topic to fill; prints one line per measurement.
//!
//! `client_bench BROKERS produce TOPIC RECORDS BYTES` and `client_bench BROKERS consume TOPIC PARTITIONS RECORDS`;
//! further `key=value` arguments are client settings, `slab=BYTES` the slab of a reader.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock")]

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use velostream_kafka::Kafka;
use velostream_types::topic::{Broker, Client, FetchFrom, FetchSpec, ProduceSpec, TopicPartition, Wake};
use velostream_types::{Chunk, SlabKind, SourcePoll};

const CHUNK_ROWS: usize = 1_000;
const TURNS_BETWEEN_MARKS: u64 = 8;

/// User and system time of this process, all threads.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(10 * ticks))
}

/// A wake that ends `wait`.
fn waker() -> (Wake, impl Fn()) {
    let (tell, told) = mpsc::sync_channel(1);
    let wake: Wake = Arc::new(move || {
        // Full: it was told already.
        tell.try_send(()).ok();
    });
    (wake, move || {
        told.recv_timeout(Duration::from_secs(10)).ok();
    })
}

fn report(what: &str, records: u64, began: (Instant, Duration)) -> Result<(), Box<dyn Error>> {
    let (wall, cpu) = (began.0.elapsed(), cpu()? - began.1);
    let per_second = records as f64 / wall.as_secs_f64() / 1e6;
    println!("{what}: {} ns CPU a record, {per_second:.2} M records/s", cpu.as_nanos() as u64 / records.max(1));
    Ok(())
}

fn produce(client: Client, topic: &str, records: u64, bytes: usize) -> Result<(), Box<dyn Error>> {
    let (wake, wait) = waker();
    let mut produce = Kafka.produce(ProduceSpec { client, topics: vec![topic.to_owned()], eager: false }, wake)?;
    let mut chunk = Chunk::default();
    for row in 0..CHUNK_ROWS {
        chunk.bytes.resize(chunk.bytes.len() + bytes, b'v');
        chunk.bytes.push(b'\n');
        chunk.end_row();
        chunk.keys.push(Some(format!("key{}", row % 100).into_bytes().into()));
    }
    let began = (Instant::now(), cpu()?);
    let (mut sent, mut turn) = (0, 0);
    while sent < records {
        let mut from = 0;
        while from < chunk.rows() {
            from += produce.send(0, &chunk, from)?;
            if from < chunk.rows() {
                wait();
                produce.poll()?;
            }
        }
        sent += chunk.rows() as u64;
        turn += 1;
        if turn % TURNS_BETWEEN_MARKS == 0 {
            produce.mark(turn);
        }
    }
    produce.mark(turn + 1);
    produce.flush(Duration::from_secs(60))?;
    report(&format!("produce {bytes} B"), produce.acknowledged().min(1) * sent, began)
}

fn consume(client: Client, topic: &str, partitions: u32, records: u64, slab: usize) -> Result<(), Box<dyn Error>> {
    let (wake, wait) = waker();
    let from =
        |partition| FetchFrom { at: TopicPartition { topic: topic.to_owned(), partition }, from: 0, until: None };
    let partitions = (0..partitions).map(from).collect::<Vec<_>>();
    let count = partitions.len();
    let spec = FetchSpec { client, group: "client_bench".to_owned(), partitions, headers: false, slab_bytes: slab };
    let began = (Instant::now(), cpu()?);
    let mut fetch = Kafka.fetch(spec, wake)?;
    let (mut read, mut bytes, mut slabs, mut waits, mut sum) = (0, 0, 0, 0u64, 0u64);
    while read < records {
        let mut is_idle = true;
        for index in 0..count {
            let SourcePoll::Slab(slab) = fetch.poll(index)? else { continue };
            let SlabKind::Records(refs) = &slab.kind else { continue };
            is_idle = false;
            read += refs.len() as u64;
            bytes += slab.bytes.len();
            slabs += 1;
            sum += slab.bytes.as_slice().iter().step_by(64).map(|byte| u64::from(*byte)).sum::<u64>();
        }
        if is_idle {
            waits += 1;
            wait();
        }
    }
    report(&format!("consume {} B, {slabs} slabs, {waits} waits ({sum})", bytes as u64 / read), read, began)
}

fn main() -> Result<(), Box<dyn Error>> {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let (settings, plain): (Vec<&String>, Vec<&String>) = all.iter().partition(|argument| argument.contains('='));
    let [brokers, what, topic, first, second] = plain[..] else {
        return Err("client_bench BROKERS produce|consume TOPIC NUMBER NUMBER [setting=value]".into());
    };
    let mut client = Client::default();
    client.settings.insert("bootstrap.servers".to_owned(), brokers.clone());
    let mut slab = 256 << 10;
    for (key, value) in settings.iter().filter_map(|setting| setting.split_once('=')) {
        if key == "slab" {
            slab = value.parse()?;
        } else {
            client.settings.insert(key.to_owned(), value.to_owned());
        }
    }
    match what.as_str() {
        "produce" => produce(client, topic, first.parse()?, second.parse()?),
        _ => consume(client, topic, first.parse()?, second.parse()?, slab),
    }
}
