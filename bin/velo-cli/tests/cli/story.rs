//! All commands on a broker, as one story: a topic is made, filled, looked at, a group is moved, the topic deleted. The
//! broker is one in this process, or the one that `VELOSTREAM_TEST_BROKERS` names.

use serde_json::{Value, json};
use velostream_broker::{Broker, BrokerConfig};

use crate::world::World;

#[test]
fn topics_records_and_groups() {
    let named = std::env::var("VELOSTREAM_TEST_BROKERS").ok();
    let own = named.is_none().then(|| Broker::start(BrokerConfig::default()).expect("a free port"));
    let brokers = named.or_else(|| Some(own.as_ref()?.bootstrap())).expect("there is one of the two");
    let world = World::at(&brokers);
    let topic = format!("cli-{}", std::process::id());
    let group = format!("{topic}-group");
    made(&world, &topic);
    filled(&world, &topic);
    looked_at(&world, &topic);
    moved(&world, &topic, &group);
    assert_eq!(world.run(&["topic", "delete", &topic]).ok(), format!("deleted {topic}\n"));
    world.run(&["topic", "describe", &topic]).fails(&[&format!("topic \"{topic}\" does not exist")]);
    world.run(&["topic", "delete", &topic]).fails(&["does not exist"]);
    world.run(&["topic", "delete", &topic, "--if-exists"]).ok();
}

fn made(world: &World, topic: &str) {
    let create = ["topic", "create", topic, "-p", "2", "--set", "retention.ms=-1"];
    assert_eq!(world.run(&create).ok(), format!("created {topic} with 2 partitions\n"));
    world.run(&create).fails(&["already exists"]);
    world.run(&[&create[..], &["--if-not-exists"]].concat()).ok();
    world.run(&["topic", "create", "no/name"]).fails(&["no/name", "letters"]);
    let described = world.run(&["topic", "describe", topic, "--output-format", "json"]).json();
    assert_eq!(described["config"], json!({ "retention.ms": "-1" }));
    assert_eq!(described["records"], 0);
    world.run(&["topic", "describe", &topic[..topic.len() - 1]]).fails(&["Did you mean", topic]);
}

fn filled(world: &World, topic: &str) {
    let keyed = ["topic", "produce", topic, "-p", "0", "--key-separator", ":", "--null", "-H", "src=test"];
    assert_eq!(world.feed(&keyed, b"a:1\nb:x:y\na:\n").ok(), format!("wrote 3 records to {topic}\n"));
    let stamp = ["topic", "produce", topic, "-p", "1", "--timestamp", "2001-01-01T00:00:00Z"];
    assert_eq!(world.feed(&stamp, b"\xff\xfe").ok(), format!("wrote 1 record to {topic}\n"));
    world.feed(&["topic", "produce", topic, "-p", "2"], b"x\n").fails(&["no partition 2: they are 0 to 1"]);
    world.feed(&["topic", "produce", topic, "-p", "1", "--key-separator", "="], b"no\n").fails(&["line 1", "\"=\""]);
    let list = world.run(&["topic", "list", "--output-format", "json"]).json();
    let found = list["topics"].as_array().expect("a list").iter().find(|t| t["name"] == topic).cloned();
    assert_eq!(found, Some(json!({ "name": topic, "partitions": 2, "records": 4 })));
}

fn looked_at(world: &World, topic: &str) {
    let peek = |args: &[&str]| -> Vec<Value> {
        let all = [&["topic", "peek", topic, "--format", "json"], args].concat();
        let mut rows: Vec<Value> =
            world.run(&all).ok().lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        rows.sort_by_key(|row| (row["partition"].as_i64(), row["offset"].as_i64()));
        rows
    };
    let all = peek(&[]);
    let column = |name: &str| all.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("offset"), [0, 1, 2, 0]);
    assert_eq!(column("key"), [json!("a"), json!("b"), json!("a"), Value::Null]);
    assert_eq!(column("value"), [json!("1"), json!("x:y"), Value::Null, Value::Null]);
    assert_eq!(all[3]["value_base64"], "//4=");
    assert_eq!(all[0]["headers"], json!([{ "name": "src", "value": "test" }]));
    assert_eq!(peek(&["-o", "-1"]), [all[2].clone(), all[3].clone()]);
    assert_eq!(peek(&["-p", "0", "-o", "1", "-n", "1"]), [all[1].clone()]);
    assert_eq!(peek(&["-o", "@2002-01-01T00:00:00Z"]), all[..3]);
    assert!(peek(&["-o", "latest"]).is_empty());
    let text = world.run(&["topic", "peek", topic, "-p", "0", "-o", "2", "--key", "--headers"]).ok();
    assert!(text.starts_with("0:2  ") && text.ends_with("  key=a  {src=test}  null (tombstone)\n"), "{text}");
    world.run(&["topic", "peek", topic, "-p", "7"]).fails(&["no partition 7"]);
}

fn moved(world: &World, topic: &str, group: &str) {
    world.run(&["group", "lag", group]).fails(&[group, "does not exist"]);
    let reset = |to: &str| {
        let args = ["group", "reset", group, "--to", to, "--topic", topic, "--yes", "--output-format", "json"];
        let document = world.run(&args).json();
        let pair = |moved: &Value| (moved["old"].as_i64(), moved["new"].as_i64());
        document["moved"].as_array().expect("a list").iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(reset("1"), [(None, Some(1)), (None, Some(1))]);
    assert_eq!(reset("latest"), [(Some(1), Some(3)), (Some(1), Some(1))]);
    assert_eq!(reset("earliest"), [(Some(3), Some(0)), (Some(1), Some(0))]);
    assert_eq!(reset("@2002-01-01T00:00:00Z"), [(Some(0), Some(0)), (Some(0), Some(1))]);
    let lag = world.run(&["group", "lag", group, "--output-format", "json"]).json();
    assert_eq!((&lag["lag"], &lag["members"]), (&json!(3), &json!(0)));
    let text = world.run(&["group", "lag", group]).ok();
    assert!(text.contains("lag 3") && text.contains("windows that are still open"), "{text}");
    assert!(world.run(&["group", "list"]).ok().contains(group));
}
