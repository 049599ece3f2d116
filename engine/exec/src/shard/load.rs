//! Tables are loaded before the rows that ask them are read.
//!
//! A source of a higher level is not read before everything of the levels below is loaded on every shard: not just read,
//! but taken by the nodes that wait for it. Sources that feed tables say so with `Msg::Loaded`, behind the rows that were
//! there at the start, or by their end. Shards hand it on stage by stage; operators never see it. A stage hands it on
//! when all its inputs are loaded and its cursor is closed, so it stands behind every row that was made of them. An
//! operator that lines its inputs up holds back what an input brings behind a barrier: such an input is loaded when the
//! barrier was given on.
//!
//! A table that goes on is not waited for without end. When its patience is over it counts as missing: rows that ask it are
//! read all the same where the join says what becomes of them, else the run ends. Time is that of the turns.
//!
//! What is loaded is not part of a snapshot. A restarted shard hears the ends of sources that ended once more, and live
//! ones are loaded up to where their ends are then.

use std::collections::{BTreeMap, BTreeSet};

use velostream_sql::plan::{AppPlan, Fallback, SourcePlan};
use velostream_types::time::{NS_PER_SEC, WM_END};
use velostream_types::{Fatal, NodeId, SourceId};

use super::{STOP_BARRIER, Scan, Shard, Slot};
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
    /// By level: when its sources began to be read, ns.
    began: Vec<Option<i64>>,
    /// Sources without which the run ends, and after how long, ns.
    needed: BTreeMap<SourceId, i64>,
}

/// An input that others wait for.
#[derive(Clone, Copy, Debug)]
struct Gate {
    stage: usize,
    port: usize,
    /// Of the sources behind it.
    level: u16,
    /// Rows come without it after so long, ns.
    spared_ns: Option<i64>,
    /// They do.
    missing: bool,
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
        let (mut gates, mut needed) = (Vec::new(), BTreeMap::new());
        for (node, port, sources) in plan.tables() {
            let Some(stage) = stage_of(node) else { continue };
            let sources = || sources.iter().map(|source| (*source, &plan.sources[source.index()].load));
            let level = sources().map(|(_, load)| load.level).max().unwrap_or(0);
            let fallback = plan.nodes[node.index()].kind.fallback();
            // What ends by itself takes as long as it takes.
            let live = sources().filter(|(_, load)| !load.bounded);
            let patience = live.filter_map(|(source, load)| Some((source, load.patience?.total_ns(fallback))));
            let patience: Vec<(SourceId, i64)> = patience.collect();
            let mut spared_ns = None;
            if matches!(fallback, Fallback::FailFast | Fallback::WaitAndRetry) {
                for (source, ns) in patience {
                    let known = needed.entry(source).or_insert(ns);
                    *known = ns.min(*known);
                }
            } else {
                spared_ns = patience.into_iter().map(|(_, ns)| ns).max();
            }
            gates.push(Gate { stage, port, level, spared_ns, missing: false });
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
            began: vec![None; usize::from(last) + 1],
            needed,
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
        let is_taken = |gate: &Gate| gate.missing || self.loads.stages[gate.stage].ports[gate.port].told;
        let waiting = self.loads.gates.iter().filter(|gate| !is_taken(gate)).map(|gate| gate.level).min();
        self.loads.here = waiting.unwrap_or(u16::MAX);
    }

    /// What a twin would tell was told by the node it repeats.
    pub(super) fn silence(&mut self, node: NodeId, letters: usize) {
        if self.loads.is_twin(node) {
            self.dead.truncate(letters);
        }
    }

    /// Looks whether the patience with a table is over. Its failure ends the run where rows need it.
    pub(super) fn check_patience(&mut self) -> Result<(), Fatal> {
        if !self.loads.active || self.loads.here == u16::MAX {
            return Ok(());
        }
        let open = self.loads.here.min(self.loads.elsewhere);
        let now_ns = self.now_ns;
        for began in self.loads.began.iter_mut().take(usize::from(open) + 1) {
            began.get_or_insert(now_ns);
        }
        if self.stopping {
            return Ok(());
        }
        let late = |(scan, due_ns): &(&Scan, i64)| now_ns >= *due_ns && !scan.is_loaded();
        if let Some((scan, _)) = self.needed_scans().find(late) {
            let waited_ns = self.loads.needed.get(&scan.source()).copied().unwrap_or_default();
            return Err(not_loaded(&self.plan.sources[scan.source().index()], scan, waited_ns));
        }
        let mut is_news = false;
        for gate in self.loads.gates.iter_mut().filter(|gate| !gate.missing) {
            let began = self.loads.began.get(usize::from(gate.level)).copied().flatten();
            let is_over = began.zip(gate.spared_ns).is_some_and(|(began, ns)| now_ns >= began.saturating_add(ns));
            gate.missing = is_over && !self.loads.stages[gate.stage].ports[gate.port].told;
            is_news |= gate.missing;
        }
        if is_news {
            self.count_loaded();
        }
        Ok(())
    }

    /// Sources that may not be missing, with the time at which they would be.
    fn needed_scans(&self) -> impl Iterator<Item = (&Scan, i64)> {
        self.scans().filter_map(|scan| {
            let ns = self.loads.needed.get(&scan.source())?;
            let began = self.loads.began.get(usize::from(scan.load().level)).copied().flatten()?;
            Some((scan, began.saturating_add(*ns)))
        })
    }

    /// When the patience with a table ends, if it is waited for.
    pub(super) fn patience_due_ns(&self) -> Option<i64> {
        if !self.loads.active || self.loads.here == u16::MAX {
            return None;
        }
        let needed = self.needed_scans().filter(|(scan, _)| !scan.is_loaded()).map(|(_, due_ns)| due_ns);
        let waiting = self
            .loads
            .gates
            .iter()
            .filter(|gate| !gate.missing && !self.loads.stages[gate.stage].ports[gate.port].told);
        let spared = waiting.filter_map(|gate| {
            let began = self.loads.began.get(usize::from(gate.level)).copied().flatten()?;
            Some(began.saturating_add(gate.spared_ns?))
        });
        needed.chain(spared).min()
    }

    /// TRUE when a source's rows may be read.
    pub(super) fn may_read(&self, level: u16) -> bool {
        self.loads.is_open(level)
    }
}

/// A table that rows need did not come in time.
fn not_loaded(plan: &SourcePlan, scan: &Scan, waited_ns: i64) -> Fatal {
    let places: Vec<String> =
        scan.unloaded().map(|(partition, record)| format!("{partition} at record {record}")).collect();
    let what = match plan.topic() {
        Some(topic) => format!("topic {topic}"),
        None => "its input".to_owned(),
    };
    Fatal::new(format!(
        "table {} is not loaded: {what} was not read to its end within {} s; partitions still behind: {}; raise \
         table.wait.timeout, or say with fallback.strategy what becomes of rows without it",
        plan.name,
        waited_ns / NS_PER_SEC,
        places.join(", ")
    ))
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
