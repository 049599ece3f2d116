//! The slow truth beside the fast engine: a row-at-a-time interpreter of plans that shares no operator or kernel with
//! it.
//!
//! It keeps every row it has seen, computes exact numbers as big integers, and recomputes each aggregate from its rows
//! whenever one is asked for. What it says is what the reference says, at any cost; property tests and scenarios
//! compare the engine with it. Nothing here may use the execution crate.
//!
//! `eval` is one expression over one row, `convert` its casts, `number` the exact numbers; `graph` runs a plan over a
//! feed, `group` holds the rows of a group, `statistics` computes from their definitions, `event_time` reads event times.

mod convert;
mod elements;
mod eval;
mod event_time;
mod graph;
mod group;
mod keyed;
mod nested;
mod number;
mod over;
mod sort;
mod statistics;
#[cfg(test)]
mod tests;

pub use eval::{OracleError, Row, eval};
pub use graph::{DeadRow, FeedRow, OracleResult, OutRow, run};
