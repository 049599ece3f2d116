//! Broken records, files and disks: a diagnostic or a dead letter with the bytes, and bounded memory.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::world::{Ran, World};

/// Runs a query and answers its rows and the number of dead letters.
fn query(world: &World, sql: &str) -> (String, u64, Ran) {
    let ran = world.run(&["run", "-e", sql, "--output-format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let summary = ran.summary();
    let dead = summary["rows_dead_lettered"].as_u64().expect("a number");
    let letters: usize =
        world.files().iter().filter(|f| f.ends_with("-dlq.jsonl")).map(|f| world.read(f).lines().count()).sum();
    assert_eq!(letters as u64, dead, "every dead letter is in a file");
    (ran.out.clone(), dead, ran)
}

fn check(file: &str, content: impl AsRef<[u8]>, sql: &str, rows: &str, dead: u64) -> Ran {
    let world = World::new();
    world.put(file, content);
    let (out, letters, ran) = query(&world, sql);
    assert_eq!((out.as_str(), letters), (rows, dead), "{file}: {sql}");
    ran
}

#[test]
fn broken_records_are_dead_letters() {
    let good = "{\"a\":1}\n{\"a\":2}\n";
    let json = "SELECT a FROM 'x.jsonl'";
    check("x.jsonl", b"{\"a\":1}\n{\"a\":\x00}\n\x00\n{\"a\":2}\n", json, good, 2);
    check("x.jsonl", b"{\"a\":1}\n{\"b\":\"\xff\"}\n{\"a\":2}\n", json, good, 1);
    check("x.jsonl", b"{\"a\":1}\n{\"a\":1\n[1]\n{\"a\":2}", json, good, 2);
    let deep = format!("{{\"a\":1}}\n{{\"b\":{}{}}}\n{{\"a\":2}}\n", "[".repeat(200_000), "]".repeat(200_000));
    check("x.jsonl", deep, json, good, 1);
    let csv = "SELECT a FROM 'x.csv'";
    check("x.csv", b"a,b\n1,\x00\n\x00\x00\n2,x\n", csv, good, 1);
    check("x.csv", b"a,b\n1,x\n1,2,3\n\xff\xfe,2\n2,x\n", csv, good, 2);
}

#[test]
fn values_that_do_not_fit_are_dead_letters_of_their_query() {
    let sql = "SELECT a + 1 AS b FROM 'x.csv'";
    check("x.csv", "a\n1\n9223372036854775807\n3\n", sql, "{\"b\":2}\n{\"b\":4}\n", 1);
}

#[test]
fn bad_records_may_be_passed_over_or_stop_the_run() {
    let check = |sql: &str, strategy: &str, code: i32, rows: &str, said: &str| {
        let world = World::with(&[("x.csv", "a,b\n1,2\n9223372036854775807,3\n4,5,6\n7,8\n")]);
        let sql = format!("SET 'failure_strategy' = '{strategy}'; {sql} INTO 'out.jsonl'");
        let ran = world.run(&["run", "-e", &sql]);
        assert_eq!(ran.code, Some(code), "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
        let found = if code == 0 { world.read("out.jsonl") } else { String::new() };
        assert_eq!((found.as_str(), world.files().iter().any(|f| f.contains("dlq"))), (rows, false));
    };
    let plus = "SELECT a + 1 AS n FROM 'x.csv'";
    let rows = "{\"n\":2}\n{\"n\":8}\n";
    check(plus, "LogAndContinue", 0, rows, "passed over a bad record: x.csv, partition 0, offset 1: R0201");
    check(plus, "LogAndContinue", 0, rows, "passed over a bad record: x.csv, partition 0, offset 2: R0104");
    let stops = "a bad record stops the run (failure_strategy = FailBatch): x.csv, partition 0, offset ";
    check(plus, "FailBatch", 1, "", stops);
    check("SELECT a FROM 'x.csv'", "FailBatch", 1, "", &format!("{stops}2: R0104"));
}

#[test]
fn empty_files_give_empty_results() {
    let ran = check("x.csv", "", "SELECT a FROM 'x.csv'", "", 0);
    assert!(ran.summary()["diagnostics"][0]["code"].as_str() == Some("W0501"), "{ran:?}");
    check("x.csv", "a,b\n", "SELECT a, b FROM 'x.csv'", "", 0);
    check("x.jsonl", "", "SELECT COUNT(*) AS n FROM 'x.jsonl'", "{\"n\":0}\n", 0);
}

#[test]
fn a_line_of_100_mb_takes_little_memory_and_keeps_its_neighbours() {
    let long = [b"{\"a\":1}\n{\"a\":\"".to_vec(), vec![b'x'; 100_000_000], b"\"}\n{\"a\":2}\n".to_vec()].concat();
    let ran = check("x.jsonl", long, "SELECT a FROM 'x.jsonl'", "{\"a\":1}\n{\"a\":2}\n", 1);
    let long = [b"a,b\n1,2\n".to_vec(), vec![b'"'], vec![b'x'; 100_000_000], b"\n2,4\n".to_vec()].concat();
    let other = check("x.csv", long, "SELECT a FROM 'x.csv'", "{\"a\":1}\n{\"a\":2}\n", 1);
    for ran in [ran, other] {
        let summary = ran.summary();
        let peak = summary["peak_rss_bytes"].as_u64().unwrap();
        assert!(peak < 96 << 20, "{peak} bytes at the peak");
    }
}

#[test]
fn a_million_columns_are_read_by_name_only() {
    let world = World::new();
    let names: Vec<String> = (0..1_000_000).map(|i| format!("c{i}")).collect();
    let values = vec!["7"; names.len()].join(",");
    world.put("wide.csv", format!("{}\n{values}\n", names.join(",")));
    let (out, dead, _) = query(&world, "SELECT c999999 FROM 'wide.csv'");
    assert_eq!((out.as_str(), dead), ("{\"c999999\":7}\n", 0));
    let ran = world.run(&["run", "-e", "SELECT nope FROM 'wide.csv'"]);
    assert!(ran.code == Some(1) && ran.err.contains("E0203") && ran.err.len() < 2_000, "{}", ran.err.len());
    let ran = world.run(&["run", "-e", "SELECT * FROM 'wide.csv'"]);
    assert!(ran.code == Some(1) && ran.err.contains("E0107"), "{}", ran.err.len());
}

#[test]
fn deep_and_endless_sql_is_a_diagnostic() {
    let world = World::new();
    for sql in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        "SELECT ".to_owned() + &"NOT ".repeat(100_000) + "TRUE",
    ] {
        world.put("deep.sql", sql);
        let ran = world.run(&["run", "deep.sql"]);
        assert!(ran.code == Some(1) && ran.err.contains("E0107"), "{ran:?}");
    }
    world.put("chain.sql", format!("SELECT {}1 AS n", "1 + ".repeat(99_999)));
    assert_eq!(world.run(&["run", "chain.sql"]).ok(), "{\"n\":100000}\n");
}

#[test]
fn what_cannot_be_read_is_a_diagnostic() {
    let world = World::with(&[("file.csv", "a\n1\n")]);
    std::fs::create_dir(world.path("folder.csv")).unwrap();
    std::fs::create_dir(world.path("closed")).unwrap();
    world.put("closed/x.csv", "a\n1\n");
    std::fs::set_permissions(world.path("closed"), Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    let is_root = std::fs::read_dir(world.path("closed")).is_ok();
    for path in ["folder.csv", "file.csv/x.csv", "closed/x.csv", "closed/*.csv"] {
        let ran = world.run(&["run", "-e", &format!("SELECT a FROM '{path}'")]);
        if is_root && path.starts_with("closed") {
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            continue;
        }
        assert!(ran.code == Some(1) && ran.err.contains("error[E05") && ran.err.contains('^'), "{path}: {}", ran.err);
    }
    std::fs::set_permissions(world.path("closed"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_pipe_is_read_once_and_never_sampled() {
    let (world, rows) = (World::new(), "a\n1\n2\n");
    let sampled = "SELECT a FROM '/dev/stdin' WITH (format = 'csv')";
    let ran = world.run_with_input(&["run", "-e", sampled], rows);
    assert!(ran.code == Some(1) && ran.err.contains("declare its columns"), "{}", ran.err);
    let declared = "CREATE STREAM t (a INT) WITH (path = '/dev/stdin', format = 'csv'); SELECT a FROM t";
    assert_eq!(world.run_with_input(&["run", "-e", declared], rows).ok(), "{\"a\":1}\n{\"a\":2}\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_that_names_the_sink() {
    let world = World::with(&[("x.csv", "a\n1\n")]);
    let ran = world.run(&["run", "-e", "SELECT a FROM 'x.csv' INTO '/dev/full'"]);
    assert!(ran.code == Some(1) && ran.err.starts_with("error: ") && ran.err.contains("/dev/full"), "{ran:?}");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = world.velo(&["run", "-e", "SELECT a FROM 'x.csv'"]).stdout(full).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("standard output"), "{told}");
}
