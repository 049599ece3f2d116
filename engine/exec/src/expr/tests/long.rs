//! Chains as long as a program may write them: 100,000 operands are a loop, never a recursion.

use super::*;

const LENGTH: usize = 100_000;

fn many(operand: Expr) -> Vec<Expr> {
    vec![operand; LENGTH]
}

#[test]
fn long_chains_are_loops() {
    let steps = |operand: Expr, op, ty: DataType| {
        let step = ArithmeticStep { op, operand, data_type: ty.clone(), span: Span::default() };
        expr(ExprKind::Arithmetic { first: boxed(&col(0, ty.clone())), rest: vec![step; LENGTH] }, ty)
    };
    check(&steps(int(1), ArithmeticOp::Add, INT), vec![ints(&[Some(1), None])], &["100001", "NULL"]);
    let cent = lit(Value::Decimal { mantissa: 1, scale: 2 });
    check(&steps(cent, ArithmeticOp::Subtract, DataType::decimal(2)), vec![decs(&[0], 2, false)], &["-1000.00"]);
    let c = || vec![bools(&[TRUE, FALSE, None])];
    check(&expr(ExprKind::And(many(col(0, BOOL))), BOOL), c(), &["true", "false", "NULL"]);
    check(&expr(ExprKind::Or(many(col(0, BOOL))), BOOL), c(), &["true", "false", "NULL"]);
    check(&expr(ExprKind::Coalesce(many(col(0, INT))), INT), vec![ints(&[Some(3), None])], &["3", "NULL"]);
    let letters = expr(ExprKind::Concat(many(col(0, DataType::String))), DataType::String);
    let got = run(&letters, vec![Column::strs([Some("x"), None])]);
    assert_eq!((got.column.str_at(0).map(str::len), got.column.is_null(1)), (Some(LENGTH), true));
    let list = (0..LENGTH as i64).map(int).collect();
    let member = expr(ExprKind::InList { operand: boxed(&col(0, INT)), list, negated: false }, BOOL);
    check(&member, vec![ints(&[Some(99_999), Some(-1)])], &["true", "false"]);
    let branch = (compared(col(0, INT), CompareOp::Equal, int(-5)), int(0));
    let case = ExprKind::Case { branches: vec![branch; LENGTH], otherwise: Some(boxed(&int(1))) };
    check(&expr(case, INT), vec![ints(&[Some(2)])], &["1"]);
}

#[test]
fn constant_chains_fold() {
    let step = ArithmeticStep { op: ArithmeticOp::Add, operand: int(1), data_type: INT, span: Span::default() };
    let sum = expr(ExprKind::Arithmetic { first: boxed(&int(0)), rest: vec![step; LENGTH] }, INT);
    assert_eq!(Evaluator::new(&sum).root.as_const(), Some(&Value::Int(LENGTH as i64)));
}
