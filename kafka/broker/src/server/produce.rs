//! Produce: batches as they came go to the logs of the partitions this node leads. A batch of a transaction is taken only
//! while its partition is in that transaction, which is asked under the log's lock: an abort decided in between then
//! writes its marker behind the batch, never before it.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::connection::{Call, Reply};
use super::dispatch::{frame, text};
use super::now_ms;
use crate::errors;
use crate::store::Appended;
use crate::topics::{Topic, lock};

/// Where these stand in a record batch of format 2.
const LENGTH_AT: usize = 8;
const ATTRIBUTES_AT: usize = 21;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const HEADER_BYTES: usize = 61;
const TRANSACTIONAL: u8 = 0x10;

/// A refusal: Kafka's code and what to tell people.
struct Refused(i16, String);

impl Refused {
    fn code(code: i16) -> Refused {
        Refused(code, String::new())
    }
}

pub(crate) fn produce(call: &Call<'_>, request: ProduceRequest) -> Reply {
    let acks = request.acks;
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str().to_owned());
    let mut failed = false;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = call.shared.topics.get(&data.name);
        let mut answers = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let records = partition.records.unwrap_or_default();
            let result = append(call, topic.as_deref(), partition.index, records, acks, transactional_id.as_deref());
            failed |= result.is_err();
            answers.push(answer(call, partition.index, result));
        }
        responses.push(TopicProduceResponse::default().with_name(data.name).with_partition_responses(answers));
    }
    match (acks, failed) {
        (0, false) => Reply::Nothing,
        (0, true) => Reply::Close("a batch sent with acks=0 was refused".to_owned()),
        _ => {
            let response =
                ProduceResponse::default().with_responses(responses).with_throttle_time_ms(call.met.throttle_ms as i32);
            frame(call, call.version, &response)
        }
    }
}

fn answer(call: &Call<'_>, index: i32, result: Result<(Appended, i64), Refused>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok((appended, log_start)) => {
            let answer =
                answer.with_base_offset(appended.base_offset).with_log_append_time_ms(appended.log_append_time);
            if call.version >= 5 { answer.with_log_start_offset(log_start) } else { answer }
        }
        Err(Refused(code, why)) => {
            let answer = answer.with_error_code(code).with_base_offset(-1).with_log_append_time_ms(-1);
            let told = call.version >= 8 && !why.is_empty();
            if told { answer.with_error_message(Some(text(&why))) } else { answer }
        }
    }
}

fn append(
    call: &Call<'_>,
    topic: Option<&Topic>,
    index: i32,
    records: Bytes,
    acks: i16,
    transactional_id: Option<&str>,
) -> Result<(Appended, i64), Refused> {
    if !(-1..=1).contains(&acks) {
        return Err(Refused::code(errors::INVALID_REQUIRED_ACKS));
    }
    let unknown = || Refused::code(errors::UNKNOWN_TOPIC_OR_PARTITION);
    let topic = topic.ok_or_else(unknown)?;
    let partition = topic.partition(index).ok_or_else(unknown)?;
    if acks == -1 && in_sync_wanted(topic) > i32::from(topic.replication) {
        return Err(Refused::code(errors::NOT_ENOUGH_REPLICAS));
    }
    if !is_one_batch(&records) {
        return Err(Refused(errors::INVALID_RECORD, "a partition takes one whole record batch per request".to_owned()));
    }
    let transactional = transactional_producer(&records);
    let bytes = records.len() as u64;
    let mut log = lock(&partition.log);
    if partition.deleted() {
        return Err(unknown());
    }
    let leader = partition.leader();
    if leader.node != call.node {
        return Err(Refused::code(errors::NOT_LEADER_OR_FOLLOWER));
    }
    if let Some((id, epoch)) = transactional {
        check_transaction(call, &topic.name, index, id, epoch, transactional_id)?;
    }
    let appended =
        log.append(records, leader.epoch, now_ms()).map_err(|error| Refused(error.code(), error.to_string()))?;
    let log_start = log.log_start();
    drop(log);
    if !appended.duplicate {
        let counters = &call.shared.counters;
        counters.records_in.fetch_add((appended.last_offset - appended.base_offset + 1) as u64, Ordering::Relaxed);
        counters.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        partition.wake();
    }
    Ok((appended, log_start))
}

/// min.insync.replicas of the topic; every replica of ours is in sync, as all share one store.
fn in_sync_wanted(topic: &Topic) -> i32 {
    topic.overrides.get("min.insync.replicas").and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// TRUE when the bytes are as long as the batch at their front says.
fn is_one_batch(records: &[u8]) -> bool {
    let length = records.get(LENGTH_AT..LENGTH_AT + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    let whole = length.and_then(|length| usize::try_from(length).ok()?.checked_add(LENGTH_AT + 4));
    whole == Some(records.len())
}

/// Producer id and epoch of a transactional batch.
fn transactional_producer(records: &[u8]) -> Option<(i64, i16)> {
    if records.len() < HEADER_BYTES || records[ATTRIBUTES_AT + 1] & TRANSACTIONAL == 0 {
        return None;
    }
    let id = records[PRODUCER_ID_AT..PRODUCER_EPOCH_AT].try_into().map_or(-1, i64::from_be_bytes);
    let epoch = records[PRODUCER_EPOCH_AT..PRODUCER_EPOCH_AT + 2].try_into().map_or(-1, i16::from_be_bytes);
    Some((id, epoch))
}

fn check_transaction(
    call: &Call<'_>,
    topic: &str,
    index: i32,
    producer_id: i64,
    producer_epoch: i16,
    transactional_id: Option<&str>,
) -> Result<(), Refused> {
    let transactions = lock(&call.shared.transactions);
    if transactions.is_in(producer_id, producer_epoch, topic, index) {
        return Ok(());
    }
    let current = transactional_id.and_then(|id| transactions.describe(id));
    drop(transactions);
    Err(match current {
        Some(now) if now.producer_id == producer_id && now.producer_epoch > producer_epoch => {
            Refused(errors::INVALID_PRODUCER_EPOCH, "a newer producer took over the transactional id".to_owned())
        }
        _ => Refused(
            errors::INVALID_TXN_STATE,
            format!("{topic}-{index} was not added to an open transaction of producer {producer_id}"),
        ),
    })
}
