//! `state.ttl`: how long a group stays that no row touches, by event time.
//!
//! A row that comes later than that after the last of its group begins the group anew, and memory is freed when the
//! watermark has passed. What was emitted stays. So the property is for results of which each row stands for itself: it
//! is refused where somebody keeps account of a group's earlier results, and where rows are taken back.

use velostream_types::Span;
use velostream_types::time::NS_PER_SEC;

use super::Binder;
use super::query::Flow;
use crate::diag::Diagnostic;
use crate::duration;
use crate::endpoint::WithEntry;
use crate::parse::ast::Query;
use crate::plan::{AggregateSpec, Emit, NodeKind};

const KEY: &str = "state.ttl";

impl Binder<'_> {
    /// Has the groups of a query freed that no row touches for as long as its `state.ttl`, or that of the app, says.
    pub(super) fn free_idle_groups(&mut self, query: &Query, flow: &Flow) {
        let mut at = flow.node;
        while let NodeKind::Filter { .. } | NodeKind::Project { .. } = &self.graph.nodes[at].kind
            && let Some(input) = self.graph.nodes[at].inputs.first()
        {
            at = input.index();
        }
        let NodeKind::Aggregate(spec) = &self.graph.nodes[at].kind else { return };
        let ttl_ns = self.idle_groups(query, &spec.clone(), &flow.roots);
        if let NodeKind::Aggregate(spec) = &mut self.graph.nodes[at].kind {
            spec.ttl_ns = ttl_ns;
        }
        if ttl_ns.is_some() {
            // The groups have a bound after all.
            let statement = Some(self.number);
            self.diagnostics.retain(|d| d.code != "W0403" || d.statement != statement);
        }
    }

    fn idle_groups(&mut self, query: &Query, spec: &AggregateSpec, roots: &[usize]) -> Option<i64> {
        let named = format!("{}.{KEY}", self.statement_name());
        let is_it = |e: &&WithEntry| e.key.eq_ignore_ascii_case(KEY) || e.key.eq_ignore_ascii_case(&named);
        let own = query.with.iter().rev().find(is_it).cloned();
        let is_own = own.is_some();
        let entry = own.or_else(|| self.settings.iter().rev().find(is_it).cloned())?;
        let span = entry.value_span;
        let ttl = match duration::parse(&entry.value, NS_PER_SEC) {
            Ok(ttl) if ttl > 0 => ttl,
            Ok(_) => return self.bad_ttl(span, format!("{KEY} = '{}' is not longer than 0", entry.value)),
            Err(reason) => return self.bad_ttl(span, format!("'{}' {reason}", entry.value)),
        };
        let windowed = spec.window.is_some();
        if windowed || spec.emit == Emit::Final {
            if is_own {
                let why = if windowed { "groups leave with their window" } else { "groups wait for the end" };
                let message = format!("{KEY} has no effect here: {why}");
                self.report(Diagnostic::warning("W0513", span, message));
            }
            return None;
        }
        let reason = match spec.emit {
            Emit::Every(_) => Some("with EMIT CHANGES EVERY"),
            _ if spec.input_changes => Some("over a TABLE, which takes back rows of groups that were freed,"),
            _ => None,
        };
        if let Some(reason) = reason {
            let message = format!("{KEY} {reason} is not supported");
            self.report(Diagnostic::error("E0902", span, message).hint("group by WINDOW, which bounds the state too"));
            return None;
        }
        self.ttl_time(roots, span)?;
        Some(ttl)
    }

    fn bad_ttl(&mut self, span: Span, message: String) -> Option<i64> {
        self.report(Diagnostic::error("E0513", span, message).hint("write for example state.ttl = '1h'"));
        None
    }

    fn ttl_time(&mut self, roots: &[usize], span: Span) -> Option<()> {
        for root in roots {
            let rel = self.source_rel(*root);
            if self.source_time(*root, &rel, span, Some(KEY)).is_none() {
                if let Some(finding) = self.diagnostics.last_mut().filter(|d| d.code == "E0404") {
                    finding.message = format!("{KEY} goes by event time, and records of \"{}\" carry none", rel.name);
                }
                return None;
            }
        }
        Some(())
    }

    /// Refuses `state.ttl` of TABLEs whose earlier rows somebody keeps account of: no row takes the last one of a freed
    /// group back.
    pub(super) fn refuse_kept_tables(&mut self) {
        let freed =
            |kind: &NodeKind| matches!(kind, NodeKind::Aggregate(spec) if spec.ttl_ns.is_some() && spec.retract);
        for (at, node) in self.graph.nodes.iter().enumerate().filter(|(_, node)| freed(&node.kind)) {
            let mut below = vec![at];
            let mut keeper = None;
            while let Some(from) = below.pop() {
                for (reader, next) in self.graph.nodes.iter().enumerate() {
                    if !next.inputs.iter().any(|input| input.index() == from) {
                        continue;
                    }
                    match &next.kind {
                        NodeKind::Filter { .. }
                        | NodeKind::Project { .. }
                        | NodeKind::Exchange { .. }
                        | NodeKind::Union => below.push(reader),
                        // Rows that are events from here on, or leave, are kept account of by nobody.
                        NodeKind::Events | NodeKind::Sink { .. } => {}
                        _ => keeper = Some(next.statement),
                    }
                }
            }
            if let Some(keeper) = keeper {
                let name = |at: usize| self.statements.get(at).map_or("?", |s| s.name.as_str());
                let (table, keeper) = (name(node.statement), name(keeper));
                let message =
                    format!("{KEY} of the TABLE \"{table}\" would leave freed rows in the state of \"{keeper}\"");
                let detail = "a row of a freed group is not taken back when the group begins anew";
                let hint = "create it as a STREAM, or group by WINDOW, which bounds the state too";
                let place = self.statements.get(node.statement).map_or(Span::default(), |s| s.span);
                let diagnostic = Diagnostic::error("E0902", place, message).detail(detail).hint(hint);
                self.report(diagnostic);
                return;
            }
        }
    }
}
