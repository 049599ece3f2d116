//! What is done to a query's rows as a whole: DISTINCT, ORDER BY, LIMIT of windows.

use std::sync::Arc;

use velostream_types::{DataType, EdgeId, Field, Schema, SchemaRef, Span, Value};

use super::Binder;
use super::query::{Flow, Items, Target};
use super::scope::Scope;
use super::table_key::Identity;
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Item, Query};
use crate::plan::{
    AggregateCall, AggregateFn, AggregateSpec, Emit, Expr, ExprKind, NodeKind, Route, SortKey, SortSpec, WindowSpec,
};

impl<'a> Binder<'a> {
    /// DISTINCT groups by all columns. A result that ends gives each group once; one that goes on gives a row when it is
    /// the first of its group; a window's rows are distinct among themselves; a table gives changes.
    pub(super) fn distinct(
        &mut self,
        query: &'a Query,
        target: &Target<'_>,
        flow: Flow,
        items: Items,
        span: Span,
    ) -> Option<(Flow, Items)> {
        let order = self.order_of_items(query, &items)?;
        let (statement, changes) = (self.statement, flow.changelog);
        let Items { exprs, fields, primary_key, event_time, edits, .. } = items;
        let bounded = flow.roots.iter().all(|root| self.graph.sources[*root].bounded);
        let window = self.window_of(flow.node);
        let emit = if window.is_some() || (target.is_bare && bounded) { Emit::Final } else { Emit::Changes };
        let retract = emit == Emit::Changes && (target.is_table || changes);
        if window.is_none() && !bounded {
            let message = "DISTINCT over unbounded input keeps every different row for ever";
            self.report(
                Diagnostic::warning("W0403", span, message)
                    .hint("GROUP BY the columns with a WINDOW, or give state.ttl in WITH"),
            );
        }
        let first_only = emit == Emit::Changes && !retract;
        let count = AggregateCall::plain(AggregateFn::CountStar, Vec::new(), DataType::Integer, span);
        let aggregates = if first_only { vec![count] } else { Vec::new() };
        let keys: Vec<usize> = (0..fields.len()).collect();
        let input: SchemaRef = Arc::new(Schema::new(fields.clone()));
        let mut out = fields.clone();
        out.extend(aggregates.iter().map(|_| Field::new("count", DataType::Integer)));
        if window.is_some() {
            out.extend(["_window_start", "_window_end"].map(|name| Field::new(name, DataType::Integer)));
        }
        let spec = AggregateSpec {
            keys: keys.clone(),
            aggregates,
            window,
            emit,
            retract,
            input,
            input_changes: changes,
            identity: Vec::new(),
            headers: None,
            ttl_ns: None,
        };
        let graph = &mut self.graph;
        let project = NodeKind::Project { exprs, event_time };
        let mut node = graph.add(project, Some(flow.node), fields.clone(), changes, statement);
        if !edits.is_empty() {
            graph.edits.insert(node, edits);
        }
        if emit == Emit::Final && !changes {
            node = graph.add(NodeKind::Combine(spec.clone()), Some(node), fields.clone(), false, statement);
        }
        let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(keys.clone()) };
        node = graph.add(exchange, Some(node), Vec::new(), changes, statement);
        node = graph.add(NodeKind::Aggregate(spec), Some(node), out, retract, statement);
        let column = |(i, field): (usize, &Field)| Expr {
            kind: ExprKind::Column(i),
            data_type: field.data_type.clone(),
            span: query.span,
        };
        if first_only {
            let count = Box::new(Expr { kind: ExprKind::Column(fields.len()), data_type: DataType::Integer, span });
            let one = Box::new(super::expr::literal(Value::Int(1), span));
            let kind = ExprKind::Compare { op: crate::plan::CompareOp::Equal, left: count, right: one };
            let predicate = super::expr::boolean(kind, span);
            node = graph.add(NodeKind::Filter { predicate }, Some(node), Vec::new(), false, statement);
        }
        let exprs: Vec<Expr> = fields.iter().enumerate().map(column).collect();
        let order = order.into_iter().map(|(at, descending, first)| (exprs[at].clone(), descending, first)).collect();
        let columns = if target.is_table { keys } else { Vec::new() };
        let identity = Identity { columns, ..Identity::default() };
        let flow = Flow {
            node,
            raw: false,
            ordered: emit == Emit::Final,
            changelog: retract,
            roots: flow.roots,
            identity,
            is_global: false,
            sorted: false,
        };
        self.free_idle_groups(query, &flow);
        Some((flow, Items { exprs, fields, primary_key, order, ..Items::default() }))
    }

    /// The window whose results the rows of `node` are.
    fn window_of(&self, node: usize) -> Option<WindowSpec> {
        let below = self.graph.below_subqueries(node);
        let node = &self.graph.nodes[below];
        match &node.kind {
            NodeKind::Aggregate(spec) => spec.window.filter(|_| spec.emit == Emit::Final),
            NodeKind::Filter { .. } => self.window_of(node.inputs.first()?.index()),
            _ => None,
        }
    }

    /// Binds the keys of ORDER BY: ordinals, aliases (before columns of that name), expressions.
    pub(super) fn order_keys(&mut self, query: &'a Query, scope: &mut Scope<'a>, items: &mut Items) {
        scope.clause = "ORDER BY";
        scope.visible = query.items.len();
        for key in &query.order_by {
            let expr = match self.order_expr(&key.expr, query, scope) {
                Some(expr) => expr,
                None => {
                    items.failed = true;
                    continue;
                }
            };
            match self.bind(expr, scope) {
                Some(bound) if !self.is_ordered(&bound.data_type, key.expr.span) => items.failed = true,
                Some(bound) => {
                    let nulls_first = key.nulls_first.unwrap_or(!key.descending);
                    items.order.push((bound, key.descending, nulls_first));
                }
                None => items.failed = true,
            }
        }
    }

    pub(super) fn order_expr<'q>(
        &mut self,
        key: &'q ast::Expr,
        query: &'q Query,
        scope: &Scope<'q>,
    ) -> Option<&'q ast::Expr> {
        match &key.kind {
            ast::ExprKind::Number(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                let ordinal: usize = digits.parse().unwrap_or(0);
                match ordinal.checked_sub(1).and_then(|i| query.items.get(i)) {
                    Some(Item::Expr { expr, .. }) => Some(expr),
                    Some(_) => {
                        let message = format!("ORDER BY {ordinal} stands for *");
                        self.report(Diagnostic::error("E0407", key.span, message).hint("name the column"));
                        None
                    }
                    None => {
                        let message = format!("ORDER BY {digits} is not in the select list");
                        let detail = format!("the select list has {} items", query.items.len());
                        self.report(Diagnostic::error("E0406", key.span, message).detail(detail));
                        None
                    }
                }
            }
            ast::ExprKind::Column { qualifier: None, name } => {
                Some(scope.aliases.get(name.name.as_str()).map_or(key, |(_, expr)| expr))
            }
            _ => Some(key),
        }
    }

    /// Positions in the select list of the keys of a DISTINCT query, which may be ordered by nothing else.
    fn order_of_items(&mut self, query: &Query, items: &Items) -> Option<Vec<(usize, bool, bool)>> {
        let mut order = Vec::with_capacity(items.order.len());
        for ((key, descending, nulls_first), written) in items.order.iter().zip(&query.order_by) {
            match items.exprs.iter().position(|expr| expr.kind == key.kind) {
                Some(at) => order.push((at, *descending, *nulls_first)),
                None => {
                    let message = "DISTINCT rows can be ordered by selected columns only";
                    let hint = "select what they are to be ordered by, or leave DISTINCT out";
                    self.report(Diagnostic::error("E0411", written.expr.span, message).hint(hint));
                    return None;
                }
            }
        }
        Some(order)
    }

    /// ORDER BY, and LIMIT of each window's results: a Sort on one shard. A LIMIT that the Sort took is not for the query
    /// to apply again.
    pub(super) fn sorted(
        &mut self,
        query: &Query,
        target: &Target<'_>,
        flow: Flow,
        mut items: Items,
    ) -> Option<(Flow, Items)> {
        let window = self.window_of(flow.node);
        let limit = query.limit.map(|(rows, _)| rows);
        if items.order.is_empty() && (limit.is_none() || window.is_none()) {
            return Some((flow, items));
        }
        let span = query.order_by.first().map(|key| key.expr.span).or(query.limit.map(|l| l.1)).unwrap_or(query.span);
        if target.is_table || flow.changelog {
            let message = "the rows of a TABLE have no order";
            let hint = "order where it is read, or create a STREAM with EMIT FINAL";
            self.report(Diagnostic::error("E0410", span, message).hint(hint));
            return None;
        }
        let bounded = flow.roots.iter().all(|root| self.graph.sources[*root].bounded);
        if window.is_none() && !bounded {
            let message = "ORDER BY over unbounded input never gives a row";
            let hint = "add WINDOW TUMBLING(size) to order the results of each window";
            self.report(Diagnostic::error("E0410", span, message).hint(hint));
            return None;
        }
        let (statement, fields) = (self.statement, items.fields.clone());
        let mut project_fields = fields.clone();
        let mut keys = Vec::with_capacity(items.order.len());
        let mut exprs = std::mem::take(&mut items.exprs);
        for (n, (key, descending, nulls_first)) in std::mem::take(&mut items.order).into_iter().enumerate() {
            let column = exprs.iter().position(|expr| *expr == key).unwrap_or_else(|| {
                project_fields.push(Field::new(format!("order_{}", n + 1), key.data_type.clone()));
                exprs.push(key);
                exprs.len() - 1
            });
            keys.push(SortKey { column, descending, nulls_first });
        }
        // Windows are told apart by the time of their rows, so theirs are new only when they have left.
        let mut placed = None;
        if let Some(time) = items.event_time.take_if(|_| window.is_some()) {
            placed = Some(Expr { kind: ExprKind::Column(exprs.len()), ..time.clone() });
            project_fields.push(Field::new("new_time", time.data_type.clone()));
            exprs.push(time);
        }
        self.note_failures(&exprs, flow.raw, &flow.roots);
        let event_time = std::mem::replace(&mut items.event_time, placed);
        let graph = &mut self.graph;
        let project = NodeKind::Project { exprs, event_time };
        let mut node = graph.add(project, Some(flow.node), project_fields, false, statement);
        if !items.edits.is_empty() {
            graph.edits.insert(node, std::mem::take(&mut items.edits));
        }
        let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(Vec::new()) };
        node = graph.add(exchange, Some(node), Vec::new(), false, statement);
        let sort = SortSpec { keys, limit, per_window: window.is_some() };
        node = graph.add(NodeKind::Sort(sort), Some(node), Vec::new(), false, statement);
        let column = |(i, field): (usize, &Field)| Expr {
            kind: ExprKind::Column(i),
            data_type: field.data_type.clone(),
            span: query.span,
        };
        items.exprs = fields.iter().enumerate().map(column).collect();
        let flow = Flow { node, raw: false, ordered: false, is_global: true, sorted: true, ..flow };
        Some((flow, items))
    }
}
