//! The words that keys take, each beside what it stands for.

use super::shape::Meaning;
use crate::assertion::{AggregateFunction, Direction, DistributionType, FieldOperator, MetricType, View};
use crate::schema::FieldType;
use crate::spec::{CaptureFormat, FileFormat};

/// `format` of a file.
pub static FILE_FORMATS: Meaning<FileFormat, 9> = [
    ("Csv", FileFormat::Csv),
    ("CsvNoHeader", FileFormat::CsvNoHeader),
    ("JsonLines", FileFormat::JsonLines),
    ("Json", FileFormat::Json),
    ("csv", FileFormat::Csv),
    ("csv_no_header", FileFormat::CsvNoHeader),
    ("json_lines", FileFormat::JsonLines),
    ("jsonl", FileFormat::JsonLines),
    ("json", FileFormat::Json),
];

/// `format` of an input and `capture_format` of a query.
pub static RECORD_FORMATS: Meaning<CaptureFormat, 3> =
    [("json", CaptureFormat::Json), ("avro", CaptureFormat::Avro), ("protobuf", CaptureFormat::Protobuf)];

/// `operator` of `field_values`; the spellings of metrics are accepted as well.
pub static FIELD_OPERATORS: Meaning<FieldOperator, 12> = [
    ("equals", FieldOperator::Equals),
    ("not_equals", FieldOperator::NotEquals),
    ("greater_than", FieldOperator::GreaterThan),
    ("less_than", FieldOperator::LessThan),
    ("greater_than_or_equals", FieldOperator::GreaterThanOrEquals),
    ("greater_than_or_equal", FieldOperator::GreaterThanOrEquals),
    ("less_than_or_equals", FieldOperator::LessThanOrEquals),
    ("less_than_or_equal", FieldOperator::LessThanOrEquals),
    ("contains", FieldOperator::Contains),
    ("starts_with", FieldOperator::StartsWith),
    ("ends_with", FieldOperator::EndsWith),
    ("matches", FieldOperator::Matches),
];

/// How a metric is compared, before its value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricOperator {
    /// `=`
    Equals,
    /// `>`
    GreaterThan,
    /// `>=`
    GreaterThanOrEqual,
    /// `<`
    LessThan,
    /// `<=`
    LessThanOrEqual,
    /// Between two values.
    Between,
}

/// `operator` of metrics; the spellings of `field_values` are accepted as well.
pub static METRIC_OPERATORS: Meaning<MetricOperator, 8> = [
    ("equals", MetricOperator::Equals),
    ("greater_than", MetricOperator::GreaterThan),
    ("greater_than_or_equal", MetricOperator::GreaterThanOrEqual),
    ("greater_than_or_equals", MetricOperator::GreaterThanOrEqual),
    ("less_than", MetricOperator::LessThan),
    ("less_than_or_equal", MetricOperator::LessThanOrEqual),
    ("less_than_or_equals", MetricOperator::LessThanOrEqual),
    ("between", MetricOperator::Between),
];

/// `metric_type`
pub static METRIC_TYPES: Meaning<MetricType, 3> =
    [("counter", MetricType::Counter), ("gauge", MetricType::Gauge), ("histogram", MetricType::Histogram)];

/// `function` of `aggregate_check`
pub static AGGREGATES: Meaning<AggregateFunction, 5> = [
    ("SUM", AggregateFunction::Sum),
    ("COUNT", AggregateFunction::Count),
    ("AVG", AggregateFunction::Avg),
    ("MIN", AggregateFunction::Min),
    ("MAX", AggregateFunction::Max),
];

/// `direction`
pub static DIRECTIONS: Meaning<Direction, 2> =
    [("ascending", Direction::Ascending), ("descending", Direction::Descending)];

/// `view`
pub static VIEWS: Meaning<View, 2> = [("changes", View::Changes), ("final", View::Final)];

/// `mode` of `file_contains`; TRUE: one value is enough.
pub static FILE_MODES: Meaning<bool, 2> = [("all", false), ("any", true)];

/// `mode` of `percentile`; TRUE: the values are lower bounds.
pub static PERCENTILE_MODES: Meaning<bool, 2> = [("less_than", false), ("greater_than", true)];

/// `distribution_type`
pub static DISTRIBUTION_TYPES: Meaning<DistributionType, 4> = [
    ("normal", DistributionType::Normal),
    ("uniform", DistributionType::Uniform),
    ("exponential", DistributionType::Exponential),
    ("custom", DistributionType::Custom),
];

/// Decimals without a precision have so many digits behind the point.
pub const DECIMAL_DIGITS: u8 = 4;

/// `type` of a field, where it is one word.
pub static FIELD_TYPES: Meaning<FieldType, 8> = [
    ("string", FieldType::String),
    ("integer", FieldType::Integer),
    ("float", FieldType::Float),
    ("boolean", FieldType::Boolean),
    ("timestamp", FieldType::Timestamp),
    ("date", FieldType::Date),
    ("uuid", FieldType::Uuid),
    ("decimal", FieldType::Decimal(DECIMAL_DIGITS)),
];

/// Other names of types in `@data` hints.
pub static HINT_TYPES: Meaning<FieldType, 6> = [
    ("int", FieldType::Integer),
    ("i64", FieldType::Integer),
    ("f64", FieldType::Float),
    ("double", FieldType::Float),
    ("datetime", FieldType::Timestamp),
    ("bool", FieldType::Boolean),
];

/// What a word stands for.
pub fn meaning<T: Copy>(table: &[(&'static str, T)], word: &str) -> Option<T> {
    table.iter().find(|(own, _)| *own == word).map(|(_, meaning)| *meaning)
}
