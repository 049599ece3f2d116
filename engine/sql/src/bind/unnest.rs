//! Queries inside queries become statements of their own: WITH x AS (…), FROM (…), the branches of a UNION. The binder
//! then knows one relation a query only, and what is read twice is computed once.
//!
//! A nested query has no sink and takes the properties of its statement that are about sources. Its name is the one that
//! was written, numbered where an object or another nested query has the same.

use std::collections::{BTreeMap, BTreeSet};

use velostream_types::Span;

use super::aggregate::find_call;
use crate::endpoint::WithEntry;
use crate::parse::ast::{Create, Explain, Ident, InsertRows, Item, Query, Relation, Role, Statement, StatementKind};
use crate::props::keys::reaches_sources;

/// The statements, each behind the queries that are nested in it.
pub(super) fn unnest(statements: Vec<Statement>) -> Vec<Statement> {
    let created = |s: &Statement| match &s.kind {
        StatementKind::Create(c) => Some(c.name.name.clone()),
        StatementKind::Declare(d) => Some(d.name.name.clone()),
        _ => None,
    };
    let taken = statements.iter().filter_map(created).collect();
    let mut unnest = Unnest { taken, counts: BTreeMap::new(), out: Vec::with_capacity(statements.len()) };
    for mut statement in statements {
        let bare = match &statement.kind {
            StatementKind::Query(_) => true,
            StatementKind::Insert(insert) => insert.is_bare,
            _ => false,
        };
        let (number, explain) = (statement.number, statement.explain);
        if let Some(query) = query_of(&mut statement) {
            let with = query.with.iter().filter(|e| reaches_sources(&e.key)).cloned().collect();
            let place = Place { bare, with, number, explain };
            unnest.query(query, &place, &mut Vec::new());
        }
        unnest.out.push(statement);
    }
    mark_retracting(&mut unnest.out);
    unnest.out
}

fn query_of(statement: &mut Statement) -> Option<&mut Query> {
    match &mut statement.kind {
        StatementKind::Query(query) => Some(query),
        StatementKind::Create(create) => Some(&mut create.query),
        StatementKind::Insert(insert) => match &mut insert.rows {
            InsertRows::Query(query) => Some(query),
            InsertRows::Values(_) => None,
        },
        StatementKind::Declare(_) | StatementKind::Set(_) | StatementKind::Change(_) => None,
    }
}

/// The statement that queries are nested in.
struct Place {
    bare: bool,
    with: Vec<WithEntry>,
    number: usize,
    explain: Option<Explain>,
}

struct Unnest {
    /// Names that are in use.
    taken: BTreeSet<String>,
    /// How often a name was numbered.
    counts: BTreeMap<String, usize>,
    out: Vec<Statement>,
}

/// Names that stand for nested queries here, innermost last: as written, and the statement's.
type Names = Vec<(String, String)>;

impl Unnest {
    /// Takes the nested queries out of `query`.
    fn query(&mut self, query: &mut Query, place: &Place, names: &mut Names) {
        let outer = names.len();
        for cte in std::mem::take(&mut query.ctes) {
            let written = cte.name.name.clone();
            let own = self.add(cte.name, cte.query, place, names);
            names.push((written, own));
        }
        if !query.union.is_empty() {
            self.union(query, place, names);
        }
        for relation in query.from.iter_mut().chain(query.joins.iter_mut().map(|join| &mut join.relation)) {
            self.relation(relation, place, names);
        }
        query.each_subquery_mut(&mut |sub| {
            sub.with.extend(place.with.iter().cloned());
            self.query(sub, place, names);
        });
        names.truncate(outer);
    }

    fn relation(&mut self, relation: &mut Relation, place: &Place, names: &mut Names) {
        if let Some(nested) = relation.query.take() {
            let name = match &relation.alias {
                Some(alias) => alias.clone(),
                None => Ident { name: "subquery".to_owned(), span: relation.span },
            };
            relation.name = self.add(name, *nested, place, names);
        } else if !relation.is_location
            && let Some((written, own)) = names.iter().rev().find(|(written, _)| *written == relation.name)
            && written != own
        {
            relation.alias.get_or_insert_with(|| Ident { name: written.clone(), span: relation.span });
            relation.name = own.clone();
        }
    }

    /// `a UNION ALL b` reads both; `UNION` also makes rows distinct, as far as it reaches to the left. What ends the last
    /// branch belongs to the whole.
    fn union(&mut self, query: &mut Query, place: &Place, names: &mut Names) {
        let branches = std::mem::take(&mut query.union);
        let span = query.span;
        let mut first = std::mem::replace(query, star(span));
        first.ctes.clear();
        let mut parts = vec![self.add(branch_name(span), first, place, names)];
        let count = branches.len();
        for (i, mut branch) in branches.into_iter().enumerate() {
            if i + 1 == count {
                query.emit = branch.query.emit.take();
                query.into = branch.query.into.take();
                query.with = std::mem::take(&mut branch.query.with);
                query.limit = branch.query.limit.take();
                query.order_by = std::mem::take(&mut branch.query.order_by);
            }
            parts.push(self.add(branch_name(branch.span), branch.query, place, names));
            if branch.all {
                continue;
            }
            let mut distinct = star(branch.span);
            distinct.distinct = Some(branch.span);
            distinct.from = Some(merged(std::mem::take(&mut parts), branch.span));
            if i + 1 == count {
                query.distinct = distinct.distinct;
                query.from = distinct.from;
                return;
            }
            parts.push(self.add(branch_name(branch.span), distinct, place, names));
        }
        query.from = Some(merged(parts, span));
    }

    /// Adds a nested query as a statement; answers its name.
    fn add(&mut self, name: Ident, mut query: Query, place: &Place, names: &mut Names) -> String {
        query.with.extend(place.with.iter().cloned());
        self.query(&mut query, place, names);
        let count = self.counts.entry(name.name.clone()).or_insert(0);
        let mut own = name.name.clone();
        while !self.taken.insert(own.clone()) {
            *count += 1;
            own = format!("{}_{}", name.name, *count + 1);
        }
        let span = query.span;
        let name = Ident { name: own.clone(), span: name.span };
        let role = Role::Inline { bare: place.bare, retracts: false };
        let kind = StatementKind::Create(Box::new(Create { name, role, if_not_exists: false, query }));
        self.out.push(Statement { kind, span, number: place.number, explain: place.explain });
        own
    }
}

fn branch_name(span: Span) -> Ident {
    Ident { name: "branch".to_owned(), span }
}

/// `SELECT *`
fn star(span: Span) -> Query {
    Query::of(vec![Item::Star(span)], span)
}

/// The relation of all rows of these.
fn merged(union: Vec<String>, span: Span) -> Relation {
    Relation {
        name: "union".to_owned(),
        is_location: false,
        span,
        alias: None,
        with: Vec::new(),
        query: None,
        union,
        version: None,
    }
}

/// A nested query whose rows are grouped, or kept as a table, has to give changes as changes.
fn mark_retracting(statements: &mut [Statement]) {
    let mut places = BTreeMap::new();
    for (i, statement) in statements.iter().enumerate() {
        if let StatementKind::Create(create) = &statement.kind
            && matches!(create.role, Role::Inline { .. })
        {
            places.insert(create.name.name.clone(), i);
        }
    }
    let tables: BTreeSet<String> = statements.iter().filter_map(table_name).collect();
    let mut work: Vec<usize> = (0..statements.len()).filter(|i| folds(&statements[*i], &tables)).collect();
    for i in 0..statements.len() {
        let Some(query) = query_of(&mut statements[i]) else { continue };
        // What a subquery keeps changes with what it reads.
        let kept = query.subqueries().into_iter().flat_map(|sub| sub.query.all_relations());
        let read = places_of(kept, &places);
        mark(statements, read, &mut work);
    }
    while let Some(reader) = work.pop() {
        let Some(query) = query_of(&mut statements[reader]) else { continue };
        let read = places_of(query.relations(), &places);
        mark(statements, read, &mut work);
    }
}

/// The nested queries among these relations.
fn places_of<'r>(relations: impl Iterator<Item = &'r Relation>, places: &BTreeMap<String, usize>) -> Vec<usize> {
    relations.flat_map(|r| r.union.iter().chain([&r.name])).filter_map(|name| places.get(name).copied()).collect()
}

/// Makes nested queries give changes; those that did not yet have to look at what they read themselves.
fn mark(statements: &mut [Statement], read: Vec<usize>, work: &mut Vec<usize>) {
    for i in read {
        if let StatementKind::Create(create) = &mut statements[i].kind
            && let Role::Inline { retracts, .. } = &mut create.role
            && !std::mem::replace(retracts, true)
        {
            work.push(i);
        }
    }
}

/// Name of the TABLE that the statement makes.
fn table_name(statement: &Statement) -> Option<String> {
    match &statement.kind {
        StatementKind::Create(create) if create.role == Role::Table => Some(create.name.name.clone()),
        StatementKind::Declare(declare) if declare.is_table => Some(declare.name.name.clone()),
        _ => None,
    }
}

/// TRUE when the statement groups what it reads, or is a table of it, or goes into one of `tables`.
fn folds(statement: &Statement, tables: &BTreeSet<String>) -> bool {
    let (query, is_table) = match &statement.kind {
        StatementKind::Query(query) => (&**query, false),
        StatementKind::Create(create) => (&create.query, create.role == Role::Table),
        StatementKind::Insert(insert) => match &insert.rows {
            InsertRows::Query(query) => (&**query, tables.contains(&insert.target.name)),
            InsertRows::Values(_) => return false,
        },
        StatementKind::Declare(_) | StatementKind::Set(_) | StatementKind::Change(_) => return false,
    };
    let aggregates = query.items.iter().any(|item| match item {
        Item::Expr { expr, .. } => find_call(expr).is_some(),
        Item::Star(_) | Item::QualifiedStar { .. } => false,
    });
    // What is joined is a table when it changes.
    let joins = query.joins.iter().any(|join| !join.is_of_elements());
    joins || is_table || aggregates || !query.group_by.is_empty() || query.window.is_some() || query.distinct.is_some()
}
