//! From arguments to a compiled app and its findings: reads the text, resolves properties, binds, reads annotations.
//!
//! Findings come in the order of the text; those about the command line first. With `--strict` all of them are errors,
//! and a plan exists exactly when there is no error.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use velostream_kafka::Kafka;
use velostream_runtime::catalog::FileCatalog;
use velostream_runtime::io::memory::Topics;
use velostream_runtime::job::checkpoint::{RememberingCatalog, SampledTypes};
use velostream_sql::annotations::annotate;
use velostream_sql::diag::{Diagnostic, Severity, line, render};
use velostream_sql::endpoint::WithEntry;
use velostream_sql::plan::{AppPlan, SinkFormat};
use velostream_sql::props::{Resolved, Resolver};
use velostream_sql::{BindOptions, Compiled, compile as compile_text};
use velostream_types::Span;

use crate::args::{Compile, Sql};

/// An app's text and where it came from.
pub struct Source {
    /// As shown in diagnostics.
    pub name: String,
    /// The SQL.
    pub text: String,
    /// Folder relative paths resolve from; empty is the current one.
    pub base_dir: PathBuf,
    /// File stem, or `query`.
    pub app_name: String,
}

/// What became of a text.
pub struct App {
    /// The plan; `None` when there is an error among the findings, or what does not run yet.
    pub plan: Option<AppPlan>,
    /// What was found.
    pub diagnostics: Vec<Diagnostic>,
    /// EXPLAIN stands in front of a statement: the plan is to be shown, not run.
    pub explained: bool,
    /// One of them was EXPLAIN VERBOSE.
    pub verbose: bool,
    /// Who gave each property.
    pub origins: Vec<Resolved>,
    /// What undeclared sources have.
    pub types: SampledTypes,
}

/// Reads the SQL a command was given.
pub fn read(sql: &Sql) -> Result<Source> {
    match (&sql.text, &sql.file) {
        (Some(text), _) => Ok(immediate("<-e>", text.clone())),
        (None, Some(path)) => read_path(path),
        // clap requires one of the two.
        (None, None) => Ok(immediate("<-e>", String::new())),
    }
}

/// SQL that has no file; its paths resolve from the current folder.
pub fn immediate(name: &str, text: String) -> Source {
    Source { name: name.to_owned(), text, base_dir: PathBuf::new(), app_name: "query".to_owned() }
}

/// Reads a file, or standard input for `-`.
pub fn read_path(path: &Path) -> Result<Source> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read SQL from standard input")?;
        return Ok(immediate("<stdin>", text));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let base_dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let app_name = path.file_stem().map_or_else(|| "app".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(Source { name: path.display().to_string(), text, base_dir, app_name })
}

/// Compiles the app to run or show it; nothing is printed. What is right and does not run yet is an error.
pub fn compile(args: &Compile, source: &Source, stdout_format: SinkFormat, topics: &Topics) -> App {
    compile_knowing(args, source, stdout_format, topics, SampledTypes::default())
}

/// The same where the types of samples are known from an earlier start.
pub fn compile_knowing(
    args: &Compile,
    source: &Source,
    stdout_format: SinkFormat,
    topics: &Topics,
    known: SampledTypes,
) -> App {
    compile_for(args, source, stdout_format, topics, known, |compiled| compiled.cannot_run.clone())
}

/// Compiles the app to tell what is wrong with its text: what is right and does not run yet is a warning.
pub fn check(args: &Compile, source: &Source) -> App {
    let (topics, known) = (Topics::default(), SampledTypes::default());
    compile_for(args, source, SinkFormat::JsonLines, &topics, known, |compiled| compiled.as_warnings().collect())
}

fn compile_for(
    args: &Compile,
    source: &Source,
    stdout_format: SinkFormat,
    topics: &Topics,
    known: SampledTypes,
    cannot_run: impl Fn(&Compiled) -> Vec<Diagnostic>,
) -> App {
    let env = |name: &str| std::env::var(name).ok();
    let global = |(key, value): &(String, String)| {
        let span = Span::default();
        WithEntry { key: key.clone(), key_span: span, value: value.clone(), value_span: span }
    };
    // The last --set of a key counts; the resolver takes the first.
    let globals = args.set.iter().rev().map(global).collect();
    let mut endpoints = Resolver::new(source.base_dir.clone(), &env, globals, args.follow)
        .with_brokers(args.brokers.clone())
        .with_text(&source.name, &source.text);
    let options = BindOptions {
        app_name: source.app_name.clone(),
        base_dir: source.base_dir.clone(),
        stdout_format,
        follow: args.follow,
        until_end: false,
        strict: args.strict,
    };
    let catalog = FileCatalog::with_topics(topics.clone()).with_broker(Arc::new(Kafka), Box::new(waiter()));
    let mut catalog = RememberingCatalog::new(catalog, known);
    let compiled = compile_text(&source.text, &options, &mut endpoints, &mut catalog);
    let later = cannot_run(&compiled);
    let mut plan = compiled.plan;
    let mut blocked = compiled.blocked;
    let mut found = compiled.diagnostics;
    found.extend(later);
    found.extend(endpoints.finish());
    found.extend(annotate(plan.as_mut().or(blocked.as_mut()), &source.text, &env));
    if args.strict {
        found.iter_mut().for_each(|d| d.severity = Severity::Error);
    }
    found.sort_by_key(|d| d.primary.as_ref().map(|place| (place.origin.is_some(), place.span.start)));
    let plan = plan.filter(|_| errors(&found) == 0);
    App {
        plan,
        diagnostics: found,
        explained: !compiled.explain.is_empty(),
        verbose: compiled.explain_verbose,
        origins: endpoints.origins().to_vec(),
        types: catalog.into_types(),
    }
}

/// Waits for the first record of a topic without types, saying so now and then.
fn waiter() -> impl FnMut(&str, Option<Duration>) -> bool {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    move |topic, longest| {
        if longest.is_some_and(|longest| waited >= longest) {
            return false;
        }
        if waited.is_zero() || waited.as_millis().is_multiple_of(10_000) {
            eprintln!("waiting for the first record of topic {topic}, which says what types it has");
        }
        waited += PAUSE;
        std::thread::park_timeout(PAUSE);
        true
    }
}

/// Prints findings on standard error, errors behind warnings so that they stand next to the prompt; recommendations last,
/// a line each.
pub fn show(diagnostics: &[Diagnostic], source: &Source) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    for severity in [Severity::Warning, Severity::Error] {
        for d in diagnostics.iter().filter(|d| d.severity == severity) {
            eprintln!("{}", render(d, &source.name, &source.text, color).trim_end_matches('\n'));
            eprintln!();
        }
    }
    let mut advice = diagnostics.iter().filter(|d| d.severity == Severity::Recommendation).peekable();
    let is_any = advice.peek().is_some();
    advice.for_each(|d| eprintln!("{}", line(d, &source.name, &source.text, color)));
    if is_any {
        eprintln!();
    }
}

/// Number of errors.
pub fn errors(diagnostics: &[Diagnostic]) -> usize {
    count(diagnostics, Severity::Error)
}

/// Number of findings of this kind.
pub fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|d| d.severity == severity).count()
}

/// `valid`, or `not valid`, with the number of findings of each kind.
pub fn verdict(diagnostics: &[Diagnostic]) -> String {
    let verdict = if errors(diagnostics) == 0 { "valid" } else { "not valid" };
    let counted = [Severity::Error, Severity::Warning, Severity::Recommendation].map(|s| (count(diagnostics, s), s));
    let parts: Vec<String> =
        counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, severity)| plural(n, severity.word())).collect();
    if parts.is_empty() { verdict.to_owned() } else { format!("{verdict} ({})", parts.join(", ")) }
}

/// `1 error`, `2 errors`.
pub fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}
