//! Item: transactions: the stable end, aborted ranges, fencing, abort by time-out, offsets that count with the commit.

use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_broker::errors;

use crate::raw::{Transactional, commit, committed, fetch, plain, settled, stable_at, stored, try_init};
use crate::wire::{Client, text, topic};
use crate::world::{PATIENCE, World, Writer, flush, send, take, until, value};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("committed records are seen, aborted ones are not", seen_and_hidden),
    both("an open transaction holds the stable end for everyone behind it", held),
    both("two open transactions: the stable end is the first's", two_open),
    both("Fetch names the aborted ranges by producer and first offset", aborted_ranges),
    both("control batches take one offset and say commit or abort", markers),
    both("a new producer of the same id fences the old and aborts its work", fenced),
    both("librdkafka's old producer fails for good once fenced", librdkafka_fenced),
    both("a transaction nobody ends is aborted by its time-out", timed_out),
    both("offsets of a transaction count with its commit only", offsets),
    both("undecided offsets are unstable for those who ask for stable ones", unstable),
    both("read, process, write: a copy job commits both sides at once", copy_job),
    both("a transactional id keeps its producer id, the epoch rises", same_id),
    both("what a transaction may not do is refused", refused),
    both("DescribeTransactions and ListTransactions tell the state", described),
    both("a transaction over several partitions ends in all of them", several),
];

fn transactional(world: &World, id: &str) -> Writer {
    let producer = world.producer(&[("transactional.id", id), ("transaction.timeout.ms", "60000")]);
    producer.init_transactions(PATIENCE).expect("initialised");
    producer
}

fn seen_and_hidden(world: &World) {
    let name = world.topic(1, &[]);
    let producer = transactional(world, &world.name("txn"));
    for (value, commit) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction().expect("begun");
        send(&producer, &name, 0, &[value, value]);
        let ended = if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("ended");
    }
    send(&world.producer(&[]), &name, 0, &["plain"]);
    assert_eq!(world.values(&name, 1, true), ["a", "a", "c", "c", "plain"]);
    assert_eq!(world.values(&name, 1, false), ["a", "a", "b", "b", "c", "c", "d", "d", "plain"]);
}

fn held(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["before"])).error_code, 0);
    let mut open = Transactional::init(&mut client, &world.name("txn"), 60_000);
    open.put(&mut client, &name, "open");
    assert_eq!(client.produce(8, &name, 0, plain(&["behind"])).error_code, 0);
    assert_eq!(client.offset(&name, 0, -1, true), (0, 1), "ListOffsets, committed");
    assert_eq!(client.offset(&name, 0, -1, false), (0, 3), "ListOffsets, uncommitted");
    let data = fetch(&mut client, &name, 0, true);
    assert_eq!((data.high_watermark, data.last_stable_offset), (3, 1));
    assert_eq!(stored(&data.records.expect("records")).len(), 1, "no more than the stable part");
    assert_eq!(world.values(&name, 1, true), ["before"]);
    assert_eq!(world.values(&name, 1, false), ["before", "open", "behind"]);
    assert_eq!(open.end(&mut client, true), 0);
    stable_at(&mut client, &name, 4);
    assert_eq!(world.values(&name, 1, true), ["before", "open", "behind"]);
}

fn two_open(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let mut one = Transactional::init(&mut client, &world.name("txn"), 60_000);
    let mut two = Transactional::init(&mut client, &world.name("txn"), 60_000);
    one.put(&mut client, &name, "one");
    two.put(&mut client, &name, "two");
    one.put(&mut client, &name, "one again");
    assert_eq!(two.end(&mut client, true), 0);
    until("the second's end is written", || client.offset(&name, 0, -1, false) == (0, 4));
    assert_eq!(client.offset(&name, 0, -1, true), (0, 0), "the first is still open");
    assert_eq!(one.end(&mut client, false), 0);
    stable_at(&mut client, &name, 5);
    assert_eq!(world.values(&name, 1, true), ["two"]);
}

fn aborted_ranges(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let mut one = Transactional::init(&mut client, &world.name("txn"), 60_000);
    let mut two = Transactional::init(&mut client, &world.name("txn"), 60_000);
    one.put(&mut client, &name, "one: 0");
    two.put(&mut client, &name, "two: 1");
    assert_eq!(one.end(&mut client, false), 0);
    until("marker at 2", || client.offset(&name, 0, -1, false) == (0, 3));
    assert_eq!(two.end(&mut client, false), 0);
    stable_at(&mut client, &name, 4);
    one.put(&mut client, &name, "one: 4");
    assert_eq!(one.end(&mut client, true), 0);
    stable_at(&mut client, &name, 6);
    let mut ranges = |offset| {
        let data = fetch(&mut client, &name, offset, true);
        let ranges = data.aborted_transactions.expect("a list");
        let mut found: Vec<_> = ranges.iter().map(|range| (range.producer_id.0, range.first_offset)).collect();
        found.sort_by_key(|(_, first)| *first);
        found
    };
    assert_eq!(ranges(0), [(one.author.id, 0), (two.author.id, 1)]);
    assert_eq!(ranges(3), [(two.author.id, 1)], "those that reach into what is read");
    assert_eq!(ranges(4), []);
    let plainly = fetch(&mut client, &name, 0, false);
    assert!(plainly.aborted_transactions.is_none_or(|list| list.is_empty()), "not for uncommitted reads");
}

fn markers(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let mut producer = Transactional::init(&mut client, &world.name("txn"), 60_000);
    for (at, commit) in [(2, true), (4, false)] {
        producer.put(&mut client, &name, "x");
        assert_eq!(producer.end(&mut client, commit), 0);
        stable_at(&mut client, &name, at);
    }
    let bytes = fetch(&mut client, &name, 0, false).records.expect("records");
    let batches = stored(&bytes);
    let shape: Vec<_> = batches.iter().map(|b| (b.base_offset, b.control, b.transactional, b.count)).collect();
    assert_eq!(shape, [(0, false, true, 1), (1, true, true, 1), (2, false, true, 1), (3, true, true, 1)]);
    assert!(batches.iter().all(|batch| batch.producer_id == producer.author.id));
    // A control record's key is version and kind: 0 abort, 1 commit. Length, attributes, two deltas, key length: 5 bytes.
    let mut at = 0;
    let kinds: Vec<u8> = batches
        .iter()
        .filter_map(|batch| {
            let start = at;
            at += 12 + u32::from_be_bytes(bytes[start + 8..start + 12].try_into().expect("4")) as usize;
            batch.control.then(|| bytes[start + 61 + 5 + 3])
        })
        .collect();
    assert_eq!(kinds, [1, 0]);
}

fn fenced(world: &World) {
    let name = world.topic(1, &[]);
    let id = world.name("txn");
    let mut client = world.raw();
    let mut old = Transactional::init(&mut client, &id, 60_000);
    old.put(&mut client, &name, "old");
    let mut new = Transactional::init(&mut client, &id, 60_000);
    stable_at(&mut client, &name, 2);
    assert_eq!(old.write(&mut client, &name, "zombie"), errors::INVALID_PRODUCER_EPOCH);
    assert_eq!(old.end(&mut client, true), errors::PRODUCER_FENCED);
    assert_eq!(old.add(&mut client, &name), errors::PRODUCER_FENCED);
    new.put(&mut client, &name, "new");
    assert_eq!(new.end(&mut client, true), 0);
    stable_at(&mut client, &name, 4);
    assert_eq!(world.values(&name, 1, true), ["new"]);
}

fn librdkafka_fenced(world: &World) {
    let name = world.topic(1, &[]);
    let id = world.name("txn");
    let old = transactional(world, &id);
    old.begin_transaction().expect("begun");
    send(&old, &name, 0, &["old"]);
    let new = transactional(world, &id);
    let error = old.commit_transaction(PATIENCE).expect_err("fenced");
    let KafkaError::Transaction(error) = &error else { panic!("{error}") };
    assert!(error.is_fatal(), "{error}");
    new.begin_transaction().expect("begun");
    send(&new, &name, 0, &["new"]);
    new.commit_transaction(PATIENCE).expect("committed");
    assert_eq!(world.values(&name, 1, true), ["new"]);
}

fn timed_out(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let mut producer = Transactional::init(&mut client, &world.name("txn"), 1_000);
    producer.put(&mut client, &name, "never committed");
    assert_eq!(client.offset(&name, 0, -1, true), (0, 0));
    stable_at(&mut client, &name, 2);
    let code = producer.end(&mut client, true);
    assert!([errors::PRODUCER_FENCED, errors::INVALID_TXN_STATE].contains(&code), "too late: {code}");
    assert_eq!(world.values(&name, 1, true), [""; 0]);
}

/// Adds a group and sends an offset of partition 0 in the transaction; both codes.
fn send_offset(client: &mut Client, producer: &Transactional, group: &str, name: &str, offset: i64) -> (i16, i16) {
    let added = settled(|| {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(producer.id())
            .with_producer_id(ProducerId(producer.author.id))
            .with_producer_epoch(producer.author.epoch)
            .with_group_id(GroupId(text(group)));
        client.call(2, &request).error_code
    });
    let sent = settled(|| {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let sent = TxnOffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(producer.id())
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(producer.author.id))
            .with_producer_epoch(producer.author.epoch)
            .with_generation_id(-1)
            .with_topics(vec![sent]);
        client.call(3, &request).topics[0].partitions[0].error_code
    });
    (added, sent)
}

fn offsets(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &name, 5, "kept", (-1, "")), 0);
    let producer = Transactional::init(&mut client, &world.name("txn"), 60_000);
    for (offset, commits, want) in [(8, false, 5), (9, true, 9), (3, true, 3)] {
        assert_eq!(send_offset(&mut client, &producer, &group, &name, offset), (0, 0));
        assert_eq!(producer.end(&mut client, commits), 0);
        until("the offsets are decided", || committed(&mut client, &group, &name).error_code == 0);
        assert_eq!(committed(&mut client, &group, &name).committed_offset, want);
    }
}

fn unstable(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &name, 5, "", (-1, "")), 0);
    let producer = Transactional::init(&mut client, &world.name("txn"), 60_000);
    assert_eq!(send_offset(&mut client, &producer, &group, &name, 8), (0, 0));
    assert_eq!(committed(&mut client, &group, &name).error_code, errors::UNSTABLE_OFFSET_COMMIT);
    let wanted = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic(&name))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(&group))).with_topics(Some(vec![wanted]));
    let old = client.call(7, &request).topics[0].partitions[0].clone();
    assert_eq!((old.error_code, old.committed_offset), (0, 5), "without asking for stable ones: the last decided");
    assert_eq!(producer.end(&mut client, true), 0);
    until("decided", || committed(&mut client, &group, &name).committed_offset == 8);
}

fn copy_job(world: &World) {
    let (source, sink, group) = (world.topic(1, &[]), world.topic(1, &[]), world.group());
    let values: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    send(&world.producer(&[]), &source, 0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let id = world.name("txn");
    for round in 0..4 {
        // Each round is a restart; every second one aborts first.
        let consumer = world.consumer(&group, &[("isolation.level", "read_committed")]);
        consumer.subscribe(&[&source]).expect("subscribed");
        let producer = transactional(world, &id);
        let read = take(&consumer, 10);
        let end = rdkafka::Message::offset(&read[9]) + 1;
        let mut positions = TopicPartitionList::new();
        positions.add_partition_offset(&source, 0, Offset::Offset(end)).expect("offset");
        let attempts: &[bool] = if round % 2 == 1 { &[false, true] } else { &[true] };
        for commits in attempts {
            producer.begin_transaction().expect("begun");
            for message in &read {
                let copy = value(message);
                let record = BaseRecord::<(), str>::to(&sink).payload(&copy);
                producer.send(record).map_err(|(error, _)| error).expect("queued");
            }
            flush(&producer);
            let metadata = consumer.group_metadata().expect("a member");
            producer.send_offsets_to_transaction(&positions, &metadata, PATIENCE).expect("offsets sent");
            let ended =
                if *commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
            ended.expect("ended");
        }
    }
    assert_eq!(world.values(&sink, 1, true), values);
    assert_eq!(world.values(&sink, 1, false).len(), 60);
    assert_eq!(committed(&mut world.raw(), &group, &source).committed_offset, 40);
}

fn same_id(world: &World) {
    let id = world.name("txn");
    let mut client = world.raw();
    let first = Transactional::init(&mut client, &id, 60_000);
    let second = Transactional::init(&mut client, &id, 60_000);
    assert_eq!(second.author.id, first.author.id);
    assert_eq!(second.author.epoch, first.author.epoch + 1);
    let other = Transactional::init(&mut client, &world.name("txn"), 60_000);
    assert_ne!(other.author.id, first.author.id);
}

fn refused(world: &World) {
    let name = world.topic(1, &[]);
    let id = world.name("txn");
    let mut client = world.raw();
    assert_eq!(try_init(&mut client, &id, 0).error_code, errors::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(try_init(&mut client, &id, i32::MAX).error_code, errors::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(try_init(&mut client, "", 1_000).error_code, errors::INVALID_REQUEST);
    let mut producer = Transactional::init(&mut client, &id, 60_000);
    assert_eq!(producer.end(&mut client, true), errors::INVALID_TXN_STATE, "nothing to end");
    assert_eq!(producer.add(&mut client, &world.name("nobody")), errors::UNKNOWN_TOPIC_OR_PARTITION);
    let outside = producer.write(&mut client, &name, "not added");
    assert_eq!(outside, errors::INVALID_TXN_STATE, "a partition that is not in the transaction");
    let mut stranger = producer.clone();
    stranger.author.id += 1_000_000;
    assert_eq!(stranger.add(&mut client, &name), errors::INVALID_PRODUCER_ID_MAPPING);
    producer.put(&mut client, &name, "a");
    assert_eq!(producer.end(&mut client, true), 0);
    assert_eq!(producer.end(&mut client, true), 0, "the same end again");
    assert_eq!(producer.end(&mut client, false), errors::INVALID_TXN_STATE, "the opposite end");
}

fn described(world: &World) {
    let name = world.topic(1, &[]);
    let id = world.name("txn");
    let mut client = world.raw();
    let mut producer = Transactional::init(&mut client, &id, 45_000);
    let state = |client: &mut Client| {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text(&id))]);
        client.call(0, &request).transaction_states[0].clone()
    };
    assert_eq!(state(&mut client).transaction_state, text("Empty"));
    producer.put(&mut client, &name, "a");
    let open = state(&mut client);
    assert_eq!((open.error_code, open.transaction_state, open.transaction_timeout_ms), (0, text("Ongoing"), 45_000));
    assert_eq!((open.producer_id.0, open.producer_epoch), (producer.author.id, producer.author.epoch));
    assert_eq!((open.topics[0].topic.clone(), open.topics[0].partitions.clone()), (topic(&name), vec![0]));
    let request = ListTransactionsRequest::default().with_state_filters(vec![text("Ongoing")]);
    let listed = client.call(0, &request);
    assert!(listed.transaction_states.iter().any(|txn| txn.transactional_id.as_str() == id), "listed");
    assert_eq!(producer.end(&mut client, true), 0);
    until("it is complete", || state(&mut client).transaction_state == text("CompleteCommit"));
    let request = DescribeTransactionsRequest::default()
        .with_transactional_ids(vec![TransactionalId(text(&world.name("nobody")))]);
    assert_eq!(client.call(0, &request).transaction_states[0].error_code, errors::TRANSACTIONAL_ID_NOT_FOUND);
}

fn several(world: &World) {
    let (one, two) = (world.topic(3, &[]), world.topic(2, &[]));
    let producer = transactional(world, &world.name("txn"));
    for commits in [true, false] {
        producer.begin_transaction().expect("begun");
        (0..3).for_each(|partition| send(&producer, &one, partition, &["a"]));
        (0..2).for_each(|partition| send(&producer, &two, partition, &["b"]));
        let ended = if commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("ended");
    }
    assert_eq!(world.values(&one, 3, true), ["a"; 3]);
    assert_eq!(world.values(&two, 2, true), ["b"; 2]);
    assert_eq!(world.values(&one, 3, false), ["a"; 6]);
}
