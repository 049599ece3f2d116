//! `f(…) OVER (…)`: the standard form and ksql's `ROWS WINDOW BUFFER n ROWS`, with partition, order, frame, EMIT and EXPIRE.

use super::ast::{ExprKind, FrameEdge, FrameText, ModifiedCall, Over, OverBuffer};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

impl Parser<'_> {
    /// What follows `call` when it is `[IGNORE | RESPECT NULLS] OVER (`; the call comes back when it is not.
    pub(super) fn over(&mut self, call: ModifiedCall) -> Parse<Result<ExprKind, ModifiedCall>> {
        let nulls = self.is_any(0, &["IGNORE", "RESPECT"]) && self.is_word_at(1, "NULLS");
        let at = if nulls { 2 } else { 0 };
        if !(self.is_word_at(at, "OVER") && self.is_at(at + 1, Sym::LParen)) {
            return Ok(Err(call));
        }
        let ignore_nulls = nulls && self.is_word("IGNORE");
        (0..at + 2).for_each(|_| self.bump());
        let mut over = Over {
            call,
            ignore_nulls,
            buffer: None,
            partition: Vec::new(),
            order: Vec::new(),
            frame: None,
            when_full: false,
            expire: None,
        };
        if self.is_word("ROWS") && self.is_word_at(1, "WINDOW") {
            self.buffer(&mut over)?;
        }
        if self.is_word("PARTITION") && self.is_word_at(1, "BY") {
            self.bump();
            self.bump();
            over.partition.push(self.expr()?);
            while self.take(Sym::Comma) {
                over.partition.push(self.expr()?);
            }
        }
        if self.is_word("ORDER") {
            over.order = self.call_order()?;
        }
        if self.is_any(0, &["ROWS", "RANGE"]) {
            over.frame = Some(self.frame()?);
        }
        self.over_rules(&mut over)?;
        self.expect(Sym::RParen, "PARTITION BY, ORDER BY, a frame or \")\"")?;
        Ok(Ok(ExprKind::Over(Box::new(over))))
    }

    /// `ROWS WINDOW BUFFER n ROWS`
    fn buffer(&mut self, over: &mut Over) -> Parse<()> {
        self.bump();
        self.bump();
        self.expect_word("BUFFER")?;
        let span = self.span();
        let Tok::Number(digits) = self.peek() else { return Err(self.expected("how many rows the buffer holds")) };
        let Ok(rows) = digits.parse() else {
            let message = format!("BUFFER {digits} is not a whole number of rows");
            return Err(self.fail(Diagnostic::error("E0111", span, message)));
        };
        self.bump();
        self.expect_word("ROWS")?;
        over.buffer = Some(OverBuffer { rows, span });
        Ok(())
    }

    /// EMIT and EXPIRE, in either order.
    fn over_rules(&mut self, over: &mut Over) -> Parse<()> {
        loop {
            if self.take_word("EMIT") {
                // EMIT CHANGES says what OVER does anyway.
                if self.take_word("EVERY") {
                    self.expect_word("RECORD")?;
                } else if self.take_word("ON") {
                    self.expect_word("BUFFER")?;
                    self.expect_word("FULL")?;
                    over.when_full = true;
                } else if !self.take_word("CHANGES") {
                    return Err(self.expected("EVERY RECORD or ON BUFFER FULL"));
                }
            } else if self.take_word("EXPIRE") {
                self.expect_word("AFTER")?;
                if self.take_word("NEVER") {
                    over.expire = Some(None);
                } else {
                    over.expire = Some(Some(self.duration()?));
                    self.take_word("INACTIVITY");
                }
            } else {
                return Ok(());
            }
        }
    }

    fn frame(&mut self) -> Parse<FrameText> {
        let start = self.span();
        let range = self.is_word("RANGE");
        self.bump();
        let (first, last) = if self.take_word("BETWEEN") {
            let first = self.edge()?;
            self.expect_word("AND")?;
            (first, self.edge()?)
        } else {
            (self.edge()?, FrameEdge::CurrentRow)
        };
        Ok(FrameText { range, first, last, span: start.to(self.last_span()) })
    }

    fn edge(&mut self) -> Parse<FrameEdge> {
        if self.take_word("CURRENT") {
            self.expect_word("ROW")?;
            return Ok(FrameEdge::CurrentRow);
        }
        let unbounded = self.take_word("UNBOUNDED");
        let distance = if unbounded {
            None
        } else {
            let distance = self.binary(super::expr::CONCAT)?;
            Some(Box::new(distance))
        };
        let preceding = self.take_word("PRECEDING");
        if !preceding && !self.take_word("FOLLOWING") {
            return Err(self.expected("PRECEDING or FOLLOWING"));
        }
        Ok(if preceding { FrameEdge::Preceding(distance) } else { FrameEdge::Following(distance) })
    }
}
