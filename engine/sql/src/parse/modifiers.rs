//! What a call may hold besides its arguments: DISTINCT, ORDER BY and SEPARATOR inside the parentheses, WITHIN GROUP and
//! FILTER behind them.
//!
//! A call that has none of them stays a plain call, so that only aggregates have to know.

use velostream_types::Span;

use super::ast::{CallOrder, Expr, ExprKind, Ident, ModifiedCall};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

impl Parser<'_> {
    /// The call of `name`, whose opening parenthesis was just taken.
    pub(super) fn call_of(&mut self, name: Ident) -> Parse<(ExprKind, Span)> {
        let start = name.span;
        let mut call =
            ModifiedCall { name, args: Vec::new(), star: false, distinct: false, order: Vec::new(), filter: None };
        let mut plain = true;
        if self.is_word("DISTINCT") && !self.is_at(1, Sym::Comma) && !self.is_at(1, Sym::RParen) {
            self.bump();
            (call.distinct, plain) = (true, false);
        } else if self.is_word("ALL") && !self.is_at(1, Sym::Comma) && !self.is_at(1, Sym::RParen) {
            self.bump();
        }
        if self.take(Sym::Star) {
            call.star = true;
            self.expect(Sym::RParen, "\")\"")?;
        } else if !self.take(Sym::RParen) {
            plain &= self.inside_call(&mut call)?;
        }
        plain &= self.behind_call(&mut call)?;
        let call = match self.over(call)? {
            Ok(over) => return Ok((over, start.to(self.last_span()))),
            Err(call) => call,
        };
        let span = start.to(self.last_span());
        let ModifiedCall { name, args, star, .. } = call;
        if plain {
            return Ok((ExprKind::Call { name, args, star }, span));
        }
        let call = ModifiedCall { name, args, star, ..call };
        Ok((ExprKind::Modified(Box::new(call)), span))
    }

    /// Arguments up to the closing parenthesis; TRUE when there was nothing else.
    fn inside_call(&mut self, call: &mut ModifiedCall) -> Parse<bool> {
        let mut plain = true;
        let (args, worded) = self.arguments(&mut call.name)?;
        call.args = args;
        if self.is_word("ORDER") {
            call.order = self.call_order()?;
            plain = false;
        }
        if self.take_word("SEPARATOR") {
            let span = self.span();
            let Tok::Text(text) = self.peek() else { return Err(self.expected("a text in quotes")) };
            let kind = ExprKind::Text(text.to_string());
            self.bump();
            call.args.push(Expr { kind, span, depth: 1 });
        }
        self.expect(Sym::RParen, if worded { "\")\"" } else { "\",\" or \")\"" })?;
        Ok(plain)
    }

    /// WITHIN GROUP and FILTER; TRUE when there is neither.
    fn behind_call(&mut self, call: &mut ModifiedCall) -> Parse<bool> {
        let mut plain = true;
        if self.is_word("WITHIN") && self.is_word_at(1, "GROUP") {
            let span = self.span();
            self.bump();
            self.bump();
            self.expect(Sym::LParen, "( after WITHIN GROUP")?;
            if !call.order.is_empty() {
                let message = format!("{} has two ORDER BY", call.name.name.to_uppercase());
                return Err(self.fail(Diagnostic::error("E0106", span, message)));
            }
            call.order = self.call_order()?;
            self.expect(Sym::RParen, "\",\" or \")\"")?;
            plain = false;
        }
        if self.is_word("FILTER") && self.is_at(1, Sym::LParen) {
            self.bump();
            self.bump();
            self.expect_word("WHERE")?;
            call.filter = Some(self.expr()?);
            self.expect(Sym::RParen, "\")\"")?;
            plain = false;
        }
        Ok(plain)
    }

    pub(super) fn call_order(&mut self) -> Parse<Vec<CallOrder>> {
        self.expect_word("ORDER")?;
        self.expect_word("BY")?;
        let mut order = Vec::new();
        loop {
            let expr = self.expr()?;
            let descending = !self.take_word("ASC") && self.take_word("DESC");
            let nulls_first = match self.take_word("NULLS") {
                false => None,
                true if self.take_word("FIRST") => Some(true),
                true => {
                    self.expect_word("LAST")?;
                    Some(false)
                }
            };
            order.push(CallOrder { expr, descending, nulls_first });
            if !self.take(Sym::Comma) {
                return Ok(order);
            }
        }
    }
}
