//! Item: committed offsets and their metadata.

use std::time::Duration;

use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::*;
use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_broker::errors;

use crate::raw::{Member, commit, committed};
use crate::wire::{Client, text, topic};
use crate::world::{PATIENCE, World, assigned, send, take, until, value};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("an offset and its metadata come back", metadata),
    both("metadata above 4,096 bytes is refused, 4,096 are not", metadata_limit),
    both("a new member begins behind the commit", resume),
    both("what was never committed is -1, and auto.offset.reset decides", never),
    both("all offsets of a group at once", all_at_once),
    both("commits go back as well as forward, and keep their leader epoch", back_and_epoch),
    both("offsets outside the log may be committed", outside),
    both("offsets are deleted, unless the group reads the topic", deleted),
    both("commits for unknown topics are refused", unknown),
];

const SIMPLE: (i32, &str) = (-1, "");

fn metadata(world: &World) {
    let name = world.topic(2, &[]);
    let consumer = world.consumer(&world.group(), &[]);
    let mut list = TopicPartitionList::new();
    let mut first = list.add_partition(&name, 0);
    first.set_offset(Offset::Offset(42)).expect("offset");
    first.set_metadata("watermark=17; ünïcode");
    list.add_partition_offset(&name, 1, Offset::Offset(7)).expect("offset");
    consumer.commit(&list, CommitMode::Sync).expect("committed");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&name, 0, 1);
    let found = consumer.committed_offsets(asked, PATIENCE).expect("fetched");
    let found: Vec<_> = found.elements().iter().map(|e| (e.offset(), e.metadata().to_owned())).collect();
    let want = [(Offset::Offset(42), "watermark=17; ünïcode".to_owned()), (Offset::Offset(7), String::new())];
    assert_eq!(found, want);
}

fn metadata_limit(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &name, 1, &"x".repeat(4_096), SIMPLE), 0);
    let code = commit(&mut client, &group, &name, 2, &"x".repeat(4_097), SIMPLE);
    assert_eq!(code, errors::OFFSET_METADATA_TOO_LARGE);
    let found = committed(&mut client, &group, &name);
    assert_eq!((found.committed_offset, found.metadata.map_or(0, |m| m.len())), (1, 4_096));
}

fn resume(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    send(&world.producer(&[]), &name, 0, &["a", "b", "c"]);
    let first = world.consumer(&group, &[]);
    first.subscribe(&[&name]).expect("subscribed");
    let found = take(&first, 2);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&name, 0, Offset::Offset(found[1].offset() + 1)).expect("offset");
    first.commit(&list, CommitMode::Sync).expect("committed as a member");
    drop(first);
    let second = world.consumer(&group, &[]);
    second.subscribe(&[&name]).expect("subscribed");
    assert_eq!(value(&take(&second, 1)[0]), "c");
}

fn never(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let found = committed(&mut world.raw(), &group, &name);
    assert_eq!((found.error_code, found.committed_offset), (0, -1));
    let producer = world.producer(&[]);
    send(&producer, &name, 0, &["before"]);
    let latest = world.consumer(&group, &[("auto.offset.reset", "latest")]);
    latest.subscribe(&[&name]).expect("subscribed");
    until("it stands at the end", || match latest.poll(Duration::from_millis(100)) {
        Some(Err(KafkaError::PartitionEOF(_))) => true,
        Some(Ok(message)) => panic!("offset {} lies before the end", message.offset()),
        _ => false,
    });
    send(&producer, &name, 0, &["after"]);
    assert_eq!(value(&take(&latest, 1)[0]), "after");
}

fn all_at_once(world: &World) {
    let (one, two, group) = (world.topic(1, &[]), world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &one, 1, "a", SIMPLE), 0);
    assert_eq!(commit(&mut client, &group, &two, 2, "b", SIMPLE), 0);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(&group))).with_topics(None);
    let answer = client.call(7, &request);
    let mut found: Vec<_> =
        answer.topics.iter().map(|t| (t.name.to_string(), t.partitions[0].committed_offset)).collect();
    found.sort();
    let mut want = vec![(one, 1), (two, 2)];
    want.sort();
    assert_eq!((answer.error_code, found), (0, want));
}

fn back_and_epoch(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let mut client = world.raw();
    for offset in [10, 3, 0, 5] {
        assert_eq!(commit(&mut client, &group, &name, offset, "", SIMPLE), 0);
        let found = committed(&mut client, &group, &name);
        assert_eq!((found.committed_offset, found.committed_leader_epoch), (offset, 0));
    }
}

fn outside(world: &World) {
    let (name, group) = (world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &name, 1_000_000, "", SIMPLE), 0);
    assert_eq!(committed(&mut client, &group, &name).committed_offset, 1_000_000);
}

fn delete_offset(client: &mut Client, group: &str, name: &str) -> (i16, i16) {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let wanted = OffsetDeleteRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![wanted]);
    let answer = client.call(0, &request);
    (answer.error_code, answer.topics.first().map_or(0, |t| t.partitions[0].error_code))
}

fn deleted(world: &World) {
    let (read, other, group) = (world.topic(1, &[]), world.topic(1, &[]), world.group());
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &group, &read, 1, "", SIMPLE), 0);
    assert_eq!(commit(&mut client, &group, &other, 2, "", SIMPLE), 0);
    let consumer = world.consumer(&group, &[]);
    consumer.subscribe(&[&read]).expect("subscribed");
    assigned(&[&consumer], &[1]);
    assert_eq!(delete_offset(&mut client, &group, &read), (0, errors::GROUP_SUBSCRIBED_TO_TOPIC));
    assert_eq!(delete_offset(&mut client, &group, &other), (0, 0));
    assert_eq!(committed(&mut client, &group, &read).committed_offset, 1);
    assert_eq!(committed(&mut client, &group, &other).committed_offset, -1);
    assert_eq!(delete_offset(&mut client, &world.name("nobody"), &read).0, errors::GROUP_ID_NOT_FOUND);
}

fn unknown(world: &World) {
    let group = world.group();
    let mut client = world.raw();
    let nobody = world.name("nobody");
    assert_eq!(commit(&mut client, &group, &nobody, 1, "", SIMPLE), errors::UNKNOWN_TOPIC_OR_PARTITION);
    let member = Member::alone(world.raw(), &group, None);
    let who = (member.generation, member.id.as_str());
    assert_eq!(commit(&mut client, &group, &nobody, 1, "", who), errors::UNKNOWN_TOPIC_OR_PARTITION);
}
