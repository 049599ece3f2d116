//! What right scripts are planned as.

use super::show;
use super::world::compiled;
use crate::plan::{Compression, SinkConnector};

fn check(text: &str, expect: &str) {
    let result = compiled(text);
    let Some(plan) = &result.plan else { panic!("{text}: {:?}", result.diagnostics) };
    let expect: String = expect.trim().lines().map(|l| format!("{}\n", l.trim())).collect();
    let shown: String = show::plan(plan).lines().map(|l| format!("{}\n", l.trim_end())).collect();
    assert_eq!(shown, expect, "{text}");
}

#[test]
fn projection_reads_only_what_it_needs() {
    check(
        "SELECT symbol, price, quantity * price AS value FROM 'trades.csv' WHERE price > 10",
        "source trades.csv [symbol price price# quantity] raw
         0< scan 0
         1<0 filter $1 > 10
         2<1 project $0, $2, ($3 * $1):DECIMAL(38,2)
         3<2 sink 0 0
         sink query_1 (symbol price value) key []",
    );
}

#[test]
fn tokens_pass_through_without_a_value() {
    check(
        "SELECT price p, ratio FROM 'trades.csv'",
        "source trades.csv [price# ratio#]
         0< scan 0
         1<0 project $0, $1
         2<1 sink 0 0
         sink query_1 (p ratio) key []",
    );
}

#[test]
fn declared_columns_have_no_tokens() {
    check(
        "CREATE STREAM t (price DECIMAL(10,2), n INT) WITH ('path' = 'trades.csv'); SELECT * FROM t",
        "source t [price n]
         0< scan 0
         1<0 project $0, $1
         2<1 sink 0 0
         sink query_2 (price n) key []",
    );
}

#[test]
fn grouped_final() {
    check(
        "SELECT symbol, COUNT(*) AS n, SUM(price) + 1 AS s, AVG(price), COUNT(*) FROM 'trades.csv' t \
         GROUP BY t.symbol HAVING COUNT(*) > 1 AND n < 5",
        "source trades.csv [symbol price]
         0< scan 0
         1<0 project $0, $1
         2<1 combine [0] COUNT(*) SUM($1) AVG($1) Final
         3<2 exchange 0 Key([0])
         4<3 aggregate [0] COUNT(*) SUM($1) AVG($1) Final
         5<4 filter and($1 > 1, $1 < 5)
         6<5 project $0, $1, ($2 + 1):DECIMAL(38,2), $3, $1
         7<6 sink 0 1
         sink query_1 (symbol n s avg count) key [0] ordered",
    );
}

#[test]
fn windows_and_bounds() {
    check(
        "SELECT symbol, _window_start, window_end AS e, MAX(quantity + 1) m FROM 'trades.csv' \
         GROUP BY symbol, window_start WINDOW TUMBLING(ts, 5s, GRACE 1s)",
        "source trades.csv [symbol quantity ts] time 2-0s raw
         0< scan 0
         1<0 project $0, ($1 + 1):INTEGER
         2<1 combine [0] MAX($1) Final tumbling 5s+1s
         3<2 exchange 0 Key([0])
         4<3 aggregate [0] MAX($1) Final tumbling 5s+1s
         5<4 project $0, $2, $3, $1
         6<5 sink 0 1
         sink query_1 (symbol _window_start e m) key [0] ordered",
    );
    check(
        "SELECT TUMBLE_START(), COUNT(*) FROM 'trades.csv' WITH ('event.time.field' = 'ms', \
         'watermark.max_out_of_orderness' = '5s') GROUP BY TUMBLE(ms, 10) EMIT CHANGES",
        "source trades.csv [ms] time 0-5s
         0< scan 0
         1<0 project
         2<1 exchange 0 Key([])
         3<2 aggregate [] COUNT(*) Changes tumbling 10s+60s
         4<3 project $1, $0
         5<4 sink 0 1
         sink query_1 (tumble_start count) key []",
    );
}

#[test]
fn ordinals_aliases_and_last_seen() {
    check(
        "SELECT quantity % 10 AS bucket, symbol AS s, COUNT(price) FROM 'trades.csv' GROUP BY bucket, 1 EMIT FINAL",
        "source trades.csv [symbol price quantity] raw
         0< scan 0
         1<0 project ($2 % 10):INTEGER, $0, $1
         2<1 combine [0] LAST_SEEN($1) COUNT($2) Final
         3<2 exchange 0 Key([0])
         4<3 aggregate [0] LAST_SEEN($1) COUNT($2) Final
         5<4 project $0, $1, $2
         6<5 sink 0 1
         sink query_1 (bucket s count) key [0] ordered",
    );
}

#[test]
fn chains_share_one_scan() {
    check(
        "SELECT price FROM big; \
         CREATE STREAM big WITH ('big.path' = 'big.jsonl') AS SELECT symbol, price, quantity FROM 'trades.csv' \
         WHERE quantity > 5; \
         SELECT symbol FROM 'trades.csv'",
        "source trades.csv [symbol price price# quantity quantity#]
         0< scan 0
         1<0 filter $3 > 5
         2<1 project $0, $1, $3, $2, $4
         3<2 project $0, $3, $4
         4<3 sink 0 0
         5<2 project $3
         6<5 sink 1 1
         7<0 project $0
         8<7 sink 2 2
         sink big (symbol price quantity) key []
         sink query_1 (price) key []
         sink query_3 (symbol) key []",
    );
}

#[test]
fn a_with_that_ends_the_statement_speaks_of_its_sink_too() {
    let declared = "CREATE STREAM t (symbol STRING) WITH ('path' = 'trades.csv');";
    for from in ["'trades.csv'", "t"] {
        let text = format!("{declared} CREATE STREAM big AS SELECT symbol FROM {from} WITH ('big.path' = 'big.jsonl')");
        let result = compiled(&text);
        let sinks = result.plan.map(|plan| plan.sinks).unwrap_or_default();
        let path = SinkConnector::File { path: "big.jsonl".into(), append: false, compression: Compression::None };
        assert_eq!(sinks.first().map(|sink| &sink.connector), Some(&path), "{from}: {:?}", result.diagnostics);
    }
    let result = compiled("CREATE STREAM big AS SELECT symbol FROM 'trades.csv' WITH ('format' = 'csv')");
    let sinks = result.plan.map(|plan| plan.sinks).unwrap_or_default();
    assert_eq!(sinks.first().map(|sink| &sink.connector), Some(&SinkConnector::Stdout), "a bare key is the source's");
}

#[test]
fn tables_change() {
    check(
        "CREATE TABLE by_symbol AS SELECT symbol, SUM(quantity) AS q FROM 'trades.csv' GROUP BY symbol; \
         CREATE TABLE total WITH ('total.path' = 'out.jsonl') AS SELECT q, COUNT(*) AS n FROM by_symbol GROUP BY q",
        "source trades.csv [symbol quantity]
         0< scan 0
         1<0 project $0, $1
         2<1 exchange 0 Key([0])
         3<2 aggregate [0] SUM($1) Changes retract ±
         4<3 project $0, $1 ±
         5<4 project $1 ±
         6<5 exchange 1 Key([0]) ±
         7<6 aggregate [0] COUNT(*) Changes retract ±
         8<7 project $0, $1 ±
         9<8 sink 0 2 ±
         sink total (q n) key [0] upsert",
    );
}

#[test]
fn limits_are_global() {
    check(
        "SELECT symbol FROM 'trades.csv' LIMIT 3",
        "source trades.csv [symbol]
         0< scan 0
         1<0 project $0
         2<1 exchange 0 Key([])
         3<2 limit 3
         4<3 sink 0 1
         sink query_1 (symbol) key []",
    );
    check(
        "SELECT 1 AS one, 'x' || 2",
        "source values []
         0< scan 0
         1<0 project 1, concat(x, cast(2 as STRING))
         2<1 sink 0 0
         sink query_1 (one expr_2) key []",
    );
}

#[test]
fn expressions() {
    let check_expr = |text: &str, expect: &str| {
        let result = compiled(&format!("SELECT 0 AS zero, {text} FROM 'trades.csv'"));
        let Some(plan) = &result.plan else { panic!("{text}: {:?}", result.diagnostics) };
        let crate::plan::NodeKind::Project { exprs, .. } = &plan.nodes[1].kind else { panic!("a project") };
        assert_eq!(show::expr(&exprs[1]), expect, "{text}");
    };
    check_expr("quantity / 2", "($0 / 2):FLOAT");
    check_expr("price / 3 * 2", "($0 / 3 * 2):DECIMAL(38,6)");
    check_expr("price * ratio", "($0 * $1):FLOAT");
    check_expr("-9223372036854775808", "-9223372036854775808");
    check_expr("9223372036854775808 + 1.50", "(9223372036854775808 + 1.50):DECIMAL(38,2)");
    check_expr("1e-5", "0.00001");
    check_expr("ts - 5s", "($0 - 5s):TIMESTAMP");
    check_expr("ts > '2026-01-01'", "$0 > 2026-01-01 00:00:00.000");
    check_expr("day = '2026-01-01'", "$0 = 2026-01-01");
    check_expr("ts > ms", "$0 > cast($1 as TIMESTAMP)");
    check_expr("day - day", "(cast($0 as TIMESTAMP) - cast($0 as TIMESTAMP)):INTERVAL");
    check_expr("quantity BETWEEN 1 AND price", "and($1 >= 1, $1 <= $0)");
    check_expr("quantity NOT BETWEEN 1 AND 2", "or($0 < 1, $0 > 2)");
    check_expr("symbol IN ('a', NULL)", "infalse($0: a, NULL)");
    check_expr(
        "CASE symbol WHEN 'a' THEN 1 WHEN 'b' THEN price END",
        "case($0 = a: cast(1 as DECIMAL(21,2)), $0 = b: cast($1 as DECIMAL(21,2)); -)",
    );
    check_expr("COALESCE(ratio, 1)", "coalesce($0, cast(1 as FLOAT))");
    check_expr("NULLIF(symbol, '')", "case($0 = : NULL; $0)");
    check_expr("CAST(price AS DECIMAL)", "cast($0 as DECIMAL(38,2))");
    check_expr("_Event_Time", "EventTime");
    check_expr("DATE '2026-01-02'", "2026-01-02");
    check_expr("zero + 1 AS a, a + 1", "(0 + 1):INTEGER");
    check_expr("\"symbol\"", "$0");
    check_expr("\"sym\"", "sym");
    check_expr("`symbol`", "$0");
    check_expr("NOT ok AND quantity > 1 OR ok IS NULL", "or(and(not($1), $0 > 1), nullfalse($1))");
}

#[test]
fn event_time_of_a_projection() {
    check(
        "CREATE STREAM s AS SELECT ms AS _event_time, symbol FROM 'trades.csv'; \
         SELECT COUNT(*) FROM s WINDOW TUMBLING(1m)",
        "source trades.csv [symbol ms]
         0< scan 0
         1<0 project $0 at $1
         2<1 project
         3<2 combine [] COUNT(*) Final tumbling 60s+0s
         4<3 exchange 0 Key([])
         5<4 aggregate [] COUNT(*) Final tumbling 60s+0s
         6<5 project $0
         7<6 sink 0 1
         sink query_2 (count) key [] ordered",
    );
}

#[test]
fn dead_letters_stand_beside_the_first_file_sink() {
    let text = "SELECT symbol FROM 'data/../trades.csv' INTO 'out/x.jsonl'";
    let result = compiled(&text.replace("data/../", ""));
    let plan = result.plan.expect("a plan");
    let shown: Vec<String> = plan.dlqs.iter().map(|d| format!("{} {} {}", d.name, d.path.display(), d.edge)).collect();
    assert_eq!(shown, ["trades.csv out/trades-dlq.jsonl 1", "out/x.jsonl out/x-dlq.jsonl 2"]);
    assert_eq!(plan.edges, 3);
}

#[test]
fn a_source_without_records_has_every_column() {
    check(
        "SELECT a, SUM(b) FROM 'empty.jsonl' GROUP BY a",
        "source empty.jsonl [a b]
         0< scan 0
         1<0 project $0, $1
         2<1 combine [0] SUM($1) Final
         3<2 exchange 0 Key([0])
         4<3 aggregate [0] SUM($1) Final
         5<4 project $0, $1
         6<5 sink 0 1
         sink query_1 (a sum) key [0] ordered",
    );
}
