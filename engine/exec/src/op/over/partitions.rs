//! The buffers of all partitions of one shard, and what happens to them when a row comes.
//!
//! Keys of a batch are looked up together; then one row after the other goes through its buffer and its results are
//! appended. State holds no pointers between rows and buffers but slot numbers.

use velostream_sql::plan::{FrameBound, OverFn, OverKind, OverSpec};
use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_types::{Batch, Column, DataType, Value};

use super::buffer::{Buffer, Keep};
use super::call::{Calls, Here, OutOfRange};
use super::order::{Order, time_of};
use super::rows::{Rows, SavedRow};

/// The state.
pub(super) struct Partitions {
    by: Vec<usize>,
    pub(super) order: Order,
    keep: Keep,
    when_full: bool,
    expire_ns: Option<i64>,
    calls: Calls,
    pub(super) rows: Rows,
    pub(super) index: GroupIndex,
    /// By group number of the index.
    pub(super) buffers: Vec<Buffer>,
    pool: BlockPool,
    hasher: KeyHasher,
    keys: KeyEncoder,
    hashes: Vec<u32>,
    fresh: Vec<u32>,
    /// Bytes of the buffers.
    held: usize,
    /// LAG and LEAD that asked for a row that a buffer no longer had.
    pub(super) past: u64,
}

/// What became of a row.
pub(super) enum Became {
    /// It has its results.
    Row,
    /// It only filled its buffer.
    Nothing,
    /// A result has no place in its type; the results before it were appended, the others as NULL.
    OutOfRange(OutOfRange, usize),
}

fn keep(spec: &OverSpec) -> Keep {
    if let Some(best) = spec.best {
        let best = usize::try_from(best).unwrap_or(usize::MAX);
        let of_values = |call: &velostream_sql::plan::OverCall| {
            matches!(call.kind, OverKind::Analytic { function: OverFn::DenseRank, .. })
        };
        return if spec.calls.iter().all(of_values) { Keep::BestValues(best) } else { Keep::Best(best) };
    }
    match (spec.buffer, spec.calls.first().map(|call| &call.frame)) {
        (u64::MAX, Some(frame)) => Keep::Range(match (&frame.start, &frame.end) {
            (FrameBound::Preceding(before), FrameBound::Following(behind)) => both(before, behind),
            (FrameBound::Preceding(distance), _) | (_, FrameBound::Following(distance)) => distance.clone(),
            _ => Value::Int(0),
        }),
        (rows, _) => Keep::Greatest(usize::try_from(rows).unwrap_or(usize::MAX)),
    }
}

/// Both distances of a RANGE together.
fn both(before: &Value, behind: &Value) -> Value {
    match (before, behind) {
        (Value::Interval(a), Value::Interval(b)) => Value::Interval(a.saturating_add(*b)),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(*b)),
        (a, b) => match (super::order::exact(a), super::order::exact(b)) {
            (Some((a, s1)), Some((b, s2))) => {
                let scale = s1.max(s2);
                let brought = |m, s| velostream_types::decimal::rescale(m, s, scale).unwrap_or(i128::MAX / 2);
                Value::Decimal { mantissa: brought(a, s1).saturating_add(brought(b, s2)), scale }
            }
            _ => before.clone(),
        },
    }
}

impl Partitions {
    pub(super) fn new(spec: &OverSpec, types: &[DataType]) -> Partitions {
        let order = Order::new(&spec.order, types);
        let calls = Calls::new(spec, &order, types);
        Partitions {
            by: spec.partition.clone(),
            rows: Rows::new(calls.lanes.clone()),
            order,
            keep: keep(spec),
            when_full: spec.when_full,
            expire_ns: spec.expire_ns,
            calls,
            index: GroupIndex::new(),
            buffers: Vec::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            keys: KeyEncoder::new(),
            hashes: Vec::new(),
            fresh: Vec::new(),
            held: 0,
            past: 0,
        }
    }

    /// Type of the one order column; NULL's where there is none.
    pub(super) fn order_type(&self, types: &[DataType]) -> DataType {
        self.order.first_column().map_or(DataType::Null, |column| types[column].clone())
    }

    /// A builder per call.
    pub(super) fn builders(&self) -> Vec<ColumnBuilder> {
        self.calls.calls.iter().map(|call| ColumnBuilder::new(call.result())).collect()
    }

    /// Numbers of the partitions of a batch's rows; unknown ones are made.
    pub(super) fn assign(&mut self, batch: &Batch) -> Vec<u32> {
        let columns: Vec<&Column> = self.by.iter().map(|column| &batch.columns[*column]).collect();
        let keys = self.keys.encode(&columns, batch.rows);
        self.hasher.hash_all(keys, &mut self.hashes);
        let mut groups = Vec::with_capacity(batch.rows);
        self.fresh.clear();
        self.index.assign(keys, 0, &self.hashes, &mut groups, &mut self.fresh, &mut self.pool);
        self.grow();
        groups
    }

    /// The partition with these key bytes.
    pub(super) fn group(&mut self, key: &[u8]) -> u32 {
        let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group;
        self.grow();
        group
    }

    fn grow(&mut self) {
        let running = &self.calls.running;
        while self.buffers.len() < self.index.high() {
            let buffer = Buffer::new(running);
            self.held += buffer.bytes();
            self.buffers.push(buffer);
        }
    }

    /// Takes a row of partition `group`; its results are appended to `out` unless it only fills its buffer.
    pub(super) fn take(&mut self, group: u32, batch: &Batch, row: usize, out: &mut [ColumnBuilder]) -> Became {
        let buffer = &mut self.buffers[group as usize];
        let before = buffer.bytes();
        if buffer.is_expired(time_of(batch, row), self.expire_ns) {
            buffer.clear(&mut self.rows);
        }
        let arrival = buffer.arrives(batch, row);
        let key = self.order.key(&batch.columns, row);
        let slot = self.rows.put(&self.order, batch, row, key, arrival);
        let mut aside = None;
        if let Keep::Greatest(most) = self.keep {
            aside = buffer.make_room(&mut self.rows, &self.order, most, slot);
        }
        let mut at = buffer.insert(&self.rows, &self.order, slot);
        let mut leaves = aside.is_some();
        if let Keep::Range(distance) = &self.keep {
            let value = self.order.value(&batch.columns, row);
            leaves = buffer.leave_range(&mut self.rows, &self.order, distance, (slot, value));
            at = buffer.place(slot);
        }
        let is_due = match self.keep {
            Keep::Greatest(most) if self.when_full => buffer.len() >= most,
            _ => true,
        };
        let mut became = Became::Nothing;
        if is_due {
            let (order, rows, past) = (&self.order, &self.rows, &mut self.past);
            let mut here = Here { order, rows, buffer: &mut *buffer, at, batch, row, past };
            became = compute(&self.calls, &mut here, out);
        }
        match self.keep {
            Keep::Best(most) => buffer.keep_best(&mut self.rows, &self.order, most),
            Keep::BestValues(most) => buffer.keep_values(&mut self.rows, &self.order, most, at),
            Keep::Greatest(_) | Keep::Range(_) if leaves => {
                buffer.drop_row(&mut self.rows, &self.order, slot);
            }
            Keep::Greatest(_) | Keep::Range(_) => {}
        }
        if let Some(least) = aside {
            buffer.put_back(&self.rows, &self.order, least);
        }
        let after = buffer.bytes();
        self.held = self.held + after - before;
        became
    }

    /// Puts a saved row back; rows of a partition come as they lie in memory.
    pub(super) fn put_back(&mut self, group: u32, saved: SavedRow) {
        let slot = self.rows.put_back(saved);
        let buffer = &mut self.buffers[group as usize];
        let before = buffer.bytes();
        buffer.append(&self.rows, &self.order, slot);
        self.held = self.held + buffer.bytes() - before;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.held + self.rows.bytes() + self.index.bytes()
    }
}

fn compute(calls: &Calls, here: &mut Here<'_>, out: &mut [ColumnBuilder]) -> Became {
    for (n, (call, builder)) in calls.calls.iter().zip(out.iter_mut()).enumerate() {
        if let Err(wrong) = call.compute(here, builder) {
            out[n..].iter_mut().for_each(ColumnBuilder::push_null);
            return Became::OutOfRange(wrong, n);
        }
    }
    Became::Row
}
