//! `file_matches`: rows of two files, in order or as multisets, numbers within a tolerance.
//!
//! Without order, rows with equal cells are paired first, by their hash. What is left is paired within the tolerance:
//! rows whose other cells agree, in the order of their first number, so that a row is compared with few others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use velostream_types::Value;

use super::{broken, each_row};
use crate::check::keys::Hash;
use crate::check::number::Number;
use crate::check::outcomes::{AtEnd, Case, counted};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome, SHOWN_ROWS};
use crate::record::Row;
use crate::record_text::{float_text, text};
use crate::spec::FileFormat;

/// What is asked.
pub(crate) struct Comparison {
    pub(crate) actual_path: PathBuf,
    pub(crate) expected_path: PathBuf,
    pub(crate) format: Option<FileFormat>,
    pub(crate) compare_fields: Vec<String>,
    pub(crate) ignore_fields: Vec<String>,
    pub(crate) ignore_order: bool,
    pub(crate) numeric_tolerance: f64,
}

/// A row: its number in the file, and the compared cells.
struct Numbered {
    number: u64,
    cells: Vec<Cellular>,
}

/// A cell: its number where it is one, and its text. A missing one is NULL.
struct Cellular {
    number: Option<Number>,
    text: Option<Box<str>>,
}

impl Cellular {
    fn of(value: Option<&Value>) -> Cellular {
        let value = value.filter(|value| !value.is_null());
        let text = value.map(|value| Box::from(&*text(value)));
        let number = value.and_then(Number::of).or_else(|| {
            // A quoted number is one too, if it is written as numbers are.
            let text: &str = text.as_deref()?;
            Number::parse(text).filter(|number| number.text() == text)
        });
        Cellular { number, text }
    }

    fn equals(&self, other: &Cellular, tolerance: f64) -> bool {
        match (self.number, other.number) {
            (Some(a), Some(b)) => a.within(b, tolerance),
            _ => self.text == other.text,
        }
    }

    fn shown(&self) -> String {
        self.text.as_deref().unwrap_or("NULL").to_owned()
    }
}

impl Numbered {
    fn hash(&self, with_numbers: bool) -> u128 {
        let mut hash = Hash::new();
        for cell in &self.cells {
            match (cell.number, &cell.text) {
                (Some(Number::Exact { mantissa, scale }), _) if with_numbers => {
                    hash.value(Some(&Value::Decimal { mantissa, scale }));
                }
                (Some(number), _) if with_numbers => hash.value(Some(&Value::Float(number.float()))),
                (Some(_), _) => hash.value(Some(&Value::Null)),
                (None, Some(text)) => hash.value(Some(&Value::Str(text.clone()))),
                (None, None) => hash.value(None),
            }
        }
        hash.finish()
    }

    fn equals(&self, other: &Numbered, tolerance: f64) -> bool {
        self.cells.iter().zip(&other.cells).all(|(a, b)| a.equals(b, tolerance))
    }

    /// The cells that differ from those of a row it was probably meant to be; all, where there is none.
    fn beside(&self, near: Option<&Numbered>, fields: &[String], tolerance: f64) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (i, (cell, field)) in self.cells.iter().zip(fields).enumerate() {
            let wanted = near.and_then(|near| near.cells.get(i));
            if wanted.is_none_or(|wanted| !wanted.equals(cell, tolerance)) {
                let expected = wanted.map_or_else(|| "no such row".to_owned(), Cellular::shown);
                cells.push(Cell { field: field.clone(), expected: Some(expected), actual: Some(cell.shown()) });
            }
        }
        cells
    }

    fn first_number(&self) -> f64 {
        self.cells.iter().find_map(|cell| cell.number).map_or(0.0, Number::float)
    }
}

pub(crate) fn matches(case: Case, asked: Comparison) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| match read(&asked, facts) {
        Ok((fields, expected, actual)) => judged(&case, &asked, &fields, expected, actual),
        Err(error) => broken(&case, &error, "two files to compare"),
    }))
}

type Files = (Vec<String>, Vec<Numbered>, Vec<Numbered>);

fn read(asked: &Comparison, facts: &Facts<'_>) -> Result<Files, String> {
    let mut fields: Vec<String> = asked.compare_fields.clone();
    let mut seen: BTreeSet<String> = fields.iter().cloned().collect();
    if fields.is_empty() {
        each_row(facts, &asked.expected_path, asked.format, |_, row| {
            for (name, _) in &row.fields {
                if !seen.contains(&**name) {
                    seen.insert(name.to_string());
                    fields.push(name.to_string());
                }
            }
        })?;
    }
    fields.retain(|field| !asked.ignore_fields.contains(field));
    let rows = |path| -> Result<Vec<Numbered>, String> {
        let mut rows = Vec::new();
        each_row(facts, path, asked.format, |number, row: &Row| {
            let cells = fields.iter().map(|field| Cellular::of(row.get(field))).collect();
            rows.push(Numbered { number, cells });
        })?;
        Ok(rows)
    };
    let (expected, actual) = (rows(&asked.expected_path)?, rows(&asked.actual_path)?);
    Ok((fields, expected, actual))
}

fn judged(
    case: &Case,
    asked: &Comparison,
    fields: &[String],
    expected: Vec<Numbered>,
    actual: Vec<Numbered>,
) -> Outcome {
    let (rows, wanted_rows) = (actual.len() as u64, expected.len() as u64);
    let left = if asked.ignore_order {
        unordered(expected, actual, asked.numeric_tolerance)
    } else {
        ordered(expected, actual, asked.numeric_tolerance)
    };
    let names = format!("{} and {}", asked.actual_path.display(), asked.expected_path.display());
    let different = left.count();
    let offenders = left.shown(fields, asked.numeric_tolerance);
    let outcome = if different == 0 && rows == wanted_rows {
        let nothing = fields.is_empty().then(|| "no field is compared".to_owned());
        case.passed(format!("{names} have the same {}", counted(rows, "row"))).warn_if(nothing)
    } else if rows == wanted_rows {
        let differing = counted(different, "row");
        case.failed(
            format!("{names} differ in {differing}"),
            format!("{} alike", counted(wanted_rows, "row")),
            format!("{different} of {} different", counted(rows, "row")),
        )
        .with_rows(offenders)
    } else {
        let message = format!(
            "{} has {}, {} has {wanted_rows}",
            asked.actual_path.display(),
            counted(rows, "row"),
            asked.expected_path.display()
        );
        case.failed(message, counted(wanted_rows, "row"), counted(rows, "row")).with_rows(offenders)
    };
    outcome
        .detail("rows", rows)
        .detail("expected_rows", wanted_rows)
        .detail("tolerance", float_text(asked.numeric_tolerance))
}

/// Rows without a counterpart.
struct Left {
    expected: Vec<Numbered>,
    actual: Vec<Numbered>,
    /// The n-th of one belong to the n-th of the other.
    paired: bool,
}

fn ordered(expected: Vec<Numbered>, actual: Vec<Numbered>, tolerance: f64) -> Left {
    let mut left = Left { expected: Vec::new(), actual: Vec::new(), paired: true };
    let (mut expected, mut actual) = (expected.into_iter(), actual.into_iter());
    loop {
        match (expected.next(), actual.next()) {
            (None, None) => return left,
            (Some(e), Some(a)) if e.equals(&a, tolerance) => {}
            (e, a) => {
                left.expected.extend(e);
                left.actual.extend(a);
            }
        }
    }
}

fn unordered(expected: Vec<Numbered>, actual: Vec<Numbered>, tolerance: f64) -> Left {
    let mut alike: BTreeMap<u128, Vec<Numbered>> = BTreeMap::new();
    for row in expected {
        alike.entry(row.hash(true)).or_default().push(row);
    }
    let unpaired: Vec<Numbered> =
        actual.into_iter().filter(|row| alike.get_mut(&row.hash(true)).and_then(Vec::pop).is_none()).collect();
    let mut groups: BTreeMap<u128, (Vec<Numbered>, Vec<Numbered>)> = BTreeMap::new();
    for row in alike.into_values().flatten() {
        groups.entry(row.hash(false)).or_default().0.push(row);
    }
    for row in unpaired {
        groups.entry(row.hash(false)).or_default().1.push(row);
    }
    let mut left = Left { expected: Vec::new(), actual: Vec::new(), paired: false };
    for (expected, actual) in groups.into_values() {
        within_tolerance(expected, actual, tolerance, &mut left);
    }
    left.expected.sort_by_key(|row| row.number);
    left.actual.sort_by_key(|row| row.number);
    left
}

/// Pairs rows of one group; both sides by their first number, so that candidates for a row stand side by side.
fn within_tolerance(mut expected: Vec<Numbered>, mut actual: Vec<Numbered>, tolerance: f64, left: &mut Left) {
    expected.sort_by(|a, b| a.first_number().total_cmp(&b.first_number()));
    actual.sort_by(|a, b| a.first_number().total_cmp(&b.first_number()));
    let mut expected: Vec<Option<Numbered>> = expected.into_iter().map(Some).collect();
    let mut from = 0;
    for row in actual {
        let x = row.first_number();
        // A hair more than the tolerance: rows are compared exactly below.
        let reach = tolerance * 1.000_001 + x.abs() * 1e-15;
        while expected.get(from).is_some_and(|e| e.as_ref().is_none_or(|e| e.first_number() < x - reach)) {
            from += 1;
        }
        let near = expected[from..].iter_mut().take_while(|e| e.as_ref().is_none_or(|e| e.first_number() <= x + reach));
        let mut found = near.filter(|e| e.as_ref().is_some_and(|e| e.equals(&row, tolerance)));
        match found.next() {
            Some(counterpart) => *counterpart = None,
            None => left.actual.push(row),
        }
    }
    left.expected.extend(expected.into_iter().flatten());
}

/// Rows that are looked at to find the one a wrong row was probably meant to be.
const CANDIDATES_MAX: usize = 1_000;

impl Left {
    /// Rows that differ: a wrong one and the one it should be are one.
    fn count(&self) -> u64 {
        self.actual.len().max(self.expected.len()) as u64
    }

    /// Wrong rows beside the nearest expected one, then expected rows that are missing.
    fn shown(self, fields: &[String], tolerance: f64) -> Offenders {
        let mut offenders = Offenders::default();
        let total = self.count();
        let mut expected: Vec<Option<Numbered>> = self.expected.into_iter().map(Some).collect();
        for (nth, row) in self.actual.into_iter().take(SHOWN_ROWS).enumerate() {
            let near = if self.paired {
                expected.get_mut(nth).and_then(Option::take)
            } else {
                nearest(&mut expected, &row, tolerance)
            };
            offenders.add_at(|| (format!("row {}", row.number), None), || row.beside(near.as_ref(), fields, tolerance));
        }
        let room = SHOWN_ROWS - offenders.rows.len();
        for row in expected.into_iter().flatten().take(room) {
            let cells = row.cells.iter().zip(fields);
            let cells =
                cells.map(|(cell, field)| Cell { field: field.clone(), expected: Some(cell.shown()), actual: None });
            offenders.add_at(|| (format!("expected row {}", row.number), None), || cells.collect());
        }
        offenders.more = total.saturating_sub(offenders.rows.len() as u64);
        offenders
    }
}

/// Takes the expected row with the most equal cells, the first of these; none if no cell agrees.
fn nearest(expected: &mut [Option<Numbered>], row: &Numbered, tolerance: f64) -> Option<Numbered> {
    let mut best = (0, None);
    for (i, candidate) in expected.iter().enumerate().take(CANDIDATES_MAX) {
        let Some(candidate) = candidate else { continue };
        let alike = candidate.cells.iter().zip(&row.cells).filter(|(a, b)| a.equals(b, tolerance)).count();
        if alike > best.0 {
            best = (alike, Some(i));
        }
    }
    best.1.and_then(|i| expected[i].take())
}
