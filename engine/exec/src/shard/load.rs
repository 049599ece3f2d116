//! Tables are loaded before the rows that ask them are read.
//!
//! A source of a higher level is not read before everything of the levels below is loaded on every shard: not just read,
//! but taken by the nodes that wait for it. Sources that feed tables say so with `Msg::Loaded`, behind the rows that were
//! there at the start, or by their end. Shards hand it on stage by stage; operators never see it. A stage hands it on
//! when all its inputs are loaded and its cursor is closed, so it stands behind every row that was made of them. An
//! operator that lines its inputs up holds back what an input brings behind a barrier: such an input is loaded when the
//! barrier was given on.
//!
//! What is loaded is not part of a snapshot. A restarted shard hears the ends of sources that ended once more, and live
//! ones are loaded up to where their ends are then.

use std::collections::BTreeSet;

use velostream_sql::plan::AppPlan;
use velostream_types::time::WM_END;
use velostream_types::{NodeId, SourceId};

use super::{STOP_BARRIER, Shard, Slot};
use crate::operator::{Msg, NodeCounters};
use crate::pipeline::{Stage, StageKind};

/// What a shard knows of its tables.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// The plan has levels above the first.
    active: bool,
    /// Inputs that rows of a higher level wait for.
    gates: Vec<Gate>,
    /// By stage.
    stages: Vec<Inputs>,
    /// Levels that are loaded on this shard, and on all others.
    here: u16,
    pub elsewhere: u16,
    /// Nodes that do again what others told of.
    twins: BTreeSet<NodeId>,
}

/// An input that others wait for.
#[derive(Clone, Copy, Debug)]
struct Gate {
    stage: usize,
    port: usize,
    /// Of the sources behind it.
    level: u16,
}

/// What is known of an operator's inputs.
#[derive(Clone, Debug, Default)]
struct Inputs {
    ports: Vec<Port>,
    /// It was handed on, or the end says it.
    told: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Port {
    /// Everything that was there came.
    loaded: bool,
    ended: bool,
    /// The last barrier in front of that.
    barrier: u64,
    /// The operator was told.
    told: bool,
}

impl Port {
    /// Everything in front of the mark was taken.
    fn is_taken(&self, slot: &Slot) -> bool {
        slot.over || self.loaded && self.barrier <= slot.fence
    }
}

impl Loads {
    /// What is known at first.
    pub fn new(plan: &AppPlan, stages: &[Stage]) -> Loads {
        let last = plan.last_level();
        if last == 0 {
            return Loads { here: u16::MAX, ..Loads::default() };
        }
        let stage_of = |node: NodeId| {
            stages.iter().position(|stage| stage.node == node && matches!(stage.kind, StageKind::Operator(_)))
        };
        let mut gates = Vec::new();
        for node in &plan.nodes {
            let Some(stage) = stage_of(node.id) else { continue };
            let ports = (0..node.inputs.len()).filter(|port| node.kind.loads_first(*port));
            gates.extend(ports.map(|port| Gate { stage, port, level: plan.level_of_input(node, port) }));
        }
        let inputs = |stage: &Stage| match stage.kind {
            StageKind::Operator(_) => {
                let ports = plan.nodes.get(stage.node.index()).map_or(0, |node| node.inputs.len());
                Inputs { ports: vec![Port::default(); ports], told: false }
            }
            _ => Inputs::default(),
        };
        Loads {
            active: true,
            gates,
            stages: stages.iter().map(inputs).collect(),
            here: 0,
            elsewhere: 0,
            twins: plan.twins(),
        }
    }

    /// Levels that are loaded on this shard; the highest number when nothing waits any more.
    pub fn here(&self) -> u16 {
        self.here
    }

    /// TRUE when sources of this level may be read.
    pub fn is_open(&self, level: u16) -> bool {
        level == 0 || level <= self.here.min(self.elsewhere)
    }

    /// TRUE for a node whose failures and counts another one told.
    pub fn is_twin(&self, node: NodeId) -> bool {
        self.twins.contains(&node)
    }
}

impl Shard {
    /// Takes note of what an operator is about to take. TRUE for what was not for the operator.
    pub(super) fn note_loaded(&mut self, at: usize) -> bool {
        if !self.loads.active {
            return false;
        }
        let (inputs, slot) = (&mut self.loads.stages[at], &mut self.slots[at].msg);
        let Some((port, msg)) = slot else { return false };
        if let Some(input) = inputs.ports.get_mut(*port) {
            match msg {
                Msg::Barrier(STOP_BARRIER) => inputs.told = true,
                Msg::Barrier(id) if !input.loaded => input.barrier = *id,
                Msg::Watermark(WM_END) => (input.loaded, input.ended) = (true, true),
                Msg::Loaded => input.loaded = true,
                _ => {}
            }
        }
        slot.take_if(|(_, msg)| matches!(msg, Msg::Loaded)).is_some()
    }

    /// Hands on that everything was given, once it is so. Only called with the cursor closed.
    pub(super) fn give_loaded(&mut self, at: usize, free: bool) -> bool {
        if !self.loads.active {
            return false;
        }
        let (inputs, slot) = (&mut self.loads.stages[at], &self.slots[at]);
        let mut is_news = false;
        for (port, input) in inputs.ports.iter_mut().enumerate() {
            if !input.told && input.is_taken(slot) {
                (input.told, is_news) = (true, true);
                if let StageKind::Operator(operator) = &mut self.lowered.stages[at].kind {
                    operator.loaded(port);
                }
            }
        }
        // An operator whose inputs all end tells its own end.
        inputs.told |= slot.ended || slot.over || inputs.ports.iter().all(|input| input.ended);
        let due = !inputs.told && inputs.ports.iter().all(|input| input.told);
        let given = due && free;
        inputs.told |= given;
        if is_news {
            self.count_loaded();
        }
        if given {
            self.deliver(at, Msg::Loaded);
        }
        given
    }

    fn count_loaded(&mut self) {
        let is_taken = |gate: &Gate| self.loads.stages[gate.stage].ports[gate.port].told;
        let waiting = self.loads.gates.iter().filter(|gate| !is_taken(gate)).map(|gate| gate.level).min();
        self.loads.here = waiting.unwrap_or(u16::MAX);
    }

    /// What a twin would tell was told by the node it repeats.
    pub(super) fn silence(&mut self, node: NodeId, letters: usize) {
        if self.loads.is_twin(node) {
            self.dead.truncate(letters);
        }
    }

    /// TRUE when a source's rows may be read.
    pub(super) fn may_read(&self, level: u16) -> bool {
        self.loads.is_open(level)
    }
}

/// A run's counters without those of twins.
pub fn without_twins(plan: &AppPlan, counters: &mut [NodeCounters]) {
    for node in plan.twins() {
        if let Some(counters) = counters.get_mut(node.index()) {
            let held = (counters.groups, counters.state_bytes, counters.groups_max, counters.state_bytes_max);
            *counters = NodeCounters::default();
            (counters.groups, counters.state_bytes, counters.groups_max, counters.state_bytes_max) = held;
        }
    }
}

/// The source that a second reader reads again, else the source itself.
pub fn first_reader(plan: &AppPlan, source: SourceId) -> SourceId {
    plan.sources.get(source.index()).and_then(|plan| plan.load.again).unwrap_or(source)
}
