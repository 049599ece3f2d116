//! Batches: columns plus the metadata of their rows.
//!
//! A batch holds rows of **one partition of one source** (or of the one logical partition an aggregate gives its
//! rows), in the order of that partition. That makes partition and source constants of the batch and lets lateness be
//! judged per row without a look-up: each row carries the watermark its own partition had just before it.

use std::sync::Arc;

use arrow_array::{Array, BinaryViewArray, BooleanArray};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_select::filter::FilterBuilder;

use crate::column::Column;
use crate::error::RecordOrigin;
use crate::ids::SourceId;
use crate::ports::RecordRef;
use crate::within::{self, Within};

/// Positions of the rows in their partition.
#[derive(Clone, Debug)]
pub enum Offsets {
    /// Consecutive, from this one.
    From(i64),
    /// One each, ascending.
    List(ScalarBuffer<i64>),
}

impl Offsets {
    /// Position of row `i`.
    #[inline]
    pub fn at(&self, i: usize) -> i64 {
        match self {
            Offsets::From(first) => first + i as i64,
            Offsets::List(list) => list[i],
        }
    }
}

/// What "earlier" means among rows of different partitions, by content alone: compared as the triple
/// (major, minor, tie).
#[derive(Clone, Debug)]
pub enum RowOrder {
    /// Rows of a source: major = offset, minor = none, tie = source and partition.
    Source,
    /// Rows of a source, several of which may stem from one record: as [`RowOrder::Source`], the tie with each row's number
    /// among those of its record in its last [`NTH_BITS`].
    Nth(ScalarBuffer<u64>),
    /// Rows an operator made: one triple a row.
    Derived {
        /// Window end, or the offset of the row that caused it.
        major: ScalarBuffer<i64>,
        /// Place of the group inside its window: see [`within`].
        minor: ScalarBuffer<Within>,
        /// [`RowMeta::tie_of`] of the first-seen row.
        tie: ScalarBuffer<u64>,
    },
}

/// Bits of a tie that number the rows made of one row; a number beyond them stands beside the last one.
pub const NTH_BITS: u32 = 27;
/// The number in a tie.
pub const NTH_MASK: u64 = (1 << NTH_BITS) - 1;
/// Bits of a tie for the partition; what lies beyond stands beside the last one.
const PARTITION_BITS: u32 = 20;

impl RowOrder {
    /// TRUE when the rows of a batch ascend.
    pub fn ascends(&self) -> bool {
        !matches!(self, RowOrder::Derived { .. })
    }
}

/// The framed records that a batch's rows came from, to find a row's key and headers by its offset.
#[derive(Clone, Debug)]
pub struct RecordSlab {
    /// Their bytes.
    pub bytes: Buffer,
    /// Where they are in it, by ascending offset.
    pub records: Arc<Vec<RecordRef>>,
}

impl RecordSlab {
    /// What the broker said about the record at `offset`, besides its value.
    pub fn origin(&self, offset: i64) -> Option<Box<RecordOrigin>> {
        let at = self.records.binary_search_by_key(&offset, |record| record.offset).ok()?;
        let record = &self.records[at];
        let part = |range: Option<(u32, u32)>| range.map(|(from, to)| self.bytes[from as usize..to as usize].to_vec());
        Some(Box::new(RecordOrigin {
            timestamp_ms: record.timestamp_ms,
            key: part(record.key),
            headers: part(record.headers),
            null_value: record.value.is_none(),
        }))
    }
}

/// Metadata of a batch's rows; what the plan does not need is `None`.
#[derive(Clone, Debug)]
pub struct RowMeta {
    /// Source the rows came from; rows of operators carry the node's number with the top bit set.
    pub source: SourceId,
    /// Partition inside the source.
    pub partition: u32,
    /// Positions in the partition.
    pub offsets: Offsets,
    /// Order among partitions.
    pub order: RowOrder,
    /// Event time, ns.
    pub event_time: Option<ScalarBuffer<i64>>,
    /// Watermark of the row's own partition just before the row, ns. Present whenever `event_time` is.
    pub wm_own: Option<ScalarBuffer<i64>>,
    /// Record timestamp (Kafka) in ms; `None` means the run's start.
    pub timestamp: Option<ScalarBuffer<i64>>,
    /// The record's original bytes, for dead letters and pass-through.
    pub raw: Option<BinaryViewArray>,
    /// The records the rows came from, for dead letters; `None` for rows of files and of operators.
    pub records: Option<RecordSlab>,
    /// +1 or -1 per row of a changelog; append-only plans never allocate it.
    pub weight: Option<ScalarBuffer<i8>>,
}

impl RowMeta {
    /// Metadata of rows whose plan needs none.
    pub fn plain(source: SourceId, partition: u32, first_offset: i64) -> RowMeta {
        RowMeta {
            source,
            partition,
            offsets: Offsets::From(first_offset),
            order: RowOrder::Source,
            event_time: None,
            wm_own: None,
            timestamp: None,
            raw: None,
            records: None,
            weight: None,
        }
    }

    /// Tie-break of rows with equal offsets: the source first, then the partition. Its last bits are for the number of a row
    /// among those made of one row; the sign bit is free.
    pub fn tie_of(&self) -> u64 {
        let partition = u64::from(self.partition).min((1 << PARTITION_BITS) - 1);
        (u64::from(self.source.0) << PARTITION_BITS | partition) << NTH_BITS
    }

    /// What orders row `i` among those of its event time: source, partition, offset, number in the record; of rows an
    /// operator made, the order it gave them.
    pub fn order_in_time(&self, i: usize) -> (i64, Within, i64) {
        let (major, minor, tie) = self.order_at(i);
        match self.order {
            RowOrder::Derived { .. } => (major, minor, tie as i64),
            RowOrder::Source | RowOrder::Nth(_) => {
                ((tie >> NTH_BITS) as i64, within::inside(major, within::HERE), (tie & NTH_MASK) as i64)
            }
        }
    }

    /// The order triple of row `i`.
    #[inline]
    pub fn order_at(&self, i: usize) -> (i64, Within, u64) {
        match &self.order {
            RowOrder::Source => (self.offsets.at(i), within::HERE, self.tie_of()),
            RowOrder::Nth(tie) => (self.offsets.at(i), within::HERE, tie[i]),
            RowOrder::Derived { major, minor, tie } => (major[i], minor[i], tie[i]),
        }
    }

    /// Weight of row `i`.
    #[inline]
    pub fn weight_at(&self, i: usize) -> i8 {
        self.weight.as_ref().map_or(1, |w| w[i])
    }

    fn map(
        &self,
        offsets: Offsets,
        num: impl Fn(&ScalarBuffer<i64>) -> ScalarBuffer<i64>,
        places: impl Fn(&ScalarBuffer<Within>) -> ScalarBuffer<Within>,
        ties: impl Fn(&ScalarBuffer<u64>) -> ScalarBuffer<u64>,
        bytes: impl Fn(&ScalarBuffer<i8>) -> ScalarBuffer<i8>,
        raw: impl Fn(&BinaryViewArray) -> BinaryViewArray,
    ) -> RowMeta {
        RowMeta {
            source: self.source,
            partition: self.partition,
            offsets,
            order: match &self.order {
                RowOrder::Source => RowOrder::Source,
                RowOrder::Nth(tie) => RowOrder::Nth(ties(tie)),
                RowOrder::Derived { major, minor, tie } => {
                    RowOrder::Derived { major: num(major), minor: places(minor), tie: ties(tie) }
                }
            },
            event_time: self.event_time.as_ref().map(&num),
            wm_own: self.wm_own.as_ref().map(&num),
            timestamp: self.timestamp.as_ref().map(&num),
            raw: self.raw.as_ref().map(raw),
            records: self.records.clone(),
            weight: self.weight.as_ref().map(bytes),
        }
    }

    /// Metadata of rows `start .. start + len`.
    pub fn slice(&self, start: usize, len: usize) -> RowMeta {
        let offsets = match &self.offsets {
            Offsets::From(first) => Offsets::From(first + start as i64),
            Offsets::List(list) => Offsets::List(list.slice(start, len)),
        };
        self.map(
            offsets,
            |b| b.slice(start, len),
            |b| b.slice(start, len),
            |b| b.slice(start, len),
            |b| b.slice(start, len),
            |a| a.slice(start, len),
        )
    }

    /// Metadata of the rows at `indices`.
    pub fn take(&self, indices: &[u32]) -> RowMeta {
        fn pick<T: arrow_buffer::ArrowNativeType>(b: &ScalarBuffer<T>, indices: &[u32]) -> ScalarBuffer<T> {
            indices.iter().map(|i| b[*i as usize]).collect::<Vec<T>>().into()
        }
        self.map(
            Offsets::List(indices.iter().map(|i| self.offsets.at(*i as usize)).collect::<Vec<i64>>().into()),
            |b| pick(b, indices),
            |b| pick(b, indices),
            |b| pick(b, indices),
            |b| pick(b, indices),
            |a| match Column::Bytes(a.clone()).take(indices) {
                Column::Bytes(taken) => taken,
                _ => unreachable!("take keeps the kind of a column"),
            },
        )
    }
}

/// Rows of one partition as columns.
#[derive(Clone, Debug)]
pub struct Batch {
    /// One column per field of the schema of the edge the batch travels on.
    pub columns: Vec<Column>,
    /// Number of rows; columns may be absent altogether.
    pub rows: usize,
    /// Metadata of the rows.
    pub meta: RowMeta,
}

impl Batch {
    /// A batch; every column must have `rows` rows.
    pub fn new(columns: Vec<Column>, rows: usize, meta: RowMeta) -> Batch {
        debug_assert!(columns.iter().all(|c| c.len() == rows), "columns of one batch are equally long");
        Batch { columns, rows, meta }
    }

    /// Rows `start .. start + len`, sharing memory.
    pub fn slice(&self, start: usize, len: usize) -> Batch {
        Batch {
            columns: self.columns.iter().map(|c| c.slice(start, len)).collect(),
            rows: len,
            meta: self.meta.slice(start, len),
        }
    }

    /// The rows at `indices`, in that order.
    pub fn take(&self, indices: &[u32]) -> Batch {
        Batch {
            columns: self.columns.iter().map(|c| c.take(indices)).collect(),
            rows: indices.len(),
            meta: self.meta.take(indices),
        }
    }

    /// The rows whose bit is set and not NULL.
    pub fn filter(&self, keep: &BooleanArray) -> Batch {
        let predicate = FilterBuilder::new(keep).optimize().build();
        let indices: Vec<u32> = selected(keep);
        Batch {
            columns: self.columns.iter().map(|c| c.filter(&predicate)).collect(),
            rows: indices.len(),
            meta: self.meta.take(&indices),
        }
    }

    /// Rough bytes of memory of the batch, for budgets.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum::<usize>() + self.rows * 8
    }
}

/// Indices of the rows whose bit is set and not NULL.
fn selected(keep: &BooleanArray) -> Vec<u32> {
    let bits = match keep.nulls() {
        Some(nulls) => keep.values() & nulls.inner(),
        None => keep.values().clone(),
    };
    bits.set_indices().map(|i| i as u32).collect()
}
