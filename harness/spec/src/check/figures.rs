//! Percentiles: `percentile` over a field's numbers and `latency` from event time to arrival. Both keep one float a
//! record.

use serde_json::Value as Json;

use crate::check::columns::Columns;
use crate::check::number::Number;
use crate::check::outcomes::{Case, counted, listed};
use crate::check::windows::{event_time_ms, time_ms};
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::float_text;

/// The value at `floor(p·n)` of sorted values.
fn at(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    // 0.29 · 100 is 28.999999999999996 in floats, and means 29.
    let index = (p * sorted.len() as f64 + 1e-9) as usize;
    sorted.get(index.min(last)).copied()
}

/// `p50`, `p99`, `p999`
fn name(p: f64) -> String {
    let digits = float_text(p);
    let digits = digits.strip_prefix("0.").unwrap_or(&digits);
    if digits.len() < 2 { format!("p{digits}0") } else { format!("p{digits}") }
}

/// `percentile`
pub(crate) struct Percentile {
    case: Case,
    field: String,
    bounds: Vec<(f64, f64)>,
    greater_than: bool,
    min_records: u64,
    columns: Columns,
    values: Vec<f64>,
}

impl Percentile {
    pub(crate) fn new(
        case: Case,
        field: String,
        bounds: Vec<(f64, f64)>,
        greater_than: bool,
        min_records: u64,
    ) -> Percentile {
        Percentile { case, field, bounds, greater_than, min_records, columns: Columns::default(), values: Vec::new() }
    }
}

impl Fold for Percentile {
    fn record(&mut self, record: &Record<'_>) {
        let Some(row) = record.row else { return };
        match row.get(&self.field).and_then(Number::of_text_too) {
            Some(number) => self.values.push(number.float()),
            None => self.columns.add(row),
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let Percentile { case, field, bounds, greater_than, min_records, columns, mut values } = *self;
        let sink = &case.sink;
        let count = values.len() as u64;
        if count < min_records {
            let near = columns.near(&field);
            let warning = format!("{min_records} are needed to judge percentiles, there are {count}{near}");
            return case
                .passed(format!("{} of {field} in {sink} are too few to judge", counted(count, "value")))
                .warn(warning);
        }
        values.sort_unstable_by(f64::total_cmp);
        let word = if greater_than { "at least" } else { "at most" };
        let (mut found, mut wanted, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let mut details = Vec::new();
        for (p, bound) in bounds {
            let (name, value) = (name(p), at(&values, p).unwrap_or_default());
            let shown = format!("{name} {}", float_text(value));
            if if greater_than { value < bound } else { value > bound } {
                wanted.push(format!("{name} {word} {}", float_text(bound)));
                wrong.push(shown.clone());
            }
            found.push(shown);
            details.push((name, value));
        }
        let outcome = if wrong.is_empty() {
            let warning = details.is_empty().then(|| "no percentile is given, so any value passes".to_owned());
            case.passed(format!("{field} in {sink}: {} ({})", listed(&found), counted(count, "value"))).warn_if(warning)
        } else {
            case.failed(
                format!("{field} in {sink} has {}, not {}", listed(&wrong), listed(&wanted)),
                listed(&wanted),
                listed(&wrong),
            )
        };
        details.into_iter().fold(outcome, |outcome, (name, value)| outcome.detail(&name, value)).detail("values", count)
    }
}

/// `latency`
pub(crate) struct Latency {
    case: Case,
    timestamp_field: Option<String>,
    /// Name of a figure, the percentile it is or how it is computed, and its bound.
    bounds: Vec<(Figure, f64)>,
    min_records: u64,
    latencies: Vec<f64>,
    records: u64,
}

#[derive(Clone, Copy)]
enum Figure {
    Max,
    Mean,
    At(f64),
}

impl Latency {
    pub(crate) fn new(
        case: Case,
        timestamp_field: Option<String>,
        max_ms: Option<f64>,
        avg_ms: Option<f64>,
        percentiles: &[(f64, Option<f64>)],
        min_records: u64,
    ) -> Latency {
        let mut bounds = Vec::new();
        bounds.extend(max_ms.map(|ms| (Figure::Max, ms)));
        bounds.extend(avg_ms.map(|ms| (Figure::Mean, ms)));
        bounds.extend(percentiles.iter().filter_map(|(p, ms)| ms.map(|ms| (Figure::At(*p), ms))));
        Latency { case, timestamp_field, bounds, min_records, latencies: Vec::new(), records: 0 }
    }
}

impl Fold for Latency {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let event = match &self.timestamp_field {
            Some(field) => record.row.and_then(|row| row.get(field)).and_then(time_ms),
            None => event_time_ms(record),
        };
        if let Some((arrival, event)) = record.arrival_ms.zip(event) {
            self.latencies.push(arrival.saturating_sub(event) as f64);
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let Latency { case, timestamp_field, bounds, min_records, mut latencies, records } = *self;
        let sink = &case.sink;
        let from = timestamp_field.as_deref().unwrap_or("event time");
        let count = latencies.len() as u64;
        if count < min_records {
            let message = format!("{} of {sink} with {from} are too few to judge latency", counted(count, "record"));
            let warning =
                format!("{min_records} are needed to judge latency; {count} of {records} have {from} and an arrival");
            return case.passed(message).warn(warning);
        }
        latencies.sort_unstable_by(f64::total_cmp);
        let mean = latencies.iter().sum::<f64>() / count.max(1) as f64;
        let (mut wanted, mut wrong, mut measured) = (Vec::new(), Vec::new(), Vec::new());
        for (figure, bound) in &bounds {
            let (name, value) = match figure {
                Figure::Max => ("max".to_owned(), latencies.last().copied().unwrap_or_default()),
                Figure::Mean => ("mean".to_owned(), mean),
                Figure::At(p) => (name(*p), at(&latencies, *p).unwrap_or_default()),
            };
            wanted.push(format!("{name} at most {} ms", float_text(*bound)));
            if value > *bound {
                wrong.push(format!("{name} above {} ms", float_text(*bound)));
            }
            measured.push((format!("{name}_ms"), value));
        }
        let outcome = if wrong.is_empty() {
            let warning = bounds.is_empty().then(|| "no bound is given, so any latency passes".to_owned());
            case.passed(format!("latency of {sink} from {from}: {} ({})", listed(&wanted), counted(count, "record")))
                .warn_if(warning)
        } else {
            case.failed(format!("latency of {sink} from {from}: {}", listed(&wrong)), listed(&wanted), listed(&wrong))
        };
        measured.into_iter().fold(outcome, |outcome, (name, value)| outcome.with_measured(&name, Json::from(value)))
    }
}
