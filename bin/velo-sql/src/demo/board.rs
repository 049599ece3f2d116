//! What the jobs said so far: bars and alerts as their topics hold them, folded per symbol and per second.
//!
//! The bars of one symbol come in the order of their windows: one shard makes them all, and they lie in one partition.
//! Between symbols there is no order, as each shard writes for itself: a second counts as complete when it has a bar
//! of every symbol, or when every partition of the bars is well past it. Sums are exact: prices and notional values
//! are whole ten-thousandths.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster;
use super::feed::SYMBOLS;
use super::producer::Sum;
use super::tail::At;

/// One bar of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// First price.
    pub open: i128,
    /// Highest price.
    pub high: i128,
    /// Lowest price.
    pub low: i128,
    /// Last price.
    pub close: i128,
    /// Trades, shares, notional value.
    pub sum: Sum,
}

impl Bar {
    /// Adds the bar that follows.
    fn extend(&mut self, next: &Bar) {
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.close = next.close;
        self.sum.add(&next.sum);
    }
}

/// One alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// End of its second, ms.
    pub second_end: i64,
    /// Position in [`SYMBOLS`].
    pub symbol: usize,
    /// Shares.
    pub volume: i64,
    /// Trades.
    pub trades: u64,
    /// Last price.
    pub close: i128,
}

/// One second over all symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Its bars.
    pub bars: u64,
    /// Their sum.
    pub sum: Sum,
}

/// All that was read.
pub struct Board {
    /// End of the last second of each partition of the bars, ms.
    reached: Vec<i64>,
    /// Whole run per symbol: number of bars and one bar over all.
    pub whole: [(u64, Bar); SYMBOLS.len()],
    /// Last bar per symbol.
    pub last: [Option<Bar>; SYMBOLS.len()],
    /// Seconds not yet taken, by their end.
    pub seconds: BTreeMap<i64, Second>,
    /// Alerts not yet taken, in order of arrival.
    pub alerts_new: Vec<Alert>,
    /// Alerts so far.
    pub alerts_total: u64,
    /// Rows that are not what the app writes.
    pub unreadable: u64,
}

/// The topics a board reads, by the numbers it knows them by.
pub const TOPICS: [(&str, u32); 2] = [cluster::BARS, cluster::ALERTS];
/// Number of the bars' topic.
const BARS: usize = 0;
/// How far all partitions have to be past a second that lacks symbols: shards close a window within milliseconds of
/// each other.
const PAST_MS: i64 = 1_000;

impl Board {
    /// An empty board.
    pub fn new() -> Board {
        Board {
            reached: vec![i64::MIN; TOPICS[BARS].1 as usize],
            whole: [(0, Bar::default()); SYMBOLS.len()],
            last: [None; SYMBOLS.len()],
            seconds: BTreeMap::new(),
            alerts_new: Vec::new(),
            alerts_total: 0,
            unreadable: 0,
        }
    }

    /// Takes a row of one of [`TOPICS`].
    pub fn take(&mut self, (topic, partition): At, row: &Value) {
        match (topic, bar(row), alert(row)) {
            (BARS, Some((symbol, second_end, bar)), _) => self.add(partition, symbol, second_end, bar),
            (1.., _, Some(alert)) => {
                self.alerts_new.push(alert);
                self.alerts_total += 1;
            }
            _ => self.unreadable += 1,
        }
    }

    fn add(&mut self, partition: usize, symbol: usize, second_end: i64, bar: Bar) {
        self.reached[partition] = self.reached[partition].max(second_end);
        let second = self.seconds.entry(second_end).or_default();
        second.bars += 1;
        second.sum.add(&bar.sum);
        self.last[symbol] = Some(bar);
        match &mut self.whole[symbol] {
            (0, _) => self.whole[symbol] = (1, bar),
            (bars, whole) => {
                *bars += 1;
                whole.extend(&bar);
            }
        }
    }

    /// End of the last second all partitions have reached, ms.
    pub fn reached(&self) -> Option<i64> {
        self.reached.iter().copied().min().filter(|at| *at != i64::MIN)
    }

    /// Takes the first second that is complete; at the end all are.
    pub fn take_second(&mut self, at_end: bool) -> Option<(i64, Second)> {
        let (&end, second) = self.seconds.first_key_value()?;
        let has_all = second.bars == SYMBOLS.len() as u64;
        let is_complete = at_end || has_all || self.reached().is_some_and(|reached| end < reached - PAST_MS);
        if is_complete { self.seconds.pop_first() } else { None }
    }

    /// The whole run over all symbols: number of bars and their sum.
    pub fn total(&self) -> (u64, Sum) {
        let mut total = (0, Sum::default());
        for (bars, bar) in &self.whole {
            total.0 += bars;
            total.1.add(&bar.sum);
        }
        total
    }
}

fn bar(row: &Value) -> Option<(usize, i64, Bar)> {
    let sum = Sum {
        trades: row["trades"].as_u64()?,
        volume: row["volume"].as_i64()?,
        notional: ten_thousandths(&row["notional"])?,
    };
    let price = |name: &str| ten_thousandths(&row[name]);
    let bar = Bar { open: price("open")?, high: price("high")?, low: price("low")?, close: price("close")?, sum };
    Some((symbol(row)?, row["second_end"].as_i64()?, bar))
}

fn alert(row: &Value) -> Option<Alert> {
    Some(Alert {
        second_end: row["second_end"].as_i64()?,
        symbol: symbol(row)?,
        volume: row["volume"].as_i64()?,
        trades: row["trades"].as_u64()?,
        close: ten_thousandths(&row["close"])?,
    })
}

fn symbol(row: &Value) -> Option<usize> {
    let name = row["symbol"].as_str()?;
    SYMBOLS.iter().position(|(symbol, _)| *symbol == name)
}

/// A decimal with at most four digits behind the point. Read through a float: one second's values have at most 15
/// digits, which it holds exactly.
fn ten_thousandths(value: &Value) -> Option<i128> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Some((number * 10_000.0).round() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(board: &mut Board, topic: usize, partition: usize, row: &str) {
        board.take((topic, partition), &serde_json::from_str(row).unwrap());
    }

    fn row(symbol: &str, second_end: i64, price: &str) -> String {
        format!(
            r#"{{"symbol":"{symbol}","open":{price},"high":{price},"low":{price},"close":{price},"volume":10,"notional":{price},"imbalance":1,"trades":2,"second_end":{second_end}}}"#
        )
    }

    #[test]
    fn bars_are_folded_and_seconds_complete_in_order() {
        let mut board = Board::new();
        put(&mut board, 0, 0, &row("KO", 1_000, "60.1507"));
        put(&mut board, 0, 0, &row("KO", 2_000, "60.2"));
        put(&mut board, 0, 1, &row("XOM", 1_000, "\"112.5\""));
        assert_eq!((board.take_second(false), board.reached()), (None, Some(1_000)));
        put(&mut board, 0, 0, &row("KO", 3_000, "60.2"));
        put(&mut board, 0, 1, &row("XOM", 3_000, "112"));
        put(&mut board, 0, 1, "{}");
        put(&mut board, 1, 0, &row("XOM", 3_000, "112"));
        let (end, second) = board.take_second(false).unwrap();
        assert_eq!((end, second.bars, second.sum.trades), (1_000, 2, 4));
        assert_eq!(second.sum.notional, 601_507 + 1_125_000);
        assert_eq!(board.take_second(false), None);
        assert_eq!(board.take_second(true).unwrap().0, 2_000);
        let (bars, whole) = board.whole[9];
        assert_eq!((bars, whole.open, whole.high, whole.close), (3, 601_507, 602_000, 602_000));
        assert_eq!((board.total().0, board.alerts_total, board.unreadable), (5, 1, 1));
    }
}
