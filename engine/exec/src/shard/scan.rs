//! Reading side of one source on one shard: decodes the partitions the shard owns, stamps event time, drives the
//! watermark.
//!
//! Which partition goes on is decided by watermark: the unfinished one with the lowest, over all sources of the shard
//! (see `Shard::pick`), and never far ahead of the lowest on other shards. So a folder of daily files keeps only the
//! windows that are really open. Partitions whose source meets others in a join of streams also wait where `lead` says so.
//! A partition holds at most one slab; the decoder's cursor in it is this stage's output cursor.

use std::collections::VecDeque;
use std::sync::Arc;

use velostream_sql::plan::{LoadPlan, SourcePlan, WatermarkRule};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{
    Batch, Column, DeadLetter, DlqId, ErrorCode, PartitionId, RecordError, RecordSlab, RowMeta, RowOrder, SourceId,
    SourcePoll, Stage,
};

use super::io::{Demand, ScanMark, Stair};
use super::lead::Leash;
use super::notices::Notices;
use super::report::{Notice, PartitionStanding};
use crate::format::{Decoded, Decoder, SlabCursor, SlabState};
use crate::operator::{Msg, NodeCounters};
use crate::pipeline::place_of;
use crate::watermark::{Mark, PartitionClock, missing_is_error};

/// Reading side of one source.
pub struct Scan {
    source: SourceId,
    plan: Arc<SourcePlan>,
    /// What dead letters call it.
    place: Arc<str>,
    partitions: Vec<Partition>,
    /// Output that follows the last batch: watermark, end.
    ready: VecDeque<Msg>,
    /// Merged watermark given so far.
    watermark: i64,
    idle: bool,
    ended: bool,
    /// No input of this stage is wanted any more (LIMIT reached, or stop).
    closed: bool,
    run_start_ms: i64,
    notices: Notices,
    /// Somebody takes the rows of all partitions in as-if order: they are read by record number, in step, and how far all
    /// of them are is given on.
    in_step: bool,
    /// Record number that all partitions passed.
    passed: i64,
    /// It was told that everything there was at the start is given.
    loaded: bool,
}

struct Partition {
    id: PartitionId,
    decoder: Decoder,
    cursor: Option<SlabCursor>,
    clock: Option<PartitionClock>,
    state: PartitionState,
    /// What the next poll is told.
    consumed: usize,
    grow: bool,
    rows: u64,
    /// Rows given since it was last at its live end.
    backlog: u64,
    /// Time of the turn that last brought rows; for idleness of live inputs.
    last_rows_ns: Option<i64>,
    /// Highest time of any row, those with a fall-back time included.
    highest: i64,
    /// Stairs since the last barrier, one per batch, thinned out beyond [`STAIRS_MAX`].
    stairs: Vec<Stair>,
    /// It does not hold the watermark back.
    idle: bool,
    /// What was there at the start was given.
    loaded: bool,
}

impl Partition {
    /// The time it has come to, whatever lateness it is granted.
    fn time(&self) -> i64 {
        self.clock.as_ref().map_or(WM_NONE, PartitionClock::basis)
    }

    /// TRUE when it waits for partitions that it meets.
    fn is_held_back(&self, leash: Leash) -> bool {
        !matches!(self.state, PartitionState::Ended | PartitionState::Pending) && leash.holds(self.time(), self.backlog)
    }

    /// What stands before the next record.
    fn stair(&self) -> Stair {
        let max_event_time = self.time();
        Stair { offset: self.decoder.next_offset(), highest: self.highest.max(max_event_time), max_event_time }
    }

    /// Remembers where the next batch begins. Leaving every other stair out keeps the rest right: a restart then
    /// begins at an earlier one.
    fn climb(&mut self) {
        let stair = self.stair();
        if self.stairs.last().is_some_and(|last| last.highest == stair.highest) {
            return;
        }
        if self.stairs.len() == STAIRS_MAX {
            let mut n = 0;
            self.stairs.retain(|_| {
                n += 1;
                n % 2 == 1
            });
        }
        self.stairs.push(stair);
    }
}

/// From one look at the time of day to the next, where a watermark goes by it and nothing arrives.
const CLOCK_STEP_NS: i64 = 100_000_000;

/// Stairs kept between two barriers at most.
const STAIRS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartitionState {
    /// Needs bytes; not asked yet.
    Hungry,
    /// Asked.
    Asked,
    /// Has bytes to decode.
    Ready,
    /// The source had nothing; it will be asked again.
    Pending,
    /// The same, though there is more of the partition: it is not idle.
    Behind,
    /// Finished.
    Ended,
}

/// Where one partition stands, for reports and snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Source.
    pub source: SourceId,
    /// Partition.
    pub partition: PartitionId,
    /// Next record number.
    pub next_offset: i64,
    /// Byte position behind the last consumed record.
    pub position: u64,
    /// Highest event time; `WM_NONE` without.
    pub max_event_time: i64,
    /// Good rows so far.
    pub rows: u64,
    /// Finished.
    pub ended: bool,
}

impl Scan {
    /// The stage of `source` over the partitions this shard owns.
    /// `in_step`: record by record over the partitions, as as-if order goes, instead of by watermark.
    pub fn new(
        source: SourceId,
        plan: Arc<SourcePlan>,
        owned: &[PartitionId],
        run_start_ms: i64,
        in_step: bool,
    ) -> Scan {
        let partitions = owned
            .iter()
            .map(|id| Partition {
                id: *id,
                decoder: Decoder::new(&plan),
                cursor: None,
                clock: plan.event_time.as_ref().map(PartitionClock::new),
                state: PartitionState::Hungry,
                consumed: 0,
                grow: false,
                rows: 0,
                backlog: 0,
                last_rows_ns: None,
                highest: WM_NONE,
                stairs: Vec::new(),
                idle: false,
                loaded: false,
            })
            .collect();
        let mut scan = Scan {
            source,
            place: place_of(&plan),
            plan,
            partitions,
            ready: VecDeque::new(),
            watermark: WM_NONE,
            idle: false,
            ended: false,
            closed: false,
            run_start_ms,
            notices: Notices::default(),
            in_step,
            passed: i64::MIN,
            loaded: false,
        };
        scan.advance(None);
        scan
    }

    /// Takes up where a snapshot left a partition.
    pub fn resume(&mut self, at: &PartitionProgress) {
        let plan = Arc::clone(&self.plan);
        for p in self.partitions.iter_mut().filter(|p| at.source == self.source && p.id == at.partition) {
            p.decoder.resume_at(at.next_offset, at.position);
            p.rows = at.rows;
            p.clock = plan.event_time.as_ref().map(|spec| PartitionClock::resume(spec, at.max_event_time));
            p.highest = at.max_event_time;
            if at.ended {
                p.state = PartitionState::Ended;
            }
        }
        self.advance(None);
    }

    /// The beginning of a partition's stream, whose header says how columns stand; before [`Scan::resume`].
    pub fn read_head(&mut self, partition: PartitionId, head: &[u8]) {
        for p in self.partitions.iter_mut().filter(|p| p.id == partition) {
            p.decoder.read_head(head);
        }
    }

    /// Where each partition stands.
    pub fn progress(&self) -> impl Iterator<Item = PartitionProgress> + '_ {
        self.partitions.iter().map(|p| PartitionProgress {
            source: self.source,
            partition: p.id,
            next_offset: p.decoder.next_offset(),
            position: p.decoder.position(),
            max_event_time: p.time(),
            rows: p.rows,
            ended: p.state == PartitionState::Ended,
        })
    }

    /// TRUE when the source has event time, so that reading is aligned by it. The time of day aligns nothing.
    pub fn is_aligned(&self) -> bool {
        !self.in_step
            && !self.plan.load.alone
            && self.plan.event_time.as_ref().is_some_and(|spec| spec.rule != WatermarkRule::Clock)
    }

    /// Which source it reads.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// TRUE when everything that was there at the start was given.
    pub fn is_loaded(&self) -> bool {
        self.loaded || self.ended
    }

    /// Partitions of which something is missing that was there at the start, with their next records.
    pub fn unloaded(&self) -> impl Iterator<Item = (PartitionId, i64)> + '_ {
        let missing = self.partitions.iter().filter(|p| !p.loaded && p.state != PartitionState::Ended);
        missing.map(|p| (p.id, p.decoder.next_offset()))
    }

    /// When it is read, and for what.
    pub fn load(&self) -> &LoadPlan {
        &self.plan.load
    }

    /// Where each partition stands in time.
    pub fn standing(&self, now_ns: i64) -> impl Iterator<Item = PartitionStanding> + '_ {
        self.partitions.iter().map(move |p| PartitionStanding {
            source: self.source,
            partition: p.id,
            watermark: p.clock.as_ref().map_or(WM_NONE, PartitionClock::watermark),
            rows: p.rows,
            idle: p.idle && p.state != PartitionState::Ended,
            quiet_ns: p.last_rows_ns.map(|last| now_ns.saturating_sub(last).max(0)),
            ended: p.state == PartitionState::Ended,
        })
    }

    /// When [`Scan::advance`] would find something though nothing arrived: a partition that falls idle, or a watermark
    /// that goes by the time of day. `None` for never.
    pub fn due_ns(&self, now_ns: i64) -> Option<i64> {
        let spec = self.plan.event_time.as_ref().filter(|_| !self.ended)?;
        let mut waiting = self.partitions.iter().filter(|p| p.state == PartitionState::Pending);
        if spec.rule == WatermarkRule::Clock {
            return waiting.next().map(|_| now_ns.saturating_add(CLOCK_STEP_NS));
        }
        let falls = |p: &Partition| p.last_rows_ns.map(|last| last.saturating_add(spec.idle_timeout_ns));
        waiting.filter(|p| !p.idle).filter_map(falls).min()
    }

    /// What is worth a warning since the last call.
    pub fn take_notices(&mut self, into: &mut Vec<Notice>) {
        into.append(&mut self.notices.fresh);
    }

    /// TRUE when the end (or stop) was given on.
    pub fn is_done(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// TRUE when output waits to be taken.
    pub fn has_output(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Output that waits to be taken.
    pub fn take_output(&mut self) -> Option<Msg> {
        self.ready.pop_front()
    }

    /// Lowest (watermark, rows) of the partitions that can go on, with its index; partitions waiting for a live
    /// source's next record do not hold others back, nor do those that `leash` lets wait.
    pub fn lowest(&self, leash: Leash) -> Option<(i64, u64, usize)> {
        if self.closed {
            return None;
        }
        self.partitions
            .iter()
            .enumerate()
            .filter(|(_, p)| !matches!(p.state, PartitionState::Ended | PartitionState::Pending))
            .filter(|(_, p)| !p.is_held_back(leash))
            .map(|(i, p)| match self.in_step {
                true => (WM_NONE, u64::try_from(p.decoder.next_offset()).unwrap_or(0), i),
                false => (p.clock.as_ref().map_or(WM_NONE, PartitionClock::watermark), p.rows, i),
            })
            .min()
    }

    /// Lowest time that partitions have come to which wait for their next record. Idle ones have nothing to say, nor have
    /// those that never gave a row: these are idle, too.
    pub fn waits_at(&self) -> Option<i64> {
        let waits = |p: &&Partition| p.state == PartitionState::Pending && !p.idle;
        self.partitions.iter().filter(waits).filter(|_| !self.closed).map(Partition::time).min()
    }

    /// TRUE when a partition waits for others that it meets.
    pub fn is_held_back(&self, leash: Leash) -> bool {
        !self.closed && self.partitions.iter().any(|p| p.is_held_back(leash))
    }

    /// How far ahead of other shards partition `index` may read: as far as its own last batch went.
    pub fn allowance(&self, index: usize) -> i64 {
        self.partitions[index].clock.as_ref().map_or(0, PartitionClock::last_advance_ns)
    }

    /// Takes the answer to a demand.
    pub fn answer(&mut self, partition: PartitionId, poll: SourcePoll) {
        let Some(p) = self.partitions.iter_mut().find(|p| p.id == partition) else { return };
        match poll {
            SourcePoll::Slab(slab) => {
                p.cursor = Some(SlabCursor::new(slab));
                p.state = PartitionState::Ready;
            }
            SourcePoll::Pending => {
                p.state = PartitionState::Pending;
                p.backlog = 0;
                // What ends by itself is there as a whole at its end.
                p.loaded |= !self.plan.load.bounded;
            }
            SourcePoll::Behind => p.state = PartitionState::Behind,
            SourcePoll::End => {
                p.state = PartitionState::Ended;
                p.cursor = None;
            }
        }
        p.consumed = 0;
        self.advance(None);
    }

    /// Asks for bytes of partition `index` if it needs them. Answers TRUE when a demand was made or is under way.
    pub fn demand(&mut self, index: usize, demands: &mut Vec<Demand>) -> bool {
        let p = &mut self.partitions[index];
        match p.state {
            PartitionState::Hungry => {
                p.state = PartitionState::Asked;
                demands.push(Demand { source: self.source, partition: p.id, consumed: p.consumed, grow: p.grow });
                true
            }
            PartitionState::Asked | PartitionState::Behind => true,
            PartitionState::Ready | PartitionState::Pending | PartitionState::Ended => false,
        }
    }

    /// Asks live partitions that had nothing again; once per turn.
    pub fn ask_pending(&mut self, demands: &mut Vec<Demand>) {
        if self.closed {
            return;
        }
        for p in &mut self.partitions {
            if matches!(p.state, PartitionState::Pending | PartitionState::Behind) {
                demands.push(Demand { source: self.source, partition: p.id, consumed: p.consumed, grow: p.grow });
                p.consumed = 0;
            }
        }
    }

    /// Gives a barrier on behind everything decoded so far.
    pub fn barrier(&mut self, id: u64) {
        if !self.ended {
            self.ready.push_back(Msg::Barrier(id));
        }
    }

    /// Where the partitions stand, and their stairs since the last call.
    pub fn marks(&mut self) -> Vec<ScanMark> {
        let source = self.source;
        let mark = |p: &mut Partition| ScanMark {
            source,
            partition: p.id,
            at: p.stair(),
            stairs: std::mem::take(&mut p.stairs),
        };
        self.partitions.iter_mut().map(mark).collect()
    }

    /// Ends the stage early: nothing downstream wants more rows.
    pub fn close(&mut self) {
        self.closed = true;
        for p in &mut self.partitions {
            p.cursor = None;
        }
    }

    /// Ends the stage with a mark that fires no window.
    pub fn stop(&mut self) {
        if !self.ended {
            self.close();
            self.ended = true;
            self.ready.push_back(Msg::Barrier(super::STOP_BARRIER));
        }
    }

    /// Decodes at most `max_rows` rows of partition `index`, which must be ready; output waits in
    /// [`Scan::take_output`].
    pub fn decode(
        &mut self,
        index: usize,
        max_rows: usize,
        now_ns: i64,
        dead: &mut Vec<(DlqId, DeadLetter)>,
        counters: &mut NodeCounters,
    ) -> bool {
        let plan = Arc::clone(&self.plan);
        let p = &mut self.partitions[index];
        if p.state != PartitionState::Ready {
            return false;
        }
        p.climb();
        if let Some(clock) = &mut p.clock {
            clock.tick(now_ns);
        }
        let Some(cursor) = p.cursor.as_mut() else { return false };
        let left =
            plan.max_records.map_or(usize::MAX, |max| usize::try_from(max - p.rows.min(max)).unwrap_or(usize::MAX));
        let mut decoded = p.decoder.decode(cursor, max_rows.min(left.max(1)));
        let records = cursor.records();
        counters.rounded += decoded.rounded;
        counters.dropped += decoded.null_values;
        counters.rows_in += decoded.rows as u64 + decoded.bad.len() as u64;
        for bad in std::mem::take(&mut decoded.bad) {
            counters.dead_lettered += 1;
            let letter = DeadLetter {
                error: bad.error,
                source: Arc::clone(&self.place),
                partition: p.id.0,
                offset: bad.offset,
                position: bad.position,
                full_length: bad.full_length,
                bytes: bad.bytes,
                origin: records.as_ref().and_then(|records| records.origin(bad.offset)),
            };
            dead.push((plan.dlq, letter));
        }
        match decoded.state {
            SlabState::More => {}
            SlabState::NeedSlab { consumed, grow } => {
                (p.state, p.consumed, p.grow) = (PartitionState::Hungry, consumed, grow);
                p.cursor = None;
            }
            SlabState::Ended => {
                p.state = PartitionState::Ended;
                p.cursor = None;
            }
        }
        p.rows += decoded.rows as u64;
        p.backlog += decoded.rows as u64;
        if plan.max_records.is_some_and(|max| p.rows >= max) {
            p.state = PartitionState::Ended;
            p.cursor = None;
        }
        let marks = self.notices.marks(&plan, self.source, p.id, std::mem::take(&mut decoded.marks), counters);
        if decoded.rows == 0
            && let Some(clock) = &mut p.clock
        {
            clock.mark(&marks);
        }
        if decoded.rows > 0 {
            (p.last_rows_ns, p.idle) = (Some(now_ns), false);
            let batch = stamped(
                (&plan, &self.place),
                (self.source, &mut self.notices),
                p,
                (decoded, records, &marks),
                self.run_start_ms,
                dead,
                counters,
            );
            counters.rows_out += batch.rows as u64;
            if batch.rows > 0 {
                self.ready.push_back(Msg::Batch(batch));
            }
        }
        self.advance(None);
        true
    }

    /// Recomputes the merged watermark and queues it if it moved. With `now_ns`, live partitions without rows for
    /// longer than the idle time-out stop holding it back.
    pub fn advance(&mut self, now_ns: Option<i64>) {
        if self.ended {
            return;
        }
        let all_ended = self.partitions.iter().all(|p| p.state == PartitionState::Ended) || self.closed;
        if all_ended {
            self.ended = true;
            self.watermark = WM_END;
            self.ready.push_back(Msg::Watermark(WM_END));
            return;
        }
        let is_loaded = |p: &Partition| p.loaded || p.state == PartitionState::Ended;
        if self.plan.load.table && !self.loaded && self.partitions.iter().all(is_loaded) {
            self.loaded = true;
            self.ready.push_back(Msg::Loaded);
        }
        if self.in_step {
            let open = self.partitions.iter().filter(|p| p.state != PartitionState::Ended);
            let passed = open.map(|p| p.decoder.next_offset()).min().unwrap_or(i64::MAX);
            if passed > self.passed {
                self.passed = passed;
                self.ready.push_back(Msg::Passed(passed));
            }
        }
        let Some(spec) = &self.plan.event_time else { return };
        let mut low = WM_END;
        let mut live = 0;
        for p in self.partitions.iter_mut().filter(|p| p.state != PartitionState::Ended) {
            if p.rows > 0 && p.last_rows_ns.is_none() {
                // Rows of an earlier run: the time-out starts with this one.
                p.last_rows_ns = now_ns;
            }
            if let (Some(clock), Some(now)) = (&mut p.clock, now_ns) {
                clock.tick(now);
            }
            // The time of day goes on without rows: such a partition holds nothing back.
            let idle = p.state == PartitionState::Pending
                && spec.rule != WatermarkRule::Clock
                && match (p.last_rows_ns, now_ns) {
                    (None, _) => p.rows == 0,
                    (Some(last), Some(now)) => now.saturating_sub(last) >= spec.idle_timeout_ns,
                    // Without the time of day it stays what it was found to be.
                    (Some(_), None) => p.idle,
                };
            p.idle = idle;
            if !idle {
                live += 1;
                low = low.min(p.clock.as_ref().map_or(WM_NONE, PartitionClock::watermark));
            }
        }
        if live == 0 {
            if !self.idle {
                self.idle = true;
                self.ready.push_back(Msg::Idle);
            }
        } else if low != self.watermark || std::mem::take(&mut self.idle) {
            // Lower when a partition gives its first rows, or wakes, behind the others: the shards wait for it again.
            self.watermark = low;
            self.idle = false;
            self.ready.push_back(Msg::Watermark(low));
        }
    }
}

/// Turns decoded columns into a batch with event time; rows whose event time is bad go to the dead letter where the
/// policy says so.
fn stamped(
    (plan, place): (&SourcePlan, &Arc<str>),
    (source, notices): (SourceId, &mut Notices),
    p: &mut Partition,
    (decoded, records, marks): (Decoded, Option<RecordSlab>, &[Mark]),
    run_start_ms: i64,
    dead: &mut Vec<(DlqId, DeadLetter)>,
    counters: &mut NodeCounters,
) -> Batch {
    let mut meta = RowMeta {
        source,
        partition: p.id.0,
        offsets: decoded.offsets,
        order: RowOrder::Source,
        event_time: None,
        wm_own: None,
        timestamp: decoded.timestamps,
        raw: decoded.raw,
        records,
        weight: None,
    };
    let (Some(spec), Some(clock)) = (&plan.event_time, p.clock.as_mut()) else {
        return Batch::new(decoded.columns, decoded.rows, meta);
    };
    let times = match &decoded.event_times {
        Some(times) => clock.stamp_given(times, marks, run_start_ms),
        None => {
            let timestamps = meta.timestamp.as_ref();
            clock.stamp(spec, &decoded.columns, timestamps, (decoded.rows, marks), run_start_ms)
        }
    };
    notices.unit(plan, source, &decoded.columns);
    let beyond = !times.fallback.is_empty() || spec.rule != WatermarkRule::EventTimes;
    if let Some(highest) = times.event_time.iter().max().filter(|_| beyond) {
        p.highest = p.highest.max(*highest);
    }
    meta.event_time = Some(times.event_time);
    meta.wm_own = Some(times.wm_own);
    let batch = Batch::new(decoded.columns, decoded.rows, meta);
    if times.fallback.is_empty() || !missing_is_error(spec) {
        notices.missing(plan, &batch, &times.fallback, counters);
        return batch;
    }
    for row in &times.fallback {
        counters.dead_lettered += 1;
        let error = RecordError {
            code: ErrorCode::EventTime,
            stage: Stage::Process,
            message: "event time is missing, malformed or outside 1677-2262".into(),
            span: None,
        };
        dead.push((plan.dlq, letter_of(place, &batch, *row as usize, error)));
    }
    let bad: Vec<bool> = {
        let mut keep = vec![true; batch.rows];
        times.fallback.iter().for_each(|row| keep[*row as usize] = false);
        keep
    };
    batch.filter(&arrow_array::BooleanArray::from(bad))
}

/// The dead letter of one row of a batch, with its original bytes where the plan keeps them.
pub fn letter_of(name: &Arc<str>, batch: &Batch, row: usize, error: RecordError) -> DeadLetter {
    let bytes = match &batch.meta.raw {
        Some(raw) => raw.value(row).to_vec(),
        None => row_text(&batch.columns, row).into_bytes(),
    };
    DeadLetter {
        error,
        source: Arc::clone(name),
        partition: batch.meta.partition,
        offset: batch.meta.offsets.at(row),
        position: None,
        full_length: None,
        bytes,
        origin: batch.meta.records.as_ref().and_then(|records| records.origin(batch.meta.offsets.at(row))),
    }
}

/// Values of a row that never had bytes of its own (a row an operator made), for its dead letter.
fn row_text(columns: &[Column], row: usize) -> String {
    let values: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
    values.join(",")
}
