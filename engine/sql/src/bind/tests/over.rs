//! How calls with OVER are planned.

use super::show;
use super::world::compiled;

/// The nodes behind the Scan, and the findings.
fn check(query: &str, expect: &str) {
    let result = compiled(&query.replace("trades", "'trades.jsonl'"));
    let plan = result.blocked.as_ref().or(result.plan.as_ref());
    let shown = plan.map(show::plan).unwrap_or_default();
    let nodes = shown.lines().filter(|l| l.contains("project") || l.contains("over") || l.contains("exchange"));
    let nodes = nodes.map(|l| l.split_once(' ').map_or(l, |(_, rest)| rest).to_owned());
    let found = result.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message));
    let text: Vec<String> = nodes.chain(found).collect();
    let expect: Vec<&str> = expect.trim().lines().map(str::trim).collect();
    assert_eq!(text.join("\n"), expect.join("\n"), "{query}");
}

#[test]
fn a_frame_bounds_the_buffer() {
    check(
        "SELECT symbol, ROW_NUMBER() OVER (PARTITION BY symbol ORDER BY ts ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS n FROM trades",
        "project $0, $1
         exchange 0 Key([0])
         over [0] by [1] last 5 full false None: ROW_NUMBER(- 1 - false) -4:0 INTEGER
         project $1, $0",
    );
}

#[test]
fn each_buffer_is_a_node() {
    check(
        "SELECT symbol, SUM(quantity) OVER (ROWS WINDOW BUFFER 3 ROWS PARTITION BY symbol) AS s, COUNT(*) OVER (ROWS WINDOW BUFFER 2 ROWS) AS n FROM trades",
        "project $0, $1
         exchange 0 Key([0])
         over [0] by [] last 3 full false Some(60): SUM[1] ..:.. INTEGER
         exchange 1 Key([])
         over [] by [] last 2 full false Some(60): COUNT[] ..:.. INTEGER
         project $2, $1, $0",
    );
}

#[test]
fn groups_are_rows() {
    check(
        "SELECT symbol, RANK() OVER (ROWS WINDOW BUFFER 9 ROWS ORDER BY COUNT(*) DESC) AS r FROM trades GROUP BY symbol",
        "project $0
         exchange 0 Key([0])
         project $0, $1
         exchange 1 Key([])
         over [] by [1 desc] last 9 full false Some(60): RANK(- 1 - false) ..:0 INTEGER
         project $1, $0",
    );
}

#[test]
fn what_nothing_bounds_is_told() {
    check(
        "SELECT LEAD(quantity) OVER (ORDER BY ms) AS l FROM trades",
        "project $1, $0
         exchange 0 Key([])
         over [] by [0] last 1000 full false None: LEAD((1) 1 - false) ..:0 INTEGER
         project $0
         W0443 nothing bounds the rows that OVER keeps: the last 1000 of each partition
         W0440 LEAD sees rows that came already: for the newest row it gives its default",
    );
}
