//! Statements: the script, CREATE, declarations, SET, EXPLAIN, and the ones that are not supported yet.

use velostream_types::Span;

use super::Script;
use super::ast::{ColumnDef, Create, Declare, Explain, Ident, Role, Statement, StatementKind, Watermark};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;
use crate::endpoint::WithEntry;

/// First words of statements the dialect has and this engine does not do yet.
pub(super) const LATER: [&str; 2] = ["VALUES", "ALTER"];

/// What CREATE says before the columns or the query.
struct Head {
    name: Ident,
    role: Role,
    if_not_exists: bool,
}

impl Parser<'_> {
    /// All statements; a mistake costs its own statement only.
    pub fn script(mut self) -> Script {
        let mut script = Script::default();
        let mut number = 0;
        loop {
            while self.take(Sym::Semicolon) {}
            if matches!(self.peek(), Tok::End) {
                break;
            }
            number += 1;
            script.starts.push(self.span().start);
            let reported = self.diagnostics.len();
            match self.statement(number, &mut script.failed_names) {
                Ok(statement) => script.statements.push(statement),
                Err(_) => self.restart(),
            }
            self.diagnostics[reported..].iter_mut().for_each(|d| d.statement = Some(number));
        }
        script.diagnostics = self.diagnostics;
        script
    }

    fn statement(&mut self, number: usize, failed_names: &mut Vec<String>) -> Parse<Statement> {
        let start = self.span();
        let mut explain = None;
        if self.take_word("EXPLAIN") {
            explain = Some(Explain { verbose: self.take_word("VERBOSE") });
        }
        let kind = if self.is_word("SELECT") || self.is_cte() {
            StatementKind::Query(Box::new(self.query(true)?))
        } else if self.is_word("CREATE") {
            self.create(failed_names)?
        } else if explain.is_none() && self.take_word("SET") {
            StatementKind::Set(self.with_entry()?)
        } else if self.is_any(0, &super::insert::WORDS) {
            self.change()?
        } else if self.is_any(0, &super::server::WORDS) {
            return Err(self.server_statement());
        } else if self.is_word("DROP") {
            return Err(self.drop_object());
        } else if self.is_any(0, &LATER) {
            let word = self.word(0).unwrap_or_default().to_uppercase();
            return Err(self.unsupported(self.span(), &word));
        } else {
            return Err(self.expected("a statement: SELECT, CREATE STREAM, CREATE TABLE, SET or EXPLAIN"));
        };
        let span = start.to(self.last_span());
        if !matches!(self.peek(), Tok::End | Tok::Sym(Sym::Semicolon)) {
            if let StatementKind::Create(create) = &kind {
                failed_names.push(create.name.name.clone());
            }
            return Err(self.trailing());
        }
        Ok(Statement { kind, span, number, explain })
    }

    /// `DROP STREAM|TABLE [IF EXISTS] name`: an app holds what its text says and nothing else.
    fn drop_object(&mut self) -> super::cursor::Failed {
        let start = self.span();
        self.bump();
        if !self.is_any(0, &["STREAM", "TABLE", "VIEW"]) {
            return self.expected("STREAM, TABLE or VIEW after DROP");
        }
        self.bump();
        if self.take_word("IF") && self.expect_word("EXISTS").is_err() {
            return super::cursor::Failed;
        }
        match self.name("the object to drop") {
            Ok(name) => {
                let message = format!("nothing outlives an app, so there is no \"{}\" to drop", name.name);
                let hint = "leave the statement that creates it out of the text";
                self.fail(Diagnostic::error("E0112", start.to(name.span), message).hint(hint))
            }
            Err(failed) => failed,
        }
    }

    /// Something stands behind a whole statement.
    fn trailing(&mut self) -> super::cursor::Failed {
        for (word, what) in [("INTERSECT", "INTERSECT"), ("EXCEPT", "EXCEPT")] {
            if self.is_word(word) {
                return self.unsupported(self.span(), what);
            }
        }
        self.expected("\";\" or the end of the statement")
    }

    pub fn create(&mut self, failed_names: &mut Vec<String>) -> Parse<StatementKind> {
        self.bump();
        // Nothing outlives an app, so there is nothing to replace.
        if self.take_word("OR") {
            self.expect_word("REPLACE")?;
        }
        let role = if self.is_word("STREAM") {
            Role::Stream
        } else if self.is_word("TABLE") {
            Role::Table
        } else if self.is_word("VIEW") {
            Role::Inline { bare: false, retracts: false }
        } else {
            return Err(self.expected("STREAM, TABLE or VIEW after CREATE"));
        };
        self.bump();
        let if_not_exists = self.is_word("IF") && self.is_word_at(1, "NOT");
        if if_not_exists {
            self.bump();
            self.bump();
            self.expect_word("EXISTS")?;
        }
        let name = self.name("a name for the object")?;
        let mark = failed_names.len();
        failed_names.push(name.name.clone());
        let kind = self.create_body(Head { name, role, if_not_exists })?;
        failed_names.truncate(mark);
        Ok(kind)
    }

    fn create_body(&mut self, head: Head) -> Parse<StatementKind> {
        let Head { name, role, if_not_exists } = head;
        let is_table = role == Role::Table;
        let columns_span = self.span();
        if matches!(role, Role::Inline { .. }) && !self.is_word("AS") {
            return Err(self.expected("AS and the view's query"));
        }
        if self.is(Sym::LParen) {
            let mut declare = Declare {
                name,
                is_table,
                if_not_exists,
                columns: Vec::new(),
                primary_key: Vec::new(),
                watermark: None,
                with: Vec::new(),
            };
            self.column_list(&mut declare)?;
            if self.is_word("WITH") {
                declare.with = self.with_clause()?;
            }
            if self.is_word("AS") {
                return Err(self.unsupported(columns_span, "a column list together with AS SELECT"));
            }
            return Ok(StatementKind::Declare(Box::new(declare)));
        }
        let mut with = if self.is_word("WITH") { Some(self.with_clause()?) } else { None };
        if self.take_word("AS") {
            if !self.is_word("SELECT") && !self.is_cte() {
                return Err(self.expected("SELECT after AS"));
            }
            let mut query = self.query(false)?;
            if let (Role::Inline { .. }, Some(into)) = (role, &query.into) {
                let diagnostic = Diagnostic::error("E0102", into.span, "INTO in a view");
                return Err(self.fail(diagnostic.hint("a view is written nowhere; create a STREAM")));
            }
            query.with.splice(0..0, with.take().unwrap_or_default());
            return Ok(StatementKind::Create(Box::new(Create { name, role, if_not_exists, query })));
        }
        let Some(with) = with else { return Err(self.expected("a column list, WITH, or AS SELECT")) };
        let declare = Declare {
            name,
            is_table,
            if_not_exists,
            columns: Vec::new(),
            primary_key: Vec::new(),
            watermark: None,
            with,
        };
        Ok(StatementKind::Declare(Box::new(declare)))
    }

    fn column_list(&mut self, declare: &mut Declare) -> Parse<()> {
        self.expect(Sym::LParen, "\"(\"")?;
        loop {
            if self.is_word("PRIMARY") && self.is_word_at(1, "KEY") && self.is_at(2, Sym::LParen) {
                self.key_list(declare)?;
            } else if self.is_word("WATERMARK") && self.is_word_at(1, "FOR") {
                self.watermark(declare)?;
            } else {
                self.column_def(declare)?;
            }
            if !self.take(Sym::Comma) {
                break;
            }
        }
        self.expect(Sym::RParen, "\",\" or \")\"")
    }

    fn key_list(&mut self, declare: &mut Declare) -> Parse<()> {
        let span = self.span();
        self.bump();
        self.bump();
        self.bump();
        if !declare.primary_key.is_empty() {
            return Err(self.second_key(span));
        }
        loop {
            let column = self.name("a column name")?;
            declare.primary_key.push(column);
            if !self.take(Sym::Comma) {
                return self.expect(Sym::RParen, "\",\" or \")\"");
            }
        }
    }

    fn column_def(&mut self, declare: &mut Declare) -> Parse<()> {
        let name = self.name("a column name")?;
        let data_type = self.type_name()?;
        let mut not_null = false;
        loop {
            if self.take_word("NOT") {
                self.expect_word("NULL")?;
                not_null = true;
            } else if self.take_word("NULL") {
            } else if self.is_word("PRIMARY") {
                let span = self.span();
                self.primary_key()?;
                if !declare.primary_key.is_empty() {
                    return Err(self.second_key(span));
                }
                declare.primary_key.push(name.clone());
            } else if self.is_word("DEFAULT") {
                return Err(self.unsupported(self.span(), "DEFAULT"));
            } else {
                break;
            }
        }
        declare.columns.push(ColumnDef { name, data_type, not_null });
        Ok(())
    }

    fn second_key(&mut self, span: Span) -> super::cursor::Failed {
        let hint = "for a key of several columns write PRIMARY KEY (a, b) once";
        self.fail(Diagnostic::error("E0106", span, "a second PRIMARY KEY").hint(hint))
    }

    /// `PRIMARY KEY`, where `PRIMARY` stands here.
    pub fn primary_key(&mut self) -> Parse<()> {
        let span = self.span();
        self.bump();
        if self.take_word("KEY") {
            return Ok(());
        }
        Err(self.fail(Diagnostic::error("E0110", span, "PRIMARY without KEY").hint("write PRIMARY KEY")))
    }

    /// `WATERMARK FOR ts AS ts [- duration]`
    fn watermark(&mut self, declare: &mut Declare) -> Parse<()> {
        let span = self.span();
        self.bump();
        self.bump();
        let column = self.name("the time column")?;
        self.expect_word("AS")?;
        let again = self.name("the time column")?;
        if again.name != column.name {
            let message = format!("a watermark for \"{}\" follows that column, not \"{}\"", column.name, again.name);
            return Err(self.fail(Diagnostic::error("E0102", again.span, message)));
        }
        let bound = if self.take(Sym::Minus) { Some(self.duration()?) } else { None };
        if declare.watermark.is_some() {
            return Err(self.fail(Diagnostic::error("E0106", span, "a second WATERMARK")));
        }
        declare.watermark = Some(Watermark { column, bound });
        Ok(())
    }

    /// `WITH ( key = value, … )`
    pub fn with_clause(&mut self) -> Parse<Vec<WithEntry>> {
        self.expect_word("WITH")?;
        self.expect(Sym::LParen, "( after WITH")?;
        let mut entries = Vec::new();
        while !self.take(Sym::RParen) {
            entries.push(self.with_entry()?);
            if !self.take(Sym::Comma) {
                self.expect(Sym::RParen, "\",\" or \")\"")?;
                break;
            }
        }
        Ok(entries)
    }

    fn with_entry(&mut self) -> Parse<WithEntry> {
        let start = self.span();
        let key = match self.peek() {
            Tok::Text(text) | Tok::DoubleQuoted(text) | Tok::Backtick(text) => {
                self.bump();
                text.to_string()
            }
            Tok::Word(_) => self.dotted_key()?,
            _ => return Err(self.expected("a property such as 'topic.name' = 'trades'")),
        };
        let key_span = start.to(self.last_span());
        self.expect(Sym::Eq, "\"=\"")?;
        let value_start = self.span();
        let negative = self.take(Sym::Minus);
        let value = match self.peek() {
            Tok::Number(digits) if negative => format!("-{digits}"),
            Tok::Text(text) | Tok::DoubleQuoted(text) | Tok::Number(text) | Tok::Word(text) if !negative => {
                text.to_string()
            }
            _ => return Err(self.expected("a value")),
        };
        self.bump();
        let glued = matches!(self.peek(), Tok::Word(_)) && self.touches(0);
        let value = if glued {
            self.bump();
            self.slice(value_start.to(self.last_span())).to_owned()
        } else {
            value
        };
        Ok(WithEntry { key, key_span, value, value_span: value_start.to(self.last_span()) })
    }

    fn dotted_key(&mut self) -> Parse<String> {
        let start = self.span();
        self.bump();
        while self.take(Sym::Period) || (self.is(Sym::Minus) && self.touches(0) && self.touches(1)) {
            if self.is(Sym::Minus) {
                self.bump();
            }
            if !matches!(self.peek(), Tok::Word(_) | Tok::Number(_)) {
                return Err(self.expected("the rest of the property's name"));
            }
            self.bump();
        }
        Ok(self.slice(start.to(self.last_span())).to_owned())
    }
}
