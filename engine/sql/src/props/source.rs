//! Settings to a source: connector, format, event time, lateness and dead letters.

use super::kafka;
use super::keys::Carrier;
use super::reader::Reader;
use super::setting::Giver;
use super::sink::{DeadLetters, by_extension, dead_letters};
use crate::endpoint::SourceSpec;
use crate::plan::{Format, LateStrategy, MissingTime, Patience, SourceConnector, TimeFormat, WatermarkRule};

/// Builds the source; `None` when an error was reported.
pub(super) fn build(reader: &mut Reader<'_>) -> Option<SourceSpec> {
    let connector = connector(reader)?;
    reader.judge(match connector {
        SourceConnector::File { .. } => Carrier::File,
        SourceConnector::Kafka(_) => Carrier::Kafka,
        SourceConnector::Memory { .. } | SourceConnector::OneRow => Carrier::Any,
    });
    let format = format(reader, &connector)?;
    let topic = match &connector {
        SourceConnector::Kafka(kafka) => Some((kafka.topic.as_str(), &kafka.client)),
        _ => None,
    };
    let DeadLetters { path: dlq_path, topic: dlq_topic, enabled: dlq_enabled, failure } = dead_letters(reader, topic);
    let event_time_format = time_format(reader);
    let event_time_field = field(reader, "event.time.field");
    let (watermark_rule, watermark_bound_ns) = watermark(reader, &connector);
    idle_without_effect(reader, &connector);
    if event_time_field.is_some() && watermark_bound_ns.is_none() && reader.given("watermark.strategy").is_none() {
        let warning = reader
            .place("event.time.field")
            .warning("W0511", format!("\"{}\" has an event time but no watermark strategy", reader.name))
            .detail("without one the bound is 0: rows older than the newest of their partition may be late")
            .hint("add watermark.strategy = 'bounded_out_of_orderness' and watermark.max_out_of_orderness, or 'none'");
        reader.report(warning);
    }
    Some(SourceSpec {
        connector,
        format,
        event_time_field,
        event_time_format,
        watermark_rule,
        watermark_bound_ns,
        idle_timeout_ns: reader.duration("watermark.idle.timeout").unwrap_or_default(),
        missing_time: missing_time(reader),
        late: late(reader),
        lateness_ns: reader.duration("window.allowed.lateness"),
        max_record_bytes: reader.size("max.record.bytes").unwrap_or_default(),
        max_records: reader.int("max_records"),
        delete_field: field(reader, "delete.field"),
        schema_wait_ns: reader.duration("schema.wait.timeout"),
        patience: patience(reader),
        dlq_path,
        dlq_topic,
        dlq_enabled,
        failure,
    })
}

/// How long others wait for it where it is a table.
fn patience(reader: &mut Reader<'_>) -> Patience {
    let usual = Patience::default();
    Patience {
        wait_ns: reader.duration("table.wait.timeout").unwrap_or(usual.wait_ns),
        retries: reader.int("join.retry.max").unwrap_or(usual.retries),
        delay_ns: reader.duration("join.retry.delay").unwrap_or(usual.delay_ns),
    }
}

/// A column named by a property, and where.
pub(super) fn field(reader: &mut Reader<'_>, key: &'static str) -> Option<(String, velostream_types::Span)> {
    let name = reader.text(key)?;
    let place = reader.place(key);
    // A span must point into the SQL text; a column named in a config file is shown at the relation.
    let span = if place.origin.is_none() { place.span } else { reader.relation.span };
    Some((name, span))
}

fn connector(reader: &mut Reader<'_>) -> Option<SourceConnector> {
    let kind = if reader.given("type").is_some() {
        reader.word("type")?
    } else if reader.given("path").is_some() {
        "file"
    } else if reader.given("topic.name").is_some() {
        "kafka"
    } else if reader.given("bootstrap.servers").is_some() || reader.context.brokers.is_some() {
        kafka::guessed(reader);
        "kafka"
    } else {
        no_source(reader);
        return None;
    };
    let written = reader.given("type").map_or("", |s| s.value.as_str()).to_owned();
    match kind {
        "file" if !written.ends_with("_sink") => file(reader),
        "memory" => {
            let topic = reader.text("topic.name").unwrap_or_else(|| reader.name.to_owned());
            Some(SourceConnector::Memory { topic })
        }
        "kafka" if !written.ends_with("_sink") => kafka::source(reader),
        "file" | "stdout" | "kafka" => {
            let diagnostic = reader
                .place("type")
                .error("E0511", format!("\"{written}\" cannot be read: it is for sinks"))
                .detail("sources are file_source, kafka_source and memory");
            reader.report(diagnostic);
            None
        }
        other => {
            reader.later("type", &format!("reading from {other}"));
            None
        }
    }
}

fn no_source(reader: &mut Reader<'_>) {
    let name = reader.name;
    let hint = format!(
        "declare it: CREATE STREAM {name} (…) WITH (path = 'file.csv'), or read a file directly: FROM 'file.csv'"
    );
    let diagnostic = reader
        .relation
        .error("E0501", format!("nothing says where \"{name}\" is read from"))
        .detail(format!("neither \"{name}.path\" nor \"{name}.type\" is given, and no config file names them"))
        .hint(hint);
    reader.report(diagnostic);
}

fn file(reader: &mut Reader<'_>) -> Option<SourceConnector> {
    if reader.given("path").is_none() {
        let message = format!("source \"{}\" reads a file but has no path", reader.name);
        let hint = format!("give \"{}.path\"", reader.name);
        let diagnostic = reader.place("type").error("E0512", message).hint(hint);
        reader.report(diagnostic);
        return None;
    }
    let pattern = reader.path("path")?;
    let sequential = match reader.word("read.order")? {
        "sequential" => true,
        "partition" => false,
        other => {
            reader.later("read.order", &format!("read.order = {other}"));
            return None;
        }
    };
    let watch = match reader.given("watch") {
        Some(_) => reader.flag("watch")?,
        None => {
            let giver = if reader.context.follow { Giver::CommandLine } else { Giver::Default };
            reader.note("watch", if reader.context.follow { "true" } else { "false" }, &giver);
            reader.context.follow
        }
    };
    let poll_interval_ms = reader.duration("poll_interval")? as u64 / 1_000_000;
    Some(SourceConnector::File { pattern, sequential, watch, poll_interval_ms: poll_interval_ms.max(1) })
}

fn format(reader: &mut Reader<'_>, connector: &SourceConnector) -> Option<Format> {
    let word = match (reader.given("format").is_some(), connector) {
        (true, _) => reader.word("format")?,
        (false, SourceConnector::File { pattern, .. }) => match by_extension(pattern).0 {
            Some(word) => {
                reader.note("format", word, &Giver::Extension);
                word
            }
            None if reader.given("delimiter").is_some() => "csv",
            None => {
                unknown_format(reader, &pattern.display().to_string());
                return None;
            }
        },
        (false, _) => "jsonlines",
    };
    match word {
        "jsonlines" => Some(Format::JsonLines),
        "csv" | "tsv" | "csv_no_header" => csv(reader, word, matches!(connector, SourceConnector::Kafka(_))),
        "string" | "bytes" => {
            kafka::raw(reader, word, matches!(connector, SourceConnector::File { .. })).map(Format::Raw)
        }
        other => {
            reader.later("format", &format!("the format {other}"));
            None
        }
    }
}

fn unknown_format(reader: &mut Reader<'_>, path: &str) {
    let diagnostic = reader
        .place("path")
        .error("E0515", format!("the format of \"{path}\" is not known"))
        .detail("extensions with a format are .csv, .tsv, .json, .jsonl and .ndjson, also in front of .gz and .zst")
        .hint(format!("give \"{}.format\": csv, csv_no_header or jsonlines", reader.name));
    reader.report(diagnostic);
}

fn csv(reader: &mut Reader<'_>, word: &str, of_topic: bool) -> Option<Format> {
    let said = reader.flag("header");
    if of_topic && said == Some(true) {
        reader.fail("header", "E0520", "the records of a topic have no header; their columns are declared, or col_0 …");
        return None;
    }
    if word == "csv_no_header" && said == Some(true) {
        reader.fail("header", "E0520", "the format csv_no_header contradicts a header");
        return None;
    }
    let delimiter =
        if word == "tsv" && reader.given("delimiter").is_none() { b'\t' } else { reader.character("delimiter")? };
    let quote = reader.character("quote")?;
    if delimiter == quote {
        reader.fail("quote", "E0520", "the delimiter and the quote are the same character");
        return None;
    }
    let header = !of_topic && word != "csv_no_header" && said.unwrap_or(true);
    Some(Format::Csv { delimiter, quote, header, skip_lines: reader.int("skip_lines")? })
}

fn time_format(reader: &mut Reader<'_>) -> TimeFormat {
    let Some(text) = reader.text("event.time.format") else { return TimeFormat::Auto };
    match text.trim().to_ascii_lowercase().as_str() {
        "auto" => TimeFormat::Auto,
        "epoch" | "epoch_seconds" | "epoch_s" => TimeFormat::EpochSeconds,
        "epoch_millis" | "epoch_ms" => TimeFormat::EpochMillis,
        "epoch_micros" | "epoch_us" => TimeFormat::EpochMicros,
        "epoch_nanos" | "epoch_ns" => TimeFormat::EpochNanos,
        "iso8601" | "rfc3339" => TimeFormat::Iso8601,
        _ if text.contains('%') => TimeFormat::Strftime(text),
        _ => {
            let diagnostic = reader
                .place("event.time.format")
                .error("E0513", format!("unknown event time format \"{text}\""))
                .detail("known are auto, epoch_seconds, epoch_millis, epoch_micros, epoch_nanos and iso8601")
                .hint("other layouts are strftime patterns, such as %Y-%m-%d %H:%M:%S");
            reader.report(diagnostic);
            TimeFormat::Auto
        }
    }
}

/// What moves the watermark, and its bound; a bound without a strategy implies one.
fn watermark(reader: &mut Reader<'_>, connector: &SourceConnector) -> (WatermarkRule, Option<i64>) {
    const BOUND: &str = "watermark.max_out_of_orderness";
    let has_bound = reader.given(BOUND).is_some();
    let strategy = match reader.given("watermark.strategy") {
        Some(_) => reader.word("watermark.strategy"),
        None if has_bound => Some("bounded"),
        None => None,
    };
    let rule = match strategy {
        None => return (WatermarkRule::EventTimes, None),
        Some("bounded") => return (WatermarkRule::EventTimes, reader.duration(BOUND)),
        // The clock runs on by itself: it may be held back by a bound that was given.
        Some("processing_time") => {
            let bound = if has_bound { reader.duration(BOUND) } else { Some(0) };
            return (WatermarkRule::Clock, bound);
        }
        Some("punctuated") => WatermarkRule::Header,
        Some(_) => WatermarkRule::EventTimes,
    };
    if rule == WatermarkRule::Header && matches!(connector, SourceConnector::File { .. }) {
        let finding = reader
            .place("watermark.strategy")
            .error("E0520", "watermark.strategy = punctuated reads a header, and records of a file have none")
            .hint("use watermark.strategy = 'bounded_out_of_orderness', or read the records from a topic");
        reader.report(finding);
    }
    if has_bound {
        let message = format!("\"{BOUND}\" has no effect with this watermark.strategy");
        let warning = reader.place(BOUND).warning("W0513", message);
        reader.report(warning.hint("use watermark.strategy = 'bounded_out_of_orderness'"));
    }
    (rule, Some(0))
}

/// An idle time-out that this source itself was given, though it ends. One that the whole app was given is for the
/// sources that have a use for it.
fn idle_without_effect(reader: &mut Reader<'_>, connector: &SourceConnector) {
    let given = reader.given("watermark.idle.timeout");
    let own = given.is_some_and(|s| !matches!(s.place.giver, Giver::Set | Giver::CommandLine));
    if own && matches!(connector, SourceConnector::File { watch: false, .. }) {
        let message = "\"watermark.idle.timeout\" has no effect on an input that ends";
        let warning = reader.place("watermark.idle.timeout").warning("W0513", message);
        reader.report(warning.hint("a file that is read to its end stops holding the watermark back at once"));
    }
}

fn missing_time(reader: &mut Reader<'_>) -> MissingTime {
    match reader.word("event.time.policy") {
        Some("error") => MissingTime::Error,
        Some("null") => {
            reader.later("event.time.policy", "event.time.policy = null");
            MissingTime::Error
        }
        _ => MissingTime::Warn,
    }
}

fn late(reader: &mut Reader<'_>) -> Option<LateStrategy> {
    match reader.word("late.data.strategy")? {
        "drop" => Some(LateStrategy::Drop),
        "dead_letter" => Some(LateStrategy::DeadLetter),
        "update_previous" | "update_previous_window" => Some(LateStrategy::UpdatePrevious),
        "include_in_next" | "include_in_next_window" => Some(LateStrategy::IncludeInNext),
        _ => None,
    }
}
