//! What is kept of an inner query's rows, and how its value is made of those that a row meets.

use std::sync::Arc;

use velostream_types::{DataType, Field, Schema, Value};

use super::super::aggregate::Grouped;
use super::super::joined::lower;
use super::super::over::column_of;
use super::super::scope::{Rel, RelKind, Scope};
use super::super::{Binder, typing};
use super::nodes::all_of;
use super::{Inner, OUTSIDE, PendingSubquery};
use crate::diag::Diagnostic;
use crate::parse::ast::{Subquery, SubqueryForm};
use crate::plan::{
    AggregateFn, AggregateSpec, CompareOp, Emit, Expr, ExprKind, FoldSpec, NodeKind, SubqueryKind, SubquerySpec,
};

impl Binder<'_> {
    /// The nodes below what is kept, and the plan of the subquery as far as it is known.
    pub(super) fn kept<'q>(
        &mut self,
        sub: &'q Subquery,
        operand: Option<Expr>,
        inner: Inner<'q>,
        scope: &mut Scope<'q>,
    ) -> Option<PendingSubquery<'q>> {
        let Inner { conditions, grouped, having, value, order } = inner;
        let (operand, value) = self.compared(sub, operand, value)?;
        let (both, below): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(reads_outside);
        self.doubt_null(sub, value.as_ref(), grouped.as_deref(), &below, &scope.rel);
        if let Some(predicate) = all_of(below) {
            scope.rel.node = self.filter(predicate, &scope.rel);
        }
        let keep_ns = self.keep(&both, scope);
        self.doubt_bound(sub, keep_ns, &scope.rel);
        let around = scope.around.take()?;
        let mut project = Vec::new();
        let (keys, rest) = sorted_out(both, &around.read, &mut project);
        self.doubt_rows(sub, grouped.as_deref(), &keys, &project, &scope.rel);
        let rest = rest.into_iter().map(|condition| lifted(condition, &mut project)).collect();
        let (mut value, mut order) = (value, order);
        let fold = match grouped {
            Some(grouped) => Some(folded(*grouped, having, &mut project)),
            None => {
                value = value.map(|value| lifted(value, &mut project));
                order = order.into_iter().map(|(key, a, b)| (lifted(key, &mut project), a, b)).collect();
                None
            }
        };
        if chooses_by_order(sub, fold.as_ref()) {
            // A row that is taken back is found by its values, and where order matters equal rows are not the same.
            for column in self.identity(&scope.rel, None).columns {
                column_of(self.rel_column(&scope.rel, column, sub.span), &mut project);
            }
        }
        let node = scope.rel.node;
        let fields = project.iter().enumerate().map(|(n, e)| self.lifted_field(node, "kept", n, e)).collect();
        self.note_failures(&project, scope.rel.raw, &scope.rel.roots);
        let kind = NodeKind::Project { exprs: project, event_time: None };
        let kept = self.graph.add(kind, Some(node), fields, scope.rel.changelog, self.statement);
        let is_scalar = matches!(sub.form, SubqueryForm::Scalar);
        let (kind, result) = match &sub.form {
            SubqueryForm::Exists => (SubqueryKind::Exists, DataType::Boolean),
            SubqueryForm::Scalar => {
                (SubqueryKind::Scalar, value.as_ref().map_or(DataType::Null, |value| value.data_type.clone()))
            }
            SubqueryForm::Compare { op, all, .. } => {
                (SubqueryKind::Compare { operand: 0, op: *op, all: *all }, DataType::Boolean)
            }
        };
        let spec = SubquerySpec {
            kind,
            keys: Vec::new(),
            condition: all_of(rest),
            fold,
            value,
            // EXISTS and comparisons do not mind how often a value comes, unless LIMIT counts.
            distinct: sub.query.distinct.is_some() && (is_scalar || sub.query.limit.is_some()),
            order,
            limit: sub.query.limit.map(|(rows, _)| rows),
            keep_ns,
            result,
            span: sub.span,
        };
        let (of_groups, number) = (around.scope.grouped.is_some(), around.scope.subqueries.len());
        let outside = around.read.clone();
        scope.around = Some(around);
        Some(PendingSubquery { written: sub, number, of_groups, kept, keys, operand, outside, spec })
    }

    /// Operand and value in types that compare.
    fn compared(
        &mut self,
        sub: &Subquery,
        operand: Option<Expr>,
        value: Option<Expr>,
    ) -> Option<(Option<Expr>, Option<Expr>)> {
        let (SubqueryForm::Compare { op, .. }, Some(left), Some(right)) = (&sub.form, operand, &value) else {
            return Some((None, value));
        };
        match self.compare(*op, left, right.clone(), sub.span)?.kind {
            ExprKind::Compare { left, right, .. } => Some((Some(*left), Some(*right))),
            _ => None,
        }
    }

    /// Warns of a stream that is kept for ever.
    fn doubt_bound(&mut self, sub: &Subquery, keep_ns: Option<i64>, rel: &Rel) {
        let bounded = rel.roots.iter().all(|root| self.graph.sources[*root].bounded);
        if keep_ns.is_some() || bounded || rel.kind != RelKind::Stream {
            return;
        }
        let message = "nothing bounds how long the subquery keeps its rows";
        let hint = "bound their time in its WHERE, as in inner._event_time >= outer._event_time - INTERVAL '5' MINUTE, or read a TABLE";
        self.report(Diagnostic::warning("W0450", sub.span, message).hint(hint));
    }

    /// Warns of a NULL among the values of NOT IN.
    fn doubt_null(
        &mut self,
        sub: &Subquery,
        value: Option<&Expr>,
        grouped: Option<&Grouped<'_>>,
        below: &[Expr],
        rel: &Rel,
    ) {
        let SubqueryForm::Compare { op: CompareOp::NotEqual, all: true, listed, .. } = sub.form else { return };
        if !value.is_some_and(|value| self.may_be_null(value, grouped, below, rel)) {
            return;
        }
        let what = if listed { "NOT IN" } else { "<> ALL" };
        let message = format!("the subquery may give a NULL, and {what} then is TRUE for no row");
        let hint = "add WHERE x IS NOT NULL to the subquery, or write NOT EXISTS";
        self.report(Diagnostic::warning("W0452", sub.span, message).hint(hint));
    }

    fn may_be_null(&self, value: &Expr, grouped: Option<&Grouped<'_>>, below: &[Expr], rel: &Rel) -> bool {
        match &value.kind {
            ExprKind::Literal(value) => *value == Value::Null,
            ExprKind::Cast { operand, try_cast: false } => self.may_be_null(operand, grouped, below, rel),
            ExprKind::Column(column) => match grouped {
                _ if *column >= OUTSIDE => true,
                Some(grouped) => match column.checked_sub(grouped.keys.len()) {
                    None => self.may_be_null(&grouped.project[*column], None, below, rel),
                    Some(call) => !grouped.calls.get(call).is_some_and(|call| {
                        use AggregateFn::{ApproxCountDistinct, Count, CountStar};
                        matches!(call.function, CountStar | Count | ApproxCountDistinct)
                    }),
                },
                None => {
                    let excludes = |e: &Expr| matches!(&e.kind, ExprKind::IsNull { operand, negated: true } if operand.kind == value.kind);
                    let field = match rel.source {
                        Some(source) => self.graph.sources[source].plan.read.get(*column).map(|c| !c.not_null),
                        None => self.graph.column_field(rel.node, *column).map(|f| f.nullable),
                    };
                    !below.iter().any(excludes) && field.unwrap_or(true)
                }
            },
            _ => true,
        }
    }

    /// Warns of a value that several rows may give.
    fn doubt_rows(
        &mut self,
        sub: &Subquery,
        grouped: Option<&Grouped<'_>>,
        keys: &[(Expr, usize)],
        project: &[Expr],
        rel: &Rel,
    ) {
        let query = &sub.query;
        if !matches!(sub.form, SubqueryForm::Scalar) || query.limit.is_some_and(|(rows, _)| rows <= 1) {
            return;
        }
        let is_key = |expr: &Expr| keys.iter().any(|(_, kept)| project[*kept].kind == expr.kind);
        let single = match grouped {
            Some(grouped) => grouped.project[..grouped.keys.len()].iter().all(is_key),
            None if query.from.is_none() || self.graph.is_single(rel.node) => true,
            None => {
                let identity = self.identity(rel, None).columns;
                let column = |at: &usize| keys.iter().any(|(_, k)| project[*k].kind == ExprKind::Column(*at));
                !identity.is_empty() && identity.iter().all(column)
            }
        };
        if !single {
            let message = "the subquery may give several rows, and a row that gets more than one value fails";
            let hint = "aggregate it, as in MAX(x), or add ORDER BY … LIMIT 1";
            self.report(Diagnostic::warning("W0453", sub.span, message).hint(hint));
        }
    }
}

/// TRUE when the value depends on the order of the rows.
fn chooses_by_order(sub: &Subquery, fold: Option<&FoldSpec>) -> bool {
    use AggregateFn::{ArrayAgg, Earliest, First, Last, LastSeen, Latest, StringAgg};
    let ordered = |function| matches!(function, ArrayAgg | Earliest | First | Last | LastSeen | Latest | StringAgg);
    let cut = sub.query.limit.is_some() && !matches!(sub.form, SubqueryForm::Exists);
    cut || fold.is_some_and(|fold| fold.spec.aggregates.iter().any(|call| ordered(call.function)))
}

/// Equalities of outer expressions and kept columns, and the other conditions.
fn sorted_out(both: Vec<Expr>, read: &[Expr], project: &mut Vec<Expr>) -> (Vec<(Expr, usize)>, Vec<Expr>) {
    let (mut keys, mut rest) = (Vec::new(), Vec::new());
    for condition in both {
        let sides = match &condition.kind {
            ExprKind::Compare { op: CompareOp::Equal, left, right } => match (place_of(left), place_of(right)) {
                (Some(Place::Inside), Some(Place::Outside)) => Some((right, left)),
                (Some(Place::Outside), Some(Place::Inside)) => Some((left, right)),
                _ => None,
            },
            _ => None,
        };
        let Some((outer, inner)) = sides else {
            rest.push(condition);
            continue;
        };
        let (of_outer, of_inner) = (outer.data_type.clone(), inner.data_type.clone());
        let outer = Binder::as_key(outward((**outer).clone(), read), &of_inner);
        let kept = column_of(Binder::as_key((**inner).clone(), &of_outer), project);
        keys.push((outer, kept));
    }
    (keys, rest)
}

/// Where all columns of an expression are.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Inside,
    Outside,
}

/// `None` for an expression over both or neither, or one that gives another value each time.
fn place_of(expr: &Expr) -> Option<Place> {
    let mut seen = [false; 2];
    let mut plain = true;
    let mut work = vec![expr];
    while let Some(expr) = work.pop() {
        match &expr.kind {
            ExprKind::Column(column) => seen[usize::from(*column >= OUTSIDE)] = true,
            ExprKind::System(_) => seen[0] = true,
            ExprKind::Call { function, .. } if function.volatile => plain = false,
            _ => {}
        }
        expr.each_child(&mut |child| work.push(child));
    }
    match (plain, seen) {
        (true, [true, false]) => Some(Place::Inside),
        (true, [false, true]) => Some(Place::Outside),
        _ => None,
    }
}

fn reads_outside(expr: &Expr) -> bool {
    let mut found = matches!(expr.kind, ExprKind::Column(column) if column >= OUTSIDE);
    expr.each_child(&mut |child| found = found || reads_outside(child));
    found
}

/// An expression over columns from outside as one over the rows of the query around.
fn outward(mut expr: Expr, read: &[Expr]) -> Expr {
    lower(&mut expr, &|column| column.checked_sub(OUTSIDE).and_then(|n| read.get(n)));
    expr
}

/// `expr` over the kept columns: what it reads of inner rows is one of them.
pub(super) fn lifted(mut expr: Expr, project: &mut Vec<Expr>) -> Expr {
    match expr.kind {
        ExprKind::Column(column) if column >= OUTSIDE => {}
        ExprKind::Column(_) | ExprKind::System(_) => {
            expr.kind = ExprKind::Column(column_of(expr.clone(), project));
        }
        _ => expr.each_child_mut(&mut |child| *child = lifted(child.clone(), project)),
    }
    expr
}

/// The grouping, over pairs.
fn folded(grouped: Grouped<'_>, having: Option<Expr>, project: &mut Vec<Expr>) -> FoldSpec {
    let keys = grouped.keys.len();
    let columns: Vec<Expr> = grouped.project.into_iter().map(|expr| lifted(expr, project)).collect();
    let field = |(n, e): (usize, &Expr)| {
        let name = if n < keys { format!("key_{}", n + 1) } else { format!("arg_{}", n - keys + 1) };
        Field::new(name, e.data_type.clone())
    };
    let spec = AggregateSpec {
        keys: (0..keys).collect(),
        aggregates: grouped.calls,
        window: None,
        emit: Emit::Final,
        retract: false,
        input: Arc::new(Schema::new(columns.iter().enumerate().map(field).collect())),
        input_changes: false,
        identity: Vec::new(),
        headers: None,
        ttl_ns: None,
    };
    FoldSpec { columns, spec, having }
}

impl PendingSubquery<'_> {
    /// Makes IN of which only TRUE counts a key: a kept row whose value equals the operand. The rows that meet it then
    /// are found by their hash.
    pub(super) fn seek_value(&mut self, binder: &mut Binder<'_>) {
        let SubqueryKind::Compare { op: CompareOp::Equal, all: false, .. } = self.spec.kind else { return };
        let Some(mut value) = self.spec.value.clone().filter(|_| self.spec.limit.is_none()) else { return };
        if let Some(fold) = &self.spec.fold {
            // Of a group's columns only its keys are the same for all its rows.
            let keys = fold.spec.keys.len();
            if !reads_below(&value, keys) {
                return;
            }
            lower(&mut value, &|column| fold.columns.get(column));
        }
        let NodeKind::Project { exprs, .. } = &binder.graph.nodes[self.kept].kind else { return };
        if place_of(&value) != Some(Place::Inside) {
            return;
        }
        lower(&mut value, &|column| exprs.get(column));
        let Some(operand) = self.operand.take() else { return };
        let (of_operand, of_value) = (operand.data_type.clone(), value.data_type.clone());
        let value = Binder::as_key(value, &of_operand);
        if typing::can_fail(&value) {
            self.operand = Some(operand);
            return;
        }
        let field = Field::new("value", value.data_type.clone());
        let kept = binder.graph.project_column(self.kept, value, &field);
        self.keys.push((Binder::as_key(operand, &of_value), kept));
        self.spec.kind = SubqueryKind::Exists;
        self.spec.value = None;
        self.spec.order.clear();
    }
}

/// TRUE when all columns of `expr` are below `limit`.
fn reads_below(expr: &Expr, limit: usize) -> bool {
    let mut sound = !matches!(expr.kind, ExprKind::Column(column) if column >= limit);
    expr.each_child(&mut |child| sound = sound && reads_below(child, limit));
    sound
}
