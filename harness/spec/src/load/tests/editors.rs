//! The JSON Schemas against files that loading takes and refuses.

#[path = "../../../../../engine/sql/tests/json_schema/mod.rs"]
mod json_schema;

use serde_json::Value;

use super::super::json_schema::{data_schema, spec};
use super::super::schema_keys::SCHEMA;
use super::super::shape::{Object, Shape};
use super::super::spec_keys::SPEC;
use super::samples::{SCHEMA_TEXT, SPEC_TEXT};
use super::{load, load_schema};
use json_schema::Validator;

fn accepts(schema: &Value, text: &str) -> bool {
    let instance: Value = serde_saphyr::from_str(text).expect("YAML");
    Validator { root: schema }.accepts(schema, &instance)
}

#[test]
fn the_samples_are_accepted() {
    assert!(accepts(&spec(), SPEC_TEXT));
    assert!(accepts(&data_schema(), SCHEMA_TEXT));
}

#[test]
fn specs_that_loading_complains_about_are_refused() {
    let schema = spec();
    let query = |keys: &str| format!("application: a\nqueries:\n  - name: q\n    skip: true\n    {keys}\n");
    let good = [
        query("inputs: []"),
        query("inputs: []\n    assertions:"),
        query("inputs: [{source: a, time_simulation: {start_time: -4h}}]"),
        query("inputs: []\n    assertions: [{type: record_count, greater_than_or_equal: 5}]"),
    ];
    for text in good {
        assert!(accepts(&schema, &text), "{text}");
        assert!(load(&text).findings.is_empty(), "{text}");
    }
    let bad = [
        "application: a\n".to_owned(),
        "application: a\nqueries: none\n".to_owned(),
        query("input: []"),
        query("inputs: []\n    timeout_ms: 0"),
        query("inputs: []\n    timeout_ms: '5'"),
        query("inputs: [{source: a, recrods: 5}]"),
        query("inputs: [{source: a, source_type: {type: folder, path: a}}]"),
        query("inputs: [{source: a, time_simulation: {start_time: soon}}]"),
        query("inputs: [{source: a, time_simulation: {time_scale: 0}}]"),
        query("inputs: []\n    assertions: [{type: magic}]"),
        query("inputs: []\n    assertions: [{type: join_coverage, min_match_rate: 2}]"),
        query("inputs: []\n    assertions: [{type: join_coverage}]"),
        query("inputs: []\n    assertions: [{type: record_count, between: [1]}]"),
    ];
    for text in bad {
        assert!(!accepts(&schema, &text), "{text}");
        assert!(!load(&text).findings.is_empty(), "{text}");
    }
}

#[test]
fn schemas_that_loading_complains_about_are_refused() {
    let schema = data_schema();
    let field = |keys: &str| format!("name: a\nfields:\n  - {{name: f, {keys}}}\n");
    for text in [field("type: decimal"), field("type: float, constraints: {distribution: random_walk}")] {
        assert!(accepts(&schema, &text), "{text}");
        assert!(load_schema(&text).findings.is_empty(), "{text}");
    }
    for text in [
        "name: a\n".to_owned(),
        field("type: text"),
        field("type: {decimal: 2}"),
        field("type: {decimal: {scale: 2}}"),
        field("type: float, constraints: {distribution: normal}"),
        field("type: float, constraints: {range: {min: 1}}"),
        field("type: float, null_probability: 1.5"),
    ] {
        assert!(!accepts(&schema, &text), "{text}");
        assert!(!load_schema(&text).findings.is_empty(), "{text}");
    }
}

/// Every key of an object and of those below it is a property of its definition.
fn look(shape: Shape, definitions: &Value, own: Option<&Value>) {
    match shape {
        Shape::List(of) => look(*of, definitions, None),
        Shape::Object(object) => look_object(object, definitions, own),
        Shape::Tagged(tagged) => tagged.variants.iter().for_each(|(_, object)| look_object(object, definitions, None)),
        Shape::Variant(variants) => {
            variants.iter().filter_map(|variant| variant.object).for_each(|of| look_object(of, definitions, None));
        }
        _ => {}
    }
}

fn look_object(object: &'static Object, definitions: &Value, own: Option<&Value>) {
    let definition = own.unwrap_or(&definitions[object.name]);
    assert_eq!(definition["description"], object.doc, "another object is called {}", object.name);
    for key in object.keys {
        assert!(!key.is_required || key.aliases.is_empty(), "{}: `required` names one spelling", key.name);
        assert!(key.doc.ends_with('.'), "{}: {}", key.name, key.doc);
        for spelling in key.spellings() {
            let property = &definition["properties"][spelling];
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.starts_with(key.doc), "{}.{spelling} is not in the schema", object.name);
        }
        look(key.shape, definitions, None);
    }
}

#[test]
fn every_key_is_in_the_schema() {
    for (schema, object) in [(spec(), &SPEC), (data_schema(), &SCHEMA)] {
        look(Shape::Object(object), &schema["$defs"], Some(&schema));
    }
}
