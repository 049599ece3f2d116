//! Sources, sinks and dead letters of a plan in words.

use velostream_types::time::duration_text;

use super::expr::name;
use crate::plan::{
    AppPlan, Compression, EventTimeSpec, Format, MissingTime, Repr, SinkConnector, SinkFormat, SinkPlan,
    SourceConnector, SourcePlan, TimeField, TimeFormat,
};

/// TRUE when a source may never end.
pub fn is_live(connector: &SourceConnector) -> bool {
    match connector {
        SourceConnector::File { watch, .. } => *watch,
        SourceConnector::Memory { .. } => true,
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
        .read
        .iter()
        .map(|c| {
            let token = if c.repr == Repr::Token { " (token)" } else { "" };
            let not_null = if c.not_null { " NOT NULL" } else { "" };
            format!("{} {}{not_null}{token}", name(&c.name), c.data_type)
        })
        .collect();
    let what = if reads.is_empty() { "no column, rows only".to_owned() } else { reads.join(", ") };
    lines.push(format!("reads {} of {} columns: {what}", source.read.len(), source.schema.len()));
    if let Some(key) = &source.table_key {
        let columns: Vec<String> =
            key.iter().filter_map(|k| source.schema.fields.get(*k)).map(|f| name(&f.name)).collect();
        lines.push(format!("upserts by {}", columns.join(", ")));
    }
    if let Some(time) = &source.event_time {
        lines.extend(event_time(source, time));
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
    let idle = if is_live(&source.connector) {
        format!("; a partition is idle after {}", duration_text(time.idle_timeout_ns))
    } else {
        String::new()
    };
    let behind = if time.bound_ns == 0 { String::new() } else { format!(" - {}", duration_text(time.bound_ns)) };
    [format!("event time: {from}{format}; {missing}"), format!("watermark: highest event time{behind}{idle}")]
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
    };
    match connector {
        SourceConnector::File { pattern, sequential, watch, .. } => {
            let order = if *sequential { ", files in sequence as one partition" } else { "" };
            let watch = if *watch { ", followed" } else { "" };
            format!("file {}, {format}{order}{watch}", pattern.display())
        }
        SourceConnector::Memory { topic } => format!("memory topic {topic}, {format}"),
        SourceConnector::OneRow => "one row without columns".to_owned(),
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
        SinkConnector::Memory { topic, partitions } => format!("memory topic {topic} of {partitions} partitions"),
    };
    let format = match &sink.format {
        SinkFormat::JsonLines => "jsonlines".to_owned(),
        SinkFormat::Table => "table".to_owned(),
        SinkFormat::Csv { delimiter, header } => {
            let delimiter =
                if *delimiter == b',' { String::new() } else { format!(" delimited by {}", shown(*delimiter)) };
            format!("csv{delimiter}{}", if *header { "" } else { " without header" })
        }
    };
    let keys: Vec<String> = sink.key.iter().filter_map(|k| sink.schema.fields.get(*k)).map(|f| name(&f.name)).collect();
    let key = match (keys.is_empty(), sink.upsert) {
        (true, _) => String::new(),
        (false, true) => format!(", upserts and deletes by {}", keys.join(", ")),
        (false, false) => format!(", key {}", keys.join(", ")),
    };
    let order = if sink.ordered { ", rows of all shards merged in order" } else { ", rows as they come" };
    let passed = if sink.pass_through { ", records passed through byte for byte" } else { "" };
    format!("{to}, {format}{passed}{key}{order}")
}

/// A dead-letter destination.
pub fn dead_letters(plan: &AppPlan, at: usize) -> String {
    match plan.dlqs.get(at) {
        Some(dlq) if dlq.enabled => dlq.path.display().to_string(),
        _ => "counted only".to_owned(),
    }
}
