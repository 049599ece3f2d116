//! What a run did, for people and machines: rows, what was dropped and why, rates, latencies, memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use velostream_exec::operator::NodeCounters;
use velostream_exec::shard::{PartitionProgress, Standing, without_twins};
use velostream_sql::plan::{AppPlan, Node, NodeKind, SinkConnector};
use velostream_types::time::{WM_NONE, ns_to_ms};
use velostream_types::topic::FetchStats;
use velostream_types::{PartitionId, SourceId};

use super::checkpoint::CheckpointReport;
use super::loading::TableReport;
use super::metrics::{self, MetricSeries};
use super::standing::{self, WindowReport};
use crate::driver::{LaneReport, Layout, SinkProgress, World, start_of_run};
use crate::io::file_sink::partial_path;
use crate::stop::{StopHandle, StopReason};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
    /// Rows dead-lettered.
    pub rows_dead: u64,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Rows read per second since the start.
    pub rows_per_second: f64,
}

impl Snapshot {
    /// What the shards told so far.
    pub(super) fn of(world: &World, start: &Usage) -> Snapshot {
        let mut snapshot = Snapshot { elapsed_s: start.elapsed_s(), ..Snapshot::default() };
        for cell in world.cells() {
            snapshot.rows_in += cell.rows_in.load(Ordering::Relaxed);
            snapshot.rows_out += cell.rows_out.load(Ordering::Relaxed);
            snapshot.rows_dead += cell.rows_dead.load(Ordering::Relaxed);
        }
        snapshot.rows_per_second = rate(snapshot.rows_in, snapshot.elapsed_s);
        snapshot
    }
}

fn rate(rows: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { rows as f64 / seconds } else { 0.0 }
}

/// A look at the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    at: Instant,
    cpu_s: f64,
}

impl Usage {
    pub(super) fn now() -> Usage {
        Usage { at: start_of_run(), cpu_s: cpu_seconds() }
    }

    fn elapsed_s(&self) -> f64 {
        self.at.elapsed().as_secs_f64()
    }
}

/// CPU time of the whole process so far, s.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Largest resident memory of the process so far, bytes.
#[cfg(target_os = "linux")]
fn peak_rss_bytes() -> Option<u64> {
    procfs::process::Process::myself().ok()?.status().ok()?.vmhwm.map(|kib| kib * 1024)
}

#[cfg(not(target_os = "linux"))]
fn peak_rss_bytes() -> Option<u64> {
    None
}

/// From reading a slab to writing rows, one sample per turn that wrote, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct LatencyReport {
    pub samples: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceReport {
    /// Name as in SQL.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
    /// Records read, bad ones included.
    pub rows: u64,
    /// Records that could not be decoded.
    pub dead_lettered: u64,
    /// Rows placed by their record's timestamp, because their event time was missing or bad.
    pub without_event_time: u64,
    /// Headers `watermark` that are no time.
    pub bad_watermarks: u64,
    /// Read to the end of every partition.
    pub ended: bool,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionReport {
    /// Its source's name.
    pub source: String,
    /// Its number.
    pub partition: u32,
    /// Good rows read.
    pub rows: u64,
    /// Its watermark, ms; absent before the first event time.
    pub watermark_ms: Option<i64>,
    /// Read to its end.
    pub ended: bool,
    /// Where it stands in a broker's log; absent for other sources.
    #[serde(flatten)]
    pub log: Option<LogReport>,
    /// Its source's number, and the partition's, to find it again.
    #[serde(skip)]
    pub at: (SourceId, PartitionId),
}

impl PartitionReport {
    /// How far it was read.
    pub(super) fn of(plan: &AppPlan, p: &PartitionProgress) -> PartitionReport {
        PartitionReport {
            source: plan.sources[p.source.index()].name.to_string(),
            partition: p.partition.0,
            rows: p.rows,
            watermark_ms: watermark_ms(plan, p),
            ended: p.ended,
            log: None,
            at: (p.source, p.partition),
        }
    }

    /// Adds where it stands in its log.
    pub(super) fn stands(
        &mut self,
        stands: &BTreeMap<(SourceId, PartitionId), FetchStats>,
        committed: &BTreeMap<(SourceId, PartitionId), i64>,
    ) {
        let committed = committed.get(&self.at).copied();
        self.log = stands.get(&self.at).map(|stats| LogReport {
            position: stats.position,
            end: stats.end,
            lag: (stats.end - committed.unwrap_or(stats.position)).max(0),
            committed,
            records_lost: stats.records_lost,
            throttle_ms: stats.throttle_ms,
        });
    }
}

/// One partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Next offset to be read.
    pub position: i64,
    /// End of the log as last seen.
    pub end: i64,
    /// Records between the committed offset, or the position without one, and the end: those of open windows included.
    pub lag: i64,
    /// Last committed offset of this run.
    pub committed: Option<i64>,
    /// Records that retention took before they were read.
    pub records_lost: u64,
    /// Time the broker asked to wait, ms.
    pub throttle_ms: u64,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkReport {
    /// Name as in SQL.
    pub name: String,
    /// Rows written.
    pub rows: u64,
    /// Rows that it refused for what they are; their bytes are in its query's dead letters.
    pub refused: u64,
    /// Complete; FALSE when the run was stopped before.
    pub finished: bool,
    /// Where an unfinished file's rows are.
    pub partial: Option<PathBuf>,
}

/// One statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatementReport {
    /// Its name.
    pub name: String,
    /// What its nodes counted, scans excepted; only what went amiss is part of the report's JSON.
    #[serde(flatten, serialize_with = "amiss")]
    pub counters: NodeCounters,
    /// Its late rows by partition.
    pub late_by_partition: Vec<LateReport>,
}

/// Late rows of one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LateReport {
    /// The source; the statement's own name for rows that an operator made of several partitions.
    pub source: String,
    /// The partition; absent for such rows.
    pub partition: Option<u32>,
    /// How many.
    pub rows: u64,
}

/// Writes what a statement lost, dropped or changed.
fn amiss<S: Serializer>(counters: &NodeCounters, to: S) -> Result<S::Ok, S::Error> {
    let NodeCounters {
        late, dead_lettered, dropped, division_by_zero, rounded, not_finite, expired, past_buffer, ..
    } = *counters;
    let mut map = to.serialize_map(None)?;
    map.serialize_entry("late", &late)?;
    map.serialize_entry("dead_lettered", &dead_lettered)?;
    map.serialize_entry("dropped", &dropped)?;
    map.serialize_entry("division_by_zero", &division_by_zero)?;
    map.serialize_entry("rounded", &rounded)?;
    map.serialize_entry("not_finite", &not_finite)?;
    map.serialize_entry("groups_expired", &expired)?;
    map.serialize_entry("past_buffer", &past_buffer)?;
    map.end()
}

/// What one operator held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperatorReport {
    /// Its statement.
    pub statement: String,
    /// The operator, as EXPLAIN names it.
    pub operator: String,
    /// Groups, or rows of those that keep rows, held at the end.
    pub groups: u64,
    /// Bytes of state held at the end.
    pub state_bytes: u64,
    /// The most groups held; of several shards the sum of each one's most.
    pub groups_max: u64,
    /// The most bytes of state held, likewise.
    pub state_bytes_max: u64,
}

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Name of the app.
    pub app: String,
    /// Backend and why that one.
    pub backend: &'static str,
    /// Why that backend.
    pub backend_reason: String,
    /// Number of shards.
    pub shards: u16,
    /// Number of executors.
    pub executors: usize,
    /// Records read, bad ones included.
    pub rows_in: u64,
    /// Rows written to sinks.
    pub rows_out: u64,
    /// Rows that came after their window closed.
    pub rows_late: u64,
    /// Rows of windows that an earlier run had given out.
    pub rows_replayed: u64,
    /// Records and rows dead-lettered.
    pub rows_dead_lettered: u64,
    /// Rows dropped for another reason than a filter.
    pub rows_dropped: u64,
    /// Wall time, s.
    pub elapsed_s: f64,
    /// CPU time of the process during the run, s.
    pub cpu_s: f64,
    /// Records read per second.
    pub rows_per_second: f64,
    /// Records read per second of CPU.
    pub rows_per_cpu_second: f64,
    /// From slab to sink.
    pub latency: LatencyReport,
    /// Messages between shards that had to wait for a credit.
    pub credit_waits: u64,
    /// Largest resident memory of the process, bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Stopped before the end of its inputs.
    pub interrupted: bool,
    /// Why it was stopped, if it was.
    pub stopped: Option<StopReason>,
    /// Run with `--follow`.
    pub follow: bool,
    /// By source.
    pub sources: Vec<SourceReport>,
    /// By table that others wait for.
    pub tables: Vec<TableReport>,
    /// By sink.
    pub sinks: Vec<SinkReport>,
    /// By statement.
    pub statements: Vec<StatementReport>,
    /// By partition, in order of sources.
    pub partitions: Vec<PartitionReport>,
    /// What was done about checkpoints; absent without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointReport>,
    /// By operator that holds state.
    pub operators: Vec<OperatorReport>,
    /// By operator with windows: what is open and what the next window waits for.
    pub windows: Vec<WindowReport>,
    /// Series of the metrics that `@metric` annotations define; absent without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSeries>,
    /// By node of the plan, summed over shards.
    #[serde(skip)]
    pub nodes: Vec<NodeCounters>,
}

impl RunReport {
    /// The report of a run that was stopped before its shards began.
    pub(super) fn nothing(plan: &AppPlan, stop: &StopHandle, follow: bool) -> RunReport {
        let first_readers = plan.sources.iter().filter(|source| source.load.again.is_none());
        let sources = first_readers.map(|source| SourceReport {
            name: source.name.to_string(),
            partitions: 0,
            rows: 0,
            dead_lettered: 0,
            without_event_time: 0,
            bad_watermarks: 0,
            ended: false,
        });
        RunReport {
            app: plan.name.clone(),
            backend: "none",
            backend_reason: "stopped before the start".to_owned(),
            shards: 0,
            executors: 0,
            rows_in: 0,
            rows_out: 0,
            rows_late: 0,
            rows_replayed: 0,
            rows_dead_lettered: 0,
            rows_dropped: 0,
            elapsed_s: 0.0,
            cpu_s: 0.0,
            rows_per_second: 0.0,
            rows_per_cpu_second: 0.0,
            latency: LatencyReport::default(),
            credit_waits: 0,
            peak_rss_bytes: peak_rss_bytes(),
            interrupted: true,
            stopped: stop.reason(),
            follow,
            sources: sources.collect(),
            tables: Vec::new(),
            sinks: sinks(plan, &[], follow),
            statements: statements(plan, &vec![NodeCounters::default(); plan.nodes.len()]),
            partitions: Vec::new(),
            checkpoints: None,
            operators: Vec::new(),
            windows: Vec::new(),
            metrics: metrics::series(plan, &[]),
            nodes: vec![NodeCounters::default(); plan.nodes.len()],
        }
    }

    /// The report of a run that an earlier start completed.
    pub(super) fn was_complete(
        plan: &AppPlan,
        stop: &StopHandle,
        follow: bool,
        checkpoints: CheckpointReport,
    ) -> RunReport {
        let mut report = RunReport::nothing(plan, stop, follow);
        "complete before the start".clone_into(&mut report.backend_reason);
        report.interrupted = false;
        report.sinks.iter_mut().for_each(|sink| (sink.finished, sink.partial) = (true, None));
        report.checkpoints = Some(checkpoints);
        report
    }

    /// Adds where the partitions of topics stand.
    pub(super) fn stands(
        &mut self,
        stands: &BTreeMap<(SourceId, PartitionId), FetchStats>,
        committed: &BTreeMap<(SourceId, PartitionId), i64>,
    ) {
        self.partitions.iter_mut().for_each(|partition| partition.stands(stands, committed));
    }

    /// This life's report with the counts of the lives before.
    pub(super) fn after(mut self, earlier: &RunReport) -> RunReport {
        self.rows_in += earlier.rows_in;
        self.rows_out += earlier.rows_out;
        self.rows_late += earlier.rows_late;
        self.rows_replayed += earlier.rows_replayed;
        self.rows_dead_lettered += earlier.rows_dead_lettered;
        self.rows_dropped += earlier.rows_dropped;
        self.credit_waits += earlier.credit_waits;
        self.elapsed_s += earlier.elapsed_s;
        self.cpu_s += earlier.cpu_s;
        self.rows_per_second = rate(self.rows_in, self.elapsed_s);
        self.rows_per_cpu_second = rate(self.rows_in, self.cpu_s);
        for (own, before) in self.sources.iter_mut().zip(&earlier.sources) {
            own.rows += before.rows;
            own.dead_lettered += before.dead_lettered;
            own.without_event_time += before.without_event_time;
            own.bad_watermarks += before.bad_watermarks;
        }
        for (own, before) in self.sinks.iter_mut().zip(&earlier.sinks) {
            own.rows += before.rows;
            own.refused += before.refused;
        }
        for (own, before) in self.statements.iter_mut().zip(&earlier.statements) {
            standing::merge_late(&mut own.late_by_partition, &before.late_by_partition);
        }
        metrics::go_on(&mut self.metrics, &earlier.metrics);
        self.nodes.iter_mut().zip(&earlier.nodes).for_each(|(own, before)| own.add(before));
        self
    }
}

/// What a report is made from.
pub(super) struct Facts<'a> {
    pub plan: &'a AppPlan,
    pub layout: &'a Layout,
    pub reason: String,
    pub lanes: Vec<LaneReport>,
    pub start: Usage,
    pub stop: &'a StopHandle,
    pub follow: bool,
    pub tables: Vec<TableReport>,
}

/// The report of a run that ended.
pub(super) fn assemble(facts: Facts<'_>) -> RunReport {
    let Facts { plan, layout, reason, lanes, start, stop, follow, tables } = facts;
    let mut nodes = vec![NodeCounters::default(); plan.nodes.len()];
    for lane in &lanes {
        nodes.iter_mut().zip(&lane.counters).for_each(|(sum, own)| sum.add(own));
    }
    let refused = lanes.iter().flat_map(|lane| &lane.sinks).filter(|sink| sink.refused > 0);
    for SinkProgress { sink, refused, .. } in refused {
        let writes = |node: &&Node| matches!(node.kind, NodeKind::Sink { sink: n, .. } if n == *sink);
        if let Some(node) = plan.nodes.iter().find(writes) {
            nodes[node.id.index()].dead_lettered += refused;
        }
    }
    without_twins(plan, &mut nodes);
    let partitions = partitions(plan, &lanes);
    let standings: Vec<Standing> = lanes.iter().map(|lane| lane.standing.clone()).collect();
    let mut statements = statements(plan, &nodes);
    standing::add_late(plan, &standings, &mut statements);
    let sources = sources(plan, &nodes, &lanes);
    let sinks = sinks(plan, &lanes, follow);
    let (elapsed_s, cpu_s) = (start.elapsed_s(), cpu_seconds() - start.cpu_s);
    let rows_in = sources.iter().map(|source| source.rows).sum();
    RunReport {
        app: plan.name.clone(),
        backend: layout.backend.name(),
        backend_reason: reason,
        shards: layout.shards,
        executors: layout.cpus.len(),
        rows_in,
        rows_out: sinks.iter().map(|sink| sink.rows).sum(),
        rows_late: nodes.iter().map(|node| node.late).sum(),
        rows_replayed: nodes.iter().map(|node| node.replayed).sum(),
        rows_dead_lettered: nodes.iter().map(|node| node.dead_lettered).sum(),
        rows_dropped: nodes.iter().map(|node| node.dropped).sum(),
        elapsed_s,
        cpu_s,
        rows_per_second: rate(rows_in, elapsed_s),
        rows_per_cpu_second: rate(rows_in, cpu_s),
        latency: latency(&lanes),
        credit_waits: lanes.iter().map(|lane| lane.credit_waits).sum(),
        peak_rss_bytes: peak_rss_bytes(),
        interrupted: stop.reason().is_some() && sinks.iter().any(|sink| !sink.finished),
        stopped: stop.reason(),
        follow,
        sources,
        tables,
        sinks,
        statements,
        partitions,
        checkpoints: None,
        operators: operators(plan, &nodes),
        windows: standing::windows(plan, &standings),
        metrics: metrics::series(plan, &lanes),
        nodes,
    }
}

/// Operators that hold state, or did.
fn operators(plan: &AppPlan, nodes: &[NodeCounters]) -> Vec<OperatorReport> {
    let held = plan.nodes.iter().zip(nodes).filter(|(_, counters)| counters.state_bytes_max > 0);
    let report = |(node, counters): (&Node, &NodeCounters)| OperatorReport {
        statement: plan.statements.get(node.statement).map_or_else(String::new, |s| s.name.clone()),
        operator: velostream_sql::explain::operator(node),
        groups: counters.groups,
        state_bytes: counters.state_bytes,
        groups_max: counters.groups_max,
        state_bytes_max: counters.state_bytes_max,
    };
    held.map(report).collect()
}

fn partitions(plan: &AppPlan, lanes: &[LaneReport]) -> Vec<PartitionReport> {
    let is_first = |p: &&PartitionProgress| plan.sources[p.source.index()].load.again.is_none();
    let mut all: Vec<_> = lanes.iter().flat_map(|lane| &lane.partitions).filter(is_first).collect();
    all.sort_by_key(|p| (p.source, p.partition));
    all.into_iter().map(|p| PartitionReport::of(plan, p)).collect()
}

/// Highest event time less the source's bound.
fn watermark_ms(plan: &AppPlan, p: &PartitionProgress) -> Option<i64> {
    let bound_ns = plan.sources[p.source.index()].event_time.as_ref()?.bound_ns;
    (p.max_event_time != WM_NONE).then(|| ns_to_ms(p.max_event_time.saturating_sub(bound_ns)))
}

fn sources(plan: &AppPlan, nodes: &[NodeCounters], lanes: &[LaneReport]) -> Vec<SourceReport> {
    let report = |(s, source): (usize, &velostream_sql::plan::SourcePlan)| {
        let own = || lanes.iter().flat_map(|lane| &lane.partitions).filter(move |p| p.source.index() == s);
        let scans = || {
            let scan = move |kind: &NodeKind| matches!(kind, NodeKind::Scan { source } if source.index() == s);
            plan.nodes.iter().zip(nodes).filter(move |(node, _)| scan(&node.kind)).map(|(_, counters)| counters)
        };
        SourceReport {
            name: source.name.to_string(),
            partitions: own().count() as u32,
            rows: scans().map(|c| c.rows_in).sum(),
            dead_lettered: scans().map(|c| c.dead_lettered).sum(),
            without_event_time: scans().map(|c| c.untimed).sum(),
            bad_watermarks: scans().map(|c| c.bad_watermarks).sum(),
            ended: own().all(|p| p.ended),
        }
    };
    let first_readers = plan.sources.iter().enumerate().filter(|(_, source)| source.load.again.is_none());
    first_readers.map(report).collect()
}

fn sinks(plan: &AppPlan, lanes: &[LaneReport], follow: bool) -> Vec<SinkReport> {
    let report = |(i, sink): (usize, &velostream_sql::plan::SinkPlan)| {
        let own = || lanes.iter().flat_map(|lane| &lane.sinks).filter(|progress| progress.sink == i);
        let finished = own().next().is_some() && own().all(|progress| progress.finished);
        let partial = match &sink.connector {
            SinkConnector::File { path, append: false, .. } if !finished && !follow => Some(partial_path(path)),
            _ => None,
        };
        let rows = own().map(|progress| progress.rows).sum();
        let refused = own().map(|progress| progress.refused).sum();
        SinkReport { name: sink.name.clone(), rows, refused, finished, partial }
    };
    plan.sinks.iter().enumerate().map(report).collect()
}

fn statements(plan: &AppPlan, nodes: &[NodeCounters]) -> Vec<StatementReport> {
    let mut reports: Vec<StatementReport> = plan
        .statements
        .iter()
        .map(|statement| StatementReport { name: statement.name.clone(), ..StatementReport::default() })
        .collect();
    for (node, counters) in plan.nodes.iter().zip(nodes) {
        // A scan may serve several statements; its bad records are told with its source.
        let scan = matches!(node.kind, NodeKind::Scan { .. });
        if let (false, Some(report)) = (scan, reports.get_mut(node.statement)) {
            report.counters.add(counters);
        }
    }
    reports
}

fn latency(lanes: &[LaneReport]) -> LatencyReport {
    let mut all: Option<Histogram<u64>> = None;
    for lane in lanes {
        match &mut all {
            None => all = Some(lane.latency.clone()),
            // All lanes record within the same bounds, so adding cannot fail.
            Some(sum) => sum.add(&lane.latency).unwrap_or_default(),
        }
    }
    let Some(all) = all.filter(|all| !all.is_empty()) else { return LatencyReport::default() };
    let us = |ns: u64| ns as f64 / 1000.0;
    LatencyReport {
        samples: all.len(),
        p50_us: us(all.value_at_quantile(0.5)),
        p90_us: us(all.value_at_quantile(0.9)),
        p99_us: us(all.value_at_quantile(0.99)),
        p999_us: us(all.value_at_quantile(0.999)),
        max_us: us(all.max()),
    }
}
