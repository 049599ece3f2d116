//! The schema against config files that the resolver takes and refuses.

use std::path::Path;

#[path = "../../../tests/json_schema/mod.rs"]
mod json_schema;

use json_schema::Validator;

use super::*;
use crate::endpoint::{Endpoints, WithEntry};
use crate::props::Resolver;
use velostream_types::Span;

/// Errors of a relation `trades` that is described by the file, as source and as sink.
fn refused(path: &Path, name: &str) -> bool {
    let folder = path.parent().expect("a folder").to_path_buf();
    let env = |_: &str| None;
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let entry = |key: &str, value: &str| {
        let (key_span, value_span) = (Span::new(1, 5), Span::new(6, 9));
        WithEntry { key: key.to_owned(), key_span, value: value.to_owned(), value_span }
    };
    let with = [entry("config_file", &file)];
    let mut resolver = Resolver::new(folder, &env, Vec::new(), false);
    let is_sink = name.contains("sink");
    let failed = match is_sink {
        true => resolver.sink("trades", Span::default(), &with).is_err(),
        false => resolver.source("trades", Span::default(), &with).is_err(),
    };
    failed || resolver.finish().iter().any(|d| d.severity == crate::diag::Severity::Error)
}

fn folder(name: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

fn accepted_by_schema(schema: &Value, path: &Path) -> bool {
    let text = std::fs::read_to_string(path).expect("text");
    // What is no YAML at all is nothing a schema is asked about.
    let Ok(instance) = serde_saphyr::from_str::<Value>(&text) else { return false };
    Validator { root: schema }.accepts(schema, &instance)
}

#[test]
fn schema_and_resolver_agree_about_files() {
    let schema = config_schema();
    for path in folder("tests/config/good") {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(accepted_by_schema(&schema, &path), "{name} should be accepted by the schema");
        // Its base is not there, which is not what is tested.
        assert!(name == "flat.yaml" || !refused(&path, &name), "{name} should be accepted by the resolver");
    }
    for path in folder("tests/config/bad") {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(!accepted_by_schema(&schema, &path), "{name} should be refused by the schema");
        assert!(refused(&path, &name), "{name} should be refused by the resolver");
    }
}

#[test]
fn configs_of_the_scenarios() {
    let schema = config_schema();
    let judged: Vec<(String, bool)> = folder("../../harness/scenarios/error/config/conf")
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, accepted_by_schema(&schema, path))
        })
        .collect();
    // A circle is nothing one file alone can show.
    let expect = [
        ("extends_map.yaml", false),
        ("list.yaml", false),
        ("loop_a.yaml", true),
        ("loop_b.yaml", true),
        ("malformed.yaml", false),
        ("values.yaml", false),
    ];
    assert_eq!(judged, expect.map(|(name, ok)| (name.to_owned(), ok)));
}

#[test]
fn every_spelling_has_its_place() {
    let schema = config_schema();
    let any = schema["$defs"]["any"]["properties"].as_object().expect("properties");
    for spelling in KEYS.iter().flat_map(Key::spellings).chain(CLIENT_KEYS.iter().map(|(key, _)| *key)) {
        assert!(any.contains_key(spelling), "{spelling}");
        assert!(schema["properties"].get(spelling).is_some(), "{spelling}");
    }
}

#[test]
fn names_are_definitions() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    let text = config_schema().to_string();
    assert!(text.len() < 300_000, "{} bytes: editors load it whole", text.len());
}
