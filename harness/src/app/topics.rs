//! The topics of one query test, wherever they are: in the embedded broker or in a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use velostream_broker::{BatchBuilder, Direct, StoredRecord};
use velostream_kafka::Kafka;
use velostream_kafka::admin::Writer;
use velostream_types::Fatal;
use velostream_types::topic::{Broker, Client, TopicRecord};

use super::cluster::{self, Cluster, Remote};
use super::local::{Local, Rename};
use super::renamed::Renamed;

/// A batch is appended when it holds so many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Where the topics of a run are, and how its jobs reach them.
#[derive(Clone)]
pub enum Place {
    /// The embedded broker, by direct calls.
    Embedded(Direct),
    /// The embedded broker; jobs go through the production client to this address.
    Sockets(Direct, String),
    /// A cluster, through the production client.
    Cluster(Cluster),
}

impl Place {
    /// The topics of the query test `run` here, under these names; records without a timestamp have that of `now_ms`.
    pub fn topics(&self, run: &str, rename: Arc<Rename>, now_ms: i64) -> Topics {
        let groups = format!("test_{run}_");
        match self {
            Place::Embedded(direct) => Topics::Embedded(Local::new(direct.clone(), rename, now_ms), None),
            Place::Sockets(direct, bootstrap) => {
                Topics::Embedded(Local::new(direct.clone(), rename, now_ms), Some((bootstrap.clone(), groups)))
            }
            Place::Cluster(cluster) => Topics::Cluster(Remote::new(cluster.clone(), rename, groups, now_ms)),
        }
    }
}

/// The topics of one query test.
#[derive(Clone)]
pub enum Topics {
    /// In the embedded broker; with its address, and what groups begin with, where jobs go through the production client.
    Embedded(Local, Option<(String, String)>),
    /// In a cluster.
    Cluster(Remote),
}

fn told(fatal: Fatal) -> String {
    fatal.message
}

impl Topics {
    /// Makes a topic, if it is not there.
    pub fn make(&self, topic: &str, partitions: u32) -> Result<(), String> {
        match self {
            Topics::Embedded(local, _) => local.make(topic, partitions),
            Topics::Cluster(remote) => remote.make(topic, partitions),
        }
        .map_err(told)
    }

    /// Number of records in a topic.
    pub fn len(&self, topic: &str) -> Result<u64, String> {
        match self {
            Topics::Embedded(local, _) => local.len(topic),
            Topics::Cluster(remote) => remote.len(topic),
        }
        .map_err(told)
    }

    /// Calls `each` with all records of a topic, partition by partition.
    pub fn scan(&self, topic: &str, each: &mut dyn FnMut(u32, StoredRecord<'_>)) -> Result<(), String> {
        match self {
            Topics::Embedded(local, _) => local.scan(topic, each),
            Topics::Cluster(remote) => remote.scan(topic, each),
        }
        .map_err(told)
    }

    /// When the record at an offset came, as the run's clock has it; none where nobody saw it come.
    pub fn arrival_ms(&self, topic: &str, partition: u32, offset: i64) -> Option<i64> {
        match self {
            Topics::Embedded(local, _) => local.arrival_ms(topic, partition, offset),
            Topics::Cluster(_) => None,
        }
    }

    /// Timestamp of records that have none, ms.
    pub fn now_ms(&self) -> i64 {
        match self {
            Topics::Embedded(local, _) => local.now_ms(),
            Topics::Cluster(remote) => remote.now_ms(),
        }
    }

    /// What jobs read and write with. Empty topics have the types of their samples, by topic as the SQL calls it.
    pub fn broker(&self, samples: BTreeMap<String, Vec<TopicRecord>>) -> Arc<dyn Broker> {
        match self {
            Topics::Embedded(local, None) => Arc::new(local.clone().with_samples(samples)),
            Topics::Embedded(local, Some((bootstrap, groups))) => {
                let mut client = Client::default();
                client.settings.insert("bootstrap.servers".to_owned(), bootstrap.clone());
                Arc::new(Renamed::new(Arc::new(Kafka), client, local.rename(), groups.clone(), samples, None))
            }
            Topics::Cluster(remote) => {
                let (cluster, rename) = (remote.cluster(), Arc::clone(remote.rename()));
                let (client, made) = (cluster.client().clone(), Arc::clone(cluster.made()));
                Arc::new(Renamed::new(Arc::new(Kafka), client, rename, remote.groups().to_owned(), samples, Some(made)))
            }
        }
    }

    /// A writer for a topic, which has to be there.
    pub fn writer<'t>(&'t self, topic: &'t str) -> Result<TopicWriter<'t>, String> {
        match self {
            Topics::Embedded(local, _) => {
                let partitions = local.count(topic).unwrap_or(1).max(1);
                let batches = (0..partitions).map(|_| BatchBuilder::default()).collect();
                Ok(TopicWriter::Embedded { local, topic, batches })
            }
            Topics::Cluster(remote) => {
                let partitions = remote.count(topic).map_err(told)?.unwrap_or(1).max(1);
                Ok(TopicWriter::Cluster { writer: remote.writer(topic).map_err(told)?, partitions })
            }
        }
    }
}

/// Appends records to one topic, in batches.
pub enum TopicWriter<'t> {
    /// Of the embedded broker.
    Embedded {
        /// Its topics.
        local: &'t Local,
        /// Which.
        topic: &'t str,
        /// By partition.
        batches: Vec<BatchBuilder>,
    },
    /// Of a cluster.
    Cluster {
        /// Its producer.
        writer: Writer<'t>,
        /// Number of partitions.
        partitions: u32,
    },
}

impl TopicWriter<'_> {
    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        match self {
            TopicWriter::Embedded { batches, .. } => batches.len() as u32,
            TopicWriter::Cluster { partitions, .. } => *partitions,
        }
    }

    /// Adds a record to a partition.
    pub fn push(
        &mut self,
        partition: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[u8],
    ) -> Result<(), String> {
        match self {
            TopicWriter::Embedded { local, topic, batches } => {
                let batch = &mut batches[partition as usize];
                batch.push(timestamp_ms, key, value, headers);
                if batch.bytes() < BATCH_BYTES {
                    return Ok(());
                }
                local.publish(topic, partition, batch)
            }
            TopicWriter::Cluster { writer, .. } => cluster::write(writer, partition, timestamp_ms, key, value, headers),
        }
        .map_err(told)
    }

    /// Appends what is left, and waits until all of it is stored.
    pub fn finish(self) -> Result<(), String> {
        match self {
            TopicWriter::Embedded { local, topic, mut batches } => {
                (0..).zip(&mut batches).try_for_each(|(partition, batch)| local.publish(topic, partition, batch))
            }
            TopicWriter::Cluster { writer, .. } => writer.finish().map(drop),
        }
        .map_err(told)
    }
}
