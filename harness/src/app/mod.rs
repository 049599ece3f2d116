//! Tests of apps: runs the queries of an app as a spec says, on the production engine, and captures what they give.
//!
//! `execute` leads through a test: `statements` says what is deployed, `deploy` compiles and runs it, `publish` fills its
//! topics, `capture` shows what came out. `local` is the broker between them, `naming` its topics' names.
//! `validate` compiles without any of it.

pub mod arrivals;
pub mod capture;
pub mod cluster;
pub mod deploy;
pub mod execute;
pub mod judge;
pub mod local;
pub mod memory;
pub mod naming;
pub mod order;
pub mod publish;
pub mod refused;
pub mod renamed;
pub mod save;
pub mod statements;
pub mod steps;
pub mod told;
pub mod topics;
pub mod validate;
