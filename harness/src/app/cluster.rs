//! Topics of a real cluster, for tests that run against one: made for this run alone, and taken away at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use velostream_broker::StoredRecord;
use velostream_kafka::admin::{Admin, Outgoing, Read, Writer};
use velostream_types::headers::{HeaderBuilder, Headers};
use velostream_types::topic::{Client, NewTopic, TopicRecord};
use velostream_types::{Fatal, topic};

use super::local::{Rename, topic_config};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to be found.
const CONNECT: Duration = Duration::from_secs(10);
/// One wait for records.
const LOOK: Duration = Duration::from_millis(100);
/// Topic setting that brokers before Kafka 3.6 do not know, and do not need.
const AHEAD: &str = "message.timestamp.after.max.ms";

/// What a run made in a cluster: nobody else's is touched.
#[derive(Debug, Default)]
pub struct Made {
    topics: Mutex<BTreeSet<String>>,
    groups: Mutex<BTreeSet<String>>,
}

impl Made {
    /// A topic of the run.
    pub fn topic(&self, name: &str) {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// The topic is of the run: nobody else's is written to, or deleted.
    pub fn owns(&self, name: &str) -> Result<(), Fatal> {
        if self.topics.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Ok(());
        }
        let advice = "its topics need names of their own: put {run_id} into the pattern of topic_naming";
        Err(Fatal::new(format!("topic {name} is in the cluster already and not of this run; {advice}")))
    }

    /// A group of the run.
    pub fn group(&self, name: &str) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn take(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let take =
            |of: &Mutex<BTreeSet<String>>| std::mem::take(&mut *of.lock().unwrap_or_else(PoisonError::into_inner));
        (take(&self.topics), take(&self.groups))
    }
}

/// A connection to a cluster that tests run against.
#[derive(Clone)]
pub struct Cluster {
    admin: Arc<Admin>,
    made: Arc<Made>,
}

impl Cluster {
    /// Connects; fails where no broker answers. `settings` are those of its clients beside the addresses.
    pub fn connect(bootstrap: &str, settings: &[(String, String)]) -> Result<Cluster, Fatal> {
        let mut client = Client { settings: settings.iter().cloned().collect(), ..Client::default() };
        client.settings.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
        Admin::open(&client, CONNECT)?.topics()?;
        Ok(Cluster { admin: Arc::new(Admin::open(&client, PATIENCE)?), made: Arc::default() })
    }

    /// The same connection for one more app, with notes of its own.
    pub fn for_one(&self) -> Cluster {
        Cluster { admin: Arc::clone(&self.admin), made: Arc::default() }
    }

    /// How to connect to it.
    pub fn client(&self) -> &Client {
        self.admin.client()
    }

    /// What was made in it.
    pub fn made(&self) -> &Arc<Made> {
        &self.made
    }

    /// Deletes what was made; answers what could not be.
    pub fn clean(&self) -> Vec<String> {
        let (topics, groups) = self.made.take();
        let delete = |what: &str, name: &String, deleted: Result<bool, Fatal>| {
            deleted.err().map(|fatal| format!("{what} {name} could not be deleted: {}", fatal.message))
        };
        let topics = topics.iter().filter_map(|name| delete("topic", name, self.admin.delete(name)));
        let groups = groups.iter().filter_map(|name| delete("group", name, self.admin.delete_group(name)));
        topics.chain(groups).collect()
    }
}

/// Makes a topic that takes records of any event time, also on brokers that know no such setting, and notes it.
pub fn create(
    client: &dyn topic::Broker,
    at: &Client,
    topic: &NewTopic,
    patience: Duration,
    made: &Made,
) -> Result<bool, Fatal> {
    let mut own = topic.clone();
    own.config.extend(topic_config());
    let created = client.create(at, &own, patience).or_else(|fatal| match fatal.message.contains(AHEAD) {
        true => {
            own.config.remove(AHEAD);
            client.create(at, &own, patience)
        }
        false => Err(fatal),
    })?;
    if created {
        made.topic(&topic.name);
    }
    Ok(created)
}

/// The topics of one query test in a cluster.
#[derive(Clone)]
pub struct Remote {
    cluster: Cluster,
    rename: Arc<Rename>,
    groups: String,
    now_ms: i64,
}

impl Remote {
    /// Topics of this cluster under these names; names of groups begin with `groups`.
    pub fn new(cluster: Cluster, rename: Arc<Rename>, groups: String, now_ms: i64) -> Remote {
        Remote { cluster, rename, groups, now_ms }
    }

    /// What names of groups begin with.
    pub fn groups(&self) -> &str {
        &self.groups
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How topics are renamed.
    pub fn rename(&self) -> &Arc<Rename> {
        &self.rename
    }

    /// Timestamp of records that have none, ms.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Makes a topic, if it is not there.
    pub fn make(&self, topic: &str, partitions: u32) -> Result<(), Fatal> {
        let name = (self.rename)(topic);
        if self.cluster.admin.partitions(&name)?.is_some() {
            return self.cluster.made.owns(&name);
        }
        let topic = NewTopic { name, partitions, replication: -1, config: BTreeMap::new() };
        create(&velostream_kafka::Kafka, self.cluster.client(), &topic, PATIENCE, &self.cluster.made).map(drop)
    }

    /// Number of partitions; `None` without the topic.
    pub fn count(&self, topic: &str) -> Result<Option<u32>, Fatal> {
        self.cluster.admin.partitions(&(self.rename)(topic))
    }

    /// Offsets that a topic has now: records, and whatever a producer put between them.
    pub fn len(&self, topic: &str) -> Result<u64, Fatal> {
        let real = (self.rename)(topic);
        let partitions = self.cluster.admin.partitions(&real)?.unwrap_or(0);
        let bounds = self.cluster.admin.bounds(&real, partitions)?;
        Ok(bounds.iter().map(|bounds| (bounds.end - bounds.start).max(0) as u64).sum())
    }

    /// A writer for a topic.
    pub fn writer(&self, topic: &str) -> Result<Writer<'_>, Fatal> {
        self.cluster.admin.write(&(self.rename)(topic))
    }

    /// Calls `each` with all records of a topic, partition by partition.
    pub fn scan(&self, topic: &str, each: &mut dyn FnMut(u32, StoredRecord<'_>)) -> Result<(), Fatal> {
        let real = (self.rename)(topic);
        let partitions = self.cluster.admin.partitions(&real)?.unwrap_or(0);
        let bounds = self.cluster.admin.bounds(&real, partitions)?;
        for (partition, bounds) in (0..partitions).zip(bounds) {
            let mut reader = self.cluster.admin.read(&real, &[(partition, bounds.start, Some(bounds.end))])?;
            loop {
                match reader.next(LOOK)? {
                    Read::Record(record) => show(&record, each),
                    Read::Idle => {}
                    Read::End => break,
                }
            }
        }
        Ok(())
    }
}

fn show(record: &TopicRecord, each: &mut dyn FnMut(u32, StoredRecord<'_>)) {
    let mut headers = HeaderBuilder::default();
    for (name, value) in &record.headers {
        headers.push(name.as_bytes(), value.as_deref());
    }
    let headers = if record.headers.is_empty() { Vec::new() } else { headers.finish() };
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let TopicRecord { offset, timestamp_ms, partition, .. } = *record;
    each(partition, StoredRecord { offset, timestamp_ms, key, value, headers: &headers });
}

/// Hands one record to a writer.
pub fn write(
    writer: &Writer<'_>,
    partition: u32,
    timestamp_ms: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[u8],
) -> Result<(), Fatal> {
    let header =
        |(name, value): (&[u8], Option<&[u8]>)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec));
    let headers: Vec<(String, Option<Vec<u8>>)> = Headers::new(headers).map(header).collect();
    let timestamp_ms = Some(timestamp_ms);
    writer.send(&Outgoing { key, value, headers: &headers, partition: Some(partition), timestamp_ms })
}
