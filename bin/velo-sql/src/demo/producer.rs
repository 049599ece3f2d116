//! The thread that appends the feed to its topic: paced by a monotonic clock, or as fast as the jobs read.
//!
//! It ends by itself and always closes the topic, so that the jobs come to their end of input: windows close, sinks
//! complete. It counts what it made per symbol, apart from the jobs: the demo compares both at the end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use velostream_runtime::io::memory::{Topic, TopicBatch};
use velostream_runtime::stop::StopHandle;

use super::feed::{Feed, SYMBOLS};

/// Pause between two looks at the clock, at the signals and at what the jobs have read.
const TICK: Duration = Duration::from_millis(5);
/// Jobs that cannot keep up get so long to read what is left when the time is over.
const GRACE: Duration = Duration::from_millis(250);
/// Trades appended together at most.
const BURST: u64 = 512;
/// Unread records of a partition beyond which the producer waits: a few batches, far below a megabyte.
const LAG_MAX: usize = 8_192;

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

/// The feed on its way to the topic.
pub struct Producer {
    feed: Feed,
    topic: Arc<Topic>,
    /// One per partition.
    batches: Vec<TopicBatch>,
    made: Made,
    until: Until,
}

impl Producer {
    /// A producer that has opened the market: each symbol's first trade is in the topic. A partition without any record
    /// would count as idle when the jobs start, and their windows would not wait for it.
    pub fn open(feed: Feed, until: Until, topic: &Arc<Topic>) -> Producer {
        let batches = (0..topic.partitions()).map(|_| TopicBatch::default()).collect();
        let mut producer = Producer { feed, topic: Arc::clone(topic), batches, made: Made::default(), until };
        producer.append(SYMBOLS.len() as u64);
        producer
    }

    /// Appends the feed until its end, until `asked` says stop, or until `run` was dropped because the jobs are gone.
    pub fn run(mut self, asked: &StopHandle, run: &Receiver<()>) -> Made {
        let start = now();
        while asked.reason().is_none() {
            let (due, over) = self.due(start.elapsed());
            if over {
                break;
            }
            let is_late = self.feed.made() < due;
            let room = (0..self.topic.partitions()).all(|partition| self.topic.lag(partition) < LAG_MAX);
            if is_late && room {
                self.append(due);
            } else if run.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        self.topic.close();
        self.made
    }

    /// Trades that are due after so much time, and whether the feed is over.
    fn due(&self, elapsed: Duration) -> (u64, bool) {
        match self.until {
            Until::Records(all) => (all, self.feed.made() >= all),
            Until::Elapsed(limit) => {
                let over = self.feed.made() >= self.feed.due(limit) && elapsed >= limit;
                (self.feed.due(elapsed.min(limit)), over || elapsed >= limit + GRACE)
            }
        }
    }

    /// Appends trades up to number `due`, at most so many at once and never more than the feed has.
    fn append(&mut self, due: u64) {
        let all = match self.until {
            Until::Records(all) => all,
            Until::Elapsed(limit) => self.feed.due(limit),
        };
        let mut json = String::new();
        for _ in self.feed.made()..due.min(all).min(self.feed.made() + BURST) {
            let trade = self.feed.trade();
            json.clear();
            trade.json(&mut json);
            let partition = trade.symbol % self.batches.len();
            self.batches[partition].push(Some(trade.name().as_bytes()), Some(json.as_bytes()), trade.time_ms);
            self.made.trades += 1;
            if trade.quantity > 0 {
                let notional = i128::from(trade.price) * i128::from(trade.quantity);
                self.made.by_symbol[trade.symbol].add(&Sum { trades: 1, volume: trade.quantity, notional });
            }
        }
        for (partition, batch) in self.batches.iter_mut().enumerate() {
            self.topic.append(partition as u32, batch);
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

    use velostream_runtime::io::memory::{Retention, Topics};

    use super::*;

    fn produce(rate: u64, until: Until, stop: &StopHandle, is_running: &Receiver<()>) -> (Made, Arc<Topic>) {
        let topic = Topics::default().open("t", 4, Retention::All);
        let producer = Producer::open(Feed::new(1, rate, 0), until, &topic);
        (producer.run(stop, is_running), topic)
    }

    #[test]
    fn exactly_so_many_records_and_then_the_end() {
        let (_run, is_running) = mpsc::channel();
        let (made, topic) = produce(100, Until::Records(700), &StopHandle::new(), &is_running);
        assert_eq!(made.trades, 700);
        assert_eq!((0..4).map(|p| topic.end_offset(p)).sum::<i64>(), 700);
        let counted: u64 = made.by_symbol.iter().map(|sum| sum.trades).sum();
        assert!((650..700).contains(&counted), "{counted}");
        assert_eq!(produce(100, Until::Records(3), &StopHandle::new(), &is_running).0.trades, 3);
    }

    #[test]
    fn a_stop_and_jobs_that_are_gone_end_it() {
        let stop = StopHandle::new();
        stop.request();
        let (run, is_running) = mpsc::channel();
        let hour = Until::Elapsed(Duration::from_secs(3_600));
        let (made, topic) = produce(100, hour, &stop, &is_running);
        assert_eq!(made.trades, SYMBOLS.len() as u64);
        assert!((0..4).all(|partition| topic.end_offset(partition) > 0), "each partition has its first record");
        drop(run);
        // Without anybody reading it waits for room before long, and finds that nobody will.
        produce(10_000_000, hour, &StopHandle::new(), &is_running);
    }
}
