//! Operators: one file each.

pub mod aggregate;
pub mod amend;
pub mod combine;
pub mod encode;
pub mod events;
pub mod filter;
pub mod inputs;
pub mod join;
pub mod limit;
pub mod materialize;
pub mod metrics;
pub mod over;
pub mod pass;
pub mod project;
mod replaced;
pub mod session;
pub mod sort;
pub mod sort_key;
pub mod subqueries;
pub mod union;
pub mod unnest;
pub mod upsert;
pub mod values;
