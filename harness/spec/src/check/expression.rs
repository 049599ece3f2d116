//! The expression language of `template`, `record_count.expression` and `aggregate_check.expected`.
//!
//! An expression is split when it is parsed: what looks at records (`records.length`, `records[3].price`, `sum(price)`,
//! `all(r.price > 0 for r in records)`) becomes a part that folds over them, and what is left is evaluated once, over the
//! results of the parts and the counts and variables of the [`Context`]. No record is kept.
//!
//! `or` binds weakest, then `and`, `not`, comparisons, `+ -`, `* /`, the sign, and calls with `.name` and `[…]`.

mod datum;
mod eval;
mod lex;
mod parse;
mod part;

pub(crate) use datum::Datum;
pub(crate) use part::Running;

use std::collections::BTreeMap;

use velostream_types::Value;

use crate::check::number::Number;

/// Counts and variables that expressions name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Records published in this query, by source.
    pub inputs: BTreeMap<String, u64>,
    /// Records captured, by sink and by query.
    pub outputs: BTreeMap<String, u64>,
    /// Variables of the spec.
    pub variables: BTreeMap<String, Value>,
}

/// An expression that was parsed.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
    parts: Vec<Part>,
    positions: Vec<Position>,
}

/// Where in the text an expression is wrong, in bytes, and why.
pub type SyntaxError = (usize, String);

/// Reads an expression.
pub fn parse_expression(text: &str) -> Result<Expression, SyntaxError> {
    parse::parse(text)
}

/// What is left of an expression when its parts are taken out.
#[derive(Clone, Debug)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    /// `variables.X` or `X`.
    Variable(Box<str>),
    /// `inputs.X.count`, `outputs.X.count`.
    Count {
        of_inputs: bool,
        name: Box<str>,
    },
    /// A field of the record at hand.
    Field(Box<str>),
    /// `records.length`
    Length,
    /// Result of a part.
    Part(usize),
    /// `records[N].field`
    At(usize),
    Not(Box<Node>),
    Negated(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Compute(Arithmetic, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// As it is written.
    const fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// What folds over records.
#[derive(Clone, Debug)]
struct Part {
    function: Function,
    body: Node,
    condition: Option<Node>,
    /// It was written as `fn(field)`: records without the field do not count.
    over_field: bool,
    /// Fields it reads, for the rows that break it.
    fields: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    All,
    Any,
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

/// `records[index].field`
#[derive(Clone, Debug)]
struct Position {
    index: u64,
    field: Box<str>,
}

#[cfg(test)]
mod tests;
