//! Item: administration: topics, partitions, configurations, records, groups, the cluster.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use rdkafka::consumer::Consumer;
use velostream_broker::errors;

use crate::raw::{Member, commit, fetch, idempotent, plain};
use crate::wire::{Client, text, topic};
use crate::world::{World, assigned, send, until};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("topics are created with their partitions and deleted", create_delete),
    both("names, counts and settings that are not allowed are refused", create_refused),
    both("validate-only creates nothing", validate_only),
    both("partitions are added, never taken away", more_partitions),
    both("settings: defaults, those of the topic, and where they come from", configs),
    both("a changed setting counts at once; unset, the default is back", alter),
    both("deleted records are gone, the log starts behind them", delete_records),
    both("groups are listed and described with members and assignments", groups),
    both("empty groups are deleted, others are not", delete_groups),
    both("the cluster names its nodes and controller", cluster),
    both("a topic is not created by asking for it", not_by_asking),
    both("DescribeProducers knows who writes", producers),
    both("DescribeLogDirs knows how much is stored", log_dirs),
    both("an unknown version of ApiVersions is answered with what there is", api_versions),
];

fn metadata(client: &mut Client, name: &str, create: bool) -> metadata_response::MetadataResponseTopic {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(create);
    client.call(8, &request).topics[0].clone()
}

fn delete(client: &mut Client, name: &str) -> i16 {
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic(name)]).with_timeout_ms(10_000);
    client.call(3, &request).responses[0].error_code
}

fn create_delete(world: &World) {
    let name = world.topic(5, &[]);
    let mut client = world.raw();
    let found = metadata(&mut client, &name, false);
    let mut partitions: Vec<i32> = found.partitions.iter().map(|p| p.partition_index).collect();
    partitions.sort_unstable();
    assert_eq!((partitions, found.is_internal), (vec![0, 1, 2, 3, 4], false));
    assert!(found.partitions.iter().all(|p| p.isr_nodes.contains(&p.leader_id) && p.replica_nodes.len() == 1));
    assert_eq!(client.create(&name, 1, &[]), errors::TOPIC_ALREADY_EXISTS);
    assert_eq!(delete(&mut client, &name), 0);
    until("the topic is gone", || metadata(&mut client, &name, false).error_code == errors::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete(&mut client, &name), errors::UNKNOWN_TOPIC_OR_PARTITION);
    // Its name is free again, and nothing of the old one is left.
    until("the name is free", || client.create(&name, 1, &[]) == 0);
    world.ready(&name, 1);
    assert_eq!(delete(&mut client, &name), 0);
}

fn create_refused(world: &World) {
    let taken = world.topic(1, &[]);
    let mut client = world.raw();
    let free = world.name("refused");
    let mut check = |name: &str, partitions, config: &[(&str, &str)], want: i16| {
        assert_eq!(client.create(name, partitions, config), want, "{name:?} {partitions} {config:?}");
    };
    check("with space", 1, &[], errors::INVALID_TOPIC_EXCEPTION);
    check("", 1, &[], errors::INVALID_TOPIC_EXCEPTION);
    check("..", 1, &[], errors::INVALID_TOPIC_EXCEPTION);
    check(&"x".repeat(250), 1, &[], errors::INVALID_TOPIC_EXCEPTION);
    check(&taken.replace('-', "_"), 1, &[], 0);
    check(&free, 0, &[], errors::INVALID_PARTITIONS);
    check(&free, -2, &[], errors::INVALID_PARTITIONS);
    check(&free, 1, &[("retention.ms", "soon")], errors::INVALID_CONFIG);
    check(&free, 1, &[("cleanup.policy", "burn")], errors::INVALID_CONFIG);
    check(&free, 1, &[("no.such.key", "1")], errors::INVALID_CONFIG);
    delete(&mut client, &taken.replace('-', "_"));
    let wanted =
        CreatableTopic::default().with_name(topic(&free)).with_num_partitions(1).with_replication_factor(3_000);
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(1_000);
    assert_eq!(client.call(4, &request).topics[0].error_code, errors::INVALID_REPLICATION_FACTOR);
}

fn validate_only(world: &World) {
    let name = world.name("validated");
    let mut client = world.raw();
    let mut check = |partitions: i32, want: i16| {
        let wanted = CreatableTopic::default()
            .with_name(topic(&name))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let request =
            CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(1_000).with_validate_only(true);
        assert_eq!(client.call(4, &request).topics[0].error_code, want);
    };
    check(3, 0);
    check(0, errors::INVALID_PARTITIONS);
    assert_eq!(metadata(&mut client, &name, false).error_code, errors::UNKNOWN_TOPIC_OR_PARTITION);
}

fn more_partitions(world: &World) {
    let name = world.topic(2, &[]);
    let mut client = world.raw();
    let mut grow = |count: i32| {
        let wanted = CreatePartitionsTopic::default().with_name(topic(&name)).with_count(count).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        client.call(1, &request).results[0].error_code
    };
    assert_eq!(grow(4), 0);
    assert_eq!(grow(4), errors::INVALID_PARTITIONS);
    assert_eq!(grow(3), errors::INVALID_PARTITIONS);
    world.ready(&name, 4);
    send(&world.producer(&[]), &name, 3, &["a"]);
    assert_eq!(world.values(&name, 4, true), ["a"]);
}

/// A topic's setting and its source: 1 the topic's own, 5 the default.
fn config(client: &mut Client, name: &str, key: &str) -> (String, i8) {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(name))
        .with_configuration_keys(Some(vec![text(key)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = client.call(1, &request).results[0].clone();
    assert_eq!(answer.error_code, 0, "{key}");
    let config = answer.configs.first().unwrap_or_else(|| panic!("{key} is described")).clone();
    (config.value.map_or(String::new(), |value| value.to_string()), config.config_source)
}

fn configs(world: &World) {
    let name = world.topic(1, &[("retention.ms", "12345"), ("cleanup.policy", "compact,delete")]);
    let mut client = world.raw();
    let mut check = |key: &str, value: &str, source: i8| {
        assert_eq!(config(&mut client, &name, key), (value.to_owned(), source), "{key}");
    };
    check("retention.ms", "12345", 1);
    check("cleanup.policy", "compact,delete", 1);
    check("max.message.bytes", "1048588", 5);
    check("message.timestamp.type", "CreateTime", 5);
    check("compression.type", "producer", 5);
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(&world.name("nobody")))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).results[0].error_code, errors::UNKNOWN_TOPIC_OR_PARTITION);
}

/// Sets a key of a topic, or unsets it; the code.
fn set(client: &mut Client, name: &str, key: &str, value: Option<&str>) -> i16 {
    let change = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(i8::from(value.is_none()))
        .with_value(value.map(text));
    let resource =
        AlterConfigsResource::default().with_resource_type(2).with_resource_name(text(name)).with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(0, &request).responses[0].error_code
}

fn alter(world: &World) {
    let name = world.topic(1, &[("max.message.bytes", "2000")]);
    let mut client = world.raw();
    let large = plain(&["x".repeat(1_000).as_str()]);
    assert_eq!(client.produce(8, &name, 0, large.clone()).error_code, 0);
    assert_eq!(set(&mut client, &name, "max.message.bytes", Some("500")), 0);
    until("the limit is felt", || client.produce(8, &name, 0, large.clone()).error_code == errors::MESSAGE_TOO_LARGE);
    assert_eq!(set(&mut client, &name, "max.message.bytes", None), 0);
    until("the default is back", || client.produce(8, &name, 0, large.clone()).error_code == 0);
    assert_eq!(config(&mut client, &name, "max.message.bytes"), ("1048588".to_owned(), 5));
    assert_eq!(set(&mut client, &name, "retention.ms", Some("soon")), errors::INVALID_CONFIG);
    assert_eq!(set(&mut client, &world.name("nobody"), "retention.ms", Some("1")), errors::UNKNOWN_TOPIC_OR_PARTITION);
}

fn delete_records(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    (0..3).for_each(|_| assert_eq!(client.produce(8, &name, 0, plain(&["a", "b"])).error_code, 0));
    let delete_before = |client: &mut Client, offset: i64| {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let wanted = DeleteRecordsTopic::default().with_name(topic(&name)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        let answer = client.call(1, &request).topics[0].partitions[0].clone();
        (answer.error_code, answer.low_watermark)
    };
    assert_eq!(delete_before(&mut client, 3), (0, 3));
    assert_eq!(client.offset(&name, 0, -2, false), (0, 3), "the log starts there");
    assert_eq!(fetch(&mut client, &name, 2, false).error_code, errors::OFFSET_OUT_OF_RANGE);
    let data = fetch(&mut client, &name, 3, false);
    assert_eq!((data.error_code, data.log_start_offset), (0, 3));
    assert_eq!(world.values(&name, 1, true), ["b", "a", "b"]);
    assert_eq!(delete_before(&mut client, 2), (0, 3), "nothing comes back");
    assert_eq!(delete_before(&mut client, 7).0, errors::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete_before(&mut client, -1), (0, 6), "-1 is the end");
    assert_eq!(world.values(&name, 1, true), [""; 0]);
    assert_eq!(client.produce(8, &name, 0, plain(&["next"])).base_offset, 6);
}

fn groups(world: &World) {
    let name = world.topic(2, &[]);
    let group = world.group();
    let consumer = world.consumer(&group, &[("client.id", "the-client"), ("group.instance.id", "one")]);
    consumer.subscribe(&[&name]).expect("subscribed");
    assigned(&[&consumer], &[2]);
    let mut client = world.raw();
    let listed = client.call(4, &ListGroupsRequest::default());
    let found = listed.groups.iter().find(|listed| listed.group_id.as_str() == group).expect("listed");
    assert_eq!((found.protocol_type.as_str(), found.group_state.as_str()), ("consumer", "Stable"));
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&group))]);
    let described = client.call(4, &request).groups[0].clone();
    assert_eq!((described.error_code, described.group_state.as_str()), (0, "Stable"));
    assert_eq!((described.protocol_type.as_str(), described.protocol_data.as_str()), ("consumer", "range"));
    let member = &described.members[0];
    assert_eq!(member.client_id.as_str(), "the-client");
    assert_eq!(member.group_instance_id.as_deref(), Some("one"));
    let assignment = String::from_utf8_lossy(&member.member_assignment).into_owned();
    assert!(assignment.contains(&name), "the assignment names the topic");
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&world.name("nobody")))]);
    assert_eq!(client.call(4, &request).groups[0].group_state, text("Dead"));
}

fn delete_groups(world: &World) {
    let (name, busy, idle) = (world.topic(1, &[]), world.group(), world.group());
    let _member = Member::alone(world.raw(), &busy, None);
    let mut client = world.raw();
    assert_eq!(commit(&mut client, &idle, &name, 1, "", (-1, "")), 0);
    let nobody = world.name("nobody");
    let ids = [&busy, &idle, &nobody].map(|group| GroupId(text(group)));
    let request = DeleteGroupsRequest::default().with_groups_names(ids.to_vec());
    let results = client.call(1, &request).results;
    let code = |group: &str| results.iter().find(|r| r.group_id.as_str() == group).map(|r| r.error_code);
    assert_eq!(code(&busy), Some(errors::NON_EMPTY_GROUP));
    assert_eq!(code(&idle), Some(0));
    assert_eq!(code(&nobody), Some(errors::GROUP_ID_NOT_FOUND));
    assert_eq!(crate::raw::committed(&mut client, &idle, &name).committed_offset, -1, "its offsets are gone");
}

fn cluster(world: &World) {
    let mut client = world.raw();
    let answer = client.call(0, &DescribeClusterRequest::default());
    assert_eq!(answer.error_code, 0);
    assert!(!answer.cluster_id.is_empty());
    assert!(answer.brokers.iter().any(|broker| broker.broker_id == answer.controller_id));
    let metadata = client.call(8, &MetadataRequest::default().with_topics(Some(Vec::new())));
    assert_eq!(metadata.cluster_id, Some(answer.cluster_id));
    assert_eq!(metadata.brokers.len(), answer.brokers.len());
    assert!(metadata.topics.is_empty(), "an empty list asks for no topic");
}

fn not_by_asking(world: &World) {
    let name = world.name("asked");
    let mut client = world.raw();
    assert_eq!(metadata(&mut client, &name, false).error_code, errors::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(metadata(&mut client, &name, false).error_code, errors::UNKNOWN_TOPIC_OR_PARTITION);
    let all = client.call(8, &MetadataRequest::default().with_topics(None));
    assert!(!all.topics.iter().any(|found| found.name == Some(topic(&name))));
    let wanted = MetadataRequestTopic::default().with_name(Some(topic("not a name")));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
    assert_eq!(client.call(8, &request).topics[0].error_code, errors::INVALID_TOPIC_EXCEPTION);
}

fn producers(world: &World) {
    let name = world.topic(1, &[]);
    let mut client = world.raw();
    let author = idempotent(&mut client);
    let bytes = crate::raw::batch(&[crate::raw::record("a"), crate::raw::record("b")], author);
    assert_eq!(client.produce(8, &name, 0, bytes).error_code, 0);
    let wanted =
        describe_producers_request::TopicRequest::default().with_name(topic(&name)).with_partition_indexes(vec![0, 9]);
    let answer = client.call(0, &DescribeProducersRequest::default().with_topics(vec![wanted]));
    let mut partitions = answer.topics[0].partitions.clone();
    partitions.sort_by_key(|partition| partition.partition_index);
    let found = &partitions[0].active_producers[0];
    assert_eq!((found.producer_id.0, found.producer_epoch, found.last_sequence), (author.id, 0, 1));
    assert_eq!(found.current_txn_start_offset, -1);
    assert_eq!(partitions[1].error_code, errors::UNKNOWN_TOPIC_OR_PARTITION);
}

fn log_dirs(world: &World) {
    let name = world.topic(2, &[]);
    let mut client = world.raw();
    let bytes = plain(&["some bytes"]);
    assert_eq!(client.produce(8, &name, 1, bytes.clone()).error_code, 0);
    let wanted = DescribableLogDirTopic::default().with_topic(topic(&name)).with_partitions(vec![0, 1]);
    let answer = client.call(1, &DescribeLogDirsRequest::default().with_topics(Some(vec![wanted])));
    let of_topic = answer.results.iter().flat_map(|dir| &dir.topics).find(|t| t.name == topic(&name));
    let mut sizes: Vec<_> =
        of_topic.expect("the topic").partitions.iter().map(|p| (p.partition_index, p.partition_size)).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(0, 0), (1, bytes.len() as i64)]);
}

fn api_versions(world: &World) {
    let mut client = world.raw();
    let known = client.call(
        3,
        &ApiVersionsRequest::default().with_client_software_name(text("check")).with_client_software_version(text("1")),
    );
    assert_eq!(known.error_code, 0);
    let range =
        |key: i16| known.api_keys.iter().find(|api| api.api_key == key).map(|api| (api.min_version, api.max_version));
    let fetch = range(1).expect("Fetch");
    assert!(fetch.0 <= 4 && fetch.1 >= 11, "{fetch:?}");
    // A version from the future: the answer is in version 0 and names the versions there are.
    let mut body = bytes::BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(18)
        .with_request_api_version(99)
        .with_correlation_id(7)
        .encode(&mut body, 2)
        .expect("header");
    let frame = [&(body.len() as i32).to_be_bytes()[..], &body].concat();
    std::io::Write::write_all(&mut client.stream, &frame).expect("sent");
    let mut answer = client.frame().expect("an answer");
    let header = ResponseHeader::decode(&mut answer, 0).expect("header");
    assert_eq!(header.correlation_id, 7);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).expect("version 0");
    assert_eq!(answer.error_code, errors::UNSUPPORTED_VERSION);
    assert!(answer.api_keys.iter().any(|api| api.api_key == 18), "it names its own versions");
}
