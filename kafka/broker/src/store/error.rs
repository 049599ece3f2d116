//! Why the log refused, and the error code of the Kafka protocol for each reason.

use std::{fmt, io};

/// Why an append was refused. Nothing of it was stored.
#[derive(Debug)]
pub enum AppendError {
    /// The bytes are no whole record batch, or their checksum is wrong.
    Corrupt(String),
    /// The batch is well-formed but must not be stored here, for example a record without key in a compacted topic.
    InvalidRecord(String),
    /// The batch is larger than `max.message.bytes`.
    TooLarge {
        /// Size of the batch in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A timestamp is further from now than the topic allows.
    InvalidTimestamp {
        /// The timestamp found.
        timestamp: i64,
        /// The time of the append.
        now: i64,
    },
    /// The sequence does not follow the last one of this producer.
    OutOfOrderSequence,
    /// A newer epoch of this producer exists.
    FencedEpoch,
    /// A newer transaction coordinator has written for this producer.
    FencedCoordinator,
    /// A write outside the transaction that this producer has open here.
    InvalidTransaction,
    /// A marker for a producer id that cannot exist.
    UnknownProducer,
    /// A format other than 2.
    UnsupportedMagic(i8),
    /// The disk failed.
    Io(io::Error),
}

impl AppendError {
    /// Error code of the Kafka protocol.
    pub fn code(&self) -> i16 {
        match self {
            AppendError::Corrupt(_) => 2,
            AppendError::TooLarge { .. } => 10,
            AppendError::InvalidTimestamp { .. } => 32,
            AppendError::OutOfOrderSequence => 45,
            AppendError::FencedEpoch => 47,
            AppendError::InvalidTransaction => 48,
            AppendError::FencedCoordinator => 52,
            AppendError::Io(_) => 56,
            AppendError::UnknownProducer => 59,
            AppendError::InvalidRecord(_) | AppendError::UnsupportedMagic(_) => 87,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Corrupt(what) => write!(f, "corrupt record batch: {what}"),
            AppendError::InvalidRecord(what) => write!(f, "invalid record batch: {what}"),
            AppendError::TooLarge { size, max } => {
                write!(f, "a batch of {size} bytes is above max.message.bytes={max} of this topic")
            }
            AppendError::InvalidTimestamp { timestamp, now } => write!(
                f,
                "timestamp {timestamp} is too far from the broker's {now}: see message.timestamp.before.max.ms and \
                 message.timestamp.after.max.ms of this topic"
            ),
            AppendError::OutOfOrderSequence => f.write_str("the sequence does not follow the producer's last one"),
            AppendError::FencedEpoch => f.write_str("the producer was fenced by a newer epoch"),
            AppendError::FencedCoordinator => f.write_str("the marker comes from a former transaction coordinator"),
            AppendError::InvalidTransaction => {
                f.write_str("the producer has a transaction open here and must write inside it")
            }
            AppendError::UnknownProducer => f.write_str("a marker needs a producer id of at least 0"),
            AppendError::UnsupportedMagic(magic) => {
                write!(f, "record format {magic} is not supported: use format 2 (Kafka 0.11 or later)")
            }
            AppendError::Io(error) => write!(f, "the log could not be written: {error}"),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        AppendError::Io(error)
    }
}

/// Why a read was refused.
#[derive(Debug)]
pub enum ReadError {
    /// The offset is outside what the log holds.
    OutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset that can be read.
        log_start: i64,
        /// One past the last stored offset.
        log_end: i64,
    },
    /// The disk failed, or what it holds is damaged.
    Io(io::Error),
}

impl ReadError {
    /// Error code of the Kafka protocol.
    pub fn code(&self) -> i16 {
        match self {
            ReadError::OutOfRange { .. } => 1,
            ReadError::Io(_) => 56,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::OutOfRange { offset, log_start, log_end } => {
                write!(f, "offset {offset} is outside the log, which holds {log_start} to {log_end}")
            }
            ReadError::Io(error) => write!(f, "the log could not be read: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}
