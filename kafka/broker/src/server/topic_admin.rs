//! Topics come, grow and go: CreateTopics, CreatePartitions, DeleteTopics, and creation by mention where that is
//! configured. Each change is journaled, then made, under the admin lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};

use super::connection::Call;
use super::dispatch::text;
use super::{Shared, now_ms};
use crate::errors;
use crate::journal::{JournalEntry, PartitionRecord, TopicRecord};
use crate::topics::{Topic, check_topic_name, lock, log_config};

/// Partitions of one topic; each costs a log and a few open files.
const PARTITIONS_MAX: i32 = 10_000;
/// Kafka's code for an assignment that names unknown nodes, leaves out partitions or has unequal lengths.
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;

/// Kafka's code and what to tell people.
pub(crate) type Refused = (i16, String);

/// What a request asks for, before it is judged.
#[derive(Default)]
struct Wish {
    name: String,
    /// -1: the broker's default.
    partitions: i32,
    /// -1: one.
    replication: i16,
    /// Nodes by partition; empty: the broker chooses.
    assignments: BTreeMap<i32, Vec<i32>>,
    config: BTreeMap<String, String>,
}

pub(crate) fn create(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut seen = BTreeMap::<String, u32>::new();
    request.topics.iter().for_each(|topic| *seen.entry(topic.name.to_string()).or_default() += 1);
    let topics = request.topics.into_iter().map(|topic| {
        let wish = wish(&topic);
        let result = if seen.get(&wish.name) == Some(&1) {
            create_one(call.shared, &wish, request.validate_only)
        } else {
            Err((errors::INVALID_REQUEST, "the request names this topic more than once".to_owned()))
        };
        let answer = CreatableTopicResult::default().with_name(topic.name);
        match result {
            Err((code, why)) => {
                let answer = answer.with_error_code(code).with_error_message(Some(text(&why)));
                if call.version >= 5 { answer.with_num_partitions(-1).with_replication_factor(-1) } else { answer }
            }
            Ok(record) => created(call, answer, &record),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn wish(topic: &CreatableTopic) -> Wish {
    let nodes = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    let config = topic.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
    Wish {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication: topic.replication_factor,
        assignments: topic.assignments.iter().map(|a| (a.partition_index, nodes(&a.broker_ids))).collect(),
        config: config.collect(),
    }
}

fn created(call: &Call<'_>, answer: CreatableTopicResult, record: &TopicRecord) -> CreatableTopicResult {
    if call.version < 5 {
        return answer;
    }
    let overrides: BTreeMap<String, String> = record.config.iter().cloned().collect();
    let entries = log_config(&overrides).map(|config| config.entries()).unwrap_or_default();
    let configs = entries.into_iter().map(|entry| {
        let source = if overrides.contains_key(entry.name) { 1 } else { 5 };
        let config = CreatableTopicConfigs::default().with_name(text(entry.name)).with_config_source(source);
        config.with_value(Some(text(&entry.value)))
    });
    let answer = answer
        .with_num_partitions(record.partitions.len() as i32)
        .with_replication_factor(record.replication)
        .with_configs(Some(configs.collect()));
    if call.version >= 7 { answer.with_topic_id(record.id.to_vec().try_into().unwrap_or_default()) } else { answer }
}

/// Creates a topic for a caller in this process.
pub(crate) fn create_topic(
    shared: &Shared,
    name: &str,
    partitions: u32,
    config: BTreeMap<String, String>,
) -> Result<(), Refused> {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let wish = Wish { name: name.to_owned(), partitions, replication: -1, config, ..Wish::default() };
    create_one(shared, &wish, false).map(drop)
}

/// Deletes a topic for a caller in this process; answers Kafka's code.
pub(crate) fn delete_topic(shared: &Shared, name: &str) -> i16 {
    delete_one(shared, name)
}

/// Creates a topic because a client mentioned it.
pub(crate) fn create_automatically(shared: &Shared, name: &str) -> Result<Arc<Topic>, i16> {
    let wish = Wish { name: name.to_owned(), partitions: -1, replication: -1, ..Wish::default() };
    match create_one(shared, &wish, false) {
        Ok(_) | Err((errors::TOPIC_ALREADY_EXISTS, _)) => {
            shared.topics.get(name).ok_or(errors::UNKNOWN_TOPIC_OR_PARTITION)
        }
        Err((code, _)) => Err(code),
    }
}

fn create_one(shared: &Shared, wish: &Wish, validate_only: bool) -> Result<TopicRecord, Refused> {
    check_topic_name(&wish.name).map_err(|error| (errors::INVALID_TOPIC_EXCEPTION, error.to_string()))?;
    log_config(&wish.config).map_err(|error| (errors::INVALID_CONFIG, error))?;
    let _admin = lock(&shared.admin);
    if shared.topics.get(&wish.name).is_some() {
        return Err((errors::TOPIC_ALREADY_EXISTS, format!("topic {:?} exists", wish.name)));
    }
    let alike = |topic: &&Arc<Topic>| topic.name.replace('.', "_") == wish.name.replace('.', "_");
    if let Some(topic) = shared.topics.all().iter().find(alike) {
        let why = format!("{:?} differs from topic {:?} only in '.' and '_'", wish.name, topic.name);
        return Err((errors::INVALID_TOPIC_EXCEPTION, why));
    }
    let (partitions, replication) = place(shared, wish)?;
    let config = wish.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let record =
        TopicRecord { id: new_id(shared, &wish.name), name: wish.name.clone(), partitions, replication, config };
    if validate_only {
        return Ok(record);
    }
    let failed = |error: io::Error| {
        shared.log(&format!("topic {:?} could not be created: {error}", record.name));
        (errors::KAFKA_STORAGE_ERROR, error.to_string())
    };
    shared.topics.open(&record, now_ms(), &mut |_, _, _| {}).map_err(failed)?;
    if let Err(code) = shared.remember(&[JournalEntry::Topic(record.clone())]) {
        drop(shared.topics.delete(&record.name));
        return Err((code, "the journal could not be written".to_owned()));
    }
    Ok(record)
}

/// Leaders of all partitions, and the replication factor.
fn place(shared: &Shared, wish: &Wish) -> Result<(Vec<PartitionRecord>, i16), Refused> {
    let nodes = shared.nodes.len() as i32;
    if wish.assignments.is_empty() {
        let count = if wish.partitions == -1 { shared.config.default_partitions as i32 } else { wish.partitions };
        if !(1..=PARTITIONS_MAX).contains(&count) {
            let why = format!("{count} partitions; a topic has 1 to {PARTITIONS_MAX}");
            return Err((errors::INVALID_PARTITIONS, why));
        }
        let replication = if wish.replication == -1 { 1 } else { wish.replication };
        if !(1..=nodes).contains(&i32::from(replication)) {
            let why = format!("replication factor {replication}; the broker has {nodes} nodes");
            return Err((errors::INVALID_REPLICATION_FACTOR, why));
        }
        return Ok(((0..count).map(|i| PartitionRecord { leader: i % nodes + 1, epoch: 0 }).collect(), replication));
    }
    if wish.partitions != -1 || wish.replication != -1 {
        let why = "with assignments, partitions and replication factor must be -1".to_owned();
        return Err((errors::INVALID_REQUEST, why));
    }
    if wish.assignments.len() as i32 > PARTITIONS_MAX {
        return Err((errors::INVALID_PARTITIONS, format!("a topic has at most {PARTITIONS_MAX} partitions")));
    }
    let consecutive = wish.assignments.keys().copied().eq(0..wish.assignments.len() as i32);
    let lists: Vec<&[i32]> = wish.assignments.values().map(Vec::as_slice).collect();
    let leaders = check_assignments(shared, &lists)?;
    if !consecutive {
        return Err((INVALID_REPLICA_ASSIGNMENT, "partitions must be numbered from 0 without a gap".to_owned()));
    }
    Ok((leaders, lists[0].len() as i16))
}

/// Each list names distinct nodes that exist, all are equally long; the first of each leads.
fn check_assignments(shared: &Shared, lists: &[&[i32]]) -> Result<Vec<PartitionRecord>, Refused> {
    let nodes = shared.node_ids();
    let length = lists.first().map_or(0, |list| list.len());
    let good = |list: &&[i32]| {
        let distinct: BTreeSet<i32> = list.iter().copied().collect();
        !list.is_empty()
            && list.len() == length
            && distinct.len() == length
            && distinct.iter().all(|n| nodes.contains(n))
    };
    match lists.iter().find(|list| !good(list)) {
        Some(bad) => {
            let why = format!("{bad:?}: expected {length} different nodes out of {nodes:?} for each partition");
            Err((INVALID_REPLICA_ASSIGNMENT, why))
        }
        None => Ok(lists.iter().map(|list| PartitionRecord { leader: list[0], epoch: 0 }).collect()),
    }
}

/// Never given twice: the time, what else this broker has counted, and the name, mixed. Never nil.
fn new_id(shared: &Shared, name: &str) -> [u8; 16] {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let count = shared.counters.topic_ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let named = name.bytes().fold(count, |hash, byte| mix(hash ^ u64::from(byte)));
    let (high, low) = (mix(now_ms() as u64 ^ named.rotate_left(32)), mix(named | 1));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&low.to_be_bytes());
    // Version 4, as Kafka's own ids.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

pub(crate) fn delete(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut responses = Vec::new();
    for name in request.topic_names {
        let code = delete_one(call.shared, &name);
        responses.push(DeletableTopicResult::default().with_name(Some(name)).with_error_code(code));
    }
    for wanted in request.topics {
        let by_id = || call.shared.topics.by_id(wanted.topic_id.as_bytes()).map(|topic| topic.name.clone());
        let name = wanted.name.as_ref().map(|name| name.to_string()).or_else(by_id);
        let code = name.as_deref().map_or(errors::UNKNOWN_TOPIC_ID, |name| delete_one(call.shared, name));
        let answer = DeletableTopicResult::default().with_name(name.map(|name| TopicName(text(&name))));
        responses.push(answer.with_topic_id(wanted.topic_id).with_error_code(code));
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

fn delete_one(shared: &Shared, name: &str) -> i16 {
    let _admin = lock(&shared.admin);
    if shared.topics.get(name).is_none() {
        return errors::UNKNOWN_TOPIC_OR_PARTITION;
    }
    if let Err(code) = shared.remember(&[JournalEntry::TopicDeleted(name.to_owned())]) {
        return code;
    }
    if let Err(error) = shared.topics.delete(name) {
        shared.log(&format!("files of deleted topic {name:?} are left until the next start: {error}"));
    }
    shared.with_groups(|groups, _| groups.forget_topic(name)).err().unwrap_or(errors::NONE)
}

pub(crate) fn add_partitions(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let result = extend_one(call.shared, &topic, request.validate_only);
        let answer = CreatePartitionsTopicResult::default().with_name(topic.name);
        match result {
            Ok(()) => answer,
            Err((code, why)) => answer.with_error_code(code).with_error_message(Some(text(&why))),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn extend_one(shared: &Shared, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refused> {
    let _admin = lock(&shared.admin);
    let topic = shared.topics.get(&wanted.name);
    let topic = topic.ok_or_else(|| (errors::UNKNOWN_TOPIC_OR_PARTITION, "no such topic".to_owned()))?;
    let (now, nodes) = (topic.partitions.len() as i32, shared.nodes.len() as i32);
    if wanted.count <= now || wanted.count > PARTITIONS_MAX {
        let why = format!("{} partitions; the topic has {now} and may have {PARTITIONS_MAX}", wanted.count);
        return Err((errors::INVALID_PARTITIONS, why));
    }
    let more: Vec<PartitionRecord> = match &wanted.assignments {
        None => (now..wanted.count).map(|i| PartitionRecord { leader: i % nodes + 1, epoch: 0 }).collect(),
        Some(lists) if lists.len() as i32 != wanted.count - now => {
            let why = format!("{} assignments for {} new partitions", lists.len(), wanted.count - now);
            return Err((INVALID_REPLICA_ASSIGNMENT, why));
        }
        Some(lists) => {
            let lists: Vec<Vec<i32>> = lists.iter().map(|l| l.broker_ids.iter().map(|id| id.0).collect()).collect();
            check_assignments(shared, &lists.iter().map(Vec::as_slice).collect::<Vec<_>>())?
        }
    };
    if validate_only {
        return Ok(());
    }
    let mut record = topic.record();
    record.partitions.extend_from_slice(&more);
    let told = |code| (code, "the journal could not be written".to_owned());
    shared.remember(&[JournalEntry::Topic(record)]).map_err(told)?;
    match shared.topics.extend(&topic, &more, now_ms()) {
        Ok(_) => Ok(()),
        Err(error) => {
            // What the journal says must be what is served.
            shared.remember(&[JournalEntry::Topic(topic.record())]).map_err(told)?;
            Err((errors::KAFKA_STORAGE_ERROR, error.to_string()))
        }
    }
}
