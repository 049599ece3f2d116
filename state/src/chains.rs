//! Rows of groups: the slots of each group as a list that leads both ways.
//!
//! Numbers only: groups are those of a [`crate::index::GroupIndex`], slots those of a [`crate::rows::RowStore`]. Cost:
//! every step is O(1). What a list does not need is not kept, so that a look-up in a table whose key is unique touches
//! no memory for it: while each group has at most the slot of its own number, as where rows of new keys only come, a bit
//! a group; while none ever had two slots, eight bytes a group; from then on eight bytes a slot, too.

use crate::rows::NONE;

/// The lists.
#[derive(Debug, Default)]
pub struct Chains {
    /// Groups that have the slot of their own number, as bits; until one has another.
    own: Vec<u64>,
    /// By group, once one has another slot than its own.
    ends: Option<Vec<Ends>>,
    /// By slot, up to the highest that ever had a neighbour.
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

const NO_ENDS: Ends = Ends { first: NONE, last: NONE };
const NO_LINK: Link = Link { prev: NONE, next: NONE };

impl Chains {
    /// No lists.
    pub fn new() -> Chains {
        Chains::default()
    }

    /// Puts a slot behind the last one of its group.
    #[inline]
    pub fn push(&mut self, group: u32, slot: u32) {
        if self.ends.is_none() && group == slot && !self.has_own(group) {
            let word = group as usize / 64;
            if word >= self.own.len() {
                self.own.resize(word + 1, 0);
            }
            self.own[word] |= 1 << (group % 64);
            return;
        }
        self.insert_behind(group, slot, self.last(group));
    }

    /// Puts a slot behind another one of its group; behind [`NONE`] is in front of all.
    pub fn insert_behind(&mut self, group: u32, slot: u32, before: u32) {
        let at = group as usize;
        let ends = Chains::ends(&mut self.ends, &mut self.own);
        if at >= ends.len() {
            ends.resize(at + 1, NO_ENDS);
        }
        let next = match before {
            NONE => std::mem::replace(&mut ends[at].first, slot),
            before => self.links.get(before as usize).map_or(NONE, |link| link.next),
        };
        if next == NONE {
            ends[at].last = slot;
        }
        if before == NONE && next == NONE {
            return;
        }
        let highest = [before, slot, next].into_iter().filter(|slot| *slot != NONE).max().unwrap_or(slot);
        if highest as usize >= self.links.len() {
            self.links.resize(highest as usize + 1, NO_LINK);
        }
        if before != NONE {
            self.links[before as usize].next = slot;
        }
        if next != NONE {
            self.links[next as usize].prev = slot;
        }
        self.links[slot as usize] = Link { prev: before, next };
    }

    /// The ends of the groups; from the first call on they are kept.
    fn ends<'a>(ends: &'a mut Option<Vec<Ends>>, own: &mut Vec<u64>) -> &'a mut Vec<Ends> {
        ends.get_or_insert_with(|| {
            let own = std::mem::take(own);
            let has = |group: u32| own[group as usize / 64] >> (group % 64) & 1 == 1;
            let of = |group| if has(group) { Ends { first: group, last: group } } else { NO_ENDS };
            (0..own.len() as u32 * 64).map(of).collect()
        })
    }

    /// Takes a slot out of its group.
    pub fn remove(&mut self, group: u32, slot: u32) {
        let Some(ends) = &mut self.ends else {
            self.own[group as usize / 64] &= !(1 << (group % 64));
            return;
        };
        let Link { prev, next } = self.links.get(slot as usize).copied().unwrap_or(NO_LINK);
        match prev {
            NONE => ends[group as usize].first = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            NONE => ends[group as usize].last = prev,
            next => self.links[next as usize].prev = prev,
        }
        if let Some(link) = self.links.get_mut(slot as usize) {
            *link = NO_LINK;
        }
    }

    #[inline]
    fn has_own(&self, group: u32) -> bool {
        self.own.get(group as usize / 64).is_some_and(|word| word >> (group % 64) & 1 == 1)
    }

    /// First slot of a group; [`NONE`] where it has none.
    #[inline]
    pub fn first(&self, group: u32) -> u32 {
        match &self.ends {
            None if self.has_own(group) => group,
            None => NONE,
            Some(ends) => ends.get(group as usize).map_or(NONE, |ends| ends.first),
        }
    }

    /// Appends the first slot of each of these groups, all of which have one; [`NONE`] stands for itself.
    pub fn firsts(&self, groups: &[u32], slots: &mut Vec<u32>) {
        match &self.ends {
            None => slots.extend_from_slice(groups),
            Some(_) => slots.extend(groups.iter().map(|group| self.first(*group))),
        }
    }

    /// TRUE when no group has two slots, nor ever had.
    #[inline]
    pub fn is_single(&self) -> bool {
        self.links.is_empty()
    }

    /// Last slot of a group; [`NONE`] where it has none.
    #[inline]
    pub fn last(&self, group: u32) -> u32 {
        match &self.ends {
            None => self.first(group),
            Some(ends) => ends.get(group as usize).map_or(NONE, |ends| ends.last),
        }
    }

    /// The slot behind this one; [`NONE`] behind the last.
    #[inline]
    pub fn next(&self, slot: u32) -> u32 {
        self.links.get(slot as usize).map_or(NONE, |link| link.next)
    }

    /// The slot in front of this one; [`NONE`] in front of the first.
    #[inline]
    pub fn prev(&self, slot: u32) -> u32 {
        self.links.get(slot as usize).map_or(NONE, |link| link.prev)
    }

    /// The slots of a group in order.
    pub fn slots(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        let after = |slot: &u32| Some(self.next(*slot)).filter(|next| *next != NONE);
        std::iter::successors(Some(self.first(group)).filter(|first| *first != NONE), after)
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let ends = self.ends.as_ref().map_or(0, |ends| ends.capacity() * size_of::<Ends>());
        self.own.capacity() * size_of::<u64>() + ends + self.links.capacity() * size_of::<Link>()
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

    #[test]
    fn nothing_is_kept_of_lists_that_are_not_needed() {
        let mut chains = Chains::new();
        for group in 0..1000 {
            chains.push(group, group);
        }
        chains.remove(7, 7);
        chains.push(7, 7);
        assert!(chains.bytes() <= 256, "a bit a group: {}", chains.bytes());
        assert_eq!((chains.first(7), chains.last(999), chains.next(7), chains.first(1000)), (7, 999, NONE, NONE));
        let firsts = |chains: &Chains, groups: &[u32]| {
            let mut slots = vec![5];
            chains.firsts(groups, &mut slots);
            slots
        };
        assert_eq!(firsts(&chains, &[9, NONE, 7]), [5, 9, NONE, 7]);
        chains.remove(3, 3);
        chains.push(3, 1000);
        assert!(chains.is_single(), "one slot each");
        assert_eq!(firsts(&chains, &[3, NONE, 7]), [5, 1000, NONE, 7]);
        assert_eq!((chains.first(3), chains.last(3), chains.first(4), chains.next(1000)), (1000, 1000, 4, NONE));
        chains.push(4, 3);
        assert!(!chains.is_single());
        assert_eq!(chains.slots(4).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(chains.slots(3).collect::<Vec<_>>(), [1000]);
    }

    /// 64 random histories that begin as those of a unique key and have more and more slots of their own.
    #[test]
    fn any_history_leaves_the_lists_it_says() {
        let mut seed = 11u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for history in 0..64 {
            let mut chains = Chains::new();
            let mut lists: Vec<Vec<u32>> = vec![Vec::new(); 12];
            let mut taken = [false; 40];
            for _ in 0..200 {
                let group = draw(12);
                let held = lists[group].len();
                if held > 0 && (draw(2) == 0 || draw(64) > history) {
                    let slot = lists[group].remove(draw(held));
                    taken[slot as usize] = false;
                    chains.remove(group as u32, slot);
                } else {
                    let own = draw(64) > history && !taken[group];
                    let slot = if own { group } else { draw(40) };
                    if std::mem::replace(&mut taken[slot], true) {
                        continue;
                    }
                    let at = if draw(2) == 0 { held } else { draw(held + 1) };
                    lists[group].insert(at, slot as u32);
                    match at == held {
                        true => chains.push(group as u32, slot as u32),
                        false => {
                            let before = at.checked_sub(1).map_or(NONE, |at| lists[group][at]);
                            chains.insert_behind(group as u32, slot as u32, before);
                        }
                    }
                }
                for (group, list) in lists.iter().enumerate() {
                    assert_eq!(chains.slots(group as u32).collect::<Vec<_>>(), *list, "history {history}");
                    assert_eq!(chains.last(group as u32), list.last().copied().unwrap_or(NONE));
                    let back = |at: usize| at.checked_sub(1).map_or(NONE, |at| list[at]);
                    assert!(list.iter().enumerate().all(|(at, slot)| chains.prev(*slot) == back(at)));
                }
            }
        }
    }
}
