//! Exact decimal arithmetic over whole batches: 64-bit mantissas first, the batch redone in 128 bits only if a lane
//! overflowed.
//!
//! Scales of sums and products follow the operands' physical scales, so every digit is kept; a product is cut at the
//! digits its logical type allows, a quotient is rounded at its logical scale. Neither depends on how many trailing
//! zeros a batch's storage happens to carry.

use arrow_buffer::NullBuffer;
use velostream_sql::plan::ArithmeticOp;
use velostream_types::decimal::{self, SCALE_CAP, pow10, pow10_i64};
use velostream_types::{Column, DataType, ErrorCode};

use super::arith::Typed;
use super::arith_int;
use super::arith_wide::Wide;
use super::datum::Datum;
use super::eval::{Selection, Session};
use super::exact::Exact;
use super::lanes::{Lanes, Side, map2_flagged, pair};

/// `left op right` for exact operands. Zero divisors were taken out of `nulls` before.
pub(super) fn apply(
    typed: &Typed<'_>,
    left: &Exact<'_>,
    right: &Exact<'_>,
    nulls: Option<NullBuffer>,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let out = out_scale(typed, left.scale(), right.scale());
    let n = session.rows;
    if holds_narrow(typed.out, out)
        && let Some(values) = narrow(typed.op, left, right, out, n)
    {
        return Datum::Column(Column::dec64(values, out, nulls));
    }
    let wide = Wide { op: typed.op, left: left.scale(), right: right.scale(), out };
    let (l, r) = (left.widened(), right.widened());
    let (l, r) = (left.side(&l), right.side(&r));
    let (values, refused) = pair!(l, r, |a, b| wide_lanes(n, a, b, wide));
    let (least, most) = bounds(typed.out, out);
    let outside = |m: i128| m > most || m < least;
    let nulls = if refused || values.iter().any(|m| outside(*m)) {
        let bad = |i: usize| wide.apply(l.at(i), r.at(i)).is_none_or(outside);
        session.reject(nulls, selection, typed.span, bad, |i| {
            let what = format!("{} {} {} does not fit {}", left.text(i), typed.sign(), right.text(i), typed.out);
            (ErrorCode::Overflow, what)
        })
    } else {
        nulls
    };
    Datum::Column(Column::dec128(values, out, nulls))
}

/// Physical scale of the result.
fn out_scale(typed: &Typed<'_>, p1: u8, p2: u8) -> u8 {
    let logical = |t: &DataType| t.exact_scale().unwrap_or(0);
    match typed.op {
        ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Modulo => decimal::add_scale(p1, p2),
        ArithmeticOp::Multiply => (p1 + p2).min(SCALE_CAP.max(logical(typed.left)).max(logical(typed.right))),
        ArithmeticOp::Divide => logical(typed.out),
    }
}

/// Mantissas at the physical `scale` that the logical type holds: i64 for Integer, 38 digits at the logical scale for a
/// decimal. Value and type decide, so a row overflows in every batch or in none.
pub(super) fn bounds(out: &DataType, scale: u8) -> (i128, i128) {
    match out {
        // Where the bound needs more than 128 bits no mantissa of 38 digits reaches it.
        DataType::Integer => {
            let bound = |limit: i64| i128::from(limit).checked_mul(pow10(scale));
            (bound(i64::MIN).unwrap_or(-decimal::MAX), bound(i64::MAX).unwrap_or(decimal::MAX))
        }
        _ => {
            let most = pow10(38 - out.exact_scale().unwrap_or(0).saturating_sub(scale)) - 1;
            (-most, most)
        }
    }
}

/// TRUE when every 64-bit mantissa at the physical `scale` fits the logical type.
pub(super) fn holds_narrow(out: &DataType, scale: u8) -> bool {
    scale <= 18 && out.exact_scale().unwrap_or(0).saturating_sub(scale) < 20
}

fn wide_lanes(n: usize, a: impl Lanes<i128>, b: impl Lanes<i128>, wide: Wide) -> (Vec<i128>, bool) {
    let (a, b) = (a.cut(n), b.cut(n));
    let mut refused = false;
    let values = (0..n)
        .map(|i| {
            let value = wide.apply(a.at(i), b.at(i));
            refused |= value.is_none();
            value.unwrap_or(0)
        })
        .collect();
    (values, refused)
}

/// The batch in 64 bits; `None` when an operand or a lane's result does not fit.
fn narrow(op: ArithmeticOp, left: &Exact<'_>, right: &Exact<'_>, out: u8, n: usize) -> Option<Vec<i64>> {
    let (s1, s2) = (left.scale(), right.scale());
    let (l, r) = (left.narrow()?, right.narrow()?);
    let (values, flagged) = match op {
        ArithmeticOp::Multiply if s1 + s2 == out => arith_int::lanes(op, l, r, n),
        ArithmeticOp::Multiply => return None,
        ArithmeticOp::Divide => return divide(l, r, i32::from(out) + i32::from(s2) - i32::from(s1), n),
        ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Modulo => {
            let (mut left_room, mut right_room) = (Vec::new(), Vec::new());
            let l = scaled(l, pow10_i64(out - s1), n, &mut left_room)?;
            let r = scaled(r, pow10_i64(out - s2), n, &mut right_room)?;
            let (values, flagged) = arith_int::lanes(op, l, r, n);
            // `%` of one scale flags zero divisors only, and those lanes were dealt with.
            (values, flagged && op != ArithmeticOp::Modulo)
        }
    };
    (!flagged).then_some(values)
}

/// An operand at more digits after the point; `None` when a lane leaves 64 bits.
pub(super) fn scaled<'a>(side: Side<'a, i64>, factor: i64, n: usize, room: &'a mut Vec<i64>) -> Option<Side<'a, i64>> {
    match side {
        _ if factor == 1 => Some(side),
        Side::Same(value) => value.checked_mul(factor).map(Side::Same),
        Side::Slice(_) => {
            let (values, flagged) = arith_int::lanes(ArithmeticOp::Multiply, side, Side::Same(factor), n);
            *room = values;
            (!flagged).then_some(Side::Slice(room))
        }
    }
}

/// Quotients `a·10^shift / b` rounded half away from zero. Lanes with a zero divisor give 0.
fn divide(l: Side<'_, i64>, r: Side<'_, i64>, shift: i32, n: usize) -> Option<Vec<i64>> {
    let factor = pow10_i64(u8::try_from(shift).ok().filter(|s| *s <= 18)?);
    let largest = match l {
        Side::Slice(values) => values.iter().fold(0i64, |acc, v| acc | (v ^ (v >> 63))),
        Side::Same(v) => v ^ (v >> 63),
    };
    if largest < i64::MAX / factor {
        let (values, _) = pair!(l, r, |a, b| map2_flagged(n, a, b, |x, y| (round_div(x * factor, y), 0)));
        return Some(values);
    }
    let factor = i128::from(factor);
    let (values, flagged) = pair!(l, r, |a, b| map2_flagged(n, a, b, |x, y| {
        if y == 0 {
            return (0, 0);
        }
        let q = decimal::div_round(i128::from(x) * factor, i128::from(y));
        (q as i64, -i64::from(q != i128::from(q as i64)))
    }));
    (!flagged).then_some(values)
}

/// `a / b` half away from zero, 0 for a zero divisor; `|a| < 2^63`.
#[inline(always)]
fn round_div(a: i64, b: i64) -> i64 {
    let b = if b == 0 { return 0 } else { b };
    let (q, r) = (a.wrapping_div(b), a.wrapping_rem(b));
    let up = r.unsigned_abs() >= b.unsigned_abs() - r.unsigned_abs();
    q + if up { ((a ^ b) >> 63) | 1 } else { 0 }
}
