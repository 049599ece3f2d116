//! Configurations: those of topics can be read and changed; those of the broker can be read, and its `velo.fault.` keys
//! changed, which is how a client injects faults.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as AlteredSome;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::connection::Call;
use super::dispatch::text;
use super::{Shared, inject};
use crate::errors;
use crate::fault::{Fault, PREFIX};
use crate::journal::JournalEntry;
use crate::topics::{lock, log_config};

/// Kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from.
const FROM_TOPIC: i8 = 1;
const FROM_BROKER: i8 = 2;
const FROM_ALL_BROKERS: i8 = 3;
const FROM_FILE: i8 = 4;
const FROM_DEFAULT: i8 = 5;

/// Kafka's code and what to tell people.
type Refused = (i16, String);

/// One value to describe.
struct Value {
    name: String,
    value: String,
    source: i8,
    read_only: bool,
    doc: String,
}

/// One change of an incremental alteration.
enum Change {
    Set(String),
    Unset,
    Append(String),
    Subtract(String),
}

pub(crate) fn describe(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match values(call, resource) {
            Err((code, why)) => answer.with_error_code(code).with_error_message(Some(text(&why))),
            Ok(values) => {
                let wanted = |value: &Value| match &resource.configuration_keys {
                    Some(keys) => keys.iter().any(|key| key.as_str() == value.name),
                    None => true,
                };
                let configs = values.into_iter().filter(wanted).map(|value| {
                    let told = call.version >= 3 && request.include_documentation;
                    let config = DescribeConfigsResourceResult::default()
                        .with_name(text(&value.name))
                        .with_value(Some(text(&value.value)))
                        .with_read_only(value.read_only)
                        .with_config_source(value.source);
                    if told { config.with_documentation(Some(text(&value.doc))) } else { config }
                });
                answer.with_configs(configs.collect())
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn values(call: &Call<'_>, resource: &DescribeConfigsResource) -> Result<Vec<Value>, Refused> {
    match resource.resource_type {
        TOPIC => topic_values(call.shared, &resource.resource_name),
        BROKER => {
            let nodes = nodes_named(call.shared, &resource.resource_name)?;
            let source = if resource.resource_name.is_empty() { FROM_ALL_BROKERS } else { FROM_BROKER };
            Ok(broker_values(call.shared, nodes.first().copied().unwrap_or(call.node), source))
        }
        other => Err((errors::INVALID_REQUEST, format!("resources of kind {other} have no configuration here"))),
    }
}

fn topic_values(shared: &Shared, name: &str) -> Result<Vec<Value>, Refused> {
    let unknown = || (errors::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic {name:?}"));
    let topic = shared.topics.get(name).ok_or_else(unknown)?;
    let config = log_config(&topic.overrides).map_err(|error| (errors::INVALID_CONFIG, error))?;
    let value = |entry: crate::store::ConfigEntry| Value {
        source: if topic.overrides.contains_key(entry.name) { FROM_TOPIC } else { FROM_DEFAULT },
        name: entry.name.to_owned(),
        value: entry.value,
        read_only: false,
        doc: entry.doc.to_owned(),
    };
    Ok(config.entries().into_iter().map(value).collect())
}

/// The nodes a broker resource means: the one with that id, or all for an empty name.
fn nodes_named(shared: &Shared, name: &str) -> Result<Vec<i32>, Refused> {
    let all = shared.node_ids();
    if name.is_empty() {
        return Ok(all);
    }
    match name.parse() {
        Ok(id) if all.contains(&id) => Ok(vec![id]),
        _ => Err((errors::INVALID_REQUEST, format!("there is no node {name:?}; the nodes are {all:?}"))),
    }
}

fn broker_values(shared: &Shared, node: i32, source_if_set: i8) -> Vec<Value> {
    let config = &shared.config;
    let port = shared.nodes.iter().find(|n| n.id == node).map_or(0, |n| n.port);
    let listener = |host: &str| format!("PLAINTEXT://{host}:{port}");
    let folder = config.dir.as_ref().map_or_else(|| "memory".to_owned(), |dir| dir.to_string_lossy().into_owned());
    let set = [
        ("node.id", node.to_string(), "Number of this node."),
        ("broker.id", node.to_string(), "Number of this node."),
        ("listeners", listener(&config.host), "Where this node listens."),
        ("advertised.listeners", listener(config.told_host()), "Where clients find this node."),
        ("log.dirs", folder, "Where topics are kept; memory loses them on stop."),
        ("num.partitions", config.default_partitions.to_string(), "Partitions of a topic that names no number."),
        ("auto.create.topics.enable", config.auto_create_topics.to_string(), "Mentioned topics are created."),
        ("default.replication.factor", "1".to_owned(), "All nodes share one store."),
        ("socket.request.max.bytes", super::FRAME_BYTES_MAX.to_string(), "A longer request closes its connection."),
    ];
    let fixed = set.into_iter().map(|(name, value, doc)| Value {
        name: name.to_owned(),
        value,
        source: FROM_FILE,
        read_only: true,
        doc: doc.to_owned(),
    });
    let faults = shared.faults.entries(node).into_iter().map(|(name, value)| Value {
        name: name.to_owned(),
        source: if value.is_empty() || value == "0" { FROM_DEFAULT } else { source_if_set },
        value,
        read_only: false,
        doc: "A fault to inject; see docs/broker.md.".to_owned(),
    });
    fixed.chain(faults).collect()
}

/// The whole configuration of each resource is replaced.
pub(crate) fn alter(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let name = resource.resource_name.as_str();
        let given = resource.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
        let given: BTreeMap<String, String> = given.collect();
        let result = match resource.resource_type {
            TOPIC => change_topic(call.shared, name, request.validate_only, |_| Ok(given)),
            BROKER => {
                let changes = given.into_iter().map(|(key, value)| (key, Change::Set(value))).collect();
                change_broker(call.shared, name, request.validate_only, changes)
            }
            other => Err((errors::INVALID_REQUEST, format!("resources of kind {other} cannot be changed here"))),
        };
        let (code, why) = result.err().map_or((errors::NONE, None), |(code, why)| (code, Some(text(&why))));
        Altered::default()
            .with_error_code(code)
            .with_error_message(why)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// Single keys are changed.
pub(crate) fn alter_some(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let name = resource.resource_name.as_str();
        let changes: Result<Vec<(String, Change)>, Refused> = resource
            .configs
            .iter()
            .map(|config| {
                let value = || config.value.as_ref().map(|value| value.to_string()).unwrap_or_default();
                let change = match config.config_operation {
                    0 => Change::Set(value()),
                    1 => Change::Unset,
                    2 => Change::Append(value()),
                    3 => Change::Subtract(value()),
                    other => return Err((errors::INVALID_REQUEST, format!("operation {other} is none of 0 to 3"))),
                };
                Ok((config.name.to_string(), change))
            })
            .collect();
        let result = changes.and_then(|changes| match resource.resource_type {
            TOPIC => change_topic(call.shared, name, request.validate_only, |old| changed(old, changes)),
            BROKER => change_broker(call.shared, name, request.validate_only, changes),
            other => Err((errors::INVALID_REQUEST, format!("resources of kind {other} cannot be changed here"))),
        });
        let (code, why) = result.err().map_or((errors::NONE, None), |(code, why)| (code, Some(text(&why))));
        AlteredSome::default()
            .with_error_code(code)
            .with_error_message(why)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// A topic's overrides after these changes.
fn changed(
    mut overrides: BTreeMap<String, String>,
    changes: Vec<(String, Change)>,
) -> Result<BTreeMap<String, String>, Refused> {
    for (key, change) in changes {
        let default = || log_config(&BTreeMap::new()).map(|config| config.entries()).unwrap_or_default();
        let now = overrides.get(&key).cloned();
        let now = now.or_else(|| default().into_iter().find(|entry| entry.name == key).map(|entry| entry.value));
        let items = || {
            let now = now.clone().unwrap_or_default();
            now.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect::<Vec<_>>()
        };
        match change {
            Change::Set(value) => drop(overrides.insert(key, value)),
            Change::Unset => drop(overrides.remove(&key)),
            Change::Append(value) => {
                let mut items = items();
                items.extend(
                    value
                        .split(',')
                        .map(|item| item.trim().to_owned())
                        .filter(|item| !items.contains(item))
                        .collect::<Vec<_>>(),
                );
                overrides.insert(key, items.join(","));
            }
            Change::Subtract(value) => {
                let kept: Vec<String> =
                    items().into_iter().filter(|item| value.split(',').all(|gone| gone.trim() != item)).collect();
                overrides.insert(key, kept.join(","));
            }
        }
    }
    Ok(overrides)
}

fn change_topic(
    shared: &Shared,
    name: &str,
    validate_only: bool,
    change: impl FnOnce(BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refused>,
) -> Result<(), Refused> {
    let _admin = lock(&shared.admin);
    let unknown = || (errors::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic {name:?}"));
    let topic = shared.topics.get(name).ok_or_else(unknown)?;
    let overrides = change(topic.overrides.clone())?;
    let config = log_config(&overrides).map_err(|error| (errors::INVALID_CONFIG, error))?;
    if validate_only {
        return Ok(());
    }
    let mut record = topic.record();
    record.config = overrides.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let told = |code| (code, "the journal could not be written".to_owned());
    shared.remember(&[JournalEntry::Topic(record)]).map_err(told)?;
    shared.topics.configure(&topic, overrides, &config);
    Ok(())
}

/// Faults are all that can be changed of a broker. All keys are read before the first takes effect.
fn change_broker(
    shared: &Shared,
    name: &str,
    validate_only: bool,
    changes: Vec<(String, Change)>,
) -> Result<(), Refused> {
    let nodes = nodes_named(shared, name)?;
    let mut faults = Vec::new();
    let mut ended = Vec::new();
    for (key, change) in changes {
        if !key.starts_with(PREFIX) {
            let why = format!("{key} cannot be changed while the broker runs; only {PREFIX}* keys can");
            return Err((errors::INVALID_CONFIG, why));
        }
        match change {
            Change::Set(value) | Change::Append(value) => {
                faults.push(Fault::parse(&key, &value).map_err(|error| (errors::INVALID_CONFIG, error.to_string()))?);
            }
            Change::Unset | Change::Subtract(_) => ended.push(key),
        }
    }
    if validate_only {
        return Ok(());
    }
    ended.iter().for_each(|key| shared.faults.unset(&nodes, key));
    faults.iter().try_for_each(|fault| {
        inject(shared, &nodes, fault).map_err(|error| (errors::INVALID_CONFIG, error.to_string()))
    })
}
