//! A raw client of the wire protocol for tests: one connection, one request at a time, any bytes; and record batches
//! written by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// Longer than any answer takes; a test that runs into it fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    pub stream: TcpStream,
    correlation: i32,
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Client {
    pub fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        Client { stream, correlation: 0 }
    }

    /// Sends a request and returns without its answer.
    pub fn send<Q: Request>(&mut self, version: i16, request: &Q) {
        self.correlation += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("wire")));
        header.encode(&mut frame, Q::header_version(version)).expect("header");
        request.encode(&mut frame, version).expect("request");
        let length = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).expect("sent");
    }

    /// The answer to the oldest request not yet answered; `None`: the connection was closed.
    pub fn receive<Q: Request>(&mut self, version: i16) -> Option<Q::Response> {
        let mut frame = self.frame()?;
        let header = ResponseHeader::decode(&mut frame, Q::Response::header_version(version)).expect("header");
        assert_eq!(header.correlation_id, self.correlation, "answers come in request order");
        let response = Q::Response::decode(&mut frame, version).expect("an answer of this version");
        assert!(frame.is_empty(), "{} bytes behind the answer", frame.len());
        Some(response)
    }

    pub fn try_call<Q: Request>(&mut self, version: i16, request: &Q) -> Option<Q::Response> {
        self.send(version, request);
        self.receive::<Q>(version)
    }

    pub fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        self.try_call(version, request).expect("an answer")
    }

    /// One frame without its length; `None`: closed.
    pub fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(Bytes::from(frame))
    }

    /// TRUE when the other side has closed, without a byte sent before.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    /// Creates a topic; Kafka's code.
    pub fn create(&mut self, name: &str, partitions: i32, config: &[(&str, &str)]) -> i16 {
        let config =
            config.iter().map(|(k, v)| CreatableTopicConfig::default().with_name(text(k)).with_value(Some(text(v))));
        let wanted = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(config.collect());
        self.call(4, &CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(1000)).topics[0]
            .error_code
    }

    /// Produces to a partition with acks=all.
    pub fn produce(&mut self, version: i16, name: &str, index: i32, records: Bytes) -> PartitionProduceResponse {
        self.try_produce(version, name, index, records, None).expect("an answer")
    }

    pub fn try_produce(
        &mut self,
        version: i16,
        name: &str,
        index: i32,
        records: Bytes,
        transactional_id: Option<&str>,
    ) -> Option<PartitionProduceResponse> {
        let response = self.try_call(version, &produce_request(name, index, records, -1, transactional_id))?;
        Some(response.responses[0].partition_responses[0].clone())
    }

    pub fn fetch(&mut self, version: i16, fetch: &Fetch<'_>) -> PartitionData {
        self.call(version, &fetch.request(version)).responses[0].partitions[0].clone()
    }

    /// Offset that stands for a time, and Kafka's code.
    pub fn offset(&mut self, name: &str, index: i32, timestamp: i64, committed: bool) -> (i16, i64) {
        let wanted = ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp);
        let wanted = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(committed.into())
            .with_topics(vec![wanted]);
        let answer = self.call(7, &request).topics[0].partitions[0].clone();
        (answer.error_code, answer.offset)
    }

    /// Sets keys of the broker's configuration on a node, or on all; Kafka's code.
    pub fn alter_broker(&mut self, node: &str, key: &str, value: &str) -> i16 {
        let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(text(node))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        self.call(0, &request).responses[0].error_code
    }
}

pub fn produce_request(
    name: &str,
    index: i32,
    records: Bytes,
    acks: i16,
    transactional_id: Option<&str>,
) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(index).with_records(Some(records));
    let data = TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
        .with_acks(acks)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![data])
}

/// A fetch of one partition.
pub struct Fetch<'a> {
    pub topic: &'a str,
    pub index: i32,
    pub offset: i64,
    pub epoch: i32,
    pub committed: bool,
    pub min_bytes: i32,
    pub max_wait_ms: i32,
}

impl Default for Fetch<'_> {
    fn default() -> Self {
        Fetch { topic: "t", index: 0, offset: 0, epoch: -1, committed: false, min_bytes: 0, max_wait_ms: 0 }
    }
}

impl Fetch<'_> {
    pub fn request(&self, version: i16) -> FetchRequest {
        let mut wanted = FetchPartition::default()
            .with_partition(self.index)
            .with_fetch_offset(self.offset)
            .with_partition_max_bytes(1 << 20);
        if version >= 9 {
            wanted.current_leader_epoch = self.epoch;
        }
        let wanted = FetchTopic::default().with_topic(topic(self.topic)).with_partitions(vec![wanted]);
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.max_wait_ms)
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(1 << 20)
            .with_isolation_level(self.committed.into())
            .with_session_epoch(-1)
            .with_topics(vec![wanted])
    }
}

/// Who writes a batch, and as what.
#[derive(Clone, Copy)]
pub struct Writer {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
}

pub const ANYONE: Writer = Writer { producer_id: -1, producer_epoch: -1, sequence: -1, transactional: false };

/// A record batch with one record per value.
pub fn batch(values: &[&str], writer: Writer) -> Bytes {
    let mut records = BytesMut::new();
    for (i, value) in values.iter().enumerate() {
        // Attributes, time delta, offset delta, no key, value, no headers; all lengths below 64 take one byte.
        let mut record = vec![0, 0, (i as u8) << 1, 1, (value.len() as u8) << 1];
        record.extend_from_slice(value.as_bytes());
        record.push(0);
        records.put_u8((record.len() as u8) << 1);
        records.put_slice(&record);
    }
    let mut tail = BytesMut::new();
    tail.put_i16(if writer.transactional { 0x10 } else { 0 });
    tail.put_i32(values.len() as i32 - 1);
    tail.put_i64(1_700_000_000_000);
    tail.put_i64(1_700_000_000_000);
    tail.put_i64(writer.producer_id);
    tail.put_i16(writer.producer_epoch);
    tail.put_i32(writer.sequence);
    tail.put_i32(values.len() as i32);
    tail.put_slice(&records);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(tail.len() as i32 + 9);
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&tail));
    batch.put_slice(&tail);
    batch.freeze()
}

/// Offset and value of every record in whole batches, and whether its batch is a control batch.
pub fn records(bytes: &[u8]) -> Vec<(i64, String, bool)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 61 {
        let base = i64::from_be_bytes(rest[..8].try_into().expect("8"));
        let length = u32::from_be_bytes(rest[8..12].try_into().expect("4")) as usize + 12;
        if length > rest.len() {
            break;
        }
        let (whole, behind) = rest.split_at(length);
        let control = whole[22] & 0x20 != 0;
        let mut at = 61;
        while at < whole.len() {
            let size = (whole[at] >> 1) as usize;
            let record = &whole[at + 1..at + 1 + size];
            let value =
                if control { String::new() } else { String::from_utf8_lossy(&record[5..size - 1]).into_owned() };
            found.push((base + i64::from(record[2] >> 1), value, control));
            at += 1 + size;
        }
        rest = behind;
    }
    found
}
