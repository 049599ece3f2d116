//! `window_boundary`: times of records within their windows; and times of fields in general.

use velostream_types::{Value, time};

use crate::check::outcomes::{Case, are, counted};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::{Record, Row};

/// The time that a field says, ms: a timestamp, integer ms, or text of either.
pub(crate) fn time_ms(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(ns) => Some(time::ns_to_ms(*ns)),
        Value::Int(ms) => Some(*ms),
        Value::Decimal { mantissa, scale } => {
            velostream_types::decimal::rescale(*mantissa, *scale, 0).and_then(|ms| i64::try_from(ms).ok())
        }
        Value::Float(ms) if ms.is_finite() => Some(*ms as i64),
        Value::Date(days) => i64::from(*days).checked_mul(time::NS_PER_DAY / time::NS_PER_MS),
        Value::Str(text) => time::parse_instant(text.trim()).map(time::ns_to_ms),
        _ => None,
    }
}

/// Event time of a record that no field gives: its header, else its message timestamp.
pub(crate) fn event_time_ms(record: &Record<'_>) -> Option<i64> {
    let header = record.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("_EVENT_TIME"));
    header
        .and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok()?.trim().parse().ok())
        .or(record.timestamp_ms)
}

/// Columns of windows where the spec names none.
const STARTS: [&str; 2] = ["window_start", "_window_start"];
const ENDS: [&str; 2] = ["window_end", "_window_end"];

/// What is asked.
pub(crate) struct Boundary {
    pub(crate) timestamp_field: Option<String>,
    pub(crate) window_start_field: Option<String>,
    pub(crate) window_end_field: Option<String>,
    pub(crate) window_size_ms: Option<u64>,
    pub(crate) tolerance_ms: u64,
    pub(crate) verify_containment: bool,
    pub(crate) verify_alignment: bool,
}

pub(crate) struct WindowBoundary {
    case: Case,
    rule: Boundary,
    records: u64,
    outside: Offenders,
    askew: Offenders,
}

impl WindowBoundary {
    pub(crate) fn new(case: Case, rule: Boundary) -> WindowBoundary {
        WindowBoundary { case, rule, records: 0, outside: Offenders::default(), askew: Offenders::default() }
    }
}

/// The named field, else the first of the usual ones that is there.
fn named<'n>(name: Option<&'n str>, usual: [&'n str; 2], row: &Row) -> &'n str {
    name.unwrap_or_else(|| usual.into_iter().find(|name| row.get(name).is_some()).unwrap_or(usual[0]))
}

impl Fold for WindowBoundary {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let nothing = Row::default();
        let row = record.row.unwrap_or(&nothing);
        let rule = &self.rule;
        let (start_field, end_field) = (
            named(rule.window_start_field.as_deref(), STARTS, row),
            named(rule.window_end_field.as_deref(), ENDS, row),
        );
        let start = row.get(start_field).and_then(time_ms);
        let size = rule.window_size_ms.and_then(|size| i64::try_from(size).ok());
        if rule.verify_containment {
            let end = row.get(end_field).and_then(time_ms).or_else(|| start?.checked_add(size?));
            let at = match &rule.timestamp_field {
                Some(field) => row.get(field).and_then(time_ms),
                None => event_time_ms(record),
            };
            let slack = i64::try_from(rule.tolerance_ms).unwrap_or(i64::MAX);
            let inside = match (at, start, end) {
                (Some(at), Some(start), Some(end)) => {
                    start.saturating_sub(slack) <= at && at <= end.saturating_add(slack)
                }
                _ => false,
            };
            if !inside {
                self.outside.add(record, || {
                    let shown = |ms: Option<i64>| ms.map_or_else(|| "?".to_owned(), |ms| ms.to_string());
                    let expected = format!("{} to {} ms", shown(start), shown(end));
                    let cell = match &rule.timestamp_field {
                        Some(field) => Offenders::cell_for(row, field, expected),
                        None => Cell {
                            field: "event time".to_owned(),
                            expected: Some(expected),
                            actual: at.map(|ms| ms.to_string()),
                        },
                    };
                    vec![Offenders::cell(row, start_field), Offenders::cell(row, end_field), cell]
                });
            }
        }
        if rule.verify_alignment
            && let Some(size) = size.filter(|size| *size > 0)
            && start.is_none_or(|start| start.rem_euclid(size) != 0)
        {
            let expected = format!("a multiple of {size} ms");
            self.askew.add(record, || vec![Offenders::cell_for(row, start_field, expected)]);
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let WindowBoundary { case, rule, records, outside, askew } = *self;
        let sink = &case.sink;
        let time = rule.timestamp_field.as_deref().unwrap_or("event time");
        if rule.verify_alignment && rule.window_size_ms.is_none_or(|size| size == 0) {
            let message = format!("windows of {sink} cannot be aligned: verify_alignment needs window_size_ms");
            return case.failed(message, "window_size_ms", "none");
        }
        let (far, skew) = (outside.count(), askew.count());
        let outcome = if far > 0 {
            let message =
                format!("{far} of {} of {sink} {} outside the window by {time}", counted(records, "record"), are(far));
            case.failed(message, format!("{time} within its window"), counted(far, "record") + " outside")
                .with_rows(outside)
        } else if skew > 0 {
            let size = rule.window_size_ms.unwrap_or_default();
            let message = format!(
                "the windows of {skew} of {} of {sink} do not start at a multiple of {size} ms",
                counted(records, "record")
            );
            case.failed(message, format!("starts at multiples of {size} ms"), counted(skew, "other start"))
                .with_rows(askew)
        } else {
            let warning = (!rule.verify_containment && !rule.verify_alignment)
                .then(|| "neither containment nor alignment is verified".to_owned());
            case.passed(format!("{} of {sink} are within their windows by {time}", counted(records, "record")))
                .warn_if(warning)
        };
        outcome.detail("records", records).detail("outside", far).detail("not_aligned", skew)
    }
}
