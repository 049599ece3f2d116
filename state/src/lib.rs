//! One shard's keyed state, never shared: key bytes, group index, accumulator blocks, window store, snapshots.

pub mod snapshot;
