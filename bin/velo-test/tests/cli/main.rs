//! The binary from outside: what `run`, `run-all`, `validate` and `schema` print, where, and how they exit.

mod commands;
mod mistakes;
mod run;
mod world;
