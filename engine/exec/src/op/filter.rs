//! Keeps the rows whose predicate is TRUE. Stateless; runs where its input is. A row whose predicate errs goes to the
//! dead letter with its bytes; the job goes on. Retraction pairs stay adjacent: both rows of a pair are judged by
//! their own values.

use std::sync::Arc;

use velostream_sql::plan::Expr;
use velostream_types::{DlqId, Fatal};

use crate::expr::{EvalContext, Evaluator, RowError};
use crate::operator::{Msg, OpCx, Operator};
use crate::shard::letter_of;

/// The operator.
pub struct Filter {
    predicate: Evaluator,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
    ready: Option<Msg>,
}

impl Filter {
    /// A filter; `names` are the sources' names by source number, for dead letters.
    pub fn new(predicate: &Expr, ctx: EvalContext, names: Arc<[Arc<str>]>, dlq: DlqId) -> Filter {
        Filter { predicate: Evaluator::new(predicate), ctx, names, dlq, ready: None }
    }
}

/// Sends the failed rows of a batch to the dead letter.
pub fn bury(
    errors: Vec<RowError>,
    batch: &velostream_types::Batch,
    names: &Arc<[Arc<str>]>,
    dlq: DlqId,
    cx: &mut OpCx<'_>,
) {
    for failed in errors {
        cx.counters.dead_lettered += 1;
        let name = names.get(batch.meta.source.index()).cloned().unwrap_or_else(|| Arc::from("query"));
        cx.dead.push((dlq, letter_of(&name, batch, failed.row as usize, failed.error)));
    }
}

impl Operator for Filter {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let Msg::Batch(batch) = msg else {
            self.ready = Some(msg);
            return Ok(());
        };
        cx.counters.rows_in += batch.rows as u64;
        self.ctx.now_ns = cx.now_ns;
        let mask = self.predicate.filter_mask(&batch, &self.ctx);
        cx.counters.division_by_zero += mask.division_by_zero;
        bury(mask.errors, &batch, &self.names, self.dlq, cx);
        let kept = mask.keep.true_count();
        cx.counters.rows_out += kept as u64;
        self.ready = match kept {
            0 => None,
            n if n == batch.rows => Some(Msg::Batch(batch)),
            _ => Some(Msg::Batch(batch.filter(&mask.keep))),
        };
        Ok(())
    }

    fn hands_back_on(&self) -> bool {
        true
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
