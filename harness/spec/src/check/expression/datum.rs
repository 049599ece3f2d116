//! Values while an expression is evaluated.

use std::borrow::Cow;

use velostream_types::{Value, time};

use super::Comparison;
use crate::check::number::Number;
use crate::record_text::text;

/// Numbers closer than this are equal.
const EQUAL_WITHIN: f64 = 1e-10;

/// A value of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Datum<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// Ns since the epoch.
    Time(i64),
}

impl<'a> Datum<'a> {
    /// A field's or a variable's value.
    pub(super) fn of(value: &'a Value) -> Datum<'a> {
        match value {
            Value::Null => Datum::Null,
            Value::Bool(b) => Datum::Bool(*b),
            Value::Timestamp(t) => Datum::Time(*t),
            other => Number::of(other).map_or_else(|| Datum::Text(text(other)), Datum::Number),
        }
    }

    /// Without what it borrows.
    pub(super) fn owned(self) -> Datum<'static> {
        match self {
            Datum::Null => Datum::Null,
            Datum::Bool(b) => Datum::Bool(b),
            Datum::Number(number) => Datum::Number(number),
            Datum::Text(text) => Datum::Text(Cow::Owned(text.into_owned())),
            Datum::Time(t) => Datum::Time(t),
        }
    }

    /// Non-zero, non-empty, TRUE.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Datum::Null => false,
            Datum::Bool(b) => *b,
            Datum::Number(number) => !number.is_zero(),
            Datum::Text(text) => !text.is_empty(),
            Datum::Time(_) => true,
        }
    }

    /// As messages show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Datum::Null => "NULL".to_owned(),
            Datum::Bool(b) => b.to_string(),
            Datum::Number(number) => number.shortest().text(),
            Datum::Text(text) => format!("'{text}'"),
            Datum::Time(t) => text(&Value::Timestamp(*t)).into_owned(),
        }
    }

    /// What it is, for messages about operators.
    pub(super) fn sort(&self) -> &'static str {
        match self {
            Datum::Null => "NULL",
            Datum::Bool(_) => "a truth value",
            Datum::Number(_) => "a number",
            Datum::Text(_) => "a text",
            Datum::Time(_) => "a time",
        }
    }

    fn equals(&self, other: &Datum<'_>) -> bool {
        match (self, other) {
            (Datum::Null, Datum::Null) => true,
            (Datum::Bool(a), Datum::Bool(b)) => a == b,
            (Datum::Number(a), Datum::Number(b)) => a.within(*b, EQUAL_WITHIN),
            (Datum::Text(a), Datum::Text(b)) => a == b,
            (Datum::Time(a), Datum::Time(b)) => a == b,
            (Datum::Time(t), Datum::Text(text)) | (Datum::Text(text), Datum::Time(t)) => {
                time::parse_timestamp(text) == Some(*t)
            }
            _ => false,
        }
    }

    /// Numbers and times have an order; what is NULL is neither greater nor less.
    pub(super) fn compare(&self, comparison: Comparison, other: &Datum<'_>) -> Result<bool, String> {
        match comparison {
            Comparison::Equal => return Ok(self.equals(other)),
            Comparison::NotEqual => return Ok(!self.equals(other)),
            _ => {}
        }
        let ordering = match (self, other) {
            (Datum::Null, _) | (_, Datum::Null) => return Ok(false),
            (Datum::Number(a), Datum::Number(b)) => a.compare(*b),
            (Datum::Time(a), Datum::Time(b)) => a.cmp(b),
            (a, b) => return Err(format!("{} and {} have no order: < and > compare numbers", a.sort(), b.sort())),
        };
        Ok(match comparison {
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
            Comparison::Less => ordering.is_lt(),
            _ => ordering.is_le(),
        })
    }
}
