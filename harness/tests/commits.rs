//! At least once without snapshots: crashes at random moments, restarts from what was committed.
//!
//! Every window row that is ever emitted equals the one of an uninterrupted run (no window is emitted with part of its
//! rows), none is missing, and every row of a query without windows is there at least once. `VELO_SHARE` (`1` or
//! `1/20`) says which part of the random histories runs.

#[path = "support/share.rs"]
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use share::share_of;
use velostream_exec::commit::{Safe, holds_everything};
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

const PARTITIONS: usize = 3;
/// Histories per app of the full run.
const CASES: u64 = 1_000;

const SOURCE: &str = "
    CREATE STREAM t (k INT, v INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts',
      'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '40ms');";

/// Name and statements.
const APPS: [(&str, &str); 8] = [
    ("filter", "CREATE STREAM kept AS SELECT k, v, ts FROM t WHERE v > 300;"),
    (
        "window beside filter",
        "CREATE STREAM kept AS SELECT k, v, ts FROM t WHERE v > 300;
         CREATE STREAM sums AS SELECT k, SUM(v) AS total, COUNT(*) AS n, _window_start FROM t
           GROUP BY k WINDOW TUMBLING(100ms) EMIT FINAL;",
    ),
    (
        "chained windows",
        "CREATE STREAM sums AS SELECT k, SUM(v) AS total, COUNT(*) AS n, _window_start FROM t
           GROUP BY k WINDOW TUMBLING(100ms) EMIT FINAL;
         CREATE STREAM peaks AS SELECT MAX(total) AS peak, SUM(n) AS n, COUNT(*) AS windows, _window_start FROM sums
           WINDOW TUMBLING(350ms) EMIT FINAL;",
    ),
    (
        "lateness",
        "CREATE STREAM sums AS SELECT k, SUM(v) AS total, FIRST(v) AS f, LAST(v) AS l, _window_start FROM t
           GROUP BY k WINDOW TUMBLING(100ms) EMIT FINAL
           WITH ('t.window.allowed.lateness' = '70ms');",
    ),
    (
        "joined streams",
        "CREATE STREAM pairs AS SELECT a.k, a.v AS x, b.v AS y, a.ts AS at, b.ts AS bt FROM t a FULL JOIN t b
           WITHIN (30ms, 60ms) ON a.k = b.k AND a.v < b.v WITH ('join.retention' = '10ms');",
    ),
    (
        "windows of joined streams",
        "CREATE STREAM pairs AS SELECT a.k, COUNT(*) AS n, SUM(a.v + b.v) AS total, _window_start FROM t a JOIN t b
           WITHIN (50ms, 20ms) ON a.k = b.k GROUP BY a.k WINDOW TUMBLING(100ms) EMIT FINAL;",
    ),
    (
        "nearest rows",
        "CREATE STREAM nearest AS SELECT a.k, a.v AS x, b.v AS y, a.ts AS at, b.ts AS bt FROM t a ASOF LEFT JOIN t b
           WITHIN 70ms ON a.k = b.k AND a.ts > b.ts;",
    ),
    (
        "joined in windows",
        "CREATE STREAM pairs AS SELECT a.k, a.v AS x, b.v AS y, _window_start FROM t a LEFT JOIN t b
           ON a.k = b.k AND a.v < b.v WINDOW HOPPING(100ms, 50ms);",
    ),
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Lines of each partition: disorder within the bound, some rows late, some bad.
fn lines(rng: &mut Rng) -> Vec<Vec<String>> {
    let mut partitions = vec![Vec::new(); PARTITIONS];
    let mut clock = 1_000;
    for _ in 0..200 + rng.below(400) {
        clock += rng.below(12);
        let back = if rng.below(20) == 0 { rng.below(400) } else { rng.below(40) };
        let p = rng.below(PARTITIONS as u64) as usize;
        let mut line = format!("{{\"k\":{},\"v\":{},\"ts\":{}}}", rng.below(7), rng.below(1_000), clock - back);
        // A live partition that gave no good row is idle at once: the first is good.
        if rng.below(60) == 0 && !partitions[p].is_empty() {
            line.truncate(9);
        }
        partitions[p].push(line);
    }
    partitions
}

fn feed(world: &mut World, partition: usize, lines: &[String]) {
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    world.feed(SourceId(0), PartitionId(partition as u32), text.as_bytes());
}

#[derive(Default)]
struct Seen {
    crashes: u64,
    above_start: u64,
    replayed: u64,
    again: u64,
}

fn replayed(world: &World) -> u64 {
    world.counters().iter().map(|c| c.replayed).sum()
}

/// One history with crashes: the rows of each sink as they were written.
fn history(plan: &Arc<AppPlan>, lines: &[Vec<String>], rng: &mut Rng, seen: &mut Seen) -> Vec<Vec<String>> {
    let options = WorldOptions {
        shards: 1 + rng.below(4) as u16,
        batch_rows: [1, 3, 16, 1024][rng.below(4) as usize],
        credits: 1 + rng.below(3) as u32,
    };
    let mut world = World::new(Arc::clone(plan), vec![PARTITIONS as u32], options);
    // Each partition has a row before the first turn: none is idle at once.
    let mut fed = [1; PARTITIONS];
    (0..PARTITIONS).for_each(|p| feed(&mut world, p, &lines[p][..1]));
    let mut committed = Safe::default();
    while fed.iter().zip(lines).any(|(n, lines)| *n < lines.len()) {
        let p = rng.below(PARTITIONS as u64) as usize;
        let to = lines[p].len().min(fed[p] + rng.below(40) as usize);
        feed(&mut world, p, &lines[p][fed[p]..to]);
        fed[p] = to;
        (0..rng.below(6)).for_each(|_| {
            world.round().expect("nothing fatal");
        });
        if rng.below(3) == 0 {
            world.give_barrier();
        }
        (0..rng.below(6)).for_each(|_| {
            world.round().expect("nothing fatal");
        });
        committed = world.take_safe().unwrap_or(committed);
        if rng.below(12) == 0 {
            seen.crashes += 1;
            seen.above_start += u64::from(committed.partitions.iter().any(|p| p.offset > 0));
            seen.replayed += replayed(&world);
            world.crash(1 + rng.below(4) as u16, &committed);
        }
    }
    world.end();
    assert!(world.run_to_rest().expect("nothing fatal"), "the app ends");
    seen.replayed += replayed(&world);
    (0..plan.sinks.len()).map(|i| world.take_rows(i)).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the suite says how long it took")]
fn a_crash_loses_nothing_and_emits_no_partial_window() {
    let begin = Instant::now();
    let cases = share_of(CASES, 1);
    let mut seen = Seen::default();
    for (name, sql) in APPS {
        let sql = format!("{SOURCE}{sql}");
        let plan = compile_app(&sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}"));
        let plan = Arc::new(plan);
        for case in 0..cases {
            let mut rng = Rng(case * 7_919 + 1);
            let lines = lines(&mut rng);
            let options = WorldOptions { shards: 1, batch_rows: 1024, credits: 4 };
            let mut whole = World::new(Arc::clone(&plan), vec![PARTITIONS as u32], options);
            lines.iter().enumerate().for_each(|(p, l)| feed(&mut whole, p, l));
            whole.end();
            assert!(whole.run_to_rest().expect("nothing fatal"));
            let got = history(&plan, &lines, &mut rng, &mut seen);
            for (i, sink) in plan.sinks.iter().enumerate() {
                let want: BTreeSet<String> = whole.take_rows(i).into_iter().collect();
                let rows: BTreeSet<String> = got[i].iter().cloned().collect();
                let (missing, wrong): (Vec<_>, Vec<_>) =
                    (want.difference(&rows).collect(), rows.difference(&want).collect());
                assert!(
                    missing.is_empty() && wrong.is_empty(),
                    "{name}, case {case}, {}: missing {missing:?}, wrong {wrong:?}",
                    sink.name
                );
                seen.again += (got[i].len() - rows.len()) as u64;
            }
        }
    }
    let Seen { crashes, above_start, replayed, again } = seen;
    let histories = cases * APPS.len() as u64;
    println!(
        "{histories} histories, {crashes} crashes, {above_start} restarts above the start, {replayed} rows replayed, {again} rows again"
    );
    println!("suite commits cases {histories} seed 1 seconds {:.1}", begin.elapsed().as_secs_f64());
    assert!(above_start * 2 > crashes && replayed > cases, "the histories test restarts");
}

/// What is kept of rows of any age is rebuilt from the first record.
#[test]
fn buffers_and_tables_hold_the_commit_at_the_start() {
    let table = "CREATE TABLE high AS SELECT k AS high, v AS top FROM t WHERE v > 900;";
    for (statements, holds) in [
        ("CREATE STREAM kept AS SELECT k, v FROM t;", false),
        ("CREATE STREAM sums AS SELECT SUM(v) OVER (ROWS WINDOW BUFFER 3 ROWS PARTITION BY k) AS three FROM t;", true),
        ("CREATE STREAM found AS SELECT t.k, high.top FROM t JOIN high ON t.k = high.high;", true),
        ("CREATE STREAM found AS SELECT k FROM t WHERE EXISTS (SELECT 1 FROM high WHERE high.high = t.k);", true),
    ] {
        let sql = format!("{SOURCE}{table}{statements}");
        let plan = compile_app(&sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}"));
        assert_eq!(holds_everything(&plan), holds, "{statements}");
    }
}
