//! Random batches: full of NULLs and edge values, each logical column in one of the physical kinds it may arrive in.

use arrow_array::{BooleanArray, Date32Array};
use arrow_buffer::NullBuffer;
use velostream_types::{Batch, Column, DataType, RowMeta, SourceId, Value};

use super::{Draw, Regime};

/// Logical types of the columns.
pub fn types() -> Vec<DataType> {
    vec![
        DataType::Integer,
        DataType::Integer,
        DataType::decimal(2),
        DataType::decimal(10),
        DataType::Float,
        DataType::String,
        DataType::Boolean,
        DataType::Timestamp,
        DataType::Interval,
        DataType::Date,
        DataType::String,
        DataType::Decimal { precision: 18, scale: 4 },
        DataType::array(DataType::Integer),
        DataType::array(DataType::String),
        DataType::map(DataType::decimal(2)),
        DataType::Json,
        DataType::structure([
            ("a", DataType::Integer),
            ("b", DataType::String),
            ("c", DataType::array(DataType::Integer)),
        ]),
    ]
}

/// Canonical texts of a nested type; widened ones have more digits than their type says.
pub fn nested(of: &DataType, regime: Regime) -> &'static [&'static str] {
    match (of, regime) {
        (DataType::Array(of), Regime::Widened) if **of == DataType::Integer => {
            &["[]", "[1,2]", "[1.25,null]", "[-7,0.5]"]
        }
        (DataType::Array(of), _) if **of == DataType::Integer => {
            &["[]", "[1,2,3]", "[null]", "[3,null,3,-7]", "[9223372036854775807,1]", "[10,9]"]
        }
        (DataType::Array(_), _) => {
            &["[]", "[\"a\"]", "[\"abc\",null,\"é\"]", "[\"a\",\"7\",\"a\"]", "[\"longer than twelve bytes\",\"\\n\"]"]
        }
        (DataType::Map(_), _) => {
            &["{}", "{\"a\":1.00}", "{\"a\":null,\"b\":-2.50}", "{\"7\":0.25,\"a\":1.00,\"abc\":9.99}"]
        }
        (DataType::Struct(_), _) => &[
            "{\"a\":1,\"b\":\"x\",\"c\":[1,2]}",
            "{\"a\":null,\"b\":null,\"c\":null}",
            "{\"a\":-7,\"b\":\"longer than twelve bytes\",\"c\":[]}",
        ],
        _ => &[
            "1.5",
            "\"text\"",
            "[1,\"a\",null]",
            "{\"a\":{\"b\":[1,2]},\"c\":true}",
            "{}",
            "[[1],{\"a\":\"v\"}]",
            "true",
        ],
    }
}

const TEXTS: [&str; 12] = [
    "",
    "a",
    "abc",
    "abd",
    "exactly 12 b",
    "longer than twelve bytes",
    "longer than twelve bytez",
    "é",
    "NULL",
    "true",
    "0",
    "7",
];
const READABLE: [&str; 16] = [
    "12",
    "-7",
    " 3 ",
    "1.25",
    "-.5",
    "2.5e1",
    "true",
    "F",
    "2024-02-29",
    "02/29/2024",
    "29-02-2024",
    "2024-02-29 12:30:00.5",
    "2024/02/29 12:30:00",
    "2024-02-29T12:30:00Z",
    "nonsense",
    "99999999999999999999",
];

/// A batch of `rows` rows with the columns of [`types`].
pub fn batch(draw: &mut Draw, rows: usize, regime: Regime) -> Batch {
    let columns = types().iter().enumerate().map(|(i, ty)| column(draw, rows, i, ty, regime)).collect();
    let mut meta = RowMeta::plain(SourceId(1), 3, 1_000);
    if draw.once_in(2) {
        meta.event_time = Some((0..rows).map(|i| i as i64 * 1_500_000 - 4_000_000).collect::<Vec<i64>>().into());
    }
    if draw.once_in(2) {
        meta.timestamp = Some((0..rows).map(|i| i as i64 * 7).collect::<Vec<i64>>().into());
    }
    Batch::new(columns, rows, meta)
}

/// The values of a row in their logical types.
pub fn row_values(batch: &Batch, row: usize) -> Vec<Value> {
    let of = |(column, ty): (&Column, DataType)| match (column.value(row), ty) {
        (Value::Int(ns), DataType::Interval) => Value::Interval(ns),
        (Value::Str(text), nested) if nested.is_nested() => Value::Json(text),
        (value, _) => value,
    };
    batch.columns.iter().zip(types()).map(of).collect()
}

fn nulls(draw: &mut Draw, rows: usize) -> Option<NullBuffer> {
    match draw.below(3) {
        0 => None,
        1 => Some((0..rows).map(|_| !draw.once_in(5)).collect::<Vec<bool>>().into()),
        _ => Some((0..rows).map(|_| draw.once_in(2)).collect::<Vec<bool>>().into()),
    }
}

fn column(draw: &mut Draw, rows: usize, at: usize, ty: &DataType, regime: Regime) -> Column {
    if draw.once_in(12) {
        return Column::Null(rows);
    }
    let valid = nulls(draw, rows);
    let mut many = |f: fn(&mut Draw) -> i64| (0..rows).map(|_| f(draw)).collect::<Vec<i64>>();
    match (ty, regime) {
        (DataType::Integer, Regime::Widened) => match many(|d| d.below(3) as i64)[0] {
            0 => Column::dec64(many(small), 2, valid),
            1 => Column::dec128(many(small).into_iter().map(i128::from).collect(), 3, valid),
            _ => Column::ints(many(tiny), valid),
        },
        (DataType::Integer, Regime::Extreme) => Column::ints(many(if at == 0 { small } else { whole }), valid),
        (DataType::Decimal { scale, .. }, Regime::Widened) => match many(|d| d.below(4) as i64)[0] {
            0 => Column::ints(many(tiny), valid),
            1 => Column::dec64(many(small), *scale, valid),
            2 => Column::dec64(many(small), *scale + 2, valid),
            _ => Column::dec128(many(small).into_iter().map(i128::from).collect(), *scale + 1, valid),
        },
        (DataType::Decimal { scale, .. }, Regime::Extreme) => {
            let wide = |v: Vec<i64>| v.into_iter().map(|m| i128::from(m) * 100_000_007).collect::<Vec<i128>>();
            match many(|d| d.below(6) as i64)[0] {
                0 => Column::ints(many(small), valid),
                1 => Column::dec64(many(small), *scale - 2, valid),
                2 => Column::dec128(wide(many(small)), *scale, valid),
                3 => Column::dec128(wide(many(whole)), *scale, valid),
                4 => Column::dec64(many(whole), *scale, valid),
                _ => Column::dec64(many(small), *scale, valid),
            }
        }
        (DataType::Float, _) => Column::floats((0..rows).map(|_| float(draw)).collect(), valid),
        (DataType::Boolean, _) => {
            let bits: Vec<bool> = (0..rows).map(|_| draw.once_in(2)).collect();
            Column::Bool(BooleanArray::new(bits.into(), valid))
        }
        (DataType::Timestamp, _) => Column::timestamps(many(instant), valid),
        (DataType::Interval, _) => Column::ints(many(interval), valid),
        (DataType::Date, _) => {
            let days: Vec<i32> = (0..rows).map(|_| draw.below(60_000) as i32 - 20_000).collect();
            Column::Date(Date32Array::new(days.into(), valid))
        }
        _ => {
            let from: &[&str] = match at {
                10 => &READABLE,
                _ if ty.is_nested() => nested(ty, regime),
                _ => &TEXTS,
            };
            Column::strs((0..rows).map(|i| {
                let text = *draw.pick(from);
                valid.as_ref().is_none_or(|v| v.is_valid(i)).then_some(text)
            }))
        }
    }
}

fn tiny(draw: &mut Draw) -> i64 {
    draw.below(201) as i64 - 100
}

fn small(draw: &mut Draw) -> i64 {
    match draw.below(4) {
        0 => draw.below(3) as i64 - 1,
        1 => draw.below(20) as i64 * 50 - 500,
        _ => draw.below(2_000_001) as i64 - 1_000_000,
    }
}

fn whole(draw: &mut Draw) -> i64 {
    match draw.below(8) {
        0 => *draw.pick(&[i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1, 1 << 32, -(1 << 31), 3_037_000_500]),
        1 => draw.next() as i64,
        _ => small(draw),
    }
}

fn float(draw: &mut Draw) -> f64 {
    match draw.below(6) {
        0 => *draw.pick(&[0.0, -0.0, 1.0, 0.5, 1e18, -1e300, 2.675, 1e-7]),
        1 => draw.next() as i64 as f64,
        _ => small(draw) as f64 / 64.0,
    }
}

fn instant(draw: &mut Draw) -> i64 {
    match draw.below(10) {
        0 => *draw.pick(&[i64::MAX, i64::MIN, 0, -1]),
        _ => (draw.below(4_000_000_000) as i64 - 1_000_000_000) * 1_000_000_000 + draw.below(3) as i64 * 1_500_000,
    }
}

fn interval(draw: &mut Draw) -> i64 {
    *draw.pick(&[0, 1, -1, 999_999, 1_500_000, 60_000_000_000, -86_400_000_000_000, i64::MIN])
}
