//! What the executors of one run know of each other: a few words per shard and the flags that end a run.
//!
//! Each cell has one writer, its shard; readers tolerate old values. Orderings matter in three places only: lows are
//! published before a full fence and a look for waiters (see [`crate::wake`]), what holds groups of sources is published
//! around them, and quiescence reads the cells twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use velostream_exec::shard::{About, Standing};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Fatal, ShardId, SourceId};

use crate::ring::Padded;
use crate::wake::Bell;

/// What one shard tells the others.
#[derive(Debug)]
pub struct LaneCell {
    /// Lowest watermark among its unfinished partitions.
    low: AtomicI64,
    /// The `low_elsewhere` it waits to see exceeded; `WM_END` when it does not wait.
    waits_above: AtomicI64,
    /// Partitions of it wait for others that they meet.
    held_back: AtomicBool,
    /// Levels of sources that are loaded there.
    loaded: AtomicU16,
    /// Envelopes sent and taken since the start.
    sent: AtomicU64,
    taken: AtomicU64,
    /// Told to stop, and nothing left to do until something arrives.
    quiet: AtomicBool,
    /// When it last read a slab, ns since the start; for latencies.
    pub polled_ns: AtomicI64,
    /// Bytes of state it holds.
    pub state_bytes: AtomicU64,
    /// Rows read from sources.
    pub rows_in: AtomicU64,
    /// Rows handed to sinks.
    pub rows_out: AtomicU64,
    /// Rows handed to dead-letter files.
    pub rows_dead: AtomicU64,
}

impl Default for LaneCell {
    fn default() -> LaneCell {
        LaneCell {
            low: AtomicI64::new(WM_NONE),
            waits_above: AtomicI64::new(WM_END),
            held_back: AtomicBool::new(false),
            loaded: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            quiet: AtomicBool::new(false),
            polled_ns: AtomicI64::new(0),
            state_bytes: AtomicU64::new(0),
            rows_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            rows_dead: AtomicU64::new(0),
        }
    }
}

/// How far one shard read a table's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRead {
    /// Rows taken.
    pub rows: u64,
    /// Bytes behind them; 0 where nobody counts them.
    pub bytes: u64,
    /// Records of a log that were left as last seen.
    pub left: u64,
    /// When the last rows came, ns since the start.
    pub at_ns: i64,
}

/// Adds to a cell that only the caller writes.
pub fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// The shared side of one run.
#[derive(Debug)]
pub struct World {
    cells: Vec<Padded<LaneCell>>,
    /// By shard and group of sources that meet: at what time partitions of the shard hold it.
    held: Vec<Vec<Padded<AtomicI64>>>,
    /// Bell of each shard's executor.
    bells: Vec<Arc<Bell>>,
    /// Shards read in watermark order.
    aligned: bool,
    /// The last barrier the sources are asked to give on.
    barrier: AtomicU64,
    /// The barrier right behind which the shards stop; `u64::MAX` for none.
    last_barrier: AtomicU64,
    /// How often the shards were asked where they stand.
    asked: AtomicU64,
    /// Their last answers, and to which asking.
    answers: Mutex<Vec<(u64, Standing)>>,
    /// How far tables are read.
    tables: Mutex<BTreeMap<(SourceId, ShardId), TableRead>>,
    /// What was warned of already.
    told: Mutex<BTreeSet<(SourceId, About)>>,
    done: AtomicU16,
    stop: AtomicBool,
    /// A stop asked for waits until somebody calls [`World::stop`].
    stops_itself: AtomicBool,
    drain: AtomicBool,
    finish: AtomicBool,
    abort: AtomicBool,
    fatal: Mutex<Option<Fatal>>,
}

/// The cells' state at one look, for quiescence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    quiet: bool,
    sent: u64,
    taken: u64,
}

impl World {
    /// A world of as many shards as `bells`. `aligned`: shards wait for each other's watermarks when reading, and for
    /// those of partitions that wait in so many `groups` of sources.
    pub fn new(bells: Vec<Arc<Bell>>, aligned: bool, groups: usize) -> World {
        let held = || (0..groups).map(|_| Padded(AtomicI64::new(WM_END))).collect();
        World {
            cells: bells.iter().map(|_| Padded::default()).collect(),
            held: bells.iter().map(|_| held()).collect(),
            aligned: aligned && bells.len() > 1,
            bells,
            barrier: AtomicU64::new(0),
            last_barrier: AtomicU64::new(u64::MAX),
            asked: AtomicU64::new(0),
            answers: Mutex::default(),
            tables: Mutex::default(),
            told: Mutex::default(),
            done: AtomicU16::new(0),
            stop: AtomicBool::new(false),
            stops_itself: AtomicBool::new(false),
            drain: AtomicBool::new(false),
            finish: AtomicBool::new(false),
            abort: AtomicBool::new(false),
            fatal: Mutex::new(None),
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> u16 {
        self.cells.len() as u16
    }

    /// A shard's cell.
    pub fn cell(&self, shard: ShardId) -> &LaneCell {
        &self.cells[shard.index()].0
    }

    /// All cells.
    pub fn cells(&self) -> impl Iterator<Item = &LaneCell> {
        self.cells.iter().map(|cell| &cell.0)
    }

    /// The bell of a shard's executor.
    pub fn bell(&self, shard: ShardId) -> &Arc<Bell> {
        &self.bells[shard.index()]
    }

    /// Lowest watermark among the unfinished partitions of all other shards.
    pub fn low_elsewhere(&self, shard: ShardId) -> i64 {
        if !self.aligned {
            return WM_END;
        }
        let others = self.cells.iter().enumerate().filter(|(i, _)| *i != shard.index());
        others.map(|(_, cell)| cell.0.low.load(Ordering::Acquire)).min().unwrap_or(WM_END)
    }

    /// The same, with what holds each group of sources on all other shards in `held`.
    pub fn lows_elsewhere(&self, shard: ShardId, held: &mut Vec<i64>) -> i64 {
        held.clear();
        held.resize(self.held.first().map_or(0, Vec::len), WM_END);
        // A partition that begins to wait holds before it leaves the low, and one that goes on is in the low before it holds
        // no more; so it is found by one of two looks with the low between them.
        self.look_at_held(shard, held);
        let low = self.low_elsewhere(shard);
        self.look_at_held(shard, held);
        low
    }

    fn look_at_held(&self, shard: ShardId, held: &mut [i64]) {
        for (_, groups) in self.held.iter().enumerate().filter(|(i, _)| *i != shard.index()) {
            for (low, at) in held.iter_mut().zip(groups) {
                *low = (*low).min(at.0.load(Ordering::Acquire));
            }
        }
    }

    /// Levels of sources that are loaded on all other shards.
    pub fn loaded_elsewhere(&self, shard: ShardId) -> u16 {
        let others = self.cells.iter().enumerate().filter(|(i, _)| *i != shard.index());
        others.map(|(_, cell)| cell.0.loaded.load(Ordering::Acquire)).min().unwrap_or(u16::MAX)
    }

    /// Levels of sources that are loaded on all shards.
    pub fn loaded(&self) -> u16 {
        self.cells().map(|cell| cell.loaded.load(Ordering::Acquire)).min().unwrap_or(u16::MAX)
    }

    /// Publishes which levels are loaded on a shard, and wakes all others when there are more. Answers whether there are.
    pub fn publish_loaded(&self, shard: ShardId, loaded: u16) -> bool {
        let cell = &self.cell(shard).loaded;
        if cell.load(Ordering::Relaxed) == loaded {
            return false;
        }
        cell.store(loaded, Ordering::Release);
        self.ring_all();
        true
    }

    /// A shard tells how far it read the source of a table.
    pub fn read_table(&self, source: SourceId, shard: ShardId, read: TableRead) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.entry((source, shard)).or_default();
        let at_ns = if known.rows == read.rows { known.at_ns } else { read.at_ns };
        *known = TableRead { at_ns, ..read };
    }

    /// How far the source of a table is read, over all shards.
    pub fn table(&self, source: SourceId) -> TableRead {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let own = tables.iter().filter(|((of, _), _)| *of == source).map(|(_, read)| read);
        own.fold(TableRead::default(), |sum, read| TableRead {
            rows: sum.rows + read.rows,
            bytes: sum.bytes + read.bytes,
            left: sum.left + read.left,
            at_ns: sum.at_ns.max(read.at_ns),
        })
    }

    /// Bytes of state that all other shards hold.
    pub fn state_elsewhere(&self, shard: ShardId) -> u64 {
        let others = self.cells.iter().enumerate().filter(|(i, _)| *i != shard.index());
        others.map(|(_, cell)| cell.0.state_bytes.load(Ordering::Relaxed)).sum()
    }

    /// Publishes a shard's low and wakes the shards that wait for it.
    pub fn publish_low(&self, shard: ShardId, low: i64) {
        let cell = self.cell(shard);
        if !self.aligned || cell.low.load(Ordering::Relaxed) == low {
            return;
        }
        cell.low.store(low, Ordering::Release);
        fence(Ordering::SeqCst);
        for (i, other) in self.cells.iter().enumerate() {
            if i != shard.index() && other.0.waits_above.load(Ordering::Relaxed) < low {
                self.bells[i].nudge();
            }
        }
    }

    /// Publishes a shard's low and at what it holds groups of sources, a missing one at nothing, and wakes the shards
    /// that wait for either.
    pub fn publish_lows(&self, shard: ShardId, low: i64, held: &[i64]) {
        let at = |group: usize| held.get(group).copied().unwrap_or(WM_END);
        let fresh = || self.held[shard.index()].iter().enumerate().map(|(group, cell)| (&cell.0, at(group)));
        for (cell, at) in fresh().filter(|(cell, at)| *at < cell.load(Ordering::Relaxed)) {
            cell.store(at, Ordering::Release);
        }
        self.publish_low(shard, low);
        let mut rose = false;
        for (cell, at) in fresh().filter(|(cell, at)| *at > cell.load(Ordering::Relaxed)) {
            cell.store(at, Ordering::Release);
            rose = true;
        }
        if !rose {
            return;
        }
        fence(Ordering::SeqCst);
        for (i, other) in self.cells.iter().enumerate() {
            if i != shard.index() && other.0.held_back.load(Ordering::Relaxed) {
                self.bells[i].nudge();
            }
        }
    }

    /// Partitions of the shard wait, or do not, for others that they meet.
    pub fn hold_back(&self, shard: ShardId, held_back: bool) {
        self.cell(shard).held_back.store(held_back, Ordering::Relaxed);
    }

    /// TRUE when partitions of the shard wait for others that they meet, and these went on since they were `seen`.
    pub fn held_rose(&self, shard: ShardId, seen: &[i64]) -> bool {
        let at = |group: usize| {
            let others = self.held.iter().enumerate().filter(|(i, _)| *i != shard.index());
            others.filter_map(|(_, groups)| Some(groups.get(group)?.0.load(Ordering::Acquire))).min()
        };
        self.cell(shard).held_back.load(Ordering::Relaxed)
            && seen.iter().enumerate().any(|(group, seen)| at(group).is_some_and(|at| at > *seen))
    }

    /// The shard waits until `low_elsewhere` exceeds `low`; `WM_END`: it does not.
    pub fn wait_above(&self, shard: ShardId, low: i64) {
        self.cell(shard).waits_above.store(low, Ordering::Relaxed);
    }

    /// TRUE when the shard waits for others and they went on.
    pub fn low_rose(&self, shard: ShardId) -> bool {
        let waits_above = self.cell(shard).waits_above.load(Ordering::Relaxed);
        waits_above != WM_END && self.low_elsewhere(shard) > waits_above
    }

    /// Counts envelopes.
    pub fn count(&self, shard: ShardId, taken: usize, sent: usize) {
        let cell = self.cell(shard);
        for (counter, n) in [(&cell.taken, taken), (&cell.sent, sent)] {
            if n > 0 {
                counter.store(counter.load(Ordering::Relaxed) + n as u64, Ordering::Release);
            }
        }
    }

    /// The shard has, or has not, anything left to do until something arrives; only looked at while stopping.
    pub fn set_quiet(&self, shard: ShardId, quiet: bool) {
        let cell = &self.cell(shard).quiet;
        if cell.load(Ordering::Relaxed) != quiet {
            cell.store(quiet, Ordering::SeqCst);
        }
    }

    /// One more shard is done for good.
    pub fn shard_done(&self) {
        if usize::from(self.done.fetch_add(1, Ordering::AcqRel)) + 1 == self.cells.len() {
            self.ring_all();
        }
    }

    /// TRUE when every shard is done for good.
    pub fn all_done(&self) -> bool {
        usize::from(self.done.load(Ordering::Acquire)) == self.cells.len()
    }

    /// Asks all shards to give barrier `id` on, which rises from call to call.
    pub fn give_barrier(&self, id: u64) {
        self.barrier.store(id, Ordering::Release);
        self.ring_all();
    }

    /// The last barrier asked for.
    pub fn barrier(&self) -> u64 {
        self.barrier.load(Ordering::Acquire)
    }

    /// Asks all shards where they stand.
    pub fn ask(&self) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).resize(self.cells.len(), Default::default());
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.ring_all();
    }

    /// How often the shards were asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// A shard's answer to an asking.
    pub fn answer(&self, shard: ShardId, asked: u64, standing: Standing) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get_mut(shard.index()) {
            *answer = (asked, standing);
        }
    }

    /// The answers to the last asking, once all shards gave theirs; each asking is answered once.
    pub fn take_answers(&self) -> Option<Vec<Standing>> {
        let asked = self.asked();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.is_empty() || answers.iter().any(|(of, _)| *of < asked) {
            return None;
        }
        Some(std::mem::take(&mut *answers).into_iter().map(|(_, standing)| standing).collect())
    }

    /// TRUE for the first notice of this kind about a source.
    pub fn is_news(&self, source: SourceId, about: About) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((source, about))
    }

    /// Asks all shards to stop reading and to flush what is under way.
    pub fn stop(&self) {
        if !self.stop.swap(true, Ordering::AcqRel) {
            self.ring_all();
        }
    }

    /// Gives barrier `id` and stops the shards right behind it: each takes both in one turn, so that nothing it reads, and
    /// nothing it writes of that, stands between them.
    pub fn stop_at(&self, id: u64) {
        self.last_barrier.store(id, Ordering::Release);
        self.give_barrier(id);
        self.stop();
    }

    /// TRUE for the barrier of [`World::stop_at`].
    pub fn stops_at(&self, id: u64) -> bool {
        self.last_barrier.load(Ordering::Acquire) == id
    }

    /// Whoever looks after the run has something to do before a stop: it stops the shards itself.
    pub fn take_over_stops(&self) {
        self.stops_itself.store(true, Ordering::Relaxed);
    }

    /// TRUE after [`World::take_over_stops`].
    pub fn stops_itself(&self) -> bool {
        self.stops_itself.load(Ordering::Relaxed)
    }

    /// Ends all inputs where they stand, as if nothing more had come.
    pub fn drain(&self) {
        if !self.drain.swap(true, Ordering::AcqRel) {
            self.ring_all();
        }
    }

    /// TRUE after [`World::drain`].
    pub fn draining(&self) -> bool {
        self.drain.load(Ordering::Acquire)
    }

    /// TRUE after [`World::stop`].
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// While stopping: TRUE once no shard works and no envelope is under way; the executors then leave.
    ///
    /// Two equal looks, all quiet and everything sent also taken: a shard only becomes active again by an envelope,
    /// which would show as sent and not taken in the first look or as a changed count in the second.
    pub fn try_finish(&self) -> bool {
        let first = self.look();
        fence(Ordering::SeqCst);
        let finished = first.quiet && first.sent == first.taken && self.look() == first;
        if finished {
            self.finish.store(true, Ordering::Release);
            self.ring_all();
        }
        finished
    }

    fn look(&self) -> Look {
        let mut look = Look { quiet: true, sent: 0, taken: 0 };
        for cell in self.cells() {
            look.quiet &= cell.quiet.load(Ordering::SeqCst);
            look.taken += cell.taken.load(Ordering::Acquire);
            look.sent += cell.sent.load(Ordering::Acquire);
        }
        look
    }

    /// TRUE once a stop is complete.
    pub fn finished(&self) -> bool {
        self.finish.load(Ordering::Acquire)
    }

    /// Ends the run because of an error; the first one is kept.
    pub fn fail(&self, fatal: Fatal) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fatal);
        self.abort.store(true, Ordering::Release);
        self.ring_all();
    }

    /// TRUE after [`World::fail`].
    pub fn failed(&self) -> bool {
        self.abort.load(Ordering::Acquire)
    }

    /// The first error.
    pub fn take_fatal(&self) -> Option<Fatal> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ring_all(&self) {
        self.bells.iter().for_each(|bell| bell.ring());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(shards: u16, aligned: bool) -> World {
        World::new((0..shards).map(|_| Arc::default()).collect(), aligned, 2)
    }

    #[test]
    fn low_elsewhere_is_the_others_minimum() {
        let w = world(3, true);
        assert_eq!(w.low_elsewhere(ShardId(0)), WM_NONE);
        w.publish_low(ShardId(1), 50);
        w.publish_low(ShardId(2), 70);
        assert_eq!(w.low_elsewhere(ShardId(0)), 50);
        w.wait_above(ShardId(0), 50);
        assert!(!w.low_rose(ShardId(0)));
        w.publish_low(ShardId(1), WM_END);
        assert!(w.low_rose(ShardId(0)));
        assert_eq!(w.low_elsewhere(ShardId(0)), 70);
        assert_eq!(world(3, false).low_elsewhere(ShardId(0)), WM_END);
        assert_eq!(world(1, true).low_elsewhere(ShardId(0)), WM_END);
    }

    #[test]
    fn a_shard_hears_when_what_holds_its_partitions_goes_on() {
        let w = world(3, true);
        let mut seen = Vec::new();
        w.lows_elsewhere(ShardId(0), &mut seen);
        assert_eq!(seen, [WM_END, WM_END], "nobody holds anything before the first turn");
        w.publish_lows(ShardId(1), WM_END, &[50, WM_END]);
        w.publish_lows(ShardId(2), 90, &[40, 60]);
        assert_eq!(w.lows_elsewhere(ShardId(0), &mut seen), 90);
        assert_eq!(seen, [40, 60]);
        w.lows_elsewhere(ShardId(2), &mut seen);
        assert_eq!(seen, [50, WM_END], "its own partitions are not elsewhere");
        w.lows_elsewhere(ShardId(0), &mut seen);
        w.publish_lows(ShardId(2), 90, &[45, 30]);
        assert!(!w.held_rose(ShardId(0), &seen), "none of its partitions waits");
        w.hold_back(ShardId(0), true);
        assert!(w.held_rose(ShardId(0), &seen), "a group went on");
        w.lows_elsewhere(ShardId(0), &mut seen);
        w.publish_lows(ShardId(2), 90, &[45, 20]);
        assert!(!w.held_rose(ShardId(0), &seen));
        w.publish_lows(ShardId(2), WM_END, &[]);
        assert!(w.held_rose(ShardId(0), &seen), "a shard that is done holds nothing");
    }

    #[test]
    fn a_stop_finishes_only_without_envelopes_under_way() {
        let w = world(2, false);
        w.stop();
        assert!(!w.try_finish(), "nobody is quiet");
        w.set_quiet(ShardId(0), true);
        w.set_quiet(ShardId(1), true);
        w.count(ShardId(0), 0, 3);
        assert!(!w.try_finish(), "three envelopes are under way");
        w.count(ShardId(1), 3, 0);
        assert!(w.try_finish() && w.finished());
    }

    #[test]
    fn the_first_error_is_kept() {
        let w = world(1, false);
        w.fail(Fatal::new("disk"));
        w.fail(Fatal::new("because of the disk"));
        assert!(w.failed() && w.bell(ShardId(0)).has_news());
        assert_eq!(w.take_fatal(), Some(Fatal::new("disk")));
    }
}
