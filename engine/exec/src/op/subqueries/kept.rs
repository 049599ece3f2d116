//! Rows that a subquery keeps, by key.
//!
//! Rows that only come are kept one by one in the order they come; of a relation that changes each different row is kept
//! once with the number of times it is there, which may stand below 0 while a row that was taken back is still to come.
//! Where the subquery's conditions say how long a row can count, it leaves when the watermark has left it so far behind.
//!
//! Cost: a probe and a copy a row; of a changing relation two probes. State: the row, its key once, 20 bytes, and where
//! they matter its time and place among the others; a changing relation holds the row once more as key bytes.

use std::collections::BTreeMap;

use velostream_state::block::BlockPool;
use velostream_state::chains::Chains;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, StateTable};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::within::{self, Within};
use velostream_types::{Batch, Column, DataType, Offsets, RowMeta, RowOrder, SourceId, Value, vnode};

use super::keys::without_nulls;

const VERSION: u16 = 1;
/// Rows that leave together came within this part of the time they stay.
const STAY_PARTS: i64 = 16;
/// They came within this time at least, ns.
const TOGETHER_NS: i64 = 1_000_000_000;

/// As-if order of a row.
pub(super) type Place = (i64, Within, u64);

/// What a subquery wants to know of its rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    /// Rows are taken back.
    pub(super) changes: bool,
    /// Their times and places among each other.
    pub(super) places: bool,
    /// How much older than the outer row they may be, ns.
    pub(super) keep_ns: Option<i64>,
}

/// What is known of rows besides their values.
struct Sides {
    times: Option<Vec<i64>>,
    places: Option<Vec<Place>>,
    weights: Option<Vec<i64>>,
}

/// How often each different row is there.
#[derive(Debug, Default)]
struct Counts {
    index: GroupIndex,
    /// Slot by group number of the index.
    slots: Vec<u32>,
    /// Group of the index by slot.
    groups: Vec<u32>,
    /// By slot.
    counts: Vec<i64>,
    encoder: KeyEncoder,
}

/// The rows.
#[derive(Debug)]
pub(super) struct Kept {
    key: Vec<usize>,
    types: Vec<DataType>,
    wants: Wants,
    rows: RowStore,
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    chains: Chains,
    /// Group of each slot.
    groups: Vec<u32>,
    /// Slots of each group.
    lengths: Vec<u32>,
    counts: Option<Counts>,
    /// By slot: event time, else the record's timestamp.
    times: Vec<i64>,
    /// By slot.
    places: Vec<Place>,
    /// Slots by stretch of time.
    stays: BTreeMap<i64, Vec<u32>>,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
}

/// Where a walk over the rows that outer rows may meet stands.
#[derive(Debug)]
pub(super) struct Walk {
    /// The next row that may be met, by outer row.
    slots: Vec<u32>,
    /// The outer row at hand.
    row: usize,
    /// How often its next row was given, and how many others before it in this round.
    copies: i64,
    passed: usize,
    /// Rows that are given for an outer row in this round.
    most: usize,
}

impl Walk {
    /// Begins another round, which goes to the end of all rows; FALSE when this was the last.
    pub(super) fn goes_on(&mut self) -> bool {
        let before = std::mem::replace(&mut self.most, usize::MAX);
        (self.row, self.copies, self.passed) = (0, 0, 0);
        before < usize::MAX
    }
}

/// Sets the entry of a slot in a list that holds those below.
fn set<T: Clone>(list: &mut Vec<T>, slot: u32, value: T) {
    match list.get_mut(slot as usize) {
        Some(held) => *held = value,
        None => list.resize(slot as usize + 1, value),
    }
}

impl Kept {
    /// No rows of columns of these types, to be found by these.
    pub(super) fn new(key: Vec<usize>, types: Vec<DataType>, wants: Wants) -> Kept {
        // Rows of a relation that changes leave when they are taken back.
        let wants = Wants { keep_ns: wants.keep_ns.filter(|_| !wants.changes), ..wants };
        Kept {
            rows: RowStore::new(&types),
            key,
            types,
            wants,
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            chains: Chains::new(),
            groups: Vec::new(),
            lengths: Vec::new(),
            counts: wants.changes.then(Counts::default),
            times: Vec::new(),
            places: Vec::new(),
            stays: BTreeMap::new(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
        }
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.types.len()
    }

    pub(super) fn keep_ns(&self) -> Option<i64> {
        self.wants.keep_ns
    }

    /// The group of a key.
    pub(super) fn find(&self, key: &[u8], hash: u32) -> u32 {
        self.index.find(key, hash).unwrap_or(NONE)
    }

    /// Rows that have to be looked at for a group.
    pub(super) fn length(&self, group: u32) -> usize {
        self.lengths.get(group as usize).map_or(0, |length| *length as usize)
    }

    /// Takes rows that an outer row at or above `watermark` could meet; tells the groups that they change.
    pub(super) fn take(&mut self, batch: Batch, watermark: i64, changed: &mut dyn FnMut(u32)) {
        let mut batch = without_nulls(batch, &self.key);
        if let Some((keep_ns, times)) = self.wants.keep_ns.zip(batch.meta.event_time.as_ref())
            && times.iter().any(|time| time.saturating_add(keep_ns) < watermark)
        {
            let counts = |row: &u32| times[*row as usize].saturating_add(keep_ns) >= watermark;
            let rows: Vec<u32> = (0..batch.rows as u32).filter(counts).collect();
            batch = batch.take(&rows);
        }
        let meta = &batch.meta;
        let time = meta.event_time.as_ref().or(meta.timestamp.as_ref());
        let wants_times = self.wants.places || self.wants.keep_ns.is_some();
        let sides = Sides {
            times: wants_times.then(|| (0..batch.rows).map(|row| time.map_or(0, |time| time[row])).collect()),
            places: self.wants.places.then(|| (0..batch.rows).map(|row| meta.order_at(row)).collect()),
            weights: meta.weight.as_ref().map(|weights| weights.iter().map(|w| i64::from(*w)).collect()),
        };
        if batch.rows > 0 {
            self.insert(&batch.columns, batch.rows, &sides, changed);
        }
    }

    fn insert(&mut self, columns: &[Column], rows: usize, sides: &Sides, changed: &mut dyn FnMut(u32)) {
        let key: Vec<&Column> = self.key.iter().map(|k| &columns[*k]).collect();
        self.hasher.hash_all(self.encoder.encode(&key, rows), &mut self.hashes);
        let (mut groups, mut fresh) = (Vec::with_capacity(rows), Vec::new());
        self.index.assign(self.encoder.keys(), 0, &self.hashes, &mut groups, &mut fresh, &mut self.pool);
        self.lengths.resize(self.index.high().max(self.lengths.len()), 0);
        groups.iter().for_each(|group| changed(*group));
        match self.counts.take() {
            Some(mut counts) => {
                self.count(&mut counts, columns, &groups, sides);
                self.counts = Some(counts);
            }
            None => {
                let all: Vec<u32> = (0..rows as u32).collect();
                self.add(columns, &all, &groups, sides);
            }
        }
    }

    /// Adds these rows, whose groups are those of all rows of the batch; answers their slots.
    fn add(&mut self, columns: &[Column], rows: &[u32], groups: &[u32], sides: &Sides) -> Vec<u32> {
        let mut slots = Vec::with_capacity(rows.len());
        self.rows.put_all(columns, rows, &mut slots);
        for (slot, row) in slots.iter().zip(rows) {
            let (row, group) = (*row as usize, groups[*row as usize]);
            self.chains.push(group, *slot);
            self.lengths[group as usize] += 1;
            set(&mut self.groups, *slot, group);
            if let Some(times) = &sides.times {
                set(&mut self.times, *slot, times[row]);
                if self.wants.keep_ns.is_some() {
                    self.stays.entry(times[row].div_euclid(self.together_ns())).or_default().push(*slot);
                }
            }
            if let Some(places) = &sides.places {
                set(&mut self.places, *slot, places[row]);
            }
        }
        slots
    }

    /// Counts rows of a relation that changes.
    fn count(&mut self, known: &mut Counts, columns: &[Column], groups: &[u32], sides: &Sides) {
        let rows = groups.len();
        let mut hashes = Vec::new();
        self.hasher.hash_all(known.encoder.encode(&columns.iter().collect::<Vec<_>>(), rows), &mut hashes);
        let (mut numbers, mut fresh) = (Vec::with_capacity(rows), Vec::new());
        known.index.assign(known.encoder.keys(), 0, &hashes, &mut numbers, &mut fresh, &mut self.pool);
        let slots = self.add(columns, &fresh, groups, sides);
        for (slot, row) in slots.iter().zip(&fresh) {
            let number = numbers[*row as usize];
            set(&mut known.slots, number, *slot);
            set(&mut known.groups, *slot, number);
            set(&mut known.counts, *slot, 0);
        }
        for (row, number) in numbers.iter().enumerate() {
            let slot = known.slots[*number as usize];
            known.counts[slot as usize] += sides.weights.as_ref().map_or(1, |weights| weights[row]);
        }
        for (row, number) in numbers.iter().enumerate() {
            let slot = known.slots[*number as usize];
            if slot != NONE && known.counts[slot as usize] == 0 {
                known.slots[*number as usize] = NONE;
                known.index.remove(*number, hashes[row]);
                self.forget(slot);
            }
        }
    }

    /// Frees a row, and its group with the last one.
    fn forget(&mut self, slot: u32) {
        let group = self.groups[slot as usize];
        self.chains.remove(group, slot);
        self.rows.free(slot);
        self.lengths[group as usize] -= 1;
        if self.lengths[group as usize] == 0 {
            let hash = self.hasher.hash(self.index.key(group));
            self.index.remove(group, hash);
        }
    }

    /// Time within which rows came that leave together, ns.
    fn together_ns(&self) -> i64 {
        (self.wants.keep_ns.unwrap_or(0) / STAY_PARTS).max(TOGETHER_NS)
    }

    /// Frees rows that no outer row at or above the watermark can meet.
    pub(super) fn expire(&mut self, watermark: i64) {
        if watermark == WM_END {
            *self = Kept::new(std::mem::take(&mut self.key), std::mem::take(&mut self.types), self.wants);
            return;
        }
        let (Some(keep_ns), together_ns) = (self.wants.keep_ns, self.together_ns()) else { return };
        while let Some(first) = self.stays.first_entry() {
            let end = first.key().saturating_add(1).saturating_mul(together_ns);
            if end.saturating_add(keep_ns) > watermark {
                return;
            }
            first.remove().into_iter().for_each(|slot| self.forget(slot));
        }
    }

    /// A walk over the rows of these groups. With `few` it gives that many rows for each outer row first.
    pub(super) fn walk(&self, groups: &[u32], few: Option<usize>) -> Walk {
        let mut slots = Vec::with_capacity(groups.len());
        self.chains.firsts(groups, &mut slots);
        Walk { slots, row: 0, copies: 0, passed: 0, most: few.unwrap_or(usize::MAX) }
    }

    /// Appends up to `most` pairs of an outer row and a row that it may meet, from where the walk stands: rows of its
    /// group that are not older than its floor. Outer rows in `skip` meet none. With `each` a row counts as often as it is
    /// there.
    pub(super) fn candidates(
        &self,
        walk: &mut Walk,
        (floors, skip, each): (&[i64], &[bool], bool),
        most: usize,
        (rows, slots): (&mut Vec<u32>, &mut Vec<u32>),
    ) {
        while rows.len() < most && walk.row < walk.slots.len() {
            let slot = walk.slots[walk.row];
            if slot == NONE || walk.passed >= walk.most || skip[walk.row] {
                (walk.row, walk.copies, walk.passed) = (walk.row + 1, 0, 0);
                continue;
            }
            let old = floors.get(walk.row).is_some_and(|floor| self.times[slot as usize] < *floor);
            let there = if old { 0 } else { self.copies(slot, each) };
            if walk.copies < there {
                rows.push(walk.row as u32);
                slots.push(slot);
                walk.copies += 1;
            }
            if walk.copies >= there {
                walk.slots[walk.row] = self.chains.next(slot);
                (walk.copies, walk.passed) = (0, walk.passed + 1);
            }
        }
    }

    fn copies(&self, slot: u32, each: bool) -> i64 {
        let count = self.counts.as_ref().map_or(1, |counts| counts.counts[slot as usize]);
        if each { count } else { count.min(1) }
    }

    /// One column of these rows.
    pub(super) fn gather(&self, column: usize, slots: &[u32]) -> Column {
        self.rows.gather(column, slots)
    }

    /// The place of a row among others, where somebody wants it.
    pub(super) fn place(&self, slot: u32) -> Option<Place> {
        self.places.get(slot as usize).copied()
    }

    fn known_place(&self, slot: u32) -> Place {
        self.places[slot as usize]
    }

    /// Times and places of rows, for aggregates that ask for them.
    pub(super) fn meta(&self, slots: &[u32]) -> RowMeta {
        let mut meta = RowMeta::plain(SourceId(0), 0, 0);
        if !self.wants.places {
            return meta;
        }
        let places = || slots.iter().map(|slot| self.known_place(*slot));
        meta.event_time = Some(slots.iter().map(|slot| self.times[*slot as usize]).collect());
        meta.offsets = Offsets::List(places().map(|place| place.0).collect());
        let tie = places().map(|place| place.2).collect();
        // Rows of records are ordered in time by their partition first, others by the order that operators gave them.
        meta.order = match places().all(|place| place.1 == within::HERE) {
            true => RowOrder::Nth(tie),
            false => RowOrder::Derived {
                major: places().map(|place| place.0).collect(),
                minor: places().map(|place| place.1).collect(),
                tie,
            },
        };
        meta
    }

    /// Groups and bytes held.
    pub(super) fn size(&self) -> (usize, usize) {
        let lists = self.groups.capacity() + self.lengths.capacity();
        let counts = self.counts.as_ref().map_or(0, |counts| {
            let numbers = counts.slots.capacity() + counts.groups.capacity();
            counts.index.bytes() + numbers * size_of::<u32>() + counts.counts.capacity() * size_of::<i64>()
        });
        let sides = self.times.capacity() * size_of::<i64>() + self.places.capacity() * size_of::<Place>();
        let stays: usize = self.stays.values().map(|slots| slots.capacity() * size_of::<u32>()).sum();
        let held = self.rows.bytes() + self.index.bytes() + self.chains.bytes() + lists * size_of::<u32>();
        (self.index.len(), held + counts + sides + stays)
    }

    /// The rows with their times, places and counts; each group's in their order.
    pub(super) fn save(&self, name: String) -> StateTable {
        let mut groups: Vec<(u16, u32)> = (0..self.lengths.len() as u32)
            .filter(|group| self.lengths[*group as usize] > 0)
            .map(|group| (vnode::of_key(self.index.key(group)), group))
            .collect();
        groups.sort_unstable();
        let (mut vnodes, mut slots) = (Vec::new(), Vec::with_capacity(self.rows.len()));
        for (vnode, group) in groups {
            slots.extend(self.chains.slots(group));
            vnodes.resize(slots.len(), vnode);
        }
        let side = |there: bool, f: &dyn Fn(u32) -> i64| match there {
            true => Column::ints(slots.iter().map(|slot| f(*slot)).collect(), None),
            false => Column::Null(slots.len()),
        };
        let mut columns: Vec<Column> = (0..self.width()).map(|column| self.rows.gather(column, &slots)).collect();
        columns.push(side(!self.times.is_empty(), &|slot| self.times[slot as usize]));
        columns.push(side(self.wants.places, &|slot| self.known_place(slot).0));
        columns.push(match self.wants.places {
            true => within::column(slots.iter().map(|slot| self.known_place(*slot).1)),
            false => Column::Null(slots.len()),
        });
        columns.push(side(self.wants.places, &|slot| self.known_place(slot).2.cast_signed()));
        columns.push(side(self.counts.is_some(), &|slot| {
            self.counts.as_ref().map_or(1, |counts| counts.counts[slot as usize])
        }));
        StateTable { name, version: VERSION, vnodes: Some(vnodes), columns }
    }

    pub(super) fn load(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows that a subquery keeps have another shape".to_owned());
        let (Some((columns, sides)), Some(vnodes)) = (table.columns.split_at_checked(self.width()), &table.vnodes)
        else {
            return Err(shape());
        };
        let [times, majors, minors, ties, counts] = sides else { return Err(shape()) };
        let rows: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
        let ints = |column: &Column| {
            let int = |row: &u32| match column.value(*row as usize) {
                Value::Int(value) => Some(value),
                _ => None,
            };
            rows.iter().map(int).collect::<Option<Vec<i64>>>()
        };
        let wants_times = self.wants.places || self.wants.keep_ns.is_some();
        let (times, weights) = (ints(times), ints(counts));
        let minors: Option<Vec<Within>> = rows.iter().map(|row| within::at(minors, *row as usize)).collect();
        let places = ints(majors).zip(minors).zip(ints(ties)).map(|((majors, minors), ties)| {
            let triples = majors.into_iter().zip(minors).zip(ties);
            triples.map(|((major, minor), tie)| (major, minor, tie.cast_unsigned())).collect::<Vec<Place>>()
        });
        let lacks = wants_times && times.is_none() || self.wants.places && places.is_none();
        if lacks || self.wants.changes && weights.is_none() {
            return Err(shape());
        }
        let columns: Vec<Column> = columns.iter().map(|column| column.take(&rows)).collect();
        let sides = Sides {
            times: times.filter(|_| wants_times),
            places: places.filter(|_| self.wants.places),
            weights: weights.filter(|_| self.wants.changes),
        };
        if !rows.is_empty() {
            self.insert(&columns, rows.len(), &sides, &mut |_| {});
        }
        Ok(())
    }
}

/// From where on rows count for each outer row: `keep_ns` behind its own time or, where it came late, behind the
/// watermark of its own partition; empty where they have no times. So what counts is a function of the partitions'
/// contents, whatever the watermark freed meanwhile.
pub(super) fn floors(outer: &Batch, keep_ns: Option<i64>) -> Vec<i64> {
    let Some((keep_ns, times)) = keep_ns.zip(outer.meta.event_time.as_ref()) else { return Vec::new() };
    let own = |row: usize| outer.meta.wm_own.as_ref().map_or(WM_NONE, |own| own[row]);
    (0..outer.rows).map(|row| times[row].max(own(row)).saturating_sub(keep_ns)).collect()
}
