//! `perf check`: computes a workload once more, slowly and exactly, and compares an output with it line by line.
//!
//! Shares nothing with the engine or with the limit programs: own readers that look at one record at a time, integers
//! of 128 bits, ordered maps. Rows are taken one at a time in the order of their own file; each is late or not by the
//! watermark its own file had just before it. What the readers refuse has to be in the dead letters, byte for byte.
//!
//! Memory: every expected line of output is held as text.

mod joined;
mod moving;
mod number;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::blocks::for_each_block;
use crate::generate::Format;
use crate::text::div_round;
use crate::workload::{Hop, Workload};
use joined::Beside;
use number::Number;
use record::Record;

/// Types are fixed by the head of the data, where prices have four digits and quantities none.
const PRICE_SCALE: u32 = 4;
/// AVG of such a price has four digits more.
const AVERAGE_SCALE: u32 = 8;
/// Sums are kept at this scale: prices have at most 6 digits after the point, quantities 1.
const SUM_SCALE: u32 = 9;

/// What to compare.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Which query.
    pub workload: Workload,
    /// Input format.
    pub format: Format,
    /// Input files in the order of their names: one partition each.
    pub inputs: Vec<PathBuf>,
    /// File of what the workload reads beside the trades; clean.
    pub beside: Option<PathBuf>,
    /// Watermark bound, ms.
    pub bound_ms: i64,
}

/// What the query has to give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Records in the input.
    pub records: u64,
    /// Lines of the output without the header, sorted.
    pub lines: Vec<Vec<u8>>,
    /// Records that cannot be read: (file, record number) with their bytes.
    pub bad: BTreeMap<(u32, u64), Vec<u8>>,
    /// Rows that came after their window was closed.
    pub late: BTreeMap<(u32, u64), Vec<u8>>,
}

/// Exact totals of a group.
#[derive(Clone, Debug, Default)]
struct Totals {
    count: i128,
    quantity: i128,
    notional: i128,
    price: i128,
}

/// Computes the expected result.
pub fn expect(options: &CheckOptions) -> Result<Expected> {
    let mut expected = Expected::default();
    let mut groups: BTreeMap<(i64, Vec<u8>), Totals> = BTreeMap::new();
    let mut rows = Vec::new();
    let beside = Beside::read(options)?;
    for (file, path) in options.inputs.iter().enumerate() {
        read_file((options, &beside), file as u32, path, &mut expected, (&mut groups, &mut rows))?;
    }
    expected.lines.extend(moving::lines(rows));
    for ((start_ms, symbol), totals) in &groups {
        expected.lines.push(group_line(options.workload, *start_ms, symbol, totals));
    }
    expected.lines.sort_unstable();
    Ok(expected)
}

/// Totals by window and symbol.
type Sums = BTreeMap<(i64, Vec<u8>), Totals>;
/// A record with its place: number in its file, and file.
type Placed = ((u64, u32), Record);

fn read_file(
    (options, beside): (&CheckOptions, &Beside),
    file: u32,
    path: &Path,
    expected: &mut Expected,
    (groups, rows): (&mut Sums, &mut Vec<Placed>),
) -> Result<()> {
    let mut columns: Vec<String> = Vec::new();
    let mut number = 0;
    let mut newest_ms: Option<i64> = None;
    for_each_block(path, |block| {
        for line in block.strip_suffix(b"\n").unwrap_or(block).split(|b| *b == b'\n') {
            if options.format == Format::Csv && columns.is_empty() {
                columns = String::from_utf8_lossy(line).split(',').map(str::to_owned).collect();
                continue;
            }
            let at = (file, number);
            number += 1;
            let record = match options.format {
                Format::Csv => record::from_csv(&columns, line),
                Format::Jsonl => record::from_json(line),
            };
            let Some(record) = record.filter(|r| !options.workload.is_timed() || r.event_time_ms.is_some()) else {
                expected.bad.insert(at, line.to_vec());
                continue;
            };
            match options.workload {
                Workload::W1 => expected.lines.extend(projected(&record)),
                Workload::W2 => add(groups, 0, &record),
                Workload::W7 => rows.push(((at.1, at.0), record)),
                Workload::W5 => expected.lines.extend(beside.enriched(&record)),
                Workload::W6 => {
                    let own_ms = newest_ms.map(|newest| newest - options.bound_ms);
                    expected.lines.extend(beside.ordered(&record, own_ms));
                    newest_ms = newest_ms.max(record.event_time_ms);
                }
                Workload::W3 | Workload::W4 => {
                    let time = record.event_time_ms.unwrap_or_default();
                    let open = |start: &i64, hop: Hop| {
                        newest_ms.is_none_or(|newest| start + hop.size_ms > newest - options.bound_ms)
                    };
                    let mut taken = 0;
                    if let Some(hop) = options.workload.window() {
                        for start in starts(hop, time).filter(|start| open(start, hop)) {
                            add(groups, start, &record);
                            taken += 1;
                        }
                    }
                    if taken == 0 {
                        expected.late.insert(at, line.to_vec());
                    }
                    newest_ms = newest_ms.max(Some(time));
                }
            }
        }
        Ok(())
    })?;
    expected.records += number;
    Ok(())
}

/// Starts of the windows that hold a time.
fn starts(hop: Hop, time_ms: i64) -> impl Iterator<Item = i64> {
    let last = time_ms.div_euclid(hop.slide_ms) * hop.slide_ms;
    (0..hop.size_ms / hop.slide_ms).map(move |back| last - back * hop.slide_ms)
}

/// W1's line for a record, if it passes the filter.
fn projected(record: &Record) -> Option<Vec<u8>> {
    let (price, quantity) = (&record.price, &record.quantity);
    if !(quantity.exceeds(500) && price.exceeds(100)) {
        return None;
    }
    let notional = price.times(quantity).text(PRICE_SCALE);
    Some(
        format!("{},{},{},{},{notional}", record.order_id, record.symbol, price.token(), quantity.token()).into_bytes(),
    )
}

fn add(groups: &mut BTreeMap<(i64, Vec<u8>), Totals>, start_ms: i64, record: &Record) {
    let totals = groups.entry((start_ms, record.symbol.clone().into_bytes())).or_default();
    totals.count += 1;
    totals.quantity += record.quantity.at_scale(SUM_SCALE);
    totals.notional += record.price.times(&record.quantity).at_scale(SUM_SCALE);
    totals.price += record.price.at_scale(SUM_SCALE);
}

fn group_line(workload: Workload, start_ms: i64, symbol: &[u8], totals: &Totals) -> Vec<u8> {
    let mut line = symbol.to_vec();
    if workload.window().is_some() {
        line.extend_from_slice(format!(",{start_ms}").as_bytes());
    }
    let average = div_round(totals.price, totals.count * 10i128.pow(SUM_SCALE - AVERAGE_SCALE));
    let volume = Number::new(totals.quantity, SUM_SCALE).text(0);
    let notional = Number::new(totals.notional, SUM_SCALE).text(PRICE_SCALE);
    let average = Number::new(average, AVERAGE_SCALE).text(AVERAGE_SCALE);
    line.extend_from_slice(format!(",{},{volume},{notional},{average}", totals.count).as_bytes());
    line
}

/// Compares a CSV output with the expectation; the error names the first differences.
pub fn compare_output(expected: &Expected, workload: Workload, output: &Path) -> Result<()> {
    let bytes = std::fs::read(output).with_context(|| format!("read {}", output.display()))?;
    let Some(body) = bytes.strip_prefix(workload.header().as_bytes()) else {
        let first = String::from_utf8_lossy(bytes.split(|b| *b == b'\n').next().unwrap_or_default()).into_owned();
        bail!("{}: first line is {first:?}, expected {:?}", output.display(), workload.header().trim_end());
    };
    let mut lines: Vec<&[u8]> = match body.strip_suffix(b"\n") {
        Some(rows) => rows.split(|b| *b == b'\n').collect(),
        None if body.is_empty() => Vec::new(),
        None => bail!("{}: the last line has no newline", output.display()),
    };
    lines.sort_unstable();
    if lines.len() == expected.lines.len() && lines.iter().zip(&expected.lines).all(|(a, b)| *a == &b[..]) {
        return Ok(());
    }
    let wanted: Vec<&[u8]> = expected.lines.iter().map(Vec::as_slice).collect();
    bail!(
        "{}: {} lines, expected {}\n{}{}",
        output.display(),
        lines.len(),
        wanted.len(),
        only_in("missing", &wanted, &lines),
        only_in("not expected", &lines, &wanted)
    );
}

/// The first lines of `these` that `those` lack; both are sorted.
fn only_in(title: &str, these: &[&[u8]], those: &[&[u8]]) -> String {
    const SHOWN: usize = 5;
    let mut rest = those.iter().peekable();
    let mut text = String::new();
    let mut missing = 0;
    for line in these {
        while rest.next_if(|other| *other < line).is_some() {}
        if rest.next_if(|other| *other == line).is_none() {
            missing += 1;
            if missing <= SHOWN {
                text += &format!("  {title}: {}\n", String::from_utf8_lossy(line));
            }
        }
    }
    if missing > SHOWN { text + &format!("  {title}: {} more\n", missing - SHOWN) } else { text }
}

/// Compares dead-letter files with the records that belong there. A file that is not there holds none.
pub fn compare_dead(wanted: &BTreeMap<(u32, u64), Vec<u8>>, file: &Path) -> Result<()> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("read {}", file.display())),
    };
    let mut seen = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let letter = record::dead_letter(line).with_context(|| format!("{} line {}", file.display(), index + 1))?;
        match wanted.get(&letter.at) {
            None => bail!("{}: record {:?} is no dead letter: {line}", file.display(), letter.at),
            Some(bytes) if *bytes != letter.bytes => bail!(
                "{}: record {:?} has the bytes {:?}, expected {:?}",
                file.display(),
                letter.at,
                String::from_utf8_lossy(&letter.bytes),
                String::from_utf8_lossy(bytes)
            ),
            Some(_) if !seen.insert(letter.at) => bail!("{}: record {:?} twice", file.display(), letter.at),
            Some(_) => (),
        }
    }
    match wanted.iter().find(|(at, _)| !seen.contains(at)) {
        None => Ok(()),
        Some((at, bytes)) => bail!(
            "{}: {} of {} dead letters; record {at:?} is missing: {}",
            file.display(),
            seen.len(),
            wanted.len(),
            String::from_utf8_lossy(bytes)
        ),
    }
}
