//! The buffers: per partition key the rows that count, in order.
//!
//! A row comes, the rows that no longer count leave, the calls are computed, and the buffer is left as it is to be: the n
//! greatest rows (by value, see `order`), of equal ones the later. A row below all of a full buffer is computed beside the
//! n − 1 greatest others and is gone again; so nothing else judges how late a row is. A buffer of a RANGE holds what is
//! within the range of its greatest row; one of the best rows, which Top-N is planned with, what stands first.
//!
//! Positions are places in memory; with [`Buffer::base`] added they stay the same while rows leave in front, which is what
//! running results go by. Cost: a row that is the newest by its order O(1); any other one moves the slots behind it.

use std::collections::VecDeque;

use velostream_types::{Batch, Value};

use super::order::{Least, Order, OrderKey, time_of};
use super::rows::Rows;
use super::running::{Running, Tally};

/// Which rows a buffer holds.
#[derive(Clone, Debug)]
pub(super) enum Keep {
    /// So many: the greatest.
    Greatest(usize),
    /// Those at most so far below the greatest.
    Range(Value),
    /// So many: the best ones in the written order.
    Best(usize),
    /// The best ones of so many different values; of equal ones the first.
    BestValues(usize),
}

/// The rows of one partition.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Their slots, as they lie in memory.
    pub(super) slots: VecDeque<u32>,
    /// Rows that left in front.
    pub(super) base: i64,
    /// Highest time of any row, ns; `i64::MIN` before the first.
    pub(super) last_time: i64,
    /// Rows that came.
    pub(super) arrivals: i64,
    /// Different keys among the rows.
    pub(super) distinct: usize,
    /// A row had to leave that the partition still had.
    pub(super) overflown: bool,
    /// The order value of the greatest row, where rows leave by it.
    pub(super) greatest: Option<Value>,
    /// Running results, one per call that has one.
    pub(super) running: Box<[Running]>,
}

impl Buffer {
    pub(super) fn new(running: &[(Tally, usize)]) -> Buffer {
        Buffer {
            slots: VecDeque::new(),
            base: 0,
            last_time: i64::MIN,
            arrivals: 0,
            distinct: 0,
            overflown: false,
            greatest: None,
            running: running.iter().map(|(tally, lane)| Running::new(*tally, *lane)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn slot(&self, at: usize) -> u32 {
        self.slots[at]
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Buffer>()
            + self.slots.capacity() * 4
            + self.running.len() * size_of::<Running>()
            + self.running.iter().map(Running::heap).sum::<usize>()
    }

    /// Forgets all rows: the partition was without one for too long.
    pub(super) fn clear(&mut self, rows: &mut Rows) {
        self.slots.drain(..).for_each(|slot| rows.free(slot));
        (self.distinct, self.greatest, self.overflown) = (0, None, false);
        self.running.iter_mut().for_each(Running::forget);
    }

    fn same(&self, rows: &Rows, order: &Order, a: usize, b: usize) -> bool {
        order.compare(rows.key(self.slots[a]), rows.key(self.slots[b])).is_eq()
    }

    /// TRUE when neither neighbour of a row is equal to it.
    fn is_alone(&self, rows: &Rows, order: &Order, at: usize) -> bool {
        (at == 0 || !self.same(rows, order, at - 1, at))
            && (at + 1 == self.slots.len() || !self.same(rows, order, at, at + 1))
    }

    /// Puts a row where it belongs; answers where that is.
    pub(super) fn insert(&mut self, rows: &Rows, order: &Order, slot: u32) -> usize {
        let key = rows.key(slot);
        let stands_behind = |other: &u32| {
            let other = order.compare(rows.key(*other), key);
            if order.reversed { other.is_lt() } else { other.is_le() }
        };
        let at = match self.slots.back() {
            Some(last) if !stands_behind(last) => self.slots.partition_point(stands_behind),
            _ => self.slots.len(),
        };
        if at == self.slots.len() {
            self.slots.push_back(slot);
        } else {
            self.slots.insert(at, slot);
            self.running.iter_mut().for_each(Running::forget);
        }
        self.distinct += usize::from(self.is_alone(rows, order, at));
        at
    }

    /// Takes the row at a place out; its slot stays as it is.
    pub(super) fn remove(&mut self, rows: &Rows, order: &Order, at: usize) -> u32 {
        self.distinct -= usize::from(self.is_alone(rows, order, at));
        if at == 0
            && let Some(slot) = self.slots.pop_front()
        {
            self.running.iter_mut().for_each(|running| running.leaves(self.base, rows, slot));
            self.base += 1;
            return slot;
        }
        self.running.iter_mut().for_each(Running::forget);
        self.slots.remove(at).unwrap_or_default()
    }

    /// Where the row stands that leaves first.
    fn least(&self, rows: &Rows, order: &Order) -> usize {
        let last = self.slots.len() - 1;
        let first = match order.least {
            Least::Front => 0,
            Least::NullsBehind if !Order::is_null_behind(rows.key(self.slots[last])) => 0,
            Least::NullsBehind => self.slots.partition_point(|slot| !Order::is_null_behind(rows.key(*slot))),
            Least::Anywhere => {
                let by_value = |at: &usize| rows.value_key(self.slots[*at]);
                (0..=last).min_by(|a, b| by_value(a).cmp(by_value(b))).unwrap_or(0)
            }
        };
        // Of equal ones the first that came: in rows read from the back it lies last.
        let mut at = first;
        while order.reversed && at < last && self.same(rows, order, first, at + 1) {
            at += 1;
        }
        at
    }

    /// Makes room for a row that comes: the least row leaves a full buffer. Answers the least row and its place if it only
    /// stands aside, because the row that comes is below it.
    pub(super) fn make_room(&mut self, rows: &mut Rows, order: &Order, most: usize, slot: u32) -> Option<u32> {
        if self.slots.len() < most {
            return None;
        }
        let at = self.least(rows, order);
        let least = self.slots[at];
        let is_below = match order.least {
            Least::Anywhere => rows.value_key(slot) < rows.value_key(least),
            _ => order.is_below(rows.key(slot), rows.key(least)),
        };
        self.remove(rows, order, at);
        self.overflown = true;
        if is_below {
            return Some(least);
        }
        rows.free(least);
        None
    }

    /// Lets rows leave that are too far below the greatest, `at` being the one that just came. With `spare` that one stays
    /// for now; answers whether it is to leave, too.
    pub(super) fn leave_range(
        &mut self,
        rows: &mut Rows,
        order: &Order,
        distance: &Value,
        (own, value): (u32, Value),
    ) -> bool {
        let is_greatest = match self.greatest.as_ref().map(|known| order.key_for(known)) {
            Some(known) => !value.is_null() && order.compare(rows.key(own), &known).is_ge(),
            None => !value.is_null(),
        };
        if is_greatest {
            self.greatest = Some(value);
        }
        let Some(bound) = self.greatest.as_ref().and_then(|known| order.shifted(known, distance, false, false)) else {
            return false;
        };
        let mut own_leaves = false;
        let mut aside = Vec::new();
        while !self.slots.is_empty() {
            let at = self.least(rows, order);
            let slot = self.slots[at];
            if !order.is_below(rows.key(slot), &bound) {
                break;
            }
            self.remove(rows, order, at);
            if slot == own {
                own_leaves = true;
                aside.push(slot);
            } else {
                rows.free(slot);
                self.overflown = true;
            }
        }
        aside.into_iter().for_each(|slot| {
            self.insert(rows, order, slot);
        });
        own_leaves
    }

    /// Place of a row; that of the newest is found at once.
    pub(super) fn place(&self, slot: u32) -> usize {
        self.slots.iter().rposition(|other| *other == slot).unwrap_or_default()
    }

    /// Puts a row back that stood aside: it came before all that are equal to it.
    pub(super) fn put_back(&mut self, rows: &Rows, order: &Order, slot: u32) {
        let key = rows.key(slot);
        let at = if order.reversed { self.not_above(rows, order, key) } else { self.below(rows, order, key) };
        self.slots.insert(at, slot);
        self.distinct += usize::from(self.is_alone(rows, order, at));
        self.running.iter_mut().for_each(Running::forget);
    }

    /// A row that was only to be computed leaves.
    pub(super) fn drop_row(&mut self, rows: &mut Rows, order: &Order, slot: u32) {
        let at = self.place(slot);
        self.remove(rows, order, at);
        rows.free(slot);
        self.overflown = true;
    }

    /// Leaves the rows that stand first as they are read; of equal ones those that came first.
    pub(super) fn keep_best(&mut self, rows: &mut Rows, order: &Order, most: usize) {
        while self.slots.len() > most {
            let at = if order.reversed { 0 } else { self.slots.len() - 1 };
            let slot = self.remove(rows, order, at);
            rows.free(slot);
        }
    }

    /// Leaves one row of each of the best values; the one at `at` just came.
    pub(super) fn keep_values(&mut self, rows: &mut Rows, order: &Order, most: usize, at: usize) {
        if !self.is_alone(rows, order, at) {
            let slot = self.remove(rows, order, at);
            rows.free(slot);
        }
        self.keep_best(rows, order, most);
    }

    /// Puts a row behind all others.
    pub(super) fn append(&mut self, rows: &Rows, order: &Order, slot: u32) {
        self.slots.push_back(slot);
        self.distinct += usize::from(self.is_alone(rows, order, self.slots.len() - 1));
    }

    /// The partition was without a row for longer than this, ns, before a row of this time.
    pub(super) fn is_expired(&self, time: i64, expire_ns: Option<i64>) -> bool {
        expire_ns.is_some_and(|most| self.last_time != i64::MIN && time.saturating_sub(self.last_time) > most)
    }

    /// Notes a row's time and number; answers the number.
    pub(super) fn arrives(&mut self, batch: &Batch, row: usize) -> i64 {
        self.last_time = self.last_time.max(time_of(batch, row));
        self.arrivals += 1;
        self.arrivals
    }

    /// Places of the rows that are equal to the one at `at`: first, and one behind the last.
    pub(super) fn peers(&self, rows: &Rows, order: &Order, at: usize) -> (usize, usize) {
        let key = rows.key(self.slots[at]);
        (self.below(rows, order, key), self.not_above(rows, order, key))
    }

    /// How many rows stand before this key.
    pub(super) fn below(&self, rows: &Rows, order: &Order, key: &OrderKey) -> usize {
        self.slots.partition_point(|slot| order.compare(rows.key(*slot), key).is_lt())
    }

    /// How many rows stand before this key or are equal to it.
    pub(super) fn not_above(&self, rows: &Rows, order: &Order, key: &OrderKey) -> usize {
        self.slots.partition_point(|slot| order.compare(rows.key(*slot), key).is_le())
    }

    /// Different keys among the rows up to and with the one at `at`, from the front or the back.
    pub(super) fn distinct_up_to(&self, rows: &Rows, order: &Order, at: usize) -> usize {
        let (first, behind) = self.peers(rows, order, at);
        let last = self.slots.len();
        // The whole is known: the shorter side is looked at, which of the newest row is nothing.
        let steps = |from: usize, to: usize| (from + 1..to).filter(|i| !self.same(rows, order, i - 1, *i)).count();
        if order.reversed {
            return if first * 2 < last { self.distinct - steps(0, first + 1) } else { steps(first, last) + 1 };
        }
        if behind * 2 > last { self.distinct - steps(behind.saturating_sub(1), last) } else { steps(0, behind) + 1 }
    }
}
