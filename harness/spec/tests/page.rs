//! `docs/velo-test.md` names every key that specs and data schemas may have, and every code of a finding.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use velostream_spec::findings;
use velostream_spec::load::json_schema;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/velo-test.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// Names of all members, and the words that `type` may be.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    let Some(object) = value.as_object() else {
        return value.as_array().into_iter().flatten().for_each(|item| names(item, found));
    };
    for (name, below) in object {
        if name == "properties" {
            let properties = below.as_object().expect("members by name");
            found.extend(properties.keys().cloned());
            let words = properties.get("type").and_then(|tag| tag["enum"].as_array());
            found.extend(words.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)));
        }
        names(below, found);
    }
}

#[test]
fn every_key_is_on_the_page() {
    let page = page();
    // Words of the page that stand in code, alone or with others.
    let code: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .collect();
    let mut keys = BTreeSet::new();
    names(&json_schema::spec(), &mut keys);
    names(&json_schema::data_schema(), &mut keys);
    assert!(keys.len() > 100 && keys.contains("record_count") && keys.contains("volatility"), "{keys:?}");
    let missing: Vec<&String> = keys.iter().filter(|key| !code.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "docs/velo-test.md does not name {missing:?}");
}

#[test]
fn the_codes_are_those_of_the_findings() {
    assert!(page().ends_with(&findings::table()), "docs/velo-test.md has to end with\n{}", findings::table());
}
