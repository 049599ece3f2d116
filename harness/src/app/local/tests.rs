//! What the runtime sends comes back as it was sent, under the test's own names.

use super::*;
use velostream_broker::{Broker as Embedded, BrokerConfig};

fn local(broker: &Embedded) -> Local {
    Local::new(broker.direct(), Arc::new(|topic: &str| format!("test_7_{topic}")), 1_000)
}

fn spec(topics: &[&str]) -> ProduceSpec {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    ProduceSpec { client: Client::default(), topics, eager: false }
}

fn wake() -> Wake {
    Arc::new(|| {})
}

fn chunk(values: &[&str]) -> Chunk {
    let mut chunk = Chunk::default();
    for value in values {
        chunk.bytes.extend_from_slice(value.as_bytes());
        chunk.bytes.push(b'\n');
        chunk.end_row();
    }
    chunk
}

/// A record as the engine reads it: key, value, whether it has headers, timestamp.
type Read = (Option<Vec<u8>>, Option<Vec<u8>>, bool, i64);

/// All records of a partition.
fn read(local: &Local, topic: &str, partition: u32, until: i64) -> Vec<Read> {
    let at = TopicPartition { topic: topic.to_owned(), partition };
    let from = FetchFrom { at, from: 0, until: Some(until) };
    let spec = FetchSpec {
        client: Client::default(),
        group: String::new(),
        partitions: vec![from],
        headers: true,
        slab_bytes: 64,
    };
    let mut fetch = local.fetch(spec, wake()).expect("a reader");
    let mut found = Vec::new();
    loop {
        match fetch.poll(0).expect("it is there") {
            SourcePoll::Slab(Slab { bytes, kind: SlabKind::Records(records) }) => {
                let part = |range: Option<(u32, u32)>| range.map(|(a, b)| bytes[a as usize..b as usize].to_vec());
                let record = |r: &RecordRef| (part(r.key), part(r.value), r.headers.is_some(), r.timestamp_ms);
                found.extend(records.iter().map(record));
            }
            SourcePoll::End => return found,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_sent_is_read_up_to_the_end_that_was_asked_for() {
    let broker = Embedded::start(BrokerConfig::default()).expect("a free port");
    let local = local(&broker);
    local.make("t", 1).expect("it is made");
    let mut produce = local.produce(spec(&["t"]), wake()).expect("a writer");
    let mut rows = chunk(&["one", "two", "three"]);
    rows.keys = vec![Some(Box::from(&b"k"[..])), None, None];
    rows.deletes = vec![false, false, true];
    rows.event_ns = vec![5_000_000, 6_000_000, 7_000_000];
    rows.times_ms = vec![5, 6, 7];
    assert_eq!(produce.send(0, &rows, 0).expect("taken"), 3);
    produce.mark(9);
    assert_eq!((produce.acknowledged(), local.len("t").expect("there")), (0, 0), "it waits for a batch");
    produce.poll().expect("sent");
    assert_eq!((produce.acknowledged(), local.len("t").expect("there")), (9, 3));
    assert_eq!(broker.direct().topics(), ["test_7_t"], "the test's own name");
    let text = |value: &str| Some(value.as_bytes().to_vec());
    assert_eq!(
        read(&local, "t", 0, 3),
        [(text("k"), text("one"), true, 5), (None, text("two"), true, 6), (None, None, true, 7)]
    );
    assert_eq!(read(&local, "t", 0, 2).len(), 2);
}

#[test]
fn keys_decide_the_partition_and_others_go_round() {
    let broker = Embedded::start(BrokerConfig::default()).expect("a free port");
    let local = local(&broker);
    local.make("t", 3).expect("it is made");
    let mut produce = local.produce(spec(&["t"]), wake()).expect("a writer");
    let mut rows = chunk(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(produce.send(0, &rows, 0).expect("taken"), 6);
    rows.keys = vec![Some(Box::from(&b"same"[..])); 6];
    assert_eq!(produce.send(0, &rows, 4).expect("taken"), 2, "rows from the fifth on");
    assert!(produce.flush(Duration::ZERO).expect("sent"));
    let bounds = local.bounds(&Client::default(), "t", 3).expect("there");
    let mut counts: Vec<i64> = bounds.iter().map(|b| b.end - b.start).collect();
    let timestamps = read(&local, "t", 0, bounds[0].end);
    assert!(timestamps.iter().all(|(.., timestamp)| *timestamp == 1_000), "the run's time where there is none");
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 4]);
}

#[test]
fn an_empty_topic_has_the_types_it_is_given() {
    let broker = Embedded::start(BrokerConfig::default()).expect("a free port");
    let record = |value: &str| TopicRecord {
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: None,
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    };
    let local = local(&broker).with_samples(BTreeMap::from([("t".to_owned(), vec![record("sample")])]));
    local.make("t", 1).expect("it is made");
    let sampled = |local: &Local| local.sample(&Client::default(), "t", 1).expect("there").remove(0).value;
    assert_eq!(sampled(&local), Some(b"sample".to_vec()));
    let mut batch = BatchBuilder::default();
    batch.push(1, None, Some(b"real"), &[]);
    batch.push(2, None, Some(b"second"), &[]);
    local.publish("t", 0, &mut batch).expect("appended");
    assert_eq!(sampled(&local), Some(b"real".to_vec()));
}

#[test]
fn a_member_has_everything_at_once() {
    let broker = Embedded::start(BrokerConfig::default()).expect("a free port");
    let local = local(&broker);
    local.make("t", 2).expect("it is made");
    let topics = vec!["t".to_owned()];
    let spec = MemberSpec { client: Client::default(), group: "g".to_owned(), instance: None, topics };
    let mut member = local.join(spec).expect("a member");
    let Some(MemberEvent::Assigned(assigned)) = member.poll(Duration::ZERO).expect("an answer") else {
        panic!("assigned at once")
    };
    assert_eq!(assigned.iter().map(|at| at.partition).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(member.poll(Duration::ZERO).expect("an answer"), None);
    assert_eq!(member.committed(&assigned).expect("an answer"), [None, None]);
}
