//! Subqueries in expressions: what is kept of the inner rows, which of them a row of the query around meets.
//!
//! An inner query is bound in a scope of its own, from which a name that means nothing there is looked for in the query
//! around. A column from outside is a placeholder until the rows have their places (`nodes`), and so is the value of the
//! subquery in the expressions around it. Conditions of WHERE are sorted: those on inner rows alone become a Filter below
//! what is kept, equalities of both become keys, and the rest is looked at for each pair.

mod keep;
mod kept;
mod nodes;

use super::Binder;
use super::aggregate::Grouped;
use super::join::From;
use super::query::{Target, calls};
use super::scope::{Fault, Rel, Scope};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident, Item, Query, Subquery, SubqueryForm};
use crate::plan::{Expr, ExprKind, SubquerySpec};
use crate::suggest;

pub(super) use self::nodes::split;

/// Placeholder position of the value of the first subquery.
pub(super) const VALUE: usize = usize::MAX / 4;
/// Placeholder position, inside a subquery, of the first column from outside.
const OUTSIDE: usize = usize::MAX / 8;

/// The query around a subquery while that is bound.
pub(super) struct Around<'q> {
    pub scope: Scope<'q>,
    /// What the subquery reads of it, by number of the placeholder.
    read: Vec<Expr>,
}

/// A subquery whose columns have no places yet.
pub(super) struct PendingSubquery<'q> {
    written: &'q Subquery,
    /// Of the placeholder.
    number: usize,
    /// It is computed for groups, not for the rows they are made of.
    of_groups: bool,
    /// Node that gives the rows that are kept.
    kept: usize,
    /// Outer expressions and the kept columns that equal them.
    keys: Vec<(Expr, usize)>,
    /// What its values are compared with.
    operand: Option<Expr>,
    /// What it reads from outside, by number of the placeholder.
    outside: Vec<Expr>,
    /// Without keys and operand; columns from outside are placeholders.
    spec: SubquerySpec,
}

impl PendingSubquery<'_> {
    /// Every expression over the rows of the query around.
    fn exprs(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.outside.iter_mut().chain(self.keys.iter_mut().map(|key| &mut key.0)).chain(&mut self.operand)
    }

    /// [`PendingSubquery::exprs`] of one that is computed for groups.
    pub fn exprs_of_groups(&mut self) -> impl Iterator<Item = &mut Expr> {
        let of_groups = self.of_groups;
        self.exprs().filter(move |_| of_groups)
    }
}

/// A bound inner query before its columns have places.
struct Inner<'q> {
    /// Conditions of WHERE, over inner rows and placeholders.
    conditions: Vec<Expr>,
    grouped: Option<Box<Grouped<'q>>>,
    having: Option<Expr>,
    /// The only selected value; none where only rows count.
    value: Option<Expr>,
    order: Vec<(Expr, bool, bool)>,
}

impl Binder<'_> {
    pub(super) fn subquery<'q>(&mut self, sub: &'q Subquery, scope: &mut Scope<'q>) -> Option<Expr> {
        let of_groups = scope.grouped.is_some();
        let is_same = |p: &PendingSubquery<'_>| std::ptr::eq(p.written, sub) && p.of_groups == of_groups;
        let known = scope.subqueries.iter().position(is_same);
        let at = match known {
            Some(at) => at,
            None => {
                self.may_stand(sub, scope)?;
                let pending = self.pending_subquery(sub, scope)?;
                scope.subqueries.push(pending);
                scope.subqueries.len() - 1
            }
        };
        let PendingSubquery { number, spec, .. } = &scope.subqueries[at];
        Some(Expr { kind: ExprKind::Column(VALUE + number), data_type: spec.result.clone(), span: sub.span })
    }

    /// Refuses a subquery where there are no rows yet that it could be computed for.
    fn may_stand(&mut self, sub: &Subquery, scope: &Scope<'_>) -> Option<()> {
        if scope.around.is_some() {
            return self.nested_subquery(sub, "a subquery inside a subquery");
        }
        let (place, hint) = match scope.clause {
            "SELECT" | "WHERE" | "HAVING" | "ORDER BY" => return Some(()),
            "GROUP BY" => (
                "GROUP BY",
                "compute it in a query of its own: SELECT x, COUNT(*) FROM (SELECT (SELECT …) AS x FROM t) GROUP BY x",
            ),
            "ON" => ("ON", "move the condition to WHERE, or compute the value in a query that is joined"),
            _ => ("this place", "compute it in a query of its own, and read that in FROM"),
        };
        let message = format!("a subquery is not allowed in {place}: it is computed for each row that is read");
        self.report(Diagnostic::error("E0440", sub.span, message).hint(hint));
        None
    }

    fn nested_subquery(&mut self, sub: &Subquery, what: &str) -> Option<()> {
        let message = format!("{what} is not supported yet");
        let hint = "compute one of them in a query of its own, and read or join that in FROM";
        self.report(Diagnostic::error("E0901", sub.span, message).hint(hint));
        None
    }

    fn pending_subquery<'q>(&mut self, sub: &'q Subquery, scope: &mut Scope<'q>) -> Option<PendingSubquery<'q>> {
        let operand = match &sub.form {
            SubqueryForm::Compare { operand, .. } => Some(self.bind(operand, scope)),
            SubqueryForm::Exists | SubqueryForm::Scalar => None,
        };
        if operand.as_ref().is_some_and(|bound| bound.as_ref().is_some_and(reads_value)) {
            self.nested_subquery(sub, "a subquery compared with a subquery")?;
        }
        let before = self.diagnostics.len();
        // Rows are kept, so tables may be joined as they are.
        let target =
            Target { name: None, is_table: true, is_inline: true, is_bare: false, has_readers: true, span: sub.span };
        let from = self.from(&sub.query, &target);
        self.list_known(&sub.query, before);
        let mut inner = Scope::new(Rel::poisoned(""));
        inner.depth = scope.depth;
        std::mem::swap(&mut inner, scope);
        let folded = std::mem::replace(&mut inner.folded, true);
        scope.around = Some(Box::new(Around { scope: inner, read: Vec::new() }));
        let bound = self.inner_query(sub, operand, from, scope);
        if let Some(around) = scope.around.take() {
            *scope = around.scope;
            scope.folded = folded;
        }
        bound
    }

    /// Findings about relations that do not exist say which do, and which one may be meant.
    fn list_known(&mut self, query: &Query, before: usize) {
        let names: Vec<&str> = self.objects.keys().map(String::as_str).collect();
        let known = match names.is_empty() {
            true => "the app has no relations".to_owned(),
            false => format!("the app has {}", names[..names.len().min(20)].join(", ")),
        };
        for finding in self.diagnostics.iter_mut().skip(before).filter(|finding| finding.code == "E0501") {
            finding.detail = Some(match &finding.detail {
                Some(detail) => format!("{known}; {detail}"),
                None => known.clone(),
            });
            let meant = query.relations().find(|r| finding.primary.as_ref().is_some_and(|p| p.span == r.span));
            if let Some(near) = meant.and_then(|r| suggest::closest(&r.name, names.iter().copied())) {
                finding.hint = Some(format!("did you mean \"{near}\"?"));
            }
        }
    }

    /// Binds the inner query in `scope`, which becomes its own.
    fn inner_query<'q>(
        &mut self,
        sub: &'q Subquery,
        operand: Option<Option<Expr>>,
        from: From<'q>,
        scope: &mut Scope<'q>,
    ) -> Option<PendingSubquery<'q>> {
        let (query, From { rel, pending }) = (&sub.query, from);
        scope.rel = rel;
        for (i, item) in query.items.iter().enumerate() {
            if let Item::Expr { expr, alias: Some(alias), .. } = item {
                scope.aliases.entry(&alias.name).or_insert((i, expr));
            }
        }
        let mut sound = !scope.rel.poisoned;
        let mut conditions = Vec::new();
        if let Some(filter) = &query.filter {
            scope.clause = "WHERE";
            match self.bind_condition(filter, scope) {
                Some(condition) => super::join::conjuncts(condition, &mut conditions),
                None => sound = false,
            }
        }
        if !pending.is_empty() && !scope.rel.poisoned {
            let all = super::expr::boolean(ExprKind::And(conditions.clone()), sub.span);
            sound &= self.finish_joins(query, pending, &mut scope.rel, Some(&all), None);
        }
        let selected = self.selected(sub, scope);
        let order = self.inner_order(query, scope);
        let having = self.inner_having(query, scope);
        sound &= self.has_no_over(scope);
        let (value, mut order, having) = (selected?, order?, having?);
        let grouped = scope.grouped.take();
        if grouped.as_ref().is_some_and(|grouped| grouped.reads_headers) {
            let message = "headers of groups inside a subquery are not supported yet";
            self.report(Diagnostic::error("E0901", sub.span, message).hint("read them in a query of its own, in FROM"));
            return None;
        }
        let operand = match operand {
            Some(operand) => Some(operand?),
            None => None,
        };
        let having = having.and_then(|having| match &grouped {
            Some(_) => Some(having),
            None => {
                super::join::conjuncts(having, &mut conditions);
                None
            }
        });
        if sub.form.is_exists() {
            order.clear();
        }
        let inner = Inner { conditions, grouped, having, value, order };
        if sound { self.kept(sub, operand, inner, scope) } else { None }
    }

    /// The keys of GROUP BY, then the only selected value; `Some(None)` where only rows count.
    fn selected<'q>(&mut self, sub: &'q Subquery, scope: &mut Scope<'q>) -> Option<Option<Expr>> {
        let query = &sub.query;
        let mut sound = true;
        if !query.group_by.is_empty() || calls(query).is_some() {
            let mut grouped = Grouped::new(None, &scope.rel);
            // What is kept is grouped anew each time, so nothing has to be taken back.
            grouped.changelog = false;
            sound = self.keys(query, scope, &mut grouped);
            grouped.quiet = !sound;
            scope.grouped = Some(Box::new(grouped));
        }
        let exists = sub.form.is_exists();
        let (mut values, mut columns) = (Vec::new(), 0);
        for (i, item) in query.items.iter().enumerate() {
            (scope.clause, scope.visible) = ("SELECT", i);
            match item {
                Item::Expr { expr, .. } => {
                    columns += 1;
                    values.push(self.bind(expr, scope));
                }
                Item::Star(_) | Item::QualifiedStar { .. } if exists => {}
                Item::Star(span) | Item::QualifiedStar { span, .. } => {
                    let part = self.starred(item, scope)?;
                    columns += part.len();
                    if part.len() == 1 && scope.grouped.is_none() {
                        values.push(Some(self.rel_column(&scope.rel, part.start, *span)));
                    }
                }
            }
        }
        if scope.rel.poisoned {
            return None;
        }
        if columns != 1 && !exists {
            let message = format!("the subquery gives {columns} columns, and one value is compared or taken");
            let hint = match sub.form {
                SubqueryForm::Scalar => "select one column; several values of a row need a JOIN",
                _ => "select one column; to compare several write EXISTS (SELECT 1 FROM … WHERE a = x AND b = y)",
            };
            self.report(Diagnostic::error("E0442", query.span, message).hint(hint));
            return None;
        }
        let values = values.into_iter().collect::<Option<Vec<Expr>>>()?;
        if let Some(edit) = values.iter().find(|value| super::headers::edits(value)) {
            let message = "a header is changed inside a subquery, which gives no rows of its own";
            self.report(Diagnostic::error("E0210", edit.span, message).hint("make it an item of the whole query"));
            return None;
        }
        let value = values.into_iter().next().filter(|_| !exists);
        sound.then_some(value)
    }

    /// The columns that a star stands for.
    fn starred(&mut self, item: &Item, scope: &Scope<'_>) -> Option<std::ops::Range<usize>> {
        let Item::QualifiedStar { qualifier, .. } = item else { return Some(0..scope.rel.schema.len()) };
        if let Some(joined) = &scope.rel.joined
            && let Some(part) = joined.part(&qualifier.name, false)
        {
            let part = &joined.parts[part];
            return Some(part.first..part.first + part.rel.schema.len());
        }
        if scope.rel.joined.is_some() || !scope.rel.answers(&qualifier.name, false) && !scope.rel.poisoned {
            self.bad_qualifier(qualifier, scope);
            return None;
        }
        Some(0..scope.rel.schema.len())
    }

    fn inner_order<'q>(&mut self, query: &'q Query, scope: &mut Scope<'q>) -> Option<Vec<(Expr, bool, bool)>> {
        (scope.clause, scope.visible) = ("ORDER BY", query.items.len());
        let mut order = Vec::with_capacity(query.order_by.len());
        for key in &query.order_by {
            let expr = self.order_expr(&key.expr, query, scope)?;
            let bound = self.bind(expr, scope)?;
            if !self.is_ordered(&bound.data_type, key.expr.span) {
                return None;
            }
            order.push((bound, key.descending, key.nulls_first.unwrap_or(!key.descending)));
        }
        Some(order)
    }

    fn inner_having<'q>(&mut self, query: &'q Query, scope: &mut Scope<'q>) -> Option<Option<Expr>> {
        let Some(having) = &query.having else { return Some(None) };
        (scope.clause, scope.visible) = ("HAVING", query.items.len());
        self.bind_condition(having, scope).map(Some)
    }

    fn has_no_over(&mut self, scope: &Scope<'_>) -> bool {
        let Some(over) = scope.overs.first() else { return true };
        let message = "OVER (…) is not allowed in a subquery: it is computed once for each row that comes";
        let hint = "compute it in a query of its own: … FROM (SELECT k, ROW_NUMBER() OVER (…) AS n FROM t) WHERE n = 1";
        self.report(Diagnostic::error("E0422", over.span(), message).hint(hint));
        false
    }

    /// TRUE for a name that means something around the subquery and nothing in it.
    pub(super) fn is_outside(&mut self, qualifier: Option<&Ident>, name: &Ident, scope: &Scope<'_>) -> bool {
        let Some(around) = &scope.around else { return false };
        let outer = &around.scope;
        if scope.rel.poisoned {
            return false;
        }
        if let Some(qualifier) = qualifier.map(|q| &q.name)
            && !scope.rel.answers_to(qualifier, false)
            && !scope.rel.has(qualifier)
            && outer.rel.answers_to(qualifier, true)
        {
            return true;
        }
        !self.knows(qualifier, name, scope) && (outer.rel.poisoned || self.knows(qualifier, name, outer))
    }

    fn knows(&mut self, qualifier: Option<&Ident>, name: &Ident, scope: &Scope<'_>) -> bool {
        qualifier.is_some_and(|first| self.is_path(first, name, scope))
            || !matches!(self.seek(qualifier, name, scope), Err(Fault::Qualifier | Fault::Unknown(_)))
    }

    /// The placeholder of a column of the query around.
    pub(super) fn outside<'q>(&mut self, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        let around = scope.around.as_mut()?;
        let bound = self.bind(expr, &mut around.scope).filter(|_| !around.scope.rel.poisoned)?;
        let (data_type, span) = (bound.data_type.clone(), expr.span);
        if reads_value(&bound) {
            let message = "an alias of a subquery inside another subquery is not supported yet";
            let hint = "compute it in a query of its own, and read that in FROM";
            self.report(Diagnostic::error("E0901", span, message).hint(hint));
            return None;
        }
        let same = |read: &Expr| read.kind == bound.kind && read.data_type == data_type;
        let at = around.read.iter().position(same).unwrap_or_else(|| {
            around.read.push(bound);
            around.read.len() - 1
        });
        Some(Expr { kind: ExprKind::Column(OUTSIDE + at), data_type, span })
    }
}

impl SubqueryForm {
    fn is_exists(&self) -> bool {
        matches!(self, SubqueryForm::Exists)
    }
}

/// TRUE when `expr` reads the value of a subquery. Recursion is bounded by the binder's depth limit.
fn reads_value(expr: &Expr) -> bool {
    let mut found = matches!(expr.kind, ExprKind::Column(column) if (VALUE..super::over::RESULT).contains(&column));
    expr.each_child(&mut |child| found = found || reads_value(child));
    found
}
