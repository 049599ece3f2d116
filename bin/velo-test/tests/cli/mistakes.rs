//! What people get wrong: each is told with its place, and the exit code is 1.

use crate::world::{ORDERS, SCHEMA, World, spec};

const ANY: &str = "type: record_count, greater_than: 0";

#[test]
fn sql_that_does_not_compile() {
    let sql = ORDERS.replace("SELECT id, region", "SELECT id, regin");
    let world =
        World::with(&[("shop.sql", &sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", &spec(10, &[ANY]))]);
    let ran = world.run(&["run", "shop.sql"]);
    assert_eq!(ran.code, Some(1));
    let expect = "\
    error: error[E0203]: column \"regin\" in SELECT does not exist
     --> shop.sql:5:12
      |
    5 | SELECT id, regin, amount FROM orders WHERE amount >= 100
      |            ^^^^^
";
    assert!(ran.out.contains(expect), "{}", ran.out);
    let json = world.run(&["run", "shop.sql", "-o", "json"]);
    assert_eq!((json.code, json.err.as_str()), (Some(1), ""));
    assert_eq!(json.report()["queries"][0]["status"], "error");
}

#[test]
fn a_spec_that_cannot_be_read() {
    let world = World::shop("application: shop\nqueries:\n  - name: large_orders\n    inputs: [\n    assertions: 7\n");
    let ran = world.run(&["run", "shop.sql", "-o", "json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.starts_with("error[T0101]: ") && ran.err.contains("shop.test.yaml:4:13"), "{}", ran.err);
}

#[test]
fn a_spec_with_a_wrong_word() {
    let world = World::shop(&spec(10, &["type: record_cont, equals: 1"]));
    let ran = world.run(&["run", "shop.sql"]);
    assert_eq!(ran.code, Some(1));
    let told = ran.err.starts_with("error[T0105]: ") && ran.err.contains("shop.test.yaml:7:");
    assert!(told && ran.err.contains("\"record_count\""), "{}", ran.err);
}

#[test]
fn no_data_schema() {
    let test = spec(10, &[ANY]).replace("records: 10", "schema: order, records: 10");
    let ran = World::shop(&test).run(&["run", "shop.sql"]);
    assert_eq!(ran.code, Some(1));
    let expect = "\
    error: error[T0202]: there is no data schema \"order\"
     --> shop.test.yaml:5:18
      |
    5 |       - {source: orders, schema: order, records: 10}
      |                  ^^^^^^
      |
      = detail: known are orders; did you mean \"orders\"?
";
    assert!(ran.out.contains(expect), "{}", ran.out);
}

#[test]
fn what_a_query_needs_is_not_there() {
    let test = "\
application: shop
queries:
  - name: large_orders
    inputs: [{source: orders, records: 5}]
    outputs:
      - sink: larg
        assertions: [{type: record_count, equals: 0}]
  - name: small_orders
    inputs: [{source: nothing, records: 5}]
    assertions: [{type: record_count, equals: 0}]
  - name: good
    inputs: [{source: orders, data_file: orders.csv}]
    assertions: [{type: record_count, equals: 0}]
  - name: better
    inputs: [{source: orders, records: 5}]
    assertions: [{type: record_count, greater_than: 0}]
";
    let sql = format!(
        "{ORDERS}
CREATE STREAM better AS SELECT id FROM orders
WITH ('better.type' = 'kafka_sink', 'better.topic' = 'better', 'better.format' = 'json');
CREATE STREAM good AS SELECT id FROM orders
WITH ('good.type' = 'kafka_sink', 'good.topic' = 'good', 'good.format' = 'json');
"
    );
    let world = World::with(&[("shop.sql", &sql), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", test)]);
    let ran = world.run(&["run", "shop.sql"]);
    assert_eq!(ran.code, Some(1));
    for expect in [
        "error[T0203]: the query has no sink \"larg\"\n     --> shop.test.yaml:6:",
        "      = detail: it writes large\n",
        "error[T0201]: the app has no statement for the query \"small_orders\"\n     --> shop.test.yaml:8:",
        "      = detail: its statements are large_orders, better, good\n",
        "error[T0204]: orders.csv: No such file or directory",
        "     --> shop.test.yaml:12:",
        "✓ better",
    ] {
        assert!(ran.out.contains(expect), "no {expect} in {}", ran.out);
    }
}

#[test]
fn a_query_that_is_not_there() {
    let world = World::shop(&spec(10, &[ANY]));
    let ran = world.run(&["run", "shop.sql", "--query", "small_orders"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(ran.err, "error: the spec has no query \"small_orders\"; its queries are large_orders\n");
    let ran = world.run(&["run", ".", "--query", "small_orders"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: no spec of . has a query \"small_orders\"\n"));
}

#[test]
fn no_spec() {
    let world = World::with(&[("apps/shop.sql", ORDERS)]);
    let ran = world.run(&["run", "apps/shop.sql"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there is no spec for apps/shop.sql; searched:\n  apps/shop.test.yaml\n"), "{}", ran.err);
    assert!(ran.err.contains("\n  tests/shop.test.yaml\n"), "{}", ran.err);
    let ran = world.run(&["run", "apps"]);
    assert!(ran.code == Some(1) && ran.err.starts_with("error: apps has no spec: looked for"), "{}", ran.err);
    assert_eq!(world.run(&["run"]).code, Some(2), "wrong usage");
}

#[test]
fn options_that_cannot_be() {
    let world = World::shop(&spec(3, &[ANY]));
    for shards in ["0", "257"] {
        let ran = world.run(&["run", "shop.sql", "--shards", shards]);
        assert!(ran.code == Some(2) && ran.err.contains("1..=256"), "{}", ran.err);
    }
    assert_eq!(world.run(&["run", "shop.sql", "--jobs", "0"]).code, Some(2));
    let ran = world.run(&["run", "shop.sql", "--save-outputs", "shop.sql/outputs"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.starts_with("error: cannot keep outputs in shop.sql/outputs: "), "{}", ran.err);
}
