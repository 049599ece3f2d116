//! What live rows of a changing relation were given: a row that is taken back gets the values it came with.
//!
//! Rows are known by all their columns. Of equal rows any may be taken back: they leave as many as they came. A row that
//! failed when it came is not taken back from anybody. Where a row is taken back before it came, both have the values of
//! whichever was first. State: the row's key bytes and its values. Cost: a probe a row.

use std::collections::{BTreeMap, VecDeque};

use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, StateTable};
use velostream_types::{Batch, Column, DataType, RecordError, Value, vnode};

use super::keys::Keys;

const VERSION: u16 = 1;

/// A row that waits for its opposite.
#[derive(Clone, Copy, Debug)]
struct Entry {
    weight: i8,
    /// Its values; none for a row that failed.
    slot: u32,
    vnode: u16,
}

/// The live rows.
#[derive(Debug)]
pub(super) struct Given {
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    /// By group number of the index.
    entries: Vec<VecDeque<Entry>>,
    values: RowStore,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
}

impl Given {
    /// Values of these types.
    pub(super) fn new(types: &[DataType]) -> Given {
        Given {
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            entries: Vec::new(),
            values: RowStore::new(types),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
        }
    }

    /// Gives rows their values, of which `values` are right for those that come; `keys` are those of the batch whose rows
    /// begin at `first`. Answers the values, and the rows that were given some; `failed` keeps the rows that fail now.
    pub(super) fn settle(
        &mut self,
        outer: &Batch,
        values: &[Column],
        (keys, first): (&Keys, usize),
        failed: &mut BTreeMap<u32, RecordError>,
    ) -> (Vec<Column>, Vec<u32>) {
        let columns: Vec<&Column> = outer.columns.iter().collect();
        self.hasher.hash_all(self.encoder.encode(&columns, outer.rows), &mut self.hashes);
        let (all, mut own) = ((0..outer.rows as u32).collect::<Vec<u32>>(), Vec::with_capacity(outer.rows));
        self.values.put_all(values, &all, &mut own);
        let (mut slots, mut rows, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (row, own) in own.into_iter().enumerate() {
            let weight = outer.meta.weight_at(row);
            let key = self.encoder.keys().key(row);
            let found = self.index.find_or_insert(key, self.hashes[row], &mut self.pool);
            self.entries.resize(self.index.high().max(self.entries.len()), VecDeque::new());
            let entries = &mut self.entries[found.group as usize];
            let slot = match entries.front() {
                Some(entry) if entry.weight != weight => {
                    failed.remove(&(row as u32));
                    let slot = entry.slot;
                    entries.pop_front();
                    left.extend([own, slot].into_iter().filter(|slot| *slot != NONE));
                    slot
                }
                _ => {
                    let slot = if failed.contains_key(&(row as u32)) { NONE } else { own };
                    left.extend((slot == NONE).then_some(own));
                    entries.push_back(Entry { weight, slot, vnode: vnode::of_key(keys.key(first + row)) });
                    slot
                }
            };
            if entries.is_empty() {
                self.entries[found.group as usize] = VecDeque::new();
                self.index.remove(found.group, self.hashes[row]);
            }
            if slot != NONE {
                slots.push(slot);
                rows.push(row as u32);
            }
        }
        let columns = (0..values.len()).map(|lane| self.values.gather(lane, &slots)).collect();
        left.into_iter().for_each(|slot| self.values.free(slot));
        (columns, rows)
    }

    /// TRUE when every row found its opposite.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty() && self.values.is_empty()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.entries.capacity() * size_of::<VecDeque<Entry>>();
        self.index.bytes() + lists + self.values.len() * size_of::<Entry>() + self.values.bytes()
    }

    /// The rows as key bytes, then weight, whether there are values, and the values.
    pub(super) fn save(&self, name: &str, lanes: usize) -> StateTable {
        let live = self.entries.iter().enumerate();
        let mut rows: Vec<(u16, u32, &Entry)> =
            live.flat_map(|(group, list)| list.iter().map(move |entry| (entry.vnode, group as u32, entry))).collect();
        rows.sort_by_key(|row| (row.0, row.1));
        let slots: Vec<u32> = rows.iter().map(|row| row.2.slot).collect();
        let ints = |f: &dyn Fn(&Entry) -> i64| Column::ints(rows.iter().map(|row| f(row.2)).collect(), None);
        let mut columns = vec![
            Column::Bytes(rows.iter().map(|row| Some(self.index.key(row.1))).collect()),
            ints(&|entry| i64::from(entry.weight)),
            ints(&|entry| i64::from(entry.slot != NONE)),
        ];
        columns.extend((0..lanes).map(|lane| self.values.gather(lane, &slots)));
        let vnodes = Some(rows.iter().map(|row| row.0).collect());
        StateTable { name: name.to_owned(), version: VERSION, vnodes, columns }
    }

    pub(super) fn load(
        &mut self,
        table: &StateTable,
        lanes: usize,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("what rows of a subquery were given has another shape".to_owned());
        let (Some((sides, values)), Some(vnodes)) = (table.columns.split_at_checked(3), &table.vnodes) else {
            return Err(shape());
        };
        if values.len() != lanes {
            return Err(shape());
        }
        let rows: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
        let mut slots = Vec::with_capacity(rows.len());
        self.values.put_all(values, &rows, &mut slots);
        for (row, slot) in rows.into_iter().zip(slots) {
            let at = row as usize;
            let (Value::Bytes(key), Value::Int(weight), Value::Int(there)) =
                (sides[0].value(at), sides[1].value(at), sides[2].value(at))
            else {
                return Err(shape());
            };
            if there == 0 {
                self.values.free(slot);
            }
            let slot = if there == 0 { NONE } else { slot };
            let group = self.index.find_or_insert(&key, self.hasher.hash(&key), &mut self.pool).group;
            self.entries.resize(self.index.high().max(self.entries.len()), VecDeque::new());
            let entry = Entry { weight: weight.signum() as i8, slot, vnode: vnodes[at] };
            self.entries[group as usize].push_back(entry);
        }
        Ok(())
    }
}
