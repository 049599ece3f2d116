//! Joins, subqueries and calls with OVER in words.

use velostream_types::Schema;
use velostream_types::time::duration_text;

use super::Growth;
use super::expr::sql;
use super::node::names;
use crate::plan::{JoinMode, JoinSpec, OverKind, OverSpec, Side, SubqueryKind, SubquerySpec, UnnestSpec};

/// `inputs`: the schemas of both sides; `own`: the join's.
pub fn join(spec: &JoinSpec, inputs: [&Schema; 2], own: &Schema) -> String {
    let keys: Vec<String> = spec
        .left_keys
        .iter()
        .zip(&spec.right_keys)
        .map(|(l, r)| format!("{} = {}", names(inputs[0], &[*l]), names(inputs[1], &[*r])))
        .collect();
    let on = if keys.is_empty() { "every pair".to_owned() } else { keys.join(" AND ") };
    let mode = match spec.mode {
        JoinMode::Interval { before_ns, after_ns, .. } => {
            format!("of streams within {} before and {} after", signed(before_ns), signed(after_ns))
        }
        JoinMode::Window { spec, .. } => format!("of streams in windows of {}", duration_text(spec.kind.size_ns())),
        JoinMode::Lookup { table: Side::Left, .. } => "with the left side as a table".to_owned(),
        JoinMode::Lookup { version: None, .. } => "with the right side as a table".to_owned(),
        JoinMode::Lookup { .. } => "with the version of the right side at a time of the left".to_owned(),
        JoinMode::Tables => "of tables".to_owned(),
    };
    let residual = spec.residual.as_ref().map_or(String::new(), |r| format!(" and {}", sql(r, own)));
    format!("{} join {mode} on {on}{residual}", spec.kind.name())
}

fn signed(ns: i64) -> String {
    let text = duration_text(ns.saturating_abs());
    if ns < 0 { format!("-{text}") } else { text }
}

/// State of a join.
pub fn join_state(spec: &JoinSpec) -> (Growth, String) {
    match spec.mode {
        JoinMode::Interval { before_ns, after_ns, retention_ns } => {
            let held = before_ns.max(after_ns).saturating_add(retention_ns);
            (Growth::PerKeyAndWindow, format!("rows of both sides for {}", signed(held)))
        }
        JoinMode::Window { .. } => (Growth::PerKeyAndWindow, "rows of both sides in open windows".to_owned()),
        JoinMode::Lookup { .. } => (Growth::PerKey, "the rows of the table".to_owned()),
        JoinMode::Tables => (Growth::PerKey, "the rows of both tables".to_owned()),
    }
}

/// `input`: columns of the Project in front; `own`: the Unnest's.
pub fn unnest(spec: &UnnestSpec, input: &Schema, own: &Schema) -> String {
    let made: Vec<usize> = (0..spec.made()).collect();
    let rest = if spec.keeps_empty { ", a row without elements once" } else { "" };
    format!("Unnest {} as {}{rest}", names(input, &[0]), names(own, &made))
}

/// What subqueries there are.
pub fn subqueries(list: &[SubquerySpec]) -> String {
    let one = |s: &SubquerySpec| {
        let kind = match s.kind {
            SubqueryKind::Exists { negated: false } => "EXISTS",
            SubqueryKind::Exists { negated: true } => "NOT EXISTS",
            SubqueryKind::In { negated: false, .. } => "IN",
            SubqueryKind::In { negated: true, .. } => "NOT IN",
            SubqueryKind::Scalar => "one value",
            SubqueryKind::Compare { all: true, .. } => "ALL",
            SubqueryKind::Compare { all: false, .. } => "ANY",
        };
        let how = if s.keys.is_empty() { "by looking at all rows" } else { "by key" };
        format!("{kind} {how}")
    };
    format!("Subqueries {}", list.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// State of subqueries.
pub fn subquery_state(list: &[SubquerySpec]) -> (Growth, String) {
    let growth = if list.iter().any(|s| s.keep_ns.is_none()) { Growth::PerKey } else { Growth::PerKeyAndWindow };
    (growth, "the rows of the inner queries".to_owned())
}

/// Calls over one buffer.
pub fn over(spec: &OverSpec, input: &Schema) -> String {
    let calls = spec.calls.iter().map(|call| match &call.kind {
        OverKind::Aggregate(call) => call.function.name(),
        OverKind::Analytic { function, .. } => function.name(),
    });
    let by = if spec.partition.is_empty() {
        "all rows".to_owned()
    } else {
        format!("rows by {}", names(input, &spec.partition))
    };
    format!("{} over the last {} of {by}", calls.collect::<Vec<_>>().join(", "), spec.buffer)
}

/// State of calls with OVER.
pub fn over_state(spec: &OverSpec) -> (Growth, String) {
    (Growth::PerKey, format!("up to {} rows of each partition", spec.buffer))
}
