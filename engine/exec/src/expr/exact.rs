//! Exact numbers as mantissa lanes with a physical scale, whatever column carries them.

use std::borrow::Cow;

use velostream_types::{Column, Value, decimal};

use super::datum::{Datum, View, scale_of};
use super::lanes::Side;

/// Mantissas with their scale.
pub(super) enum Exact<'a> {
    /// 64-bit mantissas: integers (scale 0) and short decimals.
    Narrow(&'a [i64], u8),
    /// 128-bit mantissas.
    Wide(&'a [i128], u8),
    /// One constant.
    One(i128, u8),
}

impl<'a> Exact<'a> {
    /// The operand's mantissas; `None` when it is no exact number.
    pub fn of(datum: &'a Datum<'_>) -> Option<Exact<'a>> {
        Some(match datum.view() {
            View::Column(Column::Int(a)) => Exact::Narrow(a.values(), 0),
            View::Column(Column::Dec64(a)) => Exact::Narrow(a.values(), scale_of(a.scale())),
            View::Column(Column::Dec128(a)) => Exact::Wide(a.values(), scale_of(a.scale())),
            View::Const(Value::Int(i) | Value::Interval(i) | Value::Time(i)) => Exact::One(i128::from(*i), 0),
            View::Const(Value::Decimal { mantissa, scale }) => Exact::One(*mantissa, *scale),
            _ => return None,
        })
    }

    /// Digits after the point.
    pub fn scale(&self) -> u8 {
        match self {
            Exact::Narrow(_, s) | Exact::Wide(_, s) | Exact::One(_, s) => *s,
        }
    }

    /// 64-bit lanes, where the mantissas have that width.
    pub fn narrow(&self) -> Option<Side<'_, i64>> {
        match self {
            Exact::Narrow(values, _) => Some(Side::Slice(values)),
            Exact::Wide(..) => None,
            Exact::One(m, _) => i64::try_from(*m).ok().map(Side::Same),
        }
    }

    /// 128-bit mantissas; one for a constant.
    pub fn widened(&self) -> Cow<'_, [i128]> {
        match self {
            Exact::Narrow(values, _) => Cow::Owned(values.iter().map(|v| i128::from(*v)).collect()),
            Exact::Wide(values, _) => Cow::Borrowed(values),
            Exact::One(m, _) => Cow::Owned(vec![*m]),
        }
    }

    /// Lanes over what [`Exact::widened`] gave.
    pub fn side<'b>(&self, widened: &'b [i128]) -> Side<'b, i128> {
        match self {
            Exact::One(m, _) => Side::Same(*m),
            _ => Side::Slice(widened),
        }
    }

    /// Mantissa of lane `i`, for cold paths.
    pub fn at(&self, i: usize) -> i128 {
        match self {
            Exact::Narrow(values, _) => i128::from(values[i]),
            Exact::Wide(values, _) => values[i],
            Exact::One(m, _) => *m,
        }
    }

    /// Text of lane `i`, for messages.
    pub fn text(&self, i: usize) -> String {
        decimal::to_text(self.at(i), self.scale())
    }
}

/// The number's float lanes; `None` when the operand is no number.
pub(super) fn floats<'d>(datum: &'d Datum<'_>) -> Option<FloatLanes<'d>> {
    Some(match datum.view() {
        View::Column(Column::Float(a)) => FloatLanes::Many(Cow::Borrowed(a.values())),
        View::Const(Value::Float(x)) => FloatLanes::One(*x),
        _ => match Exact::of(datum)? {
            Exact::Narrow(values, 0) => FloatLanes::Many(values.iter().map(|v| *v as f64).collect()),
            Exact::Narrow(values, s) => {
                FloatLanes::Many(values.iter().map(|v| decimal::to_float(i128::from(*v), s)).collect())
            }
            Exact::Wide(values, s) => FloatLanes::Many(values.iter().map(|v| decimal::to_float(*v, s)).collect()),
            Exact::One(m, s) => FloatLanes::One(decimal::to_float(m, s)),
        },
    })
}

/// Float lanes, borrowed where the column is one of floats.
pub(super) enum FloatLanes<'a> {
    Many(Cow<'a, [f64]>),
    One(f64),
}

impl FloatLanes<'_> {
    pub fn side(&self) -> Side<'_, f64> {
        match self {
            FloatLanes::Many(values) => Side::Slice(values),
            FloatLanes::One(x) => Side::Same(*x),
        }
    }
}

/// TRUE when the operand is physically a float.
pub(super) fn is_float(datum: &Datum<'_>) -> bool {
    matches!(datum.view(), View::Column(Column::Float(_)) | View::Const(Value::Float(_)))
}
