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

use velostream_sql::plan::{AggregateSpec, Emit};
use velostream_state::build::ColumnBuilder;
use velostream_state::key::{KeyEncoder, decode};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::{WM_END, WM_NONE, floor_to, ns_to_ms};
use velostream_types::{Batch, Column, Fatal, Offsets, RowMeta, RowOrder, SourceId, Value, vnode};

use super::runs::{Slice, times};
use super::saved::{ints, shape};
use super::store::WindowStore;
use crate::operator::OpCx;

pub(super) const CHANGED: &str = "changed";
pub(super) const PENDING: &str = "pending";
const VERSION: u16 = 1;
/// Columns of a pending row in front of its values: tick, source, partition, offset, order and whether it is the
/// source's own, event time, own watermark, weight.
const FIXED: usize = 11;
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
    notes: Vec<Box<[Value]>>,
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
    pending: BTreeMap<i64, Vec<Batch>>,
    pending_bytes: usize,
}

/// Groups on their way out.
#[derive(Debug)]
pub(super) struct Telling {
    /// The tick, or the watermark that closes the window.
    time: i64,
    /// Window, group, row of the window's notes; by first sight.
    groups: Vec<(i64, u32, Option<u32>)>,
    at: usize,
    notes: BTreeMap<i64, Vec<Box<[Value]>>>,
    /// The window that is over.
    closes: Option<i64>,
}

impl Ticks {
    /// What an aggregate of this spec needs.
    pub(super) fn of(spec: &AggregateSpec) -> Option<Ticks> {
        let Emit::Every(every) = spec.emit else { return None };
        let (changed, pending) = (BTreeMap::new(), BTreeMap::new());
        Some(Ticks { every: every.max(1), open: WM_NONE, changed, pending, pending_bytes: 0 })
    }

    pub(super) fn bytes(&self) -> usize {
        let marks = self.changed.values().map(|c| (c.marks.len() + c.groups.len()) * size_of::<u32>()).sum::<usize>();
        self.pending_bytes + marks
    }

    /// First tick behind a time.
    fn behind(&self, time: i64) -> i64 {
        floor_to(time, self.every).saturating_add(self.every)
    }

    /// Takes rows: those of the open tick are folded, those ahead wait.
    pub(super) fn take(&mut self, batch: Batch, store: &mut WindowStore, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let mut batch = store.admitted(batch, cx)?;
        (batch.meta.raw, batch.meta.records) = (None, None);
        let times = times(&batch)?;
        let own = |row: usize| batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]).max(store.watermark);
        let ticks: Vec<i64> = (0..batch.rows).map(|row| self.behind(times[row].max(own(row)))).collect();
        let mut from = 0;
        while from < batch.rows {
            let to = (from..batch.rows).find(|row| ticks[*row] != ticks[from]).unwrap_or(batch.rows);
            let rows = if to - from == batch.rows { batch.clone() } else { batch.slice(from, to - from) };
            if ticks[from] <= self.open {
                self.fold(rows, store)?;
            } else {
                self.wait(ticks[from], rows);
            }
            from = to;
        }
        Ok(())
    }

    fn wait(&mut self, tick: i64, rows: Batch) {
        self.pending_bytes += rows.bytes();
        self.pending.entry(tick).or_default().push(rows);
    }

    /// Folds rows and marks their groups.
    fn fold(&mut self, mut batch: Batch, store: &mut WindowStore) -> Result<(), Fatal> {
        let runs = store.runs(&mut batch)?;
        store.encode(&batch);
        for run in runs {
            let changed = self.changed.entry(run.slice.last).or_default();
            if store.spec.retract {
                for row in run.from..run.to {
                    if let Some(group) = store.known(run.slice.last, row).filter(|group| !changed.has(*group)) {
                        let note = note(changed, store, run.slice.last, group)?;
                        changed.mark(group, note);
                    }
                }
            }
            store.fold_run_of(run, &batch).iter().for_each(|group| changed.mark(*group, None));
        }
        Ok(())
    }

    /// Makes `tick` the open one and folds what waited for it.
    fn open(&mut self, tick: i64, store: &mut WindowStore) -> Result<(), Fatal> {
        self.open = self.open.max(tick);
        while let Some(first) = self.pending.first_entry().filter(|first| *first.key() <= self.open) {
            for rows in first.remove() {
                self.pending_bytes -= rows.bytes();
                self.fold(rows, store)?;
            }
        }
        Ok(())
    }

    /// Goes to the next moment up to a watermark that has something to tell.
    pub(super) fn next_moment(&mut self, store: &mut WindowStore, upto: i64) -> Result<Option<Telling>, Fatal> {
        loop {
            let tick = match self.changed.is_empty() {
                true => self.pending.first_key_value().map(|(tick, _)| *tick),
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
                    self.open(self.behind(close.saturating_sub(1)), store)?;
                    if self.changed.contains_key(&window) {
                        return Ok(Some(self.telling(close, Some(window), store)));
                    }
                    drop_window(store, window);
                }
                (_, None) => {
                    if upto < WM_END {
                        self.open(self.behind(upto), store)?;
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
        Telling { time, groups, at: 0, notes, closes }
    }
}

/// Notes what a group told last; `None` when that is nothing.
fn note(changed: &mut Changed, store: &mut WindowStore, window: i64, group: u32) -> Result<Option<u32>, Fatal> {
    store.settle(window, group);
    let groups = &store[window];
    // A result that could not be emitted needs no retraction.
    if !store.stands(groups, group) || groups.states.overflow(&store.layout, group).is_some() {
        return Ok(None);
    }
    let mut told: Vec<ColumnBuilder> = store.key_builders().into_iter().chain(store.layout.builders()).collect();
    emit(store, window, group, &mut told)?;
    changed.notes.push(told.into_iter().map(|value| value.finish().value(0)).collect());
    Ok(Some(changed.notes.len() as u32 - 1))
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

fn drop_window(store: &mut WindowStore, window: i64) {
    if let Some(groups) = store.take_slice(Slice::one(window)) {
        store.release(groups);
    }
}

/// Output rows under construction.
struct Rows {
    columns: Vec<ColumnBuilder>,
    weights: Vec<i8>,
    windows: Vec<i64>,
    seen: Vec<super::Triple>,
}

impl Rows {
    fn add(&mut self, window: i64, seen: super::Triple, weight: i8) {
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
        if let Some(grid) = store.grid {
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
                minor: rows.seen.iter().map(|seen| seen.0).collect::<Vec<_>>().into(),
                tie: rows.seen.iter().map(|seen| seen.2).collect::<Vec<_>>().into(),
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
        for (tick, batch) in self.pending.iter().flat_map(|(tick, rows)| rows.iter().map(move |rows| (tick, rows))) {
            out.tables.push(pending_table(*tick, batch, &store.spec.keys));
        }
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
        for table in from.tables.iter().filter(|table| [CHANGED, PENDING].contains(&table.name.as_str())) {
            let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("groups without vnodes"))?;
            if table.version != VERSION || table.columns.iter().any(|c| c.len() != vnodes.len()) {
                return Err(shape("what waits for a tick has another shape"));
            }
            let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
            let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&owned)).collect();
            match table.name.as_str() {
                CHANGED => self.load_changed(store, &columns)?,
                _ if owned.is_empty() => {}
                _ => self.load_pending(&columns, owned.len())?,
            }
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

    fn load_pending(&mut self, columns: &[Column], rows: usize) -> Result<(), SnapshotError> {
        let Some((fixed, values)) = columns.split_at_checked(FIXED) else {
            return Err(shape("rows that wait have other columns"));
        };
        let fixed: Vec<&[i64]> = fixed.iter().map(ints).collect::<Result<_, _>>()?;
        let all = |at: usize| fixed[at].to_vec().into();
        let tie = fixed[6].iter().map(|tie| *tie as u64).collect::<Vec<_>>().into();
        let order = match fixed[7][0] {
            0 => RowOrder::Source,
            1 => RowOrder::Derived { major: all(4), minor: all(5), tie },
            _ => RowOrder::Nth(tie),
        };
        let meta = RowMeta {
            offsets: Offsets::List(all(3)),
            order,
            event_time: Some(all(8)),
            wm_own: Some(all(9)),
            weight: Some(fixed[10].iter().map(|weight| *weight as i8).collect::<Vec<_>>().into()),
            ..RowMeta::plain(SourceId(fixed[1][0] as u16), fixed[2][0] as u32, 0)
        };
        self.wait(fixed[0][0], Batch::new(values.to_vec(), rows, meta));
        Ok(())
    }
}

fn pending_table(tick: i64, batch: &Batch, keys: &[usize]) -> StateTable {
    let mut encoder = KeyEncoder::new();
    let columns: Vec<&Column> = keys.iter().map(|key| &batch.columns[*key]).collect();
    let encoded = encoder.encode(&columns, batch.rows);
    let mut rows: Vec<(u16, u32)> = (0..batch.rows).map(|row| (vnode::of_key(encoded.key(row)), row as u32)).collect();
    rows.sort_unstable();
    let picked: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
    let meta = &batch.meta;
    let each = |f: &dyn Fn(usize) -> i64| Column::ints(picked.iter().map(|row| f(*row as usize)).collect(), None);
    let time = |times: &Option<arrow_buffer::ScalarBuffer<i64>>, row: usize| times.as_ref().map_or(WM_NONE, |t| t[row]);
    let order = match meta.order {
        RowOrder::Source => 0,
        RowOrder::Derived { .. } => 1,
        RowOrder::Nth(_) => 2,
    };
    let mut columns = vec![
        each(&|_| tick),
        each(&|_| i64::from(meta.source.0)),
        each(&|_| i64::from(meta.partition)),
        each(&|row| meta.offsets.at(row)),
        each(&|row| meta.order_at(row).0),
        each(&|row| meta.order_at(row).1),
        each(&|row| meta.order_at(row).2 as i64),
        each(&|_| order),
        each(&|row| time(&meta.event_time, row)),
        each(&|row| time(&meta.wm_own, row)),
        each(&|row| i64::from(meta.weight_at(row))),
    ];
    columns.extend(batch.columns.iter().map(|column| column.take(&picked)));
    let vnodes = Some(rows.iter().map(|(vnode, _)| *vnode).collect());
    StateTable { name: PENDING.to_owned(), version: VERSION, vnodes, columns }
}
