//! Tests of `index`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn batch(keys: &[Vec<u8>]) -> KeyBatch {
    let mut batch = KeyBatch::default();
    keys.iter().for_each(|k| batch.push(k));
    batch
}

#[test]
fn numbers_are_dense_in_order_of_first_sight() {
    let mut pool = BlockPool::default();
    let mut index = GroupIndex::new();
    let keys: Vec<Vec<u8>> =
        (0..5000u32).map(|i| (i % 3000).to_le_bytes()[..].repeat(1 + (i % 3000 % 7) as usize)).collect();
    let batch = batch(&keys);
    let (mut hashes, mut groups, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
    KeyHasher::default().hash_all(&batch, &mut hashes);
    index.assign(&batch, 0, &hashes, &mut groups, &mut fresh, &mut pool);
    assert!(groups.iter().enumerate().all(|(i, g)| *g == i as u32 % 3000));
    assert_eq!((fresh.len(), index.len(), index.high()), (3000, 3000, 3000));
    assert_eq!(index.key(2999), &keys[2999][..]);
    let held = index.bytes();
    index.release(&mut pool);
    assert!(held > 0 && index.bytes() == 0 && index.is_empty());
}

#[test]
fn long_keys_have_blocks_of_their_own() {
    let (mut pool, mut index, hasher) = (BlockPool::default(), GroupIndex::new(), KeyHasher::default());
    let keys = [vec![1; 100_000], vec![], vec![2; 16_000], vec![3; 16_000], vec![1; 100_001]];
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(index.find_or_insert(key, hasher.hash(key), &mut pool), Found { group: i as u32, fresh: true });
    }
    assert!(keys.iter().enumerate().all(|(i, key)| index.key(i as u32) == &key[..]));
}

proptest! {
    /// Against a map, with a hash so bad that everything collides now and then.
    #[test]
    fn behaves_like_a_map(steps in proptest::collection::vec((0u16..900, any::<bool>()), 0..3000), bad: bool) {
        let (mut pool, mut index, hasher) = (BlockPool::default(), GroupIndex::new(), KeyHasher::default());
        let mut model: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for (key, remove) in steps {
            let key = key.to_le_bytes()[..].repeat(1 + usize::from(key % 3));
            let hash = hasher.hash(&key) & if bad { 0xc000_0001 } else { u32::MAX };
            if remove && let Some(group) = model.remove(&key) {
                index.remove(group, hash);
            } else {
                let found = index.find_or_insert(&key, hash, &mut pool);
                let known = model.get(&key).copied();
                prop_assert_eq!(known.is_none(), found.fresh);
                prop_assert_eq!(known.unwrap_or(found.group), found.group);
                model.insert(key, found.group);
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for (key, group) in &model {
            prop_assert_eq!(index.key(*group), &key[..]);
        }
    }
}

#[test]
fn key_bytes_of_removed_groups_are_used_again() {
    let (mut pool, mut index, hasher) = (BlockPool::default(), GroupIndex::new(), KeyHasher::default());
    let key = |i: u32| format!("a key of more than a word {i}").into_bytes();
    let kept: Vec<u32> = (0..100)
        .map(|i| index.find_or_insert(&key(i * 50_000), hasher.hash(&key(i * 50_000)), &mut pool).group)
        .collect();
    let mut most = 0;
    for i in 1..50_000 {
        index.find_or_insert(&key(i), hasher.hash(&key(i)), &mut pool);
        if i > 200 {
            let (old, hash) = (key(i - 200), hasher.hash(&key(i - 200)));
            let group = index.find(&old, hash).expect("it was not removed");
            index.remove(group, hash);
        }
        most = most.max(index.bytes());
    }
    assert!(most < 256 << 10, "{most} bytes for 300 keys");
    for (i, group) in kept.iter().enumerate() {
        let key = key(i as u32 * 50_000);
        assert_eq!((index.key(*group), index.find(&key, hasher.hash(&key))), (&key[..], Some(*group)));
    }
}

proptest! {
    /// A batch finds what each of its keys finds alone.
    #[test]
    fn a_batch_finds_what_its_keys_find(known in proptest::collection::vec(0u16..2000, 0..1500), asked in 0u16..2500) {
        let (mut pool, mut index, hasher) = (BlockPool::default(), GroupIndex::new(), KeyHasher::default());
        let key = |n: u16| n.to_le_bytes()[..].repeat(1 + usize::from(n % 5));
        for n in &known {
            let key = key(*n);
            let found = index.find_or_insert(&key, hasher.hash(&key), &mut pool);
            if n % 7 == 0 {
                index.remove(found.group, hasher.hash(&key));
            }
        }
        let batch = batch(&(0..asked).map(key).collect::<Vec<_>>());
        let (mut hashes, mut groups) = (Vec::new(), vec![7]);
        hasher.hash_all(&batch, &mut hashes);
        index.find_all(&batch, 1.min(batch.len()), &hashes[1.min(batch.len())..], &mut groups);
        let alone = |n: u16| index.find(&key(n), hasher.hash(&key(n))).unwrap_or(u32::MAX);
        let expect: Vec<u32> = std::iter::once(7).chain((1..asked).map(alone)).collect();
        prop_assert_eq!(groups, expect);
    }
}
