//! The consumer that the drivers are measured against: every record once and in order, null as empty, the ends, and no
//! end of the queue at the end of a log.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod world;

use std::time::Duration;

use rdkafka::producer::BaseRecord;
use velostream_kafka::bare::{BareConsumer, BareRecord};
use velostream_kafka::config::{Role, client_config};

use world::{PATIENCE, World, flush};

/// A consumer of all partitions of `t`.
fn open(world: &World, partitions: i32) -> BareConsumer {
    let config = client_config(&world.client, &Role::Fetch { group: "bare".to_owned() }).unwrap();
    BareConsumer::open(&config, "t", partitions).unwrap()
}

/// What one call, or as many as it takes, hands out: partition, offset and value of `count` records.
fn read(consumer: &mut BareConsumer, count: usize) -> Vec<(i32, i64, Vec<u8>)> {
    let mut got = Vec::new();
    while got.len() < count {
        let before = got.len();
        let each = |record: BareRecord<'_>| {
            got.push((record.partition, record.offset, record.value.to_vec()));
        };
        let taken = consumer.take(PATIENCE, each).unwrap();
        assert!(taken > 0, "nothing came within {PATIENCE:?}");
        assert_eq!(got.len() - before, taken);
    }
    got
}

#[test]
fn all_partitions_from_their_starts_each_in_order() {
    // More than two calls take.
    const EACH: i64 = 1_500;
    let world = World::new();
    world.topic("t", 2, &[]);
    let producer = world.producer(&[]);
    for partition in 0..2 {
        for offset in 0..EACH {
            let value = format!("{partition}:{offset}");
            let record = BaseRecord::<(), str>::to("t").partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    flush(&producer);
    let mut consumer = open(&world, 2);
    assert_eq!(consumer.ends("t", 2, PATIENCE).unwrap(), [EACH, EACH]);
    let got = read(&mut consumer, 2 * EACH as usize);
    for partition in 0..2 {
        let own: Vec<_> = got.iter().filter(|(p, ..)| *p == partition).collect();
        assert_eq!(own.len() as i64, EACH);
        for (offset, (_, got, value)) in (0..).zip(own) {
            assert_eq!((*got, value.as_slice()), (offset, format!("{partition}:{offset}").as_bytes()));
        }
    }
}

#[test]
fn null_is_empty_and_an_end_is_no_record() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let producer = world.producer(&[]);
    producer.send(BaseRecord::<str, [u8]>::to("t").key("k")).map_err(|(error, _)| error).unwrap();
    flush(&producer);
    let mut consumer = open(&world, 1);
    assert_eq!(read(&mut consumer, 1), [(0, 0, Vec::new())]);
    assert_eq!(consumer.take(Duration::ZERO, |_| panic!("there is nothing more")).unwrap(), 0);
    // It can be asked again: what comes later comes.
    producer.send(BaseRecord::<(), str>::to("t").payload("later")).map_err(|(error, _)| error).unwrap();
    flush(&producer);
    assert_eq!(read(&mut consumer, 1), [(0, 1, b"later".to_vec())]);
}
