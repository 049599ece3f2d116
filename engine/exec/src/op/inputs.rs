//! Several inputs of one operator behind one barrier.
//!
//! The messages of each input come out in its order. What an input brings behind a barrier waits until every other one
//! delivered that barrier, stopped or ended, so that the barrier cuts all of them at once; what waits is bounded by what
//! arrives while the barrier is on its way through the slowest of them. Watermarks are those of the input alone: what they
//! mean together is the operator's business.

use std::collections::VecDeque;

use velostream_types::Batch;
use velostream_types::time::WM_END;

use crate::operator::Msg;
use crate::shard::STOP_BARRIER;

/// The inputs.
#[derive(Debug)]
pub struct Inputs {
    ports: Vec<Port>,
}

#[derive(Debug, Default)]
struct Port {
    waiting: VecDeque<Msg>,
    /// The barrier it waits at.
    barrier: Option<u64>,
    /// Nothing follows.
    ended: bool,
}

/// What an operator takes next.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once per batch of a thousand rows; a box would cost an allocation"
)]
pub enum Input {
    /// Rows of an input.
    Rows(usize, Batch),
    /// Watermark of an input; `WM_END`: it ended.
    Watermark(usize, i64),
    /// Record number that an input passed.
    Passed(usize, i64),
    /// An input has nothing to say until its next message.
    Idle(usize),
    /// A barrier that all inputs delivered.
    Barrier(u64),
}

impl Inputs {
    /// So many inputs.
    pub fn new(ports: usize) -> Inputs {
        Inputs { ports: (0..ports).map(|_| Port::default()).collect() }
    }

    /// A message of input `port`.
    pub fn push(&mut self, port: usize, msg: Msg) {
        self.ports[port].waiting.push_back(msg);
    }

    /// The next thing to act on; `None` when something has to arrive first.
    pub fn take(&mut self) -> Option<Input> {
        for (at, port) in self.ports.iter_mut().enumerate() {
            while port.barrier.is_none()
                && let Some(msg) = port.waiting.pop_front()
            {
                match msg {
                    Msg::Batch(batch) => return Some(Input::Rows(at, batch)),
                    Msg::Watermark(wm) => {
                        port.ended |= wm == WM_END;
                        return Some(Input::Watermark(at, wm));
                    }
                    Msg::Passed(record) => return Some(Input::Passed(at, record)),
                    Msg::Idle => return Some(Input::Idle(at)),
                    Msg::Barrier(id) => port.barrier = Some(id),
                    // The shard sees to it.
                    Msg::Loaded => {}
                    Msg::Chunk(_) => unreachable!("chunks only travel to writers"),
                }
            }
        }
        self.barrier()
    }

    /// The lowest barrier an input waits at, once every input delivered it, stopped or ended.
    fn barrier(&mut self) -> Option<Input> {
        let id = self.ports.iter().filter_map(|port| port.barrier).min()?;
        if !self.ports.iter().all(|port| port.barrier.is_some() || port.ended) {
            return None;
        }
        for port in self.ports.iter_mut().filter(|port| port.barrier == Some(id) && id != STOP_BARRIER) {
            port.barrier = None;
        }
        for port in self.ports.iter_mut().filter(|_| id == STOP_BARRIER) {
            (port.barrier, port.ended) = (None, true);
        }
        Some(Input::Barrier(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inputs: &mut Inputs) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(input) = inputs.take() {
            out.push(match input {
                Input::Rows(port, batch) => format!("rows {port} {}", batch.rows),
                Input::Watermark(port, at) => format!("wm {port} {at}"),
                Input::Passed(port, record) => format!("passed {port} {record}"),
                Input::Idle(port) => format!("idle {port}"),
                Input::Barrier(id) => format!("barrier {id}"),
            });
        }
        out
    }

    #[test]
    fn a_barrier_cuts_all_inputs_at_once() {
        let mut inputs = Inputs::new(2);
        inputs.push(0, Msg::Barrier(1));
        inputs.push(0, Msg::Watermark(9));
        assert!(drain(&mut inputs).is_empty());
        inputs.push(1, Msg::Watermark(4));
        inputs.push(1, Msg::Barrier(1));
        inputs.push(1, Msg::Idle);
        assert_eq!(drain(&mut inputs), ["wm 1 4", "barrier 1", "wm 0 9", "idle 1"]);
    }

    #[test]
    fn a_barrier_does_not_wait_for_an_input_that_ended_or_stopped() {
        for (last, told) in
            [(Msg::Watermark(WM_END), Some(format!("wm 1 {WM_END}"))), (Msg::Barrier(STOP_BARRIER), None)]
        {
            let mut inputs = Inputs::new(2);
            inputs.push(1, last);
            inputs.push(0, Msg::Barrier(3));
            inputs.push(0, Msg::Watermark(5));
            let want: Vec<String> = told.into_iter().chain(["barrier 3".to_owned(), "wm 0 5".to_owned()]).collect();
            assert_eq!(drain(&mut inputs), want);
        }
    }

    #[test]
    fn a_stop_ends_every_input() {
        let mut inputs = Inputs::new(2);
        inputs.push(0, Msg::Barrier(STOP_BARRIER));
        inputs.push(1, Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inputs), [format!("wm 1 {WM_END}"), format!("barrier {STOP_BARRIER}")]);
        assert!(drain(&mut inputs).is_empty());
    }
}
