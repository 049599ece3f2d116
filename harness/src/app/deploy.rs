//! From the text of a query test to a finished job: what it reads and writes, compiling, running.
//!
//! [`wiring`] tells where sources come from before anything is there: the text is bound over a catalog that knows nothing
//! but data schemas, and only who asked for what is kept. [`compile`] then binds it over the published records, as
//! production would, and [`run`] runs the plan to the ends of its inputs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use velostream_runtime::backend::BackendChoice;
use velostream_runtime::catalog::FileCatalog;
use velostream_runtime::clock::RunClock;
use velostream_runtime::io::memory::Topics;
use velostream_runtime::job::{self, Begin, Event, KafkaOptions, RunOptions, RunReport};
use velostream_runtime::stop::StopHandle;
use velostream_sql::annotations::annotate;
use velostream_sql::diag::{Diagnostic, Severity};
use velostream_sql::endpoint::{Catalog, CatalogError, Endpoints, SinkSpec, SourceSpec, WithEntry};
use velostream_sql::plan::{AppPlan, SinkConnector, SinkFormat, SourceConnector};
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, Compiled};
use velostream_types::time::NS_PER_MS;
use velostream_types::topic::{Broker, StartAt};
use velostream_types::{Fatal, Schema, Span};

/// Brokers of sources that name none: nobody connects to it.
const EMBEDDED: &str = "embedded:9092";
/// Notices of a job that are kept.
const NOTICES: usize = 5;

/// An app's text and where it came from.
#[derive(Clone, Debug)]
pub struct App {
    /// As shown in messages.
    pub shown: String,
    /// The SQL.
    pub text: String,
    /// Folder relative paths resolve from.
    pub base_dir: PathBuf,
    /// Stem of the file.
    pub name: String,
}

/// Environment variables by name.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Where a source comes from.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Its name in the SQL.
    pub source: String,
    /// What its properties say.
    pub spec: SourceSpec,
}

/// Properties laid over the app's, strongest first.
pub fn settings<'s>(settings: impl Iterator<Item = (&'s str, &'s str)>) -> Vec<WithEntry> {
    let entry = |(key, value): (&str, &str)| WithEntry {
        key: key.to_owned(),
        key_span: Span::default(),
        value: value.to_owned(),
        value_span: Span::default(),
    };
    settings.map(entry).collect()
}

/// Remembers who was asked for.
struct Recording<'e> {
    inner: Resolver<'e>,
    wires: Vec<Wire>,
}

impl Endpoints for Recording<'_> {
    fn source(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<SourceSpec, Vec<Diagnostic>> {
        let spec = self.inner.source(name, span, with)?;
        if !self.wires.iter().any(|wire| wire.source == name) {
            self.wires.push(Wire { source: name.to_owned(), spec: spec.clone() });
        }
        Ok(spec)
    }

    fn sink(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<Option<SinkSpec>, Vec<Diagnostic>> {
        self.inner.sink(name, span, with)
    }
}

/// Knows no topic's columns; files are looked at as ever.
struct Unpublished(FileCatalog);

impl Catalog for Unpublished {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        match &spec.connector {
            SourceConnector::Kafka(_) => Ok(Schema::new(Vec::new())),
            _ => self.0.infer(spec),
        }
    }

    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError> {
        self.0.check(spec)
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        self.0.has_one_header(spec)
    }
}

fn resolver<'e>(app: &App, env: Env<'e>, settings: &[WithEntry]) -> Resolver<'e> {
    Resolver::new(app.base_dir.clone(), env, settings.to_vec(), false)
        .with_brokers(Some(EMBEDDED.to_owned()))
        .with_text(&app.shown, &app.text)
}

fn bind_options(app: &App) -> BindOptions {
    BindOptions {
        app_name: app.name.clone(),
        base_dir: app.base_dir.clone(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: true,
        strict: false,
    }
}

/// The sources of an app's text, as far as it can be told before their records are there.
pub fn wiring(app: &App, env: Env<'_>, settings: &[WithEntry]) -> Vec<Wire> {
    let mut endpoints = Recording { inner: resolver(app, env, settings), wires: Vec::new() };
    let mut catalog = Unpublished(FileCatalog::with_topics(Topics::default()));
    velostream_sql::compile(&app.text, &bind_options(app), &mut endpoints, &mut catalog);
    endpoints.wires
}

/// What became of a text over published records.
#[derive(Debug)]
pub struct Bound {
    /// The plan; `None` with an error among the findings.
    pub plan: Option<AppPlan>,
    /// Findings in the order of the text.
    pub findings: Vec<Diagnostic>,
}

/// Binds the text over what is in the broker.
pub fn compile(app: &App, broker: Arc<dyn Broker>, env: Env<'_>, settings: &[WithEntry]) -> Bound {
    let mut catalog =
        FileCatalog::with_topics(Topics::default()).with_broker(broker, Box::new(|_: &str, _: Option<Duration>| false));
    bind(app, &mut catalog, env, settings)
}

/// Binds the text over what a catalog knows.
pub fn bind(app: &App, catalog: &mut dyn Catalog, env: Env<'_>, settings: &[WithEntry]) -> Bound {
    let mut endpoints = resolver(app, env, settings);
    let compiled = velostream_sql::compile(&app.text, &bind_options(app), &mut endpoints, catalog);
    let Compiled { mut plan, mut blocked, diagnostics: mut findings, cannot_run, .. } = compiled;
    findings.extend(cannot_run);
    findings.extend(endpoints.finish());
    findings.extend(annotate(plan.as_mut().or(blocked.as_mut()), &app.text, env));
    findings.sort_by_key(|d| d.primary.as_ref().map(|place| (place.origin.is_some(), place.span.start)));
    let failed = findings.iter().any(|d| d.severity == Severity::Error);
    Bound { plan: plan.filter(|_| !failed), findings }
}

/// How a test's job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// Shards.
    pub shards: u16,
    /// Time of day, ms.
    pub now_ms: i64,
    /// After so long it is stopped.
    pub timeout: Duration,
}

/// How a job ended.
#[derive(Debug)]
pub enum JobEnd {
    /// All inputs were read to their ends, all outputs are flushed.
    Done(Box<RunReport>),
    /// It was stopped after its time.
    TimedOut(Box<RunReport>),
    /// It could not go on.
    Failed(Fatal),
    /// The whole run was stopped.
    Stopped,
}

/// Runs a plan to the ends that its inputs have now. `folder` gets dead letters that have no topic; `read` hears now and
/// then how many rows were read. Answers the first notices of the job, too.
pub fn run(
    mut plan: AppPlan,
    broker: Arc<dyn Broker>,
    options: JobOptions,
    folder: &Path,
    stop: &StopHandle,
    read: &(dyn Fn(u64) + Sync),
) -> (JobEnd, Vec<String>) {
    for dlq in plan.dlqs.iter_mut().filter(|dlq| dlq.topic.is_none()) {
        dlq.path = folder.join(dlq.path.file_name().unwrap_or_default());
    }
    let (done_in, done) = std::sync::mpsc::channel::<()>();
    let own = StopHandle::new();
    let rows_in = Arc::new(AtomicU64::new(0));
    let notices = Arc::new(Mutex::new(Vec::new()));
    let (counted, noted) = (Arc::clone(&rows_in), Arc::clone(&notices));
    let run_options = RunOptions {
        shards: Some(options.shards),
        cores: Some(Vec::new()),
        backend: BackendChoice::Threads,
        clock: RunClock::Fixed(options.now_ms.saturating_mul(NS_PER_MS)),
        broker: Some(broker),
        kafka: KafkaOptions { begin: Begin::At(StartAt::Earliest), until_end: true, ..KafkaOptions::default() },
        observer: Box::new(move |event| match event {
            Event::Progress(snapshot) => counted.store(snapshot.rows_in, Ordering::Relaxed),
            Event::Notice(notice) => {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                if noted.len() < NOTICES {
                    noted.push(notice.to_owned());
                }
            }
            _ => {}
        }),
        ..RunOptions::default()
    };
    let (outcome, timed_out) = std::thread::scope(|scope| {
        let job = &own;
        let watched = move || watch(job, stop, &done, options.timeout, &|| read(rows_in.load(Ordering::Relaxed)));
        let watch = scope.spawn(watched);
        let outcome = job::run(plan, run_options, job);
        drop(done_in);
        (outcome, watch.join().unwrap_or(false))
    });
    let end = match outcome {
        _ if stop.reason().is_some() => JobEnd::Stopped,
        Err(fatal) => JobEnd::Failed(fatal),
        Ok(report) if timed_out => JobEnd::TimedOut(Box::new(report)),
        Ok(report) => JobEnd::Done(Box::new(report)),
    };
    let notices = std::mem::take(&mut *notices.lock().unwrap_or_else(PoisonError::into_inner));
    (end, notices)
}

/// Stops the job when its time is over or the whole run stops; TRUE in the first case. `look` is called meanwhile.
fn watch(
    job: &StopHandle,
    all: &StopHandle,
    done: &std::sync::mpsc::Receiver<()>,
    timeout: Duration,
    look: &dyn Fn(),
) -> bool {
    const LOOK: Duration = Duration::from_millis(20);
    let begun = velostream_runtime::clock::monotonic();
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            job.request();
            return true;
        }
        match done.recv_timeout(left.min(LOOK)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if all.reason().is_some() => {
                job.request();
                return false;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => look(),
            _ => return false,
        }
    }
}

/// Topics and files that the statement of this name writes: sinks in their order.
pub fn sinks_of<'p>(plan: &'p AppPlan, statement: &str) -> impl Iterator<Item = &'p velostream_sql::plan::SinkPlan> {
    let at = plan.statements.iter().position(|s| s.name == statement);
    plan.sinks.iter().filter(move |sink| Some(sink.statement) == at)
}

/// The statements of a plan whose sink would be standard output.
pub fn without_sink(plan: &AppPlan) -> Vec<String> {
    let to_stdout = plan.sinks.iter().filter(|sink| sink.connector == SinkConnector::Stdout);
    to_stdout.map(|sink| sink.name.clone()).collect()
}
