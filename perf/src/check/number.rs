//! A number as it was written, with its exact value.

/// `mantissa / 10^scale` and the text it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    mantissa: i128,
    scale: u32,
    token: String,
}

impl Number {
    /// A computed number.
    pub fn new(mantissa: i128, scale: u32) -> Number {
        Number { mantissa, scale, token: String::new() }
    }

    /// Reads `-?digits(.digits)?`; nothing else is a number of the generated data.
    pub fn parse(token: &str) -> Option<Number> {
        let digits = token.strip_prefix('-').unwrap_or(token);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let fraction = if digits.contains('.') { fraction } else { "" };
        let magnitude: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mantissa = if token.starts_with('-') { -magnitude } else { magnitude };
        Some(Number { mantissa, scale: fraction.len() as u32, token: token.to_owned() })
    }

    /// The text it came from.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The value without a fraction, if it has none.
    pub fn whole(&self) -> Option<i64> {
        (self.scale == 0).then(|| i64::try_from(self.mantissa).ok()).flatten()
    }

    /// Exact comparison with a whole number.
    pub fn exceeds(&self, bound: i128) -> bool {
        self.mantissa > bound * 10i128.pow(self.scale)
    }

    /// Exact product.
    pub fn times(&self, other: &Number) -> Number {
        Number::new(self.mantissa * other.mantissa, self.scale + other.scale)
    }

    /// The mantissa at a scale that is at least its own.
    pub fn at_scale(&self, scale: u32) -> i128 {
        self.mantissa * 10i128.pow(scale - self.scale)
    }

    /// As it was written, without the zeros behind so many digits after the point.
    pub fn trimmed(&self, digits: u32) -> String {
        self.text(self.scale.min(digits))
    }

    /// Text with at least `digits` after the point and as many more as the value needs.
    pub fn text(&self, digits: u32) -> String {
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        while scale > digits && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        while scale < digits {
            mantissa *= 10;
            scale += 1;
        }
        let sign = if mantissa < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale as usize + 1);
        let (whole, fraction) = text.split_at(text.len() - scale as usize);
        if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}
