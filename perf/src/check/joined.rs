//! W5 and W6 by their definition: what stands beside the trades, by the text of its key, in lists that are searched.
//!
//! A trade and its order match when the order is at most 300 ms older, and when neither came so late that the other side
//! was past its last possible partner: the watermark that each had in its own file is kept with it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::record::{self, Record};
use super::{CheckOptions, PRICE_SCALE};
use crate::blocks::for_each_block;
use crate::generate::{Format, Table};
use crate::workload::INTERVAL_MS;

/// An order as W6 sees it.
#[derive(Clone, Debug)]
struct Order {
    time_ms: i64,
    limit_price: String,
    /// Highest time of the orders before it: they are in order, so this is their watermark.
    own_ms: Option<i64>,
}

/// What a workload reads beside the trades.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Desk and tier by trader.
    traders: BTreeMap<String, Vec<(String, String)>>,
    orders: BTreeMap<String, Vec<Order>>,
}

impl Beside {
    /// Reads it, if the workload has any.
    pub fn read(options: &CheckOptions) -> Result<Beside> {
        let mut beside = Beside::default();
        let Some(table) = options.workload.beside() else { return Ok(beside) };
        let path = options.beside.as_deref().with_context(|| format!("no file of the {}", table.name()))?;
        let mut newest_ms = None;
        each_row(path, options.format, |row| {
            let field = |name: &str| {
                let found = row.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
                found.with_context(|| format!("{}: a row has no {name}: {row:?}", path.display()))
            };
            if table == Table::Traders {
                let trader = (field("desk")?, field("tier")?);
                beside.traders.entry(field("trader_id")?).or_default().push(trader);
            } else {
                let time_ms = field("order_time")?.parse().context("an order's time is a number")?;
                let order = Order { time_ms, limit_price: field("limit_price")?, own_ms: newest_ms };
                beside.orders.entry(field("order_id")?).or_default().push(order);
                newest_ms = newest_ms.max(Some(time_ms));
            }
            Ok(())
        })?;
        Ok(beside)
    }

    /// W5's lines of a trade.
    pub fn enriched(&self, trade: &Record) -> Vec<Vec<u8>> {
        let traders = trade.trader_id.as_ref().and_then(|id| self.traders.get(id)).into_iter().flatten();
        traders.map(|(desk, tier)| line(trade, &format!("{desk},{tier}"))).collect()
    }

    /// W6's lines of a trade, before which its own file's watermark was `own_ms`.
    pub fn ordered(&self, trade: &Record, own_ms: Option<i64>) -> Vec<Vec<u8>> {
        let time = trade.event_time_ms.unwrap_or_default();
        let matches = |order: &&Order| {
            let last_trade = order.time_ms + INTERVAL_MS;
            (order.time_ms..=last_trade).contains(&time)
                && own_ms.is_none_or(|own| last_trade >= own)
                && order.own_ms.is_none_or(|own| time >= own)
        };
        let orders = self.orders.get(&trade.order_id).into_iter().flatten().filter(matches);
        orders.map(|order| line(trade, &order.limit_price)).collect()
    }
}

fn line(trade: &Record, rest: &str) -> Vec<u8> {
    let (price, quantity) = (trade.price.trimmed(PRICE_SCALE), trade.quantity.trimmed(0));
    format!("{},{},{price},{quantity},{rest}", trade.order_id, trade.symbol).into_bytes()
}

/// The rows of a clean file as pairs of name and text.
fn each_row(path: &Path, format: Format, mut each: impl FnMut(Vec<(String, String)>) -> Result<()>) -> Result<()> {
    let mut columns: Option<Vec<String>> = None;
    for_each_block(path, |block| {
        for line in block.strip_suffix(b"\n").unwrap_or(block).split(|b| *b == b'\n') {
            let text = std::str::from_utf8(line).context("a line is no text")?;
            let row = match (format, &columns) {
                (Format::Csv, None) => {
                    columns = Some(text.split(',').map(str::to_owned).collect());
                    continue;
                }
                (Format::Csv, Some(names)) => names.iter().cloned().zip(text.split(',').map(str::to_owned)).collect(),
                (Format::Jsonl, _) => record::json_fields(text).context("a line is no JSON object")?,
            };
            each(row)?;
        }
        Ok(())
    })
}
