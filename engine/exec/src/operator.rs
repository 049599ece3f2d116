//! The operator contract.
//!
//! An operator takes one message at a time and gives its output piece by piece: `push` starts a cursor, `pull`
//! advances it by at most one batch, and no further `push` comes before `pull` answered `None`. One row may yield
//! ten thousand rows and one watermark may close a million groups; a turn can stop between any two pieces.
//!
//! Order is the contract between operators: rows of one partition in their order, watermarks never going back (but see
//! [`Operator::hands_back_on`]), every
//! row a watermark step emits before the step itself. `Watermark(WM_END)` is the end of input.

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::{Batch, Chunk, DeadLetter, DlqId, Fatal, SourceId};

use crate::op::metrics::SeriesPart;

/// What flows along an edge of the graph.
#[derive(Clone, Debug)]
pub enum Msg {
    /// Rows.
    Batch(Batch),
    /// Encoded rows, from a Sink node to its writer.
    Chunk(Chunk),
    /// No row with an event time at or below this will follow, late ones excepted, ns. `WM_END` ends the input.
    Watermark(i64),
    /// No row of a source's record below this number will follow: as-if order, which goes by record number first, is
    /// complete up to here. Only where somebody in the plan waits for it, over sources that end.
    Passed(i64),
    /// The input has nothing to say until its next message: it does not hold the watermark back.
    Idle,
    /// A cut of the stream, for commits and snapshots.
    Barrier(u64),
    /// Everything that was there when the run began was given; an end says so, too. Only from sources that feed tables
    /// others wait for. Shards see to it themselves: operators are told by [`Operator::loaded`], if at all.
    Loaded,
}

/// What an operator may use while it works.
pub struct OpCx<'a> {
    /// The turn's time, ns; constant within a turn.
    pub now_ns: i64,
    /// Rows per output batch at most.
    pub batch_rows: usize,
    /// Bad records of this turn, by destination.
    pub dead: &'a mut Vec<(DlqId, DeadLetter)>,
    /// This node's counters.
    pub counters: &'a mut NodeCounters,
    /// Empty chunks whose memory was written out; encoders fill them again.
    pub spare: &'a mut Vec<Chunk>,
}

/// What a node counted since the start; deterministic, summed over shards for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounters {
    /// Rows taken.
    pub rows_in: u64,
    /// Rows given.
    pub rows_out: u64,
    /// Rows that came after their window closed.
    pub late: u64,
    /// Rows of windows that were given out before a restart.
    pub replayed: u64,
    /// Rows or records sent to the dead letter.
    pub dead_lettered: u64,
    /// Rows dropped for another reason than a filter (null value, LIMIT excepted).
    pub dropped: u64,
    /// Divisions by zero that gave NULL.
    pub division_by_zero: u64,
    /// Values rounded to a declared scale.
    pub rounded: u64,
    /// NaN or infinity written as NULL.
    pub not_finite: u64,
    /// Groups freed because no row touched them for the time of `state.ttl`.
    pub expired: u64,
    /// Rows placed by their record's timestamp, because their event time was missing or bad.
    pub untimed: u64,
    /// Headers `watermark` that are no time.
    pub bad_watermarks: u64,
    /// LAG and LEAD that asked for a row which its buffer no longer held.
    pub past_buffer: u64,
    /// Groups now held.
    pub groups: u64,
    /// Bytes of state now held.
    pub state_bytes: u64,
    /// The most groups held at the end of a turn.
    pub groups_max: u64,
    /// The most bytes of state held at the end of a turn.
    pub state_bytes_max: u64,
}

impl NodeCounters {
    /// Adds another shard's counters of the same node.
    pub fn add(&mut self, other: &NodeCounters) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.late += other.late;
        self.replayed += other.replayed;
        self.dead_lettered += other.dead_lettered;
        self.dropped += other.dropped;
        self.division_by_zero += other.division_by_zero;
        self.rounded += other.rounded;
        self.not_finite += other.not_finite;
        self.expired += other.expired;
        self.untimed += other.untimed;
        self.bad_watermarks += other.bad_watermarks;
        self.past_buffer += other.past_buffer;
        self.groups += other.groups;
        self.state_bytes += other.state_bytes;
        self.groups_max += other.groups_max;
        self.state_bytes_max += other.state_bytes_max;
    }

    /// A turn ends: what is held now may be the most so far.
    pub fn peak(&mut self) {
        self.groups_max = self.groups_max.max(self.groups);
        self.state_bytes_max = self.state_bytes_max.max(self.state_bytes);
    }
}

/// What an operator with windows holds on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenWindows {
    /// Its watermark, ns; `WM_NONE` before the first.
    pub watermark: i64,
    /// Starts of the open windows, as (first, last) of stretches of a grid without a gap, ascending.
    pub grid: Vec<(i64, i64)>,
    /// From one start on that grid to the next, ns.
    pub slide_ns: i64,
    /// Open windows that stand on no grid: those of single keys.
    pub sessions: u64,
    /// Rows that count in them.
    pub rows: u64,
    /// The next to fire.
    pub next: Option<NextWindow>,
    /// Rows by the partition they came from, as far as this run read them.
    pub by_partition: Vec<(SourceId, u32, u64)>,
}

/// The next window to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextWindow {
    /// Watermark that fires it, ns.
    pub fires_at: i64,
    /// Its start, ns.
    pub start: i64,
    /// Its end, ns.
    pub end: i64,
}

/// One node's code on one shard.
pub trait Operator {
    /// Takes one message on input `port`. Only called when the cursor of the message before is exhausted.
    fn push(&mut self, port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal>;

    /// The next piece of output, in order; `None` when the cursor is exhausted.
    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal>;

    /// Number of inputs. Where one of several stands at a barrier is asked when it gives the barrier on, for each input
    /// brings its own.
    fn inputs(&self) -> usize {
        1
    }

    /// TRUE when nothing that could still arrive would change the output (LIMIT reached): sources nobody else reads may
    /// stop.
    fn is_satisfied(&self) -> bool {
        false
    }

    /// TRUE when it hands on watermarks that go back: those of a source, when a partition gives its first rows, or wakes,
    /// behind the others. The first that hears of several shards needs them to know whom to wait for; what it gives on,
    /// and what all other operators take, never goes back.
    fn hands_back_on(&self) -> bool {
        false
    }

    /// For operators that hold rows back: the watermark up to which everything was given out; `WM_NONE` for those that
    /// never do. `at_end`: the input ends, so everything that is held will be given out, too.
    fn frontier(&self, at_end: bool) -> Option<i64> {
        let _ = at_end;
        None
    }

    /// What this frontier closes was given out by an earlier run: rows of it are counted as replayed. Only called on a
    /// fresh operator.
    fn resume(&mut self, frontier: i64) {
        let _ = frontier;
    }

    /// For operators with windows: what is open now. Costs a walk over the groups; only for who asks.
    fn open_windows(&self) -> Option<OpenWindows> {
        None
    }

    /// What it counted of rows for metrics.
    fn series(&self) -> Vec<SeriesPart> {
        Vec::new()
    }

    /// Everything that was there on input `port` when the run began was taken.
    fn loaded(&mut self, port: usize) {
        let _ = port;
    }

    /// No row will count any more in windows that this watermark closes: who counts held rows may forget theirs.
    fn released(&mut self, watermark: i64) {
        let _ = watermark;
    }

    /// Writes all keyed and positional state; only called with no cursor open, or when the cursor just gave a barrier.
    /// Stateless operators write nothing.
    fn snapshot(&self, out: &mut SnapshotWriter) {
        let _ = out;
    }

    /// Takes this shard's share of what every shard's instance of the node wrote: rows of vnodes for which `owns`
    /// answers TRUE. Only called on a fresh operator, once per snapshot part.
    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let _ = (from, owns);
        Ok(())
    }
}
