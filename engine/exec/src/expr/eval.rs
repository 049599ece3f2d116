//! Walks a compiled expression over one batch and collects what fails.
//!
//! Every node is evaluated under a selection: the rows for which an error of it counts. Recursion follows the nesting a
//! person wrote; chains of one operator are loops.

use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_sql::plan::CompareOp;
use velostream_types::headers::Edit;
use velostream_types::{Batch, ErrorCode, RecordError, Span, Stage};

use super::datum::{Datum, with_nulls};
use super::node::{Kind, Node};
use super::{
    EvalContext, RowError, arith, call, case, cast, compare, identity, in_list, logic, nested, passed, system, text,
};

/// Rows for which errors count; `None` is all of them.
pub(super) type Selection<'a> = Option<&'a BooleanBuffer>;

/// One evaluation of one expression over one batch.
pub(super) struct Session<'a> {
    pub batch: &'a Batch,
    pub ctx: &'a EvalContext,
    pub rows: usize,
    /// In evaluation order; a row may occur more than once until the end.
    pub errors: Vec<RowError>,
    pub division_by_zero: u64,
    pub rounded: u64,
    /// Changes of headers by row, in evaluation order, while somebody wants them.
    pub edits: Option<Vec<(u32, Edit)>>,
}

/// Rows for which a kernel's error counts: selected and with every operand valid.
pub(super) struct Live<'a> {
    pub nulls: Option<&'a NullBuffer>,
    pub selection: Selection<'a>,
}

impl Live<'_> {
    #[inline]
    pub fn at(&self, row: usize) -> bool {
        self.nulls.is_none_or(|n| n.is_valid(row)) && self.selection.is_none_or(|s| s.value(row))
    }
}

impl<'a> Session<'a> {
    pub fn new(batch: &'a Batch, ctx: &'a EvalContext) -> Session<'a> {
        Session { batch, ctx, rows: batch.rows, errors: Vec::new(), division_by_zero: 0, rounded: 0, edits: None }
    }

    /// Notes that `row` failed.
    #[cold]
    pub fn fail(&mut self, row: usize, code: ErrorCode, span: Span, message: String) {
        let error = RecordError { code, stage: Stage::Process, message: message.into(), span: Some(span) };
        self.errors.push(RowError { row: row as u32, error });
    }

    /// Evaluates `node`; without a selected row nothing is computed.
    pub fn eval(&mut self, node: &Node, selection: Selection<'_>) -> Datum<'a> {
        if selection.is_some_and(|s| !s.has_true()) {
            return Datum::NULL;
        }
        match &node.kind {
            Kind::Column(i) => Datum::Input(&self.batch.columns[*i]),
            Kind::Const(value) => Datum::Const(value.clone()),
            Kind::System(column) => system::column(*column, self),
            Kind::Chain { first, steps } => arith::chain(first, steps, selection, self),
            Kind::Negate(operand) => {
                let value = self.eval(operand, selection);
                arith::negate(value, node, selection, self)
            }
            Kind::Compare { op, left, right } => {
                let (l, r) = (self.eval(left, selection), self.eval(right, selection));
                if left.data_type.is_nested() && !matches!(op, CompareOp::Equal | CompareOp::NotEqual) {
                    return nested::ordered(*op, &l, &r, &left.data_type, self.rows);
                }
                compare::compare(*op, &l, &r, self.rows)
            }
            Kind::Distinct { left, right, negated } => {
                let (l, r) = (self.eval(left, selection), self.eval(right, selection));
                compare::distinct(&l, &r, *negated, self.rows)
            }
            Kind::And(operands) => logic::and(operands, selection, self),
            Kind::Or(operands) => logic::or(operands, selection, self),
            Kind::Not(operand) => logic::not(&self.eval(operand, selection)),
            Kind::IsNull { operand, negated } => {
                let value = self.eval(operand, selection);
                logic::is_null(&value, *negated, self.rows)
            }
            Kind::InList { operand, list, negated } => in_list::in_list(operand, list, *negated, selection, self),
            Kind::Case { branches, otherwise } => case::case(branches, otherwise.as_deref(), node, selection, self),
            Kind::Coalesce(operands) => case::coalesce(operands, node, selection, self),
            Kind::Cast { operand, try_cast } => {
                let value = self.eval(operand, selection);
                cast::cast(value, &operand.data_type, node, *try_cast, selection, self)
            }
            Kind::Try(operand) => {
                let before = self.errors.len();
                let value = self.eval(operand, selection);
                let failed = self.errors.split_off(before);
                if failed.is_empty() {
                    return value;
                }
                Datum::Column(with_nulls(&value.into_column(self.rows), &passed(self.rows, &failed)))
            }
            Kind::Concat(operands) => text::concat(operands, selection, self),
            Kind::Call { function, args, prepared } => {
                call::call(function, args, prepared.as_ref(), node, selection, self)
            }
            Kind::RecordKey { format, schema, parts } => {
                identity::record_key(*format, schema, parts, node, selection, self)
            }
            Kind::Header { call, headers, args } => identity::header(*call, headers, args, selection, self),
            Kind::Headers { before, edits } => identity::edited_headers(before, edits, selection, self),
        }
    }
}
