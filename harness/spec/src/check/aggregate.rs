//! `aggregate_check`: an aggregate over a field against a number or an expression. Sums of exact values are exact.

use std::cmp::Ordering;

use crate::assertion::AggregateFunction as Function;
use crate::check::columns::Columns;
use crate::check::counts::character;
use crate::check::expression::{Context, Datum, Running, parse_expression};
use crate::check::number::{Number, Sum};
use crate::check::outcomes::Case;
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::float_text;

pub(crate) fn check(
    case: Case,
    function: Function,
    field: String,
    expected: &str,
    tolerance: f64,
    context: &Context,
) -> Box<dyn Fold> {
    let wanted = match Number::parse(expected.trim()) {
        Some(number) => Wanted::Number(number),
        None => match parse_expression(expected) {
            Ok(parsed) => Wanted::Expression(Box::new(Running::new(parsed, context))),
            Err((at, message)) => Wanted::Wrong(format!("at character {}: {message}", character(expected, at))),
        },
    };
    Box::new(Aggregate {
        case,
        function,
        field,
        expected: expected.to_owned(),
        tolerance,
        wanted,
        columns: Columns::default(),
        sum: Sum::default(),
        best: None,
        present: 0,
    })
}

enum Wanted {
    Number(Number),
    Expression(Box<Running>),
    /// It could not be parsed.
    Wrong(String),
}

struct Aggregate {
    case: Case,
    function: Function,
    field: String,
    expected: String,
    tolerance: f64,
    wanted: Wanted,
    columns: Columns,
    sum: Sum,
    best: Option<Number>,
    present: u64,
}

const fn name(function: Function) -> &'static str {
    match function {
        Function::Sum => "SUM",
        Function::Count => "COUNT",
        Function::Avg => "AVG",
        Function::Min => "MIN",
        Function::Max => "MAX",
    }
}

impl Aggregate {
    fn number(&mut self, number: Number) {
        let better = match self.function {
            Function::Min => Ordering::Less,
            Function::Max => Ordering::Greater,
            _ => return self.sum.add(number),
        };
        if self.best.is_none_or(|best| number.compare(best) == better) {
            self.best = Some(number);
        }
    }

    fn actual(&self) -> Option<Number> {
        match self.function {
            Function::Count => Some(Number::count(self.present)),
            Function::Sum => (self.sum.count > 0).then(|| self.sum.total()),
            Function::Avg => self.sum.mean(),
            Function::Min | Function::Max => self.best,
        }
    }
}

impl Fold for Aggregate {
    fn record(&mut self, record: &Record<'_>) {
        if let Wanted::Expression(running) = &mut self.wanted {
            running.record(record);
        }
        let Some(row) = record.row else { return };
        let Some(value) = row.get(&self.field) else {
            self.columns.add(row);
            return;
        };
        self.present += u64::from(!value.is_null());
        if let Some(number) = Number::of(value) {
            self.number(number);
        }
    }

    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        let (case, sink) = (&self.case, &self.case.sink);
        let what = format!("{}({}) of {sink}", name(self.function), self.field);
        let wanted = match &self.wanted {
            Wanted::Number(number) => Ok(*number),
            Wanted::Expression(running) => match running.finish(facts.context) {
                Ok(Datum::Number(number)) => Ok(number),
                Ok(other) => Err(format!("it is {}, not a number", other.shown())),
                Err(error) => Err(error),
            },
            Wanted::Wrong(error) => Err(error.clone()),
        };
        let actual = self.actual();
        let shown = actual.map_or_else(|| "no number".to_owned(), |n| n.text());
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => {
                let message = format!("{what} cannot be compared with `{}`: {error}", self.expected);
                return case.failed(message, self.expected.as_str(), shown);
            }
        };
        let Some(actual) = actual else {
            let near = self.columns.near(&self.field);
            let message = format!("{what} has no value: no record has a number in {}{near}", self.field);
            return case.failed(message, wanted.text(), shown);
        };
        let off = actual.minus(wanted).size().shortest();
        if actual.within(wanted, self.tolerance) {
            return case.passed(format!("{what} is {shown}")).detail("actual", shown).detail("expected", wanted.text());
        }
        let tolerance = float_text(self.tolerance);
        let message = format!("{what} is {shown}, not {}: {} off, {tolerance} allowed", wanted.text(), off.text());
        case.failed(message, wanted.text(), shown).detail("difference", off.text()).detail("tolerance", self.tolerance)
    }
}
