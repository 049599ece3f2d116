//! Every rule of `config`, by example.

use rdkafka::config::RDKafkaLogLevel;

use super::names::{CONSUMER, EITHER, OTHER_NAMES, PRODUCER};
use super::*;

fn client(settings: &[(&str, &str)]) -> Client {
    let mut client = Client::default();
    client.settings.insert("bootstrap.servers".into(), "localhost:1".into());
    for (line, (key, value)) in settings.iter().enumerate() {
        client.settings.insert((*key).into(), (*value).into());
        client.origins.insert((*key).into(), format!("app.sql:{}", line + 1));
    }
    client
}

fn member() -> Role {
    Role::Member { group: "g".into(), instance: None }
}

fn fetch() -> Role {
    Role::Fetch { group: "g".into() }
}

/// Settings of the role, and each expected one; `None`: it must be absent.
fn check(role: &Role, settings: &[(&str, &str)], expect: &[(&str, Option<&str>)]) {
    let config = client_config(&client(settings), role).unwrap();
    for (key, value) in expect {
        assert_eq!(config.get(key), *value, "{key} of {role:?} with {settings:?}");
    }
    // librdkafka takes it as a whole too.
    let native = config.create_native_config().unwrap();
    assert_eq!(native.get("bootstrap.servers").unwrap(), "localhost:1");
}

fn fails(role: &Role, settings: &[(&str, &str)], expect: &[&str]) {
    let error = client_config(&client(settings), role).unwrap_err().message;
    for part in expect {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

fn tells(role: &Role, settings: &[(&str, &str)], expect: &[&str]) {
    let told = notices(&client(settings), role);
    assert_eq!(told.len(), expect.len(), "{told:?}");
    for (line, part) in told.iter().zip(expect) {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn tables_are_sorted_and_names_have_one_meaning() {
    assert!(OTHER_NAMES.is_sorted_by(|a, b| a.0 < b.0));
    for table in [CONSUMER, PRODUCER, EITHER] {
        assert!(table.is_sorted_by(|a, b| a < b));
    }
    for (name, java) in OTHER_NAMES {
        if let Java::As(target) | Java::AsKib(target) | Java::AsUnlessProducer(target) = java {
            assert!(names::other_name(target).is_none(), "{name} leads to {target}, which leads on");
        }
    }
    for name in CONSUMER.iter().chain(PRODUCER).chain(EITHER).filter(|name| **name != "partitioner.class") {
        let mut config = ClientConfig::new();
        let set = config.set(*name, "1").create_native_config();
        let unknown = set.err().is_some_and(|error| error.to_string().contains("No such configuration property"));
        assert!(!unknown, "{name} is none of librdkafka's");
    }
}

#[test]
fn defaults_of_each_role() {
    let all = [
        ("allow.auto.create.topics", Some("false")),
        ("client.id", Some("velostream")),
        ("reconnect.backoff.max.ms", Some("1000")),
    ];
    for role in [member(), fetch(), Role::Produce, Role::Admin] {
        check(&role, &[], &all);
        check(&role, &[("client.id", "mine")], &[("client.id", Some("mine"))]);
    }
    let consumer = [
        ("isolation.level", Some("read_committed")),
        ("check.crcs", Some("true")),
        ("fetch.queue.backoff.ms", Some("1")),
        ("enable.auto.commit", Some("false")),
        ("enable.auto.offset.store", Some("false")),
        ("auto.offset.reset", Some("error")),
        ("group.id", Some("g")),
        ("acks", None),
    ];
    check(&member(), &[], &consumer);
    check(&fetch(), &[], &consumer);
    let grouped = [
        ("group.protocol", Some("classic")),
        ("partition.assignment.strategy", Some("cooperative-sticky")),
        ("group.instance.id", None),
    ];
    check(&member(), &[], &grouped);
    check(&fetch(), &[], &[("group.protocol", None), ("partition.assignment.strategy", None)]);
    let producer = [
        ("enable.idempotence", Some("true")),
        ("acks", Some("all")),
        ("message.timeout.ms", Some("0")),
        ("partitioner", Some("murmur2_random")),
        ("isolation.level", None),
        ("group.id", None),
    ];
    check(&Role::Produce, &[], &producer);
    check(&Role::Admin, &[], &[("isolation.level", Some("read_committed")), ("acks", None), ("group.id", None)]);
    assert!(matches!(client_config(&client(&[]), &Role::Admin).unwrap().log_level, RDKafkaLogLevel::Info));
}

#[test]
fn the_users_value_wins_over_a_default() {
    check(&fetch(), &[("isolation.level", "READ_UNCOMMITTED")], &[("isolation.level", Some("read_uncommitted"))]);
    check(&fetch(), &[("fetch.queue.backoff.ms", "20")], &[("fetch.queue.backoff.ms", Some("20"))]);
    let pauses = |least, most| {
        check(&Role::Admin, &[("reconnect.backoff.ms", least)], &[("reconnect.backoff.max.ms", most)]);
    };
    pauses("50", Some("1000"));
    pauses("5000", None);
    check(&Role::Produce, &[("partitioner", "fnv1a")], &[("partitioner", Some("fnv1a"))]);
    check(&Role::Produce, &[("delivery.timeout.ms", "9000")], &[("message.timeout.ms", Some("9000"))]);
    check(&fetch(), &[("security.protocol", "SSL")], &[("security.protocol", Some("ssl"))]);
}

#[test]
fn the_role_names_the_group() {
    let role = Role::Member { group: "mine".into(), instance: Some("pod-0".into()) };
    let written = [("group.id", "other"), ("group.instance.id", "other")];
    check(&role, &written, &[("group.id", Some("mine")), ("group.instance.id", Some("pod-0"))]);
    check(&member(), &written, &[("group.id", Some("g")), ("group.instance.id", None)]);
    check(&fetch(), &written, &[("group.id", Some("g")), ("group.instance.id", None)]);
}

#[test]
fn the_consumer_protocol_passes_without_what_brokers_decide() {
    let written = [
        ("group.protocol", "consumer"),
        ("session.timeout.ms", "45000"),
        ("heartbeat.interval.ms", "3000"),
        ("partition.assignment.strategy", "range"),
        ("group.remote.assignor", "uniform"),
    ];
    let expect = [
        ("group.protocol", Some("consumer")),
        ("session.timeout.ms", None),
        ("heartbeat.interval.ms", None),
        ("partition.assignment.strategy", None),
        ("group.remote.assignor", Some("uniform")),
    ];
    check(&member(), &written, &expect);
    let places = ["session.timeout.ms (app.sql:2)", "heartbeat.interval.ms (app.sql:3)", "(app.sql:4)"];
    tells(&member(), &written, &places);
    tells(&fetch(), &written, &[]);
    check(&member(), &[("group.protocol", "consumer")], &[("partition.assignment.strategy", None)]);
    check(&member(), &written[1..2], &[("session.timeout.ms", Some("45000"))]);
}

#[test]
fn javas_names_become_librdkafkas() {
    let produce = |key, value, name, expect| check(&Role::Produce, &[(key, value)], &[(name, Some(expect))]);
    produce("buffer.memory", "33554432", "queue.buffering.max.kbytes", "32768");
    produce("buffer.memory", "1025", "queue.buffering.max.kbytes", "2");
    produce("max.request.size", "2000000", "message.max.bytes", "2000000");
    produce("linger.ms", "7", "linger.ms", "7");
    produce("queue.buffering.max.ms", "7", "linger.ms", "7");
    produce("batch.size", "16384", "batch.size", "16384");
    produce("batch.size", "0", "batch.num.messages", "1");
    produce("request.timeout.ms", "30000", "request.timeout.ms", "30000");
    produce("compression.type", "ZSTD", "compression.type", "zstd");
    produce("compression.zstd.level", "3", "compression.level", "3");
    produce("send.buffer.bytes", "131072", "socket.send.buffer.bytes", "131072");
    produce("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner", "partitioner", "random");
    produce("sasl.mechanism", "PLAIN", "sasl.mechanisms", "PLAIN");
    let consume = |key, value, name, expect| check(&fetch(), &[(key, value)], &[(name, Some(expect))]);
    consume("fetch.max.wait.ms", "100", "fetch.wait.max.ms", "100");
    consume("max.partition.fetch.bytes", "1048576", "max.partition.fetch.bytes", "1048576");
    consume("request.timeout.ms", "30000", "socket.timeout.ms", "30000");
    consume("metadata.max.age.ms", "30000", "metadata.max.age.ms", "30000");
    let class = "org.apache.kafka.clients.consumer.RangeAssignor, roundrobin";
    let expect = [("partition.assignment.strategy", Some("range,roundrobin"))];
    check(&member(), &[("partition.assignment.strategy", class)], &expect);
    fails(&Role::Produce, &[("buffer.memory", "much")], &["buffer.memory (app.sql:1)", "bytes", "\"much\""]);
    let sticky = [("partition.assignment.strategy", "org.apache.kafka.clients.consumer.StickyAssignor")];
    fails(&member(), &sticky, &["StickyAssignor", "cooperative-sticky"]);
    fails(&Role::Produce, &[("partitioner.class", "com.example.Mine")], &["partitioner = murmur2_random"]);
}

#[test]
fn pem_stores_are_taken_and_javas_are_refused_with_the_way_out() {
    fails(
        &fetch(),
        &[("ssl.truststore.location", "x.jks")],
        &["ssl.truststore.location (app.sql:1)", "ssl.ca.location"],
    );
    fails(&Role::Admin, &[("ssl.truststore.password", "pw")], &["ssl.truststore.password", "ssl.ca.location"]);
    fails(&fetch(), &[("sasl.jaas.config", "x required")], &["sasl.jaas.config", "sasl.username", "sasl.password"]);
    fails(&fetch(), &[("ssl.keystore.type", "JKS")], &["ssl.certificate.location", "ssl.key.location"]);
    fails(&fetch(), &[("ssl.keystore.location", "me.JKS")], &["PKCS#12"]);
    fails(&fetch(), &[("sasl.login.callback.handler.class", "x.Y")], &["sasl.oauthbearer"]);
    let pem = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", "ca.pem")];
    check(&fetch(), &pem, &[("ssl.ca.location", Some("ca.pem")), ("ssl.truststore.location", None)]);
    let pem = [("ssl.keystore.type", "pem"), ("ssl.keystore.location", "me.pem")];
    check(&fetch(), &pem, &[("ssl.certificate.location", Some("me.pem")), ("ssl.keystore.type", None)]);
    let p12 = [("ssl.keystore.type", "PKCS12"), ("ssl.keystore.location", "me.p12")];
    check(&fetch(), &p12, &[("ssl.keystore.location", Some("me.p12")), ("ssl.keystore.type", None)]);
    tells(&fetch(), &p12, &[]);
}

#[test]
fn what_has_no_counterpart_is_left_out_and_told() {
    let written =
        [("max.poll.records", "500"), ("value.serializer", "json"), ("key.deserializer", "x"), ("max.block.ms", "1")];
    for role in [fetch(), Role::Produce] {
        for (key, _) in &written {
            check(&role, &written, &[(key, None)]);
        }
        let places =
            ["key.deserializer (app.sql:3)", "max.block.ms", "max.poll.records (app.sql:1)", "value.serializer"];
        tells(&role, &written, &places);
    }
}

#[test]
fn auto_commit_is_ours() {
    let written = [("enable.auto.commit", "true"), ("auto.commit.interval.ms", "100"), ("auto.offset.reset", "latest")];
    for role in [fetch(), member()] {
        check(&role, &written, &[("enable.auto.commit", Some("false")), ("auto.commit.interval.ms", None)]);
        check(&role, &written, &[("auto.offset.reset", Some("error"))]);
        tells(&role, &written, &["enable.auto.commit (app.sql:1) is ignored: offsets are committed when"]);
        tells(&role, &[("enable.auto.commit", "false")], &[]);
        tells(&role, &[("auto.commit.enable", "true")], &["auto.commit.enable (app.sql:1)"]);
    }
    tells(&Role::Produce, &written, &[]);
}

#[test]
fn a_role_drops_what_it_has_no_use_for() {
    let written =
        [("fetch.min.bytes", "5"), ("acks", "all"), ("session.timeout.ms", "9000"), ("socket.timeout.ms", "9")];
    let written = [written[0], written[1], written[2], ("socket.timeout.ms", "9000")];
    check(&Role::Produce, &written, &[("fetch.min.bytes", None), ("session.timeout.ms", None)]);
    check(&fetch(), &written, &[("acks", None), ("fetch.min.bytes", Some("5"))]);
    check(&Role::Admin, &written, &[("fetch.min.bytes", None), ("acks", None), ("session.timeout.ms", None)]);
    check(&Role::Admin, &written, &[("socket.timeout.ms", Some("9000"))]);
    tells(&Role::Admin, &written, &[]);
}

#[test]
fn prefixes_say_whose_setting_it_is() {
    let written =
        [("linger.ms", "1"), ("kafka.linger.ms", "2"), ("producer.linger.ms", "3"), ("consumer.check.crcs", "x")];
    check(&Role::Produce, &written, &[("linger.ms", Some("3"))]);
    check(&Role::Produce, &written[..2], &[("linger.ms", Some("2"))]);
    check(&fetch(), &written[..3], &[("linger.ms", None), ("check.crcs", Some("true"))]);
    fails(&fetch(), &written, &["consumer.check.crcs (app.sql:4)"]);
    let twice = [("fetch.wait.max.ms", "5"), ("fetch.max.wait.ms", "6")];
    check(&fetch(), &twice, &[("fetch.wait.max.ms", Some("5"))]);
    tells(&fetch(), &twice, &["fetch.max.wait.ms (app.sql:2) is ignored: fetch.wait.max.ms (app.sql:1)"]);
}

#[test]
fn idempotence_gives_way_to_what_excludes_it() {
    let off = [("enable.idempotence", Some("false"))];
    for (key, value) in [("acks", "1"), ("retries", "0"), ("max.in.flight.requests.per.connection", "6")] {
        check(&Role::Produce, &[(key, value)], &off);
        tells(&Role::Produce, &[(key, value)], &["(app.sql:1)"]);
    }
    for (key, value) in [("acks", "-1"), ("retries", "3"), ("max.in.flight", "5")] {
        check(&Role::Produce, &[(key, value)], &[("enable.idempotence", Some("true"))]);
        tells(&Role::Produce, &[(key, value)], &[]);
    }
    fails(&Role::Produce, &[("transactional.id", "t")], &["transactional.id (app.sql:1)", "at least once"]);
}

#[test]
fn mistakes_name_the_place() {
    fails(
        &fetch(),
        &[("fetch.min.byte", "1")],
        &["unknown", "fetch.min.byte (app.sql:1)", "did you mean fetch.min.bytes?"],
    );
    fails(&fetch(), &[("kafka.nonsense.at.all", "1")], &["kafka.nonsense.at.all (app.sql:1)", "neither"]);
    fails(&fetch(), &[("fetch.min.bytes", "few")], &["fetch.min.bytes (app.sql:1) = \"few\""]);
    fails(&fetch(), &[("security.protocol", "TLS")], &["security.protocol (app.sql:1) = \"tls\""]);
    let error = client_config(&Client::default(), &Role::Admin).unwrap_err().message;
    assert!(error.contains("bootstrap.servers") && error.contains("--brokers"), "{error}");
    let written = client(&[("max.poll.interval.ms", "10"), ("session.timeout.ms", "5")]);
    let text = "`max.poll.interval.ms`must be >= `session.timeout.ms`";
    let error = not_created(&written, &KafkaError::ClientCreation(text.into())).message;
    assert!(error.contains("max.poll.interval.ms (app.sql:1), session.timeout.ms (app.sql:2)"), "{error}");
    let written = client(&[("ssl.ca.location", "no/such.pem")]);
    let error = not_created(&written, &KafkaError::ClientCreation("ssl.ca.location failed: BIO lib".into())).message;
    assert!(error.ends_with("ssl.ca.location (app.sql:1) = no/such.pem, a file that is not there"), "{error}");
}

#[test]
fn secrets_are_hidden() {
    let shown = |key: &str| masked(&[(key.to_owned(), "v".to_owned())].into())[key].clone();
    for key in [
        "sasl.password",
        "kafka.ssl.key.password",
        "ssl.keystore.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "ssl.key.pem",
        "sasl.jaas.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
    ] {
        assert_eq!(shown(key), MASK, "{key}");
    }
    for key in
        ["bootstrap.servers", "sasl.username", "ssl.ca.pem", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url"]
    {
        assert_eq!(shown(key), "v", "{key}");
    }
    let error = client_config(&client(&[("sasl.password", "a\0b")]), &Role::Admin).unwrap_err().message;
    assert!(!error.contains("a\0b"), "{error}");
}
