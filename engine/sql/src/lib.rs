//! SQL text to typed plan.
//!
//! `parse` (own parser over sqlparser's tokenizer, spans kept) → `bind` (names, types, properties) → [`plan`] →
//! `explain`. Every mistake of the user is a `Diagnostic` with a stable code, spans and a hint; binding collects
//! several. Nothing here runs rows, reads a clock or touches Kafka.

pub mod annotations;
mod bind;
pub mod diag;
pub mod duration;
pub mod endpoint;
pub mod explain;
pub mod lint;
pub mod outline;
mod parse;
pub mod plan;
pub mod props;
pub mod reference;
pub mod suggest;

pub use bind::{BindOptions, Compiled, compile};
