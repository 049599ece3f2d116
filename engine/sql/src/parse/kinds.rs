//! The kinds of statements the parser knows: one list for the reference, the proofs and the outline of a text.

use super::ast::{Role, Statement, StatementKind};

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// As shown to people.
    pub name: &'static str,
    /// The word a statement of this kind begins with.
    pub word: &'static str,
    /// How it is answered.
    pub answer: Answer,
}

/// How a kind of statement is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It runs.
    Runs,
    /// It is read in full and needs a server.
    NeedsServer,
    /// It is not supported yet.
    Later,
}

const fn kind(name: &'static str, word: &'static str, answer: Answer) -> Kind {
    Kind { name, word, answer }
}

use Answer::{Later, NeedsServer, Runs};

/// All kinds; of those that run, [`of`] tells which one a statement is.
pub const KINDS: &[Kind] = &[
    kind("SELECT", "SELECT", Runs),
    kind("WITH … SELECT", "WITH", Runs),
    kind("CREATE STREAM … AS SELECT", "CREATE", Runs),
    kind("CREATE TABLE … AS SELECT", "CREATE", Runs),
    kind("CREATE VIEW … AS SELECT", "CREATE", Runs),
    kind("CREATE STREAM (declaration)", "CREATE", Runs),
    kind("CREATE TABLE (declaration)", "CREATE", Runs),
    kind("SET", "SET", Runs),
    kind("EXPLAIN", "EXPLAIN", Runs),
    kind("DROP", "DROP", NeedsServer),
    kind("SHOW", "SHOW", NeedsServer),
    kind("LIST", "LIST", NeedsServer),
    kind("DESCRIBE", "DESCRIBE", NeedsServer),
    kind("START JOB", "START", NeedsServer),
    kind("STOP JOB", "STOP", NeedsServer),
    kind("PAUSE JOB", "PAUSE", NeedsServer),
    kind("RESUME JOB", "RESUME", NeedsServer),
    kind("DEPLOY JOB", "DEPLOY", NeedsServer),
    kind("ROLLBACK JOB", "ROLLBACK", NeedsServer),
    kind("INSERT", "INSERT", Runs),
    kind("UPDATE", "UPDATE", Later),
    kind("DELETE", "DELETE", Later),
    kind("VALUES", "VALUES", Later),
    kind("ALTER", "ALTER", Later),
];

/// Kind of a statement that was read, by name.
pub(crate) fn of(statement: &Statement) -> &'static str {
    if statement.explain.is_some() {
        return "EXPLAIN";
    }
    match &statement.kind {
        StatementKind::Query(query) if !query.ctes.is_empty() => "WITH … SELECT",
        StatementKind::Query(_) => "SELECT",
        StatementKind::Create(create) => match create.role {
            Role::Stream => "CREATE STREAM … AS SELECT",
            Role::Table => "CREATE TABLE … AS SELECT",
            Role::Inline { .. } => "CREATE VIEW … AS SELECT",
        },
        StatementKind::Declare(declare) if declare.is_table => "CREATE TABLE (declaration)",
        StatementKind::Declare(_) => "CREATE STREAM (declaration)",
        StatementKind::Set(_) => "SET",
        StatementKind::Insert(_) => "INSERT",
        StatementKind::Change(change) if change.is_delete => "DELETE",
        StatementKind::Change(_) => "UPDATE",
    }
}

/// Kind of a statement that begins with this word and could not be read or cannot run here.
pub(crate) fn of_word(word: &str) -> Option<&'static str> {
    let mut fitting = KINDS.iter().filter(|kind| kind.word.eq_ignore_ascii_case(word));
    match (fitting.next(), fitting.next()) {
        (Some(kind), None) => Some(kind.name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn every_kind_is_one_the_parser_knows() {
        for kind in KINDS {
            let found = parse(&format!("{} a AS (SELECT 1)", kind.word)).diagnostics;
            let refusal = format!("found \"{}\"", kind.word);
            let refused =
                found.iter().any(|d| d.message.starts_with("expected a statement") && d.message.ends_with(&refusal));
            assert!(!refused, "{}: {found:?}", kind.name);
        }
        let found = parse("MERGE 1").diagnostics;
        assert!(found[0].message.starts_with("expected a statement"), "{found:?}");
    }

    #[test]
    fn every_word_the_parser_knows_is_a_kind() {
        let words = crate::parse::server::WORDS.iter().chain(&crate::parse::statement::LATER);
        let words = words.chain(&crate::parse::insert::WORDS);
        for word in words {
            assert!(KINDS.iter().any(|kind| kind.word == *word), "{word}");
        }
        for (text, kind) in [
            ("SELECT 1", "SELECT"),
            ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH … SELECT"),
            ("CREATE VIEW v AS SELECT 1", "CREATE VIEW … AS SELECT"),
            ("CREATE TABLE t (k INT PRIMARY KEY)", "CREATE TABLE (declaration)"),
            ("CREATE STREAM t (k INT)", "CREATE STREAM (declaration)"),
            ("CREATE STREAM t AS SELECT 1", "CREATE STREAM … AS SELECT"),
            ("EXPLAIN SELECT 1", "EXPLAIN"),
            ("SET a = 1", "SET"),
            ("INSERT INTO t VALUES (1)", "INSERT"),
            ("UPDATE t SET a = 1", "UPDATE"),
            ("DELETE FROM t", "DELETE"),
        ] {
            assert_eq!(parse(text).statements.iter().map(of).collect::<Vec<_>>(), [kind]);
            assert!(KINDS.iter().any(|known| known.name == kind), "{kind}");
        }
    }
}
