//! The loop of one executor: rounds over the shards it hosts, until all shards of the run are done, a stop is
//! complete, or something failed.
//!
//! Everything that ends a run is here: a shard's error or panic ends all of them, each executor interrupts the
//! writers it owns, and the first error is the one reported. No path waits for a shard that is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use velostream_exec::op::metrics::SeriesPart;
use velostream_exec::operator::NodeCounters;
use velostream_exec::shard::{Inbox, Outbox, PartitionProgress, Progress, ScanMark, Shard, Standing};
use velostream_types::Fatal;

use crate::backend::{Pace, Worker, panic_text};
use crate::wake::Bell;

mod lane;
mod launch;
#[cfg(test)]
mod tests;
mod world;

pub use lane::{Lane, LaneParts, LaneReport, News, Note, Reader, Retry, Round, Sink, SinkProgress};
pub use launch::{Layout, MakeLane, launch, start_of_run};
pub use world::{LaneCell, TableRead, World};

/// A shard as the driver sees it.
pub trait Turn {
    /// Works on what arrived.
    fn turn(&mut self, now_ns: i64, inbox: &mut Inbox, outbox: &mut Outbox) -> Result<Progress, Fatal>;
    /// Its counters by node.
    fn counters(&self) -> Vec<NodeCounters>;
    /// Its partitions.
    fn partitions(&self) -> Vec<PartitionProgress>;
    /// Messages that had to wait for a credit.
    fn credit_waits(&self) -> u64;
    /// Where partitions and windows stand.
    fn standing(&self) -> Standing {
        Standing::default()
    }
    /// What was counted of rows for metrics.
    fn series(&self) -> Vec<SeriesPart> {
        Vec::new()
    }
    /// Where the partitions stand, with what a commit needs to know of their way there.
    fn scan_marks(&mut self) -> Vec<ScanMark>;
}

impl Turn for Shard {
    fn turn(&mut self, now_ns: i64, inbox: &mut Inbox, outbox: &mut Outbox) -> Result<Progress, Fatal> {
        Shard::turn(self, now_ns, inbox, outbox)
    }

    fn counters(&self) -> Vec<NodeCounters> {
        Shard::counters(self).to_vec()
    }

    fn partitions(&self) -> Vec<PartitionProgress> {
        self.progress()
    }

    fn credit_waits(&self) -> u64 {
        Shard::credit_waits(self)
    }

    fn standing(&self) -> Standing {
        Shard::standing(self)
    }

    fn series(&self) -> Vec<SeriesPart> {
        Shard::series(self)
    }

    fn scan_marks(&mut self) -> Vec<ScanMark> {
        Shard::scan_marks(self)
    }
}

/// One executor's worker.
pub struct Driver {
    lanes: Vec<Lane>,
    world: Arc<World>,
    bell: Arc<Bell>,
    reports: Sender<LaneReport>,
}

impl Driver {
    /// A driver of these lanes, which all live on the executor of `bell`.
    pub fn new(lanes: Vec<Lane>, world: Arc<World>, bell: Arc<Bell>, reports: Sender<LaneReport>) -> Driver {
        Driver { lanes, world, bell, reports }
    }

    fn rounds(&mut self) -> Result<Pace, Fatal> {
        let mut pace = Pace::Idle(None);
        for lane in &mut self.lanes {
            pace = match (lane.round(&self.world)?, pace) {
                (Round::Busy, _) | (_, Pace::Busy) => Pace::Busy,
                (Round::Idle(a), Pace::Idle(b)) => Pace::Idle(earlier(a, b)),
                (_, Pace::Finished) => Pace::Finished,
            };
        }
        Ok(pace)
    }

    /// Leaves: writers that are not finished keep whole rows, and the lanes report.
    fn leave(&mut self) -> Pace {
        for mut lane in self.lanes.drain(..) {
            let shard = lane.shard();
            let end = catch_unwind(AssertUnwindSafe(|| {
                if let Err(fatal) = lane.interrupt(self.world.finished() && !self.world.failed()) {
                    self.world.fail(fatal);
                }
                // The receiver is gone only when the run was given up; nobody wants the report then.
                let _ = self.reports.send(lane.report());
            }));
            if let Err(panic) = end {
                let text = panic_text(&*panic);
                self.world.fail(Fatal::new(format!("shard {shard} panicked while it ended: {text}")));
            }
        }
        Pace::Finished
    }
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Worker for Driver {
    fn step(&mut self) -> Pace {
        self.bell.take_news();
        if self.world.failed() || self.world.finished() || self.world.all_done() {
            return self.leave();
        }
        match catch_unwind(AssertUnwindSafe(|| self.rounds())) {
            Ok(Ok(pace)) => pace,
            Ok(Err(fatal)) => {
                self.world.fail(fatal);
                self.leave()
            }
            Err(panic) => {
                let shards: Vec<String> = self.lanes.iter().map(|lane| lane.shard().to_string()).collect();
                let text = panic_text(&*panic);
                self.world.fail(Fatal::new(format!("shard {} panicked: {text}", shards.join(" or "))));
                self.leave()
            }
        }
    }

    fn has_news(&mut self) -> bool {
        self.bell.has_news() || self.lanes.iter().any(|lane| lane.has_news(&self.world))
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }
}
