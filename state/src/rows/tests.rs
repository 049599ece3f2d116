//! What rows of every kind become in the store, and what is left of rows that left.

use super::*;

fn int(x: i64) -> Value {
    Value::Int(x)
}

fn dec(mantissa: i128, scale: u8) -> Value {
    Value::Decimal { mantissa, scale }
}

fn text(x: &str) -> Value {
    Value::Str(x.into())
}

/// Puts each column's rows and reads all of them back.
fn check(data_type: DataType, columns: &[Column], expect: &[Value]) {
    let mut store = RowStore::new(&[data_type]);
    let mut slots = Vec::new();
    for column in columns {
        let rows: Vec<u32> = (0..column.len() as u32).collect();
        store.put_all(std::slice::from_ref(column), &rows, &mut slots);
    }
    let gathered = store.gather(0, &slots);
    let got: Vec<Value> = (0..gathered.len()).map(|i| gathered.value(i)).collect();
    assert_eq!(got, expect);
    let mut at = 0;
    for column in columns {
        for row in 0..column.len() {
            assert!(store.equals(slots[at], std::slice::from_ref(column), row), "row {at} equals what was put");
            at += 1;
        }
    }
}

#[test]
fn lanes_widen_and_lose_nothing() {
    check(DataType::Integer, &[Column::ints(vec![3, -4], None), Column::Null(1)], &[int(3), int(-4), Value::Null]);
    check(DataType::Integer, &[Column::Null(1), Column::ints(vec![3], None)], &[Value::Null, int(3)]);
    check(
        DataType::decimal(2),
        &[Column::ints(vec![3], None), Column::dec64(vec![25], 1, None), Column::dec64(vec![125], 2, None)],
        &[dec(300, 2), dec(250, 2), dec(125, 2)],
    );
    let great = i64::MAX - 1;
    check(
        DataType::decimal(2),
        &[Column::dec64(vec![great], 0, None), Column::dec64(vec![125], 2, None)],
        &[dec(i128::from(great) * 100, 2), dec(125, 2)],
    );
    check(
        DataType::decimal(0),
        &[Column::dec128(vec![decimal_max()], 0, None), Column::dec64(vec![1], 18, None)],
        &[dec(decimal_max(), 0), dec(0, 0)],
    );
    check(
        DataType::String,
        &[Column::strs([Some("a"), None, Some("a long text of its own")])],
        &[text("a"), Value::Null, text("a long text of its own")],
    );
    check(
        DataType::Boolean,
        &[Column::repeat(&Value::Bool(true), 1), Column::Null(1)],
        &[Value::Bool(true), Value::Null],
    );
    check(DataType::Date, &[Column::repeat(&Value::Date(-3), 1)], &[Value::Date(-3)]);
    check(DataType::Bytes, &[Column::repeat(&Value::Bytes([1, 2].into()), 1)], &[Value::Bytes([1, 2].into())]);
    check(
        DataType::Float,
        &[Column::floats(vec![1.5, f64::INFINITY], None)],
        &[Value::Float(1.5), Value::Float(f64::INFINITY)],
    );
}

fn decimal_max() -> i128 {
    velostream_types::decimal::MAX
}

#[test]
fn no_row_is_null_in_every_column() {
    let mut store = RowStore::new(&[DataType::Integer, DataType::String]);
    let slot = store.put_values(&[int(7), text("x")]);
    for (lane, value) in [int(7), text("x")].into_iter().enumerate() {
        let column = store.gather(lane, &[NONE, slot, NONE]);
        assert_eq!([column.value(0), column.value(1), column.value(2)], [Value::Null, value, Value::Null]);
    }
}

#[test]
fn slots_are_given_again_and_arenas_packed() {
    let mut store = RowStore::new(&[DataType::String]);
    let long = |n: usize| format!("row number {n} {}", "x".repeat(n % 50));
    let mut slots: Vec<u32> = (0..3000).map(|n| store.put_values(&[text(&long(n))])).collect();
    let full = store.bytes();
    for round in 1..20 {
        for (n, slot) in slots.iter_mut().enumerate().filter(|(n, _)| n % 3 != 0) {
            store.free(*slot);
            *slot = store.put_values(&[text(&long(n + round))]);
        }
    }
    assert_eq!((store.len(), store.high()), (3000, 3000));
    assert!(store.bytes() < 3 * full, "{} bytes now, {full} at first", store.bytes());
    for (n, slot) in slots.iter().enumerate() {
        let round = if n % 3 == 0 { 0 } else { 19 };
        assert_eq!(store.value(0, *slot), text(&long(n + round)));
    }
}

#[test]
fn rows_are_equal_by_value() {
    let mut store = RowStore::new(&[DataType::decimal(2), DataType::Float]);
    let slot = store.put_values(&[dec(500, 2), Value::Float(f64::NAN)]);
    let row = |number: Column, float: f64| [number, Column::floats(vec![float], None)];
    assert!(store.equals(slot, &row(Column::ints(vec![5], None), f64::NAN), 0));
    assert!(store.equals(slot, &row(Column::dec128(vec![50], 1, None), f64::NAN), 0));
    assert!(!store.equals(slot, &row(Column::dec128(vec![51], 1, None), f64::NAN), 0));
    assert!(!store.equals(slot, &row(Column::Null(1), f64::NAN), 0));
    assert!(!store.equals(slot, &row(Column::ints(vec![5], None), 1.0), 0));
}

#[test]
fn rows_put_at_a_slot_take_the_place_of_those_before() {
    let mut store = RowStore::new(&[DataType::Integer, DataType::String, DataType::String]);
    let batch = |ints: &[i64], texts: &[&str]| {
        let texts = texts.iter().map(|text| (!text.is_empty()).then_some(*text));
        [Column::ints(ints.to_vec(), None), Column::strs(texts), Column::Null(ints.len())]
    };
    let row = |store: &RowStore, slot| [0, 1, 2].map(|lane| store.value(lane, slot));
    store.put_at(&batch(&[1, 2, 3], &["a", "b", "c"]), &[0, 2], &[0, 1], 2);
    assert_eq!(row(&store, 1), [int(3), text("c"), Value::Null]);
    // Slot 2 is new, slot 1 comes twice, slot 0 loses its text.
    store.put_at(&batch(&[4, 5, 6, 7], &["d", "e", "", "g"]), &[0, 1, 2, 3], &[2, 1, 0, 1], 4);
    assert_eq!(row(&store, 0), [int(6), Value::Null, Value::Null]);
    assert_eq!(row(&store, 1), [int(7), text("g"), Value::Null]);
    assert_eq!(row(&store, 2), [int(4), text("d"), Value::Null]);
    store.clear_at(1);
    store.clear_at(3);
    store.clear_at(9);
    assert_eq!(row(&store, 1), [Value::Null, Value::Null, Value::Null]);
    store.put_at(&batch(&[8], &["h"]), &[0], &[1], 4);
    assert_eq!(row(&store, 1), [int(8), text("h"), Value::Null]);
}

#[test]
fn text_that_was_replaced_is_packed_away() {
    let mut store = RowStore::new(&[DataType::String]);
    let long = "x".repeat(100);
    let mut held = 0;
    for turn in 0..10_000 {
        store.put_at(&[Column::strs([Some(long.as_str())])], &[0], &[turn % 2], 2);
        held = held.max(store.bytes());
    }
    assert!(held < 64 << 10, "two rows of 100 bytes took {held}");
}
