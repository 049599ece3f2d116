//! Single values while a derived field is computed: arithmetic, order, rounding, text, and the way into a field's type.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use velostream_types::time::{NS_PER_DAY, NS_PER_MS, ns_to_ms, parse_date, parse_timestamp};
use velostream_types::{Value, decimal};

use super::super::number::mantissa_of;
use crate::record_text::{float_text, timestamp_text};
use crate::schema::FieldType;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Of a decimal field, or computed from one.
    Decimal(i128, u8),
    /// A number of the expression with a point: exact, and no reason for others to become decimals.
    Literal(i128, u8),
    Text(Cow<'a, str>),
    /// Nanoseconds since 1970. A number where one is needed: ms.
    Time(i64),
    /// Days since 1970.
    Date(i32),
}

/// Operators between numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Operators between values of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
        }
    }
}

/// What an exact number's result is, the strongest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    Int,
    Literal,
    Decimal,
}

enum Number {
    Exact(i128, u8, Exact),
    Float(f64),
}

impl<'a> Operand<'a> {
    /// A field's value.
    pub fn of(value: &'a Value) -> Operand<'a> {
        match value {
            Value::Bool(b) => Operand::Bool(*b),
            Value::Int(n) => Operand::Int(*n),
            Value::Float(x) => Operand::Float(*x),
            Value::Decimal { mantissa, scale } => Operand::Decimal(*mantissa, *scale),
            Value::Str(text) | Value::Json(text) => Operand::Text(Cow::Borrowed(text)),
            Value::Timestamp(ns) => Operand::Time(*ns),
            Value::Date(days) => Operand::Date(*days),
            Value::Null | Value::Bytes(_) | Value::Time(_) | Value::Interval(_) => Operand::Null,
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            Operand::Int(n) => Some(Number::Exact(i128::from(*n), 0, Exact::Int)),
            Operand::Time(ns) => Some(Number::Exact(i128::from(ns_to_ms(*ns)), 0, Exact::Int)),
            Operand::Literal(mantissa, scale) => Some(Number::Exact(*mantissa, *scale, Exact::Literal)),
            Operand::Decimal(mantissa, scale) => Some(Number::Exact(*mantissa, *scale, Exact::Decimal)),
            Operand::Float(x) => Some(Number::Float(*x)),
            Operand::Null | Operand::Bool(_) | Operand::Text(_) | Operand::Date(_) => None,
        }
    }

    /// As a float, if it is a number.
    pub fn float(&self) -> Option<f64> {
        match self.number()? {
            Number::Exact(mantissa, scale, _) => Some(decimal::to_float(mantissa, scale)),
            Number::Float(x) => Some(x),
        }
    }

    /// Appends its text; nothing for NULL.
    pub fn push_text(&self, out: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = match self {
            Operand::Null => Ok(()),
            Operand::Bool(b) => write!(out, "{b}"),
            Operand::Int(n) => write!(out, "{n}"),
            Operand::Float(x) => out.write_str(&float_text(*x)),
            Operand::Decimal(mantissa, scale) | Operand::Literal(mantissa, scale) => {
                out.write_str(&decimal::to_text(*mantissa, *scale))
            }
            Operand::Text(text) => out.write_str(text),
            Operand::Time(ns) => out.write_str(&timestamp_text(*ns, ' ')),
            Operand::Date(days) => write!(out, "{}", Value::Date(*days)),
        };
    }

    fn exact(mantissa: i128, scale: u8, kind: Exact) -> Operand<'a> {
        match (kind, i64::try_from(mantissa)) {
            (Exact::Int, Ok(n)) => Operand::Int(n),
            (Exact::Decimal, _) => Operand::Decimal(mantissa, scale),
            _ => Operand::Literal(mantissa, scale),
        }
    }

    fn of_float(x: f64) -> Operand<'a> {
        if x.is_finite() { Operand::Float(x) } else { Operand::Null }
    }
}

/// `a` and `b` under an operator; NULL if either is no number, or the result is none.
pub(super) fn arithmetic<'a>(op: Arithmetic, a: Operand<'_>, b: Operand<'_>) -> Operand<'a> {
    let (Some(a), Some(b)) = (a.number(), b.number()) else { return Operand::Null };
    match (a, b) {
        (Number::Exact(a, a_scale, a_kind), Number::Exact(b, b_scale, b_kind)) => {
            let kind = a_kind.max(b_kind);
            if op == Arithmetic::Divide && kind != Exact::Decimal {
                return floats(op, decimal::to_float(a, a_scale), decimal::to_float(b, b_scale));
            }
            exacts(op, (a, a_scale), (b, b_scale)).map_or(Operand::Null, |(m, scale)| Operand::exact(m, scale, kind))
        }
        (Number::Float(a), Number::Float(b)) => floats(op, a, b),
        (Number::Float(a), Number::Exact(b, scale, kind)) => {
            keeping(scale, kind, floats(op, a, decimal::to_float(b, scale)))
        }
        (Number::Exact(a, scale, kind), Number::Float(b)) => {
            keeping(scale, kind, floats(op, decimal::to_float(a, scale), b))
        }
    }
}

/// A result that one side was a decimal of this scale of.
fn keeping<'a>(scale: u8, kind: Exact, result: Operand<'a>) -> Operand<'a> {
    match (kind, result) {
        (Exact::Decimal, Operand::Float(x)) => {
            mantissa_of(x, scale).map_or(Operand::Null, |mantissa| Operand::Decimal(mantissa, scale))
        }
        (_, result) => result,
    }
}

fn floats<'a>(op: Arithmetic, a: f64, b: f64) -> Operand<'a> {
    Operand::of_float(match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
    })
}

fn exacts(op: Arithmetic, (a, a_scale): (i128, u8), (b, b_scale): (i128, u8)) -> Option<(i128, u8)> {
    let wide = decimal::add_scale(a_scale, b_scale);
    let aligned = || Some((decimal::rescale(a, a_scale, wide)?, decimal::rescale(b, b_scale, wide)?));
    let (mantissa, scale) = match op {
        Arithmetic::Add => (aligned().and_then(|(a, b)| a.checked_add(b))?, wide),
        Arithmetic::Subtract => (aligned().and_then(|(a, b)| a.checked_sub(b))?, wide),
        Arithmetic::Multiply => {
            let scale = decimal::mul_scale(a_scale, b_scale);
            (decimal::mul(a, a_scale, b, b_scale, scale)?, scale)
        }
        Arithmetic::Divide | Arithmetic::Remainder if b == 0 => return None,
        Arithmetic::Divide => {
            let scale = decimal::div_scale(a_scale, b_scale);
            (decimal::div(a, a_scale, b, b_scale, scale)?, scale)
        }
        Arithmetic::Remainder => (aligned().and_then(|(a, b)| a.checked_rem(b))?, wide),
    };
    decimal::fits(mantissa).then_some((mantissa, scale))
}

/// Which of two values of one kind comes first; `None` if one is NULL or they cannot be compared.
pub(super) fn order(a: &Operand<'_>, b: &Operand<'_>) -> Option<Ordering> {
    match (a, b) {
        (Operand::Text(a), Operand::Text(b)) => return Some(a.cmp(b)),
        (Operand::Bool(a), Operand::Bool(b)) => return Some(a.cmp(b)),
        (Operand::Date(a), Operand::Date(b)) => return Some(a.cmp(b)),
        (Operand::Time(a), Operand::Time(b)) => return Some(a.cmp(b)),
        _ => {}
    }
    if let (Number::Exact(x, x_scale, _), Number::Exact(y, y_scale, _)) = (a.number()?, b.number()?) {
        let wide = decimal::add_scale(x_scale, y_scale);
        if let (Some(x), Some(y)) = (decimal::rescale(x, x_scale, wide), decimal::rescale(y, y_scale, wide)) {
            return Some(x.cmp(&y));
        }
    }
    a.float()?.partial_cmp(&b.float()?)
}

/// Rounds half away from zero.
pub(super) fn round<'a>(x: &Operand<'_>, digits: u8) -> Operand<'a> {
    match x.number() {
        Some(Number::Exact(mantissa, scale, kind)) if digits < scale => {
            decimal::rescale(mantissa, scale, digits).map_or(Operand::Null, |m| Operand::exact(m, digits, kind))
        }
        Some(Number::Exact(mantissa, scale, kind)) => Operand::exact(mantissa, scale, kind),
        Some(Number::Float(x)) => {
            let factor = 10f64.powi(i32::from(digits));
            let rounded = (x * factor).round() / factor;
            // Where the product is too large, there are no digits to round.
            Operand::of_float(if rounded.is_finite() { rounded } else { x })
        }
        None => Operand::Null,
    }
}

/// The next whole number downwards.
pub(super) fn floor<'a>(x: &Operand<'_>) -> Operand<'a> {
    whole(x, f64::floor, |mantissa, one| mantissa.div_euclid(one))
}

/// The next whole number upwards.
pub(super) fn ceil<'a>(x: &Operand<'_>) -> Operand<'a> {
    whole(x, f64::ceil, |mantissa, one| -(-mantissa).div_euclid(one))
}

fn whole<'a>(x: &Operand<'_>, float: fn(f64) -> f64, exact: fn(i128, i128) -> i128) -> Operand<'a> {
    match x.number() {
        Some(Number::Exact(mantissa, scale, kind)) => {
            Operand::exact(exact(mantissa, decimal::pow10(scale.min(38))), 0, kind)
        }
        Some(Number::Float(x)) => Operand::of_float(float(x)),
        None => Operand::Null,
    }
}

/// The value as one of a field's type; NULL where it is none.
pub(super) fn coerce(value: Operand<'_>, field_type: FieldType) -> Value {
    let text = |value: &Operand<'_>| {
        let mut text = String::new();
        value.push_text(&mut text);
        text
    };
    let coerced = match (field_type, &value) {
        (_, Operand::Null) => None,
        (FieldType::String | FieldType::Uuid, Operand::Text(text)) => Some(Value::Str((&**text).into())),
        (FieldType::String | FieldType::Uuid, other) => Some(Value::Str(text(other).into())),
        (_, Operand::Text(text)) => from_text(text, field_type),
        (FieldType::Boolean, Operand::Bool(b)) => Some(Value::Bool(*b)),
        (FieldType::Boolean, other) => other.float().map(|x| Value::Bool(x != 0.0)),
        (FieldType::Timestamp, Operand::Time(ns)) => Some(Value::Timestamp(*ns)),
        (FieldType::Timestamp, other) => integer(other).and_then(|ms| ms.checked_mul(NS_PER_MS)).map(Value::Timestamp),
        (FieldType::Date, Operand::Date(days)) => Some(Value::Date(*days)),
        (FieldType::Date, Operand::Time(ns)) => i32::try_from(ns.div_euclid(NS_PER_DAY)).ok().map(Value::Date),
        (FieldType::Date, _) => None,
        (_, Operand::Bool(b)) => return coerce(Operand::Int(i64::from(*b)), field_type),
        (FieldType::Integer, other) => integer(other).map(Value::Int),
        (FieldType::Float, other) => other.float().map(Value::Float),
        (FieldType::Decimal(to), other) => match other.number() {
            Some(Number::Exact(mantissa, scale, _)) => decimal::rescale(mantissa, scale, to),
            Some(Number::Float(x)) => mantissa_of(x, to),
            None => None,
        }
        .map(|mantissa| Value::Decimal { mantissa, scale: to }),
    };
    coerced.unwrap_or(Value::Null)
}

fn integer(value: &Operand<'_>) -> Option<i64> {
    let mantissa = match value.number()? {
        Number::Exact(mantissa, scale, _) => decimal::rescale(mantissa, scale, 0),
        Number::Float(x) => mantissa_of(x, 0),
    };
    mantissa.and_then(|m| i64::try_from(m).ok())
}

/// The value of a field's type that a text stands for; `None` if it stands for none.
pub(in crate::generate) fn from_text(text: &str, field_type: FieldType) -> Option<Value> {
    let trimmed = text.trim();
    match field_type {
        FieldType::String | FieldType::Uuid => Some(Value::Str(text.into())),
        FieldType::Integer => trimmed.parse().ok().map(Value::Int),
        FieldType::Float => trimmed.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
        FieldType::Decimal(to) => {
            let (mantissa, scale) = decimal::from_text(trimmed).or_else(|| decimal::from_exponent_text(trimmed))?;
            decimal::rescale(mantissa, scale, to).map(|mantissa| Value::Decimal { mantissa, scale: to })
        }
        FieldType::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        FieldType::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        FieldType::Boolean => None,
        FieldType::Timestamp => parse_timestamp(trimmed).map(Value::Timestamp),
        FieldType::Date => parse_date(trimmed).map(Value::Date),
    }
}

/// A value of any type as one of a field's type; `None` where it is none.
pub(in crate::generate) fn converted(value: &Value, field_type: FieldType) -> Option<Value> {
    Some(coerce(Operand::of(value), field_type)).filter(|value| !value.is_null())
}
