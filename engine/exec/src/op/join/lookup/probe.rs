//! Rows of a stream's batch with the rows of a table that match, a batch at a time: pairs, residual, columns.
//!
//! What leaves are rows of the stream: their metadata, with a number where one of them leaves more than once. Cost: a
//! gather per column; with a residual one more for what it has to look at.

use std::sync::Arc;

use velostream_sql::plan::{JoinSpec, Side};
use velostream_state::rows::{NONE, RowStore};
use velostream_types::{Batch, Column, DlqId, Value};

use super::pairs::{Constant, Pairs, Rowed};
use crate::expr::{EvalContext, Evaluator};
use crate::op::aggregate::Place;
use crate::op::filter::bury;
use crate::op::join::output::{Output, Rows};
use crate::operator::OpCx;

/// A table that is looked up.
pub trait Table {
    /// Its rows by slot.
    fn rows(&self) -> &RowStore;

    /// The match of row `row` of the batch behind this one; `NONE` behind the last.
    fn next(&self, row: usize, slot: u32) -> u32;

    /// No row of the batch has two matches.
    fn is_single(&self) -> bool {
        false
    }

    /// These rows matched; `NONE` among them for rows of the stream without a match.
    fn note(&mut self, slots: &[u32]);
}

/// What a batch goes through.
pub struct Probe {
    keys: Vec<usize>,
    stream: Side,
    keeps_stream: bool,
    pairs: Pairs,
    output: Output,
    residual: Option<Evaluator>,
    /// What stands for the table's columns where it is not loaded; none: NULLs.
    defaults: Vec<Value>,
    /// The batch under way came before the table was loaded: each of its rows leaves, alone.
    absent: bool,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

impl Probe {
    /// For this join, one of whose sides is the stream.
    pub fn new(spec: &JoinSpec, stream: Side, place: &Place, ctx: EvalContext) -> Probe {
        let keys = if stream == Side::Left { &spec.left_keys } else { &spec.right_keys };
        Probe {
            keys: keys.clone(),
            stream,
            keeps_stream: spec.kind.keeps(stream),
            pairs: Pairs::default(),
            output: Output::new(spec, ctx, Arc::clone(&place.sources), place.dlq),
            residual: spec.residual.as_ref().map(Evaluator::new),
            defaults: spec.defaults.clone(),
            absent: false,
            ctx,
            names: Arc::clone(&place.sources),
            dlq: place.dlq,
        }
    }

    /// Key columns of the stream.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The side that is the stream.
    pub fn stream(&self) -> Side {
        self.stream
    }

    /// Begins a batch: answers its key columns, and where the caller puts the first match of each row.
    pub fn begin(&mut self) -> (&[usize], &mut Vec<u32>) {
        self.absent = false;
        (&self.keys, self.pairs.begin())
    }

    /// Begins a batch of so many rows that came before the table was loaded.
    pub fn begin_absent(&mut self, rows: usize) {
        self.absent = true;
        self.pairs.begin().resize(rows, NONE);
    }

    /// The columns of pairs.
    pub fn columns(&self, stream: &dyn Rows, rows: &[u32], table: &dyn Rows, slots: &[u32]) -> Vec<Column> {
        match self.stream {
            Side::Left => self.output.columns(stream, rows, table, slots, &[]),
            Side::Right => self.output.columns(table, slots, stream, rows, &[]),
        }
    }
    /// The next rows of the batch under way; `None` when there are none left.
    pub fn next<T: Table>(&mut self, batch: &Batch, held: &mut T, cx: &mut OpCx<'_>) -> Option<Batch> {
        let most = cx.batch_rows.max(1);
        loop {
            let is_last = match self.residual.is_some() && !self.absent {
                false => self.pairs.fill(held, most, self.keeps_stream || self.absent),
                true => {
                    let from = self.pairs.row();
                    let is_last = self.pairs.candidates(held, most);
                    let keep = self.matches(batch, held, cx);
                    self.pairs.settle(from, &keep, self.keeps_stream);
                    is_last
                }
            };
            if !self.pairs.rows.is_empty() {
                held.note(&self.pairs.slots);
                let made = self.make(batch, held);
                cx.counters.rows_out += made.rows as u64;
                return Some(made);
            }
            if is_last {
                return None;
            }
        }
    }

    /// Which candidates the residual lets match.
    fn matches<T: Table>(&mut self, batch: &Batch, held: &T, cx: &mut OpCx<'_>) -> Vec<bool> {
        if self.pairs.rows.is_empty() {
            return Vec::new();
        }
        let Some(mut residual) = self.residual.take() else { return Vec::new() };
        let candidates = self.made(batch, held);
        self.ctx.now_ns = cx.now_ns;
        let found = residual.filter_mask(&candidates, &self.ctx);
        self.residual = Some(residual);
        cx.counters.division_by_zero += found.division_by_zero;
        bury(found.errors, &candidates, &self.names, self.dlq, cx);
        found.keep.values().iter().collect()
    }

    /// The pairs that were found, as rows.
    fn made<T: Table>(&self, batch: &Batch, held: &T) -> Batch {
        let (rows, slots) = (&self.pairs.rows, &self.pairs.slots);
        let is_whole = rows.len() == batch.rows && rows.iter().enumerate().all(|(at, row)| *row as usize == at);
        let stream = Rowed { columns: &batch.columns, is_whole };
        let columns = match self.absent && !self.defaults.is_empty() {
            true => self.columns(&stream, rows, &Constant(&self.defaults), slots),
            false => self.columns(&stream, rows, held.rows(), slots),
        };
        let meta = if is_whole { batch.meta.clone() } else { batch.meta.take(rows) };
        Batch::new(columns, rows.len(), meta)
    }

    fn make<T: Table>(&mut self, batch: &Batch, held: &T) -> Batch {
        let mut made = self.made(batch, held);
        self.pairs.number(&mut made.meta, made.rows);
        made
    }
}
