//! Item: faults by admin call. All are asked for over the wire, as any client can.

use std::time::Duration;

use kafka_protocol::messages::*;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::Producer;
use velostream_broker::{Broker, BrokerConfig, errors};

use crate::raw::{Author, Transactional, batch, idempotent, plain, record, stable_at, stored};
use crate::wire::{Client, Fetch, produce_request};
use crate::world::{PATIENCE, World, now, send};
use crate::{Check, embedded};

pub const CHECKS: &[Check] = &[
    embedded("delay: every request waits", delay),
    embedded("throttle: answers tell it, the connection rests", throttle),
    embedded("short read: answers come in pieces and end inside a batch", short_read),
    embedded("drop before: the request is lost, as often as told", drop_before),
    embedded("drop after: the request is done, its answer lost, nothing written twice", drop_after),
    embedded("a commit whose answer is lost is committed once", drop_end_txn),
    embedded("fence: a transactional and an idempotent producer are kept out", fence),
    embedded("move-leader: the old leader refuses, the new one goes on", move_leader),
    embedded("bump-epoch: the old epoch is fenced", bump_epoch),
    embedded("faults are set through librdkafka, told by DescribeConfigs, cleared", by_admin),
    embedded("unknown faults and values are refused", refused),
];

fn start(nodes: u16) -> (Broker, Client) {
    let broker = Broker::start(BrokerConfig { nodes, ..BrokerConfig::default() }).expect("starts");
    let mut client = Client::connect(&broker.addresses()[0]);
    assert_eq!(client.create("t", 1, &[]), 0);
    (broker, client)
}

fn set(client: &mut Client, key: &str, value: &str) {
    assert_eq!(client.alter_broker("", &format!("velo.fault.{key}"), value), 0, "{key}={value}");
}

fn delay(_: &World) {
    let (_broker, mut client) = start(1);
    set(&mut client, "delay.ms", "150");
    let start = now();
    assert_eq!(client.offset("t", 0, -1, false), (0, 0));
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    set(&mut client, "delay.ms", "0");
    let start = now();
    assert_eq!(client.offset("t", 0, -1, false), (0, 0));
    assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
}

fn throttle(_: &World) {
    let (_broker, mut client) = start(1);
    set(&mut client, "throttle.ms", "120");
    let start = now();
    assert_eq!(client.call(8, &produce_request("t", 0, plain(&["a"]), 1, None)).throttle_time_ms, 120);
    assert_eq!(client.call(11, &Fetch::default().request(11)).throttle_time_ms, 120);
    assert!(start.elapsed() >= Duration::from_millis(120), "the second request had to wait");
    set(&mut client, "clear", "all");
    assert_eq!(client.call(11, &Fetch::default().request(11)).throttle_time_ms, 0);
}

fn short_read(_: &World) {
    let (broker, mut client) = start(1);
    (0..50).for_each(|_| assert_eq!(client.produce(8, "t", 0, plain(&["a", "b"])).error_code, 0));
    set(&mut client, "short.read", "11");
    let bytes = client.fetch(11, &Fetch::default()).records.expect("records");
    let one = plain(&["a", "b"]).len();
    assert_eq!(stored(&bytes).len(), 49, "the last one is cut");
    assert_ne!(bytes.len() % one, 0);
    let world = World::of(&broker);
    assert_eq!(world.values("t", 1, true).len(), 100, "librdkafka reads on");
}

fn drop_before(_: &World) {
    let (broker, mut client) = start(1);
    set(&mut client, "drop.before", "Produce:2");
    for _ in 0..2 {
        let mut lost = Client::connect(&broker.bootstrap());
        assert!(lost.try_produce(8, "t", 0, plain(&["lost"]), None).is_none());
    }
    assert_eq!(client.offset("t", 0, -1, false), (0, 0));
    assert_eq!(client.produce(8, "t", 0, plain(&["third"])).error_code, 0);
    set(&mut client, "drop.before", "Metadata:3");
    assert_eq!(World::of(&broker).values("t", 1, true), ["third"], "librdkafka connects again");
}

fn drop_after(_: &World) {
    let (broker, mut client) = start(1);
    let world = World::of(&broker);
    let producer = world.producer(&[("enable.idempotence", "true"), ("retry.backoff.ms", "5")]);
    send(&producer, "t", 0, &["0"]);
    for i in 1..=5 {
        set(&mut client, "drop.after", "Produce");
        send(&producer, "t", 0, &[&i.to_string()]);
    }
    assert_eq!(world.values("t", 1, true), ["0", "1", "2", "3", "4", "5"]);
}

fn drop_end_txn(_: &World) {
    let (broker, mut client) = start(1);
    let world = World::of(&broker);
    let producer = world.producer(&[("transactional.id", "x"), ("retry.backoff.ms", "5")]);
    producer.init_transactions(PATIENCE).expect("initialised");
    for (value, fault) in [("a", "drop.before"), ("b", "drop.after")] {
        producer.begin_transaction().expect("begun");
        send(&producer, "t", 0, &[value]);
        set(&mut client, fault, "EndTxn");
        producer.commit_transaction(PATIENCE).expect("committed");
    }
    stable_at(&mut client, "t", 4);
    assert_eq!(world.values("t", 1, true), ["a", "b"]);
}

fn fence(_: &World) {
    let (_broker, mut client) = start(1);
    let mut producer = Transactional::init(&mut client, "x", 60_000);
    producer.put(&mut client, "t", "open");
    set(&mut client, "fence", "x");
    stable_at(&mut client, "t", 2);
    assert_eq!(producer.write(&mut client, "t", "zombie"), errors::INVALID_PRODUCER_EPOCH);
    assert_eq!(producer.end(&mut client, true), errors::PRODUCER_FENCED);
    let author = idempotent(&mut client);
    assert_eq!(client.produce(8, "t", 0, batch(&[record("a")], author)).error_code, 0);
    set(&mut client, "fence", &author.id.to_string());
    let next = batch(&[record("b")], Author { sequence: 1, ..author });
    assert_eq!(client.produce(8, "t", 0, next).error_code, errors::INVALID_PRODUCER_EPOCH);
}

fn move_leader(_: &World) {
    let (broker, mut one) = start(2);
    let mut two = Client::connect(&broker.addresses()[1]);
    set(&mut one, "move.leader", "t:0:1");
    assert_eq!(one.produce(8, "t", 0, plain(&["a"])).error_code, 0);
    set(&mut one, "move.leader", "t:0:2");
    assert_eq!(one.produce(8, "t", 0, plain(&["b"])).error_code, errors::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(two.produce(8, "t", 0, plain(&["b"])).base_offset, 1, "the data did not move");
    assert_eq!(World::of(&broker).values("t", 1, true), ["a", "b"]);
}

fn bump_epoch(_: &World) {
    let (_broker, mut client) = start(1);
    let fetched = |client: &mut Client, epoch| client.fetch(11, &Fetch { epoch, ..Fetch::default() }).error_code;
    assert_eq!(fetched(&mut client, 0), 0);
    set(&mut client, "bump.epoch", "t:0");
    assert_eq!(fetched(&mut client, 0), errors::FENCED_LEADER_EPOCH);
    assert_eq!(fetched(&mut client, 1), 0);
    assert_eq!(fetched(&mut client, 2), errors::UNKNOWN_LEADER_EPOCH);
}

fn by_admin(_: &World) {
    let (broker, mut client) = start(1);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().expect("an admin client");
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let change = AlterConfig::new(ResourceSpecifier::Broker(1)).set("velo.fault.throttle.ms", "77");
    let done = block_on(admin.alter_configs(&[change], &options)).expect("an answer");
    assert_eq!(done, [Ok(OwnedResourceSpecifier::Broker(1))]);
    let told = || {
        let asked = [ResourceSpecifier::Broker(1)];
        let found = block_on(admin.describe_configs(&asked, &options)).expect("an answer");
        let found = found[0].as_ref().expect("described").get("velo.fault.throttle.ms");
        found.expect("listed").value.clone()
    };
    assert_eq!(told().as_deref(), Some("77"));
    assert_eq!(client.call(11, &Fetch::default().request(11)).throttle_time_ms, 77);
    set(&mut client, "clear", "all");
    assert_eq!(told().as_deref(), Some("0"));
}

/// Waits for an answer of the admin client; its own thread brings it.
fn block_on<F: std::future::Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn refused(_: &World) {
    let (_broker, mut client) = start(2);
    let mut check = |node: &str, key: &str, value: &str, want: i16| {
        assert_eq!(client.alter_broker(node, &format!("velo.fault.{key}"), value), want, "{key}={value} on {node:?}");
    };
    check("", "burn", "1", errors::INVALID_CONFIG);
    check("", "delay.ms", "soon", errors::INVALID_CONFIG);
    check("", "drop.before", "NoSuchRequest", errors::INVALID_CONFIG);
    check("", "move.leader", "t:0:9", errors::INVALID_CONFIG);
    check("", "bump.epoch", "nobody:0", errors::INVALID_CONFIG);
    check("", "fence", "nobody", errors::INVALID_CONFIG);
    check("9", "delay.ms", "1", errors::INVALID_REQUEST);
    check("2", "delay.ms", "1", 0);
    let answer = client.call(8, &MetadataRequest::default().with_topics(None));
    assert_eq!(answer.brokers.len(), 2, "a fault on node 2 leaves node 1 alone");
}
