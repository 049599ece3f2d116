//! Sending side of one exchange edge on one shard: splits rows, keeps what has no credit yet, counts the waits.
//!
//! Credits are per (edge, ordered pair of shards), so a full edge never blocks another. An outlet takes a new message
//! only when everything of the message before has left: that is its output cursor. Nothing is dropped.

use std::collections::VecDeque;

use velostream_types::{EdgeId, ShardId};

use super::io::Envelope;
use crate::operator::Msg;
use crate::route::KeyRouter;

/// Where an outlet's rows go.
#[derive(Debug)]
pub enum Target {
    /// The owner of each row's key.
    Key(KeyRouter),
    /// Every shard.
    All,
    /// The one writer of a sink or dead-letter file.
    Writer(ShardId),
}

/// Sending side of one edge.
#[derive(Debug)]
pub struct Outlet {
    edge: EdgeId,
    own: ShardId,
    target: Target,
    lanes: Vec<Lane>,
    /// Messages that found no credit when they were ready to leave.
    credit_waits: u64,
    /// The end of input (or the stop mark) was taken: nothing follows.
    closed: bool,
}

#[derive(Debug)]
struct Lane {
    pending: VecDeque<Msg>,
    credits: u32,
    /// The message in front was already counted as waiting.
    waiting: bool,
}

impl Outlet {
    /// An outlet of shard `own` with `credits` messages in flight per receiver.
    pub fn new(edge: EdgeId, own: ShardId, shards: u16, target: Target, credits: u32) -> Outlet {
        let lanes = (0..shards).map(|_| Lane { pending: VecDeque::new(), credits, waiting: false }).collect();
        Outlet { edge, own, target, lanes, credit_waits: 0, closed: false }
    }

    /// TRUE when a new message may be taken.
    pub fn is_clear(&self) -> bool {
        self.lanes.iter().all(|lane| lane.pending.is_empty())
    }

    /// TRUE when the last message of the input has left.
    pub fn is_done(&self) -> bool {
        self.closed && self.is_clear()
    }

    /// Messages that had to wait for a credit so far.
    pub fn credit_waits(&self) -> u64 {
        self.credit_waits
    }

    /// Gives back credits of receiver `from`.
    pub fn add_credits(&mut self, from: ShardId, credits: u32) {
        self.lanes[from.index()].credits += credits;
    }

    /// Takes one message; only legal when [`Outlet::is_clear`].
    pub fn take(&mut self, msg: Msg) {
        debug_assert!(self.is_clear() && !self.closed, "an outlet takes one message at a time, none after the end");
        match msg {
            Msg::Batch(batch) => match &mut self.target {
                Target::Key(router) => {
                    for (shard, part) in router.split(batch) {
                        self.lanes[shard.index()].pending.push_back(Msg::Batch(part));
                    }
                }
                Target::All => {
                    self.lanes.iter_mut().for_each(|lane| lane.pending.push_back(Msg::Batch(batch.clone())));
                }
                Target::Writer(shard) => self.lanes[shard.index()].pending.push_back(Msg::Batch(batch)),
            },
            Msg::Chunk(chunk) => {
                let Target::Writer(shard) = &self.target else { unreachable!("chunks only travel to writers") };
                self.lanes[shard.index()].pending.push_back(Msg::Chunk(chunk));
            }
            control => {
                self.closed = super::ends_stream(&control);
                match &self.target {
                    Target::Writer(shard) => self.lanes[shard.index()].pending.push_back(control),
                    Target::Key(_) | Target::All => {
                        for lane in &mut self.lanes {
                            lane.pending.push_back(control.clone());
                        }
                    }
                }
            }
        }
    }

    /// Lets out what has credit: to this shard through `local`, to others through `mesh`. Answers whether anything
    /// moved.
    pub fn send(&mut self, local: &mut Vec<(EdgeId, Msg)>, mesh: &mut Vec<(ShardId, Envelope)>) -> bool {
        let mut moved = false;
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            while !lane.pending.is_empty() {
                if lane.credits == 0 {
                    self.credit_waits += u64::from(!lane.waiting);
                    lane.waiting = true;
                    break;
                }
                let Some(msg) = lane.pending.pop_front() else { break };
                lane.credits -= 1;
                lane.waiting = false;
                moved = true;
                if shard == self.own.index() {
                    local.push((self.edge, msg));
                } else {
                    mesh.push((ShardId(shard as u16), Envelope::Msg(self.edge, msg)));
                }
            }
        }
        moved
    }
}
