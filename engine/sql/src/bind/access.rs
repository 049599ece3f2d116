//! Reaching into nested values: `a.b.c`, `x[i]`, `m['k']`, and constants of nested types.
//!
//! Each step becomes a call of the catalogue (FIELD, ELEMENT_AT), so nothing behind the binder knows of paths. What the
//! first names of a path are is settled here: a column of exactly the written name (`a.b`), else a column of the relation
//! `a`, else a field of the column `a`.

use velostream_functions::{find, json};
use velostream_types::{DataType, Span, StructField, Value};

use super::Binder;
use super::expr::{cast_to, literal};
use super::scope::{Rel, Scope, system_column};
use super::typing;
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{Expr, ExprKind};
use crate::suggest;

/// Names of fields that a message lists.
const SHOWN: usize = 20;

impl Binder<'_> {
    /// TRUE when `first.name` is no column `name` of a relation `first`.
    pub(super) fn is_path(&self, first: &Ident, name: &Ident, scope: &Scope<'_>) -> bool {
        let rel = &scope.rel;
        if rel.poisoned {
            return false;
        }
        if rel.has(&joined(first, name)) {
            return true;
        }
        let is_alias = || scope.aliases.get(first.name.as_str()).is_some_and(|(item, _)| *item < scope.visible);
        if let Some(part) = part_of(rel, &first.name) {
            return part.has(&first.name) && !part.has(&name.name) && system_column(&name.name).is_none();
        }
        if rel.answers_to(&first.name, scope.folded) {
            return rel.has(&first.name) && !rel.has(&name.name) && system_column(&name.name).is_none();
        }
        rel.has(&first.name) || is_alias() || rel.source.is_some_and(|source| self.graph.sources[source].open)
    }

    /// A path of two names that [`Binder::is_path`] is TRUE for.
    pub(super) fn path<'q>(
        &mut self,
        first: &Ident,
        name: &Ident,
        expr: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let whole = joined(first, name);
        if scope.rel.has(&whole) {
            let name = Ident { name: whole, span: expr.span };
            return self.bind_name(None, &name, expr.span, expr, scope);
        }
        // A relation with a column of its own name: `item.price` of UNNEST(…) AS item.
        let qualifier = part_of(&scope.rel, &first.name).map(|_| first.clone());
        let column = ast::ExprKind::Column { qualifier: qualifier.clone(), name: first.clone() };
        let column = ast::Expr { kind: column, span: first.span, depth: 1 };
        let is_column = scope.rel.has(&first.name);
        let value = match self.bind_group_key(&column, scope) {
            Some(key) => key,
            None if is_column && scope.grouped.is_some() => {
                let grouped = scope.grouped.take();
                let row = self.bind_name(qualifier.as_ref(), first, first.span, expr, scope);
                let row = row.and_then(|row| self.field(row, name, expr.span));
                scope.grouped = grouped;
                return self.last_seen(row?, &whole, expr, scope);
            }
            None => self.bind_name(qualifier.as_ref(), first, first.span, expr, scope)?,
        };
        self.field(value, name, expr.span)
    }

    /// `operand.name`
    pub(super) fn field_of<'q>(
        &mut self,
        operand: &'q ast::Expr,
        name: &Ident,
        expr: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        if let Some(whole) = dotted(expr).filter(|whole| scope.rel.has(whole)) {
            let name = Ident { name: whole, span: expr.span };
            return self.bind_name(None, &name, expr.span, expr, scope);
        }
        let value = self.bind(operand, scope)?;
        self.field(value, name, expr.span)
    }

    /// `operand[index]`
    pub(super) fn element<'q>(
        &mut self,
        operand: &'q ast::Expr,
        index: &'q ast::Expr,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let (value, index) = self.both(operand, index, scope);
        let (value, index) = (value?, index?);
        if let (DataType::Struct(_) | DataType::Json, ExprKind::Literal(Value::Str(name))) =
            (&value.data_type, &index.kind)
        {
            let name = Ident { name: name.to_string(), span: index.span };
            return self.field(value, &name, span);
        }
        let wanted = match &value.data_type {
            DataType::Null => return Some(literal(Value::Null, span)),
            DataType::Array(_) => "an INTEGER, counted from 1",
            DataType::Map(_) => "a STRING",
            DataType::Json => "an INTEGER or a STRING",
            DataType::Struct(_) => "the name of a field in quotes",
            other => {
                let message = format!("{other} has no elements");
                let mut diagnostic = Diagnostic::error("E0302", span, message);
                if *other == DataType::String {
                    diagnostic = diagnostic.hint("CAST text of JSON first: CAST(x AS ARRAY<INTEGER>)[1]");
                }
                self.report(diagnostic);
                return None;
            }
        };
        let fits = match (&value.data_type, &index.data_type) {
            (_, DataType::Null) => true,
            (DataType::Array(_), given) => *given == DataType::Integer,
            (DataType::Map(_), given) => *given == DataType::String,
            (DataType::Json, given) => matches!(given, DataType::Integer | DataType::String),
            _ => false,
        };
        if !fits {
            let message = format!("an element of {} is named by {wanted}, not {}", value.data_type, index.data_type);
            self.report(Diagnostic::error("E0302", index.span, message));
            return None;
        }
        self.apply(find("ELEMENT_AT")?, "ELEMENT_AT", vec![value, index], span)
    }

    /// The field of a value.
    fn field(&mut self, value: Expr, name: &Ident, span: Span) -> Option<Expr> {
        let key = literal(Value::Str(name.name.as_str().into()), name.span);
        match &value.data_type {
            DataType::Null => Some(literal(Value::Null, span)),
            DataType::Map(_) => self.apply(find("ELEMENT_AT")?, "ELEMENT_AT", vec![value, key], span),
            DataType::Struct(fields) if fields.iter().all(|field| *field.name != *name.name) => {
                let fields = fields.clone();
                self.unknown_field(name, &fields);
                None
            }
            DataType::Struct(_) | DataType::Json => self.apply(find("FIELD")?, "FIELD", vec![value, key], span),
            other => {
                let message = format!("{other} has no fields, so no \"{}\"", name.name);
                let mut diagnostic = Diagnostic::error("E0302", span, message);
                if *other == DataType::String {
                    diagnostic = diagnostic.hint("CAST text of JSON first: CAST(x AS JSON).field");
                } else if matches!(other, DataType::Array(_)) {
                    diagnostic = diagnostic.hint("name an element first: x[1].field");
                }
                self.report(diagnostic);
                None
            }
        }
    }

    fn unknown_field(&mut self, name: &Ident, fields: &[StructField]) {
        let names: Vec<&str> = fields.iter().take(SHOWN).map(|field| &*field.name).collect();
        let more = fields.len() - names.len();
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("field \"{}\" does not exist", name.name);
        let detail = format!("the value has the fields {}{tail}", names.join(", "));
        let mut diagnostic = Diagnostic::error("E0203", name.span, message).detail(detail);
        if let Some(near) = suggest::closest(&name.name, fields.iter().map(|field| &*field.name)) {
            diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
        }
        self.report(diagnostic);
    }

    /// Reports values that `<`, ORDER BY and their like mean nothing for.
    pub(super) fn is_ordered(&mut self, data_type: &DataType, span: Span) -> bool {
        let ordered = typing::has_order(data_type);
        if !ordered {
            let message = match data_type {
                DataType::Json => "JSON values have no order".to_owned(),
                other => format!("values of type {other} have no order"),
            };
            let hint = "order by a part of it (x.field, x['key']), or CAST it";
            self.report(Diagnostic::error("E0302", span, message).hint(hint));
        }
        ordered
    }

    /// Converts to a nested type; text that is a constant has to be the JSON of one.
    pub(super) fn nested_cast(&mut self, expr: Expr, to: DataType) -> Option<Expr> {
        let ExprKind::Literal(Value::Str(text)) = &expr.kind else { return Some(cast_to(expr, to)) };
        let mut canonical = String::new();
        let reason = match json::check(text) {
            Err(malformed) => format!("{} at byte {}", malformed.what, malformed.at),
            Ok(()) => match json::canonical(text, &to, json::Strictness::Declared, &mut canonical) {
                Ok(()) => {
                    let kind = ExprKind::Literal(Value::Json(canonical.into()));
                    return Some(Expr { kind, data_type: to, span: expr.span });
                }
                Err(misfit) => {
                    let place = if misfit.path.is_empty() { "the value".to_owned() } else { misfit.path };
                    format!("{place} is {}, not of type {}", misfit.found, misfit.expected)
                }
            },
        };
        let message = format!("the text is not the JSON of a {to}");
        self.report(Diagnostic::error("E0304", expr.span, message).detail(reason));
        None
    }
}

/// The joined relation of this name.
fn part_of<'r>(rel: &'r Rel, name: &str) -> Option<&'r Rel> {
    let joined = rel.joined.as_ref()?;
    joined.part(name, false).map(|at| &joined.parts[at].rel)
}

/// Two names as one.
fn joined(first: &Ident, name: &Ident) -> String {
    format!("{}.{}", first.name, name.name)
}

/// The names of a path that is nothing but names, as one.
fn dotted(expr: &ast::Expr) -> Option<String> {
    let (mut expr, mut names) = (expr, Vec::new());
    loop {
        match &expr.kind {
            ast::ExprKind::Field { operand, name } => {
                names.push(name.name.as_str());
                expr = operand;
            }
            ast::ExprKind::Column { qualifier, name } => {
                names.push(&name.name);
                names.extend(qualifier.as_ref().map(|q| q.name.as_str()));
                names.reverse();
                return Some(names.join("."));
            }
            _ => return None,
        }
    }
}
