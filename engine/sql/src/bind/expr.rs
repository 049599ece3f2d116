//! Expressions: names to positions, types checked, casts inserted.
//!
//! Every function answers `None` after a mistake that was reported, so that one mistake is one finding while the rest of
//! the expression is still looked at. Recursion follows the tree and expanded aliases, at most [`MAX_BIND_DEPTH`] deep;
//! all expressions of an app have at most [`MAX_WORK`] nodes, which also bounds what aliases and CASE duplicate.

use velostream_functions::read;
use velostream_types::{DataType, Span, Value, decimal};

use super::Binder;
use super::scope::{Named, Scope};
use super::typing::{self, Pair};
use crate::diag::Diagnostic;
use crate::parse::MAX_DEPTH;
use crate::parse::ast::{self, Ident, TypeName};
use crate::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind};

const MAX_BIND_DEPTH: u16 = MAX_DEPTH + 16;
const MAX_WORK: u64 = 4_000_000;

impl Binder<'_> {
    /// Binds `expr` in `scope`.
    pub(super) fn bind<'q>(&mut self, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        self.work += 1;
        if self.work > MAX_WORK || scope.depth >= MAX_BIND_DEPTH {
            self.too_large(expr.span, self.work > MAX_WORK);
            return None;
        }
        scope.depth += 1;
        let bound = match self.bind_group_key(expr, scope) {
            Some(key) => Some(key),
            None => self.bind_kind(expr, scope),
        };
        scope.depth -= 1;
        bound
    }

    fn too_large(&mut self, span: Span, work: bool) {
        let message = match work {
            true => format!("the expressions have more than {MAX_WORK} parts, aliases expanded"),
            false => format!("the expression is nested more than {MAX_DEPTH} levels deep, aliases expanded"),
        };
        if !(work && std::mem::replace(&mut self.exhausted, true)) {
            let hint = "compute parts of it in a CREATE STREAM of their own";
            self.report(Diagnostic::error("E0107", span, message).hint(hint));
        }
    }

    fn bind_kind<'q>(&mut self, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        use ast::ExprKind as Ast;
        let span = expr.span;
        match &expr.kind {
            Ast::Column { qualifier, name } if self.is_outside(qualifier.as_ref(), name, scope) => {
                self.outside(expr, scope)
            }
            Ast::Column { qualifier: Some(first), name } if self.is_path(first, name, scope) => {
                self.path(first, name, expr, scope)
            }
            Ast::Field { operand, name } => self.field_of(operand, name, expr, scope),
            Ast::Element { operand, index } => self.element(operand, index, span, scope),
            Ast::Bytes(bytes) => Some(literal(Value::Bytes(bytes.as_slice().into()), span)),
            Ast::Column { qualifier, name } => self.bind_name(qualifier.as_ref(), name, span, expr, scope),
            Ast::DoubleQuoted(text) => self.bind_double_quoted(text, expr, scope),
            Ast::Text(text) => Some(literal(Value::Str(text.as_str().into()), span)),
            Ast::Number(digits) => self.number(digits, span),
            Ast::Boolean(b) => Some(literal(Value::Bool(*b), span)),
            Ast::Null => Some(literal(Value::Null, span)),
            Ast::Interval(ns) => Some(literal(Value::Interval(*ns), span)),
            Ast::Months(_) => {
                let message = "an interval of months or years stands only behind + or - of a date or time";
                let hint = "write ts + INTERVAL '1' MONTH, or DATE_ADD(ts, 1, 'month')";
                self.report(Diagnostic::error("E0302", span, message).hint(hint));
                None
            }
            Ast::Negate(operand) => self.negate(operand, span, scope),
            Ast::Not(operand) => {
                let operand = self.bind_condition(operand, scope)?;
                Some(boolean(ExprKind::Not(Box::new(operand)), span))
            }
            Ast::Arithmetic { first, rest } => self.arithmetic(first, rest, scope),
            Ast::Concat(list) => self.concat(list, span, scope),
            Ast::And(list) => Some(boolean(ExprKind::And(self.conditions(list, scope)?), span)),
            Ast::Or(list) => Some(boolean(ExprKind::Or(self.conditions(list, scope)?), span)),
            Ast::Compare { op, left, right } => {
                let (left, right) = self.both(left, right, scope);
                self.compare(*op, left?, right?, span)
            }
            Ast::Distinct { left, right, negated } => {
                let (left, right) = self.both(left, right, scope);
                let (left, right) = self.comparable(left?, right?, span)?;
                let (left, right) = (Box::new(left), Box::new(right));
                Some(boolean(ExprKind::Distinct { left, right, negated: *negated }, span))
            }
            Ast::Between { operand, low, high, negated } => self.between([operand, low, high], *negated, span, scope),
            Ast::InList { operand, list, negated } => self.in_list(operand, list, *negated, span, scope),
            Ast::IsNull { operand, negated } => {
                let operand = Box::new(self.bind(operand, scope)?);
                Some(boolean(ExprKind::IsNull { operand, negated: *negated }, span))
            }
            Ast::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), span, scope)
            }
            Ast::Cast { operand, to, try_cast } => self.cast(operand, to, *try_cast, span, scope),
            Ast::Call { name, args, star } => self.call(name, args, *star, span, scope),
            Ast::Modified(call) => self.modified_call(call, span, scope),
            Ast::Over(over) => self.bind_over(over, span, scope),
            Ast::Subquery(sub) => self.subquery(sub, scope),
        }
    }

    pub(super) fn bind_name<'q>(
        &mut self,
        qualifier: Option<&Ident>,
        name: &Ident,
        span: Span,
        expr: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let named = self.resolve(qualifier, name, scope)?;
        match named {
            Named::Alias(item, aliased) => {
                let visible = std::mem::replace(&mut scope.visible, item);
                scope.aliased += 1;
                let bound = self.bind(aliased, scope);
                scope.aliased -= 1;
                scope.visible = visible;
                // A call that gives another value at every place keeps the place it was written at.
                let fixed = |b: &Expr| matches!(&b.kind, ExprKind::Call { function, .. } if function.volatile);
                bound.map(|b| if fixed(&b) { b } else { Expr { span, ..b } })
            }
            _ if scope.grouped.is_some() => self.grouped_name(&named, name, expr, scope),
            _ => self.named_row(&named, name, span, &scope.rel),
        }
    }

    /// `"x"`: the column x if there is one, else text.
    fn bind_double_quoted<'q>(&mut self, text: &str, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        let span = expr.span;
        if scope.rel.schema.index_of(text).is_none() {
            return Some(literal(Value::Str(text.into()), span));
        }
        let message = format!("\"{text}\" is taken as the column of that name");
        let hint = format!("write `{text}` for the column, or '{text}' for text");
        self.report(Diagnostic::warning("W0201", span, message).hint(hint));
        let name = Ident { name: text.to_owned(), span };
        self.bind_name(None, &name, span, expr, scope)
    }

    fn number(&mut self, digits: &str, span: Span) -> Option<Expr> {
        if let Some(value) = number_value(digits) {
            return Some(literal(value, span));
        }
        let message = format!("number {digits} has more digits than the engine holds");
        self.report(Diagnostic::error("E0111", span, message).detail("decimals have at most 38 digits"));
        None
    }

    fn negate<'q>(&mut self, operand: &'q ast::Expr, span: Span, scope: &mut Scope<'q>) -> Option<Expr> {
        if let ast::ExprKind::Number(digits) = &operand.kind {
            return self.number(&format!("-{digits}"), span);
        }
        let operand = self.bind(operand, scope)?;
        let data_type = operand.data_type.clone();
        if !data_type.is_numeric() && !matches!(data_type, DataType::Interval | DataType::Null) {
            let message = format!("\"-\" needs a number, not {data_type}");
            self.report(Diagnostic::error("E0302", span, message));
            return None;
        }
        Some(Expr { kind: ExprKind::Negate(Box::new(operand)), data_type, span })
    }

    fn arithmetic<'q>(
        &mut self,
        first: &'q ast::Expr,
        rest: &'q [(ArithmeticOp, ast::Expr)],
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        // Months may stand first, as any interval, and are added to what follows.
        if let (ast::ExprKind::Months(months), [(ArithmeticOp::Add, second), rest @ ..]) = (&first.kind, rest) {
            let left = self.bind(second, scope);
            let left = left.and_then(|left| self.months(ArithmeticOp::Add, left, *months, first.span.to(second.span)));
            return self.arithmetic_steps(left, rest, scope);
        }
        let left = self.bind(first, scope);
        self.arithmetic_steps(left, rest, scope)
    }

    fn arithmetic_steps<'q>(
        &mut self,
        mut left: Option<Expr>,
        rest: &'q [(ArithmeticOp, ast::Expr)],
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let mut steps: Vec<ArithmeticStep> = Vec::new();
        for (op, operand) in rest {
            if let ast::ExprKind::Months(months) = &operand.kind {
                let from = left.take().map(|first| chain(first, std::mem::take(&mut steps)));
                left = from.and_then(|from| {
                    let span = from.span.to(operand.span);
                    self.months(*op, from, *months, span)
                });
                continue;
            }
            let right = self.bind(operand, scope);
            let (Some(from), Some(right)) = (&left, right) else {
                left = None;
                continue;
            };
            let type_so_far = steps.last().map_or(&from.data_type, |s| &s.data_type).clone();
            let span = from.span.to(operand.span);
            let Some(pair) = typing::arithmetic(*op, &type_so_far, &right.data_type) else {
                self.bad_arithmetic(*op, &type_so_far, &right.data_type, span);
                left = None;
                continue;
            };
            if let Some(to) = pair.left {
                left = left.take().map(|first| cast_to(chain(first, std::mem::take(&mut steps)), to));
            }
            let operand = match pair.right {
                Some(to) => cast_to(right, to),
                None => right,
            };
            steps.push(ArithmeticStep { op: *op, operand, data_type: pair.result, span });
        }
        left.map(|first| chain(first, steps))
    }

    /// A date or time plus or minus calendar months.
    fn months(&mut self, op: ArithmeticOp, left: Expr, months: i64, span: Span) -> Option<Expr> {
        let name = match op {
            ArithmeticOp::Add => "DATE_ADD",
            ArithmeticOp::Subtract => "DATE_SUB",
            _ => {
                self.bad_arithmetic(op, &left.data_type, &DataType::Interval, span);
                return None;
            }
        };
        // As with other intervals, a date becomes its midnight.
        let left = if left.data_type == DataType::Date { cast_to(left, DataType::Timestamp) } else { left };
        let function = velostream_functions::find(name)?;
        let operands = vec![left, literal(Value::Int(months), span), literal(Value::Str("month".into()), span)];
        self.apply(function, name, operands, span)
    }

    fn bad_arithmetic(&mut self, op: ArithmeticOp, left: &DataType, right: &DataType, span: Span) {
        let sign = match op {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::Modulo => "%",
        };
        let mut diagnostic = Diagnostic::error("E0302", span, format!("{left} {sign} {right} is not defined"));
        if op == ArithmeticOp::Add && (*left == DataType::String || *right == DataType::String) {
            diagnostic = diagnostic.hint("join text with ||, or CAST text to a number");
        } else if *left == DataType::String || *right == DataType::String {
            diagnostic = diagnostic.hint("CAST the text to a number");
        }
        self.report(diagnostic);
    }

    fn concat<'q>(&mut self, list: &'q [ast::Expr], span: Span, scope: &mut Scope<'q>) -> Option<Expr> {
        let parts: Vec<Option<Expr>> = list.iter().map(|e| self.bind(e, scope)).collect();
        let parts: Option<Vec<Expr>> = parts.into_iter().collect();
        let text = |e: Expr| if e.data_type == DataType::String { e } else { cast_to(e, DataType::String) };
        let parts = parts?.into_iter().map(text).collect();
        Some(Expr { kind: ExprKind::Concat(parts), data_type: DataType::String, span })
    }

    fn conditions<'q>(&mut self, list: &'q [ast::Expr], scope: &mut Scope<'q>) -> Option<Vec<Expr>> {
        let bound: Vec<Option<Expr>> = list.iter().map(|e| self.bind_condition(e, scope)).collect();
        bound.into_iter().collect()
    }

    /// An expression in a place that wants TRUE or FALSE.
    pub(super) fn bind_condition<'q>(&mut self, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        let bound = self.bind(expr, scope)?;
        match bound.data_type {
            DataType::Boolean | DataType::Null => Some(bound),
            DataType::Integer => {
                let message = "an INTEGER is used as a condition";
                let hint = "write <> 0 to say that any number but 0 is true";
                self.report(Diagnostic::warning("W0301", expr.span, message).hint(hint));
                let (span, zero) = (bound.span, Box::new(literal(Value::Int(0), bound.span)));
                let (op, left) = (CompareOp::NotEqual, Box::new(bound));
                Some(boolean(ExprKind::Compare { op, left, right: zero }, span))
            }
            other => {
                let message = format!("a condition must be BOOLEAN, not {other}");
                self.report(Diagnostic::error("E0302", expr.span, message).hint("compare it with something"));
                None
            }
        }
    }

    pub(super) fn both<'q>(
        &mut self,
        left: &'q ast::Expr,
        right: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> (Option<Expr>, Option<Expr>) {
        let left = self.bind(left, scope);
        (left, self.bind(right, scope))
    }

    pub(super) fn compare(&mut self, op: CompareOp, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        let (left, right) = self.comparable(left, right, span)?;
        if op != CompareOp::Equal && op != CompareOp::NotEqual && !self.is_ordered(&left.data_type, span) {
            return None;
        }
        Some(boolean(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) }, span))
    }

    /// Both operands of types that compare with each other.
    fn comparable(&mut self, left: Expr, right: Expr, span: Span) -> Option<(Expr, Expr)> {
        let Some(Pair { left: to_left, right: to_right, .. }) = typing::comparison(&left.data_type, &right.data_type)
        else {
            let message = format!("{} does not compare with {}", left.data_type, right.data_type);
            let mut diagnostic = Diagnostic::error("E0302", span, message);
            let quoted = [&left, &right].into_iter().find_map(|e| match &e.kind {
                ExprKind::Literal(Value::Str(text)) if number_value(text).is_some() => Some(text),
                _ => None,
            });
            if left.data_type.is_nested() || right.data_type.is_nested() {
                diagnostic = diagnostic.hint("reach into the value (x.field, x[1]), or CAST it");
            } else if let Some(number) = quoted {
                diagnostic = diagnostic.hint(format!("write {number} without quotes for the number"));
            } else if left.data_type == DataType::String || right.data_type == DataType::String {
                diagnostic = diagnostic.hint("CAST one side to the type of the other");
            }
            self.report(diagnostic);
            return None;
        };
        let left = self.coerce(left, to_left);
        let right = self.coerce(right, to_right);
        Some((left?, right?))
    }

    /// Casts to `to` where asked; text literals become the date or timestamp they name.
    pub(super) fn coerce(&mut self, expr: Expr, to: Option<DataType>) -> Option<Expr> {
        let Some(to) = to else { return Some(expr) };
        self.doubt_seconds(&expr, &to);
        if to.is_nested() {
            return self.nested_cast(expr, to);
        }
        let ExprKind::Literal(Value::Str(text)) = &expr.kind else { return Some(cast_to(expr, to)) };
        if let Some(value) = read::value(text, &to) {
            return Some(literal(value, expr.span));
        }
        if to == DataType::String {
            return Some(expr);
        }
        let message = format!("'{text}' is not a {to}");
        self.report(Diagnostic::error("E0304", expr.span, message).hint(read::expected(&to)));
        None
    }

    /// Warns of a constant that becomes a timestamp as milliseconds and looks like seconds.
    fn doubt_seconds(&mut self, expr: &Expr, to: &DataType) {
        /// Milliseconds below this are before March 1973; seconds, before the year 5138.
        const LEAST_MS: u64 = 100_000_000_000;
        let ExprKind::Literal(Value::Int(n)) = expr.kind else { return };
        if *to == DataType::Timestamp && n != 0 && n.unsigned_abs() < LEAST_MS {
            let message = format!("{n} is taken as milliseconds and looks like seconds");
            let hint = format!("for seconds write FROM_UNIXTIME({n})");
            self.report(Diagnostic::warning("W0303", expr.span, message).hint(hint));
        }
    }

    /// `x BETWEEN low AND high` is two comparisons.
    fn between<'q>(
        &mut self,
        [operand, low, high]: [&'q ast::Expr; 3],
        negated: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let low = self.bind(low, scope);
        let high = self.bind(high, scope);
        let first = self.bind(operand, scope)?;
        let second = self.bind(operand, scope)?;
        let (low_op, high_op) = match negated {
            false => (CompareOp::GreaterOrEqual, CompareOp::LessOrEqual),
            true => (CompareOp::Less, CompareOp::Greater),
        };
        let above = self.compare(low_op, first, low?, span);
        let below = self.compare(high_op, second, high?, span);
        let both = vec![above?, below?];
        Some(boolean(if negated { ExprKind::Or(both) } else { ExprKind::And(both) }, span))
    }

    fn in_list<'q>(
        &mut self,
        operand: &'q ast::Expr,
        list: &'q [ast::Expr],
        negated: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let mut operand = self.bind(operand, scope);
        let items: Vec<Option<Expr>> = list.iter().map(|e| self.bind(e, scope)).collect();
        let mut bound = Vec::with_capacity(items.len());
        for item in items {
            let (Some(left), Some(item)) = (operand.take(), item) else { return None };
            let item_span = item.span;
            let (left, item) = self.comparable(left, item, item_span)?;
            operand = Some(left);
            bound.push(item);
        }
        Some(boolean(ExprKind::InList { operand: Box::new(operand?), list: bound, negated }, span))
    }

    fn case<'q>(
        &mut self,
        operand: Option<&'q ast::Expr>,
        branches: &'q [(ast::Expr, ast::Expr)],
        otherwise: Option<&'q ast::Expr>,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (when, then) in branches {
            conditions.push(match operand {
                None => self.bind_condition(when, scope),
                Some(operand) => match self.both(operand, when, scope) {
                    (Some(left), Some(right)) => self.compare(CompareOp::Equal, left, right, when.span),
                    _ => None,
                },
            });
            results.push(self.bind(then, scope));
        }
        let has_else = otherwise.is_some();
        results.extend(otherwise.map(|e| self.bind(e, scope)));
        let conditions: Option<Vec<Expr>> = conditions.into_iter().collect();
        let results: Option<Vec<Expr>> = results.into_iter().collect();
        let (mut results, data_type) = self.unified(results?, "CASE", span)?;
        let otherwise = if has_else { results.pop().map(Box::new) } else { None };
        let branches = conditions?.into_iter().zip(results).collect();
        Some(Expr { kind: ExprKind::Case { branches, otherwise }, data_type, span })
    }

    /// Casts all to their common type.
    pub(super) fn unified(&mut self, list: Vec<Expr>, what: &str, span: Span) -> Option<(Vec<Expr>, DataType)> {
        let mut target = DataType::Null;
        let is_text = |e: &Expr| matches!(&e.kind, ExprKind::Literal(Value::Str(_)));
        let dated = list.iter().any(|e| matches!(e.data_type, DataType::Date | DataType::Timestamp | DataType::Time));
        for expr in list.iter().filter(|e| !(dated && is_text(e))) {
            let Some(wider) = typing::common(&target, &expr.data_type) else {
                let message = format!("{what} cannot give both {target} and {}", expr.data_type);
                let diagnostic =
                    Diagnostic::error("E0303", span, message).also(expr.span, format!("this is {}", expr.data_type));
                self.report(diagnostic.hint("CAST the branches to one type"));
                return None;
            };
            target = wider;
        }
        let mut cast = Vec::with_capacity(list.len());
        for expr in list {
            let is_same = expr.data_type == target || expr.data_type == DataType::Null;
            cast.push(self.coerce(expr, (!is_same).then(|| target.clone()))?);
        }
        Some((cast, target))
    }

    fn cast<'q>(
        &mut self,
        operand: &'q ast::Expr,
        to: &TypeName,
        try_cast: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let operand = self.bind(operand, scope)?;
        let from = operand.data_type.clone();
        let mut data_type = to.data_type.clone();
        if to.open_decimal {
            data_type = match from.exact_scale() {
                Some(scale) => DataType::decimal(scale),
                None => {
                    let message = format!("CAST of {from} AS DECIMAL without a scale keeps 18 digits after the point");
                    let hint = "write DECIMAL(p,s)";
                    self.report(Diagnostic::warning("W0302", to.span, message).hint(hint));
                    data_type
                }
            };
        }
        if !typing::castable(&from, &data_type) {
            let message = format!("{from} cannot be cast to {data_type}");
            let mut diagnostic = Diagnostic::error("E0305", span, message);
            if (&from, &data_type) == (&DataType::String, &DataType::Bytes) {
                diagnostic =
                    diagnostic.hint("DECODE(text, 'utf8') gives the bytes of a text; 'base64' and 'hex' decode it");
            }
            self.report(diagnostic);
            return None;
        }
        self.doubt_seconds(&operand, &data_type);
        if let ExprKind::Literal(Value::Str(text)) = &operand.kind
            && let Some(value) = read::value(text, &data_type)
        {
            return Some(literal(value, span));
        }
        Some(Expr { kind: ExprKind::Cast { operand: Box::new(operand), try_cast }, data_type, span })
    }
}

/// A constant.
pub(super) fn literal(value: Value, span: Span) -> Expr {
    Expr { data_type: value.data_type(), kind: ExprKind::Literal(value), span }
}

pub(super) fn boolean(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, data_type: DataType::Boolean, span }
}

pub(super) fn cast_to(expr: Expr, data_type: DataType) -> Expr {
    let span = expr.span;
    Expr { kind: ExprKind::Cast { operand: Box::new(expr), try_cast: false }, data_type, span }
}

fn chain(first: Expr, rest: Vec<ArithmeticStep>) -> Expr {
    let Some(last) = rest.last() else { return first };
    let (data_type, span) = (last.data_type.clone(), last.span);
    Expr { kind: ExprKind::Arithmetic { first: Box::new(first), rest }, data_type, span }
}

/// The value of a number as written: Integer, else exact decimal; with an exponent a Float.
fn number_value(digits: &str) -> Option<Value> {
    if digits.contains(['e', 'E']) {
        return digits.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float);
    }
    if let Ok(n) = digits.parse() {
        return Some(Value::Int(n));
    }
    decimal::from_text(digits).map(|(mantissa, scale)| Value::Decimal { mantissa, scale })
}
