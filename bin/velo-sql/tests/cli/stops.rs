//! Signals and followed inputs: whole rows only, no open window, and an exit code that says so.

use std::io::{BufRead, BufReader};

use crate::world::{World, end, size, until};

/// Trades of one second each: every window of 1 s holds exactly [`PER_WINDOW`] of them.
const PER_WINDOW: usize = 500;
/// Enough that a run in batches of one row is far from its end when the signal comes.
const ROWS: usize = 400_000;

const APP: &str = "CREATE STREAM t (n BIGINT, t BIGINT) WITH (\n\
      'type' = 'file_source', 'path' = 'in.csv', 'event.time.field' = 't', 'watermark.max_out_of_orderness' = '0s');\n\
    CREATE STREAM rows AS SELECT n, t, 'some text to fill blocks sooner' AS filler FROM t WITH ('rows.path' = 'rows.csv');\n\
    CREATE STREAM windows AS SELECT COUNT(*) AS c, _window_start AS w FROM t WINDOW TUMBLING(1s) EMIT FINAL\n\
      WITH ('windows.path' = 'windows.csv');\n";

fn endless() -> World {
    let world = World::with(&[("app.sql", APP)]);
    let mut rows = String::from("n,t\n");
    for n in 0..ROWS {
        use std::fmt::Write;
        writeln!(rows, "{n},{}", n * 1_000 / PER_WINDOW).expect("a String takes everything");
    }
    world.put("in.csv", rows);
    world
}

fn interrupted(signal: &str, code: i32, shards: &str) {
    let world = endless();
    let child = world.start(&["run", "app.sql", "--batch-rows", "1", "--shards", shards]);
    let temporary = world.path(&format!(".rows.csv.tmp-{}", child.id()));
    until("rows are on the disk", || size(&temporary) > 0);
    let ran = end(child, signal);
    assert_eq!(ran.code, Some(code), "{}", ran.err);
    assert!(!world.path("rows.csv").exists() && !world.path("windows.csv").exists());
    let rows = world.read("rows.csv.partial");
    assert!(rows.ends_with('\n'));
    let count = rows.lines().count() - 1;
    for (n, line) in rows.lines().skip(1).enumerate() {
        assert_eq!(line, format!("{n},{},some text to fill blocks sooner", n * 1_000 / PER_WINDOW));
    }
    let windows = world.read("windows.csv.partial");
    for (w, line) in windows.lines().skip(1).enumerate() {
        assert_eq!(line, format!("{PER_WINDOW},{}", w * 1_000), "a window that was still open");
    }
    assert!(windows.lines().count() - 1 <= count / PER_WINDOW + 1);
    assert!(
        count < ROWS && ran.err.contains("rows.csv.partial") && ran.err.contains("interrupted by SIG"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("no open window was emitted"), "{}", ran.err);
}

#[test]
fn a_terminated_run_keeps_whole_rows_and_emits_no_open_window() {
    interrupted("-TERM", 143, "1");
}

#[test]
fn an_interrupted_run_does_so_on_several_shards() {
    interrupted("-INT", 130, "2");
}

#[test]
fn a_followed_run_goes_on_with_its_file_and_ends_well() {
    let world = World::with(&[("in.csv", "a,b\n1,x\n")]);
    let mut child = world.start(&["run", "--follow", "-e", "SELECT a FROM 'in.csv'"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(), "{\"a\":1}\n");
    world.append("in.csv", "2,y\n3,");
    assert_eq!(line(), "{\"a\":2}\n");
    world.append("in.csv", "z\n");
    assert_eq!(line(), "{\"a\":3}\n");
    let ran = end(child, "-TERM");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("stopped by SIGTERM"), "{}", ran.err);
}

#[test]
fn followed_output_grows_in_place() {
    let world = World::with(&[("in.csv", "a\n1\n")]);
    let sql = "SELECT a FROM 'in.csv' INTO 'out.csv'";
    let child = world.start(&["run", "--follow", "-e", sql]);
    until("the first row is written", || size(&world.path("out.csv")) >= 4);
    world.append("in.csv", "2\n");
    until("the second row is written", || size(&world.path("out.csv")) >= 6);
    assert_eq!(end(child, "-INT").code, Some(0));
    assert_eq!(world.read("out.csv"), "a\n1\n2\n");
    assert_eq!(world.files(), ["in.csv", "out.csv"]);
}
