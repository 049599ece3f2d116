//! Settings to Kafka sources, sinks and dead-letter topics.
//!
//! Settings of the client stay in the names the user wrote, without prefix, each with the place it was written at: the
//! client knows which names it has and says so with that place. Only what would lose or repeat records is taken out
//! here. Pure; whether brokers and topics exist is found out when the app starts.

use std::collections::BTreeMap;

use velostream_types::topic::{Client, StartAt};

use super::keys::Side;
use super::reader::Reader;
use super::setting::{Giver, Place, Rank};
use crate::plan::{KafkaSink, KafkaSource, KeyFormat, RawKind, RetryGrowth, SinkConnector, SourceConnector};

/// Brokers of whoever names none at all.
const DEFAULT_BROKERS: &str = "localhost:9092";
/// Longest name of a topic.
const TOPIC_CHARS_MAX: usize = 249;
/// Names people leave in from examples.
const PLACEHOLDERS: &[&str] = &[
    "default",
    "test",
    "temp",
    "undefined",
    "null",
    "none",
    "example",
    "my-topic",
    "my_topic",
    "mytopic",
    "topic",
    "topic-name",
    "topic_name",
    "your-topic",
    "your_topic",
    "changeme",
    "todo",
    "foo",
    "placeholder",
];
/// Client settings that have no effect, with the reason.
const OURS: &[(&str, &str)] = &[
    ("enable.auto.commit", "Offsets are committed when everything that depends on a record is acknowledged."),
    ("auto.commit.interval.ms", "Offsets are committed when everything that depends on a record is acknowledged."),
    ("allow.auto.create.topics", "Sources are never created; topics of sinks are created at the start (topic.create)."),
];

/// Says that a name nothing explains is taken for a topic.
pub(super) fn guessed(reader: &mut Reader<'_>) {
    let name = reader.name;
    let warning = reader
        .relation
        .warning("W0503", format!("\"{name}\" is taken for a Kafka topic of that name"))
        .detail("brokers are given, but neither its type nor its path or topic")
        .hint(format!("say so: '{name}.type' = 'kafka_source', '{name}.topic' = '{name}'"));
    reader.report(warning);
}

/// The source; `None` when an error was reported.
pub(super) fn source(reader: &mut Reader<'_>) -> Option<SourceConnector> {
    let topic = topic(reader)?;
    let client = client(reader);
    let start = match reader.word("auto.offset.reset")? {
        "latest" => StartAt::Latest,
        "none" => StartAt::None,
        _ => StartAt::Earliest,
    };
    let topic_retry_ns = reader.duration("topic.retry.interval")?;
    let longest = reader.duration("topic.retry.max.delay")?;
    let topic_retry_growth = retry_growth(reader, topic_retry_ns)?;
    let topic_retry_max_ns =
        if topic_retry_growth == RetryGrowth::By(0) { topic_retry_ns } else { longest.max(topic_retry_ns) };
    let group = reader.text("group.id");
    if group.as_ref().is_some_and(String::is_empty) {
        reader.fail("group.id", "E0513", "the group's name is empty");
        return None;
    }
    key_format(reader)?;
    Some(SourceConnector::Kafka(Box::new(KafkaSource {
        topic,
        client,
        group,
        start,
        topic_wait_ns: reader.duration("topic.wait.timeout")?,
        topic_retry_ns,
        topic_retry_max_ns,
        topic_retry_growth,
        connect_timeout_ns: reader.duration("broker.connect.timeout")?,
        commit_interval_ns: reader.duration("commit.interval")?.max(1),
        partitioned_by: reader.text("partitioned.by"),
        null_value_is_bad: reader.word("null.value")? == "dead_letter",
        fail_on_data_loss: reader.word("on.data.loss")? == "fail",
    })))
}

/// How pauses grow whose first is `first_ns`; `None` when an error was reported.
fn retry_growth(reader: &mut Reader<'_>, first_ns: i64) -> Option<RetryGrowth> {
    let strategy = reader.word("topic.retry.strategy")?;
    let increment = match reader.given("topic.retry.increment").is_some() {
        true => reader.duration("topic.retry.increment")?,
        false => first_ns,
    };
    let factor = reader.text("topic.retry.multiplier")?;
    let Some(factor) = factor.trim().parse::<f64>().ok().filter(|factor| (1.0..=1_000.0).contains(factor)) else {
        let message = format!("property \"topic.retry.multiplier\" has the bad value \"{factor}\"");
        let diagnostic = reader.place("topic.retry.multiplier").error("E0513", message);
        reader
            .report(diagnostic.detail("expected a number from 1 to 1000: each pause is so many times the one before"));
        return None;
    };
    Some(match strategy {
        "fixed" => RetryGrowth::By(0),
        "linear" => RetryGrowth::By(increment),
        _ => RetryGrowth::Thousandths((factor * 1_000.0).round() as u32),
    })
}

/// The sink; `None` when an error was reported.
pub(super) fn sink(reader: &mut Reader<'_>) -> Option<SinkConnector> {
    let topic = topic(reader)?;
    let client = client(reader);
    let mut sink = writer(reader, topic, client)?;
    sink.key_format = key_format(reader)?;
    sink.topic_config = reader.loose.iter().filter(|s| s.of_topic).map(|s| (s.name.clone(), s.value.clone())).collect();
    Some(SinkConnector::Kafka(Box::new(sink)))
}

/// A topic that dead letters go to: the given one, else the one named after `topic`, which is read or written.
pub(super) fn dead_letters(reader: &mut Reader<'_>, topic: Option<(&str, &Client)>) -> Option<Box<KafkaSink>> {
    let given = reader.text("dead.letter.queue.topic");
    let is_given = given.is_some();
    let name = given.or_else(|| topic.map(|(topic, _)| format!("{topic}-dlq")))?;
    if is_given {
        check_topic(reader, "dead.letter.queue.topic", &name)?;
    }
    let client = match topic {
        Some((_, client)) => client.clone(),
        None => client(reader),
    };
    writer(reader, name, client).map(Box::new)
}

/// What sinks and dead letters share.
fn writer(reader: &mut Reader<'_>, topic: String, client: Client) -> Option<KafkaSink> {
    let partitions = match reader.given("partitions").is_some() {
        true => Some(u32::try_from(reader.int("partitions")?).unwrap_or(u32::MAX)),
        false => None,
    };
    let copies = reader.text("replication.factor")?;
    let Some(replication) = copies.trim().parse::<i32>().ok().filter(|n| *n == -1 || (1..=32_767).contains(n)) else {
        let message = format!("property \"replication.factor\" has the bad value \"{copies}\"");
        let diagnostic = reader.place("replication.factor").error("E0513", message);
        reader.report(diagnostic.detail("expected a number of copies, or -1 for the cluster's default"));
        return None;
    };
    Some(KafkaSink {
        topic,
        client,
        partitions,
        replication,
        topic_config: BTreeMap::new(),
        create: reader.flag("topic.create")?,
        key_format: KeyFormat::Text,
        connect_timeout_ns: reader.duration("broker.connect.timeout")?,
    })
}

fn key_format(reader: &mut Reader<'_>) -> Option<KeyFormat> {
    match reader.word("key.format")? {
        // A key of bytes is its column's bytes, which is what text keys do with a column of BYTES.
        "string" | "bytes" => Some(KeyFormat::Text),
        "json" => Some(KeyFormat::Json),
        other => {
            reader.later("key.format", &format!("the key format {other}"));
            None
        }
    }
}

/// `string` or `bytes`: whole records, which only topics have.
pub(super) fn raw(reader: &mut Reader<'_>, word: &str, of_file: bool) -> Option<RawKind> {
    if of_file {
        let diagnostic = reader
            .place("format")
            .error("E0521", format!("the format {word} is for topics, and \"{}\" is a file", reader.name))
            .hint("use csv, csv_no_header or jsonlines");
        reader.report(diagnostic);
        return None;
    }
    Some(if word == "bytes" { RawKind::Bytes } else { RawKind::Text })
}

fn topic(reader: &mut Reader<'_>) -> Option<String> {
    let name = match reader.text("topic.name") {
        Some(name) => name,
        None => {
            reader.note("topic.name", reader.name, &Giver::Relation);
            reader.name.to_owned()
        }
    };
    check_topic(reader, "topic.name", &name)?;
    Some(name)
}

/// A legal name; placeholders of examples are legal and warned about.
fn check_topic(reader: &mut Reader<'_>, key: &'static str, name: &str) -> Option<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > TOPIC_CHARS_MAX || !name.chars().all(is_plain) || matches!(name, "." | "..") {
        let diagnostic = reader.place(key).error("E0513", format!("\"{name}\" cannot be the name of a topic")).detail(
            format!("topics are named by 1 to {TOPIC_CHARS_MAX} letters, digits, dots, underscores and hyphens"),
        );
        reader.report(diagnostic.hint(format!("give \"{}.topic\"", reader.name)));
        return None;
    }
    if PLACEHOLDERS.contains(&name.to_ascii_lowercase().as_str()) {
        let warning = reader
            .place(key)
            .warning("W0504", format!("the topic \"{name}\" looks like a placeholder"))
            .hint("give the topic its real name, if this is not it");
        reader.report(warning);
    }
    Some(())
}

/// The cluster and everything that is said about the client.
fn client(reader: &mut Reader<'_>) -> Client {
    let mut client = Client::default();
    let given = reader.given("bootstrap.servers").map(|s| (s.value.clone(), s.place.clone()));
    let (brokers, place) = given.unwrap_or_else(|| match reader.context.brokers {
        Some((brokers, giver)) => (brokers.clone(), Place::relation(reader.relation.span, giver.clone())),
        None => (DEFAULT_BROKERS.to_owned(), reader.relation.clone()),
    });
    reader.note("bootstrap.servers", &brokers, &place.giver);
    client.origins.insert("bootstrap.servers".to_owned(), origin(reader, &place));
    client.settings.insert("bootstrap.servers".to_owned(), brokers);
    for setting in reader.loose.clone() {
        if setting.of_topic {
            continue;
        }
        reader.note(&setting.name, &setting.value, &setting.place.giver);
        let ours = OURS.iter().find(|(name, _)| *name == setting.name);
        if let Some((_, reason)) = ours {
            let is_default = setting.value.eq_ignore_ascii_case("false");
            if !is_default {
                let warning = setting.place.warning("W0513", format!("\"{}\" has no effect", setting.written));
                reader.report(warning.detail(*reason).hint("remove it"));
            }
            continue;
        }
        if setting.name == "transactional.id" && reader.side == Side::Sink {
            let message = "transactions are not supported yet: results are delivered at least once";
            reader.report(setting.place.error("E0902", message).hint("remove \"transactional.id\""));
            continue;
        }
        client.origins.insert(setting.name.clone(), origin(reader, &setting.place));
        client.settings.insert(setting.name, setting.value);
    }
    client
}

/// `app.sql:12`, `conf/trades.yaml:3`, `--brokers`, …
fn origin(reader: &Reader<'_>, place: &Place) -> String {
    let in_text = matches!(place.giver, Giver::With | Giver::Set | Giver::Relation);
    match reader.context.text.filter(|_| in_text) {
        Some((name, text)) => {
            let before = text.get(..place.span.start as usize).unwrap_or(text);
            format!("{name}:{}", before.matches('\n').count() + 1)
        }
        None => place.giver.to_string(),
    }
}

/// TRUE when the topic for dead letters was asked for more strongly than the path.
pub(super) fn topic_is_stronger(reader: &mut Reader<'_>) -> bool {
    let rank = |key: &str| reader.given(key).map(|s| s.rank);
    let (path, topic): (Option<Rank>, Option<Rank>) = (rank("dead.letter.queue.path"), rank("dead.letter.queue.topic"));
    match (path, topic) {
        (Some(path), Some(topic)) if path == topic => {
            let message = "dead letters cannot go both to a file and to a topic";
            reader.fail("dead.letter.queue.topic", "E0520", message);
            true
        }
        (Some(path), Some(topic)) => topic < path,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests;
