//! What a change of one side gives.
//!
//! A change takes a row back, brings one, or does both under one key. For each row of the other side, in their order: the
//! pair that ends, the pair that begins, and, where the other side is an outer one, its row without a partner, which
//! ends when it gets its first and begins when it loses its last. What ends and what begins there are one pair of rows, with
//! one row's metadata, so that whoever reads them sees one change as well. A row of an outer side that meets nobody
//! leaves by itself: ahead of all that begins, or behind all that ends.

use std::collections::VecDeque;
use std::ops::Range;

use velostream_state::rows::NONE;

use super::kept::{Kept, Placed};
use super::{Pair, TableJoin, Work};
use crate::op::join::marks::Mark;
use crate::operator::OpCx;

/// A row of a change.
struct Changed {
    /// Where it lives; none where only a debt is settled.
    slot: Option<u32>,
    /// Which of the rows of the other side it matches.
    matches: Vec<bool>,
    /// How many it matches, each as often as it lives.
    partners: u64,
}

impl TableJoin {
    /// Works off the change that these rows are.
    pub(super) fn change(&mut self, work: &mut Work, rows: Range<usize>) {
        let group = work.groups[rows.start];
        let cause = rows.end as u32 - 1;
        if group == NONE {
            return rows.for_each(|row| self.lonely(work, row, cause));
        }
        let has_residual = self.output.has_residual();
        let [left, right] = &mut self.sides;
        let (mine, theirs) = if work.side == 0 { (left, right) } else { (right, left) };
        let partners: Vec<u32> = theirs.living(group).collect();
        let (mut before, mut after) = (None, None);
        for row in rows {
            let matches: Vec<bool> = match has_residual {
                true => work.verdicts.drain(..partners.len()).collect(),
                false => vec![true; partners.len()],
            };
            let met = partners.iter().zip(&matches).filter(|(_, matches)| **matches);
            let met = met.map(|(slot, _)| theirs.counts[*slot as usize].cast_unsigned()).sum();
            let placed = Placed { batch: &work.batch, row: row as u32, hash: work.hashes[row], group };
            let comes = work.batch.meta.weight_at(row) > 0;
            let slot = if comes { mine.enter(work.slots[row], placed) } else { mine.take_back(placed) };
            let changed = Some(Changed { slot, matches, partners: met }).filter(|changed| changed.slot.is_some());
            if comes { after = changed } else { before = changed }
        }
        if mine.chains.first(group) == NONE {
            work.emptied.push(group);
        }
        if mine.outer
            && let Some(Changed { slot: Some(slot), partners, .. }) = &after
        {
            mine.partners[*slot as usize] = *partners;
        }
        let mut out = Out { pairs: &mut self.pairs, cause };
        out.unmatched(mine, &before, -1);
        for (at, slot) in partners.into_iter().enumerate() {
            out.meet(theirs, slot, [&before, &after].map(|row| row.as_ref().filter(|row| row.matches[at])));
        }
        out.unmatched(mine, &after, 1);
    }

    /// A row whose key has a NULL: it meets nobody.
    fn lonely(&mut self, work: &Work, row: usize, cause: u32) {
        let slot = work.slots[row];
        if slot == NONE {
            return;
        }
        let weight = work.batch.meta.weight_at(row);
        self.pairs.push_back(Pair { mine: slot, theirs: NONE, cause, weight, alone: false });
        self.sides[work.side].pass(slot);
    }

    /// Finds out which pairs of the next rows match, those up to `until` among them: about a batch of them at once, as the
    /// other side stays what it is meanwhile.
    pub(super) fn judge(&mut self, work: &mut Work, until: usize, cx: &mut OpCx<'_>) {
        let theirs = &self.sides[1 - work.side];
        let (mut rows, mut slots) = (Vec::new(), Vec::new());
        while work.judged < until || work.judged < work.batch.rows && rows.len() < cx.batch_rows {
            let group = work.groups[work.judged];
            slots.extend((group != NONE).then(|| theirs.living(group)).into_iter().flatten());
            rows.resize(slots.len(), work.judged as u32);
            work.judged += 1;
        }
        let mut from = 0;
        while from < rows.len() {
            // A row that is taken back errs as it did when it came, and was told then.
            let back = |at: usize| work.batch.meta.weight_at(rows[at] as usize) < 0;
            let most = rows.len().min(from + cx.batch_rows.max(1));
            let to = (from..most).find(|at| back(*at) != back(from)).unwrap_or(most);
            let (letters, counted) = (cx.dead.len(), *cx.counters);
            let verdicts = self.matches(work, &rows[from..to], &slots[from..to], cx);
            if back(from) {
                cx.dead.truncate(letters);
                *cx.counters = counted;
            }
            work.verdicts.extend(verdicts);
            from = to;
        }
    }

    fn matches(&mut self, work: &Work, rows: &[u32], slots: &[u32], cx: &mut OpCx<'_>) -> Vec<bool> {
        let theirs = &self.sides[1 - work.side];
        let own = &work.batch.columns[..];
        let columns = match work.side {
            0 => self.output.columns(own, rows, &theirs.rows, slots, &[]),
            _ => self.output.columns(&theirs.rows, slots, own, rows, &[]),
        };
        let mark = |(row, slot): (&u32, &u32)| {
            let (mine, theirs) = (Mark::of(&work.batch.meta, *row as usize), theirs.marks.at(*slot));
            if work.side == 0 { Mark::joined(&mine, &theirs) } else { Mark::joined(&theirs, &mine) }
        };
        let marks: Vec<Mark> = rows.iter().zip(slots).map(mark).collect();
        self.output.matches(&columns, &marks, cx)
    }
}

/// Where the rows of a change go.
struct Out<'o> {
    pairs: &'o mut VecDeque<Pair>,
    cause: u32,
}

impl Out<'_> {
    fn push(&mut self, mine: u32, theirs: u32, weight: i8, alone: bool) {
        self.pairs.push_back(Pair { mine, theirs, cause: self.cause, weight, alone });
    }

    /// A row that has no partner on an outer side.
    fn unmatched(&mut self, mine: &Kept, row: &Option<Changed>, weight: i8) {
        if let Some(Changed { slot: Some(slot), partners: 0, .. }) = row
            && mine.outer
        {
            self.push(*slot, NONE, weight, false);
        }
    }

    /// What a row of the other side gives that `[before, after]` match.
    fn meet(&mut self, theirs: &mut Kept, slot: u32, [before, after]: [Option<&Changed>; 2]) {
        let (mut ends, mut begins) = (before.and_then(|row| row.slot), after.and_then(|row| row.slot));
        let mut alone = false;
        if theirs.outer {
            let partners = &mut theirs.partners[slot as usize];
            let had = *partners;
            *partners = had + u64::from(begins.is_some()) - u64::from(ends.is_some());
            match (had, *partners) {
                (0, 1..) => ends = Some(NONE),
                (1.., 0) => {
                    begins = Some(NONE);
                    alone = true;
                }
                _ => {}
            }
        }
        for _ in 0..theirs.counts[slot as usize] {
            ends.iter().for_each(|mine| self.push(*mine, slot, -1, alone));
            begins.iter().for_each(|mine| self.push(*mine, slot, 1, alone));
        }
    }
}
