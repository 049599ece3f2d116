//! What a run did, as lines for people and as one document for programs.
//!
//! Nothing that was not written is left unsaid: late, dropped and dead-lettered rows are named with the statement or
//! source they belong to and with the file their bytes are in.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use velostream_runtime::job::{LateReport, RunReport, SinkReport, SourceReport, StatementReport};
use velostream_runtime::stop::StopReason;
use velostream_sql::plan::{AppPlan, DlqPlan, NodeKind, SinkConnector, SinkPlan};

use crate::figures::{count, memory, micros, rate, rows, seconds};
use crate::state;

/// A finished run and the plan it ran.
pub struct Summary<'a> {
    plan: &'a AppPlan,
    report: &'a RunReport,
}

impl<'a> Summary<'a> {
    /// The summary of `plan`'s run.
    pub fn new(plan: &'a AppPlan, report: &'a RunReport) -> Summary<'a> {
        Summary { plan, report }
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let checkpoints = self.report.checkpoints.as_ref();
        if let Some(checkpoints) = checkpoints.filter(|checkpoints| checkpoints.was_complete) {
            return state::lines(checkpoints);
        }
        let mut out = String::new();
        for (source, plan) in self.report.sources.iter().zip(&self.plan.sources) {
            // Writing to a String cannot fail, here and below.
            let table = self.report.tables.iter().find(|table| table.name == source.name);
            let loaded = match table {
                Some(table) if table.loaded => format!("; {} loaded in {}", rows(table.rows), seconds(table.seconds)),
                Some(_) => "; not loaded, so what asks it was not read".to_owned(),
                None => String::new(),
            };
            let _ = writeln!(out, "{}{loaded}", source_line(source, &self.plan.dlqs[plan.dlq.index()]));
        }
        for (at, statement) in self.report.statements.iter().enumerate() {
            if let Some(line) = self.statement_line(at, statement) {
                let _ = writeln!(out, "{line}");
            }
        }
        out.push_str(&self.totals());
        out.push_str(&self.ending());
        out.push_str(&checkpoints.map_or_else(String::new, state::lines));
        out
    }

    fn statement_line(&self, at: usize, statement: &StatementReport) -> Option<String> {
        let counters = &statement.counters;
        let sinks = self.plan.sinks.iter().zip(&self.report.sinks).filter(|(plan, _)| plan.statement == at);
        let mut parts: Vec<String> = sinks.map(|(plan, sink)| written(plan, sink)).collect();
        if counters.late > 0 {
            parts.push(format!("{} late{}", rows(counters.late), late_places(&statement.late_by_partition)));
        }
        if counters.dead_lettered > 0 {
            let place = self.dlq(at).map_or_else(String::new, place);
            parts.push(format!("{} dead-lettered{place}", rows(counters.dead_lettered)));
        }
        let counted = [
            (counters.dropped, "dropped"),
            (counters.division_by_zero, "with a division by zero, NULL instead"),
            (counters.rounded, "with a value rounded to its declared scale"),
            (counters.not_finite, "with NaN or infinity, written as NULL"),
        ];
        parts.extend(counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", rows(*n))));
        if counters.past_buffer > 0 {
            let asked = count(counters.past_buffer);
            parts.push(format!("LAG or LEAD went {asked} times past rows that the buffer still held"));
        }
        if counters.expired > 0 {
            let groups = if counters.expired == 1 { "group" } else { "groups" };
            parts.push(format!("{} {groups} freed by state.ttl", count(counters.expired)));
        }
        (!parts.is_empty()).then(|| format!("{}: {}", statement.name, parts.join("; ")))
    }

    /// Dead letters of a statement's own operators.
    fn dlq(&self, statement: usize) -> Option<&'a DlqPlan> {
        let mut own = self.plan.nodes.iter().filter(|node| node.statement == statement);
        let node = own.find(|node| !matches!(node.kind, NodeKind::Scan { .. }))?;
        self.plan.dlqs.get(node.dlq.index())
    }

    fn totals(&self) -> String {
        let r = self.report;
        let mut out = format!(
            "{} in, {} out, {} late, {} dead-lettered in {}: {} rows/s, {} per CPU second\n",
            rows(r.rows_in),
            count(r.rows_out),
            count(r.rows_late),
            count(r.rows_dead_lettered),
            seconds(r.elapsed_s),
            rate(r.rows_per_second),
            rate(r.rows_per_cpu_second),
        );
        if r.latency.samples > 0 {
            let l = &r.latency;
            let (p50, p99, p999, max) = (micros(l.p50_us), micros(l.p99_us), micros(l.p999_us), micros(l.max_us));
            let _ = write!(out, "latency p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}; ");
        }
        if let Some(bytes) = r.peak_rss_bytes {
            let _ = write!(out, "peak memory {}; ", memory(bytes));
        }
        let shards = if r.shards == 1 { "1 shard".to_owned() } else { format!("{} shards", r.shards) };
        let _ = writeln!(out, "{shards} on {} ({})", r.backend, r.backend_reason);
        out
    }

    /// How the run ended, unless it came to the end of its inputs.
    fn ending(&self) -> String {
        let by = match self.report.stopped {
            None => return String::new(),
            Some(StopReason::OutputClosed) => {
                return "the reader of standard output went away; rows it did not take are lost\n".to_owned();
            }
            Some(_) if !self.report.interrupted => return String::new(),
            Some(StopReason::Signal(signal)) => signal_name(signal),
            Some(StopReason::Caller) => "by request".to_owned(),
        };
        if self.report.follow {
            return format!("stopped {by}; no open window was emitted\n");
        }
        let mut out = format!(
            "interrupted {by} after {}, before the end of the input; no open window was emitted\n",
            rows(self.report.rows_in)
        );
        for (sink, partial) in self.report.sinks.iter().filter_map(|sink| Some((sink, sink.partial.as_ref()?))) {
            let _ = writeln!(out, "the {} written so far are in {}", rows(sink.rows), partial.display());
        }
        out
    }

    /// The document for programs.
    pub fn json(&self) -> Result<Value> {
        let mut document = json!({ "status": if self.report.interrupted { "interrupted" } else { "completed" } });
        let report = serde_json::to_value(self.report).context("the report is no JSON")?;
        if let (Value::Object(document), Value::Object(report)) = (&mut document, report) {
            document.extend(report);
            document.insert("dead_letters".into(), self.dead_letters());
        }
        if let Some(Value::Array(sinks)) = document.get_mut("sinks") {
            for (sink, plan) in sinks.iter_mut().zip(&self.plan.sinks) {
                sink["to"] = target(plan).into();
            }
        }
        Ok(document)
    }

    /// Destinations that got something.
    fn dead_letters(&self) -> Value {
        let mut sums = vec![0u64; self.plan.dlqs.len()];
        for (node, counters) in self.plan.nodes.iter().zip(&self.report.nodes) {
            if let Some(sum) = sums.get_mut(node.dlq.index()) {
                *sum += counters.dead_lettered;
            }
        }
        let got = self.plan.dlqs.iter().zip(sums).filter(|(_, rows)| *rows > 0);
        let entry = |(dlq, rows): (&DlqPlan, u64)| {
            let topic = dlq.topic.as_ref().filter(|_| dlq.enabled).map(|kafka| kafka.topic.as_str());
            let path = (dlq.enabled && topic.is_none()).then(|| dlq.path.display().to_string());
            json!({ "name": dlq.name, "rows": rows, "path": path, "topic": topic })
        };
        Value::Array(got.map(entry).collect())
    }
}

/// ` (trades-0: 3, trades-1: 4)`, the most first; nothing where that is told by the count alone.
fn late_places(late: &[LateReport]) -> String {
    const SHOWN: usize = 4;
    let mut late: Vec<&LateReport> = late.iter().collect();
    late.sort_by_key(|l| std::cmp::Reverse(l.rows));
    let one = |l: &&LateReport| match l.partition {
        Some(partition) => format!("{}-{partition}: {}", l.source, count(l.rows)),
        None => format!("of several partitions: {}", count(l.rows)),
    };
    let mut places: Vec<String> = late.iter().take(SHOWN).map(one).collect();
    if late.len() > SHOWN {
        let rest = late[SHOWN..].iter().map(|l| l.rows).sum();
        places.push(format!("{} more partitions: {}", late.len() - SHOWN, count(rest)));
    }
    if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
}

fn source_line(source: &SourceReport, dlq: &DlqPlan) -> String {
    let mut line = format!("{}: {} in", source.name, rows(source.rows));
    if source.partitions > 1 {
        let _ = write!(line, " from {} partitions", source.partitions);
    }
    if source.dead_lettered > 0 {
        let _ = write!(line, "; {} bad{}", count(source.dead_lettered), place(dlq));
    }
    if source.without_event_time > 0 {
        let _ = write!(line, "; {} without an event time, placed by their record", count(source.without_event_time));
    }
    if source.bad_watermarks > 0 {
        let _ = write!(line, "; {} watermark headers that are no time", count(source.bad_watermarks));
    }
    line
}

/// ` -> trades-dlq.jsonl`
fn place(dlq: &DlqPlan) -> String {
    match &dlq.topic {
        _ if !dlq.enabled => ", counted only".to_owned(),
        Some(kafka) => format!(" -> topic {}", kafka.topic),
        None => format!(" -> {}", dlq.path.display()),
    }
}

fn written(plan: &SinkPlan, sink: &SinkReport) -> String {
    format!("{} -> {}", rows(sink.rows), target(plan))
}

fn target(sink: &SinkPlan) -> String {
    match &sink.connector {
        SinkConnector::File { path, .. } => shown(path),
        SinkConnector::Stdout => "standard output".to_owned(),
        SinkConnector::Memory { topic, .. } => format!("topic {topic}"),
        SinkConnector::Kafka(kafka) => format!("topic {} on {}", kafka.topic, kafka.client.brokers()),
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn signal_name(signal: i32) -> String {
    match signal {
        2 => "by SIGINT".to_owned(),
        15 => "by SIGTERM".to_owned(),
        other => format!("by signal {other}"),
    }
}
