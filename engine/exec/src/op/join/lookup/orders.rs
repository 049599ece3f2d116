//! By which order each key's row is the last one.
//!
//! An order is three parts (see `RowMeta::order_at`). The first differs from row to row; the other two are the same for all
//! rows of a file or a topic of one partition, so each is one value until a second one comes. Cost: 8 bytes a key for
//! those, 16 for a topic of several partitions, 48 where operators made the rows.

use std::cmp::Ordering;

use velostream_state::block::{BlockPool, Blocks, Pooled};
use velostream_types::within::{self, Within};

/// An order; they compare as their rows do.
pub(super) type Order = (i64, Within, u64);

/// One value by group, stored once as long as all are equal.
#[derive(Debug)]
enum Part<T> {
    /// Of all groups that have one.
    Same(Option<T>),
    Each(Blocks<T>),
}

impl<T: Pooled + PartialEq> Part<T> {
    fn get(&self, group: u32) -> T {
        match self {
            Part::Same(value) => value.unwrap_or_default(),
            Part::Each(values) => values.get(group),
        }
    }

    fn set(&mut self, group: u32, value: T, groups: usize, pool: &mut BlockPool) {
        match self {
            Part::Same(None) => *self = Part::Same(Some(value)),
            Part::Same(Some(known)) if *known == value => {}
            Part::Same(Some(known)) => {
                let mut values = Blocks::new();
                values.grow(groups, *known, pool);
                *values.at(group) = value;
                *self = Part::Each(values);
            }
            Part::Each(values) => *values.at(group) = value,
        }
    }

    fn grow(&mut self, groups: usize, fill: T, pool: &mut BlockPool) {
        if let Part::Each(values) = self {
            values.grow(groups, fill, pool);
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Part::Same(_) => 0,
            Part::Each(values) => values.bytes(),
        }
    }
}

/// The orders, by group.
#[derive(Debug)]
pub(super) struct Orders {
    majors: Blocks<i64>,
    minors: Part<Within>,
    ties: Part<u64>,
}

impl Orders {
    pub fn new() -> Orders {
        Orders { majors: Blocks::new(), minors: Part::Same(None), ties: Part::Same(None) }
    }

    /// Makes room for groups below `groups`.
    pub fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.majors.grow(groups, 0, pool);
        self.minors.grow(groups, within::HERE, pool);
        self.ties.grow(groups, 0, pool);
    }

    /// The order of a group that was set.
    pub fn get(&self, group: u32) -> Order {
        (self.majors.get(group), self.minors.get(group), self.ties.get(group))
    }

    /// TRUE when the order of a group, which was set, is above this one.
    #[inline]
    pub fn is_above(&self, group: u32, order: Order) -> bool {
        match self.majors.get(group).cmp(&order.0) {
            Ordering::Equal => self.get(group) > order,
            other => other == Ordering::Greater,
        }
    }

    #[inline]
    pub fn set(&mut self, group: u32, order: Order, pool: &mut BlockPool) {
        let groups = self.majors.len();
        *self.majors.at(group) = order.0;
        self.minors.set(group, order.1, groups, pool);
        self.ties.set(group, order.2, groups, pool);
    }

    pub fn bytes(&self) -> usize {
        self.majors.bytes() + self.minors.bytes() + self.ties.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_order_stands_whatever_its_parts() {
        let mut pool = BlockPool::default();
        let mut orders = Orders::new();
        orders.grow(3, &mut pool);
        let deep = |first| within::inside(first, within::HERE);
        orders.set(0, (5, within::HERE, 7), &mut pool);
        orders.set(1, (i64::MIN, within::HERE, 7), &mut pool);
        assert_eq!(orders.bytes(), orders.majors.bytes(), "one value of the other parts is enough");
        let above = |orders: &Orders, order| orders.is_above(0, order);
        assert!(above(&orders, (4, within::HERE, 9)) && above(&orders, (5, within::HERE, 6)));
        assert!(!above(&orders, (5, within::HERE, 7)), "the same order again replaces");
        assert!(!above(&orders, (6, within::HERE, 0)) && !orders.is_above(1, (i64::MIN, within::HERE, 8)));
        orders.set(2, (5, deep(3), 8), &mut pool);
        orders.grow(2_000, &mut pool);
        orders.set(1_999, (1, deep(4), 7), &mut pool);
        let all = [0, 1, 2, 1_999].map(|group| orders.get(group));
        let wanted = [(5, within::HERE, 7), (i64::MIN, within::HERE, 7), (5, deep(3), 8), (1, deep(4), 7)];
        assert_eq!(all, wanted, "what was the same for all stays theirs");
        assert!(orders.is_above(2, (5, deep(2), 9)) && !orders.is_above(2, (5, deep(4), 0)));
    }
}
