//! In which order sources are read: what feeds a table is loaded before the rows that ask the table are read.
//!
//! Some inputs of a node are to be complete before rows of the others come ([`NodeKind::loads_first`]). A source whose rows
//! reach such a node on another input waits for the sources of these, and those may wait for others: a level is the
//! number of waits one behind another. All sources of a level are read at the same time, those of the next when the ones
//! before are loaded on every shard.
//!
//! A source that would wait for itself, because a stream asks a table that is made of the same records, gets a second
//! reader: another source over the same files or topic, whose rows take the nodes between it and the table's reader a
//! second time. These twins work in silence: what fails or is counted in them was told by the first reader's.
//!
//! Runs once, on the finished plan. Cost: a walk over the nodes per circle that is cut.

use std::collections::{BTreeMap, BTreeSet};

use velostream_types::time::NS_PER_SEC;
use velostream_types::{EdgeId, NodeId, SourceId};

use super::{AppPlan, Fallback, JoinMode, Node, NodeKind, Side, SourceConnector};

/// When a source is read, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// It is read once everything of lower levels is loaded.
    pub level: u16,
    /// It feeds a table that others wait for.
    pub table: bool,
    /// It feeds such a table, and its rows meet those of no other source on the way: reading it in step with others
    /// would gain nothing.
    pub alone: bool,
    /// It ends by itself: it is loaded at its end, any other where its end was when the run began.
    pub bounded: bool,
    /// It reads a second time what this source reads.
    pub again: Option<SourceId>,
    /// Nodes that do for its rows what others do for those of the first reader.
    pub twins: Vec<NodeId>,
    /// How long others wait for a table that it feeds and that goes on; `None`: without end.
    pub patience: Option<Patience>,
}

/// How long rows wait for a table (`table.wait.timeout`, `join.retry.max`, `join.retry.delay`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until the table counts as missing, ns.
    pub wait_ns: i64,
    /// Looks after that under [`Fallback::WaitAndRetry`].
    pub retries: u64,
    /// Pause in front of the first of them, ns; each one doubles, up to 30 s.
    pub delay_ns: i64,
}

/// Longest pause between two looks for a table.
const PAUSE_NS_MAX: i64 = 30 * NS_PER_SEC;

impl Default for Patience {
    fn default() -> Patience {
        Patience { wait_ns: 60 * NS_PER_SEC, retries: 3, delay_ns: NS_PER_SEC }
    }
}

impl Patience {
    /// How long it lasts altogether, ns.
    pub fn total_ns(&self, fallback: Fallback) -> i64 {
        let retries = if fallback == Fallback::WaitAndRetry { self.retries } else { 0 };
        let (mut total, mut pause) = (self.wait_ns, self.delay_ns.min(PAUSE_NS_MAX));
        for left in (1..=retries).rev() {
            if pause == PAUSE_NS_MAX || pause == 0 {
                return total.saturating_add(pause.saturating_mul(i64::try_from(left).unwrap_or(i64::MAX)));
            }
            total = total.saturating_add(pause);
            pause = pause.saturating_mul(2).min(PAUSE_NS_MAX);
        }
        total
    }
}

impl NodeKind {
    /// TRUE when input number `port` has to be loaded before rows of the other inputs come. A table asked for its version
    /// at a time is none of these: rows wait for its watermark, and both sides are read in step.
    pub fn loads_first(&self, port: usize) -> bool {
        let has_versions = match self {
            NodeKind::Join(spec) => matches!(spec.mode, JoinMode::Lookup { version: Some(_), .. }),
            _ => false,
        };
        self.is_asked(port) && !has_versions
    }

    /// TRUE when rows of the other inputs look something up in what input number `port` brought.
    pub fn is_asked(&self, port: usize) -> bool {
        match self {
            NodeKind::Join(spec) => match spec.mode {
                JoinMode::Lookup { table, .. } => (table == Side::Right) == (port == 1),
                _ => false,
            },
            NodeKind::Subqueries(_) => port > 0,
            _ => false,
        }
    }
}

impl NodeKind {
    /// What becomes of rows that wait for a table of this node which cannot be loaded.
    pub fn fallback(&self) -> Fallback {
        match self {
            NodeKind::Join(spec) => match spec.mode {
                JoinMode::Lookup { fallback, .. } => fallback,
                _ => Fallback::FailFast,
            },
            _ => Fallback::FailFast,
        }
    }
}

/// Sources whose rows come out of each node, those that only feed tables it asks left out.
type Origins = Vec<BTreeSet<usize>>;

/// A node whose rows wait for its tables, with the sources of both.
struct Gate {
    node: usize,
    tables: BTreeSet<usize>,
    rows: BTreeSet<usize>,
}

/// Nodes between sources and a gate; TRUE for those that nobody else reads.
type Path = BTreeMap<usize, bool>;

impl AppPlan {
    /// The highest level of a source.
    pub fn last_level(&self) -> u16 {
        self.sources.iter().map(|source| source.load.level).max().unwrap_or(0)
    }

    /// Nodes that do for a second reader what others do for the first.
    pub fn twins(&self) -> BTreeSet<NodeId> {
        self.sources.iter().flat_map(|source| source.load.twins.iter().copied()).collect()
    }

    /// The inputs that rows of others wait for, each as node, port, and the sources whose rows come there.
    pub fn tables(&self) -> Vec<(NodeId, usize, Vec<SourceId>)> {
        let origins = self.origins();
        let mut tables = Vec::new();
        for node in &self.nodes {
            for (port, input) in node.inputs.iter().enumerate().filter(|(port, _)| node.kind.loads_first(*port)) {
                let sources = origins[input.index()].iter().map(|source| SourceId(*source as u16));
                tables.push((node.id, port, sources.collect()));
            }
        }
        tables
    }

    /// Gives every source its level, and second readers where a source would wait for itself. FALSE when these would take
    /// more nodes, sources or edges than a plan can number.
    pub fn order_sources(&mut self) -> bool {
        let waits = |node: &Node| (0..node.inputs.len()).any(|port| node.kind.loads_first(port));
        if !self.nodes.iter().any(waits) {
            return true;
        }
        while let Some((gate, sources)) = self.circle() {
            if !self.add_readers(gate, &sources) {
                return false;
            }
        }
        self.set_levels();
        true
    }

    /// How long the topic of a source is waited for because rows ask a table that it feeds, ns; 0 where none do.
    pub fn patience_with(&self, source: SourceId) -> i64 {
        let Some(patience) = self.sources.get(source.index()).and_then(|plan| plan.load.patience) else { return 0 };
        let tables = self.tables().into_iter().filter(|(_, _, sources)| sources.contains(&source));
        tables.map(|(node, ..)| patience.total_ns(self.nodes[node.index()].kind.fallback())).max().unwrap_or(0)
    }

    fn origins(&self) -> Origins {
        let mut origins: Origins = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut own = BTreeSet::new();
            if let NodeKind::Scan { source } = node.kind {
                own.insert(source.index());
            }
            for (_, input) in row_inputs(node) {
                own.extend(&origins[input]);
            }
            origins.push(own);
        }
        origins
    }

    fn gates(&self, origins: &Origins) -> Vec<Gate> {
        let mut gates = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let mut tables = BTreeSet::new();
            for (port, input) in node.inputs.iter().enumerate() {
                if node.kind.loads_first(port) {
                    tables.extend(&origins[input.index()]);
                }
            }
            if !tables.is_empty() {
                gates.push(Gate { node: at, tables, rows: origins[at].clone() });
            }
        }
        gates
    }

    /// A gate some of whose sources wait for themselves and have other readers, and these sources.
    fn circle(&self) -> Option<(usize, BTreeSet<usize>)> {
        let origins = self.origins();
        let gates = self.gates(&origins);
        // By source: those that wait for it.
        let mut waits: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for gate in &gates {
            gate.tables.iter().for_each(|table| waits.entry(*table).or_default().extend(&gate.rows));
        }
        let waits_for_itself = |source: usize, tables: &BTreeSet<usize>| {
            let (mut seen, mut open) = (BTreeSet::from([source]), vec![source]);
            while let Some(at) = open.pop() {
                if tables.contains(&at) {
                    return true;
                }
                open.extend(waits.get(&at).into_iter().flatten().copied().filter(|next| seen.insert(*next)));
            }
            false
        };
        for gate in &gates {
            let circular: BTreeSet<usize> =
                gate.rows.iter().copied().filter(|source| waits_for_itself(*source, &gate.tables)).collect();
            let path = self.path(gate.node, &circular, &origins);
            let is_shared = |source: &usize| {
                let scan = |node: &&Node| matches!(node.kind, NodeKind::Scan { source: s } if s.index() == *source);
                let scan = self.nodes.iter().find(scan).map(|node| node.id.index());
                scan.is_some_and(|scan| path.get(&scan) == Some(&false))
            };
            let shared: BTreeSet<usize> = circular.into_iter().filter(is_shared).collect();
            if !shared.is_empty() {
                return Some((gate.node, shared));
            }
        }
        None
    }

    /// The nodes that rows of these sources take to a gate.
    fn path(&self, gate: usize, sources: &BTreeSet<usize>, origins: &Origins) -> Path {
        let mut path = Path::new();
        let mut open = vec![gate];
        while let Some(at) = open.pop() {
            for (_, input) in row_inputs(&self.nodes[at]) {
                if !origins[input].is_disjoint(sources) && path.insert(input, true).is_none() {
                    open.push(input);
                }
            }
        }
        // Readers stand behind what they read.
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let is_own = at == gate || path.get(&at) == Some(&true);
            for (port, input) in node.inputs.iter().enumerate() {
                if let Some(own) = path.get_mut(&input.index()) {
                    *own &= is_own && !node.kind.loads_first(port);
                }
            }
        }
        path
    }

    /// Gives the rows of a gate readers of their own of these sources.
    fn add_readers(&mut self, gate: usize, sources: &BTreeSet<usize>) -> bool {
        let origins = self.origins();
        let path = self.path(gate, sources, &origins);
        let limit = usize::from(u16::MAX);
        let twins = path.values().filter(|own| !**own).count();
        if self.nodes.len() + twins > limit
            || usize::from(self.edges) + twins > limit
            || self.sources.len() + sources.len() > limit
        {
            return false;
        }
        let readers: BTreeMap<usize, SourceId> =
            sources.iter().map(|source| (*source, self.add_reader(*source))).collect();
        let mut nodes = Vec::with_capacity(self.nodes.len() + twins);
        let mut places: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        let mut twin_of: BTreeMap<usize, NodeId> = BTreeMap::new();
        for (at, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            let first = node.inputs.clone();
            let second = (0..first.len()).map(|port| {
                let input = first[port].index();
                let twin = twin_of.get(&input).filter(|_| !node.kind.loads_first(port));
                twin.copied().unwrap_or(places[input])
            });
            let second: Vec<NodeId> = second.collect();
            let is_own = at == gate || path.get(&at) == Some(&true);
            node.inputs =
                if is_own { second.clone() } else { first.iter().map(|input| places[input.index()]).collect() };
            node.id = NodeId(nodes.len() as u16);
            places.push(node.id);
            let twin = (path.get(&at) == Some(&false)).then(|| self.twin(&node, second, &readers));
            nodes.push(node);
            if let Some(mut twin) = twin {
                twin.id = NodeId(nodes.len() as u16);
                twin_of.insert(at, twin.id);
                nodes.push(twin);
            }
        }
        self.nodes = nodes;
        for source in &mut self.sources {
            source.load.twins.iter_mut().for_each(|twin| *twin = places[twin.index()]);
        }
        if let Some(reader) = readers.values().next() {
            self.sources[reader.index()].load.twins = twin_of.into_values().collect();
        }
        true
    }

    /// A second reader of a source. It has a group of its own, because it stands elsewhere than the first.
    fn add_reader(&mut self, source: usize) -> SourceId {
        let mut reader = self.sources[source].clone();
        reader.load.again = Some(reader.load.again.unwrap_or(SourceId(source as u16)));
        reader.load.twins.clear();
        if let SourceConnector::Kafka(kafka) = &mut reader.connector {
            kafka.group = kafka.group.take().map(|group| second_group(&group));
        }
        self.sources.push(reader);
        SourceId((self.sources.len() - 1) as u16)
    }

    /// A node for the rows of second readers.
    fn twin(&mut self, node: &Node, inputs: Vec<NodeId>, readers: &BTreeMap<usize, SourceId>) -> Node {
        let mut twin = Node { inputs, ..node.clone() };
        match &mut twin.kind {
            NodeKind::Scan { source } => *source = readers.get(&source.index()).copied().unwrap_or(*source),
            NodeKind::Exchange { edge, .. } => {
                *edge = EdgeId(self.edges);
                self.edges += 1;
            }
            _ => {}
        }
        twin
    }

    fn set_levels(&mut self) {
        let origins = self.origins();
        let gates = self.gates(&origins);
        let mut levels = vec![0u16; self.sources.len()];
        let tables: BTreeSet<usize> = gates.iter().flat_map(|gate| gate.tables.iter().copied()).collect();
        let mut moved = true;
        while moved {
            moved = false;
            let mut raise = |levels: &mut Vec<u16>, source: usize, to: u16| {
                moved |= levels[source] < to;
                levels[source] = levels[source].max(to);
            };
            for gate in &gates {
                let behind = gate.tables.iter().map(|table| levels[*table] + 1).max().unwrap_or(0);
                gate.rows.iter().for_each(|source| raise(&mut levels, *source, behind));
            }
            // Streams whose rows meet are read in step: one that began before the others would fill memory.
            for sources in origins.iter().filter(|sources| sources.len() > 1) {
                let last = sources.iter().map(|source| levels[*source]).max().unwrap_or(0);
                let streams = sources.iter().filter(|source| !tables.contains(source));
                streams.for_each(|source| raise(&mut levels, *source, last));
            }
        }
        for (at, source) in self.sources.iter_mut().enumerate() {
            source.load.level = levels[at];
            source.load.table = tables.contains(&at);
            source.load.alone =
                source.load.table && origins.iter().all(|sources| sources.len() == 1 || !sources.contains(&at));
        }
    }
}

/// The consumer group of a second reader.
pub fn second_group(group: &str) -> String {
    format!("{group}_second")
}

/// Inputs of a node whose rows come out of it, by port.
fn row_inputs(node: &Node) -> impl Iterator<Item = (usize, usize)> + '_ {
    let inputs = node.inputs.iter().enumerate().map(|(port, input)| (port, input.index()));
    inputs.filter(|(port, _)| !node.kind.loads_first(*port))
}
