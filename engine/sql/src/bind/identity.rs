//! A record's identity beside its value: key, topic and headers, as columns that travel with the rows.
//!
//! They are columns of the Scan like any other ([`Repr::KeyText`], [`Repr::KeyBytes`], [`Repr::Headers`]), asked for when
//! an expression reads them or a topic sink writes them, and handed on by the Projects in between, behind the columns
//! of their query. So a plan that needs none of it carries none of it. A key passes through queries that make one row
//! of one row and state none; headers also pass through groups, which give those of their last row by event time.

use std::sync::Arc;

use velostream_types::{DataType, Field, Span, Value};

use super::Binder;
use super::expr::literal;
use super::graph::Graph;
use super::query::Output;
use super::scope::Rel;
use crate::plan::{
    Carried, Expr, ExprKind, JoinColumn, KeyFormat, Node, NodeKind, Repr, ScanColumn, Side, SinkConnector,
};

/// The topic a sink writes.
pub(super) fn topic_of(sink: &SinkConnector) -> Option<&str> {
    match sink {
        SinkConnector::Kafka(kafka) => Some(&kafka.topic),
        SinkConnector::Memory { topic, .. } => Some(topic),
        SinkConnector::File { .. } | SinkConnector::Stdout => None,
    }
}

/// The key that an object of the app gives its rows.
pub(super) struct Keyed {
    /// Positions of the key columns among the columns of the Project that computes the object's rows.
    pub columns: Vec<usize>,
    /// How its sink writes keys.
    pub format: KeyFormat,
}

impl Keyed {
    /// These columns as a sink writes them.
    pub fn new(columns: &[usize], sink: Option<&SinkConnector>) -> Keyed {
        let format = match sink {
            Some(SinkConnector::Kafka(kafka)) => kafka.key_format,
            _ => KeyFormat::Text,
        };
        Keyed { columns: columns.to_vec(), format }
    }
}

impl Graph {
    /// Column of `node` that holds, in this form, the key each row would have in a topic: that of the object it comes
    /// from, else of the record it stems from. `None` where it has none.
    pub fn carry_key(&mut self, node: usize, repr: Repr) -> Option<usize> {
        match &self.nodes[node].kind {
            NodeKind::Scan { source } => self.beside(source.index(), repr),
            NodeKind::Filter { .. }
            | NodeKind::Limit { .. }
            | NodeKind::Sort(_)
            | NodeKind::Exchange { .. }
            | NodeKind::Materialize { .. }
            | NodeKind::Upsert { .. }
            | NodeKind::Amend(_)
            | NodeKind::Events => self.carry_key(self.input(node)?, repr),
            NodeKind::Union => self.carry_union(node, repr, |graph, below| graph.carry_key(below, repr)),
            NodeKind::Project { .. } if self.keys.contains_key(&node) => self.object_key(node, repr),
            NodeKind::Project { .. } => {
                let position = self.carry_key(self.input(node)?, repr)?;
                Some(self.hand_on(node, position))
            }
            // A joined row's record is the left one.
            NodeKind::Join(_) => {
                let below = self.carry_key(self.input(node)?, repr)?;
                let (name, data_type) = column_of(repr);
                Some(self.join_output(node, JoinColumn::Of(Side::Left, below), &Field::new(name, data_type)))
            }
            NodeKind::Unnest(_) => {
                let below = self.carry_key(self.input(node)?, repr)?;
                Some(self.behind_elements(node, below))
            }
            NodeKind::Subqueries(_) | NodeKind::Over(_) => {
                let below = self.carry_key(self.input(node)?, repr)?;
                Some(self.behind_results(node, below, repr))
            }
            NodeKind::Combine(_) | NodeKind::Aggregate(_) | NodeKind::Values { .. } | NodeKind::Sink { .. } => None,
        }
    }

    /// Column of `node` that holds the headers of each row; `None` where they can only be empty.
    pub fn carry_headers(&mut self, node: usize) -> Option<usize> {
        match &self.nodes[node].kind {
            NodeKind::Scan { source } => self.beside(source.index(), Repr::Headers),
            NodeKind::Amend(spec) => match spec.headers {
                Some(column) => Some(column),
                None => self.carry_headers(self.input(node)?),
            },
            NodeKind::Filter { .. }
            | NodeKind::Limit { .. }
            | NodeKind::Sort(_)
            | NodeKind::Exchange { .. }
            | NodeKind::Materialize { .. }
            | NodeKind::Upsert { .. }
            | NodeKind::Events => self.carry_headers(self.input(node)?),
            NodeKind::Union => self.carry_union(node, Repr::Headers, Graph::carry_headers),
            NodeKind::Project { .. } => self.project_headers(node),
            NodeKind::Join(_) => {
                let below = self.carry_headers(self.input(node)?)?;
                let (name, data_type) = column_of(Repr::Headers);
                Some(self.join_output(node, JoinColumn::Of(Side::Left, below), &Field::new(name, data_type)))
            }
            NodeKind::Unnest(_) => {
                let below = self.carry_headers(self.input(node)?)?;
                Some(self.behind_elements(node, below))
            }
            NodeKind::Subqueries(_) | NodeKind::Over(_) => {
                let below = self.carry_headers(self.input(node)?)?;
                Some(self.behind_results(node, below, Repr::Headers))
            }
            NodeKind::Aggregate(_) if self.nodes[self.input(node)?].changelog => None,
            NodeKind::Aggregate(_) => self.group_headers(node),
            NodeKind::Combine(_) | NodeKind::Values { .. } | NodeKind::Sink { .. } => None,
        }
    }

    /// Place of an input column in the output of a node that puts its results in front.
    fn behind_results(&mut self, node: usize, column: usize, repr: Repr) -> usize {
        let results = match &self.nodes[node].kind {
            NodeKind::Subqueries(list) => list.len(),
            NodeKind::Over(spec) => spec.calls.len(),
            _ => 0,
        };
        let (name, data_type) = column_of(repr);
        self.behind_values(node, results + column, Field::new(name, data_type))
    }

    /// Makes the schema of such a node reach to `position`, where its first input may just have got one more column.
    pub(super) fn behind_values(&mut self, node: usize, position: usize, field: Field) -> usize {
        let schema = Arc::make_mut(&mut self.nodes[node].schema);
        if schema.fields.len() <= position {
            schema.fields.push(field);
        }
        position
    }

    /// TRUE when the rows of `node` are groups.
    pub fn is_grouped(&self, node: usize) -> bool {
        matches!(self.nodes[node].kind, NodeKind::Aggregate(_))
            || self.nodes[node].inputs.iter().any(|input| self.is_grouped(input.index()))
    }

    /// What stands beside the rows of all branches of a UNION; NULL in those that have none.
    fn carry_union(
        &mut self,
        node: usize,
        repr: Repr,
        mut carry: impl FnMut(&mut Graph, usize) -> Option<usize>,
    ) -> Option<usize> {
        let branches: Vec<usize> = self.nodes[node].inputs.iter().map(|input| input.index()).collect();
        let below: Vec<Option<usize>> = branches.iter().map(|branch| carry(self, self.input(*branch)?)).collect();
        if below.iter().all(Option::is_none) {
            return None;
        }
        let (name, data_type) = column_of(repr);
        let null = Expr { data_type: data_type.clone(), ..literal(Value::Null, Span::default()) };
        let column = |at: usize| Expr { kind: ExprKind::Column(at), ..null.clone() };
        let columns = below.into_iter().map(|at| at.map_or_else(|| null.clone(), column)).collect();
        Some(self.union_column(node, columns, Field::new(name, data_type)))
    }

    /// The Scan's column for what stands beside the records of a topic.
    fn beside(&mut self, source: usize, repr: Repr) -> Option<usize> {
        self.sources[source].plan.topic()?;
        let (name, data_type) = column_of(repr);
        let column = ScanColumn { name: name.to_owned(), data_type, inferred: false, repr, not_null: false };
        Some(self.read(source, column, usize::MAX))
    }

    /// Makes the Project of an object give the key of its rows.
    fn object_key(&mut self, node: usize, repr: Repr) -> Option<usize> {
        let Keyed { columns, format } = self.keys.get(&node)?;
        let Node { kind: NodeKind::Project { exprs, .. }, schema, .. } = &mut self.nodes[node] else { return None };
        let data_type = if repr == Repr::KeyText { DataType::String } else { DataType::Bytes };
        if let ([only], KeyFormat::Text, DataType::String) = (columns.as_slice(), *format, &data_type)
            && exprs[*only].data_type == data_type
        {
            return Some(*only);
        }
        let parts = columns.iter().map(|k| (schema.fields[*k].name.clone(), exprs[*k].clone())).collect();
        let kind = ExprKind::RecordKey { format: *format, parts };
        let key = Expr { kind, data_type: data_type.clone(), span: Span::default() };
        if let Some(known) = exprs.iter().position(|e| *e == key) {
            return Some(known);
        }
        exprs.push(key);
        Arc::make_mut(schema).fields.push(Field::new("_key", data_type));
        Some(exprs.len() - 1)
    }

    fn project_headers(&mut self, node: usize) -> Option<usize> {
        let before = self.input(node).and_then(|input| self.carry_headers(input));
        let Some(edits) = self.edits.get(&node) else { return Some(self.hand_on(node, before?)) };
        let kind = ExprKind::Headers { before: Box::new(headers_at(before)), edits: edits.clone() };
        let NodeKind::Project { exprs, .. } = &mut self.nodes[node].kind else { return None };
        if let Some(known) = exprs.iter().position(|e| matches!(e.kind, ExprKind::Headers { .. })) {
            return Some(known);
        }
        exprs.push(Expr { kind, data_type: DataType::Bytes, span: Span::default() });
        let position = exprs.len() - 1;
        self.add_field(node);
        Some(position)
    }

    /// Makes an Aggregate, and the Combine in front of it, give the headers of each group's last row.
    fn group_headers(&mut self, node: usize) -> Option<usize> {
        if let NodeKind::Aggregate(spec) = &self.nodes[node].kind
            && spec.headers.is_some()
        {
            return Some(spec.output_columns());
        }
        let mut below = self.input(node)?;
        let mut folds = vec![node];
        while !matches!(self.nodes[below].kind, NodeKind::Project { .. }) {
            folds.push(below);
            below = self.input(below)?;
        }
        let before = self.carry_headers(self.input(below)?)?;
        let argument = self.hand_on(below, before);
        let input = self.nodes[below].schema.clone();
        let mut position = None;
        for fold in folds {
            if let NodeKind::Aggregate(spec) | NodeKind::Combine(spec) = &mut self.nodes[fold].kind {
                (spec.headers, spec.input) = (Some(argument), input.clone());
                position = Some(spec.output_columns());
            }
        }
        self.add_field(node);
        position
    }

    fn add_field(&mut self, node: usize) {
        let schema = Arc::make_mut(&mut self.nodes[node].schema);
        schema.fields.push(Field::new("_headers", DataType::Bytes));
    }
}

/// Name and type of a column beside the value.
fn column_of(repr: Repr) -> (&'static str, DataType) {
    match repr {
        Repr::KeyText | Repr::KeyPart(_) => ("_key", DataType::String),
        Repr::KeyBytes => ("_key", DataType::Bytes),
        _ => ("_headers", DataType::Bytes),
    }
}

/// The headers in this column; none without one.
pub(super) fn headers_at(column: Option<usize>) -> Expr {
    let kind = column.map_or(ExprKind::Literal(Value::Bytes([].into())), ExprKind::Column);
    Expr { kind, data_type: DataType::Bytes, span: Span::default() }
}

impl Binder<'_> {
    /// `_key` of a relation's rows.
    pub(super) fn key_text(&mut self, rel: &Rel, span: Span) -> Expr {
        let null = Expr { data_type: DataType::String, ..literal(Value::Null, span) };
        if rel.poisoned {
            return null;
        }
        match self.graph.carry_key(rel.node, Repr::KeyText) {
            Some(position) => Expr { kind: ExprKind::Column(position), ..null },
            None => null,
        }
    }

    /// `_topic` of a relation's rows.
    pub(super) fn topic_name(&self, rel: &Rel, span: Span) -> Expr {
        let topic = match rel.source {
            Some(source) => self.graph.sources[source].plan.topic(),
            None => rel.topic.as_deref(),
        };
        let value = topic.map_or(Value::Null, |topic| Value::Str(topic.into()));
        Expr { data_type: DataType::String, ..literal(value, span) }
    }

    /// The column of `node` with its rows' headers. Groups take those of their last row by event time.
    pub(super) fn headers_of(&mut self, node: usize, roots: &[usize]) -> Option<usize> {
        let position = self.graph.carry_headers(node)?;
        for root in roots.iter().filter(|_| self.graph.is_grouped(node)).copied().collect::<Vec<_>>() {
            let mut rel = self.source_rel(root);
            rel.roots = vec![root];
            self.orders_by_event_time(&rel);
        }
        Some(position)
    }

    /// What rows on their way to a topic take along.
    pub(super) fn carried(&mut self, node: usize, output: &Output) -> Carried {
        let key = if output.key.is_empty() { self.graph.carry_key(node, Repr::KeyBytes) } else { None };
        Carried { key, headers: self.headers_of(node, &output.roots) }
    }
}
