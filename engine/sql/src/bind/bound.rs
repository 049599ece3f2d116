//! How far apart in time rows of two streams may be to meet: conditions over event times, properties, the default.
//!
//! A condition counts when it compares a time of a row of the joined relation with one of a relation before it, each plus
//! or minus constants. It stays a condition of the join as well, because `_event_time` is whole milliseconds and a bound
//! is exact: the bound is made that much wider.

use velostream_types::time::{NS_PER_MS, NS_PER_SEC};
use velostream_types::{DataType, Span, Value};

use super::Binder;
use super::joined::Level;
use super::scope::Rel;
use crate::diag::Diagnostic;
use crate::duration;
use crate::endpoint::WithEntry;
use crate::parse::ast::Query;
use crate::plan::{ArithmeticOp, CompareOp, Expr, ExprKind, JoinMode, NodeKind, SystemColumn, TimeField, TimeFormat};

/// Bound on either side where nothing gives one, ns.
const DEFAULT_NS: i64 = 3_600 * NS_PER_SEC;
/// What a time in whole milliseconds may lie below the exact one.
const BELOW_MS: i64 = NS_PER_MS - 1;

/// `lower ≤ right time − left time ≤ upper`, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    pub lower: Option<i64>,
    pub upper: Option<i64>,
}

impl Bound {
    pub fn is_some(&self) -> bool {
        self.lower.is_some() || self.upper.is_some()
    }

    /// Narrows to what both allow.
    pub fn meet(&mut self, lower: Option<i64>, upper: Option<i64>) {
        self.lower = [self.lower, lower].into_iter().flatten().max();
        self.upper = [self.upper, upper].into_iter().flatten().min();
    }
}

/// A sum of columns, each counted this often, and a span of time.
#[derive(Default)]
struct Sum {
    columns: Vec<(usize, i64)>,
    ns: i64,
}

/// `first − second + ns  op  0`, where one column counts 1 and the other -1.
pub(super) struct Difference {
    pub op: CompareOp,
    pub columns: [(usize, i64); 2],
    pub ns: i64,
}

/// What a comparison says of the difference of two columns, if it is about nothing else.
pub(super) fn difference(expr: &Expr) -> Option<Difference> {
    let ExprKind::Compare { op, left, right } = &expr.kind else { return None };
    let mut sum = Sum::default();
    sum.add(left, 1)?;
    sum.add(right, -1)?;
    let &[(first, a), (second, b)] = sum.columns.as_slice() else { return None };
    (a + b == 0 && a.abs() == 1).then_some(Difference { op: *op, columns: [(first, a), (second, b)], ns: sum.ns })
}

impl Binder<'_> {
    /// Adds what `expr`, a condition over the output of the join `top`, says of the times at join number `level`.
    pub(super) fn bound_of(&mut self, expr: &Expr, level: usize, rel: &Rel, top: Level, bound: &mut Bound) {
        let Some(Difference { op, columns: [(first, a), (second, b)], ns }) = difference(expr) else { return };
        let Some(joined) = &rel.joined else { return };
        // Positions are those of `top`, which may not be the last join yet.
        let levels = joined.levels.iter().position(|l| l.join == top.join).unwrap_or(0) + 1;
        let below = joined.levels[..levels].to_vec();
        let place = |position: usize| super::joined::origin_in(&below, &self.graph, position);
        let (Some(one), Some(two)) = (place(first), place(second)) else { return };
        let (one, two) = ((one.0, one.1.clone()), (two.0, two.1.clone()));
        // The later part is the right side.
        let ((left_part, right_part), sign) = if one.0 > two.0 { ((two, one), a) } else { ((one, two), b) };
        if right_part.0 != level + 1 || left_part.0 == right_part.0 {
            return;
        }
        let parts = (&joined.parts[left_part.0].rel, &joined.parts[right_part.0].rel);
        let (Some(left_slack), Some(right_slack)) =
            (self.is_event_time(&left_part.1, parts.0), self.is_event_time(&right_part.1, parts.1))
        else {
            return;
        };
        // sign·(right − left) + ns  op  0
        let op = if sign > 0 { op } else { flipped(op) };
        let limit = if sign > 0 { ns.saturating_neg() } else { ns };
        // A chain's row has the latest time of its parts, which is at most their bounds away from each of them.
        let chained = self.reach(&below[..level.min(below.len())]);
        let lower = limit.saturating_sub(right_slack.max(left_slack)).saturating_sub(chained);
        let upper = limit.saturating_add(right_slack.max(left_slack));
        match op {
            CompareOp::Greater | CompareOp::GreaterOrEqual => bound.meet(Some(lower), None),
            CompareOp::Less | CompareOp::LessOrEqual => bound.meet(None, Some(upper)),
            CompareOp::Equal => bound.meet(Some(lower), Some(upper)),
            CompareOp::NotEqual => {}
        }
    }

    /// How far apart the times of the parts of one row may be.
    fn reach(&self, levels: &[Level]) -> i64 {
        let of = |level: &Level| match &self.graph.nodes[level.join].kind {
            NodeKind::Join(spec) => match spec.mode {
                JoinMode::Interval { before_ns, after_ns, .. } | JoinMode::AsOf { before_ns, after_ns, .. } => {
                    before_ns.max(after_ns).max(0)
                }
                JoinMode::Window { spec, .. } => spec.kind.size_ns(),
                JoinMode::Lookup { .. } | JoinMode::Tables => 0,
            },
            _ => 0,
        };
        levels.iter().map(of).fold(0, i64::saturating_add)
    }

    /// Whether an expression over the rows of a relation is their event time: how far the exact one may lie above it, ns.
    /// A time column of a source that has no event time yet becomes it.
    pub(super) fn is_event_time(&mut self, expr: &Expr, rel: &Rel) -> Option<i64> {
        match expr.kind {
            ExprKind::System(SystemColumn::EventTime) => return Some(BELOW_MS),
            ExprKind::System(SystemColumn::EventTimeNs) => return Some(0),
            ExprKind::Column(_) if matches!(expr.data_type, DataType::Timestamp | DataType::Integer) => {}
            _ => return None,
        }
        let ExprKind::Column(position) = expr.kind else { return None };
        let (source, column) = self.graph.origin(rel.node, position)?;
        let known = &self.graph.sources[source];
        let name = &known.plan.read.get(column)?.name;
        let spec = known.spec.as_ref();
        if let Some((field, _)) = spec.and_then(|s| s.event_time_field.as_ref()) {
            let format = spec.map_or(TimeFormat::Auto, |s| s.event_time_format.clone());
            let plain = matches!(format, TimeFormat::Auto | TimeFormat::EpochMillis);
            return (field == name && (plain || expr.data_type == DataType::Timestamp)).then_some(0);
        }
        match &known.plan.event_time {
            Some(time) => (time.field == TimeField::Column(column)).then_some(0),
            None => self.set_time(source, TimeField::Column(column), TimeFormat::Auto, expr.span).map(|()| 0),
        }
    }

    /// The bound with the default for a side that nothing bounds, as before and after.
    pub(super) fn or_default(&mut self, bound: Bound, span: Span) -> Option<(i64, i64)> {
        let (lower, upper) = (bound.lower.unwrap_or(-DEFAULT_NS), bound.upper.unwrap_or(DEFAULT_NS));
        let missing = match (bound.lower, bound.upper) {
            (None, None) => "nothing bounds how far apart in time the rows of the streams may be",
            (None, Some(_)) => "nothing bounds how much earlier rows of the joined stream may be",
            (Some(_), None) => "nothing bounds how much later rows of the joined stream may be",
            (Some(_), Some(_)) => "",
        };
        if !missing.is_empty() {
            let hint = "write WITHIN 5m behind the joined relation, or b._event_time BETWEEN a._event_time - INTERVAL '5' \
                        MINUTE AND a._event_time + INTERVAL '5' MINUTE in ON";
            let diagnostic = Diagnostic::warning("W0430", span, missing).detail("rows up to 1 hour apart meet");
            self.report(diagnostic.hint(hint));
        }
        if lower > upper {
            let message = "no two rows meet: the bounds in time exclude each other";
            let detail = "the joined row would have to be later than its latest and earlier than its earliest time";
            let diagnostic = Diagnostic::error("E0435", span, message).detail(detail);
            self.report(diagnostic.hint("write the smaller bound first: BETWEEN low AND high"));
            return None;
        }
        Some((lower.saturating_neg(), upper))
    }

    /// `join.lower_bound` (how much earlier a joined row may be) and `join.upper_bound` (how much later).
    pub(super) fn bound_of_properties(&mut self, query: &Query) -> Option<Bound> {
        let lower = self.join_property(query, "join.lower_bound").ok()?;
        let upper = self.join_property(query, "join.upper_bound").ok()?;
        // Unstated beside an upper bound, the lower one is 0.
        let lower = lower.or(upper.map(|_| 0));
        Some(Bound { lower: lower.map(|ns| -ns), upper })
    }

    /// A duration among the statement's properties, else the app's; `Err` after a mistake.
    pub(super) fn join_property(&mut self, query: &Query, key: &str) -> Result<Option<i64>, ()> {
        let own = query.with.iter().rev().find(|e| e.key.eq_ignore_ascii_case(key));
        let Some(entry) = own.or_else(|| self.settings.iter().rev().find(|e| e.key.eq_ignore_ascii_case(key))) else {
            return Ok(None);
        };
        let entry = entry.clone();
        self.duration_of(&entry).map(Some)
    }

    /// A duration that a property gives; `Err` after a mistake.
    pub(super) fn duration_of(&mut self, entry: &WithEntry) -> Result<i64, ()> {
        match duration::parse(&entry.value, NS_PER_SEC) {
            Ok(ns) => Ok(ns),
            Err(reason) => {
                let message = format!("'{}' {reason}", entry.value);
                let span = entry.value_span;
                self.report(Diagnostic::error("E0513", span, message).hint("write for example '5s'"));
                Err(())
            }
        }
    }
}

impl Sum {
    /// Adds `expr` so often; `None` when it is no sum of times.
    fn add(&mut self, expr: &Expr, times: i64) -> Option<()> {
        match &expr.kind {
            ExprKind::Column(position) => {
                match self.columns.iter_mut().find(|(known, _)| known == position) {
                    Some(known) => known.1 += times,
                    None => self.columns.push((*position, times)),
                }
                Some(())
            }
            ExprKind::Literal(Value::Interval(ns)) => self.shift(times.checked_mul(*ns)?),
            ExprKind::Literal(Value::Int(ms)) => self.shift(times.checked_mul(ms.checked_mul(NS_PER_MS)?)?),
            ExprKind::Cast { operand, .. } if expr.data_type == DataType::Timestamp => self.add(operand, times),
            ExprKind::Arithmetic { first, rest } => {
                self.add(first, times)?;
                rest.iter().try_for_each(|step| match step.op {
                    ArithmeticOp::Add => self.add(&step.operand, times),
                    ArithmeticOp::Subtract => self.add(&step.operand, -times),
                    _ => None,
                })
            }
            _ => None,
        }
    }

    fn shift(&mut self, ns: i64) -> Option<()> {
        self.ns = self.ns.checked_add(ns)?;
        Some(())
    }
}

/// The operator after both sides changed their sign.
pub(super) fn flipped(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
        CompareOp::Equal | CompareOp::NotEqual => op,
    }
}
