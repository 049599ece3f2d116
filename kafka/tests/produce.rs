//! Writing through librdkafka: marks, full queues, refused records, and what a record looks like on the other side.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod world;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use velostream_broker::Fault;
use velostream_kafka::{Kafka, partition_of};
use velostream_types::Chunk;
use velostream_types::headers::Headers;
use velostream_types::topic::{Broker, Produce, ProduceSpec};

use world::{Got, PATIENCE, World, from, wake};

fn produce(world: &World, topics: &[&str], settings: &[(&str, &str)]) -> (Box<dyn Produce>, Receiver<()>) {
    let mut client = world.client.clone();
    client.settings.extend(settings.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    let topics = topics.iter().map(|topic| topic.to_string()).collect();
    let (wake, woken) = wake();
    let eager = !client.settings.contains_key("linger.ms");
    (Kafka.produce(ProduceSpec { client, topics, eager }, wake).unwrap(), woken)
}

fn rows(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Chunk {
    let mut chunk = Chunk::default();
    for value in values {
        chunk.bytes.extend_from_slice(value.as_ref());
        chunk.bytes.push(b'\n');
        chunk.end_row();
    }
    chunk
}

fn read(world: &World, topic: &str, partition: u32) -> Vec<Got> {
    let end = Kafka.bounds(&world.client, topic, partition + 1).unwrap()[partition as usize].end;
    let mut reader = world.fetch(vec![from(topic, partition, 0, Some(end))], true, 64 << 10);
    reader.until(|reader| reader.ended[0]).unwrap();
    reader.got.remove(0)
}

/// Sleeps until woken and takes reports, until `done`.
fn until(produce: &mut dyn Produce, woken: &Receiver<()>, mut done: impl FnMut(&mut dyn Produce) -> bool) {
    while !done(produce) {
        woken.recv_timeout(PATIENCE).expect("a wake-up");
        produce.poll().unwrap();
    }
}

#[test]
fn marks_are_acknowledged_in_order_and_wake() {
    let world = World::new();
    world.topic("t", 4, &[]);
    let (mut produce, woken) = produce(&world, &["t"], &[]);
    for turn in 1..=50 {
        let chunk = rows((0..20).map(|row| format!("{turn}-{row}")));
        assert_eq!(produce.send(0, &chunk, 0).unwrap(), 20);
        produce.mark(turn);
    }
    let mut last = 0;
    until(&mut *produce, &woken, |produce| {
        let acknowledged = produce.acknowledged();
        assert!(acknowledged >= last);
        last = acknowledged;
        last == 50
    });
    assert_eq!(produce.outstanding(), 0);
    produce.mark(51);
    assert_eq!(produce.acknowledged(), 51, "nothing was sent for it");
    assert_eq!((0..4).map(|partition| read(&world, "t", partition).len()).sum::<usize>(), 1_000);
}

#[test]
fn a_record_has_key_value_time_and_headers() {
    let world = World::new();
    world.topic("t", 3, &[]);
    let (mut produce, _woken) = produce(&world, &["t"], &[]);
    let mut chunk = rows(["one", "gone", ""]);
    chunk.keys = [Some("k1"), Some("k2"), None].map(|key| key.map(|key| key.as_bytes().into())).to_vec();
    chunk.deletes = vec![false, true, false];
    chunk.times_ms = vec![11, 12, 13];
    chunk.event_ns = vec![5_000_000, -1, 7_000_001];
    // Two headers `a`, the second null, in the record format.
    chunk.headers = vec![Some(b"\x04\x02a\x021\x02a\x01".as_slice().into()), None, None];
    assert_eq!(produce.send(0, &chunk, 0).unwrap(), 3);
    assert!(produce.flush(PATIENCE).unwrap());
    let all: Vec<Vec<Got>> = (0..3).map(|partition| read(&world, "t", partition)).collect();
    let text = |key: &str, value: &str| (key.to_owned(), Some(value.as_bytes().to_vec()));
    let find = |time: i64| {
        let mut found = all.iter().enumerate().flat_map(|(partition, got)| got.iter().map(move |got| (partition, got)));
        found.find(|(_, got)| got.timestamp_ms == time).unwrap()
    };
    let (partition, one) = find(11);
    assert_eq!(partition as u32, partition_of(b"k1", 3));
    assert_eq!((one.key.as_deref(), one.value.as_deref()), (Some(b"k1".as_slice()), Some(b"one".as_slice())));
    let own = vec![text("a", "1"), ("a".to_owned(), None), text("_EVENT_TIME", "5")];
    assert_eq!(one.headers, Some(own));
    let (partition, gone) = find(12);
    assert_eq!(partition as u32, partition_of(b"k2", 3));
    assert_eq!((gone.key.as_deref(), gone.value.as_deref()), (Some(b"k2".as_slice()), None));
    assert_eq!(gone.headers, Some(vec![text("_EVENT_TIME", "-1"), text("_EVENT_TIME_NS", "-1")]));
    let (_, empty) = find(13);
    assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (None, Some(b"".as_slice())));
    assert_eq!(empty.headers, Some(vec![text("_EVENT_TIME", "7"), text("_EVENT_TIME_NS", "7000001")]));
}

#[test]
fn framed_rows_keep_their_last_byte() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let (mut produce, _woken) = produce(&world, &["t"], &[]);
    let mut chunk = rows(["x"]);
    chunk.framed = true;
    produce.send(0, &chunk, 0).unwrap();
    assert!(produce.flush(PATIENCE).unwrap());
    assert_eq!(read(&world, "t", 0)[0].value.as_deref(), Some(b"x\n".as_slice()));
}

#[test]
fn a_full_queue_takes_a_part_and_wakes_for_the_rest() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let (mut produce, woken) = produce(&world, &["t"], &[("queue.buffering.max.messages", "100")]);
    world.broker.inject(&Fault::DelayMs(100)).unwrap();
    let chunk = rows((0..350).map(|row| row.to_string()));
    let mut from = produce.send(0, &chunk, 0).unwrap();
    assert!(from <= 100, "{from} rows in a queue of 100");
    world.broker.inject(&Fault::Clear).unwrap();
    until(&mut *produce, &woken, |produce| {
        from += produce.send(0, &chunk, from).unwrap();
        from == 350
    });
    produce.mark(1);
    until(&mut *produce, &woken, |produce| produce.acknowledged() == 1);
    let values: Vec<Vec<u8>> = read(&world, "t", 0).into_iter().filter_map(|got| got.value).collect();
    assert_eq!(values, (0..350).map(|row| row.to_string().into_bytes()).collect::<Vec<_>>());
}

#[test]
fn a_record_too_large_is_handed_back_and_holds_its_mark() {
    let check = |config: &[(&str, &str)], settings: &[(&str, &str)]| {
        let world = World::new();
        world.topic("t", 1, &[]);
        world.topic("small", 1, config);
        let (mut produce, woken) = produce(&world, &["t", "small"], settings);
        let mut large = rows(["x".repeat(50_000)]);
        large.keys = vec![Some(b"key".as_slice().into())];
        large.headers = vec![Some(b"\x02\x02a\x021".as_slice().into())];
        (large.event_ns, large.times_ms) = (vec![7_000_001], vec![11]);
        assert_eq!(produce.send(1, &large, 0).unwrap(), 1);
        assert_eq!(produce.send(0, &rows(["fine"]), 0).unwrap(), 1);
        produce.mark(1);
        let mut rejected = Vec::new();
        until(&mut *produce, &woken, |produce| {
            rejected.extend(produce.take_rejected());
            !rejected.is_empty() && produce.outstanding() == 1
        });
        assert_eq!((rejected.len(), rejected[0].topic, rejected[0].key.as_deref()), (1, 1, Some(b"key".as_slice())));
        assert_eq!(rejected[0].value.as_ref().map(Vec::len), Some(50_000));
        assert!(rejected[0].reason.contains("arge"), "{}", rejected[0].reason);
        assert_eq!(rejected[0].timestamp_ms, Some(11));
        let headers: Vec<_> = Headers::new(rejected[0].headers.as_deref().unwrap()).collect();
        let value = |value: &'static str| Some(value.as_bytes());
        let ns = (b"_EVENT_TIME_NS".as_slice(), value("7000001"));
        assert_eq!(headers, [(b"a".as_slice(), value("1")), (b"_EVENT_TIME", value("7")), ns]);
        assert_eq!(produce.acknowledged(), 0);
        assert!(!produce.flush(PATIENCE).unwrap(), "nothing to wait for, and not everything is safe");
        produce.buried(1);
        assert_eq!((produce.acknowledged(), produce.outstanding()), (1, 0));
        assert!(produce.flush(PATIENCE).unwrap());
    };
    check(&[("max.message.bytes", "10000")], &[]);
    check(&[], &[("message.max.bytes", "10000")]);
}

#[test]
fn of_a_batch_too_large_only_the_record_at_fault_is_handed_back() {
    let world = World::new();
    world.topic("small", 1, &[("max.message.bytes", "10000"), ("retention.ms", "-1")]);
    let (mut produce, _woken) = produce(&world, &["small"], &[("linger.ms", "200")]);
    let small = |from: u32| (from..from + 40).map(|row| format!("{row:0>1000}"));
    let mut chunk = rows(small(0).chain(["x".repeat(50_000)]).chain(small(40)));
    chunk.times_ms = (1_000..1_081).collect();
    assert_eq!(produce.send(0, &chunk, 0).unwrap(), 81);
    produce.mark(1);
    assert!(!produce.flush(PATIENCE).unwrap(), "all but one");
    let rejected = produce.take_rejected();
    assert_eq!(rejected.iter().map(|r| r.value.as_ref().unwrap().len()).collect::<Vec<_>>(), [50_000]);
    assert_eq!((produce.outstanding(), produce.acknowledged()), (1, 0));
    produce.buried(1);
    assert_eq!(produce.acknowledged(), 1);
    let got = read(&world, "small", 0);
    let times: Vec<i64> = got.iter().map(|got| got.timestamp_ms).collect();
    assert_eq!(times, (1_000..1_040).chain(1_041..1_081).collect::<Vec<_>>(), "timestamps survive");
    let values: Vec<Vec<u8>> = got.into_iter().filter_map(|got| got.value).collect();
    assert_eq!(values, small(0).chain(small(40)).map(String::into_bytes).collect::<Vec<_>>(), "in order, once");
}

#[test]
fn a_flush_waits_no_longer_than_told() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let (mut produce, _woken) = produce(&world, &["t"], &[]);
    world.broker.inject(&Fault::DelayMs(300)).unwrap();
    produce.send(0, &rows(["x"]), 0).unwrap();
    assert!(!produce.flush(Duration::from_millis(1)).unwrap());
    assert!(produce.flush(PATIENCE).unwrap());
}

#[test]
fn a_connection_lost_behind_a_write_repeats_nothing() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let (mut produce, _woken) = produce(&world, &["t"], &[]);
    world.broker.inject(&Fault::DropAfter { request: "Produce".to_owned(), times: 2 }).unwrap();
    produce.send(0, &rows((0..100).map(|row| row.to_string())), 0).unwrap();
    assert!(produce.flush(PATIENCE).unwrap());
    let values: Vec<Vec<u8>> = read(&world, "t", 0).into_iter().filter_map(|got| got.value).collect();
    assert_eq!(values, (0..100).map(|row| row.to_string().into_bytes()).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_is_not_there_ends_the_start() {
    let world = World::new();
    let spec = ProduceSpec { client: world.client.clone(), topics: vec!["none".to_owned()], eager: false };
    let fatal = Kafka.produce(spec, wake().0).err().unwrap();
    assert!(fatal.message.contains("topic none does not exist"), "{fatal}");
}
