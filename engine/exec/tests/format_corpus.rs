//! Input that once broke a decoder, or might: every file of the corpus is decoded whole, in small slabs and with
//! flipped bytes, and must give the same answer each time and never panic. Found inputs are added as files.

mod partition;

use std::path::Path;

use partition::{BARE_CSV, CSV, read, source};
use velostream_exec::format::infer;
use velostream_sql::plan::{Format, SourcePlan};
use velostream_types::{DataType, Field};

/// Decodes a file with the types of its own sample, or as text.
fn plan(format: &Format, bytes: &[u8]) -> SourcePlan {
    let fields = infer(format, &[bytes.to_vec()], 100).map(|s| s.fields).unwrap_or_default();
    let fallback = || vec![Field::new("a", DataType::String), Field::new("b", DataType::decimal(2))];
    source(format, if fields.is_empty() { fallback() } else { fields })
}

fn check(format: &Format, folder: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&path).expect("the corpus").map(|e| e.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let mut bytes = std::fs::read(&file).expect("readable");
        for limit in [16 << 20, 24] {
            let mut plan = plan(format, &bytes);
            plan.max_record_bytes = limit;
            let whole = read(&plan, &bytes, bytes.len().max(1), 4096);
            for (slab, rows) in [(1, 1), (7, 3), (64, 2), (65, 128), (1000, 1000)] {
                assert_eq!(whole, read(&plan, &bytes, slab, rows), "{} in slabs of {slab}", file.display());
            }
        }
        for at in 0..bytes.len().min(400) {
            for flip in [0x01, 0x04, 0x80] {
                bytes[at] ^= flip;
                let plan = plan(format, &bytes);
                assert_eq!(
                    read(&plan, &bytes, bytes.len(), 4096),
                    read(&plan, &bytes, 5, 3),
                    "{} at {at}",
                    file.display()
                );
                bytes[at] ^= flip;
            }
        }
    }
}

#[test]
fn csv() {
    check(&CSV, "csv");
    check(&BARE_CSV, "csv");
    check(&Format::Csv { delimiter: b'\t', quote: b'\'', header: true, skip_lines: 1 }, "csv");
}

#[test]
fn json() {
    check(&Format::JsonLines, "json");
}

#[test]
fn quotes_that_never_close_take_linear_time() {
    let bytes = "x\",\"y\n".repeat(200_000).into_bytes();
    for limit in [16 << 20, 100_000] {
        let mut plan = plan(&BARE_CSV, b"1,2\n");
        plan.max_record_bytes = limit;
        plan.needs_raw = true;
        let got = read(&plan, &bytes, 1 << 20, 4096);
        assert_eq!(got.bad.len() + got.rows.len(), 200_000);
    }
}
