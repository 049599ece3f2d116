//! Records that brokers refuse for what they are: dead letters of their query, committed like any other record.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use velostream_broker::Broker;
use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, NewTopic, TopicRecord};

use super::world::{PATIENCE, broker, client, finish, follow, producer, records, run, send, signal, values, wait};

const LARGE: usize = 50_000;

/// A topic with a limit.
fn small(brokers: &str, name: &str, max: u32) {
    let config = BTreeMap::from([("max.message.bytes".to_owned(), max.to_string())]);
    let topic = NewTopic { name: name.into(), partitions: 1, replication: -1, config };
    Kafka.create(&client(brokers), &topic, PATIENCE).expect("the topic is made");
}

/// A source of three records, the second large, and an app that keys them by `k`.
fn begin(folder: &Path, with: &str) -> (Broker, String) {
    let broker = broker();
    let brokers = broker.bootstrap();
    super::world::topic(&brokers, "t", 1);
    let mut out = producer(&brokers, "t");
    let line = |k: &str, text: &str| (Some("x"), format!("{{\"k\":\"{k}\",\"text\":\"{text}\"}}"));
    send(&mut *out, &[line("a", "one"), line("b", &"x".repeat(LARGE)), line("c", "three")]);
    assert!(out.flush(PATIENCE).expect("the broker is there"));
    let app = format!(
        "CREATE STREAM t (k STRING, text STRING) WITH (type = 'kafka', topic = 't');
         CREATE STREAM out AS SELECT k, text FROM t
           WITH ('out.type' = 'kafka', 'out.topic' = 'out', 'out.key.field' = 'k'{with});"
    );
    std::fs::write(folder.join("app.sql"), app).expect("the app");
    (broker, brokers)
}

fn key(record: &TopicRecord) -> Option<&str> {
    record.key.as_deref().map(|key| std::str::from_utf8(key).expect("text"))
}

fn header(record: &TopicRecord, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|(key, _)| key == name)?;
    found.1.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The run's own document.
fn report(folder: &Path, brokers: &str) -> Value {
    let args = ["--until-end", "--output-format", "json"];
    let output = run(folder, "app.sql", brokers, &args).output().expect("velo-sql starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_record_too_large_is_a_dead_letter_with_all_it_had() {
    let check = |max: Option<u32>, with: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let (_broker, brokers) = begin(folder.path(), with);
        if let Some(max) = max {
            small(&brokers, "out", max);
        }
        let report = report(folder.path(), &brokers);
        assert_eq!((&report["rows_out"], &report["rows_dead_lettered"]), (&2.into(), &1.into()), "{report}");
        let sink = &report["sinks"][0];
        assert_eq!((&sink["rows"], &sink["refused"]), (&2.into(), &1.into()), "{report}");
        let dead = &report["dead_letters"][0];
        assert_eq!((&dead["topic"], &dead["rows"]), (&"out-dlq".into(), &1.into()), "{report}");
        let out = records(&brokers, "out");
        assert_eq!(out.iter().filter_map(key).collect::<Vec<_>>(), ["a", "c"]);
        let letters = records(&brokers, "out-dlq");
        let [letter] = letters.as_slice() else { panic!("{} dead letters", letters.len()) };
        let value = format!("{{\"k\":\"b\",\"text\":\"{}\"}}", "x".repeat(LARGE));
        assert_eq!((key(letter), letter.value.as_deref()), (Some("b"), Some(value.as_bytes())));
        for (name, want) in [
            ("dlq.error.type", "unknown"),
            ("dlq.error.code", "R0401"),
            ("dlq.sink.topic", "out"),
            ("dlq.stage", "write"),
            ("dlq.job", "app"),
            ("dlq.attempts", "1"),
        ] {
            assert_eq!(header(letter, name).as_deref(), Some(want), "{name}");
        }
        assert!(header(letter, "dlq.error.message").is_some_and(|text| text.contains("arge")));
        // What was dead-lettered is committed like what was written.
        let said = finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
        assert!(said.contains("at 0:3;"), "{said}");
        assert_eq!((records(&brokers, "out").len(), records(&brokers, "out-dlq").len()), (2, 1));
    };
    check(Some(10_000), "");
    check(None, ", 'out.kafka.message.max.bytes' = '10000'");
}

#[test]
fn a_dead_letter_too_large_for_its_topic_is_shortened() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, brokers) = begin(folder.path(), "");
    small(&brokers, "out", 10_000);
    small(&brokers, "out-dlq", 10_000);
    finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
    let letters = records(&brokers, "out-dlq");
    let [letter] = letters.as_slice() else { panic!("{} dead letters", letters.len()) };
    let value = letter.value.as_deref().expect("a value");
    assert!(value.starts_with(b"{\"k\":\"b\",\"text\":\"xxx") && value.len() > 5_000, "{} bytes", value.len());
    let length = format!("{{\"k\":\"b\",\"text\":\"{}\"}}", "x".repeat(LARGE)).len().to_string();
    assert_eq!(header(letter, "dlq.source.length"), Some(length));
    assert_eq!(key(letter), Some("b"));
}

#[test]
fn a_dead_letter_of_a_refused_record_may_go_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, brokers) = begin(folder.path(), ", 'out.dead.letter.queue.path' = 'bad.jsonl'");
    small(&brokers, "out", 10_000);
    finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
    let text = std::fs::read_to_string(folder.path().join("bad.jsonl")).expect("the file");
    let line: Value = serde_json::from_str(&text).expect("one line of JSON");
    assert_eq!((&line["stage"], &line["sink"], &line["key"]), (&"write".into(), &"out".into(), &"b".into()));
    assert!(line["record"].as_str().is_some_and(|record| record.len() > LARGE));
}

#[test]
fn without_dead_letters_a_refused_record_stops_the_run_and_is_not_committed() {
    for with in [", 'out.enable_dlq' = 'false'", ", 'out.failure_strategy' = 'FailBatch'"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_broker, brokers) = begin(folder.path(), with);
        small(&brokers, "out", 10_000);
        for _ in 0..2 {
            let output = run(folder.path(), "app.sql", &brokers, &["--until-end"]).output().expect("velo-sql starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("topic out refused a record of 5"), "{said}");
            assert!(!said.contains("resuming"), "nothing was committed: {said}");
        }
    }
}

#[test]
fn a_refused_record_that_is_passed_over_is_told_and_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, brokers) = begin(folder.path(), ", 'out.failure_strategy' = 'LogAndContinue'");
    small(&brokers, "out", 10_000);
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
    assert!(said.contains("passed over a bad record: topic out refused a record of 5"), "{said}");
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
    assert!(said.contains("at 0:3;"), "{said}");
    assert_eq!((records(&brokers, "out").len(), records(&brokers, "out-dlq").len()), (2, 0));
}

#[test]
fn a_run_goes_on_behind_a_refused_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, brokers) = begin(folder.path(), "");
    small(&brokers, "out", 10_000);
    let log = folder.path().join("log");
    let mut child = follow(folder.path(), "app.sql", &brokers, &[], &log);
    wait("the dead letter", || records(&brokers, "out-dlq").len() == 1);
    let mut more = producer(&brokers, "t");
    send(&mut *more, &[(Some("x"), "{\"k\":\"d\",\"text\":\"four\"}".to_owned())]);
    wait("the fourth record", || values(&brokers, "out").len() == 3);
    signal(&child, "-KILL");
    child.wait().expect("it ended");
    let mut child = follow(folder.path(), "app.sql", &brokers, &[], &log);
    send(&mut *more, &[(Some("x"), "{\"k\":\"e\",\"text\":\"five\"}".to_owned())]);
    wait("the fifth record", || values(&brokers, "out").iter().any(|row| row.contains("five")));
    signal(&child, "-TERM");
    assert!(child.wait().expect("it ended").success());
}

#[test]
fn fail_batch_stops_in_front_of_the_record_every_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker();
    let brokers = broker.bootstrap();
    super::world::topic(&brokers, "t", 1);
    let mut out = producer(&brokers, "t");
    let line = |text: &str| (Some("x"), text.to_owned());
    send(&mut *out, &[line("{\"n\":1}"), line("{\"n\":2}"), line("{\"n\":oops}"), line("{\"n\":4}")]);
    assert!(out.flush(PATIENCE).expect("the broker is there"));
    let app = "CREATE STREAM t (n INT) WITH (type = 'kafka', topic = 't', failure_strategy = 'FailBatch');
               CREATE STREAM out AS SELECT n FROM t WITH ('out.type' = 'kafka', 'out.topic' = 'out');";
    std::fs::write(folder.path().join("app.sql"), app).expect("the app");
    for _ in 0..2 {
        let output = run(folder.path(), "app.sql", &brokers, &["--until-end"]).output().expect("velo-sql starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("(failure_strategy = FailBatch): t, partition 0, offset 2: R0101"), "{said}");
    }
    assert!(records(&brokers, "t-dlq").is_empty() && !values(&brokers, "out").iter().any(|row| row.contains('4')));
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--until-end", "--from", "0:3"]));
    assert_eq!(values(&brokers, "out").last().map(String::as_str), Some("{\"n\":4}"), "{said}");
}
