//! Numbers of assertions: exact for as long as their operands are, floats otherwise.
//!
//! Integers and decimals are `mantissa / 10^scale`. A result that needs more than 38 digits becomes a float, and so does
//! everything a float takes part in. Tolerances are taken as they are written (0.0001, not the float nearest to it), so
//! that a difference of exactly the tolerance passes.

use std::cmp::Ordering;

use velostream_types::{Value, decimal};

use crate::record_text::float_text;

/// Digits behind the point of a quotient.
const QUOTIENT_SCALE: u8 = 18;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// `mantissa / 10^scale`
    Exact { mantissa: i128, scale: u8 },
    /// Anything else.
    Float(f64),
}

impl Number {
    /// No number is smaller in size.
    pub(crate) const ZERO: Number = Number::Exact { mantissa: 0, scale: 0 };

    /// The number that a value is; text is none.
    #[inline]
    pub(crate) fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Int(i) => Some(Number::Exact { mantissa: i128::from(*i), scale: 0 }),
            Value::Decimal { mantissa, scale } => Some(Number::Exact { mantissa: *mantissa, scale: *scale }),
            Value::Float(x) => Some(Number::Float(*x)),
            _ => None,
        }
    }

    /// The number that a value is or that its text says.
    pub(crate) fn of_text_too(value: &Value) -> Option<Number> {
        match value {
            Value::Str(text) => Number::parse(text.trim()),
            other => Number::of(other),
        }
    }

    /// The number a text says, exact where 38 digits hold it.
    pub(crate) fn parse(text: &str) -> Option<Number> {
        if let Some((mantissa, scale)) = decimal::from_text(text).or_else(|| decimal::from_exponent_text(text)) {
            return Some(Number::Exact { mantissa, scale });
        }
        // `inf` and `nan` are words, not numbers.
        let digits = text.bytes().any(|c| c.is_ascii_digit());
        text.parse().ok().filter(|x: &f64| digits && x.is_finite()).map(Number::Float)
    }

    /// The decimal that a float of a spec was written as.
    pub(crate) fn written(x: f64) -> Number {
        Number::parse(&decimal::float_text(x)).unwrap_or(Number::Float(x))
    }

    /// A count.
    pub(crate) fn count(n: u64) -> Number {
        Number::Exact { mantissa: i128::from(n), scale: 0 }
    }

    /// The nearest float.
    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Exact { mantissa, scale } => decimal::to_float(mantissa, scale),
            Number::Float(x) => x,
        }
    }

    /// Decimals at their scale, floats as short as they can be.
    pub(crate) fn text(self) -> String {
        match self {
            Number::Exact { mantissa, scale } => decimal::to_text(mantissa, scale),
            Number::Float(x) => float_text(x),
        }
    }

    /// Without the zeros behind the point.
    pub(crate) fn shortest(self) -> Number {
        match self {
            Number::Exact { mantissa, scale } => {
                let (mantissa, scale) = decimal::strip(mantissa, scale, 0);
                Number::Exact { mantissa, scale }
            }
            float => float,
        }
    }

    /// `self + other`
    #[inline]
    pub(crate) fn plus(self, other: Number) -> Number {
        if let (Number::Exact { mantissa: a, scale: s }, Number::Exact { mantissa: b, scale: t }) = (self, other) {
            let scale = decimal::add_scale(s, t);
            let sum = decimal::rescale(a, s, scale)
                .zip(decimal::rescale(b, t, scale))
                .map(|(a, b)| a + b)
                .filter(|sum| decimal::fits(*sum));
            if let Some(mantissa) = sum {
                return Number::Exact { mantissa, scale };
            }
        }
        Number::Float(self.float() + other.float())
    }

    /// `-self`
    pub(crate) fn negated(self) -> Number {
        match self {
            Number::Exact { mantissa, scale } => Number::Exact { mantissa: -mantissa, scale },
            Number::Float(x) => Number::Float(-x),
        }
    }

    /// `self - other`
    pub(crate) fn minus(self, other: Number) -> Number {
        self.plus(other.negated())
    }

    /// `self * other`
    pub(crate) fn times(self, other: Number) -> Number {
        if let (Number::Exact { mantissa: a, scale: s }, Number::Exact { mantissa: b, scale: t }) = (self, other) {
            let ((a, s), (b, t)) = (decimal::strip(a, s, 0), decimal::strip(b, t, 0));
            let scale = s + t;
            if let Some(mantissa) = (scale <= 38).then(|| decimal::mul(a, s, b, t, scale)).flatten() {
                return Number::Exact { mantissa, scale };
            }
        }
        Number::Float(self.float() * other.float())
    }

    /// `self / other`, rounded behind 18 digits; `None`: the divisor is 0.
    pub(crate) fn over(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        if let (Number::Exact { mantissa: a, scale: s }, Number::Exact { mantissa: b, scale: t }) = (self, other)
            && let Some(mantissa) = decimal::div(a, s, b, t, QUOTIENT_SCALE.max(s))
        {
            return Some(Number::Exact { mantissa, scale: QUOTIENT_SCALE.max(s) }.shortest());
        }
        Some(Number::Float(self.float() / other.float()))
    }

    /// Without its sign.
    pub(crate) fn size(self) -> Number {
        if self.compare(Number::ZERO) == Ordering::Less { self.negated() } else { self }
    }

    /// It is 0.
    pub(crate) fn is_zero(self) -> bool {
        match self {
            Number::Exact { mantissa, .. } => mantissa == 0,
            Number::Float(x) => x == 0.0,
        }
    }

    /// Which one is greater. Exact ones are compared exactly, whatever their scales.
    #[inline]
    pub(crate) fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Exact { mantissa: a, scale: s }, Number::Exact { mantissa: b, scale: t }) => {
                if s == t {
                    return a.cmp(&b);
                }
                // Whole parts first; what is behind the point is below 10^38 at either scale.
                let (p, q) = (decimal::pow10(s.min(38)), decimal::pow10(t.min(38)));
                let wide = decimal::add_scale(s, t).min(38);
                let fraction = |rest: i128, scale: u8| rest * decimal::pow10(wide - scale.min(38));
                a.div_euclid(p)
                    .cmp(&b.div_euclid(q))
                    .then_with(|| fraction(a.rem_euclid(p), s).cmp(&fraction(b.rem_euclid(q), t)))
            }
            _ => {
                let (a, b) = (self.float(), other.float());
                a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
            }
        }
    }

    /// Not farther from `other` than `tolerance`.
    pub(crate) fn within(self, other: Number, tolerance: f64) -> bool {
        self.minus(other).size().compare(Number::written(tolerance)) != Ordering::Greater
    }
}

/// A sum of many numbers. Floats are added apart from exact ones, with what rounding lost (Neumaier), so that the
/// order of records changes nothing that can be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    exact: Number,
    floats: f64,
    lost: f64,
    has_floats: bool,
    /// How many were added.
    pub(crate) count: u64,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { exact: Number::ZERO, floats: 0.0, lost: 0.0, has_floats: false, count: 0 }
    }
}

impl Sum {
    /// One more.
    #[inline]
    pub(crate) fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Exact { .. } => self.exact = self.exact.plus(number),
            Number::Float(x) => {
                self.has_floats = true;
                let sum = self.floats + x;
                self.lost +=
                    if self.floats.abs() >= x.abs() { (self.floats - sum) + x } else { (x - sum) + self.floats };
                self.floats = sum;
            }
        }
    }

    /// The sum.
    pub(crate) fn total(&self) -> Number {
        if self.has_floats { Number::Float(self.exact.float() + (self.floats + self.lost)) } else { self.exact }
    }

    /// The mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<Number> {
        self.total().over(Number::count(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn exact_numbers_stay_exact() {
        assert_eq!(n("0.1").plus(n("0.2")).text(), "0.3");
        assert_eq!(n("1.50").times(n("1.10")).text(), "1.65");
        assert_eq!(n("1").over(n("8")).expect("no zero").text(), "0.125");
        assert_eq!(n("1").over(n("3")).expect("no zero").text(), "0.333333333333333333");
        assert!(n("1").over(n("0.00")).is_none());
        assert_eq!(n("5").minus(n("7.25")).text(), "-2.25");
    }

    #[test]
    fn comparison_knows_no_scale() {
        for (a, b, want) in [
            ("1.0", "1", Ordering::Equal),
            ("-1.5", "-1.25", Ordering::Less),
            ("99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001", Ordering::Greater),
            ("-99999999999999999999999999999999999999", "0.1", Ordering::Less),
            ("2", "1.999", Ordering::Greater),
        ] {
            assert_eq!(n(a).compare(n(b)), want, "{a} and {b}");
        }
        assert_eq!(n("0.5").compare(Number::Float(0.5)), Ordering::Equal);
    }

    #[test]
    fn a_difference_of_the_tolerance_is_within_it() {
        assert!(n("1.0001").within(n("1"), 1e-4));
        assert!(!n("1.00010001").within(n("1"), 1e-4));
    }

    #[test]
    fn what_does_not_fit_becomes_a_float() {
        let big = n("99999999999999999999999999999999999999");
        assert!(matches!(big.plus(n("1")), Number::Float(_)));
        assert!(matches!(big.times(big), Number::Float(_)));
        assert!(matches!(n("1e60"), Number::Float(_)));
        assert!(Number::parse("nan").is_none() && Number::parse("inf").is_none() && Number::parse("x").is_none());
    }

    #[test]
    fn a_sum_of_floats_keeps_what_rounding_loses() {
        let mut sum = Sum::default();
        [1e16, 1.0, -1e16].into_iter().for_each(|x| sum.add(Number::Float(x)));
        assert_eq!(sum.total().text(), "1");
        assert_eq!(Number::Float(15025.0).text(), "15025");
    }
}
