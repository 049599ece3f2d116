//! Groups that tell what they are at a moment of event time, and rows in the order of such moments.
//!
//! With retraction, what a group told last leaves with −1 in front of the new row. Rows carry the moment as the major part
//! of their order, so that those of several shards meet in the order in which one would have given them.

use std::collections::BTreeMap;

use velostream_state::build::ColumnBuilder;
use velostream_state::key::decode;
use velostream_types::time::ns_to_ms;
use velostream_types::within::{self, Within};
use velostream_types::{Batch, Column, Fatal, Offsets, RowMeta, RowOrder, Value};

use super::Triple;
use super::runs::Slice;
use super::store::WindowStore;
use crate::operator::OpCx;

/// What a group told: keys, then results.
pub(super) type Told = Box<[Value]>;

/// Groups on their way out.
#[derive(Debug)]
pub(super) struct Telling {
    /// The moment, which is the major part of the rows' order.
    pub(super) time: i64,
    /// Window, group, row of the window's notes; in the order of the output.
    pub(super) groups: Vec<(i64, u32, Option<u32>)>,
    pub(super) notes: BTreeMap<i64, Vec<Told>>,
    /// The window that is over.
    pub(super) closes: Option<i64>,
    /// Minor part and tie of the rows' order, where it is not first sight.
    pub(super) place: Option<(Within, u64)>,
    pub(super) at: usize,
}

/// What a group told last; `None` when that is nothing.
pub(super) fn told(store: &mut WindowStore, window: i64, group: u32) -> Result<Option<Told>, Fatal> {
    store.settle(window, group);
    let groups = &store[window];
    // A result that could not be emitted needs no retraction.
    if !store.stands(groups, group) || groups.states.overflow(&store.layout, group).is_some() {
        return Ok(None);
    }
    let mut told: Vec<ColumnBuilder> = store.key_builders().into_iter().chain(store.layout.builders()).collect();
    emit(store, window, group, &mut told)?;
    Ok(Some(told.into_iter().map(|value| value.finish().value(0)).collect()))
}

/// Appends a group's keys and results.
fn emit(store: &WindowStore, window: i64, group: u32, out: &mut [ColumnBuilder]) -> Result<(), Fatal> {
    let groups = &store[window];
    let (keys, results) = out.split_at_mut(store.spec.keys.len());
    if decode(groups.index.key(group), keys).is_none() {
        return Err(Fatal::new("state is corrupt: a group's key bytes do not decode"));
    }
    groups.states.emit(&store.layout, group, results);
    Ok(())
}

pub(super) fn drop_window(store: &mut WindowStore, window: i64) {
    if let Some(groups) = store.take_slice(Slice::one(window)) {
        store.release(groups);
    }
}

/// Output rows under construction.
struct Rows {
    columns: Vec<ColumnBuilder>,
    weights: Vec<i8>,
    windows: Vec<i64>,
    seen: Vec<Triple>,
}

impl Rows {
    fn add(&mut self, window: i64, seen: Triple, weight: i8) {
        self.windows.push(window);
        self.seen.push(seen);
        self.weights.push(weight);
    }
}

impl Telling {
    /// The next rows; `None` when all groups are out.
    pub(super) fn next_batch(
        &mut self,
        store: &mut WindowStore,
        forwarded: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Batch>, Fatal> {
        let columns = store.key_builders().into_iter().chain(store.layout.builders()).collect();
        let mut rows = Rows { columns, weights: Vec::new(), windows: Vec::new(), seen: Vec::new() };
        let most = if store.spec.retract { 2 } else { 1 };
        while self.at < self.groups.len() && (rows.weights.is_empty() || rows.weights.len() + most <= cx.batch_rows) {
            let (window, group, note) = self.groups[self.at];
            self.at += 1;
            self.tell(window, group, note, store, &mut rows, cx)?;
        }
        Ok((!rows.weights.is_empty()).then(|| self.finish_rows(rows, store, forwarded)))
    }

    fn tell(
        &self,
        window: i64,
        group: u32,
        note: Option<u32>,
        store: &mut WindowStore,
        rows: &mut Rows,
        cx: &mut OpCx<'_>,
    ) -> Result<(), Fatal> {
        store.settle(window, group);
        let groups = &store[window];
        let seen = groups.first_seen(group);
        if let Some((at, notes)) = note.zip(self.notes.get(&window)) {
            rows.columns.iter_mut().zip(&notes[at as usize]).for_each(|(out, value)| out.push_value(value));
            rows.add(window, seen, -1);
        }
        if store.stands(groups, group) {
            match groups.states.overflow(&store.layout, group) {
                None => {
                    emit(store, window, group, &mut rows.columns)?;
                    rows.add(window, seen, 1);
                }
                Some(call) => store.lose(groups, window, group, call, cx),
            }
        } else if groups.states.rows(group) == 0 {
            let hash = store.hasher.hash(groups.index.key(group));
            store.forget(window, group, hash);
        }
        Ok(())
    }

    fn finish_rows(&self, rows: Rows, store: &WindowStore, forwarded: i64) -> Batch {
        let count = rows.weights.len();
        let mut columns: Vec<Column> = rows.columns.into_iter().map(ColumnBuilder::finish).collect();
        let headers = columns.pop_if(|_| store.spec.headers.is_some());
        let mut ends = vec![self.time; count];
        if let Some(grid) = &store.grid {
            ends = rows.windows.iter().map(|window| grid.end(*window)).collect();
            columns.push(Column::ints(rows.windows.iter().map(|window| ns_to_ms(*window)).collect(), None));
            columns.push(Column::ints(ends.iter().map(|end| ns_to_ms(*end)).collect(), None));
        }
        columns.extend(headers);
        let times: Vec<i64> = ends.iter().map(|end| end.saturating_sub(1)).collect();
        let meta = RowMeta {
            source: store.place.source(),
            partition: 0,
            offsets: Offsets::From(0),
            order: RowOrder::Derived {
                major: vec![self.time; count].into(),
                minor: rows
                    .seen
                    .iter()
                    .map(|seen| self.place.map_or(within::inside(seen.0, seen.1), |p| p.0))
                    .collect::<Vec<_>>()
                    .into(),
                tie: rows.seen.iter().map(|seen| self.place.map_or(seen.2, |p| p.1)).collect::<Vec<_>>().into(),
            },
            timestamp: Some(times.iter().map(|time| ns_to_ms(*time)).collect::<Vec<_>>().into()),
            event_time: Some(times.into()),
            wm_own: Some(vec![forwarded; count].into()),
            raw: None,
            records: None,
            weight: store.spec.retract.then(|| rows.weights.into()),
        };
        Batch::new(columns, count, meta)
    }

    /// Frees the window that is over.
    pub(super) fn finish(self, store: &mut WindowStore) {
        if let Some(window) = self.closes {
            drop_window(store, window);
        }
    }
}
