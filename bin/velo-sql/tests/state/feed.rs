//! What the runs of these suites read, do and write.

use std::fmt::Write;
use std::path::Path;

use crate::world::{World, send, until};

/// Small numbers that look random; the same for the same seed.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// Every kind of operator that keeps something: windows of all kinds, of local days, too, FINAL and CHANGES, late rows that are
/// refused, correct, or count in the next window, groups without windows, OVER, DISTINCT, chains, a UNION of a fast and a
/// slow branch, a TABLE read by a TABLE, ORDER BY, LIMIT, dead letters of the source and of a window.
pub const APP: &str = "
CREATE STREAM t (id BIGINT, k STRING, v BIGINT, ts BIGINT) WITH ('type' = 'file_source', 'path' = 'in-*.csv',
  'event.time.field' = 'ts', 'watermark.max_out_of_orderness' = '150ms', 'late.data.strategy' = 'dead_letter');
CREATE STREAM sums AS SELECT k, _window_start AS w, COUNT(*) AS n, SUM(v) AS s FROM t
  GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('sums.path' = 'sums.csv');
CREATE STREAM hops AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t
  GROUP BY k WINDOW HOPPING(4s, 1s) EMIT FINAL WITH ('hops.path' = 'hops.jsonl');
CREATE STREAM totals AS SELECT k, COUNT(*) AS n, MAX(v) AS m FROM t
  GROUP BY k EMIT FINAL WITH ('totals.path' = 'totals.csv');
CREATE STREAM changes AS SELECT k, COUNT(*) AS n FROM t WHERE v < 50
  GROUP BY k EMIT CHANGES WITH ('changes.path' = 'changes.jsonl');
CREATE STREAM changing AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t WHERE v < 50
  GROUP BY k WINDOW TUMBLING(5s) EMIT CHANGES WITH ('changing.path' = 'changing.jsonl');
CREATE STREAM kept AS SELECT id, v FROM t WHERE v > 990 WITH ('kept.path' = 'kept.csv.gz');
CREATE STREAM tops AS SELECT w, SUM(n) AS n FROM sums
  GROUP BY w WINDOW TUMBLING(10s) EMIT FINAL WITH ('tops.path' = 'tops.csv');
CREATE STREAM keys AS SELECT DISTINCT k FROM t WITH ('keys.path' = 'keys.csv');
CREATE STREAM parts AS SELECT k, n AS x FROM sums UNION ALL SELECT k, v AS x FROM t WHERE v > 900
  WITH ('parts.path' = 'parts.csv');
CREATE STREAM both AS SELECT k, COUNT(*) AS n, SUM(x) AS s FROM parts
  GROUP BY k EMIT FINAL WITH ('both.path' = 'both.csv');
CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM t WHERE v < 50 GROUP BY k WITH ('counts.path' = 'counts.jsonl');
CREATE TABLE classes AS SELECT n, COUNT(*) AS c FROM counts GROUP BY n EMIT FINAL
  WITH ('classes.path' = 'classes.jsonl');
CREATE STREAM first AS SELECT id, v FROM t WHERE v = 7 LIMIT 50 WITH ('first.path' = 'first.csv');
CREATE STREAM last AS SELECT id, v FROM t WHERE v = 8 ORDER BY id DESC LIMIT 100 WITH ('last.path' = 'last.csv');
CREATE STREAM often AS SELECT k, COUNT(*) AS n FROM t GROUP BY k EMIT CHANGES EVERY 5s
  WITH ('often.path' = 'often.jsonl');
CREATE STREAM u (k STRING, v BIGINT, ts BIGINT) WITH ('type' = 'file_source', 'path' = 'in-*.csv',
  'event.time.field' = 'ts', 'watermark.max_out_of_orderness' = '50ms', 'late.data.strategy' = 'update_previous',
  'window.allowed.lateness' = '100ms');
CREATE STREAM w (k STRING, v BIGINT, far BIGINT) WITH ('type' = 'file_source', 'path' = 'in-*.csv',
  'event.time.field' = 'far', 'watermark.max_out_of_orderness' = '50m');
CREATE STREAM x (id BIGINT, k STRING, v BIGINT, ts BIGINT) WITH ('type' = 'file_source', 'path' = 'in-*.csv',
  'event.time.field' = 'ts', 'watermark.max_out_of_orderness' = '150ms');
CREATE STREAM nexts AS SELECT k, _window_start AS w, COUNT(*) AS n, SUM(v) AS s FROM t GROUP BY k WINDOW TUMBLING(1s)
  EMIT FINAL WITH ('nexts.path' = 'nexts.csv', 'late.data.strategy' = 'include_in_next');
CREATE STREAM sessions AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n, SUM(v) AS s FROM t
  GROUP BY k WINDOW SESSION(60ms, GRACE 20ms) EMIT FINAL WITH ('sessions.path' = 'sessions.csv');
CREATE STREAM waiting AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n FROM t
  GROUP BY k WINDOW SESSION(60ms) EMIT FINAL
  WITH ('waiting.path' = 'waiting.csv', 'late.data.strategy' = 'include_in_next');
CREATE STREAM merging AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n FROM u WHERE v < 300
  GROUP BY k WINDOW SESSION(300ms) EMIT FINAL WITH ('merging.path' = 'merging.jsonl');
CREATE STREAM joined AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n FROM t WHERE v < 300
  GROUP BY k WINDOW SESSION(300ms, GRACE 10ms) EMIT CHANGES WITH ('joined.path' = 'joined.jsonl');
CREATE STREAM ticking AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n FROM t WHERE v < 300
  GROUP BY k WINDOW SESSION(300ms) EMIT CHANGES EVERY 1s WITH ('ticking.path' = 'ticking.jsonl');
CREATE STREAM spans AS SELECT w, COUNT(*) AS sessions, SUM(n) AS n FROM sessions
  GROUP BY w WINDOW TUMBLING(1s) EMIT FINAL WITH ('spans.path' = 'spans.csv');
CREATE STREAM days AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n, SUM(v) AS s FROM w
  GROUP BY k WINDOW TUMBLING(1d, TZ 'America/New_York') EMIT FINAL WITH ('days.path' = 'days.csv');
CREATE STREAM three AS SELECT k, _window_start AS w, _window_end AS e, COUNT(*) AS n FROM w
  GROUP BY k WINDOW HOPPING(3d, 1d, TZ 'Europe/Berlin') EMIT FINAL WITH ('three.path' = 'three.csv');
CREATE STREAM during AS SELECT k, _window_start AS w, COUNT(*) AS n FROM w
  GROUP BY k WINDOW TUMBLING(1d, TZ 'America/New_York') EMIT CHANGES EVERY 6h WITH ('during.path' = 'during.jsonl');
CREATE STREAM moving AS SELECT id, k, v, SUM(v) OVER (ROWS WINDOW BUFFER 20 ROWS PARTITION BY k ORDER BY ts) AS s,
  LAG(v, 3) OVER (ROWS WINDOW BUFFER 20 ROWS PARTITION BY k ORDER BY ts) AS before FROM x WHERE v < 200
  WITH ('moving.path' = 'moving.csv');
CREATE STREAM ranked AS SELECT id, k, RANK() OVER (PARTITION BY k ORDER BY v
  RANGE BETWEEN INTERVAL '100' MILLISECOND PRECEDING AND CURRENT ROW) AS r FROM x WHERE v < 100
  WITH ('ranked.path' = 'ranked.csv');
CREATE STREAM growth AS SELECT k, w, n, LAG(n) OVER (PARTITION BY k ORDER BY w) AS before,
  ROW_NUMBER() OVER (PARTITION BY k ORDER BY w) AS nth FROM sums WITH ('growth.path' = 'growth.csv');
CREATE STREAM corrected AS SELECT k, _window_start AS w, COUNT(*) AS n FROM u WHERE v < 100
  GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('corrected.path' = 'corrected.jsonl');
";

/// Its outputs, and whether their order is a promise.
pub const OUTPUTS: [(&str, bool); 34] = [
    ("sums.csv", true),
    ("hops.jsonl", true),
    ("totals.csv", true),
    ("changes.jsonl", false),
    ("changing.jsonl", false),
    ("kept.csv.gz", false),
    ("tops.csv", true),
    ("keys.csv", false),
    ("parts.csv", false),
    ("both.csv", true),
    ("counts.jsonl", false),
    ("classes.jsonl", false),
    ("first.csv", false),
    ("last.csv", true),
    ("sums-dlq.jsonl", false),
    ("t-dlq.jsonl", false),
    ("often.jsonl", false),
    ("corrected.jsonl", false),
    ("u-dlq.jsonl", false),
    ("nexts.csv", true),
    ("sessions.csv", true),
    ("sessions-dlq.jsonl", false),
    ("waiting.csv", true),
    ("merging.jsonl", false),
    ("joined.jsonl", false),
    ("joined-dlq.jsonl", false),
    ("ticking.jsonl", false),
    ("spans.csv", true),
    ("days.csv", true),
    ("three.csv", true),
    ("during.jsonl", false),
    ("moving.csv", false),
    ("ranked.csv", false),
    ("growth.csv", false),
];

/// Three files, each with keys of its own and the header in an order of its own; every thousandth record is bad. `far` goes
/// 20,000 times as fast, over the days on which clocks change.
pub fn files(world: &World, rows: u64) {
    let mut rng = Rng(3);
    for file in 0..3u64 {
        let mut text = String::from(if file == 1 { "ts,v,k,id,far\n" } else { "id,k,v,ts,far\n" });
        let mut now = 1_700_000_000_000u64;
        for n in 0..rows {
            now += rng.below(4);
            let (id, key, ts) = (file * 1_000_000 + n, rng.below(40), now - rng.below(200));
            let far = 1_698_000_000_000 + (ts - 1_699_999_999_000) * 20_000;
            let v = if n % 1_000 == 7 { "bad".to_owned() } else { rng.below(1_000).to_string() };
            let line = match file {
                1 => writeln!(text, "{ts},{v},K{file}_{key},{id},{far}"),
                _ => writeln!(text, "{id},K{file}_{key},{v},{ts},{far}"),
            };
            line.expect("a String takes everything");
        }
        world.put(&format!("in-{file}.csv"), text);
    }
}

/// An output as it can be compared: its lines, sorted where their order is no promise, dead letters without the time of
/// day; `None` when it is not there.
pub fn output(world: &World, name: &str, ordered: bool) -> Option<Vec<String>> {
    let path = world.path(name);
    if !path.exists() {
        return None;
    }
    let text = if name.ends_with(".gz") { unpacked(&path) } else { world.read(name) };
    let without_time = |line: &str| match line.split_once(",\"timestamp\":") {
        Some((before, after)) if name.ends_with("-dlq.jsonl") => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(without_time).collect();
    if !ordered {
        lines.sort();
    }
    Some(lines)
}

fn unpacked(path: &Path) -> String {
    let out = std::process::Command::new("gzip").arg("-dc").arg(path).output().expect("gzip is there");
    assert!(out.status.success(), "{} is whole: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// All outputs.
pub fn outputs(world: &World) -> Vec<(&'static str, Option<Vec<String>>)> {
    OUTPUTS.iter().map(|(name, ordered)| (*name, output(world, name, *ordered))).collect()
}

/// Fails unless both are the same, with the first line that is not.
pub fn same(got: &[(&'static str, Option<Vec<String>>)], want: &[(&'static str, Option<Vec<String>>)], after: &str) {
    for ((name, got), (_, want)) in got.iter().zip(want) {
        if got == want {
            continue;
        }
        let (got, want) = (got.as_deref().unwrap_or_default(), want.as_deref().unwrap_or_default());
        let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
        let (is, was) = (got.get(at), want.get(at));
        panic!("{after}: {name} has {} rows for {}, line {at} is {is:?} for {was:?}", got.len(), want.len());
    }
}

/// Numbers of the checkpoints in a folder, ascending.
pub fn checkpoints(folder: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut numbers: Vec<u64> = names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// The name of a checkpoint's file.
pub fn checkpoint_file(number: u64) -> String {
    format!("state/checkpoint-{number:010}")
}

/// An app of one window over one file that takes a while in small batches.
pub const SMALL: &str = "
CREATE STREAM w AS SELECT k, _window_start AS w, COUNT(*) AS n FROM t GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL
  WITH ('t.type' = 'file_source', 't.path' = 'in.csv', 't.event.time.field' = 'ts',
        't.watermark.max_out_of_orderness' = '0s', 'w.path' = 'w.csv');
";

/// A world with [`SMALL`] and its file.
pub fn small() -> World {
    let world = World::with(&[("app.sql", SMALL)]);
    let mut text = String::from("k,ts\n");
    for n in 0..200_000u64 {
        writeln!(text, "K{},{}", n % 7, 1_700_000_000_000 + n * 2).expect("a String takes everything");
    }
    world.put("in.csv", text);
    world
}

/// Runs the app of `world` until it has three checkpoints and stops it; what it said.
pub fn stopped(world: &World) -> String {
    let args = ["run", "app.sql", "--state", "state", "--checkpoint", "20ms", "--batch-rows", "1", "--shards", "1"];
    let child = world.start(&args);
    let folder = world.path("state");
    until("there are checkpoints", || checkpoints(&folder).last().is_some_and(|last| *last >= 3));
    send(&child, "-TERM");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(143), "{said}");
    said
}
