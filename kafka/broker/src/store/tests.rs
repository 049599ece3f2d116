//! Tests of whole partitions. Here: what they share, and appends and reads one by one; the random ones are in `tests/`.

mod compaction;
mod damage;
mod model;
mod spill;

use bytes::Bytes;

use super::batch::{self, CODEC_BITS, CONTROL, Header, LOG_APPEND_TIME, Stored, TRANSACTIONAL};
use super::codec::tests::deflate;
use super::{AppendError, LogConfig, PartitionLog, Read, ReadError, Storage, codec, records};

const NOW: i64 = 1_700_000_000_000;

/// (timestamp, key, value)
type Plain = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// A batch to be sent.
#[derive(Clone, Debug)]
struct Batch {
    records: Vec<Plain>,
    codec: i16,
    producer: (i64, i16, i32),
    transactional: bool,
}

impl Batch {
    fn of(count: usize) -> Batch {
        let record = |i: usize| (NOW + i as i64, Some(vec![b'k', i as u8]), Some(vec![b'v'; 10]));
        Batch { records: (0..count).map(record).collect(), codec: 0, producer: (-1, -1, -1), transactional: false }
    }

    fn by(mut self, id: i64, epoch: i16, sequence: i32) -> Batch {
        self.producer = (id, epoch, sequence);
        self
    }

    fn in_transaction(mut self) -> Batch {
        self.transactional = true;
        self
    }

    fn header(&self) -> Header {
        let times = || self.records.iter().map(|r| r.0);
        Header {
            base_offset: 0,
            size: 0,
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: (self.codec % 10) | if self.transactional { TRANSACTIONAL } else { 0 },
            last_delta: self.records.len() as i32 - 1,
            base_timestamp: self.records.first().map_or(-1, |r| r.0),
            max_timestamp: times().max().unwrap_or(-1),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            base_sequence: self.producer.2,
            count: self.records.len() as i32,
        }
    }

    fn body(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        for (i, (ts, key, value)) in self.records.iter().enumerate() {
            let delta = ts - self.records[0].0;
            records::write_new(&mut plain, (delta, i as i32), key.as_deref(), value.as_deref(), &[]);
        }
        deflate(self.codec, &plain)
    }

    fn bytes(&self) -> Bytes {
        Stored::seal(self.header(), self.body().into()).to_bytes()
    }
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rec {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    producer_id: i64,
    transactional: bool,
    control: bool,
}

/// Every batch of what was read, each checked.
fn batches(read: &Read) -> Vec<(Header, Bytes)> {
    let mut all = Vec::new();
    for run in &read.batches {
        let mut at = 0;
        while at < run.len() {
            let header = Header::parse(&run[at..]).expect("a header");
            let bytes = run.slice(at..at + header.size);
            assert!(batch::is_whole(&bytes), "a stored batch is whole: {header:?}");
            at += header.size;
            all.push((header, bytes));
        }
    }
    assert_eq!(all.iter().map(|(h, _)| h.size).sum::<usize>(), read.bytes);
    all
}

fn records_of(h: &Header, bytes: &[u8]) -> Vec<Rec> {
    let plain = codec::inflate(h.attributes & CODEC_BITS, &bytes[batch::HEADER..]).unwrap();
    let rec = |r: records::Record<'_>| Rec {
        offset: h.base_offset + i64::from(r.offset_delta),
        timestamp: if h.is(LOG_APPEND_TIME) { h.max_timestamp } else { h.base_timestamp + r.timestamp_delta },
        key: r.key.map(<[u8]>::to_vec),
        value: r.value.map(<[u8]>::to_vec),
        producer_id: h.producer_id,
        transactional: h.is(TRANSACTIONAL),
        control: h.is(CONTROL),
    };
    records::Walk::new(&plain).map(|r| rec(r.unwrap())).collect()
}

fn read_records(read: &Read) -> Vec<Rec> {
    batches(read).iter().flat_map(|(h, bytes)| records_of(h, bytes)).collect()
}

/// All records, by reads of at most `max_bytes`.
fn read_all(log: &PartitionLog, max_bytes: usize) -> Vec<Rec> {
    let (mut all, mut next) = (Vec::new(), log.log_start());
    while next < log.high_watermark() {
        let read = log.read(next, max_bytes, true, false).unwrap();
        let last = batches(&read).last().map(|(h, _)| h.next_offset());
        all.extend(read_records(&read).into_iter().filter(|r| r.offset >= next));
        // Behind the last batch there may be nothing but what compaction removed.
        next = last.unwrap_or(log.high_watermark());
    }
    all
}

fn config(settings: &[(&str, &str)]) -> LogConfig {
    let mut config = LogConfig::default();
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    config
}

fn memory(settings: &[(&str, &str)]) -> PartitionLog {
    PartitionLog::open(Storage::Memory, config(settings), NOW).unwrap().0
}

fn in_dir(dir: &std::path::Path, settings: &[(&str, &str)]) -> PartitionLog {
    PartitionLog::open(Storage::Dir(dir.join("p")), config(settings), NOW).unwrap().0
}

/// Runs a test on a log in memory and on one in files.
fn on_both(settings: &[(&str, &str)], test: impl Fn(PartitionLog)) {
    test(memory(settings));
    let dir = tempfile::tempdir().unwrap();
    test(in_dir(dir.path(), settings));
}

fn append(log: &mut PartitionLog, batch: &Batch) -> Result<(i64, i64, bool), i16> {
    let appended = log.append(batch.bytes(), 0, NOW).map_err(|e| e.code())?;
    Ok((appended.base_offset, appended.last_offset, appended.duplicate))
}

#[test]
fn what_a_producer_may_not_send_is_refused_and_leaves_nothing() {
    let check = |settings: &[(&str, &str)], bytes: Bytes, code: i16, text: &str| {
        let mut log = memory(settings);
        let error = log.append(bytes, 0, NOW).unwrap_err();
        assert_eq!((error.code(), log.high_watermark(), log.size_bytes()), (code, 0, 0), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    let sealed = |header: Header, body: Vec<u8>| Stored::seal(header, body.into()).to_bytes();
    let with = |change: &dyn Fn(&mut Header)| {
        let batch = Batch::of(2);
        let mut header = batch.header();
        change(&mut header);
        sealed(header, batch.body())
    };
    let good = Batch::of(2).bytes();
    check(&[], Bytes::new(), 2, "no record batch");
    for cut in 1..good.len() {
        check(&[], good.slice(..cut), 2, "cut off at byte 0");
    }
    check(&[], [&good[..], &good[..30]].concat().into(), 2, "cut off at byte");
    let mut flipped = good.to_vec();
    flipped[70] ^= 1;
    check(&[], flipped.into(), 2, "checksum");
    let mut negative = good.to_vec();
    negative[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
    check(&[], negative.into(), 2, "cut off");
    for magic in [0, 1, 3] {
        check(&[], with(&|h| h.magic = magic), 87, "not supported");
    }
    check(&[("max.message.bytes", "50")], good.clone(), 10, "max.message.bytes=50");
    check(&[], with(&|h| h.count = 3), 87, "3 records cannot end at offset delta 1");
    check(&[], with(&|h| (h.count, h.last_delta) = (3, 2)), 87, "2 records, but the batch says 3");
    check(&[], with(&|h| (h.count, h.last_delta) = (0, -1)), 87, "0 records");
    check(&[], with(&|h| h.base_offset = 7), 87, "base offset");
    check(&[], with(&|h| h.attributes = CONTROL), 87, "control");
    check(&[], with(&|h| h.attributes = TRANSACTIONAL), 87, "producer id -1");
    check(&[], with(&|h| h.attributes = 5), 87, "codec 5");
    check(&[], with(&|h| (h.producer_id, h.producer_epoch) = (1, -1)), 87, "epoch -1");
    check(&[], with(&|h| h.max_timestamp = NOW + 3_600_001), 32, "message.timestamp.after.max.ms");
    let mut cut_record = Batch::of(2).body();
    cut_record.pop();
    check(&[], sealed(Batch::of(2).header(), cut_record), 87, "record 1");
    let mut keyless = Batch::of(3);
    keyless.records[1].1 = None;
    check(&[("cleanup.policy", "compact")], keyless.bytes(), 87, "record 1 has no key");
    keyless.codec = 4;
    check(&[("cleanup.policy", "compact")], keyless.bytes(), 87, "record 1 has no key");
}

#[test]
fn what_is_stored_is_what_was_sent_but_for_offset_and_epoch() {
    on_both(&[], |mut log| {
        let sent = Batch::of(3).bytes();
        log.append(sent.clone(), 4, NOW).unwrap();
        log.append(sent.clone(), 5, NOW).unwrap();
        let read = log.read(3, 1 << 20, true, false).unwrap();
        let mut want = sent.to_vec();
        want[..8].copy_from_slice(&3_i64.to_be_bytes());
        want[12..16].copy_from_slice(&5_i32.to_be_bytes());
        assert_eq!(read.batches, [Bytes::from(want)]);
        assert_eq!((log.epoch_end(4), log.epoch_end(5), log.epoch_end(6)), ((4, 3), (5, 6), (-1, -1)));
    });
}

#[test]
fn log_append_time_replaces_the_producers() {
    on_both(&[("message.timestamp.type", "LogAppendTime")], |mut log| {
        let appended = log.append(Batch::of(3).bytes(), 0, NOW + 50).unwrap();
        assert_eq!(appended.log_append_time, NOW + 50);
        assert!(read_all(&log, 1_000).iter().all(|r| r.timestamp == NOW + 50));
        assert_eq!(log.offset_for_time(NOW + 50), Some((0, NOW + 50)));
        assert_eq!(log.offset_for_time(NOW + 51), None);
    });
}

#[test]
fn sequences_are_followed() {
    on_both(&[], |mut log| {
        let mut check = |batch: Batch, want| assert_eq!(append(&mut log, &batch), want, "{:?}", batch.producer);
        check(Batch::of(2).by(7, 0, 40), Ok((0, 1, false)));
        for i in 0..5 {
            check(Batch::of(2).by(7, 0, 42 + 2 * i), Ok((2 + 2 * i64::from(i), 3 + 2 * i64::from(i), false)));
        }
        check(Batch::of(2).by(7, 0, 42), Ok((2, 3, true)));
        check(Batch::of(2).by(7, 0, 50), Ok((10, 11, true)));
        check(Batch::of(2).by(7, 0, 40), Err(45));
        check(Batch::of(3).by(7, 0, 51), Err(45));
        check(Batch::of(2).by(7, 0, 54), Err(45));
        check(Batch::of(1).by(7, 1, 3), Err(45));
        check(Batch::of(1).by(7, 1, 0), Ok((12, 12, false)));
        check(Batch::of(1).by(7, 0, 52), Err(47));
        // Sequences turn around at the greatest.
        check(Batch::of(3).by(8, 0, i32::MAX - 1), Ok((13, 15, false)));
        check(Batch::of(1).by(8, 0, 1), Ok((16, 16, false)));
        check(Batch::of(3).by(8, 0, i32::MAX - 1), Ok((13, 15, true)));
        assert_eq!(
            log.producers().iter().map(|p| (p.producer_id, p.last_sequence)).collect::<Vec<_>>(),
            [(7, 0), (8, 1)]
        );
    });
}

#[test]
fn several_batches_are_stored_together_or_not_at_all() {
    on_both(&[], |mut log| {
        let two = |a: &Batch, b: &Batch| Bytes::from([a.bytes(), b.bytes()].concat());
        let (first, second) = (Batch::of(2).by(7, 0, 0), Batch::of(2).by(7, 0, 2));
        let got = log.append(two(&first, &second), 0, NOW).unwrap();
        assert_eq!((got.base_offset, got.last_offset, got.duplicate), (0, 3, false));
        assert!(log.append(two(&second, &first), 0, NOW).unwrap().duplicate);
        let gap = two(&Batch::of(1).by(7, 0, 4), &Batch::of(1).by(7, 0, 6));
        assert!(matches!(log.append(gap, 0, NOW), Err(AppendError::OutOfOrderSequence)));
        assert_eq!(log.high_watermark(), 4);
        assert_eq!(append(&mut log, &Batch::of(1).by(7, 0, 4)), Ok((4, 4, false)));
    });
}

#[test]
fn transactions_hold_the_last_stable_offset() {
    on_both(&[], |mut log| {
        let sent = |seq| Batch::of(2).by(7, 3, seq).in_transaction();
        append(&mut log, &Batch::of(1)).unwrap();
        append(&mut log, &sent(0)).unwrap();
        append(&mut log, &Batch::of(1)).unwrap();
        assert_eq!((log.last_stable(), log.high_watermark()), (1, 4));
        assert_eq!(read_records(&log.read(0, 1 << 20, true, true).unwrap()).len(), 1);
        assert_eq!(append(&mut log, &Batch::of(1).by(7, 3, 2)), Err(48), "a plain write amid a transaction");
        assert_eq!(log.end_transaction(7, 2, 0, true, 0, NOW).unwrap_err().code(), 47);
        assert_eq!(log.end_transaction(-1, 2, 0, true, 0, NOW).unwrap_err().code(), 59);
        assert_eq!(log.end_transaction(7, 3, 5, false, 0, NOW).unwrap(), 4);
        assert_eq!(log.last_stable(), 5);
        assert_eq!(log.end_transaction(7, 3, 4, false, 0, NOW).unwrap_err().code(), 52);
        let read = log.read(0, 1 << 20, true, true).unwrap();
        assert_eq!(read.aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect::<Vec<_>>(), [(7, 1)]);
        assert!(log.read(5, 1 << 20, true, true).unwrap().aborted.is_empty());
        assert!(log.read(0, 1 << 20, true, false).unwrap().aborted.is_empty());
        // The coordinator fences with a newer epoch; what follows starts at sequence 0.
        assert_eq!(log.end_transaction(7, 4, 5, false, 0, NOW).unwrap(), 5);
        assert_eq!(append(&mut log, &sent(2)), Err(47));
        assert_eq!(append(&mut log, &Batch::of(1).by(7, 4, 2)), Err(45));
        assert_eq!(append(&mut log, &Batch::of(1).by(7, 4, 0)), Ok((6, 6, false)));
    });
}

#[test]
fn reads_stay_in_range_and_in_size() {
    on_both(&[("segment.bytes", "300")], |mut log| {
        let one = Batch::of(2).bytes().len();
        for _ in 0..10 {
            append(&mut log, &Batch::of(2)).unwrap();
        }
        let check = |offset, max, at_least_one, want: &[i64]| {
            let read = log.read(offset, max, at_least_one, false).unwrap();
            let bases: Vec<i64> = batches(&read).iter().map(|(h, _)| h.base_offset).collect();
            assert_eq!(bases, want, "{max} bytes from {offset}");
        };
        check(0, 0, false, &[]);
        check(0, 0, true, &[0]);
        check(3, one - 1, false, &[]);
        check(3, one, false, &[2]);
        check(3, 3 * one + 5, false, &[2, 4, 6]);
        check(19, 1 << 30, true, &[18]);
        check(20, 1 << 30, true, &[]);
        let range = |offset| matches!(log.read(offset, 1, true, false), Err(ReadError::OutOfRange { log_end: 20, .. }));
        assert!(range(-1) && range(21));
    });
}

#[test]
fn retention_deletes_whole_segments() {
    let check = |settings: &[(&str, &str)], after_ms: i64, start: i64| {
        on_both(&[settings, &[("segment.bytes", "100")]].concat(), |mut log| {
            for _ in 0..10 {
                append(&mut log, &Batch::of(2)).unwrap();
            }
            let done = log.maintain(NOW + after_ms).unwrap();
            assert_eq!((log.log_start(), done.deleted_segments), (start, start as u64 / 2), "{settings:?}");
            assert_eq!(read_all(&log, 1_000).len() as i64, 20 - start);
            assert_eq!(append(&mut log, &Batch::of(1)), Ok((20, 20, false)));
        });
    };
    let size = Batch::of(2).bytes().len();
    check(&[], 1_000, 0);
    check(&[("retention.bytes", &(size * 3).to_string())], 0, 14);
    check(&[("retention.bytes", "1")], 0, 18);
    check(&[("retention.ms", "5000")], 5_001, 0);
    check(&[("retention.ms", "5000")], 5_002, 20);
    check(&[("retention.ms", "-1"), ("segment.ms", "1000")], 1 << 40, 0);
    check(&[("retention.ms", "0"), ("cleanup.policy", "compact"), ("min.compaction.lag.ms", "1000")], 99, 0);
}

#[test]
fn log_start_and_truncation_survive_opening() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("segment.bytes", "300")];
    let mut log = in_dir(dir.path(), &settings);
    for _ in 0..10 {
        append(&mut log, &Batch::of(2)).unwrap();
    }
    assert_eq!(log.delete_before(7).unwrap(), 7);
    assert_eq!(log.delete_before(3).unwrap(), 7);
    assert!(log.delete_before(21).is_err());
    log.truncate_to(15).unwrap();
    assert_eq!((log.log_start(), log.high_watermark()), (7, 14));
    assert_eq!(log.truncate_to(3).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let mut log = in_dir(dir.path(), &settings);
    assert_eq!((log.log_start(), log.high_watermark()), (7, 14));
    assert_eq!(append(&mut log, &Batch::of(1)), Ok((14, 14, false)));
    assert_eq!(log.delete_before(-1).unwrap(), 15);
    let log = in_dir(dir.path(), &settings);
    assert_eq!((log.log_start(), log.high_watermark(), log.size_bytes()), (15, 15, 0));
}

#[test]
fn truncation_takes_back_producers_transactions_and_epochs() {
    on_both(&[("segment.bytes", "300")], |mut log| {
        for i in 0..6 {
            let batch = Batch::of(2).by(7, 0, 2 * i).in_transaction();
            log.append(batch.bytes(), i, NOW).unwrap();
        }
        log.end_transaction(7, 0, 0, false, 6, NOW).unwrap();
        assert_eq!((log.last_stable(), log.epoch_end(4)), (13, (4, 10)));
        log.truncate_to(12).unwrap();
        assert_eq!((log.last_stable(), log.high_watermark()), (0, 12), "the marker went");
        log.truncate_to(5).unwrap();
        assert_eq!((log.high_watermark(), log.producers()[0].last_sequence), (4, 3));
        assert_eq!((log.epoch_end(1), log.epoch_end(2)), ((1, 4), (-1, -1)));
        assert_eq!(append(&mut log, &Batch::of(1).by(7, 0, 4).in_transaction()), Ok((4, 4, false)));
        log.truncate_to(0).unwrap();
        assert_eq!((log.high_watermark(), log.size_bytes(), log.producers()), (0, 0, vec![]));
        assert_eq!(append(&mut log, &Batch::of(2)), Ok((0, 1, false)));
    });
}

#[test]
fn idle_producers_are_forgotten_unless_in_a_transaction() {
    let mut log = memory(&[("retention.ms", "-1")]);
    append(&mut log, &Batch::of(1).by(1, 0, 0)).unwrap();
    append(&mut log, &Batch::of(1).by(2, 0, 0).in_transaction()).unwrap();
    assert_eq!(log.maintain(NOW + 86_399_999).unwrap().expired_producers, 0);
    assert_eq!(log.maintain(NOW + 86_400_000).unwrap().expired_producers, 1);
    assert_eq!(log.producers().iter().map(|p| p.producer_id).collect::<Vec<_>>(), [2]);
}

#[test]
fn opening_after_a_flush_or_a_roll_reads_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("segment.bytes", "300")];
    let mut log = in_dir(dir.path(), &settings);
    for i in 0..10 {
        append(&mut log, &Batch::of(2).by(7, 0, 2 * i)).unwrap();
    }
    let open = || PartitionLog::open(Storage::Dir(dir.path().join("p")), config(&settings), NOW).unwrap();
    let (behind_roll, recovered) = open();
    assert!(recovered.batches <= 3 && recovered.cut_bytes == 0, "{recovered:?}");
    assert_eq!(behind_roll.producers()[0].last_sequence, 19);
    log.flush().unwrap();
    let (mut behind_flush, recovered) = open();
    assert_eq!((recovered.batches, behind_flush.high_watermark()), (0, 20));
    assert_eq!(append(&mut behind_flush, &Batch::of(2).by(7, 0, 18)), Ok((18, 19, true)));
}
