//! Canonical text of values: CAST to STRING, concatenation and the values in messages.
//!
//! A decimal has at least the digits of its logical scale after the point and more only where its value needs them, so
//! its text does not depend on the scale a batch stores it with. Rows are written into one reused buffer.

use std::fmt::Write;

use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, civil_from_days, duration_text, time_text};
use velostream_types::{Column, DataType, StrBuilder};

use super::datum::{Datum, scale_of};
use super::eval::{Selection, Session};
use super::node::Node;

/// Longest value quoted in a message, characters.
const SHOWN: usize = 64;

/// Concatenation; NULL where an operand is.
pub(super) fn concat(operands: &[Node], selection: Selection<'_>, session: &mut Session<'_>) -> Datum<'static> {
    let rows = session.rows;
    let mut parts: Vec<(Column, &DataType)> = Vec::with_capacity(operands.len());
    for operand in operands {
        let value = session.eval(operand, selection);
        parts.push((value.into_column(rows), &operand.data_type));
    }
    if parts.iter().any(|(column, _)| matches!(column, Column::Null(_))) {
        return Datum::NULL;
    }
    let mut built = StrBuilder::with_capacity(rows);
    let mut buffer = String::new();
    for row in 0..rows {
        if parts.iter().any(|(column, _)| column.is_null(row)) {
            built.push_null();
            continue;
        }
        buffer.clear();
        parts.iter().for_each(|(column, ty)| write_value(&mut buffer, column, ty, row));
        built.push_str(&buffer);
    }
    Datum::Column(Column::Str(built.finish()))
}

/// The column as canonical text; `ty` is its logical type.
pub(super) fn to_text(column: &Column, ty: &DataType) -> Column {
    if let Column::Str(a) = column {
        return Column::Str(a.clone());
    }
    let rows = column.len();
    let mut built = StrBuilder::with_capacity(rows);
    let mut buffer = String::new();
    for row in 0..rows {
        if column.is_null(row) {
            built.push_null();
        } else {
            buffer.clear();
            write_value(&mut buffer, column, ty, row);
            built.push_str(&buffer);
        }
    }
    Column::Str(built.finish())
}

/// Text of one value for a message: quoted if it is text, cut if it is long.
pub(super) fn shortened(column: &Column, ty: &DataType, row: usize) -> String {
    let mut text = String::new();
    write_value(&mut text, column, ty, row);
    if let Some((cut, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(cut);
        text.push('…');
    }
    if matches!(column, Column::Str(_)) { format!("'{text}'") } else { text }
}

/// Appends the canonical text of a value that is not NULL. Writing to a `String` cannot fail.
fn write_value(out: &mut String, column: &Column, ty: &DataType, row: usize) {
    let scale = ty.exact_scale().unwrap_or(0);
    match column {
        Column::Null(_) => {}
        Column::Bool(a) => out.push_str(if a.value(row) { "true" } else { "false" }),
        Column::Int(a) if *ty == DataType::Interval => out.push_str(&duration_text(a.value(row))),
        Column::Int(a) if *ty == DataType::Time => out.push_str(&time_text(a.value(row))),
        Column::Int(a) => write_decimal(out, i128::from(a.value(row)), 0, scale),
        Column::Dec64(a) => write_decimal(out, i128::from(a.value(row)), scale_of(a.scale()), scale),
        Column::Dec128(a) => write_decimal(out, a.value(row), scale_of(a.scale()), scale),
        Column::Float(a) => write_float(out, a.value(row)),
        Column::Str(a) => out.push_str(a.value(row)),
        Column::Bytes(a) => a.value(row).iter().for_each(|b| {
            let _ = write!(out, "{b:02x}");
        }),
        Column::Timestamp(a) => write_timestamp(out, a.value(row)),
        Column::Date(a) => write_date(out, i64::from(a.value(row))),
    }
}

/// At least `least` digits after the point, more only where the value needs them.
fn write_decimal(out: &mut String, mut mantissa: i128, mut scale: u8, least: u8) {
    while scale > least && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if mantissa < 0 {
        out.push('-');
    }
    let mut digits = [b'0'; 40];
    let (mut rest, mut at) = (mantissa.unsigned_abs(), digits.len());
    let shown = usize::from(scale) + 1;
    while rest > 0 || digits.len() - at < shown {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let point = digits.len() - usize::from(scale);
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(&digits[range]).unwrap_or_default();
    out.push_str(text(at..point));
    if scale > 0 || least > 0 {
        out.push('.');
        out.push_str(text(point..digits.len()));
        (scale..least).for_each(|_| out.push('0'));
    }
}

/// Shortest text that reads back equal; the same rules as `decimal::float_text`, into a buffer.
fn write_float(out: &mut String, x: f64) {
    let start = out.len();
    if x == 0.0 {
        out.push_str("0.0");
    } else if !x.is_finite() {
        let _ = write!(out, "{x}");
    } else if (1e-5..1e16).contains(&x.abs()) {
        let _ = write!(out, "{x}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        let _ = write!(out, "{x:e}");
    }
}

fn write_date(out: &mut String, days: i64) {
    let (y, m, d) = civil_from_days(days);
    let _ = write!(out, "{y:04}-{m:02}-{d:02}");
}

/// 3, 6 or 9 fraction digits, as few as hold the value.
fn write_timestamp(out: &mut String, t: i64) {
    write_date(out, t.div_euclid(NS_PER_DAY));
    let ns = t.rem_euclid(NS_PER_DAY);
    let (secs, frac) = (ns / NS_PER_SEC, ns % NS_PER_SEC);
    let _ = write!(out, " {:02}:{:02}:{:02}.", secs / 3600, secs / 60 % 60, secs % 60);
    let _ = if frac % 1_000_000 == 0 {
        write!(out, "{:03}", frac / 1_000_000)
    } else if frac % 1_000 == 0 {
        write!(out, "{:06}", frac / 1_000)
    } else {
        write!(out, "{frac:09}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::{decimal, time};

    #[test]
    fn decimals_print_their_logical_scale_or_what_they_need() {
        for (m, scale, least, want) in [
            (500, 2, 0, "5"),
            (550, 2, 0, "5.5"),
            (500, 2, 1, "5.0"),
            (5, 0, 3, "5.000"),
            (-5, 2, 0, "-0.05"),
            (0, 4, 2, "0.00"),
            (decimal::MAX, 38, 0, "0.99999999999999999999999999999999999999"),
            (-decimal::MAX, 0, 0, "-99999999999999999999999999999999999999"),
        ] {
            let mut out = String::new();
            write_decimal(&mut out, m, scale, least);
            assert_eq!(out, want);
        }
    }

    #[test]
    fn text_equals_the_text_of_values() {
        for x in [0.0, -0.0, 1.0, 0.1, 1e16, 1e-6, 1.5e15, -2.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            let mut out = String::new();
            write_float(&mut out, x);
            assert_eq!(out, decimal::float_text(x));
        }
        for t in [0, -1, 1_500_000, 1_700_000_000_123_456_789, i64::MIN, i64::MAX] {
            let mut out = String::new();
            write_timestamp(&mut out, t);
            assert_eq!(out, time::timestamp_text(t));
        }
    }
}
