//! Values of the simulator: integers, exact decimals, text, NULL, and numbers that only leave (ranks as fractions).
//!
//! Decimals of one column all have its scale, so the derived order is the order of values; NULL is the least.

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Int(i128),
    /// Mantissa in front of the scale: values of one column share the scale.
    Dec(i128, u32),
    Text(String),
    /// As it is written; nothing computes with it.
    Fraction(String),
}

impl Value {
    /// Its number without the point; `None` for NULL and text.
    pub fn mantissa(&self) -> Option<i128> {
        match self {
            Value::Int(m) | Value::Dec(m, _) => Some(*m),
            Value::Null | Value::Text(_) | Value::Fraction(_) => None,
        }
    }

    /// A number of the same kind.
    pub fn like(&self, mantissa: i128) -> Value {
        match self {
            Value::Dec(_, scale) => Value::Dec(mantissa, *scale),
            _ => Value::Int(mantissa),
        }
    }

    /// A fraction as a 64-bit float prints.
    pub fn ratio(numerator: i128, denominator: i128) -> Value {
        Value::Fraction(if denominator == 0 {
            "0.0".to_owned()
        } else {
            format!("{:?}", numerator as f64 / denominator as f64)
        })
    }

    /// JSON.
    pub fn text(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Int(i) => i.to_string(),
            Value::Dec(mantissa, 0) => mantissa.to_string(),
            Value::Dec(mantissa, scale) => {
                let one = 10i128.pow(*scale);
                let sign = if *mantissa < 0 { "-" } else { "" };
                let (whole, part) = (mantissa.abs() / one, mantissa.abs() % one);
                format!("{sign}{whole}.{part:0>width$}", width = *scale as usize)
            }
            Value::Text(text) => format!("\"{text}\""),
            Value::Fraction(text) => text.clone(),
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Dec,
    Text,
    Fraction,
}

/// A column of a stage's output.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

impl Column {
    pub fn new(name: impl Into<String>, kind: Kind) -> Column {
        Column { name: name.into(), kind }
    }

    /// TRUE for what can be summed.
    pub fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Int | Kind::Dec)
    }
}
