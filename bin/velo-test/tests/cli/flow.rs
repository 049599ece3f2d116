//! The order of queries and apps, steps between them, and values that go from one input to another.

use serde_json::Value;

use crate::world::{SCHEMA, World, spec};

/// Orders, those of the north, those of them that are large.
const CHAIN: &str = "\
CREATE STREAM orders (id BIGINT NOT NULL, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
CREATE STREAM northern AS SELECT id, region, amount FROM orders WHERE region = 'north'
WITH ('northern.type' = 'kafka_sink', 'northern.topic' = 'northern', 'northern.format' = 'json');
CREATE STREAM large AS SELECT id, amount FROM northern WHERE amount >= 100
WITH ('large.type' = 'kafka_sink', 'large.topic' = 'large', 'large.format' = 'json');
";

/// The last query stands first.
const BACKWARDS: &str = "\
application: chain
queries:
  - name: large
    inputs: [{source: northern, from_previous: northern}]
    assertions: [{type: field_values, field: amount, operator: greater_than_or_equals, value: 100}]
  - name: northern
    inputs: [{source: orders, records: 50}]
    assertions: [{type: record_count, greater_than: 0}]
  - name: unrelated
    skip: true
    inputs: []
    assertions: [{type: record_count, equals: 0}]
";

fn chain() -> World {
    World::with(&[("chain.sql", CHAIN), ("schemas/orders.yaml", SCHEMA), ("chain.test.yaml", BACKWARDS)])
}

fn names(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let queries = report["queries"].as_array().expect("a list");
    queries.iter().map(|query| (text(&query["name"]), text(&query["status"]))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn a_query_runs_behind_those_it_takes_from() {
    let world = chain();
    let all = world.run(&["run", "chain.sql", "-o", "json"]).passed();
    assert_eq!(names(&all), pairs(&[("northern", "passed"), ("large", "passed"), ("unrelated", "skipped")]));
    let one = world.run(&["run", "chain.sql", "-o", "json", "--query", "large"]).passed();
    assert_eq!(names(&one), pairs(&[("northern", "passed"), ("large", "passed")]), "with what it needs");
}

#[test]
fn steps_are_asked_for() {
    let world = chain();
    let words = ["run", "chain.sql", "--step", "--seed", "1"];
    let stopped = world.run_with_input(&words, "\nq\n");
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert!(stopped.out.contains("queries: 1 of 1 passed"), "{}", stopped.out);
    let shown = &stopped.err;
    for part in [
        "[1/3] northern",
        "| CREATE STREAM northern AS SELECT",
        "50 records published",
        "\"region\":\"north\"",
        "[2/3] large",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(world.run_with_input(&words, "s\nr\n").out.contains("queries: 2 of 3 passed, 1 skipped"));
    let folder = world.run_with_input(&["run", ".", "--step"], "");
    assert_eq!(folder.code, Some(1));
    assert!(folder.err.contains("name an SQL file, not a folder"), "{}", folder.err);
}

#[test]
fn apps_run_side_by_side_and_stand_in_order() {
    let holds = spec(20, &["type: record_count, greater_than: 0"]);
    let measures = spec(20, &["type: execution_time, max_ms: 60000"]);
    let fails = spec(20, &["type: record_count, equals: 0"]);
    let files: Vec<(String, &str)> = (0..6)
        .flat_map(|n| {
            let test = match n {
                2 => &measures,
                4 => &fails,
                _ => &holds,
            };
            [(format!("app_{n}.sql"), crate::world::ORDERS), (format!("app_{n}.test.yaml"), test.as_str())]
        })
        .chain([("schemas/orders.yaml".to_owned(), SCHEMA)])
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let world = World::with(&files);
    let verdicts = |jobs: &str| -> Vec<(String, bool)> {
        let ran = world.run(&["run", ".", "-o", "json", "--jobs", jobs]);
        assert_eq!(ran.code, Some(1));
        let report = ran.report();
        let apps = report["apps"].as_array().expect("a list");
        apps.iter().map(|app| (app["name"].as_str().unwrap_or_default().to_owned(), app["passed"] == true)).collect()
    };
    let expected: Vec<(String, bool)> = (0..6).map(|n| (format!("app_{n}"), n != 4)).collect();
    assert_eq!(verdicts("4"), expected);
    assert_eq!(verdicts("1"), expected);
}

const REFERRING: &str = "\
name: orders
fields:
  - name: id
    type: integer
  - name: region
    type: string
    constraints: {references: {schema: regions, field: code, file: regions.csv}}
  - name: amount
    type: {decimal: {precision: 2}}
";

#[test]
fn references_take_the_values_of_their_file_where_nothing_was_published() {
    let test = spec(40, &["type: field_in_set, field: region, values: [east, west]"]);
    let all = crate::world::ORDERS.replace("WHERE amount >= 100", "");
    let files = [
        ("shop.sql", all.as_str()),
        ("schemas/orders.yaml", REFERRING),
        ("shop.test.yaml", &test),
        ("regions.csv", "code,name\neast,East\nwest,West\n"),
    ];
    World::with(&files).run(&["run", "shop.sql", "-o", "json"]).passed();
    let without = World::with(&files[..3]).run(&["run", "shop.sql"]);
    assert_eq!(without.code, Some(1), "values are made up");
    assert!(without.out.contains("reference regions.code") && without.out.contains("regions.csv"), "{}", without.out);
}

#[test]
fn references_take_what_a_file_published() {
    let sql = "\
CREATE STREAM regions (code STRING) WITH ('type' = 'kafka_source', 'topic' = 'regions', 'format' = 'json');
CREATE STREAM orders (id BIGINT, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
CREATE STREAM named AS SELECT region FROM orders
WITH ('named.type' = 'kafka_sink', 'named.topic' = 'named', 'named.format' = 'json');
";
    let test = "\
application: named
queries:
  - name: named
    inputs: [{source: regions, data_file: regions.csv}, {source: orders, records: 30}]
    assertions:
      - {type: record_count, equals: 30}
      - {type: field_in_set, field: region, values: [south]}
";
    let schema = REFERRING.replace(", file: regions.csv", "");
    let world = World::with(&[
        ("named.sql", sql),
        ("schemas/orders.yaml", &schema),
        ("named.test.yaml", test),
        ("regions.csv", "code\nsouth\n"),
    ]);
    world.run(&["run", "named.sql", "-o", "json"]).passed();
}

#[test]
fn a_source_names_its_data_schema() {
    let of = |least: u32| SCHEMA.replace("min: 1, max: 200", &format!("min: {least}, max: 200"));
    let test = spec(10, &["type: record_count, equals: 10"]);
    let in_with = crate::world::ORDERS.replace("'topic' = 'orders'", "'topic' = 'orders', 'schema.file' = 'own.yaml'");
    let world = World::with(&[("shop.sql", in_with.as_str()), ("own.yaml", &of(100)), ("shop.test.yaml", &test)]);
    world.run(&["run", "shop.sql", "-o", "json"]).passed();
    let missing = World::with(&[("shop.sql", in_with.as_str()), ("shop.test.yaml", &test)]).run(&["run", "shop.sql"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.out.contains("the data schema own.yaml that shop.sql names is not there"), "{}", missing.out);
    let in_config = "\
CREATE STREAM large_orders AS SELECT id, region, amount FROM orders WHERE amount >= 100
WITH ('orders.type' = 'kafka_source', 'orders.config_file' = 'conf/orders.yaml',
      'large_orders.type' = 'kafka_sink', 'large_orders.topic' = 'large', 'large_orders.format' = 'json');
";
    let config = "topic: {name: orders}\ndatasource: {schema: {value.schema.file: own.yaml}}\n";
    let world = World::with(&[
        ("shop.sql", in_config),
        ("conf/orders.yaml", config),
        ("conf/own.yaml", &of(100)),
        ("shop.test.yaml", &test),
    ]);
    world.run(&["run", "shop.sql", "-o", "json"]).passed();
}

#[test]
fn a_folder_is_all_that_is_below_it() {
    let holds = spec(5, &["type: record_count, less_than: 6"]);
    let mut files = Vec::new();
    for folder in ["", "below/", "below/deeper/", ".hidden/"] {
        let names = ["shop.sql", "schemas/orders.yaml", "shop.test.yaml"].map(|name| format!("{folder}{name}"));
        files.extend(names.into_iter().zip([crate::world::ORDERS, SCHEMA, holds.as_str()]));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let report = World::with(&files).run(&["run", ".", "-o", "json"]).passed();
    assert_eq!(report["summary"]["apps_total"], 3);
    let none = World::with(&[("notes.txt", "")]).run(&["run", "."]);
    assert!(none.code == Some(1) && none.err.contains("in it and in the folders below"), "{}", none.err);
}

/// INT in the middle of a long run.
#[test]
fn a_signal_ends_the_run_and_leaves_nothing() {
    // More than any machine publishes before the test is over.
    let test = spec(2_000_000_000, &["type: record_count, greater_than: 0"]);
    let world = World::with(&[
        ("shop.sql", crate::world::ORDERS),
        ("schemas/orders.yaml", SCHEMA),
        ("shop.test.yaml", &test),
        ("tmp/keep", ""),
    ]);
    let tmp = world.path("tmp");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_velo-test"))
        .args(["run", "shop.sql", "-o", "json"])
        .current_dir(world.path("."))
        .env("TMPDIR", &tmp)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let entries = || std::fs::read_dir(&tmp).expect("a folder").count();
    while entries() < 2 {
        assert!(child.try_wait().expect("it can be asked").is_none(), "it ended before it began");
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(entries(), 1, "its scratch folder is gone");
}
