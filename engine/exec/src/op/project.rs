//! Computes one column per expression. Stateless; runs where its input is. A row for which any expression errs goes to
//! the dead letter once, with the first error, and leaves the output.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray};
use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::time::NS_PER_MS;
use velostream_types::{Batch, Column, DlqId, ErrorCode, Fatal, RecordError, Stage};

use super::filter::bury;
use crate::expr::{EvalContext, Evaluator, RowError};
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Project {
    columns: Vec<Output>,
    event_time: Option<Evaluator>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
    ready: Option<Msg>,
    /// Empty; the list of the last input, which holds the columns of the next output.
    spare: Vec<Column>,
}

/// A plain column is moved on without evaluation.
enum Output {
    Input(usize),
    Computed(Box<Evaluator>),
}

impl Project {
    /// A projection; `names` are the sources' names by source number, for dead letters.
    pub fn new(
        exprs: &[Expr],
        event_time: Option<&Expr>,
        ctx: EvalContext,
        names: Arc<[Arc<str>]>,
        dlq: DlqId,
    ) -> Project {
        let columns = exprs
            .iter()
            .map(|e| match e.kind {
                ExprKind::Column(i) => Output::Input(i),
                _ => Output::Computed(Box::new(Evaluator::new(e))),
            })
            .collect();
        Project { columns, event_time: event_time.map(Evaluator::new), ctx, names, dlq, ready: None, spare: Vec::new() }
    }

    fn compute(&mut self, batch: &Batch, errors: &mut Vec<RowError>, cx: &mut OpCx<'_>) -> Vec<Column> {
        let mut columns = std::mem::take(&mut self.spare);
        columns.reserve(self.columns.len());
        for output in &mut self.columns {
            columns.push(match output {
                Output::Input(i) => batch.columns[*i].clone(),
                Output::Computed(evaluator) => {
                    let result = evaluator.eval(batch, &self.ctx);
                    cx.counters.division_by_zero += result.division_by_zero;
                    cx.counters.rounded += result.rounded;
                    errors.extend(result.errors);
                    result.column
                }
            });
        }
        columns
    }

    /// Replaces the rows' event time by `expr AS _event_time`: ms of an Integer, or a Timestamp.
    fn restamp(&mut self, batch: &Batch, out: &mut Batch, errors: &mut Vec<RowError>) {
        let Some(evaluator) = &mut self.event_time else { return };
        let result = evaluator.eval(batch, &self.ctx);
        errors.extend(result.errors);
        let mut times = Vec::with_capacity(batch.rows);
        for row in 0..batch.rows {
            let at = match &result.column {
                Column::Int(a) if a.is_valid(row) => a.value(row).checked_mul(NS_PER_MS),
                Column::Timestamp(a) if a.is_valid(row) => Some(a.value(row)),
                _ => None,
            };
            let own = batch.meta.wm_own.as_ref().map_or(i64::MIN, |w| w[row]);
            if at.is_none_or(|t| t < own) {
                errors.push(RowError { row: row as u32, error: late_or_missing(at) });
            }
            times.push(at.unwrap_or(own));
        }
        out.meta.event_time = Some(times.into());
        if out.meta.wm_own.is_none() {
            out.meta.wm_own = Some(vec![i64::MIN; batch.rows].into());
        }
    }
}

fn late_or_missing(at: Option<i64>) -> RecordError {
    let (code, message) = match at {
        None => (ErrorCode::EventTime, "the expression for _event_time gave NULL or a time outside 1677-2262"),
        Some(_) => (ErrorCode::Late, "the new _event_time lies before the watermark of the row's own partition"),
    };
    RecordError { code, stage: Stage::Process, message: message.into(), span: None }
}

impl Operator for Project {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let Msg::Batch(mut batch) = msg else {
            self.ready = Some(msg);
            return Ok(());
        };
        cx.counters.rows_in += batch.rows as u64;
        self.ctx.now_ns = cx.now_ns;
        let mut errors = Vec::new();
        let columns = self.compute(&batch, &mut errors, cx);
        let mut out = Batch { columns, rows: batch.rows, meta: batch.meta.clone() };
        self.restamp(&batch, &mut out, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|e| e.row);
            errors.dedup_by_key(|e| e.row);
            cx.counters.late += errors.iter().filter(|e| e.error.code == ErrorCode::Late).count() as u64;
            let mut keep = vec![true; batch.rows];
            errors.iter().for_each(|e| keep[e.row as usize] = false);
            bury(errors, &batch, &self.names, self.dlq, cx);
            out = out.filter(&BooleanArray::from(keep));
        }
        cx.counters.rows_out += out.rows as u64;
        batch.columns.clear();
        self.spare = batch.columns;
        self.ready = (out.rows > 0).then_some(Msg::Batch(out));
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
