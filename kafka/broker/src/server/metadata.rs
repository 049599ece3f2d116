//! Who is there and who leads what: Metadata, DescribeCluster, FindCoordinator, DescribeLogDirs.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, TopicName,
};

use super::connection::Call;
use super::dispatch::text;
use super::topic_admin::create_automatically;
use super::{Node, Shared};
use crate::errors;
use crate::topics::{Topic, check_topic_name, lock};

/// The node that answers for the cluster.
const CONTROLLER: BrokerId = BrokerId(1);
/// Key types of FindCoordinator.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Nodes that hold a replica, the leader first: all share one store, so this is a matter of form.
pub(crate) fn replicas(shared: &Shared, leader: i32, replication: i16) -> Vec<BrokerId> {
    let nodes = shared.nodes.len() as i32;
    (0..i32::from(replication).clamp(1, nodes)).map(|i| BrokerId((leader - 1 + i).rem_euclid(nodes) + 1)).collect()
}

pub(crate) fn metadata(call: &Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let shared = call.shared;
    let may_create = call.version < 4 || request.allow_auto_topic_creation;
    let topics = match request.topics {
        Some(topics) if !(topics.is_empty() && call.version == 0) => {
            topics.iter().map(|wanted| wanted_topic(call, wanted, may_create)).collect()
        }
        _ => shared.topics.all().iter().map(|topic| describe_topic(call, topic)).collect(),
    };
    let broker = |node: &Node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node.id))
            .with_host(text(shared.config.told_host()))
            .with_port(node.port.into())
    };
    let response = MetadataResponse::default()
        .with_brokers(shared.nodes.iter().map(broker).collect())
        .with_controller_id(CONTROLLER)
        .with_topics(topics);
    if call.version >= 2 { response.with_cluster_id(Some(text(&shared.cluster_id))) } else { response }
}

fn wanted_topic(call: &Call<'_>, wanted: &MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let shared = call.shared;
    let unknown = MetadataResponseTopic::default();
    let Some(name) = wanted.name.clone().filter(|name| !name.is_empty()) else {
        let id = wanted.topic_id;
        return match shared.topics.by_id(id.as_bytes()) {
            Some(topic) => describe_topic(call, &topic),
            None => {
                let name = (call.version < 12).then(TopicName::default);
                unknown.with_error_code(errors::UNKNOWN_TOPIC_ID).with_topic_id(id).with_name(name)
            }
        };
    };
    if let Some(topic) = shared.topics.get(&name) {
        return describe_topic(call, &topic);
    }
    let unknown = unknown.with_name(Some(name.clone()));
    if check_topic_name(&name).is_err() {
        return unknown.with_error_code(errors::INVALID_TOPIC_EXCEPTION);
    }
    if !(may_create && shared.config.auto_create_topics) {
        return unknown.with_error_code(errors::UNKNOWN_TOPIC_OR_PARTITION);
    }
    match create_automatically(shared, &name) {
        Ok(topic) => describe_topic(call, &topic),
        Err(code) => unknown.with_error_code(code),
    }
}

fn describe_topic(call: &Call<'_>, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        let leader = partition.leader();
        let replicas = replicas(call.shared, leader.node, topic.replication);
        let answer = MetadataResponsePartition::default()
            .with_partition_index(partition.index)
            .with_leader_id(BrokerId(leader.node))
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas);
        if call.version >= 7 { answer.with_leader_epoch(leader.epoch) } else { answer }
    });
    let name = TopicName(text(&topic.name));
    let answer = MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions.collect());
    if call.version >= 10 { answer.with_topic_id(topic.id.to_vec().try_into().unwrap_or_default()) } else { answer }
}

pub(crate) fn describe_cluster(call: &Call<'_>, _: DescribeClusterRequest) -> DescribeClusterResponse {
    let broker = |node: &Node| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.id))
            .with_host(text(call.shared.config.told_host()))
            .with_port(node.port.into())
    };
    DescribeClusterResponse::default()
        .with_cluster_id(text(&call.shared.cluster_id))
        .with_controller_id(CONTROLLER)
        .with_brokers(call.shared.nodes.iter().map(broker).collect())
}

pub(crate) fn find_coordinator(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let known = matches!(request.key_type, GROUP | TRANSACTION);
    let host = text(call.shared.config.told_host());
    if call.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            let node = call.shared.coordinator(&key);
            let answer = Coordinator::default().with_key(key);
            if known {
                answer.with_node_id(BrokerId(node.id)).with_host(host.clone()).with_port(node.port.into())
            } else {
                answer.with_node_id(BrokerId(-1)).with_port(-1).with_error_code(errors::INVALID_REQUEST)
            }
        });
        return FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
    }
    let response = FindCoordinatorResponse::default();
    if !known {
        return response.with_error_code(errors::INVALID_REQUEST).with_node_id(BrokerId(-1)).with_port(-1);
    }
    let node = call.shared.coordinator(&request.key);
    response.with_node_id(BrokerId(node.id)).with_host(host).with_port(node.port.into())
}

pub(crate) fn describe_log_dirs(call: &Call<'_>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted: Option<BTreeMap<String, Vec<i32>>> = request
        .topics
        .map(|topics| topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect());
    let mut topics = Vec::new();
    for topic in call.shared.topics.all() {
        let asked = wanted.as_ref().map(|wanted| wanted.get(&topic.name));
        if asked == Some(None) {
            continue;
        }
        let chosen = topic.partitions.iter().filter(|partition| {
            partition.leader().node == call.node && asked.flatten().is_none_or(|list| list.contains(&partition.index))
        });
        let sizes = chosen.map(|partition| {
            DescribeLogDirsPartition::default()
                .with_partition_index(partition.index)
                .with_partition_size(lock(&partition.log).size_bytes() as i64)
        });
        let answer = DescribeLogDirsTopic::default().with_name(TopicName(text(&topic.name)));
        topics.push(answer.with_partitions(sizes.collect()));
    }
    let folder = call.shared.config.dir.as_ref().map_or("memory".into(), |dir| dir.to_string_lossy());
    let result = DescribeLogDirsResult::default().with_log_dir(text(&folder)).with_topics(topics);
    DescribeLogDirsResponse::default().with_results(vec![result])
}
