//! Goldens of all writers, and the writers against their schemas.

mod json_schema;
mod xml;

use serde_json::Value as Json;

use super::{AppResult, JSON_SCHEMA, JUNIT_SCHEMA, QueryReport, Report, Status, Style, Suite};
use super::{json, junit, suite_json, suite_junit, suite_text, text};
use crate::check::tests::outcomes;

fn report(queries: Vec<QueryReport>) -> Report {
    Report {
        application: "trades & more".to_owned(),
        run_id: "19a1f".to_owned(),
        start_time: "2026-01-01T00:00:00Z".to_owned(),
        end_time: "2026-01-01T00:00:01Z".to_owned(),
        duration_ms: 1_234,
        seed: 42,
        engine: super::Engine::default(),
        queries,
        warnings: Vec::new(),
    }
}

/// A query of each status; names and messages with what formats have to escape.
fn every_status() -> Report {
    let all = outcomes();
    let failing = all.iter().find(|(held, _)| held.kind == "field_values").map(|(_, failed)| failed.clone());
    let passing = all.first().map(|(held, _)| held.clone());
    let counted = |mut query: QueryReport| {
        query.duration_ms = 17;
        query.inputs = vec![("orders".to_owned(), 5)];
        query.outputs = vec![("trades".to_owned(), 4)];
        query
    };
    let mut report = report(vec![
        counted(QueryReport::of("passing", passing.clone().into_iter().collect())),
        counted(QueryReport::of("failing <\"it\" & 'that'>", failing.into_iter().chain(passing).collect())),
        QueryReport {
            name: "stopped".to_owned(),
            status: Status::Error,
            error: Some("line 1\nline 2 \u{7} <&>".to_owned()),
            ..QueryReport::default()
        },
        QueryReport {
            name: "later".to_owned(),
            status: Status::Skipped,
            warnings: vec!["no assertions".to_owned()],
            ..QueryReport::default()
        },
    ]);
    report.warnings = vec!["`debug` is not done yet".to_owned()];
    report
}

fn several() -> Suite {
    let passed = report(vec![QueryReport::of("q", vec![outcomes()[0].0.clone()])]);
    Suite {
        title: "all <apps>".to_owned(),
        start_time: "2026-01-01T00:00:00Z".to_owned(),
        end_time: "2026-01-01T00:00:03Z".to_owned(),
        duration_ms: 3_000,
        apps: vec![
            AppResult { name: "fine".to_owned(), duration_ms: 1_000, error: None, report: Some(passed) },
            AppResult { name: "not fine".to_owned(), duration_ms: 1_500, error: None, report: Some(every_status()) },
            AppResult {
                name: "broken".to_owned(),
                duration_ms: 20,
                error: Some("broken.sql: line 1: no".to_owned()),
                report: None,
            },
        ],
    }
}

/// One query a kind of assertion: the one that holds, the one that does not.
#[test]
fn every_kind_of_assertion_as_text() {
    let queries = outcomes().into_iter().map(|(held, failed)| QueryReport::of(held.kind, vec![held, failed])).collect();
    insta::assert_snapshot!(text(&report(queries), Style::default()));
}

#[test]
fn every_status_in_every_format() {
    let report = every_status();
    insta::assert_snapshot!("status_text", text(&report, Style::default()));
    insta::assert_snapshot!("status_json", json(&report));
    insta::assert_snapshot!("status_junit", junit(&report));
}

#[test]
fn several_apps_in_every_format() {
    let suite = several();
    insta::assert_snapshot!("suite_text", suite_text(&suite, Style::default()));
    insta::assert_snapshot!("suite_json", suite_json(&suite));
    insta::assert_snapshot!("suite_junit", suite_junit(&suite));
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let report = every_status();
    assert!(!text(&report, Style::default()).contains('\u{1b}'));
    let coloured = text(&report, Style { colour: true });
    assert!(coloured.contains("\u{1b}[32m✓\u{1b}[0m") && coloured.contains("\u{1b}[31m✗\u{1b}[0m"));
}

#[test]
fn text_of_records_cannot_move_the_cursor() {
    let mut report = every_status();
    report.queries[0].assertions[0].message = "a\u{1b}[2Jb\r".to_owned();
    let text = text(&report, Style::default());
    assert!(!text.contains('\u{1b}') && !text.contains('\r'));
}

#[test]
fn json_keeps_to_its_schema() {
    let schema: Json = serde_json::from_str(JSON_SCHEMA).expect("JSON");
    let queries = outcomes().into_iter().map(|(held, failed)| QueryReport::of(held.kind, vec![held, failed])).collect();
    for text in [json(&report(queries)), json(&every_status()), suite_json(&several())] {
        let value: Json = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json_schema::violations(&schema, &schema, &value, "$"), Vec::<String>::new());
    }
    let mut wrong: Json = serde_json::from_str(&json(&every_status())).expect("JSON");
    wrong["queries"][0]["status"] = "fine".into();
    assert!(!json_schema::violations(&schema, &schema, &wrong, "$").is_empty());
}

#[test]
fn junit_keeps_to_its_schema() {
    let schema = xml::parse(JUNIT_SCHEMA).expect("a well-formed schema");
    for text in [junit(&every_status()), suite_junit(&several())] {
        let document = xml::parse(&text).expect("well-formed");
        assert_eq!(xml::violations(&schema, &document), Vec::<String>::new());
    }
    let wrong = xml::parse("<testsuites name='a'><testcase/></testsuites>").expect("well-formed");
    assert_eq!(
        xml::violations(&schema, &wrong).len(),
        8,
        "five missing attributes of three and four, an element astray"
    );
    assert!(xml::parse("<a><b></a>").is_err() && xml::parse("<a x='&'/>").is_err() && xml::parse("<a>").is_err());
}

#[test]
fn junit_gives_text_back_unchanged_but_for_control_characters() {
    let document = xml::parse(&junit(&every_status())).expect("well-formed");
    let cases = &document.children[0].children;
    let attribute = |element: &xml::Element, name: &str| element.attributes.get(name).cloned();
    assert_eq!(attribute(&cases[1], "name").as_deref(), Some("failing <\"it\" & 'that'>"));
    assert_eq!(attribute(&cases[2].children[0], "message").as_deref(), Some("line 1\nline 2  <&>"));
}

/// Without what was measured, two runs of one seed are the same bytes.
#[test]
fn runs_differ_only_where_they_may() {
    fn without(value: &mut Json) {
        const MEASURED: [&str; 6] = ["run_id", "start_time", "end_time", "duration_ms", "duration_secs", "measured"];
        match value {
            Json::Object(members) => {
                MEASURED.iter().for_each(|name| drop(members.shift_remove(*name)));
                members.values_mut().for_each(without);
            }
            Json::Array(values) => values.iter_mut().for_each(without),
            _ => {}
        }
    }
    let run = |duration_ms: u64, shift: f64| {
        let mut queries: Vec<QueryReport> =
            outcomes().into_iter().map(|(held, failed)| QueryReport::of(held.kind, vec![held, failed])).collect();
        for outcome in queries.iter_mut().flat_map(|query| &mut query.assertions) {
            outcome.measured.values_mut().for_each(|value| *value = (value.as_f64().unwrap_or(0.0) + shift).into());
        }
        let report = Report { duration_ms, run_id: format!("r{shift}"), ..report(queries) };
        let mut value: Json = serde_json::from_str(&json(&report)).expect("JSON");
        without(&mut value);
        value.to_string()
    };
    assert_eq!(run(1, 0.0), run(2, 1.0));
}
