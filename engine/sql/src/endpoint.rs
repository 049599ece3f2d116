//! What properties say about a source or a sink, resolved: the hand-over from `props` to `bind`.

use std::path::PathBuf;

use velostream_types::{Schema, Span};

use crate::diag::Diagnostic;
use crate::plan::{
    Failure, Format, KafkaSink, LateStrategy, MissingTime, Patience, SinkConnector, SinkFormat, SourceConnector,
    TimeFormat, WatermarkRule,
};

/// One `key = value` of a WITH clause or SET statement as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithEntry {
    /// Key without quotes.
    pub key: String,
    /// Where the key stands, quotes included.
    pub key_span: Span,
    /// Value without quotes; numbers, TRUE and FALSE as their text.
    pub value: String,
    /// Where the value stands, quotes included.
    pub value_span: Span,
}

/// A source's properties.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// Where the bytes come from.
    pub connector: SourceConnector,
    /// How bytes become columns.
    pub format: Format,
    /// `event.time.field` and where it was written.
    pub event_time_field: Option<(String, Span)>,
    /// `event.time.format`
    pub event_time_format: TimeFormat,
    /// What moves the watermark.
    pub watermark_rule: WatermarkRule,
    /// Bound of the watermark strategy, ns; `None` when no strategy was given (0 then).
    pub watermark_bound_ns: Option<i64>,
    /// `watermark.idle.timeout`, ns.
    pub idle_timeout_ns: i64,
    /// Policy for missing or bad event times.
    pub missing_time: MissingTime,
    /// `late.data.strategy` given at the source.
    pub late: Option<LateStrategy>,
    /// `window.allowed.lateness` given at the source, ns.
    pub lateness_ns: Option<i64>,
    /// `max.record.bytes`
    pub max_record_bytes: usize,
    /// `max_records`
    pub max_records: Option<u64>,
    /// `delete.field`
    pub delete_field: Option<(String, Span)>,
    /// `schema.wait.timeout`, ns: how long an empty topic is waited for; `None`: as long as it takes.
    pub schema_wait_ns: Option<i64>,
    /// How long others wait for it where it is a table.
    pub patience: Patience,
    /// `dead.letter.queue.path`, resolved.
    pub dlq_path: Option<PathBuf>,
    /// Topic for the dead letters when no path is given.
    pub dlq_topic: Option<Box<KafkaSink>>,
    /// FALSE: bad records are counted only.
    pub dlq_enabled: bool,
    /// What becomes of bad records.
    pub failure: Failure,
}

/// How a sink writes the changes of a TABLE (`changelog`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangelogForm {
    /// The row of a key replaces the one before; deletes are tombstones or marked rows.
    #[default]
    Upsert,
    /// Every row that comes is one more row; rows that leave are not told.
    Append,
    /// `{"before":…,"after":…,"op":"c|u|d"}`
    Debezium,
}

/// A sink's properties.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkSpec {
    /// Where to.
    pub connector: SinkConnector,
    /// Encoding.
    pub format: SinkFormat,
    /// How the changes of a TABLE are written.
    pub changelog: ChangelogForm,
    /// `key.field` of a topic, and where it was written.
    pub key_field: Option<(String, Span)>,
    /// Nothing but brokers given for the whole app says that this is a topic.
    pub implied: bool,
    /// `dead.letter.queue.path`, resolved.
    pub dlq_path: Option<PathBuf>,
    /// Topic for the dead letters when no path is given.
    pub dlq_topic: Option<Box<KafkaSink>>,
    /// FALSE: bad records are counted only.
    pub dlq_enabled: bool,
    /// What becomes of bad records.
    pub failure: Failure,
}

/// Properties of the relations a statement names: implemented by `props::Resolver`, by tests with maps.
///
/// `name` is the relation as written: an identifier, a path (`trades.csv`, `data/*.csv`) or a URI. `with` holds all
/// WITH entries that apply, the nearest clause first, prefixes not yet stripped.
pub trait Endpoints {
    /// What is read under this name.
    fn source(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<SourceSpec, Vec<Diagnostic>>;

    /// Where rows written under this name go; `None` when nothing says where to.
    fn sink(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<Option<SinkSpec>, Vec<Diagnostic>>;

    /// Value of a variable that annotations may name.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// Why a source could not be sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogError {
    /// No file matches; the path or pattern searched, and names in the same folder that look alike.
    Missing {
        /// What was searched.
        searched: String,
        /// Look-alikes.
        similar: Vec<String>,
    },
    /// It is there but cannot be read.
    Unreadable {
        /// What was opened.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// There is no such topic.
    NoTopic {
        /// Its name.
        topic: String,
        /// Where it was looked for.
        brokers: String,
    },
    /// The topic holds no record, and none came as long as was waited.
    NoRecord {
        /// Its name.
        topic: String,
    },
    /// The brokers cannot be asked.
    Brokers {
        /// Which.
        brokers: String,
        /// The client's reason.
        reason: String,
    },
    /// The sample is not in the format it is said to be in.
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong and where.
        reason: String,
    },
}

/// The world as the planner sees it: implemented by the runtime with files and topics, by tests with maps.
pub trait Catalog {
    /// Types of an undeclared source from the first `1,000 / N` records of each of its N partitions. A source without
    /// records answers its known column names (CSV header) with type NULL. Fields come with `inferred = true`.
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError>;

    /// Fails when a declared source's files are missing or unreadable. Topics are looked for by the run.
    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError>;

    /// TRUE when every record is known to have its fields in the order of the schema that `infer` gave. Asked for
    /// sources with a header, where each file of a source may have its own order.
    fn has_one_header(&mut self, spec: &SourceSpec) -> bool;

    /// Bytes of a source that ends by itself, as they will be read; `None` where nobody knows.
    fn bytes(&mut self, spec: &SourceSpec) -> Option<u64> {
        let _ = spec;
        None
    }
}
