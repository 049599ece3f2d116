//! One record cut into its fields, eight bytes at a time.
//!
//! What a careful person would write for these columns alone: any column order, JSON white space and unknown fields are
//! accepted; quoted CSV fields, escapes and nested values are not, because no trade has them. Nothing is decoded here:
//! what a workload does not use costs only the search for its end.

/// Fields the workloads use, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawRow<'a> {
    /// Digits.
    pub order_id: &'a [u8],
    /// `S` and three digits.
    pub symbol: &'a [u8],
    /// Four digits after the point.
    pub price: &'a [u8],
    /// Digits.
    pub quantity: &'a [u8],
    /// Digits.
    pub event_time: &'a [u8],
}

/// What W5 uses of a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TradersRow<'a> {
    /// Digits.
    pub order_id: &'a [u8],
    /// `S` and three digits.
    pub symbol: &'a [u8],
    /// Digits.
    pub trader_id: &'a [u8],
    /// Four digits after the point.
    pub price: &'a [u8],
    /// Digits.
    pub quantity: &'a [u8],
}

/// What W5 uses of a trader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trader<'a> {
    /// Digits.
    pub trader_id: &'a [u8],
    /// Letters.
    pub desk: &'a [u8],
    /// Letters.
    pub tier: &'a [u8],
}

/// What W6 uses of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order<'a> {
    /// Digits.
    pub order_id: &'a [u8],
    /// Four digits after the point.
    pub limit_price: &'a [u8],
    /// Digits.
    pub order_time: &'a [u8],
}

/// Position of `needle` at or behind `from`: a word whose bytes equal to the needle are zero has its lowest such
/// byte marked by the borrow of a subtraction.
#[inline(always)]
fn find(bytes: &[u8], mut from: usize, needle: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = ONES * u64::from(needle);
    while let Some(word) = bytes.get(from..from + 8) {
        let word = u64::from_le_bytes(word.try_into().ok()?) ^ pattern;
        let hit = word.wrapping_sub(ONES) & !word & HIGH;
        if hit != 0 {
            return Some(from + (hit.trailing_zeros() / 8) as usize);
        }
        from += 8;
    }
    bytes.get(from..)?.iter().position(|b| *b == needle).map(|at| from + at)
}

/// Where a column stands in a row, if its workload reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Not read.
    Skip,
    /// `order_id`
    OrderId,
    /// `symbol`
    Symbol,
    /// `price`
    Price,
    /// `quantity`
    Quantity,
    /// `event_time`
    EventTime,
    /// `trader_id`
    TraderId,
    /// `desk`
    Desk,
    /// `tier`
    Tier,
    /// `limit_price`
    LimitPrice,
    /// `order_time`
    OrderTime,
}

/// A row of raw fields.
pub trait Row<'a>: Default {
    /// The target of a column.
    fn target(name: &[u8]) -> Target;
    /// Puts a field in its place.
    fn set(&mut self, target: Target, text: &'a [u8]);
}

impl<'a> Row<'a> for RawRow<'a> {
    #[inline(always)]
    fn target(name: &[u8]) -> Target {
        match name {
            b"order_id" => Target::OrderId,
            b"symbol" => Target::Symbol,
            b"price" => Target::Price,
            b"quantity" => Target::Quantity,
            b"event_time" => Target::EventTime,
            _ => Target::Skip,
        }
    }

    #[inline(always)]
    fn set(&mut self, target: Target, text: &'a [u8]) {
        match target {
            Target::OrderId => self.order_id = text,
            Target::Symbol => self.symbol = text,
            Target::Price => self.price = text,
            Target::Quantity => self.quantity = text,
            Target::EventTime => self.event_time = text,
            _ => (),
        }
    }
}

impl<'a> Row<'a> for TradersRow<'a> {
    #[inline(always)]
    fn target(name: &[u8]) -> Target {
        match name {
            b"order_id" => Target::OrderId,
            b"symbol" => Target::Symbol,
            b"trader_id" => Target::TraderId,
            b"price" => Target::Price,
            b"quantity" => Target::Quantity,
            _ => Target::Skip,
        }
    }

    #[inline(always)]
    fn set(&mut self, target: Target, text: &'a [u8]) {
        match target {
            Target::OrderId => self.order_id = text,
            Target::Symbol => self.symbol = text,
            Target::TraderId => self.trader_id = text,
            Target::Price => self.price = text,
            Target::Quantity => self.quantity = text,
            _ => (),
        }
    }
}

impl<'a> Row<'a> for Trader<'a> {
    fn target(name: &[u8]) -> Target {
        match name {
            b"trader_id" => Target::TraderId,
            b"desk" => Target::Desk,
            b"tier" => Target::Tier,
            _ => Target::Skip,
        }
    }

    fn set(&mut self, target: Target, text: &'a [u8]) {
        match target {
            Target::TraderId => self.trader_id = text,
            Target::Desk => self.desk = text,
            Target::Tier => self.tier = text,
            _ => (),
        }
    }
}

impl<'a> Row<'a> for Order<'a> {
    #[inline(always)]
    fn target(name: &[u8]) -> Target {
        match name {
            b"order_id" => Target::OrderId,
            b"limit_price" => Target::LimitPrice,
            b"order_time" => Target::OrderTime,
            _ => Target::Skip,
        }
    }

    #[inline(always)]
    fn set(&mut self, target: Target, text: &'a [u8]) {
        match target {
            Target::OrderId => self.order_id = text,
            Target::LimitPrice => self.limit_price = text,
            Target::OrderTime => self.order_time = text,
            _ => (),
        }
    }
}

/// The CSV record at `at`, its columns as the header says, and where the next record begins.
#[inline(always)]
pub fn read_csv<'a, R: Row<'a>>(columns: &[Target], bytes: &'a [u8], at: usize) -> Option<(R, usize)> {
    let end = at + memchr::memchr(b'\n', bytes.get(at..)?)?;
    let line = &bytes[..end];
    let mut row = R::default();
    let mut start = at;
    let (last, leading) = columns.split_last()?;
    for target in leading {
        let comma = find(line, start, b',')?;
        row.set(*target, &line[start..comma]);
        start = comma + 1;
    }
    let field = &line[start..];
    if field.contains(&b',') || field.first() == Some(&b'"') {
        return None;
    }
    row.set(*last, field);
    Some((row, end + 1))
}

#[inline(always)]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

/// The string whose quote is at `at`, and what comes behind it.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let end = find(bytes, at + 1, b'"')?;
    let text = &bytes[at + 1..end];
    (!text.contains(&b'\\')).then_some((text, end + 1))
}

/// The JSON record at `at` and where the next one begins.
#[inline(always)]
pub fn read_json<'a, R: Row<'a>>(bytes: &'a [u8], at: usize) -> Option<(R, usize)> {
    let mut row = R::default();
    let mut at = skip_space(bytes, at);
    if *bytes.get(at)? != b'{' {
        return None;
    }
    loop {
        let (name, behind) = string(bytes, skip_space(bytes, at + 1))?;
        let colon = skip_space(bytes, behind);
        if *bytes.get(colon)? != b':' {
            return None;
        }
        let start = skip_space(bytes, colon + 1);
        let (text, behind) = if *bytes.get(start)? == b'"' {
            string(bytes, start)?
        } else {
            let length = bytes[start..].iter().position(|b| matches!(b, b',' | b'}' | b' ' | b'\n'))?;
            (&bytes[start..start + length], start + length)
        };
        row.set(R::target(name), text);
        at = skip_space(bytes, behind);
        match bytes.get(at)? {
            b',' => (),
            b'}' => break,
            _ => return None,
        }
    }
    let end = skip_space(bytes, at + 1);
    (*bytes.get(end)? == b'\n').then_some((row, end + 1))
}

/// Digits as a number; at most 18 of them.
#[inline(always)]
pub fn small_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut n = 0u64;
    let mut highest = 0u8;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        highest = highest.max(value);
        n = n * 10 + u64::from(value & 15);
    }
    (highest <= 9).then_some(n)
}

/// A price with four digits after the point, in ten-thousandths.
#[inline(always)]
pub fn price_parts(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = text.split_at_checked(text.len().checked_sub(5)?)?;
    if fraction[0] != b'.' {
        return None;
    }
    Some(small_number(whole)? * 10_000 + small_number(&fraction[1..])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Market;
    use crate::generate::{Format, TRADES_HEADER, write_trade};
    use crate::mixed::RowShape;

    #[test]
    fn both_formats_give_the_fields_of_the_trade() {
        for trade in Market::new(11).take(2_000) {
            let mut lines = [Vec::new(), Vec::new()];
            write_trade(&mut lines[0], Format::Csv, &trade, &RowShape::default());
            write_trade(&mut lines[1], Format::Jsonl, &trade, &RowShape::default());
            let (csv, end): (RawRow<'_>, usize) = read_csv(&columns(), &lines[0], 0).expect("CSV");
            assert_eq!(end, lines[0].len());
            assert_eq!(read_json(&lines[1], 0), Some((csv, lines[1].len())));
            assert_eq!(small_number(csv.order_id), Some(trade.order_id));
            assert_eq!(price_parts(csv.price), Some(trade.price as u64));
            assert_eq!(small_number(csv.quantity), Some(trade.quantity));
            assert_eq!(small_number(csv.event_time), Some(trade.event_time_ms as u64));
        }
    }

    fn columns() -> Vec<Target> {
        TRADES_HEADER.trim_end().split(',').map(|name| RawRow::target(name.as_bytes())).collect()
    }

    #[test]
    fn any_order_of_columns_is_read() {
        let columns = [Target::Price, Target::Skip, Target::Symbol];
        let (row, end): (RawRow<'_>, usize) = read_csv(&columns, b"1.5,x,S\n", 0).expect("CSV");
        assert_eq!((row.price, row.symbol, end), (&b"1.5"[..], &b"S"[..], 8));
        let text = b"{ \"price\" : 1.5 , \"x\":null,\"symbol\":\"S\" }\r\n";
        let (row, _): (RawRow<'_>, usize) = read_json(text, 0).expect("JSON");
        assert_eq!((row.price, row.symbol), (&b"1.5"[..], &b"S"[..]));
    }

    #[test]
    fn what_is_no_trade_is_refused() {
        assert_eq!(read_csv::<RawRow<'_>>(&columns(), b"1,S001,2,B,XNAS,10.5000,7\n", 0), None);
        assert_eq!(read_csv::<RawRow<'_>>(&columns(), b"1,S001,2,B,XNAS,10.5000,7,1,9\n", 0), None);
        assert_eq!(read_json::<RawRow<'_>>(b"{\"order_id\":1\n", 0), None);
        assert_eq!(read_json::<RawRow<'_>>(b"{\"order_id\":1} 7\n", 0), None);
        assert_eq!([price_parts(b"10.500"), price_parts(b"5"), small_number(b"1x")], [None, None, None]);
    }
}
