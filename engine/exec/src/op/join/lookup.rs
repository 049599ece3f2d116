//! Lookup: rows of a stream find the rows of a table that have their key, as the table is when they come.
//!
//! Stands behind exchanges by the key, or where the stream is read with the whole table beside it on every shard. The
//! table's port takes what it is made of (rows that come, and rows taken back by value); the stream's port gives
//! the output. A row that leaves is the stream's row with the columns of both: record, event time, watermark and order are
//! the stream's alone, and so are the operator's watermark and its end. Matches of one row leave in the order in which the
//! table's rows came, told apart by their number in the tie. NULL in a key matches nothing.
//!
//! Of a RIGHT or FULL join the rows of the table that no row of the stream ever matched leave when both inputs ended, in
//! their own order. They wait until then like rows of a window that is open, so no watermark goes before them.
//!
//! A row of a million matches leaves in many batches: the cursor is a row and a slot. Cost: a probe and a gather per
//! column, nothing per row is allocated. State: `held` has the rows.

mod held;
mod pairs;
mod saved;

use std::collections::VecDeque;
use std::sync::Arc;

use velostream_sql::plan::{JoinKind, JoinMode, JoinSpec, Side};
use velostream_state::rows::NONE;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, DlqId, Fatal, SchemaRef};

use self::held::Held;
use self::pairs::Pairs;
use super::marks::{Mark, batches};
use super::output::Output;
use crate::expr::{EvalContext, Evaluator};
use crate::op::aggregate::Place;
use crate::op::filter::bury;
use crate::op::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};

/// Rows of the table without a match are gathered so many at a time.
const UNMATCHED_AT_ONCE: usize = 1024;

/// The operator.
pub struct Lookup {
    /// Input that is the table.
    table: usize,
    kind: JoinKind,
    held: Held,
    inputs: Inputs,
    probe: Probe,
    /// The stream's batch that is under way.
    open: Option<Batch>,
    /// Rows of the table that leave without a match, in order, once all ended.
    left_over: VecDeque<u32>,
    ready: VecDeque<Msg>,
    /// Which inputs ended.
    ends: [bool; 2],
    /// The end was given on.
    over: bool,
}

/// What a stream's batch goes through.
struct Probe {
    keys: Vec<usize>,
    stream: Side,
    keeps_stream: bool,
    pairs: Pairs,
    output: Output,
    residual: Option<Evaluator>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

impl Lookup {
    /// The operator of this join over inputs of these schemas.
    pub fn new(spec: &JoinSpec, inputs: [&SchemaRef; 2], place: Place, ctx: EvalContext) -> Lookup {
        let table = match spec.mode {
            JoinMode::Lookup { table, .. } => table,
            _ => Side::Right,
        };
        let (table_keys, stream_keys) = match table {
            Side::Left => (&spec.left_keys, &spec.right_keys),
            Side::Right => (&spec.right_keys, &spec.left_keys),
        };
        let port = usize::from(table == Side::Right);
        let probe = Probe {
            keys: stream_keys.clone(),
            stream: table.other(),
            keeps_stream: spec.kind.keeps(table.other()),
            pairs: Pairs::default(),
            output: Output::new(spec, ctx, Arc::clone(&place.sources), place.dlq),
            residual: spec.residual.as_ref().map(Evaluator::new),
            ctx,
            names: Arc::clone(&place.sources),
            dlq: place.dlq,
        };
        Lookup {
            table: port,
            kind: spec.kind,
            held: Held::new(table_keys, inputs[port], spec.kind.keeps(table), (place.shard, place.shards)),
            inputs: Inputs::new(2),
            probe,
            open: None,
            left_over: VecDeque::new(),
            ready: VecDeque::new(),
            ends: [false; 2],
            over: false,
        }
    }

    fn keeps_table(&self) -> bool {
        self.kind.keeps(self.probe.stream.other())
    }

    /// Takes what an input has next; `None` when something has to arrive first.
    fn take(&mut self, cx: &mut OpCx<'_>) -> Option<()> {
        let input = self.inputs.take()?;
        match input {
            _ if self.over => {}
            Input::Rows(port, batch) => {
                cx.counters.rows_in += batch.rows as u64;
                if port == self.table {
                    cx.counters.dropped += self.held.change(&batch);
                    cx.counters.groups = self.held.groups() as u64;
                    cx.counters.state_bytes = self.held.bytes() as u64;
                } else {
                    self.probe.begin(&batch, &mut self.held);
                    self.open = Some(batch);
                }
            }
            Input::Watermark(port, WM_END) => self.end(port),
            Input::Watermark(port, at) if port != self.table && !self.keeps_table() => {
                self.ready.push_back(Msg::Watermark(at));
            }
            Input::Passed(port, record) if port != self.table => self.ready.push_back(Msg::Passed(record)),
            Input::Idle(port) if port != self.table => self.ready.push_back(Msg::Idle),
            Input::Watermark(..) | Input::Passed(..) | Input::Idle(_) => {}
            Input::Barrier(id) => self.ready.push_back(Msg::Barrier(id)),
        }
        Some(())
    }

    /// An input ended. The stream's end is the join's, unless rows of the table are still to come.
    fn end(&mut self, port: usize) {
        self.ends[port] = true;
        if !self.ends[1 - self.table] || (self.keeps_table() && !self.ends[self.table]) {
            return;
        }
        self.left_over = self.held.unmatched().into();
        self.ready.push_back(Msg::Watermark(WM_END));
        self.over = true;
    }

    /// The next rows of the table that nobody matched, cut by the partition they stem from.
    fn leave(&mut self, cx: &OpCx<'_>) {
        let most = cx.batch_rows.clamp(1, UNMATCHED_AT_ONCE).min(self.left_over.len());
        let slots: Vec<u32> = self.left_over.drain(..most).collect();
        let none = vec![NONE; slots.len()];
        let marks: Vec<Mark> = slots.iter().map(|slot| self.held.mark(*slot)).collect();
        let columns = match self.probe.stream {
            Side::Left => self.probe.output.columns(&pairs::Nothing, &none, self.held.rows(), &slots, &[]),
            Side::Right => self.probe.output.columns(self.held.rows(), &slots, &pairs::Nothing, &none, &[]),
        };
        for batch in batches(columns, &marks, None).into_iter().rev() {
            self.ready.push_front(Msg::Batch(batch));
        }
    }
}

impl Probe {
    /// Finds the first match of each row of a batch.
    fn begin(&mut self, batch: &Batch, held: &mut Held) {
        let firsts = self.pairs.begin();
        held.find(&batch.columns, &self.keys, batch.rows, firsts);
    }

    /// The next rows of the batch under way; `None` when there are none left.
    fn next(&mut self, batch: &Batch, held: &mut Held, cx: &mut OpCx<'_>) -> Option<Batch> {
        let most = cx.batch_rows.max(1);
        loop {
            let is_last = match self.residual.is_some() {
                false => self.pairs.fill(held, most, self.keeps_stream),
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
    fn matches(&mut self, batch: &Batch, held: &Held, cx: &mut OpCx<'_>) -> Vec<bool> {
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
    fn made(&self, batch: &Batch, held: &Held) -> Batch {
        let (rows, slots) = (&self.pairs.rows, &self.pairs.slots);
        let is_whole = rows.len() == batch.rows && rows.iter().enumerate().all(|(at, row)| *row as usize == at);
        let stream = pairs::Rowed { columns: &batch.columns, is_whole };
        let columns = match self.stream {
            Side::Left => self.output.columns(&stream, rows, held.rows(), slots, &[]),
            Side::Right => self.output.columns(held.rows(), slots, &stream, rows, &[]),
        };
        let meta = if is_whole { batch.meta.clone() } else { batch.meta.take(rows) };
        Batch::new(columns, rows.len(), meta)
    }

    fn make(&mut self, batch: &Batch, held: &Held) -> Batch {
        let mut made = self.made(batch, held);
        self.pairs.number(&mut made.meta, made.rows);
        made
    }
}

impl Operator for Lookup {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(batch) = self.open.take()
                && let Some(made) = self.probe.next(&batch, &mut self.held, cx)
            {
                self.open = Some(batch);
                return Ok(Some(Msg::Batch(made)));
            }
            if !self.left_over.is_empty() && !matches!(self.ready.front(), Some(Msg::Batch(_))) {
                self.leave(cx);
            }
            if let Some(msg) = self.ready.pop_front() {
                if let Msg::Batch(batch) = &msg {
                    cx.counters.rows_out += batch.rows as u64;
                }
                return Ok(Some(msg));
            }
            if self.take(cx).is_none() {
                return Ok(None);
            }
        }
    }

    fn is_satisfied(&self) -> bool {
        self.over
    }

    fn hands_back_on(&self) -> bool {
        true
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.held.snapshot(out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.held.restore(from, owns)
    }
}
