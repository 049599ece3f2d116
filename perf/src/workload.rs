//! The workloads: their SQL, their output columns and their bars.

use crate::generate::{Format, Table};

/// A measured query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Workload {
    /// Projection and filter.
    W1,
    /// GROUP BY symbol, final.
    W2,
    /// The same per tumbling second.
    W3,
    /// The same per ten seconds, each second.
    W4,
    /// Each trade with its trader, from a table of 10,000.
    W5,
    /// Each trade with its order, placed up to 300 ms before it.
    W6,
    /// LAG and a moving average per symbol.
    W7,
}

/// Windows side by side; the size is a multiple of the slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Length of a window.
    pub size_ms: i64,
    /// From the start of one to that of the next.
    pub slide_ms: i64,
}

impl Workload {
    /// Name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Workload::W1 => "w1",
            Workload::W2 => "w2",
            Workload::W3 => "w3",
            Workload::W4 => "w4",
            Workload::W5 => "w5",
            Workload::W6 => "w6",
            Workload::W7 => "w7",
        }
    }

    /// The app, with `${…}` for what differs between runs.
    pub const fn sql(self) -> &'static str {
        match self {
            Workload::W1 => include_str!("../sql/w1.sql"),
            Workload::W2 => include_str!("../sql/w2.sql"),
            Workload::W3 => include_str!("../sql/w3.sql"),
            Workload::W4 => include_str!("../sql/w4.sql"),
            Workload::W5 => include_str!("../sql/w5.sql"),
            Workload::W6 => include_str!("../sql/w6.sql"),
            Workload::W7 => include_str!("../sql/w7.sql"),
        }
    }

    /// Windows of a workload that has them.
    pub const fn window(self) -> Option<Hop> {
        match self {
            Workload::W1 | Workload::W2 | Workload::W5 | Workload::W6 | Workload::W7 => None,
            Workload::W3 => Some(Hop { size_ms: 1_000, slide_ms: 1_000 }),
            Workload::W4 => Some(Hop { size_ms: 10_000, slide_ms: 1_000 }),
        }
    }

    /// What it reads beside the trades.
    pub const fn beside(self) -> Option<Table> {
        match self {
            Workload::W5 => Some(Table::Traders),
            Workload::W6 => Some(Table::Orders),
            Workload::W1 | Workload::W2 | Workload::W3 | Workload::W4 | Workload::W7 => None,
        }
    }

    /// TRUE when a trade without a time is of no use to it.
    pub const fn is_timed(self) -> bool {
        matches!(self, Workload::W3 | Workload::W4 | Workload::W6 | Workload::W7)
    }

    /// First line of the output.
    pub const fn header(self) -> &'static str {
        match self {
            Workload::W1 => "order_id,symbol,price,quantity,notional\n",
            Workload::W2 => "symbol,trades,volume,notional,avg_price\n",
            Workload::W3 | Workload::W4 => "symbol,window_start,trades,volume,notional,avg_price\n",
            Workload::W5 => "order_id,symbol,price,quantity,desk,tier\n",
            Workload::W6 => "order_id,symbol,price,quantity,limit_price\n",
            Workload::W7 => "order_id,symbol,price,previous,average\n",
        }
    }

    /// Rows per CPU-second as a multiple of `serde_json` to a tree over the JSONL of the same rows: at least this.
    pub const fn bar_over_tree(self, format: Format) -> f64 {
        match (self, format) {
            (Workload::W1, Format::Csv) => 2.5,
            (Workload::W2, Format::Csv) => 3.0,
            (Workload::W3 | Workload::W4, Format::Csv) => 2.5,
            (Workload::W5, Format::Csv) => 2.0,
            (Workload::W6, Format::Csv) => 1.1,
            (Workload::W7, Format::Csv) => 1.5,
            (Workload::W1, Format::Jsonl) => 1.7,
            (Workload::W2, Format::Jsonl) => 2.5,
            (Workload::W3 | Workload::W4, Format::Jsonl) => 2.0,
            (Workload::W5, Format::Jsonl) => 1.5,
            (Workload::W6, Format::Jsonl) => 0.8,
            // Decoding alone takes a third of the tree's time.
            (Workload::W7, Format::Jsonl) => 1.2,
        }
    }
}

/// An order of W6 is placed at most this long before its trade, ms.
pub const INTERVAL_MS: i64 = 300;

/// The part of the hand-written program's speed the engine has to reach.
pub const BAR_OF_LIMIT: f64 = 0.55;
/// The part it aims at.
pub const GOAL_OF_LIMIT: f64 = 0.80;

/// Decoding all columns of this format over the tree: at least this.
pub const fn bar_decode_over_tree(format: Format) -> f64 {
    match format {
        Format::Csv => 8.0,
        Format::Jsonl => 5.0,
    }
}
