//! What a shard exchanges with the world in one turn. The runtime, the scenario runner and the simulator all drive
//! shards through these types alone.

use velostream_types::{Chunk, DlqId, EdgeId, NodeId, PartitionId, ShardId, SourceId, SourcePoll};

use super::report::{Notice, Standing};
use super::saving::Saved;
use crate::operator::Msg;

/// What travels between two shards, in order per ordered pair.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved a few times per batch of a thousand rows; a box would cost an allocation"
)]
pub enum Envelope {
    /// A message on an edge; costs one credit of (edge, sender, receiver).
    Msg(EdgeId, Msg),
    /// The receiver took this many messages of the edge: the sender may send as many more.
    Credit(EdgeId, u32),
}

/// What a turn starts from. The shard empties it.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Answers to the demands of earlier turns.
    pub polls: Vec<(SourceId, PartitionId, SourcePoll)>,
    /// Arrivals from other shards, in order per sender.
    pub mesh: Vec<(ShardId, Envelope)>,
    /// Chunks that were written out; the shard clears them and fills them again. Optional: without, new ones are made.
    pub spare: Vec<Chunk>,
    /// Lowest watermark among the unfinished partitions of all other shards; `WM_END` when there are none or when
    /// reading is not aligned. A shard does not read far ahead of it.
    pub low_elsewhere: i64,
    /// By group of sources that meet in joins of streams: the lowest time at which partitions of other shards hold it,
    /// see [`Outbox::held`]; empty when there are none.
    pub held_elsewhere: Vec<i64>,
    /// Levels of sources that are loaded on all other shards, the lowest number of them; `u16::MAX` when there are none.
    pub loaded_elsewhere: u16,
    /// Bytes of state that all other shards hold.
    pub state_elsewhere: u64,
    /// End all sources where they stand, as if nothing more had come: windows fire.
    pub drain: bool,
    /// Stop reading sources; finish and flush what is under way (INT/TERM).
    pub stop: bool,
    /// Tell where partitions and windows stand. The shard takes it.
    pub ask: bool,
    /// Give this barrier on at the sources: rising numbers, the same on all shards. The shard takes it.
    pub barrier: Option<u64>,
}

/// A wish for more bytes of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Source.
    pub source: SourceId,
    /// Partition of it.
    pub partition: PartitionId,
    /// Bytes of the last stream slab that were used; the next one begins behind them.
    pub consumed: usize,
    /// A record did not fit: make the next slab larger.
    pub grow: bool,
}

/// Orders to the one writer of a sink or a dead-letter file; only the writer's shard gives them.
#[derive(Debug)]
pub enum Write {
    /// Append rows to a sink.
    Rows(usize, Chunk),
    /// The sink's input ended: complete it.
    Finish(usize),
    /// Append lines to a dead-letter destination.
    Dead(usize, Chunk),
    /// No more dead letters will come.
    FinishDead(usize),
    /// Everything given to a sink so far stems from before this barrier.
    Mark(usize, u64),
    /// The same for a dead-letter destination.
    MarkDead(usize, u64),
}

/// One step of a partition's way: what stood before the record at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stair {
    /// First record of a batch.
    pub offset: i64,
    /// Highest time of any row before it, those with a fall-back time included; `WM_NONE` without.
    pub highest: i64,
    /// Highest event time before it that moved the watermark; `WM_NONE` without.
    pub max_event_time: i64,
}

/// Where a partition stands at a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanMark {
    /// Source.
    pub source: SourceId,
    /// Partition.
    pub partition: PartitionId,
    /// Everything before it lies before the barrier, and nothing else; times are those before it.
    pub at: Stair,
    /// Stairs since the barrier before, ascending; thinned out, which only makes a restart read more again.
    pub stairs: Vec<Stair>,
}

/// What a shard tells about a barrier. [`super::STOP_BARRIER`] stands for the end, whatever ended the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The sources gave the barrier on.
    Scanned {
        /// Which barrier.
        barrier: u64,
        /// The shard's partitions.
        partitions: Vec<ScanMark>,
    },
    /// The barrier passed an operator that holds rows back.
    Frontier {
        /// Which barrier.
        barrier: u64,
        /// Which operator.
        node: NodeId,
        /// Its watermark: windows that it closes were given out before the barrier. `WM_NONE`: it releases nothing.
        watermark: i64,
    },
}

/// What a turn leaves behind. The driver empties it before the next turn.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To other shards, in order per receiver.
    pub mesh: Vec<(ShardId, Envelope)>,
    /// Partitions to poll before the next turn.
    pub demands: Vec<Demand>,
    /// To sinks.
    pub writes: Vec<Write>,
    /// What is known of barriers.
    pub marks: Vec<Mark>,
    /// The state at a barrier, once all of it is there.
    pub saved: Vec<Saved>,
    /// Bad records that are only logged: by destination how many, and what was wrong with the last.
    pub passed_over: Vec<(DlqId, u64, String)>,
    /// Where partitions and windows stand, when the inbox asked.
    pub standing: Option<Box<Standing>>,
    /// Worth a warning each, of which one of a kind is enough.
    pub notices: Vec<Notice>,
    /// When the shard wants a turn though nothing arrives, by the clock of its turns, ns; `None` for never.
    pub due_ns: Option<i64>,
    /// Lowest watermark among this shard's unfinished partitions; `WM_END` when all are finished.
    pub low: i64,
    /// By group of sources that meet in joins of streams: the lowest time that this shard's partitions have come to which
    /// wait for their next record; `WM_END` when none does. Sources of the group are not read far ahead of it.
    pub held: Vec<i64>,
    /// Partitions of this shard wait because of that: the shard wants a turn when [`Inbox::held_elsewhere`] rises.
    pub held_back: bool,
    /// Levels of sources that are loaded on this shard; `u16::MAX` when nothing waits any more. It never falls.
    pub loaded: u16,
    /// Bytes of state this shard holds.
    pub state_bytes: u64,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do at once.
    Busy,
    /// Nothing to do until something arrives.
    Waiting,
    /// All inputs ended, all outputs are handed over.
    Done,
}
