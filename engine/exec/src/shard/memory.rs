//! What operators hold, and what is said when it is too much: the run stops cleanly, and names the operator that holds
//! most. Bytes are those of [`NodeCounters::state_bytes`]: keys, accumulators and rows that wait, not what is on its way.

use velostream_sql::explain;
use velostream_sql::plan::{AppPlan, NodeKind};
use velostream_types::Fatal;

use crate::operator::NodeCounters;

/// Bytes of state of all nodes.
pub(super) fn held(counters: &[NodeCounters]) -> u64 {
    counters.iter().map(|node| node.state_bytes).sum()
}

/// The end of a run that holds `held` of `limit` bytes, `counters` of them on this shard.
pub(super) fn exceeded(plan: &AppPlan, counters: &[NodeCounters], held: u64, limit: u64) -> Fatal {
    let largest = plan.nodes.iter().zip(counters).max_by_key(|(_, counters)| counters.state_bytes);
    let what = largest.map_or_else(String::new, |(node, counters)| {
        let keys = match &node.kind {
            NodeKind::Aggregate(spec) | NodeKind::Combine(spec) => names(&spec.input, &spec.keys),
            NodeKind::Materialize { key } | NodeKind::Upsert { key, .. } => names(&node.schema, key),
            NodeKind::Amend(spec) => names(&node.schema, &spec.key),
            _ => String::new(),
        };
        let by = if keys.is_empty() { String::new() } else { format!(" by {keys}") };
        let statement = plan.statements.get(node.statement).map_or("?", |statement| statement.name.as_str());
        let what = if matches!(node.kind, NodeKind::Sort(_) | NodeKind::Sink { .. }) { "rows" } else { "groups" };
        format!(
            "; most of it is in {} of \"{statement}\"{by}: {} for {} {what} on one shard",
            explain::operator(node),
            mib(counters.state_bytes),
            counters.groups,
        )
    });
    Fatal::new(format!(
        "E0801: the state of the app takes {}, more than the {} it may take{what}; hint: bound it with a WINDOW or state.ttl, or set \
         max.memory.mb higher",
        mib(held),
        mib(limit),
    ))
}

fn names(schema: &velostream_types::Schema, columns: &[usize]) -> String {
    let name = |at: &usize| schema.fields.get(*at).map_or("?", |field| field.name.as_str());
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
