//! What people see of a run: where the partitions stand while it goes on, and settings that are not done as written.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use velostream_kafka::Kafka;
use velostream_runtime::catalog::FileCatalog;
use velostream_runtime::io::memory::Topics;
use velostream_runtime::job::{self, Event, LogReport, RunOptions};
use velostream_runtime::stop::StopHandle;
use velostream_sql::plan::SinkFormat;
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, compile};

use super::world::{PATIENCE, broker, producer, run, send, topic};

const APP: &str = "
    SET 'commit.interval' = '20ms';
    CREATE STREAM t (v INT, ts INT) WITH (type = 'kafka', topic = 't', format = 'json', 'event.time.field' = 'ts',
      'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '5ms' SETTINGS);
    CREATE STREAM out AS SELECT v FROM t WITH ('out.type' = 'kafka', 'out.topic' = 'out' ACKS);";

#[test]
fn a_run_tells_where_its_partitions_stand() {
    let broker = broker();
    let brokers = broker.bootstrap();
    topic(&brokers, "t", 1);
    let mut out = producer(&brokers, "t");
    let lines: Vec<_> =
        (0..100).map(|v| (None, format!("{{\"v\":{v},\"ts\":{}}}", 1_700_000_000_000_u64 + v))).collect();
    send(&mut *out, &lines);
    assert!(out.flush(PATIENCE).expect("the broker is there"));

    let text = APP.replace("SETTINGS", "").replace("ACKS", "");
    let no_env = |_: &str| None;
    let mut endpoints = Resolver::new(Path::new("").into(), &no_env, Vec::new(), false).with_brokers(Some(brokers));
    let options = BindOptions {
        app_name: "view".into(),
        base_dir: Path::new("").into(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: false,
        strict: false,
    };
    let mut catalog = FileCatalog::with_topics(Topics::default());
    let plan = compile(&text, &options, &mut endpoints, &mut catalog).plan.expect("it compiles");

    let stop = StopHandle::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (stopper, told) = (stop.clone(), Rc::clone(&seen));
    let observer = move |event: Event<'_>| {
        let Event::Partitions(partitions) = event else { return };
        told.borrow_mut().extend_from_slice(partitions);
        if partitions.iter().all(|p| p.log.is_some_and(|log| log.committed == Some(100))) {
            stopper.request();
        }
    };
    let options = RunOptions { observer: Box::new(observer), broker: Some(Arc::new(Kafka)), ..RunOptions::default() };
    job::run(plan, options, &stop).expect("it runs");
    let seen = seen.borrow();
    let last = seen.last().expect("it was told");
    assert_eq!((last.source.as_str(), last.partition, last.watermark_ms), ("t", 0, Some(1_700_000_000_094)));
    let log = LogReport { position: 100, end: 100, lag: 0, committed: Some(100), records_lost: 0, throttle_ms: 0 };
    assert_eq!(last.log, Some(log));
}

#[test]
fn settings_that_are_not_done_as_written_are_told_once() {
    let broker = broker();
    let brokers = broker.bootstrap();
    topic(&brokers, "t", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let text = APP
        .replace("SETTINGS", ", 'kafka.group.protocol' = 'classic', 'consumer.max.poll.records' = '7'")
        .replace("ACKS", ", 'out.acks' = '1'");
    std::fs::write(folder.path().join("app.sql"), text).expect("the app");
    let check = |args: &[&str], prefix: &str| {
        let output =
            run(folder.path(), "app.sql", &brokers, &[args, &["--until-end"]].concat()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        for expect in ["max.poll.records (app.sql:4) is ignored", "acks (app.sql:5) = 1 excludes idempotent writes"] {
            let lines = said.matches(expect).count();
            assert!(lines == 1 && said.contains(prefix), "{expect:?} stands {lines} times in {said}");
        }
    };
    check(&[], "warning: ");
    check(&["--output-format", "json"], "\"severity\":\"warning\"");
}
