//! Calls with OVER: every row of the input is brought into as-if order, then one after the other is computed from a plain
//! list of what its partition holds, by the definitions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use velostream_sql::plan::{Frame, FrameBound, OverCall, OverFn, OverKind, OverSpec, SortKey};
use velostream_types::{DataType, ErrorCode, Schema, Value};

use super::graph::{Flow, key_text};
use super::group::{Group, Place};
use super::number::Number;
use super::sort::compare;

const NS_PER_MS: i64 = 1_000_000;

/// A row that its partition holds, with its number among those that came.
#[derive(Clone)]
struct Held {
    row: Flow,
    arrival: i64,
}

/// What one partition holds.
#[derive(Default)]
struct Partition {
    held: Vec<Held>,
    arrivals: i64,
    last_time: Option<i64>,
}

/// The rows with their results, and those that have none because a result is out of range, with why.
pub(super) fn computed(spec: &OverSpec, schema: &Schema, mut rows: Vec<Flow>) -> Vec<Result<Flow, (ErrorCode, Flow)>> {
    rows.sort_by_key(|row| row.order);
    let mut partitions: BTreeMap<String, Partition> = BTreeMap::new();
    let mut out = Vec::new();
    for row in rows {
        let key = key_text(spec.partition.iter().map(|c| &row.values[*c]));
        out.extend(partitions.entry(key).or_default().take(spec, schema, row));
    }
    out
}

impl Partition {
    fn take(&mut self, spec: &OverSpec, schema: &Schema, row: Flow) -> Option<Result<Flow, (ErrorCode, Flow)>> {
        let time = row.event_time.unwrap_or(row.timestamp_ms.saturating_mul(NS_PER_MS));
        if spec.expire_ns.is_some_and(|most| self.last_time.is_some_and(|last| time - last > most)) {
            self.held.clear();
        }
        self.last_time = self.last_time.max(Some(time));
        self.arrivals += 1;
        let own = Held { row, arrival: self.arrivals };
        // Greatest first, by value; of equal ones the later one.
        let by_value = |a: &Held, b: &Held| greatest(spec, schema, a, b);
        let range = kept_range(spec);
        let mut seen: Vec<Held> = self.held.clone();
        seen.sort_by(by_value);
        let mut all: Vec<Held> = seen.iter().cloned().chain([own.clone()]).collect();
        all.sort_by(by_value);
        if spec.best.is_none() {
            match &range {
                None => seen.truncate(usize::try_from(spec.buffer - 1).unwrap_or(usize::MAX)),
                Some(distance) => seen.retain(|held| within(spec, schema, held, &all[0], distance)),
            }
        }
        seen.push(own.clone());
        seen.sort_by(|a, b| written(spec, schema, a, b).then(a.arrival.cmp(&b.arrival)));
        self.held = match (&range, spec.best) {
            (_, Some(_)) => seen.clone(),
            (None, None) => all.into_iter().take(usize::try_from(spec.buffer).unwrap_or(usize::MAX)).collect(),
            (Some(distance), None) => {
                let top = all[0].clone();
                all.into_iter().filter(|held| within(spec, schema, held, &top, distance)).collect()
            }
        };
        if spec.when_full && (seen.len() as u64) < spec.buffer {
            return None;
        }
        let at = seen.iter().position(|held| held.arrival == own.arrival).unwrap_or(0);
        let mut values = Vec::new();
        for call in &spec.calls {
            match result(call, spec, schema, &seen, at) {
                Ok(value) => values.push(value),
                Err(code) => return Some(Err((code, own.row))),
            }
        }
        values.extend(own.row.values.iter().cloned());
        Some(Ok(Flow { values, ..own.row }))
    }
}

fn data_type<'s>(schema: &'s Schema, key: &SortKey) -> &'s DataType {
    &schema.fields[key.column].data_type
}

/// The written order.
fn written(spec: &OverSpec, schema: &Schema, a: &Held, b: &Held) -> Ordering {
    spec.order
        .iter()
        .map(|key| compare(key, data_type(schema, key), &a.row, &b.row))
        .fold(Ordering::Equal, Ordering::then)
}

/// Greatest first: every key ascending, NULL least, the later row above an equal one.
fn greatest(spec: &OverSpec, schema: &Schema, a: &Held, b: &Held) -> Ordering {
    let up = |key: &SortKey| SortKey { descending: false, nulls_first: true, ..*key };
    let keys = spec.order.iter().map(|key| compare(&up(key), data_type(schema, key), &a.row, &b.row));
    keys.fold(Ordering::Equal, Ordering::then).then(a.arrival.cmp(&b.arrival)).reverse()
}

/// The range that says which rows a buffer without a number of rows holds.
fn kept_range(spec: &OverSpec) -> Option<Number> {
    if spec.buffer != u64::MAX {
        return None;
    }
    let frame = &spec.calls[0].frame;
    let part = |bound: &FrameBound, is_start: bool| match bound {
        FrameBound::Preceding(v) if is_start => distance(v),
        FrameBound::Following(v) if !is_start => distance(v),
        _ => Number::zero(),
    };
    Some(part(&frame.start, true).plus(&part(&frame.end, false)))
}

/// A distance in the unit of order values: ns for time.
fn distance(value: &Value) -> Number {
    match value {
        Value::Interval(ns) => Number::int(*ns),
        other => Number::of(other).unwrap_or_else(Number::zero),
    }
}

/// An order value as a number that distances are added to.
fn position(spec: &OverSpec, schema: &Schema, held: &Held) -> Option<Number> {
    let key = &spec.order[0];
    let by_time = spec.calls.iter().any(|call| {
        [&call.frame.start, &call.frame.end]
            .iter()
            .any(|b| matches!(b, FrameBound::Preceding(Value::Interval(_)) | FrameBound::Following(Value::Interval(_))))
    });
    match (&held.row.values[key.column], data_type(schema, key)) {
        (Value::Timestamp(t), _) => Some(Number::int(*t)),
        (value, _) if by_time => Some(Number::of(value)?.times(&Number::int(NS_PER_MS))),
        (value, _) => Number::of(value),
    }
}

fn within(spec: &OverSpec, schema: &Schema, held: &Held, top: &Held, most: &Number) -> bool {
    match (position(spec, schema, held), position(spec, schema, top)) {
        (Some(own), Some(top)) => own.plus(most).compare(&top).is_ge(),
        (own, top) => own.is_some() || top.is_none(),
    }
}

/// TRUE when row `other` belongs to the frame of row `at`.
fn in_frame(frame: &Frame, spec: &OverSpec, schema: &Schema, rows: &[Held], (at, other): (usize, usize)) -> bool {
    let rows_away = |v: &Value| match v {
        Value::Int(n) => *n as i128,
        _ => 0,
    };
    let peer = written(spec, schema, &rows[at], &rows[other]).is_eq();
    let down = spec.order.first().is_some_and(|key| key.descending);
    // How far the other row stands behind this one, by value.
    let gap = || {
        let (own, other) = (position(spec, schema, &rows[at])?, position(spec, schema, &rows[other])?);
        Some(if down { own.plus(&other.negated()) } else { other.plus(&own.negated()) })
    };
    let by_value = |wanted: &Value, sign: i64, start: bool| match gap() {
        Some(gap) => {
            let order = gap.compare(&distance(wanted).times(&Number::int(sign)));
            if start { order.is_ge() } else { order.is_le() }
        }
        None => peer,
    };
    let (own, place) = (at as i128, other as i128);
    let behind_start = match &frame.start {
        FrameBound::UnboundedPreceding => true,
        FrameBound::UnboundedFollowing => false,
        FrameBound::CurrentRow => place >= own || frame.range && peer,
        FrameBound::Preceding(v) if frame.range => by_value(v, -1, true),
        FrameBound::Following(v) if frame.range => by_value(v, 1, true),
        FrameBound::Preceding(v) => place >= own - rows_away(v),
        FrameBound::Following(v) => place >= own + rows_away(v),
    };
    let before_end = match &frame.end {
        FrameBound::UnboundedPreceding => false,
        FrameBound::UnboundedFollowing => true,
        FrameBound::CurrentRow => place <= own || frame.range && peer,
        FrameBound::Preceding(v) if frame.range => by_value(v, -1, false),
        FrameBound::Following(v) if frame.range => by_value(v, 1, false),
        FrameBound::Preceding(v) => place <= own - rows_away(v),
        FrameBound::Following(v) => place <= own + rows_away(v),
    };
    behind_start && before_end
}

fn result(call: &OverCall, spec: &OverSpec, schema: &Schema, rows: &[Held], at: usize) -> Result<Value, ErrorCode> {
    let framed: Vec<&Held> =
        (0..rows.len()).filter(|n| in_frame(&call.frame, spec, schema, rows, (at, *n))).map(|n| &rows[n]).collect();
    match &call.kind {
        OverKind::Aggregate(call) => {
            let mut group = Group::default();
            for held in &framed {
                let order = (held.arrival, Default::default(), (0, 0, 0));
                let time = held.row.event_time.unwrap_or(held.row.timestamp_ms.saturating_mul(NS_PER_MS));
                group.change(&held.row.values, Place { time, order, made: true }, 1);
            }
            group.aggregate(call, schema).map_err(|_| ErrorCode::Overflow)
        }
        OverKind::Analytic { function, argument, count, default, ignore_nulls } => {
            let value = |held: &Held| argument.map_or(Value::Null, |column| held.row.values[column].clone());
            let counts = |held: &&Held| !*ignore_nulls || !value(held).is_null();
            let nth = |found: Option<&Held>| found.map_or(Value::Null, value);
            let k = *count as usize;
            Ok(match function {
                OverFn::Lag | OverFn::Lead => {
                    let found = match (function, k) {
                        (_, 0) => Some(&rows[at]),
                        (OverFn::Lag, k) => rows[..at].iter().rev().filter(counts).nth(k - 1),
                        (_, k) => rows[at + 1..].iter().filter(counts).nth(k - 1),
                    };
                    match (found, default) {
                        (Some(held), _) => value(held),
                        (None, Some(column)) => rows[at].row.values[*column].clone(),
                        (None, None) => Value::Null,
                    }
                }
                OverFn::FirstValue => nth(framed.iter().copied().find(counts)),
                OverFn::LastValue => nth(framed.iter().rev().copied().find(counts)),
                OverFn::NthValue => nth(framed.iter().copied().filter(counts).nth(k - 1)),
                _ => ranked(*function, k, spec, schema, rows, at),
            })
        }
    }
}

fn ranked(function: OverFn, parts: usize, spec: &OverSpec, schema: &Schema, rows: &[Held], at: usize) -> Value {
    let order = |n: usize| written(spec, schema, &rows[n], &rows[at]);
    let before = (0..rows.len()).filter(|n| order(*n).is_lt()).count();
    let up_to = (0..rows.len()).filter(|n| order(*n).is_le()).count();
    let changes = (1..=at).filter(|n| written(spec, schema, &rows[n - 1], &rows[*n]).is_ne()).count();
    let int = |n: usize| Value::Int(n as i64);
    match function {
        OverFn::RowNumber => int(at + 1),
        OverFn::Rank => int(before + 1),
        OverFn::DenseRank => int(changes + 1),
        OverFn::PercentRank if rows.len() == 1 => Value::Float(0.0),
        OverFn::PercentRank => Value::Float(before as f64 / (rows.len() - 1) as f64),
        OverFn::CumeDist => Value::Float(up_to as f64 / rows.len() as f64),
        _ => {
            // Rows are dealt out part by part.
            let mut sizes = vec![rows.len() / parts; parts];
            sizes.iter_mut().take(rows.len() % parts).for_each(|size| *size += 1);
            let mut end = 0;
            let part = sizes.iter().position(|size| {
                end += size;
                at < end
            });
            int(part.unwrap_or(0) + 1)
        }
    }
}
