//! Topics that are not what they were when a run that keeps its state starts again.

use std::collections::BTreeMap;

use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::Kafka;
use velostream_kafka::admin::Admin;
use velostream_types::topic::{Broker as _, NewTopic};

use crate::kafka::{PATIENCE, broker, client, key_of, producer, records, send, topic, values, wait};
use crate::world::{Ran, World, end};

const APP: &str = "
CREATE STREAM t (id BIGINT, k STRING, ts BIGINT) WITH ('type' = 'kafka', 'topic' = 't', 'event.time.field' = 'ts',
  'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '0s');
CREATE STREAM picked AS SELECT id FROM t WITH ('picked.path' = 'rows.csv', 'picked.append' = 'true');
CREATE STREAM sums AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t
  GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('sums.path' = 'sums.csv', 'sums.append' = 'true');
";

fn line(partition: u32, partitions: u32, id: u64, ts: u64) -> (Option<String>, String) {
    (Some(key_of(partition, partitions)), format!("{{\"id\":{id},\"k\":\"a\",\"ts\":{}}}", 1_700_000_000_000 + ts))
}

fn feed(brokers: &str, lines: &[(Option<String>, String)]) {
    let mut out = producer(brokers, "t");
    let lines: Vec<(Option<&str>, String)> = lines.iter().map(|(k, text)| (k.as_deref(), text.clone())).collect();
    send(&mut *out, &lines);
    assert!(out.flush(PATIENCE).expect("the broker is there"));
}

fn args<'a>(brokers: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let run = ["run", "app.sql", "--brokers", brokers, "--instance-id", "one", "--state", "state"];
    [&run[..], &["--checkpoint", "20ms"], more].concat()
}

/// Runs the app until it wrote so many rows, and stops it.
fn stopped(world: &World, brokers: &str, rows: usize) {
    let child = world.start(&args(brokers, &[]));
    let written = || std::fs::read_to_string(world.path("rows.csv")).unwrap_or_default().lines().count();
    wait("rows", || written() > rows);
    let ran = end(child, "-TERM");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(words.iter().all(|word| ran.err.contains(word)), "{words:?} in {}", ran.err);
}

#[test]
fn records_that_retention_took_meanwhile_are_counted() {
    let broker = Broker::start(BrokerConfig { maintain_every_ms: 10, ..BrokerConfig::default() }).expect("a free port");
    let brokers = broker.bootstrap();
    let config = [("segment.bytes", "400"), ("retention.bytes", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let new = NewTopic { name: "t".into(), partitions: 1, replication: -1, config: BTreeMap::from(config) };
    Kafka.create(&client(&brokers), &new, PATIENCE).expect("the topic is made");
    let world = World::with(&[("app.sql", APP)]);
    feed(&brokers, &[line(0, 1, 0, 0), line(0, 1, 1, 10)]);
    stopped(&world, &brokers, 2);
    for id in 2..102 {
        feed(&brokers, &[line(0, 1, id, id * 10)]);
    }
    wait("retention", || records(&brokers, "t").first().is_some_and(|r| r.offset > 5));
    let first = records(&brokers, "t")[0].offset;
    let ran = world.run(&args(&brokers, &["--until-end"]));
    assert!(ran.err.contains("records lost"), "{}", ran.err);
    ran.ok();
    let rows = world.read("rows.csv");
    let ids: Vec<i64> = rows.lines().skip(1).map(|id| id.parse().expect("a number")).collect();
    assert_eq!(ids[..2], [0, 1]);
    assert!(ids[2] >= first && ids.last() == Some(&101), "{ids:?}, from {first}");
}

#[test]
fn another_topic_of_the_same_name_is_refused() {
    let check = |partitions: u32, records: u64, words: &[&str]| {
        let broker = broker();
        let brokers = broker.bootstrap();
        topic(&brokers, "t", 2);
        let world = World::with(&[("app.sql", APP)]);
        feed(&brokers, &(0..500).map(|n| line((n % 2) as u32, 2, n, n * 10)).collect::<Vec<_>>());
        stopped(&world, &brokers, 500);
        let before = world.read("rows.csv");
        let admin = Admin::open(&client(&brokers), PATIENCE).expect("a client");
        assert!(admin.delete("t").expect("the broker answers"));
        if partitions > 0 {
            wait("the topic is gone", || admin.partitions("t").is_ok_and(|found| found.is_none()));
            topic(&brokers, "t", partitions);
            let again = (0..records).map(|n| line((n % 2) as u32 % partitions, partitions, 7_000 + n, n * 10));
            feed(&brokers, &again.collect::<Vec<_>>());
        }
        let ran = world.run(&args(&brokers, &["--until-end"]));
        refused(&ran, words);
        assert_eq!(world.read("rows.csv"), before, "nothing was touched");
    };
    let anew = "It was deleted and made anew, or lost records that were read; remove state to begin again";
    check(0, 0, &["topic t does not exist on", "in state was taken of it", "remove state to begin again"]);
    check(1, 600, &["topic t is not the one that checkpoint", "it has 1 partitions and had 2", anew]);
    check(2, 100, &["was read up to offset 250 and ends at 50", anew]);
    check(2, 600, &["begins with another record", anew]);
}

#[test]
fn the_ends_of_the_first_start_are_those_of_every_start() {
    let broker = broker();
    let brokers = broker.bootstrap();
    topic(&brokers, "t", 2);
    let world = World::with(&[("app.sql", &APP.replace("'picked.append' = 'true'", "'picked.append' = 'false'"))]);
    feed(&brokers, &(0..150_000).map(|n| line((n % 2) as u32, 2, n, n)).collect::<Vec<_>>());
    let slow = args(&brokers, &["--until-end", "--batch-rows", "1", "--shards", "1"]);
    let mut child = world.start(&slow);
    let kept = || crate::topic_world::newest(&world.path("state"));
    wait("a checkpoint with state", || kept().is_some_and(|kept| kept.records > 0));
    child.kill().expect("it lives");
    child.wait().expect("it is gone");
    assert!(kept().is_some_and(|kept| !kept.complete), "it was in the middle");
    feed(&brokers, &(150_000..150_500).map(|n| line((n % 2) as u32, 2, n, n)).collect::<Vec<_>>());
    refused(&world.run(&args(&brokers, &[])), &["another app", "it ran with --until-end", "runs without"]);
    world.run(&args(&brokers, &["--until-end"])).ok();
    assert_eq!(world.read("rows.csv").lines().count(), 1 + 150_000);
    assert_eq!(values(&brokers, "t").len(), 150_500);
}
