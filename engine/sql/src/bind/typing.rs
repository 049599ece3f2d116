//! Type rules: what an operator makes of its operands' types. Pure; the binder inserts the casts these rules ask for.

pub(super) use velostream_functions::has_order;
use velostream_types::{DataType, decimal};

use crate::plan::{ArithmeticOp, Expr, ExprKind};

/// How an operator takes two operands: types to cast them to, where needed, and the result.
#[derive(Debug, PartialEq)]
pub(super) struct Pair {
    pub left: Option<DataType>,
    pub right: Option<DataType>,
    pub result: DataType,
}

impl Pair {
    fn plain(result: DataType) -> Option<Pair> {
        Some(Pair { left: None, right: None, result })
    }
}

/// Type of `left op right`; `None` when there is no such operation.
pub(super) fn arithmetic(op: ArithmeticOp, left: &DataType, right: &DataType) -> Option<Pair> {
    use DataType::*;
    match (left, right) {
        (Null, Null) => Pair::plain(Null),
        (Null, other) | (other, Null) => arithmetic(op, other, other).and_then(|pair| Pair::plain(pair.result)),
        (Float, r) if r.is_numeric() => Pair::plain(Float),
        (l, Float) if l.is_numeric() => Pair::plain(Float),
        (Integer, Integer) if op == ArithmeticOp::Divide => Pair::plain(Float),
        (Integer, Integer) => Pair::plain(Integer),
        (l, r) => match (l.exact_scale(), r.exact_scale()) {
            (Some(s1), Some(s2)) => Pair::plain(DataType::decimal(match op {
                ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Modulo => decimal::add_scale(s1, s2),
                ArithmeticOp::Multiply => decimal::mul_scale(s1, s2),
                ArithmeticOp::Divide => decimal::div_scale(s1, s2),
            })),
            _ => times(op, l, r),
        },
    }
}

/// Sums and differences of times and intervals.
fn times(op: ArithmeticOp, left: &DataType, right: &DataType) -> Option<Pair> {
    use DataType::*;
    let add = op == ArithmeticOp::Add;
    if !add && op != ArithmeticOp::Subtract {
        return None;
    }
    match (left, right) {
        (Interval, Interval) => Pair::plain(Interval),
        (Time, Interval) => Pair::plain(Time),
        (Interval, Time) if add => Pair::plain(Time),
        (Time, Time) if !add => Pair::plain(Interval),
        (Timestamp | Integer, Interval) => Pair::plain(left.clone()),
        (Date | String, Interval) => Some(Pair { left: Some(Timestamp), right: None, result: Timestamp }),
        (Interval, Timestamp | Integer) if add => Pair::plain(right.clone()),
        (Interval, Date | String) if add => Some(Pair { left: None, right: Some(Timestamp), result: Timestamp }),
        (Timestamp, Timestamp) if !add => Pair::plain(Interval),
        (Date, Timestamp) if !add => Some(Pair { left: Some(Timestamp), right: None, result: Interval }),
        (Timestamp, Date) if !add => Some(Pair { left: None, right: Some(Timestamp), result: Interval }),
        (Date, Date) if !add => Some(Pair { left: Some(Timestamp), right: Some(Timestamp), result: Interval }),
        _ => None,
    }
}

/// Casts that make two values comparable; `None` when they never are.
pub(super) fn comparison(left: &DataType, right: &DataType) -> Option<Pair> {
    use DataType::*;
    let casts = |left, right| Some(Pair { left, right, result: Boolean });
    match (left, right) {
        (Null, _) | (_, Null) => casts(None, None),
        (l, r) if l == r || (l.is_numeric() && r.is_numeric()) => casts(None, None),
        (Timestamp, Date | String | Integer) => casts(None, Some(Timestamp)),
        (Date | String | Integer, Timestamp) => casts(Some(Timestamp), None),
        (Date | Time, String) => casts(None, Some(left.clone())),
        (String, Date | Time) => casts(Some(right.clone()), None),
        (Date, Integer) | (Integer, Date) => casts(Some(Timestamp), Some(Timestamp)),
        (Json, String) => casts(Some(String), None),
        (String, Json) => casts(None, Some(String)),
        // Text beside a nested value is the JSON of one.
        (l, String) if l.is_nested() => casts(None, Some(l.clone())),
        (String, r) if r.is_nested() => casts(Some(r.clone()), None),
        (Json, r) if castable(r, &Json) => casts(None, Some(Json)),
        (l, Json) if castable(l, &Json) => casts(Some(Json), None),
        (l, r) if l.is_nested() && r.is_nested() => {
            let both = common(l, r)?;
            casts((*l != both).then(|| both.clone()), (*r != both).then_some(both))
        }
        _ => None,
    }
}

/// Common type of CASE branches and COALESCE operands: that of elements of a collection, but that a column of text stays
/// one beside JSON.
pub(super) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (DataType::Json, DataType::String) | (DataType::String, DataType::Json) => Some(DataType::String),
        (l, r) => velostream_functions::common(l, r),
    }
}

/// TRUE when CAST from one type to the other means something.
pub(super) fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Null, _) | (_, String) => true,
        (x, y) if x == y => true,
        (String, Interval | Bytes) | (Json, Interval | Bytes) => false,
        (_, Json) | (Json, _) => true,
        (Array(x), Array(y)) | (Map(x), Map(y)) => castable_inside(x, y),
        (Struct(x), Struct(y)) => y.iter().all(|to| {
            x.iter()
                .find(|from| from.name == to.name)
                .is_none_or(|from| castable_inside(&from.data_type, &to.data_type))
        }),
        (x, y) if x.is_nested() || y.is_nested() => *x == String,
        (Timestamp, Time) => true,
        (String, _) => true,
        (x, y) if x.is_numeric() && y.is_numeric() => true,
        (Boolean, Integer) | (Integer, Boolean | Timestamp) | (Timestamp, Integer) => true,
        (Date, Timestamp) | (Timestamp, Date) => true,
        _ => false,
    }
}

/// Elements and fields are converted from their JSON text, which tells less of their type than a column does.
fn castable_inside(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Date | Timestamp, Date | Timestamp) => true,
        (String, Boolean | Bytes) | (Integer | Boolean | Timestamp, Boolean | Integer | Timestamp) => from == to,
        _ => castable(from, to),
    }
}

/// TRUE when evaluating `expr` may raise a record error. Recursion is bounded by the binder's depth limit.
pub(super) fn can_fail(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::System(_) | ExprKind::Try(_) => false,
        ExprKind::Arithmetic { first, rest } => {
            can_fail(first)
                || rest.iter().any(|step| {
                    step.data_type != DataType::Float || step.op == ArithmeticOp::Modulo || can_fail(&step.operand)
                })
        }
        ExprKind::Negate(x) => expr.data_type == DataType::Integer || can_fail(x),
        ExprKind::Compare { left, right, .. } | ExprKind::Distinct { left, right, .. } => {
            can_fail(left) || can_fail(right)
        }
        ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Coalesce(list) | ExprKind::Concat(list) => {
            list.iter().any(can_fail)
        }
        ExprKind::RecordKey { parts, .. } => {
            let is_text = expr.data_type == DataType::String;
            parts.iter().any(|(_, x)| is_text && x.data_type == DataType::Bytes || can_fail(x))
        }
        ExprKind::Header { headers: first, args: rest, .. } | ExprKind::Headers { before: first, edits: rest } => {
            can_fail(first) || rest.iter().any(can_fail)
        }
        ExprKind::Not(x) | ExprKind::IsNull { operand: x, .. } => can_fail(x),
        ExprKind::InList { operand, list, .. } => can_fail(operand) || list.iter().any(can_fail),
        ExprKind::Case { branches, otherwise } => {
            branches.iter().any(|(when, then)| can_fail(when) || can_fail(then))
                || otherwise.as_deref().is_some_and(can_fail)
        }
        ExprKind::Cast { operand, try_cast } => {
            let safe = match expr.data_type {
                DataType::String | DataType::Json => operand.data_type != DataType::String,
                DataType::Float => operand.data_type.is_numeric(),
                _ => false,
            };
            can_fail(operand) || !(*try_cast || safe)
        }
        ExprKind::Call { function, args } => function.fails || args.iter().any(can_fail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_types() {
        use ArithmeticOp::*;
        let dec = DataType::decimal;
        let check = |op, left: DataType, right: DataType, expect: Option<DataType>| {
            assert_eq!(arithmetic(op, &left, &right).map(|p| p.result), expect, "{left} {op:?} {right}");
        };
        check(Divide, DataType::Integer, DataType::Integer, Some(DataType::Float));
        check(Modulo, DataType::Integer, DataType::Integer, Some(DataType::Integer));
        check(Add, dec(2), DataType::Integer, Some(dec(2)));
        check(Multiply, dec(10), dec(10), Some(dec(18)));
        check(Multiply, dec(20), dec(2), Some(dec(20)));
        check(Divide, dec(2), DataType::Integer, Some(dec(6)));
        check(Divide, dec(2), DataType::Float, Some(DataType::Float));
        check(Add, DataType::String, DataType::String, None);
        check(Subtract, DataType::Timestamp, DataType::Timestamp, Some(DataType::Interval));
        check(Add, DataType::Integer, DataType::Interval, Some(DataType::Integer));
        check(Subtract, DataType::Interval, DataType::Timestamp, None);
        check(Multiply, DataType::Interval, DataType::Interval, None);
    }

    #[test]
    fn comparable_types() {
        let check = |left: DataType, right: DataType, expect| {
            assert_eq!(comparison(&left, &right).is_some(), expect, "{left} {right}");
            assert_eq!(comparison(&right, &left).is_some(), expect, "{right} {left}");
        };
        check(DataType::String, DataType::Integer, false);
        check(DataType::Boolean, DataType::Integer, false);
        check(DataType::Integer, DataType::decimal(3), true);
        check(DataType::Timestamp, DataType::String, true);
        check(DataType::Date, DataType::Timestamp, true);
        check(DataType::Null, DataType::Bytes, true);
    }
}
