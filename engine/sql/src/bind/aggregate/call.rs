//! Aggregate calls: arguments, constants and modifiers to one [`AggregateCall`].
//!
//! FILTER becomes part of the argument (`CASE WHEN condition THEN x END`), because all aggregates but ARRAY_AGG ignore
//! NULL and an untaken branch never raises. DELTA and MEDIAN are written as what they stand for.

use velostream_functions::{AggregateFn, AggregateForm, find_aggregate};
use velostream_types::{DataType, Span, Value, decimal};

use super::super::Binder;
use super::super::expr::{cast_to, literal};
use super::super::scope::{Rel, Scope};
use super::super::typing;
use super::{Grouped, Source, Written};
use crate::diag::Diagnostic;
use crate::parse::ast;
use crate::plan::{AggregateCall, ArithmeticOp, ArithmeticStep, CallOrder, Expr, ExprKind};

/// Greatest n of TOPK: what one group may keep for it.
const TOP_MAX: i64 = 10_000;

/// The parts of a call after its form was looked at.
struct Parts<'q> {
    values: Vec<&'q ast::Expr>,
    parameter: Option<&'q ast::Expr>,
    /// The ORDER BY of a percentile was taken as its value.
    order_is_value: bool,
}

impl Binder<'_> {
    /// A call with DISTINCT, ORDER BY or FILTER.
    pub(in crate::bind) fn modified_call<'q>(
        &mut self,
        call: &'q ast::ModifiedCall,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let upper = call.name.name.to_uppercase();
        let Some(aggregate) = find_aggregate(&upper, call.star) else {
            if velostream_functions::find(&upper).is_none() {
                return self.unknown_function(&call.name, &upper);
            }
            let message = format!("{upper} is no aggregate: it takes no DISTINCT, ORDER BY or FILTER");
            self.report(Diagnostic::error("E0420", span, message));
            return None;
        };
        let plain = Written::plain(aggregate, &call.name, &call.args, call.star, span);
        let written = Written { distinct: call.distinct, order: &call.order, filter: call.filter.as_ref(), ..plain };
        self.aggregate_call(written, scope)
    }

    /// Any aggregate call.
    pub(in crate::bind) fn aggregate_call<'q>(&mut self, call: Written<'q>, scope: &mut Scope<'q>) -> Option<Expr> {
        let upper = call.upper();
        if let Some(outer) = scope.inside {
            let message = format!("aggregate {upper} inside aggregate {outer}");
            let hint = "compute the inner one in a CREATE STREAM of its own and aggregate that";
            self.report(Diagnostic::error("E0402", call.span, message).hint(hint));
            return None;
        }
        let Some(mut grouped) = scope.grouped.take() else {
            let message = format!("aggregate {upper} is not allowed in {}", scope.clause);
            let hint =
                if scope.clause == "WHERE" { "filter groups with HAVING" } else { "aggregate in SELECT or HAVING" };
            self.report(Diagnostic::error("E0401", call.span, message).hint(hint));
            return None;
        };
        scope.inside = Some(call.aggregate.name);
        let result = self.parts(&call).and_then(|parts| self.bind_call(&mut grouped, &call, &parts, scope));
        scope.inside = None;
        scope.grouped = Some(grouped);
        result
    }

    /// The call over the rows of `grouped`, whatever stands around it.
    pub(in crate::bind) fn call_parts<'q>(
        &mut self,
        grouped: &mut Grouped<'q>,
        call: &Written<'q>,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let parts = self.parts(call)?;
        self.bind_call(grouped, call, &parts, scope)
    }

    /// Sorts arguments into values and constants; wrong numbers and modifiers are mistakes.
    fn parts<'q>(&mut self, call: &Written<'q>) -> Option<Parts<'q>> {
        let (upper, function) = (call.upper(), call.aggregate.function);
        let args: Vec<&ast::Expr> = call.args.iter().collect();
        let given = args.len();
        let fits = !call.star || call.aggregate.form == AggregateForm::Star;
        let (values, parameter, takes) = match call.aggregate.form {
            AggregateForm::Star => (Some(args), None, "no argument"),
            AggregateForm::One => (Some(args).filter(|_| given == 1), None, "1 argument"),
            AggregateForm::OneOrTuple => {
                let tuple = call.distinct || call.aggregate.distinct;
                (Some(args).filter(|_| given == 1 || tuple && given > 1), None, "1 argument")
            }
            AggregateForm::Pair => (Some(args).filter(|_| given == 2), None, "2 arguments"),
            AggregateForm::Separated => {
                let (values, parameter) = args.split_at(given.min(1));
                (
                    Some(values.to_vec()).filter(|_| (1..=2).contains(&given)),
                    parameter.first().copied(),
                    "1 to 2 arguments",
                )
            }
            AggregateForm::Limited => {
                (Some(args[..given.min(1)].to_vec()).filter(|_| given == 2), args.get(1).copied(), "2 arguments")
            }
            AggregateForm::Fraction => {
                let value = args.get(1).copied().or_else(|| call.order.first().map(|o| &o.expr));
                let fits = given == 2 && call.order.is_empty() || given == 1 && call.order.len() == 1;
                (value.filter(|_| fits).map(|v| vec![v]), args.first().copied(), "a fraction and one ordered value")
            }
        };
        let Some(values) = values.filter(|_| fits) else {
            let found = if call.star { "*".to_owned() } else { given.to_string() };
            let diagnostic = Diagnostic::error("E0207", call.span, format!("{upper} takes {takes}, not {found}"));
            self.report(diagnostic.hint(format!("write {}", call.aggregate.signature)));
            return None;
        };
        let order_is_value = call.aggregate.form == AggregateForm::Fraction;
        if !call.order.is_empty() && !order_is_value && !function.lists_in_order() {
            let message = format!("{upper} does not depend on an order, so it takes no ORDER BY");
            self.report(Diagnostic::error("E0420", call.span, message).hint("leave ORDER BY out"));
            return None;
        }
        if call.distinct && (function.takes_pairs() || call.star) {
            let message = format!("{upper} takes no DISTINCT");
            self.report(Diagnostic::error("E0420", call.span, message).hint("leave DISTINCT out"));
            return None;
        }
        Some(Parts { values, parameter, order_is_value })
    }

    fn bind_call<'q>(
        &mut self,
        grouped: &mut Grouped<'q>,
        call: &Written<'q>,
        parts: &Parts<'q>,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let function = call.aggregate.function;
        let parameter = self.parameter(call, parts.parameter, scope);
        // ARRAY_AGG sees NULL, so its rows have to be left out by a column of their own.
        let own_filter = call.filter.filter(|_| function == AggregateFn::ArrayAgg);
        let filter = call.filter.filter(|_| own_filter.is_none());
        let star = call.star.then_some(Source { expr: None, filter, text: false }).filter(|_| filter.is_some());
        let values = parts.values.iter().enumerate().map(|(i, value)| Source {
            expr: Some(value),
            filter: filter.filter(|_| i == 0),
            text: function == AggregateFn::StringAgg,
        });
        let columns: Vec<Option<usize>> =
            values.chain(star).map(|source| self.argument(grouped, source, scope)).collect();
        let arguments: Vec<usize> = columns.into_iter().collect::<Option<_>>()?;
        let filter = match own_filter {
            Some(condition) => Some(self.argument(grouped, Source::plain(condition), scope)?),
            None => None,
        };
        let order = self.call_order(grouped, call, parts, scope)?;
        let types: Vec<&DataType> = arguments.iter().map(|a| &grouped.project[*a].data_type).collect();
        let Some(result) = (call.aggregate.result)(&types) else {
            let odd = types.iter().find(|t| (call.aggregate.result)(&vec![**t; types.len()]).is_none());
            let text = types.iter().any(|t| **t == DataType::String);
            let message = format!("{} does not take {}", call.aggregate.name, odd.map_or(types[0], |t| t));
            let mut diagnostic = Diagnostic::error("E0306", call.span, message);
            if text && call.aggregate.takes == "numbers" {
                diagnostic = diagnostic.hint("CAST the text to a number");
            }
            self.report(diagnostic);
            return None;
        };
        if matches!(function, AggregateFn::First | AggregateFn::Last) {
            self.orders_by_event_time(&scope.rel);
        }
        let idle = function.chooses_by_order()
            || matches!(function, AggregateFn::Min | AggregateFn::Max | AggregateFn::Delta)
            || matches!(function, AggregateFn::CollectSet | AggregateFn::ApproxCountDistinct);
        let distinct = (call.distinct || call.aggregate.distinct) && !idle;
        let counted =
            if call.star && filter.is_none() && !arguments.is_empty() { AggregateFn::Count } else { function };
        let bound = AggregateCall {
            function: counted,
            arguments,
            distinct,
            filter,
            order,
            parameter: parameter?,
            result,
            span: call.span,
        };
        self.written_out(grouped, bound, scope)
    }

    /// DELTA and MEDIAN as what they stand for; others as they are.
    fn written_out(&mut self, grouped: &mut Grouped<'_>, call: AggregateCall, scope: &Scope<'_>) -> Option<Expr> {
        self.warn_of_values(grouped, &call, scope);
        match call.function {
            AggregateFn::Median => {
                let half = Some(Value::Decimal { mantissa: 5, scale: 1 });
                let call = AggregateCall { function: AggregateFn::PercentileCont, parameter: half, ..call };
                Some(self.planned(grouped, call))
            }
            AggregateFn::Delta => {
                let span = call.span;
                let most = self.planned(grouped, AggregateCall { function: AggregateFn::Max, ..call.clone() });
                let least = self.planned(grouped, AggregateCall { function: AggregateFn::Min, ..call.clone() });
                let Some(pair) = typing::arithmetic(ArithmeticOp::Subtract, &call.result, &call.result) else {
                    let message = format!("DELTA does not take {}", call.result);
                    self.report(Diagnostic::error("E0306", span, message));
                    return None;
                };
                let side = |expr, to: Option<DataType>| match to {
                    Some(to) => cast_to(expr, to),
                    None => expr,
                };
                let operand = side(least, pair.right);
                let step = ArithmeticStep { op: ArithmeticOp::Subtract, operand, data_type: pair.result.clone(), span };
                let kind = ExprKind::Arithmetic { first: Box::new(side(most, pair.left)), rest: vec![step] };
                Some(Expr { kind, data_type: pair.result, span })
            }
            _ => Some(self.planned(grouped, call)),
        }
    }

    /// Position of a value's column, bound unless an equal one is there.
    fn argument<'q>(&mut self, grouped: &mut Grouped<'q>, source: Source<'q>, scope: &mut Scope<'q>) -> Option<usize> {
        self.work += grouped.project.len() as u64 / 256;
        if let Some(known) = grouped.known(&source) {
            return Some(known);
        }
        let mut bound = match source.expr {
            Some(expr) => self.bind(expr, scope)?,
            None => literal(Value::Int(1), source.filter.map_or(Span::default(), |f| f.span)),
        };
        if source.text && bound.data_type != DataType::String {
            if bound.data_type != DataType::Null && !typing::castable(&bound.data_type, &DataType::String) {
                let message = format!("a value of type {} has no text", bound.data_type);
                self.report(Diagnostic::error("E0306", bound.span, message));
                return None;
            }
            bound = cast_to(bound, DataType::String);
        }
        if let Some(filter) = source.filter {
            let condition = self.bind_condition(filter, scope)?;
            let (data_type, span) = (bound.data_type.clone(), bound.span);
            let kind = ExprKind::Case { branches: vec![(condition, bound)], otherwise: None };
            bound = Expr { kind, data_type, span };
        }
        Some(grouped.column(source, bound))
    }

    fn call_order<'q>(
        &mut self,
        grouped: &mut Grouped<'q>,
        call: &Written<'q>,
        parts: &Parts<'q>,
        scope: &mut Scope<'q>,
    ) -> Option<Vec<CallOrder>> {
        let mut order = Vec::with_capacity(call.order.len());
        for item in call.order {
            // The order of a percentile is that of its values, which leave out NULL and what FILTER leaves out.
            let filter = call.filter.filter(|_| parts.order_is_value);
            let column = self.argument(grouped, Source { expr: Some(&item.expr), filter, text: false }, scope)?;
            let data_type = &grouped.project[column].data_type;
            if !typing::has_order(data_type) {
                let message = format!("a value of type {data_type} has no order");
                self.report(Diagnostic::error("E0306", item.expr.span, message));
                return None;
            }
            let nulls_first = item.nulls_first.unwrap_or(!item.descending);
            order.push(CallOrder { column, descending: item.descending, nulls_first });
        }
        Some(order)
    }

    /// The constant argument: `Some(None)` for calls that have none.
    fn parameter<'q>(
        &mut self,
        call: &Written<'q>,
        written: Option<&'q ast::Expr>,
        scope: &mut Scope<'q>,
    ) -> Option<Option<Value>> {
        let Some(written) = written else {
            let comma = call.aggregate.form == AggregateForm::Separated;
            return Some(comma.then(|| Value::Str(",".into())));
        };
        let bound = self.bind(written, scope)?;
        let (value, wanted) = match (call.aggregate.form, &bound.kind) {
            (AggregateForm::Separated, ExprKind::Literal(Value::Str(text))) => (Some(Value::Str(text.clone())), ""),
            (AggregateForm::Separated, _) => (None, "the separator is a constant text"),
            (AggregateForm::Limited, ExprKind::Literal(Value::Int(n))) if (1..=TOP_MAX).contains(n) => {
                (Some(Value::Int(*n)), "")
            }
            (AggregateForm::Limited, _) => (None, "how many is a constant from 1 to 10000"),
            (_, ExprKind::Literal(value)) => (fraction(value), "the fraction is a constant from 0 to 1"),
            _ => (None, "the fraction is a constant from 0 to 1"),
        };
        if value.is_none() {
            let message = format!("{}: {wanted}", call.upper());
            self.report(Diagnostic::error("E0308", bound.span, message));
            return None;
        }
        Some(value)
    }

    /// The column of a call, planned once.
    pub(in crate::bind) fn planned(&mut self, grouped: &mut Grouped<'_>, call: AggregateCall) -> Expr {
        if grouped.changelog && !call.function.takes_back() {
            let message = format!("{} cannot take a row back, and the rows of this TABLE change", call.function.name());
            let hint = "count exactly with COUNT(DISTINCT x), or declare the object as a STREAM";
            self.report(Diagnostic::error("E0421", call.span, message).hint(hint));
        }
        let (data_type, span) = (call.result.clone(), call.span);
        let index = grouped.calls.iter().position(|c| c.same(&call)).unwrap_or_else(|| {
            grouped.calls.push(call);
            grouped.calls.len() - 1
        });
        Expr { kind: ExprKind::Column(grouped.keys.len() + index), data_type, span }
    }

    /// A state that grows with the values of an input that never ends.
    fn warn_of_values(&mut self, grouped: &Grouped<'_>, call: &AggregateCall, scope: &Scope<'_>) {
        let bounded = scope.rel.roots.iter().all(|root| self.graph.sources[*root].bounded);
        let is_kept_anyway = scope.around.is_some();
        if grouped.window.is_some() || bounded || is_kept_anyway || scope.rel.poisoned || !call.keeps_values() {
            return;
        }
        let distinct = if call.distinct { "(DISTINCT …)" } else { "" };
        let message = format!("{}{distinct} keeps the values of an unbounded input for ever", call.function.name());
        self.report(Diagnostic::warning("W0420", call.span, message).hint("add WINDOW TUMBLING(size)"));
    }

    /// Over a changing input, calls that pick or list rows have to know which row is taken back.
    pub(in crate::bind) fn identify(&mut self, grouped: &mut Grouped<'_>, rel: &Rel) {
        let by_row = |c: &AggregateCall| c.function.chooses_by_order() || c.function.lists_in_order();
        if !grouped.changelog || !grouped.calls.iter().any(by_row) {
            return;
        }
        for column in self.identity(rel, None).columns {
            let Some(field) = self.graph.column_field(rel.node, column) else { continue };
            let kind = ExprKind::Column(column);
            grouped.identity.push(grouped.project.len());
            grouped.project.push(Expr { kind, data_type: field.data_type, span: Span::default() });
        }
    }
}

/// The fraction as an exact number from 0 to 1.
fn fraction(value: &Value) -> Option<Value> {
    let (mantissa, scale) = match value {
        Value::Int(i) => (i128::from(*i), 0),
        Value::Decimal { mantissa, scale } => (*mantissa, *scale),
        Value::Float(x) => {
            let text = decimal::float_text(*x);
            decimal::from_text(&text).or_else(|| decimal::from_exponent_text(&text))?
        }
        _ => return None,
    };
    let fits = scale <= 18 && (0..=decimal::pow10(scale)).contains(&mantissa);
    fits.then_some(Value::Decimal { mantissa, scale })
}
