//! Expressions over pairs: columns of a first relation, then those of the outer rows.
//!
//! Pairs are made in blocks. A column that no expression reads is not made: it stands as NULLs.

use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::{Batch, Column, RecordError, RowMeta, SourceId};

use crate::expr::{EvalContext, Evaluated, Evaluator, RowError};
use crate::operator::NodeCounters;

use std::collections::BTreeMap;

/// What an evaluation needs besides rows.
pub(super) struct Work<'a> {
    pub(super) ctx: EvalContext,
    /// Pairs at once at most.
    pub(super) batch_rows: usize,
    pub(super) counters: &'a mut NodeCounters,
}

impl Work<'_> {
    /// One value per row of a batch; what fails goes to `failed` by the outer rows of the pairs.
    pub(super) fn eval(&mut self, expr: &mut Evaluator, batch: &Batch, rows: &[u32], failed: &mut Failures) -> Column {
        let Evaluated { column, errors, division_by_zero, rounded } = expr.eval(batch, &self.ctx);
        self.counters.division_by_zero += division_by_zero;
        self.counters.rounded += rounded;
        for RowError { row, error } in errors {
            failed.add(rows[row as usize], error);
        }
        column
    }

    /// Positions of the rows for which `expr` is TRUE.
    pub(super) fn keeps(
        &mut self,
        expr: &mut Evaluator,
        batch: &Batch,
        rows: &[u32],
        failed: &mut Failures,
    ) -> Vec<usize> {
        let mask = expr.filter_mask(batch, &self.ctx);
        self.counters.division_by_zero += mask.division_by_zero;
        self.counters.rounded += mask.rounded;
        for RowError { row, error } in mask.errors {
            failed.add(rows[row as usize], error);
        }
        mask.keep.values().set_indices().collect()
    }
}

/// Why outer rows fail. Of several reasons the least stands, so that it does not depend on the order in which rows came.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) by_row: BTreeMap<u32, RecordError>,
}

impl Failures {
    pub(super) fn add(&mut self, row: u32, error: RecordError) {
        match self.by_row.get(&row) {
            Some(known) if (known.code, &known.message) <= (error.code, &error.message) => {}
            _ => {
                self.by_row.insert(row, error);
            }
        }
    }
}

/// What expressions read of pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// By column; those behind the last one are not read.
    columns: Vec<bool>,
    /// Something else of the outer row than its columns.
    row: bool,
}

impl Needs {
    pub(super) fn of<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Needs {
        let mut needs = Needs::default();
        let mut work: Vec<&Expr> = exprs.into_iter().collect();
        while let Some(expr) = work.pop() {
            match &expr.kind {
                ExprKind::Column(column) => {
                    needs.columns.resize(needs.columns.len().max(column + 1), false);
                    needs.columns[*column] = true;
                }
                ExprKind::System(_) => needs.row = true,
                ExprKind::Call { function, .. } if function.volatile => needs.row = true,
                _ => {}
            }
            expr.each_child(&mut |child| work.push(child));
        }
        needs
    }

    pub(super) fn reads(&self, column: usize) -> bool {
        self.columns.get(column).copied().unwrap_or(false)
    }

    /// TRUE when the values depend on the outer row, whose columns begin at `width`.
    pub(super) fn reads_outer(&self, width: usize) -> bool {
        self.row || self.columns.iter().skip(width).any(|read| *read)
    }

    /// Pairs of outer rows with others, whose columns `first` gives.
    pub(super) fn batch(&self, width: usize, first: impl Fn(usize) -> Column, outer: &Batch, rows: &[u32]) -> Batch {
        let count = rows.len();
        let inner = (0..width).map(|column| if self.reads(column) { first(column) } else { Column::Null(count) });
        let behind = outer.columns.iter().enumerate().map(|(at, column)| match self.reads(width + at) {
            true => column.take(rows),
            false => Column::Null(count),
        });
        let meta = match self.row {
            true => RowMeta { raw: None, records: None, weight: None, ..outer.meta.clone() }.take(rows),
            false => RowMeta::plain(SourceId(0), 0, 0),
        };
        Batch::new(inner.chain(behind).collect(), count, meta)
    }
}
