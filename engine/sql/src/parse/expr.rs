//! Expressions: precedence climbing. Loosest to tightest: OR, AND, NOT, comparison, `||`, `+ -`, `* / %`, sign.
//!
//! Operands of one level are pushed into one flat node, so a chain of 100,000 costs no stack. Comparisons do not chain
//! (`a = b = c` is an error), which keeps a tree at most a few levels deeper than its parentheses.

use velostream_functions::read;
use velostream_types::{DataType, Span};

use super::MAX_DEPTH;
use super::ast::{Expr, ExprKind, Ident, TypeName};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;
use crate::plan::{ArithmeticOp, CompareOp};

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const COMPARE: u8 = 4;
pub(super) const CONCAT: u8 = 5;
const ADD: u8 = 6;
const MULTIPLY: u8 = 7;

#[derive(Clone, Copy)]
enum Operator {
    Or,
    And,
    Compare(CompareOp),
    /// IS, IN, BETWEEN, LIKE and their NOT.
    Word,
    /// `~` and, negated, `!~`.
    Match {
        negated: bool,
    },
    Concat,
    Arithmetic(ArithmeticOp),
}

impl Parser<'_> {
    pub fn expr(&mut self) -> Parse<Expr> {
        self.binary(OR)
    }

    pub(super) fn binary(&mut self, level: u8) -> Parse<Expr> {
        self.enter()?;
        let result = self.climb(level);
        self.leave();
        result
    }

    fn climb(&mut self, minimum: u8) -> Parse<Expr> {
        let mut left = self.operand()?;
        let mut compared = false;
        while let Some((level, operator)) = self.operator()? {
            if level < minimum {
                break;
            }
            if level == COMPARE && std::mem::replace(&mut compared, true) {
                let message = "comparisons do not chain";
                let hint = "use parentheses, or AND between two comparisons";
                return Err(self.fail(Diagnostic::error("E0102", self.span(), message).hint(hint)));
            }
            left = self.step(left, operator)?;
        }
        Ok(left)
    }

    /// The operator here, if there is one, with its level.
    fn operator(&mut self) -> Parse<Option<(u8, Operator)>> {
        let arithmetic = |level, op| Ok(Some((level, Operator::Arithmetic(op))));
        let compare = |op| Ok(Some((COMPARE, Operator::Compare(op))));
        match self.peek() {
            Tok::Sym(sym) => match sym {
                Sym::Plus => arithmetic(ADD, ArithmeticOp::Add),
                Sym::Minus => arithmetic(ADD, ArithmeticOp::Subtract),
                Sym::Star => arithmetic(MULTIPLY, ArithmeticOp::Multiply),
                Sym::Slash => arithmetic(MULTIPLY, ArithmeticOp::Divide),
                Sym::Percent => arithmetic(MULTIPLY, ArithmeticOp::Modulo),
                Sym::Concat => Ok(Some((CONCAT, Operator::Concat))),
                Sym::Eq => compare(CompareOp::Equal),
                Sym::Neq => compare(CompareOp::NotEqual),
                Sym::Lt => compare(CompareOp::Less),
                Sym::LtEq => compare(CompareOp::LessOrEqual),
                Sym::Gt => compare(CompareOp::Greater),
                Sym::GtEq => compare(CompareOp::GreaterOrEqual),
                Sym::DoubleEq => {
                    let message = "== is not an SQL operator";
                    Err(self.fail(Diagnostic::error("E0103", self.span(), message).hint("write = to compare")))
                }
                Sym::Tilde => Ok(Some((COMPARE, Operator::Match { negated: false }))),
                Sym::NotTilde => Ok(Some((COMPARE, Operator::Match { negated: true }))),
                _ => Ok(None),
            },
            Tok::Word(_) if self.is_word("OR") => Ok(Some((OR, Operator::Or))),
            Tok::Word(_) if self.is_word("AND") => Ok(Some((AND, Operator::And))),
            Tok::Word(_) if self.is_any(0, &["IS", "IN", "BETWEEN", "LIKE"]) => Ok(Some((COMPARE, Operator::Word))),
            Tok::Word(_) if self.is_word("NOT") && self.is_any(1, &["IN", "BETWEEN", "LIKE"]) => {
                Ok(Some((COMPARE, Operator::Word)))
            }
            _ => Ok(None),
        }
    }

    fn step(&mut self, left: Expr, operator: Operator) -> Parse<Expr> {
        if !matches!(operator, Operator::Word) {
            self.bump();
        }
        match operator {
            Operator::Or => {
                let right = self.binary(OR + 1)?;
                self.chained(left, right, ExprKind::Or, |kind| match kind {
                    ExprKind::Or(list) => Some(list),
                    _ => None,
                })
            }
            Operator::And => {
                let right = self.binary(AND + 1)?;
                self.chained(left, right, ExprKind::And, |kind| match kind {
                    ExprKind::And(list) => Some(list),
                    _ => None,
                })
            }
            Operator::Concat => {
                let right = self.binary(CONCAT + 1)?;
                self.chained(left, right, ExprKind::Concat, |kind| match kind {
                    ExprKind::Concat(list) => Some(list),
                    _ => None,
                })
            }
            Operator::Compare(op) => {
                if self.is_quantifier() {
                    return self.quantified(left, op);
                }
                let right = self.binary(CONCAT)?;
                let span = left.span.to(right.span);
                self.node(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) }, span)
            }
            Operator::Arithmetic(op) => self.arithmetic(left, op),
            Operator::Match { negated } => {
                let sign = self.last_span();
                let right = self.binary(CONCAT)?;
                let span = left.span.to(right.span);
                let found = self.named("REGEXP_LIKE", sign, vec![left, right], span)?;
                self.negated_if(negated, found)
            }
            Operator::Word => self.word_operator(left),
        }
    }

    fn arithmetic(&mut self, mut left: Expr, op: ArithmeticOp) -> Parse<Expr> {
        let additive = |op| matches!(op, ArithmeticOp::Add | ArithmeticOp::Subtract);
        let right = self.binary(if additive(op) { ADD } else { MULTIPLY } + 1)?;
        let span = left.span.to(right.span);
        match &mut left.kind {
            ExprKind::Arithmetic { rest, .. } if rest.first().is_some_and(|s| additive(s.0) == additive(op)) => {
                left.depth = left.depth.max(right.depth + 1);
                left.span = span;
                rest.push((op, right));
                self.checked(left)
            }
            _ => self.node(ExprKind::Arithmetic { first: Box::new(left), rest: vec![(op, right)] }, span),
        }
    }

    /// Pushes `right` into `left` when that is a list of the same operator, else starts the list.
    fn chained(
        &mut self,
        mut left: Expr,
        right: Expr,
        start: fn(Vec<Expr>) -> ExprKind,
        list: fn(&mut ExprKind) -> Option<&mut Vec<Expr>>,
    ) -> Parse<Expr> {
        let span = left.span.to(right.span);
        if let Some(list) = list(&mut left.kind) {
            let depth = right.depth + 1;
            list.push(right);
            left.depth = left.depth.max(depth);
            left.span = span;
            return self.checked(left);
        }
        self.node(start(vec![left, right]), span)
    }

    fn word_operator(&mut self, left: Expr) -> Parse<Expr> {
        let operand = Box::new(left);
        if self.take_word("IS") {
            let negated = self.take_word("NOT");
            if self.take_word("DISTINCT") {
                self.expect_word("FROM")?;
                let right = Box::new(self.binary(CONCAT)?);
                let span = operand.span.to(right.span);
                return self.node(ExprKind::Distinct { left: operand, right, negated }, span);
            }
            self.expect_word("NULL")?;
            let span = operand.span.to(self.last_span());
            return self.node(ExprKind::IsNull { operand, negated }, span);
        }
        let negated = self.take_word("NOT");
        if self.is_word("LIKE") {
            return self.like(*operand, negated);
        }
        if self.take_word("BETWEEN") {
            let low = Box::new(self.binary(CONCAT)?);
            self.expect_word("AND")?;
            let high = Box::new(self.binary(CONCAT)?);
            let span = operand.span.to(high.span);
            return self.node(ExprKind::Between { operand, low, high, negated }, span);
        }
        self.expect_word("IN")?;
        if self.is_subquery() {
            return self.in_subquery(*operand, negated);
        }
        self.expect(Sym::LParen, "( after IN")?;
        let list = self.list()?;
        let span = operand.span.to(self.last_span());
        self.node(ExprKind::InList { operand, list, negated }, span)
    }

    /// What follows the left side of LIKE.
    fn like(&mut self, operand: Expr, negated: bool) -> Parse<Expr> {
        let word = self.span();
        self.bump();
        let mut args = vec![operand, self.binary(CONCAT)?];
        if self.take_word("ESCAPE") {
            args.push(self.binary(CONCAT)?);
        }
        let span = args[0].span.to(self.last_span());
        let like = self.named("LIKE", word, args, span)?;
        self.negated_if(negated, like)
    }

    fn negated_if(&mut self, negated: bool, expr: Expr) -> Parse<Expr> {
        let span = expr.span;
        if negated { self.node(ExprKind::Not(Box::new(expr)), span) } else { Ok(expr) }
    }

    /// A call of the function that a form of its own stands for; `word` is the form's own word or sign.
    pub(super) fn named(&mut self, name: &str, word: Span, args: Vec<Expr>, span: Span) -> Parse<Expr> {
        let name = Ident { name: name.to_owned(), span: word };
        self.node(ExprKind::Call { name, args, star: false }, span)
    }

    /// Expressions up to the closing parenthesis, at least one.
    fn list(&mut self) -> Parse<Vec<Expr>> {
        let mut list = vec![self.expr()?];
        while self.take(Sym::Comma) {
            list.push(self.expr()?);
        }
        self.expect(Sym::RParen, "\",\" or \")\"")?;
        Ok(list)
    }

    fn operand(&mut self) -> Parse<Expr> {
        let start = self.span();
        if self.take_word("NOT") {
            let operand = Box::new(self.binary(NOT)?);
            let span = start.to(operand.span);
            return self.node(ExprKind::Not(operand), span);
        }
        if self.take(Sym::Minus) {
            let operand = Box::new(self.binary(MULTIPLY + 1)?);
            let span = start.to(operand.span);
            return self.node(ExprKind::Negate(operand), span);
        }
        if self.take(Sym::Plus) {
            return self.binary(MULTIPLY + 1);
        }
        let mut value = self.value()?;
        while self.is_word("AT") && self.is_word_at(1, "TIME") && self.is_word_at(2, "ZONE") {
            let word = self.span();
            (0..3).for_each(|_| self.bump());
            let zone = self.value()?;
            let span = value.span.to(zone.span);
            let utc = self.node(ExprKind::Text("UTC".to_owned()), word)?;
            value = self.named("CONVERT_TZ", word, vec![value, utc, zone], span)?;
        }
        Ok(value)
    }

    pub(super) fn primary(&mut self) -> Parse<Expr> {
        let span = self.span();
        if let Some(duration) = self.glued_duration() {
            let duration = duration?;
            return self.node(ExprKind::Interval(duration.ns), duration.span);
        }
        let kind = match self.peek() {
            Tok::Number(digits) => ExprKind::Number(digits.to_string()),
            Tok::Text(text) => ExprKind::Text(text.to_string()),
            Tok::Hex(digits) => return self.bytes(digits),
            Tok::DoubleQuoted(text) if !self.is_at(1, Sym::Period) => ExprKind::DoubleQuoted(text.to_string()),
            Tok::Sym(Sym::LParen) => return self.parenthesised(),
            Tok::Word(_) => return self.word_primary(),
            Tok::Backtick(_) | Tok::DoubleQuoted(_) => return self.column(),
            _ => return Err(self.expected("an expression")),
        };
        self.bump();
        self.node(kind, span)
    }

    fn parenthesised(&mut self) -> Parse<Expr> {
        let start = self.span();
        if self.is_subquery() {
            return self.scalar_subquery();
        }
        self.bump();
        let mut inner = self.expr()?;
        self.expect(Sym::RParen, "\")\"")?;
        inner.span = start.to(self.last_span());
        Ok(inner)
    }

    fn word_primary(&mut self) -> Parse<Expr> {
        let span = self.span();
        if self.is_word("CASE") {
            return self.case();
        }
        let literal =
            [("NULL", ExprKind::Null), ("TRUE", ExprKind::Boolean(true)), ("FALSE", ExprKind::Boolean(false))];
        for (word, kind) in literal {
            if self.is_word(word) && !self.is_at(1, Sym::Period) {
                self.bump();
                return self.node(kind, span);
            }
        }
        if self.is_word("INTERVAL") && matches!(self.peek_at(1), Tok::Text(_) | Tok::Number(_) | Tok::Sym(Sym::Minus)) {
            if let Some(calendar) = self.calendar_interval() {
                let (months, span) = calendar?;
                return self.node(ExprKind::Months(months), span);
            }
            let duration = self.interval()?;
            return self.node(ExprKind::Interval(duration.ns), duration.span);
        }
        if matches!(self.peek_at(1), Tok::Text(_)) && self.is_any(0, &["DATE", "TIMESTAMP", "TIME"]) {
            return self.typed_literal();
        }
        if self.is_at(1, Sym::LParen) && !self.is_any(0, &["IN", "AND", "OR", "AS"]) {
            return self.call();
        }
        if self.is_any(0, &["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"]) && !self.is_at(1, Sym::Period) {
            let name = self.name("an expression")?;
            return self.node(ExprKind::Call { name, args: Vec::new(), star: false }, span);
        }
        if self.is_word("ARRAY") && self.is_at(1, Sym::LBracket) {
            return self.array();
        }
        self.column()
    }

    /// `DATE '2026-01-01'`, TIMESTAMP and TIME alike.
    fn typed_literal(&mut self) -> Parse<Expr> {
        let span = self.span();
        let data_type = match self.word(0).map(str::to_ascii_uppercase).as_deref() {
            Some("DATE") => DataType::Date,
            Some("TIMESTAMP") => DataType::Timestamp,
            _ => DataType::Time,
        };
        self.bump();
        let operand = Box::new(self.primary()?);
        if let ExprKind::Text(text) = &operand.kind
            && read::value(text, &data_type).is_none()
        {
            let message = format!("'{text}' is not a {data_type}");
            let diagnostic = Diagnostic::error("E0304", operand.span, message);
            return Err(self.fail(diagnostic.hint(read::expected(&data_type))));
        }
        let whole = span.to(operand.span);
        let to = TypeName { data_type, open_decimal: false, span };
        self.node(ExprKind::Cast { operand, to, try_cast: false }, whole)
    }

    pub(super) fn column(&mut self) -> Parse<Expr> {
        let first = self.name("an expression")?;
        let (mut qualifier, mut name) = (None, first);
        if self.take(Sym::Period) {
            let second = self.field_name()?;
            qualifier = Some(std::mem::replace(&mut name, second));
        }
        let span = qualifier.as_ref().map_or(name.span, |q: &Ident| q.span.to(name.span));
        self.node(ExprKind::Column { qualifier, name }, span)
    }

    fn case(&mut self) -> Parse<Expr> {
        let start = self.span();
        self.expect_word("CASE")?;
        let operand = if self.is_word("WHEN") { None } else { Some(Box::new(self.expr()?)) };
        let mut branches = Vec::new();
        while self.take_word("WHEN") {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            branches.push((when, self.expr()?));
        }
        if branches.is_empty() {
            return Err(self.expected("WHEN"));
        }
        let otherwise = if self.take_word("ELSE") { Some(Box::new(self.expr()?)) } else { None };
        if !self.take_word("END") {
            return Err(self.expected("WHEN, ELSE or END"));
        }
        let span = start.to(self.last_span());
        self.node(ExprKind::Case { operand, branches, otherwise }, span)
    }

    fn call(&mut self) -> Parse<Expr> {
        let start = self.span();
        if self.is_word("CAST") || self.is_word("TRY_CAST") {
            let try_cast = self.is_word("TRY_CAST");
            self.bump();
            self.bump();
            let operand = Box::new(self.expr()?);
            self.expect_word("AS")?;
            let to = self.type_name()?;
            self.expect(Sym::RParen, "\")\"")?;
            let span = start.to(self.last_span());
            return self.node(ExprKind::Cast { operand, to, try_cast }, span);
        }
        if self.is_word("EXISTS") {
            return self.exists();
        }
        let name = self.name("a function name")?;
        self.bump();
        let (kind, span) = self.call_of(name)?;
        if let ExprKind::Call { name, args, star: false } = &kind
            && args.is_empty()
            && name.name.eq_ignore_ascii_case("TIMESTAMP")
        {
            let name = Ident { name: "_timestamp".to_owned(), span: name.span };
            return self.node(ExprKind::Column { qualifier: None, name }, span);
        }
        self.node(kind, span)
    }

    /// Arguments of a call, at least one; what follows them is left. Forms with words in them may change the name,
    /// and are told by TRUE.
    pub(super) fn arguments(&mut self, name: &mut Ident) -> Parse<(Vec<Expr>, bool)> {
        let (mut list, worded) = self.first_arguments(name)?;
        while !worded && self.take(Sym::Comma) {
            list.push(self.expr()?);
        }
        if self.is_word("FROM") {
            let what = format!("this form of {}", name.name.to_uppercase());
            return Err(self.unsupported(self.span(), &what));
        }
        Ok((list, worded))
    }

    /// A node with its depth; too deep is an error.
    pub(super) fn node(&mut self, kind: ExprKind, span: Span) -> Parse<Expr> {
        let mut below = 0;
        let mut expr = Expr { kind, span, depth: 0 };
        expr.each_child(|child| below = below.max(child.depth));
        expr.depth = below + 1;
        self.checked(expr)
    }

    fn checked(&mut self, expr: Expr) -> Parse<Expr> {
        if expr.depth > MAX_DEPTH { Err(self.too_deep(expr.span)) } else { Ok(expr) }
    }
}
