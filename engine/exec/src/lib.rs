//! Plan to running shard: synchronous, single-threaded, no I/O, no clock.
//!
//! `expr` computes over columns, `watermark` stamps event time, `format` turns bytes into columns and back.

pub mod expr;
pub mod format;
pub mod operator;
pub mod shard;
mod strftime;
pub mod watermark;
