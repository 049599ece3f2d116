//! How far a source is read ahead of another that it meets in a join of two streams, by the rows that were read: the
//! order of reading shows nowhere else.
//!
//! Rows come a millisecond apart, each with its time as its key, so both sides have one row for each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::{PartitionId, SourceId};

const SECOND_NS: i64 = 1_000_000_000;
/// Rows of a batch at most.
const BATCH: u64 = 1_024;
/// Rows that a source may give without regard to others.
const BUDGET: u64 = 65_536;
/// More than that.
const MANY: i64 = 200_000;

const JOIN: &str = "CREATE STREAM out AS SELECT o.k AS k FROM trades t JOIN orders o WITHIN 300ms ON t.k = o.k;";

fn stream(name: &str) -> String {
    format!(
        "CREATE STREAM {name} (k INT, ts INT) WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts',
         'watermark.strategy' = 'ascending', 'watermark.idle.timeout' = '10s');\n"
    )
}

/// An app in the simulated world.
struct App {
    plan: Arc<AppPlan>,
    world: World,
}

impl App {
    /// The streams `trades`, `orders` and `more`, and what is made of them.
    fn new(partitions: u32, shards: u16, statements: &str) -> App {
        let sql = stream("trades") + &stream("orders") + &stream("more") + statements;
        let plan =
            Arc::new(compile_app(&sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}")));
        let options = WorldOptions { shards, batch_rows: BATCH as usize, credits: 4 };
        let world = World::new(Arc::clone(&plan), vec![partitions; plan.sources.len()], options);
        App { plan, world }
    }

    fn source(&self, name: &str) -> SourceId {
        let at = self.plan.sources.iter().position(|source| *source.name == *name).expect("it is read");
        SourceId(at as u16)
    }

    /// More rows of a partition; nothing is read yet.
    fn add(&mut self, name: &str, partition: u32, times: std::ops::Range<i64>) {
        let text: String = times.map(|ts| format!("{{\"k\":{ts},\"ts\":{ts}}}\n")).collect();
        self.world.feed(self.source(name), PartitionId(partition), text.as_bytes());
    }

    fn run(&mut self) {
        self.world.run_to_rest().expect("nothing fatal");
    }

    /// Rows of a source that were read.
    fn read(&self, name: &str) -> u64 {
        let source = self.source(name);
        self.world.progress().iter().filter(|p| p.source == source).map(|p| p.rows).sum()
    }

    /// Rows of `out` once all inputs ended.
    fn rows_at_end(mut self) -> usize {
        self.world.end();
        assert!(self.world.run_to_rest().expect("nothing fatal"), "the app ends");
        self.world.take_rows(0).len()
    }
}

/// All orders are there; the trades came to 64 ms and are quiet.
fn backlog(partitions: u32, shards: u16, statements: &str) -> App {
    let mut app = App::new(partitions, shards, statements);
    app.add("trades", 0, 0..64);
    app.add("orders", partitions - 1, 0..MANY);
    app.run();
    app
}

#[test]
fn a_backlog_waits_for_the_side_that_is_quiet() {
    let mut app = backlog(1, 1, JOIN);
    let read = app.read("orders");
    assert!((BUDGET..=BUDGET + BATCH).contains(&read), "{read} orders are read while the trades are quiet");
    // As the trades go on, the orders follow: a second ahead, for the bound is shorter.
    for end in [100_000, 150_000] {
        let begin = app.read("trades") as i64;
        app.add("trades", 0, begin..end);
        app.run();
        let (read, end) = (app.read("orders"), end as u64);
        assert!((end + 1_000..=end + 1_000 + BATCH).contains(&read), "{read} orders beside {end} trades");
    }
    let held = app.world.peak().groups;
    assert!(held <= BUDGET + 3 * BATCH, "{held} rows were state at the same time");
    assert_eq!(app.rows_at_end(), 150_000);
}

#[test]
fn a_backlog_goes_on_when_the_other_side_falls_idle() {
    let mut app = backlog(1, 1, JOIN);
    app.world.wait(10 * SECOND_NS - 1);
    app.run();
    assert!(app.read("orders") <= BUDGET + BATCH);
    app.world.wait(1);
    app.run();
    assert_eq!(app.read("orders"), MANY as u64);
    assert_eq!(app.rows_at_end(), 64);
}

#[test]
fn a_backlog_waits_for_partitions_of_other_shards() {
    let mut app = backlog(2, 2, JOIN);
    let budget = BUDGET / 2;
    let read = app.read("orders");
    assert!((budget..=budget + BATCH).contains(&read), "{read} orders are read while the trades are quiet");
    app.add("trades", 0, 64..100_000);
    app.run();
    let read = app.read("orders");
    assert!((101_000..=101_000 + BATCH).contains(&read), "{read} orders are read when the trades went on");
    // Idle, of all partitions on the other shard.
    app.world.wait(10 * SECOND_NS);
    app.run();
    assert_eq!(app.read("orders"), MANY as u64);
    assert_eq!(app.rows_at_end(), 100_000);
}

#[test]
fn a_partition_of_an_earlier_run_holds_others_too() {
    let mut app = backlog(1, 1, JOIN);
    let before = app.read("orders");
    app.world.restart(1).expect("the state fits");
    app.run();
    let read = app.read("orders");
    assert!(
        before > BUDGET && read > before && read <= 2 * (BUDGET + BATCH),
        "{read} orders are read, {before} of them before the restart"
    );
    app.world.wait(10 * SECOND_NS);
    app.run();
    assert_eq!(app.read("orders"), MANY as u64);
}

#[test]
fn partitions_of_a_stream_that_meets_itself_wait_for_each_other() {
    let own = "CREATE STREAM out AS SELECT a.k AS k FROM orders a JOIN orders b WITHIN 2s ON a.k = b.k;";
    let mut app = App::new(2, 1, own);
    app.add("orders", 0, 0..64);
    app.add("orders", 1, 0..MANY);
    app.run();
    let read = app.read("orders");
    assert!(read <= 64 + BUDGET / 2 + BATCH, "{read} rows are read while a partition is quiet");
    app.add("orders", 0, 64..50_000);
    app.run();
    let read = app.read("orders") - 50_000;
    // The bound is two seconds either way.
    assert!((54_000..=54_000 + BATCH).contains(&read), "{read} rows of the other partition are read");
}

#[test]
fn sources_that_meet_through_a_third_one_wait_for_each_other() {
    let chain = "CREATE STREAM out AS SELECT o.k AS k FROM trades t JOIN more m WITHIN 300ms ON t.k = m.k
        JOIN orders o WITHIN 3s ON m.k = o.k;";
    let mut app = App::new(1, 1, chain);
    app.add("trades", 0, 0..64);
    app.add("more", 0, 0..MANY);
    app.add("orders", 0, 0..MANY);
    app.run();
    for name in ["more", "orders"] {
        let read = app.read(name);
        assert!((BUDGET..=BUDGET + BATCH).contains(&read), "{read} rows of {name} are read");
    }
}

#[test]
fn nobody_waits_who_has_other_readers() {
    // A sink, windows in front of one, a table that others ask, and one that they ask for its versions.
    for reader in [
        "CREATE STREAM copy AS SELECT k FROM orders;",
        "CREATE STREAM counted AS SELECT k, COUNT(*) AS n FROM orders GROUP BY k WINDOW TUMBLING(1s);",
        "CREATE STREAM seen AS SELECT k FROM more WHERE k IN (SELECT k FROM orders);",
        "CREATE TABLE latest AS SELECT k, COUNT(*) AS n FROM orders GROUP BY k;
         CREATE STREAM twice AS SELECT a.k AS k FROM
           (SELECT m.k AS k FROM more m JOIN latest FOR SYSTEM_TIME AS OF m.ts ON m.k = latest.k) a
           JOIN more b WITHIN 1s ON a.k = b.k;",
    ] {
        let mut app = backlog(1, 1, &format!("{JOIN}\n{reader}"));
        assert_eq!(app.read("orders"), MANY as u64, "{reader}");
        // It holds others all the same.
        app.add("trades", 0, 64..2 * MANY);
        app.run();
        let (read, end) = (app.read("trades"), MANY as u64 + 1_000);
        assert!((end..=end + BATCH).contains(&read), "{read} trades are read behind {MANY} orders: {reader}");
    }
}

#[test]
fn a_table_that_rows_wait_for_is_loaded() {
    let table =
        "CREATE TABLE both AS SELECT o.k AS k, COUNT(*) AS n FROM trades t JOIN orders o WITHIN 300ms ON t.k = o.k
          GROUP BY o.k;
        CREATE STREAM out AS SELECT m.k AS k, b.n AS n FROM more m JOIN both b ON m.k = b.k;";
    let mut app = backlog(1, 1, table);
    assert_eq!(app.read("orders"), MANY as u64);
    app.add("more", 0, 60..70);
    app.run();
    assert_eq!(app.rows_at_end(), 4);
}

#[test]
fn others_are_read_while_a_backlog_waits() {
    for shards in [1, 2] {
        let count = "CREATE STREAM counted AS SELECT COUNT(*) AS n FROM more GROUP BY k % 2 WINDOW TUMBLING(1s);";
        let mut app = backlog(2, shards, &format!("{JOIN}\n{count}"));
        for partition in 0..2 {
            app.add("more", partition, 0..2 * MANY);
        }
        app.run();
        assert_eq!(app.read("more"), 4 * MANY as u64, "{shards} shards");
        assert!(app.read("orders") <= BUDGET / 2 + BATCH, "{shards} shards");
    }
}

#[test]
fn small_inputs_are_read_whole() {
    let mut app = App::new(1, 1, JOIN);
    app.add("trades", 0, 0..64);
    app.add("orders", 0, 0..60_000);
    app.run();
    assert_eq!(app.read("orders"), 60_000);
}

#[test]
fn what_arrives_at_its_own_pace_never_waits() {
    for shards in [1, 2] {
        let mut app = App::new(2, shards, JOIN);
        app.add("trades", 0, 0..64);
        for step in 0..10 {
            app.add("orders", 1, step * 20_000..(step + 1) * 20_000);
            app.run();
            assert_eq!(app.read("orders"), (step as u64 + 1) * 20_000, "{shards} shards");
        }
    }
}
