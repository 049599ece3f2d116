//! `metric_counter`, `metric_gauge` and `metric_exists`: series by the exact name of their metric and their labels.
//!
//! Counters count rows, and a gauge shows the last of them in the order of the statement's rows: both are the same in
//! every run of one seed.

use std::collections::BTreeSet;

use crate::assertion::{MetricTest, MetricType};
use crate::check::outcomes::{AtEnd, Case, listed};
use crate::check::{Facts, Fold, Series};
use crate::outcome::Outcome;
use crate::record_text::float_text;

/// Series of the metric with all these labels; or why there are none.
fn series<'f>(
    case: &Case,
    facts: &Facts<'f>,
    name: &str,
    labels: &[(String, String)],
) -> Result<Vec<&'f Series>, Box<Outcome>> {
    let wanted = if labels.is_empty() { String::new() } else { format!(" with {}", labels_text(labels)) };
    let missing =
        |message: String, actual: String| Box::new(case.failed(message, format!("a metric {name}{wanted}"), actual));
    let Some(metrics) = facts.metrics else {
        return Err(missing(format!("metric {name} cannot be read: metrics were off"), "no metrics".to_owned()));
    };
    let named: Vec<&Series> = metrics.iter().filter(|series| series.name == name).collect();
    if named.is_empty() {
        let near = velostream_sql::suggest::closest(name, metrics.iter().map(|series| series.name.as_str()));
        let near = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
        let known: BTreeSet<&str> = metrics.iter().map(|series| series.name.as_str()).collect();
        return Err(missing(format!("there is no metric {name}{near}"), shortened(known, "no metrics")));
    }
    let has = |series: &Series| labels.iter().all(|label| series.labels.contains(label));
    if !named.iter().any(|series| has(series)) {
        let known: BTreeSet<String> =
            named.iter().filter(|s| !s.labels.is_empty()).map(|s| labels_text(&s.labels)).collect();
        let message = format!("metric {name} has no series with {}", labels_text(labels));
        return Err(missing(message, shortened(known, "no series with labels")));
    }
    Ok(named.into_iter().filter(|series| has(series)).collect())
}

/// `region=north and tier=gold`
fn labels_text(labels: &[(String, String)]) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    listed(&labels)
}

/// Names that a message has room for.
const NAMED: usize = 10;

/// The first of these, and how many more there are.
fn shortened<S: AsRef<str>>(names: BTreeSet<S>, none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let more = names.len().saturating_sub(NAMED);
    let first: Vec<S> = names.into_iter().take(NAMED).collect();
    let first = first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

fn told(test: MetricTest) -> String {
    match test {
        MetricTest::Equals(x) => float_text(x),
        MetricTest::GreaterThan(x) => format!("greater than {}", float_text(x)),
        MetricTest::GreaterThanOrEqual(x) => format!("at least {}", float_text(x)),
        MetricTest::LessThan(x) => format!("less than {}", float_text(x)),
        MetricTest::LessThanOrEqual(x) => format!("at most {}", float_text(x)),
        MetricTest::Between(a, b) => format!("from {} to {}", float_text(a), float_text(b)),
    }
}

fn holds(test: MetricTest, value: f64, tolerance: f64) -> bool {
    match test {
        MetricTest::Equals(x) => (value - x).abs() <= tolerance,
        MetricTest::GreaterThan(x) => value > x,
        MetricTest::GreaterThanOrEqual(x) => value >= x,
        MetricTest::LessThan(x) => value < x,
        MetricTest::LessThanOrEqual(x) => value <= x,
        MetricTest::Between(a, b) => (a..=b).contains(&value),
    }
}

pub(crate) fn counter(case: Case, name: String, test: MetricTest, labels: Vec<(String, String)>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let found = match series(&case, facts, &name, &labels) {
            Ok(found) => found,
            Err(outcome) => return *outcome,
        };
        let sum: f64 = found.iter().map(|series| series.value).sum();
        let (shown, wanted) = (float_text(sum), told(test));
        // Whole numbers are exact in floats; the slack is for those that are not.
        let outcome = if holds(test, sum, 1e-9) {
            case.passed(format!("counter {name} is {shown}"))
        } else {
            case.failed(format!("counter {name} is {shown}, not {wanted}"), wanted, shown)
        };
        outcome.detail("series", found.len())
    }))
}

pub(crate) fn gauge(
    case: Case,
    name: String,
    test: MetricTest,
    labels: Vec<(String, String)>,
    tolerance: f64,
) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let found = match series(&case, facts, &name, &labels) {
            Ok(found) => found,
            Err(outcome) => return *outcome,
        };
        let value = found.last().map(|series| series.value).unwrap_or_default();
        let (shown, wanted) = (float_text(value), told(test));
        let outcome = if holds(test, value, tolerance) {
            case.passed(format!("gauge {name} is {shown}"))
        } else {
            case.failed(format!("gauge {name} is {shown}, not {wanted}"), wanted, shown)
        };
        outcome.detail("series", found.len())
    }))
}

const fn kind(kind: MetricType) -> &'static str {
    match kind {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
    }
}

pub(crate) fn exists(case: Case, name: String, wanted: Option<MetricType>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let found = match series(&case, facts, &name, &[]) {
            Ok(found) => found,
            Err(outcome) => return *outcome,
        };
        let Some(first) = found.first() else { return case.failed(format!("there is no metric {name}"), name, "none") };
        match wanted {
            Some(wanted) if wanted != first.kind => {
                let message = format!("metric {name} is a {}, not a {}", kind(first.kind), kind(wanted));
                case.failed(message, kind(wanted), kind(first.kind))
            }
            _ => case.passed(format!("metric {name} is there, a {}", kind(first.kind))),
        }
    }))
}
