//! Subqueries behind the rows they are computed for.
//!
//! When every expression over the rows is known, one Project computes what these and the subqueries read; a Subqueries
//! node follows for each different key, those that WHERE or HAVING asks for first and their Filter behind them, so that
//! the others see only rows that stay. The placeholders then become the nodes' columns.

use velostream_types::{DataType, EdgeId, Field, NodeId, Span};

use super::super::join::conjuncts;
use super::super::over::{RESULT, column_of, lift};
use super::super::query::{Flow, Items};
use super::super::scope::Scope;
use super::super::{Binder, graph, typing};
use super::{OUTSIDE, PendingSubquery, VALUE, reads_value};
use crate::diag::Diagnostic;
use crate::plan::{CompareOp, Expr, ExprKind, NodeKind, Route, SubqueryKind, SubquerySpec};

/// A condition as what can be asked at once and what needs the values of subqueries. What stands behind such a value may
/// be asked before it only if it cannot fail.
pub(in crate::bind) fn split(condition: Expr) -> (Option<Expr>, Option<Expr>) {
    let mut all = Vec::new();
    conjuncts(condition, &mut all);
    let first = all.iter().position(reads_value).unwrap_or(all.len());
    let (mut now, mut late) = (Vec::new(), Vec::new());
    for (at, condition) in all.into_iter().enumerate() {
        let at_once = at < first || !reads_value(&condition) && !typing::can_fail(&condition);
        if at_once { now.push(condition) } else { late.push(condition) }
    }
    (all_of(now), all_of(late))
}

/// AND of these conditions; none for none.
pub(super) fn all_of(mut list: Vec<Expr>) -> Option<Expr> {
    match (list.len(), list.first(), list.last()) {
        (0 | 1, ..) => list.pop(),
        (_, Some(first), Some(last)) => {
            let span = first.span.to(last.span);
            Some(super::super::expr::boolean(ExprKind::And(list), span))
        }
        _ => None,
    }
}

/// The rows that subqueries are computed for.
struct Rows<'r> {
    node: usize,
    changelog: bool,
    /// They are records of the roots.
    raw: bool,
    roots: &'r [usize],
    /// What has to be TRUE of them, values of subqueries included.
    late: Option<Expr>,
}

/// Subqueries nodes while they are put one behind the other.
struct Placed {
    node: usize,
    fields: Vec<Field>,
    /// How many of them are values.
    offset: usize,
    /// By number of the subquery: `offset` behind its node, and its place among that node's values.
    values: Vec<(usize, usize)>,
}

impl Placed {
    fn settle(&self, expr: &mut Expr) {
        graph::columns(expr, &mut |column| {
            *column = match column.checked_sub(VALUE) {
                None => *column + self.offset,
                Some(_) if *column >= RESULT => *column,
                Some(number) => match self.values.get(number) {
                    Some((end, at)) => self.offset - end + at,
                    None => *column,
                },
            }
        });
    }
}

impl Binder<'_> {
    /// WHERE behind the relation's rows; what it asks of subqueries waits for them.
    pub(in crate::bind) fn filter_rows(&mut self, predicate: Expr, scope: &mut Scope<'_>) {
        let (now, late) = split(predicate);
        if let Some(now) = now {
            scope.rel.node = self.filter(now, &scope.rel);
        }
        scope.late = all_of(scope.late.take().into_iter().chain(late).collect());
    }

    /// The subqueries of a query's last rows.
    pub(in crate::bind) fn subqueries_of_flow(
        &mut self,
        late: Option<Expr>,
        pending: &mut Vec<PendingSubquery<'_>>,
        flow: &mut Flow,
        items: &mut Items,
    ) {
        let pending = std::mem::take(pending);
        if pending.is_empty() {
            return;
        }
        let rows = Rows { node: flow.node, changelog: flow.changelog, raw: flow.raw, roots: &flow.roots, late };
        let Items { exprs, event_time, edits, order, overs, .. } = items;
        let order = order.iter_mut().map(|key| &mut key.0);
        let overs = overs.iter_mut().flat_map(|over| over.exprs());
        let all = exprs.iter_mut().chain(event_time).chain(edits).chain(order).chain(overs).collect();
        flow.node = self.subquery_nodes(rows, pending, all, &mut flow.identity.columns);
        flow.is_global = false;
    }

    /// The subqueries of the rows that are grouped next; `project` is what the groups read of them.
    pub(in crate::bind) fn subqueries_of_rows<'q>(&mut self, scope: &mut Scope<'q>, project: &mut [Expr]) {
        let (of_groups, pending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut scope.subqueries).into_iter().partition(|p| p.of_groups);
        scope.subqueries = of_groups;
        if pending.is_empty() {
            return;
        }
        let rel = &mut scope.rel;
        let late = scope.late.take();
        let rows = Rows { node: rel.node, changelog: rel.changelog, raw: rel.raw, roots: &rel.roots, late };
        let node = self.subquery_nodes(rows, pending, project.iter_mut().collect(), &mut []);
        // From here on positions are those of the last node, whatever the columns were before.
        (rel.node, rel.source, rel.joined) = (node, None, None);
        rel.schema = self.graph.nodes[node].schema.clone();
    }

    /// Puts the nodes behind `rows`, makes `exprs` and `identity` mean the columns of the last one, and answers it.
    fn subquery_nodes(
        &mut self,
        rows: Rows<'_>,
        mut pending: Vec<PendingSubquery<'_>>,
        mut exprs: Vec<&mut Expr>,
        identity: &mut [usize],
    ) -> usize {
        let mut late = rows.late;
        let mut only_true = Vec::new();
        late.iter().for_each(|late| numbers_of_true(late, &mut only_true));
        for sub in &mut pending {
            if only_true.contains(&sub.number) {
                sub.seek_value(self);
            }
            self.doubt_keys(sub);
        }
        let mut project: Vec<Expr> = Vec::new();
        exprs.iter_mut().for_each(|expr| lift(expr, &mut project));
        late.iter_mut().for_each(|expr| lift(expr, &mut project));
        for column in identity.iter_mut() {
            let data_type = self.graph.column_field(rows.node, *column).map_or(DataType::Null, |f| f.data_type);
            let expr = Expr { kind: ExprKind::Column(*column), data_type, span: Span::default() };
            *column = column_of(expr, &mut project);
        }
        let places: Vec<Vec<usize>> =
            pending.iter_mut().map(|p| p.exprs().map(|e| column_of(e.clone(), &mut project)).collect()).collect();
        let fields: Vec<Field> =
            project.iter().enumerate().map(|(n, e)| self.lifted_field(rows.node, "value", n, e)).collect();
        self.note_failures(&project, rows.raw, rows.roots);
        if rows.raw && pending.iter().any(|p| p.spec.can_fail()) {
            rows.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
        }
        let kind = NodeKind::Project { exprs: project, event_time: None };
        let node = self.graph.add(kind, Some(rows.node), fields.clone(), rows.changelog, self.statement);
        let count = pending.iter().map(|p| p.number + 1).max().unwrap_or(0);
        let mut placed = Placed { node, fields, offset: 0, values: vec![(0, 0); count] };
        // Each with the places of what it reads: columns from outside, keys, operand.
        let waits = |p: &PendingSubquery<'_>| late.as_ref().is_some_and(|late| reads_number(late, p.number));
        let all = pending.into_iter().zip(places);
        let (first, then): (Vec<_>, Vec<_>) = all.partition(|(p, _)| waits(p));
        self.by_keys(first, rows.changelog, &mut placed);
        if let Some(mut predicate) = late {
            placed.settle(&mut predicate);
            self.note_failures(std::slice::from_ref(&predicate), rows.raw, rows.roots);
            let filter = NodeKind::Filter { predicate };
            placed.node = self.graph.add(filter, Some(placed.node), Vec::new(), rows.changelog, self.statement);
        }
        self.by_keys(then, rows.changelog, &mut placed);
        exprs.into_iter().for_each(|expr| placed.settle(expr));
        identity.iter_mut().for_each(|column| *column += placed.offset);
        placed.node
    }

    /// A node for each different key.
    fn by_keys(&mut self, mut left: Vec<(PendingSubquery<'_>, Vec<usize>)>, changelog: bool, placed: &mut Placed) {
        let key =
            |(sub, places): &(PendingSubquery<'_>, Vec<usize>)| places[sub.outside.len()..][..sub.keys.len()].to_vec();
        while let Some(first) = left.first() {
            let wanted = key(first);
            let (now, later) = left.into_iter().partition(|entry| key(entry) == wanted);
            self.one_node(now, &wanted, changelog, placed);
            left = later;
        }
    }

    fn one_node(
        &mut self,
        subs: Vec<(PendingSubquery<'_>, Vec<usize>)>,
        key: &[usize],
        changelog: bool,
        placed: &mut Placed,
    ) {
        let (statement, offset) = (self.statement, placed.offset);
        let by = |columns: Vec<usize>| NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(columns) };
        let outer = by(key.iter().map(|place| place + offset).collect());
        let mut inputs = vec![self.graph.add(outer, Some(placed.node), Vec::new(), changelog, statement)];
        let (mut specs, count) = (Vec::with_capacity(subs.len()), subs.len());
        for (at, (sub, places)) in subs.into_iter().enumerate() {
            placed.values[sub.number] = (offset + count, at);
            let kept = &self.graph.nodes[sub.kept];
            let (width, changes) = (kept.schema.len(), kept.changelog);
            let exchange = by(sub.keys.iter().map(|(_, kept)| *kept).collect());
            inputs.push(self.graph.add(exchange, Some(sub.kept), Vec::new(), changes, statement));
            specs.push(sub.settled(width, &places, offset));
        }
        let values = specs.iter().map(|spec: &SubquerySpec| Field::new("subquery", spec.result.clone()));
        placed.fields.splice(0..0, values.collect::<Vec<_>>());
        let kind = NodeKind::Subqueries(specs);
        placed.node = self.graph.add(kind, None, placed.fields.clone(), changelog, statement);
        self.graph.nodes[placed.node].inputs = inputs.into_iter().map(|input| NodeId(input as u16)).collect();
        placed.offset += count;
    }

    /// Warns of a subquery that looks at every row though an equality could find them.
    fn doubt_keys(&mut self, sub: &PendingSubquery<'_>) {
        let listed = matches!(sub.spec.kind, SubqueryKind::Compare { op: CompareOp::Equal | CompareOp::NotEqual, .. });
        let (message, hint) = match (listed, sub.outside.is_empty()) {
            _ if !sub.keys.is_empty() => return,
            (true, _) => (
                "every value of the subquery is compared with each row, all on one shard",
                "write [NOT] EXISTS with an equality in its WHERE, or a JOIN",
            ),
            (false, false) => (
                "without an equality every row of the subquery is looked at for each row, all on one shard",
                "add an equality to its WHERE: t.key = o.key",
            ),
            (false, true) => return,
        };
        self.report(Diagnostic::warning("W0451", sub.spec.span, message).hint(hint));
    }
}

impl PendingSubquery<'_> {
    /// The plan with all columns in their places: `width` kept columns, then those of the outer input, where `places` are
    /// without the `offset` of values in front of them.
    fn settled(self, width: usize, places: &[usize], offset: usize) -> SubquerySpec {
        let PendingSubquery { keys, outside, mut spec, .. } = self;
        let settle = |expr: &mut Expr, before: usize| {
            graph::columns(expr, &mut |column| {
                if let Some(place) = column.checked_sub(OUTSIDE).and_then(|n| places.get(n)) {
                    *column = before + offset + place;
                }
            });
        };
        spec.condition.iter_mut().for_each(|expr| settle(expr, width));
        let mut before = width;
        if let Some(fold) = &mut spec.fold {
            fold.columns.iter_mut().for_each(|expr| settle(expr, width));
            before = fold.spec.output_columns();
            fold.having.iter_mut().for_each(|expr| settle(expr, before));
        }
        let order = spec.order.iter_mut().map(|key| &mut key.0);
        order.chain(&mut spec.value).for_each(|expr| settle(expr, before));
        let of_keys = &places[outside.len()..];
        spec.keys = keys.iter().zip(of_keys).map(|((_, kept), place)| (place + offset, *kept)).collect();
        if let (SubqueryKind::Compare { operand, .. }, Some(place)) = (&mut spec.kind, of_keys.get(keys.len())) {
            *operand = place + offset;
        }
        spec
    }
}

impl SubquerySpec {
    /// TRUE when a row may fail for it.
    fn can_fail(&self) -> bool {
        let order = self.order.iter().map(|key| &key.0);
        let fold = self.fold.iter().flat_map(|fold| fold.columns.iter().chain(&fold.having));
        self.kind == SubqueryKind::Scalar
            || order.chain(&self.condition).chain(&self.value).chain(fold).any(typing::can_fail)
    }
}

/// Subqueries that `condition` asks for TRUE and nothing else: operands of AND and OR at any depth.
fn numbers_of_true(condition: &Expr, numbers: &mut Vec<usize>) {
    match &condition.kind {
        ExprKind::And(list) | ExprKind::Or(list) => list.iter().for_each(|x| numbers_of_true(x, numbers)),
        ExprKind::Column(column) if (VALUE..RESULT).contains(column) => numbers.push(column - VALUE),
        _ => {}
    }
}

fn reads_number(expr: &Expr, number: usize) -> bool {
    let mut found = expr.kind == ExprKind::Column(VALUE + number);
    expr.each_child(&mut |child| found = found || reads_number(child, number));
    found
}
