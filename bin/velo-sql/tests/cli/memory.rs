//! State that outgrows its limit: the run stops, says what holds it, and leaves whole rows.

use std::fmt::Write;

use crate::world::World;

/// Rows of which each begins a group.
fn rows(count: u64) -> String {
    let mut text = String::from("k,v\n");
    for k in 0..count {
        writeln!(text, "user-{k:08},{k}").expect("a String takes it");
    }
    text
}

#[test]
fn state_beyond_its_limit_stops_the_run() {
    let world = World::with(&[("x.csv", &rows(200_000))]);
    let sql = "SET 'max.memory.mb' = '2'; CREATE TABLE sums AS SELECT k, SUM(v) AS total FROM 'x.csv' GROUP BY k INTO 'out.jsonl'";
    let ran = world.run(&["run", "-e", sql, "--shards", "2", "--output-format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let summary = ran.summary();
    assert_eq!(summary["status"], "failed", "{summary}");
    let error = summary["error"].as_str().expect("a text");
    for part in ["E0801", "more than the 2.0 MiB", "Aggregate of \"sums\" by k", "max.memory.mb"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    let partial = world.files().into_iter().find(|f| f.ends_with(".partial")).expect("rows written so far");
    let written = world.read(&partial);
    assert!(written.ends_with('\n') && written.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    assert!(!world.files().contains(&"out.jsonl".to_owned()), "{:?}", world.files());
}

#[test]
fn rows_that_wait_to_be_sorted_count_as_state() {
    let world = World::with(&[("x.csv", &rows(200_000))]);
    let sql = "SET 'max.memory.mb' = '2'; SELECT k, v FROM 'x.csv' ORDER BY v DESC INTO 'out.jsonl'";
    let ran = world.run(&["run", "-e", sql, "--shards", "2", "--output-format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let summary = ran.summary();
    let error = summary["error"].as_str().expect("a text");
    for part in ["E0801", "most of it is in #3 Sort of", "rows on one shard"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn state_within_its_limit_is_nobodys_business() {
    let world = World::with(&[("x.csv", &rows(1_000))]);
    let sql = "CREATE TABLE sums AS SELECT k, SUM(v) AS total FROM 'x.csv' GROUP BY k INTO 'out.jsonl' \
               WITH ('max.memory.mb' = '64')";
    let ran = world.run(&["run", "-e", sql]);
    assert_eq!((ran.code, world.read("out.jsonl").lines().count()), (Some(0), 1_000), "{}", ran.err);
}
