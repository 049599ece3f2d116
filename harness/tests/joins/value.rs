//! Values of the simulator: truth values, integers, decimals of two digits, text, NULL, and how they compare.

use std::cmp::Ordering;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Hundredths.
    Dec(i64),
    Text(String),
}

impl Value {
    /// Of three truth values; `None` is the unknown one.
    pub fn of(truth: Option<bool>) -> Value {
        truth.map_or(Value::Null, Value::Bool)
    }

    /// NULL is unknown.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    fn hundredths(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(i * 100),
            Value::Dec(d) => Some(*d),
            _ => None,
        }
    }

    /// SQL's comparison: 5 equals 5.00, nothing compares with NULL.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            _ => Some(self.hundredths()?.cmp(&other.hundredths()?)),
        }
    }

    /// Sum or, with `times` −1, difference, of the larger scale; NULL with NULL.
    pub fn plus(&self, other: &Value, times: i64) -> Value {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Value::Int(a + times * b),
            _ => match (self.hundredths(), other.hundredths()) {
                (Some(a), Some(b)) => Value::Dec(a + times * b),
                _ => Value::Null,
            },
        }
    }

    /// JSON.
    pub fn text(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Dec(d) => {
                let sign = if *d < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", d.abs() / 100, d.abs() % 100)
            }
            Value::Text(text) => format!("\"{text}\""),
        }
    }

    /// As a literal of SQL.
    pub fn literal(&self) -> String {
        match self {
            Value::Text(text) => format!("'{text}'"),
            Value::Null => "NULL".to_owned(),
            other => other.text(),
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Dec,
    Text,
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

impl Column {
    pub fn new(name: impl Into<String>, kind: Kind) -> Column {
        Column { name: name.into(), kind }
    }
}
