//! A column as integers with one scale: the form in which sums and extremes work, whatever storage a batch brought.
//!
//! Integers and decimals are borrowed. Kinds that need a look at every value (dates, floats, tokens) are copied once
//! per batch.

use std::borrow::Cow;

use arrow_buffer::NullBuffer;
use velostream_state::key::exact_decimal;
use velostream_types::{Column, decimal};

/// Values of a [`Numbers`].
pub(super) enum Mantissas<'a> {
    Narrow(&'a [i64]),
    Wide(Cow<'a, [i128]>),
}

/// A column of numbers.
pub(super) struct Numbers<'a> {
    pub(super) values: Mantissas<'a>,
    pub(super) scale: u8,
    pub(super) nulls: Option<NullBuffer>,
}

impl<'a> Numbers<'a> {
    /// The column as exact numbers; `None` when it holds no numbers at all (only NULLs).
    pub(super) fn exact(column: &'a Column) -> Option<Numbers<'a>> {
        let (values, scale) = match column {
            Column::Int(a) => (Mantissas::Narrow(a.values()), 0),
            Column::Timestamp(a) => (Mantissas::Narrow(a.values()), 0),
            Column::Dec64(a) => (Mantissas::Narrow(a.values()), a.scale().max(0) as u8),
            Column::Dec128(a) => (Mantissas::Wide(Cow::Borrowed(a.values())), a.scale().max(0) as u8),
            Column::Date(a) => (owned(a.values().iter().map(|d| i128::from(*d))), 0),
            Column::Bool(a) => (owned(a.values().iter().map(i128::from)), 0),
            Column::Float(_) | Column::Str(_) => return Some(Numbers::parsed(column)),
            Column::Null(_) | Column::Bytes(_) => return None,
        };
        Some(Numbers { values, scale, nulls: column.nulls() })
    }

    /// TRUE when the values of such a column are copied.
    pub(super) fn copies(column: &Column) -> bool {
        matches!(column, Column::Float(_) | Column::Str(_) | Column::Date(_) | Column::Bool(_))
    }

    /// Numbers that came as text or as floats: exact where possible, NULL where they are no numbers.
    fn parsed(column: &Column) -> Numbers<'a> {
        let one = |i: usize| match column {
            _ if column.is_null(i) => None,
            Column::Float(a) => exact_decimal(a.value(i)).or_else(|| parse(&decimal::float_text(a.value(i)))),
            Column::Str(a) => parse(a.value(i)),
            _ => None,
        };
        let parsed: Vec<Option<(i128, u8)>> = (0..column.len()).map(one).collect();
        let scale = parsed.iter().flatten().map(|(_, s)| *s).max().unwrap_or(0);
        let brought: Vec<Option<i128>> =
            parsed.iter().map(|p| p.and_then(|(m, s)| decimal::rescale(m, s, scale))).collect();
        let nulls = NullBuffer::from_iter(brought.iter().map(Option::is_some));
        Numbers { values: owned(brought.iter().map(|m| m.unwrap_or(0))), scale, nulls: Some(nulls) }
    }

    /// The column as numbers ordered like its floats; `None` when it holds no numbers.
    pub(super) fn float_codes(column: &'a Column) -> Option<Numbers<'a>> {
        let floats = floats(column)?;
        Some(Numbers { values: owned(floats.iter().map(|x| i128::from(code(*x)))), scale: 0, nulls: column.nulls() })
    }
}

fn owned<'a>(values: impl Iterator<Item = i128>) -> Mantissas<'a> {
    Mantissas::Wide(Cow::Owned(values.collect()))
}

fn parse(text: &str) -> Option<(i128, u8)> {
    decimal::from_text(text).or_else(|| decimal::from_exponent_text(text))
}

/// The column as floats; `None` when it holds no numbers.
pub(super) fn floats(column: &Column) -> Option<Cow<'_, [f64]>> {
    Some(match column {
        Column::Float(a) => Cow::Borrowed(a.values()),
        other => {
            let numbers = Numbers::exact(other)?;
            let scale = numbers.scale;
            Cow::Owned(match &numbers.values {
                Mantissas::Narrow(v) => v.iter().map(|m| decimal::to_float(i128::from(*m), scale)).collect(),
                Mantissas::Wide(v) => v.iter().map(|m| decimal::to_float(*m, scale)).collect(),
            })
        }
    })
}

/// An integer that orders like the float: NaN above everything, −0 equal to 0.
pub(super) fn code(x: f64) -> i64 {
    let x = if x.is_nan() { f64::NAN.abs() } else { x + 0.0 };
    let bits = x.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The float of a [`code`].
pub(super) fn decode(code: i64) -> f64 {
    f64::from_bits((code ^ (((code >> 63) as u64) >> 1) as i64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_order_like_floats() {
        let ordered = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 2.5, f64::INFINITY, f64::NAN];
        assert!(ordered.windows(2).all(|w| code(w[0]) < code(w[1])));
        assert_eq!(code(-0.0), code(0.0));
        assert!(ordered[..7].iter().all(|x| decode(code(*x)) == *x) && decode(code(f64::NAN)).is_nan());
    }

    #[test]
    fn tokens_are_numbers() {
        let column = Column::strs([Some("1.25"), None, Some("2e1"), Some("x")]);
        let numbers = Numbers::exact(&column).expect("text may hold numbers");
        let Mantissas::Wide(values) = &numbers.values else { panic!("copied") };
        assert_eq!((values.as_ref(), numbers.scale), (&[125, 0, 2000, 0][..], 2));
        assert_eq!(numbers.nulls.map(|n| n.null_count()), Some(2));
    }
}
