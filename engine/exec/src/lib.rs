//! Plan to running shard: synchronous, single-threaded, no I/O, no clock.
//!
//! `format` turns bytes into columns and back.

pub mod format;
pub mod operator;
pub mod shard;
