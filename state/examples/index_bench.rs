//! The group index against `hashbrown::HashTable` over the same keys: nanoseconds a look-up.
//!
//! `cargo run --release -p velostream-state --example index_bench`. Decides whether one table is enough for all sizes:
//! it is as long as the first column is not above the second.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

use hashbrown::HashTable;
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_types::Column;

const BATCH: usize = 8192;

fn main() {
    for groups in [100u64, 1_000, 30_000, 1_000_000, 10_000_000] {
        let mut seed = 1u64;
        let batches: Vec<Column> = (0..(groups as usize * 3).max(4_000_000) / BATCH)
            .map(|_| {
                let keys = (0..BATCH).map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    ((seed >> 33) % groups) as i64
                });
                Column::ints(keys.collect(), None)
            })
            .collect();
        let rows = (batches.len() * BATCH) as f64;
        let own = time(&batches, rows, own_index());
        let hashbrown = time(&batches, rows, hashbrown_index());
        println!("{groups:>9} groups: {own:>6.1} ns own table, {hashbrown:>6.1} ns hashbrown");
    }
}

/// Nanoseconds a row of the second run over the batches: all groups are known then.
fn time(batches: &[Column], rows: f64, mut look_up: impl FnMut(&Column) -> u64) -> f64 {
    let mut check: u64 = batches.iter().map(&mut look_up).sum();
    let clock = Instant::now();
    check = check.wrapping_add(batches.iter().map(&mut look_up).sum());
    let spent = clock.elapsed().as_nanos() as f64 / rows;
    assert!(check > 0);
    spent
}

fn own_index() -> impl FnMut(&Column) -> u64 {
    let (mut pool, mut index, hasher, mut encoder) =
        (BlockPool::default(), GroupIndex::new(), KeyHasher::default(), KeyEncoder::new());
    let (mut hashes, mut groups, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
    move |column| {
        let keys = encoder.encode(&[column], BATCH);
        hasher.hash_all(keys, &mut hashes);
        groups.clear();
        fresh.clear();
        index.assign(keys, 0, &hashes, &mut groups, &mut fresh, &mut pool);
        groups.iter().map(|g| u64::from(*g)).sum()
    }
}

fn hashbrown_index() -> impl FnMut(&Column) -> u64 {
    let (hasher, mut encoder) = (KeyHasher::default(), KeyEncoder::new());
    let (mut table, mut bytes, mut bounds) = (HashTable::<u32>::new(), Vec::<u8>::new(), vec![0usize]);
    let mut hashes = Vec::new();
    move |column| {
        let keys = encoder.encode(&[column], BATCH);
        hasher.hash_all(keys, &mut hashes);
        let mut sum = 0;
        for (i, hash) in hashes.iter().enumerate() {
            let key = keys.key(i);
            // The table takes its tag from the top bits.
            let spread = |hash: u32| u64::from(hash) << 32 | u64::from(hash);
            let held =
                |g: &u32, bytes: &[u8], bounds: &[usize]| bytes[bounds[*g as usize]..bounds[*g as usize + 1]].to_vec();
            let same = |g: &u32| &bytes[bounds[*g as usize]..bounds[*g as usize + 1]] == key;
            let group = match table.find(spread(*hash), same) {
                Some(group) => *group,
                None => {
                    let group = bounds.len() as u32 - 1;
                    bytes.extend_from_slice(key);
                    bounds.push(bytes.len());
                    let rehash = |g: &u32| spread(hasher.hash(&held(g, &bytes, &bounds)));
                    table.insert_unique(spread(*hash), group, rehash);
                    group
                }
            };
            sum += u64::from(group);
        }
        sum
    }
}
