//! What the binder says about mistakes, and that nothing overflows.

use crate::diag::Diagnostic;

use super::world::{Files, compiled, options, schemas};

fn line(d: &Diagnostic) -> String {
    format!("{} {}", d.code, d.message)
}

/// The findings of `text`, one per line.
fn check(text: &str, expect: &str) {
    let result = compiled(text);
    let found: Vec<String> = result.diagnostics.iter().map(line).collect();
    assert_eq!(found.join("\n"), expect, "{text}");
    assert_eq!(result.plan.is_none(), result.diagnostics.iter().any(|d| d.code.starts_with('E')), "{text}");
}

fn check_from(rest: &str, expect: &str) {
    check(&rest.replace("trades", "'trades.csv'"), expect);
}

#[test]
fn names() {
    check_from("SELECT prise FROM trades", "E0203 column \"prise\" in SELECT does not exist");
    check_from("SELECT symbol FROM trades WHERE usr = 1", "E0203 column \"usr\" in WHERE does not exist");
    check_from("SELECT x.symbol FROM trades t", "E0204 relation \"x\" does not exist in this query");
    check_from("SELECT symbol.a FROM trades t", "E0302 STRING has no fields, so no \"a\"");
    check_from("SELECT UPER(symbol) FROM trades", "E0206 function \"UPER\" does not exist");
    check_from("SELECT NTILE(symbol) FROM trades", "E0427 NTILE is computed of several rows, which OVER (…) names");
    check_from("SELECT NULLIF(1) FROM trades", "E0207 NULLIF takes 2 arguments, not 1");
    check_from("SELECT price AS a, symbol AS a FROM trades", "E0208 two columns of the result are named \"a\"");
    check_from("SELECT \"symbol\" FROM trades", "W0201 \"symbol\" is taken as the column of that name");
    check_from("SELECT price AS p FROM trades WHERE p > 1", "E0203 column \"p\" in WHERE does not exist");
    check("SELECT COUNT(*) FROM no WINDOW TUMBLING(_event_time, 1)", "E0501 relation \"no\" does not exist");
    check("SELECT a FROM nowhere", "E0501 relation \"nowhere\" does not exist");
    check("SELECT a FROM 'trads.csv'", "E0504 no file matches trads.csv");
    check("CREATE STREAM a AS SELECT 1 AS x; CREATE TABLE a AS SELECT 2 AS x", "E0201 \"a\" is created twice");
    check(
        "CREATE STREAM a AS SELECT x FROM b; CREATE STREAM b AS SELECT x FROM a; SELECT x FROM a",
        "E0202 objects read each other in a circle: a reads b reads a",
    );
}

#[test]
fn hints_and_details() {
    let result = compiled("SELECT prise FROM 'trades.csv'; SELECT Symbol FROM 'trades.csv'");
    assert_eq!(result.diagnostics[0].hint.as_deref(), Some("did you mean \"price\"?"));
    assert_eq!(
        result.diagnostics[0].detail.as_deref(),
        Some("trades.csv has the columns day, ms, ok, price, quantity, ratio, symbol, ts")
    );
    assert_eq!(result.diagnostics[1].hint.as_deref(), Some("did you mean \"symbol\"?"));
    assert_eq!(result.diagnostics[1].statement, Some(2));
    let unknown = compiled("CREATE STREAM big AS SELECT 1 AS x; SELECT x FROM bgi");
    assert_eq!(unknown.diagnostics[0].hint.as_deref(), Some("did you mean \"big\"?"));
    assert!(unknown.diagnostics[0].detail.as_deref().is_some_and(|d| d.starts_with("declare it: CREATE STREAM bgi")));
}

#[test]
fn several_at_once_and_no_follow_ups() {
    check_from(
        "SELECT nope + 1 AS a, a * 2, symbol + 1 FROM trades WHERE nix > 1 AND price = 'x'",
        "E0203 column \"nope\" in SELECT does not exist\n\
         E0302 STRING + INTEGER is not defined\n\
         E0203 column \"nix\" in WHERE does not exist\n\
         E0302 DECIMAL(10,2) does not compare with STRING",
    );
    check(
        "CREATE STREAM a AS SELECT nope FROM 'trades.csv'; SELECT whatever FROM a; SELECT also == 1",
        "E0203 column \"nope\" in SELECT does not exist\nE0103 == is not an SQL operator",
    );
}

#[test]
fn types() {
    check_from("SELECT symbol FROM trades WHERE symbol", "E0302 a condition must be BOOLEAN, not STRING");
    check_from("SELECT symbol FROM trades WHERE quantity", "W0301 an INTEGER is used as a condition");
    check_from("SELECT symbol = 1 FROM trades", "E0302 STRING does not compare with INTEGER");
    check_from("SELECT -symbol FROM trades", "E0302 \"-\" needs a number, not STRING");
    check_from("SELECT ts > 'soon' FROM trades", "E0304 'soon' is not a TIMESTAMP");
    check_from(
        "SELECT CASE WHEN ok THEN 1 ELSE symbol END FROM trades",
        "E0303 CASE cannot give both INTEGER and STRING",
    );
    check_from("SELECT CAST(ok AS DATE) FROM trades", "E0305 BOOLEAN cannot be cast to DATE");
    check_from("SELECT SUM(symbol) FROM trades GROUP BY ok", "E0306 SUM does not take STRING");
    check_from(
        "SELECT symbol AS _event_time FROM trades",
        "E0302 _event_time must be INTEGER (ms) or TIMESTAMP, not STRING",
    );
    check_from(
        "SELECT 123456789012345678901234567890123456789 FROM trades",
        "E0111 number 123456789012345678901234567890123456789 has more digits than the engine holds",
    );
}

#[test]
fn aggregates_and_windows() {
    check_from("SELECT symbol FROM trades WHERE SUM(price) > 1", "E0401 aggregate SUM is not allowed in WHERE");
    check_from("SELECT SUM(MAX(price)) FROM trades GROUP BY symbol", "E0402 aggregate MAX inside aggregate SUM");
    check_from("SELECT SUM(price) AS s FROM trades GROUP BY s", "E0401 aggregate SUM is not allowed in GROUP BY");
    check_from("SELECT SUM(price) FROM trades", "W0402 SUM without GROUP BY or WINDOW makes one group of everything");
    check_from(
        "SELECT symbol, COUNT(*) FROM trades GROUP BY ok",
        "W0401 column \"symbol\" is neither grouped nor aggregated",
    );
    check_from(
        "SELECT * FROM trades GROUP BY symbol",
        "E0407 SELECT * does not go with GROUP BY, WINDOW or aggregates",
    );
    check_from("SELECT symbol FROM trades GROUP BY 2", "E0406 GROUP BY 2 is not in the select list");
    check_from("SELECT COUNT(*) FROM trades WINDOW TUMBLING(ts, 0s)", "E0403 a window must be longer than 0");
    check_from(
        "SELECT COUNT(*) FROM trades WINDOW TUMBLING(5s)",
        "E0404 the window has no event time: records of \"trades.csv\" carry none",
    );
    check_from(
        "SELECT COUNT(*) FROM trades WINDOW TUMBLING(symbol, 5s)",
        "E0404 window time column \"symbol\" is STRING, not INTEGER or TIMESTAMP",
    );
    check_from("SELECT COUNT(*) FROM trades WINDOW TUMBLING(tz, 5s)", "E0203 column \"tz\" in WINDOW does not exist");
    check_from("SELECT _window_start FROM trades", "E0405 _window_start exists in windowed queries only");
    check_from("SELECT symbol FROM trades EMIT FINAL", "W0404 EMIT FINAL has no effect without GROUP BY or WINDOW");
    check_from(
        "SELECT symbol, COUNT(*) FROM trades WITH ('watch'='true') GROUP BY symbol EMIT FINAL",
        "W0403 GROUP BY without WINDOW over unbounded input keeps every group for ever\n\
         E0408 EMIT FINAL without WINDOW over unbounded input never gives a row",
    );
    check_from(
        "SELECT COUNT(*) FROM trades WINDOW TUMBLING(ts, 5s); SELECT COUNT(*) FROM trades WINDOW TUMBLING(ms, 5s)",
        "E0901 two different event times of \"trades.csv\" in one app is not supported yet",
    );
    check_from(
        "CREATE TABLE t AS SELECT symbol, COUNT(*) n FROM trades GROUP BY symbol; SELECT APPROX_COUNT_DISTINCT(n) FROM t GROUP BY symbol",
        "E0421 APPROX_COUNT_DISTINCT cannot take a row back, and the rows of this TABLE change",
    );
    check_from(
        "CREATE TABLE t AS SELECT COUNT(*) n FROM trades GROUP BY symbol",
        "E0409 the TABLE does not select all columns that identify its rows",
    );
}

#[test]
fn declarations() {
    check("CREATE TABLE t (a INT) WITH ('path'='trades.csv'); SELECT a FROM t", "E0503 TABLE \"t\" has no PRIMARY KEY");
    check(
        "CREATE STREAM t (a INT, a INT, PRIMARY KEY (b)) WITH ('path'='trades.csv'); SELECT a FROM t",
        "E0208 column \"a\" is declared twice\nE0203 column \"b\" is not declared",
    );
    check("CREATE STREAM t (a INT) WITH ('path'='x.csv'); SELECT a FROM t", "E0504 no file matches x.csv");
    check("SELECT symbol FROM 'trades.csv' INTO somewhere", "E0507 nothing says where sink \"somewhere\" writes to");
}

#[test]
fn strict_makes_warnings_errors() {
    let options = crate::BindOptions { strict: true, ..options() };
    let result = crate::compile("SELECT SUM(price) FROM 'trades.csv'", &options, &mut Files, &mut schemas());
    assert!(result.plan.is_none());
    assert_eq!(result.diagnostics[0].code, "W0402");
}

#[test]
fn large_input_ends() {
    for operator in [" + ", " * ", " / ", " - "] {
        let chain = vec!["quantity"; 100_000].join(operator);
        assert!(compiled(&format!("SELECT {chain} AS x FROM 'trades.csv'")).plan.is_some());
        assert!(compiled(&format!("SELECT SUM({chain}) AS x, {chain} FROM 'trades.csv' GROUP BY ok")).plan.is_some());
    }
    for (operand, operator) in [("ok", " AND "), ("ok", " OR "), ("symbol", " || ")] {
        let chain = vec![operand; 100_000].join(operator);
        assert!(compiled(&format!("SELECT {chain} AS x FROM 'trades.csv'")).plan.is_some());
    }
    let columns: Vec<String> = (0..10_000).map(|i| format!("price + {i} AS c{i}")).collect();
    assert!(compiled(&format!("SELECT {} FROM 'trades.csv'", columns.join(", "))).plan.is_some());
    let aggregates: Vec<String> = (0..3_000).map(|i| format!("SUM(price + {i})")).collect();
    assert!(compiled(&format!("SELECT {} FROM 'trades.csv'", aggregates.join(", "))).plan.is_some());
    let unknown: Vec<String> = (0..10_000).map(|i| format!("x{i}")).collect();
    assert_eq!(compiled(&format!("SELECT {} FROM 'trades.csv'", unknown.join(", "))).diagnostics.len(), 100);
    let list: Vec<String> = (0..300_000).map(|i| format!("'symbol number {i} of many, long'")).collect();
    assert!(compiled(&format!("SELECT ok FROM 'trades.csv' WHERE symbol IN ({})", list.join(","))).plan.is_some());
}

#[test]
fn every_nesting_ends_at_its_limit() {
    let shapes = [
        ("COALESCE(", ")"),
        ("CASE WHEN ok THEN ", " END"),
        ("CASE WHEN ok THEN 1 ELSE ", " END"),
        ("- ", ""),
        ("(1 + ", ")"),
        ("CAST(", " AS INT)"),
        ("NULLIF(1, ", ")"),
        ("((quantity = 1) = ((", ") IS NULL))"),
    ];
    for (open, close) in shapes {
        for depth in [50, 250, 300, 5_000] {
            let text = format!("SELECT {}quantity{} FROM 'trades.csv'", open.repeat(depth), close.repeat(depth));
            let result = compiled(&text);
            let too_deep = result.diagnostics.iter().any(|d| d.code == "E0107");
            assert!(result.plan.is_some() != too_deep, "{open} {depth}: {:?}", result.diagnostics);
            assert!(depth < 300 || too_deep, "{open} {depth}");
        }
    }
}

#[test]
fn duplication_is_bounded() {
    let first = |text: &str| compiled(text).diagnostics.first().map(line).unwrap_or_default();
    let mut doubling = "SELECT quantity + 1 AS a0".to_owned();
    let mut deepening = doubling.clone();
    for i in 1..2_000 {
        if i < 60 {
            doubling.push_str(&format!(", a{0} + a{0} AS a{1}", i - 1, i));
        }
        deepening.push_str(&format!(", -a{} AS a{}", i - 1, i));
    }
    assert!(first(&format!("{doubling} FROM 'trades.csv'")).starts_with("E0107 the expressions have more than"));
    assert!(first(&format!("{deepening} FROM 'trades.csv'")).starts_with("E0107 the expression is nested"));
    let mut case = "quantity".to_owned();
    for _ in 0..100 {
        case = format!("CASE {case} WHEN 1 THEN 2 WHEN 2 THEN 3 END");
    }
    assert!(first(&format!("SELECT {case} FROM 'trades.csv'")).starts_with("E0107"));
    let nested = format!("SELECT {}1{} FROM 'trades.csv'", "COALESCE(".repeat(200), ")".repeat(200));
    assert!(compiled(&nested).plan.is_some());
    let statements: String = (0..13_000).map(|_| "SELECT ok FROM 'trades.csv' WHERE ok LIMIT 1;").collect();
    assert!(first(&statements).starts_with("E0107 the app has more than"));
}
