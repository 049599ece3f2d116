//! A multiset per group: values with how often they occur, less how often they were taken back.
//!
//! Entries stand sorted, one per value, with new ones unsorted behind; [`Bag::settle`] brings them together and must run
//! before [`Bag::entries`] is asked. A new entry costs a push; entries are settled at the latest when the unsorted ones
//! outnumber the sorted ones, so memory follows the number of different values and time stays within a logarithm.
//! A count may be below 0 for a while: what is taken back may come before what it takes back.

/// What a bag may hold.
pub(super) trait Item: Ord + Clone {
    /// Bytes on the heap.
    fn heap(&self) -> usize;
    /// Appends a form that [`Item::load`] reads.
    fn save(&self, out: &mut Vec<u8>);
    /// Takes an item off the front.
    fn load(bytes: &mut &[u8]) -> Option<Self>;
}

/// Unsorted entries that are always put up with.
const LOOSE: usize = 256;
/// Up to so many new entries are put in place one by one.
const FEW: usize = 4;

#[derive(Clone, Debug)]
struct Multiset<K> {
    entries: Vec<(K, i64)>,
    sorted: usize,
}

/// One multiset per group.
#[derive(Debug)]
pub(super) struct Bag<K> {
    groups: Vec<Multiset<K>>,
    /// Bytes on the heap of all entries.
    heap: usize,
    /// Only so many of the greatest are kept, and whether they have to be different.
    keep: Option<(u32, bool)>,
}

impl<K: Item> Bag<K> {
    pub(super) fn new(keep: Option<(u32, bool)>) -> Bag<K> {
        Bag { groups: Vec::new(), heap: 0, keep }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups.max(self.groups.len()), || Multiset { entries: Vec::new(), sorted: 0 });
    }

    /// Adds (or takes back) `count` of an item.
    pub(super) fn add(&mut self, group: u32, item: K, count: i64) {
        if count == 0 {
            return;
        }
        let set = &mut self.groups[group as usize];
        let before = set.entries.capacity();
        self.heap += item.heap();
        set.entries.push((item, count));
        self.heap += (set.entries.capacity() - before) * size_of::<(K, i64)>();
        if set.entries.len() - set.sorted > set.sorted.max(LOOSE) {
            self.settle(group);
        }
    }

    /// Sorts a group's entries, one per item.
    pub(super) fn settle(&mut self, group: u32) {
        let set = &mut self.groups[group as usize];
        let loose = set.entries.len() - set.sorted;
        if loose == 0 {
            return;
        }
        if loose <= FEW {
            for _ in 0..loose {
                if let Some(entry) = set.entries.pop() {
                    self.heap -= set.place(entry);
                }
            }
        } else {
            set.entries.sort_by(|a, b| a.0.cmp(&b.0));
            let mut freed = 0;
            set.entries.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                    freed += next.0.heap();
                }
                same
            });
            set.entries.retain(|(item, count)| {
                freed += if *count == 0 { item.heap() } else { 0 };
                *count != 0
            });
            self.heap -= freed;
        }
        if let Some((keep, different)) = self.keep {
            self.heap -= set.cut(i64::from(keep), different);
        }
        set.sorted = set.entries.len();
    }

    /// Entries of a settled group, ascending. Counts at or below 0 stand for nothing.
    pub(super) fn entries(&self, group: u32) -> impl DoubleEndedIterator<Item = (&K, i64)> + Clone {
        let entries = self.groups[group as usize].entries.iter();
        entries.map(|(item, count)| (item, *count)).filter(|(_, count)| *count > 0)
    }

    pub(super) fn clear(&mut self, group: u32) {
        let set = &mut self.groups[group as usize];
        self.heap -= set.entries.iter().map(|(item, _)| item.heap()).sum::<usize>();
        self.heap -= set.entries.capacity() * size_of::<(K, i64)>();
        (set.entries, set.sorted) = (Vec::new(), 0);
    }

    pub(super) fn release(&mut self) {
        (self.groups, self.heap) = (Vec::new(), 0);
    }

    pub(super) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Multiset<K>>() + self.heap
    }

    /// All entries of a group as bytes.
    pub(super) fn save(&self, group: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (item, count) in &self.groups[group as usize].entries {
            bytes.extend_from_slice(&count.to_le_bytes());
            item.save(&mut bytes);
        }
        bytes
    }

    /// Adds the entries of bytes that [`Bag::readable`] accepts.
    pub(super) fn merge(&mut self, group: u32, mut bytes: &[u8]) {
        while let Some((item, count)) = entry::<K>(&mut bytes) {
            self.add(group, item, count);
        }
    }

    /// TRUE when these are bytes of entries.
    pub(super) fn readable(mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if entry::<K>(&mut bytes).is_none() {
                return false;
            }
        }
        true
    }
}

/// Takes an entry off the front.
pub(super) fn entry<K: Item>(bytes: &mut &[u8]) -> Option<(K, i64)> {
    let count = i64::from_le_bytes(split(bytes)?);
    Some((K::load(bytes)?, count))
}

/// Splits the first `N` bytes off.
pub(super) fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

impl<K: Item> Multiset<K> {
    /// Puts an entry among the sorted ones; answers the bytes that are free now.
    fn place(&mut self, (item, count): (K, i64)) -> usize {
        let sorted = self.sorted;
        match self.entries[..sorted].binary_search_by(|e| e.0.cmp(&item)) {
            Ok(at) => {
                self.entries[at].1 += count;
                let mut freed = item.heap();
                if self.entries[at].1 == 0 {
                    freed += self.entries.remove(at).0.heap();
                    self.sorted -= 1;
                }
                freed
            }
            Err(at) => {
                self.entries.insert(at, (item, count));
                self.sorted += 1;
                0
            }
        }
    }

    /// Lets go of the smallest entries that are not among the `keep` greatest.
    fn cut(&mut self, keep: i64, different: bool) -> usize {
        let mut left = keep;
        let beyond = self.entries.iter().rposition(|(_, count)| {
            let over = left <= 0;
            left -= if different { 1 } else { *count };
            over
        });
        beyond.map_or(0, |at| self.entries.drain(..=at).map(|(item, _)| item.heap()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    impl Item for u8 {
        fn heap(&self) -> usize {
            1
        }

        fn save(&self, out: &mut Vec<u8>) {
            out.push(*self);
        }

        fn load(bytes: &mut &[u8]) -> Option<u8> {
            split::<1>(bytes).map(|[b]| b)
        }
    }

    fn shown(bag: &Bag<u8>) -> Vec<(u8, i64)> {
        bag.entries(0).map(|(k, n)| (*k, n)).collect()
    }

    proptest! {
        #[test]
        fn a_bag_counts(changes in prop::collection::vec((0u8..20, -2i64..4, prop::bool::ANY), 0..900)) {
            let mut bag = Bag::new(None);
            bag.grow(1);
            let mut counts: BTreeMap<u8, i64> = BTreeMap::new();
            for (item, count, settle) in changes {
                bag.add(0, item, count);
                *counts.entry(item).or_default() += count;
                if settle {
                    bag.settle(0);
                }
            }
            let mut other = Bag::new(None);
            other.grow(1);
            prop_assert!(Bag::<u8>::readable(&bag.save(0)));
            other.merge(0, &bag.save(0));
            for bag in [&mut bag, &mut other] {
                bag.settle(0);
                let expect: Vec<_> = counts.iter().filter(|c| *c.1 > 0).map(|(k, n)| (*k, *n)).collect();
                prop_assert_eq!(shown(bag), expect);
                let held = counts.values().filter(|n| **n != 0).count();
                prop_assert_eq!(bag.heap, held + bag.groups[0].entries.capacity() * size_of::<(u8, i64)>());
            }
            bag.clear(0);
            prop_assert_eq!(bag.heap, 0);
        }
    }

    #[test]
    fn only_the_greatest_are_kept() {
        for (different, expect) in [(false, vec![(5, 2), (9, 1)]), (true, vec![(2, 1), (5, 2), (9, 1)])] {
            let mut bag = Bag::new(Some((3, different)));
            bag.grow(1);
            for item in [5, 1, 9, 5, 2, 1] {
                bag.add(0, item, 1);
                bag.settle(0);
            }
            assert_eq!(shown(&bag), expect);
        }
    }
}
