//! Unit tests of the kernels through the public evaluator, decimals against big integers, and very long chains.
//! Random expressions are compared with the row-at-a-time oracle in the harness.

mod decimals;
mod long;
mod values;

use velostream_sql::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind};
use velostream_types::{Batch, Column, DataType, ErrorCode, RowMeta, SourceId, Span, Value};

use super::{EvalContext, Evaluated, Evaluator};

fn expr(kind: ExprKind, data_type: DataType) -> Expr {
    Expr { kind, data_type, span: Span::new(1, 2) }
}

fn col(i: usize, data_type: DataType) -> Expr {
    expr(ExprKind::Column(i), data_type)
}

fn lit(value: Value) -> Expr {
    let data_type = value.data_type();
    expr(ExprKind::Literal(value), data_type)
}

fn int(i: i64) -> Expr {
    lit(Value::Int(i))
}

fn boxed(e: &Expr) -> Box<Expr> {
    Box::new(e.clone())
}

fn arith(left: Expr, op: ArithmeticOp, right: Expr, data_type: DataType) -> Expr {
    let rest = vec![ArithmeticStep { op, operand: right, data_type: data_type.clone(), span: Span::new(3, 4) }];
    expr(ExprKind::Arithmetic { first: Box::new(left), rest }, data_type)
}

fn compared(left: Expr, op: CompareOp, right: Expr) -> Expr {
    expr(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) }, DataType::Boolean)
}

fn cast(operand: Expr, to: DataType) -> Expr {
    expr(ExprKind::Cast { operand: Box::new(operand), try_cast: false }, to)
}

fn batch(columns: Vec<Column>) -> Batch {
    let rows = columns.first().map_or(1, Column::len);
    Batch::new(columns, rows, RowMeta::plain(SourceId(0), 7, 40))
}

fn run(expr: &Expr, columns: Vec<Column>) -> Evaluated {
    Evaluator::new(expr).eval(&batch(columns), &EvalContext { run_start_ms: 5, ..EvalContext::default() })
}

/// The rows' values as text; a failed row shows its code.
fn shown(got: &Evaluated) -> Vec<String> {
    let failed = |i: usize| got.errors.iter().find(|e| e.row as usize == i).map(|e| e.error.code.code().to_owned());
    (0..got.column.len()).map(|i| failed(i).unwrap_or_else(|| got.column.value(i).to_string())).collect()
}

fn check(expr: &Expr, columns: Vec<Column>, want: &[&str]) {
    assert_eq!(shown(&run(expr, columns)), want, "{expr:?}");
}

fn ints(values: &[Option<i64>]) -> Column {
    let nulls: Vec<bool> = values.iter().map(Option::is_some).collect();
    Column::ints(values.iter().map(|v| v.unwrap_or(0)).collect(), Some(nulls.into()))
}

/// Decimals of one scale; `wide` picks the 128-bit form.
fn decs(values: &[i128], scale: u8, wide: bool) -> Column {
    if wide {
        Column::dec128(values.to_vec(), scale, None)
    } else {
        Column::dec64(values.iter().map(|m| i64::try_from(*m).unwrap()).collect(), scale, None)
    }
}

fn bools(values: &[Option<bool>]) -> Column {
    Column::Bool(values.iter().copied().collect())
}

const TRUE: Option<bool> = Some(true);
const FALSE: Option<bool> = Some(false);
const INT: DataType = DataType::Integer;
const BOOL: DataType = DataType::Boolean;

#[test]
fn only_the_failing_rows_fail() {
    let sum = arith(col(0, INT), ArithmeticOp::Add, int(1), INT);
    let got = run(&sum, vec![ints(&[Some(1), Some(i64::MAX), None, Some(-1)])]);
    assert_eq!(shown(&got), ["2", "R0201", "NULL", "0"]);
    assert_eq!(got.errors[0].error.code, ErrorCode::Overflow);
    assert_eq!(got.errors[0].error.span, Some(Span::new(3, 4)));
    assert_eq!(&*got.errors[0].error.message, "9223372036854775807 + 1 is beyond the range of INTEGER");
}

#[test]
fn a_row_outside_the_selection_neither_fails_nor_counts() {
    use arrow_buffer::BooleanBuffer;
    let quotient = arith(int(1), ArithmeticOp::Modulo, col(0, INT), INT);
    let halves = arith(int(1), ArithmeticOp::Divide, col(0, INT), DataType::Float);
    let input = batch(vec![ints(&[Some(0), Some(0), Some(3)])]);
    let selection = BooleanBuffer::from(vec![false, true, true]);
    let ctx = EvalContext { run_start_ms: 0, ..EvalContext::default() };
    let got = Evaluator::new(&quotient).eval_selected(&input, &ctx, Some(&selection));
    assert_eq!(got.errors.iter().map(|e| e.row).collect::<Vec<u32>>(), [1]);
    assert_eq!(Evaluator::new(&halves).eval_selected(&input, &ctx, Some(&selection)).division_by_zero, 1);
}

#[test]
fn the_first_error_of_a_row_is_the_one_it_has() {
    let overflow = arith(col(0, INT), ArithmeticOp::Add, int(i64::MAX), INT);
    let zero = arith(col(0, INT), ArithmeticOp::Modulo, int(0), INT);
    let both = arith(overflow, ArithmeticOp::Add, zero, INT);
    check(&both, vec![ints(&[Some(1), Some(-1)])], &["R0201", "R0203"]);
}

#[test]
fn a_constant_that_fails_does_so_only_where_it_is_reached() {
    let bad = cast(lit(Value::Str("x".into())), INT);
    let guarded = expr(ExprKind::Case { branches: vec![(col(0, BOOL), bad)], otherwise: Some(Box::new(int(0))) }, INT);
    check(&guarded, vec![bools(&[TRUE, FALSE, None])], &["R0202", "0", "0"]);
    let folded = Evaluator::new(&arith(int(2), ArithmeticOp::Add, int(3), INT));
    assert_eq!(folded.root.as_const(), Some(&Value::Int(5)));
}

#[test]
fn filters_keep_true_only() {
    let predicate = compared(col(0, INT), CompareOp::Greater, int(1));
    let got = Evaluator::new(&predicate).filter_mask(
        &batch(vec![ints(&[Some(2), Some(1), None])]),
        &EvalContext { run_start_ms: 0, ..EvalContext::default() },
    );
    assert_eq!(got.keep.values().iter().collect::<Vec<bool>>(), [true, false, false]);
}
