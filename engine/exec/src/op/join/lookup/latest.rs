//! The rows of a declared TABLE on one shard, by its key: of the rows that came, the last one by order stands.
//!
//! For a table that the join alone reads, by the table's whole key. Its rows come as they were read, those that end a key
//! with weight −1, and replace each other here: nobody else has to keep them. A row of an earlier order than the one that
//! stands changes nothing, so what is looked up in the end is a function of the partitions' contents.
//!
//! A key is a group of the index, and the group's number is the slot of its row. The key of a deleted row stays with its
//! order, so that an earlier row of another partition that comes late does not bring it back. Columns that the join does
//! not read are not kept; rows with NULL in their key match nothing, and are not either.
//!
//! Cost: a probe and a copy by column. Beside its own bytes a row takes 11 to 21 in slots of the index, 8 in its word, 8 in
//! its order (see [`super::orders`]), and the key once more where it is longer than seven bytes.

use velostream_sql::plan::{JoinColumn, JoinSpec, Side};
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Batch, Column, DataType, SchemaRef, Value, vnode, within};

use super::orders::{Order, Orders};
use super::probe::Table;

const ROWS: &str = "last rows";
/// Rows that every shard holds and stores: one store has all of them.
const WHOLE: &str = "whole table of last rows";
const VERSION: u16 = 1;
/// Columns of a snapshot in front of the rows': key, order in three parts, and whether there is a row.
const OWN_COLUMNS: usize = 5;

/// The rows.
pub(super) struct Latest {
    keys: Vec<usize>,
    types: Vec<DataType>,
    /// Columns that the join reads.
    read: Vec<bool>,
    rows: RowStore,
    index: GroupIndex,
    orders: Orders,
    gone: Gone,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
    groups: Vec<u32>,
    fresh: Vec<u32>,
    /// Rows of a batch that stand until a later one comes, and their slots.
    coming: Vec<u32>,
    slots: Vec<u32>,
    /// Every shard holds all rows: each stores them, and one store is enough.
    everywhere: bool,
    restored: bool,
}

/// Groups without a row, as bits.
#[derive(Default)]
struct Gone {
    bits: Vec<u64>,
    count: usize,
}

impl Gone {
    fn has(&self, group: u32) -> bool {
        self.bits.get(group as usize / 64).is_some_and(|word| word >> (group % 64) & 1 == 1)
    }

    fn set(&mut self, group: u32, gone: bool) {
        if self.has(group) == gone {
            return;
        }
        let word = group as usize / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] ^= 1 << (group % 64);
        self.count = if gone { self.count + 1 } else { self.count - 1 };
    }
}

impl Table for Latest {
    fn rows(&self) -> &RowStore {
        &self.rows
    }

    fn next(&self, _row: usize, _slot: u32) -> u32 {
        NONE
    }

    fn is_single(&self) -> bool {
        true
    }

    fn note(&mut self, _slots: &[u32]) {}
}

impl Latest {
    /// No rows of this schema, which is that of one side of a join.
    pub fn new(spec: &JoinSpec, table: Side, schema: &SchemaRef, everywhere: bool) -> Latest {
        let keys = if table == Side::Left { &spec.left_keys } else { &spec.right_keys };
        let types: Vec<DataType> = schema.fields.iter().map(|f| f.data_type.clone()).collect();
        let reads = |column: usize| {
            let of = |from: &JoinColumn| matches!(from, JoinColumn::Of(side, at) if (*side, *at) == (table, column));
            spec.output.iter().any(of)
        };
        Latest {
            keys: keys.clone(),
            read: (0..types.len()).map(reads).collect(),
            rows: RowStore::new(&types),
            types,
            index: GroupIndex::new(),
            orders: Orders::new(),
            gone: Gone::default(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
            groups: Vec::new(),
            fresh: Vec::new(),
            coming: Vec::new(),
            slots: Vec::new(),
            everywhere,
            restored: false,
        }
    }

    /// Keys known, those of deleted rows too.
    pub fn groups(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.index.bytes() + self.orders.bytes() + self.gone.bits.capacity() * size_of::<u64>()
    }

    /// Takes rows that come, and those that end a key.
    pub fn change(&mut self, batch: &Batch) {
        let has_null = |row: usize| self.keys.iter().any(|key| batch.columns[*key].is_null(row));
        let nulls = |key: &usize| batch.columns[*key].nulls().is_some_and(|nulls| nulls.null_count() > 0);
        let all_null = |key: &usize| matches!(batch.columns[*key], Column::Null(_));
        if !self.keys.iter().any(|key| nulls(key) || all_null(key)) {
            return self.take(batch);
        }
        let rows: Vec<u32> = (0..batch.rows).filter(|row| !has_null(*row)).map(|row| row as u32).collect();
        if !rows.is_empty() {
            self.take(&batch.take(&rows));
        }
    }

    fn take(&mut self, batch: &Batch) {
        self.assign(&batch.columns, batch.rows);
        let columns = self.kept(&batch.columns, batch.rows);
        let groups = std::mem::take(&mut self.groups);
        self.coming.clear();
        self.slots.clear();
        let mut fresh = self.fresh.iter().copied().peekable();
        for (row, group) in groups.iter().enumerate() {
            let order = batch.meta.order_at(row);
            let is_new = fresh.next_if_eq(&(row as u32)).is_some();
            if !is_new && self.orders.is_above(*group, order) {
                continue;
            }
            self.orders.set(*group, order, &mut self.pool);
            let ends = batch.meta.weight_at(row) < 0;
            self.gone.set(*group, ends);
            if ends {
                // What came before it in the batch has to be there to be forgotten.
                self.rows.put_at(&columns, &self.coming, &self.slots, self.index.high());
                self.coming.clear();
                self.slots.clear();
                self.rows.clear_at(*group);
            } else {
                self.coming.push(row as u32);
                self.slots.push(*group);
            }
        }
        self.rows.put_at(&columns, &self.coming, &self.slots, self.index.high());
        self.groups = groups;
    }

    /// Finds the groups of rows of the table, making those of new keys.
    fn assign(&mut self, columns: &[Column], rows: usize) {
        let keys: Vec<&Column> = self.keys.iter().map(|key| &columns[*key]).collect();
        self.encoder.encode(&keys, rows);
        self.assign_encoded();
    }

    fn assign_encoded(&mut self) {
        let keys = self.encoder.keys();
        self.hasher.hash_all(keys, &mut self.hashes);
        self.groups.clear();
        self.fresh.clear();
        self.index.assign(keys, 0, &self.hashes, &mut self.groups, &mut self.fresh, &mut self.pool);
        self.orders.grow(self.index.high(), &mut self.pool);
    }

    /// The columns as they are kept.
    fn kept(&self, columns: &[Column], rows: usize) -> Vec<Column> {
        let kept = |(column, read): (&Column, &bool)| if *read { column.clone() } else { Column::Null(rows) };
        columns.iter().zip(&self.read).map(kept).collect()
    }

    /// Appends, for each of so many rows of the stream, the row of its key; none where there is none.
    pub fn find(&mut self, columns: &[Column], keys: &[usize], rows: usize, firsts: &mut Vec<u32>) {
        let columns: Vec<&Column> = keys.iter().map(|key| &columns[*key]).collect();
        let encoded = self.encoder.encode(&columns, rows);
        self.hasher.hash_all(encoded, &mut self.hashes);
        // No group is `NONE`, too.
        self.index.find_all(encoded, 0, &self.hashes, firsts);
        if self.gone.count > 0 {
            firsts.iter_mut().filter(|group| self.gone.has(**group)).for_each(|group| *group = NONE);
        }
        for nulls in columns.iter().filter_map(|column| column.nulls()).filter(|nulls| nulls.null_count() > 0) {
            nulls.iter().zip(firsts.iter_mut()).filter(|(valid, _)| !valid).for_each(|(_, first)| *first = NONE);
        }
    }

    /// Writes the rows, and the orders of deleted ones.
    pub fn snapshot(&self, out: &mut SnapshotWriter) {
        let vnode_of = |group: u32| (vnode::of_key(self.index.key(group)), group);
        let mut groups: Vec<(u16, u32)> = (0..self.index.high() as u32).map(vnode_of).collect();
        groups.sort_unstable_by(|a, b| (a.0, self.index.key(a.1)).cmp(&(b.0, self.index.key(b.1))));
        let slot = |group: u32| if self.gone.has(group) { NONE } else { group };
        let slots: Vec<u32> = groups.iter().map(|(_, group)| slot(*group)).collect();
        let orders = || groups.iter().map(|(_, group)| self.orders.get(*group));
        let mut columns = vec![
            Column::Bytes(groups.iter().map(|(_, group)| Some(self.index.key(*group))).collect()),
            Column::ints(orders().map(|order| order.0).collect(), None),
            within::column(orders().map(|order| order.1)),
            Column::ints(orders().map(|order| order.2.cast_signed()).collect(), None),
            Column::Bool(slots.iter().map(|slot| Some(*slot != NONE)).collect()),
        ];
        columns.extend((0..self.types.len()).map(|lane| self.rows.gather(lane, &slots)));
        out.tables.push(StateTable {
            name: if self.everywhere { WHOLE } else { ROWS }.to_owned(),
            version: VERSION,
            vnodes: Some(groups.iter().map(|(vnode, _)| *vnode).collect()),
            columns,
        });
    }

    /// Takes the rows of the virtual nodes that this shard holds.
    pub fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the last rows of a looked-up table have another shape".to_owned());
        let everywhere = self.everywhere;
        for table in &from.tables {
            let is_whole = table.name == WHOLE;
            if !is_whole && table.name != ROWS || table.columns.len() != OWN_COLUMNS + self.types.len() {
                return Err(shape());
            }
            if is_whole && std::mem::replace(&mut self.restored, true) {
                continue;
            }
            let Some(vnodes) = &table.vnodes else { return Err(shape()) };
            let holds = |vnode: u16| everywhere || owns(vnode);
            let rows: Vec<u32> = (0..vnodes.len()).filter(|at| holds(vnodes[*at])).map(|at| at as u32).collect();
            if !rows.is_empty() {
                let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&rows)).collect();
                self.restore_rows(&columns, rows.len()).ok_or_else(shape)?;
            }
        }
        Ok(())
    }

    fn restore_rows(&mut self, columns: &[Column], rows: usize) -> Option<()> {
        let (own, values) = columns.split_at(OWN_COLUMNS);
        let [keys, majors, minors, ties, stands] = own else { return None };
        let bytes = |row| match keys.value(row) {
            Value::Bytes(key) => Some(key),
            _ => None,
        };
        let keys: Vec<Box<[u8]>> = (0..rows).map(bytes).collect::<Option<_>>()?;
        self.encoder.load(keys.iter().map(|key| &**key));
        self.assign_encoded();
        let order = |row| -> Option<Order> {
            match (majors.value(row), within::at(minors, row), ties.value(row)) {
                (Value::Int(major), Some(minor), Value::Int(tie)) => Some((major, minor, tie.cast_unsigned())),
                _ => None,
            }
        };
        self.coming.clear();
        self.slots.clear();
        for row in 0..rows {
            let group = self.groups[row];
            self.orders.set(group, order(row)?, &mut self.pool);
            let stands = stands.value(row) == Value::Bool(true);
            self.gone.set(group, !stands);
            if stands {
                self.coming.push(row as u32);
                self.slots.push(group);
            }
        }
        self.rows.put_at(values, &self.coming, &self.slots, self.index.high());
        Some(())
    }
}
