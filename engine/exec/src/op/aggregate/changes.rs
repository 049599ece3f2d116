//! CHANGES emission: state is updated row by row, and each row gives its group's new result.
//!
//! With retraction (a TABLE) the old result leaves first, weight −1, and the new one follows, weight +1; the two are
//! never split over batches. A group whose rows fall to 0 leaves with −1 alone and is freed; below 0, a retraction came
//! before its row, for which the group waits. Keys of the whole batch
//! are encoded and hashed once; accumulators are updated through ranges of one row. Sequence follows the input.

use velostream_state::build::ColumnBuilder;
use velostream_state::key::decode;
use velostream_types::time::ns_to_ms;
use velostream_types::{Batch, Column, Fatal, RowMeta};

use super::WHOLE;
use super::runs::{Run, Slice, times};
use super::store::WindowStore;
use crate::operator::OpCx;

/// A batch under way.
#[derive(Debug)]
pub(super) struct Changes {
    batch: Batch,
    /// Rows taken so far.
    next: usize,
    /// The last of them has these windows before it.
    windows: Option<Slice>,
}

/// Output rows under construction.
struct Rows {
    keys: Vec<ColumnBuilder>,
    results: Vec<ColumnBuilder>,
    /// Input row of each output row.
    causes: Vec<u32>,
    weights: Vec<i8>,
    windows: Vec<i64>,
}

impl Changes {
    pub(super) fn new(batch: Batch) -> Changes {
        Changes { batch, next: 0, windows: None }
    }

    /// The next rows; `None` when the batch is used up.
    pub(super) fn next_batch(&mut self, store: &mut WindowStore, cx: &mut OpCx<'_>) -> Result<Option<Batch>, Fatal> {
        let mut rows = Rows {
            keys: store.key_builders(),
            results: store.layout.builders(),
            causes: Vec::new(),
            weights: Vec::new(),
            windows: Vec::new(),
        };
        let most = if store.spec.retract { 2 } else { 1 };
        while (self.windows.is_some() || self.next < self.batch.rows)
            && (rows.causes.is_empty() || rows.causes.len() + most <= cx.batch_rows)
        {
            let Some(slice) = self.windows.take() else {
                self.windows = self.admit(self.next, store, cx)?;
                self.next += 1;
                continue;
            };
            self.apply(self.next - 1, slice.first, store, &mut rows, cx)?;
            let first = store.grid.as_ref().map_or(i64::MAX, |grid| grid.next(slice.first));
            self.windows = (first <= slice.last).then_some(Slice { first, ..slice });
        }
        if rows.causes.is_empty() {
            return Ok(None);
        }
        Ok(Some(rows.finish(&self.batch, store)))
    }

    /// The row's windows; `None` when it is late for all of them.
    fn admit(&self, row: usize, store: &WindowStore, cx: &mut OpCx<'_>) -> Result<Option<Slice>, Fatal> {
        let Some(grid) = &store.grid else { return Ok(Some(Slice::one(WHOLE))) };
        let time = times(&self.batch)?[row];
        let own = self.batch.meta.wm_own.as_ref().map_or(store.watermark, |w| w[row].max(store.watermark));
        if grid.slice(time, own).is_none() {
            store.refuse(&self.batch, row, cx);
            if !grid.keeps_late() {
                return Ok(None);
            }
        }
        let open = grid.place(time, own).and_then(|place| place.behind(grid, store.released));
        if open.is_none() {
            cx.counters.replayed += 1;
        }
        Ok(open)
    }

    fn apply(
        &self,
        row: usize,
        window: i64,
        store: &mut WindowStore,
        rows: &mut Rows,
        cx: &mut OpCx<'_>,
    ) -> Result<(), Fatal> {
        let hash = store.scratch.hashes[row];
        let key = store.scratch.encoder.keys().key(row);
        let known = store.of(window).and_then(|groups| groups.index.find(key, hash));
        let known = store.known_or_freed(known, hash, (&self.batch, row), cx);
        if let Some(group) = known.filter(|_| store.spec.retract) {
            store.settle(window, group);
            let groups = &store[window];
            // A result that could not be emitted needs no retraction.
            if store.stands(groups, group) && groups.states.overflow(&store.layout, group).is_none() {
                rows.push(store, window, group, row, -1)?;
            }
        }
        store.fold_row(Run { slice: Slice::one(window), from: row, to: row + 1 }, &self.batch);
        let groups = &store[window];
        let group = match known.or_else(|| groups.index.find(store.scratch.encoder.keys().key(row), hash)) {
            Some(group) => group,
            None => return Err(Fatal::new("state is corrupt: a folded row has no group")),
        };
        store.touched(group, known.is_none(), (&self.batch, row));
        store.settle(window, group);
        let groups = &store[window];
        if store.stands(groups, group) {
            match groups.states.overflow(&store.layout, group) {
                None => rows.push(store, window, group, row, 1)?,
                Some(call) => store.lose(groups, window, group, call, cx),
            }
        } else if groups.states.rows(group) == 0 {
            store.forget(window, group, hash);
        }
        Ok(())
    }
}

impl Rows {
    fn push(&mut self, store: &WindowStore, window: i64, group: u32, cause: usize, weight: i8) -> Result<(), Fatal> {
        let groups = &store[window];
        if decode(groups.index.key(group), &mut self.keys).is_none() {
            return Err(Fatal::new("state is corrupt: a group's key bytes do not decode"));
        }
        groups.states.emit(&store.layout, group, &mut self.results);
        self.causes.push(cause as u32);
        self.weights.push(weight);
        self.windows.push(window);
        Ok(())
    }

    fn finish(self, batch: &Batch, store: &WindowStore) -> Batch {
        let rows = self.causes.len();
        let mut columns: Vec<Column> = self.keys.into_iter().chain(self.results).map(|b| b.finish()).collect();
        let headers = columns.pop_if(|_| store.spec.headers.is_some());
        let taken = batch.meta.take(&self.causes);
        let mut meta =
            RowMeta { raw: None, records: None, weight: store.spec.retract.then(|| self.weights.into()), ..taken };
        if let Some(grid) = &store.grid {
            let ends: Vec<i64> = self.windows.iter().map(|w| grid.end(*w)).collect();
            columns.push(Column::ints(self.windows.iter().map(|w| ns_to_ms(*w)).collect(), None));
            columns.push(Column::ints(ends.iter().map(|e| ns_to_ms(*e)).collect(), None));
            let times: Vec<i64> = ends.iter().map(|e| e.saturating_sub(1)).collect();
            meta.timestamp = Some(times.iter().map(|t| ns_to_ms(*t)).collect::<Vec<_>>().into());
            meta.event_time = Some(times.into());
            // What the row's own partition allows behind it, so that lateness downstream stays a function of content.
            let own = meta.wm_own.map(|w| w.iter().map(|wm| wm.saturating_sub(grid.lateness())).collect::<Vec<_>>());
            meta.wm_own = own.map(Into::into);
        }
        columns.extend(headers);
        Batch::new(columns, rows, meta)
    }
}
