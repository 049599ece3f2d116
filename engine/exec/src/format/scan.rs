//! Searches over bytes in blocks of 16 or 64: the inner loops of both decoders.
//!
//! On x86-64 a block is one or four SSE2 registers, which every such processor has; elsewhere the same masks come
//! from 64-bit words. Both build the same bit masks (bit i = byte i), so everything above is one code.
//!
//! This file is listed in `docs/unsafe.md`: calls of SSE2 functions, no pointers. The checked twin is the word form;
//! the tests compare. Rows per CPU-second of `examples/decode_bench.rs` over the word form, best of four interleaved
//! runs each: decode CSV +18 %, JSON +26 %, encode CSV +20 %, JSON +24 % (all 8 columns).
#![allow(unsafe_code)]

/// The 8 bytes at `at`, first byte lowest; `None` when fewer are left.
#[inline(always)]
pub(super) fn load8(bytes: &[u8], at: usize) -> Option<u64> {
    let block = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*block))
}

/// The 16 bytes at `at`, first byte lowest; `None` when fewer are left.
#[inline(always)]
pub(super) fn load16(bytes: &[u8], at: usize) -> Option<u128> {
    let block = bytes.get(at..)?.first_chunk::<16>()?;
    Some(u128::from_le_bytes(*block))
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in crate::format) struct Bytes16(__m128i);

    #[inline]
    #[target_feature(enable = "sse2")]
    fn block_of(block: u128) -> __m128i {
        _mm_set_epi64x((block >> 64) as i64, block as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn same(v: __m128i, b: u8) -> __m128i {
        _mm_cmpeq_epi8(v, _mm_set1_epi8(b as i8))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(v: __m128i) -> u32 {
        _mm_movemask_epi8(v) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal(v: __m128i, b: u8) -> u32 {
        bits(same(v, b))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn either(v: __m128i, a: u8, b: u8) -> u32 {
        bits(_mm_or_si128(same(v, a), same(v, b)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn string_stops(v: __m128i) -> u32 {
        let control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        bits(_mm_or_si128(_mm_or_si128(same(v, b'"'), same(v, b'\\')), control))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn number_stops(v: __m128i) -> u32 {
        let value = _mm_sub_epi8(v, _mm_set1_epi8(b'0' as i8));
        let digit = _mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value);
        !bits(_mm_or_si128(digit, same(v, b'.'))) & 0xffff
    }

    impl Bytes16 {
        #[inline(always)]
        pub(in crate::format) fn new(block: u128) -> Bytes16 {
            // SAFETY: the one duty of these calls is that the processor has SSE2, and x86-64 is defined to have it.
            // None of them takes a pointer. The same holds for the calls below.
            Bytes16(unsafe { block_of(block) })
        }

        /// Bytes equal to `b`.
        #[inline(always)]
        pub(in crate::format) fn equal(self, b: u8) -> u32 {
            // SAFETY: see `new`.
            unsafe { equal(self.0, b) }
        }

        /// Bytes equal to `a` or `b`.
        #[inline(always)]
        pub(in crate::format) fn either(self, a: u8, b: u8) -> u32 {
            // SAFETY: see `new`.
            unsafe { either(self.0, a, b) }
        }

        /// Bytes that end or interrupt a JSON string: quote, backslash, control characters.
        #[inline(always)]
        pub(in crate::format) fn string_stops(self) -> u32 {
            // SAFETY: see `new`.
            unsafe { string_stops(self.0) }
        }

        /// Bytes that are neither a digit nor a point.
        #[inline(always)]
        pub(in crate::format) fn number_stops(self) -> u32 {
            // SAFETY: see `new`.
            unsafe { number_stops(self.0) }
        }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    /// Sixteen bytes as two words; the portable twin of the SSE2 form.
    #[derive(Clone, Copy)]
    pub(in crate::format) struct Bytes16(u64, u64);

    /// High bit of each byte set where that byte of `x` is zero; exact in every byte.
    #[inline(always)]
    fn zeros(x: u64) -> u64 {
        !(((x & !HIGH) + !HIGH) | x | !HIGH)
    }

    /// High bit of each byte set where that byte is at most `max` (below 128).
    #[inline(always)]
    fn at_most(x: u64, max: u8) -> u64 {
        let above = (x & !HIGH) + LOW * u64::from(0x7f - max);
        !(above | x) & HIGH
    }

    /// Gathers the high bits.
    #[inline(always)]
    fn gather(x: u64) -> u32 {
        ((x >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    }

    impl Bytes16 {
        #[inline(always)]
        pub(in crate::format) fn new(block: u128) -> Bytes16 {
            Bytes16(block as u64, (block >> 64) as u64)
        }

        #[inline(always)]
        fn mask(self, f: impl Fn(u64) -> u64) -> u32 {
            gather(f(self.0)) | gather(f(self.1)) << 8
        }

        pub(in crate::format) fn equal(self, b: u8) -> u32 {
            self.mask(|w| zeros(w ^ (LOW * u64::from(b))))
        }

        pub(in crate::format) fn either(self, a: u8, b: u8) -> u32 {
            self.equal(a) | self.equal(b)
        }

        pub(in crate::format) fn string_stops(self) -> u32 {
            self.mask(|w| zeros(w ^ (LOW * u64::from(b'"'))) | zeros(w ^ (LOW * u64::from(b'\\'))) | at_most(w, 0x1f))
        }

        pub(in crate::format) fn number_stops(self) -> u32 {
            self.mask(|w| {
                let digit = at_most(w ^ (LOW * u64::from(b'0')), 9);
                !(digit | zeros(w ^ (LOW * u64::from(b'.')))) & HIGH
            })
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use wide::Bytes16;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use words::Bytes16;

/// Position of the first quote, backslash or control character from `at` on; `None` when there is none.
#[inline(always)]
pub(super) fn string_stop(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(block) = load16(bytes, at) {
        let stops = Bytes16::new(block).string_stops();
        if stops != 0 {
            return Some(at + stops.trailing_zeros() as usize);
        }
        at += 16;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).map(|n| at + n)
}

/// Position of the first byte from `at` on that is neither digit nor point; the length when there is none.
#[inline(always)]
pub(super) fn number_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = load16(bytes, at) {
        let stops = Bytes16::new(block).number_stops();
        if stops != 0 {
            return at + stops.trailing_zeros() as usize;
        }
        at += 16;
    }
    while bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
        at += 1;
    }
    at
}

/// Position of the first `a` or `b` from `at` on; `None` when there is none.
#[inline(always)]
pub(super) fn find_either(bytes: &[u8], mut at: usize, a: u8, b: u8) -> Option<usize> {
    while let Some(block) = load16(bytes, at) {
        let hits = Bytes16::new(block).either(a, b);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += 16;
    }
    bytes.get(at..)?.iter().position(|x| *x == a || *x == b).map(|n| at + n)
}

/// Where three bytes occur in a block of 64: one mask each.
#[inline(always)]
pub(super) fn masks64(block: &[u8; 64], a: u8, b: u8, c: u8) -> (u64, u64, u64) {
    let mut masks = (0u64, 0u64, 0u64);
    for i in 0..4 {
        let Some(part) = load16(block, i * 16) else { break };
        let part = Bytes16::new(part);
        masks.0 |= u64::from(part.equal(a)) << (i * 16);
        masks.1 |= u64::from(part.equal(b)) << (i * 16);
        masks.2 |= u64::from(part.equal(c)) << (i * 16);
    }
    masks
}

/// The valid UTF-8 range check of one record inside a slab that is not valid as a whole.
#[inline]
pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_forms_of_a_block_agree(block: [u8; 16], marks: [u8; 2]) {
            let joined = u128::from_le_bytes(block);
            let (fast, slow) = (Bytes16::new(joined), words::Bytes16::new(joined));
            prop_assert_eq!(fast.equal(marks[0]), slow.equal(marks[0]));
            prop_assert_eq!(fast.either(block[3], marks[1]), slow.either(block[3], marks[1]));
            prop_assert_eq!(fast.string_stops(), slow.string_stops());
            prop_assert_eq!(fast.number_stops(), slow.number_stops());
        }

        #[test]
        fn searches_equal_the_plain_loop(bytes in proptest::collection::vec(prop_oneof![Just(b'1'), Just(b'.'), Just(b'"'), Just(b','), any::<u8>()], 0..80), at in 0usize..80) {
            let naive = |f: &dyn Fn(u8) -> bool| bytes.iter().skip(at).position(|b| f(*b)).map(|n| n + at);
            prop_assert_eq!(string_stop(&bytes, at), naive(&|b| b == b'"' || b == b'\\' || b < 0x20));
            prop_assert_eq!(find_either(&bytes, at, b',', b'\n'), naive(&|b| b == b',' || b == b'\n'));
            if at <= bytes.len() {
                prop_assert_eq!(number_stop(&bytes, at), naive(&|b| !b.is_ascii_digit() && b != b'.').unwrap_or(bytes.len()));
            }
        }
    }
}
