//! Grouped queries: expressions over groups become columns of an Aggregate.
//!
//! Keys and aggregate arguments are computed by one Project in front (keys first, equal expressions once); the
//! Aggregate gives keys, then one column per distinct call, then the window's bounds. Bounds are placeholders until the
//! number of calls is known.

use velostream_types::{DataType, Span, decimal};

use super::Binder;
use super::scope::{Named, Scope, System};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{AggregateCall, AggregateFn, Expr, ExprKind, WindowSpec};

/// Placeholder positions of the window's bounds.
const START: usize = usize::MAX - 1;
const END: usize = usize::MAX;
/// Placeholder position of the headers of the group's last row.
pub(super) const HEADERS: usize = usize::MAX - 2;

/// The group a query's expressions are over.
pub(super) struct Grouped<'q> {
    pub keys: Vec<&'q ast::Expr>,
    /// Columns of the Project in front: the keys, then arguments.
    pub project: Vec<Expr>,
    /// Syntax of `project`'s columns, to find equal ones.
    sources: Vec<&'q ast::Expr>,
    pub calls: Vec<AggregateCall>,
    pub window: Option<WindowSpec>,
    /// A key is wrong: columns that seem ungrouped are no news.
    pub quiet: bool,
    /// A header function reads the group's headers.
    pub reads_headers: bool,
    /// The input changes: only aggregates that can take back a row.
    pub changelog: bool,
}

impl<'q> Grouped<'q> {
    pub fn new(window: Option<WindowSpec>, changelog: bool) -> Grouped<'q> {
        Grouped {
            keys: Vec::new(),
            project: Vec::new(),
            sources: Vec::new(),
            calls: Vec::new(),
            window,
            quiet: false,
            reads_headers: false,
            changelog,
        }
    }

    /// Adds a key unless an equal one is there.
    pub fn add_key(&mut self, key: &'q ast::Expr, bound: Expr) {
        if !self.keys.iter().any(|k| k.same(key)) {
            self.keys.push(key);
            self.sources.push(key);
            self.project.push(bound);
        }
    }

    /// Replaces bound placeholders in an expression over the groups.
    pub fn settle(&self, expr: &mut Expr) {
        let first = self.keys.len() + self.calls.len();
        super::graph::columns(expr, &mut |column| match *column {
            START => *column = first,
            END => *column = first + 1,
            HEADERS => *column = first + if self.window.is_some() { 2 } else { 0 },
            _ => {}
        });
    }
}

/// Names of aggregate functions.
pub(super) const NAMES: [&str; 9] = ["COUNT", "SUM", "AVG", "MIN", "MAX", "FIRST", "FIRST_VALUE", "LAST", "LAST_VALUE"];

/// The aggregate function of this name.
pub(super) fn function(name: &str, star: bool) -> Option<AggregateFn> {
    Some(match name.to_ascii_uppercase().as_str() {
        "COUNT" if star => AggregateFn::CountStar,
        "COUNT" => AggregateFn::Count,
        "SUM" => AggregateFn::Sum,
        "AVG" => AggregateFn::Avg,
        "MIN" => AggregateFn::Min,
        "MAX" => AggregateFn::Max,
        "FIRST" | "FIRST_VALUE" => AggregateFn::First,
        "LAST" | "LAST_VALUE" => AggregateFn::Last,
        _ => return None,
    })
}

/// TRUE when `expr` holds an aggregate call; the first one's place is answered.
pub(super) fn find_call(expr: &ast::Expr) -> Option<(AggregateFn, Span)> {
    if let ast::ExprKind::Call { name, star, .. } = &expr.kind
        && let Some(found) = function(&name.name, *star)
    {
        return Some((found, expr.span));
    }
    let mut found = None;
    expr.each_child(|child| {
        if found.is_none() {
            found = find_call(child);
        }
    });
    found
}

/// Result type of a function over a column; `None` when it does not take that type.
fn result_type(function: AggregateFn, argument: &DataType) -> Option<DataType> {
    Some(match (function, argument) {
        (AggregateFn::CountStar | AggregateFn::Count, _) => DataType::Integer,
        (AggregateFn::Sum | AggregateFn::Avg, DataType::Null) => DataType::Null,
        (AggregateFn::Sum, DataType::Integer) => DataType::Integer,
        (AggregateFn::Sum, DataType::Float) | (AggregateFn::Avg, DataType::Integer | DataType::Float) => {
            DataType::Float
        }
        (AggregateFn::Sum, DataType::Decimal { scale, .. }) => DataType::decimal(*scale),
        (AggregateFn::Avg, DataType::Decimal { scale, .. }) => DataType::decimal(decimal::avg_scale(*scale)),
        (AggregateFn::Sum | AggregateFn::Avg, _) => return None,
        (AggregateFn::Min | AggregateFn::Max, DataType::Json) => return None,
        (_, other) => other.clone(),
    })
}

impl Binder<'_> {
    /// The key that `expr` is, if it is one of the group's.
    pub(super) fn bind_group_key(&mut self, expr: &ast::Expr, scope: &Scope<'_>) -> Option<Expr> {
        let grouped = scope.grouped.as_ref()?;
        self.work += grouped.keys.len() as u64 / 256;
        let index = grouped.keys.iter().position(|key| key.same(expr))?;
        let data_type = grouped.project[index].data_type.clone();
        Some(Expr { kind: ExprKind::Column(index), data_type, span: expr.span })
    }

    /// A name over groups that is no key: a bound of the window, or a column's last value.
    pub(super) fn grouped_name<'q>(
        &mut self,
        named: &Named<'_>,
        name: &Ident,
        expr: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        if let Named::Bound(start) = named {
            let kind = ExprKind::Column(if *start { START } else { END });
            return Some(Expr { kind, data_type: DataType::Integer, span: expr.span });
        }
        if matches!(named, Named::System(System::Topic)) {
            return Some(self.topic_name(&scope.rel, expr.span));
        }
        let mut grouped = scope.grouped.take()?;
        let bound = self.named_row(named, name, expr.span, &scope.rel);
        let result = bound.map(|bound| {
            let message = format!("column \"{}\" is neither grouped nor aggregated", name.name);
            let hint = format!("its value in the group's last row is taken; say LAST({0}) or GROUP BY {0}", name.name);
            if !grouped.quiet {
                self.report(Diagnostic::warning("W0401", expr.span, message).hint(hint));
            }
            let data_type = bound.data_type.clone();
            let argument = argument(&mut grouped, expr, bound);
            self.aggregate(&mut grouped, AggregateFn::LastSeen, Some(argument), data_type, expr.span)
        });
        scope.grouped = Some(grouped);
        result
    }

    pub(super) fn aggregate_call<'q>(
        &mut self,
        function: AggregateFn,
        name: &Ident,
        args: &'q [ast::Expr],
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let upper = name.name.to_uppercase();
        if let Some(outer) = scope.inside {
            let message = format!("aggregate {upper} inside aggregate {outer}");
            let hint = "compute the inner one in a CREATE STREAM of its own and aggregate that";
            self.report(Diagnostic::error("E0402", span, message).hint(hint));
            return None;
        }
        let Some(mut grouped) = scope.grouped.take() else {
            let message = format!("aggregate {upper} is not allowed in {}", scope.clause);
            let hint =
                if scope.clause == "WHERE" { "filter groups with HAVING" } else { "aggregate in SELECT or HAVING" };
            self.report(Diagnostic::error("E0401", span, message).hint(hint));
            return None;
        };
        let wanted = usize::from(function != AggregateFn::CountStar);
        let result = if args.len() == wanted {
            scope.inside = Some(function.name());
            let bound = self.bind_call(&mut grouped, function, args.first(), span, scope);
            scope.inside = None;
            bound
        } else {
            let message = format!("{upper} takes 1 argument, not {}", args.len());
            self.report(Diagnostic::error("E0207", span, message));
            None
        };
        scope.grouped = Some(grouped);
        result
    }

    fn bind_call<'q>(
        &mut self,
        grouped: &mut Grouped<'q>,
        function: AggregateFn,
        arg: Option<&'q ast::Expr>,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let Some(arg) = arg else {
            return Some(self.aggregate(grouped, function, None, DataType::Integer, span));
        };
        let known = grouped.sources.iter().position(|s| s.same(arg));
        let position = match known {
            Some(position) => position,
            None => {
                let bound = self.bind(arg, scope)?;
                argument(grouped, arg, bound)
            }
        };
        if matches!(function, AggregateFn::First | AggregateFn::Last) {
            self.orders_by_event_time(&scope.rel);
        }
        let data_type = &grouped.project[position].data_type;
        let Some(result) = result_type(function, data_type) else {
            let message = format!("{} does not take {data_type}", function.name());
            let mut diagnostic = Diagnostic::error("E0306", span, message);
            if *data_type == DataType::String {
                diagnostic = diagnostic.hint("CAST the text to a number");
            }
            self.report(diagnostic);
            return None;
        };
        Some(self.aggregate(grouped, function, Some(position), result, span))
    }

    /// The column of a call, planned once.
    fn aggregate(
        &mut self,
        grouped: &mut Grouped<'_>,
        function: AggregateFn,
        argument: Option<usize>,
        result: DataType,
        span: Span,
    ) -> Expr {
        use AggregateFn::*;
        if grouped.changelog && matches!(function, Min | Max | First | Last | LastSeen) {
            let what = if function == LastSeen { "a column that is not grouped" } else { function.name() };
            let message = format!("{what} over a TABLE that changes is not supported yet");
            let hint = "COUNT, SUM and AVG are; or declare the object as a STREAM";
            self.report(Diagnostic::error("E0901", span, message).hint(hint));
        }
        let same = |c: &AggregateCall| c.function == function && c.argument == argument;
        let index = grouped.calls.iter().position(same).unwrap_or_else(|| {
            grouped.calls.push(AggregateCall { function, argument, result: result.clone(), span });
            grouped.calls.len() - 1
        });
        Expr { kind: ExprKind::Column(grouped.keys.len() + index), data_type: result, span }
    }

    /// `TUMBLE_START(…)` and `TUMBLE_END(…)`.
    pub(super) fn window_bound_call(&mut self, start: bool, name: &str, span: Span, scope: &Scope<'_>) -> Option<Expr> {
        if scope.grouped.as_ref().is_none_or(|g| g.window.is_none()) {
            let message = format!("{name} exists in windowed queries only");
            self.report(Diagnostic::error("E0405", span, message).hint("add WINDOW TUMBLING(size)"));
            return None;
        }
        let kind = ExprKind::Column(if start { START } else { END });
        Some(Expr { kind, data_type: DataType::Integer, span })
    }
}

/// Position of an argument in the Project in front, added unless an equal one is there.
fn argument<'q>(grouped: &mut Grouped<'q>, expr: &'q ast::Expr, bound: Expr) -> usize {
    grouped.sources.iter().position(|s| s.same(expr)).unwrap_or_else(|| {
        grouped.sources.push(expr);
        grouped.project.push(bound);
        grouped.project.len() - 1
    })
}
