//! Usage, settings and unreachable brokers; nothing here needs Kafka.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::world::World;

const SOON: &str = "--timeout=300ms";

#[test]
fn usage_is_told_with_exit_code_2() {
    let world = World::new();
    for args in [
        &[][..],
        &["topic"],
        &["topic", "peek"],
        &["topic", "peek", "t", "-o", "soon"],
        &["topic", "create", "t", "-p", "0"],
        &["group", "reset", "g"],
        &["group", "reset", "g", "--to", "-3"],
        &["topic", "list", "--property", "x"],
        &["topic", "list", "--timeout", "0s"],
    ] {
        assert_eq!(world.run(args).code, Some(2), "{args:?}");
    }
    let unasked = world.run(&["group", "reset", "g", "--to", "earliest"]);
    assert!(unasked.code == Some(2) && unasked.err.contains("--yes"), "{unasked:?}");
}

#[test]
fn help_teaches_by_example() {
    for (args, part) in [
        (&["--help"][..], "velo-cli topic peek orders"),
        (&["topic", "peek", "--help"], "-o latest --follow"),
        (&["topic", "produce", "--help"], "tombstone for k1"),
        (&["group", "lag", "--help"], "windows that are still open"),
        (&["group", "reset", "--help"], "--to earliest"),
    ] {
        let help = World::new().run(args).ok();
        assert!(help.contains(part), "{part:?} is not in the help of {args:?}");
    }
}

#[test]
fn the_nearer_setting_wins_and_its_place_is_told() {
    let world = World::at("127.0.0.1:1");
    world.put("client.properties", "# comment\n\nbootstrap.servers = 127.0.0.1:3\nclient.id=me\n");
    let check = |args: &[&str], expect: &str| {
        let args = [&["topic", "list", SOON], args].concat();
        world.run(&args).fails(&[expect, "connection refused"]);
    };
    check(&[], "127.0.0.1:1 (VELOSTREAM_KAFKA_BROKERS)");
    check(&["--brokers", "127.0.0.1:2"], "127.0.0.1:2 (--brokers)");
    check(&["--brokers", "127.0.0.1:2", "--config", "client.properties"], "127.0.0.1:3 (client.properties:3)");
    let all = ["--config", "client.properties", "--property", "bootstrap.servers=127.0.0.1:4", "--brokers=127.0.0.1:2"];
    check(&all, "127.0.0.1:4 (--property)");
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let world = World::at("127.0.0.1:1");
    world.put("a.properties", "fetch.min.byte=1\n");
    world.put("b.properties", "# x\nsasl.jaas.config=org.Module required \\\n  username=\"u\" password=\"hidden\";\n");
    world.put("c.properties", "nothing\n");
    let list = |file| world.run(&["topic", "list", SOON, "--config", file]);
    list("a.properties").fails(&["fetch.min.byte (a.properties:1)", "did you mean fetch.min.bytes?"]);
    let jaas = list("b.properties");
    assert!(!jaas.err.contains("hidden"), "{jaas:?}");
    jaas.fails(&["sasl.jaas.config (b.properties:3)", "sasl.username"]);
    list("c.properties").fails(&["c.properties:1: expected KEY=VALUE"]);
    list("d.properties").fails(&["cannot read d.properties"]);
}

#[test]
fn programs_get_the_error_as_json() {
    let ran = World::at("127.0.0.1:1").run(&["group", "list", SOON, "--output-format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert!(document["error"].as_str().unwrap().contains("connection refused"), "{document}");
    ran.fails(&[]);
}

#[test]
fn another_service_on_the_port_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // One request, one answer of another protocol.
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let ran = World::at(&address).run(&["topic", "list", "--timeout=10s"]);
    ran.fails(&[&format!("what listens at {address}"), "is not Kafka", "\"HTTP\""]);
}
