//! FROM: one relation, and those that are joined to it.
//!
//! WITHIN may stand before and behind ON, `FOR SYSTEM_TIME AS OF` before and behind the alias. `ASOF` and the
//! kind of the join may stand in either order. A comma and NATURAL are mistakes that are told what to write instead.

use super::ast::{Expr, ExprKind, Ident, Join, JoinOn, Relation, Within};
use super::cursor::{Failed, Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;
use crate::plan::JoinKind;

/// Words that end a relation because a join follows, or a part of one.
pub(super) const JOINS: [&str; 9] = ["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "ASOF", "WITHIN"];

impl Parser<'_> {
    pub(super) fn relation(&mut self) -> Parse<Relation> {
        let start = self.span();
        let mut nested = None;
        let (name, is_location) = match self.peek() {
            Tok::Text(text) => {
                self.bump();
                (text.to_string(), true)
            }
            Tok::DoubleQuoted(text) if text.contains("://") => {
                self.bump();
                (text.to_string(), true)
            }
            Tok::Sym(Sym::LParen) => {
                nested = Some(Box::new(self.nested()?));
                (String::new(), false)
            }
            Tok::Word(_) if self.is_bare_uri() => (self.bare_uri(), true),
            _ => (self.name("a relation: a name, a path in quotes or a URI")?.name, false),
        };
        let span = start.to(self.last_span());
        if nested.is_none() && self.is(Sym::LParen) {
            return Err(self.unsupported(span, "a table function"));
        }
        let mut version = self.version()?;
        let alias = if self.take_word("AS") {
            Some(self.name("a name after AS")?)
        } else if self.is_implicit_alias() && !self.is_any(0, &["ON", "USING"]) {
            Some(self.name("a name")?)
        } else {
            None
        };
        if version.is_none() {
            version = self.version()?;
        }
        let with = if self.is_word("WITH") { self.with_clause()? } else { Vec::new() };
        Ok(Relation { name, is_location, span, alias, with, query: nested, union: Vec::new(), version })
    }

    /// `FOR SYSTEM_TIME AS OF time`
    fn version(&mut self) -> Parse<Option<Expr>> {
        if !(self.is_word("FOR") && self.is_word_at(1, "SYSTEM_TIME")) {
            return Ok(None);
        }
        self.bump();
        self.bump();
        self.expect_word("AS")?;
        self.expect_word("OF")?;
        Ok(Some(self.column()?))
    }

    /// Everything that is joined to the first relation.
    pub(super) fn joins(&mut self) -> Parse<Vec<Join>> {
        let mut joins = Vec::new();
        loop {
            if self.is(Sym::Comma) && self.is_unnest(1) {
                let start = self.span();
                self.bump();
                joins.push(self.unnest(JoinKind::Inner, start)?);
                continue;
            }
            if self.is(Sym::Comma) {
                return Err(self.comma());
            }
            if !self.is_any(0, &JOINS) || self.is_word("WITHIN") {
                return Ok(joins);
            }
            joins.push(self.join()?);
        }
    }

    fn comma(&mut self) -> Failed {
        let message = "relations are joined with JOIN, not with a comma";
        let hint = "write a JOIN b ON a.key = b.key, or a CROSS JOIN b for every pair";
        self.fail(Diagnostic::error("E0430", self.span(), message).hint(hint))
    }

    fn join(&mut self) -> Parse<Join> {
        let start = self.span();
        if self.is_word("NATURAL") {
            let hint = "name the columns that both have: a JOIN b USING (key)";
            return Err(self.fail(Diagnostic::error("E0430", start, "there is no NATURAL JOIN").hint(hint)));
        }
        let mut asof = self.take_word("ASOF");
        let kinds = [
            ("INNER", JoinKind::Inner),
            ("LEFT", JoinKind::Left),
            ("RIGHT", JoinKind::Right),
            ("FULL", JoinKind::Full),
            ("CROSS", JoinKind::Inner),
        ];
        let cross = self.is_word("CROSS");
        let kind = kinds.iter().find(|(word, _)| self.is_word(word)).map(|(_, kind)| *kind);
        if kind.is_some() {
            self.bump();
        }
        if matches!(kind, Some(JoinKind::Left | JoinKind::Right | JoinKind::Full)) {
            self.take_word("OUTER");
        }
        asof |= self.take_word("ASOF");
        self.expect_word("JOIN")?;
        let span = start.to(self.last_span());
        if asof && (cross || matches!(kind, Some(JoinKind::Right | JoinKind::Full))) {
            let message = "ASOF JOIN keeps rows of the left side alone";
            let hint = "write ASOF JOIN, or ASOF LEFT JOIN for the left rows without a partner, too";
            return Err(self.fail(Diagnostic::error("E0430", span, message).hint(hint)));
        }
        if self.is_unnest(0) {
            return self.joined_unnest(kind.unwrap_or(JoinKind::Inner), span);
        }
        let relation = self.relation()?;
        let mut within = self.within()?;
        let on = self.join_on(cross)?;
        if within.is_none() {
            within = self.within()?;
        }
        Ok(Join { kind: kind.unwrap_or(JoinKind::Inner), relation, within, on, asof, span })
    }

    fn join_on(&mut self, cross: bool) -> Parse<JoinOn> {
        if cross {
            return Ok(JoinOn::Everything);
        }
        if self.take_word("ON") {
            let condition = self.expr()?;
            let always = matches!(condition.kind, ExprKind::Boolean(true));
            return Ok(if always { JoinOn::Everything } else { JoinOn::Condition(condition) });
        }
        if !self.take_word("USING") {
            let found = self.expected("ON condition or USING (column, …)");
            if let Some(last) = self.diagnostics.last_mut()
                && last.hint.is_none()
            {
                last.hint = Some("write ON a.key = b.key; every pair of rows is CROSS JOIN".to_owned());
            }
            return Err(found);
        }
        self.expect(Sym::LParen, "( after USING")?;
        let mut columns: Vec<Ident> = vec![self.name("a column that both relations have")?];
        while self.take(Sym::Comma) {
            columns.push(self.name("a column that both relations have")?);
        }
        self.expect(Sym::RParen, "\",\" or \")\"")?;
        Ok(JoinOn::Using(columns))
    }

    /// `WITHIN d`, `WITHIN (before, after)`
    fn within(&mut self) -> Parse<Option<Within>> {
        let start = self.span();
        if !self.take_word("WITHIN") {
            return Ok(None);
        }
        if !self.take(Sym::LParen) {
            let both = self.duration()?;
            return Ok(Some(Within { before: both, after: both, span: start.to(self.last_span()) }));
        }
        let before = self.duration()?;
        self.expect(Sym::Comma, "\",\" and how long after")?;
        let after = self.duration()?;
        self.expect(Sym::RParen, "\")\"")?;
        Ok(Some(Within { before, after, span: start.to(self.last_span()) }))
    }

    /// `scheme://…` without quotes.
    pub(super) fn is_bare_uri(&self) -> bool {
        self.is_at(1, Sym::Colon) && self.is_at(2, Sym::Slash) && self.is_at(3, Sym::Slash) && self.touches(1)
    }

    pub(super) fn bare_uri(&mut self) -> String {
        let start = self.span();
        self.bump();
        while self.touches(0)
            && !matches!(self.peek(), Tok::End | Tok::Bad)
            && !matches!(self.peek(), Tok::Sym(Sym::Semicolon | Sym::LParen | Sym::RParen))
        {
            self.bump();
        }
        self.slice(start.to(self.last_span())).to_owned()
    }
}
