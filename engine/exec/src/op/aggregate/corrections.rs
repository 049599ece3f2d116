//! `late.data.strategy update_previous`: windows fire at their end and are corrected until their lateness is over.
//!
//! A row counts in a window as usual while the watermark of its own partition just before it is below the window's end. At
//! or behind the end it is a correction: it waits until the operator's watermark has reached that own watermark, is folded,
//! and its group leaves once more. Windows fire at their end; of what happens up to a watermark everything goes by time, a
//! window in front of corrections of the same moment. So the rows that come out, corrections included, are a function of
//! the input's content: not of batches, nor of the step in which a watermark comes. Rows of several partitions with one own
//! watermark are applied in as-if order as far as they have arrived.
//!
//! State: the windows until their end + lateness, each with groups of its own, and corrections ahead of the watermark.
//! With retraction (a TABLE), what the group told last leaves with −1 in front of a correction.

use std::collections::{BTreeMap, VecDeque};

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Fatal, NTH_MASK, within};

use super::Triple;
use super::held::{Held, PENDING};
use super::runs::{Grid, Run, Slice, times};
use super::store::WindowStore;
use super::telling::{Telling, drop_window, told};
use crate::operator::{NextWindow, OpCx};

/// From here on, in the order of a moment's rows, stand the corrections of the moment before: before the groups of windows
/// that fire then, whose records' numbers, or times, are above.
const BEFORE_GROUPS: i64 = i64::MIN;

/// A row that is due.
#[derive(Debug)]
struct Due {
    /// Its partition's watermark before it.
    own: i64,
    order: Triple,
    row: Batch,
    /// Windows it corrects, less those it did.
    windows: Slice,
    corrected: u64,
}

/// What waits to be applied, and which windows have fired.
#[derive(Debug)]
pub(super) struct Corrections {
    grid: Grid,
    /// The same windows without their lateness: a watermark that closes one fires it.
    firing: Grid,
    /// Earliest window that has not fired.
    open: i64,
    held: Held,
    due: VecDeque<Due>,
}

impl Corrections {
    pub(super) fn new(grid: Grid) -> Corrections {
        Corrections {
            firing: grid.without_lateness(),
            grid,
            open: i64::MIN,
            held: Held::default(),
            due: VecDeque::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// The next window that has not fired.
    pub(super) fn next_to_fire(&self, store: &WindowStore) -> Option<NextWindow> {
        let start = self.next_open(store)?;
        let end = self.grid.end(start);
        Some(NextWindow { fires_at: end, start, end })
    }

    fn next_open(&self, store: &WindowStore) -> Option<i64> {
        let from = Slice { last: self.open, first: i64::MIN };
        store.windows.range(from..).next().map(|(slice, _)| slice.last)
    }

    /// TRUE when a watermark lets rows in that wait.
    pub(super) fn is_due(&self, watermark: i64) -> bool {
        self.held.first().is_some_and(|own| own <= watermark)
    }

    /// Windows that end at or before this watermark have fired.
    pub(super) fn fired_upto(&mut self, watermark: i64) {
        if watermark != WM_NONE && watermark != WM_END {
            self.open = self.open.max(self.firing.first_open(watermark));
        }
    }

    /// Takes rows: they are folded into windows that have not ended for them, and wait to correct those that have.
    pub(super) fn take(&mut self, batch: Batch, store: &mut WindowStore, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let batch = store.admitted_to_wait(batch, cx)?;
        let times = times(&batch)?;
        let own = |row: usize| batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]);
        let mut in_time: Vec<u32> = Vec::with_capacity(batch.rows);
        for (row, time) in times.iter().enumerate() {
            let open = self.firing.slice(*time, own(row));
            if open.is_some() {
                in_time.push(row as u32);
            }
            let first = self.correctable(*time, own(row), store.released).map(|slice| slice.first);
            if first.is_some_and(|first| open.is_none_or(|open| first < open.first)) {
                self.held.add(own(row), batch.take(&[row as u32]));
            }
        }
        let mut batch = if in_time.len() == batch.rows { batch } else { batch.take(&in_time) };
        let runs = self.firing.runs(&mut batch, store.released)?;
        if batch.rows > 0 {
            store.encode(&batch);
        }
        for run in runs {
            for window in store.windows_of(run.slice) {
                store.fold_run_of(Run { slice: Slice::one(window), ..run }, &batch);
            }
        }
        Ok(())
    }

    /// The windows of a row that are not closed to it, nor were before a restart.
    fn correctable(&self, time: i64, own: i64, released: i64) -> Option<Slice> {
        self.grid.slice(time, own)?.behind(&self.grid, released)
    }

    /// Goes to the next moment up to a watermark that has something to tell; frees windows behind their lateness.
    pub(super) fn next_moment(&mut self, store: &mut WindowStore, upto: i64) -> Result<Option<Telling>, Fatal> {
        loop {
            if let Some(telling) = self.next_correction(store)? {
                return Ok(Some(telling));
            }
            let fires = self.next_open(store).map(|window| (store.end(window), window)).filter(|(end, _)| *end <= upto);
            let corrects = self.held.first().filter(|own| *own <= upto);
            match (fires, corrects) {
                (Some((end, window)), corrects) if corrects.is_none_or(|own| end <= own) => {
                    self.open = self.grid.next(window);
                    return Ok(Some(self.fire(store, end, window)));
                }
                (_, Some(own)) => {
                    self.fired_upto(own);
                    self.make_due(own, store.released)?;
                }
                _ => {
                    self.fired_upto(upto);
                    while let Some(window) = store.windows.keys().next().map(|slice| slice.last)
                        && store.closes_at(window) <= upto
                    {
                        drop_window(store, window);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The rows of this moment, in as-if order.
    fn make_due(&mut self, own: i64, released: i64) -> Result<(), Fatal> {
        let mut due: Vec<Due> = Vec::new();
        for row in self.held.take_upto(own).unwrap_or_default() {
            for at in 0..row.rows {
                let row = if row.rows == 1 { row.clone() } else { row.take(&[at as u32]) };
                let time = times(&row)?[0];
                let Some(all) = self.correctable(time, own, released) else { continue };
                // All but those that had not ended.
                let last = match self.firing.slice(time, own) {
                    Some(open) => self.grid.before(open.first),
                    None => all.last,
                };
                due.push(Due { own, order: row.meta.order_at(0), row, windows: Slice { last, ..all }, corrected: 0 });
            }
        }
        due.sort_by_key(|due| due.order);
        self.due.extend(due);
        Ok(())
    }

    /// Applies one row to one of the windows it corrects.
    fn next_correction(&mut self, store: &mut WindowStore) -> Result<Option<Telling>, Fatal> {
        let Some(mut due) = self.due.pop_front() else { return Ok(None) };
        let window = due.windows.first;
        store.encode(&due.row);
        let before = match store.known(window, 0).filter(|_| store.spec.retract) {
            Some(group) => told(store, window, group)?,
            None => None,
        };
        let group = match store.fold_run_of(Run { slice: Slice::one(window), from: 0, to: 1 }, &due.row) {
            [group, ..] => *group,
            [] => return Err(Fatal::new("state is corrupt: a folded row has no group")),
        };
        let note = before.is_some().then_some(0);
        let telling = Telling {
            // More of the same moment may follow, on other shards too: a writer that orders gives them out behind it.
            time: self.order_of(due.own).saturating_add(1),
            groups: vec![(window, group, note)],
            notes: BTreeMap::from([(window, before.into_iter().collect())]),
            closes: None,
            place: Some((
                within::inside(due.order.0.saturating_add(BEFORE_GROUPS), due.order.1),
                nth(due.order.2, due.corrected),
            )),
            at: 0,
        };
        due.windows.first = self.grid.next(window);
        due.corrected += 1;
        if due.windows.first <= due.windows.last {
            self.due.push_front(due);
        }
        Ok(Some(telling))
    }

    /// All groups of a window at its end.
    fn fire(&self, store: &WindowStore, end: i64, window: i64) -> Telling {
        let order = store.of(window).map(|groups| groups.in_order(false)).unwrap_or_default();
        let groups = order.into_iter().map(|group| (window, group, None)).collect();
        Telling { time: self.order_of(end), groups, notes: BTreeMap::new(), closes: None, place: None, at: 0 }
    }

    /// The major part of the order of what a moment tells: writers give out what is at or below the forwarded watermark,
    /// and that is the lateness behind the one that brought the moment.
    fn order_of(&self, moment: i64) -> i64 {
        moment.saturating_sub(self.grid.lateness())
    }

    pub(super) fn save(&self, store: &WindowStore, out: &mut SnapshotWriter) {
        self.held.save(&store.spec.keys, out);
    }

    pub(super) fn load(
        &mut self,
        store: &WindowStore,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        self.fired_upto(store.watermark);
        from.tables.iter().filter(|table| table.name == PENDING).try_for_each(|table| self.held.load(table, owns))
    }
}

/// The tie of the nth row that is made of one with this tie.
fn nth(tie: u64, number: u64) -> u64 {
    tie & !NTH_MASK | (tie & NTH_MASK).saturating_add(number).min(NTH_MASK)
}
