//! Calls: what a name followed by arguments means.
//!
//! Aggregates come first, then the forms that evaluate only some of their operands, which become CASE and COALESCE, then
//! the catalogue of functions.

use velostream_functions::{ArgType, Function, Param, Taken};
use velostream_types::{DataType, Span, Value};

use super::Binder;
use super::aggregate::Written;
use super::expr::{boolean, cast_to, literal};
use super::scope::Scope;
use super::typing;
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{CompareOp, Expr, ExprKind};

/// Names this file gives a meaning to without the catalogue, for "did you mean".
pub(crate) const FORMS: [&str; 9] = ["CAST", "TRY_CAST", "TRY", "COALESCE", "IFNULL", "NULLIF", "IF", "IIF", "ISNULL"];

impl Binder<'_> {
    pub(super) fn call<'q>(
        &mut self,
        name: &'q Ident,
        args: &'q [ast::Expr],
        star: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        if let Some(aggregate) = velostream_functions::find_aggregate(&name.name, star) {
            return self.aggregate_call(Written::plain(aggregate, name, args, star, span), scope);
        }
        let upper = name.name.to_uppercase();
        if let Some(call) = super::headers::function(&upper) {
            return self.header_call(call, args, star, span, scope);
        }
        let (least, most) = match upper.as_str() {
            "COALESCE" => (1, None),
            "IFNULL" | "NULLIF" => (2, Some(2)),
            "IF" | "IIF" => (3, Some(3)),
            "ISNULL" | "TRY" => (1, Some(1)),
            name if super::window::BOUNDS.contains(&name) => return self.window_bound_call(name, span, scope),
            _ => match velostream_functions::find(&upper) {
                Some(function) => return self.function_call(function, &upper, args, star, span, scope),
                None => return self.unknown_function(name, &upper),
            },
        };
        self.takes(&upper, args.len(), star, (least, most), span)?;
        match upper.as_str() {
            "NULLIF" => self.null_if(&args[0], &args[1], span, scope),
            "IF" | "IIF" => self.choice(args, span, scope),
            "TRY" => {
                let operand = self.bind(&args[0], scope)?;
                let data_type = operand.data_type.clone();
                Some(Expr { kind: ExprKind::Try(Box::new(operand)), data_type, span })
            }
            "ISNULL" => {
                let operand = Box::new(self.bind(&args[0], scope)?);
                Some(boolean(ExprKind::IsNull { operand, negated: false }, span))
            }
            _ => {
                let operands = self.operands(args, scope)?;
                let (operands, data_type) = self.unified(operands, &upper, span)?;
                Some(Expr { kind: ExprKind::Coalesce(operands), data_type, span })
            }
        }
    }

    /// Every argument, bound; all their mistakes are told.
    fn operands<'q>(&mut self, args: &'q [ast::Expr], scope: &mut Scope<'q>) -> Option<Vec<Expr>> {
        let operands: Vec<Option<Expr>> = args.iter().map(|e| self.bind(e, scope)).collect();
        operands.into_iter().collect()
    }

    /// Checks the number of arguments.
    fn takes(
        &mut self,
        name: &str,
        given: usize,
        star: bool,
        (least, most): (usize, Option<usize>),
        span: Span,
    ) -> Option<()> {
        if !star && given >= least && most.is_none_or(|most| given <= most) {
            return Some(());
        }
        let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
        let expect = match most {
            Some(most) if most == least => format!("{least} {}", plural(least)),
            Some(most) => format!("{least} to {most} arguments"),
            None => format!("at least {least} {}", plural(least)),
        };
        let found = if star { "*".to_owned() } else { given.to_string() };
        let mut diagnostic = Diagnostic::error("E0207", span, format!("{name} takes {expect}, not {found}"));
        if let Some(function) = velostream_functions::find(name) {
            diagnostic = diagnostic.hint(format!("write {}", function.signature));
        }
        self.report(diagnostic);
        None
    }

    /// `IF(condition, a, b)`: only the one that is chosen is evaluated.
    fn choice<'q>(&mut self, args: &'q [ast::Expr], span: Span, scope: &mut Scope<'q>) -> Option<Expr> {
        let condition = self.bind_condition(&args[0], scope);
        let (yes, no) = self.both(&args[1], &args[2], scope);
        let (mut results, data_type) = self.unified(vec![yes?, no?], "IF", span)?;
        let otherwise = results.pop().map(Box::new);
        let branches = results.into_iter().map(|yes| Some((condition.clone()?, yes))).collect::<Option<Vec<_>>>()?;
        Some(Expr { kind: ExprKind::Case { branches, otherwise }, data_type, span })
    }

    /// `NULLIF(a, b)`: NULL when both are equal, else a.
    fn null_if<'q>(&mut self, a: &'q ast::Expr, b: &'q ast::Expr, span: Span, scope: &mut Scope<'q>) -> Option<Expr> {
        let (left, right) = self.both(a, b, scope);
        let value = self.bind(a, scope)?;
        let equal = self.compare(CompareOp::Equal, left?, right?, span)?;
        let data_type = value.data_type.clone();
        let branches = vec![(equal, literal(Value::Null, span))];
        Some(Expr { kind: ExprKind::Case { branches, otherwise: Some(Box::new(value)) }, data_type, span })
    }

    /// A call of the catalogue.
    fn function_call<'q>(
        &mut self,
        function: &'static Function,
        written: &str,
        args: &'q [ast::Expr],
        star: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        self.takes(written, args.len(), star, function.arity(), span)?;
        if let ([x, months], "DATE_ADD" | "DATE_SUB") = (args, function.name)
            && let ast::ExprKind::Months(n) = months.kind
        {
            let unit = literal(Value::Str("month".into()), months.span);
            let operands = vec![self.bind(x, scope)?, literal(Value::Int(n), months.span), unit];
            return self.apply(function, written, operands, span);
        }
        let unit = args.iter().position(|arg| self.is_bare_unit(function, args, arg, scope));
        let bind = |(i, arg): (usize, &'q ast::Expr)| match &arg.kind {
            ast::ExprKind::Column { name, .. } if unit == Some(i) => {
                Some(literal(Value::Str(name.name.to_lowercase().into()), arg.span))
            }
            _ => self.bind(arg, scope),
        };
        let operands: Vec<Option<Expr>> = args.iter().enumerate().map(bind).collect();
        self.apply(function, written, operands.into_iter().collect::<Option<_>>()?, span)
    }

    /// TRUE for `day` in `DATEDIFF(day, a, b)`: a unit without quotes, where no column has its name.
    fn is_bare_unit(&self, function: &Function, args: &[ast::Expr], arg: &ast::Expr, scope: &Scope<'_>) -> bool {
        let place = match function.name {
            "DATEDIFF" | "DATE_TRUNC" => 0,
            "DATE_ADD" | "DATE_SUB" => 2,
            _ => return false,
        };
        let ast::ExprKind::Column { qualifier: None, name } = &arg.kind else { return false };
        let unit = Value::Str(name.name.to_lowercase().into());
        let mut constants = vec![None; args.len()];
        let stands_there = args.get(place).is_some_and(|at| std::ptr::eq(at, arg));
        let is_alias = scope.aliases.get(name.name.as_str()).is_some_and(|(item, _)| *item < scope.visible);
        if !stands_there || scope.rel.has(&name.name) || is_alias {
            return false;
        }
        constants[place] = Some(&unit);
        function.prepare.is_some_and(|prepare| prepare(&constants).is_ok())
    }

    /// A call of the catalogue over arguments that are bound and whose number is right.
    pub(super) fn apply(
        &mut self,
        function: &'static Function,
        written: &str,
        operands: Vec<Expr>,
        span: Span,
    ) -> Option<Expr> {
        let (operands, common) = self.unify_common(function, written, operands, span)?;
        let mut args = Vec::with_capacity(operands.len());
        for (i, operand) in operands.into_iter().enumerate() {
            let taken = function.param(i).map_or(Taken::AsIs, |param| param.take(&operand.data_type));
            args.push(match taken {
                Taken::AsIs => Some(operand),
                Taken::Cast(to) if typing::castable(&operand.data_type, &to) => Some(cast_to(operand, to)),
                Taken::Cast(to) => self.misfit(function, written, i, &operand, &format!("a {to}")),
                Taken::Refused(what) => self.misfit(function, written, i, &operand, what),
            });
        }
        let args: Vec<Expr> = args.into_iter().collect::<Option<_>>()?;
        let types: Vec<ArgType<'_>> =
            args.iter().map(|a| ArgType { data_type: &a.data_type, constant: constant(a) }).collect();
        let data_type = match function.result_type(&types, &common) {
            Ok(data_type) => data_type,
            Err(message) => {
                let diagnostic = Diagnostic::error("E0307", span, format!("{written}: {message}"));
                self.report(diagnostic.hint(format!("write {}", function.signature)));
                return None;
            }
        };
        if let Some(prepare) = function.prepare {
            let constants: Vec<Option<&Value>> = types.iter().map(|t| t.constant).collect();
            if let Err(bad) = prepare(&constants) {
                let at = args.get(bad.argument).map_or(span, |a| a.span);
                self.report(Diagnostic::error("E0308", at, format!("{written}: {}", bad.message)));
                return None;
            }
        }
        Some(Expr { kind: ExprKind::Call { function, args }, data_type, span })
    }

    /// Brings the arguments of `Param::Common` to one type.
    fn unify_common(
        &mut self,
        function: &'static Function,
        written: &str,
        operands: Vec<Expr>,
        span: Span,
    ) -> Option<(Vec<Expr>, DataType)> {
        let is_common = |i: usize| matches!(function.param(i), Some(Param::Common));
        let (mut common, mut others) = (Vec::new(), Vec::new());
        for (i, operand) in operands.into_iter().enumerate() {
            if is_common(i) { common.push(operand) } else { others.push(operand) }
        }
        if common.is_empty() {
            return Some((others, DataType::Null));
        }
        let (common, data_type) = self.unified(common, written, span)?;
        let total = common.len() + others.len();
        let (mut common, mut others) = (common.into_iter(), others.into_iter());
        let all = (0..total).filter_map(|i| if is_common(i) { common.next() } else { others.next() }).collect();
        Some((all, data_type))
    }

    /// An argument whose type the function does not take.
    fn misfit(
        &mut self,
        function: &'static Function,
        written: &str,
        i: usize,
        operand: &Expr,
        takes: &str,
    ) -> Option<Expr> {
        let message = format!("argument {} of {written} is {takes}, not {}", i + 1, operand.data_type);
        let diagnostic = Diagnostic::error("E0307", operand.span, message);
        self.report(diagnostic.hint(format!("write {}, or CAST the argument", function.signature)));
        None
    }

    pub(super) fn unknown_function(&mut self, name: &Ident, upper: &str) -> Option<Expr> {
        if let Some(analytic) = velostream_functions::find_analytic(upper) {
            let message = format!("{} is computed of several rows, which OVER (…) names", analytic.name);
            let hint = format!("write {}", analytic.example);
            self.report(Diagnostic::error("E0427", name.span, message).hint(hint));
            return None;
        }
        if crate::parse::unnest::WORDS.contains(&upper) {
            let message = format!("{upper} stands in FROM, or is an item of SELECT itself");
            self.report(Diagnostic::error("E0436", name.span, message).hint(crate::parse::unnest::FORM));
            return None;
        }
        let mut diagnostic =
            Diagnostic::error("E0206", name.span, format!("function \"{}\" does not exist", name.name));
        let catalogue = velostream_functions::all().flat_map(|f| f.aliases.iter().chain([&f.name]).copied());
        let known = FORMS
            .into_iter()
            .chain(super::window::BOUNDS)
            .chain(super::aggregate::names())
            .chain(super::headers::FUNCTIONS)
            .chain(velostream_functions::analytics().map(|a| a.name))
            .chain(catalogue);
        let near = crate::suggest::similar(upper, known, 3);
        if !near.is_empty() {
            diagnostic = diagnostic.hint(format!("did you mean {}?", near.join(", ")));
        }
        self.report(diagnostic);
        None
    }
}

/// The value of a constant.
fn constant(expr: &Expr) -> Option<&Value> {
    match &expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}
