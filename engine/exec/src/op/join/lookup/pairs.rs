//! Pairs of a stream's batch with the rows of a table: which ones, in what order, and where the walk over them stands.
//!
//! The rows of the batch come in order, of each its matches from the first to the last. What a residual leaves of them is
//! settled row by row, so that a row without a match is known when its last candidate was looked at.

use velostream_state::rows::NONE;
use velostream_types::{Column, NTH_BITS, NTH_MASK, RowMeta, RowOrder, Value, Within};

use super::probe::Table;
use crate::op::join::output::Rows;

/// The walk.
#[derive(Debug, Default)]
pub struct Pairs {
    /// First row of the table by row of the batch.
    firsts: Vec<u32>,
    /// Row of the batch that is next.
    row: usize,
    /// Its next match, when it was begun.
    next: Option<u32>,
    /// A candidate of it was a match.
    matched: bool,
    /// A row has more than one match.
    many: bool,
    /// Rows of the batch in the pairs found last.
    pub rows: Vec<u32>,
    /// Rows of the table in them; none for a row without a match.
    pub slots: Vec<u32>,
    /// The record of the last row that left, and its number among those made of it.
    numbered: Option<((i64, Within, u64), u64)>,
}

/// Columns of a batch. Where all rows are wanted as they stand, nothing is copied.
pub struct Rowed<'a> {
    pub columns: &'a [Column],
    pub is_whole: bool,
}

impl Rows for Rowed<'_> {
    fn gather(&self, column: usize, rows: &[u32]) -> Column {
        if self.is_whole { self.columns[column].clone() } else { self.columns[column].take(rows) }
    }
}

/// A side with one value per column.
pub struct Constant<'a>(pub &'a [Value]);

impl Rows for Constant<'_> {
    fn gather(&self, column: usize, rows: &[u32]) -> Column {
        Column::repeat(self.0.get(column).unwrap_or(&Value::Null), rows.len())
    }
}

/// A side without a row.
pub struct Nothing;

impl Rows for Nothing {
    fn gather(&self, _column: usize, rows: &[u32]) -> Column {
        Column::Null(rows.len())
    }
}

impl Pairs {
    /// Begins a batch; the caller puts the first match of each row.
    pub fn begin(&mut self) -> &mut Vec<u32> {
        (self.row, self.next, self.matched, self.many) = (0, None, false, false);
        self.firsts.clear();
        &mut self.firsts
    }

    /// Row of the batch that is next.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Finds the next pairs, `most` at most. Answers TRUE when they are the last.
    pub fn fill<T: Table>(&mut self, held: &T, most: usize, keeps: bool) -> bool {
        self.rows.clear();
        self.slots.clear();
        if self.next.is_none() && held.is_single() {
            self.fill_single(most, keeps);
            return self.row == self.firsts.len();
        }
        while self.row < self.firsts.len() && self.rows.len() < most {
            let slot = self.next.take().unwrap_or(self.firsts[self.row]);
            if slot == NONE {
                if keeps {
                    self.rows.push(self.row as u32);
                    self.slots.push(NONE);
                }
                self.row += 1;
                continue;
            }
            self.candidate(held, slot);
        }
        self.row == self.firsts.len()
    }

    /// The same where no row has two matches: each is written down, and the next one over it where it is left out.
    fn fill_single(&mut self, most: usize, keeps: bool) {
        let from = self.row;
        self.row = self.firsts.len().min(from.saturating_add(most));
        let firsts = &self.firsts[from..self.row];
        self.rows.resize(firsts.len(), 0);
        self.slots.resize(firsts.len(), NONE);
        let mut found = 0;
        for (row, slot) in firsts.iter().enumerate() {
            (self.rows[found], self.slots[found]) = ((from + row) as u32, *slot);
            found += usize::from(keeps | (*slot != NONE));
        }
        self.rows.truncate(found);
        self.slots.truncate(found);
    }

    /// Finds the next pairs that a residual decides on: `most` at most, counting rows without any.
    pub fn candidates<T: Table>(&mut self, held: &T, most: usize) -> bool {
        self.rows.clear();
        self.slots.clear();
        let mut without = 0;
        while self.row < self.firsts.len() && self.rows.len() + without < most {
            let slot = self.next.take().unwrap_or(self.firsts[self.row]);
            if slot == NONE {
                without += 1;
                self.row += 1;
                continue;
            }
            self.candidate(held, slot);
        }
        self.row == self.firsts.len()
    }

    #[inline]
    fn candidate<T: Table>(&mut self, held: &T, slot: u32) {
        self.rows.push(self.row as u32);
        self.slots.push(slot);
        match held.next(self.row, slot) {
            NONE => self.row += 1,
            next => {
                self.next = Some(next);
                self.many = true;
            }
        }
    }

    /// Leaves of the candidates found since row `from` was next those that match; a row whose last one was among them and
    /// that matched nothing stands alone, if rows are kept.
    pub fn settle(&mut self, from: usize, keep: &[bool], keeps: bool) {
        let found = std::mem::take(&mut self.rows);
        let slots = std::mem::take(&mut self.slots);
        let mut at = 0;
        let to = self.row + usize::from(self.next.is_some());
        for row in from..to {
            while at < found.len() && found[at] as usize == row {
                if keep[at] {
                    self.rows.push(row as u32);
                    self.slots.push(slots[at]);
                    self.matched = true;
                }
                at += 1;
            }
            if row < self.row {
                if keeps && !self.matched {
                    self.rows.push(row as u32);
                    self.slots.push(NONE);
                }
                self.matched = false;
            }
        }
    }

    /// Tells the rows that were made of one record apart by their number; those of earlier operators keep theirs where
    /// they can.
    pub fn number(&mut self, meta: &mut RowMeta, rows: usize) {
        if matches!(meta.order, RowOrder::Source) && !self.many {
            return;
        }
        let mut ties = Vec::with_capacity(rows);
        for row in 0..rows {
            let (major, minor, tie) = meta.order_at(row);
            let record = (major, minor, tie >> NTH_BITS);
            let own = tie & NTH_MASK;
            let number = match self.numbered {
                Some((known, last)) if known == record => own.max(last + 1),
                _ => own,
            };
            self.numbered = Some((record, number));
            ties.push(record.2 << NTH_BITS | number.min(NTH_MASK));
        }
        let order = std::mem::replace(&mut meta.order, RowOrder::Source);
        meta.order = match order {
            RowOrder::Source | RowOrder::Nth(_) => RowOrder::Nth(ties.into()),
            RowOrder::Derived { major, minor, .. } => RowOrder::Derived { major, minor, tie: ties.into() },
        };
    }
}
