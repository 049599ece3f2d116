//! Expressions over columns: a plan expression is compiled once per node and evaluated batch by batch.
//!
//! Runs on the shard that holds the batch, inside Filter, Project and the argument projections of aggregates. A kernel
//! computes every lane of the batch in one loop and combines validity as whole bitmaps; the selection only says for
//! which rows an error counts, so that an untaken CASE branch, a COALESCE tail or a decided AND/OR operand never
//! raises. A row that fails is listed once, with its first error in evaluation order, and its value is NULL.
//!
//! Invariants: the result depends on the row's values and the logical types alone, never on the physical kind or scale
//! a batch happens to have (an inferred Integer column may arrive as decimals with two more digits). Cost: one loop per
//! node and batch, allocations per node and batch, none per row except for rows that fail.
//!
//! `node` compiles, `eval` walks, `datum` is what flows between kernels; each other file is one group of kernels.

mod arith;
mod arith_dec;
mod arith_float;
mod arith_int;
mod arith_wide;
mod call;
mod case;
mod cast;
mod cast_number;
mod cast_text;
mod cast_time;
mod compare;
mod datum;
mod eval;
mod exact;
mod identity;
mod in_list;
mod lanes;
mod logic;
mod nested;
mod node;
mod system;
mod text;

#[cfg(test)]
mod tests;

use arrow_array::BooleanArray;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_sql::plan::Expr;
use velostream_types::{Batch, Column, RecordError};

use self::datum::{Datum, with_nulls};
use self::eval::Session;
use self::node::Node;

/// What an evaluation needs beside the batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvalContext {
    /// `_timestamp` of rows whose source gives none, ms.
    pub run_start_ms: i64,
    /// The turn's time, ns: what NOW answers.
    pub now_ns: i64,
    /// The run's seed.
    pub seed: u64,
}

/// One failed row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    /// Position in the batch.
    pub row: u32,
    /// What went wrong first.
    pub error: RecordError,
}

/// A computed column with what went wrong on the way.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// One value per row of the batch; NULL where the row failed. Rows outside the selection hold anything.
    pub column: Column,
    /// Failed rows, ascending, each once.
    pub errors: Vec<RowError>,
    /// Divisions by zero that gave NULL.
    pub division_by_zero: u64,
    /// Values whose digits a cast to a declared scale rounded away.
    pub rounded: u64,
}

/// Rows a predicate keeps, with what went wrong on the way.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// Set where the predicate is TRUE; never NULL.
    pub keep: BooleanArray,
    /// Failed rows, ascending, each once; not kept.
    pub errors: Vec<RowError>,
    /// Divisions by zero that gave NULL.
    pub division_by_zero: u64,
    /// Values whose digits a cast to a declared scale rounded away.
    pub rounded: u64,
}

/// One compiled expression.
#[derive(Clone, Debug)]
pub struct Evaluator {
    root: Node,
}

impl Evaluator {
    /// Compiles `expr`, folding constant subexpressions that cannot fail.
    pub fn new(expr: &Expr) -> Evaluator {
        Evaluator { root: Node::compile(expr) }
    }

    /// The input column this expression merely passes on, if it is one.
    pub fn as_column(&self) -> Option<usize> {
        self.root.as_column()
    }

    /// Evaluates over all rows of the batch.
    pub fn eval(&mut self, batch: &Batch, ctx: &EvalContext) -> Evaluated {
        self.eval_selected(batch, ctx, None)
    }

    /// Evaluates over the rows of the batch whose bit is set in `selection` (all without one): only they raise errors
    /// and count.
    pub fn eval_selected(&mut self, batch: &Batch, ctx: &EvalContext, selection: Option<&BooleanBuffer>) -> Evaluated {
        let mut session = Session::new(batch, ctx);
        let column = session.eval(&self.root, selection).into_column(batch.rows);
        let Session { errors, division_by_zero, rounded, .. } = session;
        let errors = first_per_row(errors);
        let column = if errors.is_empty() { column } else { with_nulls(&column, &passed(batch.rows, &errors)) };
        Evaluated { column, errors, division_by_zero, rounded }
    }

    /// Evaluates a predicate: only TRUE keeps a row.
    pub fn filter_mask(&mut self, batch: &Batch, ctx: &EvalContext) -> Filtered {
        let Evaluated { column, errors, division_by_zero, rounded } = self.eval(batch, ctx);
        let keep = logic::truths(&Datum::Column(column), batch.rows);
        Filtered { keep: BooleanArray::new(keep, None), errors, division_by_zero, rounded }
    }
}

/// Orders errors by row and keeps the first of each: evaluation order is preserved by the stable sort.
fn first_per_row(mut errors: Vec<RowError>) -> Vec<RowError> {
    errors.sort_by_key(|e| e.row);
    errors.dedup_by_key(|e| e.row);
    errors
}

/// Bits of the rows that did not fail.
fn passed(rows: usize, errors: &[RowError]) -> NullBuffer {
    let mut bits = vec![true; rows];
    for e in errors {
        bits[e.row as usize] = false;
    }
    NullBuffer::from(bits)
}
