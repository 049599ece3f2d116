//! Sources, sinks and dead letters of a plan in words.

use velostream_types::time::duration_text;
use velostream_types::topic::{Client, StartAt};

use super::expr::name;
use crate::plan::{
    AppPlan, Compression, DlqPlan, EventTimeSpec, Failure, Format, KafkaSource, KeyFormat, MissingTime, RawKind, Repr,
    SinkConnector, SinkFormat, SinkPlan, SourceConnector, SourcePlan, TimeField, TimeFormat, WatermarkRule,
};

/// TRUE when a source may never end.
pub fn is_live(connector: &SourceConnector) -> bool {
    match connector {
        SourceConnector::File { watch, .. } => *watch,
        SourceConnector::Memory { .. } | SourceConnector::Kafka(_) => true,
        SourceConnector::OneRow => false,
    }
}

/// Lines about a source, the first without indentation.
pub fn source(plan: &AppPlan, source: &SourcePlan, verbose: bool) -> Vec<String> {
    let kind = match (&source.table_key, source.declared) {
        (Some(_), _) => "declared table",
        (None, true) => "declared",
        (None, false) => "inferred",
    };
    let mut lines = vec![format!("{}: {}, {kind}", source.name, connector(&source.connector, &source.format))];
    let reads: Vec<String> = source
        .decoded()
        .iter()
        .map(|c| {
            let token = if c.repr == Repr::Token { " (token)" } else { "" };
            let not_null = if c.not_null { " NOT NULL" } else { "" };
            format!("{} {}{not_null}{token}", name(&c.name), c.data_type)
        })
        .collect();
    let what = if reads.is_empty() { "no column, rows only".to_owned() } else { reads.join(", ") };
    lines.push(format!("reads {} of {} columns: {what}", reads.len(), source.schema.len()));
    let beside: Vec<&str> = source
        .read
        .iter()
        .filter_map(|column| match column.repr {
            Repr::KeyText | Repr::KeyPart(_) => Some("key as text"),
            Repr::KeyBytes => Some("key as bytes"),
            Repr::Headers => Some("headers"),
            Repr::Tombstone => Some("whether there is one"),
            Repr::Value | Repr::Token => None,
        })
        .collect();
    if !beside.is_empty() {
        lines.push(format!("takes from beside the value: {}", beside.join(", ")));
    }
    if let Some(key) = &source.table_key {
        let columns: Vec<String> =
            key.iter().filter_map(|k| source.schema.fields.get(*k)).map(|f| name(&f.name)).collect();
        lines.push(format!("upserts by {}", columns.join(", ")));
    }
    if let Some(time) = &source.event_time {
        lines.extend(event_time(source, time));
    }
    if let SourceConnector::Kafka(kafka) = &source.connector {
        lines.extend(kafka_source(kafka, verbose));
    }
    if let Some(limit) = source.max_records {
        lines.push(format!("stops after {limit} records of each partition"));
    }
    if verbose {
        lines.push(format!("longest record: {} bytes", source.max_record_bytes));
        lines.push(format!("original bytes: {}", if source.needs_raw { "kept" } else { "not kept" }));
    }
    lines.push(format!("bad records: {}", dead_letters(plan, source.dlq.index())));
    lines
}

fn event_time(source: &SourcePlan, time: &EventTimeSpec) -> [String; 2] {
    let from = match time.field {
        TimeField::Column(at) => source.read.get(at).map_or_else(|| format!("column {at}"), |c| name(&c.name)),
        TimeField::RecordTimestamp => "the record's timestamp".to_owned(),
        TimeField::Header => "the header _EVENT_TIME, else the record's timestamp".to_owned(),
    };
    let format = match &time.format {
        TimeFormat::Auto => "",
        TimeFormat::EpochSeconds => " as epoch seconds",
        TimeFormat::EpochMillis => " as epoch milliseconds",
        TimeFormat::EpochMicros => " as epoch microseconds",
        TimeFormat::EpochNanos => " as epoch nanoseconds",
        TimeFormat::Iso8601 => " as ISO 8601",
        TimeFormat::Strftime(pattern) => &format!(" as {pattern}"),
    };
    let missing = match time.missing {
        MissingTime::Warn => "missing: the record's timestamp",
        MissingTime::Error => "missing: dead letter",
    };
    let idle = if is_live(&source.connector) && time.rule != WatermarkRule::Clock {
        format!("; a partition is idle after {}", duration_text(time.idle_timeout_ns))
    } else {
        String::new()
    };
    let behind = if time.bound_ns == 0 { String::new() } else { format!(" - {}", duration_text(time.bound_ns)) };
    let moved = match time.rule {
        WatermarkRule::EventTimes => "highest event time",
        WatermarkRule::Header => "the header \"watermark\" of records",
        WatermarkRule::Clock => "the time of day",
    };
    [format!("event time: {from}{format}; {missing}"), format!("watermark: {moved}{behind}{idle}")]
}

/// How a topic is read.
fn kafka_source(kafka: &KafkaSource, verbose: bool) -> Vec<String> {
    let start = match kafka.start {
        StartAt::Earliest => "at the log's start".to_owned(),
        StartAt::Latest => "at the log's end".to_owned(),
        StartAt::Timestamp(ms) => format!("at the first record from {ms} ms on"),
        StartAt::Offset(offset) => format!("at offset {offset}"),
        StartAt::None => "nowhere: a missing commit is an error".to_owned(),
    };
    let mut lines = vec![format!("begins at the group's commit, without one {start}")];
    if let Some(column) = &kafka.partitioned_by {
        lines.push(format!("partitioned by {}", name(column)));
    }
    if kafka.topic_wait_ns > 0 {
        lines.push(format!("waits {} for the topic", duration_text(kafka.topic_wait_ns)));
    }
    if verbose {
        let nulls = if kafka.null_value_is_bad { "bad records" } else { "skipped and counted" };
        lines.push(format!("records without a value: {nulls}"));
        let lost = if kafka.fail_on_data_loss { "stop the run" } else { "counted with a warning" };
        lines.push(format!("records retention took: {lost}"));
        lines.extend(client(&kafka.client));
    }
    lines
}

/// Client settings, secrets left out, one line each.
fn client(client: &Client) -> Vec<String> {
    let secret = |key: &str| ["password", "secret", "token", "jaas", ".pem", "oauth"].iter().any(|s| key.contains(s));
    let line = |(key, value): (&String, &String)| {
        let value = if secret(key) { "***" } else { value };
        let origin = client.origins.get(key).map_or_else(String::new, |o| format!("  ({o})"));
        format!("client {key} = {value}{origin}")
    };
    client.settings.iter().map(line).collect()
}

/// Lines about how a topic is written, for the verbose form the client's too.
pub fn kafka_sink(sink: &SinkPlan, verbose: bool) -> Vec<String> {
    let SinkConnector::Kafka(kafka) = &sink.connector else { return Vec::new() };
    let mut lines = Vec::new();
    if kafka.create {
        let partitions = kafka.partitions.map_or_else(|| "as many as the widest source".to_owned(), |n| n.to_string());
        let copies = if kafka.replication < 0 { String::new() } else { format!(", {} copies", kafka.replication) };
        let config: String = kafka.topic_config.iter().map(|(k, v)| format!(", {k} = {v}")).collect();
        lines.push(format!("created when missing: partitions {partitions}{copies}{config}"));
    } else {
        lines.push("never created".to_owned());
    }
    let key = match (sink.key.is_empty(), kafka.key_format, sink.key.len()) {
        (true, ..) if sink.carried.key.is_some() => "that of the record a row stems from",
        (true, ..) => "none: records are spread over the partitions",
        (false, KeyFormat::Json, _) => "a JSON object of the key columns",
        (false, KeyFormat::Text, 1) => "the key column's text",
        (false, KeyFormat::Text, _) => "the key columns' texts joined by |",
    };
    lines.push(format!("record key: {key}"));
    if sink.carried.headers.is_some() {
        lines.push("record headers: those a row came with".to_owned());
    }
    if verbose {
        lines.extend(client(&kafka.client));
    }
    lines
}

fn connector(connector: &SourceConnector, format: &Format) -> String {
    let format = match format {
        Format::JsonLines => "jsonlines".to_owned(),
        Format::Csv { delimiter, header, skip_lines, .. } => {
            let delimiter =
                if *delimiter == b',' { String::new() } else { format!(" delimited by {}", shown(*delimiter)) };
            let header = if *header { "" } else { " without header" };
            let skipped = if *skip_lines == 0 { String::new() } else { format!(" after {skip_lines} lines") };
            format!("csv{delimiter}{header}{skipped}")
        }
        Format::Raw(kind) => raw(*kind).to_owned(),
    };
    match connector {
        SourceConnector::File { pattern, sequential, watch, .. } => {
            let order = if *sequential { ", files in sequence as one partition" } else { "" };
            let watch = if *watch { ", followed" } else { "" };
            format!("file {}, {format}{order}{watch}", pattern.display())
        }
        SourceConnector::Memory { topic } => format!("memory topic {topic}, {format}"),
        SourceConnector::Kafka(kafka) => {
            let group = kafka.group.as_ref().map_or(String::new(), |g| format!(", group {g}"));
            format!("kafka topic {} on {}{group}, {format}", kafka.topic, kafka.client.brokers())
        }
        SourceConnector::OneRow => "one row without columns".to_owned(),
    }
}

fn raw(kind: RawKind) -> &'static str {
    match kind {
        RawKind::Text => "string",
        RawKind::Bytes => "bytes",
    }
}

fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "tab".to_owned() } else { format!("'{}'", char::from(delimiter)) }
}

/// Where a sink writes, and how.
pub fn sink(sink: &SinkPlan) -> String {
    let to = match &sink.connector {
        SinkConnector::File { path, append, compression } => {
            let compression = match compression {
                Compression::None => "",
                Compression::Gzip => ", gzip",
                Compression::Zstd => ", zstd",
            };
            let append = if *append { ", appended" } else { "" };
            format!("file {}{compression}{append}", path.display())
        }
        SinkConnector::Stdout => "stdout".to_owned(),
        SinkConnector::Kafka(kafka) => format!("kafka topic {} on {}", kafka.topic, kafka.client.brokers()),
        SinkConnector::Memory { topic, partitions } => format!("memory topic {topic} of {partitions} partitions"),
    };
    let format = match &sink.format {
        SinkFormat::JsonLines => "jsonlines".to_owned(),
        SinkFormat::Table => "table".to_owned(),
        SinkFormat::Raw(kind) => raw(*kind).to_owned(),
        SinkFormat::Csv { delimiter, header } => {
            let delimiter =
                if *delimiter == b',' { String::new() } else { format!(" delimited by {}", shown(*delimiter)) };
            format!("csv{delimiter}{}", if *header { "" } else { " without header" })
        }
    };
    let keys: Vec<String> = sink.key.iter().filter_map(|k| sink.schema.fields.get(*k)).map(|f| name(&f.name)).collect();
    let is_topic = matches!(sink.connector, SinkConnector::Kafka(_));
    let key = match (keys.is_empty(), sink.upsert) {
        (false, true) if is_topic => format!(", upserts and tombstones by {}", keys.join(", ")),
        (true, _) => String::new(),
        (false, true) => format!(", upserts and deletes by {}", keys.join(", ")),
        (false, false) => format!(", key {}", keys.join(", ")),
    };
    let order = if sink.ordered { ", rows of all shards merged in order" } else { ", rows as they come" };
    let passed = if sink.pass_through { ", records passed through byte for byte" } else { "" };
    let envelope = if sink.envelope { ", each change with the row before and after" } else { "" };
    format!("{to}, {format}{passed}{envelope}{key}{order}")
}

/// A dead-letter destination.
pub fn dead_letters(plan: &AppPlan, at: usize) -> String {
    match plan.dlqs.get(at) {
        Some(dlq) if dlq.enabled => match &dlq.topic {
            Some(kafka) => format!("kafka topic {} on {}", kafka.topic, kafka.client.brokers()),
            None => dlq.path.display().to_string(),
        },
        Some(DlqPlan { failure: Failure::Log, .. }) => "logged, and passed over (LogAndContinue)".to_owned(),
        Some(DlqPlan { failure: Failure::Stop, .. }) => "stop the run (FailBatch)".to_owned(),
        _ => "counted only".to_owned(),
    }
}
