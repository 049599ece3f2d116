//! Topics from SQL text to plan: keys, groups, dead letters, event time, and what is refused.

use std::path::PathBuf;

use super::world::{options, schemas};
use crate::annotations::annotate;
use crate::diag::Diagnostic;
use crate::explain::{acl_text, explain};
use crate::plan::{AppPlan, SinkConnector, TimeField};
use crate::props::Resolver;
use crate::{Compiled, compile};

const ORDERS: &str = "CREATE STREAM orders (id INTEGER, customer STRING, amount DECIMAL(10,2), at TIMESTAMP) \
                      WITH ('type' = 'kafka', 'brokers' = 'h:9092');\n";

fn compiled(text: &str, brokers: Option<&str>) -> Compiled {
    let env = |_: &str| None;
    let mut endpoints = Resolver::new(PathBuf::new(), &env, Vec::new(), false).with_brokers(brokers.map(str::to_owned));
    let mut compiled = compile(text, &options(), &mut endpoints, &mut schemas());
    compiled.diagnostics.extend(endpoints.finish());
    compiled.diagnostics.extend(annotate(compiled.plan.as_mut(), text, &env));
    compiled
}

fn found(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>().join("\n")
}

pub(super) fn plan(statements: &str) -> AppPlan {
    let compiled = compiled(&format!("{ORDERS}{statements}"), None);
    compiled.plan.unwrap_or_else(|| panic!("{}", found(&compiled.diagnostics)))
}

/// Key columns, upsert, event time and dead letters of the last statement's sink.
fn check(statements: &str, expect: &str) {
    let plan = plan(statements);
    let sink = plan.sinks.last().unwrap();
    let key: Vec<&str> = sink.key.iter().map(|k| sink.schema.fields[*k].name.as_str()).collect();
    let time = match plan.sources[0].event_time.as_ref().map(|t| t.field) {
        None => "no time",
        Some(TimeField::Header) => "header time",
        Some(TimeField::RecordTimestamp) => "record time",
        Some(TimeField::Column(_)) => "column time",
    };
    let node = plan.nodes.last().unwrap();
    let dlq = &plan.dlqs[node.dlq.index()];
    let dlq = dlq.topic.as_ref().map_or_else(|| dlq.path.display().to_string(), |t| t.topic.clone());
    let kind = if sink.upsert { "upsert" } else { "append" };
    let order = if sink.ordered { " ordered" } else { "" };
    assert_eq!(format!("key [{}] {kind}{order}, {time}, dlq {dlq}", key.join(", ")), expect, "{statements}");
}

#[test]
fn keys_and_dead_letters() {
    let out = "WITH ('out.type' = 'kafka', 'out.brokers' = 'h:9092'";
    check(
        &format!("CREATE STREAM out AS SELECT id, amount FROM orders {out});"),
        "key [] append, no time, dlq out-dlq",
    );
    check(
        &format!("CREATE STREAM out AS SELECT id, amount FROM orders {out}, 'key.field' = 'id');"),
        "key [id] append, no time, dlq out-dlq",
    );
    check(
        &format!("CREATE STREAM out AS SELECT id PRIMARY KEY, customer FROM orders {out}, 'key.field' = 'customer');"),
        "key [id] append, no time, dlq out-dlq",
    );
    let windowed = "SELECT customer, _window_start, COUNT(*) AS n FROM orders GROUP BY customer WINDOW TUMBLING(5s)";
    check(&format!("CREATE STREAM out AS {windowed} {out});"), "key [customer] append, header time, dlq out-dlq");
    check(
        &format!("CREATE TABLE out AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer {out});"),
        "key [customer] upsert, no time, dlq out-dlq",
    );
    check(
        &format!("CREATE STREAM out AS SELECT id FROM orders {out}, 'out.dead.letter.queue.topic' = 'bad');"),
        "key [] append, no time, dlq bad",
    );
    check(
        "CREATE STREAM out AS SELECT id FROM orders WITH ('out.path' = 'x/out.jsonl');",
        "key [] append, no time, dlq x/out-dlq.jsonl",
    );
    check(
        "CREATE STREAM out AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer WINDOW TUMBLING(at, 5s) \
         WITH ('out.path' = 'x/out.jsonl');",
        "key [customer] append ordered, column time, dlq x/out-dlq.jsonl",
    );
}

#[test]
fn tables_are_compacted() {
    let sql = "CREATE TABLE out AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer \
               WITH ('out.type' = 'kafka'";
    let config = |rest: &str| match &plan(&format!("{sql}{rest});")).sinks[0].connector {
        SinkConnector::Kafka(kafka) => kafka.topic_config.clone().into_iter().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let policy = |policy: &str| vec![("cleanup.policy".to_owned(), policy.to_owned())];
    assert_eq!(config(""), policy("compact"));
    assert_eq!(config(", 'cleanup.policy' = 'delete'"), policy("delete"));
}

#[test]
fn groups_are_named_after_app_and_job() {
    let group = |head: &str, statements: &str| {
        let text = format!("{head}{ORDERS}{statements}");
        let plan = compiled(&text, None).plan.unwrap();
        match &plan.sources[0].connector {
            crate::plan::SourceConnector::Kafka(kafka) => kafka.group.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(group("", "CREATE STREAM big AS SELECT id FROM orders;"), "velo_app_big");
    assert_eq!(group("-- @app: shop\n", "CREATE STREAM big AS SELECT id FROM orders;"), "velo_shop_big");
    assert_eq!(group("", "-- @name: nightly\nCREATE STREAM big AS SELECT id FROM orders;"), "velo_app_nightly");
    assert_eq!(group("", "SELECT id FROM orders; CREATE STREAM b AS SELECT id FROM orders;"), "velo_app_query_2");
}

#[test]
fn two_readers_of_one_topic_are_one_source() {
    let text = "SELECT symbol FROM trades; SELECT price FROM trades WITH ('bootstrap.servers' = 'h:1');";
    let compiled = compiled(text, Some("h:1"));
    let guess = "W0503 \"trades\" is taken for a Kafka topic of that name";
    assert_eq!(found(&compiled.diagnostics), format!("{guess}\n{guess}"));
    let plan = compiled.plan.unwrap();
    assert_eq!((plan.sources.len(), plan.dlqs.len()), (1, 3));
}

#[test]
fn brokers_place_objects_nobody_reads() {
    let text = "CREATE STREAM a AS SELECT symbol FROM 'trades.csv'; CREATE STREAM b AS SELECT symbol FROM a;";
    let compiled = compiled(text, Some("h:1"));
    let sinks: Vec<String> = compiled.plan.unwrap().sinks.iter().map(|s| s.name.clone()).collect();
    assert_eq!(sinks, ["b"]);
}

#[test]
fn mistakes() {
    let check = |statements: &str, expect: &str| {
        let compiled = compiled(&format!("{ORDERS}{statements}"), None);
        assert_eq!(found(&compiled.diagnostics), expect, "{statements}");
    };
    let raw = "WITH ('out.type' = 'kafka', 'out.format' = 'string');";
    check(&format!("CREATE STREAM out AS SELECT customer FROM orders {raw}"), "");
    let one = "E0508 a sink of format string takes one column of type STRING";
    check(&format!("CREATE STREAM out AS SELECT customer, id FROM orders {raw}"), one);
    check(&format!("CREATE STREAM out AS SELECT id FROM orders {raw}"), one);
    check(
        "CREATE STREAM out AS SELECT id FROM orders WITH ('out.type' = 'kafka', 'key.field' = 'ids');",
        "E0203 column \"ids\" in key.field is not in the result",
    );
    check(
        "CREATE STREAM r (a INTEGER) WITH ('type' = 'kafka', 'format' = 'string'); SELECT a FROM r;",
        "E0508 a source of format string has one column of type STRING",
    );
    check(
        "CREATE STREAM r (a INTEGER) WITH ('type' = 'kafka', 'partitioned.by' = 'b'); SELECT a FROM r;",
        "E0203 column \"b\" in partitioned.by does not exist",
    );
    check("-- @job_mode: transactional\nSELECT id FROM orders;", "E0902 @job_mode: transactional is not supported yet");
}

#[test]
fn raw_records_pass_through() {
    let text = "SELECT * FROM 'kafka://h/trades?format=string' INTO 'kafka://h/copy?format=string'";
    let plan = compiled(text, None).plan.unwrap();
    assert!(plan.sinks[0].pass_through && plan.sources[0].decoded().is_empty());
}

#[test]
fn explained() {
    let plan = plan(
        "CREATE TABLE totals AS SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer \
         WITH ('totals.type' = 'kafka', 'totals.brokers' = 'h:9092', 'totals.sasl.password' = 'x');",
    );
    insta::assert_snapshot!(explain(&plan, true));
    insta::assert_snapshot!(acl_text(&plan));
}

#[test]
fn a_failure_strategy_holds_for_the_statement_and_its_own_source() {
    let query = |name: &str, with: &str| {
        format!("CREATE STREAM {name} AS SELECT id + 1 AS n FROM orders WITH ('{name}.type' = 'kafka'{with});\n")
    };
    let check = |statements: String, expect: &[&str]| {
        let plan = plan(&statements);
        let text = explain(&plan, false);
        let line = |l: &str| l.trim_start().starts_with("bad records:") || l.trim_start().starts_with("dead letters:");
        let lines: Vec<&str> = text.lines().filter(|l| line(l)).map(str::trim).collect();
        assert_eq!(lines, expect, "{statements}\n{text}");
        let edges: std::collections::BTreeSet<u16> = plan.dlqs.iter().map(|dlq| dlq.edge.0).collect();
        assert!(edges.len() == plan.dlqs.len() && edges.iter().all(|edge| *edge < plan.edges), "an edge each");
    };
    let (to, logged, stop) = ("kafka topic", "logged, and passed over (LogAndContinue)", "stop the run (FailBatch)");
    let source = format!("bad records: {to} orders-dlq on h:9092");
    let out = format!("dead letters: {to} a-dlq on localhost:9092");
    check(query("a", ""), &[&source, &out]);
    let dead = |what: &str| format!("dead letters: {what}");
    check(query("a", ", 'a.failure_strategy' = 'FailBatch'"), &[&source, &dead(stop)]);
    check(
        format!("-- @failure_strategy: LogAndContinue\n{}", query("a", "")),
        &[&format!("bad records: {logged}"), &dead(logged)],
    );
    check(
        format!("-- @failure_strategy: FailBatch\n{}{}", query("a", ""), query("b", "")),
        &[&source, &dead(stop), &format!("dead letters: {to} b-dlq on localhost:9092")],
    );
    check(
        format!("-- @enable_dlq: false\n{}", query("a", ", 'a.failure_strategy' = 'FailBatch'")),
        &["bad records: counted only", &dead(stop)],
    );
}
