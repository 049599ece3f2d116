//! What the engine promises to hold, counted: bounded state over daily files, progress with one credit, allocations per
//! batch, and one answer for every layout.
//!
//! `VELO_ROWS` is the number of rows of the chained grouping (1,000,000 in the full run).

#[path = "../../engine/exec/tests/counting/mod.rs"]
mod counting;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::Buffer;
use counting::counted;
use velostream_exec::shard::{Inbox, Outbox, Progress, Shard, ShardOptions, Write as Written};
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::time::WM_END;
use velostream_types::{PartitionId, ShardId, Slab, SlabKind, SourceId, SourcePoll};

fn plan(sql: &str) -> Arc<AppPlan> {
    let plan = compile_app(sql, &BTreeMap::new(), Path::new("."));
    Arc::new(plan.unwrap_or_else(|text| panic!("{text}")))
}

fn sink(plan: &AppPlan, name: &str) -> usize {
    plan.sinks.iter().position(|s| s.name == name).expect("the app has this sink")
}

/// A world of `plan` at the end of these partitions of its only source.
fn at_end(plan: &Arc<AppPlan>, partitions: &[Vec<u8>], options: WorldOptions) -> World {
    let mut world = World::new(Arc::clone(plan), vec![partitions.len() as u32], options);
    for (p, bytes) in partitions.iter().enumerate() {
        world.feed(SourceId(0), PartitionId(p as u32), bytes);
    }
    world.end();
    assert!(world.run_to_rest().expect("nothing fatal"), "the app ends with {options:?}");
    world
}

/// Evenly mixed 64 bits of a row number.
fn mixed(n: u64) -> u64 {
    let z = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

const KEYS: u64 = 10_000;

/// Three tables, each grouped by a column of the one before that changes, so retractions cross the mesh at every step.
const CHAIN: &str = "
    CREATE STREAM t (k INT, g INT, v INT) WITH (type = 'memory', format = 'json');
    CREATE TABLE per_key AS SELECT k, MIN(g) AS g, SUM(v) AS total FROM t GROUP BY k;
    CREATE TABLE per_g AS SELECT g, COUNT(*) AS keys, SUM(total) AS total FROM per_key GROUP BY g;
    CREATE TABLE per_size AS SELECT keys, COUNT(*) AS gs, SUM(total) AS total FROM per_g GROUP BY keys
      WITH ('per_size.type' = 'stdout');";

#[test]
fn chained_groups_end_with_one_credit() {
    let rows: u64 = std::env::var("VELO_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let plan = plan(CHAIN);
    let mut partitions = vec![Vec::new(); 4];
    let mut totals: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
    for n in 0..rows {
        let k = mixed(n) % KEYS;
        let (g, v) = (k * k % 997, (mixed(n + rows) % 2_001) as i64 - 1_000);
        totals.entry(k).or_insert((g, 0)).1 += v;
        let line = format!("{{\"k\":{k},\"g\":{g},\"v\":{v}}}\n");
        partitions[(n % 4) as usize].extend_from_slice(line.as_bytes());
    }
    let mut per_g: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
    for (g, total) in totals.values() {
        let entry = per_g.entry(*g).or_default();
        *entry = (entry.0 + 1, entry.1 + total);
    }
    let mut per_size: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
    for (keys, total) in per_g.values() {
        let entry = per_size.entry(*keys).or_default();
        *entry = (entry.0 + 1, entry.1 + total);
    }

    let mut world = at_end(&plan, &partitions, WorldOptions { shards: 4, batch_rows: 1024, credits: 1 });
    let mut last = BTreeMap::new();
    for line in world.take_rows(sink(&plan, "per_size")) {
        let row: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let keys = row["keys"].as_u64().expect("a number");
        if row["__deleted"] == true {
            last.remove(&keys);
        } else {
            last.insert(keys, (row["gs"].as_u64().expect("a number"), row["total"].as_i64().expect("a number")));
        }
    }
    assert_eq!(last, per_size);
    let waits = world.credit_waits();
    println!("{rows} rows, {waits} waits for a credit");
    assert!(waits >= 1_000, "credits were used up {waits} times only");
}

const DAYS: u64 = 30;
const ROWS_PER_DAY: u64 = 2_400;
const DAY_MS: u64 = 86_400_000;

const HOURLY: &str = "
    CREATE STREAM t (k INT, v INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts');
    CREATE STREAM hourly AS SELECT k, SUM(v) AS total, COUNT(*) AS n, _window_start FROM t
      GROUP BY k WINDOW TUMBLING(1h) EMIT FINAL;";

/// One file per day.
fn days() -> Vec<Vec<u8>> {
    let day = |day: u64| {
        let mut text = String::new();
        for n in 0..ROWS_PER_DAY {
            let (ts, k) = (day * DAY_MS + n * (DAY_MS / ROWS_PER_DAY), mixed(day * ROWS_PER_DAY + n) % 60);
            let _ = writeln!(text, "{{\"k\":{k},\"v\":{n},\"ts\":{ts}}}");
        }
        text.into_bytes()
    };
    (0..DAYS).map(day).collect()
}

#[test]
fn daily_files_hold_the_state_of_one() {
    let plan = plan(HOURLY);
    let days = days();
    let sink = sink(&plan, "hourly");
    let sorted = |world: &mut World| {
        let mut rows = world.take_rows(sink);
        rows.sort();
        rows
    };
    for batch_rows in [16, 64] {
        let options = |shards: u16| WorldOptions { shards, batch_rows, credits: 2 };
        let mut as_one = at_end(&plan, &[days.concat()], options(1));
        let (expect, one) = (sorted(&mut as_one), as_one.peak().groups);
        let all = expect.len() as u64;
        for shards in [1, 2, 4] {
            let mut world = at_end(&plan, &days, options(shards));
            assert_eq!(sorted(&mut world), expect, "{shards} shards");
            let (peak, most) = (world.peak().groups, one + DAYS * batch_rows as u64);
            println!("{shards} shards, batches of {batch_rows}: {peak} groups, one file {one}, all {all}");
            assert!(peak <= most, "{shards} shards hold {peak} groups, at most {most} expected, {all} in all");
            assert!(most * 4 < all, "the bound tells one file from all: {most} of {all}");
        }
    }
}

const BATCH: usize = 1_024;

/// What is selected and how many columns that writes.
const QUERIES: [(&str, usize); 3] = [
    ("quantity", 1),
    ("id, symbol, price, quantity, venue", 5),
    ("id, symbol, price, quantity, price * quantity AS total", 5),
];

/// Allocations per batch of one shard in steady state, whatever they are for, and the columns that the query reads.
fn allocations_per_batch(sql: &str, line: impl Fn(usize) -> String) -> (usize, usize) {
    const BATCHES: usize = 96;
    let plan = plan(sql);
    let columns = plan.sources[0].read.len();
    let options = ShardOptions {
        batch_rows: BATCH,
        credits: 4,
        run_start_ms: 0,
        seed: 0,
        partitions: vec![1],
        memory_limit: u64::MAX,
        check: false,
        checkpoint: false,
    };
    let mut shard = Shard::new(plan, ShardId(0), 1, &[(SourceId(0), PartitionId(0))], options);
    let bytes: Vec<u8> = (0..BATCHES * BATCH).flat_map(|n| line(n).into_bytes()).collect();
    let mut slab = Some(Slab { bytes: Buffer::from_vec(bytes), kind: SlabKind::Stream { at_end: true, position: 0 } });
    let mut inbox = Inbox { low_elsewhere: WM_END, ..Inbox::default() };
    let (mut rows, mut warm) = (0, None);
    let mut out = Outbox::default();
    loop {
        let progress = shard.turn(0, &mut inbox, &mut out).expect("nothing fatal");
        for write in out.writes.drain(..) {
            if let Written::Rows(_, chunk) = write {
                rows += chunk.rows();
                inbox.spare.push(chunk);
            }
        }
        // The first batches size the buffers; the last turn ends the stream.
        match warm {
            None if rows >= 16 * BATCH => warm = Some((counted().0, rows)),
            Some((count, from)) if rows >= 80 * BATCH => {
                return ((counted().0 - count).div_ceil((rows - from) / BATCH), columns);
            }
            _ => {}
        }
        assert!(progress != Progress::Done, "{rows} rows");
        for demand in out.demands.drain(..) {
            let poll = slab.take().map_or(SourcePoll::End, SourcePoll::Slab);
            inbox.polls.push((demand.source, demand.partition, poll));
        }
    }
}

#[test]
fn a_column_costs_three_allocations_per_batch() {
    let sql = |format: &str, query: &str| {
        format!(
            "CREATE STREAM t (id INT, symbol STRING, price DECIMAL(12,4), quantity INT, venue STRING) WITH ({format});
             CREATE STREAM out AS SELECT {query} FROM t WHERE quantity > 0;"
        )
    };
    let check = |name: &str, format: &str, line: &dyn Fn(usize) -> String| {
        for (query, written) in QUERIES {
            let (made, read) = allocations_per_batch(&sql(format, query), line);
            println!("{name}: {made} allocations per batch of {BATCH}, {read} columns read, {written} written");
            assert!(made <= 3 * (read + written), "{name}: {made} for {query}");
        }
    };
    check("JSON", "type = 'memory', format = 'json'", &|n| {
        format!(
            "{{\"id\":{n},\"symbol\":\"SYMBOL-{n}-{n}\",\"price\":{n}.25,\"quantity\":{},\"venue\":\"X{}\"}}\n",
            n % 90 + 1,
            n % 7
        )
    });
    check("CSV", "path = 't.csv', format = 'csv_no_header'", &|n| {
        format!("{n},SYMBOL-{n}-{n},{n}.25,{},X{}\n", n % 90 + 1, n % 7)
    });
}

#[test]
fn the_seed_case_has_two_rows_on_every_layout() {
    let plan = plan(
        "CREATE STREAM ticks (symbol STRING, price DECIMAL(10,2), ts INT)
           WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts');
         CREATE STREAM averages AS SELECT symbol, AVG(price) AS avg_price, _window_start
           FROM ticks GROUP BY symbol WINDOW TUMBLING(5s);",
    );
    let rows = [(1, "10.00"), (2, "20.00"), (6, "30.00"), (7, "40.01")];
    let feed: String =
        rows.iter().map(|(s, p)| format!("{{\"symbol\":\"A\",\"price\":{p},\"ts\":{s}000}}\n")).collect();
    for shards in 1..=8 {
        for batch_rows in 1..=16 {
            let options = WorldOptions { shards, batch_rows, credits: 1 };
            let mut world = at_end(&plan, &[feed.clone().into_bytes()], options);
            assert_eq!(
                world.take_rows(sink(&plan, "averages")),
                [
                    "{\"symbol\":\"A\",\"avg_price\":15.000000,\"_window_start\":0}",
                    "{\"symbol\":\"A\",\"avg_price\":35.005000,\"_window_start\":5000}",
                ],
                "{options:?}"
            );
        }
    }
}
