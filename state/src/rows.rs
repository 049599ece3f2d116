//! Rows of one shard, kept by column: a slot number per row, which is given again once its row left.
//!
//! A lane holds one column by slot in fixed blocks ([`crate::block`]), text and bytes in arenas of so many slots each. A
//! lane takes the physical kind of its first value and widens as batches do: integers to decimals, decimals to more
//! digits; kinds that no widening brings together are kept value by value. So nothing is lost whatever arrives.
//!
//! State holds no pointers: slots, blocks, bytes. Cost: putting and gathering are one loop per column; widening walks its
//! lane once. An arena is packed again when more than half of it belongs to rows that left.

use velostream_types::{Column, DataType, Value};

use crate::block::BlockPool;

mod arena;
mod lane;

use lane::Lane;

/// No row: what is gathered for it is NULL.
pub const NONE: u32 = u32::MAX;

/// The rows.
#[derive(Debug)]
pub struct RowStore {
    lanes: Vec<Lane>,
    pool: BlockPool,
    high: usize,
    free: Vec<u32>,
}

impl RowStore {
    /// No rows of columns of these logical types.
    pub fn new(types: &[DataType]) -> RowStore {
        RowStore { lanes: types.iter().map(Lane::new).collect(), pool: BlockPool::default(), high: 0, free: Vec::new() }
    }

    fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            assert!(self.high < NONE as usize, "one shard keeps fewer than 4 billion rows of a relation");
            self.high += 1;
            self.high as u32 - 1
        })
    }

    /// Takes these rows of a batch's columns, one per lane, and appends the slot of each.
    pub fn put_all(&mut self, columns: &[Column], rows: &[u32], slots: &mut Vec<u32>) {
        debug_assert_eq!(columns.len(), self.lanes.len(), "a column per lane");
        let first = slots.len();
        for _ in rows {
            let slot = self.slot();
            slots.push(slot);
        }
        for (lane, column) in self.lanes.iter_mut().zip(columns) {
            lane.put_all(column, rows, &slots[first..], self.high, &mut self.pool);
        }
    }

    /// Takes these rows of a batch's columns to slots of the caller's choice, all below `high`; a row that has the slot
    /// goes, and of two rows of one slot the later one stands. A store that is filled this way gives no slots itself.
    pub fn put_at(&mut self, columns: &[Column], rows: &[u32], slots: &[u32], high: usize) {
        debug_assert_eq!(columns.len(), self.lanes.len(), "a column per lane");
        debug_assert!(self.free.is_empty(), "slots are given by one side");
        let known = self.high;
        self.high = self.high.max(high);
        let fresh = slots.iter().try_fold(known, |next, slot| (*slot as usize >= next).then_some(*slot as usize + 1));
        for (lane, column) in self.lanes.iter_mut().zip(columns) {
            match fresh {
                Some(_) => lane.put_all(column, rows, slots, self.high, &mut self.pool),
                None => lane.replace_all(column, rows, slots, self.high, &mut self.pool),
            }
        }
    }

    /// Forgets the row that was put at a slot, which stays the caller's.
    pub fn clear_at(&mut self, slot: u32) {
        for lane in self.lanes.iter_mut().filter(|_| (slot as usize) < self.high) {
            lane.clear(slot);
        }
    }

    /// Takes one row, value by value.
    pub fn put_values(&mut self, values: &[Value]) -> u32 {
        debug_assert_eq!(values.len(), self.lanes.len(), "a value per lane");
        let slot = self.slot();
        for (lane, value) in self.lanes.iter_mut().zip(values) {
            lane.put_value(value, slot, self.high, &mut self.pool);
        }
        slot
    }

    /// Forgets a row, which must be known.
    pub fn free(&mut self, slot: u32) {
        debug_assert!((slot as usize) < self.high, "a row that leaves was known");
        for lane in &mut self.lanes {
            lane.forget(slot);
        }
        self.free.push(slot);
    }

    /// Rows now known.
    pub fn len(&self) -> usize {
        self.high - self.free.len()
    }

    /// TRUE when no row is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One above the highest slot ever given.
    pub fn high(&self) -> usize {
        self.high
    }

    /// One column of these rows; NULL for [`NONE`].
    pub fn gather(&self, lane: usize, slots: &[u32]) -> Column {
        self.lanes[lane].gather(slots)
    }

    /// One value of a row.
    pub fn value(&self, lane: usize, slot: u32) -> Value {
        self.lanes[lane].value(slot)
    }

    /// TRUE when a row has the values of row `row` of these columns; NULL equals NULL, 5 equals 5.00.
    pub fn equals(&self, slot: u32, columns: &[Column], row: usize) -> bool {
        self.lanes.iter().zip(columns).all(|(lane, column)| lane.equals(slot, column, row))
    }

    /// Bytes of memory held, those of free slots too.
    pub fn bytes(&self) -> usize {
        self.lanes.iter().map(Lane::bytes).sum::<usize>() + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests;
