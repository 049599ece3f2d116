//! Row metadata as columns: record timestamp, event time, offset, partition.

use arrow_array::Int64Array;
use velostream_sql::plan::SystemColumn;
use velostream_types::time::{NS_PER_MS, ns_to_ms};
use velostream_types::{Column, Offsets, Value};

use super::datum::Datum;
use super::eval::Session;

/// The metadata column. Rows without an event time have their record timestamp as event time.
pub(super) fn column(column: SystemColumn, session: &Session<'_>) -> Datum<'static> {
    let meta = &session.batch.meta;
    let start = session.ctx.run_start_ms;
    let stamps = |scale: i64| match &meta.timestamp {
        Some(ms) if scale == 1 => Datum::Column(Column::Int(Int64Array::new(ms.clone(), None))),
        Some(ms) => ints(ms.iter().map(|t| t.saturating_mul(scale)).collect()),
        None => Datum::Const(Value::Int(start.saturating_mul(scale))),
    };
    match (column, &meta.event_time) {
        (SystemColumn::Timestamp, _) | (SystemColumn::EventTime, None) => stamps(1),
        (SystemColumn::EventTimeNs, None) => stamps(NS_PER_MS),
        (SystemColumn::EventTime, Some(ns)) => ints(ns.iter().map(|t| ns_to_ms(*t)).collect()),
        (SystemColumn::EventTimeNs, Some(ns)) => Datum::Column(Column::Int(Int64Array::new(ns.clone(), None))),
        (SystemColumn::Partition, _) => Datum::Const(Value::Int(i64::from(meta.partition))),
        (SystemColumn::Offset, _) => match &meta.offsets {
            Offsets::From(first) => ints((*first..).take(session.rows).collect()),
            Offsets::List(list) => Datum::Column(Column::Int(Int64Array::new(list.clone(), None))),
        },
    }
}

fn ints(values: Vec<i64>) -> Datum<'static> {
    Datum::Column(Column::ints(values, None))
}
