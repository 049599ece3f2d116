//! Where the bytes of records pass through to a sink, and where they must not.

use super::show;
use super::world::compiled;
use crate::plan::AppPlan;

fn planned(text: &str) -> AppPlan {
    let result = compiled(text);
    result.plan.unwrap_or_else(|| panic!("{text}: {:?}", result.diagnostics))
}

/// `expect`: the sinks that take bytes as they came, and nothing else.
fn check(text: &str, expect: &[&str]) {
    let plan = planned(text);
    let passed: Vec<&str> = plan.sinks.iter().filter(|s| s.pass_through).map(|s| s.name.as_str()).collect();
    assert_eq!(passed, expect, "{text}");
}

fn check_plan(text: &str, expect: &str) {
    let trimmed = |text: &str| text.trim().lines().map(|l| format!("{}\n", l.trim())).collect::<String>();
    assert_eq!(trimmed(&show::plan(&planned(text))), trimmed(expect), "{text}");
}

#[test]
fn a_star_of_an_inferred_source_in_its_own_format_passes() {
    for text in [
        "SELECT * FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT t.* FROM 'trades.jsonl' t INTO 'o.jsonl'",
        "SELECT * FROM 'trades.jsonl' WHERE price * 2 > 10 LIMIT 5 INTO 'o.jsonl'",
        "SELECT * FROM 'trades.jsonl' WHERE ok HAVING quantity > 1 INTO 'o.jsonl'",
        "SELECT * FROM 'days/*.jsonl' INTO 'o.jsonl'",
        "SELECT * FROM 'empty.jsonl' INTO 'o.jsonl'",
        "SELECT * FROM 'trades.csv' INTO 'o.csv'",
        "SELECT * FROM 'trades.psv' INTO 'o.psv'",
        "SELECT * FROM 'trades.csv' WITH ('no_header' = '1') INTO 'o.csv' WITH ('o.csv.no_header' = '1')",
        "SELECT * FROM 'days/*.csv' WITH ('no_header' = '1') INTO 'o.csv' WITH ('o.csv.no_header' = '1')",
        "SELECT * FROM 'trades.jsonl' WITH ('memory' = '1') INTO 'o.jsonl' WITH ('o.jsonl.memory' = '1')",
        "SELECT * FROM 'trades.jsonl' INTO 'o.jsonl' WITH ('o.jsonl.memory' = '1')",
        "CREATE STREAM t WITH ('path' = 'trades.jsonl'); SELECT * FROM t INTO 'o.jsonl'",
    ] {
        let name = text.rsplit("INTO '").next().and_then(|rest| rest.split('\'').next()).unwrap_or_default();
        check(text, &[name]);
    }
    check("CREATE TABLE t WITH ('t.path' = 'o.jsonl') AS SELECT * FROM 'trades.jsonl'", &["t"]);
}

#[test]
fn columns_are_encoded() {
    for text in [
        // Something is named, computed, added or left out.
        "SELECT symbol, price, quantity, ratio, ts, ms, day, ok FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT *, price AS p FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT *, * FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT *, ms AS _event_time FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT *, _offset FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT price + 1 AS price FROM 'trades.jsonl' INTO 'o.jsonl'",
        "SELECT symbol, COUNT(*) FROM 'trades.jsonl' GROUP BY symbol INTO 'o.jsonl'",
        "SELECT 1 AS one INTO 'o.jsonl'",
        // The types were declared: `*` is that list.
        "CREATE STREAM t (price DECIMAL(10,2)) WITH ('path' = 'trades.jsonl'); SELECT * FROM t INTO 'o.jsonl'",
        // Another format, delimiter, quote or header.
        "SELECT * FROM 'trades.csv' INTO 'o.jsonl'",
        "SELECT * FROM 'trades.jsonl' INTO 'o.csv'",
        "SELECT * FROM 'trades.csv' INTO 'o.psv'",
        "SELECT * FROM 'trades.csv' WITH ('quote' = '~') INTO 'o.csv'",
        "SELECT * FROM 'trades.csv' INTO 'o.csv' WITH ('o.csv.no_header' = '1')",
        "SELECT * FROM 'trades.csv' WITH ('no_header' = '1') INTO 'o.csv'",
        "SELECT * FROM 'trades.jsonl'",
        // Each file may have its own order of columns, and nothing is known of a file without records.
        "SELECT * FROM 'days/*.csv' INTO 'o.csv'",
        "SELECT * FROM 'empty.csv' INTO 'o.csv'",
        // A topic's record may hold line feeds.
        "SELECT * FROM 'trades.jsonl' WITH ('memory' = '1') INTO 'o.jsonl'",
    ] {
        check(text, &[]);
    }
}

#[test]
fn objects_of_the_app_have_the_columns_of_their_query() {
    let all = "CREATE STREAM t AS SELECT * FROM 'trades.jsonl' WHERE ok;";
    check(&format!("{all} SELECT * FROM t INTO 'o.jsonl'"), &[]);
    let with_sink = all.replace("AS", "WITH ('t.path' = 't.jsonl') AS");
    check(&format!("{with_sink} SELECT * FROM t INTO 'o.jsonl'"), &["t"]);
}

#[test]
fn only_what_the_query_needs_is_read() {
    check_plan(
        "SELECT * FROM 'trades.jsonl' INTO 'o.jsonl'",
        "source trades.jsonl [] raw
         0< scan 0
         1<0 sink 0 0
         sink o.jsonl (symbol price quantity ratio ts ms day ok) key [] passed",
    );
    check_plan(
        "SELECT * FROM 'trades.jsonl' WHERE price > 10 LIMIT 3 INTO 'o.jsonl'",
        "source trades.jsonl [price] raw
         0< scan 0
         1<0 filter $0 > 10
         2<1 exchange 0 Key([])
         3<2 limit 3
         4<3 sink 0 1
         sink o.jsonl (symbol price quantity ratio ts ms day ok) key [] passed",
    );
    check_plan(
        "SELECT quantity FROM t; \
         CREATE STREAM t WITH ('t.path' = 't.csv') AS SELECT * FROM 'trades.csv' WHERE ok",
        "source trades.csv [symbol price quantity quantity# ratio ts ms day ok] raw
         0< scan 0
         1<0 filter $8
         2<1 project $0, $1, $2, $4, $5, $6, $7, $8, $3
         3<1 sink 0 0
         4<2 project $8
         5<4 sink 1 1
         sink t (symbol price quantity ratio ts ms day ok) key [] passed
         sink query_1 (quantity) key []",
    );
}
