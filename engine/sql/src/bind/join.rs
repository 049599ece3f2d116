//! Joins: what the sides are, which columns have to be equal, what else has to hold.
//!
//! A join is bound in two steps. `join` makes its nodes and takes ON or USING apart: equalities of one side with the other
//! are keys, the rest is the residual. `finish_joins` runs when WHERE is known and settles when rows meet (`bound`).

use velostream_types::{DataType, Span};

use super::bound::Bound;
use super::joined::Level;
use super::query::Target;
use super::scope::{Rel, RelKind, Scope};
use super::{Binder, Object};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, EmitRule, Ident, JoinOn, Query};
use crate::plan::{
    Apart, CompareOp, Expr, ExprKind, Fallback, JoinColumn, JoinKind, JoinMode, JoinSpec, LateStrategy, NodeKind,
    Placement, Route, Side, SystemColumn, Version, WindowSpec,
};

/// What two sides are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    Streams,
    /// The side that is the table.
    Table(Side),
    Tables,
}

/// A join between its two steps.
pub(super) struct PendingJoin<'q> {
    pub written: &'q ast::Join,
    meeting: Meeting,
    pub level: Level,
    version: Option<Version>,
    /// Kind of join that the input allows: rows that would leave at its end never do where it has none.
    kind: JoinKind,
    /// Whether each side's rows are those of a record, and their sources.
    raws: [(bool, Vec<usize>); 2],
    /// Conditions of ON, over the output of this join.
    pub conditions: Vec<Expr>,
}

impl PendingJoin<'_> {
    pub fn is_of_streams(&self) -> bool {
        self.meeting == Meeting::Streams
    }
}

/// The relation of FROM, and its joins as far as they are known.
pub(super) struct From<'q> {
    pub rel: Rel,
    pub pending: Vec<PendingJoin<'q>>,
}

impl Binder<'_> {
    /// What the query reads, joins included.
    pub(super) fn from<'q>(&mut self, query: &'q Query, target: &Target<'_>) -> From<'q> {
        let rel = self.relation(query);
        let mut from = From { rel, pending: Vec::new() };
        for written in &query.joins {
            if let JoinOn::Elements(elements) = &written.on {
                from = self.elements(from, written, elements);
                continue;
            }
            let right = self.one_relation(&written.relation, &query.with);
            from = self.join(from, right, written, query, target);
        }
        from
    }

    fn join<'q>(
        &mut self,
        from: From<'q>,
        right: Rel,
        written: &'q ast::Join,
        query: &Query,
        target: &Target<'_>,
    ) -> From<'q> {
        let From { rel: left, mut pending } = from;
        let name = left.shown().to_owned();
        let is_named_twice = self.is_named_twice(&left, &right, written);
        if left.poisoned || right.poisoned || is_named_twice {
            return From { rel: Rel::poisoned(&name), pending };
        }
        let Some(meeting) = self.meeting(&left, &right, written, target) else {
            return From { rel: Rel::poisoned(&name), pending };
        };
        let merged = match &written.on {
            JoinOn::Using(columns) => match self.using_columns(columns, &left, &right) {
                Some(columns) => columns,
                None => return From { rel: Rel::poisoned(&name), pending },
            },
            _ => Vec::new(),
        };
        let raws = [(left.raw, left.roots.clone()), (right.raw, right.roots.clone())];
        let kind = self.kind_of(&left, &right, written, meeting);
        if written.relation.version.is_some() && matches!(meeting, Meeting::Table(_)) {
            if self.default_time(&right, written.span, "FOR SYSTEM_TIME AS OF").is_none() {
                return From { rel: Rel::poisoned(&name), pending };
            }
            self.wants_event_time(&left);
        }
        let level = self.join_nodes(&left, &right, written.kind, meeting);
        let rel = Rel::joined(left, right, level, merged.clone());
        let mut scope = Scope::new(rel);
        scope.clause = "ON";
        let conditions = self.conditions_of(&written.on, &merged, &mut scope);
        let version = self.version_of(query, written, meeting, &mut scope);
        let mut rel = scope.rel;
        rel.changelog = meeting == Meeting::Tables;
        rel.kind = if rel.changelog { RelKind::Table } else { RelKind::Stream };
        let (Some(conditions), Some(version)) = (conditions, version) else {
            return From { rel: Rel::poisoned(&name), pending };
        };
        let conditions = self.keys_of(conditions, level, &raws);
        if version.is_some() {
            self.identify_versions(&rel, level);
        }
        pending.push(PendingJoin { written, meeting, level, version, kind, raws, conditions });
        From { rel, pending }
    }

    pub(super) fn is_named_twice(&mut self, left: &Rel, right: &Rel, written: &ast::Join) -> bool {
        let twice = match &left.joined {
            Some(joined) => joined.names().contains(&right.shown()),
            None => left.shown() == right.shown(),
        };
        if twice {
            let shown = right.shown();
            let place = written.relation.alias.as_ref().map_or(written.relation.span, |alias| alias.span);
            let message = format!("two relations of the query are called \"{shown}\"");
            let hint = format!("give one of them another name: {shown} AS {}2", right.short());
            self.report(Diagnostic::error("E0211", place, message).hint(hint));
        }
        twice
    }

    /// What the sides are to each other; `None` where they do not go together.
    fn meeting(&mut self, left: &Rel, right: &Rel, written: &ast::Join, target: &Target<'_>) -> Option<Meeting> {
        let meeting = match (left.kind, right.kind) {
            (RelKind::Table, RelKind::Table | RelKind::File) => Meeting::Tables,
            (RelKind::Table, RelKind::Stream) => Meeting::Table(Side::Left),
            (_, RelKind::Table | RelKind::File) => Meeting::Table(Side::Right),
            (_, RelKind::Stream) => Meeting::Streams,
        };
        if meeting == Meeting::Tables && !target.is_table {
            let message = "two tables are joined in CREATE TABLE only";
            let detail = format!(
                "{} and {} are tables: their join changes whenever one of them does",
                left.shown(),
                right.shown()
            );
            let hint = "write CREATE TABLE name AS SELECT …, or join a stream";
            self.report(Diagnostic::error("E0433", written.span, message).detail(detail).hint(hint));
            return None;
        }
        if written.asof && meeting != Meeting::Streams {
            let message = "ASOF JOIN is for two streams, and a table has no times to compare";
            let hint = "write JOIN t FOR SYSTEM_TIME AS OF s.ts ON s.key = t.key for the version of t at s.ts";
            self.report(Diagnostic::error("E0437", written.span, message).hint(hint));
            return None;
        }
        if let (Meeting::Table(_) | Meeting::Tables, Some(within)) = (meeting, &written.within) {
            let message = "WITHIN says when rows of two streams meet, and a table has no such time";
            let hint = "leave it out, or write FOR SYSTEM_TIME AS OF s.ts for the version of the table at a row's time";
            self.report(Diagnostic::error("E0434", within.span, message).hint(hint));
            return None;
        }
        let keeps = |side| written.kind.keeps(side);
        if let Meeting::Table(side) = meeting
            && keeps(side)
        {
            let roots = left.roots.iter().chain(&right.roots);
            let bounded = roots.into_iter().all(|root| self.graph.sources[*root].bounded);
            let instead =
                if keeps(side.other()) { if side == Side::Right { "LEFT" } else { "RIGHT" } } else { "INNER" };
            let message = match bounded {
                true => "rows of the table without a match come out at the end of the input only",
                false => "rows of the table without a match never come out: the input has no end",
            };
            let detail = format!(
                "a {} JOIN keeps rows of the table {}",
                written.kind.name(),
                if side == Side::Right { right.shown() } else { left.shown() }
            );
            let hint = format!("write {instead} JOIN to keep rows of the stream alone");
            self.report(Diagnostic::warning("W0432", written.span, message).detail(detail).hint(hint));
        }
        Some(meeting)
    }

    /// Projects of the sides, exchanges and the join itself, all still without columns and keys.
    fn join_nodes(&mut self, left: &Rel, right: &Rel, kind: JoinKind, meeting: Meeting) -> Level {
        let (statement, graph) = (self.statement, &mut self.graph);
        let mut side = |rel: &Rel| {
            let project = NodeKind::Project { exprs: Vec::new(), event_time: None };
            let project = graph.add(project, Some(rel.node), Vec::new(), rel.changelog, statement);
            let exchange = NodeKind::Exchange { edge: velostream_types::EdgeId(0), route: Route::Key(Vec::new()) };
            (project, graph.add(exchange, Some(project), Vec::new(), rel.changelog, statement))
        };
        let ((left, left_out), (right, right_out)) = (side(left), side(right));
        let mode = match meeting {
            Meeting::Streams => JoinMode::Interval { before_ns: 0, after_ns: 0, retention_ns: 0 },
            Meeting::Table(table) => JoinMode::Lookup { table, version: None, fallback: Fallback::default() },
            Meeting::Tables => JoinMode::Tables,
        };
        let spec = JoinSpec {
            kind,
            mode,
            left_keys: Vec::new(),
            right_keys: Vec::new(),
            residual: None,
            output: Vec::new(),
            defaults: Vec::new(),
            identity: None,
            placement: Placement::ByKey(Apart::Unknown),
            replaces: false,
        };
        let node = NodeKind::Join(Box::new(spec));
        let join = graph.add(node, Some(left_out), Vec::new(), meeting == Meeting::Tables, statement);
        graph.nodes[join].inputs.push(velostream_types::NodeId(right_out as u16));
        Level { join, left, right, kind }
    }

    /// Names of USING that both sides have once.
    fn using_columns(&mut self, columns: &[Ident], left: &Rel, right: &Rel) -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let mut sound = true;
        for column in columns {
            for rel in [left, right] {
                let places = match &rel.joined {
                    Some(joined) if joined.merged.contains_key(&column.name) => 1,
                    Some(joined) => joined.places.get(&column.name).map_or(0, Vec::len),
                    None => usize::from(rel.schema.index_of(&column.name).is_some()),
                };
                if places == 1 {
                    continue;
                }
                sound = false;
                let message = match places {
                    0 => format!("column \"{}\" in USING does not exist in {}", column.name, rel.shown()),
                    _ => format!("column \"{}\" in USING is ambiguous", column.name),
                };
                let code = if places == 0 { "E0203" } else { "E0209" };
                let hint = "write ON a.x = b.y to join columns of different names";
                let detail = super::scope::available(rel);
                self.report(Diagnostic::error(code, column.span, message).detail(detail).hint(hint));
            }
            names.push(column.name.clone());
        }
        sound.then_some(names)
    }

    /// What ON or USING asks for, as a list of conditions over the join's output.
    fn conditions_of<'q>(&mut self, on: &'q JoinOn, merged: &[String], scope: &mut Scope<'q>) -> Option<Vec<Expr>> {
        match on {
            JoinOn::Everything | JoinOn::Elements(_) => Some(Vec::new()),
            JoinOn::Condition(condition) => {
                let bound = self.bind_condition(condition, scope)?;
                let mut list = Vec::new();
                conjuncts(bound, &mut list);
                Some(list)
            }
            JoinOn::Using(columns) => {
                let mut list = Vec::with_capacity(merged.len());
                for column in columns {
                    let joined = scope.rel.joined.as_ref()?;
                    let (last, before) = joined.merged.get(&column.name)?.split_last()?;
                    let left = self.merged_column(joined, before, &column.name, column.span)?;
                    let right = self.joined_column(joined, *last, column.span);
                    let left = match left.kind {
                        ExprKind::Coalesce(mut only) if only.len() == 1 => only.remove(0),
                        _ => left,
                    };
                    list.push(self.compare(CompareOp::Equal, left, right, column.span)?);
                }
                Some(list)
            }
        }
    }

    /// FOR SYSTEM_TIME AS OF: which version of the table; `Some(None)` without one.
    fn version_of<'q>(
        &mut self,
        query: &Query,
        written: &'q ast::Join,
        meeting: Meeting,
        scope: &mut Scope<'q>,
    ) -> Option<Option<Version>> {
        let Some(time) = &written.relation.version else { return Some(None) };
        if meeting != Meeting::Table(Side::Right) {
            let message = "FOR SYSTEM_TIME AS OF asks a table for the version at a stream's time";
            let detail = match meeting {
                Meeting::Streams => "what is joined here is a stream",
                _ => "the left side is a table, and tables have no time of their own",
            };
            let hint = "write stream JOIN table FOR SYSTEM_TIME AS OF stream.ts ON …";
            self.report(Diagnostic::error("E0434", time.span, message).detail(detail).hint(hint));
            return None;
        }
        if written.kind.keeps(Side::Right) {
            let message =
                format!("versions of a table are looked up, and a {} JOIN keeps its rows", written.kind.name());
            let hint = "write INNER or LEFT JOIN: which versions nobody asked for is not known";
            self.report(Diagnostic::error("E0434", time.span, message).hint(hint));
            return None;
        }
        scope.clause = "FOR SYSTEM_TIME AS OF";
        let bound = self.bind(time, scope)?;
        let retention_ns = self.retention_of(query, &written.relation.name).ok()?;
        let level = *scope.rel.joined.as_ref()?.levels.last()?;
        let NodeKind::Join(spec) = &self.graph.nodes[level.join].kind else { return None };
        let column = match bound.kind {
            ExprKind::Column(position) => spec.output.get(position).copied(),
            _ => None,
        };
        let fits = matches!(bound.data_type, DataType::Integer | DataType::Timestamp | DataType::Null);
        match column {
            Some(JoinColumn::Of(Side::Left, column)) if self.is_own_time(level, column) => {
                Some(Some(Version { column: None, retention_ns }))
            }
            Some(JoinColumn::Of(Side::Left, column)) if fits => {
                Some(Some(Version { column: Some(column), retention_ns }))
            }
            _ => {
                let message = "the time of FOR SYSTEM_TIME AS OF is an INTEGER or TIMESTAMP column of the stream";
                let diagnostic = Diagnostic::error("E0434", time.span, message);
                self.report(diagnostic.hint("for the row's event time write s._event_time"));
                None
            }
        }
    }

    /// TRUE where a column of a join's left input is the event time of its rows, exact or in ms.
    fn is_own_time(&self, level: Level, column: usize) -> bool {
        let NodeKind::Project { exprs, .. } = &self.graph.nodes[level.left].kind else { return false };
        matches!(
            exprs.get(column).map(|expr| &expr.kind),
            Some(ExprKind::System(SystemColumn::EventTime | SystemColumn::EventTimeNs))
        )
    }

    /// `retention` of a statement, else of the table it reads, ns.
    fn retention_of(&mut self, query: &Query, table: &str) -> Result<Option<i64>, ()> {
        let own = self.join_property(query, "retention")?;
        let prefixed = format!("{table}.retention");
        let is_meant = |key: &str| key.eq_ignore_ascii_case("retention") || key.eq_ignore_ascii_case(&prefixed);
        let declared = match self.objects.get(table) {
            Some(Object::Declared(declare)) => Some(declare.with.as_slice()),
            _ => self.created_with.get(table).copied(),
        };
        let entry = declared.unwrap_or_default().iter().rev().find(|entry| is_meant(&entry.key)).cloned();
        match (own, entry) {
            (Some(own), _) => Ok(Some(own)),
            (None, None) => Ok(None),
            (None, Some(entry)) => self.duration_of(&entry).map(Some),
        }
    }

    /// Says what tells the rows of a table apart whose versions are looked up: the key of a table that changes.
    fn identify_versions(&mut self, rel: &Rel, level: Level) {
        let Some(joined) = &rel.joined else { return };
        let Some(part) = joined.parts.last().filter(|part| part.rel.changelog) else { return };
        let key = self.outputs.get(&part.rel.name).map(|output| output.key.clone()).unwrap_or_default();
        let first = part.first;
        let columns: Vec<Expr> =
            key.into_iter().map(|column| self.joined_column(joined, first + column, Span::default())).collect();
        let NodeKind::Join(spec) = &mut self.graph.nodes[level.join].kind else { return };
        let place = |expr: Expr| match expr.kind {
            ExprKind::Column(position) => match spec.output.get(position) {
                Some(JoinColumn::Of(Side::Right, column)) => Some(*column),
                _ => None,
            },
            _ => None,
        };
        spec.identity = Some(columns.into_iter().filter_map(place).collect());
    }

    /// The kind of a join as its input allows it: rows of a table without a match leave at the end of the input, and never
    /// where there is none.
    fn kind_of(&self, left: &Rel, right: &Rel, written: &ast::Join, meeting: Meeting) -> JoinKind {
        let Meeting::Table(side) = meeting else { return written.kind };
        let mut roots = left.roots.iter().chain(&right.roots);
        if !written.kind.keeps(side) || roots.all(|root| self.graph.sources[*root].bounded) {
            return written.kind;
        }
        match (side, written.kind.keeps(side.other())) {
            (_, false) => JoinKind::Inner,
            (Side::Right, true) => JoinKind::Left,
            (Side::Left, true) => JoinKind::Right,
        }
    }

    /// Makes equalities of one side with the other the keys; answers the other conditions.
    fn keys_of(&mut self, conditions: Vec<Expr>, level: Level, raws: &[(bool, Vec<usize>); 2]) -> Vec<Expr> {
        let mut rest = Vec::new();
        for condition in conditions {
            let (left, right) = match &condition.kind {
                ExprKind::Compare { op: CompareOp::Equal, left, right } => (left, right),
                _ => {
                    rest.push(condition);
                    continue;
                }
            };
            let (left, right) = match (self.side_of(left, level), self.side_of(right, level)) {
                (Some(Side::Left), Some(Side::Right)) => (left, right),
                (Some(Side::Right), Some(Side::Left)) => (right, left),
                _ => {
                    rest.push(condition);
                    continue;
                }
            };
            let (left, right) =
                (Self::as_key((**left).clone(), &right.data_type), Self::as_key((**right).clone(), &left.data_type));
            let raw = |at: usize| (raws[at].0, raws[at].1.as_slice());
            let left = self.side_column(level, Side::Left, left, raw(0));
            let right = self.side_column(level, Side::Right, right, raw(1));
            let NodeKind::Join(spec) = &mut self.graph.nodes[level.join].kind else { continue };
            spec.left_keys.push(left);
            spec.right_keys.push(right);
        }
        rest
    }

    /// The side whose columns alone an expression over a join's output reads.
    fn side_of(&self, expr: &Expr, level: Level) -> Option<Side> {
        let NodeKind::Join(spec) = &self.graph.nodes[level.join].kind else { return None };
        let mut sides = [false; 2];
        let mut plain = true;
        let mut work = vec![expr];
        while let Some(expr) = work.pop() {
            match &expr.kind {
                ExprKind::Column(position) => match spec.output.get(*position) {
                    Some(JoinColumn::Of(side, _)) => sides[usize::from(*side == Side::Right)] = true,
                    _ => plain = false,
                },
                ExprKind::System(_) | ExprKind::Header { .. } | ExprKind::Headers { .. } => plain = false,
                ExprKind::Call { function, .. } if function.volatile => plain = false,
                _ => {}
            }
            expr.each_child(&mut |child| work.push(child));
        }
        match (plain, sides) {
            (true, [true, false]) => Some(Side::Left),
            (true, [false, true]) => Some(Side::Right),
            _ => None,
        }
    }

    /// Settles when the rows of each join meet. `window`: the query's, where it is no grouping of the joined rows.
    pub(super) fn finish_joins(
        &mut self,
        query: &Query,
        pending: Vec<PendingJoin<'_>>,
        rel: &mut Rel,
        condition: Option<&Expr>,
        window: Option<WindowSpec>,
    ) -> bool {
        let mut sound = true;
        for join in pending {
            let levels = rel.joined.iter().flat_map(|joined| &joined.levels);
            let n = levels.take_while(|level| level.join != join.level.join).count();
            let mut on = join.conditions.clone();
            let mode = match join.meeting {
                // What compares the times is no condition any more: the nearest row is found by them.
                Meeting::Streams if join.written.asof => {
                    on.clear();
                    self.nearest(query, &join, n, rel, window.is_some())
                }
                Meeting::Streams => match window {
                    Some(spec) => {
                        self.check_keys(&join, true);
                        if spec.late == LateStrategy::DeadLetter {
                            self.keep_raw(rel);
                        }
                        let at_close = matches!(query.emit, Some((EmitRule::Final, _)));
                        Some(JoinMode::Window { spec, at_close })
                    }
                    None => self.interval(query, &join, n, rel, condition),
                },
                Meeting::Table(table) => {
                    self.check_keys(&join, true);
                    let name = match (table, &query.from) {
                        (Side::Left, Some(first)) => &first.name,
                        _ => &join.written.relation.name,
                    };
                    let fallback = self.fallback_of(query, name, table, join.level);
                    fallback.map(|fallback| JoinMode::Lookup { table, version: join.version, fallback })
                }
                Meeting::Tables => {
                    self.check_keys(&join, true);
                    Some(JoinMode::Tables)
                }
            };
            let Some(mode) = mode else {
                sound = false;
                continue;
            };
            let side = match join.meeting {
                Meeting::Table(Side::Left) => 1,
                _ => 0,
            };
            let (raw, roots) = &join.raws[side];
            self.note_failures(&on, *raw, roots);
            self.settle_join(join.level, join.kind, mode, on);
        }
        sound
    }

    /// Late rows of the joined relations are dead letters with their bytes.
    fn keep_raw(&mut self, rel: &Rel) {
        let parts = rel.joined.iter().flat_map(|joined| &joined.parts).filter(|part| part.rel.raw);
        for root in parts.flat_map(|part| &part.rel.roots) {
            self.graph.sources[*root].plan.needs_raw = true;
        }
    }

    fn settle_join(&mut self, level: Level, kind: JoinKind, mode: JoinMode, mut conditions: Vec<Expr>) {
        let NodeKind::Join(spec) = &mut self.graph.nodes[level.join].kind else { return };
        (spec.mode, spec.kind) = (mode, kind);
        let span = conditions.first().map_or(Span::default(), |c| c.span);
        spec.residual = match conditions.len() {
            0 | 1 => conditions.pop(),
            _ => Some(super::expr::boolean(ExprKind::And(conditions), span)),
        };
        let keys = [spec.left_keys.clone(), spec.right_keys.clone()];
        let inputs: Vec<usize> = self.graph.nodes[level.join].inputs.iter().map(|input| input.index()).collect();
        for (input, key) in inputs.into_iter().zip(keys) {
            if let NodeKind::Exchange { route, .. } = &mut self.graph.nodes[input].kind {
                *route = Route::Key(key);
            }
        }
    }

    /// FALSE for two streams that nothing connects; every pair of rows is worth a warning.
    pub(super) fn check_keys(&mut self, join: &PendingJoin<'_>, bounded: bool) -> bool {
        let NodeKind::Join(spec) = &self.graph.nodes[join.level.join].kind else { return false };
        if !spec.left_keys.is_empty() {
            return true;
        }
        let span = join.written.span;
        let every = matches!(join.written.on, JoinOn::Everything);
        if join.meeting == Meeting::Streams && !(every && bounded) {
            let message = match every {
                true => "every pair of rows of two streams needs a bound in time",
                false => "two streams are joined without an equality of their columns",
            };
            let hint = match every {
                true => "write WITHIN 5s, or ON a.key = b.key",
                false => "add one to ON: a.key = b.key AND …; for every pair in time write CROSS JOIN b WITHIN 5s",
            };
            self.report(Diagnostic::error("E0431", span, message).hint(hint));
            return false;
        }
        let message = "without an equality every pair of rows is looked at, all on one shard";
        self.report(Diagnostic::warning("W0431", span, message).hint("add an equality to ON: a.key = b.key"));
        true
    }

    /// The bound in time of two streams: of ON, WITHIN, WHERE of an inner join, properties; else the default.
    fn interval(
        &mut self,
        query: &Query,
        join: &PendingJoin<'_>,
        level: usize,
        rel: &Rel,
        condition: Option<&Expr>,
    ) -> Option<JoinMode> {
        let mut bound = Bound::default();
        for expr in &join.conditions {
            self.bound_of(expr, level, rel, join.level, &mut bound);
        }
        if let Some(within) = &join.written.within {
            bound.meet(Some(-within.before.ns), Some(within.after.ns));
        }
        let mut of_where = Bound::default();
        let mut conditions = Vec::new();
        condition.into_iter().for_each(|c| conjuncts(c.clone(), &mut conditions));
        for expr in &conditions {
            let top = rel.joined.as_ref()?.levels.last().copied()?;
            self.bound_of(expr, level, rel, top, &mut of_where);
        }
        if of_where.is_some() && join.written.kind != JoinKind::Inner {
            let span = query.filter.as_ref().map_or(join.written.span, |f| f.span);
            let message = format!(
                "WHERE bounds the time of a {} JOIN: it would drop the rows without a match",
                join.written.kind.name()
            );
            let hint = "move the condition on the times to ON, or write WITHIN behind the joined relation";
            let diagnostic = Diagnostic::error("E0432", span, message).also(join.written.span, "the join");
            self.report(diagnostic.hint(hint));
            return None;
        }
        bound.meet(of_where.lower, of_where.upper);
        let given = self.bound_of_properties(query)?;
        bound.meet(given.lower, given.upper);
        let is_bounded = bound.is_some();
        if !self.check_keys(join, is_bounded) {
            return None;
        }
        let (before_ns, after_ns) = self.or_default(bound, join.written.span)?;
        self.default_time(rel, join.written.span, "the join")?;
        let retention_ns = self.join_property(query, "join.retention").ok()?.unwrap_or(0);
        Some(JoinMode::Interval { before_ns, after_ns, retention_ns })
    }
}

/// The operands of AND, at any depth.
pub(super) fn conjuncts(expr: Expr, list: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::And(operands) => operands.into_iter().for_each(|operand| conjuncts(operand, list)),
        _ => list.push(expr),
    }
}
