//! ORDER BY over rows that are all there: by comparing values, one pair at a time.

use std::cmp::Ordering;

use velostream_sql::plan::{SortKey, SortSpec};
use velostream_types::{DataType, Schema};

use super::graph::Flow;
use super::nested::ordering;

/// Puts the rows of one complete result in order and keeps its first.
pub(super) fn sorted(spec: &SortSpec, schema: &Schema, mut rows: Vec<Flow>) -> Vec<Flow> {
    rows.sort_by(|a, b| {
        let keys = spec.keys.iter().map(|key| compare(key, &schema.fields[key.column].data_type, a, b));
        keys.fold(Ordering::Equal, Ordering::then).then(a.order.cmp(&b.order))
    });
    rows.truncate(spec.limit.map_or(usize::MAX, |n| n as usize));
    rows
}

/// How two rows stand to each other by one key.
pub(super) fn compare(key: &SortKey, data_type: &DataType, a: &Flow, b: &Flow) -> Ordering {
    let (a, b) = (&a.values[key.column], &b.values[key.column]);
    let null_low = if key.nulls_first { Ordering::Less } else { Ordering::Greater };
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => null_low,
        (false, true) => null_low.reverse(),
        (false, false) => {
            let order = ordering(a, b, data_type).unwrap_or(Ordering::Equal);
            if key.descending { order.reverse() } else { order }
        }
    }
}
