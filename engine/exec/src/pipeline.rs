//! Lowering: one shard's stages from the app's plan.
//!
//! Every plan node becomes one stage, an Exchange two (sending and receiving side), a Sink three: the encoder, the
//! sending side of its edge and, on the sink's home shard, the writer; where its rows are counted for metrics, one more in front
//! of the encoder. Stages stand in topological order.

use std::sync::Arc;

use velostream_sql::plan::{AppPlan, Emit, Node, NodeKind, Route, SinkConnector, SourceConnector, SourcePlan};
use velostream_types::{EdgeId, NodeId, PartitionId, ShardId, SourceId};

use crate::check::Checked;
use crate::expr::EvalContext;
use crate::op::aggregate::{Aggregate, Place};
use crate::op::amend::Amend;
use crate::op::combine::Combine;
use crate::op::encode::Encode;
use crate::op::events::Events;
use crate::op::filter::Filter;
use crate::op::join;
use crate::op::limit::Limit;
use crate::op::materialize::Materialize;
use crate::op::metrics::Metrics;
use crate::op::over::{Over, Until};
use crate::op::pass::Pass;
use crate::op::project::{Project, Spans};
use crate::op::session::Session;
use crate::op::sort::Sort;
use crate::op::subqueries::{Relation, Subqueries};
use crate::op::union::Union;
use crate::op::unnest::Unnest;
use crate::op::upsert::Upsert;
use crate::op::values::Values;
use crate::operator::Operator;
use crate::route::KeyRouter;
use crate::shard::{DeadMerge, Inlet, Outlet, Scan, ShardOptions, SinkMerge, Target, WriteRule};

/// What a stage does.
pub enum StageKind {
    /// Reads a source.
    Scan(Box<Scan>),
    /// Runs an operator.
    Operator(Box<dyn Operator>),
    /// Sends on an edge.
    Send(Outlet),
    /// Receives from an edge.
    Receive(Inlet),
    /// Receives encoded rows and writes a sink.
    Write(Inlet, SinkMerge),
    /// Receives dead letters and writes them.
    WriteDead(Inlet, DeadMerge),
}

/// One stage and whom it feeds.
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// Plan node, for counters and snapshots.
    pub node: NodeId,
    /// Stages fed, with their input port.
    pub consumers: Vec<(usize, usize)>,
}

/// A shard's stages with look-up tables.
pub struct Lowered {
    /// Stages in topological order.
    pub stages: Vec<Stage>,
    /// Sending stage of each edge.
    pub send: Vec<Option<usize>>,
    /// Receiving stage of each edge on this shard.
    pub receive: Vec<Option<usize>>,
    /// Sending stage of each dead-letter destination.
    pub dead: Vec<usize>,
    /// Stage of each source.
    pub scans: Vec<Option<usize>>,
}

/// Which shard writes sink or dead-letter destination number `n`.
pub fn home_of(n: usize, shards: u16) -> ShardId {
    ShardId((n % usize::from(shards)) as u16)
}

/// The shards that write sink number `sink`: for topics every shard writes what it made, so that a key leaves by its
/// owner's producer only; anything else, and whatever is cut off by a LIMIT, has one writer.
pub fn writers_of(plan: &AppPlan, sink: usize, shards: u16) -> Vec<ShardId> {
    let is_topic = matches!(plan.sinks[sink].connector, SinkConnector::Kafka(_));
    let feeds = |node: &&Node| matches!(node.kind, NodeKind::Sink { sink: n, .. } if n == sink);
    let mut limited = false;
    let mut at = plan.nodes.iter().find(feeds);
    while let Some(node) = at {
        limited |= matches!(node.kind, NodeKind::Limit { .. });
        at = node.inputs.first().map(|input| &plan.nodes[input.index()]);
    }
    if is_topic && !limited { (0..shards).map(ShardId).collect() } else { vec![home_of(sink, shards)] }
}

/// Lowers `plan` for shard `id` of `shards`, which owns the partitions `owned`.
pub fn lower(
    plan: &AppPlan,
    id: ShardId,
    shards: u16,
    owned: &[(SourceId, PartitionId)],
    options: &ShardOptions,
) -> Lowered {
    let mut lowering = Lowering {
        plan,
        id,
        shards,
        owned,
        options,
        names: plan.sources.iter().map(place_of).collect(),
        out: Lowered {
            stages: Vec::new(),
            send: vec![None; usize::from(plan.edges)],
            receive: vec![None; usize::from(plan.edges)],
            dead: Vec::new(),
            scans: vec![None; plan.sources.len()],
        },
        output_of: vec![usize::MAX; plan.nodes.len()],
    };
    for node in &plan.nodes {
        lowering.node(node);
    }
    lowering.dead_letters();
    lowering.out
}

/// What dead letters call a source: its topic, else its name.
pub fn place_of(source: &SourcePlan) -> Arc<str> {
    match &source.connector {
        SourceConnector::Kafka(kafka) => Arc::from(kafka.topic.as_str()),
        _ => Arc::clone(&source.name),
    }
}

/// Who cuts a relation off after its first rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitPlace {
    /// The Limit stage itself.
    Here,
    /// The sink's writer.
    Writer {
        /// Groups are below: no row may be cut off before the writer.
        grouped: bool,
    },
}

struct Lowering<'a> {
    plan: &'a AppPlan,
    id: ShardId,
    shards: u16,
    owned: &'a [(SourceId, PartitionId)],
    options: &'a ShardOptions,
    names: Arc<[Arc<str>]>,
    out: Lowered,
    /// Stage that gives the output of each plan node.
    output_of: Vec<usize>,
}

impl Lowering<'_> {
    fn push(&mut self, kind: StageKind, node: NodeId) -> usize {
        self.out.stages.push(Stage { kind, node, consumers: Vec::new() });
        self.out.stages.len() - 1
    }

    /// Connects the inputs of `node` to stage `to`.
    fn connect(&mut self, node: &Node, to: usize) {
        for (port, input) in node.inputs.iter().enumerate() {
            let from = self.output_of[input.index()];
            self.out.stages[from].consumers.push((to, port));
        }
    }

    fn node(&mut self, node: &Node) {
        let stage = match &node.kind {
            NodeKind::Exchange { edge, route } => self.exchange(node, *edge, route),
            NodeKind::Sink { sink, edge } => self.sink(node, *sink, *edge),
            NodeKind::Scan { source } => {
                let owned: Vec<PartitionId> = self.owned.iter().filter(|(s, _)| s == source).map(|(_, p)| *p).collect();
                let plan = Arc::new(self.plan.sources[source.index()].clone());
                let scan = Scan::new(*source, plan, &owned, self.options.run_start_ms, self.is_in_step(*source));
                let stage = self.push(StageKind::Scan(Box::new(scan)), node.id);
                self.out.scans[source.index()] = Some(stage);
                stage
            }
            _ => {
                let operator = self.watched(self.operator(node), node);
                let stage = self.push(StageKind::Operator(operator), node.id);
                self.connect(node, stage);
                stage
            }
        };
        self.output_of[node.id.index()] = stage;
    }

    fn operator(&self, node: &Node) -> Box<dyn Operator> {
        let ctx = EvalContext { run_start_ms: self.options.run_start_ms, now_ns: 0, seed: self.options.seed };
        match &node.kind {
            NodeKind::Filter { predicate } => Box::new(Filter::new(predicate, ctx, Arc::clone(&self.names), node.dlq)),
            NodeKind::Project { exprs, event_time } => {
                let event_time = event_time.as_ref().map(|expr| (expr, self.spans(node)));
                Box::new(Project::new(exprs, event_time, ctx, Arc::clone(&self.names), node.dlq))
            }
            NodeKind::Limit { rows } => Box::new(match self.limit_place(node) {
                LimitPlace::Here => Limit::new(*rows, true),
                LimitPlace::Writer { grouped: false } => Limit::new(*rows, false),
                LimitPlace::Writer { grouped: true } => Limit::new(u64::MAX, false),
            }),
            NodeKind::Combine(spec) => Box::new(Combine::new(spec, self.place(node))),
            NodeKind::Aggregate(spec) if spec.window.is_some_and(|window| window.is_session()) => {
                Box::new(Session::new(spec, self.place(node)))
            }
            NodeKind::Aggregate(spec) => {
                let partial = self.reads_partials(node);
                Box::new(Aggregate::new(spec, partial, self.place(node)))
            }
            NodeKind::Sort(spec) => Box::new(Sort::new(spec, &node.schema, node.id)),
            NodeKind::Unnest(spec) => Box::new(Unnest::new(spec, Arc::clone(&self.names), node.dlq)),
            NodeKind::Union => Box::new(Union::new(node.inputs.len())),
            NodeKind::Materialize { key } => Box::new(Materialize::new(key, &node.schema)),
            NodeKind::Values { rows } => {
                Box::new(Values::new(rows, &node.schema, ctx, Arc::clone(&self.names), node.dlq))
            }
            NodeKind::Upsert { deleted, passes: true, .. } => Box::new(Pass::new(*deleted)),
            NodeKind::Upsert { key, deleted, .. } => Box::new(Upsert::new(key, *deleted, &node.schema)),
            NodeKind::Amend(spec) => Box::new(Amend::new(spec, &node.schema, ctx, Arc::clone(&self.names), node.dlq)),
            NodeKind::Events => Box::new(Events::default()),
            NodeKind::Scan { .. } | NodeKind::Exchange { .. } | NodeKind::Sink { .. } => {
                unreachable!("lowered on their own")
            }
            NodeKind::Over(spec) => {
                let until = self.until(node, spec.live);
                let input = node.inputs.first().map_or(node, |input| &self.plan.nodes[input.index()]);
                Box::new(Over::new(spec, &input.schema, until, Arc::clone(&self.names), node.dlq))
            }
            NodeKind::Join(spec) => {
                let schema = |port: usize| match node.inputs.get(port) {
                    Some(input) => &self.plan.nodes[input.index()].schema,
                    None => &node.schema,
                };
                join::operator(spec, [schema(0), schema(1)], self.place(node), ctx)
            }
            NodeKind::Subqueries(specs) => {
                let relation = |input: &NodeId| {
                    let node = &self.plan.nodes[input.index()];
                    Relation { schema: Arc::clone(&node.schema), changes: node.changelog }
                };
                let inputs: Vec<Relation> = node.inputs.iter().map(relation).collect();
                let (outer, inputs) = inputs.split_first().expect("a Subqueries node has its rows as first input");
                Box::new(Subqueries::new(specs, outer, inputs, ctx, Arc::clone(&self.names), node.dlq))
            }
        }
    }

    /// The windows whose rows a Project of the same statement gives new times.
    fn spans(&self, project: &Node) -> Option<Spans> {
        let mut at = project;
        loop {
            at = self.plan.nodes.get(at.inputs.first()?.index())?;
            match &at.kind {
                _ if at.statement != project.statement => return None,
                NodeKind::Aggregate(spec) => return spec.window.as_ref().map(Spans::new),
                NodeKind::Filter { .. }
                | NodeKind::Sort(_)
                | NodeKind::Over(_)
                | NodeKind::Subqueries(_)
                | NodeKind::Exchange { .. }
                | NodeKind::Project { event_time: None, .. } => {}
                _ => return None,
            }
        }
    }

    /// How long rows wait in front of calls with OVER until their order is known.
    fn until(&self, over: &Node, live: bool) -> Until {
        let mut below = vec![over];
        let (mut partitions, mut exchanges, mut straight) = (0, 0, true);
        while let Some(at) = below.pop() {
            match &at.kind {
                NodeKind::Aggregate(spec) if spec.window.is_some() && spec.emit == Emit::Final => {
                    return Until::Watermark;
                }
                NodeKind::Scan { source } => {
                    partitions += self.options.partitions.get(source.index()).copied().unwrap_or(1);
                }
                NodeKind::Exchange { route: Route::Here, .. } => {}
                NodeKind::Exchange { .. } => exchanges += 1,
                // The rows are the stream's, in their order.
                NodeKind::Join(_) if at.row_inputs().len() == 1 => {}
                NodeKind::Over(_) | NodeKind::Filter { .. } | NodeKind::Project { .. } => {}
                NodeKind::Unnest(_) | NodeKind::Subqueries(_) => {}
                _ => straight = false,
            }
            below.extend(at.row_inputs().iter().map(|input| &self.plan.nodes[input.index()]));
        }
        match (live, straight) {
            (true, _) => Until::Now,
            // One sender gives the rows of one partition in their order; several in a row may overtake each other.
            (false, true) if partitions <= 1 && (exchanges <= 1 || self.shards == 1) => Until::Now,
            (false, true) => Until::Passed,
            (false, false) => Until::End,
        }
    }

    /// TRUE when the rows of a source wait for their order somewhere.
    fn is_in_step(&self, source: SourceId) -> bool {
        let reads = |node: &Node| {
            let mut below = vec![node];
            while let Some(at) = below.pop() {
                if matches!(at.kind, NodeKind::Scan { source: of } if of == source) {
                    return true;
                }
                below.extend(at.row_inputs().iter().map(|input| &self.plan.nodes[input.index()]));
            }
            false
        };
        let waits = |node: &&Node| match &node.kind {
            NodeKind::Over(spec) => self.until(node, spec.live) == Until::Passed,
            _ => false,
        };
        self.plan.nodes.iter().filter(waits).any(reads)
    }

    fn watched(&self, operator: Box<dyn Operator>, node: &Node) -> Box<dyn Operator> {
        if cfg!(feature = "check") || self.options.check { Box::new(Checked::new(operator, node)) } else { operator }
    }

    fn place(&self, node: &Node) -> Place {
        Place {
            node: node.id,
            dlq: node.dlq,
            shard: self.id,
            shards: self.shards,
            name: Arc::from(self.plan.statements[node.statement].name.as_str()),
            sources: Arc::clone(&self.names),
        }
    }

    fn single_partition(&self) -> bool {
        self.options.partitions.iter().sum::<u32>() <= 1
    }

    /// Where "the first n rows" is decided: on the spot where rows arrive in as-if order anyway, else by the sink's
    /// writer, which sees the rows of all shards with their order.
    fn limit_place(&self, limit: &Node) -> LimitPlace {
        let mut below = vec![limit];
        let (mut grouped, mut merged) = (false, false);
        while let Some(at) = below.pop() {
            // Rows of a join come from all shards, in the order in which they meet.
            grouped |= matches!(at.kind, NodeKind::Aggregate(_) | NodeKind::Join(_));
            // Rows of one partition come in several turns, one after another.
            merged |= matches!(at.kind, NodeKind::Union);
            below.extend(at.inputs.iter().map(|input| &self.plan.nodes[input.index()]));
        }
        // Who goes on from a checkpoint may have another number of shards.
        let one_shard = self.shards == 1 && !self.options.checkpoint;
        if self.single_partition() && !merged && (one_shard || !grouped) {
            LimitPlace::Here
        } else {
            LimitPlace::Writer { grouped }
        }
    }

    /// TRUE when the rows of an Aggregate were folded in front of the exchange.
    fn reads_partials(&self, node: &Node) -> bool {
        let mut at = node;
        while let Some(input) = at.inputs.first() {
            at = &self.plan.nodes[input.index()];
            match at.kind {
                NodeKind::Exchange { .. } => {}
                NodeKind::Combine(_) => return true,
                _ => return false,
            }
        }
        false
    }

    fn exchange(&mut self, node: &Node, edge: EdgeId, route: &Route) -> usize {
        let target = match route {
            Route::Key(columns) => Target::Key(KeyRouter::new(columns.clone(), self.shards)),
            Route::All => Target::All,
            // Whoever reads it reads what it reads.
            Route::Here => return node.inputs.first().map_or(0, |input| self.output_of[input.index()]),
        };
        let outlet = Outlet::new(edge, self.id, self.shards, target, self.options.credits);
        let send = self.push(StageKind::Send(outlet), node.id);
        self.connect(node, send);
        let receive = self.push(StageKind::Receive(self.inlet(node, edge)), node.id);
        self.out.send[edge.index()] = Some(send);
        self.out.receive[edge.index()] = Some(receive);
        receive
    }

    /// Where `node` hears from all shards: of sources, each has its own partitions; behind an exchange, each has its share
    /// of the rows and hears of all partitions.
    fn inlet(&self, node: &Node, edge: EdgeId) -> Inlet {
        let mut below: Vec<NodeId> = node.inputs.clone();
        while let Some(at) = below.pop() {
            let input = &self.plan.nodes[at.index()];
            match input.kind {
                NodeKind::Exchange { route: Route::Key(_) | Route::All, .. } => {}
                NodeKind::Scan { .. } => return Inlet::new(edge, self.shards),
                _ => below.extend(&input.inputs),
            }
        }
        Inlet::of_shares(edge, self.shards)
    }

    fn sink(&mut self, node: &Node, sink: usize, edge: EdgeId) -> usize {
        let plan = Arc::new(self.plan.sinks[sink].clone());
        let rule = self.write_rule(node, plan.ordered);
        let with_order = rule.limit.is_some() || (rule.ordered && self.shards > 1);
        let encode = Encode::new(plan, with_order, self.options.run_start_ms);
        let encode = self.watched(Box::new(encode), node);
        let metrics = self.metrics(node, sink);
        let encode = self.push(StageKind::Operator(encode), node.id);
        match metrics {
            Some(metrics) => self.out.stages[metrics].consumers.push((encode, 0)),
            None => self.connect(node, encode),
        }
        let writers = writers_of(self.plan, sink, self.shards);
        let is_own = writers.len() > 1 || self.shards == 1;
        let home = if is_own { self.id } else { writers[0] };
        let outlet = Outlet::new(edge, self.id, self.shards, Target::Writer(home), self.options.credits);
        let send = self.push(StageKind::Send(outlet), node.id);
        self.out.stages[encode].consumers.push((send, 0));
        self.out.send[edge.index()] = Some(send);
        if home == self.id {
            let (inlet, senders) = match is_own {
                true => (Inlet::from_one(edge, self.id), 1),
                false => (self.inlet(node, edge), self.shards),
            };
            let write = self.push(StageKind::Write(inlet, SinkMerge::new(sink, rule, senders)), node.id);
            self.out.receive[edge.index()] = Some(write);
        }
        send
    }

    /// The stage in front of a sink's encoder that counts its rows, where anything is counted.
    fn metrics(&mut self, node: &Node, sink: usize) -> Option<usize> {
        let specs = &self.plan.sinks[sink].metrics;
        if specs.is_empty() {
            return None;
        }
        let ctx = EvalContext { run_start_ms: self.options.run_start_ms, now_ns: 0, seed: self.options.seed };
        let operator = self.watched(Box::new(Metrics::new(sink, specs, ctx)), node);
        let stage = self.push(StageKind::Operator(operator), node.id);
        self.connect(node, stage);
        Some(stage)
    }

    /// Order and limit of a sink, from the nodes that feed it row by row.
    fn write_rule(&self, sink: &Node, ordered: bool) -> WriteRule {
        let mut rule = WriteRule { ordered, ..WriteRule::default() };
        let mut at = sink;
        while let Some(input) = at.inputs.first() {
            at = &self.plan.nodes[input.index()];
            match &at.kind {
                NodeKind::Limit { rows } => {
                    if self.limit_place(at) != LimitPlace::Here {
                        rule.limit = Some(rule.limit.map_or(*rows, |l| l.min(*rows)));
                    }
                }
                NodeKind::Filter { .. } | NodeKind::Project { .. } | NodeKind::Exchange { .. } => {}
                NodeKind::Events | NodeKind::Subqueries(_) => {}
                NodeKind::Aggregate(spec) => {
                    rule.limit_per_window = spec.window.is_some();
                    break;
                }
                _ => break,
            }
        }
        rule
    }

    fn dead_letters(&mut self) {
        for (n, dlq) in self.plan.dlqs.iter().enumerate() {
            let home = home_of(n, self.shards);
            let outlet = Outlet::new(dlq.edge, self.id, self.shards, Target::Writer(home), self.options.credits);
            let send = self.push(StageKind::Send(outlet), NodeId::default());
            self.out.send[dlq.edge.index()] = Some(send);
            self.out.dead.push(send);
            if home == self.id {
                let inlet = Inlet::new(dlq.edge, self.shards);
                let write = self.push(StageKind::WriteDead(inlet, DeadMerge::new(n)), NodeId::default());
                self.out.receive[dlq.edge.index()] = Some(write);
            }
        }
    }
}
