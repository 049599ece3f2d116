//! Fixed-size blocks of accumulators and key bytes, and the pool they come from and go back to.
//!
//! Every value of group `g` lies at `blocks[g / 1024][g % 1024]` and never moves while its owner lives. Growing takes
//! a block from the pool; releasing gives all of them back without looking at a single group. Values of a block are
//! initialised when a group is added, so a used block needs no clearing. One pool per operator and shard.

use velostream_types::Within;

/// Groups per block: 16 KiB of the widest accumulator, so that many small windows may be open at once.
pub const BLOCK: usize = 1024;
const SHIFT: u32 = BLOCK.trailing_zeros();
const MASK: usize = BLOCK - 1;
/// Bytes of a block of key bytes.
pub const KEY_BLOCK: usize = 16 * 1024;
/// Slot tables longer than this are freed instead of kept: clearing them would cost more than making a new one.
const KEPT_SLOTS: usize = 1 << 16;

type Block<T> = Box<[T; BLOCK]>;

/// Blocks that wait for their next owner.
#[derive(Debug, Default)]
pub struct BlockPool {
    wide: Vec<Block<i128>>,
    ints: Vec<Block<i64>>,
    floats: Vec<Block<f64>>,
    counts: Vec<Block<u64>>,
    words: Vec<Block<[u8; 8]>>,
    small: Vec<Block<u32>>,
    places: Vec<Block<Within>>,
    keys: Vec<Vec<u8>>,
    slots: Vec<Vec<u64>>,
}

impl BlockPool {
    /// Blocks of accumulators that wait, for tests and counters.
    pub fn waiting(&self) -> usize {
        self.wide.len()
            + self.ints.len()
            + self.floats.len()
            + self.counts.len()
            + self.words.len()
            + self.small.len()
            + self.places.len()
            + self.keys.len()
    }

    /// An empty buffer of at least `capacity` bytes.
    pub(crate) fn take_key_block(&mut self, capacity: usize) -> Vec<u8> {
        if capacity > KEY_BLOCK {
            return Vec::with_capacity(capacity);
        }
        self.keys.pop().unwrap_or_else(|| Vec::with_capacity(KEY_BLOCK))
    }

    pub(crate) fn give_key_blocks(&mut self, blocks: &mut Vec<Vec<u8>>) {
        self.keys.extend(blocks.drain(..).filter(|b| b.capacity() == KEY_BLOCK).map(|mut b| {
            b.clear();
            b
        }));
    }

    /// `len` empty slots.
    pub(crate) fn take_slots(&mut self, len: usize) -> Vec<u64> {
        match self.slots.pop() {
            Some(mut slots) => {
                slots.clear();
                slots.resize(len, 0);
                slots
            }
            None => vec![0; len],
        }
    }

    pub(crate) fn give_slots(&mut self, slots: Vec<u64>) {
        if slots.capacity() <= KEPT_SLOTS && slots.capacity() > 0 {
            self.slots.push(slots);
        }
    }
}

/// A value that lives in pooled blocks.
pub trait Pooled: Copy + Default {
    /// Where blocks of this type wait.
    fn waiting(pool: &mut BlockPool) -> &mut Vec<Box<[Self; BLOCK]>>;
}

macro_rules! pooled {
    ($($ty:ty => $field:ident),*) => {
        $(impl Pooled for $ty {
            fn waiting(pool: &mut BlockPool) -> &mut Vec<Box<[Self; BLOCK]>> {
                &mut pool.$field
            }
        })*
    };
}
pooled!(i128 => wide, i64 => ints, f64 => floats, u64 => counts, [u8; 8] => words, u32 => small, Within => places);

/// One value per group.
#[derive(Debug)]
pub struct Blocks<T> {
    blocks: Vec<Block<T>>,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: Vec::new(), len: 0 }
    }
}

impl<T: Pooled> Blocks<T> {
    /// No values.
    pub fn new() -> Blocks<T> {
        Blocks::default()
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.len
    }

    /// TRUE when there is no group.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for groups below `len`; new ones hold `fill`.
    pub fn grow(&mut self, len: usize, fill: T, pool: &mut BlockPool) {
        while self.len < len {
            let at = self.len & MASK;
            if at == 0 {
                let block = T::waiting(pool).pop().unwrap_or_else(|| Box::new([T::default(); BLOCK]));
                self.blocks.push(block);
            }
            let upto = BLOCK.min(at + len - self.len);
            if let Some(block) = self.blocks.last_mut() {
                block[at..upto].fill(fill);
            }
            self.len += upto - at;
        }
    }

    /// Value of group `g`.
    #[inline]
    pub fn get(&self, g: u32) -> T {
        self.blocks[(g >> SHIFT) as usize][g as usize & MASK]
    }

    /// Value of group `g`, in place.
    #[inline]
    pub fn peek(&self, g: u32) -> &T {
        &self.blocks[(g >> SHIFT) as usize][g as usize & MASK]
    }

    /// Value of group `g`, to change.
    #[inline]
    pub fn at(&mut self, g: u32) -> &mut T {
        &mut self.blocks[(g >> SHIFT) as usize][g as usize & MASK]
    }

    /// Calls `f(i, value of groups[i])` in order. The loop of every accumulator: windows of one block, the usual case,
    /// save the look-up of the block.
    #[inline(always)]
    pub fn update(&mut self, groups: &[u32], mut f: impl FnMut(usize, &mut T)) {
        if let [block] = self.blocks.as_mut_slice() {
            for (i, g) in groups.iter().enumerate() {
                f(i, &mut block[*g as usize & MASK]);
            }
        } else {
            let blocks = self.blocks.as_mut_slice();
            for (i, g) in groups.iter().enumerate() {
                f(i, &mut blocks[(*g >> SHIFT) as usize][*g as usize & MASK]);
            }
        }
    }

    /// Calls `f` with every value in group order.
    pub fn for_each(&mut self, mut f: impl FnMut(u32, &mut T)) {
        let mut left = self.len;
        for (b, block) in self.blocks.iter_mut().enumerate() {
            for (i, value) in block.iter_mut().take(left.min(BLOCK)).enumerate() {
                f((b * BLOCK + i) as u32, value);
            }
            left = left.saturating_sub(BLOCK);
        }
    }

    /// Gives all blocks back.
    pub fn release(&mut self, pool: &mut BlockPool) {
        T::waiting(pool).append(&mut self.blocks);
        self.len = 0;
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<[T; BLOCK]>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_and_blocks_come_back() {
        let mut pool = BlockPool::default();
        let mut b = Blocks::<i64>::new();
        b.grow(3, 7, &mut pool);
        *b.at(2) = 9;
        b.grow(2500, 1, &mut pool);
        assert_eq!((b.get(0), b.get(2), b.get(3), b.get(2499), b.len()), (7, 9, 1, 1, 2500));
        b.update(&[0, 2000], |i, v| *v += 10 + i as i64);
        assert_eq!((b.get(0), b.get(2000)), (17, 12));
        let mut seen = 0;
        b.for_each(|_, _| seen += 1);
        assert_eq!(seen, 2500);
        b.release(&mut pool);
        assert_eq!((b.len(), b.bytes(), pool.waiting()), (0, 0, 3));
        b.grow(1, 5, &mut pool);
        assert_eq!((b.get(0), pool.waiting()), (5, 2), "a used block is initialised again");
    }
}
