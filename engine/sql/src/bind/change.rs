//! UPDATE and DELETE: checked against the TABLE they change, and not run yet.

use std::collections::BTreeSet;

use velostream_types::DataType;

use super::insert::assignable;
use super::scope::Scope;
use super::{Binder, Object, typing};
use crate::diag::Diagnostic;
use crate::parse::ast::{Change, Expr, Ident, Role, Statement, StatementKind};
use crate::suggest;

impl<'a> Binder<'a> {
    /// Binds an UPDATE or DELETE.
    pub(super) fn change(&mut self, statements: &[Statement], statement: &Statement, change: &'a Change) {
        let what = if change.is_delete { "DELETE" } else { "UPDATE" };
        self.begin(format!("{}_{}", what.to_lowercase(), statement.number), true, statement.span);
        let Some(key) = self.changed_key(statements, change) else { return };
        let rel = self.one_relation(&change.target, &[]);
        if rel.poisoned {
            return;
        }
        let mut scope = Scope::new(rel);
        let mut sound = true;
        let mut set = BTreeSet::new();
        scope.clause = "SET";
        for (column, value) in &change.assignments {
            if !set.insert(column.name.as_str()) {
                let message = format!("column \"{}\" is set twice", column.name);
                self.report(Diagnostic::error("E0208", column.span, message).hint("keep one of the values"));
                sound = false;
            }
            sound &= self.assignment(column, value, &key, &mut scope);
        }
        if let Some(filter) = &change.filter {
            scope.clause = "WHERE";
            sound &= self.bind_condition(filter, &mut scope).is_some();
        }
        if sound {
            self.not_yet(change.target.span, what);
        }
    }

    /// Names of the key columns of the table that is changed; `None` after a mistake.
    fn changed_key(&mut self, statements: &[Statement], change: &Change) -> Option<Vec<String>> {
        let name = &change.target.name;
        let kind = match self.objects.get(name) {
            Some(Object::Failed) => return None,
            Some(Object::Declared(declare)) if declare.is_table => {
                return Some(declare.primary_key.iter().map(|k| k.name.clone()).collect());
            }
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
                return None;
            }
        };
        if kind != "TABLE" {
            let verb = if change.is_delete { "deleted" } else { "updated" };
            let message = format!("\"{name}\" is a {kind}: only rows of a TABLE can be {verb}");
            let hint = "make it a TABLE with a PRIMARY KEY; rows of a STREAM are events that stay";
            self.report(Diagnostic::error("E0313", change.target.span, message).hint(hint));
            return None;
        }
        let output = self.outputs.get(name)?;
        Some(output.key.iter().map(|at| output.schema.fields[*at].name.clone()).collect())
    }

    /// One `column = value` of SET; FALSE after a mistake.
    fn assignment(&mut self, column: &Ident, value: &'a Expr, key: &[String], scope: &mut Scope<'a>) -> bool {
        let bound = self.bind(value, scope);
        let Some(field) = scope.rel.schema.fields.iter().find(|f| f.name == column.name).cloned() else {
            let message = format!("column \"{}\" in SET does not exist", column.name);
            let mut diagnostic = Diagnostic::error("E0203", column.span, message);
            let names = || scope.rel.schema.fields.iter().map(|f| f.name.as_str());
            diagnostic = diagnostic.detail(super::scope::available(&scope.rel));
            if let Some(near) = suggest::closest(&column.name, names()) {
                diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
            }
            self.report(diagnostic);
            return false;
        };
        if key.contains(&column.name) {
            let message = format!("column \"{}\" is part of the key and cannot be set", column.name);
            let hint = "delete the row, and insert one with the other key";
            self.report(Diagnostic::error("E0314", column.span, message).hint(hint));
            return false;
        }
        let Some(bound) = bound else { return false };
        if !field.nullable && bound.data_type == DataType::Null {
            let message = format!("column \"{}\" is NOT NULL, and SET gives it none", field.name);
            let hint = "give it a value, or declare it without NOT NULL";
            self.report(Diagnostic::error("E0312", bound.span, message).hint(hint));
            return false;
        }
        if assignable(&bound.data_type, &field.data_type) {
            return true;
        }
        let (own, wanted) = (&bound.data_type, &field.data_type);
        let message = format!("column \"{}\" is {wanted}, and the value is {own}", field.name);
        let diagnostic = Diagnostic::error("E0311", value.span, message);
        self.report(match typing::castable(own, wanted) {
            true => diagnostic.hint(format!("write CAST(… AS {wanted})")),
            false => diagnostic.hint(format!("no CAST leads there: set a value of type {wanted}")),
        });
        false
    }
}
