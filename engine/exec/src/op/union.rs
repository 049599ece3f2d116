//! UNION ALL: the rows of all inputs, each as it came. Columns were brought to the same types in front of it. No state but
//! how far each input is: the watermark is the minimum over the inputs that are not idle, and goes back where theirs do.
//! Barriers cut all inputs at once ([`Inputs`]).

use velostream_types::Fatal;

use super::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};
use crate::shard::Meet;

/// The operator.
pub struct Union {
    inputs: Inputs,
    meet: Meet,
}

impl Union {
    /// Merges so many inputs.
    pub fn new(inputs: usize) -> Union {
        Union { inputs: Inputs::new(inputs), meet: Meet::handing_back(inputs) }
    }

    /// What the next input makes of the whole; `None` when something has to arrive first.
    fn next(&mut self, cx: &mut OpCx<'_>) -> Option<Msg> {
        loop {
            let merged = match self.inputs.take()? {
                Input::Rows(_, batch) => {
                    cx.counters.rows_in += batch.rows as u64;
                    cx.counters.rows_out += batch.rows as u64;
                    Some(Msg::Batch(batch))
                }
                Input::Watermark(port, at) => self.meet.merge(port, Msg::Watermark(at)),
                Input::Passed(port, record) => self.meet.merge(port, Msg::Passed(record)),
                Input::Idle(port) => self.meet.merge(port, Msg::Idle),
                Input::Barrier(id) => Some(Msg::Barrier(id)),
            };
            if merged.is_some() {
                return merged;
            }
        }
    }
}

impl Operator for Union {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.meet.ready().or_else(|| self.next(cx)))
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
