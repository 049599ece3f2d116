//! An expression while records pass: each part with what it has seen of them.

use std::cmp::Ordering;

use super::eval::{Names, among, eval};
use super::{Context, Datum, Expression, Function, Node, Part};
use crate::check::number::{Number, Sum};
use crate::check::rows::{Offenders, place};
use crate::record::{Record, Row};

/// An expression that looks at records one by one.
pub(crate) struct Running {
    expression: Expression,
    /// Counts and variables known before the first record.
    context: Context,
    states: Vec<State>,
    positions: Vec<Option<Result<Datum<'static>, String>>>,
    records: u64,
}

struct State {
    sum: Sum,
    best: Option<Number>,
    /// `all`: FALSE was seen. `any`: TRUE was.
    decided: bool,
    /// The field of `fn(field)` was in some record.
    field_seen: bool,
    error: Option<String>,
    offenders: Offenders,
}

impl Running {
    pub(crate) fn new(expression: Expression, context: &Context) -> Running {
        let state = |_| State {
            sum: Sum::default(),
            best: None,
            decided: false,
            field_seen: false,
            error: None,
            offenders: Offenders::default(),
        };
        Running {
            states: expression.parts.iter().map(state).collect(),
            positions: vec![None; expression.positions.len()],
            expression,
            context: context.clone(),
            records: 0,
        }
    }

    /// The next record.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        let nothing = Row::default();
        let row = record.row.unwrap_or(&nothing);
        for (position, found) in self.expression.positions.iter().zip(&mut self.positions) {
            if position.index == self.records {
                let known = || row.fields.iter().map(|(field, _)| &**field);
                *found = Some(row.get(&position.field).map(|value| Datum::of(value).owned()).ok_or_else(|| {
                    format!(
                        "records[{}] has no field \"{}\"{}",
                        position.index,
                        position.field,
                        among(&position.field, known())
                    )
                }));
            }
        }
        self.records += 1;
        for (part, state) in self.expression.parts.iter().zip(&mut self.states) {
            if state.error.is_none()
                && let Err(error) = state.take(part, record, row, &self.context)
            {
                state.error = Some(format!("record {}: {error}", place(record)));
            }
        }
    }

    /// The value, with the counts and variables known now.
    pub(crate) fn finish(&self, context: &Context) -> Result<Datum<'static>, String> {
        self.value(&self.expression.root, context)
    }

    /// `7 > 9`: the values that the whole expression compares, where it is a comparison.
    pub(crate) fn sides(&self, context: &Context) -> Option<String> {
        let Node::Compare(comparison, left, right) = &self.expression.root else { return None };
        let side = |node| self.value(node, context).ok().map(|value| value.shown());
        Some(format!("{} {} {}", side(left)?, comparison.sign(), side(right)?))
    }

    /// The value of a node of the root.
    fn value(&self, node: &Node, context: &Context) -> Result<Datum<'static>, String> {
        let parts: Vec<_> = self
            .expression
            .parts
            .iter()
            .zip(&self.states)
            .map(|(part, state)| state.result(part, self.records))
            .collect();
        let positions: Vec<_> = (self.positions.iter().zip(&self.expression.positions))
            .map(|(found, position)| match found {
                Some(value) => value.clone(),
                None => {
                    Err(format!("there is no records[{}]: the output has {} records", position.index, self.records))
                }
            })
            .collect();
        let names = Names { context, row: None, parts: &parts, positions: &positions, records: self.records };
        eval(node, &names).map(Datum::owned)
    }

    /// Records that make the first `all(…)` that does not hold false.
    pub(crate) fn offenders(self) -> Offenders {
        let failed = |(part, state): &(Part, State)| part.function == Function::All && state.decided;
        self.expression
            .parts
            .into_iter()
            .zip(self.states)
            .find(failed)
            .map(|(_, state)| state.offenders)
            .unwrap_or_default()
    }
}

impl State {
    fn take(&mut self, part: &Part, record: &Record<'_>, row: &Row, context: &Context) -> Result<(), String> {
        if part.over_field {
            let present = part.fields.first().and_then(|field| row.get(field));
            self.field_seen |= present.is_some();
            if present.is_none_or(|value| value.is_null()) {
                return Ok(());
            }
        }
        let names = Names { context, row: Some(row), parts: &[], positions: &[], records: 0 };
        if let Some(condition) = &part.condition
            && !eval(condition, &names)?.is_true()
        {
            return Ok(());
        }
        let value = match eval(&part.body, &names) {
            Ok(value) => value,
            // What was found false stays so, whatever follows.
            Err(_) if part.function == Function::All && self.decided => return Ok(()),
            Err(error) => return Err(error),
        };
        match part.function {
            Function::All if !value.is_true() => {
                self.decided = true;
                self.offenders.add(record, || part.fields.iter().map(|field| Offenders::cell(row, field)).collect());
            }
            Function::Any => self.decided |= value.is_true(),
            Function::Count => self.sum.count += u64::from(part.over_field || value.is_true()),
            Function::All => {}
            Function::Sum | Function::Avg | Function::Min | Function::Max => match value {
                Datum::Null => {}
                Datum::Number(number) => self.number(part.function, number),
                other => return Err(format!("{} is not a number", other.shown())),
            },
        }
        Ok(())
    }

    fn number(&mut self, function: Function, number: Number) {
        self.sum.add(number);
        let better = match function {
            Function::Min => Ordering::Less,
            Function::Max => Ordering::Greater,
            _ => return,
        };
        if self.best.is_none_or(|best| number.compare(best) == better) {
            self.best = Some(number);
        }
    }

    fn result(&self, part: &Part, records: u64) -> Result<Datum<'static>, String> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if part.over_field && records > 0 && !self.field_seen {
            let field = part.fields.first().map_or("", |field| field);
            return Err(format!("no record has a field \"{field}\""));
        }
        let number = |number: Option<Number>| number.map_or(Datum::Null, Datum::Number);
        Ok(match part.function {
            Function::All => Datum::Bool(!self.decided),
            Function::Any => Datum::Bool(self.decided),
            Function::Count => Datum::Number(Number::count(self.sum.count)),
            Function::Sum => number((self.sum.count > 0).then(|| self.sum.total())),
            Function::Avg => number(self.sum.mean()),
            Function::Min | Function::Max => number(self.best),
        })
    }
}
