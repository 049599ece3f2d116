//! Which of the marks a producer was given are reached: each record belongs to the group that was open when it was sent;
//! a mark is acknowledged when its group and all before it are. Pure bookkeeping, one counter per open group.
//!
//! A record goes from sent to delivered, or from sent to refused to buried; nothing else lets go of it.

use std::collections::VecDeque;

/// Counts of the records not yet acknowledged, by group.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Number of the group at the front of `groups`.
    first: u64,
    /// Closed groups with their marks; the open one is `open`.
    closed: VecDeque<Group>,
    open: usize,
    acknowledged: u64,
    outstanding: usize,
    /// Groups of the refused records, in the order they were handed out.
    refused: VecDeque<u64>,
}

#[derive(Debug)]
struct Group {
    mark: u64,
    records: usize,
}

impl Marks {
    /// Number of the group a record sent now belongs to.
    pub(super) fn group(&self) -> u64 {
        self.first + self.closed.len() as u64
    }

    /// A record was taken into the open group.
    pub(super) fn sent(&mut self) {
        self.open += 1;
        self.outstanding += 1;
    }

    /// Everything sent so far belongs to `mark`.
    pub(super) fn close(&mut self, mark: u64) {
        self.closed.push_back(Group { mark, records: std::mem::take(&mut self.open) });
        self.settle();
    }

    /// A record of this group is safe.
    pub(super) fn delivered(&mut self, group: u64) {
        let at = group.checked_sub(self.first).map(|at| at as usize);
        let records = match at {
            Some(at) if at < self.closed.len() => &mut self.closed[at].records,
            Some(at) if at == self.closed.len() => &mut self.open,
            _ => return debug_assert!(false, "a record of group {group} was acknowledged twice"),
        };
        *records -= 1;
        self.outstanding -= 1;
        self.settle();
    }

    /// A record of this group was refused: it holds its mark until it is buried.
    pub(super) fn refused(&mut self, group: u64) {
        self.refused.push_back(group);
    }

    /// The first `records` of the refused ones are safe elsewhere.
    pub(super) fn buried(&mut self, records: usize) {
        for _ in 0..records {
            let Some(group) = self.refused.pop_front() else { return };
            self.delivered(group);
        }
    }

    /// The highest mark reached.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Records not yet acknowledged, refused ones among them.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Records that wait for a broker.
    pub(super) fn in_flight(&self) -> usize {
        self.outstanding - self.refused.len()
    }

    fn settle(&mut self) {
        while let Some(group) = self.closed.front()
            && group.records == 0
        {
            self.acknowledged = group.mark;
            self.closed.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_waits_for_all_before_it() {
        let mut marks = Marks::default();
        let mut groups = Vec::new();
        for mark in [10, 20, 30] {
            groups.push(marks.group());
            marks.sent();
            marks.sent();
            marks.close(mark);
        }
        let check = |marks: &Marks, acknowledged, outstanding| {
            assert_eq!((marks.acknowledged(), marks.outstanding()), (acknowledged, outstanding));
        };
        marks.delivered(groups[1]);
        marks.delivered(groups[1]);
        check(&marks, 0, 4);
        marks.delivered(groups[0]);
        check(&marks, 0, 3);
        marks.delivered(groups[0]);
        check(&marks, 20, 2);
        marks.close(40);
        check(&marks, 20, 2);
        marks.delivered(groups[2]);
        marks.delivered(groups[2]);
        check(&marks, 40, 0);
    }

    #[test]
    fn records_acknowledged_before_their_mark_count() {
        let mut marks = Marks::default();
        marks.sent();
        marks.delivered(marks.group());
        marks.close(1);
        assert_eq!(marks.acknowledged(), 1);
    }

    #[test]
    fn a_refused_record_holds_its_mark_until_it_is_buried() {
        let mut marks = Marks::default();
        let group = marks.group();
        marks.sent();
        marks.sent();
        marks.close(7);
        marks.refused(group);
        marks.delivered(group);
        assert_eq!((marks.acknowledged(), marks.outstanding(), marks.in_flight()), (0, 1, 0));
        marks.buried(1);
        assert_eq!((marks.acknowledged(), marks.outstanding()), (7, 0));
        marks.buried(5);
        assert_eq!(marks.outstanding(), 0);
    }
}
