//! Order of deployment: a statement stands behind those whose objects it reads; otherwise as written.

use std::collections::{BTreeMap, BTreeSet};

/// What [`sort`] found.
pub(super) struct Sorted {
    /// Positions in deployment order; members of cycles and what reads them only are missing.
    pub order: Vec<usize>,
    /// One cycle, as positions each reading the next, if there is any.
    pub cycle: Option<Vec<usize>>,
}

/// Sorts statements by what each reads: `reads[i]` are the positions of the statements that `i` depends on.
pub(super) fn sort(reads: &[Vec<usize>]) -> Sorted {
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut waits: Vec<usize> = reads.iter().map(Vec::len).collect();
    let mut ready = BTreeSet::new();
    for (reader, read) in reads.iter().enumerate() {
        read.iter().for_each(|read| readers.entry(*read).or_default().push(reader));
        if read.is_empty() {
            ready.insert(reader);
        }
    }
    let mut order = Vec::with_capacity(reads.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for reader in readers.remove(&next).unwrap_or_default() {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    let placed: BTreeSet<usize> = order.iter().copied().collect();
    let cycle = (0..reads.len()).find(|i| !placed.contains(i)).map(|start| cycle_from(start, reads, &placed));
    Sorted { order, cycle }
}

/// An unplaced statement reads an unplaced one, so following them ends in a cycle.
fn cycle_from(start: usize, reads: &[Vec<usize>], placed: &BTreeSet<usize>) -> Vec<usize> {
    let (mut seen, mut at) = (Vec::new(), start);
    let mut known = BTreeSet::new();
    while known.insert(at) {
        seen.push(at);
        match reads[at].iter().find(|read| !placed.contains(read)) {
            Some(next) => at = *next,
            None => return seen,
        }
    }
    let first = seen.iter().position(|s| *s == at).unwrap_or(0);
    seen.split_off(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_stand_behind() {
        let sorted = sort(&[vec![2], vec![], vec![1], vec![]]);
        assert_eq!(sorted.order, [1, 2, 0, 3]);
        assert!(sorted.cycle.is_none());
        let several = sort(&[vec![1, 2], vec![2], vec![], vec![0, 0]]);
        assert_eq!(several.order, [2, 1, 0, 3]);
    }

    #[test]
    fn cycles_are_found() {
        let sorted = sort(&[vec![1], vec![2, 3], vec![1], vec![]]);
        assert_eq!(sorted.order, [3]);
        assert_eq!(sorted.cycle, Some(vec![1, 2]));
    }
}
