//! Tests of `annotations`.

use super::*;

fn env(name: &str) -> Option<String> {
    (name == "HOST").then(|| "node-1".to_owned())
}

/// Reads `text`, whose statements are the pieces between `;` that start with SELECT.
fn read(text: &str) -> (AppAnnotations, Vec<StatementAnnotations>, Vec<String>) {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("SELECT").map(|n| from + n) {
        let end = text[start..].find(';').map_or(text.len(), |n| start + n + 1);
        spans.push(Span::new(start as u32, end as u32));
        from = end;
    }
    let (app, statements, diagnostics) = parse_annotations(text, &spans, &env);
    let lines = diagnostics.iter().map(|d| {
        let hint = d.hint.clone().or_else(|| d.detail.clone()).unwrap_or_default();
        format!("{} {}: {} | {hint}", d.statement.unwrap_or(0), d.code, d.message)
    });
    (app, statements, lines.collect())
}

fn pairs(entries: &[Annotation]) -> Vec<(&str, &str)> {
    entries.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect()
}

#[test]
fn the_head_is_the_app_and_the_rest_its_statement() {
    let text = "-- @application: Clicks # the demo\n-- @version: '2.0'\n-- @deployment.node_id: ${NODE|HOST:x}\n\
                -- @tags: a, b,,c\n-- @name: first\n\n-- @batch-size: 10\nSELECT 1;\n\n\
                -- @version: 3\n\n-- @name: second\nSELECT 2\n  -- @partition-count: 4\n;\n";
    let (app, statements, found) = read(text);
    assert_eq!(found, [""; 0]);
    assert_eq!(
        pairs(&app.entries),
        [("app", "Clicks"), ("version", "2.0"), ("deployment.node_id", "node-1"), ("tags", "a, b,,c")]
    );
    assert_eq!((app.app_name(), app.list("tags")), (Some("Clicks"), vec!["a", "b", "c"]));
    assert_eq!(pairs(&statements[0].entries), [("name", "first"), ("batch_size", "10")]);
    assert_eq!(pairs(&statements[1].entries), [("version", "3"), ("name", "second"), ("num_partitions", "4")]);
    assert_eq!(statements[0].effective(&app, "version"), Some("2.0"));
    assert_eq!(statements[1].effective(&app, "version"), Some("3"));
    assert_eq!(&text[app.entries[0].span.start as usize..][..13], "@application:");
}

#[test]
fn older_headers() {
    let text = "-- SQL Application: Old App\n-- Version: 1.2\n-- Tag: team:data\n-- Tag: tier:1\n-- Property: a=b\n\
                -- Name: job-1\nSELECT 1;\n-- Version: 9\n-- Name: job 2\nSELECT 2;";
    let (app, statements, found) = read(text);
    assert_eq!(found, [""; 0]);
    let expect = [("app", "Old App"), ("version", "1.2"), ("tag", "team:data"), ("tag", "tier:1"), ("property", "a=b")];
    assert_eq!(pairs(&app.entries), expect);
    assert_eq!((statements[0].job_name(), statements[1].job_name()), (Some("job-1"), None));
    // Without the title line they are comments; annotations count more than headers.
    assert_eq!(read("-- Version: 1\nSELECT 1").0.entries, []);
    let (app, statements, _) = read("-- @app: new\n-- SQL Application: old\n-- @name: x\n-- Name: y\nSELECT 1");
    assert_eq!((app.app_name(), statements[0].job_name()), (Some("new"), Some("x")));
}

#[test]
fn mistakes() {
    let check = |text: &str, expect: &str| {
        let (_, _, found) = read(text);
        assert_eq!(found, [expect], "{text}");
    };
    check("-- @nme: x\nSELECT 1;", "1 W0701: annotation \"@nme\" is not known | did you mean \"@name\"?");
    check(
        "-- @todo later\nSELECT 1;",
        "1 W0701: annotation \"@todo\" is not known | it has no effect; a comment may not start with @",
    );
    check("-- @name x\nSELECT 1;", "1 E0701: annotation \"@name\" has no colon | write -- @name: value");
    check("-- @job_mod simple\nSELECT 1;", "1 E0701: annotation \"@job_mod\" has no colon | write -- @job_mode: value");
    check(
        "-- @batch_size: 0\nSELECT 1;",
        "1 E0702: annotation \"@batch_size\" has the bad value \"0\" | expected a whole number of at least 1",
    );
    check("-- @app:\nSELECT 1;", "1 E0702: annotation \"@app\" has the bad value \"\" | expected a value");
    check(
        "-- @app: ${NOPE}\nSELECT 1;",
        "1 E0518: the annotation needs the variable NOPE: it is not set | set it, or write a default: ${NOPE:default}",
    );
    check("-- @app: ${NOPE\nSELECT 1;", "1 E0519: the annotation has a malformed variable: \"${\" has no \"}\" | ");
    check(
        "SELECT 1;\n-- @app: x\nSELECT 2;",
        "2 W0702: annotation \"@app\" has no effect here | put it at the head of the file, in front of the first statement",
    );
    check(
        "SELECT 1;\n-- @name: x",
        "0 W0702: annotation \"@name\" belongs to no statement | put it in front of the statement it is about",
    );
}

#[test]
fn metrics() {
    let text = "-- @metric: rows_total\n-- @metric_type: counter\n-- @metric_labels: user, geo.city\n\
                -- @metric: latency\n-- @metric_type: Histogram\n-- @metric_field: ms\n-- @metric_buckets: [1, 5, 10]\n\
                -- @metric_condition: status = 'a # b'\n-- @metric_sample_rate: 0.5\nSELECT 1;";
    let (_, statements, found) = read(text);
    assert_eq!(found, [""; 0]);
    let [rows, latency] = statements[0].metrics.as_slice() else { panic!("two metrics") };
    assert_eq!(
        (rows.kind, rows.labels.as_slice()),
        (MetricKind::Counter, ["user".to_owned(), "geo.city".to_owned()].as_slice())
    );
    assert_eq!((rows.sample_rate, rows.buckets.len()), (1.0, 11));
    assert_eq!((latency.kind, latency.field.as_deref()), (MetricKind::Histogram, Some("ms")));
    assert_eq!((latency.buckets.as_slice(), latency.sample_rate), ([1.0, 5.0, 10.0].as_slice(), 0.5));
    assert_eq!(latency.condition.as_ref().unwrap().0, "status = 'a # b'");
}

#[test]
fn parts_of_a_wrong_metric_do_not_reach_the_one_before() {
    let text = "-- @metric: a\n-- @metric_type: counter\n-- @metric: 1b\n-- @metric_type: gauge\nSELECT 1;";
    let (_, statements, found) = read(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(statements[0].metrics[0].kind, MetricKind::Counter);
}

#[test]
fn metric_mistakes() {
    let text = "-- @metric_type: counter\n-- @metric: a\n-- @metric_type: gauge\n-- @metric: 1b\nSELECT 1;\n\
                -- @metric_help: x\n-- @metric: a\n-- @metric: c\n-- @metric_buckets: 2, 1\nSELECT 2;";
    let (_, statements, found) = read(text);
    assert!(statements.iter().all(|s| s.metrics.is_empty()));
    let codes: Vec<&str> = found.iter().map(|f| &f[..7]).collect();
    assert_eq!(codes, ["1 E0704", "1 E0705", "1 E0702", "2 E0704", "2 E0703", "2 E0705", "2 E0702"], "{found:#?}");
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "(-- @?[a-z_.]{0,6}:? ?[#'é${}]{0,3}\n|SELECT 1;|'|\"|/\\*|\n){0,12}", a in 0u32..200, b in 0u32..200) {
        parse_annotations(&text, &[Span::new(a, a + 5), Span::new(a + b + 5, a + b + 9)], &env);
    }
}
