//! What each group of kernels gives for hand-picked values.

use velostream_sql::plan::SystemColumn;
use velostream_types::time::NS_PER_MS;

use super::*;
use ArithmeticOp::*;

const FLOAT: DataType = DataType::Float;
const TEXT: DataType = DataType::String;

fn dec(scale: u8) -> DataType {
    DataType::decimal(scale)
}

#[test]
fn integers_are_checked() {
    let c = || vec![ints(&[Some(i64::MIN), Some(7), Some(-7), None])];
    for (op, right, want) in [
        (Add, -1, ["R0201", "6", "-8", "NULL"]),
        (Subtract, 1, ["R0201", "6", "-8", "NULL"]),
        (Multiply, 2, ["R0201", "14", "-14", "NULL"]),
        (Multiply, -1, ["R0201", "-7", "7", "NULL"]),
        (Modulo, -1, ["0", "0", "0", "NULL"]),
        (Modulo, 4, ["0", "3", "-3", "NULL"]),
        (Modulo, 0, ["R0203", "R0203", "R0203", "NULL"]),
    ] {
        check(&arith(col(0, INT), op, int(right), INT), c(), &want);
    }
    check(&expr(ExprKind::Negate(boxed(&col(0, INT))), INT), c(), &["R0201", "-7", "7", "NULL"]);
}

#[test]
fn products_beyond_32_bits_are_right() {
    let wide = |a: i64, b: i64| vec![ints(&[Some(1), Some(a)]), ints(&[Some(1), Some(b)])];
    let product = arith(col(0, INT), Multiply, col(1, INT), INT);
    check(&product, wide(1 << 32, 1 << 30), &["1", "4611686018427387904"]);
    check(&product, wide((1 << 32) - 1, (1 << 32) - 1), &["1", "R0201"]);
    check(&product, wide(-3, 5), &["1", "-15"]);
}

#[test]
fn integers_divide_as_floats_and_zero_gives_null() {
    let quotient = arith(col(0, INT), Divide, col(1, INT), FLOAT);
    let got = run(&quotient, vec![ints(&[Some(7), Some(7), None]), ints(&[Some(2), Some(0), Some(0)])]);
    assert_eq!(shown(&got), ["3.5", "NULL", "NULL"]);
    assert_eq!(got.division_by_zero, 1);
}

#[test]
fn decimals_keep_their_digits() {
    let c = || vec![decs(&[150, -25], 2, false), decs(&[5, 30], 1, false)];
    let (l, r) = (|| col(0, dec(2)), || col(1, dec(1)));
    check(&arith(l(), Add, r(), dec(2)), c(), &["2.00", "2.75"]);
    check(&arith(l(), Subtract, r(), dec(2)), c(), &["1.00", "-3.25"]);
    check(&arith(l(), Multiply, r(), dec(3)), c(), &["0.750", "-0.750"]);
    check(&arith(l(), Divide, r(), dec(6)), c(), &["3.000000", "-0.083333"]);
    check(&arith(l(), Modulo, r(), dec(2)), c(), &["0.00", "-0.25"]);
    check(&arith(l(), Multiply, lit(Value::Float(2.0)), FLOAT), c(), &["3.0", "-0.5"]);
    check(&expr(ExprKind::Negate(boxed(&l())), dec(2)), c(), &["-1.50", "0.25"]);
}

#[test]
fn a_batch_that_leaves_64_bits_is_redone_in_128() {
    let max = i128::from(i64::MAX);
    let sum = arith(col(0, dec(2)), Add, col(0, dec(2)), dec(2));
    let got = run(&sum, vec![decs(&[max, 1], 2, false)]);
    assert!(matches!(got.column, Column::Dec128(_)));
    assert_eq!(shown(&got), ["184467440737095516.14", "0.02"]);
    let limit = velostream_types::decimal::MAX;
    check(
        &arith(col(0, dec(0)), Add, int(1), dec(0)),
        vec![decs(&[limit, limit - 1], 0, true)],
        &["R0201", &limit.to_string()],
    );
}

#[test]
fn an_integer_that_arrives_with_digits_keeps_them() {
    let sum = arith(col(0, INT), Add, int(1), INT);
    check(&sum, vec![decs(&[150, 200], 2, false)], &["2.50", "3.00"]);
    check(&arith(col(0, INT), Divide, int(2), FLOAT), vec![decs(&[150, 200], 2, false)], &["0.75", "1.0"]);
    // 10^19 is beyond INTEGER whatever stores it.
    check(&sum, vec![decs(&[10i128.pow(19), 5], 0, true)], &["R0201", "6"]);
}

#[test]
fn times_move_by_intervals() {
    let minute = || lit(Value::Interval(60_000 * NS_PER_MS));
    let at = Column::timestamps(vec![0, i64::MAX], None);
    let moved = arith(col(0, DataType::Timestamp), Add, minute(), DataType::Timestamp);
    check(&moved, vec![at.clone()], &["1970-01-01 00:01:00.000", "R0201"]);
    let ms = |op, ns| arith(col(0, INT), op, lit(Value::Interval(ns)), INT);
    check(&ms(Add, 60_000 * NS_PER_MS), vec![ints(&[Some(5), None])], &["60005", "NULL"]);
    check(&ms(Add, 1_500_000), vec![ints(&[Some(5)])], &["6"]);
    check(&ms(Subtract, 1_500_000), vec![ints(&[Some(5)])], &["3"]);
    let apart = arith(col(0, DataType::Timestamp), Subtract, lit(Value::Timestamp(5)), DataType::Interval);
    check(&apart, vec![at.slice(0, 1)], &["-5"]);
}

#[test]
fn numbers_compare_across_kinds_and_scales() {
    let c = || {
        vec![decs(&[100, 150, -1], 2, false), ints(&[Some(1), Some(1), Some(0)]), decs(&[1_000, 1_501, -10], 3, true)]
    };
    let l = || col(0, dec(2));
    check(&compared(l(), CompareOp::Equal, col(1, INT)), c(), &["true", "false", "false"]);
    check(&compared(l(), CompareOp::Less, col(2, dec(3))), c(), &["false", "true", "false"]);
    check(&compared(l(), CompareOp::GreaterOrEqual, lit(Value::Float(1.5))), c(), &["false", "true", "false"]);
    // A constant between two mantissas, and constants no mantissa reaches.
    let third = || lit(Value::Decimal { mantissa: 1_499, scale: 3 });
    check(&compared(l(), CompareOp::Less, third()), c(), &["true", "false", "true"]);
    check(&compared(l(), CompareOp::Equal, third()), c(), &["false", "false", "false"]);
    check(&compared(third(), CompareOp::LessOrEqual, l()), c(), &["false", "true", "false"]);
    let huge = |m: i128| lit(Value::Decimal { mantissa: m, scale: 0 });
    check(&compared(l(), CompareOp::Less, huge(10i128.pow(30))), c(), &["true", "true", "true"]);
    check(&compared(l(), CompareOp::Less, huge(-(10i128.pow(30)))), c(), &["false", "false", "false"]);
}

#[test]
fn text_compares_by_bytes() {
    let c = || vec![Column::strs([Some("abc"), Some("abcdefghijklm"), Some("é"), None])];
    let t = || col(0, TEXT);
    let s = |text: &str| lit(Value::Str(text.into()));
    check(&compared(t(), CompareOp::Equal, s("abc")), c(), &["true", "false", "false", "NULL"]);
    check(&compared(t(), CompareOp::NotEqual, s("abcdefghijklm")), c(), &["true", "false", "true", "NULL"]);
    check(&compared(t(), CompareOp::Greater, s("abcd")), c(), &["false", "true", "true", "NULL"]);
    check(&compared(s("z"), CompareOp::Less, t()), c(), &["false", "false", "true", "NULL"]);
}

#[test]
fn booleans_and_times_compare() {
    let c = || vec![bools(&[TRUE, FALSE, None]), bools(&[FALSE, FALSE, TRUE])];
    check(&compared(col(0, BOOL), CompareOp::Greater, col(1, BOOL)), c(), &["true", "false", "NULL"]);
    check(&compared(col(0, BOOL), CompareOp::Equal, lit(Value::Bool(false))), c(), &["false", "true", "NULL"]);
    let days = || vec![Column::Date(vec![i32::MIN, 0, i32::MAX].into())];
    check(
        &compared(col(0, DataType::Date), CompareOp::LessOrEqual, lit(Value::Date(0))),
        days(),
        &["true", "true", "false"],
    );
    let at = vec![Column::timestamps(vec![i64::MIN, 5], None)];
    check(&compared(col(0, DataType::Timestamp), CompareOp::Less, lit(Value::Timestamp(5))), at, &["true", "false"]);
}

#[test]
fn distinct_knows_null() {
    let c = || vec![ints(&[Some(1), None, None, Some(2)]), ints(&[Some(1), None, Some(1), Some(1)])];
    let of =
        |negated| expr(ExprKind::Distinct { left: boxed(&col(0, INT)), right: boxed(&col(1, INT)), negated }, BOOL);
    check(&of(false), c(), &["false", "false", "true", "true"]);
    check(&of(true), c(), &["true", "true", "false", "false"]);
}

#[test]
fn logic_has_three_values() {
    let all = [TRUE, FALSE, None];
    let c = || {
        let pairs = || all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b)));
        let (a, b): (Vec<_>, Vec<_>) = pairs().unzip();
        vec![bools(&a), bools(&b)]
    };
    let operands = || vec![col(0, BOOL), col(1, BOOL)];
    let and = ["true", "false", "NULL", "false", "false", "false", "NULL", "false", "NULL"];
    let or = ["true", "true", "true", "true", "false", "NULL", "true", "NULL", "NULL"];
    check(&expr(ExprKind::And(operands()), BOOL), c(), &and);
    check(&expr(ExprKind::Or(operands()), BOOL), c(), &or);
    check(&expr(ExprKind::Not(boxed(&col(0, BOOL))), BOOL), vec![bools(&all)], &["false", "true", "NULL"]);
    let is_null = expr(ExprKind::IsNull { operand: boxed(&col(0, BOOL)), negated: false }, BOOL);
    check(&is_null, vec![bools(&all)], &["false", "false", "true"]);
}

#[test]
fn decided_operands_do_not_raise() {
    let risky = || compared(arith(int(1), Modulo, col(0, INT), INT), CompareOp::Equal, int(0));
    let zero = || compared(col(0, INT), CompareOp::Equal, int(0));
    let c = || vec![ints(&[Some(0), Some(1)])];
    check(&expr(ExprKind::Or(vec![zero(), risky()]), BOOL), c(), &["true", "true"]);
    check(&expr(ExprKind::Or(vec![risky(), zero()]), BOOL), c(), &["R0203", "true"]);
    let not_zero = expr(ExprKind::Not(boxed(&zero())), BOOL);
    check(&expr(ExprKind::And(vec![not_zero, risky()]), BOOL), c(), &["false", "true"]);
}

#[test]
fn in_lists_are_three_valued() {
    let of = |list: Vec<Expr>, negated| expr(ExprKind::InList { operand: boxed(&col(0, INT)), list, negated }, BOOL);
    let c = || vec![ints(&[Some(1), Some(9), None])];
    check(&of(vec![int(1), int(2)], false), c(), &["true", "false", "NULL"]);
    check(&of(vec![int(1), lit(Value::Null)], false), c(), &["true", "NULL", "NULL"]);
    check(&of(vec![int(1), lit(Value::Null)], true), c(), &["false", "NULL", "NULL"]);
    check(&of((1..=8).map(int).collect(), false), c(), &["true", "false", "NULL"]);
    // A long list looks integers up; the same values as decimals are compared one by one.
    check(&of((1..=8).map(int).collect(), true), vec![decs(&[10, 95, 0], 1, false)], &["false", "true", "true"]);
}

#[test]
fn case_takes_one_branch_and_unifies_types() {
    let branches = vec![
        (compared(col(0, INT), CompareOp::Equal, int(1)), col(0, INT)),
        (compared(col(0, INT), CompareOp::Equal, int(2)), lit(Value::Decimal { mantissa: 25, scale: 1 })),
    ];
    let of = |ty| expr(ExprKind::Case { branches: branches.clone(), otherwise: None }, ty);
    let c = || vec![ints(&[Some(1), Some(2), Some(3), None])];
    check(&of(dec(1)), c(), &["1.0", "2.5", "NULL", "NULL"]);
    check(&of(FLOAT), c(), &["1.0", "2.5", "NULL", "NULL"]);
    let words = expr(ExprKind::Coalesce(vec![col(0, TEXT), lit(Value::Str("none at all, really".into()))]), TEXT);
    check(&words, vec![Column::strs([Some("a"), None])], &["a", "none at all, really"]);
}

#[test]
fn casts_convert_or_fail_the_row() {
    let texts = |values: &[&'static str]| vec![Column::strs(values.iter().map(|v| Some(*v)))];
    check(&cast(col(0, TEXT), INT), texts(&[" 12 ", "1.5", ""]), &["12", "R0202", "R0202"]);
    check(&cast(col(0, TEXT), BOOL), texts(&["T", "0", "yes"]), &["true", "false", "R0202"]);
    let money = DataType::Decimal { precision: 4, scale: 2 };
    let got = run(&cast(col(0, TEXT), money.clone()), texts(&["12.345", "-0.005", "123", "1.50"]));
    assert_eq!(shown(&got), ["12.35", "-0.01", "R0202", "1.50"]);
    assert_eq!(got.rounded, 2);
    check(&cast(col(0, dec(2)), INT), vec![decs(&[199, -199], 2, false)], &["1", "-1"]);
    check(&cast(col(0, FLOAT), INT), vec![Column::floats(vec![-1.9, 1e19, f64::NAN], None)], &["-1", "R0202", "R0202"]);
    check(&cast(col(0, INT), TEXT), vec![decs(&[150, 200], 2, false)], &["1.5", "2"]);
    check(&cast(col(0, dec(2)), TEXT), vec![ints(&[Some(3), None])], &["3.00", "NULL"]);
    check(
        &cast(col(0, INT), DataType::Timestamp),
        vec![ints(&[Some(1), Some(i64::MAX)])],
        &["1970-01-01 00:00:00.001", "R0202"],
    );
    let lenient = expr(ExprKind::Cast { operand: boxed(&col(0, TEXT)), try_cast: true }, INT);
    check(&lenient, texts(&["7", "x"]), &["7", "NULL"]);
    let message = run(&cast(col(0, TEXT), INT), texts(&["abc"])).errors[0].error.message.clone();
    assert_eq!(&*message, "cannot cast 'abc' to INTEGER");
}

#[test]
fn concatenation_propagates_null() {
    let joined = expr(ExprKind::Concat(vec![col(0, TEXT), lit(Value::Str("-".into())), col(1, INT)]), TEXT);
    let c = vec![Column::strs([Some("a"), None, Some("b")]), ints(&[Some(1), Some(2), None])];
    check(&joined, c, &["a-1", "NULL", "NULL"]);
}

#[test]
fn metadata_reads_as_columns() {
    let of = |c| expr(ExprKind::System(c), INT);
    let mut input = batch(vec![ints(&[Some(0), Some(0)])]);
    let show = |input: &Batch, c| {
        shown(&Evaluator::new(&of(c)).eval(input, &EvalContext { run_start_ms: 5, ..EvalContext::default() }))
    };
    assert_eq!(show(&input, SystemColumn::Timestamp), ["5", "5"]);
    assert_eq!(show(&input, SystemColumn::EventTime), ["5", "5"]);
    assert_eq!(show(&input, SystemColumn::EventTimeNs), ["5000000", "5000000"]);
    assert_eq!(show(&input, SystemColumn::Offset), ["40", "41"]);
    assert_eq!(show(&input, SystemColumn::Partition), ["7", "7"]);
    input.meta.event_time = Some(vec![-1, 2_000_001].into());
    input.meta.timestamp = Some(vec![8, 9].into());
    assert_eq!(show(&input, SystemColumn::EventTime), ["-1", "2"]);
    assert_eq!(show(&input, SystemColumn::EventTimeNs), ["-1", "2000001"]);
    assert_eq!(show(&input, SystemColumn::Timestamp), ["8", "9"]);
}

#[test]
fn columns_of_nothing_but_null_give_null() {
    let none = || vec![Column::Null(2), ints(&[Some(0), Some(1)])];
    check(&arith(col(0, INT), Add, col(1, INT), INT), none(), &["NULL", "NULL"]);
    check(&arith(col(0, INT), Modulo, col(1, INT), INT), none(), &["NULL", "NULL"]);
    check(&compared(col(0, INT), CompareOp::Less, col(1, INT)), none(), &["NULL", "NULL"]);
    check(&cast(col(0, INT), TEXT), none(), &["NULL", "NULL"]);
    check(&expr(ExprKind::Coalesce(vec![col(0, INT), col(1, INT)]), INT), none(), &["0", "1"]);
}
