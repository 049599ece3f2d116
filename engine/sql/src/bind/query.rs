//! One query to nodes: WHERE, projection or grouping, HAVING, LIMIT, and what later statements see of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use velostream_types::{DataType, Field, Schema, SchemaRef, Span};

use super::aggregate::{Grouped, find_call};
use super::join::{From, PendingJoin};
use super::over::PendingOver;
use super::scope::{Rel, Scope, field_like, system_column};
use super::subquery::{PendingSubquery, split};
use super::table_key::Identity;
use super::{Binder, graph, typing};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, EmitRule, Ident, Item, Query};
use crate::plan::{AggregateSpec, Emit, Expr, ExprKind, LateStrategy, NodeKind, Route, WindowKind, WindowSpec};

/// Columns that `*` may stand for. Each column read costs a few KiB per partition.
const MAX_STAR: usize = 10_000;

/// What a query is bound for.
pub(super) struct Target<'q> {
    /// Name of the object, none for a bare SELECT.
    pub name: Option<&'q Ident>,
    pub is_table: bool,
    /// Written nowhere.
    pub is_inline: bool,
    /// A bare SELECT, or part of one.
    pub is_bare: bool,
    /// Other statements read it.
    pub has_readers: bool,
    pub span: Span,
}

/// A query's result as later statements see it.
pub(super) struct Output {
    pub node: usize,
    pub schema: SchemaRef,
    pub roots: Vec<usize>,
    pub raw: bool,
    pub ordered: bool,
    pub changelog: bool,
    /// A join takes it for a table.
    pub is_table: bool,
    /// Positions of the columns that identify a row of a changing result.
    pub key: Vec<usize>,
    /// Rows of one key may live on several shards, or several at a time.
    pub scattered: bool,
    /// Topic its sink writes.
    pub topic: Option<String>,
}

/// Select items, bound.
#[derive(Default)]
pub(super) struct Items {
    pub exprs: Vec<Expr>,
    pub fields: Vec<Field>,
    pub primary_key: Vec<usize>,
    pub event_time: Option<Expr>,
    /// Items that change headers, those without a column included.
    pub edits: Vec<Expr>,
    /// Calls with OVER, whose results are placeholders in the expressions.
    pub overs: Vec<PendingOver>,
    /// ORDER BY: what is compared, DESC, NULLS FIRST.
    pub order: Vec<(Expr, bool, bool)>,
    pub names: BTreeSet<String>,
    pub failed: bool,
}

/// The nodes of a query up to its last Project.
pub(super) struct Flow {
    /// Input of the Project.
    pub node: usize,
    pub raw: bool,
    pub ordered: bool,
    pub changelog: bool,
    pub roots: Vec<usize>,
    /// What identifies a row, as columns of the Project's input.
    pub identity: Identity,
    /// Rows all are on one shard already.
    pub is_global: bool,
    /// Rows left a Sort.
    pub sorted: bool,
}

impl<'a> Binder<'a> {
    pub(super) fn query(&mut self, query: &'a Query, target: &Target<'_>) -> Option<Output> {
        let From { rel, pending } = self.from(query, target);
        let mut scope = Scope::new(rel);
        let mut sound = !scope.rel.poisoned;
        for (i, item) in query.items.iter().enumerate() {
            if let Item::Expr { expr, alias: Some(alias), .. } = item {
                scope.aliases.entry(&alias.name).or_insert((i, expr));
            }
        }
        let call = calls(query);
        let mut is_grouped = !query.group_by.is_empty() || query.window.is_some() || call.is_some();
        let mut window = None;
        if let Some(written) = query.window.as_ref().filter(|_| query.group_by.is_empty() && call.is_none())
            && pending.iter().any(PendingJoin::is_of_streams)
        {
            // Nothing is grouped: the window is where rows meet.
            is_grouped = false;
            scope.clause = "WINDOW";
            window = self.window(written, query, Emit::Final, &scope);
            sound &= window.is_some();
            if let Some(joined) = &mut scope.rel.joined {
                joined.windowed = true;
            }
        }
        let mut condition = None;
        if let Some(filter) = &query.filter {
            scope.clause = "WHERE";
            condition = self.bind_condition(filter, &mut scope);
            sound &= condition.is_some();
        }
        if !pending.is_empty() && !scope.rel.poisoned {
            sound &= self.finish_joins(query, pending, &mut scope.rel, condition.as_ref(), window);
        }
        if let Some(predicate) = condition.filter(|_| sound) {
            self.filter_rows(predicate, &mut scope);
        }
        let (flow, items) =
            if is_grouped { self.grouped(query, target, &mut scope, call)? } else { self.plain(query, &mut scope)? };
        if !sound || items.failed || self.is_too_long(query.span) {
            return None;
        }
        self.finish_query(query, target, flow, items)
    }

    /// A Filter behind the relation's rows.
    pub(super) fn filter(&mut self, predicate: Expr, rel: &Rel) -> usize {
        self.note_failures(std::slice::from_ref(&predicate), rel.raw, &rel.roots);
        self.graph.add(NodeKind::Filter { predicate }, Some(rel.node), Vec::new(), rel.changelog, self.statement)
    }

    /// Expressions over records that can fail need the record's bytes for the dead letter.
    pub(super) fn note_failures(&mut self, exprs: &[Expr], raw: bool, roots: &[usize]) {
        if raw && exprs.iter().any(typing::can_fail) {
            roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
        }
    }

    fn plain(&mut self, query: &'a Query, scope: &mut Scope<'a>) -> Option<(Flow, Items)> {
        if let Some((EmitRule::Every(_), span)) = query.emit {
            let message = "EMIT CHANGES EVERY needs groups: rows that nobody holds leave as they come";
            let hint = "add GROUP BY or WINDOW, or leave EMIT out";
            self.report(Diagnostic::error("E0412", span, message).hint(hint));
        }
        let mut items = self.items(query, scope);
        self.order_keys(query, scope, &mut items);
        items.overs = std::mem::take(&mut scope.overs);
        if let Some((EmitRule::Final, span)) = query.emit {
            self.final_of_rows(span, &mut items);
        }
        if let Some(having) = &query.having {
            let message = "HAVING without GROUP BY or aggregates filters rows";
            self.report(Diagnostic::warning("W0407", having.span, message).hint("write WHERE"));
            scope.clause = "HAVING";
            scope.visible = query.items.len();
            match self.bind_condition(having, scope) {
                Some(predicate) => self.filter_rows(predicate, scope),
                None => items.failed = true,
            }
        }
        let rel = &scope.rel;
        if rel.raw && items.event_time.as_ref().is_some_and(typing::can_fail) {
            rel.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
        }
        let mut flow = Flow {
            node: rel.node,
            raw: rel.raw,
            ordered: rel.ordered,
            changelog: rel.changelog,
            roots: rel.roots.clone(),
            identity: self.identity(rel, Some(&items)),
            is_global: query.from.is_none(),
            sorted: false,
        };
        if !items.failed {
            let late = scope.late.take();
            self.subqueries_of_flow(late, &mut scope.subqueries, &mut flow, &mut items);
        }
        Some((flow, items))
    }

    /// EMIT FINAL of a query whose rows are final as they come.
    fn final_of_rows(&mut self, span: Span, items: &mut Items) {
        let Some(over) = items.overs.first() else {
            let message = "EMIT FINAL has no effect without GROUP BY or WINDOW";
            return self.report(Diagnostic::warning("W0404", span, message));
        };
        let message = "EMIT FINAL does not go with OVER: each row comes out once, when it came";
        let diagnostic = Diagnostic::error("E0426", span, message).also(over.span(), "the call");
        self.report(diagnostic.hint("leave EMIT FINAL out"));
        items.failed = true;
    }

    fn grouped(
        &mut self,
        query: &'a Query,
        target: &Target<'_>,
        scope: &mut Scope<'a>,
        call: Option<(&'static str, Span)>,
    ) -> Option<(Flow, Items)> {
        let emit = self.emit_rule(query, target, &scope.rel, call);
        scope.clause = "WINDOW";
        let window = query.window.as_ref().map(|w| self.window(w, query, emit, scope));
        let window_failed = matches!(window, Some(None));
        // A window that failed still is one for the names of its bounds.
        let placeholder = WindowSpec {
            kind: WindowKind::Tumbling { size_ns: 1 },
            zone: None,
            lateness_ns: 0,
            late: crate::plan::LateStrategy::Drop,
        };
        let mut grouped = Grouped::new(window.map(|w| w.unwrap_or(placeholder)), &scope.rel);
        let keys_failed = !self.keys(query, scope, &mut grouped);
        grouped.quiet = keys_failed;
        scope.grouped = Some(Box::new(grouped));
        let mut items = self.items(query, scope);
        self.order_keys(query, scope, &mut items);
        items.overs = std::mem::take(&mut scope.overs);
        let mut having = None;
        if let Some(expr) = &query.having {
            scope.clause = "HAVING";
            scope.visible = query.items.len();
            having = self.bind_condition(expr, scope);
            items.failed |= having.is_none();
        }
        let mut grouped = *scope.grouped.take()?;
        items.failed |= window_failed || keys_failed;
        if items.failed || scope.rel.poisoned {
            return None;
        }
        let order = items.order.iter_mut().map(|key| &mut key.0);
        let all = items.exprs.iter_mut().chain(&mut items.event_time).chain(&mut items.edits).chain(&mut having);
        let overs = items.overs.iter_mut().flat_map(PendingOver::exprs);
        let outside = scope.subqueries.iter_mut().flat_map(PendingSubquery::exprs_of_groups);
        all.chain(order).chain(overs).chain(outside).for_each(|expr| grouped.settle(expr));
        self.identify(&mut grouped, &scope.rel);
        self.subqueries_of_rows(scope, &mut grouped.project);
        let (having, late) = having.map_or((None, None), split);
        let mut flow = self.aggregate_nodes(grouped, emit, target, &scope.rel, having, &mut items);
        self.free_idle_groups(query, &flow);
        self.subqueries_of_flow(late, &mut scope.subqueries, &mut flow, &mut items);
        Some((flow, items))
    }

    /// When the aggregate gives rows.
    fn emit_rule(&mut self, query: &Query, target: &Target<'_>, rel: &Rel, call: Option<(&'static str, Span)>) -> Emit {
        let bounded = rel.roots.iter().all(|root| self.graph.sources[*root].bounded);
        let windowed = query.window.is_some();
        if !windowed
            && query.group_by.is_empty()
            && let Some((function, span)) = call
        {
            let message = format!("{function} without GROUP BY or WINDOW makes one group of everything");
            self.report(Diagnostic::warning("W0402", span, message).hint("add GROUP BY or WINDOW"));
        }
        if let Some(first) = query.group_by.first()
            && !windowed
            && !bounded
            && !rel.poisoned
        {
            let span = first.span;
            let message = "GROUP BY without WINDOW over unbounded input keeps every group for ever";
            self.report(
                Diagnostic::warning("W0403", span, message).hint("add WINDOW TUMBLING(size), or state.ttl in WITH"),
            );
        }
        match query.emit {
            Some((EmitRule::Changes, _)) => Emit::Changes,
            Some((EmitRule::Every(every_ns), span)) => {
                self.ticks(every_ns, windowed, rel, span);
                Emit::Every(every_ns)
            }
            Some((EmitRule::Final, span)) => {
                if !windowed && !bounded && !rel.poisoned {
                    let message = "EMIT FINAL without WINDOW over unbounded input never gives a row";
                    let hint = "add WINDOW TUMBLING(size), or write EMIT CHANGES";
                    self.report(Diagnostic::error("E0408", span, message).hint(hint));
                }
                Emit::Final
            }
            None if windowed || (target.is_bare && bounded) => Emit::Final,
            None => Emit::Changes,
        }
    }

    /// Project (keys, arguments) → Combine → Exchange → Aggregate → HAVING.
    fn aggregate_nodes(
        &mut self,
        grouped: Grouped<'a>,
        emit: Emit,
        target: &Target<'_>,
        rel: &Rel,
        having: Option<Expr>,
        items: &mut Items,
    ) -> Flow {
        let keys = grouped.keys.len();
        let Grouped {
            keys: key_exprs,
            mut project,
            calls,
            window,
            reads_headers,
            changelog: input_changes,
            identity,
            ..
        } = grouped;
        self.note_failures(&project, rel.raw, &rel.roots);
        let mut fields = Vec::with_capacity(project.len());
        for (i, expr) in project.iter_mut().enumerate() {
            let name = key_exprs.get(i).map_or_else(|| format!("arg_{}", i - keys + 1), |key| default_name(key, i));
            let inferred = self.stems_from_inferred(expr, rel);
            fields.push(Field { name, data_type: expr.data_type.clone(), nullable: true, inferred });
        }
        let input: SchemaRef = Arc::new(Schema::new(fields.clone()));
        let mut out: Vec<Field> = fields[..keys].to_vec();
        for call in &calls {
            let inferred = call.arguments.iter().any(|a| fields[*a].inferred);
            let name = call.function.name().to_lowercase();
            out.push(Field { name, data_type: call.result.clone(), nullable: true, inferred });
        }
        if window.is_some() {
            for name in ["_window_start", "_window_end"] {
                out.push(Field { nullable: false, ..Field::new(name, DataType::Integer) });
            }
        }
        for (expr, field) in items.exprs.iter_mut().zip(&mut items.fields) {
            field.inferred = any_column(expr, |c| out.get(c).is_some_and(|f| f.inferred));
        }
        // A window that is corrected gives rows that take the place of others.
        let corrects = window.is_some_and(|w| w.late == LateStrategy::UpdatePrevious);
        let retract = target.is_table && (emit != Emit::Final || corrects);
        let positions: Vec<usize> = (0..keys).collect();
        let spec = AggregateSpec {
            keys: positions.clone(),
            aggregates: calls,
            window,
            emit,
            retract,
            input,
            input_changes,
            identity,
            headers: None,
            ttl_ns: None,
        };
        let (statement, graph) = (self.statement, &mut self.graph);
        let project = NodeKind::Project { exprs: project, event_time: None };
        let mut node = graph.add(project, Some(rel.node), fields.clone(), input_changes, statement);
        if emit == Emit::Final && !input_changes && spec.window.is_none_or(WindowSpec::combines) {
            node = graph.add(NodeKind::Combine(spec.clone()), Some(node), fields[..keys].to_vec(), false, statement);
        }
        let exchange = NodeKind::Exchange { edge: velostream_types::EdgeId(0), route: Route::Key(positions.clone()) };
        node = graph.add(exchange, Some(node), Vec::new(), input_changes, statement);
        let mut identity = positions;
        if spec.window.is_some() {
            identity.push(keys + spec.aggregates.len());
        }
        node = graph.add(NodeKind::Aggregate(spec), Some(node), out, retract, statement);
        if reads_headers {
            self.headers_of(node, &rel.roots);
        }
        let graph = &mut self.graph;
        if let Some(predicate) = having {
            node = graph.add(NodeKind::Filter { predicate }, Some(node), Vec::new(), retract, statement);
        }
        let (ordered, is_global) = (emit == Emit::Final, keys == 0);
        Flow {
            node,
            raw: false,
            ordered,
            changelog: retract,
            roots: rel.roots.clone(),
            identity: Identity { columns: identity, ..Identity::default() },
            is_global,
            sorted: false,
        }
    }

    /// TRUE when a column of a row expression has an inferred type.
    pub(super) fn stems_from_inferred(&self, expr: &mut Expr, rel: &Rel) -> bool {
        any_column(expr, |column| match rel.source {
            Some(source) => self.graph.sources[source].plan.read.get(column).is_some_and(|c| c.inferred),
            None => match &rel.joined {
                Some(joined) => joined.levels.last().is_some_and(|level| {
                    self.graph.nodes[level.join].schema.fields.get(column).is_some_and(|f| f.inferred)
                }),
                None => rel.schema.fields.get(column).is_some_and(|f| f.inferred),
            },
        })
    }

    /// Binds the select list.
    fn items(&mut self, query: &'a Query, scope: &mut Scope<'a>) -> Items {
        let mut items = Items::default();
        for (i, item) in query.items.iter().enumerate() {
            scope.clause = "SELECT";
            scope.visible = i;
            match item {
                Item::Star(span) => self.star(*span, None, scope, &mut items),
                Item::QualifiedStar { qualifier, span } => {
                    let part = scope.rel.joined.as_ref().and_then(|joined| joined.part(&qualifier.name, false));
                    let is_one = scope.rel.joined.is_none() && scope.rel.answers(&qualifier.name, false);
                    if part.is_some() || is_one || scope.rel.poisoned {
                        self.star(*span, part, scope, &mut items);
                    } else {
                        self.bad_qualifier(qualifier, scope);
                        items.failed = true;
                    }
                }
                Item::Expr { expr, alias, primary_key } => {
                    self.item(expr, alias.as_ref(), *primary_key, i, scope, &mut items);
                }
            }
        }
        items
    }

    /// The columns of the relation, or of one of those that were joined.
    fn star(&mut self, span: Span, part: Option<usize>, scope: &Scope<'a>, items: &mut Items) {
        if scope.grouped.is_some() {
            let message = "SELECT * does not go with GROUP BY, WINDOW or aggregates";
            let hint = "name the grouped columns and the aggregates";
            self.report(Diagnostic::error("E0407", span, message).hint(hint));
            items.failed = true;
            return;
        }
        let joined = scope.rel.joined.as_ref();
        let range = match (joined, part) {
            (Some(joined), Some(part)) => {
                let part = &joined.parts[part];
                part.first..part.first + part.rel.schema.len()
            }
            _ => 0..scope.rel.schema.len(),
        };
        let columns = range.len();
        if columns > MAX_STAR {
            let message = format!("* stands for {columns} columns, more than {MAX_STAR}");
            self.report(Diagnostic::error("E0107", span, message).hint("name the columns you need"));
            items.failed = true;
            return;
        }
        for index in range {
            let field = &scope.rel.schema.fields[index];
            let (mut expr, mut name) = (None, field.name.clone());
            if let Some(joined) = joined.filter(|_| part.is_none()) {
                match joined.merged.get(&field.name) {
                    Some(places) if places.first() == Some(&index) => {
                        expr = self.merged_column(joined, places, &field.name, span);
                    }
                    Some(places) if places.contains(&index) => continue,
                    // A column that an earlier relation has too is told from it by its relation's name.
                    _ if items.names.contains(&name) => {
                        name = format!("{}_{name}", joined.parts[joined.part_of(index)].rel.short());
                    }
                    _ => {}
                }
            }
            let expr = expr.unwrap_or_else(|| self.rel_column(&scope.rel, index, span));
            items.push(expr, name, Some(field));
        }
    }

    fn item(
        &mut self,
        expr: &'a ast::Expr,
        alias: Option<&Ident>,
        primary_key: bool,
        index: usize,
        scope: &mut Scope<'a>,
        items: &mut Items,
    ) {
        let Some(mut bound) = self.bind(expr, scope) else {
            items.failed = true;
            return;
        };
        if super::headers::edits(&bound) {
            items.edits.push(bound.clone());
            if alias.is_none() && !primary_key && super::headers::is_edit_call(expr) {
                return;
            }
        }
        if let Some(alias) = alias.filter(|a| a.name.eq_ignore_ascii_case("_event_time")) {
            self.item_event_time(bound, alias.span, items);
            return;
        }
        if let Some(alias) = alias {
            if system_column(&alias.name).is_some() {
                let message = format!("alias \"{}\" is the name of a system column", alias.name);
                self.report(Diagnostic::warning("W0203", alias.span, message));
            }
            if items.names.contains(&alias.name) {
                let message = format!("two columns of the result are named \"{}\"", alias.name);
                self.report(Diagnostic::error("E0208", alias.span, message).hint("choose another alias"));
                items.failed = true;
                return;
            }
        }
        if primary_key {
            items.primary_key.push(items.exprs.len());
        }
        let like = match bound.kind {
            ExprKind::Column(_) if scope.grouped.is_none() => column_field(expr, scope),
            _ => None,
        };
        let inferred = scope.grouped.is_none() && self.stems_from_inferred(&mut bound, &scope.rel);
        let name = alias.map_or_else(|| default_name(expr, index), |a| a.name.clone());
        items.push(bound, name, like.as_ref());
        if let Some(field) = items.fields.last_mut() {
            field.inferred = inferred;
        }
    }

    /// `expr AS _event_time`
    fn item_event_time(&mut self, bound: Expr, span: Span, items: &mut Items) {
        if !matches!(bound.data_type, DataType::Integer | DataType::Timestamp | DataType::Null) {
            let message = format!("_event_time must be INTEGER (ms) or TIMESTAMP, not {}", bound.data_type);
            self.report(Diagnostic::error("E0302", bound.span, message));
            items.failed = true;
        } else if items.event_time.is_some() {
            self.report(Diagnostic::error("E0208", span, "a second AS _event_time"));
            items.failed = true;
        } else {
            items.event_time = Some(bound);
        }
    }

    fn finish_query(
        &mut self,
        query: &'a Query,
        target: &Target<'_>,
        mut flow: Flow,
        mut items: Items,
    ) -> Option<Output> {
        self.over_nodes(&mut flow, &mut items);
        self.note_failures(&items.exprs, flow.raw, &flow.roots);
        self.note_failures(&items.edits, flow.raw, &flow.roots);
        let (flow, items) = match query.distinct {
            Some(span) => self.distinct(query, target, flow, items, span)?,
            None => (flow, items),
        };
        let (flow, items) = self.sorted(query, target, flow, items)?;
        self.emit_with_inserted(query, target, flow, items)
    }
}

impl Items {
    fn push(&mut self, expr: Expr, name: String, like: Option<&Field>) {
        let mut unique = name.clone();
        let mut n = 1;
        while !self.names.insert(unique.clone()) {
            n += 1;
            unique = format!("{name}_{n}");
        }
        self.fields.push(field_like(unique, expr.data_type.clone(), like));
        self.exprs.push(expr);
    }
}

/// Field behind a bare column item.
fn column_field(expr: &ast::Expr, scope: &Scope<'_>) -> Option<Field> {
    let ast::ExprKind::Column { qualifier, name } = &expr.kind else { return None };
    let part = qualifier
        .as_ref()
        .zip(scope.rel.joined.as_ref())
        .and_then(|(q, joined)| joined.part(&q.name, false).map(|at| &joined.parts[at].rel));
    let rel = part.unwrap_or(&scope.rel);
    rel.schema.index_of(&name.name).map(|i| rel.schema.fields[i].clone())
}

fn any_column(expr: &mut Expr, test: impl Fn(usize) -> bool) -> bool {
    let mut any = false;
    graph::columns(expr, &mut |column| any |= test(*column));
    any
}

/// First aggregate call of a query.
pub(super) fn calls(query: &Query) -> Option<(&'static str, Span)> {
    let items = query.items.iter().filter_map(|item| match item {
        Item::Expr { expr, .. } => Some(expr),
        _ => None,
    });
    let found = items.chain(&query.having).find_map(find_call);
    found.map(|(function, span)| (function.name(), span))
}

/// Output name of an item without alias.
fn default_name(expr: &ast::Expr, at: usize) -> String {
    match &expr.kind {
        ast::ExprKind::Column { name, .. } if system_column(&name.name).is_some() => name.name.to_lowercase(),
        ast::ExprKind::Column { name, .. } | ast::ExprKind::Field { name, .. } => name.name.clone(),
        ast::ExprKind::Element { operand, index } => match &index.kind {
            ast::ExprKind::Text(name) => name.clone(),
            _ => default_name(operand, at),
        },
        ast::ExprKind::DoubleQuoted(name) => name.clone(),
        ast::ExprKind::Call { name, .. } => name.name.to_lowercase(),
        ast::ExprKind::Modified(call) => call.name.name.to_lowercase(),
        ast::ExprKind::Over(over) => over.call.name.name.to_lowercase(),
        ast::ExprKind::Cast { operand, .. } => default_name(operand, at),
        _ => format!("expr_{}", at + 1),
    }
}
