//! A seeded market: prices walk at random per symbol, popular symbols trade more, now and then one is traded in large
//! lots for a second, and some trades are cancelled.
//!
//! The feed is a function of its seed, its rate and its start: no clock. Times are event time, ms; prices are in
//! ten-thousandths.

use std::time::Duration;

use velostream_types::time::NS_PER_SEC;

/// Symbols with their opening prices.
pub const SYMBOLS: [(&str, i64); 12] = [
    ("AAPL", 1_895_000),
    ("MSFT", 4_152_500),
    ("NVDA", 8_750_000),
    ("AMZN", 1_782_500),
    ("GOOG", 1_418_000),
    ("META", 4_930_000),
    ("TSLA", 2_451_000),
    ("JPM", 1_986_500),
    ("XOM", 1_123_000),
    ("KO", 601_500),
    ("INTC", 437_500),
    ("NFLX", 6_105_000),
];

/// A symbol is traded in large lots once in so many seconds, on average.
const BURST_EVERY_S: u64 = 3;
/// How much larger lots are then.
const BURST_LOTS: u64 = 12;
/// One trade in so many is cancelled.
const CANCELLED: u64 = 200;
/// Trades arrive up to this much late, ms: less than the bound of the app's watermark.
const JITTER_MS: u64 = 50;

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Position in [`SYMBOLS`].
    pub symbol: usize,
    /// Price per share, ten-thousandths.
    pub price: i64,
    /// Shares; 0 when cancelled.
    pub quantity: i64,
    /// Bought or sold.
    pub is_buy: bool,
    /// Event time, ms.
    pub time_ms: i64,
}

impl Trade {
    /// Its symbol: the record's key.
    pub fn name(&self) -> &'static str {
        SYMBOLS[self.symbol].0
    }

    /// The record's value, written into `out`.
    pub fn json(&self, out: &mut String) {
        use std::fmt::Write;
        let Trade { price, quantity, time_ms, .. } = self;
        let (name, side) = (self.name(), if self.is_buy { "BUY" } else { "SELL" });
        let (whole, fraction) = (price / 10_000, price % 10_000);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            r#"{{"symbol":"{name}","price":{whole}.{fraction:04},"quantity":{quantity},"side":"{side}","event_time":{time_ms}}}"#
        );
    }
}

/// The generator.
pub struct Feed {
    state: u64,
    rate: u64,
    start_ms: i64,
    /// Trades made so far.
    made: u64,
    prices: [i64; SYMBOLS.len()],
    /// Symbol traded in large lots, and how many more trades that lasts.
    burst: Option<(usize, u64)>,
}

impl Feed {
    /// A feed of `rate` trades per second of event time from `start_ms` on.
    pub fn new(seed: u64, rate: u64, start_ms: i64) -> Feed {
        Feed { state: seed, rate: rate.max(1), start_ms, made: 0, prices: SYMBOLS.map(|(_, price)| price), burst: None }
    }

    /// Trades made so far.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Trades that the market makes in so much time.
    pub fn due(&self, elapsed: Duration) -> u64 {
        (elapsed.as_nanos() * u128::from(self.rate) / NS_PER_SEC as u128) as u64
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random() % n
    }

    /// The next trade's symbol, and whether it is traded in large lots. Each symbol is traded once at the opening.
    fn symbol(&mut self) -> (usize, bool) {
        let n = SYMBOLS.len() as u64;
        if self.made < n {
            return (self.made as usize, false);
        }
        if self.burst.is_none() && self.below(self.rate * BURST_EVERY_S) == 0 {
            self.burst = Some((self.below(n) as usize, self.rate));
        }
        if let Some((symbol, left)) = self.burst {
            self.burst = (left > 1).then_some((symbol, left - 1));
            if self.below(10) < 4 {
                return (symbol, true);
            }
        }
        // The smaller of two draws: the first symbols trade most.
        (self.below(n).min(self.below(n)) as usize, false)
    }

    /// The next trade.
    pub fn trade(&mut self) -> Trade {
        let due_ms = self.start_ms + (u128::from(self.made) * 1_000 / u128::from(self.rate)) as i64;
        let (symbol, large) = self.symbol();
        self.made += 1;
        let step = self.below(41) as i64 - 20;
        self.prices[symbol] = (self.prices[symbol] + step * self.prices[symbol] / 100_000).max(10_000);
        let lot = (1 + self.below(100)) * if large { BURST_LOTS } else { 1 };
        let quantity = if self.below(CANCELLED) == 0 { 0 } else { lot as i64 };
        let is_buy = self.below(2) == 0;
        let time_ms = due_ms - self.below(JITTER_MS) as i64;
        Trade { symbol, price: self.prices[symbol], quantity, is_buy, time_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(seed: u64) -> Vec<Trade> {
        let mut feed = Feed::new(seed, 1_000, 0);
        (0..20_000).map(|_| feed.trade()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_market() {
        assert_eq!(market(7), market(7));
        assert_ne!(market(7), market(8));
    }

    #[test]
    fn the_market_has_what_the_demo_shows() {
        let trades = market(42);
        let cancelled = trades.iter().filter(|t| t.quantity == 0).count();
        let large = trades.iter().filter(|t| t.quantity > 100).count();
        assert!((50..200).contains(&cancelled) && large > 500, "{cancelled} cancelled, {large} large");
        assert!(SYMBOLS.iter().enumerate().all(|(s, _)| trades.iter().any(|t| t.symbol == s)));
        let mut highest = trades[0].time_ms;
        for trade in &trades {
            assert!(trade.time_ms > highest - 100, "behind the watermark");
            highest = highest.max(trade.time_ms);
        }
    }

    #[test]
    fn records_are_json() {
        let mut text = String::new();
        Trade { symbol: 9, price: 601_507, quantity: 3, is_buy: true, time_ms: 17 }.json(&mut text);
        assert_eq!(text, r#"{"symbol":"KO","price":60.1507,"quantity":3,"side":"BUY","event_time":17}"#);
    }
}
