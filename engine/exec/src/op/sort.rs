//! ORDER BY and LIMIT of a result that is complete: of the whole input at its end, or of each window's results when the
//! watermark passes their time. Runs on one shard, behind an exchange that brings all rows there.
//!
//! State: the rows that wait, with keys that compare as bytes; with a limit of n never more than twice the n best of a
//! window. Rows leave in order, so their place among each other is their number. Cost: one key a row, n log n
//! comparisons, one gather a batch of output.

use std::collections::{BTreeMap, VecDeque};

use arrow_array::Array;
use velostream_sql::plan::SortSpec;
use velostream_state::build::ColumnBuilder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::vnode;
use velostream_types::{Batch, Column, DataType, Fatal, NodeId, RowMeta, SchemaRef, SourceId, Value};

use super::sort_key;
use crate::operator::{Msg, OpCx, Operator};

/// Rows that wait for the same moment.
#[derive(Debug, Default)]
struct Held {
    batches: Vec<Batch>,
    /// Key, batch, row.
    rows: Vec<(Box<[u8]>, u32, u32)>,
    /// Of both.
    bytes: usize,
}

/// The operator.
pub struct Sort {
    spec: SortSpec,
    types: Vec<DataType>,
    node: NodeId,
    /// By the time whose passing releases them: a window result's event time, else the end.
    held: BTreeMap<i64, Held>,
    /// Rows on their way out, in order.
    leaving: VecDeque<Held>,
    /// Rows of the first of them that left.
    left: usize,
    /// Behind the rows on their way out.
    behind: Option<Msg>,
    /// Rows given so far.
    given: i64,
    watermark: i64,
    /// What is due up to here was given out by an earlier run.
    released: i64,
}

impl Sort {
    /// Sorts rows of this schema.
    pub fn new(spec: &SortSpec, schema: &SchemaRef, node: NodeId) -> Sort {
        let types = schema.fields.iter().map(|f| f.data_type.clone()).collect();
        Sort {
            spec: spec.clone(),
            types,
            node,
            held: BTreeMap::new(),
            leaving: VecDeque::new(),
            left: 0,
            behind: None,
            given: 0,
            watermark: WM_NONE,
            released: WM_NONE,
        }
    }

    /// When row `row` is released: a window's result has the time of its end less one.
    fn due(&self, meta: &RowMeta, row: usize) -> i64 {
        match &meta.event_time {
            Some(times) if self.spec.per_window => times[row].saturating_add(1),
            _ => WM_END,
        }
    }

    fn take(&mut self, mut batch: Batch, cx: &mut OpCx<'_>) {
        let replayed = |row: &u32| self.due(&batch.meta, *row as usize) <= self.released;
        let fresh: Vec<u32> = (0..batch.rows as u32).filter(|row| !replayed(row)).collect();
        if fresh.len() < batch.rows {
            cx.counters.replayed += (batch.rows - fresh.len()) as u64;
            batch = batch.take(&fresh);
        }
        if batch.rows == 0 {
            return;
        }
        let keys: Vec<(i64, Box<[u8]>)> = (0..batch.rows)
            .map(|row| {
                let mut key = Vec::with_capacity(self.spec.keys.len() * 12 + 24);
                sort_key::write(&mut key, &self.spec.keys, &self.types, &batch.columns, row);
                sort_key::write_place(&mut key, batch.meta.order_at(row));
                (self.due(&batch.meta, row), key.into())
            })
            .collect();
        self.hold(batch, keys);
    }

    fn hold(&mut self, batch: Batch, keys: Vec<(i64, Box<[u8]>)>) {
        let mut shared = Some(batch);
        let one_time = keys.windows(2).all(|pair| pair[0].0 == pair[1].0);
        for (row, (due, key)) in keys.into_iter().enumerate() {
            let held = self.held.entry(due).or_default();
            if row == 0 || !one_time {
                let batch = if one_time { shared.take() } else { shared.as_ref().map(|b| b.slice(row, 1)) };
                held.bytes += batch.as_ref().map_or(0, batch_bytes);
                held.batches.extend(batch);
            }
            let at = (held.batches.len() - 1) as u32;
            held.bytes += row_bytes(&key);
            held.rows.push((key, at, if one_time { row as u32 } else { 0 }));
        }
        if let Some(limit) = self.spec.limit {
            let full = |held: &&mut Held| held.rows.len() as u64 >= limit.saturating_mul(2).max(1_024);
            self.held.values_mut().filter(full).for_each(|held| held.keep(limit as usize));
        }
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.held.values().map(|held| held.rows.len() as u64).sum();
        cx.counters.state_bytes = self.held.values().chain(&self.leaving).map(|held| held.bytes as u64).sum();
    }

    /// The next batch of what leaves.
    fn next(&mut self, batch_rows: usize) -> Option<Batch> {
        loop {
            let held = self.leaving.front()?;
            let rows = &held.rows[self.left..held.rows.len().min(self.left + batch_rows.max(1))];
            if rows.is_empty() {
                self.leaving.pop_front();
                self.left = 0;
                continue;
            }
            let columns =
                self.types.iter().enumerate().map(|(c, data_type)| gather(&held.batches, c, data_type, rows)).collect();
            let mut meta = RowMeta::plain(SourceId(0x8000 | self.node.0), 0, self.given);
            let stamped = |f: fn(&RowMeta) -> Option<&arrow_buffer::ScalarBuffer<i64>>| {
                let at = |(_, batch, row): &(Box<[u8]>, u32, u32)| {
                    f(&held.batches[*batch as usize].meta).map(|times| times[*row as usize])
                };
                rows.iter().map(at).collect::<Option<Vec<i64>>>().map(Into::into)
            };
            meta.event_time = stamped(|m| m.event_time.as_ref());
            meta.wm_own = stamped(|m| m.wm_own.as_ref());
            meta.timestamp = stamped(|m| m.timestamp.as_ref());
            let batch = Batch { columns, rows: rows.len(), meta };
            self.left += batch.rows;
            self.given += batch.rows as i64;
            return Some(batch);
        }
    }
}

impl Held {
    /// Sorts the rows and forgets all but the first `limit`.
    fn keep(&mut self, limit: usize) {
        self.rows.sort_unstable();
        self.rows.truncate(limit);
        // Batches of which little is left would keep all their memory.
        let mut kept: Vec<Vec<u32>> = vec![Vec::new(); self.batches.len()];
        for (_, batch, row) in &mut self.rows {
            let rows = &mut kept[*batch as usize];
            rows.push(*row);
            *row = rows.len() as u32 - 1;
        }
        let mut moved = Vec::with_capacity(kept.len());
        let mut batches = Vec::new();
        for (batch, rows) in self.batches.drain(..).zip(&kept) {
            moved.push(batches.len() as u32);
            if !rows.is_empty() {
                batches.push(batch.take(rows));
            }
        }
        self.rows.iter_mut().for_each(|(_, batch, _)| *batch = moved[*batch as usize]);
        self.batches = batches;
        let keys: usize = self.rows.iter().map(|(key, ..)| row_bytes(key)).sum();
        self.bytes = keys + self.batches.iter().map(batch_bytes).sum::<usize>();
    }
}

/// What a batch that waits takes, texts included.
fn batch_bytes(batch: &Batch) -> usize {
    let text = |column: &Column| match column {
        Column::Str(a) => a.lengths().map(|n| n as usize).sum(),
        Column::Bytes(a) => a.lengths().map(|n| n as usize).sum(),
        _ => 0,
    };
    batch.bytes() + batch.columns.iter().map(text).sum::<usize>()
}

/// What a waiting row takes besides its batch.
fn row_bytes(key: &[u8]) -> usize {
    key.len() + size_of::<(Box<[u8]>, u32, u32)>()
}

/// Column `c` of these rows. Batches may carry it differently: then values go one by one into the kind that holds all.
fn gather(batches: &[Batch], c: usize, data_type: &DataType, rows: &[(Box<[u8]>, u32, u32)]) -> Column {
    let arrays: Option<Vec<&dyn Array>> = batches.iter().map(|b| b.columns[c].as_array()).collect();
    let alike = |arrays: &Vec<&dyn Array>| arrays.windows(2).all(|pair| pair[0].data_type() == pair[1].data_type());
    if let Some(arrays) = arrays.filter(alike) {
        let from: Vec<(usize, usize)> = rows.iter().map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
        if let Ok(gathered) = arrow_select::interleave::interleave(&arrays, &from) {
            return batches[0].columns[c].same_kind(&gathered);
        }
    }
    let mut built = ColumnBuilder::new(data_type);
    rows.iter().for_each(|(_, batch, row)| built.push_value(&batches[*batch as usize].columns[c].value(*row as usize)));
    built.finish()
}

impl Operator for Sort {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.take(batch, cx);
                self.gauge(cx);
                return Ok(());
            }
            Msg::Watermark(at) => {
                self.watermark = at;
                while let Some(first) = self.held.first_entry().filter(|first| *first.key() <= at) {
                    let mut held = first.remove();
                    held.rows.sort_unstable();
                    held.rows.truncate(self.spec.limit.map_or(usize::MAX, |n| n as usize));
                    self.leaving.push_back(held);
                }
            }
            Msg::Passed(_) | Msg::Loaded => return Ok(()),
            Msg::Chunk(_) | Msg::Barrier(_) | Msg::Idle => {}
        }
        self.behind = Some(msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        if let Some(batch) = self.next(cx.batch_rows) {
            cx.counters.rows_out += batch.rows as u64;
            return Ok(Some(Msg::Batch(batch)));
        }
        self.gauge(cx);
        Ok(self.behind.take())
    }

    fn frontier(&self, at_end: bool) -> Option<i64> {
        // What waits for the end of the input is never released before.
        let reached = if self.spec.per_window { self.watermark } else { WM_NONE };
        Some(if at_end { WM_END } else { reached })
    }

    fn resume(&mut self, frontier: i64) {
        self.released = frontier;
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        for (due, held) in &self.held {
            for (at, batch) in held.batches.iter().enumerate() {
                let rows: Vec<&(Box<[u8]>, u32, u32)> = held.rows.iter().filter(|r| r.1 as usize == at).collect();
                let picked: Vec<u32> = rows.iter().map(|r| r.2).collect();
                let times = |f: &Option<arrow_buffer::ScalarBuffer<i64>>| match f {
                    Some(times) => Column::ints(picked.iter().map(|row| times[*row as usize]).collect(), None),
                    None => Column::Null(picked.len()),
                };
                let mut columns = vec![
                    Column::ints(vec![*due; picked.len()], None),
                    Column::Bytes(rows.iter().map(|r| Some(r.0.to_vec())).collect()),
                    times(&batch.meta.event_time),
                    times(&batch.meta.wm_own),
                    times(&batch.meta.timestamp),
                ];
                columns.extend(batch.columns.iter().map(|column| column.take(&picked)));
                out.tables.push(StateTable { name: "rows".to_owned(), version: 1, vnodes: None, columns });
            }
        }
        let place = vec![Column::ints(vec![self.given], None), Column::ints(vec![self.watermark], None)];
        out.tables.push(StateTable { name: "place".to_owned(), version: 1, vnodes: None, columns: place });
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        if !owns(vnode::of_key(&[])) {
            return Ok(());
        }
        let shape = || SnapshotError::Shape("the tables of a sort have another shape".to_owned());
        let int = |column: &Column, row: usize| match column.value(row) {
            Value::Int(n) => Some(n),
            _ => None,
        };
        for table in &from.tables {
            match (table.name.as_str(), table.columns.as_slice()) {
                ("place", [given, watermark]) => {
                    self.given = self.given.max(int(given, 0).ok_or_else(shape)?);
                    self.watermark = self.watermark.max(int(watermark, 0).ok_or_else(shape)?);
                }
                ("rows", [due, keys, event_time, wm_own, timestamp, columns @ ..])
                    if columns.len() == self.types.len() =>
                {
                    let rows = due.len();
                    let times = |column: &Column| {
                        (0..rows).map(|row| int(column, row)).collect::<Option<Vec<i64>>>().map(Into::into)
                    };
                    let mut meta = RowMeta::plain(SourceId(0x8000 | self.node.0), 0, 0);
                    (meta.event_time, meta.wm_own, meta.timestamp) =
                        (times(event_time), times(wm_own), times(timestamp));
                    let key = |row| match (int(due, row), keys.value(row)) {
                        (Some(due), Value::Bytes(key)) => Some((due, key)),
                        _ => None,
                    };
                    let keys: Vec<(i64, Box<[u8]>)> = (0..rows).map(key).collect::<Option<_>>().ok_or_else(shape)?;
                    self.hold(Batch { columns: columns.to_vec(), rows, meta }, keys);
                }
                _ => return Err(shape()),
            }
        }
        Ok(())
    }
}
