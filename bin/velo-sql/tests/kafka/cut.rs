//! A log that ends before the place where its group stands: the job goes on at the end, and from there as ever.

use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, Commit, Committed, MemberEvent, MemberSpec, TopicPartition};

use super::world::{PATIENCE, broker, client, finish, follow, producer, run, send, signal, topic, values, wait};

const APP: &str = "
    CREATE STREAM t (v INT) WITH (type = 'kafka', topic = 't', 'commit.interval' = '100ms');
    CREATE STREAM out AS SELECT v FROM t WITH ('out.type' = 'kafka', 'out.topic' = 'out');";

/// Commits offset 50 of t-0, as if it had been read so far.
fn commit(brokers: &str, group: &str) {
    let spec = MemberSpec { client: client(brokers), group: group.into(), instance: None, topics: vec!["t".into()] };
    let mut member = Kafka.join(spec).expect("the broker is there");
    wait("an assignment", || matches!(member.poll(PATIENCE / 100).expect("no fatal"), Some(MemberEvent::Assigned(_))));
    let at = TopicPartition { topic: "t".into(), partition: 0 };
    let committed = Committed { offset: 50, metadata: String::new() };
    member.commit(&[Commit { at, committed }], Some(PATIENCE)).expect("a commit");
    member.leave();
}

#[test]
fn a_job_goes_on_where_its_log_was_cut() {
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP).expect("the app");
    topic(&brokers, "t", 1);
    let mut out = producer(&brokers, "t");
    let line = |v: u32| (None, format!("{{\"v\":{v}}}"));
    send(&mut *out, &(0..3).map(line).collect::<Vec<_>>());
    assert!(out.flush(PATIENCE).expect("the broker is there"));
    commit(&brokers, "g");
    let log = folder.path().join("log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let mut child = follow(folder.path(), "app.sql", &brokers, &["--group", "g"], &log);
    wait("the new start", || said().contains("resuming g at 0:3;"));
    send(&mut *out, &[line(3)]);
    wait("what came behind the cut", || values(&brokers, "out") == ["{\"v\":3}"]);
    signal(&child, "-TERM");
    assert!(child.wait().expect("it ended").success(), "{}", said());
    assert!(said().contains("offset 50 was to be read next, but the log ends at 3"), "{}", said());
    assert_eq!(said().matches("going on from the last commit in 50 ms").count(), 1, "{}", said());
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--group", "g", "--until-end"]));
    assert!(said.contains("resuming g at 0:4;"), "{said}");
}
