//! Runs the query tests of a spec, one after the other: publish the inputs, deploy the statement, wait for the ends of its
//! inputs, look at what it gave.
//!
//! Each test has topics of its own in one embedded broker. Everything waited for is a fact: inputs are appended before the
//! job begins, the job ends when it has read them and flushed what it made of them. The same spec and seed give the same
//! outcomes; only what is called `measured` differs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use velostream_runtime::clock::monotonic;
use velostream_runtime::job::RunReport;
use velostream_runtime::stop::StopHandle;
use velostream_spec::assertion::{Assertion, AssertionKind};
use velostream_spec::check::{Context, Memory};
use velostream_spec::generate::Generator;
use velostream_spec::report::{QueryReport, Status};
use velostream_spec::spec::{Endpoint, Input, InputFrom, QueryTest, Spec};
use velostream_sql::diag::{Diagnostic, Severity, render};
use velostream_sql::plan::{AppPlan, SinkConnector, SourceConnector};
use velostream_types::topic::TopicRecord;

use super::capture;
use super::deploy::{self, App, Bound, Env, JobEnd, JobOptions, Wire};
use super::judge::{Judged, Sink, SinkPlace, dead_letters, judge, sink_of};
use super::memory;
use super::naming::{NameParts, test_topic};
use super::order::order;
use super::publish::{self, Encoding, LoadedSchema, Origin, Target, topic_of};
use super::refused::Refused;
use super::save::save;
use super::statements::{Deployed, deployed};
use super::steps::{Step, Steps};
use super::told::{Tell, Told};
use super::topics::{Place, Topics};

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
    /// File of the spec, as shown, and its text.
    pub spec_text: (&'t str, &'t str),
    /// Data schemas.
    pub schemas: &'t [LoadedSchema],
    /// Seed of the generated records; none: those of the schemas.
    pub seed: Option<u64>,
    /// Time of day, ms.
    pub now_ms: i64,
    /// Part of the names of topics: nobody else's are called so.
    pub topics_id: String,
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
    /// Where the topics are, and how jobs reach them.
    pub place: Place,
    /// Folder that the records of outputs are kept in; none: they are not.
    pub save: Option<PathBuf>,
}

/// Where the records of a query are, for those that come after it.
#[derive(Clone)]
struct Given {
    topics: Topics,
    topic: String,
    records: u64,
}

/// What is known from one query to the next.
struct Session<'t> {
    test: &'t AppTest<'t>,
    stop: &'t StopHandle,
    tell: Tell<'t>,
    generator: Generator,
    given: BTreeMap<String, Given>,
    /// Records kept of each output for who steps, and what was kept of the last test.
    rows: usize,
    kept: Kept,
}

/// What a step shows beside the report.
#[derive(Default)]
struct Kept {
    statement: String,
    rows: Vec<(String, Vec<String>)>,
    notices: Vec<String>,
}

/// Runs the tests; `tell` hears how far they are, `steps` stands between them.
pub fn run(test: &AppTest<'_>, stop: &StopHandle, tell: Tell<'_>, steps: &mut dyn Steps) -> Vec<QueryReport> {
    let schemas = test.schemas.iter().map(|loaded| &loaded.schema);
    let generator = Generator::new(test.seed, test.now_ms, schemas);
    let (given, rows, kept) = (BTreeMap::new(), steps.rows(), Kept::default());
    let mut session = Session { test, stop, tell, generator, given, rows, kept };
    let mut runs: Vec<QueryReport> = Vec::new();
    for number in order(&test.spec.queries, test.only.as_deref()) {
        let query = &test.spec.queries[number];
        if stop.reason().is_some() || !steps.before(&query.name) {
            break;
        }
        tell(Told::Begun { query: &query.name });
        let begun = monotonic();
        let mut run = session.query(number, query);
        run.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tell(Told::Ended { report: &run });
        let Kept { statement, rows, notices } = std::mem::take(&mut session.kept);
        steps.after(&Step { report: &run, statement: &statement, rows: &rows, notices: &notices });
        runs.push(run);
    }
    runs
}

impl Session<'_> {
    fn query(&mut self, number: usize, query: &QueryTest) -> QueryReport {
        let mut run = QueryReport { name: query.name.clone(), status: Status::Skipped, ..QueryReport::default() };
        // A name that is asked for is run whatever its spec says.
        if query.skip && self.test.only.is_none() {
            return run;
        }
        let ended = match self.test.publish_only {
            true => self.try_publish(number, query, &mut run),
            false => self.try_query(number, query, &mut run),
        };
        match ended {
            Ok(()) if run.assertions.iter().all(|outcome| outcome.passed) => run.status = Status::Passed,
            Ok(()) => run.status = Status::Failed,
            Err(refused) => {
                let (name, text) = self.test.spec_text;
                (run.status, run.error) = (Status::Error, Some(refused.shown(name, text)));
            }
        }
        run
    }

    /// Publishes the inputs that need no query to run first.
    fn try_publish(&mut self, number: usize, query: &QueryTest, run: &mut QueryReport) -> Result<(), Refused> {
        let deployed = deployed(&self.test.app.text, query)?;
        let app = App { text: deployed.text, ..self.test.app.clone() };
        let settings =
            deploy::settings(self.test.spec.config.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let wires = deploy::wiring(&app, self.test.env, &settings);
        let (previous, own) = query.inputs.iter().cloned().partition(|i| matches!(i.from, InputFrom::Previous(_)));
        let previous: Vec<Input> = previous;
        let left_out = |input: &Input| format!("\"{}\" takes over what a query gives, and none runs", input.source);
        run.warnings.extend(previous.iter().map(left_out));
        self.publish(&QueryTest { inputs: own, ..query.clone() }, &wires, &self.topics(number), run)
    }

    fn try_query(&mut self, number: usize, query: &QueryTest, run: &mut QueryReport) -> Result<(), Refused> {
        let deployed = deployed(&self.test.app.text, query)?;
        let app = App { text: deployed.text.clone(), ..self.test.app.clone() };
        let mut settings = deploy::settings(self.test.spec.config.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let wires = deploy::wiring(&app, self.test.env, &settings);
        self.kept.statement = deployed.statement.clone();
        let measures_memory = |of: &Assertion| matches!(of.kind, AssertionKind::MemoryUsage { .. });
        let of_outputs = query.outputs.iter().flat_map(|output| &output.assertions);
        if query.assertions.iter().chain(of_outputs).any(measures_memory) {
            memory::reset_peak();
        }
        let topics = self.topics(number);
        self.publish(query, &wires, &topics, run)?;
        let broker = topics.broker(self.samples(query, &wires, &topics)?);
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
        let before = memory::now();
        let of = run.inputs.iter().map(|(_, records)| records).sum();
        let read = |records| (self.tell)(Told::Running { query: &query.name, records, of });
        let (end, notices) = deploy::run(plan, broker, options, &folder, self.stop, &read);
        self.kept.notices = notices;
        let report = match end {
            JobEnd::Done(report) => report,
            JobEnd::Failed(fatal) => return Err(format!("the job failed: {}", fatal.message).into()),
            JobEnd::Stopped => return Err("the run was stopped".to_owned().into()),
            JobEnd::TimedOut(report) => return Err(timed_out(&report, options.timeout).into()),
        };
        let dead = dead_letters(&topics, &letter_topics, &letters)?;
        let memory = memory::now().zip(before).map(|(now, before)| Memory {
            peak_bytes: report.peak_rss_bytes.unwrap_or(now),
            growth_bytes: now as i64 - before as i64,
        });
        self.keep(query, &deployed, &sinks, &topics, run)?;
        let written = run.outputs.iter().map(|(_, records)| records).sum();
        let (context, tell) = (self.context(run), self.tell);
        let (outcomes, warnings) = judge(
            query,
            &deployed,
            &wires,
            &Judged {
                topics: &topics,
                sinks: &sinks,
                report: &report,
                dead: &dead,
                memory,
                context: &context,
                now_ms: self.test.now_ms,
                folders: (self.test.spec.folder.clone(), self.test.app.base_dir.clone()),
                progress: &|records| tell(Told::Judging { query: &query.name, records, of: written }),
            },
        )?;
        run.assertions = outcomes;
        run.warnings.extend(warnings);
        Ok(())
    }

    /// Counts what the outputs hold, remembers them for later queries, and keeps what is to be shown or saved of them.
    fn keep(
        &mut self,
        query: &QueryTest,
        deployed: &Deployed,
        sinks: &[Sink],
        topics: &Topics,
        run: &mut QueryReport,
    ) -> Result<(), String> {
        for sink in sinks {
            let records = match &sink.place {
                SinkPlace::Topic(topic) => topics.len(topic)?,
                SinkPlace::File(path) => capture::file(path, None, &mut |_| {})?.records,
                SinkPlace::Other => 0,
            };
            run.outputs.push((sink.name.clone(), records));
            if let SinkPlace::Topic(topic) = &sink.place {
                let given = Given { topics: topics.clone(), topic: topic.clone(), records };
                self.given.insert(query.name.clone(), given.clone());
                self.given.insert(deployed.tested.clone(), given);
            }
            if self.rows > 0 {
                self.kept.rows.push((sink.name.clone(), first_rows(sink, topics, self.rows)?));
            }
            if let Some(folder) = &self.test.save {
                save(folder, &query.name, sink, topics)?;
            }
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
    fn topics(&self, number: usize) -> Topics {
        let naming = self.test.spec.topic_naming.clone();
        let run_id = format!("{}_{number}", self.test.topics_id);
        let parts = NameParts::new(&naming, &run_id, self.test.now_ms / 1_000, self.test.env);
        let rename = move |topic: &str| test_topic(&naming, &parts, topic);
        self.test.place.topics(&run_id, Arc::new(rename), self.test.now_ms)
    }

    /// Makes the topics that the statement reads, and fills those of the test's inputs.
    fn publish(
        &mut self,
        query: &QueryTest,
        wires: &[Wire],
        topics: &Topics,
        run: &mut QueryReport,
    ) -> Result<(), Refused> {
        for topic in wires.iter().filter_map(|wire| topic_of(&wire.spec)) {
            topics.make(topic, 1)?;
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
            topics.make(topic, 1)?;
            let origin = Origin {
                application: &self.test.spec.application,
                query: &query.name,
                default_records: self.test.spec.default_records,
                schemas: self.test.schemas,
                folders: [&self.test.spec.folder, &self.test.app.base_dir],
            };
            let given = &self.given;
            let earlier = |name: &str| given.get(name).map(|given| (given.topics.clone(), given.topic.clone()));
            let (query, source, tell) = (query.name.as_str(), input.source.as_str(), self.tell);
            let stop = self.stop;
            let progress = |records, of| {
                tell(Told::Publishing { query, source, records, of });
                stop.reason().is_none()
            };
            let target = Target { topics, topic, encoding, progress: &progress };
            let (count, warnings) = publish::publish(input, &target, &origin, &mut self.generator, &earlier)?;
            run.warnings.extend(warnings);
            run.inputs.push((input.source.clone(), count));
        }
        Ok(())
    }

    /// Records that tell the types of topics without any, by their data schemas.
    fn samples(
        &self,
        query: &QueryTest,
        wires: &[Wire],
        topics: &Topics,
    ) -> Result<BTreeMap<String, Vec<TopicRecord>>, String> {
        let mut samples = BTreeMap::new();
        for wire in wires {
            let Some(topic) = topic_of(&wire.spec) else { continue };
            if topics.len(topic)? > 0 {
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
        Ok(samples)
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

fn timed_out(report: &RunReport, timeout: Duration) -> String {
    format!(
        "it did not end within {} ms: {} records were read and {} written; give it more with timeout_ms",
        timeout.as_millis(),
        report.rows_in,
        report.rows_out
    )
}

/// The first records of an output, a line each.
fn first_rows(sink: &Sink, topics: &Topics, rows: usize) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    match &sink.place {
        SinkPlace::Topic(topic) => topics.scan(topic, &mut |_, record| {
            if lines.len() < rows {
                let deleted = || format!("{} deleted", String::from_utf8_lossy(record.key.unwrap_or_default()));
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                lines.push(record.value.map_or_else(deleted, text));
            }
        })?,
        SinkPlace::File(path) => {
            capture::file(path, None, &mut |record| {
                if let (Some(row), true) = (record.row, lines.len() < rows) {
                    let mut line = Vec::new();
                    velostream_spec::generate::encode::json(row, &mut line);
                    lines.push(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                }
            })?;
        }
        SinkPlace::Other => {}
    }
    Ok(lines)
}
