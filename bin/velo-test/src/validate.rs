//! `velo-test validate`: which statements of which apps are wrong, before anything is published.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use velostream_harness::app::deploy::App;
use velostream_harness::app::validate::{Invalid, Validated, validate};
use velostream_spec::load::find;
use velostream_sql::diag::{Diagnostic, line, render};
use velostream_sql::outline::outline;

use crate::output::{print, style};

const NOTES: &str =
    "Sources are files that are looked at, and topics that are not: a statement over a topic is judged if \
the app declares its columns. velo-sql validate finds more, recommendations among it.

Exit codes: 0 all statements are valid; 1 one is not, or a file cannot be read; 2 wrong usage.";

/// Command line of `validate`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct ValidateArgs {
    /// SQL files, and folders with SQL files
    #[arg(required = true, value_name = "SQL")]
    paths: Vec<PathBuf>,
}

/// Validates apps and prints what is wrong with each.
pub fn run(args: &ValidateArgs, verbose: bool) -> Result<ExitCode> {
    let (mut out, mut files, mut failed) = (String::new(), 0, 0);
    for path in args.paths.iter().flat_map(|path| sql_files(path)) {
        files += 1;
        let is_valid = match path.and_then(|path| read(&path)) {
            Ok(app) => {
                let validated = validate(&app, &|name| std::env::var(name).ok());
                describe(&mut out, &app, &validated);
                if verbose {
                    show_statements(&app, &validated);
                }
                validated.is_valid()
            }
            Err(error) => {
                out.push_str(&format!("{error}\n"));
                false
            }
        };
        failed += usize::from(!is_valid);
    }
    if files > 1 {
        let verdict = if failed == 0 { "all valid".to_owned() } else { format!("{failed} not valid") };
        out.push_str(&format!("{files} files, {verdict}\n"));
    }
    print(&out)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file, or the SQL files of a folder by name.
fn sql_files(path: &Path) -> Vec<Result<PathBuf, String>> {
    if !path.is_dir() {
        let found = find::sql_file(path, &|path: &Path| path.exists());
        return vec![found.map_err(|missing| format!("error: {missing}"))];
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return vec![Err(format!("error: cannot read {}: {error}", path.display()))],
    };
    let is_sql = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|extension| extension == "sql");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_sql).collect();
    files.sort();
    if files.is_empty() {
        return vec![Err(format!("error: {} has no *.sql file", path.display()))];
    }
    files.into_iter().map(Ok).collect()
}

fn read(path: &Path) -> Result<App, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("error: cannot read {}: {e}", path.display()))?;
    Ok(App {
        shown: path.display().to_string(),
        base_dir: path.parent().map(Path::to_path_buf).unwrap_or_default(),
        name: path.file_stem().map_or_else(|| "app".to_owned(), |stem| stem.to_string_lossy().into_owned()),
        text,
    })
}

/// One line of counts, then what is wrong.
fn describe(out: &mut String, app: &App, validated: &Validated) {
    let Validated { name, total, invalid, general, warnings } = validated;
    let statements = if *total == 1 { "1 statement".to_owned() } else { format!("{total} statements") };
    let valid = total - invalid.len();
    let _ = writeln!(out, "{}: app {name}, {statements}: {valid} valid, {} invalid", app.shown, invalid.len());
    let colour = style().colour;
    general.iter().for_each(|finding| write_error(out, app, finding, colour));
    for Invalid { number, line, name, errors } in invalid {
        let name = name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        let _ = writeln!(out, "\nstatement {number}{name}, line {line}:");
        errors.iter().for_each(|finding| write_error(out, app, finding, colour));
    }
    for finding in warnings {
        let _ = writeln!(out, "{}", line(finding, &app.shown, &app.text, colour));
    }
}

/// The text of the statements that are not valid, on standard error.
fn show_statements(app: &App, validated: &Validated) {
    let outlines = outline(&app.text);
    for Invalid { number, line, .. } in &validated.invalid {
        let Some(statement) = outlines.iter().find(|outline| outline.number == *number) else { continue };
        eprintln!("{}, statement {number}:", app.shown);
        let text = &app.text[statement.span.start as usize..statement.span.end as usize];
        for (n, text) in (*line..).zip(text.lines()) {
            eprintln!("{n:>5} | {text}");
        }
    }
}

fn write_error(out: &mut String, app: &App, finding: &Diagnostic, colour: bool) {
    let _ = writeln!(out, "{}", render(finding, &app.shown, &app.text, colour).trim_end());
}
