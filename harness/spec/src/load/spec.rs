//! A spec out of YAML.

use std::path::{Path, PathBuf};

use velostream_sql::diag::Diagnostic;

use super::assertions;
use super::conform::{self, Later, warn_later};
use super::fields::{Fields, TaggedFields};
use super::limits::moments_ordered;
use super::moment;
use super::queries;
use super::spec_keys::{INPUT, OUTPUT, QUERY, SINK, SINK_TYPE, SOURCE_TYPE, SPEC, TIME_SIMULATION, TOPIC_NAMING};
use super::tree;
use super::words::{FILE_FORMATS, RECORD_FORMATS, VIEWS};
use crate::assertion::View;
use crate::findings::{Findings, KEYS_DISAGREE, Loaded, NO_EFFECT};
use crate::spec::{
    CaptureFormat, Endpoint, Input, InputFrom, OutputTest, QueryTest, Spec, TimeSimulation, TopicNaming,
};

/// Reads a spec. `name` is what users know the file by, `folder` is the one it is in.
pub fn spec(name: &str, text: &str, folder: &Path) -> Loaded<Spec> {
    let mut findings = Findings::of_file(name, text);
    let top = match tree::read(text) {
        Ok(top) => top,
        Err(finding) => {
            findings.push(*finding);
            return findings.into_loaded(None);
        }
    };
    let later = conform::judge(&top, &SPEC, &mut findings);
    let mut reader = Reader { findings, later };
    let spec = reader.spec(Fields::new(&top, &SPEC), folder);
    queries::judge(&spec.queries, &mut reader.findings);
    reader.findings.into_loaded(Some(Spec { later: reader.later, ..spec }))
}

struct Reader {
    findings: Findings,
    later: Later,
}

impl Reader {
    fn spec(&mut self, f: Fields<'_>, folder: &Path) -> Spec {
        let queries = f.objects("queries", &QUERY);
        Spec {
            application: f.text("application"),
            description: f.text_if_given("description"),
            default_timeout_ms: f.count_if_given("default_timeout_ms"),
            default_records: f.count_if_given("default_records"),
            topic_naming: f.object("topic_naming", &TOPIC_NAMING).map(topic_naming).unwrap_or_default(),
            config: f.text_map("config"),
            variables: f.value_map("variables"),
            schemas: f.text_map("schemas").into_iter().map(|(name, path)| (name, PathBuf::from(path))).collect(),
            now_ms: f.text_if_given("now").and_then(|text| moment::instant_ms(&text)),
            queries: queries.into_iter().enumerate().map(|(i, query)| self.query(query, i)).collect(),
            later: Vec::new(),
            folder: folder.to_path_buf(),
        }
    }

    fn query(&mut self, f: Fields<'_>, index: usize) -> QueryTest {
        let path = format!("queries[{index}]");
        let capture_format = f.word("capture_format", &RECORD_FORMATS).unwrap_or_default();
        let capture_schema = f.text_if_given("capture_schema");
        self.binary_format(f, "capture_format", capture_format, &path);
        if let (CaptureFormat::Avro | CaptureFormat::Protobuf, None, Some(entry)) =
            (capture_format, &capture_schema, f.entry("capture_format"))
        {
            let message = "records of this format are captured by a schema, and there is none";
            let finding = Diagnostic::error(KEYS_DISAGREE, entry.value.span, message);
            self.findings.push(finding.hint("add \"capture_schema\", a path or the schema itself"));
        }
        let view = f.word("view", &VIEWS).unwrap_or_default();
        let inputs = f.objects("inputs", &INPUT);
        let outputs = f.objects("outputs", &SINK);
        QueryTest {
            name: f.text("name"),
            span: f.entry("name").map_or_else(|| f.span(), |entry| entry.value.span),
            description: f.text_if_given("description"),
            skip: f.flag("skip"),
            dependencies: f.texts("dependencies"),
            inputs: inputs
                .into_iter()
                .enumerate()
                .map(|(i, f)| self.input(f, &format!("{path}.inputs[{i}]")))
                .collect(),
            output: f.object("output", &OUTPUT).and_then(|output| output.tagged("sink_type", &SINK_TYPE)).map(endpoint),
            outputs: outputs.into_iter().map(|sink| self.output(sink, view)).collect(),
            assertions: assertions::read(f.items("assertions"), view, &mut self.findings),
            metric_assertions: assertions::read(f.items("metric_assertions"), view, &mut self.findings),
            timeout_ms: f.count_if_given("timeout_ms"),
            capture_format,
            capture_schema,
        }
    }

    fn output(&mut self, f: Fields<'_>, view: View) -> OutputTest {
        let view = f.word("view", &VIEWS).unwrap_or(view);
        OutputTest {
            sink: f.text("sink"),
            span: f.entry("sink").map_or_else(|| f.span(), |entry| entry.value.span),
            assertions: assertions::read(f.items("assertions"), view, &mut self.findings),
        }
    }

    fn input(&mut self, f: Fields<'_>, path: &str) -> Input {
        let mut time = f.object("time_simulation", &TIME_SIMULATION).map(|time| self.time(time));
        if let Some(time) = &mut time {
            time.events_per_second = time.events_per_second.or_else(|| f.number_if_given("rate_per_second"));
        }
        let format = f.word("format", &RECORD_FORMATS);
        self.binary_format(f, "format", format.unwrap_or_default(), path);
        let (from, topic) = self.origin(f);
        Input {
            source: f.text("source"),
            span: f.entry("source").map_or_else(|| f.span(), |entry| entry.value.span),
            schema: f.text_if_given("schema"),
            records: f.count_if_given("records"),
            from,
            topic,
            key_field: f.text_if_given("key_field"),
            time,
            null_probability: f.number_if_given("null_probability"),
            format: format.and_then(|_| f.text_if_given("format")),
        }
    }

    /// Where records come from: the first of an earlier query, the SQL's own file, a data file, a schema.
    fn origin(&mut self, f: Fields<'_>) -> (InputFrom, Option<String>) {
        let mut topic = None;
        let mut file = None;
        match f.tagged("source_type", &SOURCE_TYPE) {
            Some(TaggedFields { tag: "file", fields, .. }) => {
                file = Some(InputFrom::File {
                    path: PathBuf::from(fields.text("path")),
                    format: fields.word("format", &FILE_FORMATS),
                    watch: fields.flag("watch"),
                });
            }
            Some(TaggedFields { fields, .. }) => topic = fields.text_if_given("topic"),
            None => {}
        }
        let given = [
            ("from_previous", f.text_if_given("from_previous").map(InputFrom::Previous)),
            ("source_type", file),
            ("data_file", f.text_if_given("data_file").map(|path| InputFrom::DataFile(PathBuf::from(path)))),
        ];
        let mut given = given.into_iter().filter_map(|(key, from)| Some((key, from?)));
        let Some((first, from)) = given.next() else { return (InputFrom::Generated, topic) };
        for entry in given.filter_map(|(key, _)| f.entry(key)) {
            let message = format!("\"{}\" has no effect beside \"{first}\"", entry.key);
            self.findings.warn(NO_EFFECT, entry.key_span, message);
        }
        (from, topic)
    }

    fn time(&mut self, f: Fields<'_>) -> TimeSimulation {
        moments_ordered(f, "start_time", "end_time", false, &mut self.findings);
        TimeSimulation {
            start: f.moment("start_time"),
            end: f.moment("end_time"),
            time_scale: f.number("time_scale"),
            events_per_second: f.number_if_given("events_per_second"),
            sequential: f.flag("sequential"),
            jitter_ms: f.count("jitter_ms"),
            batch_size: f.count("batch_size"),
        }
    }

    /// Records are JSON so far.
    fn binary_format(&mut self, f: Fields<'_>, key: &str, format: CaptureFormat, path: &str) {
        if let (CaptureFormat::Avro | CaptureFormat::Protobuf, Some(entry)) = (format, f.entry(key)) {
            let path = format!("{path}.{key}");
            warn_later(&path, entry.key_span, &mut self.findings);
            self.later.push((path, entry.key_span));
        }
    }
}

fn endpoint(sink: TaggedFields<'_>) -> Endpoint {
    let f = sink.fields;
    match sink.tag {
        "file" => Endpoint::File { path: PathBuf::from(f.text("path")), format: f.word("format", &FILE_FORMATS) },
        _ => Endpoint::Kafka { topic: f.text_if_given("topic") },
    }
}

fn topic_naming(f: Fields<'_>) -> TopicNaming {
    TopicNaming {
        pattern: f.text("pattern"),
        namespace: f.text_if_given("namespace"),
        branch_from_env: f.text("branch_from_env"),
        user_from_env: f.text("user_from_env"),
        branch: f.text_if_given("branch"),
        user: f.text_if_given("user"),
        hash_long_names: f.flag("hash_long_names"),
        max_topic_length: f.count("max_topic_length") as usize,
    }
}
