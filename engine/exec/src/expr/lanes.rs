//! Lanes: the operand of a kernel loop, a slice or one constant, chosen once per batch so that the loop is monomorphic.

use arrow_buffer::{BooleanBuffer, Buffer};

/// One operand of a loop.
pub(super) trait Lanes<T>: Copy {
    /// TRUE when every lane is the same value.
    const CONSTANT: bool;
    /// The same operand, known to have `n` lanes, which lets the compiler drop bounds checks.
    fn cut(self, n: usize) -> Self;
    /// Lanes `start .. start + len` as an operand of its own.
    fn window(self, start: usize, len: usize) -> Self;
    /// Lane `i`.
    fn at(self, i: usize) -> T;
}

impl<T: Copy> Lanes<T> for &[T] {
    const CONSTANT: bool = false;
    #[inline(always)]
    fn cut(self, n: usize) -> Self {
        &self[..n]
    }
    #[inline(always)]
    fn window(self, start: usize, len: usize) -> Self {
        &self[start..start + len]
    }
    #[inline(always)]
    fn at(self, i: usize) -> T {
        self[i]
    }
}

/// A constant in every lane.
#[derive(Clone, Copy)]
pub(super) struct Same<T>(pub T);

impl<T: Copy> Lanes<T> for Same<T> {
    const CONSTANT: bool = true;
    #[inline(always)]
    fn cut(self, _: usize) -> Self {
        self
    }
    #[inline(always)]
    fn window(self, _: usize, _: usize) -> Self {
        self
    }
    #[inline(always)]
    fn at(self, _: usize) -> T {
        self.0
    }
}

/// An operand before the loop is chosen.
#[derive(Clone, Copy)]
pub(super) enum Side<'a, T> {
    Slice(&'a [T]),
    Same(T),
}

impl<T: Copy> Side<'_, T> {
    /// Lane `i`, for cold paths.
    #[inline]
    pub fn at(&self, i: usize) -> T {
        match self {
            Side::Slice(values) => values[i],
            Side::Same(value) => *value,
        }
    }
}

/// Runs `$body` with `$a` and `$b` bound to concrete lanes of the two sides.
macro_rules! pair {
    ($left:expr, $right:expr, |$a:ident, $b:ident| $body:expr) => {{
        use $crate::expr::lanes::{Same, Side};
        match ($left, $right) {
            (Side::Slice($a), Side::Slice($b)) => $body,
            (Side::Slice($a), Side::Same(b)) => {
                let $b = Same(b);
                $body
            }
            (Side::Same(a), Side::Slice($b)) => {
                let $a = Same(a);
                $body
            }
            (Side::Same(a), Side::Same(b)) => {
                let ($a, $b) = (Same(a), Same(b));
                $body
            }
        }
    }};
}
pub(super) use pair;

/// One result per lane.
#[inline(always)]
pub(super) fn map2<T, R>(n: usize, a: impl Lanes<T>, b: impl Lanes<T>, f: impl Fn(T, T) -> R) -> Vec<R> {
    let (a, b) = (a.cut(n), b.cut(n));
    (0..n).map(|i| f(a.at(i), b.at(i))).collect()
}

/// One integer result per lane; answers TRUE beside it when the second result of any lane was negative. The flags are
/// or-ed together, so the loop has no branch.
#[inline(always)]
pub(super) fn map2_flagged(
    n: usize,
    a: impl Lanes<i64>,
    b: impl Lanes<i64>,
    f: impl Fn(i64, i64) -> (i64, i64),
) -> (Vec<i64>, bool) {
    let (a, b) = (a.cut(n), b.cut(n));
    let mut flags = 0i64;
    let values = (0..n)
        .map(|i| {
            let (value, flag) = f(a.at(i), b.at(i));
            flags |= flag;
            value
        })
        .collect();
    (values, flags < 0)
}

/// One bit per pair of lanes. Four accumulators of 16 bits, filled from the last lane to the first, become shift-and-add
/// chains that run side by side: on the baseline instruction set 64-bit integers compare this way as fast as floats.
#[inline(always)]
pub(super) fn pack<T>(n: usize, a: impl Lanes<T>, b: impl Lanes<T>, f: impl Fn(T, T) -> bool) -> BooleanBuffer {
    let mut bits: Vec<u64> = Vec::with_capacity(n.div_ceil(64));
    bits.extend((0..n / 64).map(|word| {
        let (a, b) = (a.window(word * 64, 64), b.window(word * 64, 64));
        let bit = |i: usize| u64::from(f(a.at(i), b.at(i)));
        let (mut q0, mut q1, mut q2, mut q3) = (0, 0, 0, 0);
        for i in (0..16).rev() {
            q0 = q0 + q0 + bit(i);
            q1 = q1 + q1 + bit(16 + i);
            q2 = q2 + q2 + bit(32 + i);
            q3 = q3 + q3 + bit(48 + i);
        }
        q0 | q1 << 16 | q2 << 32 | q3 << 48
    }));
    let whole = n - n % 64;
    if whole < n {
        bits.push((whole..n).fold(0, |word, i| word | u64::from(f(a.at(i), b.at(i))) << (i - whole)));
    }
    BooleanBuffer::new(Buffer::from_vec(bits), 0, n)
}
