//! Routing: which shard owns a row. Runs on the shard that made the row, in front of the mesh.
//!
//! `vnode = XXH3-64(key bytes) mod 1024`, `owner(vnode)` is a table; the key bytes are the same ones the state is
//! keyed by. Rows in equal rows out: every row goes to exactly one shard, in its order.

use velostream_state::key::KeyEncoder;
use velostream_types::{Batch, Column, ShardId, vnode};

/// Splits batches by the owner of their key.
#[derive(Debug)]
pub struct KeyRouter {
    columns: Vec<usize>,
    shards: u16,
    encoder: KeyEncoder,
    /// Row indices per shard, reused from batch to batch.
    rows: Vec<Vec<u32>>,
}

impl KeyRouter {
    /// A router over these key columns; none of them: all rows go to the owner of the empty key.
    pub fn new(columns: Vec<usize>, shards: u16) -> KeyRouter {
        KeyRouter { columns, shards, encoder: KeyEncoder::new(), rows: vec![Vec::new(); usize::from(shards)] }
    }

    /// The batch's rows per owner, owners ascending, empty shares left out.
    pub fn split(&mut self, batch: Batch) -> Vec<(ShardId, Batch)> {
        if self.shards == 1 {
            return vec![(ShardId(0), batch)];
        }
        if self.columns.is_empty() {
            return vec![(vnode::owner(vnode::of_key(&[]), self.shards), batch)];
        }
        for rows in &mut self.rows {
            rows.clear();
        }
        let columns: Vec<&Column> = self.columns.iter().map(|c| &batch.columns[*c]).collect();
        let keys = self.encoder.encode(&columns, batch.rows);
        for row in 0..batch.rows {
            let owner = vnode::owner(vnode::of_key(keys.key(row)), self.shards);
            self.rows[owner.index()].push(row as u32);
        }
        let total: usize = self.rows.iter().map(Vec::len).sum();
        assert_eq!(total, batch.rows, "routing loses no row");
        let mut parts = Vec::with_capacity(self.rows.len());
        for (shard, rows) in self.rows.iter().enumerate() {
            if rows.len() == batch.rows {
                return vec![(ShardId(shard as u16), batch)];
            }
            if !rows.is_empty() {
                parts.push((ShardId(shard as u16), batch.take(rows)));
            }
        }
        parts
    }
}
