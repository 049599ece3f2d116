//! Functions that SQL gives words of their own between their arguments; they become plain calls here:
//! `SUBSTRING(s FROM a FOR b)`, `POSITION(a IN b)`, `TRIM(BOTH c FROM s)`, `EXTRACT(part FROM x)`.

use super::ast::{Expr, ExprKind, Ident};
use super::cursor::{Parse, Parser};
use super::expr::CONCAT;
use super::lex::Tok;

impl Parser<'_> {
    /// The arguments up to the first comma, and whether words stood between them, so that no comma may follow. `name`
    /// becomes that of the function the form means.
    pub(super) fn first_arguments(&mut self, name: &mut Ident) -> Parse<(Vec<Expr>, bool)> {
        match name.name.to_ascii_uppercase().as_str() {
            "EXTRACT" => self.part(),
            "POSITION" => self.part_in_text(),
            "SUBSTRING" | "SUBSTR" => self.range(),
            "TRIM" => self.trim(name),
            _ => Ok((vec![self.expr()?], false)),
        }
    }

    /// `part FROM x`
    fn part(&mut self) -> Parse<(Vec<Expr>, bool)> {
        let span = self.span();
        let part = match self.peek() {
            Tok::Word(part) | Tok::Text(part) if self.is_word_at(1, "FROM") => part.to_string(),
            _ => return Ok((vec![self.expr()?], false)),
        };
        self.bump();
        self.bump();
        Ok((vec![self.node(ExprKind::Text(part), span)?, self.expr()?], true))
    }

    /// `part IN text`; IN is no operator here.
    fn part_in_text(&mut self) -> Parse<(Vec<Expr>, bool)> {
        let part = self.binary(CONCAT)?;
        if !self.take_word("IN") {
            return Ok((vec![part], false));
        }
        Ok((vec![part, self.binary(CONCAT)?], true))
    }

    /// `text FROM start FOR length`
    fn range(&mut self) -> Parse<(Vec<Expr>, bool)> {
        let mut list = vec![self.expr()?];
        if !self.is_any(0, &["FROM", "FOR"]) {
            return Ok((list, false));
        }
        if self.take_word("FROM") {
            list.push(self.expr()?);
        } else {
            let span = self.span();
            list.push(self.node(ExprKind::Number("1".to_owned()), span)?);
        }
        if self.take_word("FOR") {
            list.push(self.expr()?);
        }
        Ok((list, true))
    }

    /// `[LEADING | TRAILING | BOTH] [characters] FROM text`
    fn trim(&mut self, name: &mut Ident) -> Parse<(Vec<Expr>, bool)> {
        let sides = [("LEADING", "LTRIM"), ("TRAILING", "RTRIM"), ("BOTH", "TRIM")];
        // Before a comma, a parenthesis or an operator the word is a column.
        let side = sides.iter().find(|(word, _)| self.is_word(word) && !matches!(self.peek_at(1), Tok::Sym(_)));
        if let Some((_, function)) = side {
            name.name = (*function).to_owned();
            self.bump();
        }
        if side.is_some() && self.take_word("FROM") {
            return Ok((vec![self.expr()?], true));
        }
        let first = self.expr()?;
        if self.take_word("FROM") {
            return Ok((vec![self.expr()?, first], true));
        }
        match side {
            Some(_) => Err(self.expected("FROM")),
            None => Ok((vec![first], false)),
        }
    }
}
