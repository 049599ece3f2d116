//! What an app must be allowed to do on its Kafka clusters, for the person who grants it.
//!
//! One entry per cluster, resource and operation, in that order, so that the text is stable and a diff of it shows what
//! a new version of an app needs in addition.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::plan::{AppPlan, KafkaSink, SinkConnector, SourceConnector};

/// What an ACL is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// The cluster itself.
    Cluster,
}

/// What an ACL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read records, or join and commit as a group.
    Read,
    /// Write records.
    Write,
    /// See that it exists and where it is.
    Describe,
    /// Make it.
    Create,
    /// Write with idempotence; brokers from 2.8 on take WRITE on the topic for it.
    IdempotentWrite,
}

/// One thing that must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// `bootstrap.servers` of the cluster.
    pub brokers: String,
    /// On what.
    pub resource: Resource,
    /// What.
    pub operation: Operation,
    /// For whom in the app, such as `source orders`.
    pub why: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Topic(name) => write!(f, "topic {name}"),
            Resource::Group(name) => write!(f, "group {name}"),
            Resource::Cluster => f.write_str("cluster"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Read => "READ",
            Operation::Write => "WRITE",
            Operation::Describe => "DESCRIBE",
            Operation::Create => "CREATE",
            Operation::IdempotentWrite => "IDEMPOTENT_WRITE",
        })
    }
}

/// Everything the app needs. Groups nobody named must have been named before ([`AppPlan::name_groups`]).
pub fn acls(plan: &AppPlan) -> Vec<Acl> {
    let mut needs = Needs::default();
    for source in &plan.sources {
        let SourceConnector::Kafka(kafka) = &source.connector else { continue };
        let why = format!("source {}", source.name);
        let topic = Resource::Topic(kafka.topic.clone());
        needs.add(kafka.client.brokers(), topic.clone(), Operation::Read, &why);
        needs.add(kafka.client.brokers(), topic, Operation::Describe, &why);
        if let Some(group) = &kafka.group {
            needs.add(kafka.client.brokers(), Resource::Group(group.clone()), Operation::Read, &why);
        }
    }
    for sink in &plan.sinks {
        if let SinkConnector::Kafka(kafka) = &sink.connector {
            needs.writes(kafka, &format!("sink {}", sink.name));
        }
    }
    for dlq in plan.dlqs.iter().filter(|dlq| dlq.enabled) {
        if let Some(kafka) = &dlq.topic {
            needs.writes(kafka, &format!("dead letters of {}", dlq.name));
        }
    }
    let acl = |((brokers, resource, operation), why)| Acl { brokers, resource, operation, why };
    needs.found.into_iter().map(acl).collect()
}

/// The same for people, one cluster after the other.
pub fn acl_text(plan: &AppPlan) -> String {
    let all = acls(plan);
    if all.is_empty() {
        return "no Kafka cluster is used\n".to_owned();
    }
    let mut out = String::new();
    let mut cluster = None;
    for acl in &all {
        // Writing to a String cannot fail.
        if cluster != Some(&acl.brokers) {
            cluster = Some(&acl.brokers);
            let _ = writeln!(out, "{}", acl.brokers);
        }
        let _ = writeln!(out, "  {:<16}  {:<40}  {}", acl.operation.to_string(), acl.resource.to_string(), acl.why);
    }
    out
}

#[derive(Default)]
struct Needs {
    /// Reasons by what is needed.
    found: BTreeMap<(String, Resource, Operation), String>,
}

impl Needs {
    fn add(&mut self, brokers: &str, resource: Resource, operation: Operation, why: &str) {
        let reasons = self.found.entry((brokers.to_owned(), resource, operation)).or_default();
        if !reasons.is_empty() {
            reasons.push_str(", ");
        }
        reasons.push_str(why);
    }

    fn writes(&mut self, kafka: &KafkaSink, why: &str) {
        let topic = Resource::Topic(kafka.topic.clone());
        let brokers = kafka.client.brokers();
        self.add(brokers, topic.clone(), Operation::Write, why);
        self.add(brokers, topic.clone(), Operation::Describe, why);
        if kafka.create {
            self.add(brokers, topic, Operation::Create, why);
        }
        let is_idempotent = kafka.client.settings.get("enable.idempotence").is_none_or(|v| v != "false");
        let cluster = (brokers.to_owned(), Resource::Cluster, Operation::IdempotentWrite);
        if is_idempotent && !self.found.contains_key(&cluster) {
            self.found.insert(cluster, "producers; brokers from 2.8 on need it no more".to_owned());
        }
    }
}
