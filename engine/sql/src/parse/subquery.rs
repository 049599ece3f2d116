//! Queries inside expressions: `(q)`, `[NOT] EXISTS (q)`, `x [NOT] IN (q)`, `x op ANY|SOME|ALL (q)`.
//!
//! IN is `= ANY` and NOT IN is `<> ALL`, which is what SQL says they are, so the tree has three forms only. What belongs
//! to a whole statement (WINDOW, EMIT, WITH) is a mistake inside; it is told here and taken out, and the rest is read on.

use velostream_types::Span;

use super::MAX_DEPTH;
use super::ast::{Expr, ExprKind, Item, Query};
use super::cursor::{Parse, Parser};
use super::lex::Sym;
use crate::diag::Diagnostic;
use crate::plan::CompareOp;

/// A query inside an expression.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub form: SubqueryForm,
    pub query: Query,
    /// From the operand or EXISTS to the closing parenthesis.
    pub span: Span,
}

/// What is made of the query's rows.
#[derive(Clone, Debug)]
pub(crate) enum SubqueryForm {
    /// EXISTS: whether there is a row.
    Exists,
    /// The value of its only row.
    Scalar,
    /// How the operand compares with its values.
    Compare {
        operand: Expr,
        op: CompareOp,
        /// ALL of them; else one is enough.
        all: bool,
        /// IN or NOT IN.
        listed: bool,
    },
}

impl Parser<'_> {
    /// TRUE at `( SELECT` and `( WITH name AS`.
    pub(super) fn is_subquery(&self) -> bool {
        self.is(Sym::LParen) && (self.is_word_at(1, "SELECT") || self.is_word_at(1, "WITH") && self.is_word_at(3, "AS"))
    }

    /// `(q)` as a value.
    pub(super) fn scalar_subquery(&mut self) -> Parse<Expr> {
        let start = self.span();
        self.subquery(SubqueryForm::Scalar, start)
    }

    /// `EXISTS (q)`, where EXISTS stands here.
    pub(super) fn exists(&mut self) -> Parse<Expr> {
        let start = self.span();
        self.bump();
        self.subquery(SubqueryForm::Exists, start)
    }

    /// What follows `operand [NOT] IN` when it is a query.
    pub(super) fn in_subquery(&mut self, operand: Expr, negated: bool) -> Parse<Expr> {
        let start = operand.span;
        let op = if negated { CompareOp::NotEqual } else { CompareOp::Equal };
        self.subquery(SubqueryForm::Compare { operand, op, all: negated, listed: true }, start)
    }

    /// TRUE at `ANY (`, `SOME (` and `ALL (`.
    pub(super) fn is_quantifier(&self) -> bool {
        self.is_any(0, &["ANY", "SOME", "ALL"]) && self.is_at(1, Sym::LParen)
    }

    /// `ANY (q)` behind `operand op`.
    pub(super) fn quantified(&mut self, operand: Expr, op: CompareOp) -> Parse<Expr> {
        let all = self.is_word("ALL");
        self.bump();
        if !self.is_subquery() {
            let message = "ANY, SOME and ALL are followed by a query in parentheses";
            let hint = "for the elements of an array write ARRAY_CONTAINS(array, x)";
            return Err(self.fail(Diagnostic::error("E0102", self.span(), message).hint(hint)));
        }
        let start = operand.span;
        self.subquery(SubqueryForm::Compare { operand, op, all, listed: false }, start)
    }

    fn subquery(&mut self, form: SubqueryForm, start: Span) -> Parse<Expr> {
        self.enter()?;
        let query = self.nested();
        self.leave();
        let mut query = query?;
        self.refuse_clauses(&mut query);
        let span = start.to(self.last_span());
        let below = query.exprs().map(|expr| expr.depth).max().unwrap_or(0);
        let mut expr = self.node(ExprKind::Subquery(Box::new(Subquery { form, query, span })), span)?;
        expr.depth = expr.depth.max(below + 1);
        if expr.depth > MAX_DEPTH { Err(self.too_deep(span)) } else { Ok(expr) }
    }

    /// Reports what only a whole statement has, and takes it out.
    fn refuse_clauses(&mut self, query: &mut Query) {
        let window = query.window.take().map(|window| ("WINDOW", window.span));
        let emit = query.emit.take().map(|(_, span)| ("EMIT", span));
        let with = std::mem::take(&mut query.with).into_iter().next().map(|entry| ("WITH", entry.key_span));
        let mut key = None;
        for item in &mut query.items {
            if let Item::Expr { expr, primary_key, .. } = item
                && std::mem::take(primary_key)
            {
                key = Some(("PRIMARY KEY", expr.span));
            }
        }
        for (clause, span) in [window, emit, with, key].into_iter().flatten() {
            let (why, hint) = match clause {
                "WINDOW" => (
                    "it looks at the rows there are, at any moment",
                    "bound the time in its WHERE, as in t.ts >= o.ts - INTERVAL '5' MINUTE, or read FROM a windowed query",
                ),
                "EMIT" => ("it gives no rows of its own", "leave EMIT out"),
                "WITH" => ("properties belong to the statement", "write WITH (…) at the end of the statement"),
                _ => ("its rows are written nowhere", "leave PRIMARY KEY out"),
            };
            let message = format!("{clause} inside a subquery: {why}");
            self.diagnostics.push(Diagnostic::error("E0441", span, message).hint(hint));
        }
        for branch in &mut query.union {
            self.refuse_clauses(&mut branch.query);
        }
    }
}
