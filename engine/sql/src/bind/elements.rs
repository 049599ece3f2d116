//! UNNEST in FROM: a row for each element of a collection in it.
//!
//! It is one more level of a joined relation (`joined`): a Project computes the collection as its first column and hands on
//! what somebody asks for behind it, and the Unnest puts what an element gives in that column's place. Its part has the
//! elements' columns only; all else is columns of the parts before it. Rows of a relation that changes are told apart by
//! their number in their collection besides what told the row apart, so numbers are given there in any case.

use std::sync::Arc;

use velostream_types::{DataType, Field, Schema, SchemaRef};

use super::Binder;
use super::graph::Graph;
use super::join::From;
use super::joined::Level;
use super::scope::{Rel, Scope};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Elements};
use crate::plan::{Expr, ExprKind, JoinKind, NodeKind, UnnestSpec};

impl Binder<'_> {
    /// The relation so far with its rows' elements.
    pub(super) fn elements<'q>(&mut self, from: From<'q>, written: &'q ast::Join, elements: &'q Elements) -> From<'q> {
        let From { rel, pending } = from;
        let name = rel.shown().to_owned();
        let rel = if rel.poisoned { None } else { self.unnest(rel, written, elements) };
        From { rel: rel.unwrap_or_else(|| Rel::poisoned(&name)), pending }
    }

    fn unnest(&mut self, left: Rel, written: &ast::Join, elements: &Elements) -> Option<Rel> {
        let mut scope = Scope::new(left);
        scope.clause = "UNNEST";
        let mut operand = self.bind(&elements.operand, &mut scope)?;
        let left = scope.rel;
        if !matches!(operand.data_type, DataType::Array(_) | DataType::Map(_) | DataType::Json | DataType::Null) {
            self.no_elements(&operand);
            return None;
        }
        let spec = UnnestSpec {
            of: operand.data_type.clone(),
            numbered: elements.numbered || left.changelog,
            keeps_empty: written.kind == JoinKind::Left,
            span: operand.span,
        };
        let inferred = self.stems_from_inferred(&mut operand, &left);
        let fields = self.element_fields(&spec, inferred, written, elements)?;
        let mut right = Rel::new(&written.relation.name, left.node, Arc::new(Schema::new(fields.clone())));
        right.alias = written.relation.alias.as_ref().map(|alias| alias.name.clone());
        right.roots = left.roots.clone();
        if !left.schema.is_empty() && self.is_named_twice(&left, &right, written) {
            return None;
        }
        // JSON that is no array is only found in a row.
        self.note_failures(std::slice::from_ref(&operand), left.raw, &left.roots);
        if left.raw && spec.of == DataType::Json {
            left.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
        }
        let level = self.unnest_nodes(&left, operand, spec, fields, inferred);
        right.node = level.join;
        let (raw, ordered, changelog, kind) = (left.raw, left.ordered, left.changelog, left.kind);
        let topic = left.topic.clone();
        let mut rel = Rel::joined(left, right, level, Vec::new());
        (rel.raw, rel.ordered, rel.changelog, rel.kind, rel.topic) = (raw, ordered, changelog, kind, topic);
        Some(rel)
    }

    fn no_elements(&mut self, operand: &Expr) {
        let message = format!("UNNEST takes an ARRAY, a MAP or JSON apart, not {}", operand.data_type);
        let mut diagnostic = Diagnostic::error("E0302", operand.span, message);
        diagnostic = match &operand.data_type {
            DataType::String => diagnostic.hint("CAST text of JSON first: UNNEST(CAST(x AS ARRAY<INTEGER>))"),
            DataType::Struct(_) => diagnostic.hint("name one of its fields: UNNEST(x.field)"),
            _ => diagnostic,
        };
        self.report(diagnostic);
    }

    /// Columns that an element gives, by the names in the query or their own.
    fn element_fields(
        &mut self,
        spec: &UnnestSpec,
        inferred: bool,
        written: &ast::Join,
        elements: &Elements,
    ) -> Option<Vec<Field>> {
        let types = spec.elements();
        let count = types.len();
        let relation = &written.relation;
        let element = relation.alias.as_ref().map_or(&relation.name, |alias| &alias.name);
        let mut names: Vec<String> = match count {
            1 => vec![element.clone()],
            _ => vec!["key".to_owned(), "value".to_owned()],
        };
        if elements.numbered {
            names.push("ordinality".to_owned());
        }
        if !elements.columns.is_empty() {
            self.check_columns(&names, spec, elements)?;
            names = elements.columns.iter().map(|column| column.name.clone()).collect();
        }
        let types = types.into_iter().chain(elements.numbered.then_some(DataType::Integer));
        let field = |(at, (name, data_type)): (usize, (String, DataType))| {
            // The number of an element is there wherever the element is, even one that is NULL.
            let is_number = at >= count;
            Field { name, data_type, nullable: !is_number || spec.keeps_empty, inferred: inferred && !is_number }
        };
        Some(names.into_iter().zip(types).enumerate().map(field).collect())
    }

    /// As many names as columns, none of them twice.
    fn check_columns(&mut self, own: &[String], spec: &UnnestSpec, elements: &Elements) -> Option<()> {
        let given = &elements.columns;
        for (at, column) in given.iter().enumerate() {
            if let Some(first) = given[..at].iter().find(|other| other.name == column.name) {
                let message = format!("two columns of UNNEST are named \"{}\"", column.name);
                let diagnostic = Diagnostic::error("E0208", column.span, message).also(first.span, "the first one");
                self.report(diagnostic.hint("choose another name"));
                return None;
            }
        }
        let (first, last) = (given.first()?, given.last()?);
        if given.len() == own.len() {
            return Some(());
        }
        let plural = if own.len() == 1 { "column" } else { "columns" };
        let message = format!("UNNEST of {} gives {} {plural}, and the names are {}", spec.of, own.len(), given.len());
        let mut diagnostic = Diagnostic::error("E0436", first.span.to(last.span), message);
        if given.len() == own.len() + 1 && !elements.numbered {
            diagnostic = diagnostic.hint("for the place of the element, from 1, add WITH ORDINALITY");
        } else if own.len() > 1 {
            diagnostic = diagnostic.hint(format!("name {}", own.join(", ")));
        }
        self.report(diagnostic);
        None
    }

    fn unnest_nodes(
        &mut self,
        left: &Rel,
        operand: Expr,
        spec: UnnestSpec,
        mut fields: Vec<Field>,
        inferred: bool,
    ) -> Level {
        let (statement, graph) = (self.statement, &mut self.graph);
        let collection = Field { nullable: true, inferred, ..Field::new("collection", operand.data_type.clone()) };
        let project = NodeKind::Project { exprs: vec![operand], event_time: None };
        let project = graph.add(project, Some(left.node), vec![collection], left.changelog, statement);
        graph.collections.insert(project);
        if fields.len() < spec.made() {
            fields.push(Field::new("ordinality", DataType::Integer));
        }
        let kind = if spec.keeps_empty { JoinKind::Left } else { JoinKind::Inner };
        let join = graph.add(NodeKind::Unnest(spec), Some(project), fields, left.changelog, statement);
        Level { join, left: project, right: project, kind }
    }
}

impl Graph {
    /// Place in an Unnest's output of a column of the Project in front of it.
    pub(super) fn behind_elements(&mut self, node: usize, column: usize) -> usize {
        self.nodes[node].schema = self.unnested(node);
        match &self.nodes[node].kind {
            NodeKind::Unnest(spec) => column + spec.made() - 1,
            _ => column,
        }
    }

    /// The columns of an Unnest: its own, then those of its input behind the collection.
    pub(super) fn unnested(&self, node: usize) -> SchemaRef {
        let own = self.nodes[node].schema.clone();
        let NodeKind::Unnest(spec) = &self.nodes[node].kind else { return own };
        let below = self.input(node).map(|input| self.nodes[input].schema.clone()).unwrap_or_default();
        let made = own.fields.iter().take(spec.made());
        Arc::new(Schema::new(made.chain(below.fields.iter().skip(1)).cloned().collect()))
    }

    /// Place in the output of the last level of the numbers that level `at` gives, if it is of elements.
    pub(super) fn number_of(&mut self, levels: &[Level], at: usize) -> Option<usize> {
        let NodeKind::Unnest(spec) = &self.nodes[levels[at].join].kind else { return None };
        let position = spec.numbered.then(|| spec.made() - 1)?;
        let number = Expr { kind: ExprKind::Column(position), data_type: DataType::Integer, span: spec.span };
        Some(self.part_column(levels, at + 1, number, Field::new("ordinality", DataType::Integer)))
    }
}
