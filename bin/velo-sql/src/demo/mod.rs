//! `velo-sql demo`: a generated market feed through in-memory topics into three chained jobs, in one process.
//!
//! ```text
//! producer thread -> topic market_data -> [priced -> ohlc_1s -> volume_alerts] -> topics -> board -> view
//! ```
//! The jobs are `app.sql`, compiled and run as `velo-sql run` would; only the feed and the view are the demo's own. It
//! ends by itself, or at INT or TERM: the topic is closed, so windows close as at the end of any input. At the end the
//! bars are compared with what the producer counted: every trade must be in exactly one of them.

mod board;
mod feed;
mod producer;
mod view;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use velostream_runtime::clock::RunClock;
use velostream_runtime::io::memory::{Retention, Topic, Topics};
use velostream_runtime::job::{self, Event, RunOptions, RunReport};
use velostream_runtime::stop::StopHandle;
use velostream_sql::plan::{AppPlan, SinkFormat};
use velostream_types::Clock;
use velostream_types::time::NS_PER_MS;

use self::board::Board;
use self::feed::{Feed, SYMBOLS};
use self::producer::{Made, Producer, Until};
use self::view::View;
use crate::args::{Compile, DemoArgs};
use crate::{app, figures};

/// The jobs.
const APP: &str = include_str!("app.sql");
/// Partitions of the feed's topic.
const PARTITIONS: u32 = 4;
/// Start of a feed that must be the same every time: 2025-01-02 14:30:00 UTC.
const START_MS: i64 = 1_735_828_200_000;

/// Runs the demo; exit code 1 when a trade is missing or counted twice.
pub fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let topics = Topics::default();
    let topic = topics.open("market_data", PARTITIONS, Retention::UntilRead);
    let plan = plan(&topics)?;
    let asked = StopHandle::new();
    asked.install_signals().context("cannot listen to INT and TERM")?;
    let stage = Rc::new(RefCell::new(Stage {
        board: Board::new(&topics),
        view: View::new(args.records.is_some(), asked.clone()),
        failure: None,
    }));
    let options = RunOptions {
        shards: args.shards,
        backend: args.runtime.into(),
        topics,
        observer: observer(&stage, &asked),
        ..RunOptions::default()
    };
    let (made, report) = play(args, plan, options, &topic, &asked)?;
    let mut stage = stage.borrow_mut();
    let Stage { board, view, failure } = &mut *stage;
    if let Some(error) = failure.take() {
        return Err(error);
    }
    board.read()?;
    view.finish(board)?;
    check(&made, board, &report)
}

/// What the observer works on.
struct Stage {
    board: Board,
    view: View,
    failure: Option<anyhow::Error>,
}

fn plan(topics: &Topics) -> Result<AppPlan> {
    let args = Compile { set: Vec::new(), brokers: None, follow: false, strict: false };
    let source = app::immediate("<demo>", APP.to_owned());
    let app = app::compile(&args, &source, SinkFormat::JsonLines, topics);
    app::show(&app.diagnostics, &source);
    app.plan.context("the demo's own SQL does not compile; this is a bug")
}

/// Shows what the jobs said, every few milliseconds.
fn observer(stage: &Rc<RefCell<Stage>>, asked: &StopHandle) -> Box<dyn FnMut(Event<'_>)> {
    let (stage, asked) = (Rc::clone(stage), asked.clone());
    Box::new(move |event| {
        let Event::Progress(at) = event else { return };
        let mut stage = stage.borrow_mut();
        let Stage { board, view, failure } = &mut *stage;
        let shown = board.read().map_err(anyhow::Error::new).and_then(|()| view.refresh(board, &at));
        if let Err(error) = shown {
            asked.request();
            failure.get_or_insert(error);
        }
    })
}

/// Runs the producer beside the jobs.
fn play(
    args: &DemoArgs,
    plan: AppPlan,
    options: RunOptions,
    topic: &Arc<Topic>,
    asked: &StopHandle,
) -> Result<(Made, RunReport)> {
    let (start_ms, until) = match args.records {
        Some(records) => (START_MS, Until::Records(records)),
        None => (RunClock::System.now_ns() / NS_PER_MS, Until::Elapsed(Duration::from_secs(args.seconds))),
    };
    let producer = Producer::open(Feed::new(args.seed, args.rate, start_ms), until, topic);
    let (run, is_running) = mpsc::channel();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || producer.run(asked, &is_running));
        // The jobs end with their input, never by a signal: the producer hears it and closes the topic.
        let report = job::run(plan, options, &StopHandle::new());
        drop(run);
        let made = producer.join().map_err(|_| anyhow!("the producer panicked"))?;
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
