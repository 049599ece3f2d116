//! Numbers as the unevaluated sum of two floats, 106 bits in all: what float sums of products need so that taking the
//! difference of two great ones leaves something.

/// `high + low`, where `low` is what `high` could not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl From<f64> for Pair {
    fn from(high: f64) -> Pair {
        Pair { high, low: 0.0 }
    }
}

/// The sum of two floats and what it lost.
fn two_sum(a: f64, b: f64) -> Pair {
    let high = a + b;
    let back = high - a;
    Pair { high, low: (a - (high - back)) + (b - back) }
}

/// The same where `a` is not smaller than `b`, or 0.
fn renormal(a: f64, b: f64) -> Pair {
    let high = a + b;
    Pair { high, low: b - (high - a) }
}

impl Pair {
    pub(super) const ZERO: Pair = Pair { high: 0.0, low: 0.0 };

    /// The exact product of two floats.
    pub(super) fn product(a: f64, b: f64) -> Pair {
        let high = a * b;
        Pair { high, low: a.mul_add(b, -high) }
    }

    pub(super) fn plus(self, other: Pair) -> Pair {
        let (s, t) = (two_sum(self.high, other.high), two_sum(self.low, other.low));
        let first = renormal(s.high, s.low + t.high);
        renormal(first.high, first.low + t.low)
    }

    pub(super) fn minus(self, other: Pair) -> Pair {
        self.plus(Pair { high: -other.high, low: -other.low })
    }

    pub(super) fn times(self, other: Pair) -> Pair {
        let p = Pair::product(self.high, other.high);
        renormal(p.high, p.low + (self.high * other.low + self.low * other.high))
    }

    /// The nearest float of the quotient.
    pub(super) fn over(self, other: Pair) -> f64 {
        let first = self.high / other.high;
        let rest = self.minus(other.times(Pair::from(first)));
        first + rest.high / other.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_float_loses_is_kept() {
        let third = Pair::from(1e16).plus(Pair::from(1.0)).minus(Pair::from(1e16));
        assert_eq!(third, Pair::from(1.0));
        let square = Pair::product(1.0 + f64::EPSILON, 1.0 + f64::EPSILON);
        assert_eq!(square.low, f64::EPSILON * f64::EPSILON);
        assert_eq!(Pair::from(1.0).over(Pair::from(3.0)), 1.0 / 3.0);
        assert_eq!(Pair::from(6.0).times(Pair::from(7.0)), Pair::from(42.0));
    }
}
