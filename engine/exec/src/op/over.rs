//! Calls with OVER: each row comes out once, with results over its partition's buffer as it is just then.
//!
//! Runs on the shard that owns the partition key, behind an exchange by it. What a buffer holds and how a row goes through
//! it is said in [`buffer`], what is computed in [`call`]; where rows of several partitions meet they are first brought into
//! as-if order by [`held`]. Output: a column per call, then the columns of the input; rows keep event time, partition and
//! record, so it can be read like the input.
//!
//! State: per partition key the rows of its buffer (what calls read of them), and the rows that wait for their turn. Keys
//! stay known for as long as the app runs. Cost: one probe a row, and per call O(1) for rows in order where [`call`] says so.

mod buffer;
mod call;
mod held;
mod order;
mod partitions;
mod rows;
mod running;
mod saved;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use velostream_sql::plan::OverSpec;
use velostream_state::build::ColumnBuilder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, DataType, DlqId, ErrorCode, Fatal, RecordError, SchemaRef, Span, Stage};

use super::filter::bury;
use crate::expr::RowError;
use crate::operator::{Msg, OpCx, Operator};
use held::Held;
pub use held::Until;
use partitions::{Became, Partitions};

/// The operator.
pub struct Over {
    types: Vec<DataType>,
    spans: Vec<Span>,
    partitions: Partitions,
    held: Held,
    /// A batch whose rows need not wait, with their partitions.
    input: Option<(Batch, Vec<u32>)>,
    /// Output that is ready, in order.
    ready: VecDeque<Msg>,
    /// Comes behind everything that leaves.
    behind: Option<Msg>,
    /// Watermark given so far.
    watermark: i64,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

/// Rows on their way out with their results.
struct Made {
    results: Vec<ColumnBuilder>,
    /// Batch and row of each; rows that failed are among them.
    rows: Vec<(u64, u32)>,
    failed: Vec<(u64, RowError)>,
}

/// By batch: places of its rows among the results, and in itself.
type Parts = BTreeMap<u64, (Vec<u32>, Vec<u32>)>;

/// Number of the batch that needs no number.
const ALONE: u64 = 0;

impl Over {
    /// An operator over rows of this schema; `names` are the sources' names by source number, for dead letters.
    pub fn new(spec: &OverSpec, schema: &SchemaRef, until: Until, names: Arc<[Arc<str>]>, dlq: DlqId) -> Over {
        let types: Vec<DataType> = schema.fields.iter().map(|field| field.data_type.clone()).collect();
        Over {
            partitions: Partitions::new(spec, &types),
            types,
            spans: spec.calls.iter().map(|call| call.span).collect(),
            held: Held::new(until),
            input: None,
            ready: VecDeque::new(),
            behind: None,
            watermark: WM_NONE,
            names,
            dlq,
        }
    }

    fn made(&self) -> Made {
        Made { results: self.partitions.builders(), rows: Vec::new(), failed: Vec::new() }
    }

    /// Results of the rows of a batch that needs no waiting.
    fn run_input(&mut self, cx: &mut OpCx<'_>) {
        let Some((batch, groups)) = self.input.take() else { return };
        let mut made = self.made();
        for (row, group) in groups.iter().enumerate() {
            made.take(&mut self.partitions, &self.spans, (ALONE, row), (*group, &batch));
        }
        self.give(made, &|_| Some(&batch), cx);
    }

    /// Results of the next rows that waited.
    fn run_leaving(&mut self, cx: &mut OpCx<'_>) {
        let mut made = self.made();
        let most = self.held.leaving.len().min(cx.batch_rows.max(1));
        let leaving: Vec<(u64, u32)> = self.held.leaving.drain(..most).collect();
        let held = std::mem::take(&mut self.held.batches);
        for (number, row) in &leaving {
            if let Some(waiting) = held.get(number) {
                let group = waiting.groups[*row as usize];
                made.take(&mut self.partitions, &self.spans, (*number, *row as usize), (group, &waiting.batch));
            }
        }
        self.give(made, &|number| held.get(&number).map(|waiting| &waiting.batch), cx);
        self.held.batches = held;
        leaving.iter().for_each(|(number, _)| self.held.went(*number));
    }

    /// Queues what was made, a batch per batch that rows came from, and more of them where the rows of one partition came in
    /// several batches and have turns.
    fn give<'a>(&mut self, made: Made, batch_of: &dyn Fn(u64) -> Option<&'a Batch>, cx: &mut OpCx<'_>) {
        let Made { results, rows, failed } = made;
        let results: Vec<Column> = results.into_iter().map(ColumnBuilder::finish).collect();
        let (mut parts, mut latest) = (Parts::new(), BTreeMap::new());
        let mut before = None;
        for (at, (number, row)) in rows.iter().enumerate() {
            if failed.iter().any(|(n, failed)| (n, failed.row) == (number, *row)) {
                continue;
            }
            if before.replace(*number) != Some(*number)
                && let Some(batch) = batch_of(*number)
            {
                // Parts leave by the number of their batch: a row of an earlier one than the last row of its partition begins
                // anew. Results of windows go by their order, which the writer brings them in.
                let partition = (batch.meta.source, batch.meta.partition);
                if self.held.until != Until::Watermark && latest.get(&partition).is_some_and(|last| last > number) {
                    self.queue(std::mem::take(&mut parts), &results, batch_of, cx);
                    latest.clear();
                }
                latest.insert(partition, *number);
            }
            let (places, rows) = parts.entry(*number).or_default();
            places.push(at as u32);
            rows.push(*row);
        }
        self.queue(parts, &results, batch_of, cx);
        for (number, error) in failed {
            if let Some(batch) = batch_of(number) {
                bury(vec![error], batch, &self.names, self.dlq, cx);
            }
        }
    }

    fn queue<'a>(
        &mut self,
        parts: Parts,
        results: &[Column],
        batch_of: &dyn Fn(u64) -> Option<&'a Batch>,
        cx: &mut OpCx<'_>,
    ) {
        for (number, (places, taken)) in parts {
            let Some(batch) = batch_of(number) else { continue };
            let whole = taken.len() == batch.rows && taken.is_sorted();
            let of_input = if whole { batch.clone() } else { batch.take(&taken) };
            let all = results.iter().all(|column| column.len() == places.len());
            let mut columns: Vec<Column> = match all {
                true => results.to_vec(),
                false => results.iter().map(|column| column.take(&places)).collect(),
            };
            columns.extend(of_input.columns);
            cx.counters.rows_out += taken.len() as u64;
            self.ready.push_back(Msg::Batch(Batch::new(columns, taken.len(), of_input.meta)));
        }
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.partitions.index.len() as u64;
        cx.counters.state_bytes = (self.partitions.bytes() + self.held.bytes()) as u64;
        cx.counters.past_buffer = self.partitions.past;
    }
}

impl Made {
    fn take(
        &mut self,
        partitions: &mut Partitions,
        spans: &[Span],
        (number, row): (u64, usize),
        (group, batch): (u32, &Batch),
    ) {
        match partitions.take(group, batch, row, &mut self.results) {
            Became::Nothing => return,
            Became::Row => {}
            Became::OutOfRange(wrong, call) => {
                let error = RecordError {
                    code: ErrorCode::Overflow,
                    stage: Stage::Process,
                    message: wrong.0.into(),
                    span: spans.get(call).copied(),
                };
                self.failed.push((number, RowError { row: row as u32, error }));
            }
        }
        self.rows.push((number, row as u32));
    }
}

impl Operator for Over {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                let groups = self.partitions.assign(&batch);
                match self.held.until {
                    Until::Now => self.input = Some((batch, groups)),
                    _ => self.held.take(batch, groups),
                }
            }
            Msg::Watermark(at) => self.held.passed_time(at),
            Msg::Passed(record) => {
                self.held.passed(record);
                self.behind = Some(msg);
            }
            Msg::Chunk(_) | Msg::Idle | Msg::Barrier(_) => self.behind = Some(msg),
            Msg::Loaded => {}
        }
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(msg) = self.ready.pop_front() {
                return Ok(Some(msg));
            }
            if self.input.is_some() {
                self.run_input(cx);
            } else if !self.held.leaving.is_empty() {
                self.run_leaving(cx);
            } else {
                break;
            }
        }
        self.gauge(cx);
        let watermark = self.held.watermark();
        if watermark > self.watermark {
            self.watermark = watermark;
            return Ok(Some(Msg::Watermark(watermark)));
        }
        Ok(self.behind.take())
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        // A buffer holds rows of any age: a restart without a snapshot reads them again.
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.save(out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.load(from, owns)
    }
}
