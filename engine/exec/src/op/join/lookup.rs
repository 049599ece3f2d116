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
//! column, nothing per row is allocated. State: `held` has the rows of a table that tells what it takes back, `latest` those
//! of one whose rows replace each other here.

mod held;
mod latest;
mod orders;
pub(super) mod pairs;
pub(super) mod probe;
mod saved;

use std::collections::VecDeque;

use velostream_sql::plan::{Fallback, JoinKind, JoinMode, JoinSpec, Placement, Side};
use velostream_state::rows::NONE;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Fatal, SchemaRef};

use self::held::Held;
use self::latest::Latest;
use self::pairs::Nothing;
use self::probe::{Probe, Table};
use super::marks::Mark;
use super::saved::made_of;
use crate::expr::EvalContext;
use crate::op::aggregate::Place;
use crate::op::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};

/// Rows of the table without a match are gathered so many at a time.
const UNMATCHED_AT_ONCE: usize = 1024;

/// The rows of the table.
enum Kept {
    /// Every row that came until it is taken back.
    Each(Box<Held>),
    /// The last row of each key.
    Last(Box<Latest>),
}

impl Kept {
    /// Takes rows of the table; answers how many were taken back that nobody knows.
    fn change(&mut self, batch: &Batch) -> u64 {
        match self {
            Kept::Each(held) => held.change(batch),
            Kept::Last(latest) => {
                latest.change(batch);
                0
            }
        }
    }

    /// Keys known, and bytes held.
    fn size(&self) -> (u64, u64) {
        let (keys, bytes) = match self {
            Kept::Each(held) => (held.groups(), held.bytes()),
            Kept::Last(latest) => (latest.groups(), latest.bytes()),
        };
        (keys as u64, bytes as u64)
    }
}

/// The operator.
pub struct Lookup {
    /// Input that is the table.
    table: usize,
    kind: JoinKind,
    held: Kept,
    inputs: Inputs,
    probe: Probe,
    /// The stream's batch that is under way.
    open: Option<Batch>,
    /// Rows of the table that leave without a match, in order, once all ended.
    left_over: VecDeque<u32>,
    ready: VecDeque<Msg>,
    /// Which inputs ended.
    ends: [bool; 2],
    /// What becomes of rows of the stream; `FailFast` once the table is loaded.
    fallback: Fallback,
    /// The end was given on.
    over: bool,
}

impl Lookup {
    /// The operator of this join over inputs of these schemas.
    pub fn new(spec: &JoinSpec, inputs: [&SchemaRef; 2], place: Place, ctx: EvalContext) -> Lookup {
        let (table, fallback) = match spec.mode {
            JoinMode::Lookup { table, fallback, .. } => (table, fallback),
            _ => (Side::Right, Fallback::FailFast),
        };
        let table_keys = if table == Side::Left { &spec.left_keys } else { &spec.right_keys };
        let port = usize::from(table == Side::Right);
        let everywhere = matches!(spec.placement, Placement::Everywhere { .. });
        let held = match spec.replaces {
            true => Kept::Last(Box::new(Latest::new(spec, table, inputs[port], everywhere))),
            false => Kept::Each(Box::new(Held::new(table_keys, inputs[port], spec.kind.keeps(table), everywhere))),
        };
        Lookup {
            table: port,
            kind: spec.kind,
            held,
            inputs: Inputs::new(2),
            probe: Probe::new(spec, table.other(), &place, ctx),
            open: None,
            left_over: VecDeque::new(),
            ready: VecDeque::new(),
            ends: [false; 2],
            fallback,
            over: false,
        }
    }

    fn keeps_table(&self) -> bool {
        self.kind.keeps(self.probe.stream().other())
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
                    (cx.counters.groups, cx.counters.state_bytes) = self.held.size();
                } else if self.fallback == Fallback::SkipRecord {
                    cx.counters.dropped += batch.rows as u64;
                } else if matches!(self.fallback, Fallback::EmitWithNulls | Fallback::UseDefaults) {
                    self.probe.begin_absent(batch.rows);
                    self.open = Some(batch);
                } else {
                    let (keys, firsts) = self.probe.begin();
                    match &mut self.held {
                        Kept::Each(held) => held.find(&batch.columns, keys, batch.rows, firsts),
                        Kept::Last(latest) => latest.find(&batch.columns, keys, batch.rows, firsts),
                    }
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
        if let Kept::Each(held) = &self.held {
            self.left_over = held.unmatched().into();
        }
        self.ready.push_back(Msg::Watermark(WM_END));
        self.over = true;
    }

    /// The next rows of the table that nobody matched, cut by the partition they stem from.
    fn leave(&mut self, cx: &OpCx<'_>) {
        let Kept::Each(held) = &self.held else { return };
        let most = cx.batch_rows.clamp(1, UNMATCHED_AT_ONCE).min(self.left_over.len());
        let slots: Vec<u32> = self.left_over.drain(..most).collect();
        let none = vec![NONE; slots.len()];
        let marks: Vec<Mark> = slots.iter().map(|slot| held.mark(*slot)).collect();
        let columns = self.probe.columns(&Nothing, &none, held.rows(), &slots);
        for batch in made_of(columns, &marks).into_iter().rev() {
            self.ready.push_front(Msg::Batch(batch));
        }
    }
}

impl Operator for Lookup {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(batch) = self.open.take() {
                let made = match &mut self.held {
                    Kept::Each(held) => self.probe.next(&batch, held.as_mut(), cx),
                    Kept::Last(latest) => self.probe.next(&batch, latest.as_mut(), cx),
                };
                if let Some(made) = made {
                    self.open = Some(batch);
                    return Ok(Some(Msg::Batch(made)));
                }
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

    fn loaded(&mut self, port: usize) {
        if port == self.table {
            self.fallback = Fallback::FailFast;
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
        // Where the stream ended first, what came of a table that all shards hold was not taken any more.
        if self.over {
            return;
        }
        match &self.held {
            Kept::Each(held) => held.snapshot(out),
            Kept::Last(latest) => latest.snapshot(out),
        }
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        match &mut self.held {
            Kept::Each(held) => held.restore(from, owns),
            Kept::Last(latest) => latest.restore(from, owns),
        }
    }
}
