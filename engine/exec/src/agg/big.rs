//! Integers of 1,024 bits for the sums behind variances and regressions: every step of those is exact, and one rounding
//! to a float ends it.
//!
//! How wide is enough: a value brought to a common scale has at most 76 digits, 253 bits; sums of 2^63 of them 316 bits,
//! sums of products 569, the differences n·Σxy − Σx·Σy 633, the products in an intercept 950. Two's complement, least
//! limb first. Slow and simple: only emission and sums that left 128 bits come here.

use std::cmp::Ordering;

const LIMBS: usize = 16;

/// A 1,024-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Big([u64; LIMBS]);

impl From<i128> for Big {
    fn from(value: i128) -> Big {
        let mut limbs = [if value < 0 { u64::MAX } else { 0 }; LIMBS];
        (limbs[0], limbs[1]) = (value as u64, (value >> 64) as u64);
        Big(limbs)
    }
}

impl Big {
    pub(super) const ZERO: Big = Big([0; LIMBS]);

    pub(super) fn is_zero(&self) -> bool {
        *self == Big::ZERO
    }

    pub(super) fn is_negative(&self) -> bool {
        self.0[LIMBS - 1] >> 63 == 1
    }

    pub(super) fn plus(&self, other: &Big) -> Big {
        let mut out = [0; LIMBS];
        let mut carry = false;
        for (i, limb) in out.iter_mut().enumerate() {
            let (sum, over) = self.0[i].overflowing_add(other.0[i]);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || more);
        }
        Big(out)
    }

    pub(super) fn negated(&self) -> Big {
        Big(self.0.map(|limb| !limb)).plus(&Big::from(1))
    }

    pub(super) fn minus(&self, other: &Big) -> Big {
        self.plus(&other.negated())
    }

    fn magnitude(&self) -> Big {
        if self.is_negative() { self.negated() } else { *self }
    }

    pub(super) fn times(&self, other: &Big) -> Big {
        let (a, b) = (self.magnitude(), other.magnitude());
        let (a_len, b_len) = (a.len(), b.len());
        let mut out = [0u64; LIMBS];
        for i in 0..a_len {
            let mut carry = 0u128;
            for j in 0..LIMBS - i {
                if j >= b_len && carry == 0 {
                    break;
                }
                let at = u128::from(out[i + j]) + u128::from(a.0[i]) * u128::from(b.0[j]) + carry;
                (out[i + j], carry) = (at as u64, at >> 64);
            }
        }
        let product = Big(out);
        if self.is_negative() == other.is_negative() { product } else { product.negated() }
    }

    /// Times 10^n.
    pub(super) fn times_ten(&self, n: u32) -> Big {
        let mut out = *self;
        let mut left = n;
        while left > 0 {
            let step = left.min(38);
            out = out.times(&Big::from(10i128.pow(step)));
            left -= step;
        }
        out
    }

    /// Limbs in use; of magnitudes only.
    fn len(&self) -> usize {
        self.0.iter().rposition(|limb| *limb != 0).map_or(0, |at| at + 1)
    }

    /// Bits in use; of magnitudes only.
    fn bits(&self) -> u32 {
        match self.len() {
            0 => 0,
            len => len as u32 * 64 - self.0[len - 1].leading_zeros(),
        }
    }

    fn shifted_up(&self, by: u32) -> Big {
        let (limbs, bits) = ((by / 64) as usize, by % 64);
        let mut out = [0; LIMBS];
        let mut below = 0;
        for (to, limb) in out.iter_mut().skip(limbs).zip(self.0) {
            *to = (limb << bits) | if bits > 0 { below >> (64 - bits) } else { 0 };
            below = limb;
        }
        Big(out)
    }

    fn halved(&self) -> Big {
        let mut out = [0; LIMBS];
        for (i, limb) in out.iter_mut().enumerate() {
            *limb = (self.0[i] >> 1) | self.0.get(i + 1).map_or(0, |high| high << 63);
        }
        Big(out)
    }

    /// Appends as few limbs as hold the value with its sign.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let sign = if self.is_negative() { u64::MAX } else { 0 };
        let kept = self.0.iter().rposition(|limb| *limb != sign).map_or(0, |at| at + 1);
        // One limb more, so that the last one always has the sign.
        let kept = (kept + 1).min(LIMBS);
        self.0[..kept].iter().for_each(|limb| out.extend_from_slice(&limb.to_le_bytes()));
    }

    /// What [`Big::save`] wrote.
    pub(super) fn load(bytes: &[u8]) -> Option<Big> {
        let (limbs, rest) = bytes.as_chunks::<8>();
        let last = u64::from_le_bytes(*limbs.last()?);
        if !rest.is_empty() || limbs.len() > LIMBS {
            return None;
        }
        let mut out = [if last >> 63 == 1 { u64::MAX } else { 0 }; LIMBS];
        out.iter_mut().zip(limbs).for_each(|(to, from)| *to = u64::from_le_bytes(*from));
        Some(Big(out))
    }

    /// Order of magnitudes.
    fn compare(&self, other: &Big) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }

    /// The value, if 128 bits hold it.
    pub(super) fn small(&self) -> Option<i128> {
        let low = (i128::from(self.0[1] as i64) << 64) | i128::from(self.0[0]);
        (Big::from(low) == *self).then_some(low)
    }
}

/// Bits of a quotient before rounding: more than the 53 of a float.
const QUOTIENT_BITS: u32 = 57;

/// `numerator / denominator` rounded once, to nearest even; `denominator` is above 0.
pub(super) fn ratio(numerator: &Big, denominator: &Big) -> f64 {
    const EXACT: i128 = 1 << 53;
    if let (Some(n), Some(d)) = (numerator.small(), denominator.small())
        && n.abs() <= EXACT
        && d <= EXACT
    {
        return n as f64 / d as f64;
    }
    let (mut a, mut b) = (numerator.magnitude(), denominator.magnitude());
    if a.is_zero() || b.is_zero() {
        return 0.0;
    }
    // a is brought to where the quotient has 57 or 58 bits.
    let up = (b.bits() + QUOTIENT_BITS) as i32 - a.bits() as i32;
    if up >= 0 {
        a = a.shifted_up(up as u32);
    } else {
        b = b.shifted_up(up.unsigned_abs());
    }
    let mut quotient = 0u64;
    let mut part = b.shifted_up(QUOTIENT_BITS);
    for _ in 0..=QUOTIENT_BITS {
        quotient <<= 1;
        if a.compare(&part).is_ge() {
            a = a.minus(&part);
            quotient |= 1;
        }
        part = part.halved();
    }
    // What is left only decides whether a tie is one.
    let rounded = ((quotient << 1) | u64::from(!a.is_zero())) as f64;
    let value = scaled(rounded, -up - 1);
    if numerator.is_negative() { -value } else { value }
}

/// `x · 2^by`, in two steps so that neither factor leaves the range.
fn scaled(x: f64, by: i32) -> f64 {
    let power = |n: i32| f64::from_bits(((1023 + n.clamp(-1022, 1023)) as u64) << 52);
    let half = by / 2;
    x * power(half) * power(by - half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn small_numbers_compute_like_machine_ones(a in -10i128.pow(18)..10i128.pow(18), b in -10i128.pow(18)..10i128.pow(18)) {
            let (x, y) = (Big::from(a), Big::from(b));
            prop_assert_eq!(x.plus(&y).small(), Some(a + b));
            prop_assert_eq!(x.minus(&y).small(), Some(a - b));
            prop_assert_eq!(x.times(&y).small(), Some(a * b));
            prop_assert_eq!(x.is_negative(), a < 0);
            let wide = x.times(&y).times_ten(60);
            let mut bytes = Vec::new();
            wide.save(&mut bytes);
            prop_assert_eq!(Big::load(&bytes), Some(wide));
        }

        /// Multiplying both sides by a power of ten leaves the ratio and takes the slow way.
        #[test]
        fn ratios_round_once(n in -(1i128 << 53)..(1i128 << 53), d in 1i128..(1 << 53), up in 20u32..120) {
            let (a, b) = (Big::from(n).times_ten(up), Big::from(d).times_ten(up));
            prop_assert_eq!(ratio(&a, &b), n as f64 / d as f64);
        }
    }

    #[test]
    fn wide_ratios_are_those_of_their_text() {
        let check = |n: Big, d: Big, expect: f64| assert_eq!(ratio(&n, &d), expect);
        check(Big::from(i128::MAX), Big::from(1), i128::MAX as f64);
        check(Big::from(1), Big::from(1).times_ten(76), 1e-76);
        check(Big::from(-123).times_ten(200), Big::from(1), -123e200);
        check(Big::from(2).times_ten(38), Big::from(3).times_ten(38), 2.0 / 3.0);
        // Exactly between two floats: to the even one; a hair above: up.
        check(Big::from((1 << 54) + 2), Big::from(2), ((1i64 << 53) + 1) as f64);
        check(
            Big::from((1i128 << 54) + 2).times_ten(30).plus(&Big::from(1)),
            Big::from(1).times_ten(30),
            (1i64 << 54) as f64 + 4.0,
        );
    }
}
