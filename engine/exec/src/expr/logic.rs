//! Three-valued logic on whole bitmaps.
//!
//! AND and OR evaluate each operand only for the rows that no operand before decided: those rows alone raise.

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;
use velostream_types::{Column, Value};

use super::datum::{Datum, View, selected, validity};
use super::eval::{Selection, Session};
use super::node::Node;

/// Rows where a Boolean is TRUE.
pub(super) fn truths(datum: &Datum<'_>, rows: usize) -> BooleanBuffer {
    match datum.view() {
        View::Column(Column::Bool(a)) => match a.nulls() {
            Some(nulls) => a.values() & nulls.inner(),
            None => a.values().clone(),
        },
        View::Const(Value::Bool(true)) => BooleanBuffer::new_set(rows),
        _ => BooleanBuffer::new_unset(rows),
    }
}

/// Rows where a Boolean is FALSE.
pub(super) fn falsities(datum: &Datum<'_>, rows: usize) -> BooleanBuffer {
    match datum.view() {
        View::Column(Column::Bool(a)) => match a.nulls() {
            Some(nulls) => &!a.values() & nulls.inner(),
            None => !a.values(),
        },
        View::Const(Value::Bool(false)) => BooleanBuffer::new_set(rows),
        _ => BooleanBuffer::new_unset(rows),
    }
}

/// `a AND b AND …`
pub(super) fn and(operands: &[Node], selection: Selection<'_>, session: &mut Session<'_>) -> Datum<'static> {
    let (any_false, all_true) = fold(operands, selection, session, falsities, truths);
    let known = &any_false | &all_true;
    Datum::bools(all_true, validity(known))
}

/// `a OR b OR …`
pub(super) fn or(operands: &[Node], selection: Selection<'_>, session: &mut Session<'_>) -> Datum<'static> {
    let (any_true, all_false) = fold(operands, selection, session, truths, falsities);
    let known = &any_true | &all_false;
    Datum::bools(any_true, validity(known))
}

/// Rows some operand decided, and rows where every operand had the neutral value.
fn fold(
    operands: &[Node],
    selection: Selection<'_>,
    session: &mut Session<'_>,
    deciding: fn(&Datum<'_>, usize) -> BooleanBuffer,
    neutral: fn(&Datum<'_>, usize) -> BooleanBuffer,
) -> (BooleanBuffer, BooleanBuffer) {
    let rows = session.rows;
    let mut decided = BooleanBuffer::new_unset(rows);
    let mut all_neutral = BooleanBuffer::new_set(rows);
    let mut open = selection.cloned();
    for operand in operands {
        let value = session.eval(operand, open.as_ref());
        decided |= &deciding(&value, rows);
        all_neutral &= &neutral(&value, rows);
        let rest = &selected(selection, rows) & &!&decided;
        if !rest.has_true() {
            break;
        }
        open = Some(rest);
    }
    // Rows decided early may have met garbage of later operands.
    all_neutral &= &!&decided;
    (decided, all_neutral)
}

/// `NOT x`
pub(super) fn not(value: &Datum<'_>) -> Datum<'static> {
    match value.view() {
        View::Column(Column::Bool(a)) => Datum::bools(!a.values(), a.nulls().cloned()),
        View::Const(Value::Bool(b)) => Datum::Const(Value::Bool(!b)),
        _ => {
            debug_assert!(value.is_all_null(), "NOT takes Booleans");
            Datum::NULL
        }
    }
}

/// `x IS [NOT] NULL`
pub(super) fn is_null(value: &Datum<'_>, negated: bool, rows: usize) -> Datum<'static> {
    let valid = match value.nulls(rows) {
        None => return Datum::Const(Value::Bool(negated)),
        Some(nulls) => nulls.into_inner(),
    };
    Datum::bools(if negated { valid } else { !&valid }, None)
}
