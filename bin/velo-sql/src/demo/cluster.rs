//! Where the demo's topics are: the embedded broker, in this process and in memory, or brokers the user names.
//!
//! On the user's brokers every topic and the group have a suffix of their own per run, and they are deleted at the end,
//! also after a failure; only a process that was killed leaves them behind. The embedded broker takes
//! everything with it. All calls wait for the network, at most `PATIENCE` each.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::admin::Admin;
use velostream_runtime::clock::RunClock;
use velostream_types::Clock;
use velostream_types::time::NS_PER_MS;
use velostream_types::topic::{Client, NewTopic};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The topics as the app names them, with their partitions.
pub const FEED: (&str, u32) = ("market_data", 4);
/// Bars; two partitions, so that order between symbols is nobody's promise.
pub const BARS: (&str, u32) = ("ohlc_1s", 2);
/// Alerts.
pub const ALERTS: (&str, u32) = ("volume_alerts", 1);
/// Group of the jobs, and of the demo's own reader.
pub const GROUP: &str = "velo_market_demo";
const TOPICS: [(&str, u32); 3] = [FEED, BARS, ALERTS];

/// Most bytes that a partition of a feed without end keeps; the producer never is that far ahead of the jobs.
const FEED_BYTES_MAX: u32 = 64 << 20;
/// What such a partition forgets at once.
const FEED_SEGMENT_BYTES: u32 = 16 << 20;

/// The brokers.
pub struct Cluster {
    /// How they are reached.
    pub client: Client,
    suffix: String,
    /// Present while the process is its own cluster.
    embedded: Option<Broker>,
    made: Vec<String>,
}

impl Cluster {
    /// Reaches the brokers, or starts one, and makes the topics. A feed that `has_end` is kept whole.
    pub fn start(brokers: Option<&str>, has_end: bool) -> Result<Cluster> {
        let embedded = match brokers {
            Some(_) => None,
            None => Some(Broker::start(BrokerConfig::default()).context("cannot start the embedded broker")?),
        };
        let address = match (brokers, &embedded) {
            (None, Some(broker)) => broker.bootstrap(),
            (address, _) => address.unwrap_or_default().to_owned(),
        };
        let suffix = if embedded.is_some() { String::new() } else { unique() };
        let settings = BTreeMap::from([("bootstrap.servers".to_owned(), address)]);
        let client = Client { settings, origins: BTreeMap::new() };
        // Reached before anything is said to be made: brokers that are not there have nothing to clean up.
        Admin::open(&client, PATIENCE)?.partitions(&format!("{}{suffix}", FEED.0))?;
        let mut cluster = Cluster { client, suffix, embedded, made: Vec::new() };
        cluster.make_topics(has_end)?;
        Ok(cluster)
    }

    fn make_topics(&mut self, has_end: bool) -> Result<()> {
        let new = |(name, partitions): (&str, u32)| {
            let mut config = BTreeMap::new();
            if name == FEED.0 && !has_end {
                config.insert("retention.bytes".to_owned(), FEED_BYTES_MAX.to_string());
                config.insert("segment.bytes".to_owned(), FEED_SEGMENT_BYTES.to_string());
            }
            NewTopic { name: self.name(name), partitions, replication: -1, config }
        };
        let topics = TOPICS.map(new);
        // From here on they may be there, whatever the answers are.
        self.made = topics.iter().map(|topic| topic.name.clone()).collect();
        let client = &self.client;
        // All at once: each waits for round trips.
        let outcomes = std::thread::scope(|scope| {
            let make = |topic| scope.spawn(move || velostream_kafka::admin::create(client, topic, PATIENCE));
            let threads: Vec<_> = topics.iter().map(make).collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for outcome in outcomes {
            outcome.map_err(|_| anyhow!("a thread that makes topics panicked"))??;
        }
        Ok(())
    }

    /// How the producer reaches the brokers. The embedded one loses no answer, so nothing is sent twice, and the half
    /// second that getting a producer id takes is saved.
    pub fn producer(&self) -> Client {
        let mut client = self.client.clone();
        if self.embedded.is_some() {
            client.settings.insert("enable.idempotence".to_owned(), "false".to_owned());
        }
        client
    }

    /// Where the topics are, for people.
    pub fn place(&self) -> String {
        let address = self.client.brokers();
        match self.embedded {
            Some(_) => format!("a broker in this process, {address}"),
            None => address.to_owned(),
        }
    }

    /// Names of the topics.
    pub fn topics(&self) -> &[String] {
        &self.made
    }

    /// The name of one of the app's topics, or of its group.
    pub fn name(&self, of: &str) -> String {
        format!("{of}{}", self.suffix)
    }

    /// What the app is told: the names of its topics, and that what it cannot use is counted, not kept in topics of
    /// dead letters: at the end any such trade is missing, and that is an error.
    pub fn properties(&self) -> Vec<(String, String)> {
        let topic = |(name, _): (&str, u32)| (format!("{name}.topic"), self.name(name));
        let mut properties = vec![("dead.letter.queue.enabled".to_owned(), "false".to_owned())];
        properties.extend(TOPICS.map(topic));
        properties
    }
}

impl Drop for Cluster {
    /// Deletes what was made on the user's brokers; says what could not be deleted.
    fn drop(&mut self) {
        if self.embedded.is_some() || self.made.is_empty() {
            return;
        }
        let admin = Admin::open(&self.client, PATIENCE);
        let admin = || admin.as_ref().map_err(Clone::clone);
        let still = |what: &str, error| eprintln!("{what} is still on {}: {error}", self.client.brokers());
        for topic in &self.made {
            if let Err(error) = admin().and_then(|admin| admin.delete(topic)) {
                still(&format!("topic {topic}"), error);
            }
        }
        let group = self.name(GROUP);
        if let Err(error) = admin().and_then(|admin| admin.delete_group(&group)) {
            still(&format!("group {group}"), error);
        }
    }
}

/// A suffix no other run has.
fn unique() -> String {
    format!("-{:x}-{}", RunClock::System.now_ns() / NS_PER_MS, std::process::id())
}
