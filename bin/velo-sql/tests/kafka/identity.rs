//! Keys and headers of records through brokers, under every layout: what a query hands on, computes from them, and
//! changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_kafka::{Kafka, partition_of};
use velostream_types::Chunk;
use velostream_types::headers::HeaderBuilder;
use velostream_types::topic::{Broker as _, ProduceSpec, TopicRecord};

use super::world::{PATIENCE, broker, client, finish, records, run, topic};

const PARTITIONS: u32 = 3;
const ROWS: u64 = 900;

/// Key, headers and value of record `n`; a key of bytes that are no text, none, and text take turns.
fn record(n: u64) -> (Option<Vec<u8>>, Vec<(String, String)>, String) {
    let key = match n % 3 {
        0 => Some(vec![0xff, (n % 7) as u8]),
        1 => Some(format!("k{}", n % 11).into_bytes()),
        _ => None,
    };
    let mut headers = Vec::new();
    if !n.is_multiple_of(4) {
        headers.push(("n".to_owned(), n.to_string()));
    }
    if !n.is_multiple_of(5) {
        headers.push(("region".to_owned(), format!("r{}", n % 3)));
    }
    (key, headers, format!("{{\"id\":{n},\"g\":\"g{}\",\"ts\":{}}}", n % 6, 1_700_000_000_000 + n))
}

fn feed(brokers: &str, topic: &str) {
    let spec = ProduceSpec { client: client(brokers), topics: vec![topic.to_owned()], eager: true };
    let mut out = Kafka.produce(spec, Arc::new(|| {})).expect("the broker answers");
    let mut chunk = Chunk::default();
    for n in 0..ROWS {
        let (key, headers, value) = record(n);
        chunk.bytes.extend_from_slice(value.as_bytes());
        chunk.bytes.push(b'\n');
        chunk.end_row();
        chunk.keys.push(key.map(Into::into));
        let mut list = HeaderBuilder::default();
        headers.iter().for_each(|(name, value)| list.push(name.as_bytes(), Some(value.as_bytes())));
        chunk.headers.push(Some(list.finish()).filter(|bytes| !bytes.is_empty()).map(Into::into));
    }
    let mut from = 0;
    while from < chunk.rows() {
        from += out.send(0, &chunk, from).expect("the broker is there");
        assert!(out.flush(PATIENCE).expect("the broker is there"));
    }
}

fn app(source: &str, place: &str) -> String {
    format!(
        "CREATE STREAM t (id INT, g STRING, ts INT) WITH (type = 'kafka', topic = '{source}', 'event.time.field' = 'ts',
           'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '1s');
         CREATE STREAM kept AS SELECT id, HEADER('n') AS n FROM t WHERE id % 2 = 0
           WITH ('kept.type' = 'kafka', 'kept.topic' = 'kept{place}');
         CREATE STREAM changed AS SELECT id + 1 AS next, SET_HEADER('id', id), REMOVE_HEADER('n') FROM kept
           WITH ('changed.type' = 'kafka', 'changed.topic' = 'changed{place}');
         CREATE STREAM sums AS SELECT g, COUNT(*) AS n, _window_start FROM t GROUP BY g WINDOW TUMBLING(100ms)
           EMIT FINAL WITH ('sums.type' = 'kafka', 'sums.topic' = 'sums{place}');"
    )
}

/// Headers without the engine's own.
fn own(record: &TopicRecord) -> BTreeMap<String, String> {
    let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap_or_default()).expect("text");
    let kept = record.headers.iter().filter(|(name, _)| !name.starts_with('_'));
    kept.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn value(record: &TopicRecord) -> serde_json::Value {
    serde_json::from_slice(record.value.as_deref().expect("a value")).expect("JSON")
}

fn check_layout(brokers: &str, place: &str) {
    let kept = records(brokers, &format!("kept{place}"));
    assert_eq!(kept.len() as u64, ROWS / 2);
    for record_of in &kept {
        let row = value(record_of);
        let (key, headers, _) = record(row["id"].as_u64().expect("an id"));
        let headers: BTreeMap<_, _> = headers.into_iter().collect();
        assert_eq!((&record_of.key, own(record_of)), (&key, headers.clone()), "{row}");
        assert_eq!(row["n"].as_str(), headers.get("n").map(String::as_str), "{row}");
        if let Some(key) = key {
            assert_eq!(record_of.partition, partition_of(&key, PARTITIONS), "{row}");
        }
    }
    let changed = records(brokers, &format!("changed{place}"));
    assert_eq!(changed.len(), kept.len());
    for record_of in &changed {
        let id = value(record_of)["next"].as_u64().expect("a number") - 1;
        let (key, headers, _) = record(id);
        let mut headers: BTreeMap<_, _> = headers.into_iter().filter(|(name, _)| name != "n").collect();
        headers.insert("id".to_owned(), id.to_string());
        assert_eq!((&record_of.key, own(record_of)), (&key, headers), "{id}");
    }
    let sums = records(brokers, &format!("sums{place}"));
    assert_eq!(sums.len() as u64, ROWS / 100 * 6);
    for record_of in &sums {
        let row = value(record_of);
        let from = row["_window_start"].as_u64().expect("ms") - 1_700_000_000_000;
        let last = (from..from + 100).rfind(|n| row["g"] == format!("g{}", n % 6)).expect("a row");
        assert_eq!(own(record_of), record(last).1.into_iter().collect(), "{row}");
        assert_eq!(record_of.key.as_deref(), row["g"].as_str().map(str::as_bytes));
    }
}

fn over(brokers: &str, folder: &Path, unique: &str) {
    let source = format!("identity{unique}");
    topic(brokers, &source, PARTITIONS);
    feed(brokers, &source);
    for (shards, backend) in [("1", "threads"), ("2", "threads"), ("1", "glommio"), ("2", "glommio")] {
        let place = format!("i{unique}-{shards}-{backend}");
        let file = format!("app{place}.sql");
        std::fs::write(folder.join(&file), app(&source, &place)).expect("the app");
        finish(run(
            folder,
            &file,
            brokers,
            &["--until-end", "--shards", shards, "--runtime", backend, "--group", &place],
        ));
        check_layout(brokers, &place);
    }
}

#[test]
fn keys_and_headers_go_with_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = broker();
    over(&embedded.bootstrap(), folder.path(), "");
    if let Ok(real) = std::env::var("VELO_KAFKA") {
        over(&real, folder.path(), &format!("-{}", std::process::id()));
    }
}
