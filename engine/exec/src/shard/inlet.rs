//! Receiving side of one exchange edge on one shard: merges what all shards send into one stream.
//!
//! Rows keep the order of their sender. The merged watermark is the minimum over the senders that are not idle; a
//! barrier goes on once every sender delivered it, and a sender that did so is not read further until then.

use std::collections::VecDeque;

use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{EdgeId, ShardId};

use crate::operator::Msg;

/// Receiving side of one edge.
#[derive(Debug)]
pub struct Inlet {
    edge: EdgeId,
    senders: Vec<Sender>,
    /// Next sender to look at, so that none starves.
    turn: usize,
    /// Watermark given so far.
    watermark: i64,
    idle: bool,
    ready: VecDeque<Msg>,
    ended: bool,
}

#[derive(Debug)]
struct Sender {
    queue: VecDeque<Msg>,
    watermark: i64,
    idle: bool,
    barrier: Option<u64>,
}

impl Inlet {
    /// An inlet that hears from shards `0 .. shards`.
    pub fn new(edge: EdgeId, shards: u16) -> Inlet {
        let sender = || Sender { queue: VecDeque::new(), watermark: WM_NONE, idle: false, barrier: None };
        Inlet {
            edge,
            senders: (0..shards).map(|_| sender()).collect(),
            turn: 0,
            watermark: WM_NONE,
            idle: false,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// A message arrived; the sender spent a credit on it, so the queue is bounded by the credits.
    pub fn arrive(&mut self, from: ShardId, msg: Msg) {
        self.senders[from.index()].queue.push_back(msg);
    }

    /// TRUE when every sender ended (or was stopped) and all was given on.
    pub fn is_done(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// TRUE when nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.senders.iter().all(|s| s.queue.is_empty())
    }

    /// The next message of the merged stream. `credit` is told each sender whose message was taken.
    pub fn next(&mut self, credit: &mut dyn FnMut(EdgeId, ShardId)) -> Option<Msg> {
        if let Some(msg) = self.ready.pop_front() {
            return Some(msg);
        }
        for _ in 0..self.senders.len() {
            let s = self.turn;
            self.turn = (self.turn + 1) % self.senders.len();
            while self.senders[s].barrier.is_none() {
                let Some(msg) = self.senders[s].queue.pop_front() else { break };
                credit(self.edge, ShardId(s as u16));
                match self.merge(s, msg) {
                    None => continue,
                    some => return some,
                }
            }
        }
        None
    }

    fn merge(&mut self, s: usize, msg: Msg) -> Option<Msg> {
        match msg {
            Msg::Batch(_) | Msg::Chunk(_) => Some(msg),
            Msg::Watermark(at) => {
                let sender = &mut self.senders[s];
                sender.watermark = sender.watermark.max(at);
                sender.idle = false;
                let stopping = self.senders.iter().any(|s| s.barrier == Some(super::STOP_BARRIER));
                if at == WM_END && stopping { self.barrier(super::STOP_BARRIER) } else { self.advance() }
            }
            Msg::Idle => {
                self.senders[s].idle = true;
                self.advance()
            }
            Msg::Barrier(id) => {
                self.senders[s].barrier = Some(id);
                self.barrier(id)
            }
        }
    }

    /// The barrier, once every sender delivered it. A sender that ended has nothing to add to a stop.
    fn barrier(&mut self, id: u64) -> Option<Msg> {
        let stop = id == super::STOP_BARRIER;
        let delivered = |s: &Sender| s.barrier == Some(id) || (stop && s.watermark == WM_END);
        if !self.senders.iter().all(delivered) {
            return None;
        }
        for sender in &mut self.senders {
            sender.barrier = None;
        }
        self.ended |= stop;
        Some(Msg::Barrier(id))
    }

    /// Gives the merged watermark on when it moved. When no sender is live and some are idle it holds: senders that
    /// ended say nothing about the idle ones.
    fn advance(&mut self) -> Option<Msg> {
        let any_idle = self.senders.iter().any(|s| s.idle);
        let live = self.senders.iter().filter(|s| !s.idle && (s.watermark != WM_END || !any_idle));
        match live.map(|s| s.watermark).min() {
            Some(at) if at > self.watermark => {
                self.watermark = at;
                self.idle = false;
                self.ended |= at == WM_END;
                Some(Msg::Watermark(at))
            }
            Some(_) => None,
            None => {
                let first = !self.idle;
                self.idle = true;
                first.then_some(Msg::Idle)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inlet: &mut Inlet) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(msg) = inlet.next(&mut |_, _| {}) {
            out.push(match msg {
                Msg::Watermark(at) => format!("wm {at}"),
                Msg::Barrier(id) => format!("barrier {id}"),
                Msg::Idle => "idle".to_owned(),
                Msg::Batch(_) | Msg::Chunk(_) => "rows".to_owned(),
            });
        }
        out
    }

    #[test]
    fn the_watermark_is_the_minimum_over_senders_that_are_not_idle() {
        let mut inlet = Inlet::new(EdgeId(0), 2);
        inlet.arrive(ShardId(0), Msg::Watermark(10));
        assert!(drain(&mut inlet).is_empty());
        inlet.arrive(ShardId(1), Msg::Watermark(4));
        assert_eq!(drain(&mut inlet), ["wm 4"]);
        inlet.arrive(ShardId(1), Msg::Idle);
        assert_eq!(drain(&mut inlet), ["wm 10"]);
        inlet.arrive(ShardId(0), Msg::Idle);
        assert_eq!(drain(&mut inlet), ["idle"]);
        inlet.arrive(ShardId(1), Msg::Watermark(7));
        assert!(drain(&mut inlet).is_empty(), "a watermark never goes back");
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), [format!("wm {WM_END}")]);
        assert!(inlet.is_done());
    }

    #[test]
    fn an_idle_sender_beside_an_ended_one_holds_the_watermark() {
        let mut inlet = Inlet::new(EdgeId(0), 2);
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        inlet.arrive(ShardId(1), Msg::Idle);
        assert_eq!(drain(&mut inlet), ["idle"]);
        inlet.arrive(ShardId(1), Msg::Watermark(3));
        assert_eq!(drain(&mut inlet), ["wm 3"]);
    }

    #[test]
    fn a_stop_does_not_wait_for_senders_that_ended() {
        for order in [[0, 1], [1, 0]] {
            let mut inlet = Inlet::new(EdgeId(0), 2);
            for s in order {
                let msg = if s == 0 { Msg::Watermark(WM_END) } else { Msg::Barrier(crate::shard::STOP_BARRIER) };
                inlet.arrive(ShardId(s), msg);
            }
            assert_eq!(drain(&mut inlet), [format!("barrier {}", crate::shard::STOP_BARRIER)]);
            assert!(inlet.is_done());
        }
    }

    #[test]
    fn a_barrier_waits_for_every_sender_and_holds_back_what_follows_it() {
        let mut inlet = Inlet::new(EdgeId(0), 2);
        inlet.arrive(ShardId(0), Msg::Barrier(1));
        inlet.arrive(ShardId(0), Msg::Watermark(5));
        assert!(drain(&mut inlet).is_empty());
        inlet.arrive(ShardId(1), Msg::Watermark(3));
        inlet.arrive(ShardId(1), Msg::Barrier(1));
        assert_eq!(drain(&mut inlet), ["barrier 1", "wm 3"]);
    }
}
