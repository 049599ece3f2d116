//! Fields that have to be there: `schema_contains` and `no_nulls`.

use velostream_types::Value;

use crate::check::columns::Columns;
use crate::check::outcomes::{Case, counted, listed};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::Record;

/// `schema_contains`: all fields, over all records.
pub(crate) struct Contained {
    case: Case,
    fields: Vec<String>,
    key_field: Option<String>,
    columns: Columns,
    records: u64,
    keyed: bool,
}

impl Contained {
    pub(crate) fn new(case: Case, fields: Vec<String>, key_field: Option<String>) -> Contained {
        Contained { case, fields, key_field, columns: Columns::default(), records: 0, keyed: false }
    }
}

impl Fold for Contained {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.keyed |= record.key.is_some_and(|key| !key.is_empty());
        if let Some(row) = record.row {
            self.columns.add(row);
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let Contained { case, fields, key_field, columns, records, keyed } = *self;
        let sink = &case.sink;
        let wanted = fields.join(", ");
        if records == 0 {
            return case.failed(format!("{sink} is empty, so it has no fields"), wanted, "no records");
        }
        let has: Vec<&str> = columns.names().collect();
        let missing: Vec<&String> = fields.iter().filter(|field| !columns.has(field)).collect();
        if !missing.is_empty() {
            let named: Vec<String> = missing.iter().map(|field| format!("{field}{}", columns.near(field))).collect();
            let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
            let message = format!("no record of {sink} has {}", listed(&named));
            return case.failed(message, wanted, has.join(", ")).detail("missing", missing);
        }
        match key_field {
            Some(key) if !keyed => case.failed(
                format!("no record of {sink} has a message key; {key} has to be it"),
                format!("a message key from {key}"),
                "no key",
            ),
            Some(key) => case.passed(format!("{sink} has {} and message keys from {key}", listed(&fields))),
            None => case.passed(format!("{sink} has {}", listed(&fields))),
        }
    }
}

/// `no_nulls`: fields that are never NULL; a record may lack them.
pub(crate) struct NotNull {
    case: Case,
    fields: Vec<String>,
    /// The fields are those of the first record.
    all: bool,
    columns: Columns,
    records: u64,
    nulls: Vec<u64>,
    offenders: Offenders,
}

impl NotNull {
    pub(crate) fn new(case: Case, fields: Vec<String>) -> NotNull {
        let nulls = vec![0; fields.len()];
        let all = fields.is_empty();
        NotNull { case, fields, all, columns: Columns::default(), records: 0, nulls, offenders: Offenders::default() }
    }
}

impl Fold for NotNull {
    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let Some(row) = record.row else { return };
        if self.all && self.fields.is_empty() {
            self.fields = row.fields.iter().map(|(name, _)| name.to_string()).collect();
            self.nulls = vec![0; self.fields.len()];
        }
        self.columns.add(row);
        if !row.fields.iter().any(|(_, value)| value.is_null()) {
            return;
        }
        let mut cells = Vec::new();
        for (field, nulls) in self.fields.iter().zip(&mut self.nulls) {
            if row.get(field) == Some(&Value::Null) {
                *nulls += 1;
                cells.push(Cell {
                    field: field.clone(),
                    expected: Some("not NULL".to_owned()),
                    actual: Some("NULL".to_owned()),
                });
            }
        }
        if !cells.is_empty() {
            self.offenders.add(record, || cells);
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let NotNull { case, fields, columns, records, nulls, offenders, .. } = *self;
        let sink = &case.sink;
        let broken: Vec<(&String, u64)> = fields.iter().zip(nulls).filter(|(_, n)| *n > 0).collect();
        if broken.is_empty() {
            let absent: Vec<String> = (fields.iter())
                .filter(|field| records > 0 && !columns.has(field))
                .map(|field| format!("{field}{}", columns.near(field)))
                .collect();
            let warning = (!absent.is_empty()).then(|| format!("no record of {sink} has {}", listed(&absent)));
            let what = if fields.is_empty() { "no field".to_owned() } else { format!("none of {}", listed(&fields)) };
            let what = if fields.len() == 1 { format!("no {}", fields[0]) } else { what };
            return case.passed(format!("{what} is NULL in {} of {sink}", counted(records, "record"))).warn_if(warning);
        }
        let named: Vec<String> = broken.iter().map(|(field, n)| format!("{field} ({})", counted(*n, "time"))).collect();
        let message = format!("NULL in {} of {sink}: {}", counted(offenders.count(), "record"), listed(&named));
        let mut outcome = case.failed(message, "no NULLs", counted(offenders.count(), "record") + " with NULLs");
        for (field, n) in broken {
            outcome = outcome.detail(field, n);
        }
        outcome.with_rows(offenders)
    }
}
