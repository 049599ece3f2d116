//! The keys that rows of either side have: one number for both, so that a row is looked up once. Where rows meet in windows,
//! the start of the window is part of the key. A key is forgotten with its last row.

use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::{KeyBatch, KeyEncoder};
use velostream_types::{Batch, Column};

/// Bytes of a window's start behind those of a key.
pub(super) const START_BYTES: usize = 8;

/// The keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    /// Keys with their windows.
    windowed: KeyBatch,
    hashes: Vec<u32>,
    groups: Vec<u32>,
    fresh: Vec<u32>,
    /// Rows of both sides, by group.
    rows: Vec<u32>,
    /// A column of the key is NULL: its rows meet nothing; by group.
    blank: Vec<bool>,
}

impl Keys {
    /// The groups of the rows of a batch by these columns; `windows`, where there are any: the rows in order, once for each
    /// of their windows, with its start. Groups that get no row until [`Keys::settle`] are forgotten then.
    pub(super) fn assign(&mut self, batch: &Batch, columns: &[usize], windows: Option<&[(u32, i64)]>) -> &[u32] {
        let columns: Vec<&Column> = columns.iter().map(|column| &batch.columns[*column]).collect();
        self.encoder.encode(&columns, batch.rows);
        if let Some(windows) = windows {
            self.windowed.clear();
            let mut bytes = Vec::new();
            for (row, start) in windows {
                bytes.clear();
                bytes.extend_from_slice(self.encoder.keys().key(*row as usize));
                bytes.extend_from_slice(&start.to_be_bytes());
                self.windowed.push(&bytes);
            }
        }
        let keys = if windows.is_some() { &self.windowed } else { self.encoder.keys() };
        self.hasher.hash_all(keys, &mut self.hashes);
        self.groups.clear();
        self.fresh.clear();
        self.index.assign(keys, 0, &self.hashes, &mut self.groups, &mut self.fresh, &mut self.pool);
        self.rows.resize(self.index.high(), 0);
        self.blank.resize(self.index.high(), false);
        for at in &self.fresh {
            let row = windows.map_or(*at, |windows| windows[*at as usize].0) as usize;
            self.blank[self.groups[*at as usize] as usize] = columns.iter().any(|column| column.is_null(row));
        }
        &self.groups
    }

    /// Forgets the groups that the last batch made and left without a row.
    pub(super) fn settle(&mut self) {
        for at in std::mem::take(&mut self.fresh) {
            let group = self.groups[at as usize];
            if self.rows[group as usize] == 0 {
                self.index.remove(group, self.hashes[at as usize]);
            }
        }
    }

    /// The group of a key that was saved.
    pub(super) fn restore(&mut self, key: &[u8], blank: bool) -> u32 {
        let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group;
        self.rows.resize(self.index.high(), 0);
        self.blank.resize(self.index.high(), false);
        self.blank[group as usize] = blank;
        group
    }

    /// TRUE when rows of this key meet nothing.
    pub(super) fn is_blank(&self, group: u32) -> bool {
        self.blank[group as usize]
    }

    /// Key bytes of a group, the start of its window behind them.
    pub(super) fn key(&self, group: u32) -> &[u8] {
        self.index.key(group)
    }

    /// A row of this key is kept.
    pub(super) fn hold(&mut self, group: u32) {
        self.rows[group as usize] += 1;
    }

    /// A row of this key is forgotten.
    pub(super) fn release(&mut self, group: u32) {
        let rows = &mut self.rows[group as usize];
        *rows -= 1;
        if *rows == 0 {
            let hash = self.hasher.hash(self.index.key(group));
            self.index.remove(group, hash);
        }
    }

    /// Keys now known.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.bytes() + self.rows.capacity() * size_of::<u32>() + self.blank.capacity()
    }
}
