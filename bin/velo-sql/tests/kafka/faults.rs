//! A broker over a folder that goes wrong five times a second and is killed every two seconds: a run that goes on all
//! the time loses nothing, emits no window with part of its rows, and needs no more memory at the end than at first.
//!
//! A second test keeps the broker away for longer than the group waits for a member.
//!
//! `VELO_FAULT_RECORDS` is the number of records (2 million times `VELO_SHARE`), `VELO_FAULT_RATE` how many are sent per
//! second, `VELO_SEED` chooses faults and records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use super::away::Process;
use super::world::{
    KEPT_AND_SUMS, PATIENCE, Rng, finish, follow, key_of, now, producer, run, send, signal, topic, values, wait,
};

const PARTITIONS: u32 = 3;
/// Records of the full run.
const RECORDS: u64 = 2_000_000;
/// Event time of the first records.
const BASE_MS: u64 = 1_700_000_000_000;
/// Records per second of event time.
const DENSITY: u64 = 25_000;
const FAULT_EVERY: Duration = Duration::from_millis(200);
const RESTART_EVERY: Duration = Duration::from_secs(2);
/// A share of the records after which buffers have found their size.
const WARM: u64 = 4;
const GROWTH_MAX_KB: u64 = 20 * 1_024;

/// Faults, each until the next.
const FAULTS: &[(&str, &str)] = &[
    ("throttle.ms", "50"),
    ("delay.ms", "20"),
    ("short.read", "4096"),
    ("drop.before", "Fetch"),
    ("drop.after", "Fetch"),
    ("drop.before", "Produce"),
    ("drop.after", "Produce"),
    ("drop.before", "OffsetCommit"),
    ("drop.after", "OffsetCommit"),
    ("drop.before", "Heartbeat"),
    ("drop.before", "Metadata"),
];

/// What an independent computation says.
#[derive(Default)]
struct Want {
    windows: BTreeMap<(u64, u64), (u64, u64)>,
    kept: BTreeSet<u64>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Records of this run.
fn records() -> u64 {
    let share = std::env::var("VELO_SHARE").unwrap_or_else(|_| "1/20".to_owned());
    let (part, whole) = share.split_once('/').unwrap_or((&share, "1"));
    let (part, whole) = (part.trim().parse().unwrap_or(1), whole.trim().parse().unwrap_or(1).max(1));
    number("VELO_FAULT_RECORDS").unwrap_or(RECORDS * part / whole).max(u64::from(PARTITIONS))
}

/// Sends a record to each partition: one without any would be idle, and hold back no window.
fn begin(brokers: &str) {
    let mut out = producer(brokers, "t");
    let line = |p| (key_of(p, PARTITIONS), format!("{{\"id\":0,\"k\":0,\"v\":0,\"ts\":{}}}", BASE_MS - 1_000));
    let lines: Vec<(String, String)> = (0..PARTITIONS).map(line).collect();
    let lines: Vec<(Option<&str>, String)> = lines.iter().map(|(k, line)| (Some(k.as_str()), line.clone())).collect();
    send(&mut *out, &lines);
    assert!(out.flush(PATIENCE).expect("the broker is there"), "everything is acknowledged");
}

/// Sends so many records at a steady rate, and what had to wait for the broker as fast as it takes it.
fn feed(brokers: &str, records: u64, rate: u64, seed: u64) -> Want {
    const STEP: Duration = Duration::from_millis(5);
    let mut out = producer(brokers, "t");
    let keys: Vec<String> = (0..PARTITIONS).map(|p| key_of(p, PARTITIONS)).collect();
    let (mut rng, mut want) = (Rng(seed), Want::default());
    want.windows.insert((0, BASE_MS - 1_000), (u64::from(PARTITIONS), 0));
    let begin = now();
    let mut id = 0;
    while id < records {
        let due = (begin.elapsed().as_millis() as u64 * rate / 1_000).min(records);
        let mut lines = Vec::new();
        while id < due {
            let ts = BASE_MS + id * 1_000 / DENSITY - rng.below(40);
            let (k, v) = (rng.below(20), rng.below(1_000));
            let p = rng.below(u64::from(PARTITIONS));
            let entry = want.windows.entry((k, ts / 100 * 100)).or_default();
            *entry = (entry.0 + 1, entry.1 + v);
            if v > 989 {
                want.kept.insert(id);
            }
            let line = format!("{{\"id\":{id},\"k\":{k},\"v\":{v},\"ts\":{ts}}}");
            lines.push((Some(keys[p as usize].as_str()), line));
            id += 1;
        }
        send(&mut *out, &lines);
        std::thread::park_timeout(STEP);
    }
    assert!(out.flush(PATIENCE).expect("the broker is there"), "everything is acknowledged");
    want
}

/// Anonymous memory of a process, kB.
fn anonymous_kb(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

/// What was done to the broker, and what the run needed meanwhile.
#[derive(Debug, Default)]
struct Course {
    faults: u64,
    restarts: u64,
    warm_kb: u64,
    peak_kb: u64,
}

/// Faults and kills until the feed is over. `warm`: the time after which memory is measured.
fn torment(broker: &mut Process, child: &mut Child, over: impl Fn() -> bool, warm: Duration, seed: u64) -> Course {
    let (mut rng, mut course) = (Rng(seed), Course::default());
    let begin = now();
    let (mut fault, mut restart) = (begin + FAULT_EVERY, begin + RESTART_EVERY);
    while !over() {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the run ended by itself: {ended:?}, {course:?}");
        let at = now();
        if at >= restart {
            broker.kill();
            broker.start();
            course.restarts += 1;
            restart += RESTART_EVERY;
        } else if at >= fault {
            let (key, value) = FAULTS[rng.below(FAULTS.len() as u64) as usize];
            broker.inject("clear", "all");
            broker.inject(key, value);
            course.faults += 1;
            fault += FAULT_EVERY;
        }
        let kb = anonymous_kb(child);
        course.peak_kb = course.peak_kb.max(kb);
        if course.warm_kb == 0 && begin.elapsed() >= warm {
            course.warm_kb = kb;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    broker.inject("clear", "all");
    course
}

/// Compares what stands in the topics with the independent computation; answers rows of windows and kept rows.
fn compare(brokers: &str, want: &Want, said: &dyn Fn() -> String) -> (usize, usize) {
    let kept: Vec<u64> = values(brokers, "kept").iter().map(|row| field(row, "id")).collect();
    let distinct: BTreeSet<u64> = kept.iter().copied().collect();
    assert_eq!(want.kept.difference(&distinct).count(), 0, "rows without a window are there at least once\n{}", said());
    assert!(distinct.is_subset(&want.kept), "no row that should not be kept\n{}", said());
    let rows = values(brokers, "sums");
    let mut got = BTreeSet::new();
    for row in &rows {
        let (key, value) = ((field(row, "k"), field(row, "_window_start")), (field(row, "n"), field(row, "total")));
        assert_eq!(want.windows.get(&key), Some(&value), "window {key:?} has all of its rows, once\n{}", said());
        got.insert(key);
    }
    assert_eq!(got.len(), want.windows.len(), "every window is there\n{}", said());
    (rows.len(), kept.len())
}

fn field(row: &str, name: &str) -> u64 {
    let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
    row[name].as_u64().expect("a number")
}

#[test]
fn a_broker_that_keeps_failing_loses_nothing() {
    let (records, seed) = (records(), number("VELO_SEED").unwrap_or(7));
    let rate = number("VELO_FAULT_RATE").unwrap_or(25_000).max(1);
    let started = now();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), KEPT_AND_SUMS).expect("the app");
    let mut broker = Process::new(folder.path());
    let brokers = broker.address();
    broker.start();
    topic(&brokers, "t", PARTITIONS);
    begin(&brokers);
    // The run begins while nobody is there.
    broker.kill();
    let log = folder.path().join("run.log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let mut child = follow(folder.path(), "app.sql", &brokers, &["--instance-id", "one"], &log);
    broker.miss();
    broker.start();
    let feeder = {
        let brokers = brokers.clone();
        std::thread::spawn(move || feed(&brokers, records, rate, seed))
    };
    let warm = Duration::from_millis(records * 1_000 / rate / WARM);
    let course = torment(&mut broker, &mut child, || feeder.is_finished(), warm, seed);
    let want = feeder.join().expect("the feed ends");
    let fed = started.elapsed();
    let end_kb = anonymous_kb(&child);
    signal(&child, "-TERM");
    let status = child.wait().expect("the run ends");
    assert!(status.success(), "{status}\n{}", said());
    let last = finish(run(folder.path(), "app.sql", &brokers, &["--instance-id", "one", "--until-end"]));
    let (rows, kept) = compare(&brokers, &want, &|| format!("{}\n{last}", said()));
    let Course { faults, restarts, warm_kb, peak_kb } = course;
    println!(
        "{records} records in {:.1} s, {faults} faults, {restarts} restarts; {} windows in {rows} rows, {kept} kept rows \
         for {}; {} lines in the log",
        fed.as_secs_f64(),
        want.windows.len(),
        want.kept.len(),
        said().lines().count()
    );
    println!("RssAnon {warm_kb} kB warm, {end_kb} kB at the end, {peak_kb} kB at most");
    println!("suite faults cases {records} seed {seed} seconds {:.1}", started.elapsed().as_secs_f64());
    assert!(end_kb <= warm_kb + GROWTH_MAX_KB, "memory grew from {warm_kb} kB to {end_kb} kB");
    keep(folder.path());
}

/// Where `VELO_FAULT_KEEP` is set, the logs are copied there.
fn keep(folder: &Path) {
    if let Ok(to) = std::env::var("VELO_FAULT_KEEP") {
        for name in ["log", "run.log"] {
            std::fs::copy(folder.join(name), Path::new(&to).join(name)).expect("a folder to write to");
        }
    }
}

#[test]
fn a_broker_away_for_longer_than_the_session_is_waited_for() {
    const ROWS: u64 = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let session = "topic = 't', 'session.timeout.ms' = '6000',";
    std::fs::write(folder.path().join("app.sql"), KEPT_AND_SUMS.replace("topic = 't',", session)).expect("the app");
    let mut broker = Process::new(folder.path());
    let brokers = broker.address();
    broker.start();
    topic(&brokers, "t", PARTITIONS);
    begin(&brokers);
    let log = folder.path().join("run.log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let want = feed(&brokers, ROWS, ROWS, 3);
    // Nothing of what the run writes is acknowledged before the broker is gone.
    broker.inject("drop.before", "Produce:1000000");
    let mut child = follow(folder.path(), "app.sql", &brokers, &["--instance-id", "one"], &log);
    let broker_said = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    wait("rows of the run", || broker_said().contains("before Produce, as asked"));
    broker.kill();
    wait("the end of the session", || said().contains("took 3 partitions away"));
    broker.start();
    wait("every kept row", || values(&brokers, "kept").len() >= want.kept.len());
    assert!(child.try_wait().expect("a child").is_none(), "{}", said());
    signal(&child, "-TERM");
    let status = child.wait().expect("the run ends");
    assert!(status.success(), "{status}\n{}", said());
    let last = finish(run(folder.path(), "app.sql", &brokers, &["--instance-id", "one", "--until-end"]));
    compare(&brokers, &want, &|| format!("{}\n{last}", said()));
    keep(folder.path());
}
