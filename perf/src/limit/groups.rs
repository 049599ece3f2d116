//! Sums by symbol: open addressing on the symbol's bytes as one word, groups in order of first sight.

/// Slots; four times the symbols of the data keep probes short.
const SLOTS: usize = 4_096;
const SHIFT: u32 = 64 - SLOTS.trailing_zeros();
/// More groups than this would fill the table.
const GROUPS_MAX: usize = SLOTS / 2;
/// Odd and without pattern, so that the high bits of the product depend on all bytes.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What W2 to W4 keep of a group, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Rows.
    pub count: u64,
    /// Sum of quantities.
    pub quantity: u64,
    /// Sum of price times quantity, price parts.
    pub notional: i128,
    /// Sum of prices, price parts.
    pub price: i128,
}

/// All groups of one window.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Position in `sums` plus 1; 0 is free.
    slots: Vec<u16>,
    keys: Vec<(u64, u8)>,
    sums: Vec<Sums>,
}

impl Default for Groups {
    fn default() -> Groups {
        Groups { slots: vec![0; SLOTS], keys: Vec::new(), sums: Vec::new() }
    }
}

impl Groups {
    /// Number of a symbol's group, from 0 in order of first sight. `None` when the symbol has more than eight bytes or there
    /// are too many symbols.
    #[inline]
    pub fn group(&mut self, symbol: &[u8]) -> Option<usize> {
        let key = symbol
            .iter()
            .try_fold((0u64, 0u8), |(word, n), b| (n < 8).then(|| (word | u64::from(*b) << (8 * n), n + 1)))?;
        self.group_of(key)
    }

    /// Adds one row; `None` as of [`Groups::group`].
    #[inline]
    pub fn add(&mut self, symbol: &[u8], quantity: u64, price: u64) -> Option<()> {
        let group = self.group(symbol)?;
        let sums = &mut self.sums[group];
        sums.count += 1;
        sums.quantity += quantity;
        sums.notional += i128::from(quantity * price);
        sums.price += i128::from(price);
        Some(())
    }

    #[inline]
    fn group_of(&mut self, key: (u64, u8)) -> Option<usize> {
        let mut slot = (key.0.wrapping_mul(MULTIPLIER) >> SHIFT) as usize;
        loop {
            match self.slots[slot] {
                0 => return self.insert(slot, key),
                taken if self.keys[usize::from(taken) - 1] == key => return Some(usize::from(taken) - 1),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, key: (u64, u8)) -> Option<usize> {
        if self.sums.len() >= GROUPS_MAX {
            return None;
        }
        self.keys.push(key);
        self.sums.push(Sums::default());
        self.slots[slot] = self.sums.len() as u16;
        Some(self.sums.len() - 1)
    }

    /// Adds all groups of others, or takes them away again.
    pub fn merge(&mut self, others: &Groups, sign: i128) -> Option<()> {
        for (key, other) in others.keys.iter().zip(&others.sums) {
            let group = self.group_of(*key)?;
            let sums = &mut self.sums[group];
            let signed = |own: u64, other: u64| if sign < 0 { own - other } else { own + other };
            sums.count = signed(sums.count, other.count);
            sums.quantity = signed(sums.quantity, other.quantity);
            sums.notional += sign * other.notional;
            sums.price += sign * other.price;
        }
        Some(())
    }

    /// Gives every group that has rows.
    pub fn each(&self, mut each: impl FnMut(&[u8], &Sums)) {
        for ((word, len), sums) in self.keys.iter().zip(&self.sums).filter(|(_, sums)| sums.count > 0) {
            each(&word.to_le_bytes()[..usize::from(*len)], sums);
        }
    }

    /// Gives every group in order of first sight and forgets all.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8], &Sums)) {
        for ((word, len), sums) in self.keys.iter().zip(&self.sums) {
            each(&word.to_le_bytes()[..usize::from(*len)], sums);
        }
        self.slots.fill(0);
        self.keys.clear();
        self.sums.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_out_in_order_of_first_sight_and_only_once() {
        let mut groups = Groups::default();
        for (symbol, quantity, price) in [(&b"B"[..], 2, 10_000), (b"A", 1, 5), (b"B", 3, 20_000), (b"B\0", 1, 1)] {
            groups.add(symbol, quantity, price).expect("fits");
        }
        let mut seen = Vec::new();
        groups.drain(|symbol, sums| seen.push((symbol.to_vec(), *sums)));
        let b = Sums { count: 2, quantity: 5, notional: 80_000, price: 30_000 };
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0], (b"B".to_vec(), b));
        groups.drain(|_, _| panic!("forgotten"));
        assert_eq!(groups.add(b"123456789", 1, 1), None);
    }
}
