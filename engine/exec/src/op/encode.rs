//! Columns to bytes on the shard that made the rows; the chunk then travels to the one writer of the sink.
//!
//! A changelog arrives as retraction pairs. For an upsert sink the −1 of a pair is dropped when its +1 follows with
//! the same key (the +1 replaces it); a −1 that stands alone is a delete. Pairs are never split over batches.

use std::sync::Arc;

use velostream_sql::plan::{SinkConnector, SinkPlan};
use velostream_types::time::ns_to_ms;
use velostream_types::{Batch, Chunk, Fatal, Value};

use crate::format::Encoder;
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Encode {
    plan: Arc<SinkPlan>,
    encoder: Encoder,
    /// The writer merges by order triple.
    with_order: bool,
    run_start_ms: i64,
    ready: Option<Msg>,
}

impl Encode {
    /// The encoder of a sink.
    pub fn new(plan: Arc<SinkPlan>, with_order: bool, run_start_ms: i64) -> Encode {
        let encoder = if plan.upsert {
            Encoder::new_upsert(plan.format, &plan.schema)
        } else {
            Encoder::new(plan.format, &plan.schema)
        };
        Encode { plan, encoder, with_order, run_start_ms, ready: None }
    }

    fn encode(&mut self, batch: &Batch, cx: &mut OpCx<'_>) -> Chunk {
        let mut chunk = cx.spare.pop().unwrap_or_default();
        let mut rows: Option<Vec<u32>> = None;
        if batch.meta.weight.is_none() {
            self.encoder.encode(batch, &mut chunk, &mut cx.counters.not_finite);
        } else {
            let mut written = Vec::with_capacity(batch.rows);
            for row in 0..batch.rows {
                if batch.meta.weight_at(row) > 0 {
                    self.encoder.encode_one(batch, row, &mut chunk, &mut cx.counters.not_finite);
                } else if !self.plan.upsert || self.replaced_by_next(batch, row) {
                    continue;
                } else {
                    self.encoder.encode_delete(batch, row, &self.plan.key, &mut chunk);
                }
                written.push(row as u32);
            }
            rows = Some(written);
        }
        cx.counters.rows_out += chunk.rows() as u64;
        self.annotate(batch, rows.as_deref(), &mut chunk);
        chunk
    }

    /// TRUE when the next row is the +1 that replaces this −1.
    fn replaced_by_next(&self, batch: &Batch, row: usize) -> bool {
        let next = row + 1;
        next < batch.rows
            && batch.meta.weight_at(next) > 0
            && self.plan.key.iter().all(|k| batch.columns[*k].value(row) == batch.columns[*k].value(next))
    }

    /// Order for merging writers, keys and times for topics.
    fn annotate(&self, batch: &Batch, rows: Option<&[u32]>, chunk: &mut Chunk) {
        let row_of = |i: usize| rows.map_or(i, |r| r[i] as usize);
        if self.with_order {
            chunk.order.extend((0..chunk.ends.len()).map(|i| batch.meta.order_at(row_of(i))));
        }
        if matches!(self.plan.connector, SinkConnector::Memory { .. }) {
            let rows = 0..chunk.rows();
            chunk.keys.extend(rows.clone().map(|i| key_text(batch, &self.plan.key, row_of(i))));
            let times = batch.meta.event_time.as_ref();
            chunk.times_ms.extend(rows.map(|i| times.map_or(self.run_start_ms, |t| ns_to_ms(t[row_of(i)]))));
        }
    }
}

/// Record key of a row: the key columns' text joined by `|`; a backslash is doubled, `|` in a value escaped, NULL `\N`.
fn key_text(batch: &Batch, key: &[usize], row: usize) -> Option<Box<[u8]>> {
    if key.is_empty() {
        return None;
    }
    if let [only] = key {
        let value = batch.columns[*only].value(row);
        return (!value.is_null()).then(|| value.to_string().into_bytes().into_boxed_slice());
    }
    let parts: Vec<String> = key
        .iter()
        .map(|k| match batch.columns[*k].value(row) {
            Value::Null => "\\N".to_owned(),
            value => value.to_string().replace('\\', "\\\\").replace('|', "\\|"),
        })
        .collect();
    Some(parts.join("|").into_bytes().into_boxed_slice())
}

impl Operator for Encode {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.ready = match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                let chunk = self.encode(&batch, cx);
                (!chunk.is_empty()).then_some(Msg::Chunk(chunk))
            }
            control => Some(control),
        };
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
