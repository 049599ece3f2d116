//! Runs the query tests of a spec, one after the other: publish the inputs, deploy the statement, wait for the ends of its
//! inputs, look at what it gave.
//!
//! Each test has topics of its own in one embedded broker. Everything waited for is a fact: inputs are appended before the
//! job begins, the job ends when it has read them and flushed what it made of them. The same spec and seed give the same
//! outcomes; only what is called `measured` differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use velostream_broker::Direct;
use velostream_kafka::Kafka;
use velostream_runtime::clock::monotonic;
use velostream_runtime::job::{MetricSeries, RunReport};
use velostream_runtime::stop::StopHandle;
use velostream_spec::assertion::{Assertion, MetricType};
use velostream_spec::check::{About, Context, DeadLetter, Facts, Fold, Memory, Series, fold};
use velostream_spec::generate::Generator;
use velostream_spec::outcome::Outcome;
use velostream_spec::report::{QueryReport, Status};
use velostream_spec::spec::{Endpoint, Input, InputFrom, QueryTest, Spec};
use velostream_sql::diag::{Diagnostic, Severity, render};
use velostream_sql::plan::{AppPlan, MetricKind, SinkConnector, SinkPlan, SourceConnector};
use velostream_types::topic::Broker;

use super::capture;
use super::deploy::{self, App, Bound, Env, JobEnd, JobOptions, Wire};
use super::local::Local;
use super::naming::{NameParts, test_topic};
use super::publish::{self, Encoding, LoadedSchema, Origin, Target, topic_of};
use super::renamed::Renamed;
use super::statements::{Deployed, deployed};

/// Code of the finding that a name is taken for a topic.
const TAKEN_FOR_A_TOPIC: &str = "W0503";
/// Records that tell the types of an input without any.
const SAMPLED: u64 = 10;
/// How long a query test may take when nobody says.
const TIMEOUT_MS: u64 = 30_000;

/// A spec, its app, and how it is run.
pub struct AppTest<'t> {
    /// The app.
    pub app: App,
    /// The spec.
    pub spec: &'t Spec,
    /// Data schemas.
    pub schemas: &'t [LoadedSchema],
    /// Seed of the generated records; none: those of the schemas.
    pub seed: Option<u64>,
    /// Time of day, ms.
    pub now_ms: i64,
    /// Of this run; part of the names of topics.
    pub run_id: String,
    /// Shards of each job.
    pub shards: u16,
    /// `--timeout-ms`.
    pub timeout_ms: Option<u64>,
    /// Only this query test.
    pub only: Option<String>,
    /// Inputs are published, and nothing else is done.
    pub publish_only: bool,
    /// Environment variables.
    pub env: Env<'t>,
    /// Folder for dead letters and other files of the run.
    pub scratch: PathBuf,
    /// Addresses of the broker where jobs go through the production client; none: by direct calls.
    pub production: Option<String>,
}

/// Where the records of a query are, for those that come after it.
#[derive(Clone)]
struct Given {
    local: Local,
    topic: String,
    records: u64,
}

/// What is known from one query to the next.
struct Session<'t> {
    test: &'t AppTest<'t>,
    direct: Direct,
    generator: Generator,
    given: BTreeMap<String, Given>,
}

/// A statement's output.
struct Sink {
    /// As messages name it.
    name: String,
    place: Place,
}

enum Place {
    Topic(String),
    File(PathBuf),
    /// Neither: nothing can be captured.
    Other,
}

/// Runs the tests; `tell` hears of each when it begins and when it ended.
pub fn run(
    test: &AppTest<'_>,
    direct: &Direct,
    stop: &StopHandle,
    tell: &mut dyn FnMut(&str, Option<&QueryReport>),
) -> Vec<QueryReport> {
    let schemas = test.schemas.iter().map(|loaded| &loaded.schema);
    let mut session = Session {
        test,
        direct: direct.clone(),
        generator: Generator::new(test.seed, test.now_ms, schemas),
        given: BTreeMap::new(),
    };
    let mut runs = Vec::new();
    let queries = test.spec.queries.iter().filter(|query| test.only.as_ref().is_none_or(|only| *only == query.name));
    for (number, query) in queries.enumerate() {
        if stop.reason().is_some() {
            break;
        }
        tell(&query.name, None);
        let begun = monotonic();
        let mut run = session.query(number, query, stop);
        run.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tell(&query.name, Some(&run));
        runs.push(run);
    }
    runs
}

impl Session<'_> {
    fn query(&mut self, number: usize, query: &QueryTest, stop: &StopHandle) -> QueryReport {
        let mut run = QueryReport { name: query.name.clone(), status: Status::Skipped, ..QueryReport::default() };
        // A name that is asked for is run whatever its spec says.
        if query.skip && self.test.only.is_none() {
            return run;
        }
        let ended = match self.test.publish_only {
            true => self.try_publish(number, query, &mut run),
            false => self.try_query(number, query, stop, &mut run),
        };
        match ended {
            Ok(()) if run.assertions.iter().all(|outcome| outcome.passed) => run.status = Status::Passed,
            Ok(()) => run.status = Status::Failed,
            Err(error) => (run.status, run.error) = (Status::Error, Some(error)),
        }
        run
    }

    /// Publishes the inputs that need no query to run first.
    fn try_publish(&mut self, number: usize, query: &QueryTest, run: &mut QueryReport) -> Result<(), String> {
        let deployed = deployed(&self.test.app.text, query)?;
        let app = App { text: deployed.text, ..self.test.app.clone() };
        let settings =
            deploy::settings(self.test.spec.config.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let wires = deploy::wiring(&app, self.test.env, &settings);
        let (previous, own) = query.inputs.iter().cloned().partition(|i| matches!(i.from, InputFrom::Previous(_)));
        let previous: Vec<Input> = previous;
        let left_out = |input: &Input| format!("\"{}\" takes over what a query gives, and none runs", input.source);
        run.warnings.extend(previous.iter().map(left_out));
        let local = self.local(number);
        self.publish(&QueryTest { inputs: own, ..query.clone() }, &wires, &local, run)
    }

    fn try_query(
        &mut self,
        number: usize,
        query: &QueryTest,
        stop: &StopHandle,
        run: &mut QueryReport,
    ) -> Result<(), String> {
        let deployed = deployed(&self.test.app.text, query)?;
        let app = App { text: deployed.text.clone(), ..self.test.app.clone() };
        let mut settings = deploy::settings(self.test.spec.config.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let wires = deploy::wiring(&app, self.test.env, &settings);
        let local = self.local(number);
        self.publish(query, &wires, &local, run)?;
        let local = self.with_samples(query, &wires, local)?;
        let broker: Arc<dyn Broker> = match &self.test.production {
            Some(bootstrap) => Arc::new(Renamed::new(Arc::new(Kafka), local.clone(), bootstrap.clone())),
            None => Arc::new(local.clone()),
        };
        let mut bound = deploy::compile(&app, Arc::clone(&broker), self.test.env, &settings);
        let unwritten = bound.plan.as_ref().map(deploy::without_sink).unwrap_or_default();
        if !unwritten.is_empty() {
            let more: Vec<(String, String)> = unwritten.iter().flat_map(|name| self.sink_of(query, name)).collect();
            settings.extend(deploy::settings(more.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
            bound = deploy::compile(&app, Arc::clone(&broker), self.test.env, &settings);
        }
        let plan = self.planned(&app, bound, run)?;
        let sinks: Vec<Sink> = deploy::sinks_of(&plan, &deployed.tested).map(sink_of).collect();
        remove_stale(&plan)?;
        let folder = self.test.scratch.join(format!("{number}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let letters: Vec<PathBuf> =
            plan.dlqs.iter().filter_map(|dlq| dlq.path.file_name()).map(|f| folder.join(f)).collect();
        let letter_topics: Vec<String> =
            plan.dlqs.iter().filter_map(|d| Some(d.topic.as_ref()?.topic.clone())).collect();
        let timeout_ms = query.timeout_ms.or(self.test.timeout_ms).or(self.test.spec.default_timeout_ms);
        let options = JobOptions {
            shards: self.test.shards,
            now_ms: self.test.now_ms,
            timeout: Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_MS)),
        };
        let before = memory();
        let report = match deploy::run(plan, broker, options, &folder, stop) {
            JobEnd::Done(report) => report,
            JobEnd::Failed(fatal) => return Err(format!("the job failed: {}", fatal.message)),
            JobEnd::Stopped => return Err("the run was stopped".to_owned()),
            JobEnd::TimedOut(report) => return Err(timed_out(&report, options.timeout)),
        };
        let dead = dead_letters(&local, &letter_topics, &letters)?;
        let grown = memory().zip(before).map(|(now, before)| Memory {
            peak_bytes: report.peak_rss_bytes.unwrap_or(now),
            growth_bytes: now as i64 - before as i64,
        });
        let judged = Judged { local: &local, sinks: &sinks, report: &report, dead: &dead, memory: grown };
        self.judge(query, &deployed, &wires, &judged, run)
    }

    /// Properties of a sink that the SQL says nothing of: what the spec says, else a topic of its name.
    fn sink_of(&self, query: &QueryTest, name: &str) -> Vec<(String, String)> {
        let of = |key: &str, value: String| (format!("{name}.{key}"), value);
        match &query.output {
            Some(Endpoint::File { path, .. }) => {
                let path = self.test.spec.folder.join(path);
                let path = std::path::absolute(&path).unwrap_or(path);
                vec![of("type", "file_sink".to_owned()), of("path", path.display().to_string())]
            }
            Some(Endpoint::Kafka { topic: Some(topic) }) => {
                vec![of("type", "kafka_sink".to_owned()), of("topic", topic.clone())]
            }
            Some(Endpoint::Kafka { topic: None }) | None => vec![of("type", "kafka_sink".to_owned())],
        }
    }

    /// The topics of a query test.
    fn local(&self, number: usize) -> Local {
        let naming = self.test.spec.topic_naming.clone();
        let run_id = format!("{}_{number}", self.test.run_id);
        let parts = NameParts::new(&naming, &run_id, self.test.now_ms / 1_000, self.test.env);
        let rename = move |topic: &str| test_topic(&naming, &parts, topic);
        Local::new(self.direct.clone(), Arc::new(rename), self.test.now_ms)
    }

    /// Makes the topics that the statement reads, and fills those of the test's inputs.
    fn publish(
        &mut self,
        query: &QueryTest,
        wires: &[Wire],
        local: &Local,
        run: &mut QueryReport,
    ) -> Result<(), String> {
        for topic in wires.iter().filter_map(|wire| topic_of(&wire.spec)) {
            local.make(topic, 1).map_err(|fatal| fatal.message.clone())?;
        }
        for input in &query.inputs {
            let wire = wires.iter().find(|wire| wire.source == input.source);
            let reads_file = wire.is_some_and(|wire| matches!(wire.spec.connector, SourceConnector::File { .. }));
            if reads_file || matches!(input.from, InputFrom::File { .. }) && wire.is_none() {
                // The statement reads its file itself.
                continue;
            }
            let (topic, encoding) = match wire {
                Some(wire) => {
                    let topic = topic_of(&wire.spec).unwrap_or(&input.source);
                    (topic, Encoding::of(&wire.spec.format))
                }
                None => {
                    run.warnings.push(format!("nothing reads the input \"{}\"", input.source));
                    (input.topic.as_deref().unwrap_or(&input.source), Encoding::Json)
                }
            };
            local.make(topic, 1).map_err(|fatal| fatal.message.clone())?;
            let origin = Origin {
                application: &self.test.spec.application,
                query: &query.name,
                default_records: self.test.spec.default_records,
                schemas: self.test.schemas,
                folder: &self.test.spec.folder,
            };
            let given = &self.given;
            let earlier = |name: &str| given.get(name).map(|given| (given.local.clone(), given.topic.clone()));
            let target = Target { local, topic, encoding };
            let (count, warnings) = publish::publish(input, &target, &origin, &mut self.generator, &earlier)?;
            run.warnings.extend(warnings);
            run.inputs.push((input.source.clone(), count));
        }
        Ok(())
    }

    /// The same topics, where those without records have the types of their data schemas.
    fn with_samples(&self, query: &QueryTest, wires: &[Wire], local: Local) -> Result<Local, String> {
        let mut samples = BTreeMap::new();
        for wire in wires {
            let Some(topic) = topic_of(&wire.spec) else { continue };
            if local.len(topic).map_err(|fatal| fatal.message.clone())? > 0 {
                continue;
            }
            let input = query.inputs.iter().find(|input| input.source == wire.source);
            let name = input.and_then(|input| input.schema.as_deref()).unwrap_or(&wire.source);
            if let Some(loaded) = publish::schema_named(self.test.schemas, name) {
                let encoding = Encoding::of(&wire.spec.format);
                let own = Generator::new(self.test.seed, self.test.now_ms, [&loaded.schema]);
                samples.insert(topic.to_owned(), publish::sample(own, loaded, encoding, SAMPLED));
            }
        }
        Ok(local.with_samples(samples))
    }

    /// The plan, or what is wrong with the text.
    fn planned(&self, app: &App, bound: Bound, run: &mut QueryReport) -> Result<AppPlan, String> {
        let shown =
            |finding: &Diagnostic| render(finding, &app.shown, &self.test.app.text, false).trim_end().to_owned();
        let errors: Vec<String> = bound.findings.iter().filter(|d| d.severity == Severity::Error).map(shown).collect();
        match bound.plan {
            Some(plan) => {
                // Which topics there are is the test's to say.
                let is_told = |d: &&Diagnostic| d.severity == Severity::Warning && d.code != TAKEN_FOR_A_TOPIC;
                let notices = bound.findings.iter().filter(is_told);
                run.warnings
                    .extend(notices.map(|d| velostream_sql::diag::line(d, &app.shown, &self.test.app.text, false)));
                Ok(plan)
            }
            None => Err(errors.join("\n\n")),
        }
    }

    fn judge(
        &mut self,
        query: &QueryTest,
        deployed: &Deployed,
        wires: &[Wire],
        judged: &Judged<'_>,
        run: &mut QueryReport,
    ) -> Result<(), String> {
        for sink in judged.sinks {
            let records = match &sink.place {
                Place::Topic(topic) => judged.local.len(topic).map_err(|fatal| fatal.message.clone())?,
                Place::File(path) => capture::file(path, None, &mut |_| {})?.records,
                Place::Other => 0,
            };
            run.outputs.push((sink.name.clone(), records));
            if let Place::Topic(topic) = &sink.place {
                let given = Given { local: judged.local.clone(), topic: topic.clone(), records };
                self.given.insert(query.name.clone(), given.clone());
                self.given.insert(deployed.tested.clone(), given);
            }
        }
        let context = self.context(run);
        let groups = groups(query, deployed, judged.sinks)?;
        if groups.iter().all(|(_, assertions)| assertions.is_empty()) {
            run.warnings.push("it asserts nothing".to_owned());
        }
        for (sink, assertions) in groups {
            let outcomes = self.outcomes(query, sink, &assertions, wires, judged, &context, run)?;
            run.assertions.extend(outcomes);
        }
        Ok(())
    }

    fn context(&self, run: &QueryReport) -> Context {
        let mut context = Context::default();
        context.inputs.extend(run.inputs.iter().cloned());
        context.outputs.extend(self.given.iter().map(|(name, given)| (name.clone(), given.records)));
        context.outputs.extend(run.outputs.iter().cloned());
        context.variables.extend(self.test.spec.variables.iter().cloned());
        context
    }

    #[expect(clippy::too_many_arguments, reason = "each is another part of what assertions judge")]
    fn outcomes(
        &self,
        query: &QueryTest,
        sink: Option<&Sink>,
        assertions: &[&Assertion],
        wires: &[Wire],
        judged: &Judged<'_>,
        context: &Context,
        run: &mut QueryReport,
    ) -> Result<Vec<Outcome>, String> {
        let name = sink.map_or(query.name.as_str(), |sink| sink.name.as_str());
        let about = About { sink: name, query: &query.name, context };
        let mut folds: Vec<Box<dyn Fold>> = assertions.iter().map(|assertion| fold(assertion, &about)).collect();
        for input in &query.inputs {
            if !folds.iter().any(|fold| fold.inputs().has(&input.source)) {
                continue;
            }
            let topic = wires.iter().find(|wire| wire.source == input.source).and_then(|wire| topic_of(&wire.spec));
            let topic = topic.or(input.topic.as_deref()).unwrap_or(&input.source);
            capture::topic(judged.local, topic, &mut |record| {
                folds
                    .iter_mut()
                    .filter(|fold| fold.inputs().has(&input.source))
                    .for_each(|fold| fold.input(&input.source, record));
            })?;
        }
        let mut each =
            |record: &velostream_spec::record::Record<'_>| folds.iter_mut().for_each(|fold| fold.record(record));
        let scanned = match sink.map(|sink| &sink.place) {
            Some(Place::Topic(topic)) => capture::topic(judged.local, topic, &mut each)?,
            Some(Place::File(path)) => capture::file(path, None, &mut each)?,
            Some(Place::Other) | None => capture::Scanned::default(),
        };
        run.warnings.extend(scanned.warnings);
        let base = (self.test.spec.folder.clone(), self.test.app.base_dir.clone());
        let files = |path: &Path| resolved(&base, path);
        let series: Vec<Series> = judged.report.metrics.iter().map(series_of).collect();
        let facts = Facts {
            records: scanned.records,
            context,
            now_ms: self.test.now_ms,
            elapsed_ms: Some(judged.report.elapsed_s * 1e3),
            memory: judged.memory,
            dead_letters: Some(judged.dead),
            metrics: Some(&series),
            files: &files,
        };
        Ok(folds.into_iter().map(|fold| fold.finish(&facts)).collect())
    }
}

/// What assertions judge.
struct Judged<'j> {
    local: &'j Local,
    sinks: &'j [Sink],
    report: &'j RunReport,
    dead: &'j [DeadLetter],
    memory: Option<Memory>,
}

/// Assertions about one sink.
type Group<'q> = (Option<&'q Sink>, Vec<&'q Assertion>);

/// Which assertions are about which sink: entries of `outputs` about theirs, the others about the first.
fn groups<'q>(query: &'q QueryTest, deployed: &Deployed, sinks: &'q [Sink]) -> Result<Vec<Group<'q>>, String> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let general = query.assertions.iter().chain(&query.metric_assertions).collect::<Vec<_>>();
    groups.push((sinks.first(), general));
    for output in &query.outputs {
        let is_it = |sink: &&Sink| match &sink.place {
            Place::Topic(topic) => *topic == output.sink || sink.name == output.sink,
            Place::File(path) => path.ends_with(&output.sink) || sink.name == output.sink,
            Place::Other => sink.name == output.sink,
        };
        let sink = sinks.iter().find(is_it).or_else(|| {
            let is_query = output.sink == query.name || output.sink == deployed.tested;
            sinks.first().filter(|_| is_query)
        });
        let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
        let sink =
            sink.ok_or_else(|| format!("the query has no sink \"{}\"; it writes {}", output.sink, names.join(", ")))?;
        groups.push((Some(sink), output.assertions.iter().collect()));
    }
    Ok(groups)
}

fn sink_of(plan: &SinkPlan) -> Sink {
    match &plan.connector {
        SinkConnector::Kafka(kafka) => Sink { name: kafka.topic.clone(), place: Place::Topic(kafka.topic.clone()) },
        SinkConnector::File { path, .. } => Sink { name: plan.name.clone(), place: Place::File(path.clone()) },
        SinkConnector::Memory { .. } | SinkConnector::Stdout => Sink { name: plan.name.clone(), place: Place::Other },
    }
}

/// Files of an earlier run would pass for this one's.
fn remove_stale(plan: &AppPlan) -> Result<(), String> {
    for sink in &plan.sinks {
        if let SinkConnector::File { path, append: false, .. } = &sink.connector {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("{}: {error}", path.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A path of a spec: relative to the spec's folder, or to the app's where it is not there.
fn resolved((spec, app): &(PathBuf, PathBuf), path: &Path) -> PathBuf {
    let own = spec.join(path);
    let beside = app.join(path);
    if !own.exists() && beside.exists() { beside } else { own }
}

/// A series as assertions see it.
fn series_of(series: &MetricSeries) -> Series {
    let kind = match series.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Histogram => MetricType::Histogram,
    };
    Series { name: series.name.clone(), labels: series.labels.clone(), kind, value: series.value }
}

fn timed_out(report: &RunReport, timeout: Duration) -> String {
    format!(
        "it did not end within {} ms: {} records were read and {} written; give it more with timeout_ms",
        timeout.as_millis(),
        report.rows_in,
        report.rows_out
    )
}

/// Dead letters of the job: those of topics by their headers, those of files by their fields.
fn dead_letters(local: &Local, topics: &[String], files: &[PathBuf]) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Vec::new();
    for topic in topics {
        let mut each = |_: u32, record: velostream_broker::StoredRecord<'_>| {
            let mut error_type = String::new();
            for (name, value) in velostream_types::headers::Headers::new(record.headers) {
                if name == b"stage" || name == b"error_type" {
                    error_type = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
                }
            }
            letters.push(DeadLetter { topic: topic.clone(), error_type });
        };
        local.scan(topic, &mut each).map_err(|fatal| fatal.message.clone())?;
    }
    for path in files {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        capture::file(path, Some(velostream_spec::spec::FileFormat::JsonLines), &mut |record| {
            let stage = record.row.and_then(|row| row.get("stage"));
            let error_type = stage.map_or_else(String::new, |s| velostream_spec::record_text::text(s).into_owned());
            letters.push(DeadLetter { topic: name.clone(), error_type });
        })?;
    }
    Ok(letters)
}

/// Resident memory of the process now, bytes.
fn memory() -> Option<u64> {
    velostream_runtime::memory::resident_bytes()
}
