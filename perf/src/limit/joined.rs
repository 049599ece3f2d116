//! W5 and W6: a table of traders, and the orders of the last 300 ms. Trades and orders come in the order of their times,
//! and numbers of orders and traders are unique.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::row::{Order, RawRow, Row, Target, Trader, TradersRow, price_parts, read_csv, read_json, small_number};
use super::{Csv, Job};
use crate::blocks::Blocks;
use crate::generate::Format;
use crate::workload::INTERVAL_MS;

/// Odd and without pattern: the high bits of the product depend on all bits.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Values by number: open addressing, at most half full, and whole again behind a removal.
#[derive(Debug)]
struct Numbered<V> {
    /// Number plus 1; 0 is free.
    slots: Vec<(u64, V)>,
    held: usize,
}

impl<V: Copy + Default> Numbered<V> {
    fn new() -> Numbered<V> {
        Numbered { slots: vec![(0, V::default()); 1 << 13], held: 0 }
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(MULTIPLIER) >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// The slot of a number, or the free one where it belongs.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mut at = self.home(key);
        while self.slots[at].0 != key && self.slots[at].0 != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    #[inline]
    fn get(&self, number: u64) -> Option<V> {
        let (key, value) = self.slots[self.slot(number + 1)];
        (key != 0).then_some(value)
    }

    /// `None` when the number is there.
    #[inline]
    fn insert(&mut self, number: u64, value: V) -> Option<()> {
        if self.held * 2 >= self.slots.len() {
            let larger = vec![(0, V::default()); self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, larger);
            for (key, value) in old.into_iter().filter(|(key, _)| *key != 0) {
                let at = self.slot(key);
                self.slots[at] = (key, value);
            }
        }
        let at = self.slot(number + 1);
        if self.slots[at].0 != 0 {
            return None;
        }
        self.slots[at] = (number + 1, value);
        self.held += 1;
        Some(())
    }

    #[inline]
    fn remove(&mut self, number: u64) {
        let last = self.slots.len() - 1;
        let mut hole = self.slot(number + 1);
        if self.slots[hole].0 == 0 {
            return;
        }
        self.held -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & last;
            let key = self.slots[at].0;
            if key == 0 {
                break;
            }
            // It moves up unless its home lies behind the hole.
            if at.wrapping_sub(self.home(key)) & last >= at.wrapping_sub(hole) & last {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
        }
        self.slots[hole].0 = 0;
    }
}

/// Rows of a file one after the other.
struct Rows {
    blocks: Blocks,
    at: usize,
    format: Format,
    columns: Vec<Target>,
    path: String,
}

impl Rows {
    fn open(path: &Path, format: Format) -> Result<Rows> {
        let blocks = Blocks::open(path)?;
        Ok(Rows { blocks, at: 0, format, columns: Vec::new(), path: path.display().to_string() })
    }

    /// What `take` makes of the next row; `None` at the end.
    #[inline]
    fn next<T>(
        &mut self,
        target: impl Fn(&[u8]) -> Target,
        take: impl FnOnce(&[Target], Format, &[u8], usize) -> Option<(T, usize)>,
    ) -> Result<Option<T>> {
        while self.at == self.blocks.present().len() {
            if !self.blocks.advance()? {
                return Ok(None);
            }
            let block = self.blocks.present();
            if std::str::from_utf8(block).is_err() {
                bail!("{} is not UTF-8", self.path);
            }
            self.at = 0;
            if self.format == Format::Csv && self.columns.is_empty() {
                self.at = memchr::memchr(b'\n', block).map_or(block.len(), |end| end + 1);
                self.columns.extend(block[..self.at].trim_ascii_end().split(|b| *b == b',').map(&target));
                if self.at == block.len() {
                    continue;
                }
            }
            break;
        }
        let taken = take(&self.columns, self.format, self.blocks.present(), self.at);
        let (value, next) = taken.with_context(|| format!("{} has a row that is none", self.path))?;
        self.at = next;
        Ok(Some(value))
    }
}

#[inline]
fn read<'a, R: Row<'a>>(columns: &[Target], format: Format, bytes: &'a [u8], at: usize) -> Option<(R, usize)> {
    match format {
        Format::Csv => read_csv(columns, bytes, at),
        Format::Jsonl => read_json(bytes, at),
    }
}

/// W5.
pub struct Enrich {
    /// Where a trader's text stands.
    traders: Numbered<(u32, u32)>,
    texts: Vec<u8>,
}

impl Enrich {
    /// With the traders of a file.
    pub fn new(traders: &Path, format: Format) -> Result<Enrich> {
        let mut job = Enrich { traders: Numbered::new(), texts: Vec::new() };
        let mut rows = Rows::open(traders, format)?;
        loop {
            let Enrich { traders, texts } = &mut job;
            let row = rows.next(Trader::target, |columns, format, bytes, at| {
                let (row, next): (Trader<'_>, usize) = read(columns, format, bytes, at)?;
                let start = texts.len();
                for part in [row.desk, b",", row.tier, b"\n"] {
                    texts.extend_from_slice(part);
                }
                traders.insert(small_number(row.trader_id)?, (start as u32, texts.len() as u32))?;
                Some(((), next))
            })?;
            if row.is_none() {
                return Ok(job);
            }
        }
    }
}

impl Job for Enrich {
    type Row<'a> = TradersRow<'a>;

    #[inline]
    fn row(&mut self, row: &TradersRow<'_>, sink: &mut Csv) -> Option<()> {
        price_parts(row.price)?;
        small_number(row.quantity)?;
        let Some((start, end)) = self.traders.get(small_number(row.trader_id)?) else { return Some(()) };
        let out = &mut sink.buffer;
        for field in [row.order_id, row.symbol, row.price, row.quantity] {
            out.extend_from_slice(field);
            out.push(b',');
        }
        out.extend_from_slice(&self.texts[start as usize..end as usize]);
        sink.counts.rows_out += 1;
        Some(())
    }

    fn end(&mut self, _sink: &mut Csv) {}
}

/// A price as it was written.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    bytes: [u8; 15],
    length: u8,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    id: u64,
    time_ms: u64,
    limit: Price,
}

/// W6.
pub struct Interval {
    rows: Rows,
    /// The first order that is younger than the last trade.
    ahead: Option<Placed>,
    orders: Numbered<Price>,
    /// Times and numbers of the orders held, oldest first.
    ages: VecDeque<(u64, u64)>,
    newest_ms: u64,
    reason: String,
}

impl Interval {
    /// With the orders of a file.
    pub fn new(orders: &Path, format: Format) -> Result<Interval> {
        let mut rows = Rows::open(orders, format)?;
        let ahead = next_order(&mut rows)?;
        Ok(Interval {
            rows,
            ahead,
            orders: Numbered::new(),
            ages: VecDeque::new(),
            newest_ms: 0,
            reason: "is not a trade in order".to_owned(),
        })
    }

    /// Holds the orders up to a time and forgets those that are too old for it.
    #[inline]
    fn turn_to(&mut self, time_ms: u64) -> Option<()> {
        while let Some(order) = self.ahead.filter(|order| order.time_ms <= time_ms) {
            self.orders.insert(order.id, order.limit)?;
            self.ages.push_back((order.time_ms, order.id));
            match next_order(&mut self.rows) {
                Ok(next) if next.is_none_or(|next| next.time_ms >= order.time_ms) => self.ahead = next,
                Ok(_) => return None,
                Err(error) => {
                    self.reason = format!("has no orders: {error:#}");
                    return None;
                }
            }
        }
        while let Some((_, id)) = self.ages.pop_front_if(|(time, _)| *time + (INTERVAL_MS as u64) < time_ms) {
            self.orders.remove(id);
        }
        Some(())
    }
}

#[inline]
fn next_order(rows: &mut Rows) -> Result<Option<Placed>> {
    rows.next(Order::target, |columns, format, bytes, at| {
        let (row, next): (Order<'_>, usize) = read(columns, format, bytes, at)?;
        price_parts(row.limit_price)?;
        let mut limit = Price { length: row.limit_price.len() as u8, ..Price::default() };
        limit.bytes.get_mut(..row.limit_price.len())?.copy_from_slice(row.limit_price);
        Some((Placed { id: small_number(row.order_id)?, time_ms: small_number(row.order_time)?, limit }, next))
    })
}

impl Job for Interval {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, sink: &mut Csv) -> Option<()> {
        price_parts(row.price)?;
        small_number(row.quantity)?;
        let time_ms = small_number(row.event_time)?;
        if time_ms != self.newest_ms {
            if time_ms < self.newest_ms {
                return None;
            }
            self.turn_to(time_ms)?;
            self.newest_ms = time_ms;
        }
        let Some(limit) = self.orders.get(small_number(row.order_id)?) else { return Some(()) };
        let out = &mut sink.buffer;
        for field in [row.order_id, row.symbol, row.price, row.quantity] {
            out.extend_from_slice(field);
            out.push(b',');
        }
        out.extend_from_slice(&limit.bytes[..usize::from(limit.length)]);
        out.push(b'\n');
        sink.counts.rows_out += 1;
        Some(())
    }

    fn end(&mut self, _sink: &mut Csv) {}

    fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_are_held_until_they_are_removed() {
        let mut rng = Rng::new(5, 9);
        let (mut table, mut truth) = (Numbered::new(), BTreeMap::new());
        for step in 0..200_000u64 {
            let number = rng.below(6_000);
            if rng.below(5) < 3 {
                assert_eq!(table.insert(number, step).is_some(), !truth.contains_key(&number));
                truth.entry(number).or_insert(step);
            } else {
                table.remove(number);
                truth.remove(&number);
            }
            let asked = rng.below(6_000);
            assert_eq!(table.get(asked), truth.get(&asked).copied());
        }
        assert_eq!(table.held, truth.len());
        assert!(table.slots.len() >= 2 * table.held);
    }
}
