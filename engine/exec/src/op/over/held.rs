//! Rows that wait until as-if order is known up to them.
//!
//! Calls with OVER give what they give by the order of rows. Where rows of several partitions, or shards, meet in front of
//! them, each row waits until no row before it can come any more; then the rows of all batches go on in their order, the
//! same whatever arrived first. How that is known depends on what is below, see [`Until`]. The watermark stays at the own
//! watermark of the earliest row that waits: rows are no later for those behind than they were.
//! Cost: an entry in an ordered map a row; batches are held as they came.

use std::collections::{BTreeMap, VecDeque};

use velostream_types::Batch;
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::within::{self, Within};

/// When the rows before a row are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At once: rows come in their order, or, of live inputs, the order in which they come is the order.
    Now,
    /// When every partition passed its record number.
    Passed,
    /// When the watermark passed its event time: results of windows.
    Watermark,
    /// At the end of the input.
    End,
}

/// A row's place: when it is due, its order, and its number among equal ones.
type Place = (i64, (i64, Within, u64), u64);

/// A batch of which rows wait.
pub(super) struct Waiting {
    pub(super) batch: Batch,
    /// Partition of each row.
    pub(super) groups: Vec<u32>,
    left: usize,
    /// Lowest own watermark of its rows.
    low: i64,
    bytes: usize,
}

/// The rows.
pub(super) struct Held {
    pub(super) until: Until,
    pub(super) rows: BTreeMap<Place, (u64, u32)>,
    pub(super) batches: BTreeMap<u64, Waiting>,
    numbers: (u64, u64),
    pub(super) leaving: VecDeque<(u64, u32)>,
    bytes: usize,
    /// Highest watermark that came.
    watermark: i64,
}

impl Held {
    pub(super) fn new(until: Until) -> Held {
        Held {
            until,
            rows: BTreeMap::new(),
            batches: BTreeMap::new(),
            numbers: (0, 0),
            leaving: VecDeque::new(),
            bytes: 0,
            watermark: WM_NONE,
        }
    }

    /// Takes a batch whose rows belong to these partitions.
    pub(super) fn take(&mut self, batch: Batch, groups: Vec<u32>) {
        let (number, seq) = &mut self.numbers;
        *number += 1;
        for row in 0..batch.rows {
            let order = batch.meta.order_at(row);
            let due = match (self.until, &batch.meta.event_time) {
                (Until::Passed, _) => order.0,
                (Until::Watermark, Some(times)) => times[row],
                _ => WM_END,
            };
            *seq += 1;
            self.rows.insert((due, order, *seq), (*number, row as u32));
        }
        let low = batch.meta.wm_own.as_ref().map_or(WM_END, |own| own.iter().copied().min().unwrap_or(WM_END));
        let bytes = batch.bytes() + batch.rows * (size_of::<Place>() + 24);
        self.bytes += bytes;
        self.batches.insert(*number, Waiting { left: batch.rows, batch, groups, low, bytes });
    }

    /// No row of a record below this number will come.
    pub(super) fn passed(&mut self, record: i64) {
        if self.until == Until::Passed {
            self.release(record);
        }
    }

    /// No row at or below this time will come, late ones excepted.
    pub(super) fn passed_time(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
        if watermark == WM_END {
            self.leaving.extend(std::mem::take(&mut self.rows).into_values());
        } else if self.until == Until::Watermark {
            self.release(watermark.saturating_add(1));
        }
    }

    /// Rows that are due before `bound` leave.
    fn release(&mut self, bound: i64) {
        let stay = self.rows.split_off(&(bound, (i64::MIN, within::HERE, 0), 0));
        self.leaving.extend(std::mem::replace(&mut self.rows, stay).into_values());
    }

    /// The watermark that nothing that waits lies behind.
    pub(super) fn watermark(&self) -> i64 {
        let low = self.batches.values().map(|waiting| waiting.low).min().unwrap_or(WM_END);
        self.watermark.min(low)
    }

    /// A row of this batch went on; the batch, when it was the last one.
    pub(super) fn went(&mut self, number: u64) {
        if let Some(waiting) = self.batches.get_mut(&number) {
            waiting.left -= 1;
            if waiting.left == 0 {
                self.bytes -= waiting.bytes;
                self.batches.remove(&number);
            }
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
