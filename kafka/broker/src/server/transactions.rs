//! The requests of transactional producers, and the markers that end their transactions: control batches in every
//! partition, then the offsets of the groups. Whoever decides a transaction writes its markers before it answers, so
//! that the producer's next request does not meet CONCURRENT_TRANSACTIONS without need; what a crash or a full disk
//! interrupts is handed out again.

use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::connection::Call;
use super::dispatch::text;
use super::groups::{check_coordinator, commit_known, member};
use super::{Shared, now_ms};
use crate::errors;
use crate::group::OffsetCommit;
use crate::store::AppendError;
use crate::topics::{Partition, lock};
use crate::txn::{InitRequest, Marker, ProducerRef, TxnDescription};

/// The other partitions of a request that failed for one; the client must not take them as added.
const OPERATION_NOT_ATTEMPTED: i16 = 55;

/// Writes all markers that are due.
pub(crate) fn write_markers(shared: &Shared) {
    // Taken before the loop, which must not hold the lock.
    let markers = lock(&shared.transactions).take_markers();
    for marker in markers {
        let written = marker.partitions.iter().try_for_each(|(topic, index)| {
            shared.topics.partition(topic, *index).map_or(Ok(()), |partition| write_marker(shared, &marker, &partition))
        });
        let written = written.and_then(|()| {
            marker.groups.iter().try_for_each(|group| {
                shared.with_groups(|groups, _| {
                    groups.end_txn_offsets(group, marker.producer_id, marker.commit);
                })
            })
        });
        // A failure was logged; housekeeping comes back to it.
        let _ = shared.with_transactions(|transactions, now_ms| match written {
            Ok(()) => transactions.finished(&marker, now_ms),
            Err(_) => transactions.failed(marker),
        });
    }
}

fn write_marker(shared: &Shared, marker: &Marker, partition: &Partition) -> Result<(), i16> {
    let result = {
        let mut log = lock(&partition.log);
        if partition.deleted() {
            return Ok(());
        }
        let epoch = partition.leader().epoch;
        let (id, producer_epoch) = (marker.producer_id, marker.producer_epoch);
        log.end_transaction(id, producer_epoch, marker.coordinator_epoch, marker.commit, epoch, now_ms())
    };
    partition.wake();
    match result {
        Ok(_) => Ok(()),
        Err(error @ AppendError::Io(_)) => {
            shared.log(&format!("the end of {}'s transaction could not be written: {error}", marker.transactional_id));
            Err(error.code())
        }
        // A newer epoch has ended it already.
        Err(error) => {
            shared.log(&format!("partition {} of {}: {error}", partition.index, marker.transactional_id));
            Ok(())
        }
    }
}

pub(crate) fn init(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let asked = InitRequest {
        version: call.version,
        transactional_id: request.transactional_id.as_ref().map(|id| id.as_str().to_owned()),
        timeout_ms: request.transaction_timeout_ms,
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
    };
    let coordinator = asked.transactional_id.as_deref().map_or(Ok(()), |id| check_coordinator(call, id));
    let result = coordinator.and_then(|()| {
        let init = || call.shared.with_transactions(|txns, now_ms| txns.init(&asked, now_ms)).and_then(|result| result);
        let first = init();
        write_markers(call.shared);
        // What was open is aborted by the markers just written, so the second attempt finds nothing in its way.
        if first == Err(errors::CONCURRENT_TRANSACTIONS) { init() } else { first }
    });
    match result {
        Ok((id, epoch)) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(code) => {
            let response = InitProducerIdResponse::default().with_error_code(code);
            response.with_producer_id(ProducerId(-1)).with_producer_epoch(-1)
        }
    }
}

fn producer(call: &Call<'_>, id: &TransactionalId, producer_id: ProducerId, producer_epoch: i16) -> ProducerRef {
    ProducerRef {
        version: call.version,
        transactional_id: id.as_str().to_owned(),
        producer_id: producer_id.0,
        producer_epoch,
    }
}

pub(crate) fn add_partitions(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let id = request.v3_and_below_transactional_id;
    let who = producer(call, &id, request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
    let topics = request.v3_and_below_topics;
    let wanted: Vec<(String, i32)> = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.as_str().to_owned(), *index)))
        .collect();
    let exists = |topic: &str, index: i32| call.shared.topics.partition(topic, index).is_some();
    let all_exist = wanted.iter().all(|(topic, index)| exists(topic, *index));
    let code = check_coordinator(call, &id).and_then(|()| match all_exist {
        true => call.shared.with_transactions(|txns, now_ms| txns.add_partitions(&who, &wanted, now_ms)),
        false => Ok(OPERATION_NOT_ATTEMPTED),
    });
    let code = code.unwrap_or_else(|code| code);
    let results = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let missing = code == OPERATION_NOT_ATTEMPTED && !exists(&topic.name, *index);
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(if missing { errors::UNKNOWN_TOPIC_OR_PARTITION } else { code })
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(partitions)
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(crate) fn add_offsets(call: &Call<'_>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let who = producer(call, &request.transactional_id, request.producer_id, request.producer_epoch);
    let result = check_coordinator(call, &who.transactional_id)
        .and_then(|()| call.shared.with_transactions(|txns, now_ms| txns.add_group(&who, &request.group_id, now_ms)));
    AddOffsetsToTxnResponse::default().with_error_code(result.unwrap_or_else(|code| code))
}

pub(crate) fn commit_offsets(call: &Call<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let producer = producer(call, &request.transactional_id, request.producer_id, request.producer_epoch);
    let who = member(&request.group_id, request.generation_id, &request.member_id, &request.group_instance_id);
    let commits = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| OffsetCommit {
            topic: topic.name.as_str().to_owned(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
        })
    });
    let codes = commit_known(call, &who.group, commits.collect(), |known| {
        // Held until the offsets are noted: an abort decided in between would leave them undecided for ever.
        let transactions = lock(&call.shared.transactions);
        let code = transactions.check_group(&producer, &who.group);
        if code != errors::NONE {
            return Err(code);
        }
        call.shared.with_groups(|groups, now_ms| groups.commit_txn_offsets(producer.producer_id, &who, known, now_ms))
    });
    let mut codes = codes.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(codes.next().unwrap_or(errors::UNKNOWN_SERVER_ERROR))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

pub(crate) fn end(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let who = producer(call, &request.transactional_id, request.producer_id, request.producer_epoch);
    let result = check_coordinator(call, &who.transactional_id)
        .and_then(|()| call.shared.with_transactions(|txns, now_ms| txns.end(&who, request.committed, now_ms)));
    write_markers(call.shared);
    EndTxnResponse::default().with_error_code(result.unwrap_or_else(|code| code))
}

pub(crate) fn describe_producers(call: &Call<'_>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            match call.shared.topics.partition(&topic.name, *index) {
                None => answer.with_error_code(errors::UNKNOWN_TOPIC_OR_PARTITION),
                Some(partition) if partition.leader().node != call.node => {
                    answer.with_error_code(errors::NOT_LEADER_OR_FOLLOWER)
                }
                Some(partition) => answer.with_active_producers(active_producers(&partition)),
            }
        });
        TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn active_producers(partition: &Partition) -> Vec<ProducerState> {
    let known = lock(&partition.log).producers();
    let state = |producer: crate::store::ProducerInfo| {
        ProducerState::default()
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.producer_epoch.into())
            .with_last_sequence(producer.last_sequence)
            .with_last_timestamp(producer.last_timestamp)
            .with_coordinator_epoch(producer.coordinator_epoch)
            .with_current_txn_start_offset(producer.transaction_start)
    };
    known.into_iter().map(state).collect()
}

pub(crate) fn describe(call: &Call<'_>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let found = check_coordinator(call, &id)
            .and_then(|()| lock(&call.shared.transactions).describe(&id).ok_or(errors::TRANSACTIONAL_ID_NOT_FOUND));
        let answer = TransactionState::default().with_transactional_id(id);
        match found {
            Err(code) => answer.with_error_code(code),
            Ok(txn) => answer
                .with_transaction_state(text(txn.state.name()))
                .with_transaction_timeout_ms(txn.timeout_ms)
                .with_transaction_start_time_ms(txn.start_ms)
                .with_producer_id(ProducerId(txn.producer_id))
                .with_producer_epoch(txn.producer_epoch)
                .with_topics(topics_of(&txn)),
        }
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

fn topics_of(txn: &TxnDescription) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    let mut pairs = txn.partitions.clone();
    pairs.sort();
    for (name, index) in pairs {
        match topics.last_mut().filter(|topic| topic.topic.as_str() == name) {
            Some(topic) => topic.partitions.push(index),
            None => topics.push(TopicData::default().with_topic(TopicName(text(&name))).with_partitions(vec![index])),
        }
    }
    topics
}

pub(crate) fn list(call: &Call<'_>, request: ListTransactionsRequest) -> ListTransactionsResponse {
    use kafka_protocol::messages::list_transactions_response::TransactionState;
    let now_ms = now_ms();
    let wanted = |txn: &TxnDescription| {
        let states = &request.state_filters;
        let ids = &request.producer_id_filters;
        let long = request.duration_filter;
        check_coordinator(call, &txn.transactional_id).is_ok()
            && (states.is_empty() || states.iter().any(|state| state.as_str() == txn.state.name()))
            && (ids.is_empty() || ids.contains(&ProducerId(txn.producer_id)))
            && (long < 0 || call.version < 1 || txn.start_ms >= 0 && now_ms - txn.start_ms > long)
    };
    let found = lock(&call.shared.transactions).list().into_iter().filter(wanted).map(|txn| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(text(&txn.transactional_id)))
            .with_producer_id(ProducerId(txn.producer_id))
            .with_transaction_state(text(txn.state.name()))
    });
    ListTransactionsResponse::default().with_transaction_states(found.collect())
}
