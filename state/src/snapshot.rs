//! Snapshots: versioned columns grouped by vnode, checksummed, restorable with another shard count.

use velostream_types::Column;

/// One table of a node's state: rows of columns, each row belonging to a vnode (or to none, for positions).
#[derive(Clone, Debug)]
pub struct StateTable {
    /// Name inside the node, `groups`, `windows`, `positions`.
    pub name: String,
    /// Layout version of this table; a reader refuses versions it does not know.
    pub version: u16,
    /// Vnode of each row, ascending; `None`: rows belong to no vnode and go to whoever asks for them.
    pub vnodes: Option<Vec<u16>>,
    /// The columns, equally long.
    pub columns: Vec<Column>,
}

/// Collects the tables of one node on one shard.
#[derive(Debug, Default)]
pub struct SnapshotWriter {
    /// Tables written so far.
    pub tables: Vec<StateTable>,
}

/// Tables of one node as one shard wrote them.
#[derive(Debug, Default)]
pub struct SnapshotReader {
    /// The tables.
    pub tables: Vec<StateTable>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// A table is missing or has another shape than this version writes.
    #[error("snapshot of node state is not readable: {0}")]
    Shape(String),
    /// The bytes were damaged.
    #[error("snapshot is damaged: {0}")]
    Damaged(String),
}
