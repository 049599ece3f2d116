//! Live runs over topics that keep their state: stops, idle times, partitions that go and come back, groups that somebody
//! else uses.

use std::process::Child;

use velostream_kafka::Kafka;
use velostream_types::topic::{Broker as _, MemberEvent, MemberSpec};

use crate::feed::checkpoints;
use crate::kafka::{PATIENCE, broker, client, key_of, now, producer, records, send, topic, values, wait};
use crate::topic_world::{committed, committed_offsets, newest, offsets};
use crate::world::{Ran, World, end};

/// Rows into a topic, windows into a file.
const LIVE: &str = "
CREATE STREAM t (id BIGINT, k STRING, ts BIGINT) WITH ('type' = 'kafka', 'topic' = 't', 'event.time.field' = 'ts',
  'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '0s');
CREATE STREAM picked AS SELECT id FROM t WITH ('picked.type' = 'kafka', 'picked.topic' = 'picked');
CREATE STREAM sums AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t
  GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('sums.path' = 'sums.csv');
";
const GROUP: &str = "velo_app_picked";

/// A broker with the topic `t` of three partitions, the folder of the app, and how many records were sent.
struct Live {
    _broker: velostream_broker::Broker,
    brokers: String,
    world: World,
    sent: u64,
}

impl Live {
    fn new() -> Live {
        let broker = broker();
        let brokers = broker.bootstrap();
        topic(&brokers, "t", 3);
        let world = World::with(&[("app.sql", LIVE)]);
        Live { _broker: broker, brokers, world, sent: 0 }
    }

    /// Sends so many more records, round the partitions, 10 ms of event time apart.
    fn feed(&mut self, records: u64) {
        let keys: Vec<String> = (0..3).map(|p| key_of(p, 3)).collect();
        let line = |n: u64| {
            let text = format!("{{\"id\":{n},\"k\":\"a\",\"ts\":{}}}", 1_700_000_000_000 + n * 10);
            (Some(keys[(n % 3) as usize].as_str()), text)
        };
        let lines: Vec<_> = (self.sent..self.sent + records).map(line).collect();
        let mut out = producer(&self.brokers, "t");
        send(&mut *out, &lines);
        assert!(out.flush(PATIENCE).expect("the broker is there"));
        self.sent += records;
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let run = ["run", "app.sql", "--brokers", &self.brokers, "--instance-id", "one", "--shards", "2"];
        [&run[..], more].concat()
    }

    fn state<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&self.args(&["--state", "state", "--checkpoint", "20ms"])[..], more].concat()
    }

    fn start(&self) -> Child {
        self.world.start(&self.state(&[]))
    }

    fn written(&self) -> usize {
        records(&self.brokers, "picked").len()
    }

    fn reads_all(&self) {
        wait("all rows", || self.written() >= self.sent as usize);
    }

    /// Every record is there once, and every window counts a hundred.
    fn is_exact(&self) {
        let mut ids: Vec<u64> = values(&self.brokers, "picked").iter().map(|row| id_of(row)).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(0..self.sent), "{} rows for {}", ids.len(), self.sent);
        let sums = self.world.read("sums.csv");
        let windows: Vec<&str> = sums.lines().skip(1).collect();
        assert_eq!(windows.len() as u64, self.sent / 100, "{sums}");
        assert!(windows.iter().all(|window| window.ends_with(",100")), "{sums}");
    }

    fn runs_to_the_end(&self) -> Ran {
        let ran = self.world.run(&self.state(&["--until-end"]));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran
    }
}

fn id_of(row: &str) -> u64 {
    let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
    row["id"].as_u64().expect("a number")
}

#[test]
fn a_stop_reads_nothing_twice_and_writes_nothing_twice() {
    let mut live = Live::new();
    for round in 0..3 {
        live.feed(if round == 1 { 30_000 } else { 300 });
        let child = live.start();
        // In the middle of what there is, or behind all of it.
        let wanted = if round == 1 { 600 } else { live.sent as usize };
        wait("rows", || live.written() >= wanted);
        let ran = end(child, "-TERM");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("the same command goes on from checkpoint"), "{}", ran.err);
        assert!(ran.err.contains("written at least once"), "{}", ran.err);
        let kept = newest(&live.world.path("state")).expect("a checkpoint");
        assert_eq!(committed_offsets(&live.brokers, GROUP), offsets(&kept), "{}", ran.err);
        let words = format!("velo1-state {}", committed(&live.brokers, GROUP)[0].1.split(' ').nth(1).unwrap_or("?"));
        for (_, metadata) in committed(&live.brokers, GROUP) {
            assert!(metadata.starts_with(&words) && metadata.contains(&format!(" {} ", kept.number)), "{metadata}");
        }
        assert_eq!(round > 0, ran.err.contains("going on from checkpoint "), "{}", ran.err);
    }
    let ran = live.runs_to_the_end();
    assert!(ran.err.contains("state says that the run is complete"), "{}", ran.err);
    live.is_exact();
    let ran = live.world.run(&live.state(&["--until-end"]));
    assert!(ran.err.contains("complete since an earlier run; nothing was done"), "{}", ran.err);
}

#[test]
fn nothing_read_and_nothing_written_is_no_reason_for_a_checkpoint() {
    let mut live = Live::new();
    live.feed(300);
    let child = live.start();
    live.reads_all();
    let folder = live.world.path("state");
    let (mut last, mut since) = (0, now());
    wait("twenty-five intervals without a checkpoint", || {
        let newest = checkpoints(&folder).last().copied().unwrap_or(0);
        if newest != last {
            (last, since) = (newest, now());
        }
        last > 1 && since.elapsed().as_millis() > 500
    });
    live.feed(300);
    wait("a checkpoint of what came", || checkpoints(&folder).last().is_some_and(|newest| *newest > last));
    assert_eq!(end(child, "-INT").code, Some(0));
    live.runs_to_the_end();
    live.is_exact();
}

#[test]
fn without_the_folder_a_run_says_where_the_state_is() {
    let mut live = Live::new();
    live.feed(300);
    let child = live.start();
    live.reads_all();
    assert_eq!(end(child, "-TERM").code, Some(0));
    let refused = |args: &[&str], words: &[&str]| {
        let ran = live.world.run(args);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(words.iter().all(|word| ran.err.contains(word)), "{words:?} in {}", ran.err);
    };
    let place = ["group velo_app_picked stands at checkpoint", "--state /", "/state", "--from-beginning", "--group"];
    refused(&live.args(&["--until-end"]), &place);
    refused(&live.args(&["--until-end", "--state", "other"]), &place);
    assert!(checkpoints(&live.world.path("other")).is_empty(), "nothing was begun");
    // An app that keeps nothing needs no more than the offsets.
    let app = LIVE.split("CREATE STREAM sums").next().expect("a part");
    live.world.put("plain.sql", app);
    let brokers = live.brokers.clone();
    let plain = ["run", "plain.sql", "--brokers", &brokers, "--group", GROUP, "--until-end", "--instance-id", "one"];
    let ran = live.world.run(&plain);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("this app keeps nothing and goes on from there"), "{}", ran.err);
    assert_eq!(live.written() as u64, live.sent, "{}", ran.err);
    // What it committed is told, and the folder is what counts.
    live.feed(300);
    live.world.run(&plain).ok();
    let ran = live.runs_to_the_end();
    let told = "group velo_app_picked committed offsets of t that no checkpoint in state knows (0:200 for 100, ";
    assert!(ran.err.contains(told) && ran.err.contains("somebody read it without --state"), "{}", ran.err);
    assert_eq!(live.written() as u64, live.sent + 300, "{}", ran.err);
    assert!(live.world.read("sums.csv").lines().skip(1).all(|window| window.ends_with(",100")));
}

#[test]
fn where_to_begin_and_where_to_end_belong_to_the_first_start() {
    let mut live = Live::new();
    live.feed(300);
    let ran = live.world.run(&live.state(&["--until-end", "--from", "0:50,1:50,2:50", "--output-format", "json"]));
    let told = ran.summary()["checkpoints"].clone();
    assert_eq!((&told["complete"], &told["resumed_from"]), (&true.into(), &serde_json::Value::Null), "{told}");
    assert_eq!(live.written(), 150);
    let folder = live.world.path("state");
    std::fs::remove_dir_all(&folder).expect("it is there");
    let child = live.world.start(&live.state(&["--from-beginning"]));
    wait("all rows again", || live.written() >= 450);
    assert_eq!(end(child, "-TERM").code, Some(0));
    let ran = live.world.run(&live.state(&["--from-beginning", "--until-end"]));
    assert!(ran.err.contains("--from and --from-beginning say where the first start begins"), "{}", ran.err);
    ran.ok();
    assert_eq!(live.written(), 450, "nothing was read again");
}

#[test]
fn partitions_that_go_and_come_back_are_read_on_from_a_checkpoint() {
    let mut live = Live::new();
    live.feed(300);
    let child = live.start();
    live.reads_all();
    let spec =
        MemberSpec { client: client(&live.brokers), group: GROUP.into(), instance: None, topics: vec!["t".into()] };
    let mut member = Kafka.join(spec).expect("the broker is there");
    wait("an assignment", || matches!(member.poll(PATIENCE / 100).expect("no fatal"), Some(MemberEvent::Assigned(_))));
    live.feed(300);
    member.leave();
    live.reads_all();
    let ran = end(child, "-TERM");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("going on from checkpoint "), "{}", ran.err);
    live.runs_to_the_end();
    live.is_exact();
}

#[test]
fn what_a_run_without_state_began_goes_on_with_one() {
    let mut live = Live::new();
    live.feed(250);
    let child = live.world.start(&live.args(&[]));
    live.reads_all();
    assert_eq!(end(child, "-TERM").code, Some(0));
    let before = committed_offsets(&live.brokers, GROUP);
    live.feed(50);
    let ran = live.runs_to_the_end();
    assert!(ran.err.contains("resuming velo_app_picked at"), "{}", ran.err);
    assert!(before.iter().sum::<i64>() < 250, "records of open windows are read again: {before:?}");
    // Windows that were given out stay closed; the others are whole.
    let sums = live.world.read("sums.csv");
    let windows: Vec<&str> = sums.lines().skip(1).collect();
    assert!((1..=2).contains(&windows.len()) && windows.iter().all(|w| w.ends_with(",100")), "{sums}");
}
