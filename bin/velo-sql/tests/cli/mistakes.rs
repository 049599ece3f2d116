//! Mistakes of the user: all of them at once, with carets, and exit codes that tell them from failures.

use crate::world::World;

fn world() -> World {
    World::with(&[("trades.csv", "symbol,price\nA,1.5\n"), ("prices.csv", "x\n1\n"), ("fine.sql", "SELECT 1 AS one")])
}

#[test]
fn a_missing_file_is_told_with_its_likes() {
    let ran = world().run(&["run", "-e", "SELECT * FROM 'trdes.csv'"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("E0504") && ran.err.contains("trades.csv") && ran.err.contains("^^^"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

const FIVE: &str = "CREATE STREAM a AS SELECT usr FROM 'trades.csv';\n\
    CREATE STREAM b AS SELECT symbol, SUM(price) FROM 'trades.csv' GROUP BY symbol WINDOW TUMBLING(0s);\n\
    CREATE STREAM c AS SELECT symbol FROM 'missing.csv';\n\
    CREATE STREAM d AS SELECT symbol FROM 'trades.csv' WHERE SUM(price) > 1;\n\
    CREATE STREAM e AS SELECT symbol FROM 'trades.csv' WITH ('e.type' = 'file_sink', 'e.pth' = 'x.csv');\n";

#[test]
fn five_mistakes_are_reported_in_one_go() {
    let world = world();
    world.put("five.sql", FIVE);
    for command in ["validate", "run"] {
        let ran = world.run(&[command, "five.sql"]);
        assert_eq!(ran.code, Some(1));
        for line in 1..=5 {
            assert!(ran.err.contains(&format!("five.sql:{line}:")), "line {line} in\n{}", ran.err);
        }
        let carets = ran.err.lines().filter(|line| line.contains("^^")).count();
        assert!(carets >= 5, "{carets} in\n{}", ran.err);
    }
    let ran = world.run(&["validate", "five.sql", "--output-format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let found = &document["files"][0];
    assert!(found["errors"].as_u64() >= Some(5) && document["valid"] == false, "{document}");
    assert!(found["diagnostics"].as_array().unwrap().iter().all(|d| d["line"].is_u64()), "{document}");
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
}

#[test]
fn unknown_annotations_and_properties_are_told() {
    let sql = "-- @ap: x\nSELECT symbol FROM 'trades.csv'";
    let ran = world().run(&["validate", "-e", sql, "--set", "wacth=true"]);
    assert!(ran.err.contains("@app") && ran.err.contains("wacth"), "{}", ran.err);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let world = world();
    for args in [
        &["run"][..],
        &["run", "a.sql", "-e", "SELECT 1"],
        &["run", "-e", "SELECT 1", "--shards", "0"],
        &["run", "-e", "SELECT 1", "--cores", "5-2"],
        &["run", "-e", "SELECT 1", "--now", "soon"],
        &["run", "-e", "SELECT 1", "--set", "novalue"],
        &["run", "-e", "SELECT 1", "--format", "xml"],
        &["validate"],
        &["demo", "--records", "5", "--seconds", "5"],
        &["walk"],
    ] {
        assert_eq!(world.run(args).code, Some(2), "{args:?}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(world.run(args).code, Some(0), "{args:?}");
    }
}

#[test]
fn programs_get_a_document_for_every_outcome() {
    let world = world();
    let json = ["--output-format", "json"];
    let check = |args: &[&str], status: &str| {
        let ran = world.run(&[args, &json].concat());
        let summary = ran.summary();
        assert_eq!((ran.code, &summary["status"]), (Some(1), &status.into()), "{summary}");
    };
    check(&["run", "-e", "SELECT nope"], "invalid");
    check(&["run", "none.sql"], "failed");
    check(&["run", "-e", "SELECT symbol FROM 'trades.csv'", "--cores", "1023"], "failed");
}
