//! Versions: rows of a stream find the rows of a table as they were at a time of the stream's row.
//!
//! A row of the stream waits until the table's watermark lies behind its time, so that no change at or before it can come
//! but a late one; then it reads, of each row of the table with its key, the last version at or before its time (`history`
//! says which). Rows leave in the order of their partition (`waiting`), with the metadata of the stream's row. The join's
//! watermark is the stream's, held back by what waits. So what leaves is a function of the partitions' contents. A table
//! that is idle holds nobody up.
//!
//! With a retention, a row whose time lies further than it behind the watermark its own partition had is late: counted and
//! dropped. Versions that nobody reads who is not late are dropped as the watermark goes on.

mod history;
mod saved;
mod waiting;

use std::collections::VecDeque;

use arrow_array::Array;
use velostream_sql::plan::{JoinMode, JoinSpec, Side, Version};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE};
use velostream_types::{Batch, Column, DataType, Fatal, SchemaRef, Value};

use self::history::History;
use self::waiting::Waiting;
use super::lookup::probe::Probe;
use crate::expr::EvalContext;
use crate::op::aggregate::Place;
use crate::op::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Versions {
    /// Input that is the table.
    table: usize,
    at: Version,
    /// Types of the stream's columns.
    types: Vec<DataType>,
    history: History,
    waiting: Waiting,
    probe: Probe,
    inputs: Inputs,
    /// The stream's rows that are under way.
    open: Option<Batch>,
    ready: VecDeque<Msg>,
    /// Watermarks of stream and table; the table may be idle.
    stream_at: i64,
    table_at: i64,
    table_idle: bool,
    /// What the stream told and is not yet true of what leaves.
    stream_passed: i64,
    stream_idle: bool,
    /// Given on so far.
    given: i64,
    passed: i64,
    over: bool,
}

impl Versions {
    /// The operator of this join over inputs of these schemas, which reads versions at `at`.
    pub fn new(spec: &JoinSpec, at: Version, inputs: [&SchemaRef; 2], place: &Place, ctx: EvalContext) -> Versions {
        let table = match spec.mode {
            JoinMode::Lookup { table, .. } => table,
            _ => Side::Right,
        };
        let port = usize::from(table == Side::Right);
        let keys = if table == Side::Left { &spec.left_keys } else { &spec.right_keys };
        Versions {
            table: port,
            at,
            types: inputs[1 - port].fields.iter().map(|f| f.data_type.clone()).collect(),
            history: History::new(keys, spec.identity.clone(), inputs[port], at.retention_ns.is_some()),
            waiting: Waiting::default(),
            probe: Probe::new(spec, table.other(), place, ctx),
            inputs: Inputs::new(2),
            open: None,
            ready: VecDeque::new(),
            stream_at: WM_NONE,
            table_at: WM_NONE,
            table_idle: false,
            stream_passed: i64::MIN,
            stream_idle: false,
            given: WM_NONE,
            passed: i64::MIN,
            over: false,
        }
    }

    /// Takes what an input has next; `None` when something has to arrive first.
    fn take(&mut self, cx: &mut OpCx<'_>) -> Option<()> {
        let input = self.inputs.take()?;
        match input {
            _ if self.over => {}
            Input::Rows(port, batch) => {
                cx.counters.rows_in += batch.rows as u64;
                if port == self.table {
                    self.table_idle = false;
                    self.history.change(&batch);
                } else {
                    self.stream_idle = false;
                    self.come(batch, cx);
                }
            }
            Input::Watermark(port, at) if port == self.table => {
                self.table_idle = false;
                self.table_at = self.table_at.max(at);
            }
            Input::Watermark(_, at) => {
                self.stream_idle = false;
                self.stream_at = self.stream_at.max(at);
            }
            Input::Passed(port, record) if port != self.table => self.stream_passed = self.stream_passed.max(record),
            Input::Passed(..) => {}
            Input::Idle(port) if port == self.table => self.table_idle = true,
            Input::Idle(_) => self.stream_idle = true,
            Input::Barrier(id) => self.ready.push_back(Msg::Barrier(id)),
        }
        Some(())
    }

    /// Rows of the stream come; those that are late are dropped.
    fn come(&mut self, batch: Batch, cx: &mut OpCx<'_>) {
        let times = self.times(&batch);
        let late = |row: usize| match (self.at.retention_ns, &batch.meta.wm_own) {
            (Some(kept), Some(own)) if own[row] != WM_NONE && times[row] != WM_NONE => {
                times[row] < own[row].saturating_sub(kept)
            }
            _ => false,
        };
        let stay: Vec<u32> = (0..batch.rows).filter(|row| !late(*row)).map(|row| row as u32).collect();
        cx.counters.late += (batch.rows - stay.len()) as u64;
        if stay.len() == batch.rows {
            return self.waiting.push(batch, times);
        }
        let times = stay.iter().map(|row| times[*row as usize]).collect();
        self.waiting.push(batch.take(&stay), times);
    }

    /// The time each row asks for, ns; `WM_NONE` where it has none and so finds nothing.
    fn times(&self, batch: &Batch) -> Vec<i64> {
        let Some(column) = self.at.column else {
            return batch.meta.event_time.as_ref().map_or_else(|| vec![WM_NONE; batch.rows], |times| times.to_vec());
        };
        let time = |value: Value| match value {
            Value::Timestamp(ns) => ns,
            Value::Int(ms) => ms.saturating_mul(NS_PER_MS),
            _ => WM_NONE,
        };
        match &batch.columns[column] {
            Column::Timestamp(list) if list.null_count() == 0 => list.values().to_vec(),
            other => (0..batch.rows).map(|row| time(other.value(row))).collect(),
        }
    }

    /// Begins the next rows that need not wait any more; else tells how far it came.
    fn advance(&mut self) -> bool {
        let table = if self.table_idle { WM_END } else { self.table_at };
        if let Some((batch, times)) = self.waiting.pop(table) {
            self.history.times = times;
            let (keys, firsts) = self.probe.begin();
            self.history.find(&batch.columns, keys, batch.rows, firsts);
            self.open = Some(batch);
            return true;
        }
        let passed = self.waiting.record().map_or(self.stream_passed, |record| record.min(self.stream_passed));
        if passed > self.passed {
            self.passed = passed;
            self.ready.push_back(Msg::Passed(passed));
        }
        let at = self.waiting.watermark().map_or(self.stream_at, |own| own.min(self.stream_at));
        if at > self.given {
            self.given = at;
            self.over = at == WM_END;
            if let Some(kept) = self.at.retention_ns.filter(|_| !self.over) {
                self.history.forget(at.saturating_sub(kept));
            }
            self.ready.push_back(Msg::Watermark(at));
        }
        if self.stream_idle && self.waiting.is_empty() {
            self.stream_idle = false;
            self.ready.push_back(Msg::Idle);
        }
        !self.ready.is_empty()
    }
}

impl Operator for Versions {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(batch) = self.open.take()
                && let Some(made) = self.probe.next(&batch, &mut self.history, cx)
            {
                self.open = Some(batch);
                return Ok(Some(Msg::Batch(made)));
            }
            if let Some(msg) = self.ready.pop_front() {
                return Ok(Some(msg));
            }
            if !self.over && self.advance() {
                continue;
            }
            if self.take(cx).is_none() {
                cx.counters.groups = self.history.groups() as u64;
                cx.counters.state_bytes = (self.history.bytes() + self.waiting.bytes()) as u64;
                return Ok(None);
            }
        }
    }

    fn is_satisfied(&self) -> bool {
        self.over
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.history.snapshot(out);
        self.waiting.snapshot(&self.types, self.probe.keys(), out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.history.restore(from, owns)?;
        for batch in saved::waited(from, self.types.len(), owns)? {
            let times = self.times(&batch);
            self.waiting.push(batch, times);
        }
        self.waiting.reorder();
        Ok(())
    }
}
