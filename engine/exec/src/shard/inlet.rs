//! Receiving side of one exchange edge on one shard: merges what all shards send into one stream.
//!
//! Rows keep the order of their sender; `meet` says what becomes of watermarks and barriers. A sender that delivered a
//! barrier is not read further until the others did.

use std::collections::VecDeque;

use velostream_types::{EdgeId, ShardId};

use super::meet::Meet;
use crate::operator::Msg;

/// Receiving side of one edge.
#[derive(Debug)]
pub struct Inlet {
    edge: EdgeId,
    /// Shard of the first sender.
    first: u16,
    queues: Vec<VecDeque<Msg>>,
    meet: Meet,
    /// Next sender to look at, so that none starves.
    turn: usize,
}

impl Inlet {
    /// An inlet that hears from shards `0 .. shards`.
    pub fn new(edge: EdgeId, shards: u16) -> Inlet {
        Inlet::of(edge, 0, Meet::new(usize::from(shards)), shards)
    }

    /// An inlet that hears from shards `0 .. shards`, whose rows went through an exchange already: what they send are
    /// shares of one stream.
    pub fn of_shares(edge: EdgeId, shards: u16) -> Inlet {
        Inlet::of(edge, 0, Meet::of_shares(usize::from(shards)), shards)
    }

    /// An inlet that hears from shard `only`.
    pub fn from_one(edge: EdgeId, only: ShardId) -> Inlet {
        Inlet::of(edge, only.0, Meet::new(1), 1)
    }

    fn of(edge: EdgeId, first: u16, meet: Meet, shards: u16) -> Inlet {
        let queues = (0..shards).map(|_| VecDeque::new()).collect();
        Inlet { edge, first, queues, meet, turn: 0 }
    }

    /// A message arrived; the sender spent a credit on it, so the queue is bounded by the credits.
    pub fn arrive(&mut self, from: ShardId, msg: Msg) {
        self.queues[from.index() - usize::from(self.first)].push_back(msg);
    }

    /// TRUE when every sender ended (or was stopped) and all was given on.
    pub fn is_done(&self) -> bool {
        self.meet.is_done()
    }

    /// TRUE when nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.meet.is_empty() && self.queues.iter().all(VecDeque::is_empty)
    }

    /// The next message of the merged stream. `credit` is told each sender whose message was taken.
    pub fn next(&mut self, credit: &mut dyn FnMut(EdgeId, ShardId)) -> Option<Msg> {
        if let Some(msg) = self.meet.ready() {
            return Some(msg);
        }
        for _ in 0..self.queues.len() {
            let s = self.turn;
            self.turn = (self.turn + 1) % self.queues.len();
            while !self.meet.waits(s) {
                let Some(msg) = self.queues[s].pop_front() else { break };
                credit(self.edge, ShardId(self.first + s as u16));
                match self.meet.merge(s, msg) {
                    None => continue,
                    some => return some,
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::time::WM_END;

    fn drain(inlet: &mut Inlet) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(msg) = inlet.next(&mut |_, _| {}) {
            out.push(match msg {
                Msg::Watermark(at) => format!("wm {at}"),
                Msg::Passed(record) => format!("passed {record}"),
                Msg::Barrier(id) => format!("barrier {id}"),
                Msg::Loaded => "loaded".to_owned(),
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
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), ["idle"], "it woke and ended; the other is idle still");
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), [format!("wm {WM_END}")]);
        assert!(inlet.is_done());
    }

    #[test]
    fn a_record_number_is_passed_when_every_sender_passed_it_or_ended() {
        let mut inlet = Inlet::new(EdgeId(0), 2);
        inlet.arrive(ShardId(0), Msg::Passed(10));
        assert!(drain(&mut inlet).is_empty());
        inlet.arrive(ShardId(1), Msg::Passed(4));
        assert_eq!(drain(&mut inlet), ["passed 4"]);
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), ["passed 10"]);
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), [format!("wm {WM_END}")]);
    }

    #[test]
    fn loaded_is_what_every_sender_gave_or_ended_with() {
        let mut inlet = Inlet::new(EdgeId(0), 3);
        inlet.arrive(ShardId(0), Msg::Loaded);
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        assert!(drain(&mut inlet).is_empty());
        inlet.arrive(ShardId(2), Msg::Barrier(1));
        inlet.arrive(ShardId(2), Msg::Loaded);
        assert!(drain(&mut inlet).is_empty(), "it stands behind the barrier");
        inlet.arrive(ShardId(0), Msg::Barrier(1));
        assert_eq!(drain(&mut inlet), ["barrier 1", "loaded"]);
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        inlet.arrive(ShardId(2), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), [format!("wm {WM_END}")]);
    }

    #[test]
    fn loaded_never_follows_a_stop() {
        let mut inlet = Inlet::new(EdgeId(0), 2);
        inlet.arrive(ShardId(0), Msg::Loaded);
        inlet.arrive(ShardId(0), Msg::Barrier(crate::shard::STOP_BARRIER));
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), ["loaded".to_owned(), format!("barrier {}", crate::shard::STOP_BARRIER)]);
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

    /// Shard 1 heard that all went idle before it heard how far they had come; shard 0 heard it the other way round.
    #[test]
    fn an_idle_share_holds_what_the_others_gave() {
        let mut inlet = Inlet::of_shares(EdgeId(0), 3);
        for shard in 0..3 {
            inlet.arrive(ShardId(shard), Msg::Watermark(5));
        }
        inlet.arrive(ShardId(1), Msg::Idle);
        inlet.arrive(ShardId(0), Msg::Watermark(WM_END));
        inlet.arrive(ShardId(2), Msg::Watermark(9));
        assert_eq!(drain(&mut inlet), ["wm 5"]);
        inlet.arrive(ShardId(1), Msg::Watermark(WM_END));
        inlet.arrive(ShardId(2), Msg::Idle);
        assert_eq!(drain(&mut inlet), ["wm 9", "idle"]);
        inlet.arrive(ShardId(2), Msg::Watermark(WM_END));
        assert_eq!(drain(&mut inlet), [format!("wm {WM_END}")]);
    }
}
