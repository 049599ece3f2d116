//! 256-bit integers for the rare sum that leaves 128 bits on its way. Two's complement: `high · 2^128 + low`.
//!
//! A sum is kept as its low 128 bits in a block and, only for groups that ever wrapped, a count of wraps; this type
//! joins the two for emission and for a change of scale. Slow and simple: overflow is not a hot path.

use velostream_types::decimal;

/// A 256-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    high: i128,
    low: u128,
}

impl Wide {
    /// `low` read as signed, plus `carry · 2^128`.
    pub(super) fn new(low: i128, carry: i64) -> Wide {
        Wide { high: (low >> 127) + i128::from(carry), low: low as u128 }
    }

    /// The parts [`Wide::new`] takes; `None` when even those do not hold it.
    pub(super) fn parts(self) -> Option<(i128, i64)> {
        let low = self.low as i128;
        Some((low, i64::try_from(self.high - (low >> 127)).ok()?))
    }

    fn is_negative(self) -> bool {
        self.high < 0
    }

    fn negate(self) -> Wide {
        let (low, carry) = (!self.low).overflowing_add(1);
        Wide { high: (!self.high).wrapping_add(i128::from(carry)), low }
    }

    fn magnitude(self) -> (u128, u128) {
        let w = if self.is_negative() { self.negate() } else { self };
        (w.high as u128, w.low)
    }

    fn signed(high: u128, low: u128, negative: bool) -> Option<Wide> {
        let w = Wide { high: i128::try_from(high).ok()?, low };
        Some(if negative { w.negate() } else { w })
    }

    /// The sum; `None` beyond 256 bits.
    pub(super) fn plus(self, other: Wide) -> Option<Wide> {
        let (low, carry) = self.low.overflowing_add(other.low);
        Some(Wide { high: self.high.checked_add(other.high)?.checked_add(i128::from(carry))?, low })
    }

    /// Times 10^`n`; `None` beyond 255 bits.
    pub(super) fn scale_up(self, n: u8) -> Option<Wide> {
        let (mut high, mut low) = self.magnitude();
        for _ in 0..n {
            let (carry, shifted) = times_ten(low);
            high = high.checked_mul(10)?.checked_add(carry)?;
            low = shifted;
        }
        Wide::signed(high, low, self.is_negative())
    }

    /// Without zeros at its end, as long as `scale` is above `least`.
    pub(super) fn strip(mut self, mut scale: u8, least: u8) -> (Wide, u8) {
        while scale > least {
            let (high, low) = self.magnitude();
            let (qh, ql, r) = divide(high, low, 10);
            if r != 0 {
                break;
            }
            match Wide::signed(qh, ql, self.is_negative()) {
                Some(q) => self = q,
                None => break,
            }
            scale -= 1;
        }
        (self, scale)
    }

    /// The value when it is a mantissa of at most 38 digits.
    pub(super) fn mantissa(self) -> Option<i128> {
        match self.parts() {
            Some((low, 0)) if decimal::fits(low) => Some(low),
            _ => None,
        }
    }

    /// Divided by `count` and 10^(`from` − `to`), or times 10^(`to` − `from`), rounded half away from zero.
    pub(super) fn average(self, count: u64, from: u8, to: u8) -> Option<i128> {
        let up = if to > from { self.scale_up(to - from)? } else { self };
        let by = u128::from(count).checked_mul(decimal::pow10(from.saturating_sub(to)) as u128)?;
        let (high, low) = up.magnitude();
        let (qh, ql, r) = divide(high, low, by);
        let (ql, carry) = ql.overflowing_add(u128::from(r >= by - r));
        Wide::signed(qh.checked_add(u128::from(carry))?, ql, self.is_negative())?.mantissa()
    }

    /// Nearest float, give or take a last digit.
    pub(super) fn to_float(self) -> f64 {
        let (high, low) = self.magnitude();
        let x = high as f64 * 2f64.powi(128) + low as f64;
        if self.is_negative() { -x } else { x }
    }
}

fn times_ten(x: u128) -> (u128, u128) {
    let low = (x & u128::from(u64::MAX)) * 10;
    let high = (x >> 64) * 10 + (low >> 64);
    (high >> 64, (high << 64) | (low & u128::from(u64::MAX)))
}

/// Quotient (high, low) and remainder.
fn divide(high: u128, low: u128, by: u128) -> (u128, u128, u128) {
    let (q_high, mut rem) = (high / by, high % by);
    if rem == 0 {
        return (q_high, low / by, low % by);
    }
    let mut q_low = 0u128;
    for i in (0..128).rev() {
        let carry = rem >> 127;
        rem = (rem << 1) | ((low >> i) & 1);
        q_low <<= 1;
        if carry == 1 || rem >= by {
            rem = rem.wrapping_sub(by);
            q_low |= 1;
        }
    }
    (q_high, q_low, rem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_and_scales_round_trip(low: i128, carry in -1_000_000i64..1_000_000, n in 0u8..30) {
            let w = Wide::new(low, carry);
            prop_assert_eq!(w.parts(), Some((low, carry)));
            prop_assert_eq!(w.negate().negate(), w);
            if let Some(up) = w.scale_up(n) {
                let (back, scale) = up.strip(n, 0);
                prop_assert_eq!(scale, 0);
                prop_assert_eq!(back, w);
            }
        }

        #[test]
        fn averages_equal_those_of_small_numbers(sum in -10i128.pow(20)..10i128.pow(20), count in 1u64..1000, to in 0u8..9) {
            prop_assert_eq!(Wide::new(sum, 0).average(count, 3, to), decimal::div(sum, 3, i128::from(count), 0, to));
        }
    }

    #[test]
    fn wraps_are_exact() {
        let (wrapped, over) = i128::MAX.overflowing_add(i128::MAX);
        assert!(over);
        assert_eq!(Wide::new(wrapped, 1).average(2, 0, 0), None, "i128::MAX has 39 digits");
        let (wrapped, over) = decimal::MAX.overflowing_add(decimal::MAX);
        assert!(over);
        assert_eq!(Wide::new(wrapped, 1).average(2, 0, 0), Some(decimal::MAX));
        assert_eq!(Wide::new(wrapped, 1).mantissa(), None);
        assert!((Wide::new(wrapped, 1).to_float() / 2e38 - 1.0).abs() < 1e-9);
    }
}
