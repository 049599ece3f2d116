//! `velo-sql validate` and `velo-sql schema`: what is given, what is told, and exit codes.

#[path = "../../../../engine/sql/tests/json_schema/mod.rs"]
mod json_schema;

use json_schema::Validator;
use serde_json::{Value, json};

use crate::world::{Ran, World};

fn world() -> World {
    let world = World::with(&[
        ("trades.csv", "symbol,price\nA,1.5\n"),
        ("fine.sql", "SELECT 1 AS one"),
        ("limit.sql", "CREATE STREAM a AS SELECT symbol FROM 'trades.csv' LIMIT 1;\nSELECT symbol FROM a LIMIT 2;"),
        ("warned.sql", "SELECT COUNT(*) FROM 'trades.csv'"),
        (
            "broken.sql",
            "CREATE STREAM good AS SELECT 1 AS x;\nCREATE STREAM bad AS SELECT nope FROM 'trades.csv';\nSELEC",
        ),
    ]);
    std::fs::create_dir_all(world.path("apps/deep")).expect("folders can be made");
    std::fs::create_dir_all(world.path("empty")).expect("folders can be made");
    world.put("apps/one.sql", "SELECT 1 AS a");
    world.put("apps/deep/two.sql", "SELECT 2 AS b; SELECT 3 AS c");
    world.put("apps/notes.txt", "no SQL");
    world
}

/// The document, which is what the schema says it is.
fn document(ran: &Ran) -> Value {
    let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let schema: Value = serde_json::from_str(&world().run(&["schema", "validation"]).ok()).expect("JSON");
    assert!(Validator { root: &schema }.accepts(&schema, &document), "not by the schema: {document}");
    document
}

fn validated(args: &[&str]) -> (Option<i32>, Vec<String>) {
    let ran = world().run(&[&["validate", "--no-reference"], args].concat());
    assert_eq!(ran.out, "");
    (ran.code, ran.err.lines().map(str::to_owned).collect())
}

#[test]
fn files_and_folders_are_taken_once_each() {
    let (code, told) = validated(&["fine.sql", "apps", "apps/one.sql", "./fine.sql"]);
    let expect =
        ["fine.sql: valid", "apps/deep/two.sql: valid", "apps/one.sql: valid", "3 files, all valid; 4 statements"];
    assert_eq!((code, told), (Some(0), expect.map(str::to_owned).to_vec()));
}

#[test]
fn what_cannot_be_read_is_told_beside_the_rest() {
    let world = world();
    world.put("latin.sql", b"SELECT '\xe9'");
    let ran = world.run(&["validate", "--no-reference", "none.sql", "empty", "latin.sql", "broken.sql", "fine.sql"]);
    for line in [
        "error[E0100]: cannot read none.sql: No such file or directory (os error 2)",
        "none.sql: not valid (1 error)",
        "error[E0100]: empty holds no *.sql file",
        "error[E0100]: cannot read latin.sql: stream did not contain valid UTF-8",
        "broken.sql: not valid (2 errors)",
        "fine.sql: valid",
        "5 files, 4 of them not valid; 4 statements, 2 of them with errors",
    ] {
        assert!(ran.err.lines().any(|told| told == line), "{line} in\n{}", ran.err);
    }
    assert_eq!(ran.code, Some(1));
}

#[test]
fn warnings_fail_only_when_asked_to() {
    let (code, told) = validated(&["warned.sql"]);
    assert!(code == Some(0) && told.last().is_some_and(|l| l == "warned.sql: valid (1 warning)"), "{told:?}");
    let (code, told) = validated(&["warned.sql", "--strict"]);
    assert!(code == Some(1) && told.last().is_some_and(|l| l == "warned.sql: not valid (1 error)"), "{told:?}");
}

#[test]
fn recommendations_are_a_line_and_never_an_error() {
    let line = "recommendation[A0805]: limit.sql:1:58: LIMIT without ORDER BY takes the first rows that come, not the \
                best; add ORDER BY to choose by value (also line 2)";
    let expect = [line, "", "limit.sql: valid (1 recommendation)"].map(str::to_owned).to_vec();
    assert_eq!(validated(&["limit.sql", "--strict"]), (Some(0), expect));
    assert_eq!(validated(&["limit.sql", "--no-recommendations"]), (Some(0), vec!["limit.sql: valid".to_owned()]));
    let ran = world().run(&["run", "limit.sql"]);
    assert!(ran.code == Some(0) && !ran.err.contains("recommendation"), "{ran:?}");
}

#[test]
fn the_document_counts_and_names() {
    let ran = world().run(&["validate", "broken.sql", "limit.sql", "none.sql", "--output-format", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let document = document(&ran);
    let mut counts = document.clone();
    counts.as_object_mut().expect("the counts are an object").remove("files");
    let expect = json!({ "valid": false, "queries": { "total": 5, "valid": 3 }, "errors": 3, "warnings": 0, "recommendations": 1 });
    assert_eq!(counts, expect);
    let [broken, limit, none] = document["files"].as_array().expect("a list of files").as_slice() else {
        panic!("three files")
    };
    let found = &broken["diagnostics"][0];
    let brief = json!([found["code"], found["statement"], found["statement_name"], found["line"], found["column"]]);
    assert_eq!(brief, json!(["E0203", 2, "bad", 2, 29]));
    assert_eq!((&limit["valid"], &limit["recommendations"]), (&json!(true), &json!(1)));
    assert_eq!(none["diagnostics"][0]["code"], "E0100");
}

#[test]
fn standard_input_is_an_app() {
    let world = world();
    let ran = world.run_with_input(&["validate", "-", "--no-reference"], "SELECT symbol FROM 'trades.csv'");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), "<stdin>: valid\n"));
    let ran = world.run_with_input(&["validate", "-", "--output-format", "json"], "SELECT nope FROM 'trades.csv'");
    assert_eq!((ran.code, &document(&ran)["files"][0]["file"]), (Some(1), &json!("<stdin>")));
}

#[test]
fn the_listing_follows_unless_it_is_not_wanted() {
    for app in ["fine.sql", "broken.sql"] {
        let ran = world().run(&["validate", app]);
        for name in ["_event_time", "_window_end", "HEADER(name)", "REMOVE_HEADER(name)", "TUMBLE_START(…)"] {
            assert!(ran.out.lines().any(|l| l.trim_start().starts_with(name)), "{name} in\n{}", ran.out);
        }
        assert!(ran.out.lines().count() < 30, "{}", ran.out);
    }
}

#[test]
fn schemas_are_json() {
    for args in [&["schema"][..], &["schema", "config"], &["schema", "validation"]] {
        let schema: Value = serde_json::from_str(&world().run(args).ok()).expect("the schema is JSON");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    assert_eq!(world().run(&["schema", "nothing"]).code, Some(2));
}

#[test]
fn help_teaches() {
    let ran = world().run(&["validate", "--help"]);
    for part in ["--strict", "--no-recommendations", "--no-reference", "velo-sql validate apps/", "Exit codes:"] {
        assert!(ran.out.contains(part), "{part} in\n{}", ran.out);
    }
}
