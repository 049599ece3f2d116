//! EXPLAIN: the plan of an app as text for people.
//!
//! Sources first, then per statement when rows come out, what crosses shards, what is kept, and the tree of operators
//! from the sink down. A node shared by statements is drawn once and referred to afterwards, so the text grows with the
//! plan and not with its paths. The text is stable: goldens compare it.

mod acls;
mod endpoint;
mod expr;
mod metric;
mod node;
mod relation;

use std::fmt::Write;

use self::node::Growth;
use crate::plan::{AggregateSpec, AppPlan, Node, NodeKind, Route};

pub use self::acls::{Acl, Operation, Resource, acl_text, acls};
pub use self::expr::{literal, name, sql};

/// The plan as text. `verbose` adds the columns of every operator and the limits of sources.
pub fn explain(plan: &AppPlan, verbose: bool) -> String {
    let mut out = format!("app {}\n", plan.name);
    if !plan.sources.is_empty() {
        out.push_str("\nsources\n");
    }
    for source in &plan.sources {
        for (i, line) in endpoint::source(plan, source, verbose).iter().enumerate() {
            let indent = if i == 0 { "  " } else { "    " };
            let _ = writeln!(out, "{indent}{line}");
        }
    }
    let mut drawn: Vec<Option<usize>> = vec![None; plan.nodes.len()];
    for at in 0..plan.statements.len() {
        Statement { plan, at, verbose }.draw(&mut out, &mut drawn);
    }
    out
}

struct Statement<'p> {
    plan: &'p AppPlan,
    at: usize,
    verbose: bool,
}

impl<'p> Statement<'p> {
    /// Nodes of the statement, without those of statements it reads.
    fn nodes(&self) -> impl Iterator<Item = &'p Node> {
        let at = self.at;
        self.plan.nodes.iter().filter(move |n| n.statement == at)
    }

    /// The aggregate nearest to the end.
    fn last_aggregate(&self) -> Option<&'p AggregateSpec> {
        self.nodes().filter_map(|n| if let NodeKind::Aggregate(spec) = &n.kind { Some(spec) } else { None }).last()
    }

    /// Nodes no node of the statement reads: its sinks, else the result other statements read.
    fn roots(&self) -> Vec<&'p Node> {
        let is_read = |node: &Node| self.nodes().any(|n| n.inputs.contains(&node.id));
        self.nodes().filter(|n| !is_read(n)).collect()
    }

    fn draw(&self, out: &mut String, drawn: &mut [Option<usize>]) {
        let Some(statement) = self.plan.statements.get(self.at) else { return };
        let kind = if statement.is_table { "table" } else { "stream" };
        let _ = writeln!(out, "\nstatement {}: {kind} {}", self.at + 1, expr::name(&statement.name));
        let aggregate = self.last_aggregate();
        let _ = writeln!(out, "  emission: {}", node::emission(aggregate));
        if let Some(late) = aggregate.and_then(node::late) {
            let _ = writeln!(out, "  late rows: {late}");
        }
        let _ = writeln!(out, "  shuffle: {}", self.shuffle());
        self.draw_state(out);
        for sink in self.plan.sinks.iter().filter(|s| s.statement == self.at) {
            let _ = writeln!(out, "  writes {}: {}", expr::name(&sink.name), endpoint::sink(sink));
            let _ = writeln!(out, "    columns: {}", node::columns(&sink.schema));
            for line in endpoint::kafka_sink(sink, self.verbose) {
                let _ = writeln!(out, "    {line}");
            }
            for line in metric::lines(self.plan, sink) {
                let _ = writeln!(out, "    {line}");
            }
        }
        self.draw_dead_letters(out);
        let _ = writeln!(out, "  plan");
        for root in self.roots() {
            self.draw_tree(out, root, drawn);
        }
    }

    fn shuffle(&self) -> String {
        let routes: Vec<String> = self
            .nodes()
            .filter_map(|n| match &n.kind {
                NodeKind::Exchange { edge, route: Route::Key(key) } => {
                    let input = n.inputs.first().and_then(|i| self.plan.nodes.get(i.index()))?;
                    let columns = key.iter().filter_map(|k| input.schema.fields.get(*k)).map(|f| expr::name(&f.name));
                    let columns = columns.collect::<Vec<_>>().join(", ");
                    let what =
                        if columns.is_empty() { "all rows to one shard".to_owned() } else { format!("by {columns}") };
                    Some(format!("{what} (edge {edge})"))
                }
                NodeKind::Exchange { edge, route: Route::All } => {
                    Some(format!("all rows to every shard (edge {edge})"))
                }
                _ => None,
            })
            .collect();
        if routes.is_empty() { "no shuffle".to_owned() } else { routes.join("; ") }
    }

    fn draw_state(&self, out: &mut String) {
        let mut is_stateless = true;
        for (node, (growth, what)) in self.nodes().map(|n| (n, node::state(self.plan, n))) {
            let growth = match growth {
                Growth::Stateless => continue,
                Growth::Constant => "constant",
                Growth::PerKey => "per key",
                Growth::PerKeyAndWindow => "per key and window",
                Growth::Unbounded => "unbounded (warning)",
            };
            is_stateless = false;
            let _ = writeln!(out, "  state of {}: {growth}: {what}", operator(node));
        }
        if is_stateless {
            out.push_str("  state: none\n");
        }
    }

    /// Destinations of the statement's own operators; bad records of a source are named with the source.
    fn draw_dead_letters(&self, out: &mut String) {
        let own = self.nodes().filter(|n| !matches!(n.kind, NodeKind::Scan { .. })).map(|n| n.dlq.index());
        let mut places: Vec<String> = own.map(|at| endpoint::dead_letters(self.plan, at)).collect();
        places.sort_unstable();
        places.dedup();
        if !places.is_empty() {
            let _ = writeln!(out, "  dead letters: {}", places.join(", "));
        }
    }

    fn draw_tree(&self, out: &mut String, root: &'p Node, drawn: &mut [Option<usize>]) {
        let mut open: Vec<(&Node, usize)> = vec![(root, 2)];
        while let Some((node, depth)) = open.pop() {
            let indent = "  ".repeat(depth);
            let mark = if node.changelog { " [changes]" } else { "" };
            let first = drawn.get_mut(node.id.index());
            if let Some(first) = first.and_then(|first| first.replace(first.unwrap_or(self.at))) {
                let place = if first == self.at { "above".to_owned() } else { format!("see statement {}", first + 1) };
                let _ = writeln!(out, "{indent}{} ({place})", operator(node));
                continue;
            }
            let _ = writeln!(out, "{indent}#{} {}{mark}", node.id, node::headline(self.plan, node));
            if self.verbose {
                let _ = writeln!(out, "{indent}  columns: {}", node::columns(&node.schema));
            }
            for input in node.inputs.iter().rev() {
                open.extend(self.plan.nodes.get(input.index()).map(|n| (n, depth + 1)));
            }
        }
    }
}

/// Short name of an operator: `#4 Aggregate`.
pub fn operator(node: &Node) -> String {
    let kind = match &node.kind {
        NodeKind::Scan { .. } => "Scan",
        NodeKind::Filter { .. } => "Filter",
        NodeKind::Project { .. } => "Project",
        NodeKind::Union => "Union",
        NodeKind::Sort(_) => "Sort",
        NodeKind::Limit { .. } => "Limit",
        NodeKind::Combine(_) => "Combine",
        NodeKind::Exchange { .. } => "Exchange",
        NodeKind::Aggregate(_) => "Aggregate",
        NodeKind::Materialize { .. } => "Materialize",
        NodeKind::Values { .. } => "Values",
        NodeKind::Upsert { .. } => "Upsert",
        NodeKind::Events => "Events",
        NodeKind::Unnest(_) => "Unnest",
        NodeKind::Join(_) => "Join",
        NodeKind::Subqueries(_) => "Subqueries",
        NodeKind::Over(_) => "Over",
        NodeKind::Amend(_) => "Amend",
        NodeKind::Sink { .. } => "Sink",
    };
    format!("#{} {kind}", node.id)
}

#[cfg(test)]
mod tests;
