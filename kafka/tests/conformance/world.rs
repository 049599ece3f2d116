//! The broker under test and the clients that look at it: topics and groups with names of their own, librdkafka
//! producers and consumers with a limit on every wait, and the raw connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::*;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_broker::{Broker, BrokerConfig};

use crate::raw;
use crate::wire::{Client, text, topic};

/// Longer than anything takes that is going to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Settings under which what a broker does now and then is done soon; run.sh sets the same on Apache Kafka.
pub fn quick(config: BrokerConfig) -> BrokerConfig {
    BrokerConfig { maintain_every_ms: 200, ..config }
}

/// The broker under test.
pub struct World {
    /// bootstrap.servers.
    pub brokers: String,
    run: String,
    names: AtomicU64,
    topics: Mutex<Vec<String>>,
}

/// Says nothing, remembers what became of each record.
#[derive(Default)]
pub struct Quiet {
    deliveries: Mutex<Vec<Result<(i32, i64), KafkaError>>>,
}

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}
impl ConsumerContext for Quiet {}
impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }
}

impl Quiet {
    /// Partition and offset of every record delivered since the last call, or why not.
    pub fn deliveries(&self) -> Vec<Result<(i32, i64), KafkaError>> {
        std::mem::take(&mut *self.deliveries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A librdkafka producer.
pub type Writer = BaseProducer<Quiet>;
/// A librdkafka consumer.
pub type Reader = BaseConsumer<Quiet>;

impl World {
    /// The broker at this address; nothing is sent yet.
    pub fn new(brokers: &str) -> World {
        let run = format!("{:x}", now_ms());
        World { brokers: brokers.to_owned(), run, names: AtomicU64::new(0), topics: Mutex::default() }
    }

    /// A broker of the embedded kind that a check started for itself.
    pub fn of(broker: &Broker) -> World {
        World::new(&broker.bootstrap())
    }

    /// Waits until groups and transactions are served: a real broker creates their topics at the first request.
    pub fn warm_up(&self) {
        let mut client = self.raw();
        for (key, kind) in [("warm-up", 0), ("warm-up", 1)] {
            until("the coordinators answer", || {
                let request = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind);
                client.call(2, &request).error_code == 0
            });
        }
        let id = self.name("warm-up");
        until("transactions are served", || raw::try_init(&mut client, &id, 10_000).error_code == 0);
    }

    /// Deletes the topics of this run.
    pub fn clean_up(&self) {
        let names = std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner));
        let names = names.iter().map(|name| topic(name)).collect();
        self.raw().call(3, &DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(10_000));
    }

    /// A raw connection to the first node.
    pub fn raw(&self) -> Client {
        Client::connect(self.brokers.split(',').next().unwrap_or_default())
    }

    /// A raw connection to the node that coordinates a group.
    pub fn coordinator(&self, group: &str) -> Client {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        let found = self.raw().call(2, &request);
        assert_eq!(found.error_code, 0, "coordinator of {group}");
        Client::connect(&format!("{}:{}", found.host.as_str(), found.port))
    }

    /// A name that nobody else uses.
    pub fn name(&self, what: &str) -> String {
        format!("velo-{}-{what}-{}", self.run, self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A new topic whose partitions answer.
    pub fn topic(&self, partitions: i32, config: &[(&str, &str)]) -> String {
        let name = self.name("topic");
        let mut client = self.raw();
        assert_eq!(client.create(&name, partitions, config), 0, "create {name} {config:?}");
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        self.ready(&name, partitions);
        name
    }

    /// Waits until all partitions of a topic are served.
    pub fn ready(&self, name: &str, partitions: i32) {
        let one_node = !self.brokers.contains(',');
        until("a new topic is served", || {
            let mut client = self.raw();
            let wanted = metadata_request::MetadataRequestTopic::default().with_name(Some(topic(name)));
            let answer = client.call(8, &MetadataRequest::default().with_topics(Some(vec![wanted])));
            let of = &answer.topics[0];
            of.error_code == 0
                && of.partitions.len() == partitions as usize
                && of.partitions.iter().all(|p| p.error_code == 0 && p.leader_id.0 >= 0)
                && (!one_node || (0..partitions).all(|index| client.offset(name, index, -1, false).0 == 0))
        });
    }

    /// A new group whose coordinator answers.
    pub fn group(&self) -> String {
        let name = self.name("group");
        let mut client = self.raw();
        until("a new group is served", || {
            let request = OffsetFetchRequest::default().with_group_id(GroupId(text(&name))).with_topics(None);
            client.call(5, &request).error_code == 0
        });
        name
    }

    fn config(&self, extra: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("broker.address.family", "v4");
        for (key, value) in extra {
            config.set(*key, *value);
        }
        config
    }

    /// A producer of librdkafka.
    pub fn producer(&self, extra: &[(&str, &str)]) -> Writer {
        let mut config = self.config(&[("linger.ms", "1"), ("message.timeout.ms", "30000")]);
        for (key, value) in extra {
            config.set(*key, *value);
        }
        config.create_with_context(Quiet::default()).expect("a producer")
    }

    /// A consumer of librdkafka that commits nothing by itself.
    pub fn consumer(&self, group: &str, extra: &[(&str, &str)]) -> Reader {
        let mut config = self.config(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("enable.partition.eof", "true"),
            ("fetch.wait.max.ms", "50"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "200"),
            ("check.crcs", "true"),
        ]);
        for (key, value) in extra {
            config.set(*key, *value);
        }
        config.create_with_context(Quiet::default()).expect("a consumer")
    }

    /// Everything a reader of all partitions gets, up to their ends, by partition and offset.
    pub fn read(&self, name: &str, partitions: i32, committed: bool) -> Vec<OwnedMessage> {
        let level = if committed { "read_committed" } else { "read_uncommitted" };
        let consumer = self.consumer("none", &[("isolation.level", level)]);
        let mut wanted = TopicPartitionList::new();
        for index in 0..partitions {
            wanted.add_partition_offset(name, index, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&wanted).expect("assigned");
        let mut found = Vec::new();
        let mut open = partitions;
        until("all partitions are read to their ends", || {
            while open > 0 {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => found.push(message.detach()),
                    Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                    Some(Err(error)) => passing(&error),
                    None => break,
                }
            }
            open == 0
        });
        found.sort_by_key(|message| (message.partition(), message.offset()));
        found
    }

    /// The values of [`World::read`] as text.
    pub fn values(&self, name: &str, partitions: i32, committed: bool) -> Vec<String> {
        self.read(name, partitions, committed).iter().map(value).collect()
    }
}

/// Sends values to a partition and waits for their acknowledgements.
pub fn send(producer: &Writer, name: &str, partition: i32, values: &[&str]) {
    for value in values {
        let record = BaseRecord::<(), str>::to(name).payload(value).partition(partition);
        producer.send(record).map_err(|(error, _)| error).expect("queued");
    }
    flush(producer);
}

/// Waits until all is delivered.
pub fn flush(producer: &Writer) {
    producer.flush(PATIENCE).expect("flushed");
    for delivery in producer.context().deliveries() {
        delivery.expect("delivered");
    }
}

/// A value as text; empty for none.
pub fn value(message: &OwnedMessage) -> String {
    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()
}

/// Polls until so many records came; ends of partitions are passed over.
pub fn take(consumer: &Reader, count: usize) -> Vec<OwnedMessage> {
    let mut found = Vec::new();
    until("records come", || {
        while found.len() < count
            && let Some(message) = poll(consumer)
        {
            found.push(message.detach());
        }
        found.len() >= count
    });
    found
}

/// One poll; ends of partitions are nothing.
pub fn poll(consumer: &Reader) -> Option<BorrowedMessage<'_>> {
    match consumer.poll(Duration::from_millis(20))? {
        Ok(message) => Some(message),
        Err(KafkaError::PartitionEOF(_)) => None,
        Err(error) => {
            passing(&error);
            None
        }
    }
}

/// Connections may break, and librdkafka mends them; any other error fails the check.
fn passing(error: &KafkaError) {
    use rdkafka::error::RDKafkaErrorCode as Code;
    let mended = [Some(Code::BrokerTransportFailure), Some(Code::AllBrokersDown)];
    assert!(mended.contains(&error.rdkafka_error_code()), "{error}");
}

/// Polls until the member has so many partitions.
pub fn assigned(consumers: &[&Reader], counts: &[usize]) {
    until("the partitions are assigned", || {
        consumers.iter().for_each(|consumer| drop(poll(consumer)));
        let has = consumers.iter().map(|consumer| consumer.assignment().map_or(0, |list| list.count()));
        has.eq(counts.iter().copied())
    });
}

/// Waits for a condition; `what` is told when the patience ends.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::park_timeout(LOOK);
    }
}

/// For limits on waits and the milliseconds of the report.
#[expect(clippy::disallowed_methods, reason = "waits for a broker have a limit")]
pub fn now() -> Instant {
    Instant::now()
}

/// Timestamps of records: a broker refuses those too far from its clock.
#[expect(clippy::disallowed_methods, reason = "records carry the time of day")]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
