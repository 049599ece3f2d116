//! Key bytes to dense group numbers: an open-addressing table of 8-byte slots over key bytes in pooled blocks.
//!
//! A slot is the upper half of the key's hash and the group's number plus one; 0 is empty. The home of a key is the
//! top bits of that half, so doubling the table moves slots in order and never looks at a key. Probing is linear.
//! Keys of up to seven bytes, most numbers among them, lie in the word that otherwise says where a key's bytes are.
//! A batch is looked up in passes of independent loads (slots, words of the candidates, key bytes of long keys), so that
//! cache misses overlap; the candidate is the first slot with the key's hash, and a row whose candidate is not its group
//! goes through the plain loop.
//!
//! Group numbers are dense from 0 in order of first sight; a removed group's number is given again. Cost: one probe a
//! row and no allocation for a known key; 11 to 21 bytes a group in slots, 8 in words. Never iterated by hash.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;

use crate::block::{BlockPool, Blocks};
use crate::key::{KeyBatch, Word, word, word_key};

/// Slots of the smallest table.
const MIN_BITS: u32 = 9;
/// Up to this many slots (64 KiB, a first-level cache) a table is kept at most 3/8 full: nearly every key is at home.
const ROOMY: usize = 1 << 13;
/// Slot of a removed group; probing goes on behind it.
const REMOVED: u64 = u32::MAX as u64;
/// Rows per pass: three arrays of this many words stay in the first-level cache.
const PASS: usize = 256;
/// No word of any key: a place of no bytes in a block that cannot be.
const NOT_HERE: Word = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
/// Bits of a key's length in its place.
const LEN_BITS: u32 = 27;
/// Bits of a key's offset in its block.
const OFFSET_BITS: u32 = 15;

/// Slots that may be used: at most 3/4, so that a probe of an unknown key ends soon.
fn room(slots: usize) -> usize {
    if slots <= ROOMY { slots / 8 * 3 } else { slots / 4 * 3 }
}

/// Hashes keys inside one process; fixed seeds, so that runs repeat.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    state: RandomState,
}

impl Default for KeyHasher {
    fn default() -> KeyHasher {
        KeyHasher { state: RandomState::with_seeds(0x7665_6c6f, 0x7374_7265, 0x616d_6b65, 0x7973_0001) }
    }
}

impl KeyHasher {
    /// Hash of one key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u32 {
        match word(key) {
            Some(word) => self.hash_word(word),
            None => self.hash_long(key),
        }
    }

    #[inline]
    fn hash_word(&self, word: Word) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u64(u64::from_le_bytes(word));
        (hasher.finish() >> 32) as u32
    }

    #[inline]
    fn hash_long(&self, key: &[u8]) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        (hasher.finish() >> 32) as u32
    }

    /// Hashes of all keys of a batch, replacing what `hashes` holds.
    pub fn hash_all(&self, keys: &KeyBatch, hashes: &mut Vec<u32>) {
        hashes.clear();
        hashes.extend((0..keys.len()).map(|i| match keys.word(i) {
            Some(word) => self.hash_word(word),
            None => self.hash_long(keys.key(i)),
        }));
    }
}

/// Key bytes of the groups: in the group's word, or at the place (block, offset, length) packed there.
#[derive(Debug, Default)]
struct KeyStore {
    words: Blocks<Word>,
    blocks: Vec<Vec<u8>>,
    /// Bytes of the blocks.
    held: usize,
    /// Bytes in them of removed keys.
    dead: usize,
}

impl KeyStore {
    #[inline]
    fn key(&self, group: u32) -> &[u8] {
        let word = self.words.peek(group);
        match word_key(word) {
            Some(key) => key,
            None => self.at(u64::from_le_bytes(*word)),
        }
    }

    #[inline]
    fn at(&self, place: u64) -> &[u8] {
        let len = (place & ((1 << LEN_BITS) - 1)) as usize;
        let offset = (place >> LEN_BITS) as usize & ((1 << OFFSET_BITS) - 1);
        let block = (place >> (LEN_BITS + OFFSET_BITS)) as usize;
        &self.blocks[block][offset..offset + len]
    }

    #[inline]
    fn first_byte(&self, place: u64) -> u8 {
        self.at(place)[0]
    }

    /// TRUE when a long key needs one more block.
    fn is_full(&self, key: &[u8]) -> bool {
        let fits = |b: &Vec<u8>| b.capacity() - b.len() >= key.len() && b.len() < 1 << OFFSET_BITS;
        word(key).is_none() && !self.blocks.last().is_some_and(fits)
    }

    /// Word of a new key.
    fn put(&mut self, key: &[u8], pool: &mut BlockPool) -> Word {
        if let Some(word) = word(key) {
            return word;
        }
        assert!(key.len() < 1 << LEN_BITS, "records and so keys stay below 128 MiB");
        if self.is_full(key) {
            let block = pool.take_key_block(key.len());
            self.held += block.capacity();
            self.blocks.push(block);
        }
        let block = self.blocks.len() - 1;
        let bytes = &mut self.blocks[block];
        let offset = bytes.len();
        bytes.extend_from_slice(key);
        assert!(block < (1 << (63 - LEN_BITS - OFFSET_BITS)) - 1, "key bytes of one window stay below 32 GiB");
        let place = ((block as u64) << (LEN_BITS + OFFSET_BITS)) | ((offset as u64) << LEN_BITS) | key.len() as u64;
        place.to_le_bytes()
    }
}

/// The groups of one window.
#[derive(Debug, Default)]
pub struct GroupIndex {
    slots: Vec<u64>,
    /// log2 of the number of slots; 0 before the first key.
    bits: u32,
    /// Slots that are not empty, removed ones included.
    used: usize,
    keys: KeyStore,
    /// Numbers of removed groups.
    free: Vec<u32>,
}

/// A key's group and whether this look-up made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The group's number.
    pub group: u32,
    /// TRUE when the key was not known before.
    pub fresh: bool,
}

impl GroupIndex {
    /// No groups.
    pub fn new() -> GroupIndex {
        GroupIndex::default()
    }

    /// Makes the table large enough for `groups` groups at once; only before the first key.
    pub fn expect(&mut self, groups: usize, pool: &mut BlockPool) {
        if self.bits == 0 {
            self.bits = MIN_BITS;
            while room(1 << self.bits) < groups {
                self.bits += 1;
            }
            self.slots = pool.take_slots(1 << self.bits);
        }
    }

    /// One above the highest group number ever given: the length accumulators need.
    pub fn high(&self) -> usize {
        self.keys.words.len()
    }

    /// Groups now known.
    pub fn len(&self) -> usize {
        self.high() - self.free.len()
    }

    /// TRUE when no group is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers given back by [`GroupIndex::remove`] and not given again.
    pub fn removed(&self) -> &[u32] {
        &self.free
    }

    /// Key bytes of a group.
    #[inline]
    pub fn key(&self, group: u32) -> &[u8] {
        self.keys.key(group)
    }

    /// Appends to `groups` the group of each key from `start` on, one per hash, making unknown ones; `fresh` gets the
    /// key's position relative to `start` for each group made.
    pub fn assign(
        &mut self,
        keys: &KeyBatch,
        start: usize,
        hashes: &[u32],
        groups: &mut Vec<u32>,
        fresh: &mut Vec<u32>,
        pool: &mut BlockPool,
    ) {
        groups.reserve(hashes.len());
        for (pass, hashes) in hashes.chunks(PASS).enumerate() {
            let first = pass * PASS;
            if self.bits == 0 {
                self.grow(pool);
            }
            let slots = self.nearest(hashes);
            let words = self.candidates(&slots, hashes.len());
            for (i, (hash, held)) in hashes.iter().zip(&words).enumerate() {
                let row = start + first + i;
                if self.is_key(held, keys, row) {
                    groups.push((slots[i] as u32).wrapping_sub(1));
                } else {
                    let found = self.find_or_insert(keys.key(row), *hash, pool);
                    if found.fresh {
                        fresh.push((first + i) as u32);
                    }
                    groups.push(found.group);
                }
            }
        }
    }

    /// Appends to `groups` the group of each key from `start` on, one per hash; `u32::MAX` for unknown ones.
    pub fn find_all(&self, keys: &KeyBatch, start: usize, hashes: &[u32], groups: &mut Vec<u32>) {
        groups.reserve(hashes.len());
        if self.bits == 0 {
            return groups.resize(groups.len() + hashes.len(), u32::MAX);
        }
        for (pass, hashes) in hashes.chunks(PASS).enumerate() {
            let slots = self.nearest(hashes);
            let words = self.candidates(&slots, hashes.len());
            let first = start + pass * PASS;
            let wanted = &keys.words()[first..first + hashes.len()];
            groups.extend(slots.iter().zip(&words).zip(wanted).enumerate().map(|(i, ((slot, held), wanted))| {
                // Of no slot, too, this is the answer.
                let group = (*slot as u32).wrapping_sub(1);
                match (held == wanted) | (*slot == 0) || self.is_key(held, keys, first + i) {
                    true => group,
                    false => self.find(keys.key(first + i), hashes[i]).unwrap_or(u32::MAX),
                }
            }));
        }
    }

    /// The first slot with each hash, from its home on; 0 where there is none. Only when there are slots.
    #[inline]
    fn nearest(&self, hashes: &[u32]) -> [u64; PASS] {
        let mut nearest = [0u64; PASS];
        let (shift, mask) = (32 - self.bits, self.slots.len() - 1);
        for (slot, hash) in nearest.iter_mut().zip(hashes) {
            *slot = self.slots[(hash >> shift) as usize];
        }
        for (slot, hash) in nearest.iter_mut().zip(hashes) {
            let mut at = (hash >> shift) as usize;
            while *slot != 0 && ((*slot >> 32) as u32 != *hash || *slot == REMOVED) {
                at = (at + 1) & mask;
                *slot = self.slots[at];
            }
        }
        nearest
    }

    /// Words of the groups in the first `len` of these slots; the bytes of long keys are on their way when it is done.
    #[inline]
    fn candidates(&self, slots: &[u64; PASS], len: usize) -> [Word; PASS] {
        let mut words = [NOT_HERE; PASS];
        for (word, slot) in words[..len].iter_mut().zip(slots).filter(|(_, slot)| **slot != 0) {
            *word = self.keys.words.get(*slot as u32 - 1);
        }
        if !self.keys.blocks.is_empty() {
            let long = words[..len].iter().filter(|word| **word != NOT_HERE && word_key(word).is_none());
            std::hint::black_box(long.fold(0, |any, word| any | self.keys.first_byte(u64::from_le_bytes(*word))));
        }
        words
    }

    /// TRUE when a group's word stands for this key.
    #[inline]
    fn is_key(&self, held: &Word, keys: &KeyBatch, row: usize) -> bool {
        match keys.word(row) {
            Some(word) => word == *held,
            None => {
                let place = u64::from_le_bytes(*held);
                *held != NOT_HERE && word_key(held).is_none() && self.keys.at(place) == keys.key(row)
            }
        }
    }

    /// The group of a key, if it is known. `hash` is [`KeyHasher::hash`] of the key.
    pub fn find(&self, key: &[u8], hash: u32) -> Option<u32> {
        if self.bits == 0 {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = (hash >> (32 - self.bits)) as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot != REMOVED && (slot >> 32) as u32 == hash && self.key(slot as u32 - 1) == key {
                return Some(slot as u32 - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// The group of a key, made if need be. `hash` is [`KeyHasher::hash`] of the key.
    pub fn find_or_insert(&mut self, key: &[u8], hash: u32, pool: &mut BlockPool) -> Found {
        if self.used >= room(self.slots.len()) {
            self.grow(pool);
        }
        let mask = self.slots.len() - 1;
        let mut at = (hash >> (32 - self.bits)) as usize;
        let mut target = None;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot == REMOVED {
                target = target.or(Some(at));
            } else if (slot >> 32) as u32 == hash {
                let group = slot as u32 - 1;
                if self.key(group) == key {
                    return Found { group, fresh: false };
                }
            }
            at = (at + 1) & mask;
        }
        let group = self.add(key, pool);
        self.used += usize::from(target.is_none());
        self.slots[target.unwrap_or(at)] = (u64::from(hash) << 32) | u64::from(group + 1);
        Found { group, fresh: true }
    }

    fn add(&mut self, key: &[u8], pool: &mut BlockPool) -> u32 {
        if self.keys.dead * 2 > self.keys.held && self.keys.is_full(key) {
            self.compact(pool);
        }
        let word = self.keys.put(key, pool);
        if let Some(group) = self.free.pop() {
            *self.keys.words.at(group) = word;
            return group;
        }
        let group = self.keys.words.len();
        assert!(group < REMOVED as usize - 2, "one window of one shard stays below 4 billion groups");
        self.keys.words.grow(group + 1, word, pool);
        group as u32
    }

    /// Moves the key bytes of known groups together. At least half of all bytes are those of removed groups then, so a
    /// removed byte is paid for by less than one that moves.
    fn compact(&mut self, pool: &mut BlockPool) {
        let mut known = vec![true; self.high()];
        self.free.iter().for_each(|group| known[*group as usize] = false);
        let mut old = KeyStore { blocks: std::mem::take(&mut self.keys.blocks), ..KeyStore::default() };
        (self.keys.held, self.keys.dead) = (0, 0);
        for group in (0..self.high() as u32).filter(|group| known[*group as usize]) {
            let held = *self.keys.words.peek(group);
            if word_key(&held).is_none() {
                *self.keys.words.at(group) = self.keys.put(old.at(u64::from_le_bytes(held)), pool);
            }
        }
        pool.give_key_blocks(&mut old.blocks);
    }

    /// Forgets a group; its number will be given again, and its key bytes once removed keys hold more than half.
    pub fn remove(&mut self, group: u32, hash: u32) {
        let mask = self.slots.len() - 1;
        let wanted = (u64::from(hash) << 32) | u64::from(group + 1);
        let mut at = (hash >> (32 - self.bits)) as usize;
        while self.slots[at] != wanted {
            assert!(self.slots[at] != 0, "a removed group was known");
            at = (at + 1) & mask;
        }
        self.slots[at] = REMOVED;
        if word_key(self.keys.words.peek(group)).is_none() {
            self.keys.dead += self.keys.key(group).len();
        }
        self.free.push(group);
    }

    /// Doubles the table, or cleans it when most used slots are removed ones.
    fn grow(&mut self, pool: &mut BlockPool) {
        let bits = match self.bits {
            0 => MIN_BITS,
            bits if self.len() * 2 < self.used => bits,
            bits => bits + 1,
        };
        let old = std::mem::replace(&mut self.slots, pool.take_slots(1 << bits));
        let mask = self.slots.len() - 1;
        self.bits = bits;
        self.used = 0;
        for slot in old.iter().copied().filter(|s| *s != 0 && *s != REMOVED) {
            let mut at = (slot >> (64 - bits)) as usize;
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
            self.used += 1;
        }
        pool.give_slots(old);
    }

    /// Gives all memory back to the pool.
    pub fn release(&mut self, pool: &mut BlockPool) {
        self.keys.words.release(pool);
        pool.give_key_blocks(&mut self.keys.blocks);
        pool.give_slots(std::mem::take(&mut self.slots));
        *self = GroupIndex::default();
    }

    /// Bytes of memory held, key bytes included.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * 8 + self.keys.words.bytes() + self.keys.held + self.free.capacity() * 4
    }
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
