//! The same app over the same records, partition p = file p of a glob: files and topics, 1 and 2 shards, both backends
//! give the same values.

use std::fmt::Write;
use std::path::Path;

use super::world::{broker, finish, key_of, producer, records, run, send, topic, values};

const PARTITIONS: u32 = 3;
const ROWS: u64 = 9_000;

/// Per partition: lines with disorder, late rows and bad ones.
fn lines() -> Vec<Vec<String>> {
    let mut rng = super::world::Rng(7);
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    let mut clock = 1_700_000_000_000u64;
    for n in 0..ROWS {
        clock += rng.below(4);
        let back = if rng.below(50) == 0 { rng.below(900) } else { rng.below(90) };
        let mut line = format!(
            "{{\"id\":{n},\"k\":\"K{}\",\"price\":{}.{:02},\"ts\":{}}}",
            rng.below(12),
            rng.below(100),
            rng.below(100),
            clock - back
        );
        if rng.below(100) == 0 && n > 100 {
            line.truncate(7);
        }
        partitions[rng.below(u64::from(PARTITIONS)) as usize].push(line);
    }
    partitions
}

fn app(source: &str, kept: &str, sums: &str) -> String {
    format!(
        "CREATE STREAM t (id INT, k STRING, price DECIMAL(10,2), ts INT) WITH ({source}, format = 'json',
           'event.time.field' = 'ts', 'watermark.strategy' = 'bounded_out_of_orderness',
           'watermark.max_out_of_orderness' = '100ms');
         CREATE STREAM kept AS SELECT id, k, price * 2 AS twice FROM t WHERE price > 50 WITH ({kept});
         CREATE STREAM sums AS SELECT k, COUNT(*) AS n, SUM(price) AS total, AVG(price) AS mean, _window_start FROM t
           GROUP BY k WINDOW TUMBLING(500ms) EMIT FINAL WITH ({sums});"
    )
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

fn file_rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    sorted(text.lines().map(str::to_owned).collect())
}

/// Runs over topics of `brokers` under every layout; answers the sorted values of both sinks and the dead letters.
fn over_topics(brokers: &str, folder: &Path, lines: &[Vec<String>], unique: &str) -> Vec<[Vec<String>; 3]> {
    let source = format!("t{unique}");
    topic(brokers, &source, PARTITIONS);
    let mut out = producer(brokers, &source);
    for (p, lines) in lines.iter().enumerate() {
        let key = key_of(p as u32, PARTITIONS);
        let keyed: Vec<_> = lines.iter().map(|line| (Some(key.as_str()), line.clone())).collect();
        send(&mut *out, &keyed);
    }
    assert!(out.flush(super::world::PATIENCE).expect("the broker is there"));
    let mut got = Vec::new();
    for (shards, backend) in [("1", "threads"), ("2", "threads"), ("1", "glommio"), ("2", "glommio")] {
        let place = format!("x{unique}-{shards}-{backend}");
        let text = app(
            &format!("type = 'kafka', topic = '{source}'"),
            &format!("'kept.type' = 'kafka', 'kept.topic' = 'kept{place}'"),
            &format!("'sums.type' = 'kafka', 'sums.topic' = 'sums{place}', 'dead.letter.queue.topic' = 'dead{place}'"),
        );
        let file = format!("app{place}.sql");
        std::fs::write(folder.join(&file), text).expect("the app");
        let args = ["--until-end", "--shards", shards, "--runtime", backend, "--group", &place];
        finish(run(folder, &file, brokers, &args));
        let bad = values(brokers, &format!("{source}-dlq"));
        got.push([
            sorted(values(brokers, &format!("kept{place}"))),
            sorted(values(brokers, &format!("sums{place}"))),
            sorted(bad),
        ]);
        for record in records(brokers, &format!("sums{place}")) {
            let value = String::from_utf8(record.value.expect("a value")).expect("text");
            let row: serde_json::Value = serde_json::from_str(&value).expect("JSON");
            assert_eq!(record.key.as_deref(), row["k"].as_str().map(str::as_bytes), "{value}");
            let end_ms = row["_window_start"].as_i64().expect("ms") + 499;
            assert_eq!(record.timestamp_ms, end_ms, "{value}");
            let header = record.headers.iter().find(|(name, _)| name == "_EVENT_TIME").and_then(|(_, v)| v.clone());
            assert_eq!(header, Some(end_ms.to_string().into_bytes()), "{value}");
        }
    }
    got
}

#[test]
fn files_and_topics_give_the_same_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    for (p, lines) in lines.iter().enumerate() {
        let mut text = String::new();
        lines.iter().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        std::fs::write(folder.path().join(format!("t{p}.jsonl")), text).expect("a file");
    }
    let text = app("path = 't*.jsonl'", "'kept.path' = 'kept.jsonl'", "'sums.path' = 'sums.jsonl'");
    std::fs::write(folder.path().join("files.sql"), text).expect("the app");
    finish(run(folder.path(), "files.sql", "localhost:1", &[]));
    let want = [file_rows(&folder.path().join("kept.jsonl")), file_rows(&folder.path().join("sums.jsonl"))];
    let bad = sorted(lines.iter().flatten().filter(|l| l.len() == 7).cloned().collect());
    assert!(want[0].len() > 1_000 && want[1].len() > 100 && bad.len() > 20, "the input tests something");

    let embedded = broker();
    let mut worlds = vec![("embedded", embedded.bootstrap(), String::new())];
    if let Ok(real) = std::env::var("VELO_KAFKA") {
        worlds.push(("VELO_KAFKA", real, format!("-{}", std::process::id())));
    }
    for (name, brokers, unique) in worlds {
        let mut letters = 0;
        for (layout, [kept, sums, dead]) in over_topics(&brokers, folder.path(), &lines, &unique).iter().enumerate() {
            assert_eq!((kept, sums), (&want[0], &want[1]), "{name}, layout {layout}");
            letters += bad.len();
            assert_eq!(dead.len(), letters, "{name}, layout {layout}: every run buries every bad record once");
            assert!(dead.iter().all(|d| bad.contains(d)), "{name}: dead letters are the records as they came");
        }
    }
}
