//! Values of one field: `field_in_set` and `field_values`.

use regex::Regex;
use velostream_types::Value;

use crate::assertion::FieldOperator;
use crate::check::columns::Columns;
use crate::check::number::Number;
use crate::check::outcomes::{AtEnd, Case, are, counted};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::text;

/// Numbers closer than this are equal.
const EQUAL_WITHIN: f64 = 1e-4;

/// What both kinds count.
struct Seen {
    case: Case,
    field: String,
    columns: Columns,
    records: u64,
    values: u64,
    offenders: Offenders,
}

impl Seen {
    fn new(case: Case, field: String) -> Seen {
        Seen { case, field, columns: Columns::default(), records: 0, values: 0, offenders: Offenders::default() }
    }

    fn record(&mut self, record: &Record<'_>, wanted: &str, holds: impl FnOnce(&Value) -> bool) {
        self.records += 1;
        let Some(row) = record.row else { return };
        let Some(value) = row.get(&self.field) else {
            self.columns.add(row);
            return;
        };
        self.values += 1;
        if !holds(value) {
            self.offenders.add(record, || vec![Offenders::cell_for(row, &self.field, wanted)]);
        }
    }

    fn finish(self, wanted: &str) -> Outcome {
        let Seen { case, field, columns, records, values, offenders } = self;
        let sink = &case.sink;
        if offenders.count() == 0 {
            let warning = (values == 0 && records > 0)
                .then(|| format!("no record of {sink} has a field {field}{}", columns.near(&field)));
            return case
                .passed(format!("{field} is {wanted} in {sink} ({})", counted(values, "value")))
                .warn_if(warning);
        }
        let broken = offenders.count();
        let message = format!(
            "{field} has to be {wanted} in {sink}; {broken} of {} {} not",
            counted(values, "value"),
            are(broken)
        );
        let first = offenders.rows.first().and_then(|row| row.cells.first()).and_then(|cell| cell.actual.clone());
        case.failed(message, wanted, first.unwrap_or_default())
            .detail("values", values)
            .detail("violations", broken)
            .with_rows(offenders)
    }
}

/// `field_in_set`: texts of the values are among these.
pub(crate) struct InSet {
    seen: Seen,
    values: Vec<String>,
    wanted: String,
}

impl InSet {
    pub(crate) fn new(case: Case, field: String, values: Vec<String>) -> InSet {
        let wanted = format!("one of {}", values.join(", "));
        InSet { seen: Seen::new(case, field), values, wanted }
    }
}

impl Fold for InSet {
    fn record(&mut self, record: &Record<'_>) {
        let values = &self.values;
        self.seen.record(record, &self.wanted, |value| {
            let text = text(value);
            values.iter().any(|allowed| **allowed == *text)
        });
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let InSet { seen, wanted, .. } = *self;
        seen.finish(&wanted)
    }
}

/// `field_values`: every value compares so.
pub(crate) fn every_value(case: Case, field: String, operator: FieldOperator, value: Value) -> Box<dyn Fold> {
    let test = match Test::new(operator, &value) {
        Ok(test) => test,
        Err(error) => {
            return Box::new(AtEnd(move |_: &Facts<'_>| {
                let message = format!("{field} in {} cannot be compared: {error}", case.sink);
                case.failed(message, "a regular expression", text(&value))
            }));
        }
    };
    let wanted = format!("{}{}", told(operator), text(&value));
    Box::new(Compared { seen: Seen::new(case, field), test, wanted })
}

struct Compared {
    seen: Seen,
    test: Test,
    wanted: String,
}

impl Fold for Compared {
    fn record(&mut self, record: &Record<'_>) {
        let test = &self.test;
        self.seen.record(record, &self.wanted, |value| test.holds(value));
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let Compared { seen, wanted, .. } = *self;
        seen.finish(&wanted)
    }
}

/// As it follows `is` and `has to be`.
const fn told(operator: FieldOperator) -> &'static str {
    match operator {
        FieldOperator::Equals => "",
        FieldOperator::NotEquals => "other than ",
        FieldOperator::GreaterThan => "greater than ",
        FieldOperator::LessThan => "less than ",
        FieldOperator::GreaterThanOrEquals => "at least ",
        FieldOperator::LessThanOrEquals => "at most ",
        FieldOperator::Contains => "text with ",
        FieldOperator::StartsWith => "text that starts with ",
        FieldOperator::EndsWith => "text that ends with ",
        FieldOperator::Matches => "text that matches ",
    }
}

struct Test {
    operator: FieldOperator,
    wanted: Value,
    /// Its text, and its number where it is one or says one.
    text: String,
    number: Option<Number>,
    pattern: Option<Regex>,
}

impl Test {
    fn new(operator: FieldOperator, wanted: &Value) -> Result<Test, String> {
        let text = text(wanted).into_owned();
        let pattern = match operator {
            FieldOperator::Matches => Some(Regex::new(&text).map_err(|error| error.to_string())?),
            _ => None,
        };
        Ok(Test { operator, wanted: wanted.clone(), number: Number::of_text_too(wanted), text, pattern })
    }

    fn equals(&self, value: &Value) -> bool {
        match (Number::of(value), self.number) {
            (Some(a), Some(b)) => a.within(b, EQUAL_WITHIN),
            _ if value.is_null() || self.wanted.is_null() => value.is_null() && self.wanted.is_null(),
            _ => *text(value) == *self.text,
        }
    }

    /// Numbers only.
    fn order(&self, value: &Value) -> Option<std::cmp::Ordering> {
        Some(Number::of(value)?.compare(self.number?))
    }

    fn holds(&self, value: &Value) -> bool {
        use FieldOperator as Op;
        match self.operator {
            Op::Equals => self.equals(value),
            Op::NotEquals => !self.equals(value),
            Op::GreaterThan => self.order(value).is_some_and(|o| o.is_gt()),
            Op::LessThan => self.order(value).is_some_and(|o| o.is_lt()),
            Op::GreaterThanOrEquals => self.order(value).is_some_and(|o| o.is_ge()),
            Op::LessThanOrEquals => self.order(value).is_some_and(|o| o.is_le()),
            _ if value.is_null() => false,
            Op::Contains => text(value).contains(&self.text),
            Op::StartsWith => text(value).starts_with(&self.text),
            Op::EndsWith => text(value).ends_with(&self.text),
            Op::Matches => self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text(value))),
        }
    }
}
