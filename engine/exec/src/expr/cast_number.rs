//! Casts to Boolean, Integer, Float and Decimal.

use arrow_array::{Array, BooleanArray, StringViewArray};
use arrow_buffer::BooleanBuffer;
use velostream_types::decimal::{self, fits, pow10, pow10_i64};
use velostream_types::time::ns_to_ms;
use velostream_types::{Column, DataType};

use super::cast::{Conversion, boolean, float, integer, number};
use super::datum::{Datum, scale_of};
use super::eval::Session;
use super::exact::{FloatLanes, floats};

/// Text by its words, integers by being other than 0.
pub(super) fn to_boolean(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    let (values, nulls) = match c.column {
        Column::Bool(a) => return Some(Column::Bool(a.clone())),
        Column::Str(_) => {
            let (values, nulls) = c.parsed(session, boolean);
            (BooleanBuffer::from(values), nulls)
        }
        Column::Int(a) => (non_zero(a.values()), a.nulls().cloned()),
        Column::Dec64(a) => (non_zero(a.values()), a.nulls().cloned()),
        Column::Dec128(a) => (non_zero(a.values()), a.nulls().cloned()),
        _ => return None,
    };
    Some(Column::Bool(BooleanArray::new(values, nulls)))
}

fn non_zero<T: Copy + Default + PartialEq>(values: &[T]) -> BooleanBuffer {
    BooleanBuffer::collect_bool(values.len(), |i| values[i] != T::default())
}

/// Fractions are cut towards zero; timestamps give their milliseconds.
pub(super) fn to_integer(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    Some(match c.column {
        Column::Int(_) if matches!(c.from, DataType::Interval | DataType::Time) => return None,
        Column::Int(a) => Column::Int(a.clone()),
        Column::Dec64(a) => {
            let unit = decimal::pow10_i64(scale_of(a.scale()).min(18));
            let values = a.values();
            Column::ints(values.iter().map(|m| m / unit).collect(), a.nulls().cloned())
        }
        Column::Dec128(a) => {
            let (values, unit) = (a.values(), pow10(scale_of(a.scale())));
            c.integers(session, |i| i64::try_from(values[i] / unit).ok())
        }
        Column::Float(a) => {
            let values = a.values();
            c.integers(session, |i| float_to_integer(values[i]))
        }
        Column::Bool(a) => c.integers(session, |i| Some(i64::from(a.value(i)))),
        Column::Str(_) => {
            let (values, nulls) = c.parsed(session, integer);
            Column::ints(values, nulls)
        }
        Column::Timestamp(a) => {
            let values = a.values();
            c.integers(session, |i| Some(ns_to_ms(values[i])))
        }
        Column::Date(_) | Column::Bytes(_) | Column::Null(_) => return None,
    })
}

/// Whole part of a float within i64: the bounds are the powers of two that floats hold exactly.
fn float_to_integer(x: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let whole = x.trunc();
    (-LIMIT..LIMIT).contains(&whole).then_some(whole as i64)
}

/// Exact numbers give the nearest float.
pub(super) fn to_float(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    Some(match c.column {
        Column::Float(a) => Column::Float(a.clone()),
        Column::Str(_) => {
            let (values, nulls) = c.parsed(session, float);
            Column::floats(values, nulls)
        }
        Column::Int(_) if matches!(c.from, DataType::Interval | DataType::Time) => return None,
        Column::Int(_) | Column::Dec64(_) | Column::Dec128(_) => match floats(&Datum::Column(c.column.clone()))? {
            FloatLanes::Many(values) => Column::floats(values.into_owned(), c.column.nulls()),
            FloatLanes::One(_) => return None,
        },
        _ => return None,
    })
}

/// Rounds half away from zero to `scale` digits, counting the values that lost any; more than `precision` digits do not
/// convert.
pub(super) fn to_decimal(c: &Conversion<'_>, precision: u8, scale: u8, session: &mut Session<'_>) -> Option<Column> {
    let limit = pow10(precision.min(38));
    let within = move |(m, cut): (i128, bool)| (fits(m) && m < limit && m > -limit).then_some((m, cut));
    let exact = move |m: i128, from: u8| rounded(m, from, scale).and_then(within);
    let (values, nulls) = match c.column {
        Column::Int(_) if matches!(c.from, DataType::Interval | DataType::Time) => return None,
        Column::Int(a) => {
            let values = a.values();
            c.lanes(session, |i| exact(i128::from(values[i]), 0))
        }
        Column::Dec64(a) => {
            let (values, from) = (a.values(), scale_of(a.scale()));
            c.lanes(session, |i| exact(i128::from(values[i]), from))
        }
        Column::Dec128(a) => {
            let (values, from) = (a.values(), scale_of(a.scale()));
            c.lanes(session, |i| exact(values[i], from))
        }
        Column::Float(a) => {
            let values = a.values();
            c.lanes(session, |i| from_float(values[i], scale).and_then(within))
        }
        Column::Str(a) if let Some(column) = short_decimals(a, precision, scale) => return Some(column),
        Column::Str(a) => c.lanes(session, |i| number(a.value(i)).and_then(|(m, from)| exact(m, from))),
        _ => return None,
    };
    let live = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i)) && c.selection.is_none_or(|s| s.value(i));
    session.rounded += values.iter().enumerate().filter(|(i, (_, cut))| *cut && live(*i)).count() as u64;
    let narrow = scale <= 18 && values.iter().all(|(m, _)| i64::try_from(*m).is_ok());
    Some(if narrow {
        Column::dec64(values.iter().map(|(m, _)| *m as i64).collect(), scale, nulls)
    } else {
        Column::dec128(values.iter().map(|(m, _)| *m).collect(), scale, nulls)
    })
}

/// Short numbers none of which loses digits or leaves the type; `None` where one may, for the rules to be applied.
fn short_decimals(a: &StringViewArray, precision: u8, scale: u8) -> Option<Column> {
    if scale > 18 {
        return None;
    }
    // 64 bits never hold more than 19 digits.
    let limit = if precision <= 18 { pow10_i64(precision).unsigned_abs() } else { u64::MAX };
    let nulls = a.nulls().filter(|n| n.null_count() > 0);
    let mut values = Vec::with_capacity(a.len());
    for i in 0..a.len() {
        if nulls.is_some_and(|n| n.is_null(i)) {
            values.push(0);
            continue;
        }
        let (mantissa, from) = decimal::from_short_text(a.value(i))?;
        let mantissa = mantissa.checked_mul(pow10_i64(scale.checked_sub(from)?))?;
        if mantissa.unsigned_abs() >= limit {
            return None;
        }
        values.push(mantissa);
    }
    Some(Column::dec64(values, scale, nulls.cloned()))
}

/// The mantissa at scale `to`, and whether digits other than 0 went.
fn rounded(m: i128, from: u8, to: u8) -> Option<(i128, bool)> {
    let value = decimal::rescale(m, from, to)?;
    Some((value, from > to && m % pow10(from - to) != 0))
}

/// The shortest decimal that reads back as the float, rounded to `scale` digits.
fn from_float(x: f64, scale: u8) -> Option<(i128, bool)> {
    if !x.is_finite() {
        return None;
    }
    let (digits, exponent) = shortest(x)?;
    let shift = exponent + i32::from(scale);
    if shift >= 0 {
        let factor = pow10(u8::try_from(shift).ok().filter(|s| *s <= 38)?);
        return digits.checked_mul(factor).map(|m| (m, false));
    }
    // 17 digits shifted further right than 38 places are nothing.
    let drop = (-shift).min(38) as u8;
    let value = decimal::div_round(digits, pow10(drop));
    Some((value, digits % pow10(drop) != 0))
}

/// The float as `digits · 10^exponent` with at most 17 digits.
fn shortest(x: f64) -> Option<(i128, i32)> {
    use std::io::Write;
    let mut text = [0u8; 32];
    let mut rest = &mut text[..];
    write!(rest, "{x:e}").ok()?;
    let used = 32 - rest.len();
    let text = std::str::from_utf8(&text[..used]).ok()?;
    let (mantissa, exponent) = text.split_once('e')?;
    let (digits, scale) = decimal::from_text(mantissa)?;
    Some((digits, exponent.parse::<i32>().ok()? - i32::from(scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_convert_by_their_shortest_text() {
        for (x, scale, want) in [
            (2.675, 2, Some((268, true))),
            (-0.1, 1, Some((-1, false))),
            (1e22, 0, Some((10i128.pow(22), false))),
            (1e-300, 2, Some((0, true))),
            (-0.0, 2, Some((0, false))),
            (1e300, 0, None),
            (f64::NAN, 0, None),
        ] {
            assert_eq!(from_float(x, scale), want, "{x}");
        }
    }

    #[test]
    fn floats_outside_integers_do_not_convert() {
        for (x, want) in [
            (1.9, Some(1)),
            (-1.9, Some(-1)),
            (-9.223_372_036_854_776e18, Some(i64::MIN)),
            (9.223_372_036_854_776e18, None),
        ] {
            assert_eq!(float_to_integer(x), want);
        }
        assert_eq!(float_to_integer(f64::INFINITY), None);
        assert_eq!(float_to_integer(f64::NAN), None);
    }
}
