//! CASE and COALESCE: each branch is evaluated only for the rows that take it, then the parts are blended into one
//! column of the unified type.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryViewArray, Date32Array, StringViewArray, TimestampNanosecondArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_types::decimal::{pow10, pow10_i64};
use velostream_types::{Column, DataType, ErrorCode, Value};

use super::arith_dec::{bounds, holds_narrow};
use super::compare::ordinals;
use super::datum::{Datum, View, selected, validity};
use super::eval::{Selection, Session};
use super::exact::{Exact, floats, is_float};
use super::lanes::Side;
use super::logic::truths;
use super::node::Node;

/// Rows and the operand that gives them their value.
type Part<'a> = (BooleanBuffer, Datum<'a>);

/// Searched CASE: the first branch whose condition is TRUE; NULL without one.
pub(super) fn case(
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let mut open = selected(selection, session.rows);
    let mut parts = Vec::with_capacity(branches.len() + 1);
    for (when, then) in branches {
        if !open.has_true() {
            break;
        }
        let condition = session.eval(when, Some(&open));
        let taken = &truths(&condition, session.rows) & &open;
        if taken.has_true() {
            let value = session.eval(then, Some(&taken));
            open &= &!&taken;
            parts.push((taken, value));
        }
    }
    if let Some(otherwise) = otherwise.filter(|_| open.has_true()) {
        let value = session.eval(otherwise, Some(&open));
        parts.push((open, value));
    }
    blend(parts, node, selection, session)
}

/// The first operand that is not NULL.
pub(super) fn coalesce(
    operands: &[Node],
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let mut open = selected(selection, session.rows);
    let mut parts = Vec::new();
    for operand in operands {
        if !open.has_true() {
            break;
        }
        let value = session.eval(operand, Some(&open));
        let taken = match value.nulls(session.rows) {
            Some(nulls) => &open & nulls.inner(),
            None => open.clone(),
        };
        open &= &!&taken;
        parts.push((taken, value));
    }
    blend(parts, node, selection, session)
}

/// One column of the parts; rows of no part are NULL.
fn blend(mut parts: Vec<Part<'_>>, node: &Node, selection: Selection<'_>, session: &mut Session<'_>) -> Datum<'static> {
    let rows = session.rows;
    parts.retain(|(_, value)| !value.is_all_null());
    let mut valid = BooleanBuffer::new_unset(rows);
    for (taken, value) in &parts {
        match value.nulls(rows) {
            Some(nulls) => valid |= &(taken & nulls.inner()),
            None => valid |= taken,
        }
    }
    if parts.is_empty() || !valid.has_true() {
        return Datum::NULL;
    }
    let nulls = validity(valid);
    match &node.data_type {
        DataType::Boolean => booleans(&parts, nulls, rows),
        DataType::Integer | DataType::Decimal { .. } | DataType::Interval | DataType::Time
            if !parts.iter().any(|(_, v)| is_float(v)) =>
        {
            exact(&parts, nulls, node, selection, session)
        }
        DataType::Integer | DataType::Decimal { .. } | DataType::Float => float(&parts, nulls, rows),
        DataType::Timestamp => timestamps(&parts, nulls, rows),
        DataType::Date => dates(&parts, nulls, rows),
        DataType::Bytes => binary(&parts, rows),
        _ => text(&parts, rows),
    }
}

/// Copies the taken lanes of one operand.
fn copy<T: Copy>(target: &mut [T], taken: &BooleanBuffer, from: Side<'_, T>) {
    match from {
        Side::Slice(values) => taken.set_slices().for_each(|(a, b)| target[a..b].copy_from_slice(&values[a..b])),
        Side::Same(value) => taken.set_slices().for_each(|(a, b)| target[a..b].fill(value)),
    }
}

fn booleans(parts: &[Part<'_>], nulls: Option<NullBuffer>, rows: usize) -> Datum<'static> {
    let mut values = BooleanBuffer::new_unset(rows);
    for (taken, value) in parts {
        values |= &(taken & &truths(value, rows));
    }
    Datum::bools(values, nulls)
}

fn float(parts: &[Part<'_>], nulls: Option<NullBuffer>, rows: usize) -> Datum<'static> {
    let mut values = vec![0.0; rows];
    for (taken, value) in parts {
        if let Some(lanes) = floats(value) {
            copy(&mut values, taken, lanes.side());
        }
    }
    Datum::Column(Column::floats(values, nulls))
}

/// Integers stay integers while every part is one; otherwise decimals of the largest physical scale among the parts.
fn exact(
    parts: &[Part<'_>],
    nulls: Option<NullBuffer>,
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let lanes: Vec<(&BooleanBuffer, Exact<'_>)> =
        parts.iter().filter_map(|(taken, value)| Some((taken, Exact::of(value)?))).collect();
    let scale = lanes.iter().map(|(_, e)| e.scale()).max().unwrap_or(0);
    if holds_narrow(&node.data_type, scale)
        && let Some(values) = narrow(&lanes, scale, session.rows)
    {
        let integers = parts.iter().all(|(_, v)| {
            matches!(
                v.view(),
                View::Column(Column::Int(_)) | View::Const(Value::Int(_) | Value::Interval(_) | Value::Time(_))
            )
        });
        return Datum::Column(if integers { Column::ints(values, nulls) } else { Column::dec64(values, scale, nulls) });
    }
    let mut values = vec![0i128; session.rows];
    let mut refused = Vec::new();
    let (least, most) = bounds(&node.data_type, scale);
    for (taken, exact) in &lanes {
        let factor = pow10(scale - exact.scale());
        for i in taken.set_indices() {
            match exact.at(i).checked_mul(factor).filter(|m| (least..=most).contains(m)) {
                Some(m) => values[i] = m,
                None => refused.push(i),
            }
        }
    }
    let nulls = if refused.is_empty() {
        nulls
    } else {
        refused.sort_unstable();
        let bad = |i: usize| refused.binary_search(&i).is_ok();
        session.reject(nulls, selection, node.span, bad, |_| {
            (ErrorCode::Overflow, format!("the value does not fit {}", node.data_type))
        })
    };
    Datum::Column(Column::dec128(values, scale, nulls))
}

/// 64-bit mantissas at `scale`; `None` when a taken lane does not fit.
fn narrow(lanes: &[(&BooleanBuffer, Exact<'_>)], scale: u8, rows: usize) -> Option<Vec<i64>> {
    let mut values = vec![0i64; rows];
    for (taken, exact) in lanes {
        let factor = pow10_i64(scale - exact.scale());
        match exact.narrow()? {
            side if factor == 1 => copy(&mut values, taken, side),
            Side::Same(value) => copy(&mut values, taken, Side::Same(value.checked_mul(factor)?)),
            Side::Slice(from) => {
                let mut overflow = false;
                for i in taken.set_indices() {
                    let (value, over) = from[i].overflowing_mul(factor);
                    values[i] = value;
                    overflow |= over;
                }
                if overflow {
                    return None;
                }
            }
        }
    }
    Some(values)
}

fn timestamps(parts: &[Part<'_>], nulls: Option<NullBuffer>, rows: usize) -> Datum<'static> {
    let mut values = vec![0i64; rows];
    for (taken, value) in parts {
        let ns = ordinals(value.clone());
        if let Some(side) = Exact::of(&ns).as_ref().and_then(Exact::narrow) {
            copy(&mut values, taken, side);
        }
    }
    Datum::Column(Column::Timestamp(TimestampNanosecondArray::new(values.into(), nulls)))
}

fn dates(parts: &[Part<'_>], nulls: Option<NullBuffer>, rows: usize) -> Datum<'static> {
    let mut values = vec![0i32; rows];
    for (taken, value) in parts {
        match value.view() {
            View::Column(Column::Date(a)) => copy(&mut values, taken, Side::Slice(a.values())),
            View::Const(Value::Date(d)) => copy(&mut values, taken, Side::Same(*d)),
            _ => {}
        }
    }
    Datum::Column(Column::Date(Date32Array::new(values.into(), nulls)))
}

fn text(parts: &[Part<'_>], rows: usize) -> Datum<'static> {
    let none: ArrayRef = std::sync::Arc::new(StringViewArray::new_null(1));
    Datum::Column(Column::Str(woven(parts, rows, none).as_string_view().clone()))
}

fn binary(parts: &[Part<'_>], rows: usize) -> Datum<'static> {
    let none: ArrayRef = std::sync::Arc::new(BinaryViewArray::new_null(1));
    Datum::Column(Column::Bytes(woven(parts, rows, none).as_binary_view().clone()))
}

/// Interleaves views of the parts without copying their text; `none` holds the NULL of rows without a part.
fn woven(parts: &[Part<'_>], rows: usize, none: ArrayRef) -> ArrayRef {
    let mut arrays: Vec<ArrayRef> = vec![none];
    let mut from = vec![(0usize, 0usize); rows];
    for (taken, value) in parts {
        let (array, constant) = match value.view() {
            View::Column(column) => (column.to_arrow(), false),
            View::Const(value) => (Column::repeat(value, 1).to_arrow(), true),
        };
        if array.data_type() != arrays[0].data_type() {
            continue;
        }
        let part = arrays.len();
        taken.set_indices().for_each(|i| from[i] = (part, if constant { 0 } else { i }));
        arrays.push(array);
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
    match arrow_select::interleave::interleave(&arrays, &from) {
        Ok(woven) => woven,
        Err(e) => unreachable!("the parts are of one type and as long as the batch: {e}"),
    }
}
