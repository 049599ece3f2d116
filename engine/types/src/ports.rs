//! The ports: everything below them is synchronous, single-threaded and deterministic; everything that talks to a
//! clock, a file, a broker or another core implements one of these traits and lives in `runtime` or `kafka`.

use arrow_buffer::Buffer;

use crate::chunk::Chunk;
use crate::error::Fatal;
use crate::topic::FetchStats;

/// The time of day, read once per turn by the runtime and handed in.
pub trait Clock {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    fn now_ns(&self) -> i64;
}

/// One record of a framed slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Position in the partition.
    pub offset: i64,
    /// Record timestamp, ms.
    pub timestamp_ms: i64,
    /// Byte range of the key in the slab; `None` is a null key.
    pub key: Option<(u32, u32)>,
    /// Byte range of the value in the slab; `None` is a null value.
    pub value: Option<(u32, u32)>,
    /// Byte range of the headers in the slab, as Kafka's record format writes them (count, then key and value, lengths
    /// as zigzag varints); `None` without headers or when nobody asked for them.
    pub headers: Option<(u32, u32)>,
}

/// How a slab's bytes are cut into records.
#[derive(Clone, Debug)]
pub enum SlabKind {
    /// A stretch of a byte stream: the decoder finds the record boundaries. `at_end` marks the last stretch.
    Stream {
        /// No more bytes follow.
        at_end: bool,
        /// Position of the first byte in the stream.
        position: u64,
    },
    /// Records a broker framed.
    Records(Vec<RecordRef>),
}

/// What one poll of a partition brought.
#[derive(Clone, Debug)]
pub struct Slab {
    /// The bytes, shared without copying by every batch decoded from them.
    pub bytes: Buffer,
    /// Their framing.
    pub kind: SlabKind,
}

/// Answer of a source partition to a poll.
#[derive(Debug)]
pub enum SourcePoll {
    /// New bytes.
    Slab(Slab),
    /// Nothing now; more may come. The partition was read to its present end.
    Pending,
    /// Nothing now, though the partition holds more: it is on its way. Such a partition is not idle.
    Behind,
    /// Nothing will ever come.
    End,
}

/// One partition of a source. For stream slabs the reader keeps what the decoder did not consume: each poll is told
/// how many bytes of the last slab were used, and the next slab begins with the rest.
pub trait PartitionSource {
    /// Reads on. `consumed` is how much of the last stream slab the decoder used (0 at first). `grow` asks for a slab
    /// larger than the last one, because a record did not fit.
    fn poll(&mut self, consumed: usize, grow: bool) -> Result<SourcePoll, Fatal>;
    /// Where it stands in its log; `None` for sources without one.
    fn stats(&self) -> Option<FetchStats> {
        None
    }
    /// Messages for the log since the last call.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Where a sink stands: everything it took is among these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkPosition {
    /// Bytes of its file.
    pub bytes: u64,
    /// Rows written in this run.
    pub rows: u64,
}

/// Where encoded rows go: one writer per sink.
pub trait SinkWriter {
    /// Appends whole encoded rows.
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal>;
    /// Makes what was written visible to readers as far as the sink can before its end.
    fn flush(&mut self) -> Result<(), Fatal>;
    /// The input ended: completes the sink (a file gets its final name).
    fn finish(&mut self) -> Result<(), Fatal>;
    /// The run stopped before its end: keeps whole rows only and says where they are.
    fn interrupt(&mut self) -> Result<(), Fatal>;
    /// Appends rows from number `from` on as far as there is room; answers how many. Sinks that may be full take fewer
    /// than there are; the rest is offered again after they rang.
    fn offer(&mut self, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        debug_assert_eq!(from, 0, "a sink that is never full takes all rows at once");
        self.write(rows)?;
        Ok(rows.rows())
    }
    /// Everything appended so far stands before this barrier.
    fn mark(&mut self, barrier: u64) -> Result<(), Fatal> {
        let _ = barrier;
        self.flush()
    }
    /// The highest barrier before which everything is safe; `marked` is the last one set. Also serves a sink's
    /// connection; called at every wake.
    fn safe(&mut self, marked: u64) -> Result<u64, Fatal> {
        Ok(marked)
    }
    /// Where the sink stands, right after a mark or its end; `None` for sinks that cannot be cut back to it.
    fn position(&self) -> Option<SinkPosition> {
        None
    }
    /// Rows taken since the last call that the sink refused for what they are: they are in the dead letters, or on their
    /// way there, and safe only when those are.
    fn take_refused(&mut self) -> u64 {
        0
    }
    /// Messages for the log since the last call.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Durable home of snapshots.
pub trait Store {
    /// Writes `bytes` under `name`, complete or not at all.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fatal>;
    /// Reads what stands under `name`.
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, Fatal>;
    /// Names in ascending order.
    fn list(&mut self) -> Result<Vec<String>, Fatal>;
    /// Forgets what stands under `name`, if anything does.
    fn remove(&mut self, name: &str) -> Result<(), Fatal>;
}
