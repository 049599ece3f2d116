//! The journal survives being cut at any byte, says the same after it was rewritten, and refuses what it cannot read.

use std::path::PathBuf;

use super::file::{frames, read};
use super::*;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("velo-journal-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn topic(name: &str) -> JournalEntry {
    JournalEntry::Topic(TopicRecord {
        id: [7; 16],
        name: name.into(),
        partitions: vec![PartitionRecord { leader: 1, epoch: 4 }, PartitionRecord { leader: 2, epoch: 0 }],
        replication: 1,
        config: vec![("cleanup.policy".into(), "compact".into())],
    })
}

fn offsets(group: &str, offset: i64) -> JournalEntry {
    let one = OffsetCommit { topic: "t".into(), partition: 0, offset, leader_epoch: 2, metadata: "m".repeat(100) };
    JournalEntry::Offsets { group: group.into(), commit_ms: 5, offsets: vec![one] }
}

/// Every kind of entry, and the life of random groups and transactions.
fn entries() -> Vec<JournalEntry> {
    let mut entries = vec![JournalEntry::Cluster("c".into()), topic("a"), topic("b"), offsets("solo", 3)];
    entries.extend(crate::group::tests_random::random_run(11, 120).0);
    entries.extend(crate::txn::tests::random_run(11).into_iter().take(60));
    entries.extend([JournalEntry::TopicDeleted("a".into()), JournalEntry::TxnDeleted("x".into())]);
    entries.push(JournalEntry::GroupDeleted("solo".into()));
    entries
}

fn file_of(entries: &[JournalEntry]) -> Vec<u8> {
    [b"velojnl1".to_vec(), frames(entries).unwrap()].concat()
}

#[test]
fn every_entry_comes_back() {
    let entries = entries();
    for entry in &entries {
        let mut bytes = Vec::new();
        codec::encode(entry, &mut bytes);
        assert_eq!(codec::decode(&bytes).as_ref(), Some(entry));
        assert_eq!(codec::decode(&bytes[..bytes.len() - 1]), None, "cut short");
        bytes.push(0);
        assert_eq!(codec::decode(&bytes), None, "too long");
    }
}

#[test]
fn garbage_is_no_entry_and_reserves_nothing() {
    for tag in 0..=255u8 {
        for filler in [0x00, 0x7f, 0xff] {
            let mut bytes = vec![tag];
            bytes.extend([filler; 60]);
            // Whatever it is, it ends at once.
            let _ = codec::decode(&bytes);
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_holds_all_whole_entries() {
    let entries = entries();
    let bytes = file_of(&entries);
    let mut image = Image::default();
    let mut wanted = image.entries();
    let (mut whole, mut at) = (0, 0);
    for cut in 0..=bytes.len() {
        let next = file_of(&entries[at..(at + 1).min(entries.len())]).len() - 8;
        if cut == 8 {
            whole = 8;
        } else if whole > 0 && at < entries.len() && cut == whole + next {
            image.apply(&entries[at]);
            wanted = image.entries();
            whole = cut;
            at += 1;
        }
        let (found, end) = read(&bytes[..cut]).unwrap();
        assert_eq!(end, whole, "cut at {cut}");
        // The content only changes at an entry's end; before the next one a look per entry is enough.
        if cut == whole || cut + 1 == whole + next {
            assert_eq!(found.entries(), wanted, "cut at {cut}");
        }
    }
    assert_eq!((at, whole), (entries.len(), bytes.len()));
}

#[test]
fn a_flipped_bit_ends_the_file_there() {
    let entries = [offsets("g", 1), offsets("g", 2), offsets("g", 3)];
    let first = file_of(&entries[..1]).len();
    let second = file_of(&entries[..2]).len();
    for at in first..second {
        let mut bytes = file_of(&entries);
        bytes[at] ^= 0x10;
        assert_eq!(read(&bytes).unwrap().1, first, "byte {at}");
    }
}

#[test]
fn zeroes_at_the_end_are_a_torn_tail() {
    let whole = file_of(&[offsets("g", 1)]);
    for zeroes in [1, 8, 100] {
        let bytes = [whole.clone(), vec![0; zeroes]].concat();
        assert_eq!(read(&bytes).unwrap().1, whole.len(), "{zeroes}");
    }
}

#[test]
fn the_image_said_again_is_the_same_image() {
    let entries = entries();
    for end in 0..entries.len() {
        let live = Image::of(&entries[..end]).entries();
        assert_eq!(Image::of(&live).entries(), live, "after {end}");
    }
}

#[test]
fn reopening_cuts_the_tail_and_goes_on() {
    let folder = Folder::new("reopen");
    let (mut journal, found) = Journal::open(Some(&folder.file())).unwrap();
    assert_eq!(found, []);
    journal.append(&[topic("a"), offsets("g", 1)]).unwrap();
    drop(journal);
    let whole = std::fs::read(folder.file()).unwrap();
    let long = frames(&[offsets(&"g".repeat(500), 1)]).unwrap();
    let tail = &long[..long.len() - 1];
    std::fs::write(folder.file(), [&whole, tail].concat()).unwrap();
    let (mut journal, found) = Journal::open(Some(&folder.file())).unwrap();
    assert_eq!((found, journal.cut_bytes()), (vec![topic("a"), offsets("g", 1)], tail.len() as u64));
    assert_eq!(std::fs::read(folder.0.join("journal.cut")).unwrap(), tail);
    journal.append(&[offsets("g", 2)]).unwrap();
    let (journal, found) = Journal::open(Some(&folder.file())).unwrap();
    assert_eq!(
        (found, journal.cut_bytes()),
        (vec![topic("a"), offsets("g", 2)], 0),
        "before any drop: it is in the file"
    );
}

#[test]
fn a_file_of_old_entries_is_rewritten() {
    let folder = Folder::new("rewrite");
    let (mut journal, _) = Journal::open(Some(&folder.file())).unwrap();
    journal.append(&[topic("a")]).unwrap();
    let (mut written, mut longest) = (0, 0);
    for offset in 0..30_000 {
        let entries = [offsets(&format!("g{}", offset % 7), offset)];
        written += frames(&entries).unwrap().len() as u64;
        journal.append(&entries).unwrap();
        longest = longest.max(std::fs::metadata(folder.file()).unwrap().len());
    }
    assert!(written > 4 << 20 && longest <= (1 << 20) + 200, "{longest} of {written} bytes");
    let (mut again, found) = Journal::open(Some(&folder.file())).unwrap();
    assert_eq!((found.len(), &found[0], found.contains(&offsets("g4", 29_998))), (8, &topic("a"), false));
    let last: Vec<i64> = (29_993..30_000).collect();
    assert!(last.iter().all(|o| found.contains(&offsets(&format!("g{}", o % 7), *o))), "the last of each group");
    again.append(&[offsets("g0", 1)]).unwrap();
    assert!(!folder.0.join("journal.new").exists());
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let folder = Folder::new("foreign");
    let check = |bytes: &[u8], want: &str| {
        std::fs::write(folder.file(), bytes).unwrap();
        let error = Journal::open(Some(&folder.file())).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains("journal"), "{error}");
        assert_eq!(std::fs::read(folder.file()).unwrap(), bytes, "untouched");
    };
    check(b"a text of somebody else", "not a journal of this version");
    let mut unknown = file_of(&[JournalEntry::ProducerIds(5)]);
    let payload = unknown.len() - 9;
    unknown[payload] = 200;
    let crc = crc32c::crc32c(&unknown[payload..]);
    unknown[payload - 4..payload].copy_from_slice(&crc.to_le_bytes());
    check(&unknown, "the entry at byte 8");
    let missing = folder.0.join("missing/journal");
    assert!(Journal::open(Some(&missing)).unwrap_err().to_string().contains("missing/journal"), "the path is told");
}

#[test]
fn without_a_path_nothing_is_kept() {
    let (mut journal, _) = Journal::open(None).unwrap();
    journal.append(&entries()).unwrap();
    journal.flush().unwrap();
}
