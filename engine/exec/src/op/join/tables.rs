//! A join of two tables: a relation that changes whenever one of them does.
//!
//! Stands behind an exchange of each side by its key. Rows of both sides are kept (`kept`); a change of one side meets the
//! rows of the other that live, and gives exactly what it adds and takes back. A row that comes with the one it replaces
//! (−1 and +1 of one cause, side by side) and has its key is one change: what both give is one pair, so that nothing in
//! between is seen, and a row of an outer side that goes on having a partner does not lose it for a moment. `change` has
//! the rules. A NULL in a key meets nothing; equal rows count.
//!
//! The result is a function of the rows that live. Rows of one identity may come from several shards, where the key is no
//! part of it: whoever stands for one row per key materializes.
//!
//! State: the rows of both sides, by key. Cost: a probe a row, a hash of all its columns, and the pairs.

use std::collections::VecDeque;
use std::ops::Range;

use velostream_sql::plan::{JoinSpec, Side};
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::NONE;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, DataType, Fatal, SchemaRef};

use super::marks::{Mark, batches};
use super::output::Output;
use crate::expr::EvalContext;
use crate::op::aggregate::Place;
use crate::op::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};
use crate::shard::Meet;

mod change;
mod finder;
mod kept;
mod saved;

use kept::Kept;

/// The operator.
pub struct TableJoin {
    inputs: Inputs,
    /// Watermarks of both sides.
    meet: Meet,
    /// Left, right.
    sides: [Kept; 2],
    /// Keys of both sides.
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    keys: KeyEncoder,
    values: KeyEncoder,
    output: Output,
    work: Option<Work>,
    /// What the changes so far gave and did not leave yet.
    pairs: VecDeque<Pair>,
    ready: VecDeque<Msg>,
}

/// A batch under way.
struct Work {
    side: usize,
    batch: Batch,
    /// Row of the next change.
    next: usize,
    /// By row: group of the key, [`NONE`] with a NULL in it.
    groups: Vec<u32>,
    /// By row: its slot, [`NONE`] for rows that have theirs already or leave no trace.
    slots: Vec<u32>,
    /// By row: hash of all columns.
    hashes: Vec<u32>,
    /// Which pairs match, of the rows up to `judged`, in the order in which changes meet them.
    verdicts: VecDeque<bool>,
    judged: usize,
    /// Groups that may have lost their last row.
    emptied: Vec<u32>,
}

/// A row that leaves.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Slot of the side that changed.
    mine: u32,
    theirs: u32,
    /// Row of the batch that made it so.
    cause: u32,
    weight: i8,
    /// Its metadata is that of the other side's row alone.
    alone: bool,
}

impl Pair {
    /// TRUE when the row stands in the place of the one in front of it.
    fn replaces(&self, before: &Pair) -> bool {
        before.weight < 0 && self.weight > 0 && before.cause == self.cause
    }
}

impl TableJoin {
    /// Joins inputs of these schemas.
    pub fn new(spec: &JoinSpec, inputs: [&SchemaRef; 2], place: Place, ctx: EvalContext) -> TableJoin {
        let types = |schema: &SchemaRef| schema.fields.iter().map(|f| f.data_type.clone()).collect::<Vec<DataType>>();
        let side = |keys: &[usize], side, at: usize| Kept::new(keys, spec.kind.keeps(side), &types(inputs[at]));
        TableJoin {
            inputs: Inputs::new(2),
            meet: Meet::new(2),
            sides: [side(&spec.left_keys, Side::Left, 0), side(&spec.right_keys, Side::Right, 1)],
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            keys: KeyEncoder::new(),
            values: KeyEncoder::new(),
            output: Output::new(spec, ctx, place.sources, place.dlq),
            work: None,
            pairs: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Looks up a batch as a whole: groups, hashes, slots for the rows that come.
    fn begin(&mut self, side: usize, batch: Batch) {
        let kept = &mut self.sides[side];
        let key: Vec<&Column> = kept.keys.iter().map(|k| &batch.columns[*k]).collect();
        self.keys.encode(&key, batch.rows);
        self.values.encode(&batch.columns.iter().collect::<Vec<_>>(), batch.rows);
        let mut hashes = Vec::new();
        self.hasher.hash_all(self.keys.keys(), &mut hashes);
        let mut groups = Vec::with_capacity(batch.rows);
        let is_null = |row| key.iter().any(|column| column.is_null(row));
        if (0..batch.rows).any(is_null) {
            for (row, hash) in hashes.iter().enumerate() {
                let key = self.keys.keys().key(row);
                groups.push(match is_null(row) {
                    true => NONE,
                    false => self.index.find_or_insert(key, *hash, &mut self.pool).group,
                });
            }
        } else {
            let mut fresh = Vec::new();
            self.index.assign(self.keys.keys(), 0, &hashes, &mut groups, &mut fresh, &mut self.pool);
        }
        self.hasher.hash_all(self.values.keys(), &mut hashes);
        // Rows without a key only pass, those of an outer side in both directions.
        let needs = |row: &u32| match groups[*row as usize] {
            NONE => kept.outer,
            _ => batch.meta.weight_at(*row as usize) > 0,
        };
        let rows: Vec<u32> = (0..batch.rows as u32).filter(needs).collect();
        let mut slots = vec![NONE; batch.rows];
        for (row, slot) in rows.iter().zip(kept.put(&batch, &rows)) {
            slots[*row as usize] = slot;
        }
        let (verdicts, emptied) = (VecDeque::new(), Vec::new());
        self.work = Some(Work { side, batch, next: 0, groups, slots, hashes, verdicts, judged: 0, emptied });
    }

    /// Works changes off until there is a batch to give.
    fn fill(&mut self, cx: &mut OpCx<'_>) {
        let Some(mut work) = self.work.take() else { return };
        while work.next < work.batch.rows && self.pairs.len() < cx.batch_rows {
            let rows = work.change_at(work.next);
            if self.output.has_residual() && work.judged < rows.end {
                self.judge(&mut work, rows.end, cx);
            }
            self.change(&mut work, rows.clone());
            work.next = rows.end;
        }
        if work.next < work.batch.rows || !self.pairs.is_empty() {
            self.work = Some(work);
            return;
        }
        self.end(work, cx);
    }

    /// A batch is worked off, and all it gave is out.
    fn end(&mut self, mut work: Work, cx: &mut OpCx<'_>) {
        self.sides.iter_mut().for_each(Kept::free_left);
        work.emptied.sort_unstable();
        work.emptied.dedup();
        for group in work.emptied {
            if self.sides.iter().all(|kept| kept.chains.first(group) == NONE) {
                let hash = self.hasher.hash(self.index.key(group));
                self.index.remove(group, hash);
            }
        }
        cx.counters.groups = self.index.len() as u64;
        let sides: usize = self.sides.iter().map(Kept::bytes).sum();
        cx.counters.state_bytes = (sides + self.index.bytes()) as u64;
    }

    /// The next rows of one partition, at most as many as a batch has; a row that replaces another leaves with it.
    fn give(&mut self, cx: &mut OpCx<'_>) {
        let Some(work) = &self.work else { return };
        let mut marks: Vec<Mark> = Vec::new();
        while let Some(pair) = self.pairs.get(marks.len()).filter(|_| marks.len() < cx.batch_rows.max(1)) {
            let mark = self.mark(work, pair);
            if marks.first().is_some_and(|first| first.origin != mark.origin) {
                break;
            }
            marks.push(mark);
        }
        let last = marks.last().cloned();
        match self.pairs.get(marks.len()).filter(|next| next.replaces(&self.pairs[marks.len() - 1])) {
            // Both have one mark.
            Some(_) if marks.len() == 1 => marks.extend(last),
            Some(_) => marks.truncate(marks.len() - 1),
            None => {}
        }
        let pairs: Vec<Pair> = self.pairs.drain(..marks.len()).collect();
        let mine: Vec<u32> = pairs.iter().map(|pair| pair.mine).collect();
        let theirs: Vec<u32> = pairs.iter().map(|pair| pair.theirs).collect();
        let (lefts, rights) = if work.side == 0 { (mine, theirs) } else { (theirs, mine) };
        let [left, right] = &self.sides;
        let columns = self.output.columns(&left.rows, &lefts, &right.rows, &rights, &[]);
        let weights = pairs.iter().map(|pair| pair.weight).collect();
        cx.counters.rows_out += pairs.len() as u64;
        self.ready.extend(batches(columns, &marks, Some(weights)).into_iter().map(Msg::Batch));
        if self.pairs.is_empty() {
            self.sides.iter_mut().for_each(Kept::free_left);
        }
    }

    /// Metadata of a row that leaves.
    fn mark(&self, work: &Work, pair: &Pair) -> Mark {
        let theirs = || self.sides[1 - work.side].marks.at(pair.theirs);
        if pair.alone {
            return theirs();
        }
        let mine = Mark::of(&work.batch.meta, pair.cause as usize);
        match (pair.theirs, work.side) {
            (NONE, _) => mine,
            (_, 0) => Mark::joined(&mine, &theirs()),
            _ => Mark::joined(&theirs(), &mine),
        }
    }

    fn act(&mut self, input: Input, cx: &mut OpCx<'_>) {
        let merged = match input {
            Input::Rows(side, batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.begin(side, batch);
                return;
            }
            Input::Barrier(id) => Some(Msg::Barrier(id)),
            Input::Watermark(side, at) => self.meet.merge(side, Msg::Watermark(at)),
            Input::Passed(side, record) => self.meet.merge(side, Msg::Passed(record)),
            Input::Idle(side) => self.meet.merge(side, Msg::Idle),
        };
        self.ready.extend(merged);
        while let Some(msg) = self.meet.ready() {
            self.ready.push_back(msg);
        }
    }
}

impl Work {
    /// Rows of the change that begins at `row`: one, or two that are one row's before and after under one key.
    fn change_at(&self, row: usize) -> Range<usize> {
        let (meta, next) = (&self.batch.meta, row + 1);
        let replaces = next < self.batch.rows
            && self.groups[row] == self.groups[next]
            && meta.weight_at(row) < 0
            && meta.weight_at(next) > 0
            && meta.order_at(row) == meta.order_at(next);
        row..next + usize::from(replaces)
    }
}

impl Operator for TableJoin {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(msg) = self.ready.pop_front() {
                return Ok(Some(msg));
            }
            if !self.pairs.is_empty() {
                self.give(cx);
            } else if self.work.is_some() {
                self.fill(cx);
            } else if let Some(input) = self.inputs.take() {
                self.act(input, cx);
            } else {
                return Ok(None);
            }
        }
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.save(out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.load(from, owns)
    }
}

#[cfg(test)]
mod tests;
