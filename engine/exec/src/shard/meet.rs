//! Where streams meet: one watermark, one passed record number, one barrier, one end out of several. Used by the receiving side of an exchange,
//! whose streams are the senders, and by UNION, whose streams are its inputs. Rows pass as they come.
//!
//! A stream's watermark goes back when a partition joins or wakes behind others. Behind an exchange the merged one never
//! does: whoever reads it has closed windows by it. A UNION hands it back on, for other shards may not have come so far.

use std::collections::VecDeque;

use velostream_types::time::{WM_END, WM_NONE};

use crate::operator::Msg;

/// Several streams that become one.
#[derive(Debug)]
pub struct Meet {
    streams: Vec<Stream>,
    /// The streams are shares of one: each sender hears of the same partitions, so an idle one has only not heard yet
    /// what moved the others. It holds what the others gave until it has caught up, or its rows would come behind the
    /// watermark that they are to stand in front of.
    shares: bool,
    /// What is given goes back with the streams.
    hands_back: bool,
    /// Watermark given last.
    watermark: i64,
    /// Record number given so far.
    passed: i64,
    idle: bool,
    /// Given before anything else is merged.
    ready: VecDeque<Msg>,
    ended: bool,
    /// All streams were found to be loaded.
    loaded: bool,
}

#[derive(Clone, Debug)]
struct Stream {
    watermark: i64,
    /// No row of a record below this number will follow; an ended stream has passed all.
    passed: i64,
    idle: bool,
    barrier: Option<u64>,
    /// It gave what was there when the run began; an ended stream did.
    loaded: bool,
}

impl Meet {
    /// A meeting of so many streams.
    pub fn new(streams: usize) -> Meet {
        let stream = Stream { watermark: WM_NONE, passed: i64::MIN, idle: false, barrier: None, loaded: false };
        Meet {
            streams: vec![stream; streams],
            shares: false,
            hands_back: false,
            watermark: WM_NONE,
            passed: i64::MIN,
            idle: false,
            ready: VecDeque::new(),
            ended: false,
            loaded: false,
        }
    }

    /// The same of streams that are shares of one, see [`Meet::shares`].
    pub fn of_shares(streams: usize) -> Meet {
        Meet { shares: true, ..Meet::new(streams) }
    }

    /// The same in front of an exchange, see [`Meet::hands_back`].
    pub fn handing_back(streams: usize) -> Meet {
        Meet { hands_back: true, ..Meet::new(streams) }
    }

    /// What is to be given on before the next message is merged.
    pub fn ready(&mut self) -> Option<Msg> {
        self.ready.pop_front()
    }

    /// TRUE when nothing is to be given on.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// TRUE when every stream ended (or was stopped) and all was given on.
    pub fn is_done(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// TRUE when stream number `s` waits at a barrier that the others have not reached.
    pub fn waits(&self, s: usize) -> bool {
        self.streams[s].barrier.is_some()
    }

    /// A message of stream number `s`; answers what it makes of the whole, [`Meet::ready`] the rest.
    pub fn merge(&mut self, s: usize, msg: Msg) -> Option<Msg> {
        if matches!(msg, Msg::Loaded | Msg::Watermark(WM_END)) {
            self.streams[s].loaded = true;
            let all =
                !std::mem::replace(&mut self.loaded, self.streams.iter().all(|stream| stream.loaded)) && self.loaded;
            let merged = self.merged(s, msg);
            if !all || matches!(merged, Some(Msg::Watermark(WM_END))) {
                return merged;
            }
            // In front of the rest: nothing follows a stop.
            if let Some(merged) = merged {
                self.ready.push_front(merged);
            }
            return Some(Msg::Loaded);
        }
        self.merged(s, msg)
    }

    fn merged(&mut self, s: usize, msg: Msg) -> Option<Msg> {
        match msg {
            Msg::Loaded => None,
            Msg::Batch(_) | Msg::Chunk(_) => Some(msg),
            Msg::Passed(record) => {
                let stream = &mut self.streams[s];
                stream.passed = stream.passed.max(record);
                self.pass()
            }
            Msg::Watermark(at) => {
                let stream = &mut self.streams[s];
                stream.watermark = at;
                stream.idle = false;
                if at == WM_END {
                    stream.passed = i64::MAX;
                    // In front of what the end is for the others; rows that this frees are not behind the watermark.
                    if let Some(passed) = self.pass() {
                        let moved = self.advance();
                        self.ready.extend(moved);
                        let barrier = self.barrier();
                        self.ready.extend(barrier);
                        return Some(passed);
                    }
                }
                let moved = self.advance();
                // A stream that ends may be the one a barrier waited for; the watermark stands before it.
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
                self.streams[s].idle = true;
                self.advance()
            }
            Msg::Barrier(id) => {
                self.streams[s].barrier = Some(id);
                self.barrier()
            }
        }
    }

    /// The lowest barrier that a stream waits at, once every stream delivered it, stopped or ended.
    fn barrier(&mut self) -> Option<Msg> {
        let id = self.streams.iter().filter_map(|s| s.barrier).min()?;
        if !self.streams.iter().all(|s| s.barrier.is_some() || s.watermark == WM_END) {
            return None;
        }
        for stream in self.streams.iter_mut().filter(|s| s.barrier == Some(id)) {
            stream.barrier = None;
        }
        self.ended |= id == super::STOP_BARRIER;
        Some(Msg::Barrier(id))
    }

    /// Gives the record number on that all streams passed, when it moved; the end says more than that.
    fn pass(&mut self) -> Option<Msg> {
        let passed = self.streams.iter().map(|s| s.passed).min()?;
        let moved = passed > self.passed && passed < i64::MAX;
        self.passed = self.passed.max(passed);
        moved.then_some(Msg::Passed(passed))
    }

    /// Gives the merged watermark on when it moved: the minimum over the streams that are not idle, of shares over all.
    /// When none is live and some are idle the whole is idle, and the watermark holds: streams that ended say nothing
    /// about the idle ones.
    fn advance(&mut self) -> Option<Msg> {
        let any_idle = self.streams.iter().any(|s| s.idle);
        let live = || self.streams.iter().filter(|s| !s.idle && (s.watermark != WM_END || !any_idle));
        let all_idle = any_idle && live().next().is_none();
        let least = match self.shares {
            true => self.streams.iter().map(|s| s.watermark).min(),
            false => live().map(|s| s.watermark).min(),
        };
        let turned = all_idle && !self.idle;
        let woke = self.idle && !all_idle;
        self.idle &= all_idle;
        let tells = |at: &i64| *at > self.watermark || self.hands_back && (*at < self.watermark || woke);
        let moved = least.filter(tells).map(|at| {
            self.watermark = at;
            self.ended |= at == WM_END;
            Msg::Watermark(at)
        });
        if !turned {
            return moved;
        }
        self.idle = true;
        if moved.is_some() {
            self.ready.push_back(Msg::Idle);
        }
        moved.or(Some(Msg::Idle))
    }
}
