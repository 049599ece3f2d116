//! Random appends, transactions, deletions and reopenings against a plain list of records.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::spill::{Spill, SpillSpace};
use super::*;

/// A producer as the model sees it.
#[derive(Clone, Default)]
struct Known {
    epoch: i16,
    next_sequence: i32,
    /// All batches of this epoch: (sequence, count, base offset).
    sent: Vec<(i32, usize, i64)>,
    in_transaction: bool,
}

/// The naive log: everything that was ever stored.
#[derive(Default)]
struct Model {
    records: Vec<Rec>,
    bases: Vec<i64>,
    /// Outcome of each marker by its offset.
    commits: BTreeMap<i64, bool>,
    producers: BTreeMap<i64, Known>,
    log_start: i64,
    clock: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.records.len() as i64
    }

    /// The marker that ended the transaction of a record.
    fn marker(&self, record: &Rec) -> Option<&Rec> {
        let ends = |r: &&Rec| r.control && r.producer_id == record.producer_id;
        self.records[record.offset as usize..].iter().find(ends)
    }

    fn last_stable(&self) -> i64 {
        let open = self.records.iter().find(|r| r.transactional && !r.control && self.marker(r).is_none());
        open.map_or(self.end(), |r| r.offset.max(self.log_start))
    }

    fn committed(&self, r: &Rec) -> bool {
        !r.control && (!r.transactional || self.marker(r).is_some_and(|m| self.commits[&m.offset]))
    }

    fn store(&mut self, batch: &Batch, base: i64) {
        self.bases.push(base);
        for (i, (timestamp, key, value)) in batch.records.iter().enumerate() {
            self.records.push(Rec {
                offset: base + i as i64,
                timestamp: *timestamp,
                key: key.clone(),
                value: value.clone(),
                producer_id: batch.producer.0,
                transactional: batch.transactional,
                control: false,
            });
        }
    }
}

type Op = (u8, u16, u16);

struct Run {
    log: PartitionLog,
    model: Model,
    storage: Storage,
    config: LogConfig,
}

impl Run {
    fn apply(&mut self, (kind, a, b): Op) -> Result<(), TestCaseError> {
        self.model.clock += i64::from(a % 50);
        match kind {
            0..=5 => self.append(a, b)?,
            6..=8 => self.repeat(a, b)?,
            9..=10 => self.end_transaction(a, b)?,
            11 => self.bump_epoch(a),
            12 => {
                let to = self.model.log_start + i64::from(b) % (self.model.end() - self.model.log_start + 1);
                prop_assert_eq!(self.log.delete_before(to).unwrap(), to);
                self.model.log_start = to;
            }
            13 => drop(self.log.maintain(NOW + self.model.clock).unwrap()),
            14 => self.log.flush().unwrap(),
            _ => {
                if let Storage::Dir(_) = self.storage {
                    let (log, recovered) =
                        PartitionLog::open(self.storage.clone(), self.config.clone(), NOW + self.model.clock).unwrap();
                    prop_assert_eq!(recovered.cut_bytes, 0);
                    self.log = log;
                }
            }
        }
        self.compare(a, b)
    }

    fn batch(&self, a: u16, b: u16) -> Batch {
        let mut batch = Batch::of(1 + usize::from(a % 4));
        for (i, record) in batch.records.iter_mut().enumerate() {
            record.0 = NOW + self.model.clock - i64::from((b >> 3) % 40) + 7 * (i as i64 % 2);
            record.1 = (!b.is_multiple_of(5)).then(|| b.to_be_bytes().to_vec());
            record.2 = (!b.is_multiple_of(7)).then(|| vec![b as u8; usize::from(a % 90)]);
        }
        batch.codec = [0, 0, 0, 1, 2, 12, 3, 4][usize::from(a >> 8) % 8];
        batch
    }

    fn append(&mut self, a: u16, b: u16) -> Result<(), TestCaseError> {
        let mut batch = self.batch(a, b);
        let id = i64::from(b % 4) - 1;
        let end = self.model.end();
        if id >= 0 {
            let known = self.model.producers.entry(id).or_default();
            known.in_transaction |= a.is_multiple_of(3);
            batch = batch.by(id, known.epoch, known.next_sequence);
            batch.transactional = known.in_transaction;
            known.sent.push((known.next_sequence, batch.records.len(), end));
            known.next_sequence += batch.records.len() as i32;
        }
        let got = self.log.append(batch.bytes(), 0, NOW + self.model.clock).unwrap();
        prop_assert_eq!((got.base_offset, got.duplicate), (end, false));
        prop_assert_eq!(got.last_offset, end + batch.records.len() as i64 - 1);
        self.model.store(&batch, end);
        Ok(())
    }

    /// Sends a batch again, or one that does not follow.
    fn repeat(&mut self, a: u16, b: u16) -> Result<(), TestCaseError> {
        let id = i64::from(b % 3);
        let Some(known) = self.model.producers.get(&id).filter(|k| !k.sent.is_empty()).cloned() else { return Ok(()) };
        let back = usize::from(a) % known.sent.len().min(9);
        let (sequence, count, base) = known.sent[known.sent.len() - 1 - back];
        let send = |log: &mut PartitionLog, epoch, sequence| {
            let mut batch = Batch::of(count).by(id, epoch, sequence);
            batch.transactional = known.in_transaction;
            append(log, &batch)
        };
        let want = if back < 5 { Ok((base, base + count as i64 - 1, true)) } else { Err(45) };
        prop_assert_eq!(send(&mut self.log, known.epoch, sequence), want);
        prop_assert_eq!(send(&mut self.log, known.epoch, known.next_sequence + 1), Err(45));
        if known.epoch > 0 {
            prop_assert_eq!(send(&mut self.log, known.epoch - 1, sequence), Err(47));
        }
        Ok(())
    }

    fn end_transaction(&mut self, a: u16, b: u16) -> Result<(), TestCaseError> {
        let (id, commit, now) = (i64::from(b % 3), a.is_multiple_of(2), NOW + self.model.clock);
        let Some(known) = self.model.producers.get_mut(&id) else { return Ok(()) };
        known.in_transaction = false;
        let offset = self.log.end_transaction(id, known.epoch, 0, commit, 0, now).unwrap();
        prop_assert_eq!(offset, self.model.end());
        self.model.bases.push(offset);
        self.model.commits.insert(offset, commit);
        self.model.records.push(Rec {
            offset,
            timestamp: now,
            key: Some(vec![0, 0, 0, u8::from(commit)]),
            value: Some(vec![0; 6]),
            producer_id: id,
            transactional: true,
            control: true,
        });
        Ok(())
    }

    fn bump_epoch(&mut self, a: u16) {
        if let Some(known) = self.model.producers.get_mut(&i64::from(a % 3)).filter(|k| !k.in_transaction) {
            // The log learns of it with the next batch; until then the old epoch's batches are what it knows.
            let epoch = known.epoch + 1;
            *known = Known { epoch, ..Known::default() };
        }
    }

    fn compare(&self, a: u16, b: u16) -> Result<(), TestCaseError> {
        let (log, model) = (&self.log, &self.model);
        prop_assert_eq!((log.log_start(), log.high_watermark()), (model.log_start, model.end()));
        prop_assert_eq!(log.last_stable(), model.last_stable());
        let from = model.log_start + i64::from(a) % (model.end() - model.log_start + 1);
        let max_bytes = usize::from(b % 1_000);
        let read = log.read(from, max_bytes, true, false).unwrap();
        let got = read_records(&read);
        let begin = model.bases.iter().rev().find(|base| **base <= from).copied().unwrap_or(0);
        let begin = if from == model.end() { from } else { begin };
        let end = got.last().map_or(begin, |r| r.offset + 1);
        prop_assert!(end > from || from == model.end());
        prop_assert_eq!(&got[..], &model.records[begin as usize..end as usize]);
        prop_assert!(batches(&read).len() == 1 || read.bytes <= max_bytes);
        let ts = NOW + model.clock - i64::from(b % 60);
        let hit = model.records[model.log_start as usize..].iter().find(|r| r.timestamp >= ts);
        prop_assert_eq!(log.offset_for_time(ts), hit.map(|r| (r.offset, r.timestamp)));
        Ok(())
    }

    /// What a reader of committed records sees, by Kafka's rule for clients.
    fn compare_committed(&self) -> Result<(), TestCaseError> {
        let (mut seen, mut next) = (Vec::new(), self.model.log_start);
        while next < self.model.last_stable() {
            let read = self.log.read(next, 400, true, true).unwrap();
            let mut hidden: Vec<i64> = Vec::new();
            let mut aborted = read.aborted.iter().peekable();
            for (h, bytes) in batches(&read) {
                while let Some(range) = aborted.next_if(|range| range.first_offset <= h.last_offset()) {
                    hidden.push(range.producer_id);
                }
                if h.is(CONTROL) {
                    if batch::Marker::read(&bytes).is_some_and(|m| !m.commit) {
                        hidden.retain(|id| *id != h.producer_id);
                    }
                } else if !h.is(TRANSACTIONAL) || !hidden.contains(&h.producer_id) {
                    seen.extend(records_of(&h, &bytes).into_iter().filter(|r| r.offset >= next));
                }
                next = next.max(h.next_offset());
            }
        }
        let (from, to) = (self.model.log_start as usize, self.model.last_stable() as usize);
        let want: Vec<Rec> = self.model.records[from..to].iter().filter(|r| self.model.committed(r)).cloned().collect();
        prop_assert_eq!(seen, want);
        Ok(())
    }
}

fn run(storage: Storage, segment_bytes: u16, ops: &[Op]) -> Result<(), TestCaseError> {
    let config = config(&[
        ("segment.bytes", &segment_bytes.to_string()),
        ("index.interval.bytes", &(segment_bytes / 8).to_string()),
        ("segment.ms", "700"),
        ("retention.ms", "-1"),
    ]);
    let log = PartitionLog::open(storage.clone(), config.clone(), NOW).unwrap().0;
    let mut run = Run { log, model: Model::default(), storage, config };
    for op in ops {
        run.apply(*op)?;
    }
    run.compare_committed()?;
    let all = read_all(&run.log, 300);
    prop_assert_eq!(&all[..], &run.model.records[run.model.log_start as usize..]);
    Ok(())
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0_u8..17, any::<u16>(), any::<u16>()), 1..90)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_log_in_memory_is_a_list_of_records(segment_bytes in 100_u16..3_000, ops in ops()) {
        run(Storage::Memory, segment_bytes, &ops)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_in_files_is_a_list_of_records(segment_bytes in 100_u16..3_000, ops in ops()) {
        let dir = tempfile::tempdir().unwrap();
        run(Storage::Dir(dir.path().join("t/0")), segment_bytes, &ops)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_that_spills_is_a_list_of_records(
        segment_bytes in 100_u16..3_000,
        above_bytes in 0_u64..20_000,
        ops in ops(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let space = SpillSpace::open(&Spill { dir: dir.path().to_owned(), above_bytes }).unwrap();
        run(Storage::Spill(space), segment_bytes, &ops)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_stored_whole_or_refused(
        changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..6),
        codec in prop::sample::select(vec![0_i16, 1, 2, 12, 3, 4]),
        cut in any::<u16>(),
        compacted in any::<bool>(),
    ) {
        let mut settings = vec![("segment.bytes", "14"), ("min.cleanable.dirty.ratio", "0")];
        if compacted {
            settings.push(("cleanup.policy", "compact"));
        }
        let mut log = memory(&settings);
        append(&mut log, &Batch::of(2)).unwrap();
        let sent = Batch { codec, ..Batch::of(5) };
        // Damage behind the checksum: it is right again, so that every later check is met.
        let mut body = sent.body();
        let length = body.len();
        body.truncate(length - usize::from(cut) % 3);
        for (at, value) in changes {
            let at = usize::from(at) % body.len();
            body[at] = value;
        }
        let sealed = Stored::seal(sent.header(), body.into()).to_bytes();
        if let Ok(appended) = log.append(sealed.clone(), 0, NOW) {
            prop_assert_eq!((appended.base_offset, appended.last_offset), (2, 6));
            prop_assert_eq!(&log.read(2, 1 << 20, true, false).unwrap().batches[0][21..], &sealed[21..]);
        } else {
            prop_assert_eq!(log.high_watermark(), 2);
        }
        append(&mut log, &Batch::of(1)).unwrap();
        let _ = (log.offset_for_time(NOW + 3), log.max_timestamp());
        let mut now_compacted = config(&settings);
        now_compacted.set("cleanup.policy", "compact").unwrap();
        log.set_config(now_compacted);
        log.maintain(NOW).unwrap();
        prop_assert!(log.read(0, 1 << 20, true, true).is_ok());
        let raw: Vec<u8> = sealed.iter().rev().copied().collect();
        prop_assert!(log.append(raw.into(), 0, NOW).is_err());
    }
}
