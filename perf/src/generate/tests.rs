//! The bytes of a seed never change: results of different days are compared with each other.

use super::*;
use crate::mixed::{Fault, Faults};

fn lines(format: Format, rows: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for trade in Market::new(seed).take(rows) {
        write_trade(&mut out, format, &trade, &RowShape::default());
    }
    out
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_first_ten_thousand_rows_are_pinned() {
    assert_eq!(hash(&lines(Format::Csv, 10_000, 1)), 5_045_136_976_359_537_989);
    assert_eq!(hash(&lines(Format::Jsonl, 10_000, 1)), 7_509_591_981_192_731_085);
}

#[test]
fn rows_have_the_widths_of_the_workload() {
    let width = |format| lines(format, 200_000, 1).len() as f64 / 200_000.0;
    assert!((49.0..53.0).contains(&width(Format::Csv)), "{}", width(Format::Csv));
    assert!((135.0..140.0).contains(&width(Format::Jsonl)), "{}", width(Format::Jsonl));
}

#[test]
fn json_rows_are_objects_with_the_fields_of_the_csv_header() {
    let text = String::from_utf8(lines(Format::Jsonl, 50, 2)).expect("text");
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let keys: Vec<&str> = value.as_object().expect("object").keys().map(String::as_str).collect();
        assert_eq!(keys.join(",") + "\n", TRADES_HEADER);
    }
}

fn spoiled(format: Format, fault: Fault) -> Vec<u8> {
    let mut line = lines(format, 1, 1);
    fault.apply(format, &mut line);
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    line
}

#[test]
fn spoiled_csv_is_bad_in_the_named_way() {
    let fields = |line: &[u8]| line.split(|b| *b == b',').count();
    assert!(fields(&spoiled(Format::Csv, Fault::Truncated)) < 8);
    assert_eq!(fields(&spoiled(Format::Csv, Fault::Trailing)), 9);
    assert!(memchr::memmem::find(&spoiled(Format::Csv, Fault::PriceIsWord), b",cheap,").is_some());
    assert!(memchr::memmem::find(&spoiled(Format::Csv, Fault::QuantityIsWord), b",some,").is_some());
    for fault in [Fault::BadUtf8Read, Fault::BadUtf8Unread] {
        let line = spoiled(Format::Csv, fault);
        assert!(std::str::from_utf8(&line).is_err() && fields(&line) == 8);
    }
}

#[test]
fn spoiled_json_is_bad_in_the_named_way() {
    let parse = |fault| serde_json::from_slice::<serde_json::Value>(&spoiled(Format::Jsonl, fault));
    for fault in [Fault::Truncated, Fault::Trailing, Fault::BadUtf8Read, Fault::BadUtf8Unread] {
        assert!(parse(fault).is_err(), "{fault:?}");
    }
    assert_eq!(parse(Fault::PriceIsWord).expect("object")["price"], "cheap");
    assert_eq!(parse(Fault::QuantityIsWord).expect("object")["quantity"], true);
}

#[test]
fn disturbed_files_hold_every_trade_once_and_list_the_bad_ones() {
    let folder = std::env::temp_dir().join(format!("velostream-perf-gen-{}", std::process::id()));
    let options = GenOptions {
        rows: 20_000,
        out: folder.clone(),
        seed: 5,
        formats: vec![Format::Csv, Format::Jsonl],
        tables: vec![Table::Trades],
        faults: Faults { bad_per_mille: 100, ..Faults::MIXED },
    };
    generate(&options).expect("generate");
    for format in [Format::Csv, Format::Jsonl] {
        let header = usize::from(format == Format::Csv);
        let mut all = 0;
        for i in 0..4 {
            let bytes = std::fs::read(folder.join(trades_name(format, i, 4))).expect("file");
            all += bytes.iter().filter(|b| **b == b'\n').count() - header;
        }
        assert_eq!(all, 20_000);
        let bad = std::fs::read(folder.join(bad_name(format))).expect("list");
        let count = bad.iter().filter(|b| **b == b'\n').count();
        assert!((1_450..1_750).contains(&count), "{count}");
    }
    std::fs::remove_dir_all(folder).expect("clean up");
}

#[test]
fn orders_are_sorted_and_precede_their_trades() {
    let folder = std::env::temp_dir().join(format!("velostream-perf-orders-{}", std::process::id()));
    let options = GenOptions {
        rows: 30_000,
        out: folder.clone(),
        seed: 5,
        formats: vec![Format::Csv],
        tables: vec![Table::Orders, Table::Traders],
        faults: Faults::NONE,
    };
    generate(&options).expect("generate");
    let text = std::fs::read_to_string(folder.join("orders.csv")).expect("orders");
    let trades: Vec<Trade> = Market::new(5).take(30_000).collect();
    let mut before = i64::MIN;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let time: i64 = fields[4].parse().expect("time");
        let trade = &trades[fields[0].parse::<usize>().expect("id") - 1];
        assert!(time >= before && (0..=500).contains(&(trade.event_time_ms - time)));
        before = time;
    }
    assert_eq!(text.lines().count(), 30_001);
    assert_eq!(std::fs::read_to_string(folder.join("traders.csv")).expect("traders").lines().count(), 10_001);
    std::fs::remove_dir_all(folder).expect("clean up");
}
