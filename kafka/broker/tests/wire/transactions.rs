//! Transactions and groups over the wire: what is open holds the stable end, what was aborted is named, what was fenced
//! stays out, what nobody ends is ended for them.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use velostream_broker::Fault;

use super::client::*;
use super::{start, until};

/// A transactional producer.
#[derive(Clone, Copy)]
pub struct Producer {
    id: &'static str,
    producer_id: ProducerId,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    pub fn init(client: &mut Client, id: &'static str, timeout_ms: i32) -> Producer {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer = client.call(4, &request);
        assert_eq!(answer.error_code, 0, "init");
        Producer { id, producer_id: answer.producer_id, epoch: answer.producer_epoch, sequence: 0 }
    }

    fn id(&self) -> TransactionalId {
        TransactionalId(text(self.id))
    }

    pub fn add(&self, client: &mut Client, name: &str) -> i16 {
        let added = AddPartitionsToTxnTopic::default().with_name(topic(name)).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id())
            .with_v3_and_below_producer_id(self.producer_id)
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![added]);
        let answer = client.call(3, &request);
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    pub fn write(&mut self, client: &mut Client, name: &str, value: &str) -> i16 {
        let writer = Writer {
            producer_id: self.producer_id.0,
            producer_epoch: self.epoch,
            sequence: self.sequence,
            transactional: true,
        };
        let answer = client.try_produce(8, name, 0, batch(&[value], writer), Some(self.id)).expect("an answer");
        self.sequence += i32::from(answer.error_code == 0);
        answer.error_code
    }

    pub fn end(&self, client: &mut Client, commit: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id())
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_committed(commit);
        client.call(2, &request).error_code
    }

    /// Adds the group and sends one offset of `t` in the transaction.
    fn send_offset(&self, client: &mut Client, group: &str, offset: i64) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.id())
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text(group)));
        assert_eq!(client.call(2, &request).error_code, 0);
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let sent = TxnOffsetCommitRequestTopic::default().with_name(topic("t")).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.id())
            .with_group_id(GroupId(text(group)))
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![sent]);
        client.call(3, &request).topics[0].partitions[0].error_code
    }
}

/// Values below the stable end, as a reader of committed records sees them.
pub fn committed(client: &mut Client, name: &str) -> Vec<String> {
    let data = client.fetch(11, &Fetch { topic: name, committed: true, ..Fetch::default() });
    let aborted = data.aborted_transactions.expect("a list for committed reads");
    let all = records(&data.records.unwrap_or_default());
    // One producer per test: an aborted range ends at the next control batch.
    let gone = |offset: i64| {
        aborted.iter().any(|range| {
            let end = all.iter().find(|(at, _, control)| *control && *at > range.first_offset);
            offset >= range.first_offset && end.is_none_or(|(at, _, _)| offset < *at)
        })
    };
    let kept = all.iter().filter(|(offset, _, control)| !control && !gone(*offset));
    kept.map(|(_, value, _)| value.clone()).collect()
}

pub fn commit_offset(client: &mut Client, group: &str, offset: i64, metadata: &str) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(metadata)));
    let sent = OffsetCommitRequestTopic::default().with_name(topic("t")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![sent]);
    client.call(7, &request).topics[0].partitions[0].error_code
}

pub fn committed_offset(client: &mut Client, group: &str) -> (i16, i64, String) {
    let wanted = OffsetFetchRequestTopic::default().with_name(topic("t")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![wanted]))
        .with_require_stable(true);
    let answer = client.call(7, &request).topics[0].partitions[0].clone();
    (answer.error_code, answer.committed_offset, answer.metadata.map_or(String::new(), |text| text.to_string()))
}

#[test]
fn an_open_transaction_holds_the_stable_end_and_an_aborted_one_is_named() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut producer = Producer::init(&mut client, "x", 60_000);
    assert_eq!(producer.write(&mut client, "t", "too early"), 48, "the partition is not in the transaction");
    assert_eq!(producer.add(&mut client, "nope"), 3);
    assert_eq!(producer.add(&mut client, "t"), 0);
    assert_eq!(producer.write(&mut client, "t", "a"), 0);
    assert_eq!((client.offset("t", 0, -1, true), client.offset("t", 0, -1, false)), ((0, 0), (0, 1)));
    assert_eq!(committed(&mut client, "t"), [""; 0]);
    assert_eq!(producer.end(&mut client, true), 0);
    assert_eq!(client.offset("t", 0, -1, true), (0, 2), "record and marker");
    assert_eq!(producer.add(&mut client, "t"), 0);
    assert_eq!(producer.write(&mut client, "t", "b"), 0);
    assert_eq!(producer.end(&mut client, false), 0);
    assert_eq!(producer.add(&mut client, "t"), 0);
    assert_eq!(producer.write(&mut client, "t", "c"), 0);
    assert_eq!(producer.end(&mut client, true), 0);
    assert_eq!(committed(&mut client, "t"), ["a", "c"]);
}

#[test]
fn a_newer_producer_or_the_fence_fault_keeps_the_older_out() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut old = Producer::init(&mut client, "x", 60_000);
    assert_eq!(old.add(&mut client, "t"), 0);
    assert_eq!(old.write(&mut client, "t", "a"), 0);
    let mut new = Producer::init(&mut client, "x", 60_000);
    assert!(new.epoch > old.epoch);
    assert_eq!(client.offset("t", 0, -1, true), (0, 2), "what was open is aborted");
    assert_eq!(old.write(&mut client, "t", "b"), 47);
    assert_eq!(old.end(&mut client, true), 90);
    assert_eq!(new.add(&mut client, "t"), 0);
    assert_eq!(new.write(&mut client, "t", "c"), 0);
    broker.inject(&Fault::Fence("x".to_owned())).expect("fenced");
    assert_eq!(new.write(&mut client, "t", "d"), 47);
    assert_eq!(new.end(&mut client, true), 90);
    assert_eq!(committed(&mut client, "t"), [""; 0]);
}

#[test]
fn a_transaction_nobody_ends_is_aborted() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut producer = Producer::init(&mut client, "x", 50);
    assert_eq!(producer.add(&mut client, "t"), 0);
    let written = producer.write(&mut client, "t", "a");
    assert!([0, 47, 48].contains(&written), "written, or aborted already: {written}");
    until(|| client.offset("t", 0, -1, true).1 == client.offset("t", 0, -1, false).1);
    assert_eq!(committed(&mut client, "t"), [""; 0]);
    assert_ne!(producer.end(&mut client, true), 0);
}

#[test]
fn offsets_of_a_transaction_count_with_its_end() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    assert_eq!(commit_offset(&mut client, "g", 5, "note"), 0);
    assert_eq!(committed_offset(&mut client, "g"), (0, 5, "note".to_owned()));
    assert_eq!(commit_offset(&mut client, "g", 5, &"x".repeat(4097)), 12);
    let producer = Producer::init(&mut client, "x", 60_000);
    assert_eq!(producer.send_offset(&mut client, "g", 8), 0);
    assert_eq!(committed_offset(&mut client, "g").0, 88, "undecided");
    assert_eq!(producer.end(&mut client, false), 0);
    assert_eq!(committed_offset(&mut client, "g").1, 5);
    assert_eq!(producer.send_offset(&mut client, "g", 9), 0);
    assert_eq!(producer.end(&mut client, true), 0);
    assert_eq!(committed_offset(&mut client, "g").1, 9);
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata("m".into());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

#[test]
fn members_join_sync_and_one_that_hangs_up_is_not_waited_for() {
    let (broker, mut client) = start();
    let told = client.call(5, &join("g", ""));
    assert_eq!(told.error_code, 79, "a member id comes first");
    let joined = client.call(5, &join("g", &told.member_id));
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    let assignment = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment.with_assignment("all of it".into())]);
    let synced = client.call(3, &sync);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all of it"[..]));
    let beat = HeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    assert_eq!(client.call(3, &beat).error_code, 0);
    // A second member starts a rebalance, waits for the first, and hangs up.
    let mut second = Client::connect(&broker.bootstrap());
    let other = second.call(5, &join("g", "")).member_id;
    second.send(5, &join("g", &other));
    until(|| client.call(3, &beat).error_code == 27);
    drop(second);
    let again = client.call(5, &join("g", &joined.member_id));
    assert_eq!(again.error_code, 0);
    let described = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("g"))]);
    assert_eq!(client.call(4, &described).groups[0].protocol_type, text("consumer"));
    let leave = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_member_id(joined.member_id);
    assert_eq!(client.call(2, &leave).error_code, 0);
}
