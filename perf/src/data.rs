//! The market data every workload reads, as a pure function of a seed.
//!
//! Trades are drawn in order: symbols by Zipf's law over 1,000 names, one random price walk per symbol in steps of
//! 0.0001, ten trades per millisecond. Only integers take part, so the same seed gives the same bytes on every
//! machine. Cost: about 40 ns a trade.

/// Distinct symbols.
pub const SYMBOLS: usize = 1_000;
/// Distinct traders.
pub const TRADERS: u64 = 10_000;
/// Event time of the first trade, ms.
pub const FIRST_EVENT_MS: i64 = 1_700_000_000_000;
/// Trades per millisecond of event time.
pub const ROWS_PER_MS: u64 = 10;
/// Prices are counted in this many parts of one unit: four digits after the point.
pub const PRICE_UNIT: i64 = 10_000;
/// An order is placed at most this long before its trade, ms.
pub const ORDER_LEAD_MS_MAX: u64 = 500;

const VENUES: [&str; 4] = ["XNAS", "XNYS", "ARCX", "BATS"];
/// A walk turns back here, so prices stay positive.
const PRICE_FLOOR: i64 = PRICE_UNIT;
/// Largest step of a walk, in price parts.
const STEP_MAX: u64 = 500;

/// SplitMix64: one addition and three multiply-shift rounds per number, every seed as good as another.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream of numbers of its own for each (seed, stream).
    pub fn new(seed: u64, stream: u64) -> Rng {
        let mut mixer = Rng(stream);
        let offset = mixer.draw();
        Rng(seed ^ offset)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, by the high half of a product; the bias is below n / 2^64.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(n)) >> 64) as u64
    }
}

/// Zipf's law with exponent 1 over [`SYMBOLS`] ranks, by cumulative integer weights.
#[derive(Clone, Debug)]
struct Zipf {
    cumulative: Vec<u64>,
}

impl Zipf {
    fn new() -> Zipf {
        let mut total = 0;
        let cumulative = (1..=SYMBOLS as u64)
            .map(|rank| {
                total += (1 << 40) / rank;
                total
            })
            .collect();
        Zipf { cumulative }
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let total = self.cumulative[SYMBOLS - 1];
        let ticket = rng.below(total);
        self.cumulative.partition_point(|upto| *upto <= ticket)
    }
}

/// One trade as drawn; how it is written is the writer's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// 1-based number of the trade.
    pub order_id: u64,
    /// Rank of the symbol, 0 is the most traded.
    pub symbol: usize,
    /// Trader, 0-based.
    pub trader_id: u64,
    /// TRUE: bought.
    pub buy: bool,
    /// Where it was traded.
    pub venue: &'static str,
    /// Price in parts of [`PRICE_UNIT`].
    pub price: i64,
    /// 1 to 1,000.
    pub quantity: u64,
    /// Event time, ms.
    pub event_time_ms: i64,
}

/// Endless trades of one seed.
#[derive(Clone, Debug)]
pub struct Market {
    rng: Rng,
    zipf: Zipf,
    prices: Vec<i64>,
    drawn: u64,
}

impl Market {
    /// The market of a seed, before its first trade.
    pub fn new(seed: u64) -> Market {
        let mut opening = Rng::new(seed, 1);
        let prices = (0..SYMBOLS).map(|_| 20 * PRICE_UNIT + opening.below(230 * PRICE_UNIT as u64) as i64).collect();
        Market { rng: Rng::new(seed, 2), zipf: Zipf::new(), prices, drawn: 0 }
    }
}

impl Iterator for Market {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        let rng = &mut self.rng;
        let symbol = self.zipf.draw(rng);
        let step = rng.below(2 * STEP_MAX + 1) as i64 - STEP_MAX as i64;
        let moved = self.prices[symbol] + step;
        let price = if moved < PRICE_FLOOR { 2 * PRICE_FLOOR - moved } else { moved };
        self.prices[symbol] = price;
        let mixed = rng.draw();
        let trade = Trade {
            order_id: self.drawn + 1,
            symbol,
            trader_id: rng.below(TRADERS),
            buy: mixed & 1 == 0,
            venue: VENUES[(mixed >> 1 & 3) as usize],
            price,
            quantity: 1 + rng.below(1_000),
            event_time_ms: FIRST_EVENT_MS + (self.drawn / ROWS_PER_MS) as i64,
        };
        self.drawn += 1;
        Some(trade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_market() {
        let rows = |seed| Market::new(seed).take(10_000).collect::<Vec<_>>();
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn few_symbols_carry_most_trades() {
        let mut counts = vec![0u32; SYMBOLS];
        Market::new(1).take(100_000).for_each(|t| counts[t.symbol] += 1);
        // Rank 1 has 1 / H(1000) = 13.4 % of the trades, rank 10 a tenth of that.
        assert!((12_900..13_900).contains(&counts[0]), "{}", counts[0]);
        assert!((1_200..1_480).contains(&counts[9]), "{}", counts[9]);
        assert!(counts.iter().filter(|c| **c > 0).count() > 990);
    }

    #[test]
    fn walks_stay_positive_and_time_runs_ten_trades_a_millisecond() {
        for (i, trade) in Market::new(3).take(50_000).enumerate() {
            assert!(trade.price >= PRICE_FLOOR && (1..=1_000).contains(&trade.quantity) && trade.trader_id < TRADERS);
            assert_eq!(trade.event_time_ms, FIRST_EVENT_MS + i as i64 / 10);
            assert_eq!(trade.order_id, i as u64 + 1);
        }
    }
}
