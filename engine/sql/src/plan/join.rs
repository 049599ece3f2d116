//! Joins as the plan has them.
//!
//! A Join has two inputs, left then right, each behind an Exchange by its key columns, so that rows that can meet are on
//! one shard. Its output is a choice of columns of both; in rows that found no partner those of the other side are NULL.
//! A joined row has the later event time of its two rows and carries the lower of their partitions' watermarks; its
//! record is that of the left row. NULL in a key matches nothing; equal keys have equal key bytes, whatever their
//! numeric types.

use velostream_types::Value;

use super::{Expr, WindowSpec};

/// A join of two relations.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    /// Which rows without a partner come out.
    pub kind: JoinKind,
    /// What the sides are and when their rows meet.
    pub mode: JoinMode,
    /// Key columns of the left input; none: every pair is a candidate, and all rows are on one shard.
    pub left_keys: Vec<usize>,
    /// Their counterparts in the right input.
    pub right_keys: Vec<usize>,
    /// What else has to be TRUE for a pair to match, over the output columns.
    pub residual: Option<Expr>,
    /// Where each output column comes from.
    pub output: Vec<JoinColumn>,
    /// Of [`Fallback::UseDefaults`]: for each column of the table's side the value that stands for it.
    pub defaults: Vec<Value>,
    /// Of versions: columns of the table's side that, with the key, tell its rows apart; `None`: each row that comes is
    /// another one.
    pub identity: Option<Vec<usize>>,
    /// Of a looked-up table: where its rows are.
    pub placement: Placement,
    /// Of a looked-up table that an Upsert lets pass: the keys are the table's, and of the rows of a key the last one by
    /// order stands.
    pub replaces: bool,
}

/// The version of a table that a stream's row looks up: the last one at or before a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Column of the stream's side with the time, a Timestamp or Integer ms; `None`: the row's event time.
    pub column: Option<usize>,
    /// How far behind the watermark rows may ask, ns; `None`: as far as they like, and all versions are kept.
    pub retention_ns: Option<i64>,
}

/// Where the rows of a looked-up table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// With the owner of their key, to which the stream's rows travel.
    ByKey(Apart),
    /// All of them on every shard: rows of the stream stay where they are read.
    Everywhere {
        /// Size of the files that the table is made of.
        bytes: u64,
    },
}

/// Why a looked-up table is cut by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Its input may grow for ever.
    Live,
    /// Nobody knows the size of its input.
    Unknown,
    /// Its files are larger than [`EVERYWHERE_BYTES_MAX`].
    Large {
        /// Their size.
        bytes: u64,
    },
    /// It is made by operators that may give many rows for one.
    Made,
    /// Its rows without a match leave once.
    Kept,
    /// Its versions are looked up.
    Versions,
}

/// A table is held by every shard when the files it is made of are no larger than this: so many shards hold it so many
/// times, and at this size that is less than what a shuffle of the stream keeps under way.
pub const EVERYWHERE_BYTES_MAX: u64 = 8 << 20;

/// Kind of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Matches only.
    Inner,
    /// Also left rows without a match.
    Left,
    /// Also right rows without a match.
    Right,
    /// Also rows of both sides without a match.
    Full,
}

impl JoinKind {
    /// As in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "INNER",
            JoinKind::Left => "LEFT",
            JoinKind::Right => "RIGHT",
            JoinKind::Full => "FULL",
        }
    }

    /// TRUE when rows of this side come out without a match.
    pub const fn keeps(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, JoinKind::Left | JoinKind::Full),
            Side::Right => matches!(self, JoinKind::Right | JoinKind::Full),
        }
    }
}

/// A side of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The first input.
    Left,
    /// The second input.
    Right,
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

/// When rows of the two sides meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMode {
    /// Two streams: `left time − before_ns ≤ right time ≤ left time + after_ns` by event time.
    Interval {
        /// ns; below 0 when the right row has to be later.
        before_ns: i64,
        /// ns; below 0 when the right row has to be earlier.
        after_ns: i64,
        /// How much longer rows are kept, ns.
        retention_ns: i64,
    },
    /// Two streams: each left row meets one right row, the nearest in time of those in
    /// `left time − before_ns ≤ right time ≤ left time + after_ns`.
    AsOf {
        /// ns; below 0 when the right row has to be later.
        before_ns: i64,
        /// ns; below 0 when the right row has to be earlier.
        after_ns: i64,
        /// How much longer rows are kept, ns.
        retention_ns: i64,
        /// The earliest of those at or behind the left row; FALSE: the latest of those at or before it.
        forward: bool,
    },
    /// Two streams: both rows are in one window.
    Window {
        /// The window.
        spec: WindowSpec,
        /// Matches come out when the window closes (EMIT FINAL) rather than at once.
        at_close: bool,
    },
    /// A stream's rows look up a table as it is when they come.
    Lookup {
        /// The side that is the table.
        table: Side,
        /// Which version of the table counts; `None`: the current one.
        version: Option<Version>,
        /// What becomes of rows of the stream that come before the table is loaded.
        fallback: Fallback,
    },
    /// Two tables: a changing relation.
    Tables,
}

/// What becomes of a stream's row whose table is not loaded (`fallback.strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// No row comes before the table is loaded; a table that cannot be ends the run.
    #[default]
    FailFast,
    /// The row is dropped and counted.
    SkipRecord,
    /// The row leaves with NULL in the table's columns, whatever the kind of join.
    EmitWithNulls,
    /// The row leaves with the values of `fallback.defaults` in the table's columns: see [`JoinSpec::defaults`].
    UseDefaults,
    /// The row waits.
    WaitAndRetry,
}

/// An output column of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinColumn {
    /// Column of an input.
    Of(Side, usize),
    /// Start of the window both rows are in, ms.
    WindowStart,
    /// Its end, ms.
    WindowEnd,
}
