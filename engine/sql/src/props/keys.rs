//! The one table of properties: spelling, type, default, and how far each is built.
//!
//! Everything else asks this table: resolution finds spellings here, readers take type and default from here, unknown
//! keys are compared with it. A property is added by one line. Underscores are not dots; a key is written exactly as
//! listed, in front of it optionally `<relation>.`, `source.` or `sink.`.

use velostream_types::time::{NS_PER_MS, NS_PER_SEC};

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// A path, relative to the SQL file's folder.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number of at least this.
    Int(u64),
    /// Bytes: a whole number, optionally with a unit (`64KiB`, `16MB`).
    Size,
    /// A duration; a bare number counts this many nanoseconds each.
    Duration(i64),
    /// One ASCII character, or `\t`.
    Char,
    /// One of these words; the second is what the first means.
    Word(&'static [(&'static str, &'static str)]),
}

/// Which endpoints a property belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Sources.
    Source,
    /// Sinks.
    Sink,
    /// Both.
    Both,
}

/// Which connectors a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Any connector, or the app.
    Any,
    /// Files.
    File,
    /// Kafka.
    Kafka,
}

/// How far a property is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Has its effect.
    Works,
    /// Accepted; results never depend on it.
    Tuning,
    /// Accepted without effect; a note says so.
    Inert,
    /// Known but not built: an error unless the value is the default.
    Later,
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The spelling shown to users.
    pub name: &'static str,
    /// Other spellings; where several stand at one place, the earliest in this order wins.
    pub aliases: &'static [&'static str],
    /// Endpoints it belongs to.
    pub side: Side,
    /// Connectors it is for.
    pub carrier: Carrier,
    /// TRUE: without a prefix it speaks of the whole statement, sources included.
    pub global: bool,
    /// Type.
    pub kind: Kind,
    /// Value when none is given, as text.
    pub default: Option<&'static str>,
    /// How far it is built.
    pub status: Status,
}

impl Key {
    const fn of(side: Side, name: &'static str, aliases: &'static [&'static str], kind: Kind) -> Key {
        let (carrier, status) = (Carrier::Any, Status::Works);
        Key { name, aliases, side, carrier, global: false, kind, default: None, status }
    }
    const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }
    const fn global(mut self) -> Key {
        self.global = true;
        self
    }
    const fn file(mut self) -> Key {
        self.carrier = Carrier::File;
        self
    }
    const fn kafka(mut self) -> Key {
        self.carrier = Carrier::Kafka;
        self
    }
    const fn tuning(mut self) -> Key {
        self.status = Status::Tuning;
        self
    }
    const fn inert(mut self) -> Key {
        self.status = Status::Inert;
        self
    }
    const fn later(mut self) -> Key {
        self.status = Status::Later;
        self
    }

    /// All spellings, the main one first.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// TRUE when the property has a meaning for this side.
    pub fn fits(&self, side: Side) -> bool {
        self.side == Side::Both || self.side == side
    }
}

const fn source(name: &'static str, aliases: &'static [&'static str], kind: Kind) -> Key {
    Key::of(Side::Source, name, aliases, kind)
}
const fn sink(name: &'static str, aliases: &'static [&'static str], kind: Kind) -> Key {
    Key::of(Side::Sink, name, aliases, kind)
}
const fn both(name: &'static str, aliases: &'static [&'static str], kind: Kind) -> Key {
    Key::of(Side::Both, name, aliases, kind)
}

use Kind::{Bool, Char, Int, Path, Size, Text, Word};
/// A duration whose bare numbers are seconds.
const SECONDS: Kind = Kind::Duration(NS_PER_SEC);
/// A duration whose bare numbers are milliseconds.
const MILLIS: Kind = Kind::Duration(NS_PER_MS);

/// Connectors.
pub const TYPES: &[(&str, &str)] = &[
    ("file", "file"),
    ("file_source", "file"),
    ("file_source_mmap", "file"),
    ("file_sink", "file"),
    ("stdout", "stdout"),
    ("stdout_sink", "stdout"),
    ("memory", "memory"),
    ("kafka", "kafka"),
    ("kafka_source", "kafka"),
    ("kafka_sink", "kafka"),
    ("s3", "s3"),
    ("s3_source", "s3"),
    ("s3_sink", "s3"),
    ("database", "database"),
    ("database_source", "database"),
    ("database_sink", "database"),
    ("iceberg", "iceberg"),
    ("iceberg_sink", "iceberg"),
];

/// Record formats.
pub const FORMATS: &[(&str, &str)] = &[
    ("json", "jsonlines"),
    ("jsonl", "jsonlines"),
    ("jsonlines", "jsonlines"),
    ("json_lines", "jsonlines"),
    ("ndjson", "jsonlines"),
    ("csv", "csv"),
    ("csv_no_header", "csv_no_header"),
    ("table", "table"),
    ("avro", "avro"),
    ("protobuf", "protobuf"),
    ("proto", "protobuf"),
    ("parquet", "parquet"),
    ("string", "string"),
    ("bytes", "bytes"),
];

const WATERMARKS: &[(&str, &str)] = &[
    ("none", "none"),
    ("bounded_out_of_orderness", "bounded"),
    ("ascending", "ascending"),
    ("ascending_timestamps", "ascending"),
    ("punctuated", "punctuated"),
    ("processing_time", "processing_time"),
];

const LATE: &[(&str, &str)] = &[
    ("drop", "drop"),
    ("dead_letter", "dead_letter"),
    ("update_previous", "update_previous"),
    ("update_previous_window", "update_previous"),
    ("include_in_next", "include_in_next"),
    ("include_in_next_window", "include_in_next"),
];

const CHANGELOGS: &[(&str, &str)] = &[("upsert", "upsert"), ("append", "append"), ("debezium", "debezium")];
const POLICIES: &[(&str, &str)] = &[("warn", "warn"), ("error", "error"), ("null", "null")];
const ORDERS: &[(&str, &str)] =
    &[("partition", "partition"), ("sequential", "sequential"), ("event_time", "event_time")];
const COMPRESSIONS: &[(&str, &str)] =
    &[("none", "none"), ("gzip", "gzip"), ("gz", "gzip"), ("zstd", "zstd"), ("zst", "zstd"), ("snappy", "snappy")];
const FAILURES: &[(&str, &str)] = &[
    ("SendToDLQ", "dlq"),
    ("LogAndContinue", "log"),
    ("FailBatch", "fail"),
    ("RetryWithBackoff", "retry"),
    ("send_to_dlq", "dlq"),
    ("log_and_continue", "log"),
    ("fail_batch", "fail"),
    ("retry_with_backoff", "retry"),
];

/// What becomes of rows whose table is missing.
pub const FALLBACKS: &[(&str, &str)] = &[
    ("FailFast", "fail"),
    ("SkipRecord", "skip"),
    ("EmitWithNulls", "nulls"),
    ("UseDefaults", "defaults"),
    ("WaitAndRetry", "retry"),
    ("fail_fast", "fail"),
    ("skip_record", "skip"),
    ("emit_with_nulls", "nulls"),
    ("use_defaults", "defaults"),
    ("wait_and_retry", "retry"),
];

const DRIVERS: &[(&str, &str)] = &[("auto", "auto"), ("native", "native"), ("rdkafka", "rdkafka")];
const STARTS: &[(&str, &str)] = &[
    ("earliest", "earliest"),
    ("latest", "latest"),
    ("none", "none"),
    ("beginning", "earliest"),
    ("smallest", "earliest"),
    ("end", "latest"),
    ("largest", "latest"),
    ("error", "none"),
];
const RETRIES: &[(&str, &str)] = &[("exponential", "exponential"), ("fixed", "fixed"), ("linear", "linear")];
const NULLS: &[(&str, &str)] = &[("skip", "skip"), ("dead_letter", "dead_letter")];
const LOSSES: &[(&str, &str)] = &[("warn", "warn"), ("fail", "fail")];
const KEY_FORMATS: &[(&str, &str)] = &[
    ("string", "string"),
    ("text", "string"),
    ("json", "json"),
    ("bytes", "bytes"),
    ("avro", "avro"),
    ("protobuf", "protobuf"),
    ("proto", "protobuf"),
];

/// All properties.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    // Where.
    both("type", &["source_type", "connector"], Word(TYPES)),
    both("path", &["file.path", "data_source.path", "data_sink.path"], Path).file(),
    both("topic.name", &["topic"], Text),
    both("config_file", &[], Path).global(),
    source("source_config", &[], Path).global(),
    sink("sink_config", &[], Path).global(),
    both("monitoring_config", &[], Path).global(),
    both("security_config", &[], Path).global(),
    // Bytes.
    both("format", &["value.format", "value.serializer", "schema.value.serializer", "serializer.format", "file.format"], Word(FORMATS)),
    source("delimiter", &["file.delimiter"], Char).default(","),
    source("quote", &[], Char).default("\""),
    source("header", &["has_headers", "has_header", "file.has_header"], Bool),
    source("skip_lines", &[], Int(0)).file().default("0"),
    source("max_records", &[], Int(0)),
    source("max.record.bytes", &[], Size).global().default("16MiB"),
    source("watch", &["watching"], Bool).file(),
    source("poll_interval", &["polling_interval", "poll_interval_ms", "polling_interval_ms"], MILLIS).file().default("1000"),
    source("read.order", &[], Word(ORDERS)).file().default("partition"),
    source("recursive", &[], Bool).file().default("false").later(),
    source("extension_filter", &[], Text).file().later(),
    source("buffer_size", &[], Size).file().default("8192").tuning(),
    source("file.wait.timeout", &["wait.timeout"], SECONDS).file().default("0s").later(),
    source("file.retry.interval", &["retry.interval"], SECONDS).file().default("1s").tuning(),
    source("delete.field", &[], Text),
    both("partitions", &["topic.partitions", "num.partitions"], Int(1)).default("1"),
    // Files written.
    sink("append", &["append_if_exists"], Bool).file().default("false"),
    sink("compression", &[], Word(COMPRESSIONS)).file(),
    sink("csv_delimiter", &["delimiter"], Char).default(","),
    sink("csv_has_header", &["header", "has_headers", "has_header"], Bool),
    sink("buffer_size_bytes", &[], Size).file().default("65536").tuning(),
    sink("writer_threads", &[], Int(1)).file().default("1").tuning(),
    sink("max_file_size_bytes", &[], Size).file().later(),
    sink("rotation_interval_ms", &[], MILLIS).file().later(),
    sink("max_records_per_file", &[], Int(1)).file().later(),
    sink("changelog", &[], Word(CHANGELOGS)).default("upsert"),
    both("json.decimal.output", &[], Text).default("source").global().later(),
    both("json.decimal.strings", &[], Bool).default("false").global().later(),
    // Time.
    source("event.time.field", &[], Text).global(),
    source("event.time.format", &[], Text).global(),
    source("event.time.policy", &["event.time.fallback"], Word(POLICIES)).global().default("warn"),
    source("watermark.strategy", &[], Word(WATERMARKS)).global(),
    source("watermark.max_out_of_orderness", &["watermark.max_out_of_orderness_ms"], SECONDS).global().default("5s"),
    source("watermark.idle.timeout", &["watermark.idle_timeout"], SECONDS).global().default("60s"),
    source("late.data.strategy", &[], Word(LATE)).global(),
    source("window.allowed.lateness", &["allowed.lateness"], SECONDS).global(),
    // Bad records.
    both("dead.letter.queue.path", &["dlq.path"], Path).global(),
    both("dead.letter.queue.enabled", &["enable_dlq", "job.enable_dlq", "dlq.enabled"], Bool).global().default("true"),
    both("dead.letter.queue.topic", &["error.topic", "dlq.topic"], Text).global(),
    both("dlq_max_size", &[], Int(1)).global().inert(),
    both("failure_strategy", &[], Word(FAILURES)).global().default("SendToDLQ"),
    both("max_retries", &[], Int(0)).global().tuning(),
    both("retry_backoff", &["retry_backoff_ms"], MILLIS).global().tuning(),
    // Kafka.
    both("bootstrap.servers", &["brokers", "endpoint", "metadata.broker.list"], Text).kafka().global(),
    both("broker.connect.timeout", &[], SECONDS).kafka().global().default("30s"),
    both("driver", &[], Word(DRIVERS)).kafka().default("auto").later(),
    source("group.id", &["group_id", "consumer.group"], Text).kafka().global(),
    source("auto.offset.reset", &["start"], Word(STARTS)).kafka().global().default("earliest"),
    source("topic.wait.timeout", &[], SECONDS).kafka().global().default("0s"),
    source("topic.retry.interval", &[], SECONDS).kafka().global().default("2s"),
    source("topic.retry.strategy", &[], Word(RETRIES)).kafka().global().default("exponential"),
    source("topic.retry.multiplier", &[], Text).kafka().global().default("1.5"),
    source("topic.retry.max.delay", &[], SECONDS).kafka().global().default("120s"),
    source("topic.retry.increment", &[], SECONDS).kafka().global(),
    source("commit.interval", &[], SECONDS).kafka().global().default("1s"),
    source("schema.wait.timeout", &[], SECONDS).kafka().global(),
    source("partitioned.by", &[], Text).kafka(),
    source("null.value", &[], Word(NULLS)).kafka().global().default("skip"),
    source("on.data.loss", &[], Word(LOSSES)).kafka().global().default("warn"),
    both("topic.create", &[], Bool).kafka().global().default("true"),
    both("replication.factor", &["topic.replication.factor", "replication_factor"], Text).kafka().default("-1"),
    both("key.format", &["key.serializer", "schema.key.serializer"], Word(KEY_FORMATS)).kafka().default("string"),
    sink("key.field", &["message.key.field", "schema.key.field"], Text).kafka(),
    both("schema.registry.url", &["schema_registry"], Text).kafka().later(),
    both("region", &[], Text),
    // Tables, joins and jobs.
    both("state.ttl", &[], SECONDS).global(),
    both("join.type", &[], Text).global().default("interval"),
    both("join.lower_bound", &[], SECONDS).global(),
    both("join.upper_bound", &[], SECONDS).global(),
    both("join.retention", &[], SECONDS).global().default("0s"),
    both("join.timeout", &[], SECONDS).global().inert(),
    both("table.wait.timeout", &[], SECONDS).global().default("60s"),
    both("fallback.strategy", &[], Word(FALLBACKS)).global().default("FailFast"),
    both("fallback.defaults", &[], Text).global(),
    both("join.retry.max", &[], Int(0)).global().default("3"),
    both("join.retry.delay", &[], SECONDS).global().default("1s"),
    both("table_model", &[], Text).global().inert(),
    both("retention", &[], SECONDS).global(),
    both("refresh_interval", &[], Text).global().inert(),
    both("mode", &["processor.type", "job_mode"], Text).global().inert(),
    both("use_transactions", &[], Bool).global().default("false").later(),
    both("delivery.guarantee", &[], Text).global().inert(),
    both("max_batch_size", &[], Int(1)).global().tuning(),
    both("batch_timeout", &["batch_timeout_ms"], MILLIS).global().tuning(),
    both("partitioning_strategy", &[], Text).global().inert(),
    both("num_partitions", &[], Int(1)).global().inert(),
    both("performance_profile", &[], Text).global().tuning(),
    both("max.memory.mb", &[], Int(1)).global().tuning(),
    both("max.groups", &[], Int(1)).global().inert(),
    both("spill.to.disk", &[], Bool).global().default("false").later(),
    both("prometheus.port", &[], Int(1)).global().inert(),
    both("tracing.otlp_endpoint", &[], Text).global().inert(),
];

/// Families of keys that are known as a whole and have no effect yet.
pub const FAMILIES: &[&str] = &[
    "schema.registry.",
    "batch.",
    "cache.",
    "circuit.breaker.",
    "retry.",
    "observability.",
    "processor.",
    "avro.schema",
    "protobuf.schema",
    "proto.schema",
    "json.schema",
    "schema.file",
    "value.schema",
    "key.schema",
];

/// Prefixes behind which any Kafka client setting may stand, and whose client it is.
pub(super) const CLIENT_PREFIXES: &[(&str, Side)] = &[
    ("kafka.", Side::Both),
    ("consumer.", Side::Source),
    ("consumer_config.", Side::Source),
    ("producer.", Side::Sink),
    ("producer_config.", Side::Sink),
];

/// Beginnings of client settings that need no prefix.
pub(super) const CLIENT_FAMILIES: &[(&str, Side)] =
    &[("sasl.", Side::Both), ("ssl.", Side::Both), ("socket.", Side::Both), ("fetch.", Side::Source)];

/// Client settings that need no prefix.
#[rustfmt::skip]
pub(super) const CLIENT_KEYS: &[(&str, Side)] = &[
    ("client.id", Side::Both),
    ("client.rack", Side::Both),
    ("client.dns.lookup", Side::Both),
    ("security.protocol", Side::Both),
    ("request.timeout.ms", Side::Both),
    ("message.max.bytes", Side::Both),
    ("receive.message.max.bytes", Side::Both),
    ("connections.max.idle.ms", Side::Both),
    ("reconnect.backoff.ms", Side::Both),
    ("reconnect.backoff.max.ms", Side::Both),
    ("retry.backoff.ms", Side::Both),
    ("metadata.max.age.ms", Side::Both),
    ("broker.address.family", Side::Both),
    ("allow.auto.create.topics", Side::Both),
    ("debug", Side::Both),
    ("enable.auto.commit", Side::Source),
    ("auto.commit.interval.ms", Side::Source),
    ("max.poll.records", Side::Source),
    ("max.poll.interval.ms", Side::Source),
    ("max.partition.fetch.bytes", Side::Source),
    ("session.timeout.ms", Side::Source),
    ("heartbeat.interval.ms", Side::Source),
    ("isolation.level", Side::Source),
    ("check.crcs", Side::Source),
    ("group.instance.id", Side::Source),
    ("group.protocol", Side::Source),
    ("partition.assignment.strategy", Side::Source),
    ("queued.min.messages", Side::Source),
    ("queued.max.messages.kbytes", Side::Source),
    ("acks", Side::Sink),
    ("batch.size", Side::Sink),
    ("batch.num.messages", Side::Sink),
    ("linger.ms", Side::Sink),
    ("compression.type", Side::Sink),
    ("compression.level", Side::Sink),
    ("enable.idempotence", Side::Sink),
    ("transactional.id", Side::Sink),
    ("transaction.timeout.ms", Side::Sink),
    ("max.request.size", Side::Sink),
    ("max.in.flight.requests.per.connection", Side::Sink),
    ("buffer.memory", Side::Sink),
    ("queue.buffering.max.messages", Side::Sink),
    ("queue.buffering.max.kbytes", Side::Sink),
    ("delivery.timeout.ms", Side::Sink),
    ("message.timeout.ms", Side::Sink),
    ("partitioner", Side::Sink),
    ("retries", Side::Sink),
];

/// Prefixes behind which any setting of a topic to be made may stand.
pub(super) const TOPIC_PREFIXES: &[&str] = &["topic.config.", "topic_config."];

/// Topic settings that need no prefix.
pub(super) const TOPIC_KEYS: &[&str] = &[
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "delete.retention.ms",
    "segment.ms",
    "segment.bytes",
    "max.message.bytes",
    "min.insync.replicas",
    "min.compaction.lag.ms",
    "max.compaction.lag.ms",
    "message.timestamp.type",
];

/// What a spelling stands for on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A property, and which of its spellings was used (0 is the main one).
    Key(&'static Key, usize),
    /// A setting of the Kafka client: its name stands behind so many bytes of the spelling.
    Client(usize),
    /// A setting of a Kafka topic to be made; its name stands behind so many bytes of the spelling.
    Topic(usize),
    /// A member of a family without effect.
    Family,
    /// A property of the other side only.
    OtherSide,
}

/// Looks a spelling up. The table comes first, so that `consumer.group` is a property and not a client setting.
pub fn find(spelling: &str, side: Side) -> Option<Found> {
    match find_key(spelling, side) {
        Some(Found::OtherSide) | None => {}
        found => return found,
    }
    let fits = |of: &Side| *of == Side::Both || *of == side;
    for (prefix, of) in CLIENT_PREFIXES {
        let Some(name) = spelling.strip_prefix(prefix).filter(|name| !name.is_empty()) else { continue };
        if !fits(of) {
            return Some(Found::OtherSide);
        }
        // `kafka.group.id` is the property and not a second opinion about it.
        return match find_key(name, side) {
            Some(Found::Key(key, alias)) if key.carrier == Carrier::Kafka && key.name != "key.format" => {
                Some(Found::Key(key, alias))
            }
            _ => Some(Found::Client(prefix.len())),
        };
    }
    let bare = CLIENT_KEYS.iter().find(|(key, _)| *key == spelling);
    let family = || CLIENT_FAMILIES.iter().find(|(start, _)| spelling.starts_with(start) && spelling != *start);
    if let Some((_, of)) = bare.or_else(family) {
        return Some(if fits(of) { Found::Client(0) } else { Found::OtherSide });
    }
    let topic = TOPIC_PREFIXES.iter().find(|prefix| spelling.starts_with(*prefix) && spelling != **prefix);
    if topic.is_some() || TOPIC_KEYS.contains(&spelling) {
        let skip = topic.map_or(0, |prefix| prefix.len());
        return Some(match find_key(&spelling[skip..], side) {
            _ if side == Side::Source => Found::OtherSide,
            Some(Found::Key(key, alias)) if ["partitions", "replication.factor"].contains(&key.name) => {
                Found::Key(key, alias)
            }
            _ => Found::Topic(skip),
        });
    }
    let family = FAMILIES.iter().any(|prefix| spelling.starts_with(prefix) && spelling != *prefix);
    find_key(spelling, side).or(family.then_some(Found::Family))
}

fn find_key(spelling: &str, side: Side) -> Option<Found> {
    let mut other = None;
    for key in KEYS {
        if let Some(alias) = key.spellings().position(|s| s == spelling) {
            if key.fits(side) {
                return Some(Found::Key(key, alias));
            }
            other = Some(Found::OtherSide);
        }
    }
    other
}

/// The property of this name; `name` must be a main spelling of the table for this side.
pub(super) fn named(name: &str, side: Side) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name && k.fits(side))
}

/// TRUE for a key of a statement's WITH that may speak of the statement's sources: one with a prefix, or one that is
/// global (`event.time.field`). FALSE for those that speak of the statement's own sink only (`path`, `format`).
pub fn reaches_sources(key: &str) -> bool {
    let is_sink_only = |side| matches!(find(key, side), Some(Found::Key(known, _)) if !known.global);
    !is_sink_only(Side::Source) && !is_sink_only(Side::Sink)
}

/// TRUE for a key without prefix that means nothing to a source, such as `append`.
pub fn is_of_sinks_only(key: &str) -> bool {
    find(key, Side::Source) == Some(Found::OtherSide)
}

/// Every spelling of the table, for suggestions.
pub fn spellings() -> impl Iterator<Item = &'static str> {
    let client = CLIENT_KEYS.iter().map(|(key, _)| *key);
    KEYS.iter().flat_map(Key::spellings).chain(client).chain(TOPIC_KEYS.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_means_one_thing_per_side() {
        for side in [Side::Source, Side::Sink] {
            let mut all: Vec<&str> = KEYS.iter().filter(|k| k.fits(side)).flat_map(Key::spellings).collect();
            all.sort_unstable();
            let before = all.len();
            all.dedup();
            assert_eq!(all.len(), before, "{side:?}");
        }
    }

    #[test]
    fn look_ups() {
        assert!(matches!(find("topic", Side::Source), Some(Found::Key(k, 1)) if k.name == "topic.name"));
        assert!(matches!(find("delimiter", Side::Sink), Some(Found::Key(k, 1)) if k.name == "csv_delimiter"));
        assert_eq!(find("append", Side::Source), Some(Found::OtherSide));
        assert_eq!(find("consumer.max.poll.records", Side::Source), Some(Found::Client(9)));
        assert_eq!(find("consumer.max.poll.records", Side::Sink), Some(Found::OtherSide));
        assert_eq!(find("linger.ms", Side::Sink), Some(Found::Client(0)));
        assert_eq!(find("batch.size", Side::Source), Some(Found::OtherSide));
        assert_eq!(find("batch.enable", Side::Sink), Some(Found::Family));
        assert_eq!(find("topic_config.retention.ms", Side::Sink), Some(Found::Topic(13)));
        assert!(matches!(find("kafka.group.id", Side::Source), Some(Found::Key(k, 0)) if k.name == "group.id"));
        assert!(matches!(find("consumer.group", Side::Source), Some(Found::Key(k, 2)) if k.name == "group.id"));
        assert_eq!(find("consumer.", Side::Source), None);
        for (key, expect) in [("event.time.field", true), ("trades.path", true), ("path", false), ("append", false)] {
            assert_eq!(reaches_sources(key), expect, "{key}");
        }
    }
}
