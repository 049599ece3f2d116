//! Rows that a Combine hands on one by one, for it cannot know whether they are late.
//!
//! A row is late by the watermark of its own partition or by the operator's, which is ahead of that only where a partition
//! gives its first rows behind it or was idle. A Combine knows its shard's watermark alone. So it judges by the
//! partitions' own, folds rows whose windows its shard's watermark (and what it heard of the operator's) leaves open,
//! and makes each other row a partial group of its own, with time, own watermark and bytes. The Aggregate judges those
//! rows. Cost: one comparison per batch of a partition that is not behind; a row that is costs a group.

use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, Fatal};

use super::runs::{Grid, Slice, times};
use super::store::{Addition, WindowStore, without};
use crate::agg::{Fold, States};
use crate::operator::OpCx;

impl WindowStore {
    /// Folds the rows of a batch in front of the exchange; answers those that the Aggregate has to judge, as partial
    /// groups of one row.
    pub(crate) fn fold_known(&mut self, mut batch: Batch, cx: &mut OpCx<'_>) -> Result<Option<Batch>, Fatal> {
        let Some(grid) = &self.grid else {
            self.fold_admitted(batch)?;
            return Ok(None);
        };
        let late = grid.late(&batch, WM_NONE)?;
        if !late.is_empty() {
            late.iter().for_each(|row| self.refuse_behind(WM_NONE, &batch, *row as usize, cx));
            if !grid.keeps_late() {
                batch = without(&batch, &late);
            }
        }
        let unknown = self.unknown(grid, &batch)?;
        if unknown.is_empty() {
            let batch = self.fresh(batch, cx)?;
            self.fold_admitted(batch)?;
            return Ok(None);
        }
        let single = batch.take(&unknown);
        let known = self.fresh(without(&batch, &unknown), cx)?;
        self.fold_admitted(known)?;
        self.single(single).map(Some)
    }

    /// Rows with a window that the highest watermark known here closes, though their own partition's does not.
    fn unknown(&self, grid: &Grid, batch: &Batch) -> Result<Vec<u32>, Fatal> {
        let own = batch.meta.wm_own.as_deref().unwrap_or(&[]);
        if own.iter().all(|own| *own >= self.watermark) {
            return Ok(Vec::new());
        }
        let times = times(batch)?;
        let closed = |row: &u32| {
            let (time, own) = (times[*row as usize], own[*row as usize]);
            let first = place(grid, time, own).first;
            own < self.watermark && grid.closes_at(first) <= self.watermark
        };
        Ok((0..batch.rows as u32).filter(closed).collect())
    }

    fn single(&mut self, batch: Batch) -> Result<Batch, Fatal> {
        let Some(grid) = &self.grid else { return Ok(batch) };
        let own = |row: usize| batch.meta.wm_own.as_ref().map_or(WM_NONE, |own| own[row]);
        let slices: Vec<Slice> = times(&batch)?.iter().enumerate().map(|(row, t)| place(grid, *t, own(row))).collect();
        for slice in &slices {
            self.held.add(&batch.meta, slice.last, 1);
        }
        let rows: Vec<u32> = (0..batch.rows as u32).collect();
        let mut states = States::new(&self.layout);
        states.grow(batch.rows, &mut self.pool);
        let weights = batch.meta.weight.as_deref();
        let fold = Fold { groups: &rows, start: 0, columns: &batch.columns, meta: &batch.meta, weights };
        states.update(&self.layout, fold, &mut self.pool);
        let mut columns: Vec<Column> = self.spec.keys.iter().map(|key| batch.columns[*key].clone()).collect();
        columns.push(Column::timestamps(slices.iter().map(|slice| slice.last).collect(), None));
        columns.push(Column::timestamps(slices.iter().map(|slice| slice.first).collect(), None));
        columns.extend(states.partial(&rows));
        states.release(&mut self.pool);
        Ok(Batch::new(columns, batch.rows, batch.meta))
    }

    /// Judges and folds partial groups of one row.
    pub(super) fn fold_single(&mut self, mut batch: Batch, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let Some(grid) = &self.grid else { return Ok(()) };
        // The Combine saw to those that are late by their own partition.
        let known = grid.late(&batch, WM_NONE)?;
        let mut late = grid.late(&batch, self.watermark)?;
        late.retain(|row| known.binary_search(row).is_err());
        late.iter().for_each(|row| self.refuse(&batch, *row as usize, cx));
        if !grid.keeps_late() {
            batch = without(&batch, &late);
        }
        let mut batch = self.fresh(batch, cx)?;
        let runs = self.runs(&mut batch)?;
        let keys: Vec<&Column> = batch.columns[..self.spec.keys.len()].iter().collect();
        self.scratch.encoder.encode(&keys, batch.rows);
        self.hasher.hash_all(self.scratch.encoder.keys(), &mut self.scratch.hashes);
        for run in runs {
            self.fold_run(run, Addition::Partials(&batch.columns[self.spec.keys.len() + 2..], &batch.meta));
        }
        Ok(())
    }
}

/// The windows of a row by the watermark of its partition alone; those of its time, where that closes them all.
fn place(grid: &Grid, time: i64, own: i64) -> Slice {
    grid.place(time, own).unwrap_or(Slice::one(grid.start(time)))
}
