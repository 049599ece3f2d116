//! The open windows of a grouping and how batches are folded into them; shared by Aggregate and Combine.
//!
//! Windows stand in a map by start, each with its own group index, first-seen triples and accumulators, all in blocks
//! of one pool. A batch is judged for lateness, cut into runs of one window, its keys are encoded and hashed once, and
//! each run is folded: group numbers, then one loop per accumulator. Cost per row: one key copy, one hash, one probe
//! and an add per accumulator; no allocation for known groups.

use std::collections::BTreeMap;

use velostream_sql::plan::{AggregateSpec, LateStrategy};
use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_state::index::{Found, GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_types::time::{WM_NONE, duration_text, timestamp_text};
use velostream_types::{Batch, Column, DataType, Fatal, RowMeta, RowOrder, SourceId};

use super::Place;
use super::first_seen::FirstSeen;
use super::idle::Idle;
use super::letters::{late_row, lost_group};
use super::open::HeldRows;
use super::runs::{Grid, Run, Slice, WHOLE};
use crate::agg::{Fold, Layout, States};
use crate::operator::OpCx;

/// The groups of one window.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) index: GroupIndex,
    pub(super) first: FirstSeen,
    pub(crate) states: States,
}

impl Groups {
    pub(crate) fn new(layout: &Layout) -> Groups {
        Groups { index: GroupIndex::new(), first: FirstSeen::default(), states: States::new(layout) }
    }

    /// First-seen triple of a group.
    pub(crate) fn first_seen(&self, group: u32) -> super::Triple {
        self.first.get(group)
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.first.bytes() + self.states.bytes()
    }

    /// The places of these groups among all, as rows that stand for them have it.
    pub(crate) fn order_of(&self, numbers: &[u32]) -> RowOrder {
        let seen: Vec<_> = numbers.iter().map(|group| self.first.get(*group)).collect();
        RowOrder::Derived {
            major: seen.iter().map(|t| t.0).collect::<Vec<_>>().into(),
            minor: seen.iter().map(|t| t.1).collect::<Vec<_>>().into(),
            tie: seen.iter().map(|t| t.2).collect::<Vec<_>>().into(),
        }
    }

    /// Numbers of the groups that were not removed, ascending.
    pub(crate) fn present(&self) -> impl Iterator<Item = u32> {
        let mut removed = self.index.removed().to_vec();
        removed.sort_unstable();
        (0..self.index.high() as u32).filter(move |g| removed.binary_search(g).is_err())
    }

    /// Groups that stand for something, in order of first sight.
    pub(crate) fn in_order(&self, keep_empty: bool) -> Vec<u32> {
        let mut order: Vec<u32> = self.present().filter(|g| keep_empty || self.states.rows(*g) > 0).collect();
        if !order.is_sorted_by_key(|g| self.first.get(*g)) {
            order.sort_unstable_by_key(|g| self.first.get(*g));
        }
        order
    }

    pub(crate) fn release(&mut self, pool: &mut BlockPool) {
        self.index.release(pool);
        self.first.release(pool);
        self.states.release(pool);
    }
}

/// Buffers reused from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) encoder: KeyEncoder,
    pub(super) hashes: Vec<u32>,
    groups: Vec<u32>,
    fresh: Vec<u32>,
}

/// What a run adds to its groups.
#[derive(Clone, Copy)]
pub(super) enum Addition<'a> {
    Rows(&'a Batch),
    Partials(&'a [Column], &'a RowMeta),
}

/// All open windows of one node on one shard.
#[derive(Debug)]
pub(crate) struct WindowStore {
    pub(crate) spec: AggregateSpec,
    pub(crate) place: Place,
    pub(crate) layout: Layout,
    pub(crate) grid: Option<Grid>,
    pub(crate) windows: BTreeMap<Slice, Groups>,
    pub(crate) pool: BlockPool,
    /// Highest watermark taken.
    pub(crate) watermark: i64,
    /// The last of overlapping windows that was given out.
    pub(super) emitted: Option<i64>,
    /// What this watermark closes was given out before a restart.
    pub(crate) released: i64,
    /// Rows in open windows, by partition.
    pub(super) held: HeldRows,
    /// Last touches, where idle groups are freed.
    pub(super) idle: Option<Idle>,
    /// Lowest watermarks (taken, given) of the snapshot parts loaded so far.
    pub(super) restored: Option<(i64, i64)>,
    pub(super) hasher: KeyHasher,
    pub(super) scratch: Scratch,
    groups: usize,
    bytes: usize,
    /// Groups the last closed window held: the next one is made for as many.
    usual: usize,
}

/// Groups of a slice that are merged into a window at a time.
const MERGED: usize = 4_096;
/// Windows are not made for more groups than this in advance.
const EXPECTED_GROUPS: usize = 32_768;

impl WindowStore {
    pub(crate) fn new(spec: &AggregateSpec, place: Place) -> WindowStore {
        WindowStore {
            layout: Layout::new(spec),
            grid: spec.window.as_ref().map(Grid::new),
            spec: spec.clone(),
            place,
            windows: BTreeMap::new(),
            pool: BlockPool::default(),
            watermark: WM_NONE,
            emitted: None,
            released: WM_NONE,
            held: HeldRows::default(),
            idle: spec.ttl_ns.map(Idle::new),
            restored: None,
            hasher: KeyHasher::default(),
            scratch: Scratch::default(),
            groups: 0,
            bytes: 0,
            usual: 0,
        }
    }

    /// Groups of all windows.
    pub(crate) fn group_count(&self) -> usize {
        self.groups
    }

    /// Brings the gauges up to date.
    pub(crate) fn gauge(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.groups as u64;
        cx.counters.state_bytes = (self.bytes + self.idle.as_ref().map_or(0, Idle::bytes)) as u64;
    }

    /// Watermark that closes the window for good: the end of input where there are no windows.
    pub(crate) fn closes_at(&self, window: i64) -> i64 {
        self.grid.as_ref().map_or(i64::MAX, |g| g.closes_at(window))
    }

    /// End of a window.
    pub(super) fn end(&self, window: i64) -> i64 {
        self.grid.as_ref().map_or(i64::MAX, |grid| grid.end(window))
    }

    /// The groups of a window that shares none with others.
    pub(super) fn of(&self, window: i64) -> Option<&Groups> {
        self.windows.get(&Slice::one(window))
    }

    /// Takes the groups of some windows out; give them to [`WindowStore::release`] in the end.
    pub(crate) fn take_slice(&mut self, slice: Slice) -> Option<Groups> {
        let groups = self.windows.remove(&slice)?;
        self.groups -= groups.index.len();
        self.bytes -= groups.bytes();
        Some(groups)
    }

    /// The groups of a window of which others have some: those of all slices that hold it, merged. Cost: a probe and a
    /// merge per group and slice, so `size / slide` of them where a copy in each window would pay them for every row.
    pub(super) fn merged(&mut self, window: i64) -> Groups {
        let end = self.end(window);
        let WindowStore { windows, layout, pool, scratch, hasher, .. } = self;
        let mut whole = Groups::new(layout);
        for (_, groups) in holders(windows, window, end) {
            let all: Vec<u32> = groups.present().collect();
            for numbers in all.chunks(MERGED) {
                scratch.encoder.load(numbers.iter().map(|group| groups.index.key(*group)));
                hasher.hash_all(scratch.encoder.keys(), &mut scratch.hashes);
                let partials = groups.states.partial(numbers);
                let order = groups.order_of(numbers);
                let meta = RowMeta { order, ..RowMeta::plain(SourceId(0), 0, 0) };
                let run = Run { slice: Slice::one(window), from: 0, to: numbers.len() };
                whole.fold(run, layout, scratch, Addition::Partials(&partials, &meta), pool);
            }
        }
        whole
    }

    /// The slices that a window has a part in.
    pub(super) fn holders(&self, window: i64) -> impl Iterator<Item = (&Slice, &Groups)> {
        holders(&self.windows, window, self.end(window))
    }

    /// Gives a window's memory back.
    pub(crate) fn release(&mut self, mut groups: Groups) {
        self.usual = groups.index.len().min(EXPECTED_GROUPS);
        groups.release(&mut self.pool);
    }

    /// Folds rows into their windows; late ones are counted and go where the query says.
    pub(crate) fn fold_rows(&mut self, batch: Batch, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let batch = self.admitted(batch, cx)?;
        self.fold_admitted(batch)
    }

    /// Folds rows into windows that are open to them.
    pub(super) fn fold_admitted(&mut self, mut batch: Batch) -> Result<(), Fatal> {
        let runs = self.runs(&mut batch)?;
        if batch.rows == 0 {
            return Ok(());
        }
        if !self.spec.keys.is_empty() {
            self.encode(&batch);
        }
        for run in runs {
            self.fold_run(run, Addition::Rows(&batch));
        }
        Ok(())
    }

    /// The rows that are neither late nor of windows that were given out before a restart.
    pub(super) fn admitted(&self, mut batch: Batch, cx: &mut OpCx<'_>) -> Result<Batch, Fatal> {
        let Some(grid) = &self.grid else { return Ok(batch) };
        let late = grid.late(&batch, self.watermark)?;
        if !late.is_empty() {
            late.iter().for_each(|row| self.refuse(&batch, *row as usize, cx));
            if !grid.keeps_late() {
                batch = without(&batch, &late);
            }
        }
        self.fresh(batch, cx)
    }

    /// The rows that are not of windows that were given out before a restart.
    pub(super) fn fresh(&self, mut batch: Batch, cx: &mut OpCx<'_>) -> Result<Batch, Fatal> {
        let Some(grid) = &self.grid else { return Ok(batch) };
        // Beyond the frontier the watermark itself tells late rows from others.
        let replayed = grid.closed(&batch, if self.released > self.watermark { self.released } else { WM_NONE })?;
        if !replayed.is_empty() {
            cx.counters.replayed += replayed.len() as u64;
            batch = without(&batch, &replayed);
        }
        Ok(batch)
    }

    /// [`WindowStore::admitted`] rows for later: they carry the watermark that they were judged by, and no bytes.
    pub(super) fn admitted_to_wait(&self, batch: Batch, cx: &mut OpCx<'_>) -> Result<Batch, Fatal> {
        let mut batch = self.admitted(batch, cx)?;
        (batch.meta.raw, batch.meta.records) = (None, None);
        if let Some(own) = batch.meta.wm_own.as_ref().filter(|own| own.iter().any(|w| *w < self.watermark)) {
            batch.meta.wm_own = Some(own.iter().map(|w| (*w).max(self.watermark)).collect::<Vec<_>>().into());
        }
        Ok(batch)
    }

    /// The batch's runs of one slice each; the batch is reordered when its windows alternate.
    pub(super) fn runs(&self, batch: &mut Batch) -> Result<Vec<Run>, Fatal> {
        self.runs_behind(batch, self.watermark.max(self.released))
    }

    /// The same, with the windows that `watermark` leaves open.
    pub(super) fn runs_behind(&self, batch: &mut Batch, watermark: i64) -> Result<Vec<Run>, Fatal> {
        match &self.grid {
            None => Ok(vec![Run { slice: Slice::one(WHOLE), from: 0, to: batch.rows }]),
            Some(grid) => grid.runs(batch, watermark),
        }
    }

    /// The windows of a slice, ascending.
    pub(super) fn windows_of(&self, slice: Slice) -> Vec<i64> {
        let next = |window: &i64| self.grid.as_ref().map(|grid| grid.next(*window)).filter(|next| next > window);
        std::iter::successors(Some(slice.first), next).take_while(|window| *window <= slice.last).collect()
    }

    /// Folds the rows of a run; answers the group of each, of a query without keys the one group once.
    pub(super) fn fold_run_of(&mut self, run: Run, batch: &Batch) -> &[u32] {
        self.fold_run(run, Addition::Rows(batch));
        &self.scratch.groups
    }

    /// The group of a row of the batch whose keys are encoded, if its window has it.
    pub(super) fn known(&self, window: i64, row: usize) -> Option<u32> {
        let (key, hash) = (self.scratch.encoder.keys().key(row), self.scratch.hashes[row]);
        self.of(window)?.index.find(key, hash)
    }

    /// Watermark up to which everything was given out. At the end of input that is the close of the last open window;
    /// without windows nothing is ever given out for good.
    pub(super) fn frontier(&self, at_end: bool) -> i64 {
        let last = self.windows.last_key_value().map_or(WM_NONE, |(slice, _)| self.closes_at(slice.last));
        match (&self.grid, at_end) {
            (None, _) => WM_NONE,
            (Some(_), false) => self.watermark.max(self.released),
            (Some(_), true) => self.watermark.max(self.released).max(last),
        }
    }

    /// Encodes and hashes the keys of a batch.
    pub(super) fn encode(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self.spec.keys.iter().map(|k| &batch.columns[*k]).collect();
        self.scratch.encoder.encode(&columns, batch.rows);
        self.hasher.hash_all(self.scratch.encoder.keys(), &mut self.scratch.hashes);
    }

    pub(super) fn fold_run(&mut self, run: Run, addition: Addition<'_>) {
        let WindowStore { windows, layout, pool, scratch, groups, bytes, usual, hasher, held, grid, .. } = self;
        if let (Some(_), Addition::Rows(batch)) = (grid, &addition) {
            held.add(&batch.meta, run.slice.last, run.to - run.from);
        }
        let window = windows.entry(run.slice).or_insert_with(|| {
            let mut window = Groups::new(layout);
            window.index.expect(*usual, pool);
            *bytes += window.bytes();
            window
        });
        *groups -= window.index.len();
        *bytes -= window.bytes();
        match addition {
            Addition::Rows(batch) if self.spec.keys.is_empty() => {
                let group = window.index.find_or_insert(&[], hasher.hash(&[]), pool);
                window.fold_one(run, layout, group, (batch, &mut scratch.groups), pool);
            }
            _ => window.fold(run, layout, scratch, addition, pool),
        }
        *groups += window.index.len();
        *bytes += window.bytes();
    }

    /// Folds one row of a batch whose keys are encoded.
    pub(super) fn fold_row(&mut self, run: Run, batch: &Batch) {
        self.fold_run(run, Addition::Rows(batch));
    }

    /// Brings what a group keeps in order before it is emitted.
    pub(super) fn settle(&mut self, window: i64, group: u32) {
        if self.layout.settles()
            && let Some(groups) = self.windows.get_mut(&Slice::one(window))
        {
            self.bytes -= groups.bytes();
            groups.states.settle(group);
            self.bytes += groups.bytes();
        }
    }

    /// TRUE when a group stands for a row: it has rows, or is the one group of a query without keys and windows, whose
    /// COUNT of nothing is 0. FALSE, too, while a retraction waits for its row.
    pub(super) fn stands(&self, groups: &Groups, group: u32) -> bool {
        let rows = groups.states.rows(group);
        rows > 0 || rows == 0 && self.spec.keys.is_empty() && self.grid.is_none()
    }

    /// Frees one group of a window.
    pub(super) fn forget(&mut self, window: i64, group: u32, hash: u32) {
        if let Some(groups) = self.windows.get_mut(&Slice::one(window)) {
            self.bytes -= groups.bytes();
            groups.index.remove(group, hash);
            groups.states.clear(group);
            self.bytes += groups.bytes();
            self.groups -= 1;
        }
    }

    /// Makes the one group of an aggregate without keys, with no rows.
    pub(super) fn add_empty_group(&mut self) {
        let WindowStore { windows, layout, pool, hasher, groups, bytes, .. } = self;
        let window = windows.entry(Slice::one(WHOLE)).or_insert_with(|| Groups::new(layout));
        let group = window.index.find_or_insert(&[], hasher.hash(&[]), pool).group;
        window.states.grow(window.index.high(), pool);
        let meta = RowMeta::plain(SourceId(0), 0, 0);
        window.first.fold(&[group], &[0], window.index.high(), (&meta, 0), pool);
        *groups += 1;
        *bytes += window.bytes();
    }

    /// Folds partial groups a Combine of the same spec made: keys, the starts of the last and the first window, then
    /// partial columns.
    pub(crate) fn fold_partials(&mut self, batch: &Batch, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        if batch.meta.event_time.is_some() {
            return self.fold_single(batch.clone(), cx);
        }
        let keys = self.spec.keys.len();
        let starts = match (&self.grid, batch.columns.get(keys..)) {
            (None, _) => None,
            (Some(_), Some([Column::Timestamp(last), Column::Timestamp(first), ..])) => {
                Some((last.values(), first.values()))
            }
            _ => return Err(Fatal::new("partial groups came without window start: Combine and Aggregate differ")),
        };
        let partials = &batch.columns[keys + if starts.is_some() { 2 } else { 0 }..];
        if partials.len() != self.layout.partial_columns() {
            return Err(Fatal::new("partial groups came with other columns: Combine and Aggregate differ"));
        }
        let columns: Vec<&Column> = batch.columns[..keys].iter().collect();
        self.scratch.encoder.encode(&columns, batch.rows);
        let slice_of =
            |row: usize| starts.map_or(Slice::one(WHOLE), |(last, first)| Slice { last: last[row], first: first[row] });
        self.fold_encoded(slice_of, partials, &batch.meta, batch.rows, cx);
        Ok(())
    }

    /// Folds partial groups whose keys the encoder holds, run by run of the same windows.
    pub(super) fn fold_encoded(
        &mut self,
        slice_of: impl Fn(usize) -> Slice,
        partials: &[Column],
        meta: &RowMeta,
        rows: usize,
        cx: &mut OpCx<'_>,
    ) {
        self.hasher.hash_all(self.scratch.encoder.keys(), &mut self.scratch.hashes);
        let mut from = 0;
        while from < rows {
            let slice = slice_of(from);
            let window = slice.last;
            let to = (from..rows).find(|r| slice_of(*r) != slice).unwrap_or(rows);
            if self.grid.is_some() && self.closes_at(window) <= self.released {
                if let Column::Int(counts) = &partials[0] {
                    cx.counters.replayed += counts.values()[from..to].iter().map(|n| n.unsigned_abs()).sum::<u64>();
                }
            } else if self.grid.is_some() && self.closes_at(window) <= self.watermark {
                // Rows that a Combine folded while messages were under way that told of a watermark ahead of its own.
                if let Column::Int(counts) = &partials[0] {
                    cx.counters.late += counts.values()[from..to].iter().map(|n| n.unsigned_abs()).sum::<u64>();
                }
            } else {
                let open = self.grid.as_ref().and_then(|grid| slice.behind(grid, self.watermark.max(self.released)));
                let slice = open.unwrap_or(slice);
                self.fold_run(Run { slice, from, to }, Addition::Partials(partials, meta));
            }
            from = to;
        }
    }

    /// Counts a late row and dead-letters it where the query says so.
    pub(super) fn refuse(&self, batch: &Batch, row: usize, cx: &mut OpCx<'_>) {
        self.refuse_behind(self.watermark, batch, row, cx);
    }

    /// The same, of a row that was judged by this watermark and by that of its own partition.
    pub(super) fn refuse_behind(&self, watermark: i64, batch: &Batch, row: usize, cx: &mut OpCx<'_>) {
        cx.counters.late += 1;
        let (Some(grid), Some(window)) = (&self.grid, &self.spec.window) else { return };
        if window.late != LateStrategy::DeadLetter {
            return;
        }
        let time = batch.meta.event_time.as_ref().map_or(0, |t| t[row]);
        let own = batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]).max(watermark);
        let start = grid.start(time);
        let message = format!(
            "row at {} came after its {}window {} to {} had closed: the watermark was {}, allowed lateness is {}",
            timestamp_text(time),
            if grid.overlaps() { "last " } else { "" },
            timestamp_text(start),
            timestamp_text(grid.end(start)),
            timestamp_text(own),
            duration_text(grid.lateness()),
        );
        cx.counters.dead_lettered += 1;
        cx.dead.push((self.place.dlq, late_row(&self.place, batch, row, message)));
    }

    /// Dead-letters a group whose `call` left the range of its type.
    pub(super) fn lose(&self, groups: &Groups, window: i64, group: u32, call: usize, cx: &mut OpCx<'_>) {
        let window = self.grid.as_ref().map(|grid| (window, grid.end(window)));
        let (key, seen) = (groups.index.key(group), groups.first_seen(group));
        let letter = lost_group(&self.spec, &self.place, key, window, seen, call);
        cx.counters.dead_lettered += 1;
        cx.dead.push((self.place.dlq, letter));
    }

    /// A builder per key column.
    pub(crate) fn key_builders(&self) -> Vec<ColumnBuilder> {
        let type_of = |k: &usize| self.spec.input.fields.get(*k).map_or(&DataType::Null, |f| &f.data_type);
        self.spec.keys.iter().map(|k| ColumnBuilder::new(type_of(k))).collect()
    }
}

/// Slices with this window, which ends at `end`: the last window of one that holds it begins before that.
fn holders(windows: &BTreeMap<Slice, Groups>, window: i64, end: i64) -> impl Iterator<Item = (&Slice, &Groups)> {
    let (from, to) = (Slice { last: window, first: i64::MIN }, Slice { last: end, first: i64::MAX });
    windows.range(from..=to).filter(move |(slice, _)| slice.holds(window))
}

/// The groups of a window that is there and shares none with others.
impl std::ops::Index<i64> for WindowStore {
    type Output = Groups;

    fn index(&self, window: i64) -> &Groups {
        &self.windows[&Slice::one(window)]
    }
}

impl Groups {
    fn fold(&mut self, run: Run, layout: &Layout, scratch: &mut Scratch, addition: Addition<'_>, pool: &mut BlockPool) {
        let Scratch { encoder, hashes, groups, fresh } = scratch;
        groups.clear();
        fresh.clear();
        self.index.assign(encoder.keys(), run.from, &hashes[run.from..run.to], groups, fresh, pool);
        let high = self.index.high();
        self.states.grow(high, pool);
        match addition {
            Addition::Rows(batch) => {
                self.first.fold(groups, fresh, high, (&batch.meta, run.from), pool);
                let fold = Fold {
                    groups,
                    start: run.from,
                    columns: &batch.columns,
                    meta: &batch.meta,
                    weights: batch.meta.weight.as_deref(),
                };
                self.states.update(layout, fold, pool);
            }
            Addition::Partials(columns, meta) => {
                self.first.fold(groups, fresh, high, (meta, run.from), pool);
                self.states.merge(groups, run.from, columns, pool);
            }
        }
    }
}

impl Groups {
    /// Folds rows of the one group of a query without keys; `groups` is a buffer, which then holds that group.
    fn fold_one(
        &mut self,
        run: Run,
        layout: &Layout,
        found: Found,
        (batch, groups): (&Batch, &mut Vec<u32>),
        pool: &mut BlockPool,
    ) {
        let (group, rows, high) = (found.group, run.to - run.from, self.index.high());
        self.states.grow(high, pool);
        // Of a group's rows the first in order counts; those of a source ascend.
        let seen = if batch.meta.order.ascends() { 1 } else { rows };
        let fresh: &[u32] = if found.fresh { &[0] } else { &[] };
        groups.clear();
        groups.resize(seen, group);
        self.first.fold(groups, fresh, high, (&batch.meta, run.from), pool);
        let fold = Fold {
            groups: &[],
            start: run.from,
            columns: &batch.columns,
            meta: &batch.meta,
            weights: batch.meta.weight.as_deref(),
        };
        self.states.update_one(layout, (group, rows), fold, groups, pool);
    }
}

/// The batch without these rows, which ascend.
pub(super) fn without(batch: &Batch, rows: &[u32]) -> Batch {
    let mut refused = rows.iter().peekable();
    let kept: Vec<u32> = (0..batch.rows as u32)
        .filter(|row| match refused.peek() {
            Some(next) if *next == row => {
                refused.next();
                false
            }
            _ => true,
        })
        .collect();
    batch.take(&kept)
}
