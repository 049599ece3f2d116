//! Arithmetic: decides once per step, from the logical types, which kernel runs.
//!
//! Float if the result is; time arithmetic on nanoseconds; checked 64-bit integers where an Integer step has integer
//! storage; exact decimals otherwise. Zero divisors are taken out first: NULL and counted for `/`, an error for `%`.

use arrow_array::TimestampNanosecondArray;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_sql::plan::ArithmeticOp;
use velostream_types::time::{NS_PER_DAY, NS_PER_MS};
use velostream_types::{Column, DataType, ErrorCode, Span, Value};

use super::compare::ordinals;
use super::datum::{Datum, View, both, selected};
use super::eval::{Live, Selection, Session};
use super::exact::{Exact, floats, is_float};
use super::lanes::Side;
use super::node::{Node, Step};
use super::{arith_dec, arith_float, arith_int};

/// One operator with the logical types that give it its meaning.
#[derive(Clone, Copy)]
pub(super) struct Typed<'a> {
    pub op: ArithmeticOp,
    pub left: &'a DataType,
    pub right: &'a DataType,
    pub out: &'a DataType,
    pub span: Span,
}

impl Typed<'_> {
    /// The operator as written.
    pub fn sign(&self) -> &'static str {
        match self.op {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::Modulo => "%",
        }
    }
}

/// `first op rhs op rhs …`, left to right.
pub(super) fn chain<'a>(
    first: &Node,
    steps: &[Step],
    selection: Selection<'_>,
    session: &mut Session<'a>,
) -> Datum<'a> {
    let mut value = session.eval(first, selection);
    let mut left = &first.data_type;
    for step in steps {
        let operand = session.eval(&step.operand, selection);
        let typed = Typed { op: step.op, left, right: &step.operand.data_type, out: &step.data_type, span: step.span };
        value = apply(typed, value, operand, selection, session);
        left = &step.data_type;
    }
    value
}

/// One step over whole columns.
fn apply(
    typed: Typed<'_>,
    left: Datum<'_>,
    right: Datum<'_>,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    if left.is_all_null() || right.is_all_null() {
        return Datum::NULL;
    }
    let nulls = both(&left, &right, session.rows);
    if is_time(typed.left) || is_time(typed.right) {
        return time(typed, left, right, nulls, selection, session);
    }
    if *typed.out == DataType::Float || is_float(&left) || is_float(&right) {
        let (Some(l), Some(r)) = (floats(&left), floats(&right)) else { return Datum::NULL };
        let (l, r) = (l.side(), r.side());
        let nulls = zero_divisors(typed, nulls, lanes_equal(typed.op, r, 0.0, session.rows), selection, session);
        return Datum::Column(Column::floats(arith_float::lanes(typed.op, l, r, session.rows), nulls));
    }
    let (Some(l), Some(r)) = (Exact::of(&left), Exact::of(&right)) else { return Datum::NULL };
    let zeros = match &r {
        Exact::Narrow(values, _) => lanes_equal(typed.op, Side::Slice(values), 0, session.rows),
        Exact::Wide(values, _) => lanes_equal(typed.op, Side::Slice(values), 0, session.rows),
        Exact::One(m, _) => lanes_equal(typed.op, Side::Same(*m), 0, session.rows),
    };
    let nulls = zero_divisors(typed, nulls, zeros, selection, session);
    if *typed.out == DataType::Integer && is_integer(&left) && is_integer(&right) {
        let (Some(l), Some(r)) = (l.narrow(), r.narrow()) else { return Datum::NULL };
        return Datum::Column(integers(typed, l, r, nulls, selection, session));
    }
    arith_dec::apply(&typed, &l, &r, nulls, selection, session)
}

/// Physically 64-bit integers.
fn is_integer(datum: &Datum<'_>) -> bool {
    matches!(datum.view(), View::Column(Column::Int(_)) | View::Const(Value::Int(_)))
}

/// Checked integers; a lane beyond 64 bits fails its row.
fn integers(
    typed: Typed<'_>,
    l: Side<'_, i64>,
    r: Side<'_, i64>,
    nulls: Option<NullBuffer>,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Column {
    let (values, flagged) = arith_int::lanes(typed.op, l, r, session.rows);
    if !flagged {
        return Column::ints(values, nulls);
    }
    let bad = |i: usize| arith_int::checked(typed.op, l.at(i), r.at(i)).is_none();
    let nulls = session.reject(nulls, selection, typed.span, bad, |i| {
        let what = format!("{} {} {} is beyond the range of {}", l.at(i), typed.sign(), r.at(i), typed.out);
        (ErrorCode::Overflow, what)
    });
    Column::ints(values, nulls)
}

/// Bits of the divisor's lanes that equal `zero`, for `/` and `%` with such a lane.
fn lanes_equal<T: Copy + PartialEq>(
    op: ArithmeticOp,
    divisor: Side<'_, T>,
    zero: T,
    rows: usize,
) -> Option<BooleanBuffer> {
    if !matches!(op, ArithmeticOp::Divide | ArithmeticOp::Modulo) {
        return None;
    }
    match divisor {
        Side::Same(d) => (d == zero).then(|| BooleanBuffer::new_set(rows)),
        // The or-fold has no branch; the bits are made only when there is a zero.
        Side::Slice(values) => values
            .iter()
            .fold(false, |any, v| any | (*v == zero))
            .then(|| BooleanBuffer::collect_bool(rows, |i| values[i] == zero)),
    }
}

/// Takes the rows with a zero divisor out: NULL and counted for `/`, failed for `%`.
fn zero_divisors(
    typed: Typed<'_>,
    nulls: Option<NullBuffer>,
    zeros: Option<BooleanBuffer>,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Option<NullBuffer> {
    let Some(zeros) = zeros else { return nulls };
    if typed.op == ArithmeticOp::Modulo {
        return session.reject(
            nulls,
            selection,
            typed.span,
            |i| zeros.value(i),
            |_| (ErrorCode::Domain, "remainder of a division by zero".to_owned()),
        );
    }
    let mut counted = &zeros & &selected(selection, session.rows);
    if let Some(n) = &nulls {
        counted &= n.inner();
    }
    session.division_by_zero += counted.count_set_bits() as u64;
    NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(!&zeros)))
}

/// Types whose arithmetic is on nanoseconds.
fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp | DataType::Interval | DataType::Date | DataType::Time)
}

/// Timestamps, dates and intervals as nanoseconds; integers beside an interval are milliseconds and stay so.
fn time(
    typed: Typed<'_>,
    left: Datum<'_>,
    right: Datum<'_>,
    nulls: Option<NullBuffer>,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    if *typed.out == DataType::Integer {
        let left = if *typed.left == DataType::Interval { whole_ms(left, false) } else { left };
        let right = whole_ms_operand(typed, right);
        let typed = Typed { left: &DataType::Integer, right: &DataType::Integer, ..typed };
        return apply(typed, left, right, selection, session);
    }
    let (left, nulls) = nanoseconds(left, nulls, typed.span, selection, session);
    let (right, nulls) = nanoseconds(right, nulls, typed.span, selection, session);
    let (Some(l), Some(r)) = (Exact::of(&left), Exact::of(&right)) else { return Datum::NULL };
    let (Some(l), Some(r)) = (l.narrow(), r.narrow()) else { return Datum::NULL };
    match integers(typed, l, r, nulls, selection, session) {
        Column::Int(a) if *typed.out == DataType::Timestamp => {
            let (_, values, nulls) = a.into_parts();
            Datum::Column(Column::Timestamp(TimestampNanosecondArray::new(values, nulls)))
        }
        // A clock goes round.
        Column::Int(a) if *typed.out == DataType::Time => {
            Datum::Column(Column::Int(a.unary(|t| t.rem_euclid(NS_PER_DAY))))
        }
        other => Datum::Column(other),
    }
}

/// The right operand beside an integer of milliseconds. A subtracted interval is floored after the subtraction, which
/// is rounding the interval up.
fn whole_ms_operand<'d>(typed: Typed<'_>, right: Datum<'d>) -> Datum<'d> {
    match typed.right {
        DataType::Interval => whole_ms(right, typed.op == ArithmeticOp::Subtract),
        _ => right,
    }
}

/// Nanoseconds as whole milliseconds, floored or rounded up.
fn whole_ms<'d>(datum: Datum<'d>, up: bool) -> Datum<'d> {
    let to_ms = |ns: i64| {
        let floor = ns.div_euclid(NS_PER_MS);
        floor + i64::from(up && ns.rem_euclid(NS_PER_MS) != 0)
    };
    match datum.view() {
        View::Const(Value::Interval(ns) | Value::Int(ns)) => Datum::Const(Value::Int(to_ms(*ns))),
        View::Column(Column::Int(a)) => Datum::Column(Column::Int(a.unary(to_ms))),
        _ => datum,
    }
}

/// Any time operand as integers of nanoseconds; a date outside their range fails its row.
fn nanoseconds<'d>(
    datum: Datum<'d>,
    nulls: Option<NullBuffer>,
    span: Span,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> (Datum<'d>, Option<NullBuffer>) {
    let is_date = matches!(datum.view(), View::Column(Column::Date(_)) | View::Const(Value::Date(_)));
    let days = ordinals(datum);
    if !is_date {
        return (days, nulls);
    }
    let days = match days.into_column(session.rows) {
        Column::Int(days) => days,
        other => return (Datum::Column(other), nulls),
    };
    let outside = |i: usize| days.value(i).checked_mul(NS_PER_DAY).is_none();
    let nulls = if (0..session.rows).any(outside) {
        session.reject(nulls, selection, span, outside, |_| {
            (ErrorCode::Overflow, "the date is outside 1677-2262".to_owned())
        })
    } else {
        nulls
    };
    (Datum::Column(Column::Int(days.unary(|d| d.wrapping_mul(NS_PER_DAY)))), nulls)
}

/// `-x`; the lowest integer has no opposite.
pub(super) fn negate(
    value: Datum<'_>,
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let n = session.rows;
    match value.view() {
        View::Column(Column::Float(a)) => Datum::Column(Column::Float(a.unary(|x| -x))),
        View::Const(Value::Float(x)) => Datum::Const(Value::Float(-x)),
        view => {
            let Some(exact) = Exact::of(&value) else { return Datum::NULL };
            let nulls = value.nulls(n);
            let typed = Typed {
                op: ArithmeticOp::Subtract,
                left: &node.data_type,
                right: &node.data_type,
                out: &node.data_type,
                span: node.span,
            };
            let decimal = matches!(node.data_type, DataType::Decimal { .. });
            if !decimal && !matches!(view, View::Column(Column::Dec64(_) | Column::Dec128(_))) {
                let Some(side) = exact.narrow() else { return Datum::NULL };
                return Datum::Column(integers(typed, Side::Same(0), side, nulls, selection, session));
            }
            arith_dec::apply(&typed, &Exact::One(0, exact.scale()), &exact, nulls, selection, session)
        }
    }
}

impl Session<'_> {
    /// Fails the selected rows that have a value and for which `bad` holds, and takes every such row out of the
    /// validity. For batches with at least one bad lane only.
    #[cold]
    pub fn reject(
        &mut self,
        nulls: Option<NullBuffer>,
        selection: Selection<'_>,
        span: Span,
        bad: impl Fn(usize) -> bool,
        error: impl Fn(usize) -> (ErrorCode, String),
    ) -> Option<NullBuffer> {
        let good = BooleanBuffer::collect_bool(self.rows, |i| !bad(i));
        let live = Live { nulls: nulls.as_ref(), selection };
        for i in (!&good).set_indices().filter(|i| live.at(*i)) {
            let (code, message) = error(i);
            self.fail(i, code, span, message);
        }
        NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(good)))
    }
}
