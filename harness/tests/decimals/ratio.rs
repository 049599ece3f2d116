//! Fractions of big integers.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// `top / bottom`, the bottom above zero.
#[derive(Clone, Debug)]
pub struct Ratio {
    top: BigInt,
    bottom: BigInt,
}

/// 10^n
pub fn ten(n: u32) -> BigInt {
    BigInt::from(10).pow(n)
}

impl Ratio {
    fn new(top: BigInt, bottom: BigInt) -> Ratio {
        if bottom.sign() == Sign::Minus { Ratio { top: -top, bottom: -bottom } } else { Ratio { top, bottom } }
    }

    /// `mantissa / 10^scale`
    pub fn decimal(mantissa: BigInt, scale: u32) -> Ratio {
        Ratio { top: mantissa, bottom: ten(scale) }
    }

    /// The number in text: sign, digits with a point, exponent.
    pub fn parse(text: &str) -> Option<Ratio> {
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let top: BigInt = all.parse().ok()?;
        let scale = fraction.len() as i32 - exponent;
        let top = if negative { -top } else { top };
        let shift = ten(scale.unsigned_abs().min(5_000));
        Some(if scale < 0 { Ratio::new(top * shift, BigInt::from(1)) } else { Ratio::new(top, shift) })
    }

    pub fn is_zero(&self) -> bool {
        self.top.sign() == Sign::NoSign
    }

    pub fn negated(&self) -> Ratio {
        Ratio { top: -&self.top, bottom: self.bottom.clone() }
    }

    pub fn magnitude(&self) -> Ratio {
        if self.top.sign() == Sign::Minus { self.negated() } else { self.clone() }
    }

    pub fn plus(&self, other: &Ratio) -> Ratio {
        Ratio::new(&self.top * &other.bottom + &other.top * &self.bottom, &self.bottom * &other.bottom)
    }

    pub fn times(&self, other: &Ratio) -> Ratio {
        Ratio::new(&self.top * &other.top, &self.bottom * &other.bottom)
    }

    /// The divisor is not zero.
    pub fn over(&self, other: &Ratio) -> Ratio {
        Ratio::new(&self.top * &other.bottom, &self.bottom * &other.top)
    }

    /// What is left of truncated division: `self - other * trunc(self / other)`.
    pub fn remainder(&self, other: &Ratio) -> Ratio {
        let quotient = self.over(other);
        let whole = Ratio::new(&quotient.top / &quotient.bottom, BigInt::from(1));
        self.plus(&other.times(&whole).negated())
    }

    /// Largest integer that is not above.
    pub fn floor(&self) -> BigInt {
        let cut = &self.top / &self.bottom;
        if self.top.sign() == Sign::Minus && &cut * &self.bottom != self.top { cut - 1 } else { cut }
    }

    /// Mantissa at `scale` digits behind the point (before it where negative), half away from zero.
    pub fn mantissa(&self, scale: i32) -> BigInt {
        let shift = ten(scale.unsigned_abs());
        let (top, bottom) =
            if scale < 0 { (self.top.clone(), &self.bottom * shift) } else { (&self.top * shift, self.bottom.clone()) };
        let half_more = BigInt::from(top.magnitude() * 2u32 + bottom.magnitude());
        let rounded: BigInt = half_more / (bottom * 2);
        if top.sign() == Sign::Minus { -rounded } else { rounded }
    }

    /// Rounded half away from zero at `scale` digits.
    pub fn rounded(&self, scale: i32) -> Ratio {
        let mantissa = self.mantissa(scale);
        let unit = ten(scale.unsigned_abs());
        if scale < 0 { Ratio::new(mantissa * unit, BigInt::from(1)) } else { Ratio::new(mantissa, unit) }
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Ratio) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Ratio) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Ratio) -> Ordering {
        (&self.top * &other.bottom).cmp(&(&other.top * &self.bottom))
    }
}
