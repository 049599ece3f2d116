//! Rows per CPU-second of decoding and encoding trades, beside `serde_json` parsing the same rows into a tree.
//!
//! `cargo run --release -p velostream-exec --example decode_bench [rows] [repeats] [only]`. Data is seeded and made in
//! memory; each figure is the best of the repeats, in CPU time of this process.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_buffer::Buffer;
use velostream_exec::format::{Decoded, Decoder, Encoder, SlabCursor, SlabState, infer};
use velostream_sql::plan::{Format, Repr, ScanColumn, SinkFormat, SourceConnector, SourcePlan};
use velostream_types::{Batch, Chunk, DlqId, RowMeta, Schema, Slab, SlabKind, SourceId};

const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };
const SLAB_BYTES: usize = 256 << 10;
const BATCH_ROWS: usize = 1024;

/// CPU seconds this process has used so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// A small generator of our own: the data must not depend on a crate's version.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The trades as CSV and as JSON lines.
fn trades(rows: u64) -> (Vec<u8>, Vec<u8>) {
    const VENUES: [&str; 4] = ["XNAS", "XNYS", "BATS", "ARCX"];
    let mut random = Random(7);
    let mut prices = vec![1_000_000u64; 1000];
    let mut csv = "order_id,symbol,trader_id,side,venue,price,quantity,event_time\n".to_owned();
    let mut json = String::new();
    for i in 0..rows {
        let symbol = (random.below(1000) * random.below(1000) / 1000) as usize;
        prices[symbol] = (prices[symbol] + random.below(2001)).max(1_000 + 1_000) - 1_000;
        let (trader, quantity) = (random.below(10_000), 1 + random.below(1000));
        let side = if random.below(2) == 0 { "BUY" } else { "SELL" };
        let venue = VENUES[random.below(4) as usize];
        let (price, time) = (prices[symbol], 1_700_000_000_000 + i / 10);
        let (whole, fraction) = (price / 10_000, price % 10_000);
        let _ = writeln!(csv, "{i},S{symbol:03},T{trader:04},{side},{venue},{whole}.{fraction:04},{quantity},{time}");
        let _ = writeln!(
            json,
            "{{\"order_id\":{i},\"symbol\":\"S{symbol:03}\",\"trader_id\":\"T{trader:04}\",\"side\":\"{side}\",\
             \"venue\":\"{venue}\",\"price\":{whole}.{fraction:04},\"quantity\":{quantity},\"event_time\":{time}}}"
        );
    }
    (csv.into_bytes(), json.into_bytes())
}

fn source(format: &Format, data: &[u8], read: &[&str]) -> SourcePlan {
    let schema = infer(format, &[data[..100_000].to_vec()], 1000).expect("the sample is well-formed");
    let fields = schema.fields.iter().filter(|f| read.is_empty() || read.contains(&f.name.as_str()));
    let read = fields
        .map(|f| ScanColumn {
            name: f.name.clone(),
            data_type: f.data_type.clone(),
            inferred: f.inferred,
            repr: Repr::Value,
            not_null: false,
        })
        .collect();
    SourcePlan {
        name: "trades".into(),
        connector: SourceConnector::File {
            pattern: PathBuf::new(),
            sequential: false,
            watch: false,
            poll_interval_ms: 0,
        },
        format: format.clone(),
        schema: Arc::new(schema),
        declared: false,
        read,
        event_time: None,
        table_key: None,
        needs_raw: false,
        max_record_bytes: 16 << 20,
        max_records: None,
        dlq: DlqId(0),
        load: Default::default(),
    }
}

/// Decodes everything slab by slab as the runtime does.
fn decode(plan: &SourcePlan, slabs: &Buffer, mut on: impl FnMut(Decoded)) {
    let mut decoder = Decoder::new(plan);
    let mut position = 0;
    loop {
        let length = SLAB_BYTES.min(slabs.len() - position);
        let at_end = position + length == slabs.len();
        let kind = SlabKind::Stream { at_end, position: position as u64 };
        let mut cursor = SlabCursor::new(Slab { bytes: slabs.slice_with_length(position, length), kind });
        loop {
            let decoded = decoder.decode(&mut cursor, BATCH_ROWS);
            let state = decoded.state;
            on(decoded);
            match state {
                SlabState::More => {}
                SlabState::NeedSlab { consumed, .. } => {
                    position += consumed;
                    break;
                }
                SlabState::Ended => return,
            }
        }
    }
}

/// Best rows per CPU-second of `repeats` runs.
fn measure(name: &str, rows: u64, repeats: u32, baseline: f64, mut run: impl FnMut() -> u64) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..repeats {
        let start = cpu_seconds();
        assert_eq!(run(), rows, "{name}");
        best = best.min(cpu_seconds() - start);
    }
    let rate = rows as f64 / best;
    let ratio = if baseline > 0.0 { format!("{:6.1}x", rate / baseline) } else { "   1.0x".to_owned() };
    println!("{name:<28} {:8.2} M rows/CPU-s {ratio}  {:7.1} ns/row", rate / 1e6, best * 1e9 / rows as f64);
    rate
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rows = args.next().map_or(1_000_000, |a| a.parse().expect("a number of rows"));
    let repeats = args.next().map_or(5, |a| a.parse().expect("a number of repeats"));
    let only = args.next().unwrap_or_default();
    let (csv, json) = trades(rows);
    println!("{rows} rows: CSV {} B/row, JSON {} B/row", csv.len() as u64 / rows, json.len() as u64 / rows);

    let baseline = measure("serde_json tree", rows, repeats.min(3), 0.0, || {
        let lines = json.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        lines.map(|l| u64::from(serde_json::from_slice::<serde_json::Value>(l).is_ok())).sum()
    });
    let three = ["symbol", "price", "quantity"];
    let (csv_plan, json_plan) = (source(&CSV, &csv, &[]), source(&Format::JsonLines, &json, &[]));
    let (csv_three, json_three) = (source(&CSV, &csv, &three), source(&Format::JsonLines, &json, &three));
    let (csv, json) = (Buffer::from_vec(csv), Buffer::from_vec(json));
    for (name, plan, data) in [
        ("decode CSV, 8 of 8 columns", &csv_plan, &csv),
        ("decode CSV, 3 of 8 columns", &csv_three, &csv),
        ("decode JSON, 8 of 8 columns", &json_plan, &json),
        ("decode JSON, 3 of 8 columns", &json_three, &json),
    ] {
        if !name.contains(&only) {
            continue;
        }
        measure(name, rows, repeats, baseline, || {
            let mut sum = 0;
            decode(plan, data, |d| sum += d.rows as u64);
            sum
        });
    }
    if !"encode".contains(&only) {
        return;
    }
    let mut batches = Vec::new();
    decode(&csv_plan, &csv, |d| batches.push(Batch::new(d.columns, d.rows, RowMeta::plain(SourceId(0), 0, 0))));
    encode_all(&csv_plan.schema, &batches, rows, repeats, baseline);
}

fn encode_all(schema: &Schema, batches: &[Batch], rows: u64, repeats: u32, baseline: f64) {
    for (name, format) in [
        ("encode CSV, 8 columns", SinkFormat::Csv { delimiter: b',', header: true }),
        ("encode JSON, 8 columns", SinkFormat::JsonLines),
    ] {
        let mut encoder = Encoder::new(format, schema);
        let mut chunk = Chunk::default();
        measure(name, rows, repeats, baseline, || {
            let mut sum = 0;
            for batch in batches {
                chunk.bytes.clear();
                chunk.ends.clear();
                encoder.encode(batch, &mut chunk, &mut 0);
                sum += chunk.rows() as u64;
            }
            sum
        });
    }
}
