//! `ordering`: each record against the one before it, of all or of those with one value of a field.

use std::cmp::Ordering as Order;
use std::collections::BTreeMap;

use velostream_types::Value;

use crate::assertion::Direction;
use crate::check::columns::Columns;
use crate::check::number::Number;
use crate::check::outcomes::{Case, are, counted};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::Record;
use crate::record_text::text;

pub(crate) struct Ordering {
    case: Case,
    field: String,
    direction: Direction,
    partition_by: Option<String>,
    allow_equal: bool,
    /// The last value, and where it was: of all, or of each value of the field.
    last: Option<(Value, (u32, i64))>,
    lasts: BTreeMap<Box<str>, (Value, (u32, i64))>,
    columns: Columns,
    records: u64,
    values: u64,
    offenders: Offenders,
    /// The first pair that is out of order.
    pair: Option<(String, String)>,
}

impl Ordering {
    pub(crate) fn new(
        case: Case,
        field: String,
        direction: Direction,
        partition_by: Option<String>,
        allow_equal: bool,
    ) -> Ordering {
        Ordering {
            case,
            field,
            direction,
            partition_by,
            allow_equal,
            last: None,
            lasts: BTreeMap::new(),
            columns: Columns::default(),
            records: 0,
            values: 0,
            offenders: Offenders::default(),
            pair: None,
        }
    }
}

/// Numbers and times by value, all else by text.
fn compare(a: &Value, b: &Value) -> Order {
    match (a, b) {
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) | (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
        (a, b) => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => text(a).cmp(&text(b)),
        },
    }
}

impl Fold for Ordering {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let Some(row) = record.row else { return };
        let value = match row.get(&self.field) {
            Some(value) if !value.is_null() => value,
            Some(_) => return self.values += 1,
            None => return self.columns.add(row),
        };
        self.values += 1;
        let here = (record.partition, record.offset);
        let last = match &self.partition_by {
            None => &mut self.last,
            Some(field) => {
                let key = row.get(field).map_or("".into(), text);
                match self.lasts.get_mut(&*key) {
                    Some(last) => {
                        let (before, place) = std::mem::replace(last, (value.clone(), here));
                        self.last = Some((before, place));
                    }
                    None => {
                        self.lasts.insert(key.into(), (value.clone(), here));
                        self.last = None;
                    }
                }
                &mut self.last
            }
        };
        let Some((before, place)) = last.replace((value.clone(), here)) else { return };
        let right = match (compare(&before, value), self.direction) {
            (Order::Equal, _) => self.allow_equal,
            (Order::Less, Direction::Ascending) | (Order::Greater, Direction::Descending) => true,
            _ => false,
        };
        if right {
            return;
        }
        if self.pair.is_none() {
            self.pair = Some((text(&before).into_owned(), text(value).into_owned()));
        }
        let word = match (self.direction, self.allow_equal) {
            (Direction::Ascending, true) => "at least",
            (Direction::Ascending, false) => "greater than",
            (Direction::Descending, true) => "at most",
            (Direction::Descending, false) => "less than",
        };
        let partition_by = &self.partition_by;
        self.offenders.add(record, || {
            let mut cells: Vec<Cell> = partition_by.iter().map(|field| Offenders::cell(row, field)).collect();
            let expected = format!("{word} {} of {}@{}", text(&before), place.0, place.1);
            cells.push(Offenders::cell_for(row, &self.field, expected));
            cells
        });
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let Ordering {
            case,
            field,
            direction,
            partition_by,
            allow_equal,
            columns,
            records,
            values,
            offenders,
            pair,
            ..
        } = *self;
        let sink = &case.sink;
        let way = match direction {
            Direction::Ascending => "ascending",
            Direction::Descending => "descending",
        };
        let within = partition_by.map_or_else(String::new, |field| format!(" for each {field}"));
        match pair {
            None => {
                let warning = (values == 0 && records > 0)
                    .then(|| format!("no record of {sink} has a field {field}{}", columns.near(&field)));
                case.passed(format!("{field} is {way}{within} in {} of {sink}", counted(records, "record")))
                    .warn_if(warning)
            }
            Some((before, after)) => {
                let broken = offenders.count();
                let message = format!(
                    "{field} is not {way}{within} in {sink}: {after} follows {before}; {broken} of {} {} out of order",
                    counted(records, "record"),
                    are(broken)
                );
                let strictly = if allow_equal { "" } else { ", no two alike" };
                case.failed(message, format!("{way} {field}{within}{strictly}"), format!("{before}, then {after}"))
                    .detail("violations", broken)
                    .with_rows(offenders)
            }
        }
    }
}
