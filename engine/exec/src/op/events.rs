//! A relation that changes becomes events: every row that was given stays given, rows that were taken back are left out.
//! Stateless; stands where a STREAM is made of a TABLE.

use arrow_array::BooleanArray;
use velostream_types::Fatal;

use crate::operator::{Msg, OpCx, Operator};

/// The operator.
#[derive(Debug, Default)]
pub struct Events {
    ready: Option<Msg>,
}

impl Operator for Events {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let Msg::Batch(mut batch) = msg else {
            self.ready = Some(msg);
            return Ok(());
        };
        cx.counters.rows_in += batch.rows as u64;
        if let Some(weights) = batch.meta.weight.take() {
            let stays: Vec<bool> = weights.iter().map(|weight| *weight > 0).collect();
            if stays.contains(&false) {
                batch = batch.filter(&BooleanArray::from(stays));
            }
        }
        cx.counters.rows_out += batch.rows as u64;
        self.ready = (batch.rows > 0).then_some(Msg::Batch(batch));
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
