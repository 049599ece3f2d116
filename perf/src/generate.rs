//! `perf gen`: writes the market of [`crate::data`] as files.
//!
//! The plain variant is one file per format. With `--files`, `--disorder-ms`, `--bad-percent` and `--widen-at` the
//! same trades go round-robin into several files with everything a real feed does wrong; [`crate::mixed`] decides per
//! trade, from a random stream of its own, so the trades themselves stay those of the plain variant. Both formats get
//! the same faults in the same records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data::{Market, ORDER_LEAD_MS_MAX, Rng, TRADERS, Trade};
use crate::mixed::{Disturb, Faults, RowShape};
use crate::text::{push_decimal, push_padded, push_u64};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// A header line, then one line per record; about 51 bytes a trade.
    Csv,
    /// One object per line; about 138 bytes a trade.
    Jsonl,
}

impl Format {
    /// The format a file's extension names; what is not JSONL is CSV.
    pub fn of(path: &Path) -> Format {
        if path.extension().is_some_and(|e| e == "jsonl") { Format::Jsonl } else { Format::Csv }
    }

    /// File extension and name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        }
    }
}

/// A relation of the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// What was traded.
    Trades,
    /// The order of each trade, 0 to 500 ms before it, sorted by time.
    Orders,
    /// The 10,000 traders.
    Traders,
}

impl Table {
    /// Name in SQL, and of its file, which `files` of the trades do not change.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Trades => "trades",
            Table::Orders => "orders",
            Table::Traders => "traders",
        }
    }

    /// Its one file.
    pub fn file(self, format: Format) -> String {
        format!("{}.{}", self.name(), format.name())
    }
}

/// What to write.
#[derive(Clone, Debug)]
pub struct GenOptions {
    /// Trades (and orders).
    pub rows: u64,
    /// Folder, made if missing.
    pub out: PathBuf,
    /// The market.
    pub seed: u64,
    /// Formats to write.
    pub formats: Vec<Format>,
    /// Relations to write.
    pub tables: Vec<Table>,
    /// Files the trades are dealt to, and what is wrong with them.
    pub faults: Faults,
}

/// Header of the trades.
pub const TRADES_HEADER: &str = "order_id,symbol,trader_id,side,venue,price,quantity,event_time\n";

/// Writes all that was asked for.
pub fn generate(options: &GenOptions) -> Result<()> {
    std::fs::create_dir_all(&options.out).with_context(|| format!("make folder {}", options.out.display()))?;
    for format in &options.formats {
        for table in &options.tables {
            match table {
                Table::Trades => write_trades(options, *format)?,
                Table::Orders => write_orders(options, *format)?,
                Table::Traders => write_traders(options, *format)?,
            }
        }
    }
    Ok(())
}

/// Name of trades file number `index` of `files`.
pub fn trades_name(format: Format, index: usize, files: usize) -> String {
    if files == 1 { format!("trades.{}", format.name()) } else { format!("trades-{index}.{}", format.name()) }
}

/// Name of the list of records a run must refuse: file, record number, reason and bytes, separated by tabs.
pub fn bad_name(format: Format) -> String {
    format!("bad-{}.tsv", format.name())
}

/// A file under a temporary name until it is whole, so that an interrupted run never leaves a short file behind.
struct Output {
    writer: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
}

impl Output {
    fn create(folder: &Path, name: &str) -> Result<Output> {
        let (path, partial) = (folder.join(name), folder.join(format!("{name}.partial")));
        let file = File::create(&partial).with_context(|| format!("create {}", partial.display()))?;
        Ok(Output { writer: BufWriter::with_capacity(1 << 20, file), partial, path })
    }

    fn finish(mut self) -> Result<()> {
        self.writer.flush().with_context(|| format!("write {}", self.path.display()))?;
        std::fs::rename(&self.partial, &self.path).with_context(|| format!("rename to {}", self.path.display()))
    }
}

fn write_trades(options: &GenOptions, format: Format) -> Result<()> {
    let faults = &options.faults;
    let mut outputs = (0..faults.files)
        .map(|i| Output::create(&options.out, &trades_name(format, i, faults.files)))
        .collect::<Result<Vec<_>>>()?;
    let mut bad = if faults.bad_per_mille > 0 { Some(Output::create(&options.out, &bad_name(format))?) } else { None };
    if format == Format::Csv {
        for output in &mut outputs {
            output.writer.write_all(TRADES_HEADER.as_bytes())?;
        }
    }
    let mut disturb = Disturb::new(faults.clone(), options.seed, options.rows);
    let mut line = Vec::with_capacity(256);
    for (row, trade) in (0..options.rows).zip(Market::new(options.seed)) {
        let (file, record) = ((row % faults.files as u64) as usize, row / faults.files as u64);
        let shape = disturb.shape(row, record);
        line.clear();
        write_trade(&mut line, format, &trade, &shape);
        if let Some(fault) = shape.fault {
            fault.apply(format, &mut line);
            if let Some(list) = &mut bad {
                write!(list.writer, "{file}\t{record}\t{}\t", fault.name())?;
                list.writer.write_all(&line)?;
            }
        }
        outputs[file].writer.write_all(&line)?;
    }
    outputs.into_iter().chain(bad).try_for_each(Output::finish)
}

/// Appends one trade and its newline.
pub fn write_trade(out: &mut Vec<u8>, format: Format, trade: &Trade, shape: &RowShape) {
    let sep = |csv: &'static str, json: &'static str| if format == Format::Csv { csv } else { json }.as_bytes();
    out.extend_from_slice(sep("", "{\"order_id\":"));
    match shape.wide_order_id {
        Some(wide) => push_decimal(out, wide, 0),
        None => push_u64(out, trade.order_id),
    }
    out.extend_from_slice(sep(",S", ",\"symbol\":\"S"));
    push_padded(out, trade.symbol as u64, 3);
    out.extend_from_slice(sep(",", "\",\"trader_id\":"));
    push_u64(out, trade.trader_id);
    out.extend_from_slice(sep(",", ",\"side\":\""));
    out.push(if trade.buy { b'B' } else { b'S' });
    out.extend_from_slice(sep(",", "\",\"venue\":\""));
    out.extend_from_slice(trade.venue.as_bytes());
    out.extend_from_slice(sep(",", "\",\"price\":"));
    push_decimal(out, i128::from(trade.price), 4);
    if let Some(digits) = shape.price_digits {
        push_padded(out, digits, 2);
    }
    out.extend_from_slice(sep(",", ",\"quantity\":"));
    push_u64(out, trade.quantity);
    if let Some(tenths) = shape.quantity_tenths {
        out.push(b'.');
        push_u64(out, tenths);
    }
    out.extend_from_slice(sep(",", ",\"event_time\":"));
    push_u64(out, (trade.event_time_ms - shape.delay_ms) as u64);
    out.extend_from_slice(sep("\n", "}\n"));
}

/// Orders sorted by time: an order waits until no later trade can have an earlier one.
fn write_orders(options: &GenOptions, format: Format) -> Result<()> {
    let mut output = Output::create(&options.out, &Table::Orders.file(format))?;
    if format == Format::Csv {
        output.writer.write_all(b"order_id,trader_id,order_symbol,limit_price,order_time\n")?;
    }
    let mut rng = Rng::new(options.seed, 3);
    let mut waiting: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for (_, trade) in (0..options.rows).zip(Market::new(options.seed)) {
        while let Some(first) = waiting.first_entry() {
            if *first.key() >= trade.event_time_ms - ORDER_LEAD_MS_MAX as i64 {
                break;
            }
            output.writer.write_all(&first.remove())?;
        }
        let order_time = trade.event_time_ms - rng.below(ORDER_LEAD_MS_MAX + 1) as i64;
        let limit = trade.price + rng.below(1_000) as i64;
        write_order(waiting.entry(order_time).or_default(), format, &trade, limit, order_time);
    }
    for lines in waiting.values() {
        output.writer.write_all(lines)?;
    }
    output.finish()
}

fn write_order(out: &mut Vec<u8>, format: Format, trade: &Trade, limit_price: i64, order_time_ms: i64) {
    let sep = |csv: &'static str, json: &'static str| if format == Format::Csv { csv } else { json }.as_bytes();
    out.extend_from_slice(sep("", "{\"order_id\":"));
    push_u64(out, trade.order_id);
    out.extend_from_slice(sep(",", ",\"trader_id\":"));
    push_u64(out, trade.trader_id);
    out.extend_from_slice(sep(",S", ",\"order_symbol\":\"S"));
    push_padded(out, trade.symbol as u64, 3);
    out.extend_from_slice(sep(",", "\",\"limit_price\":"));
    push_decimal(out, i128::from(limit_price), 4);
    out.extend_from_slice(sep(",", ",\"order_time\":"));
    push_u64(out, order_time_ms as u64);
    out.extend_from_slice(sep("\n", "}\n"));
}

fn write_traders(options: &GenOptions, format: Format) -> Result<()> {
    const DESKS: [&str; 5] = ["rates", "credit", "equity", "macro", "options"];
    const TIERS: [&str; 3] = ["gold", "silver", "bronze"];
    let mut output = Output::create(&options.out, &Table::Traders.file(format))?;
    if format == Format::Csv {
        output.writer.write_all(b"trader_id,desk,tier,credit_limit\n")?;
    }
    let mut rng = Rng::new(options.seed, 4);
    for trader_id in 0..TRADERS {
        let desk = DESKS[rng.below(DESKS.len() as u64) as usize];
        let tier = TIERS[rng.below(TIERS.len() as u64) as usize];
        let limit = 10_000 * (1 + rng.below(500));
        match format {
            Format::Csv => writeln!(output.writer, "{trader_id},{desk},{tier},{limit}")?,
            Format::Jsonl => writeln!(
                output.writer,
                "{{\"trader_id\":{trader_id},\"desk\":\"{desk}\",\"tier\":\"{tier}\",\"credit_limit\":{limit}}}"
            )?,
        }
    }
    output.finish()
}

#[cfg(test)]
mod tests;
