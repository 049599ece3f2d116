//! Statements that change an object: INSERT, UPDATE and DELETE.

use velostream_types::Span;

use super::ast::{Change, Ident, Insert, InsertRows, Relation, StatementKind, ValuesRow};
use super::cursor::{Parse, Parser};
use super::lex::Sym;
use crate::diag::Diagnostic;

/// First words of these statements.
pub(super) const WORDS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

impl Parser<'_> {
    /// The statement that one of [`WORDS`] begins here.
    pub(super) fn change(&mut self) -> Parse<StatementKind> {
        if self.take_word("INSERT") {
            return self.insert();
        }
        let is_delete = self.is_word("DELETE");
        self.bump();
        if is_delete {
            self.expect_word("FROM")?;
        }
        let target = self.changed(if is_delete { "the table to delete from" } else { "the table to update" })?;
        let mut assignments = Vec::new();
        if !is_delete {
            self.expect_word("SET")?;
            loop {
                let column = self.name("a column name")?;
                self.expect(Sym::Eq, "\"=\"")?;
                assignments.push((column, self.expr()?));
                if !self.take(Sym::Comma) {
                    break;
                }
            }
        }
        let filter = if self.take_word("WHERE") { Some(self.expr()?) } else { None };
        Ok(StatementKind::Change(Box::new(Change { target, is_delete, assignments, filter })))
    }

    /// The table that is changed, with the alias its conditions may use.
    fn changed(&mut self, what: &str) -> Parse<Relation> {
        let name = self.name(what)?;
        let has_alias = self.take_word("AS") || self.is_name(0) && !self.is_any(0, &["SET", "WHERE"]);
        let alias = if has_alias { Some(self.name("an alias")?) } else { None };
        Ok(Relation {
            name: name.name,
            is_location: false,
            span: name.span,
            alias,
            with: Vec::new(),
            query: None,
            union: Vec::new(),
            version: None,
        })
    }

    /// `INTO name [(columns)] VALUES …` or a query, behind INSERT.
    fn insert(&mut self) -> Parse<StatementKind> {
        self.expect_word("INTO")?;
        let target = self.name("the object to insert into")?;
        let mut columns = Vec::new();
        if self.is(Sym::LParen) && !self.is_any(1, &["SELECT", "WITH"]) {
            columns = self.insert_columns()?;
        }
        let rows = if self.take_word("VALUES") {
            InsertRows::Values(self.values_rows()?)
        } else if self.is(Sym::LParen) {
            InsertRows::Query(Box::new(self.nested()?))
        } else if self.is_word("SELECT") || self.is_cte() {
            InsertRows::Query(Box::new(self.query(true)?))
        } else {
            return Err(self.expected("VALUES or SELECT"));
        };
        if let InsertRows::Query(query) = &rows
            && let Some(into) = &query.into
        {
            let diagnostic = Diagnostic::error("E0102", into.span, "INTO inside an INSERT");
            return Err(self.fail(diagnostic.hint("INSERT INTO names the object already")));
        }
        Ok(StatementKind::Insert(Box::new(Insert { target, columns, rows, is_bare: false })))
    }

    fn insert_columns(&mut self) -> Parse<Vec<Ident>> {
        self.bump();
        let mut columns = Vec::new();
        loop {
            columns.push(self.name("a column name")?);
            if !self.take(Sym::Comma) {
                self.expect(Sym::RParen, "\",\" or \")\"")?;
                return Ok(columns);
            }
        }
    }

    /// `(value, …), (value, …)`: rows of as many values each.
    fn values_rows(&mut self) -> Parse<Vec<ValuesRow>> {
        let mut rows: Vec<ValuesRow> = Vec::new();
        loop {
            let start = self.span();
            self.expect(Sym::LParen, "\"(\" and the values of a row")?;
            let mut exprs = Vec::new();
            loop {
                exprs.push(self.expr()?);
                if !self.take(Sym::Comma) {
                    break;
                }
            }
            self.expect(Sym::RParen, "\",\" or \")\"")?;
            let span = start.to(self.last_span());
            self.is_as_wide(&rows, exprs.len(), span)?;
            rows.push(ValuesRow { exprs, span });
            if !self.take(Sym::Comma) {
                return Ok(rows);
            }
        }
    }

    fn is_as_wide(&mut self, rows: &[ValuesRow], width: usize, span: Span) -> Parse<()> {
        let Some(first) = rows.first().filter(|first| first.exprs.len() != width) else { return Ok(()) };
        let values = |n: usize| if n == 1 { "1 value".to_owned() } else { format!("{n} values") };
        let message = format!("this row has {}, the first row {}", values(width), values(first.exprs.len()));
        Err(self.fail(Diagnostic::error("E0310", span, message).also(first.span, "the first row")))
    }
}
