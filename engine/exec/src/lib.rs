//! Plan to running shard: synchronous, single-threaded, no I/O, no clock.
//!
//! `shard` turns the graph, `pipeline` lowers a plan to operators, `format` turns bytes into columns and back, `expr`
//! computes over columns, `agg` and `op` hold functions and operators, `route` splits by virtual node.

pub mod operator;
pub mod shard;
