//! `event_ordering`: times of records against the farthest time before them, and the gaps between neighbours.

use std::collections::BTreeMap;

use crate::assertion::Direction;
use crate::check::columns::Columns;
use crate::check::outcomes::{Case, are, counted, percent_text};
use crate::check::rows::Offenders;
use crate::check::windows::{shown_like, time_ms};
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::Record;
use crate::record_text::{float_text, text};

/// What is asked.
pub(crate) struct Rule {
    pub(crate) timestamp_field: String,
    pub(crate) partition_field: Option<String>,
    pub(crate) window_size_ms: Option<u64>,
    pub(crate) direction: Direction,
    pub(crate) allow_gaps: bool,
    pub(crate) max_out_of_order_percent: Option<f64>,
    pub(crate) max_gap_ms: Option<u64>,
}

impl Rule {
    /// Farther apart than this is a gap: what is given, else a window where there are to be no gaps.
    fn gap_ms(&self) -> Option<u64> {
        self.max_gap_ms.or(if self.allow_gaps { None } else { self.window_size_ms })
    }
}

pub(crate) struct EventOrdering {
    case: Case,
    rule: Rule,
    /// Farthest and last time, by the value of the partition field.
    seen: BTreeMap<Box<str>, (i64, i64)>,
    columns: Columns,
    records: u64,
    times: u64,
    late: Offenders,
    gaps: Offenders,
}

impl EventOrdering {
    pub(crate) fn new(case: Case, rule: Rule) -> EventOrdering {
        EventOrdering {
            case,
            rule,
            seen: BTreeMap::new(),
            columns: Columns::default(),
            records: 0,
            times: 0,
            late: Offenders::default(),
            gaps: Offenders::default(),
        }
    }
}

impl Fold for EventOrdering {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let Some(row) = record.row else { return };
        let field = &self.rule.timestamp_field;
        let Some(ms) = row.get(field).and_then(time_ms) else {
            self.columns.add(row);
            return;
        };
        self.times += 1;
        let partition = self.rule.partition_field.as_ref().and_then(|field| row.get(field)).map_or("".into(), text);
        let Some((farthest, last)) = self.seen.get_mut(&*partition) else {
            self.seen.insert(partition.into(), (ms, ms));
            return;
        };
        let slack = i64::try_from(self.rule.window_size_ms.unwrap_or(0)).unwrap_or(i64::MAX);
        let (behind, word) = match self.rule.direction {
            Direction::Ascending => (farthest.saturating_sub(ms), "at least"),
            Direction::Descending => (ms.saturating_sub(*farthest), "at most"),
        };
        let cells = |expected: String| {
            let mut cells: Vec<Cell> = self.rule.partition_field.iter().map(|f| Offenders::cell(row, f)).collect();
            cells.push(Offenders::cell_for(row, field, expected));
            cells
        };
        if behind > slack {
            let bound = match self.rule.direction {
                Direction::Ascending => farthest.saturating_sub(slack),
                Direction::Descending => farthest.saturating_add(slack),
            };
            self.late.add(record, || cells(format!("{word} {}", shown_like(bound, row.get(field)))));
        }
        if let Some(gap) = self.rule.gap_ms()
            && ms.abs_diff(*last) > gap
        {
            let near = *last;
            self.gaps.add(record, || cells(format!("within {gap} ms of {}", shown_like(near, row.get(field)))));
        }
        *last = ms;
        *farthest = match self.rule.direction {
            Direction::Ascending => ms.max(*farthest),
            Direction::Descending => ms.min(*farthest),
        };
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let EventOrdering { case, rule, columns, records, times, late, gaps, .. } = *self;
        let (sink, field) = (&case.sink, &rule.timestamp_field);
        let (disorder, far) = (late.count(), gaps.count());
        let percent = if times == 0 { 0.0 } else { disorder as f64 * 100.0 / times as f64 };
        let in_order = percent <= rule.max_out_of_order_percent.unwrap_or(0.0);
        let outcome = if !in_order {
            let wanted = match rule.max_out_of_order_percent {
                Some(percent) => format!("at most {} % out of order", float_text(percent)),
                None => "none out of order".to_owned(),
            };
            let message = format!(
                "{disorder} of {} of {sink} {} out of order by {field}",
                counted(times, "record"),
                are(disorder)
            );
            let share = rule.max_out_of_order_percent.map_or_else(String::new, |_| percent_text(percent));
            case.failed(message, wanted, format!("{share}{disorder} of {times}")).with_rows(late)
        } else if far > 0 {
            let gap = rule.gap_ms().unwrap_or_default();
            let message = format!(
                "{} of {sink} {} more than {gap} ms from the one before by {field}",
                counted(far, "record"),
                are(far)
            );
            case.failed(message, format!("gaps of at most {gap} ms"), counted(far, "longer gap")).with_rows(gaps)
        } else {
            let found =
                if disorder > 0 { format!("{disorder} out of order, which is allowed") } else { "in order".to_owned() };
            let warning = if times == 0 && records > 0 {
                Some(format!("no record of {sink} has a time in {field}{}", columns.near(field)))
            } else if !rule.allow_gaps && rule.gap_ms().is_none() {
                Some("gaps are not allowed, yet max_gap_ms does not say how long one is".to_owned())
            } else {
                None
            };
            case.passed(format!("{} of {sink} by {field}: {found}", counted(times, "record"))).warn_if(warning)
        };
        outcome.detail("records", times).detail("out_of_order", disorder).detail("gaps", far)
    }
}
