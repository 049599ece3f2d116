//! UNION ALL: the rows of all inputs, each as it came. Columns were brought to the same types in front of it. No state but
//! how far each input is: the watermark is the minimum over the inputs that are not idle, and goes back where theirs do; a
//! barrier goes on when every input delivered it. What an input brings behind a barrier waits until then, so that the barrier cuts all inputs at once;
//! what waits is bounded by what arrives while the barrier is on its way through the slowest of them.

use std::collections::VecDeque;

use velostream_types::Fatal;

use crate::operator::{Msg, OpCx, Operator};
use crate::shard::Meet;

/// The operator.
pub struct Union {
    meet: Meet,
    ready: Option<Msg>,
    /// By input: what stands behind a barrier that others lack.
    waiting: Vec<VecDeque<Msg>>,
}

impl Union {
    /// Merges so many inputs.
    pub fn new(inputs: usize) -> Union {
        Union { meet: Meet::handing_back(inputs), ready: None, waiting: vec![VecDeque::new(); inputs] }
    }

    fn merge(&mut self, port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Option<Msg> {
        if let Msg::Batch(batch) = &msg {
            cx.counters.rows_in += batch.rows as u64;
            cx.counters.rows_out += batch.rows as u64;
        }
        self.meet.merge(port, msg)
    }

    /// The next message that had to wait and need not any more.
    fn next_waiting(&mut self, cx: &mut OpCx<'_>) -> Option<Msg> {
        for port in 0..self.waiting.len() {
            while !self.meet.waits(port) {
                let Some(msg) = self.waiting[port].pop_front() else { break };
                let merged = self.merge(port, msg, cx);
                if merged.is_some() {
                    return merged;
                }
            }
        }
        None
    }
}

impl Operator for Union {
    fn push(&mut self, port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        if self.meet.waits(port) {
            self.waiting[port].push_back(msg);
        } else {
            self.ready = self.merge(port, msg, cx);
        }
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take().or_else(|| self.meet.ready()).or_else(|| self.next_waiting(cx)))
    }

    fn hands_back_on(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::NodeCounters;
    use velostream_types::{Batch, Column, RowMeta, SourceId};

    fn rows(n: i64) -> Msg {
        Msg::Batch(Batch::new(vec![Column::ints(vec![n], None)], 1, RowMeta::plain(SourceId(0), 0, n)))
    }

    fn check(inputs: Vec<(usize, Msg)>, expect: &[&str]) -> NodeCounters {
        let mut union = Union::new(2);
        let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
        let mut cx =
            OpCx { now_ns: 0, batch_rows: 8, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
        let mut out = Vec::new();
        for (port, msg) in inputs {
            union.push(port, msg, &mut cx).expect("taken");
            while let Some(msg) = union.pull(&mut cx).expect("given") {
                out.push(match msg {
                    Msg::Batch(batch) => format!("row {}", batch.columns[0].value(0)),
                    Msg::Barrier(id) => format!("barrier {id}"),
                    Msg::Watermark(at) => format!("wm {at}"),
                    Msg::Idle => "idle".to_owned(),
                    other => format!("{other:?}"),
                });
            }
        }
        assert_eq!(out, expect);
        counters
    }

    #[test]
    fn a_barrier_cuts_all_inputs_at_once() {
        let inputs = vec![
            (0, Msg::Barrier(1)),
            (0, rows(1)),
            (0, Msg::Watermark(9)),
            (1, rows(2)),
            (1, Msg::Barrier(1)),
            (1, Msg::Watermark(4)),
        ];
        let counters = check(inputs, &["row 2", "barrier 1", "row 1", "wm 4"]);
        assert_eq!((counters.rows_in, counters.rows_out), (2, 2));
    }

    #[test]
    fn a_watermark_that_goes_back_is_handed_on() {
        let inputs = vec![
            (0, Msg::Watermark(9)),
            (1, Msg::Watermark(4)),
            (0, Msg::Watermark(2)),
            (1, Msg::Watermark(7)),
            (0, Msg::Watermark(8)),
        ];
        check(inputs, &["wm 4", "wm 2", "wm 7"]);
    }

    #[test]
    fn an_input_that_wakes_is_told_of_though_its_watermark_stands() {
        let inputs = vec![
            (0, Msg::Watermark(9)),
            (1, Msg::Watermark(4)),
            (1, Msg::Idle),
            (0, Msg::Idle),
            (0, Msg::Watermark(9)),
            (1, Msg::Watermark(4)),
        ];
        check(inputs, &["wm 4", "wm 9", "idle", "wm 9", "wm 4"]);
    }
}
