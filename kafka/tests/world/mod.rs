//! What the tests of the clients need: a broker, topics filled and read by plain rdkafka, and a wake to wait for.
#![allow(clippy::unwrap_used, reason = "only tests come here")]
#![allow(dead_code, reason = "each suite needs its part of it")]

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, Client, Fetch, FetchFrom, FetchSpec, NewTopic, TopicPartition, Wake};
use velostream_types::{Fatal, RecordRef, Slab, SlabKind, SourcePoll};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub broker: Broker,
    pub client: Client,
}

impl World {
    pub fn new() -> World {
        World::with(BrokerConfig::default())
    }

    pub fn with(config: BrokerConfig) -> World {
        let broker = Broker::start(config).unwrap();
        let mut client = Client::default();
        client.settings.insert("bootstrap.servers".to_owned(), broker.bootstrap());
        World { broker, client }
    }

    pub fn topic(&self, name: &str, partitions: u32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>();
        let topic = NewTopic { name: name.to_owned(), partitions, replication: -1, config };
        assert!(Kafka.create(&self.client, &topic, PATIENCE).unwrap());
    }

    /// Deletes the records of a partition below `offset`.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.broker.bootstrap()).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let mut future = pin!(admin.delete_records(&list, &AdminOptions::new()));
        let mut context = Context::from_waker(Waker::noop());
        let done = loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                break done.unwrap();
            }
            std::thread::yield_now();
        };
        done.elements().iter().for_each(|element| element.error().unwrap());
    }

    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap()).set("linger.ms", "1");
        settings.iter().for_each(|(key, value)| {
            config.set(*key, *value);
        });
        config.create().unwrap()
    }

    pub fn fetch(&self, parts: Vec<FetchFrom>, headers: bool, slab_bytes: usize) -> Reader {
        let (wake, woken) = wake();
        let count = parts.len();
        let spec =
            FetchSpec { client: self.client.clone(), group: "g".to_owned(), partitions: parts, headers, slab_bytes };
        let fetch = Kafka.fetch(spec, wake).unwrap();
        Reader { fetch, woken, got: vec![Vec::new(); count], ended: vec![false; count] }
    }
}

pub fn wake() -> (Wake, Receiver<()>) {
    let (tell, told) = mpsc::sync_channel(1);
    let wake = Arc::new(move || {
        // Full: it was told already.
        tell.try_send(()).ok();
    });
    (wake, told)
}

pub fn from(topic: &str, partition: u32, from: i64, until: Option<i64>) -> FetchFrom {
    FetchFrom { at: TopicPartition { topic: topic.to_owned(), partition }, from, until }
}

pub fn flush(producer: &BaseProducer) {
    producer.flush(PATIENCE).unwrap();
}

/// A record as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Option<Vec<(String, Option<Vec<u8>>)>>,
}

/// A fetcher that sleeps until it is woken, and what it brought.
pub struct Reader {
    pub fetch: Box<dyn Fetch>,
    pub woken: Receiver<()>,
    pub got: Vec<Vec<Got>>,
    pub ended: Vec<bool>,
}

impl Reader {
    /// Polls one partition once; answers whether it brought something.
    pub fn poll(&mut self, index: usize) -> Result<bool, Fatal> {
        match self.fetch.poll(index)? {
            SourcePoll::Pending | SourcePoll::Behind => return Ok(false),
            SourcePoll::End => {
                let is_news = !self.ended[index];
                self.ended[index] = true;
                return Ok(is_news);
            }
            SourcePoll::Slab(Slab { bytes, kind: SlabKind::Records(records) }) => {
                let part = |range: Option<(u32, u32)>| range.map(|(a, b)| bytes[a as usize..b as usize].to_vec());
                for RecordRef { offset, timestamp_ms, key, value, headers } in records {
                    let headers = part(headers).map(|bytes| {
                        let mut all = velostream_types::headers::Headers::new(&bytes);
                        let found = all
                            .by_ref()
                            .map(|(key, value)| (String::from_utf8(key.to_vec()).unwrap(), value.map(<[u8]>::to_vec)));
                        let found = found.collect();
                        assert!(all.is_whole());
                        found
                    });
                    self.got[index].push(Got { offset, timestamp_ms, key: part(key), value: part(value), headers });
                }
            }
            SourcePoll::Slab(slab) => panic!("{slab:?}"),
        }
        Ok(true)
    }

    /// Polls all partitions until `done`; sleeps until woken when none has anything, never polls on its own.
    pub fn until(&mut self, done: impl Fn(&Reader) -> bool) -> Result<(), Fatal> {
        while !done(self) {
            let mut is_idle = true;
            for index in 0..self.got.len() {
                is_idle &= !self.poll(index)?;
            }
            if is_idle && !done(self) {
                self.woken.recv_timeout(PATIENCE).expect("a wake-up");
            }
        }
        Ok(())
    }
}
