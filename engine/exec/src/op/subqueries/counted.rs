//! Rows that only have to be counted: of a key, which is all that EXISTS by key asks for, and of a key and a value, which
//! answers IN and NOT IN.
//!
//! No row is kept. Rows taken back count down; a key may stand below 0 while a row that was taken back is still to come.
//! Cost: a probe a row on both sides, two for IN; a key's bytes and eight more of state, the same again per different
//! value for IN.

use std::ops::Range;

use arrow_array::BooleanArray;
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::{KeyBatch, KeyEncoder};
use velostream_state::snapshot::{SnapshotError, StateTable};
use velostream_types::{Batch, Column, Value, vnode};

use super::keys::Keys;

const VERSION: u16 = 1;
/// Count of a key that was removed.
const GONE: i64 = i64::MIN;

/// Counts by key.
#[derive(Debug, Default)]
pub(super) struct Counts {
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    /// By group number of the index.
    counts: Vec<i64>,
    hashes: Vec<u32>,
    groups: Vec<u32>,
    fresh: Vec<u32>,
}

impl Counts {
    /// Counts rows of these keys; `change` hears of each row that makes a key known (TRUE) or ends it (FALSE).
    fn add(&mut self, keys: &KeyBatch, weight: impl Fn(usize) -> i64, mut change: impl FnMut(usize, bool)) {
        let Counts { index, pool, hasher, counts, hashes, groups, fresh } = self;
        hasher.hash_all(keys, hashes);
        groups.clear();
        fresh.clear();
        index.assign(keys, 0, hashes, groups, fresh, pool);
        counts.resize(index.high(), 0);
        for row in fresh.iter() {
            counts[groups[*row as usize] as usize] = 0;
            change(*row as usize, true);
        }
        for (row, group) in groups.iter().enumerate() {
            counts[*group as usize] += weight(row);
        }
        for (row, group) in groups.iter().enumerate() {
            let count = &mut counts[*group as usize];
            if *count == 0 {
                *count = GONE;
                index.remove(*group, hashes[row]);
                change(row, false);
            }
        }
    }

    /// Adds so many rows of a key that a snapshot knew.
    fn put(&mut self, key: &[u8], count: i64) {
        let found = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool);
        self.counts.resize(self.index.high(), 0);
        let held = &mut self.counts[found.group as usize];
        *held = count + if found.fresh { 0 } else { *held };
    }

    /// TRUE when there are rows of this key.
    fn has(&self, key: &[u8], hash: u32) -> bool {
        self.index.find(key, hash).is_some_and(|group| self.counts[group as usize] > 0)
    }

    /// Known keys with their counts.
    fn known(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count != GONE);
        counts.map(|(group, count)| (self.index.key(group as u32), *count))
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.counts.capacity() * size_of::<i64>()
    }
}

fn shape() -> SnapshotError {
    SnapshotError::Shape("what a subquery counts has another shape".to_owned())
}

/// Bytes of a column.
fn bytes<'a>(values: impl Iterator<Item = &'a [u8]>) -> Column {
    Column::Bytes(values.map(Some).collect())
}

/// EXISTS by key: rows of each key.
#[derive(Debug)]
pub(super) struct Counted {
    key: Vec<usize>,
    counts: Counts,
    encoder: KeyEncoder,
}

impl Counted {
    pub(super) fn new(key: Vec<usize>) -> Counted {
        Counted { key, counts: Counts::default(), encoder: KeyEncoder::new() }
    }

    /// Takes rows, none of which has NULL in a key.
    pub(super) fn take(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self.key.iter().map(|k| &batch.columns[*k]).collect();
        let keys = self.encoder.encode(&columns, batch.rows);
        self.counts.add(keys, |row| i64::from(batch.meta.weight_at(row)), |_, _| {});
    }

    /// TRUE for each key of which there are rows.
    pub(super) fn values(&self, keys: &Keys, rows: Range<usize>) -> Column {
        let has = |row: usize| !keys.is_null(row) && self.counts.has(keys.key(row), keys.hash(row));
        Column::Bool(rows.map(has).collect::<Vec<bool>>().into())
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.counts.index.len(), self.counts.bytes())
    }

    pub(super) fn save(&self, name: String) -> StateTable {
        let mut rows: Vec<(u16, &[u8], i64)> =
            self.counts.known().map(|(key, count)| (vnode::of_key(key), key, count)).collect();
        rows.sort_unstable();
        StateTable {
            name,
            version: VERSION,
            vnodes: Some(rows.iter().map(|row| row.0).collect()),
            columns: vec![
                bytes(rows.iter().map(|row| row.1)),
                Column::ints(rows.iter().map(|row| row.2).collect(), None),
            ],
        }
    }

    pub(super) fn load(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let ([keys, counts], Some(vnodes)) = (table.columns.as_slice(), &table.vnodes) else { return Err(shape()) };
        for at in (0..vnodes.len()).filter(|at| owns(vnodes[*at])) {
            let (Value::Bytes(key), Value::Int(count)) = (keys.value(at), counts.value(at)) else {
                return Err(shape());
            };
            self.counts.put(&key, count);
        }
        Ok(())
    }
}

/// IN and NOT IN: which values there are of each key.
#[derive(Debug)]
pub(super) struct Listed {
    key: Vec<usize>,
    value: usize,
    operand: usize,
    /// `<> ALL` rather than `= ANY`.
    all: bool,
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    /// By group number of the index.
    keys: Vec<Totals>,
    /// Rows of each group and value that is not NULL: the group's number, then the value's key bytes.
    members: Counts,
    encoder: KeyEncoder,
    pairs: KeyBatch,
    hashes: Vec<u32>,
}

/// Rows of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    /// All of them.
    rows: i64,
    /// Those whose value is NULL.
    nulls: i64,
    /// Different values that are known.
    values: i64,
}

/// What stands for a group that was removed.
const NO_GROUP: Totals = Totals { rows: GONE, nulls: 0, values: 0 };

/// A group's number in front of a value, seven bits a byte; 0, the only one without keys, is one byte.
fn write_group(mut group: u32, out: &mut Vec<u8>) {
    while group >= 0x80 {
        out.push(group as u8 | 0x80);
        group >>= 7;
    }
    out.push(group as u8);
}

/// The group in front of a value, and the value's bytes.
fn split_group(member: &[u8]) -> Option<(u32, &[u8])> {
    let end = member.iter().position(|byte| byte & 0x80 == 0)?;
    let (number, value) = member.split_at(end + 1);
    let group =
        number.iter().rev().try_fold(0u32, |group, byte| Some(group.checked_mul(128)? | u32::from(byte & 0x7f)));
    group.map(|group| (group, value))
}

impl Listed {
    /// Of a column of the kept rows; `all`: `<> ALL` rather than `= ANY` of the outer column `operand`.
    pub(super) fn new(key: Vec<usize>, value: usize, operand: usize, all: bool) -> Listed {
        Listed {
            key,
            value,
            operand,
            all,
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            keys: Vec::new(),
            members: Counts::default(),
            encoder: KeyEncoder::new(),
            pairs: KeyBatch::default(),
            hashes: Vec::new(),
        }
    }

    /// The same without rows.
    pub(super) fn emptied(&self) -> Listed {
        Listed::new(self.key.clone(), self.value, self.operand, self.all)
    }

    /// Takes rows, none of which has NULL in a key.
    pub(super) fn take(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self.key.iter().map(|k| &batch.columns[*k]).collect();
        self.hasher.hash_all(self.encoder.encode(&columns, batch.rows), &mut self.hashes);
        let (mut groups, mut fresh) = (Vec::with_capacity(batch.rows), Vec::new());
        self.index.assign(self.encoder.keys(), 0, &self.hashes, &mut groups, &mut fresh, &mut self.pool);
        self.keys.resize(self.index.high(), NO_GROUP);
        fresh.iter().for_each(|row| self.keys[groups[*row as usize] as usize] = Totals::default());
        let value = &batch.columns[self.value];
        self.encoder.encode(&[value], batch.rows);
        self.pairs.clear();
        let (mut members, mut pair) = (Vec::with_capacity(batch.rows), Vec::new());
        for (row, group) in groups.iter().enumerate() {
            let (totals, weight) = (&mut self.keys[*group as usize], i64::from(batch.meta.weight_at(row)));
            totals.rows += weight;
            if value.is_null(row) {
                totals.nulls += weight;
                continue;
            }
            pair.clear();
            write_group(*group, &mut pair);
            pair.extend_from_slice(self.encoder.keys().key(row));
            self.pairs.push(&pair);
            members.push(row);
        }
        let keys = &mut self.keys;
        let weight = |at: usize| i64::from(batch.meta.weight_at(members[at]));
        self.members.add(&self.pairs, weight, |at, made| {
            keys[groups[members[at]] as usize].values += if made { 1 } else { -1 };
        });
        for (row, group) in groups.iter().enumerate() {
            if self.keys[*group as usize] == Totals::default() {
                self.keys[*group as usize] = NO_GROUP;
                self.index.remove(*group, self.hashes[row]);
            }
        }
    }

    /// TRUE, FALSE or NULL for each row.
    pub(super) fn values(&mut self, keys: &Keys, outer: &Batch, rows: Range<usize>) -> Column {
        let first = rows.start;
        let operand = outer.columns[self.operand].slice(first, rows.len());
        let operands = self.encoder.encode(&[&operand], rows.len());
        let mut pair = Vec::new();
        let mut is_in = |row: usize| {
            let group = (!keys.is_null(row)).then(|| self.index.find(keys.key(row), keys.hash(row))).flatten();
            let Some((group, totals)) = group.map(|group| (group, self.keys[group as usize])).filter(|g| g.1.rows > 0)
            else {
                return Some(self.all);
            };
            let at = row - first;
            if operand.is_null(at) {
                return None;
            }
            pair.clear();
            write_group(group, &mut pair);
            pair.extend_from_slice(operands.key(at));
            match self.members.has(&pair, self.hasher.hash(&pair)) {
                true => Some(!self.all),
                false if totals.nulls > 0 => None,
                false => Some(self.all),
            }
        };
        Column::Bool(rows.map(&mut is_in).collect::<BooleanArray>())
    }

    pub(super) fn size(&self) -> (usize, usize) {
        let totals = self.keys.capacity() * size_of::<Totals>();
        (self.index.len(), self.index.bytes() + totals + self.members.bytes())
    }

    /// Keys with their rows and NULLs, then keys with their values.
    pub(super) fn save(&self, name: &str) -> [StateTable; 2] {
        let known = self.keys.iter().enumerate().filter(|(_, totals)| **totals != NO_GROUP);
        let key_of = |group: u32| {
            let key = self.index.key(group);
            (vnode::of_key(key), key)
        };
        let mut keys: Vec<((u16, &[u8]), &Totals)> =
            known.map(|(group, totals)| (key_of(group as u32), totals)).collect();
        keys.sort_unstable_by_key(|key| key.0);
        let totals = |f: fn(&Totals) -> i64| Column::ints(keys.iter().map(|key| f(key.1)).collect(), None);
        let keys_table = StateTable {
            name: format!("{name} keys"),
            version: VERSION,
            vnodes: Some(keys.iter().map(|key| key.0.0).collect()),
            columns: vec![bytes(keys.iter().map(|key| key.0.1)), totals(|t| t.rows), totals(|t| t.nulls)],
        };
        let member = |(member, count)| {
            let (group, value) = split_group(member)?;
            let (vnode, key) = key_of(group);
            Some((vnode, key, value, count))
        };
        let mut members: Vec<(u16, &[u8], &[u8], i64)> = self.members.known().filter_map(member).collect();
        members.sort_unstable();
        let members_table = StateTable {
            name: format!("{name} values"),
            version: VERSION,
            vnodes: Some(members.iter().map(|member| member.0).collect()),
            columns: vec![
                bytes(members.iter().map(|member| member.1)),
                bytes(members.iter().map(|member| member.2)),
                Column::ints(members.iter().map(|member| member.3).collect(), None),
            ],
        };
        [keys_table, members_table]
    }

    /// Takes this shard's share of one of the tables; that of the keys comes first.
    pub(super) fn load(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let ([keys, second, third], Some(vnodes)) = (table.columns.as_slice(), &table.vnodes) else {
            return Err(shape());
        };
        for at in (0..vnodes.len()).filter(|at| owns(vnodes[*at])) {
            let Value::Bytes(key) = keys.value(at) else { return Err(shape()) };
            let found = self.index.find_or_insert(&key, self.hasher.hash(&key), &mut self.pool);
            self.keys.resize(self.index.high(), NO_GROUP);
            let totals = &mut self.keys[found.group as usize];
            if found.fresh {
                *totals = Totals::default();
            }
            match (second.value(at), third.value(at)) {
                (Value::Int(rows), Value::Int(nulls)) => {
                    totals.rows += rows;
                    totals.nulls += nulls;
                }
                (Value::Bytes(value), Value::Int(count)) => {
                    totals.values += 1;
                    let mut pair = Vec::new();
                    write_group(found.group, &mut pair);
                    pair.extend_from_slice(&value);
                    self.members.put(&pair, count);
                }
                _ => return Err(shape()),
            }
        }
        Ok(())
    }
}
