//! Calls with OVER as the plan has them.
//!
//! An Over node keeps, for each partition, a buffer of the last rows in its order, and gives each row once, when it comes,
//! with the results of its calls over the buffer as it is then. It stands behind an Exchange by the partition's columns.
//! Its output is one column per call, then the columns of its input; rows keep their event time, partition and record.

pub use velostream_functions::OverFn;
use velostream_types::{DataType, Span, Value};

use super::{AggregateCall, SortKey};

/// Calls over one buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct OverSpec {
    /// Columns of the input whose values a partition's rows share.
    pub partition: Vec<usize>,
    /// Order of the buffer; without one, as rows come.
    pub order: Vec<SortKey>,
    /// Rows of a partition that are kept: the greatest by `order`, the last without one.
    pub buffer: u64,
    /// Top-N, because only rows of at most this rank are read: so many of the best rows in the written order are kept, and
    /// `buffer` says nothing.
    pub best: Option<u64>,
    /// Some input does not end: rows count in the order in which they come. Else their order is as-if order.
    pub live: bool,
    /// Rows come out only once the buffer is full (EMIT ON BUFFER FULL).
    pub when_full: bool,
    /// A partition without a row for longer than this, ns of event time, starts with an empty buffer; `None`: never.
    pub expire_ns: Option<i64>,
    /// The calls.
    pub calls: Vec<OverCall>,
}

/// One call with OVER.
#[derive(Clone, Debug, PartialEq)]
pub struct OverCall {
    /// What is computed.
    pub kind: OverKind,
    /// Over which rows of the buffer.
    pub frame: Frame,
    /// Result type, fixed at deploy.
    pub result: DataType,
    /// The call's text range.
    pub span: Span,
}

/// What a call with OVER computes.
#[derive(Clone, Debug, PartialEq)]
pub enum OverKind {
    /// An aggregate over the frame; arguments are columns of the input.
    Aggregate(AggregateCall),
    /// An analytic function.
    Analytic {
        /// Which.
        function: OverFn,
        /// Its first argument, a column of the input, where it has one.
        argument: Option<usize>,
        /// How far (LAG, LEAD), how many (NTILE) or which (NTH_VALUE).
        count: u64,
        /// What LAG and LEAD give outside the buffer: a column of the input; `None`: NULL.
        default: Option<usize>,
        /// IGNORE NULLS
        ignore_nulls: bool,
    },
}

/// The rows of the buffer that a call is over; both bounds belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// RANGE: bounds are distances of the order's value; else they count rows.
    pub range: bool,
    /// First row.
    pub start: FrameBound,
    /// Last row.
    pub end: FrameBound,
}

/// A bound of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameBound {
    /// The buffer's first row.
    UnboundedPreceding,
    /// So many rows, or this distance, before the current row.
    Preceding(Value),
    /// The current row; with RANGE also those equal to it by the order.
    CurrentRow,
    /// So many rows, or this distance, behind it.
    Following(Value),
    /// The buffer's last row.
    UnboundedFollowing,
}
