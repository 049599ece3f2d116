//! INSERT INTO: more rows for an object that the app declares or creates.
//!
//! The rows of an INSERT are a relation of their own, like a nested query. The object they go into is bound behind all of
//! its INSERTs: the rows of its own query and theirs become one relation, as UNION ALL would make it, and that one
//! has the sink and the readers. Columns are assigned by position or by the list of names; a value becomes the column's
//! type where nothing can be lost (integer, decimal, float, in this direction).
//!
//! Rows of a TABLE with a key replace each other by it. Those that only come pass an Upsert: the last one by order
//! stands. Those of changing queries are then materialized with them, because what they take back has to find them.

use std::collections::BTreeSet;
use std::sync::Arc;

use velostream_types::{DataType, EdgeId, Field, Schema, SchemaRef, Span, Value};

use super::expr::{cast_to, literal};
use super::query::{Flow, Items, Output, Target};
use super::scope::Scope;
use super::table_key::Identity;
use super::{Binder, Object, typing};
use crate::diag::Diagnostic;
use crate::parse::ast::{Declare, Insert, InsertRows, Item, Query, Role, Statement, StatementKind, ValuesRow};
use crate::plan::{Expr, ExprKind, NodeKind, Route};
use crate::props::keys::reaches_sources;
use crate::suggest;

/// Columns that a message lists.
const SHOWN: usize = 20;

/// The rows of one INSERT.
pub(super) struct Inserted<'a> {
    insert: &'a Insert,
    /// Its number in the text.
    number: usize,
    /// Its place among the statements.
    statement: usize,
    /// Type and place of every value of VALUES.
    values: Vec<Vec<(DataType, Span)>>,
    schema: SchemaRef,
    rows: Rows,
}

/// A node whose rows are written, with what has to be known of them.
struct Rows {
    node: usize,
    /// Columns of the target, over the node's.
    exprs: Vec<Expr>,
    changelog: bool,
    raw: bool,
    roots: Vec<usize>,
}

/// A bare `SELECT … INTO name`, where `name` is an object of the app, is an INSERT.
pub(super) fn adopt(statements: Vec<Statement>) -> Vec<Statement> {
    let made = |s: &Statement| match &s.kind {
        StatementKind::Create(create) => Some(create.name.name.clone()),
        StatementKind::Declare(declare) => Some(declare.name.name.clone()),
        _ => None,
    };
    let names: BTreeSet<String> = statements.iter().filter_map(made).collect();
    let into_object = |query: &Query| query.into.as_ref().is_some_and(|into| names.contains(&into.name));
    let adopted = |mut statement: Statement| {
        if let StatementKind::Query(query) = &mut statement.kind
            && into_object(query)
            && let Some(into) = query.into.take()
        {
            let target = crate::parse::ast::Ident { name: into.name, span: into.span };
            let empty = Box::new(Query::of(Vec::new(), into.span));
            let rows = InsertRows::Query(std::mem::replace(query, empty));
            statement.kind =
                StatementKind::Insert(Box::new(Insert { target, columns: Vec::new(), rows, is_bare: true }));
        }
        statement
    };
    // INTO may stand behind the last query of a UNION; it is the whole statement's.
    let lifted = |mut statement: Statement| {
        if let StatementKind::Query(query) = &mut statement.kind
            && let Some(last) = query.union.last_mut()
            && into_object(&last.query)
        {
            query.into = last.query.into.take();
        }
        statement
    };
    statements.into_iter().map(lifted).map(adopted).collect()
}

impl<'a> Binder<'a> {
    /// Binds the rows of an INSERT and keeps them for its target.
    pub(super) fn insert(&mut self, statements: &'a [Statement], statement: &'a Statement, insert: &'a Insert) {
        let is_table = self.insert_target(statements, insert);
        let inserted = match &insert.rows {
            InsertRows::Values(rows) => self.values(insert, rows),
            InsertRows::Query(query) => self.inserted_query(insert, query, is_table == Some(true)),
        };
        match (inserted, is_table) {
            (Some(mut inserted), Some(_)) => {
                inserted.number = statement.number;
                self.inserted.entry(insert.target.name.clone()).or_default().push(inserted);
            }
            (None, Some(_)) => {
                // Its object is not what it is written to be.
                self.inserts_failed.insert(insert.target.name.clone());
            }
            _ => {}
        }
    }

    /// Whether the target is a TABLE; `None` after a mistake.
    fn insert_target(&mut self, statements: &[Statement], insert: &Insert) -> Option<bool> {
        let target = &insert.target;
        let name = &target.name;
        match self.objects.get(name) {
            Some(Object::Query(at)) => match &statements[*at].kind {
                StatementKind::Declare(declare) => return Some(declare.is_table),
                StatementKind::Create(create) if !matches!(create.role, Role::Inline { .. }) => {
                    return Some(create.role == Role::Table);
                }
                _ => {
                    let message = format!("\"{name}\" is a view: nothing can be inserted into it");
                    let hint = "insert into the objects it reads, or create a STREAM";
                    self.report(Diagnostic::error("E0205", target.span, message).hint(hint));
                }
            },
            Some(Object::Failed | Object::Declared(_)) => {}
            None => {
                let message = format!("\"{name}\" is not created or declared in this app");
                let mut diagnostic = Diagnostic::error("E0205", target.span, message);
                diagnostic = match suggest::closest(name, self.objects.keys().map(String::as_str)) {
                    Some(near) => diagnostic.hint(format!("did you mean \"{near}\"?")),
                    None => diagnostic.hint(format!(
                        "declare it: CREATE STREAM {name} (column TYPE, …) WITH ('type' = 'file_sink', 'path' = '…')"
                    )),
                };
                self.report(diagnostic);
            }
        }
        None
    }

    fn inserted_query(&mut self, insert: &'a Insert, query: &'a Query, is_table: bool) -> Option<Inserted<'a>> {
        if let Some(entry) = query.with.iter().find(|entry| !reaches_sources(&entry.key)) {
            let message = format!("properties of \"{}\" belong to the statement that makes it", insert.target.name);
            self.report(Diagnostic::error("E0502", entry.key_span, message));
        }
        let span = insert.target.span;
        let target = Target { name: None, is_table, is_inline: true, is_bare: insert.is_bare, has_readers: true, span };
        let Output { node, schema, roots, raw, changelog, .. } = self.query(query, &target)?;
        let rows = Rows { node, exprs: Vec::new(), changelog, raw, roots };
        Some(Inserted { insert, number: 0, statement: self.statement, values: Vec::new(), schema, rows })
    }

    /// VALUES as a relation: its columns have the common type of their values.
    fn values(&mut self, insert: &'a Insert, written: &'a [ValuesRow]) -> Option<Inserted<'a>> {
        let rel = self.one_row();
        let (input, roots) = (rel.node, rel.roots.clone());
        let mut scope = Scope::new(rel);
        scope.clause = "VALUES";
        let mut rows: Vec<Vec<Expr>> = Vec::with_capacity(written.len());
        let mut sound = true;
        for row in written {
            let bound: Vec<Option<Expr>> = row.exprs.iter().map(|expr| self.bind(expr, &mut scope)).collect();
            let bound: Option<Vec<Expr>> = bound.into_iter().collect();
            sound &= bound.is_some();
            rows.extend(bound);
        }
        if !sound {
            return None;
        }
        let values: Vec<Vec<(DataType, Span)>> =
            rows.iter().map(|row| row.iter().map(|e| (e.data_type.clone(), e.span)).collect()).collect();
        let fields = self.values_fields(insert, &values)?;
        for expr in rows.iter_mut().flat_map(|row| row.iter_mut().zip(&fields)) {
            let (expr, field) = expr;
            if expr.data_type != field.data_type {
                *expr = cast_to(expr.clone(), field.data_type.clone());
            }
        }
        let node = self.graph.add(NodeKind::Values { rows }, Some(input), fields.clone(), false, self.statement);
        let rows = Rows { node, exprs: Vec::new(), changelog: false, raw: false, roots };
        let schema = Arc::new(Schema::new(fields));
        Some(Inserted { insert, number: 0, statement: self.statement, values, schema, rows })
    }

    /// Columns of VALUES, named `col_0` and so on.
    fn values_fields(&mut self, insert: &Insert, values: &[Vec<(DataType, Span)>]) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        for at in 0..values.first().map_or(0, Vec::len) {
            let mut data_type = DataType::Null;
            for (own, span) in values.iter().map(|row| &row[at]) {
                let Some(common) = typing::common(&data_type, own) else {
                    let message = format!("value {} of the rows is {data_type} in one and {own} in another", at + 1);
                    let diagnostic = Diagnostic::error("E0303", *span, message);
                    self.report(diagnostic.hint("CAST one to the type of the other"));
                    return None;
                };
                data_type = common;
            }
            let name = insert.columns.get(at).map_or_else(|| format!("col_{at}"), |c| c.name.clone());
            fields.push(Field { nullable: true, ..Field::new(name, data_type) });
        }
        Some(fields)
    }

    /// Ends the query of an object, with the rows of its INSERTs where it has any, and as a relation that changes where it
    /// has to be one.
    pub(super) fn emit_with_inserted(
        &mut self,
        query: &'a Query,
        target: &Target<'_>,
        flow: Flow,
        items: Items,
    ) -> Option<Output> {
        let name = target.name.filter(|_| !target.is_inline).map(|n| n.name.as_str()).unwrap_or_default();
        // Who reads a TABLE with a key of its own sees rows that replace each other, also where they only came.
        let is_keyed = target.has_readers && !items.primary_key.is_empty() || self.is_amended(target);
        let upserts = target.is_table && !flow.changelog && is_keyed;
        let inserted = match self.inserted.remove(name) {
            Some(inserted) => inserted,
            None if upserts && !target.is_inline => Vec::new(),
            None => return self.emit_nodes(query, target, flow, items),
        };
        let key = self.key(target, &flow, &items)?;
        let Target { name, is_table, is_bare, span, .. } = *target;
        let inner = Target { name, is_table, is_inline: true, is_bare, has_readers: true, span };
        let own = self.emit_nodes(query, &inner, flow, items)?;
        let fields = own.schema.fields.clone();
        let exprs = fields.iter().enumerate().map(|(at, field)| column(at, field, span)).collect();
        let Output { node, changelog, raw, roots, .. } = own;
        let own = Rows { node, exprs, changelog, raw, roots };
        self.written(query, target, fields, key, vec![own], inserted)
    }

    /// Binds a declared object that INSERTs write.
    pub(super) fn declared_target(&mut self, declare: &'a Declare, target: &Target<'_>) -> Option<Output> {
        let (schema, key) = self.declared_columns(declare)?;
        let inserted = self.inserted.remove(&declare.name.name)?;
        if let Some(watermark) = &declare.watermark {
            let message = "WATERMARK has no effect: rows of INSERT keep their event time";
            self.report(Diagnostic::warning("W0513", watermark.column.span, message));
        }
        let fields = if schema.is_empty() { self.common_fields(&inserted)? } else { schema.fields };
        let query = Query { with: declare.with.clone(), ..Query::of(Vec::new(), target.span) };
        self.written(&query, target, fields, key, Vec::new(), inserted)
    }

    /// Columns of an object that has no list of its own: those of its first INSERT, of types that fit all.
    fn common_fields(&mut self, inserted: &[Inserted<'a>]) -> Option<Vec<Field>> {
        let first = inserted.first()?;
        let mut fields = first.schema.fields.clone();
        let named = fields.iter_mut().zip(&first.insert.columns);
        named.for_each(|(field, column)| field.name.clone_from(&column.name));
        for other in inserted.iter().skip(1) {
            for (field, own) in fields.iter_mut().zip(&other.schema.fields) {
                // Another type is told where the INSERT is assigned.
                if let Some(common) = typing::common(&field.data_type, &own.data_type) {
                    field.data_type = common;
                }
                field.inferred |= own.inferred;
            }
        }
        fields.iter_mut().for_each(|field| field.nullable = true);
        Some(fields)
    }

    /// One relation of an object's own rows and those of its INSERTs, its sink, and what readers see.
    fn written(
        &mut self,
        query: &Query,
        target: &Target<'_>,
        fields: Vec<Field>,
        key: Vec<usize>,
        own: Vec<Rows>,
        inserted: Vec<Inserted<'a>>,
    ) -> Option<Output> {
        let name = target.name.map(|n| n.name.as_str()).unwrap_or_default();
        let (mut all, mut failed) = (own, self.inserts_failed.contains(name));
        let statements: Vec<usize> = inserted.iter().map(|i| i.statement).collect();
        for mut insert in inserted {
            let number = std::mem::replace(&mut self.number, insert.number);
            match self.assigned(&insert, name, &fields) {
                Some(exprs) => insert.rows.exprs = exprs,
                None => failed = true,
            }
            self.number = number;
            all.push(insert.rows);
        }
        if failed {
            return None;
        }
        let keyed = target.is_table && !key.is_empty();
        let raw = !keyed && all.iter().all(|rows| rows.raw);
        let mut roots: Vec<usize> = Vec::new();
        for root in all.iter().flat_map(|rows| &rows.roots) {
            if !roots.contains(root) {
                roots.push(*root);
            }
        }
        let (node, changelog) = self.merged(all, &fields, keyed.then_some(&key));
        let exprs = fields.iter().enumerate().map(|(at, field)| column(at, field, target.span)).collect();
        let columns = if changelog { key.clone() } else { Vec::new() };
        let identity = Identity { columns, ..Identity::default() };
        let items = Items { exprs, fields, primary_key: key, ..Items::default() };
        let (is_global, sorted, ordered) = (false, false, false);
        let flow = Flow { node, raw, ordered, changelog, roots, identity, is_global, sorted };
        let star = vec![Item::Star(query.span)];
        let rest = Query { into: query.into.clone(), with: query.with.clone(), ..Query::of(star, query.span) };
        let output = self.emit_nodes(&rest, target, flow, items);
        statements.into_iter().for_each(|at| self.dlqs[at].shared_with = Some(self.statement));
        output
    }

    /// All rows as one relation of these columns, and whether it changes; `key` where rows replace each other by it.
    fn merged(&mut self, all: Vec<Rows>, fields: &[Field], key: Option<&Vec<usize>>) -> (usize, bool) {
        let mut changes = Vec::new();
        let mut appended = Vec::new();
        for rows in all {
            if rows.raw && rows.exprs.iter().any(typing::can_fail) {
                rows.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
            }
            let project = NodeKind::Project { exprs: rows.exprs, event_time: None };
            let node = self.graph.add(project, Some(rows.node), fields.to_vec(), rows.changelog, self.statement);
            if rows.changelog { changes.push(node) } else { appended.push(node) }
        }
        let Some(key) = key else {
            let changelog = !changes.is_empty();
            changes.extend(appended);
            return (self.one_of(&changes, changelog), changelog);
        };
        if !appended.is_empty() {
            let node = self.one_of(&appended, false);
            let upsert = NodeKind::Upsert { key: key.clone(), deleted: None, passes: false };
            let upserted = self.behind_exchange(node, key, upsert, false);
            if changes.is_empty() {
                return (upserted, true);
            }
            // A branch of a UNION is a Project.
            let exprs = fields.iter().enumerate().map(|(at, field)| column(at, field, Span::default())).collect();
            let project = NodeKind::Project { exprs, event_time: None };
            changes.push(self.graph.add(project, Some(upserted), fields.to_vec(), true, self.statement));
        }
        let node = self.one_of(&changes, true);
        (self.behind_exchange(node, key, NodeKind::Materialize { key: key.clone() }, true), true)
    }

    fn one_of(&mut self, nodes: &[usize], changelog: bool) -> usize {
        match nodes {
            [only] => *only,
            _ => self.graph.union(nodes, changelog, self.statement),
        }
    }

    /// A node of a changing relation where all rows of a key meet.
    pub(super) fn behind_exchange(&mut self, node: usize, key: &[usize], kind: NodeKind, changelog: bool) -> usize {
        let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(key.to_vec()) };
        let node = self.graph.add(exchange, Some(node), Vec::new(), changelog, self.statement);
        self.graph.add(kind, Some(node), Vec::new(), true, self.statement)
    }

    /// The columns of the target from those of the INSERT.
    fn assigned(&mut self, inserted: &Inserted<'_>, target: &str, fields: &[Field]) -> Option<Vec<Expr>> {
        let places = self.places(inserted, target, fields)?;
        let mut exprs = Vec::with_capacity(fields.len());
        let mut sound = true;
        for (at, field) in fields.iter().enumerate() {
            let Some(from) = places.iter().position(|place| *place == at) else {
                sound &= field.nullable || self.null_refused(field, inserted.insert.target.span);
                exprs.push(Expr {
                    data_type: field.data_type.clone(),
                    ..literal(Value::Null, inserted.insert.target.span)
                });
                continue;
            };
            sound &= self.is_assignable(inserted, from, target, field);
            let own = &inserted.schema.fields[from];
            let expr = column(from, own, inserted.insert.target.span);
            exprs.push(if own.data_type == field.data_type { expr } else { cast_to(expr, field.data_type.clone()) });
        }
        sound.then_some(exprs)
    }

    /// Position in the target of each column of the INSERT.
    fn places(&mut self, inserted: &Inserted<'_>, target: &str, fields: &[Field]) -> Option<Vec<usize>> {
        let Insert { columns, rows, target: written, .. } = inserted.insert;
        let given = inserted.schema.len();
        let wanted = if columns.is_empty() { fields.len() } else { columns.len() };
        let names = || fields.iter().take(SHOWN).map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut places = Vec::with_capacity(wanted);
        let mut sound = true;
        for column in columns {
            match fields.iter().position(|f| f.name == column.name) {
                Some(at) if places.contains(&at) => {
                    let message = format!("column \"{}\" stands twice in the list", column.name);
                    self.report(Diagnostic::error("E0208", column.span, message).hint("name each column once"));
                    sound = false;
                }
                Some(at) => places.push(at),
                None => {
                    let message = format!("\"{target}\" has no column \"{}\"", column.name);
                    let mut diagnostic = Diagnostic::error("E0203", column.span, message);
                    diagnostic = diagnostic.detail(format!("its columns are {}", names()));
                    if let Some(near) = suggest::closest(&column.name, fields.iter().map(|f| f.name.as_str())) {
                        diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
                    }
                    self.report(diagnostic);
                    sound = false;
                }
            }
        }
        if given != wanted {
            let span = match rows {
                InsertRows::Values(rows) => rows.first().map_or(written.span, |row| row.span),
                InsertRows::Query(_) => written.span,
            };
            let takes = if wanted == 1 { "1 column".to_owned() } else { format!("{wanted} columns") };
            let gives = if given == 1 { "1 value".to_owned() } else { format!("{given} values") };
            let message = match columns.is_empty() {
                true => format!("\"{target}\" has {takes}, the INSERT gives {gives}"),
                false => format!("the list has {takes}, the INSERT gives {gives}"),
            };
            let hint = match given < wanted && columns.is_empty() {
                true => format!("name those that are given: INSERT INTO {target} (column, …); others are NULL"),
                false => "give one value for each column".to_owned(),
            };
            let diagnostic = Diagnostic::error("E0310", span, message).hint(hint);
            self.report(diagnostic.detail(format!("the columns of \"{target}\" are {}", names())));
            return None;
        }
        if columns.is_empty() {
            places.extend(0..wanted);
        }
        sound.then_some(places)
    }

    /// TRUE when column `from` of the INSERT may become `field`.
    fn is_assignable(&mut self, inserted: &Inserted<'_>, from: usize, target: &str, field: &Field) -> bool {
        let own = &inserted.schema.fields[from].data_type;
        let cell = |refused: &dyn Fn(&DataType) -> bool| {
            inserted.values.iter().map(|row| &row[from]).find(|(t, _)| refused(t)).cloned()
        };
        if !field.nullable
            && let Some((_, span)) = cell(&|t| *t == DataType::Null)
        {
            return self.null_refused(field, span);
        }
        if assignable(own, &field.data_type) {
            return true;
        }
        let (own, span) = cell(&|t| !assignable(t, &field.data_type))
            .unwrap_or_else(|| (own.clone(), item_span(inserted.insert, from)));
        let wanted = &field.data_type;
        let message = format!("column \"{}\" of \"{target}\" is {wanted}, and the value is {own}", field.name);
        let diagnostic = Diagnostic::error("E0311", span, message);
        self.report(match typing::castable(&own, wanted) {
            true => diagnostic.hint(format!("write CAST(… AS {wanted})")),
            false => diagnostic.hint(format!("no CAST leads there: insert a value of type {wanted}")),
        });
        false
    }

    /// Reports a NULL where none may stand; answers FALSE.
    fn null_refused(&mut self, field: &Field, span: Span) -> bool {
        let message = format!("column \"{}\" is NOT NULL, and the INSERT gives it none", field.name);
        self.report(Diagnostic::error("E0312", span, message).hint("give it a value, or declare it without NOT NULL"));
        false
    }
}

/// TRUE where a value changes its type without losing anything.
pub(super) fn assignable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Null, _) => true,
        (a, b) if a == b => true,
        (Integer, Decimal { .. } | Float) | (Decimal { .. }, Float) => true,
        (Decimal { scale: from, .. }, Decimal { scale: to, .. }) => from <= to,
        (a, b) if a.is_nested() && b.is_nested() => typing::common(a, b).as_ref() == Some(b),
        _ => false,
    }
}

/// Where column `at` of a query is written, as far as that can be told.
fn item_span(insert: &Insert, at: usize) -> Span {
    let InsertRows::Query(query) = &insert.rows else { return insert.target.span };
    let plain = query.items.iter().all(|item| matches!(item, Item::Expr { .. }));
    match query.items.get(at).filter(|_| plain && query.union.is_empty()) {
        Some(Item::Expr { expr, .. }) => expr.span,
        _ => insert.target.span,
    }
}

fn column(at: usize, field: &Field, span: Span) -> Expr {
    Expr { kind: ExprKind::Column(at), data_type: field.data_type.clone(), span }
}
