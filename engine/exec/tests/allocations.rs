//! Allocations per batch in steady state: none per row, at most three per column.
//!
//! Run on real decoders and encoders, fed with one slab of eight batches.

mod counting;
mod partition;

use std::fmt::Write;

use arrow_buffer::Buffer;
use counting::counted;
use partition::{CSV, source};
use velostream_exec::format::{Decoder, Encoder, SlabCursor, SlabState};
use velostream_sql::plan::{Format, SinkFormat};
use velostream_types::{Batch, Chunk, DataType, Field, RowMeta, Slab, SlabKind, SourceId};

const ROWS: usize = 1024;
const COLUMNS: usize = 5;

fn fields() -> Vec<Field> {
    let types = [DataType::Integer, DataType::String, DataType::decimal(4), DataType::Float, DataType::Timestamp];
    let names = ["id", "symbol", "price", "ratio", "time"];
    names.iter().zip(types).map(|(n, t)| Field { inferred: true, ..Field::new(*n, t) }).collect()
}

fn data(format: &Format, rows: usize) -> Vec<u8> {
    let mut text = if *format == CSV { "id,symbol,price,ratio,time\n".to_owned() } else { String::new() };
    for i in 0..rows {
        let (symbol, price, time) = (format!("SYMBOL-{i}-{i}"), format!("{i}.{:04}", i % 10_000), 1_700_000_000_000u64);
        let _ = match format {
            Format::JsonLines => {
                writeln!(text, "{{\"id\":{i},\"symbol\":\"{symbol}\",\"price\":{price},\"ratio\":0.5,\"time\":{time}}}")
            }
            Format::Raw(_) => writeln!(text, "{symbol}"),
            Format::Csv { .. } => writeln!(text, "{i},{symbol},{price},0.5,{time}"),
        };
    }
    text.into_bytes()
}

fn check(format: &Format) {
    let mut plan = source(format, fields());
    plan.needs_raw = false;
    let slab =
        Slab { bytes: Buffer::from_vec(data(format, 8 * ROWS)), kind: SlabKind::Stream { at_end: true, position: 0 } };
    let mut cursor = SlabCursor::new(slab);
    let mut decoder = Decoder::new(&plan);
    let mut encoder = Encoder::new(SinkFormat::JsonLines, &plan.schema);
    let mut chunk = Chunk::default();
    let mut batches = 0;
    loop {
        let before = counted().0;
        let got = decoder.decode(&mut cursor, ROWS);
        let decoding = counted().0 - before;
        assert!(got.bad.is_empty());
        let (rows, state) = (got.rows, got.state);
        let batch = Batch::new(got.columns, rows, RowMeta::plain(SourceId(0), 0, 0));
        let before = counted().0;
        chunk.bytes.clear();
        chunk.ends.clear();
        encoder.encode(&batch, &mut chunk, &mut 0);
        let encoding = counted().0 - before;
        // The first batches size the buffers.
        if batches >= 2 && rows == ROWS {
            assert!(decoding <= 3 * COLUMNS + 2, "{decoding} allocations to decode {rows} rows");
            assert!(encoding <= 1, "{encoding} allocations to encode {rows} rows");
        }
        batches += usize::from(rows == ROWS);
        if state == SlabState::Ended {
            break;
        }
    }
    assert_eq!(batches, 8);
}

#[test]
fn decoding_and_encoding_allocate_per_batch_only() {
    check(&CSV);
    check(&Format::JsonLines);
}
