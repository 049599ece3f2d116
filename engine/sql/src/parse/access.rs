//! What follows a value to reach into it, `.field` and `[index]`, and values written with brackets or hex digits.
//!
//! A path `a.b.c` is a column of two names and a field of it: which of them is a relation, a column or a field is for the
//! binder to tell. Every step is a level of the tree, so paths are as deep as expressions may be.

use super::ast::{Expr, ExprKind, Ident};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

impl Parser<'_> {
    /// A primary and the steps behind it.
    pub(super) fn value(&mut self) -> Parse<Expr> {
        let mut value = self.primary()?;
        loop {
            if self.take(Sym::Period) {
                let name = self.field_name()?;
                let span = value.span.to(name.span);
                value = self.node(ExprKind::Field { operand: Box::new(value), name }, span)?;
            } else if self.take(Sym::LBracket) {
                let index = Box::new(self.expr()?);
                self.expect(Sym::RBracket, "\"]\"")?;
                let span = value.span.to(self.last_span());
                value = self.node(ExprKind::Element { operand: Box::new(value), index }, span)?;
            } else {
                return Ok(value);
            }
        }
    }

    /// The name right behind a `.`, where reserved words are names, too: a record may have a field `from`.
    pub(super) fn field_name(&mut self) -> Parse<Ident> {
        let span = self.span();
        match self.peek() {
            Tok::Word(word) if self.touches(0) => {
                self.bump();
                Ok(Ident { name: word.to_string(), span })
            }
            _ => self.name("a column name after \".\""),
        }
    }

    /// `ARRAY[a, b, …]`
    pub(super) fn array(&mut self) -> Parse<Expr> {
        let word = self.span();
        self.bump();
        self.bump();
        let mut elements = Vec::new();
        if !self.is(Sym::RBracket) {
            elements.push(self.expr()?);
            while self.take(Sym::Comma) {
                elements.push(self.expr()?);
            }
        }
        self.expect(Sym::RBracket, "\",\" or \"]\"")?;
        let span = word.to(self.last_span());
        self.named("ARRAY", word, elements, span)
    }

    /// `X'48656C'`: two hex digits a byte.
    pub(super) fn bytes(&mut self, digits: &str) -> Parse<Expr> {
        let span = self.span();
        self.bump();
        let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
        match bytes.filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(bytes) => self.node(ExprKind::Bytes(bytes), span),
            None => {
                let message = format!("X'{digits}' is no sequence of bytes");
                Err(self.fail(Diagnostic::error("E0304", span, message).hint("write two hex digits for each byte")))
            }
        }
    }
}
