//! The value of a tree: of a comprehension's body for one record, or of the whole expression at the end.

use super::{Arithmetic, Context, Datum, Node};
use crate::record::Row;

/// What names stand for.
pub(super) struct Names<'a> {
    pub(super) context: &'a Context,
    /// The record at hand, inside a comprehension.
    pub(super) row: Option<&'a Row>,
    /// Results of parts and of `records[N].field`, at the end.
    pub(super) parts: &'a [Result<Datum<'static>, String>],
    pub(super) positions: &'a [Result<Datum<'static>, String>],
    pub(super) records: u64,
}

pub(super) fn eval<'a>(node: &'a Node, names: &Names<'a>) -> Result<Datum<'a>, String> {
    Ok(match node {
        Node::Null => Datum::Null,
        Node::Bool(b) => Datum::Bool(*b),
        Node::Number(number) => Datum::Number(*number),
        Node::Text(text) => Datum::Text((&**text).into()),
        Node::Variable(name) => return variable(name, names.context),
        Node::Count { of_inputs, name } => return count(*of_inputs, name, names.context),
        Node::Field(name) => match names.row.and_then(|row| row.get(name)) {
            Some(value) => Datum::of(value),
            None => return Err(no_field(name, names.row)),
        },
        Node::Length => Datum::Number(super::Number::count(names.records)),
        Node::Part(index) => return names.parts[*index].clone(),
        Node::At(index) => return names.positions[*index].clone(),
        Node::Not(inner) => Datum::Bool(!eval(inner, names)?.is_true()),
        Node::Negated(inner) => match eval(inner, names)? {
            Datum::Null => Datum::Null,
            Datum::Number(number) => Datum::Number(number.negated()),
            other => return Err(format!("- takes a number, not {}", other.sort())),
        },
        Node::And(left, right) => Datum::Bool(eval(left, names)?.is_true() && eval(right, names)?.is_true()),
        Node::Or(left, right) => Datum::Bool(eval(left, names)?.is_true() || eval(right, names)?.is_true()),
        Node::Compare(comparison, left, right) => {
            Datum::Bool(eval(left, names)?.compare(*comparison, &eval(right, names)?)?)
        }
        Node::Compute(operator, left, right) => return compute(*operator, &eval(left, names)?, &eval(right, names)?),
    })
}

fn compute<'a>(operator: Arithmetic, left: &Datum<'_>, right: &Datum<'_>) -> Result<Datum<'a>, String> {
    let (a, b) = match (left, right) {
        (Datum::Number(a), Datum::Number(b)) => (*a, *b),
        (Datum::Null, _) | (_, Datum::Null) => return Ok(Datum::Null),
        _ => return Err(format!("{} takes numbers, not {} and {}", sign(operator), left.sort(), right.sort())),
    };
    Ok(Datum::Number(match operator {
        Arithmetic::Add => a.plus(b),
        Arithmetic::Subtract => a.minus(b),
        Arithmetic::Multiply => a.times(b),
        Arithmetic::Divide => a.over(b).ok_or_else(|| format!("{} is divided by 0", a.text()))?,
    }))
}

const fn sign(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
    }
}

fn variable<'a>(name: &str, context: &'a Context) -> Result<Datum<'a>, String> {
    let known = || context.variables.keys().map(String::as_str);
    context
        .variables
        .get(name)
        .map(Datum::of)
        .ok_or_else(|| format!("there is no variable \"{name}\"{}", among(name, known())))
}

fn count<'a>(of_inputs: bool, name: &str, context: &Context) -> Result<Datum<'a>, String> {
    let (counts, what) = if of_inputs { (&context.inputs, "input") } else { (&context.outputs, "output") };
    match counts.get(name) {
        Some(count) => Ok(Datum::Number(super::Number::count(*count))),
        None => {
            let known = counts.keys().map(String::as_str);
            Err(format!("there is no {what} \"{name}\"{}", among(name, known)))
        }
    }
}

fn no_field(name: &str, row: Option<&Row>) -> String {
    let known = row.into_iter().flat_map(|row| row.fields.iter().map(|(field, _)| &**field));
    format!("the record has no field \"{name}\"{}", among(name, known))
}

/// The nearest known name, or all of them while they are few.
pub(super) fn among<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    match velostream_sql::suggest::closest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None if known.is_empty() || known.len() > 12 => String::new(),
        None => format!("; there is {}", known.join(", ")),
    }
}
