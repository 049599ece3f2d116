//! `window_boundary`: times of records within their windows; and times of fields in general.

use velostream_types::{Value, time};

use crate::check::columns::Columns;
use crate::check::outcomes::{Case, are, counted};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::{Record, Row};
use crate::record_text::timestamp_text;

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
    header_time_ms(record).or(record.timestamp_ms)
}

/// Event time that a header gives.
pub(crate) fn header_time_ms(record: &Record<'_>) -> Option<i64> {
    let (_, value) = record.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("_EVENT_TIME"))?;
    std::str::from_utf8(value.as_deref()?).ok()?.trim().parse().ok()
}

/// A moment as the value it is compared with is written: beside a number in ms, else as date and time.
pub(crate) fn shown_like(ms: i64, beside: Option<&Value>) -> String {
    let as_time = match beside {
        Some(Value::Timestamp(_) | Value::Date(_) | Value::Str(_)) => ms.checked_mul(time::NS_PER_MS),
        _ => None,
    };
    as_time.map_or_else(|| format!("{ms} ms"), |ns| timestamp_text(ns, ' '))
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
    columns: Columns,
    records: u64,
    /// Records with a time, with the start of a window, and with its end.
    timed: u64,
    started: u64,
    ended: u64,
    outside: Offenders,
    askew: Offenders,
}

impl WindowBoundary {
    pub(crate) fn new(case: Case, rule: Boundary) -> WindowBoundary {
        WindowBoundary {
            case,
            rule,
            columns: Columns::default(),
            records: 0,
            timed: 0,
            started: 0,
            ended: 0,
            outside: Offenders::default(),
            askew: Offenders::default(),
        }
    }
}

/// The named field, else the first of the usual ones that is there.
fn named<'n>(name: Option<&'n str>, usual: [&'n str; 2], row: &Row) -> &'n str {
    name.unwrap_or_else(|| usual.into_iter().find(|name| row.get(name).is_some()).unwrap_or(usual[0]))
}

impl WindowBoundary {
    /// What no record has, and why that is.
    fn unknown(&self) -> Option<(&'static str, String)> {
        let Boundary { timestamp_field, window_start_field, window_end_field, verify_containment, .. } = &self.rule;
        let lacking = |name: &Option<String>, usual: &[&str]| {
            let names: Vec<String> = match name {
                Some(name) => vec![format!("{name}{}", self.columns.near(name))],
                None => usual.iter().map(|name| (*name).to_owned()).collect(),
            };
            format!("no record has a time in {}", names.join(" or "))
        };
        if self.records == 0 {
            None
        } else if self.started == 0 {
            Some(("starts of windows", lacking(window_start_field, &STARTS)))
        } else if *verify_containment && self.ended == 0 {
            Some(("ends of windows", lacking(window_end_field, &ENDS) + ", and window_size_ms is not given"))
        } else if *verify_containment && self.timed == 0 {
            Some(("times within windows", lacking(timestamp_field, &["its headers"])))
        } else {
            None
        }
    }
}

impl Fold for WindowBoundary {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let nothing = Row::default();
        let row = record.row.unwrap_or(&nothing);
        self.columns.add(row);
        let rule = &self.rule;
        let (start_field, end_field) = (
            named(rule.window_start_field.as_deref(), STARTS, row),
            named(rule.window_end_field.as_deref(), ENDS, row),
        );
        let start = row.get(start_field).and_then(time_ms);
        self.started += u64::from(start.is_some());
        let size = rule.window_size_ms.and_then(|size| i64::try_from(size).ok());
        if rule.verify_containment {
            let end = row.get(end_field).and_then(time_ms).or_else(|| start?.checked_add(size?));
            let at = match &rule.timestamp_field {
                Some(field) => row.get(field).and_then(time_ms),
                None => event_time_ms(record),
            };
            self.timed += u64::from(at.is_some());
            self.ended += u64::from(end.is_some());
            let slack = i64::try_from(rule.tolerance_ms).unwrap_or(i64::MAX);
            let bounds = start.zip(end).map(|(start, end)| (start.saturating_sub(slack), end.saturating_add(slack)));
            let inside = at.zip(bounds).is_some_and(|(at, (start, end))| start <= at && at <= end);
            if !inside {
                self.outside.add(record, || {
                    let beside = rule.timestamp_field.as_ref().and_then(|field| row.get(field));
                    let expected = match (at, bounds) {
                        (Some(at), Some((start, _))) if at < start => format!("at least {}", shown_like(start, beside)),
                        (Some(_), Some((_, end))) => format!("at most {}", shown_like(end, beside)),
                        _ => "within its window".to_owned(),
                    };
                    let cell = match &rule.timestamp_field {
                        Some(field) => Offenders::cell_for(row, field, expected),
                        None => Cell {
                            field: "event time".to_owned(),
                            expected: Some(expected),
                            actual: at.map(|ms| format!("{ms} ms")),
                        },
                    };
                    let mut cells = vec![Offenders::cell(row, start_field)];
                    // Where the size tells the end, the field may be missing.
                    cells.extend(row.get(end_field).map(|_| Offenders::cell(row, end_field)));
                    cells.push(cell);
                    cells
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
        let unknown = self.unknown();
        let WindowBoundary { case, rule, records, outside, askew, .. } = *self;
        let sink = &case.sink;
        let time = rule.timestamp_field.as_deref().unwrap_or("event time");
        if rule.verify_alignment && rule.window_size_ms.is_none_or(|size| size == 0) {
            let message = format!("windows of {sink} cannot be aligned: verify_alignment needs window_size_ms");
            return case.failed(message, "window_size_ms", "none");
        }
        let (far, skew) = (outside.count(), askew.count());
        let outcome = if let Some((what, reason)) = unknown {
            let message = format!("windows of {sink} cannot be judged: {reason}");
            case.failed(message, what, "none").with_rows(if far > 0 { outside } else { askew })
        } else if far > 0 {
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
