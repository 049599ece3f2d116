//! TABLEs whose key is not the group: rows of one key come from groups of different shards, and each may leave late. And those
//! whose rows replace each other by key: declared ones with deletes, and targets of INSERT, with keys in several partitions.
//!
//! Every case is one seed: updates that make groups hop between few keys, fed in random chunks to three partitions of
//! four shards that are turned in random order, so that messages overtake each other as they do between cores. Whenever
//! all is quiet, what upserts and deletes have left at the sink must be what the oracle has of the rows so far: a late
//! delete that took a live row along would be missing there. A delete of a key that the sink does not hold fails, too.
//! `VELO_SHARE` (`1` or `1/20`) says which part of the cases runs, `VELO_SEED` reruns one.

#[path = "support/draw.rs"]
mod draw;
#[path = "support/share.rs"]
mod share;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use draw::Draw;
use share::share_of;
use velostream_harness::oracle::{self, FeedRow};
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::{AppPlan, NodeKind};
use velostream_types::{PartitionId, ShardId, SourceId, Value};

/// Cases of the full run.
const CASES: u64 = 1_000;
const SEED: u64 = 1;
const SHARDS: u16 = 4;
const PARTITIONS: u32 = 3;

const SOURCE: &str = "CREATE STREAM t (k INT, v INT) WITH (type = 'memory', format = 'json');";

/// Name, statements, and the key column of what `out` writes.
const APPS: [(&str, &str, &str); 7] = [
    (
        "groups",
        "CREATE TABLE out AS SELECT SUM(v) % 4 AS slot PRIMARY KEY, k, COUNT(*) AS n FROM t GROUP BY k
           HAVING COUNT(*) <> 4 WITH ('out.type' = 'stdout');",
        "slot",
    ),
    (
        "projection of a TABLE",
        "CREATE TABLE sums AS SELECT k, SUM(v) AS total FROM t GROUP BY k;
         CREATE TABLE out AS SELECT total, total % 3 AS slot PRIMARY KEY FROM sums WHERE total > 2
           WITH ('out.type' = 'stdout');",
        "slot",
    ),
    (
        "UNION of TABLEs",
        "CREATE TABLE sums AS SELECT k, SUM(v) AS x FROM t GROUP BY k;
         CREATE TABLE counts AS SELECT v, COUNT(*) AS x FROM t GROUP BY v;
         CREATE TABLE out AS SELECT k PRIMARY KEY, x FROM
           (SELECT k, x FROM sums WHERE x < 9 UNION ALL SELECT x AS k, v FROM counts) WITH ('out.type' = 'stdout');",
        "k",
    ),
    (
        "TABLE of a TABLE with another key",
        "CREATE TABLE slots AS SELECT SUM(v) % 5 AS slot PRIMARY KEY, k FROM t GROUP BY k;
         CREATE TABLE out AS SELECT COUNT(*) AS n, k FROM slots GROUP BY k WITH ('out.type' = 'stdout');",
        "k",
    ),
    (
        "declared TABLE",
        "CREATE TABLE d (k INT PRIMARY KEY, v INT) WITH (type = 'memory', format = 'json', 'delete.field' = 'gone');
         CREATE TABLE out AS SELECT k, v FROM d WHERE v <> 1 WITH ('out.type' = 'stdout');",
        "k",
    ),
    (
        "groups of a declared TABLE",
        "CREATE TABLE d (k INT PRIMARY KEY, v INT) WITH (type = 'memory', format = 'json', 'delete.field' = 'gone');
         CREATE TABLE out AS SELECT v, COUNT(*) AS n, SUM(k) AS total FROM d GROUP BY v WITH ('out.type' = 'stdout');",
        "v",
    ),
    (
        "INSERT into a TABLE",
        "CREATE TABLE out (k INT PRIMARY KEY, v INT) WITH ('type' = 'stdout');
         INSERT INTO out SELECT k, v FROM t WHERE v <> 3;
         INSERT INTO out SELECT k, v + 10 FROM t WHERE v = 3;",
        "k",
    ),
];

/// The first of them materialize by key.
const MATERIALIZED: u64 = 4;

/// What upserts and deletes leave behind.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, String>,
    deletes: u64,
}

impl Table {
    fn take(&mut self, line: &str, key: &str) -> Result<(), String> {
        let row: serde_json::Value = serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))?;
        let id = row[key].to_string();
        if row["__deleted"] != true {
            self.rows.insert(id, line.to_owned());
            return Ok(());
        }
        self.deletes += 1;
        self.rows.remove(&id).map(|_| ()).ok_or_else(|| format!("{line} deletes what was not there"))
    }
}

/// The table the oracle has of these rows, as the lines a sink would write.
fn truth(plan: &AppPlan, fed: &[FeedRow], key: &str) -> BTreeMap<String, String> {
    let sink = plan.sinks.iter().position(|s| s.name == "out").expect("a sink named out");
    let schema = &plan.sinks[sink].schema;
    let at = schema.index_of(key).expect("the key is a column");
    let line = |values: Vec<Value>| {
        let fields: Vec<String> =
            schema.fields.iter().zip(&values).map(|(f, v)| format!("\"{}\":{v}", f.name)).collect();
        (values[at].to_string(), format!("{{{}}}", fields.join(",")))
    };
    oracle::run(plan, fed).last_rows(sink, &[at]).into_values().map(line).collect()
}

/// Runs one case; answers how many deletes were written. `bare`: rows go to the sink as their groups give them.
fn case(seed: u64, bare: bool) -> Result<u64, String> {
    let (name, statements, key) = APPS[(seed % if bare { MATERIALIZED } else { APPS.len() as u64 }) as usize];
    let mut draw = Draw::new(seed);
    let plan = compile_app(&format!("{SOURCE}{statements}"), &BTreeMap::new(), Path::new("."));
    let mut plan = plan.map_err(|text| format!("{name}: {text}"))?;
    let expected = plan.clone();
    let netting = plan.nodes.iter_mut().filter(|n| bare && matches!(n.kind, NodeKind::Materialize { .. }));
    netting.for_each(|node| node.kind = NodeKind::Union);
    let plan = Arc::new(plan);
    let sink = plan.sinks.iter().position(|s| s.name == "out").ok_or("no sink named out")?;
    let batch_rows = *draw.pick(&[1, 3, 64]);
    let options = WorldOptions { shards: SHARDS, batch_rows, credits: 1 + draw.below(3) as u32 };
    let mut world = World::new(Arc::clone(&plan), vec![PARTITIONS], options);
    let mut offsets = [0i64; PARTITIONS as usize];
    let (mut fed, mut table) = (Vec::new(), Table::default());
    for _ in 0..3 + draw.below(3) {
        for _ in 0..1 + draw.below(30) {
            let (partition, k, v) = (draw.below(u64::from(PARTITIONS)) as u32, draw.below(7), draw.below(4));
            let gone = v == 0;
            let line = format!("{{\"k\":{k},\"v\":{v},\"gone\":{gone}}}\n");
            world.feed(SourceId(0), PartitionId(partition), line.as_bytes());
            let offset = offsets[partition as usize];
            offsets[partition as usize] += 1;
            let value = |name: &str| match name {
                "k" => Value::Int(k as i64),
                "v" => Value::Int(v as i64),
                "gone" => Value::Bool(gone),
                "_tombstone" => Value::Bool(false),
                _ => Value::Null,
            };
            let values = plan.sources[0].read.iter().map(|column| value(&column.name)).collect();
            fed.push(FeedRow { source: SourceId(0), partition, offset, values, timestamp_ms: None, record: "".into() });
            for _ in 0..draw.below(4) {
                let shard = ShardId(draw.below(u64::from(SHARDS)) as u16);
                world.turn_alone(shard).map_err(|e| e.to_string())?;
            }
        }
        if draw.once_in(3) {
            (0..200)
                .try_for_each(|_| world.turn_alone(ShardId(draw.below(u64::from(SHARDS)) as u16)))
                .map_err(|e| e.to_string())?;
        }
        world.run_to_rest().map_err(|e| e.to_string())?;
        for line in world.take_rows(sink) {
            table.take(&line, key).map_err(|e| format!("{name}, batches of {batch_rows}: {e}"))?;
        }
        let expect = truth(&expected, &fed, key);
        if table.rows != expect {
            return Err(format!("{name}, batches of {batch_rows}: the sink holds\n{:?}\nnot\n{expect:?}", table.rows));
        }
    }
    Ok(table.deletes)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn no_late_delete_takes_a_live_row_along() {
    let only = std::env::var("VELO_SEED").ok().and_then(|text| text.parse().ok());
    let cases = if only.is_some() { 1 } else { share_of(CASES, 20) };
    let first = only.unwrap_or(SEED);
    let begin = Instant::now();
    let mut deletes = 0;
    for seed in first..first + cases {
        deletes += case(seed, false).unwrap_or_else(|text| panic!("VELO_SEED={seed}: {text}"));
    }
    assert!(only.is_some() || deletes > cases, "only {deletes} deletes were written: nothing was tested");
    println!("rekeyed tables on {SHARDS} shards: {deletes} deletes, none of a live row");
    println!("suite rekeyed cases {cases} seed {first} seconds {:.1}", begin.elapsed().as_secs_f64());
}

/// The suite sees what it looks for: without materialize-by-key live rows are lost.
#[test]
fn without_materialize_live_rows_are_deleted() {
    let lost = (SEED..SEED + 40).filter(|seed| case(*seed, true).is_err()).count();
    assert!(lost > 20, "only {lost} of 40 cases noticed");
}
