//! Upsert: rows that only come become a relation that changes, of one live row per key.
//!
//! Stands behind an exchange by the key, where a declared TABLE is read and where INSERT writes one. The row that stands for
//! a key is the last one by order: that of its partition, and as-if order (position, source, partition) among several. So
//! what stands in the end is a function of the partitions' contents; a row that comes behind a later one changes nothing.
//! Each row that counts gives the one before it with −1 and itself with +1, in one batch, also where both are equal: a
//! reader of events sees every update. A row whose `deleted` column is TRUE only takes back.
//!
//! State: the live row of every key as bytes with its order, and of a deleted key its order, so that an earlier row of
//! another partition that comes late does not bring it back. Cost: a probe and an encoded row.

use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::WM_NONE;
use velostream_types::within::{self, Within};
use velostream_types::{Batch, Column, DataType, Fatal, SchemaRef, Value, vnode};

use super::replaced::{Change, Replacements};
use crate::operator::{Msg, OpCx, Operator};

const ROWS: &str = "upserts";
const VERSION: u16 = 1;

/// What is known of a key.
#[derive(Clone, Debug)]
struct Entry {
    /// Of the row that was last by it.
    order: (i64, Within, u64),
    /// Its values; none after a delete.
    values: Option<Box<[u8]>>,
}

/// The operator.
pub struct Upsert {
    key: Vec<usize>,
    deleted: Option<usize>,
    types: Vec<DataType>,
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    /// By group number of the index.
    entries: Vec<Option<Entry>>,
    /// Bytes of all rows.
    bytes: usize,
    keys: KeyEncoder,
    values: KeyEncoder,
    /// Of the last batch, in its order.
    changes: Replacements,
    behind: Option<Msg>,
}

fn heap(entry: &Entry) -> usize {
    size_of::<Entry>() + entry.values.as_ref().map_or(0, |values| values.len())
}

impl Upsert {
    /// Keeps rows of this schema by these columns.
    pub fn new(key: &[usize], deleted: Option<usize>, schema: &SchemaRef) -> Upsert {
        Upsert {
            key: key.to_vec(),
            deleted,
            types: schema.fields.iter().map(|f| f.data_type.clone()).collect(),
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            entries: Vec::new(),
            bytes: 0,
            keys: KeyEncoder::new(),
            values: KeyEncoder::new(),
            changes: Replacements::default(),
            behind: None,
        }
    }

    /// Takes a batch and notes what each row changes.
    fn take(&mut self, batch: Batch) {
        let key: Vec<&Column> = self.key.iter().map(|k| &batch.columns[*k]).collect();
        self.keys.encode(&key, batch.rows);
        self.values.encode(&batch.columns.iter().collect::<Vec<_>>(), batch.rows);
        let mut changes = Vec::with_capacity(batch.rows);
        for row in 0..batch.rows {
            let key = self.keys.keys().key(row);
            let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group as usize;
            self.entries.resize_with(self.index.high().max(self.entries.len()), || None);
            let order = batch.meta.order_at(row);
            if self.entries[group].as_ref().is_some_and(|known| known.order > order) {
                continue;
            }
            let ends = self.deleted.is_some_and(|column| batch.columns[column].value(row) == Value::Bool(true));
            let values: Option<Box<[u8]>> = (!ends).then(|| self.values.keys().key(row).into());
            let entry = Entry { order, values: values.clone() };
            self.bytes += heap(&entry);
            let before = self.entries[group].replace(entry);
            self.bytes -= before.as_ref().map_or(0, heap);
            let before = before.and_then(|entry| entry.values);
            if before.is_some() || values.is_some() {
                changes.push(Change { before, after: values, cause: row as u32 });
            }
        }
        self.changes.set(changes, batch.meta);
    }
}

impl Operator for Upsert {
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
        let known = |(group, entry): (usize, &Option<Entry>)| {
            let key = self.index.key(group as u32).to_vec();
            entry.as_ref().map(|entry| (vnode::of_key(&key), key, entry.clone()))
        };
        let mut rows: Vec<(u16, Vec<u8>, Entry)> =
            self.entries.iter().enumerate().filter(|(_, e)| e.is_some()).filter_map(known).collect();
        rows.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let ints = |f: &dyn Fn(&Entry) -> i64| Column::ints(rows.iter().map(|row| f(&row.2)).collect(), None);
        out.tables.push(StateTable {
            name: ROWS.to_owned(),
            version: VERSION,
            vnodes: Some(rows.iter().map(|row| row.0).collect()),
            columns: vec![
                Column::Bytes(rows.iter().map(|row| Some(row.1.clone())).collect()),
                ints(&|entry| entry.order.0),
                within::column(rows.iter().map(|row| row.2.order.1)),
                ints(&|entry| entry.order.2.cast_signed()),
                Column::Bytes(rows.iter().map(|row| row.2.values.as_ref().map(|v| v.to_vec())).collect()),
            ],
        });
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows of an upserted table have another shape".to_owned());
        for table in &from.tables {
            let ([keys, majors, minors, ties, values], Some(vnodes)) = (table.columns.as_slice(), &table.vnodes) else {
                return Err(shape());
            };
            for at in (0..vnodes.len()).filter(|at| owns(vnodes[*at])) {
                let (Value::Bytes(key), Value::Int(major), Some(minor), Value::Int(tie)) =
                    (keys.value(at), majors.value(at), within::at(minors, at), ties.value(at))
                else {
                    return Err(shape());
                };
                let values = match values.value(at) {
                    Value::Bytes(values) => Some(values),
                    Value::Null => None,
                    _ => return Err(shape()),
                };
                let entry = Entry { order: (major, minor, tie.cast_unsigned()), values };
                let group = self.index.find_or_insert(&key, self.hasher.hash(&key), &mut self.pool).group as usize;
                self.entries.resize_with(self.index.high().max(self.entries.len()), || None);
                self.bytes += heap(&entry);
                self.entries[group] = Some(entry);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
