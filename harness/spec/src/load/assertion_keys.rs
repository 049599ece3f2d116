//! The keys of assertions, one table each. `assertions` makes values of them.

use super::shape::{COUNT, Key, NUMBER, Object, PERCENT, POSITIVE, RATE, Shape, TEXTS, Tagged, key};
use super::words::{
    AGGREGATES, DIRECTIONS, DISTRIBUTION_TYPES, FIELD_OPERATORS, FILE_FORMATS, FILE_MODES, METRIC_OPERATORS,
    METRIC_TYPES, PERCENTILE_MODES, VIEWS,
};
use crate::findings::UNKNOWN_ASSERTION;

const EQUALS: Key = key("equals", COUNT, "Exactly so many.");
const GREATER_THAN: Key = key("greater_than", COUNT, "More than so many.");
const LESS_THAN: Key = key("less_than", COUNT, "Fewer than so many.");
const MIN: Key = key("min", COUNT, "At least so many.").alias(&["greater_than_or_equal", "greater_than_or_equals"]);
const MAX: Key = key("max", COUNT, "At most so many.").alias(&["less_than_or_equal", "less_than_or_equals"]);
const FIELD: Key = key("field", Shape::Text, "The field.").required();
const PATH: Key = key("path", Shape::Text, "The file, relative to the spec's folder.").required();
const FORMAT: Key = key("format", Shape::Word(&FILE_FORMATS), "Its format; without it the extension tells.");
const ERROR_TYPES: Key = key("error_types", TEXTS, "Only errors of these types count; without it all do.");
const NAME: Key = key("name", Shape::Text, "Name of the metric.").required();
const DIRECTION: Key = key("direction", Shape::Word(&DIRECTIONS), "Which way.").default("ascending");
const OPERATOR: Key =
    key("operator", Shape::Word(&METRIC_OPERATORS), "How the value is compared.").default("greater_than");
const VALUE: Key = key("value", NUMBER, "With what it is compared.");
const BETWEEN: Key = key("between", Shape::Pair(&NUMBER), "Least and greatest value, for the operator `between`.");
const VIEW: Key =
    key("view", Shape::Word(&VIEWS), "All records, or the last of each key; without it what the sink or query says.");
const LABELS: Key = key("labels", Shape::Map(&Shape::Text), "Only series with these labels count.");
const TOLERANCE: Key = key("tolerance", POSITIVE, "How far it may be off.").default("0.0001");

const fn min_records(default: &'static str) -> Key {
    key("min_records", COUNT, "Fewer records than this are not judged.").default(default)
}

static RECORD_COUNT: Object = Object {
    name: "record_count",
    doc: "Number of records in the output.",
    keys: &[
        EQUALS,
        GREATER_THAN,
        LESS_THAN,
        MIN,
        MAX,
        key("between", Shape::Pair(&COUNT), "Least and greatest number, both included."),
        key("expression", Shape::Text, "The number, or a comparison that holds: `{{inputs.trades.count}} * 0.9`."),
        VIEW,
    ],
};

static SCHEMA_CONTAINS: Object = Object {
    name: "schema_contains",
    doc: "Fields that the output's records have.",
    keys: &[
        key("fields", TEXTS, "The fields.").required(),
        key("key_field", Shape::Text, "Field that the message keys are of; some record has one."),
        VIEW,
    ],
};

static NO_NULLS: Object = Object {
    name: "no_nulls",
    doc: "Fields that are never NULL.",
    keys: &[key("fields", TEXTS, "The fields; without it those of the first record."), VIEW],
};

static FIELD_IN_SET: Object = Object {
    name: "field_in_set",
    doc: "Every value of a field is one of these.",
    keys: &[FIELD, key("values", TEXTS, "The values it may have.").required(), VIEW],
};

static FIELD_VALUES: Object = Object {
    name: "field_values",
    doc: "Every value of a field compares as stated.",
    keys: &[
        FIELD,
        key("operator", Shape::Word(&FIELD_OPERATORS), "How values are compared.").required(),
        key("value", Shape::Scalar, "With what they are compared.").required(),
        VIEW,
    ],
};

static AGGREGATE_CHECK: Object = Object {
    name: "aggregate_check",
    doc: "An aggregate over the values of a field.",
    keys: &[
        key("function", Shape::Word(&AGGREGATES), "The aggregate.").required(),
        FIELD,
        key("expected", Shape::Text, "The value it has: a number, or an expression.").required(),
        TOLERANCE,
        VIEW,
    ],
};

static JOIN_COVERAGE: Object = Object {
    name: "join_coverage",
    doc: "Share of the input's records that have come out of a join.",
    keys: &[
        key("min_match_rate", RATE, "The share at least, 0 to 1.").required(),
        key("left_source", Shape::Text, "Input whose records count."),
        key("right_source", Shape::Text, "The input it is joined to."),
        VIEW,
    ],
};

static TEMPLATE: Object = Object {
    name: "template",
    doc: "An expression over all records that is true.",
    keys: &[
        key("expression", Shape::Text, "The expression: `all(r.price > 0 for r in records)`.").required(),
        key("description", Shape::Text, "What it says, for the report."),
        VIEW,
    ],
};

static EXECUTION_TIME: Object = Object {
    name: "execution_time",
    doc: "Time from the start of the job to its last output.",
    keys: &[key("max_ms", COUNT, "At most so many ms."), key("min_ms", COUNT, "At least so many ms.")],
};

static MEMORY_USAGE: Object = Object {
    name: "memory_usage",
    doc: "Memory of the process.",
    keys: &[
        key("max_bytes", COUNT, "Peak at most."),
        key("max_mb", POSITIVE, "Peak at most, in units of 1048576 bytes."),
        key("max_growth_bytes", COUNT, "Growth at most."),
    ],
};

static THROUGHPUT: Object = Object {
    name: "throughput",
    doc: "Output records a second.",
    keys: &[
        key("min_records_per_second", POSITIVE, "At least.").alias(&["greater_than"]),
        key("max_records_per_second", POSITIVE, "At most."),
        key("expected_records_per_second", POSITIVE, "About so many."),
        key("tolerance_percent", POSITIVE, "How far the expected number may be off, percent.").default("20"),
    ],
};

static DLQ_COUNT: Object = Object {
    name: "dlq_count",
    doc: "Number of dead letters.",
    keys: &[
        key("topic", Shape::Text, "Topic of the dead letters; without it that of the output."),
        EQUALS,
        GREATER_THAN,
        LESS_THAN,
        MIN,
        MAX,
        ERROR_TYPES,
    ],
};

static ERROR_RATE: Object = Object {
    name: "error_rate",
    doc: "Share of the records that became dead letters.",
    keys: &[
        key("max_rate", RATE, "The share at most, 0 to 1."),
        key("max_percent", PERCENT, "The share at most, percent."),
        ERROR_TYPES,
        min_records("10"),
    ],
};

static NO_DUPLICATES: Object = Object {
    name: "no_duplicates",
    doc: "No two records have the same key.",
    keys: &[
        key("key_fields", TEXTS, "Fields that make up the key.").required(),
        key("allow_updates", Shape::Flag, "A later record of a key with other values is no duplicate.")
            .default("false"),
        key("max_duplicate_percent", PERCENT, "Share of duplicates that is still right, percent."),
        VIEW,
    ],
};

static ORDERING: Object = Object {
    name: "ordering",
    doc: "Records are in the order of a field.",
    keys: &[
        FIELD,
        DIRECTION,
        key("partition_by", Shape::Text, "Only records with the same value of this field are compared."),
        key("allow_equal", Shape::Flag, "Equal values may follow each other.").default("true"),
        VIEW,
    ],
};

static COMPLETENESS: Object = Object {
    name: "completeness",
    doc: "Keys of an input are found in the output.",
    keys: &[
        key("input_source", Shape::Text, "The input.").required(),
        key("key_field", Shape::Text, "Field of input and output.").required(),
        key("min_completeness", RATE, "Share of the keys at least, 0 to 1.").default("1.0"),
        key("required_fields", TEXTS, "Fields that every record of the output has."),
        VIEW,
    ],
};

static TABLE_FRESHNESS: Object = Object {
    name: "table_freshness",
    doc: "Age of a table's newest row.",
    keys: &[
        key("table", Shape::Text, "The table.").required(),
        key("max_age_ms", COUNT, "Age at most."),
        key("max_lag_ms", COUNT, "Ms behind the newest input at most."),
        key("min_records", COUNT, "Rows at least."),
        VIEW,
    ],
};

/// An item of `numeric_ranges`.
pub static NUMERIC_RANGE: Object = Object {
    name: "numeric_range",
    doc: "Bounds of a field's numbers.",
    keys: &[FIELD, key("min", NUMBER, "Least."), key("max", NUMBER, "Greatest.")],
};

/// An item of `string_patterns`.
pub static STRING_PATTERN: Object = Object {
    name: "string_pattern",
    doc: "Pattern of a field's texts.",
    keys: &[FIELD, key("pattern", Shape::Pattern, "Regular expression that finds something in each.").required()],
};

/// An item of `referential_integrity`.
pub static INTEGRITY: Object = Object {
    name: "referential_integrity",
    doc: "Values of a field are found in an input.",
    keys: &[
        FIELD,
        key("reference_source", Shape::Text, "The input.").required(),
        key("reference_field", Shape::Text, "Its field.").required(),
    ],
};

static DATA_QUALITY: Object = Object {
    name: "data_quality",
    doc: "Several checks of every record.",
    keys: &[
        key("no_nulls_in", TEXTS, "Fields that are there and not NULL."),
        key("no_empty_strings_in", TEXTS, "Fields without empty text."),
        key("numeric_ranges", Shape::List(&Shape::Object(&NUMERIC_RANGE)), "Bounds of numbers."),
        key("string_patterns", Shape::List(&Shape::Object(&STRING_PATTERN)), "Patterns of texts."),
        key("referential_integrity", Shape::List(&Shape::Object(&INTEGRITY)), "Values that inputs have."),
        key("min_quality_score", RATE, "Share of the checks that hold, 0 to 1; without it all have to."),
        VIEW,
    ],
};

static FILE_EXISTS: Object = Object {
    name: "file_exists",
    doc: "A file is there.",
    keys: &[PATH, key("min_size_bytes", COUNT, "Size at least."), key("max_size_bytes", COUNT, "Size at most.")],
};

static FILE_ROW_COUNT: Object = Object {
    name: "file_row_count",
    doc: "Number of data rows in a file.",
    keys: &[
        PATH,
        FORMAT,
        EQUALS,
        GREATER_THAN,
        LESS_THAN,
        MIN,
        MAX,
        key("skip_header", Shape::Flag, "The first line is a header; without it the format tells."),
    ],
};

static FILE_CONTAINS: Object = Object {
    name: "file_contains",
    doc: "A field of a file has these values.",
    keys: &[
        PATH,
        FORMAT,
        FIELD,
        key("expected_values", TEXTS, "The values.").required(),
        key("mode", Shape::Word(&FILE_MODES), "All of them have to be there, or any one.").default("all"),
    ],
};

static FILE_MATCHES: Object = Object {
    name: "file_matches",
    doc: "Two files have the same rows.",
    keys: &[
        key("actual_path", Shape::Text, "The file that is there.").required(),
        key("expected_path", Shape::Text, "The file it should be.").required(),
        FORMAT,
        key("compare_fields", TEXTS, "Only these fields are compared."),
        key("ignore_fields", TEXTS, "These fields are not compared."),
        key("ignore_order", Shape::Flag, "Rows may stand in any order.").default("true"),
        key("numeric_tolerance", POSITIVE, "How far numbers may be off.").default("0.0001"),
    ],
};

static WINDOW_BOUNDARY: Object = Object {
    name: "window_boundary",
    doc: "Times lie within their windows.",
    keys: &[
        key("timestamp_field", Shape::Text, "Time of the record."),
        key("window_start_field", Shape::Text, "Start of its window."),
        key("window_end_field", Shape::Text, "End of its window."),
        key("window_size_ms", COUNT, "Size of windows."),
        key("tolerance_ms", COUNT, "How far times may be off.").default("0"),
        key("verify_containment", Shape::Flag, "The time has to be within the window.").default("true"),
        key("verify_alignment", Shape::Flag, "The start has to be a multiple of the size.").default("false"),
        VIEW,
    ],
};

static LATENCY: Object = Object {
    name: "latency",
    doc: "Time from a record's event time to its output.",
    keys: &[
        key("timestamp_field", Shape::Text, "Event time of the record."),
        key("max_latency_ms", POSITIVE, "Greatest."),
        key("avg_latency_ms", POSITIVE, "Mean."),
        key("p99_latency_ms", POSITIVE, "99 of 100 are at most this."),
        key("p95_latency_ms", POSITIVE, "95 of 100 are at most this."),
        key("p50_latency_ms", POSITIVE, "Half are at most this."),
        min_records("10"),
        VIEW,
    ],
};

static DISTRIBUTION: Object = Object {
    name: "distribution",
    doc: "Shape of a field's values.",
    keys: &[
        FIELD,
        key("distribution_type", Shape::Word(&DISTRIBUTION_TYPES), "The shape.").required(),
        key("mean", NUMBER, "Mean."),
        key("std_dev", POSITIVE, "Standard deviation."),
        key("min_value", NUMBER, "Least."),
        key("max_value", NUMBER, "Greatest."),
        key("tolerance", POSITIVE, "How far each may be off, as a share.").default("0.1"),
        min_records("100"),
        VIEW,
    ],
};

static PERCENTILE: Object = Object {
    name: "percentile",
    doc: "Percentiles of a field's values.",
    keys: &[
        FIELD,
        key("p50", NUMBER, "Bound of the median."),
        key("p75", NUMBER, "Bound of the 75th percentile."),
        key("p90", NUMBER, "Bound of the 90th percentile."),
        key("p95", NUMBER, "Bound of the 95th percentile."),
        key("p99", NUMBER, "Bound of the 99th percentile."),
        key("p999", NUMBER, "Bound of the 99.9th percentile."),
        key("mode", Shape::Word(&PERCENTILE_MODES), "Which side of the bounds is right.").default("less_than"),
        min_records("10"),
        VIEW,
    ],
};

static EVENT_ORDERING: Object = Object {
    name: "event_ordering",
    doc: "Records are in the order of their times.",
    keys: &[
        key("timestamp_field", Shape::Text, "Time of the record.").required(),
        key("partition_field", Shape::Text, "Only records with the same value of this field are compared."),
        key("window_size_ms", COUNT, "Records this far apart may stand in any order."),
        DIRECTION,
        key("allow_gaps", Shape::Flag, "Times may be far apart.").default("true"),
        key("max_out_of_order_percent", PERCENT, "Share that may be out of order, percent."),
        key("max_gap_ms", COUNT, "How far apart they may be."),
        VIEW,
    ],
};

static METRIC_COUNTER: Object = Object {
    name: "metric_counter",
    doc: "Sum of a counter's series.",
    keys: &[NAME, OPERATOR, VALUE, BETWEEN, LABELS],
};

static METRIC_GAUGE: Object = Object {
    name: "metric_gauge",
    doc: "Value of a gauge.",
    keys: &[NAME, OPERATOR, VALUE, BETWEEN, LABELS, TOLERANCE],
};

static METRIC_EXISTS: Object = Object {
    name: "metric_exists",
    doc: "A metric is there.",
    keys: &[NAME, key("metric_type", Shape::Word(&METRIC_TYPES), "What it is.").alias(&["expected_type"])],
};

/// Assertions by their `type`.
pub static ASSERTION: Tagged = Tagged {
    what: "assertion",
    unknown: UNKNOWN_ASSERTION,
    variants: &[
        ("record_count", &RECORD_COUNT),
        ("schema_contains", &SCHEMA_CONTAINS),
        ("no_nulls", &NO_NULLS),
        ("field_in_set", &FIELD_IN_SET),
        ("field_values", &FIELD_VALUES),
        ("aggregate_check", &AGGREGATE_CHECK),
        ("join_coverage", &JOIN_COVERAGE),
        ("template", &TEMPLATE),
        ("execution_time", &EXECUTION_TIME),
        ("memory_usage", &MEMORY_USAGE),
        ("throughput", &THROUGHPUT),
        ("dlq_count", &DLQ_COUNT),
        ("error_rate", &ERROR_RATE),
        ("no_duplicates", &NO_DUPLICATES),
        ("ordering", &ORDERING),
        ("completeness", &COMPLETENESS),
        ("table_freshness", &TABLE_FRESHNESS),
        ("data_quality", &DATA_QUALITY),
        ("file_exists", &FILE_EXISTS),
        ("file_row_count", &FILE_ROW_COUNT),
        ("file_contains", &FILE_CONTAINS),
        ("file_matches", &FILE_MATCHES),
        ("window_boundary", &WINDOW_BOUNDARY),
        ("latency", &LATENCY),
        ("distribution", &DISTRIBUTION),
        ("percentile", &PERCENTILE),
        ("event_ordering", &EVENT_ORDERING),
        ("metric_counter", &METRIC_COUNTER),
        ("metric_gauge", &METRIC_GAUGE),
        ("metric_exists", &METRIC_EXISTS),
    ],
};
