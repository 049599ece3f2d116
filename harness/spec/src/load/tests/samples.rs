//! Files with every key, and what comes of them.

use std::collections::BTreeSet;

use insta::{assert_debug_snapshot, assert_snapshot};
use velostream_types::Value;

use super::super::schema_keys::SCHEMA;
use super::super::shape::{Object, Shape, TAG};
use super::super::spec_keys::SPEC;
use super::super::tree::{self, Kind, Node};
use super::{drawn, load, load_schema};
use crate::assertion::{AssertionKind, CountBounds, FieldOperator, MetricType, View};
use crate::spec::TimeSimulation;

/// Files that have every key between them.
pub const SPEC_TEXT: &str = include_str!("full.test.yaml");
pub const SCHEMA_TEXT: &str = include_str!("full.schema.yaml");

#[test]
fn every_key_of_a_spec() {
    let loaded = load(SPEC_TEXT);
    let mut spec = loaded.value.expect("no errors");
    // Places are tested on their own, and would change with every line of the file.
    spec.later.clear();
    let text = format!("{spec:#?}");
    let lines: Vec<&str> = text.lines().collect();
    assert_snapshot!(without_spans(&lines));
    assert!(loaded.findings.iter().all(|finding| finding.code == "T0502"), "{}", drawn(&loaded.findings, ""));
}

#[test]
fn every_key_of_a_schema() {
    let loaded = load_schema(SCHEMA_TEXT);
    assert_eq!(drawn(&loaded.findings, ""), "");
    let text = format!("{:#?}", loaded.value.expect("no errors"));
    assert_snapshot!(without_spans(&text.lines().collect::<Vec<_>>()));
}

/// The lines of a value without those of its spans, which take four each.
fn without_spans(lines: &[&str]) -> String {
    let mut out = String::new();
    let mut skipped = 0;
    for line in lines {
        if line.trim() == "span: Span {" {
            skipped = 4;
        }
        if skipped > 0 {
            skipped -= 1;
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn defaults() {
    let text = "application: shop\nqueries:\n  - name: q\n    inputs:\n      - source: a\n        time_simulation: {}\n    \
                assertions:\n";
    let assertions = [
        "type: no_nulls",
        "type: aggregate_check, function: SUM, field: a, expected: '1'",
        "type: throughput, expected_records_per_second: 1",
        "type: error_rate, max_rate: 1",
        "type: no_duplicates, key_fields: [a]",
        "type: ordering, field: a",
        "type: completeness, input_source: a, key_field: b",
        "type: file_row_count, path: a, equals: 1",
        "type: file_row_count, path: a, equals: 1, format: CsvNoHeader",
        "type: file_contains, path: a, field: b, expected_values: [c]",
        "type: file_matches, actual_path: a, expected_path: b",
        "type: window_boundary",
        "type: latency, max_latency_ms: 1",
        "type: distribution, field: a, distribution_type: normal",
        "type: percentile, field: a, p50: 1",
        "type: event_ordering, timestamp_field: a",
        "type: metric_counter, name: a, value: 1",
        "type: metric_gauge, name: a, value: 1",
    ];
    let lines: String = assertions.iter().map(|assertion| format!("      - {{{assertion}}}\n")).collect();
    let loaded = load(&format!("{text}{lines}"));
    assert_eq!(drawn(&loaded.findings, ""), "");
    let spec = loaded.value.expect("no errors");
    assert_eq!((spec.default_timeout_ms, spec.default_records, spec.now_ms), (None, None, None));
    assert_eq!(spec.topic_naming, crate::spec::TopicNaming::default());
    let query = &spec.queries[0];
    let kinds: Vec<&AssertionKind> = query.assertions.iter().map(|assertion| &assertion.kind).collect();
    assert_debug_snapshot!((&query.inputs[0].time, kinds));
}

#[test]
fn an_empty_section_has_the_defaults() {
    let spec = load("application: shop\ntopic_naming: {}\nqueries: []\n").value.expect("no errors");
    assert_eq!(spec.topic_naming, crate::spec::TopicNaming::default());
}

#[test]
fn other_spellings_of_keys_and_words() {
    let kind = |keys: &str| {
        let text = format!(
            "application: a\nqueries:\n  - name: q\n    inputs: []\n    assertions:\n      - {{type: {keys}}}\n"
        );
        let loaded = load(&text);
        assert_eq!(drawn(&loaded.findings, ""), "");
        loaded.value.expect("no errors").queries.remove(0).assertions.remove(0).kind
    };
    let at_least = CountBounds { min: Some(5), ..CountBounds::default() };
    for keys in ["record_count, greater_than_or_equal: 5", "record_count, greater_than_or_equals: 5"] {
        assert_eq!(kind(keys), AssertionKind::RecordCount { bounds: at_least.clone(), expression: None });
    }
    let bounds = CountBounds { greater_than: Some(0), less_than: Some(50), ..CountBounds::default() };
    let expect = AssertionKind::DlqCount { topic: None, bounds, error_types: Vec::new() };
    assert_eq!(kind("dlq_count, greater_than: 0, less_than: 50"), expect);
    let expect = AssertionKind::Throughput { min: Some(100.0), max: None, expected: None, tolerance_percent: 20.0 };
    assert_eq!(kind("throughput, greater_than: 100"), expect);
    let expect = AssertionKind::MetricExists { name: "a".into(), metric_type: Some(MetricType::Gauge) };
    assert_eq!(kind("metric_exists, name: a, expected_type: gauge"), expect);
    for word in ["greater_than_or_equal", "greater_than_or_equals"] {
        let found = kind(&format!("field_values, field: a, operator: {word}, value: 0"));
        let operator = FieldOperator::GreaterThanOrEquals;
        assert_eq!(found, AssertionKind::FieldValues { field: "a".into(), operator, value: Value::Int(0) });
    }
}

#[test]
fn a_rate_of_the_input_is_that_of_its_times() {
    let text = "application: a\nqueries:\n  - name: q\n    inputs:\n      - source: a\n        rate_per_second: 50\n        \
                time_simulation: {}\n    skip: true\n";
    let spec = load(text).value.expect("only warnings");
    let rate = |time: &Option<TimeSimulation>| time.as_ref().and_then(|time| time.events_per_second);
    assert_eq!(rate(&spec.queries[0].inputs[0].time), Some(50.0));
    let spec = load(&text.replace("{}", "{events_per_second: 5}")).value.expect("only warnings");
    assert_eq!(rate(&spec.queries[0].inputs[0].time), Some(5.0));
}

/// Marks the keys of the tables that a file has.
fn mark(node: &Node, shape: Shape, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    match shape {
        Shape::List(of) => node.items().iter().for_each(|item| mark(item, *of, seen)),
        Shape::Object(object) => mark_object(node, object, seen),
        Shape::Tagged(tagged) => {
            let tag = node.entries().iter().find(|entry| entry.key == TAG).and_then(|entry| entry.value.text());
            let object = tagged.variants.iter().find(|(name, _)| Some(*name) == tag.as_deref());
            object.iter().for_each(|(_, object)| mark_object(node, object, seen));
        }
        Shape::Variant(variants) => {
            for variant in variants {
                let inner = node.entries().iter().find(|entry| entry.key == variant.name);
                if let (Some(entry), Some(object)) = (inner, variant.object) {
                    mark_object(&entry.value, object, seen);
                }
                if inner.is_some() || matches!(&node.kind, Kind::Text(word) if word == variant.name) {
                    seen.insert(("variant", variant.name));
                }
            }
        }
        _ => {}
    }
}

fn mark_object(node: &Node, object: &'static Object, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    for key in object.keys {
        if let Some(entry) = node.entries().iter().find(|entry| entry.key == key.name) {
            seen.insert((object.name, key.name));
            mark(&entry.value, key.shape, seen);
        }
    }
}

/// All keys of an object and of those below it.
fn all(shape: Shape, keys: &mut BTreeSet<(&'static str, &'static str)>) {
    match shape {
        Shape::List(of) => all(*of, keys),
        Shape::Object(object) => {
            for key in object.keys {
                keys.insert((object.name, key.name));
                all(key.shape, keys);
            }
        }
        Shape::Tagged(tagged) => tagged.variants.iter().for_each(|(_, object)| all(Shape::Object(object), keys)),
        Shape::Variant(variants) => {
            for variant in variants {
                keys.insert(("variant", variant.name));
                variant.object.iter().for_each(|object| all(Shape::Object(object), keys));
            }
        }
        _ => {}
    }
}

#[test]
fn only_assertions_about_records_take_the_view_of_their_query() {
    let text = "\
application: a
queries:
  - name: q
    view: final
    inputs: []
    assertions:
      - {type: record_count, equals: 1}
      - {type: record_count, equals: 1, view: changes}
      - {type: throughput, min_records_per_second: 1}
      - {type: error_rate, max_rate: 0.1}
";
    let spec = load(text).value.expect("a spec");
    let views: Vec<View> = spec.queries[0].assertions.iter().map(|assertion| assertion.view).collect();
    assert_eq!(views, [View::Final, View::Changes, View::Changes, View::Changes]);
}

#[test]
fn the_samples_have_every_key_of_the_tables() {
    for (text, object) in [(SPEC_TEXT, &SPEC), (SCHEMA_TEXT, &SCHEMA)] {
        let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
        mark(&tree::read(text).expect("YAML"), Shape::Object(object), &mut seen);
        all(Shape::Object(object), &mut known);
        let missing: Vec<_> = known.difference(&seen).collect();
        assert!(missing.is_empty(), "not in the sample of {}: {missing:?}", object.name);
    }
}
