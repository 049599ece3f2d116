//! What names mean: the relation a query reads, its columns, aliases, system columns and window bounds.

use std::collections::BTreeMap;

use velostream_types::{DataType, Field, SchemaRef, Span};

use super::Binder;
use super::aggregate::Grouped;
use super::joined::Joined;
use super::over::PendingOver;
use super::subquery::{Around, PendingSubquery};
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
    /// What it is to a join.
    pub kind: RelKind,
    /// The relations it was joined of.
    pub joined: Option<Box<Joined>>,
}

/// What a relation is to a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelKind {
    Stream,
    Table,
    /// A file that nobody declared and that ends: a table where it is joined, else a stream.
    File,
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
            kind: RelKind::Stream,
            joined: None,
        }
    }

    /// A relation about which everything was said already.
    pub fn poisoned(name: &str) -> Rel {
        Rel { poisoned: true, ..Rel::new(name, 0, SchemaRef::default()) }
    }

    /// TRUE when `qualifier.x` means this relation; `folded`: whatever the case.
    pub fn answers(&self, qualifier: &str, folded: bool) -> bool {
        let is = |own: &str| if folded { own.eq_ignore_ascii_case(qualifier) } else { own == qualifier };
        match &self.alias {
            Some(alias) => is(alias),
            None => is(&self.name) || is(self.stem()),
        }
    }

    /// TRUE when `qualifier.x` means this relation or one that was joined to it; `folded`: whatever the case.
    pub fn answers_to(&self, qualifier: &str, folded: bool) -> bool {
        match &self.joined {
            Some(joined) => joined.part(qualifier, folded).is_some(),
            None => self.answers(qualifier, folded),
        }
    }

    /// [`Rel::answers_to`], to keep.
    pub fn names_it(&self) -> Box<dyn Fn(&str) -> bool> {
        let own = |rel: &Rel| match &rel.alias {
            Some(alias) => vec![alias.clone()],
            None => vec![rel.name.clone(), rel.stem().to_owned()],
        };
        let names: Vec<String> = match &self.joined {
            Some(joined) => joined.parts.iter().flat_map(|part| own(&part.rel)).collect(),
            None => own(self),
        };
        Box::new(move |qualifier| names.iter().any(|name| name == qualifier))
    }

    /// TRUE when it has a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The relation's name, of a path its file's.
    fn stem(&self) -> &str {
        self.name.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or_default()
    }

    /// What the query calls it.
    pub fn shown(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// What stands before the dot, or before `_` in the name of a column that two relations have.
    pub fn short(&self) -> &str {
        self.alias.as_deref().unwrap_or(self.stem())
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
    /// Calls with OVER found so far; their results are placeholders in the expressions.
    pub overs: Vec<PendingOver>,
    /// Subqueries found so far; their values are placeholders in the expressions.
    pub subqueries: Vec<PendingSubquery<'q>>,
    /// What WHERE asks of the values of subqueries.
    pub late: Option<Expr>,
    /// The query around a subquery.
    pub around: Option<Box<Around<'q>>>,
    /// Relations are named in any case: they are asked for from inside a subquery.
    pub folded: bool,
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
            overs: Vec::new(),
            subqueries: Vec::new(),
            late: None,
            around: None,
            folded: false,
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
    /// A system column of one of the joined relations.
    OfPart(usize, System),
    /// A column of USING, by its places.
    Merged(Vec<usize>),
}

/// Why a name means nothing.
pub(super) enum Fault {
    /// It was said already, or belongs to what was.
    Silent,
    /// No relation answers to what stands before the dot.
    Qualifier,
    /// These relations have it.
    Ambiguous(Vec<String>),
    /// No relation has it; TRUE: it is a bound of a window, and there is none.
    Unknown(bool),
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
        match self.seek(qualifier, name, scope) {
            Ok(named) => Some(named),
            Err(fault) => {
                self.tell(fault, qualifier, name, scope);
                None
            }
        }
    }

    /// Reports what [`Binder::seek`] found wrong.
    pub(super) fn tell(&mut self, fault: Fault, qualifier: Option<&Ident>, name: &Ident, scope: &Scope<'_>) {
        match (fault, qualifier) {
            (Fault::Silent, _) => {}
            (Fault::Qualifier, Some(qualifier)) => self.bad_qualifier(qualifier, scope),
            (Fault::Ambiguous(of), _) => self.ambiguous(name, &of, scope),
            (Fault::Qualifier, None) => self.unknown_column(qualifier, name, scope, false),
            (Fault::Unknown(is_bound), _) => self.unknown_column(qualifier, name, scope, is_bound),
        }
    }

    /// What `name` means in this scope.
    pub(super) fn seek<'q>(
        &mut self,
        qualifier: Option<&Ident>,
        name: &Ident,
        scope: &Scope<'q>,
    ) -> Result<Named<'q>, Fault> {
        let (rel, folded) = (&scope.rel, scope.folded);
        let mut part = None;
        if let Some(qualifier) = qualifier.filter(|_| !rel.poisoned) {
            part = rel.joined.as_ref().and_then(|joined| joined.part(&qualifier.name, folded));
            if part.is_none() && (rel.joined.is_some() || !rel.answers(&qualifier.name, folded)) {
                return Err(Fault::Qualifier);
            }
        }
        if let Some(system) = system_column(&name.name) {
            if rel.names.contains_key(&name.name) {
                let message = format!("column \"{}\" is hidden by the system column of that name", name.name);
                self.report(Diagnostic::warning("W0202", name.span, message).hint("rename the column in its source"));
            }
            return Ok(part.map_or(Named::System(system), |part| Named::OfPart(part, system)));
        }
        let windowed = scope.grouped.as_ref().is_some_and(|g| g.window.is_some())
            || rel.joined.as_ref().is_some_and(|joined| joined.windowed);
        let bound = window_bound(&name.name).filter(|_| qualifier.is_none() || name.name.starts_with('_'));
        if let Some(start) = bound.filter(|_| windowed && name.name.starts_with('_')) {
            return Ok(Named::Bound(start));
        }
        if let Some(found) = rel.column(part, &name.name)? {
            return Ok(found);
        }
        if let Some(start) = bound.filter(|_| windowed) {
            return Ok(Named::Bound(start));
        }
        if qualifier.is_none()
            && let Some(&(item, expr)) = scope.aliases.get(name.name.as_str())
            && item < scope.visible
        {
            return Ok(Named::Alias(item, expr));
        }
        if rel.poisoned {
            return Err(Fault::Silent);
        }
        if rel.source.is_some_and(|s| self.graph.sources[s].open) && bound.is_none() {
            return Ok(Named::Open);
        }
        Err(Fault::Unknown(bound.is_some()))
    }

    fn ambiguous(&mut self, name: &Ident, of: &[String], scope: &Scope<'_>) {
        let message = format!("column \"{}\" in {} is ambiguous", name.name, scope.clause);
        let hint: Vec<String> = of.iter().map(|rel| format!("{rel}.{}", name.name)).collect();
        let diagnostic = Diagnostic::error("E0209", name.span, message);
        let diagnostic = diagnostic.detail(format!("{} have a column of that name", of.join(" and ")));
        self.report(diagnostic.hint(format!("write {}", hint.join(" or "))));
    }

    pub(super) fn bad_qualifier(&mut self, qualifier: &Ident, scope: &Scope<'_>) {
        let known = |rel: &Rel| {
            let names = rel.joined.as_ref().map_or_else(|| vec![rel.shown()], |joined| joined.names());
            names.join("\" and \"")
        };
        let message = format!("relation \"{}\" does not exist in this query", qualifier.name);
        let mut detail = format!("the query reads \"{}\"", known(&scope.rel));
        if let Some(around) = &scope.around {
            detail = format!(
                "the subquery reads \"{}\", the query around it \"{}\"",
                known(&scope.rel),
                known(&around.scope.rel)
            );
        }
        self.report(Diagnostic::error("E0204", qualifier.span, message).detail(detail));
    }

    fn unknown_column(&mut self, qualifier: Option<&Ident>, name: &Ident, scope: &Scope<'_>, is_bound: bool) {
        if self.is_full() {
            return;
        }
        if is_bound && name.name.starts_with('_') {
            let message = format!("{} exists in windowed queries only", name.name.to_lowercase());
            let hint = "add WINDOW TUMBLING(size)";
            return self.report(Diagnostic::error("E0405", name.span, message).hint(hint));
        }
        let message = format!("column \"{}\" in {} does not exist", name.name, scope.clause);
        let joined = scope.rel.joined.as_ref();
        let part = qualifier.and_then(|q| joined.and_then(|joined| Some(&joined.parts[joined.part(&q.name, true)?])));
        let rel = part.map_or(&scope.rel, |part| &part.rel);
        let outer = scope.around.as_ref().filter(|_| qualifier.is_none()).map(|around| &around.scope.rel);
        let detail = [rel].into_iter().chain(outer).map(available).collect::<Vec<_>>().join("; ");
        let mut diagnostic = Diagnostic::error("E0203", name.span, message).detail(detail);
        let names = rel.names.keys().chain(outer.iter().flat_map(|rel| rel.names.keys())).map(String::as_str);
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
        if let Some(joined) = &rel.joined {
            return self.joined_column(joined, index, span);
        }
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
            Named::OfPart(part, system) => {
                let joined = rel.joined.as_ref()?;
                Some(match system {
                    System::Key => self.part_key(joined, *part, span),
                    System::Topic => self.topic_name(&joined.parts[*part].rel, span),
                    System::Meta(system) => self.part_system(joined, *part, *system, span),
                })
            }
            Named::Merged(places) => self.merged_column(rel.joined.as_ref()?, places, &name.name, span),
            Named::Bound(start) => self.joined_bound(rel.joined.as_ref()?, *start, span),
            Named::Alias(..) => None,
        }
    }
}

impl Rel {
    /// The column of this name, of all parts or one; `None` without one.
    fn column<'q>(&self, part: Option<usize>, name: &str) -> Result<Option<Named<'q>>, Fault> {
        let Some(joined) = &self.joined else { return Ok(self.names.get(name).map(|at| Named::Column(*at))) };
        if let Some(part) = part {
            let part = &joined.parts[part];
            return Ok(part.rel.names.get(name).map(|at| Named::Column(part.first + at)));
        }
        if let Some(places) = joined.merged.get(name) {
            return Ok(Some(Named::Merged(places.clone())));
        }
        match joined.places.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([only]) => Ok(Some(Named::Column(*only))),
            Some(several) => {
                let part = |place: &usize| joined.parts[joined.part_of(*place)].rel.short().to_owned();
                Err(Fault::Ambiguous(several.iter().map(part).collect()))
            }
        }
    }
}

/// Up to 20 column names, sorted.
pub(super) fn available(rel: &Rel) -> String {
    if let Some(joined) = &rel.joined {
        return joined.parts.iter().map(|part| available(&part.rel)).collect::<Vec<_>>().join("; ");
    }
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
