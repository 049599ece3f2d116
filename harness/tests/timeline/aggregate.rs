//! Aggregates recomputed from all rows of a group.

use std::collections::BTreeSet;

use super::model::Aggregate;
use super::value::Value;

/// A row as operators pass it on.
#[derive(Clone, Debug)]
pub struct Row {
    pub values: Vec<Value>,
    /// Event time.
    pub at: i64,
    /// Watermark of its partition as it stood just before the row; `i64::MIN` for none.
    pub own: i64,
    /// As-if order: offset, then partition.
    pub place: (i64, u32),
    /// Where the source had it, while it is still that row.
    pub origin: Option<(u32, i64)>,
}

/// The values of `aggregates` over `rows`, which come in as-if order.
pub fn values(aggregates: &[Aggregate], rows: &[&Row]) -> Vec<Value> {
    aggregates.iter().map(|a| value(*a, rows)).collect()
}

/// One aggregate.
pub fn value(aggregate: Aggregate, rows: &[&Row]) -> Value {
    let present = |c: usize| rows.iter().map(move |r| &r.values[c]).filter(|v| **v != Value::Null);
    let or_null = |v: Option<&Value>| v.cloned().unwrap_or(Value::Null);
    let by_time = |c: usize| {
        let mut kept: Vec<&&Row> = rows.iter().filter(|r| r.values[c] != Value::Null).collect();
        // FIRST and LAST, and their ties: event time, then source, partition, offset.
        kept.sort_by_key(|r| (r.at, r.place.1, r.place.0));
        kept.into_iter().map(|r| r.values[c].clone()).collect::<Vec<Value>>()
    };
    match aggregate {
        Aggregate::Rows => Value::Int(rows.len() as i128),
        Aggregate::Count(c) => Value::Int(present(c).count() as i128),
        Aggregate::Distinct(c) => Value::Int(present(c).collect::<BTreeSet<_>>().len() as i128),
        Aggregate::Sum(c) => sum(present(c)).unwrap_or(Value::Null),
        Aggregate::Min(c) => or_null(present(c).min()),
        Aggregate::Max(c) => or_null(present(c).max()),
        Aggregate::Delta(c) => match (present(c).min(), present(c).max()) {
            (Some(low), Some(high)) => match (low.mantissa(), high.mantissa()) {
                (Some(a), Some(b)) => low.like(b - a),
                _ => Value::Null,
            },
            _ => Value::Null,
        },
        Aggregate::First(c) => or_null(by_time(c).first()),
        Aggregate::Last(c) => or_null(by_time(c).last()),
        Aggregate::Joined(c) => {
            let texts: Vec<&str> =
                present(c).filter_map(|v| if let Value::Text(text) = v { Some(text.as_str()) } else { None }).collect();
            if texts.is_empty() { Value::Null } else { Value::Text(texts.join("-")) }
        }
        Aggregate::Average(c) => average(&present(c).filter_map(Value::mantissa).collect::<Vec<i128>>()),
    }
}

fn sum<'v>(values: impl Iterator<Item = &'v Value>) -> Option<Value> {
    let mut total: Option<Value> = None;
    for value in values {
        let before = total.as_ref().and_then(Value::mantissa).unwrap_or(0);
        total = Some(value.like(before + value.mantissa().unwrap_or(0)));
    }
    total
}

/// Mean of mantissas of scale 2 at scale 6, half away from zero.
fn average(mantissas: &[i128]) -> Value {
    let n = mantissas.len() as i128;
    if n == 0 {
        return Value::Null;
    }
    let total = mantissas.iter().sum::<i128>() * 10_000;
    let half = if total < 0 { -n } else { n };
    Value::Dec((2 * total + half) / (2 * n), 6)
}
