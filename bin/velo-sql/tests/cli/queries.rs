//! Queries and apps over files: what comes out where.

use crate::world::World;

const TRADES: &str = "symbol,price,quantity,event_time\n\
    A,1.50,10,1000\nB,2.25,5,2000\nA,1.75,1,6000\nA,2.00,1,7000\n";
const COUNTS: &str = "SELECT symbol, COUNT(*), AVG(price) FROM 'trades.csv' GROUP BY symbol";

fn trades() -> World {
    World::with(&[("trades.csv", TRADES)])
}

fn check(args: &[&str], expect: &str) {
    let args = [&["run", "-e", COUNTS][..], args].concat();
    assert_eq!(trades().run(&args).ok(), expect, "{args:?}");
}

#[test]
fn a_bare_select_prints_one_row_per_symbol() {
    let json = "{\"symbol\":\"A\",\"count\":3,\"avg\":1.750000}\n{\"symbol\":\"B\",\"count\":1,\"avg\":2.250000}\n";
    check(&[], json);
    check(&["--format", "json"], json);
    check(&["--format", "csv"], "symbol,count,avg\nA,3,1.750000\nB,1,2.250000\n");
    let table = " symbol | count |      avg\n--------+-------+----------\n A      |     3 | 1.750000\n \
                 B      |     1 | 2.250000\n";
    check(&["--format", "table"], table);
}

#[test]
fn elements_need_no_relation() {
    let sql = "SELECT x, n FROM UNNEST(ARRAY['a', 'b']) WITH ORDINALITY AS u(x, n)";
    assert_eq!(trades().run(&["run", "-e", sql]).ok(), "{\"x\":\"a\",\"n\":1}\n{\"x\":\"b\",\"n\":2}\n");
    let sql = "SELECT SUM(k) AS total FROM UNNEST(ARRAY[1, 2, 3]) AS k";
    assert_eq!(trades().run(&["run", "-e", sql]).ok(), "{\"total\":6}\n");
}

#[test]
fn every_layout_gives_the_same_rows() {
    let json = trades().run(&["run", "-e", COUNTS]).ok();
    for shards in ["1", "2", "4"] {
        for runtime in ["auto", "threads"] {
            for rows in ["1", "7", "1024"] {
                check(&["--shards", shards, "--runtime", runtime, "--batch-rows", rows], &json);
            }
        }
    }
    check(&["--cores", "0", "--latency-profile", "throughput", "--credits", "1", "--shards", "2"], &json);
}

#[test]
fn sql_comes_from_a_file_from_standard_input_or_from_the_command_line() {
    let world = trades();
    std::fs::create_dir(world.path("apps")).unwrap();
    world.put("apps/count.sql", "SELECT COUNT(*) AS n FROM 'trades.csv';");
    world.put("apps/trades.csv", "symbol\nX\n");
    let quiet = |text: String| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(quiet(world.run(&["run", "apps/count.sql"]).ok()), "{\"n\":1}", "relative to the file");
    let piped = world.run_with_input(&["run", "-"], "SELECT COUNT(*) AS n FROM 'trades.csv'");
    assert_eq!(quiet(piped.ok()), "{\"n\":4}", "relative to the current folder");
    let empty = world.run(&["run", "-e", ""]);
    assert_eq!(empty.code, Some(1), "{empty:?}");
}

const APP: &str = "-- @app: bars\n\
    CREATE STREAM t (symbol STRING, price DECIMAL(10,2), event_time BIGINT) WITH (\n\
      'type' = 'file_source', 'path' = 'in.csv', 'event.time.field' = 'event_time',\n\
      'watermark.max_out_of_orderness' = '0s');\n\
    CREATE STREAM positive AS SELECT symbol, price FROM t WHERE price > 0;\n\
    CREATE STREAM bars AS SELECT symbol, AVG(price) AS p, _window_start AS start FROM positive GROUP BY symbol\n\
      WINDOW TUMBLING(5s) EMIT FINAL WITH ('bars.path' = 'out/bars.csv');\n";
const ROWS: &str = "symbol,price,event_time\nA,1.50,1000\nA,2.50,2000\nA,1.75,6000\nC,xx,6500\nA,1.85,7000\nA,9,1500\n";

#[test]
fn an_app_writes_files_and_says_what_it_left_out() {
    let world = World::with(&[("app.sql", APP), ("in.csv", ROWS)]);
    let ran = world.run(&["run", "app.sql"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out, "");
    assert_eq!(world.read("out/bars.csv"), "symbol,p,start\nA,2.000000,0\nA,1.800000,5000\n");
    let letters = world.read("out/t-dlq.jsonl");
    let letter: serde_json::Value = serde_json::from_str(&letters).unwrap();
    assert_eq!((&letter["record"], &letter["offset"]), (&"C,xx,6500".into(), &3.into()), "{letters}");
    for said in
        ["t: 6 rows in; 1 bad -> out/t-dlq.jsonl", "bars: 2 rows -> out/bars.csv; 1 row late", "6 rows in, 2 out"]
    {
        assert!(ran.err.contains(said), "{said} in\n{}", ran.err);
    }
}

#[test]
fn the_summary_for_programs_is_one_document() {
    let world = World::with(&[("app.sql", APP), ("in.csv", ROWS)]);
    let ran = world.run(&["run", "app.sql", "--output-format", "json"]);
    assert_eq!(ran.err, "", "standard output is free for the document");
    let summary = ran.summary();
    for (path, expect) in [
        ("/status", "completed".into()),
        ("/app", "bars".into()),
        ("/rows_in", 6.into()),
        ("/rows_out", 2.into()),
        ("/rows_late", 1.into()),
        ("/rows_dead_lettered", 1.into()),
        ("/dead_letters/0/path", "out/t-dlq.jsonl".into()),
        ("/dead_letters/0/rows", 1.into()),
        ("/sinks/0/to", "out/bars.csv".into()),
        ("/sources/0/ended", true.into()),
    ] {
        assert_eq!(summary.pointer(path), Some(&expect), "{path} in {summary}");
    }
    // Its times lie in 1970.
    let told = summary["diagnostics"].as_array().expect("a list");
    assert!(told.len() == 1 && told[0]["message"].to_string().contains("seconds?"), "{summary}");
    assert!(summary["latency"]["p99_us"].as_f64() > Some(0.0), "{summary}");
    let ran = trades().run(&["run", "-e", COUNTS, "--output-format", "json"]);
    assert_eq!((ran.out.lines().count(), &ran.summary()["rows_out"]), (2, &2.into()), "rows keep standard output");
}

#[test]
fn now_is_what_rows_of_files_get_as_their_timestamp() {
    let sql = "SELECT _timestamp AS t FROM 'trades.csv' LIMIT 1";
    for now in ["2024-02-29T12:00:00Z", "1709208000000"] {
        assert_eq!(trades().run(&["run", "-e", sql, "--now", now]).ok(), "{\"t\":1709208000000}\n");
    }
}

#[test]
fn explain_is_shown_and_not_run() {
    let world = World::with(&[("app.sql", APP), ("in.csv", ROWS)]);
    let plain = world.run(&["explain", "app.sql"]).ok();
    assert!(plain.contains("app bars") && plain.contains("TUMBLING(5s)") && !plain.contains("properties"), "{plain}");
    let verbose = world.run(&["explain", "--verbose", "app.sql", "--set", "poll_interval=7s"]).ok();
    assert!(verbose.contains("path = out/bars.csv  (WITH)"), "{verbose}");
    let own =
        World::with(&[("trades.csv", TRADES)]).run(&["run", "-e", "EXPLAIN SELECT symbol FROM 'trades.csv'"]).ok();
    assert!(own.contains("Project symbol") && !own.contains("{\"symbol\""), "{own}");
    assert!(!world.path("out").exists());
}

#[test]
fn topics_are_explained_without_a_broker() {
    let sql = "-- @app: shop\nCREATE STREAM orders (id INTEGER) WITH ('type' = 'kafka');\n\
               CREATE STREAM big AS SELECT id FROM orders WHERE id > 5;";
    let world = World::with(&[("app.sql", sql)]);
    let plan = world.run(&["explain", "app.sql", "--brokers", "h:9092"]).ok();
    assert!(plan.contains("orders: kafka topic orders on h:9092, group velo_shop_big"), "{plan}");
    assert!(plan.contains("writes big: kafka topic big on h:9092"), "{plan}");
    let acls = world.run(&["explain", "app.sql", "--brokers", "h:9092", "--acls"]).ok();
    assert!(acls.starts_with("h:9092\n  WRITE             topic big "), "{acls}");
    assert!(acls.contains("  READ              group velo_shop_big "), "{acls}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    use std::io::{BufRead, BufReader};
    let world = World::new();
    world.put("many.csv", format!("n\n{}", "1234567\n".repeat(500_000)));
    let mut child = world.start(&["run", "-e", "SELECT n FROM 'many.csv'"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"n\":1234567}\n");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("the reader of standard output went away"), "{told}");
}
