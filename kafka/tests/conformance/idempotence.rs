//! Item: idempotent producers: duplicates, gaps, epochs, sequences that wrap.

use rdkafka::Message;
use rdkafka::producer::BaseRecord;
use velostream_broker::errors;

use crate::raw::{Author, batch, idempotent, record};
use crate::wire::Client;
use crate::world::{World, flush};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("a repeated batch is acknowledged with its offset and not stored", duplicate),
    both("the last five batches are known, an older one is out of order", last_five),
    both("a gap is out of order, and what follows it stays so", gap),
    both("part of a known batch is no duplicate", part),
    both("a new epoch begins at sequence 0, the old one is fenced", epochs),
    both("sequences wrap behind 2,147,483,647", wrap),
    both("producers do not mind each other, nor partitions", apart),
    both("librdkafka: 10,000 records, each once and in order", librdkafka),
];

/// Writes one batch of so many records to a partition: code and base offset.
fn write(client: &mut Client, name: &str, index: i32, author: Author, sequence: i32, count: usize) -> (i16, i64) {
    let records: Vec<_> = (0..count).map(|i| record(&format!("{sequence}+{i}"))).collect();
    let answer = client.produce(8, name, index, batch(&records, Author { sequence, ..author }));
    (answer.error_code, answer.base_offset)
}

fn duplicate(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    assert_eq!(write(&mut client, &name, 0, author, 0, 3), (0, 0));
    assert_eq!(write(&mut client, &name, 0, author, 3, 2), (0, 3));
    assert_eq!(write(&mut client, &name, 0, author, 3, 2), (0, 3), "again, same offset");
    assert_eq!(write(&mut client, &name, 0, author, 0, 3), (0, 0), "and the one before");
    assert_eq!(client.offset(&name, 0, -1, false), (0, 5), "nothing stored twice");
}

fn last_five(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    for i in 0..7 {
        assert_eq!(write(&mut client, &name, 0, author, i, 1), (0, i64::from(i)));
    }
    for i in (2..7).rev() {
        assert_eq!(write(&mut client, &name, 0, author, i, 1), (0, i64::from(i)), "sequence {i}");
    }
    for i in 0..2 {
        let (code, _) = write(&mut client, &name, 0, author, i, 1);
        assert_eq!(code, errors::OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence {i}");
    }
    assert_eq!(client.offset(&name, 0, -1, false), (0, 7));
}

fn gap(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    assert_eq!(write(&mut client, &name, 0, author, 0, 1), (0, 0));
    for sequence in [2, 3, 2] {
        assert_eq!(write(&mut client, &name, 0, author, sequence, 1).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    assert_eq!(write(&mut client, &name, 0, author, 1, 1), (0, 1), "the missing one mends it");
    assert_eq!(write(&mut client, &name, 0, author, 2, 1), (0, 2));
}

fn part(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    assert_eq!(write(&mut client, &name, 0, author, 0, 4), (0, 0));
    assert_eq!(write(&mut client, &name, 0, author, 0, 2).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut client, &name, 0, author, 2, 4).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(client.offset(&name, 0, -1, false), (0, 4));
}

fn epochs(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let old = idempotent(&mut client);
    assert_eq!(write(&mut client, &name, 0, old, 0, 1), (0, 0));
    let new = Author { epoch: old.epoch + 1, ..old };
    assert_eq!(write(&mut client, &name, 0, new, 1, 1).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut client, &name, 0, new, 0, 1), (0, 1));
    assert_eq!(write(&mut client, &name, 0, old, 1, 1).0, errors::INVALID_PRODUCER_EPOCH);
    assert_eq!(write(&mut client, &name, 0, new, 1, 1), (0, 2));
}

fn wrap(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    // A producer the partition does not know may begin anywhere: its earlier records may be gone.
    assert_eq!(write(&mut client, &name, 0, author, i32::MAX - 1, 4), (0, 0), "wraps inside a batch");
    assert_eq!(write(&mut client, &name, 0, author, i32::MAX - 1, 4), (0, 0), "and is known again");
    assert_eq!(write(&mut client, &name, 0, author, 2, 1), (0, 4));
}

fn apart(world: &World) {
    let name = world.topic(2, &[]);
    let mut client = world.raw();
    let (one, two) = (idempotent(&mut client), idempotent(&mut client));
    assert_ne!(one.id, two.id);
    for index in 0..2 {
        assert_eq!(write(&mut client, &name, index, one, 0, 1), (0, 0));
        assert_eq!(write(&mut client, &name, index, two, 0, 1), (0, 1));
        assert_eq!(write(&mut client, &name, index, one, 1, 1), (0, 2));
    }
}

fn librdkafka(world: &World) {
    let name = world.topic(4, &[]);
    let producer = world.producer(&[("enable.idempotence", "true"), ("batch.num.messages", "97")]);
    for i in 0..10_000 {
        let payload = i.to_string();
        let record = BaseRecord::<(), str>::to(&name).payload(&payload).partition(i % 4);
        producer.send(record).map_err(|(error, _)| error).expect("queued");
    }
    flush(&producer);
    let found = world.read(&name, 4, true);
    assert_eq!(found.len(), 10_000);
    for (i, message) in found.iter().enumerate() {
        let want = (i % 2_500) * 4 + i / 2_500;
        assert_eq!(message.payload(), Some(want.to_string().as_bytes()));
    }
}
