//! `velo-test run`: the tests of an app, or of all apps of a folder, on the production engine and a broker inside this
//! process.

mod load;
mod one;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use velostream_runtime::clock::monotonic;
use velostream_runtime::stop::{StopHandle, StopReason};
use velostream_spec::report::{
    AppResult, QueryReport, Style, Suite, json, junit, suite_json, suite_junit, suite_text, text,
};
use velostream_types::time::{NS_PER_MS, parse_instant};

use one::Session;

const NOTES: &str = "Examples:
  velo-test run app.sql
      app.test.yaml beside it says what is published and what has to come out
  velo-test run app.sql --query high_value -o json
      one query of it, as a document for programs
  velo-test run demo/test_harness_examples/tier1_basic -o junit > report.xml
      every app of a folder that has a spec, in one report

Specs and data schemas: docs/velo-test.md.

Exit codes: 0 all assertions hold; 1 one does not, a query failed, or a file is wrong; 2 wrong usage; 130 interrupted.";

/// Command line of `run`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct RunArgs {
    /// An SQL file, or a folder with specs beside SQL files
    sql: PathBuf,
    /// The spec [default: found beside the SQL file]
    #[arg(short, long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Folder of the data schemas [default: schemas/ beside the SQL file]
    #[arg(long, value_name = "FOLDER")]
    schemas: Option<PathBuf>,
    /// Run only this query test, even one that is to be skipped
    #[arg(short, long, value_name = "NAME")]
    query: Option<String>,
    /// Form of the report
    #[arg(short, long, value_enum, default_value = "text")]
    output: OutputForm,
    /// How long a query may take where the spec does not say [default: 30000]
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Seed of the generated records [default: that of the schemas, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Time of day of the run [default: the spec's, with a seed 2025-01-01T12:00:00Z, else the clock]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<i64>,
    /// Shards of each job
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: u16,
    /// Let jobs read and write through the production client and its sockets instead of direct calls
    #[arg(long)]
    production_client: bool,
    /// Answer questions with yes; there are none where no terminal is
    #[arg(short, long)]
    yes: bool,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    /// For people
    Text,
    /// For programs
    Json,
    /// For build servers
    #[value(alias = "xml")]
    Junit,
}

fn instant(text: &str) -> Result<i64, String> {
    parse_instant(text)
        .map(|ns| ns / NS_PER_MS)
        .ok_or_else(|| "expected a time such as 2025-01-01T12:00:00Z".to_owned())
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let stop = StopHandle::new();
    stop.install_signals().context("cannot listen to INT and TERM")?;
    let session = Session::start(stop.clone()).context("the embedded broker did not start")?;
    let code = if args.sql.is_dir() { folder(args, &session)? } else { app(args, &session)? };
    Ok(match stop.reason() {
        Some(StopReason::Signal(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        _ => code,
    })
}

fn app(args: &RunArgs, session: &Session) -> Result<ExitCode> {
    let files = match load::load(&args.sql, args.spec.as_deref(), args.schemas.as_deref()) {
        Ok(files) => files,
        Err(error) => return refused(&error),
    };
    if let Some(name) = args.query.as_ref().filter(|name| files.spec.queries.iter().all(|q| q.name != **name)) {
        let names: Vec<&str> = files.spec.queries.iter().map(|q| q.name.as_str()).collect();
        return refused(&format!("error: the spec has no query \"{name}\"; its queries are {}", names.join(", ")));
    }
    let report = session.run(&files, &one::Options::of(args), &mut progress(args.output));
    show(args.output, text(&report, style()), || json(&report), || junit(&report))?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folder(args: &RunArgs, session: &Session) -> Result<ExitCode> {
    let found = load::in_folder(&args.sql);
    if found.is_empty() {
        return refused(&format!(
            "error: {} has no spec: looked for NAME.test.yaml with NAME.sql beside it, for test_spec.yaml, and in \
             folders called tier… and getting_started",
            args.sql.display()
        ));
    }
    let begun = monotonic();
    let start_time = one::now_text();
    let mut apps = Vec::new();
    for (sql, spec) in found {
        if session.is_stopped() {
            break;
        }
        let began = monotonic();
        let name = sql.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let mut result = AppResult { name, ..AppResult::default() };
        match load::load(&sql, Some(&spec), args.schemas.as_deref()) {
            Ok(files) => result.report = Some(session.run(&files, &one::Options::of(args), &mut progress(args.output))),
            Err(error) => result.error = Some(error),
        }
        result.duration_ms = one::millis(began.elapsed());
        apps.push(result);
    }
    let title = args.sql.display().to_string();
    let suite = Suite { title, start_time, end_time: one::now_text(), duration_ms: one::millis(begun.elapsed()), apps };
    show(args.output, suite_text(&suite, style()), || suite_json(&suite), || suite_junit(&suite))?;
    Ok(if suite.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong before anything was run.
fn refused(error: &str) -> Result<ExitCode> {
    eprintln!("{error}");
    Ok(ExitCode::FAILURE)
}

fn style() -> Style {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    Style { colour: std::io::stdout().is_terminal() && !is_plain }
}

/// Only the document goes to standard output.
fn show(form: OutputForm, text: String, json: impl FnOnce() -> String, junit: impl FnOnce() -> String) -> Result<()> {
    let document = match form {
        OutputForm::Text => text,
        OutputForm::Json => json(),
        OutputForm::Junit => junit(),
    };
    let mut out = std::io::stdout().lock();
    let end = if document.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{document}{end}").and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the report"),
    }
}

/// Lines about queries while they run, on a terminal only.
fn progress(form: OutputForm) -> impl FnMut(&str, Option<&QueryReport>) {
    let shown = form == OutputForm::Text && std::io::stderr().is_terminal();
    move |name, ended| {
        if !shown {
            return;
        }
        match ended {
            None => eprint!("  {name} …"),
            Some(query) => eprintln!("\r  {name}: {} in {} ms", query.status.name(), query.duration_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_ms() {
        assert_eq!(instant("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert!(instant("soon").is_err());
    }
}
