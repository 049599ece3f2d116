//! The versions of a table on one shard: for each of its rows what it was, from when on.
//!
//! A row of the table is told from others by its key and the columns that identify it; where it has none, each row that
//! comes is another one. Its versions stand in a chain by event time, ties by order. A version holds from its time until the
//! next one's, but nobody sees it before the watermark of its own partition as it came: a change that comes late may
//! have missed readers already, so it misses all that it could have missed. That makes what a reader sees a function of the
//! partitions' contents. A row taken back leaves a version that says so, unless another takes its place at once.
//!
//! With a retention, versions that another replaced at or before the bound are dropped. Cost: two probes a change, one a
//! reader, and a step for each later version.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use velostream_state::block::BlockPool;
use velostream_state::chains::Chains;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, DataType, SchemaRef};

use crate::op::join::lookup::probe::Table;
use crate::op::join::marks::{Mark, Marks};

/// The versions.
pub(super) struct History {
    keys: Vec<usize>,
    /// Columns that tell rows of one key apart; `None`: each is another one.
    identity: Option<Vec<usize>>,
    pub(super) types: Vec<DataType>,
    pub(super) rows: RowStore,
    pub(super) marks: Marks,
    /// By slot: the version says that the row is gone.
    pub(super) gone: Vec<bool>,
    /// By slot: the row of the table.
    entities: Vec<u32>,
    /// Versions of each row of the table.
    pub(super) versions: Chains,
    /// Rows of the table by key and identity.
    known: GroupIndex,
    /// Rows of the table so far, where nothing identifies them.
    unnamed: u32,
    free: Vec<u32>,
    /// Keys, and the rows of the table of each.
    pub(super) index: GroupIndex,
    pub(super) of_key: Chains,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
    groups: Vec<u32>,
    /// Whether versions are dropped, and where one replaced another: its time and the row of the table.
    drops: bool,
    replaced: BinaryHeap<Reverse<(i64, u32)>>,
    /// Times of the batch that reads, by row.
    pub(super) times: Vec<i64>,
}

impl History {
    /// No versions of rows of this schema.
    pub fn new(keys: &[usize], identity: Option<Vec<usize>>, schema: &SchemaRef, drops: bool) -> History {
        let types: Vec<DataType> = schema.fields.iter().map(|f| f.data_type.clone()).collect();
        History {
            keys: keys.to_vec(),
            identity,
            rows: RowStore::new(&types),
            types,
            marks: Marks::default(),
            gone: Vec::new(),
            entities: Vec::new(),
            versions: Chains::new(),
            known: GroupIndex::new(),
            unnamed: 0,
            free: Vec::new(),
            index: GroupIndex::new(),
            of_key: Chains::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
            groups: Vec::new(),
            drops,
            replaced: BinaryHeap::new(),
            times: Vec::new(),
        }
    }

    /// Keys known.
    pub fn groups(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes()
            + self.marks.bytes()
            + self.gone.capacity()
            + self.entities.capacity() * size_of::<u32>()
            + self.versions.bytes()
            + self.known.bytes()
            + self.index.bytes()
            + self.of_key.bytes()
            + self.replaced.capacity() * size_of::<(i64, u32)>()
    }

    /// Takes changes of the table.
    pub fn change(&mut self, batch: &Batch) {
        let gone: Vec<bool> = (0..batch.rows).map(|row| batch.meta.weight_at(row) < 0).collect();
        let marks: Vec<Mark> = (0..batch.rows).map(|row| Mark::of(&batch.meta, row)).collect();
        self.put(&batch.columns, marks, &gone);
    }

    /// Takes versions with their metadata.
    pub fn put(&mut self, columns: &[Column], marks: Vec<Mark>, gone: &[bool]) {
        let is_null = |row: &u32| self.keys.iter().any(|key| columns[*key].is_null(*row as usize));
        let rows: Vec<u32> = (0..marks.len() as u32).filter(|row| !is_null(row)).collect();
        let mut slots = Vec::with_capacity(rows.len());
        self.rows.put_all(columns, &rows, &mut slots);
        self.gone.resize(self.rows.high(), false);
        self.entities.resize(self.rows.high(), NONE);
        let mut both: Vec<&Column> = self.keys.iter().map(|key| &columns[*key]).collect();
        let own = both.len();
        both.extend(self.identity.iter().flatten().map(|column| &columns[*column]));
        let mut identities = KeyEncoder::new();
        identities.encode(&both, marks.len());
        self.encoder.encode(&both[..own], marks.len());
        for (row, slot) in rows.iter().map(|row| *row as usize).zip(slots) {
            self.marks.put_mark(slot, marks[row].clone());
            self.gone[slot as usize] = gone[row];
            let entity = self.entity(identities.keys().key(row), row);
            self.insert(entity, slot);
        }
    }

    /// The row of the table that a row of a batch is a version of.
    fn entity(&mut self, identity: &[u8], row: usize) -> u32 {
        let (entity, fresh) = match self.identity.is_none() {
            true => {
                let fresh = self.free.pop().unwrap_or_else(|| {
                    self.unnamed += 1;
                    self.unnamed - 1
                });
                (fresh, true)
            }
            false => {
                let found = self.known.find_or_insert(identity, self.hasher.hash(identity), &mut self.pool);
                (found.group, found.fresh)
            }
        };
        if fresh {
            let key = self.encoder.keys().key(row);
            let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group;
            self.of_key.push(group, entity);
        }
        entity
    }

    /// Puts a version where its time says.
    fn insert(&mut self, entity: u32, slot: u32) {
        let mark = self.marks.at(slot);
        let mut before = self.versions.last(entity);
        while before != NONE {
            let other = self.marks.at(before);
            if (other.event_time, other.order) <= (mark.event_time, mark.order) {
                break;
            }
            before = self.versions.prev(before);
        }
        self.versions.insert_behind(entity, slot, before);
        self.entities[slot as usize] = entity;
        if before == NONE {
            return;
        }
        let other = self.marks.at(before);
        let is_same = (other.event_time, other.order) == (mark.event_time, mark.order);
        if is_same && self.gone[before as usize] {
            self.drop_version(entity, before);
        } else if self.drops {
            self.replaced.push(Reverse((self.seen_from(slot), entity)));
        }
    }

    fn drop_version(&mut self, entity: u32, slot: u32) {
        self.versions.remove(entity, slot);
        self.rows.free(slot);
        self.marks.free(slot);
    }

    /// From which time on a version is seen.
    #[inline]
    fn seen_from(&self, slot: u32) -> i64 {
        self.marks.event_time(slot).max(self.marks.wm_own(slot))
    }

    /// Drops what nobody reads any more who reads at `bound` or later.
    pub fn forget(&mut self, bound: i64) {
        while let Some(Reverse((_, entity))) = self.replaced.peek().filter(|first| first.0.0 <= bound).copied() {
            self.replaced.pop();
            let Some(stays) = self.version(entity, bound) else { continue };
            let mut slot = self.versions.first(entity);
            while slot != stays && slot != NONE {
                let next = self.versions.next(slot);
                self.drop_version(entity, slot);
                slot = next;
            }
        }
    }

    /// The version of a row of the table at a time, whatever it says.
    fn version(&self, entity: u32, time: i64) -> Option<u32> {
        let mut slot = self.versions.last(entity);
        while slot != NONE {
            if self.seen_from(slot) <= time {
                return Some(slot);
            }
            slot = self.versions.prev(slot);
        }
        None
    }

    /// From this row of the table of a key on, the first that is there at a time: its version.
    fn first_from(&self, mut entity: u32, time: i64) -> u32 {
        while entity != NONE {
            if let Some(slot) = self.version(entity, time)
                && !self.gone[slot as usize]
            {
                return slot;
            }
            entity = self.of_key.next(entity);
        }
        NONE
    }

    /// Appends the first match of each row of the stream; its times are set.
    pub fn find(&mut self, columns: &[Column], keys: &[usize], rows: usize, firsts: &mut Vec<u32>) {
        let columns: Vec<&Column> = keys.iter().map(|key| &columns[*key]).collect();
        let encoded = self.encoder.encode(&columns, rows);
        self.hasher.hash_all(encoded, &mut self.hashes);
        self.groups.clear();
        self.index.find_all(encoded, 0, &self.hashes, &mut self.groups);
        for (row, group) in self.groups.iter().enumerate() {
            let is_null = self.times[row] == WM_NONE || columns.iter().any(|column| column.is_null(row));
            let entity = if is_null { NONE } else { self.of_key.first(*group) };
            firsts.push(self.first_from(entity, self.times[row]));
        }
    }
}

impl Table for History {
    fn rows(&self) -> &RowStore {
        &self.rows
    }

    fn next(&self, row: usize, slot: u32) -> u32 {
        self.first_from(self.of_key.next(self.entities[slot as usize]), self.times[row])
    }

    fn note(&mut self, _slots: &[u32]) {}
}
