//! `run-all`, `validate` and `schema`.

use serde_json::Value;

use crate::world::{ORDERS, SCHEMA, World, spec};

#[test]
fn apps_that_a_pattern_names() {
    let (good, bad) = (spec(20, &["type: record_count, less_than: 21"]), spec(20, &["type: record_count, equals: 21"]));
    let world = World::with(&[
        ("apps/good.sql", ORDERS),
        ("apps/good.annotated.sql", "not to be run"),
        ("tests/good.test.yaml", &good),
        ("apps/bad.sql", ORDERS),
        ("apps/bad.test.yaml", &bad),
        ("apps/lone.sql", ORDERS),
        ("schemas/orders.yaml", SCHEMA),
    ]);
    let names = |report: &Value| -> Vec<(String, bool)> {
        let apps = report["apps"].as_array().expect("a list of apps");
        apps.iter().map(|app| (app["name"].as_str().expect("a name").to_owned(), app["passed"] == true)).collect()
    };
    let ran = world.run(&["run-all", "-o", "json"]);
    assert_eq!(ran.code, Some(1));
    let expect = [("bad", false), ("good", true), ("lone", false)].map(|(name, passed)| (name.to_owned(), passed));
    assert_eq!(names(&ran.report()), expect);
    let why = &ran.report()["apps"][2]["error"];
    assert!(why.as_str().is_some_and(|why| why.contains("there is no spec for")), "{why}");

    let ran = world.run(&["run-all", ".", "--skip", "bad.sql", "--skip", "apps/l*", "-o", "json"]);
    assert_eq!(names(&ran.passed()), expect[1..2]);
    let ran = world.run(&["run-all", ".", "--pattern", "**/go*.sql"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.ends_with("PASSED: 1 app\n"), "{}", ran.out);
    let ran = world.run(&["run-all", "--pattern", "app/*.sql"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: no file of . matches app/*.sql\n"));
    assert_eq!(world.run(&["run-all", "--skip", "***"]).code, Some(2), "no pattern");
}

#[test]
fn statements_that_are_wrong() {
    let bad = format!("-- @app: broken shop\n{ORDERS}SELECT id, nothing FROM orders;\n");
    let world = World::with(&[("apps/good.sql", ORDERS), ("apps/bad.sql", &bad), ("apps/notes.txt", "")]);
    let ran = world.run(&["validate", "apps/good.sql"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "apps/good.sql: app good, 2 statements: 2 valid, 0 invalid\n"));

    let ran = world.run(&["validate", "apps"]);
    assert_eq!(ran.code, Some(1));
    let expect = "\
apps/bad.sql: app broken shop, 3 statements: 2 valid, 1 invalid

statement 3, line 8:
error[E0203]: column \"nothing\" in SELECT does not exist
 --> apps/bad.sql:8:12
";
    assert!(ran.out.starts_with(expect), "{}", ran.out);
    assert!(ran.out.ends_with("\n2 files, 1 not valid\n"), "{}", ran.out);

    let ran = world.run(&["validate", "apps/nowhere.sql"]);
    assert!(ran.code == Some(1) && ran.out.contains("apps/nowhere.sql"), "{}", ran.out);
}

#[test]
fn schemas_of_what_is_read_and_written() {
    let world = World::with(&[]);
    let schema = |of: &str| world.run(&["schema", of]);
    for (of, member) in [("spec", "queries"), ("data", "fields")] {
        assert!(schema(of).passed()["properties"][member].is_object(), "{of}");
    }
    assert_eq!(schema("report").passed()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema("junit").out.contains("testsuites"));
    assert_eq!(schema("other").code, Some(2));
}

#[test]
fn containers_are_for_those_who_ask() {
    let world = World::with(&[]);
    for command in ["run", "run-all"] {
        let help = world.run(&[command, "--help"]);
        for flag in ["--use-testcontainers", "--reuse-containers", "--keep-containers"] {
            assert!(help.code == Some(0) && help.out.contains(flag), "{command} {flag}: {}", help.out);
        }
        for flag in ["--reuse-containers", "--keep-containers"] {
            let ran = world.run(&[command, "apps", flag]);
            assert_eq!(ran.code, Some(2), "{}", ran.err);
            assert!(ran.err.contains("--use-testcontainers"), "{}", ran.err);
        }
    }
}

#[test]
fn more_is_said_on_request() {
    let sql = crate::world::ORDERS.replace("SELECT id, region", "SELECT id, regin");
    let world = World::with(&[("shop.sql", &sql)]);
    let ran = world.run(&["validate", "shop.sql", "-v"]);
    assert_eq!(ran.code, Some(1));
    let version = format!("velo-test {}\n", env!("CARGO_PKG_VERSION"));
    assert!(ran.err.starts_with(&version), "{}", ran.err);
    assert!(ran.err.contains("shop.sql, statement 2:\n    4 | CREATE STREAM large_orders AS\n"), "{}", ran.err);
    assert!(ran.err.contains("    5 | SELECT id, regin, amount FROM orders"), "{}", ran.err);
    assert_eq!(world.run(&["validate", "shop.sql"]).err, "");
    let world = World::shop(&crate::world::spec(3, &["type: record_count, less_than: 4"]));
    let ran = world.run(&["--verbose", "run", "shop.sql", "-o", "json"]);
    ran.passed();
    assert!(ran.err.starts_with(&version) && ran.err.contains("shop: large_orders: made topic large"), "{}", ran.err);
}
