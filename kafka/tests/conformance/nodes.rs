//! Item: several nodes over one store: listeners, leaders, and leaders that move.

use std::time::Duration;

use kafka_protocol::messages::*;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_broker::{Broker, BrokerConfig, Fault, errors};

use crate::raw::{Transactional, commit, committed, plain, stable_at};
use crate::wire::{Client, Fetch};
use crate::world::{World, assigned, flush, poll, take, until};
use crate::{Check, embedded};

pub const CHECKS: &[Check] = &[
    embedded("every node listens and names all nodes and their partitions", listeners),
    embedded("a node that does not lead says so", not_leader),
    embedded("leaders move under a producer and a consumer: nothing lost or twice", moving),
    embedded("a group goes on while its partitions move", group),
    embedded("coordinators are reached through any node", coordinators),
    embedded("with fewer nodes after a restart, every partition has a leader", fewer),
];

fn start(nodes: u16) -> (Broker, Vec<Client>) {
    let broker = Broker::start(BrokerConfig { nodes, ..BrokerConfig::default() }).expect("starts");
    let clients = broker.addresses().iter().map(|address| Client::connect(address)).collect();
    (broker, clients)
}

fn move_leader(broker: &Broker, partition: i32, node: i32) {
    broker.inject(&Fault::MoveLeader { topic: "t".to_owned(), partition, node }).expect("moved");
}

fn leaders(client: &mut Client) -> Vec<(i32, i32)> {
    let answer = client.call(8, &MetadataRequest::default().with_topics(None));
    let mut found: Vec<_> = answer.topics[0].partitions.iter().map(|p| (p.partition_index, p.leader_id.0)).collect();
    found.sort_unstable();
    found
}

fn listeners(_: &World) {
    let (broker, mut clients) = start(3);
    assert_eq!(clients[0].create("t", 6, &[]), 0);
    let ports: Vec<i32> =
        broker.addresses().iter().filter_map(|address| address.rsplit(':').next()?.parse().ok()).collect();
    for client in &mut clients {
        let answer = client.call(8, &MetadataRequest::default().with_topics(None));
        let mut told: Vec<_> = answer.brokers.iter().map(|node| (node.node_id.0, node.port)).collect();
        told.sort_unstable();
        assert_eq!(told, [(1, ports[0]), (2, ports[1]), (3, ports[2])]);
        let found = leaders(client);
        for node in 1..=3 {
            assert_eq!(found.iter().filter(|(_, leader)| *leader == node).count(), 2, "node {node} leads its share");
        }
    }
}

fn not_leader(_: &World) {
    let (broker, mut clients) = start(2);
    assert_eq!(clients[0].create("t", 1, &[]), 0);
    move_leader(&broker, 0, 2);
    let want = errors::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(clients[0].produce(8, "t", 0, plain(&["a"])).error_code, want);
    assert_eq!(clients[0].fetch(11, &Fetch::default()).error_code, want);
    assert_eq!(clients[0].offset("t", 0, -1, false).0, want);
    assert_eq!(clients[1].produce(8, "t", 0, plain(&["a"])).error_code, 0);
    // Who waits on the old leader is told that it moved.
    let (waiter, other) = clients.split_at_mut(1);
    move_leader(&broker, 0, 1);
    waiter[0].send(11, &Fetch { offset: 1, min_bytes: 1, max_wait_ms: 20_000, ..Fetch::default() }.request(11));
    move_leader(&broker, 0, 2);
    let answer = waiter[0].receive::<FetchRequest>(11).expect("an answer");
    assert_eq!(answer.responses[0].partitions[0].error_code, want);
    assert_eq!(other[0].fetch(11, &Fetch::default()).error_code, 0);
}

fn moving(_: &World) {
    let (broker, mut clients) = start(3);
    assert_eq!(clients[0].create("t", 2, &[]), 0);
    let world = World::of(&broker);
    let settings = [("enable.idempotence", "true"), ("retry.backoff.ms", "5"), ("retry.backoff.max.ms", "20")];
    let producer = world.producer(&settings);
    let consumer = world.consumer("none", &[("retry.backoff.ms", "5")]);
    let mut list = TopicPartitionList::new();
    (0..2).for_each(|p| list.add_partition_offset("t", p, Offset::Beginning).expect("partition"));
    consumer.assign(&list).expect("assigned");
    let mut found = Vec::new();
    for round in 0..20 {
        for i in 0..50 {
            let payload = (round * 50 + i).to_string();
            let record = BaseRecord::<(), str>::to("t").payload(&payload).partition(i % 2);
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
        move_leader(&broker, round % 2, round % 3 + 1);
        producer.poll(Duration::ZERO);
        found.extend(poll(&consumer).map(|message| message.detach()));
    }
    flush(&producer);
    until("all records come", || {
        found.extend(poll(&consumer).map(|message| message.detach()));
        found.len() >= 1_000
    });
    for partition in 0..2 {
        let of: Vec<_> = found.iter().filter(|m| m.partition() == partition).collect();
        assert!(of.iter().map(|m| m.offset()).eq(0..500), "partition {partition}: each offset once, in order");
        let values = of.iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned());
        assert!(values.eq((0..500).map(|i| (i * 2 + partition).to_string())), "partition {partition}: as sent");
    }
}

fn group(_: &World) {
    let (broker, mut clients) = start(2);
    assert_eq!(clients[0].create("t", 2, &[]), 0);
    let world = World::of(&broker);
    let consumer = world.consumer("g", &[]);
    consumer.subscribe(&["t"]).expect("subscribed");
    assigned(&[&consumer], &[2]);
    let producer = world.producer(&[]);
    for round in 0..4 {
        move_leader(&broker, 0, round % 2 + 1);
        move_leader(&broker, 1, (round + 1) % 2 + 1);
        crate::world::send(&producer, "t", 0, &["a"]);
        crate::world::send(&producer, "t", 1, &["b"]);
        assert_eq!(take(&consumer, 2).len(), 2);
        consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync).expect("committed");
    }
    assert_eq!(committed(&mut world.coordinator("g"), "g", "t").committed_offset, 4);
}

fn coordinators(_: &World) {
    let (_broker, mut clients) = start(3);
    assert_eq!(clients[0].create("t", 1, &[]), 0);
    for kind in 0..2 {
        let request = FindCoordinatorRequest::default().with_key(crate::wire::text("x")).with_key_type(kind);
        let told: Vec<_> = clients.iter_mut().map(|client| client.call(2, &request).node_id.0).collect();
        assert!(told.iter().all(|node| *node == told[0] && (1..=3).contains(node)), "all say the same: {told:?}");
        let coordinator = &mut clients[told[0] as usize - 1];
        match kind {
            0 => {
                assert_eq!(commit(coordinator, "x", "t", 5, "", (-1, "")), 0);
                assert_eq!(committed(coordinator, "x", "t").committed_offset, 5);
            }
            _ => {
                let producer = Transactional::init(coordinator, "x", 60_000);
                assert_eq!(producer.add(coordinator, "t"), 0);
                assert_eq!(producer.end(coordinator, false), 0);
            }
        }
    }
    let leader = leaders(&mut clients[0])[0].1;
    stable_at(&mut clients[leader as usize - 1], "t", 1);
}

fn fewer(_: &World) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |nodes| BrokerConfig { nodes, dir: Some(folder.path().to_owned()), ..BrokerConfig::default() };
    let broker = Broker::start(config(3)).expect("starts");
    let world = World::of(&broker);
    assert_eq!(world.raw().create("t", 3, &[]), 0);
    let producer = world.producer(&[]);
    (0..3).for_each(|partition| crate::world::send(&producer, "t", partition, &["kept"]));
    let mut coordinator = world.coordinator("g");
    assert_eq!(commit(&mut coordinator, "g", "t", 1, "", (-1, "")), 0);
    drop(producer);
    broker.stop();
    let broker = Broker::start(config(1)).expect("starts with one node");
    let world = World::of(&broker);
    assert_eq!(leaders(&mut world.raw()), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(world.values("t", 3, true), ["kept"; 3]);
    assert_eq!(committed(&mut world.raw(), "g", "t").committed_offset, 1);
}
