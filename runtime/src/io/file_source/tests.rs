//! File partitions: every byte exactly once, in order, whatever the slab size and the decoder's appetite.

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// Reads to the end, using what `appetite` says of each slab; gives the bytes used and the largest slab.
fn read_all(source: &mut FileSource, mut appetite: impl FnMut(usize, bool) -> usize) -> (Vec<u8>, usize) {
    let (mut out, mut consumed, mut grow, mut largest) = (Vec::new(), 0, false, 0);
    loop {
        match source.poll(consumed, grow).unwrap() {
            SourcePoll::End => return (out, largest),
            SourcePoll::Pending | SourcePoll::Behind => panic!("a bounded file has no pause"),
            SourcePoll::Slab(slab) => {
                let SlabKind::Stream { at_end, position } = slab.kind else { panic!("a file gives streams") };
                assert_eq!(position, out.len() as u64);
                largest = largest.max(slab.bytes.len());
                consumed =
                    if at_end { slab.bytes.len() } else { appetite(slab.bytes.len(), at_end).min(slab.bytes.len()) };
                grow = consumed == 0;
                out.extend_from_slice(&slab.bytes[..consumed]);
            }
        }
    }
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_byte_once(len in 0usize..5000, slab in 16usize..700, used in prop::collection::vec(0usize..600, 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
        let mut source = FileSource::new(vec![file(&dir, "a", &bytes)], Format::JsonLines, false, slab).unwrap();
        let mut turn = 0;
        let (read, _) = read_all(&mut source, |_, _| { turn += 1; used[turn % used.len()] });
        prop_assert_eq!(read, bytes);
    }
}

#[test]
fn formats_and_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..100_000u32).flat_map(|i| i.to_string().into_bytes()).collect();
    let members = [gz(&bytes[..5000]), gz(&bytes[5000..])].concat();
    let mut none =
        FileSource::new(vec![file(&dir, "none.gz", b""), file(&dir, "none", b"")], Format::JsonLines, false, 64)
            .unwrap();
    assert!(matches!(none.poll(0, false), Ok(SourcePoll::End)));
    let zst = zstd::encode_all(&bytes[..], 1).unwrap();
    for (name, stored) in [("a.csv", bytes.clone()), ("a.csv.gz", members), ("a.csv.zst", zst)] {
        let path = file(&dir, name, &stored);
        let mut source = FileSource::new(vec![path], Format::JsonLines, false, 16 << 10).unwrap();
        assert!(read_all(&mut source, |n, _| n).0 == bytes, "{name}");
    }
}

#[test]
fn files_in_sequence_are_one_stream() {
    let csv = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 1 };
    let parts: [&[u8]; 5] =
        [b"#1\na,b\n1,2", b"", b"\xef\xbb\xbf#2\n\"a\n\",b\n3,4\n", b"#3\na,b\n", b"#4\r\na,b\r\n5,6\r\n"];
    let lines: [&[u8]; 3] = [b"{}", b"\xef\xbb\xbf[]", b"{}\n"];
    let check = |format: Format, parts: &[&[u8]], slab, expect: &str| {
        let dir = tempfile::tempdir().unwrap();
        let files = parts.iter().enumerate().map(|(i, part)| file(&dir, &format!("{i}.part"), part)).collect();
        let mut source = FileSource::new(files, format, false, slab).unwrap();
        assert_eq!(String::from_utf8_lossy(&read_all(&mut source, |n, _| n).0), expect, "slab {slab}");
    };
    for slab in [4, 7, 64, 1024] {
        check(csv.clone(), &parts, slab, "#1\na,b\n1,2\n3,4\n5,6\r\n");
    }
    check(Format::JsonLines, &lines, 64, "{}\n[]\n{}\n");
}

#[test]
fn the_last_slab_is_marked_even_when_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = FileSource::new(vec![file(&dir, "a", &[7; 64])], Format::JsonLines, false, 64).unwrap();
    let mut next = || match source.poll(64, false).unwrap() {
        SourcePoll::Slab(Slab { bytes, kind: SlabKind::Stream { at_end, position } }) => {
            (bytes.len(), at_end, position)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((next(), next()), ((64, false, 0), (0, true, 64)));
    assert!(matches!(source.poll(0, false), Ok(SourcePoll::End)));
}

#[test]
fn slabs_grow_for_a_long_record_and_shrink_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a", &vec![7; 100_000]);
    let mut source = FileSource::new(vec![path], Format::JsonLines, false, 1024).unwrap();
    let mut long = true;
    let (read, largest) = read_all(&mut source, |n, _| {
        long = long && n < 20_000;
        if long { 0 } else { n }
    });
    assert_eq!((read.len(), largest), (100_000, 32 << 10));
    assert!(source.pool.iter().all(|b| b.len() <= 32 << 10));
    assert_eq!((slab_bytes(1), slab_bytes(128), slab_bytes(100_000)), (256 << 10, 128 << 10, 16 << 10));
}

#[test]
fn buffers_are_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a", &vec![7; 1 << 20]);
    let mut source = FileSource::new(vec![path], Format::JsonLines, false, 4096).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut consumed = 0;
    while let SourcePoll::Slab(slab) = source.poll(consumed, false).unwrap() {
        seen.insert(slab.bytes.as_ptr() as usize);
        consumed = slab.bytes.len();
    }
    assert!(seen.len() <= POOL, "{} buffers", seen.len());
}

#[test]
fn a_watched_file_goes_on_and_must_not_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "log", b"one\ntw");
    let mut source = FileSource::new(vec![path.clone()], Format::JsonLines, true, 64).unwrap();
    let mut consumed = 0;
    let mut next = |consumed: &mut usize| match source.poll(std::mem::take(consumed), false) {
        Ok(SourcePoll::Slab(slab)) => {
            assert!(matches!(slab.kind, SlabKind::Stream { at_end: false, .. }));
            String::from_utf8(slab.bytes.to_vec()).unwrap()
        }
        Ok(other) => format!("{other:?}"),
        Err(fatal) => fatal.message,
    };
    assert_eq!(next(&mut consumed), "one\ntw");
    consumed = 4;
    assert_eq!(next(&mut consumed), "Pending");
    assert_eq!(next(&mut consumed), "Pending");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"o\nthree\n").unwrap();
    assert_eq!(next(&mut consumed), "two\nthree\n");
    std::fs::write(&path, b"new").unwrap();
    assert!(next(&mut consumed).contains("was truncated"));
    assert!(FileSource::new(vec!["a.gz".into()], Format::JsonLines, true, 64).is_err());
}

#[test]
fn broken_environments_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let cut = gz(&[9; 10_000]);
    for (path, expect) in [
        (dir.path().join("none.csv"), "cannot read"),
        (dir.path().to_path_buf(), "directory"),
        (file(&dir, "cut.csv.gz", &cut[..cut.len() / 2]), "decompressed byte"),
        (file(&dir, "no.csv.zst", b"this is no zstd frame"), "decompressed byte"),
    ] {
        let mut source = FileSource::new(vec![path.clone()], Format::JsonLines, false, 1 << 20).unwrap();
        let error = source.poll(0, false).unwrap_err();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.message.contains(name) && error.message.contains(expect), "{error}");
    }
}

#[test]
fn a_source_goes_on_anywhere_in_its_stream() {
    let dir = tempfile::tempdir().unwrap();
    let csv = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };
    let (one, two): (&[u8], &[u8]) = (b"a,b\n1,2\n3,4", b"a,b\n5,6\n");
    let plain = vec![file(&dir, "1", one), file(&dir, "2", two)];
    let packed = vec![file(&dir, "1.gz", &gz(one)), file(&dir, "2.gz", &gz(two))];
    let whole = b"a,b\n1,2\n3,4\n5,6\n";
    for files in [plain, packed] {
        for from in 0..=whole.len() as u64 {
            let source = FileSource::new(files.clone(), csv.clone(), false, 8).unwrap();
            let mut source = source.starting_at(from).unwrap();
            let mut rest = Vec::new();
            let mut consumed = 0;
            while let SourcePoll::Slab(slab) = source.poll(consumed, false).unwrap() {
                let SlabKind::Stream { position, .. } = slab.kind else { panic!("a file gives streams") };
                assert_eq!(position, from + rest.len() as u64);
                rest.extend_from_slice(&slab.bytes);
                consumed = slab.bytes.len();
            }
            assert_eq!(rest, whole[from as usize..], "from {from}");
        }
        let beyond = FileSource::new(files, csv.clone(), false, 8).unwrap().starting_at(99).err().unwrap().message;
        assert!(beyond.contains("was read up to byte 99"), "{beyond}");
    }
}
