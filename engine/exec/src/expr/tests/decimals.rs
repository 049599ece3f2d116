//! Decimal kernels against big integers: every digit, every rounding, every overflow.

use num_bigint::{BigInt, Sign};
use proptest::prelude::*;
use velostream_types::decimal;

use super::*;

/// `a / b` rounded half away from zero.
fn half_away(a: &BigInt, b: &BigInt) -> BigInt {
    let (n, d) = (a.magnitude(), b.magnitude());
    let q = BigInt::from((n * 2u32 + d) / (d * 2u32));
    if (a.sign() == Sign::Minus) == (b.sign() == Sign::Minus) { q } else { -q }
}

fn ten(n: u8) -> BigInt {
    BigInt::from(10).pow(u32::from(n))
}

/// Mantissas that stress 32, 64 and 128 bits.
fn mantissa() -> impl Strategy<Value = i128> {
    prop_oneof![
        -1_000i128..1_000,
        (any::<i32>()).prop_map(i128::from),
        (any::<i64>()).prop_map(i128::from),
        (-decimal::MAX..=decimal::MAX),
        Just(decimal::MAX),
        Just(i128::from(i64::MIN)),
    ]
}

/// The exact result as a rational, rounded to the scale the plan gave.
fn expected(op: ArithmeticOp, a: i128, s1: u8, b: i128, s2: u8, out: u8) -> Option<BigInt> {
    let (a, b) = (BigInt::from(a), BigInt::from(b));
    let (up_a, up_b) = (&a * ten(out.saturating_sub(s1)), &b * ten(out.saturating_sub(s2)));
    let exact = match op {
        ArithmeticOp::Add => up_a + up_b,
        ArithmeticOp::Subtract => up_a - up_b,
        ArithmeticOp::Multiply => half_away(&(a * b), &ten(s1 + s2 - out)),
        ArithmeticOp::Divide => half_away(&(a * ten(out + s2)), &(b * ten(s1))),
        ArithmeticOp::Modulo => up_a % up_b,
    };
    (*exact.magnitude() < *ten(38).magnitude()).then_some(exact)
}

fn scale_of(op: ArithmeticOp, s1: u8, s2: u8) -> u8 {
    match op {
        ArithmeticOp::Multiply => decimal::mul_scale(s1, s2),
        ArithmeticOp::Divide => decimal::div_scale(s1, s2),
        _ => decimal::add_scale(s1, s2),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(3_000), ..ProptestConfig::default() })]

    #[test]
    fn decimal_arithmetic_is_exact(
        pairs in proptest::collection::vec((mantissa(), mantissa()), 1..6),
        (s1, s2) in (0u8..=38, 0u8..=38),
        (small1, small2, constant) in any::<(bool, bool, bool)>(),
        op in prop_oneof![
            Just(ArithmeticOp::Add), Just(ArithmeticOp::Subtract), Just(ArithmeticOp::Multiply),
            Just(ArithmeticOp::Divide), Just(ArithmeticOp::Modulo),
        ],
    ) {
        let (s1, s2) = (if small1 { s1 % 10 } else { s1 }, if small2 { s2 % 10 } else { s2 });
        let out = scale_of(op, s1, s2);
        let narrow = |values: &[i128], s: u8| s <= 18 && values.iter().all(|v| i64::try_from(*v).is_ok());
        let (a, mut b): (Vec<i128>, Vec<i128>) = pairs.into_iter().unzip();
        if constant {
            b = vec![b[0]; b.len()];
        }
        let right = if constant {
            lit(Value::Decimal { mantissa: b[0], scale: s2 })
        } else {
            col(1, DataType::decimal(s2))
        };
        let expr = arith(col(0, DataType::decimal(s1)), op, right, DataType::decimal(out));
        let got = run(&expr, vec![decs(&a, s1, !narrow(&a, s1)), decs(&b, s2, !narrow(&b, s2))]);
        for i in 0..a.len() {
            let error = got.errors.iter().find(|e| e.row as usize == i).map(|e| e.error.code);
            if b[i] == 0 && matches!(op, ArithmeticOp::Divide | ArithmeticOp::Modulo) {
                prop_assert!(got.column.is_null(i));
                prop_assert_eq!(error.is_some(), op == ArithmeticOp::Modulo);
                continue;
            }
            match expected(op, a[i], s1, b[i], s2, out) {
                None => prop_assert_eq!(error, Some(ErrorCode::Overflow)),
                Some(want) => match got.column.value(i) {
                    Value::Decimal { mantissa, scale } => {
                        prop_assert_eq!(scale, out);
                        prop_assert_eq!(BigInt::from(mantissa), want, "{}e-{} {:?} {}e-{}", a[i], s1, op, b[i], s2);
                    }
                    other => prop_assert!(false, "{other:?} {error:?} for {}e-{s1} {op:?} {}e-{s2}", a[i], b[i]),
                },
            }
        }
    }

    #[test]
    fn decimal_comparison_is_exact(
        a in mantissa(), b in mantissa(), (s1, s2) in (0u8..=38, 0u8..=38), (constant, near) in any::<(bool, bool)>(),
    ) {
        let b = if near && s1 <= s2 { a.checked_mul(decimal::pow10(s2 - s1)).filter(|m| decimal::fits(*m)).unwrap_or(b) } else { b };
        let order = (BigInt::from(a) * ten(s2)).cmp(&(BigInt::from(b) * ten(s1)));
        let narrow = |v: i128, s: u8| s <= 18 && i64::try_from(v).is_ok();
        let columns = || vec![decs(&[a], s1, !narrow(a, s1)), decs(&[b], s2, !narrow(b, s2))];
        let right = || if constant {
            lit(Value::Decimal { mantissa: b, scale: s2 })
        } else {
            col(1, DataType::decimal(s2))
        };
        for (op, want) in [
            (CompareOp::Equal, order.is_eq()), (CompareOp::NotEqual, order.is_ne()), (CompareOp::Less, order.is_lt()),
            (CompareOp::LessOrEqual, order.is_le()), (CompareOp::Greater, order.is_gt()),
            (CompareOp::GreaterOrEqual, order.is_ge()),
        ] {
            let got = run(&compared(col(0, DataType::decimal(s1)), op, right()), columns());
            prop_assert_eq!(got.column.value(0), Value::Bool(want), "{}e-{} {:?} {}e-{}", a, s1, op, b, s2);
        }
    }

    #[test]
    fn floats_of_decimals_are_the_nearest(m in mantissa(), s in 0u8..=38) {
        let text = format!("{m}e-{s}");
        prop_assert_eq!(decimal::to_float(m, s), text.parse::<f64>().expect("the text of a number"));
    }
}

/// Cases to run, `PROPTEST_CASES` first.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}
