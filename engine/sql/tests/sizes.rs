//! Texts of any size end: in a plan, or in a diagnostic about their size, within seconds and on a small stack, and what
//! is printed of them stays short. The cost of compiling grows with the text and not faster, which is counted.

mod world;

use std::time::{Duration, Instant};

use velostream_sql::diag::{Severity, line, render};
use velostream_sql::lint::{outline, recommend};
use velostream_sql::plan::SinkFormat;
use velostream_sql::{BindOptions, Compiled, compile};
use world::World;

/// Longer than any of these takes by far, so that only growth out of hand reaches it.
const LONGEST: Duration = Duration::from_secs(60);
const MANY: usize = 100_000;
const DEEP: usize = 10_000;

fn compiled(text: &str) -> Compiled {
    let options = BindOptions {
        app_name: "app".to_owned(),
        base_dir: ".".into(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: false,
        strict: false,
    };
    compile(text, &options, &mut World, &mut World)
}

/// How the text ends: empty for a plan, else the code of its first error. Everything that would be printed is.
#[expect(clippy::disallowed_methods, reason = "a limit of seconds is what is tested")]
fn ends(text: &str) -> &'static str {
    let start = Instant::now();
    let result = compiled(text);
    let _ = outline(text);
    let advice = result.plan.as_ref().map_or_else(Vec::new, |plan| recommend(text, plan));
    for diagnostic in &result.diagnostics {
        let shown = render(diagnostic, "app.sql", text, false);
        assert!(shown.len() < 20_000, "{} bytes about {}", shown.len(), diagnostic.code);
    }
    for diagnostic in &advice {
        assert!(line(diagnostic, "app.sql", text, false).len() < 2_000);
    }
    assert!(start.elapsed() < LONGEST, "{:?} for {} bytes: {:.60}", start.elapsed(), text.len(), text);
    let error = result.diagnostics.iter().find(|d| d.severity == Severity::Error);
    assert_eq!(error.is_none(), result.plan.is_some());
    error.map_or("", |d| d.code)
}

fn check(text: &str, expect: &str) {
    assert_eq!(ends(text), expect, "{:.80} … {} bytes", text, text.len());
}

fn select(expr: &str) -> String {
    format!("SELECT {expr} AS x FROM 'trades.csv'")
}

#[test]
fn chains_of_every_operator() {
    for (operand, operator) in [
        ("ok", " AND "),
        ("ok", " OR "),
        ("quantity", " + "),
        ("quantity", " - "),
        ("quantity", " * "),
        ("price", " / "),
        ("quantity", " % "),
        ("symbol", " || "),
    ] {
        check(&select(&vec![operand; MANY].join(operator)), "");
        check(&format!("SELECT ok FROM 'trades.csv' WHERE {} IS NULL", vec![operand; MANY].join(operator)), "");
    }
}

#[test]
fn lists_of_every_kind() {
    let numbers: Vec<String> = (0..MANY).map(|i| i.to_string()).collect();
    let list = numbers.join(", ");
    check(&select(&format!("quantity IN ({list})")), "");
    check(&select(&format!("quantity NOT IN ({list})")), "");
    check(&select(&format!("COALESCE({list})")), "");
    check(&select(&format!("CONCAT({list})")), "");
    check(&select(&format!("GREATEST({list})")), "");
    check(&select(&format!("ABS({list})")), "E0207");
    let arms: Vec<String> = (0..MANY).map(|i| format!("WHEN {i} THEN {i}")).collect();
    check(&select(&format!("CASE quantity {} END", arms.join(" "))), "");
    let arms: Vec<String> = (0..MANY).map(|i| format!("WHEN quantity > {i} THEN symbol")).collect();
    check(&select(&format!("CASE {} ELSE '' END", arms.join(" "))), "");
}

#[test]
fn many_columns() {
    let columns: Vec<String> = (0..DEEP).map(|i| format!("c{i} INT")).collect();
    let items: Vec<String> = (0..DEEP).map(|i| format!("c{i} + 1 AS d{i}")).collect();
    let declared = format!("CREATE STREAM wide ({}) WITH (path = 'wide.jsonl');", columns.join(", "));
    check(&format!("{declared} SELECT {} FROM wide", items.join(", ")), "");
    check(&format!("{declared} SELECT * FROM wide"), "");
    check(&format!("{declared} SELECT nope FROM wide"), "E0203");
    let keys: Vec<String> = (0..DEEP).map(|i| format!("c{i}")).collect();
    check(&format!("{declared} SELECT COUNT(*) FROM wide GROUP BY {}", keys.join(", ")), "");
    check(&format!("{declared} SELECT c0 FROM wide ORDER BY {}", keys.join(", ")), "");
}

#[test]
fn many_queries() {
    let branch = "SELECT symbol FROM 'trades.csv'";
    check(&vec![branch; 1_000].join(" UNION ALL "), "");
    check(&vec![branch; MANY].join(" UNION ALL "), "E0107");
    check(&vec![branch; MANY].join(" UNION "), "E0107");
    check(&format!("{branch};\n").repeat(MANY), "E0107");
    let chain: Vec<String> =
        (1..=5_000).map(|i| format!("CREATE VIEW v{i} AS SELECT symbol FROM {};", source(i))).collect();
    check(&chain.join("\n"), "");
    let names: Vec<String> = (0..5_000).map(|i| format!("a{i} AS ({branch})")).collect();
    check(&format!("WITH {} SELECT symbol FROM a7", names.join(", ")), "");
}

fn source(i: usize) -> String {
    if i == 1 { "'trades.csv'".to_owned() } else { format!("v{}", i - 1) }
}

#[test]
fn nesting_of_every_kind() {
    for (open, close) in [
        ("(", ")"),
        ("- ", ""),
        ("NOT ", ""),
        ("CASE WHEN ok THEN ", " END"),
        ("CASE ", " WHEN 1 THEN 2 END"),
        ("ABS(", ")"),
        ("COALESCE(1, ", ")"),
        ("CAST(", " AS INT)"),
        ("1 + (", ")"),
        ("1 IN (", ")"),
        ("SUM(", ")"),
    ] {
        check(&select(&format!("{}1{}", open.repeat(DEEP), close.repeat(DEEP))), "E0107");
    }
    // What stands behind its operand is as deep as it is long.
    for postfix in [" IS NULL", " BETWEEN 1 AND 2", " LIKE 'a'", " AT TIME ZONE 'UTC'", " = 1", " ~ 'a'"] {
        let code = ends(&select(&format!("1{}", postfix.repeat(DEEP))));
        assert!(["E0107", "E0102"].contains(&code), "{postfix}: {code}");
    }
    let queries = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(DEEP), ") AS q".repeat(DEEP));
    check(&queries, "E0107");
    check(&"(".repeat(MANY), "E0102");
    check(&format!("/* {} */ SELECT 1 AS x", "/* ".repeat(MANY)), "");
}

#[test]
fn texts_of_ten_megabytes() {
    let long = "x".repeat(10 << 20);
    check(&select(&format!("'{long}'")), "");
    check(&select(&format!("symbol = '{long}'")), "");
    check(&select(&long), "E0203");
    check(&format!("SELECT 1 AS a{long}"), "");
    check(&format!("-- {long}\nSELECT 1 AS a"), "");
    check(&format!("SELECT '{long}"), "E0101");
    check(&select(&"9".repeat(10 << 20)), "E0111");
    check(&select(&format!("symbol LIKE '{}'", "%a".repeat(5 << 20))), "");
    let conditions = vec!["quantity > 1000000000"; 400_000].join(" AND ");
    check(&format!("SELECT symbol FROM 'trades.csv' WHERE {conditions}"), "");
    check(&"SELECT 1 AS a, ".repeat(700_000), "E0107");
    check(&" ".repeat(65 << 20), "E0107");
}

/// Statements of every kind, as a long app would hold them.
fn app(blocks: usize) -> String {
    (0..blocks)
        .map(|i| {
            format!(
                "CREATE STREAM a{i} AS SELECT symbol, price * quantity AS value, CASE WHEN price > {i} THEN 'high' \
                 WHEN price > 1 THEN 'mid' ELSE 'low' END AS band FROM 'trades.csv' WHERE quantity > 0 AND ok;\n\
                 CREATE TABLE b{i} AS WITH big AS (SELECT symbol, value FROM a{i} WHERE value > 10) \
                 SELECT symbol, SUM(value) AS total, COUNT(*) AS n FROM big GROUP BY symbol HAVING COUNT(*) > 1;\n\
                 SELECT UPPER(symbol) AS s, COALESCE(price, 0) AS p, quantity IN (1, 2, 3) AS few FROM 'trades.csv';\n"
            )
        })
        .collect()
}

#[test]
fn work_grows_with_the_text() {
    let work = |blocks: usize| {
        let result = compiled(&app(blocks));
        assert!(result.plan.is_some(), "{:?}", result.diagnostics);
        result.work
    };
    let (one, ten, hundred) = (work(1), work(10), work(100));
    assert!(one > 30, "{one} expression nodes");
    // Each block binds the same number of nodes, however many stand before it.
    assert_eq!((ten, hundred), (10 * one, 100 * one));
}
