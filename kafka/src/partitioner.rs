//! Partition of a key, the same one Kafka's Java client chooses: murmur2 over the key's bytes (Austin Appleby's
//! MurmurHash2, 32 bits, seed 0x9747b28c), sign bit cleared, modulo the number of partitions.

/// MurmurHash2 of `key` with the seed of Kafka's default partitioner.
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Partition of a record with this key among `partitions`, which must be above 0.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_equal_those_of_the_java_client() {
        let check = |key: &[u8], want: i32| assert_eq!(murmur2(key) as i32, want, "{key:?}");
        check(b"21", -973_932_308);
        check(b"foobar", -790_332_482);
        check(b"a-little-bit-long-string", -985_981_536);
        check(b"a-little-bit-longer-string", -1_486_304_829);
        check(b"abc", 479_470_107);
    }

    #[test]
    fn partitions_are_in_range() {
        for key in 0..1_000u32 {
            assert!(partition_of(&key.to_le_bytes(), 7) < 7);
        }
    }
}
