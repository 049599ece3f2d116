//! Runs a plan on real cores: pinned executors that share nothing, the mesh between them, and everything that talks
//! to files, topics, clocks and signals.
//!
//! `job` runs a plan to its end; `driver` is the loop of one executor; `backend` holds the two ways to run executors;
//! `mesh`, `ring` and `wake` carry envelopes between shards; `io` holds sources and sinks; `catalog` shows the
//! planner what is there. The engine below is synchronous and never sees any of this.

pub mod backend;
pub mod catalog;
pub mod clock;
pub mod driver;
pub mod io;
pub mod job;
pub mod memory;
pub mod mesh;
pub mod ring;
pub mod stop;
pub mod store;
pub mod topology;
pub mod wake;
