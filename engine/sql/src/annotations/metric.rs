//! Metrics of a statement: `@metric` starts one, the `@metric_…` lines behind it fill it in.

use velostream_types::Span;

use super::{Annotation, keys};
use crate::diag::Diagnostic;

/// Kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Rows counted.
    Counter,
    /// Last value of a field.
    Gauge,
    /// Values of a field by bucket.
    Histogram,
}

/// Bounds of a histogram that names none: those Prometheus clients use.
pub const DEFAULT_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One metric, evaluated on the output rows of its statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, unique in the app.
    pub name: String,
    /// The `@metric` line.
    pub span: Span,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// Text for people.
    pub help: Option<String>,
    /// Columns whose values become labels; dots reach into nested columns.
    pub labels: Vec<String>,
    /// The line of the labels; without labels the metric's own.
    pub labels_span: Span,
    /// Column measured; counters have none.
    pub field: Option<String>,
    /// The line of the field; without one the metric's own.
    pub field_span: Span,
    /// SQL condition over the output row, and the line it stands in.
    pub condition: Option<(String, Span)>,
    /// Share of rows looked at, above 0 and at most 1.
    pub sample_rate: f64,
    /// Upper bounds of a histogram, ascending.
    pub buckets: Vec<f64>,
}

/// Gathers the metrics of all statements.
#[derive(Default)]
pub(super) struct Collector {
    open: Vec<Open>,
}

struct Open {
    statement: usize,
    /// `None` for a metric already reported as wrong: the lines behind it are its own and not the one before's.
    head: Option<Annotation>,
    parts: Vec<Annotation>,
}

impl Collector {
    /// Adds a `@metric` or `@metric_…` line of a statement.
    pub fn add(&mut self, statement: usize, annotation: Annotation, diagnostics: &mut Vec<Diagnostic>) {
        if annotation.name == "metric" {
            let heads = self.open.iter().filter_map(|o| o.head.as_ref());
            match heads.into_iter().find(|first| first.value == annotation.value) {
                Some(first) => {
                    let message = format!("metric \"{}\" is defined twice", annotation.value);
                    let diagnostic = Diagnostic::error("E0703", annotation.span, message).label("again here");
                    diagnostics.push(diagnostic.also(first.span, "first here").hint("give one of them another name"));
                    self.reject(statement);
                }
                None => self.open.push(Open { statement, head: Some(annotation), parts: Vec::new() }),
            }
            return;
        }
        match self.open.last_mut().filter(|o| o.statement == statement) {
            Some(open) => open.parts.push(annotation),
            None => {
                let message = format!("\"@{}\" stands in front of its \"@metric\"", annotation.name);
                let diagnostic = Diagnostic::error("E0704", annotation.span, message);
                diagnostics.push(diagnostic.hint("write -- @metric: name first; the lines behind it describe it"));
            }
        }
    }

    /// Starts a metric whose `@metric` line is wrong.
    pub fn reject(&mut self, statement: usize) {
        self.open.push(Open { statement, head: None, parts: Vec::new() });
    }

    /// The complete metrics with their statements; incomplete ones are reported.
    pub fn finish(self, diagnostics: &mut Vec<Diagnostic>) -> Vec<(usize, Metric)> {
        let mut found = Vec::new();
        for Open { statement, head, parts } in self.open {
            let Some(head) = head else { continue };
            match complete(&head, &parts) {
                Ok(metric) => found.push((statement, metric)),
                Err(missing) => {
                    let message = format!("metric \"{}\" has no \"@{missing}\"", head.value);
                    let diagnostic = Diagnostic::error("E0705", head.span, message);
                    let hint =
                        if missing == "metric_type" { "counter, gauge or histogram" } else { "the column it measures" };
                    diagnostics.push(diagnostic.hint(format!("add -- @{missing}: {hint}")));
                }
            }
        }
        found
    }
}

/// The metric of a head and its parts, or the part that is missing.
fn complete(head: &Annotation, parts: &[Annotation]) -> Result<Metric, &'static str> {
    let part = |name: &str| parts.iter().rev().find(|p| p.name == name);
    let text = |name: &str| part(name).map(|p| p.value.clone());
    let kind = match text("metric_type").ok_or("metric_type")?.to_ascii_lowercase().as_str() {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        _ => MetricKind::Histogram,
    };
    let field = text("metric_field").filter(|_| kind != MetricKind::Counter);
    if kind != MetricKind::Counter && field.is_none() {
        return Err("metric_field");
    }
    let line = |name: &str| part(name).map_or(head.span, |p| p.span);
    let labels = text("metric_labels").unwrap_or_default();
    Ok(Metric {
        name: head.value.clone(),
        span: head.span,
        kind,
        help: text("metric_help"),
        labels: labels.split(',').map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect(),
        labels_span: line("metric_labels"),
        field,
        field_span: line("metric_field"),
        condition: part("metric_condition").map(|p| (p.value.clone(), p.span)),
        sample_rate: text("metric_sample_rate").and_then(|r| r.parse().ok()).unwrap_or(1.0),
        buckets: text("metric_buckets").and_then(|b| keys::buckets(&b)).unwrap_or_else(|| DEFAULT_BUCKETS.to_vec()),
    })
}
