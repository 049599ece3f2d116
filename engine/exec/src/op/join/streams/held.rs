//! Rows of one side that may still meet others: their columns, their metadata, the chain of each key by (time, as-if
//! order), and when they may go.
//!
//! A row is a slot. What a look at a candidate reads (time, own watermark, links) lies by slot beside the columns of the
//! query, which a [`RowStore`] keeps. Slots that leave stand in stretches of time by the last watermark under which
//! they stay, so a step of the watermark touches the rows it frees and no others. Cost of a row: one append per column,
//! and a walk from its chain's end over the rows that are later than it. No pointers.

use std::collections::BTreeMap;

use velostream_sql::plan::{JoinColumn, JoinSpec, Side};
use velostream_state::chains::Chains;
use velostream_state::rows::{NONE, RowStore};
use velostream_types::time::WM_END;
use velostream_types::{Batch, Column, Schema};

use super::super::marks::Marks;
use super::super::output::Rows;
use super::rule::Rule;

/// A row on its way in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// Row of its batch.
    pub row: u32,
    /// Its key, in its window where there are windows.
    pub group: u32,
    pub time: i64,
    /// The watermark it is judged by.
    pub own: i64,
    /// Start and end of its window.
    pub window: (i64, i64),
    /// No column of its key is NULL.
    pub meets: bool,
    /// It met a row.
    pub met: bool,
}

/// The rows of one side.
#[derive(Debug)]
pub(super) struct Held {
    store: RowStore,
    /// Of each column of the input its place in the store; only what the output reads is stored.
    lanes: Vec<Option<usize>>,
    stored: Vec<usize>,
    pub marks: Marks,
    pub chains: Chains,
    /// By slot; [`NONE`] of those that are free.
    pub groups: Vec<u32>,
    pub met: Vec<bool>,
    /// By slot, where there are windows: start and end. That of a session is known when it closes.
    windows: Option<Vec<(i64, i64)>>,
    due: Stretches,
    /// Of rows in sessions: how many begin in each stretch of time.
    begins: Option<BTreeMap<i64, u32>>,
}

impl Held {
    pub(super) fn new(spec: &JoinSpec, side: Side, schema: &Schema, rule: &Rule) -> Held {
        let mut stored: Vec<usize> = spec
            .output
            .iter()
            .filter_map(|column| match column {
                JoinColumn::Of(of, column) if *of == side => Some(*column),
                _ => None,
            })
            .collect();
        stored.sort_unstable();
        stored.dedup();
        let mut lanes = vec![None; schema.len()];
        stored.iter().enumerate().for_each(|(lane, column)| lanes[*column] = Some(lane));
        let types: Vec<_> = stored.iter().map(|column| schema.fields[*column].data_type.clone()).collect();
        Held {
            store: RowStore::new(&types),
            lanes,
            stored,
            marks: Marks::default(),
            chains: Chains::new(),
            groups: Vec::new(),
            met: Vec::new(),
            windows: rule.has_windows().then(Vec::new),
            due: Stretches::new(rule.stretch()),
            begins: matches!(rule, Rule::Session { .. }).then(BTreeMap::new),
        }
    }

    /// Stores rows of a batch; `last` is the last watermark under which each stays.
    pub(super) fn put(&mut self, batch: &Batch, arrivals: &[Arrival], last: impl Fn(&Arrival) -> i64) {
        let rows: Vec<u32> = arrivals.iter().map(|a| a.row).collect();
        let columns: Vec<Column> = self.stored.iter().map(|column| batch.columns[*column].clone()).collect();
        let mut slots = Vec::with_capacity(rows.len());
        self.store.put_all(&columns, &rows, &mut slots);
        self.marks.put(&slots, &rows, &batch.meta);
        self.enter(&slots, arrivals, last);
    }

    /// Gives slots that the store has their places in chains and time.
    fn enter(&mut self, slots: &[u32], arrivals: &[Arrival], last: impl Fn(&Arrival) -> i64) {
        let high = self.store.high();
        self.groups.resize(high, NONE);
        self.met.resize(high, false);
        if let Some(windows) = &mut self.windows {
            windows.resize(high, (0, 0));
        }
        for (slot, arrival) in slots.iter().zip(arrivals) {
            let at = *slot as usize;
            self.groups[at] = arrival.group;
            self.met[at] = arrival.met;
            if let Some(windows) = &mut self.windows {
                windows[at] = arrival.window;
            }
            if let Some(begins) = &mut self.begins {
                *begins.entry(arrival.time.div_euclid(self.due.width)).or_default() += 1;
            }
            self.link(*slot, arrival);
            self.due.put(last(arrival), *slot);
        }
    }

    /// Puts a row into its chain, which is sorted by time and as-if order.
    fn link(&mut self, slot: u32, arrival: &Arrival) {
        let last = self.chains.last(arrival.group);
        let mut before = last;
        while before != NONE && self.is_behind(before, slot) {
            before = self.chains.prev(before);
        }
        match before == last {
            true => self.chains.push(arrival.group, slot),
            false => self.chains.insert_behind(arrival.group, slot, before),
        }
    }

    /// TRUE when a row stands behind another in their chain.
    fn is_behind(&self, row: u32, other: u32) -> bool {
        let (time, of_other) = (self.time(row), self.time(other));
        time > of_other || time == of_other && self.marks.at(row).order > self.marks.at(other).order
    }

    /// Event time of a row.
    #[inline]
    pub(super) fn time(&self, slot: u32) -> i64 {
        self.marks.event_time(slot)
    }

    /// Start and end of a row's window, where there are windows.
    pub(super) fn window(&self, slot: u32) -> Option<(i64, i64)> {
        self.windows.as_ref().map(|windows| windows[slot as usize])
    }

    /// The session that a row was in.
    pub(super) fn set_window(&mut self, slot: u32, window: (i64, i64)) {
        if let Some(windows) = &mut self.windows {
            windows[slot as usize] = window;
        }
    }

    /// No row in a session is earlier.
    pub(super) fn earliest(&self) -> i64 {
        let first = self.begins.as_ref().and_then(|begins| begins.first_key_value());
        first.map_or(i64::MAX, |(at, _)| at.saturating_mul(self.due.width))
    }

    /// Appends the slots of rows that a watermark of the other side frees.
    pub(super) fn due(&mut self, watermark: i64, out: &mut Vec<u32>) {
        self.due.take(watermark, out);
    }

    /// A row stays longer than was thought: its session went on.
    pub(super) fn stay(&mut self, slot: u32, last: i64) {
        self.due.put(last, slot);
    }

    /// Forgets a row.
    pub(super) fn free(&mut self, slot: u32) {
        if let Some(begins) = &mut self.begins {
            let at = self.marks.event_time(slot).div_euclid(self.due.width);
            if let std::collections::btree_map::Entry::Occupied(mut rows) = begins.entry(at) {
                *rows.get_mut() -= 1;
                if *rows.get() == 0 {
                    rows.remove();
                }
            }
        }
        self.chains.remove(self.groups[slot as usize], slot);
        self.store.free(slot);
        self.marks.free(slot);
        self.groups[slot as usize] = NONE;
    }

    /// Slots of all rows.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.groups.len() as u32).filter(|slot| self.groups[*slot as usize] != NONE)
    }

    /// The stored columns of these rows.
    pub(super) fn values(&self, slots: &[u32]) -> Vec<Column> {
        (0..self.stored.len()).map(|lane| self.store.gather(lane, slots)).collect()
    }

    /// Number of stored columns.
    pub(super) fn width(&self) -> usize {
        self.stored.len()
    }

    /// Stores rows of a snapshot: columns as [`Held::values`] gave them, and metadata beside.
    pub(super) fn restore(&mut self, batch: &Batch, arrivals: &[Arrival], last: impl Fn(&Arrival) -> i64) {
        let rows: Vec<u32> = arrivals.iter().map(|a| a.row).collect();
        let mut slots = Vec::with_capacity(rows.len());
        self.store.put_all(&batch.columns, &rows, &mut slots);
        self.marks.put(&slots, &rows, &batch.meta);
        self.enter(&slots, arrivals, last);
    }

    pub(super) fn bytes(&self) -> usize {
        let by_slot = size_of::<u32>() * self.groups.capacity() + self.met.capacity();
        let windows = size_of::<(i64, i64)>() * self.windows.as_ref().map_or(0, Vec::capacity);
        self.store.bytes() + self.marks.bytes() + self.chains.bytes() + by_slot + windows + self.due.bytes()
    }
}

impl Rows for Held {
    fn gather(&self, column: usize, rows: &[u32]) -> Column {
        match self.lanes.get(column).copied().flatten() {
            Some(lane) => self.store.gather(lane, rows),
            None => Column::Null(rows.len()),
        }
    }
}

/// Slots by the last watermark under which they stay, in stretches of that time.
#[derive(Debug)]
struct Stretches {
    width: i64,
    stretches: BTreeMap<i64, Stretch>,
    /// Where the last rows went; not in `stretches` yet.
    last: Option<(i64, Stretch)>,
    rows: usize,
}

#[derive(Debug, Default)]
struct Stretch {
    rows: Vec<(i64, u32)>,
    /// They descend.
    sorted: bool,
}

impl Stretches {
    fn new(width: i64) -> Stretches {
        Stretches { width, stretches: BTreeMap::new(), last: None, rows: 0 }
    }

    fn put(&mut self, last: i64, slot: u32) {
        let at = last.div_euclid(self.width);
        self.rows += 1;
        if self.last.as_ref().is_none_or(|(of, _)| *of != at) {
            self.settle();
            self.last = Some((at, self.stretches.remove(&at).unwrap_or_default()));
        }
        if let Some((_, stretch)) = &mut self.last {
            stretch.sorted = false;
            stretch.rows.push((last, slot));
        }
    }

    fn settle(&mut self) {
        if let Some((at, stretch)) = self.last.take() {
            self.stretches.insert(at, stretch);
        }
    }

    /// Appends what does not stay under a watermark.
    fn take(&mut self, watermark: i64, out: &mut Vec<u32>) {
        self.settle();
        let from = out.len();
        while let Some(mut first) = self.stretches.first_entry() {
            let end = first.key().saturating_add(1).saturating_mul(self.width);
            if watermark == WM_END || end <= watermark {
                out.extend(first.remove().rows.iter().map(|(_, slot)| *slot));
                continue;
            }
            let stretch = first.get_mut();
            if !std::mem::replace(&mut stretch.sorted, true) {
                stretch.rows.sort_unstable_by(|a, b| b.cmp(a));
            }
            while let Some((last, slot)) = stretch.rows.pop_if(|(last, _)| *last < watermark) {
                debug_assert!(last < watermark, "rows descend");
                out.push(slot);
            }
            if stretch.rows.is_empty() {
                first.remove();
            }
            break;
        }
        self.rows -= out.len() - from;
    }

    fn bytes(&self) -> usize {
        self.rows * size_of::<(i64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_frees_what_it_has_passed_and_no_more() {
        let mut due = Stretches::new(10);
        for (slot, last) in [5, 9, 10, 25, -3, 25, i64::MAX].into_iter().enumerate() {
            due.put(last, slot as u32);
        }
        let mut check = |watermark: i64, expect: &[u32]| {
            let mut out = Vec::new();
            due.take(watermark, &mut out);
            out.sort_unstable();
            assert_eq!(out, expect, "up to {watermark}");
        };
        check(-3, &[]);
        check(-2, &[4]);
        check(9, &[0]);
        check(10, &[1]);
        check(25, &[2]);
        check(26, &[3, 5]);
        check(WM_END, &[6]);
        assert_eq!(due.rows, 0);
    }
}
