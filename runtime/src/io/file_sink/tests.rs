//! File sinks: what stands where, at every way a run can end.

use std::process::Command;

use super::*;

fn options(path: PathBuf) -> FileSinkOptions {
    let (compression, header, kept) = (Compression::None, Vec::new(), Kept::No);
    FileSinkOptions { path, append: false, follow: false, compression, header, kept }
}

fn chunk(rows: &[&str]) -> Chunk {
    let mut chunk = Chunk::default();
    for row in rows {
        chunk.bytes.extend_from_slice(row.as_bytes());
        chunk.bytes.push(b'\n');
        chunk.end_row();
    }
    chunk
}

fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(path: PathBuf) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn output_appears_by_rename() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/folder/out.csv");
    let mut sink = FileSink::open(FileSinkOptions { header: b"a,b\n".to_vec(), ..options(path.clone()) }).unwrap();
    sink.write(&chunk(&["1,2", "3,4"])).unwrap();
    sink.flush().unwrap();
    let during = listing(path.parent().unwrap());
    assert!(during.len() == 1 && during[0].starts_with(".out.csv.tmp-"), "{during:?}");
    sink.finish().unwrap();
    assert_eq!(listing(path.parent().unwrap()), ["out.csv"]);
    assert_eq!(text(path.clone()), "a,b\n1,2\n3,4\n");
    let mut sink = FileSink::open(options(path.clone())).unwrap();
    assert_eq!(text(path.clone()), "a,b\n1,2\n3,4\n", "the old file stays until the new one is complete");
    sink.finish().unwrap();
    assert_eq!(text(path), "");
}

#[test]
fn an_interrupted_run_leaves_a_partial_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let mut sink = FileSink::open(options(path)).unwrap();
    sink.write(&chunk(&["{}", "{}"])).unwrap();
    sink.interrupt().unwrap();
    sink.interrupt().unwrap();
    sink.finish().unwrap();
    assert_eq!(listing(dir.path()), ["out.jsonl.partial"]);
    assert_eq!(text(dir.path().join("out.jsonl.partial")), "{}\n{}\n");
    assert!(sink.write(&chunk(&["late"])).is_err());
}

#[test]
fn follow_and_append_write_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    std::fs::write(&path, "a\n1").unwrap();
    let header = b"a\n".to_vec();
    let append = FileSinkOptions { append: true, header: header.clone(), ..options(path.clone()) };
    let mut sink = FileSink::open(append).unwrap();
    sink.write(&chunk(&["2"])).unwrap();
    sink.interrupt().unwrap();
    assert_eq!(text(path.clone()), "a\n1\n2\n");
    let mut sink = FileSink::open(FileSinkOptions { follow: true, header, ..options(path.clone()) }).unwrap();
    sink.write(&chunk(&["7"])).unwrap();
    sink.flush().unwrap();
    assert_eq!(text(path.clone()), "a\n7\n");
    sink.write(&chunk(&["8"])).unwrap();
    sink.interrupt().unwrap();
    assert_eq!((text(path), listing(dir.path())), ("a\n7\n8\n".into(), vec!["out.csv".into()]));
}

#[test]
fn compressed_files_read_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compression) in [("out.csv.gz", Compression::Gzip), ("out.csv.zst", Compression::Zstd)] {
        let path = dir.path().join(name);
        FileSink::open(FileSinkOptions { compression, ..options(path.clone()) }).unwrap().finish().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        let mut read = String::new();
        crate::io::file_source::open(&path).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "");
        let rows: Vec<String> = (0..200_000).map(|i| format!("{i},{}", i * 7)).collect();
        for append in [false, true] {
            let mut sink = FileSink::open(FileSinkOptions { compression, append, ..options(path.clone()) }).unwrap();
            for rows in rows.chunks(1000) {
                sink.write(&chunk(&rows.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
            }
            sink.finish().unwrap();
        }
        let mut read = String::new();
        crate::io::file_source::open(&path).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read.lines().count(), 400_000);
        assert!(read == format!("{}\n", rows.join("\n")).repeat(2), "{name}");
    }
}

#[test]
fn a_device_that_is_full_is_named() {
    let mut sink = FileSink::open(options("/dev/full".into())).unwrap();
    sink.write(&chunk(&["1"])).unwrap();
    let error = sink.finish().unwrap_err();
    assert!(error.message.contains("/dev/full") && error.message.contains("No space left"), "{error}");
    assert!(Path::new("/dev/full").exists());
    assert!(FileSink::open(options("/".into())).is_err() && FileSink::open(options("/dev".into())).is_err());
}

/// Runs `child` below under a file-size limit of `kib` KiB, in a process of its own.
fn limited(folder: &Path, compression: &str, kib: usize) -> String {
    let script =
        r#"trap "" XFSZ; ulimit -f "$VELO_TEST_KIB"; exec "$0" --exact io::file_sink::tests::child --nocapture"#;
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("VELO_TEST_KIB", kib.to_string())
        .envs([("VELO_TEST_FOLDER", folder.as_os_str()), ("VELO_TEST_COMPRESSION", compression.as_ref())])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Body of the process that `limited` starts under its file-size limit; started as a test of its own it has no folder
/// and nothing to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os("VELO_TEST_FOLDER").map(PathBuf::from) else { return };
    let gzip = std::env::var("VELO_TEST_COMPRESSION").unwrap() == "gzip";
    let compression = if gzip { Compression::Gzip } else { Compression::None };
    let header = b"n,\"quoted\nname\"\n".to_vec();
    let mut sink = FileSink::open(FileSinkOptions { compression, header, ..options(folder.join("out.csv")) }).unwrap();
    let mut state = 1u64;
    let mut outcome = Ok(());
    for n in 0..200_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        outcome = sink.write(&chunk(&[&format!("{n},\"{state}\n{state}\"")]));
        if outcome.is_err() {
            break;
        }
    }
    println!("message: {}", outcome.and_then(|()| sink.finish()).unwrap_err());
    assert!(sink.interrupt().is_ok());
}

#[test]
fn a_full_disk_keeps_whole_rows() {
    for (compression, kib) in [("none", 100), ("gzip", 1000)] {
        let dir = tempfile::tempdir().unwrap();
        let output = limited(dir.path(), compression, kib);
        let message = output.lines().find(|line| line.contains("message: ")).unwrap_or(&output);
        assert!(message.contains("out.csv: File too large") && message.contains("out.csv.partial keeps"), "{output}");
        assert_eq!(listing(dir.path()), ["out.csv.partial"], "{output}");
        let stored = std::fs::read(dir.path().join("out.csv.partial")).unwrap();
        let mut read = String::new();
        match compression {
            "gzip" => flate2::read::MultiGzDecoder::new(&stored[..]).read_to_string(&mut read).map(drop).unwrap(),
            _ => read.push_str(std::str::from_utf8(&stored).unwrap()),
        }
        let rows = if read.is_empty() { 0 } else { read.lines().count() / 2 - 1 };
        assert!(message.contains(&format!("the {rows} whole rows")), "{message}, file has {rows}");
        assert!(read.is_empty() || read.ends_with("\"\n"));
        assert!(rows > 1000 && stored.len() <= kib << 10, "{rows} rows, {} bytes", stored.len());
        assert!(compression == "gzip" || stored.len() > (kib << 10) - 100, "{} bytes", stored.len());
    }
}

#[test]
fn a_restart_cuts_back_to_what_a_checkpoint_knows() {
    for (compression, name) in [(Compression::None, "out.csv"), (Compression::Gzip, "out.csv.gz")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let kept = |kept| FileSinkOptions { compression, header: b"a\n".to_vec(), kept, ..options(path.clone()) };
        let mut sink = FileSink::open(kept(Kept::New)).unwrap();
        sink.write(&chunk(&["1", "2"])).unwrap();
        sink.mark(1).unwrap();
        let known = sink.position().unwrap();
        assert_eq!((known.bytes, known.rows), (partial_path(&path).metadata().unwrap().len(), 2));
        sink.write(&chunk(&["not known"])).unwrap();
        sink.mark(2).unwrap();
        assert!(sink.position().unwrap().bytes > known.bytes);
        // The process ends here.
        drop(sink);
        let mut sink = FileSink::open(kept(Kept::At(known.bytes))).unwrap();
        sink.write(&chunk(&["3"])).unwrap();
        sink.finish().unwrap();
        assert_eq!(listing(dir.path()), [format!("{name}.partial")], "names come when the run is complete");
        std::fs::rename(partial_path(&path), &path).unwrap();
        let mut read = String::new();
        crate::io::file_source::open(&path).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "a\n1\n2\n3\n");
        for (at, word) in [(5, "is gone"), (0, "")] {
            let found = FileSink::open(kept(Kept::At(at))).err().map_or(String::new(), |error| error.message);
            assert!(found.contains(word) && found.is_empty() == word.is_empty(), "{found}");
        }
        std::fs::write(partial_path(&path), "a\n").unwrap();
        let short = FileSink::open(kept(Kept::At(5))).err().unwrap().message;
        assert!(short.contains("has 2 bytes"), "{short}");
    }
}
