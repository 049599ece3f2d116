//! What a query gave, before its assertions: which are about which sink, one scan over each, and the facts beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use velostream_runtime::job::{MetricSeries, RunReport};
use velostream_spec::assertion::{Assertion, AssertionKind, MetricType, View};
use velostream_spec::check::{About, Context, DeadLetter, Facts, Fold, Inputs, Memory, Series, fold};
use velostream_spec::findings::NO_SINK;
use velostream_spec::outcome::Outcome;
use velostream_spec::record::Record;
use velostream_spec::spec::QueryTest;
use velostream_sql::plan::{MetricKind, SinkConnector, SinkPlan};
use velostream_types::ErrorCode;

use super::capture;
use super::deploy::Wire;
use super::publish::topic_of;
use super::refused::Refused;
use super::statements::Deployed;
use super::told::EVERY;
use super::topics::Topics;

/// A statement's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// As messages name it.
    pub name: String,
    /// Where it is.
    pub place: SinkPlace,
}

/// Where an output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkPlace {
    /// A topic, as the SQL calls it.
    Topic(String),
    /// A file.
    File(PathBuf),
    /// Neither: nothing can be captured.
    Other,
}

/// The output of a sink.
pub fn sink_of(plan: &SinkPlan) -> Sink {
    match &plan.connector {
        SinkConnector::Kafka(kafka) => Sink { name: kafka.topic.clone(), place: SinkPlace::Topic(kafka.topic.clone()) },
        SinkConnector::File { path, .. } => Sink { name: plan.name.clone(), place: SinkPlace::File(path.clone()) },
        SinkConnector::Memory { .. } | SinkConnector::Stdout => {
            Sink { name: plan.name.clone(), place: SinkPlace::Other }
        }
    }
}

/// What assertions judge.
pub struct Judged<'j> {
    /// The topics of the test.
    pub topics: &'j Topics,
    /// Outputs of the tested statement.
    pub sinks: &'j [Sink],
    /// What the job told of itself.
    pub report: &'j RunReport,
    /// Dead letters.
    pub dead: &'j [DeadLetter],
    /// Memory of the process, where it is known.
    pub memory: Option<Memory>,
    /// Counts and variables that expressions see.
    pub context: &'j Context,
    /// Time of day of the run, ms.
    pub now_ms: i64,
    /// Folders that paths of assertions resolve from: the spec's, then the app's.
    pub folders: (PathBuf, PathBuf),
    /// Hears how many records of the output were looked at.
    pub progress: &'j dyn Fn(u64),
}

/// Judges all assertions of a query; answers their outcomes, and what its author should know.
pub fn judge(
    query: &QueryTest,
    deployed: &Deployed,
    wires: &[Wire],
    judged: &Judged<'_>,
) -> Result<(Vec<Outcome>, Vec<String>), Refused> {
    let groups = groups(query, deployed, judged.sinks)?;
    let (mut outcomes, mut warnings) = (Vec::new(), Vec::new());
    if groups.iter().all(|(_, assertions)| assertions.is_empty()) {
        warnings.push("it asserts nothing".to_owned());
    }
    for (sink, assertions) in groups {
        let (more, told) = of_sink(query, sink, &assertions, wires, judged)?;
        outcomes.extend(more);
        warnings.extend(told);
    }
    Ok((outcomes, warnings))
}

/// Assertions about one sink.
type Group<'q> = (Option<&'q Sink>, Vec<&'q Assertion>);

/// Which assertions are about which sink: entries of `outputs` about theirs, the others about the first.
fn groups<'q>(query: &'q QueryTest, deployed: &Deployed, sinks: &'q [Sink]) -> Result<Vec<Group<'q>>, Refused> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let general = query.assertions.iter().chain(&query.metric_assertions).collect::<Vec<_>>();
    groups.push((sinks.first(), general));
    for output in &query.outputs {
        let is_it = |sink: &&Sink| match &sink.place {
            SinkPlace::Topic(topic) => *topic == output.sink || sink.name == output.sink,
            SinkPlace::File(path) => path.ends_with(&output.sink) || sink.name == output.sink,
            SinkPlace::Other => sink.name == output.sink,
        };
        let sink = sinks.iter().find(is_it).or_else(|| {
            let is_query = output.sink == query.name || output.sink == deployed.tested;
            sinks.first().filter(|_| is_query)
        });
        let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
        let sink = sink.ok_or_else(|| {
            let message = format!("the query has no sink \"{}\"", output.sink);
            Refused::at(NO_SINK, output.span, message).advise(format!("it writes {}", names.join(", ")))
        })?;
        // One scan does for all that is about a sink.
        match groups.iter_mut().find(|(of, _)| *of == Some(sink)) {
            Some((_, assertions)) => assertions.extend(&output.assertions),
            None => groups.push((Some(sink), output.assertions.iter().collect())),
        }
    }
    Ok(groups)
}

/// The outcomes of one sink's assertions, by one scan over it.
fn of_sink(
    query: &QueryTest,
    sink: Option<&Sink>,
    assertions: &[&Assertion],
    wires: &[Wire],
    judged: &Judged<'_>,
) -> Result<(Vec<Outcome>, Vec<String>), String> {
    let name = sink.map_or(query.name.as_str(), |sink| sink.name.as_str());
    let about = About { sink: name, query: &query.name, context: judged.context };
    let mut folds: Vec<Box<dyn Fold>> = assertions.iter().map(|assertion| fold(assertion, &about)).collect();
    let wanted: Vec<Inputs> = folds.iter().map(|fold| fold.inputs()).collect();
    for input in &query.inputs {
        let has = |at: &usize| wanted[*at].has(&input.source);
        let who: Vec<usize> = (0..folds.len()).filter(has).collect();
        if who.is_empty() {
            continue;
        }
        let topic = wires.iter().find(|wire| wire.source == input.source).and_then(|wire| topic_of(&wire.spec));
        let topic = topic.or(input.topic.as_deref()).unwrap_or(&input.source);
        let mut each = |record: &Record<'_>| who.iter().for_each(|at| folds[*at].input(&input.source, record));
        capture::topic(judged.topics, topic, false, &mut each)?;
    }
    let (scans, warnings) = scan(sink, assertions, &mut folds, judged)?;
    let files = |path: &Path| resolved(&judged.folders, path);
    let series: Vec<Series> = judged.report.metrics.iter().map(series_of).collect();
    let facts = |view| Facts {
        records: if view == View::Final { scans.last } else { scans.all },
        context: judged.context,
        now_ms: judged.now_ms,
        elapsed_ms: Some(judged.report.elapsed_s * 1e3),
        memory: judged.memory,
        dead_letters: Some(judged.dead),
        metrics: Some(&series),
        files: &files,
    };
    let outcomes = folds.into_iter().zip(assertions).map(|(fold, of)| fold.finish(&facts(of.view))).collect();
    Ok((outcomes, warnings))
}

/// Records that the assertions of each view saw.
#[derive(Clone, Copy, Debug, Default)]
struct Scans {
    all: u64,
    last: u64,
}

/// Shows a sink's records to its assertions: all of them to those about changes, then the last of each key to those about
/// the final view, by a second scan.
fn scan(
    sink: Option<&Sink>,
    assertions: &[&Assertion],
    folds: &mut [Box<dyn Fold>],
    judged: &Judged<'_>,
) -> Result<(Scans, Vec<String>), String> {
    let timed = assertions.iter().any(|assertion| matches!(assertion.kind, AssertionKind::Latency { .. }));
    let records = |each: &mut dyn FnMut(&Record<'_>)| match sink.map(|sink| &sink.place) {
        Some(SinkPlace::Topic(topic)) => capture::topic(judged.topics, topic, timed, each),
        Some(SinkPlace::File(path)) => capture::file(path, None, each),
        Some(SinkPlace::Other) | None => Ok(capture::Scanned::default()),
    };
    let of_view =
        |view: View| -> Vec<usize> { (0..assertions.len()).filter(|at| assertions[*at].view == view).collect() };
    let (changes, finals) = (of_view(View::Changes), of_view(View::Final));
    let mut last: BTreeMap<Box<[u8]>, (u32, i64)> = BTreeMap::new();
    let mut seen = 0_u64;
    let scanned = records(&mut |record| {
        changes.iter().for_each(|at| folds[*at].record(record));
        if let (Some(key), false) = (record.key, finals.is_empty()) {
            let place = (record.partition, record.offset);
            match last.get_mut(key) {
                Some(last) => *last = place,
                None => drop(last.insert(key.into(), place)),
            }
        }
        seen += 1;
        if seen.is_multiple_of(EVERY) {
            (judged.progress)(seen);
        }
    })?;
    let (mut scans, mut warnings) = (Scans { all: scanned.records, last: 0 }, scanned.warnings);
    if finals.is_empty() {
        return Ok((scans, warnings));
    }
    if let Some(Sink { name, place: SinkPlace::File(_) }) = sink {
        warnings.push(format!("rows of a file have no keys: the final view of {name} is all of them"));
    }
    records(&mut |record| {
        let place = (record.partition, record.offset);
        let stays = record.key.is_none_or(|key| last.get(key) == Some(&place));
        if stays && record.row.is_some() {
            scans.last += 1;
            finals.iter().for_each(|at| folds[*at].record(record));
        }
    })?;
    Ok((scans, warnings))
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

/// Header of dead letters in topics that says what kind of error it was.
const ERROR_TYPE: &str = "dlq.error.type";
/// Dead letters in files have one of these codes, which tell the kind.
const ERROR_CODES: [ErrorCode; 14] = [
    ErrorCode::Malformed,
    ErrorCode::InvalidUtf8,
    ErrorCode::TooLong,
    ErrorCode::FieldCount,
    ErrorCode::WrongType,
    ErrorCode::NullInNotNull,
    ErrorCode::Overflow,
    ErrorCode::Cast,
    ErrorCode::Domain,
    ErrorCode::SeveralRows,
    ErrorCode::Late,
    ErrorCode::GroupOverflow,
    ErrorCode::EventTime,
    ErrorCode::Refused,
];

/// Dead letters of the job: those of topics by a header, those of files by their code.
pub fn dead_letters(topics: &Topics, names: &[String], files: &[PathBuf]) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Vec::new();
    for topic in names {
        let mut each = |_: u32, record: velostream_broker::StoredRecord<'_>| {
            let mut headers = velostream_types::headers::Headers::new(record.headers);
            let kind = headers.find(|(name, _)| *name == ERROR_TYPE.as_bytes()).and_then(|(_, value)| value);
            let error_type = String::from_utf8_lossy(kind.unwrap_or_default()).into_owned();
            letters.push(DeadLetter { topic: topic.clone(), error_type });
        };
        topics.scan(topic, &mut each)?;
    }
    for path in files {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        capture::file(path, Some(velostream_spec::spec::FileFormat::JsonLines), &mut |record| {
            let code = record.row.and_then(|row| row.get("code"));
            let code = code.map_or_else(String::new, |code| velostream_spec::record_text::text(code).into_owned());
            let kind = ERROR_CODES.iter().find(|known| known.code() == code).map(|known| known.kind());
            let error_type = kind.unwrap_or_default().to_owned();
            letters.push(DeadLetter { topic: name.clone(), error_type });
        })?;
    }
    Ok(letters)
}
