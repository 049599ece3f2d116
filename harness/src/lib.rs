//! velo-test as a library, and the project's own test bench.
//!
//! `sim` holds all shards of an app in one thread, `scenario` runs behaviour told as a story in SQL, `oracle` computes
//! what a plan must give, row at a time, sharing no operator code with the engine.

pub mod app;
pub mod oracle;
pub mod scenario;
pub mod sim;
