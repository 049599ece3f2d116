//! kill -9 at random moments while records keep coming: nothing is lost, no window is ever emitted with part of its
//! rows, and restarts go on above where the one before began.
//!
//! 20 kills with `VELO_SHARE=1`, else 5; `VELO_KILLS` says another number, `VELO_KILL_RATE` the records per second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::world::{KEPT_AND_SUMS, Rng, broker, finish, follow, key_of, now, producer, run, send, topic, values};

const PARTITIONS: u32 = 3;

/// What an independent computation says.
#[derive(Default)]
struct Want {
    windows: BTreeMap<(u64, u64), (u64, u64)>,
    kept: BTreeSet<u64>,
    sent: u64,
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Sends records at a steady rate, their event time being the time they are due, until told to stop.
fn feed(brokers: &str, rate: u64, stop: &AtomicBool, want: &Mutex<Want>) {
    const STEP: Duration = Duration::from_millis(5);
    let mut out = producer(brokers, "t");
    let keys: Vec<String> = (0..PARTITIONS).map(|p| key_of(p, PARTITIONS)).collect();
    let mut rng = Rng(11);
    let begin = now();
    let mut id = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_millis() as u64 * rate / 1_000;
        let mut lines = Vec::new();
        {
            let mut want = want.lock().expect("no panic");
            while id < due.max(u64::from(PARTITIONS)) {
                let ts = 1_700_000_000_000 + id * 1_000 / rate - rng.below(40);
                let (k, v) = (rng.below(20), rng.below(1_000));
                // The first records reach every partition: none of them is idle.
                let p = if id < 3 { id } else { rng.below(u64::from(PARTITIONS)) };
                let entry = want.windows.entry((k, ts / 100 * 100)).or_default();
                *entry = (entry.0 + 1, entry.1 + v);
                if v > 989 {
                    want.kept.insert(id);
                }
                lines.push((
                    Some(keys[p as usize].as_str()),
                    format!("{{\"id\":{id},\"k\":{k},\"v\":{v},\"ts\":{ts}}}"),
                ));
                id += 1;
            }
            want.sent = id;
        }
        send(&mut *out, &lines);
        std::thread::park_timeout(STEP);
    }
    assert!(out.flush(super::world::PATIENCE).expect("the broker is there"), "everything is acknowledged");
}

/// Sum of the offsets a run said it resumes at.
fn resumed_at(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.starts_with("resuming"))?;
    let places = line.split(" at ").nth(1)?.split(';').next()?;
    places.split(", ").map(|p| p.split(':').nth(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    let full = std::env::var("VELO_SHARE").is_ok_and(|share| share == "1");
    let (kills, rate) = (number("VELO_KILLS", if full { 20 } else { 5 }), number("VELO_KILL_RATE", 100_000));
    let begin = now();
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), KEPT_AND_SUMS).expect("the app");
    topic(&brokers, "t", PARTITIONS);
    let (stop, want) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Want::default())));
    let feeder = {
        let (brokers, stop, want) = (brokers.clone(), Arc::clone(&stop), Arc::clone(&want));
        std::thread::spawn(move || feed(&brokers, rate, &stop, &want))
    };
    let seed = 5;
    let mut rng = Rng(seed);
    let (mut above, mut highest) = (0, 0);
    for n in 0..kills {
        let log = folder.path().join(format!("log{n}"));
        let mut child = follow(folder.path(), "app.sql", &brokers, &["--instance-id", "one"], &log);
        let life = Duration::from_millis(300 + rng.below(1_200));
        let until = now() + life;
        while now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(child.try_wait().expect("a child").is_none(), "kill {n} hits a live process: {}", said());
        child.kill().expect("it lives");
        child.wait().expect("it is gone");
        let at = resumed_at(&said()).unwrap_or(0);
        above += u64::from(at > highest);
        highest = highest.max(at);
    }
    stop.store(true, Ordering::Relaxed);
    feeder.join().expect("the feed ends");
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--instance-id", "one", "--until-end"]));
    let want = want.lock().expect("no panic");

    let kept: Vec<u64> = values(&brokers, "kept").iter().map(|row| field(row, "id")).collect();
    let missing = want.kept.difference(&kept.iter().copied().collect()).count();
    assert_eq!(missing, 0, "rows without a window are there at least once\n{said}");
    let rows = values(&brokers, "sums");
    let mut got = BTreeMap::new();
    for row in &rows {
        let (key, value) = ((field(row, "k"), field(row, "_window_start")), (field(row, "n"), field(row, "total")));
        assert_eq!(want.windows.get(&key), Some(&value), "window {key:?} was emitted with part of its rows\n{said}");
        got.insert(key, value);
    }
    assert_eq!(got.len(), want.windows.len(), "every window is there\n{said}");
    println!(
        "{} records, {kills} kills, {above} restarts above the one before; {} windows in {} rows, {} kept rows for {}",
        want.sent,
        got.len(),
        rows.len(),
        kept.len(),
        want.kept.len()
    );
    println!("suite kills cases {kills} seed {seed} seconds {:.1}", begin.elapsed().as_secs_f64());
    // A life of 0.3 s on a busy machine may end before its first commit.
    assert!(above * 4 >= kills * if full { 3 } else { 1 }, "restarts go on above the one before: {above} of {kills}");
}

fn field(row: &str, name: &str) -> u64 {
    let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
    row[name].as_u64().expect("a number")
}
