//! Order of deployment: a statement stands behind those whose objects it reads; otherwise as written.

use std::collections::{BTreeMap, BTreeSet};

/// What [`sort`] found.
pub(super) struct Sorted {
    /// Positions in deployment order; members of cycles and what reads them only are missing.
    pub order: Vec<usize>,
    /// One cycle, as positions each reading the next, if there is any.
    pub cycle: Option<Vec<usize>>,
}

/// Sorts statements by what each reads: `reads[i]` is the position of the statement that `i` depends on.
pub(super) fn sort(reads: &[Option<usize>]) -> Sorted {
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut ready = BTreeSet::new();
    for (reader, read) in reads.iter().enumerate() {
        match read {
            Some(read) => readers.entry(*read).or_default().push(reader),
            None => {
                ready.insert(reader);
            }
        }
    }
    let mut order = Vec::with_capacity(reads.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        ready.extend(readers.remove(&next).unwrap_or_default());
    }
    let placed: BTreeSet<usize> = order.iter().copied().collect();
    let cycle = (0..reads.len()).find(|i| !placed.contains(i)).map(|start| cycle_from(start, reads));
    Sorted { order, cycle }
}

/// Each statement reads one relation, so following it from an unplaced one ends in a cycle.
fn cycle_from(start: usize, reads: &[Option<usize>]) -> Vec<usize> {
    let (mut seen, mut at) = (Vec::new(), start);
    let mut known = BTreeSet::new();
    while known.insert(at) {
        seen.push(at);
        match reads[at] {
            Some(next) => at = next,
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
        let sorted = sort(&[Some(2), None, Some(1), None]);
        assert_eq!(sorted.order, [1, 2, 0, 3]);
        assert!(sorted.cycle.is_none());
    }

    #[test]
    fn cycles_are_found() {
        let sorted = sort(&[Some(1), Some(2), Some(1), None]);
        assert_eq!(sorted.order, [3]);
        assert_eq!(sorted.cycle, Some(vec![1, 2]));
    }
}
