//! Expressions, conditions of three truth values, aggregates and subqueries, of one row at a time.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::model::{Aggregate, Expr, Group, Item, Op, Shape, SubForm, SubValue, Subquery};
use super::value::Value;

/// Values of one relation's row.
pub type Values = Vec<Value>;

/// A row of a relation or a join.
#[derive(Clone, Debug)]
pub struct Row {
    /// By relation; of one without a match all are NULL.
    pub parts: Vec<Values>,
    pub at: i64,
    /// Watermark of its own partition just before it.
    pub own: i64,
    /// Offset, source, partition.
    pub place: (i64, usize, usize),
    pub window: Option<(i64, i64)>,
}

/// What is kept of each object at the moment.
#[derive(Default)]
pub struct Store {
    rows: BTreeMap<usize, Vec<Values>>,
    /// Rows that lateness kept a subquery from meeting.
    pub refused: Cell<u64>,
}

impl Store {
    pub fn set(&mut self, object: usize, rows: Vec<Values>) {
        self.rows.insert(object, rows);
    }

    pub fn add(&mut self, object: usize, row: Values) {
        self.rows.entry(object).or_default().push(row);
    }

    pub fn rows(&self, object: usize) -> &[Values] {
        self.rows.get(&object).map_or(&[], Vec::as_slice)
    }
}

/// A scalar subquery gave more than one row.
#[derive(Debug)]
pub struct Failed;

/// What an expression sees.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub parts: &'a [Values],
    pub at: i64,
    pub own: i64,
    pub window: Option<(i64, i64)>,
    pub outer: &'a [Values],
    pub store: &'a Store,
}

impl<'a> Scope<'a> {
    pub fn of(row: &'a Row, store: &'a Store) -> Scope<'a> {
        Scope { parts: &row.parts, at: row.at, own: row.own, window: row.window, outer: &[], store }
    }

    pub fn eval(&self, expr: &Expr) -> Result<Value, Failed> {
        Ok(match expr {
            Expr::Column(rel, column) => self.parts[*rel][*column].clone(),
            Expr::Outer(rel, column) => self.outer[*rel][*column].clone(),
            Expr::Time => Value::Int(self.at),
            Expr::Edge(start) => self.window.map_or(Value::Null, |w| Value::Int(if *start { w.0 } else { w.1 })),
            Expr::Coalesce(list) => {
                let mut found = Value::Null;
                for expr in list {
                    found = self.eval(expr)?;
                    if !found.is_null() {
                        break;
                    }
                }
                found
            }
            Expr::Literal(value) => value.clone(),
            Expr::Plus(a, b) => self.eval(a)?.plus(&self.eval(b)?, 1),
            Expr::Compare(op, a, b) => Value::of(compared(*op, &self.eval(a)?, &self.eval(b)?)),
            Expr::And(list) => self.all(list, false)?,
            Expr::Or(list) => self.all(list, true)?,
            Expr::Not(e) => Value::of(self.eval(e)?.truth().map(|truth| !truth)),
            Expr::IsNull(e) => Value::Bool(self.eval(e)?.is_null()),
            Expr::Case(condition, then, otherwise) => {
                let taken = if self.holds(condition)? { then } else { otherwise };
                self.eval(taken)?
            }
            Expr::Sub(sub) => self.sub(sub)?,
        })
    }

    /// TRUE only where the condition is TRUE.
    pub fn holds(&self, condition: &Expr) -> Result<bool, Failed> {
        Ok(self.eval(condition)?.truth() == Some(true))
    }

    /// AND, or with `decides` TRUE OR: one operand that is `decides` decides, else one that is unknown.
    fn all(&self, list: &[Expr], decides: bool) -> Result<Value, Failed> {
        let mut unknown = false;
        for expr in list {
            match self.eval(expr)?.truth() {
                Some(truth) if truth == decides => return Ok(Value::Bool(decides)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(!decides) })
    }

    fn sub(&self, sub: &Subquery) -> Result<Value, Failed> {
        let mut met = Vec::new();
        for row in self.store.rows(sub.object) {
            let parts = std::slice::from_ref(row);
            let inner = Scope { parts, at: 0, own: i64::MIN, window: None, outer: self.parts, store: self.store };
            if !sub.filter.as_ref().map_or(Ok(true), |filter| inner.holds(filter))? {
                continue;
            }
            match (sub.keep, row.last()) {
                (Some(keep), Some(Value::Int(at))) if at + keep < self.own => {
                    self.store.refused.set(self.store.refused.get() + 1);
                }
                _ => met.push(row),
            }
        }
        let values = self.values(sub, met)?;
        Ok(match &sub.form {
            SubForm::Exists(not) => Value::Bool(values.is_empty() == *not),
            SubForm::In(operand, not) => {
                let found = any(Op::Equal, &self.eval(operand)?, &values);
                Value::of(found.map(|found| found != *not))
            }
            SubForm::Compare(operand, op, false) => Value::of(any(*op, &self.eval(operand)?, &values)),
            SubForm::Compare(operand, op, true) => {
                let none = any(negated(*op), &self.eval(operand)?, &values);
                Value::of(none.map(|found| !found))
            }
            SubForm::Scalar if values.len() > 1 => return Err(Failed),
            SubForm::Scalar => values.into_iter().next().unwrap_or(Value::Null),
        })
    }

    /// The selected values of the rows that met the condition.
    fn values(&self, sub: &Subquery, mut met: Vec<&Values>) -> Result<Vec<Value>, Failed> {
        Ok(match &sub.value {
            SubValue::One => met.iter().map(|_| Value::Int(1)).collect(),
            SubValue::Column(column) => met.iter().map(|row| row[*column].clone()).collect(),
            SubValue::Distinct(column) => {
                let mut values: Vec<Value> = met.iter().map(|row| row[*column].clone()).collect();
                values.sort();
                values.dedup();
                values
            }
            SubValue::First(column, by, descending) => {
                // The least first; of NULLs that means first too.
                met.sort_by(|a, b| a[*by].cmp(&b[*by]));
                let first = if *descending { met.last() } else { met.first() };
                first.map(|row| row[*column].clone()).into_iter().collect()
            }
            SubValue::Of(aggregate) => {
                let rows: Vec<Row> = met.into_iter().map(|row| Row::plain(vec![row.clone()])).collect();
                let rows: Vec<&Row> = rows.iter().collect();
                vec![folded(aggregate, &rows, self.store)?]
            }
        })
    }
}

impl Row {
    /// Values without a place.
    pub fn plain(parts: Vec<Values>) -> Row {
        Row { parts, at: 0, own: i64::MIN, place: (0, 0, 0), window: None }
    }
}

fn compared(op: Op, a: &Value, b: &Value) -> Option<bool> {
    let order = a.compare(b)?;
    Some(match op {
        Op::Equal => order == Ordering::Equal,
        Op::NotEqual => order != Ordering::Equal,
        Op::Less => order == Ordering::Less,
        Op::LessOrEqual => order != Ordering::Greater,
        Op::Greater => order == Ordering::Greater,
        Op::GreaterOrEqual => order != Ordering::Less,
    })
}

fn negated(op: Op) -> Op {
    match op {
        Op::Equal => Op::NotEqual,
        Op::NotEqual => Op::Equal,
        Op::Less => Op::GreaterOrEqual,
        Op::LessOrEqual => Op::Greater,
        Op::Greater => Op::LessOrEqual,
        Op::GreaterOrEqual => Op::Less,
    }
}

/// TRUE when one of the values compares so, unknown when none does but one might.
fn any(op: Op, operand: &Value, values: &[Value]) -> Option<bool> {
    let mut found = Some(false);
    for value in values {
        match compared(op, operand, value) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

/// One aggregate of some rows.
fn folded(aggregate: &Aggregate, rows: &[&Row], store: &Store) -> Result<Value, Failed> {
    let mut values = Vec::new();
    if let Some(argument) = aggregate.argument() {
        for row in rows {
            values.push(Scope::of(row, store).eval(argument)?);
        }
        values.retain(|value| !value.is_null());
    }
    Ok(match aggregate {
        Aggregate::Rows => Value::Int(rows.len() as i64),
        Aggregate::Count(_) => Value::Int(values.len() as i64),
        Aggregate::Sum(_) => values.into_iter().reduce(|a, b| a.plus(&b, 1)).unwrap_or(Value::Null),
        Aggregate::Min(_) => values.into_iter().min().unwrap_or(Value::Null),
        Aggregate::Max(_) => values.into_iter().max().unwrap_or(Value::Null),
    })
}

/// Windows of TUMBLING and HOPPING that a time is in.
pub fn windows_of(shape: Shape, at: i64) -> Vec<(i64, i64)> {
    let (size, slide) = match shape {
        Shape::Tumbling(size) => (size, size),
        Shape::Hopping(size, slide) => (size, slide),
        Shape::Session(gap) => return vec![(at, at + gap)],
    };
    let last = at.div_euclid(slide);
    let first = (at - size).div_euclid(slide) + 1;
    (first..=last).map(|k| (k * slide, k * slide + size)).collect()
}

/// Window and keys of a group.
type GroupKey = (Option<(i64, i64)>, Values);

/// The groups of rows: keys, aggregates and, with a window, its bounds and then the row's time. Rows are given once for
/// each window they are in.
pub fn grouped(group: &Group, items: &[Item], rows: &[Row], store: &Store) -> Result<Vec<Values>, Failed> {
    let mut groups: BTreeMap<GroupKey, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let scope = Scope::of(row, store);
        let key = items.iter().map(|item| scope.eval(&item.expr)).collect::<Result<Values, Failed>>()?;
        groups.entry((row.window.filter(|_| group.window.is_some()), key)).or_default().push(row);
    }
    if items.is_empty() && group.window.is_none() {
        groups.entry((None, Vec::new())).or_default();
    }
    let mut found = Vec::new();
    for ((window, mut values), rows) in groups {
        for (aggregate, _) in &group.aggregates {
            values.push(folded(aggregate, &rows, store)?);
        }
        values.extend(window.iter().flat_map(|(start, end)| [Value::Int(*start), Value::Int(*end)]));
        let parts = [values.clone()];
        let scope = Scope { parts: &parts, at: 0, own: i64::MIN, window: None, outer: &[], store };
        if group.having.as_ref().map_or(Ok(true), |having| scope.holds(having))? {
            values.push(window.map_or(Value::Null, |(_, end)| Value::Int(end - 1)));
            found.push(values);
        }
    }
    Ok(found)
}
