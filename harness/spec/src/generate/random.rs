//! Random numbers that are the same for the same seed, everywhere and for ever: xoshiro256++ (Blackman and Vigna, 2018),
//! whose state SplitMix64 fills from 64 bits, and the samplers that the generator builds on.
//!
//! Nothing here is secret or unpredictable. A number costs a few additions and rotations; a normal one a logarithm every
//! second time.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u64; 4],
    /// The second of a pair of normal numbers, which come two at a time.
    spare: Option<f64>,
}

/// Mixes a counter into 64 well-spread bits (SplitMix64).
fn split_mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash that never changes, unlike those of the standard library: it decides what a seed gives. (FNV-1a, then mixed.)
pub(super) fn hash(start: u64, bytes: &[u8]) -> u64 {
    let folded =
        bytes.iter().fold(start ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    split_mix(folded ^ bytes.len() as u64)
}

impl Random {
    /// The stream of a seed and of names; other names give one that has nothing to do with it.
    pub fn of(seed: u64, names: &[&str]) -> Random {
        let mut counter = names.iter().fold(split_mix(seed), |h, name| hash(h, name.as_bytes()));
        let state = [(); 4].map(|()| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            split_mix(counter)
        });
        Random { state, spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let out = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        out
    }

    /// From 0 to below 1, in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Between two floats, both included.
    pub fn float(&mut self, low: f64, high: f64) -> f64 {
        let share = (self.bits() >> 11) as f64 / ((1u64 << 53) - 1) as f64;
        // A weighted mean instead of `low + share * (high - low)`, whose difference may be infinite.
        (low * (1.0 - share) + high * share).clamp(low, high)
    }

    /// From 0 to below `n`, which is above 0, each equally often (Lemire, 2019: the high half of a product, with the few
    /// low halves rejected that would favour some results).
    pub fn below(&mut self, n: u64) -> u64 {
        let reject = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= reject {
                return (product >> 64) as u64;
            }
        }
    }

    /// Between two whole numbers, both included; `low` is not above `high`.
    pub fn between(&mut self, low: i128, high: i128) -> i128 {
        let last = high.wrapping_sub(low) as u128;
        if let Some(n) = u64::try_from(last).ok().and_then(|last| last.checked_add(1)) {
            return low + i128::from(self.below(n));
        }
        // Masked to the digits of `last`, at least every second draw is in range.
        let mask = u128::MAX >> last.leading_zeros();
        loop {
            let drawn = ((u128::from(self.bits()) << 64) | u128::from(self.bits())) & mask;
            if drawn <= last {
                return low.wrapping_add(drawn as i128);
            }
        }
    }

    /// TRUE with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Around 0 with standard deviation 1 (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }

    /// 122 random bits as a UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let version = (high & !0xf000) | 0x4000;
        let variant = (low & !(0b11 << 62)) | (0b10 << 62);
        let mut out = String::with_capacity(36);
        for nibble in 0..32 {
            if matches!(nibble, 8 | 12 | 16 | 20) {
                out.push('-');
            }
            let half = if nibble < 16 { version } else { variant };
            let digit = (half >> (60 - nibble % 16 * 4)) & 0xf;
            out.push(char::from(b"0123456789abcdef"[digit as usize]));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned_and_apart() {
        let first = |seed, names: &[&str]| {
            let mut random = Random::of(seed, names);
            [random.bits(), random.bits()]
        };
        assert_eq!(first(7, &["app", "query", "trades"]), first(7, &["app", "query", "trades"]));
        // What a seed gives must not change between versions.
        assert_eq!(first(0, &[]), [4_517_128_181_664_181_126, 16_489_448_104_679_922_314]);
        let others = [first(8, &["a", "bc"]), first(7, &["a", "bc"]), first(7, &["ab", "c"]), first(7, &["abc"])];
        for (i, a) in others.iter().enumerate() {
            assert!(others.iter().skip(i + 1).all(|b| a != b), "{others:?}");
        }
    }

    #[test]
    fn whole_numbers_reach_both_ends_equally() {
        let mut random = Random::of(1, &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[usize::try_from(random.between(-3, 3) + 3).expect("in range")] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        for (low, high) in [(i128::MIN, i128::MAX), (5, 5), (0, i128::from(u64::MAX)), (-(1 << 100), 1 << 90)] {
            for _ in 0..100 {
                assert!((low..=high).contains(&random.between(low, high)));
            }
        }
    }

    #[test]
    fn floats_and_normals_have_their_moments() {
        let mut random = Random::of(2, &[]);
        let n = 100_000;
        let uniform: Vec<f64> = (0..n).map(|_| random.float(-1.0, 3.0)).collect();
        let mean = uniform.iter().sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let normal: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(n);
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!(random.float(-f64::MAX, f64::MAX).is_finite());
    }

    #[test]
    fn uuids_have_version_and_variant() {
        let mut random = Random::of(3, &[]);
        for _ in 0..1_000 {
            let text = random.uuid();
            let bytes = text.as_bytes();
            assert_eq!((text.len(), bytes[14], bytes[8], bytes[23]), (36, b'4', b'-', b'-'), "{text}");
            assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        }
    }
}
