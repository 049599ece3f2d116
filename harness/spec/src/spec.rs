//! A test spec: which queries of an app are tested, with which inputs, and what has to be true of their outputs.
//!
//! Passive values with the places they were written at, for messages. [`crate::load`] reads them from YAML.

use std::path::PathBuf;

use velostream_types::{Span, Value};

use crate::assertion::Assertion;

/// A spec.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the app; the report's, too.
    pub application: String,
    /// What it is about.
    pub description: Option<String>,
    /// For queries without one.
    pub default_timeout_ms: Option<u64>,
    /// For inputs whose schema has no count, either.
    pub default_records: Option<u64>,
    /// How test topics are called.
    pub topic_naming: TopicNaming,
    /// Properties laid over those of all sources and sinks.
    pub config: Vec<(String, String)>,
    /// For `{{variables.X}}` and `{{X}}`.
    pub variables: Vec<(String, Value)>,
    /// Data schemas by name, as written, relative to the spec's folder.
    pub schemas: Vec<(String, PathBuf)>,
    /// Time of day of the run, ms.
    pub now_ms: Option<i64>,
    /// The tests, in their order.
    pub queries: Vec<QueryTest>,
    /// Sections that are known and not done yet, with their places; each was warned of.
    pub later: Vec<(String, Span)>,
    /// Folder the spec is in.
    pub folder: PathBuf,
}

/// The test of one query.
#[derive(Clone, Debug)]
pub struct QueryTest {
    /// Name of the statement.
    pub name: String,
    /// Where it is written.
    pub span: Span,
    /// What it is about.
    pub description: Option<String>,
    /// It is reported as skipped.
    pub skip: bool,
    /// Statements that are deployed first.
    pub dependencies: Vec<String>,
    /// What is published.
    pub inputs: Vec<Input>,
    /// Where the output goes when the SQL does not say.
    pub output: Option<Endpoint>,
    /// Assertions of single sinks, by topic, path or query name.
    pub outputs: Vec<OutputTest>,
    /// Assertions of sinks without their own.
    pub assertions: Vec<Assertion>,
    /// Assertions over counters, gauges and histograms.
    pub metric_assertions: Vec<Assertion>,
    /// How long it may take.
    pub timeout_ms: Option<u64>,
    /// Form of the captured records.
    pub capture_format: CaptureFormat,
    /// Schema of these, inline or a path.
    pub capture_schema: Option<String>,
}

/// Assertions of one sink.
#[derive(Clone, Debug)]
pub struct OutputTest {
    /// Which.
    pub sink: String,
    /// Where it is written.
    pub span: Span,
    /// What has to be true of it.
    pub assertions: Vec<Assertion>,
}

/// What is published to one source.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name in the SQL.
    pub source: String,
    /// Where it is written.
    pub span: Span,
    /// Data schema; default: the source's name.
    pub schema: Option<String>,
    /// Number of records.
    pub records: Option<u64>,
    /// Where they come from.
    pub from: InputFrom,
    /// Topic, where the SQL names none.
    pub topic: Option<String>,
    /// Column whose text is the message key.
    pub key_field: Option<String>,
    /// Event times.
    pub time: Option<TimeSimulation>,
    /// Rate of NULLs in nullable fields.
    pub null_probability: Option<f64>,
    /// Encoding of the published values.
    pub format: Option<String>,
}

/// Where the records of an input come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFrom {
    /// A data schema.
    Generated,
    /// What an earlier query gave.
    Previous(String),
    /// A file, relative to the spec's folder; its format follows from the extension.
    DataFile(PathBuf),
    /// A file that the SQL reads itself.
    File {
        /// Relative to the spec's folder.
        path: PathBuf,
        /// Its format.
        format: Option<FileFormat>,
        /// It is followed.
        watch: bool,
    },
}

/// Form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// With a header line.
    Csv,
    /// Columns are called `column_N`, from 0.
    CsvNoHeader,
    /// An object a line.
    JsonLines,
    /// An array of objects.
    Json,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A topic.
    Kafka {
        /// Its name.
        topic: Option<String>,
    },
    /// A file.
    File {
        /// Relative to the spec's folder.
        path: PathBuf,
        /// Its format.
        format: Option<FileFormat>,
    },
}

/// Form of captured records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureFormat {
    /// An object each.
    #[default]
    Json,
    /// Later.
    Avro,
    /// Later.
    Protobuf,
}

/// Event times of generated records.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeSimulation {
    /// First; default: an hour before now.
    pub start: Moment,
    /// Last; default: now.
    pub end: Moment,
    /// Speed of publishing beside that of the times; records are published at once, so it has no effect.
    pub time_scale: f64,
    /// Records a second; the same.
    pub events_per_second: Option<f64>,
    /// Evenly from start to end; FALSE: anywhere between, in that order.
    pub sequential: bool,
    /// Each time is moved by up to this, at random: records come in disorder.
    pub jitter_ms: u64,
    /// Records that have one time.
    pub batch_size: u64,
}

/// A moment of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So many ms behind the run's `now`.
    Relative(i64),
    /// Ms since the epoch.
    At(i64),
}

impl Moment {
    /// In ms since the epoch.
    pub fn ms(self, now_ms: i64) -> i64 {
        match self {
            Moment::Relative(ms) => now_ms.saturating_add(ms),
            Moment::At(ms) => ms,
        }
    }
}

/// How test topics are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicNaming {
    /// With `{run_id} {base} {timestamp} {branch} {user} {namespace}`.
    pub pattern: String,
    /// For `{namespace}`.
    pub namespace: Option<String>,
    /// Environment variable with `{branch}`.
    pub branch_from_env: String,
    /// Environment variable with `{user}`.
    pub user_from_env: String,
    /// Wins over the environment.
    pub branch: Option<String>,
    /// Wins over the environment.
    pub user: Option<String>,
    /// A name that is too long is cut and ends with a hash.
    pub hash_long_names: bool,
    /// Longest name.
    pub max_topic_length: usize,
}

impl Default for TopicNaming {
    fn default() -> TopicNaming {
        TopicNaming {
            pattern: "test_{run_id}_{base}".to_owned(),
            namespace: None,
            branch_from_env: "GITHUB_REF_NAME".to_owned(),
            user_from_env: "GITHUB_ACTOR".to_owned(),
            branch: None,
            user: None,
            hash_long_names: true,
            max_topic_length: 249,
        }
    }
}
