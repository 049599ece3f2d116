//! Numbers of records: `record_count`, `join_coverage`, and bounds of counts in general.

use crate::assertion::CountBounds;
use crate::check::expression::{Context, Datum, Expression, Running, parse_expression};
use crate::check::number::Number;
use crate::check::outcomes::{AtEnd, Case, counted};
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::float_text;

/// Bounds as a sentence: `more than 3 and at most 5`.
pub(crate) fn told(bounds: &CountBounds) -> String {
    if let Some(equals) = bounds.equals {
        return format!("exactly {equals}");
    }
    if let CountBounds { min: Some(min), max: Some(max), greater_than: None, less_than: None, .. } = bounds {
        return format!("from {min} to {max}");
    }
    let parts = [
        ("more than", bounds.greater_than),
        ("at least", bounds.min),
        ("less than", bounds.less_than),
        ("at most", bounds.max),
    ];
    let parts: Vec<String> = parts.iter().filter_map(|(word, n)| n.map(|n| format!("{word} {n}"))).collect();
    if parts.is_empty() { "any number".to_owned() } else { parts.join(" and ") }
}

/// The count is within its bounds; an exact one decides alone.
pub(crate) fn hold(bounds: &CountBounds, count: u64) -> bool {
    match bounds.equals {
        Some(equals) => count == equals,
        None => {
            bounds.greater_than.is_none_or(|n| count > n)
                && bounds.less_than.is_none_or(|n| count < n)
                && bounds.min.is_none_or(|n| count >= n)
                && bounds.max.is_none_or(|n| count <= n)
        }
    }
}

/// Nothing is asked of the count.
pub(crate) fn ask_nothing(bounds: &CountBounds) -> Option<String> {
    (*bounds == CountBounds::default()).then(|| "no bound is given, so any number passes".to_owned())
}

/// The outcome of a count of `things` (`records in trades`) under bounds.
pub(crate) fn judged(case: &Case, bounds: &CountBounds, count: u64, thing: &str, of: &str) -> Outcome {
    let message = format!("{} {of}", counted(count, thing));
    if hold(bounds, count) {
        return case.passed(message).warn_if(ask_nothing(bounds));
    }
    let wanted = told(bounds);
    case.failed(format!("{message}, not {wanted}"), wanted, count.to_string())
}

pub(crate) fn record_count(
    case: Case,
    bounds: CountBounds,
    expression: Option<String>,
    context: &Context,
) -> Box<dyn Fold> {
    let expression = expression.map(|text| {
        let running = parse_expression(&text).map(|parsed: Expression| Running::new(parsed, context));
        (text, running)
    });
    Box::new(RecordCount { case, bounds, expression })
}

type Parsed = Result<Running, crate::check::SyntaxError>;

struct RecordCount {
    case: Case,
    bounds: CountBounds,
    expression: Option<(String, Parsed)>,
}

impl Fold for RecordCount {
    fn record(&mut self, record: &Record<'_>) {
        if let Some((_, Ok(running))) = &mut self.expression {
            running.record(record);
        }
    }

    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        let RecordCount { case, bounds, expression } = *self;
        let of = format!("in {}", case.sink);
        let Some((text, running)) = expression else {
            return judged(&case, &bounds, facts.records, "record", &of);
        };
        if bounds != CountBounds::default() && !hold(&bounds, facts.records) {
            return judged(&case, &bounds, facts.records, "record", &of);
        }
        let (value, sides) = match running {
            Ok(running) => (running.finish(facts.context), running.sides(facts.context)),
            Err((at, message)) => (Err(format!("at character {}: {message}", character(&text, at))), None),
        };
        by_expression(&case, &text, value, sides, facts.records).detail("expression", text)
    }
}

/// Number of the character at an offset, from 1.
pub(crate) fn character(text: &str, offset: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < offset).count() + 1
}

/// What a message and `actual` say of a comparison that is false, with the values it compared.
pub(crate) fn refuted(sides: Option<String>, shown: String) -> (String, String) {
    match sides {
        Some(sides) => (format!(": {sides} is {shown}"), format!("{shown}: {sides}")),
        None => (String::new(), shown),
    }
}

fn by_expression(
    case: &Case,
    text: &str,
    value: Result<Datum<'_>, String>,
    sides: Option<String>,
    records: u64,
) -> Outcome {
    let sink = &case.sink;
    let found = counted(records, "record");
    let value = match value {
        Ok(value) => value,
        Err(error) => {
            let message = format!("{found} in {sink}, and `{text}` has no value: {error}");
            return case.failed(message, text, error);
        }
    };
    let shown = value.shown();
    match value {
        Datum::Bool(true) => case.passed(format!("{found} in {sink}, and `{text}` holds")),
        Datum::Number(number) => {
            let slack = number.size().times(Number::written(0.001));
            let slack = if slack.compare(Number::count(1)).is_lt() { Number::count(1) } else { slack.shortest() };
            if Number::count(records).minus(number).size().compare(slack).is_le() {
                return case.passed(format!("{found} in {sink}, and `{text}` is {shown}")).detail("value", shown);
            }
            let message = format!("{found} in {sink}, and `{text}` is {shown}");
            case.failed(message, format!("{shown} ± {}", slack.text()), records.to_string()).detail("value", shown)
        }
        _ => {
            let (because, shown) = refuted(sides, shown);
            case.failed(format!("{found} in {sink}, and `{text}` does not hold{because}"), text, shown)
        }
    }
}

/// Output records by records of the left input.
pub(crate) fn join_coverage(case: Case, min_match_rate: f64, left: Option<String>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let left = left.unwrap_or_else(|| "left".to_owned());
        let (sink, records) = (&case.sink, facts.records);
        let wanted = format!("at least {}", float_text(min_match_rate));
        let Some(inputs) = facts.context.inputs.get(&left).copied() else {
            let known: Vec<&str> = facts.context.inputs.keys().map(String::as_str).collect();
            let warning = match known.as_slice() {
                [] => format!("no input is called \"{left}\", so any output passes"),
                known => format!("no input is called \"{left}\", so any output passes; there is {}", known.join(", ")),
            };
            let message =
                format!("{} in {sink}; how many records went into {left} is not known", counted(records, "record"));
            let outcome = if records > 0 { case.passed(message) } else { case.failed(message, "at least 1", "0") };
            return outcome.detail("output_records", records).warn(warning);
        };
        let rate =
            if inputs == 0 { Some(1.0) } else { Number::count(records).over(Number::count(inputs)).map(Number::float) };
        let rate = rate.unwrap_or_default();
        let shown = float_text((rate * 1e6).round() / 1e6);
        let message = format!(
            "{} in {sink} from {} of {left}: match rate {shown}",
            counted(records, "record"),
            counted(inputs, "record")
        );
        let outcome =
            if rate >= min_match_rate { case.passed(message) } else { case.failed(message, wanted, shown.clone()) };
        outcome.detail("left_records", inputs).detail("output_records", records).detail("match_rate", rate)
    }))
}
