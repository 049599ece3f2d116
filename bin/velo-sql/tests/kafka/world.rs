//! A broker in this process, records in and out of it, and the binary under test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::Kafka;
use velostream_types::Chunk;
use velostream_types::topic::{Broker as _, Client, NewTopic, Produce, ProduceSpec, TopicRecord};

/// How long anything may take that should take no time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An app that writes one record in a hundred as it is and sums all of them in windows: whatever is lost or repeated
/// shows in one of its outputs.
pub const KEPT_AND_SUMS: &str = "
    SET 'commit.interval' = '100ms';
    CREATE STREAM t (id INT, k INT, v INT, ts INT) WITH (type = 'kafka', topic = 't', format = 'json',
      'event.time.field' = 'ts', 'watermark.strategy' = 'bounded_out_of_orderness',
      'watermark.max_out_of_orderness' = '40ms');
    CREATE STREAM kept AS SELECT id, v FROM t WHERE v > 989 WITH ('kept.type' = 'kafka', 'kept.topic' = 'kept');
    CREATE STREAM sums AS SELECT k, COUNT(*) AS n, SUM(v) AS total, _window_start FROM t
      GROUP BY k WINDOW TUMBLING(100ms) EMIT FINAL WITH ('sums.type' = 'kafka', 'sums.topic' = 'sums');";

/// An embedded broker in memory.
pub fn broker() -> Broker {
    // Rows have event times of 2023: what retention would delete is what the tests compare.
    let config = BrokerConfig { maintain_every_ms: 86_400_000, ..BrokerConfig::default() };
    Broker::start(config).expect("a free port")
}

/// A client of these brokers.
pub fn client(brokers: &str) -> Client {
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
    Client { settings, origins: BTreeMap::new() }
}

/// Makes a topic.
pub fn topic(brokers: &str, name: &str, partitions: u32) {
    let topic = NewTopic { name: name.into(), partitions, replication: -1, config: BTreeMap::new() };
    Kafka.create(&client(brokers), &topic, PATIENCE).expect("the topic is made");
}

/// A producer of one topic.
pub fn producer(brokers: &str, topic: &str) -> Box<dyn Produce> {
    let spec = ProduceSpec { client: client(brokers), topics: vec![topic.to_owned()], eager: true };
    Kafka.produce(spec, Arc::new(|| {})).expect("the broker answers")
}

/// Sends lines, each to the partition its key leads to, and waits for what they need.
pub fn send(producer: &mut dyn Produce, lines: &[(Option<&str>, String)]) {
    let mut chunk = Chunk::default();
    for (key, line) in lines {
        chunk.bytes.extend_from_slice(line.as_bytes());
        chunk.bytes.push(b'\n');
        chunk.end_row();
        chunk.keys.push(key.map(|k| k.as_bytes().into()));
    }
    let mut from = 0;
    while from < chunk.rows() {
        let taken = producer.send(0, &chunk, from).expect("the broker is there");
        producer.poll().expect("the broker is there");
        if taken == 0 {
            // Full: only what the broker acknowledges makes room.
            std::thread::park_timeout(Duration::from_millis(5));
        }
        from += taken;
    }
}

/// A key that murmur2 sends to `partition` of `partitions`.
pub fn key_of(partition: u32, partitions: u32) -> String {
    let fits = |n: &u32| velostream_kafka::partition_of(n.to_string().as_bytes(), partitions) == partition;
    (0..10_000).find(fits).map(|n| n.to_string()).expect("some number leads there")
}

/// Every record of a topic.
pub fn records(brokers: &str, topic: &str) -> Vec<TopicRecord> {
    match Kafka.partitions(&client(brokers), topic, PATIENCE).expect("the broker answers") {
        Some(_) => Kafka.sample(&client(brokers), topic, usize::MAX).expect("the broker answers"),
        None => Vec::new(),
    }
}

/// Values of every record of a topic, as text.
pub fn values(brokers: &str, topic: &str) -> Vec<String> {
    let text = |r: TopicRecord| String::from_utf8(r.value.expect("a value")).expect("text");
    records(brokers, topic).into_iter().map(text).collect()
}

/// `velo-sql run` of an app in `folder` with these arguments.
pub fn run(folder: &Path, app: &str, brokers: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_velo-sql"));
    command.current_dir(folder).args(["run", app, "--brokers", brokers]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end; answers what stood on standard error.
pub fn finish(mut command: Command) -> String {
    let output = command.output().expect("velo-sql starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    stderr
}

/// A run that goes on until it is told otherwise; standard error goes to a file.
pub fn follow(folder: &Path, app: &str, brokers: &str, args: &[&str], log: &Path) -> Child {
    let log = std::fs::File::create(log).expect("a log");
    run(folder, app, brokers, args).stdout(Stdio::null()).stderr(log).spawn().expect("velo-sql starts")
}

/// The clock of the tests.
#[expect(clippy::disallowed_methods, reason = "tests over processes wait for them")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits until `done` answers TRUE.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begin = now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
    assert!(status.success(), "the process lives");
}

/// Evenly mixed numbers from a seed.
pub struct Rng(pub u64);

impl Rng {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
