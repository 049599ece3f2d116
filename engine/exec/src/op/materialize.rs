//! Materialize: one live row per key of a relation that changes.
//!
//! Stands behind an exchange by the key, where the key of a TABLE is not what tells the rows of its query apart. Rows of
//! one key then come from several groups, on several shards, in any order: one enters before or after another has left.
//! All that live are kept; the greatest of them by its columns from left to right (NULL is the least) stands for the key.
//! So what remains is a function of the rows that live, never of the order in which they came, and the row that leaves
//! late takes nothing but itself along.
//!
//! A batch is taken as a whole: a key whose row is another one behind it gives the old row with −1 and the new one with
//! +1, never split over batches; a key that came back to its row gives nothing. Rows that equal each other are counted.
//! A count may fall below 0 where a row is taken back before it came.
//!
//! State: every live row as key bytes, and bytes that compare like it. Cost: a probe, two encoded rows, and a search
//! among the rows of the key, which is mostly one.

use std::collections::BTreeMap;
use std::ops::Range;

use velostream_sql::plan::SortKey;
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, DataType, Fatal, SchemaRef, Value, vnode};

use super::replaced::{Change, Replacements};
use super::sort_key;
use crate::operator::{Msg, OpCx, Operator};

const ROWS: &str = "rows";
const VERSION: u16 = 1;

/// A row of the relation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// Compares like the row.
    order: Box<[u8]>,
    /// Its values.
    values: Box<[u8]>,
}

/// Rows of one key with how often each lives, ascending.
type Rows = Vec<(Row, i64)>;

/// A key that a batch touches.
struct Touched {
    /// Its row in front of the batch.
    before: Option<Box<[u8]>>,
    /// The last row of the batch that touches it.
    cause: u32,
}

/// The operator.
pub struct Materialize {
    key: Vec<usize>,
    types: Vec<DataType>,
    order: Vec<SortKey>,
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    /// By group number of the index.
    rows: Vec<Rows>,
    /// Bytes of all rows.
    bytes: usize,
    keys: KeyEncoder,
    values: KeyEncoder,
    /// Of the last batch, by ascending cause.
    changes: Replacements,
    behind: Option<Msg>,
}

/// The row that stands for a key.
fn winner(rows: &Rows) -> Option<&Row> {
    rows.iter().rev().find(|(_, count)| *count > 0).map(|(row, _)| row)
}

fn heap(row: &Row) -> usize {
    row.order.len() + row.values.len() + size_of::<(Row, i64)>()
}

impl Materialize {
    /// Keeps rows of this schema by these columns.
    pub fn new(key: &[usize], schema: &SchemaRef) -> Materialize {
        let ascending = |column| SortKey { column, descending: false, nulls_first: true };
        Materialize {
            key: key.to_vec(),
            types: schema.fields.iter().map(|f| f.data_type.clone()).collect(),
            order: (0..schema.len()).map(ascending).collect(),
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            rows: Vec::new(),
            bytes: 0,
            keys: KeyEncoder::new(),
            values: KeyEncoder::new(),
            changes: Replacements::default(),
            behind: None,
        }
    }

    /// Takes a batch and notes which keys have another row behind it.
    fn take(&mut self, batch: Batch) {
        let key: Vec<&Column> = self.key.iter().map(|k| &batch.columns[*k]).collect();
        self.keys.encode(&key, batch.rows);
        self.values.encode(&batch.columns.iter().collect::<Vec<_>>(), batch.rows);
        let mut touched: BTreeMap<u32, Touched> = BTreeMap::new();
        for row in 0..batch.rows {
            let key = self.keys.keys().key(row);
            let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group;
            self.rows.resize_with(self.index.high().max(self.rows.len()), Vec::new);
            let before = || winner(&self.rows[group as usize]).map(|row| row.values.clone());
            touched.entry(group).or_insert_with(|| Touched { before: before(), cause: 0 }).cause = row as u32;
            let mut order = Vec::new();
            sort_key::write(&mut order, &self.order, &self.types, &batch.columns, row);
            let changed = Row { order: order.into(), values: self.values.keys().key(row).into() };
            self.count(group, changed, i64::from(batch.meta.weight_at(row)));
        }
        let mut changes = Vec::with_capacity(touched.len());
        for (group, Touched { before, cause }) in touched {
            let after = winner(&self.rows[group as usize]).map(|row| row.values.clone());
            if before != after {
                changes.push(Change { before, after, cause });
            }
            self.free_if_empty(group);
        }
        changes.sort_by_key(|change| change.cause);
        self.changes.set(changes, batch.meta);
    }

    /// Adds so many of a row.
    fn count(&mut self, group: u32, row: Row, by: i64) {
        let rows = &mut self.rows[group as usize];
        let at = rows.binary_search_by(|(known, _)| (&known.order, &known.values).cmp(&(&row.order, &row.values)));
        match at {
            Ok(at) => {
                rows[at].1 += by;
                if rows[at].1 == 0 {
                    self.bytes -= heap(&rows[at].0);
                    rows.remove(at);
                }
            }
            Err(at) => {
                self.bytes += heap(&row);
                rows.insert(at, (row, by));
            }
        }
    }

    fn free_if_empty(&mut self, group: u32) {
        if self.rows[group as usize].is_empty() {
            self.rows[group as usize] = Vec::new();
            let hash = self.hasher.hash(self.index.key(group));
            self.index.remove(group, hash);
        }
    }

    fn present(&self) -> Range<u32> {
        0..self.rows.len() as u32
    }
}

impl Operator for Materialize {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.take(batch);
                cx.counters.groups = self.index.len() as u64;
                cx.counters.state_bytes = (self.bytes + self.index.bytes()) as u64;
            }
            other => self.behind = Some(other),
        }
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        if let Some(batch) = self.changes.next(&self.types, cx.batch_rows)? {
            cx.counters.rows_out += batch.rows as u64;
            return Ok(Some(Msg::Batch(batch)));
        }
        Ok(self.behind.take())
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        let live = |group: &u32| !self.rows[*group as usize].is_empty();
        let vnode_of = |group: u32| (vnode::of_key(self.index.key(group)), group);
        let mut groups: Vec<(u16, u32)> = self.present().filter(live).map(vnode_of).collect();
        groups.sort_unstable();
        let rows: Vec<(u16, u32, &(Row, i64))> = groups
            .iter()
            .flat_map(|(vnode, group)| self.rows[*group as usize].iter().map(|row| (*vnode, *group, row)))
            .collect();
        let bytes = |f: &dyn Fn(u32, &Row) -> Vec<u8>| {
            Column::Bytes(rows.iter().map(|(_, group, row)| Some(f(*group, &row.0))).collect())
        };
        out.tables.push(StateTable {
            name: ROWS.to_owned(),
            version: VERSION,
            vnodes: Some(rows.iter().map(|(vnode, ..)| *vnode).collect()),
            columns: vec![
                bytes(&|group, _| self.index.key(group).to_vec()),
                bytes(&|_, row| row.order.to_vec()),
                bytes(&|_, row| row.values.to_vec()),
                Column::ints(rows.iter().map(|(.., row)| row.1).collect(), None),
            ],
        });
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows of a materialized table have another shape".to_owned());
        for table in &from.tables {
            let ([keys, orders, values, counts], Some(vnodes)) = (table.columns.as_slice(), &table.vnodes) else {
                return Err(shape());
            };
            for at in (0..vnodes.len()).filter(|at| owns(vnodes[*at])) {
                let (Value::Bytes(key), Value::Bytes(order), Value::Bytes(values), Value::Int(count)) =
                    (keys.value(at), orders.value(at), values.value(at), counts.value(at))
                else {
                    return Err(shape());
                };
                let group = self.index.find_or_insert(&key, self.hasher.hash(&key), &mut self.pool).group;
                self.rows.resize_with(self.index.high().max(self.rows.len()), Vec::new);
                self.count(group, Row { order, values }, count);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
