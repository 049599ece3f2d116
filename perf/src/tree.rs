//! `perf tree`: the baseline. Every line of a JSONL file into a `serde_json` tree that is dropped at once: what a
//! program does that does not know its columns.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::blocks::for_each_block;

/// Parses the file and answers its number of rows.
pub fn parse_all(path: &Path) -> Result<u64> {
    let mut rows = 0;
    for_each_block(path, |block| {
        for line in block.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let tree: Value = serde_json::from_slice(line).with_context(|| format!("record {rows}"))?;
            black_box(&tree);
            rows += 1;
        }
        Ok(())
    })?;
    Ok(rows)
}
