//! Reading partitions through librdkafka: order and completeness, sleeping until woken, bounded memory, ends, gaps.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod world;

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use velostream_broker::BrokerConfig;
use velostream_kafka::Kafka;
use velostream_types::Remedy;
use velostream_types::topic::{Broker, FetchSpec, TopicPartition};

use world::{PATIENCE, Reader, World, flush, from, wake};

/// Sends `count` records of `bytes` each to a partition; their keys are their numbers.
fn fill(world: &World, topic: &str, partition: i32, count: usize, bytes: usize) {
    let producer = world.producer(&[]);
    let value = vec![b'x'; bytes];
    for number in 0..count {
        let key = number.to_string();
        let record = || BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        while producer.send(record()).is_err() {
            producer.poll(Duration::from_millis(10));
        }
    }
    flush(&producer);
}

fn assert_numbered(reader: &Reader, index: usize, count: usize) {
    assert_eq!(reader.got[index].len(), count);
    for (number, got) in reader.got[index].iter().enumerate() {
        assert_eq!((got.offset, got.key.as_deref()), (number as i64, Some(number.to_string().as_bytes())));
    }
}

#[test]
fn two_fetchers_read_their_own_partitions_in_order() {
    let world = World::new();
    world.topic("t", 4, &[]);
    (0..4).for_each(|partition| fill(&world, "t", partition, 3_000, 100));
    let mut readers =
        [[0, 1], [2, 3]].map(|own| world.fetch(own.map(|p| from("t", p, 0, None)).to_vec(), false, 64 << 10));
    for reader in &mut readers {
        reader.until(|reader| reader.got.iter().all(|got| got.len() >= 3_000)).unwrap();
        assert_numbered(reader, 0, 3_000);
        assert_numbered(reader, 1, 3_000);
        assert_eq!(reader.fetch.stats(0).position, 3_000);
        assert_eq!(reader.fetch.stats(1).end, 3_000);
    }
}

#[test]
fn a_partition_nobody_reads_is_not_fetched_without_end() {
    // Of the 20 MB of partition 0 only what fits its queue: a few batches of the producer, up to 1 MB each.
    const SLAB: usize = 32 << 10;
    let world = World::new();
    world.topic("t", 2, &[]);
    fill(&world, "t", 0, 20_000, 1_000);
    fill(&world, "t", 1, 2_000, 1_000);
    let mut reader = world.fetch(vec![from("t", 0, 0, None), from("t", 1, 0, None)], false, SLAB);
    while reader.got[1].len() < 2_000 {
        if !reader.poll(1).unwrap() {
            reader.woken.recv_timeout(PATIENCE).expect("a wake-up");
        }
    }
    let fetched = world.broker.stats().bytes_out;
    assert!(fetched < 6_000_000, "{fetched} bytes left the broker");
    reader.until(|reader| reader.got[0].len() >= 20_000).unwrap();
    assert_numbered(&reader, 0, 20_000);
    assert_numbered(&reader, 1, 2_000);
}

#[test]
fn slabs_keep_their_size() {
    let world = World::new();
    world.topic("t", 1, &[]);
    fill(&world, "t", 0, 3_000, 100);
    fill(&world, "t", 0, 1, 50_000);
    let mut reader = world.fetch(vec![from("t", 0, 0, Some(3_001))], false, 10_000);
    let mut largest = Vec::new();
    while !reader.ended[0] {
        let before = reader.got[0].len();
        if !reader.poll(0).unwrap() {
            reader.woken.recv_timeout(PATIENCE).expect("a wake-up");
        }
        let size = |got: &world::Got| got.value.as_ref().map_or(0, Vec::len) + got.key.as_ref().map_or(0, Vec::len);
        largest.push(reader.got[0][before..].iter().map(size).sum::<usize>());
    }
    assert_eq!(reader.got[0].len(), 3_001);
    let above: Vec<&usize> = largest.iter().filter(|bytes| **bytes > 10_000).collect();
    assert_eq!(above, [&50_001], "only the record that is larger by itself");
}

#[test]
fn an_end_behind_aborted_and_control_records_is_reached() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let producer = world.producer(&[("transactional.id", "x")]);
    producer.init_transactions(PATIENCE).unwrap();
    for commits in [true, false] {
        producer.begin_transaction().unwrap();
        for number in 0..10 {
            producer.send(BaseRecord::to("t").key(&format!("{commits}{number}")).payload("v")).unwrap();
        }
        flush(&producer);
        if commits {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let until = Kafka.bounds(&world.client, "t", 1).unwrap()[0].end;
    assert_eq!(until, 22, "two times ten records and a marker");
    for (until, records) in [(until, 10), (10, 10), (11, 10), (15, 10), (4, 4), (0, 0)] {
        let mut reader = world.fetch(vec![from("t", 0, 0, Some(until))], false, 64 << 10);
        reader.until(|reader| reader.ended[0]).unwrap();
        assert_eq!(reader.got[0].len(), records, "until {until}");
        assert!(reader.got[0].iter().all(|got| got.key.as_ref().is_some_and(|key| key.starts_with(b"true"))));
        assert!(reader.fetch.stats(0).position >= until, "until {until}");
    }
}

#[test]
fn headers_nulls_and_times_arrive_as_they_were_sent() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let producer = world.producer(&[]);
    let (one, two) = (Header { key: "a", value: Some("1") }, Header { key: "a", value: Some("2") });
    let headers = OwnedHeaders::new().insert(one).insert(two);
    let headers = headers.insert(Header::<&str> { key: "n", value: None }).insert(Header { key: "e", value: Some("") });
    producer.send(BaseRecord::to("t").key("k").payload("v").timestamp(1_234).headers(headers)).unwrap();
    producer.send(BaseRecord::<str, str>::to("t").key("k").timestamp(2)).unwrap();
    producer.send(BaseRecord::<str, str>::to("t").key("").payload("").timestamp(3)).unwrap();
    flush(&producer);
    for with_headers in [true, false] {
        let mut reader = world.fetch(vec![from("t", 0, 0, Some(3))], with_headers, 64 << 10);
        reader.until(|reader| reader.ended[0]).unwrap();
        let [first, second, third] = &reader.got[0][..] else { panic!("{:?}", reader.got) };
        assert_eq!((first.timestamp_ms, second.timestamp_ms, third.timestamp_ms), (1_234, 2, 3));
        assert_eq!((&first.key, &first.value), (&Some(b"k".to_vec()), &Some(b"v".to_vec())));
        assert_eq!((&second.key, &second.value), (&Some(b"k".to_vec()), &None));
        let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(|v| v.as_bytes().to_vec()));
        let sent = vec![pair("a", Some("1")), pair("a", Some("2")), pair("n", None), pair("e", Some(""))];
        assert_eq!(first.headers, with_headers.then_some(sent));
        assert_eq!(second.headers, None);
        assert_eq!((&third.key, &third.value), (&Some(vec![]), &Some(vec![])));
    }
}

#[test]
fn an_arrival_wakes_a_sleeping_reader() {
    let world = World::new();
    world.topic("t", 2, &[]);
    let mut reader = world.fetch(vec![from("t", 0, 0, None), from("t", 1, 0, None)], false, 64 << 10);
    for round in 1..=5 {
        for partition in [1, 0] {
            fill(&world, "t", partition, 1, 10);
            reader.until(|reader| reader.got[partition as usize].len() == round).unwrap();
        }
    }
}

#[test]
fn records_taken_by_retention_are_counted_and_told() {
    let world = World::new();
    world.topic("t", 1, &[]);
    (0..20).for_each(|_| fill(&world, "t", 0, 10, 100));
    world.delete_before("t", 0, 120);
    let mut reader = world.fetch(vec![from("t", 0, 5, Some(200))], false, 64 << 10);
    reader.until(|reader| reader.ended[0]).unwrap();
    assert_eq!(reader.got[0].len(), 80);
    assert_eq!(reader.got[0][0].offset, 120);
    assert_eq!(reader.fetch.stats(0).records_lost, 115);
    let notices = reader.fetch.notices().join("\n");
    let told = notices.contains("topic t partition 0: offsets 5 to 119") && notices.contains("115 records lost");
    assert!(told, "{notices}");
}

#[test]
fn an_offset_above_the_end_asks_for_a_restart_there() {
    let world = World::new();
    world.topic("t", 1, &[]);
    fill(&world, "t", 0, 5, 10);
    let mut reader = world.fetch(vec![from("t", 0, 9, None)], false, 64 << 10);
    let fatal = reader.until(|reader| !reader.got[0].is_empty()).unwrap_err();
    let text = &fatal.message;
    assert!(text.contains("topic t partition 0") && text.contains("offset 9") && text.contains("ends at 5"), "{text}");
    let at = TopicPartition { topic: "t".to_owned(), partition: 0 };
    assert_eq!(fatal.remedy, Remedy::Restart(vec![(at, 5)]));
    assert_eq!(reader.poll(0), Err(fatal), "it stays so");
}

#[test]
fn a_broker_that_is_away_is_told_once_and_found_again() {
    let mut config = BrokerConfig::default();
    let dir = std::env::temp_dir().join(format!("velo-fetch-{}", std::process::id()));
    config.dir = Some(dir.clone());
    let mut world = World::with(config.clone());
    world.topic("t", 1, &[]);
    fill(&world, "t", 0, 1, 10);
    let mut reader = world.fetch(vec![from("t", 0, 0, None)], false, 64 << 10);
    reader.until(|reader| reader.got[0].len() == 1).unwrap();
    let address = world.broker.addresses()[0].clone();
    config.port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    // The old broker has to go before a new one can take its port.
    let other =
        std::mem::replace(&mut world.broker, velostream_broker::Broker::start(BrokerConfig::default()).unwrap());
    other.stop();
    let mut told = Vec::new();
    while told.is_empty() {
        reader.woken.recv_timeout(PATIENCE).expect("a wake-up");
        reader.poll(0).unwrap();
        told = reader.fetch.notices();
    }
    assert!(told[0].contains(&address) && told[0].contains("trying again"), "{told:?}");
    world.broker = velostream_broker::Broker::start(config).unwrap();
    fill(&world, "t", 0, 1, 10);
    reader.until(|reader| reader.got[0].len() == 2).unwrap();
    drop(world);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_name_that_is_no_topic_is_refused() {
    let world = World::new();
    let spec = FetchSpec {
        client: world.client.clone(),
        group: "g".to_owned(),
        partitions: vec![from("a\0b", 0, 0, None)],
        headers: false,
        slab_bytes: 1_000,
    };
    let fatal = Kafka.fetch(spec, wake().0).err().unwrap();
    assert!(fatal.message.contains("no partition a client can read"), "{fatal}");
}
