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
    /// Shard of the first sender.
    first: u16,
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
        Inlet::of(edge, 0, shards)
    }

    /// An inlet that hears from shard `only`.
    pub fn from_one(edge: EdgeId, only: ShardId) -> Inlet {
        Inlet::of(edge, only.0, 1)
    }

    fn of(edge: EdgeId, first: u16, shards: u16) -> Inlet {
        let sender = || Sender { queue: VecDeque::new(), watermark: WM_NONE, idle: false, barrier: None };
        Inlet {
            edge,
            first,
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
        self.senders[from.index() - usize::from(self.first)].queue.push_back(msg);
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
                credit(self.edge, ShardId(self.first + s as u16));
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
                let moved = self.advance();
                // A sender that ends may be the one a barrier waited for; the watermark stands before it.
                let barrier = if at == WM_END { self.barrier() } else { None };
                match (moved, barrier) {
                    (Some(moved), Some(barrier)) => {
                        self.ready.push_back(barrier);
                        Some(moved)
                    }
                    (moved, barrier) => moved.or(barrier),
                }
            }
            Msg::Idle => {
                self.senders[s].idle = true;
                self.advance()
            }
            Msg::Barrier(id) => {
                self.senders[s].barrier = Some(id);
                self.barrier()
            }
        }
    }

    /// The lowest barrier that a sender waits at, once every sender delivered it, stopped or ended.
    fn barrier(&mut self) -> Option<Msg> {
        let id = self.senders.iter().filter_map(|s| s.barrier).min()?;
        if !self.senders.iter().all(|s| s.barrier.is_some() || s.watermark == WM_END) {
            return None;
        }
        for sender in self.senders.iter_mut().filter(|s| s.barrier == Some(id)) {
            sender.barrier = None;
        }
        self.ended |= id == super::STOP_BARRIER;
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
    fn a_barrier_does_not_wait_for_senders_that_ended_or_stopped() {
        let stop = crate::shard::STOP_BARRIER;
        for (last, want) in [
            (Msg::Watermark(WM_END), vec!["wm 5".to_owned(), "barrier 1".to_owned()]),
            (Msg::Barrier(stop), vec!["barrier 1".to_owned()]),
        ] {
            for barrier_first in [true, false] {
                let mut inlet = Inlet::new(EdgeId(0), 2);
                let mut got = Vec::new();
                for sender in if barrier_first { [0, 1] } else { [1, 0] } {
                    if sender == 0 {
                        inlet.arrive(ShardId(0), Msg::Watermark(5));
                        inlet.arrive(ShardId(0), Msg::Barrier(1));
                    } else {
                        inlet.arrive(ShardId(1), last.clone());
                    }
                    got.extend(drain(&mut inlet));
                }
                assert_eq!(got, want, "{barrier_first}");
            }
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
