//! The rows of a table on one shard, by key.
//!
//! A row that comes is put behind those of its key; a row taken back is the first of its key that equals it. Where rows
//! without a match leave in the end, each carries its metadata and whether it ever matched. Rows with NULL in their key
//! match nothing, and only such tables keep them.
//!
//! Cost: a batch of rows that only come is probed, linked and copied column by column. Beside its own bytes a row takes
//! 11 to 21 in slots of the index, 8 in its words, the key once more where it is longer than seven bytes, and what the
//! chains need: next to nothing while keys are unique and none was taken back. Taking back looks through the rows of the
//! key from the first on.

use velostream_state::block::BlockPool;
use velostream_state::chains::Chains;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_types::{Batch, Column, DataType, SchemaRef};

use super::probe::Table;
use crate::op::join::marks::{Mark, Marks};

/// The rows.
pub(super) struct Held {
    keys: Vec<usize>,
    pub(super) types: Vec<DataType>,
    rows: RowStore,
    pub(super) index: GroupIndex,
    pub(super) chains: Chains,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
    groups: Vec<u32>,
    fresh: Vec<u32>,
    /// Rows of a batch that come, and their slots.
    coming: Vec<u32>,
    pub(super) slots: Vec<u32>,
    /// Where rows without a match leave.
    pub(super) seen: Option<Seen>,
    /// Every shard holds all rows: each stores them, and one store is enough.
    pub(super) everywhere: bool,
    pub(super) restored: bool,
}

impl Table for Held {
    fn rows(&self) -> &RowStore {
        &self.rows
    }

    #[inline]
    fn next(&self, _row: usize, slot: u32) -> u32 {
        self.chains.next(slot)
    }

    fn is_single(&self) -> bool {
        self.chains.is_single()
    }

    fn note(&mut self, slots: &[u32]) {
        if let Some(seen) = &mut self.seen {
            slots.iter().filter(|slot| **slot != NONE).for_each(|slot| seen.matched[*slot as usize] = true);
        }
    }
}

/// What is known of each row beside its values.
#[derive(Default)]
pub(super) struct Seen {
    pub matched: Vec<bool>,
    pub marks: Marks,
}

impl Held {
    /// No rows of this schema, by these columns.
    pub fn new(keys: &[usize], schema: &SchemaRef, keeps_unmatched: bool, everywhere: bool) -> Held {
        let types: Vec<DataType> = schema.fields.iter().map(|f| f.data_type.clone()).collect();
        Held {
            keys: keys.to_vec(),
            rows: RowStore::new(&types),
            types,
            index: GroupIndex::new(),
            chains: Chains::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
            groups: Vec::new(),
            fresh: Vec::new(),
            coming: Vec::new(),
            slots: Vec::new(),
            seen: keeps_unmatched.then(Seen::default),
            everywhere,
            restored: false,
        }
    }

    /// Keys known.
    pub fn groups(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let seen = self.seen.as_ref().map_or(0, |seen| seen.marks.bytes() + seen.matched.capacity());
        self.rows.bytes() + self.index.bytes() + self.chains.bytes() + seen
    }

    /// Metadata of a row; only where rows without a match leave.
    pub fn mark(&self, slot: u32) -> Mark {
        match &self.seen {
            Some(seen) => seen.marks.at(slot),
            None => unreachable!("only rows without a match are asked for theirs, and they are kept with it"),
        }
    }

    /// Takes rows that come or are taken back; answers how many were taken back that nobody knows.
    pub fn change(&mut self, batch: &Batch) -> u64 {
        self.encode(&batch.columns, batch.rows);
        let takes_back = batch.meta.weight.as_ref().is_some_and(|weights| weights.iter().any(|weight| *weight < 0));
        let has_null =
            self.keys.iter().any(|key| batch.columns[*key].nulls().is_some_and(|nulls| nulls.null_count() > 0));
        let stays = |held: &Held, row: usize| !has_null || held.seen.is_some() || !held.has_null(&batch.columns, row);
        self.coming.clear();
        self.slots.clear();
        let comes = |row: &usize| batch.meta.weight_at(*row) > 0 && stays(self, *row);
        let coming: Vec<u32> = (0..batch.rows).filter(comes).map(|row| row as u32).collect();
        self.rows.put_all(&batch.columns, &coming, &mut self.slots);
        if let Some(seen) = &mut self.seen {
            seen.marks.put(&self.slots, &coming, &batch.meta);
            seen.matched.resize(self.rows.high(), false);
        }
        if !takes_back && coming.len() == batch.rows {
            self.groups.clear();
            self.fresh.clear();
            let keys = self.encoder.keys();
            self.index.assign(keys, 0, &self.hashes, &mut self.groups, &mut self.fresh, &mut self.pool);
            self.groups.iter().zip(&self.slots).for_each(|(group, slot)| self.chains.push(*group, *slot));
            return 0;
        }
        self.coming = coming;
        self.one_by_one(batch)
    }

    /// The rows of a batch in their order; those that come have their slots already.
    fn one_by_one(&mut self, batch: &Batch) -> u64 {
        let (mut at, mut unknown) = (0, 0);
        for row in 0..batch.rows {
            if batch.meta.weight_at(row) < 0 {
                unknown += u64::from(!self.take_back(batch, row));
            } else if self.coming.get(at) == Some(&(row as u32)) {
                let found = self.index.find_or_insert(self.encoder.keys().key(row), self.hashes[row], &mut self.pool);
                self.chains.push(found.group, self.slots[at]);
                at += 1;
            }
        }
        unknown
    }

    /// Takes a row back; FALSE when nobody knows it.
    fn take_back(&mut self, batch: &Batch, row: usize) -> bool {
        let Some(group) = self.index.find(self.encoder.keys().key(row), self.hashes[row]) else {
            return self.seen.is_none() && self.has_null(&batch.columns, row);
        };
        let equal = |slot: &u32| self.rows.equals(*slot, &batch.columns, row);
        let Some(slot) = self.chains.slots(group).find(equal) else { return false };
        self.chains.remove(group, slot);
        self.rows.free(slot);
        if let Some(seen) = &mut self.seen {
            seen.marks.free(slot);
            seen.matched[slot as usize] = false;
        }
        if self.chains.first(group) == NONE {
            self.index.remove(group, self.hashes[row]);
        }
        true
    }

    fn has_null(&self, columns: &[Column], row: usize) -> bool {
        self.keys.iter().any(|key| columns[*key].is_null(row))
    }

    /// Keys of rows of the table and their hashes.
    fn encode(&mut self, columns: &[Column], rows: usize) {
        let keys: Vec<&Column> = self.keys.iter().map(|key| &columns[*key]).collect();
        let keys = self.encoder.encode(&keys, rows);
        self.hasher.hash_all(keys, &mut self.hashes);
    }

    /// Appends, for each of so many rows of the stream, the first row of its key; none where there is none.
    pub fn find(&mut self, columns: &[Column], keys: &[usize], rows: usize, firsts: &mut Vec<u32>) {
        let columns: Vec<&Column> = keys.iter().map(|key| &columns[*key]).collect();
        let encoded = self.encoder.encode(&columns, rows);
        self.hasher.hash_all(encoded, &mut self.hashes);
        self.groups.clear();
        self.index.find_all(encoded, 0, &self.hashes, &mut self.groups);
        self.chains.firsts(&self.groups, firsts);
        for nulls in columns.iter().filter_map(|column| column.nulls()).filter(|nulls| nulls.null_count() > 0) {
            nulls.iter().zip(firsts.iter_mut()).filter(|(valid, _)| !valid).for_each(|(_, first)| *first = NONE);
        }
    }

    /// Rows that never matched, in their own order.
    pub fn unmatched(&self) -> Vec<u32> {
        let Some(seen) = &self.seen else { return Vec::new() };
        let groups = (0..self.index.high() as u32).filter(|group| self.chains.first(*group) != NONE);
        let slots = groups.flat_map(|group| self.chains.slots(group)).filter(|slot| !seen.matched[*slot as usize]);
        let mut ordered: Vec<(Mark, u32)> = slots.map(|slot| (seen.marks.at(slot), slot)).collect();
        ordered.sort_by_key(|(mark, _)| (mark.order, mark.origin));
        ordered.into_iter().map(|(_, slot)| slot).collect()
    }
}
