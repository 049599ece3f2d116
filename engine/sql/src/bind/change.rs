//! UPDATE and DELETE of a TABLE: rows of it change once, when it is loaded.
//!
//! They are bound where the table is, over its rows: an Amend behind them, in front of its sink and of whoever reads it. A
//! table with a sink gets what changed as any other change; one that the app only reads changes for its readers.

use std::collections::BTreeSet;

use velostream_types::{DataType, SchemaRef};

use super::expr::cast_to;
use super::insert::assignable;
use super::query::Target;
use super::scope::{Rel, Scope};
use super::{Binder, Object, typing};
use crate::diag::Diagnostic;
use crate::parse::ast::{Change, Expr, Ident, Role, Statement, StatementKind};
use crate::plan::{self, AmendSpec, AmendStep, NodeKind};
use crate::suggest;

/// A table whose rows UPDATE and DELETE change.
pub(super) struct Amended<'t> {
    pub schema: &'t SchemaRef,
    pub key: &'t [usize],
    pub roots: &'t [usize],
    /// Column of the headers that its topic gets.
    pub headers: Option<usize>,
}

impl<'a> Binder<'a> {
    /// Binds an UPDATE or DELETE.
    pub(super) fn change(&mut self, statements: &[Statement], statement: &Statement, change: &'a Change) {
        let what = if change.is_delete { "DELETE" } else { "UPDATE" };
        self.begin(format!("{}_{}", what.to_lowercase(), statement.number), true, statement.span);
        if !self.is_changeable(statements, change) {
            return;
        }
        // At the first use of a declared table it is bound, its changes with it.
        self.one_relation(&change.target, &[]);
        let at = self.amends.get(&change.target.name).copied();
        if let Some(draft) = self.dlqs.get_mut(self.statement) {
            draft.shared_with = at;
        }
    }

    /// TRUE for a TABLE that UPDATEs or DELETEs change, as long as they are not bound.
    pub(super) fn is_amended(&self, target: &Target<'_>) -> bool {
        target.is_table && !target.is_inline && target.name.is_some_and(|name| self.amended.contains_key(&name.name))
    }

    /// Puts the changes of the table `name` behind its rows at `node`, which change and have these columns. `None` after a
    /// mistake.
    pub(super) fn amend(&mut self, name: &str, node: usize, table: Amended<'_>) -> Option<usize> {
        let Some(changes) = self.amended.remove(name) else { return Some(node) };
        let Amended { schema, key, roots, headers } = table;
        self.amends.insert(name.to_owned(), self.statement);
        let names: Vec<String> = key.iter().map(|at| schema.fields[*at].name.clone()).collect();
        let mut steps = Vec::with_capacity(changes.len());
        let mut sound = true;
        for (number, change) in changes {
            let before = std::mem::replace(&mut self.number, number);
            let mut rel = Rel::new(name, node, schema.clone());
            rel.alias = change.target.alias.as_ref().map(|alias| alias.name.clone());
            (rel.changelog, rel.roots) = (true, roots.to_vec());
            let step = self.amend_step(change, &names, &mut Scope::new(rel));
            sound &= step.is_some();
            steps.extend(step);
            if key.is_empty() && !self.graph.is_single(node) {
                let message = format!("\"{name}\" has no key: nothing tells which of its rows are meant");
                let hint = "mark PRIMARY KEY columns where it is created";
                self.report(Diagnostic::error("E0313", change.target.span, message).hint(hint));
                sound = false;
            }
            if roots.iter().any(|root| !self.graph.sources[*root].bounded) {
                let what = if change.is_delete { "DELETE" } else { "UPDATE" };
                self.not_yet(change.target.span, &format!("{what} of a table whose input does not end"));
            }
            self.number = before;
        }
        if !sound {
            return None;
        }
        let spec = AmendSpec { key: key.to_vec(), steps, headers };
        let amend = NodeKind::Amend(Box::new(spec));
        Some(match &self.graph.nodes[node].kind {
            NodeKind::Upsert { key: own, .. } | NodeKind::Materialize { key: own } if own == key => {
                self.graph.add(amend, Some(node), Vec::new(), true, self.statement)
            }
            _ => self.behind_exchange(node, key, amend, true),
        })
    }

    /// One UPDATE or DELETE over the table's rows; `None` after a mistake.
    fn amend_step(&mut self, change: &'a Change, key: &[String], scope: &mut Scope<'a>) -> Option<AmendStep> {
        let mut sound = true;
        let mut names = BTreeSet::new();
        let mut set = Vec::with_capacity(change.assignments.len());
        scope.clause = "SET";
        for (column, value) in &change.assignments {
            if !names.insert(column.name.as_str()) {
                let message = format!("column \"{}\" is set twice", column.name);
                self.report(Diagnostic::error("E0208", column.span, message).hint("keep one of the values"));
                sound = false;
            }
            let assigned = self.assignment(column, value, key, scope);
            sound &= assigned.is_some();
            set.extend(assigned);
        }
        let mut condition = None;
        if let Some(filter) = &change.filter {
            scope.clause = "WHERE";
            condition = self.bind_condition(filter, scope);
            sound &= condition.is_some();
        }
        if !scope.subqueries.is_empty() {
            self.not_yet(change.target.span, "a subquery in UPDATE and DELETE");
        }
        sound.then(|| AmendStep { condition, set: (!change.is_delete).then_some(set) })
    }

    /// TRUE when what is changed is a TABLE of the app without a mistake.
    fn is_changeable(&mut self, statements: &[Statement], change: &Change) -> bool {
        let name = &change.target.name;
        let kind = match self.objects.get(name) {
            Some(Object::Failed) => return false,
            Some(Object::Declared(declare)) if declare.is_table => return true,
            Some(Object::Declared(_)) => "STREAM",
            Some(Object::Query(at)) => match &statements[*at].kind {
                StatementKind::Declare(declare) if declare.is_table => "TABLE",
                StatementKind::Create(create) if create.role == Role::Table => "TABLE",
                StatementKind::Create(create) if create.role != Role::Stream => "view",
                _ => "STREAM",
            },
            None => {
                let message = format!("\"{name}\" is not created or declared in this app");
                let hint = match suggest::closest(name, self.objects.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("declare it: CREATE TABLE {name} (column TYPE PRIMARY KEY, …) WITH ('path' = '…')"),
                };
                self.report(Diagnostic::error("E0205", change.target.span, message).hint(hint));
                return false;
            }
        };
        if kind != "TABLE" {
            let verb = if change.is_delete { "deleted" } else { "updated" };
            let message = format!("\"{name}\" is a {kind}: only rows of a TABLE can be {verb}");
            let hint = "make it a TABLE with a PRIMARY KEY; rows of a STREAM are events that stay";
            self.report(Diagnostic::error("E0313", change.target.span, message).hint(hint));
        }
        kind == "TABLE"
    }

    /// One `column = value` of SET: the column's place and the value in its type; `None` after a mistake.
    fn assignment(
        &mut self,
        column: &Ident,
        value: &'a Expr,
        key: &[String],
        scope: &mut Scope<'a>,
    ) -> Option<(usize, plan::Expr)> {
        let bound = self.bind(value, scope);
        let at = scope.rel.schema.index_of(&column.name);
        let Some((at, field)) = at.map(|at| (at, scope.rel.schema.fields[at].clone())) else {
            let message = format!("column \"{}\" in SET does not exist", column.name);
            let mut diagnostic = Diagnostic::error("E0203", column.span, message);
            let names = || scope.rel.schema.fields.iter().map(|f| f.name.as_str());
            diagnostic = diagnostic.detail(super::scope::available(&scope.rel));
            if let Some(near) = suggest::closest(&column.name, names()) {
                diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
            }
            self.report(diagnostic);
            return None;
        };
        if key.contains(&column.name) {
            let message = format!("column \"{}\" is part of the key and cannot be set", column.name);
            let hint = "delete the row, and insert one with the other key";
            self.report(Diagnostic::error("E0314", column.span, message).hint(hint));
            return None;
        }
        let bound = bound?;
        if !field.nullable && bound.data_type == DataType::Null {
            let message = format!("column \"{}\" is NOT NULL, and SET gives it none", field.name);
            let hint = "give it a value, or declare it without NOT NULL";
            self.report(Diagnostic::error("E0312", bound.span, message).hint(hint));
            return None;
        }
        if assignable(&bound.data_type, &field.data_type) {
            let is_same = bound.data_type == field.data_type;
            return Some((at, if is_same { bound } else { cast_to(bound, field.data_type) }));
        }
        let (own, wanted) = (&bound.data_type, &field.data_type);
        let message = format!("column \"{}\" is {wanted}, and the value is {own}", field.name);
        let diagnostic = Diagnostic::error("E0311", value.span, message);
        self.report(match typing::castable(own, wanted) {
            true => diagnostic.hint(format!("write CAST(… AS {wanted})")),
            false => diagnostic.hint(format!("no CAST leads there: set a value of type {wanted}")),
        });
        None
    }
}
