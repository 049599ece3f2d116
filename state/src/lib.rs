//! One shard's keyed state, never shared: key bytes, group index, accumulator blocks, snapshots.
//!
//! ```text
//! columns -> key (canonical bytes) -> index (dense group numbers) -> block (accumulators by group number)
//! ```
//!
//! State holds no pointers: group numbers, blocks and key bytes only. Blocks come from a [`block::BlockPool`] and go
//! back to it when a window closes, so closing costs its blocks, not its groups.

pub mod block;
pub mod build;
pub mod chains;
pub mod codec;
pub mod index;
pub mod key;
pub mod rows;
pub mod sections;
pub mod snapshot;
