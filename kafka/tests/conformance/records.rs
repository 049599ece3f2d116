//! Item: produce and fetch, with RecordBatch v2 stored as it was sent.

use std::time::Duration;

use kafka_protocol::messages::*;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::BaseRecord;
use velostream_broker::errors;

use crate::raw::{ANYONE, Record, batch, fetch, plain, record, stored};
use crate::wire::{Client, Fetch, produce_request};
use crate::world::{World, flush, now, now_ms, send, until};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("keys, values, headers, timestamps: null and empty stay apart", whole_records),
    both("gzip, snappy, lz4 and zstd come back", codecs),
    both("ten thousand records keep their order in each partition", order),
    both("a stored batch is the producer's, byte by byte", bytes_as_sent),
    both("every version of Produce and Fetch that clients use", versions),
    both("a wrong checksum, a cut batch and a wrong magic are refused", damaged),
    both("a batch above max.message.bytes is refused", too_large),
    both("LogAppendTime replaces the producer's times", log_append_time),
    both("times too far from the broker's clock are refused", strange_times),
    both("acks 0 has no answer, 1 and all have, 2 is refused", acks),
    both("a fetch waits for bytes, and no longer than told", waits),
    both("a first batch comes whole above the limits", whole_first_batch),
    both("offsets outside the log are out of range", out_of_range),
    both("a fetch inside a batch begins with the whole batch", inside_a_batch),
    both("unknown topics and partitions are said to be unknown", unknown),
];

fn whole_records(world: &World) {
    let name = world.topic(1, &[]);
    let producer = world.producer(&[]);
    let base = now_ms() - 5_000;
    let headers = OwnedHeaders::new()
        .insert(Header { key: "twice", value: Some("1") })
        .insert(Header { key: "twice", value: Some("2") })
        .insert(Header { key: "null", value: None::<&str> })
        .insert(Header { key: "empty", value: Some("") });
    producer
        .send(BaseRecord::to(&name).key("k").payload("v").timestamp(base).headers(headers))
        .map_err(|(error, _)| error)
        .expect("queued");
    let empty = BaseRecord::to(&name).key("").payload("").timestamp(base + 1);
    producer.send(empty).map_err(|(error, _)| error).expect("queued");
    let nothing = BaseRecord::<(), ()>::to(&name).timestamp(base + 2);
    producer.send(nothing).map_err(|(error, _)| error).expect("queued");
    flush(&producer);
    let found = world.read(&name, 1, true);
    let shape: Vec<_> = found.iter().map(|m| (m.key(), m.payload(), m.timestamp())).collect();
    assert_eq!(
        shape,
        [
            (Some(&b"k"[..]), Some(&b"v"[..]), Timestamp::CreateTime(base)),
            (Some(&b""[..]), Some(&b""[..]), Timestamp::CreateTime(base + 1)),
            (None, None, Timestamp::CreateTime(base + 2)),
        ]
    );
    let headers = found[0].headers().expect("headers");
    let headers: Vec<_> = headers.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(
        headers,
        [("twice", Some(&b"1"[..])), ("twice", Some(&b"2"[..])), ("null", None), ("empty", Some(&b""[..]))]
    );
}

fn codecs(world: &World) {
    let name = world.topic(1, &[]);
    let text = "the same words again and again ".repeat(20);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        let producer = world.producer(&[("compression.codec", codec)]);
        let values: Vec<String> = (0..50).map(|i| format!("{codec} {i} {text}")).collect();
        send(&producer, &name, 0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let found = world.values(&name, 1, true);
    assert_eq!(found.len(), 250);
    for (i, value) in found.iter().enumerate() {
        assert_eq!(*value, format!("{} {} {text}", codecs[i / 50], i % 50));
    }
}

fn order(world: &World) {
    let name = world.topic(4, &[]);
    let producer = world.producer(&[("linger.ms", "5")]);
    let values: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    for (i, value) in values.iter().enumerate() {
        let record = BaseRecord::<(), str>::to(&name).payload(value).partition(i as i32 % 4);
        producer.send(record).map_err(|(error, _)| error).expect("queued");
    }
    flush(&producer);
    let found = world.read(&name, 4, true);
    assert_eq!(found.len(), 10_000);
    for (i, message) in found.iter().enumerate() {
        let (partition, offset) = (i / 2_500, i % 2_500);
        assert_eq!((message.partition(), message.offset()), (partition as i32, offset as i64));
        assert_eq!(message.payload(), Some((offset * 4 + partition).to_string().as_bytes()));
    }
}

fn bytes_as_sent(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let sent = plain(&["one", "two", "three"]);
    for i in 0..3 {
        let answer = client.produce(8, &name, 0, sent.clone());
        assert_eq!((answer.error_code, answer.base_offset, answer.log_start_offset), (0, 3 * i, 0));
    }
    let got = fetch(&mut client, &name, 0, false).records.expect("records");
    assert_eq!(got.len(), 3 * sent.len());
    for (i, one) in got.chunks(sent.len()).enumerate() {
        // The broker's own are the base offset and the leader epoch, which the checksum leaves out.
        assert_eq!(one[..8], (3 * i as i64).to_be_bytes());
        assert_eq!((&one[8..12], &one[16..]), (&sent[8..12], &sent[16..]), "batch {i}");
    }
    assert_eq!(stored(&got).iter().map(|b| b.next_offset).collect::<Vec<_>>(), [3, 6, 9]);
}

fn versions(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    for (i, version) in (3..=8).enumerate() {
        let answer = client.produce(version, &name, 0, plain(&["a", "b"]));
        assert_eq!((answer.error_code, answer.base_offset), (0, 2 * i as i64), "Produce v{version}");
    }
    for version in 4..=11 {
        let data = client.fetch(version, &Fetch { topic: &name, ..Fetch::default() });
        assert_eq!((data.error_code, data.high_watermark, data.last_stable_offset), (0, 12, 12), "Fetch v{version}");
        assert_eq!(stored(&data.records.expect("records")).len(), 6, "Fetch v{version}");
    }
}

fn damaged(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let good = plain(&["some value"]);
    let mut check = |what: &str, bytes: Vec<u8>, want: &[i16]| {
        let code = client.produce(8, &name, 0, bytes.into()).error_code;
        assert!(want.contains(&code), "{what}: code {code}, expected one of {want:?}");
    };
    let mut flipped = good.to_vec();
    *flipped.last_mut().expect("bytes") ^= 1;
    check("a flipped bit", flipped, &[errors::CORRUPT_MESSAGE]);
    let mut old = good.to_vec();
    old[16] = 1;
    check("magic 1", old, &[errors::CORRUPT_MESSAGE, errors::UNSUPPORTED_FOR_MESSAGE_FORMAT, errors::INVALID_RECORD]);
    check("cut", good[..good.len() - 3].to_vec(), &[errors::INVALID_RECORD]);
    check("cut in its header", good[..20].to_vec(), &[errors::INVALID_RECORD]);
    check("cut in its length", good[..7].to_vec(), &[errors::INVALID_RECORD]);
    check("nothing", Vec::new(), &[errors::INVALID_RECORD]);
    let mut long = good.to_vec();
    long[9] = 0x7f;
    check("a length beyond its end", long, &[errors::INVALID_RECORD]);
    check("two batches", [&good[..], &good[..]].concat(), &[errors::INVALID_RECORD]);
    assert_eq!(client.offset(&name, 0, -1, false), (0, 0), "nothing of it was stored");
}

fn too_large(world: &World) {
    let name = world.topic(1, &[("max.message.bytes", "1000")]);
    let mut client = world.raw();
    let fill = 1000 - plain(&[""]).len() - 2;
    assert_eq!(client.produce(8, &name, 0, plain(&["x".repeat(1000).as_str()])).error_code, errors::MESSAGE_TOO_LARGE);
    let largest = plain(&["x".repeat(fill).as_str()]);
    assert_eq!(largest.len(), 1000, "exactly the limit");
    assert_eq!(client.produce(8, &name, 0, largest).error_code, 0);
    let producer = world.producer(&[]);
    let large = "x".repeat(5_000);
    let record = BaseRecord::<(), str>::to(&name).payload(&large);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    rdkafka::producer::Producer::flush(&producer, Duration::from_secs(30)).expect("flushed");
    let delivered = rdkafka::producer::Producer::context(&producer).deliveries();
    let code = delivered[0].as_ref().expect_err("too large").rdkafka_error_code();
    assert_eq!(code, Some(rdkafka::error::RDKafkaErrorCode::MessageSizeTooLarge));
}

fn log_append_time(world: &World) {
    let name = world.topic(1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut client = world.raw();
    let before = now_ms();
    let old = |value: &str| Record { time_ms: before - 3_600_000, ..record(value) };
    let answer = client.produce(8, &name, 0, batch(&[old("a"), old("b")], ANYONE));
    assert_eq!(answer.error_code, 0);
    assert!((before - 1_000..=now_ms() + 1_000).contains(&answer.log_append_time_ms), "{answer:?}");
    let got = stored(&fetch(&mut client, &name, 0, false).records.expect("records"));
    assert!(got[0].log_append_time);
    assert_eq!(got[0].max_time_ms, answer.log_append_time_ms);
    for message in world.read(&name, 1, true) {
        assert_eq!(message.timestamp(), Timestamp::LogAppendTime(answer.log_append_time_ms));
    }
    let create = world.topic(1, &[]);
    assert_eq!(client.produce(8, &create, 0, plain(&["a"])).log_append_time_ms, -1, "CreateTime tells none");
}

fn strange_times(world: &World) {
    let name =
        world.topic(1, &[("message.timestamp.after.max.ms", "1000"), ("message.timestamp.before.max.ms", "60000")]);
    let mut client = world.raw();
    let mut check = |shift_ms: i64, want: i16| {
        let bytes = batch(&[Record { time_ms: now_ms() + shift_ms, ..record("a") }], ANYONE);
        assert_eq!(client.produce(8, &name, 0, bytes).error_code, want, "{shift_ms} ms from now");
    };
    const INVALID_TIMESTAMP: i16 = 32;
    check(0, 0);
    check(-30_000, 0);
    check(-120_000, INVALID_TIMESTAMP);
    check(60_000, INVALID_TIMESTAMP);
}

fn acks(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    client.send(8, &produce_request(&name, 0, plain(&["a"]), 0, None));
    // The next answer on this connection is the next request's.
    until("the silent record arrived", || client.offset(&name, 0, -1, false) == (0, 1));
    for (acks, want) in [(1, 0), (-1, 0), (2, errors::INVALID_REQUIRED_ACKS)] {
        let answer = client.call(8, &produce_request(&name, 0, plain(&["a"]), acks, None));
        assert_eq!(answer.responses[0].partition_responses[0].error_code, want, "acks {acks}");
    }
    client.send(8, &produce_request("velo-there-is-no-such-topic", 0, plain(&["a"]), 0, None));
    assert!(client.is_closed(), "a failed record nobody waits for ends the connection");
}

fn waits(world: &World) {
    let name = world.topic(1, &[]);
    let (mut reader, mut writer) = (world.raw(), world.raw());
    let start = now();
    let data = reader.fetch(11, &Fetch { topic: &name, min_bytes: 1, max_wait_ms: 300, ..Fetch::default() });
    let took = start.elapsed();
    assert_eq!((data.error_code, data.records.map_or(0, |bytes| bytes.len())), (0, 0));
    assert!((Duration::from_millis(250)..Duration::from_secs(10)).contains(&took), "waited {took:?}, told 300 ms");
    let start = now();
    reader.send(11, &Fetch { topic: &name, min_bytes: 1, max_wait_ms: 25_000, ..Fetch::default() }.request(11));
    assert_eq!(writer.produce(8, &name, 0, plain(&["a"])).error_code, 0);
    let answer = reader.receive::<FetchRequest>(11).expect("an answer");
    assert!(start.elapsed() < Duration::from_secs(20), "woken by the record");
    let got = stored(answer.responses[0].partitions[0].records.as_ref().expect("records"));
    assert_eq!(got.len(), 1);
}

fn whole_first_batch(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let large = plain(&["x".repeat(3_000).as_str()]);
    (0..2).for_each(|_| assert_eq!(client.produce(8, &name, 0, large.clone()).error_code, 0));
    let mut request = Fetch { topic: &name, ..Fetch::default() }.request(11);
    request.max_bytes = 10;
    request.topics[0].partitions[0].partition_max_bytes = 10;
    let data = client.call(11, &request).responses[0].partitions[0].clone();
    assert_eq!(data.records.expect("records").len(), large.len(), "the first one whole, nothing of the second");
}

fn out_of_range(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["a", "b"])).error_code, 0);
    assert_eq!(fetch(&mut client, &name, 2, false).error_code, 0, "the end itself is in range");
    assert_eq!(fetch(&mut client, &name, 3, false).error_code, errors::OFFSET_OUT_OF_RANGE);
    assert_eq!(fetch(&mut client, &name, -5, false).error_code, errors::OFFSET_OUT_OF_RANGE);
}

fn inside_a_batch(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["a", "b", "c"])).error_code, 0);
    assert_eq!(client.produce(8, &name, 0, plain(&["d", "e"])).error_code, 0);
    let bases = |client: &mut Client, offset| {
        let got = stored(&fetch(client, &name, offset, false).records.expect("records"));
        got.iter().map(|batch| batch.base_offset).collect::<Vec<_>>()
    };
    assert_eq!(bases(&mut client, 2), [0, 3]);
    assert_eq!(bases(&mut client, 3), [3]);
    assert_eq!(bases(&mut client, 4), [3]);
}

fn unknown(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let want = errors::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(client.produce(8, &name, 7, plain(&["a"])).error_code, want);
    assert_eq!(client.fetch(11, &Fetch { topic: &name, index: 7, ..Fetch::default() }).error_code, want);
    assert_eq!(client.offset(&name, 7, -1, false).0, want);
    let nobody = world.name("nobody");
    assert_eq!(client.produce(8, &nobody, 0, plain(&["a"])).error_code, want);
    assert_eq!(fetch(&mut client, &nobody, 0, false).error_code, want);
    assert_eq!(client.offset(&nobody, 0, -1, false).0, want);
}
