//! `completeness`: keys of an input that came out, and fields that every record has. Keys are kept as text.

use std::collections::BTreeMap;

use crate::check::columns::Columns;
use crate::check::outcomes::{Case, counted, listed};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold, Inputs};
use crate::outcome::{Outcome, SHOWN_ROWS};
use crate::record::Record;
use crate::record_text::{float_text, text};

pub(crate) struct Completeness {
    case: Case,
    input_source: String,
    key_field: String,
    min: f64,
    required_fields: Vec<String>,
    /// Keys of the input, and whether they came out.
    keys: BTreeMap<Box<str>, bool>,
    input_records: u64,
    input_columns: Columns,
    columns: Columns,
    lacking: Offenders,
}

impl Completeness {
    pub(crate) fn new(
        case: Case,
        input_source: String,
        key_field: String,
        min: f64,
        required_fields: Vec<String>,
    ) -> Completeness {
        Completeness {
            case,
            input_source,
            key_field,
            min,
            required_fields,
            keys: BTreeMap::new(),
            input_records: 0,
            input_columns: Columns::default(),
            columns: Columns::default(),
            lacking: Offenders::default(),
        }
    }
}

impl Fold for Completeness {
    fn inputs(&self) -> Inputs {
        Inputs::Of(vec![self.input_source.clone()])
    }

    fn input(&mut self, _: &str, record: &Record<'_>) {
        self.input_records += 1;
        let Some(row) = record.row else { return };
        match row.get(&self.key_field) {
            Some(value) if !value.is_null() => {
                let key = text(value);
                if !self.keys.contains_key(&*key) {
                    self.keys.insert(key.into(), false);
                }
            }
            Some(_) => {}
            None => self.input_columns.add(row),
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        let Some(row) = record.row else { return };
        self.columns.add(row);
        if let Some(value) = row.get(&self.key_field)
            && let Some(found) = self.keys.get_mut(&*text(value))
        {
            *found = true;
        }
        if self.required_fields.iter().any(|field| row.get(field).is_none()) {
            let missing = self.required_fields.iter().filter(|field| row.get(field).is_none());
            self.lacking.add(record, || missing.map(|field| Offenders::cell_for(row, field, "there")).collect());
        }
    }

    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        let Completeness { case, input_source, key_field, min, required_fields, keys, .. } = *self;
        let sink = &case.sink;
        let wanted = if min < 1.0 {
            format!("a share of at least {} of the keys", float_text(min))
        } else {
            "all of the keys".to_owned()
        };
        if self.input_records > 0 && keys.is_empty() {
            let near = self.input_columns.near(&key_field);
            let message = format!(
                "no record of {input_source} has a value in {key_field}{near}, so nothing can be found in {sink}"
            );
            return case.failed(message, wanted, "no keys");
        }
        let total = keys.len() as u64;
        let found = keys.values().filter(|found| **found).count() as u64;
        let share = if total == 0 { 1.0 } else { found as f64 / total as f64 };
        let missing: Vec<String> =
            keys.iter().filter(|(_, found)| !**found).take(SHOWN_ROWS).map(|(key, _)| key.to_string()).collect();
        let message = format!("{found} of {} of {input_source} by {key_field} are in {sink}", counted(total, "key"));
        let outcome = if share < min {
            let near = if self.columns.has(&key_field) { String::new() } else { self.columns.near(&key_field) };
            let more = total - found - missing.len() as u64;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let message = format!("{message}; missing: {}{more}{near}", missing.join(", "));
            let actual = format!("{} ({found} of {total})", float_text((share * 1e6).round() / 1e6));
            case.failed(message, wanted, if min < 1.0 { actual } else { format!("{found} of {total}") })
        } else if self.lacking.count() > 0 {
            let message = format!(
                "every record of {sink} has to have {}; {} without",
                listed(&required_fields),
                counted(self.lacking.count(), "record")
            );
            case.failed(message, listed(&required_fields), counted(self.lacking.count(), "record") + " without")
                .with_rows(self.lacking)
        } else {
            let is_input = facts.context.inputs.contains_key(&input_source);
            let nothing = (total == 0).then(|| match is_input {
                true => format!("{input_source} has no records, so nothing can be missing"),
                false => {
                    let known: Vec<&str> = facts.context.inputs.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    format!("no input \"{input_source}\" was published, so nothing can be missing; there is {known}")
                }
            });
            case.passed(message).warn_if(nothing)
        };
        outcome
            .detail("input_keys", total)
            .detail("found_keys", found)
            .detail("completeness", share)
            .detail("missing", missing)
    }
}
