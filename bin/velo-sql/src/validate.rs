//! `velo-sql validate`: every mistake of every given app at once.
//!
//! Each app is compiled as `run` would, and nothing is started. What cannot be read is a finding (E0100) about that file
//! alone. Findings go to standard error, the JSON document or the listing of names to standard output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use velostream_sql::diag::{Diagnostic, Severity, to_json};
use velostream_sql::lint::{Outlined, outline, recommend};
use velostream_sql::reference;
use velostream_types::Span;

use crate::app::{self, Source, plural};
use crate::args::{SummaryArg, ValidateArgs};
use crate::explain::print;

/// Folders inside each other that are followed at most; a link to a parent ends here.
const DEPTH_MAX: usize = 32;

/// An app and what was found in it.
struct Validated {
    source: Source,
    diagnostics: Vec<Diagnostic>,
    statements: Vec<Outlined>,
    valid: bool,
}

/// Exit 0 when every app would deploy (with `--strict`: without a warning), else 1.
pub fn validate(args: &ValidateArgs) -> Result<ExitCode> {
    let is_json = args.output_format == SummaryArg::Json;
    let mut all = Vec::new();
    for source in sources(args) {
        let validated = source.map_or_else(unreadable, |source| compiled(args, source));
        if !is_json {
            app::show(&validated.diagnostics, &validated.source);
            eprintln!("{}: {}", validated.source.name, app::verdict(&validated.diagnostics));
        }
        all.push(validated);
    }
    let valid = all.iter().all(|validated| validated.valid);
    if is_json {
        print(&format!("{}\n", document(&all, valid)))?;
    } else {
        if all.len() > 1 {
            eprintln!("{}", total(&all));
        }
        if !args.no_reference {
            print(&reference::listing())?;
        }
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compiled(args: &ValidateArgs, source: Source) -> Validated {
    let app = app::check(&args.compile, &source);
    let valid = app::errors(&app.diagnostics) == 0;
    let mut diagnostics = app.diagnostics;
    if let Some(plan) = app.plan.as_ref().filter(|_| !args.no_recommendations) {
        diagnostics.extend(recommend(&source.text, plan));
    }
    let statements = outline(&source.text);
    Validated { valid, diagnostics, statements, source }
}

/// A file or folder of which nothing is known but why.
fn unreadable((name, reason): (String, String)) -> Validated {
    let mut diagnostic = Diagnostic::error("E0100", Span::default(), reason);
    diagnostic.primary = None;
    let source = app::immediate(&name, String::new());
    Validated { source, diagnostics: vec![diagnostic], statements: Vec::new(), valid: false }
}

impl Validated {
    /// Statements, and how many of them are without error.
    fn queries(&self) -> (usize, usize) {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let failed: BTreeSet<usize> = errors.filter_map(|d| self.statement_of(d)).collect();
        (self.statements.len(), self.statements.len() - failed.len())
    }

    /// Position of the statement a finding belongs to.
    fn statement_of(&self, diagnostic: &Diagnostic) -> Option<usize> {
        let numbered = diagnostic.statement.map(|number| number - 1);
        let placed = || {
            let at = diagnostic.primary.as_ref().filter(|label| label.origin.is_none())?.span.start;
            self.statements.iter().position(|s| s.span.start <= at && at < s.span.end)
        };
        numbered.or_else(placed).filter(|at| *at < self.statements.len())
    }

    fn document(&self) -> Value {
        let findings: Vec<Value> = self.diagnostics.iter().map(|d| self.finding(d)).collect();
        let mut object = Map::new();
        object.insert("file".into(), self.source.name.as_str().into());
        object.insert("valid".into(), self.valid.into());
        object.append(&mut counts(std::slice::from_ref(self)));
        object.insert("diagnostics".into(), findings.into());
        Value::Object(object)
    }

    /// The finding with number and name of its statement.
    fn finding(&self, diagnostic: &Diagnostic) -> Value {
        let mut value = to_json(diagnostic, &self.source.name, &self.source.text);
        let Some((at, object)) = self.statement_of(diagnostic).zip(value.as_object_mut()) else { return value };
        object.insert("statement".into(), (at + 1).into());
        if let Some(name) = &self.statements[at].name {
            object.insert("statement_name".into(), name.as_str().into());
        }
        value
    }
}

/// The JSON document; its schema is `validation.schema.json`.
fn document(all: &[Validated], valid: bool) -> Value {
    let mut object = Map::new();
    object.insert("valid".into(), valid.into());
    object.append(&mut counts(all));
    object.insert("files".into(), all.iter().map(Validated::document).collect());
    Value::Object(object)
}

fn counts(all: &[Validated]) -> Map<String, Value> {
    let (total, valid) =
        all.iter().map(Validated::queries).fold((0, 0), |sum, (total, valid)| (sum.0 + total, sum.1 + valid));
    let of = |severity| all.iter().map(|validated| app::count(&validated.diagnostics, severity)).sum::<usize>();
    let mut object = Map::new();
    object.insert("queries".into(), json!({ "total": total, "valid": valid }));
    object.insert("errors".into(), of(Severity::Error).into());
    object.insert("warnings".into(), of(Severity::Warning).into());
    object.insert("recommendations".into(), of(Severity::Recommendation).into());
    object
}

/// `3 files, 1 of them not valid; 12 statements, 2 of them with errors`
fn total(all: &[Validated]) -> String {
    let failed = all.iter().filter(|validated| !validated.valid).count();
    let (total, valid) =
        all.iter().map(Validated::queries).fold((0, 0), |sum, (total, valid)| (sum.0 + total, sum.1 + valid));
    let files = match failed {
        0 => format!("{}, all valid", plural(all.len(), "file")),
        failed => format!("{}, {failed} of them not valid", plural(all.len(), "file")),
    };
    match total - valid {
        0 => format!("{files}; {}", plural(total, "statement")),
        failed => format!("{files}; {}, {failed} of them with errors", plural(total, "statement")),
    }
}

/// The apps to validate, each once however often it is named; of those that cannot be read, name and reason.
fn sources(args: &ValidateArgs) -> Vec<Result<Source, (String, String)>> {
    if let Some(text) = &args.text {
        return vec![Ok(app::immediate("<-e>", text.clone()))];
    }
    let mut files: Vec<Result<PathBuf, (String, String)>> = Vec::new();
    for path in &args.paths {
        if !path.is_dir() {
            files.push(Ok(path.clone()));
            continue;
        }
        let mut below = Vec::new();
        let gathered = gather(path, 0, &mut below);
        let failed = |reason: String| Err((path.display().to_string(), reason));
        match gathered {
            Err(error) => files.push(failed(format!("{error:#}"))),
            Ok(()) if below.is_empty() => files.push(failed(format!("{} holds no *.sql file", path.display()))),
            Ok(()) => files.extend(below.into_iter().map(Ok)),
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| match file {
        Ok(path) => seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        Err(_) => true,
    });
    let read =
        |path: PathBuf| app::read_path(&path).map_err(|error| (path.display().to_string(), format!("{error:#}")));
    files.into_iter().map(|file| file.and_then(read)).collect()
}

/// The SQL files of a folder, at any depth, by name.
fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEPTH_MAX {
        bail!("{}: folders are nested too deeply", folder.display());
    }
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder).with_context(unreadable)?.collect();
    let mut paths: Vec<PathBuf> = entries.with_context(unreadable)?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(())
}
