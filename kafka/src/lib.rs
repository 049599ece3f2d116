//! Kafka: bytes in, bytes out. Knows no columns; the only crate that may import rdkafka.
//!
//! [`Kafka`] is the port `velostream_types::topic::Broker`. `config` turns a user's settings into a client's, `errors`
//! what librdkafka says into what a person can act on. `admin` asks and creates, `member` belongs to a group and commits, `fetch` reads a core's partitions, `produce` writes for a core,
//! `notices` collects what clients have to say meanwhile. `partitioner` says where a key goes, `bare` is a consumer to measure
//! the rest against.

pub mod admin;
pub mod bare;
pub mod config;
pub mod errors;
mod fetch;
mod member;
mod notices;
mod partitioner;
mod produce;

use std::time::Duration;

use velostream_types::Fatal;
use velostream_types::topic::{
    Broker, Client, Fetch, FetchSpec, GroupMember, LogBounds, MemberSpec, NewTopic, Produce, ProduceSpec, TopicRecord,
    Wake,
};

pub use partitioner::{murmur2, partition_of};

/// Kafka as the runtime sees it. Holds nothing: every client belongs to who asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kafka;

impl Broker for Kafka {
    fn partitions(&self, client: &Client, topic: &str, patience: Duration) -> Result<Option<u32>, Fatal> {
        admin::partitions(client, topic, patience)
    }

    fn create(&self, client: &Client, topic: &NewTopic, patience: Duration) -> Result<bool, Fatal> {
        admin::create(client, topic, patience)
    }

    fn bounds(&self, client: &Client, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal> {
        admin::bounds(client, topic, partitions)
    }

    fn offsets_at(&self, client: &Client, topic: &str, partitions: u32, at_ms: i64) -> Result<Vec<Option<i64>>, Fatal> {
        admin::offsets_at(client, topic, partitions, at_ms)
    }

    fn sample(&self, client: &Client, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
        admin::sample(client, topic, per_partition)
    }

    fn join(&self, spec: MemberSpec) -> Result<Box<dyn GroupMember>, Fatal> {
        Ok(Box::new(member::Member::join(spec)?))
    }

    fn fetch(&self, spec: FetchSpec, wake: Wake) -> Result<Box<dyn Fetch>, Fatal> {
        Ok(Box::new(fetch::RdkafkaFetch::open(&spec, wake)?))
    }

    fn produce(&self, spec: ProduceSpec, wake: Wake) -> Result<Box<dyn Produce>, Fatal> {
        Ok(Box::new(produce::RdkafkaProduce::open(&spec, wake)?))
    }
}
