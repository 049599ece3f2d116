//! VALUES: for each row of the input one row per list of expressions. The input is the one row without columns, so the
//! rows stand at positions 0, 1, 2 and so on of its partition, and the later of two is the later one to whoever orders
//! them. A row that fails goes to the dead letters, the others stay. Cost: one evaluation per value, once a run.

use std::sync::Arc;

use velostream_sql::plan::Expr;
use velostream_state::build::ColumnBuilder;
use velostream_types::{Batch, DataType, DlqId, Fatal, Offsets, RowMeta, SchemaRef, Value};

use super::filter::bury;
use crate::expr::{EvalContext, Evaluator};
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Values {
    rows: Vec<Vec<Evaluator>>,
    types: Vec<DataType>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
    /// The row they are made of, and the next of them.
    cursor: Option<(Batch, usize)>,
    behind: Option<Msg>,
}

impl Values {
    /// Rows of this schema; `names` are the sources' names by source number, for dead letters.
    pub fn new(rows: &[Vec<Expr>], schema: &SchemaRef, ctx: EvalContext, names: Arc<[Arc<str>]>, dlq: DlqId) -> Values {
        Values {
            rows: rows.iter().map(|row| row.iter().map(Evaluator::new).collect()).collect(),
            types: schema.fields.iter().map(|f| f.data_type.clone()).collect(),
            ctx,
            names,
            dlq,
            cursor: None,
            behind: None,
        }
    }

    /// The next rows that do not fail; `None` when all are out.
    fn next(&mut self, cx: &mut OpCx<'_>) -> Option<Batch> {
        let (input, mut at) = self.cursor.take()?;
        let mut columns: Vec<ColumnBuilder> = self.types.iter().map(ColumnBuilder::new).collect();
        let mut offsets: Vec<i64> = Vec::new();
        while offsets.len() < cx.batch_rows.max(1)
            && let Some(row) = self.rows.get_mut(at)
        {
            let mut values: Vec<Value> = Vec::with_capacity(row.len());
            let mut errors = Vec::new();
            for evaluator in row {
                let result = evaluator.eval(&input, &self.ctx);
                cx.counters.division_by_zero += result.division_by_zero;
                cx.counters.rounded += result.rounded;
                errors.extend(result.errors);
                values.push(result.column.value(0));
            }
            errors.truncate(1);
            if errors.is_empty() {
                columns.iter_mut().zip(&values).for_each(|(column, value)| column.push_value(value));
                offsets.push(at as i64);
            } else {
                let mut failed = input.clone();
                failed.meta.offsets = Offsets::From(at as i64);
                bury(errors, &failed, &self.names, self.dlq, cx);
            }
            at += 1;
        }
        let rows = offsets.len();
        if rows == 0 {
            return None;
        }
        let meta = RowMeta { offsets: Offsets::List(offsets.into()), ..input.meta.take(&vec![0; rows]) };
        self.cursor = Some((input, at));
        Some(Batch::new(columns.into_iter().map(ColumnBuilder::finish).collect(), rows, meta))
    }
}

impl Operator for Values {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.ctx.now_ns = cx.now_ns;
                self.cursor = Some((batch, 0));
            }
            other => self.behind = Some(other),
        }
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        if let Some(batch) = self.next(cx) {
            cx.counters.rows_out += batch.rows as u64;
            return Ok(Some(Msg::Batch(batch)));
        }
        Ok(self.behind.take())
    }
}
