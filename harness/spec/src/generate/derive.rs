//! Derived fields: expressions over the other fields of a record.
//!
//! `parse` reads them and finds every mistake in names, arguments and kinds, `operand` computes with single values. Numbers
//! with a point are exact and take the side of what they meet: a decimal stays a decimal and keeps its scale, a float
//! stays a float. What has no value is NULL: anything of NULL, division by 0, a number beyond 38 digits.

use std::sync::Arc;

use velostream_sql::diag::Diagnostic;
use velostream_types::{Span, Value};

use super::random::Random;
use crate::schema::{DataSchema, FieldType};

mod operand;
mod parse;

use operand::{Arithmetic, Comparison, Operand};
pub(super) use operand::{converted, from_text};

/// A derived field's expression.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    root: Expr,
    /// What the result becomes.
    result: FieldType,
    /// Positions of the fields it reads.
    pub reads: Vec<usize>,
}

/// A mistake in an expression; its span is inside the expression.
#[derive(Debug)]
pub(super) struct Mistake {
    pub code: &'static str,
    pub span: Span,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Mistake {
    fn new(code: &'static str, span: Span, message: impl Into<String>) -> Mistake {
        Mistake { code, span, message: message.into(), detail: None, hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Mistake {
        Mistake { hint: Some(hint.into()), ..self }
    }

    /// As a finding at a place of the expression.
    pub fn into_diagnostic(self) -> Diagnostic {
        let mut found = Diagnostic::error(self.code, self.span, self.message);
        (found.detail, found.hint) = (self.detail, self.hint);
        found
    }
}

#[derive(Clone, Debug)]
enum Expr {
    Constant(Operand<'static>),
    Field(usize),
    Negate(Box<Expr>),
    Binary(Arithmetic, Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Random,
    Abs,
    Min,
    Max,
    Concat,
    Floor,
    Ceil,
    /// To so many digits behind the point.
    Round(u8),
}

impl Derived {
    /// Reads the expression of a field of this type.
    pub fn parse(text: &str, schema: &DataSchema, result: FieldType) -> Result<Derived, Mistake> {
        let (root, reads) = parse::parse(text, schema, result)?;
        Ok(Derived { root, result, reads })
    }

    /// Its value for a record whose other fields are there.
    pub fn value(&self, fields: &[(Arc<str>, Value)], random: &mut Random) -> Value {
        operand::coerce(self.root.value(fields, random), self.result)
    }
}

impl Expr {
    fn value<'a>(&'a self, fields: &'a [(Arc<str>, Value)], random: &mut Random) -> Operand<'a> {
        match self {
            Expr::Constant(Operand::Text(text)) => Operand::Text((&**text).into()),
            Expr::Constant(constant) => constant.clone(),
            Expr::Field(at) => fields.get(*at).map_or(Operand::Null, |(_, value)| Operand::of(value)),
            Expr::Negate(of) => operand::arithmetic(Arithmetic::Subtract, Operand::Int(0), of.value(fields, random)),
            Expr::Binary(op, a, b) => {
                let a = a.value(fields, random);
                operand::arithmetic(*op, a, b.value(fields, random))
            }
            Expr::Compare(op, a, b) => {
                let a = a.value(fields, random);
                match operand::order(&a, &b.value(fields, random)) {
                    Some(order) => Operand::Bool(op.holds(order)),
                    None => Operand::Null,
                }
            }
            Expr::Call(function, arguments) => call(*function, arguments, fields, random),
        }
    }
}

fn call<'a>(
    function: Function,
    arguments: &'a [Expr],
    fields: &'a [(Arc<str>, Value)],
    random: &mut Random,
) -> Operand<'a> {
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(argument.value(fields, random));
    }
    match (function, &values[..]) {
        (Function::Random, []) => Operand::Float(random.unit()),
        (Function::Random, [a, b]) => match (a.float(), b.float()) {
            (Some(a), Some(b)) => Operand::Float(random.float(a.min(b), a.max(b))),
            _ => Operand::Null,
        },
        (Function::Concat, parts) => {
            let mut text = String::new();
            parts.iter().for_each(|part| part.push_text(&mut text));
            Operand::Text(text.into())
        }
        (Function::Min | Function::Max, _) => {
            let better = if function == Function::Min { Comparison::Less } else { Comparison::Greater };
            let mut values = values.into_iter();
            let first = values.next().unwrap_or(Operand::Null);
            values.fold(first, |best, value| match operand::order(&value, &best) {
                Some(order) if better.holds(order) => value,
                Some(_) => best,
                None => Operand::Null,
            })
        }
        (Function::Abs, [x]) => match operand::order(x, &Operand::Int(0)) {
            Some(std::cmp::Ordering::Less) => operand::arithmetic(Arithmetic::Subtract, Operand::Int(0), x.clone()),
            Some(_) => x.clone(),
            None => Operand::Null,
        },
        (Function::Floor, [x]) => operand::floor(x),
        (Function::Ceil, [x]) => operand::ceil(x),
        (Function::Round(digits), [x]) => operand::round(x, digits),
        _ => Operand::Null,
    }
}

#[cfg(test)]
mod tests;
