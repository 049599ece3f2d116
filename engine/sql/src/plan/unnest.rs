//! UNNEST: one row per element of a collection.

use velostream_types::{DataType, Span};

/// Takes the collection in the first column of its input apart.
///
/// Output columns: the element (of a MAP its key and its value), with `numbered` its place, then the columns of the input
/// behind the first.
#[derive(Clone, Debug, PartialEq)]
pub struct UnnestSpec {
    /// ARRAY, MAP, JSON (an array of it), or NULL where nothing is known of the values.
    pub of: DataType,
    /// Places are given, from 1.
    pub numbered: bool,
    /// LEFT JOIN: a row whose collection is NULL or empty is given once, with NULLs.
    pub keeps_empty: bool,
    /// The collection's text range.
    pub span: Span,
}

impl UnnestSpec {
    /// Types of what one element gives: itself, or key and value.
    pub fn elements(&self) -> Vec<DataType> {
        match &self.of {
            DataType::Array(of) => vec![of.as_ref().clone()],
            DataType::Map(value) => vec![DataType::String, value.as_ref().clone()],
            DataType::Json => vec![DataType::Json],
            _ => vec![DataType::Null],
        }
    }

    /// Column of the input that an output column is; `None` for what the elements give.
    pub fn below(&self, column: usize) -> Option<usize> {
        Some(column.checked_sub(self.made())? + 1)
    }

    /// Number of columns in front of those of the input.
    pub fn made(&self) -> usize {
        1 + usize::from(matches!(self.of, DataType::Map(_))) + usize::from(self.numbered)
    }
}
