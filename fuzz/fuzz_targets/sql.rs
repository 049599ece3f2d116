//! Any text compiles to a plan or to diagnostics: `cargo +nightly fuzz run sql engine/sql/tests/corpus`.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use velostream_harness::scenario::compile_app;

fuzz_target!(|text: &str| {
    let feeds = BTreeMap::from([("trades.csv", vec![b"symbol,price,quantity\nA,1.5,3\n".to_vec()])]);
    let _ = compile_app(text, &feeds, Path::new("."));
});
