//! What real feeds do wrong, decided per trade from a random stream of its own: disorder inside and beyond the
//! watermark's bound, storage that has to widen in mid-stream, and records that must be refused.
//!
//! Rates: one trade in 200 comes late beyond the bound; behind `widen_at` one price in 8 has six digits, one quantity
//! in 16 a fraction and one order id in 4,096 exceeds 64 bits. The first records of every file are clean because
//! column types are inferred from them.

use crate::data::Rng;
use crate::generate::Format;

/// Records at the head of each file that stay clean: the inference sample is at most 1,000 records of a partition.
pub const CLEAN_RECORDS: u64 = 1_000;
/// A late trade is late by at most this much beyond the bound, ms.
const LATE_MS_MAX: u64 = 5_000;
/// One trade in this many is late.
const LATE_ONE_IN: u64 = 200;

/// What to do to the trades.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Files, dealt round-robin; each is a partition.
    pub files: usize,
    /// Most trades are at most this late, ms: the watermark's bound. 0: in order.
    pub disorder_ms: u64,
    /// Bad records per 1,000.
    pub bad_per_mille: u64,
    /// Storage widens behind this share of the rows; 1 and above: never.
    pub widen_at: f64,
}

impl Faults {
    /// One clean file.
    pub const NONE: Faults = Faults { files: 1, disorder_ms: 0, bad_per_mille: 0, widen_at: 1.0 };

    /// The input of the correctness run: four files, 200 ms of disorder, 1 % bad records, the last third wider.
    pub const MIXED: Faults = Faults { files: 4, disorder_ms: 200, bad_per_mille: 10, widen_at: 0.67 };
}

/// How one trade is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowShape {
    /// Event time is this much earlier, ms.
    pub delay_ms: i64,
    /// Fifth and sixth digit of the price.
    pub price_digits: Option<u64>,
    /// First digit after the quantity's point.
    pub quantity_tenths: Option<u64>,
    /// An order id beyond 64 bits.
    pub wide_order_id: Option<i128>,
    /// The record is spoiled.
    pub fault: Option<Fault>,
}

/// Ways to spoil a record. Each makes it bad for W1, W2 and W3 alike, in both formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line ends in the middle.
    Truncated,
    /// Something stands behind the record.
    Trailing,
    /// The price is a word.
    PriceIsWord,
    /// The quantity is a word.
    QuantityIsWord,
    /// A byte that is no UTF-8 in a column the workloads read.
    BadUtf8Read,
    /// A byte that is no UTF-8 in a column they do not read.
    BadUtf8Unread,
}

impl Fault {
    const ALL: [Fault; 6] = [
        Fault::Truncated,
        Fault::Trailing,
        Fault::PriceIsWord,
        Fault::QuantityIsWord,
        Fault::BadUtf8Read,
        Fault::BadUtf8Unread,
    ];

    /// Name in the list of bad records.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Truncated => "truncated",
            Fault::Trailing => "trailing",
            Fault::PriceIsWord => "price_is_word",
            Fault::QuantityIsWord => "quantity_is_word",
            Fault::BadUtf8Read => "bad_utf8_read",
            Fault::BadUtf8Unread => "bad_utf8_unread",
        }
    }

    /// Spoils the line (with its newline).
    pub fn apply(self, format: Format, line: &mut Vec<u8>) {
        match (self, format) {
            (Fault::Truncated, _) => {
                // Inside the price: fields are missing in CSV, the object is open in JSON.
                let (start, _) = field(format, line, 5, "price");
                line.truncate(start + 2);
                line.push(b'\n');
            }
            (Fault::Trailing, Format::Csv) => replace_end(line, b",7\n"),
            (Fault::Trailing, Format::Jsonl) => replace_end(line, b" 7\n"),
            (Fault::PriceIsWord, Format::Csv) => replace_field(format, line, 5, "price", b"cheap"),
            (Fault::PriceIsWord, Format::Jsonl) => replace_field(format, line, 5, "price", b"\"cheap\""),
            (Fault::QuantityIsWord, Format::Csv) => replace_field(format, line, 6, "quantity", b"some"),
            (Fault::QuantityIsWord, Format::Jsonl) => replace_field(format, line, 6, "quantity", b"true"),
            (Fault::BadUtf8Read, _) => spoil_byte(format, line, 1, "symbol"),
            (Fault::BadUtf8Unread, _) => spoil_byte(format, line, 4, "venue"),
        }
    }
}

/// Byte range of one field's value as written.
fn field(format: Format, line: &[u8], index: usize, name: &str) -> (usize, usize) {
    let start = match format {
        Format::Csv => {
            let mut commas = line.iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at + 1);
            if index == 0 { 0 } else { commas.nth(index - 1).unwrap_or(line.len()) }
        }
        Format::Jsonl => {
            let key = format!("\"{name}\":");
            memchr::memmem::find(line, key.as_bytes()).map_or(line.len(), |at| at + key.len())
        }
    };
    let ends = |b: &u8| matches!(b, b',' | b'}' | b'\n');
    let length = line[start..].iter().position(ends).unwrap_or(0);
    (start, start + length)
}

fn replace_field(format: Format, line: &mut Vec<u8>, index: usize, name: &str, with: &[u8]) {
    let (start, end) = field(format, line, index, name);
    line.splice(start..end, with.iter().copied());
}

fn replace_end(line: &mut Vec<u8>, with: &[u8]) {
    line.pop();
    line.extend_from_slice(with);
}

fn spoil_byte(format: Format, line: &mut [u8], index: usize, name: &str) {
    let (start, _) = field(format, line, index, name);
    if let Some(byte) = line.get_mut(start + 2) {
        *byte = 0xff;
    }
}

/// Decides the shape of each trade, in order.
#[derive(Clone, Debug)]
pub struct Disturb {
    faults: Faults,
    rng: Rng,
    widen_from: u64,
}

impl Disturb {
    /// The disturbance of `rows` trades.
    pub fn new(faults: Faults, seed: u64, rows: u64) -> Disturb {
        let widen_from = if faults.widen_at < 1.0 { (rows as f64 * faults.widen_at) as u64 } else { u64::MAX };
        Disturb { rng: Rng::new(seed, 5), widen_from, faults }
    }

    /// Shape of trade `row`, the `record`-th of its file.
    pub fn shape(&mut self, row: u64, record: u64) -> RowShape {
        if self.faults == Faults::NONE {
            return RowShape::default();
        }
        let rng = &mut self.rng;
        let mut shape = RowShape::default();
        if self.faults.disorder_ms > 0 {
            let late = rng.below(LATE_ONE_IN) == 0;
            let inside = rng.below(self.faults.disorder_ms + 1);
            let beyond = if late { 1 + rng.below(LATE_MS_MAX) } else { 0 };
            shape.delay_ms = (inside + beyond) as i64;
        }
        if row >= self.widen_from && record >= CLEAN_RECORDS {
            let (price, quantity, order) = (rng.below(800), rng.below(160), rng.below(4_096));
            shape.price_digits = (price < 100).then_some(price);
            shape.quantity_tenths = (quantity < 10).then_some(quantity);
            shape.wide_order_id = (order == 0).then_some(10i128.pow(19) + i128::from(row));
        }
        let (spoiled, how) = (rng.below(1_000), rng.below(Fault::ALL.len() as u64));
        if spoiled < self.faults.bad_per_mille && record >= CLEAN_RECORDS {
            shape.fault = Some(Fault::ALL[how as usize]);
        }
        shape
    }
}
