//! Tests of the binder through SQL text.

mod mistakes;
mod plans;
mod show;
mod world;
