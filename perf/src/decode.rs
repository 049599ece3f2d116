//! `perf decode`: the engine's decoder alone, all columns of a trades file into batches that are dropped at once. It
//! bounds every query from above; printed, never gated, because a gate on it would reward a slow decoder.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_buffer::Buffer;
use velostream_exec::format::{Decoder, SlabCursor, SlabState};
use velostream_sql::plan::{self, Repr, ScanColumn, SourceConnector, SourcePlan};
use velostream_types::{DataType, DlqId, Field, Schema, Slab, SlabKind};

use crate::generate::Format;

/// As much as the file source reads at a time.
const SLAB_BYTES: usize = 256 << 10;
/// A record that does not fit this is no trade.
const SLAB_BYTES_MAX: usize = 1 << 20;
/// Rows of a batch of `velo-sql run`.
const BATCH_ROWS: usize = 2_048;

/// Decodes the file and answers its number of rows; a bad record is an error.
pub fn decode_all(format: Format, path: &Path) -> Result<u64> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut decoder = Decoder::new(&trades(format, path));
    let (mut rows, mut position, mut room) = (0, 0, SLAB_BYTES);
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut bytes = Vec::with_capacity(room);
        bytes.append(&mut rest);
        let wanted = (room - bytes.len()) as u64;
        let read = Read::by_ref(&mut file).take(wanted).read_to_end(&mut bytes)?;
        let slab = Buffer::from_vec(bytes);
        let kind = SlabKind::Stream { at_end: (read as u64) < wanted, position };
        let mut cursor = SlabCursor::new(Slab { bytes: slab.clone(), kind });
        let consumed = loop {
            let decoded = decoder.decode(&mut cursor, BATCH_ROWS);
            if let Some(bad) = decoded.bad.first() {
                bail!("{} record {}: {}", path.display(), bad.offset, bad.error);
            }
            rows += decoded.rows as u64;
            black_box(&decoded.columns);
            match decoded.state {
                SlabState::More => (),
                SlabState::Ended => return Ok(rows),
                SlabState::NeedSlab { consumed, grow } => {
                    room = if grow { room * 2 } else { SLAB_BYTES };
                    break consumed;
                }
            }
        };
        if room > SLAB_BYTES_MAX {
            bail!("{} has a record of more than {SLAB_BYTES_MAX} bytes", path.display());
        }
        rest.extend_from_slice(&slab[consumed..]);
        position += consumed as u64;
    }
}

/// The source as a plan that reads every column would describe it.
pub fn trades(format: Format, path: &Path) -> SourcePlan {
    let columns = [
        ("order_id", DataType::Integer),
        ("symbol", DataType::String),
        ("trader_id", DataType::Integer),
        ("side", DataType::String),
        ("venue", DataType::String),
        ("price", DataType::decimal(4)),
        ("quantity", DataType::Integer),
        ("event_time", DataType::Integer),
    ];
    let field = |(name, data_type): &(&str, DataType)| Field { inferred: true, ..Field::new(*name, data_type.clone()) };
    let read = |(name, data_type): &(&str, DataType)| ScanColumn {
        name: (*name).to_owned(),
        data_type: data_type.clone(),
        inferred: true,
        repr: Repr::Value,
        not_null: false,
    };
    SourcePlan {
        name: Arc::from("trades"),
        connector: SourceConnector::File {
            pattern: path.to_owned(),
            sequential: false,
            watch: false,
            poll_interval_ms: 1_000,
        },
        format: match format {
            Format::Csv => plan::Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 },
            Format::Jsonl => plan::Format::JsonLines,
        },
        schema: Arc::new(Schema::new(columns.iter().map(field).collect())),
        declared: false,
        read: columns.iter().map(read).collect(),
        event_time: None,
        table_key: None,
        needs_raw: false,
        max_record_bytes: 16 << 20,
        max_records: None,
        dlq: DlqId(0),
        load: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Market;
    use crate::generate::{TRADES_HEADER, write_trade};
    use crate::mixed::RowShape;

    fn check(format: Format, header: &str) {
        let path =
            std::env::temp_dir().join(format!("velostream-perf-decode-{}-{}", std::process::id(), format.name()));
        let mut bytes = header.as_bytes().to_vec();
        for trade in Market::new(1).take(20_000) {
            write_trade(&mut bytes, format, &trade, &RowShape::default());
        }
        std::fs::write(&path, bytes).expect("write");
        let rows = decode_all(format, &path);
        std::fs::remove_file(&path).expect("clean up");
        assert_eq!(rows.expect("trades"), 20_000);
    }

    #[test]
    fn every_record_becomes_a_row() {
        check(Format::Csv, TRADES_HEADER);
        check(Format::Jsonl, "");
    }
}
