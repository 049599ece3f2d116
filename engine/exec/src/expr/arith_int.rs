//! 64-bit integer arithmetic: wrapping results with overflow flags or-ed over the batch, checked again lane by lane only
//! when some lane was flagged.

use velostream_sql::plan::ArithmeticOp;

use super::lanes::{Lanes, Side, map2_flagged, pair};

/// Results of `left op right`, and whether any lane overflowed (or divided by zero, for `%`). `/` truncates and is not
/// reachable from SQL: integers divide as floats.
pub(super) fn lanes(op: ArithmeticOp, left: Side<'_, i64>, right: Side<'_, i64>, n: usize) -> (Vec<i64>, bool) {
    match op {
        ArithmeticOp::Add => pair!(left, right, |a, b| map2_flagged(n, a, b, add)),
        ArithmeticOp::Subtract => pair!(left, right, |a, b| map2_flagged(n, a, b, subtract)),
        ArithmeticOp::Multiply => pair!(left, right, |a, b| products(n, a, b)),
        ArithmeticOp::Divide => pair!(left, right, |a, b| map2_flagged(n, a, b, divide)),
        ArithmeticOp::Modulo => pair!(left, right, |a, b| map2_flagged(n, a, b, modulo)),
    }
}

/// `left op right` of one lane; `None` where [`lanes`] flags it.
pub(super) fn checked(op: ArithmeticOp, a: i64, b: i64) -> Option<i64> {
    match op {
        ArithmeticOp::Add => a.checked_add(b),
        ArithmeticOp::Subtract => a.checked_sub(b),
        ArithmeticOp::Multiply => a.checked_mul(b),
        ArithmeticOp::Divide => a.checked_div(b),
        // MIN % -1 is 0, not an overflow.
        ArithmeticOp::Modulo => (b != 0).then(|| a.wrapping_rem(b)),
    }
}

/// Overflow iff both operands differ in sign from the sum.
#[inline(always)]
fn add(a: i64, b: i64) -> (i64, i64) {
    let sum = a.wrapping_add(b);
    (sum, (a ^ sum) & (b ^ sum))
}

/// Overflow iff the operands differ in sign and the difference has the subtrahend's.
#[inline(always)]
fn subtract(a: i64, b: i64) -> (i64, i64) {
    let difference = a.wrapping_sub(b);
    (difference, (a ^ b) & (a ^ difference))
}

/// Products of two columns: first as if every operand had 32 bits and no sign, which the baseline instruction set
/// multiplies two lanes at a time, and only if that was wrong for a lane with a check per lane. The first lane tells the
/// batches apart for which the attempt is hopeless.
#[inline(always)]
fn products<A: Lanes<i64>, B: Lanes<i64>>(n: usize, a: A, b: B) -> (Vec<i64>, bool) {
    let (a, b) = (a.cut(n), b.cut(n));
    if !A::CONSTANT && !B::CONSTANT && n > 0 && (a.at(0) | b.at(0)) as u64 >> 31 == 0 {
        let mut bits = 0u64;
        let values = (0..n)
            .map(|i| {
                let (x, y) = (a.at(i) as u64, b.at(i) as u64);
                bits |= x | y;
                (u64::from(x as u32) * u64::from(y as u32)) as i64
            })
            .collect();
        // Below 2^31 a product stays below 2^62.
        if bits >> 31 == 0 {
            return (values, false);
        }
    }
    map2_flagged(n, a, b, multiply)
}

#[inline(always)]
fn multiply(a: i64, b: i64) -> (i64, i64) {
    let (product, overflow) = a.overflowing_mul(b);
    (product, -i64::from(overflow))
}

#[inline(always)]
fn divide(a: i64, b: i64) -> (i64, i64) {
    match a.checked_div(b) {
        Some(q) => (q, 0),
        None => (0, -1),
    }
}

#[inline(always)]
fn modulo(a: i64, b: i64) -> (i64, i64) {
    let zero = b == 0;
    (a.wrapping_rem(b | i64::from(zero)), -i64::from(zero))
}
