//! UNNEST and its other name EXPLODE: in FROM and its joins, and, as ksqlDB has it, as the one item of a select list that
//! gives a row per element, which becomes the same as in FROM.

use velostream_types::Span;

use super::ast::{Elements, Expr, ExprKind, Ident, Item, Join, JoinOn, Query, Relation};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;
use crate::plan::JoinKind;

/// The words that take a collection apart.
pub(crate) const WORDS: [&str; 2] = ["UNNEST", "EXPLODE"];

/// How it is written, for hints.
pub(crate) const FORM: &str = "write FROM t, UNNEST(t.items) AS item";

/// Relation and column that stand for a call in the select list. No name that a query could write between back-quotes has
/// parentheses by chance.
const IN_LIST: &str = "EXPLODE(…)";

impl Parser<'_> {
    /// TRUE at `[LATERAL] UNNEST(`, so many tokens ahead.
    pub(super) fn is_unnest(&self, ahead: usize) -> bool {
        let ahead = ahead + usize::from(self.is_word_at(ahead, "LATERAL"));
        self.is_any(ahead, &WORDS) && self.is_at(ahead + 1, Sym::LParen)
    }

    /// `[LATERAL] UNNEST(x) [WITH ORDINALITY] [[AS] name [(column, …)]] [WITH ORDINALITY]`, behind the words of the join
    /// from `start` on.
    pub(super) fn unnest(&mut self, kind: JoinKind, start: Span) -> Parse<Join> {
        self.take_word("LATERAL");
        let word = self.span();
        let written = self.slice(word).to_lowercase();
        self.bump();
        self.expect(Sym::LParen, "\"(\" and a collection")?;
        let operand = self.expr()?;
        if self.is(Sym::Comma) {
            let message = format!("{} takes one collection", written.to_uppercase());
            let hint = "write FROM t, UNNEST(t.a) AS x, UNNEST(t.b) AS y for every pair of elements";
            return Err(self.fail(Diagnostic::error("E0436", self.span(), message).hint(hint)));
        }
        self.expect(Sym::RParen, "\")\" behind the collection")?;
        let span = word.to(self.last_span());
        let mut numbered = self.ordinality()?;
        let mut alias = None;
        if self.take_word("AS") || (self.is_implicit_alias() && !self.is_any(0, &["ON", "USING"])) {
            alias = Some(self.name("a name")?);
        }
        let mut columns = Vec::new();
        if alias.is_some() && self.take(Sym::LParen) {
            columns.push(self.name("a name for the element")?);
            while self.take(Sym::Comma) {
                columns.push(self.name("a name")?);
            }
            self.expect(Sym::RParen, "\",\" or \")\"")?;
        }
        numbered |= self.ordinality()?;
        let relation = relation(written, alias, span);
        let on = JoinOn::Elements(Box::new(Elements { operand, numbered, columns }));
        Ok(Join { kind, relation, within: None, on, asof: false, span: start })
    }

    /// `WITH ORDINALITY`
    fn ordinality(&mut self) -> Parse<bool> {
        let stands = self.is_word("WITH") && self.is_word_at(1, "ORDINALITY");
        if stands {
            self.bump();
            self.bump();
        }
        Ok(stands)
    }

    /// UNNEST behind JOIN: with ON TRUE or nothing.
    pub(super) fn joined_unnest(&mut self, kind: JoinKind, start: Span) -> Parse<Join> {
        let join = self.unnest(kind, start)?;
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            let message = format!("there is no {} JOIN with UNNEST: elements belong to their row", kind.name());
            let hint = "write LEFT JOIN UNNEST(…) ON TRUE to keep rows without elements";
            return Err(self.fail(Diagnostic::error("E0436", start, message).hint(hint)));
        }
        let on = self.span();
        if !self.take_word("ON") {
            return Ok(join);
        }
        if !matches!(self.peek(), Tok::Word(word) if word.eq_ignore_ascii_case("TRUE")) {
            let message = "UNNEST is joined ON TRUE: its elements are those of the row";
            let hint = "put the condition into WHERE";
            return Err(self.fail(Diagnostic::error("E0436", on, message).hint(hint)));
        }
        self.bump();
        Ok(join)
    }

    /// `SELECT EXPLODE(x) AS e FROM t` becomes `SELECT e FROM t, UNNEST(x) AS e`.
    pub(super) fn explode_items(&mut self, query: &mut Query) -> Parse<()> {
        let calls: Vec<usize> =
            query.items.iter().enumerate().filter(|(_, item)| call(item).is_some()).map(|(at, _)| at).collect();
        let Some(&first) = calls.first() else { return Ok(()) };
        let Some((name, args, span)) = call(&query.items[first]) else { return Ok(()) };
        let stars = query.items.iter().any(|item| matches!(item, Item::Star(_)));
        let refused = if calls.len() > 1 {
            Some("a select list takes one collection apart")
        } else if stars {
            Some("* beside a call that takes a collection apart")
        } else if args.len() != 1 {
            Some("it takes one collection")
        } else {
            None
        };
        if let Some(reason) = refused {
            let message = format!("{} in SELECT: {reason}", name.name.to_uppercase());
            return Err(self.fail(Diagnostic::error("E0436", span, message).hint(FORM)));
        }
        let (operand, default) = (args[0].clone(), name.name.to_lowercase());
        let own = Ident { name: IN_LIST.to_owned(), span };
        let column = ExprKind::Column { qualifier: Some(own.clone()), name: own.clone() };
        let column = self.node(column, span)?;
        if let Item::Expr { expr, alias, .. } = &mut query.items[first] {
            *expr = column;
            alias.get_or_insert(Ident { name: default, span });
        }
        let on = JoinOn::Elements(Box::new(Elements { operand, numbered: false, columns: Vec::new() }));
        let relation = relation(IN_LIST.to_owned(), Some(own), span);
        query.joins.push(Join { kind: JoinKind::Inner, relation, within: None, on, asof: false, span });
        Ok(())
    }
}

/// The call that an item is, if it takes a collection apart.
fn call(item: &Item) -> Option<(&Ident, &[Expr], Span)> {
    let Item::Expr { expr, .. } = item else { return None };
    match &expr.kind {
        ExprKind::Call { name, args, star: false } if WORDS.iter().any(|w| name.name.eq_ignore_ascii_case(w)) => {
            Some((name, args, expr.span))
        }
        _ => None,
    }
}

/// What the elements are called; no object of the app.
fn relation(name: String, alias: Option<Ident>, span: Span) -> Relation {
    Relation { name, is_location: true, span, alias, with: Vec::new(), query: None, union: Vec::new(), version: None }
}
