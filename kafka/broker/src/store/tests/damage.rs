//! Files that were cut or changed behind the log's back: it opens with a prefix of whole batches, and goes on from there.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const SETTINGS: &[(&str, &str)] = &[("segment.bytes", "450"), ("index.interval.bytes", "100")];

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("p")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to.join("p"));
    fs::create_dir_all(to.join("p")).unwrap();
    for path in files(from) {
        fs::copy(&path, to.join("p").join(path.file_name().unwrap())).unwrap();
    }
}

/// A log of several segments, the last not checkpointed.
fn build(dir: &Path) -> Vec<Rec> {
    let mut log = in_dir(dir, SETTINGS);
    for i in 0..8 {
        let mut batch = Batch::of(2).by(7, 0, 2 * i).in_transaction();
        batch.codec = [0, 4, 2][i as usize % 3];
        append(&mut log, &batch).unwrap();
        append(&mut log, &Batch::of(1)).unwrap();
        if i % 3 == 1 {
            log.end_transaction(7, 0, 0, i < 5, 0, NOW).unwrap();
        }
    }
    read_all(&log, 500)
}

fn last_log(dir: &Path) -> PathBuf {
    files(dir).into_iter().rfind(|p| p.extension().is_some_and(|e| e == "log")).unwrap()
}

/// Opens and checks that it holds a prefix of `all` and can be written and opened again.
fn check_prefix(dir: &Path, all: &[Rec], what: &str) -> usize {
    let (mut log, recovered) = PartitionLog::open(Storage::Dir(dir.join("p")), config(SETTINGS), NOW).unwrap();
    let left = read_all(&log, 500);
    assert_eq!(left, all[..left.len()], "{what}");
    assert_eq!(log.high_watermark(), left.len() as i64, "{what}");
    assert_eq!(recovered.cut_bytes == 0, left.len() == all.len(), "{what}: {recovered:?}");
    let end = log.high_watermark();
    assert_eq!(append(&mut log, &Batch::of(3)), Ok((end, end + 2, false)), "{what}");
    let again = in_dir(dir, SETTINGS);
    assert_eq!((again.high_watermark(), again.last_stable()), (end + 3, log.last_stable()), "{what}");
    assert_eq!(again.producers(), log.producers(), "{what}");
    left.len()
}

#[test]
fn a_tail_cut_anywhere_leaves_whole_batches() {
    let (original, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = build(original.path());
    let full = fs::metadata(last_log(original.path())).unwrap().len();
    let mut lengths = Vec::new();
    for cut in 0..full {
        copy(original.path(), copied.path());
        fs::OpenOptions::new().write(true).open(last_log(copied.path())).unwrap().set_len(cut).unwrap();
        let (dir, what) = (copied.path(), format!("cut at {cut}"));
        let (log, _) = PartitionLog::open(Storage::Dir(dir.join("p")), config(SETTINGS), NOW).unwrap();
        let left = read_all(&log, 500);
        assert_eq!(left, all[..left.len()], "{what}");
        assert_eq!(log.high_watermark(), left.len() as i64, "{what}");
        lengths.push(left.len());
    }
    assert!(lengths.is_sorted() && lengths.len() > 150);
    lengths.dedup();
    assert!(lengths.len() >= 3, "the cut went through several batches: {lengths:?}");
}

#[test]
fn a_changed_byte_in_the_tail_leaves_whole_batches() {
    let (original, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = build(original.path());
    let bytes = fs::read(last_log(original.path())).unwrap();
    for at in (0..bytes.len()).filter(|at| !(12..16).contains(&(at % 1_000))) {
        copy(original.path(), copied.path());
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(last_log(copied.path()), &changed).unwrap();
        check_prefix(copied.path(), &all, &format!("byte {at}"));
    }
}

#[test]
fn without_a_checkpoint_everything_is_read_and_the_first_damage_ends_the_log() {
    let (original, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = build(original.path());
    let first = |dir: &Path| files(dir).into_iter().find(|p| p.extension().is_some_and(|e| e == "log")).unwrap();
    let bytes = fs::read(first(original.path())).unwrap();
    for at in (0..bytes.len()).step_by(3) {
        copy(original.path(), copied.path());
        fs::remove_file(copied.path().join("p/checkpoint")).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(first(copied.path()), &changed).unwrap();
        check_prefix(copied.path(), &all, &format!("byte {at}"));
    }
}

#[test]
fn small_files_that_are_damaged_are_rebuilt() {
    let (original, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = build(original.path());
    let small = |p: &PathBuf| p.extension().is_none_or(|e| e != "log");
    let names: Vec<PathBuf> = files(original.path()).into_iter().filter(small).collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let bytes = fs::read(&name).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            copy(original.path(), copied.path());
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            fs::write(copied.path().join("p").join(name.file_name().unwrap()), &changed).unwrap();
            let left = check_prefix(copied.path(), &all, &format!("{name:?} byte {at}"));
            assert_eq!(left, all.len());
        }
    }
}

#[test]
fn a_failed_disk_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = in_dir(dir.path(), SETTINGS);
    for _ in 0..8 {
        append(&mut log, &Batch::of(2)).unwrap();
    }
    fs::remove_dir_all(dir.path().join("p")).unwrap();
    assert!(matches!(log.read(0, 1_000, true, false), Err(ReadError::Io(_))));
    let mut last = Ok(());
    for _ in 0..6 {
        last = append(&mut log, &Batch::of(2)).map(drop);
    }
    assert_eq!(last, Err(56));
}

#[test]
fn compaction_leaves_a_damaged_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [SETTINGS, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")]].concat();
    let mut log = in_dir(dir.path(), &settings);
    for _ in 0..20 {
        append(&mut log, &Batch::of(2)).unwrap();
    }
    let first = dir.path().join("p").join(format!("{:020}.log", 0));
    let bytes = fs::read(&first).unwrap();
    let size = Batch::of(2).bytes().len();
    // In the records of the first batch; in the offset of the second, which no checksum covers.
    for at in [80, size + 2] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&first, &changed).unwrap();
        assert_eq!(log.maintain(NOW).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(fs::read(&first).unwrap(), changed);
    }
    assert!(log.read(0, 1_000, true, false).is_err(), "an offset out of order is not handed out");
    let (opened, recovered) = PartitionLog::open(Storage::Dir(dir.path().join("p")), config(&settings), NOW).unwrap();
    assert_eq!((opened.high_watermark(), recovered.cut_bytes), (40, 0));
}
