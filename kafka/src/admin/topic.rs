//! Topics: what there is, where it begins and ends, making and deleting.
//!
//! Offsets of all partitions are asked for in one request per leader, so a topic of a thousand partitions costs as
//! much as one of one. Ends are those of the isolation level: the last stable offset under `read_committed`.

use std::time::Duration;

use rdkafka::admin::{self, AdminOptions, ConfigSource, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use velostream_types::Fatal;
use velostream_types::topic::{LogBounds, NewTopic};

use super::{Admin, PAUSE, listen, now};
use crate::errors;

/// A topic of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Name.
    pub name: String,
    /// One of Kafka's own.
    pub internal: bool,
    /// Its partitions, ascending.
    pub partitions: Vec<PartitionInfo>,
}

/// Where a partition lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Number.
    pub id: u32,
    /// Number and address of its leader; none while there is none.
    pub leader: Option<(i32, String)>,
    /// Number of copies.
    pub replicas: usize,
    /// Number of copies that are up to date.
    pub in_sync: usize,
}

/// A topic's setting that differs from the cluster's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Kafka's name.
    pub name: String,
    /// Value, `None` when it is secret.
    pub value: Option<String>,
}

impl Admin {
    /// All topics by name.
    pub fn topics(&self) -> Result<Vec<TopicInfo>, Fatal> {
        let metadata = self.metadata(None)?;
        let brokers: Vec<(i32, String)> =
            metadata.brokers().iter().map(|b| (b.id(), format!("{}:{}", b.host(), b.port()))).collect();
        let mut topics: Vec<TopicInfo> = metadata.topics().iter().map(|topic| topic_info(topic, &brokers)).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic; an error with look-alikes when it does not exist.
    pub fn topic(&self, name: &str) -> Result<TopicInfo, Fatal> {
        // The full list has the addresses and the look-alikes, but not what this user may not see.
        let topics = self.topics()?;
        match topics.iter().find(|topic| topic.name == name) {
            Some(topic) => Ok(topic.clone()),
            None => {
                self.partitions(name)?;
                let names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
                Err(Fatal::new(errors::unknown_topic(&self.client, name, &names)))
            }
        }
    }

    /// Number of partitions of a topic; `None` when it does not exist.
    pub fn partitions(&self, name: &str) -> Result<Option<u32>, Fatal> {
        self.retry(&self.consumer, ("Describe", "topic", name), |wait| {
            let metadata = self.consumer.fetch_metadata(Some(name), wait)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
            match topic.error() {
                None if topic.partitions().iter().any(|p| p.leader() < 0) => Ok(None),
                None => Ok(Some(u32::try_from(topic.partitions().len()).ok())),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(Some(None)),
                Some(error) => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(error))),
            }
        })
    }

    /// Makes a topic that is not there; FALSE when it already was. Returns when all its partitions have a leader.
    pub fn create(&self, topic: &NewTopic) -> Result<bool, Fatal> {
        let name = topic.name.as_str();
        let partitions = i32::try_from(topic.partitions)
            .map_err(|_| Fatal::new(format!("topic \"{name}\": {} partitions are too many", topic.partitions)))?;
        let mut new = admin::NewTopic::new(name, partitions, TopicReplication::Fixed(topic.replication));
        for (key, value) in &topic.config {
            new = new.set(key, value);
        }
        let needs = ("Create", "topic", name);
        let options = self.admin_options();
        let results = self.administer(needs, |admin| admin.create_topics([&new], &options))?;
        let created = match results.into_iter().next() {
            None | Some(Ok(_)) => true,
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => false,
            Some(Err((_, code))) => return Err(self.not_created(topic, code)),
        };
        self.until(
            || Ok(self.partitions(name)?.is_some()),
            &format!("topic \"{name}\" was created but does not appear"),
        )?;
        Ok(created)
    }

    fn not_created(&self, topic: &NewTopic, code: RDKafkaErrorCode) -> Fatal {
        use RDKafkaErrorCode as Code;
        let hint = match code {
            Code::InvalidReplicationFactor => format!("replication {} needs as many brokers", topic.replication),
            Code::InvalidPartitions => format!("{} partitions are not possible", topic.partitions),
            Code::InvalidTopic => "a name has 1 to 249 letters, digits, '.', '_' and '-'".to_owned(),
            Code::InvalidConfig => {
                let config: Vec<String> = topic.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("one of its settings is wrong: {}", config.join(", "))
            }
            Code::PolicyViolation => "a policy of the brokers forbids it".to_owned(),
            _ => {
                let error = KafkaError::AdminOp(code);
                return self.failed(&self.consumer, ("Create", "topic", &topic.name), &error, Duration::ZERO);
            }
        };
        Fatal::new(format!("cannot create topic \"{}\" at {}: {hint}", topic.name, self.client.brokers()))
    }

    /// Deletes a topic and waits until it is gone; FALSE when it was not there.
    pub fn delete(&self, name: &str) -> Result<bool, Fatal> {
        let options = self.admin_options();
        let results = self.administer(("Delete", "topic", name), |admin| admin.delete_topics(&[name], &options))?;
        match results.into_iter().next() {
            None | Some(Ok(_)) => {}
            Some(Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => return Ok(false),
            Some(Err((_, code))) => {
                let error = KafkaError::AdminOp(code);
                return Err(self.failed(&self.consumer, ("Delete", "topic", name), &error, Duration::ZERO));
            }
        }
        let gone = || Ok(self.partitions(name)?.is_none() && self.topics()?.iter().all(|topic| topic.name != name));
        self.until(gone, &format!("topic \"{name}\" is marked for deletion but still there"))?;
        Ok(true)
    }

    /// Settings of a topic that differ from the cluster's defaults, by name.
    pub fn topic_settings(&self, name: &str) -> Result<Vec<TopicSetting>, Fatal> {
        let needs = ("DescribeConfigs", "topic", name);
        let options = self.admin_options();
        let topic = [ResourceSpecifier::Topic(name)];
        let results = self.administer(needs, |admin| admin.describe_configs(&topic, &options))?;
        let resource = match results.into_iter().next() {
            None => return Ok(Vec::new()),
            Some(Ok(resource)) => resource,
            Some(Err(code)) => {
                return Err(self.failed(&self.consumer, needs, &KafkaError::AdminOp(code), Duration::ZERO));
            }
        };
        let own = resource.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut settings: Vec<TopicSetting> = own
            .map(|entry| TopicSetting { value: entry.value.filter(|_| !entry.is_sensitive), name: entry.name })
            .collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(settings)
    }

    /// Bounds of a topic's partitions `0 .. partitions`.
    pub fn bounds(&self, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal> {
        // With the leaders known, librdkafka does not wait half a second to look for them.
        self.metadata(Some(topic))?;
        let starts = self.list_offsets(topic, partitions, Offset::Beginning)?;
        let ends = self.list_offsets(topic, partitions, Offset::End)?;
        let pairs = starts.into_iter().zip(ends);
        Ok(pairs.map(|(start, end)| bounds_of(start.unwrap_or(0), end.unwrap_or(0))).collect())
    }

    /// First offset of each partition whose record is at least that young; `None`: there is none.
    pub fn offsets_at(&self, topic: &str, partitions: u32, at_ms: i64) -> Result<Vec<Option<i64>>, Fatal> {
        // No record is older than 1970.
        self.list_offsets(topic, partitions, Offset::Offset(at_ms.max(0)))
    }

    fn list_offsets(&self, topic: &str, partitions: u32, at: Offset) -> Result<Vec<Option<i64>>, Fatal> {
        if partitions == 0 {
            return Ok(Vec::new());
        }
        self.retry(&self.consumer, ("Describe", "topic", topic), |wait| {
            let mut wanted = TopicPartitionList::with_capacity(partitions as usize);
            for partition in 0..partitions as i32 {
                wanted.add_partition_offset(topic, partition, at)?;
            }
            let found = self.consumer.offsets_for_times(wanted, wait)?;
            let mut elements = found.elements();
            elements.sort_by_key(|element| element.partition());
            let offset = |offset| if let Offset::Offset(n) = offset { Some(n) } else { None };
            elements
                .iter()
                .map(|element| element.error().map(|()| offset(element.offset())))
                .collect::<Result<Vec<_>, _>>()
                .map(Some)
        })
    }

    pub(super) fn admin_options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.patience)).operation_timeout(Some(self.patience))
    }

    /// Asks until it holds or the patience ends.
    fn until(&self, mut holds: impl FnMut() -> Result<bool, Fatal>, otherwise: &str) -> Result<(), Fatal> {
        let start = now();
        while !holds()? {
            if start.elapsed() >= self.patience {
                return Err(Fatal::new(format!("{otherwise} at {}", self.client.brokers())));
            }
            listen(&self.consumer, PAUSE);
        }
        Ok(())
    }
}

/// Retention may have moved the start between the two questions.
fn bounds_of(start: i64, end: i64) -> LogBounds {
    LogBounds { start: start.min(end), end }
}

fn topic_info(topic: &MetadataTopic, brokers: &[(i32, String)]) -> TopicInfo {
    let mut partitions: Vec<PartitionInfo> = topic
        .partitions()
        .iter()
        .map(|partition| PartitionInfo {
            id: u32::try_from(partition.id()).unwrap_or_default(),
            leader: brokers.iter().find(|(id, _)| *id == partition.leader()).cloned(),
            replicas: partition.replicas().len(),
            in_sync: partition.isr().len(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.id);
    // The protocol's flag does not reach this far; Kafka's own topics all begin so.
    TopicInfo { name: topic.name().to_owned(), internal: topic.name().starts_with("__"), partitions }
}
