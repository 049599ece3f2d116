//! One scalar value, for literals, group keys shown to people, defaults and oracles. Never used per row in hot loops.

use std::fmt;

use crate::datatype::DataType;
use crate::{decimal, time};

/// A scalar of any logical type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// TRUE or FALSE.
    Bool(bool),
    /// 64-bit integer.
    Int(i64),
    /// 64-bit float.
    Float(f64),
    /// Exact decimal: `mantissa / 10^scale`.
    Decimal {
        /// Signed digits without the point.
        mantissa: i128,
        /// Digits after the point.
        scale: u8,
    },
    /// Text.
    Str(Box<str>),
    /// Raw bytes.
    Bytes(Box<[u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Nanoseconds since the epoch, UTC.
    Timestamp(i64),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Nanoseconds.
    Interval(i64),
    /// JSON text: a value of any nested type.
    Json(Box<str>),
}

impl Value {
    /// Logical type of the value; a decimal takes all 38 digits.
    pub fn data_type(&self) -> DataType {
        match self {
            Value::Null => DataType::Null,
            Value::Bool(_) => DataType::Boolean,
            Value::Int(_) => DataType::Integer,
            Value::Float(_) => DataType::Float,
            Value::Decimal { scale, .. } => DataType::decimal(*scale),
            Value::Str(_) => DataType::String,
            Value::Bytes(_) => DataType::Bytes,
            Value::Date(_) => DataType::Date,
            Value::Timestamp(_) => DataType::Timestamp,
            Value::Time(_) => DataType::Time,
            Value::Interval(_) => DataType::Interval,
            Value::Json(_) => DataType::Json,
        }
    }

    /// TRUE for SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl fmt::Display for Value {
    /// Canonical text, the one `CAST(x AS STRING)` gives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) => f.write_str(&decimal::float_text(*x)),
            Value::Decimal { mantissa, scale } => f.write_str(&decimal::to_text(*mantissa, *scale)),
            Value::Str(s) | Value::Json(s) => f.write_str(s),
            Value::Bytes(b) => b.iter().try_for_each(|x| write!(f, "{x:02x}")),
            Value::Date(d) => f.write_str(&time::date_text(*d)),
            Value::Timestamp(t) => f.write_str(&time::timestamp_text(*t)),
            Value::Time(t) => f.write_str(&time::time_text(*t)),
            Value::Interval(n) => f.write_str(&time::duration_text(*n)),
        }
    }
}
