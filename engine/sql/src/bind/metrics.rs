//! `@metric` annotations: their labels, fields and conditions as expressions over the rows that reach the statement's sink.
//!
//! They see the columns of the result by name, and nothing else. Where a column reaches the sink in another form than its
//! value (as the text it was written in, or not at all because records pass through), the value is handed to the sink behind
//! the columns of its schema; what the sink writes stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use velostream_types::{DataType, Field, Schema, Span};

use super::expr::cast_to;
use super::scope::{Rel, Scope, system_column};
use super::{Binder, graph, headers, typing, written};
use crate::annotations::{Metric, parse_annotations};
use crate::diag::{Diagnostic, Severity};
use crate::endpoint::Endpoints;
use crate::parse::ast::{self, Role, Statement, StatementKind};
use crate::parse::parse_expr;
use crate::plan::{Expr, MetricLabel, MetricSpec};

/// The metrics of a text by the numbers of their statements. What is wrong with the lines themselves is told by
/// `annotations::annotate`.
pub(super) fn of_statements(
    text: &str,
    statements: &[Statement],
    endpoints: &dyn Endpoints,
) -> BTreeMap<usize, Vec<Metric>> {
    if !text.contains("@metric") {
        return BTreeMap::new();
    }
    let targets: BTreeSet<&str> = statements.iter().filter_map(written).collect();
    let has_rows = |statement: &&Statement| match &statement.kind {
        StatementKind::Create(create) => !matches!(create.role, Role::Inline { .. }),
        StatementKind::Declare(declare) => targets.contains(declare.name.name.as_str()),
        StatementKind::Query(_) | StatementKind::Insert(_) | StatementKind::Change(_) => true,
        StatementKind::Set(_) => false,
    };
    let mut places: Vec<(Span, usize)> = statements.iter().filter(has_rows).map(|s| (s.span, s.number)).collect();
    places.sort_by_key(|(span, _)| span.start);
    let spans: Vec<Span> = places.iter().map(|(span, _)| *span).collect();
    let (_, found, _) = parse_annotations(text, &spans, &|name| endpoints.variable(name));
    let metrics = places.iter().zip(found).filter(|(_, own)| !own.metrics.is_empty());
    metrics.map(|((_, number), own)| (*number, own.metrics)).collect()
}

/// Metrics over the columns of a result.
#[derive(Default)]
pub(super) struct Measured(pub Vec<MetricSpec>);

impl Measured {
    /// Columns they look at.
    fn columns(&mut self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        self.each(|column| {
            found.insert(*column);
        });
        found
    }

    fn each(&mut self, mut f: impl FnMut(&mut usize)) {
        self.0.iter_mut().flat_map(MetricSpec::exprs_mut).for_each(|expr| graph::columns(expr, &mut f));
    }

    /// Lets `exprs` hold the values where these are another form of them.
    pub fn prefer_values(&mut self, values: &[Expr], exprs: &mut [Expr]) {
        self.columns().into_iter().for_each(|at| exprs[at] = values[at].clone());
    }

    /// Puts values behind `exprs` where these hold another form of them.
    pub fn keep_values(&mut self, values: &[Expr], exprs: &mut Vec<Expr>, fields: &mut Vec<Field>) {
        let changed = |at: &usize| exprs.get(*at).is_some_and(|expr| expr.kind != values[*at].kind);
        let wanted: Vec<usize> = self.columns().into_iter().filter(changed).collect();
        let mut moved = BTreeMap::new();
        for at in wanted {
            moved.insert(at, exprs.len());
            exprs.push(values[at].clone());
            fields.push(fields[at].clone());
        }
        self.each(|column| *column = moved.get(column).copied().unwrap_or(*column));
    }

    /// The columns alone, for a sink that gets no others: expressions and fields in their new places.
    pub fn alone(&mut self, values: &[Expr], fields: &[Field]) -> (Vec<Expr>, Vec<Field>) {
        let columns: Vec<usize> = self.columns().into_iter().collect();
        let place = |at: usize| columns.iter().position(|column| *column == at).unwrap_or(at);
        self.each(|column| *column = place(*column));
        columns.iter().map(|at| (values[*at].clone(), fields[*at].clone())).unzip()
    }
}

/// Where a part of an annotation stands: what was found in it is told there.
#[derive(Clone, Copy)]
struct Place {
    /// First byte of the part; `None` where variables were replaced in it.
    at: Option<u32>,
    line: Span,
}

impl Place {
    /// The place of `part` in an annotation's line, not before byte `from` of the text.
    fn of(text: &str, line: Span, part: &str, from: u32) -> Place {
        let written = text.get(line.start as usize..line.end as usize).unwrap_or_default();
        let colon = line.start + written.find(':').map_or(0, |at| at as u32 + 1);
        let from = from.max(colon);
        let rest = text.get(from as usize..line.end as usize).unwrap_or_default();
        Place { at: rest.find(part).map(|at| from + at as u32), line }
    }

    fn span(self, span: Span) -> Span {
        match self.at {
            Some(at) => Span::new(at + span.start, at + span.end),
            None => self.line,
        }
    }

    fn told(self, mut diagnostic: Diagnostic) -> Diagnostic {
        for label in diagnostic.primary.iter_mut().chain(&mut diagnostic.secondary) {
            label.span = self.span(label.span);
        }
        diagnostic
    }
}

impl Binder<'_> {
    /// The metrics of the statement that is being bound, over columns of these fields at `node`; they are handed out once.
    pub(super) fn measured(&mut self, name: &str, node: usize, fields: &[Field]) -> Measured {
        let Some(metrics) = self.metrics.remove(&self.number) else { return Measured::default() };
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let mut specs = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let rel = || Rel::new(name, node, Arc::clone(&schema));
            specs.extend(self.metric(metric, &rel));
        }
        Measured(specs)
    }

    fn metric(&mut self, metric: Metric, rel: &dyn Fn() -> Rel) -> Option<MetricSpec> {
        let text = self.text;
        let mut labels = Some(Vec::new());
        let mut from = 0;
        for label in &metric.labels {
            let place = Place::of(text, metric.labels_span, label, from);
            from = place.at.map_or(0, |at| at + label.len() as u32);
            let value = self.part("@metric_labels", label, place, rel, false);
            let value = value.and_then(|value| self.label_text(value, label, place));
            let name = label.replace('`', "").replace('.', "_");
            labels = labels.zip(value).map(|(mut labels, value)| {
                labels.push(MetricLabel { name, value });
                labels
            });
        }
        let field = metric.field.as_ref().map(|field| {
            let place = Place::of(text, metric.field_span, field, 0);
            let value = self.part("@metric_field", field, place, rel, false)?;
            self.measure(value, field, place)
        });
        let condition = metric.condition.as_ref().map(|(condition, line)| {
            let place = Place::of(text, *line, condition, 0);
            self.part("@metric_condition", condition, place, rel, true)
        });
        // Each part is looked at, so that all mistakes are told; a metric lacks none of its parts.
        let (labels, field, condition) = (labels?, whole(field)?, whole(condition)?);
        let Metric { name, help, kind, sample_rate, buckets, .. } = metric;
        Some(MetricSpec { name, help, kind, labels, field, condition, sample_rate, buckets })
    }

    /// A part of an annotation as an expression over the result's rows.
    fn part(
        &mut self,
        clause: &'static str,
        part: &str,
        place: Place,
        rel: &dyn Fn() -> Rel,
        is_condition: bool,
    ) -> Option<Expr> {
        let (parsed, mistakes) = parse_expr(part);
        let earlier = (std::mem::take(&mut self.diagnostics), std::mem::take(&mut self.cannot_run));
        let bound = parsed.and_then(|parsed| {
            let mut scope = Scope::new(rel());
            scope.clause = clause;
            self.beyond_result(&parsed, clause)?;
            let bound = match is_condition {
                true => self.bind_condition(&parsed, &mut scope),
                false => self.bind(&parsed, &mut scope),
            };
            if scope.overs.is_empty() && scope.subqueries.is_empty() {
                return bound;
            }
            self.no_such_metric(parsed.span, format!("{clause} looks at one row: it has neither OVER nor subqueries"));
            None
        });
        let (diagnostics, cannot_run) = earlier;
        let found = mistakes.into_iter().chain(std::mem::replace(&mut self.diagnostics, diagnostics));
        let found: Vec<Diagnostic> = found.collect();
        let blocked = std::mem::replace(&mut self.cannot_run, cannot_run);
        self.cannot_run.extend(blocked.into_iter().map(|d| place.told(d)));
        found.into_iter().for_each(|diagnostic| self.report(place.told(diagnostic)));
        bound
    }

    /// Reports what is not part of the result; `None` then. Recursion is bounded by the parser's depth limit.
    fn beyond_result(&mut self, expr: &ast::Expr, clause: &'static str) -> Option<()> {
        let name = match &expr.kind {
            ast::ExprKind::Column { name, .. } if system_column(&name.name).is_some() => Some(name),
            ast::ExprKind::Call { name, .. } if headers::function(&name.name.to_uppercase()).is_some() => Some(name),
            _ => None,
        };
        if let Some(name) = name {
            let message = format!("{clause} sees the columns of the result, not \"{}\"", name.name);
            let diagnostic = Diagnostic::error("E0706", name.span, message);
            self.report(diagnostic.hint("select it under a name of its own"));
            return None;
        }
        let mut sound = Some(());
        expr.each_child(|child| sound = sound.and(self.beyond_result(child, clause)));
        sound
    }

    /// A label's value as text.
    fn label_text(&mut self, value: Expr, written: &str, place: Place) -> Option<Expr> {
        match &value.data_type {
            DataType::String => Some(value),
            other if typing::castable(other, &DataType::String) => Some(cast_to(value, DataType::String)),
            other => {
                let message = format!("label \"{written}\" is {other}, which has no text");
                self.no_such_metric(place.span(value.span), message);
                None
            }
        }
    }

    /// A field's value as what is measured.
    fn measure(&mut self, value: Expr, written: &str, place: Place) -> Option<Expr> {
        match &value.data_type {
            DataType::Float | DataType::Timestamp | DataType::Date | DataType::Null => Some(value),
            DataType::Integer | DataType::Decimal { .. } => Some(cast_to(value, DataType::Float)),
            other => {
                let message = format!("@metric_field \"{written}\" is {other}, not a number");
                self.no_such_metric(place.span(value.span), message);
                None
            }
        }
    }

    fn no_such_metric(&mut self, span: Span, message: String) {
        self.report(Diagnostic::error("E0706", span, message));
    }

    /// Metrics whose rows a LIMIT cuts off only where they are written.
    pub(super) fn metrics_behind_limit(&mut self) {
        let lines: Vec<Span> = self.metrics.get(&self.number).into_iter().flatten().map(|metric| metric.span).collect();
        for line in lines {
            self.not_yet(line, "a metric of a query with LIMIT and without ORDER BY");
        }
    }

    /// Warns of metrics that nobody counts.
    pub(super) fn idle_metrics(&mut self) {
        for (number, metrics) in std::mem::take(&mut self.metrics) {
            let is_its = |d: &Diagnostic| d.severity == Severity::Error && d.statement == Some(number);
            if self.diagnostics.iter().any(is_its) {
                continue;
            }
            self.number = number;
            for metric in metrics {
                let message =
                    format!("metric \"{}\" counts nothing: its statement writes no rows of its own", metric.name);
                let diagnostic = Diagnostic::warning("W0703", metric.span, message);
                self.report(
                    diagnostic.hint("put it above the statement whose rows are written, or give this one a sink"),
                );
            }
        }
        self.number = 0;
    }
}

/// A part that is there has to be sound.
fn whole(part: Option<Option<Expr>>) -> Option<Option<Expr>> {
    match part {
        None => Some(None),
        Some(bound) => bound.map(Some),
    }
}
