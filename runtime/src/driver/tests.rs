//! The driver with shards made for the purpose: each sends every byte it reads to the shard that owns it, owners send
//! their sums to shard 0, and shard 0 writes them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow_buffer::Buffer;
use crossbeam_channel::Receiver;
use velostream_exec::operator::Msg;
use velostream_exec::shard::{Demand, Envelope, Mark, STOP_BARRIER, ScanMark, Write};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{
    Chunk, EdgeId, PartitionId, PartitionSource, ShardId, SinkWriter, Slab, SlabKind, SourceId, SourcePoll,
};

use super::*;
use crate::backend::{Backend, BackendChoice};
use crate::clock::RunClock;
use crate::mesh::ring_slots;
use crate::stop::StopHandle;

const ROUTE: EdgeId = EdgeId(0);
const GATHER: EdgeId = EdgeId(1);

/// What goes wrong in a fake shard.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Error,
    Panic,
    Flood,
}

/// What the tests look at afterwards.
#[derive(Default)]
struct Seen {
    written: Mutex<Vec<u64>>,
    finished: AtomicUsize,
    interrupted: AtomicUsize,
    routed: AtomicU64,
    received: AtomicU64,
    highest_low: Mutex<Vec<i64>>,
    notes: Option<Receiver<Note>>,
}

impl Seen {
    /// How many shards told that everything they read is written.
    fn told_end(&self) -> usize {
        let end = |note: Note| matches!(note.news, News::Mark(Mark::Scanned { barrier: STOP_BARRIER, .. }));
        self.notes.as_ref().unwrap().try_iter().map(end).filter(|end| *end).count()
    }
}

struct FakeShard {
    id: u16,
    shards: u16,
    owned: Vec<(PartitionId, bool)>,
    credits: Vec<[u32; 2]>,
    queue: VecDeque<(u16, EdgeId, Msg)>,
    sum: u64,
    reading: usize,
    ended: [u16; 2],
    routed_end: bool,
    gathered_end: bool,
    started: bool,
    fault: Fault,
    seen: Arc<Seen>,
}

impl FakeShard {
    fn take(&mut self, edge: EdgeId, msg: Msg, out: &mut Outbox) {
        match (edge, msg) {
            (ROUTE, Msg::Watermark(n)) if n != WM_END => {
                self.sum += n as u64;
                self.seen.received.fetch_add(n as u64, Ordering::Relaxed);
            }
            (GATHER, Msg::Watermark(n)) if n != WM_END => {
                let mut chunk = Chunk::default();
                chunk.bytes.extend_from_slice(&n.to_le_bytes());
                chunk.end_row();
                out.writes.push(Write::Rows(0, chunk));
            }
            (edge, _) => self.ended[edge.index()] += 1,
        }
    }

    fn send(&mut self, to: u16, edge: EdgeId, n: i64, out: &mut Outbox) {
        if to == self.id {
            self.take(edge, Msg::Watermark(n), out);
        } else {
            self.queue.push_back((to, edge, Msg::Watermark(n)));
        }
    }

    fn read(&mut self, inbox: &mut Inbox, out: &mut Outbox) {
        for (_, partition, poll) in inbox.polls.drain(..) {
            let i = self.owned.iter().position(|(p, _)| *p == partition).unwrap();
            match poll {
                SourcePoll::End => {
                    self.owned[i].1 = true;
                    self.reading -= 1;
                }
                SourcePoll::Pending | SourcePoll::Behind => {}
                SourcePoll::Slab(slab) => {
                    for byte in slab.bytes.as_slice() {
                        self.seen.routed.fetch_add(u64::from(*byte), Ordering::Relaxed);
                        self.send(u16::from(*byte) % self.shards, ROUTE, i64::from(*byte), out);
                    }
                    let consumed = slab.bytes.len();
                    out.demands.push(Demand { source: SourceId(0), partition, consumed, grow: false });
                }
            }
        }
    }

    fn flush(&mut self, out: &mut Outbox) {
        let mut held = VecDeque::new();
        while let Some((to, edge, msg)) = self.queue.pop_front() {
            let credit = &mut self.credits[usize::from(to)][edge.index()];
            if *credit == 0 {
                held.push_back((to, edge, msg));
            } else {
                *credit -= 1;
                out.mesh.push((ShardId(to), Envelope::Msg(edge, msg)));
            }
        }
        self.queue = held;
    }

    fn end(&mut self, stop: bool, out: &mut Outbox) {
        if !stop && self.reading == 0 && !self.routed_end {
            self.routed_end = true;
            (0..self.shards).for_each(|to| self.send(to, ROUTE, WM_END, out));
        }
        if self.ended[0] == self.shards && !self.gathered_end {
            self.gathered_end = true;
            self.send(0, GATHER, self.sum as i64, out);
            self.send(0, GATHER, WM_END, out);
        }
    }
}

impl Turn for FakeShard {
    fn turn(&mut self, _now_ns: i64, inbox: &mut Inbox, out: &mut Outbox) -> Result<Progress, Fatal> {
        self.seen.highest_low.lock().unwrap().push(inbox.low_elsewhere);
        if self.fault == Fault::Error && self.started {
            return Err(Fatal::new("the fake disk is full"));
        }
        assert!(self.fault != Fault::Panic || !self.started, "a fake invariant broke");
        for (from, envelope) in std::mem::take(&mut inbox.mesh) {
            match envelope {
                Envelope::Credit(edge, n) => self.credits[from.index()][edge.index()] += n,
                Envelope::Msg(edge, msg) => {
                    self.take(edge, msg, out);
                    out.mesh.push((from, Envelope::Credit(edge, 1)));
                }
            }
        }
        if !std::mem::replace(&mut self.started, true) {
            let demand =
                |(p, _): &(PartitionId, bool)| Demand { source: SourceId(0), partition: *p, consumed: 0, grow: false };
            out.demands.extend(self.owned.iter().map(demand));
        }
        self.read(inbox, out);
        self.end(inbox.stop, out);
        if self.fault == Fault::Flood {
            let flood = (0..1000).map(|_| (ShardId(1 - self.id), Envelope::Msg(ROUTE, Msg::Idle)));
            out.mesh.extend(flood);
        }
        self.flush(out);
        out.low = if self.reading == 0 { WM_END } else { WM_NONE };
        let done = self.gathered_end && self.queue.is_empty() && (self.id != 0 || self.ended[1] == self.shards);
        if done && self.id == 0 {
            out.writes.push(Write::Finish(0));
        }
        Ok(if done { Progress::Done } else { Progress::Waiting })
    }

    fn counters(&self) -> Vec<NodeCounters> {
        vec![NodeCounters { rows_in: self.sum, ..NodeCounters::default() }]
    }

    fn credit_waits(&self) -> u64 {
        0
    }

    fn scan_marks(&mut self) -> Vec<ScanMark> {
        Vec::new()
    }

    fn partitions(&self) -> Vec<PartitionProgress> {
        let progress = |(p, ended): &(PartitionId, bool)| PartitionProgress {
            source: SourceId(0),
            partition: *p,
            next_offset: 0,
            position: 0,
            max_event_time: WM_NONE,
            rows: 1,
            ended: *ended,
        };
        self.owned.iter().map(progress).collect()
    }
}

/// Gives `slabs` slabs of ten bytes, each after as many `Pending` as `pauses`; then ends, or never does.
struct FakeSource {
    slabs: usize,
    pauses: usize,
    paused: usize,
    endless: bool,
}

impl PartitionSource for FakeSource {
    fn poll(&mut self, _consumed: usize, _grow: bool) -> Result<SourcePoll, Fatal> {
        if self.slabs == 0 {
            return Ok(if self.endless { SourcePoll::Pending } else { SourcePoll::End });
        }
        if self.paused < self.pauses {
            self.paused += 1;
            return Ok(SourcePoll::Pending);
        }
        self.paused = 0;
        self.slabs -= 1;
        let bytes: Vec<u8> = (0..10u8).map(|i| i + (self.slabs % 100) as u8).collect();
        let kind = SlabKind::Stream { at_end: false, position: 0 };
        Ok(SourcePoll::Slab(Slab { bytes: Buffer::from_vec(bytes), kind }))
    }
}

struct FakeSink(Arc<Seen>);

impl SinkWriter for FakeSink {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        let number = |i| u64::from_le_bytes(rows.row(i).try_into().unwrap());
        self.0.written.lock().unwrap().extend((0..rows.rows()).map(number));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        self.0.finished.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        self.0.interrupted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// One run to set up.
#[derive(Clone, Copy)]
struct Case {
    backend: Backend,
    shards: u16,
    executors: usize,
    credits: u32,
    slabs: usize,
    pauses: usize,
    endless: bool,
    fault: Fault,
}

const PLAIN: Case = Case {
    backend: Backend::Threads,
    shards: 2,
    executors: 2,
    credits: 1,
    slabs: 20,
    pauses: 0,
    endless: false,
    fault: Fault::None,
};

fn backends() -> Vec<Backend> {
    let (auto, reason) = Backend::choose(BackendChoice::Auto).unwrap();
    if auto == Backend::Threads {
        eprintln!("glommio is not tested here: {reason}");
        return vec![Backend::Threads];
    }
    vec![Backend::Threads, Backend::Glommio]
}

fn lane(case: Case, seen: &Arc<Seen>, notes: &Sender<Note>, shard: ShardId, port: crate::mesh::MeshPort) -> LaneParts {
    // Partition p lives on shard p mod shards; there is one partition more than shards.
    let owned: Vec<PartitionId> = (0..=u32::from(case.shards))
        .filter(|p| p % u32::from(case.shards) == u32::from(shard.0))
        .map(PartitionId)
        .collect();
    let reader = |p: &PartitionId| Reader {
        source: SourceId(0),
        partition: *p,
        input: Box::new(FakeSource { slabs: case.slabs, pauses: case.pauses, paused: 0, endless: case.endless }),
        retry: Retry::After(Duration::from_micros(200)),
    };
    let sink = || (0, Sink { writer: Box::new(FakeSink(Arc::clone(seen))), eager: true, served: false });
    LaneParts {
        shard,
        port,
        readers: owned.iter().map(reader).collect(),
        sinks: (shard.0 == 0).then(sink).into_iter().collect(),
        dead: Vec::new(),
        clock: RunClock::Fixed(0),
        started: start_of_run(),
        turn: Box::new(FakeShard {
            id: shard.0,
            shards: case.shards,
            reading: owned.len(),
            owned: owned.iter().map(|p| (*p, false)).collect(),
            credits: vec![[case.credits; 2]; usize::from(case.shards)],
            queue: VecDeque::new(),
            sum: 0,
            ended: [0; 2],
            routed_end: false,
            gathered_end: false,
            started: false,
            fault: if shard.0 + 1 == case.shards { case.fault } else { Fault::None },
            seen: Arc::clone(seen),
        }),
        notes: Some(notes.clone()),
        tables: Vec::new(),
    }
}

fn run(
    case: Case,
    stop: &StopHandle,
    tick: &mut dyn FnMut(&World, &Seen),
) -> (Result<Vec<LaneReport>, Fatal>, Arc<Seen>) {
    let (notes, told) = crossbeam_channel::unbounded();
    let seen = Arc::new(Seen { notes: Some(told), ..Seen::default() });
    let layout = Layout {
        shards: case.shards,
        ring_slots: ring_slots(2, case.credits),
        backend: case.backend,
        cpus: vec![None; case.executors],
        spin: Duration::from_micros(20),
        aligned: true,
        groups: 0,
    };
    let made = Arc::clone(&seen);
    let reports =
        launch(&layout, &|shard, port, _| Ok(lane(case, &made, &notes, shard, port)), stop, false, &mut |w| {
            tick(w, &seen)
        });
    (reports, seen)
}

#[test]
fn every_byte_arrives_on_both_backends() {
    for backend in backends() {
        for (shards, executors, credits) in [(1, 1, 1), (2, 2, 1), (4, 4, 3), (4, 2, 1), (5, 1, 1)] {
            let case = Case { backend, shards, executors, credits, ..PLAIN };
            let (reports, seen) = run(case, &StopHandle::new(), &mut |_, _| {});
            let reports = reports.unwrap();
            let per_partition: u64 = (0..20).map(|s| (0..10).map(|i| i + s % 100).sum::<u64>()).sum();
            let total = per_partition * (u64::from(shards) + 1);
            assert_eq!(seen.written.lock().unwrap().iter().sum::<u64>(), total, "{} {shards}", backend.name());
            assert_eq!(reports.iter().map(|r| r.counters[0].rows_in).sum::<u64>(), total);
            assert_eq!((seen.finished.load(Ordering::Relaxed), seen.interrupted.load(Ordering::Relaxed)), (1, 0));
            assert_eq!(reports.len(), usize::from(shards));
            assert!(reports.iter().all(|r| r.partitions.iter().all(|p| p.ended)));
            assert_eq!(
                reports[0].sinks,
                [SinkProgress { sink: 0, rows: u64::from(shards), refused: 0, finished: true }]
            );
        }
    }
}

#[test]
fn sources_that_pause_are_asked_again() {
    for backend in backends() {
        let case = Case { backend, slabs: 3, pauses: 2, ..PLAIN };
        let (reports, seen) = run(case, &StopHandle::new(), &mut |_, _| {});
        reports.unwrap();
        assert_eq!(seen.finished.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn shards_learn_how_far_the_others_are() {
    let (reports, seen) = run(PLAIN, &StopHandle::new(), &mut |_, _| {});
    reports.unwrap();
    let lows = seen.highest_low.lock().unwrap();
    assert!(lows.contains(&WM_NONE) && lows.contains(&WM_END));
}

#[test]
fn errors_panics_and_broken_contracts_end_all_shards() {
    for backend in backends() {
        for (fault, expect) in [
            (Fault::Error, "the fake disk is full"),
            (Fault::Panic, "a fake invariant broke"),
            (Fault::Flood, "credits"),
        ] {
            let case = Case { backend, fault, endless: true, ..PLAIN };
            let (reports, seen) = run(case, &StopHandle::new(), &mut |_, _| {});
            let message = reports.unwrap_err().message;
            assert!(message.contains(expect), "{message}");
            assert_eq!(seen.interrupted.load(Ordering::Relaxed), 1, "{expect}");
            // Or offsets of rows that were read and not written would be committed.
            assert_eq!(seen.told_end(), 0, "{expect}");
        }
    }
}

#[test]
fn a_lane_that_cannot_be_made_ends_the_run() {
    let seen = Arc::new(Seen::default());
    let (notes, _told) = crossbeam_channel::unbounded();
    let layout = Layout {
        shards: 2,
        ring_slots: 4,
        backend: Backend::Threads,
        cpus: vec![None; 2],
        spin: Duration::ZERO,
        aligned: false,
        groups: 0,
    };
    let make = |shard: ShardId, port, _: &Arc<Bell>| match shard.0 {
        0 => Ok(lane(Case { endless: true, ..PLAIN }, &seen, &notes, shard, port)),
        _ => Err(Fatal::new("no such file")),
    };
    let error = launch(&layout, &make, &StopHandle::new(), false, &mut |_| {}).unwrap_err();
    assert_eq!(error.message, "no such file");
    assert_eq!(seen.interrupted.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stop_loses_nothing_that_was_read() {
    for backend in backends() {
        for shards in [1, 2, 4] {
            let stop = StopHandle::new();
            let case = Case { backend, shards, executors: 2, slabs: 200, endless: true, ..PLAIN };
            let (reports, seen) = run(case, &stop, &mut |_, seen| {
                if seen.received.load(Ordering::Relaxed) > 0 {
                    stop.request();
                }
            });
            reports.unwrap();
            assert_eq!(seen.routed.load(Ordering::Relaxed), seen.received.load(Ordering::Relaxed));
            assert_eq!((seen.finished.load(Ordering::Relaxed), seen.interrupted.load(Ordering::Relaxed)), (0, 1));
            assert_eq!(seen.told_end(), usize::from(shards));
        }
    }
}

/// Shard 0 holds a group of sources for a while, and shard 1 waits for that and for nothing else.
struct Meeting {
    id: u16,
    looks: usize,
    /// Shard 1 found the group held, and found it free again.
    was_held: bool,
    went_on: Arc<AtomicUsize>,
}

/// Looks of shard 0 at a source that has nothing: as long as it holds the group, and until it gives up.
const LOOKS_HOLDING: usize = 20;
const LOOKS_MAX: usize = 10_000;

impl Meeting {
    fn hold(&mut self, inbox: &mut Inbox, out: &mut Outbox) -> Result<Progress, Fatal> {
        if self.looks == 0 {
            out.demands.push(Demand { source: SourceId(0), partition: PartitionId(0), consumed: 0, grow: false });
        }
        self.looks += 1 + inbox.polls.drain(..).count();
        out.held = vec![if self.looks < LOOKS_HOLDING { 10 } else { WM_END }];
        match self.went_on.load(Ordering::Relaxed) {
            0 if self.looks > LOOKS_MAX => Err(Fatal::new("nobody woke the shard that waits")),
            0 => Ok(Progress::Waiting),
            _ => Ok(Progress::Done),
        }
    }

    fn wait(&mut self, inbox: &Inbox, out: &mut Outbox) -> Progress {
        out.held = vec![WM_END];
        out.held_back = inbox.held_elsewhere == [10];
        self.was_held |= out.held_back;
        match (self.was_held, out.held_back) {
            // Shard 0 has not told yet.
            (false, _) => Progress::Busy,
            (true, true) => Progress::Waiting,
            (true, false) => {
                self.went_on.store(1, Ordering::Relaxed);
                Progress::Done
            }
        }
    }
}

impl Turn for Meeting {
    fn turn(&mut self, _now_ns: i64, inbox: &mut Inbox, out: &mut Outbox) -> Result<Progress, Fatal> {
        out.low = WM_END;
        if self.id == 0 { self.hold(inbox, out) } else { Ok(self.wait(inbox, out)) }
    }

    fn counters(&self) -> Vec<NodeCounters> {
        Vec::new()
    }

    fn credit_waits(&self) -> u64 {
        0
    }

    fn scan_marks(&mut self) -> Vec<ScanMark> {
        Vec::new()
    }

    fn partitions(&self) -> Vec<PartitionProgress> {
        Vec::new()
    }
}

#[test]
fn a_shard_whose_partitions_wait_for_another_shard_is_woken_when_that_goes_on() {
    for (backend, executors) in backends().into_iter().flat_map(|backend| [(backend, 1), (backend, 2)]) {
        let went_on = Arc::new(AtomicUsize::new(0));
        let layout = Layout {
            shards: 2,
            ring_slots: ring_slots(2, 1),
            backend,
            cpus: vec![None; executors],
            spin: Duration::ZERO,
            aligned: true,
            groups: 1,
        };
        let make = |shard: ShardId, port, _: &Arc<Bell>| {
            let reader = || Reader {
                source: SourceId(0),
                partition: PartitionId(0),
                input: Box::new(FakeSource { slabs: 0, pauses: 0, paused: 0, endless: true }),
                retry: Retry::After(Duration::from_millis(1)),
            };
            Ok(LaneParts {
                shard,
                port,
                readers: (shard.0 == 0).then(reader).into_iter().collect(),
                sinks: Vec::new(),
                dead: Vec::new(),
                clock: RunClock::Fixed(0),
                started: start_of_run(),
                turn: Box::new(Meeting { id: shard.0, looks: 0, was_held: false, went_on: Arc::clone(&went_on) }),
                notes: None,
                tables: Vec::new(),
            })
        };
        launch(&layout, &make, &StopHandle::new(), false, &mut |_| {}).expect("both go on");
    }
}
