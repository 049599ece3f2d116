//! W7 by its definition: rows in the order of their records, then of their files; of each symbol a plain list of the ten
//! latest by time, sorted and added up anew for every row.

use std::collections::BTreeMap;

use super::number::Number;
use super::record::Record;
use super::{AVERAGE_SCALE, PRICE_SCALE, SUM_SCALE};
use crate::text::div_round;

const ROWS: usize = 10;

/// A row that a symbol holds: time, number among the rows that came, price.
type Held = (i64, usize, i128);

/// The lines of these rows; each has its record number and its file.
pub fn lines(mut rows: Vec<((u64, u32), Record)>) -> Vec<Vec<u8>> {
    rows.sort_by_key(|(place, _)| *place);
    let mut symbols: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    let numbered = rows.into_iter().enumerate();
    numbered
        .map(|(number, (_, record))| line(number, &record, symbols.entry(record.symbol.clone()).or_default()))
        .collect()
}

fn line(number: usize, record: &Record, held: &mut Vec<Held>) -> Vec<u8> {
    let own = (record.event_time_ms.unwrap_or_default(), number, record.price.at_scale(SUM_SCALE));
    held.sort_unstable();
    let mut seen: Vec<Held> = held.iter().rev().take(ROWS - 1).copied().chain([own]).collect();
    seen.sort_unstable();
    held.push(own);
    held.sort_unstable();
    let left = held.len().saturating_sub(ROWS);
    held.drain(..left);
    let up_to: Vec<Held> = seen.into_iter().filter(|row| *row <= own).collect();
    let price = |units: i128| Number::new(units, SUM_SCALE).text(PRICE_SCALE);
    let previous = up_to.iter().rev().nth(1).map_or_else(String::new, |row| price(row.2));
    let total: i128 = up_to.iter().map(|row| row.2).sum();
    let average = div_round(total, up_to.len() as i128 * 10i128.pow(SUM_SCALE - AVERAGE_SCALE));
    let average = Number::new(average, AVERAGE_SCALE).text(AVERAGE_SCALE);
    format!("{},{},{},{previous},{average}", record.order_id, record.symbol, record.price.token()).into_bytes()
}
