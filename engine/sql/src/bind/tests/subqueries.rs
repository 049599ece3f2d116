//! How subqueries are planned.

use super::show;
use super::world::compiled;
use crate::plan::NodeKind;

const WORLD: &str = "CREATE STREAM o (id INT, k STRING, x INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'o', 'event.time.field' = 'ts'); \
     CREATE STREAM s (id DECIMAL(9,2), k STRING, y INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 's', 'event.time.field' = 'ts'); \
     CREATE TABLE t AS SELECT k, COUNT(*) AS n, MAX(y) AS m FROM s GROUP BY k; ";

/// The nodes from the subqueries' inputs on, and the findings about `query`.
fn check(query: &str, expect: &str) {
    let result = compiled(&format!("{WORLD}{query}"));
    let plan = result.blocked.as_ref().or(result.plan.as_ref());
    let first = plan.map_or(0, |plan| plan.statements.len().saturating_sub(1));
    let nodes = plan.iter().flat_map(|plan| plan.nodes.iter()).filter(|node| node.statement >= first);
    let wanted = nodes.filter(|n| {
        !matches!(n.kind, NodeKind::Scan { .. } | NodeKind::Combine(_) | NodeKind::Aggregate(_) | NodeKind::Sink { .. })
    });
    let shown: Vec<String> = wanted.map(|n| show::kind(&n.kind).trim_end().to_owned()).collect();
    let found = result.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message));
    let found = found.filter(|f| !f.starts_with("W0403") && !f.starts_with("W0402"));
    let text: Vec<String> = shown.into_iter().chain(found).collect();
    let expect: Vec<&str> = expect.trim().lines().map(str::trim).collect();
    assert_eq!(text.join("\n"), expect.join("\n"), "{query}");
}

#[test]
fn equalities_are_keys() {
    check(
        "SELECT x FROM o WHERE EXISTS (SELECT 1 FROM t WHERE t.k = o.k AND n > 1)",
        "filter $1 > 1
         project $0
         project $1, $0
         exchange 1 Key([1])
         exchange 2 Key([0])
         subqueries Exists [(1, 0)] BOOLEAN
         filter $0
         project $1",
    );
    check(
        "SELECT x FROM o WHERE EXISTS (SELECT 1 FROM t WHERE t.k = O.k AND t.n > o.x AND UPPER(t.k) = o.k || 'a')",
        "project $0, upper($0), $1
         project $1, $0, concat($0, a)
         exchange 1 Key([1, 2])
         exchange 2 Key([0, 1])
         subqueries Exists [(1, 0), (2, 1)] if $2 > $3 BOOLEAN
         filter $0
         project $1",
    );
    check(
        "SELECT x, (SELECT m FROM t WHERE t.k = o.k) AS best FROM o",
        "project $0, $2
         project $1, $0
         exchange 1 Key([1])
         exchange 2 Key([0])
         subqueries Scalar [(1, 0)] = $1 INTEGER
         project $1, $0",
    );
}

#[test]
fn in_of_which_only_true_counts_is_sought_by_its_value() {
    check(
        "SELECT x FROM o WHERE x IN (SELECT y FROM s WHERE s.k = o.k AND s.ts >= o.ts - INTERVAL '5' MINUTE)",
        "project $0, $2, $1
         project $1, $0, $2
         exchange 2 Key([1, 0])
         exchange 3 Key([0, 2])
         subqueries Exists [(1, 0), (0, 2)] if $1 >= ($5 - 5m):INTEGER keep 300s BOOLEAN
         filter $0
         project $1",
    );
    check(
        "SELECT x FROM o WHERE k IN (SELECT s.k FROM s WHERE s._event_time >= o._event_time - 1000 GROUP BY s.k HAVING COUNT(*) > o.x)",
        "project EventTime, $0
         project $1, EventTime, $0
         exchange 2 Key([2])
         exchange 3 Key([1])
         subqueries Exists [(2, 1)] if $0 >= ($3 - 1000):INTEGER fold [0] COUNT(*) Final of $1 having $1 > $2 keep 1.000999999s BOOLEAN
         filter $0
         project $1",
    );
    check(
        "SELECT x FROM o WHERE x IN (SELECT y FROM s UNION SELECT x FROM o)",
        "project $0
         project $0
         union
         project $0
         project $0
         exchange 2 Key([0])
         exchange 3 Key([0])
         subqueries Exists [(0, 0)] BOOLEAN
         filter $0
         project $1
         W0450 nothing bounds how long the subquery keeps its rows",
    );
    check(
        "SELECT x FROM o WHERE x IN (SELECT * FROM (SELECT MAX(y) AS q FROM s GROUP BY k))",
        "project $0
         project $0
         exchange 3 Key([0])
         exchange 4 Key([0])
         subqueries Exists [(0, 0)] BOOLEAN
         filter $0
         project $1",
    );
}

#[test]
fn other_comparisons_see_every_value() {
    check(
        "SELECT x FROM o WHERE NOT (k IN (SELECT k FROM t)) AND id > 1",
        "project $0
         filter $0 > 1
         project $2, $1
         exchange 1 Key([])
         exchange 2 Key([])
         subqueries Compare { operand: 1, op: Equal, all: false } [] = $0 BOOLEAN
         filter not($0)
         project $1
         W0451 every value of the subquery is compared with each row, all on one shard",
    );
    check(
        "SELECT x FROM o WHERE k NOT IN (SELECT t.k FROM t WHERE t.k IS NOT NULL)",
        "filter nulltrue($0)
         project $0
         project $1, $0
         exchange 1 Key([])
         exchange 2 Key([])
         subqueries Compare { operand: 1, op: NotEqual, all: true } [] = $0 BOOLEAN
         filter $0
         project $1
         W0451 every value of the subquery is compared with each row, all on one shard",
    );
    check(
        "SELECT x >= ALL (SELECT y FROM s WHERE s.k = o.k AND ts BETWEEN o.ts - 1000 AND o.ts) AS a FROM o",
        "project $0, $2, $1
         project $0, $2, $1
         exchange 2 Key([0])
         exchange 3 Key([0])
         subqueries Compare { operand: 2, op: GreaterOrEqual, all: true } [(0, 0)] if and($1 >= ($4 - 1000):INTEGER, $1 <= $4) = $2 keep 1s BOOLEAN
         project $0",
    );
}

#[test]
fn groups_are_rows_of_their_own() {
    check(
        "SELECT k, COUNT(*) AS c FROM o GROUP BY k HAVING COUNT(*) > (SELECT MAX(n) FROM t WHERE t.k = o.k)",
        "project $0, $1
         project $0
         exchange 1 Key([0])
         project $0, $1
         exchange 2 Key([0])
         exchange 3 Key([0])
         subqueries Scalar [(0, 0)] fold [] MAX($0) Final of $1 = $0 INTEGER
         filter $2 > $0
         project $1, $2",
    );
    check(
        "SELECT k, SUM((SELECT m FROM t WHERE t.k = o.k)) AS c FROM o WHERE EXISTS (SELECT * FROM t WHERE t.k = o.k) GROUP BY k",
        "project $0
         project $0, $2
         project $0
         exchange 1 Key([0])
         exchange 2 Key([0])
         subqueries Exists [(0, 0)] BOOLEAN
         filter $0
         exchange 3 Key([1])
         exchange 4 Key([0])
         subqueries Scalar [(1, 0)] = $1 INTEGER
         project $2, $0
         exchange 5 Key([0])
         project $0, $1",
    );
    check(
        "SELECT k, COUNT(*) AS n, _window_start FROM o GROUP BY k WINDOW TUMBLING(1m) HAVING COUNT(*) >= (SELECT MIN(m) FROM t WHERE t.k = o.k AND _window_start > t.m) ORDER BY n LIMIT 1",
        "project $0, $2
         project $0
         exchange 1 Key([0])
         project $0, $1, $2
         exchange 2 Key([0])
         exchange 3 Key([0])
         subqueries Scalar [(0, 0)] if $4 > $1 fold [] MIN($0) Final of $1 = $0 INTEGER
         filter $2 >= $0
         project $1, $2, $3
         exchange 4 Key([])
         sort SortSpec { keys: [SortKey { column: 1, descending: false, nulls_first: true }], limit: Some(1), per_window: true }
         project $0, $1, $2",
    );
}

#[test]
fn order_limit_and_distinct() {
    check(
        "SELECT x, (SELECT y FROM s WHERE s.k = o.k AND s.ts > o.ts - 60000 ORDER BY ts DESC LIMIT 1) AS last FROM o",
        "project $0, $2, $1
         project $1, $0, $2
         exchange 2 Key([1])
         exchange 3 Key([0])
         subqueries Scalar [(1, 0)] if $1 > ($5 - 60000):INTEGER = $2 by $1 desc first 1 keep 60s INTEGER
         project $1, $0",
    );
    check(
        "SELECT x AS z, (SELECT DISTINCT n FROM t WHERE t.n = z) AS c FROM o",
        "project $1
         project $0
         exchange 1 Key([0])
         exchange 2 Key([0])
         subqueries Scalar [(0, 0)] = $0 distinct INTEGER
         project $1, $0
         W0453 the subquery may give several rows, and a row that gets more than one value fails",
    );
}

#[test]
fn what_needs_no_subquery_is_asked_first() {
    check(
        "SELECT x FROM o WHERE x > (SELECT AVG(y) FROM s) AND x < 9 AND 1 / x > 0",
        "project $1
         filter and($0 < 9, (1 / $0):FLOAT > 0)
         project $0
         exchange 2 Key([])
         exchange 3 Key([])
         subqueries Scalar [] fold [] AVG($0) Final of $0 = $0 FLOAT
         filter $1 > $0
         project $1
         W0450 nothing bounds how long the subquery keeps its rows",
    );
}

#[test]
fn subqueries_of_one_key_share_a_node() {
    check(
        "SELECT x, CASE WHEN k IN (SELECT k FROM t) THEN 'a' ELSE (SELECT 'b') END AS c, COALESCE((SELECT MAX(n) FROM t), 0) AS d FROM o",
        "project $0
         project
         project $1
         project $1, $0
         exchange 1 Key([])
         exchange 2 Key([])
         exchange 3 Key([])
         exchange 4 Key([])
         subqueries Compare { operand: 1, op: Equal, all: false } [] = $0 BOOLEAN; Scalar [] = b STRING; Scalar [] fold [] MAX($0) Final of $0 = $0 INTEGER
         project $3, case($0: a; $1), coalesce($2, 0)
         W0451 every value of the subquery is compared with each row, all on one shard",
    );
    check(
        "SELECT x, SUM(x) OVER (ROWS WINDOW BUFFER 9 ROWS PARTITION BY k) AS s, (SELECT MAX(n) FROM t) AS m FROM o WHERE EXISTS (SELECT 1 FROM t WHERE t.k = o.k)",
        "project $0
         project $1
         project $1, $0
         exchange 1 Key([1])
         exchange 2 Key([0])
         subqueries Exists [(1, 0)] BOOLEAN
         filter $0
         exchange 3 Key([])
         exchange 4 Key([])
         subqueries Scalar [] fold [] MAX($0) Final of $0 = $0 INTEGER
         project $2, $0, $3
         exchange 5 Key([2])
         over [2] by [] last 9 full false Some(60): SUM[0] ..:.. INTEGER
         project $1, $0, $2",
    );
}

#[test]
fn every_row_is_looked_at_without_an_equality() {
    check(
        "SELECT x FROM o WHERE EXISTS (SELECT 1 FROM t WHERE t.n > o.x)",
        "project $1
         project $0
         exchange 1 Key([])
         exchange 2 Key([])
         subqueries Exists [] if $0 > $1 BOOLEAN
         filter $0
         project $1
         W0451 without an equality every row of the subquery is looked at for each row, all on one shard",
    );
}

#[test]
fn joins_and_changing_rows() {
    check(
        "SELECT x FROM o WHERE EXISTS (SELECT 1 FROM s JOIN t ON s.k = t.k WHERE s.id = o.id AND t.n > 1 AND s.ts > o.ts - 5000)",
        "project $1, $0, $3
         exchange 1 Key([0])
         project $0, $1
         exchange 2 Key([0])
         join Inner table Right None ([0], [0]) -> l0 r0 l1 r1 l2
         filter $3 > 1
         project $2, $4
         project $1, $0, $2
         exchange 3 Key([1])
         exchange 4 Key([0])
         subqueries Exists [(1, 0)] if $1 > ($4 - 5000):INTEGER keep 5s BOOLEAN
         filter $0
         project $1",
    );
    check(
        "CREATE TABLE q AS SELECT k, n FROM t WHERE n > (SELECT AVG(x) FROM o)",
        "project $0
         project $0, $1
         exchange 1 Key([])
         exchange 2 Key([])
         subqueries Scalar [] fold [] AVG($0) Final of $0 = $0 FLOAT
         filter $2 > $0
         project $1, $2
         W0450 nothing bounds how long the subquery keeps its rows",
    );
}
