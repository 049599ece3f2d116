//! The broker over its wire, with a raw client: what well-behaved clients never send, what they never notice, and what
//! must survive a restart.

mod client;
mod garbage;
mod restart;
mod spill;
mod transactions;

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use client::*;
use kafka_protocol::messages::*;
use velostream_broker::{Broker, BrokerConfig, Fault};

/// A broker in memory and a connection to its first node.
pub fn start() -> (Broker, Client) {
    start_with(BrokerConfig::default())
}

/// A broker and a connection to its first node.
pub fn start_with(config: BrokerConfig) -> (Broker, Client) {
    let broker = Broker::start(config).expect("starts");
    let client = Client::connect(&broker.addresses()[0]);
    (broker, client)
}

/// Waits until a condition holds; the test's own time-out ends it otherwise.
pub fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::yield_now();
    }
}

#[test]
fn batches_come_back_as_they_went_in_every_version() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let sent = batch(&["a", "b"], ANYONE);
    for (i, version) in (3..=8).enumerate() {
        let answer = client.produce(version, "t", 0, sent.clone());
        assert_eq!((answer.error_code, answer.base_offset), (0, 2 * i as i64), "produce v{version}");
    }
    for version in 4..=11 {
        let data = client.fetch(version, &Fetch::default());
        assert_eq!((data.error_code, data.high_watermark), (0, 12), "fetch v{version}");
        let bytes = data.records.expect("records");
        assert_eq!(bytes.len(), 6 * sent.len(), "fetch v{version}");
        // All but base offset and leader epoch, which are outside the checksum, is what the producer wrote.
        let second = &bytes[sent.len()..2 * sent.len()];
        assert_eq!((&second[8..12], &second[16..]), (&sent[8..12], &sent[16..]), "fetch v{version}");
        assert_eq!(records(&bytes)[11], (11, "b".to_owned(), false), "fetch v{version}");
    }
    assert_eq!(client.offset("t", 0, -1, false), (0, 12));
    assert_eq!(client.offset("t", 0, -2, false), (0, 0));
    assert_eq!(client.offset("t", 0, 1_700_000_000_001, false), (0, -1));
    assert_eq!(client.offset("nope", 0, -1, false), (3, -1));
}

#[test]
fn acks_0_is_silent_and_ends_the_connection_on_errors() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    client.send(8, &produce_request("t", 0, batch(&["a"], ANYONE), 0, None));
    until(|| broker.stats().records_in == 1);
    let data = client.fetch(11, &Fetch::default());
    assert_eq!(data.high_watermark, 1, "the next answer is the fetch's");
    let refused = client.call(8, &produce_request("t", 0, batch(&["a"], ANYONE), 2, None));
    assert_eq!(refused.responses[0].partition_responses[0].error_code, 21);
    client.send(8, &produce_request("nope", 0, batch(&["a"], ANYONE), 0, None));
    assert!(client.is_closed());
}

#[test]
fn a_partition_takes_one_whole_batch_per_request() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let one = batch(&["a"], ANYONE);
    let mut check = |bytes: &[u8], want: i16| {
        assert_eq!(client.produce(8, "t", 0, Bytes::copy_from_slice(bytes)).error_code, want, "{} bytes", bytes.len());
    };
    check(&[&one[..], &one[..]].concat(), 87);
    check(&one[..one.len() - 1], 87);
    check(&one[..7], 87);
    check(&[], 87);
    check(&one, 0);
    assert_eq!(client.offset("t", 0, -1, false), (0, 1));
}

#[test]
fn a_fetch_waits_for_records_and_no_longer() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 2, &[]), 0);
    let waiting = Fetch { min_bytes: 1, max_wait_ms: 20_000, ..Fetch::default() };
    let mut other = Client::connect(&broker.bootstrap());
    let before = broker.stats().requests;
    client.send(11, &waiting.request(11));
    until(|| broker.stats().requests > before);
    assert_eq!(other.produce(8, "t", 1, batch(&["other partition"], ANYONE)).error_code, 0);
    assert_eq!(other.produce(8, "t", 0, batch(&["a"], ANYONE)).error_code, 0);
    let answer = client.receive::<FetchRequest>(11).expect("woken");
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
    // Nothing comes: the answer is empty and in time.
    let data = client.fetch(11, &Fetch { offset: 1, min_bytes: 1, max_wait_ms: 30, ..Fetch::default() });
    assert_eq!((data.error_code, data.records.map(|bytes| bytes.len())), (0, Some(0)));
    // A deleted topic is news too.
    let before = broker.stats().requests;
    client.send(11, &Fetch { offset: 1, ..waiting }.request(11));
    until(|| broker.stats().requests > before);
    let deleted = other.call(3, &DeleteTopicsRequest::default().with_topic_names(vec![topic("t")]));
    assert_eq!(deleted.responses[0].error_code, 0);
    let answer = client.receive::<FetchRequest>(11).expect("woken");
    assert_eq!(answer.responses[0].partitions[0].error_code, 3);
}

#[test]
fn stopping_answers_those_who_wait() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let before = broker.stats().requests;
    client.send(11, &Fetch { min_bytes: 1, max_wait_ms: 25_000, ..Fetch::default() }.request(11));
    until(|| broker.stats().requests > before);
    broker.stop();
    assert!(client.receive::<FetchRequest>(11).is_none_or(|answer| answer.error_code == 0));
}

#[test]
fn a_recreated_topic_has_another_id() {
    let (_broker, mut client) = start();
    let mut ids = Vec::new();
    for _ in 0..2 {
        assert_eq!(client.create("t", 1, &[]), 0);
        assert_eq!(client.create("t", 1, &[]), 36);
        ids.push(client.call(12, &MetadataRequest::default().with_topics(None)).topics[0].topic_id);
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic("t")]);
        assert_eq!(client.call(3, &request).responses[0].error_code, 0);
        assert_eq!(client.call(3, &request).responses[0].error_code, 3);
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn topics_are_refused_with_kafkas_codes() {
    let (_broker, mut client) = start();
    let mut check = |name: &str, partitions, config: &[(&str, &str)], want| {
        assert_eq!(client.create(name, partitions, config), want, "{name:?} {partitions} {config:?}");
    };
    check("good.name", 1, &[("retention.ms", "1000")], 0);
    check("bad name", 1, &[], 17);
    check("", 1, &[], 17);
    check("good_name", 1, &[], 17);
    check("good.name", 1, &[], 36);
    check("a", 0, &[], 37);
    check("a", 1_000_000, &[], 37);
    check("a", 1, &[("retention.ms", "soon")], 40);
    check("a", 1, &[("no.such.key", "1")], 40);
    check("a", -1, &[], 0);
}

#[test]
fn nodes_lead_their_partitions_and_leaders_move() {
    let (broker, mut one) = start_with(BrokerConfig { nodes: 2, ..BrokerConfig::default() });
    let mut two = Client::connect(&broker.addresses()[1]);
    assert_eq!(one.create("t", 2, &[]), 0);
    let sent = || batch(&["a"], ANYONE);
    assert_eq!(one.produce(8, "t", 0, sent()).error_code, 0);
    assert_eq!(one.produce(8, "t", 1, sent()).error_code, 6, "node 2 leads it");
    assert_eq!(two.produce(8, "t", 1, sent()).error_code, 0);
    assert_eq!(one.offset("t", 1, -1, false), (6, -1));
    assert_eq!(one.alter_broker("", "velo.fault.move.leader", "t:0:2"), 0);
    assert_eq!(one.alter_broker("", "velo.fault.move.leader", "t:0:7"), 40);
    assert_eq!(one.alter_broker("9", "velo.fault.delay.ms", "1"), 42);
    let metadata = two.call(8, &MetadataRequest::default().with_topics(None));
    let partition = &metadata.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.leader_epoch), (BrokerId(2), 1));
    assert_eq!(metadata.brokers.len(), 2);
    assert_eq!(one.produce(8, "t", 0, sent()).error_code, 6);
    assert_eq!(one.fetch(11, &Fetch::default()).error_code, 6);
    assert_eq!(two.produce(8, "t", 0, sent()).base_offset, 1, "the data did not move");
    assert_eq!(two.fetch(11, &Fetch { epoch: 0, ..Fetch::default() }).error_code, 74);
    assert_eq!(two.fetch(11, &Fetch { epoch: 2, ..Fetch::default() }).error_code, 75);
    assert_eq!(two.fetch(11, &Fetch { epoch: 1, ..Fetch::default() }).high_watermark, 2);
    broker.inject(&Fault::BumpEpoch { topic: "t".to_owned(), partition: 0 }).expect("bumped");
    assert_eq!(two.fetch(11, &Fetch { epoch: 1, ..Fetch::default() }).error_code, 74);
}

#[test]
fn dropped_connections_lose_the_request_or_its_answer() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let writer = Writer { producer_id: 7, producer_epoch: 0, sequence: 0, transactional: false };
    assert_eq!(client.alter_broker("1", "velo.fault.drop.before", "Produce:2"), 0);
    for _ in 0..2 {
        let mut lost = Client::connect(&broker.bootstrap());
        assert!(lost.try_produce(8, "t", 0, batch(&["a"], writer), None).is_none());
    }
    assert_eq!(client.offset("t", 0, -1, false), (0, 0), "dropped before anything was done");
    assert_eq!(client.alter_broker("1", "velo.fault.drop.after", "Produce"), 0);
    let mut lost = Client::connect(&broker.bootstrap());
    assert!(lost.try_produce(8, "t", 0, batch(&["a"], writer), None).is_none());
    assert_eq!(client.offset("t", 0, -1, false), (0, 1), "done, and the answer lost");
    let again = client.produce(8, "t", 0, batch(&["a"], writer));
    assert_eq!((again.error_code, again.base_offset), (0, 0), "a duplicate is acknowledged with its first offset");
    assert_eq!(client.offset("t", 0, -1, false), (0, 1));
    assert_eq!(client.alter_broker("", "velo.fault.fence", "7"), 0);
    let next = Writer { sequence: 1, ..writer };
    assert_eq!(client.produce(8, "t", 0, batch(&["b"], next)).error_code, 47);
    assert_eq!(client.alter_broker("", "velo.fault.fence", "nobody"), 40);
}

#[test]
fn short_reads_end_inside_the_last_batch_only() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let sent = batch(&["a"], ANYONE);
    (0..3).for_each(|_| assert_eq!(client.produce(8, "t", 0, sent.clone()).error_code, 0));
    broker.inject(&Fault::ShortReadBytes(7)).expect("set");
    let length = |client: &mut Client, offset| {
        client.fetch(11, &Fetch { offset, ..Fetch::default() }).records.map_or(0, |bytes| bytes.len())
    };
    assert_eq!(length(&mut client, 0), 2 * sent.len() + sent.len() / 2);
    assert_eq!(length(&mut client, 2), sent.len(), "a single batch comes whole, or nobody could go on");
    broker.inject(&Fault::Clear).expect("cleared");
    assert_eq!(length(&mut client, 0), 3 * sent.len());
}

#[test]
fn delay_and_throttle_are_felt_and_told() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    broker.inject(&Fault::ThrottleMs(3)).expect("set");
    broker.inject(&Fault::DelayMs(2)).expect("set");
    let answer = client.call(11, &Fetch::default().request(11));
    assert_eq!(answer.throttle_time_ms, 3);
    let answer = client.call(8, &produce_request("t", 0, batch(&["a"], ANYONE), 1, None));
    assert_eq!(answer.throttle_time_ms, 3);
}

#[test]
fn many_connections_write_and_read_at_once() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 2, &[]), 0);
    let broker = Arc::new(broker);
    let writers: Vec<_> = (0..4)
        .map(|i| {
            let broker = Arc::clone(&broker);
            thread::spawn(move || {
                let mut client = Client::connect(&broker.bootstrap());
                for _ in 0..200 {
                    assert_eq!(client.produce(8, "t", i % 2, batch(&["a", "b", "c"], ANYONE)).error_code, 0);
                }
            })
        })
        .collect();
    let mut read = 0;
    while read < 1200 {
        let data = client.fetch(11, &Fetch { offset: read, min_bytes: 1, max_wait_ms: 10_000, ..Fetch::default() });
        let found = records(&data.records.unwrap_or_else(Bytes::new));
        let from = read;
        for (offset, _, _) in found.into_iter().filter(|(offset, _, _)| *offset >= from) {
            assert_eq!(offset, read, "no gap, no repetition");
            read += 1;
        }
    }
    writers.into_iter().for_each(|writer| writer.join().expect("writer"));
    assert_eq!(broker.stats().records_in, 2400);
}
