//! A declared TABLE: its source's records as rows that replace each other by PRIMARY KEY.
//!
//! All declared columns are read, because a row that leaves has to be known as a whole. Rows meet at the owner of their
//! key; an Upsert makes changes of them, and readers see what they see of a TABLE that a query makes. A row leaves when the
//! column of `delete.field` is TRUE, or when a topic has its key without a value; the key then comes from the record's.

use velostream_types::{DataType, Field, Span};

use super::Binder;
use super::change::Amended;
use super::expr::cast_to;
use super::identity::Keyed;
use super::query::Output;
use super::scope::{Rel, RelKind};
use crate::diag::Diagnostic;
use crate::parse::ast::Declare;
use crate::plan::{Expr, ExprKind, NodeKind, Repr, ScanColumn, SourceConnector};

impl<'a> Binder<'a> {
    /// The rows of an object that a statement of the app makes.
    pub(super) fn object_rel(&self, name: &str) -> Rel {
        let Some(output) = self.outputs.get(name) else { return Rel::poisoned(name) };
        let mut rel = Rel::new(name, output.node, output.schema.clone());
        rel.roots = output.roots.clone();
        rel.raw = output.raw;
        rel.ordered = output.ordered;
        rel.changelog = output.changelog;
        rel.topic = output.topic.clone();
        rel.kind = if output.is_table { RelKind::Table } else { RelKind::Stream };
        rel
    }

    /// A declared TABLE, whose source is `source`, at its first use.
    pub(super) fn table_of(&mut self, declare: &'a Declare, source: usize) -> Option<usize> {
        let (schema, key) = {
            let plan = &self.graph.sources[source].plan;
            (plan.schema.clone(), plan.table_key.clone()?)
        };
        let span = declare.name.span;
        let scan = self.graph.sources[source].node;
        let mut exprs: Vec<Expr> = Vec::with_capacity(schema.len() + 1);
        for (at, field) in schema.fields.iter().enumerate() {
            let position = self.graph.scan_column(source, at, Repr::Value);
            exprs.push(Expr { kind: ExprKind::Column(position), data_type: field.data_type.clone(), span });
        }
        let mut fields = schema.fields.clone();
        let tombstone = self.tombstone(source, &key, &mut exprs, span);
        let deleted = self.delete_column(source, span)?;
        let mut ends: Vec<Expr> = tombstone.into_iter().chain(deleted).collect();
        let is_deleted = match ends.len() {
            0 => None,
            1 => ends.pop(),
            _ => Some(Expr { kind: ExprKind::Or(ends), data_type: DataType::Boolean, span }),
        };
        let deleted = is_deleted.map(|expr| {
            exprs.push(expr);
            fields.push(Field { nullable: true, ..Field::new("_deleted", DataType::Boolean) });
            fields.len() - 1
        });
        self.note_failures(&exprs, true, &[source]);
        let project = NodeKind::Project { exprs, event_time: None };
        let node = self.graph.add(project, Some(scan), fields, false, self.statement);
        self.graph.keys.insert(node, Keyed::new(&key, None));
        let node =
            self.behind_exchange(node, &key, NodeKind::Upsert { key: key.clone(), deleted, passes: false }, false);
        let table = Amended { schema: &schema, key: &key, roots: &[source], headers: None };
        let node = self.amend(&declare.name.name, node, table)?;
        let topic = self.graph.sources[source].plan.topic().map(str::to_owned);
        let (roots, raw, ordered, changelog, is_table) = (vec![source], false, false, true, true);
        let output = Output { node, schema, roots, raw, ordered, changelog, is_table, key, scattered: false, topic };
        self.outputs.insert(declare.name.name.clone(), output);
        Some(node)
    }

    /// Where a topic's records may come without a value: TRUE for those, whose key columns then are the record's key.
    fn tombstone(&mut self, source: usize, key: &[usize], exprs: &mut [Expr], span: Span) -> Option<Expr> {
        let plan = &self.graph.sources[source].plan;
        let is_bad = matches!(&plan.connector, SourceConnector::Kafka(kafka) if kafka.null_value_is_bad);
        plan.topic().filter(|_| !is_bad)?;
        let beside = |name: &str, data_type, repr| ScanColumn {
            name: name.to_owned(),
            data_type,
            inferred: false,
            repr,
            not_null: false,
        };
        let at = self.graph.read(source, beside("_tombstone", DataType::Boolean, Repr::Tombstone), usize::MAX);
        let tombstone = Expr { kind: ExprKind::Column(at), data_type: DataType::Boolean, span };
        for (part, column) in key.iter().enumerate() {
            let repr = if key.len() == 1 { Repr::KeyText } else { Repr::KeyPart(part as u16) };
            let text = self.graph.read(source, beside("_key", DataType::String, repr), usize::MAX);
            let own = exprs[*column].clone();
            let data_type = own.data_type.clone();
            let text = Expr { kind: ExprKind::Column(text), data_type: DataType::String, span };
            let of_key = if data_type == DataType::String { text } else { cast_to(text, data_type.clone()) };
            let kind = ExprKind::Case { branches: vec![(tombstone.clone(), of_key)], otherwise: Some(Box::new(own)) };
            exprs[*column] = Expr { kind, data_type, span };
        }
        Some(tombstone)
    }

    /// The column of `delete.field`, declared or not; the outer `None` after a mistake.
    fn delete_column(&mut self, source: usize, span: Span) -> Option<Option<Expr>> {
        let spec = self.graph.sources[source].spec.as_ref();
        let Some((name, place)) = spec.and_then(|spec| spec.delete_field.clone()) else { return Some(None) };
        let declared = self.graph.sources[source].plan.schema.index_of(&name);
        let data_type = declared.map(|at| self.graph.sources[source].plan.schema.fields[at].data_type.clone());
        let position = match (declared, data_type) {
            (Some(_), Some(other)) if other != DataType::Boolean => {
                let message = format!("column \"{name}\" in delete.field is {other}, not BOOLEAN");
                let hint = "name a column that is TRUE where a row is deleted";
                self.report(Diagnostic::error("E0302", place, message).hint(hint));
                return None;
            }
            (Some(at), _) => self.graph.scan_column(source, at, Repr::Value),
            (None, _) => self.graph.extra_column(source, &name, DataType::Boolean),
        };
        Some(Some(Expr { kind: ExprKind::Column(position), data_type: DataType::Boolean, span }))
    }
}
