//! Records as tests see them: published ones and captured ones.

use std::sync::Arc;

use velostream_types::Value;

/// Fields of a record, in its order. Nested values are JSON text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Name and value.
    pub fields: Vec<(Arc<str>, Value)>,
}

impl Row {
    /// Value of a field; `None` where the record has none of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| &**field == name).map(|(_, value)| value)
    }
}

/// A header and its value.
pub type Header = (String, Option<Vec<u8>>);

/// A record of a sink or of an input, while it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its fields; none for a tombstone.
    pub row: Option<&'a Row>,
    /// Message key.
    pub key: Option<&'a [u8]>,
    /// Partition; 0 in a file.
    pub partition: u32,
    /// Offset in it; from 0 in a file.
    pub offset: i64,
    /// Message timestamp, ms.
    pub timestamp_ms: Option<i64>,
    /// When it was captured, ms; `None` for inputs and records of files.
    pub arrival_ms: Option<i64>,
    /// Headers in their order.
    pub headers: &'a [Header],
}

/// A record to be published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Its fields.
    pub row: Row,
    /// Message key.
    pub key: Option<Box<str>>,
    /// Event time, ms: the message timestamp and the header `_EVENT_TIME`.
    pub event_time_ms: Option<i64>,
}
