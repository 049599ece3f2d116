//! The typed plan: what the SQL front hands to the engine. Everything is resolved: names are positions, types and
//! scales are fixed, properties are values. The engine never sees SQL text except through spans in messages.
//!
//! An app is one graph of nodes shared by its statements, in topological order. Every shard runs the whole graph over
//! its own partitions and its own virtual nodes; rows cross shards at `Exchange` nodes only.
//!
//! ```text
//! Scan -> Filter -> Project(keys, arguments) -> Combine -> Exchange -> Aggregate -> Filter(HAVING) -> Project -> Sink
//! ```

mod amend;
mod expr;
mod join;
mod keep_once;
mod load;
mod metric;
mod over;
mod subquery;
mod unnest;
mod window;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use velostream_functions::AggregateFn;
use velostream_types::topic::{Client, StartAt};
use velostream_types::{DataType, DlqId, EdgeId, NodeId, SchemaRef, SourceId, Span, Value};

pub use amend::{AmendSpec, AmendStep};
pub use expr::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind, HeaderCall, SystemColumn};
pub use join::{
    Apart, EVERYWHERE_BYTES_MAX, Fallback, JoinColumn, JoinKind, JoinMode, JoinSpec, Placement, Side, Version,
};
pub use load::{LoadPlan, Patience, second_group};
pub use metric::{MetricKind, MetricLabel, MetricSpec};
pub use over::{Frame, FrameBound, OverCall, OverFn, OverKind, OverSpec};
pub use subquery::{FoldSpec, SubqueryKind, SubquerySpec, SubqueryState};
pub use unnest::UnnestSpec;
pub use window::{LateStrategy, WindowKind, WindowSpec, ZoneName};

/// Groups a [`NodeKind::Combine`] holds on one shard; more than this leave at once. Beyond it the table falls out of
/// the cache and combining gains nothing. Part of the plan because EXPLAIN tells it.
pub const COMBINE_HELD_GROUPS: usize = 65_536;

/// One app, ready to run.
#[derive(Clone, Debug)]
pub struct AppPlan {
    /// `@app`, else the file's stem.
    pub name: String,
    /// Sources, by [`SourceId`].
    pub sources: Vec<SourcePlan>,
    /// Nodes, by [`NodeId`]; the inputs of a node stand before it.
    pub nodes: Vec<Node>,
    /// Sinks, by position.
    pub sinks: Vec<SinkPlan>,
    /// Dead-letter destinations, by [`DlqId`].
    pub dlqs: Vec<DlqPlan>,
    /// Statements in order of deployment; nodes refer to them by position.
    pub statements: Vec<StatementPlan>,
    /// Number of exchange edges.
    pub edges: u16,
    /// Bytes of state the whole run may hold (`max.memory.mb`); `None`: what the machine allows.
    pub memory_limit: Option<u64>,
}

impl SourcePlan {
    /// TRUE when records have to come with their headers.
    pub fn needs_headers(&self) -> bool {
        let timed = |t: &EventTimeSpec| t.field == TimeField::Header || t.rule == WatermarkRule::Header;
        self.event_time.as_ref().is_some_and(timed) || self.read.iter().any(|column| column.repr == Repr::Headers)
    }

    /// The columns decoded from the records' values; in [`SourcePlan::read`] what stands beside a value follows them.
    pub fn decoded(&self) -> &[ScanColumn] {
        let decoded = self.read.iter().position(|column| column.repr.is_identity());
        &self.read[..decoded.unwrap_or(self.read.len())]
    }

    /// Topic the records come from.
    pub fn topic(&self) -> Option<&str> {
        match &self.connector {
            SourceConnector::Kafka(kafka) => Some(&kafka.topic),
            SourceConnector::Memory { topic } => Some(topic),
            SourceConnector::File { .. } | SourceConnector::OneRow => None,
        }
    }

    /// TRUE when a record without a value is a bad one.
    pub fn null_value_is_bad(&self) -> bool {
        matches!(&self.connector, SourceConnector::Kafka(kafka) if kafka.null_value_is_bad)
    }
}

impl AppPlan {
    /// Names the consumer groups that nobody named: `velo_{app}_{job}`. The job is the first statement that reads the
    /// source, by the name `job` gives it or else its own.
    pub fn name_groups(&mut self, job: impl Fn(usize) -> Option<String>) {
        for (at, source) in self.sources.iter_mut().enumerate() {
            let SourceConnector::Kafka(kafka) = &mut source.connector else { continue };
            if kafka.group.is_some() || source.load.again.is_some() {
                continue;
            }
            let reads = |n: &&Node| matches!(n.kind, NodeKind::Scan { source } if source.index() == at);
            let Some(statement) = self.nodes.iter().find(reads).map(|n| n.statement) else { continue };
            let own = || self.statements.get(statement).map(|s| s.name.clone());
            let Some(name) = job(statement).or_else(own) else { continue };
            kafka.group = Some(format!("velo_{}_{name}", self.name));
        }
        for at in 0..self.sources.len() {
            let Some(first) = self.sources[at].load.again else { continue };
            let group = match &self.sources[first.index()].connector {
                SourceConnector::Kafka(kafka) => kafka.group.as_deref().map(second_group),
                _ => None,
            };
            if let SourceConnector::Kafka(kafka) = &mut self.sources[at].connector {
                kafka.group = group.or(kafka.group.take());
            }
        }
    }
}

/// What is known of one statement for messages and summaries.
#[derive(Clone, Debug)]
pub struct StatementPlan {
    /// Object name, or `query_<n>` for a bare SELECT.
    pub name: String,
    /// TRUE for CREATE TABLE.
    pub is_table: bool,
    /// The statement's text range.
    pub span: Span,
}

/// A relation read from outside, once per app.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Name in FROM; for a path as relation, the path.
    pub name: Arc<str>,
    /// Where the bytes come from.
    pub connector: SourceConnector,
    /// How bytes become columns.
    pub format: Format,
    /// All columns: the declared list or the inferred one.
    pub schema: SchemaRef,
    /// TRUE when the schema was declared.
    pub declared: bool,
    /// Columns that any query of the app reads, in the order of the Scan's output.
    pub read: Vec<ScanColumn>,
    /// Event time and watermark; `None` when no query needs them.
    pub event_time: Option<EventTimeSpec>,
    /// A declared TABLE: key columns as positions in `schema`. An Upsert behind the Scan makes rows replace each other.
    pub table_key: Option<Vec<usize>>,
    /// A query needs the original bytes (dead letters of expressions, pass-through).
    pub needs_raw: bool,
    /// Records longer than this are skipped while streaming and dead-lettered.
    pub max_record_bytes: usize,
    /// Stop after this many records of each partition.
    pub max_records: Option<u64>,
    /// Where undecodable records go.
    pub dlq: DlqId,
    /// When it is read.
    pub load: LoadPlan,
}

/// One column a Scan decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanColumn {
    /// Name of the field in the records.
    pub name: String,
    /// Logical type, fixed at deploy.
    pub data_type: DataType,
    /// Inferred columns may widen their storage; declared ones may not.
    pub inferred: bool,
    /// How the column is materialised.
    pub repr: Repr,
    /// NULL is a record error.
    pub not_null: bool,
}

/// Physical form a Scan gives a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repr {
    /// Typed values, for expressions.
    Value,
    /// An inferred number as the text it was written in (checked against the number grammar), or an inferred nested value
    /// as its JSON text, for a sink it reaches unmodified. Physically `Column::Str`; the logical type stays.
    Token,
    /// The record's key as text, NULL without one. A key that is not UTF-8 makes the record bad.
    KeyText,
    /// This part, from 0, of the record's key as text: parts stand between `|`, a backslash in front of `|` and a backslash
    /// makes it part of one, `\N` is NULL, and so is what the key has not.
    KeyPart(u16),
    /// The record's key as it came, NULL without one.
    KeyBytes,
    /// The record's headers in the form of `velostream_types::headers`; never NULL.
    Headers,
    /// TRUE for a record without a value, which then is a row of NULLs; never NULL.
    Tombstone,
}

impl Repr {
    /// TRUE for what stands beside a record's value.
    pub const fn is_identity(self) -> bool {
        matches!(self, Repr::KeyText | Repr::KeyPart(_) | Repr::KeyBytes | Repr::Headers | Repr::Tombstone)
    }
}

/// Connector of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConnector {
    /// Files matching a path or glob, already resolved against the SQL file's folder.
    File {
        /// Path or glob pattern.
        pattern: PathBuf,
        /// `read.order=sequential`: the sorted files are one partition.
        sequential: bool,
        /// Tail the files after their end (`watch`, `--follow`).
        watch: bool,
        /// Pause between looks when tailing, ms.
        poll_interval_ms: u64,
    },
    /// An in-memory topic of this process.
    Memory {
        /// Topic name.
        topic: String,
    },
    /// A Kafka topic.
    Kafka(Box<KafkaSource>),
    /// Rows made by the planner (`SELECT 1`): one row without columns.
    OneRow,
}

/// What a Kafka source reads and how.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSource {
    /// Topic.
    pub topic: String,
    /// The cluster: client settings in librdkafka's names with their origins.
    pub client: Client,
    /// `group.id` as given; `None` until [`AppPlan::name_groups`].
    pub group: Option<String>,
    /// `auto.offset.reset`
    pub start: StartAt,
    /// How long to wait for a missing topic, ns; 0: not at all.
    pub topic_wait_ns: i64,
    /// First pause between looks for a missing topic, ns.
    pub topic_retry_ns: i64,
    /// Highest pause between looks, ns.
    pub topic_retry_max_ns: i64,
    /// How the pauses grow.
    pub topic_retry_growth: RetryGrowth,
    /// How long to wait for the brokers at start, ns (`broker.connect.timeout`).
    pub connect_timeout_ns: i64,
    /// Time between commits, ns (`commit.interval`); the shortest of an app's sources counts.
    pub commit_interval_ns: i64,
    /// `partitioned.by`: the column by which the topic's partitions are cut.
    pub partitioned_by: Option<String>,
    /// `null.value = dead_letter`; FALSE: skipped and counted.
    pub null_value_is_bad: bool,
    /// `on.data.loss = fail`; FALSE: warn, count and go on.
    pub fail_on_data_loss: bool,
}

/// What a Kafka sink writes and how.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSink {
    /// Topic.
    pub topic: String,
    /// The cluster.
    pub client: Client,
    /// Partitions of a topic that is made at deploy; `None`: as many as the widest source.
    pub partitions: Option<u32>,
    /// `replication.factor` of a topic that is made; -1: the cluster's default.
    pub replication: i32,
    /// Topic settings of a topic that is made.
    pub topic_config: BTreeMap<String, String>,
    /// Make the topic when it is missing (`topic.create`).
    pub create: bool,
    /// How keys are written.
    pub key_format: KeyFormat,
    /// How long to wait for the brokers at start, ns.
    pub connect_timeout_ns: i64,
}

/// Encoding of record keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    /// Text; compound keys joined by `|`.
    Text,
    /// A JSON object of the key columns.
    Json,
}

/// Record format with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text.
    Csv {
        /// Field delimiter.
        delimiter: u8,
        /// Quote character.
        quote: u8,
        /// The first line names the columns.
        header: bool,
        /// Lines skipped before the header.
        skip_lines: u64,
    },
    /// One JSON object per line (or per record).
    JsonLines,
    /// The record's value as one column.
    Raw(RawKind),
}

/// A value that is not taken apart: one column named `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawKind {
    /// UTF-8 text (`string`).
    Text,
    /// Any bytes (`bytes`).
    Bytes,
}

/// Event time of a source and how its watermark follows.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTimeSpec {
    /// Where the time comes from.
    pub field: TimeField,
    /// How a value becomes nanoseconds.
    pub format: TimeFormat,
    /// What moves the watermark of a partition.
    pub rule: WatermarkRule,
    /// Watermark = what moves it − this; ascending, punctuated and no strategy are 0.
    pub bound_ns: i64,
    /// A partition without rows for this long stops holding the watermark; live inputs only.
    pub idle_timeout_ns: i64,
    /// What a missing or malformed event time does.
    pub missing: MissingTime,
}

/// What moves the watermark of a partition (`watermark.strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatermarkRule {
    /// The highest event time of its rows: none, bounded and ascending differ in the bound alone.
    #[default]
    EventTimes,
    /// `punctuated`: the header `watermark` of its records, after the record; event times do not.
    Header,
    /// `processing_time`: the time of day, with rows or without.
    Clock,
}

/// Source of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// Column of the Scan's output, by position.
    Column(usize),
    /// The record's own timestamp (topics).
    RecordTimestamp,
    /// The header `_EVENT_TIME` (ms) with `_EVENT_TIME_NS`, in either case, else the record's own timestamp.
    Header,
}

/// Encoding of an event-time column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Integer → ms, Timestamp as is, text → RFC 3339 then `YYYY-MM-DD HH:MM:SS[.f]`.
    Auto,
    /// Seconds since the epoch.
    EpochSeconds,
    /// Milliseconds since the epoch.
    EpochMillis,
    /// Microseconds since the epoch.
    EpochMicros,
    /// Nanoseconds since the epoch.
    EpochNanos,
    /// RFC 3339; naive means UTC.
    Iso8601,
    /// A strftime pattern; naive means UTC.
    Strftime(String),
}

/// What happens to a row whose declared event time is missing or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingTime {
    /// Use the record's timestamp, warn once; the row never advances the watermark.
    Warn,
    /// Dead-letter the record.
    Error,
}

/// One node of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Own number, equal to the position in [`AppPlan::nodes`].
    pub id: NodeId,
    /// What it does.
    pub kind: NodeKind,
    /// Its inputs.
    pub inputs: Vec<NodeId>,
    /// Columns it gives.
    pub schema: SchemaRef,
    /// Rows carry weights: the relation changes.
    pub changelog: bool,
    /// Position in [`AppPlan::statements`] of the statement it belongs to (a shared Scan: the first reader).
    pub statement: usize,
    /// Where rows go that fail in this node.
    pub dlq: DlqId,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Decodes a source; output columns are [`SourcePlan::read`].
    Scan {
        /// The source.
        source: SourceId,
    },
    /// Keeps rows whose predicate is TRUE; a row whose predicate errs goes to the dead letter.
    Filter {
        /// Boolean expression over the input.
        predicate: Expr,
    },
    /// Computes one column per expression.
    Project {
        /// Expressions over the input.
        exprs: Vec<Expr>,
        /// `expr AS _event_time`: replaces the rows' event time (ms Integer or Timestamp).
        event_time: Option<Expr>,
    },
    /// UNION ALL: the rows of all inputs, whose columns are of the same types.
    Union,
    /// ORDER BY and LIMIT over a result that is complete; behind an Exchange to one shard.
    Sort(SortSpec),
    /// First n rows, then the input counts as ended.
    Limit {
        /// Rows let through.
        rows: u64,
    },
    /// Folds rows of this shard's partitions into partial groups before the exchange, at most
    /// [`COMBINE_HELD_GROUPS`] of them. Output: the key columns, then opaque state columns the Aggregate of the same
    /// spec understands.
    Combine(AggregateSpec),
    /// Hands rows to the shard that owns them.
    Exchange {
        /// The edge; credits are counted per edge and pair of shards.
        edge: EdgeId,
        /// Who gets a row.
        route: Route,
    },
    /// Folds rows (or partial groups, when its input stems from a Combine) into groups, and emits.
    Aggregate(AggregateSpec),
    /// Keeps, of a relation that changes, one live row per key: the greatest by its columns from left to right. Behind an
    /// Exchange by the key, so that rows of different origin meet before anybody is told of them.
    Materialize {
        /// Key columns.
        key: Vec<usize>,
    },
    /// For each row of the input one row per list, of one value per column: VALUES, whose input is the one row without
    /// columns.
    Values {
        /// The rows, in order.
        rows: Vec<Vec<Expr>>,
    },
    /// UPDATE and DELETE: rows of a TABLE are changed once it is loaded.
    Amend(Box<AmendSpec>),
    /// Of rows that only come, the last one per key by their order stands: each takes back the one before it. Behind an
    /// Exchange by the key.
    Upsert {
        /// Key columns.
        key: Vec<usize>,
        /// Column that is TRUE for a row that only ends the one before it.
        deleted: Option<usize>,
        /// The joins that read it keep the last row of each key by themselves: rows pass as they come, those that only end
        /// one as rows taken back.
        passes: bool,
    },
    /// A relation that changes becomes events: rows stay, and those taken back are left out.
    Events,
    /// A row per element of a collection.
    Unnest(UnnestSpec),
    /// Pairs rows of two inputs.
    Join(Box<JoinSpec>),
    /// Values of subqueries, one input each behind that of the rows: one column per subquery, then the rows' columns.
    Subqueries(Vec<SubquerySpec>),
    /// Calls over a buffer of rows: one column per call, then the rows' columns.
    Over(Box<OverSpec>),
    /// Encodes rows and hands them to the one writer of a sink; has an edge to the writer's shard.
    Sink {
        /// Position in [`AppPlan::sinks`].
        sink: usize,
        /// Edge to the writer.
        edge: EdgeId,
    },
}

impl Node {
    /// The inputs that its rows are rows of: of a stream that looks up a table, or asks subqueries, the stream.
    pub fn row_inputs(&self) -> &[NodeId] {
        let spec = match &self.kind {
            NodeKind::Join(spec) => spec,
            NodeKind::Subqueries(_) => return self.inputs.get(..1).unwrap_or_default(),
            _ => return &self.inputs,
        };
        match spec.mode {
            JoinMode::Lookup { table: Side::Left, .. } => self.inputs.get(1..2).unwrap_or_default(),
            JoinMode::Lookup { table: Side::Right, .. } => self.inputs.get(..1).unwrap_or_default(),
            _ => &self.inputs,
        }
    }
}

impl NodeKind {
    /// TRUE for nodes whose rows have the columns of their first input, and nothing beside.
    pub fn keeps_columns(&self) -> bool {
        match self {
            NodeKind::Filter { .. }
            | NodeKind::Limit { .. }
            | NodeKind::Sort(_)
            | NodeKind::Exchange { .. }
            | NodeKind::Materialize { .. }
            | NodeKind::Upsert { .. }
            | NodeKind::Amend(_)
            | NodeKind::Events
            | NodeKind::Union => true,
            NodeKind::Scan { .. }
            | NodeKind::Project { .. }
            | NodeKind::Combine(_)
            | NodeKind::Aggregate(_)
            | NodeKind::Unnest(_)
            | NodeKind::Values { .. }
            | NodeKind::Join(_)
            | NodeKind::Subqueries(_)
            | NodeKind::Over(_)
            | NodeKind::Sink { .. } => false,
        }
    }
}

/// Target of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Owner of the vnode of these columns' key bytes. No columns: one global group.
    Key(Vec<usize>),
    /// Every shard gets every row.
    All,
    /// Rows stay where they are: the exchange does nothing.
    Here,
}

/// A grouping: keys, aggregates, window and emission rule. Positions refer to the columns of the *unaggregated*
/// input (the Project in front of Combine or Aggregate).
///
/// Output columns: the keys, one column per aggregate, then with a window `_window_start` and `_window_end`
/// (Integer ms).
#[derive(Clone, Debug)]
pub struct AggregateSpec {
    /// Key columns in the order written.
    pub keys: Vec<usize>,
    /// Aggregate calls; equal calls are planned once.
    pub aggregates: Vec<AggregateCall>,
    /// The window, if any.
    pub window: Option<WindowSpec>,
    /// When rows come out.
    pub emit: Emit,
    /// TRUE: changes leave as retraction pairs (TABLE); FALSE: as events (STREAM, SELECT).
    pub retract: bool,
    /// Logical types of the input columns, by position.
    pub input: SchemaRef,
    /// The input is a changelog: rows may be taken back.
    pub input_changes: bool,
    /// Columns that tell the rows of a changing input apart, where a call needs to know which one is taken back.
    pub identity: Vec<usize>,
    /// Input column of the rows' headers, where somebody needs a group's: those of its last row by event time. They
    /// are one more output column, the last one.
    pub headers: Option<usize>,
    /// `state.ttl`: a row that comes this long after the last of its group, ns of event time, begins the group anew, and
    /// groups that the watermark has left this far behind are freed. Only without a window, with EMIT CHANGES, over rows
    /// that are not taken back.
    pub ttl_ns: Option<i64>,
}

impl AggregateSpec {
    /// Number of output columns without the headers.
    pub fn output_columns(&self) -> usize {
        self.keys.len() + self.aggregates.len() + if self.window.is_some() { 2 } else { 0 }
    }
}

/// Order of a complete result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortSpec {
    /// By what, first things first; ties keep as-if order.
    pub keys: Vec<SortKey>,
    /// Rows kept, of each window's results or of all.
    pub limit: Option<u64>,
    /// Each window's results are a result of their own; FALSE: everything up to the end of the input is one.
    pub per_window: bool,
}

/// One key of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// Column.
    pub column: usize,
    /// DESC
    pub descending: bool,
    /// NULL stands before all values.
    pub nulls_first: bool,
}

/// One aggregate call.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// Which function.
    pub function: AggregateFn,
    /// Argument columns; COUNT(*) has none, statistics of pairs have y and x. FILTER is part of them already: a row that
    /// it leaves out has NULL there.
    pub arguments: Vec<usize>,
    /// Each different value counts once.
    pub distinct: bool,
    /// FILTER as a column of booleans, for functions that do not ignore NULL.
    pub filter: Option<usize>,
    /// WITHIN GROUP (ORDER BY …); empty: as-if order. Of a percentile only the direction counts.
    pub order: Vec<CallOrder>,
    /// The constant argument: fraction, separator or limit.
    pub parameter: Option<Value>,
    /// Result type, fixed at deploy.
    pub result: DataType,
    /// The call's text range.
    pub span: Span,
}

impl AggregateCall {
    /// A call without modifiers.
    pub fn plain(function: AggregateFn, arguments: Vec<usize>, result: DataType, span: Span) -> AggregateCall {
        AggregateCall {
            function,
            arguments,
            distinct: false,
            filter: None,
            order: Vec::new(),
            parameter: None,
            result,
            span,
        }
    }

    /// The only or first argument column.
    pub fn argument(&self) -> Option<usize> {
        self.arguments.first().copied()
    }

    /// TRUE when the two always give the same.
    pub fn same(&self, other: &AggregateCall) -> bool {
        AggregateCall { span: other.span, ..self.clone() } == *other
    }

    /// TRUE when the state grows with the values it has seen.
    pub fn keeps_values(&self) -> bool {
        self.distinct || self.function.keeps_values()
    }
}

/// One item of ORDER BY inside a call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallOrder {
    /// Column of the input.
    pub column: usize,
    /// DESC
    pub descending: bool,
    /// NULLs stand in front.
    pub nulls_first: bool,
}

/// Emission rule of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// One row per input row per affected (group, window).
    Changes,
    /// One row per changed (group, window) whenever the watermark passes a multiple of this, ns: what stood before that
    /// time. A window that closes in between tells its last changes then.
    Every(i64),
    /// One row per (group, window) when the window closes, or per group at the end of input.
    Final,
}

/// Where a statement's rows go.
#[derive(Clone, Debug)]
pub struct SinkPlan {
    /// Object or INTO name.
    pub name: String,
    /// Where to.
    pub connector: SinkConnector,
    /// Encoding.
    pub format: SinkFormat,
    /// Columns in output order.
    pub schema: SchemaRef,
    /// Positions of the key columns; empty for none.
    pub key: Vec<usize>,
    /// TRUE: a changelog written as upserts and deletes by `key`.
    pub upsert: bool,
    /// TRUE: each change is an object of the row before, the row after and what happened (`changelog = debezium`).
    pub envelope: bool,
    /// TRUE: rows of all shards are merged by their order at each watermark step (FINAL); FALSE: as they come.
    pub ordered: bool,
    /// TRUE: a row is written as the bytes of the record it came from, whatever columns reach the sink.
    pub pass_through: bool,
    /// What the rows of a topic take along from the records they stem from.
    pub carried: Carried,
    /// What is counted and measured of its rows.
    pub metrics: Vec<MetricSpec>,
    /// Statement that feeds it.
    pub statement: usize,
}

/// Columns of a sink's input behind those of its schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The key of the record the row stems from, as bytes: the row's key where `SinkPlan::key` gives none.
    pub key: Option<usize>,
    /// The row's headers.
    pub headers: Option<usize>,
}

/// Connector of a sink.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkConnector {
    /// A file, already resolved.
    File {
        /// Its path.
        path: PathBuf,
        /// Append to an existing file instead of replacing it.
        append: bool,
        /// Whole-file compression by extension (`.gz`, `.zst`) or option.
        compression: Compression,
    },
    /// Standard output.
    Stdout,
    /// An in-memory topic of this process.
    Memory {
        /// Topic name.
        topic: String,
        /// Its partitions.
        partitions: u32,
    },
    /// A Kafka topic.
    Kafka(Box<KafkaSink>),
}

/// Compression of a file sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

/// Encoding of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFormat {
    /// One JSON object per line, columns in output order.
    JsonLines,
    /// Delimited text; the writer puts the header first when asked.
    Csv {
        /// Field delimiter.
        delimiter: u8,
        /// Write a header line.
        header: bool,
    },
    /// Aligned table for people; the writer lays it out.
    Table,
    /// The only column as the record's value, without a terminator.
    Raw(RawKind),
}

/// From one pause between looks to the next (`topic.retry.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryGrowth {
    /// `fixed` (0) and `linear`: so many ns longer each time.
    By(i64),
    /// `exponential`: so many thousandths of the pause before.
    Thousandths(u32),
}

/// What becomes of a bad record (`failure_strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// SendToDLQ: it goes to the dead letters, or is only counted where these are switched off.
    #[default]
    DeadLetter,
    /// LogAndContinue: the log tells of it, and it is passed over.
    Log,
    /// FailBatch: the run stops in front of it.
    Stop,
}

/// Where bad records go.
#[derive(Clone, Debug, PartialEq)]
pub struct DlqPlan {
    /// Name for counters: the source's or the sink's.
    pub name: String,
    /// The file; created on the first dead letter. Empty when there is a topic.
    pub path: PathBuf,
    /// Write to this topic instead: original bytes, key and headers, the reason in headers.
    pub topic: Option<Box<KafkaSink>>,
    /// FALSE: nothing is written (`enable_dlq=false`, or another strategy than [`Failure::DeadLetter`]).
    pub enabled: bool,
    /// What becomes of a bad record.
    pub failure: Failure,
    /// Edge to its writer.
    pub edge: EdgeId,
}
