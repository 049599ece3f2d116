//! `perf limit`: the upper limit. One single-purpose program per workload that has these columns and this query
//! compiled in: no schema, no plan, no dead letters, no disorder, one thread, prices of four digits.
//!
//! It reads what a careful hand-written program would accept (see [`row`]) and checks UTF-8; anything else is an error.
//! Sums are exact integers in price parts.

mod groups;
mod joined;
mod moving;
mod row;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::blocks::for_each_block;
use crate::generate::Format;
use crate::text::{push_decimal, push_u64};
use crate::workload::Workload;
use groups::{Groups, Sums};
use joined::{Enrich, Interval};
use moving::Moving;
use row::{RawRow, Row, Target, price_parts, read_csv, read_json, small_number};

const FLUSH_BYTES: usize = 256 << 10;
const WINDOW_MS: u64 = 1_000;

/// What a limit program read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
}

/// Runs one workload over one file, and what it reads beside it.
pub fn run(workload: Workload, format: Format, input: &Path, beside: Option<&Path>, output: &Path) -> Result<Counts> {
    let mut sink = Csv::create(output, workload)?;
    let beside = || beside.with_context(|| format!("{} reads a second file: pass --beside", workload.name()));
    match workload {
        Workload::W1 => drive(input, format, &mut sink, &mut ProjectFilter)?,
        Workload::W2 => drive(input, format, &mut sink, &mut BySymbol::default())?,
        Workload::W3 => drive(input, format, &mut sink, &mut ByWindow::default())?,
        Workload::W4 => drive(input, format, &mut sink, &mut ByHop::default())?,
        Workload::W5 => drive(input, format, &mut sink, &mut Enrich::new(beside()?, format)?)?,
        Workload::W6 => drive(input, format, &mut sink, &mut Interval::new(beside()?, format)?)?,
        Workload::W7 => drive(input, format, &mut sink, &mut Moving::default())?,
    }
    sink.flush()?;
    Ok(sink.counts)
}

/// One CSV file, written in large pieces.
struct Csv {
    file: File,
    buffer: Vec<u8>,
    counts: Counts,
}

impl Csv {
    fn create(path: &Path, workload: Workload) -> Result<Csv> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut buffer = Vec::with_capacity(FLUSH_BYTES * 2);
        buffer.extend_from_slice(workload.header().as_bytes());
        Ok(Csv { file, buffer, counts: Counts::default() })
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).context("write output")?;
        self.buffer.clear();
        Ok(())
    }
}

/// A workload's work on one row and at the end.
trait Job {
    type Row<'a>: Row<'a>;

    fn row(&mut self, row: &Self::Row<'_>, sink: &mut Csv) -> Option<()>;

    fn end(&mut self, sink: &mut Csv);

    /// What is wrong with a row it refused.
    fn reason(&self) -> &str {
        "is not a trade in order"
    }
}

fn drive<J: Job>(input: &Path, format: Format, sink: &mut Csv, job: &mut J) -> Result<()> {
    match format {
        Format::Csv => drive_with(input, format, sink, job, |columns, bytes, at, job, sink| {
            let (row, next) = read_csv(columns, bytes, at)?;
            job.row(&row, sink).map(|()| next)
        }),
        Format::Jsonl => drive_with(input, format, sink, job, |_, bytes, at, job, sink| {
            let (row, next) = read_json(bytes, at)?;
            job.row(&row, sink).map(|()| next)
        }),
    }
}

/// `take` reads the row at a position, works on it, and says where the next one begins.
fn drive_with<J: Job>(
    input: &Path,
    format: Format,
    sink: &mut Csv,
    job: &mut J,
    take: impl Fn(&[Target], &[u8], usize, &mut J, &mut Csv) -> Option<usize>,
) -> Result<()> {
    let mut columns: Vec<Target> = Vec::new();
    for_each_block(input, |block| {
        if std::str::from_utf8(block).is_err() {
            bail!("{} is not UTF-8", input.display());
        }
        let mut at = 0;
        if format == Format::Csv && columns.is_empty() {
            at = memchr::memchr(b'\n', block).map_or(block.len(), |end| end + 1);
            columns.extend(block[..at].trim_ascii_end().split(|b| *b == b',').map(J::Row::target));
        }
        while at < block.len() {
            let Some(next) = take(&columns, block, at, job, sink) else {
                bail!("{}: record {} {}", input.display(), sink.counts.rows_in, job.reason());
            };
            at = next;
            sink.counts.rows_in += 1;
        }
        if sink.buffer.len() >= FLUSH_BYTES { sink.flush() } else { Ok(()) }
    })?;
    job.end(sink);
    Ok(())
}

/// W1.
struct ProjectFilter;

impl Job for ProjectFilter {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, sink: &mut Csv) -> Option<()> {
        let (quantity, price) = (small_number(row.quantity)?, price_parts(row.price)?);
        if quantity > 500 && price > 100 * 10_000 {
            let out = &mut sink.buffer;
            for field in [row.order_id, row.symbol, row.price, row.quantity] {
                out.extend_from_slice(field);
                out.push(b',');
            }
            let notional = quantity * price;
            push_u64(out, notional / 10_000);
            out.push(b'.');
            crate::text::push_padded(out, notional % 10_000, 4);
            out.push(b'\n');
            sink.counts.rows_out += 1;
        }
        Some(())
    }

    fn end(&mut self, _sink: &mut Csv) {}
}

/// W2.
#[derive(Default)]
struct BySymbol {
    groups: Groups,
}

impl Job for BySymbol {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, _sink: &mut Csv) -> Option<()> {
        self.groups.add(row.symbol, small_number(row.quantity)?, price_parts(row.price)?)
    }

    fn end(&mut self, sink: &mut Csv) {
        emit(&mut self.groups, None, sink);
    }
}

/// W3.
#[derive(Default)]
struct ByWindow {
    groups: Groups,
    start_ms: u64,
}

impl Job for ByWindow {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, sink: &mut Csv) -> Option<()> {
        let start_ms = small_number(row.event_time)? / WINDOW_MS * WINDOW_MS;
        if start_ms != self.start_ms {
            if start_ms < self.start_ms {
                return None;
            }
            emit(&mut self.groups, Some(self.start_ms), sink);
            self.start_ms = start_ms;
        }
        self.groups.add(row.symbol, small_number(row.quantity)?, price_parts(row.price)?)
    }

    fn end(&mut self, sink: &mut Csv) {
        emit(&mut self.groups, Some(self.start_ms), sink);
    }
}

/// W4: rows are added up by second; of ten seconds the running total is kept, by adding one and taking one away.
#[derive(Default)]
struct ByHop {
    /// The last seconds in order, the present one last.
    seconds: VecDeque<Groups>,
    /// Totals of all of them but the present one.
    total: Groups,
    start_ms: u64,
}

/// Seconds of a window of W4.
const SECONDS: usize = 10;

impl ByHop {
    /// The present second is over: the window that ends with it is complete.
    fn close(&mut self, sink: &mut Csv) -> Option<()> {
        if let Some(second) = self.seconds.back() {
            self.total.merge(second, 1)?;
        }
        let window_ms = (self.start_ms + WINDOW_MS).checked_sub(SECONDS as u64 * WINDOW_MS)?;
        self.total.each(|symbol, sums| line(symbol, sums, Some(window_ms), sink));
        let mut spare = Groups::default();
        if self.seconds.len() == SECONDS
            && let Some(oldest) = self.seconds.pop_front()
        {
            self.total.merge(&oldest, -1)?;
            spare = oldest;
            spare.drain(|_, _| {});
        }
        self.seconds.push_back(spare);
        self.start_ms += WINDOW_MS;
        Some(())
    }
}

impl Job for ByHop {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, sink: &mut Csv) -> Option<()> {
        let start_ms = small_number(row.event_time)? / WINDOW_MS * WINDOW_MS;
        if start_ms != self.start_ms {
            if self.seconds.is_empty() {
                self.seconds.push_back(Groups::default());
                self.start_ms = start_ms;
            }
            // Trades have no gaps, so these are few.
            while self.start_ms < start_ms {
                self.close(sink)?;
            }
            if start_ms < self.start_ms {
                return None;
            }
        }
        self.seconds.back_mut()?.add(row.symbol, small_number(row.quantity)?, price_parts(row.price)?)
    }

    fn end(&mut self, sink: &mut Csv) {
        for _ in 0..SECONDS {
            // The counts of before fit, so they still do.
            let _ = self.close(sink);
        }
    }
}

fn emit(groups: &mut Groups, window_ms: Option<u64>, sink: &mut Csv) {
    groups.drain(|symbol, sums| line(symbol, sums, window_ms, sink));
}

fn line(symbol: &[u8], sums: &Sums, window_ms: Option<u64>, sink: &mut Csv) {
    let out = &mut sink.buffer;
    out.extend_from_slice(symbol);
    if let Some(start) = window_ms {
        out.push(b',');
        push_u64(out, start);
    }
    out.push(b',');
    push_u64(out, sums.count);
    out.push(b',');
    push_u64(out, sums.quantity);
    out.push(b',');
    push_decimal(out, sums.notional, 4);
    out.push(b',');
    let average = crate::text::div_round(sums.price * 10_000, i128::from(sums.count));
    push_decimal(out, average, 8);
    out.push(b'\n');
    sink.counts.rows_out += 1;
}
