//! Values as bytes that order like the values: the sort keys of lists. Numbers order alike whatever scale a batch
//! brought them with; floats order by their codes; a text ends before what follows it. DESC inverts the bytes.

use velostream_state::key::exact_decimal;
use velostream_types::{Column, DataType, decimal};

use super::numbers::code;
use crate::op::sort_key::nested;

const ABSENT_FIRST: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT_LAST: u8 = 2;

/// Appends row `row` of a column of this type.
pub(super) fn push(
    column: &Column,
    row: usize,
    data_type: &DataType,
    (descending, nulls_first): (bool, bool),
    out: &mut Vec<u8>,
) {
    if column.is_null(row) {
        return out.push(if nulls_first { ABSENT_FIRST } else { ABSENT_LAST });
    }
    out.push(PRESENT);
    let start = out.len();
    match (column, data_type) {
        (Column::Float(a), DataType::Float) => integer(code(a.value(row)), out),
        (Column::Int(a), DataType::Float) => integer(code(a.value(row) as f64), out),
        (Column::Int(a), DataType::Time | DataType::Interval) => integer(a.value(row), out),
        (Column::Timestamp(a), _) => integer(a.value(row), out),
        (Column::Date(a), _) => integer(i64::from(a.value(row)), out),
        (Column::Bool(a), _) => out.push(u8::from(a.value(row))),
        (Column::Int(a), _) => number(i128::from(a.value(row)), 0, out),
        (Column::Dec64(a), _) => number(i128::from(a.value(row)), a.scale().max(0) as u8, out),
        (Column::Dec128(a), _) => number(a.value(row), a.scale().max(0) as u8, out),
        (Column::Float(a), _) => match exact_decimal(a.value(row)) {
            Some((mantissa, scale)) => number(mantissa, scale, out),
            None => number(0, 0, out),
        },
        (Column::Str(a), t) if t.is_numeric() => {
            let text = a.value(row);
            let parsed = decimal::from_text(text).or_else(|| decimal::from_exponent_text(text));
            let (mantissa, scale) = parsed.unwrap_or((0, 0));
            number(mantissa, scale, out);
        }
        (Column::Str(a), nested) if nested.is_nested() => nested::write(out, a.value(row), nested),
        (Column::Str(a), _) => bytes(a.value(row).as_bytes(), out),
        (Column::Bytes(a), _) => bytes(a.value(row), out),
        (Column::Null(_), _) => {}
    }
    if descending {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// Appends a whole number.
pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&(value as u64 ^ (1 << 63)).to_be_bytes());
}

/// Sign, number of digits before the point, digits, 0; everything behind the sign inverted below 0.
fn number(mantissa: i128, scale: u8, out: &mut Vec<u8>) {
    if mantissa == 0 {
        return out.push(1);
    }
    let digits = mantissa.unsigned_abs().to_string();
    let whole = digits.len() as i32 - i32::from(scale);
    let start = out.len() + 1;
    out.push(if mantissa > 0 { 2 } else { 0 });
    out.push((whole + 128) as u8);
    out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    out.push(0);
    if mantissa < 0 {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// The bytes, a 0 among them as 0 255, then 0 0.
fn bytes(value: &[u8], out: &mut Vec<u8>) {
    for b in value {
        out.push(*b);
        if *b == 0 {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use velostream_types::Value;

    fn key(column: &Column, data_type: &DataType, how: (bool, bool)) -> Vec<u8> {
        let mut out = Vec::new();
        push(column, 0, data_type, how, &mut out);
        out
    }

    proptest! {
        #[test]
        fn numbers_order_across_scales(a in -100_000i64..100_000, s in 0u8..4, b in -100_000i64..100_000, t in 0u8..4) {
            let column = |m: i64, s: u8| if s == 0 { Column::ints(vec![m], None) } else { Column::dec64(vec![m], s, None) };
            let expect = (a * 10i64.pow(u32::from(3 - s))).cmp(&(b * 10i64.pow(u32::from(3 - t))));
            let ty = DataType::decimal(3);
            let keys = |how| (key(&column(a, s), &ty, how), key(&column(b, t), &ty, how));
            let (x, y) = keys((false, true));
            prop_assert_eq!(x.cmp(&y), expect);
            let (x, y) = keys((true, true));
            prop_assert_eq!(x.cmp(&y), expect.reverse());
        }

        #[test]
        fn texts_order_before_what_follows(a in "[\u{0}ab]{0,4}", b in "[\u{0}ab]{0,4}", x in 0i64..3, y in 0i64..3) {
            let both = |s: &str, n: i64| {
                let mut out = Vec::new();
                push(&Column::strs([Some(s)]), 0, &DataType::String, (false, true), &mut out);
                integer(n, &mut out);
                out
            };
            prop_assert_eq!(both(&a, x).cmp(&both(&b, y)), (a, x).cmp(&(b, y)));
        }
    }

    #[test]
    fn nulls_stand_where_they_are_asked_to() {
        let null = Column::repeat(&Value::Null, 1);
        let one = Column::floats(vec![-0.5], None);
        for (how, first) in
            [((false, true), true), ((false, false), false), ((true, false), false), ((true, true), true)]
        {
            let (n, v) = (key(&null, &DataType::Float, how), key(&one, &DataType::Float, how));
            assert_eq!(n < v, first, "{how:?}");
        }
    }
}
