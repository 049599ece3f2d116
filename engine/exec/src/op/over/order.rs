//! Order of the rows in a buffer: keys that compare, distances of RANGE, and which row leaves first.
//!
//! A buffer lies in memory with its first key ascending: a descending one is the same rows read from the back, so the
//! newest row is the last in memory either way. Frames are turned accordingly once, when the operator is made. Rows that
//! are equal by the order stand as they came, in what is read; read from the back, the later one lies in front.
//!
//! The row that leaves is the least by value whatever ASC, DESC or NULLS say, of equal ones the one that came first. One
//! key of an integer or a timestamp is compared as that, any other order as bytes. Cost: a comparison of two words, or of
//! the bytes.

use std::cmp::Ordering;

use velostream_sql::plan::{Frame, FrameBound, SortKey};
use velostream_types::time::NS_PER_MS;
use velostream_types::{Batch, Column, DataType, Value, decimal};

use crate::op::sort_key;

/// What a row is ordered by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OrderKey {
    /// A single integer or timestamp.
    Int(i64),
    /// Anything else.
    Bytes(Box<[u8]>),
}

impl OrderKey {
    pub(super) fn heap(&self) -> usize {
        match self {
            OrderKey::Int(_) => 0,
            OrderKey::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Where the row that leaves first is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// Among the first ones in memory.
    Front,
    /// Among the NULLs at the end, else in front.
    NullsBehind,
    /// Anywhere: several directions; every row has a second key, and all are looked at.
    Anywhere,
}

/// The order of one OVER.
#[derive(Debug)]
pub(super) struct Order {
    /// Keys as the rows lie in memory.
    keys: Vec<SortKey>,
    /// Everything ascending, NULL least; only where it differs.
    by_value: Vec<SortKey>,
    types: Vec<DataType>,
    /// The rows are read from the back.
    pub(super) reversed: bool,
    pub(super) least: Least,
}

impl Order {
    /// The order by these keys, of rows of these types.
    pub(super) fn new(keys: &[SortKey], types: &[DataType]) -> Order {
        let reversed = keys.first().is_some_and(|key| key.descending);
        let turned = |key: &SortKey| SortKey {
            descending: key.descending != reversed,
            nulls_first: key.nulls_first != reversed,
            ..*key
        };
        let keys: Vec<SortKey> = keys.iter().map(turned).collect();
        let least = match keys.as_slice() {
            keys if keys.iter().all(|key| !key.descending && key.nulls_first) => Least::Front,
            [_] => Least::NullsBehind,
            _ => Least::Anywhere,
        };
        let plain = |key: &SortKey| SortKey { descending: false, nulls_first: true, ..*key };
        let by_value = if least == Least::Anywhere { keys.iter().map(plain).collect() } else { Vec::new() };
        Order { keys, by_value, types: types.to_vec(), reversed, least }
    }

    /// The column of the first key.
    pub(super) fn first_column(&self) -> Option<usize> {
        self.keys.first().map(|key| key.column)
    }

    /// Key of a row.
    #[inline]
    pub(super) fn key(&self, columns: &[Column], row: usize) -> OrderKey {
        if let [key] = self.keys.as_slice() {
            match (&columns[key.column], &self.types[key.column]) {
                (Column::Int(a), DataType::Integer) if !columns[key.column].is_null(row) => {
                    return OrderKey::Int(a.value(row));
                }
                (Column::Timestamp(a), _) if !columns[key.column].is_null(row) => return OrderKey::Int(a.value(row)),
                _ => {}
            }
        }
        if self.keys.is_empty() {
            return OrderKey::Int(0);
        }
        OrderKey::Bytes(self.bytes(&self.keys, columns, row))
    }

    /// Second key of a row, by value alone; empty where the first says it.
    pub(super) fn value_key(&self, columns: &[Column], row: usize) -> Box<[u8]> {
        if self.by_value.is_empty() { Box::default() } else { self.bytes(&self.by_value, columns, row) }
    }

    fn bytes(&self, keys: &[SortKey], columns: &[Column], row: usize) -> Box<[u8]> {
        let mut out = Vec::with_capacity(keys.len() * 12);
        sort_key::write(&mut out, keys, &self.types, columns, row);
        out.into()
    }

    /// How two keys stand to each other in memory.
    #[inline]
    pub(super) fn compare(&self, a: &OrderKey, b: &OrderKey) -> Ordering {
        match (a, b) {
            (OrderKey::Int(a), OrderKey::Int(b)) => a.cmp(b),
            (OrderKey::Bytes(a), OrderKey::Bytes(b)) => a.cmp(b),
            (OrderKey::Int(a), OrderKey::Bytes(b)) => self.spelled(*a).cmp(b),
            (OrderKey::Bytes(a), OrderKey::Int(b)) => a.cmp(&self.spelled(*b)),
        }
    }

    /// TRUE when the first key stands below the second by value.
    pub(super) fn is_below(&self, a: &OrderKey, b: &OrderKey) -> bool {
        if self.least == Least::NullsBehind {
            match (Order::is_null_behind(a), Order::is_null_behind(b)) {
                (true, other) => return !other,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        self.compare(a, b).is_lt()
    }

    /// TRUE for the key of NULL where it stands behind all values.
    pub(super) fn is_null_behind(key: &OrderKey) -> bool {
        matches!(key, OrderKey::Bytes(bytes) if bytes.first() == Some(&2))
    }

    /// Bytes of an integer's key, for comparison with one that storage brought in another kind.
    #[cold]
    fn spelled(&self, value: i64) -> Box<[u8]> {
        let Some(key) = self.keys.first() else { return Box::default() };
        let value = match self.types[key.column] {
            DataType::Timestamp => Value::Timestamp(value),
            _ => Value::Int(value),
        };
        self.key_of(&value)
    }

    fn key_of(&self, value: &Value) -> Box<[u8]> {
        let Some(key) = self.keys.first() else { return Box::default() };
        let mut columns = vec![Column::Null(1); key.column];
        columns.push(Column::repeat(value, 1));
        self.bytes(&self.keys[..1], &columns, 0)
    }

    /// Key of a value of the one order column.
    pub(super) fn key_for(&self, value: &Value) -> OrderKey {
        match value {
            Value::Int(v) | Value::Timestamp(v) => OrderKey::Int(*v),
            other => OrderKey::Bytes(self.key_of(other)),
        }
    }

    /// Value of the one order column in a row.
    pub(super) fn value(&self, columns: &[Column], row: usize) -> Value {
        self.keys.first().map_or(Value::Null, |key| columns[key.column].value(row))
    }

    /// Key of the value that lies `distance` above (or below) this one; `None`: beyond every value. A distance that ends
    /// between two milliseconds of an integer column ends at the one before it, or, `inward`, at the one behind it.
    pub(super) fn shifted(&self, value: &Value, distance: &Value, up: bool, inward: bool) -> Option<OrderKey> {
        if matches!(distance, Value::Int(0) | Value::Interval(0)) {
            return Some(self.key_for(value));
        }
        let sign = if up { 1 } else { -1 };
        let whole = |distance: i64| {
            let ms = distance / NS_PER_MS;
            if inward && distance % NS_PER_MS != 0 { ms + 1 } else { ms }
        };
        let moved = match (value, distance) {
            (Value::Timestamp(t), Value::Interval(d)) => return t.checked_add(sign * d).map(OrderKey::Int),
            (Value::Int(v), Value::Interval(d)) => return v.checked_add(sign * whole(*d)).map(OrderKey::Int),
            (Value::Int(v), Value::Int(d)) => return v.checked_add(sign.checked_mul(*d)?).map(OrderKey::Int),
            (Value::Float(x), d) => Value::Float(x + sign as f64 * float(d)),
            (v, Value::Interval(d)) => sum(v, &Value::Int(whole(*d)), sign)?,
            (v, d) => sum(v, d, sign)?,
        };
        Some(OrderKey::Bytes(self.key_of(&moved)))
    }

    /// The frame as the rows lie in memory.
    pub(super) fn turned(&self, frame: &Frame) -> Frame {
        if !self.reversed {
            return frame.clone();
        }
        let turned = |bound: &FrameBound| match bound {
            FrameBound::UnboundedPreceding => FrameBound::UnboundedFollowing,
            FrameBound::Preceding(distance) => FrameBound::Following(distance.clone()),
            FrameBound::CurrentRow => FrameBound::CurrentRow,
            FrameBound::Following(distance) => FrameBound::Preceding(distance.clone()),
            FrameBound::UnboundedFollowing => FrameBound::UnboundedPreceding,
        };
        Frame { range: frame.range, start: turned(&frame.end), end: turned(&frame.start) }
    }
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Int(v) => *v as f64,
        Value::Decimal { mantissa, scale } => decimal::to_float(*mantissa, *scale),
        Value::Float(x) => *x,
        _ => 0.0,
    }
}

/// Mantissa and scale of an exact number, also of one carried as its token.
pub(super) fn exact(value: &Value) -> Option<(i128, u8)> {
    match value {
        Value::Int(v) => Some((i128::from(*v), 0)),
        Value::Decimal { mantissa, scale } => Some((*mantissa, *scale)),
        Value::Str(token) => decimal::from_text(token).or_else(|| decimal::from_exponent_text(token)),
        _ => None,
    }
}

/// `a + sign · b` of exact numbers; `None` beyond the range.
fn sum(a: &Value, b: &Value, sign: i64) -> Option<Value> {
    let ((a, s1), (b, s2)) = (exact(a)?, exact(b)?);
    let scale = s1.max(s2);
    let moved = decimal::rescale(a, s1, scale)?.checked_add(i128::from(sign) * decimal::rescale(b, s2, scale)?)?;
    decimal::fits(moved).then_some(Value::Decimal { mantissa: moved, scale })
}

/// Time of a row for EXPIRE, ns: its event time, else its record's timestamp; without either, all rows have the same.
#[inline]
pub(super) fn time_of(batch: &Batch, row: usize) -> i64 {
    match (&batch.meta.event_time, &batch.meta.timestamp) {
        (Some(times), _) => times[row],
        (None, Some(stamps)) => stamps[row].saturating_mul(NS_PER_MS),
        (None, None) => 0,
    }
}
