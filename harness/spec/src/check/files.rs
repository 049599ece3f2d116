//! Assertions over files: `file_exists`, `file_row_count`, `file_contains` and `file_matches`. They read the files
//! themselves, when the run is over.

mod compared;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::assertion::CountBounds;
use crate::check::columns::Columns;
use crate::check::counts::judged;
use crate::check::outcomes::{AtEnd, Case, counted, listed};
use crate::check::{Facts, Fold};
use crate::data_file::{self, DataFile};
use crate::outcome::Outcome;
use crate::record::Row;
use crate::record_text::text;
use crate::spec::FileFormat;

pub(crate) use compared::{Comparison, matches};

/// Every row of a file with its number, from 1; the error names the file.
fn each_row(
    facts: &Facts<'_>,
    path: &Path,
    format: Option<FileFormat>,
    mut row: impl FnMut(u64, &Row),
) -> Result<(), String> {
    let found = (facts.files)(path);
    let bytes = std::fs::read(&found).map_err(|error| unreadable(path, &found, &error))?;
    let format = format.unwrap_or_else(|| data_file::format_of(path));
    let wrong = |error: data_file::DataError| format!("{}: {error}", path.display());
    let mut file = DataFile::open(&bytes, format).map_err(wrong)?;
    let (mut read, mut number) = (Row::default(), 0);
    while file.next_into(&mut read).map_err(wrong)? {
        number += 1;
        row(number, &read);
    }
    Ok(())
}

fn unreadable(path: &Path, found: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        // Where a file was looked for differs from machine to machine, so only the spec's path is named.
        ErrorKind::NotFound => format!("there is no file {}", path.display()),
        _ if found.is_dir() => format!("{} is a folder, not a file", path.display()),
        _ => format!("{} cannot be read: {}", path.display(), error.kind()),
    }
}

fn broken(case: &Case, error: &str, wanted: &str) -> Outcome {
    case.failed(error, wanted, error)
}

pub(crate) fn exists(case: Case, path: PathBuf, min: Option<u64>, max: Option<u64>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let found = (facts.files)(&path);
        let size = match std::fs::metadata(&found) {
            Ok(data) if data.is_file() => data.len(),
            Ok(_) => return broken(&case, &format!("{} is a folder, not a file", path.display()), "a file"),
            Err(error) => return broken(&case, &unreadable(&path, &found, &error), "a file"),
        };
        let bounds = CountBounds { min, max, ..CountBounds::default() };
        let mut outcome = judged(&case, &bounds, size, "byte", &format!("in {}", path.display()));
        // A file that only has to be there has no bounds.
        outcome.warning = None;
        outcome.detail("size_bytes", size)
    }))
}

pub(crate) fn row_count(
    case: Case,
    path: PathBuf,
    format: Option<FileFormat>,
    bounds: CountBounds,
    skip_header: bool,
) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let mut count = 0;
        if let Err(error) = each_row(facts, &path, format, |_, _| count += 1) {
            return broken(&case, &error, "a file with rows");
        }
        // A format with a header line has left it out already.
        if skip_header && format == Some(FileFormat::CsvNoHeader) {
            count = u64::saturating_sub(count, 1);
        }
        judged(&case, &bounds, count, "row", &format!("in {}", path.display()))
    }))
}

pub(crate) fn contains(
    case: Case,
    path: PathBuf,
    format: Option<FileFormat>,
    field: String,
    expected: Vec<String>,
    any: bool,
) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let mut missing: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let (mut rows, mut columns) = (0, Columns::default());
        let read = each_row(facts, &path, format, |_, row| {
            rows += 1;
            columns.add(row);
            if let Some(value) = row.get(&field) {
                missing.remove(&*text(value));
            }
        });
        let wanted = if any { format!("one of {}", expected.join(", ")) } else { expected.join(", ") };
        if let Err(error) = read {
            return broken(&case, &error, &wanted);
        }
        let absent: Vec<&str> = expected.iter().map(String::as_str).filter(|value| missing.contains(value)).collect();
        let found: Vec<&str> = expected.iter().map(String::as_str).filter(|value| !missing.contains(value)).collect();
        let file = path.display();
        let holds = if any { !found.is_empty() || expected.is_empty() } else { absent.is_empty() };
        let outcome = if holds {
            let nothing = expected.is_empty().then(|| "no value is given, so any file passes".to_owned());
            case.passed(format!("{field} in {file} has {}", listed(&found))).warn_if(nothing)
        } else if rows > 0 && !columns.has(&field) {
            let has: Vec<&str> = columns.names().collect();
            let near = columns.near(&field);
            case.failed(format!("no row of {file} has a field {field}{near}"), wanted, has.join(", "))
        } else {
            let message = format!("no {field} in the {} of {file} is {}", counted(rows, "row"), absent.join(" or "));
            let actual = if found.is_empty() { "none of them".to_owned() } else { found.join(", ") };
            case.failed(message, wanted, actual)
        };
        outcome.detail("rows", rows).detail("missing", absent)
    }))
}
