//! One side of a join of tables: the rows that live, by slot.
//!
//! Equal rows are one slot with a count. Below 0 a row was taken back before it came, for which the slot waits: it meets
//! nobody. A slot that left keeps its values until the pairs made of it are out ([`Kept::free_left`]).

use velostream_state::chains::Chains;
use velostream_state::rows::RowStore;
use velostream_types::{Batch, DataType};

use super::finder::Finder;
use crate::op::join::marks::Marks;

/// A side.
#[derive(Debug)]
pub(super) struct Kept {
    /// Key columns.
    pub(super) keys: Vec<usize>,
    /// Its rows come out without a partner.
    pub(super) outer: bool,
    /// Columns of a row.
    pub(super) width: usize,
    pub(super) rows: RowStore,
    pub(super) marks: Marks,
    /// Slots of each key.
    pub(super) chains: Chains,
    finder: Finder,
    /// By slot: how often the row lives.
    pub(super) counts: Vec<i64>,
    /// By slot, of an outer side: how many rows it meets.
    pub(super) partners: Vec<u64>,
    left: Vec<u32>,
}

/// A row of a batch with the hash of its values and the group of its key.
#[derive(Clone, Copy)]
pub(super) struct Placed<'b> {
    pub(super) batch: &'b Batch,
    pub(super) row: u32,
    pub(super) hash: u32,
    pub(super) group: u32,
}

impl Kept {
    pub(super) fn new(keys: &[usize], outer: bool, types: &[DataType]) -> Kept {
        Kept {
            keys: keys.to_vec(),
            outer,
            width: types.len(),
            rows: RowStore::new(types),
            marks: Marks::default(),
            chains: Chains::new(),
            finder: Finder::default(),
            counts: Vec::new(),
            partners: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Takes rows of a batch into slots that live nowhere yet.
    pub(super) fn put(&mut self, batch: &Batch, rows: &[u32]) -> Vec<u32> {
        let mut slots = Vec::with_capacity(rows.len());
        self.rows.put_all(&batch.columns, rows, &mut slots);
        self.marks.put(&slots, rows, &batch.meta);
        self.counts.resize(self.rows.high().max(self.counts.len()), 0);
        if self.outer {
            self.partners.resize(self.rows.high().max(self.partners.len()), 0);
        }
        slots
    }

    /// A row comes, whose values are in the slot `fresh`; answers the slot in which it lives, none where it pays for one
    /// that was taken back before.
    pub(super) fn enter(&mut self, fresh: u32, placed: Placed<'_>) -> Option<u32> {
        let Some(known) = self.find(placed) else {
            self.live(fresh, placed.hash, placed.group, 1);
            return Some(fresh);
        };
        self.left.push(fresh);
        let count = &mut self.counts[known as usize];
        *count += 1;
        match *count {
            0 => {
                self.leave(known, placed.group);
                None
            }
            ..0 => None,
            _ => {
                self.mark_later(known, placed);
                Some(known)
            }
        }
    }

    /// A row is taken back; answers the slot in which it lived, none where it has not come yet.
    pub(super) fn take_back(&mut self, placed: Placed<'_>) -> Option<u32> {
        let Some(known) = self.find(placed) else {
            let slots = self.put(placed.batch, &[placed.row]);
            slots.into_iter().for_each(|slot| self.live(slot, placed.hash, placed.group, -1));
            return None;
        };
        let count = &mut self.counts[known as usize];
        *count -= 1;
        match *count {
            ..0 => None,
            0 => {
                self.leave(known, placed.group);
                Some(known)
            }
            _ => Some(known),
        }
    }

    fn find(&self, placed: Placed<'_>) -> Option<u32> {
        let is = |slot| self.rows.equals(slot, &placed.batch.columns, placed.row as usize);
        self.finder.find(placed.hash, is)
    }

    /// Equal rows have the latest mark, whatever order they came in.
    fn mark_later(&mut self, slot: u32, placed: Placed<'_>) {
        let at = |row: u32| {
            let meta = &placed.batch.meta;
            (meta.event_time.as_ref().map_or(i64::MIN, |times| times[row as usize]), meta.order_at(row as usize))
        };
        let known = self.marks.at(slot);
        if at(placed.row) > (known.event_time, known.order) {
            self.marks.put(&[slot], &[placed.row], &placed.batch.meta);
        }
    }

    /// Makes a slot live so often.
    pub(super) fn live(&mut self, slot: u32, hash: u32, group: u32, count: i64) {
        self.counts[slot as usize] = count;
        self.chains.push(group, slot);
        self.finder.insert(hash, slot);
    }

    fn leave(&mut self, slot: u32, group: u32) {
        self.chains.remove(group, slot);
        self.finder.remove(slot);
        self.left.push(slot);
    }

    /// A slot that was put and lives nowhere is wanted until the pairs are out.
    pub(super) fn pass(&mut self, slot: u32) {
        self.left.push(slot);
    }

    /// Slots of a group whose rows live.
    pub(super) fn living(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        self.chains.slots(group).filter(|slot| self.counts[*slot as usize] > 0)
    }

    /// No pair needs the slots that left any more.
    pub(super) fn free_left(&mut self) {
        for slot in std::mem::take(&mut self.left) {
            self.rows.free(slot);
            self.marks.free(slot);
            self.counts[slot as usize] = 0;
            if let Some(partners) = self.partners.get_mut(slot as usize) {
                *partners = 0;
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
            + self.marks.bytes()
            + self.chains.bytes()
            + self.finder.bytes()
            + (self.counts.capacity() + self.partners.capacity()) * size_of::<u64>()
    }
}
