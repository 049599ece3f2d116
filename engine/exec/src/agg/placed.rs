//! Values with their place among the rows: what STRING_AGG and ARRAY_AGG list, and, over relations that change, what
//! FIRST, LAST and their kin choose from.
//!
//! An entry is its sort keys, its place and its value as bytes, so that comparing entries is comparing bytes. Places are
//! contents of partitions, so lists do not depend on batches or shards. Over a changing relation entries are found
//! again by the columns that identify a row: at most one row of an identity is there at a time, and what happens to it
//! comes in order, since one shard owns it. Cost: one small allocation a row; listing costs a sort.

use std::collections::{BTreeMap, BTreeSet};

use velostream_functions::AggregateFn;
use velostream_functions::json;
use velostream_sql::plan::CallOrder;
use velostream_state::build::ColumnBuilder;
use velostream_state::key::{KeyEncoder, decode};
use velostream_types::{Column, DataType, RowMeta, Value, within};

use super::bag::{Bag, Item, entry, split};
use super::call::CallPlan;
use super::sortable;

/// What "before" means where no order was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Event time, then source, partition and offset.
    Time,
    /// Offset, then source and partition.
    Arrival,
}

/// What a state of this kind reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlacedSpec {
    pub(super) by: By,
    /// NULL is a value.
    pub(super) nulls: bool,
    pub(super) order: Vec<CallOrder>,
    /// Types of the columns in `order`.
    pub(super) order_types: Vec<DataType>,
    pub(super) filter: Option<usize>,
    /// Columns that tell rows apart; empty where rows are only added.
    pub(super) identity: Vec<usize>,
    pub(super) changes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    bytes: Box<[u8]>,
    /// Where the value begins.
    value_at: u32,
}

impl Placed {
    fn value(&self) -> &[u8] {
        &self.bytes[self.value_at as usize..]
    }
}

impl Item for Placed {
    fn heap(&self) -> usize {
        self.bytes.len()
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value_at.to_le_bytes());
        self.bytes.save(out);
    }

    fn load(bytes: &mut &[u8]) -> Option<Placed> {
        let value_at = u32::from_le_bytes(split(bytes)?);
        let bytes = Box::<[u8]>::load(bytes)?;
        (value_at as usize <= bytes.len()).then_some(Placed { bytes, value_at })
    }
}

/// Rows by identity, and the bytes they hold.
#[derive(Debug, Default)]
struct Rows {
    groups: Vec<BTreeMap<Box<[u8]>, Placed>>,
    heap: usize,
}

/// Bytes of an entry of the map beside those it points to.
const ENTRY: usize = size_of::<(Box<[u8]>, Placed)>() + 16;

impl Rows {
    fn insert(&mut self, group: u32, identity: Box<[u8]>, placed: Placed) {
        self.heap += identity.len() + placed.heap() + ENTRY;
        let identity_len = identity.len();
        if let Some(old) = self.groups[group as usize].insert(identity, placed) {
            self.heap -= identity_len + old.heap() + ENTRY;
        }
    }

    fn remove(&mut self, group: u32, identity: &[u8]) {
        if let Some(old) = self.groups[group as usize].remove(identity) {
            self.heap -= identity.len() + old.heap() + ENTRY;
        }
    }
}

#[derive(Debug)]
enum Held {
    Added(Bag<Placed>),
    Changing(Rows),
}

/// Placed values of every group.
#[derive(Debug)]
pub(super) struct PlacedValues {
    held: Held,
    spec: PlacedSpec,
    data_type: DataType,
    values: KeyEncoder,
    identities: KeyEncoder,
    scratch: Vec<u8>,
}

impl PlacedValues {
    pub(super) fn new(spec: PlacedSpec, data_type: DataType) -> PlacedValues {
        let held = if spec.changes { Held::Changing(Rows::default()) } else { Held::Added(Bag::new(None)) };
        let (values, identities) = (KeyEncoder::new(), KeyEncoder::new());
        PlacedValues { held, spec, data_type, values, identities, scratch: Vec::new() }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        match &mut self.held {
            Held::Added(bag) => bag.grow(groups),
            Held::Changing(rows) => rows.groups.resize_with(groups.max(rows.groups.len()), BTreeMap::new),
        }
    }

    /// Folds rows; `columns` are those of the batch.
    pub(super) fn update(
        &mut self,
        groups: &[u32],
        (start, argument): (usize, usize),
        columns: &[Column],
        meta: &RowMeta,
        weights: Option<&[i8]>,
    ) {
        let PlacedValues { held, spec, values, identities, scratch, .. } = self;
        // Only these rows are encoded: a run may be one row of a long batch.
        let column = &columns[argument].slice(start, groups.len());
        let keys = values.encode(&[column], groups.len());
        let identity: Vec<Column> = spec.identity.iter().map(|c| columns[*c].slice(start, groups.len())).collect();
        let ids = identities.encode(&identity.iter().collect::<Vec<_>>(), groups.len());
        for (i, group) in groups.iter().enumerate() {
            let row = start + i;
            let wanted = spec.filter.is_none_or(|f| matches!(columns[f].value(row), Value::Bool(true)));
            if !wanted || !spec.nulls && column.is_null(i) {
                continue;
            }
            let weight = weights.map_or(1, |w| w[row]);
            if let (Held::Changing(rows), true) = (&mut *held, weight < 0) {
                rows.remove(*group, ids.key(i));
                continue;
            }
            scratch.clear();
            for (order, data_type) in spec.order.iter().zip(&spec.order_types) {
                let how = (order.descending, order.nulls_first);
                sortable::push(&columns[order.column], row, data_type, how, scratch);
            }
            place(spec.by, meta, row, scratch);
            let value_at = scratch.len() as u32;
            scratch.extend_from_slice(keys.key(i));
            let placed = Placed { bytes: scratch.as_slice().into(), value_at };
            match held {
                Held::Added(bag) => bag.add(*group, placed, i64::from(weight)),
                Held::Changing(rows) => rows.insert(*group, ids.key(i).into(), placed),
            }
        }
    }

    /// Adds partial values: `[bytes]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, column: &Column) {
        let Column::Bytes(bytes) = column else { return };
        for (i, group) in groups.iter().enumerate() {
            let mut bytes = bytes.value(start + i);
            match &mut self.held {
                Held::Added(bag) => bag.merge(*group, bytes),
                Held::Changing(rows) => {
                    while let Some((identity, placed)) = identified(&mut bytes) {
                        rows.insert(*group, identity, placed);
                    }
                }
            }
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        let bytes = |group: &u32| match &self.held {
            Held::Added(bag) => bag.save(*group),
            Held::Changing(rows) => {
                let mut bytes = Vec::new();
                for (identity, placed) in &rows.groups[*group as usize] {
                    identity.save(&mut bytes);
                    placed.save(&mut bytes);
                }
                bytes
            }
        };
        out.push(Column::Bytes(groups.iter().map(|g| Some(bytes(g))).collect()));
    }

    pub(super) fn accepts(&self, column: &Column) -> bool {
        let Column::Bytes(bytes) = column else { return false };
        bytes.iter().all(|b| b.is_some_and(|b| self.readable(b)))
    }

    /// TRUE when these are bytes of entries whose values decode.
    fn readable(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let placed = match self.held {
                Held::Added(_) => entry::<Placed>(&mut bytes).map(|(placed, _)| placed),
                Held::Changing(_) => identified(&mut bytes).map(|(_, placed)| placed),
            };
            let mut value = ColumnBuilder::new(&self.data_type);
            let decodes = |p: &Placed| decode(p.value(), std::slice::from_mut(&mut value)).is_some();
            if !placed.as_ref().is_some_and(decodes) {
                return false;
            }
        }
        true
    }

    pub(super) fn settle(&mut self, group: u32) {
        if let Held::Added(bag) = &mut self.held {
            bag.settle(group);
        }
    }

    pub(super) fn clear(&mut self, group: u32) {
        match &mut self.held {
            Held::Added(bag) => bag.clear(group),
            Held::Changing(rows) => {
                for (identity, placed) in std::mem::take(&mut rows.groups[group as usize]) {
                    rows.heap -= identity.len() + placed.heap() + ENTRY;
                }
            }
        }
    }

    pub(super) fn release(&mut self) {
        match &mut self.held {
            Held::Added(bag) => bag.release(),
            Held::Changing(rows) => *rows = Rows::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.held {
            Held::Added(bag) => bag.bytes(),
            Held::Changing(rows) => rows.groups.capacity() * size_of::<BTreeMap<Box<[u8]>, Placed>>() + rows.heap,
        }
    }

    /// Values of a settled group in their order.
    fn listed(&self, group: u32) -> Vec<&[u8]> {
        match &self.held {
            Held::Added(bag) => bag.entries(group).map(|(placed, _)| placed.value()).collect(),
            Held::Changing(rows) => {
                let mut placed: Vec<&Placed> = rows.groups[group as usize].values().collect();
                placed.sort_unstable();
                placed.into_iter().map(Placed::value).collect()
            }
        }
    }

    /// Appends the result of a call over a settled group.
    pub(super) fn emit(&self, call: &CallPlan, group: u32, out: &mut ColumnBuilder) {
        let first = matches!(call.function, AggregateFn::First | AggregateFn::Earliest);
        if call.function.chooses_by_order() {
            let ends: Option<&[u8]> = match &self.held {
                Held::Added(bag) if first => bag.entries(group).next().map(|e| e.0.value()),
                Held::Added(bag) => bag.entries(group).next_back().map(|e| e.0.value()),
                Held::Changing(rows) if first => rows.groups[group as usize].values().min().map(Placed::value),
                Held::Changing(rows) => rows.groups[group as usize].values().max().map(Placed::value),
            };
            // Values decode: those of a snapshot were tried before it was accepted.
            if ends.and_then(|bytes| decode(bytes, std::slice::from_mut(out))).is_none() {
                out.push_null();
            }
            return;
        }
        let mut listed = self.listed(group);
        if call.distinct {
            let mut seen = BTreeSet::new();
            listed.retain(|value| seen.insert(*value));
        }
        if listed.is_empty() {
            return out.push_null();
        }
        let mut values = ColumnBuilder::new(&self.data_type);
        for value in listed {
            if decode(value, std::slice::from_mut(&mut values)).is_none() {
                values.push_null();
            }
        }
        self.list(call, &values.finish(), out);
    }

    fn list(&self, call: &CallPlan, values: &Column, out: &mut ColumnBuilder) {
        let mut text = String::new();
        if call.function == AggregateFn::StringAgg {
            let separator = match &call.parameter {
                Some(Value::Str(separator)) => separator,
                _ => ",",
            };
            for row in 0..values.len() {
                if row > 0 {
                    text.push_str(separator);
                }
                text.push_str(values.str_at(row).unwrap_or_default());
            }
            return out.push_str(&text);
        }
        text.push('[');
        for row in 0..values.len() {
            if row > 0 {
                text.push(',');
            }
            json::push_value(&values.value(row), &self.data_type, &mut text);
        }
        text.push(']');
        out.push_str(&text);
    }
}

fn identified(bytes: &mut &[u8]) -> Option<(Box<[u8]>, Placed)> {
    Some((Box::<[u8]>::load(bytes)?, Placed::load(bytes)?))
}

/// Appends where a row stands. Rows of an operator belong to one partition, in the order it gave them.
fn place(by: By, meta: &RowMeta, row: usize, out: &mut Vec<u8>) {
    let (time, (first, within, third)) = match by {
        By::Arrival => {
            let (major, minor, tie) = meta.order_at(row);
            (0, (major, minor, tie as i64))
        }
        By::Time => (time_of(meta, row), meta.order_in_time(row)),
    };
    sortable::integer(time, out);
    sortable::integer(first, out);
    within::write(within, out);
    sortable::integer(third, out);
}

fn time_of(meta: &RowMeta, row: usize) -> i64 {
    meta.event_time.as_ref().map_or(0, |t| t[row])
}
