//! Assertions as specs state them. Names and defaults are those of velo-test's reference (`docs/velo-test.md`).

use std::path::PathBuf;

use velostream_types::{Span, Value};

use crate::spec::FileFormat;

/// An assertion and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// What has to be true.
    pub kind: AssertionKind,
    /// Its `type`.
    pub span: Span,
    /// Which records of the output it is about.
    pub view: View,
}

/// What of an output is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// All records, as they came.
    #[default]
    Changes,
    /// The last record of each message key, unless that is a deletion; records without a key all count.
    Final,
}

/// Bounds of a count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountBounds {
    /// Exactly; decides alone.
    pub equals: Option<u64>,
    /// More than.
    pub greater_than: Option<u64>,
    /// Less than.
    pub less_than: Option<u64>,
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOperator {
    /// `=`; numbers within 1e-4.
    Equals,
    /// `<>`
    NotEquals,
    /// `>`
    GreaterThan,
    /// `<`
    LessThan,
    /// `>=`
    GreaterThanOrEquals,
    /// `<=`
    LessThanOrEquals,
    /// The text is part of it.
    Contains,
    /// It begins with the text.
    StartsWith,
    /// It ends with the text.
    EndsWith,
    /// A regular expression finds something in it.
    Matches,
}

/// Aggregates of `aggregate_check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    /// Sum.
    Sum,
    /// Records with a value.
    Count,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Greatest.
    Max,
}

/// Order of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Rising.
    #[default]
    Ascending,
    /// Falling.
    Descending,
}

/// A range of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericRange {
    /// Of this field.
    pub field: String,
    /// Least.
    pub min: Option<f64>,
    /// Greatest.
    pub max: Option<f64>,
}

/// A pattern of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringPattern {
    /// Of this field.
    pub field: String,
    /// Regular expression.
    pub pattern: String,
}

/// Values that have to be those of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Field of the output.
    pub field: String,
    /// Input.
    pub reference_source: String,
    /// Its field.
    pub reference_field: String,
}

/// Shapes of `distribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistributionType {
    /// Mean and standard deviation.
    Normal,
    /// Least and greatest.
    Uniform,
    /// No negatives.
    Exponential,
    /// Whatever bounds are given.
    Custom,
}

/// How a metric is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricTest {
    /// `=`
    Equals(f64),
    /// `>`
    GreaterThan(f64),
    /// `>=`
    GreaterThanOrEqual(f64),
    /// `<`
    LessThan(f64),
    /// `<=`
    LessThanOrEqual(f64),
    /// Both included.
    Between(f64, f64),
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// It only rises.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Values by size.
    Histogram,
}

/// What has to be true.
#[derive(Clone, Debug, PartialEq)]
pub enum AssertionKind {
    /// Number of records.
    RecordCount {
        /// Bounds.
        bounds: CountBounds,
        /// Its value, or whether it is true.
        expression: Option<String>,
    },
    /// Fields that records have.
    SchemaContains {
        /// All of these, over all records.
        fields: Vec<String>,
        /// There are message keys.
        key_field: Option<String>,
    },
    /// Fields without NULL; none: those of the first record.
    NoNulls {
        /// Which.
        fields: Vec<String>,
    },
    /// Values of a field.
    FieldInSet {
        /// Which.
        field: String,
        /// Their texts.
        values: Vec<String>,
    },
    /// Every value of a field.
    FieldValues {
        /// Which.
        field: String,
        /// How.
        operator: FieldOperator,
        /// With what.
        value: Value,
    },
    /// An aggregate over a field.
    AggregateCheck {
        /// Which.
        function: AggregateFunction,
        /// Over what.
        field: String,
        /// A number or an expression.
        expected: String,
        /// How far it may be off.
        tolerance: f64,
    },
    /// Share of input records that gave output.
    JoinCoverage {
        /// At least.
        min_match_rate: f64,
        /// Input whose records count.
        left_source: Option<String>,
        /// The other one.
        right_source: Option<String>,
    },
    /// An expression over all records.
    Template {
        /// Which.
        expression: String,
        /// What it says.
        description: Option<String>,
    },
    /// From the job's start to its last output.
    ExecutionTime {
        /// At most.
        max_ms: Option<u64>,
        /// At least.
        min_ms: Option<u64>,
    },
    /// Memory of the process.
    MemoryUsage {
        /// Peak at most.
        max_bytes: Option<u64>,
        /// Growth at most.
        max_growth_bytes: Option<u64>,
    },
    /// Output records a second.
    Throughput {
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
        /// About.
        expected: Option<f64>,
        /// How far that may be off, percent.
        tolerance_percent: f64,
    },
    /// Dead letters.
    DlqCount {
        /// Of this topic.
        topic: Option<String>,
        /// Bounds.
        bounds: CountBounds,
        /// Of these types only.
        error_types: Vec<String>,
    },
    /// Share of dead letters.
    ErrorRate {
        /// At most, 0 to 1.
        max_rate: f64,
        /// Of these types only.
        error_types: Vec<String>,
        /// Fewer records are not judged.
        min_records: u64,
    },
    /// Keys that come once.
    NoDuplicates {
        /// Which fields.
        key_fields: Vec<String>,
        /// A later record of a key with other values is an update.
        allow_updates: bool,
        /// Share that may come twice, percent.
        max_duplicate_percent: Option<f64>,
    },
    /// Order of neighbours.
    Ordering {
        /// By this field.
        field: String,
        /// Which way.
        direction: Direction,
        /// Within the records of one value of this field.
        partition_by: Option<String>,
        /// Equal ones may follow each other.
        allow_equal: bool,
    },
    /// Keys of an input that came out.
    Completeness {
        /// Which input.
        input_source: String,
        /// Field of both.
        key_field: String,
        /// Share, 0 to 1.
        min_completeness: f64,
        /// Fields that every record has.
        required_fields: Vec<String>,
    },
    /// Age of the newest row.
    TableFreshness {
        /// Of this table.
        table: String,
        /// Ms at most.
        max_age_ms: Option<u64>,
        /// Ms behind the newest input at most.
        max_lag_ms: Option<u64>,
        /// Rows at least.
        min_records: Option<u64>,
    },
    /// Several looks at every record.
    DataQuality {
        /// Fields without NULL, and that are there.
        no_nulls_in: Vec<String>,
        /// Fields without empty text.
        no_empty_strings_in: Vec<String>,
        /// Numbers.
        numeric_ranges: Vec<NumericRange>,
        /// Texts.
        string_patterns: Vec<StringPattern>,
        /// Values of an input.
        referential_integrity: Vec<Integrity>,
        /// Share of looks that hold, 0 to 1; without it all have to.
        min_quality_score: Option<f64>,
    },
    /// A file is there.
    FileExists {
        /// Which.
        path: PathBuf,
        /// At least.
        min_size_bytes: Option<u64>,
        /// At most.
        max_size_bytes: Option<u64>,
    },
    /// Data rows of a file.
    FileRowCount {
        /// Which.
        path: PathBuf,
        /// Its format.
        format: Option<FileFormat>,
        /// Bounds.
        bounds: CountBounds,
        /// The first line is a header.
        skip_header: bool,
    },
    /// Values of a file's field.
    FileContains {
        /// Which.
        path: PathBuf,
        /// Its format.
        format: Option<FileFormat>,
        /// Which field.
        field: String,
        /// Texts.
        expected_values: Vec<String>,
        /// One of them is enough.
        any: bool,
    },
    /// Rows of two files.
    FileMatches {
        /// What is there.
        actual_path: PathBuf,
        /// What should be.
        expected_path: PathBuf,
        /// Format of both.
        format: Option<FileFormat>,
        /// Only these fields.
        compare_fields: Vec<String>,
        /// Not these.
        ignore_fields: Vec<String>,
        /// Rows may stand anywhere.
        ignore_order: bool,
        /// How far numbers may be off.
        numeric_tolerance: f64,
    },
    /// Times within their windows.
    WindowBoundary {
        /// Time of the record.
        timestamp_field: Option<String>,
        /// Start of its window.
        window_start_field: Option<String>,
        /// End of it.
        window_end_field: Option<String>,
        /// Size of windows.
        window_size_ms: Option<u64>,
        /// How far times may be off.
        tolerance_ms: u64,
        /// The time is within the window.
        verify_containment: bool,
        /// The start is a multiple of the size.
        verify_alignment: bool,
    },
    /// From event time to output.
    Latency {
        /// Event time.
        timestamp_field: Option<String>,
        /// Greatest.
        max_ms: Option<f64>,
        /// Mean.
        avg_ms: Option<f64>,
        /// 99 of 100.
        p99_ms: Option<f64>,
        /// 95 of 100.
        p95_ms: Option<f64>,
        /// Half.
        p50_ms: Option<f64>,
        /// Fewer are not judged.
        min_records: u64,
    },
    /// Shape of a field's values.
    Distribution {
        /// Which field.
        field: String,
        /// Which shape.
        distribution_type: DistributionType,
        /// Mean.
        mean: Option<f64>,
        /// Standard deviation.
        std_dev: Option<f64>,
        /// Least.
        min_value: Option<f64>,
        /// Greatest.
        max_value: Option<f64>,
        /// How far each may be off, as a share.
        tolerance: f64,
        /// Fewer are not judged.
        min_records: u64,
    },
    /// Percentiles of a field's values.
    Percentile {
        /// Which field.
        field: String,
        /// Fractions (0.5, 0.99) and their bounds.
        bounds: Vec<(f64, f64)>,
        /// They are lower bounds.
        greater_than: bool,
        /// Fewer are not judged.
        min_records: u64,
    },
    /// Order of times.
    EventOrdering {
        /// Time of the record.
        timestamp_field: String,
        /// Within the records of one value of this field.
        partition_field: Option<String>,
        /// Records this far apart may stand in any order.
        window_size_ms: Option<u64>,
        /// Which way.
        direction: Direction,
        /// Times may be far apart.
        allow_gaps: bool,
        /// Share that may be out of order, percent.
        max_out_of_order_percent: Option<f64>,
        /// How far apart.
        max_gap_ms: Option<u64>,
    },
    /// Sum of a counter's series.
    MetricCounter {
        /// Its name.
        name: String,
        /// What holds.
        test: MetricTest,
        /// Of series with these labels.
        labels: Vec<(String, String)>,
    },
    /// Value of a gauge.
    MetricGauge {
        /// Its name.
        name: String,
        /// What holds.
        test: MetricTest,
        /// Of series with these labels.
        labels: Vec<(String, String)>,
        /// How far it may be off.
        tolerance: f64,
    },
    /// There is a metric.
    MetricExists {
        /// Its name.
        name: String,
        /// What it is.
        metric_type: Option<MetricType>,
    },
}

impl AssertionKind {
    /// Its `type` in specs.
    pub const fn name(&self) -> &'static str {
        match self {
            AssertionKind::RecordCount { .. } => "record_count",
            AssertionKind::SchemaContains { .. } => "schema_contains",
            AssertionKind::NoNulls { .. } => "no_nulls",
            AssertionKind::FieldInSet { .. } => "field_in_set",
            AssertionKind::FieldValues { .. } => "field_values",
            AssertionKind::AggregateCheck { .. } => "aggregate_check",
            AssertionKind::JoinCoverage { .. } => "join_coverage",
            AssertionKind::Template { .. } => "template",
            AssertionKind::ExecutionTime { .. } => "execution_time",
            AssertionKind::MemoryUsage { .. } => "memory_usage",
            AssertionKind::Throughput { .. } => "throughput",
            AssertionKind::DlqCount { .. } => "dlq_count",
            AssertionKind::ErrorRate { .. } => "error_rate",
            AssertionKind::NoDuplicates { .. } => "no_duplicates",
            AssertionKind::Ordering { .. } => "ordering",
            AssertionKind::Completeness { .. } => "completeness",
            AssertionKind::TableFreshness { .. } => "table_freshness",
            AssertionKind::DataQuality { .. } => "data_quality",
            AssertionKind::FileExists { .. } => "file_exists",
            AssertionKind::FileRowCount { .. } => "file_row_count",
            AssertionKind::FileContains { .. } => "file_contains",
            AssertionKind::FileMatches { .. } => "file_matches",
            AssertionKind::WindowBoundary { .. } => "window_boundary",
            AssertionKind::Latency { .. } => "latency",
            AssertionKind::Distribution { .. } => "distribution",
            AssertionKind::Percentile { .. } => "percentile",
            AssertionKind::EventOrdering { .. } => "event_ordering",
            AssertionKind::MetricCounter { .. } => "metric_counter",
            AssertionKind::MetricGauge { .. } => "metric_gauge",
            AssertionKind::MetricExists { .. } => "metric_exists",
        }
    }
}
