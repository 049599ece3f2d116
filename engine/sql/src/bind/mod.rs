//! Syntax tree to plan: names, types, endpoints, and the graph of the whole app.
//!
//! Statements are bound in order of what they read; each mistake is one finding, and what depends on it stays silent.
//! Order of work: `order` sorts, `source` resolves relations, `scope` and `expr` bind expressions, `aggregate` and
//! `time` the groups and windows, `query` and `sink` build nodes in `graph`, `pass_through` tells where these need no
//! columns, `compile` numbers and checks the whole.

mod access;
mod aggregate;
mod bound;
mod call;
mod change;
mod elements;
mod expr;
mod fallback;
mod graph;
mod group_key;
mod headers;
mod identity;
mod idle;
mod insert;
mod join;
mod joined;
mod memory;
mod metrics;
mod nearest;
mod order;
mod over;
mod pass_through;
mod query;
mod refine;
mod replicate;
mod scope;
mod sink;
mod source;
mod subquery;
mod table;
mod table_key;
#[cfg(test)]
mod tests;
mod time;
mod top;
mod typing;
mod union;
mod unnest;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(crate) use call::FORMS as CALLS;
pub(crate) use headers::FUNCTIONS as HEADER_CALLS;
use velostream_types::Span;
pub(crate) use window::BOUNDS as BOUND_CALLS;

use crate::annotations::Metric;
use crate::diag::{Diagnostic, Severity};
use crate::endpoint::{Catalog, Endpoints, WithEntry};
use crate::parse::ast::{Change, Declare, Ident, InsertRows, Relation, Role, Statement, StatementKind};
use crate::parse::{Script, parse};
use crate::plan::{AppPlan, Failure, SinkFormat, SinkPlan, StatementPlan};
use graph::Graph;
use insert::Inserted;
use query::{Output, Target};
use sink::DlqDraft;

/// Findings reported at most; the rest are counted.
const MAX_FINDINGS: usize = 100;
/// Nodes of one app at most, with room for the last query's.
const MAX_NODES: usize = 60_000;

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct BindOptions {
    /// Name of the app: `@app`, else the file's stem.
    pub app_name: String,
    /// Folder for dead letters of apps without a file sink.
    pub base_dir: PathBuf,
    /// Encoding of rows that go to standard output.
    pub stdout_format: SinkFormat,
    /// Inputs are followed after their end: nothing is bounded.
    pub follow: bool,
    /// Topics end where they end when the run begins: they are bounded, as files are.
    pub until_end: bool,
    /// Warnings are errors.
    pub strict: bool,
}

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The app; `None` exactly when there is an error among the diagnostics or something in `cannot_run`.
    pub plan: Option<AppPlan>,
    /// Findings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// What is right and does not run in this version, as errors E0901 in the order of the text; see
    /// [`Compiled::as_warnings`].
    pub cannot_run: Vec<Diagnostic>,
    /// The plan of an app without errors that cannot run.
    pub blocked: Option<AppPlan>,
    /// Statements, as positions in the plan, that EXPLAIN stood in front of: to be shown, not run.
    pub explain: Vec<usize>,
    /// One of them was EXPLAIN VERBOSE.
    pub explain_verbose: bool,
    /// Expression nodes bound, which is what compiling costs.
    pub work: u64,
}

impl Compiled {
    /// What does not run, as those are told who only ask whether the text is right.
    pub fn as_warnings(&self) -> impl Iterator<Item = Diagnostic> + '_ {
        let warning = |d: &Diagnostic| Diagnostic { code: "W0901", severity: Severity::Warning, ..d.clone() };
        self.cannot_run.iter().map(warning)
    }
}

/// What a name of the app stands for.
enum Object<'a> {
    Declared(&'a Declare),
    /// Position of the statement in the script's list.
    Query(usize),
    /// Its statement has a mistake.
    Failed,
}

/// State while an app is bound.
struct Binder<'a> {
    options: &'a BindOptions,
    /// The script.
    text: &'a str,
    /// Metrics of statements that were not bound yet, by the statements' numbers.
    metrics: BTreeMap<usize, Vec<Metric>>,
    endpoints: &'a mut dyn Endpoints,
    catalog: &'a mut dyn Catalog,
    diagnostics: Vec<Diagnostic>,
    /// What is right and does not run yet.
    cannot_run: Vec<Diagnostic>,
    /// Findings beyond [`MAX_FINDINGS`].
    dropped: usize,
    settings: Vec<WithEntry>,
    objects: BTreeMap<String, Object<'a>>,
    outputs: BTreeMap<String, Output>,
    /// Properties of objects that queries make.
    created_with: BTreeMap<String, &'a [WithEntry]>,
    declared_sources: BTreeMap<String, Option<usize>>,
    /// Rows of INSERTs whose object is not bound yet, by its name.
    inserted: BTreeMap<String, Vec<Inserted<'a>>>,
    /// UPDATEs and DELETEs of tables that are not bound yet, by the table's name, with their numbers.
    amended: BTreeMap<String, Vec<(usize, &'a Change)>>,
    /// Statements of the plan in which these were bound, by the table's name.
    amends: BTreeMap<String, usize>,
    /// Objects of INSERTs that have a mistake.
    inserts_failed: BTreeSet<String>,
    graph: Graph,
    sinks: Vec<SinkPlan>,
    /// By statement.
    dlqs: Vec<DlqDraft>,
    statements: Vec<StatementPlan>,
    /// Position of the statement being bound.
    statement: usize,
    /// Its number in the text.
    number: usize,
    /// Expression nodes bound so far.
    work: u64,
    exhausted: bool,
    /// The limit of nodes was reported.
    overgrown: bool,
    /// The lowest `max.memory.mb`, in bytes.
    memory_limit: Option<u64>,
    /// Values for the columns of tables that are missing.
    defaults: Vec<fallback::Defaults>,
}

/// Compiles a script: parses, binds and plans it. Collects every mistake it can.
pub fn compile(
    text: &str,
    options: &BindOptions,
    endpoints: &mut dyn Endpoints,
    catalog: &mut dyn Catalog,
) -> Compiled {
    let Script { statements, failed_names, diagnostics, .. } = parse(text);
    let statements = unnest::unnest(insert::adopt(statements));
    let mut binder = Binder {
        options,
        text,
        metrics: metrics::of_statements(text, &statements, endpoints),
        endpoints,
        catalog,
        diagnostics: Vec::new(),
        cannot_run: Vec::new(),
        dropped: 0,
        settings: Vec::new(),
        objects: failed_names.into_iter().map(|name| (name, Object::Failed)).collect(),
        outputs: BTreeMap::new(),
        created_with: BTreeMap::new(),
        declared_sources: BTreeMap::new(),
        inserted: BTreeMap::new(),
        amended: BTreeMap::new(),
        amends: BTreeMap::new(),
        inserts_failed: BTreeSet::new(),
        graph: Graph::default(),
        sinks: Vec::new(),
        dlqs: Vec::new(),
        statements: Vec::new(),
        statement: 0,
        number: 0,
        work: 0,
        exhausted: false,
        overgrown: false,
        memory_limit: None,
        defaults: Vec::new(),
    };
    diagnostics.into_iter().for_each(|d| binder.report(d));
    let explained = binder.script(&statements);
    binder.finish(explained)
}

impl<'a> Binder<'a> {
    /// Binds all statements; answers which plan statements are explained, and whether verbosely.
    fn script(&mut self, statements: &'a [Statement]) -> (Vec<usize>, bool) {
        let skipped = self.collect(statements);
        let mut inserts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, statement) in statements.iter().enumerate() {
            if let Some(target) = written(statement) {
                inserts.entry(target).or_default().push(at);
            }
        }
        let reads: Vec<Vec<usize>> = statements.iter().map(|s| self.reads(s, &inserts)).collect();
        let mut readers = vec![0usize; statements.len()];
        reads.iter().flatten().for_each(|read| readers[*read] += 1);
        let sorted = order::sort(&reads);
        if let Some(cycle) = &sorted.cycle {
            self.cycle(cycle, statements);
        }
        let mut explained = (Vec::new(), false);
        for index in sorted.order {
            let statement = &statements[index];
            if skipped.contains(&index) {
                continue;
            }
            self.number = statement.number;
            let is_source = |d: &Declare| !matches!(self.objects.get(&d.name.name), Some(Object::Query(_)));
            match &statement.kind {
                StatementKind::Set(_) => continue,
                StatementKind::Declare(declare) if is_source(declare) => continue,
                _ => {}
            }
            if let Some(explain) = statement.explain {
                explained.0.push(self.statements.len());
                explained.1 |= explain.verbose;
            }
            self.bind_statement(statements, statement, readers[index] > 0);
        }
        self.number = 0;
        explained
    }

    fn bind_statement(&mut self, statements: &'a [Statement], statement: &'a Statement, has_readers: bool) {
        let (name, role, with, span) = match &statement.kind {
            StatementKind::Query(query) => (None, Role::Stream, &query.with, query.span),
            StatementKind::Create(create) => (Some(&create.name), create.role, &create.query.with, create.name.span),
            StatementKind::Declare(declare) => {
                let role = if declare.is_table { Role::Table } else { Role::Stream };
                (Some(&declare.name), role, &declare.with, declare.name.span)
            }
            StatementKind::Insert(insert) => {
                self.begin(format!("insert_{}", statement.number), false, statement.span);
                return self.insert(statements, statement, insert);
            }
            StatementKind::Change(change) => return self.change(statements, statement, change),
            StatementKind::Set(_) => return,
        };
        let shown = name.map_or_else(|| format!("query_{}", statement.number), |n| n.name.clone());
        let is_table = matches!(role, Role::Table | Role::Inline { retracts: true, .. });
        let is_inline = matches!(role, Role::Inline { .. });
        let is_bare = name.is_none() || matches!(role, Role::Inline { bare: true, .. });
        self.begin(shown.clone(), is_table, statement.span);
        self.limit_memory(with);
        let target = Target { name, is_table, is_inline, is_bare, has_readers, span };
        let output = match &statement.kind {
            StatementKind::Query(query) => self.query(query, &target),
            StatementKind::Create(create) => {
                self.created_with.insert(shown.clone(), &create.query.with);
                self.query(&create.query, &target)
            }
            StatementKind::Declare(declare) => self.declared_target(declare, &target),
            _ => None,
        };
        if name.is_none() {
            return;
        }
        match output {
            Some(output) => {
                self.outputs.insert(shown, output);
            }
            None => {
                self.objects.insert(shown, Object::Failed);
            }
        }
    }

    /// A statement of the plan; nodes added from now on are its.
    fn begin(&mut self, name: String, is_table: bool, span: Span) {
        self.statement = self.statements.len();
        self.dlqs.push(DlqDraft {
            name: name.clone(),
            path: None,
            topic: None,
            enabled: true,
            failure: Failure::DeadLetter,
            shared_with: None,
        });
        self.statements.push(StatementPlan { name, is_table, span });
    }

    /// Takes settings and objects; answers statements that IF NOT EXISTS or a duplicate name takes out.
    fn collect(&mut self, statements: &'a [Statement]) -> Vec<usize> {
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        let mut skipped = Vec::new();
        let written: BTreeSet<&str> = statements.iter().filter_map(written).collect();
        for (index, statement) in statements.iter().enumerate() {
            let (name, if_not_exists, object) = match &statement.kind {
                StatementKind::Set(entry) => {
                    self.number = statement.number;
                    self.limit_memory(std::slice::from_ref(entry));
                    self.settings.push(entry.clone());
                    continue;
                }
                StatementKind::Change(change) => {
                    let amended = self.amended.entry(change.target.name.clone()).or_default();
                    amended.push((statement.number, change));
                    continue;
                }
                StatementKind::Query(_) | StatementKind::Insert(_) => continue,
                StatementKind::Declare(d) if written.contains(d.name.name.as_str()) => {
                    (&d.name, d.if_not_exists, Object::Query(index))
                }
                StatementKind::Declare(d) => (&d.name, d.if_not_exists, Object::Declared(d)),
                StatementKind::Create(c) => (&c.name, c.if_not_exists, Object::Query(index)),
            };
            match places.get(name.name.as_str()) {
                None => {
                    self.number = statement.number;
                    self.doubt_name(&statement.kind, name);
                    places.insert(&name.name, name.span);
                    self.objects.insert(name.name.clone(), object);
                }
                Some(first) => {
                    skipped.push(index);
                    if !if_not_exists {
                        self.number = statement.number;
                        let message = format!("\"{}\" is created twice", name.name);
                        let diagnostic = Diagnostic::error("E0201", name.span, message).also(*first, "the first one");
                        self.report(diagnostic);
                    }
                }
            }
        }
        skipped
    }

    /// Warns of an object's name that has to be quoted everywhere. What unnesting named is nobody's choice.
    fn doubt_name(&mut self, kind: &StatementKind, name: &Ident) {
        let plain = |c: char| c.is_alphanumeric() || c == '_';
        let is_plain = name.name.chars().all(plain) && !name.name.starts_with(|c: char| c.is_ascii_digit());
        let is_nested = matches!(kind, StatementKind::Create(create) if matches!(create.role, Role::Inline { .. }));
        if is_plain || is_nested {
            return;
        }
        let mut better: String = name.name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        if better.starts_with(|c: char| c.is_ascii_digit()) {
            better.insert(0, '_');
        }
        let message = format!("the name \"{}\" has to be quoted wherever it stands", name.name);
        let detail = "names without quotes are letters, digits and _, and start with no digit";
        let diagnostic = Diagnostic::warning("W0205", name.span, message).detail(detail);
        self.report(diagnostic.hint(format!("call it {better}")));
    }

    /// The statements that create what `statement` reads, and the INSERTs into what it makes.
    fn reads<'s>(&self, statement: &'s Statement, inserts: &BTreeMap<&str, Vec<usize>>) -> Vec<usize> {
        let created = |name: &String| match self.objects.get(name) {
            Some(Object::Query(index)) => Some(*index),
            _ => None,
        };
        let made = |name: &Ident| inserts.get(name.name.as_str()).cloned().unwrap_or_default();
        let (query, mut reads) = match &statement.kind {
            StatementKind::Query(query) => (&**query, Vec::new()),
            StatementKind::Create(create) => (&create.query, made(&create.name)),
            StatementKind::Insert(insert) => match &insert.rows {
                InsertRows::Query(query) => (&**query, Vec::new()),
                InsertRows::Values(_) => return Vec::new(),
            },
            StatementKind::Declare(declare) => return made(&declare.name),
            StatementKind::Change(change) => return created(&change.target.name).into_iter().collect(),
            StatementKind::Set(_) => return Vec::new(),
        };
        let names = |relation: &'s Relation| {
            let own = relation.union.is_empty().then_some(&relation.name);
            own.into_iter().chain(&relation.union)
        };
        let relations = query.all_relations().into_iter().filter(|r| !r.is_location);
        reads.extend(relations.flat_map(names).filter_map(created));
        reads
    }

    fn cycle(&mut self, cycle: &[usize], statements: &[Statement]) {
        let named = |i: &usize| match &statements[*i].kind {
            StatementKind::Create(create) => Some(&create.name),
            StatementKind::Declare(declare) => Some(&declare.name),
            _ => None,
        };
        let inserts = cycle.iter().filter_map(|i| match &statements[*i].kind {
            StatementKind::Insert(insert) => Some(insert.target.span),
            _ => None,
        });
        let names: Vec<&Ident> = cycle.iter().filter_map(named).collect();
        let Some(first) = names.first() else { return };
        let chain: Vec<&str> = names.iter().chain([first]).map(|n| n.name.as_str()).collect();
        let message = format!("objects read each other in a circle: {}", chain.join(" reads "));
        let mut diagnostic = Diagnostic::error("E0202", first.span, message);
        for name in names.iter().skip(1).take(8) {
            diagnostic = diagnostic.also(name.span, "part of the circle");
        }
        for span in inserts.take(8) {
            diagnostic = diagnostic.also(span, "this INSERT is part of the circle");
        }
        self.report(diagnostic.hint("to read a source of the same name, give the object another name"));
    }

    /// Records a finding; the same one twice counts once.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        if diagnostic.statement.is_none() && self.number > 0 {
            diagnostic.statement = Some(self.number);
        }
        if self.options.strict {
            diagnostic.severity = Severity::Error;
        }
        if self.diagnostics.contains(&diagnostic) {
            return;
        }
        let is_first_error =
            diagnostic.severity == Severity::Error && self.diagnostics.iter().all(|d| d.severity == Severity::Warning);
        if self.is_full() && !is_first_error {
            self.dropped += 1;
            return;
        }
        self.diagnostics.push(diagnostic);
    }

    /// Records that `what` is right and does not run yet.
    fn not_yet(&mut self, span: Span, what: &str) {
        let message = format!("{what} is valid, and this version does not run it yet");
        let mut diagnostic = Diagnostic::error("E0901", span, message);
        diagnostic.statement = Some(self.number).filter(|n| *n > 0);
        if self.cannot_run.len() < MAX_FINDINGS && !self.cannot_run.contains(&diagnostic) {
            self.cannot_run.push(diagnostic);
        }
    }

    /// TRUE when findings are only counted any more.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_FINDINGS
    }

    fn statement_name(&self) -> String {
        self.statements.get(self.statement).map_or_else(String::new, |s| s.name.clone())
    }

    fn is_too_long(&mut self, span: Span) -> bool {
        let too_long = self.graph.nodes.len() > MAX_NODES;
        if too_long && !std::mem::replace(&mut self.overgrown, true) {
            let message = format!("the app has more than {MAX_NODES} plan nodes");
            self.report(Diagnostic::error("E0107", span, message).hint("split the script into several apps"));
        }
        too_long
    }

    fn finish(mut self, (explain, explain_verbose): (Vec<usize>, bool)) -> Compiled {
        self.refuse_kept_tables();
        self.idle_metrics();
        let failed = self.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let plan = (!failed).then(|| self.plan()).flatten();
        let failed = self.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let plan = plan.filter(|_| !failed);
        let mut diagnostics = self.diagnostics;
        if self.dropped > 0
            && let Some(last) = diagnostics.last_mut()
        {
            let more = format!("{} more findings are not shown", self.dropped);
            last.detail = Some(last.detail.take().map_or(more.clone(), |d| format!("{d}; {more}")));
        }
        // What is wrong elsewhere in its statement is not called right.
        let is_sound = |d: &Diagnostic| {
            let errors = diagnostics.iter().filter(|e| e.severity == Severity::Error);
            d.statement.is_none() || errors.into_iter().all(|e| e.statement != d.statement)
        };
        let mut cannot_run: Vec<Diagnostic> = self.cannot_run.into_iter().filter(is_sound).collect();
        for findings in [&mut diagnostics, &mut cannot_run] {
            findings.sort_by_key(|d| d.primary.as_ref().map(|p| p.span.start));
        }
        let (plan, blocked) = if cannot_run.is_empty() { (plan, None) } else { (None, plan) };
        Compiled { plan, diagnostics, cannot_run, blocked, explain, explain_verbose, work: self.work }
    }

    /// `None` after a mistake that only the whole plan shows.
    fn plan(&mut self) -> Option<AppPlan> {
        self.graph.finish();
        let bounded = top::plan(&mut self.graph.nodes);
        self.place_tables();
        let unbounded = |d: &Diagnostic| d.primary.as_ref().is_none_or(|p| !bounded.contains(&p.span));
        self.diagnostics.retain(|d| d.code != over::UNBOUNDED || unbounded(d));
        self.place_defaults();
        let (dlqs, edges) = self.number_edges();
        let graph = std::mem::take(&mut self.graph);
        let source = |mut source: graph::Source| {
            source.plan.load.bounded = source.bounded;
            source.plan
        };
        let mut plan = AppPlan {
            name: self.options.app_name.clone(),
            sources: graph.sources.into_iter().map(source).collect(),
            nodes: graph.nodes,
            sinks: std::mem::take(&mut self.sinks),
            dlqs,
            statements: std::mem::take(&mut self.statements),
            edges,
            memory_limit: self.memory_limit,
        };
        if plan.order_sources() {
            plan.keep_once();
            return Some(plan);
        }
        let message = "streams that ask tables of their own records make the plan longer than it can be numbered";
        let span = plan.statements.last().map_or_else(Span::default, |statement| statement.span);
        self.report(Diagnostic::error("E0107", span, message).hint("split the script into several apps"));
        None
    }
}

/// Name of the object that an INSERT writes.
fn written(statement: &Statement) -> Option<&str> {
    match &statement.kind {
        StatementKind::Insert(insert) => Some(insert.target.name.as_str()),
        _ => None,
    }
}
