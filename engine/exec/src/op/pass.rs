//! Pass: rows of a declared TABLE on their way to the joins that keep the last one of each key.
//!
//! Stands where an Upsert would, when nobody but these joins reads the table. Rows pass as they come; a row whose `deleted`
//! column is TRUE only ends the row of its key, and leaves as one taken back. No state.

use velostream_types::{Fatal, Value};

use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Pass {
    deleted: Option<usize>,
    ready: Option<Msg>,
}

impl Pass {
    /// Where a row whose column `deleted` is TRUE ends its key.
    pub fn new(deleted: Option<usize>) -> Pass {
        Pass { deleted, ready: None }
    }
}

impl Operator for Pass {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.ready = Some(match msg {
            Msg::Batch(mut batch) => {
                cx.counters.rows_in += batch.rows as u64;
                cx.counters.rows_out += batch.rows as u64;
                if let Some(column) = self.deleted {
                    let ends = |row| batch.columns[column].value(row) == Value::Bool(true);
                    let weights: Vec<i8> = (0..batch.rows).map(|row| if ends(row) { -1 } else { 1 }).collect();
                    batch.meta.weight = weights.contains(&-1).then(|| weights.into());
                }
                Msg::Batch(batch)
            }
            other => other,
        });
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
