//! Whole runs over real files with a shard that copies lines: what comes out, how runs end, what they report.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use velostream_exec::operator::{Msg, NodeCounters};
use velostream_exec::shard::{Demand, Envelope, Inbox, Outbox, PartitionProgress, Progress, ScanMark, Write};
use velostream_sql::plan::{
    Compression, DlqPlan, Failure, Format, Node, NodeKind, SinkConnector, SinkFormat, SinkPlan, SourceConnector,
    SourcePlan, StatementPlan,
};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Chunk, DataType, DlqId, EdgeId, Field, NodeId, Schema, SlabKind, SourcePoll, Span};

use super::*;
use crate::io::memory::{Retention, TopicBatch};
use crate::stop::StopReason;

/// Copies lines to sink 0. Lines with a `!` become dead letters, all on shard 0.
struct Copier {
    seed: ShardSeed,
    demanded: bool,
    ended: Vec<bool>,
    rows: u64,
    credits: u32,
    queue: VecDeque<Msg>,
    told_end: bool,
    ends: u16,
}

impl Copier {
    fn lines(&mut self, i: usize, poll: SourcePoll, out: &mut Outbox) {
        let (source, partition) = self.seed.owned[i];
        let mut chunk = Chunk::default();
        let mut consumed = 0;
        match poll {
            SourcePoll::End => {
                self.ended[i] = true;
                return;
            }
            SourcePoll::Pending | SourcePoll::Behind => return,
            SourcePoll::Slab(slab) => match &slab.kind {
                SlabKind::Records(records) => {
                    for (a, b) in records.iter().filter_map(|r| r.value) {
                        chunk.bytes.extend_from_slice(&slab.bytes[a as usize..b as usize]);
                        chunk.bytes.push(b'\n');
                        chunk.end_row();
                    }
                }
                SlabKind::Stream { at_end, .. } => {
                    for line in slab.bytes.as_slice().split_inclusive(|b| *b == b'\n') {
                        if *at_end || line.ends_with(b"\n") {
                            consumed += line.len();
                            chunk.bytes.extend_from_slice(line);
                            chunk.end_row();
                        }
                    }
                }
            },
        }
        self.rows += chunk.rows() as u64;
        out.demands.push(Demand { source, partition, consumed, grow: consumed == 0 });
        self.queue.push_back(Msg::Chunk(chunk));
    }

    fn take(&mut self, msg: Msg, out: &mut Outbox) {
        let Msg::Chunk(chunk) = msg else {
            self.ends += 1;
            return;
        };
        let (mut good, mut dead) = (Chunk::default(), Chunk::default());
        for i in 0..chunk.rows() {
            let target = if chunk.row(i).contains(&b'!') { &mut dead } else { &mut good };
            target.bytes.extend_from_slice(chunk.row(i));
            target.end_row();
        }
        out.writes.push(Write::Rows(0, good));
        out.writes.push(Write::Dead(0, dead));
    }
}

impl Turn for Copier {
    fn turn(&mut self, _now_ns: i64, inbox: &mut Inbox, out: &mut Outbox) -> Result<Progress, Fatal> {
        for (from, envelope) in std::mem::take(&mut inbox.mesh) {
            match envelope {
                Envelope::Credit(_, n) => self.credits += n,
                Envelope::Msg(edge, msg) => {
                    self.take(msg, out);
                    out.mesh.push((from, Envelope::Credit(edge, 1)));
                }
            }
        }
        if !std::mem::replace(&mut self.demanded, true) {
            let demand =
                |(source, partition): &_| Demand { source: *source, partition: *partition, consumed: 0, grow: false };
            out.demands.extend(self.seed.owned.iter().map(demand));
        }
        for (source, partition, poll) in std::mem::take(&mut inbox.polls) {
            let i = self.seed.owned.iter().position(|owned| *owned == (source, partition)).unwrap();
            self.lines(i, poll, out);
        }
        if !inbox.stop && !self.told_end && self.ended.iter().all(|ended| *ended) {
            self.told_end = true;
            self.queue.push_back(Msg::Watermark(WM_END));
        }
        while self.seed.id.0 == 0 || self.credits > 0 {
            let Some(msg) = self.queue.pop_front() else { break };
            if self.seed.id.0 == 0 {
                self.take(msg, out);
            } else {
                self.credits -= 1;
                out.mesh.push((ShardId(0), Envelope::Msg(EdgeId(0), msg)));
            }
        }
        out.low = if self.ended.iter().all(|ended| *ended) { WM_END } else { WM_NONE };
        let done = self.told_end && self.queue.is_empty() && (self.seed.id.0 != 0 || self.ends == self.seed.shards);
        if done && self.seed.id.0 == 0 {
            out.writes.push(Write::Finish(0));
        }
        Ok(if done { Progress::Done } else { Progress::Waiting })
    }

    fn counters(&self) -> Vec<NodeCounters> {
        vec![NodeCounters { rows_in: self.rows, late: 1, ..NodeCounters::default() }]
    }

    fn credit_waits(&self) -> u64 {
        0
    }

    fn scan_marks(&mut self) -> Vec<ScanMark> {
        Vec::new()
    }

    fn partitions(&self) -> Vec<PartitionProgress> {
        let owned = self.seed.owned.iter().zip(&self.ended);
        let progress = |((source, partition), ended): (&(SourceId, PartitionId), &bool)| PartitionProgress {
            source: *source,
            partition: *partition,
            next_offset: 0,
            position: 0,
            max_event_time: WM_NONE,
            rows: self.rows,
            ended: *ended,
        };
        owned.map(progress).collect()
    }
}

fn copier(seed: ShardSeed) -> Result<Box<dyn Turn>, Fatal> {
    let (owned, credits) = (seed.owned.len(), seed.credits);
    Ok(Box::new(Copier {
        seed,
        demanded: false,
        ended: vec![false; owned],
        rows: 0,
        credits,
        queue: VecDeque::new(),
        told_end: false,
        ends: 0,
    }))
}

fn plan(source: SourceConnector, sink: SinkConnector, dlq: PathBuf) -> AppPlan {
    let schema = Arc::new(Schema::new(vec![Field::new("line", DataType::String)]));
    AppPlan {
        memory_limit: None,
        name: "copy".into(),
        sources: vec![SourcePlan {
            name: "lines".into(),
            connector: source,
            format: Format::JsonLines,
            schema: Arc::clone(&schema),
            declared: true,
            read: Vec::new(),
            event_time: None,
            table_key: None,
            needs_raw: false,
            max_record_bytes: 1 << 20,
            max_records: None,
            dlq: DlqId(0),
            load: Default::default(),
        }],
        nodes: vec![Node {
            id: NodeId(0),
            kind: NodeKind::Scan { source: SourceId(0) },
            inputs: Vec::new(),
            schema: Arc::clone(&schema),
            changelog: false,
            statement: 0,
            dlq: DlqId(0),
        }],
        sinks: vec![SinkPlan {
            carried: Default::default(),
            metrics: Vec::new(),
            name: "copy".into(),
            connector: sink,
            format: SinkFormat::Csv { delimiter: b',', header: true },
            schema,
            key: Vec::new(),
            upsert: false,
            envelope: false,
            ordered: false,
            pass_through: false,
            statement: 0,
        }],
        dlqs: vec![DlqPlan {
            name: "lines".into(),
            path: dlq,
            topic: None,
            enabled: true,
            failure: Failure::DeadLetter,
            edge: EdgeId(1),
        }],
        statements: vec![StatementPlan { name: "copy".into(), is_table: false, span: Span::default() }],
        edges: 2,
    }
}

fn files(pattern: PathBuf) -> SourceConnector {
    SourceConnector::File { pattern, sequential: false, watch: false, poll_interval_ms: 1 }
}

fn to_file(path: PathBuf) -> SinkConnector {
    SinkConnector::File { path, append: false, compression: Compression::None }
}

fn options() -> RunOptions {
    RunOptions { clock: RunClock::Fixed(0), ..RunOptions::default() }
}

/// A folder `in` with four files of `rows` lines; gives all lines that are not dead, sorted.
fn input(dir: &Path, rows: usize) -> Vec<String> {
    std::fs::create_dir(dir.join("in")).unwrap();
    let mut all = Vec::new();
    for file in 0..4 {
        let lines: Vec<String> =
            (0..rows).map(|n| format!("{file},{n}{}", if n % 100 == 7 { "!" } else { "" })).collect();
        std::fs::write(dir.join(format!("in/{file}.csv")), lines.join("\n") + "\n").unwrap();
        all.extend(lines.into_iter().filter(|line| !line.contains('!')));
    }
    all.sort();
    all
}

fn sorted_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(text.is_empty() || text.ends_with('\n'));
    lines.sort();
    lines
}

#[test]
fn files_to_a_file_on_any_layout() {
    for backend in [BackendChoice::Threads, BackendChoice::Auto] {
        for shards in [None, Some(1), Some(2), Some(4), Some(7)] {
            let dir = tempfile::tempdir().unwrap();
            let mut expect = input(dir.path(), 20_000);
            let out = dir.path().join("out.csv");
            let plan = plan(files(dir.path().join("in")), to_file(out.clone()), dir.path().join("dlq.jsonl"));
            let opts = RunOptions { backend, shards, ..options() };
            let report = run_with(plan, opts, &StopHandle::new(), &copier).unwrap();
            expect.push("line".into());
            assert_eq!(sorted_lines(&out), expect, "{shards:?}");
            assert_eq!(sorted_lines(&dir.path().join("dlq.jsonl")).len(), 800);
            assert_eq!((report.rows_in, report.rows_out, report.rows_late), (80_000, 79_200, u64::from(report.shards)));
            assert!(!report.interrupted && report.sinks[0].finished && report.sources[0].ended);
            assert_eq!((report.sources[0].partitions, report.partitions.len()), (4, 4));
            assert!(report.latency.samples > 0 && report.cpu_s > 0.0 && report.rows_per_second > 0.0);
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["sources"][0]["rows"], 80_000);
            let statement = json["statements"][0].as_object().unwrap();
            let keys: BTreeSet<&str> = statement.keys().map(String::as_str).collect();
            let counted = [
                "dead_lettered",
                "division_by_zero",
                "dropped",
                "groups_expired",
                "late",
                "late_by_partition",
                "name",
                "not_finite",
                "past_buffer",
                "rounded",
            ];
            assert_eq!(keys, BTreeSet::from(counted), "what went amiss and nothing else");
        }
    }
}

#[test]
fn a_stop_leaves_whole_rows_in_a_partial_file() {
    let dir = tempfile::tempdir().unwrap();
    input(dir.path(), 50_000);
    let out = dir.path().join("out.csv");
    let plan = plan(files(dir.path().join("in")), to_file(out.clone()), dir.path().join("dlq.jsonl"));
    let stop = StopHandle::new();
    stop.request();
    let report = run_with(plan, RunOptions { shards: Some(2), ..options() }, &stop, &copier).unwrap();
    // Stopped before or while reading: either way nothing is cut and nothing is called complete.
    assert!(report.interrupted && !out.exists());
    assert_eq!((report.stopped, report.sinks[0].finished), (Some(StopReason::Caller), false));
    let partial = report.sinks[0].partial.clone().unwrap();
    assert_eq!(partial, dir.path().join("out.csv.partial"));
    assert_eq!(
        sorted_lines(&partial).len() as u64,
        report.rows_out + u64::from(report.rows_out > 0 || partial.exists())
    );
}

#[test]
fn a_followed_run_writes_in_place_until_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("in.csv"), dir.path().join("out.csv"));
    std::fs::write(&source, "a\nb\n").unwrap();
    let stop = StopHandle::new();
    let (seen, appended, stopper) = (out.clone(), source.clone(), stop.clone());
    let mut more = true;
    let observer = move |_: Event<'_>| match std::fs::read_to_string(&seen).unwrap_or_default().as_str() {
        "line\na\nb\n" if std::mem::take(&mut more) => {
            use std::io::Write;
            std::fs::OpenOptions::new().append(true).open(&appended).unwrap().write_all(b"c\n").unwrap();
        }
        "line\na\nb\nc\n" => stopper.request(),
        _ => {}
    };
    let plan = plan(files(source), to_file(out.clone()), dir.path().join("dlq.jsonl"));
    let options = RunOptions { follow: true, observer: Box::new(observer), ..options() };
    let report = run_with(plan, options, &stop, &copier).unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "line\na\nb\nc\n");
    assert!(report.follow && report.interrupted && report.sinks[0].partial.is_none());
}

#[test]
fn topics_run_until_they_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::default();
    let input = topics.open("in", 3, Retention::All);
    let writer = {
        let input = Arc::clone(&input);
        std::thread::spawn(move || {
            let mut batch = TopicBatch::default();
            for n in 0..3000u32 {
                batch.push(None, Some(n.to_string().as_bytes()), 0);
                if n % 10 == 9 {
                    input.append(n / 10 % 3, &mut batch);
                }
            }
            input.close();
        })
    };
    let sink = SinkConnector::Memory { topic: "out".into(), partitions: 2 };
    let plan = plan(SourceConnector::Memory { topic: "in".into() }, sink, dir.path().join("dlq.jsonl"));
    let opts = RunOptions { shards: Some(2), topics: topics.clone(), ..options() };
    let report = run_with(plan, opts, &StopHandle::new(), &copier).unwrap();
    writer.join().unwrap();
    let out = topics.get("out").unwrap();
    assert_eq!((report.rows_out, out.end_offset(0) + out.end_offset(1)), (3000, 3000));
}

#[test]
fn what_cannot_run_says_so_before_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.csv"), "a\n").unwrap();
    let run = |source: &str, shards, change: &dyn Fn(&mut AppPlan)| {
        let mut plan =
            plan(files(dir.path().join(source)), to_file(dir.path().join("out.csv")), dir.path().join("dlq"));
        change(&mut plan);
        let options = RunOptions { shards, ..options() };
        let message = run_with(plan, options, &StopHandle::new(), &copier).unwrap_err().message;
        assert!(!dir.path().join("out.csv").exists());
        message
    };
    let same = |_: &mut AppPlan| {};
    assert!(run("im.csv", None, &same).contains("did you mean in.csv"));
    assert!(run("in.csv", Some(0), &same).contains("--shards 0"));
    assert!(run("in.csv", None, &|plan| plan.sinks.push(plan.sinks[0].clone())).contains("two sinks"));
    let no_topic = |plan: &mut AppPlan| plan.sources[0].connector = SourceConnector::Memory { topic: "t".into() };
    assert!(run("in.csv", None, &no_topic).contains("topic t does not exist"));
}

#[test]
fn a_broken_input_ends_the_run_and_keeps_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    std::fs::write(dir.path().join("in/a.csv"), "a\nb\n").unwrap();
    std::fs::write(dir.path().join("in/b.csv.gz"), "no gzip").unwrap();
    let plan = plan(files(dir.path().join("in")), to_file(dir.path().join("out.csv")), dir.path().join("dlq"));
    let opts = RunOptions { shards: Some(2), ..options() };
    let error = run_with(plan, opts, &StopHandle::new(), &copier).unwrap_err();
    assert!(error.message.contains("b.csv.gz"), "{error}");
    assert!(!dir.path().join("out.csv").exists() && dir.path().join("out.csv.partial").exists());
}

#[test]
fn more_files_than_the_usual_limit() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for n in 0..1500 {
        std::fs::write(dir.path().join(format!("in/{n}.csv")), "a\n").unwrap();
    }
    let plan = plan(files(dir.path().join("in")), to_file(dir.path().join("out.csv")), dir.path().join("dlq"));
    let report = run_with(plan, RunOptions { shards: Some(2), ..options() }, &StopHandle::new(), &copier).unwrap();
    assert_eq!((report.rows_out, report.sources[0].partitions), (1500, 1500));
}
