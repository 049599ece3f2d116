//! Exact numbers: a big integer over a power of ten, with no limit on digits.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use velostream_types::{DataType, Value};

/// `units / 10^scale`
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub units: BigInt,
    pub scale: u32,
}

impl Number {
    /// The number in an exact value.
    pub fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Int(i) => Some(Number { units: BigInt::from(*i), scale: 0 }),
            Value::Decimal { mantissa, scale } => {
                Some(Number { units: BigInt::from(*mantissa), scale: u32::from(*scale) })
            }
            _ => None,
        }
    }

    pub fn zero() -> Number {
        Number { units: BigInt::ZERO, scale: 0 }
    }

    /// The same number with `scale` digits after the point; digits are only added.
    fn at(&self, scale: u32) -> BigInt {
        &self.units * ten(scale - self.scale)
    }

    pub fn plus(&self, other: &Number) -> Number {
        let scale = self.scale.max(other.scale);
        Number { units: self.at(scale) + other.at(scale), scale }
    }

    pub fn negated(&self) -> Number {
        Number { units: -&self.units, scale: self.scale }
    }

    pub fn times(&self, other: &Number) -> Number {
        Number { units: &self.units * &other.units, scale: self.scale + other.scale }
    }

    /// The quotient rounded half away from zero at `scale` digits.
    pub fn over(&self, other: &Number, scale: u32) -> Number {
        let numerator = &self.units * ten(other.scale + scale);
        let denominator = &other.units * ten(self.scale);
        Number { units: half_away(&numerator, &denominator), scale }
    }

    /// What truncated division leaves; it has the dividend's sign.
    pub fn remainder(&self, other: &Number) -> Number {
        let scale = self.scale.max(other.scale);
        Number { units: self.at(scale) % other.at(scale), scale }
    }

    /// Rounded half away from zero to at most `scale` digits after the point.
    pub fn rounded(&self, scale: u32) -> Number {
        if self.scale <= scale {
            return self.clone();
        }
        Number { units: half_away(&self.units, &ten(self.scale - scale)), scale }
    }

    /// Cut towards zero.
    pub fn whole(&self) -> BigInt {
        &self.units / ten(self.scale)
    }

    /// Cut towards negative infinity.
    pub fn floor(&self) -> BigInt {
        let unit = ten(self.scale);
        let cut = &self.units / &unit;
        if self.units.sign() == Sign::Minus && &cut * &unit != self.units { cut - 1 } else { cut }
    }

    pub fn is_zero(&self) -> bool {
        self.units == BigInt::ZERO
    }

    pub fn compare(&self, other: &Number) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.at(scale).cmp(&other.at(scale))
    }

    /// The nearest float, read back from text.
    pub fn to_float(&self) -> f64 {
        format!("{}e-{}", self.units, self.scale).parse().unwrap_or(f64::NAN)
    }

    /// The value, if the type can hold it: i64 for Integer, 38 digits at its scale for a decimal. An Integer that has a
    /// fraction (its source widened) stays a decimal.
    pub fn into_value(self, ty: &DataType) -> Option<Value> {
        let lean = self.lean();
        match ty {
            DataType::Integer => {
                let (least, most) = (Number::int(i64::MIN), Number::int(i64::MAX));
                if lean.compare(&least).is_lt() || lean.compare(&most).is_gt() {
                    return None;
                }
                match i64::try_from(&lean.units) {
                    Ok(i) if lean.scale == 0 => Some(Value::Int(i)),
                    _ => lean.decimal(),
                }
            }
            _ => {
                let digits = 38 - u32::from(ty.exact_scale().unwrap_or(0));
                let limit = Number { units: ten(digits), scale: 0 };
                let magnitude = Number { units: BigInt::from(lean.units.magnitude().clone()), scale: lean.scale };
                if magnitude.compare(&limit).is_ge() { None } else { lean.decimal() }
            }
        }
    }

    pub fn int(value: i64) -> Number {
        Number { units: BigInt::from(value), scale: 0 }
    }

    fn decimal(&self) -> Option<Value> {
        let mantissa = i128::try_from(&self.units).ok()?;
        Some(Value::Decimal { mantissa, scale: u8::try_from(self.scale).ok()? })
    }

    /// Without zeros at the end of the fraction.
    fn lean(&self) -> Number {
        let mut lean = self.clone();
        while lean.scale > 0 && (&lean.units % 10) == BigInt::ZERO {
            lean = Number { units: lean.units / 10, scale: lean.scale - 1 };
        }
        lean
    }
}

/// 10^n
pub(super) fn ten(n: u32) -> BigInt {
    BigInt::from(10).pow(n)
}

/// `a / b` rounded half away from zero.
fn half_away(a: &BigInt, b: &BigInt) -> BigInt {
    let doubled: BigInt = a * 2;
    let negative = (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus);
    let (a, b) = (doubled.magnitude(), b.magnitude());
    let quotient = BigInt::from((a + b) / (b * 2u32));
    if negative { -quotient } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(units: i64, scale: u32) -> Number {
        Number { units: BigInt::from(units), scale }
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (units, want) in [(25, 3), (24, 2), (-25, -3), (-24, -2), (5, 1), (-5, -1), (4, 0)] {
            assert_eq!(n(units, 1).rounded(0).units, BigInt::from(want));
        }
        assert_eq!(n(2, 0).over(&n(-3, 0), 4).units, BigInt::from(-6667));
        assert_eq!(n(-7, 0).remainder(&n(25, 1)).units, BigInt::from(-20));
        assert_eq!(n(-1, 1).floor(), BigInt::from(-1));
    }
}
