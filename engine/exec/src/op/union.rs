//! UNION ALL: the rows of all inputs, each as it came. Columns were brought to the same types in front of it. No state but
//! how far each input is: the watermark is the minimum over the inputs that are not idle, and a barrier goes on when every
//! input delivered it. Rows behind a barrier of one input may pass before the barrier of another: a cut then is a little
//! higher than it had to be, never lower.

use velostream_types::Fatal;

use crate::operator::{Msg, OpCx, Operator};
use crate::shard::Meet;

/// The operator.
pub struct Union {
    meet: Meet,
    ready: Option<Msg>,
}

impl Union {
    /// Merges so many inputs.
    pub fn new(inputs: usize) -> Union {
        Union { meet: Meet::new(inputs), ready: None }
    }
}

impl Operator for Union {
    fn push(&mut self, port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        if let Msg::Batch(batch) = &msg {
            cx.counters.rows_in += batch.rows as u64;
            cx.counters.rows_out += batch.rows as u64;
        }
        self.ready = self.meet.merge(port, msg);
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take().or_else(|| self.meet.ready()))
    }
}
