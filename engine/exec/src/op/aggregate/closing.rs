//! FINAL emission: the windows a watermark closes, by end, their groups by first sight, a batch at a time.
//!
//! A window is taken out of the store when its turn comes and its memory goes back to the pool after its last group.
//! A group whose sum left the range of its type is dead-lettered instead of emitted.

use velostream_sql::plan::Emit;
use velostream_state::key::decode;
use velostream_types::time::ns_to_ms;
use velostream_types::{Batch, Column, Fatal, Offsets, RowMeta, RowOrder, within};

use super::runs::{Grid, Slice};
use super::store::WindowStore;
use super::{Groups, WHOLE};
use crate::operator::OpCx;

/// A window on its way out.
#[derive(Debug)]
struct Leaving {
    window: i64,
    groups: Groups,
    order: Vec<u32>,
    /// Groups given so far.
    at: usize,
}

/// The windows a watermark closes.
#[derive(Debug)]
pub(super) struct Closing {
    /// The watermark.
    pub(super) upto: i64,
    leaving: Option<Leaving>,
}

impl Closing {
    pub(super) fn new(upto: i64) -> Closing {
        Closing { upto, leaving: None }
    }

    /// Start of the next window to close.
    pub(super) fn next_window(&self, store: &WindowStore) -> Option<i64> {
        let window = match store.grid.as_ref().filter(|grid| grid.overlaps() && store.spec.emit == Emit::Final) {
            None => store.windows.first_key_value()?.0.last,
            Some(grid) => {
                let open = store.emitted.map_or(i64::MIN, |emitted| grid.next(emitted));
                // A slice that begins earlier than the first one ends not more than a window's size behind it.
                let first = *store.windows.first_key_value()?.0;
                let near = store.windows.range(first..=Slice { last: grid.end(first.last), first: i64::MAX });
                near.map(|(slice, _)| slice.first.max(open)).min()?
            }
        };
        (store.closes_at(window) <= self.upto).then_some(window)
    }

    /// The groups of the window that closes; what no later window needs leaves the store.
    fn take(store: &mut WindowStore, window: i64) -> Option<Groups> {
        if !store.grid.as_ref().is_some_and(Grid::overlaps) {
            return store.take_slice(Slice::one(window));
        }
        store.emitted = Some(window);
        let holders: Vec<Slice> = store.holders(window).map(|(slice, _)| *slice).collect();
        let over: Vec<Slice> = holders.iter().filter(|slice| slice.last == window).copied().collect();
        if let ([only], [_]) = (over.as_slice(), holders.as_slice()) {
            return store.take_slice(*only);
        }
        let whole = store.merged(window);
        for slice in over {
            if let Some(groups) = store.take_slice(slice) {
                store.release(groups);
            }
        }
        Some(whole)
    }

    /// Frees closed windows without emitting them; CHANGES has given their rows already. Groups without a window stay.
    pub(super) fn drop_closed(&self, store: &mut WindowStore) {
        while store.grid.is_some()
            && let Some(window) = self.next_window(store)
        {
            if let Some(groups) = store.take_slice(Slice::one(window)) {
                store.release(groups);
            }
        }
    }

    /// The next rows; `None` when all closed windows are out.
    pub(super) fn next_batch(
        &mut self,
        store: &mut WindowStore,
        forwarded: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Batch>, Fatal> {
        loop {
            if let Some(mut leaving) = self.leaving.take() {
                let batch = leaving.next_batch(store, forwarded, cx)?;
                if batch.is_some() {
                    self.leaving = Some(leaving);
                    return Ok(batch);
                }
                store.release(leaving.groups);
            }
            let Some(window) = self.next_window(store) else { return Ok(None) };
            let global = store.grid.is_none() && store.spec.keys.is_empty();
            self.leaving = Closing::take(store, window).map(|groups| {
                let order = groups.in_order(global);
                Leaving { window, groups, order, at: 0 }
            });
        }
    }
}

impl Leaving {
    fn next_batch(&mut self, store: &WindowStore, forwarded: i64, cx: &mut OpCx<'_>) -> Result<Option<Batch>, Fatal> {
        let mut given: Vec<u32> = Vec::with_capacity(cx.batch_rows.min(self.order.len() - self.at));
        while given.len() < cx.batch_rows.max(1) && self.at < self.order.len() {
            let group = self.order[self.at];
            self.at += 1;
            self.groups.states.settle(group);
            match self.groups.states.overflow(&store.layout, group) {
                None => given.push(group),
                Some(call) => store.lose(&self.groups, self.window, group, call, cx),
            }
        }
        if given.is_empty() {
            return Ok(None);
        }
        self.batch(store, &given, forwarded).map(Some)
    }

    fn batch(&self, store: &WindowStore, given: &[u32], forwarded: i64) -> Result<Batch, Fatal> {
        let mut keys = store.key_builders();
        let mut results = store.layout.builders();
        for group in given {
            if decode(self.groups.index.key(*group), &mut keys).is_none() {
                return Err(Fatal::new("state is corrupt: a group's key bytes do not decode"));
            }
            self.groups.states.emit(&store.layout, *group, &mut results);
        }
        let rows = given.len();
        let mut columns: Vec<Column> = keys.into_iter().chain(results).map(|b| b.finish()).collect();
        let headers = columns.pop_if(|_| store.spec.headers.is_some());
        if let Some(grid) = &store.grid {
            for bound in [self.window, grid.end(self.window)] {
                columns.push(Column::ints(vec![ns_to_ms(bound); rows], None));
            }
        }
        columns.extend(headers);
        Ok(Batch::new(columns, rows, self.meta(store, given, forwarded)))
    }

    fn meta(&self, store: &WindowStore, given: &[u32], forwarded: i64) -> RowMeta {
        let rows = given.len();
        let end = store.end(self.window);
        let windowed = self.window != WHOLE || store.grid.is_some();
        let time = end.saturating_sub(1);
        let seen = |g: &u32| self.groups.first_seen(*g);
        RowMeta {
            source: store.place.source(),
            partition: 0,
            offsets: Offsets::From(0),
            order: RowOrder::Derived {
                major: vec![end; rows].into(),
                minor: given.iter().map(|g| within::inside(seen(g).0, seen(g).1)).collect::<Vec<_>>().into(),
                tie: given.iter().map(|g| seen(g).2).collect::<Vec<_>>().into(),
            },
            event_time: windowed.then(|| vec![time; rows].into()),
            wm_own: windowed.then(|| vec![forwarded; rows].into()),
            timestamp: windowed.then(|| vec![ns_to_ms(time); rows].into()),
            raw: None,
            records: None,
            weight: None,
        }
    }
}
