//! What names mean: the relation a query reads, its columns, aliases, system columns and window bounds.

use std::collections::BTreeMap;

use velostream_types::{DataType, Field, SchemaRef, Span};

use super::Binder;
use super::aggregate::Grouped;
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{Expr, ExprKind, Repr, SystemColumn};
use crate::suggest;

/// A relation in FROM.
pub(super) struct Rel {
    /// As written.
    pub name: String,
    pub alias: Option<String>,
    /// Node that gives its rows.
    pub node: usize,
    pub schema: SchemaRef,
    /// First column of each name.
    names: BTreeMap<String, usize>,
    /// The source when columns are those of a source's schema rather than of `node`.
    pub source: Option<usize>,
    /// The sources its rows stem from in the end.
    pub roots: Vec<usize>,
    /// Rows still are records of `roots`.
    pub raw: bool,
    /// Rows come in the order of a FINAL aggregate.
    pub ordered: bool,
    pub changelog: bool,
    /// Topic it is written to, where it is an object of the app.
    pub topic: Option<String>,
    /// It could not be resolved and that was reported: its columns are no news.
    pub poisoned: bool,
}

impl Rel {
    /// A relation of these columns at `node`; the rest is for the caller to set.
    pub fn new(name: &str, node: usize, schema: SchemaRef) -> Rel {
        let mut names = BTreeMap::new();
        for (i, field) in schema.fields.iter().enumerate() {
            names.entry(field.name.clone()).or_insert(i);
        }
        Rel {
            name: name.to_owned(),
            alias: None,
            node,
            schema,
            names,
            source: None,
            roots: Vec::new(),
            raw: false,
            ordered: false,
            changelog: false,
            topic: None,
            poisoned: false,
        }
    }

    /// A relation about which everything was said already.
    pub fn poisoned(name: &str) -> Rel {
        Rel { poisoned: true, ..Rel::new(name, 0, SchemaRef::default()) }
    }

    /// TRUE when `qualifier.x` means this relation.
    pub fn answers_to(&self, qualifier: &str) -> bool {
        is_name_of(&self.name, self.alias.as_deref(), qualifier)
    }

    /// [`Rel::answers_to`], to keep.
    pub fn names_it(&self) -> Box<dyn Fn(&str) -> bool> {
        let (name, alias) = (self.name.clone(), self.alias.clone());
        Box::new(move |qualifier| is_name_of(&name, alias.as_deref(), qualifier))
    }

    /// TRUE when it has a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

fn is_name_of(name: &str, alias: Option<&str>, qualifier: &str) -> bool {
    let stem = || name.rsplit('/').next().and_then(|file| file.split('.').next());
    match alias {
        Some(alias) => alias == qualifier,
        None => name == qualifier || stem() == Some(qualifier),
    }
}

/// Names visible to an expression and where it stands.
pub(super) struct Scope<'q> {
    pub rel: Rel,
    /// Clause for messages.
    pub clause: &'static str,
    /// Select aliases and their items, by position.
    pub aliases: BTreeMap<&'q str, (usize, &'q ast::Expr)>,
    /// Aliases of items before this one are visible.
    pub visible: usize,
    /// Expressions are over the groups of an aggregate.
    pub grouped: Option<Box<Grouped<'q>>>,
    /// Name of the aggregate whose argument is being bound.
    pub inside: Option<&'static str>,
    /// Levels of expression above.
    pub depth: u16,
    /// Levels of aliases being expanded.
    pub aliased: u16,
}

impl<'q> Scope<'q> {
    pub fn new(rel: Rel) -> Scope<'q> {
        Scope {
            rel,
            clause: "",
            aliases: BTreeMap::new(),
            visible: 0,
            grouped: None,
            inside: None,
            depth: 0,
            aliased: 0,
        }
    }
}

/// What a name turned out to be.
pub(super) enum Named<'q> {
    /// Column of the relation.
    Column(usize),
    /// A name of a source of which no column is known.
    Open,
    System(System),
    /// Start (TRUE) or end of the window.
    Bound(bool),
    /// An earlier select item.
    Alias(usize, &'q ast::Expr),
}

/// What a system column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    /// Metadata of the row.
    Meta(SystemColumn),
    /// `_key`
    Key,
    /// `_topic`
    Topic,
}

/// System columns by lower-case name.
pub(super) fn system_column(name: &str) -> Option<System> {
    if !name.starts_with('_') {
        return None;
    }
    Some(System::Meta(match name.to_ascii_lowercase().as_str() {
        "_timestamp" => SystemColumn::Timestamp,
        "_event_time" => SystemColumn::EventTime,
        "_event_time_ns" => SystemColumn::EventTimeNs,
        "_offset" => SystemColumn::Offset,
        "_partition" => SystemColumn::Partition,
        "_key" => return Some(System::Key),
        "_topic" => return Some(System::Topic),
        _ => return None,
    }))
}

/// `_window_start` and friends: TRUE for the start.
pub(super) fn window_bound(name: &str) -> Option<bool> {
    match name.to_ascii_lowercase().as_str() {
        "_window_start" | "window_start" => Some(true),
        "_window_end" | "window_end" => Some(false),
        _ => None,
    }
}

impl Binder<'_> {
    /// Finds what `name` means; `None` when it means nothing, which is reported.
    pub(super) fn resolve<'q>(
        &mut self,
        qualifier: Option<&Ident>,
        name: &Ident,
        scope: &Scope<'q>,
    ) -> Option<Named<'q>> {
        let rel = &scope.rel;
        if let Some(qualifier) = qualifier
            && !rel.answers_to(&qualifier.name)
            && !rel.poisoned
        {
            self.bad_qualifier(qualifier, rel);
            return None;
        }
        if let Some(system) = system_column(&name.name) {
            if rel.names.contains_key(&name.name) {
                let message = format!("column \"{}\" is hidden by the system column of that name", name.name);
                self.report(Diagnostic::warning("W0202", name.span, message).hint("rename the column in its source"));
            }
            return Some(Named::System(system));
        }
        let windowed = scope.grouped.as_ref().is_some_and(|g| g.window.is_some());
        let bound = window_bound(&name.name).filter(|_| qualifier.is_none() || name.name.starts_with('_'));
        if let Some(start) = bound.filter(|_| windowed && name.name.starts_with('_')) {
            return Some(Named::Bound(start));
        }
        if let Some(&column) = rel.names.get(&name.name) {
            return Some(Named::Column(column));
        }
        if let Some(start) = bound.filter(|_| windowed) {
            return Some(Named::Bound(start));
        }
        if qualifier.is_none()
            && let Some(&(item, expr)) = scope.aliases.get(name.name.as_str())
            && item < scope.visible
        {
            return Some(Named::Alias(item, expr));
        }
        if rel.poisoned {
            return None;
        }
        if rel.source.is_some_and(|s| self.graph.sources[s].open) && bound.is_none() {
            return Some(Named::Open);
        }
        self.unknown_column(name, scope, bound.is_some());
        None
    }

    fn bad_qualifier(&mut self, qualifier: &Ident, rel: &Rel) {
        let known = rel.alias.as_deref().unwrap_or(&rel.name);
        let message = format!("relation \"{}\" does not exist in this query", qualifier.name);
        let detail = format!("the query reads \"{known}\"");
        self.report(Diagnostic::error("E0204", qualifier.span, message).detail(detail));
    }

    fn unknown_column(&mut self, name: &Ident, scope: &Scope<'_>, is_bound: bool) {
        if self.is_full() {
            return;
        }
        if is_bound && name.name.starts_with('_') {
            let message = format!("{} exists in windowed queries only", name.name.to_lowercase());
            let hint = "add WINDOW TUMBLING(size)";
            return self.report(Diagnostic::error("E0405", name.span, message).hint(hint));
        }
        let message = format!("column \"{}\" in {} does not exist", name.name, scope.clause);
        let mut diagnostic = Diagnostic::error("E0203", name.span, message).detail(available(&scope.rel));
        let names = scope.rel.names.keys().map(String::as_str);
        if let Some(near) = suggest::closest(&name.name, names.chain(scope.aliases.keys().copied())) {
            diagnostic = diagnostic.hint(if scope.aliases.get(near).is_some_and(|a| a.0 >= scope.visible) {
                format!("the alias \"{near}\" is not visible here")
            } else {
                format!("did you mean \"{near}\"?")
            });
        }
        self.report(diagnostic);
    }

    /// The relation's column `index` as an expression over its node.
    pub(super) fn rel_column(&mut self, rel: &Rel, index: usize, span: Span) -> Expr {
        let data_type = rel.schema.fields[index].data_type.clone();
        let position = rel.source.map_or(index, |source| self.graph.scan_column(source, index, Repr::Value));
        Expr { kind: ExprKind::Column(position), data_type, span }
    }

    /// What a resolved name is as a row expression; aliases are for the caller.
    pub(super) fn named_row(&mut self, named: &Named<'_>, name: &Ident, span: Span, rel: &Rel) -> Option<Expr> {
        match named {
            Named::Column(index) => Some(self.rel_column(rel, *index, span)),
            Named::Open => {
                let source = rel.source?;
                let position = self.graph.extra_column(source, &name.name, DataType::Null);
                Some(Expr { kind: ExprKind::Column(position), data_type: DataType::Null, span })
            }
            Named::System(System::Key) => Some(self.key_text(rel, span)),
            Named::System(System::Topic) => Some(self.topic_name(rel, span)),
            Named::System(System::Meta(system)) => {
                if matches!(system, SystemColumn::EventTime | SystemColumn::EventTimeNs) {
                    self.wants_event_time(rel);
                }
                Some(Expr { kind: ExprKind::System(*system), data_type: DataType::Integer, span })
            }
            Named::Bound(_) | Named::Alias(..) => None,
        }
    }
}

/// Up to 20 column names, sorted.
pub(super) fn available(rel: &Rel) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = rel.names.keys().take(SHOWN).map(String::as_str).collect();
    let more = rel.names.len().saturating_sub(SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    match names.is_empty() {
        true => format!("{} has no columns", rel.name),
        false => format!("{} has the columns {}{tail}", rel.name, names.join(", ")),
    }
}

/// Field of an output column.
pub(super) fn field_like(name: String, data_type: DataType, like: Option<&Field>) -> Field {
    Field { name, data_type, nullable: like.is_none_or(|f| f.nullable), inferred: like.is_some_and(|f| f.inferred) }
}
