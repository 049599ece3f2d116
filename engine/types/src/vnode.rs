//! Virtual nodes: the unit in which keyed state is owned, snapshotted and moved.
//!
//! `vnode = XXH3-64(key bytes, seed 0) mod 1024`. Hash, seed and count are format constants: they stand in snapshots
//! and must never change. `owner(vnode)` is a deployment choice and never part of the data.

use crate::ids::ShardId;

/// Number of virtual nodes of every keyed operator.
pub const VNODES: u16 = 1024;

/// Virtual node of a key.
#[inline]
pub fn of_key(key: &[u8]) -> u16 {
    (hash_key(key) % u64::from(VNODES)) as u16
}

/// The 64-bit hash a key is routed by.
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// Virtual node of a key hash made by [`hash_key`].
#[inline]
pub fn of_hash(hash: u64) -> u16 {
    (hash % u64::from(VNODES)) as u16
}

/// Shard that owns `vnode` when `shards` shards share the work: contiguous ranges of nearly equal length.
#[inline]
pub fn owner(vnode: u16, shards: u16) -> ShardId {
    debug_assert!(vnode < VNODES && shards > 0);
    ShardId((u32::from(vnode) * u32::from(shards) / u32::from(VNODES)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_owns_a_contiguous_share() {
        for shards in [1u16, 2, 3, 4, 7, 64] {
            let owners: Vec<u16> = (0..VNODES).map(|v| owner(v, shards).0).collect();
            assert!(owners.is_sorted());
            assert_eq!(owners.last().copied(), Some(shards - 1));
            for s in 0..shards {
                let n = owners.iter().filter(|o| **o == s).count();
                assert!(n >= usize::from(VNODES / shards) && n <= usize::from(VNODES / shards) + 1, "{shards} {s} {n}");
            }
        }
    }

    #[test]
    fn the_hash_is_a_format_constant() {
        assert_eq!(hash_key(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(of_key(b"AAPL"), of_key(b"AAPL"));
    }
}
