//! Compaction against the naive last-per-key, and the exchange of files under crashes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const COMPACT: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), ("delete.retention.ms", "1000")];

fn keyed(ts: i64, pairs: &[(u8, Option<u8>)]) -> Batch {
    let record = |(key, value): &(u8, Option<u8>)| (ts, Some(vec![*key]), value.map(|v| vec![v; 20]));
    Batch { records: pairs.iter().map(record).collect(), ..Batch::of(0) }
}

fn offsets(log: &PartitionLog) -> Vec<i64> {
    read_all(log, 1_000).iter().filter(|r| !r.control).map(|r| r.offset).collect()
}

#[test]
fn the_last_record_per_key_stays_at_its_offset() {
    on_both(&[COMPACT, &[("segment.bytes", "200")]].concat(), |mut log| {
        for batch in [&[(1, Some(1)), (2, Some(1))][..], &[(1, Some(2)), (3, None)], &[(2, Some(2)), (4, Some(1))]] {
            append(&mut log, &keyed(NOW, batch)).unwrap();
        }
        append(&mut log, &keyed(NOW, &[(1, Some(3))])).unwrap();
        let done = log.maintain(NOW).unwrap();
        assert!(done.compacted_segments >= 2 && done.compacted_bytes > 0, "{done:?}");
        // Key 1 of offset 2 stays: its successor is in the active segment.
        assert_eq!(offsets(&log), [2, 3, 4, 5, 6]);
        assert_eq!(log.maintain(NOW + 999).unwrap().compacted_segments, 0, "nothing new, no tombstone due");
        assert!(log.maintain(NOW + 1_000).unwrap().compacted_segments > 0);
        assert_eq!(offsets(&log), [2, 4, 5, 6], "the tombstone went");
        assert_eq!(log.log_start(), 0);
        assert_eq!(log.read(0, 1, true, false).unwrap().batches.len(), 1);
    });
}

#[test]
fn open_transactions_wait_and_aborted_records_go() {
    on_both(&[COMPACT, &[("segment.bytes", "150")]].concat(), |mut log| {
        append(&mut log, &keyed(NOW, &[(1, Some(1))])).unwrap();
        append(&mut log, &keyed(NOW, &[(1, Some(2))]).by(7, 0, 0).in_transaction()).unwrap();
        append(&mut log, &keyed(NOW, &[(2, Some(1))])).unwrap();
        append(&mut log, &keyed(NOW, &[(2, Some(2))])).unwrap();
        log.maintain(NOW).unwrap();
        assert_eq!(offsets(&log), [0, 1, 2, 3], "nothing behind the open transaction is touched");
        log.end_transaction(7, 0, 0, false, 0, NOW).unwrap();
        append(&mut log, &keyed(NOW, &[(3, Some(1))]).by(7, 0, 1).in_transaction()).unwrap();
        log.end_transaction(7, 0, 0, true, 0, NOW).unwrap();
        append(&mut log, &keyed(NOW, &[(9, Some(1))])).unwrap();
        append(&mut log, &keyed(NOW, &[(9, Some(2))])).unwrap();
        log.maintain(NOW).unwrap();
        let visible = read_records(&log.read(0, 1 << 20, true, true).unwrap());
        let kept: Vec<i64> = visible.iter().filter(|r| !r.control).map(|r| r.offset).collect();
        assert!(kept.starts_with(&[0, 3, 5]) && !kept.contains(&1), "{kept:?}");
        assert!(log.read(0, 1 << 20, true, true).unwrap().aborted.is_empty());
    });
}

#[test]
fn lags_and_the_dirty_ratio_are_kept() {
    let check = |settings: &[(&str, &str)], after_ms: i64, compacted: bool| {
        let base = [("cleanup.policy", "compact"), ("segment.bytes", "150"), ("min.cleanable.dirty.ratio", "0")];
        let mut log = memory(&[&base[..], settings].concat());
        for i in 0..6 {
            append(&mut log, &keyed(NOW, &[(1, Some(i))])).unwrap();
        }
        assert_eq!(log.maintain(NOW + after_ms).unwrap().compacted_segments > 0, compacted, "{settings:?}");
        for _ in 0..2 {
            append(&mut log, &keyed(NOW, &[(2, Some(1))])).unwrap();
        }
    };
    check(&[], 0, true);
    check(&[("min.compaction.lag.ms", "100")], 99, false);
    check(&[("min.compaction.lag.ms", "100")], 100, true);
    check(&[("min.cleanable.dirty.ratio", "1")], 0, true);
    check(&[("cleanup.policy", "delete")], 0, false);
}

type Step = (u8, u8, u8, bool);

/// What should be there: every record that the passes so far may not have dropped.
fn naive(all: &[(Rec, Option<bool>)], cleaned_to: i64) -> Vec<i64> {
    let counts =
        |(r, committed): &&(Rec, Option<bool>)| !r.control && *committed != Some(false) && r.offset < cleaned_to;
    let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for (r, _) in all.iter().filter(counts) {
        last.insert(r.key.clone().unwrap(), r.offset);
    }
    let stays = |(r, committed): &&(Rec, Option<bool>)| {
        let cleaned = r.offset < cleaned_to;
        !r.control && (!cleaned || (*committed != Some(false) && last[r.key.as_ref().unwrap()] == r.offset))
    };
    all.iter().filter(stays).map(|(r, _)| r.offset).collect()
}

fn compact_randomly(storage: Storage, steps: &[Step]) -> Result<(), TestCaseError> {
    let config = config(&[COMPACT, &[("segment.bytes", "400"), ("delete.retention.ms", "1000000")]].concat());
    let open = || PartitionLog::open(storage.clone(), config.clone(), NOW).unwrap().0;
    let mut log = open();
    let mut all: Vec<(Rec, Option<bool>)> = Vec::new();
    let mut sequence = 0;
    for (what, key, value, flag) in steps {
        match what {
            0..=5 => {
                let pairs: Vec<_> =
                    (0..1 + key % 4).map(|i| ((key + i) % 12, (!value.is_multiple_of(6)).then_some(*value))).collect();
                let mut batch = keyed(NOW + i64::from(*value), &pairs);
                batch.codec = [0, 0, 1, 2, 3, 4][usize::from(value % 6)];
                if *flag {
                    batch = batch.by(5, 0, sequence).in_transaction();
                    sequence += pairs.len() as i32;
                }
                let base = log.append(batch.bytes(), 0, NOW).unwrap().base_offset;
                let mut header = batch.header();
                header.base_offset = base;
                let stored = Stored::seal(header, batch.body().into()).to_bytes();
                all.extend(records_of(&header, &stored).into_iter().map(|r| (r, None)));
            }
            6 => {
                let offset = log.end_transaction(5, 0, 0, *flag, 0, NOW).unwrap();
                for (_, outcome) in all.iter_mut().filter(|(r, o)| r.transactional && !r.control && o.is_none()) {
                    *outcome = Some(*flag);
                }
                let marker = Rec {
                    offset,
                    timestamp: NOW,
                    key: None,
                    value: None,
                    producer_id: 5,
                    transactional: true,
                    control: true,
                };
                all.push((marker, None));
            }
            7 => drop(log.maintain(NOW).unwrap()),
            8 => log.flush().unwrap(),
            _ if matches!(storage, Storage::Dir(_)) => log = open(),
            _ => {}
        }
        prop_assert_eq!(log.high_watermark(), all.len() as i64);
    }
    log.maintain(NOW).unwrap();
    let want = naive(&all, log.cleaned_to);
    prop_assert_eq!(offsets(&log), want.clone());
    for r in read_all(&log, 300).iter().filter(|r| !r.control) {
        let stored = &all[r.offset as usize].0;
        prop_assert_eq!((&r.key, &r.value, r.timestamp), (&stored.key, &stored.value, stored.timestamp));
    }
    let stable = log.last_stable();
    if let Storage::Dir(dir) = &storage {
        // Also when everything must be read anew.
        let _ = fs::remove_file(dir.join("checkpoint"));
        let log = open();
        prop_assert_eq!(offsets(&log), want);
        prop_assert_eq!((log.last_stable(), log.high_watermark()), (stable, all.len() as i64));
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..10, any::<u8>(), any::<u8>(), any::<bool>()), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn compaction_in_memory_is_last_per_key(steps in steps()) {
        compact_randomly(Storage::Memory, &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn compaction_in_files_is_last_per_key(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        compact_randomly(Storage::Dir(dir.path().join("p")), &steps)?;
    }
}

#[test]
fn a_crash_amid_the_exchange_of_files_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [COMPACT, &[("segment.bytes", "450")]].concat();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let mut log = in_dir(&before, &settings);
    for i in 0..24 {
        append(&mut log, &keyed(NOW, &[(i % 5, Some(i)), (i % 3, Some(i))])).unwrap();
    }
    log.roll(NOW).unwrap();
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join("p")).unwrap();
        for entry in fs::read_dir(from.join("p")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join("p").join(path.file_name().unwrap())).unwrap();
        }
    };
    // A copy whose closed segments are joined into one.
    copy(&before, &after);
    let mut wide = in_dir(&after, &[COMPACT, &[("segment.bytes", "100000")]].concat());
    wide.maintain(NOW).unwrap();
    let (uncompacted, compacted) = (offsets(&log), offsets(&wide));
    assert!(compacted.len() < uncompacted.len());
    assert_eq!(wide.segments.len(), 2);
    let bases: Vec<i64> = log.segments[..log.segments.len() - 1].iter().map(|s| s.base_offset).collect();
    let first = |dir: &Path| dir.join("p").join(format!("{:020}.log", 0));
    let swap: Vec<u8> = bases.iter().flat_map(|b| b.to_be_bytes()).collect();
    let check = |name: &str, noted: bool, renamed: bool, removed: usize, want: &[i64]| {
        let crashed = dir.path().join(name);
        copy(&before, &crashed);
        fs::remove_file(crashed.join("p/checkpoint")).unwrap();
        let target = if renamed { first(&crashed) } else { first(&crashed).with_extension("cleaned") };
        fs::copy(first(&after), target).unwrap();
        if noted {
            super::super::checkpoint::write_framed(&crashed.join("p/swap"), 4, &swap).unwrap();
        }
        for base in &bases[1..1 + removed] {
            fs::remove_file(crashed.join("p").join(format!("{base:020}.log"))).unwrap();
        }
        let opened = in_dir(&crashed, &settings);
        assert_eq!(offsets(&opened), want, "{name}");
    };
    check("rewritten", false, false, 0, &uncompacted);
    check("noted", true, false, 0, &compacted);
    check("renamed", true, true, 0, &compacted);
    check("half removed", true, true, 2, &compacted);
}
