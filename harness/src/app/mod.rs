//! Tests of apps: runs the queries of an app as a spec says, on the production engine, and captures what they give.
//!
//! `execute` leads through a test: `statements` says what is deployed, `deploy` compiles and runs it, `publish` fills its
//! topics, `capture` shows what came out. `local` is the broker between them, `naming` its topics' names.
//! `validate` compiles without any of it.

pub mod capture;
pub mod deploy;
pub mod execute;
pub mod local;
pub mod naming;
pub mod publish;
pub mod renamed;
pub mod statements;
pub mod validate;
