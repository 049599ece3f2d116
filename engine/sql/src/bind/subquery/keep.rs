//! How long rows have to be kept for a subquery: what its conditions say of the event times of both queries.

use super::super::Binder;
use super::super::bound::{Bound, Difference, difference, flipped};
use super::super::scope::Scope;
use super::OUTSIDE;
use super::kept::lifted;
use crate::plan::{CompareOp, Expr, ExprKind};

impl Binder<'_> {
    /// How much older than the outer row an inner row of the subquery in `scope` may be and still be met, ns; `None` when
    /// these conditions do not say.
    pub(super) fn keep(&mut self, conditions: &[Expr], scope: &Scope<'_>) -> Option<i64> {
        let around = scope.around.as_ref()?;
        // A group has no one event time, and the rows of a table stay until they are replaced.
        if around.scope.grouped.is_some() || scope.rel.changelog || around.scope.rel.poisoned {
            return None;
        }
        let mut bound = Bound::default();
        for condition in conditions {
            let mut columns = Vec::new();
            let condition = lifted(condition.clone(), &mut columns);
            let Some(Difference { op, columns: [(first, a), (second, b)], ns }) = difference(&condition) else {
                continue;
            };
            let (inner, outer, sign) = match (first >= OUTSIDE, second >= OUTSIDE) {
                (false, true) => (first, second, a),
                (true, false) => (second, first, b),
                _ => continue,
            };
            let (Some(inner), Some(outer)) = (columns.get(inner), around.read.get(outer - OUTSIDE)) else { continue };
            // sign·(inner − outer) + ns  op  0
            let (op, limit) = if sign > 0 { (op, ns.saturating_neg()) } else { (flipped(op), ns) };
            if !matches!(op, CompareOp::Greater | CompareOp::GreaterOrEqual | CompareOp::Equal) {
                continue;
            }
            // A joined row is as late as its latest part, so a part's time says nothing of how early it is.
            if around.scope.rel.joined.is_some() && !matches!(outer.kind, ExprKind::System(_)) {
                continue;
            }
            let slack = self.is_event_time(inner, &scope.rel).zip(self.is_event_time(outer, &around.scope.rel));
            if let Some((inner, outer)) = slack {
                bound.meet(Some(limit.saturating_sub(inner.max(outer))), None);
            }
        }
        let lower = bound.lower?;
        for rel in [&scope.rel, &around.scope.rel] {
            self.wants_event_time(rel);
        }
        Some(lower.saturating_neg().max(0))
    }
}
