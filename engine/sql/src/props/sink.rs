//! Settings to a sink, and what sources and sinks share: formats by extension and dead letters.

use std::path::{Path, PathBuf};

use velostream_types::topic::Client;

use super::kafka;
use super::keys::Carrier;
use super::reader::Reader;
use super::setting::{Giver, Rank};
use super::source::field;
use crate::endpoint::{ChangelogForm, SinkSpec};
use crate::plan::{Compression, Failure, KafkaSink, SinkConnector, SinkFormat};

/// Builds the sink: the inner `None` when nothing says where to, the outer when an error was reported.
pub(super) fn build(reader: &mut Reader<'_>) -> Option<Option<SinkSpec>> {
    let Some((kind, implied)) = kind(reader)? else {
        pointless(reader);
        return Some(None);
    };
    let connector = connector(reader, kind)?;
    reader.judge(match connector {
        SinkConnector::File { .. } => Carrier::File,
        SinkConnector::Kafka(_) => Carrier::Kafka,
        SinkConnector::Memory { .. } | SinkConnector::Stdout => Carrier::Any,
    });
    let format = format(reader, &connector)?;
    let topic = match &connector {
        SinkConnector::Kafka(kafka) => Some((kafka.topic.as_str(), &kafka.client)),
        _ => None,
    };
    let DeadLetters { path: dlq_path, topic: dlq_topic, enabled: dlq_enabled, failure } = dead_letters(reader, topic);
    let key_field = match topic.is_some() && reader.given("key.field").is_some() {
        true => field(reader, "key.field"),
        false => None,
    };
    let changelog = changelog(reader, format)?;
    Some(Some(SinkSpec { connector, format, changelog, key_field, implied, dlq_path, dlq_topic, dlq_enabled, failure }))
}

/// How changes are written; envelopes hold objects, so they need JSON.
fn changelog(reader: &mut Reader<'_>, format: SinkFormat) -> Option<ChangelogForm> {
    match reader.word("changelog")? {
        "append" => Some(ChangelogForm::Append),
        "debezium" if format == SinkFormat::JsonLines => Some(ChangelogForm::Debezium),
        "debezium" => {
            reader.fail(
                "changelog",
                "E0521",
                "changelog = debezium writes objects of objects, which only JSON can hold",
            );
            None
        }
        _ => Some(ChangelogForm::Upsert),
    }
}

/// What kind of sink is meant, and whether nothing but known brokers says so; the inner `None` when nothing at all does.
fn kind(reader: &mut Reader<'_>) -> Option<Option<(&'static str, bool)>> {
    if reader.given("type").is_some() {
        return reader.word("type").map(|kind| Some((kind, false)));
    }
    if reader.given("path").is_some() {
        return Some(Some(("file", false)));
    }
    if reader.given("topic.name").is_some() {
        return Some(Some(("kafka", false)));
    }
    let brokers = reader.given("bootstrap.servers").map(|s| matches!(s.rank, Rank::Global | Rank::CommandLine(2)));
    Some(brokers.or(reader.context.brokers.map(|_| true)).map(|implied| ("kafka", implied)))
}

/// Settings of a sink that has no place to go to are a mistake worth a word.
fn pointless(reader: &mut Reader<'_>) {
    for key in ["format", "append", "compression", "csv_delimiter", "csv_has_header"] {
        if let Some(setting) = reader.given(key).filter(|s| matches!(s.rank, Rank::Named | Rank::Sided)).cloned() {
            let message =
                format!("\"{}\" has no effect: nothing says where \"{}\" is written to", setting.written, reader.name);
            let hint = format!("give \"{}.path\" or \"{}.type\"", reader.name, reader.name);
            reader.report(setting.place.warning("W0513", message).hint(hint));
        }
    }
}

fn connector(reader: &mut Reader<'_>, kind: &str) -> Option<SinkConnector> {
    let written = reader.given("type").map_or("", |s| s.value.as_str()).to_owned();
    if written.contains("_source") {
        let message = format!("\"{written}\" cannot be written to: it is for sources");
        let diagnostic =
            reader.place("type").error("E0511", message).detail("sinks are file_sink, kafka_sink, stdout and memory");
        reader.report(diagnostic);
        return None;
    }
    match kind {
        "file" => file(reader),
        "kafka" => kafka::sink(reader),
        "stdout" => Some(SinkConnector::Stdout),
        "memory" => {
            let topic = reader.text("topic.name").unwrap_or_else(|| reader.name.to_owned());
            let partitions = u32::try_from(reader.int("partitions")?).unwrap_or(u32::MAX);
            Some(SinkConnector::Memory { topic, partitions })
        }
        other => {
            reader.later("type", &format!("writing to {other}"));
            None
        }
    }
}

fn file(reader: &mut Reader<'_>) -> Option<SinkConnector> {
    if reader.given("path").is_none() {
        let message = format!("sink \"{}\" writes a file but has no path", reader.name);
        let hint = format!("give \"{}.path\"", reader.name);
        let diagnostic = reader.place("type").error("E0512", message).hint(hint);
        reader.report(diagnostic);
        return None;
    }
    let path = reader.path("path")?;
    let text = path.display().to_string();
    if text.contains('*') {
        reader.fail("path", "E0513", format!("a sink cannot be the pattern \"{text}\""));
        return None;
    }
    if has_strftime(&text) {
        reader.later("path", "a strftime pattern in a sink's path");
        return None;
    }
    let compression = match reader.word("compression") {
        Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some("none") => Compression::None,
        Some(other) => {
            reader.later("compression", &format!("compression = {other}"));
            return None;
        }
        None => by_extension(&path).1,
    };
    Some(SinkConnector::File { path, append: reader.flag("append")?, compression })
}

/// TRUE for `%Y` and the like.
fn has_strftime(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| rest.starts_with(['Y', 'm', 'd', 'H', 'M', 'S', 'j', 'y', 'F', 'T', 's']))
}

fn format(reader: &mut Reader<'_>, connector: &SinkConnector) -> Option<SinkFormat> {
    let by_name = if let SinkConnector::File { path, .. } = connector { by_extension(path).0 } else { None };
    let word = match (reader.given("format").is_some(), by_name) {
        (true, _) => reader.word("format")?,
        (false, Some(word)) => {
            reader.note("format", word, &Giver::Extension);
            word
        }
        (false, None) => {
            reader.note("format", "jsonlines", &Giver::Default);
            "jsonlines"
        }
    };
    let of_topic = matches!(connector, SinkConnector::Kafka(_));
    match word {
        "jsonlines" => Some(SinkFormat::JsonLines),
        "table" if of_topic => {
            let message = "the format table is for people, and a topic is read by programs";
            reader.fail("format", "E0521", message);
            None
        }
        "table" => Some(SinkFormat::Table),
        "string" | "bytes" => {
            let of_file = !of_topic && !matches!(connector, SinkConnector::Memory { .. });
            kafka::raw(reader, word, of_file).map(SinkFormat::Raw)
        }
        "csv" | "tsv" | "csv_no_header" => {
            let is_tab = word == "tsv" && reader.given("csv_delimiter").is_none();
            let delimiter = if is_tab { b'\t' } else { reader.character("csv_delimiter")? };
            if delimiter == b'"' {
                reader.fail("csv_delimiter", "E0520", "the delimiter and the quote are the same character");
                return None;
            }
            let said = reader.flag("csv_has_header");
            if word == "csv_no_header" && said == Some(true) {
                reader.fail("csv_has_header", "E0520", "the format csv_no_header contradicts a header");
                return None;
            }
            if of_topic && said == Some(true) {
                reader.fail("csv_has_header", "E0520", "the records of a topic have no header");
                return None;
            }
            Some(SinkFormat::Csv { delimiter, header: !of_topic && word != "csv_no_header" && said.unwrap_or(true) })
        }
        other => {
            reader.later("format", &format!("the format {other}"));
            None
        }
    }
}

/// Format and compression by a path's extensions: `trades.csv.gz` is gzipped CSV.
pub(super) fn by_extension(path: &Path) -> (Option<&'static str>, Compression) {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let (stem, compression) = if let Some(stem) = name.strip_suffix(".gz") {
        (stem, Compression::Gzip)
    } else if let Some(stem) = name.strip_suffix(".zst") {
        (stem, Compression::Zstd)
    } else {
        (name.as_str(), Compression::None)
    };
    let format = match stem.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some("csv"),
        Some("tsv") => Some("tsv"),
        Some("json" | "jsonl" | "ndjson") => Some("jsonlines"),
        Some("parquet") => Some("parquet"),
        Some("avro") => Some("avro"),
        _ => None,
    };
    (format, compression)
}

/// Where bad records go.
pub(super) struct DeadLetters {
    /// The file asked for.
    pub path: Option<PathBuf>,
    /// The topic; never beside a path.
    pub topic: Option<Box<KafkaSink>>,
    /// They are written at all.
    pub enabled: bool,
    /// What becomes of a bad record.
    pub failure: Failure,
}

/// Where bad records go; `topic` is the topic that is read or written, if it is one.
pub(super) fn dead_letters(reader: &mut Reader<'_>, topic: Option<(&str, &Client)>) -> DeadLetters {
    let path = reader.path("dead.letter.queue.path");
    let topic = if kafka::topic_is_stronger(reader) { kafka::dead_letters(reader, topic) } else { None };
    let path = path.filter(|_| topic.is_none());
    let mut failure = Failure::DeadLetter;
    match reader.word("failure_strategy") {
        Some("log") => failure = Failure::Log,
        Some("fail") => failure = Failure::Stop,
        Some("retry") => {
            let message = "record errors are never retried; they go to the dead letters";
            let warning = reader.place("failure_strategy").warning("W0513", message);
            reader.report(warning);
        }
        _ => {}
    }
    let enabled = reader.flag("dead.letter.queue.enabled").unwrap_or(true) && failure == Failure::DeadLetter;
    DeadLetters { path, topic, enabled, failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        let check = |path: &str, expect| assert_eq!(by_extension(Path::new(path)), expect, "{path}");
        check("a/trades.csv", (Some("csv"), Compression::None));
        check("T.JSONL.gz", (Some("jsonlines"), Compression::Gzip));
        check("data/*.ndjson.zst", (Some("jsonlines"), Compression::Zstd));
        check("a.csv/b", (None, Compression::None));
        check("b.gz", (None, Compression::Gzip));
        assert!(has_strftime("out-%Y.csv") && !has_strftime("100%.csv"));
    }
}
