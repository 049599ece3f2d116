//! Grouped queries: expressions over groups become columns of an Aggregate; the calls themselves are bound in
//! `aggregate/call.rs`.
//!
//! Keys and aggregate arguments are computed by one Project in front (keys first, equal expressions once); the
//! Aggregate gives keys, then one column per distinct call, then the window's bounds. Bounds are placeholders until the
//! number of calls is known.

use velostream_functions::{Aggregate, AggregateFn, find_aggregate};
use velostream_types::{DataType, Span};

mod call;

use super::Binder;
use super::scope::{Named, Rel, Scope, System};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Ident};
use crate::plan::{AggregateCall, ArithmeticOp, ArithmeticStep, Expr, ExprKind, WindowSpec};

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
    /// What `project`'s columns were written as, to find equal ones.
    sources: Vec<Source<'q>>,
    pub calls: Vec<AggregateCall>,
    pub window: Option<WindowSpec>,
    /// A key is wrong: columns that seem ungrouped are no news.
    pub quiet: bool,
    /// A header function reads the group's headers.
    pub reads_headers: bool,
    /// The input changes: only aggregates that can take back a row.
    pub changelog: bool,
    /// Columns of the Project that tell the rows of a changing input apart.
    pub identity: Vec<usize>,
    /// TRUE for names of the relation the query reads.
    is_relation: Box<dyn Fn(&str) -> bool>,
}

/// What a column of the Project in front was written as.
#[derive(Clone, Copy)]
pub(super) struct Source<'q> {
    /// None: the constant 1.
    pub expr: Option<&'q ast::Expr>,
    /// NULL where this is not TRUE.
    pub filter: Option<&'q ast::Expr>,
    /// Cast to text.
    pub text: bool,
}

impl<'q> Source<'q> {
    pub fn plain(expr: &'q ast::Expr) -> Source<'q> {
        Source { expr: Some(expr), filter: None, text: false }
    }

    fn same(&self, other: &Source<'_>, is_relation: ast::IsRelation<'_>) -> bool {
        let equal = |a: Option<&ast::Expr>, b: Option<&ast::Expr>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b, is_relation),
            _ => false,
        };
        self.text == other.text && equal(self.expr, other.expr) && equal(self.filter, other.filter)
    }
}

impl<'q> Grouped<'q> {
    pub fn new(window: Option<WindowSpec>, rel: &Rel) -> Grouped<'q> {
        Grouped {
            keys: Vec::new(),
            project: Vec::new(),
            sources: Vec::new(),
            calls: Vec::new(),
            window,
            quiet: false,
            reads_headers: false,
            changelog: rel.changelog,
            identity: Vec::new(),
            is_relation: rel.names_it(),
        }
    }

    /// Adds a key unless an equal one is there.
    pub fn add_key(&mut self, key: &'q ast::Expr, bound: Expr) {
        if !self.keys.iter().any(|k| k.same(key, &*self.is_relation)) {
            self.keys.push(key);
            self.sources.push(Source::plain(key));
            self.project.push(bound);
        }
    }

    /// Position of the column that was written as `source`.
    pub fn known(&self, source: &Source<'_>) -> Option<usize> {
        self.sources.iter().position(|s| s.same(source, &*self.is_relation))
    }

    /// Position of a column of the Project in front, added unless an equal one is there.
    pub fn column(&mut self, source: Source<'q>, bound: Expr) -> usize {
        self.known(&source).unwrap_or_else(|| {
            self.sources.push(source);
            self.project.push(bound);
            self.project.len() - 1
        })
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
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    velostream_functions::aggregates().flat_map(|a| a.aliases.iter().chain([&a.name]).copied())
}

/// An aggregate call as written.
#[derive(Clone, Copy)]
pub(super) struct Written<'q> {
    pub aggregate: &'static Aggregate,
    pub name: &'q Ident,
    pub args: &'q [ast::Expr],
    pub star: bool,
    pub distinct: bool,
    pub order: &'q [ast::CallOrder],
    pub filter: Option<&'q ast::Expr>,
    pub span: Span,
}

impl<'q> Written<'q> {
    /// A call without modifiers.
    pub fn plain(
        aggregate: &'static Aggregate,
        name: &'q Ident,
        args: &'q [ast::Expr],
        star: bool,
        span: Span,
    ) -> Written<'q> {
        Written { aggregate, name, args, star, distinct: false, order: &[], filter: None, span }
    }

    fn upper(&self) -> String {
        self.name.name.to_uppercase()
    }
}

/// TRUE when `expr` holds an aggregate call; the first one's place is answered.
pub(super) fn find_call(expr: &ast::Expr) -> Option<(AggregateFn, Span)> {
    let called = match &expr.kind {
        ast::ExprKind::Call { name, star, .. } => find_aggregate(&name.name, *star),
        ast::ExprKind::Modified(call) => find_aggregate(&call.name.name, call.star),
        _ => None,
    };
    if let Some(called) = called {
        return Some((called.function, expr.span));
    }
    let mut found = None;
    expr.each_child(|child| {
        if found.is_none() {
            found = find_call(child);
        }
    });
    found
}

impl Binder<'_> {
    /// The key that `expr` is, if it is one of the group's.
    pub(super) fn bind_group_key(&mut self, expr: &ast::Expr, scope: &Scope<'_>) -> Option<Expr> {
        let grouped = scope.grouped.as_ref()?;
        self.work += grouped.keys.len() as u64 / 256;
        let index = grouped.keys.iter().position(|key| key.same(expr, &*grouped.is_relation))?;
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
        let grouped = scope.grouped.take();
        let bound = self.named_row(named, name, expr.span, &scope.rel);
        scope.grouped = grouped;
        self.last_seen(bound?, &name.name, expr, scope)
    }

    /// The value that `bound`, a row expression written as `expr`, has in the group's last row.
    pub(super) fn last_seen<'q>(
        &mut self,
        bound: Expr,
        shown: &str,
        expr: &'q ast::Expr,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let mut grouped = scope.grouped.take()?;
        let message = format!("column \"{shown}\" is neither grouped nor aggregated");
        let hint = format!("its value in the group's last row is taken; say LAST({shown}) or GROUP BY {shown}");
        if !grouped.quiet {
            self.report(Diagnostic::warning("W0401", expr.span, message).hint(hint));
        }
        let data_type = bound.data_type.clone();
        let argument = grouped.column(Source::plain(expr), bound);
        let call = AggregateCall::plain(AggregateFn::LastSeen, vec![argument], data_type, expr.span);
        let result = self.planned(&mut grouped, call);
        scope.grouped = Some(grouped);
        Some(result)
    }

    /// `TUMBLE_START(…)`, its namesakes, and SESSION_DURATION; arguments are ignored.
    pub(super) fn window_bound_call(&mut self, name: &str, span: Span, scope: &Scope<'_>) -> Option<Expr> {
        if scope.grouped.as_ref().is_none_or(|g| g.window.is_none()) {
            let message = format!("{name} exists in windowed queries only");
            self.report(Diagnostic::error("E0405", span, message).hint("add WINDOW TUMBLING(size)"));
            return None;
        }
        let bound = |at| Expr { kind: ExprKind::Column(at), data_type: DataType::Integer, span };
        if name.ends_with("START") {
            return Some(bound(START));
        }
        if !name.ends_with("DURATION") {
            return Some(bound(END));
        }
        let step =
            ArithmeticStep { op: ArithmeticOp::Subtract, operand: bound(START), data_type: DataType::Integer, span };
        let kind = ExprKind::Arithmetic { first: Box::new(bound(END)), rest: vec![step] };
        Some(Expr { kind, data_type: DataType::Integer, span })
    }
}
