//! 128-bit decimal arithmetic of one lane: exact through 256-bit intermediates, `None` beyond 38 digits.

use velostream_sql::plan::ArithmeticOp;
use velostream_types::decimal::{self, fits, pow10};

/// An operator with the scales of its operands and of its result.
#[derive(Clone, Copy)]
pub(super) struct Wide {
    pub op: ArithmeticOp,
    pub left: u8,
    pub right: u8,
    pub out: u8,
}

impl Wide {
    /// The result's mantissa; `None` when it needs more than 38 digits. A zero divisor gives 0: the caller decides what
    /// such a lane means.
    #[inline]
    pub fn apply(&self, a: i128, b: i128) -> Option<i128> {
        match self.op {
            ArithmeticOp::Add => sum(a, self.out - self.left, b, self.out - self.right),
            ArithmeticOp::Subtract => sum(a, self.out - self.left, b.wrapping_neg(), self.out - self.right),
            ArithmeticOp::Multiply => decimal::mul(a, self.left, b, self.right, self.out),
            ArithmeticOp::Divide if b == 0 => Some(0),
            ArithmeticOp::Divide => quotient(a, self.left, b, self.right, self.out),
            ArithmeticOp::Modulo if b == 0 => Some(0),
            ArithmeticOp::Modulo => Some(remainder(a, self.out - self.left, b, self.out - self.right)),
        }
    }
}

#[inline]
fn up(mantissa: i128, digits: u8) -> Option<i128> {
    if digits == 0 { Some(mantissa) } else { mantissa.checked_mul(pow10(digits)) }
}

/// `a·10^up_a + b·10^up_b`, where at most one of the shifts is not 0.
#[inline]
fn sum(a: i128, up_a: u8, b: i128, up_b: u8) -> Option<i128> {
    match (up(a, up_a), up(b, up_b)) {
        (Some(a), Some(b)) => a.checked_add(b).filter(|m| fits(*m)),
        (None, _) => sum_beyond(a, up_a, b),
        (_, None) => sum_beyond(b, up_b, a),
    }
}

/// `a·10^up + b` where the scaled operand leaves 128 bits but the other may bring the sum back: units of 10^up and the
/// rest are added apart, the rest with the sign of the units, so that neither exceeds the sum.
#[cold]
fn sum_beyond(a: i128, up: u8, b: i128) -> Option<i128> {
    let unit = pow10(up);
    let (mut units, mut rest) = (a.checked_add(b.div_euclid(unit))?, b.rem_euclid(unit));
    if units < 0 && rest > 0 {
        (units, rest) = (units + 1, rest - unit);
    }
    units.checked_mul(unit)?.checked_add(rest).filter(|m| fits(*m))
}

/// `a/10^s1 ÷ b/10^s2` at `to` digits: one 128-bit division where the scaled dividend fits.
#[inline]
fn quotient(a: i128, s1: u8, b: i128, s2: u8, to: u8) -> Option<i128> {
    let shift = i32::from(to) + i32::from(s2) - i32::from(s1);
    if (0..=38).contains(&shift)
        && let Some(n) = a.checked_mul(pow10(shift as u8))
    {
        return Some(decimal::div_round(n, b)).filter(|m| fits(*m));
    }
    decimal::div(a, s1, b, s2, to)
}

/// `a·10^up_a mod b·10^up_b` with the dividend's sign, where at most one of the shifts is not 0.
fn remainder(a: i128, up_a: u8, b: i128, up_b: u8) -> i128 {
    match (up(a, up_a), up(b, up_b)) {
        (Some(a), Some(b)) => a.wrapping_rem(b),
        // The divisor alone is beyond 128 bits, so it is larger than the dividend.
        (Some(a), None) => a,
        (None, _) => {
            let divisor = b.unsigned_abs();
            let mut rest = a.unsigned_abs() % divisor;
            for _ in 0..up_a {
                let twice = double(rest, divisor);
                let five = plus(double(twice, divisor), rest, divisor);
                rest = double(five, divisor);
            }
            if a < 0 { -(rest as i128) } else { rest as i128 }
        }
    }
}

/// `(a + b) mod m` for `a, b < m < 2^127`.
#[inline]
fn plus(a: u128, b: u128, m: u128) -> u128 {
    let sum = a + b;
    if sum >= m { sum - m } else { sum }
}

#[inline]
fn double(a: u128, m: u128) -> u128 {
    plus(a, a, m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: ArithmeticOp, (a, left): (i128, u8), (b, right): (i128, u8), out: u8, want: Option<i128>) {
        assert_eq!(Wide { op, left, right, out }.apply(a, b), want, "{a}e-{left} {op:?} {b}e-{right}");
    }

    #[test]
    fn wide_lanes_are_exact_or_refused() {
        use ArithmeticOp::*;
        check(Add, (decimal::MAX, 0), (1, 0), 0, None);
        check(Add, (decimal::MAX, 0), (-1, 0), 0, Some(decimal::MAX - 1));
        check(Subtract, (-decimal::MAX, 0), (decimal::MAX, 0), 0, None);
        check(Add, (decimal::MAX, 0), (1, 38), 38, None);
        // The scaled operand needs more than 128 bits, the sum does not.
        check(Subtract, (decimal::MAX, 30), (170_141_184, 0), 30, Some(70_141_184 * -pow10(30) - 1));
        check(Add, (-170_141_184, 0), (decimal::MAX, 30), 30, Some(70_141_184 * -pow10(30) - 1));
        check(Add, (200_000_000, 0), (decimal::MAX, 30), 30, None);
        check(Multiply, (decimal::MAX, 38), (10, 0), 38, None);
        check(Divide, (decimal::MAX, 0), (1, 1), 0, None);
        check(Divide, (2, 0), (-3, 0), 4, Some(-6667));
        check(Modulo, (-7, 0), (25, 1), 1, Some(-20));
        check(Modulo, (5, 0), (decimal::MAX, 0), 0, Some(5));
        // 10^37 · 10^20 mod 7 = 10^57 mod 7 = 6, as 10 has order 6 modulo 7 and 10^3 mod 7 = 6.
        check(Modulo, (pow10(37), 0), (7, 20), 20, Some(6));
        check(Modulo, (-pow10(37), 0), (7, 20), 20, Some(-6));
        check(Modulo, (3, 20), (pow10(37), 0), 20, Some(3));
    }
}
