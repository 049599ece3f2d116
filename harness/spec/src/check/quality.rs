//! `data_quality`: several looks at every record. Each rule looks once at each record it applies to; the score is the
//! share of looks that hold.

use std::collections::BTreeSet;

use regex::Regex;
use velostream_types::Value;

use crate::assertion::{Integrity, NumericRange, StringPattern};
use crate::check::columns::Columns;
use crate::check::keys::Hash;
use crate::check::number::Number;
use crate::check::outcomes::{AtEnd, Case, counted, listed};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold, Inputs};
use crate::outcome::{Cell, Outcome};
use crate::record::{Record, Row};
use crate::record_text::{float_text, text};

/// A look at one field.
pub(crate) struct Rule {
    field: String,
    look: Look,
    broken: u64,
}

enum Look {
    NotNull,
    NotEmpty,
    Range {
        min: Option<f64>,
        max: Option<f64>,
    },
    Pattern(Regex),
    /// Hashes of the values of an input's field.
    Reference {
        source: String,
        field: String,
        values: BTreeSet<u128>,
    },
}

/// All looks, or a pattern that is no regular expression.
pub(crate) fn rules(
    no_nulls_in: Vec<String>,
    no_empty_strings_in: Vec<String>,
    numeric_ranges: Vec<NumericRange>,
    string_patterns: Vec<StringPattern>,
    referential_integrity: Vec<Integrity>,
) -> Result<Vec<Rule>, String> {
    let rule = |field, look| Rule { field, look, broken: 0 };
    let mut rules: Vec<Rule> = no_nulls_in.into_iter().map(|field| rule(field, Look::NotNull)).collect();
    rules.extend(no_empty_strings_in.into_iter().map(|field| rule(field, Look::NotEmpty)));
    rules.extend(numeric_ranges.into_iter().map(|r| rule(r.field, Look::Range { min: r.min, max: r.max })));
    for StringPattern { field, pattern } in string_patterns {
        let pattern = Regex::new(&pattern).map_err(|error| format!("the pattern of {field} is wrong: {error}"))?;
        rules.push(rule(field, Look::Pattern(pattern)));
    }
    rules.extend(referential_integrity.into_iter().map(|i| {
        let look = Look::Reference { source: i.reference_source, field: i.reference_field, values: BTreeSet::new() };
        rule(i.field, look)
    }));
    Ok(rules)
}

pub(crate) fn data_quality(case: Case, rules: Result<Vec<Rule>, String>, min_score: Option<f64>) -> Box<dyn Fold> {
    match rules {
        Ok(rules) => Box::new(DataQuality {
            case,
            rules,
            min_score,
            columns: Columns::default(),
            records: 0,
            looks: 0,
            broken: 0,
            offenders: Offenders::default(),
        }),
        Err(error) => Box::new(AtEnd(move |_: &Facts<'_>| {
            let message = format!("{} cannot be looked at: {error}", case.sink);
            case.failed(message, "regular expressions", error)
        })),
    }
}

struct DataQuality {
    case: Case,
    rules: Vec<Rule>,
    min_score: Option<f64>,
    columns: Columns,
    records: u64,
    looks: u64,
    broken: u64,
    offenders: Offenders,
}

fn hashed(value: &Value) -> u128 {
    let mut hash = Hash::new();
    hash.value(Some(value));
    hash.finish()
}

impl Look {
    /// Whether it holds; `None`: it does not apply.
    fn holds(&self, value: Option<&Value>) -> Option<bool> {
        let present = value.filter(|value| !value.is_null());
        match self {
            Look::NotNull => Some(present.is_some()),
            Look::NotEmpty => present.map(|value| !matches!(value, Value::Str(text) if text.is_empty())),
            Look::Range { min, max } => present.map(|value| {
                Number::of(value).is_some_and(|number| {
                    min.is_none_or(|min| number.compare(Number::written(min)).is_ge())
                        && max.is_none_or(|max| number.compare(Number::written(max)).is_le())
                })
            }),
            Look::Pattern(pattern) => present.map(|value| pattern.is_match(&text(value))),
            Look::Reference { values, .. } => present.map(|value| values.contains(&hashed(value))),
        }
    }

    fn wanted(&self) -> String {
        match self {
            Look::NotNull => "not NULL".to_owned(),
            Look::NotEmpty => "not empty".to_owned(),
            Look::Range { min: Some(min), max: Some(max) } => {
                format!("from {} to {}", float_text(*min), float_text(*max))
            }
            Look::Range { min: Some(min), .. } => format!("at least {}", float_text(*min)),
            Look::Range { max: Some(max), .. } => format!("at most {}", float_text(*max)),
            Look::Range { .. } => "a number".to_owned(),
            Look::Pattern(pattern) => format!("matching {pattern}"),
            Look::Reference { source, field, .. } => format!("a value of {source}.{field}"),
        }
    }

    /// What is wrong with so many values of a field.
    fn told(&self, field: &str, broken: u64) -> String {
        match self {
            Look::NotNull => format!("{field} is NULL ({broken})"),
            Look::NotEmpty => format!("{field} is empty ({broken})"),
            Look::Pattern(pattern) => format!("{field} does not match {pattern} ({broken})"),
            Look::Reference { values, .. } if values.is_empty() => {
                format!("{field} is not {}, of which none was published ({broken})", self.wanted())
            }
            Look::Range { .. } | Look::Reference { .. } => format!("{field} is not {} ({broken})", self.wanted()),
        }
    }
}

impl Fold for DataQuality {
    fn inputs(&self) -> Inputs {
        let sources = self.rules.iter().filter_map(|rule| match &rule.look {
            Look::Reference { source, .. } => Some(source.clone()),
            _ => None,
        });
        Inputs::Of(sources.collect())
    }

    fn input(&mut self, name: &str, record: &Record<'_>) {
        let Some(row) = record.row else { return };
        for rule in &mut self.rules {
            if let Look::Reference { source, field, values } = &mut rule.look
                && source == name
                && let Some(value) = row.get(field)
            {
                values.insert(hashed(value));
            }
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        let nothing = Row::default();
        let row = record.row.unwrap_or(&nothing);
        self.columns.add(row);
        let mut cells: Vec<Cell> = Vec::new();
        for rule in &mut self.rules {
            let Some(holds) = rule.look.holds(row.get(&rule.field)) else { continue };
            self.looks += 1;
            if !holds {
                rule.broken += 1;
                self.broken += 1;
                cells.push(Offenders::cell_for(row, &rule.field, rule.look.wanted()));
            }
        }
        if !cells.is_empty() {
            self.offenders.add(record, || cells);
        }
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let DataQuality { case, rules, min_score, columns, records, looks, broken, offenders } = *self;
        let sink = &case.sink;
        let score = if looks == 0 { 1.0 } else { 1.0 - broken as f64 / looks as f64 };
        let shown = float_text((score * 1e6).round() / 1e6);
        let holds = min_score.map_or(broken == 0, |min| score >= min);
        let found = format!("{} in {} of {sink}", counted(broken, "violation"), counted(records, "record"));
        let outcome = if holds {
            let absent: Vec<String> = (rules.iter())
                .filter(|rule| records > 0 && !columns.has(&rule.field))
                .map(|rule| format!("{}{}", rule.field, columns.near(&rule.field)))
                .collect();
            let warning = match rules.as_slice() {
                [] => Some("no rule is given, so any record passes".to_owned()),
                _ => (!absent.is_empty()).then(|| format!("no record of {} has {}", case.sink, listed(&absent))),
            };
            case.passed(format!("{found}, quality {shown}")).warn_if(warning)
        } else {
            let of: Vec<String> = (rules.iter().filter(|rule| rule.broken > 0))
                .map(|rule| match columns.has(&rule.field) {
                    true => rule.look.told(&rule.field, rule.broken),
                    false => format!("no record has {}{}", rule.field, columns.near(&rule.field)),
                })
                .collect();
            let wanted = min_score
                .map_or_else(|| "no violations".to_owned(), |min| format!("quality of at least {}", float_text(min)));
            let actual = if min_score.is_some() { format!("quality {shown}") } else { counted(broken, "violation") };
            case.failed(format!("{found}: {}", listed(&of)), wanted, actual).with_rows(offenders)
        };
        outcome.detail("checks", looks).detail("violations", broken).detail("quality_score", score)
    }
}
