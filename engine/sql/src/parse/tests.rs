//! What the parser accepts, what it says about mistakes, and that nothing overflows.

use super::ast::{ExprKind, Item, StatementKind};
use super::parse;

/// Codes and messages of the findings, one per line.
fn findings(text: &str) -> String {
    let script = parse(text);
    script.diagnostics.iter().map(|d| format!("{} {}\n", d.code, d.message)).collect()
}

fn check(text: &str, expect: &str) {
    let found = findings(text);
    assert_eq!(found.trim_end(), expect, "{text}");
}

#[test]
fn accepts_the_grammar() {
    for text in [
        "SELECT 1",
        "SELECT a, b AS c, d e, t.*, * FROM t",
        "select a from 'trades.csv' t where a > 1 and not b = 2 or c is not null;",
        "SELECT a FROM \"x.csv\" WITH ('format' = 'csv', header = TRUE,) LIMIT 5",
        "SELECT a FROM kafka://h:9092/topic",
        "SELECT k, COUNT(*) FROM t GROUP BY k WINDOW TUMBLING(5s) HAVING COUNT(*) > 1 EMIT FINAL INTO out WITH ('a'='b')",
        "SELECT k FROM t GROUP BY k WINDOW TUMBLING(ts, INTERVAL '5' SECOND, GRACE 1m)",
        "SELECT k FROM t GROUP BY k WINDOW TUMBLING (SIZE 5 MINUTES, GRACE PERIOD 1 MINUTE)",
        "SELECT k FROM t GROUP BY k, TUMBLE(ts, '5 seconds')",
        "SELECT k FROM t WINDOW TUMBLING(10)",
        "CREATE STREAM a AS SELECT x FROM t EMIT CHANGES WITH ('a.type'='file_sink') INTO b",
        "CREATE STREAM a WITH ('x'='y') AS SELECT x, COUNT(*) FROM t WINDOW TUMBLING(1m) GROUP BY x",
        "CREATE OR REPLACE TABLE IF NOT EXISTS a (id INT PRIMARY KEY, p DECIMAL(10,2) NOT NULL, ts TIMESTAMP, \
         WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH (path = 'x.csv')",
        "CREATE TABLE a (id INT, b VARCHAR(20), PRIMARY KEY (id, b))",
        "CREATE STREAM a WITH ('path' = 'x.csv')",
        "SET watermark.strategy = 'ascending'; EXPLAIN VERBOSE SELECT 1; EXPLAIN CREATE STREAM a AS SELECT 1",
        "INSERT INTO t VALUES (1, 'a'), (-x, NOW()); INSERT INTO t (a, `select`) VALUES (1, 2); INSERT INTO t SELECT 1",
        "INSERT INTO t (SELECT a FROM u WHERE a > 1); INSERT INTO t (a) WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        "UPDATE t SET a = a + 1, b = 'x' WHERE a > 1 OR b IS NULL; UPDATE t AS u SET a = u.a; UPDATE t u SET a = 1",
        "DELETE FROM t; DELETE FROM t WHERE a = 1; DELETE FROM t x WHERE x.a = 1; EXPLAIN INSERT INTO t SELECT 1",
        "SELECT timestamp, date, status, type, key, count, window, rows, version FROM t window WHERE left = right",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END, CASE a WHEN 1 THEN 'x' END, CAST(a AS DECIMAL(10, 2)), TRY_CAST(b AS INT)",
        "SELECT a BETWEEN 1 AND 2 AND b IN (1, 2) OR c NOT IN ('x') AND d IS NOT DISTINCT FROM e, -a, +b, - -1, ts - 5s",
        "SELECT a LIKE 'x%' AND b NOT LIKE c || '#%' ESCAPE '#' OR a ~ '^x' AND NOT b !~ 'y'",
        "SELECT SUBSTRING(a FROM 2 FOR 3), SUBSTRING(a FOR 3), POSITION('x' IN a || b), TRIM(both), TRIM(BOTH 'x' FROM a), \
         TRIM(LEADING FROM a), TRIM('x' FROM a), TRIM(a, 'x'), EXTRACT(YEAR FROM ts), EXTRACT('year', ts)",
        "SELECT ts + INTERVAL '1' MONTH - INTERVAL 2 YEARS, INTERVAL '1 month' + ts, ts AT TIME ZONE 'UTC' - 5s",
        "SELECT CURRENT_TIMESTAMP, CURRENT_DATE, current_time, TIMESTAMP(), TIME '12:30', CAST(a AS TIME)",
        "SELECT a PRIMARY KEY, b AS x PRIMARY KEY FROM t -- done\n/* all of it */;",
        "SELECT a FROM t;;; SELECT 'it''s', `odd name`, \"q\"\"q\" FROM `from`;",
        "",
    ] {
        check(text, "");
    }
}

#[test]
fn syntax_mistakes() {
    check("SELECT 'abc", "E0101 string is never closed");
    check("SELECT a /* x", "E0101 comment is never closed");
    check("SELECT `a FROM t", "E0101 name is never closed");
    check("SELECT FROM t", "E0102 expected an expression, found the reserved word FROM");
    check("SELECT a FROM t WHERE", "E0102 expected an expression, found the end of the text");
    check("SELECT a FROM t extra junk", "E0102 expected \";\" or the end of the statement, found \"junk\"");
    check("FOO BAR", "E0102 expected a statement: SELECT, CREATE STREAM, CREATE TABLE, SET or EXPLAIN, found \"FOO\"");
    check("SELECT a == 1 FROM t", "E0103 == is not an SQL operator");
    check("SELECT a = b = c FROM t", "E0102 comparisons do not chain");
    check("SELECT a LIKE b LIKE c FROM t", "E0102 comparisons do not chain");
    check("SELECT SUBSTRING(a FROM 1, 2) FROM t", "E0102 expected \")\", found \",\"");
    check("SELECT TRIM(BOTH a, 'x') FROM t", "E0102 expected FROM, found \",\"");
    check("SELECT ts + INTERVAL '1.5' MONTH FROM t", "E0108 \"1.5\" is not a whole number of MONTH");
    check("SELECT DATE '2023-02-29' FROM t", "E0304 '2023-02-29' is not a DATE");
    check("SELECT TIME '25:00' FROM t", "E0304 '25:00' is not a TIME");
    check("SELECT k FROM t WINDOW TUMBLING(5s) GROUP BY k", "E0105 WINDOW must come after GROUP BY");
    check("SELECT k FROM t LIMIT 1 WHERE a", "E0105 LIMIT must come after WHERE");
    check("SELECT k FROM t WHERE a WHERE b", "E0106 a second WHERE clause");
    check("SELECT k FROM t EMIT", "E0109 EMIT without CHANGES or FINAL");
    check("SELECT k PRIMARY FROM t", "E0110 PRIMARY without KEY");
    check("SELECT k FROM t LIMIT 1.5", "E0111 LIMIT 1.5 is not a whole number of rows");
    check("SELECT k FROM t WINDOW TUMBLING(5 parsec)", "E0108 unknown time unit \"parsec\"");
    check("SELECT k FROM t WINDOW TUMBLING(ts, 5 parsecs, GRACE 1s)", "E0108 unknown time unit \"parsecs\"");
    check("SELECT k FROM t WINDOW TUMBLING(5 GRACE 2s)", "E0102 expected \",\" or \")\", found \"GRACE\"");
    check("SELECT k FROM t WINDOW TUMBLING(5x)", "E0108 unknown time unit \"x\"");
    check("SELECT k FROM t WINDOW TUMBLING('5 ages')", "E0108 unknown time unit \"ages\"");
    check("SELECT CAST(a AS BLOB)", "E0301 unknown type \"BLOB\"");
    check("SELECT CAST(a AS DECIMAL(50))", "E0301 DECIMAL(50,0) does not exist");
    check("CREATE STREAM WITH ('a'='b') AS SELECT 1", "E0102 expected a column name, found \"'a'\"");
}

#[test]
fn several_mistakes_are_all_reported() {
    check(
        "SELECT a == 1; SELECT k FROM t EMIT; SELECT 1; SELECT a FROM t, u",
        "E0103 == is not an SQL operator\nE0109 EMIT without CHANGES or FINAL\nE0430 relations are joined with JOIN, not with a comma",
    );
    let script = parse("SELECT a ==; SELECT 1");
    assert_eq!(script.statements.len(), 1);
    assert_eq!(script.statements[0].number, 2);
    assert_eq!(parse("CREATE STREAM a AS SELECT x FROM t NATURAL JOIN u").failed_names, ["a"]);
}

#[test]
fn what_comes_later_is_said_so() {
    for (text, what) in [
        ("VALUES (1)", "VALUES"),
        ("SELECT a FROM t INTERSECT SELECT b FROM u", "INTERSECT"),
        ("SELECT a FROM t WINDOW CUMULATE(5s, 1s)", "WINDOW CUMULATE"),
    ] {
        check(text, &format!("E0901 {what} is not supported yet"));
    }
}

#[test]
fn queries_stand_in_expressions() {
    for text in [
        "SELECT (SELECT MAX(b) FROM u), ((SELECT 1)) + 1 FROM t",
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u) AND NOT EXISTS (SELECT * FROM u)",
        "SELECT a FROM t WHERE a IN (SELECT b FROM u) OR a NOT IN (WITH x AS (SELECT 1) SELECT * FROM x)",
        "SELECT a FROM t WHERE a >= ALL (SELECT b FROM u) AND a = any (SELECT b FROM u UNION SELECT 1) AND a <> SOME (SELECT 1)",
        "SELECT CASE WHEN (SELECT 1) > 0 THEN COALESCE((SELECT a), 1) END FROM t HAVING COUNT(*) > (SELECT 1)",
    ] {
        check(text, "");
    }
    check("SELECT a = ANY (b) FROM t", "E0102 ANY, SOME and ALL are followed by a query in parentheses");
    check("SELECT (SELECT a FROM t", "E0102 expected \")\" behind the query, found the end of the text");
    check("SELECT a IN (SELECT b FROM t INTO c) FROM t", "E0102 INTO inside a nested query");
    check(
        "SELECT (SELECT COUNT(*) FROM t WINDOW TUMBLING(5s) EMIT CHANGES WITH ('a' = 'b')) FROM u",
        "E0441 WINDOW inside a subquery: it looks at the rows there are, at any moment\n\
         E0441 EMIT inside a subquery: it gives no rows of its own\n\
         E0441 WITH inside a subquery: properties belong to the statement",
    );
}

#[test]
fn calls_take_modifiers() {
    for text in [
        "SELECT COUNT(DISTINCT a), COUNT(DISTINCT a, b), SUM(ALL a), COUNT(distinct) FROM t",
        "SELECT STRING_AGG(a, ';' ORDER BY b DESC NULLS LAST, c) FROM t",
        "SELECT GROUP_CONCAT(DISTINCT a ORDER BY b SEPARATOR ';') FROM t",
        "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a ASC NULLS FIRST) FILTER (WHERE b > 1) AS p FROM t",
        "SELECT COUNT(*) FILTER (WHERE a) filter FROM t",
    ] {
        check(text, "");
    }
    for (text, expect) in [
        ("SELECT SUM(a) FILTER (a) FROM t", "E0102 expected WHERE, found \"a\""),
        ("SELECT SUM(a ORDER b) FROM t", "E0102 expected BY, found \"b\""),
        ("SELECT F(a ORDER BY b) WITHIN GROUP (ORDER BY c) FROM t", "E0106 F has two ORDER BY"),
        ("SELECT F(a SEPARATOR b) FROM t", "E0102 expected a text in quotes, found \"b\""),
    ] {
        check(text, expect);
    }
}

#[test]
fn spans_are_byte_ranges() {
    let text = "SELECT 'ä\nö',\r\n  größe + 1 FROM t";
    let script = parse(text);
    let StatementKind::Query(query) = &script.statements[0].kind else { panic!("a query") };
    let slices: Vec<&str> = query
        .items
        .iter()
        .map(|item| match item {
            Item::Expr { expr, .. } => &text[expr.span.start as usize..expr.span.end as usize],
            _ => panic!("an expression"),
        })
        .collect();
    assert_eq!(slices, ["'ä\nö'", "größe + 1"]);
}

#[test]
fn precedence() {
    let shape = |text: &str| {
        let script = parse(&format!("SELECT {text}"));
        let StatementKind::Query(query) = &script.statements[0].kind else { panic!("a query") };
        let Item::Expr { expr, .. } = &query.items[0] else { panic!("an expression") };
        match &expr.kind {
            ExprKind::Or(list) => format!("or{}", list.len()),
            ExprKind::And(list) => format!("and{}", list.len()),
            ExprKind::Not(_) => "not".to_owned(),
            ExprKind::Compare { .. } => "compare".to_owned(),
            ExprKind::Arithmetic { rest, .. } => format!("arithmetic{}", rest.len()),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(shape("a AND b OR c AND d OR e"), "or3");
    assert_eq!(shape("NOT a = b"), "not");
    assert_eq!(shape("NOT a AND b"), "and2");
    assert_eq!(shape("x = a || b"), "compare");
    assert_eq!(shape("a + b * c - d"), "arithmetic2");
    assert_eq!(shape("a * b % c / d"), "arithmetic3");
}

#[test]
fn long_chains_and_deep_nesting_end() {
    for operator in [" + ", " * ", " || ", " AND ", " OR "] {
        let chain = vec!["a"; 100_000].join(operator);
        check(&format!("SELECT {chain} FROM t"), "");
    }
    let nested = format!("SELECT {}a{}", "(".repeat(100_000), ")".repeat(100_000));
    check(&nested, "E0107 expression is nested more than 256 levels deep");
    let signs = format!("SELECT {}a", "- ".repeat(100_000));
    check(&signs, "E0107 expression is nested more than 256 levels deep");
    let mut left = "a".to_owned();
    for _ in 0..200 {
        left = format!("(({left}) IS NULL) || 'x'");
    }
    assert!(findings(&format!("SELECT {left}")).starts_with("E0107"));
    let queries = format!("{}t{}", "SELECT * FROM (".repeat(10_000), ")".repeat(10_000));
    check(&queries, "E0107 queries are nested more than 64 levels deep");
    let many = "SELECT 1;".repeat(700_000);
    check(&many, "E0107 the text has more than 2000000 tokens");
    let wide = format!("SELECT {} FROM t", vec!["some_column_name_of_mine"; 400_000].join(", "));
    check(&wide, "");
}
