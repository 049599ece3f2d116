//! Records that retention deleted before they were read.

use std::collections::BTreeMap;

use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, NewTopic};

use super::world::{PATIENCE, client, producer, records, run, send, values, wait};

const APP: &str = "
    CREATE STREAM t (v INT) WITH (type = 'kafka', topic = 't', format = 'json', 'on.data.loss' = 'LOSS');
    CREATE STREAM out AS SELECT v FROM t WITH ('out.type' = 'kafka', 'out.topic' = 'out');";

#[test]
fn a_gap_is_counted_or_stops_the_run_as_the_source_says() {
    let broker = Broker::start(BrokerConfig { maintain_every_ms: 10, ..BrokerConfig::default() }).expect("a free port");
    let brokers = broker.bootstrap();
    // Segments of a few records, and none but the last is kept.
    let config = [("segment.bytes", "400"), ("retention.bytes", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let topic = NewTopic { name: "t".into(), partitions: 1, replication: -1, config: BTreeMap::from(config) };
    Kafka.create(&client(&brokers), &topic, PATIENCE).expect("the topic is made");
    let mut out = producer(&brokers, "t");
    for v in 0..100 {
        send(&mut *out, &[(None, format!("{{\"v\":{v}}}"))]);
        assert!(out.flush(PATIENCE).expect("the broker is there"));
    }
    wait("retention", || records(&brokers, "t").first().is_some_and(|r| r.offset > 5));
    let kept = records(&brokers, "t").len();

    let check = |loss: &str, group: &str, expect: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("app.sql"), APP.replace("LOSS", loss)).expect("the app");
        let args = ["--from", "0:2", "--group", group, "--until-end"];
        let output = run(folder.path(), "app.sql", &brokers, &args).output().expect("velo-sql starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), loss == "warn", "{said}");
        assert!(expect.iter().all(|text| said.contains(text)), "{said}");
    };
    let lost = 100 - kept - 2;
    check(
        "fail",
        "a",
        &[
            &format!("error: {lost} records of t-0 were deleted before they were read, and on.data.loss is fail"),
            "set on.data.loss to warn",
        ],
    );
    check("warn", "b", &[&format!("{lost} records lost")]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP.replace("LOSS", "warn")).expect("the app");
    let args = ["--from", "0:2", "--group", "c", "--until-end", "--output-format", "json"];
    let output = run(folder.path(), "app.sql", &brokers, &args).output().expect("velo-sql starts");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let told = document["diagnostics"].to_string();
    assert!(told.contains("records lost"), "what the run says is in the document: {document}");
    assert!(values(&brokers, "out").len() >= kept);
}
