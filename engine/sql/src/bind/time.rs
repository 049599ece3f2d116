//! Event time: which column of which source places the rows of a window.

use velostream_types::{DataType, Span};

use super::Binder;
use super::scope::{Named, Rel, Scope, System, available};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{
    EventTimeSpec, ExprKind, JoinMode, MissingTime, NodeKind, Side, SourceConnector, SystemColumn, TimeField,
    TimeFormat, WatermarkRule,
};

const IDLE_TIMEOUT_NS: i64 = 60 * velostream_types::time::NS_PER_SEC;

impl Binder<'_> {
    /// EMIT CHANGES EVERY goes by event time, with a window or without.
    pub(super) fn ticks(&mut self, every_ns: i64, windowed: bool, rel: &Rel, span: Span) {
        if every_ns <= 0 {
            let message = "EVERY must be longer than 0";
            self.report(Diagnostic::error("E0412", span, message).hint("write for example EMIT CHANGES EVERY 5s"));
        }
        if !windowed
            && self.default_time(rel, span, "EVERY").is_none()
            && let Some(finding) = self.diagnostics.last_mut().filter(|d| d.code == "E0404")
        {
            finding.message = format!("EVERY goes by event time, and records of \"{}\" carry none", rel.name);
            finding.hint = Some("set event.time.field on the source".to_owned());
        }
    }

    /// A window over the time column that it names.
    pub(super) fn explicit_time(&mut self, column: &ast::Expr, scope: &Scope<'_>) -> Option<()> {
        let ast::ExprKind::Column { qualifier, name } = &column.kind else { return None };
        let rel = &scope.rel;
        match self.resolve(qualifier.as_ref(), name, scope)? {
            Named::System(System::Meta(SystemColumn::EventTime | SystemColumn::EventTimeNs)) => {
                self.default_time(rel, column.span, "the window")
            }
            Named::System(System::Meta(SystemColumn::Timestamp)) => {
                let set =
                    |root: &usize| self.set_time(*root, TimeField::RecordTimestamp, TimeFormat::Auto, column.span);
                rel.roots.iter().map(set).collect()
            }
            Named::Column(index) => self.time_column(index, name, column.span, rel),
            Named::Open => {
                let position = self.graph.extra_column(rel.source?, &name.name, DataType::Null);
                self.set_time(rel.source?, TimeField::Column(position), TimeFormat::Auto, column.span)
            }
            _ => {
                let message = format!("window time column \"{}\" must be a column of the source", name.name);
                self.report(Diagnostic::error("E0404", column.span, message).detail(available(rel)));
                None
            }
        }
    }

    fn time_column(&mut self, index: usize, name: &Ident, span: Span, rel: &Rel) -> Option<()> {
        let data_type = rel.schema.fields[index].data_type.clone();
        if !matches!(data_type, DataType::Integer | DataType::Timestamp | DataType::Null) {
            let times =
                rel.schema.fields.iter().filter(|f| matches!(f.data_type, DataType::Integer | DataType::Timestamp));
            let names: Vec<&str> = times.take(20).map(|f| f.name.as_str()).collect();
            let message = format!("window time column \"{}\" is {data_type}, not INTEGER or TIMESTAMP", name.name);
            let mut diagnostic = Diagnostic::error("E0404", span, message);
            diagnostic = match names.is_empty() {
                true => diagnostic.detail(available(rel)),
                false => diagnostic.detail(format!("columns that may be: {}", names.join(", "))),
            };
            let hint = format!("or set event.time.field = '{}' on the source, which reads text too", name.name);
            self.report(diagnostic.hint(hint));
            return None;
        }
        let position = match self.rel_column(rel, index, span).kind {
            ExprKind::Column(position) => position,
            _ => index,
        };
        let Some((source, column)) = self.graph.origin(rel.node, position) else {
            let message = format!("a computed window time column (\"{}\") is not supported yet", name.name);
            let hint = "name it _event_time where it is computed: … AS _event_time, then WINDOW TUMBLING(size)";
            self.report(Diagnostic::error("E0901", span, message).hint(hint));
            return None;
        };
        let spec = self.graph.sources[source].spec.as_ref();
        let same = spec
            .and_then(|s| s.event_time_field.clone())
            .filter(|(field, _)| *field == self.graph.sources[source].plan.read[column].name);
        let format = match (&same, spec) {
            (Some(_), Some(spec)) => spec.event_time_format.clone(),
            _ => TimeFormat::Auto,
        };
        let other = spec.and_then(|s| s.event_time_field.clone()).filter(|_| same.is_none());
        if let Some((field, field_span)) = other {
            let message = format!("the window's time column \"{}\" replaces event.time.field \"{field}\"", name.name);
            self.report(Diagnostic::warning("W0405", span, message).also(field_span, "event.time.field is set here"));
        }
        self.set_time(source, TimeField::Column(column), format, span)
    }

    /// A window over the rows' own event time.
    /// `what` asks for it.
    pub(super) fn default_time(&mut self, rel: &Rel, span: Span, what: &str) -> Option<()> {
        if rel.poisoned {
            return None;
        }
        let mut below = vec![rel.node];
        while let Some(node) = below.pop() {
            match &self.graph.nodes[node].kind {
                NodeKind::Project { event_time: Some(_), .. } => self.time_below(node),
                NodeKind::Aggregate(spec) if spec.window.is_some() => {}
                NodeKind::Join(spec) => {
                    // The rows of a looked-up table have no say in when a joined row is.
                    let table = match spec.mode {
                        JoinMode::Lookup { table, .. } => Some(usize::from(table == Side::Right)),
                        _ => None,
                    };
                    let inputs = self.graph.nodes[node].inputs.iter().enumerate();
                    below.extend(inputs.filter(|(at, _)| Some(*at) != table).map(|(_, input)| input.index()));
                }
                NodeKind::Scan { source } => self.source_time(source.index(), rel, span, Some(what))?,
                // What a subquery keeps has no say either.
                NodeKind::Subqueries(_) => below.extend(self.graph.input(node)),
                _ => below.extend(self.graph.nodes[node].inputs.iter().map(|input| input.index())),
            }
        }
        Some(())
    }

    /// Rows that `expr AS _event_time` places anew keep the watermark of their partition, so the sources below have one,
    /// where their records have a time at all.
    fn time_below(&mut self, node: usize) {
        let mut below = vec![node];
        while let Some(node) = below.pop() {
            below.extend(self.graph.nodes[node].inputs.iter().map(|input| input.index()));
            let NodeKind::Scan { source } = &self.graph.nodes[node].kind else { continue };
            let source = source.index();
            let known = &self.graph.sources[source];
            let declares = known.spec.as_ref().is_some_and(|s| s.event_time_field.is_some());
            if declares || matches!(known.plan.connector, SourceConnector::Kafka(_)) {
                let rel = self.source_rel(source);
                self.source_time(source, &rel, Span::default(), None);
            }
        }
    }

    /// Event time of the relation's source for expressions and FIRST/LAST: the declared field, else the record's time.
    pub(super) fn wants_event_time(&mut self, rel: &Rel) {
        for root in &rel.roots {
            self.source_time(*root, rel, Span::default(), None);
        }
    }

    /// FIRST and LAST go by event time where the source has one.
    pub(super) fn orders_by_event_time(&mut self, rel: &Rel) {
        let names_one = |root: &usize| {
            let spec = self.graph.sources[*root].spec.as_ref();
            spec.is_some_and(|s| s.event_time_field.is_some())
        };
        if rel.roots.iter().any(names_one) {
            self.wants_event_time(rel);
        }
    }

    /// Rows that leave for a topic take the event time with them that their source declares.
    pub(super) fn writes_event_time(&mut self, root: usize) {
        if self.graph.sources[root].spec.as_ref().is_some_and(|s| s.event_time_field.is_some()) {
            let rel = self.source_rel(root);
            self.source_time(root, &rel, Span::default(), None);
        }
    }

    pub(super) fn source_time(&mut self, source: usize, rel: &Rel, span: Span, needed: Option<&str>) -> Option<()> {
        let known = &self.graph.sources[source];
        if known.plan.event_time.is_some() && (needed.is_none() || known.time_span.is_some()) {
            return Some(());
        }
        let spec = known.spec.as_ref();
        let Some((field, field_span)) = spec.and_then(|s| s.event_time_field.clone()) else {
            let times = match known.plan.connector {
                SourceConnector::Kafka(_) => Some(TimeField::Header),
                SourceConnector::Memory { .. } => Some(TimeField::RecordTimestamp),
                SourceConnector::File { .. } | SourceConnector::OneRow => None,
            };
            let has_times = times.is_some();
            if let Some(what) = needed.filter(|_| !has_times) {
                let name = known.plan.name.clone();
                let message = format!("{what} has no event time: records of \"{name}\" carry none");
                let hint = match what {
                    "the window" => {
                        "name the time column, WINDOW TUMBLING(column, size), or set event.time.field on the source"
                    }
                    _ => "set event.time.field on the source",
                };
                let own = self.source_rel(source);
                let detail = available(if rel.joined.is_some() { &own } else { rel });
                self.report(Diagnostic::error("E0404", span, message).detail(detail).hint(hint));
                return None;
            }
            let field = times.unwrap_or(TimeField::RecordTimestamp);
            return self.set_time(source, field, TimeFormat::Auto, span);
        };
        let format = spec.map_or(TimeFormat::Auto, |s| s.event_time_format.clone());
        let position = self.time_field(source, &field, field_span)?;
        self.set_time(source, TimeField::Column(position), format, span)
    }

    /// Scan column of `event.time.field`; it may lie outside a declared column list.
    fn time_field(&mut self, source: usize, field: &str, span: Span) -> Option<usize> {
        let known = &self.graph.sources[source];
        if let Some(index) = known.plan.schema.index_of(field) {
            return Some(self.graph.scan_column(source, index, crate::plan::Repr::Value));
        }
        if known.open {
            return Some(self.graph.extra_column(source, field, DataType::Null));
        }
        if known.plan.declared {
            let spec = known.spec.clone()?;
            let inferred = self.catalog.infer(&spec).ok();
            let found = inferred.and_then(|s| s.fields.into_iter().find(|f| f.name == field));
            if let Some(found) = found {
                return Some(self.graph.extra_column(source, field, found.data_type));
            }
        }
        let rel = self.source_rel(source);
        let message = format!("column \"{field}\" in event.time.field does not exist");
        self.report(Diagnostic::error("E0203", span, message).detail(available(&rel)));
        None
    }

    pub(super) fn source_rel(&self, source: usize) -> Rel {
        let plan = &self.graph.sources[source].plan;
        Rel::new(&plan.name, self.graph.sources[source].node, plan.schema.clone())
    }

    pub(super) fn set_time(&mut self, source: usize, field: TimeField, format: TimeFormat, span: Span) -> Option<()> {
        let known = &mut self.graph.sources[source];
        let spec = known.spec.as_ref();
        let named = span != Span::default();
        if let (Some(time), Some(first)) = (&known.plan.event_time, known.time_span)
            && time.field != field
            && named
        {
            let message =
                format!("two different event times of \"{}\" in one app is not supported yet", known.plan.name);
            let diagnostic = Diagnostic::error("E0901", span, message).also(first, "the other one is asked for here");
            self.report(diagnostic);
            return None;
        }
        known.plan.event_time = Some(EventTimeSpec {
            field,
            format,
            rule: spec.map_or(WatermarkRule::default(), |s| s.watermark_rule),
            bound_ns: spec.and_then(|s| s.watermark_bound_ns).unwrap_or(0),
            idle_timeout_ns: spec.map_or(IDLE_TIMEOUT_NS, |s| s.idle_timeout_ns),
            missing: spec.map_or(MissingTime::Warn, |s| s.missing_time),
        });
        // Its dead letters are the records as they came.
        known.plan.needs_raw |= spec.is_some_and(|s| s.missing_time == MissingTime::Error);
        if named {
            known.time_span = Some(span);
        }
        Some(())
    }
}
