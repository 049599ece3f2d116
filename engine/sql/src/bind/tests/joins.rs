//! How joins are planned.

use super::show;
use super::world::compiled;
use crate::plan::NodeKind;

const WORLD: &str = "CREATE STREAM a (id INT, k STRING, x INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'a', 'event.time.field' = 'ts'); \
     CREATE STREAM b (id DECIMAL(9,2), k STRING, y INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'b', 'event.time.field' = 'ts'); \
     CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM b GROUP BY k; ";

/// The join nodes of `query`, and the findings about it.
fn check(query: &str, expect: &str) {
    let result = compiled(&format!("{WORLD}{query}"));
    let plan = result.blocked.as_ref().or(result.plan.as_ref());
    let joins = plan.iter().flat_map(|plan| &plan.nodes).filter(|n| matches!(n.kind, NodeKind::Join(_)));
    let shown: Vec<String> = joins.map(|n| show::kind(&n.kind)).collect();
    let found = result.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message));
    let text: Vec<String> = shown.into_iter().chain(found.filter(|f| !f.starts_with("W0403"))).collect();
    assert_eq!(text.join("\n"), expect, "{query}");
}

#[test]
fn keys_bounds_and_residuals() {
    check(
        "SELECT a.x, b.y FROM a JOIN b WITHIN 5s ON a.id = b.id AND a.x > b.y",
        "join Inner -5s..5s ([0], [0]) if $2 > $3 -> l0 r0 l1 r1",
    );
    check(
        "SELECT * FROM a LEFT JOIN b ON a.k = b.k WITHIN (1s, 2s)",
        "join Left -1s..2s ([0], [0]) -> l0 r0 l1 l2 l3 r1 r2 r3",
    );
    check(
        "SELECT k, a.id, b.id FROM a FULL OUTER JOIN b WITHIN 1m USING (k)",
        "join Full -60s..60s ([0], [0]) -> l0 r0 l1 r1",
    );
    check(
        "SELECT x FROM a JOIN b ON a.k = b.k AND b._event_time_ns BETWEEN a.ts - INTERVAL '1' SECOND AND a.ts + 2000",
        "join Inner -1s..2s ([0], [0]) if and($3 >= ($2 - 1s):INTEGER, $3 <= ($2 + 2000):INTEGER) -> l0 r0 l1 r1 l2",
    );
    check(
        "SELECT x FROM a JOIN b ON a.k = b.k AND b._event_time <= a._event_time AND a._event_time <= b._event_time + 1000",
        "join Inner -1.000999999s..0.000999999s ([0], [0]) if and($2 <= $3, $3 <= ($2 + 1000):INTEGER) -> l0 r0 r1 l1 l2",
    );
    check(
        "SELECT x FROM a JOIN b ON a.k = b.k WHERE a.ts >= b.ts - INTERVAL '3' SECOND AND b.ts - a.ts > -1000",
        "join Inner -1s..3s ([0], [0]) -> l0 r0 l1 r1 l2",
    );
    check(
        "SELECT x FROM a JOIN b ON a.k = b.k WITH ('join.lower_bound' = '1m', 'join.upper_bound' = '2m')",
        "join Inner -60s..120s ([0], [0]) -> l0 r0 l1",
    );
    check(
        "SELECT x FROM a CROSS JOIN b WITHIN 1s",
        "join Inner -1s..1s ([], []) -> l0\nW0431 without an equality every pair of rows is looked at, all on one shard",
    );
    check(
        "SELECT a.k, _window_start FROM a JOIN b ON a.k = b.k WINDOW TUMBLING(1m)",
        "join Inner window 60s false ([0], [0]) -> l0 r0 start",
    );
    check(
        "SELECT n, _window_end FROM a JOIN b ON a.k = b.k JOIN c ON c.k = a.k WINDOW TUMBLING(1m)",
        "join Inner window 60s false ([0], [0]) -> l0 r0 end\njoin Inner table Right None ([0], [0]) -> r0 l0 r1 l1",
    );
}

#[test]
fn tables() {
    check("SELECT x, n FROM a JOIN c ON a.k = c.k", "join Inner table Right None ([0], [0]) -> l0 r0 l1 r1");
    check(
        "SELECT x, n FROM c RIGHT JOIN a ON a.k = c.k AND a.x > c.n",
        "join Right table Left None ([0], [0]) if $2 > $3 -> r0 l0 r1 l1",
    );
    check(
        "SELECT x, n FROM a LEFT JOIN c FOR SYSTEM_TIME AS OF a.ts ON a.k = c.k",
        "join Left table Right Some(Some(1)) ([0], [0]) -> l0 r0 l1 l2 r1",
    );
    check(
        "SELECT x, symbol FROM a JOIN 'trades.csv' s ON a.k = s.symbol",
        "join Inner table Right None ([0], [0]) -> l0 r0 l1",
    );
    check(
        "SELECT x, n FROM a JOIN (SELECT k, COUNT(*) AS n FROM b GROUP BY k) q ON a.k = q.k",
        "join Inner table Right None ([0], [0]) -> l0 r0 l1 r1",
    );
    check(
        "CREATE TABLE e AS SELECT c.k, c.n, d.n AS m FROM c JOIN c AS d ON c.k = d.k",
        "join Inner tables ([0], [0]) -> l0 r0 l1 r1",
    );
}

#[test]
fn the_nearest_row() {
    check(
        "SELECT x, y FROM a ASOF JOIN b ON a.k = b.k AND a.ts >= b.ts WITHIN 5s",
        "join Inner last of -5s..0s ([0], [0]) -> l0 r0 l1 r1 l2 r2",
    );
    check(
        "SELECT x, y FROM a LEFT ASOF JOIN b WITHIN 5s ON b.ts > a.ts AND a.k = b.k",
        "join Left first of 0.000000001s..5s ([1], [1]) -> r0 l0 l1 r1 l2 r2",
    );
}

#[test]
fn chains() {
    check(
        "SELECT x, y, n FROM a JOIN b WITHIN 5s ON a.k = b.k LEFT JOIN c ON c.k = b.k",
        "join Inner -5s..5s ([0], [0]) -> l0 r0 l1 r1\njoin Left table Right None ([0], [0]) -> r0 l0 l1 l2 r1",
    );
    check(
        "SELECT a.x, z.x FROM a JOIN b WITHIN 5s ON a.k = b.k JOIN a AS z ON z.k = b.k AND z.ts BETWEEN a.ts AND a.ts + 1000",
        "join Inner -5s..5s ([0], [0]) -> l0 r0 l1 l2\njoin Inner -5s..1s ([0], [0]) if and($3 >= $2, $3 <= ($2 + 1000):INTEGER) -> r0 l0 l1 r1 l2 r2",
    );
}

#[test]
fn what_is_no_event_time_bounds_nothing() {
    check(
        "SELECT x FROM a JOIN b ON a.k = b.k AND b.y > a.x",
        "join Inner -3600s..3600s ([0], [0]) if $2 > $3 -> l0 r0 r1 l1\nW0430 nothing bounds how far apart in time the rows of the streams may be",
    );
    check(
        "SELECT x FROM a LEFT JOIN b ON a.k = b.k WHERE b.ts <= a.ts + INTERVAL '3' SECOND",
        "E0432 WHERE bounds the time of a LEFT JOIN: it would drop the rows without a match",
    );
}
