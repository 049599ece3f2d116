//! The binary from outside: what `run`, `run-all`, `validate` and `schema` print, where, and how they exit.

mod assertions;
mod commands;
mod flow;
mod mistakes;
mod mutations;
mod places;
mod run;
mod world;
