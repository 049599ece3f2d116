//! The kinds of error below the SQL front: a bad record and a broken environment. A user's mistake in SQL or
//! configuration is a `Diagnostic` of the SQL crate; the three never mix.

use std::fmt;

use crate::topic::TopicPartition;

/// Half-open byte range in one SQL text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range from `start` to `end`.
    pub const fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    /// Smallest range that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Where in a record's way it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes to columns.
    Deserialize,
    /// Expressions, late rows, groups lost to overflow.
    Process,
    /// Columns to bytes.
    Serialize,
    /// Bytes to the sink.
    Write,
}

impl Stage {
    /// Name used in dead letters and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Deserialize => "deserialize",
            Stage::Process => "process",
            Stage::Serialize => "serialize",
            Stage::Write => "write",
        }
    }
}

/// Stable code of a record error, part of the dead-letter format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// R0101: the record is not well-formed in its format.
    Malformed,
    /// R0102: the record is not valid UTF-8.
    InvalidUtf8,
    /// R0103: the record is longer than `max.record.bytes`.
    TooLong,
    /// R0104: too few or too many fields.
    FieldCount,
    /// R0105: a field's value does not fit the column's type.
    WrongType,
    /// R0106: a NOT NULL column is NULL.
    NullInNotNull,
    /// R0201: integer or decimal result out of range.
    Overflow,
    /// R0202: a CAST failed.
    Cast,
    /// R0203: a function got an argument outside its domain.
    Domain,
    /// R0204: a subquery gave more than one row where one value is taken.
    SeveralRows,
    /// R0301: the row came after its window was closed.
    Late,
    /// R0302: a group's SUM left the range of its type.
    GroupOverflow,
    /// R0303: event time missing, malformed or out of range.
    EventTime,
    /// R0401: the sink refused the record for what it is (too large).
    Refused,
}

impl ErrorCode {
    /// The code as users see it.
    pub const fn code(self) -> &'static str {
        match self {
            ErrorCode::Malformed => "R0101",
            ErrorCode::InvalidUtf8 => "R0102",
            ErrorCode::TooLong => "R0103",
            ErrorCode::FieldCount => "R0104",
            ErrorCode::WrongType => "R0105",
            ErrorCode::NullInNotNull => "R0106",
            ErrorCode::Overflow => "R0201",
            ErrorCode::Cast => "R0202",
            ErrorCode::Domain => "R0203",
            ErrorCode::SeveralRows => "R0204",
            ErrorCode::Late => "R0301",
            ErrorCode::GroupOverflow => "R0302",
            ErrorCode::EventTime => "R0303",
            ErrorCode::Refused => "R0401",
        }
    }
}

impl ErrorCode {
    /// The kind of error in the header `dlq.error.type` of dead-letter topics.
    pub const fn kind(self) -> &'static str {
        match self {
            ErrorCode::Malformed | ErrorCode::InvalidUtf8 | ErrorCode::TooLong => "deserialization",
            ErrorCode::FieldCount => "schema_validation",
            ErrorCode::WrongType | ErrorCode::Cast => "type_conversion",
            ErrorCode::NullInNotNull => "null_value",
            ErrorCode::Overflow
            | ErrorCode::Domain
            | ErrorCode::SeveralRows
            | ErrorCode::Late
            | ErrorCode::GroupOverflow
            | ErrorCode::EventTime => "sql_execution",
            ErrorCode::Refused => "unknown",
        }
    }
}

/// One bad datum: counted and dead-lettered, never fatal, never retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// What kind of error.
    pub code: ErrorCode,
    /// Where in the record's way.
    pub stage: Stage,
    /// What is wrong, in words, with the offending value shortened.
    pub message: Box<str>,
    /// The expression that failed, if one did.
    pub span: Option<Span>,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code.code(), self.stage.name(), self.message)
    }
}

/// A record error together with the position and the original bytes of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What went wrong.
    pub error: RecordError,
    /// Source relation as the app names it (path or topic).
    pub source: std::sync::Arc<str>,
    /// Partition of the record.
    pub partition: u32,
    /// 0-based record number in its partition, or Kafka offset.
    pub offset: i64,
    /// Byte position of the record in its file, where known.
    pub position: Option<u64>,
    /// Full length of the record in bytes when `bytes` was shortened.
    pub full_length: Option<u64>,
    /// The record as it came.
    pub bytes: Vec<u8>,
    /// What a broker says about the record besides its value, where known.
    pub origin: Option<Box<RecordOrigin>>,
}

/// A broker's record without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordOrigin {
    /// Timestamp, ms.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Headers, encoded as [`crate::headers`] says.
    pub headers: Option<Vec<u8>>,
    /// The value was null.
    pub null_value: bool,
}

/// What gets a job over a failed environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing but people: it stops.
    #[default]
    Stop,
    /// Time: somebody is away (brokers). A job that has not begun gives up, one that has tries again.
    Later,
    /// Going on from what was committed, in new shards. These partitions hold nothing from the offset on that was read
    /// before: they go on there at most.
    Restart(Vec<(TopicPartition, i64)>),
}

/// The environment failed: the job stops cleanly with this message, unless there is a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// What failed, where, and what to do.
    pub message: String,
    /// What gets a job over it.
    pub remedy: Remedy,
}

impl Fatal {
    /// A fatal error with this message.
    pub fn new(message: impl Into<String>) -> Fatal {
        Fatal { message: message.into(), remedy: Remedy::Stop }
    }

    /// The same, with a remedy.
    pub fn with(self, remedy: Remedy) -> Fatal {
        Fatal { remedy, ..self }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}
