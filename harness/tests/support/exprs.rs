//! Random expressions, typed as the binder types them.

use velostream_sql::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind, SystemColumn};
use velostream_types::{DataType, Span, Value, decimal};

use super::{Draw, Regime, calls};

/// Draws expressions over columns of the given types. Every node has a span of its own, so that an error names one.
pub struct Exprs<'d> {
    pub draw: &'d mut Draw,
    pub columns: Vec<DataType>,
    pub regime: Regime,
    next_span: u32,
}

/// Kinds of result a context asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Number,
    Boolean,
    Text,
    Timestamp,
    Interval,
    Date,
}

/// All kinds.
pub const WANTS: [Want; 6] = [Want::Number, Want::Boolean, Want::Text, Want::Timestamp, Want::Interval, Want::Date];

impl<'d> Exprs<'d> {
    pub fn new(draw: &'d mut Draw, columns: Vec<DataType>, regime: Regime) -> Exprs<'d> {
        Exprs { draw, columns, regime, next_span: 0 }
    }

    /// A call of a function whose result is of this kind; `None` when those that were drawn do not take their arguments.
    fn call(&mut self, want: Want, depth: u32) -> Option<Expr> {
        (0..3).find_map(|_| {
            let function = *self.draw.pick(calls::functions(want));
            calls::call(self, function, want, depth)
        })
    }

    /// Any expression of at most this nesting.
    pub fn any(&mut self, depth: u32) -> Expr {
        let want = *self.draw.pick(&WANTS);
        self.of(want, depth)
    }

    pub fn make(&mut self, kind: ExprKind, data_type: DataType) -> Expr {
        self.next_span += 1;
        Expr { kind, data_type, span: Span::new(self.next_span, self.next_span + 1) }
    }

    fn boxed(&mut self, want: Want, depth: u32) -> Box<Expr> {
        Box::new(self.of(want, depth))
    }

    pub fn of(&mut self, want: Want, depth: u32) -> Expr {
        if depth == 0 || self.draw.once_in(6) {
            return self.leaf(want);
        }
        // Most functions give text.
        if self.draw.once_in(if want == Want::Text { 2 } else { 3 })
            && let Some(call) = self.call(want, depth - 1)
        {
            return call;
        }
        match self.draw.below(6) {
            0 => self.case(want, depth - 1),
            1 => self.coalesce(want, depth - 1),
            2 => {
                let operand = self.boxed(want, depth - 1);
                let ty = operand.data_type.clone();
                self.make(ExprKind::Try(operand), ty)
            }
            _ => match want {
                Want::Number => self.number(depth - 1),
                Want::Boolean => self.boolean(depth - 1),
                Want::Text => self.text(depth - 1),
                Want::Timestamp | Want::Interval | Want::Date => self.time(want, depth - 1),
            },
        }
    }

    fn leaf(&mut self, want: Want) -> Expr {
        let fits = |t: &DataType| match want {
            Want::Number => t.is_numeric(),
            Want::Boolean => *t == DataType::Boolean,
            Want::Text => *t == DataType::String,
            Want::Timestamp => *t == DataType::Timestamp,
            Want::Interval => *t == DataType::Interval,
            Want::Date => *t == DataType::Date,
        };
        let columns: Vec<usize> = (0..self.columns.len()).filter(|i| fits(&self.columns[*i])).collect();
        if !self.draw.once_in(3) {
            let i = *self.draw.pick(&columns);
            let ty = self.columns[i].clone();
            return self.make(ExprKind::Column(i), ty);
        }
        let value = match want {
            Want::Number => match self.draw.below(8) {
                0 => Value::Float(*self.draw.pick(&[0.5, -2.0, 0.0, 1e10])),
                1 | 2 => {
                    let (m, scale) = *self.draw.pick(
                        &[(110, 2), (-5, 1), (0, 3), (25, 1), (123_456_789_012_345_678_901, 12)]
                            [..if self.regime == Regime::Extreme { 5 } else { 4 }],
                    );
                    Value::Decimal { mantissa: m, scale }
                }
                3 if self.regime == Regime::Extreme => return self.system(),
                _ => Value::Int(*self.draw.pick(match self.regime {
                    Regime::Extreme => &[0, 1, -1, 2, 3, 10, 1000, i64::MAX, i64::MIN],
                    Regime::Widened => &[0, 1, -1, 2, 3, 10],
                })),
            },
            Want::Boolean => Value::Bool(self.draw.once_in(2)),
            Want::Text => {
                Value::Str((*self.draw.pick(&["", "abc", "exactly 12 b", "longer than twelve bytes", "7"])).into())
            }
            Want::Timestamp => Value::Timestamp(*self.draw.pick(&[0, 1_700_000_000_123_000_000])),
            Want::Interval => Value::Interval(*self.draw.pick(&[1_500_000, -1, 3_600_000_000_000])),
            Want::Date => Value::Date(*self.draw.pick(&[0, 19_782])),
        };
        let value = if self.draw.once_in(10) { Value::Null } else { value };
        let ty = value.data_type();
        self.make(ExprKind::Literal(value), ty)
    }

    fn system(&mut self) -> Expr {
        use SystemColumn::*;
        let column = *self.draw.pick(&[Timestamp, EventTime, EventTimeNs, Offset, Partition]);
        self.make(ExprKind::System(column), DataType::Integer)
    }

    fn number(&mut self, depth: u32) -> Expr {
        match self.draw.below(8) {
            0 => {
                let operand = self.boxed(Want::Number, depth);
                let ty = operand.data_type.clone();
                self.make(ExprKind::Negate(operand), ty)
            }
            1 => {
                let to = match self.draw.below(4) {
                    0 => DataType::Integer,
                    1 => DataType::Float,
                    2 => DataType::Decimal { precision: 10, scale: 2 },
                    _ => DataType::Decimal { precision: 38, scale: 20 },
                };
                let from = *self.draw.pick(&[Want::Number, Want::Text]);
                self.cast(from, to, depth)
            }
            2 => self.millis(depth),
            _ => self.chain(depth),
        }
    }

    /// Integer milliseconds ± interval.
    fn millis(&mut self, depth: u32) -> Expr {
        let first = self.cast(Want::Timestamp, DataType::Integer, depth);
        let operand = self.of(Want::Interval, depth);
        if operand.data_type == DataType::Null {
            return first;
        }
        let op = *self.draw.pick(&[ArithmeticOp::Add, ArithmeticOp::Subtract]);
        self.stepped(first, op, operand, DataType::Integer)
    }

    fn chain(&mut self, depth: u32) -> Expr {
        let first = self.of(Want::Number, depth);
        let mut rest: Vec<ArithmeticStep> = Vec::new();
        let mut ty = first.data_type.clone();
        for _ in 0..=self.draw.below(3) {
            use ArithmeticOp::*;
            let op = *self.draw.pick(&[Add, Add, Subtract, Multiply, Multiply, Divide, Modulo]);
            let operand = self.of(Want::Number, depth);
            let Some(result) = result_type(op, &ty, &operand.data_type) else { continue };
            ty = result.clone();
            self.next_span += 1;
            let span = Span::new(self.next_span, self.next_span + 1);
            rest.push(ArithmeticStep { op, operand, data_type: result, span });
        }
        if rest.is_empty() {
            return first;
        }
        self.make(ExprKind::Arithmetic { first: Box::new(first), rest }, ty)
    }

    fn stepped(&mut self, first: Expr, op: ArithmeticOp, operand: Expr, ty: DataType) -> Expr {
        self.next_span += 1;
        let span = Span::new(self.next_span, self.next_span + 1);
        let rest = vec![ArithmeticStep { op, operand, data_type: ty.clone(), span }];
        self.make(ExprKind::Arithmetic { first: Box::new(first), rest }, ty)
    }

    fn cast(&mut self, from: Want, to: DataType, depth: u32) -> Expr {
        let operand = self.boxed(from, depth);
        let try_cast = self.draw.once_in(2);
        self.make(ExprKind::Cast { operand, try_cast }, to)
    }

    fn boolean(&mut self, depth: u32) -> Expr {
        use CompareOp::*;
        let kind = match self.draw.below(10) {
            0..=2 => {
                let want = *self.draw.pick(&WANTS);
                let op = *self.draw.pick(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
                ExprKind::Compare { op, left: self.boxed(want, depth), right: self.boxed(want, depth) }
            }
            3 => {
                let want = *self.draw.pick(&WANTS);
                let negated = self.draw.once_in(2);
                ExprKind::Distinct { left: self.boxed(want, depth), right: self.boxed(want, depth), negated }
            }
            4 => ExprKind::And((0..2 + self.draw.below(2)).map(|_| self.of(Want::Boolean, depth)).collect()),
            5 => ExprKind::Or((0..2 + self.draw.below(2)).map(|_| self.of(Want::Boolean, depth)).collect()),
            6 => ExprKind::Not(self.boxed(Want::Boolean, depth)),
            7 => {
                let want = *self.draw.pick(&WANTS);
                ExprKind::IsNull { operand: self.boxed(want, depth), negated: self.draw.once_in(2) }
            }
            8 => return self.in_list(depth),
            _ => {
                let from = *self.draw.pick(&[Want::Text, Want::Boolean]);
                return self.cast(from, DataType::Boolean, depth);
            }
        };
        self.make(kind, DataType::Boolean)
    }

    fn in_list(&mut self, depth: u32) -> Expr {
        let want = *self.draw.pick(&WANTS);
        let operand = self.boxed(want, depth);
        let negated = self.draw.once_in(2);
        let list = if self.draw.once_in(3) {
            (0..9)
                .map(|i| {
                    let value = match want {
                        Want::Text => Value::Str(["abc", "7", "a", "", "x", "y", "z", "é", "0"][i].into()),
                        _ => Value::Int(i as i64 * 50 - 200),
                    };
                    let ty = value.data_type();
                    self.make(ExprKind::Literal(value), ty)
                })
                .collect()
        } else {
            (0..1 + self.draw.below(3)).map(|_| self.of(want, depth)).collect::<Vec<Expr>>()
        };
        let comparable = matches!(want, Want::Number | Want::Text) || list.len() < 9;
        let list = if comparable { list } else { vec![self.leaf(want)] };
        self.make(ExprKind::InList { operand, list, negated }, DataType::Boolean)
    }

    fn text(&mut self, depth: u32) -> Expr {
        if self.draw.once_in(2) {
            let operands = (0..2 + self.draw.below(2)).map(|_| self.any(depth)).collect();
            return self.make(ExprKind::Concat(operands), DataType::String);
        }
        let from = *self.draw.pick(&WANTS);
        self.cast(from, DataType::String, depth)
    }

    fn time(&mut self, want: Want, depth: u32) -> Expr {
        let op = *self.draw.pick(&[ArithmeticOp::Add, ArithmeticOp::Subtract]);
        match want {
            Want::Timestamp if self.draw.once_in(2) => {
                let (first, operand) = (self.of(Want::Timestamp, depth), self.of(Want::Interval, depth));
                if first.data_type == DataType::Null || operand.data_type == DataType::Null {
                    return first;
                }
                self.stepped(first, op, operand, DataType::Timestamp)
            }
            Want::Timestamp => {
                let from = *self.draw.pick(&[Want::Text, Want::Date, Want::Timestamp]);
                self.cast(from, DataType::Timestamp, depth)
            }
            Want::Date => {
                let from = *self.draw.pick(&[Want::Text, Want::Date, Want::Timestamp]);
                self.cast(from, DataType::Date, depth)
            }
            _ => {
                let instants = self.draw.once_in(2);
                let of = if instants { Want::Timestamp } else { Want::Interval };
                let (first, operand) = (self.of(of, depth), self.of(of, depth));
                if first.data_type == DataType::Null || operand.data_type == DataType::Null {
                    return self.leaf(Want::Interval);
                }
                let op = if instants { ArithmeticOp::Subtract } else { op };
                self.stepped(first, op, operand, DataType::Interval)
            }
        }
    }

    fn case(&mut self, want: Want, depth: u32) -> Expr {
        let branches: Vec<(Expr, Expr)> =
            (0..1 + self.draw.below(3)).map(|_| (self.of(Want::Boolean, depth), self.of(want, depth))).collect();
        let otherwise = (!self.draw.once_in(3)).then(|| self.boxed(want, depth));
        let types = branches.iter().map(|(_, t)| t).chain(otherwise.as_deref()).map(|e| e.data_type.clone());
        let ty = types.reduce(unified).unwrap_or(DataType::Null);
        self.make(ExprKind::Case { branches, otherwise }, ty)
    }

    fn coalesce(&mut self, want: Want, depth: u32) -> Expr {
        let operands: Vec<Expr> = (0..1 + self.draw.below(3)).map(|_| self.of(want, depth)).collect();
        let ty = operands.iter().map(|e| e.data_type.clone()).reduce(unified).unwrap_or(DataType::Null);
        self.make(ExprKind::Coalesce(operands), ty)
    }
}

/// Type of CASE branches together: int < decimal of the larger scale < float.
pub fn unified(a: DataType, b: DataType) -> DataType {
    match (&a, &b) {
        (DataType::Null, _) => b,
        (_, DataType::Null) => a,
        (DataType::Float, _) | (_, DataType::Float) => DataType::Float,
        _ => match (a.exact_scale(), b.exact_scale()) {
            (Some(s1), Some(s2)) if a != DataType::Integer || b != DataType::Integer => DataType::decimal(s1.max(s2)),
            _ => a,
        },
    }
}

/// Type of an arithmetic step, as the reference has it; `None` for an untyped NULL.
fn result_type(op: ArithmeticOp, a: &DataType, b: &DataType) -> Option<DataType> {
    if *a == DataType::Null || *b == DataType::Null {
        return None;
    }
    if *a == DataType::Float || *b == DataType::Float {
        return Some(DataType::Float);
    }
    let (s1, s2) = (a.exact_scale()?, b.exact_scale()?);
    if *a == DataType::Integer && *b == DataType::Integer {
        return Some(if op == ArithmeticOp::Divide { DataType::Float } else { DataType::Integer });
    }
    Some(DataType::decimal(match op {
        ArithmeticOp::Multiply => decimal::mul_scale(s1, s2),
        ArithmeticOp::Divide => decimal::div_scale(s1, s2),
        _ => decimal::add_scale(s1, s2),
    }))
}
