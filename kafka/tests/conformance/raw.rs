//! What librdkafka cannot say: batches with any header, transactional producers request by request, members of groups
//! that join and sync by hand. Built on the raw client of the broker's wire tests.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use velostream_broker::errors;

use crate::wire::{Client, Fetch, text, topic};
use crate::world::{now_ms, until};

/// A record to write.
#[derive(Clone, Debug)]
pub struct Record {
    /// Timestamp; the batch's base is that of its first record.
    pub time_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A record with this value, now.
pub fn record(value: &str) -> Record {
    Record { time_ms: now_ms(), key: None, value: Some(value.as_bytes().to_vec()) }
}

/// A record of a key.
pub fn keyed(key: &str, value: Option<&str>) -> Record {
    Record { key: Some(key.as_bytes().to_vec()), value: value.map(|v| v.as_bytes().to_vec()), ..record("") }
}

/// Who writes a batch, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
}

/// A producer without idempotence.
pub const ANYONE: Author = Author { id: -1, epoch: -1, sequence: -1, transactional: false };

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

fn put_bytes(out: &mut BytesMut, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.put_slice(bytes.unwrap_or_default());
}

/// A RecordBatch v2, uncompressed.
pub fn batch(records: &[Record], author: Author) -> Bytes {
    let base = records.first().map_or(0, |record| record.time_ms);
    let mut tail = BytesMut::new();
    tail.put_i16(if author.transactional { 0x10 } else { 0 });
    tail.put_i32(records.len() as i32 - 1);
    tail.put_i64(base);
    tail.put_i64(records.iter().map(|record| record.time_ms).max().unwrap_or(base));
    tail.put_i64(author.id);
    tail.put_i16(author.epoch);
    tail.put_i32(author.sequence);
    tail.put_i32(records.len() as i32);
    for (i, record) in records.iter().enumerate() {
        let mut body = BytesMut::new();
        body.put_u8(0);
        put_varint(&mut body, record.time_ms - base);
        put_varint(&mut body, i as i64);
        put_bytes(&mut body, record.key.as_deref());
        put_bytes(&mut body, record.value.as_deref());
        put_varint(&mut body, 0);
        put_varint(&mut tail, body.len() as i64);
        tail.put_slice(&body);
    }
    let mut whole = BytesMut::new();
    whole.put_i64(0);
    whole.put_i32(tail.len() as i32 + 9);
    whole.put_i32(-1);
    whole.put_i8(2);
    whole.put_u32(crc32c::crc32c(&tail));
    whole.put_slice(&tail);
    whole.freeze()
}

/// A batch of such values.
pub fn plain(values: &[&str]) -> Bytes {
    batch(&values.iter().map(|value| record(value)).collect::<Vec<_>>(), ANYONE)
}

/// Header of a stored batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub base_offset: i64,
    pub next_offset: i64,
    pub epoch: i32,
    pub control: bool,
    pub transactional: bool,
    pub log_append_time: bool,
    pub max_time_ms: i64,
    pub producer_id: i64,
    pub count: i32,
}

/// The whole batches of a fetch.
pub fn stored(bytes: &[u8]) -> Vec<Stored> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 61 {
        let i64_at = |at: usize| i64::from_be_bytes(rest[at..at + 8].try_into().expect("8 bytes"));
        let i32_at = |at: usize| i32::from_be_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
        let length = i32_at(8) as usize + 12;
        if length > rest.len() {
            break;
        }
        assert_eq!(rest[16], 2, "magic");
        assert_eq!(crc32c::crc32c(&rest[21..length]), i32_at(17) as u32, "checksum");
        let attributes = rest[22];
        found.push(Stored {
            base_offset: i64_at(0),
            next_offset: i64_at(0) + i64::from(i32_at(23)) + 1,
            epoch: i32_at(12),
            control: attributes & 0x20 != 0,
            transactional: attributes & 0x10 != 0,
            log_append_time: attributes & 0x08 != 0,
            max_time_ms: i64_at(35),
            producer_id: i64_at(43),
            count: i32_at(57),
        });
        rest = &rest[length..];
    }
    found
}

/// One raw fetch from an offset.
pub fn fetch(client: &mut Client, name: &str, offset: i64, committed: bool) -> PartitionData {
    client.fetch(11, &Fetch { topic: name, offset, committed, ..Fetch::default() })
}

/// InitProducerId without retries.
pub fn try_init(client: &mut Client, id: &str, timeout_ms: i32) -> InitProducerIdResponse {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(id))))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    client.call(4, &request)
}

/// Producer id and epoch of a producer that is only idempotent.
pub fn idempotent(client: &mut Client) -> Author {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = client.call(4, &request);
    assert_eq!(answer.error_code, 0, "init");
    Author { id: answer.producer_id.0, epoch: answer.producer_epoch, sequence: 0, transactional: false }
}

/// Codes after which the same request is sent again.
pub fn is_passing(code: i16) -> bool {
    [
        errors::COORDINATOR_LOAD_IN_PROGRESS,
        errors::COORDINATOR_NOT_AVAILABLE,
        errors::NOT_COORDINATOR,
        errors::CONCURRENT_TRANSACTIONS,
    ]
    .contains(&code)
}

/// Repeats what answers a passing code.
pub fn settled(mut call: impl FnMut() -> i16) -> i16 {
    let mut code = 0;
    until("the coordinator is ready", || {
        code = call();
        !is_passing(code)
    });
    code
}

/// A transactional producer, request by request.
#[derive(Clone, Debug)]
pub struct Transactional {
    pub name: String,
    pub author: Author,
}

impl Transactional {
    pub fn init(client: &mut Client, name: &str, timeout_ms: i32) -> Transactional {
        let mut answer = InitProducerIdResponse::default();
        let code = settled(|| {
            answer = try_init(client, name, timeout_ms);
            answer.error_code
        });
        assert_eq!(code, 0, "init");
        let author =
            Author { id: answer.producer_id.0, epoch: answer.producer_epoch, sequence: 0, transactional: true };
        Transactional { name: name.to_owned(), author }
    }

    pub fn id(&self) -> TransactionalId {
        TransactionalId(text(&self.name))
    }

    /// AddPartitionsToTxn for partition 0; the code.
    pub fn add(&self, client: &mut Client, name: &str) -> i16 {
        settled(|| {
            let added = AddPartitionsToTxnTopic::default().with_name(topic(name)).with_partitions(vec![0]);
            let request = AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(self.id())
                .with_v3_and_below_producer_id(ProducerId(self.author.id))
                .with_v3_and_below_producer_epoch(self.author.epoch)
                .with_v3_and_below_topics(vec![added]);
            client.call(3, &request).results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
        })
    }

    /// Writes one record to partition 0; the code.
    pub fn write(&mut self, client: &mut Client, name: &str, value: &str) -> i16 {
        let bytes = batch(&[record(value)], self.author);
        let code = client.try_produce(8, name, 0, bytes, Some(&self.name)).expect("an answer").error_code;
        self.author.sequence += i32::from(code == 0);
        code
    }

    /// Adds the partition and writes.
    pub fn put(&mut self, client: &mut Client, name: &str, value: &str) {
        assert_eq!(self.add(client, name), 0, "the partition joins the transaction");
        assert_eq!(self.write(client, name, value), 0, "{value} is written");
    }

    /// EndTxn; the code.
    pub fn end(&self, client: &mut Client, commit: bool) -> i16 {
        settled(|| {
            let request = EndTxnRequest::default()
                .with_transactional_id(self.id())
                .with_producer_id(ProducerId(self.author.id))
                .with_producer_epoch(self.author.epoch)
                .with_committed(commit);
            client.call(2, &request).error_code
        })
    }
}

/// Waits until the stable end of a partition is this.
pub fn stable_at(client: &mut Client, name: &str, offset: i64) {
    let mut last = (0, 0);
    until("the stable end gets there", || {
        last = client.offset(name, 0, -1, true);
        last == (0, offset)
    });
}

/// Commits an offset of partition 0; the code. Generation and member of a group's member, or -1 and "".
pub fn commit(client: &mut Client, group: &str, name: &str, offset: i64, metadata: &str, who: (i32, &str)) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(0)
        .with_committed_metadata(Some(text(metadata)));
    let sent = OffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(who.0)
        .with_member_id(text(who.1))
        .with_topics(vec![sent]);
    settled(|| client.call(7, &request).topics[0].partitions[0].error_code)
}

/// What a group has committed for partition 0.
pub fn committed(client: &mut Client, group: &str, name: &str) -> OffsetFetchResponsePartition {
    let wanted = OffsetFetchRequestTopic::default().with_name(topic(name)).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![wanted]))
        .with_require_stable(true);
    client.call(7, &request).topics[0].partitions[0].clone()
}

/// A member of a group, request by request, on a connection of its own.
pub struct Member {
    pub client: Client,
    pub group: String,
    pub id: String,
    pub instance: Option<String>,
    pub session_ms: i32,
    pub generation: i32,
}

impl Member {
    pub fn new(client: Client, group: &str, instance: Option<&str>) -> Member {
        let instance = instance.map(str::to_owned);
        Member { client, group: group.to_owned(), id: String::new(), instance, session_ms: 30_000, generation: -1 }
    }

    pub fn join_request(&self, protocol: &str) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default().with_name(text(protocol)).with_metadata("m".into());
        JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(self.session_ms)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }

    /// Joins and waits for the answer, taking the member id it is given.
    pub fn join(&mut self) -> JoinGroupResponse {
        self.send_join();
        self.joined()
    }

    /// Sends a join without waiting; a new dynamic member asks for its id first.
    pub fn send_join(&mut self) {
        if self.id.is_empty() && self.instance.is_none() {
            let request = self.join_request("range");
            let told = self.client.call(5, &request);
            assert_eq!(told.error_code, errors::MEMBER_ID_REQUIRED, "a new member is given its id first");
            self.id = told.member_id.to_string();
        }
        let request = self.join_request("range");
        self.client.send(5, &request);
    }

    /// The answer to [`Member::send_join`].
    pub fn joined(&mut self) -> JoinGroupResponse {
        let answer = self.client.receive::<JoinGroupRequest>(5).expect("an answer");
        if answer.error_code == 0 {
            self.id = answer.member_id.to_string();
            self.generation = answer.generation_id;
        }
        answer
    }

    /// Sends the sync; a leader gives its assignment to these members.
    pub fn sync(&mut self, assignments: &[(&str, &str)]) -> SyncGroupResponse {
        let request = self.sync_request(assignments);
        self.client.call(3, &request)
    }

    pub fn sync_request(&self, assignments: &[(&str, &str)]) -> SyncGroupRequest {
        let assignments = assignments.iter().map(|(member, bytes)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::copy_from_slice(bytes.as_bytes()))
        });
        SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_assignments(assignments.collect())
    }

    /// Heartbeat; the code.
    pub fn beat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.client.call(3, &request).error_code
    }

    /// A new group with this one member, which has the assignment "all".
    pub fn alone(client: Client, group: &str, instance: Option<&str>) -> Member {
        let mut member = Member::new(client, group, instance);
        assert_eq!(member.join().error_code, 0, "joined");
        let id = member.id.clone();
        let synced = member.sync(&[(&id, "all")]);
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]), "synced");
        member
    }
}
