//! The demo: its counts agree, the same seed gives the same text on every layout and on brokers of the user's own.

use std::collections::BTreeMap;
use std::time::Duration;

use velostream_broker::{Broker, BrokerConfig};
use velostream_kafka::admin::Admin;
use velostream_types::topic::Client;

use crate::world::{World, send};

fn demo(args: &[&str]) -> String {
    let ran = World::new().run(&[&["demo"], args].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out
}

#[test]
fn the_same_seed_gives_the_same_text_on_every_layout() {
    let first = demo(&["--records", "20000", "--shards", "1"]);
    assert!(first.contains("20,000 trades made") && first.contains("shares and notional values agree"), "{first}");
    assert!(first.contains("ALERT "), "{first}");
    for shards in ["1", "2", "4"] {
        for runtime in ["auto", "threads"] {
            let again = demo(&["--records", "20000", "--shards", shards, "--runtime", runtime]);
            assert_eq!(first, again, "--shards {shards} --runtime {runtime}");
        }
    }
    assert_ne!(first, demo(&["--records", "20000", "--seed", "7"]));
}

#[test]
fn many_trades_go_through() {
    let text = demo(&["--records", "400000", "--rate", "100000", "--shards", "2"]);
    assert!(text.contains("400,000 trades made"), "{text}");
}

#[test]
fn in_real_time_it_ends_by_itself() {
    let text = demo(&["--seconds", "1", "--rate", "2000"]);
    assert!(text.contains("trades made") && text.contains("agree"), "{text}");
}

#[test]
fn on_other_brokers_it_says_the_same_and_leaves_nothing() {
    let broker = Broker::start(BrokerConfig::default()).expect("a free port");
    let brokers = broker.bootstrap();
    let own = demo(&["--records", "5000"]);
    assert_eq!(own, demo(&["--records", "5000", "--brokers", &brokers]));
    let live = World::new().run(&["demo", "--seconds", "1", "--brokers", &brokers]);
    assert!(live.err.contains("topics on 127.0.0.1") && live.err.contains("volume_alerts-"), "{}", live.err);
    assert!(live.ok().contains("agree"));
    assert!(broker.stats().records_in > 10_000, "it was this broker: {:?}", broker.stats());
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), brokers)]);
    let client = Client { settings, origins: BTreeMap::new() };
    let admin = Admin::open(&client, Duration::from_secs(10)).expect("settings are right");
    let left: Vec<String> = admin.topics().expect("the broker answers").into_iter().map(|topic| topic.name).collect();
    assert_eq!(left, Vec::<String>::new());
    let groups: Vec<String> = admin.groups().expect("the broker answers").into_iter().map(|group| group.name).collect();
    assert_eq!(groups, Vec::<String>::new());
}

#[test]
fn the_text_tells_what_goes_through_topics() {
    let help = World::new().run(&["demo", "--help"]).ok();
    for promise in ["topic market_data", "in this process", "reads the one before it directly", "--brokers"] {
        assert!(help.contains(promise), "{promise} in {help}");
    }
    let ran = World::new().run(&["demo", "--records", "100"]);
    assert!(ran.err.contains("topics on a broker in this process, 127.0.0.1:"), "{}", ran.err);
}

#[test]
fn a_signal_ends_it_with_everything_counted() {
    use std::io::{BufRead, BufReader, Read};
    let world = World::new();
    let mut child = world.start(&["demo", "--seconds", "600"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert!(text.contains("bars"), "{text}");
    send(&child, "-INT");
    out.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("shares and notional values agree"), "{text}");
}
