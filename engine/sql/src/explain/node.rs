//! Nodes of a plan in words: what each does, the state it keeps, how that grows.

use std::fmt::Write;

use velostream_types::time::duration_text;
use velostream_types::{Schema, Value};

use super::endpoint::is_live;
use super::expr::{name, sql};
use super::relation;
use crate::plan::{
    AggregateCall, AggregateFn, AggregateSpec, AmendSpec, AppPlan, COMBINE_HELD_GROUPS, CallOrder, Emit, ExprKind,
    LateStrategy, Node, NodeKind, Route, SortKey, SortSpec, WindowKind,
};

/// How the state of an operator grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Holds nothing.
    Stateless,
    /// Does not depend on the input's length.
    Constant,
    /// With the number of keys of an input that ends.
    PerKey,
    /// With the keys of the windows that are open.
    PerKeyAndWindow,
    /// With the number of keys of an input that may never end.
    Unbounded,
}

/// Columns with types: `user STRING, n INTEGER`.
pub fn columns(schema: &Schema) -> String {
    if schema.is_empty() {
        return "no columns".to_owned();
    }
    let one = |f: &velostream_types::Field| format!("{} {}", name(&f.name), f.data_type);
    schema.fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What a node does, on one line.
pub fn headline(plan: &AppPlan, node: &Node) -> String {
    let input = node.inputs.first().and_then(|i| plan.nodes.get(i.index())).map(|n| n.schema.as_ref());
    let empty = Schema::default();
    let input = input.unwrap_or(&empty);
    match &node.kind {
        NodeKind::Scan { source } => {
            let Some(source) = plan.sources.get(source.index()) else { return "Scan ?".to_owned() };
            let again = if source.load.again.is_some() { " a second time" } else { "" };
            let waits = if source.load.level > 0 { ", when its tables are loaded" } else { "" };
            format!("Scan {}{again}{waits}", source.name)
        }
        NodeKind::Filter { predicate } => format!("Filter {}", sql(predicate, input)),
        NodeKind::Project { exprs, event_time } => {
            let items = exprs.iter().zip(&node.schema.fields).map(|(expr, field)| {
                let is_same = matches!(expr.kind, ExprKind::Column(at) if input.fields.get(at).is_some_and(|f| f.name == field.name));
                if is_same { name(&field.name) } else { format!("{} AS {}", sql(expr, input), name(&field.name)) }
            });
            let time = event_time.iter().map(|e| format!("{} AS _event_time", sql(e, input)));
            format!("Project {}", items.chain(time).collect::<Vec<_>>().join(", "))
        }
        NodeKind::Union => "Union all rows".to_owned(),
        NodeKind::Materialize { key } => format!("Materialize by {}", names(input, key)),
        NodeKind::Values { rows } if rows.len() == 1 => "Values: 1 row".to_owned(),
        NodeKind::Values { rows } => format!("Values: {} rows", spelled(rows.len())),
        NodeKind::Upsert { key, passes: true, .. } => {
            format!("Upsert by {}: done by the joins that look it up", names(input, key))
        }
        NodeKind::Upsert { key, .. } => format!("Upsert by {}", names(input, key)),
        NodeKind::Amend(spec) => amend(spec, input),
        NodeKind::Events => "Events: rows taken back are left out".to_owned(),
        NodeKind::Sort(spec) => sort(spec, input),
        NodeKind::Limit { rows } => format!("Limit {rows}"),
        NodeKind::Combine(spec) => format!("Combine {}", grouping(spec)),
        NodeKind::Aggregate(spec) => format!("Aggregate {}", grouping(spec)),
        NodeKind::Exchange { edge, route: Route::Key(key) } => {
            if key.is_empty() {
                format!("Exchange all rows to one shard (edge {edge})")
            } else {
                format!("Exchange by {} (edge {edge})", names(input, key))
            }
        }
        NodeKind::Exchange { edge, route: Route::All } => format!("Exchange all rows to every shard (edge {edge})"),
        NodeKind::Exchange { route: Route::Here, .. } => "Exchange none: rows stay where they are read".to_owned(),
        NodeKind::Unnest(spec) => relation::unnest(spec, input, &node.schema),
        NodeKind::Join(spec) => {
            let right =
                node.inputs.get(1).and_then(|i| plan.nodes.get(i.index())).map_or(&empty, |n| n.schema.as_ref());
            relation::join(spec, [input, right], &node.schema)
        }
        NodeKind::Subqueries(list) => {
            let schemas: Vec<&Schema> = inputs_of(plan, node).iter().map(|n| n.schema.as_ref()).collect();
            relation::subqueries(list, &schemas)
        }
        NodeKind::Over(spec) => relation::over(spec, input),
        NodeKind::Sink { sink, edge } => {
            let sink = plan.sinks.get(*sink).map_or_else(|| "?".to_owned(), |s| name(&s.name));
            format!("Sink {sink} (edge {edge})")
        }
    }
}

/// `Amend by id: UPDATE, 2 DELETEs`
fn amend(spec: &AmendSpec, input: &Schema) -> String {
    let updates = spec.steps.iter().filter(|step| step.set.is_some()).count();
    let counted = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(what.to_owned()),
        _ => Some(format!("{count} {what}s")),
    };
    let steps = [counted(updates, "UPDATE"), counted(spec.steps.len() - updates, "DELETE")];
    let steps: Vec<String> = steps.into_iter().flatten().collect();
    format!("Amend by {}: {} of what is loaded", names(input, &spec.key), steps.join(", "))
}

fn inputs_of<'p>(plan: &'p AppPlan, node: &Node) -> Vec<&'p Node> {
    node.inputs.iter().filter_map(|input| plan.nodes.get(input.index())).collect()
}

/// `Sort by total DESC, first 10 rows of each window`
fn sort(spec: &SortSpec, input: &Schema) -> String {
    let one = |key: &SortKey| {
        let column = input.fields.get(key.column).map_or_else(|| format!("#{}", key.column), |f| name(&f.name));
        let direction = if key.descending { " DESC" } else { "" };
        let nulls = match (key.descending, key.nulls_first) {
            (false, false) => " NULLS LAST",
            (true, true) => " NULLS FIRST",
            _ => "",
        };
        format!("{column}{direction}{nulls}")
    };
    let keys = spec.keys.iter().map(one).collect::<Vec<_>>().join(", ");
    let by = if keys.is_empty() { "Sort by place".to_owned() } else { format!("Sort by {keys}") };
    let limit = spec.limit.map_or(String::new(), |n| format!(", first {n} rows"));
    let of = if spec.per_window { " of each window" } else { "" };
    format!("{by}{limit}{of}")
}

fn sort_state(spec: &SortSpec) -> (Growth, String) {
    match (spec.limit, spec.per_window) {
        (Some(n), true) => (Growth::Constant, format!("the best {n} rows of each open window")),
        (Some(n), false) => (Growth::Constant, format!("the best {n} rows")),
        (None, true) => (Growth::PerKeyAndWindow, "the results of open windows".to_owned()),
        (None, false) => (Growth::PerKey, "all rows, until the input ends".to_owned()),
    }
}

pub fn names(schema: &Schema, positions: &[usize]) -> String {
    let one = |at: &usize| schema.fields.get(*at).map_or_else(|| format!("#{at}"), |f| name(&f.name));
    positions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn grouping(spec: &AggregateSpec) -> String {
    let calls = spec.aggregates.iter().map(|call| aggregate(call, &spec.input));
    let headers = spec.headers.map(|_| "headers of the last row".to_owned());
    let calls = calls.chain(headers).collect::<Vec<_>>().join(", ");
    let by =
        if spec.keys.is_empty() { "as one group".to_owned() } else { format!("by {}", names(&spec.input, &spec.keys)) };
    let window = spec.window.map_or(String::new(), |w| {
        let zone = w.zone.map_or(String::new(), |z| format!(", TZ '{}'", z.as_str()));
        match w.kind {
            WindowKind::Tumbling { size_ns } => format!(" in TUMBLING({}{zone})", duration_text(size_ns)),
            WindowKind::Hopping { size_ns, slide_ns } => {
                format!(" in HOPPING({}, {}{zone})", duration_text(size_ns), duration_text(slide_ns))
            }
            WindowKind::Session { gap_ns } => format!(" in SESSION({})", duration_text(gap_ns)),
        }
    });
    if calls.is_empty() { format!("{by}{window}") } else { format!("{calls} {by}{window}") }
}

fn aggregate(call: &AggregateCall, input: &Schema) -> String {
    let value = |value: &Value| match value {
        Value::Str(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    };
    let ranks = matches!(call.function, AggregateFn::PercentileCont | AggregateFn::PercentileDisc);
    let mut arguments: Vec<String> = call.arguments.iter().map(|at| names(input, &[*at])).collect();
    if call.function == AggregateFn::CountStar {
        arguments.push("*".to_owned());
    }
    let constant = call.parameter.as_ref().map(value);
    if ranks {
        arguments.splice(0..0, constant);
    } else {
        arguments.extend(constant);
    }
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let mut text = format!("{}({distinct}{})", call.function.name(), arguments.join(", "));
    let order: Vec<String> = call.order.iter().map(|o| ordering(o, input)).collect();
    if !order.is_empty() {
        let _ = write!(text, " WITHIN GROUP (ORDER BY {})", order.join(", "));
    }
    if let Some(filter) = call.filter {
        let _ = write!(text, " FILTER (WHERE {})", names(input, &[filter]));
    }
    text
}

fn ordering(order: &CallOrder, input: &Schema) -> String {
    let direction = if order.descending { " DESC" } else { "" };
    let nulls = match (order.nulls_first, order.descending) {
        (true, true) => " NULLS FIRST",
        (false, false) => " NULLS LAST",
        _ => "",
    };
    format!("{}{direction}{nulls}", names(input, &[order.column]))
}

/// State a node keeps: how it grows and, in words, what it is.
pub fn state(plan: &AppPlan, node: &Node) -> (Growth, String) {
    match &node.kind {
        NodeKind::Limit { .. } => (Growth::Constant, "a count of rows".to_owned()),
        NodeKind::Sort(spec) => sort_state(spec),
        NodeKind::Combine(spec) => (Growth::Constant, combine_state(spec)),
        NodeKind::Aggregate(spec) => aggregate_state(plan, node, spec),
        NodeKind::Materialize { .. } => {
            let growth = if reaches_live(plan, node) { Growth::Unbounded } else { Growth::PerKey };
            (growth, "every live row by its key, of which the greatest stands".to_owned())
        }
        NodeKind::Upsert { passes: false, .. } => {
            let growth = if reaches_live(plan, node) { Growth::Unbounded } else { Growth::PerKey };
            (growth, "the last row of every key, and where deleted ones ended".to_owned())
        }
        NodeKind::Amend(_) => (Growth::PerKey, "rows that an UPDATE or DELETE concerns".to_owned()),
        NodeKind::Join(spec) => {
            let (growth, what) = relation::join_state(spec);
            // The keys of a table that goes on have no end.
            let grows = spec.replaces && asked(plan, node).is_some_and(|table| reaches_live(plan, table));
            (if grows { Growth::Unbounded } else { growth }, what)
        }
        NodeKind::Subqueries(list) => relation::subquery_state(plan, list, &inputs_of(plan, node)),
        NodeKind::Over(spec) => relation::over_state(spec),
        _ => (Growth::Stateless, String::new()),
    }
}

/// The input of a look-up that is its table.
fn asked<'p>(plan: &'p AppPlan, node: &Node) -> Option<&'p Node> {
    let (_, input) = node.inputs.iter().enumerate().find(|(port, _)| node.kind.is_asked(*port))?;
    plan.nodes.get(input.index())
}

/// What makes a Combine hand its groups on; `op/combine.rs` of the exec crate does as this says.
fn combine_state(spec: &AggregateSpec) -> String {
    let held = spelled(COMBINE_HELD_GROUPS);
    let moment = match &spec.window {
        Some(window) if window.lateness_ns == 0 => "the watermark reaches their window's end".to_owned(),
        Some(window) => format!("the watermark reaches their window's end + {}", duration_text(window.lateness_ns)),
        None => "the input ends".to_owned(),
    };
    format!(
        "partial groups, handed on when {moment}, when the input falls idle, at a snapshot, and beyond {held} groups"
    )
}

/// A number with commas between thousands.
fn spelled(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", spelled(number / 1_000), number % 1_000) }
}

fn aggregate_state(plan: &AppPlan, node: &Node, spec: &AggregateSpec) -> (Growth, String) {
    let values = kept_values(spec);
    match (&spec.window, spec.keys.is_empty()) {
        (Some(window), no_keys) => {
            let what = if no_keys { "one group per window" } else { "one group per key and window" };
            let until = if window.lateness_ns == 0 {
                "its end".to_owned()
            } else {
                format!("its end + {}", duration_text(window.lateness_ns))
            };
            (Growth::PerKeyAndWindow, format!("{what}{values}; freed when the watermark reaches {until}"))
        }
        (None, true) => (Growth::Constant, format!("one group{values}")),
        (None, false) if let Some(ttl) = spec.ttl_ns => {
            let what = format!("one group per key{values}, freed when no row touched it for {}", duration_text(ttl));
            (Growth::PerKey, what)
        }
        (None, false) if reaches_live(plan, node) => {
            (Growth::Unbounded, format!("one group per key{values}, for ever: the input may never end"))
        }
        (None, false) => (Growth::PerKey, format!("one group per key{values}, until the input ends")),
    }
}

/// The calls whose state grows with the values they see.
fn kept_values(spec: &AggregateSpec) -> String {
    use AggregateFn::{Max, Min};
    let takes_back = |c: &AggregateCall| matches!(c.function, Min | Max) || c.function.chooses_by_order();
    let keeps = |c: &&AggregateCall| c.keeps_values() || spec.input_changes && takes_back(c);
    let calls: Vec<String> = spec.aggregates.iter().filter(keeps).map(|c| aggregate(c, &spec.input)).collect();
    if calls.is_empty() { String::new() } else { format!(", with the values of {}", calls.join(" and ")) }
}

/// TRUE when a source below a node may never end.
pub(super) fn reaches_live(plan: &AppPlan, node: &Node) -> bool {
    let mut open: Vec<&Node> = vec![node];
    let mut seen = vec![false; plan.nodes.len()];
    while let Some(node) = open.pop() {
        if let NodeKind::Scan { source } = &node.kind
            && plan.sources.get(source.index()).is_some_and(|s| is_live(&s.connector))
        {
            return true;
        }
        for input in &node.inputs {
            if let (Some(next), Some(seen)) = (plan.nodes.get(input.index()), seen.get_mut(input.index()))
                && !std::mem::replace(seen, true)
            {
                open.push(next);
            }
        }
    }
    false
}

/// When rows of a statement come out, from the aggregate nearest to its sink.
pub fn emission(spec: Option<&AggregateSpec>) -> String {
    let Some(spec) = spec else { return "each row as it comes".to_owned() };
    let group = match (spec.keys.is_empty(), spec.window.is_some()) {
        (true, true) => "window",
        (true, false) => "result",
        (false, true) => "group and window",
        (false, false) => "group",
    };
    match (spec.emit, &spec.window) {
        (Emit::Changes, _) => {
            let pairs = if spec.retract { ", taking the row before back" } else { "" };
            format!("one row per input row for each {group} it changes{pairs}")
        }
        (Emit::Every(every_ns), window) => {
            let close = if window.is_some() { ", and when its window closes" } else { "" };
            let pairs = if spec.retract { ", taking the row before back" } else { "" };
            format!("one row per {group} that changed, every {} of event time{close}{pairs}", duration_text(every_ns))
        }
        (Emit::Final, Some(window)) => {
            let grace = if window.lateness_ns == 0 {
                String::new()
            } else {
                format!(" + {}", duration_text(window.lateness_ns))
            };
            format!("one row per {group} when the watermark reaches the window's end{grace}")
        }
        (Emit::Final, None) => format!("one row per {group} at the end of the input"),
    }
}

/// What happens to late rows of a window.
pub fn late(spec: &AggregateSpec) -> Option<&'static str> {
    spec.window.map(|w| match w.late {
        LateStrategy::Drop => "dropped and counted",
        LateStrategy::DeadLetter => "dead letter",
        LateStrategy::UpdatePrevious => "correct their window within the lateness, then dropped and counted",
        LateStrategy::IncludeInNext => "added to the next open window",
    })
}
