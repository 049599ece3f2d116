//! A whole plan over a feed: rows one at a time through the graph, watermarks after each.
//!
//! Combine and Exchange are the identity. An aggregate judges a row by the row's own watermark, fires windows by the
//! minimum over the partitions, and gives rows of one logical partition whose watermark is the one it forwards. At the
//! end of the feed every watermark goes to its end.

use std::collections::BTreeMap;
use std::rc::Rc;

use velostream_sql::plan::{
    AggregateSpec, AppPlan, Emit, EventTimeSpec, Expr, LateStrategy, MissingTime, Node, NodeKind, SourceConnector,
    TimeField, WindowKind,
};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{ErrorCode, NodeId, SourceId, Value};

use super::elements::{Numbered, taken_apart};
use super::eval::{Row, eval};
use super::event_time::nanoseconds;
use super::group::{Group, Order, Place, Through, behind};
use super::keyed::{Keyed, Upserted};
use super::over;
use super::sort::sorted;

const NS_PER_MS: i64 = 1_000_000;

/// One decoded record.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedRow {
    /// Its source.
    pub source: SourceId,
    /// Its partition in the source.
    pub partition: u32,
    /// Its position in the partition.
    pub offset: i64,
    /// Values of the columns the source reads.
    pub values: Vec<Value>,
    /// Record timestamp; `None` is the run's start, which is 0 here.
    pub timestamp_ms: Option<i64>,
    /// The record as it came, for sinks it passes through to.
    pub record: Rc<str>,
}

/// One row at a sink.
#[derive(Clone, Debug, PartialEq)]
pub struct OutRow {
    /// Values of the sink's columns; where records pass through, of the columns that are read anyway.
    pub values: Vec<Value>,
    /// The record that stands for the row where records pass through.
    pub record: Option<Rc<str>>,
    /// TRUE for the delete of an upsert sink; only its key columns count.
    pub delete: bool,
}

/// A row that went to the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRow {
    /// Node that gave it up.
    pub node: NodeId,
    /// Why.
    pub code: ErrorCode,
    /// Partition of the record; of rows an operator made, 0.
    pub partition: u32,
    /// Position of the record.
    pub offset: i64,
}

/// What a run of the plan gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OracleResult {
    /// Rows of each sink in the order they appear.
    pub sinks: Vec<Vec<OutRow>>,
    /// Dead letters, late rows under `dead_letter` included.
    pub dead: Vec<DeadRow>,
    /// Late rows per node, as (partition, offset).
    pub late: BTreeMap<u16, Vec<(u32, i64)>>,
}

impl OracleResult {
    /// The last row of each identity (the values of `columns`) at a sink, deletes removed, by the text of the identity.
    pub fn last_rows(&self, sink: usize, columns: &[usize]) -> BTreeMap<String, Vec<Value>> {
        let mut last = BTreeMap::new();
        for row in &self.sinks[sink] {
            let identity = key_text(columns.iter().map(|c| &row.values[*c]));
            if row.delete {
                last.remove(&identity);
            } else {
                last.insert(identity, row.values.clone());
            }
        }
        last
    }
}

/// A row on an edge of the graph.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) values: Vec<Value>,
    pub(super) weight: i8,
    pub(super) event_time: Option<i64>,
    pub(super) wm_own: i64,
    pub(super) timestamp_ms: i64,
    pub(super) partition: u32,
    pub(super) offset: i64,
    /// What orders the row among those of its relation; see [`Place`].
    pub(super) order: Order,
    /// An aggregate ordered it.
    pub(super) made: bool,
    /// Bounds of the window the row is a result of.
    pub(super) window: Option<(i64, i64)>,
    /// The record the row is; empty for a row an operator made.
    pub(super) record: Rc<str>,
}

/// One group of one window.
#[derive(Default)]
struct Cell {
    keys: Vec<Value>,
    rows: Group,
    /// Order of the group's first row.
    first_seen: Order,
    /// The row that stands for the group downstream.
    emitted: Option<Vec<Value>>,
    /// Latest event time of its rows.
    touched: Option<i64>,
}

/// State of one node.
#[derive(Default)]
struct NodeState {
    /// Groups by (window start, key text); without a window the start is 0.
    cells: BTreeMap<(i64, String), Cell>,
    /// Operator watermark.
    watermark: i64,
    /// What it tells its consumers.
    forwarded: i64,
    /// Rows a Limit has let through.
    passed: u64,
    /// Rows made so far, their offsets.
    made: i64,
    /// Rows of which EVERY has not told yet, by when it does, window start and key.
    untold: BTreeMap<(i64, i64, String), Vec<Flow>>,
    /// Rows a Materialize holds, by their key.
    keyed: BTreeMap<String, Keyed>,
    /// What an Unnest has numbered.
    numbered: Numbered,
    /// The last row an Upsert has seen, by its key.
    upserted: BTreeMap<String, Upserted>,
    /// Rows a Sort holds, by the time that releases them.
    waiting: BTreeMap<i64, Vec<Flow>>,
}

struct Run<'p> {
    plan: &'p AppPlan,
    nodes: Vec<NodeState>,
    /// Watermark of each partition of each source; partitions are known from the start.
    partitions: BTreeMap<(u16, u32), i64>,
    records: BTreeMap<(u16, u32), u64>,
    /// Keys an upsert sink has written and not deleted.
    written: Vec<BTreeMap<String, ()>>,
    result: OracleResult,
}

/// Runs the plan over the feed, whose order is the order of processing.
pub fn run(plan: &AppPlan, feed: &[FeedRow]) -> OracleResult {
    let mut run = Run {
        plan,
        nodes: plan
            .nodes
            .iter()
            .map(|_| NodeState { watermark: WM_NONE, forwarded: WM_NONE, ..NodeState::default() })
            .collect(),
        partitions: feed.iter().map(|r| ((r.source.0, r.partition), WM_NONE)).collect(),
        records: BTreeMap::new(),
        written: plan.sinks.iter().map(|_| BTreeMap::new()).collect(),
        result: OracleResult { sinks: vec![Vec::new(); plan.sinks.len()], ..OracleResult::default() },
    };
    for (at, source) in plan.sources.iter().enumerate() {
        if source.connector == SourceConnector::OneRow {
            let row = FeedRow {
                source: SourceId(at as u16),
                partition: 0,
                offset: 0,
                values: Vec::new(),
                timestamp_ms: None,
                record: "".into(),
            };
            run.record(&row);
        }
    }
    for row in feed {
        run.record(row);
    }
    run.partitions.values_mut().for_each(|wm| *wm = WM_END);
    run.step(&BTreeMap::new(), true);
    run.result
}

impl Run<'_> {
    /// One record: through the graph, then its watermark.
    fn record(&mut self, record: &FeedRow) {
        let source = &self.plan.sources[record.source.index()];
        let place = (record.source.0, record.partition);
        let seen = self.records.entry(place).or_insert(0);
        if source.max_records.is_some_and(|most| *seen >= most) {
            return;
        }
        *seen += 1;
        let scans: Vec<usize> = (0..self.plan.nodes.len())
            .filter(|i| matches!(self.plan.nodes[*i].kind, NodeKind::Scan { source } if source == record.source))
            .collect();
        let missing = source.read.iter().zip(&record.values).any(|(column, v)| column.not_null && v.is_null());
        let times = source.event_time.as_ref().map(|spec| event_time(spec, record));
        let refused = if missing { Some(ErrorCode::NullInNotNull) } else { times.and_then(Result::err) };
        if let Some(code) = refused {
            self.bury(scans[0], code, record.partition, record.offset);
            return;
        }
        let (event_time, advances) = times.and_then(Result::ok).map_or((None, false), |(t, a)| (Some(t), a));
        let wm_own = self.partitions.get(&place).copied().unwrap_or(WM_NONE);
        let row = Flow {
            values: record.values.clone(),
            weight: 1,
            event_time,
            wm_own,
            timestamp_ms: record.timestamp_ms.unwrap_or(0),
            partition: record.partition,
            offset: record.offset,
            order: (record.offset, Through::default(), (record.source.0, record.partition, 0)),
            made: false,
            window: None,
            record: Rc::clone(&record.record),
        };
        self.step(&scans.iter().map(|s| (*s, vec![row.clone()])).collect(), false);
        if let (Some(t), true, Some(spec)) = (event_time, advances, &source.event_time) {
            let wm = self.partitions.entry(place).or_insert(WM_NONE);
            *wm = (*wm).max(t.saturating_sub(spec.bound_ns));
            self.step(&BTreeMap::new(), true);
        }
    }

    fn bury(&mut self, node: usize, code: ErrorCode, partition: u32, offset: i64) {
        self.result.dead.push(DeadRow { node: NodeId(node as u16), code, partition, offset });
    }

    /// Rows enter at `entering`; with `watermarks`, every node's watermark follows its inputs and windows fire. Nodes
    /// stand in topological order, so one pass is enough, and rows a step emits reach the next node before the step.
    fn step(&mut self, entering: &BTreeMap<usize, Vec<Flow>>, watermarks: bool) {
        let plan = self.plan;
        let mut out: Vec<Vec<Flow>> = vec![Vec::new(); plan.nodes.len()];
        for (at, node) in plan.nodes.iter().enumerate() {
            let mut given = entering.get(&at).cloned().unwrap_or_default();
            for input in &node.inputs {
                for row in out[input.index()].clone() {
                    self.push(at, node, row, &mut given);
                }
            }
            if let NodeKind::Sink { sink, .. } = &node.kind {
                let rows = std::mem::take(&mut given);
                self.write(*sink, rows);
            }
            if watermarks {
                self.advance(at, node, &mut given);
            }
            out[at] = given;
        }
    }

    fn push(&mut self, at: usize, node: &Node, row: Flow, given: &mut Vec<Flow>) {
        match &node.kind {
            NodeKind::Scan { .. } => {}
            NodeKind::Filter { predicate } => match eval(predicate, &as_row(&row)) {
                Ok(Value::Bool(true)) => given.push(row),
                Ok(_) => {}
                Err(e) => self.bury(at, e.code, row.partition, row.offset),
            },
            NodeKind::Project { exprs, event_time } => {
                self.project(at, exprs, event_time.as_ref(), row, given);
            }
            NodeKind::Limit { rows } => {
                if self.nodes[at].passed < *rows {
                    self.nodes[at].passed += 1;
                    given.push(row);
                }
            }
            NodeKind::Union | NodeKind::Combine(_) | NodeKind::Exchange { .. } | NodeKind::Sink { .. } => {
                given.push(row)
            }
            NodeKind::Unnest(spec) => match taken_apart(spec, &row) {
                Some(rows) => given.extend(self.nodes[at].numbered.number(rows)),
                None => self.bury(at, ErrorCode::Cast, row.partition, row.offset),
            },
            NodeKind::Over(_) => self.nodes[at].waiting.entry(WM_END).or_default().push(row),
            NodeKind::Join(_) | NodeKind::Subqueries(_) => {
                unreachable!("the compiler gives no plan of an app that has them: see Compiled::cannot_run")
            }
            NodeKind::Amend(_) => unreachable!("the oracle is not asked about UPDATE and DELETE"),
            NodeKind::Aggregate(spec) => self.aggregate(at, spec, row, given),
            NodeKind::Values { rows } => {
                for (offset, exprs) in (0..).zip(rows) {
                    let made = Flow { offset, order: (offset, Through::default(), row.order.2), ..row.clone() };
                    self.project(at, exprs, None, made, given);
                }
            }
            NodeKind::Upsert { key, deleted, .. } => {
                let text = key_text(key.iter().map(|k| &row.values[*k]));
                let ends = deleted.is_some_and(|column| row.values[column] == Value::Bool(true));
                self.nodes[at].upserted.entry(text).or_default().take(row, ends, given);
            }
            NodeKind::Events => given.extend(Some(row).filter(|row| row.weight > 0)),
            NodeKind::Materialize { key } => {
                let text = key_text(key.iter().map(|k| &row.values[*k]));
                self.nodes[at].keyed.entry(text).or_default().take(row, given);
            }
            NodeKind::Sort(spec) => {
                let end = row.event_time.filter(|_| spec.per_window).map_or(WM_END, |t| t + 1);
                self.nodes[at].waiting.entry(end).or_default().push(row);
            }
        }
    }

    fn project(&mut self, at: usize, exprs: &[Expr], time: Option<&Expr>, row: Flow, given: &mut Vec<Flow>) {
        let input = as_row(&row);
        let values: Result<Vec<Value>, _> = exprs.iter().map(|e| eval(e, &input)).collect();
        let time = time.map(|e| eval(e, &input)).transpose();
        let (values, time) = match (values, time) {
            (Ok(values), Ok(time)) => (values, time),
            (Err(e), _) | (_, Err(e)) => return self.bury(at, e.code, row.partition, row.offset),
        };
        let mut row = Flow { values, ..row };
        if let Some(time) = time {
            let ns = match time {
                Value::Timestamp(t) => Some(t),
                Value::Int(ms) => ms.checked_mul(NS_PER_MS),
                _ => None,
            };
            let inside = |t: i64| row.window.is_none_or(|(start, end)| (start..end).contains(&t));
            let Some(ns) = ns.filter(|t| inside(*t)) else {
                return self.bury(at, ErrorCode::EventTime, row.partition, row.offset);
            };
            if row.window.is_none() && row.wm_own != WM_NONE && ns < row.wm_own {
                self.result.late.entry(at as u16).or_default().push((row.partition, row.offset));
                return;
            }
            row.event_time = Some(ns);
        }
        given.push(row);
    }

    fn aggregate(&mut self, at: usize, spec: &AggregateSpec, row: Flow, given: &mut Vec<Flow>) {
        let time = row.event_time.unwrap_or(row.timestamp_ms.saturating_mul(NS_PER_MS));
        // Start of each window that holds the row and is open to it, and when that closes.
        let mut windows = vec![(0, i64::MAX)];
        if let Some(window) = spec.window {
            windows = starts(window.kind, time)
                .into_iter()
                .map(|start| (start, start.saturating_add(window.kind.size_ns()).saturating_add(window.lateness_ns)))
                .filter(|(_, close)| row.wm_own == WM_NONE || *close > row.wm_own)
                .collect();
            if windows.is_empty() {
                self.result.late.entry(at as u16).or_default().push((row.partition, row.offset));
                if window.late == LateStrategy::DeadLetter {
                    self.bury(at, ErrorCode::Late, row.partition, row.offset);
                }
                return;
            }
        }
        let keys = key_text(spec.keys.iter().map(|k| &row.values[*k]));
        if let Emit::Every(every) = spec.emit {
            let tick = time.max(row.wm_own).div_euclid(every).saturating_add(1).saturating_mul(every);
            for (start, close) in windows {
                let id = (tick.min(close), start, keys.clone());
                self.nodes[at].untold.entry(id).or_default().push(row.clone());
            }
            return;
        }
        self.begin_anew(at, spec, &row);
        for (start, _) in windows {
            self.fold(at, spec, start, &row);
            if spec.emit == Emit::Changes {
                self.emit_and_clear(at, spec, (start, keys.clone()), Some(&row), given);
            }
        }
    }

    /// `state.ttl`: a row that comes long after the last of its group forgets them.
    fn begin_anew(&mut self, at: usize, spec: &AggregateSpec, row: &Flow) {
        let Some(ttl) = spec.ttl_ns else { return };
        let id = (0, key_text(spec.keys.iter().map(|k| &row.values[*k])));
        let time = row.event_time.unwrap_or(row.timestamp_ms.saturating_mul(NS_PER_MS));
        let is_over = |cell: &Cell| cell.touched.is_some_and(|t| t.saturating_add(ttl) <= time.max(row.wm_own));
        if self.nodes[at].cells.get(&id).is_some_and(is_over) {
            self.nodes[at].cells.remove(&id);
        }
    }

    /// EVERY: what is due is told once per group, however many rows changed it.
    fn tell(&mut self, at: usize, spec: &AggregateSpec, watermark: i64, given: &mut Vec<Flow>) {
        while let Some(first) = self.nodes[at].untold.first_entry().filter(|first| first.key().0 <= watermark) {
            let ((due, start, keys), rows) = first.remove_entry();
            rows.iter().for_each(|row| self.fold(at, spec, start, row));
            let from = given.len();
            self.emit_and_clear(at, spec, (start, keys), None, given);
            for row in &mut given[from..] {
                row.order.0 = due;
                row.event_time = row.event_time.or(Some(due.saturating_sub(1)));
            }
        }
    }

    fn emit_and_clear(
        &mut self,
        at: usize,
        spec: &AggregateSpec,
        id: (i64, String),
        cause: Option<&Flow>,
        given: &mut Vec<Flow>,
    ) {
        self.emit(at, spec, &id, cause, given);
        if self.nodes[at].cells.get(&id).is_some_and(|c| c.rows.is_empty()) && !spec.keys.is_empty() {
            self.nodes[at].cells.remove(&id);
        }
    }

    /// A row goes to its group of the window that begins at `start`.
    fn fold(&mut self, at: usize, spec: &AggregateSpec, start: i64, row: &Flow) {
        let keys: Vec<Value> = spec.keys.iter().map(|k| row.values[*k].clone()).collect();
        let seen = row.order;
        let cell = self.nodes[at].cells.entry((start, key_text(keys.iter()))).or_insert_with(|| Cell {
            keys,
            first_seen: seen,
            ..Cell::default()
        });
        cell.first_seen = cell.first_seen.min(seen);
        let place = Place { time: row.event_time.unwrap_or(0), order: row.order, made: row.made };
        let time = row.event_time.unwrap_or(row.timestamp_ms.saturating_mul(NS_PER_MS));
        cell.touched = cell.touched.max(Some(time));
        cell.rows.change(&row.values, place, row.weight);
    }

    /// One row (a pair, when downstream retracts) for a group, or the retraction of an emptied one.
    fn emit(
        &mut self,
        at: usize,
        spec: &AggregateSpec,
        id: &(i64, String),
        cause: Option<&Flow>,
        given: &mut Vec<Flow>,
    ) {
        let state = &mut self.nodes[at];
        let offset = state.made;
        let forwarded = state.forwarded;
        let Some(cell) = state.cells.get_mut(id) else { return };
        let bounds = spec.window.map(|w| {
            let size_ns = w.kind.size_ns();
            (id.0, id.0.saturating_add(size_ns))
        });
        let mut values = cell.keys.clone();
        let mut lost = None;
        for call in &spec.aggregates {
            match cell.rows.aggregate(call, &spec.input) {
                Ok(value) => values.push(value),
                Err(e) => lost = lost.or(Some(e.code)),
            }
        }
        if let Some((start, end)) = bounds {
            values.extend([start, end].map(|t| Value::Int(t.div_euclid(NS_PER_MS))));
        }
        let gone = cell.rows.is_empty() && (!spec.keys.is_empty() || spec.window.is_some());
        let old = cell.emitted.take().filter(|_| spec.retract);
        // A group that cannot be emitted leaves the relation: what stood for it before is not its result.
        let gone = gone || lost.is_some();
        cell.emitted = (!gone).then(|| values.clone());
        state.made += 1;
        let end = bounds.map_or(WM_END, |(_, end)| end);
        let order = cause.map_or_else(|| behind(end, cell.first_seen), |c| c.order);
        let row = |values: Vec<Value>, weight: i8| Flow {
            values,
            weight,
            event_time: bounds.map(|(_, end)| end.saturating_sub(1)).or(cause.and_then(|c| c.event_time)),
            wm_own: forwarded,
            timestamp_ms: cause.map_or(0, |c| c.timestamp_ms),
            partition: 0,
            offset,
            order,
            made: cause.is_none_or(|c| c.made),
            window: bounds,
            record: "".into(),
        };
        given.extend(old.map(|values| row(values, -1)));
        given.extend((!gone).then(|| row(values, 1)));
        if let Some(code) = lost {
            self.bury(at, code, 0, cause.map_or(offset, |c| c.offset));
        }
    }

    /// The node's watermark follows its inputs; windows that are over fire by their end, then by first-seen row.
    fn advance(&mut self, at: usize, node: &Node, given: &mut Vec<Flow>) {
        let input = match &node.kind {
            NodeKind::Scan { source } => {
                let of_source = self.partitions.iter().filter(|((s, _), _)| *s == source.0).map(|(_, wm)| *wm);
                of_source.min().unwrap_or(if self.at_end() { WM_END } else { WM_NONE })
            }
            _ => node.inputs.iter().map(|i| self.nodes[i.index()].forwarded).min().unwrap_or(WM_END),
        };
        if input <= self.nodes[at].watermark {
            return;
        }
        self.nodes[at].watermark = input;
        let mut held = 0;
        match &node.kind {
            NodeKind::Aggregate(spec) => {
                held = spec.window.map_or(0, |w| w.lateness_ns);
                match spec.emit {
                    Emit::Final => self.fire(at, spec, input, given),
                    Emit::Every(_) => self.tell(at, spec, input, given),
                    Emit::Changes => {}
                }
            }
            NodeKind::Project { event_time: Some(_), .. } => held = self.window_size(node),
            NodeKind::Sort(spec) => {
                while let Some(first) = self.nodes[at].waiting.first_entry().filter(|e| *e.key() <= input) {
                    given.extend(sorted(spec, &node.schema, first.remove()));
                }
            }
            // As-if order is known when nothing comes any more; until then the node says nothing of time.
            NodeKind::Over(_) if input != WM_END => return,
            NodeKind::Over(spec) => {
                let rows = self.nodes[at].waiting.remove(&WM_END).unwrap_or_default();
                let below =
                    node.inputs.first().map(|i| &*self.plan.nodes[i.index()].schema).cloned().unwrap_or_default();
                for made in over::computed(spec, &below, rows) {
                    match made {
                        Ok(row) => given.push(row),
                        Err((code, row)) => self.bury(at, code, row.partition, row.offset),
                    }
                }
            }
            _ => {}
        }
        let end = input == WM_END;
        self.nodes[at].forwarded = if end || input == WM_NONE { input } else { input.saturating_sub(held) };
    }

    fn at_end(&self) -> bool {
        self.partitions.values().all(|wm| *wm == WM_END)
    }

    /// Size of the window the node's rows are results of, 0 for none.
    fn window_size(&self, node: &Node) -> i64 {
        let Some(input) = node.inputs.first() else { return 0 };
        let before = &self.plan.nodes[input.index()];
        match &before.kind {
            NodeKind::Aggregate(AggregateSpec { window: Some(w), .. }) => w.kind.size_ns(),
            _ => self.window_size(before),
        }
    }

    fn fire(&mut self, at: usize, spec: &AggregateSpec, watermark: i64, given: &mut Vec<Flow>) {
        let over = |start: i64| match spec.window {
            None => watermark == WM_END,
            Some(w) => {
                let size_ns = w.kind.size_ns();
                watermark == WM_END || start.saturating_add(size_ns).saturating_add(w.lateness_ns) <= watermark
            }
        };
        if watermark == WM_END && spec.window.is_none() && spec.keys.is_empty() {
            self.nodes[at].cells.entry((0, String::new())).or_default();
        }
        let cells = &self.nodes[at].cells;
        let mut ids: Vec<_> =
            cells.iter().filter(|((s, _), _)| over(*s)).map(|(id, c)| (id.0, c.first_seen, id.clone())).collect();
        ids.sort();
        for (_, _, id) in ids {
            self.emit(at, spec, &id, None, given);
            self.nodes[at].cells.remove(&id);
        }
    }

    /// Rows reach a sink. An upsert sink writes, per key, what one step left of it.
    fn write(&mut self, sink: usize, rows: Vec<Flow>) {
        let plan = &self.plan.sinks[sink];
        if !plan.upsert {
            let rows = rows.into_iter().filter(|r| r.weight > 0);
            self.result.sinks[sink].extend(rows.map(|r| OutRow {
                values: r.values,
                record: plan.pass_through.then_some(r.record),
                delete: false,
            }));
            return;
        }
        let mut order: Vec<String> = Vec::new();
        let mut last: BTreeMap<String, OutRow> = BTreeMap::new();
        for row in rows {
            let key = key_text(plan.key.iter().map(|k| &row.values[*k]));
            if !last.contains_key(&key) {
                order.push(key.clone());
            }
            last.insert(key, OutRow { values: row.values, record: None, delete: row.weight < 0 });
        }
        for key in order {
            let Some(row) = last.remove(&key) else { continue };
            let known = if row.delete {
                self.written[sink].remove(&key).is_some()
            } else {
                self.written[sink].insert(key, ());
                true
            };
            if known {
                self.result.sinks[sink].push(row);
            }
        }
    }
}

fn as_row(row: &Flow) -> Row<'_> {
    Row {
        values: &row.values,
        timestamp_ms: row.timestamp_ms,
        event_time_ns: row.event_time,
        offset: row.offset,
        partition: row.partition,
    }
}

/// Event time and whether it advances the watermark; or why the record is bad.
fn event_time(spec: &EventTimeSpec, record: &FeedRow) -> Result<(i64, bool), ErrorCode> {
    let stamp = record.timestamp_ms.unwrap_or(0).saturating_mul(NS_PER_MS);
    match spec.field {
        TimeField::RecordTimestamp | TimeField::Header => Ok((stamp, true)),
        TimeField::Column(i) => match (nanoseconds(&record.values[i], &spec.format), spec.missing) {
            (Some(t), _) => Ok((t, true)),
            (None, MissingTime::Warn) => Ok((stamp, false)),
            (None, MissingTime::Error) => Err(ErrorCode::EventTime),
        },
    }
}

/// Starts of the windows that hold a time, ascending.
fn starts(kind: WindowKind, time: i64) -> Vec<i64> {
    let size = kind.size_ns();
    let slide = match kind {
        WindowKind::Hopping { slide_ns, .. } => slide_ns,
        WindowKind::Tumbling { .. } | WindowKind::Session { .. } => size,
    };
    let last = time.div_euclid(slide).saturating_mul(slide);
    let mut starts: Vec<i64> =
        (0..).map_while(|n| last.checked_sub(slide * n).filter(|start| start.saturating_add(size) > time)).collect();
    starts.reverse();
    starts
}

/// Text by which keys are told apart: equal numbers have equal text, NULLs are one key, NaNs are one key.
pub(super) fn key_text<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let part = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Int(_) | Value::Decimal { .. } => {
            let text = value.to_string();
            let lean = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            format!("n{lean}")
        }
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e38 => format!("n{:.0}", x + 0.0),
        Value::Float(x) => format!("n{x}"),
        Value::Str(s) | Value::Json(s) => format!("s{}:{s}", s.len()),
        other => format!("v{other}"),
    };
    values.map(part).collect::<Vec<_>>().join("|")
}
