//! Why has this window not fired? What shards tell of it, where rows are late, and what closing windows frees.
//!
//! The scenarios of `watermark/` say when windows fire; here is what is told while they do not.

#[path = "../../engine/exec/tests/counting/mod.rs"]
mod counting;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use velostream_exec::operator::NextWindow;
use velostream_exec::shard::{PartitionStanding, Standing, WindowStanding};
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_types::{PartitionId, SourceId};

const MS: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000 * MS;

fn world(sql: &str, partitions: u32, shards: u16) -> World {
    let plan = compile_app(sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}"));
    World::new(Arc::new(plan), vec![partitions], WorldOptions { shards, batch_rows: 7, credits: 2 })
}

/// Feeds rows (key, event time ms) to partitions at once and lets the world come to rest.
fn feed(world: &mut World, feeds: &[(u32, &[(i64, i64)])]) {
    for (partition, rows) in feeds {
        let text: String = rows.iter().map(|(k, ts)| format!("{{\"k\":{k},\"ts\":{ts}}}\n")).collect();
        world.feed(SourceId(0), PartitionId(*partition), text.as_bytes());
    }
    world.run_to_rest().expect("nothing fatal");
}

fn partition(world: &World, number: u32) -> PartitionStanding {
    let standings = world.standing();
    let mut all = standings.iter().flat_map(|s| s.partitions.iter().copied());
    all.find(|p| p.partition == PartitionId(number)).expect("a shard owns it")
}

/// Rows held over all shards: in all, and by partition.
fn held(standings: &[Standing]) -> (u64, BTreeMap<u32, u64>) {
    let windows: Vec<&WindowStanding> = standings.iter().flat_map(|s| &s.windows).collect();
    let mut by_partition = BTreeMap::new();
    for (_, partition, rows) in windows.iter().flat_map(|w| &w.open.by_partition) {
        *by_partition.entry(*partition).or_default() += rows;
    }
    (windows.iter().map(|w| w.open.rows).sum(), by_partition)
}

fn next(standings: &[Standing]) -> Option<NextWindow> {
    standings.iter().flat_map(|s| &s.windows).filter_map(|w| w.open.next).min()
}

const SOURCE: &str =
    "CREATE STREAM t (k INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts',
    'watermark.strategy' = 'ascending', 'watermark.idle.timeout' = '10s');";

#[test]
fn rows_are_held_until_the_last_shard_lets_their_window_go() {
    let sql = format!("{SOURCE} CREATE STREAM out AS SELECT k, COUNT(*) AS n FROM t GROUP BY k WINDOW TUMBLING(1s);");
    for shards in [1, 2, 4] {
        let mut world = world(&sql, 2, shards);
        feed(&mut world, &[(0, &[(1, 100), (2, 200), (1, 1_500), (1, 2_500)]), (1, &[(1, 300), (3, 400)])]);
        let standings = world.standing();
        assert_eq!(held(&standings).1, BTreeMap::from([(0, 4), (1, 2)]), "{shards} shards");
        let first = NextWindow { fires_at: SECOND_NS, start: 0, end: SECOND_NS };
        // Rows that a Combine still has are not at the Aggregate yet, which then knows of no window.
        assert!(next(&standings).is_none_or(|next| next == first), "{standings:?}");
        feed(&mut world, &[(1, &[(3, 1_999)])]);
        assert_eq!(held(&world.standing()).1, BTreeMap::from([(0, 2), (1, 1)]), "{shards} shards");
        feed(&mut world, &[(1, &[(3, 3_000)])]);
        assert_eq!(held(&world.standing()).1, BTreeMap::from([(0, 1), (1, 1)]), "{shards} shards");
        world.end();
        assert!(world.run_to_rest().expect("nothing fatal"));
        assert_eq!(held(&world.standing()), (0, BTreeMap::new()), "{shards} shards");
    }
}

#[test]
fn a_hopping_row_is_held_until_its_last_window_fires() {
    let sql = format!("{SOURCE} CREATE STREAM out AS SELECT COUNT(*) AS n FROM t WINDOW SLIDING(3s, 1s);");
    let mut world = world(&sql, 1, 1);
    feed(&mut world, &[(0, &[(1, 500), (1, 2_100)])]);
    let standings = world.standing();
    let open = &standings[0].windows[0].open;
    // [-2 s, 1 s) and [-1 s, 2 s) have fired.
    assert_eq!(open.next, Some(NextWindow { fires_at: 3 * SECOND_NS, start: 0, end: 3 * SECOND_NS }));
    assert_eq!((&open.grid[..], open.slide_ns, open.rows), (&[(0, 2 * SECOND_NS)][..], SECOND_NS, 2));
    feed(&mut world, &[(0, &[(1, 3_000)])]);
    let (rows, by_partition) = held(&world.standing());
    assert_eq!((rows, by_partition[&0]), (2, 2));
}

#[test]
fn one_idle_partition_of_three() {
    let sql = format!("{SOURCE} CREATE STREAM out AS SELECT COUNT(*) AS n FROM t WINDOW TUMBLING(1s);");
    for shards in [1, 2, 4] {
        let mut world = world(&sql, 3, shards);
        feed(&mut world, &[(0, &[(1, 100)]), (1, &[(1, 100)]), (2, &[(1, 100)])]);
        world.wait(9 * SECOND_NS);
        feed(&mut world, &[(0, &[(1, 1_100)])]);
        feed(&mut world, &[(1, &[(1, 3_600_000)])]);
        world.wait(SECOND_NS - 1);
        world.run_to_rest().expect("nothing fatal");
        assert!(world.take_rows(0).is_empty(), "{shards} shards: partition 2 holds the window");
        let stuck = partition(&world, 2);
        assert_eq!((stuck.idle, stuck.quiet_ns, stuck.watermark), (false, Some(10 * SECOND_NS - 1), 100 * MS));
        world.wait(1);
        world.run_to_rest().expect("nothing fatal");
        assert_eq!(world.take_rows(0), ["{\"n\":3}"], "{shards} shards: it is idle");
        assert!(partition(&world, 2).idle && !partition(&world, 0).idle);
        // It comes back: its older row is late by the operator's watermark, and told by its partition.
        feed(&mut world, &[(2, &[(1, 900), (1, 1_500)])]);
        assert!(!partition(&world, 2).idle);
        let late: u64 = world.standing().iter().flat_map(|s| &s.late).map(|l| l.rows).sum();
        assert_eq!(late, 1, "{shards} shards");
        feed(&mut world, &[(0, &[(1, 2_000)])]);
        feed(&mut world, &[(2, &[(1, 2_000)])]);
        assert_eq!(world.take_rows(0), ["{\"n\":2}"], "{shards} shards");
    }
}

#[test]
fn all_idle_hold_and_what_comes_back_fires_at_once() {
    let sql = format!("{SOURCE} CREATE STREAM out AS SELECT COUNT(*) AS n FROM t WINDOW TUMBLING(1s);");
    for shards in [1, 2, 4] {
        let mut world = world(&sql, 2, shards);
        feed(&mut world, &[(0, &[(1, 100)]), (1, &[(1, 999)])]);
        world.wait(3_600 * SECOND_NS);
        world.run_to_rest().expect("nothing fatal");
        assert!(world.take_rows(0).is_empty(), "{shards} shards: all are idle, so the watermark holds");
        feed(&mut world, &[(1, &[(1, 1_000)])]);
        assert_eq!(world.take_rows(0), ["{\"n\":2}"], "{shards} shards: partition 0 is idle still");
    }
}

#[test]
fn late_rows_are_counted_by_partition() {
    let sql = format!("{SOURCE} CREATE STREAM out AS SELECT k, COUNT(*) AS n FROM t GROUP BY k WINDOW TUMBLING(1s);");
    for shards in [1, 2, 4] {
        let mut world = world(&sql, 2, shards);
        let first = [(1, 5_000), (1, 100), (2, 200), (1, 4_999)];
        feed(&mut world, &[(0, &first), (1, &[(1, 2_000), (3, 999), (3, 1_000)])]);
        let mut late: BTreeMap<u32, u64> = BTreeMap::new();
        for rows in world.standing().iter().flat_map(|s| &s.late) {
            assert_eq!(rows.source, SourceId(0));
            *late.entry(rows.partition.0).or_default() += rows.rows;
        }
        assert_eq!(late, BTreeMap::from([(0, 3), (1, 2)]), "{shards} shards");
    }
}

/// What closes windows of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// One watermark behind all of them, which gives their rows.
    AtOnce,
    /// The first row of the next.
    OneByOne,
    /// One watermark behind all of them; their rows were given before.
    Silently,
}

/// Windows that are closed at once; no row of theirs passes HAVING.
const WINDOWS: i64 = 100_000;

fn closing_world(how: Closed) -> World {
    let (bound, emit) = match how {
        Closed::AtOnce => ("1000000s", ""),
        Closed::OneByOne => ("0s", ""),
        Closed::Silently => ("1000000s", "EMIT CHANGES"),
    };
    let sql = format!(
        "CREATE STREAM t (k INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts',
          'watermark.max_out_of_orderness' = '{bound}');
        CREATE STREAM out AS SELECT k, COUNT(*) AS n, SUM(k) AS total, AVG(k) AS mean FROM t GROUP BY k
          WINDOW TUMBLING(1s, GRACE 0s) HAVING COUNT(*) > 1 {emit};"
    );
    let plan = compile_app(&sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}"));
    World::new(Arc::new(plan), vec![1], WorldOptions { shards: 1, batch_rows: 1024, credits: 2 })
}

/// Frees of closing [`WINDOWS`] with so many entries each, and, one by one, of all else that their rows cost.
fn frees_of_closing(how: Closed, keys: i64) -> usize {
    let mut world = closing_world(how);
    let mut text = String::new();
    for window in 0..WINDOWS {
        for key in 0..keys {
            writeln!(text, "{{\"k\":{key},\"ts\":{}}}", window * 1_000).expect("a String takes it");
        }
    }
    world.feed(SourceId(0), PartitionId(0), text.as_bytes());
    let begin = counting::counted().1;
    world.run_to_rest().expect("nothing fatal");
    let groups = |world: &World| world.counters().iter().map(|c| c.groups).sum::<u64>();
    let open = if how == Closed::OneByOne { 1 } else { WINDOWS };
    assert_eq!(groups(&world), (open * keys) as u64, "these are open");
    let before = counting::counted().1;
    world.feed(SourceId(0), PartitionId(0), b"{\"k\":0,\"ts\":3000000000}\n");
    world.run_to_rest().expect("nothing fatal");
    assert_eq!(groups(&world), 1, "all but the last are closed");
    counting::counted().1 - if how == Closed::OneByOne { begin } else { before }
}

#[test]
fn closing_windows_frees_nothing_per_entry() {
    for (how, per_window) in [(Closed::AtOnce, 60), (Closed::OneByOne, 70), (Closed::Silently, 6)] {
        // Each counts on a thread of its own.
        let run = |keys| std::thread::spawn(move || frees_of_closing(how, keys));
        let [few, many] = [1, 5].map(run).map(|run| run.join().expect("it closes them"));
        println!("closing {WINDOWS} windows {how:?}: {few} frees with 100,000 entries, {many} with 500,000");
        assert!(many < few + 20_000, "400,000 entries more cost {} frees more", many.saturating_sub(few));
        // The state itself gives its blocks back to the pool; what is more are the batches of rows on their way out.
        assert!(few.max(many) < per_window * WINDOWS as usize, "frees go with the blocks and batches of a window");
    }
}
