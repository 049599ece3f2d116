//! Header functions: HEADER, HAS_HEADER and HEADER_KEYS read the headers the row came with, SET_HEADER and
//! REMOVE_HEADER change those it leaves with.
//!
//! A change is part of the select list: elsewhere there is no row yet that it could be a change of. Readers see the
//! headers before any change, so the order of items matters to changes of one name only. Where a name in the list
//! stands for an item that changes a header, it stands for its value; the change itself is made once.

use velostream_types::{DataType, Span, Value, headers};

use super::Binder;
use super::aggregate::HEADERS;
use super::expr::cast_to;
use super::identity::headers_at;
use super::scope::Scope;
use crate::diag::Diagnostic;
use crate::parse::ast;
use crate::plan::{Expr, ExprKind, HeaderCall};

/// Names of the header functions.
pub(crate) const FUNCTIONS: [&str; 5] = ["HEADER", "HAS_HEADER", "HEADER_KEYS", "SET_HEADER", "REMOVE_HEADER"];

/// The header function of this name in upper case.
pub(super) fn function(upper: &str) -> Option<HeaderCall> {
    use HeaderCall::{Has, Names, Remove, Set, Value};
    [Value, Has, Names, Set, Remove].into_iter().find(|call| call.name() == upper)
}

/// TRUE for a call of SET_HEADER or REMOVE_HEADER.
pub(super) fn is_edit_call(expr: &ast::Expr) -> bool {
    let ast::ExprKind::Call { name, .. } = &expr.kind else { return false };
    function(&name.name.to_uppercase()).is_some_and(HeaderCall::is_edit)
}

/// TRUE when a header is changed somewhere in `expr`. Recursion is bounded by the binder's depth limit.
pub(super) fn edits(expr: &Expr) -> bool {
    let mut found = matches!(&expr.kind, ExprKind::Header { call, .. } if call.is_edit());
    expr.each_child(&mut |child| found = found || edits(child));
    found
}

impl Binder<'_> {
    pub(super) fn header_call<'q>(
        &mut self,
        call: HeaderCall,
        args: &'q [ast::Expr],
        star: bool,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let name = call.name();
        let wanted = match call {
            HeaderCall::Names => 0,
            HeaderCall::Set => 2,
            _ => 1,
        };
        if args.len() != wanted || star {
            let arguments = ["no argument", "1 argument", "2 arguments"][wanted];
            let message = format!("{name} takes {arguments}, not {}", args.len());
            self.report(Diagnostic::error("E0207", span, message));
            return None;
        }
        if call.is_edit() && (scope.clause != "SELECT" || scope.inside.is_some()) {
            let place = scope.inside.unwrap_or(scope.clause);
            let message = format!("{name} is not allowed in {place}: it changes the row that the query gives");
            self.report(Diagnostic::error("E0210", span, message).hint("make it an item of SELECT; HEADER(…) reads"));
            return None;
        }
        let bound: Vec<Option<Expr>> = args.iter().map(|arg| self.bind(arg, scope)).collect();
        let mut bound = bound.into_iter().collect::<Option<Vec<Expr>>>()?;
        if let Some(key) = bound.first().filter(|key| !matches!(key.data_type, DataType::String | DataType::Null)) {
            let message = format!("the name of a header is text, not {}", key.data_type);
            self.report(Diagnostic::error("E0302", key.span, message));
            return None;
        }
        if let (true, Some(ExprKind::Literal(Value::Str(key)))) = (call.is_edit(), bound.first().map(|key| &key.kind))
            && headers::is_engine(key.as_bytes())
        {
            let message = format!("header {key} is written by the engine: this change has no effect");
            self.report(Diagnostic::warning("W0204", span, message).hint("use another name"));
        }
        if call == HeaderCall::Set {
            let value = bound.pop()?;
            bound.push(if value.data_type == DataType::String { value } else { cast_to(value, DataType::String) });
        }
        if call == HeaderCall::Set && scope.aliased > 0 {
            return bound.pop();
        }
        let call = if scope.aliased > 0 && call == HeaderCall::Remove { HeaderCall::Value } else { call };
        let data_type = if call == HeaderCall::Has { DataType::Boolean } else { DataType::String };
        let headers = if call == HeaderCall::Set { headers_at(None) } else { self.headers_in(scope) };
        Some(Expr { kind: ExprKind::Header { call, headers: Box::new(headers), args: bound }, data_type, span })
    }

    /// The headers of a row of this scope.
    fn headers_in(&mut self, scope: &mut Scope<'_>) -> Expr {
        if scope.rel.poisoned {
            return headers_at(None);
        }
        let roots = scope.rel.roots.clone();
        let below = self.headers_of(scope.rel.node, &roots);
        match (&mut scope.grouped, below) {
            (Some(grouped), Some(_)) if !grouped.changelog => {
                grouped.reads_headers = true;
                headers_at(Some(HEADERS))
            }
            (Some(_), _) => headers_at(None),
            (None, below) => headers_at(below),
        }
    }
}
