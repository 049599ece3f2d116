//! Leader epochs: which began at which offset. A client whose log or position diverged asks where an epoch ended.
//!
//! Invariant: epochs and start offsets ascend together. One entry per change of leader.

/// Epochs of one partition, oldest first, as (epoch, first offset).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    entries: Vec<(i32, i64)>,
}

impl Epochs {
    pub fn from_entries(entries: Vec<(i32, i64)>) -> Epochs {
        Epochs { entries }
    }

    pub fn entries(&self) -> &[(i32, i64)] {
        &self.entries
    }

    /// Batches from `offset` on belong to `epoch`. An epoch no newer than the last changes nothing.
    pub fn assign(&mut self, epoch: i32, offset: i64) {
        if self.entries.last().is_some_and(|(last, _)| *last >= epoch) {
            return;
        }
        // An epoch that wrote nothing gives way to the one that starts at the same offset.
        while self.entries.last().is_some_and(|(_, start)| *start >= offset) {
            self.entries.pop();
        }
        self.entries.push((epoch, offset));
    }

    /// The newest epoch not above `epoch` and the offset one past its end; (-1, -1) when nothing is known of it.
    pub fn end_of(&self, epoch: i32, log_end: i64) -> (i32, i64) {
        if epoch < 0 {
            return (-1, -1);
        }
        let after = self.entries.partition_point(|(known, _)| *known <= epoch);
        match (after.checked_sub(1).map(|at| self.entries[at].0), self.entries.get(after)) {
            (Some(known), None) if known == epoch => (epoch, log_end),
            (Some(known), Some((_, next_start))) => (known, *next_start),
            (None, Some((_, first_start))) => (epoch, *first_start),
            _ => (-1, -1),
        }
    }

    /// Forgets epochs that ended at or below `offset`; the one that reaches over it starts there.
    pub fn trim_front(&mut self, offset: i64) {
        let begun = self.entries.partition_point(|(_, start)| *start <= offset);
        if begun > 0 {
            self.entries.drain(..begun - 1);
            self.entries[0].1 = offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_next_start() {
        let mut epochs = Epochs::default();
        for (epoch, offset) in [(2, 0), (3, 10), (3, 12), (5, 20), (6, 20), (9, 40)] {
            epochs.assign(epoch, offset);
        }
        let check = |epochs: &Epochs, epoch, want| assert_eq!(epochs.end_of(epoch, 50), want, "epoch {epoch}");
        check(&epochs, -1, (-1, -1));
        check(&epochs, 1, (1, 0));
        check(&epochs, 2, (2, 10));
        check(&epochs, 3, (3, 20));
        check(&epochs, 5, (3, 20));
        check(&epochs, 6, (6, 40));
        check(&epochs, 8, (6, 40));
        check(&epochs, 9, (9, 50));
        check(&epochs, 10, (-1, -1));
        check(&Epochs::default(), 0, (-1, -1));
        epochs.trim_front(15);
        check(&epochs, 2, (2, 15));
        check(&epochs, 3, (3, 20));
    }
}
