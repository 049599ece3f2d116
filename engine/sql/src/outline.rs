//! What an app's text holds, statement by statement, without binding it: names, kinds, places, who reads whom.
//!
//! For tools that run a part of an app: [`only`] blanks out the other statements, so that places in what is left are those
//! of the whole text. Statements with a mistake are missing; compiling the text tells of them.

use velostream_types::Span;

use crate::endpoint::WithEntry;
use crate::parse::ast::{InsertRows, Query, Role, Statement, StatementKind};
use crate::parse::parse;

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlineKind {
    /// A bare SELECT.
    Query,
    /// CREATE STREAM … AS SELECT.
    Stream,
    /// CREATE TABLE … AS SELECT.
    Table,
    /// CREATE VIEW: read by others, written nowhere.
    View,
    /// CREATE STREAM or TABLE with columns.
    Declaration,
    /// SET key = value.
    Set,
    /// INSERT, UPDATE and DELETE: of the object that `name` tells.
    Change,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What it makes, declares or changes; `query_N` for a bare SELECT, none for SET.
    pub name: Option<String>,
    /// What it does.
    pub kind: OutlineKind,
    /// The whole statement, without its `;`.
    pub span: Span,
    /// 1-based position in the text.
    pub number: usize,
    /// Names that stand in its FROM and JOIN clauses, those of subqueries included; names of its own WITH clause, too.
    pub reads: Vec<String>,
    /// Its properties.
    pub with: Vec<WithEntry>,
}

impl Outline {
    /// TRUE for statements that run as a job.
    pub fn is_query(&self) -> bool {
        matches!(self.kind, OutlineKind::Query | OutlineKind::Stream | OutlineKind::Table)
    }
}

/// The statements of a text, in its order.
pub fn outline(text: &str) -> Vec<Outline> {
    parse(text).statements.iter().map(outline_of).collect()
}

fn outline_of(statement: &Statement) -> Outline {
    let (name, kind, reads, with) = match &statement.kind {
        StatementKind::Query(query) => {
            (Some(format!("query_{}", statement.number)), OutlineKind::Query, reads(query), query.with.clone())
        }
        StatementKind::Create(create) => {
            let kind = match create.role {
                Role::Stream => OutlineKind::Stream,
                Role::Table => OutlineKind::Table,
                Role::Inline { .. } => OutlineKind::View,
            };
            (Some(create.name.name.clone()), kind, reads(&create.query), create.query.with.clone())
        }
        StatementKind::Declare(declare) => {
            (Some(declare.name.name.clone()), OutlineKind::Declaration, Vec::new(), declare.with.clone())
        }
        StatementKind::Set(entry) => (None, OutlineKind::Set, Vec::new(), vec![entry.clone()]),
        StatementKind::Insert(insert) => {
            let (reads, with) = match &insert.rows {
                InsertRows::Query(query) => (reads(query), query.with.clone()),
                InsertRows::Values(_) => Default::default(),
            };
            (Some(insert.target.name.clone()), OutlineKind::Change, reads, with)
        }
        StatementKind::Change(change) => {
            (Some(change.target.name.clone()), OutlineKind::Change, Vec::new(), Vec::new())
        }
    };
    Outline { name, kind, span: statement.span, number: statement.number, reads, with }
}

fn reads(query: &Query) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut open = vec![query];
    while let Some(query) = open.pop() {
        open.extend(query.ctes.iter().map(|cte| &cte.query));
        open.extend(query.union.iter().map(|branch| &branch.query));
        for relation in query.all_relations() {
            open.extend(relation.query.as_deref());
            let is_name = !relation.is_location && relation.query.is_none();
            names.extend(is_name.then(|| relation.name.clone()));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The text with the statements that `keep` leaves out turned into blanks, the comments right above them, too: an
/// annotation belongs to the statement below it.
pub fn only(text: &str, keep: &dyn Fn(&Outline) -> bool) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for dropped in outline(text).iter().filter(|outline| !keep(outline)) {
        let start = comments_above(text, dropped.span.start as usize);
        for byte in &mut bytes[start..dropped.span.end as usize] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    // Whole characters were replaced, byte by byte.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the comment lines begin that stand right above a place; the place itself without any.
fn comments_above(text: &str, place: usize) -> usize {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = line_start(place);
    if !text[start..place].trim().is_empty() {
        return place;
    }
    while start > 0 {
        let above = line_start(start - 1);
        if !text[above..start].trim_start().starts_with("--") {
            break;
        }
        start = above;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "\
-- @app: é
SET 'a.b' = 'c';

CREATE STREAM src (id INT) WITH ('path' = 'src.csv');
-- @metric: one
-- of the first
CREATE STREAM one AS SELECT id FROM src WHERE id IN (SELECT id FROM allowed) WITH ('one.path' = 'é.csv');
CREATE TABLE two AS WITH x AS (SELECT id FROM one) SELECT id, COUNT(*) FROM x JOIN (SELECT id FROM more) m ON x.id = m.id GROUP BY id;
INSERT INTO two SELECT id, 0 FROM one;
SELECT * FROM two UNION ALL SELECT * FROM three;
";

    #[test]
    fn statements_are_told_with_what_they_read() {
        let found: Vec<(Option<String>, OutlineKind, Vec<String>)> =
            outline(APP).into_iter().map(|o| (o.name, o.kind, o.reads)).collect();
        let row = |name: Option<&str>, kind, reads: &[&str]| {
            (name.map(str::to_owned), kind, reads.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>())
        };
        let wanted = [
            row(None, OutlineKind::Set, &[]),
            row(Some("src"), OutlineKind::Declaration, &[]),
            row(Some("one"), OutlineKind::Stream, &["allowed", "src"]),
            row(Some("two"), OutlineKind::Table, &["more", "one", "x"]),
            row(Some("two"), OutlineKind::Change, &["one"]),
            row(Some("query_6"), OutlineKind::Query, &["three", "two"]),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_left_stands_where_it_stood() {
        let left = only(APP, &|o| o.kind == OutlineKind::Table || o.kind == OutlineKind::Set);
        assert_eq!(left.len(), APP.len());
        assert!(
            left.starts_with("-- @app: é\nSET 'a.b' = 'c';\n")
                && !left.contains("@metric")
                && !left.contains("src.csv")
        );
        let at = |text: &str| text.find("CREATE TABLE two").expect("it is there");
        assert_eq!(at(&left), at(APP));
        assert_eq!(left.matches(';').count(), APP.matches(';').count());
    }
}
