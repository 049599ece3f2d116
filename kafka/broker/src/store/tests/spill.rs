//! Logs that spill: they answer as logs in memory do, hold no more than they may, and lose nothing when the disk fails.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::segment::Segment;
use super::super::spill::{Spill, SpillSpace};
use super::*;

/// A space in a folder that is not there yet.
fn space(dir: &Path, above_bytes: u64) -> SpillSpace {
    SpillSpace::open(&Spill { dir: dir.join("a/b"), above_bytes }).unwrap()
}

fn spilling(space: &SpillSpace, settings: &[(&str, &str)]) -> PartitionLog {
    PartitionLog::open(Storage::Spill(space.clone()), config(settings), NOW).unwrap().0
}

/// The folder that a space made in `dir`.
fn folder(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("a/b")).unwrap().next().unwrap().unwrap().path()
}

/// Names and lengths of the files of the only space in `dir`, by name.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let entry = |e: fs::DirEntry| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len());
    let mut files: Vec<_> = fs::read_dir(folder(dir)).unwrap().map(|e| entry(e.unwrap())).collect();
    files.sort();
    files
}

fn spilled(log: &PartitionLog) -> usize {
    log.segments.iter().filter(|s| s.is_spilled()).count()
}

/// A log in memory and one that spills, and the log that takes the rest of the memory of the latter.
struct Twins {
    memory: PartitionLog,
    spilling: PartitionLog,
    space: SpillSpace,
    clock: i64,
    next_sequence: i32,
    spilled: usize,
}

impl Twins {
    fn both<T>(&mut self, act: impl Fn(&mut PartitionLog) -> T) -> (T, T) {
        (act(&mut self.memory), act(&mut self.spilling))
    }

    fn apply(&mut self, (kind, a, b): (u8, u16, u16)) -> Result<(), TestCaseError> {
        self.clock += i64::from(a % 20);
        let now = NOW + self.clock;
        match kind {
            0..=11 => {
                let mut batch = Batch::of(1 + usize::from(b % 3));
                for (i, record) in batch.records.iter_mut().enumerate() {
                    record.0 = now - i64::from(a % 40) + i as i64;
                    record.1 = Some((b % 512 + i as u16).to_be_bytes().to_vec());
                    record.2 = (b % 11 != 0).then(|| vec![b as u8; usize::from(a % 150)]);
                }
                batch.codec = [0, 0, 4][usize::from(a >> 8) % 3];
                if kind == 0 {
                    batch = batch.by(7, 0, self.next_sequence).in_transaction();
                    self.next_sequence += batch.records.len() as i32;
                }
                let (one, other) = self.both(|log| log.append(batch.bytes(), i32::from(a % 3), now).unwrap());
                prop_assert_eq!(one, other);
            }
            12 => {
                let (one, other) =
                    self.both(|log| log.end_transaction(7, 0, 0, a.is_multiple_of(2), 0, now).map_err(|e| e.code()));
                prop_assert_eq!(one, other);
            }
            13..=14 => {
                let (one, other) = self.both(|log| log.maintain(now).unwrap());
                prop_assert_eq!(one, other);
            }
            15 if b.is_multiple_of(4) => {
                let (start, end) = (self.memory.log_start(), self.memory.high_watermark());
                let offset = start + i64::from(a) % (end - start + 1);
                let (one, other) = self.both(|log| log.delete_before(offset).unwrap());
                prop_assert_eq!(one, other);
            }
            _ => {
                let (start, end) = (self.memory.log_start(), self.memory.high_watermark());
                let offset = (end - i64::from(a % 60)).max(start);
                self.both(|log| log.truncate_to(offset).unwrap());
                // Where the producer stands, the log knows: what was cut off is sent anew.
                self.next_sequence = self.memory.producers().first().map_or(0, |p| p.last_sequence + 1);
            }
        }
        self.compare(a, b)
    }

    fn compare(&mut self, a: u16, b: u16) -> Result<(), TestCaseError> {
        self.spilled = self.spilled.max(spilled(&self.spilling));
        let segments = &self.spilling.segments;
        prop_assert!(segments.is_sorted_by_key(|s| !s.is_spilled()), "files come first");
        prop_assert!(!segments.last().unwrap().is_spilled());
        let (one, other) = (&self.memory, &self.spilling);
        let about =
            |s: &Segment| (s.base_offset, s.next_offset, s.bytes, s.max_timestamp, s.max_timestamp_batch, s.created_ms);
        prop_assert_eq!(
            one.segments.iter().map(about).collect::<Vec<_>>(),
            segments.iter().map(about).collect::<Vec<_>>()
        );
        prop_assert_eq!(one.producers(), other.producers());
        prop_assert_eq!((one.max_timestamp(), one.size_bytes()), (other.max_timestamp(), other.size_bytes()));
        for ts in [0, i64::from(b % 90), i64::from(a) % (self.clock + 1)] {
            prop_assert_eq!(one.offset_for_time(NOW + self.clock - ts), other.offset_for_time(NOW + self.clock - ts));
        }
        let (start, end) = (one.log_start(), one.high_watermark());
        for (from, max_bytes, force, committed) in [
            (start + i64::from(a) % (end - start + 1), usize::from(b), true, false),
            (start + i64::from(b) % (end - start + 1), usize::from(a % 500), false, true),
            (end - i64::from(a % 5), 1 << 20, true, true),
        ] {
            let read = |log: &PartitionLog| {
                let read = log.read(from, max_bytes, force, committed).map_err(|e| e.to_string())?;
                Ok::<_, String>((Read { batches: Vec::new(), ..read.clone() }, read.batches.concat()))
            };
            prop_assert_eq!(read(one), read(other), "{} bytes from {}", max_bytes, from);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_that_spills_answers_as_one_in_memory(
        policy in prop::sample::select(vec!["delete", "compact", "compact,delete"]),
        segment_bytes in 300_u64..900,
        taken in 0_u64..14,
        ops in prop::collection::vec((0_u8..17, any::<u16>(), any::<u16>()), 150..400),
    ) {
        let settings = [
            ("cleanup.policy", policy),
            ("segment.bytes", &segment_bytes.to_string()),
            ("index.interval.bytes", &(segment_bytes / 6).to_string()),
            ("retention.bytes", &(segment_bytes * 40).to_string()),
            ("retention.ms", "3500"),
            ("segment.ms", "900"),
            ("delete.retention.ms", "200"),
            ("min.cleanable.dirty.ratio", "0.2"),
        ];
        let dir = tempfile::tempdir().unwrap();
        // Segments of both close at the same size; another log takes so much of the memory that few are left in it.
        let space = space(dir.path(), segment_bytes * 16);
        let mut other = spilling(&space, &[]);
        while other.size_bytes() < segment_bytes * taken {
            append(&mut other, &Batch::of(1)).unwrap();
        }
        let (memory, spilling) = (memory(&settings), spilling(&space, &settings));
        let mut twins = Twins { memory, spilling, space, clock: 0, next_sequence: 0, spilled: 0 };
        for op in ops {
            twins.apply(op)?;
        }
        prop_assert!(twins.spilled > 0 || taken < 12, "nothing was spilled");
        prop_assert_eq!(read_all(&twins.memory, 400), read_all(&twins.spilling, 400));
        prop_assert_eq!(files(dir.path()).len(), spilled(&twins.spilling) + spilled(&other));
        let held = |log: &PartitionLog| log.segments.iter().filter(|s| !s.is_spilled()).map(|s| s.bytes).sum::<u64>();
        prop_assert_eq!(twins.space.bytes_in_memory(), held(&twins.spilling) + held(&other));
    }
}

#[test]
fn memory_is_bounded_and_files_come_and_go_with_their_segments() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), 16_000);
    let mut log = spilling(&space, &[]);
    let size = Batch::of(5).bytes().len() as u64;
    let in_segment = 1_000 / size;
    for stored in 1..=600 {
        append(&mut log, &Batch::of(5)).unwrap();
        assert!(space.bytes_in_memory() <= 16_000, "{} bytes in memory", space.bytes_in_memory());
        assert_eq!(files(dir.path()).is_empty(), stored * size <= 16_000, "nothing goes before it has to");
    }
    let gone = files(dir.path());
    assert_eq!(space.bytes_in_memory() + gone.iter().map(|f| f.1).sum::<u64>(), 600 * size);
    assert!(gone.iter().all(|f| f.1 == in_segment * size), "whole segments of a sixteenth of the bound: {gone:?}");
    assert!(gone.len() as u64 >= (600 * size - 16_000) / 1_000);
    assert_eq!(read_all(&log, 5_000).len(), 3_000);
    let before = gone.len();
    assert_eq!(log.delete_before(5 * in_segment as i64 * 7).unwrap(), 5 * in_segment as i64 * 7);
    assert_eq!(files(dir.path()).len(), before - 7, "a file goes with its segment");
    let held = space.bytes_in_memory();
    log.truncate_to(log.high_watermark() - 5).unwrap();
    assert!(space.bytes_in_memory() <= held);
    assert_eq!(read_all(&log, 5_000).len() as i64, 2_995 - log.log_start());
    drop(log);
    assert_eq!((files(dir.path()).len(), space.bytes_in_memory()), (0, 0));
    let left = folder(dir.path());
    drop(space);
    assert!(!left.exists() && dir.path().join("a/b").exists());
}

#[test]
fn a_silent_log_gives_its_memory_away_at_its_upkeep() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), 16_000);
    let (mut silent, mut busy) = (spilling(&space, &[]), spilling(&space, &[]));
    while space.bytes_in_memory() < 15_800 {
        append(&mut silent, &Batch::of(2)).unwrap();
    }
    for _ in 0..100 {
        append(&mut busy, &Batch::of(5)).unwrap();
    }
    assert_eq!(spilled(&silent), 0);
    assert_eq!(spilled(&busy), busy.segments.len() - 1, "its own go first, and the active one stays");
    assert!((16_000..=17_000).contains(&space.bytes_in_memory()), "{} bytes", space.bytes_in_memory());
    let (before, last) = (silent.segments.len(), silent.high_watermark());
    silent.maintain(NOW).unwrap();
    assert_eq!((silent.segments.len(), spilled(&silent)), (before, 1), "as much as has to go");
    assert!(space.bytes_in_memory() <= 16_000);
    // Small active segments, which nothing else would ever close, may be too much together.
    let others: Vec<PartitionLog> = (0..40)
        .map(|_| {
            let mut log = spilling(&space, &[]);
            append(&mut log, &Batch::of(30)).unwrap();
            log
        })
        .collect();
    assert!(space.bytes_in_memory() > 16_000);
    let done = silent.maintain(NOW).unwrap();
    assert_eq!((done.rolled, spilled(&silent)), (1, silent.segments.len() - 1));
    assert_eq!(read_all(&silent, 700).len() as i64, last);
    assert_eq!(append(&mut silent, &Batch::of(1)), Ok((last, last, false)));
    assert!(others.iter().all(|log| read_all(log, 100).len() == 30));
}

#[test]
fn what_cannot_be_spilled_is_refused_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), 16_000);
    let mut log = spilling(&space, &[]);
    let batch = |sequence: i64| Batch::of(5).by(7, 0, sequence as i32);
    while log.size_bytes() < 20_000 {
        let next = log.high_watermark();
        append(&mut log, &batch(next)).unwrap();
    }
    let (folder, kept) = (folder(dir.path()), dir.path().join("kept"));
    fs::rename(&folder, &kept).unwrap();
    let mut stored = log.high_watermark();
    let error = loop {
        match log.append(batch(stored).bytes(), 0, NOW) {
            Ok(appended) => stored = appended.last_offset + 1,
            Err(error) => break error,
        }
    };
    let told = error.to_string();
    assert_eq!(error.code(), 56);
    assert!(told.starts_with("the log could not be written: cannot move "), "{told}");
    assert!(told.contains(folder.to_str().unwrap()) && told.contains("No such file"), "{told}");
    assert_eq!((log.high_watermark(), log.producers()[0].last_sequence), (stored, stored as i32 - 1));
    assert!(append(&mut log, &batch(stored)).is_err(), "and again");
    assert!(log.maintain(NOW).is_ok(), "upkeep has no need of room yet");
    let in_memory = log.segments[spilled(&log)].base_offset;
    let read = log.read(in_memory, 1 << 20, true, false).unwrap();
    assert_eq!(read_records(&read).len() as i64, stored - in_memory, "what is in memory is read");
    assert!(matches!(log.read(0, 1 << 20, true, false), Err(ReadError::Io(_))));
    fs::rename(&kept, &folder).unwrap();
    assert_eq!(append(&mut log, &batch(stored)), Ok((stored, stored + 4, false)));
    assert_eq!(read_all(&log, 3_000).len() as i64, stored + 5);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a file").unwrap();
    let error = SpillSpace::open(&Spill { dir: dir.path().join("a/b"), above_bytes: 1 }).unwrap_err();
    let told = format!("cannot make a folder for spilled segments in {}/a/b: ", dir.path().display());
    assert!(error.to_string().starts_with(&told), "{error}");
}

#[test]
fn spaces_in_one_folder_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (space(dir.path(), 0), space(dir.path(), 0));
    let (mut first, mut second) = (spilling(&one, &[]), spilling(&other, &[]));
    for _ in 0..3 {
        append(&mut first, &Batch::of(1)).unwrap();
        append(&mut second, &Batch::of(2)).unwrap();
    }
    drop((first, one));
    assert_eq!((read_all(&second, 100).len(), spilled(&second), files(dir.path()).len()), (6, 2, 2));
}
