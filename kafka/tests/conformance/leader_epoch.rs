//! Item: leader epochs: OffsetForLeaderEpoch, and the checks of those who name an epoch.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::*;
use velostream_broker::{Broker, BrokerConfig, Fault, errors};

use crate::raw::{fetch, plain, stored};
use crate::wire::{Client, Fetch, topic};
use crate::world::World;
use crate::{Check, both, embedded};

pub const CHECKS: &[Check] = &[
    both("the current epoch ends where the log ends", current),
    both("an epoch that never was has no end", never),
    both("OffsetForLeaderEpoch checks the epoch the client believes in", believed),
    both("Fetch and ListOffsets check it too", fetch_checks),
    both("batches, metadata and ListOffsets carry the epoch", carried),
    both("unknown partitions are said to be unknown, in every version", unknown),
    embedded("each epoch ends where the next one begins", several),
    embedded("epochs without records end at the next one with some", empty_epochs),
];

/// Code, epoch and end offset.
fn end_of(client: &mut Client, name: &str, index: i32, current: i32, epoch: i32, version: i16) -> (i16, i32, i64) {
    let mut wanted = OffsetForLeaderPartition::default().with_partition(index).with_leader_epoch(epoch);
    wanted.current_leader_epoch = current;
    let wanted = OffsetForLeaderTopic::default().with_topic(topic(name)).with_partitions(vec![wanted]);
    let mut request = OffsetForLeaderEpochRequest::default().with_topics(vec![wanted]);
    if version >= 3 {
        request.replica_id = BrokerId(-1);
    }
    let answer = client.call(version, &request).topics[0].partitions[0].clone();
    (answer.error_code, answer.leader_epoch, answer.end_offset)
}

fn current(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    for end in [2, 4] {
        assert_eq!(client.produce(8, &name, 0, plain(&["a", "b"])).error_code, 0);
        for version in 2..=4 {
            assert_eq!(end_of(&mut client, &name, 0, -1, 0, version), (0, 0, end), "v{version}");
            assert_eq!(end_of(&mut client, &name, 0, 0, 0, version), (0, 0, end), "v{version}");
        }
    }
}

fn never(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["a"])).error_code, 0);
    assert_eq!(end_of(&mut client, &name, 0, -1, 7, 4), (0, -1, -1));
    assert_eq!(end_of(&mut client, &name, 0, -1, -1, 4), (0, -1, -1));
}

fn believed(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(end_of(&mut client, &name, 0, 3, 0, 4).0, errors::UNKNOWN_LEADER_EPOCH);
}

fn fetch_checks(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let fetched =
        |client: &mut Client, epoch| client.fetch(11, &Fetch { topic: &name, epoch, ..Fetch::default() }).error_code;
    assert_eq!(fetched(&mut client, -1), 0);
    assert_eq!(fetched(&mut client, 0), 0);
    assert_eq!(fetched(&mut client, 1), errors::UNKNOWN_LEADER_EPOCH);
    assert_eq!(list(&mut client, &name, 0).0, 0);
    assert_eq!(list(&mut client, &name, 1).0, errors::UNKNOWN_LEADER_EPOCH);
}

/// Code and epoch of the log's end, for a client that believes in an epoch.
fn list(client: &mut Client, name: &str, current: i32) -> (i16, i32) {
    let wanted = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(current);
    let wanted = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
    let answer = client.call(5, &request).topics[0].partitions[0].clone();
    (answer.error_code, answer.leader_epoch)
}

fn carried(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["a"])).error_code, 0);
    assert_eq!(stored(&fetch(&mut client, &name, 0, false).records.expect("records"))[0].epoch, 0);
    assert_eq!(list(&mut client, &name, -1), (0, 0));
    let wanted = MetadataRequestTopic::default().with_name(Some(topic(&name)));
    let answer = client.call(8, &MetadataRequest::default().with_topics(Some(vec![wanted])));
    assert_eq!(answer.topics[0].partitions[0].leader_epoch, 0);
}

fn unknown(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    for version in 2..=4 {
        let want = errors::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(end_of(&mut client, &name, 5, -1, 0, version).0, want, "v{version}");
        assert_eq!(end_of(&mut client, &world.name("nobody"), 0, -1, 0, version).0, want, "v{version}");
    }
}

/// A broker with one topic "t", whose epoch rises after every batch named.
fn with_epochs(batches: &[usize]) -> (Broker, Client) {
    let broker = Broker::start(BrokerConfig::default()).expect("starts");
    let mut client = Client::connect(&broker.bootstrap());
    assert_eq!(client.create("t", 1, &[]), 0);
    for count in batches {
        (0..*count).for_each(|_| assert_eq!(client.produce(8, "t", 0, plain(&["a"])).error_code, 0));
        broker.inject(&Fault::BumpEpoch { topic: "t".to_owned(), partition: 0 }).expect("bumped");
    }
    (broker, client)
}

fn several(_: &World) {
    let (_broker, mut client) = with_epochs(&[2, 3]);
    assert_eq!(client.produce(8, "t", 0, plain(&["a"])).error_code, 0);
    let mut check = |epoch, want| assert_eq!(end_of(&mut client, "t", 0, -1, epoch, 4), want, "epoch {epoch}");
    check(0, (0, 0, 2));
    check(1, (0, 1, 5));
    check(2, (0, 2, 6));
    check(3, (0, -1, -1));
    let epochs: Vec<i32> =
        stored(&fetch(&mut client, "t", 0, false).records.expect("records")).iter().map(|b| b.epoch).collect();
    assert_eq!(epochs, [0, 0, 1, 1, 1, 2]);
    assert_eq!(end_of(&mut client, "t", 0, 1, 0, 4).0, errors::FENCED_LEADER_EPOCH);
    assert_eq!(end_of(&mut client, "t", 0, 3, 0, 4).0, errors::UNKNOWN_LEADER_EPOCH);
    assert_eq!(list(&mut client, "t", 1).0, errors::FENCED_LEADER_EPOCH);
}

fn empty_epochs(_: &World) {
    let (_broker, mut client) = with_epochs(&[2, 0, 0, 1]);
    let mut check = |epoch, want| assert_eq!(end_of(&mut client, "t", 0, -1, epoch, 4), want, "epoch {epoch}");
    check(0, (0, 0, 2));
    // Nothing was written in 1 and 2: the largest epoch that has records answers for them.
    check(1, (0, 0, 2));
    check(2, (0, 0, 2));
    check(3, (0, 3, 3));
}
