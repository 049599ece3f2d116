//! Joins, subqueries and calls with OVER in words.

use velostream_types::Schema;
use velostream_types::time::duration_text;

use super::Growth;
use super::expr::{comparison, sql};
use super::node::{names, reaches_live};
use crate::plan::{
    Apart, AppPlan, CompareOp, EVERYWHERE_BYTES_MAX, JoinMode, JoinSpec, Node, OverKind, OverSpec, Placement, Side,
    SubqueryKind, SubquerySpec, SubqueryState, UnnestSpec,
};

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
        JoinMode::AsOf { before_ns, after_ns, forward, .. } => {
            let nearest = if forward { "the earliest right row" } else { "the latest right row" };
            format!("of streams with {nearest} within {} before and {} after", signed(before_ns), signed(after_ns))
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

/// Where a looked-up table is, and why.
fn placement(placement: Placement) -> String {
    let why = match placement {
        Placement::Everywhere { bytes } => {
            let limit = size(EVERYWHERE_BYTES_MAX);
            return format!("whole on every shard: its files have {}, at most {limit}", size(bytes));
        }
        Placement::ByKey(Apart::Live) => "its input may grow for ever".to_owned(),
        Placement::ByKey(Apart::Unknown) => "the size of its input is not known".to_owned(),
        Placement::ByKey(Apart::Large { bytes }) => {
            format!("its files have {}, more than {}", size(bytes), size(EVERYWHERE_BYTES_MAX))
        }
        Placement::ByKey(Apart::Made) => "it is made of joins or lists".to_owned(),
        Placement::ByKey(Apart::Kept) => "those without a match leave in the end, once".to_owned(),
        Placement::ByKey(Apart::Versions) => "its versions are looked up".to_owned(),
    };
    format!("cut by key over the shards: {why}")
}

/// `12 kB`, `8 MiB`
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}

fn signed(ns: i64) -> String {
    let text = duration_text(ns.saturating_abs());
    if ns < 0 { format!("-{text}") } else { text }
}

/// State of a join.
pub fn join_state(spec: &JoinSpec) -> (Growth, String) {
    match spec.mode {
        JoinMode::Interval { before_ns, after_ns, retention_ns }
        | JoinMode::AsOf { before_ns, after_ns, retention_ns, .. } => {
            let held = before_ns.max(after_ns).saturating_add(retention_ns);
            (Growth::PerKeyAndWindow, format!("rows of both sides for {}", signed(held)))
        }
        JoinMode::Window { .. } => (Growth::PerKeyAndWindow, "rows of both sides in open windows".to_owned()),
        JoinMode::Lookup { version: Some(version), .. } => match version.retention_ns {
            Some(ns) => (Growth::PerKey, format!("the versions of the table's rows of the last {}", duration_text(ns))),
            None => (Growth::Unbounded, "all versions of the table's rows: no retention is given".to_owned()),
        },
        JoinMode::Lookup { .. } if spec.replaces => {
            let rows = "the last row of every key of the table, and where deleted ones ended";
            (Growth::PerKey, format!("{rows}, {}", placement(spec.placement)))
        }
        JoinMode::Lookup { .. } => (Growth::PerKey, format!("the rows of the table, {}", placement(spec.placement))),
        JoinMode::Tables => (Growth::PerKey, "the rows of both tables".to_owned()),
    }
}

/// `input`: columns of the Project in front; `own`: the Unnest's.
pub fn unnest(spec: &UnnestSpec, input: &Schema, own: &Schema) -> String {
    let made: Vec<usize> = (0..spec.made()).collect();
    let rest = if spec.keeps_empty { ", a row without elements once" } else { "" };
    format!("Unnest {} as {}{rest}", names(input, &[0]), names(own, &made))
}

/// What subqueries there are; `inputs`: the schemas of the rows and of what each subquery keeps.
pub fn subqueries(list: &[SubquerySpec], inputs: &[&Schema]) -> String {
    let one = |(at, spec): (usize, &SubquerySpec)| {
        let kind = match spec.kind {
            SubqueryKind::Exists => "EXISTS".to_owned(),
            SubqueryKind::Scalar => "the value".to_owned(),
            SubqueryKind::Compare { op: CompareOp::Equal, all: false, .. } => "IN".to_owned(),
            SubqueryKind::Compare { op: CompareOp::NotEqual, all: true, .. } => "NOT IN".to_owned(),
            SubqueryKind::Compare { op, all, .. } => format!("{} {}", comparison(op), if all { "ALL" } else { "ANY" }),
        };
        let column = |side: usize, column: usize| inputs.get(side).map_or_else(String::new, |s| names(s, &[column]));
        let key = |(outer, kept): &(usize, usize)| format!("{} = {}", column(at + 1, *kept), column(0, *outer));
        let keys: Vec<String> = spec.keys.iter().map(key).collect();
        let on = if keys.is_empty() { "of all rows".to_owned() } else { format!("by {}", keys.join(" AND ")) };
        let condition = if spec.condition.is_some() { " with a condition" } else { "" };
        let fold = match &spec.fold {
            Some(fold) if fold.spec.keys.is_empty() => ", aggregated",
            Some(_) => ", grouped",
            None => "",
        };
        format!("{kind} {on}{condition}{fold}")
    };
    format!("Subqueries: {}", list.iter().enumerate().map(one).collect::<Vec<_>>().join("; "))
}

/// State of subqueries.
pub fn subquery_state(plan: &AppPlan, list: &[SubquerySpec], inputs: &[&Node]) -> (Growth, String) {
    let outer = inputs.first().map(|rows| rows.schema.as_ref());
    let kept = || list.iter().zip(inputs.iter().skip(1));
    let state =
        |spec: &SubquerySpec, input: &Node| outer.map_or(SubqueryState::Rows, |outer| spec.state(outer, &input.schema));
    let held = |(spec, input): (&SubquerySpec, &&Node)| {
        let rows = if input.changelog { "the live rows" } else { "the rows" };
        match (state(spec, input), spec.keep_ns) {
            (SubqueryState::Counts, _) => format!("how many of {rows} have each key"),
            (SubqueryState::Values(_), _) => format!("the values of {rows}"),
            (SubqueryState::Rows, Some(ns)) => format!("{rows} of the last {}", duration_text(ns)),
            (SubqueryState::Rows, None) => rows.to_owned(),
        }
    };
    let for_ever = || kept().filter(|(spec, _)| spec.keep_ns.is_none());
    let endless = |(_, input): (&SubquerySpec, &&Node)| !input.changelog && reaches_live(plan, input);
    let growth = match (for_ever().any(endless), for_ever().next()) {
        (true, _) => Growth::Unbounded,
        (false, Some(_)) => Growth::PerKey,
        (false, None) => Growth::PerKeyAndWindow,
    };
    let held: Vec<String> = kept().map(held).collect();
    let own = match inputs.first() {
        Some(rows) if rows.changelog => ", and the values of each live row",
        _ => "",
    };
    (growth, format!("of the inner queries {}{own}", held.join(", ")))
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
    let calls = calls.collect::<Vec<_>>().join(", ");
    let order = if spec.live { ", in the order in which rows arrive" } else { "" };
    match (spec.best, spec.buffer) {
        (Some(best), _) => format!("{calls} over the best {best} of {by}{order}"),
        (None, u64::MAX) => format!("{calls} over a range of {by}{order}"),
        (None, rows) => format!("{calls} over the last {rows} of {by}{order}"),
    }
}

/// State of calls with OVER.
pub fn over_state(spec: &OverSpec) -> (Growth, String) {
    let held = match (spec.best, spec.buffer) {
        (Some(best), _) => format!("the {best} best rows of each partition"),
        (None, u64::MAX) => "the rows within the range of each partition's greatest".to_owned(),
        (None, rows) => format!("up to {rows} rows of each partition"),
    };
    (Growth::PerKey, held)
}
