//! `velo-sql run`: compiles an app, runs it to the end of its inputs or to a signal, and says what it did.
//!
//! With `--output-format json` exactly one document is printed, on the stream the app's rows do not use; everything a
//! person would read on standard error is in it.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use velostream_kafka::Kafka;
use velostream_runtime::clock::RunClock;
use velostream_runtime::io::memory::Topics;
use velostream_runtime::job::{self, Event, RunOptions, RunReport};
use velostream_runtime::stop::{StopHandle, StopReason};
use velostream_sql::diag::to_json;
use velostream_sql::plan::{SinkConnector, SinkFormat};

use crate::app::{self, App, Source};
use crate::args::{FormatArg, RunArgs, SummaryArg};
use crate::explain;
use crate::explain_live::{self, Live};
use crate::kafka;
use crate::loading::Loading;
use crate::partitions::Partitions;
use crate::progress::{self, Progress};
use crate::state;
use crate::summary::Summary;

/// Runs the app.
pub fn run(args: RunArgs) -> Result<ExitCode> {
    let mut machine =
        Machine { wanted: args.output_format == SummaryArg::Json, on_stderr: false, findings: Vec::new() };
    let outcome = compile_and_run(&args, &mut machine);
    match outcome {
        Err(error) if machine.wanted => {
            machine.print(json!({ "status": "failed", "error": format!("{error:#}") }))?;
            Ok(ExitCode::FAILURE)
        }
        outcome => outcome,
    }
}

/// What is told to programs, and on which stream.
struct Machine {
    wanted: bool,
    on_stderr: bool,
    findings: Vec<Value>,
}

impl Machine {
    /// A warning that belongs to no place in the text: to people at once, to programs with the document.
    fn warn(&mut self, text: &str) {
        if self.wanted {
            self.findings.push(json!({ "severity": "warning", "message": text }));
        } else {
            eprintln!("warning: {text}");
        }
    }

    /// Prints the document with the findings added.
    fn print(&self, mut document: Value) -> Result<()> {
        if let Value::Object(object) = &mut document {
            object.insert("diagnostics".into(), Value::Array(self.findings.clone()));
        }
        let text = format!("{document}\n");
        if self.on_stderr {
            eprint!("{text}");
            return Ok(());
        }
        explain::print(&text)
    }
}

fn compile_and_run(args: &RunArgs, machine: &mut Machine) -> Result<ExitCode> {
    let source = app::read(&args.sql)?;
    let topics = Topics::default();
    let state = args.state.open()?;
    let known = state.as_ref().map(state::Opened::types).unwrap_or_default();
    let app = app::compile_knowing(&args.compile, &source, stdout_format(args), &topics, known);
    tell(&app, &source, machine);
    let Some(plan) = app.plan else {
        let verdict = app::verdict(&app.diagnostics);
        if machine.wanted {
            machine.print(json!({ "status": "invalid", "error": format!("{}: {verdict}", source.name) }))?;
        } else {
            eprintln!("{}: {verdict}", source.name);
        }
        return Ok(ExitCode::FAILURE);
    };
    let writes_stdout = plan.sinks.iter().any(|sink| sink.connector == SinkConnector::Stdout);
    machine.on_stderr = writes_stdout;
    if app.explained {
        explain::print(&explain::text(&plan, &app.origins, app.verbose))?;
        if machine.wanted {
            machine.on_stderr = true;
            machine.print(json!({ "status": "completed", "explained": true }))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if plan.statements.is_empty() {
        bail!("{} holds no query: there is nothing to run", source.name);
    }
    for text in kafka::settings_to_tell(&plan) {
        machine.warn(&text);
    }
    let state = match state {
        Some(state) => Some(state.options(&source.text, app.types, |text| machine.warn(text))?),
        None => None,
    };
    let stop = StopHandle::new();
    stop.install_signals().context("cannot listen to INT and TERM")?;
    if machine.wanted && args.live.explain_live {
        machine.warn("--explain-live prints nothing with --output-format json: the document has \"windows\"");
    }
    let progress = Progress::new(!machine.wanted);
    let notices = machine.wanted.then(Notices::default);
    let options = RunOptions { state, ..options(args, topics, progress.clone(), notices.clone()) };
    let outcome = job::run(plan.clone(), options, &stop);
    progress.clear();
    for text in notices.iter().flat_map(|notices| notices.take()) {
        machine.warn(&text);
    }
    let report = outcome?;
    let code = exit_code(&report);
    let summary = Summary::new(&plan, &report);
    if machine.wanted {
        machine.print(summary.json()?)?
    } else {
        if args.live.explain_live {
            explain_live::lines(&report.windows).iter().for_each(|line| eprintln!("{line}"));
        }
        eprint!("{}", summary.text())
    }
    Ok(ExitCode::from(code))
}

/// Findings go to people at once, to programs with the document.
fn tell(app: &App, source: &Source, machine: &mut Machine) {
    if machine.wanted {
        machine.findings = app.diagnostics.iter().map(|d| to_json(d, &source.name, &source.text)).collect();
    } else {
        app::show(&app.diagnostics, source);
    }
}

/// Encoding of rows on standard output.
fn stdout_format(args: &RunArgs) -> SinkFormat {
    match args.format {
        Some(FormatArg::Table) => SinkFormat::Table,
        Some(FormatArg::Json) => SinkFormat::JsonLines,
        Some(FormatArg::Csv) => SinkFormat::Csv { delimiter: b',', header: true },
        None if std::io::stdout().is_terminal() => SinkFormat::Table,
        None => SinkFormat::JsonLines,
    }
}

/// What the run had to say, kept for the document.
type Notices = Rc<RefCell<Vec<String>>>;

fn options(args: &RunArgs, topics: Topics, progress: Progress, notices: Option<Notices>) -> RunOptions {
    let quiet = notices.is_some();
    let stdout = progress::stdout(&progress);
    let follow = args.compile.follow;
    let mut partitions = Partitions::default();
    let mut live = Live::default();
    let mut loading = Loading::default();
    let observer = move |event: Event<'_>| match event {
        Event::Started { backend, reason, shards, .. } if follow && !quiet => {
            let shards = if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
            eprintln!("following on {shards}, {} ({reason}); INT or TERM stops", backend.name());
        }
        Event::Started { .. } => {}
        Event::Progress(at) => {
            if let Some(block) = live.block(at.elapsed_s).filter(|_| !progress.is_drawn()) {
                progress.line(&block);
            }
            let more: Vec<String> = loading.lines().iter().chain(live.lines()).cloned().collect();
            progress.show(&at, &mut partitions, &more);
        }
        Event::Tables(at) => {
            let done = loading.take(at);
            done.iter().filter(|_| !quiet).for_each(|text| progress.line(text));
        }
        Event::Windows(at) => live.take(at),
        Event::Partitions(at) => partitions.stand(at),
        Event::Notice(text) => match &notices {
            Some(notices) => notices.borrow_mut().push(text.to_owned()),
            None => progress.line(text),
        },
    };
    let engine = &args.engine;
    RunOptions {
        shards: engine.shards,
        cores: engine.cores.as_ref().map(|cores| cores.0.clone()),
        backend: engine.runtime.into(),
        profile: engine.latency_profile.into(),
        batch_rows: engine.batch_rows as usize,
        follow,
        clock: engine.now.map_or(RunClock::System, |at| RunClock::Fixed(at.0)),
        credits: engine.credits,
        topics,
        stdout,
        observer: Box::new(observer),
        broker: Some(Arc::new(Kafka)),
        kafka: args.kafka.options(),
        state: None,
        explain_every: (args.live.explain_live && !quiet).then_some(explain_live::ASK_EVERY),
    }
}

/// A run over bounded inputs that a signal cut short is no success; a followed one has no other end.
fn exit_code(report: &RunReport) -> u8 {
    match report.stopped {
        Some(StopReason::Signal(signal)) if report.interrupted && !report.follow => {
            u8::try_from(128 + signal).unwrap_or(1)
        }
        _ => 0,
    }
}
