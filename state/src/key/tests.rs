//! Tests of `key`.

use proptest::prelude::*;
use velostream_types::{Column, DataType, Value};

use super::*;

fn key_of(values: &[Value]) -> Vec<u8> {
    let columns: Vec<Column> = values.iter().map(|v| Column::repeat(v, 1)).collect();
    KeyEncoder::new().encode(&columns.iter().collect::<Vec<_>>(), 1).key(0).to_vec()
}

fn dec(mantissa: i128, scale: u8) -> Value {
    Value::Decimal { mantissa, scale }
}

fn check(a: Value, b: Value, equal: bool) {
    assert_eq!(key_of(std::slice::from_ref(&a)) == key_of(std::slice::from_ref(&b)), equal, "{a:?} {b:?}");
}

#[test]
fn equal_values_have_equal_bytes() {
    check(Value::Int(5), dec(500, 2), true);
    check(Value::Int(5), Value::Float(5.0), true);
    check(dec(25, 1), Value::Float(2.5), true);
    check(dec(25 * 10i128.pow(30), 31), Value::Float(2.5), true);
    check(Value::Float(-0.0), Value::Int(0), true);
    check(Value::Float(f64::NAN), Value::Float(-f64::NAN), true);
    check(Value::Float(1e22), dec(10i128.pow(22), 0), true);
    check(Value::Null, Value::Null, true);
    check(Value::Null, Value::Int(0), false);
    check(Value::Float(0.1), dec(1, 1), false);
    check(Value::Str("5".into()), Value::Int(5), false);
    check(Value::Timestamp(1), Value::Int(1), false);
    check(Value::Bytes([1].into()), Value::Str("\u{1}".into()), false);
    check(Value::Float(f64::INFINITY), Value::Float(f64::NEG_INFINITY), false);
}

#[test]
fn fast_paths_make_the_bytes_of_the_general_one() {
    let ints = Column::ints(vec![0, -70_000, i64::MIN], None);
    let texts = Column::strs([Some("a"), Some(""), Some("a text longer than twelve bytes")]);
    for column in [&ints, &texts] {
        let mut encoder = KeyEncoder::new();
        let keys = encoder.encode(&[column], 3);
        for i in 0..3 {
            let mut slow = Vec::new();
            value(column, i, &mut slow);
            assert_eq!(keys.key(i), slow);
        }
    }
    let mut encoder = KeyEncoder::new();
    assert_eq!((encoder.encode(&[], 3).len(), encoder.keys().key(2)), (3, &[][..]));
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    for bad in [&[][..], &[INT + 2, 1], &[STR, 5, b'a'], &[12], &[DEC64, 99, 0, 0, 0, 0, 0, 0, 0, 0], &[NULL, NULL]] {
        assert_eq!(decode(bad, &mut [ColumnBuilder::new(&DataType::Integer)]), None, "{bad:?}");
    }
}

#[test]
fn words_are_equal_iff_the_keys_are() {
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"abcdefg", b"abcdefgh", b"abcdef\0"];
    let mut batch = KeyBatch::default();
    keys.iter().for_each(|k| batch.push(k));
    for (i, a) in keys.iter().enumerate() {
        assert_eq!(batch.word(i), word(a));
        assert_eq!(word(a).as_ref().map(|w| word_key(w)), (a.len() <= 7).then_some(Some(*a)));
        assert!(keys.iter().enumerate().all(|(j, b)| i == j || word(a).is_none() || word(a) != word(b)));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3i64..3).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        (-300i128..300, 0u8..4).prop_map(|(m, s)| dec(m, s)),
        any::<i64>().prop_map(|m| dec(i128::from(m) * 1_000_000_007, 9)),
        (-8i32..8).prop_map(|x| Value::Float(f64::from(x) / 4.0)),
        any::<f64>().prop_map(Value::Float),
        ".{0,4}".prop_map(|s| Value::Str(s.into())),
        ".{250,260}".prop_map(|s| Value::Str(s.into())),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Timestamp),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(|b| Value::Bytes(b.into())),
    ]
}

/// Equality as the dialect defines it, floats against exact numbers by their exact value.
fn equal(a: &Value, b: &Value) -> bool {
    fn exact(v: &Value) -> Option<(i128, u8)> {
        match v {
            Value::Int(i) => Some((i128::from(*i), 0)),
            Value::Decimal { mantissa, scale } => Some(decimal::strip(*mantissa, *scale, 0)),
            Value::Float(x) => exact_decimal(*x).map(|(m, s)| decimal::strip(m, s, 0)),
            _ => None,
        }
    }
    match (exact(a), exact(b)) {
        (Some(x), Some(y)) => x == y,
        (None, None) => match (a, b) {
            (Value::Float(x), Value::Float(y)) => x == y || (x.is_nan() && y.is_nan()),
            (a, b) => a == b,
        },
        _ => false,
    }
}

proptest! {
    #[test]
    fn bytes_are_equal_iff_the_rows_are(
        a in proptest::collection::vec(any_value(), 2),
        b in proptest::collection::vec(any_value(), 2),
    ) {
        let same = a.iter().zip(&b).all(|(x, y)| equal(x, y));
        prop_assert_eq!(key_of(&a) == key_of(&b), same);
    }

    #[test]
    fn keys_decode_to_equal_values(values in proptest::collection::vec(any_value(), 1..4)) {
        let key = key_of(&values);
        let mut builders: Vec<ColumnBuilder> =
            values.iter().map(|v| ColumnBuilder::new(&v.data_type())).collect();
        prop_assert_eq!(decode(&key, &mut builders), Some(()));
        let back: Vec<Value> = builders.into_iter().map(|b| b.finish().value(0)).collect();
        prop_assert_eq!(key_of(&back), key);
    }

    #[test]
    fn a_batch_knows_its_keys_as_words(ints in proptest::collection::vec(any::<i64>(), 1..40), shift in 0u32..64) {
        let ints: Vec<i64> = ints.into_iter().map(|x| x >> shift).collect();
        let texts = Column::strs(ints.iter().map(|x| Some(x.to_string())));
        let mut encoder = KeyEncoder::new();
        for column in [Column::ints(ints.clone(), None), texts] {
            let keys = encoder.encode(&[&column], ints.len());
            for i in 0..ints.len() {
                prop_assert_eq!(keys.key(i), &key_of(&[column.value(i)])[..]);
                prop_assert_eq!(keys.word(i), word(keys.key(i)));
            }
        }
    }

    #[test]
    fn damaged_keys_never_panic(bytes in proptest::collection::vec(0u8..42, 0..40)) {
        let mut builders = [ColumnBuilder::new(&DataType::Null), ColumnBuilder::new(&DataType::String)];
        let _ = decode(&bytes, &mut builders);
    }
}

/// A fraction of 17 digits as a quotient of two floats was the float beside the key's.
#[test]
fn a_float_of_many_digits_comes_back_from_its_key() {
    for x in [-7_925_239_423.156_388, 0.1, 1.0e22 / 3.0, 5e-324, f64::MAX] {
        let mut built = [ColumnBuilder::new(&DataType::Float)];
        assert_eq!(decode(&key_of(&[Value::Float(x)]), &mut built), Some(()));
        let [built] = built;
        assert_eq!(built.finish().value(0), Value::Float(x));
    }
}
