//! APPROX_COUNT_DISTINCT: the different values themselves, by hash, while they are few; then a HyperLogLog sketch.
//!
//! Up to [`FEW`] hashes are kept, so small counts are exact. Beyond that 4,096 registers hold, for the hashes that fall
//! to them, the longest run of leading zeros; the count follows from how the registers are distributed, with Ertl's
//! estimator, which needs no correction tables (standard error 1.04 / √4096, 1.6 %). What is kept is a function of the
//! set of values, so order, batches and shards do not matter. A row cannot be taken back.

use velostream_state::key::KeyEncoder;
use velostream_types::{Column, vnode};

/// Hashes kept as they are: as many bytes as the registers take.
const FEW: usize = 512;
/// Bits that choose a register.
const INDEX_BITS: u32 = 12;
const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits left for the run of zeros.
const RUN_BITS: usize = 64 - INDEX_BITS as usize;

#[derive(Clone, Debug)]
enum Sketch {
    /// Ascending.
    Hashes(Vec<u64>),
    Registers(Box<[u8; REGISTERS]>),
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        match self {
            Sketch::Hashes(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                }
                if hashes.len() > FEW {
                    let mut registers = Box::new([0; REGISTERS]);
                    hashes.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Sketch::Registers(registers);
                }
            }
            Sketch::Registers(registers) => note(registers, hash),
        }
    }

    fn count(&self) -> i64 {
        match self {
            Sketch::Hashes(hashes) => hashes.len() as i64,
            Sketch::Registers(registers) => estimate(registers),
        }
    }

    fn save(&self) -> Vec<u8> {
        match self {
            Sketch::Hashes(hashes) => hashes.iter().flat_map(|h| h.to_le_bytes()).collect(),
            Sketch::Registers(registers) => registers.iter().copied().chain([0]).collect(),
        }
    }

    fn merge(&mut self, bytes: &[u8]) {
        if bytes.len() != REGISTERS + 1 {
            let (hashes, _) = bytes.as_chunks::<8>();
            return hashes.iter().for_each(|hash| self.add(u64::from_le_bytes(*hash)));
        }
        if let Sketch::Hashes(hashes) = self {
            let mut registers = Box::new([0; REGISTERS]);
            hashes.iter().for_each(|hash| note(&mut registers, *hash));
            *self = Sketch::Registers(registers);
        }
        if let Sketch::Registers(registers) = self {
            registers.iter_mut().zip(bytes).for_each(|(held, run)| *held = (*held).max(*run));
        }
    }

    fn heap(&self) -> usize {
        match self {
            Sketch::Hashes(hashes) => hashes.capacity() * 8,
            Sketch::Registers(_) => REGISTERS,
        }
    }
}

/// Bytes of whole hashes, or of registers and one more, which makes the two lengths different.
fn readable(bytes: &[u8]) -> bool {
    match bytes.len() {
        len if len == REGISTERS + 1 => bytes.iter().all(|run| usize::from(*run) <= RUN_BITS + 1),
        len => len % 8 == 0,
    }
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let index = (hash >> RUN_BITS) as usize;
    let run = ((hash << INDEX_BITS).leading_zeros() as usize).min(RUN_BITS) as u8 + 1;
    registers[index] = registers[index].max(run);
}

/// How many different values make registers like these.
fn estimate(registers: &[u8; REGISTERS]) -> i64 {
    let mut having = [0u32; RUN_BITS + 2];
    registers.iter().for_each(|run| having[usize::from(*run).min(RUN_BITS + 1)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(having[RUN_BITS + 1]) / m);
    for count in having[1..=RUN_BITS].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(having[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as i64
}

/// x + Σ x^(2^k) · 2^(k−1) for k from 1: what empty registers add.
fn sigma(mut x: f64) -> f64 {
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before || !sum.is_finite() {
            return sum;
        }
    }
}

/// (1 − x − Σ (1 − x^(2^−k))² · 2^−k) / 3 for k from 1: what full registers add.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// One sketch per group.
#[derive(Debug, Default)]
pub(super) struct Sketches {
    groups: Vec<Sketch>,
    encoder: KeyEncoder,
    heap: usize,
}

impl Sketches {
    pub(super) fn grow(&mut self, groups: usize) {
        self.groups.resize(groups.max(self.groups.len()), Sketch::Hashes(Vec::new()));
    }

    fn change(&mut self, group: u32, change: impl FnOnce(&mut Sketch)) {
        let sketch = &mut self.groups[group as usize];
        self.heap -= sketch.heap();
        change(sketch);
        self.heap += sketch.heap();
    }

    /// Folds the rows that are not NULL; row `i` belongs to group `groups[i]`.
    pub(super) fn update(&mut self, groups: &[u32], column: &Column) {
        let mut encoder = std::mem::take(&mut self.encoder);
        let keys = encoder.encode(&[column], groups.len());
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| !column.is_null(*row)) {
            let hash = vnode::hash_key(keys.key(row));
            self.change(*group, |sketch| sketch.add(hash));
        }
        self.encoder = encoder;
    }

    /// Adds partial sketches: `[bytes]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, column: &Column) {
        let Column::Bytes(bytes) = column else { return };
        for (i, group) in groups.iter().enumerate() {
            self.change(*group, |sketch| sketch.merge(bytes.value(start + i)));
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        out.push(Column::Bytes(groups.iter().map(|g| Some(self.groups[*g as usize].save())).collect()));
    }

    pub(super) fn accepts(column: &Column) -> bool {
        matches!(column, Column::Bytes(bytes) if bytes.iter().all(|b| b.is_some_and(readable)))
    }

    pub(super) fn count(&self, group: u32) -> i64 {
        self.groups[group as usize].count()
    }

    pub(super) fn clear(&mut self, group: u32) {
        self.change(group, |sketch| *sketch = Sketch::Hashes(Vec::new()));
    }

    pub(super) fn release(&mut self) {
        (self.groups, self.heap) = (Vec::new(), 0);
    }

    pub(super) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Sketch>() + self.heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(sketches: &mut Sketches, values: impl Iterator<Item = i64>) {
        let column = Column::ints(values.collect(), None);
        sketches.update(&vec![0; column.len()], &column);
    }

    fn one() -> Sketches {
        let mut sketches = Sketches::default();
        sketches.grow(1);
        sketches
    }

    #[test]
    fn counts_are_exact_while_small_and_close_beyond() {
        let mut sketches = one();
        let mut next = 0;
        for (upto, percent) in [(7, 0.0), (512, 0.0), (600, 4.0), (5_000, 4.0), (20_000, 4.0), (300_000, 4.0)] {
            counted(&mut sketches, next..upto);
            counted(&mut sketches, 0..upto.min(1000));
            next = upto;
            let off = (sketches.count(0) - upto).abs() as f64 / upto as f64 * 100.0;
            assert!(off <= percent, "{upto}: {} is {off:.2} % off", sketches.count(0));
        }
    }

    #[test]
    fn parts_merge_to_the_whole_in_any_order() {
        for (a, b) in [(100, 200), (400, 700), (3_000, 100), (3_000, 5_000)] {
            let (mut left, mut right, mut whole) = (one(), one(), one());
            counted(&mut left, 0..a);
            counted(&mut right, a / 2..b);
            counted(&mut whole, 0..a.max(b));
            let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
            left.partial(&[0], &mut of_left);
            right.partial(&[0], &mut of_right);
            assert!(Sketches::accepts(&of_left[0]) && Sketches::accepts(&of_right[0]));
            left.merge(&[0], 0, &of_right[0]);
            right.merge(&[0], 0, &of_left[0]);
            assert_eq!((left.count(0), right.count(0)), (whole.count(0), whole.count(0)));
            left.clear(0);
            assert_eq!((left.count(0), left.heap), (0, 0));
        }
        assert!(!Sketches::accepts(&Column::Bytes([Some(&b"123"[..])].into_iter().collect())));
    }
}
