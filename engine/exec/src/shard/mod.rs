//! One shard of an app: a state machine that its driver turns.
//!
//! `turn` empties the inbox, then moves messages stage by stage, the last stages first, and decodes new input only
//! when everything behind it came to rest: the batch under way stays in cache and memory stays bounded by one message
//! per stage plus the credits. A turn ends when nothing moves or its budget of source batches is used; the budget
//! counts rows, never time. No clock, no lock, no I/O.

mod dead;
mod inlet;
mod io;
mod lead;
mod load;
mod meet;
mod memory;
mod notices;
mod outlet;
mod report;
mod saving;
mod scan;
mod writer;

use std::sync::Arc;

use velostream_sql::plan::{AppPlan, Failure};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Chunk, DeadLetter, DlqId, EdgeId, Fatal, NodeId, PartitionId, ShardId, SourceId};

use crate::format::{dead_record, encode_dead_letter};
use crate::op::metrics::SeriesPart;
use crate::operator::{Msg, NodeCounters, OpCx, Operator};
use crate::pipeline::{Lowered, Stage, StageKind, lower};
use saving::Saving;

pub use dead::DeadMerge;
pub use inlet::Inlet;
pub use io::{Demand, Envelope, Inbox, Mark, Outbox, Progress, ScanMark, Stair, Write};
pub use lead::{Leash, meeting_groups};
pub use load::without_twins;
pub use meet::Meet;
pub use outlet::{Outlet, Target};
pub use report::{About, LateRows, Notice, PartitionStanding, Standing, WindowStanding};
pub use saving::{Saved, ShardSnapshot};
pub use scan::{PartitionProgress, Scan, letter_of};
pub use writer::{SinkMerge, WriteRule};

/// Barrier that ends the stream without firing windows (INT/TERM).
pub const STOP_BARRIER: u64 = u64::MAX;

/// Source batches decoded per turn at most: few enough that arrivals and signals are seen soon, enough that the
/// driver's own work is amortised.
const BATCHES_PER_TURN: usize = 8;

/// Dead-letter bytes that may wait for a credit before reading pauses.
const DEAD_BYTES_MAX: usize = 1 << 20;

/// TRUE for the messages after which nothing follows.
fn ends_stream(msg: &Msg) -> bool {
    matches!(msg, Msg::Watermark(WM_END) | Msg::Barrier(STOP_BARRIER))
}

/// Notes a barrier, or the end, that a stage lets pass.
fn pass(passed: &mut u64, msg: &Msg) {
    match msg {
        Msg::Barrier(id) => *passed = (*passed).max(*id),
        Msg::Watermark(WM_END) => *passed = u64::MAX,
        _ => {}
    }
}

/// Gives everything that arrived to a writer. Answers whether anything was taken: a message that only moved one sender's
/// watermark gives nothing on, yet its credit may free another.
fn drain(inlet: &mut Inlet, taken: &mut Vec<(EdgeId, ShardId)>, mut write: impl FnMut(Msg)) -> bool {
    let before = taken.len();
    let mut moved = false;
    while let Some(msg) = inlet.next(&mut |edge, from| taken.push((edge, from))) {
        moved = true;
        write(msg);
    }
    moved || taken.len() > before
}

/// How a shard is set up.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Rows per batch at most, at least 1.
    pub batch_rows: usize,
    /// Messages in flight per edge and ordered pair of shards, at least 1.
    pub credits: u32,
    /// Time of the run's start, ms: `_timestamp` of rows without one.
    pub run_start_ms: i64,
    /// What RANDOM and UUID stem from beside a row's place.
    pub seed: u64,
    /// Partitions of each source over all shards.
    pub partitions: Vec<u32>,
    /// Bytes of state all shards together may hold.
    pub memory_limit: u64,
    /// Watch every operator's contract; the feature `check` does so everywhere.
    pub check: bool,
    /// Hand out the state at every barrier (see `saving`), and cut dead letters there, too.
    pub checkpoint: bool,
}

/// One shard.
pub struct Shard {
    id: ShardId,
    plan: Arc<AppPlan>,
    options: ShardOptions,
    lowered: Lowered,
    slots: Vec<Slot>,
    counters: Vec<NodeCounters>,
    /// Dead letters of this turn.
    dead: Vec<(DlqId, DeadLetter)>,
    /// Those from behind a barrier that the dead-letter edges were not given yet.
    dead_later: Vec<(DlqId, DeadLetter)>,
    /// Encoded dead letters per destination, waiting for their outlet.
    dead_chunks: Vec<Chunk>,
    /// Credits to give back: messages taken per edge and sender.
    taken: Vec<(EdgeId, ShardId)>,
    /// Chunks to fill again.
    spare: Vec<Chunk>,
    /// Messages this shard sends itself.
    local: Vec<(EdgeId, Msg)>,
    dead_closed: bool,
    /// Last barrier each stage without consumers let pass; `u64::MAX` after its end.
    passed: Vec<u64>,
    /// Last barrier the dead-letter edges were given, and the last that anything here let pass.
    dead_barrier: u64,
    last_barrier: u64,
    /// The checkpoint under way.
    saving: Option<Saving>,
    end_saved: bool,
    /// Frontiers to be told.
    marks: Vec<Mark>,
    /// What is known of tables that others wait for.
    loads: load::Loads,
    /// What is known of sources that meet.
    leads: lead::Leads,
    /// Late rows by partition.
    late: report::LateCounts,
    /// Stage of the Combine that feeds each stage.
    combines: Vec<Option<usize>>,
    stopping: bool,
    now_ns: i64,
}

/// Input slot and cursor of a stage.
#[derive(Default)]
struct Slot {
    msg: Option<(usize, Msg)>,
    /// The highest watermark given.
    watermark: i64,
    /// The operator's output cursor is open.
    open: bool,
    /// The cursor gave this barrier on.
    barrier: Option<u64>,
    /// Last barrier given on.
    fence: u64,
    /// The end was given on.
    ended: bool,
    /// The end was given on before the snapshot this shard was restored from: it is told again, and nothing else.
    over: bool,
    owes_end: bool,
    /// Where the rows of the message under way come from.
    place: Option<(SourceId, u32)>,
}

impl Shard {
    /// Shard `id` of `shards` over the partitions it owns.
    pub fn new(
        plan: Arc<AppPlan>,
        id: ShardId,
        shards: u16,
        owned: &[(SourceId, PartitionId)],
        options: ShardOptions,
    ) -> Shard {
        let lowered = lower(&plan, id, shards, owned, &options);
        let slots = lowered.stages.iter().map(|_| Slot { watermark: WM_NONE, ..Slot::default() }).collect();
        let leaf = |(i, stage): (usize, &Stage)| {
            let last = stage.consumers.is_empty() && !lowered.dead.contains(&i);
            let writes = matches!(stage.kind, StageKind::Write(..) | StageKind::WriteDead(..));
            if last && !writes { 0 } else { u64::MAX }
        };
        let passed = lowered.stages.iter().enumerate().map(leaf).collect();
        let combines = report::combines(&plan, &lowered.stages);
        let loads = load::Loads::new(&plan, &lowered.stages);
        let leads = lead::Leads::new(&plan, &options.partitions);
        Shard {
            id,
            counters: vec![NodeCounters::default(); plan.nodes.len()],
            dead_chunks: vec![Chunk::default(); plan.dlqs.len()],
            plan,
            options,
            lowered,
            slots,
            dead: Vec::new(),
            dead_later: Vec::new(),
            taken: Vec::new(),
            spare: Vec::new(),
            local: Vec::new(),
            dead_closed: false,
            passed,
            dead_barrier: 0,
            last_barrier: 0,
            saving: None,
            end_saved: false,
            marks: Vec::new(),
            loads,
            leads,
            late: report::LateCounts::default(),
            combines,
            stopping: false,
            now_ns: 0,
        }
    }

    /// One step of the state machine.
    pub fn turn(&mut self, now_ns: i64, inbox: &mut Inbox, out: &mut Outbox) -> Result<Progress, Fatal> {
        self.now_ns = now_ns;
        self.loads.elsewhere = inbox.loaded_elsewhere;
        self.absorb(inbox);
        let mut batches = 0;
        let mut budget_used = false;
        loop {
            self.settle(out)?;
            if batches == BATCHES_PER_TURN {
                budget_used = true;
                break;
            }
            if !self.read(inbox, &mut out.demands) {
                break;
            }
            batches += 1;
        }
        self.check_patience()?;
        self.ask_pending(&mut out.demands);
        self.return_credits(&mut out.mesh);
        out.marks.append(&mut self.marks);
        self.finish_saving(&mut out.saved);
        out.low = self.low();
        self.holds(&mut out.held);
        out.held_back = self.is_held_back();
        out.loaded = self.loads.here();
        out.due_ns = self.due_ns();
        self.take_notices(&mut out.notices);
        self.counters.iter_mut().for_each(NodeCounters::peak);
        if std::mem::take(&mut inbox.ask) {
            out.standing = Some(Box::new(self.standing()));
        }
        out.state_bytes = memory::held(&self.counters);
        let held = out.state_bytes.saturating_add(inbox.state_elsewhere);
        if held > self.options.memory_limit {
            return Err(memory::exceeded(&self.plan, &self.counters, held, self.options.memory_limit));
        }
        Ok(if self.is_done() {
            Progress::Done
        } else if budget_used {
            Progress::Busy
        } else {
            Progress::Waiting
        })
    }

    fn absorb(&mut self, inbox: &mut Inbox) {
        for (source, partition, poll) in inbox.polls.drain(..) {
            if let Some(scan) = self.scan_mut(source) {
                scan.answer(partition, poll);
            }
        }
        for mut chunk in inbox.spare.drain(..).take(BATCHES_PER_TURN.saturating_sub(self.spare.len())) {
            chunk.clear();
            self.spare.push(chunk);
        }
        for (from, envelope) in inbox.mesh.drain(..) {
            match envelope {
                Envelope::Credit(edge, credits) => {
                    if let Some(StageKind::Send(outlet)) = self.stage_of(self.lowered.send[edge.index()]) {
                        outlet.add_credits(from, credits);
                    }
                }
                Envelope::Msg(edge, msg) => self.arrive(edge, from, msg),
            }
        }
        if let Some(id) = inbox.barrier.take().filter(|_| !self.stopping) {
            let mut partitions = Vec::new();
            for (stage, slot) in self.lowered.stages.iter_mut().zip(&mut self.slots) {
                if let StageKind::Scan(scan) = &mut stage.kind {
                    scan.barrier(id);
                    slot.fence = id;
                    partitions.extend(scan.marks());
                }
            }
            self.marks.push(Mark::Scanned { barrier: id, partitions });
            self.save_positions(id);
        }
        if inbox.drain {
            for stage in &mut self.lowered.stages {
                if let StageKind::Scan(scan) = &mut stage.kind {
                    scan.close();
                }
            }
        }
        if inbox.stop && !self.stopping {
            self.stopping = true;
            for stage in &mut self.lowered.stages {
                if let StageKind::Scan(scan) = &mut stage.kind {
                    scan.stop();
                }
            }
        }
        for stage in &mut self.lowered.stages {
            if let StageKind::Scan(scan) = &mut stage.kind {
                scan.advance(Some(self.now_ns));
            }
        }
    }

    fn stage_of(&mut self, at: Option<usize>) -> Option<&mut StageKind> {
        at.map(|at| &mut self.lowered.stages[at].kind)
    }

    fn scan_mut(&mut self, source: SourceId) -> Option<&mut Scan> {
        match self.stage_of(self.lowered.scans[source.index()]) {
            Some(StageKind::Scan(scan)) => Some(scan),
            _ => None,
        }
    }

    fn arrive(&mut self, edge: EdgeId, from: ShardId, msg: Msg) {
        match self.stage_of(self.lowered.receive[edge.index()]) {
            Some(StageKind::Receive(inlet) | StageKind::Write(inlet, _) | StageKind::WriteDead(inlet, _)) => {
                inlet.arrive(from, msg);
            }
            _ => unreachable!("edge {edge} has no receiver on shard {}", self.id),
        }
    }

    /// Moves messages until nothing moves any more, later stages first.
    fn settle(&mut self, out: &mut Outbox) -> Result<(), Fatal> {
        loop {
            let mut moved = false;
            for stage in (0..self.lowered.stages.len()).rev() {
                moved |= self.step(stage, out)?;
            }
            moved |= self.flush_dead(&mut out.passed_over)?;
            if !moved {
                return Ok(());
            }
        }
    }

    fn step(&mut self, at: usize, out: &mut Outbox) -> Result<bool, Fatal> {
        let free = {
            let slots = &self.slots;
            self.lowered.stages[at].consumers.iter().all(|(to, _)| slots[*to].msg.is_none())
        };
        let Stage { kind, node, .. } = &mut self.lowered.stages[at];
        match kind {
            StageKind::Scan(scan) => match free.then(|| scan.take_output()).flatten() {
                Some(msg) => {
                    self.deliver(at, msg);
                    Ok(true)
                }
                None => Ok(false),
            },
            StageKind::Operator(_) => self.step_operator(at, free),
            StageKind::Send(outlet) => {
                let mut moved = outlet.send(&mut self.local, &mut out.mesh);
                if outlet.is_clear()
                    && let Some((_, msg)) = self.slots[at].msg.take()
                {
                    pass(&mut self.passed[at], &msg);
                    outlet.take(msg);
                    outlet.send(&mut self.local, &mut out.mesh);
                    moved = true;
                }
                let mut local = std::mem::take(&mut self.local);
                for (edge, msg) in local.drain(..) {
                    self.arrive(edge, self.id, msg);
                }
                // The list goes back with its memory: one allocation serves all batches.
                self.local = local;
                Ok(moved)
            }
            StageKind::Receive(inlet) => {
                if !free {
                    return Ok(false);
                }
                let taken = &mut self.taken;
                let before = taken.len();
                let msg = inlet.next(&mut |edge, from| taken.push((edge, from)));
                // A message that only moved one sender's watermark gives nothing on, yet its credit may free another.
                let took = taken.len() > before;
                self.credit_local();
                let moved = took || msg.is_some();
                if let Some(msg) = msg {
                    self.deliver(at, msg);
                }
                Ok(moved)
            }
            StageKind::Write(inlet, merge) => {
                let (saves, ended) = (self.options.checkpoint, &mut self.slots[at].ended);
                let mut saved = None;
                let moved = drain(inlet, &mut self.taken, |msg| match msg {
                    Msg::Chunk(chunk) => merge.rows(chunk, &mut out.writes),
                    Msg::Watermark(wm) => {
                        *ended |= wm == WM_END;
                        merge.watermark(wm, &mut out.writes);
                    }
                    Msg::Barrier(STOP_BARRIER) => merge.stop(&mut out.writes),
                    Msg::Barrier(id) => {
                        merge.mark(id, &mut out.writes);
                        saved = saves.then(|| (id, merge.snapshot()));
                    }
                    Msg::Batch(_) | Msg::Passed(_) | Msg::Idle | Msg::Loaded => {}
                });
                if moved {
                    let counters = &mut self.counters[node.index()];
                    (counters.groups, counters.state_bytes) = (merge.held_rows() as u64, merge.held_bytes() as u64);
                }
                if let Some((id, tables)) = saved {
                    self.save(at, id, tables);
                }
                self.credit_local();
                Ok(moved)
            }
            StageKind::WriteDead(inlet, merge) => {
                let moved = drain(inlet, &mut self.taken, |msg| match msg {
                    Msg::Chunk(chunk) => merge.rows(chunk, &mut out.writes),
                    Msg::Watermark(WM_END) => merge.finish(&mut out.writes),
                    Msg::Barrier(id) => merge.mark(id, &mut out.writes),
                    Msg::Batch(_) | Msg::Watermark(_) | Msg::Passed(_) | Msg::Idle | Msg::Loaded => {}
                });
                self.credit_local();
                Ok(moved)
            }
        }
    }

    fn step_operator(&mut self, at: usize, free: bool) -> Result<bool, Fatal> {
        let node = self.lowered.stages[at].node;
        let late = self.counters[node.index()].late;
        let slot = &mut self.slots[at];
        let fresh = slot.msg.as_ref().filter(|_| !slot.open).map(|(_, msg)| msg);
        if let Some(msg) = fresh {
            slot.place = report::LateCounts::place_of(msg);
        }
        let closing = if let Some(Msg::Watermark(watermark)) = fresh { Some(*watermark) } else { None };
        let moved = self.work(at, free)?;
        self.late.add(node, self.slots[at].place, self.counters[node.index()].late - late);
        if let Some(watermark) = closing {
            self.release(at, watermark);
        }
        Ok(moved)
    }

    /// The operator of stage `at` closes what this watermark closes: nothing counts as held there any more. A Combine
    /// hears of it from the Aggregate behind it, which waits for all shards.
    fn release(&mut self, at: usize, watermark: i64) {
        if self.combines.contains(&Some(at)) {
            return;
        }
        for stage in std::iter::once(at).chain(self.combines[at]) {
            if let StageKind::Operator(operator) = &mut self.lowered.stages[stage].kind {
                operator.released(watermark);
            }
        }
    }

    fn work(&mut self, at: usize, free: bool) -> Result<bool, Fatal> {
        if !self.slots[at].open && (self.note_loaded(at) || self.give_loaded(at, free)) {
            return Ok(true);
        }
        if self.slots[at].over {
            return Ok(self.step_over(at, free));
        }
        let letters = self.dead.len();
        let Stage { kind, node, .. } = &mut self.lowered.stages[at];
        let StageKind::Operator(operator) = kind else { return Ok(false) };
        let mut cx = OpCx {
            now_ns: self.now_ns,
            batch_rows: self.options.batch_rows,
            dead: &mut self.dead,
            counters: &mut self.counters[node.index()],
            spare: &mut self.spare,
        };
        let slot = &mut self.slots[at];
        let mut moved = false;
        if !slot.open {
            let Some((port, msg)) = slot.msg.take() else { return Ok(false) };
            pass(&mut self.passed[at], &msg);
            if operator.inputs() == 1 {
                self.marks.extend(frontier(operator.as_ref(), *node, &msg));
            }
            operator.push(port, msg, &mut cx)?;
            slot.open = true;
            moved = true;
        }
        let node = *node;
        let pulled = if free { Some(operator.pull(&mut cx)?) } else { None };
        if let Some(Some(msg)) = pulled.as_ref().filter(|_| operator.inputs() > 1) {
            self.marks.extend(frontier(operator.as_ref(), node, msg));
        }
        self.silence(node, letters);
        self.part_letters(at, letters);
        match pulled {
            Some(Some(msg)) => {
                self.note_given(at, &msg);
                if matches!(msg, Msg::Barrier(_)) {
                    // What an input brought behind it may follow in the same cursor.
                    self.save_operator(at);
                }
                self.deliver(at, msg);
                moved = true;
            }
            Some(None) => {
                self.slots[at].open = false;
                moved = true;
            }
            None => {}
        }
        Ok(moved)
    }

    fn deliver(&mut self, from: usize, msg: Msg) {
        if let Msg::Watermark(at) = msg {
            if at < self.slots[from].watermark {
                return self.deliver_back(from, at);
            }
            self.slots[from].watermark = at;
        }
        let consumers = &self.lowered.stages[from].consumers;
        let Some(((last, last_port), rest)) = consumers.split_last() else { return };
        for (to, port) in rest {
            self.slots[*to].msg = Some((*port, msg.clone()));
        }
        self.slots[*last].msg = Some((*last_port, msg));
    }

    /// A watermark that went back reaches those who hand it on, and the other shards.
    fn deliver_back(&mut self, from: usize, at: i64) {
        for (to, port) in &self.lowered.stages[from].consumers {
            let takes = match &self.lowered.stages[*to].kind {
                StageKind::Operator(operator) => operator.hands_back_on(),
                kind => matches!(kind, StageKind::Send(_)),
            };
            if takes {
                self.slots[*to].msg = Some((*port, Msg::Watermark(at)));
            }
        }
    }

    /// Gives credits for messages of this shard to itself back at once.
    fn credit_local(&mut self) {
        let mut i = 0;
        while i < self.taken.len() {
            let (edge, from) = self.taken[i];
            if from == self.id {
                self.taken.swap_remove(i);
                let own = self.id;
                if let Some(StageKind::Send(outlet)) = self.stage_of(self.lowered.send[edge.index()]) {
                    outlet.add_credits(own, 1);
                }
            } else {
                i += 1;
            }
        }
    }

    fn return_credits(&mut self, mesh: &mut Vec<(ShardId, Envelope)>) {
        self.taken.sort_unstable();
        let mut taken = self.taken.drain(..).peekable();
        while let Some((edge, from)) = taken.next() {
            let mut credits = 1;
            while taken.next_if_eq(&(edge, from)).is_some() {
                credits += 1;
            }
            mesh.push((from, Envelope::Credit(edge, credits)));
        }
    }

    /// Sees to fresh bad records as their destination says.
    fn fail_records(&mut self, passed_over: &mut Vec<(DlqId, u64, String)>) -> Result<(), Fatal> {
        for (dlq, letter) in self.dead.drain(..) {
            let plan = &self.plan.dlqs[dlq.index()];
            match plan.failure {
                Failure::Stop => return Err(dead::stops_at(&letter)),
                Failure::Log => dead::pass_over(dlq, &letter, passed_over),
                Failure::DeadLetter if plan.enabled => {
                    let chunk = &mut self.dead_chunks[dlq.index()];
                    let now_ms = velostream_types::time::ns_to_ms(self.now_ns);
                    match plan.topic {
                        Some(_) => dead_record(&letter, &self.plan.name, now_ms, chunk),
                        None => encode_dead_letter(&letter, &self.plan.name, now_ms, chunk),
                    }
                }
                Failure::DeadLetter => {}
            }
        }
        Ok(())
    }

    /// Encodes fresh dead letters and hands waiting ones to their outlets; closes the outlets after the last stage.
    fn flush_dead(&mut self, passed_over: &mut Vec<(DlqId, u64, String)>) -> Result<bool, Fatal> {
        self.fail_records(passed_over)?;
        let mut moved = false;
        for n in 0..self.lowered.dead.len() {
            let slot = &mut self.slots[self.lowered.dead[n]].msg;
            if slot.is_none() && !self.dead_chunks[n].is_empty() {
                *slot = Some((0, Msg::Chunk(std::mem::take(&mut self.dead_chunks[n]))));
                moved = true;
            }
        }
        moved |= self.pass_dead_barrier();
        let closing = !self.dead_closed && self.dead.is_empty() && self.scans().all(Scan::is_done) && self.work_done();
        let waiting = self.dead_chunks.iter().any(|c| !c.is_empty());
        let blocked = self.lowered.dead.iter().any(|s| self.slots[*s].msg.is_some());
        if closing && !waiting && !blocked {
            self.dead_closed = true;
            for stage in &self.lowered.dead {
                self.slots[*stage].msg = Some((0, Msg::Watermark(WM_END)));
            }
            moved = !self.lowered.dead.is_empty();
        }
        Ok(moved)
    }

    /// Gives a barrier to the dead-letter edges once every stage let it pass: no record before it can fail any more.
    fn pass_dead_barrier(&mut self) -> bool {
        let id = match self.passed.iter().copied().min().unwrap_or(u64::MAX) {
            // Behind the end there is no letter; those that wait still stand behind the barrier.
            u64::MAX if self.options.checkpoint => self.last_barrier,
            id => id,
        };
        let waiting = self.dead_chunks.iter().any(|c| !c.is_empty());
        let blocked = self.lowered.dead.iter().any(|s| self.slots[*s].msg.is_some());
        if id <= self.dead_barrier || id == u64::MAX || waiting || blocked || self.dead_closed {
            return false;
        }
        self.dead_barrier = id;
        self.dead.append(&mut self.dead_later);
        for stage in &self.lowered.dead {
            self.slots[*stage].msg = Some((0, Msg::Barrier(id)));
        }
        !self.lowered.dead.is_empty()
    }

    /// TRUE when no stage but the dead-letter ones has anything left to do, ever.
    fn work_done(&self) -> bool {
        let settled =
            self.slots.iter().enumerate().all(|(i, s)| self.lowered.dead.contains(&i) || (s.msg.is_none() && !s.open));
        settled
            && self.lowered.stages.iter().enumerate().all(|(i, stage)| match &stage.kind {
                StageKind::Scan(scan) => scan.is_done(),
                StageKind::Send(outlet) => self.lowered.dead.contains(&i) || outlet.is_done(),
                StageKind::Receive(inlet) | StageKind::Write(inlet, _) => inlet.is_done(),
                StageKind::Operator(_) | StageKind::WriteDead(..) => true,
            })
    }

    fn is_done(&self) -> bool {
        self.dead_closed
            && self.taken.is_empty()
            && self.lowered.stages.iter().all(|stage| match &stage.kind {
                StageKind::Send(outlet) => outlet.is_done(),
                StageKind::WriteDead(inlet, _) => inlet.is_done(),
                _ => true,
            })
    }

    /// Lowest watermark of the partitions that can go on, over all aligned sources.
    fn low(&self) -> i64 {
        let read = self.scans().filter(|s| s.is_aligned() && self.may_read(s.load().level));
        let lows = read.filter_map(|s| s.lowest(self.leads.leash(s)));
        lows.map(|(wm, _, _)| wm).min().unwrap_or(WM_END)
    }

    fn scans(&self) -> impl Iterator<Item = &Scan> {
        self.lowered.stages.iter().filter_map(|stage| match &stage.kind {
            StageKind::Scan(scan) => Some(scan.as_ref()),
            _ => None,
        })
    }

    /// Decodes one batch of the partition that is next, or asks for its bytes. Answers FALSE when nothing can be read.
    fn read(&mut self, inbox: &Inbox, demands: &mut Vec<Demand>) -> bool {
        self.close_satisfied();
        // Behind that: a source that was closed holds nobody any more.
        self.look_ahead(&inbox.held_elsewhere);
        if self.dead_chunks.iter().map(|c| c.bytes.len()).sum::<usize>() > DEAD_BYTES_MAX {
            return false;
        }
        let mut aligned: Option<(i64, u64, usize, usize)> = None;
        let mut free: Option<(i64, u64, usize, usize)> = None;
        let mut alone = Vec::new();
        for (at, stage) in self.lowered.stages.iter().enumerate() {
            let StageKind::Scan(scan) = &stage.kind else { continue };
            let lowest = scan.lowest(self.leads.leash(scan));
            let Some((wm, rows, index)) = lowest.filter(|_| self.may_read(scan.load().level)) else { continue };
            let candidate = (wm, rows, at, index);
            if scan.load().alone {
                alone.push(candidate);
                continue;
            }
            let best = if scan.is_aligned() { &mut aligned } else { &mut free };
            if best.is_none_or(|b| candidate < b) {
                *best = Some(candidate);
            }
        }
        let mut read = false;
        for (wm, _, at, index) in aligned.into_iter().chain(free).chain(alone) {
            read |= self.read_partition(at, index, wm, inbox.low_elsewhere, demands);
        }
        read
    }

    fn read_partition(
        &mut self,
        at: usize,
        index: usize,
        wm: i64,
        low_elsewhere: i64,
        demands: &mut Vec<Demand>,
    ) -> bool {
        let blocked = self.lowered.stages[at].consumers.iter().any(|(to, _)| self.slots[*to].msg.is_some());
        let Stage { kind, node, .. } = &mut self.lowered.stages[at];
        let StageKind::Scan(scan) = kind else { return false };
        let ahead = scan.is_aligned() && wm > low_elsewhere.saturating_add(scan.allowance(index));
        if blocked || ahead || scan.has_output() || scan.demand(index, demands) {
            return false;
        }
        let node = *node;
        let counters = &mut self.counters[node.index()];
        let letters = self.dead.len();
        let read = scan.decode(index, self.options.batch_rows, self.now_ns, &mut self.dead, counters);
        self.silence(node, letters);
        self.part_letters(at, letters);
        read
    }

    /// Ends scans whose readers are all satisfied.
    fn close_satisfied(&mut self) {
        let stages = &mut self.lowered.stages;
        let slots = &self.slots;
        let done = |at: usize, stage: &Stage| match &stage.kind {
            StageKind::Operator(operator) => slots[at].over || operator.is_satisfied(),
            _ => false,
        };
        if !stages.iter().enumerate().any(|(at, stage)| done(at, stage)) {
            return;
        }
        let mut satisfied = vec![false; stages.len()];
        for (at, stage) in stages.iter().enumerate().rev() {
            let readers = &stage.consumers;
            satisfied[at] = done(at, stage) || (!readers.is_empty() && readers.iter().all(|(to, _)| satisfied[*to]));
        }
        for (stage, _) in stages.iter_mut().zip(&satisfied).filter(|(_, satisfied)| **satisfied) {
            if let StageKind::Scan(scan) = &mut stage.kind
                && !scan.is_done()
            {
                scan.close();
                scan.advance(None);
            }
        }
    }

    fn ask_pending(&mut self, demands: &mut Vec<Demand>) {
        for stage in &mut self.lowered.stages {
            if let StageKind::Scan(scan) = &mut stage.kind {
                scan.ask_pending(demands);
            }
        }
    }

    /// Where the partitions stand, with their stairs since the last barrier; for the end of a run.
    pub fn scan_marks(&mut self) -> Vec<ScanMark> {
        let scans = self.lowered.stages.iter_mut().filter_map(|stage| match &mut stage.kind {
            StageKind::Scan(scan) => Some(scan),
            _ => None,
        });
        scans.flat_map(|scan| scan.marks()).collect()
    }

    /// Goes on where an earlier run stood, by what it committed instead of by a snapshot: partitions at their
    /// positions, operators behind the windows they gave out. Only legal before the first turn.
    pub fn resume(&mut self, positions: &[PartitionProgress], frontiers: &[(NodeId, i64)]) {
        for stage in &mut self.lowered.stages {
            match &mut stage.kind {
                StageKind::Scan(scan) => positions.iter().for_each(|at| scan.resume(at)),
                StageKind::Operator(operator) => {
                    for (_, frontier) in frontiers.iter().filter(|(node, _)| *node == stage.node) {
                        operator.resume(*frontier);
                    }
                }
                _ => {}
            }
        }
    }

    /// Counters by node.
    pub fn counters(&self) -> &[NodeCounters] {
        &self.counters
    }

    /// What was counted of rows for metrics.
    pub fn series(&self) -> Vec<SeriesPart> {
        let series = |stage: &Stage| match &stage.kind {
            StageKind::Operator(operator) => operator.series(),
            _ => Vec::new(),
        };
        self.lowered.stages.iter().flat_map(series).collect()
    }

    /// Where each owned partition stands.
    pub fn progress(&self) -> Vec<PartitionProgress> {
        self.scans().flat_map(Scan::progress).collect()
    }

    /// Where partitions and windows stand.
    pub fn standing(&self) -> Standing {
        Standing {
            partitions: self.scans().flat_map(|scan| scan.standing(self.now_ns)).collect(),
            windows: report::windows(&self.lowered.stages, &self.combines, &self.counters),
            late: self.late.all(),
        }
    }

    /// When a partition falls idle, or the time of day moves a watermark.
    fn due_ns(&self) -> Option<i64> {
        self.scans().filter_map(|scan| scan.due_ns(self.now_ns)).chain(self.patience_due_ns()).min()
    }

    fn take_notices(&mut self, notices: &mut Vec<Notice>) {
        for stage in &mut self.lowered.stages {
            if let StageKind::Scan(scan) = &mut stage.kind
                && scan.load().again.is_none()
            {
                scan.take_notices(notices);
            }
        }
    }

    /// Messages that had to wait for a credit, over all edges.
    pub fn credit_waits(&self) -> u64 {
        let waits = self.lowered.stages.iter().map(|stage| match &stage.kind {
            StageKind::Send(outlet) => outlet.credit_waits(),
            _ => 0,
        });
        waits.sum()
    }

    /// TRUE when no message is under way and no cursor is open on this shard.
    pub fn is_at_rest(&self) -> bool {
        self.dead.is_empty()
            && self.dead_later.is_empty()
            && self.slots.iter().all(|s| s.msg.is_none() && !s.open)
            && self.lowered.stages.iter().all(|stage| match &stage.kind {
                StageKind::Scan(scan) => !scan.has_output(),
                StageKind::Operator(_) => true,
                StageKind::Send(outlet) => outlet.is_clear(),
                StageKind::Receive(inlet) | StageKind::WriteDead(inlet, _) => inlet.is_empty(),
                StageKind::Write(inlet, _) => inlet.is_empty(),
            })
    }
}

/// Where an operator that holds rows back stands, told with the barrier or the end.
fn frontier(operator: &dyn Operator, node: NodeId, msg: &Msg) -> Option<Mark> {
    let (barrier, watermark) = match msg {
        Msg::Barrier(id) => (*id, operator.frontier(false)?),
        Msg::Watermark(WM_END) => (STOP_BARRIER, operator.frontier(true)?),
        _ => return None,
    };
    Some(Mark::Frontier { barrier, node, watermark })
}
