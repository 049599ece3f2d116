//! `velo-test run`: verdicts, reports, and that a seed gives the same run again.

use serde_json::Value;

use crate::world::{ORDERS, SCHEMA, World, comparable, settled, spec};

#[test]
fn a_spec_that_holds() {
    let assertions = [
        "type: record_count, greater_than: 0, less_than: 100",
        "type: field_values, field: amount, operator: greater_than_or_equals, value: 100",
        "type: template, expression: 'all(r.amount < 201 for r in records)'",
    ];
    let world = World::shop(&spec(100, &assertions));
    let report = world.run(&["run", "shop.sql", "-o", "json"]).passed();
    assert_eq!(report["application"], "shop");
    assert_eq!(report["summary"]["passed_assertions"], 3);
    assert_eq!(report["queries"][0]["record_counts"]["inputs"]["orders"], 100);
    let text = world.run(&["run", "shop"]);
    assert!(text.out.ends_with("PASSED: 3 assertions\n"), "the extension may be left out: {}", text.out);
    assert_eq!(text.err, "", "nothing but the report is printed");
}

#[test]
fn a_spec_that_does_not_hold() {
    let failing = ["type: record_count, equals: 7", "type: schema_contains, fields: [id, discount]"];
    let world = World::shop(&spec(0, &failing));
    let ran = world.run(&["run", "shop.sql", "--seed", "1"]);
    assert_eq!(ran.code, Some(1));
    let expect = "\
shop
  run ID, seed 1, N ms
  1 shard on threads, unpinned; direct calls to the embedded broker
  queries: 0 of 1 passed, 1 failed
  assertions: 0 of 2 passed, 2 failed

✗ large_orders (N ms)
    in  orders: 0 records
    out large: 0 records
    ✗ record_count: 0 records in large, not exactly 7
        expected exactly 7
        actual   0
    ✗ schema_contains: large is empty, so it has no fields
        expected id, discount
        actual   no records

FAILED: 2 assertions in 1 query
";
    assert_eq!(settled(&ran.out), expect);
}

#[test]
fn a_topic_without_records_is_no_reason_to_wait() {
    let world = World::shop(&spec(0, &["type: record_count, equals: 0"]));
    let report = world.run(&["run", "shop.sql", "-o", "json"]).passed();
    assert!(report["measured"]["duration_ms"].as_u64().is_some_and(|ms| ms < 5_000), "{report}");
}

#[test]
fn a_seed_gives_the_same_report() {
    let world = World::shop(&spec(
        300,
        &[
            "type: record_count, equals: 3",
            "type: no_duplicates, key_fields: [region]",
            "type: aggregate_check, function: SUM, field: amount, expected: 0",
        ],
    ));
    let run = |seed: &str| comparable(world.run(&["run", "shop.sql", "-o", "json", "--seed", seed]).report());
    let first = run("7");
    assert_eq!(first.to_string(), run("7").to_string());
    assert_ne!(first.to_string(), run("8").to_string(), "another seed, other records");
}

/// Totals of each group, and rows in the order of the file that a query in SQL sorts.
#[test]
fn the_number_of_shards_changes_nothing() {
    let sql = "\
CREATE STREAM orders (id BIGINT NOT NULL, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');

CREATE TABLE totals AS
SELECT region, COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY region EMIT FINAL
WITH ('totals.type' = 'file_sink', 'totals.path' = 'totals.csv', 'totals.format' = 'csv');
";
    let test = "\
application: shop
queries:
  - name: totals
    inputs: [{source: orders, records: 500}]
    assertions:
      - {type: file_row_count, path: totals.csv, equals: 2}
      - {type: aggregate_check, function: SUM, field: 'n', expected: '500'}
      - {type: aggregate_check, function: SUM, field: 'n', expected: '501'}
";
    let world = World::with(&[("shop.sql", sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", test)]);
    let run = |shards: &str| {
        let ran = world.run(&["run", "shop.sql", "-o", "json", "--seed", "3", "--shards", shards]);
        let verdicts: Vec<Value> =
            ran.report()["queries"][0]["assertions"].as_array().expect("a list").iter().map(comparable_of).collect();
        let mut rows: Vec<String> = world.read("totals.csv").lines().map(str::to_owned).collect();
        rows.sort();
        (ran.code, verdicts, rows)
    };
    let one = run("1");
    assert_eq!((one.0, one.2.len()), (Some(1), 3), "a header and two groups");
    let passed: Vec<bool> = one.1.iter().map(|verdict| verdict["passed"] == true).collect();
    assert_eq!(passed, [true, true, false], "{:?}", one.1);
    assert_eq!(one, run("2"));
    assert_eq!(one, run("4"));
}

fn comparable_of(value: &Value) -> Value {
    comparable(value.clone())
}

#[test]
fn what_a_query_gave_is_the_input_of_another() {
    let sql = format!(
        "{ORDERS}
CREATE STREAM northern AS
SELECT id, amount FROM large_orders WHERE region = 'north'
WITH ('northern.type' = 'kafka_sink', 'northern.topic' = 'northern', 'northern.format' = 'json');
"
    );
    let test = spec(200, &["type: record_count, greater_than: 0"])
        + "  - name: northern
    inputs: [{source: large_orders, from_previous: large_orders}]
    assertions:
      - {type: record_count, greater_than: 0}
      - {type: record_count, expression: '{{inputs.large_orders.count}} == {{outputs.large_orders.count}}'}
";
    let world = World::with(&[("shop.sql", &sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &test)]);
    let report = world.run(&["run", "shop.sql", "-o", "json"]).passed();
    let [first, second] = [0, 1].map(|at| &report["queries"][at]["record_counts"]);
    assert_eq!(first["outputs"]["large"], second["inputs"]["large_orders"]);
    assert_ne!(second["inputs"]["large_orders"], second["outputs"]["northern"], "some are not from the north");
}

#[test]
fn files_in_and_out() {
    let sql = "\
CREATE STREAM copy AS SELECT id, amount FROM orders
WITH ('orders.type' = 'file_source', 'orders.path' = 'in.csv', 'orders.format' = 'csv',
      'copy.type' = 'file_sink', 'copy.path' = 'out/copy.csv', 'copy.format' = 'csv');
";
    let test = "\
application: copy
queries:
  - name: copy
    inputs: [{source: orders, source_type: {type: file, path: in.csv}}]
    output: {sink_type: {type: file, path: out/copy.csv}}
    assertions:
      - {type: file_exists, path: out/copy.csv}
      - {type: file_matches, actual_path: out/copy.csv, expected_path: in.csv}
      - {type: record_count, equals: 2}
";
    let stale = "id,amount\n9,9\n9,9\n9,9\n";
    let world = World::with(&[
        ("apps/copy.sql", sql),
        ("apps/copy.test.yaml", test),
        ("apps/in.csv", "id,amount\n1,2.50\n2,7.25\n"),
        ("apps/out/copy.csv", stale),
    ]);
    world.run(&["run", "apps/copy.sql", "-o", "json"]).passed();
    assert_eq!(world.read("apps/out/copy.csv").lines().count(), 3, "what an earlier run left is gone");
    assert!(!world.path("apps/apps").exists(), "paths count from the folder of the SQL file");
}

#[test]
fn only_the_inputs() {
    let world = World::shop(&spec(12, &["type: record_count, equals: 99"]));
    let ran = world.run(&["run", "shop.sql", "--data-only"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "orders: 12 records\ntotal: 12 records\n"));
    let json = world.run(&["run", ".", "--data-only", "-o", "json"]).passed();
    assert_eq!(json, serde_json::json!({ "sources": { "orders": 12 }, "total": 12 }));
}

#[test]
fn a_query_takes_too_long() {
    let sql = "\
CREATE STREAM orders (id BIGINT NOT NULL, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
CREATE STREAM pairs AS
SELECT a.id AS left_id, b.id AS right_id FROM orders a JOIN orders b ON a.region = b.region
WITH ('pairs.type' = 'kafka_sink', 'pairs.topic' = 'pairs', 'pairs.format' = 'json');
";
    let test = "\
application: shop
queries:
  - name: pairs
    timeout_ms: 1
    inputs: [{source: orders, records: 50000}]
    assertions: [{type: record_count, greater_than: 0}]
";
    let world = World::with(&[("shop.sql", sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", test)]);
    let ran = world.run(&["run", "shop.sql", "-o", "json"]);
    assert_eq!(ran.code, Some(1));
    let report = ran.report();
    let query = &report["queries"][0];
    assert_eq!(query["status"], "error");
    assert!(query["error"].as_str().is_some_and(|error| error.contains("did not end within 1 ms")), "{query}");
}

/// Regions change with each order; the last record of each is what the table holds.
#[test]
fn changes_and_the_final_view() {
    let sql = "\
CREATE STREAM orders (id BIGINT NOT NULL, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE totals AS SELECT region, COUNT(*) AS n FROM orders GROUP BY region EMIT CHANGES
WITH ('totals.type' = 'kafka_sink', 'totals.topic' = 'totals', 'totals.format' = 'json', 'totals.key' = 'region');
";
    let test = "\
application: shop
queries:
  - name: totals
    view: final
    inputs: [{source: orders, records: 500}]
    assertions:
      - {type: record_count, equals: 2}
      - {type: no_duplicates, key_fields: [region]}
      - {type: aggregate_check, function: SUM, field: n, expected: '500'}
      - {type: record_count, equals: 500, view: changes}
    outputs:
      - sink: totals
        view: changes
        assertions:
          - {type: record_count, equals: 500}
          - {type: template, expression: 'sum(n) == 500', view: final}
          - {type: no_duplicates, key_fields: [region]}
";
    let world = World::with(&[("shop.sql", sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", test)]);
    let report = world.run(&["run", "shop.sql", "-o", "json"]).report();
    let assertions = report["queries"][0]["assertions"].as_array().unwrap_or_else(|| panic!("{report}"));
    let verdicts: Vec<bool> = assertions.iter().map(|assertion| assertion["passed"] == true).collect();
    assert_eq!(verdicts, [true, true, true, true, true, true, false], "{report}");
}

/// Two orders in one minute, one in the next, none with a time.
#[test]
fn records_of_a_file_have_their_event_times() {
    let sql = "\
CREATE STREAM orders (id BIGINT NOT NULL, created_at STRING)
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE minutes AS SELECT COUNT(*) AS orders FROM orders WINDOW TUMBLING(1m) EMIT FINAL
WITH ('minutes.type' = 'kafka_sink', 'minutes.topic' = 'minutes', 'minutes.format' = 'json');
";
    let test = "\
application: shop
queries:
  - name: minutes
    inputs: [{source: orders, data_file: orders.csv}]
    assertions:
      - {type: record_count, equals: 2}
      - {type: field_in_set, field: orders, values: [1, 2]}
";
    let orders = "id,created_at\n1,2025-03-01T10:00:05Z\n2,2025-03-01 10:00:59.5\n3,2025-03-01T10:01:00\n";
    let world = World::with(&[("shop.sql", sql), ("orders.csv", orders), ("shop.test.yaml", test)]);
    world.run(&["run", "shop.sql", "-o", "json"]).passed();
}
