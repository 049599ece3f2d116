//! The program somebody writes who has no engine: one consumer that takes batches, `serde_json` into a struct, `f64`,
//! one producer with the settings, keys and headers of the engine's sink. `perf kafka` measures the engine beside it.
//!
//! `pipe --brokers LIST --in TOPIC --out TOPIC --job w1|w1-all|w3 [--until-end] [--linger MS] [--consumer KEY=VALUE]`
//! `[--producer KEY=VALUE]`. Jobs: `w1` filters and projects, `w1-all` the same with a filter that all rows pass, `w3`
//! totals per symbol and second; a window is written when every partition is `BOUND_MS` beyond its end, and at the end.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};
use velostream_kafka::bare::BareConsumer;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PARTITIONS: i32 = 4;
/// How late a row may come, as the engine's app declares it.
const BOUND_MS: i64 = 1_000;
const SECOND_MS: i64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_millis(100);
/// How long a full queue of the producer is waited for.
const FULL_WAIT: Duration = Duration::from_millis(1);

#[derive(Deserialize)]
struct Trade<'a> {
    order_id: u64,
    symbol: &'a str,
    price: f64,
    quantity: f64,
    event_time: i64,
}

#[derive(Serialize)]
struct Kept<'a> {
    order_id: u64,
    symbol: &'a str,
    price: f64,
    quantity: u64,
    notional: f64,
}

#[derive(Serialize)]
struct Total<'a> {
    symbol: &'a str,
    window_start: i64,
    trades: u64,
    volume: u64,
    notional: f64,
    avg_price: f64,
}

#[derive(Default)]
struct Sums {
    trades: u64,
    volume: f64,
    notional: f64,
    prices: f64,
}

#[derive(Default)]
struct Args {
    brokers: String,
    input: String,
    output: String,
    job: String,
    until_end: bool,
    linger_ms: Option<String>,
    consumer: Vec<(String, String)>,
    producer: Vec<(String, String)>,
}

fn args() -> Outcome<Args> {
    let mut parsed = Args::default();
    let mut rest = std::env::args().skip(1);
    while let Some(name) = rest.next() {
        if name == "--until-end" {
            parsed.until_end = true;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{name} takes a value"))?;
        let pair = || value.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or("KEY=VALUE");
        match name.as_str() {
            "--brokers" => parsed.brokers = value,
            "--in" => parsed.input = value,
            "--out" => parsed.output = value,
            "--job" => parsed.job = value,
            "--linger" => parsed.linger_ms = Some(value),
            "--consumer" => parsed.consumer.push(pair()?),
            "--producer" => parsed.producer.push(pair()?),
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok(parsed)
}

/// User and system time of this process, all threads, s.
fn cpu_s() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// The output topic.
struct Out {
    producer: BaseProducer,
    topic: String,
    text: Vec<u8>,
    rows: u64,
}

impl Out {
    fn open(args: &Args) -> Outcome<Out> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &args.brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random");
        args.linger_ms.iter().for_each(|ms| {
            config.set("linger.ms", ms);
        });
        args.producer.iter().for_each(|(key, value)| {
            config.set(key, value);
        });
        let producer: BaseProducer = config.create()?;
        producer.client().fetch_metadata(Some(&args.output), PATIENCE)?;
        Ok(Out { producer, topic: args.output.clone(), text: Vec::new(), rows: 0 })
    }

    fn send(&mut self, row: &impl Serialize, key: Option<&str>, event_ms: i64, event_ns: Option<i64>) -> Outcome<()> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, row)?;
        let text = event_ms.to_string();
        let mut headers = OwnedHeaders::new().insert(Header { key: "_EVENT_TIME", value: Some(&text) });
        if let Some(ns) = event_ns {
            headers = headers.insert(Header { key: "_EVENT_TIME_NS", value: Some(&ns.to_string()) });
        }
        let mut record: BaseRecord<'_, str, [u8]> =
            BaseRecord::to(&self.topic).payload(self.text.as_slice()).timestamp(event_ms).headers(headers);
        record.key = key;
        while let Err((error, refused)) = self.producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            self.producer.poll(FULL_WAIT);
            record = refused;
        }
        self.producer.poll(Duration::ZERO);
        self.rows += 1;
        Ok(())
    }
}

/// The job, with what it keeps between rows.
struct Job {
    windows: BTreeMap<i64, Groups>,
    newest_ms: Vec<i64>,
    quantity_above: f64,
    price_above: f64,
    is_windowed: bool,
}

/// By symbol.
#[allow(clippy::disallowed_types, reason = "what everybody takes; nobody looks at the order")]
type Groups = std::collections::HashMap<String, Sums>;

impl Job {
    fn of(name: &str) -> Outcome<Job> {
        let (quantity_above, price_above, is_windowed) = match name {
            "w1" => (500.0, 100.0, false),
            "w1-all" => (0.0, 0.0, false),
            "w3" => (0.0, 0.0, true),
            _ => return Err("--job is w1, w1-all or w3".into()),
        };
        let newest_ms = vec![i64::MIN; PARTITIONS as usize];
        Ok(Job { windows: BTreeMap::new(), newest_ms, quantity_above, price_above, is_windowed })
    }

    fn row(&mut self, value: &[u8], partition: i32, out: &mut Out) -> Outcome<()> {
        let t: Trade<'_> = serde_json::from_slice(value)?;
        if self.is_windowed {
            return self.fold(&t, partition, out);
        }
        if t.quantity > self.quantity_above && t.price > self.price_above {
            let quantity = t.quantity as u64;
            let notional = t.price * t.quantity;
            let kept = Kept { order_id: t.order_id, symbol: t.symbol, price: t.price, quantity, notional };
            out.send(&kept, None, t.event_time, None)?;
        }
        Ok(())
    }

    fn fold(&mut self, t: &Trade<'_>, partition: i32, out: &mut Out) -> Outcome<()> {
        let groups = self.windows.entry(t.event_time.div_euclid(SECOND_MS) * SECOND_MS).or_default();
        if !groups.contains_key(t.symbol) {
            groups.insert(t.symbol.to_owned(), Sums::default());
        }
        if let Some(sums) = groups.get_mut(t.symbol) {
            sums.trades += 1;
            sums.volume += t.quantity;
            sums.notional += t.price * t.quantity;
            sums.prices += t.price;
        }
        let newest = &mut self.newest_ms[partition as usize];
        let is_later = t.event_time.div_euclid(SECOND_MS) > newest.div_euclid(SECOND_MS);
        *newest = t.event_time.max(*newest);
        if is_later {
            let watermark = self.newest_ms.iter().min().map_or(i64::MIN, |ms| ms.saturating_sub(BOUND_MS));
            self.emit(watermark, out)?;
        }
        Ok(())
    }

    /// Windows that end at or before the watermark.
    fn emit(&mut self, watermark_ms: i64, out: &mut Out) -> Outcome<()> {
        while let Some(window) = self.windows.first_entry() {
            let window_start = *window.key();
            if window_start + SECOND_MS > watermark_ms {
                break;
            }
            let event_ns = (window_start + SECOND_MS) * 1_000_000 - 1;
            for (symbol, s) in window.remove() {
                let (notional, avg_price) = (s.notional, s.prices / s.trades as f64);
                let (trades, volume) = (s.trades, s.volume as u64);
                let total = Total { symbol: &symbol, window_start, trades, volume, notional, avg_price };
                out.send(&total, Some(&symbol), window_start + SECOND_MS - 1, Some(event_ns))?;
            }
        }
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let args = args()?;
    let began = Instant::now();
    let mut job = Job::of(&args.job)?;
    let mut out = Out::open(&args)?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &args.brokers)
        .set("group.id", format!("pipe-{}", args.output))
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", "1");
    args.consumer.iter().for_each(|(key, value)| {
        config.set(key, value);
    });
    let mut consumer = BareConsumer::open(&config, &args.input, PARTITIONS)?;
    let ends = consumer.ends(&args.input, PARTITIONS, PATIENCE)?;
    let mut left: i64 = if args.until_end { ends.iter().sum() } else { i64::MAX };
    let (mut rows, mut failed) = (0u64, None);
    while left > 0 {
        consumer.take(WAIT, |record| {
            if !args.until_end || record.offset < ends[record.partition as usize] {
                (rows, left) = (rows + 1, left - 1);
                if let Err(error) = job.row(record.value, record.partition, &mut out) {
                    failed = Some(error);
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        out.producer.poll(Duration::ZERO);
    }
    job.emit(i64::MAX, &mut out)?;
    out.producer.flush(PATIENCE)?;
    println!("{rows} rows in, {} out, {:.3} s, {:.2} CPU s", out.rows, began.elapsed().as_secs_f64(), cpu_s()?);
    Ok(())
}
