//! The end of a statement: last Project, LIMIT, sinks with their keys, and where dead letters go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use velostream_types::{DataType, DlqId, EdgeId, Field, Schema, SchemaRef, Span};

use super::Binder;
use super::change::Amended;
use super::identity::{Keyed, headers_at, topic_of};
use super::metrics::Measured;
use super::query::{Flow, Items, Output, Target};
use super::source::raw_type;
use crate::diag::Diagnostic;
use crate::endpoint::{ChangelogForm, SinkSpec, WithEntry};
use crate::parse::ast::{Item, Query};
use crate::plan::{
    Carried, DlqPlan, Expr, ExprKind, Failure, KafkaSink, NodeKind, RawKind, Route, SinkConnector, SinkFormat, SinkPlan,
};
use crate::suggest;

/// Dead letters of one statement, before files are named.
pub(super) struct DlqDraft {
    pub name: String,
    pub path: Option<PathBuf>,
    pub topic: Option<Box<KafkaSink>>,
    pub enabled: bool,
    pub failure: Failure,
    /// The statement whose dead letters these are part of.
    pub shared_with: Option<usize>,
}

impl Binder<'_> {
    /// Project → LIMIT → Sink. Where records pass through, the Project is there for other readers only, and the Sink
    /// stands beside it.
    pub(super) fn emit_nodes(
        &mut self,
        query: &Query,
        target: &Target<'_>,
        flow: Flow,
        mut items: Items,
    ) -> Option<Output> {
        let sink = self.sink_spec(query, target);
        let key = self.key(target, &flow, &items);
        let (Ok(sink), Some(key)) = (sink, key) else { return None };
        let key = match &sink {
            Some((_, spec)) => self.sink_key(key, spec, &items, target.span)?,
            None => key,
        };
        if sink.is_some() && query.limit.is_some() && !flow.sorted {
            self.metrics_behind_limit();
        }
        let mut measured = match &sink {
            Some((name, _)) => self.measured(name, flow.node, &items.fields),
            None => Measured::default(),
        };
        let pass_through = sink.as_ref().is_some_and(|(_, spec)| self.passes_through(query, &flow, &key, spec));
        let scattered = target.is_table && flow.changelog && self.is_rekeyed(&flow, &items, &key);
        let rekeyed = scattered && !target.is_inline;
        let needs_tokens = (flow.raw || flow.sorted) && sink.is_some() && !pass_through && !rekeyed;
        let values = items.exprs.clone();
        let mut fields = items.fields.clone();
        if needs_tokens && !target.has_readers {
            self.tokens(&mut items.exprs, flow.node, &key);
            if self.is_amended(target) {
                measured.prefer_values(&values, &mut items.exprs);
            }
            measured.keep_values(&values, &mut items.exprs, &mut fields);
        }
        if let Some((_, spec)) = &sink {
            self.doubt_file_key(query, target, spec);
        }
        let schema = Arc::new(Schema::new(items.fields.clone()));
        let statement = self.statement;
        let mut node = flow.node;
        // Records that pass through need a Project of their own: to a topic for their keys and headers, and for metrics.
        let is_topic = sink.as_ref().is_some_and(|(_, spec)| matches!(spec.connector, SinkConnector::Kafka(_)));
        let (beside, beside_fields) = match pass_through && (!target.has_readers || query.limit.is_none()) {
            true => measured.alone(&values, &items.fields),
            false => (Vec::new(), Vec::new()),
        };
        let needs_beside = is_topic || !beside.is_empty();
        let beside = NodeKind::Project { exprs: beside, event_time: None };
        if pass_through && !target.has_readers && needs_beside {
            node = self.graph.add(beside.clone(), Some(node), beside_fields.clone(), flow.changelog, statement);
        }
        if !pass_through || target.has_readers {
            let project = NodeKind::Project { exprs: items.exprs, event_time: items.event_time };
            node = self.graph.add(project, Some(flow.node), fields.clone(), flow.changelog, statement);
            if !items.edits.is_empty() {
                self.graph.edits.insert(node, items.edits);
            }
            if !key.is_empty() {
                self.graph.keys.insert(node, Keyed::new(&key, sink.as_ref().map(|(_, spec)| &spec.connector)));
            }
        }
        let changelog = flow.changelog && target.is_table;
        if rekeyed {
            let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(key.clone()) };
            node = self.graph.add(exchange, Some(node), Vec::new(), true, statement);
            node = self.graph.add(NodeKind::Materialize { key: key.clone() }, Some(node), Vec::new(), true, statement);
        } else if flow.changelog && !target.is_table {
            node = self.graph.add(NodeKind::Events, Some(node), Vec::new(), false, statement);
        }
        if let Some((rows, _)) = query.limit.filter(|_| !flow.sorted) {
            if !flow.is_global {
                let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(Vec::new()) };
                node = self.graph.add(exchange, Some(node), Vec::new(), changelog, statement);
            }
            node = self.graph.add(NodeKind::Limit { rows }, Some(node), Vec::new(), changelog, statement);
        }
        if self.is_amended(target) {
            let name = target.name.map_or("", |name| name.name.as_str());
            let headers = is_topic.then(|| self.with_headers(&mut node, &schema, changelog));
            let table = Amended { schema: &schema, key: &key, roots: &flow.roots, headers };
            node = self.amend(name, node, table)?;
        }
        let raw = flow.raw && query.limit.is_none();
        let output = Output {
            node,
            schema: schema.clone(),
            roots: flow.roots.clone(),
            raw,
            ordered: flow.ordered,
            changelog,
            is_table: changelog || target.is_table && !target.is_inline,
            topic: sink.as_ref().and_then(|(_, spec)| topic_of(&spec.connector)).map(str::to_owned),
            key: key.clone(),
            scattered: scattered && !rekeyed,
        };
        let Some((name, spec)) = sink else { return Some(output) };
        if needs_tokens && target.has_readers {
            let column = |(i, f): (usize, &velostream_types::Field)| Expr {
                kind: ExprKind::Column(i),
                data_type: f.data_type.clone(),
                span: target.span,
            };
            let mut exprs: Vec<Expr> = schema.fields.iter().enumerate().map(column).collect();
            let values = exprs.clone();
            self.tokens(&mut exprs, node, &key);
            measured.keep_values(&values, &mut exprs, &mut fields);
            let project = NodeKind::Project { exprs, event_time: None };
            node = self.graph.add(project, Some(node), fields, changelog, statement);
        }
        if pass_through && query.limit.is_none() && target.has_readers {
            node = flow.node;
            if needs_beside {
                node = self.graph.add(beside, Some(node), beside_fields, changelog, statement);
            }
        }
        let carried = if is_topic { self.carried(node, &output) } else { Carried::default() };
        let SinkSpec { mut connector, format, changelog: form, dlq_path, dlq_topic, dlq_enabled, failure, .. } = spec;
        let upsert = changelog && form == ChangelogForm::Upsert;
        let envelope = target.is_table && form == ChangelogForm::Debezium;
        if !target.is_table && form != ChangelogForm::Upsert {
            let message = format!("changelog of sink \"{name}\" has no effect: the rows of a STREAM are events");
            self.report(Diagnostic::warning("W0513", target.span, message).hint("create a TABLE to write its changes"));
        }
        let mut ordered = flow.ordered;
        if let SinkConnector::Kafka(kafka) = &mut connector {
            // Each core writes its own keys; nothing merges the rows of several.
            ordered = false;
            if target.is_table && form == ChangelogForm::Upsert && !key.is_empty() {
                kafka.topic_config.entry("cleanup.policy".to_owned()).or_insert_with(|| "compact".to_owned());
            }
            for root in &flow.roots {
                self.writes_event_time(*root);
            }
        }
        let sink = NodeKind::Sink { sink: self.sinks.len(), edge: EdgeId(0) };
        let node = self.graph.add(sink, Some(node), Vec::new(), changelog, statement);
        self.graph.nodes[node].schema = schema.clone();
        self.dlqs[statement] = DlqDraft {
            name: name.clone(),
            path: dlq_path,
            topic: dlq_topic,
            enabled: dlq_enabled,
            failure,
            shared_with: None,
        };
        self.sinks.push(SinkPlan {
            name,
            connector,
            format,
            schema,
            key,
            upsert,
            envelope,
            ordered,
            pass_through,
            carried,
            metrics: measured.0,
            statement,
        });
        Some(output)
    }

    /// Puts a Project behind `node` that gives its columns, and behind them the headers of its rows; answers their place.
    fn with_headers(&mut self, node: &mut usize, schema: &SchemaRef, changelog: bool) -> usize {
        let known = self.graph.carry_headers(*node);
        let column = |(at, field): (usize, &Field)| Expr {
            kind: ExprKind::Column(at),
            data_type: field.data_type.clone(),
            span: Span::default(),
        };
        let mut exprs: Vec<Expr> = schema.fields.iter().enumerate().map(column).collect();
        exprs.push(headers_at(known));
        let mut fields = schema.fields.clone();
        fields.push(Field::new("_headers", DataType::Bytes));
        let project = NodeKind::Project { exprs, event_time: None };
        *node = self.graph.add(project, Some(*node), fields, changelog, self.statement);
        schema.len()
    }

    /// TRUE when several rows of a changing result may have the same key, something that tells them apart being not in it, or
    /// when they come from several shards.
    fn is_rekeyed(&self, flow: &Flow, items: &Items, key: &[usize]) -> bool {
        let identity = &flow.identity;
        let has = |at: usize| key.iter().any(|k| identity.is(at, &items.exprs[*k]));
        let count = identity.columns.len();
        identity.scattered || !(0..count).all(has) || count == 0 && !self.graph.is_single(flow.node)
    }

    /// The key a sink writes: that of the rows, else `key.field`. `None` where the rows are not what the sink takes.
    fn sink_key(&mut self, mut key: Vec<usize>, sink: &SinkSpec, items: &Items, span: Span) -> Option<Vec<usize>> {
        if let SinkFormat::Raw(kind) = sink.format {
            let (format, _) = raw_type(kind);
            let takes = |t: &DataType| matches!(t, DataType::String | DataType::Null) || *t == raw_type(kind).1;
            if !matches!(items.fields.as_slice(), [only] if takes(&only.data_type)) {
                let type_names = if kind == RawKind::Text { "STRING" } else { "STRING or BYTES" };
                let message = format!("a sink of format {format} takes one column of type {type_names}");
                let detail = format!("the result has {} columns", items.fields.len());
                let hint = "select that column alone, or write format = 'json'";
                self.report(Diagnostic::error("E0508", span, message).detail(detail).hint(hint));
                return None;
            }
        }
        if let Some((column, place)) = sink.key_field.as_ref().filter(|_| key.is_empty()) {
            let names = || items.fields.iter().map(|f| f.name.as_str());
            match names().position(|name| name == column) {
                Some(at) => key.push(at),
                None => {
                    let message = format!("column \"{column}\" in key.field is not in the result");
                    let mut diagnostic = Diagnostic::error("E0203", *place, message);
                    if let Some(near) = suggest::closest(column, names()) {
                        diagnostic = diagnostic.hint(format!("did you mean \"{near}\"?"));
                    }
                    self.report(diagnostic);
                    return None;
                }
            }
        }
        Some(key)
    }

    /// Warns of a PRIMARY KEY that only a file's records could show, which have none.
    fn doubt_file_key(&mut self, query: &Query, target: &Target<'_>, sink: &SinkSpec) {
        if target.is_table || target.has_readers || !matches!(sink.connector, SinkConnector::File { .. }) {
            return;
        }
        let marked = query.items.iter().find_map(|item| match item {
            Item::Expr { expr, primary_key: true, .. } => Some(expr.span),
            _ => None,
        });
        if let Some(span) = marked {
            let message = "PRIMARY KEY has no effect: records of a file have no key";
            let hint = "remove it, or create a TABLE, whose rows replace each other by key";
            self.report(Diagnostic::warning("W0505", span, message).hint(hint));
        }
    }

    /// Lets inferred numbers and nested values reach the sink as they were written; a key is one text for one value.
    fn tokens(&mut self, exprs: &mut [Expr], input: usize, key: &[usize]) {
        let as_written = |(at, expr): &(usize, &mut Expr)| {
            expr.data_type.is_numeric() || expr.data_type.is_nested() && !key.contains(at)
        };
        for (_, expr) in exprs.iter_mut().enumerate().filter(as_written) {
            if let ExprKind::Column(column) = &mut expr.kind
                && let Some(token) = self.graph.token(input, *column)
            {
                *column = token;
            }
        }
    }

    /// Where the rows go; none for an object that only other statements read.
    fn sink_spec(&mut self, query: &Query, target: &Target<'_>) -> Result<Option<(String, SinkSpec)>, ()> {
        if target.is_inline {
            return Ok(None);
        }
        let entries: Vec<WithEntry> = query.with.iter().chain(&self.settings).cloned().collect();
        let (name, span) = match (&query.into, target.name) {
            (Some(into), _) => (into.name.clone(), into.span),
            (None, Some(name)) => (name.name.clone(), name.span),
            (None, None) => return Ok(Some((self.statement_name(), self.stdout()))),
        };
        if query.into.is_some() && self.objects.contains_key(&name) && target.name.is_none_or(|t| t.name != name) {
            let message = format!("INTO the object \"{name}\" of this app is not supported yet");
            self.report(Diagnostic::error("E0901", span, message));
            return Err(());
        }
        match self.endpoints.sink(&name, span, &entries) {
            Ok(Some(spec)) if spec.implied && target.has_readers && query.into.is_none() => Ok(None),
            Ok(Some(spec)) => Ok(Some((name, spec))),
            Ok(None) if query.into.is_some() => {
                let message = format!("nothing says where sink \"{name}\" writes to");
                let hint = format!("add WITH ('{name}.type' = 'file_sink', '{name}.path' = '…'), or write INTO a path");
                self.report(Diagnostic::error("E0507", span, message).hint(hint));
                Err(())
            }
            Ok(None) if target.has_readers => Ok(None),
            Ok(None) => Ok(Some((name, self.stdout()))),
            Err(findings) => {
                findings.into_iter().for_each(|finding| self.report(finding));
                Err(())
            }
        }
    }

    fn stdout(&self) -> SinkSpec {
        let format = self.options.stdout_format;
        SinkSpec {
            connector: SinkConnector::Stdout,
            format,
            changelog: ChangelogForm::default(),
            key_field: None,
            implied: false,
            dlq_path: None,
            dlq_topic: None,
            dlq_enabled: true,
            failure: Failure::DeadLetter,
        }
    }

    /// Key columns of the result: PRIMARY KEY, else what identifies its rows.
    pub(super) fn key(&mut self, target: &Target<'_>, flow: &Flow, items: &Items) -> Option<Vec<usize>> {
        let changes = target.is_table && flow.changelog;
        if !items.primary_key.is_empty() {
            return Some(items.primary_key.clone());
        }
        let mut key = Vec::new();
        for at in 0..flow.identity.columns.len() {
            match items.exprs.iter().position(|e| flow.identity.is(at, e)) {
                Some(position) if key.contains(&position) => {}
                Some(position) => key.push(position),
                // Rows of a nested query need no key: who reads them counts equal ones.
                None if target.is_inline => return Some(Vec::new()),
                None if changes => {
                    let message = "the TABLE does not select all columns that identify its rows";
                    let hint = match (flow.identity.joined, flow.identity.merged.is_empty()) {
                        (true, true) => "select the key of the tables that are joined, or mark PRIMARY KEY columns",
                        (true, false) => "select COALESCE of the keys of both tables, or mark PRIMARY KEY columns",
                        _ => "select the GROUP BY columns (and _window_start of a window), or mark PRIMARY KEY columns",
                    };
                    self.report(Diagnostic::error("E0409", target.span, message).hint(hint));
                    return None;
                }
                None => {}
            }
        }
        if changes && !target.is_inline && flow.identity.columns.is_empty() && !self.graph.is_single(flow.node) {
            let message = "the TABLE has no key: its rows change, and no columns tell them apart";
            let hint = "mark PRIMARY KEY columns; of the rows that share a key, the greatest stands";
            self.report(Diagnostic::error("E0409", target.span, message).hint(hint));
            return None;
        }
        if target.is_table && !target.is_inline && flow.identity.columns.is_empty() && !flow.is_global {
            let message = "the TABLE has no key: rows are appended";
            let hint = "GROUP BY its key, or mark PRIMARY KEY columns";
            self.report(Diagnostic::warning("W0502", target.span, message).hint(hint));
        }
        if !target.is_table {
            // A STREAM's key is its group, without the window.
            let windowed = self.is_windowed(flow.node);
            let columns = flow.identity.columns.len();
            key.truncate(columns - usize::from(windowed && columns > 0));
        }
        Some(key)
    }

    fn is_windowed(&self, node: usize) -> bool {
        let node = self.graph.below_subqueries(node);
        match &self.graph.nodes[node].kind {
            NodeKind::Aggregate(spec) => spec.window.is_some(),
            NodeKind::Filter { .. } => {
                self.graph.nodes[node].inputs.first().is_some_and(|i| self.is_windowed(i.index()))
            }
            _ => false,
        }
    }

    /// Numbers edges in topological order and gives every node its dead-letter destination.
    pub(super) fn number_edges(&mut self) -> (Vec<DlqPlan>, u16) {
        let mut edges: u16 = 0;
        for node in &mut self.graph.nodes {
            if let NodeKind::Exchange { edge, .. } | NodeKind::Sink { edge, .. } = &mut node.kind {
                *edge = EdgeId(edges);
                edges += 1;
            }
        }
        let folder = self.dlq_folder();
        let mut plans = Dlqs { folder, plans: Vec::new(), paths: BTreeMap::new() };
        for source in &mut self.graph.sources {
            let spec = source.spec.as_ref();
            source.plan.dlq = plans.add(DlqDraft {
                name: source.plan.name.to_string(),
                path: spec.and_then(|s| s.dlq_path.clone()),
                topic: spec.and_then(|s| s.dlq_topic.clone()),
                enabled: spec.is_some_and(|s| s.dlq_enabled),
                failure: spec.map(|s| s.failure).unwrap_or_default(),
                shared_with: None,
            });
        }
        let drafts = std::mem::take(&mut self.dlqs);
        let shared: Vec<Option<usize>> = drafts.iter().map(|d| d.shared_with).collect();
        let add = |draft: DlqDraft| if draft.shared_with.is_some() { DlqId(0) } else { plans.add(draft) };
        let mut statements: Vec<DlqId> = drafts.into_iter().map(add).collect();
        for (at, with) in shared.into_iter().enumerate() {
            statements[at] = with.map_or(statements[at], |with| statements[with]);
        }
        for node in &mut self.graph.nodes {
            node.dlq = match &node.kind {
                NodeKind::Scan { source } => self.graph.sources[source.index()].plan.dlq,
                _ => statements[node.statement],
            };
        }
        for plan in &mut plans.plans {
            plan.edge = EdgeId(edges);
            edges += 1;
        }
        (plans.plans, edges)
    }

    /// Beside the first file sink, else the base folder.
    fn dlq_folder(&self) -> PathBuf {
        let file = self.sinks.iter().find_map(|sink| match &sink.connector {
            SinkConnector::File { path, .. } => path.parent().map(Path::to_path_buf),
            _ => None,
        });
        file.unwrap_or_else(|| self.options.base_dir.clone())
    }
}

/// Dead-letter files and topics; one file has one writer.
struct Dlqs {
    folder: PathBuf,
    plans: Vec<DlqPlan>,
    paths: BTreeMap<PathBuf, DlqId>,
}

impl Dlqs {
    fn add(&mut self, draft: DlqDraft) -> DlqId {
        if draft.failure != Failure::DeadLetter {
            // Nothing is written, so there is nothing to share.
            return self.push(draft.name, PathBuf::new(), None, false, draft.failure);
        }
        let DlqDraft { name, path, topic, enabled, .. } = draft;
        if let Some(topic) = topic {
            return self.add_topic(name, topic, enabled);
        }
        let own = path.is_none();
        let stem = file_stem(&name);
        let mut path = path.unwrap_or_else(|| self.folder.join(format!("{stem}-dlq.jsonl")));
        let mut n = 1;
        while let Some(&known) = self.paths.get(&path) {
            if !own {
                return known;
            }
            n += 1;
            path = self.folder.join(format!("{stem}_{n}-dlq.jsonl"));
        }
        let id = self.push(name, path.clone(), None, enabled, Failure::DeadLetter);
        self.paths.insert(path, id);
        id
    }

    /// Equal topics of one cluster are one destination.
    fn add_topic(&mut self, name: String, topic: Box<KafkaSink>, enabled: bool) -> DlqId {
        let is_same = |plan: &DlqPlan| {
            plan.enabled == enabled
                && plan
                    .topic
                    .as_ref()
                    .is_some_and(|known| known.topic == topic.topic && known.client.settings == topic.client.settings)
        };
        if let Some(known) = self.plans.iter().position(is_same) {
            return DlqId(known as u16);
        }
        self.push(name, PathBuf::new(), Some(topic), enabled, Failure::DeadLetter)
    }

    fn push(
        &mut self,
        name: String,
        path: PathBuf,
        topic: Option<Box<KafkaSink>>,
        enabled: bool,
        failure: Failure,
    ) -> DlqId {
        let id = DlqId(self.plans.len() as u16);
        self.plans.push(DlqPlan { name, path, topic, enabled, failure, edge: EdgeId(0) });
        id
    }
}

/// A name as part of a file name: the last part of a path without its ending, odd characters replaced.
fn file_stem(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = if last == name { name } else { last };
    let stem = stem.split_once('.').map_or(stem, |(stem, _)| stem);
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let stem: String = stem.chars().map(plain).collect();
    if stem.is_empty() { "records".to_owned() } else { stem }
}
