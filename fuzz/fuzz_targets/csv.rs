//! Any bytes decode to rows and bad records, the same in one slab as in many:
//! `cargo +nightly fuzz run csv engine/exec/tests/corpus/csv`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use velostream_exec::format::infer;
use velostream_types::{DataType, Field};

#[path = "../../engine/exec/tests/partition/mod.rs"]
mod partition;

fuzz_target!(|bytes: &[u8]| {
    let format = partition::CSV;
    let mut fields = infer(&format, &[bytes.to_vec()], 100).map(|s| s.fields).unwrap_or_default();
    if fields.is_empty() {
        fields = vec![Field::new("a", DataType::String), Field::new("b", DataType::decimal(2))];
    }
    let plan = partition::source(&format, fields);
    let whole = partition::read(&plan, bytes, bytes.len().max(1), 4096);
    assert_eq!(whole, partition::read(&plan, bytes, 7, 3));
});
