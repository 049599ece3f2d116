//! Rows that the buffers of one shard hold: the values that calls read, in one arena, a slot a row.
//!
//! A slot's number is given again once its row left. Values of one row lie side by side. Cost: a copy of what the calls
//! read; text is the only thing that is allocated by itself.

use velostream_types::{Batch, Value};

use super::order::{Order, OrderKey, time_of};

/// A row as it is saved.
#[derive(Debug)]
pub(super) struct SavedRow {
    pub(super) key: OrderKey,
    pub(super) value_key: Box<[u8]>,
    pub(super) time: i64,
    pub(super) arrival: i64,
    /// One value per lane.
    pub(super) values: Vec<Value>,
}

/// Bytes of a row beside its values and what they point to.
const ROW: usize = size_of::<OrderKey>() + 2 * size_of::<i64>() + size_of::<Box<[u8]>>() + size_of::<u32>();

/// The arena.
#[derive(Debug)]
pub(super) struct Rows {
    /// Columns of the input that are kept.
    pub(super) columns: Vec<usize>,
    values: Vec<Value>,
    keys: Vec<OrderKey>,
    /// Second keys, where rows have one.
    value_keys: Vec<Box<[u8]>>,
    times: Vec<i64>,
    arrivals: Vec<i64>,
    free: Vec<u32>,
    /// Bytes that live rows point to.
    heap: usize,
}

fn heap(value: &Value) -> usize {
    match value {
        Value::Str(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Rows {
    pub(super) fn new(columns: Vec<usize>) -> Rows {
        Rows {
            columns,
            values: Vec::new(),
            keys: Vec::new(),
            value_keys: Vec::new(),
            times: Vec::new(),
            arrivals: Vec::new(),
            free: Vec::new(),
            heap: 0,
        }
    }

    /// Takes a row; `arrival` is its number in its partition.
    pub(super) fn put(&mut self, order: &Order, batch: &Batch, row: usize, key: OrderKey, arrival: i64) -> u32 {
        let value_key = order.value_key(&batch.columns, row);
        let time = time_of(batch, row);
        self.heap += key.heap() + value_key.len();
        let width = self.columns.len();
        if let Some(slot) = self.free.pop() {
            let at = slot as usize;
            for (value, column) in self.values[at * width..].iter_mut().zip(&self.columns) {
                *value = batch.columns[*column].value(row);
                self.heap += heap(value);
            }
            (self.keys[at], self.value_keys[at], self.times[at], self.arrivals[at]) = (key, value_key, time, arrival);
            return slot;
        }
        let slot = self.keys.len() as u32;
        for column in &self.columns {
            let value = batch.columns[*column].value(row);
            self.heap += heap(&value);
            self.values.push(value);
        }
        self.keys.push(key);
        self.value_keys.push(value_key);
        self.times.push(time);
        self.arrivals.push(arrival);
        slot
    }

    /// Forgets a row.
    pub(super) fn free(&mut self, slot: u32) {
        let (at, width) = (slot as usize, self.columns.len());
        for value in &mut self.values[at * width..(at + 1) * width] {
            self.heap -= heap(value);
            if heap(value) > 0 {
                *value = Value::Null;
            }
        }
        self.heap -= self.keys[at].heap() + self.value_keys[at].len();
        self.keys[at] = OrderKey::Int(0);
        self.value_keys[at] = Box::default();
        self.free.push(slot);
    }

    /// What lane `lane` of a row holds.
    #[inline]
    pub(super) fn value(&self, slot: u32, lane: usize) -> &Value {
        &self.values[slot as usize * self.columns.len() + lane]
    }

    #[inline]
    pub(super) fn key(&self, slot: u32) -> &OrderKey {
        &self.keys[slot as usize]
    }

    pub(super) fn value_key(&self, slot: u32) -> &[u8] {
        &self.value_keys[slot as usize]
    }

    /// Event time, ns.
    pub(super) fn time(&self, slot: u32) -> i64 {
        self.times[slot as usize]
    }

    /// Number in its partition, as rows came.
    pub(super) fn arrival(&self, slot: u32) -> i64 {
        self.arrivals[slot as usize]
    }

    /// Takes a saved row; nothing left yet.
    pub(super) fn put_back(&mut self, row: SavedRow) -> u32 {
        self.heap += row.key.heap() + row.value_key.len() + row.values.iter().map(heap).sum::<usize>();
        let slot = self.keys.len() as u32;
        self.values.extend(row.values);
        self.keys.push(row.key);
        self.value_keys.push(row.value_key);
        self.times.push(row.time);
        self.arrivals.push(row.arrival);
        slot
    }

    /// Bytes held, those of free slots too.
    pub(super) fn bytes(&self) -> usize {
        self.heap + self.keys.len() * (ROW + self.columns.len() * size_of::<Value>()) + self.free.capacity() * 4
    }
}
