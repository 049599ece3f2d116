//! What plans carry beside the values of their rows: what somebody needs, and nothing else.

use super::kafka::plan;
use super::show;
use crate::plan::{NodeKind, Repr};

/// What the source's records bring beside their values, and what the last sink writes of it.
fn check(statements: &str, brings: &[Repr], writes: &str) {
    let plan = plan(statements);
    let source = &plan.sources[0];
    let beside: Vec<Repr> = source.read[source.decoded().len()..].iter().map(|column| column.repr).collect();
    assert_eq!(beside, brings, "{statements}");
    let carried = plan.sinks.last().map(|sink| sink.carried).unwrap_or_default();
    let names = [carried.key.map(|_| "key"), carried.headers.map(|_| "headers")];
    assert_eq!(names.into_iter().flatten().collect::<Vec<_>>().join(" "), writes, "{statements}");
    if !brings.contains(&Repr::Headers) {
        assert!(!source.needs_headers() || source.event_time.is_some(), "{statements}");
    }
}

const TOPIC: &str = "WITH ('out.type' = 'kafka', 'out.brokers' = 'h:9092')";
const FILE: &str = "WITH ('out.path' = 'out.jsonl')";

#[test]
fn nothing_is_carried_that_nobody_needs() {
    use Repr::{Headers, KeyBytes, KeyText};
    check(&format!("CREATE STREAM out AS SELECT id FROM orders {FILE};"), &[], "");
    check(&format!("CREATE STREAM out AS SELECT id FROM orders {TOPIC};"), &[KeyBytes, Headers], "key headers");
    check(&format!("CREATE STREAM out AS SELECT id PRIMARY KEY FROM orders {TOPIC};"), &[Headers], "headers");
    check(&format!("CREATE STREAM out AS SELECT id, _key FROM orders {FILE};"), &[KeyText], "");
    check(&format!("CREATE STREAM out AS SELECT id, HEADER('a') AS a FROM orders {FILE};"), &[Headers], "");
    check(&format!("CREATE STREAM out AS SELECT id, SET_HEADER('a', 'b') FROM orders {FILE};"), &[], "");
    let grouped = "SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer EMIT CHANGES";
    check(&format!("CREATE STREAM out AS {grouped} {FILE};"), &[], "");
    check(&format!("CREATE STREAM out AS {grouped} {TOPIC};"), &[Headers], "headers");
    // A chain carries them as far as the statement that writes a topic.
    let first = "CREATE STREAM first AS SELECT id, amount FROM orders;";
    check(&format!("{first} CREATE STREAM out AS SELECT id FROM first {FILE};"), &[], "");
    check(&format!("{first} CREATE STREAM out AS SELECT id FROM first {TOPIC};"), &[KeyBytes, Headers], "key headers");
    let table = "CREATE TABLE sums AS SELECT customer, SUM(id) AS total FROM orders GROUP BY customer;";
    check(
        &format!("{table} CREATE TABLE out AS SELECT COUNT(*) AS n, total FROM sums GROUP BY total {TOPIC};"),
        &[],
        "",
    );
}

/// Expressions of the node in front of the last sink.
fn last_project(statements: &str) -> String {
    let plan = plan(statements);
    let projects = plan.nodes.iter().rev().find_map(|node| match &node.kind {
        NodeKind::Project { exprs, .. } => Some(exprs.iter().map(show::expr).collect::<Vec<_>>().join(", ")),
        _ => None,
    });
    projects.unwrap_or_default()
}

#[test]
fn changes_stand_behind_the_columns() {
    let check = |items: &str, expect: &str| {
        let text = format!("CREATE STREAM out AS SELECT {items} FROM orders {TOPIC};");
        assert_eq!(last_project(&text), expect, "{items}");
    };
    check("id", "$0, $1, $2");
    check("SET_HEADER('a', id), id", "$0, $1, headers($2; SET_HEADER(; a, cast($0 as STRING)))");
    // A name that stands for a change is its value: the change is made once.
    check(
        "SET_HEADER('a', 'x') AS a, a AS b, REMOVE_HEADER('c') AS c, c AS d",
        "SET_HEADER(; a, x), x, REMOVE_HEADER($1; c), HEADER($1; c), $0, \
         headers($1; SET_HEADER(; a, x), REMOVE_HEADER($1; c))",
    );
}
