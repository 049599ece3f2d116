//! A subquery whose rows are kept and looked at: conditions, grouping, values, ORDER BY and LIMIT.
//!
//! The rows that outer rows may meet are walked in blocks of pairs; expressions are computed a block at a time. Where the
//! value depends on nothing of the outer row but its key, it is computed once per key and kept until a row of that key
//! comes or goes. Cost: a gathered value per pair and column that is read; of a value that was kept a look-up.

use std::collections::BTreeMap;

use velostream_sql::plan::SubquerySpec;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, StateTable};
use velostream_types::time::WM_END;
use velostream_types::{Batch, DataType, Fatal, RecordError, SchemaRef};

use super::fold::Fold;
use super::kept::{Kept, Wants, floors};
use super::keys::Keys;
use super::pairs::{Failures, Needs, Work};
use super::verdict::{Answers, Judge, Verdict};
use crate::expr::Evaluator;

/// The subquery.
pub(super) struct Search {
    kept: Kept,
    condition: Option<(Evaluator, Needs)>,
    fold: Option<Fold>,
    judge: Judge,
    /// Values by key, where they depend on nothing else.
    known: Option<Known>,
    result: DataType,
}

/// Values that were computed and still hold.
struct Known {
    values: RowStore,
    /// By group + 1; the first is that of keys without rows.
    slots: Vec<u32>,
    failed: BTreeMap<u32, RecordError>,
}

/// Rows that are looked at for each outer row before all, where one may decide.
const FEW: usize = 8;
/// Stands for a value that is being computed.
const ASKED: u32 = NONE - 1;

/// Place of a group among the known values; that of no group is the first.
fn place_of(group: u32) -> usize {
    group.wrapping_add(1) as usize
}

impl Known {
    fn new(result: &DataType) -> Known {
        Known { values: RowStore::new(std::slice::from_ref(result)), slots: Vec::new(), failed: BTreeMap::new() }
    }

    fn slot(&self, group: u32) -> u32 {
        self.slots.get(place_of(group)).copied().unwrap_or(NONE)
    }

    fn set(&mut self, group: u32, slot: u32) {
        let at = place_of(group);
        if at >= self.slots.len() {
            self.slots.resize(at + 1, NONE);
        }
        self.slots[at] = slot;
    }

    /// Rows of this group came or went.
    fn forget(&mut self, group: u32) {
        let slot = self.slot(group);
        if slot != NONE {
            self.set(group, NONE);
            self.values.free(slot);
            self.failed.remove(&group);
        }
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.slots.capacity() * size_of::<u32>()
    }
}

impl Search {
    /// Of the subquery's input, which changes or not, for rows of `outer`.
    pub(super) fn new(spec: &SubquerySpec, input: &SchemaRef, changes: bool, outer: &SchemaRef) -> Search {
        let fold = spec.fold.as_ref().map(Fold::new);
        let judge = Judge::new(spec, outer);
        let wants = Wants {
            changes,
            places: judge.wants_places() || fold.as_ref().is_some_and(Fold::wants_places),
            keep_ns: spec.keep_ns,
        };
        let types: Vec<DataType> = input.fields.iter().map(|field| field.data_type.clone()).collect();
        let width = types.len();
        let needs = Needs::of(&spec.condition);
        let over = fold.as_ref().map_or(width, Fold::width);
        let depends = spec.keep_ns.is_some()
            || needs.reads_outer(width)
            || fold.as_ref().is_some_and(|fold| fold.reads_outer(width))
            || judge.reads_outer(over);
        let key = spec.keys.iter().map(|(_, kept)| *kept).collect();
        Search {
            kept: Kept::new(key, types, wants),
            condition: spec.condition.as_ref().map(|condition| (Evaluator::new(condition), needs)),
            fold,
            judge,
            known: (!depends).then(|| Known::new(&spec.result)),
            result: spec.result.clone(),
        }
    }

    /// Takes rows; `watermark` is that of the outer rows.
    pub(super) fn take(&mut self, batch: Batch, watermark: i64) {
        let Search { kept, known, .. } = self;
        kept.take(batch, watermark, &mut |group| {
            if let Some(known) = known {
                known.forget(group);
            }
        });
    }

    /// No outer row below this watermark will come but late ones.
    pub(super) fn expire(&mut self, watermark: i64) {
        self.kept.expire(watermark);
        if watermark == WM_END
            && let Some(known) = &mut self.known
        {
            *known = Known::new(&self.result);
        }
    }

    /// Group of each outer row; none where it meets nothing.
    pub(super) fn groups(&self, keys: &Keys, rows: usize) -> Vec<u32> {
        let find = |row: usize| match keys.is_null(row) {
            true => NONE,
            false => self.kept.find(keys.key(row), keys.hash(row)),
        };
        (0..rows).map(find).collect()
    }

    /// Rows that have to be looked at for an outer row of this group.
    pub(super) fn cost(&self, group: u32) -> usize {
        match &self.known {
            Some(known) if known.slot(group) != NONE => 0,
            _ if self.decides() => self.kept.length(group) / FEW,
            _ => self.kept.length(group),
        }
    }

    /// TRUE when one row may decide about an outer row.
    fn decides(&self) -> bool {
        self.fold.is_none() && self.judge.decides()
    }

    /// The value for each outer row; `groups` are those of the rows.
    pub(super) fn values(&mut self, outer: &Batch, groups: &[u32], work: &mut Work<'_>) -> Result<Answers, Fatal> {
        let Some(mut known) = self.known.take() else { return self.search(outer, groups, work) };
        let mut asked: Vec<u32> = Vec::new();
        for (row, group) in groups.iter().enumerate() {
            if known.slot(*group) == NONE {
                known.set(*group, ASKED);
                asked.push(row as u32);
            }
        }
        if !asked.is_empty() {
            let of: Vec<u32> = asked.iter().map(|row| groups[*row as usize]).collect();
            let answers = self.search(&outer.take(&asked), &of, work)?;
            let (all, mut slots) = ((0..asked.len() as u32).collect::<Vec<u32>>(), Vec::with_capacity(asked.len()));
            known.values.put_all(std::slice::from_ref(&answers.column), &all, &mut slots);
            of.iter().zip(slots).for_each(|(group, slot)| known.set(*group, slot));
            known.failed.extend(answers.failed.by_row.into_iter().map(|(at, error)| (of[at as usize], error)));
        }
        let slots: Vec<u32> = groups.iter().map(|group| known.slot(*group)).collect();
        let mut failed = Failures::default();
        if !known.failed.is_empty() {
            for (row, group) in groups.iter().enumerate() {
                if let Some(error) = known.failed.get(group) {
                    failed.add(row as u32, error.clone());
                }
            }
        }
        let column = known.values.gather(0, &slots);
        self.known = Some(known);
        Ok(Answers { column, failed })
    }

    /// Looks at the rows.
    fn search(&mut self, outer: &Batch, groups: &[u32], work: &mut Work<'_>) -> Result<Answers, Fatal> {
        let mut verdict = self.judge.begin(outer.rows);
        if let Some(fold) = &mut self.fold {
            fold.begin(outer.rows);
        }
        let floors = floors(outer, self.kept.keep_ns());
        let each = self.fold.is_some() || self.judge.counts_rows();
        let mut walk = self.kept.walk(groups, self.decides().then_some(FEW));
        let (mut rows, mut slots) = (Vec::new(), Vec::new());
        loop {
            rows.clear();
            slots.clear();
            let rule = (floors.as_slice(), verdict.decided.as_slice(), each);
            self.kept.candidates(&mut walk, rule, work.batch_rows.max(1), (&mut rows, &mut slots));
            if !rows.is_empty() {
                self.block(outer, (&mut rows, &mut slots), &mut verdict, work);
            } else if !walk.goes_on() {
                break;
            }
        }
        let Search { kept, fold, judge, .. } = self;
        let Some(fold) = fold else {
            let bring = |needs: &Needs, rows: &[u32], slots: &[u32]| {
                needs.batch(kept.width(), |column| kept.gather(column, slots), outer, rows)
            };
            return Ok(judge.finish(verdict, outer, bring, work));
        };
        let groups = fold.finish(outer, &mut verdict.failed, work)?;
        let width = fold.width();
        let bring = |needs: &Needs, rows: &[u32], items: &[u32]| {
            needs.batch(width, |column| groups.columns[column].take(items), outer, rows)
        };
        let items: Vec<u32> = (0..groups.owners.len() as u32).collect();
        let batch = bring(judge.offered(), &groups.owners, &items);
        let place = |item: u32| groups.first[item as usize];
        judge.offer(&mut verdict, (&groups.owners, &items), &batch, place, outer, work);
        Ok(judge.finish(verdict, outer, bring, work))
    }

    /// Takes a block of pairs.
    fn block(
        &mut self,
        outer: &Batch,
        (rows, slots): (&mut Vec<u32>, &mut Vec<u32>),
        verdict: &mut Verdict,
        work: &mut Work<'_>,
    ) {
        let Search { kept, condition, fold, judge, .. } = self;
        let pairs = |needs: &Needs, rows: &[u32], slots: &[u32]| {
            needs.batch(kept.width(), |column| kept.gather(column, slots), outer, rows)
        };
        if let Some((condition, needs)) = condition {
            let met = work.keeps(condition, &pairs(needs, rows, slots), rows, &mut verdict.failed);
            if met.len() < rows.len() {
                *rows = met.iter().map(|at| rows[*at]).collect();
                *slots = met.iter().map(|at| slots[*at]).collect();
            }
            if rows.is_empty() {
                return;
            }
        }
        match fold {
            Some(fold) => {
                let batch = pairs(fold.needs(), rows, slots);
                let meta = kept.meta(slots);
                let place = |at: usize| kept.place(slots[at]);
                fold.add(rows, &batch, &meta, place, &mut verdict.failed, work);
            }
            None => {
                let batch = pairs(judge.offered(), rows, slots);
                let place = |slot: u32| kept.place(slot).unwrap_or_default();
                judge.offer(verdict, (rows, slots), &batch, place, outer, work);
            }
        }
    }

    /// Groups and bytes held.
    pub(super) fn size(&self) -> (usize, usize) {
        let (groups, bytes) = self.kept.size();
        (groups, bytes + self.known.as_ref().map_or(0, Known::bytes))
    }

    pub(super) fn save(&self, name: String) -> StateTable {
        self.kept.save(name)
    }

    pub(super) fn load(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.kept.load(table, owns)
    }
}
