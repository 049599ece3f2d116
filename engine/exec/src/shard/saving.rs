//! The state of a shard: handed out at a barrier while the shard works on, or at rest, and taken up again.
//!
//! At a barrier each operator and each sink's writer hands out its tables as soon as it gave the barrier on: nothing of what
//! stood before is left in its cursor then, and one with several inputs has not taken up yet what waits behind the barrier.
//! Each source hands out its positions when it gives the barrier on; together they are the state of everything before the
//! barrier and of nothing behind it. An operator that ended before the barrier never sees it: it is named
//! among those that ended, has no tables, and tells its end again after a restore, because what it gave out stands.
//! Dead letters are cut at the barrier, too: those from behind it wait until the edges to their writers were given it.
//!
//! Cost: one copy of the state, on the shard, per barrier; encoding and disks are the business of whoever asked.

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::WM_END;
use velostream_types::{NodeId, PartitionId, SourceId, vnode};

use super::{PartitionProgress, STOP_BARRIER, Shard, Slot};
use crate::operator::Msg;
use crate::pipeline::{Stage, StageKind};

/// State of one shard.
#[derive(Debug, Default)]
pub struct ShardSnapshot {
    /// Tables per node.
    pub nodes: Vec<(NodeId, SnapshotWriter)>,
    /// Operators that gave their end on: they have no tables and nothing more to give.
    pub ended: Vec<NodeId>,
    /// Where each partition stands.
    pub positions: Vec<PartitionProgress>,
}

/// State of one shard as a barrier left it.
#[derive(Debug)]
pub struct Saved {
    /// Which barrier; [`STOP_BARRIER`]: the end of everything the shard had to do.
    pub barrier: u64,
    /// The state.
    pub state: ShardSnapshot,
}

/// A state on its way.
#[derive(Debug)]
pub(super) struct Saving {
    barrier: u64,
    state: ShardSnapshot,
    /// The sources gave the barrier on.
    positions: bool,
    /// By stage: its tables are there, or it has none.
    told: Vec<bool>,
}

impl Shard {
    /// The state on its way to `barrier`; begins with whatever the barrier passes first.
    fn saving(&mut self, barrier: u64) -> &mut Saving {
        let stages = &self.lowered.stages;
        let begin = || Saving {
            barrier,
            state: ShardSnapshot::default(),
            positions: false,
            told: stages.iter().map(|s| !matches!(s.kind, StageKind::Operator(_) | StageKind::Write(..))).collect(),
        };
        let other = self.saving.take().filter(|saving| saving.barrier == barrier);
        self.saving.insert(other.unwrap_or_else(begin))
    }

    /// The sources gave a barrier on.
    pub(super) fn save_positions(&mut self, barrier: u64) {
        self.last_barrier = self.last_barrier.max(barrier);
        if !self.options.checkpoint {
            return;
        }
        let positions = self.progress();
        let saving = self.saving(barrier);
        saving.state.positions = positions;
        saving.positions = true;
    }

    /// Takes note of what a stage gives on.
    pub(super) fn note_given(&mut self, at: usize, msg: &Msg) {
        let slot = &mut self.slots[at];
        match msg {
            Msg::Barrier(id) if *id != STOP_BARRIER => {
                (slot.barrier, slot.fence) = (Some(*id), *id);
                self.last_barrier = self.last_barrier.max(*id);
            }
            Msg::Watermark(WM_END) => slot.ended = true,
            _ => {}
        }
    }

    /// A barrier passed a stage: its state is due, before it takes anything from behind the barrier.
    pub(super) fn save_operator(&mut self, at: usize) {
        let Some(barrier) = self.slots[at].barrier.take().filter(|_| self.options.checkpoint) else { return };
        if self.slots[at].ended {
            return;
        }
        let mut tables = SnapshotWriter::default();
        if let StageKind::Operator(operator) = &self.lowered.stages[at].kind {
            operator.snapshot(&mut tables);
        }
        self.save(at, barrier, tables.tables);
    }

    /// A barrier passed stage `at`, which left these tables.
    pub(super) fn save(&mut self, at: usize, barrier: u64, tables: Vec<StateTable>) {
        let node = self.lowered.stages[at].node;
        let saving = self.saving(barrier);
        saving.told[at] = true;
        if !tables.is_empty() {
            saving.state.nodes.push((node, SnapshotWriter { tables }));
        }
    }

    /// Hands the state out once all of it is there, and once more when everything ended.
    pub(super) fn finish_saving(&mut self, out: &mut Vec<Saved>) {
        let slots = &self.slots;
        let whole =
            |saving: &Saving| saving.positions && saving.told.iter().zip(slots).all(|(told, slot)| *told || slot.ended);
        if self.saving.as_ref().is_some_and(whole)
            && let Some(Saving { barrier, mut state, told, .. }) = self.saving.take()
        {
            state.ended = self.ended_nodes(|at| !told[at]);
            out.push(Saved { barrier, state });
        }
        if self.options.checkpoint && !self.end_saved && !self.stopping && self.is_done() {
            self.end_saved = true;
            let state =
                ShardSnapshot { nodes: Vec::new(), ended: self.ended_nodes(|_| true), positions: self.progress() };
            out.push(Saved { barrier: STOP_BARRIER, state });
        }
    }

    fn ended_nodes(&self, among: impl Fn(usize) -> bool) -> Vec<NodeId> {
        let stages = self.lowered.stages.iter().zip(&self.slots).enumerate();
        let ended = |(at, (stage, slot)): (usize, (&Stage, &Slot))| {
            (matches!(stage.kind, StageKind::Operator(_)) && slot.ended && among(at)).then_some(stage.node)
        };
        stages.filter_map(ended).collect()
    }

    /// Letters that stage `at` just added wait if they stem from behind a barrier that the letters' edges lack.
    pub(super) fn part_letters(&mut self, at: usize, before: usize) {
        if self.options.checkpoint && self.slots[at].fence > self.dead_barrier {
            self.dead_later.extend(self.dead.drain(before..));
        }
    }

    /// A stage whose end stood before the snapshot: tells it again, and takes whatever still comes.
    pub(super) fn step_over(&mut self, at: usize, free: bool) -> bool {
        let slot = &mut self.slots[at];
        let mut moved = false;
        if let Some((_, msg)) = slot.msg.take() {
            super::pass(&mut self.passed[at], &msg);
            moved = true;
        }
        if slot.owes_end && free {
            slot.owes_end = false;
            self.deliver(at, Msg::Watermark(WM_END));
            moved = true;
        }
        moved
    }

    /// The shard's state; only legal at rest.
    pub fn snapshot(&self) -> ShardSnapshot {
        assert!(self.is_at_rest(), "a snapshot is cut only when no cursor is open");
        let mut snapshot = ShardSnapshot { positions: self.progress(), ..ShardSnapshot::default() };
        for stage in &self.lowered.stages {
            let mut tables = SnapshotWriter::default();
            match &stage.kind {
                StageKind::Operator(operator) => operator.snapshot(&mut tables),
                StageKind::Write(_, merge) => tables.tables.extend(merge.snapshot()),
                _ => {}
            }
            if !tables.tables.is_empty() {
                snapshot.nodes.push((stage.node, tables));
            }
        }
        snapshot
    }

    /// The beginning of a partition's stream, with its header, for a shard that is about to be restored behind it.
    pub fn read_head(&mut self, source: SourceId, partition: PartitionId, head: &[u8]) {
        if let Some(scan) = self.scan_mut(source) {
            scan.read_head(partition, head);
        }
    }

    /// Takes this shard's share of the snapshots of all shards of an earlier run, whatever their number was. Only
    /// legal before the first turn.
    pub fn restore(&mut self, parts: &[ShardSnapshot], shards: u16) -> Result<(), SnapshotError> {
        let id = self.id;
        let owns = move |v: u16| vnode::owner(v, shards) == id;
        for (stage, slot) in self.lowered.stages.iter_mut().zip(&mut self.slots) {
            for (_, tables) in parts.iter().flat_map(|p| &p.nodes).filter(|(node, _)| *node == stage.node) {
                let tables: Vec<StateTable> = tables.tables.clone();
                let reader = SnapshotReader { tables };
                match &mut stage.kind {
                    StageKind::Operator(operator) => operator.restore(&reader, &owns)?,
                    StageKind::Write(_, merge) => merge.restore(&reader)?,
                    _ => {}
                }
            }
            match &mut stage.kind {
                StageKind::Scan(scan) => parts.iter().flat_map(|p| &p.positions).for_each(|at| scan.resume(at)),
                StageKind::Operator(_) if !parts.is_empty() && parts.iter().all(|p| p.ended.contains(&stage.node)) => {
                    (slot.ended, slot.over, slot.owes_end) = (true, true, true);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
