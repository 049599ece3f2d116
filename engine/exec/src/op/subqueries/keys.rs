//! Keys of outer rows: made once per batch, looked up by each subquery of the node.

use velostream_state::index::KeyHasher;
use velostream_state::key::KeyEncoder;
use velostream_types::{Batch, Column};

/// The keys of a batch.
#[derive(Debug, Default)]
pub(super) struct Keys {
    columns: Vec<usize>,
    encoder: KeyEncoder,
    hasher: KeyHasher,
    hashes: Vec<u32>,
    /// Rows that meet nothing, because a column of their key is NULL; empty where there are none.
    nulls: Vec<bool>,
}

impl Keys {
    /// Of these columns.
    pub(super) fn new(columns: Vec<usize>) -> Keys {
        Keys { columns, ..Keys::default() }
    }

    pub(super) fn encode(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self.columns.iter().map(|k| &batch.columns[*k]).collect();
        self.hasher.hash_all(self.encoder.encode(&columns, batch.rows), &mut self.hashes);
        self.nulls = nulls(&columns, batch.rows);
    }

    /// Key bytes of a row.
    pub(super) fn key(&self, row: usize) -> &[u8] {
        self.encoder.keys().key(row)
    }

    pub(super) fn hash(&self, row: usize) -> u32 {
        self.hashes[row]
    }

    /// TRUE where a column of the key is NULL.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.get(row).copied().unwrap_or(false)
    }
}

/// Which rows have NULL in one of these columns; empty for none.
fn nulls(columns: &[&Column], rows: usize) -> Vec<bool> {
    let has_null = |column: &&&Column| match column.as_array() {
        None => true,
        Some(array) => array.null_count() > 0,
    };
    let columns: Vec<&&Column> = columns.iter().filter(has_null).collect();
    match columns.is_empty() {
        true => Vec::new(),
        false => (0..rows).map(|row| columns.iter().any(|column| column.is_null(row))).collect(),
    }
}

/// The rows of a batch with a value in each of these columns.
pub(super) fn without_nulls(batch: Batch, key: &[usize]) -> Batch {
    let columns: Vec<&Column> = key.iter().map(|k| &batch.columns[*k]).collect();
    let nulls = nulls(&columns, batch.rows);
    if nulls.is_empty() {
        return batch;
    }
    let rows: Vec<u32> = (0..batch.rows as u32).filter(|row| !nulls[*row as usize]).collect();
    batch.take(&rows)
}
