//! Metadata of rows that an operator keeps, by slot, and of the rows it makes of them.
//!
//! Cost: 32 bytes a row; orders that operators gave, timestamps and original bytes only where rows came with them.

use std::sync::Arc;

use arrow_array::BinaryViewArray;
use arrow_buffer::ScalarBuffer;

use velostream_types::time::WM_NONE;
use velostream_types::within::{self, Within};
use velostream_types::{Batch, Column, NTH_MASK, Offsets, RowMeta, RowOrder, SourceId};

/// Where a row comes from: its source and partition.
pub type Origin = (SourceId, u32);

/// Metadata of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Source and partition.
    pub origin: Origin,
    /// Position in the partition.
    pub offset: i64,
    /// As-if order: [`RowMeta::order_at`].
    pub order: (i64, Within, u64),
    /// Event time, ns; `WM_NONE` for rows without.
    pub event_time: i64,
    /// Watermark of the row's own partition just before it, ns; `WM_NONE` for rows without.
    pub wm_own: i64,
    /// Record timestamp, ms.
    pub timestamp: Option<i64>,
    /// The record's original bytes, where the plan keeps them.
    pub raw: Option<Arc<[u8]>>,
}

impl Mark {
    /// That of a row of a batch.
    pub fn of(meta: &RowMeta, row: usize) -> Mark {
        let at = |list: &Option<ScalarBuffer<i64>>| list.as_ref().map(|list| list[row]);
        Mark {
            origin: (meta.source, meta.partition),
            offset: meta.offsets.at(row),
            order: meta.order_at(row),
            event_time: at(&meta.event_time).unwrap_or(WM_NONE),
            wm_own: at(&meta.wm_own).unwrap_or(WM_NONE),
            timestamp: at(&meta.timestamp),
            raw: meta.raw.as_ref().map(|raw| raw.value(row).into()),
        }
    }

    /// That of a pair: the left row's record, the later times, the lower watermark. Pairs of one left row are told apart
    /// by the right row's position.
    pub fn joined(left: &Mark, right: &Mark) -> Mark {
        let (major, minor, tie) = left.order;
        let nth = tie.wrapping_mul(31).wrapping_add(right.offset.cast_unsigned()) & NTH_MASK;
        Mark {
            origin: left.origin,
            offset: left.offset,
            order: (major, minor, tie & !NTH_MASK | nth),
            event_time: left.event_time.max(right.event_time),
            wm_own: left.wm_own.min(right.wm_own),
            timestamp: left.timestamp.max(right.timestamp),
            raw: left.raw.clone(),
        }
    }
}

/// What all rows have.
#[derive(Clone, Copy, Debug)]
struct Packed {
    /// Number among the known origins.
    origin: u32,
    /// Number of the row among those of its record.
    nth: u32,
    offset: i64,
    event_time: i64,
    wm_own: i64,
}

const EMPTY: Packed = Packed { origin: 0, nth: 0, offset: 0, event_time: WM_NONE, wm_own: WM_NONE };

/// Metadata by slot.
#[derive(Debug, Default)]
pub struct Marks {
    origins: Vec<(Origin, u64)>,
    rows: Vec<Packed>,
    /// Of rows whose order is not that of their record; empty where none is.
    orders: Vec<Option<Box<(i64, Within, u64)>>>,
    timestamps: Vec<Option<i64>>,
    raw: Vec<Option<Arc<[u8]>>>,
    raw_bytes: usize,
}

/// Puts a value into a list that holds only as many as were ever needed.
fn set<T: Default>(list: &mut Vec<T>, at: usize, value: T) {
    if at >= list.len() {
        list.resize_with(at + 1, T::default);
    }
    list[at] = value;
}

impl Marks {
    fn origin(&mut self, meta: &RowMeta) -> u32 {
        let origin = (meta.source, meta.partition);
        let known = self.origins.iter().position(|(known, _)| *known == origin);
        let at = known.unwrap_or_else(|| {
            self.origins.push((origin, meta.tie_of()));
            self.origins.len() - 1
        });
        at as u32
    }

    /// Takes these rows of a batch into these slots.
    pub fn put(&mut self, slots: &[u32], rows: &[u32], meta: &RowMeta) {
        let origin = self.origin(meta);
        for (slot, row) in slots.iter().zip(rows) {
            let (at, row) = (*slot as usize, *row as usize);
            let time = |list: &Option<ScalarBuffer<i64>>| list.as_ref().map_or(WM_NONE, |list| list[row]);
            let nth = match &meta.order {
                RowOrder::Nth(tie) => (tie[row] & NTH_MASK) as u32,
                _ => 0,
            };
            let (event_time, wm_own) = (time(&meta.event_time), time(&meta.wm_own));
            let packed = Packed { origin, nth, offset: meta.offsets.at(row), event_time, wm_own };
            match self.rows.get_mut(at) {
                Some(known) => *known = packed,
                None => {
                    self.rows.resize(at, EMPTY);
                    self.rows.push(packed);
                }
            }
            let derived = matches!(meta.order, RowOrder::Derived { .. }).then(|| Box::new(meta.order_at(row)));
            if derived.is_some() || at < self.orders.len() {
                set(&mut self.orders, at, derived);
            }
            let timestamp = meta.timestamp.as_ref().map(|list| list[row]);
            if timestamp.is_some() || at < self.timestamps.len() {
                set(&mut self.timestamps, at, timestamp);
            }
            self.keep_raw(at, meta.raw.as_ref().map(|raw| raw.value(row).into()));
        }
    }

    /// Takes a mark into a slot, as a snapshot has it.
    pub fn put_mark(&mut self, slot: u32, mark: Mark) {
        let one = |x: i64| Some(ScalarBuffer::from(vec![x]));
        let (major, minor, tie) = mark.order;
        let meta = RowMeta {
            offsets: Offsets::From(mark.offset),
            order: RowOrder::Derived { major: vec![major].into(), minor: vec![minor].into(), tie: vec![tie].into() },
            event_time: one(mark.event_time),
            wm_own: one(mark.wm_own),
            timestamp: mark.timestamp.and_then(one),
            ..RowMeta::plain(mark.origin.0, mark.origin.1, mark.offset)
        };
        self.put(&[slot], &[0], &meta);
        self.keep_raw(slot as usize, mark.raw);
    }

    fn keep_raw(&mut self, at: usize, raw: Option<Arc<[u8]>>) {
        if raw.is_some() || at < self.raw.len() {
            self.raw_bytes += raw.as_ref().map_or(0, |raw| raw.len());
            self.raw_bytes -= self.raw.get(at).and_then(Option::as_ref).map_or(0, |raw| raw.len());
            set(&mut self.raw, at, raw);
        }
    }

    /// The mark of a row.
    pub fn at(&self, slot: u32) -> Mark {
        let at = slot as usize;
        let Packed { origin, nth, offset, event_time, wm_own } = self.rows[at];
        let (origin, tie) = self.origins[origin as usize];
        let derived = self.orders.get(at).and_then(Option::as_deref).copied();
        Mark {
            origin,
            offset,
            order: derived.unwrap_or((offset, within::HERE, tie | u64::from(nth))),
            event_time,
            wm_own,
            timestamp: self.timestamps.get(at).copied().flatten(),
            raw: self.raw.get(at).cloned().flatten(),
        }
    }

    /// Event time of a row, ns.
    #[inline]
    pub fn event_time(&self, slot: u32) -> i64 {
        self.rows[slot as usize].event_time
    }

    /// Watermark of the row's own partition just before it, ns.
    #[inline]
    pub fn wm_own(&self, slot: u32) -> i64 {
        self.rows[slot as usize].wm_own
    }

    /// Forgets a row.
    pub fn free(&mut self, slot: u32) {
        let at = slot as usize;
        self.keep_raw(at, None);
        if let Some(order) = self.orders.get_mut(at) {
            *order = None;
        }
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let boxed = self.orders.len() * (size_of::<usize>() + size_of::<(i64, Within, u64)>());
        self.rows.capacity() * size_of::<Packed>()
            + boxed
            + self.timestamps.capacity() * size_of::<Option<i64>>()
            + self.raw.capacity() * size_of::<Option<Arc<[u8]>>>()
            + self.raw_bytes
    }
}

/// Rows with these marks as batches: one per partition they stem from, by first appearance. Rows of one partition keep
/// their order.
pub fn batches(columns: Vec<Column>, marks: &[Mark], weights: Option<Vec<i8>>) -> Vec<Batch> {
    let Some(first) = marks.first() else { return Vec::new() };
    if marks.iter().all(|mark| mark.origin == first.origin) {
        let meta = meta_of(&marks.iter().collect::<Vec<_>>(), weights);
        return vec![Batch::new(columns, marks.len(), meta)];
    }
    let mut origins: Vec<(Origin, Vec<u32>)> = Vec::new();
    for (row, mark) in marks.iter().enumerate() {
        match origins.iter_mut().find(|(origin, _)| *origin == mark.origin) {
            Some((_, rows)) => rows.push(row as u32),
            None => origins.push((mark.origin, vec![row as u32])),
        }
    }
    let batch = |(_, rows): (Origin, Vec<u32>)| {
        let of_rows: Vec<&Mark> = rows.iter().map(|row| &marks[*row as usize]).collect();
        let weights = weights.as_ref().map(|weights| rows.iter().map(|row| weights[*row as usize]).collect());
        Batch::new(columns.iter().map(|column| column.take(&rows)).collect(), rows.len(), meta_of(&of_rows, weights))
    };
    origins.into_iter().map(batch).collect()
}

/// Metadata of rows of one partition.
fn meta_of(marks: &[&Mark], weights: Option<Vec<i8>>) -> RowMeta {
    let list = |f: &dyn Fn(&Mark) -> i64| ScalarBuffer::from(marks.iter().map(|mark| f(mark)).collect::<Vec<i64>>());
    let timed = marks.iter().any(|mark| mark.event_time != WM_NONE);
    let stamped = marks.iter().any(|mark| mark.timestamp.is_some());
    let bytes = |mark: &&Mark| Some(mark.raw.clone().unwrap_or_else(|| Arc::from([])));
    let raw = marks.iter().any(|mark| mark.raw.is_some()).then(|| marks.iter().map(bytes).collect::<BinaryViewArray>());
    let (source, partition) = marks.first().map_or((SourceId(0), 0), |mark| mark.origin);
    RowMeta {
        offsets: Offsets::List(list(&|mark| mark.offset)),
        order: RowOrder::Derived {
            major: list(&|mark| mark.order.0),
            minor: marks.iter().map(|mark| mark.order.1).collect::<Vec<Within>>().into(),
            tie: marks.iter().map(|mark| mark.order.2).collect::<Vec<u64>>().into(),
        },
        event_time: timed.then(|| list(&|mark| mark.event_time)),
        wm_own: timed.then(|| list(&|mark| mark.wm_own)),
        timestamp: stamped.then(|| list(&|mark| mark.timestamp.unwrap_or(0))),
        raw,
        weight: weights.map(ScalarBuffer::from),
        ..RowMeta::plain(source, partition, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(partition: u32, first: i64, times: Vec<i64>) -> RowMeta {
        let owns = times.iter().map(|time| time - 10).collect::<Vec<i64>>();
        RowMeta {
            event_time: Some(times.into()),
            wm_own: Some(owns.into()),
            ..RowMeta::plain(SourceId(3), partition, first)
        }
    }

    #[test]
    fn a_mark_is_that_of_the_row() {
        let meta = meta(2, 100, vec![5, 7, 9]);
        let mut marks = Marks::default();
        marks.put(&[4, 1], &[0, 2], &meta);
        assert_eq!([marks.at(4), marks.at(1)], [Mark::of(&meta, 0), Mark::of(&meta, 2)]);
        let mark = Mark { raw: Some(Arc::from(*b"bytes")), timestamp: Some(8), ..Mark::of(&meta, 1) };
        marks.put_mark(1, mark.clone());
        assert_eq!(marks.at(1), mark);
        marks.free(1);
        assert_eq!(marks.at(1).raw, None);
    }

    #[test]
    fn a_pair_has_the_later_time_and_the_lower_watermark() {
        let (left, right) = (Mark::of(&meta(0, 1, vec![50]), 0), Mark::of(&meta(1, 8, vec![40]), 0));
        for (a, b) in [(&left, &right), (&right, &left)] {
            let pair = Mark::joined(a, b);
            assert_eq!((pair.event_time, pair.wm_own), (50, 30));
            assert_eq!((pair.origin, pair.offset), (a.origin, a.offset));
        }
    }

    #[test]
    fn batches_are_cut_by_partition() {
        let mark = |partition, offset| Mark::of(&meta(partition, offset, vec![offset]), 0);
        let marks = [mark(1, 10), mark(0, 20), mark(1, 30)];
        let cut = batches(vec![Column::ints(vec![1, 2, 3], None)], &marks, Some(vec![1, 1, -1]));
        let shown: Vec<String> = cut
            .iter()
            .flat_map(|batch| {
                (0..batch.rows).map(move |row| {
                    let (value, weight) = (batch.columns[0].value(row), batch.meta.weight_at(row));
                    format!("{} {} {value} {weight}", batch.meta.partition, batch.meta.offsets.at(row))
                })
            })
            .collect();
        assert_eq!(shown, ["1 10 1 1", "1 30 3 -1", "0 20 2 1"]);
    }
}
