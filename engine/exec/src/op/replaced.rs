//! Rows of a keyed relation that take each other's place, on their way out of the operator that keeps them.
//!
//! The row before leaves with −1 and the new one with +1, never split over batches. Cost: both are decoded from bytes.

use std::collections::VecDeque;

use velostream_state::build::ColumnBuilder;
use velostream_state::key::decode;
use velostream_types::{Batch, DataType, Fatal, RowMeta};

/// A key whose row is another one than before; rows as bytes.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) before: Option<Box<[u8]>>,
    pub(super) after: Option<Box<[u8]>>,
    /// Row of the batch that made it so.
    pub(super) cause: u32,
}

/// What one batch changed.
#[derive(Debug, Default)]
pub(super) struct Replacements {
    changes: VecDeque<Change>,
    /// What rows on their way out take their times from.
    meta: Option<RowMeta>,
}

impl Replacements {
    /// Takes what a batch of these times changed; all of the last batch is out.
    pub(super) fn set(&mut self, changes: Vec<Change>, meta: RowMeta) {
        self.changes = changes.into();
        self.meta = Some(meta);
    }

    /// The next rows, of these types; `None` when all changes are out.
    pub(super) fn next(&mut self, types: &[DataType], batch_rows: usize) -> Result<Option<Batch>, Fatal> {
        let Some(meta) = &self.meta else { return Ok(None) };
        let mut columns: Vec<ColumnBuilder> = types.iter().map(ColumnBuilder::new).collect();
        let (mut causes, mut weights) = (Vec::new(), Vec::<i8>::new());
        while weights.is_empty() || weights.len() + 2 <= batch_rows {
            let Some(change) = self.changes.pop_front() else { break };
            for (values, weight) in [(change.before, -1), (change.after, 1)] {
                let Some(values) = values else { continue };
                if decode(&values, &mut columns).is_none() {
                    return Err(Fatal::new("state is corrupt: a row's bytes do not decode"));
                }
                causes.push(change.cause);
                weights.push(weight);
            }
        }
        if weights.is_empty() {
            self.meta = None;
            return Ok(None);
        }
        let taken = meta.take(&causes);
        let meta = RowMeta { raw: None, records: None, weight: Some(weights.into()), ..taken };
        Ok(Some(Batch::new(columns.into_iter().map(ColumnBuilder::finish).collect(), causes.len(), meta)))
    }
}
