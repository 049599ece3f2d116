//! The relation a join makes: which part a name means, and columns that are asked for one by one.
//!
//! Each side of a join is a Project that computes the columns somebody asked for, and the Join's output is a choice of
//! both sides' columns; both only grow at the end, so a position that was given out stays right. A column of a chain
//! `a JOIN b JOIN c` is handed on through the Projects of the joins above its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use velostream_types::{DataType, Field, Schema, Span};

use super::Binder;
use super::expr::cast_to;
use super::graph::Graph;
use super::scope::Rel;
use super::typing;
use crate::plan::{Expr, ExprKind, JoinColumn, JoinKind, JoinMode, NodeKind, Side, SystemColumn};

/// What is behind a relation that several were joined to.
pub(super) struct Joined {
    /// The relations, as written.
    pub parts: Vec<Part>,
    /// The joins: number n joins part n + 1 to those before it.
    pub levels: Vec<Level>,
    /// Columns of USING: the places whose first value that is not NULL it is.
    pub merged: BTreeMap<String, Vec<usize>>,
    /// Places of each column name.
    pub places: BTreeMap<String, Vec<usize>>,
    /// Rows of one window meet: its bounds are columns.
    pub windowed: bool,
}

/// One relation of a join.
pub(super) struct Part {
    pub rel: Rel,
    /// Place of its first column among those of all parts.
    pub first: usize,
}

/// One join: the node, the Projects of its sides; of an Unnest the one in front of it, twice.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub join: usize,
    pub left: usize,
    pub right: usize,
    pub kind: JoinKind,
}

impl Joined {
    /// The part that `qualifier.x` means.
    pub fn part(&self, qualifier: &str, folded: bool) -> Option<usize> {
        self.parts.iter().position(|part| part.rel.answers(qualifier, folded))
    }

    /// The part a place belongs to.
    pub fn part_of(&self, place: usize) -> usize {
        self.parts.iter().rposition(|part| part.first <= place).unwrap_or(0)
    }

    /// What the parts are called.
    pub fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.rel.shown()).collect()
    }
}

/// Where a column of the last join's output comes from: the part, and what its Project computes there.
pub(super) fn origin_in<'g>(levels: &[Level], graph: &'g Graph, position: usize) -> Option<(usize, &'g Expr)> {
    let mut position = position;
    for (n, level) in levels.iter().enumerate().rev() {
        let (side, column) = match &graph.nodes[level.join].kind {
            NodeKind::Join(spec) => match spec.output.get(position)? {
                JoinColumn::Of(side, column) => (*side, *column),
                _ => return None,
            },
            NodeKind::Unnest(spec) => (Side::Left, spec.below(position)?),
            _ => return None,
        };
        let project = if side == Side::Left { level.left } else { level.right };
        let NodeKind::Project { exprs, .. } = &graph.nodes[project].kind else { return None };
        let expr = exprs.get(column)?;
        match (side, n) {
            (Side::Right, _) => return Some((n + 1, expr)),
            (Side::Left, 0) => return Some((0, expr)),
            (Side::Left, _) => {
                let ExprKind::Column(below) = expr.kind else { return None };
                position = below;
            }
        }
    }
    None
}

impl Graph {
    /// Place in a Project of this expression over its input, added unless it is there.
    pub fn project_column(&mut self, project: usize, expr: Expr, field: &Field) -> usize {
        let first = usize::from(self.collections.contains(&project));
        let node = &mut self.nodes[project];
        let NodeKind::Project { exprs, .. } = &mut node.kind else { return 0 };
        let same = |e: &Expr| e.kind == expr.kind && e.data_type == expr.data_type;
        if let Some(known) = exprs.iter().skip(first).position(same) {
            return first + known;
        }
        exprs.push(expr);
        Arc::make_mut(&mut node.schema).fields.push(field.clone());
        exprs.len() - 1
    }

    /// Place of a column in a Join's output, added unless it is there.
    pub fn join_output(&mut self, join: usize, column: JoinColumn, field: &Field) -> usize {
        if let (NodeKind::Unnest(_), JoinColumn::Of(_, column)) = (&self.nodes[join].kind, &column) {
            return self.behind_elements(join, *column);
        }
        let node = &mut self.nodes[join];
        let NodeKind::Join(spec) = &mut node.kind else { return 0 };
        if let Some(known) = spec.output.iter().position(|c| *c == column) {
            return known;
        }
        spec.output.push(column);
        Arc::make_mut(&mut node.schema).fields.push(field.clone());
        spec.output.len() - 1
    }

    /// Place in the top join's output of an expression over the rows of a part.
    pub(super) fn part_column(&mut self, levels: &[Level], part: usize, expr: Expr, mut field: Field) -> usize {
        let from = part.saturating_sub(1);
        let mut expr = expr;
        for (n, level) in levels.iter().enumerate().skip(from) {
            let side = if n == from && part > 0 { Side::Right } else { Side::Left };
            // What elements give is no column of a Project.
            let is_element = side == Side::Right && matches!(self.nodes[level.join].kind, NodeKind::Unnest(_));
            if is_element && matches!(expr.kind, ExprKind::Column(_)) {
                continue;
            }
            let project = if side == Side::Left { level.left } else { level.right };
            let column = self.project_column(project, expr.clone(), &field);
            field.nullable |= level.kind.keeps(side.other());
            let position = self.join_output(level.join, JoinColumn::Of(side, column), &field);
            expr = Expr { kind: ExprKind::Column(position), ..expr };
        }
        match expr.kind {
            ExprKind::Column(position) => position,
            _ => 0,
        }
    }
}

impl Rel {
    /// The relation of two; its columns are those of the parts one behind the other.
    pub fn joined(left: Rel, right: Rel, level: Level, merged: Vec<String>) -> Rel {
        let mut roots = left.roots.clone();
        roots.extend(right.roots.iter().filter(|root| !left.roots.contains(root)));
        let name = left.shown().to_owned();
        let mut joined = match left.joined {
            Some(joined) => *joined,
            None => Joined {
                parts: vec![Part { rel: left, first: 0 }],
                levels: Vec::new(),
                merged: BTreeMap::new(),
                places: BTreeMap::new(),
                windowed: false,
            },
        };
        let first = joined.parts.last().map_or(0, |part| part.first + part.rel.schema.len());
        for name in merged {
            let old = match joined.merged.get(&name) {
                Some(places) => places.clone(),
                None => joined.parts.iter().filter_map(|p| Some(p.first + p.rel.schema.index_of(&name)?)).collect(),
            };
            let new = right.schema.index_of(&name).map(|at| first + at);
            joined.merged.insert(name, old.into_iter().chain(new).collect());
        }
        joined.parts.push(Part { rel: right, first });
        joined.levels.push(level);
        let fields: Vec<Field> = joined.parts.iter().flat_map(|p| p.rel.schema.fields.iter().cloned()).collect();
        joined.places = BTreeMap::new();
        for (place, field) in fields.iter().enumerate() {
            joined.places.entry(field.name.clone()).or_default().push(place);
        }
        let mut rel = Rel::new(&name, level.join, Arc::new(Schema::new(fields)));
        rel.roots = roots;
        rel.joined = Some(Box::new(joined));
        rel
    }
}

impl Binder<'_> {
    /// Column `place` of a joined relation as an expression over its node.
    pub(super) fn joined_column(&mut self, joined: &Joined, place: usize, span: Span) -> Expr {
        let at = joined.part_of(place);
        let part = &joined.parts[at];
        let expr = self.rel_column(&part.rel, place - part.first, span);
        let field = part.rel.schema.fields[place - part.first].clone();
        self.handed_up(joined, at, expr, field)
    }

    /// Metadata of the rows of one part.
    pub(super) fn part_system(&mut self, joined: &Joined, at: usize, system: SystemColumn, span: Span) -> Expr {
        if matches!(system, SystemColumn::EventTime | SystemColumn::EventTimeNs) {
            self.wants_event_time(&joined.parts[at].rel);
        }
        let expr = Expr { kind: ExprKind::System(system), data_type: DataType::Integer, span };
        self.handed_up(joined, at, expr, Field::new(system.name(), DataType::Integer))
    }

    /// The key of the rows of one part.
    pub(super) fn part_key(&mut self, joined: &Joined, at: usize, span: Span) -> Expr {
        let expr = self.key_text(&joined.parts[at].rel, span);
        self.handed_up(joined, at, expr, Field::new("_key", DataType::String))
    }

    /// A column of USING: the first value that is not NULL.
    pub(super) fn merged_column(&mut self, joined: &Joined, places: &[usize], name: &str, span: Span) -> Option<Expr> {
        let columns = places.iter().map(|place| self.joined_column(joined, *place, span)).collect();
        let (columns, data_type) = self.unified(columns, name, span)?;
        Some(Expr { kind: ExprKind::Coalesce(columns), data_type, span })
    }

    /// A bound of the window that both rows of a window join are in: the last of the joins of streams.
    pub(super) fn joined_bound(&mut self, joined: &Joined, start: bool, span: Span) -> Option<Expr> {
        let of_streams = |level: &Level| match &self.graph.nodes[level.join].kind {
            NodeKind::Join(spec) => matches!(spec.mode, JoinMode::Interval { .. } | JoinMode::Window { .. }),
            _ => false,
        };
        let at = joined.levels.iter().rposition(of_streams)?;
        let column = if start { JoinColumn::WindowStart } else { JoinColumn::WindowEnd };
        let field = Field::new(if start { "_window_start" } else { "_window_end" }, DataType::Integer);
        let mut position = self.graph.join_output(joined.levels[at].join, column, &field);
        for level in &joined.levels[at + 1..] {
            let below = Expr { kind: ExprKind::Column(position), data_type: DataType::Integer, span };
            let handed = self.graph.project_column(level.left, below, &field);
            position = self.graph.join_output(level.join, JoinColumn::Of(Side::Left, handed), &field);
        }
        Some(Expr { kind: ExprKind::Column(position), data_type: DataType::Integer, span })
    }

    fn handed_up(&mut self, joined: &Joined, part: usize, mut expr: Expr, mut field: Field) -> Expr {
        field.inferred = self.stems_from_inferred(&mut expr, &joined.parts[part].rel);
        let (data_type, span) = (expr.data_type.clone(), expr.span);
        let position = self.graph.part_column(&joined.levels, part, expr, field);
        Expr { kind: ExprKind::Column(position), data_type, span }
    }

    /// Place in the input of one side of a join of an expression over the join's output that reads this side only.
    pub(super) fn side_column(&mut self, level: Level, side: Side, expr: Expr, raw: (bool, &[usize])) -> usize {
        let project = if side == Side::Left { level.left } else { level.right };
        let graph = &self.graph;
        let (NodeKind::Join(spec), NodeKind::Project { exprs, .. }) =
            (&graph.nodes[level.join].kind, &graph.nodes[project].kind)
        else {
            return 0;
        };
        let mut lowered = expr;
        lower(&mut lowered, &|position| match spec.output.get(position) {
            Some(JoinColumn::Of(_, column)) => exprs.get(*column),
            _ => None,
        });
        if typing::can_fail(&lowered) {
            self.note_failures(std::slice::from_ref(&lowered), raw.0, raw.1);
        }
        // Text and bytes of one value differ as keys, so a key has the type that the comparison gave it.
        let field = Field::new("join_key", lowered.data_type.clone());
        self.graph.project_column(project, lowered, &field)
    }

    /// Both sides of an equality in one numeric type, where equal values would otherwise have different key bytes.
    pub(super) fn as_key(expr: Expr, other: &DataType) -> Expr {
        match (&expr.data_type, other) {
            (DataType::Null, other) if *other != DataType::Null => cast_to(expr, other.clone()),
            _ => expr,
        }
    }
}

/// Replaces each column by what `below` says it is.
pub(super) fn lower<'g>(expr: &mut Expr, below: &impl Fn(usize) -> Option<&'g Expr>) {
    if let ExprKind::Column(position) = expr.kind {
        if let Some(found) = below(position) {
            expr.kind = found.kind.clone();
        }
        return;
    }
    expr.each_child_mut(&mut |child| lower(child, below));
}
