//! Relations: objects of the app, declared sources, and what `Endpoints` and `Catalog` say of the rest.

use std::collections::BTreeSet;
use std::sync::Arc;

use velostream_types::{DataType, DlqId, Field, Schema, SchemaRef, Span};

use super::scope::{Rel, RelKind};
use super::{Binder, Object};
use crate::diag::Diagnostic;
use crate::endpoint::{CatalogError, SourceSpec, WithEntry};
use crate::parse::ast::{Declare, Query, Relation};
use crate::plan::{Format, LoadPlan, RawKind, SourceConnector, SourcePlan, WatermarkRule};
use crate::suggest;

const DEFAULT_RECORD_BYTES: usize = 16 << 20;

impl<'a> Binder<'a> {
    /// What the query reads first.
    pub(super) fn relation(&mut self, query: &Query) -> Rel {
        match &query.from {
            Some(relation) => self.one_relation(relation, &query.with),
            None => self.one_row(),
        }
    }

    /// One relation of FROM or a join; `with`: the statement's properties.
    pub(super) fn one_relation(&mut self, relation: &Relation, with: &[WithEntry]) -> Rel {
        if !relation.union.is_empty() {
            return self.union(relation);
        }
        let object = if relation.is_location { None } else { self.objects.get(&relation.name) };
        let mut rel = match object {
            Some(Object::Failed) => Rel::poisoned(&relation.name),
            Some(Object::Declared(declare)) => {
                let declare = *declare;
                self.declared(declare, relation)
            }
            Some(Object::Query(_)) => self.object_rel(&relation.name),
            None => self.external(relation, with),
        };
        rel.alias = relation.alias.as_ref().map(|a| a.name.clone());
        rel
    }

    /// SELECT without FROM reads one row without columns.
    pub(super) fn one_row(&mut self) -> Rel {
        let known = self.graph.sources.iter().position(|s| s.plan.connector == SourceConnector::OneRow);
        let source = known.unwrap_or_else(|| {
            let plan = SourcePlan {
                name: "values".into(),
                connector: SourceConnector::OneRow,
                format: Format::JsonLines,
                schema: SchemaRef::default(),
                declared: true,
                read: Vec::new(),
                event_time: None,
                table_key: None,
                needs_raw: false,
                max_record_bytes: DEFAULT_RECORD_BYTES,
                max_records: None,
                dlq: DlqId(0),
                load: Default::default(),
            };
            self.graph.add_source(plan, None, true, self.statement)
        });
        self.scan(source, "values")
    }

    fn scan(&self, source: usize, name: &str) -> Rel {
        let known = &self.graph.sources[source];
        let mut rel = Rel::new(name, known.node, known.plan.schema.clone());
        rel.source = Some(source);
        rel.roots = vec![source];
        rel.raw = true;
        rel
    }

    /// A source that nobody declared: where it is a file that ends, joins take it for a table.
    fn file(&self, source: usize, name: &str) -> Rel {
        let ends = matches!(self.graph.sources[source].plan.connector, SourceConnector::File { watch: false, .. });
        let mut rel = self.scan(source, name);
        rel.kind = if ends { RelKind::File } else { RelKind::Stream };
        rel
    }

    /// A relation that no statement names: path, URI or an endpoint described by properties.
    fn external(&mut self, relation: &Relation, with: &[WithEntry]) -> Rel {
        // A sink's bare `path` or `format` in the statement's WITH says nothing about what is read.
        let shared = with.iter().filter(|entry| crate::props::keys::reaches_sources(&entry.key));
        let entries: Vec<WithEntry> = relation.with.iter().chain(shared).chain(&self.settings).cloned().collect();
        let spec = match self.endpoints.source(&relation.name, relation.span, &entries) {
            Ok(spec) => spec,
            Err(findings) => {
                self.unknown_relation(relation, findings);
                return Rel::poisoned(&relation.name);
            }
        };
        let known = self.graph.sources.iter().position(|s| {
            *s.plan.name == *relation.name && s.spec.as_ref().is_some_and(|known| same_spec(known, &spec))
        });
        if let Some(source) = known {
            return self.file(source, &relation.name);
        }
        match self.infer(&spec, relation.span) {
            Some(schema) if self.is_partitioned_well(&spec, &schema, relation.span) => {
                let rel = self.add_source(&relation.name, spec, schema, None);
                rel.source.map_or(rel, |source| self.file(source, &relation.name))
            }
            Some(_) => Rel::poisoned(&relation.name),
            None => Rel::poisoned(&relation.name),
        }
    }

    fn unknown_relation(&mut self, relation: &Relation, findings: Vec<Diagnostic>) {
        let near = suggest::closest(&relation.name, self.objects.keys().map(String::as_str)).map(str::to_owned);
        for mut finding in findings {
            // Others know what the relation is and are about its properties.
            if finding.code != "E0501" {
                self.report(finding);
                continue;
            }
            if let Some(near) = near.as_ref().filter(|_| finding.hint.is_none()) {
                finding = finding.hint(format!("did you mean \"{near}\"?"));
            }
            if finding.detail.is_none() && !relation.is_location {
                finding = finding.detail(format!(
                    "declare it: CREATE STREAM {} (column TYPE, …) WITH ('type' = 'file_source', 'path' = '…')",
                    relation.name
                ));
            }
            self.report(finding);
        }
    }

    fn declared(&mut self, declare: &'a Declare, relation: &Relation) -> Rel {
        if let Some(extra) = relation.with.first() {
            let message = format!("properties of \"{}\" belong to its declaration", relation.name);
            let diagnostic = Diagnostic::error("E0502", extra.key_span, message);
            self.report(diagnostic.also(declare.name.span, "declared here"));
        }
        if let Some(source) = self.declared_sources.get(&declare.name.name) {
            return match source {
                Some(_) if declare.is_table => self.object_rel(&relation.name),
                Some(source) => self.scan(*source, &relation.name),
                None => Rel::poisoned(&relation.name),
            };
        }
        let rel = self.first_use(declare);
        self.declared_sources.insert(declare.name.name.clone(), rel.source);
        match rel.source.filter(|_| declare.is_table) {
            Some(source) => {
                self.table_of(declare, source);
                self.object_rel(&relation.name)
            }
            None => rel,
        }
    }

    fn first_use(&mut self, declare: &'a Declare) -> Rel {
        let name = &declare.name;
        let entries: Vec<WithEntry> = declare.with.iter().chain(&self.settings).cloned().collect();
        let spec = self.endpoints.source(&name.name, name.span, &entries);
        let columns = self.declared_columns(declare);
        let mut spec = match spec {
            Ok(spec) => spec,
            Err(findings) => {
                findings.into_iter().for_each(|finding| self.report(finding));
                return Rel::poisoned(&name.name);
            }
        };
        let Some((schema, key)) = columns else { return Rel::poisoned(&name.name) };
        if let Some(watermark) = &declare.watermark {
            spec.event_time_field = Some((watermark.column.name.clone(), watermark.column.span));
            spec.watermark_rule = WatermarkRule::EventTimes;
            spec.watermark_bound_ns = Some(watermark.bound.map_or(0, |b| b.ns));
        }
        if let Format::Raw(kind) = spec.format
            && !schema.is_empty()
            && !self.is_raw_list(declare, &schema, kind)
        {
            return Rel::poisoned(&name.name);
        }
        let schema = if schema.is_empty() {
            self.infer(&spec, name.span)
        } else {
            match self.catalog.check(&spec) {
                Ok(()) => Some(Arc::new(schema)),
                Err(error) => {
                    self.catalog_error(error, name.span);
                    None
                }
            }
        };
        match schema {
            Some(schema) if self.is_partitioned_well(&spec, &schema, name.span) => {
                self.add_source(&name.name, spec, schema, Some((declare, key)))
            }
            Some(_) => Rel::poisoned(&name.name),
            None => Rel::poisoned(&name.name),
        }
    }

    /// TRUE when the declared columns are what a raw record is: one of the format's type.
    fn is_raw_list(&mut self, declare: &Declare, schema: &Schema, kind: RawKind) -> bool {
        let (format, data_type) = raw_type(kind);
        let sound = matches!(schema.fields.as_slice(), [only] if only.data_type == data_type);
        if !sound {
            let message = format!("a source of format {format} has one column of type {data_type}");
            let hint = format!("declare ({} {data_type}), or leave the columns out: it is named value", "value");
            self.report(Diagnostic::error("E0508", declare.name.span, message).hint(hint));
        }
        sound
    }

    /// TRUE unless `partitioned.by` names what is no column.
    fn is_partitioned_well(&mut self, spec: &SourceSpec, schema: &Schema, span: Span) -> bool {
        let SourceConnector::Kafka(kafka) = &spec.connector else { return true };
        let Some(column) = kafka.partitioned_by.as_ref().filter(|_| !schema.is_empty()) else { return true };
        let known = schema.index_of(column).is_some();
        if !known {
            let message = format!("column \"{column}\" in partitioned.by does not exist");
            let mut diagnostic = Diagnostic::error("E0203", span, message);
            if let Some(near) = suggest::closest(column, schema.fields.iter().map(|f| f.name.as_str())) {
                diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
            }
            self.report(diagnostic);
        } else {
            let message = "partitioned.by has no effect yet";
            let detail = "rows still go to the owner of their key, and a stateful job still has to own every partition";
            self.report(Diagnostic::warning("W0513", span, message).detail(detail));
        }
        known
    }

    /// Columns and key positions of a declaration.
    pub(super) fn declared_columns(&mut self, declare: &Declare) -> Option<(Schema, Vec<usize>)> {
        let mut names = BTreeSet::new();
        let mut sound = true;
        for column in &declare.columns {
            if !names.insert(column.name.name.as_str()) {
                let message = format!("column \"{}\" is declared twice", column.name.name);
                self.report(Diagnostic::error("E0208", column.name.span, message));
                sound = false;
            }
            if column.data_type.open_decimal {
                let message = "DECIMAL without a scale keeps 18 digits after the point";
                self.report(Diagnostic::warning("W0302", column.data_type.span, message).hint("write DECIMAL(p,s)"));
            }
        }
        let watermark = declare.watermark.as_ref().map(|w| &w.column);
        for column in declare.primary_key.iter().chain(watermark) {
            if !names.contains(column.name.as_str()) && !declare.columns.is_empty() {
                let message = format!("column \"{}\" is not declared", column.name);
                let mut diagnostic = Diagnostic::error("E0203", column.span, message);
                if let Some(near) = suggest::closest(&column.name, names.iter().copied()) {
                    diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
                }
                self.report(diagnostic);
                sound = false;
            }
        }
        if declare.is_table && declare.primary_key.is_empty() {
            let message = format!("TABLE \"{}\" has no PRIMARY KEY", declare.name.name);
            let hint = "rows of a table replace each other by key: add PRIMARY KEY, or declare a STREAM";
            self.report(Diagnostic::error("E0503", declare.name.span, message).hint(hint));
            sound = false;
        }
        let field = |c: &crate::parse::ast::ColumnDef| {
            let is_key = declare.primary_key.iter().any(|k| k.name == c.name.name);
            let nullable = !(c.not_null || declare.is_table && is_key);
            Field { nullable, ..Field::new(c.name.name.clone(), c.data_type.data_type.clone()) }
        };
        let schema = Schema::new(declare.columns.iter().map(field).collect());
        let key = declare.primary_key.iter().filter_map(|k| schema.index_of(&k.name)).collect();
        sound.then_some((schema, key))
    }

    /// The types of a source without declaration.
    fn infer(&mut self, spec: &SourceSpec, span: Span) -> Option<SchemaRef> {
        match self.catalog.infer(spec) {
            Ok(schema) => {
                if schema.fields.iter().all(|f| f.data_type == DataType::Null) {
                    let message = "the source has no record yet: its columns are NULL without a type";
                    self.report(Diagnostic::warning("W0501", span, message).hint("declare its columns"));
                }
                Some(Arc::new(schema))
            }
            Err(error) => {
                self.catalog_error(error, span);
                None
            }
        }
    }

    fn catalog_error(&mut self, error: CatalogError, span: Span) {
        let diagnostic = match error {
            CatalogError::Missing { searched, similar } => {
                let diagnostic = Diagnostic::error("E0504", span, format!("no file matches {searched}"));
                match similar.is_empty() {
                    true => diagnostic.hint("paths are relative to the folder of the SQL file"),
                    false => diagnostic.hint(format!("did you mean {}?", similar.join(" or "))),
                }
            }
            CatalogError::Unreadable { path, reason } => {
                Diagnostic::error("E0505", span, format!("cannot read {path}")).detail(reason)
            }
            CatalogError::Malformed { path, reason } => {
                Diagnostic::error("E0506", span, format!("{path} is not in the format it is said to be in"))
                    .detail(reason)
            }
            CatalogError::NoTopic { topic, brokers } => {
                let message = format!("the topic \"{topic}\" does not exist on {brokers}");
                let diagnostic = Diagnostic::error("E0509", span, message);
                match suggest::closest(&topic, self.objects.keys().map(String::as_str)) {
                    Some(near) => diagnostic.hint(format!("did you mean \"{near}\" of this app?")),
                    None => diagnostic.hint("sources are never created; topic.wait.timeout waits for one to appear"),
                }
            }
            CatalogError::NoRecord { topic } => {
                let message = format!("the topic \"{topic}\" has no record to infer columns from");
                let hint = "declare them: CREATE STREAM name (column TYPE, …) WITH (…), or raise schema.wait.timeout";
                Diagnostic::error("E0510", span, message).hint(hint)
            }
            CatalogError::Brokers { brokers, reason } => {
                let message = format!("cannot read a sample from {brokers}");
                let hint = "declare the columns: nothing is read before the run then";
                Diagnostic::error("E0522", span, message).detail(reason).hint(hint)
            }
        };
        self.report(diagnostic);
    }

    fn add_source(
        &mut self,
        name: &str,
        spec: SourceSpec,
        schema: SchemaRef,
        declare: Option<(&Declare, Vec<usize>)>,
    ) -> Rel {
        if self.graph.sources.len() >= usize::from(u16::MAX) {
            return Rel::poisoned(name);
        }
        let goes_on = match spec.connector {
            SourceConnector::File { watch, .. } => watch,
            SourceConnector::Kafka(_) => !self.options.until_end,
            SourceConnector::Memory { .. } | SourceConnector::OneRow => true,
        };
        let plan = SourcePlan {
            name: name.into(),
            connector: spec.connector.clone(),
            format: spec.format.clone(),
            schema,
            declared: declare.as_ref().is_some_and(|(d, _)| !d.columns.is_empty()),
            read: Vec::new(),
            event_time: None,
            table_key: declare.filter(|(d, _)| d.is_table).map(|(_, key)| key),
            needs_raw: false,
            max_record_bytes: spec.max_record_bytes,
            max_records: spec.max_records,
            dlq: DlqId(0),
            load: LoadPlan { patience: Some(spec.patience), ..LoadPlan::default() },
        };
        let bounded = !goes_on && !self.options.follow;
        let source = self.graph.add_source(plan, Some(spec), bounded, self.statement);
        self.scan(source, name)
    }
}

/// Name and type of a raw format.
pub(super) fn raw_type(kind: RawKind) -> (&'static str, DataType) {
    match kind {
        RawKind::Text => ("string", DataType::String),
        RawKind::Bytes => ("bytes", DataType::Bytes),
    }
}

/// TRUE when both describe the same reading, wherever they were written.
fn same_spec(a: &SourceSpec, b: &SourceSpec) -> bool {
    let plain = |spec: &SourceSpec| {
        let mut spec = spec.clone();
        spec.event_time_field.iter_mut().for_each(|f| f.1 = Span::default());
        spec.delete_field.iter_mut().for_each(|f| f.1 = Span::default());
        if let SourceConnector::Kafka(kafka) = &mut spec.connector {
            kafka.client.origins.clear();
        }
        spec.dlq_topic.iter_mut().for_each(|topic| topic.client.origins.clear());
        spec
    };
    plain(a) == plain(b)
}
