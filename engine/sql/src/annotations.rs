//! Annotations: `-- @name: value` lines of a SQL text, and the older header lines (`-- SQL Application: …`).
//!
//! Lines in front of the first statement that name properties of the app belong to the app; all others belong to the
//! statement they precede or stand in, and override the app there. Values only: what they do is decided by who reads
//! them.

mod failure;
mod keys;
mod metric;
mod scan;

use velostream_types::Span;

use self::keys::{Known, Level};
pub use self::metric::{DEFAULT_BUCKETS, Metric, MetricKind};
use crate::diag::Diagnostic;
use crate::plan::AppPlan;
use crate::props::{Env, VarError, expand};
use crate::suggest;

/// One annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Main spelling (`app` for `application`, `num_partitions` for `partition-count`).
    pub name: String,
    /// Value without note and quotes, variables replaced.
    pub value: String,
    /// From the `@` (or the header's first letter) to the end of the line.
    pub span: Span,
}

/// Annotations of the app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppAnnotations {
    /// All of them, in order; `tag` and `property` from older headers may come several times.
    pub entries: Vec<Annotation>,
}

/// Annotations of one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatementAnnotations {
    /// All of them but the metrics', in order.
    pub entries: Vec<Annotation>,
    /// Its metrics, in order.
    pub metrics: Vec<Metric>,
}

impl AppAnnotations {
    /// Value of an annotation by its main spelling; the last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        last(&self.entries, name)
    }

    /// The app's name, from `@app` or the older header.
    pub fn app_name(&self) -> Option<&str> {
        self.get("app")
    }

    /// A value that is a list: parts between commas.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let inner = self.get(name).unwrap_or_default();
        inner.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
    }
}

impl StatementAnnotations {
    /// Value of the statement's own annotation.
    pub fn get(&self, name: &str) -> Option<&str> {
        last(&self.entries, name)
    }

    /// `@name`: the job's name.
    pub fn job_name(&self) -> Option<&str> {
        self.get("name")
    }

    /// The value that holds for the statement: its own, else the app's.
    pub fn effective<'a>(&'a self, app: &'a AppAnnotations, name: &str) -> Option<&'a str> {
        self.get(name).or_else(|| app.get(name))
    }
}

fn last<'a>(entries: &'a [Annotation], name: &str) -> Option<&'a str> {
    entries.iter().rev().find(|a| a.name == name).map(|a| a.value.as_str())
}

/// Reads the annotations of a text. `statements` are the ranges of its statements, in order; `env` gives variables.
pub fn parse_annotations(
    text: &str,
    statements: &[Span],
    env: Env<'_>,
) -> (AppAnnotations, Vec<StatementAnnotations>, Vec<Diagnostic>) {
    let mut reader = Reader {
        statements,
        env,
        app: AppAnnotations::default(),
        legacy: Vec::new(),
        found: vec![StatementAnnotations::default(); statements.len()],
        metrics: metric::Collector::default(),
        diagnostics: Vec::new(),
    };
    for (at, content) in scan::comment_lines(text) {
        let trimmed = content.trim_start();
        let start = at + content.len() - trimmed.len();
        let trimmed = trimmed.trim_end();
        let span = Span::new(start as u32, (start + trimmed.len()) as u32);
        match trimmed.strip_prefix('@') {
            Some(rest) => reader.annotation(rest, span),
            None => reader.header(trimmed, span),
        }
    }
    reader.finish()
}

/// Reads the annotations of a text and gives its plan the names they say (the app's, and from it and the jobs' the
/// consumer groups nobody named) and what becomes of bad records. Which statement a line belongs to is known of a sound app only; of others the lines'
/// own mistakes are told.
pub fn annotate(plan: Option<&mut AppPlan>, text: &str, env: Env<'_>) -> Vec<Diagnostic> {
    let mut order: Vec<(Span, usize)> =
        plan.iter().flat_map(|plan| &plan.statements).enumerate().map(|(i, s)| (s.span, i)).collect();
    order.sort_by_key(|(span, _)| span.start);
    let spans: Vec<Span> = order.iter().map(|(span, _)| *span).collect();
    let (app, statements, mut found) = parse_annotations(text, &spans, env);
    // Numbers count queries here, but all statements elsewhere.
    found.iter_mut().for_each(|d| d.statement = None);
    let Some(plan) = plan else {
        found.retain(|d| d.code != "W0702");
        return found;
    };
    if let Some(name) = app.app_name() {
        plan.name = name.to_owned();
    }
    for ((_, statement), annotations) in order.iter().zip(&statements) {
        failure::apply(plan, *statement, annotations);
    }
    let job = |statement: usize| {
        let at = order.iter().position(|(_, i)| *i == statement)?;
        statements[at].job_name().map(str::to_owned)
    };
    plan.name_groups(job);
    found
}

struct Reader<'r> {
    statements: &'r [Span],
    env: Env<'r>,
    app: AppAnnotations,
    /// From older headers; annotations count more.
    legacy: Vec<Annotation>,
    found: Vec<StatementAnnotations>,
    metrics: metric::Collector,
    diagnostics: Vec<Diagnostic>,
}

/// Older header lines and what they are called now.
const HEADERS: &[(&str, &str)] = &[
    ("SQL Application", "app"),
    ("Version", "version"),
    ("Description", "description"),
    ("Author", "author"),
    ("Dependencies", "depends_on"),
    ("Tag", "tag"),
    ("Property", "property"),
];

impl Reader<'_> {
    /// The statement a line belongs to: the one it stands in or the next one. `None` behind the last.
    fn statement_of(&self, span: Span) -> Option<usize> {
        let at = self.statements.partition_point(|s| s.end <= span.start);
        (at < self.statements.len()).then_some(at)
    }

    fn is_head(&self, span: Span) -> bool {
        self.statements.first().is_none_or(|first| span.end <= first.start)
    }

    /// A line `@rest`.
    fn annotation(&mut self, rest: &str, span: Span) {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let colon = tail.trim_start().strip_prefix(':');
        let known = keys::find(name);
        let suggestion = suggest::closest(name, keys::spellings());
        if colon.is_none() && (known.is_some() || suggestion.is_some()) {
            let diagnostic = Diagnostic::error("E0701", span, format!("annotation \"@{name}\" has no colon"));
            let meant = if known.is_some() { name } else { suggestion.unwrap_or(name) };
            self.diagnostics.push(diagnostic.hint(format!("write -- @{meant}: value")));
            return;
        }
        let Some((name, known)) = known else {
            let diagnostic = Diagnostic::warning("W0701", span, format!("annotation \"@{name}\" is not known"));
            self.diagnostics.push(match suggestion {
                Some(near) => diagnostic.hint(format!("did you mean \"@{near}\"?")),
                None => diagnostic.hint("it has no effect; a comment may not start with @"),
            });
            return;
        };
        let Some(value) = self.expanded(scan::value(colon.unwrap_or_default()), span) else { return };
        if let Some(expected) = keys::expected(known.domain, &value) {
            let diagnostic =
                Diagnostic::error("E0702", span, format!("annotation \"@{name}\" has the bad value \"{value}\""));
            self.diagnostics.push(diagnostic.detail(format!("expected {expected}")));
            if let ("metric", Some(statement)) = (name.as_str(), self.statement_of(span)) {
                self.metrics.reject(statement);
            }
            return;
        }
        self.place(known, Annotation { name, value, span });
    }

    fn expanded(&mut self, value: &str, span: Span) -> Option<String> {
        let error = match expand(value, self.env) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.diagnostics.push(match error {
            VarError::Unset { name, message } => {
                let why = message.unwrap_or_else(|| "it is not set".to_owned());
                Diagnostic::error("E0518", span, format!("the annotation needs the variable {name}: {why}"))
                    .hint(format!("set it, or write a default: ${{{name}:default}}"))
            }
            VarError::Malformed { reason } => {
                Diagnostic::error("E0519", span, format!("the annotation has a malformed variable: {reason}"))
            }
        });
        None
    }

    /// Puts an annotation where it belongs.
    fn place(&mut self, known: &Known, annotation: Annotation) {
        if annotation.name == "job_mode" && annotation.value.eq_ignore_ascii_case("transactional") {
            let message = "@job_mode: transactional is not supported yet";
            let hint = "results are delivered at least once; remove the annotation";
            self.diagnostics.push(Diagnostic::error("E0902", annotation.span, message).hint(hint));
        }
        let statement = self.statement_of(annotation.span);
        let is_head = self.is_head(annotation.span);
        if known.level == Level::App && is_head {
            self.app.entries.push(annotation);
            return;
        }
        let Some(statement) = statement else {
            let message = format!("annotation \"@{}\" belongs to no statement", annotation.name);
            let hint = "put it in front of the statement it is about";
            self.diagnostics.push(Diagnostic::warning("W0702", annotation.span, message).hint(hint));
            return;
        };
        if annotation.name == "app" {
            let message = "annotation \"@app\" has no effect here";
            let hint = "put it at the head of the file, in front of the first statement";
            self.diagnostics.push(Diagnostic::warning("W0702", annotation.span, message).hint(hint));
        } else if known.level == Level::Metric {
            self.metrics.add(statement, annotation, &mut self.diagnostics);
        } else {
            self.found[statement].entries.push(annotation);
        }
    }

    /// A comment line that may be an older header.
    fn header(&mut self, line: &str, span: Span) {
        let Some((title, rest)) = line.split_once(':') else { return };
        let value = scan::value(rest);
        if value.is_empty() {
            return;
        }
        let is_name = title == "Name" && keys::expected(keys::Domain::Name, value).is_none();
        let header = HEADERS.iter().find(|(t, _)| *t == title).filter(|_| self.is_head(span));
        let Some(name) = header.map(|(_, name)| *name).or_else(|| is_name.then_some("name")) else { return };
        let Some(value) = self.expanded(value, span) else { return };
        let annotation = Annotation { name: name.to_owned(), value, span };
        match (name, self.statement_of(span)) {
            ("name", Some(statement)) => self.found[statement].entries.insert(0, annotation),
            ("name", None) => {}
            _ => self.legacy.push(annotation),
        }
    }

    fn finish(mut self) -> (AppAnnotations, Vec<StatementAnnotations>, Vec<Diagnostic>) {
        let titled = self.legacy.iter().any(|a| a.name == "app");
        // Without its title line, `-- Version: …` is a plain comment.
        if titled {
            self.app.entries.splice(0..0, self.legacy);
        }
        for (statement, metric) in self.metrics.finish(&mut self.diagnostics) {
            self.found[statement].metrics.push(metric);
        }
        self.diagnostics.sort_by_key(|d| d.primary.as_ref().map(|l| l.span.start));
        for diagnostic in &mut self.diagnostics {
            let at = diagnostic.primary.as_ref().map_or(0, |l| l.span.start);
            let statement = self.statements.partition_point(|s| s.end <= at);
            diagnostic.statement = (statement < self.statements.len()).then_some(statement + 1);
        }
        (self.app, self.found, self.diagnostics)
    }
}

#[cfg(test)]
mod tests;
