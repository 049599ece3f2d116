//! The thread that produces the feed to its topic: in real time beside the jobs, or all of it before they start.
//!
//! It counts what it made per symbol, apart from the jobs: the demo compares both at the end. In real time it is never
//! more than `LAG_MAX` trades ahead of the jobs, and it is who ends them: once its last trade is acknowledged by the
//! broker and read by the jobs, it asks them to stop. Jobs that read nothing for `STALL` are stopped and told of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, sync_channel};
use std::time::{Duration, Instant};

use velostream_kafka::Kafka;
use velostream_runtime::stop::StopHandle;
use velostream_types::topic::{Broker, Client, Produce, ProduceSpec};
use velostream_types::{Chunk, Fatal};

use super::feed::{Feed, SYMBOLS};

/// Pause between two looks at the clock, at the signals and at what the jobs have read.
const TICK: Duration = Duration::from_millis(5);
/// Jobs that cannot keep up get so long to read what is left when the time is over.
const GRACE: Duration = Duration::from_millis(250);
/// Trades sent together at most.
const BURST: u64 = 512;
/// Trades the jobs have not read beyond which the producer waits: a few megabytes.
const LAG_MAX: u64 = 32_768;
/// How long the broker may take to acknowledge, and the jobs to read on at the end.
const STALL: Duration = Duration::from_secs(30);

/// When the feed ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// In real time, after so long.
    Elapsed(Duration),
    /// As fast as it goes, after so many trades.
    Records(u64),
}

/// Trades that count (those not cancelled), per symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of trades.
    pub trades: u64,
    /// Shares.
    pub volume: i64,
    /// Price times shares, ten-thousandths.
    pub notional: i128,
}

impl Sum {
    /// Adds another one.
    pub fn add(&mut self, other: &Sum) {
        self.trades += other.trades;
        self.volume += other.volume;
        self.notional += other.notional;
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// All trades.
    pub trades: u64,
    /// By position in [`SYMBOLS`].
    pub by_symbol: [Sum; SYMBOLS.len()],
}

/// What the producer and the jobs know of each other.
#[derive(Clone)]
pub struct Jobs {
    /// The demo is to end.
    pub asked: StopHandle,
    /// Ends the jobs.
    pub stop: StopHandle,
    /// Trades the jobs have read.
    pub read: Arc<AtomicU64>,
}

/// The feed on its way to the topic. Belongs to the thread that made it.
pub struct Producer {
    feed: Feed,
    out: Box<dyn Produce>,
    /// The client has reports.
    news: Receiver<()>,
    chunk: Chunk,
    made: Made,
    until: Until,
}

impl Producer {
    /// A producer that has reached the broker.
    pub fn open(feed: Feed, until: Until, client: &Client, topic: &str) -> Result<Producer, Fatal> {
        let (tell, news) = sync_channel(1);
        let wake = Arc::new(move || {
            // A full channel means that it was told already.
            let _ = tell.try_send(());
        });
        let spec = ProduceSpec { client: client.clone(), topics: vec![topic.to_owned()], eager: true };
        let out = Kafka.produce(spec, wake)?;
        Ok(Producer { feed, out, news, chunk: Chunk::default(), made: Made::default(), until })
    }

    /// Produces the feed to its end, or until it is asked to stop, or until `run` was dropped because the jobs are
    /// gone. `ready` hears when the jobs may start: in real time when each symbol has its first trade (a partition
    /// without any record would count as idle, and windows would not wait for it), else when everything is there.
    pub fn run(mut self, jobs: &Jobs, ready: &Sender<()>, run: &Receiver<()>) -> Result<Made, Fatal> {
        let at_first = match self.until {
            Until::Records(all) => all,
            Until::Elapsed(_) => SYMBOLS.len() as u64,
        };
        while self.feed.made() < at_first && jobs.asked.reason().is_none() {
            self.append(at_first)?;
        }
        self.flush()?;
        // Who is not there to hear it does not wait for it.
        let _ = ready.send(());
        if let Until::Elapsed(limit) = self.until {
            self.live(limit, jobs, run)?;
            self.flush()?;
            self.hear_out(jobs, run)?;
        }
        Ok(self.made)
    }

    /// The feed as its time comes.
    fn live(&mut self, limit: Duration, jobs: &Jobs, run: &Receiver<()>) -> Result<(), Fatal> {
        let (start, all) = (now(), self.feed.due(limit));
        while jobs.asked.reason().is_none() {
            let elapsed = start.elapsed();
            if (elapsed >= limit && self.feed.made() >= all) || elapsed >= limit + GRACE {
                break;
            }
            let due = self.feed.due(elapsed.min(limit));
            let ahead = self.feed.made().saturating_sub(jobs.read.load(Ordering::Relaxed));
            if self.feed.made() < due && ahead < LAG_MAX {
                self.append(due)?;
            } else if run.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            self.hear()?;
        }
        Ok(())
    }

    /// Waits until the jobs have read everything, then ends them.
    fn hear_out(&self, jobs: &Jobs, run: &Receiver<()>) -> Result<(), Fatal> {
        let (mut last, mut since) = (0, now());
        loop {
            let read = jobs.read.load(Ordering::Relaxed);
            if read >= self.made.trades {
                return Ok(());
            }
            if read != last {
                (last, since) = (read, now());
            }
            if since.elapsed() > STALL {
                return Err(Fatal::new(format!(
                    "the jobs read {read} of {} trades, and nothing for {} s; look whether the brokers are well, and \
                     run the demo again",
                    self.made.trades,
                    STALL.as_secs()
                )));
            }
            if run.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                return Ok(());
            }
        }
    }

    /// Sends trades up to number `due`, at most so many at once.
    fn append(&mut self, due: u64) -> Result<(), Fatal> {
        let mut json = String::new();
        self.chunk.clear();
        for _ in self.feed.made()..due.min(self.feed.made() + BURST) {
            let trade = self.feed.trade();
            json.clear();
            trade.json(&mut json);
            self.chunk.bytes.extend_from_slice(json.as_bytes());
            self.chunk.bytes.push(b'\n');
            self.chunk.end_row();
            self.chunk.keys.push(Some(trade.name().as_bytes().into()));
            self.chunk.times_ms.push(trade.time_ms);
            self.made.trades += 1;
            if trade.quantity > 0 {
                let notional = i128::from(trade.price) * i128::from(trade.quantity);
                self.made.by_symbol[trade.symbol].add(&Sum { trades: 1, volume: trade.quantity, notional });
            }
        }
        let mut sent = 0;
        while sent < self.chunk.rows() {
            sent += self.out.send(0, &self.chunk, sent)?;
            if sent < self.chunk.rows() {
                // Its queue is full; whether news came or not, it is asked again.
                let _ = self.news.recv_timeout(TICK);
            }
            self.hear()?;
        }
        Ok(())
    }

    /// Takes the broker's answers.
    fn hear(&mut self) -> Result<(), Fatal> {
        self.out.poll()?;
        self.out.notices().iter().for_each(|text| eprintln!("{text}"));
        match self.out.take_rejected().first() {
            Some(rejected) => Err(Fatal::new(format!("the broker refused a trade: {}", rejected.reason))),
            None => Ok(()),
        }
    }

    /// Waits until the broker has everything.
    fn flush(&mut self) -> Result<(), Fatal> {
        let all = self.out.flush(STALL)?;
        self.hear()?;
        match (all, self.out.outstanding()) {
            (true, _) | (_, 0) => Ok(()),
            (false, n) => {
                Err(Fatal::new(format!("the broker did not acknowledge {n} trades within {} s", STALL.as_secs())))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the feed plays the part of the world outside: it comes in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::demo::cluster::{Cluster, FEED};

    /// Answers what was made, what the topic's partitions hold, and the jobs.
    fn produce(rate: u64, until: Until, jobs: &Jobs, run: &Receiver<()>) -> (Result<Made, Fatal>, Vec<i64>) {
        let cluster = Cluster::start(None, true).unwrap();
        let producer = Producer::open(Feed::new(1, rate, 0), until, &cluster.producer(), FEED.0).unwrap();
        let (ready, is_ready) = mpsc::channel();
        let made = producer.run(jobs, &ready, run);
        assert_eq!(is_ready.try_recv(), Ok(()));
        let bounds = Kafka.bounds(&cluster.client, FEED.0, FEED.1).unwrap();
        (made, bounds.iter().map(|bounds| bounds.end).collect())
    }

    fn jobs(read: u64) -> Jobs {
        Jobs { asked: StopHandle::new(), stop: StopHandle::new(), read: Arc::new(AtomicU64::new(read)) }
    }

    #[test]
    fn exactly_so_many_records_and_then_the_end() {
        let (_run, is_running) = mpsc::channel();
        let (made, ends) = produce(100, Until::Records(700), &jobs(0), &is_running);
        let made = made.unwrap();
        assert_eq!((made.trades, ends.iter().sum::<i64>()), (700, 700));
        let counted: u64 = made.by_symbol.iter().map(|sum| sum.trades).sum();
        assert!((650..700).contains(&counted), "{counted}");
        assert_eq!(produce(100, Until::Records(3), &jobs(0), &is_running).0.unwrap().trades, 3);
    }

    #[test]
    fn a_stop_and_jobs_that_are_gone_end_it() {
        let hour = Until::Elapsed(Duration::from_secs(3_600));
        let (run, is_running) = mpsc::channel();
        drop(run);
        // It finds that nobody reads.
        let (made, ends) = produce(100, hour, &jobs(0), &is_running);
        assert_eq!(made.unwrap().trades as i64, ends.iter().sum::<i64>());
        assert!(ends.iter().all(|end| *end > 0), "each partition has its first record: {ends:?}");
        // Asked before the market opens, it opens nothing.
        let (_run, is_running) = mpsc::channel();
        let asked = jobs(0);
        asked.asked.request();
        assert_eq!(produce(100, hour, &asked, &is_running).0.unwrap().trades, 0);
    }

    #[test]
    fn in_real_time_it_ends_when_all_is_read() {
        let (_run, is_running) = mpsc::channel();
        let (made, ends) = produce(1_000, Until::Elapsed(Duration::from_millis(100)), &jobs(100), &is_running);
        assert_eq!((made.unwrap().trades, ends.iter().sum::<i64>()), (100, 100));
    }
}
