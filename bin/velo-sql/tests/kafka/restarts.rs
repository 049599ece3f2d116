//! TERM and a new start in the middle of windows: none is emitted with part of its rows, none is lost.

use std::collections::BTreeMap;

use super::world::{Rng, broker, finish, follow, key_of, producer, run, send, signal, topic, values, wait};

const APP: &str = "
    CREATE STREAM t (k INT, v INT, ts INT) WITH (type = 'kafka', topic = 't', format = 'json', 'event.time.field' = 'ts',
      'watermark.strategy' = 'bounded_out_of_orderness', 'watermark.max_out_of_orderness' = '50ms');
    CREATE STREAM sums AS SELECT k, COUNT(*) AS n, SUM(v) AS total, _window_start FROM t
      GROUP BY k WINDOW TUMBLING(1s) EMIT FINAL WITH ('sums.type' = 'kafka', 'sums.topic' = 'sums');";

#[test]
fn a_rolling_restart_emits_no_partial_window_and_loses_none() {
    let broker = broker();
    let brokers = broker.bootstrap();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP).expect("the app");
    topic(&brokers, "t", 2);
    let mut out = producer(&brokers, "t");
    let mut rng = Rng(3);
    let mut want: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    let mut clock = 1_700_000_000_000;
    let keys: Vec<String> = (0..2).map(|p| key_of(p, 2)).collect();
    for restart in 0..4 {
        // Two and a half windows: the run is stopped in the middle of one.
        let lines: Vec<(Option<&str>, String)> = (0..500)
            .map(|_| {
                clock += rng.below(10);
                let (k, v, ts) = (rng.below(5), rng.below(100), clock - rng.below(50));
                let entry = want.entry((k, ts / 1_000 * 1_000)).or_default();
                *entry = (entry.0 + 1, entry.1 + v);
                let key = keys[rng.below(2) as usize].as_str();
                (Some(key), format!("{{\"k\":{k},\"v\":{v},\"ts\":{ts}}}"))
            })
            .collect();
        send(&mut *out, &lines);
        assert!(out.flush(super::world::PATIENCE).expect("the broker is there"));
        let log = folder.path().join(format!("log{restart}"));
        let before = values(&brokers, "sums").len();
        let mut child = follow(folder.path(), "app.sql", &brokers, &["--instance-id", "one"], &log);
        wait("windows of this round", || values(&brokers, "sums").len() > before);
        signal(&child, "-TERM");
        let status = child.wait().expect("the run ends");
        let said = std::fs::read_to_string(&log).expect("its log");
        assert!(status.success(), "{status}: {said}");
        assert!(restart == 0 || said.contains("resuming velo_app_sums at"), "{said}");
    }
    let said = finish(run(folder.path(), "app.sql", &brokers, &["--instance-id", "one", "--until-end"]));
    let mut got: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    for row in values(&brokers, "sums") {
        let row: serde_json::Value = serde_json::from_str(&row).expect("JSON");
        let field = |name: &str| row[name].as_u64().expect("a number");
        let (key, value) = ((field("k"), field("_window_start")), (field("n"), field("total")));
        assert_eq!(want.get(&key), Some(&value), "window {key:?} was emitted with part of its rows");
        got.insert(key, value);
    }
    assert_eq!(got, want, "{said}");
}
