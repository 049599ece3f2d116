//! Keys of ORDER BY as bytes that compare like the values they stand for, so that rows are ordered by comparing bytes.
//!
//! One part a key, then the row's place in as-if order, which breaks ties. A part begins with a byte that puts NULL first
//! or last; descending parts have their other bytes inverted. Numbers compare by value whatever column carries them: the
//! sign, the place of the first digit, the digits.

pub(crate) mod nested;

use velostream_sql::plan::SortKey;
use velostream_types::within::{self, Within};
use velostream_types::{Column, DataType};

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;

/// Appends the parts of row `row` for these keys; `types` are the logical types of the batch's columns.
pub fn write(out: &mut Vec<u8>, keys: &[SortKey], types: &[DataType], columns: &[Column], row: usize) {
    for key in keys {
        let column = &columns[key.column];
        if column.is_null(row) {
            out.push(if key.nulls_first { NULL_FIRST } else { NULL_LAST });
            continue;
        }
        out.push(VALUE);
        let start = out.len();
        write_value(out, column, &types[key.column], row);
        if key.descending {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
}

/// Appends the row's place: what is earlier is lower.
pub fn write_place(out: &mut Vec<u8>, (major, minor, tie): (i64, Within, u64)) {
    out.extend_from_slice(&ordered(major));
    within::write(minor, out);
    out.extend_from_slice(&tie.to_be_bytes());
}

fn ordered(value: i64) -> [u8; 8] {
    (value as u64 ^ 1 << 63).to_be_bytes()
}

fn write_value(out: &mut Vec<u8>, column: &Column, data_type: &DataType, row: usize) {
    match column {
        Column::Null(_) => {}
        Column::Bool(a) => out.push(u8::from(a.value(row))),
        Column::Int(a) if matches!(data_type, DataType::Time | DataType::Interval) => {
            out.extend_from_slice(&ordered(a.value(row)));
        }
        Column::Int(a) => write_number(out, i128::from(a.value(row)), 0),
        Column::Dec64(a) => write_number(out, i128::from(a.value(row)), a.scale()),
        Column::Dec128(a) => write_number(out, a.value(row), a.scale()),
        Column::Float(a) => write_float(out, a.value(row)),
        Column::Timestamp(a) => out.extend_from_slice(&ordered(a.value(row))),
        Column::Date(a) => out.extend_from_slice(&ordered(i64::from(a.value(row)))),
        Column::Str(a) if data_type.is_nested() => nested::write(out, a.value(row), data_type),
        Column::Str(a) => write_bytes(out, a.value(row).as_bytes()),
        Column::Bytes(a) => write_bytes(out, a.value(row)),
    }
}

/// Sign, then how many digits stand before the point, then the digits; of negative numbers all but the sign inverted.
fn write_number(out: &mut Vec<u8>, mantissa: i128, scale: i8) {
    if mantissa == 0 {
        return out.push(1);
    }
    let mut digits = [0u8; 40];
    let (mut rest, mut at) = (mantissa.unsigned_abs(), digits.len());
    while rest > 0 {
        at -= 1;
        digits[at] = (rest % 10) as u8 + 1;
        rest /= 10;
    }
    let whole = (digits.len() - at) as i16 - i16::from(scale);
    let end = digits.iter().rposition(|digit| *digit > 1).map_or(at, |last| last + 1);
    out.push(if mantissa < 0 { 0 } else { 2 });
    let start = out.len();
    out.extend_from_slice(&(whole as u16 ^ 1 << 15).to_be_bytes());
    out.extend_from_slice(&digits[at..end]);
    // Below every digit: a number is less than one that goes on with more digits.
    out.push(0);
    if mantissa < 0 {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// −∞ … −0 = 0 … ∞, NaN last.
fn write_float(out: &mut Vec<u8>, value: f64) {
    let value = if value == 0.0 { 0.0 } else { value };
    let bits = if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { value.to_bits() };
    let ordered = if bits >> 63 == 1 { !bits } else { bits ^ 1 << 63 };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// A zero byte is followed by 255, the end by 0: no text is a beginning of another's bytes.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a column stand in ascending order; so do their keys, and reversed descending ones.
    fn check(column: Column, data_type: DataType) {
        let key = |descending| SortKey { column: 0, descending, nulls_first: !descending };
        let bytes = |descending, row| {
            let mut out = Vec::new();
            write(&mut out, &[key(descending)], std::slice::from_ref(&data_type), std::slice::from_ref(&column), row);
            out
        };
        for row in 1..column.len() {
            assert!(bytes(false, row - 1) < bytes(false, row), "{} {}", column.value(row - 1), column.value(row));
            assert!(bytes(true, row - 1) > bytes(true, row), "{} {}", column.value(row - 1), column.value(row));
        }
    }

    #[test]
    fn keys_are_ordered_like_values() {
        let ints = vec![i64::MIN, -100, -99, -10, -9, -1, 0, 1, 2, 9, 10, 11, 19, 100, 101, 110, i64::MAX];
        check(Column::ints(ints.clone(), None), DataType::Integer);
        check(Column::ints(ints, None), DataType::Interval);
        check(
            Column::dec64(vec![-1000, -150, -101, -100, -5, 0, 1, 99, 100, 101, 110, 150, 1000], 2, None),
            DataType::decimal(2),
        );
        let wide = vec![-velostream_types::decimal::MAX, -1, 0, 1, velostream_types::decimal::MAX];
        check(Column::dec128(wide, 18, None), DataType::decimal(18));
        let floats = vec![f64::NEG_INFINITY, -1e300, -1.5, -1e-300, 0.0, 5e-324, 1.0, 1.5, f64::INFINITY, f64::NAN];
        check(Column::floats(floats, None), DataType::Float);
        check(
            Column::strs([None, Some(""), Some("\0"), Some("\0a"), Some("a"), Some("a\0"), Some("ab"), Some("b")]),
            DataType::String,
        );
    }

    #[test]
    fn equal_numbers_have_equal_keys() {
        let key = |column: &Column| {
            let mut out = Vec::new();
            let key = SortKey { column: 0, descending: false, nulls_first: true };
            write(&mut out, &[key], &[DataType::decimal(2)], std::slice::from_ref(column), 0);
            out
        };
        let expect = key(&Column::ints(vec![5], None));
        assert_eq!(key(&Column::dec64(vec![500], 2, None)), expect);
        assert_eq!(key(&Column::dec128(vec![50_000], 4, None)), expect);
        assert_eq!(key(&Column::floats(vec![-0.0], None)), key(&Column::floats(vec![0.0], None)));
    }
}
