//! Tests of the binder through SQL text.

mod identity;
mod joins;
mod kafka;
mod levels;
mod mistakes;
mod over;
mod pass_through;
mod plans;
mod show;
mod subqueries;
mod world;
