//! The keys of a spec but for those of its assertions. `spec` makes values of them.

use super::assertion_keys::ASSERTION;
use super::shape::{ABOVE_ZERO, COUNT, Key, Object, RATE, Shape, TEXTS, Tagged, key};
use super::words::{FILE_FORMATS, RECORD_FORMATS, VIEWS};
use crate::findings::UNKNOWN_WORD;

const ASSERTIONS: Shape = Shape::List(&Shape::Tagged(&ASSERTION));
const DESCRIPTION: Key = key("description", Shape::Text, "What it is about.");
const FAULT_INJECTION: Key = key("fault_injection", Shape::Any, "Broken, repeated and late records.").later();
const DLQ: Key = key("dlq", Shape::Any, "Capture of dead letters.").later();
const TABLE_STATE: Key = key("table_state", Shape::Any, "Table that is kept of the captured records.").later();
const VIEW: Key =
    key("view", Shape::Word(&VIEWS), "What assertions look at that do not say: all records, or the last of each key.")
        .default("changes");
const PATH: Key = key("path", Shape::Text, "The file, relative to the spec's folder.").required();
const FORMAT: Key = key("format", Shape::Word(&FILE_FORMATS), "Its format; without it the extension tells.");
const TOPIC: Key = key("topic", Shape::Text, "The topic, where the SQL names none.");

/// A spec.
pub static SPEC: Object = Object {
    name: "spec",
    doc: "Tests of the queries of an app.",
    keys: &[
        key("application", Shape::Text, "Name of the app.").required(),
        DESCRIPTION,
        key("default_timeout_ms", Shape::Count(1, u64::MAX), "How long a query may take that does not say.")
            .default("30000"),
        key("default_records", COUNT, "Records of an input where neither it nor its schema says.").default("1000"),
        key("topic_naming", Shape::Object(&TOPIC_NAMING), "How test topics are called."),
        key("config", Shape::Map(&Shape::Text), "Properties laid over those of all sources and sinks."),
        key("queries", Shape::List(&Shape::Object(&QUERY)), "The tests, one query each.").required(),
        key("variables", Shape::Map(&Shape::Scalar), "Values for `{{variables.NAME}}` and `{{NAME}}`."),
        key("schemas", Shape::Map(&Shape::Text), "Data schemas: name and file, relative to the spec's folder."),
        key("now", Shape::Instant, "Time that relative times count from; without it the start of the run."),
        FAULT_INJECTION,
        key("stress_test", Shape::Any, "Settings of `velo-test stress`.").later(),
        key("debug", Shape::Any, "Settings of `velo-test debug`.").later(),
        key("scenarios", Shape::Any, "Selections of queries.").later(),
        DLQ,
        TABLE_STATE,
    ],
};

/// `topic_naming`
pub static TOPIC_NAMING: Object = Object {
    name: "topic_naming",
    doc: "How test topics are called.",
    keys: &[
        key(
            "pattern",
            Shape::Text,
            "The name, with `{run_id}`, `{base}`, `{timestamp}`, `{branch}`, `{user}` and `{namespace}`.",
        )
        .default("test_{run_id}_{base}"),
        key("namespace", Shape::Text, "For `{namespace}`."),
        key("branch_from_env", Shape::Text, "Environment variable with the branch.").default("GITHUB_REF_NAME"),
        key("user_from_env", Shape::Text, "Environment variable with the user.").default("GITHUB_ACTOR"),
        key("branch", Shape::Text, "The branch, whatever the environment says."),
        key("user", Shape::Text, "The user, whatever the environment says."),
        key("hash_long_names", Shape::Flag, "A name that is too long is cut and ends with a hash.").default("true"),
        key("max_topic_length", Shape::Count(17, 249), "Longest name.").default("249"),
    ],
};

/// An item of `queries`.
pub static QUERY: Object = Object {
    name: "query",
    doc: "The test of one query.",
    keys: &[
        key("name", Shape::Text, "Name of the statement.").required(),
        DESCRIPTION,
        key("skip", Shape::Flag, "The query is not run, and reported as skipped.").default("false"),
        key("dependencies", TEXTS, "Statements that are deployed first."),
        key("inputs", Shape::List(&Shape::Object(&INPUT)), "What is published; may be empty.").required(),
        key("output", Shape::Object(&OUTPUT), "Where the output goes."),
        key("outputs", Shape::List(&Shape::Object(&SINK)), "Assertions of single sinks."),
        key("assertions", ASSERTIONS, "Assertions of sinks that have none of their own."),
        key("timeout_ms", Shape::Count(1, u64::MAX), "How long it may take."),
        key("capture_format", Shape::Word(&RECORD_FORMATS), "Format of the captured records.").default("json"),
        key("capture_schema", Shape::Text, "Schema of these: a path, or the schema itself."),
        VIEW,
        key("metric_assertions", ASSERTIONS, "Assertions about metrics, evaluated before the job ends."),
        FAULT_INJECTION,
        DLQ,
        TABLE_STATE,
    ],
};

/// An item of `outputs`.
pub static SINK: Object = Object {
    name: "sink",
    doc: "Assertions of one sink.",
    keys: &[
        key("sink", Shape::Text, "Topic, path or query name.").required(),
        key("assertions", ASSERTIONS, "What has to be true of it."),
        VIEW,
    ],
};

/// `output`
pub static OUTPUT: Object = Object {
    name: "output",
    doc: "Where the output goes.",
    keys: &[key("sink_type", Shape::Tagged(&SINK_TYPE), "Topic or file.")],
};

/// `sink_type`
pub static SINK_TYPE: Tagged =
    Tagged { what: "sink type", unknown: UNKNOWN_WORD, variants: &[("kafka", &KAFKA_SINK), ("file", &FILE_SINK)] };

static KAFKA_SINK: Object = Object { name: "kafka_sink", doc: "A topic.", keys: &[TOPIC] };
static FILE_SINK: Object = Object { name: "file_sink", doc: "A file.", keys: &[PATH, FORMAT] };

/// An item of `inputs`.
pub static INPUT: Object = Object {
    name: "input",
    doc: "What is published to one source.",
    keys: &[
        key("source", Shape::Text, "Name of the source in the SQL.").required(),
        key("schema", Shape::Text, "Data schema; without it that of the source's name."),
        key("records", COUNT, "Number of records."),
        key("from_previous", Shape::Text, "Query whose captured records are published."),
        key("data_file", Shape::Text, "File whose records are published, relative to the spec's folder."),
        key("source_type", Shape::Tagged(&SOURCE_TYPE), "Topic or file."),
        key("key_field", Shape::Text, "Field whose text is the message key."),
        key("time_simulation", Shape::Object(&TIME_SIMULATION), "Event times."),
        key("null_probability", RATE, "Rate of NULLs in nullable fields."),
        key("format", Shape::Word(&RECORD_FORMATS), "Encoding of the published records."),
        key("rate_per_second", ABOVE_ZERO, "Records a second.").later(),
    ],
};

/// `source_type`
pub static SOURCE_TYPE: Tagged = Tagged {
    what: "source type",
    unknown: UNKNOWN_WORD,
    variants: &[("kafka", &KAFKA_SOURCE), ("file", &FILE_SOURCE)],
};

static KAFKA_SOURCE: Object = Object { name: "kafka_source", doc: "A topic.", keys: &[TOPIC] };
static FILE_SOURCE: Object = Object {
    name: "file_source",
    doc: "A file that the SQL reads itself.",
    keys: &[PATH, FORMAT, key("watch", Shape::Flag, "The file is followed.").default("false")],
};

/// `time_simulation`
pub static TIME_SIMULATION: Object = Object {
    name: "time_simulation",
    doc: "Event times of generated records.",
    keys: &[
        key("start_time", Shape::Moment, "Time of the first record.").default("-1h"),
        key("end_time", Shape::Moment, "Time of the last record.").default("now"),
        key("time_scale", ABOVE_ZERO, "Speed of publishing beside that of the times.").default("1.0"),
        key("events_per_second", ABOVE_ZERO, "Records a second."),
        key("sequential", Shape::Flag, "Times are evenly from start to end; else anywhere between.").default("true"),
        key("jitter_ms", COUNT, "Each time is moved by up to this, at random.").default("0"),
        key("batch_size", Shape::Count(1, u64::MAX), "Records that have one time.").default("1"),
    ],
};
