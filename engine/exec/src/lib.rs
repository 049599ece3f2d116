//! Plan to running shard: synchronous, single-threaded, no I/O, no clock.
//!
//! `shard` turns the graph, `pipeline` lowers a plan to operators, `format` turns bytes into columns and back, `expr`
//! computes over columns, `agg` and `op` hold functions and operators, `route` splits by virtual node.

pub mod agg;
pub mod check;
pub mod commit;
pub mod expr;
pub mod format;
pub mod op;
pub mod operator;
pub mod pipeline;
pub mod route;
pub mod shard;
pub mod watermark;
