//! Properties of topics: where each value comes from, what it becomes, and what is refused.

use std::path::{Path, PathBuf};

use velostream_types::Span;
use velostream_types::topic::StartAt;

use crate::diag::Diagnostic;
use crate::endpoint::{Endpoints, SinkSpec, SourceSpec};
use crate::plan::{
    Format, KafkaSink, KafkaSource, KeyFormat, RawKind, RetryGrowth, SinkConnector, SinkFormat, SourceConnector,
};
use crate::props::Resolver;
use crate::props::tests::with;

const SPAN: Span = Span::new(900, 906);

fn nothing(_: &str) -> Option<String> {
    None
}

fn resolver() -> Resolver<'static> {
    Resolver::new(PathBuf::new(), &nothing, Vec::new(), false)
}

fn text(found: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| format!("{}: {}", d.code, d.message);
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn source_in(r: &mut Resolver<'_>, name: &str, pairs: &[(&str, &str)]) -> (Box<KafkaSource>, SourceSpec) {
    let spec = r.source(name, SPAN, &with(pairs)).map_err(|e| text(&e)).unwrap();
    match spec.connector.clone() {
        SourceConnector::Kafka(kafka) => (kafka, spec),
        other => panic!("{other:?}"),
    }
}

fn source(name: &str, pairs: &[(&str, &str)]) -> (Box<KafkaSource>, SourceSpec) {
    source_in(&mut resolver(), name, pairs)
}

fn sink(name: &str, pairs: &[(&str, &str)]) -> (Box<KafkaSink>, SinkSpec) {
    let spec = resolver().sink(name, SPAN, &with(pairs)).map_err(|e| text(&e)).unwrap().unwrap();
    match spec.connector.clone() {
        SinkConnector::Kafka(kafka) => (kafka, spec),
        other => panic!("{other:?}"),
    }
}

fn settings(client: &velostream_types::topic::Client) -> Vec<String> {
    client.settings.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

#[test]
fn pauses_grow_as_they_are_told() {
    let check = |given: &[(&str, &str)], growth, longest_s: i64| {
        let all: Vec<(&str, &str)> = [("o.type", "kafka")].into_iter().chain(given.iter().copied()).collect();
        let (kafka, _) = source("o", &all);
        assert_eq!(
            (kafka.topic_retry_growth, kafka.topic_retry_max_ns / 1_000_000_000),
            (growth, longest_s),
            "{given:?}"
        );
    };
    check(&[], RetryGrowth::Thousandths(1_500), 120);
    check(&[("o.topic.retry.multiplier", "2"), ("topic.retry.max.delay", "9")], RetryGrowth::Thousandths(2_000), 9);
    check(&[("topic.retry.strategy", "fixed"), ("o.topic.retry.multiplier", "3")], RetryGrowth::By(0), 2);
    check(&[("topic.retry.strategy", "linear")], RetryGrowth::By(2_000_000_000), 120);
    let linear = [("topic.retry.strategy", "linear"), ("o.topic.retry.increment", "5s")];
    check(&linear, RetryGrowth::By(5_000_000_000), 120);
}

#[test]
fn a_type_is_enough() {
    let (kafka, spec) = source("orders", &[("orders.type", "kafka_source")]);
    assert_eq!((kafka.topic.as_str(), kafka.client.brokers()), ("orders", "localhost:9092"));
    assert_eq!((kafka.group.clone(), kafka.start, kafka.partitioned_by.clone()), (None, StartAt::Earliest, None));
    let (second, minute) = (1_000_000_000, 60_000_000_000i64);
    assert_eq!((kafka.topic_wait_ns, kafka.topic_retry_ns, kafka.topic_retry_max_ns), (0, 2 * second, 2 * minute));
    assert_eq!(
        (kafka.connect_timeout_ns, kafka.null_value_is_bad, kafka.fail_on_data_loss),
        (minute / 2, false, false)
    );
    assert_eq!((spec.format, spec.schema_wait_ns), (Format::JsonLines, None));
    let dlq = spec.dlq_topic.unwrap();
    assert_eq!((dlq.topic.as_str(), dlq.client.brokers(), dlq.create), ("orders-dlq", "localhost:9092", true));

    let (kafka, spec) = sink("out", &[("out.type", "kafka_sink")]);
    assert_eq!((kafka.topic.as_str(), kafka.partitions, kafka.replication, kafka.create), ("out", None, -1, true));
    assert_eq!((kafka.key_format, spec.format, spec.implied), (KeyFormat::Text, SinkFormat::JsonLines, false));
    assert_eq!(spec.dlq_topic.unwrap().topic, "out-dlq");
}

#[test]
fn every_source_property_arrives() {
    let (kafka, spec) = source(
        "o",
        &[
            ("o.type", "kafka"),
            ("o.topic", "orders"),
            ("o.brokers", "a:1,b:2"),
            ("o.consumer.group", "g"),
            ("auto.offset.reset", "latest"),
            ("o.topic.wait.timeout", "5m"),
            ("o.topic.retry.interval", "1"),
            ("o.topic.retry.strategy", "fixed"),
            ("broker.connect.timeout", "10s"),
            ("o.partitioned.by", "customer"),
            ("o.null.value", "dead_letter"),
            ("o.on.data.loss", "fail"),
            ("o.schema.wait.timeout", "7s"),
            ("o.format", "bytes"),
            ("o.topic.create", "false"),
            ("dead.letter.queue.topic", "bad"),
        ],
    );
    assert_eq!(
        (kafka.topic.as_str(), kafka.client.brokers(), kafka.group.as_deref()),
        ("orders", "a:1,b:2", Some("g"))
    );
    assert_eq!(
        (kafka.start, kafka.topic_wait_ns, kafka.topic_retry_ns),
        (StartAt::Latest, 300_000_000_000, 1_000_000_000)
    );
    assert_eq!((kafka.topic_retry_max_ns, kafka.connect_timeout_ns), (1_000_000_000, 10_000_000_000));
    assert_eq!(
        (kafka.partitioned_by.as_deref(), kafka.null_value_is_bad, kafka.fail_on_data_loss),
        (Some("customer"), true, true)
    );
    assert_eq!((spec.format, spec.schema_wait_ns), (Format::Raw(RawKind::Bytes), Some(7_000_000_000)));
    let dlq = spec.dlq_topic.unwrap();
    assert_eq!((dlq.topic.as_str(), dlq.create), ("bad", false));
}

#[test]
fn every_sink_property_arrives() {
    let (kafka, spec) = sink(
        "o",
        &[
            ("o.type", "kafka"),
            ("o.topic.name", "out"),
            ("topic.partitions", "12"),
            ("replication.factor", "3"),
            ("topic.create", "false"),
            ("retention.ms", "1000"),
            ("o.topic.config.segment.ms", "5"),
            ("key.serializer", "json"),
            ("key.field", "id"),
            ("format", "csv"),
            ("csv_delimiter", ";"),
            ("batch.size", "65536"),
            ("linger.ms", "20"),
            ("o.producer.compression.type", "zstd"),
            ("dead.letter.queue.path", "bad.jsonl"),
        ],
    );
    assert_eq!((kafka.topic.as_str(), kafka.partitions, kafka.replication, kafka.create), ("out", Some(12), 3, false));
    let config: Vec<String> = kafka.topic_config.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!((config, kafka.key_format), (vec!["retention.ms=1000".into(), "segment.ms=5".into()], KeyFormat::Json));
    assert_eq!(spec.format, SinkFormat::Csv { delimiter: b';', header: false });
    assert_eq!(spec.key_field, Some(("id".into(), Span::new(801, 831))));
    assert_eq!(
        settings(&kafka.client),
        ["batch.size=65536", "bootstrap.servers=localhost:9092", "compression.type=zstd", "linger.ms=20"]
    );
    assert_eq!((spec.dlq_path, spec.dlq_topic), (Some("bad.jsonl".into()), None));
}

#[test]
fn client_settings_keep_their_names_and_places() {
    let mut r = resolver().with_text("app.sql", "line\nline");
    let pairs = [
        ("o.type", "kafka"),
        ("o.kafka.fetch.min.bytes", "7"),
        ("consumer.max.poll.records", "50"),
        ("security.protocol", "SASL_SSL"),
        ("o.sasl.password", "hunter2"),
        ("o.kafka.bootstrap.servers", "h:1"),
        ("acks", "1"),
        ("o.enable.auto.commit", "true"),
    ];
    let (kafka, _) = source_in(&mut r, "o", &pairs);
    assert_eq!(
        settings(&kafka.client),
        [
            "bootstrap.servers=h:1",
            "fetch.min.bytes=7",
            "max.poll.records=50",
            "sasl.password=hunter2",
            "security.protocol=SASL_SSL"
        ]
    );
    assert_eq!(kafka.client.origins["fetch.min.bytes"], "app.sql:2");
    let secret = r.origins().iter().find(|o| o.key == "sasl.password").unwrap();
    assert_eq!((secret.value.as_str(), secret.origin.as_str()), ("***", "WITH"));
    assert_eq!(text(&r.finish()), "W0513: \"o.enable.auto.commit\" has no effect");
}

#[test]
fn the_stronger_place_wins() {
    let topic = [("o.type", "kafka")];
    let check = |pairs: &[(&str, &str)], set: bool, brokers: Option<&str>, variable: bool, expect: (&str, &str)| {
        let env = |name: &str| (variable && name == "VELOSTREAM_KAFKA_BROKERS").then(|| "env:1".to_owned());
        let mut globals = with(&[("bootstrap.servers", "set:1")]);
        globals.iter_mut().for_each(|g| (g.key_span, g.value_span) = (Span::default(), Span::default()));
        globals.truncate(usize::from(set));
        let mut r = Resolver::new(PathBuf::new(), &env, globals, false).with_brokers(brokers.map(str::to_owned));
        let pairs: Vec<(&str, &str)> = topic.iter().chain(pairs).copied().collect();
        let (kafka, _) = source_in(&mut r, "o", &pairs);
        assert_eq!((kafka.client.brokers(), kafka.client.origins["bootstrap.servers"].as_str()), expect);
    };
    let inline = [("o.bootstrap.servers", "with:1"), ("brokers", "plain:1")];
    check(&inline, true, Some("line:1"), true, ("set:1", "--set"));
    check(&inline, false, Some("line:1"), true, ("with:1", "WITH"));
    check(&inline[1..], false, Some("line:1"), true, ("plain:1", "WITH"));
    check(&[], false, Some("line:1"), true, ("line:1", "--brokers"));
    check(&[], false, None, true, ("env:1", "VELOSTREAM_KAFKA_BROKERS"));
    check(&[], false, None, false, ("localhost:9092", "default"));
}

#[test]
fn uris() {
    let (kafka, spec) = source("kafka://a,b:9093/orders?group_id=g&format=string&fetch.min.bytes=9", &[]);
    assert_eq!((kafka.topic.as_str(), kafka.group.as_deref()), ("orders", Some("g")));
    assert_eq!(settings(&kafka.client), ["bootstrap.servers=a:9092,b:9093", "fetch.min.bytes=9"]);
    assert_eq!(spec.format, Format::Raw(RawKind::Text));
    assert_eq!(sink("kafka://h/out", &[]).0.topic, "out");
}

#[test]
fn brokers_make_topics_of_names_that_nothing_explains() {
    let mut r = resolver().with_brokers(Some("h:1".into()));
    assert_eq!(source_in(&mut r, "orders", &[]).0.topic, "orders");
    let spec = r.sink("out", SPAN, &[]).unwrap().unwrap();
    assert!(spec.implied && matches!(spec.connector, SinkConnector::Kafka(_)));
    assert!(matches!(r.source("t.csv", SPAN, &[]).unwrap().connector, SourceConnector::File { .. }));
    assert_eq!(text(&r.finish()), "W0503: \"orders\" is taken for a Kafka topic of that name");
    assert_eq!(text(&resolver().source("orders", SPAN, &[]).unwrap_err()).lines().next().unwrap()[..5], *"E0501");
    assert!(!sink("out", &[("out.brokers", "h:1")]).1.implied);
}

#[test]
fn config_files() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = "datasource:\n  type: kafka_source\n  consumer_config:\n    bootstrap.servers: c:1\n    \
                group.id: g\n    any.thing: 1\ntopic:\n  name: orders\n";
    std::fs::write(dir.path().join("o.yaml"), yaml).unwrap();
    let mut r = Resolver::new(dir.path().to_owned(), &nothing, Vec::new(), false);
    let (kafka, _) = source_in(&mut r, "o", &[("o.config_file", "o.yaml")]);
    assert_eq!((kafka.topic.as_str(), kafka.group.as_deref()), ("orders", Some("g")));
    assert_eq!(settings(&kafka.client), ["any.thing=1", "bootstrap.servers=c:1"]);
    let origin = |name: &str| Path::new(&kafka.client.origins[name]).file_name().unwrap().to_owned();
    assert_eq!(origin("any.thing"), "o.yaml:6");
    let yaml =
        "datasink:\n  producer_config:\n    linger.ms: 9\n  topic_config:\n    partitions: 3\n    retention.ms: 8\n";
    std::fs::write(dir.path().join("s.yaml"), yaml).unwrap();
    let pairs = with(&[("s.type", "kafka_sink"), ("s.config_file", "s.yaml")]);
    let spec = Resolver::new(dir.path().to_owned(), &nothing, Vec::new(), false).sink("s", SPAN, &pairs).unwrap();
    let SinkConnector::Kafka(kafka) = spec.unwrap().connector else { panic!() };
    assert_eq!((kafka.partitions, kafka.client.settings["linger.ms"].as_str()), (Some(3), "9"));
    assert_eq!(kafka.topic_config["retention.ms"], "8");
}

#[test]
fn mistakes() {
    let check = |side: &str, pairs: &[(&str, &str)], expect: &str| {
        let pairs: Vec<(&str, &str)> = [("o.type", "kafka")].iter().chain(pairs).copied().collect();
        let found = match side {
            "source" => resolver().source("o", SPAN, &with(&pairs)).map(|_| ()).unwrap_err(),
            _ => resolver().sink("o", SPAN, &with(&pairs)).map(|_| ()).unwrap_err(),
        };
        assert_eq!(text(&found), expect, "{pairs:?}");
    };
    check("source", &[("o.topic", "a b")], "E0513: \"a b\" cannot be the name of a topic");
    check(
        "source",
        &[("auto.offset.reset", "sometimes")],
        "E0513: unknown value \"sometimes\" in \"auto.offset.reset\"",
    );
    check("source", &[("o.format", "avro")], "E0902: the format avro is not supported yet");
    check(
        "source",
        &[("o.format", "csv"), ("o.header", "true")],
        "E0520: the records of a topic have no header; their columns are declared, or col_0 …",
    );
    check(
        "source",
        &[("o.schema.registry.url", "http://r")],
        "E0902: property \"schema.registry.url\" is not supported yet",
    );
    check(
        "source",
        &[("o.topic.retry.multiplier", "0.5")],
        "E0513: property \"topic.retry.multiplier\" has the bad value \"0.5\"",
    );
    check("source", &[("mode", "transactional")], "E0902: \"mode\" = transactional is not supported yet");
    check("sink", &[("key.format", "protobuf")], "E0902: the key format protobuf is not supported yet");
    check(
        "sink",
        &[("transactional.id", "x")],
        "E0902: transactions are not supported yet: results are delivered at least once",
    );
    check("sink", &[("replication.factor", "0")], "E0513: property \"replication.factor\" has the bad value \"0\"");
    check("sink", &[("o.format", "table")], "E0521: the format table is for people, and a topic is read by programs");
    check(
        "sink",
        &[("dlq.path", "a.jsonl"), ("dlq.topic", "b")],
        "E0520: dead letters cannot go both to a file and to a topic",
    );
    let raw_file = resolver().source("t.csv", SPAN, &with(&[("format", "string")])).unwrap_err();
    assert_eq!(text(&raw_file), "E0521: the format string is for topics, and \"t.csv\" is a file");
}

#[test]
fn warnings() {
    let check = |pairs: &[(&str, &str)], expect: &str| {
        let mut r = resolver();
        r.source("o", SPAN, &with(pairs)).unwrap();
        assert_eq!(text(&r.finish()), expect);
    };
    check(&[("o.type", "kafka"), ("o.topic", "my-topic")], "W0504: the topic \"my-topic\" looks like a placeholder");
    check(&[("o.type", "kafka"), ("o.watch", "true")], "W0513: \"o.watch\" has no effect on this source");
    check(
        &[("o.path", "o.csv"), ("o.fetch.min.bytes", "1")],
        "W0513: \"o.fetch.min.bytes\" has no effect on this source",
    );
    check(&[("o.type", "kafka"), ("session.timeout.sm", "1")], "E0514: property \"session.timeout.sm\" is not known");
}
