//! Groups as an administrator sees them: list, describe, delete, and deleting offsets of partitions nobody reads.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};

use super::connection::Call;
use super::dispatch::text;
use super::groups::check_coordinator;
use crate::errors;
use crate::group::{GroupState, MemberDescription};
use crate::topics::lock;

/// The only kind of group there is here.
const CLASSIC: &str = "classic";

/// Each node lists the groups it coordinates; clients ask all nodes.
pub(crate) fn list(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[kafka_protocol::protocol::StrBytes], name: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let groups = lock(&call.shared.groups).list().into_iter().filter(|group| {
        check_coordinator(call, &group.group).is_ok()
            && wanted(&request.states_filter, group.state.name())
            && wanted(&request.types_filter, CLASSIC)
    });
    let groups = groups.map(|group| {
        let mut answer = ListedGroup::default()
            .with_group_id(GroupId(text(&group.group)))
            .with_protocol_type(text(&group.protocol_type));
        if call.version >= 4 {
            answer.group_state = text(group.state.name());
        }
        if call.version >= 5 {
            answer.group_type = text(CLASSIC);
        }
        answer
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(crate) fn describe(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let answer = DescribedGroup::default().with_group_id(id.clone());
        if let Err(code) = check_coordinator(call, &id) {
            return answer.with_error_code(code);
        }
        let Some(group) = lock(&call.shared.groups).describe(&id) else {
            return answer.with_group_state(text(GroupState::Dead.name()));
        };
        answer
            .with_group_state(text(group.state.name()))
            .with_protocol_type(text(&group.protocol_type))
            .with_protocol_data(text(&group.protocol))
            .with_members(group.members.into_iter().map(|member| describe_member(call, member)).collect())
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_member(call: &Call<'_>, member: MemberDescription) -> DescribedGroupMember {
    let answer = DescribedGroupMember::default()
        .with_member_id(text(&member.member))
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&format!("/{}", member.client_host)))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment);
    if call.version >= 4 { answer.with_group_instance_id(member.instance.as_deref().map(text)) } else { answer }
}

pub(crate) fn delete(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let result = check_coordinator(call, &id)
            .and_then(|()| call.shared.with_groups(|groups, _| groups.delete_group(&id)))
            .unwrap_or_else(|code| code);
        DeletableGroupResult::default().with_group_id(id).with_error_code(result)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

pub(crate) fn delete_offsets(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let wanted = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.name.as_str().to_owned(), partition.partition_index))
    });
    let wanted: Vec<(String, i32)> = wanted.collect();
    let result = check_coordinator(call, &request.group_id)
        .and_then(|()| call.shared.with_groups(|groups, _| groups.delete_offsets(&request.group_id, &wanted)))
        .and_then(|result| result);
    let mut codes = match result {
        Ok(codes) => codes.into_iter(),
        Err(code) => return OffsetDeleteResponse::default().with_error_code(code),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(codes.next().unwrap_or(errors::UNKNOWN_SERVER_ERROR))
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
