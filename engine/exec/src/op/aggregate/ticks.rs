//! EMIT CHANGES EVERY d: which groups changed, told at multiples of d of event time.
//!
//! A row counts from the first tick (multiple of d) behind its event time and behind the watermark its own partition had
//! just before it. When the operator's watermark reaches a tick, each group that a row of it changed is told once, as it
//! then is; so what is told is a function of the rows, not of batches, shards or the step in which a watermark comes.
//! Where a window closes between two ticks, its groups tell their last changes at the close. With retraction, what a
//! group told last leaves with −1 in front of the new row; it is noted when a tick first touches the group.
//!
//! Rows of the open tick (the next one the watermark can reach) are folded at once; rows ahead of it wait as they came,
//! by tick. Memory: the groups, one note a changed group, and the rows ahead: about d and the bound of the source.
//! Invariants: ticks and closes are told in order of time, each once; at the close of a window all its rows are folded,
//! for none counts from a later tick than the first at or behind the close.

use std::collections::BTreeMap;

use velostream_state::build::ColumnBuilder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::{WM_END, WM_NONE, floor_to};
use velostream_types::{Batch, Column, Fatal, vnode};

use super::held::{Held, PENDING};
use super::runs::{Run, Slice, times};
use super::saved::{ints, shape};
use super::store::WindowStore;
use super::telling::{Telling, Told, drop_window, told};
use crate::operator::OpCx;

pub(super) const CHANGED: &str = "changed";
const VERSION: u16 = 1;
/// Mark of a group that did not change since it was told.
const SAME: u32 = 0;
/// Mark of a group that changed and has told nothing yet; those above are positions of notes, plus two.
const NEW: u32 = 1;

/// Groups of one window that changed since the last tick.
#[derive(Debug, Default)]
struct Changed {
    groups: Vec<u32>,
    /// By group: see [`SAME`] and [`NEW`].
    marks: Vec<u32>,
    /// What groups told last: keys, then results.
    notes: Vec<Told>,
}

impl Changed {
    /// Marks a group; `note`: the row of the notes that it told last.
    fn mark(&mut self, group: u32, note: Option<u32>) {
        let at = group as usize;
        if self.marks.len() <= at {
            self.marks.resize(at + 1, SAME);
        }
        if self.marks[at] == SAME {
            self.marks[at] = note.map_or(NEW, |row| row + 2);
            self.groups.push(group);
        }
    }

    fn has(&self, group: u32) -> bool {
        self.marks.get(group as usize).is_some_and(|mark| *mark != SAME)
    }

    fn note_of(&self, group: u32) -> Option<u32> {
        self.marks[group as usize].checked_sub(2)
    }
}

/// What waits for its tick.
#[derive(Debug)]
pub(super) struct Ticks {
    every: i64,
    /// The tick whose rows are folded; `WM_NONE` before the first watermark.
    open: i64,
    changed: BTreeMap<i64, Changed>,
    /// Rows of ticks to come.
    pending: Held,
}

impl Ticks {
    /// Ticks at multiples of `every`, ns.
    pub(super) fn new(every: i64) -> Ticks {
        Ticks { every: every.max(1), open: WM_NONE, changed: BTreeMap::new(), pending: Held::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        let marks = self.changed.values().map(|c| (c.marks.len() + c.groups.len()) * size_of::<u32>()).sum::<usize>();
        self.pending.bytes() + marks
    }

    /// First tick behind a time.
    fn behind(&self, time: i64) -> i64 {
        floor_to(time, self.every).saturating_add(self.every)
    }

    /// Takes rows: those of the open tick are folded, those ahead wait.
    pub(super) fn take(&mut self, batch: Batch, store: &mut WindowStore, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let batch = store.admitted_to_wait(batch, cx)?;
        let times = times(&batch)?;
        let own = |row: usize| batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]);
        let ticks: Vec<i64> = (0..batch.rows).map(|row| self.behind(times[row].max(own(row)))).collect();
        let mut from = 0;
        while from < batch.rows {
            let to = (from..batch.rows).find(|row| ticks[*row] != ticks[from]).unwrap_or(batch.rows);
            let rows = if to - from == batch.rows { batch.clone() } else { batch.slice(from, to - from) };
            if ticks[from] <= self.open {
                self.fold(rows, store)?;
            } else {
                self.pending.add(ticks[from], rows);
            }
            from = to;
        }
        Ok(())
    }

    /// Folds rows and marks their groups.
    fn fold(&mut self, mut batch: Batch, store: &mut WindowStore) -> Result<(), Fatal> {
        let runs = store.runs_behind(&mut batch, store.released)?;
        store.encode(&batch);
        for run in runs {
            for window in store.windows_of(run.slice) {
                self.fold_in(window, Run { slice: Slice::one(window), ..run }, &batch, store)?;
            }
        }
        Ok(())
    }

    fn fold_in(&mut self, window: i64, run: Run, batch: &Batch, store: &mut WindowStore) -> Result<(), Fatal> {
        let changed = self.changed.entry(window).or_default();
        if store.spec.retract {
            for row in run.from..run.to {
                if let Some(group) = store.known(window, row).filter(|group| !changed.has(*group)) {
                    let note = told(store, window, group)?.map(|told| {
                        changed.notes.push(told);
                        changed.notes.len() as u32 - 1
                    });
                    changed.mark(group, note);
                }
            }
        }
        store.fold_run_of(run, batch).iter().for_each(|group| changed.mark(*group, None));
        Ok(())
    }

    /// Makes `tick` the open one and folds what waited for it.
    fn open(&mut self, tick: i64, store: &mut WindowStore) -> Result<(), Fatal> {
        self.open = self.open.max(tick);
        while let Some(rows) = self.pending.take_upto(self.open) {
            for rows in rows {
                self.fold(rows, store)?;
            }
        }
        Ok(())
    }

    /// Goes to the next moment up to a watermark that has something to tell.
    pub(super) fn next_moment(&mut self, store: &mut WindowStore, upto: i64) -> Result<Option<Telling>, Fatal> {
        loop {
            let tick = match self.changed.is_empty() {
                true => self.pending.first(),
                false => Some(self.open),
            };
            let tick = tick.filter(|tick| *tick <= upto);
            let window = store.windows.first_key_value().map(|(slice, _)| slice.last).filter(|_| store.grid.is_some());
            let close = window.map(|window| (store.closes_at(window), window)).filter(|(close, _)| *close <= upto);
            match (tick, close) {
                (Some(tick), close) if close.is_none_or(|(close, _)| tick <= close) => {
                    if !self.changed.is_empty() {
                        return Ok(Some(self.telling(tick, None, store)));
                    }
                    self.open(tick, store)?;
                }
                (_, Some((close, window))) => {
                    let tick = self.behind(close.saturating_sub(1));
                    if self.pending.first().is_some_and(|first| first <= tick) {
                        // Among the rows that waited may be those of a window that closes before it.
                        self.open(tick, store)?;
                        continue;
                    }
                    self.open = self.open.max(tick);
                    if self.changed.contains_key(&window) {
                        return Ok(Some(self.telling(close, Some(window), store)));
                    }
                    drop_window(store, window);
                }
                (_, None) => {
                    let tick = self.behind(upto);
                    if upto < WM_END && tick > self.open {
                        // Rows that waited for a tick ahead may be of windows that close before it.
                        self.open(tick, store)?;
                        continue;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// What a moment tells: the changes of the window that closes, else all.
    fn telling(&mut self, time: i64, closes: Option<i64>, store: &WindowStore) -> Telling {
        let taken = match closes {
            Some(window) => self.changed.remove_entry(&window).into_iter().collect(),
            None => std::mem::take(&mut self.changed),
        };
        let (mut groups, mut notes) = (Vec::new(), BTreeMap::new());
        for (window, changed) in taken {
            groups.extend(changed.groups.iter().map(|group| (window, *group, changed.note_of(*group))));
            notes.insert(window, changed.notes);
        }
        groups.sort_by_key(|(window, group, _)| (store.of(*window).map(|g| g.first_seen(*group)), *window));
        Telling { time, groups, notes, closes, place: None, at: 0 }
    }
}

/// Snapshots: which groups changed and what they told last, and the rows that wait, by the vnode of their key.
impl Ticks {
    pub(super) fn save(&self, store: &WindowStore, out: &mut SnapshotWriter) {
        for (window, changed) in &self.changed {
            let Some(groups) = store.of(*window) else { continue };
            let mut rows: Vec<(u16, u32)> =
                changed.groups.iter().map(|g| (vnode::of_key(groups.index.key(*g)), *g)).collect();
            rows.sort_unstable();
            let note = |group: u32| changed.note_of(group).map_or(-1, i64::from);
            let mut columns = vec![
                Column::ints(vec![*window; rows.len()], None),
                Column::Bytes(rows.iter().map(|(_, g)| Some(groups.index.key(*g))).collect()),
                Column::ints(rows.iter().map(|(_, g)| note(*g)).collect(), None),
            ];
            let mut notes: Vec<ColumnBuilder> =
                store.key_builders().into_iter().chain(store.layout.builders()).collect();
            for (_, group) in &rows {
                match changed.note_of(*group).map(|at| &changed.notes[at as usize]) {
                    Some(told) => notes.iter_mut().zip(told).for_each(|(out, value)| out.push_value(value)),
                    None => notes.iter_mut().for_each(ColumnBuilder::push_null),
                }
            }
            columns.extend(notes.into_iter().map(ColumnBuilder::finish));
            let vnodes = Some(rows.iter().map(|(vnode, _)| *vnode).collect());
            out.tables.push(StateTable { name: CHANGED.to_owned(), version: VERSION, vnodes, columns });
        }
        self.pending.save(&store.spec.keys, out);
    }

    pub(super) fn load(
        &mut self,
        store: &mut WindowStore,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        if store.watermark != WM_NONE && store.watermark < WM_END {
            self.open = self.behind(store.watermark);
        }
        for table in from.tables.iter().filter(|table| table.name == PENDING) {
            self.pending.load(table, owns)?;
        }
        for table in from.tables.iter().filter(|table| table.name == CHANGED) {
            let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("groups without vnodes"))?;
            if table.version != VERSION || table.columns.iter().any(|c| c.len() != vnodes.len()) {
                return Err(shape("what waits for a tick has another shape"));
            }
            let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
            let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&owned)).collect();
            self.load_changed(store, &columns)?;
        }
        Ok(())
    }

    fn load_changed(&mut self, store: &WindowStore, columns: &[Column]) -> Result<(), SnapshotError> {
        let [windows, Column::Bytes(keys), told, notes @ ..] = columns else {
            return Err(shape("changed groups have other columns"));
        };
        for (row, (window, told)) in ints(windows)?.iter().zip(ints(told)?).enumerate() {
            let groups = store.of(*window).ok_or_else(|| shape("a changed group without its window"))?;
            let key = keys.value(row);
            let group = groups.index.find(key, store.hasher.hash(key)).ok_or_else(|| shape("no such group"))?;
            let changed = self.changed.entry(*window).or_default();
            let note = (*told >= 0).then_some(changed.notes.len() as u32);
            if note.is_some() {
                changed.notes.push(notes.iter().map(|column| column.value(row)).collect());
            }
            changed.mark(group, note);
        }
        Ok(())
    }
}
