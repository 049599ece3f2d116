//! The same test by direct calls, through the production client, and on a cluster; and what its outputs held.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use velostream_kafka::admin::{Admin, Outgoing};
use velostream_types::topic::{Client, NewTopic, StartAt};

use crate::world::{ORDERS, SCHEMA, World, spec};

/// A broker in a process of its own, as a cluster is.
struct Cluster {
    child: Child,
    bootstrap: String,
}

impl Cluster {
    fn start() -> Cluster {
        let mut child = Command::new(env!("CARGO_BIN_EXE_velo-test"))
            .args(["broker", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("it names its address");
        let bootstrap = line.trim().trim_start_matches("listening on ").to_owned();
        Cluster { child, bootstrap }
    }

    fn admin(&self) -> Admin {
        let settings = [("bootstrap.servers".to_owned(), self.bootstrap.clone())].into();
        Admin::open(&Client { settings, ..Client::default() }, Duration::from_secs(10)).expect("a client")
    }

    /// A topic that somebody has there, with a record.
    fn with(self, topic: &str) -> Cluster {
        let new = NewTopic { name: topic.to_owned(), partitions: 1, replication: -1, config: BTreeMap::new() };
        let admin = self.admin();
        assert_eq!(admin.create(&new), Ok(true));
        let writer = admin.write(topic).expect("the topic is there");
        let record = Outgoing { key: None, value: Some(b"mine"), headers: &[], partition: None, timestamp_ms: None };
        writer.send(&record).expect("it takes records");
        assert_eq!(writer.finish(), Ok(1));
        self
    }

    /// Records of a topic.
    fn records(&self, topic: &str) -> usize {
        self.admin().sample(topic, 100).expect("the topic is there").len()
    }

    /// Names of its topics and groups.
    fn left(&self) -> String {
        let admin = self.admin();
        let topics = admin.topics().expect("it answers");
        let groups = admin.groups().expect("it answers");
        let names = topics.iter().filter(|topic| !topic.internal).map(|topic| topic.name.clone());
        names.chain(groups.into_iter().map(|group| group.name)).collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two queries, one behind the other.
fn world() -> World {
    let sql = format!(
        "{ORDERS}
CREATE STREAM northern AS SELECT id, amount FROM large_orders WHERE region = 'north'
WITH ('northern.type' = 'kafka_sink', 'northern.topic' = 'northern', 'northern.format' = 'json');
"
    );
    let test = spec(300, &["type: record_count, greater_than: 100", "type: record_count, equals: 1"])
        + "  - name: northern
    inputs: [{source: large_orders, from_previous: large_orders}]
    assertions: [{type: record_count, greater_than: 0}]
";
    World::with(&[("shop.sql", &sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &test)])
}

#[test]
fn verdicts_and_rows_are_the_same_wherever_topics_are() {
    let (world, cluster) = (world(), Cluster::start());
    let run = |name: &str, more: &[&str]| {
        let mut words = vec!["run", "shop.sql", "--seed", "5", "-o", "json", "--save-outputs", name];
        words.extend(more);
        let ran = world.run(&words);
        let report = ran.report();
        let verdicts: Vec<bool> = report["queries"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|query| query["assertions"].as_array().into_iter().flatten())
            .map(|assertion| assertion["passed"] == true)
            .collect();
        let rows = ["large_orders.large", "northern.northern"]
            .map(|output| world.read(&format!("{name}/shop/{output}.jsonl")));
        (ran.code, report["engine"]["client"].to_string(), verdicts, rows)
    };
    let direct = run("direct", &[]);
    assert_eq!((direct.0, &direct.2), (Some(1), &vec![true, false, true]), "{direct:?}");
    assert!(direct.3[0].lines().count() > 100 && direct.3[0].contains("\"region\":\"north\""), "{:?}", direct.3);
    let sockets = run("sockets", &["--production-client"]);
    assert_eq!((&sockets.1, sockets.2, sockets.3), (&"\"production\"".to_owned(), direct.2.clone(), direct.3.clone()));
    let remote = run("remote", &["--kafka", &cluster.bootstrap]);
    assert_eq!((&remote.1, remote.2, remote.3), (&"\"cluster\"".to_owned(), direct.2, direct.3));
    assert_eq!(cluster.left(), "", "topics and groups of the run are gone");
}

#[test]
fn a_named_cluster_takes_the_place_of_a_container_that_does_not_start() {
    let (world, cluster) = (world(), Cluster::start());
    let nowhere = [("PATH", "/nowhere")];
    let ran = world.run_in(&["run", "shop.sql", "--use-testcontainers"], "", &nowhere);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("docker, which is not on PATH") && ran.err.contains("--kafka HOST:PORT"), "{}", ran.err);
    let words = ["run", "shop.sql", "--use-testcontainers", "--kafka", &cluster.bootstrap, "-o", "json"];
    let ran = world.run_in(&words, "", &nowhere);
    assert_eq!(ran.report()["engine"]["client"], "cluster", "{}", ran.err);
    assert!(ran.err.contains(&format!("running on {}", cluster.bootstrap)), "{}", ran.err);
}

#[test]
fn nobody_answers() {
    let world = world();
    let ran = world.run(&["run", "shop.sql", "--kafka", "127.0.0.1:1", "--kafka-property", "socket.timeout.ms=1000"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("127.0.0.1:1"), "{}", ran.err);
    let ran = world.run(&["run", "shop.sql", "--kafka", "127.0.0.1:1", "--kafka-property", "plain"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("expected KEY=VALUE"), "{}", ran.err);
}

/// Names of topics without the run's id: those of the app, which others may have there.
#[test]
fn topics_of_others_are_left_alone() {
    let test = spec(3, &["type: record_count, less_than: 4"]) + "topic_naming: {pattern: '{base}'}\n";
    let world = World::with(&[("shop.sql", ORDERS), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &test)]);
    for theirs in ["orders", "large"] {
        let cluster = Cluster::start().with(theirs);
        let ran = world.run(&["run", "shop.sql", "--kafka", &cluster.bootstrap]);
        assert_eq!(ran.code, Some(1), "{}", ran.out);
        let told = format!("topic {theirs} is in the cluster already and not of this run; its topics need names");
        assert!(ran.out.contains(&told), "{}", ran.out);
        assert_eq!((cluster.left().as_str(), cluster.records(theirs)), (theirs, 1));
    }
}

/// The app's own group may be at work in the cluster.
#[test]
fn groups_of_others_are_left_alone() {
    let test = spec(3, &["type: record_count, less_than: 4"]) + "topic_naming: {pattern: '{base}'}\n";
    let world = World::with(&[("shop.sql", ORDERS), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &test)]);
    let cluster = Cluster::start().with("theirs");
    let verbose = world.run(&["run", "shop.sql", "-v"]).err;
    let group =
        verbose.split("in group ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it is told").to_owned();
    let admin = cluster.admin();
    let moves = admin.plan_reset(&group, Some("theirs"), StartAt::Latest).expect("the topic is there");
    admin.reset(&group, &moves).expect("nobody is in the group");
    let ran = world.run(&["run", "shop.sql", "--kafka", &cluster.bootstrap]);
    assert_eq!((ran.code, cluster.left()), (Some(0), format!("theirs {group}")), "{}", ran.out);
}

#[test]
fn a_signal_leaves_nothing_in_the_cluster() {
    // More than any machine publishes before the test is over.
    let test = spec(2_000_000_000, &["type: record_count, greater_than: 0"]);
    let world = World::with(&[("shop.sql", ORDERS), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &test)]);
    let cluster = Cluster::start();
    let mut run = Command::new(env!("CARGO_BIN_EXE_velo-test"))
        .args(["run", "shop.sql", "--kafka", &cluster.bootstrap])
        .current_dir(world.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    while !cluster.left().contains("orders") {
        assert!(run.try_wait().expect("it can be asked").is_none(), "it ended before it began");
    }
    let killed = Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    assert_eq!(cluster.left(), "");
}

#[test]
fn latency_counts_from_the_event_time_to_the_output() {
    let test = "\
application: shop
queries:
  - name: large_orders
    inputs:
      - {source: orders, records: 300, time_simulation: {start_time: -10s, end_time: -5s}}
    assertions:
      - {type: latency, max_latency_ms: 60000}
      - {type: latency, p50_latency_ms: 4000}
";
    let world = World::with(&[("shop.sql", ORDERS), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", test)]);
    let ran = world.run(&["run", "shop.sql", "-o", "json"]);
    let report = ran.report();
    let assertions = &report["queries"][0]["assertions"];
    assert_eq!((&assertions[0]["passed"], &assertions[1]["passed"]), (&true.into(), &false.into()), "{assertions}");
    assert!(assertions[0]["measured"]["max_ms"].as_f64().is_some_and(|ms| ms >= 5_000.0), "{assertions}");
}
