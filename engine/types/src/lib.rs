//! Leaf crate of Velostream: the words every other crate speaks.
//!
//! Schemas and logical types, columns (Arrow arrays in a closed enum), batches with row metadata, exact decimals,
//! event time, virtual nodes, identifiers, the three kinds of error and the ports behind which all I/O lives.
//! Nothing here does I/O, reads a clock, takes a lock or knows SQL. Runs on any shard.

mod batch;
mod chunk;
mod column;
mod datatype;
pub mod decimal;
mod error;
pub mod headers;
mod ids;
mod ports;
mod strings;
pub mod time;
pub mod topic;
mod value;
pub mod vnode;
pub mod within;

pub use batch::{Batch, NTH_BITS, NTH_MASK, Offsets, RecordSlab, RowMeta, RowOrder};
pub use chunk::Chunk;
pub use column::Column;
pub use datatype::{DataType, Field, Schema, SchemaRef, StructField, unify};
pub use error::{DeadLetter, ErrorCode, Fatal, RecordError, RecordOrigin, Remedy, Span, Stage};
pub use ids::{DlqId, EdgeId, NodeId, PartitionId, ShardId, SourceId};
pub use ports::{Clock, PartitionSource, RecordRef, SinkPosition, SinkWriter, Slab, SlabKind, SourcePoll, Store};
pub use strings::{PieceBuilder, StrBuilder, Utf8Slab};
pub use value::Value;
pub use within::Within;
