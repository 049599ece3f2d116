//! One shard with its ends of the world: rings, partitions, writers.
//!
//! A round is: take arrivals, answer demands by polling partitions, turn, publish the low watermark, send, write. A
//! round without anything new skips the turn. A partition that has nothing now is polled again after its pause, not
//! before, and whether or not the shard asks again: its demand stays open until it is answered by bytes or the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use hdrhistogram::Histogram;
use velostream_exec::commit::Writer;
use velostream_exec::op::metrics::SeriesPart;
use velostream_exec::operator::NodeCounters;
use velostream_exec::shard::{
    Demand, Inbox, Mark, Outbox, PartitionProgress, Progress, STOP_BARRIER, Saved, Standing, Write,
};
use velostream_types::time::WM_END;
use velostream_types::topic::FetchStats;
use velostream_types::{
    Chunk, Clock, DlqId, Fatal, PartitionId, PartitionSource, ShardId, SinkPosition, SinkWriter, SourceId, SourcePoll,
};

use super::Turn;
use super::world::{TableRead, World, add};
use crate::clock::{RunClock, monotonic};
use crate::io::passed_over::PassedOver;
use crate::mesh::MeshPort;

/// When a partition that had nothing is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After this pause.
    After(Duration),
    /// Whenever the executor wakes: the partition rings its bell.
    OnNews,
}

/// One partition a shard reads.
pub struct Reader {
    /// Its source.
    pub source: SourceId,
    /// Its number.
    pub partition: PartitionId,
    /// Where the bytes come from.
    pub input: Box<dyn PartitionSource>,
    /// When to ask again after `Pending`.
    pub retry: Retry,
}

/// One writer a shard owns.
pub struct Sink {
    /// Where the rows go.
    pub writer: Box<dyn SinkWriter>,
    /// Flush after every turn that wrote, not only before going idle.
    pub eager: bool,
    /// It talks to somebody and rings: it is served at every wake.
    pub served: bool,
}

/// What a lane tells whoever commits.
#[derive(Debug)]
pub struct Note {
    /// Which shard.
    pub shard: ShardId,
    /// What.
    pub news: News,
}

/// Kinds of [`Note`].
#[derive(Debug)]
pub enum News {
    /// A barrier passed something.
    Mark(Mark),
    /// A writer made everything before a barrier safe.
    Safe(Writer, u64),
    /// The shard's state at a barrier.
    Saved(Saved),
    /// Where a writer stands at a barrier; [`STOP_BARRIER`]: at its end.
    Cut(Writer, u64, SinkPosition),
    /// How far the shard read its partitions.
    Read(Vec<PartitionProgress>),
    /// Where a partition stands in its log.
    Stands(SourceId, PartitionId, FetchStats),
    /// Something for the log.
    Say(String),
}

/// A writer's place in the lane.
struct Slot {
    sink: Sink,
    dirty: bool,
    state: SlotState,
    rows: u64,
    /// Rows the sink took and then refused; not among `rows`.
    refused: u64,
    /// Last barrier set, and the last one that was told to be safe.
    marked: u64,
    told: u64,
}

/// Where a writer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Open,
    Finished,
    Interrupted,
}

impl Slot {
    fn is_open(&self) -> bool {
        self.state == SlotState::Open
    }

    /// Moves rows that were refused since the last call from written to refused; answers how many.
    fn count_refused(&mut self) -> u64 {
        let refused = self.sink.writer.take_refused();
        self.refused += refused;
        self.rows = self.rows.saturating_sub(refused);
        refused
    }
}

/// A demand without an answer yet.
struct Open {
    demand: Demand,
    /// Not before, ns since the start.
    due_ns: i64,
    /// Asked at least once: `consumed` was told.
    asked: bool,
    /// The last answer was that more is on its way.
    behind: bool,
}

/// What a lane is made of.
pub struct LaneParts {
    /// Which shard.
    pub shard: ShardId,
    /// The shard itself.
    pub turn: Box<dyn Turn>,
    /// Its rings.
    pub port: MeshPort,
    /// Its partitions.
    pub readers: Vec<Reader>,
    /// Writers of the sinks it owns, by position of the sink.
    pub sinks: Vec<(usize, Sink)>,
    /// Writers of the dead letters it owns, by position of the destination.
    pub dead: Vec<(usize, Sink)>,
    /// Time of day.
    pub clock: RunClock,
    /// The run's start, for latencies.
    pub started: Instant,
    /// Where barriers are told; `None`: nobody commits.
    pub notes: Option<Sender<Note>>,
    /// Sources of tables that others wait for.
    pub tables: Vec<SourceId>,
}

/// What one writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkProgress {
    /// Position of the sink or dead-letter destination.
    pub sink: usize,
    /// Rows written.
    pub rows: u64,
    /// Rows that the sink refused; their bytes are in the dead letters.
    pub refused: u64,
    /// Completed; FALSE when the run was stopped before.
    pub finished: bool,
}

/// What a lane did.
#[derive(Debug)]
pub struct LaneReport {
    /// Which shard.
    pub shard: ShardId,
    /// Its counters by node.
    pub counters: Vec<NodeCounters>,
    /// Its partitions.
    pub partitions: Vec<PartitionProgress>,
    /// Its sinks.
    pub sinks: Vec<SinkProgress>,
    /// Its dead-letter destinations.
    pub dead: Vec<SinkProgress>,
    /// Messages that had to wait for a credit.
    pub credit_waits: u64,
    /// From slab poll to write, ns.
    pub latency: Histogram<u64>,
    /// Where its partitions and windows stood at the end.
    pub standing: Standing,
    /// What it counted for metrics.
    pub series: Vec<SeriesPart>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// More to do at once.
    Busy,
    /// Nothing to do before something arrives or this long passed.
    Idle(Option<Duration>),
}

/// How long a full sink is left alone when it does not ring.
const HELD_PAUSE: Duration = Duration::from_millis(1);

/// How long a stop waits for a sink that takes nothing, ns.
const STOP_PATIENCE_NS: i64 = 10_000_000_000;

/// Pause between looks at the shard's own row counts, ns.
const PROGRESS_NS: i64 = 50_000_000;

/// One shard and what it owns.
pub struct Lane {
    shard: ShardId,
    turn: Box<dyn Turn>,
    port: MeshPort,
    readers: BTreeMap<(SourceId, PartitionId), Reader>,
    sinks: BTreeMap<usize, Slot>,
    dead: BTreeMap<usize, Slot>,
    clock: RunClock,
    started: Instant,
    inbox: Inbox,
    outbox: Outbox,
    notes: Option<Sender<Note>>,
    /// Writes that wait for room in their sink, in order, and how many rows of the first are written.
    held: VecDeque<Write>,
    held_rows: usize,
    barrier_seen: u64,
    asked_seen: u64,
    /// When the shard wants a turn of its own accord, by its clock, ns.
    due_ns: Option<i64>,
    /// When the stop was seen, ns since the start.
    stopped_ns: Option<i64>,
    open: Vec<Open>,
    busy: bool,
    done: bool,
    low_seen: i64,
    loaded_seen: u16,
    stop_seen: bool,
    progress_due_ns: i64,
    latency: Histogram<u64>,
    /// Bad records that are only logged, by destination.
    passed: BTreeMap<DlqId, PassedOver>,
    tables: Vec<SourceId>,
}

fn slots(sinks: Vec<(usize, Sink)>) -> BTreeMap<usize, Slot> {
    sinks
        .into_iter()
        .map(|(i, sink)| {
            (i, Slot { sink, dirty: false, state: SlotState::Open, rows: 0, refused: 0, marked: 0, told: 0 })
        })
        .collect()
}

impl Lane {
    /// A lane before its first round.
    pub fn new(parts: LaneParts) -> Lane {
        let readers = parts.readers.into_iter().map(|reader| ((reader.source, reader.partition), reader)).collect();
        Lane {
            shard: parts.shard,
            turn: parts.turn,
            port: parts.port,
            readers,
            sinks: slots(parts.sinks),
            dead: slots(parts.dead),
            clock: parts.clock,
            started: parts.started,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            notes: parts.notes,
            held: VecDeque::new(),
            held_rows: 0,
            barrier_seen: 0,
            asked_seen: 0,
            due_ns: None,
            stopped_ns: None,
            open: Vec::new(),
            busy: true,
            done: false,
            low_seen: i64::MIN,
            loaded_seen: 0,
            stop_seen: false,
            progress_due_ns: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("the bounds are valid constants"),
            passed: BTreeMap::new(),
            tables: parts.tables,
        }
    }

    /// Which shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// TRUE when a round would find arrivals, or others that went on.
    pub fn has_news(&self, world: &World) -> bool {
        self.port.has_arrivals()
            || world.low_rose(self.shard)
            || world.held_rose(self.shard, &self.inbox.held_elsewhere)
    }

    fn elapsed_ns(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// One round.
    pub fn round(&mut self, world: &World) -> Result<Round, Fatal> {
        let taken = self.port.drain(&mut self.inbox.mesh);
        if self.done {
            // Only credits still arrive for a shard that is done.
            self.inbox.mesh.clear();
            world.count(self.shard, taken, 0);
            return Ok(Round::Idle(None));
        }
        self.serve()?;
        self.count_refused(world);
        let mut stop = world.stopping();
        if !self.held.is_empty() {
            self.write(world)?;
            if !self.held.is_empty() {
                self.give_up_in_time(stop)?;
                return Ok(Round::Idle(Some(HELD_PAUSE)));
            }
        }
        if world.draining() && !self.inbox.drain {
            (self.inbox.drain, self.busy) = (true, true);
        }
        if stop || self.inbox.drain {
            self.open.clear();
        } else {
            self.answer_demands(world)?;
        }
        let barrier = world.barrier();
        if barrier > self.barrier_seen {
            (self.barrier_seen, self.busy) = (barrier, true);
            self.inbox.barrier = Some(barrier);
            stop |= world.stops_at(barrier);
        }
        let asked = world.asked();
        if asked > self.asked_seen {
            (self.asked_seen, self.busy, self.inbox.ask) = (asked, true, true);
        }
        self.busy |= self.due_ns.is_some_and(|due_ns| self.clock.now_ns() >= due_ns);
        let loaded = world.loaded_elsewhere(self.shard);
        let fresh = self.busy
            || taken > 0
            || !self.inbox.polls.is_empty()
            || world.low_elsewhere(self.shard) > self.low_seen
            || world.held_rose(self.shard, &self.inbox.held_elsewhere)
            || loaded > self.loaded_seen
            || stop != self.stop_seen;
        if !fresh {
            return Ok(Round::Idle(self.pause()));
        }
        world.set_quiet(self.shard, false);
        let low = world.lows_elsewhere(self.shard, &mut self.inbox.held_elsewhere);
        (self.low_seen, self.stop_seen) = (low, stop);
        self.inbox.low_elsewhere = low;
        (self.loaded_seen, self.inbox.loaded_elsewhere) = (loaded, loaded);
        self.inbox.state_elsewhere = world.state_elsewhere(self.shard);
        self.inbox.stop = stop;
        let progress = self.turn.turn(self.clock.now_ns(), &mut self.inbox, &mut self.outbox)?;
        self.deliver(world, taken, progress)?;
        self.busy = progress == Progress::Busy;
        if progress == Progress::Done && !stop {
            self.finish(world)?;
        } else if !self.busy && stop {
            world.set_quiet(self.shard, true);
        }
        let unasked = self.open.iter().any(|open| !open.asked);
        Ok(if self.busy || unasked { Round::Busy } else { Round::Idle(self.pause()) })
    }

    /// Polls the partitions whose demands are due.
    fn answer_demands(&mut self, world: &World) -> Result<(), Fatal> {
        if self.open.is_empty() {
            return Ok(());
        }
        let now_ns = self.elapsed_ns();
        let (readers, inbox, notes, shard) = (&mut self.readers, &mut self.inbox, &self.notes, self.shard);
        let mut read = false;
        let mut failed = None;
        self.open.retain_mut(|open| {
            if open.due_ns > now_ns || failed.is_some() {
                return true;
            }
            let Demand { source, partition, consumed, grow } = open.demand;
            let Some(reader) = readers.get_mut(&(source, partition)) else {
                inbox.polls.push((source, partition, SourcePoll::End));
                return false;
            };
            let (consumed, grow) = if open.asked { (0, false) } else { (consumed, grow) };
            let keep = match reader.input.poll(consumed, grow) {
                Err(fatal) => {
                    failed = Some(fatal);
                    return true;
                }
                Ok(nothing @ (SourcePoll::Pending | SourcePoll::Behind)) => {
                    // A partition that waits for news is asked at every wake; an answer is told when it differs from
                    // the last one, the others would make every wake a turn.
                    let behind = matches!(nothing, SourcePoll::Behind);
                    if !open.asked || open.behind != behind || matches!(reader.retry, Retry::After(_)) {
                        inbox.polls.push((source, partition, nothing));
                    }
                    open.behind = behind;
                    if let Retry::After(pause) = reader.retry {
                        open.due_ns = now_ns.saturating_add(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX));
                    }
                    open.asked = true;
                    return true;
                }
                Ok(SourcePoll::End) => {
                    inbox.polls.push((source, partition, SourcePoll::End));
                    false
                }
                Ok(slab) => {
                    inbox.polls.push((source, partition, slab));
                    read = true;
                    true
                }
            };
            if !keep {
                // The end: its file or topic is closed at once, and what it has to say is said now or never.
                if let Some(mut reader) = readers.remove(&(source, partition)) {
                    tell_reader(notes, shard, (source, partition), &mut reader);
                }
            }
            false
        });
        if read {
            world.cell(self.shard).polled_ns.store(now_ns, Ordering::Relaxed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Hands over what the turn left behind.
    fn deliver(&mut self, world: &World, taken: usize, progress: Progress) -> Result<(), Fatal> {
        for demand in self.outbox.demands.drain(..) {
            let same = |open: &Open| (open.demand.source, open.demand.partition) == (demand.source, demand.partition);
            if !self.open.iter().any(same) {
                self.open.push(Open { demand, due_ns: i64::MIN, asked: false, behind: false });
            }
        }
        // Envelopes go before the low watermark: who sees the low may rely on what was sent at it.
        let sent = self.outbox.mesh.len();
        for (to, envelope) in self.outbox.mesh.drain(..) {
            self.port.send(to, envelope)?;
        }
        world.count(self.shard, taken, sent);
        if sent > 0 {
            self.port.publish(|to| world.bell(to).nudge());
        }
        world.publish_lows(self.shard, self.outbox.low, &self.outbox.held);
        if world.publish_loaded(self.shard, self.outbox.loaded) {
            self.tell_tables(world);
        }
        world.cell(self.shard).state_bytes.store(self.outbox.state_bytes, Ordering::Relaxed);
        let waits = progress == Progress::Waiting && self.outbox.low < WM_END;
        world.wait_above(self.shard, if waits { self.low_seen } else { WM_END });
        world.hold_back(self.shard, progress == Progress::Waiting && self.outbox.held_back);
        for mark in self.outbox.marks.drain(..) {
            tell(&self.notes, self.shard, News::Mark(mark));
        }
        for saved in self.outbox.saved.drain(..) {
            tell(&self.notes, self.shard, News::Saved(saved));
        }
        if let Some(standing) = self.outbox.standing.take() {
            world.answer(self.shard, self.asked_seen, *standing);
        }
        for notice in self.outbox.notices.drain(..).filter(|notice| world.is_news(notice.source, notice.about)) {
            tell(&self.notes, self.shard, News::Say(notice.text));
        }
        self.due_ns = self.outbox.due_ns;
        for (dlq, records, last) in self.outbox.passed_over.drain(..) {
            self.passed.entry(dlq).or_default().add(records, last);
        }
        self.held.extend(self.outbox.writes.drain(..));
        self.write(world)?;
        self.flush(progress != Progress::Busy)?;
        let now_ns = self.elapsed_ns();
        if now_ns >= self.progress_due_ns {
            self.progress_due_ns = now_ns + PROGRESS_NS;
            let partitions = self.turn.partitions();
            let rows_in = partitions.iter().map(|p| p.rows).sum();
            world.cell(self.shard).rows_in.store(rows_in, Ordering::Relaxed);
            self.tell_tables(world);
            tell(&self.notes, self.shard, News::Read(partitions));
            self.tell_standing(false);
        }
        Ok(())
    }

    /// How far the tables are read that others wait for.
    fn tell_tables(&self, world: &World) {
        if self.tables.is_empty() {
            return;
        }
        let (partitions, at_ns) = (self.turn.partitions(), self.elapsed_ns());
        for source in &self.tables {
            let mut read = TableRead { at_ns, ..TableRead::default() };
            for partition in partitions.iter().filter(|p| p.source == *source) {
                read.rows += partition.rows;
                read.bytes += partition.position;
                let reader = self.readers.get(&(*source, partition.partition));
                let stats = reader.and_then(|reader| reader.input.stats());
                read.left += stats.map_or(0, |stats| u64::try_from(stats.end - stats.position).unwrap_or(0));
            }
            world.read_table(*source, self.shard, read);
        }
    }

    /// Where the partitions stand in their logs, and what sources and sinks have to say.
    fn tell_standing(&mut self, at_end: bool) {
        if self.notes.is_none() {
            return;
        }
        if !self.passed.is_empty() {
            let now = monotonic();
            let said = self.passed.values_mut().filter_map(|passed| passed.take(now, at_end));
            said.for_each(|text| tell(&self.notes, self.shard, News::Say(text)));
        }
        for (key, reader) in &mut self.readers {
            tell_reader(&self.notes, self.shard, *key, reader);
        }
        for slot in self.sinks.values_mut().chain(self.dead.values_mut()) {
            let said = slot.sink.writer.notices();
            said.into_iter().for_each(|text| tell(&self.notes, self.shard, News::Say(text)));
        }
    }

    /// Writes what waits, in order, until a sink is full.
    fn write(&mut self, world: &World) -> Result<(), Fatal> {
        if self.held.is_empty() {
            return Ok(());
        }
        let cell = world.cell(self.shard);
        let (mut wrote, mut marked) = (false, false);
        while let Some(write) = self.held.pop_front() {
            match write {
                Write::Rows(i, chunk) => {
                    let taken = append(&mut self.sinks, i, &chunk, self.held_rows)?;
                    wrote |= taken > 0;
                    add(&cell.rows_out, taken as u64);
                    self.held_rows += taken;
                    if self.held_rows < chunk.rows() {
                        self.held.push_front(Write::Rows(i, chunk));
                        break;
                    }
                    self.held_rows = 0;
                    self.inbox.spare.push(chunk);
                }
                Write::Dead(i, chunk) => {
                    let taken = append(&mut self.dead, i, &chunk, self.held_rows)?;
                    wrote |= taken > 0;
                    add(&cell.rows_dead, taken as u64);
                    self.held_rows += taken;
                    if self.held_rows < chunk.rows() {
                        self.held.push_front(Write::Dead(i, chunk));
                        break;
                    }
                    self.held_rows = 0;
                }
                Write::Mark(i, barrier) => {
                    marked = true;
                    mark(&mut self.sinks, i, barrier)?;
                    tell_cut(&self.notes, Writer::Sink(i, self.shard), &self.sinks, self.shard, barrier);
                }
                Write::MarkDead(i, barrier) => {
                    marked = true;
                    mark(&mut self.dead, i, barrier)?;
                    tell_cut(&self.notes, Writer::Dead(i), &self.dead, self.shard, barrier);
                }
                Write::Finish(i) => {
                    finish(&mut self.sinks, i)?;
                    tell_cut(&self.notes, Writer::Sink(i, self.shard), &self.sinks, self.shard, STOP_BARRIER);
                }
                Write::FinishDead(i) => {
                    finish(&mut self.dead, i)?;
                    tell_cut(&self.notes, Writer::Dead(i), &self.dead, self.shard, STOP_BARRIER);
                }
            }
        }
        if marked {
            // Sinks that are never served are safe as soon as they are marked; no wake would tell later.
            self.serve()?;
        }
        if !wrote {
            return Ok(());
        }
        // A shard without partitions writes what others read.
        let own = cell.polled_ns.load(Ordering::Relaxed);
        let polled_ns =
            if own > 0 { own } else { world.cells().map(|c| c.polled_ns.load(Ordering::Relaxed)).max().unwrap_or(0) };
        self.latency.saturating_record(u64::try_from(self.elapsed_ns() - polled_ns).unwrap_or(0).max(1));
        Ok(())
    }

    /// Serves the sinks that talk to somebody, and tells which barriers have become safe.
    fn serve(&mut self) -> Result<(), Fatal> {
        let shard = self.shard;
        let sinks = self.sinks.iter_mut().map(|(i, slot)| (Writer::Sink(*i, shard), slot));
        let dead = self.dead.iter_mut().map(|(i, slot)| (Writer::Dead(*i), slot));
        for (writer, slot) in sinks.chain(dead) {
            let safe = match slot.state {
                SlotState::Finished => STOP_BARRIER,
                SlotState::Open if slot.sink.served || slot.marked > slot.told => slot.sink.writer.safe(slot.marked)?,
                SlotState::Open | SlotState::Interrupted => continue,
            };
            if safe > slot.told {
                slot.told = safe;
                tell(&self.notes, shard, News::Safe(writer, safe));
            }
        }
        Ok(())
    }

    /// Rows that sinks refused are dead letters instead.
    fn count_refused(&mut self, world: &World) {
        let refused: u64 = self.sinks.values_mut().filter(|slot| slot.sink.served).map(Slot::count_refused).sum();
        if refused > 0 {
            let cell = world.cell(self.shard);
            cell.rows_out.store(cell.rows_out.load(Ordering::Relaxed).saturating_sub(refused), Ordering::Relaxed);
            add(&cell.rows_dead, refused);
        }
    }

    /// A stop does not wait for ever for a sink that takes nothing.
    fn give_up_in_time(&mut self, stop: bool) -> Result<(), Fatal> {
        let now_ns = self.elapsed_ns();
        let since = if stop { *self.stopped_ns.get_or_insert(now_ns) } else { now_ns };
        if now_ns - since < STOP_PATIENCE_NS {
            return Ok(());
        }
        let seconds = STOP_PATIENCE_NS / 1_000_000_000;
        Err(Fatal::new(format!("a sink took no rows for {seconds} s after the stop; what it lacks was not committed")))
    }

    fn flush(&mut self, idle: bool) -> Result<(), Fatal> {
        for slot in self.sinks.values_mut().chain(self.dead.values_mut()) {
            if slot.dirty && slot.is_open() && (idle || slot.sink.eager) {
                slot.sink.writer.flush()?;
                slot.dirty = false;
            }
        }
        Ok(())
    }

    /// The shard is done for good: whatever it did not finish itself is complete all the same.
    fn finish(&mut self, world: &World) -> Result<(), Fatal> {
        for slot in self.sinks.values_mut().chain(self.dead.values_mut()).filter(|slot| slot.is_open()) {
            slot.sink.writer.finish()?;
            slot.state = SlotState::Finished;
        }
        for i in self.sinks.keys() {
            tell_cut(&self.notes, Writer::Sink(*i, self.shard), &self.sinks, self.shard, STOP_BARRIER);
        }
        for i in self.dead.keys() {
            tell_cut(&self.notes, Writer::Dead(*i), &self.dead, self.shard, STOP_BARRIER);
        }
        self.serve()?;
        self.tell_end();
        self.tell_tables(world);
        self.readers.clear();
        self.open.clear();
        self.done = true;
        world.publish_lows(self.shard, WM_END, &[]);
        world.hold_back(self.shard, false);
        world.publish_loaded(self.shard, u16::MAX);
        world.wait_above(self.shard, WM_END);
        world.set_quiet(self.shard, true);
        world.shard_done();
        Ok(())
    }

    /// How long nothing happens unless something arrives.
    fn pause(&self) -> Option<Duration> {
        let until =
            |due_ns: i64, now_ns: i64| Duration::from_nanos(u64::try_from(due_ns.saturating_sub(now_ns)).unwrap_or(0));
        let waiting = |open: &&Open| self.waits_for_time(open);
        let asked = self.open.iter().filter(waiting).map(|open| open.due_ns).min();
        let asked = asked.map(|due_ns| until(due_ns, self.elapsed_ns()));
        // A clock that stands still brings nothing about.
        let own = self.due_ns.filter(|_| self.clock.runs()).map(|due_ns| until(due_ns, self.clock.now_ns()));
        asked.into_iter().chain(own).min()
    }

    /// FALSE for a demand that was told `Pending` and is answered on a bell.
    fn waits_for_time(&self, open: &Open) -> bool {
        let key = (open.demand.source, open.demand.partition);
        !open.asked || self.readers.get(&key).is_none_or(|reader| reader.retry != Retry::OnNews)
    }

    /// Ends a run that was stopped or failed: writers keep whole rows. The first failure to do so is returned, after
    /// all of them were asked.
    ///
    /// Only after a complete stop everything that was read is also written: a run that failed tells no end, or offsets of
    /// rows that were decoded and went no further would be committed.
    pub fn interrupt(&mut self, complete: bool) -> Result<(), Fatal> {
        let mut outcome = Ok(());
        for slot in self.sinks.values_mut().chain(self.dead.values_mut()).filter(|slot| slot.is_open()) {
            slot.state = SlotState::Interrupted;
            let result = slot.sink.writer.interrupt();
            if outcome.is_ok() {
                outcome = result;
            }
        }
        if complete && outcome.is_ok() && !self.done {
            self.tell_end();
        }
        outcome
    }

    /// Everything that was read is written, safe, and known by its place.
    fn tell_end(&mut self) {
        self.tell_standing(true);
        let partitions = self.turn.scan_marks();
        tell(&self.notes, self.shard, News::Mark(Mark::Scanned { barrier: STOP_BARRIER, partitions }));
        for i in self.sinks.keys() {
            tell(&self.notes, self.shard, News::Safe(Writer::Sink(*i, self.shard), STOP_BARRIER));
        }
        for i in self.dead.keys() {
            tell(&self.notes, self.shard, News::Safe(Writer::Dead(*i), STOP_BARRIER));
        }
    }

    /// What the lane did.
    pub fn report(&mut self) -> LaneReport {
        let progress = |(sink, slot): (&usize, &mut Slot)| {
            slot.count_refused();
            let finished = slot.state == SlotState::Finished;
            SinkProgress { sink: *sink, rows: slot.rows, refused: slot.refused, finished }
        };
        LaneReport {
            shard: self.shard,
            counters: self.turn.counters(),
            partitions: self.turn.partitions(),
            sinks: self.sinks.iter_mut().map(progress).collect(),
            dead: self.dead.iter_mut().map(progress).collect(),
            credit_waits: self.turn.credit_waits(),
            latency: self.latency.clone(),
            standing: self.turn.standing(),
            series: self.turn.series(),
        }
    }
}

fn slot_of(slots: &mut BTreeMap<usize, Slot>, i: usize) -> Result<&mut Slot, Fatal> {
    slots.get_mut(&i).ok_or_else(|| Fatal::new(format!("a shard wrote to sink {i}, which another shard owns")))
}

fn append(slots: &mut BTreeMap<usize, Slot>, i: usize, chunk: &Chunk, from: usize) -> Result<usize, Fatal> {
    let slot = slot_of(slots, i)?;
    let taken = slot.sink.writer.offer(chunk, from)?;
    slot.dirty = true;
    slot.rows += taken as u64;
    Ok(taken)
}

fn mark(slots: &mut BTreeMap<usize, Slot>, i: usize, barrier: u64) -> Result<(), Fatal> {
    let slot = slot_of(slots, i)?;
    slot.sink.writer.mark(barrier)?;
    slot.marked = barrier;
    Ok(())
}

/// Tells where a writer stands, if it can be cut back to that.
fn tell_cut(notes: &Option<Sender<Note>>, writer: Writer, slots: &BTreeMap<usize, Slot>, shard: ShardId, barrier: u64) {
    let (Writer::Sink(i, _) | Writer::Dead(i)) = writer;
    if let Some(position) = slots.get(&i).and_then(|slot| slot.sink.writer.position()) {
        tell(notes, shard, News::Cut(writer, barrier, position));
    }
}

/// Tells where a partition stands and what its reader has to say.
fn tell_reader(notes: &Option<Sender<Note>>, shard: ShardId, at: (SourceId, PartitionId), reader: &mut Reader) {
    if let Some(stats) = reader.input.stats() {
        tell(notes, shard, News::Stands(at.0, at.1, stats));
    }
    reader.input.notices().into_iter().for_each(|text| tell(notes, shard, News::Say(text)));
}

/// Nobody listens any more when the run was given up.
fn tell(notes: &Option<Sender<Note>>, shard: ShardId, news: News) {
    if let Some(notes) = notes {
        let _ = notes.send(Note { shard, news });
    }
}

fn finish(slots: &mut BTreeMap<usize, Slot>, i: usize) -> Result<(), Fatal> {
    let slot = slot_of(slots, i)?;
    if slot.is_open() {
        slot.sink.writer.finish()?;
        slot.state = SlotState::Finished;
    }
    Ok(())
}
