//! The binary from outside: what it prints, where, and how it exits.

mod bad_input;
mod demo;
mod memory;
mod mistakes;
mod queries;
mod stops;
mod validate;
mod world;
