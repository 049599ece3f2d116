//! `velo-sql demo`: a generated market feed through Kafka topics and three chained jobs.
//!
//! ```text
//! producer thread -> topic market_data -> [priced -> ohlc_1s -> volume_alerts] -> topics -> tail -> board -> view
//! ```
//! The topics are those of a broker started in this process, or of brokers the user names (`cluster`). The jobs are
//! `app.sql`, one app compiled and run as `velo-sql run` would: inside it a job reads the one before it directly. Only
//! the feed and the view are the demo's own.
//!
//! In real time the jobs follow the feed, and the producer ends them once they have read it all; with a number of
//! records the feed is whole before they start, and they run to its end. Either way windows close as at the end of any
//! input. At the end the bars are compared with what the producer counted: every trade must be in exactly one of them.

mod board;
mod cluster;
mod feed;
mod producer;
mod tail;
mod view;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use velostream_kafka::Kafka;
use velostream_runtime::clock::RunClock;
use velostream_runtime::io::memory::Topics;
use velostream_runtime::job::{self, Begin, Event, KafkaOptions, RunOptions, RunReport};
use velostream_runtime::stop::StopHandle;
use velostream_sql::plan::{AppPlan, SinkFormat};
use velostream_types::Clock;
use velostream_types::time::NS_PER_MS;
use velostream_types::topic::StartAt;

use self::board::Board;
use self::cluster::{Cluster, GROUP};
use self::feed::{Feed, SYMBOLS};
use self::producer::{Jobs, Made, Producer, Until};
use self::tail::Tail;
use self::view::View;
use crate::args::{Compile, DemoArgs};
use crate::{app, figures};

/// The jobs.
const APP: &str = include_str!("app.sql");
/// Start of a feed that must be the same every time: 2025-01-02 14:30:00 UTC.
const START_MS: i64 = 1_735_828_200_000;

/// Runs the demo; exit code 1 when a trade is missing or counted twice.
pub fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let asked = StopHandle::new();
    asked.install_signals().context("cannot listen to INT and TERM")?;
    // Goes last: the clients are gone before the broker is.
    let cluster = Cluster::start(args.brokers.as_deref(), args.records.is_some())?;
    let plan = plan(&cluster)?;
    eprintln!("topics on {}: {}", cluster.place(), cluster.topics().join(", "));
    let topics = board::TOPICS.map(|(topic, partitions)| (cluster.name(topic), partitions));
    let stage = Rc::new(RefCell::new(Stage {
        tail: Tail::open(&cluster.client, &cluster.name(GROUP), &topics)?,
        board: Board::new(),
        view: View::new(args.records.is_some(), asked.clone()),
        is_started: false,
        failure: None,
    }));
    let jobs = Jobs { asked, stop: StopHandle::new(), read: Arc::new(AtomicU64::new(0)) };
    let options = RunOptions {
        shards: args.shards,
        backend: args.runtime.into(),
        observer: observer(&stage, &jobs),
        broker: Some(Arc::new(Kafka)),
        kafka: KafkaOptions {
            group: Some(cluster.name(GROUP)),
            instance: None,
            begin: Begin::At(StartAt::Earliest),
            until_end: args.records.is_some(),
            drain: true,
        },
        ..RunOptions::default()
    };
    let (made, report) = play(args, plan, options, &cluster, &jobs)?;
    let mut stage = stage.borrow_mut();
    if let Some(error) = stage.failure.take() {
        return Err(error);
    }
    let Stage { tail, board, view, .. } = &mut *stage;
    tail.read_all(&mut |at, row| board.take(at, row))?;
    view.finish(board)?;
    check(&made, board, &report)
}

/// What the observer works on.
struct Stage {
    tail: Tail,
    board: Board,
    view: View,
    is_started: bool,
    failure: Option<anyhow::Error>,
}

impl Stage {
    fn hear(&mut self, event: Event<'_>, jobs: &Jobs) -> Result<()> {
        match event {
            Event::Started { .. } if self.is_started => bail!(
                "the brokers gave the demo's partitions to its group anew while it ran, so what was read cannot be \
                 counted; run it again"
            ),
            Event::Started { .. } => self.is_started = true,
            Event::Windows(_) | Event::Tables(_) => {}
            Event::Notice(text) => self.view.notice(text)?,
            Event::Partitions(_) => {}
            Event::Progress(at) => {
                jobs.read.store(at.rows_in, Ordering::Relaxed);
                for text in self.tail.notices() {
                    self.view.notice(&text)?;
                }
                let board = &mut self.board;
                self.tail.read(&mut |at, row| board.take(at, row))?;
                self.view.refresh(board, &at)?;
            }
        }
        Ok(())
    }
}

fn plan(cluster: &Cluster) -> Result<AppPlan> {
    let brokers = Some(cluster.client.brokers().to_owned());
    let args = Compile { set: cluster.properties(), brokers, follow: false, strict: false };
    let source = app::immediate("<demo>", APP.to_owned());
    let app = app::compile(&args, &source, SinkFormat::JsonLines, &Topics::default());
    app::show(&app.diagnostics, &source);
    app.plan.context("the demo's own SQL does not compile; this is a bug")
}

/// Shows what the jobs said, every few milliseconds; what goes wrong with that ends everything.
fn observer(stage: &Rc<RefCell<Stage>>, jobs: &Jobs) -> Box<dyn FnMut(Event<'_>)> {
    let (stage, jobs) = (Rc::clone(stage), jobs.clone());
    Box::new(move |event| {
        let mut stage = stage.borrow_mut();
        if stage.failure.is_none()
            && let Err(error) = stage.hear(event, &jobs)
        {
            jobs.asked.request();
            jobs.stop.request();
            stage.failure = Some(error);
        }
    })
}

/// Runs the producer beside the jobs, or before them.
fn play(
    args: &DemoArgs,
    plan: AppPlan,
    options: RunOptions,
    cluster: &Cluster,
    jobs: &Jobs,
) -> Result<(Made, RunReport)> {
    let (start_ms, until) = match args.records {
        Some(records) => (START_MS, Until::Records(records)),
        None => (RunClock::System.now_ns() / NS_PER_MS, Until::Elapsed(Duration::from_secs(args.seconds))),
    };
    let feed = Feed::new(args.seed, args.rate, start_ms);
    let topic = cluster.name(cluster::FEED.0);
    let (ready, is_ready) = mpsc::channel();
    let (run, is_running) = mpsc::channel();
    std::thread::scope(|scope| {
        let produce = move || {
            let made = Producer::open(feed, until, &cluster.producer(), &topic)
                .and_then(|producer| producer.run(jobs, &ready, &is_running));
            // Jobs that run to the end of what is there need nobody to end them.
            if matches!(until, Until::Elapsed(_)) {
                jobs.stop.request();
            }
            made
        };
        let producer = scope.spawn(produce);
        // Without a ready producer there is nothing to run, and its error is the one to tell.
        let report = is_ready.recv().ok().map(|()| job::run(plan, options, &jobs.stop));
        drop(run);
        let made = producer.join().map_err(|_| anyhow!("the producer panicked"))??;
        let report = report.ok_or_else(|| anyhow!("the producer ended without a word; this is a bug"))?;
        Ok((made, report?))
    })
}

/// Compares the bars with what was made, and says how it went.
fn check(made: &Made, board: &Board, report: &RunReport) -> Result<ExitCode> {
    let (bars, counted) = board.total();
    for ((symbol, _), (made, (_, bar))) in SYMBOLS.iter().zip(made.by_symbol.iter().zip(&board.whole)) {
        if *made != bar.sum {
            let RunReport { rows_in, rows_late, rows_dead_lettered, .. } = report;
            bail!(
                "the bars of {symbol} do not add up: made {made:?}, in bars {:?} ({rows_in} rows read, {rows_late} late, \
                 {rows_dead_lettered} dead-lettered); this is a bug",
                bar.sum
            );
        }
    }
    if board.unreadable > 0 {
        bail!("{} of the jobs cannot be read; this is a bug", figures::rows(board.unreadable));
    }
    let cancelled = made.trades - counted.trades;
    let (all, kept, cancelled) =
        (figures::count(made.trades), figures::count(counted.trades), figures::count(cancelled));
    crate::explain::print(&format!(
        "{all} trades made, {cancelled} cancelled, {kept} counted in {} bars: shares and notional values agree\n",
        figures::count(bars)
    ))?;
    let shards = if report.shards == 1 { "1 shard".to_owned() } else { format!("{} shards", report.shards) };
    eprintln!(
        "{} through {} jobs in {}: {} rows/s, latency p50 {}, p99 {}; {shards} on {} ({})",
        figures::rows(report.rows_in),
        report.statements.len(),
        figures::seconds(report.elapsed_s),
        figures::rate(report.rows_per_second),
        figures::micros(report.latency.p50_us),
        figures::micros(report.latency.p99_us),
        report.backend,
        report.backend_reason,
    );
    Ok(ExitCode::SUCCESS)
}
