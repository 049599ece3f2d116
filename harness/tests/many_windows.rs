//! 1,000 keys in 100 windows that are open at the same time, and ten restarts at seeded moments with other numbers of
//! shards: everything that comes out is what an uninterrupted run on one shard gives, and what the feed adds up to.
//!
//! Each key has one row in each window; rows come up to 100 s late, windows stay open for 200 s.

#[path = "support/draw.rs"]
#[expect(dead_code, reason = "other suites draw in more ways")]
mod draw;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use draw::Draw;
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

const SEED: u64 = 1;
const KEYS: u64 = 1_000;
/// One row per key each; one a second.
const PASSES: u64 = 220;
const LATE_S: u64 = 100;
const RESTARTS: usize = 10;
const PARTITIONS: u32 = 2;
const APP: &str = "
    CREATE STREAM t (k INT, v INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts',
      'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '200s');
    CREATE STREAM sums AS SELECT k, SUM(v) AS total, COUNT(*) AS n, _window_start AS ws FROM t GROUP BY k WINDOW TUMBLING(1s)
      WITH ('sums.type' = 'stdout');
    CREATE STREAM hops AS SELECT k, SUM(v) AS total, _window_start AS ws FROM t GROUP BY k WINDOW HOPPING(3s, 1s)
      WITH ('hops.type' = 'stdout');
    CREATE STREAM sessions AS SELECT k, SUM(v) AS total, MAX(v) AS most, _window_start AS ws, _window_end AS we FROM t
      GROUP BY k WINDOW SESSION(900ms) WITH ('sessions.type' = 'stdout');";

struct Row {
    partition: u32,
    k: u64,
    v: u64,
    ts: u64,
}

/// Row of key k in pass p: which of the last hundred seconds it is of goes through all of them in a hundred passes.
fn feed() -> Vec<Row> {
    let mut draw = Draw::new(SEED);
    let mut rows = Vec::new();
    for pass in 0..PASSES {
        for k in 0..KEYS {
            let second = pass + LATE_S - (7 * k + 38 * pass) % LATE_S;
            let (v, ms) = (draw.below(1_000), draw.below(1_000));
            rows.push(Row { partition: (k % u64::from(PARTITIONS)) as u32, k, v, ts: second * 1_000 + ms });
        }
    }
    rows
}

fn give(world: &mut World, rows: &[Row]) {
    for partition in 0..PARTITIONS {
        let of = rows.iter().filter(|row| row.partition == partition);
        let lines: String = of.map(|row| format!("{{\"k\":{},\"v\":{},\"ts\":{}}}\n", row.k, row.v, row.ts)).collect();
        world.feed(SourceId(0), PartitionId(partition), lines.as_bytes());
    }
    world.run_to_rest().expect("the app runs");
}

/// Rows of every sink, sorted, and the most groups that were held. `cuts`: where the run is restarted.
fn run(plan: &Arc<AppPlan>, rows: &[Row], cuts: &[usize]) -> (Vec<Vec<String>>, u64) {
    let options = WorldOptions { shards: 1, batch_rows: 1_024, credits: 4 };
    let mut world = World::new(Arc::clone(plan), vec![PARTITIONS], options);
    let mut from = 0;
    for (n, cut) in cuts.iter().enumerate() {
        give(&mut world, &rows[from..*cut]);
        from = *cut;
        world.restart([2, 4, 1, 3][n % 4]).expect("the snapshot loads");
    }
    give(&mut world, &rows[from..]);
    world.end();
    assert!(world.run_to_rest().expect("the app runs"), "the app ends");
    let mut sinks: Vec<Vec<String>> = (0..plan.sinks.len()).map(|sink| world.take_rows(sink)).collect();
    sinks.iter_mut().for_each(|rows| rows.sort_unstable());
    (sinks, world.peak().groups)
}

#[test]
fn restarts_in_between_change_nothing() {
    let plan = Arc::new(compile_app(APP, &BTreeMap::new(), Path::new(".")).expect("the app compiles"));
    let rows = feed();
    let (want, groups) = run(&plan, &rows, &[]);
    assert!(groups >= 100 * KEYS, "{groups} groups were open at most");

    let mut sums: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    for row in &rows {
        let sum = sums.entry((row.k, row.ts / 1_000 * 1_000)).or_default();
        *sum = (sum.0 + row.v, sum.1 + 1);
    }
    let line = |((k, ws), (total, n)): (&(u64, u64), &(u64, u64))| {
        format!("{{\"k\":{k},\"total\":{total},\"n\":{n},\"ws\":{ws}}}")
    };
    let mut added: Vec<String> = sums.iter().map(line).collect();
    added.sort_unstable();
    let sink = plan.sinks.iter().position(|sink| sink.name == "sums").expect("a sink named sums");
    assert!(want[sink] == added, "sums of the windows are those of the feed");

    let mut draw = Draw::new(SEED);
    let mut cuts: Vec<usize> = (0..RESTARTS).map(|_| draw.below(rows.len() as u64) as usize).collect();
    cuts.sort_unstable();
    let (got, _) = run(&plan, &rows, &cuts);
    for (sink, (got, want)) in plan.sinks.iter().zip(got.iter().zip(&want)) {
        assert_eq!(got.len(), want.len(), "rows of {}", sink.name);
        assert!(got == want, "{} differs after restarts at {cuts:?}", sink.name);
    }
    println!(
        "many_windows: {} rows, {groups} groups at most, {} results, {RESTARTS} restarts, seed {SEED}",
        rows.len(),
        want.iter().map(Vec::len).sum::<usize>(),
    );
}
