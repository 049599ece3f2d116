//! Tests of `props`.

use super::*;
use crate::plan::{
    Compression, Failure, Format, LateStrategy, MissingTime, SinkConnector, SinkFormat, SourceConnector, TimeFormat,
    WatermarkRule,
};

const SPAN: Span = Span::new(900, 906);

fn env(name: &str) -> Option<String> {
    (name == "DATA").then(|| "in".to_owned())
}

/// Entries at made-up places: the n-th key at `100·n`.
pub(in crate::props) fn with(pairs: &[(&str, &str)]) -> Vec<WithEntry> {
    let entry = |(i, (key, value)): (usize, &(&str, &str))| {
        let at = 100 * i as u32 + 1;
        WithEntry {
            key: (*key).to_owned(),
            key_span: Span::new(at, at + 10),
            value: (*value).to_owned(),
            value_span: Span::new(at + 20, at + 30),
        }
    };
    pairs.iter().enumerate().map(entry).collect()
}

/// One line per finding: code, message, then detail and hint.
fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| {
        let mut out = format!("{}: {}", d.code, d.message);
        for part in [&d.detail, &d.hint].into_iter().flatten() {
            out.push_str(" | ");
            out.push_str(part);
        }
        out
    };
    diagnostics.iter().map(line).collect()
}

fn resolver(base: &Path) -> Resolver<'static> {
    Resolver::new(base.to_owned(), &env, Vec::new(), false)
}

fn source(name: &str, pairs: &[(&str, &str)]) -> Result<SourceSpec, Vec<String>> {
    resolver(Path::new("app")).source(name, SPAN, &with(pairs)).map_err(|e| lines(&e))
}

fn sink(name: &str, pairs: &[(&str, &str)]) -> Result<Option<SinkSpec>, Vec<String>> {
    resolver(Path::new("app")).sink(name, SPAN, &with(pairs)).map_err(|e| lines(&e))
}

fn source_error(name: &str, pairs: &[(&str, &str)]) -> String {
    source(name, pairs).map(|s| format!("{s:?}")).unwrap_err().join("\n")
}

fn sink_error(name: &str, pairs: &[(&str, &str)]) -> String {
    sink(name, pairs).map(|s| format!("{s:?}")).unwrap_err().join("\n")
}

fn file(pattern: &str) -> SourceConnector {
    let pattern = PathBuf::from(pattern);
    SourceConnector::File { pattern, sequential: false, watch: false, poll_interval_ms: 1_000 }
}

const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };

#[test]
fn a_path_needs_nothing_else() {
    let spec = source("trades.csv", &[]).unwrap();
    let expect = SourceSpec {
        connector: file("app/trades.csv"),
        format: CSV,
        event_time_field: None,
        event_time_format: TimeFormat::Auto,
        watermark_rule: Default::default(),
        watermark_bound_ns: None,
        idle_timeout_ns: 60_000_000_000,
        missing_time: MissingTime::Warn,
        late: None,
        lateness_ns: None,
        max_record_bytes: 16 << 20,
        max_records: None,
        delete_field: None,
        schema_wait_ns: None,
        patience: Default::default(),
        dlq_path: None,
        dlq_topic: None,
        dlq_enabled: true,
        failure: Failure::DeadLetter,
    };
    assert_eq!(spec, expect);
    assert_eq!(source("data/*.jsonl.gz", &[]).unwrap().format, Format::JsonLines);
    assert_eq!(source("/abs/x.json", &[]).unwrap().connector, file("/abs/x.json"));
}

#[test]
fn every_source_property_arrives() {
    let spec = source(
        "trades",
        &[
            ("trades.type", "file_source"),
            ("trades.path", "${DATA}/t.txt"),
            ("trades.format", "csv_no_header"),
            ("trades.delimiter", ";"),
            ("trades.quote", "'"),
            ("trades.skip_lines", "2"),
            ("trades.watch", "TRUE"),
            ("trades.poll_interval", "2s"),
            ("trades.read.order", "sequential"),
            ("event.time.field", "ts"),
            ("event.time.format", "epoch"),
            ("event.time.policy", "error"),
            ("watermark.strategy", "bounded_out_of_orderness"),
            ("watermark.idle.timeout", "1.5m"),
            ("late.data.strategy", "dead_letter"),
            ("window.allowed.lateness", "30 seconds"),
            ("max.record.bytes", "64KiB"),
            ("trades.max_records", "10"),
            ("trades.delete.field", "gone"),
            ("dead.letter.queue.path", "bad.jsonl"),
            ("failure_strategy", "LogAndContinue"),
        ],
    )
    .unwrap();
    let expect = SourceSpec {
        connector: SourceConnector::File {
            pattern: "app/in/t.txt".into(),
            sequential: true,
            watch: true,
            poll_interval_ms: 2_000,
        },
        format: Format::Csv { delimiter: b';', quote: b'\'', header: false, skip_lines: 2 },
        event_time_field: Some(("ts".into(), Span::new(901, 931))),
        event_time_format: TimeFormat::EpochSeconds,
        watermark_rule: Default::default(),
        watermark_bound_ns: Some(5_000_000_000),
        idle_timeout_ns: 90_000_000_000,
        missing_time: MissingTime::Error,
        late: Some(LateStrategy::DeadLetter),
        lateness_ns: Some(30_000_000_000),
        max_record_bytes: 65_536,
        max_records: Some(10),
        delete_field: Some(("gone".into(), Span::new(1801, 1831))),
        schema_wait_ns: None,
        patience: Default::default(),
        dlq_path: Some("app/bad.jsonl".into()),
        dlq_topic: None,
        dlq_enabled: false,
        failure: Failure::Log,
    };
    assert_eq!(spec, expect);
}

#[test]
fn watermarks() {
    let bound = |pairs: &[(&str, &str)]| source("t.csv", pairs).unwrap().watermark_bound_ns;
    assert_eq!(bound(&[]), None);
    assert_eq!(bound(&[("watermark.strategy", "none")]), Some(0));
    assert_eq!(bound(&[("watermark.strategy", "processing_time")]), Some(0));
    let clock = [("watermark.strategy", "processing_time"), ("watermark.max_out_of_orderness", "3s")];
    let spec = source("t.csv", &clock).expect("a source");
    assert_eq!((spec.watermark_rule, spec.watermark_bound_ns), (WatermarkRule::Clock, Some(3_000_000_000)));
    let punctuated = source("t", &[("t.type", "memory"), ("watermark.strategy", "punctuated")]).expect("a source");
    assert_eq!((punctuated.watermark_rule, punctuated.watermark_bound_ns), (WatermarkRule::Header, Some(0)));
    let of_file = source_error("t.csv", &[("watermark.strategy", "punctuated")]);
    assert!(of_file.contains("E0520") && of_file.contains("records of a file have none"), "{of_file}");
    assert_eq!(bound(&[("watermark.strategy", "ascending_timestamps")]), Some(0));
    assert_eq!(bound(&[("watermark.max_out_of_orderness", "250ms")]), Some(250_000_000));
    assert_eq!(bound(&[("watermark.max_out_of_orderness_ms", "250")]), Some(250_000_000));
}

#[test]
fn the_stronger_place_wins() {
    let path = |pairs: &[(&str, &str)], globals: &[(&str, &str)]| {
        let mut r = Resolver::new(PathBuf::new(), &env, with(globals), false);
        match r.source("t", SPAN, &with(pairs)).unwrap().connector {
            SourceConnector::File { pattern, .. } => pattern.display().to_string(),
            other => format!("{other:?}"),
        }
    };
    let all = [("path", "plain.csv"), ("source.path", "sided.csv"), ("t.path", "named.csv")];
    assert_eq!(path(&all, &[("path", "g.csv")]), "named.csv");
    assert_eq!(path(&all[..2], &[("path", "g.csv")]), "sided.csv");
    assert_eq!(path(&all[..1], &[("path", "g.csv")]), "plain.csv");
    assert_eq!(path(&[], &[("path", "g.csv")]), "g.csv");
    assert_eq!(path(&[], &[("path", "g.csv"), ("t.path", "n.csv")]), "n.csv");
    // Keys of other relations and of the other side do not count.
    assert_eq!(path(&[("u.path", "u.csv"), ("sink.path", "s.csv"), ("path", "p.csv")], &[]), "p.csv");
    // Late rows: the statement wins.
    let late = [("t.csv.late.data.strategy", "drop"), ("late.data.strategy", "dead_letter")];
    assert_eq!(source("t.csv", &late).unwrap().late, Some(LateStrategy::DeadLetter));
}

#[test]
fn uris_and_memory() {
    let spec = source("file://in/t.txt?format=csv&delimiter=%3B&watch=true", &[]).unwrap();
    assert_eq!(spec.format, Format::Csv { delimiter: b';', quote: b'"', header: true, skip_lines: 0 });
    assert!(matches!(spec.connector, SourceConnector::File { watch: true, .. }));
    let memory = source("m", &[("m.type", "memory")]).unwrap();
    assert_eq!(memory.connector, SourceConnector::Memory { topic: "m".into() });
    let memory = sink("m", &[("m.type", "memory"), ("m.topic", "x"), ("m.partitions", "4")]).unwrap().unwrap();
    assert_eq!(memory.connector, SinkConnector::Memory { topic: "x".into(), partitions: 4 });
}

#[test]
fn sinks() {
    let file = |path: &str, append, compression| SinkConnector::File { path: path.into(), append, compression };
    let check = |name: &str, pairs: &[(&str, &str)], connector, format| {
        let spec = sink(name, pairs).unwrap().unwrap();
        assert_eq!((spec.connector, spec.format), (connector, format), "{name} {pairs:?}");
    };
    let csv = |delimiter, header| SinkFormat::Csv { delimiter, header };
    check("o", &[("path", "o.txt")], file("app/o.txt", false, Compression::None), SinkFormat::JsonLines);
    check("o", &[("o.path", "o.csv.gz")], file("app/o.csv.gz", false, Compression::Gzip), csv(b',', true));
    check("out/o.jsonl", &[], file("app/out/o.jsonl", false, Compression::None), SinkFormat::JsonLines);
    check(
        "o",
        &[
            ("o.type", "file_sink"),
            ("o.path", "x"),
            ("o.format", "csv"),
            ("o.append_if_exists", "true"),
            ("o.csv_delimiter", "\\t"),
            ("o.csv_has_header", "false"),
            ("o.compression", "zstd"),
        ],
        file("app/x", true, Compression::Zstd),
        csv(b'\t', false),
    );
    check("o", &[("o.type", "stdout"), ("o.format", "table")], SinkConnector::Stdout, SinkFormat::Table);
    assert_eq!(sink("o", &[("t.path", "in.csv"), ("event.time.field", "ts")]), Ok(None));
}

#[test]
fn errors_say_what_to_do() {
    let check = |found: String, parts: &[&str]| {
        for part in parts {
            assert!(found.contains(part), "{part:?} is not in: {found}");
        }
    };
    check(source_error("trades", &[]), &["E0501", "trades", "trades.path", "CREATE STREAM trades"]);
    check(source_error("t", &[("t.type", "file")]), &["E0512", "give \"t.path\""]);
    check(
        source_error("t", &[("t.type", "fil_source"), ("t.path", "x.csv")]),
        &["E0511", "did you mean \"file_source\"?"],
    );
    check(source_error("t", &[("t.type", "file_sink"), ("t.path", "x.csv")]), &["E0511", "it is for sinks"]);
    check(sink_error("t", &[("t.type", "file_source"), ("t.path", "x.csv")]), &["E0511", "it is for sources"]);
    check(source_error("t.txt", &[]), &["E0515", "t.txt", ".csv"]);
    check(source_error("t.csv", &[("watch", "maybe")]), &["E0513", "\"watch\"", "\"maybe\"", "true or false"]);
    check(source_error("t.csv", &[("delimiter", ";;")]), &["E0513", "one ASCII character"]);
    check(source_error("t.csv", &[("watermark.idle.timeout", "5 parsecs")]), &["E0513", "unknown unit \"parsecs\""]);
    check(source_error("t.csv", &[("event.time.format", "yyyy-MM-dd")]), &["E0513", "strftime"]);
    check(source_error("t.csv", &[("format", "csv_no_header"), ("header", "true")]), &["E0520"]);
    check(source_error("file://../../etc/passwd", &[]), &["E0517"]);
    check(source_error("http://x/y.csv", &[]), &["E0516", "http"]);
    check(source_error("t", &[("t.path", "${NOPE}")]), &["E0518", "NOPE", "${NOPE:default}"]);
    check(source_error("t", &[("t.path", "${NOPE:?where is it}")]), &["E0518", "where is it"]);
    check(source_error("t", &[("t.path", "${NOPE")]), &["E0519"]);
    check(sink_error("t", &[("t.path", "a*.csv")]), &["E0513", "pattern"]);
    // Several at once.
    let two = source_error("t.csv", &[("quote", "ab"), ("watermark.strategy", "magic")]);
    check(two, &["quote"]);
}

#[test]
fn what_is_not_built_says_so() {
    let check = |found: String, what: &str| {
        assert!(found.contains("E0902") && found.contains(&format!("{what} is not supported yet")), "{what}: {found}");
    };
    check(sink_error("t", &[("t.type", "kafka_sink"), ("t.key.format", "avro")]), "the key format avro");
    check(sink_error("s3://b/x", &[]), "writing to s3");
    check(sink_error("t", &[("t.type", "iceberg_sink")]), "writing to iceberg");
    check(source_error("t.parquet", &[]), "the format parquet");
    check(source_error("t.csv", &[("value.format", "avro")]), "the format avro");
    check(source_error("t.csv", &[("recursive", "true")]), "property \"recursive\"");
    check(sink_error("o.csv", &[("compression", "snappy")]), "compression = snappy");
    check(sink_error("out-%Y-%m.csv", &[]), "a strftime pattern in a sink's path");
    assert!(source("t.csv", &[("recursive", "false"), ("file.wait.timeout", "0")]).is_ok());
}

/// Findings of `finish` after resolving source `trades` and sink `out`.
fn finish(pairs: &[(&str, &str)]) -> Vec<String> {
    let entries = with(pairs);
    let mut r = resolver(Path::new("app"));
    r.source("trades", SPAN, &entries).unwrap();
    r.sink("out", SPAN, &entries).unwrap();
    lines(&r.finish())
}

#[test]
fn unknown_keys_are_told_once_at_the_end() {
    let path = ("trades.path", "t.csv");
    let check = |key: &str, expect: &str| {
        let found = finish(&[path, (key, "1")]);
        assert_eq!(found.len(), usize::from(!expect.is_empty()), "{found:?}");
        assert!(found.iter().all(|f| f.starts_with(expect)), "{found:?}");
    };
    check("dlq.enabled", "");
    check("kafka.fetch.min.bytes", "");
    check("sink.compresion", "E0514: property \"compresion\" is not known | did you mean \"compression\"?");
    check("trades.pth", "E0514: property \"pth\" is not known | did you mean \"path\"?");
    check("evnt.time.field", "E0514: property \"evnt.time.field\" is not known | did you mean \"event.time.field\"?");
    check(
        "trade.path",
        "E0514: property \"trade.path\" belongs to no relation of the app | did you mean \"trades.path\"?",
    );
    check(
        "orders.path",
        "W0514: property \"orders.path\" belongs to no relation of the app | relations are out, trades",
    );
    check("sparkle", "W0514: property \"sparkle\" is not known");
    check("@metric", "W0513: \"@metric\" in WITH has no effect");
}

#[test]
fn warnings() {
    let check = |pair: (&str, &str), expect: &str| {
        let found = finish(&[("trades.path", "t.csv"), pair]);
        assert!(found.len() == 1 && found[0].starts_with(expect), "{found:?}");
    };
    check(("trades.event.time.field", "ts"), "W0511");
    check(("trades.watermark.idle.timeout", "5s"), "W0513: \"watermark.idle.timeout\" has no effect on an input that");
    check(("trades.auto.offset.reset", "earliest"), "W0513: \"trades.auto.offset.reset\" has no effect on this source");
    check(("mode", "adaptive"), "W0513: property \"mode\" has no effect yet");
    check(("out.format", "csv"), "W0513: \"out.format\" has no effect: nothing says where");
    let both = finish(&[("trades.path", "t.csv"), ("trades.watch", "false"), ("trades.watching", "true")]);
    assert_eq!(
        both,
        ["W0512: \"trades.watching\" is overridden by \"trades.watch\" | both are spellings of \"watch\"; \
         its value is \"false\" | remove one of them"]
    );
}

#[test]
fn properties_of_an_object_of_the_app_belong_to_its_statement() {
    let mut r = resolver(Path::new("app"));
    r.sink("middle", SPAN, &[]).unwrap();
    r.source("t.csv", SPAN, &with(&[("middle.path", "x.csv")])).unwrap();
    assert_eq!(
        lines(&r.finish()),
        [
            "W0513: \"middle.path\" has no effect here | \"middle\" is made by a statement of the app; give its properties there"
        ]
    );
}

#[test]
fn a_repeated_error_is_told_once() {
    let mut r = resolver(Path::new("app"));
    assert_eq!(r.source("trades", SPAN, &[]).unwrap_err().len(), 1);
    assert_eq!(r.source("trades", SPAN, &[]).unwrap_err().len(), 0);
}

#[test]
fn follow_tails_files_that_do_not_object() {
    let mut r = Resolver::new(PathBuf::new(), &env, Vec::new(), true);
    let mut watch = |pairs: &[(&str, &str)]| {
        matches!(r.source("t.csv", SPAN, &with(pairs)).unwrap().connector, SourceConnector::File { watch: true, .. })
    };
    assert!(watch(&[]) && !watch(&[("watch", "false")]));
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn config_files_and_their_parents() {
    let dir = folder(&[
        ("conf/base.yaml", "datasource:\n  type: file_source\n  path: base.csv\n  delimiter: ';'\n  quote: \"'\"\n"),
        ("conf/more.yaml", "datasource:\n  delimiter: '|'\n"),
        ("conf/trades.yaml", "extends: [base.yaml, more.yaml]\ndatasource:\n  path: ${DATA}/t.csv\n  quote: null\n"),
    ]);
    let mut r = resolver(dir.path());
    let entries = with(&[("trades.config_file", "conf/trades.yaml"), ("trades.skip_lines", "1")]);
    let spec = r.source("trades", SPAN, &entries).unwrap();
    assert_eq!(spec.connector, file(dir.path().join("in/t.csv").to_str().unwrap()));
    assert_eq!(spec.format, Format::Csv { delimiter: b'|', quote: b'"', header: true, skip_lines: 1 });
    assert_eq!(lines(&r.finish()), [""; 0]);

    let origin = |key: &str| {
        let found = r.origins().iter().find(|o| o.key == key).unwrap();
        (found.value.clone(), found.origin.replace(&format!("{}/", dir.path().display()), ""))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(origin("path"), pair("in/t.csv", "conf/trades.yaml:3"));
    assert_eq!(origin("delimiter"), pair("|", "conf/more.yaml:2"));
    assert_eq!(origin("skip_lines"), pair("1", "WITH"));
    assert_eq!(origin("format"), pair("csv", "the file's extension"));
    assert_eq!(origin("watermark.idle.timeout"), pair("60s", "default"));
}

/// What a config file names stands beside it or beside the SQL file; what the SQL names, beside the SQL file.
#[test]
fn paths_of_a_config_file_begin_there() {
    let dir = folder(&[
        ("conf/names.yaml", "data_source:\n  path: names.csv\n"),
        ("conf/names.csv", "id\n"),
        ("names.csv", "id\n"),
        ("conf/others.yaml", "file:\n  path: others.csv\n"),
        ("others.csv", "id\n"),
        ("conf/none.yaml", "datasource:\n  type: file_source\n  path: none.csv\n"),
    ]);
    let read = |name: &str, entries: &[(&str, &str)]| {
        let mut r = resolver(dir.path());
        match r.source(name, SPAN, &with(entries)).unwrap().connector {
            SourceConnector::File { pattern, .. } => pattern.strip_prefix(dir.path()).unwrap().display().to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read("names", &[("names.config_file", "conf/names.yaml")]), "conf/names.csv");
    assert_eq!(read("others", &[("others.config_file", "conf/others.yaml")]), "others.csv", "only there");
    assert_eq!(read("none", &[("none.config_file", "conf/none.yaml")]), "none.csv");
    let own = [("names.config_file", "conf/names.yaml"), ("names.path", "names.csv")];
    assert_eq!(read("names", &own), "names.csv");
}

#[test]
fn config_file_mistakes_have_a_place() {
    let dir = folder(&[
        ("a.yaml", "extends: b.yaml\n"),
        ("b.yaml", "extends:\n  - c.yaml\n"),
        ("c.yaml", "extends: b.yaml\n"),
        ("bad.yaml", "path: x.csv\nlist: [1, 2\n"),
        ("list.yaml", "- 1\n"),
        ("value.yaml", "path: x.csv\nformat: cvs\n"),
        ("typo.yaml", "path: x.csv\nfile.pth: y\nglobal:\n  whatever: 1\n"),
        ("trades.yaml", ""),
    ]);
    let error = |file: &str| {
        let mut r = resolver(dir.path());
        let found = r.source("t", SPAN, &with(&[("t.config_file", file)])).unwrap_err();
        let text = crate::diag::render(&found[0], "app.sql", "", false);
        text.replace(&format!("{}/", dir.path().display()), "")
    };
    let check = |file: &str, parts: &[&str]| {
        let found = error(file);
        for part in parts {
            assert!(found.contains(part), "{part:?} is not in:\n{found}");
        }
    };
    check("a.yaml", &["E0604", "b.yaml -> c.yaml -> b.yaml", "c.yaml:1:10"]);
    check("trade.yaml", &["E0601", "\"trade.yaml\"", "looked for ", "did you mean \"trades.yaml\"?", "app.sql"]);
    check("bad.yaml", &["E0603", "--> bad.yaml:"]);
    check("list.yaml", &["E0605"]);
    check("", &["E0602", "it is no file"]);
    check("value.yaml", &["E0515", "value.yaml:2:9", "2 | format: cvs", "^^^", "did you mean \"csv\"?"]);
    check("trades.yaml", &["E0501"]);

    let mut r = resolver(dir.path());
    r.source("t", SPAN, &with(&[("config_file", "typo.yaml")])).unwrap();
    let found = r.finish();
    assert_eq!(found[0].code, "E0514", "{found:?}");
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].primary.as_ref().unwrap().origin.as_ref().unwrap().name,
        dir.path().join("typo.yaml").display().to_string()
    );
}

#[test]
fn secrets_are_masked() {
    let target = Target { name: "t", span: SPAN, side: Side::Source };
    let context = Context { base_dir: Path::new("."), follow: false, brokers: None, text: None };
    let mut reader = Reader::new(&target, Gathered::default(), context);
    reader.note("sasl.password", "hunter2", &Giver::With);
    assert_eq!(reader.into_findings().1[0].value, "***");
}
