//! One expression over one row.
//!
//! Operands are evaluated left to right and the first error ends the row; what CASE, COALESCE, IN and the logical
//! operators have no need of is not evaluated at all.

use std::cmp::Ordering;

use velostream_functions::{Arg, Call, Function, Nulls, RowContext};
use velostream_sql::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind, SystemColumn};
use velostream_types::{Batch, DataType, ErrorCode, RowMeta, SourceId, Span, Value};

use super::number::Number;
use super::{convert, nested};

const NS_PER_MS: i64 = 1_000_000;

/// One row with its metadata.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Values of the input columns.
    pub values: &'a [Value],
    /// Record timestamp, ms.
    pub timestamp_ms: i64,
    /// Event time, ns.
    pub event_time_ns: Option<i64>,
    /// Position in the partition.
    pub offset: i64,
    /// The partition.
    pub partition: u32,
}

/// Why a row failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleError {
    /// Kind of error.
    pub code: ErrorCode,
    /// Expression that failed.
    pub span: Span,
}

type Answer = Result<Value, OracleError>;

fn fail(code: ErrorCode, span: Span) -> Answer {
    Err(OracleError { code, span })
}

/// Value of `expr` for one row.
pub fn eval(expr: &Expr, row: &Row<'_>) -> Result<Value, OracleError> {
    match &expr.kind {
        ExprKind::Column(i) => Ok(row.values[*i].clone()),
        ExprKind::Literal(value) => Ok(value.clone()),
        ExprKind::System(column) => Ok(system(*column, row)),
        ExprKind::Arithmetic { first, rest } => chain(first, rest, row),
        ExprKind::Negate(operand) => negate(eval(operand, row)?, expr),
        ExprKind::Compare { op, left, right } => {
            let (l, r) = (eval(left, row)?, eval(right, row)?);
            Ok(nested::compare(*op, &l, &r, &left.data_type)
                .unwrap_or_else(|| compare(*op, &l, &r))
                .map_or(Value::Null, Value::Bool))
        }
        ExprKind::Distinct { left, right, negated } => {
            let (l, r) = (eval(left, row)?, eval(right, row)?);
            Ok(Value::Bool(same(&l, &r) == *negated))
        }
        ExprKind::And(operands) => logical(operands, false, row),
        ExprKind::Or(operands) => logical(operands, true, row),
        ExprKind::Not(operand) => Ok(match eval(operand, row)? {
            Value::Bool(b) => Value::Bool(!b),
            _ => Value::Null,
        }),
        ExprKind::IsNull { operand, negated } => Ok(Value::Bool(eval(operand, row)?.is_null() != *negated)),
        ExprKind::InList { operand, list, negated } => in_list(operand, list, *negated, row),
        ExprKind::Case { branches, otherwise } => {
            for (when, then) in branches {
                if eval(when, row)? == Value::Bool(true) {
                    return unified(eval(then, row)?, expr);
                }
            }
            otherwise.as_deref().map_or(Ok(Value::Null), |e| unified(eval(e, row)?, expr))
        }
        ExprKind::Coalesce(operands) => {
            for operand in operands {
                let value = eval(operand, row)?;
                if !value.is_null() {
                    return unified(value, expr);
                }
            }
            Ok(Value::Null)
        }
        ExprKind::Cast { operand, try_cast } => {
            let value = eval(operand, row)?;
            match convert::cast(&value, &operand.data_type, &expr.data_type) {
                Some(value) => Ok(value),
                None if *try_cast => Ok(Value::Null),
                None => fail(ErrorCode::Cast, expr.span),
            }
        }
        ExprKind::Try(operand) => eval(operand, row).or(Ok(Value::Null)),
        ExprKind::Concat(operands) => concat(operands, row),
        // Rows of the oracle are values: nothing stands beside them.
        ExprKind::RecordKey { .. } | ExprKind::Header { .. } | ExprKind::Headers { .. } => Ok(Value::Null),
        ExprKind::Call { function, args } => call(function, args, expr, row),
    }
}

/// The function's own kernel over this row alone: what functions give is proved against other engines and by the
/// catalogue's examples; here it is proved that batches do not change it.
fn call(function: &'static Function, args: &[Expr], expr: &Expr, row: &Row<'_>) -> Answer {
    let values: Vec<Value> = args.iter().map(|arg| eval(arg, row)).collect::<Result<_, _>>()?;
    if function.nulls == Nulls::Propagate && values.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let meta = RowMeta::plain(SourceId(0), row.partition, row.offset);
    let batch = Batch::new(Vec::new(), 1, meta);
    let context = RowContext {
        batch: &batch,
        now_ns: 0,
        run_start_ms: row.timestamp_ms,
        seed: 0,
        site: u64::from(expr.span.start),
    };
    let views: Vec<(Arg<'_>, &DataType)> =
        values.iter().zip(args).map(|(v, e)| (Arg::Const(v), &e.data_type)).collect();
    let constants: Vec<Option<&Value>> = values.iter().map(Some).collect();
    let prepared = function.prepare.and_then(|prepare| prepare(&constants).ok().flatten());
    let mut call = Call::new(context, &views, &expr.data_type, None, prepared.as_ref());
    let column = (function.kernel)(&mut call);
    match call.into_failures().pop() {
        Some(failure) => fail(failure.fail.code, expr.span),
        None => Ok(match (column.value(0), &expr.data_type) {
            (Value::Int(ns), DataType::Interval) => Value::Interval(ns),
            (Value::Int(ns), DataType::Time) => Value::Time(ns),
            (Value::Str(text), nested) if nested.is_nested() => Value::Json(text),
            (value, _) => value,
        }),
    }
}

fn concat(operands: &[Expr], row: &Row<'_>) -> Answer {
    let mut text = Some(String::new());
    for operand in operands {
        let value = eval(operand, row)?;
        match (&mut text, value.is_null()) {
            (Some(text), false) => text.push_str(&convert::text(&value, &operand.data_type)),
            _ => text = None,
        }
    }
    Ok(text.map_or(Value::Null, |t| Value::Str(t.into())))
}

fn system(column: SystemColumn, row: &Row<'_>) -> Value {
    let ns = row.event_time_ns.unwrap_or_else(|| row.timestamp_ms.saturating_mul(NS_PER_MS));
    Value::Int(match column {
        SystemColumn::Timestamp => row.timestamp_ms,
        SystemColumn::EventTime => row.event_time_ns.map_or(row.timestamp_ms, |ns| ns.div_euclid(NS_PER_MS)),
        SystemColumn::EventTimeNs => ns,
        SystemColumn::Offset => row.offset,
        SystemColumn::Partition => i64::from(row.partition),
    })
}

/// AND and OR: the first operand equal to `deciding` decides.
fn logical(operands: &[Expr], deciding: bool, row: &Row<'_>) -> Answer {
    let mut unknown = false;
    for operand in operands {
        match eval(operand, row)? {
            Value::Bool(b) if b == deciding => return Ok(Value::Bool(deciding)),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!deciding) })
}

fn in_list(operand: &Expr, list: &[Expr], negated: bool, row: &Row<'_>) -> Answer {
    let value = eval(operand, row)?;
    let mut unknown = false;
    for candidate in list {
        match compare(CompareOp::Equal, &value, &eval(candidate, row)?) {
            Some(true) => return Ok(Value::Bool(!negated)),
            Some(false) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(negated) })
}

/// A result of CASE or COALESCE in the type the plan unified its branches to.
fn unified(value: Value, expr: &Expr) -> Answer {
    match (&expr.data_type, Number::of(&value)) {
        (_, None) => Ok(value),
        (DataType::Float, Some(n)) => Ok(Value::Float(n.to_float())),
        (ty, Some(n)) => n.into_value(ty).map_or_else(|| fail(ErrorCode::Overflow, expr.span), Ok),
    }
}

fn negate(value: Value, expr: &Expr) -> Answer {
    match value {
        Value::Float(x) => Ok(Value::Float(-x)),
        Value::Interval(ns) => {
            ns.checked_neg().map_or_else(|| fail(ErrorCode::Overflow, expr.span), |n| Ok(Value::Interval(n)))
        }
        other => match Number::of(&other) {
            None => Ok(Value::Null),
            Some(n) => n.negated().into_value(&expr.data_type).map_or_else(|| fail(ErrorCode::Overflow, expr.span), Ok),
        },
    }
}

fn chain(first: &Expr, rest: &[ArithmeticStep], row: &Row<'_>) -> Answer {
    let mut value = eval(first, row)?;
    let mut ty = &first.data_type;
    for step in rest {
        let operand = eval(&step.operand, row)?;
        value = step_of(step, &value, ty, &operand)?;
        ty = &step.data_type;
    }
    Ok(value)
}

fn step_of(step: &ArithmeticStep, left: &Value, left_type: &DataType, right: &Value) -> Answer {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    if is_time(left_type) || is_time(&step.operand.data_type) {
        return time(step, left, right);
    }
    if step.data_type == DataType::Float {
        return floats(step, float(left), float(right));
    }
    let (Some(l), Some(r)) = (Number::of(left), Number::of(right)) else { return Ok(Value::Null) };
    let scale = |t: &DataType| u32::from(t.exact_scale().unwrap_or(0));
    let (s1, s2) = (scale(left_type), scale(&step.operand.data_type));
    let result = match step.op {
        ArithmeticOp::Add => l.plus(&r),
        ArithmeticOp::Subtract => l.plus(&r.negated()),
        ArithmeticOp::Multiply => l.times(&r).rounded(18.max(s1).max(s2)),
        ArithmeticOp::Divide if r.is_zero() => return Ok(Value::Null),
        ArithmeticOp::Divide => l.over(&r, scale(&step.data_type)),
        ArithmeticOp::Modulo if r.is_zero() => return fail(ErrorCode::Domain, step.span),
        ArithmeticOp::Modulo => l.remainder(&r),
    };
    result.into_value(&step.data_type).map_or_else(|| fail(ErrorCode::Overflow, step.span), Ok)
}

fn floats(step: &ArithmeticStep, l: f64, r: f64) -> Answer {
    Ok(match step.op {
        ArithmeticOp::Add => Value::Float(l + r),
        ArithmeticOp::Subtract => Value::Float(l - r),
        ArithmeticOp::Multiply => Value::Float(l * r),
        ArithmeticOp::Divide if r == 0.0 => Value::Null,
        ArithmeticOp::Divide => Value::Float(l / r),
        ArithmeticOp::Modulo if r == 0.0 => return fail(ErrorCode::Domain, step.span),
        ArithmeticOp::Modulo => Value::Float(l % r),
    })
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp | DataType::Interval | DataType::Date | DataType::Time)
}

/// Sums and differences of instants and intervals in nanoseconds; beside an Integer, which is milliseconds, the result
/// is floored to milliseconds.
fn time(step: &ArithmeticStep, left: &Value, right: &Value) -> Answer {
    let ns = |v: &Value| match v {
        Value::Timestamp(t) | Value::Interval(t) | Value::Time(t) => i128::from(*t),
        Value::Date(d) => i128::from(*d) * 86_400_000 * i128::from(NS_PER_MS),
        _ => 0,
    };
    let overflow = || fail(ErrorCode::Overflow, step.span);
    let minus = step.op == ArithmeticOp::Subtract;
    if step.data_type == DataType::Integer {
        let ms = |v: &Value, sign: i128| match (Number::of(v), v) {
            (Some(n), _) => n,
            (None, Value::Interval(ns)) => {
                let ms = (i128::from(*ns) * sign).div_euclid(i128::from(NS_PER_MS));
                i64::try_from(ms).map_or_else(|_| Number::zero(), Number::int)
            }
            _ => Number::zero(),
        };
        let result = ms(left, 1).plus(&ms(right, if minus { -1 } else { 1 }));
        return result.into_value(&step.data_type).map_or_else(overflow, Ok);
    }
    let result = if minus { ns(left) - ns(right) } else { ns(left) + ns(right) };
    match (i64::try_from(result), &step.data_type) {
        (Ok(t), DataType::Timestamp) => Ok(Value::Timestamp(t)),
        (Ok(t), DataType::Time) => Ok(Value::Time(t.rem_euclid(86_400_000 * NS_PER_MS))),
        (Ok(n), _) => Ok(Value::Interval(n)),
        (Err(_), _) => overflow(),
    }
}

/// A number as float; NaN for what is none.
pub(super) fn float(value: &Value) -> f64 {
    match value {
        Value::Float(x) => *x,
        other => Number::of(other).map_or(f64::NAN, |n| n.to_float()),
    }
}

/// Order of two values; `None` when one is NULL, NaN or of another kind.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Float(_), _) | (_, Value::Float(_)) => float(left).partial_cmp(&float(right)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Str(a) | Value::Json(a), Value::Str(b) | Value::Json(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::Interval(a), Value::Interval(b))
        | (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        _ => Some(Number::of(left)?.compare(&Number::of(right)?)),
    }
}

/// Three-valued comparison; `None` is NULL. NaN differs from everything.
fn compare(op: CompareOp, left: &Value, right: &Value) -> Option<bool> {
    if left.is_null() || right.is_null() {
        return None;
    }
    let order = order(left, right);
    Some(match op {
        CompareOp::Equal => order == Some(Ordering::Equal),
        CompareOp::NotEqual => order != Some(Ordering::Equal),
        CompareOp::Less => order == Some(Ordering::Less),
        CompareOp::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        CompareOp::Greater => order == Some(Ordering::Greater),
        CompareOp::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// Equality of IS NOT DISTINCT FROM: NULL equals NULL, NaN equals NaN.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Float(a), Value::Float(b)) if a.is_nan() && b.is_nan() => true,
        _ => order(left, right) == Some(Ordering::Equal),
    }
}
