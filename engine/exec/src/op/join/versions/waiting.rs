//! Rows of the stream that wait until the table can no more change at their time.
//!
//! By partition, in their order: a row that has to wait holds back those behind it. They hold the join's watermark back,
//! too, at the one that their own partition had before the first of them. Kept as they came, in their batches.

use std::collections::{BTreeMap, VecDeque};

use velostream_types::Batch;
use velostream_types::time::{WM_END, WM_NONE};

/// The rows.
#[derive(Default)]
pub(super) struct Waiting {
    partitions: BTreeMap<(u16, u32), VecDeque<Queued>>,
    bytes: usize,
}

struct Queued {
    batch: Batch,
    /// Time of each row, ns; `WM_NONE` for rows that need not wait.
    times: Vec<i64>,
}

impl Waiting {
    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// TRUE when no row waits.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Rows come, with the time each asks for.
    pub fn push(&mut self, batch: Batch, times: Vec<i64>) {
        if batch.rows > 0 {
            self.bytes += batch.bytes();
            let origin = (batch.meta.source.0, batch.meta.partition);
            self.partitions.entry(origin).or_default().push_back(Queued { batch, times });
        }
    }

    /// Brings rows of one partition that several shards stored back into its order: by the watermark that it had before
    /// each, then by the rows' own.
    pub fn reorder(&mut self) {
        for queue in self.partitions.values_mut().filter(|queue| queue.len() > 1) {
            let row = |queued: &Queued, at: usize| Queued {
                batch: queued.batch.slice(at, 1),
                times: queued.times[at..=at].to_vec(),
            };
            let mut rows: Vec<Queued> = Vec::new();
            for queued in queue.drain(..) {
                rows.extend((0..queued.batch.rows).map(|at| row(&queued, at)));
            }
            rows.sort_by_key(|queued| {
                let meta = &queued.batch.meta;
                (meta.wm_own.as_ref().map_or(WM_NONE, |own| own[0]), meta.order_at(0))
            });
            *queue = rows.into();
        }
        self.bytes = self.batches().map(Batch::bytes).sum();
    }

    /// The next rows of one partition whose times lie before `table`, and these times.
    pub fn pop(&mut self, table: i64) -> Option<(Batch, Vec<i64>)> {
        let is_ready = |time: &i64| *time < table || *time == WM_NONE || table == WM_END;
        let ready =
            |queue: &VecDeque<Queued>| queue.front().is_some_and(|first| first.times.first().is_some_and(is_ready));
        let (origin, queue) = self.partitions.iter_mut().find(|(_, queue)| ready(queue))?;
        let (origin, mut first) = (*origin, queue.pop_front()?);
        self.bytes -= first.batch.bytes();
        let rows = first.times.iter().take_while(|time| is_ready(time)).count();
        if rows < first.batch.rows {
            let rest = first.batch.slice(rows, first.batch.rows - rows);
            self.bytes += rest.bytes();
            queue.push_front(Queued { batch: rest, times: first.times.split_off(rows) });
            first.batch = first.batch.slice(0, rows);
        }
        if queue.is_empty() {
            self.partitions.remove(&origin);
        }
        Some((first.batch, first.times))
    }

    /// The lowest watermark that the rows at the front had.
    pub fn watermark(&self) -> Option<i64> {
        let own = |first: &Queued| first.batch.meta.wm_own.as_ref().map_or(WM_NONE, |list| list[0]);
        self.fronts().map(own).min()
    }

    /// The lowest record number that waits.
    pub fn record(&self) -> Option<i64> {
        self.fronts().map(|first| first.batch.meta.order_at(0).0).min()
    }

    fn fronts(&self) -> impl Iterator<Item = &Queued> {
        self.partitions.values().filter_map(VecDeque::front)
    }

    /// All rows, by partition in their order.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.partitions.values().flatten().map(|queued| &queued.batch)
    }
}
