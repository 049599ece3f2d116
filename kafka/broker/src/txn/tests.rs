//! Stories of transactional ids, told with explicit times, and random ones against their invariants.

use std::collections::BTreeSet;

use super::*;
use crate::errors::*;

fn asks(id: Option<&str>, has: (i64, i16)) -> InitRequest {
    let transactional_id = id.map(str::to_owned);
    InitRequest { version: 4, transactional_id, timeout_ms: 60_000, producer_id: has.0, producer_epoch: has.1 }
}

fn who(given: (i64, i16)) -> ProducerRef {
    ProducerRef { version: 2, transactional_id: "x".into(), producer_id: given.0, producer_epoch: given.1 }
}

fn t(partition: i32) -> (String, i32) {
    ("t".into(), partition)
}

const FRESH: (i64, i16) = (-1, -1);

/// An id with an open transaction on t-0.
fn open() -> (Transactions, (i64, i16)) {
    let mut txns = Transactions::new(TxnConfig::default());
    let given = txns.init(&asks(Some("x"), FRESH), 0).expect("free");
    assert_eq!(txns.add_partitions(&who(given), &[t(0)], 0), NONE);
    (txns, given)
}

fn state(txns: &Transactions) -> TxnState {
    txns.describe("x").map_or(TxnState::Dead, |d| d.state)
}

/// Writes all markers; what they were.
fn finish(txns: &mut Transactions, now_ms: i64) -> Vec<Marker> {
    let markers = txns.take_markers();
    markers.iter().for_each(|m| txns.finished(m, now_ms));
    markers
}

#[test]
fn a_transaction_commits_after_its_markers() {
    let (mut txns, given) = open();
    assert_eq!(txns.add_group(&who(given), "g", 0), NONE);
    assert!(txns.is_in(given.0, given.1, "t", 0));
    assert!(!txns.is_in(given.0, given.1, "t", 1) && !txns.is_in(given.0, given.1 + 1, "t", 0));
    assert_eq!((txns.check_group(&who(given), "g"), txns.check_group(&who(given), "h")), (NONE, INVALID_TXN_STATE));
    assert_eq!(txns.end(&who(given), true, 1), NONE);
    assert_eq!(txns.end(&who(given), true, 1), CONCURRENT_TRANSACTIONS);
    assert_eq!(txns.end(&who(given), false, 1), INVALID_TXN_STATE);
    assert_eq!(txns.add_partitions(&who(given), &[t(1)], 1), CONCURRENT_TRANSACTIONS);
    assert_eq!(txns.init(&asks(Some("x"), FRESH), 1), Err(CONCURRENT_TRANSACTIONS));
    assert!(!txns.is_in(given.0, given.1, "t", 0), "decided: nothing more comes in");
    let markers = finish(&mut txns, 2);
    assert_eq!((markers.len(), markers[0].commit, markers[0].partitions.as_slice()), (1, true, &[t(0)][..]));
    assert_eq!((markers[0].groups.as_slice(), state(&txns)), (&["g".to_owned()][..], TxnState::CompleteCommit));
    assert_eq!((txns.end(&who(given), true, 3), txns.end(&who(given), false, 3)), (NONE, INVALID_TXN_STATE));
    assert_eq!(txns.take_markers(), []);
    assert_eq!(txns.add_partitions(&who(given), &[t(1)], 4), NONE, "the same epoch goes on");
}

#[test]
fn a_newer_producer_aborts_and_fences_the_older() {
    let (mut txns, old) = open();
    assert_eq!(txns.init(&asks(Some("x"), FRESH), 1), Err(CONCURRENT_TRANSACTIONS));
    let markers = finish(&mut txns, 1);
    assert_eq!((markers[0].commit, markers[0].producer_epoch), (false, old.1 + 1));
    let new = txns.init(&asks(Some("x"), FRESH), 2).expect("free");
    assert_eq!(new, (old.0, old.1 + 2));
    let mut check = |version, want| {
        let old = ProducerRef { version, ..who(old) };
        assert_eq!(txns.end(&old, true, 3), want);
        assert_eq!(txns.add_partitions(&old, &[t(0)], 3), want);
        assert_eq!(txns.add_group(&old, "g", 3), want);
        assert_eq!(txns.check_group(&old, "g"), INVALID_PRODUCER_EPOCH);
    };
    check(1, INVALID_PRODUCER_EPOCH);
    check(2, PRODUCER_FENCED);
    let mut again = asks(Some("x"), old);
    assert_eq!(txns.init(&again, 4), Err(PRODUCER_FENCED));
    again.version = 3;
    assert_eq!(txns.init(&again, 4), Err(INVALID_PRODUCER_EPOCH));
}

#[test]
fn a_producer_that_names_its_epoch_gets_the_next_one_once() {
    let mut txns = Transactions::new(TxnConfig::default());
    let first = txns.init(&asks(Some("x"), FRESH), 0).expect("free");
    let second = txns.init(&asks(Some("x"), first), 0).expect("its own");
    assert_eq!(second, (first.0, first.1 + 1));
    assert_eq!(txns.init(&asks(Some("x"), first), 0), Ok(second), "the answer was lost: the same again");
    assert_eq!(txns.init(&asks(Some("x"), (first.0 + 1, 0)), 0), Err(PRODUCER_FENCED));
    assert_eq!(txns.init(&asks(Some("x"), (first.0, -1)), 0), Err(INVALID_REQUEST));
    // Within a transaction the same: abort, then the next epoch; the retry finds it.
    assert_eq!(txns.add_partitions(&who(second), &[t(0)], 0), NONE);
    assert_eq!(txns.init(&asks(Some("x"), first), 0), Err(PRODUCER_FENCED), "an older one cannot abort");
    assert_eq!(txns.init(&asks(Some("x"), second), 0), Err(CONCURRENT_TRANSACTIONS));
    finish(&mut txns, 0);
    assert_eq!(txns.init(&asks(Some("x"), second), 0), Ok((second.0, second.1 + 1)));
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let mut txns = Transactions::new(TxnConfig::default());
    let mut given = txns.init(&asks(Some("x"), FRESH), 0).expect("free");
    let first = given.0;
    while given.0 == first {
        assert!(given.1 < i16::MAX);
        let before = given;
        given = txns.init(&asks(Some("x"), before), 0).expect("its own");
        if given.0 != first {
            assert_eq!((before.1, given.1), (i16::MAX - 1, 0));
            assert_eq!(txns.init(&asks(Some("x"), before), 0), Ok(given), "a retry finds the new id");
            assert_eq!(txns.end(&who(before), true, 0), INVALID_PRODUCER_ID_MAPPING);
        }
    }
}

#[test]
fn bad_requests_are_told_apart() {
    let (mut txns, given) = open();
    let mut check = |timeout_ms, want| {
        assert_eq!(txns.init(&InitRequest { timeout_ms, ..asks(Some("x"), FRESH) }, 0), Err(want));
    };
    check(0, INVALID_TRANSACTION_TIMEOUT);
    check(900_001, INVALID_TRANSACTION_TIMEOUT);
    check(900_000, CONCURRENT_TRANSACTIONS);
    assert_eq!(txns.init(&asks(Some(""), FRESH), 0), Err(INVALID_REQUEST));
    let other = ProducerRef { transactional_id: "y".into(), ..who(given) };
    assert_eq!(txns.end(&other, true, 0), INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(txns.end(&who((given.0 + 1, 0)), true, 0), INVALID_PRODUCER_ID_MAPPING);
    let mut txns = Transactions::new(TxnConfig::default());
    let given = txns.init(&asks(Some("x"), FRESH), 0).expect("free");
    assert_eq!(txns.end(&who(given), true, 0), INVALID_TXN_STATE, "nothing was begun");
    assert_eq!(txns.add_group(&who(given), "", 0), INVALID_GROUP_ID);
}

#[test]
fn a_transaction_that_runs_out_of_time_is_aborted_and_its_producer_fenced() {
    let (mut txns, given) = open();
    assert_eq!(txns.next_deadline(), Some(60_000));
    txns.tick(59_999);
    assert_eq!(state(&txns), TxnState::Ongoing);
    txns.tick(60_000);
    assert!(!txns.is_in(given.0, given.1, "t", 0));
    let markers = finish(&mut txns, 60_000);
    assert_eq!((markers[0].commit, markers[0].producer_epoch), (false, given.1 + 1));
    assert_eq!(txns.end(&who(given), true, 60_001), PRODUCER_FENCED);
    assert_eq!(txns.init(&asks(Some("x"), given), 60_001), Err(PRODUCER_FENCED));
    assert_eq!(txns.init(&asks(Some("x"), FRESH), 60_001), Ok((given.0, given.1 + 2)));
}

#[test]
fn unused_ids_are_forgotten() {
    let (mut txns, given) = open();
    txns.end(&who(given), true, 0);
    finish(&mut txns, 5);
    let at = txns.next_deadline().expect("expires");
    assert_eq!(at, 5 + 7 * 24 * 3_600_000);
    txns.tick(at);
    assert_eq!((state(&txns), txns.next_deadline()), (TxnState::Dead, None));
}

#[test]
fn a_restart_writes_the_markers_again_and_never_repeats_an_id() {
    let (mut txns, given) = open();
    txns.end(&who(given), true, 0);
    let entries = txns.changed();
    let mut again = Transactions::restore(TxnConfig::default(), &entries);
    assert_eq!(again.take_markers(), txns.take_markers());
    let fresh = again.init(&asks(None, FRESH), 0).expect("idempotent");
    assert_eq!(fresh, (1_000, 0), "the rest of the block is skipped");
    let failed = marker(&again.txns["x"]).expect("decided");
    again.failed(failed.clone());
    assert_eq!(again.take_markers(), [failed]);
}

/// Random producers, some of them zombies; the journal of it all.
pub(crate) fn random_run(seed: u64) -> Vec<JournalEntry> {
    let mut random = seed;
    let mut pick = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut txns = Transactions::new(TxnConfig { producer_id_block: 3, ..TxnConfig::default() });
    let (mut entries, mut held, mut ids) = (Vec::new(), vec![(99, 0)], BTreeSet::new());
    let (mut current, mut open, mut now_ms) = (None, Vec::new(), 0);
    for _ in 0..300 {
        now_ms += pick(8_000) as i64;
        let given = held[pick(held.len() as u64) as usize];
        let works = Some(given) == current;
        match pick(9) {
            0 => {
                let has = if pick(2) == 0 { FRESH } else { given };
                if let Ok(given) = txns.init(&asks(Some("x"), has), now_ms) {
                    assert!(
                        Some(given) == current || !held.contains(&given),
                        "seed {seed}: {given:?} was given before"
                    );
                    ids.insert(given.0);
                    current = Some(given);
                    held.push(given);
                }
            }
            1 => {
                let given = txns.init(&asks(None, FRESH), now_ms).expect("idempotent");
                assert!(ids.insert(given.0), "seed {seed}: producer id {} twice", given.0);
            }
            2 | 3 => {
                let done = txns.add_partitions(&who(given), &[t(pick(3) as i32)], now_ms) == NONE;
                assert!(works || !done, "seed {seed}: a zombie added a partition");
            }
            4 => assert!(works || txns.add_group(&who(given), "g", now_ms) != NONE, "seed {seed}: a zombie added"),
            5 | 6 => {
                let done = txns.end(&who(given), pick(2) == 0, now_ms) == NONE;
                assert!(works || !done, "seed {seed}: a zombie ended a transaction");
            }
            7 => txns.tick(now_ms),
            _ => open.iter().for_each(|m| txns.finished(m, now_ms)),
        }
        let described = txns.describe("x");
        let epoch = described.as_ref().map(|d| (d.producer_id, d.producer_epoch));
        current = current.filter(|given| Some(*given) == epoch);
        let markers = txns.take_markers();
        assert!(markers.len() <= 1, "seed {seed}: two markers at once");
        if !markers.is_empty() {
            open = markers;
        }
        entries.extend(txns.changed());
        let mut restored = Transactions::restore(txns.config.clone(), &entries);
        assert_eq!(restored.list(), txns.list(), "seed {seed}");
        let decided = described.is_some_and(|d| matches!(d.state, TxnState::PrepareCommit | TxnState::PrepareAbort));
        assert_eq!(restored.take_markers(), if decided { open.clone() } else { Vec::new() }, "seed {seed}");
        assert!(ids.iter().all(|id| *id < restored.next_producer_id), "seed {seed}: an id would be given twice");
    }
    entries
}

#[test]
fn random_transactions_keep_their_invariants() {
    let entries: usize = (0..300).map(|seed| random_run(seed).len()).sum();
    assert!(entries > 10_000, "the runs do something: {entries}");
}
