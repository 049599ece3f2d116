//! Random expressions: their SQL, and what the reference says they are.

use std::collections::BTreeMap;
use std::fmt;

use num_bigint::BigInt;

use super::draw::Draw;
use super::ratio::{Ratio, ten};

/// Kind of a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Integer,
    Decimal { precision: u32, scale: u8 },
    Text,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Integer => f.write_str("INTEGER"),
            Kind::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            Kind::Text => f.write_str("STRING"),
        }
    }
}

/// A column of the table.
#[derive(Clone, Copy, Debug)]
pub struct ColumnOf {
    pub name: &'static str,
    pub kind: Kind,
}

const fn decimal(name: &'static str, precision: u32, scale: u8) -> ColumnOf {
    ColumnOf { name, kind: Kind::Decimal { precision, scale } }
}

/// The table.
pub const COLUMNS: [ColumnOf; 9] = [
    decimal("a", 18, 4),
    decimal("b", 9, 2),
    decimal("c", 38, 10),
    decimal("d", 38, 0),
    decimal("e", 38, 30),
    decimal("f", 18, 18),
    ColumnOf { name: "i", kind: Kind::Integer },
    ColumnOf { name: "j", kind: Kind::Integer },
    ColumnOf { name: "t", kind: Kind::Text },
];

/// A field as the oracle sees it.
#[derive(Clone, Debug)]
pub enum Cell {
    Null,
    Number(Ratio),
    Text(String),
}

/// What an expression comes to.
#[derive(Clone, Debug)]
pub enum Answer {
    Null,
    Error,
    Number(Ratio),
    Truth(bool),
    Text(String),
}

/// Type of a number: scale of a decimal, none for an integer.
type Type = Option<u8>;

const OPERATORS: [&str; 5] = ["+", "-", "*", "/", "%"];
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
const OTHERS: [&str; 12] =
    ["column", "literal", "negate", "cast", "try_cast", "text", "round", "trunc", "abs", "ceil", "floor", "coalesce"];
const TOPS: [&str; 3] = ["string", "least", "between"];

/// Every operation.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.into_iter().chain(COMPARISONS).chain(OTHERS).chain(TOPS)
}

/// An expression and its type.
#[derive(Clone, Debug)]
pub struct Node {
    ty: Type,
    kind: NodeKind,
}

#[derive(Clone, Debug)]
enum NodeKind {
    Column(usize),
    Literal(String),
    Negate(Box<Node>),
    Operator(&'static str, Box<[Node; 2]>),
    Compare(&'static str, Box<[Node; 2]>),
    Between(Box<[Node; 3]>),
    /// To DECIMAL(precision, scale) or INTEGER; TRY_CAST or CAST.
    Cast(Box<Node>, Option<(u32, u8)>, bool),
    /// CAST of the text column.
    Parse((u32, u8), bool),
    Round(Box<Node>, i32),
    Trunc(Box<Node>),
    Abs(Box<Node>),
    Ceil(Box<Node>),
    Floor(Box<Node>),
    Coalesce(Box<[Node; 2]>),
    Least(Box<[Node; 2]>),
    Text(Box<Node>),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |is_try: &bool| if *is_try { "TRY_CAST" } else { "CAST" };
        match &self.kind {
            NodeKind::Column(c) => f.write_str(COLUMNS[*c].name),
            NodeKind::Literal(text) => f.write_str(text),
            NodeKind::Negate(x) => write!(f, "-({x})"),
            NodeKind::Operator(op, sides) | NodeKind::Compare(op, sides) => {
                write!(f, "({} {op} {})", sides[0], sides[1])
            }
            NodeKind::Between(x) => write!(f, "({} BETWEEN {} AND {})", x[0], x[1], x[2]),
            NodeKind::Cast(x, Some((p, s)), is_try) => write!(f, "{}({x} AS DECIMAL({p}, {s}))", word(is_try)),
            NodeKind::Cast(x, None, is_try) => write!(f, "{}({x} AS INTEGER)", word(is_try)),
            NodeKind::Parse((p, s), is_try) => write!(f, "{}(t AS DECIMAL({p}, {s}))", word(is_try)),
            NodeKind::Round(x, digits) => write!(f, "ROUND({x}, {digits})"),
            NodeKind::Trunc(x) => write!(f, "TRUNC({x})"),
            NodeKind::Abs(x) => write!(f, "ABS({x})"),
            NodeKind::Ceil(x) => write!(f, "CEIL({x})"),
            NodeKind::Floor(x) => write!(f, "FLOOR({x})"),
            NodeKind::Coalesce(x) => write!(f, "COALESCE({}, {})", x[0], x[1]),
            NodeKind::Least(x) => write!(f, "LEAST({}, {})", x[0], x[1]),
            NodeKind::Text(x) => write!(f, "CAST({x} AS STRING)"),
        }
    }
}

/// Scale of `left op right`.
fn scale_of(op: &str, left: Type, right: Type) -> Type {
    if left.is_none() && right.is_none() {
        return None;
    }
    let (l, r) = (left.unwrap_or(0), right.unwrap_or(0));
    Some(match op {
        "*" => (l + r).min(18).max(l).max(r),
        "/" => (l.max(r) + 4).min(18).max(l).max(r),
        _ => l.max(r),
    })
}

fn wider(left: Type, right: Type) -> Type {
    if left.is_none() && right.is_none() { None } else { Some(left.unwrap_or(0).max(right.unwrap_or(0))) }
}

/// The number rounded to its type, or an error where the type does not hold it.
fn typed(number: Ratio, ty: Type) -> Answer {
    let scale = ty.unwrap_or(0);
    let mantissa = number.mantissa(i32::from(scale));
    let fits = match ty {
        None => i64::try_from(&mantissa).is_ok(),
        Some(_) => *mantissa.magnitude() < *ten(38).magnitude(),
    };
    if fits { Answer::Number(Ratio::decimal(mantissa, u32::from(scale))) } else { Answer::Error }
}

fn within(number: &Ratio, (precision, scale): (u32, u8)) -> Option<Ratio> {
    let mantissa = number.mantissa(i32::from(scale));
    (*mantissa.magnitude() < *ten(precision).magnitude()).then(|| Ratio::decimal(mantissa, u32::from(scale)))
}

impl Node {
    /// What the expression is in a row.
    pub fn answer<'c>(&self, cell: &dyn Fn(usize) -> &'c Cell) -> Answer {
        match &self.kind {
            NodeKind::Column(c) => match cell(*c) {
                Cell::Number(r) => Answer::Number(r.clone()),
                _ => Answer::Null,
            },
            NodeKind::Literal(text) => Ratio::parse(text).map_or(Answer::Error, Answer::Number),
            NodeKind::Negate(x) => self.one(x, cell, |r| typed(r.negated(), self.ty)),
            NodeKind::Operator(op, sides) => self.two(sides, cell, |l, r| self.operate(op, l, r)),
            NodeKind::Compare(op, sides) => self.two(sides, cell, |l, r| {
                Answer::Truth(match *op {
                    "=" => l == r,
                    "<>" => l != r,
                    "<" => l < r,
                    "<=" => l <= r,
                    ">" => l > r,
                    _ => l >= r,
                })
            }),
            NodeKind::Between(x) => between(x[0].answer(cell), x[1].answer(cell), x[2].answer(cell)),
            NodeKind::Cast(x, to, is_try) => {
                let failed = if *is_try { Answer::Null } else { Answer::Error };
                self.one(x, cell, |r| match to {
                    Some(to) => within(&r, *to).map_or(failed.clone(), Answer::Number),
                    None => {
                        // Towards zero.
                        let cut = if r < Ratio::decimal(BigInt::ZERO, 0) { -r.negated().floor() } else { r.floor() };
                        match i64::try_from(&cut) {
                            Ok(_) => Answer::Number(Ratio::decimal(cut, 0)),
                            Err(_) => failed.clone(),
                        }
                    }
                })
            }
            NodeKind::Parse(to, is_try) => match cell(COLUMNS.len() - 1) {
                Cell::Text(text) => match Ratio::parse(text.trim()).and_then(|r| within(&r, *to)) {
                    Some(r) => Answer::Number(r),
                    None if *is_try => Answer::Null,
                    None => Answer::Error,
                },
                _ => Answer::Null,
            },
            NodeKind::Round(x, digits) => self.one(x, cell, |r| typed(r.rounded(*digits), self.ty)),
            NodeKind::Trunc(x) => self.one(x, cell, |r| {
                let whole = r.magnitude().floor();
                let cut = Ratio::decimal(if r < Ratio::decimal(BigInt::ZERO, 0) { -whole } else { whole }, 0);
                typed(cut, self.ty)
            }),
            NodeKind::Abs(x) => self.one(x, cell, |r| typed(r.magnitude(), self.ty)),
            NodeKind::Floor(x) => self.one(x, cell, |r| typed(Ratio::decimal(r.floor(), 0), None)),
            NodeKind::Ceil(x) => self.one(x, cell, |r| typed(Ratio::decimal(-r.negated().floor(), 0), None)),
            NodeKind::Coalesce(x) => match self.brought(&x[0], cell) {
                Answer::Null => self.brought(&x[1], cell),
                other => other,
            },
            NodeKind::Least(x) => match (self.brought(&x[0], cell), self.brought(&x[1], cell)) {
                (Answer::Error, _) | (_, Answer::Error) => Answer::Error,
                (Answer::Number(l), Answer::Number(r)) => Answer::Number(l.min(r)),
                (Answer::Null, other) | (other, _) => other,
            },
            NodeKind::Text(x) => self.one(x, cell, |r| Answer::Text(text_of(&r, x.ty.unwrap_or(0)))),
        }
    }

    /// An operand in this node's type, which has to hold it.
    fn brought<'c>(&self, x: &Node, cell: &dyn Fn(usize) -> &'c Cell) -> Answer {
        self.one(x, cell, |r| typed(r, self.ty))
    }

    fn one<'c>(&self, x: &Node, cell: &dyn Fn(usize) -> &'c Cell, f: impl Fn(Ratio) -> Answer) -> Answer {
        match x.answer(cell) {
            Answer::Number(r) => f(r),
            other => other,
        }
    }

    fn two<'c>(
        &self,
        sides: &[Node; 2],
        cell: &dyn Fn(usize) -> &'c Cell,
        f: impl Fn(Ratio, Ratio) -> Answer,
    ) -> Answer {
        match (sides[0].answer(cell), sides[1].answer(cell)) {
            (Answer::Error, _) | (_, Answer::Error) => Answer::Error,
            (Answer::Number(l), Answer::Number(r)) => f(l, r),
            _ => Answer::Null,
        }
    }

    fn operate(&self, op: &str, l: Ratio, r: Ratio) -> Answer {
        match op {
            "+" => typed(l.plus(&r), self.ty),
            "-" => typed(l.plus(&r.negated()), self.ty),
            "*" => typed(l.times(&r), self.ty),
            "/" if r.is_zero() => Answer::Null,
            "/" => typed(l.over(&r), self.ty),
            _ if r.is_zero() => Answer::Error,
            _ => typed(l.remainder(&r), self.ty),
        }
    }
}

/// `low <= x AND x <= high` in three values; a decided AND asks no further.
fn between(x: Answer, low: Answer, high: Answer) -> Answer {
    let side = |a: &Answer, b: &Answer| match (a, b) {
        (Answer::Error, _) | (_, Answer::Error) => Answer::Error,
        (Answer::Number(a), Answer::Number(b)) => Answer::Truth(a <= b),
        _ => Answer::Null,
    };
    match (side(&low, &x), side(&x, &high)) {
        (Answer::Truth(false), _) => Answer::Truth(false),
        (Answer::Error, _) | (_, Answer::Error) => Answer::Error,
        (_, Answer::Truth(false)) => Answer::Truth(false),
        (Answer::Truth(true), Answer::Truth(true)) => Answer::Truth(true),
        _ => Answer::Null,
    }
}

/// Exactly `scale` digits behind the point.
fn text_of(number: &Ratio, scale: u8) -> String {
    let mantissa = number.mantissa(i32::from(scale));
    let sign = if mantissa < BigInt::ZERO { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", mantissa.magnitude().to_string(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Draws expressions and counts what they use.
pub struct Writer<'d> {
    draw: &'d mut Draw,
    uses: &'d mut BTreeMap<&'static str, u64>,
}

impl<'d> Writer<'d> {
    pub fn new(draw: &'d mut Draw, uses: &'d mut BTreeMap<&'static str, u64>) -> Writer<'d> {
        Writer { draw, uses }
    }

    fn used(&mut self, name: &'static str) {
        *self.uses.entry(name).or_default() += 1;
    }

    /// An expression of any type.
    pub fn top(&mut self, depth: u32) -> Node {
        match self.draw.below(10) {
            0 | 1 => {
                let op = *self.draw.pick(&COMPARISONS);
                self.used(op);
                let sides = Box::new([self.number(depth - 1), self.number(depth - 1)]);
                Node { ty: None, kind: NodeKind::Compare(op, sides) }
            }
            2 => {
                self.used("between");
                let three = Box::new([self.number(depth - 1), self.number(depth - 1), self.number(depth - 1)]);
                Node { ty: None, kind: NodeKind::Between(three) }
            }
            3 => {
                self.used("string");
                Node { ty: None, kind: NodeKind::Text(Box::new(self.number(depth - 1))) }
            }
            _ => self.number(depth),
        }
    }

    fn leaf(&mut self) -> Node {
        if self.draw.once_in(5) {
            self.used("literal");
            let scale = self.draw.below(5) as u8;
            let mantissa = self.draw.below(100_000);
            let text = text_of(&Ratio::decimal(BigInt::from(mantissa), u32::from(scale)), scale);
            return Node { ty: (scale > 0).then_some(scale), kind: NodeKind::Literal(text) };
        }
        self.used("column");
        let column = self.draw.below(COLUMNS.len() as u64 - 1) as usize;
        let ty = match COLUMNS[column].kind {
            Kind::Decimal { scale, .. } => Some(scale),
            Kind::Integer | Kind::Text => None,
        };
        Node { ty, kind: NodeKind::Column(column) }
    }

    fn decimal_type(&mut self) -> (u32, u8) {
        let precision = 1 + self.draw.below(38) as u32;
        (precision, self.draw.below(u64::from(precision) + 1) as u8)
    }

    /// An exact number.
    fn number(&mut self, depth: u32) -> Node {
        if depth == 0 {
            return self.leaf();
        }
        let inner = |w: &mut Self| Box::new(w.number(depth - 1));
        match self.draw.below(20) {
            0 => {
                self.used("negate");
                let x = inner(self);
                Node { ty: x.ty, kind: NodeKind::Negate(x) }
            }
            1 => {
                let is_try = self.draw.once_in(2);
                self.used(if is_try { "try_cast" } else { "cast" });
                let to = if self.draw.once_in(4) { None } else { Some(self.decimal_type()) };
                Node { ty: to.map(|t| t.1), kind: NodeKind::Cast(inner(self), to, is_try) }
            }
            2 => {
                self.used("text");
                let (to, is_try) = (self.decimal_type(), self.draw.once_in(2));
                Node { ty: Some(to.1), kind: NodeKind::Parse(to, is_try) }
            }
            3 => {
                self.used("round");
                let (x, digits) = (inner(self), self.draw.below(8) as i32 - 2);
                Node { ty: x.ty, kind: NodeKind::Round(x, digits) }
            }
            4 => {
                let name = *self.draw.pick(&["abs", "ceil", "floor", "trunc"]);
                self.used(name);
                let x = inner(self);
                match name {
                    "abs" => Node { ty: x.ty, kind: NodeKind::Abs(x) },
                    "ceil" => Node { ty: None, kind: NodeKind::Ceil(x) },
                    "floor" => Node { ty: None, kind: NodeKind::Floor(x) },
                    _ => Node { ty: x.ty, kind: NodeKind::Trunc(x) },
                }
            }
            5 => {
                let least = self.draw.once_in(2);
                self.used(if least { "least" } else { "coalesce" });
                let sides = Box::new([self.number(depth - 1), self.number(depth - 1)]);
                let ty = wider(sides[0].ty, sides[1].ty);
                Node { ty, kind: if least { NodeKind::Least(sides) } else { NodeKind::Coalesce(sides) } }
            }
            _ => {
                let (left, right) = (self.number(depth - 1), self.number(depth - 1));
                let mut op = *self.draw.pick(&OPERATORS);
                // Integer by integer is a float.
                if op == "/" && left.ty.is_none() && right.ty.is_none() {
                    op = "*";
                }
                self.used(op);
                Node { ty: scale_of(op, left.ty, right.ty), kind: NodeKind::Operator(op, Box::new([left, right])) }
            }
        }
    }
}
