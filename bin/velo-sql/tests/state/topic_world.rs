//! What the suites over topics share: the records, the app, what stands in a state folder and what a group committed.

use std::path::Path;

use velostream_kafka::admin::Admin;
use velostream_runtime::job::checkpoint::{Verified, verify};

use crate::feed::Rng;
use crate::kafka::{PATIENCE, client, key_of, producer, send};

/// Partitions of the topic that is read.
pub const PARTITIONS: u32 = 3;
/// A record's id is its partition times this, plus its offset.
pub const PARTITION_IDS: i64 = 1_000_000;

/// Windows, groups, rows as they come and dead letters into files; rows and a table into topics; a file beside the topic.
/// `OUT` is put in front of the names of topics that are written.
pub const APP: &str = "
CREATE STREAM t (id BIGINT, k STRING, v BIGINT, ts BIGINT) WITH ('type' = 'kafka', 'topic' = 't',
  'event.time.field' = 'ts', 'watermark.strategy' = 'bounded_out_of_orderness',
  'watermark.max_out_of_orderness' = '150ms', 'late.data.strategy' = 'dead_letter',
  'dead.letter.queue.path' = 't-dlq.jsonl');
CREATE STREAM f (id BIGINT, k STRING, v BIGINT, ts BIGINT) WITH ('type' = 'file_source', 'path' = 'in-*.csv',
  'event.time.field' = 'ts', 'watermark.max_out_of_orderness' = '150ms');
CREATE STREAM sums AS SELECT k, _window_start AS w, COUNT(*) AS n, SUM(v) AS s FROM t
  GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('sums.path' = 'sums.csv');
CREATE STREAM totals AS SELECT k, COUNT(*) AS n, MAX(v) AS m FROM t WHERE v < 300
  GROUP BY k EMIT CHANGES WITH ('totals.path' = 'totals.csv');
CREATE STREAM kept AS SELECT id, v FROM t WHERE v > 950 WITH ('kept.path' = 'kept.csv');
CREATE STREAM both AS SELECT k, v FROM t WHERE v < 100 UNION ALL SELECT k, v FROM f WHERE v < 100
  WITH ('both.path' = 'both.csv');
CREATE STREAM joined AS SELECT k, _window_start AS w, COUNT(*) AS n, SUM(v) AS s FROM both
  GROUP BY k WINDOW TUMBLING(2s) EMIT FINAL WITH ('joined.path' = 'joined.csv');
CREATE STREAM picked AS SELECT id, v FROM t WHERE v > 900
  WITH ('picked.type' = 'kafka', 'picked.topic' = 'OUTpicked');
CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM t WHERE v < 200 GROUP BY k
  WITH ('counts.type' = 'kafka', 'counts.topic' = 'OUTcounts');
CREATE STREAM wins AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t
  GROUP BY k WINDOW TUMBLING(5s) EMIT FINAL WITH ('wins.type' = 'kafka', 'wins.topic' = 'OUTwins');
";

/// Its files, and whether their order is a promise.
pub const FILES: [(&str, bool); 7] = [
    ("sums.csv", true),
    ("totals.csv", false),
    ("joined.csv", true),
    ("kept.csv", false),
    ("both.csv", false),
    ("t-dlq.jsonl", false),
    ("sums-dlq.jsonl", false),
];

/// Records for the partitions of `t`, each with keys of its own; every thousandth is bad.
pub fn fill(brokers: &str, rows: u64) {
    let mut rng = Rng(17);
    let mut out = producer(brokers, "t");
    for p in 0..PARTITIONS {
        let key = key_of(p, PARTITIONS);
        let mut now = 1_700_000_000_000u64;
        let line = |n: u64| {
            now += rng.below(4);
            let (id, k, ts) = (i64::from(p) * PARTITION_IDS + n as i64, rng.below(40), now - rng.below(200));
            let v = if n % 1_000 == 7 { "\"bad\"".to_owned() } else { rng.below(1_000).to_string() };
            (Some(key.as_str()), format!("{{\"id\":{id},\"k\":\"K{p}_{k}\",\"v\":{v},\"ts\":{ts}}}"))
        };
        let lines: Vec<(Option<&str>, String)> = (0..rows).map(line).collect();
        send(&mut *out, &lines);
    }
    assert!(out.flush(PATIENCE).expect("the broker is there"), "everything is acknowledged");
}

/// The newest checkpoint in a state folder.
pub fn newest(folder: &Path) -> Option<Verified> {
    let number = crate::feed::checkpoints(folder).pop()?;
    let bytes = std::fs::read(folder.join(format!("checkpoint-{number:010}"))).ok()?;
    Some(verify(&bytes).expect("it is whole"))
}

/// Offsets of all checkpoints in a folder by partition of its first topic, oldest first.
pub fn kept_offsets(folder: &Path) -> Vec<Vec<i64>> {
    let read = |number: u64| {
        let bytes = std::fs::read(folder.join(format!("checkpoint-{number:010}"))).expect("it is there");
        offsets(&verify(&bytes).expect("it is whole"))
    };
    crate::feed::checkpoints(folder).into_iter().map(read).collect()
}

/// Offsets of a checkpoint by partition.
pub fn offsets(of: &Verified) -> Vec<i64> {
    of.offsets.iter().map(|(.., offset)| *offset).collect()
}

/// What a group committed for the partitions of `t`: offsets and metadata.
pub fn committed(brokers: &str, group: &str) -> Vec<(i64, String)> {
    let admin = Admin::open(&client(brokers), PATIENCE).expect("a client");
    let mut all = admin.lag(group).expect("the broker answers");
    all.retain(|lag| lag.at.topic == "t");
    all.sort_by_key(|lag| lag.at.partition);
    all.into_iter().map(|lag| (lag.committed.offset, lag.committed.metadata)).collect()
}

/// The offsets alone.
pub fn committed_offsets(brokers: &str, group: &str) -> Vec<i64> {
    committed(brokers, group).into_iter().map(|(offset, _)| offset).collect()
}
