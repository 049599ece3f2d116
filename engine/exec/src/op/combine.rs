//! Combine: folds this shard's rows into partial groups before they cross shards, so that a key that repeats crosses
//! once per window instead of once per row.
//!
//! Runs in front of the exchange. Late rows are judged here by their partition's watermark; rows that may be late by the
//! operator's alone go on one by one (see `aggregate/single.rs`). Partial
//! groups of a window leave before the watermark that closes it; everything leaves at the end of input, before a
//! barrier (so a snapshot holds no groups), when the input falls idle, and when more than
//! [`COMBINE_HELD_GROUPS`] are held; EXPLAIN says so (`explain/node.rs` of the sql crate). Output: keys, the starts of the
//! last and the first window where there are windows, then the partial columns; the order triple of a row is its group's first-seen triple.

use velostream_sql::plan::{AggregateSpec, COMBINE_HELD_GROUPS};
use velostream_state::key::decode;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Column, Fatal, Offsets, RowMeta};

use super::aggregate::store::{Groups, WindowStore};
use super::aggregate::{Place, Slice};
use crate::operator::{Msg, OpCx, OpenWindows, Operator};

/// Groups that leave, and what follows them.
#[derive(Debug)]
struct Flush {
    /// Watermark up to which windows leave; `WM_END` for all.
    upto: i64,
    leaving: Option<(Slice, Groups, Vec<u32>, usize)>,
    /// Goes out after the last group.
    then: Option<Msg>,
}

/// The operator.
#[derive(Debug)]
pub struct Combine {
    store: WindowStore,
    flush: Option<Flush>,
}

impl Combine {
    /// A combine in front of the Aggregate of the same spec.
    pub fn new(spec: &AggregateSpec, place: Place) -> Combine {
        Combine { store: WindowStore::new(spec, place), flush: None }
    }

    fn leave(&mut self, upto: i64, then: Option<Msg>) {
        self.flush = Some(Flush { upto, leaving: None, then });
    }
}

impl Flush {
    fn next(&mut self, store: &mut WindowStore, cx: &OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some((slice, groups, order, at)) = self.leaving.take() {
                if at < order.len() {
                    let to = order.len().min(at + cx.batch_rows.max(1));
                    let batch = partials(store, slice, &groups, &order[at..to])?;
                    self.leaving = Some((slice, groups, order, to));
                    return Ok(Some(Msg::Batch(batch)));
                }
                store.release(groups);
            }
            match self.next_slice(store) {
                Some(slice) => {
                    self.leaving = store.take_slice(slice).map(|groups| {
                        let order = groups.in_order(true);
                        (slice, groups, order, 0)
                    });
                }
                None => return Ok(self.then.take()),
            }
        }
    }
}

impl Flush {
    /// The next slice with a window that closes: such a slice begins before the watermark.
    fn next_slice(&self, store: &WindowStore) -> Option<Slice> {
        let to = Slice { last: self.upto, first: i64::MAX };
        let leaves = |slice: &&Slice| store.closes_at(slice.first) <= self.upto;
        store.windows.range(..=to).map(|(slice, _)| slice).find(leaves).copied()
    }
}

/// The partial form of some groups of some windows.
fn partials(store: &WindowStore, slice: Slice, groups: &Groups, numbers: &[u32]) -> Result<Batch, Fatal> {
    let mut keys = store.key_builders();
    for group in numbers {
        if decode(groups.index.key(*group), &mut keys).is_none() {
            return Err(Fatal::new("state is corrupt: a group's key bytes do not decode"));
        }
    }
    let rows = numbers.len();
    let mut columns: Vec<Column> = keys.into_iter().map(|b| b.finish()).collect();
    if store.grid.is_some() {
        columns.extend([slice.last, slice.first].map(|start| Column::timestamps(vec![start; rows], None)));
    }
    columns.extend(groups.states.partial(numbers));
    let order = groups.order_of(numbers);
    let meta = RowMeta { offsets: Offsets::From(0), order, ..RowMeta::plain(store.place.source(), 0, 0) };
    Ok(Batch::new(columns, rows, meta))
}

impl Operator for Combine {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        debug_assert!(self.flush.is_none(), "no message while a cursor is open");
        match msg {
            Msg::Batch(batch) => {
                let single = self.store.fold_known(batch, cx)?.map(Msg::Batch);
                if self.store.group_count() > COMBINE_HELD_GROUPS {
                    self.leave(WM_END, single);
                } else if single.is_some() {
                    self.leave(WM_NONE, single);
                }
            }
            // It may go back when a partition joins: what was given stands.
            Msg::Watermark(watermark) => {
                self.store.watermark = self.store.watermark.max(watermark);
                self.leave(watermark, Some(msg));
            }
            // Groups have another order than the rows they are of.
            Msg::Passed(_) | Msg::Loaded => {}
            // An idle input does not hold the watermark back, so nothing may wait here for the watermark to close it.
            Msg::Barrier(_) | Msg::Idle => self.leave(WM_END, Some(msg)),
            Msg::Chunk(_) => return Err(Fatal::new("a combine got encoded rows: the plan is wrong")),
        }
        self.store.gauge(cx);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        let Some(mut flush) = self.flush.take() else { return Ok(None) };
        let msg = flush.next(&mut self.store, cx)?;
        if msg.is_some() && (flush.then.is_some() || flush.leaving.is_some()) {
            self.flush = Some(flush);
        }
        self.store.gauge(cx);
        Ok(msg)
    }

    fn open_windows(&self) -> Option<OpenWindows> {
        self.store.open_windows()
    }

    fn hands_back_on(&self) -> bool {
        true
    }

    fn released(&mut self, watermark: i64) {
        // The operator's: ahead of this shard's while that was idle.
        self.store.watermark = self.store.watermark.max(watermark);
        self.store.forget_held(watermark);
    }

    fn resume(&mut self, frontier: i64) {
        self.store.released = frontier;
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.store.save(self.store.watermark, out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.store.load(from, owns).map(|_| ())
    }
}
