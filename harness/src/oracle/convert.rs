//! Casts of single values, and their canonical text.

use num_bigint::BigInt;
use velostream_types::{DataType, Value, decimal, time};

use super::number::{Number, ten};

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_DAY: i64 = 86_400_000 * NS_PER_MS;

/// `CAST(value AS to)`; `None` when the value does not convert. NULL stays NULL.
pub(super) fn cast(value: &Value, from: &DataType, to: &DataType) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    if *from == DataType::Json && !to.is_nested() {
        return super::nested::from_json(value, to);
    }
    match to {
        DataType::Boolean => boolean(value),
        DataType::Integer => integer(value),
        DataType::Float => match value {
            Value::Str(s) => float_of_text(s).map(Value::Float),
            Value::Float(_) => Some(value.clone()),
            _ => Number::of(value).map(|n| Value::Float(n.to_float())),
        },
        DataType::Decimal { precision, scale } => decimal_of(value, *precision, *scale),
        DataType::String => Some(Value::Str(text(value, from).into())),
        DataType::Date => match value {
            Value::Date(_) => Some(value.clone()),
            Value::Timestamp(t) => i32::try_from(t.div_euclid(NS_PER_DAY)).ok().map(Value::Date),
            Value::Str(s) => date_of_text(s).map(Value::Date),
            _ => None,
        },
        DataType::Timestamp => timestamp(value).map(Value::Timestamp),
        _ if to == from => Some(value.clone()),
        to if to.is_nested() => super::nested::cast(value, from, to),
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<Value> {
    Some(Value::Bool(match value {
        Value::Bool(b) => *b,
        Value::Str(s) => match s.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => true,
            "false" | "f" | "0" => false,
            _ => return None,
        },
        other => !Number::of(other)?.is_zero(),
    }))
}

fn integer(value: &Value) -> Option<Value> {
    let whole = match value {
        Value::Bool(b) => BigInt::from(u8::from(*b)),
        // Without fraction digits a float prints its exact value.
        Value::Float(x) if x.is_finite() => format!("{:.0}", x.trunc()).parse().ok()?,
        Value::Timestamp(t) => BigInt::from(t.div_euclid(NS_PER_MS)),
        Value::Str(s) => {
            let text = s.trim();
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            text.parse().ok()?
        }
        other => Number::of(other)?.whole(),
    };
    i64::try_from(&whole).ok().map(Value::Int)
}

fn float_of_text(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.bytes().any(|b| b.is_ascii_alphabetic() && !b.eq_ignore_ascii_case(&b'e')) {
        return None;
    }
    text.parse::<f64>().ok().filter(|x| x.is_finite())
}

/// `[sign] digits [. digits]` of any length.
fn plain_number(text: &str) -> Option<Number> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unsigned = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(unsigned) || !all_digits(fraction) || unsigned.len() + fraction.len() == 0 {
        return None;
    }
    let units: BigInt = format!("{unsigned}{fraction}").parse().ok()?;
    let units = if whole.starts_with('-') { -units } else { units };
    Some(Number { units, scale: fraction.len() as u32 })
}

/// Plain or exponent text.
fn number_of_text(text: &str) -> Option<Number> {
    let text = text.trim();
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else { return plain_number(text) };
    let number = plain_number(digits)?;
    let exponent: i64 = exponent.parse().ok().filter(|e: &i64| e.abs() < 10_000)?;
    let scale = i64::from(number.scale) - exponent;
    Some(match u32::try_from(scale) {
        Ok(scale) => Number { units: number.units, scale },
        Err(_) => Number { units: number.units * ten((-scale) as u32), scale: 0 },
    })
}

fn decimal_of(value: &Value, precision: u8, scale: u8) -> Option<Value> {
    let number = match value {
        Value::Float(x) if x.is_finite() => number_of_text(&format!("{x:e}"))?,
        // The grammar of text is that of 38-digit decimals.
        Value::Str(s) => number_of_text(s).filter(|n| n.clone().into_value(&DataType::DECIMAL_MAX).is_some())?,
        other => Number::of(other)?,
    };
    let rounded = number.rounded(u32::from(scale));
    let units = &rounded.units * ten(u32::from(scale) - rounded.scale);
    if units.magnitude() >= ten(u32::from(precision)).magnitude() {
        return None;
    }
    Some(Value::Decimal { mantissa: i128::try_from(&units).ok()?, scale })
}

fn date_of_text(text: &str) -> Option<i32> {
    let text = text.trim();
    let parts = |mark: char| -> Option<[&str; 3]> { text.split(mark).collect::<Vec<_>>().try_into().ok() };
    let [y, m, d] = match (parts('-'), parts('/')) {
        (Some([y, m, d]), _) | (_, Some([y, m, d])) if y.len() == 4 => [y, m, d],
        (Some([d, m, y]), _) => [y, m, d],
        (_, Some([m, d, y])) => [y, m, d],
        _ => return None,
    };
    time::parse_date(&format!("{y}-{m}-{d}"))
}

fn timestamp(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(t) => Some(*t),
        Value::Date(d) => i64::from(*d).checked_mul(NS_PER_DAY),
        Value::Str(s) => timestamp_of_text(s),
        other => {
            let ns = Number::of(other)?.times(&Number::int(NS_PER_MS));
            i64::try_from(&ns.floor()).ok()
        }
    }
}

pub(super) fn timestamp_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.get(4..5) == Some("/") && text.get(7..8) == Some("/") {
        return time::parse_timestamp(&text.replacen('/', "-", 2));
    }
    time::parse_timestamp(text)
}

/// Canonical text: an exact number has the digits of its logical scale after the point, or as many more as it needs.
pub(super) fn text(value: &Value, ty: &DataType) -> String {
    match value {
        Value::Int(_) | Value::Decimal { .. } => {
            let least = usize::from(ty.exact_scale().unwrap_or(0));
            let plain = match value {
                Value::Decimal { mantissa, scale } => decimal::to_text(*mantissa, *scale),
                other => other.to_string(),
            };
            let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
            let needed = fraction.trim_end_matches('0');
            if needed.is_empty() && least == 0 { whole.to_owned() } else { format!("{whole}.{needed:0<least$}") }
        }
        other => other.to_string(),
    }
}
