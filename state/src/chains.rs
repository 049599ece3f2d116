//! Rows of groups: the slots of each group as a list that leads both ways.
//!
//! Numbers only: groups are those of a [`crate::index::GroupIndex`], slots those of a [`crate::rows::RowStore`]. Cost:
//! eight bytes a group and eight a row; every step is O(1).

use crate::rows::NONE;

/// The lists.
#[derive(Debug, Default)]
pub struct Chains {
    ends: Vec<Ends>,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

impl Chains {
    /// No lists.
    pub fn new() -> Chains {
        Chains::default()
    }

    /// Puts a slot behind the last one of its group.
    pub fn push(&mut self, group: u32, slot: u32) {
        self.insert_behind(group, slot, self.last(group));
    }

    /// Puts a slot behind another one of its group; behind [`NONE`] is in front of all.
    pub fn insert_behind(&mut self, group: u32, slot: u32, before: u32) {
        let (group, at) = (group as usize, slot as usize);
        if group >= self.ends.len() {
            self.ends.resize(group + 1, Ends { first: NONE, last: NONE });
        }
        if at >= self.links.len() {
            self.links.resize(at + 1, Link { prev: NONE, next: NONE });
        }
        let next = match before {
            NONE => std::mem::replace(&mut self.ends[group].first, slot),
            before => std::mem::replace(&mut self.links[before as usize].next, slot),
        };
        match next {
            NONE => self.ends[group].last = slot,
            next => self.links[next as usize].prev = slot,
        }
        self.links[at] = Link { prev: before, next };
    }

    /// Takes a slot out of its group.
    pub fn remove(&mut self, group: u32, slot: u32) {
        let Link { prev, next } = self.links[slot as usize];
        match prev {
            NONE => self.ends[group as usize].first = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            NONE => self.ends[group as usize].last = prev,
            next => self.links[next as usize].prev = prev,
        }
        self.links[slot as usize] = Link { prev: NONE, next: NONE };
    }

    /// First slot of a group; [`NONE`] where it has none.
    #[inline]
    pub fn first(&self, group: u32) -> u32 {
        self.ends.get(group as usize).map_or(NONE, |ends| ends.first)
    }

    /// Last slot of a group; [`NONE`] where it has none.
    #[inline]
    pub fn last(&self, group: u32) -> u32 {
        self.ends.get(group as usize).map_or(NONE, |ends| ends.last)
    }

    /// The slot behind this one; [`NONE`] behind the last.
    #[inline]
    pub fn next(&self, slot: u32) -> u32 {
        self.links[slot as usize].next
    }

    /// The slot in front of this one; [`NONE`] in front of the first.
    #[inline]
    pub fn prev(&self, slot: u32) -> u32 {
        self.links[slot as usize].prev
    }

    /// The slots of a group in order.
    pub fn slots(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        let after = |slot: &u32| Some(self.next(*slot)).filter(|next| *next != NONE);
        std::iter::successors(Some(self.first(group)).filter(|first| *first != NONE), after)
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<Ends>() + self.links.capacity() * size_of::<Link>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stand_where_they_were_put() {
        let mut chains = Chains::new();
        for (slot, before) in [(4, NONE), (2, 4), (7, 4), (1, NONE)] {
            chains.insert_behind(3, slot, before);
        }
        chains.push(3, 9);
        chains.push(0, 5);
        let of = |chains: &Chains, group| chains.slots(group).collect::<Vec<_>>();
        assert_eq!(of(&chains, 3), [1, 4, 7, 2, 9]);
        assert_eq!(of(&chains, 0), [5]);
        for (gone, left) in [(7, vec![1, 4, 2, 9]), (1, vec![4, 2, 9]), (9, vec![4, 2]), (2, vec![4]), (4, vec![])] {
            chains.remove(3, gone);
            assert_eq!(of(&chains, 3), left);
            assert_eq!(chains.last(3), left.last().copied().unwrap_or(NONE));
            let back: Vec<u32> = left.iter().rev().copied().collect();
            let prev = |slot: &u32| Some(chains.prev(*slot)).filter(|slot| *slot != NONE);
            assert_eq!(
                std::iter::successors(Some(chains.last(3)).filter(|s| *s != NONE), prev).collect::<Vec<_>>(),
                back
            );
        }
        assert_eq!(of(&chains, 8), [0u32; 0]);
    }
}
