//! UNNEST, a row at a time: the collection parsed whole, its elements as values of their type.

use velostream_sql::plan::UnnestSpec;
use velostream_types::{DataType, Value};

use super::graph::Flow;
use super::group::Through;
use super::nested;

/// The rows of a row's elements; `None` when its JSON is no array.
pub(super) fn taken_apart(spec: &UnnestSpec, row: &Flow) -> Option<Vec<Flow>> {
    let (collection, rest) = row.values.split_first()?;
    let elements = match collection {
        Value::Str(text) | Value::Json(text) => nested::parts(text, &spec.of)?,
        _ => Vec::new(),
    };
    let width = if matches!(spec.of, DataType::Map(_)) { 2 } else { 1 };
    let of = |(at, mut values): (usize, Vec<Value>)| {
        if spec.numbered {
            values.push(Value::Int(at as i64 + 1));
        }
        values.extend(rest.iter().cloned());
        Flow { values, ..row.clone() }
    };
    if elements.is_empty() && spec.keeps_empty {
        let nulls = vec![Value::Null; width + usize::from(spec.numbered)];
        return Some(vec![Flow { values: nulls.into_iter().chain(rest.iter().cloned()).collect(), ..row.clone() }]);
    }
    Some(elements.into_iter().enumerate().map(of).collect())
}

/// Numbers rows that were made of one.
#[derive(Default)]
pub(super) struct Numbered {
    /// Order of the last row, without its number, and the next number.
    last: Option<((i64, Through, u16, u32), u64)>,
}

impl Numbered {
    /// Rows of one row behind those of the same origin.
    pub fn number(&mut self, rows: Vec<Flow>) -> Vec<Flow> {
        let next = |mut row: Flow| {
            let (major, minor, (source, partition, _)) = row.order;
            let origin = (major, minor, source, partition);
            let number = self.last.filter(|(last, _)| *last == origin).map_or(0, |(_, number)| number);
            self.last = Some((origin, number + 1));
            row.order.2.2 = number;
            row
        };
        rows.into_iter().map(next).collect()
    }
}
