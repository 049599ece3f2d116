//! Numbers that keep their kind: sign, rounding, remainders. Exact numbers stay exact; halves round away from zero.
//!
//! A decimal keeps its scale when it is rounded. Floats are rounded as their shortest text reads, so that 2.675 at two
//! digits is 2.68, which is what CAST to a decimal gives; away from halves that is one multiplication and one division.

use velostream_types::decimal::{self, div_round, pow10};
use velostream_types::{Column, DataType};

use crate::call::{Call, Exact, Fail};
use crate::function::{ArgType, Function, Group, Param, Returns};

const NUMBER: &[Param] = &[Param::Number];
const NUMBER_DIGITS: &[Param] = &[Param::Number, Param::Integer];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("ABS", Group::Math, NUMBER, Returns::SameAs(0), abs).fails().doc(
        "ABS(x)",
        "The number without its sign, of the same type.",
        &[
            ("ABS(-5)", "5"),
            ("ABS(-1.50)", "1.50"),
            ("ABS(-0.5e0)", "0.5"),
            ("ABS(-9223372036854775808)", "error: 9223372036854775808 is beyond the range of INTEGER"),
            ("ABS(NULL)", "NULL"),
        ],
    ),
    Function::new("SIGN", Group::Math, NUMBER, Returns::Integer, sign).doc(
        "SIGN(x)",
        "-1, 0 or 1.",
        &[("SIGN(-0.05)", "-1"), ("SIGN(0)", "0"), ("SIGN(2.5e0)", "1")],
    ),
    Function::new("ROUND", Group::Math, NUMBER_DIGITS, Returns::By(rounded), round).optional(1).fails().doc(
        "ROUND(x[, digits])",
        "The number rounded to so many digits behind the point, 0 if not given, below 0 in front of it. Halves go away \
         from zero; an INTEGER stays one and a decimal keeps its scale.",
        &[
            ("ROUND(2.5)", "3.0"),
            ("ROUND(-2.5)", "-3.0"),
            ("ROUND(1.005, 2)", "1.010"),
            ("ROUND(2.675e0, 2)", "2.68"),
            ("ROUND(1250, -2)", "1300"),
            ("ROUND(-1249, -2)", "-1200"),
            ("ROUND(0.5e0)", "1.0"),
            ("ROUND(9223372036854775807, -1)", "error: 9223372036854775810 is beyond the range of INTEGER"),
        ],
    ),
    Function::new("TRUNC", Group::Math, NUMBER_DIGITS, Returns::By(rounded), trunc).or(&["TRUNCATE"]).optional(1).doc(
        "TRUNC(x[, digits])",
        "As ROUND, but the digits behind are cut off.",
        &[
            ("TRUNC(-2.79)", "-2.00"),
            ("TRUNC(1.999, 2)", "1.990"),
            ("TRUNC(1299, -2)", "1200"),
            ("TRUNC(0.29e0, 2)", "0.29"),
        ],
    ),
    Function::new("CEIL", Group::Math, NUMBER, Returns::Integer, ceil).or(&["CEILING"]).fails().doc(
        "CEIL(x)",
        "The smallest INTEGER not below the number.",
        &[
            ("CEIL(1.01)", "2"),
            ("CEIL(-1.99)", "-1"),
            ("CEIL(2.0e0)", "2"),
            ("CEIL(1e30)", "error: 1e30 is beyond the range of INTEGER"),
        ],
    ),
    Function::new("FLOOR", Group::Math, NUMBER, Returns::Integer, floor).fails().doc(
        "FLOOR(x)",
        "The largest INTEGER not above the number.",
        &[("FLOOR(1.99)", "1"), ("FLOOR(-1.01)", "-2"), ("FLOOR(-0.5e0)", "-1"), ("FLOOR(7)", "7")],
    ),
    Function::new("MOD", Group::Math, &[Param::Common, Param::Common], Returns::By(remainder), modulo).fails().doc(
        "MOD(a, b)",
        "The remainder of a / b, with the sign of a; the same as a % b.",
        &[
            ("MOD(7, 3)", "1"),
            ("MOD(-7, 3)", "-1"),
            ("MOD(5.5, 2)", "1.5"),
            ("MOD(5.5e0, 2)", "1.5"),
            ("MOD(7, 0)", "error: MOD of 7 by 0"),
        ],
    ),
];

/// Type of a rounded number: rounding up may need one more digit.
fn rounded(args: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(match args[0].data_type {
        DataType::Decimal { scale, .. } => DataType::decimal(*scale),
        other => other.clone(),
    })
}

/// Both arguments are of one type here, or NULL without one.
fn remainder(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let typed = args.iter().map(|a| a.data_type).find(|t| **t != DataType::Null);
    match typed {
        None => Ok(DataType::Null),
        Some(number) if number.is_numeric() => Ok(number.clone()),
        Some(other) => Err(format!("a remainder needs numbers, not {other}")),
    }
}

fn abs(call: &mut Call<'_>) -> Column {
    if *call.args.data_type(0) == DataType::Float {
        let x = call.args.float(0);
        return call.floats(|row| Ok(Some(x.at(row).abs())));
    }
    let x = call.args.exact(0);
    call.exacts(x.scale(), |row| Ok(Some(x.at(row).abs())))
}

fn sign(call: &mut Call<'_>) -> Column {
    if *call.args.data_type(0) == DataType::Float {
        let x = call.args.float(0);
        return call.ints(|row| Ok(Some(i64::from(x.at(row) > 0.0) - i64::from(x.at(row) < 0.0))));
    }
    let x = call.args.exact(0);
    call.ints(|row| Ok(Some(x.at(row).signum() as i64)))
}

fn round(call: &mut Call<'_>) -> Column {
    digits(call, round_float, |mantissa, unit| Some(div_round(mantissa, unit)))
}

fn trunc(call: &mut Call<'_>) -> Column {
    digits(call, trunc_float, |mantissa, unit| Some(mantissa / unit))
}

/// `cut` makes a mantissa a count of units.
fn digits(call: &mut Call<'_>, float: fn(f64, i64) -> f64, cut: fn(i128, i128) -> Option<i128>) -> Column {
    let digits = (call.args.len() > 1).then(|| call.args.int(1));
    let digits = |row: usize| digits.as_ref().map_or(0, |digits| digits.at(row));
    if *call.args.data_type(0) == DataType::Float {
        let x = call.args.float(0);
        return call.floats(|row| Ok(Some(float(x.at(row), digits(row)))));
    }
    let x = call.args.exact(0);
    call.exacts(x.scale(), |row| {
        let (mantissa, drop) = (x.at(row), i64::from(x.scale()).saturating_sub(digits(row)));
        if drop <= 0 {
            return Ok(Some(mantissa));
        }
        // 10^38 units and more leave nothing of 38 digits but a half that rounds up, which no type holds.
        let Some(unit) = u8::try_from(drop).ok().filter(|drop| *drop <= 38).map(pow10) else { return Ok(Some(0)) };
        let beyond = || Fail::overflow(format!("{} rounded is out of range", decimal::to_text(mantissa, x.scale())));
        cut(mantissa, unit).and_then(|units| units.checked_mul(unit)).ok_or_else(beyond).map(Some)
    })
}

/// A float times `10^digits`, if whole and half numbers can be told there: nearer than 10^-6 to `special` they cannot,
/// since below 10^9 a float and its shortest text are less than 10^-6 apart.
fn scaled(x: f64, digits: i64, special: f64) -> Option<(f64, f64)> {
    let unit = 10f64.powi(i32::try_from(digits).ok().filter(|d| (0..=15).contains(d))?);
    let scaled = x * unit;
    let distance = (scaled.abs().fract() - special).abs();
    (scaled.abs() < 1e9 && distance > 1e-6 && distance < 1.0 - 1e-6).then_some((scaled, unit))
}

fn round_float(x: f64, digits: i64) -> f64 {
    if digits == 0 {
        return x.round();
    }
    match scaled(x, digits, 0.5) {
        Some((scaled, unit)) => scaled.round() / unit,
        None => by_text(x, digits, div_round),
    }
}

fn trunc_float(x: f64, digits: i64) -> f64 {
    if digits == 0 {
        return x.trunc();
    }
    match scaled(x, digits, 0.0) {
        Some((scaled, unit)) => scaled.trunc() / unit,
        None => by_text(x, digits, |mantissa, unit| mantissa / unit),
    }
}

/// Room for a float's shortest text with an exponent, or 38 digits and one.
const TEXT_ROOM: usize = 64;

/// What `text` writes, read by `read`; on the stack.
fn through_text<T>(text: std::fmt::Arguments<'_>, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    use std::io::Write;
    let mut room = [0u8; TEXT_ROOM];
    let mut rest = &mut room[..];
    rest.write_fmt(text).ok()?;
    let used = TEXT_ROOM - rest.len();
    read(std::str::from_utf8(&room[..used]).ok()?)
}

/// Rounds the float as its shortest text reads: at most 17 digits and an exponent.
#[cold]
fn by_text(x: f64, digits: i64, cut: fn(i128, i128) -> i128) -> f64 {
    // x is mantissa · 10^exponent; what lies below 10^-digits goes.
    let parts = through_text(format_args!("{x:e}"), |text| {
        let (mantissa, exponent) = text.split_once('e')?;
        let (mantissa, scale) = decimal::from_text(mantissa)?;
        Some((mantissa, exponent.parse::<i64>().ok()? - i64::from(scale)))
    });
    let Some((mantissa, exponent)) = parts else { return x };
    let drop = exponent.saturating_neg().saturating_sub(digits);
    if drop <= 0 {
        return x;
    }
    let kept = match u8::try_from(drop) {
        Ok(drop) if drop <= 20 => cut(mantissa, pow10(drop)),
        _ => 0,
    };
    through_text(format_args!("{kept}e{}", digits.saturating_neg()), |text| text.parse().ok()).unwrap_or(x)
}

fn ceil(call: &mut Call<'_>) -> Column {
    whole(call, f64::ceil, |mantissa, unit| -(-mantissa).div_euclid(unit))
}

fn floor(call: &mut Call<'_>) -> Column {
    whole(call, f64::floor, i128::div_euclid)
}

fn whole(call: &mut Call<'_>, float: fn(f64) -> f64, exact: fn(i128, i128) -> i128) -> Column {
    if *call.args.data_type(0) == DataType::Float {
        /// 2^63, which a float holds exactly.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let x = call.args.float(0);
        return call.ints(|row| {
            let whole = float(x.at(row));
            if (-LIMIT..LIMIT).contains(&whole) {
                return Ok(Some(whole as i64));
            }
            Err(Fail::overflow(format!("{} is beyond the range of INTEGER", decimal::float_text(x.at(row)))))
        });
    }
    let x = call.args.exact(0);
    let unit = pow10(x.scale());
    call.exacts(0, |row| Ok(Some(exact(x.at(row), unit))))
}

fn modulo(call: &mut Call<'_>) -> Column {
    if *call.result == DataType::Float {
        let (a, b) = (call.args.float(0), call.args.float(1));
        return call.floats(|row| match b.at(row) {
            0.0 => Err(Fail::domain(format!("MOD of {} by 0", decimal::float_text(a.at(row))))),
            b => Ok(Some(a.at(row) % b)),
        });
    }
    let (a, b) = (call.args.exact(0), call.args.exact(1));
    let scale = a.scale().max(b.scale());
    call.exacts(scale, |row| {
        if b.at(row) == 0 {
            return Err(Fail::domain(format!("MOD of {} by 0", decimal::to_text(a.at(row), a.scale()))));
        }
        let (a, b) = (lifted(&a, row, scale)?, lifted(&b, row, scale)?);
        Ok(Some(a % b))
    })
}

/// The row's mantissa at a scale that is not below its own.
pub(crate) fn lifted(x: &Exact<'_>, row: usize, scale: u8) -> Result<i128, Fail> {
    let beyond = || Fail::overflow(format!("{} has too many digits", decimal::to_text(x.at(row), x.scale())));
    x.at(row).checked_mul(pow10(scale - x.scale())).ok_or_else(beyond)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_way_rounds_as_the_text_reads(mantissa in -2_000_000i64..2_000_000, scale in 0u8..6, digits in 1i64..5) {
            let x = mantissa as f64 / 10f64.powi(i32::from(scale));
            prop_assert_eq!(round_float(x, digits), by_text(x, digits, div_round), "{} {}", x, digits);
            prop_assert_eq!(trunc_float(x, digits), by_text(x, digits, |m, unit| m / unit), "{} {}", x, digits);
        }

        #[test]
        fn any_float_rounds_as_its_text_reads(x in -1e12f64..1e12, digits in 1i64..9) {
            prop_assert_eq!(round_float(x, digits), by_text(x, digits, div_round));
            prop_assert_eq!(trunc_float(x, digits), by_text(x, digits, |m, unit| m / unit));
        }
    }

    #[test]
    fn edges() {
        for (x, digits, expect) in [
            (1e300, -299, 1e300),
            (1.5e300, -300, 2e300),
            (5e-324, 400, 5e-324),
            (5e-324, 3, 0.0),
            (f64::INFINITY, 2, f64::INFINITY),
            (1.005, 2, 1.01),
            (-1.005, 2, -1.01),
            (123456.0, -3, 123000.0),
            (0.5, i64::MIN, 0.0),
            (0.5, i64::MAX, 0.5),
        ] {
            assert_eq!(round_float(x, digits), expect, "{x} {digits}");
        }
        assert!(round_float(f64::NAN, 2).is_nan());
    }
}
