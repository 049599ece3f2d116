//! What goes into and comes out of the transaction coordinator: plain values, no protocol types. Errors are Kafka's
//! codes (`crate::errors`), times are milliseconds.

/// Limits of the coordinator, in Kafka's terms.
#[derive(Clone, Debug)]
pub struct TxnConfig {
    /// transaction.max.timeout.ms.
    pub timeout_max_ms: i32,
    /// transactional.id.expiration.ms.
    pub id_expiration_ms: i64,
    /// How many producer ids are reserved at once: a crash skips at most so many.
    pub producer_id_block: i64,
}

impl Default for TxnConfig {
    fn default() -> TxnConfig {
        TxnConfig { timeout_max_ms: 900_000, id_expiration_ms: 7 * 24 * 3_600_000, producer_id_block: 1_000 }
    }
}

/// InitProducerId.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// Version of the request: before 4 a fenced producer is answered INVALID_PRODUCER_EPOCH.
    pub version: i16,
    /// transactional.id; `None` for a producer that is only idempotent.
    pub transactional_id: Option<String>,
    /// transaction.timeout.ms; not looked at without a transactional id.
    pub timeout_ms: i32,
    /// Producer id the client has (version 3 on), else -1.
    pub producer_id: i64,
    /// Epoch the client has (version 3 on), else -1.
    pub producer_epoch: i16,
}

/// A transactional producer as it names itself in AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit and EndTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRef {
    /// Version of the request: before 2 a fenced producer is answered INVALID_PRODUCER_EPOCH.
    pub version: i16,
    /// transactional.id.
    pub transactional_id: String,
    /// Producer id.
    pub producer_id: i64,
    /// Epoch.
    pub producer_epoch: i16,
}

/// A decided transaction whose end has to be written: a control batch in every partition
/// (`PartitionLog::end_transaction`), `Groups::end_txn_offsets` for every group, then `Transactions::finished`.
/// Writing one twice does no harm; it comes again after a restart until `finished` was journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// transactional.id.
    pub transactional_id: String,
    /// Producer id.
    pub producer_id: i64,
    /// Epoch to write: the bumped one if the transaction was aborted over the producer's head.
    pub producer_epoch: i16,
    /// Epoch of the coordinator, for the control record.
    pub coordinator_epoch: i32,
    /// Commit or abort.
    pub commit: bool,
    /// Topics and partitions.
    pub partitions: Vec<(String, i32)>,
    /// Groups with offsets in the transaction.
    pub groups: Vec<String>,
}

/// State of a transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnState {
    /// Initialised, nothing sent.
    Empty,
    /// Partitions or groups were added.
    Ongoing,
    /// Decided to commit; markers are being written.
    PrepareCommit,
    /// Decided to abort; markers are being written.
    PrepareAbort,
    /// Committed everywhere.
    CompleteCommit,
    /// Aborted everywhere.
    CompleteAbort,
    /// Expired.
    Dead,
}

impl TxnState {
    /// Kafka's spelling.
    pub fn name(self) -> &'static str {
        match self {
            TxnState::Empty => "Empty",
            TxnState::Ongoing => "Ongoing",
            TxnState::PrepareCommit => "PrepareCommit",
            TxnState::PrepareAbort => "PrepareAbort",
            TxnState::CompleteCommit => "CompleteCommit",
            TxnState::CompleteAbort => "CompleteAbort",
            TxnState::Dead => "Dead",
        }
    }
}

/// DescribeTransactions' and ListTransactions' answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnDescription {
    /// transactional.id.
    pub transactional_id: String,
    /// State.
    pub state: TxnState,
    /// transaction.timeout.ms.
    pub timeout_ms: i32,
    /// When the open transaction began, -1 if none is open.
    pub start_ms: i64,
    /// Producer id.
    pub producer_id: i64,
    /// Epoch.
    pub producer_epoch: i16,
    /// Topics and partitions of the open transaction.
    pub partitions: Vec<(String, i32)>,
    /// Groups of the open transaction.
    pub groups: Vec<String>,
}
