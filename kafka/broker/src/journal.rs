//! The broker's memory of everything that is not a partition log: topics, groups, offsets, transactions, producer ids.
//!
//! One file of entries, each in a frame with its CRC. An entry is written before the answer that depends on it, so a
//! killed process forgets nothing it promised; a tail torn by a crash is cut. `codec` is the bytes of an entry, `image`
//! what all entries together say, `file` the file. The coordinators restore themselves from the live entries.

mod codec;
mod file;
mod image;
#[cfg(test)]
mod tests;

pub(crate) use image::Image;

pub use file::Journal;

use bytes::Bytes;

use crate::group::OffsetCommit;
use crate::txn::TxnState;

/// One durable fact. Later entries about the same thing replace earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// The cluster's id.
    Cluster(String),
    /// A topic was created or changed; the whole topic.
    Topic(TopicRecord),
    /// A topic was deleted, by name.
    TopicDeleted(String),
    /// A group became stable or empty, or a static member was replaced; the whole group.
    Group(GroupRecord),
    /// A group was deleted, with its offsets.
    GroupDeleted(String),
    /// Offsets were committed, all of one request.
    Offsets {
        /// group.id.
        group: String,
        /// When, in milliseconds.
        commit_ms: i64,
        /// The offsets.
        offsets: Vec<OffsetCommit>,
    },
    /// Offsets were deleted or expired.
    OffsetsDeleted {
        /// group.id.
        group: String,
        /// Topics and partitions.
        partitions: Vec<(String, i32)>,
    },
    /// Offsets were sent in a transaction that is not decided yet.
    PendingOffsets {
        /// group.id.
        group: String,
        /// Producer of the transaction.
        producer_id: i64,
        /// When, in milliseconds.
        commit_ms: i64,
        /// The offsets.
        offsets: Vec<OffsetCommit>,
    },
    /// A producer's pending offsets of a group were decided.
    PendingEnded {
        /// group.id.
        group: String,
        /// Producer of the transaction.
        producer_id: i64,
        /// Commit or abort.
        commit: bool,
    },
    /// A transactional id changed; all of it.
    Txn(TxnRecord),
    /// A transactional id expired.
    TxnDeleted(String),
    /// Producer ids below this one may have been handed out.
    ProducerIds(i64),
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Topic id.
    pub id: [u8; 16],
    /// Name.
    pub name: String,
    /// One per partition.
    pub partitions: Vec<PartitionRecord>,
    /// Replication factor as asked for.
    pub replication: i16,
    /// Configuration that differs from the default.
    pub config: Vec<(String, String)>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Node id.
    pub leader: i32,
    /// Leader epoch.
    pub epoch: i32,
}

/// A group without its offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// group.id.
    pub group: String,
    /// Generation.
    pub generation: i32,
    /// Protocol type, `None` for a group that never had members.
    pub protocol_type: Option<String>,
    /// Protocol of the generation.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: Option<String>,
    /// When it became so, in milliseconds.
    pub state_ms: i64,
    /// Members by id; none: the group is empty.
    pub members: Vec<MemberRecord>,
}

/// A member of a stable group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Member id.
    pub member: String,
    /// group.instance.id.
    pub instance: Option<String>,
    /// client.id.
    pub client_id: String,
    /// Address of the client.
    pub client_host: String,
    /// Session time-out.
    pub session_timeout_ms: i32,
    /// Rebalance time-out.
    pub rebalance_timeout_ms: i32,
    /// Protocols and their metadata, the preferred one first.
    pub protocols: Vec<(String, Bytes)>,
    /// What the leader assigned.
    pub assignment: Bytes,
}

/// A transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnRecord {
    /// transactional.id.
    pub transactional_id: String,
    /// Producer id.
    pub producer_id: i64,
    /// Producer id before an exhausted epoch changed it, else -1.
    pub last_producer_id: i64,
    /// Epoch.
    pub producer_epoch: i16,
    /// Epoch before the last bump that the producer asked for, else -1.
    pub last_producer_epoch: i16,
    /// transaction.timeout.ms.
    pub timeout_ms: i32,
    /// State.
    pub state: TxnState,
    /// When the open transaction began, -1 if none is open.
    pub start_ms: i64,
    /// Last change.
    pub update_ms: i64,
    /// Topics and partitions of the open transaction.
    pub partitions: Vec<(String, i32)>,
    /// Groups of the open transaction.
    pub groups: Vec<String>,
}
