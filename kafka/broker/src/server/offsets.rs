//! Where things stand in a partition: ListOffsets, OffsetForLeaderEpoch, and DeleteRecords, which moves the start.

use std::sync::Arc;

use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::connection::Call;
use super::fetch::check_epoch;
use crate::errors;
use crate::store::PartitionLog;
use crate::topics::{Leader, Partition, lock};

/// Times that stand for a place in the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LARGEST_TIME: i64 = -3;

/// The partition, if this node leads it.
fn led(call: &Call<'_>, topic: &str, index: i32) -> Result<(Arc<Partition>, Leader), i16> {
    let partition = call.shared.topics.partition(topic, index).ok_or(errors::UNKNOWN_TOPIC_OR_PARTITION)?;
    let leader = partition.leader();
    if leader.node == call.node { Ok((partition, leader)) } else { Err(errors::NOT_LEADER_OR_FOLLOWER) }
}

pub(crate) fn list_offsets(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = request.isolation_level == 1;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let result = led(call, &topic.name, wanted.partition_index).and_then(|(partition, leader)| {
                check_epoch(leader, wanted.current_leader_epoch)?;
                let found = find(&lock(&partition.log), wanted.timestamp, committed)?;
                Ok((found, leader))
            });
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
            match result {
                Err(code) => answer.with_error_code(code).with_offset(-1).with_timestamp(-1),
                Ok(((offset, timestamp), leader)) => {
                    let answer = answer.with_offset(offset).with_timestamp(timestamp);
                    // The epoch of an older record is not asked of the log: unknown is an answer clients take.
                    let known = call.version >= 4 && wanted.timestamp == LATEST;
                    if known { answer.with_leader_epoch(leader.epoch) } else { answer }
                }
            }
        });
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and time; -1 where there is none.
fn find(log: &PartitionLog, timestamp: i64, committed: bool) -> Result<(i64, i64), i16> {
    let end = if committed { log.last_stable() } else { log.high_watermark() };
    let found = match timestamp {
        LATEST => return Ok((end, -1)),
        EARLIEST => return Ok((log.log_start(), -1)),
        LARGEST_TIME => log.max_timestamp(),
        time if time >= 0 => log.offset_for_time(time),
        _ => return Err(errors::UNSUPPORTED_VERSION),
    };
    Ok(found.filter(|(offset, _)| *offset < end).unwrap_or((-1, -1)))
}

pub(crate) fn offset_for_leader_epoch(
    call: &Call<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let result = led(call, &topic.topic, wanted.partition).and_then(|(partition, leader)| {
                check_epoch(leader, wanted.current_leader_epoch)?;
                let end = lock(&partition.log).epoch_end(wanted.leader_epoch);
                Ok(end)
            });
            let answer = EpochEndOffset::default().with_partition(wanted.partition);
            match result {
                Err(code) => answer.with_error_code(code).with_leader_epoch(-1).with_end_offset(-1),
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
            }
        });
        OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

pub(crate) fn delete_records(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let result = led(call, &topic.name, wanted.partition_index).and_then(|(partition, _)| {
                let mut log = lock(&partition.log);
                let before = if wanted.offset == -1 { log.high_watermark() } else { wanted.offset };
                log.delete_before(before).map_err(|error| error.code())
            });
            let answer = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            match result {
                Err(code) => answer.with_error_code(code).with_low_watermark(-1),
                Ok(start) => answer.with_low_watermark(start),
            }
        });
        DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
