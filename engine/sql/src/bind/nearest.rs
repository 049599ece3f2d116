//! ASOF JOIN: one comparison of the event times of two streams, beside equalities.
//!
//! `s.ts >= t.ts` asks for the latest row of t at or before each row of s, `<=` for the earliest at or behind it; `>` and `<`
//! leave equal times out. How far away it may be says WITHIN, `join.lower_bound` or `join.upper_bound`, else the default.

use super::Binder;
use super::bound::Bound;
use super::join::PendingJoin;
use super::joined::Level;
use super::scope::Rel;
use crate::diag::Diagnostic;
use crate::parse::ast::Query;
use crate::plan::{CompareOp, Expr, ExprKind, JoinMode, NodeKind};

impl Binder<'_> {
    /// The mode of join number `level`, which is an ASOF JOIN.
    pub(super) fn nearest(
        &mut self,
        query: &Query,
        join: &PendingJoin<'_>,
        level: usize,
        rel: &Rel,
        in_windows: bool,
    ) -> Option<JoinMode> {
        let span = join.written.span;
        if in_windows {
            let message = "ASOF JOIN finds the nearest row, in whatever window that is";
            let hint = "add GROUP BY for a window over the joined rows, or leave WINDOW out";
            self.report(Diagnostic::error("E0437", span, message).hint(hint));
            return None;
        }
        let below = rel.joined.iter().flat_map(|joined| joined.levels.iter().take(level));
        let is_kept = |level: &Level| match &self.graph.nodes[level.join].kind {
            NodeKind::Join(spec) => {
                matches!(spec.mode, JoinMode::AsOf { forward: false, .. } | JoinMode::Lookup { .. })
            }
            _ => true,
        };
        if !below.into_iter().all(is_kept) {
            let message = "ASOF JOIN stands in front of joins that give their rows another time";
            let detail = "the time of joined rows is the later one of both, and the nearest row is found by it";
            let hint = "write it first: s ASOF JOIN t ON … JOIN u WITHIN 5s ON …";
            self.report(Diagnostic::error("E0437", span, message).detail(detail).hint(hint));
            return None;
        }
        let way = match join.conditions.as_slice() {
            [condition] => self.way_of(condition, level, rel, join),
            _ => None,
        };
        let Some((forward, strict)) = way else {
            let message = match join.conditions.is_empty() {
                true => "ASOF JOIN compares the times of both streams, and nothing in ON does",
                false => "ON of an ASOF JOIN has equalities and one comparison of the event times, nothing else",
            };
            let detail = "the time of each stream is its event time; other conditions belong into WHERE or a subquery";
            let hint = "write ASOF JOIN t ON s.key = t.key AND s.ts >= t.ts";
            self.report(Diagnostic::error("E0437", span, message).detail(detail).hint(hint));
            return None;
        };
        let strict = i64::from(strict);
        let mut bound = match forward {
            true => Bound { lower: Some(strict), upper: None },
            false => Bound { lower: None, upper: Some(-strict) },
        };
        let within = join.written.within.as_ref().map(|within| (-within.before.ns, within.after.ns));
        let given = self.bound_of_properties(query)?;
        match forward {
            true => bound.meet(None, within.map(|within| within.1)),
            false => bound.meet(within.map(|within| within.0), None),
        }
        match forward {
            true => bound.meet(None, given.upper),
            false => bound.meet(given.lower, None),
        }
        if !self.check_keys(join, bound.is_some()) {
            return None;
        }
        let (before_ns, after_ns) = self.or_default(bound, span)?;
        self.default_time(rel, span, "the join")?;
        let retention_ns = self.join_property(query, "join.retention").ok()?.unwrap_or(0);
        Some(JoinMode::AsOf { before_ns, after_ns, retention_ns, forward })
    }

    /// Whether a condition asks for rows at or behind those of the left side, rather than at or before them, and whether
    /// equal times are left out; `None` where it is no plain comparison of the two event times.
    fn way_of(&mut self, condition: &Expr, level: usize, rel: &Rel, join: &PendingJoin<'_>) -> Option<(bool, bool)> {
        let ExprKind::Compare { op, .. } = condition.kind else { return None };
        let plain = super::bound::difference(condition)?.ns == 0;
        let mut bound = Bound::default();
        self.bound_of(condition, level, rel, join.level, &mut bound);
        let strict = matches!(op, CompareOp::Less | CompareOp::Greater);
        match (bound.lower, bound.upper) {
            (Some(_), None) if plain => Some((true, strict)),
            (None, Some(_)) if plain => Some((false, strict)),
            _ => None,
        }
    }
}
