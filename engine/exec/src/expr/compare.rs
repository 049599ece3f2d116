//! Comparisons: exact across integers and decimals of any scale, as floats as soon as one side is one, text by bytes.
//!
//! Physical forms decide: the binder has made both sides comparable. Scales that differ are compared without overflow
//! and without materialising a rescaled column.

use std::cmp::Ordering;

use arrow_array::{Array, Int64Array, StringViewArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_sql::plan::CompareOp;
use velostream_types::decimal::{pow10, pow10_i64};
use velostream_types::{Column, Value};

use super::arith_dec::scaled;
use super::datum::{Datum, View, both};
use super::exact::{Exact, floats, is_float};
use super::lanes::{Side, pack, pair};

/// `left op right`, NULL where an operand is.
pub(super) fn compare(op: CompareOp, left: &Datum<'_>, right: &Datum<'_>, rows: usize) -> Datum<'static> {
    if left.is_all_null() || right.is_all_null() {
        return Datum::NULL;
    }
    match bits(op, left, right, rows, false) {
        Some(values) => Datum::bools(values, both(left, right, rows)),
        None => Datum::NULL,
    }
}

/// `left IS [NOT] DISTINCT FROM right`: NULL equals NULL, NaN equals NaN; never NULL.
pub(super) fn distinct(left: &Datum<'_>, right: &Datum<'_>, negated: bool, rows: usize) -> Datum<'static> {
    let all = || BooleanBuffer::new_set(rows);
    let valid = |d: &Datum| d.nulls(rows).map_or_else(all, NullBuffer::into_inner);
    let (l, r) = (valid(left), valid(right));
    let comparable = !left.is_all_null() && !right.is_all_null();
    let equal = comparable.then(|| bits(CompareOp::Equal, left, right, rows, true)).flatten();
    let differs = match equal {
        Some(equal) => &(&l ^ &r) | &(&(&l & &r) & &!&equal),
        None => &l | &r,
    };
    Datum::bools(if negated { !&differs } else { differs }, None)
}

/// Bits of `left op right`, without regard to NULLs; `None` for kinds that do not compare.
pub(super) fn bits(
    op: CompareOp,
    left: &Datum<'_>,
    right: &Datum<'_>,
    rows: usize,
    nan_equals: bool,
) -> Option<BooleanBuffer> {
    if is_float(left) || is_float(right) {
        let (l, r) = (floats(left)?, floats(right)?);
        if nan_equals {
            return Some(
                pair!(l.side(), r.side(), |a, b| pack(rows, a, b, |x: f64, y| x == y || x.is_nan() && y.is_nan()))
            );
        }
        return Some(ordered(op, l.side(), r.side(), rows));
    }
    if let (Some(l), Some(r)) = (Exact::of(left), Exact::of(right)) {
        return Some(exact(op, &l, &r, rows));
    }
    match (left.view(), right.view()) {
        (View::Const(Value::Bool(_)) | View::Column(Column::Bool(_)), _) => booleans(op, left, right, rows),
        (View::Const(Value::Str(_) | Value::Json(_)) | View::Column(Column::Str(_)), _) => text(op, left, right, rows),
        (View::Const(Value::Bytes(_)) | View::Column(Column::Bytes(_)), _) => bytes(op, left, right, rows),
        _ => {
            let (l, r) = (ordinals(left.clone()), ordinals(right.clone()));
            Some(exact(op, &Exact::of(&l)?, &Exact::of(&r)?, rows))
        }
    }
}

/// Timestamps as nanoseconds and dates as days; the binder casts where the two meet.
pub(super) fn ordinals<'d>(datum: Datum<'d>) -> Datum<'d> {
    match datum.view() {
        View::Column(Column::Timestamp(a)) => {
            Datum::Column(Column::Int(Int64Array::new(a.values().clone(), a.nulls().cloned())))
        }
        View::Column(Column::Date(a)) => Datum::Column(Column::Int(a.unary(i64::from))),
        View::Const(Value::Timestamp(t)) => Datum::Const(Value::Int(*t)),
        View::Const(Value::Date(d)) => Datum::Const(Value::Int(i64::from(*d))),
        _ => datum,
    }
}

/// Compares lanes of one machine type.
fn ordered<T: Copy + PartialOrd>(op: CompareOp, left: Side<'_, T>, right: Side<'_, T>, n: usize) -> BooleanBuffer {
    match op {
        CompareOp::Equal => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x == y)),
        CompareOp::NotEqual => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x != y)),
        CompareOp::Less => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x < y)),
        CompareOp::LessOrEqual => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x <= y)),
        CompareOp::Greater => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x > y)),
        CompareOp::GreaterOrEqual => pair!(left, right, |a, b| pack(n, a, b, |x: T, y| x >= y)),
    }
}

/// TRUE when an ordering satisfies the operator.
#[inline]
pub(super) fn satisfies(op: CompareOp, ordering: Ordering) -> bool {
    match op {
        CompareOp::Equal => ordering.is_eq(),
        CompareOp::NotEqual => ordering.is_ne(),
        CompareOp::Less => ordering.is_lt(),
        CompareOp::LessOrEqual => ordering.is_le(),
        CompareOp::Greater => ordering.is_gt(),
        CompareOp::GreaterOrEqual => ordering.is_ge(),
    }
}

/// The operator with its sides exchanged.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
        same => same,
    }
}

fn exact(op: CompareOp, left: &Exact<'_>, right: &Exact<'_>, n: usize) -> BooleanBuffer {
    match (left, right) {
        (Exact::Narrow(values, scale), Exact::One(m, s)) => with_constant(op, values, *scale, *m, *s),
        (Exact::One(m, s), Exact::Narrow(values, scale)) => with_constant(mirrored(op), values, *scale, *m, *s),
        (Exact::Narrow(a, s1), Exact::Narrow(b, s2)) if s1 == s2 => ordered(op, Side::Slice(a), Side::Slice(b), n),
        (Exact::Narrow(a, s1), Exact::Narrow(b, s2)) => {
            let (mut left_room, mut right_room) = (Vec::new(), Vec::new());
            let l = scaled(Side::Slice(a), pow10_i64(s2.saturating_sub(*s1)), n, &mut left_room);
            let r = scaled(Side::Slice(b), pow10_i64(s1.saturating_sub(*s2)), n, &mut right_room);
            if let (Some(l), Some(r)) = (l, r) {
                return ordered(op, l, r, n);
            }
            // 63 bits times 10^18 fit 128 bits.
            let (f1, f2) = (pow10(s2.saturating_sub(*s1)), pow10(s1.saturating_sub(*s2)));
            pack(n, *a, *b, |x, y| satisfies(op, (i128::from(x) * f1).cmp(&(i128::from(y) * f2))))
        }
        _ => {
            let (s1, s2) = (left.scale(), right.scale());
            let (l, r) = (left.widened(), right.widened());
            let (l, r) = (left.side(&l), right.side(&r));
            if s1 == s2 {
                return ordered(op, l, r, n);
            }
            pair!(l, r, |a, b| pack(n, a, b, |x, y| satisfies(op, cmp_scaled(x, s1, y, s2))))
        }
    }
}

/// Order of `a/10^s1` and `b/10^s2`. A side that leaves 128 bits when scaled up is the one of larger magnitude.
pub(super) fn cmp_scaled(a: i128, s1: u8, b: i128, s2: u8) -> Ordering {
    if s1 <= s2 {
        match a.checked_mul(pow10(s2 - s1)) {
            Some(a) => a.cmp(&b),
            None => a.cmp(&0),
        }
    } else {
        cmp_scaled(b, s2, a, s1).reverse()
    }
}

/// A 64-bit column against a constant, brought to the column's scale: one machine comparison per lane whatever the
/// constant's scale.
fn with_constant(op: CompareOp, values: &[i64], scale: u8, mut m: i128, mut s: u8) -> BooleanBuffer {
    let n = values.len();
    while s > scale && m % 10 == 0 {
        (m, s) = (m / 10, s - 1);
    }
    let all = |yes: bool| if yes { BooleanBuffer::new_set(n) } else { BooleanBuffer::new_unset(n) };
    if s > scale {
        // Between two mantissas: equality is impossible, and x < c holds exactly when x <= floor(c).
        let unit = pow10(s - scale);
        let floor = m.div_euclid(unit);
        let op = match op {
            CompareOp::Equal => return all(false),
            CompareOp::NotEqual => return all(true),
            CompareOp::Less | CompareOp::LessOrEqual => CompareOp::LessOrEqual,
            CompareOp::Greater | CompareOp::GreaterOrEqual => CompareOp::Greater,
        };
        return match i64::try_from(floor) {
            Ok(c) => ordered(op, Side::Slice(values), Side::Same(c), n),
            Err(_) => all(satisfies(op, 0.cmp(&floor))),
        };
    }
    match m.checked_mul(pow10(scale - s)).and_then(|c| i64::try_from(c).ok()) {
        Some(c) => ordered(op, Side::Slice(values), Side::Same(c), n),
        None => all(satisfies(op, 0.cmp(&m))),
    }
}

/// FALSE sorts before TRUE.
fn booleans(op: CompareOp, left: &Datum<'_>, right: &Datum<'_>, n: usize) -> Option<BooleanBuffer> {
    let lanes = |d: &Datum| match d.view() {
        View::Column(Column::Bool(a)) => Some(a.values().clone()),
        View::Const(Value::Bool(true)) => Some(BooleanBuffer::new_set(n)),
        View::Const(Value::Bool(false)) => Some(BooleanBuffer::new_unset(n)),
        _ => None,
    };
    let (l, r) = (lanes(left)?, lanes(right)?);
    Some(match op {
        CompareOp::Equal => !&(&l ^ &r),
        CompareOp::NotEqual => &l ^ &r,
        CompareOp::Less => &!&l & &r,
        CompareOp::LessOrEqual => &!&l | &r,
        CompareOp::Greater => &l & &!&r,
        CompareOp::GreaterOrEqual => &l | &!&r,
    })
}

fn text(op: CompareOp, left: &Datum<'_>, right: &Datum<'_>, n: usize) -> Option<BooleanBuffer> {
    fn constant(view: View<'_>) -> Option<&str> {
        match view {
            View::Const(Value::Str(s) | Value::Json(s)) => Some(s),
            _ => None,
        }
    }
    Some(match (left.view(), right.view()) {
        (View::Column(Column::Str(a)), View::Column(Column::Str(b))) => {
            BooleanBuffer::collect_bool(n, |i| satisfies(op, a.value(i).as_bytes().cmp(b.value(i).as_bytes())))
        }
        (View::Column(Column::Str(a)), other) => text_constant(op, a, constant(other)?.as_bytes()),
        (other, View::Column(Column::Str(a))) => text_constant(mirrored(op), a, constant(other)?.as_bytes()),
        (l, r) => {
            let yes = satisfies(op, constant(l)?.as_bytes().cmp(constant(r)?.as_bytes()));
            if yes { BooleanBuffer::new_set(n) } else { BooleanBuffer::new_unset(n) }
        }
    })
}

/// Text against a constant. Equality with a short one compares the 16-byte views: length and text in one word.
fn text_constant(op: CompareOp, column: &StringViewArray, constant: &[u8]) -> BooleanBuffer {
    let n = column.len();
    if constant.len() <= 12 && matches!(op, CompareOp::Equal | CompareOp::NotEqual) {
        let mut view = [0u8; 16];
        view[0] = constant.len() as u8;
        view[4..4 + constant.len()].copy_from_slice(constant);
        return ordered(op, Side::Slice(column.views()), Side::Same(u128::from_le_bytes(view)), n);
    }
    BooleanBuffer::collect_bool(n, |i| satisfies(op, column.value(i).as_bytes().cmp(constant)))
}

fn bytes(op: CompareOp, left: &Datum<'_>, right: &Datum<'_>, n: usize) -> Option<BooleanBuffer> {
    let (l, r) = (left.as_column(n), right.as_column(n));
    match (&*l, &*r) {
        (Column::Bytes(a), Column::Bytes(b)) => {
            Some(BooleanBuffer::collect_bool(n, |i| satisfies(op, a.value(i).cmp(b.value(i)))))
        }
        _ => None,
    }
}
