//! Item: the time index: ListOffsets by timestamp.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, DeleteRecordsRequest, ListOffsetsRequest};
use rdkafka::consumer::Consumer;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::raw::{ANYONE, Record, Transactional, batch, record};
use crate::wire::{Client, topic};
use crate::world::{PATIENCE, World, flush, now_ms};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("earliest, latest, at, between and behind", times),
    both("a time inside a batch finds the record, not the batch", inside),
    both("a time inside a compressed batch finds the record", inside_compressed),
    both("times out of order: the first offset that is young enough", out_of_order),
    both("the record with the greatest time", greatest),
    both("a time over several segments", segments),
    both("deleted records are not found", behind_deleted),
    both("what an open transaction holds is not found by committed readers", open_transaction),
];

/// Writes a batch with one record per time.
fn write(client: &mut Client, name: &str, times: &[i64]) {
    let records: Vec<_> = times.iter().map(|time_ms| Record { time_ms: *time_ms, ..record("x") }).collect();
    assert_eq!(client.produce(8, name, 0, batch(&records, ANYONE)).error_code, 0);
}

/// Offset and time found for a time.
fn find(client: &mut Client, name: &str, time_ms: i64, committed: bool) -> (i64, i64) {
    let wanted = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(time_ms);
    let wanted = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(committed.into())
        .with_topics(vec![wanted]);
    let found = client.call(7, &request).topics[0].partitions[0].clone();
    assert_eq!(found.error_code, 0, "time {time_ms}");
    (found.offset, found.timestamp)
}

fn times(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    assert_eq!(find(&mut client, &name, base, false), (-1, -1), "nothing there");
    [0, 10, 20].iter().for_each(|shift| write(&mut client, &name, &[base + shift]));
    let mut check = |time_ms: i64, want: (i64, i64)| assert_eq!(find(&mut client, &name, time_ms, false), want);
    check(-2, (0, -1));
    check(-1, (3, -1));
    check(0, (0, base));
    check(base, (0, base));
    check(base + 1, (1, base + 10));
    check(base + 10, (1, base + 10));
    check(base + 20, (2, base + 20));
    check(base + 21, (-1, -1));
    let consumer = world.consumer("none", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&name, 0, Offset::Offset(base + 5)).expect("offset");
    let found = consumer.offsets_for_times(list, PATIENCE).expect("found");
    assert_eq!(found.elements()[0].offset(), Offset::Offset(1), "through librdkafka");
}

fn inside(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    let times: Vec<i64> = (0..50).map(|i| base + i * 10).collect();
    write(&mut client, &name, &times);
    for (i, time_ms) in times.iter().enumerate() {
        assert_eq!(find(&mut client, &name, time_ms - 9, false), (i as i64, *time_ms));
    }
}

fn inside_compressed(world: &World) {
    let name = world.topic(1, &[]);
    let base = now_ms() - 100_000;
    for (i, codec) in ["gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let producer = world.producer(&[("compression.codec", codec), ("linger.ms", "200")]);
        for j in 0..20 {
            let time_ms = base + (i as i64 * 20 + j) * 10;
            let record = BaseRecord::<(), str>::to(&name).payload("the same again and again").timestamp(time_ms);
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
        flush(&producer);
    }
    let mut client = world.raw();
    for i in 0..80 {
        assert_eq!(find(&mut client, &name, base + i * 10 - 5, false), (i, base + i * 10));
    }
}

fn out_of_order(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    write(&mut client, &name, &[base + 50, base + 10]);
    write(&mut client, &name, &[base + 30]);
    write(&mut client, &name, &[base + 20, base + 70, base + 60]);
    let mut check = |shift: i64, want: (i64, i64)| {
        assert_eq!(find(&mut client, &name, base + shift, false), (want.0, base + want.1), "{shift}");
    };
    check(0, (0, 50));
    check(40, (0, 50));
    check(51, (4, 70));
    check(65, (4, 70));
}

fn greatest(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    assert_eq!(find(&mut client, &name, -3, false), (-1, -1), "of nothing");
    write(&mut client, &name, &[base + 10, base + 70, base + 20]);
    write(&mut client, &name, &[base + 30, base + 40]);
    assert_eq!(find(&mut client, &name, -3, false), (1, base + 70));
}

fn segments(world: &World) {
    // 1 MiB is the smallest segment a real broker has; 24 batches of 160 KiB are four of them.
    let name = world.topic(1, &[("segment.bytes", "1048576")]);
    let mut client = world.raw();
    let base = now_ms() - 1_000_000;
    let value = "x".repeat(40_000);
    for i in 0..24 {
        let records: Vec<_> = (0..4).map(|j| Record { time_ms: base + (i * 4 + j) * 10, ..record(&value) }).collect();
        assert_eq!(client.produce(8, &name, 0, batch(&records, ANYONE)).error_code, 0);
    }
    for i in 0..96 {
        assert_eq!(find(&mut client, &name, base + i * 10 - 3, false), (i, base + i * 10));
    }
    assert_eq!(find(&mut client, &name, base + 951, false), (-1, -1));
}

fn behind_deleted(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    (0..4).for_each(|i| write(&mut client, &name, &[base + i * 10, base + i * 10 + 5]));
    let partition = kafka_protocol::messages::delete_records_request::DeleteRecordsPartition::default().with_offset(3);
    let wanted = kafka_protocol::messages::delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic(&name))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
    assert_eq!(client.call(1, &request).topics[0].partitions[0].error_code, 0);
    assert_eq!(find(&mut client, &name, base, false), (3, base + 15));
    assert_eq!(find(&mut client, &name, base + 16, false), (4, base + 20));
}

fn open_transaction(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let base = now_ms() - 100_000;
    write(&mut client, &name, &[base]);
    let mut open = Transactional::init(&mut client, &world.name("txn"), 60_000);
    open.put(&mut client, &name, "open");
    assert_eq!(find(&mut client, &name, base + 1, false).0, 1);
    assert_eq!(find(&mut client, &name, base + 1, true), (-1, -1));
    assert_eq!(find(&mut client, &name, base, true), (0, base));
    assert_eq!(open.end(&mut client, false), 0);
}
