//! `velo-sql validate`: every mistake of every given app at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use velostream_sql::diag::to_json;

use crate::app::{self, Source};
use crate::args::{SummaryArg, ValidateArgs};
use crate::explain::print;

/// Folders inside each other that are followed at most; a link to a parent ends here.
const DEPTH_MAX: usize = 32;

/// Exit 0 when every app would deploy (with `--strict`: without a warning), else 1.
pub fn validate(args: &ValidateArgs) -> Result<ExitCode> {
    let sources = sources(args)?;
    let (mut documents, mut valid) = (Vec::new(), true);
    for source in &sources {
        let app = app::check(&args.compile, source);
        valid &= app::errors(&app.diagnostics) == 0;
        if args.output_format == SummaryArg::Json {
            documents.push(document(&app, source));
        } else {
            app::show(&app.diagnostics, source);
            eprintln!("{}: {}", source.name, app::verdict(&app.diagnostics));
        }
    }
    if args.output_format == SummaryArg::Json {
        print(&format!("{}\n", json!({ "valid": valid, "files": documents })))?;
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found in one app.
fn document(app: &app::App, source: &Source) -> Value {
    let errors = app::errors(&app.diagnostics);
    let findings: Vec<_> = app.diagnostics.iter().map(|d| to_json(d, &source.name, &source.text)).collect();
    json!({
        "file": source.name,
        "valid": errors == 0,
        "errors": errors,
        "warnings": app.diagnostics.len() - errors,
        "diagnostics": findings,
    })
}

fn sources(args: &ValidateArgs) -> Result<Vec<Source>> {
    if let Some(text) = &args.text {
        return Ok(vec![app::immediate("<-e>", text.clone())]);
    }
    let mut files = Vec::new();
    for path in &args.paths {
        if path.is_dir() {
            let before = files.len();
            gather(path, 0, &mut files)?;
            if files.len() == before {
                bail!("{} holds no *.sql file", path.display());
            }
        } else {
            files.push(path.clone());
        }
    }
    files.iter().map(|path| app::read_path(path)).collect()
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
