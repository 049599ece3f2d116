//! The requests of group members: they are turned into plain values for the coordinator and its answers back. Joins and
//! syncs wait here, in their connection's thread, for the ticket the coordinator gave.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::connection::Call;
use super::dispatch::text;
use super::{Shared, now_ms};
use crate::errors;
use crate::group::{Answer, FetchedOffset, JoinRequest, Leaving, MemberRef, OffsetCommit, SyncRequest, Ticket};
use crate::topics::lock;

/// How often somebody who waits looks whether the client is still there.
const LOOK_EVERY_MS: i64 = 500;

/// Kafka's code if another node coordinates this group or transactional id.
pub(crate) fn check_coordinator(call: &Call<'_>, key: &str) -> Result<(), i16> {
    if call.shared.coordinator(key).id == call.node { Ok(()) } else { Err(errors::NOT_COORDINATOR) }
}

pub(crate) fn owned(text: &Option<StrBytes>) -> Option<String> {
    text.as_ref().map(|text| text.as_str().to_owned())
}

pub(crate) fn member(group: &str, generation: i32, member: &str, instance: &Option<StrBytes>) -> MemberRef {
    MemberRef { group: group.to_owned(), generation, member: member.to_owned(), instance: owned(instance) }
}

/// Waits for a ticket; gives it up when the client goes or the broker stops.
fn wait_for(call: &Call<'_>, ticket: Ticket) -> Result<Answer, i16> {
    let shared: &Shared = call.shared;
    let mut groups = lock(&shared.groups);
    let mut looked_ms = now_ms();
    loop {
        if let Some(answer) = groups.take(ticket) {
            return Ok(answer);
        }
        let now = now_ms();
        let gone = now - looked_ms >= LOOK_EVERY_MS && !call.client_is_there();
        if shared.stopping() || gone {
            groups.cancel(ticket);
            shared.settle_groups(&mut groups)?;
            return Err(errors::COORDINATOR_NOT_AVAILABLE);
        }
        if now - looked_ms >= LOOK_EVERY_MS {
            looked_ms = now;
        }
        let wait = Duration::from_millis(LOOK_EVERY_MS as u64);
        groups = shared.groups_moved.wait_timeout(groups, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}

pub(crate) fn join(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let protocols = request.protocols.iter().map(|p| (p.name.as_str().to_owned(), p.metadata.clone())).collect();
    let joining = JoinRequest {
        version: call.version,
        group: request.group_id.as_str().to_owned(),
        member: request.member_id.as_str().to_owned(),
        instance: owned(&request.group_instance_id),
        client_id: call.client_id.to_owned(),
        client_host: call.client_host.to_owned(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if call.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        protocol_type: request.protocol_type.as_str().to_owned(),
        protocols,
    };
    let answer = check_coordinator(call, &request.group_id)
        .and_then(|()| call.shared.with_groups(|groups, now_ms| groups.join(joining, now_ms)))
        .and_then(|ticket| wait_for(call, ticket));
    let failed = |code| {
        let response = JoinGroupResponse::default().with_error_code(code).with_generation_id(-1);
        response.with_protocol_name(Some(StrBytes::default())).with_member_id(request.member_id.clone())
    };
    let joined = match answer {
        Ok(Answer::Joined(joined)) => joined,
        Ok(Answer::Synced(_)) => return failed(errors::UNKNOWN_SERVER_ERROR),
        Err(code) => return failed(code),
    };
    let members = joined.members.into_iter().map(|member| {
        let answer = JoinGroupResponseMember::default().with_member_id(text(&member.member));
        let answer = answer.with_metadata(member.metadata);
        if call.version >= 5 { answer.with_group_instance_id(member.instance.map(StrBytes::from)) } else { answer }
    });
    JoinGroupResponse::default()
        .with_error_code(joined.error)
        .with_generation_id(joined.generation)
        .with_protocol_name(Some(text(joined.protocol.as_deref().unwrap_or_default())))
        .with_leader(text(&joined.leader))
        .with_member_id(text(&joined.member))
        .with_members(members.collect())
}

pub(crate) fn sync(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request.assignments.iter().map(|a| (a.member_id.as_str().to_owned(), a.assignment.clone()));
    let syncing = SyncRequest {
        who: member(&request.group_id, request.generation_id, &request.member_id, &request.group_instance_id),
        protocol_type: owned(&request.protocol_type),
        protocol: owned(&request.protocol_name),
        assignments: assignments.collect(),
    };
    let answer = check_coordinator(call, &request.group_id)
        .and_then(|()| call.shared.with_groups(|groups, now_ms| groups.sync(syncing, now_ms)))
        .and_then(|ticket| wait_for(call, ticket));
    match answer {
        Ok(Answer::Synced(synced)) => {
            SyncGroupResponse::default().with_error_code(synced.error).with_assignment(synced.assignment)
        }
        Ok(Answer::Joined(_)) => SyncGroupResponse::default().with_error_code(errors::UNKNOWN_SERVER_ERROR),
        Err(code) => SyncGroupResponse::default().with_error_code(code),
    }
}

pub(crate) fn heartbeat(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let who = member(&request.group_id, request.generation_id, &request.member_id, &request.group_instance_id);
    let result = check_coordinator(call, &who.group)
        .and_then(|()| call.shared.with_groups(|groups, now_ms| groups.heartbeat(&who, now_ms)));
    HeartbeatResponse::default().with_error_code(result.unwrap_or_else(|code| code))
}

pub(crate) fn leave(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leaving: Vec<Leaving> = if call.version >= 3 {
        let member = |m: &kafka_protocol::messages::leave_group_request::MemberIdentity| Leaving {
            member: m.member_id.as_str().to_owned(),
            instance: owned(&m.group_instance_id),
        };
        request.members.iter().map(member).collect()
    } else {
        vec![Leaving { member: request.member_id.as_str().to_owned(), instance: None }]
    };
    let result = check_coordinator(call, &request.group_id)
        .and_then(|()| call.shared.with_groups(|groups, now_ms| groups.leave(&request.group_id, &leaving, now_ms)))
        .and_then(|result| result);
    match result {
        Err(code) => LeaveGroupResponse::default().with_error_code(code),
        Ok(codes) if call.version < 3 => {
            LeaveGroupResponse::default().with_error_code(codes.first().copied().unwrap_or(errors::NONE))
        }
        Ok(codes) => {
            let members = leaving.iter().zip(codes).map(|(member, code)| {
                MemberResponse::default()
                    .with_member_id(text(&member.member))
                    .with_group_instance_id(member.instance.as_deref().map(text))
                    .with_error_code(code)
            });
            LeaveGroupResponse::default().with_members(members.collect())
        }
    }
}

pub(crate) fn commit(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let who = member(&request.group_id, generation, &request.member_id, &request.group_instance_id);
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
        call.shared.with_groups(|groups, now_ms| groups.commit(&who, known, now_ms))
    });
    let mut codes = codes.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(codes.next().unwrap_or(errors::UNKNOWN_SERVER_ERROR))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Commits the offsets of partitions that exist; one code per offset, in order.
pub(crate) fn commit_known(
    call: &Call<'_>,
    key: &str,
    commits: Vec<OffsetCommit>,
    commit: impl FnOnce(Vec<OffsetCommit>) -> Result<Vec<i16>, i16>,
) -> Vec<i16> {
    if let Err(code) = check_coordinator(call, key) {
        return vec![code; commits.len()];
    }
    let exists: Vec<bool> =
        commits.iter().map(|c| call.shared.topics.partition(&c.topic, c.partition).is_some()).collect();
    let known: Vec<OffsetCommit> = commits.into_iter().zip(&exists).filter(|(_, e)| **e).map(|(c, _)| c).collect();
    let count = known.len();
    let mut codes = commit(known).unwrap_or_else(|code| vec![code; count]).into_iter();
    let mut code_of = |known: bool| {
        if known { codes.next().unwrap_or(errors::UNKNOWN_SERVER_ERROR) } else { errors::UNKNOWN_TOPIC_OR_PARTITION }
    };
    exists.into_iter().map(&mut code_of).collect()
}

pub(crate) fn fetch_offsets(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let wanted: Option<Vec<(String, i32)>> = request.topics.as_ref().map(|topics| {
        let pairs = |topic: &kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            let name = topic.name.as_str().to_owned();
            topic.partition_indexes.iter().map(move |index| (name.clone(), *index)).collect::<Vec<_>>()
        };
        topics.iter().flat_map(pairs).collect()
    });
    let result = check_coordinator(call, &request.group_id).map(|()| {
        lock(&call.shared.groups).fetch_offsets(&request.group_id, wanted.as_deref(), request.require_stable)
    });
    let found = match result {
        Ok(found) => found,
        Err(code) if call.version >= 2 => return OffsetFetchResponse::default().with_error_code(code),
        Err(code) => {
            let refused = |(topic, partition): (String, i32)| FetchedOffset {
                topic,
                partition,
                offset: -1,
                leader_epoch: -1,
                metadata: String::new(),
                error: code,
            };
            wanted.unwrap_or_default().into_iter().map(refused).collect()
        }
    };
    let mut by_topic: BTreeMap<String, Vec<OffsetFetchResponsePartition>> = BTreeMap::new();
    for offset in found {
        let answer = OffsetFetchResponsePartition::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_metadata(Some(text(&offset.metadata)))
            .with_error_code(offset.error);
        let epoch = if call.version >= 5 { offset.leader_epoch } else { -1 };
        by_topic.entry(offset.topic).or_default().push(answer.with_committed_leader_epoch(epoch));
    }
    let topic = |(name, partitions): (String, Vec<OffsetFetchResponsePartition>)| {
        OffsetFetchResponseTopic::default().with_name(TopicName(StrBytes::from(name))).with_partitions(partitions)
    };
    OffsetFetchResponse::default().with_topics(by_topic.into_iter().map(topic).collect())
}
