//! Tables of topics: loaded before the rows that ask them, followed afterwards, missed when they do not come.

use super::world::{PATIENCE, broker, follow, producer, run, send, signal, topic, values, wait};

const APP: &str = "
    CREATE STREAM orders (id INT, customer INT) WITH (type = 'kafka', topic = 'orders', format = 'json');
    CREATE TABLE customers (id INT PRIMARY KEY, name STRING) WITH (type = 'kafka', topic = 'customers', format = 'json');
    CREATE STREAM named AS SELECT o.id, c.name FROM orders o JOIN customers c ON o.customer = c.id
      WITH ('named.type' = 'kafka', 'named.topic' = 'named', 'named.format' = 'json');";

/// `n` customers from number `from` on, and an order of each.
fn sent(brokers: &str, name: &str, lines: impl Iterator<Item = (String, String)>) {
    let mut out = producer(brokers, name);
    let lines: Vec<(String, String)> = lines.collect();
    let lines: Vec<(Option<&str>, String)> = lines.iter().map(|(k, line)| (Some(k.as_str()), line.clone())).collect();
    send(&mut *out, &lines);
    assert!(out.flush(PATIENCE).expect("the broker is there"));
}

fn customer(id: usize, name: &str) -> (String, String) {
    (id.to_string(), format!("{{\"id\":{id},\"name\":\"{name}{id}\"}}"))
}

fn order(id: usize) -> (String, String) {
    (id.to_string(), format!("{{\"id\":{id},\"customer\":{id}}}"))
}

#[test]
fn orders_that_came_first_find_all_customers() {
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP).expect("the app");
    ["orders", "customers"].iter().for_each(|name| topic(&brokers, name, 3));
    sent(&brokers, "orders", (0..500).map(order));
    sent(&brokers, "customers", (0..500).map(|id| customer(id, "n")));
    let output = run(folder.path(), "app.sql", &brokers, &["--until-end", "--shards", "2", "--output-format", "json"])
        .output()
        .expect("velo-sql starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let table = &summary["tables"][0];
    assert_eq!((&table["name"], &table["rows"], &table["loaded"]), (&"customers".into(), &500.into(), &true.into()));
    assert!(table["bytes"].is_null() && summary["tables"].as_array().is_some_and(|all| all.len() == 1), "{summary}");
    let mut got = values(&brokers, "named");
    got.sort();
    let mut want: Vec<String> = (0..500).map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}")).collect();
    want.sort();
    assert_eq!(got, want);
}

#[test]
fn a_table_goes_on_behind_its_loading() {
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP).expect("the app");
    ["orders", "customers"].iter().for_each(|name| topic(&brokers, name, 2));
    sent(&brokers, "orders", (0..20).map(order));
    sent(&brokers, "customers", (0..20).map(|id| customer(id, "a")));
    let log = folder.path().join("log");
    let mut child = follow(folder.path(), "app.sql", &brokers, &["--shards", "2"], &log);
    wait("the orders of before", || values(&brokers, "named").len() == 20);
    assert!(values(&brokers, "named").iter().all(|row| row.contains("\"a")));
    sent(&brokers, "customers", (0..20).map(|id| customer(id, "b")));
    // Nobody tells when the update is in the table: orders come until one finds it.
    let mut id = 0;
    wait("an order that finds the update", || {
        sent(&brokers, "orders", [order(id % 20)].into_iter());
        id += 1;
        values(&brokers, "named").iter().any(|row| row.contains("\"b"))
    });
    signal(&child, "-TERM");
    let status = child.wait().expect("the run ends");
    let said = std::fs::read_to_string(&log).expect("its log");
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("loaded customers: 20 rows").count(), 1, "{said}");
}

#[test]
fn a_table_whose_topic_is_missing_is_named() {
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    let app = format!("SET 'table.wait.timeout' = '300ms'; {APP}");
    std::fs::write(folder.path().join("app.sql"), app).expect("the app");
    topic(&brokers, "orders", 1);
    let output = run(folder.path(), "app.sql", &brokers, &[]).output().expect("velo-sql starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("table customers is not loaded: topic customers does not exist on"), "{said}");
    assert!(said.contains("raise table.wait.timeout"), "{said}");
}
