//! SELECT and its clauses. A bare SELECT keeps the order of the reference; in CREATE … AS the clauses behind WHERE may
//! stand in any order. A clause twice is an error in both.

use velostream_types::Span;

use super::ast::{Branch, Cte, EmitRule, Item, OrderKey, Query, Target};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use super::relation::JOINS;
use super::server::STRATEGIES;
use super::window::WINDOWS;
use crate::diag::Diagnostic;
use crate::plan::JoinKind;
use crate::props::keys::{is_of_sinks_only, reaches_sources};

/// Clauses behind FROM in the order a bare SELECT keeps.
const CLAUSES: [&str; 9] = ["WHERE", "GROUP BY", "WINDOW", "HAVING", "ORDER BY", "LIMIT", "EMIT", "INTO", "WITH"];
/// Deepest nesting of queries in queries.
const MAX_QUERIES: u16 = 64;

impl Parser<'_> {
    /// SELECT …; `strict` for a bare one.
    fn select(&mut self, strict: bool) -> Parse<Query> {
        let start = self.span();
        self.expect_word("SELECT")?;
        let mut distinct = None;
        if self.is_word("DISTINCT") && !self.is_at(1, Sym::Comma) && !self.is_word_at(1, "FROM") {
            distinct = Some(self.span());
            self.bump();
        } else if self.is_word("ALL") && !self.is_at(1, Sym::Comma) && !self.is_word_at(1, "FROM") {
            self.bump();
        }
        let mut query = Query { distinct, ..Query::of(self.items()?, start) };
        if self.take_word("FROM") {
            // Without a relation in front it is the elements of one row.
            if self.is_unnest(0) {
                let start = self.span();
                query.joins.push(self.unnest(JoinKind::Inner, start)?);
            } else {
                query.from = Some(self.relation()?);
            }
            query.joins.extend(self.joins()?);
        }
        let clauses = self.span();
        self.clauses(&mut query, strict)?;
        // A WITH that ends the statement is the statement's too, but for bare keys such as `format`.
        if self.span() == clauses
            && let Some(from) = &mut query.from
        {
            let is_shared = |key: &str| reaches_sources(key) || is_of_sinks_only(key);
            let from = query.joins.last_mut().map_or(from, |join| &mut join.relation);
            query.with.extend(from.with.extract_if(.., |entry| is_shared(&entry.key)));
        }
        query.span = start.to(self.last_span());
        self.explode_items(&mut query)?;
        Ok(query)
    }

    fn items(&mut self) -> Parse<Vec<Item>> {
        let mut items = vec![self.item()?];
        while self.take(Sym::Comma) {
            items.push(self.item()?);
        }
        Ok(items)
    }

    fn item(&mut self) -> Parse<Item> {
        let start = self.span();
        if self.take(Sym::Star) {
            return Ok(Item::Star(start));
        }
        if self.is_name(0) && self.is_at(1, Sym::Period) && self.is_at(2, Sym::Star) {
            let qualifier = self.name("a relation")?;
            self.bump();
            self.bump();
            return Ok(Item::QualifiedStar { qualifier, span: start.to(self.last_span()) });
        }
        let expr = self.expr()?;
        let alias = if self.take_word("AS") {
            Some(self.name("a name after AS")?)
        } else if self.is_implicit_alias() {
            Some(self.name("a name")?)
        } else {
            None
        };
        let primary_key = self.is_word("PRIMARY");
        if primary_key {
            self.primary_key()?;
        }
        Ok(Item::Expr { expr, alias, primary_key })
    }

    /// A name that no clause begins with.
    pub(super) fn is_implicit_alias(&self) -> bool {
        let clause = self.is_any(0, &["PRIMARY", "INTO", "OVER", "UNION", "INTERSECT", "EXCEPT"])
            || self.is_any(0, &JOINS)
            || (self.is_word("WITH") && self.is_at(1, Sym::LParen))
            || (self.is_word("STRATEGY") && self.is_any(1, &STRATEGIES))
            || (self.is_word("WINDOW") && self.is_any(1, &WINDOWS));
        self.is_name(0) && !clause
    }

    /// `( query )`: one level deeper.
    pub(super) fn nested(&mut self) -> Parse<Query> {
        self.expect(Sym::LParen, "\"(\" and a query")?;
        if self.nesting >= MAX_QUERIES {
            let message = format!("queries are nested more than {MAX_QUERIES} levels deep");
            return Err(self.fail(Diagnostic::error("E0107", self.span(), message)));
        }
        self.nesting += 1;
        let query = self.query(false);
        self.nesting -= 1;
        let query = query?;
        if let Some(into) = &query.into {
            let diagnostic = Diagnostic::error("E0102", into.span, "INTO inside a nested query");
            return Err(self.fail(diagnostic.hint("only the whole statement has a sink")));
        }
        self.expect(Sym::RParen, "\")\" behind the query")?;
        Ok(query)
    }

    /// `WITH name AS (query), …`, where WITH stands here.
    fn ctes(&mut self) -> Parse<Vec<Cte>> {
        self.bump();
        let mut ctes: Vec<Cte> = Vec::new();
        loop {
            let name = self.name("a name for the query")?;
            if let Some(first) = ctes.iter().find(|c| c.name.name == name.name) {
                let message = format!("\"{}\" stands twice in WITH", name.name);
                return Err(
                    self.fail(Diagnostic::error("E0201", name.span, message).also(first.name.span, "the first one"))
                );
            }
            self.expect_word("AS")?;
            ctes.push(Cte { name, query: self.nested()? });
            if !self.take(Sym::Comma) {
                return Ok(ctes);
            }
        }
    }

    /// TRUE at `WITH name AS (`, which is no WITH of properties.
    pub fn is_cte(&self) -> bool {
        self.is_word("WITH") && self.is_name(1) && self.is_word_at(2, "AS")
    }

    /// [WITH …] SELECT … {UNION [ALL] SELECT …}; `strict` for a bare one. What ends the last SELECT (EMIT, INTO, WITH) is
    /// the whole query's.
    pub fn query(&mut self, strict: bool) -> Parse<Query> {
        let start = self.span();
        let ctes = if self.is_cte() { self.ctes()? } else { Vec::new() };
        let mut query = self.select(strict)?;
        while self.is_word("UNION") {
            let span = self.span();
            self.bump();
            let all = self.take_word("ALL");
            if !all {
                self.take_word("DISTINCT");
            }
            let branch = if self.is(Sym::LParen) { self.nested()? } else { self.select(strict)? };
            query.union.push(Branch { all, span, query: branch });
        }
        query.ctes = ctes;
        query.span = start.to(self.last_span());
        Ok(query)
    }

    /// Position in [`CLAUSES`] of the clause that begins here.
    fn clause(&self) -> Option<usize> {
        let words = ["WHERE", "GROUP", "WINDOW", "HAVING", "ORDER", "LIMIT", "EMIT", "INTO", "WITH"];
        words.iter().position(|w| self.is_word(w))
    }

    fn clauses(&mut self, query: &mut Query, strict: bool) -> Parse<()> {
        let mut seen: [Option<Span>; CLAUSES.len()] = [None; CLAUSES.len()];
        let mut last = 0;
        while let Some(rank) = self.clause() {
            let span = self.span();
            if let Some(first) = seen[rank] {
                let message = format!("a second {} clause", CLAUSES[rank]);
                return Err(self.fail(Diagnostic::error("E0106", span, message).also(first, "the first one")));
            }
            if rank < last && (strict || rank == 0) {
                return Err(self.misplaced(rank, last, span, seen[last]));
            }
            seen[rank] = Some(span);
            last = last.max(rank);
            self.one_clause(rank, query)?;
        }
        Ok(())
    }

    fn misplaced(&mut self, rank: usize, last: usize, span: Span, other: Option<Span>) -> super::cursor::Failed {
        let (this, before) = (CLAUSES[rank], CLAUSES[last]);
        let message = format!("{before} must come after {this}");
        let order = "FROM, WHERE, GROUP BY, WINDOW, HAVING, ORDER BY, LIMIT, EMIT, INTO, WITH";
        let mut diagnostic =
            Diagnostic::error("E0105", span, message).hint(format!("write {this} … {before} …; the order is {order}"));
        if let Some(other) = other {
            diagnostic = diagnostic.also(other, format!("{before} stands here"));
        }
        self.fail(diagnostic)
    }

    fn one_clause(&mut self, rank: usize, query: &mut Query) -> Parse<()> {
        match CLAUSES[rank] {
            "WHERE" => {
                self.bump();
                query.filter = Some(self.expr()?);
            }
            "GROUP BY" => self.group_by(query)?,
            "WINDOW" => {
                self.bump();
                let window = self.window()?;
                self.set_window(query, window)?;
            }
            "HAVING" => {
                self.bump();
                query.having = Some(self.expr()?);
            }
            "ORDER BY" => self.order_by(query)?,
            "LIMIT" => self.limit(query)?,
            "EMIT" => self.emit(query)?,
            "INTO" => {
                self.bump();
                query.into = Some(self.target()?);
                if self.is_word("WITH") {
                    query.with.append(&mut self.with_clause()?);
                }
            }
            _ => query.with.append(&mut self.with_clause()?),
        }
        Ok(())
    }

    fn order_by(&mut self, query: &mut Query) -> Parse<()> {
        self.bump();
        self.expect_word("BY")?;
        loop {
            let expr = self.expr()?;
            let descending = self.take_word("DESC");
            if !descending {
                self.take_word("ASC");
            }
            let mut nulls_first = None;
            if self.take_word("NULLS") {
                nulls_first = Some(self.take_word("FIRST"));
                if nulls_first == Some(false) {
                    self.expect_word("LAST")?;
                }
            }
            query.order_by.push(OrderKey { expr, descending, nulls_first });
            if !self.take(Sym::Comma) {
                return Ok(());
            }
        }
    }

    fn limit(&mut self, query: &mut Query) -> Parse<()> {
        self.bump();
        let span = self.span();
        let Tok::Number(digits) = self.peek() else { return Err(self.expected("a number of rows")) };
        let Ok(rows) = digits.parse() else {
            let message = format!("LIMIT {digits} is not a whole number of rows");
            return Err(self.fail(Diagnostic::error("E0111", span, message)));
        };
        self.bump();
        if self.is_word("OFFSET") {
            return Err(self.unsupported(self.span(), "OFFSET"));
        }
        query.limit = Some((rows, span));
        Ok(())
    }

    fn emit(&mut self, query: &mut Query) -> Parse<()> {
        let span = self.span();
        self.bump();
        let rule = if self.take_word("CHANGES") {
            match self.take_word("EVERY") {
                true => EmitRule::Every(self.duration()?.ns),
                false => EmitRule::Changes,
            }
        } else if self.take_word("FINAL") {
            EmitRule::Final
        } else {
            let hint = "write EMIT CHANGES for a row per change, or EMIT FINAL for one row when the result is complete";
            return Err(self.fail(Diagnostic::error("E0109", span, "EMIT without CHANGES or FINAL").hint(hint)));
        };
        query.emit = Some((rule, span.to(self.last_span())));
        Ok(())
    }

    fn target(&mut self) -> Parse<Target> {
        let start = self.span();
        let name = match self.peek() {
            Tok::Text(text) => {
                self.bump();
                text.to_string()
            }
            Tok::Word(_) if self.is_bare_uri() => self.bare_uri(),
            _ => self.name("a sink: a name, a path in quotes or a URI")?.name,
        };
        Ok(Target { name, span: start.to(self.last_span()) })
    }

    fn group_by(&mut self, query: &mut Query) -> Parse<()> {
        self.bump();
        self.expect_word("BY")?;
        loop {
            if self.is_any(0, &["ROLLUP", "CUBE", "GROUPING"]) && self.is_at(1, Sym::LParen) {
                let what = format!("{} in GROUP BY", self.word(0).unwrap_or_default().to_uppercase());
                return Err(self.unsupported(self.span(), &what));
            }
            if self.is_window_key() {
                let window = self.window()?;
                self.set_window(query, window)?;
            } else {
                let key = self.expr()?;
                query.group_by.push(key);
            }
            if !self.take(Sym::Comma) {
                return Ok(());
            }
        }
    }
}
