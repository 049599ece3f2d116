//! Metrics of a sink's rows, one line each: `metric orders_total: counter by region where amount > 10`.

use std::fmt::Write;

use super::expr::sql;
use crate::plan::{AppPlan, Expr, ExprKind, MetricKind, MetricSpec, NodeKind, SinkPlan};

/// A line for each metric of `sink`.
pub(super) fn lines(plan: &AppPlan, sink: &SinkPlan) -> Vec<String> {
    let writes =
        |kind: &NodeKind| matches!(kind, NodeKind::Sink { sink: at, .. } if std::ptr::eq(&plan.sinks[*at], sink));
    let node = plan.nodes.iter().find(|node| writes(&node.kind));
    let input = node.and_then(|node| plan.nodes.get(node.inputs.first()?.index()));
    let schema = input.map_or(&sink.schema, |input| &input.schema);
    sink.metrics.iter().map(|metric| line(metric, &|expr| sql(expr, schema))).collect()
}

fn line(metric: &MetricSpec, sql: &dyn Fn(&Expr) -> String) -> String {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let mut line = format!("metric {}: {kind}", metric.name);
    if let Some(field) = &metric.field {
        let _ = write!(line, " of {}", sql(as_written(field)));
    }
    if !metric.labels.is_empty() {
        let labels: Vec<&str> = metric.labels.iter().map(|label| label.name.as_str()).collect();
        let _ = write!(line, " by {}", labels.join(", "));
    }
    if let Some(condition) = &metric.condition {
        let _ = write!(line, " where {}", sql(condition));
    }
    if metric.sample_rate < 1.0 {
        let _ = write!(line, ", {} of the rows", metric.sample_rate);
    }
    line
}

/// Without the cast that makes a number of any type the one that is measured.
fn as_written(field: &Expr) -> &Expr {
    match &field.kind {
        ExprKind::Cast { operand, .. } => operand,
        _ => field,
    }
}
