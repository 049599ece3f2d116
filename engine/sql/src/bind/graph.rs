//! The plan while it is built: nodes in topological order, sources with the columns read so far.
//!
//! Invariants: Filter, Limit and Exchange keep their input's column positions, so a column asked for later is appended
//! to the Scan (or Project) without disturbing anything; Scan columns are referred to by Filter and Project nodes only.
//! `finish` drops Scan columns nobody reads, orders them as in the schema, and numbers schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use velostream_types::{DataType, DlqId, Field, NodeId, Schema, SchemaRef, SourceId, Span};

use super::identity::Keyed;
use crate::endpoint::SourceSpec;
use crate::plan::{
    Expr, ExprKind, JoinColumn, Node, NodeKind, Repr, ScanColumn, Side, SourceConnector, SourcePlan, TimeField,
};

/// A source and what is known of it beyond its plan.
pub(super) struct Source {
    pub plan: SourcePlan,
    pub spec: Option<SourceSpec>,
    /// Its Scan.
    pub node: usize,
    /// Nothing is known of its columns (no record yet): every name is a column of NULLs.
    pub open: bool,
    /// Ends by itself.
    pub bounded: bool,
    /// The query text that made its event time what it is, if one named a column.
    pub time_span: Option<Span>,
    /// Per entry of `plan.read`: position in the schema; `usize::MAX` outside it.
    places: Vec<usize>,
    /// (name, form) → position in `plan.read`.
    known: BTreeMap<(String, Repr), usize>,
}

#[derive(Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub sources: Vec<Source>,
    /// Select items that change headers, by the Project that computes their list.
    pub edits: BTreeMap<usize, Vec<Expr>>,
    /// Keys of objects, by the Project that computes their rows.
    pub keys: BTreeMap<usize, Keyed>,
    /// Projects whose first column an Unnest takes apart: behind it nobody finds it as a column.
    pub collections: BTreeSet<usize>,
}

impl Graph {
    /// A new source with its Scan.
    pub fn add_source(
        &mut self,
        mut plan: SourcePlan,
        spec: Option<SourceSpec>,
        bounded: bool,
        statement: usize,
    ) -> usize {
        let index = self.sources.len();
        plan.read.clear();
        let open = plan.schema.is_empty() && spec.is_some();
        let node = self.add(NodeKind::Scan { source: SourceId(index as u16) }, None, Vec::new(), false, statement);
        let (places, known) = (Vec::new(), BTreeMap::new());
        self.sources.push(Source { plan, spec, node, open, bounded, time_span: None, places, known });
        index
    }

    /// A node behind `input`; `fields` where the node has columns of its own.
    pub fn add(
        &mut self,
        kind: NodeKind,
        input: Option<usize>,
        fields: Vec<Field>,
        changelog: bool,
        statement: usize,
    ) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            id: NodeId(index as u16),
            kind,
            inputs: input.map(|i| NodeId(i as u16)).into_iter().collect(),
            schema: Arc::new(Schema::new(fields)),
            changelog,
            statement,
            dlq: DlqId(0),
        });
        index
    }

    /// Position in the Scan's output of the schema's column `field`.
    pub fn scan_column(&mut self, source: usize, field: usize, repr: Repr) -> usize {
        let declared = self.sources[source].plan.declared;
        let Field { name, data_type, nullable, inferred } = self.sources[source].plan.schema.fields[field].clone();
        let column = ScanColumn { name, data_type, inferred: inferred && !declared, repr, not_null: !nullable };
        self.read(source, column, field)
    }

    /// Position in the Scan's output of a field that the schema does not list.
    pub fn extra_column(&mut self, source: usize, name: &str, data_type: DataType) -> usize {
        let name = name.to_owned();
        let column = ScanColumn { name, data_type, inferred: true, repr: Repr::Value, not_null: false };
        self.read(source, column, usize::MAX)
    }

    pub(super) fn read(&mut self, source: usize, column: ScanColumn, place: usize) -> usize {
        let source = &mut self.sources[source];
        let next = source.plan.read.len();
        let position = *source.known.entry((column.name.clone(), column.repr)).or_insert(next);
        if position == next {
            source.plan.read.push(column);
            source.places.push(place);
        }
        position
    }

    pub(super) fn input(&self, node: usize) -> Option<usize> {
        self.nodes[node].inputs.first().map(|id| id.index())
    }

    /// Follows `column` of `node` down through nodes that hand it on unchanged, to a Scan column.
    /// The path is given from the top to the node that has the Scan as its input.
    fn trace(&self, node: usize, column: usize) -> Option<(usize, usize, Vec<usize>)> {
        let (mut node, mut column, mut path) = (node, column, Vec::new());
        loop {
            match &self.nodes[node].kind {
                NodeKind::Scan { source } => return Some((source.index(), column, path)),
                NodeKind::Filter { .. } | NodeKind::Limit { .. } | NodeKind::Exchange { .. } => {}
                NodeKind::Join(spec) => {
                    let JoinColumn::Of(side, from) = *spec.output.get(column)? else { return None };
                    path.push(node);
                    node = self.nodes[node].inputs.get(usize::from(side == Side::Right))?.index();
                    column = from;
                    continue;
                }
                NodeKind::Project { exprs, .. } => match exprs[column].kind {
                    ExprKind::Column(below) => column = below,
                    _ => return None,
                },
                NodeKind::Unnest(spec) => column = spec.below(column)?,
                _ => return None,
            }
            path.push(node);
            node = self.input(node)?;
        }
    }

    /// The Scan column behind `column` of `node`: source and position in its `read`.
    pub fn origin(&self, node: usize, column: usize) -> Option<(usize, usize)> {
        self.trace(node, column).map(|(source, column, _)| (source, column))
    }

    /// The rows of all these nodes, whose columns are alike.
    pub fn union(&mut self, inputs: &[usize], changelog: bool, statement: usize) -> usize {
        let node = self.add(NodeKind::Union, None, Vec::new(), changelog, statement);
        self.nodes[node].inputs = inputs.iter().map(|i| NodeId(*i as u16)).collect();
        node
    }

    /// TRUE when `node` has one row at most: the one group of everything.
    pub fn is_single(&self, node: usize) -> bool {
        match &self.nodes[node].kind {
            NodeKind::Aggregate(spec) => spec.keys.is_empty() && spec.window.is_none(),
            NodeKind::Scan { .. } | NodeKind::Union | NodeKind::Unnest(_) => false,
            _ => self.input(node).is_some_and(|input| self.is_single(input)),
        }
    }

    /// The node whose rows subqueries were computed for, where `node` is the last of theirs; else `node` itself.
    pub fn below_subqueries(&self, node: usize) -> usize {
        let mut below = node;
        while let NodeKind::Filter { .. } = self.nodes[below].kind
            && let Some(input) = self.input(below)
        {
            below = input;
        }
        if !matches!(self.nodes[below].kind, NodeKind::Subqueries(_)) {
            return node;
        }
        while let Some(input) = self.input(below) {
            let is_first = matches!(self.nodes[below].kind, NodeKind::Project { .. });
            below = input;
            if is_first {
                break;
            }
        }
        below
    }

    /// The source whose records the rows of `node` are, one by one and in their columns' places.
    pub fn records_of(&self, node: usize) -> Option<usize> {
        match &self.nodes[node].kind {
            NodeKind::Scan { source } => Some(source.index()),
            NodeKind::Filter { .. } => self.records_of(self.input(node)?),
            _ => None,
        }
    }

    /// Column of `node` that carries `column` as the text it was written in: only for inferred numbers and nested
    /// values that come straight from a Scan, in every branch of a UNION. Projects on the way hand the text on in an additional column.
    pub fn token(&mut self, node: usize, column: usize) -> Option<usize> {
        self.has_token(node, column).then(|| self.hand_on_token(node, column))
    }

    fn has_token(&self, node: usize, column: usize) -> bool {
        let below = |node: usize, column| self.input(node).is_some_and(|input| self.has_token(input, column));
        match &self.nodes[node].kind {
            NodeKind::Scan { source } => {
                let source = &self.sources[source.index()];
                let read = &source.plan.read[column];
                let as_written = read.data_type.is_numeric() || read.data_type.is_nested();
                read.inferred && as_written && source.places[column] != usize::MAX
            }
            NodeKind::Filter { .. } | NodeKind::Limit { .. } | NodeKind::Sort(_) | NodeKind::Exchange { .. } => {
                below(node, column)
            }
            NodeKind::Project { exprs, .. } => {
                matches!(exprs[column].kind, ExprKind::Column(from) if below(node, from))
            }
            NodeKind::Unnest(spec) => spec.below(column).is_some_and(|from| below(node, from)),
            NodeKind::Union => self.nodes[node].inputs.iter().all(|input| self.has_token(input.index(), column)),
            NodeKind::Subqueries(list) => column.checked_sub(list.len()).is_some_and(|column| below(node, column)),
            _ => false,
        }
    }

    /// Where `node` gives the text of `column`, which has one.
    fn hand_on_token(&mut self, node: usize, column: usize) -> usize {
        let inputs: Vec<usize> = self.nodes[node].inputs.iter().map(|input| input.index()).collect();
        match &self.nodes[node].kind {
            NodeKind::Scan { source } => {
                let source = source.index();
                let place = self.sources[source].places[column];
                self.scan_column(source, place, Repr::Token)
            }
            NodeKind::Project { exprs, .. } => {
                let ExprKind::Column(from) = exprs[column].kind else { return column };
                let position = self.hand_on_token(inputs[0], from);
                self.hand_on(node, position)
            }
            NodeKind::Unnest(spec) => {
                let Some(from) = spec.below(column) else { return column };
                let position = self.hand_on_token(inputs[0], from);
                self.behind_elements(node, position)
            }
            NodeKind::Subqueries(list) => {
                let values = list.len();
                let position = self.hand_on_token(inputs[0], column - values);
                let field = self.column_field(inputs[0], position).unwrap_or_else(|| Field::new("", DataType::Null));
                self.behind_values(node, values + position, field)
            }
            NodeKind::Union => {
                let mut columns = Vec::with_capacity(inputs.len());
                for branch in inputs {
                    let (Some(below), NodeKind::Project { exprs, .. }) = (self.input(branch), &self.nodes[branch].kind)
                    else {
                        return column;
                    };
                    let Expr { kind: ExprKind::Column(from), data_type, span } = exprs[column].clone() else {
                        return column;
                    };
                    let kind = ExprKind::Column(self.hand_on_token(below, from));
                    columns.push(Expr { kind, data_type, span });
                }
                let field = self.column_field(node, column).unwrap_or_else(|| Field::new("", DataType::Null));
                self.union_column(node, columns, field)
            }
            _ => inputs.into_iter().map(|input| self.hand_on_token(input, column)).fold(column, |_, at| at),
        }
    }

    /// Makes the branches of a UNION, each a Project of its own, give these columns at one place; answers where.
    pub fn union_column(&mut self, node: usize, columns: Vec<Expr>, field: Field) -> usize {
        let branches: Vec<usize> = self.nodes[node].inputs.iter().map(|input| input.index()).collect();
        let exprs = |branch: usize| match &self.nodes[branch].kind {
            NodeKind::Project { exprs, .. } => exprs.as_slice(),
            _ => &[],
        };
        let width = branches.iter().map(|b| exprs(*b).len()).min().unwrap_or(0);
        let stands = |at: &usize| branches.iter().zip(&columns).all(|(b, column)| exprs(*b)[*at].kind == column.kind);
        if let Some(known) = (0..width).find(stands) {
            return known;
        }
        for (branch, column) in branches.into_iter().zip(columns) {
            let node = &mut self.nodes[branch];
            if let NodeKind::Project { exprs, .. } = &mut node.kind {
                exprs.push(column);
                Arc::make_mut(&mut node.schema).fields.push(field.clone());
            }
        }
        width
    }

    /// Makes `node` give its input's column `position`; answers where.
    pub(super) fn hand_on(&mut self, node: usize, position: usize) -> usize {
        let below = self.input(node);
        let read = below.and_then(|below| match &self.nodes[below].kind {
            NodeKind::Scan { source } => self.sources[source.index()].plan.read.get(position),
            _ => None,
        });
        let field = match read {
            Some(column) => {
                let (name, data_type) = (column.name.clone(), column.data_type.clone());
                Field { name, data_type, nullable: true, inferred: true }
            }
            None => {
                below.and_then(|b| self.column_field(b, position)).unwrap_or_else(|| Field::new("", DataType::Null))
            }
        };
        let first = usize::from(self.collections.contains(&node));
        let node = &mut self.nodes[node];
        let NodeKind::Project { exprs, .. } = &mut node.kind else { return position };
        if let Some(found) = exprs.iter().skip(first).position(|e| e.kind == ExprKind::Column(position)) {
            return first + found;
        }
        let kind = ExprKind::Column(position);
        exprs.push(Expr { kind, data_type: field.data_type.clone(), span: Span::default() });
        Arc::make_mut(&mut node.schema).fields.push(field);
        exprs.len() - 1
    }

    /// Field of a column below Filters: the Project or Scan that makes it.
    pub(super) fn column_field(&self, node: usize, position: usize) -> Option<Field> {
        let mut node = node;
        loop {
            match &self.nodes[node].kind {
                kind if kind.keeps_columns() => node = self.input(node)?,
                NodeKind::Scan { source } => {
                    let column = self.sources[source.index()].plan.read.get(position)?;
                    let (name, data_type) = (column.name.clone(), column.data_type.clone());
                    return Some(Field { name, data_type, nullable: true, inferred: true });
                }
                _ => return self.nodes[node].schema.fields.get(position).cloned(),
            }
        }
    }

    /// Drops unread Scan columns and fills in the schemas of nodes that have their input's.
    pub fn finish(&mut self) {
        let mut used: Vec<Vec<bool>> = self.sources.iter().map(|s| vec![false; s.plan.read.len()]).collect();
        let scans = self.scans_below();
        for (node, scan) in self.nodes.iter_mut().zip(&scans) {
            if let Some(source) = scan {
                expressions(node, |expr| columns(expr, &mut |c| used[*source][*c] = true));
            }
        }
        for (source, used) in self.sources.iter().zip(&mut used) {
            if let Some(TimeField::Column(column)) = source.plan.event_time.as_ref().map(|t| t.field) {
                used[column] = true;
            }
        }
        let moved: Vec<Vec<usize>> = self.sources.iter_mut().zip(&used).map(|(s, used)| s.compact(used)).collect();
        for (node, scan) in self.nodes.iter_mut().zip(&scans) {
            if let Some(source) = scan {
                expressions(node, |expr| columns(expr, &mut |c| *c = moved[*source][*c]));
            }
        }
        for index in 0..self.nodes.len() {
            let schema = match &self.nodes[index].kind {
                NodeKind::Scan { source } => self.sources[source.index()].scan_schema(),
                kind if kind.keeps_columns() => {
                    self.input(index).map(|i| self.nodes[i].schema.clone()).unwrap_or_default()
                }
                NodeKind::Unnest(_) => self.unnested(index),
                _ => continue,
            };
            self.nodes[index].schema = schema;
        }
    }

    /// Per node: the source whose Scan columns its expressions mean.
    fn scans_below(&self) -> Vec<Option<usize>> {
        let mut gives: Vec<Option<usize>> = Vec::with_capacity(self.nodes.len());
        let mut reads = Vec::with_capacity(self.nodes.len());
        for index in 0..self.nodes.len() {
            let below = self.input(index).and_then(|i| gives[i]);
            reads.push(below);
            gives.push(match &self.nodes[index].kind {
                NodeKind::Scan { source } => Some(source.index()),
                NodeKind::Filter { .. } | NodeKind::Limit { .. } => below,
                _ => None,
            });
        }
        reads
    }
}

impl Source {
    /// TRUE when its rows have no order but that in which they come. A topic in memory is one that tests fill before they read
    /// it.
    pub fn is_live(&self) -> bool {
        !self.bounded && !matches!(self.plan.connector, SourceConnector::Memory { .. })
    }

    /// Keeps the used columns, in schema order, values before tokens, what stands beside the value last; answers
    /// where each went.
    fn compact(&mut self, used: &[bool]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..used.len()).filter(|i| used[*i]).collect();
        order.sort_by_key(|i| {
            let repr = self.plan.read[*i].repr;
            (repr.is_identity(), self.places[*i], repr, *i)
        });
        let mut moved = vec![0; used.len()];
        order.iter().enumerate().for_each(|(to, from)| moved[*from] = to);
        self.plan.read = order.iter().map(|i| self.plan.read[*i].clone()).collect();
        self.places = order.iter().map(|i| self.places[*i]).collect();
        if let Some(time) = &mut self.plan.event_time
            && let TimeField::Column(column) = &mut time.field
        {
            *column = moved[*column];
        }
        moved
    }

    fn scan_schema(&self) -> SchemaRef {
        let field = |c: &ScanColumn| Field {
            name: c.name.clone(),
            data_type: c.data_type.clone(),
            nullable: !c.not_null,
            inferred: c.inferred,
        };
        Arc::new(Schema::new(self.plan.read.iter().map(field).collect()))
    }
}

/// Every expression of a node.
fn expressions(node: &mut Node, mut f: impl FnMut(&mut Expr)) {
    match &mut node.kind {
        NodeKind::Filter { predicate } => f(predicate),
        NodeKind::Project { exprs, event_time } => exprs.iter_mut().chain(event_time).for_each(f),
        NodeKind::Values { rows } => rows.iter_mut().flatten().for_each(f),
        _ => {}
    }
}

/// Every column position in `expr`. Recursion is bounded by the binder's depth limit.
pub(super) fn columns(expr: &mut Expr, f: &mut impl FnMut(&mut usize)) {
    match &mut expr.kind {
        ExprKind::Column(at) => f(at),
        _ => expr.each_child_mut(&mut |child| columns(child, f)),
    }
}
